//! A frame looked into: what was inside of its ESP and IPComp, as far as there are keys.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::memory::{Preparation, Prepared};
use super::{Evidence, Judge, Sight};
use crate::crypto::{Icv, NotOpened, ipcomp};
use crate::model::IpsecProtocol;
use crate::packet::{Dissection, IpsecHeader, Summary};

/// Deeper nesting is not followed.
const DEEPEST: usize = 8;
/// Nor are more messages side by side than a frame can hold: each may hold as many again.
const MOST_INSIDES: usize = 256;

/// What was inside of an ESP or IPComp payload.
#[derive(Clone, Debug)]
pub struct Inside {
    /// The header that it was behind.
    pub header: IpsecHeader,
    /// The bytes as they were before, shared with whoever decrypted them: nobody copies them on a busy line.
    pub plaintext: Arc<Vec<u8>>,
    /// Its protocol.
    pub next_header: u8,
    /// Its layers.
    pub dissection: Dissection,
    /// Which of the others it was inside of; none if of the frame itself.
    pub within: Option<usize>,
    /// Where it stood in that.
    pub outer: Range<usize>,
    /// How far into `outer` its first byte stood, encrypted; none if its bytes are not those of the wire one by one.
    pub ciphertext_at: Option<usize>,
}

/// A frame looked into.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What was inside, from the outside in; one message's after the other where several stand side by side in TCP.
    pub insides: Vec<Inside>,
    /// Why it goes no deeper, if it should; of several messages, why the first one does not.
    pub obstacle: Option<String>,
    /// Whether the obstacle is one that the reasons of the frame's verdict speak of.
    is_judged: bool,
    /// Whether it is the packet that was looked into which the frame completed.
    of_whole: bool,
}

impl Inside {
    /// It in a line.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.dissection)
    }
}

impl Looked {
    /// The bytes of the frame that hide these bytes of what was inside. Every cipher of ESP keeps bytes in their places;
    /// compression does not, and then it is all that was compressed. Of a packet that came in several frames nothing is
    /// said.
    pub fn on_wire(&self, inside: usize, bytes: &Range<usize>) -> Option<Range<usize>> {
        if self.of_whole {
            return None;
        }
        let (mut found, mut next) = (bytes.clone(), Some(inside));
        while let Some(number) = next {
            let inside = self.insides.get(number)?;
            found = match inside.ciphertext_at {
                Some(at) => {
                    let start = inside.outer.start + at;
                    start + found.start..start + found.end
                }
                None => inside.outer.clone(),
            };
            // What is around was there before.
            next = inside.within.filter(|within| *within < number);
        }
        Some(found)
    }

    /// Why it goes no deeper, where the reasons of the frame's verdict do not say so already: they are about the headers that
    /// can be seen on the wire, and of compression they only say that it hides nothing.
    pub fn obstacle_beside_reasons(&self) -> Option<&str> {
        self.obstacle.as_deref().filter(|_| !self.is_judged)
    }

    fn stop(&mut self, obstacle: String, is_judged: bool) {
        if self.obstacle.is_none() {
            (self.obstacle, self.is_judged) = (Some(obstacle), is_judged);
        }
    }
}

/// Which of the messages that stand side by side in TCP are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Messages {
    Last,
    All,
}

/// A header that hides what is behind it.
struct Closed {
    header: IpsecHeader,
    /// Its place among all IPsec headers of what it is inside of.
    number: usize,
    /// From it on, in what it is inside of.
    outer: Range<usize>,
    within: Option<usize>,
    depth: usize,
}

/// What is looked into next, the first on top.
struct Pile {
    closed: SmallVec<[Closed; 1]>,
    messages: Messages,
}

impl Pile {
    /// Puts the headers of a packet on it that hide what is behind them. None of them stands behind another: they are messages
    /// side by side.
    fn put(
        &mut self,
        dissection: &Dissection,
        mut ends: Option<(IpAddr, IpAddr)>,
        within: Option<usize>,
        depth: usize,
    ) {
        let below = self.closed.len();
        let headers = dissection.layers().iter().filter_map(|layer| {
            ends = layer.header.ip_addresses().or(ends);
            Some((layer.header.ipsec(ends?)?, layer.range()))
        });
        for (number, (header, outer)) in headers.enumerate() {
            if header.protocol == IpsecProtocol::Ah {
                continue;
            }
            if self.messages == Messages::Last {
                self.closed.truncate(below);
            }
            self.closed.push(Closed { header, number, outer, within, depth });
        }
        if let Some(new) = self.closed.get_mut(below..) {
            new.reverse();
        }
    }
}

impl Judge {
    /// Decrypts a frame that was judged. Wrong ICVs are not looked behind. Of several messages side by side in TCP it is the
    /// last one.
    pub fn look_into(&self, sight: Sight<'_>, dissection: &Dissection, evidence: &Evidence) -> Looked {
        self.look(sight, dissection, evidence, Messages::Last)
    }

    /// Decrypts all messages of a frame that was judged.
    pub fn look_into_all(&self, sight: Sight<'_>, dissection: &Dissection, evidence: &Evidence) -> Looked {
        self.look(sight, dissection, evidence, Messages::All)
    }

    fn look(&self, sight: Sight<'_>, dissection: &Dissection, evidence: &Evidence, messages: Messages) -> Looked {
        let mut looked = Looked { of_whole: evidence.whole.is_some(), ..Looked::default() };
        let bytes = evidence.whole.as_deref().unwrap_or(sight.bytes);
        let whole = self.whole(dissection, evidence);
        let mut pile = Pile { closed: SmallVec::new(), messages };
        pile.put(&whole, None, None, 0);
        let last = pile.closed.first().map(|closed| closed.number);
        // Few frames have more than one.
        looked.insides.reserve_exact(pile.closed.len());
        while let Some(Closed { header, number, outer, within, depth }) = pile.closed.pop() {
            if depth == DEEPEST {
                looked.stop(format!("more than {DEEPEST} packets inside of one another"), false);
                continue;
            }
            if looked.insides.len() == MOST_INSIDES {
                looked.stop(format!("more than {MOST_INSIDES} packets inside"), false);
                break;
            }
            let around = within.and_then(|within| looked.insides.get(within));
            let covered = around.map_or(bytes, |inside| &inside.plaintext).get(outer.clone()).unwrap_or_default();
            // What was inside of another packet no SA was drawn for.
            let serial = evidence.sas.get(number).copied().flatten().filter(|_| within.is_none());
            let is_newest = within.is_none() && last == Some(number) && self.newest.is_of(evidence);
            let newest = serial.filter(|_| is_newest).and_then(|serial| self.newest_opened(serial, covered.len()));
            match newest.map_or_else(|| self.open(header, covered, serial, sight.at_ns), Ok) {
                Ok(Opened { plaintext, next_header, ciphertext_at }) => {
                    let dissection = self.memory.encapsulations().dissect_above_ip(next_header, &plaintext);
                    let ends = Some((header.source, header.destination));
                    pile.put(&dissection, ends, Some(looked.insides.len()), depth + 1);
                    looked.insides.push(Inside {
                        header,
                        plaintext,
                        next_header,
                        dissection,
                        within,
                        outer,
                        ciphertext_at,
                    });
                }
                Err(obstacle) => {
                    let is_plain = header.protocol == IpsecProtocol::Comp && !whole.is_fragment();
                    looked.stop(obstacle, within.is_none() && !is_plain);
                }
            }
        }
        looked
    }

    /// What was decrypted when the frame was judged, just now.
    fn newest_opened(&self, serial: u64, length: usize) -> Option<Opened> {
        let prepared = self.memory.get(serial)?.prepared().as_ref().ok()?;
        let Prepared::Esp(transform) = &**prepared else { return None };
        let ciphertext_at = Some(transform.layout(length).ok()?.ciphertext.start);
        let (plaintext, next_header) = (Arc::clone(&self.newest.plaintext), self.newest.next_header);
        Some(Opened { plaintext, next_header, ciphertext_at })
    }

    fn open(&self, header: IpsecHeader, covered: &[u8], serial: Option<u64>, at_ns: u64) -> Result<Opened, String> {
        let by_number = || self.memory.of_packet(header.destination, header.protocol, header.spi, at_ns).next();
        let low = header.sequence.unwrap_or(0);
        let known = serial.and_then(|serial| self.memory.get(serial)).or_else(by_number);
        let by_known = match known {
            Some(known) => open_with(known.prepared(), covered, known.sequence(low)).map(|(opened, _)| opened),
            None => Err("its SA is not known".to_owned()),
        };
        // What was inside of another packet no SA was drawn for. A key that cannot be wrong says nothing against an SA.
        let may_prove_nothing = known.is_none_or(|known| known.prepared().is_err());
        let by_given = || {
            let trials = self.memory.trials(&header, at_ns).into_iter();
            let mut opened = trials.filter_map(|trial| open_with(&trial.prepared, covered, trial.sequence).ok());
            let (opened, _) = opened.find(|(_, icv)| *icv == Icv::Good || may_prove_nothing)?;
            Some(opened)
        };
        by_known.or_else(|obstacle| by_given().ok_or(obstacle))
    }
}

/// Beside it what the ICV says.
fn open_with(prepared: &Preparation, covered: &[u8], sequence: u64) -> Result<(Opened, Icv), String> {
    match &**prepared.as_ref().map_err(ToString::to_string)? {
        Prepared::Esp(transform) => {
            let ciphertext_at = transform.layout(covered.len()).ok().map(|layout| layout.ciphertext.start);
            let high = u32::try_from(sequence >> 32).unwrap_or(0);
            let mut plaintext = Vec::new();
            let opened = transform.open(covered, high, &mut plaintext).map_err(|error| match error {
                NotOpened::BadIcv => "what does not authenticate is not decrypted".to_owned(),
                NotOpened::Malformed(why) => why.to_string(),
            })?;
            plaintext.truncate(opened.payload_length);
            let next_header = opened.next_header;
            Ok((Opened { plaintext: plaintext.into(), next_header, ciphertext_at }, opened.icv))
        }
        Prepared::Comp => {
            let next_header = *covered.first().unwrap_or(&59);
            let plaintext = ipcomp::inflate(covered.get(4..).unwrap_or_default()).map_err(|e| e.to_string())?;
            Ok((Opened { plaintext: plaintext.into(), next_header, ciphertext_at: None }, Icv::Absent))
        }
        Prepared::Ah(_) => Err("AH hides nothing".to_owned()),
    }
}

/// An opened payload.
struct Opened {
    plaintext: Arc<Vec<u8>>,
    next_header: u8,
    ciphertext_at: Option<usize>,
}
