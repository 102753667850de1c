//! Lists that are too long to be made anew between two keys.

use std::collections::BTreeMap;

use espial::console::clock::Clock;
use espial::console::event::{Event, Now};
use espial::console::state::question::Deed;
use espial::console::state::table::AT_ONCE;
use espial::console::state::{Drawn, Layer, Setting, State};
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::extras::SecurityContext;
use espial::model::{
    IpsecProtocol, KernelEvent, Policy, PolicyDirection, PolicySpec, Prefix, Sa, SaSpec, Selector, Spi,
};
use proptest::prelude::*;

use super::{START, named_key, transform};

/// Three pieces, the last of them not a whole one.
pub(super) const MANY: u32 = 2 * AT_ONCE + AT_ONCE / 3;
const FILTERS: [&str; 5] = ["", "esp", "ah", "10.0.0.7", "bytes > 500 and not dst 10.1.0.0/25"];

pub(super) fn sa(n: u32) -> Sa {
    let protocol = if n.is_multiple_of(3) { IpsecProtocol::Ah } else { IpsecProtocol::Esp };
    let last = |shift: u32| u8::try_from(n >> shift & 0xff).unwrap();
    let mut spec = SaSpec::new([10, 0, 0, last(4)].into(), [10, 1, last(8), last(0)].into(), protocol, Spi(0x1000 + n));
    spec.algorithms.authentication = Some(transform("hmac(sha256)", 32, 128));
    let mut sa = Sa::from_spec(&spec, START);
    sa.used.bytes = u64::from(n * 7919 % 1000);
    sa
}

/// A console without a kernel: what happens to it is told by the test alone.
pub(super) struct Long {
    pub(super) state: State,
    pub(super) now: Now,
}

impl Long {
    pub(super) fn new(sas: impl Iterator<Item = Sa>) -> Self {
        let now = Now { unix_ms: START * 1000, uptime_ms: 0 };
        let mut state = State::new(Setting::default(), Clock::utc(), now);
        state.drawn(Drawn { usable: true, rows: 40, ..Drawn::default() });
        let mut long = Self { state, now };
        long.event(Event::Kernel(Update::Snapshot(Snapshot { sas: sas.collect(), ..Snapshot::default() })));
        long
    }

    pub(super) fn event(&mut self, event: Event) {
        self.state.update(event, self.now, &mut Vec::new());
    }

    pub(super) fn say(&mut self, events: Vec<KernelEvent>) {
        self.event(Event::Kernel(Update::Events(events)));
    }

    pub(super) fn press(&mut self, key: &str) {
        self.event(Event::Key(named_key(key)));
    }

    fn typed(&mut self, text: &str) {
        text.chars().for_each(|c| self.press(&c.to_string()));
    }

    /// Another filter for the list, as it is typed.
    pub(super) fn filter(&mut self, filter: &str) {
        let before = self.state.sas.typed_filter().len();
        self.press("/");
        (0..before).for_each(|_| self.press("bs"));
        self.typed(filter);
        self.press("enter");
    }

    pub(super) fn finish(&mut self) {
        while self.state.makes_lists() {
            self.event(Event::Spare);
        }
    }

    fn listed(&self) -> Vec<Spi> {
        let sad = &self.state.facts.sad;
        self.state
            .sas
            .order()
            .iter()
            .map(|slot| sad.at(*slot).expect("only SAs that there are are listed").spi)
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32),
    Delete(u32),
    Expire(u32),
    Filter(usize),
    SortByNext,
    SortBackwards,
    Spare(usize),
}

fn deed() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..MANY + 200).prop_map(Step::Add),
        4 => (0..MANY + 200).prop_map(Step::Delete),
        1 => (0..MANY + 200).prop_map(Step::Expire),
        2 => (0..FILTERS.len()).prop_map(Step::Filter),
        1 => Just(Step::SortByNext),
        1 => Just(Step::SortBackwards),
        6 => (1..3_usize).prop_map(Step::Spare),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_list_made_piece_by_piece_while_sas_come_and_go_is_the_one_made_at_once(
        deeds in proptest::collection::vec(deed(), 1..40),
    ) {
        let mut long = Long::new((0..MANY).map(sa));
        let mut there: BTreeMap<u32, Sa> = (0..MANY).map(|n| (n, sa(n))).collect();
        let (mut filter, mut sorts) = ("", Vec::new());
        for deed in deeds {
            match deed {
                Step::Add(n) => {
                    there.insert(n, sa(n));
                    long.say(vec![KernelEvent::SaAdded(Box::new(sa(n)))]);
                }
                Step::Delete(n) => {
                    there.remove(&n);
                    long.say(vec![KernelEvent::SaDeleted(sa(n).id())]);
                }
                Step::Expire(n) => {
                    // A dozen at once.
                    let gone = n..n + 12;
                    gone.clone().for_each(|n| drop(there.remove(&n)));
                    long.say(gone.map(|n| KernelEvent::SaExpired { sa: Box::new(sa(n)), hard: true }).collect());
                }
                Step::Filter(place) => {
                    filter = FILTERS[place];
                    long.filter(filter);
                }
                Step::SortByNext => {
                    sorts.push(">");
                    long.press(">");
                }
                Step::SortBackwards => {
                    sorts.push("S");
                    long.press("S");
                }
                Step::Spare(times) => (0..times).for_each(|_| long.event(Event::Spare)),
            }
            long.listed();
        }
        long.finish();
        let mut at_once = Long::new(there.into_values());
        for key in sorts {
            at_once.press(key);
        }
        at_once.filter(filter);
        at_once.finish();
        prop_assert_eq!(long.listed(), at_once.listed());
    }
}

#[test]
fn who_types_ahead_means_the_rows_that_are_listed_in_the_end() {
    let mut long = Long::new((0..MANY).map(sa));
    let fitting = (0..MANY).filter(|n| !n.is_multiple_of(3)).count();
    long.filter("esp");
    assert!(long.state.makes_lists(), "it is not that fast");
    long.press("d");
    let Some(Layer::Question(question)) = long.state.layers.last() else { panic!("{:?}", long.state.layers) };
    let Deed::DeleteSa(id) = &question.deed else { panic!("{:?}", question.deed) };
    assert_eq!((id.protocol, long.state.sas.len()), (IpsecProtocol::Esp, fitting));
    long.press("esc");
    long.filter("esp 10.0.0.7");
    long.press("F");
    let Some(Layer::Question(question)) = long.state.layers.last() else { panic!("{:?}", long.state.layers) };
    let Deed::DeleteSas(ids, _) = &question.deed else { panic!("{:?}", question.deed) };
    assert!(ids.iter().all(|id| id.protocol == IpsecProtocol::Esp) && ids.len() == long.state.sas.len());
}

#[test]
fn a_long_list_of_policies_is_made_piece_by_piece_too() {
    let policy = |n: u32| {
        let host =
            |net: u8| Prefix::host([net, 0, u8::try_from(n >> 8).unwrap(), u8::try_from(n & 0xff).unwrap()].into());
        Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, Selector::between(host(10), host(11))), n * 8, START)
    };
    let mut long = Long::new(std::iter::empty());
    let policies = (0..MANY).map(policy).collect();
    long.event(Event::Kernel(Update::Snapshot(Snapshot { policies, ..Snapshot::default() })));
    assert_eq!(long.state.policies.len(), MANY as usize);
    long.press("2");
    long.press("/");
    long.typed("dst 11.0.1.0/24");
    long.press("enter");
    let policies = &long.state.policies;
    assert_eq!((policies.len(), policies.count_words().as_str()), (MANY as usize, "…"), "the list before is shown");
    long.finish();
    assert_eq!((long.state.policies.len(), long.state.policies.count_words().as_str()), (256, "256"));
}

#[test]
fn a_policy_that_is_not_listed_beside_its_like_is_told_of() {
    let policy = |label: &str| {
        let host = |last| Prefix::host([10, 9, 0, last].into());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(1), host(2)));
        spec.security = Some(Box::new(SecurityContext::selinux(label)));
        Policy::from_spec(&spec, 8, START)
    };
    for (labels, count) in [(&["a", "b"][..], 1), (&["a"], 0)] {
        let mut long = Long::new(std::iter::empty());
        let policies = labels.iter().map(|label| policy(label)).collect();
        long.event(Event::Kernel(Update::Snapshot(Snapshot { policies, ..Snapshot::default() })));
        let told = long.state.log.iter().filter(|(_, entry)| entry.text.starts_with("not listed: 1 policy")).count();
        assert_eq!((long.state.policies.len(), told), (1, count));
    }
}

#[test]
fn sas_that_expire_in_a_row_go_as_one_and_each_is_told_of() {
    let mut long = Long::new((0..100).map(sa));
    let expired = |n| KernelEvent::SaExpired { sa: Box::new(sa(n)), hard: true };
    let soft = KernelEvent::SaExpired { sa: Box::new(sa(50)), hard: false };
    let events = (0..40).map(expired).chain([KernelEvent::SaDeleted(sa(40).id()), soft]);
    long.say(events.collect());
    assert_eq!((long.state.sas.len(), long.state.facts.sad.len()), (59, 59));
    let told: Vec<&str> = long.state.log.iter().map(|(_, entry)| entry.text.as_str()).collect();
    let words = |n: usize| told[told.len() - n];
    assert!(words(1).starts_with("SA at its soft limit") && words(2).starts_with("SA deleted: "), "{told:?}");
    assert_eq!(words(3), format!("SA expired and removed: {}", sa(39).id()));
    assert_eq!(told.iter().filter(|text| text.starts_with("SA expired and removed")).count(), 40);
}

#[test]
fn the_selected_row_is_the_same_after_everything_is_read_again() {
    let mut long = Long::new((0..100).map(sa));
    (0..30).for_each(|_| long.press("j"));
    let selected = |long: &Long| long.state.sas.selected().and_then(|slot| long.state.facts.sad.at(slot)).map(Sa::id);
    let before = selected(&long).unwrap();
    // The kernel tells them in another order, and some are gone.
    let again: Vec<Sa> = (0..100).rev().map(sa).filter(|sa| sa.spi.0 % 5 != 0 || sa.id() == before).collect();
    long.event(Event::Kernel(Update::Snapshot(Snapshot { sas: again, ..Snapshot::default() })));
    assert_eq!(selected(&long), Some(before));
}
