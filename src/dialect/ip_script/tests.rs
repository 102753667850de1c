//! Scripts of `ip xfrm`, and what is printed in that language read back.

pub mod specs;

use proptest::prelude::*;

use self::specs::Dice;
use super::*;
use crate::dialect::{Keys, iproute2};
use crate::model::expression::MOST_CONDITIONS;
use crate::model::extras::{ExtraFlags, Offload, SecurityContext};
use crate::model::question::{PolicyPlace, Question};
use crate::model::row_filter::Rows;
use crate::model::{
    IpsecProtocol, Mark, Mode, PolicyAction, PolicyDirection, PolicyKind, PolicySpec, PortMatch, SaDirection, SaId,
    SaSpec, Secret, Spi, UpperProtocol,
};

const INTERFACES: Interfaces<'_> = &|name| (name == "eth0").then_some(2);

fn deeds(source: &str) -> Vec<Deed> {
    let script = parse(source, INTERFACES).unwrap_or_else(|errors| panic!("{}", errors[0].render("x", source)));
    script.statements.into_iter().map(|statement| statement.deed).collect()
}

fn deed(source: &str) -> Deed {
    let mut deeds = deeds(source);
    assert_eq!(deeds.len(), 1, "{source}");
    deeds.remove(0)
}

fn errors(source: &str) -> Vec<String> {
    parse(source, INTERFACES).unwrap_err().iter().map(|error| error.render("x", source)).collect()
}

/// Without asking whether such a thing can be.
fn read_one(source: &str) -> Deed {
    let mut statements = read(source, INTERFACES, &mut |_, _| Vec::new())
        .unwrap_or_else(|errors| panic!("{}", errors[0].render("x", source)));
    assert_eq!(statements.len(), 1, "{source}");
    statements.remove(0).deed
}

#[track_caller]
fn sa(words: &str) -> SaSpec {
    match read_one(&format!("ip xfrm state add {words}")) {
        Deed::AddSa(spec) => *spec,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn policy(words: &str) -> PolicySpec {
    match read_one(&format!("ip xfrm policy add {words}")) {
        Deed::AddPolicies(mut specs) => specs.remove(0),
        other => panic!("{other:?}"),
    }
}

const ENDS: &str = "src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001";

#[test]
fn shell_lines_and_batch_lines_are_one_language() {
    let shell = "#!/bin/sh -e\n# gouda\nip xfrm state flush proto esp # all of them\nip -4 xfrm policy flush\n";
    assert_eq!(deeds(shell), [Deed::FlushSas(IpsecProtocol::Esp), Deed::FlushPolicies(PolicyKind::Main)]);
    assert_eq!(deeds("xfrm state flush proto esp\n\nxfrm policy flush ptype main"), deeds(shell));
    assert!(looks_like(shell) && looks_like("\n  xfrm state flush") && !looks_like("flush;\nspdflush;"));
    let joined = "xfrm state delete \\\n  spi 0x1001 proto esp dst 10.9.0.2 \\\n src 10.9.0.1 mark 7\n";
    let id = SaId {
        destination: [10, 9, 0, 2].into(),
        protocol: IpsecProtocol::Esp,
        spi: Spi(0x1001),
        mark: Some(Mark { value: 7, mask: u32::MAX }),
        acquire_sequence: 0,
    };
    assert_eq!(deeds(joined), [Deed::DeleteSa(id)]);
}

#[test]
fn commands_and_modes_may_be_shortened_as_ip_takes_them() {
    let same = |short: &str, whole: &str| assert_eq!(deed(short), deed(whole), "{short}");
    same("ip x s", "ip xfrm state list");
    same("ip x sa ls", "ip xfrm state show");
    same("ip -s -d xfrm st l", "ip xfrm state list nokeys");
    same("ip x p", "ip xfrm policy list nosock");
    same("ip x p s", "ip xfrm policy show");
    same("ip x p se hthresh4 24 32", "ip xfrm policy set hthresh4 24 32");
    same("ip x p setd in block", "ip xfrm policy setdefault in block");
    same("ip x p getd", "ip xfrm policy getdefault");
    same("ip x s f", "ip xfrm state flush");
    same("ip x s c", "ip xfrm state count");
    same("ip x s dela", "ip xfrm state deleteall");
    same("ip x p d index 9 dir out", "ip xfrm policy delete dir out index 9");
    same(&format!("ip x s d {ENDS}"), &format!("ip xfrm state delete {ENDS}"));
    for (short, mode) in [("t", Mode::Transport), ("tun", Mode::Tunnel), ("b", Mode::Beet), ("i", Mode::InTrigger)] {
        assert_eq!(sa(&format!("{ENDS} mode {short}")).mode, mode);
    }
}

#[test]
fn every_word_of_an_sa_is_read_in_any_order() {
    let spec = sa("mode ro coa fd00::3 src fd00::1 spi 0 dst fd00::2 proto hao");
    assert_eq!((spec.mode, spec.protocol.to_string()), (Mode::RouteOptimization, "hao".to_owned()));
    assert_eq!(spec.extras.care_of, Some("fd00::3".parse().unwrap()));
    let spec = sa(
        "reqid 010 enc cbc(aes) hunter2hunter2 mark 0x7 seq 5 replay-window 0x40 replay-seq 1 replay-seq-hi 2 \
                   replay-oseq 3 replay-oseq-hi 4 flag esn noecn extra-flag dont-encap-dscp 0x10 auth-trunc hmac(sha1) 0x123 96 \
                   sel proto tcp sport 0 dport 22 dev eth0 src 10.1/16 dst 10.2.0.0/255.255.0.0 limit byte-soft 100 \
                   limit time-soft 0 encap espintcp 1 2 any ctx 'a b' offload packet dev if7 dir in dir out \
                   output-mark 9 if_id 0x2a tfcpad 100 pcpu-num 3 src 10.9.0.1 dst 10.9.0.2/24 spi 4097 proto esp",
    );
    assert_eq!((spec.reqid.0, spec.replay_window, spec.spi), (8, 64, Spi(0x1001)));
    assert_eq!((spec.received, spec.sent), (2 << 32 | 1, 4 << 32 | 3));
    assert_eq!(spec.acquire_sequence, 5_u32.to_be());
    assert_eq!(spec.algorithms.encryption.unwrap().key, Secret::copy_from(b"hunter2hunter2"));
    assert_eq!(spec.algorithms.authentication.unwrap().key, Secret::copy_from(&[1, 0x23]));
    assert_eq!((spec.flags.to_string(), spec.extras.extra_flags), ("noecn esn".to_owned(), ExtraFlags(0x11)));
    let selector = spec.selector.unwrap();
    assert_eq!(selector.to_string(), "10.1.0.0/16 10.2.0.0/16 tcp dport 22 if 2");
    assert_eq!((spec.limits.bytes.soft, spec.limits.since_added_secs.soft), (Some(100), None));
    assert_eq!(spec.extras.encapsulation.unwrap().kind, 7);
    assert_eq!(spec.extras.security, Some(SecurityContext::selinux("a b")));
    assert_eq!(spec.extras.offload, Some(Offload { interface: 7, flags: Offload::INBOUND | Offload::PACKET }));
    assert_eq!((spec.direction, spec.destination.to_string()), (Some(SaDirection::Out), "10.9.0.2".to_owned()));
    assert_eq!(spec.extras.output_mark, Some(Mark { value: 9, mask: u32::MAX }));
    assert_eq!((spec.if_id.unwrap().0, spec.extras.tfc_padding, spec.extras.cpu), (42, Some(100), Some(3)));
    // What `ip` does not send, or the kernel takes for nothing.
    let spec = sa(&format!("{ENDS} mark 7 mask 0 output-mark 0 if_id 0 tfcpad 0 replay-seq-hi 5"));
    assert_eq!(spec, SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001)));
}

#[test]
fn a_selector_has_the_family_of_its_addresses_or_of_what_it_belongs_to() {
    let spec = sa("src fd00::1 dst fd00::2 proto esp spi 0x1001 sel proto 132");
    assert_eq!(spec.selector.unwrap().to_string(), "::/0 ::/0 sctp");
    let spec = sa("src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 mode tunnel sel src fd00::/8");
    assert_eq!(spec.selector.unwrap().to_string(), "fd00::/8 ::/0");
    assert_eq!(
        policy("dir in proto ipv6-icmp type 128").selector.to_string(),
        "0.0.0.0/0 0.0.0.0/0 ipv6-icmp type 128"
    );
    let families = |line: &str| match read_one(line) {
        Deed::AddPolicies(specs) => {
            specs[0].templates.iter().map(|template| template.source.is_ipv6()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(families("ip xfrm policy add dir in dst fd00::/8 tmpl proto ah"), [true]);
    assert_eq!(families("ip xfrm policy add dir in tmpl proto ah"), [false]);
    assert_eq!(families("ip -6 xfrm policy add dir in tmpl proto ah"), [true]);
    let mixed = "tmpl src fd00::1 dst fd00::2 proto esp mode tunnel tmpl proto ah";
    assert_eq!(families(&format!("ip xfrm policy add dir in src 10.0.0.0/8 {mixed}")), [true, true]);
}

#[test]
fn every_word_of_a_policy_is_read_in_any_order() {
    let spec = policy(
        "tmpl level use mode tunnel src 10.9.0.1 reqid 7 dst 10.9.0.2 spi 9 proto esp priority 5 dir fwd ptype sub \
         action block flag localok icmp limit packet-hard 3 ctx u:r:t index 26 mark 1 mask 3 if_id 7 \
         offload packet dev eth0 src 10.1.0.0/16 proto gre key 0.1.0.2 dst 10.2.0.0/16",
    );
    assert_eq!(
        (spec.direction, spec.kind, spec.action),
        (PolicyDirection::Forward, PolicyKind::Sub, PolicyAction::Block)
    );
    assert_eq!((spec.priority, spec.flags, spec.index, spec.limits.packets.hard), (5, 3, 26, Some(3)));
    assert_eq!(spec.offload, Some(Offload { interface: 2, flags: Offload::PACKET }));
    assert_eq!(spec.security.as_deref(), Some(&SecurityContext::selinux("u:r:t")));
    let ports = (spec.selector.source_port, spec.selector.destination_port);
    assert_eq!((spec.selector.protocol, ports), (UpperProtocol::GRE, (PortMatch::exactly(1), PortMatch::exactly(2))));
    assert_eq!((spec.templates.len(), spec.templates[0].spi, spec.templates[0].mode), (1, Spi(9), Mode::Tunnel));
}

#[test]
fn lists_are_filters() {
    let sas = |words: &str, filter: &str| {
        let expected = RowFilter::parse(filter, Rows::Sas).unwrap();
        assert_eq!(deed(&format!("ip xfrm state list {words}")), Deed::Show(Question::Sas(expected.clone())));
        assert_eq!(deed(&format!("ip xfrm state deleteall {words}")), Deed::DeleteSas(expected));
    };
    sas("nokeys", "");
    sas("spi 9 src 10.0.0.0/8", "src 10.0.0.0/8 spi 9");
    sas("mode tunnel reqid 7 dst 10.9.0.2 proto ah", "mode tunnel reqid 7 dst 10.9.0.2 proto ah");
    sas("flag esn noecn", "flag noecn or flag esn");
    assert_eq!(deed("ip -6 xfrm state"), Deed::Show(Question::Sas(RowFilter::parse("host ::/0", Rows::Sas).unwrap())));
    let policies = |words: &str, filter: &str| {
        let expected = RowFilter::parse(filter, Rows::Policies).unwrap();
        assert_eq!(deed(&format!("ip xfrm policy list {words}")), Deed::Show(Question::Policies(expected.clone())));
        assert_eq!(deed(&format!("ip xfrm policy deleteall {words}")), Deed::DeletePolicies(expected));
    };
    policies("nosock", "");
    policies("dir fwd ptype sub priority 7 action block", "dir fwd ptype sub priority 7 action block");
    policies("action allow", "action allow or action protect");
    policies("flag icmp proto tcp dport 22", "flag icmp upper tcp dport 22");
    policies("index 9 src 10.0.0.0/8 sport 7 proto udp", "index 9 src 10.0.0.0/8 upper udp sport 7");
    assert!(matches!(deed("ip xfrm policy list dev eth0"), Deed::Show(Question::Policies(Some(_)))));
}

#[test]
fn a_condition_that_says_nothing_is_an_error_and_never_no_filter() {
    for command in ["state list", "state deleteall", "policy list", "policy deleteall"] {
        for words in ["flag", "flag src 10.0.0.0/8", "flag 0x0", "flag nonsense", "flag icmp 0x80", "flag 0x100"] {
            // ip has names for all eight flags of an SA.
            if command.starts_with("state") && words == "flag icmp 0x80" {
                continue;
            }
            let found = errors(&format!("ip xfrm {command} {words}"));
            assert!(found.len() == 1 && found[0].contains("flag"), "{command} {words}: {found:?}");
        }
        let most = format!("ip xfrm {command} {}", "flag icmp ".repeat(MOST_CONDITIONS));
        assert_eq!(errors(&format!("{most} flag icmp")).len(), 1);
        assert_eq!(deeds(&most).len(), 1);
    }
    assert!(errors("ip xfrm policy deleteall flag 0x81")[0].contains("no flag has the bits 0x80"));
}

#[test]
fn all_other_commands_are_read() {
    let place = PolicyPlace { index: 9, direction: PolicyDirection::Out, kind: PolicyKind::Sub };
    assert_eq!(deed("ip xfrm policy get index 9 ptype sub dir out"), Deed::Show(Question::PolicyAt(place)));
    let Deed::Show(Question::Policy(id)) = deed("ip xfrm policy get src 10.1.0.0/16 dir in mark 3 if_id 5") else {
        panic!()
    };
    assert_eq!(id.to_string(), "in 10.1.0.0/16 0.0.0.0/0 mark 0x3/0xffffffff if_id 0x5");
    assert!(
        matches!(deed(&format!("ip xfrm state get {ENDS}")), Deed::Show(Question::Sa(id)) if id.spi == Spi(0x1001))
    );
    assert_eq!(deed("ip xfrm policy count"), Deed::Show(Question::CountPolicies));
    let Deed::AllocateSpi(wanted) = deed(
        "ip xfrm state allocspi dst 10.9.0.2 src 10.9.0.1 proto esp reqid 5 mode tunnel dir in \
                                          pcpu-num 0 seq 1",
    ) else {
        panic!()
    };
    assert_eq!(wanted.to_string(), "an SPI from 0x00000100 to 0x0fffffff for esp to 10.9.0.2");
    assert_eq!((wanted.reqid.0, wanted.mode, wanted.cpu), (5, Mode::Tunnel, Some(0)));
    let Deed::AllocateSpi(wanted) = deed("ip xfrm state allocspi dst 10.9.0.2 proto comp min 300 max 400") else {
        panic!()
    };
    assert_eq!((wanted.least, wanted.greatest), (Spi(300), Spi(400)));
    let Deed::SetThresholds(change) = deed("ip xfrm policy set hthresh6 64 128 hthresh4 24 32") else { panic!() };
    assert_eq!(change.to_string(), "IPv4 24 32, IPv6 64 128");
    let Deed::SetDefaults(change) = deed("ip xfrm policy setdefault out accept in block") else { panic!() };
    assert_eq!(change.to_string(), "in block, out allow");
    assert!(matches!(deed("ip xfrm policy update dir out src 10.1.0.0/16"), Deed::UpdatePolicies(_)));
    let update = format!("ip xfrm state update {ENDS} aead 'rfc4106(gcm(aes))' 0x{} 128", "07".repeat(20));
    assert!(matches!(deed(&update), Deed::UpdateSa(_)));
    assert_eq!(deed("ip xfrm state flush").clone(), Deed::FlushSas(IpsecProtocol::Other(0)));
    assert_eq!(deed("ip xfrm policy flush ptype sub"), Deed::FlushPolicies(PolicyKind::Sub));
}

#[test]
fn several_errors_are_told_at_once_and_no_key_with_them() {
    let source = "ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001 enc 'cbc(aes)' 'my own key 16 b' mod x\n\
                  ip xfrm policy add src 10.9.0.1 dst 10.9.0.2 dir up\n\
                  ip xfrm policy add dir out tmpl mode tunnel\n\
                  ip route add default\nip xfrm monitor\nip xfrm policy add dev eth7 dir in\n\
                  ip -n gouda xfrm state flush\n";
    let errors = errors(source);
    let heads: Vec<&str> = errors.iter().map(|error| error.lines().next().unwrap()).collect();
    assert_eq!(
        heads,
        [
            "x:1:99: this word is not understood here",
            "x:2:50: this word is not understood here",
            "x:3:44: no protocol is named",
            "x:4:4: this word is not understood here",
            "x:5:9: this never ends: `espial` shows events as they come",
            "x:6:24: there is no such interface here",
            "x:7:4: a script is for one namespace: `espial --netns NAME apply FILE`",
        ]
    );
    assert!(!errors.concat().contains("own key"), "{}", errors.concat());
}

#[test]
fn what_ip_does_not_take_is_refused() {
    let refused = |line: &str, part: &str| {
        let said = errors(line).concat();
        assert!(said.contains(part), "{line}: {said}");
    };
    let add = |words: &str| format!("ip xfrm state add {ENDS} {words}");
    refused(&add("enc 'cbc(aes)' auth-trunc"), "the key is missing");
    refused(&add("enc 'cbc(aes)' <key hidden>"), "the key is missing");
    refused(&add("enc 'cbc(aes)' <<Keys hidden>>"), "the key is missing");
    refused(&add("enc 'cbc(aes)' 'key#1'"), "to `ip -batch` a comment");
    refused(&add("enc 'cbc(aes)' 0x00 enc 'cbc(aes)' 0x01"), "stands here already");
    refused(&add("src 10.9.0.1"), "not understood");
    refused(&add("sel src 10.0.0.0/8 dst fd00::/8"), "different families");
    refused(&add("sel proto tcp type 8"), "type and code are for icmp");
    refused(&add("sel sport 5 proto esp"), "sport and dport are for tcp");
    refused(&add("flag 0x100"), "only eight flags");
    refused(&add("mode iptfs"), "not understood");
    refused("ip xfrm state allocspi dst ::1 proto esp spi 5", "the kernel chooses");
    refused("ip xfrm state allocspi dst ::1 proto esp min 5", "go together");
    refused("ip xfrm state add dst ::1", "no protocol is named");
    refused("ip xfrm policy delete dir in", "by its selector or by its index");
    refused("ip xfrm policy delete index 8 src ::1 dir in", "not by both");
    refused("ip xfrm policy delete ctx x index 8 dir in", "by its index");
    refused("ip xfrm policy delete src ::1", "no direction");
    refused("ip xfrm policy setdefault", "nothing is set");
    refused("ip xfrm policy set hthresh4 33 0", "not understood");
    refused("ip - xfrm state", "not understood");
}

#[test]
fn what_is_to_be_written_is_checked() {
    let add = "xfrm state add src 10.9.0.1 dst 10.9.0.2 proto ah spi 0x1001 auth-trunc 'hmac(sha256)' ";
    let key = "0x0102030405060708091011121314151617181920212223242526272829303132";
    assert_eq!(deeds(&format!("{add}{key} 128 output-mark 7 replay-oseq 17")).len(), 1);
    assert!(errors(&format!("{}{key} 128", add.replace("0x1001", "9"))).concat().contains("reserved"));
    assert!(errors("xfrm policy update dir in action block tmpl proto esp").concat().contains("blocks"));
}

#[test]
fn what_is_printed_reads_back_as_it_is() {
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let spec = dice.sa();
        let line = iproute2::sa(&spec, Keys::Show);
        assert_eq!(read_one(&line), Deed::AddSa(Box::new(spec.clone())), "seed {seed}: {}", *line);
        let sa = crate::model::Sa::from_spec(&spec, 0);
        assert_eq!(iproute2::left_out_of_sa(&sa), [""; 0], "seed {seed}: {}", *line);
        let spec = dice.policy();
        let line = iproute2::policy(&spec);
        assert_eq!(read_one(&line), Deed::AddPolicies(vec![spec.clone()]), "seed {seed}: {line}");
        let policy = crate::model::Policy::from_spec(&spec, 1, 0);
        assert_eq!(iproute2::left_out_of_policy(&policy), [""; 0], "seed {seed}: {line}");
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(ip )?(-6 )?xfrm (state|policy) [a-z]{0,6} [a-z0-9 .:/'\"\\\\\n]{0,80}") {
        let _ = parse(&text, INTERFACES);
    }

    #[test]
    fn any_words_of_the_language_are_survived(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..20),
        rest in "\\PC{0,20}",
    ) {
        let text = format!("ip xfrm {} {rest}", words.join(" "));
        let _ = parse(&text, INTERFACES);
        let _ = super::super::xfrm_state::parse(&text, INTERFACES);
        let _ = super::super::xfrm_state::parse(&format!("src {} {rest}", words.join(" ")), INTERFACES);
    }
}

const WORDS: &[&str] = &[
    "state",
    "policy",
    "add",
    "update",
    "list",
    "delete",
    "get",
    "allocspi",
    "set",
    "setdefault",
    "src",
    "dst",
    "proto",
    "spi",
    "sel",
    "dev",
    "eth0",
    "if7",
    "10.9.0.1",
    "fd00::1/64",
    "any",
    "esp",
    "tcp",
    "gre",
    "key",
    "type",
    "sport",
    "5",
    "0x7",
    "mode",
    "tunnel",
    "enc",
    "auth",
    "aead",
    "auth-trunc",
    "comp",
    "cbc(aes)",
    "0x0102",
    "''",
    "'",
    "mark",
    "mask",
    "dir",
    "in",
    "out",
    "limit",
    "byte-soft",
    "limit:",
    "soft",
    "1(bytes),",
    "(INF)(bytes)",
    "encap",
    "espinudp",
    "coa",
    "ctx",
    "offload",
    "packet",
    "output-mark",
    "tmpl",
    "level",
    "use",
    "index",
    "flag",
    "esn",
    "extra-flag",
    "hthresh4",
    "anti-replay",
    "esn",
    "context:",
    "bitmap-length",
    "4294967295",
    "stats:",
    "security",
    "context",
    "crypto",
    "parameters:",
    "lifetime",
    "expire",
    "add:",
    "\\",
    "\n",
    "\n\t",
    "#",
    "/",
    "0x7/0xff",
    "<<Keys",
    "hidden>>",
];

#[test]
fn what_only_a_shell_knows_is_refused_and_never_becomes_a_key() {
    let line = |key: &str| {
        format!(
            "#!/bin/sh\nset -eu\nip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x556 aead 'rfc4106(gcm(aes))' {key} 128\n"
        )
    };
    for key in ["$TUNNEL_KEY_OF_GOUDA", "\"$TUNNEL_KEY_OF_GOUDA\"", "`cat /root/key`x"] {
        let text = line(key);
        assert!(looks_like(&text));
        let error = parse(&text, &|_| None).unwrap_err().remove(0);
        let words = error.render("f", &text);
        assert!(words.starts_with("f:3:") && words.contains("what a shell puts in here"), "{words}");
        assert!(!words.contains("TUNNEL") && !words.contains("root"), "{words}");
    }
    assert!(parse(&line("0x0123456789abcdef0123456789abcdef01234567"), &|_| None).is_ok());
}
