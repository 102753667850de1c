//! Checks: is the traffic with a peer encrypted? From the row that names the peer to the frame that proves the answer.

use std::net::IpAddr;

use super::packets::{Seen, sight};
use super::{Command, Layer, Screen, State};
use crate::capture::{PROBE_TEXT, ProbeEnds};
use crate::console::form::Form;
use crate::console::form::check::{CheckPlan, PLAN, set_traffic};
use crate::evidence::check::{Check, Proof, Traffic};
use crate::model::spd::matching_order;
use crate::model::{Mode, Policy, PolicyDirection, Sa, SaDirection, Selector, Spd};
use crate::packet::{Endpoint, Summary};

/// How long the other parts of a packet are waited for at the end.
const GRACE_MS: u64 = 1000;

/// A check that runs, or has ended.
#[derive(Clone, Debug)]
pub struct Checking {
    /// What it looks at.
    pub plan: CheckPlan,
    /// What was found so far.
    pub check: Check,
    /// Until when frames are taken in, in uptime milliseconds.
    pub until_ms: u64,
    /// Whether that is over.
    pub is_over: bool,
    /// The first of the frames that prove the most, and what it proves.
    pub sample: Option<(Proof, Seen)>,
    /// Why nothing could be sent to the peer.
    pub trouble: Option<String>,
    /// Lines above the window.
    pub scroll: usize,
}

impl Checking {
    /// What is looked for, and sent if something is sent.
    pub fn text(&self) -> Option<&str> {
        self.plan.text.as_deref().or(self.plan.probe.map(|_| PROBE_TEXT))
    }

    /// Whether frames are taken in. When its time is over, only parts of packets are waited for.
    fn is_watching(&self, now_ms: u64) -> bool {
        let grace = if self.check.waits_for_parts() { GRACE_MS } else { 0 };
        !self.is_over && now_ms < self.until_ms + grace
    }
}

impl State {
    /// Asks what to look at, filled in with what the selected row says.
    pub(super) fn open_check(&mut self) {
        let traffic = match self.layers.last() {
            Some(Layer::Peers { selected }) => {
                let peers = self.packets.judge.totals.peers();
                selected.or(peers.first().map(|(peer, _)| *peer)).map(Traffic::with)
            }
            _ => self.selected_traffic(),
        };
        let mut form = self.checked.as_ref().map_or_else(|| Form::new(&PLAN), CheckPlan::form);
        set_traffic(&mut form, traffic);
        if traffic.is_some() {
            form.focus_on_button();
        }
        self.layers.push(Layer::Form(Box::new(form)));
    }

    /// Watches somebody's traffic.
    pub(super) fn begin_check(&mut self, plan: CheckPlan, commands: &mut Vec<Command>) {
        if self.packets.only.take().is_some() {
            // What is not captured cannot be found in clear.
            self.capture_again(commands);
            self.note("all packets are captured again: a check must see them".to_owned());
        } else {
            self.begin_capture(commands);
        }
        let until_ms = self.facts.now.uptime_ms + plan.seconds.saturating_mul(1000);
        let (traffic, check) = (plan.traffic, Check::new(plan.traffic, None));
        let mut checking = Checking { plan, check, until_ms, is_over: false, sample: None, trouble: None, scroll: 0 };
        checking.check = Check::new(traffic, checking.text()).since(self.facts.now.unix_ns());
        self.checked = Some(checking.plan.clone());
        self.layers.push(Layer::Check(Box::new(checking)));
        self.send_probe(commands);
    }

    /// The check that runs or has ended, also if something else is shown above it.
    fn checking(&mut self) -> Option<&mut Checking> {
        self.layers.iter_mut().rev().find_map(|layer| match layer {
            Layer::Check(checking) => Some(&mut **checking),
            _ => None,
        })
    }

    /// Once a second, while a check runs that sends something.
    pub(super) fn send_probe(&mut self, commands: &mut Vec<Command>) {
        let now_ms = self.facts.now.uptime_ms;
        let addresses = self.facts.addresses.clone();
        if let Some(checking) = self.checking()
            && now_ms < checking.until_ms
            && checking.trouble.is_none()
            && let Some((probe, host)) = checking.plan.probe
        {
            let text = checking.text().unwrap_or_default().to_owned();
            match ProbeEnds::choose(host, checking.plan.traffic.own, addresses) {
                Ok(ends) => commands.push(Command::Probe { ends, probe, text }),
                Err(reason) => checking.trouble = Some(reason),
            }
        }
    }

    /// Once a second: ends a check whose time is over.
    pub(super) fn end_check(&mut self) {
        let now_ms = self.facts.now.uptime_ms;
        if let Some(checking) = self.checking()
            && !checking.is_over
            && !checking.is_watching(now_ms)
        {
            checking.is_over = true;
            checking.check.end();
        }
    }

    pub(super) fn on_probe_failed(&mut self, reason: String) {
        if let Some(checking) = self.checking() {
            checking.trouble = Some(reason);
        }
    }

    /// Tells a running check of frames that it will not be shown.
    pub(super) fn miss_in_check(&mut self, frames: u64) {
        let now_ms = self.facts.now.uptime_ms;
        if let Some(checking) = self.checking().filter(|checking| checking.is_watching(now_ms)) {
            checking.check.miss(frames);
        }
    }

    /// Shows a running check the frame that came last.
    pub(super) fn take_into_check(&mut self) {
        let now_ms = self.facts.now.uptime_ms;
        // Not by the help of `checking`: the packets are needed beside it.
        let checking = self.layers.iter_mut().rev().find_map(|layer| match layer {
            Layer::Check(checking) => Some(&mut **checking),
            _ => None,
        });
        let newest = self.packets.ring.next_number().saturating_sub(1);
        let Some((checking, seen)) =
            checking.filter(|checking| checking.is_watching(now_ms)).zip(self.packets.ring.get(newest))
        else {
            return;
        };
        let dissection = self.packets.judge.dissect(seen.frame.link, &seen.frame.bytes);
        let proof = checking.check.take(&self.packets.judge, sight(&seen.frame), &dissection, &seen.evidence);
        if let Some(proof) = proof
            && checking.sample.as_ref().is_none_or(|(before, _)| *before < proof)
        {
            checking.sample = Some((proof, seen.clone()));
        }
    }

    /// The traffic that the selected row is about.
    fn selected_traffic(&mut self) -> Option<Traffic> {
        let far = |source: IpAddr, destination: IpAddr| {
            if self.facts.addresses.contains(&destination) { source } else { destination }
        };
        match self.screen {
            Screen::Sas => {
                let sa = self.facts.sad.at(self.sas.selected()?)?;
                let host = Traffic::with(far(sa.source, sa.destination));
                if sa.mode != Mode::Tunnel {
                    return Some(host);
                }
                let carried = carried(sa, &self.facts.spd);
                let by_itself = || between(&sa.selector, self.facts.direction_of(sa) == Some(SaDirection::Out));
                let traffic = carried.first().copied().or_else(by_itself).unwrap_or(host);
                if carried.iter().any(|other| *other != traffic) {
                    self.note("several policies use this SA: this is what the first of them is about".to_owned());
                }
                Some(traffic)
            }
            Screen::Policies => self.traffic_of(self.facts.spd.at(self.policies.selected()?)?),
            Screen::Packets => match self.packet_row(self.packets.feed.selected()?)?.summary {
                Summary {
                    source: Some(Endpoint::Ip(source)), destination: Some(Endpoint::Ip(destination)), ..
                } => Some(Traffic::with(far(source, destination))),
                _ => None,
            },
            Screen::Events => None,
        }
    }

    /// Of a tunnel's policy what is behind its ends, and if that may be anybody the far end; or else the far host that it
    /// is about. Of a network without a tunnel, the host there that was seen and matters most.
    fn traffic_of(&self, policy: &Policy) -> Option<Traffic> {
        let is_out = policy.direction == PolicyDirection::Out;
        if let Some(tunnel) = policy.templates.iter().find(|template| !template.destination.is_unspecified()) {
            let end = if is_out { tunnel.destination } else { tunnel.source };
            let behind = Some(&policy.selector).filter(|_| tunnel.mode == Mode::Tunnel);
            return Some(behind.and_then(|s| between(s, is_out)).unwrap_or(Traffic::with(end)));
        }
        let far = if is_out { policy.selector.destination } else { policy.selector.source };
        if far.is_host() {
            return Some(Traffic::with(far.address));
        }
        let peers = self.packets.judge.totals.peers();
        peers.into_iter().map(|(peer, _)| peer).find(|peer| far.contains(*peer)).map(Traffic::with)
    }
}

/// What goes through a tunnel's SA, as the policies say it that use it, the first first.
fn carried(sa: &Sa, spd: &Spd) -> Vec<Traffic> {
    let uses = |policy: &&Policy| {
        !policy.is_of_socket() && policy.templates.iter().any(|template| template.is_answered_by(sa))
    };
    let mut asked: Vec<&Policy> = spd.iter().map(|(_, policy)| policy).filter(uses).collect();
    asked.sort_by(|a, b| matching_order(a, b));
    asked.iter().filter_map(|policy| between(&policy.selector, policy.direction == PolicyDirection::Out)).collect()
}

/// The traffic of a selector; none if it is about anybody with anybody.
fn between(selector: &Selector, is_out: bool) -> Option<Traffic> {
    let (own, far) =
        if is_out { (selector.source, selector.destination) } else { (selector.destination, selector.source) };
    match (own.is_any(), far.is_any()) {
        (true, true) => None,
        (true, false) => Some(Traffic { far, own: None }),
        (false, _) => Some(Traffic { far, own: Some(own) }),
    }
}
