//! The commands that need no screen, against a scripted kernel.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, ExitCode, Stdio};

use clap::{CommandFactory, Parser};
use espial::cli::{apply, filled, pair, policy, sa};
use espial::dialect::setkey::{self, NoNames, Reading};
use espial::kernel::{Cause, Kernel, Operation, ScriptedKernel};

use crate::console::{KEY_HEX, START, busy_kernel};

const ARTICLE: &str = include_str!("../data/article-gouda.conf");

const READING: Reading<'_> = Reading { names: &NoNames, forward_twins: true };

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    arguments: T,
}

fn arguments<T: clap::Args>(line: &str) -> T {
    Line::parse_from(std::iter::once("espial").chain(line.split_whitespace())).arguments
}

fn busy() -> ScriptedKernel {
    let kernel = ScriptedKernel::at(START);
    busy_kernel(&kernel);
    kernel
}

fn sas(line: &str) -> String {
    let here: [IpAddr; 2] = ["10.9.0.1".parse().unwrap(), "fd00:9::1".parse().unwrap()];
    let mut out = Vec::new();
    sa::print(&arguments(line), &mut busy(), &here, START, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn policies(line: &str) -> String {
    let mut out = Vec::new();
    policy::print(&arguments(line), &mut busy(), START, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lists_in_every_form() {
    for form in ["", "--json", "--setkey", "--ip"] {
        let name = form.trim_start_matches('-');
        insta::assert_snapshot!(format!("sa_{name}"), sas(form));
        insta::assert_snapshot!(format!("policy_{name}"), policies(form));
    }
}

#[test]
fn a_filter_chooses_what_is_listed_in_every_form() {
    let rows = |text: String| text.lines().count() - 1;
    assert_eq!((rows(sas("spi 0xc0ffee01")), rows(sas("proto esp and spi 0xc0ffee01 or c0ffee01"))), (1, 1));
    assert_eq!(rows(sas("not esp")), rows(sas("")) - rows(sas("esp")));
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert_eq!(json(sas("--json enc aes-gcm"))["sas"].as_array().unwrap().len(), 1);
    let all = json(policies("--json"))["policies"].as_array().unwrap().len();
    let inward = json(policies("--json dir in"))["policies"].as_array().unwrap().len();
    let others = json(policies("--json dir != in"))["policies"].as_array().unwrap().len();
    assert!(inward > 0 && others > 0 && inward + others == all);
}

#[test]
fn a_table_has_the_columns_that_are_asked_for() {
    let head = |text: String| text.lines().next().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(head(sas("--columns spi,left,mark")), ["SPI", "Ends", "in", "Mark"]);
    assert_eq!(head(policies("--columns ptype --columns dst")), ["Type", "Destination"]);
    assert!(sas("--columns left spi 0xc0ffee01").contains("1m 40s"));
    // A word of a filter is looked for in them too.
    assert_eq!(sas("--columns dst,selector everything").lines().count(), 8);
    let refused = |line: &str| {
        let words = std::iter::once("espial").chain(line.split_whitespace());
        Line::<sa::Arguments>::try_parse_from(words).err().map(|error| error.to_string())
    };
    assert!(refused("--columns colour").unwrap().contains("[possible values: dir, src,"));
    assert!(refused("--columns packet-rate").is_some(), "rates need two looks");
    assert!(refused("--columns spi --json").is_some());
}

#[test]
fn a_filter_that_cannot_be_understood_is_pointed_at() {
    let mut out = Vec::new();
    let error = sa::print(&arguments("dst ten"), &mut busy(), &[], START, &mut out).unwrap_err().to_string();
    assert!(error.starts_with("filter: column 5: expected an address or a prefix"), "{error}");
    assert!(error.ends_with("\n  dst ten\n      ^"), "{error}");
    assert!(out.is_empty());
}

#[test]
fn keys_are_in_no_form_unless_asked_for_and_then_in_every_one_that_has_them() {
    for form in ["", "--json", "--setkey", "--ip"] {
        assert!(!sas(form).contains(KEY_HEX), "{form}");
    }
    for form in ["--json --show-keys", "--setkey --show-keys", "--ip --show-keys"] {
        assert!(sas(form).contains(KEY_HEX), "{form}");
    }
}

#[test]
fn json_is_json_with_a_schema() {
    for text in [sas("--json"), policies("--json")] {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], 1);
    }
    let value: serde_json::Value = serde_json::from_str(&sas("--json --show-keys")).unwrap();
    let gcm = value["sas"].as_array().unwrap().iter().find(|sa| sa["spi"] == "0xc0ffee01").unwrap();
    assert_eq!(gcm["aead"]["key_bits"], 288);
    assert!(gcm["aead"]["key"].as_str().unwrap().starts_with("0xa7a7"));
}

#[test]
fn what_setkey_prints_loads_again() {
    let text = sas("--setkey --show-keys") + &policies("--setkey");
    let script = setkey::parse(&text).unwrap_or_else(|errors| panic!("{}", errors[0].render("x", &text)));
    // Four SAs of the article and one with sha256 at 128 bits that setkey cannot say; all policies but a socket's.
    assert_eq!(script.statements.len(), 4 + 5, "{text}");
    // One of direction in has none for packets passed on beside it: it is said how to load that.
    assert!(text.contains("# to be loaded with espial apply --no-forward, or setkey -k"), "{text}");
    let mut kernel = ScriptedKernel::at(START);
    applied(ARTICLE, Some(&mut kernel));
    let mut out = Vec::new();
    policy::print(&arguments("--setkey"), &mut kernel, START, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    // setkey makes the third by itself.
    assert_eq!((text.lines().count(), text.contains("fwd")), (2, false), "{text}");
}

/// Applies a script: the status, what was printed, what was complained about.
fn applied(source: &str, kernel: Option<&mut ScriptedKernel>) -> (ExitCode, String, String) {
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let way = match kernel {
        Some(kernel) => apply::Way::Do(kernel, &|| false),
        None => apply::Way::Say(None),
    };
    let status = apply::apply("x.conf", source, READING, way, &mut out, &mut complaints).unwrap();
    (status, String::from_utf8(out).unwrap(), String::from_utf8(complaints).unwrap())
}

#[test]
fn the_articles_listing_is_applied() {
    let mut kernel = busy();
    let (status, out, complaints) = applied(ARTICLE, Some(&mut kernel));
    assert_eq!((status, out.as_str()), (ExitCode::SUCCESS, ""));
    assert!(complaints.lines().all(|line| line.contains(": warning: ")), "{complaints}");
    assert!(complaints.contains("x.conf:7:12: warning: hmac-md5 is too weak for new SAs"), "{complaints}");
    assert_eq!(kernel.sas().unwrap().len(), 4);
    let directions: Vec<String> = kernel.policies().unwrap().iter().map(|p| p.direction.to_string()).collect();
    assert_eq!(directions.iter().filter(|direction| !direction.starts_with("socket")).count(), 3);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_shows_no_key() {
    let (status, out, _) = applied(ARTICLE, None);
    assert_eq!(status, ExitCode::SUCCESS);
    insta::assert_snapshot!("apply_dry_run", out);
    assert!(!out.contains("31323334"));
}

#[test]
fn a_dry_run_beside_a_kernel_says_what_would_come_go_and_stay() {
    let mut kernel = busy();
    let mut out = Vec::new();
    let way = apply::Way::Say(Some(&mut kernel));
    let status = apply::apply("x.conf", ARTICLE, READING, way, &mut out, &mut Vec::new()).unwrap();
    assert_eq!(status, ExitCode::SUCCESS);
    let out = String::from_utf8(out).unwrap();
    insta::assert_snapshot!("apply_compared", out);
    assert!(!out.contains("31323334"));
    assert!(!kernel.done().iter().any(|done| matches!(done, Operation::AddSa(_) | Operation::FlushSas(_))));
}

#[test]
fn an_error_anywhere_means_that_nothing_is_applied() {
    let mut kernel = busy();
    let before = kernel.sas().unwrap().len();
    let source =
        format!("{ARTICLE}\nadd 10.9.0.1 10.9.0.2 esp 3 -E 3des-cbc \"123456789012345678901234\";\nspdad x;\n");
    let (status, out, complaints) = applied(&source, Some(&mut kernel));
    assert_eq!((status, out.as_str()), (ExitCode::FAILURE, ""));
    assert!(complaints.contains("x.conf:27:27: SPIs 0 to 255 are reserved"), "{complaints}");
    assert!(complaints.contains("x.conf:28:1: \"spdad\" is not understood here"), "{complaints}");
    assert!(complaints.ends_with("espial: 2 errors in x.conf: nothing has been applied\n"), "{complaints}");
    assert!(!complaints.contains("123456789012"), "{complaints}");
    assert_eq!(kernel.sas().unwrap().len(), before);
}

#[test]
fn a_refusal_says_which_statement_and_leaves_nothing_done() {
    let mut kernel = ScriptedKernel::at(START);
    let source =
        "flush;\nadd 10.9.0.1 10.9.0.2 ah 1000\n -A hmac-sha1 0x0102030405060708090a0b0c0d0e0f1011121314;\nspdflush;\n";
    applied(
        "add 10.9.0.3 10.9.0.2 ah 1000 -A hmac-sha1 0x0102030405060708090a0b0c0d0e0f1011121314;",
        Some(&mut kernel),
    );
    let again = source.replace("flush;\nadd", "spdflush;\nadd");
    let (status, _, complaints) = applied(&again, Some(&mut kernel));
    assert_eq!(status, ExitCode::FAILURE);
    let expected = "x.conf:2:1: adding SA ah 0x000003e8 to 10.9.0.2: an SA with this destination, protocol and SPI exists \
                    already (EEXIST)\n  | add 10.9.0.1 10.9.0.2 ah 1000\n";
    assert!(complaints.contains(expected), "{complaints}");
    assert!(complaints.ends_with("espial: nothing of x.conf has been applied\n"), "{complaints}");
    assert!(!complaints.contains("0102030405"));
    let denied = Cause::Refused { errno: libc::EPERM, text: None };
    // Who may not look beforehand may not flush either.
    (0..3).for_each(|_| kernel.refuse_next(denied.clone()));
    let (_, _, complaints) = applied(source, Some(&mut kernel));
    assert!(complaints.contains("listing SAs: this needs the capability CAP_NET_ADMIN (EPERM)"), "{complaints}");
    assert!(complaints.ends_with("espial: nothing of x.conf has been applied\n"));
    assert!(!kernel.done().contains(&Operation::FlushSas(espial::model::IpsecProtocol::Any)));
}

#[test]
fn a_reserved_spi_that_went_its_way_does_not_stand_against_taking_back() {
    let keys = "-E aes-cbc 0x00112233445566778899aabbccddeeff -A hmac-sha1 0x0102030405060708090a0b0c0d0e0f1011121314";
    let source = format!(
        "getspi 10.9.0.1 10.9.0.2 esp 0x1001;\nupdate 10.9.0.1 10.9.0.2 esp 0x1001 {keys};\n\
         getspi 10.9.0.1 10.9.0.2 esp 0x1002;\nflush;\nadd 10.9.0.1 10.9.0.2 esp 0x1003 {keys};\n"
    );
    // Whichever of its operations is refused; before them, both databases are read.
    for others in 2.. {
        let mut kernel = ScriptedKernel::at(START);
        kernel.refuse_after(others, Cause::Refused { errno: libc::EPERM, text: None });
        let (status, out, complaints) = applied(&source, Some(&mut kernel));
        if status == ExitCode::SUCCESS {
            assert!(others > 6 && out.lines().count() == 2, "{others}: {out}");
            break;
        }
        assert!(complaints.ends_with("espial: nothing of x.conf has been applied\n"), "{others}: {complaints}");
        assert!(kernel.sas().unwrap().is_empty(), "{others}");
    }
}

#[test]
fn what_can_be_foreseen_to_be_refused_takes_nothing_away_before() {
    let mut kernel = busy();
    let before = (kernel.sas().unwrap(), kernel.policies().unwrap(), kernel.done().len());
    for (refused, words) in [
        (
            "delete 10.9.0.1 10.9.0.2 esp 0x9999;",
            "x.conf:3:1: deleting SA esp 0x00009999 to 10.9.0.2: there is no such SA",
        ),
        ("spdadd 10.7.0.0/24 10.8.0.0/24 any -P out none;", "x.conf:3:1: adding policy out 10.7.0.0/24 10.8.0.0/24"),
    ] {
        let twice = "spdadd 10.7.0.0/24 10.8.0.0/24 any -P out none;";
        let (status, out, complaints) = applied(&format!("flush; spdflush;\n{twice}\n{refused}"), Some(&mut kernel));
        assert_eq!((status, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(complaints.contains(words), "{complaints}");
        assert!(complaints.ends_with("espial: nothing of x.conf has been applied\n"), "{complaints}");
        let done = kernel.done();
        let changes =
            done.iter().skip(before.2).filter(|done| !matches!(done, Operation::ListSas | Operation::ListPolicies));
        assert_eq!(changes.count(), 0, "{done:?}");
    }
    assert_eq!((kernel.sas().unwrap(), kernel.policies().unwrap()), (before.0, before.1));
}

#[test]
fn a_dry_run_without_a_kernel_says_every_deed() {
    let keys = "-E aes-cbc 0x00112233445566778899aabbccddeeff -A hmac-sha1 0x0102030405060708090a0b0c0d0e0f1011121314";
    let source = format!(
        "flush; flush esp; dump; dump ah; get 10.9.0.1 10.9.0.2 esp 0x1001; delete 10.9.0.1 10.9.0.2 esp 0x1001;\n\
         deleteall 10.9.0.1 10.9.0.2; getspi 10.9.0.1 10.9.0.2 esp 0; getspi 10.9.0.1 10.9.0.2 esp 0x1001;\n\
         update 10.9.0.1 10.9.0.2[4501] esp-udp 0x1001 {keys};\n\
         spdflush; spddump; spdadd 10.1.0.0/24 10.2.0.0/24 icmp 8,0 -P in none;\n\
         spdupdate 10.1.0.0/24 10.2.0.0/24 any -P out discard; spddelete 10.1.0.0/24 10.2.0.0/24 any -P in;\n"
    );
    let (status, out, complaints) = applied(&source, None);
    assert_eq!(status, ExitCode::SUCCESS, "{complaints}");
    insta::assert_snapshot!("apply_dry_run_of_every_deed", out);
}

/// An output whose reader has gone.
pub struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_refusal_is_told_before_the_answers_that_nobody_reads() {
    let mut kernel = ScriptedKernel::at(START);
    let source = "dump; delete 10.9.0.1 10.9.0.2 esp 0x1003;";
    let mut complaints = Vec::new();
    let way = apply::Way::Do(&mut kernel, &|| false);
    let status = apply::apply("x.conf", source, READING, way, &mut Gone, &mut complaints);
    assert!(status.is_err());
    let complaints = String::from_utf8(complaints).unwrap();
    assert!(complaints.ends_with("espial: nothing of x.conf has been applied\n"), "{complaints}");
    // Warnings that nobody reads stop nothing.
    let way = apply::Way::Do(&mut kernel, &|| false);
    let status = apply::apply("x.conf", ARTICLE, READING, way, &mut Vec::new(), &mut Gone);
    assert_eq!((status.unwrap(), kernel.sas().unwrap().len()), (ExitCode::SUCCESS, 4));
}

#[test]
fn a_pair_whose_script_is_not_written_has_failed() {
    let mut kernel = ScriptedKernel::at(START);
    let run = |kernel: &mut ScriptedKernel, line: &str| {
        let work = arguments::<pair::Work<pair::Making>>(line);
        pair::pair(&work, Ok(kernel), &[], &mut Gone, &mut Vec::new()).unwrap_err()
    };
    let error = run(&mut kernel, "10.9.0.1 10.9.0.2");
    assert!(error.to_string().contains("say where the script for 10.9.0.2 goes"), "{error}");
    assert_eq!(kernel.sas().unwrap().len(), 0, "and nothing was made");
    let error = run(&mut kernel, "10.9.0.1 10.9.0.2 -o -");
    assert!(error.to_string().contains("the script for 10.9.0.2 could not be written"), "{error}");
}

/// What `espial pair` makes of a kernel: whether it did it, what it prints and what it complains of.
fn paired<P: filled::Planned>(kernel: &mut ScriptedKernel, line: &str) -> (bool, String, String) {
    let work = arguments::<pair::Work<P>>(&format!("10.9.0.1 10.9.0.2 {line}"));
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let result = pair::pair(&work, Ok(kernel), &[], &mut out, &mut complaints);
    let mut complaints = String::from_utf8(complaints).unwrap();
    let done = result.map_or_else(
        |error| {
            complaints.push_str(&format!("{error:#}"));
            false
        },
        |status| status == ExitCode::SUCCESS,
    );
    (done, String::from_utf8(out).unwrap(), complaints)
}

const NETWORKS: &str = "--network-here 10.1.0.0/24 --network-there 10.2.0.0/24";

#[test]
fn the_options_of_a_pair_are_the_fields_of_its_form() {
    Line::<pair::Work<pair::Making>>::command().debug_assert();
    Line::<pair::Work<pair::Renewing>>::command().debug_assert();
    Line::<pair::Work<pair::Removing>>::command().debug_assert();
    insta::assert_snapshot!("pair_make_help", Line::<pair::Work<pair::Making>>::command().render_help().to_string());
    let mut kernel = ScriptedKernel::at(START);
    let (done, out, complaints) =
        paired::<pair::Making>(&mut kernel, &format!("{NETWORKS} --with esp-and-ah --dry-run"));
    assert!(done && out.contains("proto ah mode transport") && out.contains("10.2.0.0/24"), "{out}{complaints}");
    assert!(out.contains("<key hidden>") && kernel.sas().unwrap().is_empty(), "{out}");
    let (done, _, complaints) = paired::<pair::Making>(&mut kernel, "--network-here 10.1.0.0/24 -o -");
    assert!(!done && complaints.contains("--network-there: a network is needed"), "{complaints}");
    let (done, _, complaints) = paired::<pair::Making>(&mut kernel, "--algorithms rot13 -o -");
    assert!(!done && complaints.contains("is none of aes-256-gcm"), "{complaints}");
    let (done, _, complaints) = paired::<pair::Making>(&mut kernel, "--algorithms 3des-sha1 -o -");
    assert!(!done && complaints.contains("--yes does it all the same"), "{complaints}");
    assert!(paired::<pair::Making>(&mut kernel, "--algorithms 3des-sha1 -o - --yes").0);
    let (done, _, complaints) = paired::<pair::Making>(&mut kernel, "-o -");
    assert!(!done && complaints.starts_with("espial: there are policies for this already"), "{complaints}");
}

#[test]
fn new_keys_are_three_scripts_and_all_of_them_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |end: &str| folder.path().join(format!("keys.sh{end}"));
    let rekey = format!("{NETWORKS} -o {}", file("").display());
    let mut kernel = ScriptedKernel::at(START);
    assert!(!paired::<pair::Renewing>(&mut kernel, &rekey).0, "there is nothing to renew");
    assert!(paired::<pair::Making>(&mut kernel, &format!("{NETWORKS} -o -")).0);
    let (done, _, complaints) = paired::<pair::Renewing>(&mut kernel, &format!("{NETWORKS} -o -"));
    assert!(!done && complaints.contains("new keys take 3 scripts more"), "{complaints}");
    // The last of them cannot be written.
    std::fs::create_dir(file(".last")).unwrap();
    let (done, _, complaints) = paired::<pair::Renewing>(&mut kernel, &rekey);
    assert!(!done && complaints.contains("keys.sh.last") && !file("").exists(), "{complaints}");
    assert_eq!(kernel.sas().unwrap().len(), 2, "nothing was made");
    std::fs::remove_dir(file(".last")).unwrap();
    let (done, out, complaints) = paired::<pair::Renewing>(&mut kernel, &rekey);
    assert!(done && out.is_empty() && complaints.contains("no traffic is lost if now "), "{complaints}");
    assert_eq!(kernel.sas().unwrap().len(), 3, "this host can read the new keys");
    let lines = |end: &str, words: &str| std::fs::read_to_string(file(end)).unwrap().matches(words).count();
    let counts = |end: &str| (lines(end, "state add"), lines(end, "state delete"));
    assert_eq!([counts(""), counts(".here"), counts(".last")], [(2, 1), (1, 2), (0, 1)]);
    assert!(!complaints.contains("0x") && lines(".last", "aead") == 0);
}

#[test]
fn a_removal_lists_what_goes_and_needs_a_yes() {
    let mut kernel = ScriptedKernel::at(START);
    assert!(paired::<pair::Making>(&mut kernel, &format!("{NETWORKS} -o -")).0);
    for line in ["", " --dry-run"] {
        let (done, out, complaints) = paired::<pair::Removing>(&mut kernel, &format!("{NETWORKS}{line}"));
        assert!(complaints.contains("policy") || complaints.contains("out 10.1.0.0/24 10.2.0.0/24"), "{complaints}");
        assert!(complaints.contains("packets from 10.1.0.0/24 to 10.2.0.0/24 go IN CLEAR"), "{complaints}");
        assert_eq!((done, out.contains("policy delete")), (!line.is_empty(), !line.is_empty()), "{out}");
        assert_eq!(kernel.sas().unwrap().len(), 2);
    }
    let (done, out, complaints) = paired::<pair::Removing>(&mut kernel, &format!("{NETWORKS} --yes"));
    assert!(done && complaints.contains("deleted 2 SAs and 3 policies here"), "{complaints}");
    assert!(out.starts_with("#!/bin/sh\n") && out.matches(" delete ").count() == 5, "{out}");
    assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (0, 0));
    let (done, _, complaints) = paired::<pair::Removing>(&mut kernel, &format!("{NETWORKS} --yes"));
    assert!(!done && complaints.contains("nothing protects the traffic of these two"), "{complaints}");
}

#[test]
fn a_reader_that_has_gone_is_success_to_lists_alone() {
    let status = |line: &[&str]| {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut espial = Command::new(env!("CARGO_BIN_EXE_espial"));
        let mut child = espial.args(line).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"flush;\n").unwrap();
        child.wait().unwrap().success()
    };
    assert!(status(&["--print-keys"]));
    assert!(!status(&["apply", "--dry-run", "-"]));
}

#[test]
fn a_check_that_cannot_be_begun_says_why_and_is_not_taken_for_one_that_found_clear_packets() {
    let refused = |arguments: &[&str], words: &str| {
        let mut espial = Command::new(env!("CARGO_BIN_EXE_espial"));
        let output = espial.arg("check").args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    };
    refused(&["10.2.0.1/24"], "10.2.0.1/24 is a host in a network: say 10.2.0.0/24 or 10.2.0.1");
    refused(&["10.2.0.0/24", "--probe", "icmp"], "a network cannot be sent anything: name one of its hosts with --to");
    refused(&["10.2.0.0/24", "--probe", "icmp", "--to", "10.3.0.1"], "--to 10.3.0.1 is no host of 10.2.0.0/24");
    refused(&["10.2.0.0/24", "--own", "fd00::/64"], "--own is of the other address family");
    refused(&["10.9.0.2", "--text", ""], "a value is required for '--text <TEXT>'");
    refused(&["0.0.0.0/0"], "of all that there is, whose traffic?");
}
