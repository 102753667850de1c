//! Late packets, by the replay window that the SA has.

use super::made::{KEY, frame, sa_with};
use super::*;

fn after_100_comes_5(window: u32, direction: Option<Direction>) -> String {
    let sa = sa_with(0x1001, &KEY, |spec| spec.replay_window = window);
    let mut judge = judge_with(&[sa]);
    let mut last = None;
    for number in (1..=4).chain(6..=100).chain([5]) {
        let frame = frame(0x1001, number, &KEY);
        last = Some(judged(&mut judge, Sight { direction, ..sight(&frame) }));
    }
    words(&last.unwrap())
}

#[test]
fn what_arrives_behind_the_sas_own_window_is_old() {
    let old = "OLD: ESP 0x00001001: the ICV is right, but nothing is encrypted: the payload can be read; \
               ESP 0x00001001: sequence number 5 is behind the SA's replay window of 32";
    assert_eq!(after_100_comes_5(32, Some(Direction::In)), old);
    // Of a file nobody knows which way its packets went: somebody received them.
    assert_eq!(after_100_comes_5(32, None), old);
    assert!(after_100_comes_5(95, Some(Direction::In)).starts_with("OLD"));
    for (window, direction) in [(96, Direction::In), (0, Direction::In), (32, Direction::Out)] {
        let words = after_100_comes_5(window, Some(direction));
        assert!(words.starts_with("ESP ok"), "{window} {direction}: {words}");
    }
}

#[test]
fn what_is_further_back_than_is_remembered_is_said_in_other_words() {
    let mut judge = judge_with(&[sa_with(0x1001, &KEY, |_| {})]);
    judged(&mut judge, sight(&frame(0x1001, 5000, &KEY)));
    let words = words(&judged(&mut judge, sight(&frame(0x1001, 1, &KEY))));
    assert!(words.starts_with("OLD") && words.ends_with("so far back that nobody here knows whether it came before"));
}

#[test]
fn a_window_that_the_kernel_changes_counts_from_then_on() {
    let with = |window| sa_with(0x1001, &KEY, |spec| spec.replay_window = window);
    let mut judge = judge_with(&[with(32)]);
    judge.memory.learn(&with(64), NOW);
    let mut verdict = |number| {
        let frame = frame(0x1001, number, &KEY);
        judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(&frame) }).verdict
    };
    assert_eq!([100, 60, 36].map(&mut verdict), [Verdict::EspOk, Verdict::EspOk, Verdict::Old]);
}
