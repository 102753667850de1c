//! What a frame proves: frames, SAs and policies in, verdicts with reasons out.
//!
//! A [`Judge`] is told of every SA ([`SaMemory`]) and judges one frame after the other. It says of each whether it was
//! protected, by which SAs, whether it authenticates, and of each frame in clear whether a policy demanded protection.
//! ICVs are checked as frames come; decryption waits until somebody looks ([`Judge::look_into`]).
//!
//! Pure: no I/O, no clock. It must not know where frames and SAs come from.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use crate::model::{IpsecProtocol, PolicyId};
use crate::packet::{Direction, LinkType};

pub mod check;
mod copies;
mod demand;
mod fragments;
mod interfaces;
mod judge;
mod keys;
mod look;
mod memory;
mod opinion;
mod parts;
mod policies;
mod reason;
mod sequence;
mod ties;
mod totals;

pub use interfaces::Interfaces;
pub use judge::Judge;
pub use look::{Inside, Looked};
pub use memory::{Known, SaMemory};
pub use policies::Policies;
pub use reason::{Doubt, Finding, Reason};
pub use totals::{Sums, Totals};

/// A frame as it is brought before the judge.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// When it was seen, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// What it begins with.
    pub link: LinkType,
    /// Which way it went, if that is known.
    pub direction: Option<Direction>,
    /// Whether it crossed the loopback interface, which IPsec leaves alone.
    pub loopback: bool,
    /// Whether bytes are missing at its end.
    pub is_cut: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What a frame is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// ESP, authentic.
    EspOk,
    /// AH, authentic; what it carries can be read by anybody.
    AhOk,
    /// Both, authentic.
    EspAhOk,
    /// An integrity check value is wrong: changed on the way, or made with another key.
    BadIcv,
    /// There is no SA of this number.
    NoSa,
    /// There is an SA, but its key may not be read, or none may be read at all.
    NoKey,
    /// Protected, but nothing can be proven; the reasons say why.
    Unproven,
    /// This sequence number was seen before.
    Replay,
    /// Its receiver drops it for another reason than its number; the reasons say which.
    Refused,
    /// The sequence number is behind the SA's replay window, or so far back that nobody knows whether it came before.
    Old,
    /// Authentic, but so many sequence numbers before it were not seen.
    Gap(u32),
    /// Authentic, but a policy demands more than that.
    Weak,
    /// In clear, though a policy demands protection or forbids it altogether.
    ClearForbidden,
    /// In clear, and that is allowed.
    Clear,
    /// A packet out of an inbound tunnel that the kernel shows again after decryption, or one on an xfrm interface or a VTI, which
    /// shows packets before encryption too; not on the wire.
    Copy,
    /// Key exchange, which protects itself.
    Ike,
    /// A part of a packet; what that proves is said of the frame that completes it.
    Part,
    /// No IP packet.
    Other,
}

impl Verdict {
    /// Whether protection was seen and proven, and no policy demands more.
    pub fn is_protected(self) -> bool {
        matches!(self, Self::EspOk | Self::AhOk | Self::EspAhOk | Self::Gap(_))
    }

    /// Whether protection was seen and proven, enough or not.
    pub fn is_authentic(self) -> bool {
        self.is_protected() || self == Self::Weak
    }

    /// Whether somebody must look at it now.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::BadIcv | Self::ClearForbidden | Self::Weak)
    }

    /// Whether it went against a policy.
    pub fn is_forbidden(self) -> bool {
        matches!(self, Self::ClearForbidden | Self::Weak)
    }
}

impl Verdict {
    /// The word on screen.
    pub fn word(self) -> Cow<'static, str> {
        let word = match self {
            Self::EspOk => "ESP ok",
            Self::AhOk => "AH ok",
            Self::EspAhOk => "ESP+AH ok",
            Self::BadIcv => "BAD ICV",
            Self::NoSa => "NO SA",
            Self::NoKey => "NO KEY",
            Self::Unproven => "UNPROVEN",
            Self::Refused => "REFUSED",
            Self::Replay => "REPLAY",
            Self::Old => "OLD",
            Self::Gap(missing) => return Cow::Owned(format!("GAP {missing}")),
            Self::Weak => "WEAK !",
            Self::ClearForbidden => "CLEAR !",
            Self::Clear => "CLEAR",
            Self::Copy => "COPY",
            Self::Ike => "IKE",
            Self::Part => "PART",
            Self::Other => "OTHER",
        };
        Cow::Borrowed(word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.word())
    }
}

/// What a frame proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// In a word.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Box<[Reason]>,
    /// For each IPsec header that can be read in the frame, outermost first: the SA that it names, as the memory numbers
    /// it.
    pub sas: Sas,
    /// The packet that the frame completed, from its IP header on, if it is the last missing part of one: all is said of
    /// this packet.
    pub whole: Option<Box<[u8]>>,
    /// Which of the judge's decryptions was that of the innermost header; 0 if it was not decrypted. Judged once more a
    /// frame has another number, and other judges know nothing of it.
    opened: u64,
}

/// The SAs that a frame names: most name one.
pub type Sas = SmallVec<[Option<u64>; 1]>;

impl Evidence {
    /// Whether what the frame carries cannot be read on the wire: encrypted and authentic.
    pub fn is_encrypted(&self) -> bool {
        let encrypts =
            |reason: &Reason| matches!(reason, Reason::Header { finding: Finding::Authentic { encrypted: true }, .. });
        self.verdict.is_authentic() && self.reasons.iter().any(encrypts)
    }

    /// Whether it is ESP that anybody can read: its SA does not encrypt.
    pub fn is_esp_in_clear(&self) -> bool {
        self.is_readable() && self.findings().any(|(protocol, _)| protocol == IpsecProtocol::Esp)
    }

    /// Whether it is protected by the look of it, and anybody can read what it carries: none of its SAs encrypts. What is
    /// not of its SA may be anything.
    pub fn is_readable(&self) -> bool {
        let is_of_its_sa = self.verdict.is_authentic() || matches!(self.verdict, Verdict::Refused | Verdict::Unproven);
        let mut findings = self.findings().filter(|(protocol, _)| *protocol != IpsecProtocol::Comp).peekable();
        is_of_its_sa && findings.peek().is_some() && findings.all(|(_, finding)| finding.encrypted() == Some(false))
    }

    /// What was found behind each IPsec header, but for what only its number says.
    fn findings(&self) -> impl Iterator<Item = (IpsecProtocol, &Finding)> {
        let found = self.reasons.iter().filter_map(|reason| match reason {
            Reason::Header { protocol, finding, .. } => Some((*protocol, finding)),
            _ => None,
        });
        found.filter(|(_, finding)| !finding.is_second())
    }

    /// The policy that decided, if one did.
    pub fn policy(&self) -> Option<&PolicyId> {
        self.reasons.iter().find_map(Reason::policy)
    }
}
