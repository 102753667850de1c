//! The forms as commands, against a scripted kernel.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use espial::capture::Interface;
use espial::cli::filled::{self, Filled, Planned};
use espial::cli::forms::{AddPolicy, AddSa, AllocateSpi, FlushSas, SetDefaults};
use espial::console::form::Kind;
use espial::kernel::{Kernel, ScriptedKernel};
use espial::model::Secret;

use crate::console::{KEY_HEX, START, busy_kernel};
use crate::headless::Gone;

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    arguments: T,
}

/// What a form's command makes of a kernel: whether it did it, what it says and what it complains of.
fn run<P: Planned>(kernel: &mut ScriptedKernel, line: &[&str]) -> (bool, String, String) {
    let filled = Line::<Filled<P>>::parse_from(std::iter::once(&"espial").chain(line)).arguments;
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let interface = Interface {
        name: "veth0".into(),
        index: 3,
        is_up: true,
        is_loopback: false,
        addresses: Vec::new(),
        broadcasts: Vec::new(),
        tunnel: None,
        settings: espial::model::PolicySettings::default(),
    };
    let status = filled::run(&filled, Ok(kernel), &[interface], &mut out, &mut complaints);
    let mut complaints = String::from_utf8(complaints).unwrap();
    let done = match status {
        Ok(status) => status == ExitCode::SUCCESS,
        Err(error) => {
            complaints.push_str(&format!("{error:#}"));
            false
        }
    };
    (done, String::from_utf8(out).unwrap(), complaints)
}

const ENDS: [&str; 4] = ["--source=10.9.0.1", "--destination=10.9.0.2", "--spi=generate", "--yes"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    ENDS.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn every_field_is_an_option_of_its_own() {
    for form in [AddSa::PLAN, AddPolicy::PLAN] {
        let mut names = std::collections::HashSet::new();
        for field in form.all().filter(|field| !matches!(field.kind, Kind::Fold)) {
            assert!(names.insert(field.option()), "{} twice in {}", field.option(), form.title);
        }
        assert!(names.len() > 20);
    }
    // The console's own options and those of its forms stand in one line.
    Line::<Filled<AddSa>>::command().debug_assert();
    Line::<Filled<AddPolicy>>::command().debug_assert();
    Line::<AllocateSpi>::command().debug_assert();
}

#[test]
fn help_is_that_of_the_form() {
    insta::assert_snapshot!("add_policy_help", Line::<Filled<AddPolicy>>::command().render_long_help().to_string());
}

#[test]
fn keys_and_numbers_are_made_up() {
    let mut kernel = ScriptedKernel::at(START);
    let (done, _, complaints) = run::<AddSa>(&mut kernel, &with(&["--encryption-key=generate", "--device=veth0"]));
    assert!(done && complaints.contains("espial sa --show-keys"), "{complaints}");
    let sa = kernel.sas().unwrap().remove(0);
    assert_eq!(sa.algorithms.aead.as_ref().unwrap().key.bits(), 288);
    assert_eq!((sa.spi.is_reserved(), sa.selector.interface), (false, 3));
}

#[test]
fn what_was_not_done_made_up_no_key_and_no_keys_to_press_are_spoken_of() {
    let mut kernel = ScriptedKernel::at(START);
    let ends = ["--source=10.9.0.1", "--destination=10.9.0.2", "--spi=5"];
    let (done, _, complaints) = run::<AddSa>(&mut kernel, &[&ends[..], &["--encryption-key=generate"]].concat());
    assert!(!done && complaints.contains("nothing has been done") && !complaints.contains("made up"), "{complaints}");
    let (done, _, complaints) = run::<AddSa>(&mut kernel, &ends);
    assert!(!done && complaints.contains("a key of 288 bits is needed: generate makes one up"), "{complaints}");
    assert!(!complaints.contains("Ctrl-"), "{complaints}");
}

#[test]
fn an_sa_from_a_host_to_itself_is_warned_of() {
    let mut kernel = ScriptedKernel::at(START);
    let line = ["--source=10.9.0.1", "--destination=10.9.0.1", "--spi=generate", "--encryption-key=generate"];
    let (done, _, complaints) = run::<AddSa>(&mut kernel, &line);
    assert!(!done && complaints.contains("protects nothing") && !complaints.contains("SA back"), "{complaints}");
}

#[test]
fn a_key_may_come_from_a_file_and_is_warned_of_on_the_line() {
    let path = std::env::temp_dir().join(format!("espial-key-{}", std::process::id()));
    let key = format!("0x{}\n", "a7".repeat(36));
    std::fs::write(&path, &key).unwrap();
    let mut kernel = ScriptedKernel::at(START);
    let from_file = format!("--encryption-key={}", path.display());
    let line: Vec<&str> = ENDS.into_iter().chain([from_file.as_str()]).collect();
    let (done, out, complaints) = run::<AddSa>(&mut kernel, &line);
    std::fs::remove_file(path).unwrap();
    assert!(done && !complaints.contains("command line"), "{complaints}");
    assert!(!out.contains(KEY_HEX) && !complaints.contains(KEY_HEX));
    assert_eq!(kernel.sas().unwrap()[0].algorithms.aead.as_ref().unwrap().key, Secret::copy_from(&[0xa7; 36]));
    let on_line = format!("--encryption-key={}", key.trim());
    let line: Vec<&str> = ENDS.into_iter().chain([on_line.as_str(), "--dry-run"]).collect();
    let (_, out, complaints) = run::<AddSa>(&mut kernel, &line);
    assert!(complaints.contains("warning: --encryption-key: a key on the command line"), "{complaints}");
    assert!(out.contains("<key hidden>") && !out.contains(KEY_HEX) && !complaints.contains(KEY_HEX), "{out}");
}

#[test]
fn a_key_that_lost_its_quotes_is_not_repeated() {
    let mut kernel = ScriptedKernel::at(START);
    let (done, out, complaints) = run::<AddSa>(&mut kernel, &with(&["--encryption-key=my secret key"]));
    assert!(!done && !out.contains("secret") && !complaints.contains("secret"), "{complaints}");
    for part in ["--encryption-key: the file of this option cannot be read", "quotes of its own", "on the command line"]
    {
        assert!(complaints.contains(part), "{part:?} is not in {complaints}");
    }
}

#[test]
fn a_reader_that_has_gone_stops_no_change_and_hides_no_refusal() {
    let run = |kernel: &mut ScriptedKernel, line: &[&str]| {
        let filled = Line::<Filled<FlushSas>>::parse_from(std::iter::once(&"espial").chain(line)).arguments;
        filled::run(&filled, Ok(kernel), &[], &mut Gone, &mut Gone)
    };
    let mut kernel = ScriptedKernel::at(START);
    busy_kernel(&kernel);
    let before = kernel.sas().unwrap().len();
    assert_eq!(run(&mut kernel, &["--protocol=ah"]).unwrap(), ExitCode::FAILURE);
    assert_eq!(kernel.sas().unwrap().len(), before);
    assert_eq!(run(&mut kernel, &["--protocol=ah", "--yes"]).unwrap(), ExitCode::SUCCESS);
    assert_eq!(kernel.sas().unwrap().len(), before - 2);
    assert!(run(&mut kernel, &["--protocol=esp", "--dry-run"]).is_err());
}

#[test]
fn warnings_need_a_yes_and_errors_take_none() {
    let mut kernel = ScriptedKernel::at(START);
    let line = with(&["--encryption=3des-cbc", "--encryption-key=generate", "--authentication=none"]);
    let (done, _, complaints) =
        run::<AddSa>(&mut kernel, &line[..3].iter().chain(&line[4..]).copied().collect::<Vec<_>>());
    assert!(!done, "{complaints}");
    for part in ["3des-cbc is too weak", "without authentication", "nothing has been done; --yes does it all the same"]
    {
        assert!(complaints.contains(part), "{part:?} is not in {complaints}");
    }
    assert!(kernel.sas().unwrap().is_empty());
    assert!(run::<AddSa>(&mut kernel, &line).0);
    let wrong = with(&["--encryption-key=generate", "--interface-id=x"]);
    let (done, _, complaints) = run::<AddSa>(&mut kernel, &wrong);
    assert!(!done && complaints.contains("--interface-id: this is no number"), "{complaints}");
}

#[test]
fn transforms_are_repeated() {
    let mut kernel = ScriptedKernel::at(START);
    let ends = ["--source=10.1.0.0/24", "--destination=10.2.0.0/24"];
    let line = ["--template=ipcomp/tunnel/10.9.0.1-10.9.0.2", "--template=esp/transport//require/7"];
    let (done, _, complaints) = run::<AddPolicy>(&mut kernel, &[&ends[..], &line].concat());
    assert!(done, "{complaints}");
    let policy = kernel.policies().unwrap().remove(0);
    assert_eq!((policy.templates.len(), policy.templates[1].reqid.0), (2, 7));
    let (done, _, complaints) =
        run::<AddPolicy>(&mut kernel, &[&ends[..], &["--template=esp/tunnel", "--direction=in"]].concat());
    assert!(!done && complaints.contains("--template 1, Tunnel to: a tunnel needs"), "{complaints}");
    let (done, _, complaints) = run::<AddPolicy>(&mut kernel, &ends);
    assert!(!done && complaints.contains("what is it protected with? --template says it"), "{complaints}");
    assert!(!complaints.contains("Ctrl-"), "{complaints}");
}

#[test]
fn what_would_go_is_listed_and_needs_a_yes() {
    let mut kernel = ScriptedKernel::at(START);
    busy_kernel(&kernel);
    let (done, out, complaints) = run::<FlushSas>(&mut kernel, &["--protocol=ah"]);
    assert!(!done && out.lines().count() == 2 && complaints.contains("--yes"), "{out}{complaints}");
    let (done, out, _) = run::<FlushSas>(&mut kernel, &["--protocol=ah", "--dry-run"]);
    assert!(done && out.contains("ip xfrm state flush proto ah") && out.contains("flush ah;"), "{out}");
    let before = kernel.sas().unwrap().len();
    assert!(run::<FlushSas>(&mut kernel, &["--protocol=ah", "--yes"]).0);
    assert_eq!(kernel.sas().unwrap().len(), before - 2);
    let (done, _, complaints) = run::<SetDefaults>(&mut kernel, &["--in=block"]);
    assert!(!done && complaints.contains("THIS CUTS THE NETWORK"), "{complaints}");
    let (done, _, complaints) = run::<SetDefaults>(&mut kernel, &[]);
    let expected = "espial: nothing is to be changed: say it with --in, --fwd, --out\n";
    assert!(!done && complaints.starts_with(expected), "{complaints}");
}

#[test]
fn a_form_and_its_command_say_the_same_help() {
    let field = AddSa::PLAN.all().find(|field| field.option() == "reqid").unwrap();
    let command = Line::<Filled<AddSa>>::command();
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some("reqid")).unwrap();
    assert!(argument.get_help().unwrap().to_string().starts_with(field.help.trim_end_matches('.')));
}
