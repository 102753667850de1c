//! What a user does, and what comes of it.

use super::{Bench, KEY_HEX, START, article_policies, article_sas, busy_kernel, no_esp};
use espial::console::command::{Change, Command, Outcome};
use espial::console::event::Event;
use espial::dialect::deed::Deed;
use espial::kernel::{Cause, Kernel, KernelError, Operation, ScriptedKernel};
use espial::model::{IpsecProtocol, KernelEvent, Sa, SaSpec, Spi, XfrmStatistics};

pub fn article() -> Bench {
    Bench::with(
        |kernel| {
            for sa in article_sas() {
                kernel.put_sa(sa);
            }
            for policy in article_policies() {
                kernel.put_policy(policy);
            }
        },
        |_| {},
    )
}

#[test]
fn an_sa_is_added_by_form_and_appears_when_the_kernel_says_so() {
    let mut bench = Bench::new();
    bench.hold = true;
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab><ctrl-g><tab><tab><ctrl-g><ctrl-s><read><enter>");
    bench.sees("waiting for the kernel").misses("SAs 1");
    bench.release();
    bench.sees("SAs 1").sees("added SA esp 0x").misses("Add an SA");
    let sa = bench.kernel.sas().unwrap().remove(0);
    assert_eq!(sa.algorithms.encryption_label(), "aes-gcm-256");
    assert!(!sa.spi.is_reserved());
}

#[test]
fn the_last_step_shows_what_will_be_sent_without_its_key_and_goes_back() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g><ctrl-s>");
    bench.sees("ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00001001").sees("<key hidden>");
    bench.sees("setkey on Linux cannot say AEAD algorithms; ip xfrm can").misses("can:");
    bench.sees("no esp SA back from 10.9.0.2 to 10.9.0.1").sees("Send it all the same").misses("0x1001");
    bench.keys("<esc>").sees("0x1001").misses("this will be sent");
    assert!(!bench.kernel.done().iter().any(|done| matches!(done, Operation::AddSa(_))));
    bench.keys("<ctrl-s>").sees("this will be sent").keys("<read><enter>").sees("SAs 1");
}

#[test]
fn a_form_says_what_is_wrong_under_the_field_and_sends_nothing() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0<tab>10.9.0.2<tab>7");
    bench.sees("this is no IPv4 or IPv6 address").sees("SPIs 0 to 255 are reserved");
    bench.keys("<ctrl-s>").sees("not sent: something is missing or wrong").sees("Add an SA");
    assert!(!bench.kernel.done().iter().any(|done| matches!(done, Operation::AddSa(_))));
}

#[test]
fn the_kernels_refusal_stands_at_the_field_it_is_about_and_the_form_stays() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g>");
    let text = Some("Requested AEAD algorithm not found".to_owned());
    bench.kernel.refuse_next(Cause::Refused { errno: libc::ENOSYS, text });
    bench
        .keys("<ctrl-s><read><enter>")
        .sees("Add an SA")
        .sees("the kernel: Requested AEAD algorithm not found (ENOSYS)");
    assert!(bench.line("> Encryption").contains("aes-gcm-256"));
    bench.keys("<ctrl-s><read><enter>").misses("Add an SA").sees("SAs 1");
}

#[test]
fn a_form_that_was_sent_waits_for_its_own_answer_and_takes_no_more_keys() {
    let mut bench = article();
    bench.hold = true;
    bench.keys("dy").keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab><ctrl-g><ctrl-s><enter>xyz<bs>");
    bench.sees("waiting for the kernel").sees("0x1001");
    bench.release_one();
    bench.sees("SAs 3").sees("waiting for the kernel");
    bench.release_one();
    bench.sees("SAs 4").misses("Add an SA");
}

#[test]
fn arrows_move_in_text_and_choose_among_options() {
    let mut bench = Bench::new();
    bench.keys("a<right>").sees("◂ ah ▸").keys("<left>").sees("◂ esp ▸");
    bench.keys("<tab><tab>1.9.0.1<left><left><left><left><left><left>0").sees("10.9.0.1");
}

#[test]
fn a_policy_is_added_by_form() {
    let mut bench = Bench::new();
    bench
        .keys("2a<tab>10.9.0.1<tab>10.9.0.2<tab><tab><tab><ctrl-n><right><ctrl-s>")
        .sees("ipsec esp/transport//require");
    bench.keys("<enter>").sees("Policies 1").misses("Add a policy");
    let policy = bench.kernel.policies().unwrap().remove(0);
    let protocols: Vec<_> = policy.templates.iter().map(|template| template.protocol).collect();
    assert_eq!(protocols, [IpsecProtocol::Esp, IpsecProtocol::Ah]);
}

#[test]
fn deleting_shows_what_goes_and_only_yes_deletes() {
    let mut bench = article();
    for no in ["n", "<esc>", "<enter>", "q"] {
        bench.keys("d").sees("Delete this SA?").sees("esp 0x000003e9 10.9.0.1 -> 10.9.0.2");
        bench.keys(no).misses("Delete this SA?").sees("nothing was deleted").sees("SAs 4");
    }
    bench.keys("dy").sees("SAs 3").sees("deleted SA esp 0x000003e9 to 10.9.0.2");
    assert!(bench.kernel.done().contains(&Operation::DeleteSa(article_sas()[1].id())));
}

#[test]
fn flushing_lists_everything_that_goes_and_asks() {
    let mut bench = article();
    bench.keys("F").sees("Delete all SAs? These 4 SAs go:").sees("3des-cbc hmac-sha1-96");
    bench.keys("n").sees("SAs 4");
    bench.keys("Fy").sees("SAs 0").sees("flushed all SAs");
    bench.keys("2Fy").sees("Policies 0");
    bench.keys("F").sees("there is nothing to flush").misses("Delete all");
}

#[test]
fn a_flush_of_policies_spares_those_of_sockets_and_says_so_by_not_listing_them() {
    let mut bench = Bench::with(busy_kernel, |_| {});
    bench.keys("2F").sees("These 5 policies go:").misses("│ socket in");
    bench.keys("y").sees("Policies 1").sees("socket in");
    bench.keys("d").sees("only that program can remove it").misses("Delete this policy?");
}

#[test]
fn keys_are_masked_until_they_are_revealed_and_again_after_ten_seconds() {
    let mut bench = article().sized(120, 50);
    bench.misses(KEY_HEX).sees("(r reveals it)");
    bench.keys("r").sees(KEY_HEX);
    bench.seconds(9);
    bench.sees(KEY_HEX).sees("(hidden again in 1 s)");
    bench.seconds(1);
    bench.misses(KEY_HEX);
    bench.keys("r").sees(KEY_HEX).keys("j").misses(KEY_HEX).keys("k").sees(KEY_HEX);
    bench.keys("<esc>").misses(KEY_HEX);
}

#[test]
fn what_is_hidden_again_by_itself_costs_no_step_back() {
    let mut bench = article();
    bench.keys("/esp<enter>r").seconds(10);
    bench.sees("with: esp").keys("<esc>").misses("with: esp");
}

#[test]
fn no_key_reaches_the_events() {
    let mut bench = article();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab><tab>");
    bench.event(Event::Paste(format!("0x{}", "a7".repeat(36))));
    bench.misses(KEY_HEX).keys("<ctrl-r>").sees(KEY_HEX).keys("<ctrl-s>").misses(KEY_HEX);
    bench.keys("<enter>").sees("SAs 5");
    bench.keys("r4").misses(KEY_HEX);
    assert!(bench.state.log.iter().all(|(_, entry)| !entry.text.contains(KEY_HEX)));
    assert!(!format!("{:?}", bench.state).contains(KEY_HEX));
}

#[test]
fn read_only_takes_every_dangerous_key_away() {
    let mut bench = Bench::with(busy_kernel, |setting| setting.read_only = true);
    bench.sees("read-only").misses("a add").misses("F flush");
    for key in ["a", "d", "F", "<del>"] {
        bench.keys(key).sees("espial was started read-only").misses("Delete").misses("Add an SA");
    }
    bench.keys("?").misses("delete the row");
    assert!(bench.kernel.done().iter().all(|done| !matches!(
        done,
        Operation::AddSa(_) | Operation::DeleteSa(_) | Operation::FlushSas(_) | Operation::FlushPolicies(_)
    )));
}

#[test]
fn a_paste_outside_of_fields_presses_no_keys() {
    let mut bench = article();
    bench.event(Event::Paste("dyFy".to_owned()));
    bench.sees("pasted text goes into fields only").sees("SAs 4");
}

#[test]
fn the_end_of_a_long_sentence_is_seen_in_a_narrow_window() {
    let mut bench = article().sized(80, 24);
    let reason = "/tmp/a-recording-with-a-name.pcapng exists already, and is never written over: choose another name";
    bench
        .event(Event::Saved { path: "/tmp/a-recording-with-a-name.pcapng".to_owned(), result: Err(reason.to_owned()) });
    bench.sees("refused: saving /tmp/a-recording").sees("choose another name").sees("? help");
    bench.keys("j").misses("choose another name");
}

#[test]
fn a_narrow_head_does_not_call_events_lost() {
    let mut bench = article().sized(60, 18);
    let lost = XfrmStatistics::parse("XfrmInNoStates 57\n").unwrap();
    bench.kernel.put_statistics(lost);
    bench.seconds(2);
    bench.keys("4").sees("1 SAs  ").sees("4 Events").sees("57 packets lost");
    // The counts are worth more than a word.
    bench.sized(80, 24).sees("4 Events 1 ").sees("57 lost");
}

#[test]
fn nothing_is_answered_in_a_window_too_small_to_see_the_question() {
    let mut bench = article();
    bench.keys("F");
    bench = bench.sized(20, 5);
    bench.keys("y");
    assert_eq!(bench.kernel.sas().unwrap().len(), 4);
    bench = bench.sized(80, 24);
    bench.keys("y").sees("SAs 0");
}

#[test]
fn the_filter_narrows_as_it_is_typed_and_escape_brings_back_what_was() {
    let mut bench = article();
    bench.keys("/ESP").sees("SAs 2 of 4 with: ESP");
    bench.keys(" 10.9.0.2").sees("SAs 2 of 4");
    bench.keys(" 3e9<enter>").sees("SAs 1 of 4 with: ESP 10.9.0.2 3e9");
    bench.keys("/x").sees("SAs 0 of 4").keys("<esc>").sees("SAs 1 of 4");
    bench.keys("<esc>").misses("with:").sees("SAs 4");
    bench.keys("q");
    assert_eq!(bench.asked, [Command::Quit]);
}

#[test]
fn escape_never_leaves_the_program_and_ctrl_c_always_does() {
    let mut bench = article();
    bench.keys("<esc><esc><esc>");
    assert!(bench.asked.is_empty());
    bench.keys("a<ctrl-c>");
    assert_eq!(bench.asked, [Command::Quit]);
}

#[test]
fn screens_change_by_tab_and_digits() {
    let mut bench = article();
    for (key, seen) in [("<tab>", "Policies 3,"), ("4", "following"), ("<tab>", "SAs 4"), ("<backtab>", "following")] {
        bench.keys(key).sees(seen);
    }
}

#[test]
fn sorting_goes_from_column_to_column_and_turns_round() {
    let mut bench = Bench::with(busy_kernel, |_| {});
    bench.sees("Source▲").keys(">").sees("Destination▲").keys("<").sees("Source▲").keys(">S").sees("Destination▼");
    assert!(bench.line(">").contains("10.9.0.1"), "the selected row stays selected");
    bench.keys("g");
    assert!(bench.line(">").contains("fd00:9::2"));
    for _ in 0..10 {
        bench.keys(">");
    }
    bench.sees("State▲").keys("g");
    assert!(bench.line(">").contains("expiring"), "the most urgent state comes first");
}

#[test]
fn what_others_do_is_seen() {
    let mut bench = article();
    let id = article_sas()[1].id();
    bench.kernel.clone().delete_sa(&id).unwrap();
    bench.settle();
    bench.sees("SAs 3").keys("4").sees("SA deleted: esp 0x000003e9 to 10.9.0.2");
    bench.kernel.say(&KernelEvent::SaExpired { sa: Box::new(article_sas()[0].clone()), hard: true });
    bench.settle();
    bench.sees("SA expired and removed: ah 0x000003e8").keys("1").sees("SAs 2");
    bench.kernel.say(&KernelEvent::Lost);
    bench.settle();
    bench.keys("4").sees("kernel events were lost").sees("read again: 3 SAs, 3 policies");
}

#[test]
fn an_sa_that_comes_without_an_event_is_found_by_the_count() {
    let mut bench = article();
    // A larval SA: the kernel tells nobody about it.
    let larval = SaSpec::new([10, 9, 0, 2].into(), [10, 9, 0, 1].into(), IpsecProtocol::Esp, Spi(0x2000));
    let silent = bench.kernel.clone();
    silent.put_silently(Sa::from_spec(&larval, START));
    bench.seconds(1);
    bench.sees("SAs 4");
    bench.seconds(1);
    bench.sees("SAs 5").sees("larval");
}

#[test]
fn rates_and_losses_come_from_counters_read_twice() {
    let mut bench = article();
    let mut sa = article_sas().remove(1);
    sa.used.packets += 30;
    sa.used.bytes += 42_000;
    bench.kernel.put_silently(sa);
    bench.kernel.put_statistics(XfrmStatistics::parse("XfrmInNoStates 0\n").unwrap());
    bench.seconds(1);
    let line = bench.line("0x000003e9");
    assert!(line.contains("42.0k"), "{line}");
    bench.kernel.put_statistics(XfrmStatistics::parse("XfrmInNoStates 3\n").unwrap());
    bench.seconds(1);
    bench.sees("3 packets lost").keys("4").sees("packets lost: XfrmInNoStates +3 (no SA here for what came)");
}

#[test]
fn a_kernel_that_may_not_be_read_is_said_to_be_and_comes_back() {
    let mut bench = article();
    let operation = Operation::ListSas;
    let cause = Cause::Refused { errno: libc::EPERM, text: None };
    bench.event(Event::KernelSilent(KernelError { operation, cause }));
    bench.sees("listing SAs: this needs the capability CAP_NET_ADMIN (EPERM)");
    bench.keys("<ctrl-l>").misses("CAP_NET_ADMIN");
}

#[test]
fn what_the_kernel_lacks_is_said_with_the_cure() {
    let mut bench = article();
    bench.event(Event::Supported(no_esp()));
    bench.sees("This kernel has neither ESP nor AH").sees("espial lab");
}

#[test]
fn a_lost_thread_is_a_banner() {
    let mut bench = article();
    let reason = "it panicked, which is a bug in espial".to_owned();
    bench.event(Event::ThreadLost { name: "kernel-follow", reason });
    bench.sees("thread kernel-follow has ended").keys("4").sees("ALARM");
}

#[test]
fn commands_are_typed_completed_and_refused_with_words() {
    let mut bench = article();
    bench.keys(":pol<tab><enter>").sees("Policies 3,");
    bench.keys(":theme li<tab><enter>");
    assert_eq!(bench.asked, [Command::UseTheme("light".to_owned())]);
    bench.keys(":nonsense<enter>").sees("there is no command \"nonsense\"").keys("<esc>");
    bench.keys(":filter esp<enter>").sees("with: esp");
    bench.event(Event::ThemeRefused("there is no theme \"x\"".to_owned()));
    bench.sees("there is no theme \"x\"");
}

#[test]
fn warnings_are_confirmed_by_sending_once_more() {
    let mut bench = Bench::new();
    bench.keys("a<tab><tab>10.9.0.1<tab>10.9.0.2<tab>0x1001<tab>");
    // aes-gcm-256 and its kin, then chacha20-poly1305, ... until 3des-cbc.
    while !bench.line("> Encryption").contains("3des-cbc") {
        bench.keys("<right>");
    }
    bench.keys("<tab><ctrl-g><tab><tab><ctrl-g><ctrl-s>");
    bench.sees("Send it all the same").sees("3des-cbc is too weak").misses("SAs 1");
    bench.keys("<read><ctrl-s>").sees("SAs 1");
}

#[test]
fn the_whole_row_can_be_read_and_scrolled() {
    let mut bench = article().sized(80, 24);
    bench.keys("<enter>").sees("replayed").sees("may be used for");
    bench.keys("jjj").keys("<esc>").sees("SAs 4");
}

/// The form of a pair, filled in for a tunnel, and sent.
const TUNNEL: &str = "A<tab>10.9.0.1<tab>10.9.0.2<tab><right><tab>10.1.0.0/24<tab>10.2.0.0/24<ctrl-s>";

#[test]
fn a_pair_is_shown_before_it_is_made_and_its_keys_never() {
    let mut bench = Bench::new().sized(200, 50);
    bench.keys(TUNNEL);
    bench.sees("here: not done yet").sees("the other host: by its script");
    bench.sees("# add 2 SAs and 3 policies on 10.9.0.2");
    bench.sees("ip xfrm policy add src 10.2.0.0/24 dst 10.1.0.0/24 dir fwd").sees("<key hidden>");
    assert!(!bench.kernel.done().iter().any(|done| matches!(done, Operation::AddSa(_) | Operation::AddPolicy(_))));
    bench.keys("l").sees("setkey on Linux has no words for this").keys("l");
    bench.keys("y").sees("here: done").sees("SAs 2").sees("Policies 3").sees("Made here, on trial: y keeps it");
    let written: Vec<_> = bench.kernel.sas().unwrap();
    let keys: Vec<_> =
        written.iter().filter_map(|sa| sa.algorithms.aead.as_ref()).map(|t| t.key.reveal_hex()).collect();
    assert_eq!(keys.len(), 2);
    for key in &keys {
        bench.misses(key);
    }
    // What was copied is the other host's half, with these keys.
    bench.asked.clear();
    // The key that checks on the lists does nothing here, and keys are given away only when that was said.
    bench.keys("cY").sees("KEYS would go to the clipboard, open to other programs: Y again copies them");
    assert_eq!(bench.asked, []);
    bench.keys("Y").sees("the script of 10.9.0.2 is on its way to the clipboard");
    let Some(Command::Copy(script)) = bench.asked.last() else { panic!("{:?}", bench.asked) };
    let script = String::from_utf8(script.expose().to_vec()).unwrap();
    assert!(script.contains("dir out") && keys.iter().all(|key| script.contains(key.as_str())));
    bench.keys("<esc>").sees("it is on trial: y keeps it").seconds(2);
    bench.keys("y").seconds(40);
    bench.sees("The traffic is lost until 10.9.0.2 has its half too").sees("SAs 2");
    bench.keys("<esc>").misses("here: done").misses("Show what is done");
}

#[test]
fn what_was_made_goes_again_unless_it_is_kept() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    bench.keys(TUNNEL).keys("y").sees("SAs 2").sees("in 30 s").sees("lost until reblochon has its half");
    bench.keys("<esc>").sees("it is on trial: y keeps it").keys("y").sees("look whether all goes on").seconds(29);
    bench.sees("in 1 s").sees("SAs 2").seconds(1);
    bench.sees("SAs 0").sees("Policies 0").sees("Nobody said that it shall be kept").keys("<esc><esc><esc>4");
    bench.sees("nobody said that what was made on this host shall be kept");
}

/// A plan's two halves made on trial.
fn both_on_trial() -> (Bench, ScriptedKernel) {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    let mut reblochon = ScriptedKernel::at(START);
    bench.keys(TUNNEL).keys("y").sees("o does it there, on trial as well").keys("o");
    there(&mut bench, &mut reblochon);
    bench.sees("Made on both hosts, on trial: y keeps it.").sees("goes again on both").misses("The traffic is lost");
    (bench, reblochon)
}

/// What the two hosts have: SAs and policies of this one, then those of the other one.
fn had(bench: &mut Bench, reblochon: &mut ScriptedKernel) -> [usize; 4] {
    let kernels = [&mut bench.kernel, reblochon];
    let had = kernels.map(|kernel| [kernel.sas().unwrap().len(), kernel.policies().unwrap().len()]);
    [had[0][0], had[0][1], had[1][0], had[1][1]]
}

#[test]
fn a_trial_can_be_one_of_both_hosts_and_both_are_taken_back() {
    let (mut bench, mut reblochon) = both_on_trial();
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 2, 3]);
    bench.seconds(30);
    bench.sees("SAs 0").sees("Policies 0");
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
    bench.sees("Nobody said that it shall be kept: it was taken back.").misses("the traffic is lost until then");
    // A key takes back both as well.
    let (mut bench, mut reblochon) = both_on_trial();
    bench.keys("u");
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
    // What is kept is kept on both.
    let (mut bench, mut reblochon) = both_on_trial();
    bench.seconds(2);
    bench.keys("y").sees("Both hosts have it").seconds(40);
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 2, 3]);
}

#[test]
fn a_removal_on_trial_on_both_hosts_says_what_it_means_meanwhile() {
    let (mut bench, mut reblochon) = tunnel();
    bench.keys("A<right><ctrl-s>yo");
    there(&mut bench, &mut reblochon);
    bench.sees("Removed on both hosts, on trial: y keeps it.").sees("comes back on both").sees("go IN CLEAR");
    bench.seconds(30);
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 2, 3]);
}

#[test]
fn what_the_other_host_does_only_when_the_trial_is_over_is_taken_back() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    let mut reblochon = ScriptedKernel::at(START);
    bench.keys(TUNNEL).keys("yo").seconds(30);
    bench.sees("SAs 0").sees("reblochon: waiting for the kernel");
    there(&mut bench, &mut reblochon);
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
}

#[test]
fn who_leaves_during_a_trial_reads_that_it_was_taken_back() {
    let (mut bench, mut reblochon) = both_on_trial();
    bench.event(Event::Terminated);
    assert_eq!(bench.asked.pop(), Some(Command::Quit));
    let words = bench.state.leaves_behind().unwrap();
    assert!(words.contains("it is being taken back, but"), "{words}");
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
    let words = "nobody said that what was made on this host shall be kept: it was taken back";
    assert_eq!(bench.state.leaves_behind().as_deref(), Some(words));
    // A trial that was kept is another matter: the other half is missing.
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    bench.keys(TUNNEL).keys("y").seconds(2);
    bench.keys("y").event(Event::Terminated);
    assert!(bench.state.leaves_behind().unwrap().starts_with("only 10.9.0.1 has what protects its packets"));
}

#[test]
fn keys_that_only_one_host_has_are_not_thrown_away_by_one_key() {
    let mut bench = Bench::new();
    bench.keys(TUNNEL).keys("<esc>").sees("Show what is done").keys("<ctrl-s>y").seconds(2);
    bench.keys("y").sees("kept");
    bench.keys("<esc>").sees("Esc again leaves it so").sees("here: done");
    bench.keys("w<ctrl-u>/keys/peer.sh<enter>");
    let Some(Command::Save { path, .. }) = bench.asked.last() else { panic!("{:?}", bench.asked) };
    assert_eq!(path, "/keys/peer.sh");
    let refused = Err("Permission denied".to_owned());
    bench.event(Event::Saved { path: "/keys/peer.sh".to_owned(), result: refused });
    bench.sees("saving /keys/peer.sh: Permission denied");
    bench.event(Event::Saved { path: "/keys/peer.sh".to_owned(), result: Ok(()) });
    bench.sees("saved the script of 10.9.0.2").keys("<esc>").misses("here: done");
}

#[test]
fn a_script_that_was_handed_over_is_not_taken_for_one_that_has_run() {
    let words = "the traffic of 10.9.0.1 and 10.9.0.2 is lost until the script of 10.9.0.2 has run: ";
    for is_heard in [false, true] {
        let mut bench = Bench::new();
        bench.keys(TUNNEL).keys("yYY").seconds(2);
        bench.keys("y").sees("kept");
        if is_heard {
            let received = |sa: &Sa| sa.destination == std::net::IpAddr::from([10, 9, 0, 1]);
            let mut used = bench.kernel.sas().unwrap().into_iter().find(received).unwrap();
            used.used.packets = 7;
            bench.kernel.put_silently(used);
            bench.seconds(1);
        }
        let last = bench.state.leaves_behind().unwrap_or_default();
        assert_eq!(last.starts_with(words), !is_heard, "{last}");
        bench.keys("<esc>").misses("here: done");
        if is_heard {
            bench.misses(words);
        } else {
            bench.sees(words).sees("whether it has is not known").keys("4").sees("10.9.0.2 is lost until the script");
        }
    }
    // The other way round nobody has seen it run either.
    let mut bench = Bench::new();
    bench.keys(TUNNEL).keys("YY");
    assert!(last_words(&mut bench).starts_with("if its script has run, only 10.9.0.2 has what protects"));
}

#[test]
fn in_the_lab_the_other_host_is_filled_in_and_typing_takes_its_place() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_address = Some([10, 9, 0, 2].into()));
    bench.keys("A").sees("Other host         10.9.0.2");
    bench.keys("<tab><tab>10.9.0.7").sees("Other host         10.9.0.7");
}

#[test]
fn a_pair_that_the_kernel_refuses_leaves_nothing_and_says_why() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    bench.keys(TUNNEL);
    let text = Some("Requested AEAD algorithm not found".to_owned());
    bench.kernel.refuse_next(Cause::Refused { errno: libc::ENOSYS, text });
    bench.keys("y").sees("here: refused").sees("nothing of it was done").sees("Requested AEAD algorithm not found");
    bench.sees("SAs 0").keys("y").sees("here: done").sees("SAs 2").seconds(2);
    bench.keys("yo").sees("reblochon: waiting for the kernel");
    let mut reblochon = ScriptedKernel::at(START);
    there(&mut bench, &mut reblochon);
    assert_eq!((reblochon.sas().unwrap().len(), reblochon.policies().unwrap().len()), (2, 3));
    bench.sees("reblochon: done").sees("Both hosts have it");
    for (key, done) in [("y", "all is done here:"), ("o", "all is done on the other host:")] {
        bench.misses(&format!("{key} yes")).misses("o there").keys(key).sees(done);
    }
    bench.keys("<esc>").misses("reblochon: done");
}

/// Lets the lab's other host do what it was asked last.
fn there(bench: &mut Bench, kernel: &mut ScriptedKernel) {
    let Some(Command::There(change)) = bench.asked.pop() else { panic!("{:?}", bench.asked) };
    let result = change.carry_out(kernel);
    bench.event(Event::DoneThere(Outcome { change, result }));
}

/// A tunnel that both hosts have.
fn tunnel() -> (Bench, ScriptedKernel) {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    let mut reblochon = ScriptedKernel::at(START);
    bench.keys(TUNNEL).keys("y").seconds(2);
    bench.keys("yo");
    there(&mut bench, &mut reblochon);
    bench.keys("<esc>");
    (bench, reblochon)
}

fn spis(kernel: &mut ScriptedKernel) -> Vec<Spi> {
    kernel.sas().unwrap().iter().map(|sa| sa.spi).collect()
}

#[test]
fn new_keys_are_made_step_by_step_and_the_old_ones_go() {
    let (mut bench, mut reblochon) = tunnel();
    let before = spis(&mut reblochon);
    // The form knows by now what is there.
    bench.keys("A").sees("◂ new keys ▸").sees("10.2.0.0/24").sees("as they are").keys("<ctrl-s>");
    bench.sees("1. here: not done yet").sees("4. reblochon: not done yet").sees("In this order no packet is lost");
    bench.keys("o").sees("first comes the step before it");
    bench
        .keys("y")
        .sees("SAs 3")
        .sees("Now reblochon gets the new keys and sends with them: o does it there")
        .keys("y")
        .sees("first comes the step");
    bench.keys("o");
    there(&mut bench, &mut reblochon);
    assert_eq!(spis(&mut reblochon).len(), 3);
    bench.keys("y").sees("SAs 2").sees("Last, reblochon forgets the old keys").keys("o");
    there(&mut bench, &mut reblochon);
    bench.sees("the old SAs that this console knew of are gone from both");
    let (mut here, mut there) = (spis(&mut bench.kernel), spis(&mut reblochon));
    here.sort();
    there.sort();
    assert_eq!((here.len(), &here), (2, &there));
    assert!(here.iter().all(|spi| !before.contains(spi)));
    bench.keys("<esc>").misses("Both hosts use").misses("Show what is done");
}

#[test]
fn who_leaves_new_keys_half_way_is_told_what_is_left_on_which_host() {
    // After each step: what only one host has is named, and without it both have the same.
    for steps in 1..=3 {
        let (mut bench, mut reblochon) = tunnel();
        bench.keys("A<ctrl-s>");
        for key in ["y", "o", "y"].into_iter().take(steps) {
            bench.keys(key);
            if key == "o" {
                there(&mut bench, &mut reblochon);
            }
        }
        bench.keys("<esc>").sees("Esc again leaves both hosts as they are now");
        let left = bench.state.leaves_behind();
        bench.keys("<esc>").sees("the events (4) say what is left on which host");
        let told = bench.state.log.iter().last().map(|(_, entry)| entry.text.clone()).unwrap();
        assert_eq!(
            (left.as_ref(), bench.state.leaves_behind()),
            (Some(&told), None),
            "who ends the console reads it too"
        );
        let commands = told.split_once("only one host has: ").unwrap_or_else(|| panic!("{told}")).1;
        for command in commands.split("; ") {
            let (host, command) = command.split_once(": ").unwrap();
            let script = espial::dialect::ip_script::parse(command, &|_| None).unwrap();
            let Deed::DeleteSa(id) = &script.statements[0].deed else { panic!("{command}") };
            let kernel = if host == "on 10.9.0.1" { &mut bench.kernel } else { &mut reblochon };
            kernel.delete_sa(id).unwrap_or_else(|error| panic!("{steps}: {error}: {told}"));
        }
        let (mut here, mut there) = (spis(&mut bench.kernel), spis(&mut reblochon));
        here.sort();
        there.sort();
        assert_eq!((here.len(), &here), (2, &there), "after {steps}: {told}");
    }
    let (mut bench, mut reblochon) = tunnel();
    bench.keys("A<right><ctrl-s>o");
    there(&mut bench, &mut reblochon);
    bench.keys("<esc><esc>4").sees("only 10.9.0.2 has removed what protects its packets");
}

#[test]
fn the_next_new_keys_remove_what_a_plan_left_on_the_other_host() {
    let (mut bench, mut reblochon) = tunnel();
    // Twice left half-way: what the first plan left is not forgotten.
    for left in [3, 4] {
        bench.keys("A<ctrl-s>yo");
        there(&mut bench, &mut reblochon);
        bench.keys("<esc><esc>");
        assert_eq!(spis(&mut reblochon).len(), left);
    }
    bench.keys("A<ctrl-s>yo");
    there(&mut bench, &mut reblochon);
    // Of the three SAs that it was to delete, the first plan has deleted one.
    bench.sees("added 2 SAs, deleted 1 SA for").keys("yo");
    there(&mut bench, &mut reblochon);
    let (mut here, mut there) = (spis(&mut bench.kernel), spis(&mut reblochon));
    here.sort();
    there.sort();
    assert_eq!((here.len(), &here), (2, &there));
    bench.sees("the old SAs that this console knew of are gone from both");
}

#[test]
fn new_keys_wait_for_the_other_hosts_script() {
    let mut bench = Bench::new();
    bench.keys(TUNNEL).keys("y").seconds(2);
    bench.keys("yYY<esc>");
    let before = spis(&mut bench.kernel);
    bench
        .keys("A<ctrl-s>Y")
        .sees("first comes the step before it, this host's (y)")
        .keys("y")
        .sees("Now 10.9.0.2 gets the new keys");
    bench.keys("y").sees("first comes the step before it, the other host's").keys("YY");
    bench.sees("nothing has come with the new keys yet");
    bench.keys("y").sees("has the script run there? y again goes on").sees("SAs 3");
    // What was warned of once is warned of again, if another key came in between.
    bench.keys("<esc>").sees("not all steps are taken: Esc again").keys("y").sees("y again goes on").sees("SAs 3");
    bench.keys("u").sees("the other host's script may have run").keys("ju").sees("may have run").sees("SAs 3");
    // Then something comes.
    let mut used = bench.kernel.sas().unwrap().into_iter().find(|sa| !before.contains(&sa.spi)).unwrap();
    used.used.packets = 7;
    bench.kernel.put_silently(used);
    bench.seconds(1);
    bench.sees("Packets have come with the new keys").keys("y").sees("SAs 2").sees("Last, 10.9.0.2 forgets the old");
    bench.keys("<esc>").sees("not all steps are taken").keys("w").sees("ipsec-10.9.0.2-2.sh").keys("<esc>");
    // Without keys in it nothing is asked.
    bench.keys("Y").sees("the script of 10.9.0.2 is on its way");
    let Some(Command::Copy(script)) = bench.asked.last() else { panic!("{:?}", bench.asked) };
    let script = String::from_utf8(script.expose().to_vec()).unwrap();
    assert!(script.starts_with("#!/bin/sh\n") && script.matches("state delete").count() == 1, "{script}");
    bench.keys("<esc>").misses("forgets the old keys");
}

#[test]
fn in_the_lab_a_script_that_was_copied_may_have_run_or_not() {
    let (mut bench, _) = tunnel();
    bench.keys("A<ctrl-s>yYY").sees("nothing has come with the new keys yet").keys("y").sees("y again goes on");
    bench.sees("SAs 3").sees("2. reblochon: not done yet");
}

#[test]
fn a_removal_lists_what_goes_and_is_taken_back_unless_it_is_kept() {
    let (mut bench, mut reblochon) = tunnel();
    let before = (spis(&mut bench.kernel), bench.kernel.policies().unwrap().len());
    bench.keys("A<right>").sees("◂ remove SAs and policies ▸").misses("Algorithms").keys("<ctrl-s>");
    bench.sees("ip xfrm policy delete src 10.1.0.0/24 dst 10.2.0.0/24 dir out").sees("go IN CLEAR").sees("SAs 2");
    bench.keys("y").sees("SAs 0").sees("Policies 0").sees("on trial").sees("in 30 s");
    bench
        .keys("<esc>")
        .sees("it is on trial: y keeps it")
        .sees("lost until reblochon has removed it too: o does it there");
    // A key that is held down keeps nothing.
    bench.keys("yyy").sees("look whether all goes on").sees("on trial: y keeps it");
    bench.seconds(29);
    bench.sees("in 1 s").sees("SAs 0");
    bench.seconds(1);
    bench.sees("SAs 2").sees("Policies 3").sees("it was taken back").sees("here: not done yet");
    assert_eq!((spis(&mut bench.kernel), bench.kernel.policies().unwrap().len()), before);
    bench.keys("y").seconds(2);
    bench.keys("y").seconds(40);
    bench.sees("SAs 0").sees("reblochon: not done yet").keys("o");
    there(&mut bench, &mut reblochon);
    assert_eq!((reblochon.sas().unwrap().len(), reblochon.policies().unwrap().len()), (0, 0));
    bench.sees("Removed from both hosts");
    // Step by step back.
    bench.keys("u");
    there(&mut bench, &mut reblochon);
    assert_eq!((reblochon.sas().unwrap().len(), reblochon.policies().unwrap().len()), (2, 3));
    bench.keys("u").sees("SAs 2").sees("Policies 3").keys("u").sees("nothing was done yet");
    assert!(bench.kernel.sas().unwrap().iter().all(|sa| sa.replay.sent > 1 << 16), "its numbers go on");
    bench.keys("<esc>").sees("Show what is done");
}

#[test]
fn what_the_other_host_did_first_is_on_trial_with_this_hosts_half() {
    let (mut bench, mut reblochon) = tunnel();
    bench.keys("A<right><ctrl-s>o");
    there(&mut bench, &mut reblochon);
    bench.sees("Removed on reblochon, where that stays: it is not on trial").seconds(40);
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 0, 0]);
    bench.keys("y").sees("Removed on both hosts, on trial").seconds(30);
    there(&mut bench, &mut reblochon);
    bench.sees("it was taken back").misses("lost until then");
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 2, 3]);
    // The same for what is made.
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    let mut reblochon = ScriptedKernel::at(START);
    bench.keys(TUNNEL).keys("o");
    there(&mut bench, &mut reblochon);
    bench.sees("Made on reblochon, where it stays: it is not on trial").sees("u takes reblochon's half back");
    bench.keys("y").sees("Made on both hosts, on trial").sees("goes again on both").seconds(30);
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
}

#[test]
fn who_leaves_the_other_host_with_its_half_is_told_that_it_stays() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    let mut reblochon = ScriptedKernel::at(START);
    bench.keys(TUNNEL).keys("o");
    there(&mut bench, &mut reblochon);
    bench.keys("<esc>").sees("u takes it back; Esc again leaves it there").keys("u");
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [0; 4]);
    bench.keys("YY<esc>").sees("the other host's script may run").sees("leaves this host as it is");
}

#[test]
fn of_a_removal_only_what_was_there_is_said_to_be_gone() {
    let (mut bench, mut reblochon) = tunnel();
    // Reblochon has other SAs than this host knows of.
    for sa in reblochon.sas().unwrap() {
        reblochon.delete_sa(&sa.id()).unwrap();
        reblochon.add_sa(&SaSpec { spi: Spi(sa.spi.0 ^ 1), ..sa.to_spec() }).unwrap();
    }
    bench.keys("A<right><ctrl-s>o");
    there(&mut bench, &mut reblochon);
    assert_eq!(had(&mut bench, &mut reblochon), [2, 3, 2, 0]);
    bench.sees("reblochon: done, but not there: 2 SAs").sees("on reblochon; not there: 2 SAs of the plan");
    bench.sees("Of the plan, 2 SAs could not be found on").keys("y").seconds(2);
    bench.keys("y").sees("Removed what was there from both hosts");
    bench.keys("u").sees("taken back here: 2 SAs and 3 policies restored").keys("u");
    there(&mut bench, &mut reblochon);
    bench.sees("taken back on reblochon: 3 policies restored").misses("not there");
}

#[test]
fn a_refusal_names_its_host_and_is_over_with_the_next_step() {
    for key in ["y", "u"] {
        let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
        let mut reblochon = ScriptedKernel::at(START);
        reblochon.refuse_next(Cause::Refused { errno: libc::ENOSYS, text: None });
        bench.keys(TUNNEL).keys("o");
        there(&mut bench, &mut reblochon);
        bench.sees("reblochon refused, and nothing of it was done: adding SA").sees("reblochon: refused");
        bench.keys(key).misses("nothing of it was done").sees("reblochon: not done yet");
    }
}

#[test]
fn what_was_taken_back_is_named_with_both_hosts() {
    let (mut bench, mut reblochon) = both_on_trial();
    bench.keys("u");
    there(&mut bench, &mut reblochon);
    bench.sees(
        "taken back here: 2 SAs and 3 policies removed again; taken back on reblochon: 2 SAs and 3 policies removed",
    );
    bench.keys("y").sees("added 2 SAs and 3 policies").keys("u").misses("taken back on reblochon");
}

#[test]
fn who_leaves_before_a_removal_is_kept_gets_it_back() {
    let (mut bench, _) = tunnel();
    bench.keys("A<right><ctrl-s>y").sees("SAs 0");
    bench.event(Event::Terminated);
    assert_eq!(bench.asked.last(), Some(&Command::Quit));
    assert_eq!((bench.kernel.sas().unwrap().len(), bench.kernel.policies().unwrap().len()), (2, 3));
    let words = "nobody said that the removal shall be kept: it was taken back";
    assert_eq!(bench.state.leaves_behind().as_deref(), Some(words));
}

#[test]
fn a_trial_that_was_ended_while_the_console_hung_is_over_for_it_too() {
    let (mut bench, _) = tunnel();
    bench.hold = true;
    bench.keys("A<right><ctrl-s>y");
    bench.hold = false;
    let change = bench.held.remove(0);
    let Change::Exchange(half) = change.clone() else { panic!("{change:?}") };
    let result = change.carry_out(&mut bench.kernel);
    let reversal = result.clone().unwrap().reversal.unwrap();
    bench.event(Event::Done(Outcome { change: Box::new(change), result }));
    bench.sees("on trial").sees("Policies 0");
    let back = Box::new(Change::TakeBack { half, reversal });
    let result = back.carry_out(&mut bench.kernel);
    bench.event(Event::Done(Outcome { change: back, result }));
    bench.sees("here: not done yet").sees("Policies 3").seconds(31);
    bench.misses("could not").keys("y").sees("on trial").sees("Policies 0");
}

#[test]
fn whoever_keeps_a_removal_after_its_time_does_not() {
    let (mut bench, _) = tunnel();
    bench.asked.clear();
    bench.keys("A<right><ctrl-s>y").sees("on trial");
    bench.now.uptime_ms += 30_000;
    bench.keys("y").sees("it was taken back");
    assert!(!bench.asked.contains(&Command::Keep));
    bench.keys("y").seconds(2);
    bench.keys("y").sees("kept");
    assert!(bench.asked.contains(&Command::Keep));
}

#[test]
fn a_removal_that_could_not_be_taken_back_is_not_said_to_be() {
    let (mut bench, _) = tunnel();
    let policy = bench.kernel.policies().unwrap()[0].to_spec();
    bench.keys("A<right><ctrl-s>y").sees("on trial");
    // Somebody else makes one of them meanwhile.
    bench.kernel.add_policy(&policy).unwrap();
    bench.seconds(30);
    bench.sees("could not be taken back").sees("Policies 3").misses("it was taken back").misses("here: not done yet");
}

/// The exit words of a console that is ended now.
fn last_words(bench: &mut Bench) -> String {
    bench.event(Event::Terminated);
    bench.state.leaves_behind().unwrap_or_default()
}

#[test]
fn what_is_not_taken_back_whole_on_the_other_host_is_not_known_there() {
    for lapses in [false, true] {
        let (mut bench, mut reblochon) = both_on_trial();
        // Somebody else removes one of them meanwhile.
        let policy = reblochon.policies().unwrap()[0].id();
        reblochon.delete_policy(&policy).unwrap();
        if lapses {
            bench.seconds(30);
        } else {
            bench.keys("u");
        }
        there(&mut bench, &mut reblochon);
        bench.sees("reblochon: not known").sees("here: not done yet").misses("The traffic is lost until");
        bench.sees("on reblochon: what was done before could not be taken back: deleting policy");
        bench.sees("What reblochon has of this plan is not known").misses("it was taken back.");
        // Nothing is built on it.
        bench.keys("y").sees("it is not known what is there").sees("SAs 0").misses("y yes").misses("o there");
        let words = last_words(&mut bench);
        assert!(words.starts_with("on 10.9.0.2: what was done before could not be taken back: "), "{words}");
        assert!(words.contains("what 10.9.0.2 has of this plan is not known") && !words.contains("only"), "{words}");
        bench.keys("<esc>").sees("Esc again leaves it so").keys("<esc>").sees("say where it is not known what is left");
    }
}

#[test]
fn what_is_not_taken_back_whole_here_is_not_known_here() {
    let mut bench = Bench::with(|_| {}, |setting| setting.other_host = Some("reblochon".to_owned()));
    bench.keys(TUNNEL).keys("y").sees("on trial");
    for sa in bench.kernel.sas().unwrap() {
        bench.kernel.delete_sa(&sa.id()).unwrap();
    }
    bench.keys("u").sees("here: not known").misses("here: done").misses("The traffic is lost until");
    bench.sees("What this host has of this plan is not known").sees("the screens 1 and 2 show it");
    assert!(last_words(&mut bench).contains("what 10.9.0.1 has of this plan is not known"));
    // A removal, on both hosts.
    let (mut bench, mut reblochon) = tunnel();
    let policy = bench.kernel.policies().unwrap()[0].to_spec();
    bench.keys("A<right><ctrl-s>yo");
    there(&mut bench, &mut reblochon);
    bench.kernel.add_policy(&policy).unwrap();
    bench.seconds(30);
    there(&mut bench, &mut reblochon);
    bench.sees("here: not known").sees("reblochon: not done yet").misses("Removed here");
    let words = last_words(&mut bench);
    assert!(words.contains("what 10.9.0.1 has of this plan is not known") && !words.contains("until"), "{words}");
}

#[test]
fn who_leaves_before_the_other_host_has_answered_is_told_that_nobody_knows() {
    let (mut bench, mut reblochon) = both_on_trial();
    bench.keys("u").sees("reblochon: waiting for the kernel");
    let words = bench.state.leaves_behind().unwrap();
    assert!(words.starts_with("on 10.9.0.2: no answer yet; what 10.9.0.2 has of this plan is not known"), "{words}");
    there(&mut bench, &mut reblochon);
    assert_eq!(bench.state.leaves_behind(), None);
}

#[test]
fn a_step_without_an_answer_is_not_said_to_have_done_nothing() {
    let mut bench = Bench::new();
    bench.keys(TUNNEL);
    bench.kernel.refuse_next(Cause::TimedOut(std::time::Duration::from_secs(5)));
    bench.keys("y").sees("here: not known").misses("nothing of it was done");
}

#[test]
fn a_pairs_form_is_filled_in_from_the_row_and_refuses_what_cannot_be() {
    let (mut bench, _) = tunnel();
    bench.keys("2A").sees("◂ new keys ▸").sees("10.9.0.2").sees("10.1.0.0/24");
    bench.keys("<left><ctrl-s>").sees("there are policies for this already").keys("<esc><esc>");
    for row in ["j", "jj"] {
        bench.keys(row).keys("A").sees("◂ new keys ▸");
        assert!(bench.line("This host").contains("10.9.0.1") && bench.line("Network here").contains("10.1.0.0/24"));
        bench.keys("<esc>");
    }
    // Where nothing is, nothing can be renewed or removed.
    bench.keys("1A<tab><tab>10.9.0.7<ctrl-s>").sees("there is no policy here like this");
    bench.keys("<right><ctrl-s>").sees("nothing protects the traffic of these two");
}

#[test]
fn an_sa_is_edited_and_what_the_form_does_not_say_stays() {
    let mut bench = article();
    let before: Vec<Sa> = bench.kernel.sas().unwrap();
    bench.keys("e").sees("Edit an SA").sees("0x");
    let id = bench.state.sas.selected().and_then(|slot| bench.state.facts.sad.at(slot)).unwrap().id();
    bench.misses(KEY_HEX);
    // Only its number for policies changes: with the same keys its sequence numbers go on.
    let steps = bench.state.layers.len();
    assert_eq!(steps, 1);
    while !bench.line("> ").contains("ReqID") {
        bench.keys("<tab>");
    }
    bench.keys("42<ctrl-s>").sees("this will be sent").sees("numbers go on").keys("<read><enter>");
    bench.misses("Edit an SA").sees("made SA");
    let after: Vec<Sa> = bench.kernel.sas().unwrap();
    assert_eq!(after.len(), before.len());
    for sa in &after {
        let old = before.iter().find(|old| old.id() == sa.id()).unwrap();
        if sa.id() == id {
            assert_eq!((sa.reqid.0, &sa.algorithms, &sa.limits), (42, &old.algorithms, &old.limits));
            assert!(sa.replay.sent > old.replay.sent && sa.used == old.used);
        } else {
            assert_eq!(sa, old);
        }
    }
    // Other keys begin with other numbers.
    bench.keys("e");
    while !bench.line("> ").contains("key") {
        bench.keys("<tab>");
    }
    bench.keys("<ctrl-g><ctrl-s>").sees("numbers begin again").keys("<esc><esc><esc>").misses("Edit an SA");
}

#[test]
fn with_a_filter_only_what_it_shows_is_flushed() {
    let mut bench = article();
    bench.keys("/proto ah and dst 10.9.0.2<enter>").sees("SAs 1 of 4");
    bench.keys("F").sees("Delete what the filter shows? This SA goes:").keys("y");
    let left = bench.kernel.sas().unwrap();
    assert_eq!(left.len(), 3);
    assert!(!bench.kernel.done().iter().any(|done| matches!(done, Operation::FlushSas(_))));
    bench.keys("<esc>").sees("SAs 3");
    bench.keys("2/dir fwd or dir in<enter>F").sees("These 2 policies go:").misses("out 10.9.0.1").keys("y");
    assert_eq!(bench.kernel.policies().unwrap().len(), 1);
    bench.keys("/errors > <enter>").sees("column").keys("<esc>");
}
