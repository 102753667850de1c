//! Decoding: recorded messages, damage, and everything written and read again.

use super::*;
use crate::model::extras::Iptfs;
use crate::model::{KernelEvent, PolicySpec, Prefix, SaSpec};
use proptest::prelude::*;

/// The body of a recorded message.
fn recorded(name: &str) -> Vec<u8> {
    let all = include_str!("../../../../tests/data/xfrm-messages.txt");
    let line = all.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    let hex = line.rsplit(' ').next().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn recorded_sa(name: &str) -> Sa {
    sa(&recorded(name)).unwrap()
}

#[test]
fn an_aead_with_extended_sequence_numbers() {
    let sa = recorded_sa("esp_gcm_esn");
    assert_eq!(sa.id().to_string(), "esp 0x00001001 to 10.9.0.2");
    assert_eq!((sa.source, sa.reqid, sa.mode), ([10, 9, 0, 1].into(), ReqId(7), Mode::Transport));
    let aead = sa.algorithms.aead.as_ref().unwrap();
    assert_eq!((aead.name.label(), aead.key.bits(), aead.icv_bits), ("aes-gcm", 160, 128));
    assert_eq!(*aead.key.reveal_hex(), "0123456789abcdef0123456789abcdef01234567");
    assert!(sa.flags.esn());
    assert_eq!((sa.replay.window, sa.replay.bitmap.len()), (128, 4));
}

#[test]
fn a_tunnel_with_everything_that_ip_can_say() {
    let sa = recorded_sa("esp_cbc_tunnel_v6");
    assert_eq!(sa.mode, Mode::Tunnel);
    assert_eq!((sa.mark, sa.if_id), (Some(Mark { value: 5, mask: 0xff }), Some(IfId(9))));
    assert_eq!(sa.limits.bytes, Limit { soft: Some(1000), hard: Some(2000) });
    assert_eq!(sa.limits.since_added_secs, Limit { soft: None, hard: Some(3600) });
    assert_eq!(sa.selector.to_string(), "fd00:1::/64 fd00:2::/64 tcp dport 22");
    assert_eq!((sa.replay.window, &*sa.replay.bitmap), (32, &[0][..]));
    assert_eq!(sa.extras.output_mark, Some(Mark { value: 0x10, mask: 0xf0 }));
    let authentication = sa.algorithms.authentication.as_ref().unwrap();
    assert_eq!((authentication.name.label(), authentication.icv_bits), ("hmac-sha256", 128));
    assert_eq!(sa.algorithms.encryption.as_ref().unwrap().key.bits(), 128);
}

#[test]
fn the_other_protocols_and_esp_in_udp() {
    let ah = recorded_sa("ah_md5");
    assert_eq!((ah.protocol, ah.algorithms.authentication_label()), (IpsecProtocol::Ah, "hmac-md5-96".to_owned()));
    let comp = recorded_sa("comp_deflate");
    assert_eq!((comp.protocol, comp.algorithms.encryption_label()), (IpsecProtocol::Comp, "deflate".to_owned()));
    let encapsulation = recorded_sa("esp_3des_in_udp").extras.encapsulation.unwrap();
    assert_eq!((encapsulation.kind, encapsulation.source_port, encapsulation.destination_port), (2, 4500, 4501));
    assert_eq!(encapsulation.original, IpAddr::from([1, 2, 3, 4]));
    assert!(recorded_sa("larval_esp").is_larval());
}

#[test]
fn policies() {
    let tunnel = policy(&recorded("optional_tunnel_fwd")).unwrap();
    assert_eq!(tunnel.id().to_string(), "fwd 10.1.0.0/24 10.2.0.0/24 mark 0x1/0x3 if_id 0x4");
    assert_eq!((tunnel.priority, tunnel.index % 8), (5, 2));
    let template = &tunnel.templates[0];
    assert_eq!((template.level, template.mode, template.reqid), (Level::Use, Mode::Tunnel, ReqId(1)));
    assert_eq!((template.source, template.destination), ([10, 9, 0, 1].into(), [10, 9, 0, 2].into()));
    let block = policy(&recorded("block_v6_udp")).unwrap();
    assert_eq!(block.selector.to_string(), "fd00:1::/64 fd00:2::/64 udp sport 500");
    assert_eq!((block.action, block.templates.len()), (PolicyAction::Block, 0));
    assert_eq!(block.selector.source, "fd00:1::/64".parse::<Prefix>().unwrap());
}

#[test]
fn attributes_without_a_name_are_kept_and_stay_secret() {
    let mut bytes = recorded("ah_md5");
    bytes.extend([8, 0, 200, 0, 0xa7, 0xa7, 0xa7, 0xa7]);
    let sa = sa(&bytes).unwrap();
    let unknown = &sa.extras.unknown;
    assert_eq!((unknown.len(), unknown[0].kind, unknown[0].bytes.expose()), (1, 200, &[0xa7; 4][..]));
    assert!(!format!("{sa:?}").contains("167"));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_never_with_the_key() {
    let whole = recorded("esp_gcm_esn");
    assert_eq!(sa(&whole[..100]), Err("an SA needs 224 bytes, the message has 100".to_owned()));
    let mut long_key = whole.clone();
    let at = whole.windows(4).position(|window| window == 160u32.to_ne_bytes()).unwrap();
    long_key[at] = 255;
    assert_eq!(sa(&long_key), Err("attribute 18 announces a key of 255 bits and holds 20 bytes".to_owned()));
    let mut family = whole;
    family[212] = 99;
    assert_eq!(sa(&family), Err("address family 99 is neither IPv4 nor IPv6".to_owned()));
}

#[test]
fn an_expiry_names_its_sa_mark_included() {
    let mut bytes = recorded("esp_cbc_tunnel_v6")[..x::XFRM_USER_SA_INFO_LEN].to_vec();
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([12, 0, 21, 0, 5, 0, 0, 0, 0xff, 0, 0, 0]);
    let Some(KernelEvent::SaExpired { sa, hard: true }) = event(c::XFRM_MSG_EXPIRE, &bytes) else {
        panic!("no hard expiry");
    };
    assert_eq!((sa.id(), sa.limits), (recorded_sa("esp_cbc_tunnel_v6").id(), recorded_sa("esp_cbc_tunnel_v6").limits));
}

const KINDS: std::ops::RangeInclusive<u16> = 0x10..=0x29;

proptest! {
    #[test]
    fn no_bytes_panic(kind in KINDS, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = event(kind, &bytes);
        let _ = (sad_counts(&bytes), spd_information(&bytes), defaults(&bytes), progress(&bytes));
    }

    #[test]
    fn no_damage_to_a_real_message_panics(
        name in prop::sample::select(vec!["esp_gcm_esn", "esp_cbc_tunnel_v6", "esp_3des_in_udp", "optional_tunnel_fwd"]),
        kind in KINDS,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = recorded(name);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        let _ = event(kind, &bytes);
    }

    #[test]
    fn what_is_written_is_what_is_read(
        (v6, mark, if_id) in (any::<bool>(), any::<Option<(u32, u32)>>(), any::<Option<u32>>()),
        (spi, reqid, window, esn) in (256u32.., any::<u32>(), 0u32..=4096, any::<bool>()),
        (sent, received) in (any::<u32>(), any::<u32>()),
        hard in any::<Option<u64>>(),
        key in proptest::collection::vec(any::<u8>(), 1..64),
        extras in extras(),
    ) {
        let (source, destination): (IpAddr, IpAddr) = if v6 { ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()) } else { ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()) };
        let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi));
        spec.mark = mark.map(|(value, mask)| Mark { value, mask }).filter(|mark| *mark != Mark::default());
        spec.if_id = if_id.filter(|id| *id != 0).map(IfId);
        (spec.reqid, spec.replay_window, spec.acquire_sequence) = (ReqId(reqid), window, reqid);
        (spec.sent, spec.received) = (sent.into(), received.into());
        spec.flags = SaFlags(if esn { SaFlags::ESN } else { 0 });
        spec.direction = Some(if esn { SaDirection::In } else { SaDirection::Out });
        spec.limits.bytes.hard = hard.filter(|value| *value != c::XFRM_INF);
        let name = AlgorithmName::from_kernel("cbc(blowfish)");
        spec.algorithms.encryption = Some(Transform { name, key: Secret::copy_from(&key), icv_bits: 0 });
        spec.extras = extras;
        // The kernel fills in a selector that is not given.
        let given = SaSpec { selector: Some(Selector::everything_like(destination)), ..spec.clone() };
        let told = sa(super::super::encode::sa(c::XFRM_MSG_NEWSA, &given).payload()).unwrap();
        prop_assert_eq!(told.id(), spec.id());
        prop_assert_eq!((told.replay.sent, told.replay.received), (spec.sent, spec.received));
        prop_assert_eq!(told.to_spec(), SaSpec { sent: 0, received: 0, ..spec });
    }

    #[test]
    fn a_policy_is_read_as_it_was_written(
        (priority, index, flags, share, if_id) in (any::<u32>(), any::<u32>(), any::<u8>(), any::<u8>(), any::<Option<u32>>()),
        extras in extras(),
        block in any::<bool>(),
    ) {
        let network = |text: &str| text.parse::<Prefix>().unwrap();
        let mut spec = PolicySpec::new(PolicyDirection::Forward, Selector::between(network("10.1.0.0/16"), network("10.2.0.0/16")));
        (spec.priority, spec.index, spec.flags, spec.share) = (priority, index, flags, share);
        spec.if_id = if_id.filter(|id| *id != 0).map(IfId);
        spec.kind = PolicyKind::Sub;
        spec.action = if block { PolicyAction::Block } else { PolicyAction::Allow };
        (spec.security, spec.offload, spec.unknown) = (extras.security.clone().map(Box::new), extras.offload, extras.unknown.clone());
        let told = policy(super::super::encode::policy(c::XFRM_MSG_UPDPOLICY, &spec).payload()).unwrap();
        prop_assert_eq!(told.index, index);
        prop_assert_eq!(told.to_spec(), PolicySpec { index: 0, ..spec });
    }
}

/// Everything that an SA may have besides.
fn extras() -> impl Strategy<Value = Extras> {
    let numbers = proptest::array::uniform15(any::<Option<u32>>());
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    (numbers, any::<(u16, u16, bool, u8, u8, u8)>(), bytes).prop_map(|(numbers, small, bytes)| {
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().flatten();
        let (_, window, dont_fragment, flags, doi, algorithm) = small;
        let mut extras = Extras::default();
        extras.output_mark = next().zip(next()).map(|(value, mask)| Mark { value, mask });
        (extras.tfc_padding, extras.replay_threshold, extras.timer_threshold) = (next(), next(), next());
        (extras.mapping_threshold_secs, extras.nat_keepalive_secs, extras.cpu) = (next(), next(), next());
        extras.extra_flags = ExtraFlags(next().unwrap_or(0));
        extras.offload = next().map(|interface| Offload { interface, flags });
        extras.iptfs = Iptfs {
            drop_time_us: next(),
            reorder_window: dont_fragment.then_some(window),
            dont_fragment,
            initial_delay_us: next(),
            largest_queue_bytes: next(),
            packet_bytes: next(),
        };
        extras.security = Some(SecurityContext { doi, algorithm, label: [&bytes[..], &[7, 0]].concat().into() })
            .filter(|_| flags > 9);
        extras.unknown = vec![UnknownAttribute { kind: 200, bytes: Secret::copy_from(&bytes) }];
        extras
    })
}

#[test]
fn a_migration_tells_all_its_moves() {
    let mut bytes = vec![0; x::XFRM_USER_POLICY_ID_LEN];
    // The selector's family and the direction.
    (bytes[40], bytes[60]) = (2, 1);
    let mut moves = Vec::new();
    for last in [1, 2] {
        let address = |host: u8| [&[10, 9, last, host][..], &[0; 12]].concat();
        moves.extend([address(2), address(1), address(4), address(3)].concat());
        moves.extend([50, 1, 0, 0, 7, 0, 0, 0, 2, 0, 2, 0]);
    }
    let length = u16::try_from(moves.len() + 4).unwrap();
    bytes.extend(length.to_ne_bytes());
    bytes.extend([17, 0]);
    bytes.extend(&moves);
    let Some(KernelEvent::Migrated(migration)) = event(c::XFRM_MSG_MIGRATE, &bytes) else {
        panic!("{:?}", event(c::XFRM_MSG_MIGRATE, &bytes));
    };
    assert_eq!((migration.direction, migration.moves.len()), (PolicyDirection::Out, 2));
    let second = migration.moves[1];
    assert_eq!(
        (second.from, second.to),
        (([10, 9, 2, 1].into(), [10, 9, 2, 2].into()), ([10, 9, 2, 3].into(), [10, 9, 2, 4].into()))
    );
    assert_eq!((second.protocol, second.mode, second.reqid), (IpsecProtocol::Esp, Mode::Tunnel, ReqId(7)));
}
