//! The screen of packets: frames as they come, and the SAs that they name.

use super::feed::Feed;
use super::log::{Origin, Weight};
use super::ring::{Ring, Weighed};
use super::{Choice, Command, Layer, State};
use crate::capture::{Batch, Frame, Interface, LinkState};
use crate::console::event::CaptureNews;
use crate::model::{Sa, SaId, Sad};
use crate::packet::filter::Subject;
use crate::packet::{Dissection, Filter, IpsecHeader, Summary, dissect};

/// How many frames are kept.
const MOST_FRAMES: usize = 200_000;
/// How many bytes of frames are kept.
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// A frame with the SAs that it named when it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The frame.
    pub frame: Frame,
    /// For each of its IPsec headers, outermost first, the SA that the kernel had then.
    sas: Box<[Option<SaId>]>,
}

impl Weighed for Seen {
    fn cost(&self) -> usize {
        size_of::<Self>() + self.frame.bytes.len() + size_of_val(&*self.sas)
    }
}

/// What became of the SA that an IPsec header names.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// It is this one.
    Sa(&'a Sa),
    /// There was one when the frame came, and it is gone.
    Gone,
    /// There was none.
    None,
}

/// A frame, taken apart to be looked at.
#[derive(Clone, Debug)]
pub struct PacketRow<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// Its layers.
    pub dissection: Dissection,
    /// It in a line.
    pub summary: Summary,
    /// Its IPsec headers with their SAs, outermost first.
    pub ipsec: Vec<(IpsecHeader, Named<'a>)>,
    /// Its time of day.
    pub time: String,
}

/// Where frames come from, or why none do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CaptureState {
    /// Nobody has asked for frames yet.
    #[default]
    Idle,
    /// It is being begun.
    Starting,
    /// Frames come from this interface.
    Running(String),
    /// This interface is switched off or gone; frames come when it is back.
    Down(String),
    /// It cannot be, in a sentence.
    Failed(String),
}

/// Everything about the screen of packets.
#[derive(Debug)]
pub struct Packets {
    /// The frames.
    pub ring: Ring<Seen>,
    /// The list of those that pass the filter.
    pub feed: Feed,
    /// Where they come from.
    pub capture: CaptureState,
    /// How many frames came that could not be kept: dropped by the kernel, or on the way here.
    pub dropped: u64,
    /// While the list stands still: how many frames have passed unseen.
    pub frozen: Option<u64>,
    filter: Option<Filter>,
    /// Tells the capture that was asked for last from those before it.
    generation: u64,
    /// What `dropped` was when it was last told among the events.
    dropped_told: u64,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            ring: Ring::with_room(MOST_FRAMES, MOST_BYTES),
            feed: Feed::default(),
            capture: CaptureState::Idle,
            dropped: 0,
            frozen: None,
            filter: None,
            generation: 0,
            dropped_told: 0,
        }
    }
}

impl Packets {
    /// Sets the filter; the list changes only if it can be understood.
    pub(super) fn set_filter(&mut self, text: &str) -> Result<(), String> {
        self.filter = Filter::parse(text).map_err(|error| error.to_string())?;
        self.feed.set_filter(text);
        self.rebuild();
        Ok(())
    }

    fn rebuild(&mut self) {
        let Self { ring, feed, filter, .. } = self;
        let passing = ring.iter().filter(|(_, seen)| {
            let frame = &seen.frame;
            filter.as_ref().is_none_or(|filter| fits(filter, frame, &dissect(frame.link, &frame.bytes)))
        });
        let numbers: Vec<u64> = passing.map(|(number, _)| number).collect();
        feed.rebuild(numbers.into_iter());
    }

    fn take(&mut self, frame: Frame, sad: &Sad) {
        let dissection = dissect(frame.link, &frame.bytes);
        let passes = self.filter.as_ref().is_none_or(|filter| fits(filter, &frame, &dissection));
        let named = |header: IpsecHeader| sad.of_packet(header.destination, header.protocol, header.spi).map(Sa::id);
        let sas = dissection.ipsec().map(named).collect();
        let number = self.ring.next_number();
        self.ring.push(Seen { frame, sas });
        if passes {
            self.feed.push(number);
        }
    }

    fn clear(&mut self) {
        self.ring.clear();
        self.feed.forget_before(self.ring.forgotten());
        (self.dropped, self.dropped_told) = (0, 0);
        self.frozen = self.frozen.map(|_| 0);
    }
}

fn fits(filter: &Filter, frame: &Frame, dissection: &Dissection) -> bool {
    filter.fits(Subject { dissection, direction: frame.direction, length: frame.wire_length })
}

impl State {
    /// A frame, taken apart to be looked at.
    pub fn packet_row(&self, number: u64) -> Option<PacketRow<'_>> {
        let Seen { frame, sas } = self.packets.ring.get(number)?;
        let dissection = dissect(frame.link, &frame.bytes);
        let known = |id: &Option<SaId>| match id {
            Some(id) => self.facts.sad.get(id).map_or(Named::Gone, Named::Sa),
            None => Named::None,
        };
        let ipsec = dissection.ipsec().zip(sas.iter().map(known)).collect();
        let summary = Summary::of(&dissection);
        let time = self.clock.time_of_day_ms(frame.at_ns / 1_000_000);
        Some(PacketRow { frame, dissection, summary, ipsec, time })
    }

    /// Whether the packets' filter cannot be understood, and why; the list stays as it was then.
    pub(super) fn filter_packets(&mut self, text: &str) -> Option<String> {
        self.packets.set_filter(text).err()
    }

    /// Frames cost the host something, so they are taken from the moment on that somebody wants to see them.
    pub(super) fn begin_capture(&mut self, commands: &mut Vec<Command>) {
        if self.packets.capture == CaptureState::Idle {
            self.capture_on(self.setting.interface.clone(), commands);
        }
    }

    pub(super) fn capture_on(&mut self, interface: Option<String>, commands: &mut Vec<Command>) {
        self.packets.generation += 1;
        self.packets.capture = CaptureState::Starting;
        commands.push(Command::Capture { interface, generation: self.packets.generation });
    }

    pub(super) fn on_frames(&mut self, generation: u64, batch: Batch) {
        if generation != self.packets.generation {
            return;
        }
        self.packets.dropped += batch.dropped;
        let count = batch.frames.len() as u64;
        if let Some(unseen) = &mut self.packets.frozen {
            *unseen += count;
        } else {
            for frame in batch.frames {
                self.packets.take(frame, &self.facts.sad);
            }
            self.packets.feed.forget_before(self.packets.ring.forgotten());
        }
        match batch.link {
            Some(LinkState::Down) => self.on_link(false),
            Some(LinkState::Up) => self.on_link(true),
            None => {}
        }
    }

    fn on_link(&mut self, is_up: bool) {
        let (CaptureState::Running(name) | CaptureState::Down(name)) = &self.packets.capture else {
            return;
        };
        let name = name.clone();
        let (weight, words) = if is_up {
            (Weight::Note, format!("interface {name} is back"))
        } else {
            (Weight::Warning, format!("interface {name} is down or gone: no packets until it is back"))
        };
        self.tell(Origin::Capture, weight, words);
        self.packets.capture = if is_up { CaptureState::Running(name) } else { CaptureState::Down(name) };
    }

    pub(super) fn on_capture_news(&mut self, generation: u64, news: CaptureNews) {
        if generation != self.packets.generation {
            return;
        }
        self.packets.capture = match news {
            CaptureNews::Started(name) => {
                self.tell(Origin::Capture, Weight::Note, format!("packets are taken from {name}"));
                CaptureState::Running(name)
            }
            CaptureNews::Failed(reason) => {
                self.tell(Origin::Capture, Weight::Warning, reason.clone());
                CaptureState::Failed(reason)
            }
        };
    }

    /// Once a second: what was dropped is said among the events, too.
    pub(super) fn tell_dropped_frames(&mut self) {
        let news = self.packets.dropped.saturating_sub(self.packets.dropped_told);
        self.packets.dropped_told = self.packets.dropped;
        if news > 0 {
            let text = format!("{news} frames came too fast and were dropped by the capture (not by the network)");
            self.tell(Origin::Capture, Weight::Warning, text);
        }
    }

    pub(super) fn freeze(&mut self) {
        self.packets.frozen = match self.packets.frozen {
            Some(_) => None,
            None => Some(0),
        };
    }

    pub(super) fn forget_packets(&mut self) {
        self.packets.clear();
        self.note("packets forgotten".to_owned());
    }

    pub(super) fn choose_interface(&mut self) {
        let interfaces = &self.facts.interfaces;
        if interfaces.is_empty() {
            self.warn("no interface is known yet".to_owned());
            return;
        }
        let running = match &self.packets.capture {
            CaptureState::Running(name) | CaptureState::Down(name) => Some(name),
            _ => None,
        };
        let cursor = interfaces.iter().position(|interface| Some(&interface.name) == running).unwrap_or(0);
        let options = interfaces.iter().map(|interface| (interface.name.clone(), about(interface))).collect();
        self.layers.push(Layer::Choice(Choice { title: "Take packets from", options, cursor }));
    }
}

fn about(interface: &Interface) -> String {
    let state = if interface.is_up { "" } else { "down " };
    let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
    format!("{state}{}", addresses.join(" "))
}
