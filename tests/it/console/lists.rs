//! Lists of SAs and policies that stay usable: sorted, marked, with other columns, copied, and many deleted at once.

use super::stories::article;
use super::{Bench, KEY_HEX, START, article_sas, busy_kernel};
use espial::console::columns::{ChosenColumns, Columns, PolicyColumn, SaColumn};
use espial::console::command::Command;
use espial::console::event::Event;
use espial::console::state::Screen;
use espial::kernel::{Cause, Kernel, Operation, ScriptedKernel};
use espial::model::extras::{Offload, SecurityContext, UnknownAttribute};
use espial::model::{
    IpsecProtocol, KernelEvent, Limit, Policy, PolicyDirection, PolicySpec, Prefix, Sa, SaId, SaSpec, Secret, Selector,
    Spi,
};

fn busy() -> Bench {
    Bench::with(busy_kernel, |_| {}).sized(200, 50)
}

/// The last text that was copied.
fn copied(bench: &Bench) -> String {
    let Some(Command::Copy(text)) = bench.asked.last() else { panic!("nothing was copied: {:?}", bench.asked) };
    String::from_utf8(text.expose().to_vec()).unwrap()
}

fn deleted(bench: &Bench) -> Vec<SaId> {
    let deletion = |done: Operation| if let Operation::DeleteSa(id) = done { Some(id) } else { None };
    bench.kernel.done().into_iter().filter_map(deletion).collect()
}

#[test]
fn rows_are_sorted_by_any_column_from_a_list_and_once_more_turns_them_round() {
    let mut bench = busy();
    bench.keys("s").sees("Sort by").sees("> ▲ Source");
    // From the source, three down: the SPI.
    bench.keys("jjj<enter>").misses("Sort by").sees("SPI▲").keys("g");
    assert!(bench.line(">").contains("0x000003e8"));
    bench.keys("s").sees("> ▲ SPI").keys("<enter>").sees("SPI▼").keys("g");
    assert!(bench.line(">").contains("0xc0ffee03"));
    // Of columns that are not shown, the last one is the CPU; the one of sequence numbers sent is eight before it.
    bench.keys("sG<enter>").sees("by CPU▲, 7 of 7").keys("s<esc>").sees("by CPU▲");
    bench.keys("2s<enter>").sees("Dir▼").keys("sj<enter>").sees("Source▲");
}

#[test]
fn an_sas_mark_is_a_sign_that_survives_order_and_filter_and_goes_with_its_row() {
    let mut bench = article();
    bench.keys(" ").sees("SAs 4, 1 marked").sees(" *out");
    assert!(bench.line(">").contains("> out"), "the cursor has moved on: {}", bench.line(">"));
    bench.keys("S").sees("1 marked").keys("/ah<enter>").sees("SAs 2 of 4, 1 marked with: ah").misses(" *out");
    // Leaving the filter leaves the marks; only then they go.
    bench.keys("<esc>").sees("1 marked").keys("<esc>").misses("marked");
    bench.keys("g ").sees("1 marked");
    let marked: Vec<SaId> = bench.state.sas.marked().iter().copied().collect();
    bench.kernel.clone().delete_sa(&marked[0]).unwrap();
    bench.settle();
    bench.sees("SAs 3").misses("marked");
    // What takes its place later is not marked.
    bench.keys("*").sees("3 marked");
    bench.kernel.say(&KernelEvent::SasFlushed(IpsecProtocol::Esp));
    bench.settle();
    bench.sees("SAs 1, 1 marked");
}

#[test]
fn a_star_marks_what_is_listed_and_not_marked_and_no_others() {
    let mut bench = article();
    bench.keys(" *").sees("SAs 4, 3 marked").keys("*").sees("1 marked");
    bench.keys("<esc>/proto ah<enter>*<esc>").sees("SAs 4, 2 marked");
    bench.keys("2*").sees("Policies 3, 3 marked").keys("q").misses("marked").keys("1").sees("2 marked");
}

#[test]
fn marked_rows_go_together_after_a_question_that_lists_them_all() {
    let mut bench = article();
    bench
        .keys("/proto esp<enter>*<esc>/proto ah<enter>d")
        .sees("Delete what is marked, 2 of it not in the list now? These 2 SAs go:");
    bench.sees("esp 0x000003e9 10.9.0.1 -> 10.9.0.2").sees("esp 0x000007d1").misses("│ ah").keys("n");
    bench.sees("nothing was deleted").sees("2 marked");
    bench.hold = true;
    bench.keys("dy").sees("deleting 2 SAs: waiting for the kernel").keys("jj").sees("waiting for the kernel");
    assert!(deleted(&bench).is_empty());
    bench.release();
    bench.sees("deleted 2 SAs").misses("marked").misses("waiting").keys("<esc>").sees("SAs 2");
    assert_eq!(deleted(&bench).len(), 2);
    bench.keys("2 jd").sees("Delete what is marked? This policy goes:").keys("y").sees("Policies 2");
}

#[test]
fn a_refusal_in_the_middle_takes_everything_back() {
    let mut bench = article();
    bench.keys("*d").sees("These 4 SAs go:");
    // Each is read and deleted.
    bench.kernel.refuse_after(5, Cause::Refused { errno: libc::EPERM, text: None });
    bench.keys("y").sees("refused: nothing has been deleted: deleting SA").sees("SAs 4");
    assert_eq!(bench.kernel.sas().unwrap().len(), 4);
}

#[test]
fn what_goes_while_the_question_is_asked_is_no_hindrance() {
    let mut bench = article();
    bench.keys("*d").sees("esp 0x000003e9 10.9.0.1 -> 10.9.0.2");
    bench.kernel.clone().delete_sa(&article_sas()[1].id()).unwrap();
    bench.settle();
    bench.sees("esp 0x000003e9 to 10.9.0.2: gone already").keys("y").sees("SAs 0");
}

#[test]
fn policies_of_sockets_and_what_the_kernel_made_are_left_out() {
    let mut bench = busy();
    bench.keys("2*").sees("6 marked").keys("d").sees("These 5 policies go:").misses("│ socket").keys("y");
    bench.sees("Policies 1, 1 marked").keys("d").misses("Delete").sees("goes with what it belongs to");
    let made = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Other(4), Spi(0x0a09_0001));
    bench.kernel.put_sa(Sa::from_spec(&made, START));
    bench.settle();
    bench.keys("1*").sees("8 marked").keys("d").sees("These 7 SAs go:").keys("n<esc>");
    while !bench.line(">").contains("0x0a090001") {
        bench.keys("j");
    }
    bench.keys("d").sees("for the IPComp SA beside it: delete that one").misses("Delete this SA?");
}

#[test]
fn columns_are_chosen_put_in_order_and_remembered() {
    let mut bench = article();
    bench.misses("Packets  ").keys("C").sees("Columns, from left to right").sees("> [x] dir");
    // Without the direction, the source behind the destination, and the mark's column at the end.
    bench.keys(" J").sees(" Destination Source▲  Proto");
    while !bench.line("> [").contains("mark ") {
        bench.keys("j");
    }
    bench.keys(" <enter>").sees(" State Mark").misses("Columns, from left");
    let Some(Command::Remember(ChosenColumns { sas: Some(sas), policies: None, packets: None })) = bench.asked.last()
    else {
        panic!("{:?}", bench.asked)
    };
    assert_eq!(sas[..2], [SaColumn::Destination, SaColumn::Source]);
    assert_eq!((sas.len(), sas.last()), (13, Some(&SaColumn::Mark)));
    // The next start begins with them.
    let columns = ChosenColumns { sas: Some(sas.clone()), ..ChosenColumns::default() };
    let mut next = Bench::with(busy_kernel, |setting| setting.columns = columns);
    next.sees("Mark").misses("Dir ").keys("Cu<enter>").sees("Dir ").misses("Mark");
    assert_eq!(next.asked, [Command::Remember(ChosenColumns::default())]);
}

#[test]
fn leaving_the_columns_brings_back_what_was_shown_and_one_must_stay() {
    let mut bench = article();
    bench.keys("C    ").sees(" SPI        Mode ").sees("by Source▲, 1 of 4").keys("<esc>").sees(" Dir Source▲");
    assert!(bench.asked.is_empty());
    bench.keys(":columns spi<enter>C ").sees("at least one column must be shown").keys("<enter>").sees("SPI");
    bench
        .keys(":columns usual<enter>")
        .sees(" Dir Source▲")
        .keys(":columns colour<enter>")
        .sees("there is no column \"colour\"");
    bench
        .keys("4:columns time<enter>")
        .sees("events have no columns")
        .keys("3:columns time,verdict<enter>")
        .misses("Proto");
}

#[test]
fn columns_that_the_configuration_says_are_not_remembered_and_what_cannot_be_is_said() {
    let columns = ChosenColumns { policies: Some(vec![PolicyColumn::Mark]), ..ChosenColumns::default() };
    let settle = |setting: &mut espial::console::state::Setting| {
        (setting.columns, setting.settled) = (columns, vec![Screen::Policies]);
    };
    let mut bench = Bench::with(busy_kernel, settle);
    bench.keys("2").misses("Source").keys(":columns src,dst<enter>").sees("Source").sees("until espial ends");
    assert!(bench.asked.is_empty());
    bench.keys("1:columns dst,spi<enter>");
    let chosen = ChosenColumns { sas: Some(vec![SaColumn::Destination, SaColumn::Spi]), ..ChosenColumns::default() };
    assert_eq!(bench.asked, [Command::Remember(chosen)]);
    bench.event(Event::NotRemembered("/x/columns.toml: Read-only file system".to_owned()));
    bench.sees("the columns cannot be remembered: /x/columns.toml").keys("4").sees("cannot be remembered");
}

#[test]
fn a_word_of_the_filter_is_found_in_a_column_that_was_asked_for() {
    let mut bench = busy();
    bench
        .keys("/everything<enter>")
        .sees("SAs 0 of 7")
        .sees("None of 7 SAs fits the filter. Esc")
        .keys(":columns dst,selector<enter>")
        .sees("SAs 7 of 7");
}

#[test]
fn tab_completes_a_field_and_the_filter_follows() {
    let mut bench = busy();
    bench.keys("/sta<tab>lar").sees("column 7: expected ok, expiring, expired or larval, found \"lar\"");
    bench.keys("val<enter>").sees("SAs 1 of 7 with: state larval").keys("<esc>/err<tab>> 0<enter>").sees("SAs 1 of 7");
}

#[test]
fn every_column_says_something_of_every_row_in_any_width() {
    let all =
        ChosenColumns { sas: Some(SaColumn::ALL.to_vec()), policies: Some(PolicyColumn::ALL.to_vec()), packets: None };
    let mut bench = Bench::with(busy_kernel, |setting| setting.columns = all);
    for width in [40, 80, 200, 500] {
        bench = bench.sized(width, 50);
        for screen in ["1", "2"] {
            bench.keys(screen).keys("*").screen();
        }
    }
    bench.keys("1").sees("never used").sees("everything").sees("1.23M").keys("2").sees("main");
}

#[test]
fn a_policy_that_is_looked_at_tells_of_the_last_packet_that_met_it() {
    let mut bench = article();
    bench.keys("2").seconds(1);
    bench.sees("last used       never");
    for policy in super::article_policies() {
        bench.kernel.use_policy(&policy.id(), START);
    }
    bench.seconds(5);
    assert!(bench.line("last used").contains("s ago)"), "{}", bench.screen());
}

#[test]
fn policies_sorted_by_their_last_use_stay_so() {
    let few = vec![PolicyColumn::Direction, PolicyColumn::LastUse];
    let columns = ChosenColumns { sas: None, policies: Some(few), packets: None };
    let fill = |kernel: &ScriptedKernel| super::article_policies().into_iter().for_each(|p| kernel.put_policy(p));
    let mut bench = Bench::with(fill, |setting| setting.columns = columns);
    let [out, inbound, forward] = super::article_policies().try_into().unwrap();
    bench.keys("2sj<enter>").sees("Idle▲");
    for policy in [&forward, &out, &inbound] {
        bench.seconds(5);
        bench.kernel.use_policy(&policy.id(), bench.now.unix_ms / 1000);
        bench.seconds(1);
        // What was met last is idle for the shortest time.
        let order = bench.state.policies.order().to_vec();
        let first = order.iter().filter_map(|slot| bench.state.facts.spd.at(*slot)).find(|p| p.used.used_at.is_some());
        assert_eq!(first.map(Policy::id), Some(policy.id()), "{}", bench.screen());
    }
}

#[test]
fn a_row_is_copied_without_its_keys_unless_they_are_shown_at_that_moment() {
    let mut bench = article();
    bench.keys("y").sees("Copy 1 SA without keys as").keys("<enter>").sees("1 SA without keys as ip xfrm");
    let text = copied(&bench);
    assert!(text.starts_with("# ip xfrm state add") || text.starts_with("# state add"), "{text}");
    assert!(!text.contains(KEY_HEX) && text.contains("0x000003e9"));
    bench.keys("ry").sees("Copy 1 SA WITH KEYS as").keys("j<enter>").sees("1 SA WITH KEYS as setkey");
    let text = copied(&bench);
    assert!(text.starts_with("add 10.9.0.1 10.9.0.2 esp 0x3e9") && text.contains(KEY_HEX), "{text}");
    bench.keys("y");
    bench.seconds(10);
    bench.keys("<enter>").sees("1 SA without keys");
    assert!(!copied(&bench).contains(KEY_HEX));
    assert!(bench.state.log.iter().all(|(_, entry)| !entry.text.contains(KEY_HEX)));
}

#[test]
fn marked_rows_are_copied_and_revealed_together() {
    let mut bench = article();
    bench.keys("/esp<enter>*<esc>yG<enter>").sees("2 SAs without keys as JSON");
    let json: serde_json::Value = serde_json::from_str(&copied(&bench)).unwrap();
    assert_eq!((json["schema"].as_u64(), json["sas"].as_array().map(Vec::len)), (Some(1), Some(2)));
    bench.keys("r4").sees("keys of 2 SAs shown for ten seconds").keys("1y<enter>").sees("2 SAs WITH KEYS");
    assert!(copied(&bench).lines().count() == 2 && copied(&bench).lines().all(|line| line.contains(KEY_HEX)));
    // One of them is not shown: then no key goes anywhere.
    bench.keys("/ah<enter>g <esc>y<enter>").sees("3 SAs without keys");
    assert!(!copied(&bench).contains(KEY_HEX));
    bench.keys("2*y").sees("Copy 3 policies as").keys("j<enter>").sees("3 policies as setkey");
    assert_eq!(copied(&bench).lines().count(), 2, "the policy of direction fwd comes with that of direction in");
}

#[test]
fn a_hundred_thousand_rows_are_marked_listed_and_deleted() {
    let sa = |n: u32| {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1000 + n));
        spec.algorithms.authentication = Some(super::transform("hmac(sha1)", 20, 96));
        Sa::from_spec(&spec, START)
    };
    let mut bench = Bench::with(|kernel| (0..100_000).for_each(|n| kernel.put_silently(sa(n))), |_| {});
    bench.keys("* d").sees("Delete what is marked? These 99999 SAs go:").sees("more below: j").keys("y");
    bench.sees("deleted 99999 SAs").sees("SAs 1").misses("marked");
    assert_eq!(bench.kernel.sas().unwrap().len(), 1);
}

#[test]
fn a_row_seen_whole_tells_what_few_have_with_names_and_units() {
    let offload = Some(Offload { interface: 2, flags: Offload::PACKET | Offload::INBOUND });
    let mut spec = SaSpec::new([10, 9, 0, 2].into(), [10, 9, 0, 1].into(), IpsecProtocol::Esp, Spi(0x4001));
    spec.algorithms.authentication = Some(super::transform("hmac(sha1)", 20, 96));
    spec.replay_window = 32;
    spec.limits.since_added_secs = Limit { soft: Some(7800), hard: None };
    spec.selector = Some(Selector { interface: 9, user: 7, ..Selector::everything_like(spec.source) });
    spec.extras.offload = offload;
    spec.extras.timer_threshold = Some(3);
    spec.extras.iptfs.drop_time_us = Some(1500);
    let bytes = Secret::copy_from(&[0xa7; 4]);
    spec.extras.unknown.push(UnknownAttribute { kind: 99, bytes: bytes.clone() });
    let mut sa = Sa::from_spec(&spec, START);
    (sa.replay.received, sa.replay.bitmap) = (40, Box::from([0xffff_fff1]));
    let selector = Selector { interface: 2, ..Selector::between(Prefix::ANY_V4, Prefix::ANY_V4) };
    let mut policy = PolicySpec::new(PolicyDirection::Out, selector);
    policy.security = Some(Box::new(SecurityContext::selinux("system_u:object_r:ipsec_spd_t:s0")));
    policy.offload = Some(Offload { interface: 3, flags: 0 });
    policy.unknown.push(UnknownAttribute { kind: 98, bytes });
    let fill = |kernel: &ScriptedKernel| {
        kernel.put_sa(sa);
        kernel.put_policy(Policy::from_spec(&policy, 9, START));
    };
    let mut bench = Bench::with(fill, |_| {});
    bench.keys("<enter>").sees("window 32 packets, 3 missing").sees("renewal at 2h 10m (in 2h 09m)");
    bench.sees("only number 9, which is not here").sees(" user            7").sees("after 300 ms").sees("1500 µs");
    bench.sees("whole packets, of those that arrive, on interface veth0 (number 2); flags 0x6");
    bench.sees("attribute 99, 4 bytes").misses(KEY_HEX).keys("r").sees("attribute 99, 4 bytes: a7a7a7a7");
    bench.keys("<esc><esc>2<enter>").sees("only veth0 (number 2)").sees("system_u:object_r:ipsec_spd_t:s0");
    bench
        .sees("cryptography, on interface spare (number 3); flags 0x0")
        .sees("attribute 98, 4 bytes")
        .misses("a7a7a7a7");
}

#[test]
fn a_row_that_is_made_anew_keeps_the_cursor_and_what_a_filter_hides_is_counted() {
    let mut bench = article();
    // The last row, made anew by somebody: deleted, and added again.
    bench.keys("G");
    let sa = bench.state.sas.selected().and_then(|slot| bench.state.facts.sad.at(slot)).unwrap().clone();
    bench.kernel.delete_sa(&sa.id()).unwrap();
    bench.settle();
    bench.kernel.add_sa(&sa.to_spec()).unwrap();
    bench.settle();
    let selected = bench.state.sas.selected().and_then(|slot| bench.state.facts.sad.at(slot)).unwrap();
    assert_eq!(selected.id(), sa.id());
    bench.keys("g  /ah<enter>d").sees("Delete what is marked, 1 of it not in the list now? These 2 SAs go:");
}
