//! The model into netlink messages. Keys go straight into the request's buffer, which is wiped.

use std::net::IpAddr;

use netlink_packet_core::Emitable;
use netlink_packet_xfrm as x;
use netlink_packet_xfrm::constants as c;

use super::decode::newer;
use crate::kernel::netlink::Request;
use crate::model::extras::{Encapsulation, Offload, SaExtras, SecurityContext, UnknownAttribute};
use crate::model::policy::HashThresholds;
use crate::model::sa::{Replay, SpiRequest};
use crate::model::{
    AlgorithmName, IfId, IpsecProtocol, Level, LifetimeLimits, Mark, PolicyAction, PolicyDefaults, PolicyId,
    PolicyKind, PolicySpec, PortMatch, Sa, SaDirection, SaId, SaSpec, Selector, Template, Transform,
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

/// `XFRM_MSG_NEWSA` or `XFRM_MSG_UPDSA`.
pub(super) fn sa(kind: u16, spec: &SaSpec) -> Request {
    let replay = Replay { window: spec.replay_window, sent: spec.sent, received: spec.received, ..Replay::default() };
    let request = sa_from(kind, spec, &replay);
    let begins_anew = spec.sent == 0 && spec.received == 0;
    if begins_anew { request } else { with_short_replay(request, spec, &replay) }
}

/// Where the sequence numbers are; a long window has them in its own attribute.
fn with_short_replay(request: Request, spec: &SaSpec, replay: &Replay) -> Request {
    if has_long_window(spec) {
        return request;
    }
    let state = x::Replay {
        oseq: low_half(replay.sent),
        seq: low_half(replay.received),
        bitmap: replay.bitmap.first().copied().unwrap_or(0),
    };
    request.attribute(c::XFRMA_REPLAY_VAL, &bytes_of(&state))
}

/// `XFRM_MSG_NEWSA` of an SA that was there: it goes on counting where it was (`xfrm_update_ae_params`).
pub(super) fn resumed_sa(sa: &Sa) -> Request {
    let spec = sa.to_spec();
    let request = with_short_replay(sa_from(c::XFRM_MSG_NEWSA, &spec, &sa.replay), &spec, &sa.replay);
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

fn sa_from(kind: u16, spec: &SaSpec, replay: &Replay) -> Request {
    let long_window = has_long_window(spec);
    let short_window = if long_window { 0 } else { u8::try_from(spec.replay_window).unwrap_or(0) };
    let mut info = x::UserSaInfo {
        selector: spec.selector.as_ref().map(selector).unwrap_or_default(),
        lifetime_cfg: limits(&spec.limits),
        reqid: spec.reqid.0,
        mode: spec.mode.number(),
        replay_window: short_window,
        flags: spec.flags.0,
        seq: spec.acquire_sequence,
        ..x::UserSaInfo::default()
    };
    info.source(&spec.source);
    info.destination(&spec.destination);
    info.id.proto = spec.protocol.number();
    info.id.spi = spec.spi.0;
    let mut request = Request::new(kind).body(&bytes_of(&info));
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
    request = with_direction(request, spec.direction);
    request = with_if_id(request, spec.if_id);
    with_mark(with_extras(request, &spec.extras), spec.mark)
}

fn with_direction(request: Request, direction: Option<SaDirection>) -> Request {
    match direction {
        Some(SaDirection::In) => request.attribute(newer::SA_DIR, &[1]),
        Some(SaDirection::Out) => request.attribute(newer::SA_DIR, &[2]),
        None => request,
    }
}

fn with_if_id(request: Request, if_id: Option<IfId>) -> Request {
    with_u32(request, c::XFRMA_IF_ID, if_id.map(|id| id.0))
}

fn with_u32(request: Request, kind: u16, value: Option<u32>) -> Request {
    match value {
        Some(value) => request.attribute(kind, &value.to_ne_bytes()),
        None => request,
    }
}

fn with_extras(mut request: Request, extras: &SaExtras) -> Request {
    if let Some(encapsulation) = &extras.encapsulation {
        request = request.attribute(c::XFRMA_ENCAP, &bytes_of(&encap(encapsulation)));
    }
    if let Some(mark) = extras.output_mark {
        request = request.attribute(c::XFRMA_SET_MARK, &mark.value.to_ne_bytes());
        request = request.attribute(c::XFRMA_SET_MARK_MASK, &mark.mask.to_ne_bytes());
    }
    if let Some(care_of) = extras.care_of {
        request = request.attribute(c::XFRMA_COADDR, &bytes_of(&x::Address::from_ip(&care_of)));
    }
    request = with_u32(request, c::XFRMA_TFCPAD, extras.tfc_padding);
    request = with_u32(request, c::XFRMA_SA_EXTRA_FLAGS, Some(extras.extra_flags.0).filter(|flags| *flags != 0));
    request = with_u32(request, c::XFRMA_REPLAY_THRESH, extras.replay_threshold);
    request = with_u32(request, c::XFRMA_ETIMER_THRESH, extras.timer_threshold);
    request = with_u32(request, c::XFRMA_MTIMER_THRESH, extras.mapping_threshold_secs);
    request = with_u32(request, newer::NAT_KEEPALIVE_INTERVAL, extras.nat_keepalive_secs);
    request = with_u32(request, newer::SA_PCPU, extras.cpu);
    let iptfs = &extras.iptfs;
    request = with_u32(request, newer::IPTFS_DROP_TIME, iptfs.drop_time_us);
    if let Some(window) = iptfs.reorder_window {
        request = request.attribute(newer::IPTFS_REORDER_WINDOW, &window.to_ne_bytes());
    }
    if iptfs.dont_fragment {
        request = request.attribute(newer::IPTFS_DONT_FRAG, &[]);
    }
    request = with_u32(request, newer::IPTFS_INIT_DELAY, iptfs.initial_delay_us);
    request = with_u32(request, newer::IPTFS_MAX_QSIZE, iptfs.largest_queue_bytes);
    request = with_u32(request, newer::IPTFS_PKT_SIZE, iptfs.packet_bytes);
    with_rest(request, extras.security.as_ref(), extras.offload, &extras.unknown)
}

/// What SAs and policies may both have: a label, a device, and what espial has no name for.
fn with_rest(
    mut request: Request,
    security: Option<&SecurityContext>,
    offload: Option<Offload>,
    unknown: &[UnknownAttribute],
) -> Request {
    if let Some(security) = security {
        // struct xfrm_user_sec_ctx: its length and attribute number once more, algorithm, DOI, the label's length
        let length = u16::try_from(security.label.len()).unwrap_or(u16::MAX);
        let parts: [&[u8]; 5] = [
            &length.saturating_add(8).to_ne_bytes(),
            &c::XFRMA_SEC_CTX.to_ne_bytes(),
            &[security.algorithm, security.doi],
            &length.to_ne_bytes(),
            &security.label,
        ];
        request = request.attribute_of(c::XFRMA_SEC_CTX, &parts);
    }
    if let Some(offload) = offload {
        // struct xfrm_user_offload: the interface, the flags, padding
        let interface = offload.interface.to_ne_bytes();
        request = request.attribute_of(c::XFRMA_OFFLOAD_DEV, &[&interface, &[offload.flags, 0, 0, 0]]);
    }
    for attribute in unknown {
        request = request.attribute(attribute.kind, attribute.bytes.expose());
    }
    request
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

/// `XFRM_MSG_GETAE` of one SA: all that it tells.
pub(super) fn progress_of(id: &SaId) -> Request {
    const ALL: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4; // XFRM_AE_RTHR, RVAL, LVAL, ETHR
    let mut raw = x::UserSaId { spi: id.spi.0, proto: id.protocol.number(), ..x::UserSaId::default() };
    raw.destination(&id.destination);
    let body = x::AsyncEventId { sa_id: raw, flags: ALL, ..x::AsyncEventId::default() };
    with_mark(Request::new(c::XFRM_MSG_GETAE).body(&bytes_of(&body)), id.mark)
}

/// `XFRM_MSG_ALLOCSPI`: `struct xfrm_userspi_info` is an SA and a range.
pub(super) fn allocate_spi(wanted: &SpiRequest) -> Request {
    let mut info = x::UserSaInfo {
        reqid: wanted.reqid.0,
        mode: wanted.mode.number(),
        seq: wanted.acquire_sequence,
        ..x::UserSaInfo::default()
    };
    info.source(&wanted.source);
    info.destination(&wanted.destination);
    info.id.proto = wanted.protocol.number();
    let range = [wanted.least.0.to_ne_bytes(), wanted.greatest.0.to_ne_bytes()].concat();
    let request = Request::new(c::XFRM_MSG_ALLOCSPI).body(&bytes_of(&info)).body(&range);
    let request = with_u32(request, newer::SA_PCPU, wanted.cpu);
    with_mark(with_if_id(with_direction(request, wanted.direction), wanted.if_id), wanted.mark)
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

/// `XFRM_MSG_NEWPOLICY` or `XFRM_MSG_UPDPOLICY`.
pub(super) fn policy(kind: u16, spec: &PolicySpec) -> Request {
    let info = x::UserPolicyInfo {
        selector: selector(&spec.selector),
        lifetime_cfg: limits(&spec.limits),
        priority: spec.priority,
        index: spec.index,
        share: spec.share,
        direction: spec.direction.number(),
        action: spec.action.number(),
        flags: spec.flags,
        ..x::UserPolicyInfo::default()
    };
    let mut request = Request::new(kind).body(&bytes_of(&info));
    if !spec.templates.is_empty() {
        let templates: Vec<u8> = spec.templates.iter().flat_map(|from| bytes_of(&template(from))).collect();
        request = request.attribute(c::XFRMA_TMPL, &templates);
    }
    request = with_rest(with_if_id(request, spec.if_id), spec.security.as_deref(), spec.offload, &spec.unknown);
    with_mark(with_kind(request, spec.kind), spec.mark)
}

/// `XFRM_MSG_GETPOLICY` and `XFRM_MSG_DELPOLICY` of one policy, by what it matches. One of a socket cannot be named at
/// all: the kernel refuses its direction (`verify_policy_dir`, `net/xfrm/xfrm_user.c`).
pub(super) fn policy_id(kind: u16, id: &PolicyId) -> Request {
    policy_place(kind, id, 0)
}

/// The same by the kernel's own number for it, which is the only name of one with a label of the security module's.
pub(super) fn policy_place(kind: u16, id: &PolicyId, index: u32) -> Request {
    let raw = x::UserPolicyId { selector: selector(&id.selector), index, direction: id.direction.number() };
    let request = with_if_id(Request::new(kind).body(&bytes_of(&raw)), id.if_id);
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

/// `XFRM_MSG_NEWSPDINFO` with these thresholds.
pub(super) fn thresholds(to: HashThresholds) -> Request {
    let request = Request::new(c::XFRM_MSG_NEWSPDINFO).body(&u32::MAX.to_ne_bytes());
    let request = request.attribute(c::XFRMA_SPD_IPV4_HTHRESH, &[to.v4.0, to.v4.1]);
    request.attribute(c::XFRMA_SPD_IPV6_HTHRESH, &[to.v6.0, to.v6.1])
}
