//! A frame looked into: what was inside of its ESP and IPComp, as far as there are keys.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::memory::{Preparation, Prepared};
use super::{Evidence, Judge, Sight};
use crate::crypto::{Icv, NotOpened, ipcomp};
use crate::model::IpsecProtocol;
use crate::packet::{Dissection, Header, IpsecHeader, Layer, Summary};

/// Deeper nesting is not followed.
const DEEPEST: usize = 8;

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
    /// Where it stood in what it was inside of: the frame, or the plaintext before.
    pub outer: Range<usize>,
    /// How far into `outer` its first byte stood, encrypted; none if its bytes are not those of the wire one by one.
    pub ciphertext_at: Option<usize>,
}

/// A frame looked into.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What was inside, from the outside in.
    pub insides: Vec<Inside>,
    /// Why it goes no deeper, if it should.
    pub obstacle: Option<String>,
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
        let mut found = bytes.clone();
        for inside in self.insides.get(..=inside)?.iter().rev() {
            found = match inside.ciphertext_at {
                Some(at) => {
                    let start = inside.outer.start + at;
                    start + found.start..start + found.end
                }
                None => inside.outer.clone(),
            };
        }
        Some(found)
    }
}

impl Judge {
    /// Decrypts a frame that was judged. Wrong ICVs are not looked behind.
    pub fn look_into(&self, sight: Sight<'_>, dissection: &Dissection, evidence: &Evidence) -> Looked {
        let mut looked = Looked { of_whole: evidence.whole.is_some(), ..Looked::default() };
        let bytes = evidence.whole.as_deref().unwrap_or(sight.bytes);
        let Some((header, range)) = closed(&self.whole(dissection, evidence), None) else {
            return looked;
        };
        // Few frames have more than one.
        looked.insides.reserve_exact(1);
        let serial = evidence.sas.last().copied().flatten();
        let mut next = Some((header, range, serial));
        while let Some((header, outer, serial)) = next.take() {
            if looked.insides.len() == DEEPEST {
                looked.obstacle = Some(format!("more than {DEEPEST} packets inside of one another"));
                break;
            }
            let around = looked.insides.last().map_or(bytes, |inside| inside.plaintext.as_slice());
            let covered = around.get(outer.clone()).unwrap_or_default();
            let is_newest = looked.insides.is_empty() && self.newest.is_of(evidence);
            let newest = serial.filter(|_| is_newest).and_then(|serial| self.newest_opened(serial, covered.len()));
            match newest.map_or_else(|| self.open(header, covered, serial, sight.at_ns), Ok) {
                Ok(Opened { plaintext, next_header, ciphertext_at }) => {
                    let dissection = self.memory.encapsulations().dissect_above_ip(next_header, &plaintext);
                    let ends = Some((header.source, header.destination));
                    next = closed(&dissection, ends).map(|(header, range)| (header, range, None));
                    looked.insides.push(Inside { header, plaintext, next_header, dissection, outer, ciphertext_at });
                }
                Err(obstacle) => looked.obstacle = Some(obstacle),
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

/// The header that hides what is behind it, with the bytes from it on.
fn closed(dissection: &Dissection, ends: Option<(IpAddr, IpAddr)>) -> Option<(IpsecHeader, Range<usize>)> {
    let hides = |layer: &&Layer| matches!(layer.header, Header::Esp(_) | Header::IpComp(_));
    let layer = dissection.layers().iter().rev().find(hides)?;
    let header = dissection.ipsec_between(ends).filter(|header| header.protocol != IpsecProtocol::Ah).last()?;
    Some((header, layer.range()))
}
