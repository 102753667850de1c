//! espial on a real kernel, in the lab: what it writes is read by `ip` and tcpdump, and what they write is read by it.
//!
//! Outside of the lab this program runs itself inside, once for all tests; as cargo's runner, `espial lab --profile none
//! --` does the same. Every test begins with empty databases on both hosts, so they run one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

mod acquire;
mod apply;
mod checks;
mod console;
mod evidence;
mod forms;
mod matrix;
mod pair;
mod policy_order;
mod printed;
mod reads;
mod receiver;
#[path = "../terminal/session.rs"]
#[allow(dead_code, reason = "the terminal tests use all of it")]
mod session;
mod shown;
#[path = "../../src/dialect/ip_script/tests/specs.rs"]
mod specs;
mod verdicts;
mod watcher;
mod wire;
#[path = "../it/wireshark.rs"]
mod wireshark;
mod world;
mod writes;

use std::process::Command;
use std::time::Duration;

// What the dice throw is named there as seen from espial itself.
use espial::model;
use libtest_mimic::{Arguments, Trial};

type Test = (&'static str, fn());

/// Many times what all tests take together on a slow machine.
const TOO_LONG: Duration = Duration::from_mins(12);

fn main() {
    if std::env::var_os("ESPIAL_LAB").is_none() {
        let own = std::env::current_exe().unwrap();
        let mut lab = Command::new(env!("CARGO_BIN_EXE_espial"));
        lab.args(["lab", "--profile", "none", "--"]).arg(own).args(std::env::args_os().skip(1));
        let status = lab.status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    // A test that hangs must not hang whoever waits for it.
    std::thread::spawn(|| {
        std::thread::sleep(TOO_LONG);
        eprintln!("the kernel tests have not ended after {TOO_LONG:?}: the last one that was begun hangs");
        std::process::exit(1);
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let groups: [(&str, &[Test]); 16] = [
        ("writes", writes::TESTS),
        ("checks", checks::TESTS),
        ("reads", reads::TESTS),
        ("forms", forms::TESTS),
        ("pair", pair::TESTS),
        ("apply", apply::TESTS),
        ("printed", printed::TESTS),
        ("acquire", acquire::TESTS),
        ("wire", wire::TESTS),
        ("evidence", evidence::TESTS),
        ("verdicts", verdicts::TESTS),
        ("receiver", receiver::TESTS),
        ("policy_order", policy_order::TESTS),
        ("shown", shown::TESTS),
        ("matrix", matrix::TESTS),
        ("console", console::TESTS),
    ];
    let trials = groups.into_iter().flat_map(|(group, tests)| {
        tests.iter().map(move |(name, test)| {
            Trial::test(format!("{group}::{name}"), move || {
                world::reset();
                test();
                Ok(())
            })
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
