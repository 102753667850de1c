//! What a receiver drops although its ICV is right, and what only looks like protection.

use espial::model::{PortMatch, Transform};

use super::made::{IN_UDP, KEY, OTHER_KEY, esp, sa, sa_with};
use super::*;

const FAR: [u8; 4] = [10, 2, 0, 1];

fn demanding(fill: impl Fn(&mut PolicySpec)) -> Policies {
    let ways = [PolicyDirection::In, PolicyDirection::Out, PolicyDirection::Forward];
    let all = ways.map(|way| {
        policy(way, "0.0.0.0/0", 1, |spec| {
            protects(spec);
            fill(spec);
        })
    });
    Policies::new(all.iter(), None)
}

fn judge_of(sas: &[Sa], policies: Policies) -> Judge {
    let mut judge = judge_with(sas);
    judge.policies = policies;
    judge.addresses = [GOUDA.into()].into();
    judge
}

fn inbound(judge: &mut Judge, frame: &[u8]) -> Evidence {
    judged(judge, Sight { direction: Some(Direction::In), ..sight(frame) })
}

/// The verdict, and that these words are among its reasons.
fn check(evidence: &Evidence, verdict: Verdict, part: &str) {
    let words = words(evidence);
    assert!(evidence.verdict == verdict && words.contains(part), "{verdict} {part}: {words}");
}

fn tunnel(frame: &[u8], number: u64, key: &[u8]) -> Vec<u8> {
    ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, number, false, key, (4, &frame[14..])))
}

fn datagram(number: u64) -> Vec<u8> {
    made::frame(0x1001, number, &KEY)
}

#[test]
fn what_its_receiver_had_before_anybody_watched_is_a_replay() {
    use Verdict::{EspOk, Gap, Old, Replay as Repeated};
    let mut received = sa_with(0x1001, &KEY, |spec| spec.replay_window = 32);
    received.replay = espial::model::Replay { received: 100, bitmap: [0b1011].into(), ..received.replay };
    let mut judge = judge_of(&[received.clone()], Policies::default());
    // It was told of at this time: what came until then may be among it.
    let at = |judge: &mut Judge, number, later: u64| {
        let frame = datagram(number);
        let sight = Sight { direction: Some(Direction::In), ..sight(&frame) };
        judged(judge, Sight { at_ns: NOW * 1_000_000_000 + later, ..sight }).verdict
    };
    assert_eq!(at(&mut judge, 99, 0), EspOk);
    let mut judge = judge_of(&[received], Policies::default());
    assert_eq!([97, 98, 3, 100, 101].map(|number| at(&mut judge, number, 1)), [Repeated, EspOk, Old, Repeated, Gap(2)]);
}

#[test]
fn what_is_no_packet_after_decryption_is_refused() {
    // The right ICV around what another encryption key made of it.
    let with_cipher = |name: &str, key: &[u8]| {
        let (name, key) = (espial::model::AlgorithmName::from_kernel(name), Secret::copy_from(key));
        sa_with(0x1001, &KEY, |spec| spec.algorithms.encryption = Some(Transform { name, key, icv_bits: 0 }))
    };
    let (mut refused, mut others) = (0, 0);
    for byte in 0..64 {
        // An IV, and two blocks that were never encrypted with this key.
        let payload = [byte; 8 + 30 + 16];
        let frame = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &payload[..46])));
        for (name, key) in [("cbc(aes)", &b"0123456789abcdef"[..]), ("cbc(des3_ede)", b"0123456789abcdefghijklmn")] {
            let evidence = inbound(&mut judge_of(&[with_cipher(name, key)], Policies::default()), &frame);
            match evidence.verdict {
                Verdict::Refused => {
                    check(&evidence, Verdict::Refused, "decrypted it is no packet");
                    refused += 1;
                }
                // By chance the padding fits.
                Verdict::EspOk => others += 1,
                other => panic!("{other}"),
            }
        }
    }
    assert!(refused > 4 * others, "{refused} {others}");
}

#[test]
fn an_sas_packets_come_in_its_own_carrier() {
    let plain = datagram(1);
    let in_udp = ipv4(17, REBLOCHON, GOUDA, &udp_with(4500, 4500, &plain[34..]));
    let encapsulated = sa_with(0x1001, &KEY, |spec| spec.extras.encapsulation = Some(IN_UDP));
    let verdict = |sa: &Sa, frame: &[u8]| inbound(&mut judge_of(std::slice::from_ref(sa), Policies::default()), frame);
    assert_eq!(verdict(&encapsulated, &in_udp).verdict, Verdict::EspOk);
    check(&verdict(&encapsulated, &plain), Verdict::Refused, "the SA is for packets in UDP");
    check(&verdict(&sa(0x1001, &KEY), &in_udp), Verdict::Refused, "neither in UDP nor in TCP");
    // Keys that somebody typed in say nothing of that.
    let mut judge = Judge::default();
    judge.memory.give(sa(0x1001, &KEY));
    assert_eq!(inbound(&mut judge, &in_udp).verdict, Verdict::EspOk);
}

#[test]
fn a_tunnel_carries_packets_and_a_policy_must_ask_for_it() {
    let tunnels = || [sa_with(0x1001, &KEY, |spec| spec.mode = Mode::Tunnel)];
    check(&inbound(&mut judge_of(&tunnels(), Policies::default()), &datagram(1)), Verdict::Refused, "carries is udp");
    let frame = tunnel(&ipv4(17, FAR, GOUDA, &udp(40_000, 53)), 1, &KEY);
    let under = |policies: Policies| inbound(&mut judge_of(&tunnels(), policies), &frame);
    // Nobody said which policies there are.
    assert_eq!(under(Policies::default()).verdict, Verdict::EspOk);
    let mode = |spec: &mut PolicySpec| spec.templates[0].mode = Mode::Tunnel;
    check(&under(demanding(mode)), Verdict::EspOk, "it has what a policy demands");
    check(&under(Policies::new([].iter(), None)), Verdict::Refused, "no policy is about what was inside");
    check(&under(demanding(|spec| spec.templates.clear())), Verdict::Refused, "the policy does not ask for");
    let blocks = |spec: &mut PolicySpec| (spec.action, spec.templates) = (PolicyAction::Block, Vec::new());
    check(&under(demanding(blocks)), Verdict::Refused, "a policy blocks it");
    let block =
        PolicyDefaults { input: PolicyAction::Block, forward: PolicyAction::Allow, output: PolicyAction::Allow };
    check(&under(Policies::new([].iter(), Some(block))), Verdict::Refused, "the default is to block");
    // A policy for a mark may be the one.
    let marked = |spec: &mut PolicySpec| spec.mark = Some(espial::model::Mark { value: 1, mask: 1 });
    assert_eq!(under(demanding(marked)).verdict, Verdict::EspOk);
    // What is inside of it is passed on here, and what only passes by is nobody's here.
    let passed_on = tunnel(&ipv4(17, FAR, [10, 1, 0, 1], &udp(40_000, 53)), 1, &KEY);
    let only_in = policy(PolicyDirection::In, "0.0.0.0/0", 1, |spec| {
        protects(spec);
        mode(spec);
    });
    let mut judge = judge_of(&tunnels(), Policies::new([only_in].iter(), None));
    check(&inbound(&mut judge, &passed_on), Verdict::Refused, "no policy is about what was inside");
    judge.addresses = [FAR.into()].into();
    assert_eq!(inbound(&mut judge, &tunnel(&ipv4(17, FAR, GOUDA, &udp(1, 2)), 2, &KEY)).verdict, Verdict::EspOk);
}

#[test]
fn an_sa_takes_only_what_its_selector_is_for() {
    let for_port = |port| {
        sa_with(0x1001, &KEY, |spec| {
            let mut selector = Selector::between("10.9.0.2/32".parse().unwrap(), "10.9.0.1/32".parse().unwrap());
            (selector.protocol, selector.destination_port) = (UpperProtocol::UDP, PortMatch::exactly(port));
            spec.selector = Some(selector);
        })
    };
    let under = |sa: Sa, policies| inbound(&mut judge_of(&[sa], policies), &datagram(1));
    for policies in [|| demanding(|_| {}), || Policies::new([].iter(), None)] {
        let refused = under(for_port(54), policies());
        check(&refused, Verdict::Refused, "the SA is for 10.9.0.2/32 10.9.0.1/32 udp dport 54 alone");
        assert_eq!(under(for_port(53), policies()).verdict, Verdict::EspOk);
    }
}

#[test]
fn what_is_forged_or_dropped_excuses_nothing_in_clear() {
    let policies = || demanding(|spec| spec.templates[0].mode = Mode::Tunnel);
    let plain = ipv4(17, FAR, GOUDA, &udp(40_000, 53));
    let windowed = sa_with(0x1001, &KEY, |spec| (spec.mode, spec.replay_window) = (Mode::Tunnel, 32));
    let mut judge = judge_of(&[windowed], policies());
    let frame = tunnel(&plain, 1, &KEY);
    assert_eq!([&frame, &plain].map(|frame| inbound(&mut judge, frame).verdict), [Verdict::EspOk, Verdict::Copy]);
    assert_eq!(
        [&frame, &plain].map(|frame| inbound(&mut judge, frame).verdict),
        [Verdict::Replay, Verdict::ClearForbidden]
    );
    // With a slow cipher, of which not all is opened.
    let slow = sa_with(0x1001, &KEY, |spec| {
        spec.mode = Mode::Tunnel;
        let (name, key) = ("cbc(des3_ede)", b"0123456789abcdefghijklmn");
        let (name, key) = (espial::model::AlgorithmName::from_kernel(name), Secret::copy_from(key));
        spec.algorithms.encryption = Some(Transform { name, key, icv_bits: 0 });
    });
    let mut judge = judge_of(&[slow], policies());
    let forged = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &OTHER_KEY, (4, &[0; 1402])));
    for _ in 0..300 {
        assert_eq!(inbound(&mut judge, &forged).verdict, Verdict::BadIcv);
    }
    assert_eq!(inbound(&mut judge, &plain).verdict, Verdict::ClearForbidden);
}

/// IP in GRE.
fn in_gre(frame: &[u8]) -> Vec<u8> {
    ipv4(47, REBLOCHON, GOUDA, &[&[0, 0, 8, 0][..], &frame[14..]].concat())
}

#[test]
fn a_packet_in_clear_is_not_excused_by_what_it_carries() {
    let (ours, foreign) = (datagram(1), made::frame(0x2002, 1, &KEY));
    let ike = key_exchange::message(2, 34, 40, &[0, 0, 0, 8, 1, 2, 3, 4]);
    let ike = ipv4(17, FAR, GOUDA, &udp_with(500, 500, &ike));
    let for_gre = || demanding(|spec| spec.selector.protocol = UpperProtocol::GRE);
    for (frame, alone) in [(&ours, Verdict::EspOk), (&foreign, Verdict::NoSa), (&ike, Verdict::Ike)] {
        let verdict = |policies| inbound(&mut judge_of(&[sa(0x1001, &KEY)], policies), &in_gre(frame)).verdict;
        assert_eq!(verdict(for_gre()), Verdict::ClearForbidden);
        assert_eq!(verdict(Policies::new([].iter(), None)), alone);
    }
}

#[test]
fn what_looks_like_esp_in_udp_or_tcp_is_in_clear_where_no_sa_says_otherwise() {
    let datagram = |ports: (u16, u16)| ipv4(17, REBLOCHON, GOUDA, &udp_with(ports.0, ports.1, b"hello world"));
    let under = |policies: Policies, sas: &[Sa], frame: &[u8]| inbound(&mut judge_of(sas, policies), frame).verdict;
    let nothing = || Policies::new([].iter(), None);
    let demands = || demanding(|_| {});
    // Whoever sends from port 4500 makes no receiver of another port take ESP out of it.
    assert_eq!(under(nothing(), &[], &datagram((4500, 7001))), Verdict::Clear);
    assert_eq!(under(demands(), &[], &datagram((4500, 7001))), Verdict::ClearForbidden);
    assert_eq!(under(nothing(), &[], &datagram((7001, 4500))), Verdict::NoSa);
    assert_eq!(under(demands(), &[], &datagram((7001, 4500))), Verdict::ClearForbidden);
    // Between these hosts SAs do so: it may be of one that is gone.
    let encapsulated = [sa_with(0x1001, &KEY, |spec| spec.extras.encapsulation = Some(IN_UDP))];
    assert_eq!(under(demands(), &encapsulated, &datagram((7001, 4500))), Verdict::NoSa);
    let segment = [&[0x11, 0x94, 0x1b, 0x59][..], &[0; 8], &[0x50, 0x18, 1, 0, 0, 0, 0, 0], b"hello world"].concat();
    let segment = ipv4(6, REBLOCHON, GOUDA, &segment);
    assert_eq!(under(nothing(), &[], &segment), Verdict::Unproven);
    assert_eq!(under(demands(), &[], &segment), Verdict::ClearForbidden);
    // What may not be read may be anything.
    let mut judge = judge_of(&[], demands());
    judge.memory.set_unreadable();
    assert_eq!(inbound(&mut judge, &datagram((7001, 4500))).verdict, Verdict::NoKey);
}

#[test]
fn esp_that_neither_encrypts_nor_authenticates_can_be_read() {
    let open = sa_with(0x1001, &KEY, |spec| spec.algorithms.authentication = None);
    let frame = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 1, false, &KEY, (17, &udp(1, 2)))[..8 + 20 + 4]);
    let evidence = inbound(&mut judge_of(&[open], Policies::default()), &frame);
    check(&evidence, Verdict::Unproven, "neither encrypts nor authenticates");
    assert!(evidence.is_readable() && evidence.is_esp_in_clear());
}

#[test]
fn what_cannot_be_foreseen_is_not_called_refused() {
    let under = |sa: Sa, policies: Policies, frame: &[u8]| inbound(&mut judge_of(&[sa], policies), frame);
    let for_port = |mode| {
        demanding(move |spec| {
            (spec.selector.protocol, spec.selector.destination_port) = (UpperProtocol::UDP, PortMatch::exactly(53));
            spec.templates[0].mode = mode;
        })
    };
    let tunnels = || sa_with(0x1001, &KEY, |spec| spec.mode = Mode::Tunnel);
    // A receiver puts parts together before it asks.
    let whole = ipv4(17, FAR, GOUDA, &udp_with(40_000, 53, &[7; 1000]));
    for part in parts::cut(&whole, 504) {
        let evidence = under(tunnels(), for_port(Mode::Tunnel), &tunnel(&part, 1, &KEY));
        assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    }
    let other = under(tunnels(), for_port(Mode::Tunnel), &tunnel(&ipv4(17, FAR, GOUDA, &udp(1, 54)), 1, &KEY));
    assert_eq!(other.verdict, Verdict::Refused);
    // Of these modes, marks and flags, and of what came through an interface that is not here, the kernel knows more.
    let selector = Selector::between("10.2.0.5/32".parse().unwrap(), "10.1.0.9/32".parse().unwrap());
    let outside = |fill: &dyn Fn(&mut SaSpec)| {
        sa_with(0x1001, &KEY, |spec| {
            spec.selector = Some(selector);
            fill(spec);
        })
    };
    let nothing = || Policies::new([].iter(), None);
    assert_eq!(under(outside(&|_| {}), nothing(), &datagram(1)).verdict, Verdict::Refused);
    let fills: [&dyn Fn(&mut SaSpec); 5] = [
        &|spec| spec.mode = Mode::Beet,
        &|spec| spec.mark = Some(espial::model::Mark { value: 1, mask: 1 }),
        &|spec| spec.extras.output_mark = Some(espial::model::Mark { value: 1, mask: 1 }),
        &|spec| spec.flags = SaFlags(16),
        &|spec| spec.if_id = Some(espial::model::IfId(42)),
    ];
    for fill in fills {
        let evidence = under(outside(fill), nothing(), &datagram(1));
        assert_eq!(evidence.verdict, Verdict::EspOk, "{}", words(&evidence));
    }
}

#[test]
fn what_is_slow_to_open_is_not_called_protected_unopened() {
    let slow = |policies| {
        let sa = sa_with(0x1001, &KEY, |spec| {
            let (name, key) = ("cbc(des3_ede)", b"0123456789abcdefghijklmn");
            let (name, key) = (espial::model::AlgorithmName::from_kernel(name), Secret::copy_from(key));
            spec.algorithms.encryption = Some(Transform { name, key, icv_bits: 0 });
        });
        judge_of(&[sa], policies)
    };
    // One byte of padding fits whatever the last block says: it is not what matters here.
    let verdicts = |judge: &mut Judge| -> Vec<Verdict> {
        let frames = (1..=300_u64).map(|number| {
            let filled = [u8::try_from(number % 256).unwrap(); 8 + 1398];
            ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, number, false, &KEY, (17, &filled)))
        });
        frames.map(|frame| inbound(judge, &frame).verdict).collect()
    };
    // The policy wants another transform as well.
    let more = |spec: &mut PolicySpec| {
        spec.templates.push(Template::new(IpsecProtocol::Ah, Mode::Transport, [0; 4].into(), [0; 4].into()));
    };
    let found = verdicts(&mut slow(demanding(more)));
    let count = |verdict| found.iter().filter(|found| **found == verdict).count();
    assert!(count(Verdict::Weak) > 100 && count(Verdict::Unproven) > 50, "{found:?}");
    assert_eq!(count(Verdict::EspOk), 0, "{found:?}");
}

#[test]
fn a_number_that_nobody_sends_is_dropped_and_one_packet_on_two_interfaces_comes_out_once() {
    let windowed = sa_with(0x1001, &KEY, |spec| (spec.mode, spec.replay_window) = (Mode::Tunnel, 32));
    let mode = |spec: &mut PolicySpec| spec.templates[0].mode = Mode::Tunnel;
    let plain = ipv4(17, FAR, GOUDA, &udp(40_000, 53));
    let mut judge = judge_of(&[windowed], demanding(mode));
    check(&inbound(&mut judge, &tunnel(&plain, 0, &KEY)), Verdict::Refused, "none that a sender uses");
    let on = |judge: &mut Judge, interface, frame: &[u8]| {
        let sight = Sight { direction: Some(Direction::In), ..sight(frame) };
        judge.judge(sight, &dissect(LinkType::Ethernet, frame), interface).verdict
    };
    let frame = tunnel(&plain, 1, &KEY);
    let seen = [(1, &frame), (2, &frame), (2, &plain), (2, &plain)].map(|(place, frame)| on(&mut judge, place, frame));
    assert_eq!(seen, [Verdict::EspOk, Verdict::EspOk, Verdict::Copy, Verdict::ClearForbidden]);
    // What a tunnel's packet turns out not to be has advanced the window all the same.
    let no_packet = ipv4(50, REBLOCHON, GOUDA, &esp(0x1001, 2, false, &KEY, (17, &udp(1, 2))));
    let last = tunnel(&plain, 3, &KEY);
    assert_eq!([&no_packet, &last].map(|frame| inbound(&mut judge, frame).verdict), [Verdict::Refused, Verdict::EspOk]);
}

#[test]
fn where_key_exchange_has_sockets_esp_in_udp_of_no_sa_may_be_what_it_looks_like() {
    let datagram = ipv4(17, REBLOCHON, GOUDA, &udp_with(7001, 4500, b"hello world"));
    let socket = policy(PolicyDirection::Socket(3), "0.0.0.0/0", 0, |_| {});
    let demands = policy(PolicyDirection::In, "0.0.0.0/0", 1, protects);
    let mut judge = judge_of(&[], Policies::new([&demands, &socket].into_iter(), None));
    assert_eq!(inbound(&mut judge, &datagram).verdict, Verdict::NoSa);
}
