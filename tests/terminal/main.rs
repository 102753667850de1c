//! The program itself in a pseudo-terminal: what it leaves behind, whichever way it ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

mod session;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;

use session::Session;

/// The argument that turns this binary into the child that panics.
const PANICKING_CHILD: &str = "--panicking-child";
fn main() {
    if std::env::args().any(|argument| argument == PANICKING_CHILD) {
        let _terminal = espial::console::terminal::TakenTerminal::take().unwrap();
        panic!("the child panics as it was told");
    }
    let tests: Vec<Trial> =
        TESTS.iter().map(|(name, test)| Trial::test(*name, || test().map_err(Failed::from))).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

type Test = fn() -> Result<(), String>;

const TESTS: [(&str, Test); 11] = [
    ("q_leaves_and_the_terminal_is_as_it_was", q_leaves),
    ("ctrl_c_leaves_a_form", ctrl_c_leaves_a_form),
    ("sigterm_leaves_and_the_terminal_is_as_it_was", sigterm_leaves),
    ("sighup_leaves_and_the_terminal_is_as_it_was", sighup_leaves),
    ("a_panic_gives_the_terminal_back_and_shows_its_message", a_panic_gives_the_terminal_back),
    ("a_key_that_comes_with_a_new_size_is_heard_at_once", a_key_with_a_new_size),
    ("any_size_down_to_1x1_is_survived", any_size_is_survived),
    ("pasted_text_is_no_key", pasted_text_is_no_key),
    ("the_lab_opens_on_the_article_and_leaves_a_clean_terminal", the_lab_opens),
    ("a_pair_is_made_on_both_hosts_of_the_lab_from_the_console_alone", a_pair_in_the_lab),
    ("without_a_terminal_it_says_what_to_use_instead", without_a_terminal),
];

fn q_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("2");
    session.sees("Policies")?;
    session.press("q");
    session.ends(0).map(drop)
}

fn ctrl_c_leaves_a_form() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("a");
    session.sees("Add an SA")?;
    session.press("\x03");
    session.ends(0).map(drop)
}

fn sigterm_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.signal(Signal::TERM);
    session.ends(0).map(drop)
}

fn sighup_leaves() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.signal(Signal::HUP);
    session.ends(0).map(drop)
}

fn a_panic_gives_the_terminal_back() -> Result<(), String> {
    let own = std::env::current_exe().unwrap();
    let session = Session::start(own.to_str().unwrap(), &[PANICKING_CHILD]);
    let text = session.ends(101)?;
    let (_, behind) = text.rsplit_once("\x1b[?1049l").ok_or("it never left the alternate screen")?;
    if behind.contains("the child panics as it was told") {
        Ok(())
    } else {
        Err(format!("the message does not stand on the usual screen: {text:?}"))
    }
}

fn any_size_is_survived() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    for (rows, cols) in [(1, 1), (2, 300), (200, 2), (10, 40), (9, 39), (1, 80), (24, 1), (50, 200)] {
        session.resize(rows, cols);
    }
    // Only the last of the sizes has both beside one another.
    let is_wide = |screen: &vt100::Screen| {
        screen.contents().lines().any(|line| line.contains("SAs 0") && line.contains("nothing selected"))
    };
    session.until("the wide picture", is_wide)?;
    session.resize(24, 80);
    session.press("?");
    session.sees("Keys")?;
    session.press("q");
    session.press("q");
    session.ends(0).map(drop)
}

/// crossterm's usual reader forgets the key when a signal is read first; it would be heard with the next one.
fn a_key_with_a_new_size() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    for turn in 0..100 {
        session.resize(if turn % 2 == 0 { 23 } else { 24 }, 80);
        session.press("?");
        session.sees("Keys")?;
        leave(&mut session, "Keys")?;
    }
    session.press("q");
    session.ends(0).map(drop)
}

fn pasted_text_is_no_key() -> Result<(), String> {
    let mut session = Session::espial();
    session.sees("1 SAs")?;
    session.press("\x1b[200~qqq\x1b[201~");
    session.sees("pasted text goes into fields only")?;
    session.press("q");
    session.ends(0).map(drop)
}

fn the_lab_opens() -> Result<(), String> {
    let mut session = Session::start(env!("CARGO_BIN_EXE_espial"), &["lab"]);
    session.sees("0x000007d1")?;
    session.press("2");
    session.sees("Policies 3")?;
    session.press("3");
    session.sees("AH/ESP")?;
    session.resize(40, 130);
    session.sees("AH: hmac-md5-96; ESP: 3des-cbc hmac-sha1-96")?;
    session.press("q");
    session.ends(0).map(drop)
}

/// What a newcomer does: a tunnel between two networks on both hosts, looked at, other keys for it, and its end.
fn a_pair_in_the_lab() -> Result<(), String> {
    let mut session = Session::start(env!("CARGO_BIN_EXE_espial"), &["lab", "--profile", "none"]);
    session.sees("The kernel has no SAs")?;
    session.press("A");
    session.sees("This host")?;
    // Then to "Protect", which is to be the networks behind both.
    session.press("\t10.9.0.1\t10.9.0.2\t");
    session.press("\x1b[C");
    session.sees("networks behind both")?;
    session.press("\t10.1.0.0/24\t10.2.0.0/24\x13");
    session.sees("here: not done yet")?;
    session.press("y");
    session.sees("here: done")?;
    tried(&mut session)?;
    session.press("yo");
    session.sees("Both hosts have it")?;
    leave(&mut session, "Both hosts")?;
    session.press("3");
    session.sees("ESP ok")?;
    session.press("1A");
    session.sees("new keys")?;
    session.press("\x13");
    session.sees("1. here: not done yet")?;
    session.press("y");
    session.sees("Now reblochon gets the new keys")?;
    session.press("o");
    session.sees("Now y: this host sends with the new keys")?;
    session.press("y");
    session.sees("Last, reblochon forgets the old keys")?;
    session.press("o");
    session.sees("Both hosts use the new keys")?;
    leave(&mut session, "Both hosts")?;
    session.sees("SAs 2")?;
    session.press("3");
    session.sees("ESP ok")?;
    session.press("1A");
    session.sees("new keys")?;
    session.press("\x1b[C");
    session.sees("remove SAs and policies")?;
    session.press("\x13");
    session.sees("This goes from both hosts")?;
    session.press("y");
    tried(&mut session)?;
    session.press("yo");
    session.sees("Removed from both hosts")?;
    session.press("u");
    session.sees("reblochon: not done yet")?;
    session.press("u");
    session.sees("SAs 2")?;
    session.press("y");
    tried(&mut session)?;
    session.press("yo");
    session.sees("Removed from both hosts")?;
    leave(&mut session, "Removed from")?;
    session.sees("The kernel has no SAs")?;
    session.press("q");
    session.ends(0).map(drop)
}

/// What is on trial can be kept when it has been looked at.
fn tried(session: &mut Session) -> Result<(), String> {
    session.until("a trial that lasts", |screen| {
        screen.contents().contains("on trial") && !screen.contents().contains("in 30 s")
    })
}

/// Escape, and what stood there is gone: a key right behind it would be taken for one with Alt.
fn leave(session: &mut Session, what: &str) -> Result<(), String> {
    session.press("\x1b");
    session.until(&format!("the end of {what:?}"), |screen| !screen.contents().contains(what))
}

fn without_a_terminal() -> Result<(), String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_espial")).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let fine = output.status.code() == Some(1) && output.stdout.is_empty() && words.contains("espial sa");
    if fine { Ok(()) } else { Err(format!("{output:?}")) }
}
