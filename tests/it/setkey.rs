//! setkey's language: what is understood, what is refused with which words, and what is printed.

mod printed;

use std::cell::RefCell;
use std::net::IpAddr;

use espial::dialect::deed::{Deed, Script};
use espial::dialect::report::place_of;
use espial::dialect::setkey::{self, Names, NoNames, Reading, parse, parse_with};
use espial::dialect::{Keys, iproute2};
use espial::model::extras::{Encapsulation, SecurityContext};
use espial::model::question::Question;
use espial::model::sa::SpiRequest;
use espial::model::{
    IfId, IpsecProtocol, Level, Mark, Mode, Policy, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, PortMatch,
    Prefix, ReqId, Sa, SaSpec, Secret, Selector, Spi, UpperProtocol,
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
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -f cyclic-seq;", "expected zero-pad, random-pad, seq-pad or");
    check_error("add 10.9.0.1 10.9.0.2 esp 1001 -q;", "there is no option \"-q\" of an SA");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P ont none;", "expected in, out or fwd");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec;", "the rules of the ipsec policy are missing");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//sometimes;", "the last part of a rule");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/tunnel//require;", "a tunnel needs the addresses");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//unique;", "say unique:N");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//unique:16384;", "from 1 to 16383");
    check_error("spdadd 10.9.0.1[70000] 10.9.0.2 tcp -P out none;", "this is no port");
    check_error("spdadd 10.9.0.1[22] 10.9.0.2 esp -P out none;", "esp has no ports");
    assert!(warnings("spdadd 10.9.0.1[22] 10.9.0.2 any -P out none;")[0].starts_with("without a protocol"));
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
fn a_listed_policy_becomes_what_would_make_it_again() {
    let spec = policies("spdadd 10.9.0.1 10.9.0.2 any -P out ipsec esp/transport//require;").remove(0);
    assert_eq!(Policy::from_spec(&spec, 9, 1000).to_spec(), spec);
}

/// The sentences of a script's warnings.
fn warnings(text: &str) -> Vec<String> {
    script(text).warnings.into_iter().map(|warning| warning.sentence).collect()
}

const KEYED: &str =
    "-E aes-cbc 0x00112233445566778899aabbccddeeff -A hmac-sha1 0x8b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4";

#[test]
fn every_statement_is_one_of_the_deeds() {
    let Deed::UpdateSa(spec) = one(&format!("update 10.9.0.1 10.9.0.2 esp 0x1001 -lh 60 {KEYED};")) else { panic!() };
    assert_eq!((spec.spi, spec.limits.since_added_secs.hard), (Spi(0x1001), Some(60)));
    let Deed::AllocateSpi(wanted) = one("getspi 10.9.0.1 10.9.0.2 esp 0 -m tunnel -u 5;") else { panic!() };
    let any = SpiRequest::any(wanted.source, wanted.destination, IpsecProtocol::Esp);
    let greatest = Spi(0x0fff_ffff);
    assert_eq!(*wanted, SpiRequest { mode: Mode::Tunnel, reqid: ReqId(5), greatest, ..any });
    let Deed::AllocateSpi(wanted) = one("getspi 10.9.0.1 10.9.0.2 ipcomp 0;") else { panic!() };
    assert_eq!((wanted.least, wanted.greatest), (Spi(0x100), Spi(0xffff)));
    let Deed::AllocateSpi(wanted) = one("getspi 10.9.0.1 10.9.0.2 ah 0x1001;") else { panic!() };
    assert_eq!((wanted.least, wanted.greatest), (Spi(0x1001), Spi(0x1001)));
    let Deed::Show(Question::Sa(id)) = one("get 10.9.0.1 10.9.0.2 esp 0x1001;") else { panic!() };
    assert_eq!(id.to_string(), "esp 0x00001001 to 10.9.0.2");
    assert_eq!(one("dump;"), Deed::Show(Question::Sas(None)));
    assert_eq!(one("spddump;"), Deed::Show(Question::Policies(None)));
    assert_eq!(one("flush;"), Deed::FlushSas(IpsecProtocol::Any));
    assert_eq!(one("flush ipcomp;"), Deed::FlushSas(IpsecProtocol::Comp));
    assert_eq!(one("spdflush;"), Deed::FlushPolicies(PolicyKind::Main));
    let Deed::UpdatePolicies(specs) = one("spdupdate 10.9.0.1 10.9.0.2 any -P in none;") else { panic!() };
    assert_eq!(specs.len(), 2, "with its twin");
}

#[test]
fn many_sas_are_meant_by_ends_and_protocol() {
    let sa = |source: [u8; 4], destination: [u8; 4], protocol| {
        Sa::from_spec(&SaSpec::new(source.into(), destination.into(), protocol, Spi(0x1001)), 0)
    };
    let esp = sa([10, 9, 0, 1], [10, 9, 0, 2], IpsecProtocol::Esp);
    let ah = sa([10, 9, 0, 1], [10, 9, 0, 2], IpsecProtocol::Ah);
    let back = sa([10, 9, 0, 2], [10, 9, 0, 1], IpsecProtocol::Esp);
    let fitting = |text: &str| {
        let filter = match one(text) {
            Deed::DeleteSas(Some(filter)) | Deed::Show(Question::Sas(Some(filter))) => filter,
            other => panic!("{other:?}"),
        };
        [&esp, &ah, &back].map(|sa| filter.fits_sa(sa))
    };
    assert_eq!(fitting("deleteall 10.9.0.1 10.9.0.2 esp;"), [true, false, false]);
    assert_eq!(fitting("deleteall 10.9.0.1 10.9.0.2;"), [true, true, false]);
    assert_eq!(fitting("dump esp;"), [true, false, true]);
    check_error("flush esp-udp;", "Linux cannot tell esp-udp from other ESP here");
    check_error("deleteall 10.9.0.1 10.9.0.2[4500] esp;", "by their ports");
}

#[test]
fn esp_in_udp_has_ports_and_an_address_before_nat() {
    let encapsulation = |head: &str| an_sa(&format!("add {head} 0x1001 {KEYED};")).extras.encapsulation.unwrap();
    let kind = Encapsulation::ESP_IN_UDP;
    let original = IpAddr::from([0, 0, 0, 0]);
    assert_eq!(
        encapsulation("10.9.0.1 10.9.0.2[any] esp-udp"),
        Encapsulation { kind, source_port: 4500, destination_port: 4500, original }
    );
    assert_eq!(
        encapsulation("10.9.0.1[4501] 10.9.0.2 [61000] esp-udp 192.168.0.7"),
        Encapsulation { kind, source_port: 4501, destination_port: 61000, original: [192, 168, 0, 7].into() }
    );
    assert_eq!(encapsulation("fd00::1 fd00::2 esp-udp").original, IpAddr::from([0; 16]));
    check_error("add 10.9.0.1[4500] 10.9.0.2 esp 0x1001 -E null;", "belong to the protocol esp-udp");
    check_error("add 10.9.0.1[x] 10.9.0.2 esp-udp 0x1001 -E null;", "expected [0 to 65535], [any] or a service");
    check_error("add 10.9.0.1 10.9.0.2 esp-udp fd00::1 0x1001 -E null;", "of another family");
    check_error("add 10.9.0.1 10.9.0.2 esp-udp -E null;", "expected the SPI");
    // The name of an SA is the same without UDP.
    let Deed::DeleteSa(id) = one("delete 10.9.0.1[4500] 10.9.0.2[4500] esp-udp 0x1001;") else { panic!() };
    assert_eq!(id.to_string(), "esp 0x00001001 to 10.9.0.2");
}

#[test]
fn what_linux_always_does_is_taken_and_what_it_never_does_is_said() {
    let with = |option: &str| format!("add 10.9.0.1 10.9.0.2 esp 0x1001 {option} -E aes-gcm-16 0x{};", "a7".repeat(20));
    assert_eq!(warnings(&with("-f seq-pad")), [""; 0]);
    assert_eq!(warnings(&with("-f nocyclic-seq")), [""; 0]);
    assert!(warnings(&with("-f zero-pad"))[0].contains("always pads with 1, 2, 3"));
    assert!(warnings("delete 10.9.0.1 10.9.0.2 esp 0x1001 -m tunnel;")[0].contains("not looked at"));
    assert_eq!(script("add 10.9.0.1 10.9.0.2 ipcomp 0x1001 -C deflate -R;").statements.len(), 1);
    assert!(an_sa(&with("-esn -r 32")).flags.esn(), "FreeBSD's");
    for (text, words) in [
        (with("-natt"), "the option -natt is FreeBSD's"),
        (with("-hwif em0"), "ip xfrm's `offload dev`"),
        (with("-u 1 -u 2"), "-u stands here a second time"),
        ("add 10.9.0.1 10.9.0.2 esp-old 1001 -E null;".to_owned(), "Linux has no `esp-old`"),
        ("flush ah-old;".to_owned(), "Linux has no `ah-old`"),
        ("add 10.9.0.1 10.9.0.2 tcp 1001 -A tcp-md5 \"x\";".to_owned(), "TCP signatures (`tcp`)"),
        ("add 10.9.0.1 10.9.0.2 ipcomp 1001 -C oui;".to_owned(), "Linux has no `oui`"),
        ("add 10.9.0.1 10.9.0.2 esp 1001 -E des-deriv 0x00;".to_owned(), "Linux has no `des-deriv`"),
        ("getspi 10.9.0.1 10.9.0.2 esp 0 -r 32;".to_owned(), "give it with the keys, in `update`"),
        ("getspi 10.9.0.1 10.9.0.2 esp 7;".to_owned(), "reserved"),
        ("getspi 10.9.0.1 10.9.0.2 ipcomp 0x10000;".to_owned(), "16 bits"),
        ("delete 10.9.0.1 10.9.0.2 esp 1001 -u 7;".to_owned(), "no part of an SA's name"),
        ("add fe80::1%eth0 fe80::2 esp 1001 -E null;".to_owned(), "no zones"),
        ("spdadd 10.9.0.1 10.9.0.2 any -P out entrust;".to_owned(), "Linux has no policy `entrust`"),
        ("spdupdate tagged \"x\" -P out none;".to_owned(), "(`tagged`) do not exist on Linux"),
    ] {
        check_error(&text, words);
    }
}

#[test]
fn labels_of_sas_and_policies() {
    let sa = an_sa(&format!("add 10.9.0.1 10.9.0.2 esp 0x1001 -ctx 1 1 \"a:b c\" {KEYED};"));
    assert_eq!(sa.extras.security, Some(SecurityContext::selinux("a:b c")));
    let text = "spdadd 10.9.0.1 10.9.0.2 any -ctx 1 1 \"a:b\" -P out none;";
    assert_eq!(policies(text)[0].security.as_deref(), Some(&SecurityContext::selinux("a:b")));
    assert!(warnings(text)[0].contains("SELinux"));
    check_error("spdadd 10.9.0.1 10.9.0.2 any -ctx 0 1 \"a\" -P out none;", "DOI 0 means that there is no label");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -ctx 1 256 \"a\" -P out none;", "0 to 255");
    check_error("spdadd 10.9.0.1 10.9.0.2 any -ctx 1 1 a -P out none;", "expected the label in quotes");
    check_error("spddelete 10.9.0.1 10.9.0.2 any -ctx 1 1 \"a\" -P out;", "cannot be named here");
}

#[test]
fn what_narrows_a_protocol_stands_in_the_place_of_ports() {
    let ports = |words: &str| {
        let selector = policies(&format!("spdadd fd00::/64 fd01::/64 {words} -P out none;"))[0].selector;
        (selector.protocol.0, selector.source_port, selector.destination_port)
    };
    let (exactly, any) = (PortMatch::exactly, PortMatch::ANY);
    assert_eq!(ports("icmp6 3,1"), (58, exactly(3), exactly(1)));
    assert_eq!(ports("ipv6-icmp 128,0"), (58, exactly(128), any), "as Linux's setkey has it");
    assert_eq!(ports("135 1,0"), (135, exactly(1), any));
    assert_eq!(ports("gre 1.2.3.4"), (47, exactly(0x0102), exactly(0x0304)));
    assert_eq!(ports("gre 65538"), (47, exactly(1), exactly(2)));
    assert_eq!(ports("icmp"), (1, any, any));
    assert_eq!((ports("ip4").0, ports("255").0, ports("0").0, ports("99").0), (4, 0, 0, 99));
    assert!(warnings("spdadd 10.9.0.1 10.9.0.2 icmp 8,0 -P out none;")[0].contains("type or code 0 means any"));
    assert!(warnings("spdadd 10.9.0.1 10.9.0.2 gre 7 -P out none;")[0].contains("half of a GRE key means any"));
    assert_eq!(policies("spdadd 10.9.0.1[0] 10.9.0.2 [any] tcp -P out none;")[0].selector.source_port, any);
    check_error("spdadd 10.9.0.1 10.9.0.2 icmp 8 -P out none;", "both with a comma between them");
    check_error("spdadd 10.9.0.1 10.9.0.2 icmp 256,0 -P out none;", "no type and code");
    check_error("spdadd 10.9.0.1 10.9.0.2 gre 1.2.3 -P out none;", "no GRE key");
    check_error("spdadd 10.9.0.1 10.9.0.2 tcp 22 -P out none;", "only icmp, icmp6, mh and gre");
    check_error("spdadd 10.9.0.1[3] 10.9.0.2 icmp 8,0 -P out none;", "in the place of the ports");
    check_error("spdadd 10.9.0.1 10.9.0.2 256 -P out none;", "expected the protocol above IP");
}

#[test]
fn rules_in_all_their_forms() {
    let rule = |direction: &str, words: &str| {
        let mut all = policies(&format!("spdadd 10.1.0.0/24 10.2.0.0/24 any -P {direction} ipsec {words};"));
        assert_eq!(all[0].templates.len(), 1, "{words}");
        all.remove(0).templates.remove(0)
    };
    let plain = rule("out", "esp/transport//require");
    for words in [
        "esp/transport",
        "esp/transport/",
        "esp/transport//default",
        "esp / transport // require",
        "ESP/transport/me-any/require",
    ] {
        assert_eq!(rule("out", words), plain, "{words}");
    }
    assert_eq!(rule("in", "esp/transport/any-me/"), plain);
    // Old scripts give the ends in transport mode too; PF_KEY on Linux takes no notice.
    assert_eq!(rule("out", "esp/transport/10.9.0.1-10.9.0.2/require"), plain);
    let tunnel = rule("out", "esp/tunnel/10.9.0.1-10.9.0.2/require");
    assert_eq!(tunnel.destination, IpAddr::from([10, 9, 0, 2]));
    assert_eq!(rule("out", "esp/tunnel/10.9.0.1[500]-10.9.0.2[500]/require"), tunnel);
    assert_eq!(policies("spdadd ::/0 ::/0 any -P out ipsec esp/transport/ ah/transport/;")[0].templates.len(), 2);
    let warned = |words: &str| warnings(&format!("spdadd fd01::/64 fd02::/64 any -P out ipsec {words};"));
    assert!(warned("esp/transport/fd00::1-fd00::2/require")[0].contains("these ends are not used"));
    assert!(warned("esp/tunnel/fd00::1[500]-fd00::2[500]/require")[0].contains("have no ports"));
    assert!(warned("esp/tunnel/10.9.0.1-10.9.0.2/require")[0].contains("flag af-unspec"));
    assert_eq!(warned("esp/tunnel/fd00::1-fd00::2/require"), [""; 0]);
    let refused = |words: &str, expected: &str| {
        check_error(&format!("spdadd 10.1.0.0/24 10.2.0.0/24 any -P out ipsec {words};"), expected);
    };
    refused("esp/transport/any-me/require", "any-me is for policies of direction in");
    refused("esp/tunnel/me-any/require", "a tunnel needs the addresses");
    refused("esp/tunnel/10.9.0.1-10.9.0.2[x]/require", "two addresses with - between");
    refused("esp/beet/10.9.0.1-10.9.0.2/require", "transport or tunnel");
    refused("esp", "four parts");
    refused("esp/transport//use:5", "only unique takes a number");
}

#[test]
fn signs_of_a_priority_may_stand_apart() {
    let priority = |words: &str| policies(&format!("spdadd ::/0 ::/0 any -P fwd prio {words} none;"))[0].priority;
    assert_eq!((priority("- 5"), priority("+5"), priority("high +2")), (0x8000_0005, 0x7fff_fffb, 0x3fff_fffe));
    assert_eq!((priority("2147483648"), priority("-2147483647")), (0, u32::MAX));
    check_error("spdadd ::/0 ::/0 any -P fwd prio -2147483648 none;", "beyond the kernel's range");
    check_error("spdadd ::/0 ::/0 any -P fwd prio -9223372036854775808 none;", "beyond the kernel's range");
    check_error("spdadd ::/0 ::/0 any -P fwd prio - none;", "no priority");
}

#[test]
fn policies_for_packets_passed_on_come_by_themselves_unless_they_are_said_or_not_wanted() {
    let (inward, forward) = (
        "10.2.0.0/24 10.1.0.0/24 any -P in ipsec esp/tunnel/10.9.0.2-10.9.0.1/require;",
        "10.2.0.0/24 10.1.0.0/24 any -P fwd ipsec esp/tunnel/10.9.0.2-10.9.0.1/unique:7;",
    );
    let said = script(&format!("spdadd {inward} spdadd {forward}"));
    let lengths: Vec<usize> = said
        .statements
        .iter()
        .map(|statement| match &statement.deed {
            Deed::AddPolicies(specs) => specs.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [1, 1]);
    assert!(said.warnings[0].sentence.contains("setkey's own is left out"), "{:?}", said.warnings);
    // An update of it is something else.
    let other = script(&format!("spdadd {inward} spdupdate {forward}"));
    assert!(matches!(&other.statements[0].deed, Deed::AddPolicies(specs) if specs.len() == 2));

    let reading = Reading { names: &NoNames, forward_twins: false };
    let alone = parse_with(&format!("spdadd {inward} spddelete {inward}"), reading).unwrap();
    assert!(matches!(&alone.statements[0].deed, Deed::AddPolicies(specs) if specs.len() == 1));
    assert_eq!(alone.statements.len(), 2);

    // What is deleted takes its twin along, if that is there; the rest of the policy says nothing more.
    let deleted = script(&format!("spddelete {inward}"));
    let ids: Vec<String> = deleted
        .statements
        .iter()
        .map(|statement| match &statement.deed {
            Deed::DeletePolicy(id) => id.to_string(),
            Deed::DeletePolicyIfThere(id) => format!("{id} if there"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["in 10.2.0.0/24 10.1.0.0/24", "fwd 10.2.0.0/24 10.1.0.0/24 if there"]);
    assert_eq!(script(&format!("spddelete {inward} spddelete {forward}")).statements.len(), 2);
}

/// Names of a small world; what was asked is kept.
#[derive(Default)]
struct World {
    asked: RefCell<Vec<String>>,
}

impl Names for World {
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.asked.borrow_mut().push(host.to_owned());
        let addresses: &[&str] = match host.to_ascii_lowercase().as_str() {
            "gouda" => &["10.9.0.1", "fd00:9::1"],
            "reblochon" => &["10.9.0.2", "fd00:9::2", "10.9.0.2"],
            "brie" => &["10.9.0.3"],
            "twins" => &["10.9.0.4", "10.9.0.5"],
            "mute" => &[],
            _ => return Err("Name or service not known".to_owned()),
        };
        Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    fn port(&self, service: &str) -> Option<u16> {
        (service == "ssh").then_some(22)
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        (name == "hopopt2").then_some(99)
    }
}

fn in_a_world(text: &str) -> Result<Script, String> {
    let world = World::default();
    parse_with(text, Reading { names: &world, forward_twins: true })
        .map_err(|errors| errors.iter().map(|error| error.render("f", text)).collect())
}

/// The SAs of a script, each as its ends.
fn ends(text: &str) -> Vec<String> {
    let statements = in_a_world(text).unwrap_or_else(|errors| panic!("{errors}")).statements;
    let spec = |deed: Deed| match deed {
        Deed::AddSa(spec) => format!("{} {}", spec.source, spec.destination),
        Deed::AllocateSpi(wanted) => format!("{} {}", wanted.source, wanted.destination),
        Deed::Show(Question::Sa(id)) | Deed::DeleteSa(id) => id.destination.to_string(),
        other => panic!("{other:?}"),
    };
    statements.into_iter().map(|statement| spec(statement.deed)).collect()
}

#[test]
fn a_name_stands_for_all_its_addresses_where_sas_are_meant() {
    let both = ["10.9.0.1 10.9.0.2", "fd00:9::1 fd00:9::2"];
    assert_eq!(ends(&format!("add gouda reblochon esp 0x1001 {KEYED};")), both);
    assert_eq!(ends("getspi gouda reblochon esp 0;"), both);
    assert_eq!(ends("get gouda reblochon esp 0x1001;"), ["10.9.0.2", "fd00:9::2"]);
    assert_eq!(ends(&format!("add -4 gouda reblochon esp 0x1001 {KEYED};")), both[..1]);
    assert_eq!(ends(&format!("add -46 gouda REBLOCHON esp 0x1001 {KEYED};")), both[1..], "of two the last holds");
    assert_eq!(ends("delete -6 gouda reblochon esp 0x1001;"), ["fd00:9::2"]);
    // Only pairs of one family.
    assert_eq!(ends(&format!("add gouda 10.9.0.2 esp 0x1001 {KEYED};")), both[..1]);
    let sa = |text: &str| match in_a_world(text).unwrap().statements.remove(0).deed {
        Deed::AddSa(spec) => *spec,
        other => panic!("{other:?}"),
    };
    let udp = sa(&format!("add -4 gouda[ssh] reblochon esp-udp brie 0x1001 {KEYED};"));
    let around = udp.extras.encapsulation.unwrap();
    assert_eq!((around.source_port, around.original), (22, [10, 9, 0, 3].into()));
    let world = World::default();
    let text = format!("add brie gouda esp 0x1001 {KEYED}; add gouda brie esp 0x1002 {KEYED};");
    parse_with(&text, Reading { names: &world, forward_twins: true }).unwrap();
    assert_eq!(*world.asked.borrow(), ["brie", "gouda"], "each is asked for once");
}

#[test]
fn a_name_that_cannot_be_meant_is_an_error_at_its_place() {
    for (text, words) in [
        ("add gouda nowhere esp 0x1001 -E null;", "f:1:11: \"nowhere\": Name or service not known\n"),
        ("add gouda mute esp 0x1001 -E null;", "f:1:11: \"mute\" has no address\n"),
        ("add -6 gouda brie esp 0x1001 -E null;", "f:1:14: \"brie\" has no IPv6 address\n"),
        ("add -n gouda 10.9.0.1 esp 0x1001 -E null;", "f:1:8: -n takes no names, as \"gouda\"\n"),
        ("add -4 fd00::1 fd00::2 esp 0x1001 -E null;", "f:1:8: fd00::1 is no IPv4 address\n"),
        ("add -5 fd00::1 fd00::2 esp 0x1001 -E null;", "there is no option \"-5\" here"),
        ("add brie fd00::2 esp 0x1001 -E null;", "f:1:10: source and destination must both be"),
        ("spdadd gouda reblochon any -P out none;", "f:1:8: \"gouda\" has several addresses, and a policy takes one"),
        ("spdadd -6 brie fd00::1 any -P out none;", "has no IPv6 address"),
        ("delete gouda reblochon esp 0x1001;", "f:1:14: this name has several addresses"),
        ("spdadd brie[http] brie any -P out none;", "this is no port"),
    ] {
        let found = in_a_world(text).unwrap_err();
        assert!(found.contains(words), "{text}\n{found}");
    }
    // Two SAs of one name cannot be.
    let found = in_a_world(&format!("add twins 10.9.0.1 esp 0x1001 {KEYED};")).unwrap_err();
    assert!(
        found.contains("f:1:5: the source has several addresses, and only one SA can be esp 0x00001001"),
        "{found}"
    );
    // Neither keys nor numbers are asked for.
    let world = World::default();
    let text = "add 0x0123456789abcdef0123 10.9.0 esp 1 -E null; add 10.9.0 0x1001 esp 1 -E null; add -E x y z;";
    assert!(parse_with(text, Reading { names: &world, forward_twins: true }).is_err());
    assert_eq!(*world.asked.borrow(), [""; 0]);
}

#[test]
fn policies_take_names_too() {
    let script = in_a_world("spdadd -4 reblochon brie/24[ssh] tcp -P out none; spdadd brie brie hopopt2 -P out none;");
    let specs: Vec<PolicySpec> = script
        .unwrap()
        .statements
        .into_iter()
        .map(|statement| match statement.deed {
            Deed::AddPolicies(mut specs) => specs.remove(0),
            other => panic!("{other:?}"),
        })
        .collect();
    let mut expected =
        Selector::between(Prefix::host([10, 9, 0, 2].into()), Prefix { address: [10, 9, 0, 3].into(), length: 24 });
    (expected.protocol, expected.destination_port) = (UpperProtocol::TCP, PortMatch::exactly(22));
    assert_eq!((specs[0].selector, specs[1].selector.protocol), (expected, UpperProtocol(99)));
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
}
