//! What a user does with forms, and what comes of it.

use super::stories::article;
use super::{Bench, KEY_HEX, busy_kernel};
use espial::console::event::Event;
use espial::kernel::{Kernel, Operation};
use espial::model::policy::HashThresholds;
use espial::model::{IpsecProtocol, PolicyAction};

/// Goes to a field.
fn go(bench: &mut Bench, label: &str) {
    for _ in 0..60 {
        if bench.line("> ").contains(&format!("> {label}")) {
            return;
        }
        bench.keys("<tab>");
    }
    panic!("there is no field {label}:\n{}", bench.screen());
}

#[test]
fn folded_fields_are_shown_on_demand_and_count_all_the_same() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g>");
    bench.misses("Interface ID");
    go(&mut bench, "More");
    bench.keys("<right>").sees("Interface ID").sees("Security label");
    go(&mut bench, "Interface ID");
    bench.keys("9");
    while !bench.line("> ").contains("> More") {
        bench.keys("<backtab>");
    }
    bench.keys("<right>").misses("Interface ID").sees("1 filled in");
    bench.keys("<ctrl-s>").sees("if_id 0x9").keys("<read><enter>").sees("SAs 1");
    assert_eq!(bench.kernel.sas().unwrap()[0].if_id.map(|id| id.0), Some(9));
}

#[test]
fn what_was_filled_in_is_not_thrown_away_by_one_key() {
    let mut bench = article();
    let lost = "would be lost: Esc again leaves the form";
    // What the form was opened with, and what was only looked at, is no loss.
    for keys in ["a<esc>", "e<esc>", "A<esc>", "2e<esc>", "1a<end><tab><tab><end><left><esc>"] {
        bench.keys(keys).misses(lost).misses("Ctrl-S");
    }
    bench.keys("a");
    go(&mut bench, "More");
    bench.keys("<right>").sees("Security label").keys("<esc>").misses("Ctrl-S");
    bench.keys("a");
    go(&mut bench, "Encryption key");
    bench.keys("<ctrl-g><esc>").sees(lost).sees("Add an SA").misses(KEY_HEX);
    // Whoever goes on with it is asked again.
    bench.keys("<tab>").misses(lost).keys("<esc>").sees(lost).keys("<esc>").misses("Add an SA");
    bench.keys("a<right><esc>").sees(lost).keys("<left><esc>").misses("Add an SA");
    bench.keys("2a");
    go(&mut bench, "Transforms");
    bench.keys("<ctrl-n><esc>").sees(lost).keys("<ctrl-x><esc>").misses(lost).misses("Add a policy");
    bench.keys("a<tab>10.5.0.0/24").event(Event::Paste("x".to_owned()));
    bench.keys("<esc>").sees(lost).event(Event::Paste("y".to_owned()));
    bench.keys("<esc>").sees(lost).keys("<esc>").misses("Add a policy");
}

#[test]
fn an_edit_that_changes_nothing_makes_nothing_anew() {
    let mut bench = article();
    for keys in ["e<ctrl-s>", "2e<ctrl-s>", "1e<right><left><ctrl-s>"] {
        bench.keys(keys).sees("nothing of it was changed").misses("this will be sent").keys("<esc>").misses("Ctrl-S");
    }
    assert!(
        !bench.kernel.done().iter().any(|done| matches!(done, Operation::DeleteSa(_) | Operation::UpdatePolicy(_)))
    );
}

#[test]
fn what_is_wrong_in_a_fold_opens_it() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g>");
    go(&mut bench, "Limits");
    bench.keys("<right><tab>soon").sees("a time is a number of seconds");
    bench.keys("<backtab><right>").misses("soon").sees("a time is a number of seconds");
    bench.keys("<ctrl-s>").sees("not sent: something is missing or wrong");
    assert!(bench.line("> Lifetime").contains("soon"));
}

#[test]
fn a_policys_transforms_are_a_list() {
    let mut bench = Bench::new();
    bench.keys("2a<tab>10.9.0.1<tab>10.9.0.2");
    go(&mut bench, "Transforms");
    bench.sees("Ctrl-N another").keys("<ctrl-n>").sees("> Transform 2").keys("<right>");
    bench.keys("<ctrl-t>").sees("Ctrl-T up");
    assert!(bench.line("> Transform 1").contains("ah"));
    bench
        .keys("<ctrl-s>")
        .sees("proto ah mode transport tmpl proto esp mode transport")
        .keys("<enter>")
        .sees("Policies 1");
    let policy = bench.kernel.policies().unwrap().remove(0);
    let protocols: Vec<_> = policy.templates.iter().map(|template| template.protocol).collect();
    assert_eq!(protocols, [IpsecProtocol::Ah, IpsecProtocol::Esp]);
    bench.keys("e").sees("Edit a policy");
    go(&mut bench, "Transform 1");
    bench.keys("<ctrl-x>").misses("Transform 2").keys("<ctrl-s>").sees("ip xfrm policy update").sees("[ Send ]");
    bench.keys("<enter>").sees("changed policy");
    let after = bench.kernel.policies().unwrap().remove(0);
    assert_eq!((after.templates.len(), after.index), (1, policy.index));
}

#[test]
fn another_name_makes_another_policy_of_it_and_says_so() {
    let mut bench = article();
    bench.keys("2e").sees("Edit a policy");
    go(&mut bench, "Source");
    bench.keys("10.9.0.7<ctrl-s>").sees("the selector is part of a policy's name").sees("ip xfrm policy delete");
    bench.sees("spddelete 10.9.0.1 10.9.0.2 any -P out;").keys("<read><enter>").sees("Policies 3");
    let done = bench.kernel.done();
    assert!(done.iter().any(|done| matches!(done, Operation::DeletePolicy(_))));
    assert!(bench.kernel.policies().unwrap().iter().any(|p| p.selector.source.to_string() == "10.9.0.7/32"));
}

#[test]
fn a_policy_of_a_socket_and_an_sa_without_keys_are_not_edited() {
    let mut bench = Bench::with(busy_kernel, |_| {});
    bench.keys("2Ge").sees("only that program can change it").misses("Edit a policy");
    bench.keys("1/larval<enter>e").sees("waits for its keys").misses("Edit an SA");
}

#[test]
fn packets_without_a_policy_are_decided_over_loudly() {
    let mut bench = article();
    bench.keys(":defaults<enter>").sees("Packets without a policy").sees("allow");
    bench.keys("<right>").sees("THIS CUTS THE NETWORK");
    bench
        .keys("<ctrl-s>")
        .sees("ip xfrm policy setdefault in block fwd accept out accept")
        .sees("Send it all the same");
    bench.keys("<esc><esc><esc>").misses("Packets without");
    assert!(!bench.kernel.done().contains(&Operation::SetDefaults));
    bench
        .keys(":defaults<enter><tab><right><ctrl-s><read><enter>")
        .sees("packets without a policy are now: in allow, fwd block");
    assert_eq!(bench.kernel.defaults().unwrap().forward, PolicyAction::Block);
}

#[test]
fn what_will_be_sent_is_said_once_and_what_has_no_room_is_counted() {
    let add = "a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g><ctrl-s>";
    let mut bench = Bench::new();
    let screen = bench.keys(add).sees("setkey on Linux cannot say AEAD").misses("no room").screen();
    assert_eq!(screen.matches("ip xfrm state add").count(), 1, "{screen}");
    let mut bench = Bench::new().sized(80, 12);
    bench.keys(add).sees("lines above have no room: a larger window").sees("no esp SA back").misses("ip xfrm state");
}

#[test]
fn a_warning_is_not_confirmed_by_a_key_that_is_pressed_twice_or_held_down() {
    let mut bench = article();
    bench.keys(":defaults<enter><right>");
    for key in ["<ctrl-s>", "<enter>"] {
        bench.keys("<ctrl-s>").sees("THIS CUTS THE NETWORK").misses("not sent yet").keys(key).sees("not sent yet");
        bench.keys("<read>").keys("<esc>");
    }
    // A key that is held down goes on coming: it never confirms.
    bench.keys("<ctrl-s>");
    for _ in 0..20 {
        bench.milliseconds(400);
        bench.keys("<enter>").sees("not sent yet: read the warnings first; after a second the same key sends it");
    }
    assert!(!bench.kernel.done().contains(&Operation::SetDefaults));
    bench.keys("<read><enter>").sees("packets without a policy are now: in block");
    // Where there is nothing to read, nobody waits.
    bench.keys(":thresholds<enter>24,32<ctrl-s><enter>").sees("found by hash from IPv4 24 32 on");
}

#[test]
fn thresholds_and_spis_have_forms() {
    let mut bench = article();
    bench.keys(":thresholds<enter>33,32").sees("at most 32 bits").keys("<ctrl-u>24,32<ctrl-s>");
    bench.sees("ip xfrm policy set hthresh4 24 32").keys("<enter>").sees("found by hash from IPv4 24 32 on");
    assert_eq!(bench.kernel.thresholds().unwrap(), HashThresholds { v4: (24, 32), v6: (128, 128) });
    bench.keys(":allocspi<enter><tab><tab>10.9.0.2<tab>10.9.0.1<ctrl-s>");
    bench.sees("getspi 10.9.0.2 10.9.0.1 esp 0x100-0xffffffff;").keys("<enter>");
    bench.sees("it is 0x00000100 (256)").sees("SAs 5").sees("larval");
}

#[test]
fn a_flush_may_be_of_a_protocol_or_of_sub_policies_and_asks() {
    let mut bench = article();
    bench.keys(":flush<enter><tab><right><right>").sees("ah").keys("<ctrl-s>");
    bench.sees("Delete all ah SAs? These 2 SAs go:").misses("│ esp 0x").keys("n").sees("SAs 4");
    bench.keys(":flush<enter><tab><right><right><ctrl-s>y").sees("SAs 2").sees("flushed all ah SAs");
    bench.keys("2:flush<enter><tab><right><ctrl-s>").sees("there is nothing to flush");
}

#[test]
fn read_only_has_no_forms_and_does_not_speak_of_them() {
    let mut bench = Bench::with(busy_kernel, |setting| setting.read_only = true).sized(120, 60);
    bench.keys("?").misses("defaults").misses("flush").keys("<esc>");
    for command in ["defaults", "thresholds", "allocspi", "flush"] {
        bench.keys(&format!(":{command}<enter>")).sees("espial was started read-only").misses("Ctrl-S");
    }
    bench.keys("2e").sees("espial was started read-only");
}

#[test]
fn an_edited_sas_keys_are_masked_in_its_form() {
    let mut bench = article();
    bench.keys("e").sees("••••").misses(KEY_HEX).keys("<ctrl-r>").sees(KEY_HEX);
    bench.seconds(10);
    bench.misses(KEY_HEX);
}
