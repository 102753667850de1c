//! The question that administrators really ask: is the traffic with this peer encrypted?

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use super::copies::OPENING_NS;
use super::fragments::{Key, PATIENCE_NS, Part};
use super::{Evidence, Finding, Judge, Looked, Reason, Sight, Verdict};
use crate::model::Prefix;
use crate::packet::filter::contains;
use crate::packet::{Direction, Dissection, Endpoint, Header, Summary};

/// How many packets are waited for of which only parts have come.
const MOST_PARTED: usize = 1024;
/// Longer than it takes to send all parts of a packet.
const BURST_NS: u64 = 100_000_000;

/// Whose traffic is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The host or the network at the other end.
    pub far: Prefix,
    /// The host or the network on this side; no matter whose where `None`.
    pub own: Option<Prefix>,
}

impl Traffic {
    /// The traffic with a host, whoever speaks with it.
    pub fn with(host: IpAddr) -> Self {
        Self { far: Prefix::host(host), own: None }
    }

    /// Whether a packet between these ends belongs to it; and whether it goes to the other end, and may come from there.
    fn course(&self, ends: (IpAddr, IpAddr)) -> Option<Course> {
        let (source, destination) = ends;
        let is_own = |address| self.own.is_none_or(|own| own.contains(address));
        let towards = self.far.contains(destination) && is_own(source);
        let back = self.far.contains(source) && is_own(destination);
        (towards || back).then_some(Course { ends, towards, back })
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.own {
            None => write!(f, "with {}", short(&self.far)),
            Some(own) => write!(f, "between {} and {}", short(own), short(&self.far)),
        }
    }
}

/// A host is its address.
fn short(prefix: &Prefix) -> String {
    if prefix.is_host() { prefix.address.to_string() } else { prefix.to_string() }
}

/// Which way a packet of the traffic goes; between networks that overlap it may be both.
#[derive(Clone, Copy)]
struct Course {
    ends: (IpAddr, IpAddr),
    towards: bool,
    back: bool,
}

impl Course {
    /// Whether it is on the side of a gateway where it is not encrypted yet, or not any more: this host passes it on, and
    /// what goes to the other end arrives there, and what comes from it leaves.
    fn is_inside(self, judge: &Judge, direction: Option<Direction>) -> bool {
        let (source, destination) = self.ends;
        let is_passed_on = !judge.is_for_us(source) && !judge.is_for_us(destination);
        is_passed_on
            && match direction {
                Some(Direction::In) => self.towards && !self.back,
                Some(Direction::Out) => self.back && !self.towards,
                None => false,
            }
    }
}

/// Frames of somebody's traffic, summed up.
#[derive(Clone, Debug)]
pub struct Check {
    traffic: Traffic,
    text: Vec<u8>,
    since_ns: u64,
    /// Encrypted and authentic.
    encrypted: u64,
    /// How many of them arrived, and how many left.
    ways: [u64; 2],
    /// How many of them carried packets of others, and the ends of the first such packet.
    for_others: u64,
    first_others: Option<(IpAddr, IpAddr)>,
    /// Authentic, but anybody can read them.
    readable: u64,
    /// Neither.
    clear: u64,
    /// Nothing can be said of them.
    undecided: u64,
    /// How many of these are proven, and dropped by their receiver all the same.
    refused: u64,
    first_readable: Option<First>,
    first_undecided: Option<First>,
    /// How many frames carry the text for everybody to read, and the first of them.
    text_shown: u64,
    first_shown: Option<First>,
    /// How many frames carry the text encrypted.
    text_inside: u64,
    /// Packets of which only parts have come, that may be anything.
    parted: HashMap<Key, First>,
    /// How many never became whole; they are undecided.
    lost: u64,
    /// Protected frames that cannot be opened here, so that nobody knows whose they are.
    hidden: u64,
    /// Frames in clear on the side of a gateway where they may be.
    inside: u64,
    /// Encrypted frames on that side: then it is not known to be that side.
    turned: u64,
    /// Frames on an interface that shows them before they are encrypted or wrapped.
    before: u64,
    /// Frames that came and were not seen.
    missed: u64,
    /// Whether the kernel's SAs would have told more.
    needs_rights: bool,
}

/// A frame that shows something, for the sentence.
#[derive(Clone, Debug)]
struct First {
    at_ns: u64,
    words: String,
}

/// What a frame shows of the traffic with a peer; what tells more is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nothing that is certain.
    Undecided,
    /// It is encrypted and authentic, and cannot be opened here.
    Encrypted,
    /// It is encrypted and authentic, and this is what was inside.
    Opened,
    /// The text was inside.
    TextInside,
    /// It can be read on the wire.
    Readable,
    /// The text can be read on the wire.
    TextOnWire,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything was encrypted and authentic.
    Encrypted,
    /// Nothing was.
    InClear,
    /// Some was, some was not.
    Mixed,
    /// Nobody knows.
    Undecided,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted => f.pad("ENCRYPTED"),
            Self::InClear => f.pad("IN CLEAR"),
            Self::Mixed => f.pad("MIXED"),
            Self::Undecided => f.pad("UNDECIDED"),
        }
    }
}

impl Check {
    /// Of somebody's traffic. A text that is looked for must be found nowhere but inside of encrypted packets.
    pub fn new(traffic: Traffic, text: Option<&str>) -> Self {
        Self {
            traffic,
            text: text.unwrap_or_default().as_bytes().to_vec(),
            since_ns: 0,
            encrypted: 0,
            ways: [0, 0],
            for_others: 0,
            first_others: None,
            readable: 0,
            clear: 0,
            undecided: 0,
            refused: 0,
            first_readable: None,
            first_undecided: None,
            text_shown: 0,
            first_shown: None,
            text_inside: 0,
            parted: HashMap::new(),
            lost: 0,
            hidden: 0,
            inside: 0,
            turned: 0,
            before: 0,
            missed: 0,
            needs_rights: false,
        }
    }

    /// The same where the capture began at this time: of a packet that was on its way just then parts may be missing, and
    /// what was inside a tunnel's packet may be shown although that came before.
    #[must_use]
    pub fn since(self, at_ns: u64) -> Self {
        Self { since_ns: at_ns, ..self }
    }

    /// Takes a judged frame in. Those of other traffic are passed over, also neighbour discovery, what is no IP and key
    /// exchange: they carry nobody's data. Key exchange with the text in it is none. A packet that came in parts is taken
    /// with the frame that completes it; one that is never whole is undecided. Of what gateways pass on only what is on the
    /// wire between them counts. Whatever shows the text is in clear. What the others show is returned.
    pub fn take(
        &mut self,
        judge: &Judge,
        sight: Sight<'_>,
        dissection: &Dissection,
        evidence: &Evidence,
    ) -> Option<Proof> {
        let verdict = evidence.verdict;
        let shows_before = |reason: &Reason| matches!(reason, Reason::TunnelInterface(_) | Reason::Wrapped);
        let is_before = evidence.reasons.iter().any(shows_before);
        if is_before || verdict == Verdict::Copy {
            self.before += u64::from(is_before && self.course(dissection).is_some());
            return None;
        }
        let is_of_start = sight.at_ns < self.since_ns.saturating_add(OPENING_NS);
        if is_of_start && evidence.reasons.contains(&Reason::MaybeDecrypted) {
            return None;
        }
        let part = Part::of(sight.bytes, dissection, 0).filter(|_| !sight.is_cut);
        if verdict == Verdict::Part {
            return self.take_part(judge, &part?, sight, dissection, evidence);
        }
        if let Some(part) = part {
            self.parted.remove(&part.key());
        }
        let bytes = evidence.whole.as_deref().unwrap_or(sight.bytes);
        let looked = judge.look_into_all(sight, dissection, evidence);
        let shows_text = self.is_shown(bytes, &looked, evidence);
        let first = || First { at_ns: sight.at_ns, words: first_words(dissection, evidence) };
        let is_data = match verdict {
            Verdict::Other | Verdict::Ike => shows_text,
            _ => !is_neighbour_discovery(dissection),
        };
        if !is_data {
            return None;
        }
        let is_plain = matches!(verdict, Verdict::Clear | Verdict::ClearForbidden | Verdict::Ike);
        let whole = judge.whole(dissection, evidence);
        let needs_rights = |reason: &Reason| matches!(reason, Reason::Header { finding: Finding::SasUnreadable, .. });
        let hidden_course = || looked.insides.iter().find_map(|inside| self.course(&inside.dissection));
        let Some(course) = self.course(&whole).or_else(hidden_course) else {
            if is_plain || !looked.insides.is_empty() {
                return None;
            }
            if shows_text {
                return Some(self.show_text(first));
            }
            if has_ipsec(&whole) {
                self.hidden += 1;
                self.needs_rights |= evidence.reasons.iter().any(needs_rights);
            }
            return None;
        };
        let is_inside = course.is_inside(judge, sight.direction);
        if is_inside && !has_ipsec(&whole) {
            self.inside += 1;
            return None;
        }
        if shows_text {
            return Some(self.show_text(first));
        }
        let has_text = looked.insides.iter().any(|inside| self.is_text_in(&inside.plaintext));
        self.text_inside += u64::from(has_text);
        let mut proof = Proof::Readable;
        if evidence.is_encrypted() {
            self.encrypted += 1;
            self.ways[0] += u64::from(sight.direction == Some(Direction::In));
            self.ways[1] += u64::from(sight.direction == Some(Direction::Out));
            self.turned += u64::from(is_inside);
            let others = self.others(&looked);
            self.for_others += u64::from(others.is_some());
            self.first_others = self.first_others.or(others);
            proof = if looked.insides.is_empty() { Proof::Encrypted } else { Proof::Opened };
        } else if evidence.is_readable() {
            self.readable += 1;
            self.first_readable.get_or_insert_with(first);
        } else if is_plain {
            self.clear += 1;
            self.first_readable.get_or_insert_with(first);
        } else {
            self.undecided += 1;
            self.refused += u64::from(verdict == Verdict::Refused);
            self.needs_rights |= evidence.reasons.iter().any(needs_rights);
            proof = Proof::Undecided;
            self.first_undecided.get_or_insert_with(first);
        }
        Some(if has_text { proof.max(Proof::TextInside) } else { proof })
    }

    /// A frame that has the text for everybody to read, whatever else it is.
    fn show_text(&mut self, first: impl FnOnce() -> First) -> Proof {
        self.clear += 1;
        self.text_shown += 1;
        self.first_shown.get_or_insert_with(first);
        Proof::TextOnWire
    }

    /// Whether everybody can read the text in a frame. What was proven to be ciphertext has a short one by chance; and what
    /// may be a copy was perhaps not on the wire at all.
    fn is_shown(&self, bytes: &[u8], looked: &Looked, evidence: &Evidence) -> bool {
        let hidden = looked.insides.iter().filter(|inside| inside.within.is_none() && evidence.is_encrypted());
        let mut from = 0;
        let mut pieces = Vec::with_capacity(2);
        for inside in hidden {
            pieces.push(from..inside.outer.start);
            from = inside.outer.end;
        }
        pieces.push(from..bytes.len());
        !evidence.reasons.contains(&Reason::MaybeDecrypted)
            && pieces.into_iter().filter_map(|piece| bytes.get(piece)).any(|bytes| self.is_text_in(bytes))
    }

    fn is_text_in(&self, bytes: &[u8]) -> bool {
        !self.text.is_empty() && contains(bytes, &self.text)
    }

    /// A part of a packet, of which nothing is known yet.
    fn take_part(
        &mut self,
        judge: &Judge,
        part: &Part<'_>,
        sight: Sight<'_>,
        dissection: &Dissection,
        evidence: &Evidence,
    ) -> Option<Proof> {
        let course = self.course(dissection)?;
        if course.is_inside(judge, sight.direction) {
            self.inside += 1;
            return None;
        }
        let first = First { at_ns: sight.at_ns, words: first_words(dissection, evidence) };
        if self.is_text_in(sight.bytes) {
            return Some(self.show_text(|| first));
        }
        let known = self.parted.get(&part.key());
        if known.is_none() && !part.is_first() && sight.at_ns < self.since_ns.saturating_add(BURST_NS) {
            return None;
        }
        // Numbers of packets come round again.
        if known.is_some_and(|known| known.at_ns.saturating_add(PATIENCE_NS) < sight.at_ns) {
            self.lose(&part.key());
        }
        if self.parted.len() == MOST_PARTED
            && let Some(oldest) = self.parted.iter().min_by_key(|(_, first)| first.at_ns).map(|(key, _)| *key)
        {
            self.lose(&oldest);
        }
        self.parted.entry(part.key()).or_insert(first);
        Some(Proof::Undecided)
    }

    /// A packet that will never be whole.
    fn lose(&mut self, key: &Key) {
        let Some(first) = self.parted.remove(key) else { return };
        (self.undecided, self.lost) = (self.undecided + 1, self.lost + 1);
        if self.first_undecided.as_ref().is_none_or(|known| known.at_ns > first.at_ns) {
            self.first_undecided = Some(first);
        }
    }

    /// So many frames came too fast to be seen: whatever they were, nobody knows.
    pub fn miss(&mut self, frames: u64) {
        self.missed += frames;
    }

    /// Whether there may be more in clear than was seen: among frames that were not seen, or on a side of which nobody
    /// knows which one it is.
    fn may_miss_clear(&self) -> bool {
        self.missed > 0 || self.is_turned()
    }

    /// Whether frames in clear were passed over on the inner side of a gateway, and encrypted ones came there as well. So
    /// it is where the networks are named the wrong way round, and at a hub.
    fn is_turned(&self) -> bool {
        self.inside > 0 && self.turned > 0
    }

    /// Whether parts of packets have come, and others have not.
    pub fn waits_for_parts(&self) -> bool {
        !self.parted.is_empty()
    }

    /// Nothing more will come: what is not whole now is undecided.
    pub fn end(&mut self) {
        let keys: Vec<Key> = self.parted.keys().copied().collect();
        for key in &keys {
            self.lose(key);
        }
    }

    /// Whether a packet, or what is in it and can be read, is of the traffic.
    fn course(&self, dissection: &Dissection) -> Option<Course> {
        let mut ends = dissection.layers().iter().filter_map(|layer| layer.header.ip_addresses());
        ends.find_map(|ends| self.traffic.course(ends))
    }

    /// The ends of a packet that was inside of one of the traffic, and is of other traffic itself.
    fn others(&self, looked: &Looked) -> Option<(IpAddr, IpAddr)> {
        let layers = looked.insides.iter().flat_map(|inside| inside.dissection.layers());
        let mut ends = layers.filter_map(|layer| layer.header.ip_addresses());
        let first = ends.next()?;
        let is_of_it = |ends| self.traffic.course(ends).is_some();
        (!is_of_it(first) && !ends.any(is_of_it)).then_some(first)
    }

    /// How many frames of the traffic were seen.
    pub fn seen(&self) -> u64 {
        self.encrypted + self.readable + self.clear + self.undecided
    }

    /// The answer so far.
    pub fn answer(&self) -> Answer {
        let in_clear = self.readable + self.clear;
        match (self.encrypted, in_clear, self.undecided) {
            (0, 1.., _) => Answer::InClear,
            (1.., 1.., _) => Answer::Mixed,
            _ if self.may_miss_clear() => Answer::Undecided,
            (1.., 0, 0) if self.text.is_empty() || self.text_inside > 0 => Answer::Encrypted,
            _ => Answer::Undecided,
        }
    }

    /// The answer in a sentence, and what to do next if there is something; `time` words a frame's nanoseconds since
    /// the epoch.
    pub fn sentence(&self, time: impl Fn(u64) -> String) -> (String, Option<&'static str>) {
        let (traffic, text) = (self.traffic, String::from_utf8_lossy(&self.text));
        let frames = |count: u64| if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") };
        let first = |first: &Option<First>| {
            let words = |first: &First| format!("; the first: {} {}", time(first.at_ns), first.words);
            first.as_ref().map_or_else(String::new, words)
        };
        let shown = match (self.text_shown, self.text.is_empty()) {
            (_, true) => String::new(),
            (0, false) => format!("; \"{text}\" was in none of them"),
            (count, false) => format!("; \"{text}\" was on the wire in {}", frames(count)),
        };
        let first_readable = self.first_shown.as_ref().or(self.first_readable.as_ref()).cloned();
        let answer = self.answer();
        let others = match self.first_others {
            Some((source, destination)) if self.for_others == self.encrypted => {
                format!("; all encrypted ones carried packets of others, as {source} > {destination}, and none its own")
            }
            _ => String::new(),
        };
        let (words, next) = match answer {
            Answer::Encrypted => {
                let found = if self.text.is_empty() {
                    String::new()
                } else {
                    format!(
                        "; \"{text}\" was nowhere on the wire, and after decryption in {}",
                        frames(self.text_inside)
                    )
                };
                let hidden = if self.hidden == 0 {
                    String::new()
                } else {
                    format!("; of {} that cannot be opened here nobody knows whose they are", frames(self.hidden))
                };
                let one_way = match self.ways {
                    [arrived, 0] if arrived == self.encrypted => "; all of them arrived, none was sent",
                    [0, left] if left == self.encrypted => "; all of them were sent, none arrived",
                    _ => "",
                };
                let count = frames(self.encrypted);
                let words = format!("{count} {traffic} encrypted and authentic, none in clear");
                (format!("{words}{found}{others}{one_way}{hidden}"), None)
            }
            Answer::InClear => {
                let count = frames(self.readable + self.clear);
                (format!("{count} {traffic} can be read{shown}{}", first(&first_readable)), None)
            }
            Answer::Mixed => {
                let (readable, encrypted) = (frames(self.readable + self.clear), frames(self.encrypted));
                let first = first(&first_readable);
                (format!("{readable} {traffic} can be read, {encrypted} cannot{shown}{others}{first}"), None)
            }
            Answer::Undecided if self.encrypted + self.undecided == 0 => {
                let (words, next) = self.nothing_seen();
                (words, Some(next))
            }
            Answer::Undecided if self.undecided > 0 && self.refused == self.undecided => (
                format!(
                    "{} {traffic} are protected, but their receiver drops them{}",
                    frames(self.refused),
                    first(&self.first_undecided)
                ),
                Some("what the reason names is missing, or another one than the sender's: policies, SAs, their keys"),
            ),
            Answer::Undecided if self.undecided > 0 => (
                format!("of {} {traffic} nothing can be said{}", frames(self.undecided), first(&self.first_undecided)),
                Some(if self.needs_rights {
                    NEEDS_RIGHTS
                } else if self.lost == self.undecided {
                    "parts of packets are missing: watch again, and if they go on missing, look for what drops them"
                } else {
                    "look at the reasons among the packets"
                }),
            ),
            Answer::Undecided if self.is_turned() => (
                format!(
                    "{} {traffic} encrypted, but {} in clear on the same side, taken for the gateway's inner one",
                    frames(self.encrypted),
                    frames(self.inside)
                ),
                Some(OTHER_END),
            ),
            Answer::Undecided if self.missed > 0 => (
                format!(
                    "{} {traffic} encrypted and none in clear, but {} came too fast to be seen",
                    frames(self.encrypted),
                    frames(self.missed)
                ),
                Some("watch again, with espial check: it lets the kernel leave out what is not of this traffic"),
            ),
            Answer::Undecided => (
                format!("{} {traffic} are encrypted, but \"{text}\" was in none of them", frames(self.encrypted)),
                Some("watch while the text is sent (espial check --probe sends it)"),
            ),
        };
        (format!("{answer}: {words}"), next)
    }

    /// What to say where nothing was seen, and what to do next.
    fn nothing_seen(&self) -> (String, &'static str) {
        let whose = match &self.traffic.own {
            None => short(&self.traffic.far),
            Some(_) => format!("the traffic {}", self.traffic),
        };
        let words = format!("nothing was seen of {whose}");
        if self.inside > 0 {
            let words = format!("{words} but {} on the gateway's inner side", self.inside);
            return (words, OTHER_END);
        }
        if self.before > 0 {
            let words = format!("{words} but {} on an interface that is not the wire yet", self.before);
            return (words, "watch the interface by which the tunnel's packets leave (-i), or any for all");
        }
        if self.hidden > 0 {
            let words = format!("{words}, but {} protected frames that cannot be opened here", self.hidden);
            return (words, if self.needs_rights { NEEDS_RIGHTS } else { "look at the reasons among the packets" });
        }
        (words, "let it speak, or send it something (espial check --probe), and watch again")
    }
}

const OTHER_END: &str = "watch the interface that leads to the other gateway (-i), and name what is behind that one as the \
                         peer: on this host's inner side it may be in clear";
const NEEDS_RIGHTS: &str = "run it as root, or with CAP_NET_ADMIN: only so can the kernel's keys be read";

fn has_ipsec(dissection: &Dissection) -> bool {
    dissection.layers().iter().any(|layer| matches!(layer.header, Header::Esp(_) | Header::Ah(_)))
}

fn is_neighbour_discovery(dissection: &Dissection) -> bool {
    dissection.layers().iter().any(|layer| match &layer.header {
        Header::Icmpv6(icmp) => matches!(icmp.kind, 133..=137),
        _ => false,
    })
}

fn first_words(dissection: &Dissection, evidence: &Evidence) -> String {
    let summary = Summary::of(dissection);
    // What its ICV says comes first, and why it is dropped all the same last.
    let is_dropped = evidence.verdict == Verdict::Refused;
    let reason = if is_dropped { evidence.reasons.last() } else { evidence.reasons.first() };
    let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
    let info = if summary.info.is_empty() { String::new() } else { format!(" {}", summary.info) };
    let end = |end: Option<Endpoint>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
    let (source, destination, verdict) = (end(summary.source), end(summary.destination), evidence.verdict);
    format!("{source} > {destination} {verdict} {}{info}{reason}", summary.protocol)
}
