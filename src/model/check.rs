//! What is wrong with an SA or a policy before any kernel is asked: what it would refuse, with a better sentence than
//! its own, and what it would take although it can only be a mistake.

use std::fmt;

use super::sa::Algorithms;
use super::{
    AlgorithmKind, IpsecProtocol, Level, Mode, PolicyAction, PolicyDirection, PolicySpec, SaDirection, SaSpec,
    Template, Transform, UpperProtocol,
};

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

impl<Field> Findings<Field> {
    fn error(&mut self, field: Field, sentence: impl fmt::Display) {
        self.0.push(Problem { field, severity: Severity::Error, sentence: sentence.to_string() });
    }

    fn warning(&mut self, field: Field, sentence: impl fmt::Display) {
        self.0.push(Problem { field, severity: Severity::Warning, sentence: sentence.to_string() });
    }
}

/// `XFRMA_REPLAY_ESN_MAX`, include/uapi/linux/xfrm.h: the widest window the kernel keeps.
pub const WIDEST_REPLAY_WINDOW: u32 = 4096;

/// Everything wrong with an SA, field by field.
pub fn sa(spec: &SaSpec) -> Vec<Problem<SaField>> {
    let mut findings = Findings(Vec::new());
    if spec.source.is_ipv4() != spec.destination.is_ipv4() {
        findings.error(SaField::Destination, "source and destination must both be IPv4 or both be IPv6");
    }
    if spec.destination.is_unspecified() {
        findings.error(SaField::Destination, "an SA needs the address that its packets go to");
    }
    if spec.spi.is_reserved() {
        findings.error(SaField::Spi, "SPIs 0 to 255 are reserved (RFC 4303); use 256 (0x100) or more");
    }
    match spec.protocol {
        IpsecProtocol::Esp => esp(&spec.algorithms, &mut findings),
        IpsecProtocol::Ah => ah(&spec.algorithms, &mut findings),
        IpsecProtocol::Comp => comp(spec, &mut findings),
        other => findings.error(SaField::Protocol, format!("{other} SAs cannot be made here: use esp, ah or ipcomp")),
    }
    if !matches!(spec.mode, Mode::Transport | Mode::Tunnel | Mode::Beet) {
        findings.error(SaField::Mode, format!("mode {} cannot be made here: use transport or tunnel", spec.mode));
    }
    replay(spec, &mut findings);
    findings.0
}

fn esp(algorithms: &Algorithms, findings: &mut Findings<SaField>) {
    if algorithms.compression.is_some() {
        findings.error(SaField::Compression, "ESP does not compress; make an ipcomp SA for that");
    }
    match (&algorithms.aead, &algorithms.encryption, &algorithms.authentication) {
        (Some(_), Some(_), _) => {
            findings.error(SaField::Encryption, "an AEAD encrypts already: no second cipher can be given");
        }
        (Some(_), _, Some(_)) => {
            findings.error(SaField::Authentication, "an AEAD authenticates already: no second algorithm can be given");
        }
        (Some(aead), None, None) => keyed(aead, SaField::Encryption, SaField::EncryptionKey, findings),
        (None, None, _) => {
            findings.error(SaField::Encryption, "ESP needs an encryption algorithm (null hides nothing)");
        }
        (None, Some(encryption), authentication) => {
            keyed(encryption, SaField::Encryption, SaField::EncryptionKey, findings);
            match authentication {
                Some(transform) => {
                    keyed(transform, SaField::Authentication, SaField::AuthenticationKey, findings);
                }
                None => findings.warning(
                    SaField::Authentication,
                    "without authentication anybody can alter the packets unnoticed (RFC 8221)",
                ),
            }
        }
    }
}

fn ah(algorithms: &Algorithms, findings: &mut Findings<SaField>) {
    if algorithms.encryption.is_some() || algorithms.aead.is_some() {
        findings.error(SaField::Encryption, "AH does not encrypt: only an authentication algorithm can be given");
    }
    if algorithms.compression.is_some() {
        findings.error(SaField::Compression, "AH does not compress");
    }
    match &algorithms.authentication {
        Some(transform) => keyed(transform, SaField::Authentication, SaField::AuthenticationKey, findings),
        None => findings.error(SaField::Authentication, "AH needs an authentication algorithm"),
    }
}

fn comp(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let algorithms = &spec.algorithms;
    if algorithms.encryption.is_some() || algorithms.aead.is_some() || algorithms.authentication.is_some() {
        findings.error(SaField::Protocol, "IPComp neither encrypts nor authenticates: make an ESP SA beside it");
    }
    if algorithms.compression.is_none() {
        findings.error(SaField::Compression, "IPComp needs a compression algorithm: deflate");
    }
    if spec.spi.0 > 0xffff {
        findings.error(SaField::Spi, "the number of an IPComp SA has 16 bits: at most 65535 (0xffff)");
    }
}

fn keyed(transform: &Transform, name: SaField, key: SaField, findings: &mut Findings<SaField>) {
    let Some(algorithm) = transform.name.known() else {
        return;
    };
    let label = algorithm.label;
    if !algorithm.key_bits.allow(transform.key.bits()) {
        let given = transform.key.bits();
        findings.error(key, format!("{label} takes {}, not {given} bits", algorithm.key_bits));
    }
    let icv_fits = algorithm.icv_bits.iter().any(|bits| u32::from(*bits) == transform.icv_bits);
    match algorithm.kind {
        AlgorithmKind::Aead | AlgorithmKind::Authentication if !icv_fits => {
            let lengths: Vec<String> = algorithm.icv_bits.iter().map(ToString::to_string).collect();
            let given = transform.icv_bits;
            findings.error(name, format!("an ICV of {label} has {} bits, not {given}", lengths.join(" or ")));
        }
        _ => {}
    }
    if algorithm.kernel == "hmac(sha256)" && transform.icv_bits == 96 {
        findings.warning(name, "96 bits of hmac-sha256 are an old draft; RFC 4868 peers send 128 and will not agree");
    }
    if algorithm.legacy {
        findings.warning(name, format!("{label} is too weak for new SAs (RFC 8221)"));
    }
}

fn replay(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let outbound = spec.direction == Some(SaDirection::Out);
    if spec.replay_window > WIDEST_REPLAY_WINDOW {
        findings.error(SaField::ReplayWindow, format!("the widest replay window is {WIDEST_REPLAY_WINDOW} packets"));
    }
    if outbound && spec.replay_window > 0 {
        findings.error(SaField::ReplayWindow, "an outbound SA receives nothing: its replay window must be 0");
    }
    if spec.flags.esn() && spec.protocol == IpsecProtocol::Comp {
        findings.error(SaField::Protocol, "IPComp has no sequence numbers to extend");
    }
    if spec.flags.esn() && spec.replay_window == 0 && !outbound {
        findings.error(SaField::ReplayWindow, "extended sequence numbers need a replay window of at least 1");
    }
}

/// Everything wrong with a policy, field by field.
pub fn policy(spec: &PolicySpec) -> Vec<Problem<PolicyField>> {
    let mut findings = Findings(Vec::new());
    let selector = &spec.selector;
    if selector.source.address.is_ipv4() != selector.destination.address.is_ipv4() {
        findings.error(PolicyField::Destination, "source and destination must both be IPv4 or both be IPv6");
    }
    if matches!(spec.direction, PolicyDirection::Socket(_)) {
        findings.error(PolicyField::Direction, "a policy of a socket can only be made by its program");
    }
    for (field, prefix) in [(PolicyField::Source, selector.source), (PolicyField::Destination, selector.destination)] {
        if prefix.has_host_bits() {
            findings
                .warning(field, format!("{prefix} has bits set behind its prefix length, which match nothing more"));
        }
    }
    ports(spec, &mut findings);
    if spec.action == PolicyAction::Block && !spec.templates.is_empty() {
        findings.error(PolicyField::Action, "a policy that blocks has no use for transforms");
    }
    if spec.templates.len() > PolicySpec::MOST_TEMPLATES {
        let most = PolicySpec::MOST_TEMPLATES;
        findings.error(PolicyField::Templates, format!("a policy has at most {most} transforms"));
    }
    for (position, template) in spec.templates.iter().enumerate() {
        if let Some(sentence) = template_problem(spec, template) {
            findings.error(PolicyField::Templates, format!("transform {}: {sentence}", position + 1));
        }
    }
    findings.0
}

fn ports(spec: &PolicySpec, findings: &mut Findings<PolicyField>) {
    let selector = &spec.selector;
    let may_have = selector.protocol.has_ports()
        || matches!(
            selector.protocol,
            UpperProtocol::ICMP | UpperProtocol::ICMPV6 | UpperProtocol::MH | UpperProtocol::GRE
        );
    let ports =
        [(PolicyField::SourcePort, selector.source_port), (PolicyField::DestinationPort, selector.destination_port)];
    for (field, port) in ports {
        if !port.is_any() && !may_have {
            findings.error(field, format!("protocol {} has no ports: choose tcp or udp", selector.protocol));
        }
    }
}

fn template_problem(spec: &PolicySpec, template: &Template) -> Option<&'static str> {
    let ends = [template.source, template.destination];
    let unspecified = ends.iter().filter(|end| end.is_unspecified()).count();
    match template.mode {
        Mode::Transport if unspecified < 2 && spec.direction == PolicyDirection::Out => {
            Some("transport mode takes the packet's own addresses: leave the ends out")
        }
        Mode::Tunnel if unspecified > 0 => Some("a tunnel needs the addresses of both its ends"),
        Mode::Tunnel | Mode::Beet | Mode::Iptfs
            if template.level == Level::Use && spec.direction == PolicyDirection::Out =>
        {
            Some("a tunnel cannot be optional on the way out")
        }
        _ if ends[0].is_ipv4() != ends[1].is_ipv4() => Some("both ends must be IPv4 or both IPv6"),
        Mode::Transport if ends[0].is_ipv4() != spec.selector.source.address.is_ipv4() => {
            Some("transport mode keeps the packet's address family")
        }
        _ if !matches!(template.protocol, IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp) => {
            Some("the protocol must be esp, ah or ipcomp")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlgorithmName, PortMatch, Prefix, Secret, Selector, Spi};
    use std::net::{IpAddr, Ipv4Addr};

    #[allow(clippy::unnecessary_wraps, reason = "what it is assigned to")]
    fn transform(kernel: &str, key_bytes: usize, icv_bits: u32) -> Option<Transform> {
        let key = Secret::copy_from(&vec![1; key_bytes]);
        Some(Transform { name: AlgorithmName::from_kernel(kernel), key, icv_bits })
    }

    fn gcm() -> SaSpec {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001));
        spec.algorithms.aead = transform("rfc4106(gcm(aes))", 20, 128);
        spec
    }

    /// What `change` makes wrong with a good SA: the field, how bad, and a part of the sentence.
    #[track_caller]
    fn check_sa(change: impl FnOnce(&mut SaSpec), expected: &[(SaField, Severity, &str)]) {
        let mut spec = gcm();
        change(&mut spec);
        let found = sa(&spec);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn sas() {
        use SaField as F;
        use Severity::{Error, Warning};
        check_sa(|_| {}, &[]);
        check_sa(|s| s.spi = Spi(255), &[(F::Spi, Error, "reserved")]);
        check_sa(|s| s.source = "::1".parse().unwrap(), &[(F::Destination, Error, "both")]);
        check_sa(|s| s.destination = [0, 0, 0, 0].into(), &[(F::Destination, Error, "go to")]);
        check_sa(
            |s| s.algorithms.aead = transform("rfc4106(gcm(aes))", 16, 128),
            &[(F::EncryptionKey, Error, "aes-gcm takes 160, 224 or 288 bits, not 128 bits")],
        );
        check_sa(|s| s.algorithms.aead = transform("rfc4106(gcm(aes))", 20, 77), &[(F::Encryption, Error, "not 77")]);
        check_sa(|s| s.algorithms.aead = None, &[(F::Encryption, Error, "needs an encryption")]);
        check_sa(|s| s.algorithms.encryption = transform("cbc(aes)", 16, 0), &[(F::Encryption, Error, "already")]);
        check_sa(
            |s| s.algorithms.authentication = transform("hmac(sha1)", 20, 96),
            &[(F::Authentication, Error, "already")],
        );
        check_sa(
            |s| s.protocol = IpsecProtocol::Ah,
            &[(F::Encryption, Error, "does not encrypt"), (F::Authentication, Error, "needs")],
        );
        check_sa(
            |s| {
                s.algorithms = Algorithms { encryption: transform("cbc(aes)", 16, 0), ..Algorithms::default() };
            },
            &[(F::Authentication, Warning, "alter")],
        );
        check_sa(
            |s| {
                s.algorithms = Algorithms {
                    encryption: transform("cbc(des3_ede)", 24, 0),
                    authentication: transform("hmac(sha256)", 31, 96),
                    ..Algorithms::default()
                };
            },
            &[
                (F::Encryption, Warning, "3des-cbc is too weak"),
                (F::AuthenticationKey, Error, "256 bits, not 248"),
                (F::Authentication, Warning, "RFC 4868"),
            ],
        );
        check_sa(
            |s| {
                (s.protocol, s.spi) = (IpsecProtocol::Comp, Spi(0x10000));
                s.algorithms = Algorithms::default();
            },
            &[(F::Compression, Error, "deflate"), (F::Spi, Error, "16 bits")],
        );
        check_sa(|s| s.replay_window = 4097, &[(F::ReplayWindow, Error, "4096")]);
        check_sa(|s| s.flags.0 = 128, &[(F::ReplayWindow, Error, "at least 1")]);
        check_sa(
            |s| (s.direction, s.replay_window) = (Some(SaDirection::Out), 32),
            &[(F::ReplayWindow, Error, "outbound")],
        );
        check_sa(|s| s.mode = Mode::Iptfs, &[(F::Mode, Error, "transport or tunnel")]);
    }

    const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[track_caller]
    fn check_policy(change: impl FnOnce(&mut PolicySpec), expected: &[(PolicyField, Severity, &str)]) {
        let host = |last| Prefix::host([10, 9, 0, last].into());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(1), host(2)));
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, NOWHERE, NOWHERE));
        change(&mut spec);
        let found = policy(&spec);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn policies() {
        use PolicyField as F;
        use Severity::{Error, Warning};
        check_policy(|_| {}, &[]);
        check_policy(|p| p.selector.source = "10.8.2.7/24".parse().unwrap(), &[(F::Source, Warning, "10.8.2.7/24")]);
        check_policy(
            |p| p.selector.destination_port = PortMatch::exactly(22),
            &[(F::DestinationPort, Error, "any has no ports")],
        );
        check_policy(
            |p| (p.selector.protocol, p.selector.destination_port) = (UpperProtocol::TCP, PortMatch::exactly(22)),
            &[],
        );
        check_policy(|p| p.action = PolicyAction::Block, &[(F::Action, Error, "blocks")]);
        check_policy(|p| p.templates[0].mode = Mode::Tunnel, &[(F::Templates, Error, "transform 1: a tunnel needs")]);
        check_policy(
            |p| {
                let template = &mut p.templates[0];
                (template.mode, template.level) = (Mode::Tunnel, Level::Use);
                (template.source, template.destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            },
            &[(F::Templates, Error, "optional")],
        );
        check_policy(|p| p.templates = vec![p.templates[0].clone(); 7], &[(F::Templates, Error, "at most 6")]);
        check_policy(|p| p.direction = PolicyDirection::Socket(3), &[(F::Direction, Error, "its program")]);
        check_policy(
            |p| p.selector.source = "fd00::1".parse().unwrap(),
            &[(F::Destination, Error, "both"), (F::Templates, Error, "address family")],
        );
    }
}
