//! What espial writes, as `ip` reads it.

use espial::kernel::{Cause, Kernel, Operation, together};
use espial::model::algorithm::ALGORITHMS;
use espial::model::extras::Encapsulation;
use espial::model::{
    AlgorithmKind, AlgorithmName, IfId, IpsecProtocol, Level, Limit, Mark, Mode, PolicyAction, PolicyDefaults,
    PolicyDirection, PolicyKind, PolicySpec, PortMatch, Prefix, ReqId, SaFlags, SaSpec, Secret, Selector, Spi,
    Template, Transform, UpperProtocol,
};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, feed, ip, kernel, key, socket_with_a_policy};

pub const TESTS: &[Test] = &[
    ("every_kind_of_sa", every_kind_of_sa),
    ("every_algorithm", every_algorithm),
    ("every_kind_of_policy", every_kind_of_policy),
    ("a_policy_of_every_direction_is_counted", counts),
    ("deleting_a_marked_sa_never_takes_another", deleting_a_marked_sa_never_takes_another),
    ("many_are_deleted_together_or_not_at_all", deleting_together),
    ("deleting_and_flushing", deleting_and_flushing),
    ("the_defaults", the_defaults),
    ("refusals_carry_the_kernels_words_and_no_key", refusals),
    ("setkey_scripts", setkey_scripts),
];

fn transform(name: &str, bytes: usize, icv_bits: u32) -> Transform {
    let key: Vec<u8> = (0..).take(bytes).collect();
    Transform { name: AlgorithmName::from_kernel(name), key: Secret::copy_from(&key), icv_bits }
}

fn sa(protocol: IpsecProtocol, fill: impl FnOnce(&mut SaSpec)) -> SaSpec {
    let mut spec = SaSpec::new(GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap(), protocol, Spi(0x1001));
    fill(&mut spec);
    spec
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn every_kind_of_sa() {
    use IpsecProtocol::{Ah, Comp, Esp};
    let cases: Vec<(SaSpec, Vec<String>)> = vec![
        (
            sa(Esp, |spec| {
                spec.algorithms.encryption = Some(transform("cbc(aes)", 32, 0));
                spec.algorithms.authentication = Some(transform("hmac(sha256)", 32, 128));
                spec.reqid = ReqId(0x4711);
                spec.replay_window = 32;
            }),
            vec![
                "src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00001001 reqid 18193 mode transport".into(),
                "replay-window 32".into(),
                format!("auth-trunc hmac(sha256) {} 128", key(32)),
                format!("enc cbc(aes) {}", key(32)),
            ],
        ),
        (
            sa(Esp, |spec| {
                spec.mode = Mode::Tunnel;
                spec.flags = SaFlags(SaFlags::ESN);
                spec.replay_window = 128;
                spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 36, 96));
                spec.mark = Some(Mark { value: 0x10, mask: 0xff });
                spec.if_id = Some(IfId(7));
                spec.limits.since_added_secs = Limit { soft: Some(3000), hard: Some(3600) };
                spec.limits.bytes = Limit { soft: None, hard: Some(1_000_000_000) };
                let mut selector = Selector::between(prefix("10.1.0.0/24"), prefix("10.2.0.0/24"));
                selector.protocol = UpperProtocol::UDP;
                selector.destination_port = PortMatch::exactly(53);
                spec.selector = Some(selector);
            }),
            vec![
                "mode tunnel".into(),
                "flag esn".into(),
                "mark 0x10/0xff".into(),
                format!("aead rfc4106(gcm(aes)) {} 96", key(36)),
                "replay_window 128".into(),
                "if_id 0x7".into(),
                "sel src 10.1.0.0/24 dst 10.2.0.0/24 proto udp dport 53".into(),
                "limit: soft (INF)(bytes), hard 1000000000(bytes)".into(),
                "expire add: soft 3000(sec), hard 3600(sec)".into(),
            ],
        ),
        (
            sa(Ah, |spec| spec.algorithms.authentication = Some(transform("hmac(md5)", 16, 96))),
            vec!["proto ah spi 0x00001001".into(), format!("auth-trunc hmac(md5) {} 96", key(16))],
        ),
        (
            sa(Esp, |spec| {
                spec.algorithms.encryption = Some(transform("cbc(des3_ede)", 24, 0));
                spec.algorithms.authentication = Some(transform("hmac(sha1)", 20, 96));
                spec.extras.encapsulation = Some(Encapsulation {
                    kind: 2,
                    source_port: 4500,
                    destination_port: 61000,
                    original: [0, 0, 0, 0].into(),
                });
            }),
            vec![
                "encap type espinudp sport 4500 dport 61000 addr 0.0.0.0".into(),
                format!("enc cbc(des3_ede) {}", key(24)),
            ],
        ),
        (
            sa(Comp, |spec| spec.algorithms.compression = Some(AlgorithmName::from_kernel("deflate"))),
            vec!["proto comp spi 0x00001001".into(), "comp deflate".into()],
        ),
        (
            sa(Esp, |spec| {
                (spec.source, spec.destination) = ("fd00:9::1".parse().unwrap(), "fd00:9::2".parse().unwrap());
                spec.algorithms.aead = Some(transform("rfc7539esp(chacha20,poly1305)", 36, 128));
            }),
            vec![
                "src fd00:9::1 dst fd00:9::2 proto esp spi 0x00001001".into(),
                format!("aead rfc7539esp(chacha20,poly1305) {} 128", key(36)),
            ],
        ),
    ];
    for (spec, expected) in cases {
        kernel().add_sa(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
        let listed = [ip("-d xfrm state"), ip("-s xfrm state")].concat();
        for part in expected {
            assert!(listed.contains(&part), "{part:?} is not in what ip lists:\n{listed}");
        }
        let told = kernel().sa(&spec.id()).unwrap();
        assert_eq!(told.to_spec().algorithms, spec.algorithms);
        ip("xfrm state flush");
    }
}

/// What this kernel may lack: Debian's builds have no SM3 and SM4, none has LZS and LZJH.
const MAY_LACK: [&str; 4] = ["cbc(sm4)", "hmac(sm3)", "lzs", "lzjh"];

/// Every row of the table, with the longest key and each ICV length.
fn every_algorithm() {
    let mut kernel = kernel();
    let mut expected = Vec::new();
    for algorithm in ALGORITHMS {
        let bytes = usize::from(algorithm.key_bits.longest()) / 8;
        let icvs: &[u16] = if algorithm.icv_bits.is_empty() { &[0] } else { algorithm.icv_bits };
        for icv_bits in icvs {
            let mut spec =
                sa(IpsecProtocol::Esp, |spec| spec.spi = Spi(0x1000 + u32::try_from(expected.len()).unwrap()));
            let part = Some(transform(algorithm.kernel, bytes, u32::from(*icv_bits)));
            let name = algorithm.kernel;
            let hex = if bytes == 0 { String::new() } else { key(bytes) + " " };
            let words = match algorithm.kind {
                AlgorithmKind::Aead => format!("aead {name} {hex}{icv_bits} "),
                AlgorithmKind::Encryption => format!("enc {name} {hex}"),
                AlgorithmKind::Authentication => format!("auth-trunc {name} {hex}{icv_bits} "),
                AlgorithmKind::Compression => format!("comp {name} "),
            };
            let algorithms = &mut spec.algorithms;
            match algorithm.kind {
                AlgorithmKind::Aead => algorithms.aead = part,
                AlgorithmKind::Encryption => algorithms.encryption = part,
                AlgorithmKind::Authentication => {
                    algorithms.encryption = Some(transform("ecb(cipher_null)", 0, 0));
                    algorithms.authentication = part;
                }
                AlgorithmKind::Compression => {
                    spec.protocol = IpsecProtocol::Comp;
                    algorithms.compression = Some(AlgorithmName::from_kernel(name));
                }
            }
            match kernel.add_sa(&spec) {
                Ok(()) => expected.push((spec.spi, words)),
                Err(error) => {
                    assert!(MAY_LACK.contains(&name) && error.errno() == Some(libc::ENOSYS), "{name}: {error}");
                }
            }
        }
    }
    let listed = ip("xfrm state");
    for (spi, words) in expected {
        // An SA's text reaches to the next one's addresses.
        let start = listed.find(&format!("spi {spi} ")).unwrap_or_else(|| panic!("no {spi}, {words}in\n{listed}"));
        let text = listed[start..].split("src 10.9.0.1").next().unwrap();
        assert!(text.contains(&words), "{words:?} is not in {text}");
    }
}

fn every_kind_of_policy() {
    let nowhere = [0, 0, 0, 0].into();
    let (gouda, reblochon) = (GOUDA.parse().unwrap(), REBLOCHON.parse().unwrap());
    let between = Selector::between(prefix("10.1.0.0/24"), prefix("10.2.0.0/24"));
    let policy = |direction, fill: &dyn Fn(&mut PolicySpec)| {
        let mut spec = PolicySpec::new(direction, between);
        fill(&mut spec);
        spec
    };
    let transport = |protocol| Template::new(protocol, Mode::Transport, nowhere, nowhere);
    let cases: Vec<(PolicySpec, &[&str])> = vec![
        (
            policy(PolicyDirection::Out, &|spec| {
                spec.priority = 100;
                spec.templates = vec![transport(IpsecProtocol::Esp), transport(IpsecProtocol::Ah)];
            }),
            &[
                "src 10.1.0.0/24 dst 10.2.0.0/24 dir out priority 100 ptype main",
                "proto esp reqid 0 mode transport tmpl",
                "proto ah reqid 0 mode transport",
            ],
        ),
        (
            policy(PolicyDirection::In, &|spec| {
                let mut template = Template::new(IpsecProtocol::Esp, Mode::Tunnel, reblochon, gouda);
                (template.reqid, template.level) = (ReqId(7), Level::Use);
                spec.templates = vec![template];
                spec.mark = Some(Mark { value: 1, mask: 3 });
                spec.if_id = Some(IfId(9));
            }),
            &[
                "dir in priority 0 ptype main mark 0x1/0x3",
                "tmpl src 10.9.0.2 dst 10.9.0.1 proto esp reqid 7 mode tunnel level use",
                "if_id 0x9",
            ],
        ),
        (
            policy(PolicyDirection::Forward, &|spec| {
                spec.action = PolicyAction::Block;
                spec.selector.protocol = UpperProtocol::TCP;
                spec.selector.source_port = PortMatch::exactly(80);
            }),
            &["proto tcp sport 80 dir fwd action block"],
        ),
        (
            policy(PolicyDirection::Out, &|spec| {
                spec.selector = Selector::between(prefix("fd01::/64"), prefix("fd02::/64"));
                spec.selector.protocol = UpperProtocol::ICMPV6;
                spec.selector.source_port = PortMatch::exactly(128);
            }),
            &["src fd01::/64 dst fd02::/64 proto ipv6-icmp type 128"],
        ),
    ];
    for (spec, expected) in cases {
        kernel().add_policy(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
        let listed = ip("-d xfrm policy");
        for part in expected {
            assert!(listed.contains(part), "{part:?} is not in what ip lists:\n{listed}");
        }
        assert_eq!(kernel().policy(&spec.id()).unwrap().priority, spec.priority);
        ip("xfrm policy flush");
    }
}

fn deleting_a_marked_sa_never_takes_another() {
    let unmarked = sa(IpsecProtocol::Esp, |spec| spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128)));
    let mut marked = unmarked.clone();
    marked.mark = Some(Mark { value: 0x10, mask: 0xff });
    let mut kernel = kernel();
    kernel.add_sa(&marked).unwrap();
    kernel.add_sa(&unmarked).unwrap();
    // The newer one is found first.
    let refusal = kernel.delete_sa(&marked.id()).unwrap_err();
    assert_eq!(refusal.cause, Cause::WouldTake(unmarked.id()), "{refusal}");
    assert_eq!(kernel.sas().unwrap().len(), 2);
    kernel.delete_sa(&unmarked.id()).unwrap();
    kernel.delete_sa(&marked.id()).unwrap();
    assert_eq!(kernel.delete_sa(&marked.id()).unwrap_err().errno(), Some(libc::ESRCH));
    assert_eq!(ip("xfrm state"), "");
}

fn deleting_together() {
    let esp = |spi: u32, mark: Option<u32>| {
        sa(IpsecProtocol::Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128));
            spec.spi = Spi(spi);
            spec.mark = mark.map(|value| Mark { value, mask: 0xff });
        })
    };
    let specs = [esp(0x1001, Some(1)), esp(0x1001, None), esp(0x1002, None), esp(0x1003, None)];
    let mut kernel = kernel();
    for spec in &specs {
        kernel.add_sa(spec).unwrap();
    }
    // The first cannot go before the second, which the kernel would take for it; together they can.
    let [hidden, .., last] = specs.each_ref().map(SaSpec::id);
    let refusal = together::delete_sas(&mut kernel, &[last, hidden]).unwrap_err();
    assert_eq!(refusal.operation, Operation::DeleteSa(hidden), "{refusal}");
    assert_eq!(kernel.sas().unwrap().len(), 4, "the last one is there again");
    let mut all = specs.each_ref().map(SaSpec::id).to_vec();
    all.insert(2, esp(0x2000, None).id());
    together::delete_sas(&mut kernel, &all).unwrap();
    assert_eq!(ip("xfrm state"), "");

    let selector = |net: &str| Selector::between(prefix(net), prefix("10.2.0.0/24"));
    let [here, gone] = ["10.1.0.0/24", "10.3.0.0/24"].map(|net| PolicySpec::new(PolicyDirection::Out, selector(net)));
    kernel.add_policy(&here).unwrap();
    together::delete_policies(&mut kernel, &[gone.id(), here.id()]).unwrap();
    assert_eq!(ip("xfrm policy"), "");
}

fn deleting_and_flushing() {
    let esp = sa(IpsecProtocol::Esp, |spec| spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128)));
    let ah = sa(IpsecProtocol::Ah, |spec| spec.algorithms.authentication = Some(transform("hmac(sha1)", 20, 96)));
    let mut kernel = kernel();
    kernel.add_sa(&esp).unwrap();
    kernel.add_sa(&ah).unwrap();
    assert!(ip("xfrm state count").contains("SAD count 2"));
    assert_eq!(kernel.counts().unwrap().sas, 2);
    kernel.delete_sa(&ah.id()).unwrap();
    assert!(!ip("xfrm state").contains("proto ah"));
    assert_eq!(kernel.delete_sa(&ah.id()).unwrap_err().errno(), Some(libc::ESRCH));
    kernel.add_sa(&ah).unwrap();
    kernel.flush_sas(IpsecProtocol::Esp).unwrap();
    assert!(ip("xfrm state").contains("proto ah") && !ip("xfrm state").contains("proto esp"));
    kernel.flush_sas(IpsecProtocol::Any).unwrap();
    assert_eq!(ip("xfrm state"), "");

    let spec = PolicySpec::new(PolicyDirection::Out, Selector::between(prefix("10.1.0.0/24"), prefix("10.2.0.0/24")));
    kernel.add_policy(&spec).unwrap();
    assert!(ip("xfrm policy count").contains("SPD IN 0 OUT 1 FWD 0"));
    assert_eq!(kernel.counts().unwrap().policies_out, 1);
    kernel.delete_policy(&spec.id()).unwrap();
    assert_eq!(ip("xfrm policy"), "");
    kernel.add_policy(&spec).unwrap();
    kernel.add_policy(&PolicySpec { kind: PolicyKind::Sub, ..spec }).unwrap();
    kernel.flush_policies(PolicyKind::Main).unwrap();
    let listed = ip("-d xfrm policy");
    assert!(listed.contains("ptype sub") && !listed.contains("ptype main"), "{listed}");
    kernel.flush_policies(PolicyKind::Sub).unwrap();
    assert_eq!(ip("xfrm policy"), "");
}

fn counts() {
    let ways = [(PolicyDirection::In, 1), (PolicyDirection::Out, 2), (PolicyDirection::Forward, 3)];
    let mut kernel = kernel();
    for (direction, count) in ways {
        for network in 0..count {
            let source = Prefix { address: [10, 1, network, 0].into(), length: 24 };
            kernel.add_policy(&PolicySpec::new(direction, Selector::between(source, prefix("10.2.0.0/24")))).unwrap();
        }
    }
    let socket = socket_with_a_policy();
    let listed = ip("-s xfrm policy count");
    assert!(listed.contains("IN 1 OUT 2 FWD 3 (Sock: IN 1 OUT 0 FWD 0)"), "{listed}");
    let counts = kernel.counts().unwrap();
    assert_eq!(
        (counts.policies_in, counts.policies_out, counts.policies_forward, counts.policies_of_sockets),
        (1, 2, 3, 1)
    );
    let policies = kernel.policies().unwrap();
    let of_socket = policies.iter().find(|policy| policy.is_of_socket()).unwrap();
    assert_eq!(of_socket.direction.to_string(), "socket in");
    let refusal = kernel.delete_policy(&of_socket.id()).unwrap_err().to_string();
    assert!(refusal.contains("Invalid policy direction"), "{refusal}");
    kernel.flush_policies(PolicyKind::Main).unwrap();
    assert!(ip("-s xfrm policy count").contains("IN 0 OUT 0 FWD 0 (Sock: IN 1 OUT 0 FWD 0)"), "a flush leaves sockets");
    drop(socket);
    assert_eq!(kernel.policies().unwrap(), []);
}

fn the_defaults() {
    let mut kernel = kernel();
    let before = kernel.defaults().unwrap();
    let blocked = PolicyDefaults { forward: PolicyAction::Block, ..before };
    kernel.set_defaults(blocked).unwrap();
    let words = ip("xfrm policy getdefault");
    ip("xfrm policy setdefault fwd accept");
    assert_eq!(words, "Default policies: in: accept fwd: block out: accept");
    assert_eq!(kernel.defaults().unwrap(), before);
}

fn refusals() {
    use IpsecProtocol::{Ah, Esp};
    type Fill = fn(&mut SaSpec);
    let cases: &[(&str, IpsecProtocol, Fill)] = &[
        ("Requested CRYPT algorithm not found", Esp, |spec| {
            spec.algorithms.encryption = Some(transform("cbc(nonsense)", 16, 0));
        }),
        ("Requested AUTH_TRUNC algorithm not found", Ah, |spec| {
            spec.algorithms.authentication = Some(transform("hmac(nonsense)", 16, 96));
        }),
        ("Requested AEAD algorithm not found", Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(nonsense)", 20, 128));
        }),
        ("Kernel was unable to initialize cryptographic operations", Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 19, 128));
        }),
        ("Missing required attribute for AH: AUTH_TRUNC or AUTH", Ah, |spec| {
            spec.algorithms.encryption = Some(transform("cbc(aes)", 16, 0));
        }),
        ("AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT", Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128));
            spec.algorithms.encryption = Some(transform("cbc(aes)", 16, 0));
        }),
        ("ESN bitmap length must be <= 128", Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128));
            spec.replay_window = 5000;
            spec.flags = SaFlags(SaFlags::ESN);
        }),
        ("Requested mode not found", Esp, |spec| {
            spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128));
            spec.mode = Mode::RouteOptimization;
        }),
    ];
    for (expected, protocol, fill) in cases {
        let error = kernel().add_sa(&sa(*protocol, fill)).unwrap_err();
        let words = format!("{error} {error:?}");
        assert!(words.contains(expected), "{expected:?} is not in {words}");
        assert!(!words.contains("00010203") && !words.contains("0, 1, 2, 3"), "{words}");
    }
    assert_eq!(ip("xfrm state"), "", "what is refused is not there");
    let good = sa(Esp, |spec| spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128)));
    kernel().add_sa(&good).unwrap();
    assert_eq!(kernel().add_sa(&good).unwrap_err().errno(), Some(libc::EEXIST));
    let mut policy =
        PolicySpec::new(PolicyDirection::Out, Selector::between(prefix("10.1.0.0/24"), prefix("10.2.0.0/24")));
    kernel().add_policy(&policy).unwrap();
    assert_eq!(kernel().add_policy(&policy).unwrap_err().errno(), Some(libc::EEXIST));
    policy.templates = vec![Template::new(Esp, Mode::Transport, [0; 4].into(), [0; 4].into()); 7];
    let error = kernel().add_policy(&policy).unwrap_err().to_string();
    assert!(error.contains("Template count must be <= XFRM_MAX_DEPTH (6)"), "{error}");
    policy.templates.truncate(1);
    policy.templates[0].mode = Mode::Other(77);
    let error = kernel().add_policy(&policy).unwrap_err().to_string();
    assert!(error.contains("Mode in template must be < XFRM_MODE_MAX"), "{error}");
}

fn setkey_scripts() {
    let output = feed(env!("CARGO_BIN_EXE_espial"), &["apply", "-"], include_str!("../data/article-gouda.conf"));
    assert!(output.status.success(), "{output:?}");
    let here = ip("xfrm state");
    assert_eq!(here.matches("src 10.9.0.").count(), 4, "{here}");
    assert!(here.contains("auth-trunc hmac(md5) 0x31323334353637383930313233343536 96"), "{here}");
    let policies = ip("xfrm policy");
    assert!(policies.contains("src 10.9.0.1/32 dst 10.9.0.2/32 dir out"), "{policies}");
}
