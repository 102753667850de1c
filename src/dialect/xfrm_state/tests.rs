//! What ip printed on a real kernel, and what is not from ip.

use super::*;
use crate::dialect::report::place_of;
use crate::model::extras::{Encapsulation, ExtraFlags, SecurityContext};
use crate::model::{
    IfId, IpsecProtocol, LifetimeLimits, Mark, Mode, PortMatch, ReqId, SaFlags, Secret, Spi, UpperProtocol,
};

const INTERFACES: Interfaces<'_> = &|name| match name {
    "lo" => Some(1),
    "eth0" => Some(2),
    _ => None,
};

const PLAIN: &str = include_str!("../../../tests/data/ip-xfrm-state/plain.txt");
const STATISTICS: &str = include_str!("../../../tests/data/ip-xfrm-state/statistics.txt");
const ONE_LINE: &str = include_str!("../../../tests/data/ip-xfrm-state/oneline.txt");
const NO_KEYS: &str = include_str!("../../../tests/data/ip-xfrm-state/nokeys.txt");
const BATCH: &str = include_str!("../../../tests/data/vectors/linux-all.sas");

fn read(text: &str) -> Vec<Sa> {
    parse(text, INTERFACES).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn one(text: &str) -> Sa {
    let mut sas = read(text);
    assert_eq!(sas.len(), 1, "{text}");
    sas.remove(0)
}

fn labels(sa: &Sa) -> (String, String) {
    (sa.algorithms.encryption_label(), sa.algorithms.authentication_label())
}

#[test]
fn what_ip_prints_is_read() {
    let sas = read(PLAIN);
    let [larval, ah, comp, inner, udp, esn, null] = &sas[..] else { panic!("{sas:?}") };
    assert!(larval.is_larval());
    assert_eq!((larval.spi, larval.selector.to_string()), (Spi(0x4f2), "10.9.0.1/32 10.9.0.2/32".into()));
    assert_eq!((ah.protocol, labels(ah)), (IpsecProtocol::Ah, ("-".into(), "hmac-md5-96".into())));
    assert_eq!((ah.selector.protocol, ah.selector.source_port), (UpperProtocol::ICMP, PortMatch::exactly(8)));
    assert_eq!((comp.protocol, comp.mode, labels(comp).0), (IpsecProtocol::Comp, Mode::Tunnel, "deflate".into()));
    assert_eq!(inner.protocol, IpsecProtocol::Other(41));
    let encapsulation = udp.extras.encapsulation;
    let original = [1, 2, 3, 4].into();
    assert_eq!(encapsulation, Some(Encapsulation { kind: 2, source_port: 4500, destination_port: 4501, original }));
    assert_eq!(labels(udp), ("aes-cbc-128".into(), "hmac-sha256-96".into()));
    assert_eq!(udp.algorithms.authentication.as_ref().unwrap().key, Secret::copy_from(&[1, 2]));
    assert_eq!(udp.selector.interface, 1);
    assert_eq!((udp.selector.source_port, udp.selector.destination_port.value), (PortMatch::exactly(5), 6));
    assert_eq!((esn.flags, esn.replay.window, esn.replay.bitmap.len()), (SaFlags(128 | 32), 128, 4));
    assert_eq!((esn.reqid, esn.if_id, esn.mode), (ReqId(5), Some(IfId(7)), Mode::Tunnel));
    assert_eq!(esn.extras.output_mark, Some(Mark { value: 3, mask: u32::MAX }));
    assert_eq!(labels(esn), ("aes-gcm-128".into(), "aead-128".into()));
    assert_eq!((null.mark, labels(null)), (Some(Mark { value: 7, mask: 0xff }), ("null".into(), "null".into())));
}

#[test]
fn every_way_of_printing_tells_the_same() {
    let plain = read(PLAIN);
    assert_eq!(read(ONE_LINE), plain);
    let mut statistics = read(STATISTICS);
    let limits = statistics[1].limits;
    assert_eq!((limits.bytes.soft, limits.packets.hard, limits.bytes.hard), (Some(100), Some(77), None));
    assert_eq!((limits.since_added_secs.hard, limits.since_used_secs.soft), (Some(50), Some(9)));
    assert_eq!(statistics[4].extras.extra_flags, ExtraFlags(2));
    for sa in &mut statistics {
        // Only with -s does ip tell these.
        sa.extras.extra_flags = ExtraFlags::default();
        sa.limits = LifetimeLimits::default();
    }
    assert_eq!(statistics, plain);
}

#[test]
fn keys_that_ip_was_told_to_hide_are_hidden_keys() {
    let (hidden, plain) = (read(NO_KEYS), read(PLAIN));
    for (hidden, plain) in hidden.iter().zip(&plain) {
        assert_eq!((hidden.spi, labels(hidden).1), (plain.spi, labels(plain).1));
        let keys = [&hidden.algorithms.aead, &hidden.algorithms.encryption, &hidden.algorithms.authentication];
        for transform in keys.into_iter().flatten() {
            let needs_none = transform.name.known().unwrap().key_bits.longest() == 0;
            assert!(transform.key.is_redacted() || (needs_none && transform.key.is_empty()), "{transform:?}");
        }
    }
    assert_eq!(hidden.len(), plain.len());
}

#[test]
fn sequence_numbers_and_errors_are_told() {
    let head = "src 10.9.0.2 dst 10.9.0.1\n\tproto esp spi 0x61 reqid 0 mode transport\n";
    let sa = one(&format!(
        "{head}\treplay-window 0 flag esn\n\tanti-replay esn context:\n\t seq-hi 0x1, seq 0x5, oseq-hi 0x2, oseq 0x7\n\
         \t replay_window 64, bitmap-length 2\n\t 00000000 0000001f \n\tnew-thing 7 of 9\n\tdir in\n"
    ));
    assert_eq!((sa.replay.received, sa.replay.sent), (0x1_0000_0005, 0x2_0000_0007));
    assert_eq!((sa.replay.window, &*sa.replay.bitmap, sa.direction), (64, &[0x1f, 0][..], Some(SaDirection::In)));
    let sa = one(&format!(
        "{head}\treplay-window 32 seq 0x00000099 flag  (0x00000000)\n\
         \tanti-replay context: seq 0x3, oseq 0x4, bitmap 0x00000007\n\tlifetime current:\n\t  136(bytes), 4(packets)\n\
         \t  add 2026-11-23 16:21:42 use -\n\tstats:\n\t  replay-window 1 replay 2 failed 3\n"
    ));
    assert_eq!((sa.replay.received, sa.replay.sent, sa.replay.window), (3, 4, 32));
    assert_eq!(sa.errors, SaErrors { before_window: 1, replayed: 2, integrity_failed: 3 });
    assert_eq!((sa.used.bytes, sa.used.packets, sa.acquire_sequence), (136, 4, 99));
    let sa = one(&format!(
        "{head}\treplay-window 0 seq 0x00000000 flag noecn align4extra_flag oseq-may-wrap (0x01000001)\n"
    ));
    assert_eq!((sa.flags.to_string(), sa.extras.extra_flags), ("noecn align4".to_owned(), ExtraFlags(2)));
}

#[test]
fn batch_lines_are_read() {
    let sas = read(BATCH);
    assert_eq!(sas.len(), BATCH.lines().count());
    let crosses = sas.iter().find(|sa| sa.flags.esn() && sa.replay.sent > 0).unwrap();
    assert!(crosses.replay.sent >= 0xffff_0000, "{:#x}", crosses.replay.sent);
}

#[test]
fn what_newer_versions_print_is_read() {
    // In the words of iproute2's ipxfrm.c of June 2026, which the lab's version lacks.
    let sa =
        one("src 10.9.0.2 dst 10.9.0.1\n\tproto esp spi 0x61 reqid 0 mode 5\n\treplay-window 0 flag esn extra_flag \
         dont-encap-dscp 80000000\n\tmark 0x7/0xff output-mark 0x0/0xff\n\tlastused 2026-11-23 16:21:42\n\
         \tcrypto offload parameters: dev eth0 dir in mode packet\n\tif_id 0x7\n\ttfcpad 100\n\tdir in\n\tpcpu-num 3\n\
         \tsel src ::/0 dst ::/0 proto mobility-header type 5 (dport) 0x0100 uid 9\n\
         \tsecurity context system_u:object_r:ipsec_spd_t:s0 \n");
    assert_eq!((sa.mode, sa.direction, sa.if_id), (Mode::Iptfs, Some(SaDirection::In), Some(IfId(7))));
    assert_eq!((sa.mark.unwrap().value, sa.extras.output_mark), (7, Some(Mark { value: 0, mask: 0xff })));
    assert_eq!(sa.extras.offload, Some(Offload { interface: 2, flags: Offload::INBOUND | Offload::PACKET }));
    assert_eq!(sa.extras.extra_flags, ExtraFlags(0x8000_0001));
    assert_eq!((sa.extras.tfc_padding, sa.extras.cpu), (Some(100), Some(3)));
    assert_eq!(sa.extras.security, Some(SecurityContext::selinux("system_u:object_r:ipsec_spd_t:s0")));
    let code = PortMatch::exactly(u16::from_be(0x100));
    assert_eq!((sa.selector.destination_port, sa.selector.user), (code, 9));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_without_the_word() {
    let check = |text: &str, place: (usize, usize), problem: &str| {
        let errors = parse(text, INTERFACES).unwrap_err();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((place_of(text, error.span.start), &*error.problem), (place, problem), "{text}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    };
    let not_understood = "this word is not understood here";
    let line = |more: &str| format!("src ::1 dst ::2 proto esp spi 9 {more}");
    check("src", (1, 4), "it ends here");
    check("src hunter2 dst ::1", (1, 5), not_understood);
    check("src 10.0.0.0/8 dst 10.0.0.0/8 \n\tdir out priority 0 ptype main \n", (2, 10), not_understood);
    check(&line("hunter2"), (1, 33), not_understood);
    check(&line("enc \"a'b\" 0x00"), (1, 37), not_understood);
    check(&line("enc cbc(aes) hunter2"), (1, 46), "the key is missing");
    check(&line("enc cbc(aes) 0xhunter2"), (1, 46), "only the digits 0-9 and a-f may follow 0x");
    check(&line("enc cbc(aes)\nauth-trunc x 0x00 96"), (1, 45), "the key is missing");
    check(&line("aead rfc4106(gcm(aes)) 0x00"), (1, 60), "it ends here");
    check(&line("mark x"), (1, 38), not_understood);
    check(&line("encap espinudp 4500 70000 ::"), (1, 53), not_understood);
    check(&line("limit bytes-soft 7"), (1, 39), not_understood);
    check(
        &line("\n\tanti-replay esn context:\n\tseq-hi 0 seq 0 oseq-hi 0 oseq 0 replay_window 0 bitmap-length 9"),
        (3, 65),
        "it ends here",
    );
    check(&line("sel dev eth7"), (1, 41), "there is no such interface here");
    let two = parse(&format!("{}\n{}\n{}", line("x"), line(""), line("y")), INTERFACES).unwrap_err();
    assert_eq!(two.len(), 2, "each SA has its own errors: {two:?}");
}
