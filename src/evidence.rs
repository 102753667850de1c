//! What a frame proves: frames, SAs and policies in, verdicts with reasons out.
//!
//! A [`Judge`] is told of every SA ([`SaMemory`]) and judges one frame after the other. It says of each whether it was
//! protected, by which SAs, whether it authenticates, and of each frame in clear whether a policy demanded protection.
//! ICVs are checked as frames come; decryption waits until somebody looks ([`Judge::look_into`]).
//!
//! Pure: no I/O, no clock. It must not know where frames and SAs come from.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use smallvec::SmallVec;

use crate::crypto::{Malformed, Unready};
use crate::model::{Exemption, IpsecProtocol, Mode, PolicyId, ReqId, Selector, Spi, UpperProtocol};
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
mod sequence;
mod ties;
mod totals;

pub use interfaces::Interfaces;
pub use judge::Judge;
pub use look::{Inside, Looked};
pub use memory::{Known, SaMemory};
pub use policies::Policies;
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

/// A step on the way to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What was found behind an IPsec header.
    Header {
        /// Its protocol.
        protocol: IpsecProtocol,
        /// Its SA's number.
        spi: Spi,
        /// What was found.
        finding: Finding,
    },
    /// A policy demands protection, and there is none.
    Demanded(Box<PolicyId>),
    /// A policy demands this beside what there is.
    Short {
        /// Which.
        policy: Box<PolicyId>,
        /// The transform that is missing.
        protocol: IpsecProtocol,
        /// How it should wrap the packet.
        mode: Mode,
        /// The number that its SA should have; 0 for any.
        reqid: ReqId,
    },
    /// A policy lets nothing of this kind pass.
    Blocked(Box<PolicyId>),
    /// No policy is about it, and what no policy is about is dropped.
    BlockedByDefault,
    /// A policy lets it pass without protection where there is no SA.
    Optional(Box<PolicyId>),
    /// A policy lets it pass in clear.
    Allowed(Box<PolicyId>),
    /// A policy demands protection, and there is what it demands.
    Satisfied(Box<PolicyId>),
    /// The kernel may have decided otherwise, by this policy; without one as the default says.
    MaybeOther(Doubt, Option<Box<PolicyId>>),
    /// A setting of its interface exempts it from policies.
    Exempt(Exemption),
    /// A policy lets it pass as it is, which what comes out of a tunnel must not be.
    NotDemanded(Box<PolicyId>),
    /// It came out of a tunnel, and no policy is about it.
    TunnelWithoutPolicy,
    /// No policy is about it.
    NoPolicy,
    /// Nobody said which policies there are.
    PoliciesUnknown,
    /// It is compressed, which protects nothing.
    Compressed,
    /// A frame that arrived shortly before contains it, encrypted.
    Decrypted,
    /// It is on an interface behind which it is encrypted, or was; by this policy, if it is known.
    TunnelInterface(Option<Box<PolicyId>>),
    /// It is on an interface that wraps it into another packet, encrypted or not.
    Wrapped,
    /// A tunnel's packet that could not be opened arrived shortly before; it may be this one.
    MaybeDecrypted,
    /// Loopback is exempt from policies.
    Loopback,
    /// A part of a packet inside of another: an ICV covers the whole.
    Fragment,
    /// A part of a packet; another frame will complete it.
    PartOfPacket,
    /// A part of a packet that overlaps or contradicts the other parts: receivers drop it with them.
    ContradictingPart,
    /// The frame completes a packet of so many parts.
    PutTogether(usize),
    /// A part of a TCP stream that carries IKE and ESP (RFC 9329): where a message begins is not known.
    StreamPiece,
    /// Bytes are missing at the frame's end, so no ICV can be checked.
    Cut,
}

/// Why it is not certain which policy the kernel asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// One is for a mark, and no capture shows marks.
    Mark,
    /// One is for an interface, and no frame shows the one by which it is routed.
    Interface,
    /// One is of the same priority, and which of them the kernel asks first cannot be seen from here.
    Order,
    /// It is passed on in parts, and whether the kernel put them together before cannot be seen from here. A part has no
    /// ports.
    Parts,
}

impl Doubt {
    fn words(self) -> &'static str {
        match self {
            Self::Mark => "a policy for a mark may be about it, and no capture shows marks",
            Self::Interface => "a policy for an interface may be about it, and no frame shows how it is routed",
            Self::Order => {
                "another policy of the same priority may be asked first; different priorities would make it certain"
            }
            Self::Parts => "asked about the parts one by one, without ports, the kernel decides otherwise",
        }
    }
}

impl Reason {
    /// Whether a packet in clear must not pass because of it.
    fn forbids(&self) -> bool {
        matches!(self, Self::Demanded(_) | Self::Blocked(_) | Self::BlockedByDefault)
    }

    /// The policy that it tells of, if that decided.
    fn policy(&self) -> Option<&PolicyId> {
        match self {
            Self::Demanded(id)
            | Self::Short { policy: id, .. }
            | Self::Blocked(id)
            | Self::Optional(id)
            | Self::NotDemanded(id)
            | Self::Satisfied(id)
            | Self::TunnelInterface(Some(id))
            | Self::Allowed(id) => Some(id),
            _ => None,
        }
    }
}

/// What was found behind an IPsec header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The ICV is right.
    Authentic {
        /// Whether the payload is encrypted as well.
        encrypted: bool,
    },
    /// The ICV is wrong.
    WrongIcv,
    /// The SA does not authenticate.
    NoIcv {
        /// Whether the payload is encrypted.
        encrypted: bool,
    },
    /// The SA authenticates, and its key does not say how.
    UncheckedIcv {
        /// Whether the payload is encrypted.
        encrypted: bool,
    },
    /// No SA of this number leads to this address.
    NoSa(IpAddr),
    /// Whether there is an SA of this number cannot be known: the kernel's SAs may not be read.
    SasUnreadable,
    /// The SA's packets cannot be looked into.
    Unready(Unready),
    /// It is no packet of the SA.
    Malformed(Malformed),
    /// It is no packet of the SA, whose ICV would have said so.
    Impossible(Malformed),
    /// The SA's packets come in this protocol, or in none but IP; this one does not.
    OtherCarrier(Option<UpperProtocol>),
    /// The SA makes tunnels, and what it carries here is no packet.
    NoPacket(u8),
    /// The SA is not for such packets.
    OutsideSelector(Box<Selector>),
    /// It is authenticated together with headers that are not there any more.
    InsideTransport,
    /// The sequence number was seen before.
    Repeated(u64),
    /// The sequence number is behind the replay window of the SA.
    Behind {
        /// Which.
        number: u64,
        /// How many numbers back its receiver takes.
        window: u32,
    },
    /// The sequence number is further back than is remembered here.
    Forgotten(u64),
    /// So many numbers before this one were not seen.
    Missing(u32),
}

impl Finding {
    /// Whether the payload is encrypted, if nothing speaks against its being the SA's.
    pub(crate) fn encrypted(&self) -> Option<bool> {
        match self {
            Self::Authentic { encrypted } | Self::NoIcv { encrypted } | Self::UncheckedIcv { encrypted } => {
                Some(*encrypted)
            }
            _ => None,
        }
    }

    /// It in a sentence, behind the name of the header.
    fn write(&self, protocol: IpsecProtocol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authentic { .. } if protocol == IpsecProtocol::Comp => {
                f.write_str("compressed; it neither encrypts nor authenticates")
            }
            Self::Authentic { encrypted: true } => f.write_str("encrypted, and the ICV is right"),
            Self::Authentic { .. } if protocol == IpsecProtocol::Ah => {
                f.write_str("the ICV is right; AH itself encrypts nothing")
            }
            Self::Authentic { encrypted: false } => {
                f.write_str("the ICV is right, but nothing is encrypted: the payload can be read")
            }
            Self::WrongIcv => f.write_str("the ICV is wrong: changed on the way, or another key"),
            Self::NoIcv { encrypted: true } => {
                f.write_str("the SA does not authenticate: anybody can change its packets")
            }
            Self::NoIcv { encrypted: false } => {
                f.write_str("the SA neither encrypts nor authenticates: anybody can read and change its packets")
            }
            Self::UncheckedIcv { encrypted } => {
                f.write_str("the key file does not say how the SA authenticates: the ICV is not checked")?;
                if *encrypted { Ok(()) } else { f.write_str("; nothing is encrypted: the payload can be read") }
            }
            Self::NoSa(to) => write!(f, "no SA of this number to {to} is known"),
            Self::SasUnreadable => f.write_str("espial may not read the kernel's SAs"),
            Self::Unready(why) => write!(f, "{why}"),
            Self::Malformed(why @ Malformed::Padding { .. }) => {
                write!(f, "decrypted it is no packet: {why}; is the encryption key another one?")
            }
            Self::Malformed(why) | Self::Impossible(why) => write!(f, "{why}"),
            Self::OtherCarrier(Some(carrier)) => {
                let carrier = carrier.to_string().to_uppercase();
                write!(f, "the SA is for packets in {carrier}, and its receiver drops others")
            }
            Self::OtherCarrier(None) => {
                f.write_str("the SA is for packets neither in UDP nor in TCP, and its receiver drops others")
            }
            Self::NoPacket(number) => {
                let carried = UpperProtocol(*number);
                write!(f, "a tunnel's SA, but what it carries is {carried} and no packet: its receiver drops it")
            }
            Self::OutsideSelector(selector) => {
                write!(f, "the SA is for {selector} alone, and its receiver drops others")
            }
            Self::InsideTransport => f.write_str("inside of another SA's payload; its ICV is not checked"),
            Self::Repeated(number) => write!(f, "sequence number {number} was seen before"),
            Self::Behind { number, window } => {
                write!(f, "sequence number {number} is behind the SA's replay window of {window}")
            }
            Self::Forgotten(number) => {
                write!(f, "sequence number {number} is so far back that nobody here knows whether it came before")
            }
            Self::Missing(1) => f.write_str("the sequence number before it was not seen"),
            Self::Missing(count) => write!(f, "{count} sequence numbers before it were not seen"),
        }
    }

    /// Whether it is said beside another finding about the same header.
    fn is_second(&self) -> bool {
        matches!(
            self,
            Self::Repeated(_)
                | Self::Behind { .. }
                | Self::Forgotten(_)
                | Self::Missing(_)
                | Self::OtherCarrier(_)
                | Self::NoPacket(_)
                | Self::OutsideSelector(_)
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { protocol, spi, finding } => {
                write!(f, "{} {spi}: ", protocol.to_string().to_uppercase())?;
                finding.write(*protocol, f)
            }
            Self::Demanded(policy) => write!(f, "a policy demands protection: {policy}"),
            Self::Short { policy, protocol, mode, reqid } => {
                let protocol = protocol.to_string().to_uppercase();
                let tie = if reqid.0 == 0 { String::new() } else { format!(" by an SA of reqid {reqid}") };
                write!(f, "a policy demands {protocol} in {mode} mode{tie}, which it does not have: {policy}")
            }
            Self::Blocked(policy) => write!(f, "a policy blocks it: {policy}"),
            Self::BlockedByDefault => f.write_str("no policy is about it, and the default is to block"),
            Self::Optional(policy) => write!(f, "the policy's protection is optional: {policy}"),
            Self::Allowed(policy) => write!(f, "a policy lets it pass: {policy}"),
            Self::Satisfied(policy) => write!(f, "it has what a policy demands: {policy}"),
            Self::MaybeOther(doubt, policy) => {
                f.write_str(doubt.words())?;
                policy.as_ref().map_or(Ok(()), |policy| write!(f, ": {policy}"))
            }
            Self::NotDemanded(policy) => {
                write!(f, "it came out of a tunnel that the policy does not ask for, so it is dropped: {policy}")
            }
            Self::TunnelWithoutPolicy => {
                f.write_str("it came out of a tunnel, and no policy is about what was inside: it is dropped")
            }
            Self::Exempt(setting) => write!(f, "no policy is asked about it: {setting} is set"),
            Self::NoPolicy => f.write_str("no policy is about it"),
            Self::PoliciesUnknown => f.write_str("without policies nobody knows whether that is allowed"),
            Self::Compressed => f.write_str("compressed, not encrypted"),
            Self::Decrypted => {
                f.write_str("the kernel shows again what it decrypted; it was not on the wire like this")
            }
            Self::TunnelInterface(policy) => {
                f.write_str("on an interface behind which it is encrypted; it is not on the wire like this")?;
                policy.as_ref().map_or(Ok(()), |policy| write!(f, ": {policy}"))
            }
            Self::Wrapped => f.write_str("on an interface that wraps it into another packet: look at that one"),
            Self::MaybeDecrypted => f.write_str(
                "perhaps out of a tunnel whose packets cannot be opened here, and not on the wire like this",
            ),
            Self::Loopback => f.write_str("loopback is exempt from policies"),
            Self::Fragment => f.write_str("a part of a packet: the ICV covers the whole"),
            Self::PartOfPacket => f.write_str("a part of a packet, which is judged with the frame that completes it"),
            Self::ContradictingPart => {
                f.write_str("a part of a packet that contradicts the others: receivers drop it and them")
            }
            Self::PutTogether(parts) => write!(f, "put together from {parts} parts"),
            Self::StreamPiece => {
                f.write_str("a part of a stream of IKE and ESP in TCP, which is not put together here")
            }
            Self::Cut => f.write_str("the capture cut the frame: the ICV cannot be checked"),
        }
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
