//! Why a frame has its verdict, in sentences.

use std::fmt;
use std::net::IpAddr;

use crate::crypto::{Malformed, Unready};
use crate::model::{Exemption, IpsecProtocol, Mode, PolicyId, ReqId, Selector, Spi, UpperProtocol};

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
    /// It depends on what is inside whether its receiver takes it, and that cannot be looked into now.
    NotOpened,
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
    pub(super) fn forbids(&self) -> bool {
        matches!(self, Self::Demanded(_) | Self::Blocked(_) | Self::BlockedByDefault)
    }

    /// The policy that it tells of, if that decided.
    pub(super) fn policy(&self) -> Option<&PolicyId> {
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
    /// It is none that a sender uses, and a receiver with a window drops it.
    Zero,
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
            Self::Zero => f.write_str("sequence number 0 is none that a sender uses: its receiver drops it"),
            Self::Missing(1) => f.write_str("the sequence number before it was not seen, or not taken"),
            Self::Missing(count) => write!(f, "{count} sequence numbers before it were not seen, or not taken"),
        }
    }

    /// Whether it is said beside another finding about the same header.
    pub(super) fn is_second(&self) -> bool {
        matches!(
            self,
            Self::Repeated(_)
                | Self::Behind { .. }
                | Self::Forgotten(_)
                | Self::Missing(_)
                | Self::Zero
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
            Self::NotOpened => {
                f.write_str("it is not looked into here, and what is inside decides whether its receiver takes it")
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
