//! What espial's own checks say, beside what the kernel does: it refuses what they call an error in words that are
//! known, or it takes it although it can never be right; and it takes all that they only warn of.
//!
//! What the kernel refuses and no form can say is not here: families that differ within an object (netlink has one field
//! for them), attributes of a wrong length or number (a hand cannot type them), algorithms and devices that this very
//! machine lacks and CPUs beyond its last (only the kernel knows; its refusal is shown at the field). What only newer
//! kernels refuse is judged there and told out loud on older ones.

use espial::kernel::{Kernel, KernelError};
use espial::model::check::{self, Problem, Severity};
use espial::model::extras::{Encapsulation, ExtraFlags};
use espial::model::policy::{HashThresholds, ThresholdsChange};
use espial::model::sa::SpiRequest;
use espial::model::{
    AlgorithmName, IpsecProtocol, Level, Limit, Mark, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec,
    PortMatch, Prefix, SaDirection, SaFlags, SaSpec, Secret, Selector, Spi, Template, Transform,
};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, ip, kernel};

pub const TESTS: &[Test] =
    &[("sas", sas), ("policies", policies), ("what_stands_beside", beside), ("spis_and_thresholds", rest)];

/// What the kernel says to something.
enum Kernels {
    /// It refuses it with these words.
    Refuses(&'static str),
    /// From this version of Linux on it refuses it with these words. What an older one does is nobody's promise: it is
    /// told out loud.
    Since((u32, u32), &'static str),
    /// It refuses it, and from Linux 6.2 on with these words.
    RefusesMutely(&'static str),
    /// It takes it all the same.
    Takes,
}

/// Linux 6.2 has words where older ones have a number.
const WORDS: (u32, u32) = (6, 2);

use Kernels::{Refuses, RefusesMutely, Since, Takes};
use Severity::{Error, Warning};

/// The version of the kernel that this runs on.
fn version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[track_caller]
fn judge<Field: std::fmt::Debug>(
    found: &[Problem<Field>],
    (severity, part): (Severity, &str),
    answer: Result<(), KernelError>,
    expected: &Kernels,
) {
    let ours = found.iter().any(|problem| problem.severity == severity && problem.sentence.contains(part));
    assert!(ours, "{severity:?} {part:?} is not among {found:?}");
    assert!(severity == Error || matches!(expected, Takes), "what the kernel refuses is more than a warning: {part}");
    let words = match expected {
        Takes => return answer.unwrap_or_else(|error| panic!("{part}: {error}")),
        Since(since, words) if version() < *since => {
            let does = answer.map_or_else(|error| error.reason(), |()| "takes it".to_owned());
            let ((major, minor), (since_major, since_minor)) = (version(), since);
            eprintln!(
                "NOT SEEN ON THIS KERNEL: Linux {since_major}.{since_minor} says {words:?}; {major}.{minor}: {does}"
            );
            return;
        }
        RefusesMutely(words) if version() < WORDS => {
            let error = answer.err().unwrap_or_else(|| panic!("{part}: the kernel took it"));
            eprintln!("WORDS NOT SEEN ON THIS KERNEL: Linux 6.2 says {words:?}; this one: {}", error.reason());
            return;
        }
        Since(_, words) | Refuses(words) | RefusesMutely(words) => words,
    };
    match answer {
        Err(error) => assert!(error.reason().contains(words), "{part}: {error} lacks {words:?}"),
        Ok(()) => panic!("{part}: the kernel took it and should say {words:?}"),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what it is assigned to")]
fn transform(name: &str, bytes: usize, icv_bits: u32) -> Option<Transform> {
    let key: Vec<u8> = (1..).take(bytes).collect();
    Some(Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(&key), icv_bits })
}

fn gcm(spec: &mut SaSpec) {
    spec.algorithms.aead = transform("rfc4106(gcm(aes))", 20, 128);
}

fn cbc(spec: &mut SaSpec, authentication: Option<Transform>) {
    spec.algorithms.encryption = transform("cbc(aes)", 16, 0);
    spec.algorithms.authentication = authentication;
}

fn hmac(spec: &mut SaSpec, protocol: IpsecProtocol) {
    spec.protocol = protocol;
    spec.algorithms.authentication = transform("hmac(sha512)", 64, 256);
}

fn deflate(spec: &mut SaSpec) {
    spec.protocol = IpsecProtocol::Comp;
    spec.algorithms.compression = Some(AlgorithmName::from_kernel("deflate"));
}

#[allow(clippy::unnecessary_wraps, reason = "what it is assigned to")]
fn in_udp(kind: u16, port: u16) -> Option<Encapsulation> {
    Some(Encapsulation { kind, source_port: port, destination_port: port, original: [0, 0, 0, 0].into() })
}

fn between(source: &str, destination: &str) -> Selector {
    Selector::between(source.parse().unwrap(), destination.parse().unwrap())
}

type Case<Spec> = (fn(&mut Spec), (Severity, &'static str), Kernels);

fn esp() -> SaSpec {
    SaSpec::new(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap(), IpsecProtocol::Esp, Spi(0x1001))
}

fn sas() {
    let groups = [sa_algorithms(), sa_numbers(), sa_directions(), sa_modes(), sa_surroundings()];
    for (change, ours, kernels) in groups.into_iter().flatten() {
        let mut spec = esp();
        change(&mut spec);
        judge(&check::sa(&spec), ours, kernel().add_sa(&spec), &kernels);
        ip("xfrm state flush");
        ip("xfrm state flush proto route2");
    }
}

fn sa_algorithms() -> Vec<Case<SaSpec>> {
    use IpsecProtocol::{Ah, Esp};
    vec![
        (|_| {}, (Error, "needs an encryption"), Refuses("Missing required attribute for ESP")),
        (
            |s| {
                gcm(s);
                cbc(s, None);
            },
            (Error, "no second cipher"),
            Refuses("AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT"),
        ),
        (
            |s| {
                gcm(s);
                hmac(s, Esp);
            },
            (Error, "no second algorithm"),
            Refuses("AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT"),
        ),
        (
            |s| {
                deflate(s);
                gcm(s);
                s.protocol = Esp;
            },
            (Error, "does not compress"),
            Refuses("Invalid attribute for ESP: COMP"),
        ),
        (|s| s.protocol = Ah, (Error, "AH needs"), Refuses("Missing required attribute for AH: AUTH_TRUNC or AUTH")),
        (
            |s| {
                hmac(s, Ah);
                s.algorithms.encryption = transform("cbc(aes)", 16, 0);
            },
            (Error, "does not encrypt"),
            Refuses("Invalid attributes for AH"),
        ),
        (
            |s| s.protocol = IpsecProtocol::Comp,
            (Error, "needs a compression"),
            Refuses("Missing required attribute for COMP: COMP"),
        ),
        (
            |s| {
                deflate(s);
                gcm(s);
            },
            (Error, "neither encrypts"),
            Refuses("Invalid attributes for COMP"),
        ),
        (
            |s| s.algorithms.aead = transform("rfc4106(gcm(aes))", 20, 80),
            (Error, "not 80"),
            Refuses("Requested AEAD algorithm not found"),
        ),
        (
            |s| cbc(s, transform("hmac(sha256)", 32, 264)),
            (Error, "not 264"),
            Refuses("Invalid length requested for truncated ICV"),
        ),
        (
            |s| s.algorithms.aead = transform("rfc4106(gcm(aes))", 19, 128),
            (Error, "not 152 bits"),
            Refuses("Kernel was unable to initialize cryptographic operations"),
        ),
        (|s| cbc(s, transform("hmac(sha256)", 2, 128)), (Error, "256 bits, not 16"), Takes),
        (|s| cbc(s, transform("hmac(sha256)", 32, 96)), (Warning, "RFC 4868"), Takes),
        (|s| cbc(s, None), (Warning, "without authentication"), Takes),
        (|s| cbc(s, transform("hmac(md5)", 16, 96)), (Warning, "too weak"), Takes),
        (
            |s| {
                gcm(s);
                s.algorithms.aead.as_mut().unwrap().key = Secret::copy_from(b"this is my secret :)");
            },
            (Warning, "guessed"),
            Takes,
        ),
    ]
}

fn sa_numbers() -> Vec<Case<SaSpec>> {
    vec![
        (
            |s| {
                gcm(s);
                s.spi = Spi(255);
            },
            (Error, "reserved"),
            Takes,
        ),
        (
            |s| {
                deflate(s);
                s.spi = Spi(0x10000);
            },
            (Error, "16 bits"),
            Refuses("SPI is too large for COMP"),
        ),
        (
            |s| {
                gcm(s);
                s.replay_window = 4097;
            },
            (Error, "4096"),
            Refuses("ESN bitmap length must be <= 128"),
        ),
        (
            |s| {
                gcm(s);
                s.flags = SaFlags(SaFlags::ESN);
            },
            (Error, "at least 1"),
            Refuses("ESN replay window must be > 0"),
        ),
        (
            |s| {
                deflate(s);
                (s.flags, s.replay_window) = (SaFlags(SaFlags::ESN), 32);
            },
            (Error, "no sequence numbers"),
            Refuses("ESN only supported for ESP and AH"),
        ),
        (
            |s| {
                deflate(s);
                s.replay_window = 64;
            },
            (Error, "its replay window is 0"),
            Refuses("ESN only supported for ESP and AH"),
        ),
        (
            |s| {
                gcm(s);
                s.mark = Some(Mark { value: 0x11, mask: 0x0f });
            },
            (Error, "no packet has mark"),
            Takes,
        ),
        (
            |s| {
                gcm(s);
                s.limits.packets.hard = Some(0);
            },
            (Error, "over at once"),
            Takes,
        ),
        (
            |s| {
                gcm(s);
                s.limits.since_added_secs = Limit { soft: Some(3600), hard: Some(3600) };
            },
            (Warning, "nobody is warned"),
            Takes,
        ),
    ]
}

/// Linux 6.10 knows the directions of SAs.
const DIRECTIONS: (u32, u32) = (6, 10);
/// Linux 6.13 gives SAs to CPUs.
const CPUS: (u32, u32) = (6, 13);
/// Linux 6.14 knows mode iptfs.
const IPTFS: (u32, u32) = (6, 14);

fn sa_directions() -> Vec<Case<SaSpec>> {
    vec![
        (
            |s| {
                gcm(s);
                (s.direction, s.received) = (Some(SaDirection::Out), 5);
            },
            (Error, "has received nothing"),
            Since(DIRECTIONS, "Replay seq and"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.sent) = (Some(SaDirection::In), 5);
            },
            (Error, "has sent nothing"),
            Since(DIRECTIONS, "Replay oseq"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::Out), SaFlags(16));
            },
            (Error, "no use for icmp"),
            Since(DIRECTIONS, "Flag ICMP should not be set for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::Out), SaFlags(8));
            },
            (Error, "no use for wildrecv"),
            Since(DIRECTIONS, "Flag WILDRECV should not be set for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.extras.extra_flags) = (Some(SaDirection::In), ExtraFlags(1));
            },
            (Error, "no use for dont-encap-dscp"),
            Since(DIRECTIONS, "Flag DONT_ENCAP_DSCP should not be set for input SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.extras.extra_flags) = (Some(SaDirection::In), ExtraFlags(2));
            },
            (Error, "no use for oseq-may-wrap"),
            Since(DIRECTIONS, "Flag OSEQ_MAY_WRAP should not be set for input SA"),
        ),
        (
            |s| {
                gcm(s);
                s.extras.encapsulation = in_udp(Encapsulation::ESP_IN_UDP, 4500);
                (s.direction, s.extras.mapping_threshold_secs) = (Some(SaDirection::Out), Some(5));
            },
            (Error, "hears nothing"),
            Since(DIRECTIONS, "MTIMER_THRESH attribute should not be set on output SA"),
        ),
        (
            |s| {
                gcm(s);
                s.extras.cpu = Some(0);
            },
            (Error, "needs a direction"),
            Since(CPUS, "SA_PCPU only supported with SA_DIR"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.replay_window) = (Some(SaDirection::Out), 32);
            },
            (Error, "receives nothing"),
            Since(DIRECTIONS, "Replay window should be 0 for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::Out), SaFlags(2));
            },
            (Error, "no use for decap-dscp"),
            Since(DIRECTIONS, "Flag DECAP_DSCP should not be set for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::In), SaFlags(4));
            },
            (Error, "no use for nopmtudisc"),
            Since(DIRECTIONS, "Flag NOPMTUDISC should not be set for input SA"),
        ),
    ]
}

/// An SA of Mobile IPv6.
fn mobile(spec: &mut SaSpec) {
    (spec.source, spec.destination) = ("fd00:9::1".parse().unwrap(), "fd00:9::2".parse().unwrap());
    (spec.protocol, spec.spi, spec.mode) = (IpsecProtocol::Routing, Spi(0), Mode::RouteOptimization);
    spec.extras.care_of = Some("fd00:9::3".parse().unwrap());
}

fn iptfs(spec: &mut SaSpec, direction: SaDirection) {
    gcm(spec);
    (spec.mode, spec.direction) = (Mode::Iptfs, Some(direction));
}

fn sa_modes() -> Vec<Case<SaSpec>> {
    vec![
        (
            |s| {
                gcm(s);
                s.mode = Mode::InTrigger;
            },
            (Error, "cannot have mode in_trigger"),
            Refuses("Unsupported mode"),
        ),
        (|s| s.protocol = IpsecProtocol::Other(17), (Error, "cannot be made"), Refuses("Unsupported protocol")),
        (
            |s| {
                gcm(s);
                s.extras.tfc_padding = Some(100);
            },
            (Error, "only a tunnel"),
            Refuses("TFC padding can only be used in tunnel mode"),
        ),
        (
            |s| {
                hmac(s, IpsecProtocol::Ah);
                (s.mode, s.extras.tfc_padding) = (Mode::Tunnel, Some(100));
            },
            (Error, "only ESP pads"),
            Refuses("Invalid attributes for AH"),
        ),
        (
            |s| {
                deflate(s);
                (s.mode, s.extras.tfc_padding) = (Mode::Tunnel, Some(100));
            },
            (Error, "only ESP pads"),
            Refuses("Invalid attributes for COMP"),
        ),
        (
            |s| {
                mobile(s);
                s.extras.care_of = None;
            },
            (Error, "care-of"),
            Refuses("Missing required COADDR attribute for DSTOPTS/ROUTING"),
        ),
        (
            |s| {
                mobile(s);
                hmac(s, IpsecProtocol::Routing);
            },
            (Error, "have no algorithms"),
            Refuses("Invalid attributes for DSTOPTS/ROUTING"),
        ),
        (
            |s| {
                gcm(s);
                s.mode = Mode::Iptfs;
            },
            (Error, "needs a direction"),
            Since(IPTFS, "IP-TFS mode requires in or out direction attribute"),
        ),
        (
            |s| {
                hmac(s, IpsecProtocol::Ah);
                (s.mode, s.direction) = (Mode::Iptfs, Some(SaDirection::Out));
            },
            (Error, "only ESP knows"),
            Since(IPTFS, "IP-TFS mode only supported with ESP"),
        ),
        (
            |s| {
                gcm(s);
                s.extras.iptfs.dont_fragment = true;
            },
            (Error, "needs mode iptfs"),
            Since(IPTFS, "IP-TFS options can only be used in IP-TFS mode"),
        ),
        (
            |s| {
                iptfs(s, SaDirection::Out);
                s.extras.iptfs.drop_time_us = Some(1000);
            },
            (Error, "for an inbound SA"),
            Since(IPTFS, "IP-TFS drop time should not be set for output SA"),
        ),
        (
            |s| {
                iptfs(s, SaDirection::In);
                s.extras.iptfs.packet_bytes = Some(1000);
            },
            (Error, "for an outbound SA"),
            Since(IPTFS, "IP-TFS packet size should not be set for input SA"),
        ),
    ]
}

fn sa_surroundings() -> Vec<Case<SaSpec>> {
    vec![
        (
            |s| {
                gcm(s);
                s.extras.mapping_threshold_secs = Some(5);
            },
            (Error, "only UDP or TCP"),
            Refuses("MTIMER_THRESH attribute can only be set on ENCAP states"),
        ),
        (
            |s| {
                s.protocol = IpsecProtocol::Comp;
                s.algorithms.compression = Some(AlgorithmName::from_kernel("lzs"));
            },
            (Error, "Linux cannot compress with lzs"),
            Refuses("Requested COMP algorithm not found"),
        ),
        (
            |s| {
                hmac(s, IpsecProtocol::Ah);
                s.extras.encapsulation = in_udp(Encapsulation::ESP_IN_UDP, 4500);
            },
            (Error, "only ESP"),
            Refuses("AH is not compatible with encapsulation"),
        ),
        (
            |s| {
                gcm(s);
                s.extras.encapsulation = in_udp(9, 4500);
            },
            (Error, "espinudp"),
            Refuses("Unsupported encapsulation type for ESP"),
        ),
        (
            |s| {
                gcm(s);
                s.extras.encapsulation = in_udp(Encapsulation::ESP_IN_UDP, 0);
            },
            (Warning, "port 0"),
            Takes,
        ),
        (
            |s| {
                gcm(s);
                s.selector = Some(between("fd00::/64", "fd01::/64"));
            },
            (Error, "only a tunnel"),
            Refuses("Only tunnel modes can accommodate a change of family"),
        ),
        (
            |s| {
                gcm(s);
                s.selector = Some(between("10.1.0.0/24", "10.2.0.0/24"));
                s.selector.as_mut().unwrap().source.length = 33;
            },
            (Error, "at most 32 bits"),
            Refuses("Invalid prefix length in selector (must be <= 32 for IPv4)"),
        ),
        (
            |s| {
                gcm(s);
                s.selector = Some(between("10.1.0.7/24", "10.2.0.0/24"));
            },
            (Warning, "10.1.0.7/24"),
            Takes,
        ),
    ]
}

fn policies() {
    let nowhere = [0, 0, 0, 0].into();
    let cases: Vec<Case<PolicySpec>> = vec![
        (
            |p| p.selector.source.length = 33,
            (Error, "at most 32 bits"),
            Refuses("Invalid prefix length in selector (must be <= 32 for IPv4)"),
        ),
        (|p| p.selector.source = "10.8.2.7/24".parse().unwrap(), (Warning, "10.8.2.7/24"), Takes),
        (|p| p.selector.destination_port = PortMatch::exactly(22), (Warning, "without a protocol"), Takes),
        (|p| p.direction = PolicyDirection::Socket(3), (Error, "by its program"), Refuses("Invalid policy direction")),
        (|p| p.action = PolicyAction::Other(7), (Error, "no action 7"), Refuses("Invalid policy action")),
        (|p| p.kind = PolicyKind::Other(7), (Error, "no policy type 7"), Refuses("Invalid policy type")),
        (|p| p.action = PolicyAction::Block, (Error, "blocks"), Takes),
        (|p| p.index = 8, (Error, "1 for out"), Refuses("Policy index doesn't match direction")),
        (|p| p.share = 4, (Error, "share is any"), Refuses("Invalid policy share")),
        (
            |p| {
                p.direction = PolicyDirection::In;
                p.templates[0].protocol = IpsecProtocol::Comp;
            },
            (Warning, "small packets come uncompressed"),
            Takes,
        ),
        (|p| p.mark = Some(Mark { value: 3, mask: 1 }), (Error, "no packet has mark"), Takes),
        (
            |p| p.templates = vec![p.templates[0].clone(); 7],
            (Error, "at most 6"),
            Refuses("Template count must be <= XFRM_MAX_DEPTH (6)"),
        ),
        (
            |p| {
                let template = &mut p.templates[0];
                (template.mode, template.level) = (Mode::Tunnel, Level::Use);
                (template.source, template.destination) = (GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
            },
            (Error, "cannot be optional"),
            Refuses("Mode in optional template not allowed in outbound policy"),
        ),
        (
            |p| {
                let template = &mut p.templates[0];
                (template.source, template.destination) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
                p.direction = PolicyDirection::In;
            },
            (Error, "keeps the packet's address family"),
            Refuses("Mode in template doesn't support a family change"),
        ),
        (
            |p| p.templates[0].mode = Mode::Other(6),
            (Error, "does not exist"),
            Refuses("Mode in template must be < XFRM_MODE_MAX"),
        ),
        (
            |p| p.templates[0].protocol = IpsecProtocol::Other(17),
            (Error, "must be esp, ah or ipcomp"),
            Refuses("Invalid XFRM protocol in template"),
        ),
    ];
    for (change, ours, kernels) in cases {
        let host = |text: &str| Prefix::host(text.parse().unwrap());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(GOUDA), host(REBLOCHON)));
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, nowhere, nowhere));
        change(&mut spec);
        judge(&check::policy(&spec), ours, kernel().add_policy(&spec), &kernels);
        ip("xfrm policy flush");
    }
}

/// What the kernel lets stand beside one another, and what it does not.
fn beside() {
    let mut first = esp();
    gcm(&mut first);
    judge(&check::sa_beside(&first, &[]), (Warning, "an SA is for one way only"), kernel().add_sa(&first), &Takes);
    let there = kernel().sas().unwrap();
    let twice = Refuses("an SA with this destination, protocol and SPI exists already (EEXIST)");
    judge(&check::sa_beside(&first, &there), (Error, "choose another SPI"), kernel().add_sa(&first), &twice);
    let marked = SaSpec { mark: Some(Mark { value: 1, mask: 1 }), ..first.clone() };
    judge(&check::sa_beside(&marked, &there), (Error, "answers to this mark too"), kernel().add_sa(&marked), &twice);
    kernel().delete_sa(&first.id()).unwrap();
    kernel().add_sa(&marked).unwrap();
    let other = SaSpec { mark: Some(Mark { value: 2, mask: 2 }), ..first };
    let there = kernel().sas().unwrap();
    judge(&check::sa_beside(&other, &there), (Warning, "its mark"), kernel().add_sa(&other), &Takes);

    let networks = || between("10.1.0.0/24", "10.2.0.0/24");
    let tunnel = |direction, selector: Selector, priority| {
        let mut spec = PolicySpec::new(direction, selector);
        let (near, far) = (GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Tunnel, near, far));
        spec.priority = priority;
        spec
    };
    let add = |spec: &PolicySpec, ours, kernels: &Kernels| {
        let there = kernel().policies().unwrap();
        let found = check::policy_beside(spec, &there.iter().collect::<Vec<_>>());
        judge(&found, ours, kernel().add_policy(spec), kernels);
    };
    add(&tunnel(PolicyDirection::In, networks(), 7), (Warning, "direction fwd"), &Takes);
    let again = Refuses("a policy with this selector and direction exists already (EEXIST)");
    add(&tunnel(PolicyDirection::In, networks(), 9), (Error, "another priority"), &again);
    add(&tunnel(PolicyDirection::Forward, between("10.3.0.0/24", "10.2.0.0/24"), 7), (Warning, "direction in"), &Takes);
    kernel().add_policy(&tunnel(PolicyDirection::Out, networks(), PolicySpec::SETKEY_PRIORITY)).unwrap();
    let wider = between("10.0.0.0/8", "10.0.0.0/8");
    add(&tunnel(PolicyDirection::Out, wider, 0), (Warning, "is asked before"), &Takes);
}

fn rest() {
    let any = SpiRequest::any(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap(), IpsecProtocol::Esp);
    for (wanted, ours, kernels) in [
        (
            SpiRequest { least: Spi(0x200), greatest: Spi(0x100), ..any },
            (Error, "ends before it begins"),
            RefusesMutely("Invalid SPI range: min > max"),
        ),
        (
            SpiRequest { protocol: IpsecProtocol::Comp, greatest: Spi(0x10000), ..any },
            (Error, "16 bits"),
            RefusesMutely("IPCOMP SPI must be <= 65535"),
        ),
        (
            SpiRequest { protocol: IpsecProtocol::Other(17), ..any },
            (Error, "only esp, ah and ipcomp"),
            RefusesMutely("Invalid protocol, must be one of AH, ESP, IPCOMP"),
        ),
        (SpiRequest { least: Spi(7), greatest: Spi(7), ..any }, (Error, "reserved"), Takes),
    ] {
        judge(&check::spi_request(&wanted), ours, kernel().allocate_spi(&wanted).map(drop), &kernels);
    }
    ip("xfrm state flush");
    let one = SpiRequest { least: Spi(0x1001), greatest: Spi(0x1001), ..any };
    kernel().allocate_spi(&one).unwrap();
    let refusal = kernel().allocate_spi(&one).unwrap_err();
    let words =
        if version() < WORDS { "no SPI of this range is free" } else { "No SPI available in the requested range" };
    assert!(refusal.reason().contains(words), "{refusal}");

    let before = kernel().thresholds().unwrap();
    for (v4, v6, words) in [
        (Some((33, 0)), None, "Invalid hash threshold (must be <= 32 for IPv4)"),
        (None, Some((0, 129)), "Invalid hash threshold (must be <= 128 for IPv6)"),
    ] {
        let change = ThresholdsChange { v4, v6 };
        let after: HashThresholds = change.on(before);
        judge(&check::thresholds(&change), (Error, "bits"), kernel().set_thresholds(after), &RefusesMutely(words));
    }
}
