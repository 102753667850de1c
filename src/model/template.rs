//! What a policy demands of the SAs that protect a packet.

use std::net::IpAddr;

use super::{IpsecProtocol, Mode, ReqId, Sa, Spi};

/// Whether a packet may go without the transform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// No: without an SA the packet is not sent, without the transform it is not let in.
    #[default]
    Required,
    /// Yes, where no SA answers.
    Use,
}

/// `xfrm_user_tmpl`: one transform of a policy's list. The list is applied first to last on the way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// The transform.
    pub protocol: IpsecProtocol,
    /// How it wraps the packet.
    pub mode: Mode,
    /// The tunnel's near end; unspecified (0.0.0.0 or ::) in transport mode.
    pub source: IpAddr,
    /// The tunnel's far end; unspecified in transport mode.
    pub destination: IpAddr,
    /// The one SA that may be used; 0 for any.
    pub spi: Spi,
    /// The SAs that may be used; 0 for any.
    pub reqid: ReqId,
    /// Whether it may be left out.
    pub level: Level,
    /// `XFRM_SHARE_*`: which flows may share an SA; the kernel stores and ignores it.
    pub share: u8,
    /// The encryption, authentication and compression algorithms allowed, a bit each by PF_KEY id.
    pub algorithm_masks: AlgorithmMasks,
}

/// The algorithms that a template allows, a bit for each PF_KEY id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlgorithmMasks {
    /// Encryption (`ealgos`).
    pub encryption: u32,
    /// Authentication (`aalgos`).
    pub authentication: u32,
    /// Compression (`calgos`).
    pub compression: u32,
}

impl AlgorithmMasks {
    /// Every algorithm.
    pub const ALL: Self = Self { encryption: u32::MAX, authentication: u32::MAX, compression: u32::MAX };
    /// No algorithm.
    pub const NONE: Self = Self { encryption: 0, authentication: 0, compression: 0 };
}

impl Template {
    /// Whether it makes a tunnel from one host to the other.
    pub fn joins(&self, here: IpAddr, there: IpAddr) -> bool {
        self.mode == Mode::Tunnel && (self.source, self.destination) == (here, there)
    }

    /// Whether an SA answers it (`xfrm_state_look_at` on the way out, `xfrm_state_ok` on the way in).
    pub fn is_answered_by(&self, sa: &Sa) -> bool {
        let fits = |wanted: IpAddr, has| wanted.is_unspecified() || wanted == has;
        self.protocol == sa.protocol
            && self.mode == sa.mode
            && (self.spi.0 == 0 || self.spi == sa.spi)
            && (self.reqid.0 == 0 || self.reqid == sa.reqid)
            && fits(self.source, sa.source)
            && fits(self.destination, sa.destination)
    }

    /// A required template for any SA of this protocol and mode between these tunnel ends (unspecified addresses for
    /// transport mode).
    pub fn new(protocol: IpsecProtocol, mode: Mode, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            protocol,
            mode,
            source,
            destination,
            spi: Spi(0),
            reqid: ReqId(0),
            level: Level::Required,
            share: 0,
            algorithm_masks: AlgorithmMasks::ALL,
        }
    }
}
