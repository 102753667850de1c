//! What espial's own checks say, beside what the kernel does: it refuses what they call an error in words that are
//! known, or it takes it although it can never be right; and it takes all that they only warn of.

use espial::kernel::{Kernel, KernelError};
use espial::model::check::{self, Problem, Severity};
use espial::model::extras::Encapsulation;
use espial::model::{
    AlgorithmName, IpsecProtocol, Level, Limit, Mark, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec,
    PortMatch, Prefix, SaDirection, SaFlags, SaSpec, Secret, Selector, Spi, Template, Transform,
};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, ip, kernel};

pub const TESTS: &[Test] = &[("sas", sas), ("policies", policies)];

/// What the kernel says to something.
enum Kernels {
    /// It refuses it with these words.
    Refuses(&'static str),
    /// It refuses it with these words if it knows directions of SAs (Linux 6.10); an older one ignores them.
    RefusesSinceDirections(&'static str),
    /// It takes it without the direction: it knows of none.
    KeepsNoDirection,
    /// It takes it all the same.
    Takes,
}

use Kernels::{KeepsNoDirection, Refuses, RefusesSinceDirections, Takes};
use Severity::{Error, Warning};

#[track_caller]
fn judge<Field: std::fmt::Debug>(
    found: &[Problem<Field>],
    (severity, part): (Severity, &str),
    answer: Result<(), KernelError>,
    expected: &Kernels,
) {
    let ours = found.iter().any(|problem| problem.severity == severity && problem.sentence.contains(part));
    assert!(ours, "{severity:?} {part:?} is not among {found:?}");
    match (answer, expected) {
        (Ok(()), Takes | KeepsNoDirection) => {}
        (Err(error), Refuses(words) | RefusesSinceDirections(words)) => {
            assert!(error.reason().contains(words), "{part}: {error} lacks {words:?}");
        }
        (Ok(()), Refuses(words) | RefusesSinceDirections(words)) => {
            panic!("{part}: the kernel took it and should say {words:?}")
        }
        (Err(error), Takes | KeepsNoDirection) => panic!("{part}: {error}"),
    }
    assert!(severity == Error || matches!(expected, Takes), "what the kernel refuses is more than a warning: {part}");
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

/// Whether this kernel keeps the direction that an SA is given.
fn directions_are_known() -> bool {
    let (source, destination) = (GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
    let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(0x1001));
    gcm(&mut spec);
    spec.direction = Some(SaDirection::In);
    kernel().add_sa(&spec).unwrap();
    let told = kernel().sa(&spec.id()).unwrap();
    ip("xfrm state flush");
    told.direction.is_some()
}

fn sas() {
    let directions_are_known = directions_are_known();
    let groups = [sa_algorithms(), sa_numbers(), sa_directions(), sa_surroundings()];
    for (change, ours, kernels) in groups.into_iter().flatten() {
        let (source, destination) = (GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
        let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(0x1001));
        change(&mut spec);
        let kernels = match kernels {
            RefusesSinceDirections(words) if directions_are_known => Refuses(words),
            RefusesSinceDirections(_) => KeepsNoDirection,
            other => other,
        };
        judge(&check::sa(&spec), ours, kernel().add_sa(&spec), &kernels);
        ip("xfrm state flush");
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

fn sa_directions() -> Vec<Case<SaSpec>> {
    vec![
        (
            |s| {
                gcm(s);
                (s.direction, s.replay_window) = (Some(SaDirection::Out), 32);
            },
            (Error, "receives nothing"),
            RefusesSinceDirections("Replay window should be 0 for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::Out), SaFlags(2));
            },
            (Error, "no use for decap-dscp"),
            RefusesSinceDirections("Flag DECAP_DSCP should not be set for output SA"),
        ),
        (
            |s| {
                gcm(s);
                (s.direction, s.flags) = (Some(SaDirection::In), SaFlags(4));
            },
            (Error, "no use for nopmtudisc"),
            RefusesSinceDirections("Flag NOPMTUDISC should not be set for input SA"),
        ),
    ]
}

fn sa_surroundings() -> Vec<Case<SaSpec>> {
    vec![
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
        (|p| p.selector.destination_port = PortMatch::exactly(22), (Error, "no ports"), Takes),
        (|p| p.direction = PolicyDirection::Socket(3), (Error, "by its program"), Refuses("Invalid policy direction")),
        (|p| p.action = PolicyAction::Other(7), (Error, "no action 7"), Refuses("Invalid policy action")),
        (|p| p.kind = PolicyKind::Other(7), (Error, "no policy type 7"), Refuses("Invalid policy type")),
        (|p| p.action = PolicyAction::Block, (Error, "blocks"), Takes),
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
