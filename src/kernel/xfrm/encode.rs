//! The model into netlink messages. Keys go straight into the request's buffer, which is wiped.

use std::net::IpAddr;

use netlink_packet_core::Emitable;
use netlink_packet_xfrm as x;
use netlink_packet_xfrm::constants as c;

use super::decode::newer;
use crate::kernel::netlink::Request;
use crate::model::sa::{Encapsulation, Replay};
use crate::model::{
    AlgorithmName, IpsecProtocol, Level, LifetimeLimits, Mark, PolicyAction, PolicyDefaults, PolicyId, PolicyKind,
    PolicySpec, PortMatch, Sa, SaDirection, SaId, SaSpec, Selector, Template, Transform,
};

fn bytes_of(body: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; body.buffer_len()];
    body.emit(&mut bytes);
    bytes
}

fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() { c::AF_INET } else { c::AF_INET6 }
}

fn selector(from: &Selector) -> x::Selector {
    let port = |port: PortMatch| (port.value, port.mask);
    let ((sport, sport_mask), (dport, dport_mask)) = (port(from.source_port), port(from.destination_port));
    x::Selector {
        saddr: x::Address::from_ip(&from.source.address),
        daddr: x::Address::from_ip(&from.destination.address),
        prefixlen_s: from.source.length,
        prefixlen_d: from.destination.length,
        sport,
        sport_mask,
        dport,
        dport_mask,
        family: if from.any_family { c::AF_UNSPEC } else { family(from.destination.address) },
        proto: from.protocol.0,
        ifindex: from.interface.cast_signed(),
        user: from.user,
    }
}

fn limits(from: &LifetimeLimits) -> x::LifetimeConfig {
    let counted = |value: Option<u64>| value.unwrap_or(c::XFRM_INF);
    let timed = |value: Option<u64>| value.unwrap_or(0);
    x::LifetimeConfig {
        soft_byte_limit: counted(from.bytes.soft),
        hard_byte_limit: counted(from.bytes.hard),
        soft_packet_limit: counted(from.packets.soft),
        hard_packet_limit: counted(from.packets.hard),
        soft_add_expires_seconds: timed(from.since_added_secs.soft),
        hard_add_expires_seconds: timed(from.since_added_secs.hard),
        soft_use_expires_seconds: timed(from.since_used_secs.soft),
        hard_use_expires_seconds: timed(from.since_used_secs.hard),
    }
}

fn with_mark(request: Request, mark: Option<Mark>) -> Request {
    match mark {
        Some(mark) => request.attribute_of(c::XFRMA_MARK, &[&mark.value.to_ne_bytes(), &mark.mask.to_ne_bytes()]),
        None => request,
    }
}

fn padded_name(name: &AlgorithmName) -> [u8; x::XFRM_ALG_NAME_LEN] {
    let mut padded = [0; x::XFRM_ALG_NAME_LEN];
    // The last byte stays 0 whatever the name is.
    let (room, _) = padded.split_at_mut(x::XFRM_ALG_NAME_LEN - 1);
    room.iter_mut().zip(name.kernel().bytes()).for_each(|(to, from)| *to = from);
    padded
}

fn with_transform(request: Request, kind: u16, transform: &Transform, with_icv: bool) -> Request {
    let name = padded_name(&transform.name);
    let key_bits = u32::try_from(transform.key.bits()).unwrap_or(u32::MAX).to_ne_bytes();
    let icv_bits = transform.icv_bits.to_ne_bytes();
    let key = transform.key.expose();
    if with_icv {
        request.attribute_of(kind, &[&name, &key_bits, &icv_bits, key])
    } else {
        request.attribute_of(kind, &[&name, &key_bits, key])
    }
}

/// The largest window that fits into the SA's own bitmap. A larger one comes in the attribute of ESN, which the kernel
/// takes without the flag too: the sequence numbers then stay at 32 bits.
const SHORT_WINDOW: u32 = 32;

/// `XFRM_MSG_NEWSA`
pub(super) fn new_sa(spec: &SaSpec) -> Request {
    sa_from(spec, &Replay { window: spec.replay_window, ..Replay::default() })
}

/// `XFRM_MSG_NEWSA` of an SA that was there: it goes on counting where it was (`xfrm_update_ae_params`).
pub(super) fn resumed_sa(sa: &Sa) -> Request {
    let spec = sa.to_spec();
    let mut request = sa_from(&spec, &sa.replay);
    if !has_long_window(&spec) {
        let state = x::Replay {
            oseq: low_half(sa.replay.sent),
            seq: low_half(sa.replay.received),
            bitmap: sa.replay.bitmap.first().copied().unwrap_or(0),
        };
        request = request.attribute(c::XFRMA_REPLAY_VAL, &bytes_of(&state));
    }
    let used = x::Lifetime {
        bytes: sa.used.bytes,
        packets: sa.used.packets,
        add_time: sa.used.added_at,
        use_time: sa.used.used_at.unwrap_or(0),
    };
    request.attribute(c::XFRMA_LTIME_VAL, &bytes_of(&used))
}

fn low_half(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

fn high_half(number: u64) -> u32 {
    u32::try_from(number >> 32).unwrap_or(0)
}

fn has_long_window(spec: &SaSpec) -> bool {
    spec.flags.esn() || spec.replay_window > SHORT_WINDOW
}

fn sa_from(spec: &SaSpec, replay: &Replay) -> Request {
    let long_window = has_long_window(spec);
    let short_window = if long_window { 0 } else { u8::try_from(spec.replay_window).unwrap_or(0) };
    let mut info = x::UserSaInfo {
        selector: spec.selector.as_ref().map(selector).unwrap_or_default(),
        lifetime_cfg: limits(&spec.limits),
        reqid: spec.reqid.0,
        mode: spec.mode.number(),
        replay_window: short_window,
        flags: spec.flags.0,
        ..x::UserSaInfo::default()
    };
    info.source(&spec.source);
    info.destination(&spec.destination);
    info.id.proto = spec.protocol.number();
    info.id.spi = spec.spi.0;
    let mut request = Request::new(c::XFRM_MSG_NEWSA).body(&bytes_of(&info));
    if let Some(transform) = &spec.algorithms.aead {
        request = with_transform(request, c::XFRMA_ALG_AEAD, transform, true);
    }
    if let Some(transform) = &spec.algorithms.authentication {
        request = with_transform(request, c::XFRMA_ALG_AUTH_TRUNC, transform, true);
    }
    if let Some(transform) = &spec.algorithms.encryption {
        request = with_transform(request, c::XFRMA_ALG_CRYPT, transform, false);
    }
    if let Some(name) = &spec.algorithms.compression {
        request = request.attribute_of(c::XFRMA_ALG_COMP, &[&padded_name(name), &0u32.to_ne_bytes()]);
    }
    if long_window {
        request = request.attribute(c::XFRMA_REPLAY_ESN_VAL, &bytes_of(&long_window_of(replay)));
    }
    if let Some(encapsulation) = &spec.encapsulation {
        request = request.attribute(c::XFRMA_ENCAP, &bytes_of(&encap(encapsulation)));
    }
    if let Some(direction) = spec.direction {
        let number = match direction {
            SaDirection::In => 1,
            SaDirection::Out => 2,
        };
        request = request.attribute(newer::SA_DIR, &[number]);
    }
    if let Some(if_id) = spec.if_id {
        request = request.attribute(c::XFRMA_IF_ID, &if_id.0.to_ne_bytes());
    }
    with_mark(request, spec.mark)
}

fn long_window_of(replay: &Replay) -> x::ReplayEsn {
    let words = replay.window.div_ceil(32);
    let mut bmp = replay.bitmap.to_vec();
    bmp.resize(words as usize, 0);
    x::ReplayEsn {
        bmp_len: words,
        oseq: low_half(replay.sent),
        seq: low_half(replay.received),
        oseq_hi: high_half(replay.sent),
        seq_hi: high_half(replay.received),
        replay_window: replay.window,
        bmp,
    }
}

fn encap(from: &Encapsulation) -> x::EncapTmpl {
    x::EncapTmpl {
        encap_type: from.kind,
        encap_sport: from.source_port,
        encap_dport: from.destination_port,
        encap_oa: x::Address::from_ip(&from.original),
    }
}

/// `XFRM_MSG_GETSA` and `XFRM_MSG_DELSA` of one SA.
pub(super) fn sa_id(kind: u16, id: &SaId) -> Request {
    let mut raw = x::UserSaId { spi: id.spi.0, proto: id.protocol.number(), ..x::UserSaId::default() };
    raw.destination(&id.destination);
    with_mark(Request::new(kind).body(&bytes_of(&raw)), id.mark)
}

/// `XFRM_MSG_FLUSHSA`
pub(super) fn flush_sas(protocol: IpsecProtocol) -> Request {
    Request::new(c::XFRM_MSG_FLUSHSA).body(&[protocol.number(), 0, 0, 0])
}

fn template(from: &Template) -> x::UserTemplate {
    x::UserTemplate {
        id: x::Id { daddr: x::Address::from_ip(&from.destination), spi: from.spi.0, proto: from.protocol.number() },
        family: family(from.destination),
        saddr: x::Address::from_ip(&from.source),
        reqid: from.reqid.0,
        mode: from.mode.number(),
        share: from.share,
        optional: u8::from(from.level == Level::Use),
        aalgos: from.algorithm_masks.authentication,
        ealgos: from.algorithm_masks.encryption,
        calgos: from.algorithm_masks.compression,
    }
}

fn with_kind(request: Request, kind: PolicyKind) -> Request {
    match kind {
        PolicyKind::Main => request,
        // struct xfrm_userpolicy_type: the byte, then reserved ones
        other => request.attribute(c::XFRMA_POLICY_TYPE, &[other.number(), 0, 0, 0, 0, 0]),
    }
}

/// `XFRM_MSG_NEWPOLICY`
pub(super) fn new_policy(spec: &PolicySpec) -> Request {
    let info = x::UserPolicyInfo {
        selector: selector(&spec.selector),
        lifetime_cfg: limits(&spec.limits),
        priority: spec.priority,
        direction: spec.direction.number(),
        action: spec.action.number(),
        flags: spec.flags,
        ..x::UserPolicyInfo::default()
    };
    let mut request = Request::new(c::XFRM_MSG_NEWPOLICY).body(&bytes_of(&info));
    if !spec.templates.is_empty() {
        let templates: Vec<u8> = spec.templates.iter().flat_map(|from| bytes_of(&template(from))).collect();
        request = request.attribute(c::XFRMA_TMPL, &templates);
    }
    if let Some(if_id) = spec.if_id {
        request = request.attribute(c::XFRMA_IF_ID, &if_id.0.to_ne_bytes());
    }
    with_mark(with_kind(request, spec.kind), spec.mark)
}

/// `XFRM_MSG_GETPOLICY` and `XFRM_MSG_DELPOLICY` of one policy, by what it matches. One of a socket cannot be named at
/// all: the kernel refuses its direction (`verify_policy_dir`, `net/xfrm/xfrm_user.c`).
pub(super) fn policy_id(kind: u16, id: &PolicyId) -> Request {
    let raw = x::UserPolicyId { selector: selector(&id.selector), index: 0, direction: id.direction.number() };
    let mut request = Request::new(kind).body(&bytes_of(&raw));
    if let Some(if_id) = id.if_id {
        request = request.attribute(c::XFRMA_IF_ID, &if_id.0.to_ne_bytes());
    }
    with_mark(with_kind(request, id.kind), id.mark)
}

/// `XFRM_MSG_FLUSHPOLICY`
pub(super) fn flush_policies(kind: PolicyKind) -> Request {
    with_kind(Request::new(c::XFRM_MSG_FLUSHPOLICY), kind)
}

/// `XFRM_MSG_GETDEFAULT`, or `XFRM_MSG_SETDEFAULT` to these.
pub(super) fn defaults(kind: u16, to: Option<PolicyDefaults>) -> Request {
    let number = |action: PolicyAction| match action {
        PolicyAction::Allow => c::XFRM_USERPOLICY_ACCEPT,
        PolicyAction::Block => c::XFRM_USERPOLICY_BLOCK,
        PolicyAction::Other(number) => number,
    };
    let body = to.map_or([0; 4], |to| [number(to.input), number(to.forward), number(to.output), 0]);
    Request::new(kind).body(&body)
}
