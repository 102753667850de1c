//! Security associations: as the kernel tells them, and as they are written.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{
    AlgorithmName, Extras, IfId, IpsecProtocol, LifetimeLimits, LifetimeUsed, Mark, Mode, ReqId, Secret, Selector, Spi,
};

/// What names an SA to the kernel. The source address is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaId {
    /// Where its packets go.
    pub destination: IpAddr,
    /// Its transform.
    pub protocol: IpsecProtocol,
    /// Its number.
    pub spi: Spi,
    /// Its mark, if it has one.
    pub mark: Option<Mark>,
    /// What tells SAs apart that wait for a key manager and have no SPI yet; 0 for all others.
    pub acquire_sequence: u32,
}

impl fmt::Display for SaId {
    /// `esp 0x000003e9 to 10.9.0.2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}", self.protocol, self.spi, self.destination)?;
        match self.mark {
            Some(mark) => write!(f, " mark {mark}"),
            None => Ok(()),
        }
    }
}

/// Which way an SA's packets go (`XFRMA_SA_DIR`, Linux 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaDirection {
    /// It decrypts what arrives.
    In,
    /// It encrypts what leaves.
    Out,
}

impl fmt::Display for SaDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In => f.pad("in"),
            Self::Out => f.pad("out"),
        }
    }
}

/// An algorithm with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Which.
    pub name: AlgorithmName,
    /// The key, salt or nonce at its end.
    pub key: Secret,
    /// How many bits of the integrity check value are sent; 0 for encryption alone.
    pub icv_bits: u32,
}

impl Transform {
    /// The key length in bits without salt or nonce.
    pub fn cipher_key_bits(&self) -> usize {
        self.key.bits().saturating_sub(self.name.known().map_or(0, |algorithm| algorithm.salt_bits.into()))
    }
}

/// The transforms of an SA, by the netlink attribute that each comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Algorithms {
    /// `XFRMA_ALG_AEAD`
    pub aead: Option<Transform>,
    /// `XFRMA_ALG_CRYPT`
    pub encryption: Option<Transform>,
    /// `XFRMA_ALG_AUTH_TRUNC`, or `XFRMA_ALG_AUTH` where a kernel tells only that
    pub authentication: Option<Transform>,
    /// `XFRMA_ALG_COMP`
    pub compression: Option<AlgorithmName>,
}

impl Algorithms {
    /// Whether there are none: the SA is larval, a mere reservation of an SPI.
    pub fn is_none(&self) -> bool {
        self.aead.is_none() && self.encryption.is_none() && self.authentication.is_none() && self.compression.is_none()
    }

    /// What hides the payload: `aes-gcm-128`, `3des-cbc`, `deflate`, or `-`.
    pub fn encryption_label(&self) -> String {
        if let Some(transform) = self.aead.as_ref().or(self.encryption.as_ref()) {
            let label = transform.name.label();
            return match transform.name.known() {
                Some(algorithm) if transform.key.is_empty() || algorithm.key_bits.is_fixed() => label.to_owned(),
                _ => format!("{label}-{}", transform.cipher_key_bits()),
            };
        }
        self.compression.as_ref().map_or("-", AlgorithmName::label).to_owned()
    }

    /// What proves the origin: `hmac-sha1-96`, `aead-128`, or `-`.
    pub fn authentication_label(&self) -> String {
        match (&self.aead, &self.authentication) {
            (Some(aead), _) => format!("aead-{}", aead.icv_bits),
            (None, Some(transform)) if transform.icv_bits == 0 => transform.name.label().to_owned(),
            (None, Some(transform)) => format!("{}-{}", transform.name.label(), transform.icv_bits),
            (None, None) => "-".to_owned(),
        }
    }
}

/// Sequence numbers seen and sent, and the window that guards against replays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How many sequence numbers back a packet may be; 0 guards nothing.
    pub window: u32,
    /// The highest sequence number received; 64 bits with ESN.
    pub received: u64,
    /// The last sequence number sent; 64 bits with ESN.
    pub sent: u64,
    /// Which numbers of the window have arrived, a bit each, 32 to a word.
    pub bitmap: Box<[u32]>,
    /// Whether the bits are a ring, as those of `XFRMA_REPLAY_ESN_VAL`. Else the lowest is that of the highest number.
    pub is_ring: bool,
}

/// What an SA's receiver does with a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It takes it.
    New,
    /// It has it already.
    Repeated,
    /// It is too far back.
    Behind,
}

impl Replay {
    /// What becomes of a number that arrives now (`xfrm_replay_check` and its kin, `net/xfrm/xfrm_replay.c`).
    pub fn receipt(&self, number: u64) -> Receipt {
        let window = u64::from(self.window);
        let Some(back) = self.received.checked_sub(number).filter(|_| window > 0) else {
            return Receipt::New;
        };
        if back >= window {
            return Receipt::Behind;
        }
        let place = if self.is_ring {
            // The lower half alone says where the ring stands.
            let low = self.received & u64::from(u32::MAX);
            (low.checked_sub(1).unwrap_or(u32::MAX.into()) % window + window - back) % window
        } else {
            back
        };
        let word = usize::try_from(place / 32).ok().and_then(|word| self.bitmap.get(word));
        if word.is_some_and(|word| word >> (place % 32) & 1 == 1) { Receipt::Repeated } else { Receipt::New }
    }
}

/// What went wrong on an SA (`xfrm_stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaErrors {
    /// Packets older than the window.
    pub before_window: u32,
    /// Packets seen before.
    pub replayed: u32,
    /// Packets whose ICV was wrong: wrong authentication key, wrong ICV length, or forged.
    pub integrity_failed: u32,
}

impl SaErrors {
    /// All of them together.
    pub fn total(self) -> u64 {
        u64::from(self.before_window) + u64::from(self.replayed) + u64::from(self.integrity_failed)
    }
}

/// An SA as the kernel told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa {
    /// Where its packets come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// Its transform.
    pub protocol: IpsecProtocol,
    /// Its number.
    pub spi: Spi,
    /// How it wraps packets.
    pub mode: Mode,
    /// What ties it to policies.
    pub reqid: ReqId,
    /// The number that ties it to the ACQUIRE it answers.
    pub acquire_sequence: u32,
    /// `XFRM_STATE_*`, see [`SaFlags`].
    pub flags: SaFlags,
    /// Its way, where the kernel knows it.
    pub direction: Option<SaDirection>,
    /// Its mark.
    pub mark: Option<Mark>,
    /// The xfrm interface it belongs to.
    pub if_id: Option<IfId>,
    /// Its algorithms and keys: who remembers them beside it shares them, so that each key is in memory once.
    pub algorithms: Arc<Algorithms>,
    /// Its sequence numbers.
    pub replay: Replay,
    /// What went wrong.
    pub errors: SaErrors,
    /// When it ends.
    pub limits: LifetimeLimits,
    /// What it has done.
    pub used: LifetimeUsed,
    /// When it was last used, seconds since the epoch; many kernels do not tell.
    pub last_used_at: Option<u64>,
    /// The packets that it may be used for.
    pub selector: Selector,
    /// The rest.
    pub extras: Extras,
}

impl Sa {
    /// What names it to the kernel.
    pub fn id(&self) -> SaId {
        let acquire_sequence = if self.spi.0 == 0 { self.acquire_sequence } else { 0 };
        let (destination, protocol, spi, mark) = (self.destination, self.protocol, self.spi, self.mark);
        SaId { destination, protocol, spi, mark, acquire_sequence }
    }

    /// What would make it again, with its sequence numbers at the start and everything else as the kernel told it, also
    /// what espial has no name for. A selector that the kernel fills in by itself is left out.
    pub fn to_spec(&self) -> SaSpec {
        SaSpec {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            spi: self.spi,
            mode: self.mode,
            reqid: self.reqid,
            flags: self.flags,
            direction: self.direction,
            mark: self.mark,
            if_id: self.if_id,
            algorithms: (*self.algorithms).clone(),
            replay_window: self.replay.window,
            sent: 0,
            received: 0,
            limits: self.limits,
            acquire_sequence: self.acquire_sequence,
            selector: Some(self.selector).filter(|selector| !selector.is_default_of(self.destination, self.flags)),
            extras: self.extras.clone(),
        }
    }

    /// Whether it is a mere reservation of an SPI, waiting for its keys.
    pub fn is_larval(&self) -> bool {
        self.algorithms.is_none()
            && matches!(self.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp)
    }
}

impl Sa {
    /// Whether the kernel made it by itself: IP in IP, beside an IPComp SA in tunnel mode, for packets that were not
    /// worth compressing (`ipcomp_tunnel_create`, `net/ipv4/ipcomp.c`). Nobody else can.
    pub fn is_made_by_kernel(&self) -> bool {
        matches!(self.protocol, IpsecProtocol::Other(4 | 41))
    }

    /// The SA that a kernel would tell right after `spec` was written at `now` (seconds since the epoch): what tests
    /// and the scripted kernel start from.
    pub fn from_spec(spec: &SaSpec, now: u64) -> Self {
        let replay =
            Replay { window: spec.replay_window, received: spec.received, sent: spec.sent, ..Replay::default() };
        Self {
            source: spec.source,
            destination: spec.destination,
            protocol: spec.protocol,
            spi: spec.spi,
            mode: spec.mode,
            reqid: spec.reqid,
            acquire_sequence: spec.acquire_sequence,
            flags: spec.flags,
            direction: spec.direction,
            mark: spec.mark,
            if_id: spec.if_id,
            algorithms: Arc::new(spec.algorithms.clone()),
            replay,
            errors: SaErrors::default(),
            limits: spec.limits,
            used: LifetimeUsed { added_at: now, ..LifetimeUsed::default() },
            last_used_at: None,
            selector: spec.selector.unwrap_or_else(|| Selector::default_of(spec.destination, spec.flags)),
            extras: spec.extras.clone(),
        }
    }
}

/// `XFRM_STATE_*` flags of an SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaFlags(pub u8);

impl SaFlags {
    /// Extended sequence numbers, RFC 4303 section 2.2.1.
    pub const ESN: u8 = 128;
    /// The words of `ip xfrm`, by bit; the last is [`SaFlags::ESN`].
    pub const NAMES: [&str; 8] =
        ["noecn", "decap-dscp", "nopmtudisc", "wildrecv", "icmp", "af-unspec", "align4", "esn"];

    /// Whether an SA that names no packets is for those of both families.
    pub fn any_family(self) -> bool {
        self.0 & 32 != 0
    }

    /// Whether the policies are asked once more about an error of ICMP, by the packet that it quotes (`XFRM_STATE_ICMP`).
    pub fn icmp(self) -> bool {
        self.0 & 16 != 0
    }

    /// Whether sequence numbers have 64 bits.
    pub fn esn(self) -> bool {
        self.0 & Self::ESN != 0
    }

    /// The words of `ip xfrm` for the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }
}

impl fmt::Display for SaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// An SA that is checked and ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaSpec {
    /// Where its packets come from.
    pub source: IpAddr,
    /// Where they go; of the same family.
    pub destination: IpAddr,
    /// Its transform.
    pub protocol: IpsecProtocol,
    /// Its number.
    pub spi: Spi,
    /// How it wraps packets.
    pub mode: Mode,
    /// What ties it to policies.
    pub reqid: ReqId,
    /// `XFRM_STATE_*`.
    pub flags: SaFlags,
    /// Its way; left to the kernel where `None`.
    pub direction: Option<SaDirection>,
    /// Its mark.
    pub mark: Option<Mark>,
    /// The xfrm interface it belongs to.
    pub if_id: Option<IfId>,
    /// Its algorithms and keys.
    pub algorithms: Algorithms,
    /// The replay window in packets; at most 32 without ESN.
    pub replay_window: u32,
    /// The last sequence number that counts as sent: its first packet has the next one. 64 bits with ESN.
    pub sent: u64,
    /// The highest sequence number that counts as received. 64 bits with ESN.
    pub received: u64,
    /// When it ends.
    pub limits: LifetimeLimits,
    /// The number that ties it to the ACQUIRE it answers.
    pub acquire_sequence: u32,
    /// The packets that it may be used for; everything of its family where `None`.
    pub selector: Option<Selector>,
    /// The rest.
    pub extras: Extras,
}

impl SaSpec {
    /// A transport mode SA without algorithms, limits or replay window.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: IpsecProtocol, spi: Spi) -> Self {
        Self {
            source,
            destination,
            protocol,
            spi,
            mode: Mode::Transport,
            reqid: ReqId(0),
            flags: SaFlags(0),
            direction: None,
            mark: None,
            if_id: None,
            algorithms: Algorithms::default(),
            replay_window: 0,
            sent: 0,
            received: 0,
            limits: LifetimeLimits::default(),
            acquire_sequence: 0,
            selector: None,
            extras: Extras::default(),
        }
    }

    /// What will name it to the kernel.
    pub fn id(&self) -> SaId {
        let (destination, protocol, spi, mark) = (self.destination, self.protocol, self.spi, self.mark);
        SaId { destination, protocol, spi, mark, acquire_sequence: 0 }
    }
}

/// An SPI that is wanted for an SA to come (`xfrm_userspi_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiRequest {
    /// Where the SA's packets will come from.
    pub source: IpAddr,
    /// Where they will go.
    pub destination: IpAddr,
    /// Its transform.
    pub protocol: IpsecProtocol,
    /// How it will wrap packets.
    pub mode: Mode,
    /// What will tie it to policies.
    pub reqid: ReqId,
    /// The ACQUIRE that it answers.
    pub acquire_sequence: u32,
    /// The least number that will do.
    pub least: Spi,
    /// The greatest number that will do.
    pub greatest: Spi,
    /// Its mark.
    pub mark: Option<Mark>,
    /// The xfrm interface that it will belong to.
    pub if_id: Option<IfId>,
    /// Its way; left to the kernel where `None`.
    pub direction: Option<SaDirection>,
    /// The CPU that alone will use it.
    pub cpu: Option<u32>,
}

impl SpiRequest {
    /// Any SPI that is not reserved, for a transport mode SA.
    pub fn any(source: IpAddr, destination: IpAddr, protocol: IpsecProtocol) -> Self {
        let greatest = if protocol == IpsecProtocol::Comp { 0xffff } else { u32::MAX };
        Self {
            source,
            destination,
            protocol,
            mode: Mode::Transport,
            reqid: ReqId(0),
            acquire_sequence: 0,
            least: Spi(0x100),
            greatest: Spi(greatest),
            mark: None,
            if_id: None,
            direction: None,
            cpu: None,
        }
    }
}

impl fmt::Display for SpiRequest {
    /// `an SPI from 0x00000100 to 0xffffffff for esp to 10.9.0.2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, destination, least, greatest, .. } = self;
        if least == greatest {
            return write!(f, "the SPI {least} for {protocol} to {destination}");
        }
        write!(f, "an SPI from {least} to {greatest} for {protocol} to {destination}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_takes_each_number_once() {
        use Receipt::{Behind, New, Repeated};
        // 100, 99 and 97 of the last eight.
        let short = Replay { window: 8, received: 100, sent: 0, bitmap: [0b1011].into(), is_ring: false };
        let answers = |replay: &Replay, numbers: &[u64]| -> Vec<Receipt> {
            numbers.iter().map(|number| replay.receipt(*number)).collect()
        };
        assert_eq!(
            answers(&short, &[101, 100, 99, 98, 97, 93, 92]),
            [New, Repeated, Repeated, New, Repeated, New, Behind]
        );
        // The same in a ring of 40, where 100 stands at 99 % 40 = 19.
        let bits = [19_u32, 18, 16].iter().fold(0, |bits, place| bits | 1 << place);
        let ring = Replay { window: 40, received: 100, sent: 0, bitmap: [bits, 0].into(), is_ring: true };
        assert_eq!(
            answers(&ring, &[101, 100, 99, 98, 97, 61, 60]),
            [New, Repeated, Repeated, New, Repeated, New, Behind]
        );
        // Over the ring's end, and over the end of the lower half.
        let ring = Replay { window: 64, received: 1 << 32, sent: 0, bitmap: [0, 1 << 31].into(), is_ring: true };
        assert_eq!(answers(&ring, &[1 << 32, (1 << 32) - 1]), [Repeated, New]);
        let none = Replay { window: 0, ..short };
        assert_eq!(answers(&none, &[1, 100]), [New, New]);
    }

    fn transform(kernel: &str, key_bytes: usize, icv_bits: u32) -> Transform {
        Transform { name: AlgorithmName::from_kernel(kernel), key: Secret::copy_from(&vec![7; key_bytes]), icv_bits }
    }

    #[test]
    fn labels_say_what_matters() {
        let gcm = Algorithms { aead: Some(transform("rfc4106(gcm(aes))", 20, 128)), ..Algorithms::default() };
        assert_eq!((gcm.encryption_label(), gcm.authentication_label()), ("aes-gcm-128".into(), "aead-128".into()));
        let article = Algorithms {
            encryption: Some(transform("cbc(des3_ede)", 24, 0)),
            authentication: Some(transform("hmac(sha1)", 20, 96)),
            ..Algorithms::default()
        };
        assert_eq!(
            (article.encryption_label(), article.authentication_label()),
            ("3des-cbc".into(), "hmac-sha1-96".into())
        );
        let null = Algorithms {
            encryption: Some(transform("ecb(cipher_null)", 0, 0)),
            authentication: Some(transform("digest_null", 0, 0)),
            ..Algorithms::default()
        };
        assert_eq!((null.encryption_label(), null.authentication_label()), ("null".into(), "null".into()));
        let newer = Algorithms { encryption: Some(transform("cbc(new)", 16, 0)), ..Algorithms::default() };
        assert_eq!((newer.encryption_label(), newer.authentication_label()), ("cbc(new)-128".into(), "-".into()));
    }

    #[test]
    fn debug_of_an_sa_hides_its_keys() {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Ah, Spi(1000));
        spec.algorithms.authentication = Some(transform("hmac(md5)", 16, 96));
        let text = format!("{spec:?}");
        assert!(text.contains("Secret(128 bits)") && !text.contains("7, 7"), "{text}");
    }

    #[test]
    fn flags_have_ips_words() {
        assert_eq!(SaFlags(0).to_string(), "");
        assert_eq!(SaFlags(128 | 1).to_string(), "noecn esn");
    }
}
