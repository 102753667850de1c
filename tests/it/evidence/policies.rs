//! Sub policies, marks, xfrm interfaces, and the policy that a protected packet satisfies.

use super::*;
use espial::evidence::Interfaces;
use espial::model::{IfId, Mark, PolicyKind, PolicySettings, PortMatch, Ties, TunnelInterface};

const OUT: PolicyDirection = PolicyDirection::Out;

fn sub(spec: &mut PolicySpec) {
    spec.kind = PolicyKind::Sub;
}

fn sub_protects(spec: &mut PolicySpec) {
    sub(spec);
    protects(spec);
}

fn blocks(spec: &mut PolicySpec) {
    spec.action = PolicyAction::Block;
}

fn demands_ah(spec: &mut PolicySpec) {
    protects(spec);
    spec.templates[0].protocol = IpsecProtocol::Ah;
}

#[test]
fn behind_a_sub_policy_that_lets_it_pass_the_main_one_is_asked_as_well() {
    let frame = ipv4(17, GOUDA, REBLOCHON, &udp(40000, 53));
    let check = |policies: &[Policy], direction, verdict, reason: &str| {
        let evidence = clear_under(policies, None, direction, &frame);
        assert_eq!(evidence.verdict, verdict, "{}", words(&evidence));
        assert!(words(&evidence).contains(reason), "{}", words(&evidence));
    };
    let net = "10.9.0.0/24";
    for way in [OUT, PolicyDirection::Forward] {
        let direction = if way == OUT { Direction::Out } else { Direction::In };
        // Of what arrives the kernel asks the main policies for `in`, also where it is passed on.
        let main_way = if way == OUT { OUT } else { PolicyDirection::In };
        let passes = policy(way, net, 100, sub);
        let demands = policy(main_way, net, 1, protects);
        let both = [passes.clone(), demands];
        check(&both, direction, Verdict::ClearForbidden, &format!("a policy demands protection: {main_way} 0.0.0.0/0"));
        let blocked = [passes.clone(), policy(main_way, net, 1, blocks)];
        check(&blocked, direction, Verdict::ClearForbidden, "a policy blocks it");
        let lets_both = [passes.clone(), policy(main_way, net, 1, |_| {})];
        check(&lets_both, direction, Verdict::Clear, "ptype sub");
        check(&[passes], direction, Verdict::Clear, "ptype sub");
    }
    let sub_demands = policy(OUT, net, 100, sub_protects);
    check(&[sub_demands, policy(OUT, net, 1, |_| {})], Direction::Out, Verdict::ClearForbidden, "ptype sub");
    let sub_blocks = policy(OUT, net, 100, |spec| {
        sub(spec);
        blocks(spec);
    });
    check(
        &[sub_blocks, policy(OUT, net, 1, protects)],
        Direction::Out,
        Verdict::ClearForbidden,
        "blocks it: out 0.0.0.0/0 10.9.0.0/24 ptype sub",
    );
}

fn gcm(sa: &Sa) -> bool {
    sa.mode == Mode::Transport && sa.algorithms.aead.is_some() && sa.destination.is_ipv4()
}

/// What the first packet that is protected with GCM proves under a policy, and who judged it.
fn gcm_under(fill: fn(&mut PolicySpec)) -> (Judge, Evidence) {
    let sas = linux_sas();
    let sa = sas.iter().find(|sa| gcm(sa)).unwrap();
    let mut judge = judge_with(&sas);
    judge.policies = Policies::new([policy(OUT, "10.9.0.0/24", 100, fill)].iter(), None);
    let is_its = |frame: &&[u8]| dissect(LinkType::Ethernet, frame).ipsec().any(|header| header.spi == sa.spi);
    let frame = wire::frames(LINUX).into_iter().find(is_its).unwrap();
    let evidence = judged(&mut judge, sight(frame));
    (judge, evidence)
}

#[test]
fn a_packet_must_have_what_the_sub_and_the_main_policy_demand_together() {
    let check = |policies: &[Policy], verdict: Verdict, reason: &str| {
        let (found, words) = protected_under(policies, Direction::Out, gcm);
        assert!(found == verdict && words.contains(reason), "{found}: {words}");
    };
    let net = "10.9.0.0/24";
    let esp = policy(OUT, net, 100, sub_protects);
    check(&[esp.clone(), policy(OUT, net, 1, |_| {})], Verdict::EspOk, "it has what a policy demands");
    let ah = policy(OUT, net, 1, demands_ah);
    check(
        &[esp, ah.clone()],
        Verdict::Weak,
        "demands AH in transport mode, which it does not have: out 0.0.0.0/0 10.9.0.0/24",
    );
    check(&[policy(OUT, net, 100, sub), ah], Verdict::Weak, "demands AH");
}

#[test]
fn what_is_not_protected_enough_has_a_sum_of_its_own() {
    let (judge, evidence) = gcm_under(demands_ah);
    assert_eq!(evidence.verdict, Verdict::Weak);
    let sums = judge.totals.all;
    assert_eq!((sums.weak, sums.protected, sums.forbidden, sums.undecided), (1, 0, 0, 0));
    assert_eq!(judge.totals.of(REBLOCHON.into()).weak, 1);
}

#[test]
fn a_protected_packet_names_the_policy_that_it_satisfies() {
    let satisfied = "it has what a policy demands: out 0.0.0.0/0 10.9.0.0/24";
    let check = |fill: fn(&mut PolicySpec), is_wanted: fn(&Sa) -> bool, reason: &str| {
        let (verdict, words) = protected_under(&[policy(OUT, "10.9.0.0/24", 100, fill)], Direction::Out, is_wanted);
        assert!(verdict == Verdict::EspOk && words.contains(reason), "{words}");
    };
    check(protects, gcm, satisfied);
    // What is inside decides, and was decrypted already to check the ICV.
    check(
        |spec| {
            protects(spec);
            spec.selector.protocol = UpperProtocol::UDP;
        },
        gcm,
        "10.9.0.0/24 udp",
    );
    let (_, evidence) = gcm_under(protects);
    assert_eq!(evidence.policy().map(ToString::to_string).as_deref(), Some("out 0.0.0.0/0 10.9.0.0/24"));
}

#[test]
fn the_policy_of_an_outbound_tunnel_is_that_over_what_is_inside() {
    let tunnel = |sa: &Sa| sa.mode == Mode::Tunnel && sa.algorithms.aead.is_some() && sa.destination.is_ipv4();
    let (verdict, words) = protected_under(
        &[policy(OUT, "0.0.0.0/0", 100, |spec| {
            protects(spec);
            spec.templates[0].mode = Mode::Tunnel;
        })],
        Direction::Out,
        tunnel,
    );
    assert!(verdict == Verdict::EspOk && words.contains("it has what a policy demands: out"), "{words}");
}

#[test]
fn a_policy_for_a_mark_is_named_where_it_would_decide_otherwise() {
    let frame = ipv4(17, GOUDA, REBLOCHON, &udp(40000, 53));
    let marked = |priority, fill: fn(&mut PolicySpec)| {
        policy(OUT, "10.9.0.0/24", priority, |spec| {
            fill(spec);
            spec.mark = Some(Mark { value: 7, mask: 0xff });
        })
    };
    let check = |policies: &[Policy], expected: &str| {
        assert_eq!(words(&clear_under(policies, None, Direction::Out, &frame)), expected);
    };
    let words_of =
        "a policy for a mark may be about it, and no capture shows marks: out 0.0.0.0/0 10.9.0.0/24 mark 0x7/0xff";
    check(&[marked(1, protects)], &format!("CLEAR: no policy is about it; {words_of}"));
    let plain = policy(OUT, "0.0.0.0/0", 5, protects);
    let demanded = "CLEAR !: a policy demands protection: out 0.0.0.0/0 0.0.0.0/0";
    check(&[marked(1, |_| {}), plain.clone()], &format!("{demanded}; {words_of}"));
    check(&[marked(1, protects), plain.clone()], demanded);
    check(&[marked(9, |_| {}), plain], demanded);
}

#[test]
fn policies_of_an_xfrm_interface_are_asked_for_packets_of_its_sas_alone() {
    let of = |id: u32| {
        policy(OUT, "10.9.0.0/24", 1, |spec| {
            demands_ah(spec);
            spec.if_id = Some(IfId(id));
        })
    };
    let mut sas = linux_sas();
    let at = sas.iter().position(gcm).unwrap();
    let (spi, frames) = (sas[at].spi, wire::frames(LINUX));
    let is_its = |frame: &&&[u8]| dissect(LinkType::Ethernet, frame).ipsec().any(|header| header.spi == spi);
    let frame = frames.iter().find(is_its).unwrap();
    let mut verdict = |id: Option<IfId>, policies: &[Policy]| {
        sas[at].if_id = id;
        let mut judge = judge_with(&sas);
        judge.policies = Policies::new(policies.iter(), None);
        judged(&mut judge, sight(frame)).verdict
    };
    assert_eq!(verdict(Some(IfId(42)), &[of(42)]), Verdict::Weak);
    assert_eq!(verdict(Some(IfId(42)), &[of(41)]), Verdict::EspOk);
    assert_eq!(verdict(Some(IfId(42)), &[policy(OUT, "10.9.0.0/24", 1, demands_ah)]), Verdict::EspOk);
    assert_eq!(verdict(None, &[of(42)]), Verdict::EspOk);
}

#[test]
fn what_is_on_an_interface_behind_which_it_is_encrypted_is_not_on_the_wire() {
    let frame = ipv4(17, GOUDA, REBLOCHON, &udp(40000, 53));
    let all = policy(OUT, "0.0.0.0/0", 1, protects);
    let of_interface = policy(OUT, "10.9.0.0/24", 9, |spec| {
        protects(spec);
        spec.if_id = Some(IfId(42));
    });
    let mut judge = Judge::default();
    judge.policies = Policies::new([all, of_interface].iter(), None);
    assert_eq!(judged(&mut judge, sight(&frame)).verdict, Verdict::ClearForbidden);
    // The number of the interface that `judged` sees frames on.
    judge.tunnel_interfaces = [(1, TunnelInterface::Xfrm(IfId(42)))].into();
    let evidence = judged(&mut judge, sight(&frame));
    assert_eq!(evidence.verdict, Verdict::Copy);
    assert_eq!(evidence.policy().unwrap().to_string(), "out 0.0.0.0/0 10.9.0.0/24 if_id 0x2a");
    for other in [TunnelInterface::Xfrm(IfId(41)), TunnelInterface::Vti] {
        judge.tunnel_interfaces = [(1, other)].into();
        let words = words(&judged(&mut judge, sight(&frame)));
        assert_eq!(words, "COPY: on an interface behind which it is encrypted; it is not on the wire like this");
    }
    // Behind GRE it may be in clear.
    judge.tunnel_interfaces = [(1, TunnelInterface::Wrapping)].into();
    let words = words(&judged(&mut judge, sight(&frame)));
    assert!(words.starts_with("CLEAR !: a policy demands protection: "), "{words}");
    assert!(words.ends_with("; on an interface that wraps it into another packet: look at that one"), "{words}");
}

#[test]
fn a_broadcast_is_for_this_host() {
    let frame = ipv4(17, REBLOCHON, [10, 9, 0, 255], &udp(40000, 53));
    let interface = espial::capture::Interface {
        name: "veth0".to_owned(),
        index: 1,
        is_up: true,
        is_loopback: false,
        addresses: vec![GOUDA.into()],
        broadcasts: vec![[10, 9, 0, 255].into()],
        tunnel: None,
        settings: PolicySettings::default(),
    };
    let mut judge = Judge::default();
    judge.policies = Policies::new([policy(PolicyDirection::In, "0.0.0.0/0", 1, protects)].iter(), None);
    judge.addresses = interface.own().collect();
    let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(&frame) });
    assert_eq!(evidence.verdict, Verdict::ClearForbidden, "{}", words(&evidence));
}

/// The verdict over a frame that arrives where a policy demands protection of what its selector is about.
fn verdict_where(frame: &[u8], protocol: u8, ports: (Option<u16>, Option<u16>)) -> Verdict {
    let demands = policy(PolicyDirection::In, "0.0.0.0/0", 1, |spec| {
        protects(spec);
        spec.selector.protocol = UpperProtocol(protocol);
        let port = |port: Option<u16>| port.map_or(PortMatch::ANY, PortMatch::exactly);
        (spec.selector.source_port, spec.selector.destination_port) = (port(ports.0), port(ports.1));
    });
    clear_under(&[demands], None, Direction::In, frame).verdict
}

#[test]
fn ports_are_compared_for_every_protocol_for_which_the_kernel_does() {
    let payload = [&7000_u16.to_be_bytes()[..], &7001_u16.to_be_bytes(), &[0; 20]].concat();
    for (protocol, has_ports) in [(6, true), (17, true), (132, true), (136, true), (33, false), (88, false)] {
        let frame = ipv4(protocol, REBLOCHON, GOUDA, &payload);
        let wanted = |is_about| if is_about { Verdict::ClearForbidden } else { Verdict::Clear };
        assert_eq!(verdict_where(&frame, protocol, (None, None)), Verdict::ClearForbidden, "{protocol}");
        for ports in [(None, Some(7001)), (Some(7000), None), (Some(7000), Some(7001))] {
            assert_eq!(verdict_where(&frame, protocol, ports), wanted(has_ports), "{protocol} {ports:?}");
        }
        // What has no ports for the kernel has those of number 0.
        assert_eq!(verdict_where(&frame, protocol, (None, Some(0))), wanted(!has_ports), "{protocol}");
        assert_eq!(verdict_where(&frame, protocol, (None, Some(7002))), Verdict::Clear, "{protocol}");
        // Too short for a header, and long enough for ports.
        let frame = ipv4(protocol, REBLOCHON, GOUDA, &payload[..4]);
        assert_eq!(verdict_where(&frame, protocol, (Some(7000), Some(7001))), wanted(has_ports), "{protocol}");
    }
    let echo = ipv4(1, REBLOCHON, GOUDA, &[8, 0, 0, 0]);
    assert_eq!(verdict_where(&echo, 1, (Some(8), Some(0))), Verdict::ClearForbidden);
}

#[test]
fn behind_extension_headers_of_ipv6_the_protocol_is_the_one_that_they_lead_to() {
    let frame = |next: u8, rest: &[u8]| {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0];
        frame.extend([u8::try_from(8 + rest.len()).unwrap(), 60, 64]);
        frame.extend([&[0xfd; 16][..], &[0xfc; 16]].concat());
        frame.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend(rest);
        frame
    };
    let demands = |protocol: u8| {
        let mut spec = PolicySpec::new(PolicyDirection::In, Selector::between(Prefix::ANY_V6, Prefix::ANY_V6));
        protects(&mut spec);
        spec.selector.protocol = UpperProtocol(protocol);
        spec.selector.destination_port = if protocol == 132 { PortMatch::exactly(9) } else { PortMatch::ANY };
        Policy::from_spec(&spec, 1, NOW)
    };
    for (next, rest) in [(132, &[0, 8, 0, 9, 0, 0, 0, 0][..]), (47, &[0, 0, 0x88, 0xbe]), (4, &[0x45]), (6, &[0, 7])] {
        let mut judge = Judge::default();
        judge.policies = Policies::new([demands(next)].iter(), None);
        let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(&frame(next, rest)) });
        assert_eq!(evidence.verdict, Verdict::ClearForbidden, "{next}: {}", words(&evidence));
    }
}

/// The verdict and the reasons over a datagram that crosses interface 2, of a host with this address.
fn datagram_at_2(
    policies: &[Policy],
    (from, to): ([u8; 4], [u8; 4]),
    direction: Direction,
    settings: PolicySettings,
) -> String {
    let mut judge = Judge::default();
    judge.policies = Policies::new(policies.iter(), None);
    judge.addresses = [IpAddr::from(GOUDA)].into();
    judge.interfaces = Interfaces::new([(2, settings, &[IpAddr::from(GOUDA)][..])].into_iter());
    let frame = ipv4(17, from, to, &udp(40000, 53));
    let sight = Sight { direction: Some(direction), ..sight(&frame) };
    words(&judge.judge(sight, &dissect(LinkType::Ethernet, &frame), 2))
}

const KNOWN: PolicySettings =
    PolicySettings { routed: 2, local: 1, no_policy: false, no_xfrm: false, no_policy_v6: false };
const DEMANDED: &str = "CLEAR !: a policy demands protection";

#[test]
fn an_interface_in_a_selector_is_that_of_the_route() {
    let on = |way, interface| {
        [policy(way, "0.0.0.0/0", 1, |spec| {
            protects(spec);
            spec.selector.interface = interface;
        })]
    };
    let check = |policies: &[Policy], ends, direction, settings, expected: &str| {
        let words = datagram_at_2(policies, ends, direction, settings);
        assert!(words.starts_with(expected), "{words}");
    };
    let (none, perhaps) =
        ("CLEAR: no policy is about it", "CLEAR: no policy is about it; a policy for an interface may be about it");
    let (to_us, from_us) = ((REBLOCHON, GOUDA), (GOUDA, REBLOCHON));
    let (incoming, out) = (PolicyDirection::In, Direction::Out);
    // What is for this host is on the loopback interface then, or on the VRF.
    check(&on(incoming, 1), to_us, Direction::In, KNOWN, DEMANDED);
    assert_eq!(datagram_at_2(&on(incoming, 2), to_us, Direction::In, KNOWN), none);
    let in_vrf = PolicySettings { local: 7, ..KNOWN };
    check(&on(incoming, 7), to_us, Direction::In, in_vrf, DEMANDED);
    assert_eq!(datagram_at_2(&on(incoming, 1), to_us, Direction::In, in_vrf), none);
    check(&on(incoming, 2), to_us, Direction::In, PolicySettings::default(), perhaps);
    // What leaves is on the interface by which it leaves; on a bridge it is on that.
    check(&on(OUT, 2), from_us, out, KNOWN, DEMANDED);
    assert_eq!(datagram_at_2(&on(OUT, 1), from_us, out, KNOWN), none);
    let on_bridge = PolicySettings { routed: 9, ..KNOWN };
    check(&on(OUT, 9), from_us, out, on_bridge, DEMANDED);
    assert_eq!(datagram_at_2(&on(OUT, 2), from_us, out, on_bridge), none);
    // Where what is passed on will leave, a frame that arrives does not tell.
    let passed_on = (REBLOCHON, [10, 8, 0, 1]);
    for interface in [1, 2, 5] {
        check(&on(PolicyDirection::Forward, interface), passed_on, Direction::In, KNOWN, perhaps);
    }
    // A doubt that changes nothing is not told.
    let all = [on(PolicyDirection::Forward, 5), on(PolicyDirection::Forward, 0)].concat();
    assert_eq!(datagram_at_2(&all, passed_on, Direction::In, KNOWN), format!("{DEMANDED}: fwd 0.0.0.0/0 0.0.0.0/0"));
}

#[test]
fn where_a_setting_says_so_no_policy_is_asked() {
    let demands = [PolicyDirection::In, OUT, PolicyDirection::Forward].map(|way| policy(way, "0.0.0.0/0", 1, protects));
    let no_policy = PolicySettings { no_policy: true, ..KNOWN };
    let no_xfrm = PolicySettings { no_xfrm: true, ..KNOWN };
    let exempt = |setting| format!("CLEAR: no policy is asked about it: net.ipv4.conf.*.{setting} is set");
    let (to_us, from_us, passed_on) = ((REBLOCHON, GOUDA), (GOUDA, REBLOCHON), (REBLOCHON, [10, 8, 0, 1]));
    for ends in [to_us, passed_on] {
        assert_eq!(datagram_at_2(&demands, ends, Direction::In, no_policy), exempt("disable_policy"));
        assert!(datagram_at_2(&demands, ends, Direction::In, no_xfrm).starts_with(DEMANDED));
    }
    assert_eq!(datagram_at_2(&demands, from_us, Direction::Out, no_xfrm), exempt("disable_xfrm"));
    assert!(datagram_at_2(&demands, from_us, Direction::Out, no_policy).starts_with(DEMANDED));
}

#[test]
fn parts_that_are_passed_on_may_have_been_asked_about_one_by_one() {
    let for_dns = policy(PolicyDirection::Forward, "0.0.0.0/0", 1, |spec| {
        protects(spec);
        spec.selector.protocol = UpperProtocol::UDP;
        spec.selector.destination_port = PortMatch::exactly(53);
    });
    let mut judge = Judge::default();
    judge.policies = Policies::new([for_dns].iter(), None);
    judge.addresses = [IpAddr::from(GOUDA)].into();
    let datagram = udp_with(40000, 53, &[0; 16]);
    // In two parts, the second from byte 16 on.
    for (part, fragment) in [(&datagram[..16], [0x20, 0]), (&datagram[16..], [0, 2])] {
        let mut frame = ipv4(17, REBLOCHON, [10, 8, 0, 1], part);
        frame[20..22].copy_from_slice(&fragment);
        let words = words(&judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(&frame) }));
        let doubt = "; asked about the parts one by one, without ports, the kernel decides otherwise";
        assert!(words.starts_with(DEMANDED) && words.contains(doubt), "{words}");
    }
}

#[test]
fn which_of_two_of_one_priority_is_asked_first_is_said_where_it_is_known() {
    let frame = ipv4(17, REBLOCHON, GOUDA, &udp(40000, 53));
    let made = |source: &str, net: &str, index: u32, fill: fn(&mut PolicySpec)| {
        let mut policy = policy(PolicyDirection::In, net, 5, |spec| {
            spec.selector.source = source.parse().unwrap();
            fill(spec);
        });
        policy.index = index;
        policy
    };
    // The oldest first.
    let verdict = |policies: &[Policy], ties| {
        let mut judge = Judge::default();
        judge.policies = Policies::new(policies.iter(), None).with(ties);
        let evidence = judged(&mut judge, Sight { direction: Some(Direction::In), ..sight(&frame) });
        (evidence.verdict, words(&evidence).contains("another policy of the same priority may be asked first"))
    };
    let (clear, forbidden) = (Verdict::Clear, Verdict::ClearForbidden);
    let other = made("10.200.0.0/16", "10.201.0.0/16", 1, |_| {});
    let wide = |index| made("10.8.0.0/13", "10.0.0.0/8", index, protects);
    let host = |index| made("10.9.0.2/32", "10.9.0.1/32", index, |_| {});
    let net = |index| made("10.9.0.0/24", "10.9.0.0/16", index, |_| {});
    let near = |index| made("10.9.0.0/20", "10.9.0.0/16", index, protects);
    let check = |policies: &[Policy], by_age, hosts_first| {
        assert_eq!(verdict(policies, Ties::ByAge), by_age, "{policies:?}");
        assert_eq!(verdict(policies, Ties::HostsFirst), hosts_first, "{policies:?}");
    };
    check(&[other.clone(), wide(9), host(17)], (forbidden, false), (clear, true));
    check(&[wide(9), host(17)], (forbidden, false), (forbidden, true));
    check(&[host(9), wide(17)], (clear, false), (forbidden, true));
    check(&[other, host(9), wide(17)], (clear, false), (clear, false));
    check(&[net(9), wide(17)], (clear, false), (clear, false));
    // The older has the higher number: somebody chose it, or the other one was updated.
    check(&[near(8000), net(9)], (forbidden, true), (clear, true));
    check(&[wide(8000), net(9)], (forbidden, false), (clear, true));
    // What both say is said without a doubt.
    let also = |index| made("10.9.0.0/20", "10.9.0.0/24", index, |_| {});
    check(&[also(8000), net(9)], (clear, false), (clear, false));
    assert_eq!(verdict(&[net(9), wide(17)], Ties::Unclear), (clear, true));
}
