//! What few SAs have beside what all have: kept apart so that the many stay small.

use std::fmt;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};

use super::{Mark, Secret};

/// UDP or TCP around the ESP packet, to pass NAT (RFC 3948, RFC 8229).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// `UDP_ENCAP_ESPINUDP` (2), `TCP_ENCAP_ESPINTCP` (7), ...
    pub kind: u16,
    /// The outer source port.
    pub source_port: u16,
    /// The outer destination port.
    pub destination_port: u16,
    /// The address that the sender had before NAT.
    pub original: IpAddr,
}

impl Encapsulation {
    /// `UDP_ENCAP_ESPINUDP`: ESP in UDP (RFC 3948).
    pub const ESP_IN_UDP: u16 = 2;
    /// `TCP_ENCAP_ESPINTCP`: ESP in TCP (RFC 8229).
    pub const ESP_IN_TCP: u16 = 7;
    /// The kinds that have a word in `ip xfrm`.
    pub const NAMES: [(u16, &str); 3] =
        [(1, "espinudp-nonike"), (Self::ESP_IN_UDP, "espinudp"), (Self::ESP_IN_TCP, "espintcp")];
}

impl fmt::Display for Encapsulation {
    /// `espinudp 4500>4500`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(kind, _)| *kind == self.kind) {
            Some((_, name)) => f.write_str(name)?,
            None => write!(f, "type {}", self.kind)?,
        }
        write!(f, " {}>{}", self.source_port, self.destination_port)
    }
}

/// A device that does the transform (`xfrm_user_offload`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// The device's interface index.
    pub interface: u32,
    /// `XFRM_OFFLOAD_IPV6` (1), `INBOUND` (2), `PACKET` (4).
    pub flags: u8,
}

impl Offload {
    /// `XFRM_OFFLOAD_INBOUND`: packets that arrive.
    pub const INBOUND: u8 = 2;
    /// `XFRM_OFFLOAD_PACKET`: the device does all of IPsec, not the cipher alone.
    pub const PACKET: u8 = 4;
}

/// A label of the security module's (`xfrm_user_sec_ctx`): only packets of flows that may use it do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityContext {
    /// `ctx_doi`: 1 is `XFRM_SC_DOI_LSM`, the only one that Linux takes.
    pub doi: u8,
    /// `ctx_alg`: 1 is `XFRM_SC_ALG_SELINUX`, the only one that Linux takes.
    pub algorithm: u8,
    /// The label as the kernel has it, its last byte 0 most often.
    pub label: Box<[u8]>,
}

impl SecurityContext {
    /// A label of `SELinux`.
    pub fn selinux(label: &str) -> Self {
        // The kernel counts the byte behind the text in.
        let label = label.bytes().chain([0]).collect();
        Self { doi: 1, algorithm: 1, label }
    }

    /// The label as text without the byte 0 at its end, control characters escaped.
    pub fn text(&self) -> String {
        super::text::harmless_bytes(self.label.strip_suffix(&[0]).unwrap_or(&self.label))
    }
}

impl fmt::Display for SecurityContext {
    /// `system_u:object_r:ipsec_spd_t:s0`, with DOI and algorithm in front where they are not the usual ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.doi, self.algorithm) != (1, 1) {
            write!(f, "DOI {} algorithm {} ", self.doi, self.algorithm)?;
        }
        f.write_str(&self.text())
    }
}

/// IP-TFS (RFC 9347), what goes with mode iptfs (Linux 6.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iptfs {
    /// How long the receiver waits for a missing packet, in microseconds (`XFRMA_IPTFS_DROP_TIME`).
    pub drop_time_us: Option<u32>,
    /// How many packets the receiver puts into order (`XFRMA_IPTFS_REORDER_WINDOW`).
    pub reorder_window: Option<u16>,
    /// Whether the sender splits no inner packet over two outer ones (`XFRMA_IPTFS_DONT_FRAG`).
    pub dont_fragment: bool,
    /// How long the sender waits for more inner packets, in microseconds (`XFRMA_IPTFS_INIT_DELAY`).
    pub initial_delay_us: Option<u32>,
    /// How many bytes may wait to be sent (`XFRMA_IPTFS_MAX_QSIZE`).
    pub largest_queue_bytes: Option<u32>,
    /// The size of the outer packets in bytes; 0 is the path's MTU (`XFRMA_IPTFS_PKT_SIZE`).
    pub packet_bytes: Option<u32>,
}

impl Iptfs {
    /// Nothing of it.
    pub const NONE: Self = Self {
        drop_time_us: None,
        reorder_window: None,
        dont_fragment: false,
        initial_delay_us: None,
        largest_queue_bytes: None,
        packet_bytes: None,
    };
}

/// An attribute that espial has no name for, as the kernel sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// The attribute's number.
    pub kind: u16,
    /// Its bytes, without header and padding. A newer kernel's attribute may well be a key, so they are as secret.
    pub bytes: Secret,
}

/// What few SAs have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaExtras {
    /// UDP or TCP around it.
    pub encapsulation: Option<Encapsulation>,
    /// The mark that its packets get (`XFRMA_SET_MARK` and its mask).
    pub output_mark: Option<Mark>,
    /// The length in bytes that payloads are padded to (RFC 4303 section 2.7).
    pub tfc_padding: Option<u32>,
    /// The device that does the work.
    pub offload: Option<Offload>,
    /// The Mobile IPv6 care-of address.
    pub care_of: Option<IpAddr>,
    /// The security module's label.
    pub security: Option<SecurityContext>,
    /// `XFRM_SA_XFLAG_*`, see [`ExtraFlags`].
    pub extra_flags: ExtraFlags,
    /// After how many packets a replay event is due.
    pub replay_threshold: Option<u32>,
    /// After how many tenths of a second a replay event is due.
    pub timer_threshold: Option<u32>,
    /// Seconds between two events of a changed NAT mapping.
    pub mapping_threshold_secs: Option<u32>,
    /// Seconds between two NAT keep-alives that the kernel sends.
    pub nat_keepalive_secs: Option<u32>,
    /// The CPU that alone uses it.
    pub cpu: Option<u32>,
    /// What belongs to mode iptfs.
    pub iptfs: Iptfs,
    /// What the kernel told beyond these; sent back as it came where the SA is made again.
    pub unknown: Vec<UnknownAttribute>,
}

impl SaExtras {
    /// What most SAs have.
    pub const NONE: Self = Self {
        encapsulation: None,
        output_mark: None,
        tfc_padding: None,
        offload: None,
        care_of: None,
        security: None,
        extra_flags: ExtraFlags(0),
        replay_threshold: None,
        timer_threshold: None,
        mapping_threshold_secs: None,
        nat_keepalive_secs: None,
        cpu: None,
        iptfs: Iptfs::NONE,
        unknown: Vec::new(),
    };
}

/// `XFRM_SA_XFLAG_*` flags of an SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraFlags(pub u32);

impl ExtraFlags {
    /// The words of `ip xfrm`, by bit.
    pub const NAMES: [&str; 2] = ["dont-encap-dscp", "oseq-may-wrap"];

    /// The words of `ip xfrm` for the flags that are set and have one.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }

    /// The flags that have no word.
    pub fn unnamed(self) -> u32 {
        self.0 >> Self::NAMES.len() << Self::NAMES.len()
    }
}

impl fmt::Display for ExtraFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = self.names().map(str::to_owned).collect();
        names.extend(Some(self.unnamed()).filter(|rest| *rest != 0).map(|rest| format!("{rest:#x}")));
        f.write_str(&names.join(" "))
    }
}

/// The [`SaExtras`] of an SA, which take no room until there are any: read as if they were always there, made when one
/// is written.
#[derive(Clone, Debug, Default)]
pub struct Extras(Option<Box<SaExtras>>);

impl Extras {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        **self == SaExtras::NONE
    }
}

impl Deref for Extras {
    type Target = SaExtras;

    fn deref(&self) -> &SaExtras {
        static NONE: SaExtras = SaExtras::NONE;
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Extras {
    fn deref_mut(&mut self) -> &mut SaExtras {
        self.0.get_or_insert_with(|| Box::new(SaExtras::NONE))
    }
}

impl PartialEq for Extras {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Extras {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_are_there_when_they_are_written() {
        let mut extras = Extras::default();
        assert!(extras.is_none() && extras.0.is_none() && extras.tfc_padding.is_none());
        extras.tfc_padding = Some(100);
        assert!(!extras.is_none() && extras != Extras::default());
        extras.tfc_padding = None;
        assert!(extras.is_none() && extras == Extras::default());
    }

    #[test]
    fn labels_and_flags_are_said_in_words() {
        let context = SecurityContext::selinux("a:b\u{1b}");
        assert_eq!((context.label.last(), context.to_string()), (Some(&0), "a:b\\x1b".to_owned()));
        assert_eq!(SecurityContext { doi: 2, ..context }.to_string(), "DOI 2 algorithm 1 a:b\\x1b");
        assert_eq!(ExtraFlags(7).to_string(), "dont-encap-dscp oseq-may-wrap 0x4");
    }
}
