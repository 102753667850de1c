//! What can be done with the selected packet: go on from it, mark it, look at its layers.

use super::packets::{Named, layers};
use super::{Command, Layer, Screen, State};
use crate::console::action::Action;

impl State {
    pub(super) fn on_packet_action(&mut self, action: Action) {
        match action {
            Action::GoToSa => self.go_to_sa(),
            Action::GoToPolicy => self.go_to_policy(),
            Action::OnlyThisSa => self.only_this_sa(),
            Action::NextOfSa => self.go_along_sa(true),
            Action::PreviousOfSa => self.go_along_sa(false),
            Action::NextPacket => self.step_packets(true),
            Action::PreviousPacket => self.step_packets(false),
            Action::NextLayer => self.choose_layer(true),
            Action::PreviousLayer => self.choose_layer(false),
            Action::Mark => self.mark(),
            Action::NextMarked => self.go_to_marked(),
            _ => {}
        }
    }

    /// Shows the outermost SA of the selected packet that is still there.
    pub(super) fn go_to_sa(&mut self) {
        let row = self.packets.feed.selected().and_then(|number| self.packet_row(number));
        let named = row.into_iter().flat_map(|row| row.ipsec).find_map(|(_, named)| match named {
            Named::Sa(known) => self.facts.sad.slot(&known.id),
            _ => None,
        });
        match named {
            Some(slot) => {
                self.leave_packet_for(Screen::Sas);
                self.sas.select(slot);
            }
            None => self.warn("this packet names no SA that is there".to_owned()),
        }
    }

    /// Shows the policy that decided over the selected packet.
    pub(super) fn go_to_policy(&mut self) {
        let number = self.packets.feed.selected();
        let id = number.and_then(|number| self.packets.ring.get(number)).and_then(|seen| seen.evidence.policy());
        match id.and_then(|id| self.facts.spd.slot(id)) {
            Some(slot) => {
                self.leave_packet_for(Screen::Policies);
                self.policies.select(slot);
            }
            None => self.warn("no policy decided over this packet".to_owned()),
        }
    }

    /// Leaves the packets of the selected one's outermost SA alone in the list.
    pub(super) fn only_this_sa(&mut self) {
        let row = self.packets.feed.selected().and_then(|number| self.packet_row(number));
        match row.and_then(|row| row.ipsec.first().map(|(header, _)| header.spi)) {
            Some(spi) => drop(self.filter_packets(&format!("spi {spi:#}"))),
            None => self.warn("this packet has no SPI".to_owned()),
        }
    }

    /// Goes to another screen, from which a step back leads to the packet again.
    fn leave_packet_for(&mut self, screen: Screen) {
        self.layers.clear();
        self.packets.feed.follow(false);
        (self.screen, self.came_from_packet) = (screen, true);
        self.set_filter("");
    }

    /// Shows the packets of the selected SA.
    pub(super) fn go_to_packets(&mut self, commands: &mut Vec<Command>) {
        let Some(sa) = self.sas.selected().and_then(|slot| self.facts.sad.at(slot)) else {
            return;
        };
        let filter = format!("spi {:#} and dst {}", sa.spi, sa.destination);
        self.screen = Screen::Packets;
        self.begin_capture(commands);
        drop(self.filter_packets(&filter));
    }

    /// Selects another packet, which is to be seen from its beginning.
    fn select_packet(&mut self, number: u64) {
        self.packets.feed.select(number);
        if let Some(Layer::Whole { scroll }) = self.layers.last_mut() {
            *scroll = None;
        }
    }

    fn step_packets(&mut self, forward: bool) {
        let next = self.packets.feed.beyond(forward).next();
        match next {
            Some(number) => self.select_packet(number),
            None => self.note(format!("this is the {} packet of the list", if forward { "newest" } else { "oldest" })),
        }
    }

    /// Goes to the next or last packet whose outermost SA is this one's.
    fn go_along_sa(&mut self, forward: bool) {
        let sa_of = |number| {
            let row = self.packet_row(number)?;
            row.ipsec.first().map(|(header, _)| (header.protocol, header.spi, header.destination))
        };
        let Some(sa) = self.packets.feed.selected().and_then(sa_of) else {
            self.warn("this packet has no SPI".to_owned());
            return;
        };
        let found = self.packets.feed.beyond(forward).find(|number| sa_of(*number) == Some(sa));
        if let Some(number) = found {
            self.select_packet(number);
        } else {
            let (protocol, spi, destination) = sa;
            let side = if forward { "newer" } else { "older" };
            self.note(format!("no {side} packet of {protocol} {spi} to {destination} in the list"));
        }
    }

    /// Chooses the next layer or the one before; behind the last one none is chosen.
    fn choose_layer(&mut self, forward: bool) {
        let count = self.layer_count();
        self.packets.chosen_layer = match (self.chosen_layer(), forward) {
            (None, true) => Some(0),
            (None, false) => count.checked_sub(1),
            (Some(chosen), true) => Some(chosen + 1).filter(|next| *next < count),
            (Some(chosen), false) => chosen.checked_sub(1),
        };
        if let Some(Layer::Whole { scroll }) = self.layers.last_mut() {
            *scroll = None;
        }
    }

    /// The layer whose bytes are marked, if the selected packet has as many.
    pub(super) fn chosen_layer(&self) -> Option<usize> {
        self.packets.chosen_layer.filter(|chosen| *chosen < self.layer_count())
    }

    fn layer_count(&self) -> usize {
        let row = self.packets.feed.selected().and_then(|number| self.packet_row(number));
        row.map_or(0, |row| layers(&row.dissection, &self.look_into(&row)).count())
    }

    fn mark(&mut self) {
        if let Some(number) = self.packets.feed.selected()
            && !self.packets.marked.remove(&number)
        {
            self.packets.marked.insert(number);
        }
    }

    /// Goes to the next marked packet of the list; behind the last one comes the first.
    fn go_to_marked(&mut self) {
        let feed = &self.packets.feed;
        let is_marked = |number: &u64| self.packets.marked.contains(number);
        let here = feed.selected().map_or(0, |number| number + 1);
        let marked = feed.from(here).chain(feed.from(0)).find(is_marked);
        match marked {
            Some(number) => self.select_packet(number),
            None => self.note("no packet of the list is marked: m marks one".to_owned()),
        }
    }
}
