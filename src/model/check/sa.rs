//! What is wrong with an SA.

use super::{Findings, Problem, SaField, SelectorFields};
use crate::model::extras::{Encapsulation, ExtraFlags, Iptfs, Offload};
use crate::model::sa::Algorithms;
use crate::model::{AlgorithmKind, IpsecProtocol, Mode, SaDirection, SaFlags, SaSpec, Transform};

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
    if is_to_itself(spec) && !is_mobile(spec.protocol) {
        findings.warning(
            SaField::Destination,
            "source and destination are the same: what a host sends to itself takes no SA, so this one protects nothing",
        );
    }
    if spec.spi.is_reserved() && !is_mobile(spec.protocol) {
        findings.error(SaField::Spi, "SPIs 0 to 255 are reserved (RFC 4303); use 256 (0x100) or more");
    }
    match spec.protocol {
        IpsecProtocol::Esp => esp(&spec.algorithms, &mut findings),
        IpsecProtocol::Ah => ah(&spec.algorithms, &mut findings),
        IpsecProtocol::Comp => comp(spec, &mut findings),
        IpsecProtocol::Routing | IpsecProtocol::DestinationOptions => mobile(spec, &mut findings),
        other @ (IpsecProtocol::Any | IpsecProtocol::Other(_)) => {
            findings.error(SaField::Protocol, format!("{other} SAs cannot be made: use esp, ah or ipcomp"));
        }
    }
    if let Some(selector) = &spec.selector {
        const WHOLE: SelectorFields<SaField> = SelectorFields {
            source: SaField::Selector,
            destination: SaField::Selector,
            source_port: SaField::Selector,
            destination_port: SaField::Selector,
        };
        findings.selector(selector, &WHOLE);
        let another_family = selector.destination.address.is_ipv4() != spec.destination.is_ipv4();
        // Mode iptfs is a tunnel too; beet carries either family.
        if another_family && matches!(spec.mode, Mode::Transport | Mode::RouteOptimization) && !selector.any_family {
            findings.error(SaField::Selector, "only a tunnel can carry packets of another address family");
        }
    }
    findings.mark(SaField::Mark, spec.mark);
    findings.limits(SaField::Limits, &spec.limits);
    findings.security(SaField::Security, spec.extras.security.as_ref());
    encapsulation(spec, &mut findings);
    direction(spec, &mut findings);
    mode(spec, &mut findings);
    iptfs(spec, &mut findings);
    offload(spec, &mut findings);
    replay(spec, &mut findings);
    findings.0
}

/// Whether it leads from a host to itself: `lo` knows no policies (`NOXFRM`, `net/ipv4/devinet.c`).
pub(super) fn is_to_itself(spec: &SaSpec) -> bool {
    spec.source == spec.destination && !spec.source.is_unspecified()
}

fn is_mobile(protocol: IpsecProtocol) -> bool {
    matches!(protocol, IpsecProtocol::Routing | IpsecProtocol::DestinationOptions)
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
    match &algorithms.compression {
        None => findings.error(SaField::Compression, "IPComp needs a compression algorithm: deflate"),
        Some(name) if matches!(name.kernel(), "lzs" | "lzjh") => {
            findings.error(SaField::Compression, format!("Linux cannot compress with {}: use deflate", name.label()));
        }
        Some(_) => {}
    }
    if spec.spi.0 > 0xffff {
        findings.error(SaField::Spi, "the number of an IPComp SA has 16 bits: at most 65535 (0xffff)");
    }
}

/// `mip6_rthdr_init_state` and `mip6_destopt_init_state`, `net/ipv6/mip6.c`.
fn mobile(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let protocol = spec.protocol;
    if spec.algorithms != Algorithms::default() {
        findings.error(SaField::Protocol, format!("{protocol} SAs have no algorithms"));
    }
    if spec.destination.is_ipv4() {
        findings.error(SaField::Destination, "Mobile IPv6 needs IPv6 addresses");
    }
    if spec.extras.care_of.is_none_or(|address| address.is_ipv4()) {
        findings.error(SaField::CareOf, "Mobile IPv6 needs a care-of address, of IPv6");
    }
    if spec.spi.0 != 0 {
        findings.error(SaField::Spi, format!("{protocol} SAs have no SPI: it must be 0"));
    }
}

/// `verify_newsa_info`: which mode goes with which protocol, and which padding with which mode.
fn mode(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let SaSpec { protocol, mode, .. } = spec;
    match mode {
        Mode::RouteOptimization if is_mobile(*protocol) => {}
        Mode::Transport | Mode::Tunnel | Mode::Beet if !is_mobile(*protocol) => {}
        Mode::Iptfs if *protocol == IpsecProtocol::Esp => {}
        Mode::Iptfs => findings.error(SaField::Mode, "only ESP knows mode iptfs"),
        _ if is_mobile(*protocol) => findings.error(SaField::Mode, format!("{protocol} SAs have mode ro")),
        other => findings
            .error(SaField::Mode, format!("an SA of {protocol} cannot have mode {other}: use transport or tunnel")),
    }
    if spec.extras.tfc_padding.is_some() {
        if *protocol != IpsecProtocol::Esp {
            findings.error(SaField::Padding, "only ESP pads");
        } else if *mode != Mode::Tunnel {
            findings.error(SaField::Padding, "only a tunnel can be padded: the receiver finds the packet's end in it");
        }
    }
}

/// `verify_newsa_info` and `verify_sa_dir`: what belongs to mode iptfs, and to which way.
fn iptfs(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let Iptfs { drop_time_us, reorder_window, dont_fragment, initial_delay_us, largest_queue_bytes, packet_bytes } =
        spec.extras.iptfs;
    let receives = drop_time_us.is_some() || reorder_window.is_some();
    let sends = dont_fragment || initial_delay_us.or(largest_queue_bytes).or(packet_bytes).is_some();
    match (spec.mode, spec.direction) {
        (Mode::Iptfs, None) => findings.error(SaField::Direction, "mode iptfs needs a direction: in or out"),
        (Mode::Iptfs, Some(SaDirection::Out)) if receives => {
            findings.error(SaField::Iptfs, "drop time and reorder window are for an inbound SA");
        }
        (Mode::Iptfs, Some(SaDirection::In)) if sends => {
            findings.error(SaField::Iptfs, "packet size, queue, delay and fragmenting are for an outbound SA");
        }
        (mode, _) if mode != Mode::Iptfs && (receives || sends) => {
            findings.error(SaField::Iptfs, "what belongs to IP-TFS needs mode iptfs");
        }
        _ => {}
    }
}

/// `xfrm_dev_state_add`, `net/xfrm/xfrm_device.c`.
fn offload(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let Some(offload) = spec.extras.offload else {
        return;
    };
    let inbound = offload.flags & Offload::INBOUND != 0;
    if spec.direction.is_some_and(|direction| inbound != (direction == SaDirection::In)) {
        findings.error(SaField::Offload, "the device works the other way than the SA");
    }
    if spec.extras.tfc_padding.is_some() {
        findings.error(SaField::Offload, "a device does not pad: no TFC padding with it");
    }
    if spec.extras.encapsulation.is_some() && offload.flags & Offload::PACKET == 0 {
        findings.error(SaField::Offload, "a device that does the cipher alone cannot put ESP into UDP or TCP");
    }
    if inbound && offload.flags & Offload::PACKET != 0 && spec.if_id.is_some() {
        findings.error(SaField::IfId, "a device that receives whole packets knows no xfrm interfaces");
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
    if transform.key.is_redacted() {
        findings.warning(key, "this key is all zeros: a locked kernel shows keys so; it protects nothing");
    } else if is_text(transform.key.expose()) {
        findings.warning(key, "this key is text that can be guessed; let a random one be made up");
    }
    let (bits, usual) = (transform.icv_bits, algorithm.icv_bits);
    if !usual.iter().any(|usual| u32::from(*usual) == bits) {
        let usual = usual.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        // All of these take a key as long as what they make.
        let longest = u32::from(algorithm.key_bits.longest());
        match algorithm.kind {
            AlgorithmKind::Authentication if bits > 0 && bits <= longest && bits.is_multiple_of(8) => {
                let words = format!("an ICV of {label} has {usual} bits by its RFC: few peers agree to {bits}");
                findings.warning(name, words);
            }
            AlgorithmKind::Aead | AlgorithmKind::Authentication => {
                let field = if algorithm.kind == AlgorithmKind::Aead { SaField::Icv } else { name };
                findings.error(field, format!("an ICV of {label} has {usual} bits, not {bits}"));
            }
            AlgorithmKind::Encryption | AlgorithmKind::Compression => {}
        }
    }
    if algorithm.kernel == "hmac(sha256)" && transform.icv_bits == 96 {
        findings.warning(name, "96 bits of hmac-sha256 are an old draft; RFC 4868 peers send 128 and will not agree");
    }
    if algorithm.legacy {
        findings.warning(name, format!("{label} is too weak for new SAs (RFC 8221)"));
    }
}

/// Bytes made at random are practically never all printable.
fn is_text(key: &[u8]) -> bool {
    key.len() >= 5 && key.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

fn replay(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let outbound = spec.direction == Some(SaDirection::Out);
    if spec.replay_window > WIDEST_REPLAY_WINDOW {
        findings.error(SaField::ReplayWindow, format!("the widest replay window is {WIDEST_REPLAY_WINDOW} packets"));
    }
    if outbound && spec.replay_window > 0 {
        findings.error(SaField::ReplayWindow, "an outbound SA receives nothing: its replay window must be 0");
    }
    if spec.protocol == IpsecProtocol::Comp && spec.flags.esn() {
        findings.error(SaField::LongNumbers, "IPComp has no sequence numbers to extend");
    }
    // A wider one comes in the attribute of ESN, which is for ESP and AH only.
    if spec.protocol == IpsecProtocol::Comp && spec.replay_window > 32 {
        findings.error(SaField::ReplayWindow, "IPComp has no sequence numbers: its replay window is 0");
    }
    if spec.flags.esn() && spec.replay_window == 0 && !outbound {
        findings.error(SaField::ReplayWindow, "extended sequence numbers need a replay window of at least 1");
    }
}

/// `esp_init_state`, `ah_init_state` and `ipcomp_init_state`: what may stand around which protocol.
fn encapsulation(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let Some(encapsulation) = &spec.extras.encapsulation else {
        if spec.extras.mapping_threshold_secs.is_some() {
            findings.error(SaField::MappingThreshold, "only UDP or TCP around ESP has a mapping that may change");
        }
        if spec.extras.nat_keepalive_secs.is_some() {
            findings.error(SaField::Keepalive, "only UDP or TCP around ESP has a mapping to keep alive");
        }
        return;
    };
    if spec.protocol != IpsecProtocol::Esp {
        findings.error(SaField::Encapsulation, "only ESP can be put into UDP or TCP packets");
    } else if !matches!(encapsulation.kind, Encapsulation::ESP_IN_UDP | Encapsulation::ESP_IN_TCP) {
        findings.error(SaField::Encapsulation, "ESP can be put into UDP (espinudp) or TCP (espintcp) packets only");
    }
    if encapsulation.original.is_ipv4() != spec.destination.is_ipv4() {
        findings.error(SaField::Encapsulation, "the original address must be of the SA's own family");
    }
    if encapsulation.source_port == 0 || encapsulation.destination_port == 0 {
        findings.warning(SaField::Encapsulation, "port 0 reaches nobody; NAT traversal uses 4500 (RFC 3948)");
    }
}

/// `verify_sa_dir` and its like, `net/xfrm/xfrm_user.c`: what means nothing in one of the directions.
fn direction(spec: &SaSpec, findings: &mut Findings<SaField>) {
    let (inbound_only, outbound_only) = (SaFlags(2 | 8 | 16), SaFlags(4));
    let extras = &spec.extras;
    let (word, other, refused, extra) = match spec.direction {
        Some(SaDirection::Out) => {
            ("outbound", "received", SaFlags(spec.flags.0 & inbound_only.0), ExtraFlags::default())
        }
        Some(SaDirection::In) => {
            ("inbound", "sent", SaFlags(spec.flags.0 & outbound_only.0), ExtraFlags(extras.extra_flags.0 & 3))
        }
        None => {
            if extras.cpu.is_some() {
                findings.error(SaField::Cpu, "an SA of one CPU needs a direction: in or out");
            }
            return;
        }
    };
    let no_use =
        |flags: &dyn std::fmt::Display| format!("an {word} SA has no use for {flags}: it is about packets {other}");
    if refused != SaFlags(0) {
        findings.error(SaField::Flags, no_use(&refused));
    }
    if extra != ExtraFlags(0) {
        findings.error(SaField::ExtraFlags, no_use(&extra));
    }
    if spec.direction == Some(SaDirection::Out) {
        if extras.mapping_threshold_secs.is_some() {
            findings.error(SaField::MappingThreshold, "an outbound SA hears nothing of its peer's mapping");
        }
        if spec.received != 0 {
            findings.error(SaField::ReplayWindow, "an outbound SA has received nothing");
        }
    } else if spec.sent != 0 {
        findings.error(SaField::ReplayWindow, "an inbound SA has sent nothing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity;
    use crate::model::{AlgorithmName, Limit, Mark, PortMatch, Secret, Selector, Spi};

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
        check_sa(|s| s.algorithms.aead = transform("rfc4106(gcm(aes))", 20, 77), &[(F::Icv, Error, "not 77")]);
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
        for (bits, severity, part) in [
            (384, Warning, "has 192 bits by its RFC: few peers agree to 384"),
            (100, Error, "has 192 bits, not 100"),
            (392, Error, "not 392"),
            (0, Error, "not 0"),
        ] {
            check_sa(
                |s| {
                    let authentication = transform("hmac(sha384)", 48, bits);
                    let encryption = transform("cbc(aes)", 16, 0);
                    s.algorithms = Algorithms { encryption, authentication, ..Algorithms::default() };
                },
                &[(F::Authentication, severity, part)],
            );
        }
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
        check_sa(
            |s| s.algorithms.aead.as_mut().unwrap().key = Secret::copy_from(b"twenty printed bytes"),
            &[(F::EncryptionKey, Warning, "guessed")],
        );
        check_sa(
            |s| s.algorithms.aead.as_mut().unwrap().key = Secret::copy_from(&[0; 20]),
            &[(F::EncryptionKey, Warning, "all zeros")],
        );
        check_sa(|s| s.mark = Some(Mark { value: 0x11, mask: 0x0f }), &[(F::Mark, Error, "no packet")]);
        check_sa(|s| s.limits.bytes.hard = Some(0), &[(F::Limits, Error, "over at once")]);
        check_sa(
            |s| s.limits.since_added_secs = Limit { soft: Some(3600), hard: Some(3600) },
            &[(F::Limits, Warning, "nobody is warned")],
        );
        check_sa(|s| s.mode = Mode::InTrigger, &[(F::Mode, Error, "transport or tunnel")]);
    }

    #[test]
    fn what_few_sas_have() {
        use SaField as F;
        use Severity::Error;
        let iptfs = |s: &mut SaSpec, direction| (s.mode, s.direction) = (Mode::Iptfs, direction);
        check_sa(|s| iptfs(s, None), &[(F::Direction, Error, "needs a direction")]);
        check_sa(|s| iptfs(s, Some(SaDirection::Out)), &[]);
        check_sa(
            |s| {
                iptfs(s, Some(SaDirection::Out));
                s.extras.iptfs.drop_time_us = Some(1000);
            },
            &[(F::Iptfs, Error, "inbound")],
        );
        check_sa(
            |s| {
                iptfs(s, Some(SaDirection::In));
                s.extras.iptfs.packet_bytes = Some(1400);
            },
            &[(F::Iptfs, Error, "outbound")],
        );
        check_sa(|s| s.extras.iptfs.dont_fragment = true, &[(F::Iptfs, Error, "needs mode iptfs")]);
        check_sa(|s| s.extras.tfc_padding = Some(100), &[(F::Padding, Error, "only a tunnel")]);
        check_sa(|s| (s.mode, s.extras.tfc_padding) = (Mode::Tunnel, Some(100)), &[]);
        check_sa(|s| s.extras.cpu = Some(1), &[(F::Cpu, Error, "direction")]);
        check_sa(|s| s.extras.mapping_threshold_secs = Some(1), &[(F::MappingThreshold, Error, "only UDP")]);
        check_sa(|s| s.extras.nat_keepalive_secs = Some(20), &[(F::Keepalive, Error, "only UDP")]);
        check_sa(
            |s| (s.direction, s.extras.extra_flags) = (Some(SaDirection::In), ExtraFlags(2)),
            &[(F::ExtraFlags, Error, "oseq-may-wrap")],
        );
        let card = |flags| Some(Offload { interface: 2, flags });
        check_sa(
            |s| (s.direction, s.extras.offload) = (Some(SaDirection::Out), card(Offload::INBOUND)),
            &[(F::Offload, Error, "the other way")],
        );
        check_sa(
            |s| (s.mode, s.extras.tfc_padding, s.extras.offload) = (Mode::Tunnel, Some(100), card(0)),
            &[(F::Offload, Error, "does not pad")],
        );
        check_sa(
            |s| {
                s.if_id = Some(crate::model::IfId(1));
                s.extras.offload = card(Offload::INBOUND | Offload::PACKET);
            },
            &[(F::IfId, Error, "no xfrm interfaces")],
        );
        check_sa(
            |s| s.extras.security = Some(crate::model::extras::SecurityContext::selinux(&"a".repeat(5000))),
            &[(F::Security, Error, "bytes")],
        );
    }

    #[test]
    fn mobile_ipv6() {
        use SaField as F;
        use Severity::Error;
        let mobile = |s: &mut SaSpec| {
            (s.source, s.destination) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
            (s.protocol, s.spi, s.mode) = (IpsecProtocol::Routing, Spi(0), Mode::RouteOptimization);
            (s.algorithms, s.extras.care_of) = (Algorithms::default(), Some("fd00::3".parse().unwrap()));
        };
        check_sa(mobile, &[]);
        check_sa(
            |s| {
                mobile(s);
                (s.extras.care_of, s.spi, s.mode) = (None, Spi(7), Mode::Transport);
            },
            &[(F::CareOf, Error, "care-of"), (F::Spi, Error, "must be 0"), (F::Mode, Error, "mode ro")],
        );
    }

    #[test]
    fn what_is_around_and_inside_an_sa() {
        use SaField as F;
        use Severity::{Error, Warning};
        let encapsulation = |kind, source_port| {
            Some(Encapsulation { kind, source_port, destination_port: 4500, original: [0, 0, 0, 0].into() })
        };
        check_sa(|s| s.extras.encapsulation = encapsulation(Encapsulation::ESP_IN_UDP, 4500), &[]);
        check_sa(|s| s.extras.encapsulation = encapsulation(1, 4500), &[(F::Encapsulation, Error, "espinudp")]);
        check_sa(
            |s| s.extras.encapsulation = encapsulation(Encapsulation::ESP_IN_UDP, 0),
            &[(F::Encapsulation, Warning, "port 0")],
        );
        check_sa(
            |s| {
                s.protocol = IpsecProtocol::Ah;
                s.algorithms =
                    Algorithms { authentication: transform("hmac(sha512)", 64, 256), ..Algorithms::default() };
                s.extras.encapsulation = encapsulation(Encapsulation::ESP_IN_UDP, 4500);
            },
            &[(F::Encapsulation, Error, "only ESP")],
        );
        check_sa(
            |s| (s.direction, s.flags) = (Some(SaDirection::Out), SaFlags(16)),
            &[(F::Flags, Error, "no use for icmp")],
        );
        check_sa(
            |s| (s.direction, s.flags) = (Some(SaDirection::In), SaFlags(4)),
            &[(F::Flags, Error, "no use for nopmtudisc")],
        );
        let between = |source: &str, destination: &str| {
            Some(Selector::between(source.parse().unwrap(), destination.parse().unwrap()))
        };
        check_sa(|s| s.selector = between("fd00::/64", "fd01::/64"), &[(F::Selector, Error, "only a tunnel")]);
        check_sa(|s| (s.mode, s.selector) = (Mode::Tunnel, between("fd00::/64", "fd01::/64")), &[]);
        check_sa(|s| s.selector = between("10.1.0.1/24", "10.2.0.0/24"), &[(F::Selector, Warning, "10.1.0.1/24")]);
        check_sa(
            |s| {
                s.selector = between("10.1.0.0/24", "10.2.0.0/24");
                s.selector.as_mut().unwrap().destination_port = PortMatch::exactly(22);
            },
            &[(F::Selector, Warning, "without a protocol")],
        );
        check_sa(
            |s| {
                s.selector = between("10.1.0.0/24", "10.2.0.0/24");
                s.selector.as_mut().unwrap().source.length = 33;
            },
            &[(F::Selector, Error, "at most 32 bits")],
        );
    }
}
