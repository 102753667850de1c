//! What can be done with the selected packet: go on from it, mark it, look at its layers.

use super::line::Purpose;
use super::packets::{Named, PacketRow, Packets, has_text, layers};
use super::{Choice, ChoiceOf, Command, Layer, Screen, State};
use crate::console::action::Action;
use crate::console::columns::packet::algorithms;
use crate::evidence::Known;
use crate::model::SaId;
use crate::packet::{self, Header};

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
            Action::Search => self.open_line(Purpose::Search, self.packets.sought.clone().unwrap_or_default().as_str()),
            Action::NextMatch => self.go_to_match(true),
            Action::PreviousMatch => self.go_to_match(false),
            Action::Mark => self.mark(),
            Action::NextMarked => self.go_to_marked(),
            _ => {}
        }
    }

    /// Shows the SA of the chosen layer or, where none is chosen, the one that the user takes of those that there are.
    fn go_to_sa(&mut self) {
        let Some(row) = self.packets.feed.selected().and_then(|number| self.packet_row(number)) else {
            return;
        };
        let named = self.named_sas(&row);
        let chosen = self.chosen_layer().filter(|_| self.sees_packet_whole());
        // Behind a header all layers up to the next one are its SA's.
        let of_layer = chosen.and_then(|chosen| named.iter().rev().find(|(place, _)| *place <= chosen));
        if let Some((_, known)) = of_layer.or(named.first().filter(|_| named.len() == 1)) {
            let id = known.id;
            self.go_to_named(Some(&id));
        } else if named.is_empty() {
            self.warn("this packet names no SA that is there".to_owned());
        } else {
            let sas = named.iter().map(|(_, known)| known.id).collect();
            let options = named.iter().map(|(_, known)| (known.id.to_string(), algorithms(known))).collect();
            let (title, of) = ("Its SAs, the outermost first".to_owned(), ChoiceOf::Sa(sas));
            self.layers.push(Layer::Choice(Choice { of, title, options, cursor: 0 }));
        }
    }

    /// The SAs that a packet names and that are still there, outermost first, also those in what could be decrypted; each
    /// with the place of its layer, counted as [`layers`] does.
    fn named_sas<'a>(&'a self, row: &PacketRow<'a>) -> Vec<(usize, &'a Known)> {
        let looked = self.look_into(row);
        let is_header =
            |layer: &packet::Layer| matches!(layer.header, Header::Ah(_) | Header::Esp(_) | Header::IpComp(_));
        let places = layers(&row.dissection, &looked).enumerate().filter(|(_, (_, layer))| is_header(layer));
        let on_wire = row.dissection.ipsec().enumerate().map(|(at, _)| match row.ipsec.get(at) {
            Some((_, Named::Sa(known))) => Some(*known),
            Some((_, Named::Forgotten | Named::None)) | None => None,
        });
        let memory = &self.packets.judge.memory;
        let inside = looked.insides.iter().flat_map(|inside| {
            let ends = (inside.header.source, inside.header.destination);
            inside.dissection.ipsec_between(Some(ends)).map(|header| memory.of_header(&header, row.frame.at_ns))
        });
        let named = places.zip(on_wire.chain(inside)).filter_map(|((place, _), known)| Some((place, known?)));
        named.filter(|(_, known)| self.facts.sad.slot(&known.id).is_some()).collect()
    }

    /// Shows an SA that a packet names.
    pub(super) fn go_to_named(&mut self, id: Option<&SaId>) {
        match id.and_then(|id| self.facts.sad.slot(id)) {
            Some(slot) => {
                self.leave_packet_for(Screen::Sas);
                self.sas.select(slot);
            }
            None => self.warn("this SA is gone by now".to_owned()),
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
        match row.and_then(|row| row.ipsec.first().map(|(header, _)| (header.spi, header.destination))) {
            Some((spi, destination)) => drop(self.filter_packets(&format!("spi {spi:#} and dst {destination}"))),
            None => self.warn("this packet has no SPI".to_owned()),
        }
    }

    /// Goes to another screen, from which a step back leads to the packet again.
    fn leave_packet_for(&mut self, screen: Screen) {
        self.layers.clear();
        self.packets.feed.follow(false);
        (self.screen, self.came_from_packet) = (screen, true);
        self.set_filter("");
        self.finish_what_was_asked();
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

    /// Marks a text wherever it stands, and goes to the first packet with it from the selected one on, or else to the last
    /// one before: who follows the newest has nothing before him.
    pub(super) fn search(&mut self, text: &str) {
        self.packets.sought = Some(text.to_owned()).filter(|text| !text.is_empty());
        if self.packets.sought.is_none() {
            return;
        }
        let feed = &self.packets.feed;
        let selected = feed.selected();
        let mut nearest = selected.into_iter().chain(feed.beyond(true)).chain(feed.beyond(false));
        let found = nearest.find(|number| self.has_sought(*number));
        drop(nearest);
        match found {
            found @ Some(_) if found == selected => {}
            Some(number) => self.select_packet(number),
            None => self.note(format!("no packet of the list has {text:?}, neither on the wire nor decrypted")),
        }
    }

    fn go_to_match(&mut self, forward: bool) {
        let Some(text) = &self.packets.sought else {
            self.note("no text is looked for: t does that".to_owned());
            return;
        };
        let text = format!("{text:?}");
        let found = self.packets.feed.beyond(forward).find(|number| self.has_sought(*number));
        if let Some(number) = found {
            self.select_packet(number);
        } else {
            let side = if forward { "newer" } else { "older" };
            self.note(format!("no {side} packet of the list has {text}, neither on the wire nor decrypted"));
        }
    }

    /// Whether a packet has the text that is looked for, on the wire or decrypted.
    fn has_sought(&self, number: u64) -> bool {
        let Packets { sought: Some(text), ring, judge, .. } = &self.packets else {
            return false;
        };
        ring.get(number).is_some_and(|seen| {
            let dissection = judge.dissect(seen.frame.link, &seen.frame.bytes);
            has_text(text, seen, &dissection, judge)
        })
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
