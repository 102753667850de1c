//! A key is about the row that was under the cursor when it was pressed, and about the marked ones, whatever the kernel
//! says in between.

use std::collections::{BTreeMap, HashSet};

use espial::console::command::Command;
use espial::console::event::{Event, Polled};
use espial::console::state::Layer;
use espial::console::state::question::Deed;
use espial::kernel::follow::Snapshot;
use espial::kernel::{Kernel, Update};
use espial::model::{Counts, IpsecProtocol, KernelEvent, Sa, SaId, XfrmStatistics};
use proptest::prelude::*;

use super::KEY_HEX;
use super::long_lists::{Long, MANY, sa};
use super::stories::article;

const FILTERS: [&str; 5] = ["", "esp", "10.0.0.1", "bytes > 500", "proto ah and bytes < 900"];

/// For so long a key may be meant for a row that has gone.
const ON_ITS_WAY_MS: u64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    Add(u32),
    Change(u32),
    Delete(u32),
    DeleteSelected,
    Expire(u32),
    Flush,
    /// Everything is read again, in another order.
    Snapshot(u32),
    /// Counters have moved.
    Poll(u32),
    Spare,
    Wait(u64),
    Filter(usize),
    Key(&'static str),
    Mark,
    MarkOthers,
    Leave,
    Delete1,
}

fn step(many: u32) -> impl Strategy<Value = Step> {
    let any = 0..many + 20;
    prop_oneof![
        3 => any.clone().prop_map(Step::Add),
        2 => any.clone().prop_map(Step::Change),
        3 => any.clone().prop_map(Step::Delete),
        3 => Just(Step::DeleteSelected),
        1 => any.clone().prop_map(Step::Expire),
        1 => prop_oneof![9 => any.clone().prop_map(Step::Snapshot), 1 => Just(Step::Flush)],
        3 => any.prop_map(Step::Poll),
        3 => Just(Step::Spare),
        4 => (1..1500_u64).prop_map(Step::Wait),
        2 => (0..FILTERS.len()).prop_map(Step::Filter),
        4 => prop_oneof![Just("j"), Just("k"), Just("G"), Just("g"), Just(">"), Just("S"), Just("pgdn")].prop_map(Step::Key),
        3 => Just(Step::Mark),
        1 => Just(Step::MarkOthers),
        1 => Just(Step::Leave),
        5 => Just(Step::Delete1),
    ]
}

/// What somebody before the screen has seen.
struct Watched {
    long: Long,
    there: BTreeMap<u32, Sa>,
    marked: HashSet<SaId>,
    /// What was under the cursor since the last key, from when on.
    seen: Vec<(u64, SaId)>,
}

impl Watched {
    fn new(many: u32) -> Self {
        let there: BTreeMap<u32, Sa> = (0..many).map(|n| (n, sa(n))).collect();
        let long = Long::new(there.values().cloned());
        let mut watched = Self { long, there, marked: HashSet::new(), seen: Vec::new() };
        watched.look(true);
        watched
    }

    fn selected(&self) -> Option<SaId> {
        self.long.state.sas.selected().and_then(|slot| self.long.state.facts.sad.at(slot)).map(Sa::id)
    }

    fn listed(&self) -> Vec<SaId> {
        let sad = &self.long.state.facts.sad;
        self.long.state.sas.order().iter().map(|slot| sad.at(*slot).expect("an SA that there is").id()).collect()
    }

    fn look(&mut self, is_key: bool) {
        if is_key {
            self.seen.clear();
        }
        self.seen.extend(self.selected().map(|row| (self.long.now.uptime_ms, row)));
    }

    /// What was under the cursor when a key was on its way that is pressed now.
    fn meant(&self) -> Option<SaId> {
        let then = self.long.now.uptime_ms.saturating_sub(ON_ITS_WAY_MS);
        let meant = self.seen.iter().rev().find(|(at, _)| *at <= then).or(self.seen.first());
        meant.map(|(_, row)| *row).or(self.selected())
    }

    fn say(&mut self, events: Vec<KernelEvent>) {
        let before = self.selected();
        self.long.say(events);
        self.stays(before);
    }

    /// What is still listed is still under the cursor.
    fn stays(&mut self, before: Option<SaId>) {
        if let Some(before) = before.filter(|before| self.listed().contains(before)) {
            // A row that was waited for may have come back.
            let (now, is_back) = (self.selected(), |row| self.seen.iter().any(|(_, seen)| Some(*seen) == row));
            assert!(now == Some(before) || is_back(now), "{now:?} instead of {before:?}");
        }
        self.look(false);
    }

    fn gone(&mut self, numbers: impl Iterator<Item = u32>) -> Vec<SaId> {
        let gone: Vec<SaId> = numbers.filter_map(|n| self.there.remove(&n)).map(|sa| sa.id()).collect();
        self.marked.retain(|id| !gone.contains(id));
        gone
    }

    fn press(&mut self, key: &str) {
        self.long.press(key);
        self.look(true);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Add(n) | Step::Change(n) => {
                let mut new = sa(n);
                if matches!(step, Step::Change(_)) {
                    new.used.bytes = 999;
                }
                let is_new = self.there.insert(n, new.clone()).is_none();
                let event = if is_new { KernelEvent::SaAdded } else { KernelEvent::SaUpdated };
                self.say(vec![event(Box::new(new))]);
            }
            Step::Delete(n) => {
                let gone = self.gone(n..=n);
                self.say(gone.into_iter().map(KernelEvent::SaDeleted).collect());
            }
            Step::DeleteSelected => {
                let number = self.selected().map(|id| id.spi.0 - 0x1000);
                let gone = self.gone(number.into_iter());
                self.say(gone.into_iter().map(KernelEvent::SaDeleted).collect());
            }
            Step::Expire(n) => {
                self.gone(n..n + 12);
                let expired = |n| KernelEvent::SaExpired { sa: Box::new(sa(n)), hard: true };
                self.say((n..n + 12).map(expired).collect());
            }
            Step::Flush => {
                let esp: Vec<u32> = self.there.keys().copied().filter(|n| !n.is_multiple_of(3)).collect();
                self.gone(esp.into_iter());
                self.say(vec![KernelEvent::SasFlushed(IpsecProtocol::Esp)]);
            }
            Step::Snapshot(turn) => {
                let mut sas: Vec<Sa> = self.there.values().rev().cloned().collect();
                let middle = turn as usize % sas.len().max(1);
                sas.rotate_left(middle);
                let before = self.selected();
                self.long.event(Event::Kernel(Update::Snapshot(Snapshot { sas, ..Snapshot::default() })));
                self.stays(before);
            }
            Step::Poll(from) => {
                for n in from..from + 30 {
                    if let Some(sa) = self.there.get_mut(&n) {
                        sa.used.bytes = sa.used.bytes * 31 % 1000;
                    }
                }
                let sas = self.there.values().cloned().collect();
                let (statistics, interfaces) = (Some(XfrmStatistics::default()), Vec::new());
                let polled =
                    Polled { sas, policies: Vec::new(), counts: Ok(Counts::default()), statistics, interfaces };
                let before = self.selected();
                self.long.event(Event::Polled(Box::new(polled)));
                self.stays(before);
            }
            Step::Spare => {
                self.long.event(Event::Spare);
                self.look(false);
            }
            Step::Wait(ms) => self.long.now.uptime_ms += ms,
            Step::Filter(place) => {
                self.long.filter(FILTERS[place]);
                self.long.finish();
                self.look(true);
            }
            Step::Key(key) => {
                let before = self.selected();
                self.press(key);
                if matches!(key, ">" | "S") {
                    self.long.finish();
                    self.look(true);
                    assert_eq!(self.selected(), before, "another order is no other row");
                }
            }
            Step::Mark => {
                let (here, meant) = (self.selected(), self.meant());
                self.press(" ");
                if let Some(id) = here.filter(|_| here == meant)
                    && !self.marked.remove(&id)
                {
                    self.marked.insert(id);
                }
            }
            Step::MarkOthers => {
                self.press("*");
                for id in self.listed() {
                    if !self.marked.remove(&id) {
                        self.marked.insert(id);
                    }
                }
            }
            Step::Leave if !self.long.state.sas.typed_filter().is_empty() => {
                self.press("esc");
                self.long.finish();
                self.look(true);
            }
            Step::Leave => {
                self.press("esc");
                self.marked.clear();
            }
            Step::Delete1 => self.delete(),
        }
    }

    fn delete(&mut self) {
        let (here, meant) = (self.selected(), self.meant());
        self.press("d");
        match self.long.state.layers.pop() {
            Some(Layer::Question(question)) => match question.deed {
                Deed::DeleteSa(id) => assert!(self.marked.is_empty() && here == Some(id) && meant == here, "{id}"),
                Deed::DeleteSas(ids, _) => assert_eq!(ids.iter().copied().collect::<HashSet<_>>(), self.marked),
                other => panic!("{other:?}"),
            },
            Some(other) => panic!("{other:?}"),
            None => assert!(self.marked.is_empty() && (here.is_none() || meant != here), "{here:?}, {meant:?}"),
        }
    }
}

fn a_key_is_about_what_was_seen(many: u32, steps: Vec<Step>) {
    let mut watched = Watched::new(many);
    for step in steps {
        // What was asked for is made to its end before a key is about a row; another test types ahead.
        if matches!(step, Step::Mark | Step::MarkOthers | Step::Delete1 | Step::Key(_)) {
            let is_asked = watched.long.state.sas.count_words() == "…";
            while watched.long.state.sas.count_words() == "…" {
                watched.long.event(Event::Spare);
            }
            if is_asked {
                watched.look(true);
            }
        }
        watched.take(&step);
        assert_eq!(*watched.long.state.sas.marked(), watched.marked);
        assert_eq!(watched.selected().is_none(), watched.listed().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_key_is_about_the_row_that_was_seen_in_a_short_list(steps in proptest::collection::vec(step(40), 1..80)) {
        a_key_is_about_what_was_seen(40, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_key_is_about_the_row_that_was_seen_in_a_long_list(steps in proptest::collection::vec(step(MANY), 1..80)) {
        a_key_is_about_what_was_seen(MANY, steps);
    }
}

#[test]
fn a_row_that_goes_under_the_cursor_takes_the_key_that_was_on_its_way() {
    let mut bench = article();
    bench.seconds(2);
    let first =
        |bench: &super::Bench| bench.state.sas.selected().and_then(|slot| bench.state.facts.sad.at(slot)).unwrap().id();
    for (key, does) in [("d", "Delete this SA?"), ("e", "Edit an SA"), (" ", "1 marked"), ("r", KEY_HEX)] {
        let id = first(&bench);
        let sa = bench.kernel.sa(&id).unwrap();
        bench.kernel.clone().delete_sa(&id).unwrap();
        bench.settle();
        bench.keys(key).sees("has just gone, this is another one: once more means it").misses(does);
        bench.kernel.put_sa(sa);
        bench.settle();
        bench.keys("g").seconds(2);
    }
    // Once more means it; and who waits has seen it.
    bench.kernel.clone().delete_sa(&first(&bench)).unwrap();
    bench.settle();
    bench.keys("dd").sees("Delete this SA?").keys("y").sees("SAs 2");
    // What was taken away here was meant to go: the next one may follow at once.
    bench.keys("d").sees("Delete this SA?").keys("n").seconds(2);
    bench.kernel.clone().delete_sa(&first(&bench)).unwrap();
    bench.settle();
    bench.seconds(1);
    bench.keys("d").sees("Delete this SA?").keys("n");
}

#[test]
fn what_is_read_whole_does_not_become_another_row() {
    let mut bench = article();
    bench.seconds(2);
    let id = bench.state.sas.selected().and_then(|slot| bench.state.facts.sad.at(slot)).unwrap().id();
    bench.keys("<enter>").misses("Dir Source").kernel.clone().delete_sa(&id).unwrap();
    bench.settle();
    bench.sees("what was read here has gone").sees("SAs 3").sees("Dir Source");
    // The key that would have closed it leaves neither the filter nor the program.
    bench.keys("q").sees("what was read here has gone by itself: once more means it").sees("SAs 3");
    assert!(!bench.asked.contains(&Command::Quit), "q was for what had closed by itself");
    bench.keys("q");
    assert_eq!(bench.asked.last(), Some(&Command::Quit));
}
