//! setkey's language: what is understood, what is refused with which words, and what is printed.

use espial::dialect::deed::{Deed, Script};
use espial::dialect::report::place_of;
use espial::dialect::setkey::{self, parse};
use espial::dialect::{Keys, iproute2};
use espial::model::{
    IfId, IpsecProtocol, Level, Mark, Mode, Policy, PolicyAction, PolicyDirection, PolicySpec, PortMatch, ReqId,
    SaSpec, Secret, Spi, Transform, UpperProtocol,
};
use proptest::prelude::*;

const ARTICLE: &str = include_str!("../data/article-gouda.conf");

fn script(text: &str) -> Script {
    parse(text).unwrap_or_else(|errors| panic!("{}", errors[0].render("test", text)))
}

fn one(text: &str) -> Deed {
    let mut statements = script(text).statements;
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0).deed
}

fn an_sa(text: &str) -> SaSpec {
    match one(text) {
        Deed::AddSa(spec) => *spec,
        other => panic!("{other:?}"),
    }
}

fn policies(text: &str) -> Vec<PolicySpec> {
    match one(text) {
        Deed::AddPolicies(specs) => specs,
        other => panic!("{other:?}"),
    }
}

/// The first error of a script: where, the problem, and what was expected.
#[track_caller]
fn check_error(text: &str, expected: &str) {
    let errors = parse(text).expect_err(text);
    let found = errors[0].render("f", text);
    assert!(found.contains(expected), "{text}\ngives\n{found}\nwithout\n{expected}");
}

#[test]
fn the_articles_listing_is_understood_whole() {
    let script = script(ARTICLE);
    let words: Vec<String> = script
        .statements
        .iter()
        .map(|statement| match &statement.deed {
            Deed::FlushSas(protocol) => format!("flush {protocol}"),
            Deed::FlushPolicies(_) => "spdflush".to_owned(),
            Deed::AddSa(spec) => {
                let (encryption, authentication) =
                    (spec.algorithms.encryption_label(), spec.algorithms.authentication_label());
                format!("{} from {} {encryption} {authentication}", spec.id(), spec.source)
            }
            Deed::AddPolicies(specs) => specs
                .iter()
                .map(|spec| format!("{} {}", spec.id(), spec.templates.len()))
                .collect::<Vec<_>>()
                .join(", "),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        words,
        [
            "flush ipsec-any",
            "spdflush",
            "ah 0x000003e8 to 10.9.0.2 from 10.9.0.1 - hmac-md5-96",
            "ah 0x000007d0 to 10.9.0.1 from 10.9.0.2 - hmac-md5-96",
            "esp 0x000003e9 to 10.9.0.2 from 10.9.0.1 3des-cbc hmac-sha1-96",
            "esp 0x000007d1 to 10.9.0.1 from 10.9.0.2 3des-cbc hmac-sha1-96",
            "out 10.9.0.1/32 10.9.0.2/32 2",
            "in 10.9.0.2/32 10.9.0.1/32 2, fwd 10.9.0.2/32 10.9.0.1/32 2",
        ]
    );
    let Deed::AddSa(ah) = &script.statements[2].deed else { panic!() };
    assert_eq!(ah.algorithms.authentication.as_ref().unwrap().key, Secret::copy_from(b"1234567890123456"));
    // Weak algorithms and keys that are text are warned about, not refused: each of the six transforms has both.
    let expected = |sentence: &str| sentence.contains("too weak") || sentence.contains("text that can be guessed");
    assert!(script.warnings.iter().all(|warning| expected(&warning.sentence)));
    assert_eq!(script.warnings.len(), 12);
}

#[test]
fn options_of_an_sa() {
    let sa = an_sa(
        "ADD fd00::1 fd00::2 ESP 0x1001 -m tunnel -u 7 -r 32 -lh 3600 -ls 3000 -bh 0 -bs 9 -E aes-cbc 0x00112233445566778899aabbccddeeff -A hmac-sha256 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f;",
    );
    assert_eq!((sa.mode, sa.reqid, sa.replay_window, sa.spi), (Mode::Tunnel, ReqId(7), 32, Spi(0x1001)));
    assert_eq!((sa.limits.since_added_secs.hard, sa.limits.since_added_secs.soft), (Some(3600), Some(3000)));
    assert_eq!((sa.limits.bytes.hard, sa.limits.bytes.soft), (None, Some(9)));
    assert_eq!(sa.algorithms.authentication.unwrap().icv_bits, 96, "as setkey makes it");
    let any =
        an_sa("add 10.0.0.1 10.0.0.2 esp 256 -m any -E null -A hmac-sha1 0x0102030405060708090a0b0c0d0e0f1011121314;");
    assert_eq!(any.mode, Mode::Transport);
    let gcm = an_sa("add 10.0.0.1 10.0.0.2 esp 256 -E aes-gcm-16 0x0102030405060708090a0b0c0d0e0f1011121314;");
    assert_eq!(gcm.algorithms.aead.unwrap().icv_bits, 128, "the BSDs' word");
    let comp = an_sa("add 10.0.0.1 10.0.0.2 ipcomp 256 -C deflate;");
    assert!(comp.algorithms.compression.is_some());
}

#[test]
fn policies_with_ranges_ports_and_priorities() {
    let all = policies(
        "spdadd 10.1.0.0/24[any] 10.2.0.0/24[22] tcp -P out prio 10 ipsec esp/tunnel/10.9.0.1-10.9.0.2/unique:5 ah/transport//use;",
    );
    let [policy] = &all[..] else { panic!() };
    assert_eq!(policy.selector.destination_port, PortMatch::exactly(22));
    assert_eq!((policy.selector.protocol, policy.priority), (UpperProtocol::TCP, 0x8000_0000 - 10));
    assert_eq!((policy.templates[0].reqid, policy.templates[0].mode), (ReqId(5), Mode::Tunnel));
    assert_eq!(policy.templates[1].level, Level::Use);
    let priority = |words: &str| policies(&format!("spdadd ::/0 ::/0 any -P fwd {words} none;"))[0].priority;
    assert_eq!(priority("priority low"), 0xc000_0000);
    assert_eq!(priority("prio def + 3"), 0x8000_0000 - 3);
    assert_eq!(priority("prio high -1"), 0x4000_0001);
    assert_eq!(priority("prio -5"), 0x8000_0005);
    assert_eq!(policies("spdadd 0.0.0.0/0 0.0.0.0/0 any -P out discard;")[0].action, PolicyAction::Block);
}

#[test]
fn a_policy_of_direction_in_brings_its_twin_for_forwarding() {
    let all = policies(
        "spdadd 10.2.0.0/24 10.1.0.0/24 any -P in ipsec esp/tunnel/10.9.0.2-10.9.0.1/unique:5 ah/transport//unique:6;",
    );
    assert_eq!(
        all.iter().map(|policy| policy.direction).collect::<Vec<_>>(),
        [PolicyDirection::In, PolicyDirection::Forward]
    );
    let reqids = |policy: &PolicySpec| policy.templates.iter().map(|template| template.reqid.0).collect::<Vec<_>>();
    assert_eq!((reqids(&all[0]), reqids(&all[1])), (vec![5, 6], vec![0, 6]));
}

#[test]
fn deleting_and_flushing() {
    let Deed::DeleteSa(id) = one("delete 10.9.0.1 10.9.0.2 esp 1001;") else { panic!() };
    assert_eq!(id.to_string(), "esp 0x000003e9 to 10.9.0.2");
    let Deed::DeletePolicy(id) = one("spddelete 10.9.0.1 10.9.0.2 any -P out;") else { panic!() };
    assert_eq!(id.to_string(), "out 10.9.0.1/32 10.9.0.2/32");
    assert_eq!(one("flush esp;"), Deed::FlushSas(IpsecProtocol::Esp));
    assert_eq!(script("flush; quit; rubbish").statements.len(), 1, "behind quit nothing is read");
    assert!(script("  # nothing\n;;").statements.is_empty());
}

#[test]
fn errors_name_the_place_show_the_line_and_say_what_was_expected() {
    check_error(
        "flush;\nadd 10.9.0.1 10.9.0 esp 1001 -E null;",
        "f:2:14: \"10.9.0\" is not understood here\n  | add 10.9.0.1 10.9.0 esp 1001 -E null;\n  |              ^^^^^^\n  expected an IPv4 or IPv6 address",
    );
    check_error("flsh;", "f:1:1: \"flsh\" is not understood here\n");
    check_error("flush", "f:1:6: the text ends here\n  | flush\n  |      ^\n  expected ; at the end of the statement");
    check_error("add 10.9.0.1 10.9.0.2 esp 5 -E null;", "f:1:27: SPIs 0 to 255 are reserved");
    check_error("add 10.9.0.1 10.9.0.2 esp 4294967296 -E null;", "expected the SPI: a number to 4294967295");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001;", "the SA has no algorithm\n");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -E 3des-cbc \"short\";", "3des-cbc takes 192 bits, not 40 bits");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -E rot13 0x00;", "expected an encryption algorithm: aes-cbc");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -E aes-cbc;", "the key is missing");
    check_error("add 10.9.0.1 10.9.0.2 ah 1001 -A keyed-md5 \"x\";", "Linux has no `keyed-md5`");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -f cyclic-seq;", "-f has no effect on Linux");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -q;", "there is no option \"-q\" of an SA");
    check_error("getspi 10.9.0.1 10.9.0.2 esp 0;", "the statement `getspi` is not understood yet");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P ont none;", "expected in, out or fwd");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec;", "the rules of the ipsec policy are missing");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//sometimes;", "the last part of a rule");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/tunnel//require;", "a tunnel needs the addresses");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//unique;", "say unique:N");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//unique:16384;", "from 1 to 16383");
    check_error("spdadd 10.9.0.1[70000] 10.9.0.2 tcp -P out none;", "this is no port");
    check_error("spdadd 10.9.0.1[22] 10.9.0.2 any -P out none;", "any has no ports");
    check_error("spdadd 10.9.0.1 10.9.0.2 icmp6 128,0 -P out none;", "is not understood yet");
    check_error("spdadd tagged \"x\" -P out none;", "do not exist on Linux");
}

#[test]
fn every_error_of_a_script_is_found_in_one_go() {
    let text = "add x;\nflush;\nspdadd y;\nspdflush;\nadd 10.9.0.1 10.9.0.2 esp 3 -E 3des-cbc 0x00;";
    let errors = parse(text).unwrap_err();
    let lines: Vec<usize> = errors.iter().map(|error| place_of(text, error.span.start).0).collect();
    assert_eq!(lines, [1, 3, 5, 5]);
}

#[test]
fn no_error_shows_a_key() {
    let secrets = ["\"hunter2hunter2\"", "0xhunter2hunter2", "hunter2hunter2", "\"hunter2hunter2"];
    for secret in secrets {
        for text in [
            format!("add 10.9.0.1 10.9.0 esp 1001 -E 3des-cbc {secret} -A hmac-md5 {secret};"),
            format!("add 10.9.0.1 10.9.0.2 esp 1001 -E 3des-cbc {secret} nonsense;"),
            format!("add 10.9.0.1 10.9.0.2 ah 1001 -A hmac-md5 {secret};"),
            format!("ad 10.9.0.1 10.9.0.2 ah 1001 -A hmac-md5 {secret};"),
        ] {
            for error in parse(&text).unwrap_err() {
                let shown = error.render("f", &text);
                assert!(!shown.contains("hunter"), "{text}\nshows it:\n{shown}");
                assert!(!format!("{error:?}").contains("hunter"));
            }
        }
    }
}

#[test]
fn what_setkey_cannot_say_is_a_comment_with_the_line_that_can() {
    let mut sa = an_sa("add 10.9.0.1 10.9.0.2 esp 0x1001 -E aes-gcm-16 0x0102030405060708090a0b0c0d0e0f1011121314;");
    let text = setkey::print::sa(&sa, Keys::Hide);
    assert_eq!(
        *text,
        "# setkey on Linux cannot say AEAD algorithms; ip xfrm can:\n# ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00001001 mode transport aead 'rfc4106(gcm(aes))' <key hidden> 128"
    );
    (sa.mark, sa.if_id) = (Some(Mark { value: 1, mask: 3 }), Some(IfId(9)));
    let line = iproute2::sa(&sa, Keys::Show);
    assert!(line.ends_with(
        "aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128 mark 0x1 mask 0x3 if_id 0x9"
    ));
}

#[test]
fn hidden_keys_cannot_be_loaded_by_mistake() {
    let sa = an_sa("add 10.9.0.1 10.9.0.2 ah 1000 -A hmac-md5 \"1234567890123456\";");
    let text = setkey::print::sa(&sa, Keys::Hide);
    assert!(text.contains("<key hidden>") && !text.contains("3132"), "{}", *text);
    assert!(parse(&text).is_err());
}

#[test]
fn what_is_printed_is_read_back_as_it_was() {
    let first = script(ARTICLE);
    let mut printed = String::new();
    for statement in &first.statements {
        match &statement.deed {
            Deed::AddSa(spec) => printed += &setkey::print::sa(spec, Keys::Show),
            // The twin comes by itself.
            Deed::AddPolicies(specs) => printed += &setkey::print::policy(&specs[0]),
            Deed::FlushSas(_) => printed += "flush;",
            _ => printed += "spdflush;",
        }
        printed.push('\n');
    }
    let second = script(&printed);
    let deeds = |script: &Script| script.statements.iter().map(|s| s.deed.clone()).collect::<Vec<_>>();
    assert_eq!(deeds(&first), deeds(&second), "{printed}");
}

/// SAs that setkey can say.
fn sayable_sas() -> impl Strategy<Value = SaSpec> {
    let ciphers =
        prop::sample::select(vec![("cbc(aes)", 16), ("cbc(aes)", 32), ("cbc(des3_ede)", 24), ("ecb(cipher_null)", 0)]);
    let proofs =
        prop::sample::select(vec![("hmac(sha1)", 20, 96), ("hmac(sha256)", 32, 96), ("hmac(sha512)", 64, 256)]);
    let limits = (any::<Option<u32>>(), any::<Option<u32>>());
    (any::<bool>(), 256u32.., any::<u32>(), 0u32..=32, ciphers, proofs, limits, any::<u8>()).prop_map(
        |(tunnel, spi, reqid, window, (cipher, cipher_bytes), (proof, proof_bytes, icv_bits), (bytes, secs), fill)| {
            let mut spec = SaSpec::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), IpsecProtocol::Esp, Spi(spi));
            spec.mode = if tunnel { Mode::Tunnel } else { Mode::Transport };
            (spec.reqid, spec.replay_window) = (ReqId(reqid), window);
            spec.limits.bytes.hard = bytes.filter(|n| *n != 0).map(u64::from);
            spec.limits.since_added_secs.soft = secs.filter(|n| *n != 0).map(u64::from);
            let transform = |name: &str, bytes: usize, icv_bits| {
                let name = espial::model::AlgorithmName::from_kernel(name);
                Some(Transform { name, key: Secret::copy_from(&vec![fill; bytes]), icv_bits })
            };
            spec.algorithms.encryption = transform(cipher, cipher_bytes, 0);
            spec.algorithms.authentication = transform(proof, proof_bytes, icv_bits);
            spec
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        if let Err(errors) = parse(&text) {
            for error in errors {
                error.render("f", &text);
            }
        }
    }

    #[test]
    fn the_article_with_any_damage_is_read_without_a_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<char>())), 1..6),
    ) {
        let mut text: Vec<char> = ARTICLE.chars().collect();
        for (at, with) in damage {
            let at = at.index(text.len());
            match with {
                Some(c) => text[at] = c,
                None => drop(text.remove(at)),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = parse(&text) {
            for error in errors {
                error.render("f", &text);
            }
        }
    }

    #[test]
    fn an_sa_that_setkey_can_say_survives_print_and_parse(spec in sayable_sas()) {
        let text = setkey::print::sa(&spec, Keys::Show);
        prop_assert_eq!(an_sa(&text), spec);
    }

    #[test]
    fn a_policy_that_setkey_can_say_survives_print_and_parse(
        (out, port, priority) in (any::<bool>(), any::<Option<u16>>(), any::<u32>()),
        rules in proptest::collection::vec((0usize..3, any::<bool>(), 0u32..=0x3fff), 0..4),
    ) {
        use espial::model::{Prefix, Selector, Template};
        let direction = if out { PolicyDirection::Out } else { PolicyDirection::Forward };
        let net = |n: u8| Prefix { address: [10, n, 0, 0].into(), length: 16 };
        let mut spec = PolicySpec::new(direction, Selector::between(net(1), net(2)));
        spec.priority = priority;
        if let Some(port) = port {
            spec.selector.protocol = UpperProtocol::UDP;
            spec.selector.destination_port = PortMatch::exactly(port);
        }
        for (protocol, tunnel, reqid) in rules {
            let protocol = [IpsecProtocol::Esp, IpsecProtocol::Ah, IpsecProtocol::Comp][protocol];
            let nowhere = [0, 0, 0, 0].into();
            let mut template = if tunnel { Template::new(protocol, Mode::Tunnel, [10, 9, 0, 1].into(), [10, 9, 0, 2].into()) } else { Template::new(protocol, Mode::Transport, nowhere, nowhere) };
            template.reqid = ReqId(reqid);
            spec.templates.push(template);
        }
        let text = setkey::print::policy(&spec);
        let read = policies(&text);
        prop_assert_eq!(&read[0], &spec, "{}", text);
    }
}

#[test]
fn a_listed_policy_becomes_what_would_make_it_again() {
    let spec = policies("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//require;").remove(0);
    assert_eq!(Policy::from_spec(&spec, 9, 1000).to_spec(), spec);
}
