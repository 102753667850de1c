//! Checks: is the traffic with a peer encrypted? From the row that names the peer to the frame that proves the answer.

use std::net::IpAddr;

use super::packets::{Seen, sight};
use super::{Command, Layer, Screen, State};
use crate::capture::PROBE_TEXT;
use crate::console::form::check::{CheckPlan, PLAN};
use crate::console::form::{FieldId, Form};
use crate::evidence::check::{Check, Proof};
use crate::model::{Policy, PolicyDirection};
use crate::packet::{Endpoint, Summary};

/// A check that runs, or has ended.
#[derive(Clone, Debug)]
pub struct Checking {
    /// What it looks at.
    pub plan: CheckPlan,
    /// What was found so far.
    pub check: Check,
    /// Until when frames are taken in, in uptime milliseconds.
    pub until_ms: u64,
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
}

impl State {
    /// Asks what to look at, filled in with what the selected row says.
    pub(super) fn open_check(&mut self) {
        let peer = match self.layers.last() {
            Some(Layer::Peers { selected }) => {
                let peers = self.packets.judge.totals.peers();
                selected.or(peers.first().map(|(peer, _)| *peer))
            }
            _ => self.selected_peer(),
        };
        let mut form = self.checked.as_ref().map_or_else(|| Form::new(&PLAN), CheckPlan::form);
        form.set(FieldId::Destination, &peer.map_or_else(String::new, |peer| peer.to_string()));
        if peer.is_some() {
            form.focus_on_button();
        }
        self.layers.push(Layer::Form(Box::new(form)));
    }

    /// Watches the traffic with a peer.
    pub(super) fn begin_check(&mut self, plan: CheckPlan, commands: &mut Vec<Command>) {
        if self.packets.only.take().is_some() {
            // What is not captured cannot be found in clear.
            self.capture_again(commands);
            self.note("all packets are captured again: a check must see them".to_owned());
        } else {
            self.begin_capture(commands);
        }
        let until_ms = self.facts.now.uptime_ms + plan.seconds.saturating_mul(1000);
        let mut checking =
            Checking { check: Check::new(plan.peer, None), plan, until_ms, sample: None, trouble: None, scroll: 0 };
        checking.check = Check::new(checking.plan.peer, checking.text());
        self.checked = Some(checking.plan.clone());
        self.layers.push(Layer::Check(Box::new(checking)));
        self.send_probe(commands);
    }

    /// Once a second, while a check runs that sends something.
    pub(super) fn send_probe(&mut self, commands: &mut Vec<Command>) {
        let now_ms = self.facts.now.uptime_ms;
        if let Some(Layer::Check(checking)) = self.layers.last()
            && now_ms < checking.until_ms
            && checking.trouble.is_none()
            && let Some(probe) = checking.plan.probe
        {
            let text = checking.text().unwrap_or_default().to_owned();
            commands.push(Command::Probe { peer: checking.plan.peer, probe, text });
        }
    }

    pub(super) fn on_probe_failed(&mut self, reason: String) {
        if let Some(Layer::Check(checking)) = self.layers.last_mut() {
            checking.trouble = Some(reason);
        }
    }

    /// Shows a running check the frame that came last.
    pub(super) fn take_into_check(&mut self) {
        let now_ms = self.facts.now.uptime_ms;
        let Some(Layer::Check(checking)) = self.layers.last_mut() else {
            return;
        };
        let newest = self.packets.ring.next_number().saturating_sub(1);
        let Some(seen) = self.packets.ring.get(newest).filter(|_| now_ms < checking.until_ms) else {
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

    /// The end that is not this host, of what is selected.
    fn selected_peer(&self) -> Option<IpAddr> {
        let far = |source: IpAddr, destination: IpAddr| {
            if self.facts.addresses.contains(&destination) { source } else { destination }
        };
        match self.screen {
            Screen::Sas => {
                let sa = self.facts.sad.at(self.sas.selected()?)?;
                Some(far(sa.source, sa.destination))
            }
            Screen::Policies => self.peer_of(self.facts.spd.at(self.policies.selected()?)?),
            Screen::Packets => match self.packet_row(self.packets.feed.selected()?)?.summary {
                Summary {
                    source: Some(Endpoint::Ip(source)), destination: Some(Endpoint::Ip(destination)), ..
                } => Some(far(source, destination)),
                _ => None,
            },
            Screen::Events => None,
        }
    }

    /// The far end of a policy's tunnel, or the far host that it is about. Of a network, the host there that was seen and
    /// matters most.
    fn peer_of(&self, policy: &Policy) -> Option<IpAddr> {
        let is_out = policy.direction == PolicyDirection::Out;
        if let Some(tunnel) = policy.templates.iter().find(|template| !template.destination.is_unspecified()) {
            return Some(if is_out { tunnel.destination } else { tunnel.source });
        }
        let far = if is_out { policy.selector.destination } else { policy.selector.source };
        if far.is_host() {
            return Some(far.address);
        }
        let peers = self.packets.judge.totals.peers();
        peers.into_iter().map(|(peer, _)| peer).find(|peer| far.contains(*peer))
    }
}
