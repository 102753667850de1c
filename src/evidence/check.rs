//! The question that administrators really ask: is the traffic with this peer encrypted?

use std::fmt;
use std::net::IpAddr;

use super::{Evidence, Finding, Judge, Looked, Reason, Sight, Verdict};
use crate::packet::filter::contains;
use crate::packet::{Dissection, Endpoint, Header, Summary};

/// Frames with a peer, summed up.
#[derive(Clone, Debug)]
pub struct Check {
    peer: IpAddr,
    text: Vec<u8>,
    /// Encrypted and authentic.
    encrypted: u64,
    /// Authentic, but anybody can read them.
    readable: u64,
    /// Neither.
    clear: u64,
    /// Nothing can be said of them.
    undecided: u64,
    first_readable: Option<First>,
    first_undecided: Option<First>,
    /// How many frames carry the text in clear, and how many carry it encrypted.
    text_on_wire: u64,
    text_inside: u64,
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
    /// Of the traffic with `peer`. A text that is looked for must be found nowhere but inside of encrypted packets.
    pub fn new(peer: IpAddr, text: Option<&str>) -> Self {
        Self {
            peer,
            text: text.unwrap_or_default().as_bytes().to_vec(),
            encrypted: 0,
            readable: 0,
            clear: 0,
            undecided: 0,
            first_readable: None,
            first_undecided: None,
            text_on_wire: 0,
            text_inside: 0,
            needs_rights: false,
        }
    }

    /// Takes a judged frame in. Those that are not with the peer are passed over, also neighbour discovery, what is no IP
    /// and key exchange: they carry nobody's data. Key exchange with the text in it is none. A packet that came in parts
    /// is taken with the frame that completes it. What the others show is returned.
    pub fn take(
        &mut self,
        judge: &Judge,
        sight: Sight<'_>,
        dissection: &Dissection,
        evidence: &Evidence,
    ) -> Option<Proof> {
        let verdict = evidence.verdict;
        let bytes = evidence.whole.as_deref().unwrap_or(sight.bytes);
        let is_data = match verdict {
            Verdict::Other | Verdict::Copy | Verdict::Part => false,
            Verdict::Ike => !self.text.is_empty() && contains(bytes, &self.text),
            _ => !is_neighbour_discovery(dissection),
        };
        if !is_data {
            return None;
        }
        let looked = judge.look_into(sight, dissection, evidence);
        if !is_with(self.peer, dissection)
            && !looked.insides.iter().any(|inside| is_with(self.peer, &inside.dissection))
        {
            return None;
        }
        let first = || First { at_ns: sight.at_ns, words: first_words(dissection, evidence) };
        let mut proof = Proof::Readable;
        if evidence.is_encrypted() {
            self.encrypted += 1;
            proof = if looked.insides.is_empty() { Proof::Encrypted } else { Proof::Opened };
        } else if verdict.is_authentic() {
            self.readable += 1;
            self.first_readable.get_or_insert_with(first);
        } else if matches!(verdict, Verdict::Clear | Verdict::ClearForbidden | Verdict::Ike) {
            self.clear += 1;
            self.first_readable.get_or_insert_with(first);
        } else {
            self.undecided += 1;
            let needs_rights =
                |reason: &Reason| matches!(reason, Reason::Header { finding: Finding::SasUnreadable, .. });
            self.needs_rights |= evidence.reasons.iter().any(needs_rights);
            proof = Proof::Undecided;
            self.first_undecided.get_or_insert_with(first);
        }
        Some(self.look_for_text(bytes, &looked, first).map_or(proof, |found| found.max(proof)))
    }

    fn look_for_text(&mut self, bytes: &[u8], looked: &Looked, first: impl Fn() -> First) -> Option<Proof> {
        if self.text.is_empty() {
            return None;
        }
        let is_inside = looked.insides.iter().any(|inside| contains(&inside.plaintext, &self.text));
        self.text_inside += u64::from(is_inside);
        if contains(bytes, &self.text) {
            self.text_on_wire += 1;
            self.first_readable.get_or_insert_with(first);
            return Some(Proof::TextOnWire);
        }
        is_inside.then_some(Proof::TextInside)
    }

    /// How many frames with the peer were seen.
    pub fn seen(&self) -> u64 {
        self.encrypted + self.readable + self.clear + self.undecided
    }

    /// The answer so far.
    pub fn answer(&self) -> Answer {
        let in_clear = self.readable + self.clear;
        match (self.encrypted, in_clear, self.undecided) {
            _ if self.text_on_wire > 0 && self.encrypted == 0 => Answer::InClear,
            _ if self.text_on_wire > 0 => Answer::Mixed,
            (0, 1.., _) => Answer::InClear,
            (1.., 1.., _) => Answer::Mixed,
            (1.., 0, 0) if self.text.is_empty() || self.text_inside > 0 => Answer::Encrypted,
            _ => Answer::Undecided,
        }
    }

    /// The answer in a sentence, and what to do next if there is something; `time` words a frame's nanoseconds since
    /// the epoch.
    pub fn sentence(&self, time: impl Fn(u64) -> String) -> (String, Option<&'static str>) {
        let (peer, text) = (self.peer, String::from_utf8_lossy(&self.text));
        let frames = |count: u64| if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") };
        let first = |first: &Option<First>| {
            let words = |first: &First| format!("; the first: {} {}", time(first.at_ns), first.words);
            first.as_ref().map_or_else(String::new, words)
        };
        let answer = self.answer();
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
                (format!("{} with {peer} encrypted and authentic, none in clear{found}", frames(self.encrypted)), None)
            }
            Answer::InClear => {
                let count = frames(self.readable + self.clear);
                (format!("{count} with {peer} can be read{}", first(&self.first_readable)), None)
            }
            Answer::Mixed => {
                let (readable, encrypted) = (frames(self.readable + self.clear), frames(self.encrypted));
                (format!("{readable} with {peer} can be read, {encrypted} cannot{}", first(&self.first_readable)), None)
            }
            Answer::Undecided if self.encrypted + self.undecided == 0 => (
                format!("nothing was seen of {peer}"),
                Some("let it speak, or send it something (espial check --probe), and watch again"),
            ),
            Answer::Undecided if self.undecided > 0 => (
                format!(
                    "of {} with {peer} nothing can be said{}",
                    frames(self.undecided),
                    first(&self.first_undecided)
                ),
                Some(if self.needs_rights {
                    "run it as root, or with CAP_NET_ADMIN: only so can the kernel's keys be read"
                } else {
                    "look at the reasons among the packets"
                }),
            ),
            Answer::Undecided => (
                format!("{} with {peer} are encrypted, but \"{text}\" was in none of them", frames(self.encrypted)),
                Some("watch while the text is sent (espial check --probe sends it)"),
            ),
        };
        (format!("{answer}: {words}"), next)
    }
}

fn is_with(peer: IpAddr, dissection: &Dissection) -> bool {
    let ends = dissection.layers().iter().find_map(|layer| layer.header.ip_addresses());
    ends.is_some_and(|(source, destination)| source == peer || destination == peer)
}

fn is_neighbour_discovery(dissection: &Dissection) -> bool {
    dissection.layers().iter().any(|layer| match &layer.header {
        Header::Icmpv6(icmp) => matches!(icmp.kind, 133..=137),
        _ => false,
    })
}

fn first_words(dissection: &Dissection, evidence: &Evidence) -> String {
    let summary = Summary::of(dissection);
    let reason = evidence.reasons.first().map_or(String::new(), |reason| format!(" ({reason})"));
    let info = if summary.info.is_empty() { String::new() } else { format!(" {}", summary.info) };
    let end = |end: Option<Endpoint>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
    let (source, destination, verdict) = (end(summary.source), end(summary.destination), evidence.verdict);
    format!("{source} > {destination} {verdict} {}{info}{reason}", summary.protocol)
}
