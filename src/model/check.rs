//! What is wrong with an SA or a policy before any kernel is asked: what it would refuse, with a better sentence than
//! its own, and what it would take although it can only be a mistake.

use std::fmt;

use super::extras::SecurityContext;
use super::{LifetimeLimits, Mark, Prefix, Selector, UpperProtocol};

mod beside;
mod policy;
mod rest;
mod sa;

pub use beside::{policy_beside, sa_beside};
pub use policy::policy;
pub use rest::{DefaultsField, NOTHING_CHANGES, ThresholdsField, defaults, spi_request, thresholds};
pub use sa::{WIDEST_REPLAY_WINDOW, sa};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be meant.
    Warning,
    /// It cannot be right.
    Error,
}

/// The part of an SA that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaField {
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// ESP, AH or IPComp.
    Protocol,
    /// The number.
    Spi,
    /// Transport or tunnel.
    Mode,
    /// The cipher, or the AEAD.
    Encryption,
    /// Its key.
    EncryptionKey,
    /// The authentication algorithm, or the AEAD's ICV.
    Authentication,
    /// Its key.
    AuthenticationKey,
    /// The compression algorithm.
    Compression,
    /// What ties it to policies.
    ReqId,
    /// How far back packets may be.
    ReplayWindow,
    /// In or out.
    Direction,
    /// `SaFlags`
    Flags,
    /// `ExtraFlags`
    ExtraFlags,
    /// Whether sequence numbers have 64 bits.
    LongNumbers,
    /// The length of an AEAD's ICV.
    Icv,
    /// The mark that packets must bear.
    Mark,
    /// The UDP or TCP header around ESP.
    Encapsulation,
    /// When a changed mapping is told.
    MappingThreshold,
    /// How often a mapping is kept alive.
    Keepalive,
    /// When it ends.
    Limits,
    /// The packets it is for.
    Selector,
    /// Where a mobile host is now.
    CareOf,
    /// What payloads are padded to.
    Padding,
    /// The device that does the work.
    Offload,
    /// The security module's label.
    Security,
    /// The CPU that alone uses it.
    Cpu,
    /// The xfrm interface.
    IfId,
    /// What belongs to mode iptfs.
    Iptfs,
}

/// The part of a policy that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyField {
    /// In, out or fwd.
    Direction,
    /// Where packets come from.
    Source,
    /// Where they go.
    Destination,
    /// The protocol above IP.
    Protocol,
    /// Its source port.
    SourcePort,
    /// Its destination port.
    DestinationPort,
    /// Allow or block.
    Action,
    /// Its place in the order.
    Priority,
    /// The list of transforms.
    Templates,
    /// A part of one of them, which is counted from 0.
    Template(usize, TemplateField),
    /// The number that it asks for.
    Index,
    /// `XFRM_SHARE_*`
    Share,
    /// The security module's label.
    Security,
    /// Main or sub.
    Kind,
    /// The mark that packets must bear.
    Mark,
    /// When it ends.
    Limits,
}

/// The part of a template that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemplateField {
    /// ESP, AH or IPComp.
    Protocol,
    /// Transport or tunnel.
    Mode,
    /// The tunnel's ends.
    Ends,
    /// Required or not.
    Level,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<Field> {
    /// Where.
    pub field: Field,
    /// How bad.
    pub severity: Severity,
    /// What, in a sentence that also says what would be right. Never holds a key.
    pub sentence: String,
}

struct Findings<Field>(Vec<Problem<Field>>);

/// The fields that the parts of a selector are said under.
struct SelectorFields<Field> {
    source: Field,
    destination: Field,
    source_port: Field,
    destination_port: Field,
}

impl<Field: Copy> Findings<Field> {
    fn error(&mut self, field: Field, sentence: impl fmt::Display) {
        self.0.push(Problem { field, severity: Severity::Error, sentence: sentence.to_string() });
    }

    fn warning(&mut self, field: Field, sentence: impl fmt::Display) {
        self.0.push(Problem { field, severity: Severity::Warning, sentence: sentence.to_string() });
    }

    fn selector(&mut self, selector: &Selector, fields: &SelectorFields<Field>) {
        if selector.source.address.is_ipv4() != selector.destination.address.is_ipv4() {
            self.error(fields.destination, "source and destination must both be IPv4 or both be IPv6");
        }
        for (field, prefix) in [(fields.source, selector.source), (fields.destination, selector.destination)] {
            let most = Prefix::bits(prefix.address);
            if prefix.length > most {
                self.error(field, format!("{prefix}: a prefix of this address has at most {most} bits"));
            } else if prefix.has_host_bits() {
                self.warning(
                    field,
                    format!("{prefix} has bits set behind its prefix length, which match nothing more"),
                );
            }
        }
        let may_have_ports = selector.protocol.has_ports()
            || matches!(
                selector.protocol,
                UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH | UpperProtocol::GRE
            );
        let ports = [(fields.source_port, selector.source_port), (fields.destination_port, selector.destination_port)];
        for (field, port) in ports {
            if !port.is_any() && selector.protocol == UpperProtocol::ANY {
                // `xfrm_selector_match` looks at ports whatever the protocol is.
                let sentence =
                    "without a protocol this is for whatever has such ports: TCP, UDP, and ICMP by its types";
                self.warning(field, sentence);
            } else if !port.is_any() && !may_have_ports {
                self.error(field, format!("protocol {} has no ports: choose tcp or udp", selector.protocol));
            }
        }
    }

    /// `security_xfrm_state_alloc` and its like read no more than a page.
    fn security(&mut self, field: Field, security: Option<&SecurityContext>) {
        const MOST: usize = 4000;
        if let Some(security) = security
            && !(1..=MOST).contains(&security.label.len())
        {
            self.error(field, format!("a security label has 1 to {MOST} bytes"));
        }
    }

    /// `xfrm_state_find` and `xfrm_policy_match` compare the mark under the mask with the whole value.
    fn mark(&mut self, field: Field, mark: Option<Mark>) {
        if let Some(mark) = mark.filter(|mark| mark.value & !mark.mask != 0) {
            let sentence = format!("no packet has mark {mark}: the value has bits that the mask takes away");
            self.error(field, sentence);
        }
    }

    fn limits(&mut self, field: Field, limits: &LifetimeLimits) {
        let kinds = [
            ("bytes", limits.bytes, true),
            ("packets", limits.packets, true),
            ("seconds since it was added", limits.since_added_secs, false),
            ("seconds since its first use", limits.since_used_secs, false),
        ];
        for (unit, limit, zero_is_a_limit) in kinds {
            if zero_is_a_limit && (limit.soft == Some(0) || limit.hard == Some(0)) {
                self.error(field, format!("a limit of 0 {unit} is over at once; leave it out for none"));
            } else if let (Some(soft), Some(hard)) = (limit.soft, limit.hard)
                && soft >= hard
            {
                let sentence =
                    format!("the soft limit of {soft} {unit} is not below the hard one of {hard}: nobody is warned");
                self.warning(field, sentence);
            }
        }
    }
}
