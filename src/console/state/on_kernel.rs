//! What the kernel says: snapshots, events, counters, outcomes.

use std::net::IpAddr;

use super::table::Reason;
use super::{
    Command, Facts, KernelEvent, Layer, Origin, Outcome, Polled, Sa, SaColumn, SaId, Slot, Snapshot, State, Weight,
};
use crate::capture::Interface;
use crate::console::columns::Columns;
use crate::console::columns::policy::templates;
use crate::console::command::Change;
use crate::evidence::Interfaces;
use crate::kernel::{KernelError, Operation, Support};
use crate::model::event::Migration;
use crate::model::text::counted;
use crate::model::{Counts, Policy, PolicyDefaults, PolicyId, RowFilter, XfrmStatistics};

/// How an SA went.
#[derive(Clone, Copy)]
enum Went {
    Deleted,
    /// It met its hard limit.
    Expired,
}

impl State {
    pub(super) fn on_snapshot(&mut self, snapshot: Snapshot) {
        let again = std::mem::replace(&mut self.facts.read_once, true);
        let selected = (self.selected_sa().map(Sa::id), self.selected_policy().map(Policy::id));
        let count = snapshot.policies.len();
        self.facts.sad = snapshot.sas.into();
        self.facts.spd = snapshot.policies.into();
        self.facts.defaults = snapshot.defaults.or(self.facts.defaults);
        self.facts.ties = snapshot.ties;
        (self.facts.synced, self.facts.silent) = (true, None);
        let Facts { sad, rates, now, .. } = &mut self.facts;
        rates.begin(sad.end());
        for (slot, sa) in sad.iter() {
            rates.read(slot, sa.used, now.uptime_ms);
        }
        let now_ns = self.facts.now.unix_ns();
        self.packets.judge.memory.replace(self.facts.sad.iter().map(|(_, sa)| sa), now_ns);
        self.packets.policies_changed = true;
        self.sas.retain_marks(|id| self.facts.sad.slot(id).is_some());
        self.policies.retain_marks(|id| self.facts.spd.slot(id).is_some());
        self.sas.forget_rows();
        self.policies.forget_rows();
        self.rebuild_sas(Reason::Asked);
        self.rebuild_policies(Reason::Asked);
        self.finish_what_was_asked();
        // Its slot may be another one's now.
        if let Some(slot) = selected.0.and_then(|id| self.facts.sad.slot(&id)) {
            self.sas.select(slot);
        }
        if let Some(slot) = selected.1.and_then(|id| self.facts.spd.slot(&id)) {
            self.policies.select(slot);
        }
        let (sas, policies) = (self.facts.sad.len(), self.facts.spd.len());
        let word = if again { "read again" } else { "read" };
        self.tell(Origin::Kernel, Weight::Note, format!("{word}: {sas} SAs, {policies} policies"));
        let hidden = count.saturating_sub(policies);
        if hidden > 0 {
            let which = counted(hidden, "policy that differs", "policies that differ");
            let words =
                format!("not listed: {which} from another one in the security label alone; espial policy has all");
            self.tell(Origin::Console, Weight::Warning, words);
        }
    }

    pub(super) fn on_silence(&mut self, error: &KernelError) {
        let text = error.to_string();
        if !self.facts.read_once {
            self.packets.judge.memory.set_unreadable();
        }
        // Several questions fail for the same reason; the first one that said so is enough.
        if self.facts.silent.is_none() {
            self.tell(Origin::Kernel, Weight::Alarm, text.clone());
            self.facts.silent = Some(text);
        }
    }

    /// What the kernel says, in its order. SAs that go in a row go as one: each of them alone would look through the whole
    /// table.
    pub(super) fn on_kernel_events(&mut self, events: Vec<KernelEvent>) {
        let mut gone = Vec::new();
        for event in events {
            match event {
                KernelEvent::SaDeleted(id) => gone.push((id, Went::Deleted)),
                KernelEvent::SaExpired { sa, hard: true } => gone.push((sa.id(), Went::Expired)),
                other => {
                    self.take_sas(&std::mem::take(&mut gone));
                    self.on_kernel(other);
                }
            }
        }
        self.take_sas(&gone);
    }

    fn take_sas(&mut self, gone: &[(SaId, Went)]) {
        let mut slots = Vec::with_capacity(gone.len());
        for (id, how) in gone {
            if let Some((slot, _)) = self.facts.sad.remove(id) {
                self.forget_sa(slot, id);
                if self.sas.selected() == Some(slot) {
                    // Made anew, it is the one that keys go to again.
                    self.wanted_sa = Some(*id);
                }
                slots.push(slot);
            }
            match how {
                Went::Deleted => self.tell(Origin::Kernel, Weight::Note, format!("SA deleted: {id}")),
                Went::Expired => self.tell(Origin::Kernel, Weight::Warning, format!("SA expired and removed: {id}")),
            }
        }
        self.sas.remove_all(&slots);
    }

    fn on_kernel(&mut self, event: KernelEvent) {
        use KernelEvent as E;
        let (weight, text) = match event {
            E::SaAdded(sa) => {
                let text = format!("SA added: {}", sa_words(&sa));
                self.put_sa(*sa);
                (Weight::Note, text)
            }
            E::SaUpdated(sa) => {
                let text = format!("SA updated: {}", sa_words(&sa));
                self.put_sa(*sa);
                (Weight::Note, text)
            }
            E::SaDeleted(id) => return self.take_sas(&[(id, Went::Deleted)]),
            E::SaExpired { sa, hard: true } => return self.take_sas(&[(sa.id(), Went::Expired)]),
            E::SaExpired { sa, hard: false } => {
                (Weight::Note, format!("SA at its soft limit, renewal is due: {}", sa.id()))
            }
            E::SasFlushed(protocol) => {
                let gone = self.facts.sad.flush(protocol);
                for (slot, sa) in &gone {
                    self.forget_sa(*slot, &sa.id());
                }
                let slots: Vec<Slot> = gone.iter().map(|(slot, _)| *slot).collect();
                self.sas.remove_all(&slots);
                (Weight::Warning, format!("SAs flushed ({protocol}): {} went", gone.len()))
            }
            E::PolicyAdded(policy) => {
                let text = format!("policy added: {}", policy_words(&policy));
                self.put_policy(*policy);
                (Weight::Note, text)
            }
            E::PolicyUpdated(policy) => {
                let text = format!("policy updated: {}", policy_words(&policy));
                self.put_policy(*policy);
                (Weight::Note, text)
            }
            E::PolicyDeleted(id) => {
                self.take_policy(&id);
                (Weight::Note, format!("policy deleted: {id}"))
            }
            E::PolicyExpired { policy, hard: true } => {
                self.take_policy(&policy.id());
                (Weight::Warning, format!("policy expired and removed: {}", policy.id()))
            }
            E::PolicyExpired { policy, hard: false } => {
                (Weight::Note, format!("policy at its soft limit: {}", policy.id()))
            }
            E::PoliciesFlushed(kind) => {
                let gone = self.facts.spd.flush(kind);
                self.policies.retain_marks(|id| self.facts.spd.slot(id).is_some());
                let slots: Vec<Slot> = gone.iter().map(|(slot, _)| *slot).collect();
                self.policies.remove_all(&slots);
                self.packets.policies_changed = true;
                (Weight::Warning, format!("policies flushed ({kind}): {} went", gone.len()))
            }
            other => self.on_rare(other),
        };
        self.tell(Origin::Kernel, weight, text);
    }

    fn on_rare(&mut self, event: KernelEvent) -> (Weight, String) {
        use KernelEvent as E;
        match event {
            E::DefaultsChanged(defaults) => {
                self.facts.defaults = Some(defaults);
                self.packets.policies_changed = true;
                (Weight::Warning, format!("packets without a policy are now: {}", defaults_words(defaults)))
            }
            E::Acquire { selector, source, destination, protocol } => {
                let text = format!("a packet ({selector}) waits for an {protocol} SA from {source} to {destination}");
                (Weight::Warning, text)
            }
            E::Mapping { id, old, new, .. } => {
                let text = format!(
                    "the peer of SA {id} moved from {} port {} to {} port {} (NAT)",
                    old.0, old.1, new.0, new.1
                );
                (Weight::Warning, text)
            }
            E::Report { protocol, selector } => {
                (Weight::Warning, format!("a packet lacked {protocol} (Mobile IPv6): {selector}"))
            }
            E::Migrated(migration) => (Weight::Note, migrated_words(&migration)),
            E::Lost => {
                self.facts.synced = false;
                (Weight::Warning, "kernel events were lost; everything is read again".to_owned())
            }
            E::Unreadable { message_type, reason } => {
                (Weight::Warning, format!("a kernel message of type {message_type:#x} cannot be read: {reason}"))
            }
            E::Replay(progress) => (Weight::Note, format!("sequence numbers moved on: SA {}", progress.id)),
            _ => (Weight::Note, "an event without words".to_owned()),
        }
    }

    fn put_sa(&mut self, sa: Sa) {
        let id = sa.id();
        let known = self.facts.sad.slot(&id);
        self.packets.learn(&sa, self.facts.now.unix_ns(), &self.facts.interfaces);
        let slot = self.facts.sad.insert(sa);
        if known.is_some() {
            // Its place in the order may be another one now; keys go to it all the same.
            if self.sas.selected() == Some(slot) {
                self.wanted_sa = Some(id);
            }
            self.sas.remove(slot);
        }
        self.facts.rates.forget(slot);
        self.sas.insert(slot, &self.facts);
        self.select_wanted();
    }

    /// Selects what was just added here, once it is there.
    fn select_wanted(&mut self) {
        if let Some(slot) = self.wanted_sa.and_then(|id| self.facts.sad.slot(&id)) {
            self.wanted_sa = None;
            self.sas.select(slot);
        }
        if let Some(slot) = self.wanted_policy.and_then(|id| self.facts.spd.slot(&id)) {
            self.wanted_policy = None;
            self.policies.select(slot);
        }
    }

    /// Forgets what was known of an SA beside the SAD and the table.
    fn forget_sa(&mut self, slot: Slot, id: &SaId) {
        self.packets.judge.memory.forget(id, self.facts.now.unix_ns());
        self.sas.unmark(id);
        self.facts.rates.forget(slot);
    }

    fn put_policy(&mut self, policy: Policy) {
        self.packets.policies_changed = true;
        let id = policy.id();
        let known = self.facts.spd.slot(&id);
        let slot = self.facts.spd.insert(policy);
        if known.is_some() {
            if self.policies.selected() == Some(slot) {
                self.wanted_policy = Some(id);
            }
            self.policies.remove(slot);
        }
        self.policies.insert(slot, &self.facts);
        self.select_wanted();
    }

    fn take_policy(&mut self, id: &PolicyId) {
        self.packets.policies_changed = true;
        if let Some((slot, _)) = self.facts.spd.remove(id) {
            if self.policies.selected() == Some(slot) {
                self.wanted_policy = Some(*id);
            }
            self.policies.remove(slot);
            self.policies.unmark(id);
        }
    }

    pub(super) fn on_polled(&mut self, polled: Polled, commands: &mut Vec<Command>) {
        for sa in polled.sas {
            let Some(slot) = self.facts.sad.slot(&sa.id()) else {
                continue;
            };
            self.facts.rates.read(slot, sa.used, self.facts.now.uptime_ms);
            self.packets.judge.memory.count(&sa, self.facts.now.unix_ns());
            if let Some(known) = self.facts.sad.at_mut(slot) {
                // The counters alone: whether the SA is there is for events to say.
                (known.used, known.errors, known.replay) = (sa.used, sa.errors, sa.replay);
                known.last_used_at = sa.last_used_at;
            }
        }
        for policy in polled.policies {
            let slot = self.facts.spd.slot(&policy.id());
            if let Some(known) = slot.and_then(|slot| self.facts.spd.at_mut(slot)) {
                known.used = policy.used;
            }
        }
        let addresses = polled.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied());
        self.facts.addresses = addresses.collect();
        self.packets.judge.addresses = polled.interfaces.iter().flat_map(Interface::own).collect();
        self.packets.judge.tunnel_interfaces =
            polled.interfaces.iter().filter_map(|interface| Some((interface.index, interface.tunnel?))).collect();
        self.packets.judge.interfaces = Interfaces::new(polled.interfaces.iter().map(Interface::for_policies));
        self.facts.interfaces = polled.interfaces;
        if let Some(statistics) = polled.statistics {
            self.on_statistics(statistics);
        }
        match polled.counts {
            Ok(counts) => self.compare(counts, commands),
            Err(error) => self.on_silence(&error),
        }
        let (column, _) = self.sas.sorting();
        let is_live = column.about().is_live || column == SaColumn::Direction;
        if is_live || self.sas.filter().is_some_and(RowFilter::is_live) {
            self.rebuild_sas(Reason::Live);
        }
        let (column, _) = self.policies.sorting();
        if column.about().is_live || self.policies.filter().is_some_and(RowFilter::is_live) {
            self.rebuild_policies(Reason::Live);
        }
    }

    fn on_statistics(&mut self, statistics: XfrmStatistics) {
        // The first reading is the past of the namespace, not news.
        if self.facts.statistics.iter().next().is_some() {
            let say = |(name, by): (&str, u64)| match XfrmStatistics::meaning(name) {
                Some(meaning) => format!("{name} +{by} ({meaning})"),
                None => format!("{name} +{by}"),
            };
            let news: Vec<String> = statistics.grown_since(&self.facts.statistics).map(say).collect();
            if !news.is_empty() {
                self.tell_again(Origin::Counter, Weight::Warning, "packets lost", &news.join(", "));
            }
        }
        self.facts.statistics = statistics;
    }

    /// SAs that reserve an SPI come without an event, and other things may go wrong: the kernel's own counts tell.
    /// They may run ahead of events for a moment, so only a difference that stays is one.
    fn compare(&mut self, counts: Counts, commands: &mut Vec<Command>) {
        if !self.facts.synced {
            return;
        }
        let policies = [counts.policies_in, counts.policies_out, counts.policies_forward, counts.policies_of_sockets];
        let policies: u64 = policies.into_iter().map(u64::from).sum();
        let same = u64::from(counts.sas) == self.facts.sad.len() as u64 && policies == self.facts.spd.len() as u64;
        // The same difference twice, and not one that reading everything again has not cured.
        let difference = (!same).then_some(counts);
        let stays = difference.is_some() && difference == self.difference && difference != self.not_cured;
        self.difference = difference;
        if stays {
            self.not_cured = difference;
            commands.push(Command::Resync);
        }
    }

    pub(super) fn on_support(&mut self, support: Support) {
        if let Some(complaint) = support.complaint() {
            self.tell(Origin::Console, Weight::Warning, complaint.clone());
            self.setting.complaints.push(complaint);
        }
        self.facts.support = support;
    }

    pub(super) fn on_outcome(&mut self, outcome: &Outcome, commands: &mut Vec<Command>) {
        self.on_step(outcome, commands);
        self.acted_at = Some(self.facts.now.uptime_ms);
        let what = outcome.change.operation().to_string();
        if let Some(place) = self.waits.iter().position(|waits| *waits == what) {
            self.waits.remove(place);
        }
        match &outcome.result {
            Ok(done) => {
                let spi = done.spi.map(|spi| format!(": it is {spi} ({})", spi.0)).unwrap_or_default();
                let text = format!("{}{spi}", outcome.deed(""));
                self.tell(Origin::Console, Weight::Note, text.clone());
                let text = self.with_taken_back(outcome, text);
                self.note(text);
                match &*outcome.change {
                    Change::AddSa(spec) => self.wanted_sa = Some(spec.id()),
                    Change::ReplaceSa { spec, .. } => self.wanted_sa = Some(spec.id()),
                    Change::AddPolicy(spec) | Change::UpdatePolicy(spec) => self.wanted_policy = Some(spec.id()),
                    Change::ReplacePolicy { spec, .. } => self.wanted_policy = Some(spec.id()),
                    // No event tells of the SA that waits for its keys.
                    Change::AllocateSpi(_) => commands.push(Command::Resync),
                    Change::Exchange(half) => self.wanted_sa = half.sas.first().map(crate::model::SaSpec::id),
                    _ => {}
                }
                self.select_wanted();
                let answered = |layer: &Layer| matches!(layer, Layer::Form(form) if form.waits_for(&outcome.change));
                self.layers.retain(|layer| !answered(layer));
            }
            Err(error) => {
                let mut text = error.to_string();
                let is_many = matches!(&*outcome.change, Change::DeleteSas(_) | Change::DeletePolicies(_));
                if is_many && !matches!(error.operation, Operation::AddSa(_) | Operation::AddPolicy(_)) {
                    text = format!("nothing has been deleted: {text}");
                }
                self.tell(Origin::Console, Weight::Warning, format!("refused: {text}"));
                self.alarm(text);
                for layer in &mut self.layers {
                    if let Layer::Form(form) = layer
                        && form.waits_for(&outcome.change)
                    {
                        form.refused(error);
                    }
                }
            }
        }
    }
}

fn sa_words(sa: &Sa) -> String {
    let algorithms = &sa.algorithms;
    format!("{} from {}, {} {}", sa.id(), sa.source, algorithms.encryption_label(), algorithms.authentication_label())
}

fn policy_words(policy: &Policy) -> String {
    format!("{} {} {}", policy.id(), policy.verb(), templates(&policy.templates))
}

fn migrated_words(migration: &Migration) -> String {
    let ends = |(from, to): (IpAddr, IpAddr)| format!("{from} to {to}");
    let moves = migration.moves.iter().map(|one| format!("; {}: now {}", ends(one.from), ends(one.to)));
    format!("policy {} {} and its SAs moved{}", migration.direction, migration.selector, moves.collect::<String>())
}

/// `in accept, fwd accept, out block`
pub(crate) fn defaults_words(defaults: PolicyDefaults) -> String {
    format!("in {}, fwd {}, out {}", defaults.input, defaults.forward, defaults.output)
}
