//! The screen of packets: frames as they come, and the SAs that they name.

use std::collections::BTreeSet;

use super::feed::Feed;
use super::log::{Origin, Weight};
use super::recording::Recording;
use super::ring::{Ring, Weighed};
use super::{Choice, ChoiceOf, Command, Layer, Screen, State};
use crate::capture::{ANY, Batch, Frame, Interface, LinkState};
use crate::console::columns::{Columns, PacketColumn};
use crate::console::event::CaptureNews;
use crate::evidence::{Evidence, Finding, Judge, Known, Looked, Policies, Reason, Sight, Verdict};
use crate::model::Sa;
use crate::packet::filter::{self, Subject, Test};
use crate::packet::{self, Dissection, Endpoint, Filter, IpsecHeader, Summary};

/// How many frames are kept.
const MOST_FRAMES: usize = 200_000;
/// How long the news of an SA may be on its way.
const NEWS_NS: u64 = 2_000_000_000;
/// How long the keys of SAs that are gone are kept.
const GONE_NS: u64 = 600_000_000_000;
/// How many bytes of frames are kept.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A frame with what it proved when it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The frame.
    pub frame: Frame,
    /// What it proved.
    pub evidence: Evidence,
}

impl Seen {
    fn fits(&self, filter: &Filter, dissection: &Dissection, judge: &Judge) -> bool {
        fits(filter, &self.frame, &self.evidence, dissection, judge)
    }
}

impl Weighed for Seen {
    fn cost(&self) -> usize {
        let whole = self.evidence.whole.as_ref().map_or(0, |packet| packet.len());
        size_of::<Self>() + self.frame.bytes.len() + size_of_val(&*self.evidence.reasons) + whole
    }
}

/// What became of the SA that an IPsec header names.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    /// It is this one.
    Sa(&'a Known),
    /// There was one when the frame came, and it is forgotten by now.
    Forgotten,
    /// There was none.
    None,
}

/// A frame, taken apart to be looked at.
#[derive(Clone)]
pub struct PacketRow<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// What it proved.
    pub evidence: &'a Evidence,
    /// Its layers.
    pub dissection: Dissection,
    /// It in a line.
    pub summary: Summary,
    /// Its IPsec headers with their SAs, outermost first.
    pub ipsec: Vec<(IpsecHeader, Named<'a>)>,
    /// Its time of day.
    pub time: String,
    /// Whether the user marked it.
    pub is_marked: bool,
    /// Its interface, where packets are taken from all of them.
    pub interface: Option<&'a str>,
}

/// The layers of a frame from the outermost on the wire to the innermost that could be decrypted, the latter with the
/// place of what they were inside of.
pub fn layers<'a>(
    dissection: &'a Dissection,
    looked: &'a Looked,
) -> impl Iterator<Item = (Option<usize>, &'a packet::Layer)> {
    let insides = looked.insides.iter().enumerate();
    let decrypted = insides.flat_map(|(at, inside)| inside.dissection.layers().iter().map(move |l| (Some(at), l)));
    dissection.layers().iter().map(|layer| (None, layer)).chain(decrypted)
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

impl CaptureState {
    /// Whether frames come from all interfaces.
    fn is_everywhere(&self) -> bool {
        matches!(self, Self::Running(name) if name == ANY)
    }
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
    /// What frames are judged by.
    pub judge: Judge,
    /// The layer whose bytes are marked where a packet is seen whole, counted as [`layers`] does.
    pub chosen_layer: Option<usize>,
    /// The columns that are shown, in their order.
    pub columns: Vec<PacketColumn>,
    /// The packets that the user marked.
    pub marked: BTreeSet<u64>,
    /// The text that is looked for and marked.
    pub sought: Option<String>,
    /// The recording that runs.
    pub recording: Option<Recording>,
    /// Whether the judge's policies are not those of the SPD any more.
    pub(super) policies_changed: bool,
    /// Frames that went against a policy since that was last told; the first of them in words.
    leaks: Option<(u64, String)>,
    filter: Option<Filter>,
    /// What plain packets must fit to be captured at all, as it was typed.
    pub only: Option<(String, Filter)>,
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
            judge: Judge::default(),
            chosen_layer: None,
            columns: PacketColumn::USUAL.to_vec(),
            marked: BTreeSet::new(),
            sought: None,
            recording: None,
            policies_changed: true,
            leaks: None,
            filter: None,
            only: None,
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
        let Self { ring, feed, filter, judge, .. } = self;
        let passing = ring.iter().filter(|(_, seen)| {
            let dissection = judge.dissect(seen.frame.link, &seen.frame.bytes);
            filter.as_ref().is_none_or(|filter| seen.fits(filter, &dissection, judge))
        });
        let numbers: Vec<u64> = passing.map(|(number, _)| number).collect();
        feed.rebuild(numbers.into_iter());
    }

    /// An SA is there, or has changed. Frames may have come before the news of their SA: they are judged again.
    pub(super) fn learn(&mut self, sa: &Sa, now_ns: u64, interfaces: &[Interface]) {
        self.judge.memory.learn(sa, now_ns);
        let Self { judge, ring, .. } = self;
        let recent = ring.newest_mut().take_while(|seen| seen.frame.at_ns.saturating_add(NEWS_NS) > now_ns);
        let (spi, destination) = (sa.spi, sa.destination);
        let waits_for = |reason: &Reason| matches!(reason, Reason::Header { spi: of, finding: Finding::NoSa(to), .. } if (*of, *to) == (spi, destination));
        for seen in recent.filter(|seen| seen.evidence.reasons.iter().any(waits_for)) {
            let frame = &seen.frame;
            let dissection = judge.dissect(frame.link, &frame.bytes);
            let (sight, index) = sight_on(frame, interfaces);
            seen.evidence = judge.judge_again(sight, &dissection, index, &seen.evidence);
        }
    }

    /// Takes a frame in; whether it is kept.
    fn take(&mut self, frame: Frame, interfaces: &[Interface]) -> bool {
        let dissection = self.judge.dissect(frame.link, &frame.bytes);
        let (sight, index) = sight_on(&frame, interfaces);
        let evidence = self.judge.judge(sight, &dissection, index);
        if evidence.verdict.is_forbidden() {
            let words = || leak_words(&Summary::of(&dissection), &evidence);
            let (count, _) = self.leaks.get_or_insert_with(|| (0, words()));
            *count += 1;
        }
        let seen = Seen { frame, evidence };
        // The kernel passes on what it cannot decide.
        let only = self.only.as_ref().filter(|_| is_plain(seen.evidence.verdict));
        if only.is_some_and(|(_, only)| !seen.fits(only, &dissection, &self.judge)) {
            return false;
        }
        let passes = self.filter.as_ref().is_none_or(|filter| seen.fits(filter, &dissection, &self.judge));
        let number = self.ring.next_number();
        self.ring.push(seen);
        if passes {
            self.feed.push(number);
        }
        true
    }

    /// While the list stands still: how many frames have come meanwhile.
    pub fn came_meanwhile(&self) -> Option<u64> {
        self.feed.frozen_at().map(|number| self.ring.next_number() - number)
    }

    /// Follows the ring in what it forgot.
    fn forget_old(&mut self) {
        let oldest = self.ring.forgotten();
        self.feed.forget_before(oldest);
        self.marked = self.marked.split_off(&oldest);
    }

    fn clear(&mut self) {
        self.ring.clear();
        self.forget_old();
        self.judge.forget_totals();
        self.judge.memory.forget_gone_before(u64::MAX);
        (self.dropped, self.dropped_told) = (0, 0);
        if self.feed.frozen_at().is_some() {
            self.feed.freeze(self.ring.next_number());
        }
    }
}

/// Whether a text stands in a judged frame, on the wire or decrypted.
pub(super) fn has_text(text: &str, seen: &Seen, dissection: &Dissection, judge: &Judge) -> bool {
    seen.fits(&Filter::Is(Test::Text(text.into())), dissection, judge)
}

/// Whether a judged frame fits a filter.
pub(crate) fn fits(
    filter: &Filter,
    frame: &Frame,
    evidence: &Evidence,
    dissection: &Dissection,
    judge: &Judge,
) -> bool {
    let inside = |text: &[u8]| {
        let looked = judge.look_into_all(sight(frame), dissection, evidence);
        looked.insides.iter().any(|inside| filter::contains(&inside.plaintext, text))
    };
    let whole = evidence.whole.as_deref().map(|packet| (judge.whole(dissection, evidence), packet));
    filter.fits(Subject {
        dissection,
        direction: frame.direction,
        length: frame.wire_length,
        bytes: &frame.bytes,
        whole: whole.as_ref().map(|(dissection, packet)| (&**dissection, *packet)),
        verdict: &evidence.verdict.to_string(),
        inside: &inside,
    })
}

/// Whether a frame has nothing to do with IPsec, as far as can be seen.
fn is_plain(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Clear | Verdict::ClearForbidden | Verdict::Copy | Verdict::Other)
}

/// A frame as it is brought before the judge.
pub(crate) fn sight(frame: &Frame) -> Sight<'_> {
    Sight {
        at_ns: frame.at_ns,
        link: frame.link,
        direction: frame.direction,
        loopback: false,
        is_cut: frame.is_cut(),
        bytes: &frame.bytes,
    }
}

/// A frame as it is brought before the judge, and the number of its interface. One that is not among these (made just
/// now, or on another host) gets a number by its name: a packet that is seen on two of them has not come twice.
pub(crate) fn sight_on<'a>(frame: &'a Frame, interfaces: &[Interface]) -> (Sight<'a>, u32) {
    let place = interfaces.iter().find(|interface| interface.name == *frame.interface);
    let sight = Sight { loopback: place.is_some_and(|place| place.is_loopback), ..sight(frame) };
    (sight, place.map_or_else(|| number_of_unknown(&frame.interface), |place| place.index))
}

/// The kernel's own numbers are positive as signed ones.
fn number_of_unknown(name: &str) -> u32 {
    // FNV-1a: it is asked for each frame of a file.
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, hash) | 1 << 31
}

fn leak_words(summary: &Summary, evidence: &Evidence) -> String {
    let end = |end: Option<Endpoint>| end.map_or_else(String::new, |end| end.to_string());
    let reasons: Vec<String> = evidence.reasons.iter().map(ToString::to_string).collect();
    let (source, destination) = (end(summary.source), end(summary.destination));
    let verdict = evidence.verdict;
    format!("{verdict} {} {source} > {destination} {}: {}", summary.protocol, summary.info, reasons.join("; "))
}

impl State {
    /// A frame, taken apart to be looked at.
    pub fn packet_row(&self, number: u64) -> Option<PacketRow<'_>> {
        let row = self.row_of(self.packets.ring.get(number)?);
        Some(PacketRow { is_marked: self.packets.marked.contains(&number), ..row })
    }

    /// A frame that is perhaps forgotten by now, taken apart to be looked at.
    pub fn row_of<'a>(&'a self, Seen { frame, evidence }: &'a Seen) -> PacketRow<'a> {
        let dissection = self.packets.judge.dissect(frame.link, &frame.bytes);
        let known = |serial: &Option<u64>| match serial {
            Some(serial) => self.packets.judge.memory.get(*serial).map_or(Named::Forgotten, Named::Sa),
            None => Named::None,
        };
        let whole = self.packets.judge.whole(&dissection, evidence);
        let ipsec = whole.ipsec().zip(evidence.sas.iter().map(known)).collect();
        let summary = Summary::of(&dissection);
        let time = self.clock.time_of_day_ms(frame.at_ns / 1_000_000);
        let interface = self.packets.capture.is_everywhere().then_some(&*frame.interface);
        PacketRow { frame, evidence, dissection, summary, ipsec, time, is_marked: false, interface }
    }

    /// What was inside of a frame, as far as there are keys.
    pub fn look_into(&self, row: &PacketRow<'_>) -> Looked {
        self.packets.judge.look_into_all(sight(row.frame), &row.dissection, row.evidence)
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

    /// Takes packets without showing them: what goes against a policy is told among the events.
    pub(super) fn watch(&mut self, commands: &mut Vec<Command>) {
        let words = match &self.packets.capture {
            CaptureState::Idle => "packets are taken from now on: what goes against a policy is told among the events",
            _ => "packets are taken already",
        };
        self.begin_capture(commands);
        self.note(words.to_owned());
    }

    /// Takes packets from an interface that the user named; if there is none, the capture that runs goes on.
    pub(super) fn capture_on_named(&mut self, name: String, commands: &mut Vec<Command>) {
        let known = &self.facts.interfaces;
        if name != ANY && !known.is_empty() && !known.iter().any(|interface| interface.name == name) {
            let names: Vec<&str> = known.iter().map(|interface| interface.name.as_str()).collect();
            self.warn(format!("there is no interface {name:?}; there are {}", names.join(", ")));
            return;
        }
        self.capture_on(Some(name), commands);
    }

    /// Captures anew, of plain packets only those that fit; without words, all.
    pub(super) fn capture_only(&mut self, words: &str, commands: &mut Vec<Command>) {
        match Filter::parse(words) {
            Ok(filter) => self.packets.only = filter.map(|filter| (words.to_owned(), filter)),
            Err(error) => {
                self.warn(error.to_string());
                return;
            }
        }
        self.screen = Screen::Packets;
        self.capture_again(commands);
    }

    /// Captures on the same interface, but not the same packets.
    pub(super) fn capture_again(&mut self, commands: &mut Vec<Command>) {
        let interface = match &self.packets.capture {
            CaptureState::Running(name) | CaptureState::Down(name) => Some(name.clone()),
            _ => self.setting.interface.clone(),
        };
        self.capture_on(interface, commands);
    }

    pub(super) fn capture_on(&mut self, interface: Option<String>, commands: &mut Vec<Command>) {
        self.packets.generation += 1;
        self.packets.capture = CaptureState::Starting;
        // An SA may send its packets to any port: the kernel must not drop them.
        let ports = self.packets.judge.memory.encapsulations().ports();
        let filter = self.packets.only.as_ref().map(|(_, filter)| filter.clone().or_ports(&ports));
        commands.push(Command::Capture { interface, filter, generation: self.packets.generation });
    }

    pub(super) fn on_frames(&mut self, generation: u64, batch: Batch) {
        if generation != self.packets.generation {
            return;
        }
        self.packets.dropped += batch.dropped;
        self.miss_in_check(batch.dropped);
        // Before it is read an SPD is not empty, but unknown.
        if self.facts.read_once && std::mem::take(&mut self.packets.policies_changed) {
            let policies = Policies::new(self.facts.spd.oldest_first(), self.facts.defaults);
            self.packets.judge.policies = policies.with(self.facts.ties);
        }
        for frame in batch.frames {
            if self.packets.take(frame, &self.facts.interfaces) {
                self.take_into_check();
            }
        }
        self.packets.forget_old();
        if let Some(state) = batch.link {
            self.on_link(state);
        }
    }

    fn on_link(&mut self, state: LinkState) {
        let (CaptureState::Running(name) | CaptureState::Down(name)) = &self.packets.capture else {
            return;
        };
        let name = name.clone();
        let weight = if state == LinkState::Up { Weight::Note } else { Weight::Warning };
        self.tell(Origin::Capture, weight, state.words(&name));
        self.packets.capture = match state {
            LinkState::Up => CaptureState::Running(name),
            LinkState::Down => CaptureState::Down(name),
        };
    }

    pub(super) fn on_capture_news(&mut self, generation: u64, news: CaptureNews) {
        if generation != self.packets.generation {
            return;
        }
        self.packets.capture = match news {
            CaptureNews::Started(name) => {
                self.packets.judge.begin_watching(self.facts.now.unix_ns());
                self.tell(Origin::Capture, Weight::Note, format!("packets are taken from {name}"));
                CaptureState::Running(name)
            }
            CaptureNews::Failed(reason) => {
                self.tell(Origin::Capture, Weight::Warning, reason.clone());
                CaptureState::Failed(reason)
            }
        };
    }

    /// Whether nobody looks at packets, so that none in clear is noticed.
    pub fn watches_nothing(&self) -> bool {
        matches!(self.packets.capture, CaptureState::Idle | CaptureState::Failed(_))
    }

    /// Once a second: what must not be missed is said among the events, too.
    pub(super) fn tell_of_packets(&mut self) {
        // Keys of SAs that are gone are kept no longer than frames around a rekeying need them.
        let long_ago = self.facts.now.unix_ns().saturating_sub(GONE_NS);
        self.packets.judge.memory.forget_gone_before(long_ago);
        if let Some((count, first)) = self.packets.leaks.take() {
            let text = match count {
                1 => format!("against a policy: {first}"),
                count => format!("{count} frames against a policy; the first: {first}"),
            };
            self.tell(Origin::Capture, Weight::Alarm, text);
        }
        let news = self.packets.dropped.saturating_sub(self.packets.dropped_told);
        self.packets.dropped_told = self.packets.dropped;
        if news > 0 {
            let text = format!("{news} frames came too fast and were dropped by the capture (not by the network)");
            self.tell(Origin::Capture, Weight::Warning, text);
        }
    }

    pub(super) fn freeze(&mut self) {
        match self.packets.feed.frozen_at() {
            Some(_) => self.packets.feed.thaw(),
            None => self.packets.feed.freeze(self.packets.ring.next_number()),
        }
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
        let each = interfaces.iter().map(|interface| (interface.name.clone(), about(interface)));
        let options: Vec<_> = each.chain([(ANY.to_owned(), "all of them".to_owned())]).collect();
        let cursor = options.iter().position(|(name, _)| Some(name) == running).unwrap_or(0);
        self.layers.push(Layer::Choice(Choice {
            of: ChoiceOf::Interface,
            title: "Take packets from".to_owned(),
            options,
            cursor,
        }));
    }
}

fn about(interface: &Interface) -> String {
    let state = if interface.is_up { "" } else { "down " };
    let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
    format!("{state}{}", addresses.join(" "))
}
