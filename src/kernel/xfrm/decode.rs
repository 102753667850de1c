//! Netlink messages into the model. Every length is checked before it is used, and no error text holds a key.

use std::net::IpAddr;

use netlink_packet_core::DecodeError;
use netlink_packet_xfrm as x;
use netlink_packet_xfrm::constants as c;

use crate::kernel::netlink::attributes;
use crate::model::sa::{Encapsulation, Offload, SaErrors, SaExtras, SaFlags, UnknownAttribute};
use crate::model::template::AlgorithmMasks;
use crate::model::text::harmless_bytes;
use crate::model::{
    AlgorithmName, Algorithms, Counts, IfId, IpsecProtocol, KernelEvent, Level, LifetimeLimits, LifetimeUsed, Limit,
    Mark, Mode, Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind, PortMatch, Prefix, Replay,
    ReqId, Sa, SaDirection, SaId, Secret, Selector, Spi, Template, Transform, UpperProtocol,
};

/// What is wrong with a message, and where.
type Decoded<T> = Result<T, String>;

/// Attributes that are newer than `netlink-packet-xfrm` (include/uapi/linux/xfrm.h).
pub(super) mod newer {
    /// `XFRMA_SA_DIR`, Linux 6.10
    pub const SA_DIR: u16 = 33;
    /// `XFRMA_NAT_KEEPALIVE_INTERVAL`, Linux 6.11
    pub const NAT_KEEPALIVE_INTERVAL: u16 = 34;
    /// `XFRMA_SA_PCPU`, Linux 6.13
    pub const SA_PCPU: u16 = 35;
}

/// Splits a fixed body off a message.
fn body<'a>(bytes: &'a [u8], length: usize, what: &str) -> Decoded<(&'a [u8], &'a [u8])> {
    bytes
        .split_at_checked(length)
        .ok_or_else(|| format!("{what} needs {length} bytes, the message has {}", bytes.len()))
}

/// The crate's own complaint.
#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn said(error: DecodeError) -> String {
    error.to_string()
}

fn number<const N: usize>(kind: u16, value: &[u8]) -> Decoded<[u8; N]> {
    let found = value.first_chunk::<N>().copied();
    found.ok_or_else(|| format!("attribute {kind} has {} bytes instead of {N}", value.len()))
}

fn u32_of(kind: u16, value: &[u8]) -> Decoded<u32> {
    number(kind, value).map(u32::from_ne_bytes)
}

fn address(family: u16, address: &x::Address) -> Decoded<IpAddr> {
    match family {
        c::AF_INET => Ok(address.to_ipv4().into()),
        c::AF_INET6 => Ok(address.to_ipv6().into()),
        other => Err(format!("address family {other} is neither IPv4 nor IPv6")),
    }
}

fn selector(raw: &x::Selector) -> Decoded<Selector> {
    let any_family = raw.family == c::AF_UNSPEC;
    let empty = raw.saddr == x::Address::default() && raw.daddr == x::Address::default();
    let family = match raw.family {
        c::AF_UNSPEC if empty => c::AF_INET,
        c::AF_UNSPEC => c::AF_INET6,
        family => family,
    };
    let prefix = |raw: &x::Address, length: u8| {
        let address = address(family, raw)?;
        if any_family {
            // The kernel takes any length here and looks at none.
            return Ok(Prefix { address, length: length.min(Prefix::bits(address)) });
        }
        if length > Prefix::bits(address) {
            return Err(format!("prefix length {length} is too long for {address}"));
        }
        Ok(Prefix { address, length })
    };
    Ok(Selector {
        source: prefix(&raw.saddr, raw.prefixlen_s)?,
        destination: prefix(&raw.daddr, raw.prefixlen_d)?,
        protocol: UpperProtocol(raw.proto),
        source_port: PortMatch { value: raw.sport, mask: raw.sport_mask },
        destination_port: PortMatch { value: raw.dport, mask: raw.dport_mask },
        interface: raw.ifindex.cast_unsigned(),
        user: raw.user,
        any_family,
    })
}

fn limits(raw: &x::LifetimeConfig) -> LifetimeLimits {
    let counted = |value: u64| (value != c::XFRM_INF).then_some(value);
    let timed = |value: u64| (value != 0 && value != c::XFRM_INF).then_some(value);
    LifetimeLimits {
        bytes: Limit { soft: counted(raw.soft_byte_limit), hard: counted(raw.hard_byte_limit) },
        packets: Limit { soft: counted(raw.soft_packet_limit), hard: counted(raw.hard_packet_limit) },
        since_added_secs: Limit {
            soft: timed(raw.soft_add_expires_seconds),
            hard: timed(raw.hard_add_expires_seconds),
        },
        since_used_secs: Limit { soft: timed(raw.soft_use_expires_seconds), hard: timed(raw.hard_use_expires_seconds) },
    }
}

fn used(raw: &x::Lifetime) -> LifetimeUsed {
    LifetimeUsed {
        bytes: raw.bytes,
        packets: raw.packets,
        added_at: raw.add_time,
        used_at: (raw.use_time != 0).then_some(raw.use_time),
    }
}

fn mark(kind: u16, value: &[u8]) -> Decoded<Option<Mark>> {
    let raw = number::<8>(kind, value)?;
    let [v0, v1, v2, v3, m0, m1, m2, m3] = raw;
    let mark = Mark { value: u32::from_ne_bytes([v0, v1, v2, v3]), mask: u32::from_ne_bytes([m0, m1, m2, m3]) };
    Ok((mark != Mark::default()).then_some(mark))
}

fn if_id(kind: u16, value: &[u8]) -> Decoded<Option<IfId>> {
    Ok(Some(u32_of(kind, value)?).filter(|id| *id != 0).map(IfId))
}

/// The length of an algorithm's name in its attribute.
const NAME_BYTES: usize = x::XFRM_ALG_NAME_LEN;

/// `struct xfrm_algo`, and `xfrm_algo_aead` and `xfrm_algo_auth` where `with_icv`.
fn transform(kind: u16, value: &[u8], with_icv: bool) -> Decoded<Transform> {
    let short = || format!("attribute {kind} of {} bytes is too short for an algorithm", value.len());
    let (name, rest) = value.split_first_chunk::<NAME_BYTES>().ok_or_else(short)?;
    let (key_bits, rest) = rest.split_first_chunk().map(|(n, r)| (u32::from_ne_bytes(*n), r)).ok_or_else(short)?;
    let (icv_bits, rest) = if with_icv {
        rest.split_first_chunk().map(|(n, r)| (u32::from_ne_bytes(*n), r)).ok_or_else(short)?
    } else {
        (0, rest)
    };
    let key = rest
        .get(..(key_bits as usize).div_ceil(8))
        .ok_or_else(|| format!("attribute {kind} announces a key of {key_bits} bits and holds {} bytes", rest.len()))?;
    Ok(Transform { name: algorithm_name(name), key: Secret::copy_from(key), icv_bits })
}

fn algorithm_name(name: &[u8]) -> AlgorithmName {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    AlgorithmName::from_kernel(&String::from_utf8_lossy(name))
}

fn replay(kind: u16, value: &[u8], window: u8) -> Decoded<Replay> {
    let raw = x::Replay::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
    let bitmap = if window == 0 { Box::default() } else { Box::from([raw.bitmap]) };
    Ok(Replay { window: window.into(), received: raw.seq.into(), sent: raw.oseq.into(), bitmap })
}

fn replay_esn(kind: u16, value: &[u8]) -> Decoded<Replay> {
    let raw = x::ReplayEsn::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
    let long = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Replay {
        window: raw.replay_window,
        received: long(raw.seq_hi, raw.seq),
        sent: long(raw.oseq_hi, raw.oseq),
        bitmap: raw.bmp.into_boxed_slice(),
    })
}

fn encapsulation(family: u16, kind: u16, value: &[u8]) -> Decoded<Encapsulation> {
    let raw = x::EncapTmpl::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
    Ok(Encapsulation {
        kind: raw.encap_type,
        source_port: raw.encap_sport,
        destination_port: raw.encap_dport,
        original: address(family, &raw.encap_oa)?,
    })
}

/// `XFRM_MSG_NEWSA` and its kin: a `xfrm_usersa_info` and its attributes.
pub(super) fn sa(bytes: &[u8]) -> Decoded<Sa> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_SA_INFO_LEN, "an SA")?;
    sa_of(&x::UserSaInfo::parse(fixed).map_err(said)?, rest)
}

fn sa_of(info: &x::UserSaInfo, rest: &[u8]) -> Decoded<Sa> {
    let mut sa = Sa {
        source: address(info.family, &info.saddr)?,
        destination: address(info.family, &info.id.daddr)?,
        protocol: IpsecProtocol::from_number(info.id.proto),
        spi: Spi(info.id.spi),
        mode: Mode::from_number(info.mode),
        reqid: ReqId(info.reqid),
        acquire_sequence: info.seq,
        flags: SaFlags(info.flags),
        direction: None,
        mark: None,
        if_id: None,
        algorithms: Algorithms::default(),
        replay: Replay { window: info.replay_window.into(), ..Replay::default() },
        errors: SaErrors {
            before_window: info.stats.replay_window,
            replayed: info.stats.replay,
            integrity_failed: info.stats.integrity_failed,
        },
        limits: limits(&info.lifetime_cfg),
        used: used(&info.lifetime_cur),
        last_used_at: None,
        selector: selector(&info.selector)?,
        extras: None,
    };
    let mut extras = SaExtras::default();
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_ALG_AEAD => sa.algorithms.aead = Some(transform(kind, value, true)?),
            c::XFRMA_ALG_CRYPT => sa.algorithms.encryption = Some(transform(kind, value, false)?),
            c::XFRMA_ALG_AUTH_TRUNC => sa.algorithms.authentication = Some(transform(kind, value, true)?),
            // Sent beside the one above, which says more.
            c::XFRMA_ALG_AUTH if sa.algorithms.authentication.is_some() => {}
            c::XFRMA_ALG_AUTH => sa.algorithms.authentication = Some(with_default_icv(transform(kind, value, false)?)),
            c::XFRMA_ALG_COMP => sa.algorithms.compression = Some(transform(kind, value, false)?.name),
            c::XFRMA_REPLAY_VAL if !sa.flags.esn() => sa.replay = replay(kind, value, info.replay_window)?,
            c::XFRMA_REPLAY_ESN_VAL => sa.replay = replay_esn(kind, value)?,
            c::XFRMA_MARK => sa.mark = mark(kind, value)?,
            c::XFRMA_IF_ID => sa.if_id = if_id(kind, value)?,
            c::XFRMA_LASTUSED => {
                sa.last_used_at = Some(number(kind, value).map(u64::from_ne_bytes)?).filter(|at| *at != 0);
            }
            newer::SA_DIR => sa.direction = direction(value),
            _ => extra(&mut extras, info.family, kind, value)?,
        }
    }
    if extras != SaExtras::default() {
        sa.extras = Some(Box::new(extras));
    }
    Ok(sa)
}

/// `XFRMA_ALG_AUTH` does not say how much of the ICV is sent: the kernel's default for the algorithm is.
fn with_default_icv(mut transform: Transform) -> Transform {
    transform.icv_bits = transform.name.known().map_or(0, |algorithm| algorithm.default_icv_bits().into());
    transform
}

fn direction(value: &[u8]) -> Option<SaDirection> {
    match value {
        [1, ..] => Some(SaDirection::In),
        [2, ..] => Some(SaDirection::Out),
        _ => None,
    }
}

fn extra(extras: &mut SaExtras, family: u16, kind: u16, value: &[u8]) -> Decoded<()> {
    match kind {
        c::XFRMA_ENCAP => extras.encapsulation = Some(encapsulation(family, kind, value)?),
        c::XFRMA_SET_MARK => {
            let mask = extras.output_mark.map_or(u32::MAX, |mark| mark.mask);
            extras.output_mark = Some(Mark { value: u32_of(kind, value)?, mask });
        }
        c::XFRMA_SET_MARK_MASK => {
            let value_before = extras.output_mark.map_or(0, |mark| mark.value);
            extras.output_mark = Some(Mark { value: value_before, mask: u32_of(kind, value)? });
        }
        c::XFRMA_TFCPAD => extras.tfc_padding = Some(u32_of(kind, value)?),
        c::XFRMA_OFFLOAD_DEV => {
            let [i0, i1, i2, i3, flags] = number(kind, value)?;
            extras.offload = Some(Offload { interface: u32::from_ne_bytes([i0, i1, i2, i3]), flags });
        }
        c::XFRMA_COADDR => {
            let raw = x::Address::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
            extras.care_of = Some(address(family, &raw)?);
        }
        c::XFRMA_SEC_CTX => {
            let label = value.get(8..).unwrap_or_default();
            extras.security_label = Some(harmless_bytes(label.strip_suffix(&[0]).unwrap_or(label)).into());
        }
        c::XFRMA_SA_EXTRA_FLAGS => extras.extra_flags = u32_of(kind, value)?,
        c::XFRMA_REPLAY_THRESH => extras.replay_threshold = Some(u32_of(kind, value)?),
        c::XFRMA_ETIMER_THRESH => extras.timer_threshold = Some(u32_of(kind, value)?),
        c::XFRMA_MTIMER_THRESH => extras.mapping_threshold_secs = Some(u32_of(kind, value)?),
        newer::NAT_KEEPALIVE_INTERVAL => extras.nat_keepalive_secs = Some(u32_of(kind, value)?),
        newer::SA_PCPU => extras.cpu = Some(u32_of(kind, value)?),
        c::XFRMA_PAD | c::XFRMA_UNSPEC => {}
        _ => extras.unknown.push(unknown(kind, value)),
    }
    Ok(())
}

fn unknown(kind: u16, value: &[u8]) -> UnknownAttribute {
    UnknownAttribute { kind, bytes: Secret::copy_from(value) }
}

/// The rest of a message that names an SA: its mark.
fn mark_in(rest: &[u8]) -> Decoded<Option<Mark>> {
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind == c::XFRMA_MARK {
            return mark(kind, value);
        }
    }
    Ok(None)
}

fn sa_id_of(info: &x::UserSaInfo, rest: &[u8]) -> Decoded<SaId> {
    Ok(SaId {
        destination: address(info.family, &info.id.daddr)?,
        protocol: IpsecProtocol::from_number(info.id.proto),
        spi: Spi(info.id.spi),
        mark: mark_in(rest)?,
        acquire_sequence: if info.id.spi == 0 { info.seq } else { 0 },
    })
}

fn sa_id_in(id: &x::UserSaId, rest: &[u8]) -> Decoded<SaId> {
    Ok(SaId {
        destination: address(id.family, &id.daddr)?,
        protocol: IpsecProtocol::from_number(id.proto),
        spi: Spi(id.spi),
        mark: mark_in(rest)?,
        acquire_sequence: 0,
    })
}

/// `XFRM_MSG_NEWPOLICY` and its kin: a `xfrm_userpolicy_info` and its attributes.
pub(super) fn policy(bytes: &[u8]) -> Decoded<Policy> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_POLICY_INFO_LEN, "a policy")?;
    policy_of(&x::UserPolicyInfo::parse(fixed).map_err(said)?, rest)
}

fn policy_of(info: &x::UserPolicyInfo, rest: &[u8]) -> Decoded<Policy> {
    let mut policy = Policy {
        selector: selector(&info.selector)?,
        direction: PolicyDirection::from_number(info.direction),
        kind: PolicyKind::Main,
        action: PolicyAction::from_number(info.action),
        priority: info.priority,
        index: info.index,
        flags: info.flags,
        share: info.share,
        limits: limits(&info.lifetime_cfg),
        used: used(&info.lifetime_cur),
        templates: Vec::new(),
        mark: None,
        if_id: None,
        unknown: Vec::new(),
    };
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_TMPL => policy.templates = templates(kind, value)?,
            c::XFRMA_POLICY_TYPE => policy.kind = PolicyKind::from_number(number::<1>(kind, value)?[0]),
            c::XFRMA_MARK => policy.mark = mark(kind, value)?,
            c::XFRMA_IF_ID => policy.if_id = if_id(kind, value)?,
            c::XFRMA_PAD | c::XFRMA_UNSPEC => {}
            _ => policy.unknown.push(unknown(kind, value)),
        }
    }
    Ok(policy)
}

fn templates(kind: u16, value: &[u8]) -> Decoded<Vec<Template>> {
    let (whole, left) = value.as_chunks::<{ x::XFRM_USER_TEMPLATE_LEN }>();
    if !left.is_empty() {
        return Err(format!("attribute {kind} of {} bytes is no whole number of templates", value.len()));
    }
    whole.iter().map(|raw| template(&x::UserTemplate::parse(raw).map_err(said)?)).collect()
}

fn template(raw: &x::UserTemplate) -> Decoded<Template> {
    Ok(Template {
        protocol: IpsecProtocol::from_number(raw.id.proto),
        mode: Mode::from_number(raw.mode),
        source: address(raw.family, &raw.saddr)?,
        destination: address(raw.family, &raw.id.daddr)?,
        spi: Spi(raw.id.spi),
        reqid: ReqId(raw.reqid),
        level: if raw.optional == 0 { Level::Required } else { Level::Use },
        share: raw.share,
        algorithm_masks: AlgorithmMasks { encryption: raw.ealgos, authentication: raw.aalgos, compression: raw.calgos },
    })
}

/// The rest of a message that names a policy.
fn policy_id_of(selector_of: &x::Selector, direction: u8, index: u32, rest: &[u8]) -> Decoded<PolicyId> {
    let direction = PolicyDirection::from_number(direction);
    let of_socket = matches!(direction, PolicyDirection::Socket(_));
    let mut id = PolicyId {
        selector: selector(selector_of)?,
        direction,
        kind: PolicyKind::Main,
        mark: None,
        if_id: None,
        socket_index: if of_socket { index } else { 0 },
    };
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_POLICY_TYPE => id.kind = PolicyKind::from_number(number::<1>(kind, value)?[0]),
            c::XFRMA_MARK => id.mark = mark(kind, value)?,
            c::XFRMA_IF_ID => id.if_id = if_id(kind, value)?,
            _ => {}
        }
    }
    Ok(id)
}

/// `XFRM_MSG_GETDEFAULT`, as answer and as event.
pub(super) fn defaults(bytes: &[u8]) -> Decoded<PolicyDefaults> {
    let (fixed, _) = body(bytes, x::XFRM_USER_POLICY_DEFAULT_LEN, "a default policy")?;
    let raw = x::UserPolicyDefault::parse(fixed).map_err(said)?;
    let action = |value| match value {
        c::XFRM_USERPOLICY_BLOCK => PolicyAction::Block,
        c::XFRM_USERPOLICY_ACCEPT => PolicyAction::Allow,
        other => PolicyAction::Other(other),
    };
    Ok(PolicyDefaults { input: action(raw.input), forward: action(raw.forward), output: action(raw.output) })
}

/// `XFRM_MSG_NEWSADINFO`
pub(super) fn sad_count(bytes: &[u8]) -> Decoded<u32> {
    let (_flags, rest) = body(bytes, 4, "SAD information")?;
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind == c::XFRMA_SAD_CNT {
            return u32_of(kind, value);
        }
    }
    Err("SAD information without a count".to_owned())
}

/// `XFRM_MSG_NEWSPDINFO`; the SA count stays 0.
pub(super) fn spd_counts(bytes: &[u8]) -> Decoded<Counts> {
    let (_flags, rest) = body(bytes, 4, "SPD information")?;
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind == c::XFRMA_SPD_INFO {
            let raw = number::<24>(kind, value)?;
            let (words, _) = raw.as_chunks::<4>();
            let mut words = words.iter().map(|word| u32::from_ne_bytes(*word));
            // struct xfrmu_spdinfo: in, out, fwd, and the same of sockets
            let mut next = || words.next().unwrap_or(0);
            return Ok(Counts {
                sas: 0,
                policies_in: next(),
                policies_out: next(),
                policies_forward: next(),
                policies_of_sockets: next().saturating_add(next()).saturating_add(next()),
            });
        }
    }
    Err("SPD information without counts".to_owned())
}

/// One message of the multicast groups; `None` for what is no event.
pub(super) fn event(kind: u16, bytes: &[u8]) -> Option<KernelEvent> {
    let event = match kind {
        c::XFRM_MSG_NEWSA => sa(bytes).map(|sa| KernelEvent::SaAdded(Box::new(sa))),
        c::XFRM_MSG_UPDSA => sa(bytes).map(|sa| KernelEvent::SaUpdated(Box::new(sa))),
        c::XFRM_MSG_DELSA => sa_deleted(bytes),
        c::XFRM_MSG_EXPIRE => sa_expired(bytes),
        c::XFRM_MSG_FLUSHSA => bytes
            .first()
            .map(|protocol| KernelEvent::SasFlushed(IpsecProtocol::from_number(*protocol)))
            .ok_or_else(|| "a flush without its protocol".to_owned()),
        c::XFRM_MSG_NEWPOLICY => policy(bytes).map(|policy| KernelEvent::PolicyAdded(Box::new(policy))),
        c::XFRM_MSG_UPDPOLICY => policy(bytes).map(|policy| KernelEvent::PolicyUpdated(Box::new(policy))),
        c::XFRM_MSG_DELPOLICY => policy_deleted(bytes),
        c::XFRM_MSG_POLEXPIRE => policy_expired(bytes),
        c::XFRM_MSG_FLUSHPOLICY => policies_flushed(bytes),
        c::XFRM_MSG_GETDEFAULT | c::XFRM_MSG_SETDEFAULT => defaults(bytes).map(KernelEvent::DefaultsChanged),
        c::XFRM_MSG_ACQUIRE => acquire(bytes),
        c::XFRM_MSG_NEWAE => replay_moved(bytes),
        c::XFRM_MSG_MAPPING => mapping(bytes),
        c::XFRM_MSG_REPORT => report(bytes),
        c::XFRM_MSG_MIGRATE => migrated(bytes),
        _ => return None,
    };
    Some(event.unwrap_or_else(|reason| KernelEvent::Unreadable { message_type: kind, reason }))
}

/// The identity stands in the body, and the SA as it was in an attribute.
fn sa_deleted(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_SA_ID_LEN, "an SA's identity")?;
    let id = sa_id_in(&x::UserSaId::parse(fixed).map_err(said)?, rest)?;
    Ok(KernelEvent::SaDeleted(id))
}

fn sa_expired(bytes: &[u8]) -> Decoded<KernelEvent> {
    // `struct xfrm_user_expire`: the SA, the byte `hard`, padding.
    let (fixed, rest) = body(bytes, x::XFRM_USER_SA_INFO_LEN + 8, "an SA's expiry")?;
    let info = x::UserSaInfo::parse(fixed).map_err(said)?;
    let hard = fixed.get(x::XFRM_USER_SA_INFO_LEN).is_some_and(|hard| *hard != 0);
    Ok(KernelEvent::SaExpired { id: sa_id_of(&info, rest)?, hard })
}

/// The identity stands in the body, and the policy as it was in an attribute.
fn policy_deleted(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_POLICY_ID_LEN, "a policy's identity")?;
    let raw = x::UserPolicyId::parse(fixed).map_err(said)?;
    // Deleted by index, the body's selector is empty: the attribute knows better.
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind == c::XFRMA_POLICY {
            let (fixed, _) = body(value, x::XFRM_USER_POLICY_INFO_LEN, "a deleted policy")?;
            let info = x::UserPolicyInfo::parse(fixed).map_err(said)?;
            let id = policy_id_of(&info.selector, info.direction, info.index, rest)?;
            return Ok(KernelEvent::PolicyDeleted(id));
        }
    }
    Ok(KernelEvent::PolicyDeleted(policy_id_of(&raw.selector, raw.direction, raw.index, rest)?))
}

fn policy_expired(bytes: &[u8]) -> Decoded<KernelEvent> {
    // `struct xfrm_user_polexpire`: the policy, the byte `hard`, padding.
    let (fixed, rest) = body(bytes, x::XFRM_USER_POLICY_INFO_LEN + 8, "a policy's expiry")?;
    let info = x::UserPolicyInfo::parse(fixed).map_err(said)?;
    let hard = fixed.get(x::XFRM_USER_POLICY_INFO_LEN).is_some_and(|hard| *hard != 0);
    let id = policy_id_of(&info.selector, info.direction, info.index, rest)?;
    Ok(KernelEvent::PolicyExpired { id, hard })
}

fn policies_flushed(bytes: &[u8]) -> Decoded<KernelEvent> {
    for attribute in attributes(bytes) {
        let (kind, value) = attribute?;
        if kind == c::XFRMA_POLICY_TYPE {
            return Ok(KernelEvent::PoliciesFlushed(PolicyKind::from_number(number::<1>(kind, value)?[0])));
        }
    }
    Ok(KernelEvent::PoliciesFlushed(PolicyKind::Main))
}

fn acquire(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, _) = body(bytes, x::XFRM_USER_ACQUIRE_LEN, "an acquire")?;
    let raw = x::UserAcquire::parse(fixed).map_err(said)?;
    let family = raw.selector.family;
    Ok(KernelEvent::Acquire {
        selector: selector(&raw.selector)?,
        source: address(family, &raw.saddr)?,
        destination: address(family, &raw.id.daddr)?,
        protocol: IpsecProtocol::from_number(raw.id.proto),
    })
}

fn replay_moved(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, rest) = body(bytes, x::XFRM_ASYNC_EVENT_ID_LEN, "a replay event")?;
    let raw = x::AsyncEventId::parse(fixed).map_err(said)?;
    Ok(KernelEvent::Replay { id: sa_id_in(&raw.sa_id, rest)?, reqid: ReqId(raw.reqid) })
}

fn mapping(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_MAPPING_LEN, "a mapping")?;
    let raw = x::UserMapping::parse(fixed).map_err(said)?;
    let family = raw.id.family;
    Ok(KernelEvent::Mapping {
        id: sa_id_in(&raw.id, rest)?,
        old: (address(family, &raw.old_saddr)?, raw.old_sport),
        new: (address(family, &raw.new_saddr)?, raw.new_sport),
    })
}

fn report(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, _) = body(bytes, x::XFRM_USER_REPORT_LEN, "a report")?;
    let raw = x::UserReport::parse(fixed).map_err(said)?;
    Ok(KernelEvent::Report { protocol: IpsecProtocol::from_number(raw.proto), selector: selector(&raw.selector)? })
}

fn migrated(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, _) = body(bytes, x::XFRM_USER_POLICY_ID_LEN, "a migration")?;
    let raw = x::UserPolicyId::parse(fixed).map_err(said)?;
    Ok(KernelEvent::Migrated { selector: selector(&raw.selector)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Prefix, SaSpec};
    use proptest::prelude::*;

    /// The body of a recorded message.
    fn recorded(name: &str) -> Vec<u8> {
        let all = include_str!("../../../tests/data/xfrm-messages.txt");
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
        let aead = sa.algorithms.aead.unwrap();
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
        assert_eq!(sa.extras.unwrap().output_mark, Some(Mark { value: 0x10, mask: 0xf0 }));
        let authentication = sa.algorithms.authentication.unwrap();
        assert_eq!((authentication.name.label(), authentication.icv_bits), ("hmac-sha256", 128));
        assert_eq!(sa.algorithms.encryption.unwrap().key.bits(), 128);
    }

    #[test]
    fn the_other_protocols_and_esp_in_udp() {
        let ah = recorded_sa("ah_md5");
        assert_eq!((ah.protocol, ah.algorithms.authentication_label()), (IpsecProtocol::Ah, "hmac-md5-96".to_owned()));
        let comp = recorded_sa("comp_deflate");
        assert_eq!((comp.protocol, comp.algorithms.encryption_label()), (IpsecProtocol::Comp, "deflate".to_owned()));
        let encapsulation = recorded_sa("esp_3des_in_udp").extras.unwrap().encapsulation.unwrap();
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
        let unknown = &sa.extras.as_ref().unwrap().unknown;
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
        let expected = recorded_sa("esp_cbc_tunnel_v6").id();
        assert_eq!(event(c::XFRM_MSG_EXPIRE, &bytes), Some(KernelEvent::SaExpired { id: expected, hard: true }));
    }

    const KINDS: std::ops::RangeInclusive<u16> = 0x10..=0x29;

    proptest! {
        #[test]
        fn no_bytes_panic(kind in KINDS, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = event(kind, &bytes);
            let _ = (sad_count(&bytes), spd_counts(&bytes), defaults(&bytes));
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
            (spi, reqid, window) in (256u32.., any::<u32>(), 0u32..=4096),
            hard in any::<Option<u64>>(),
            key in proptest::collection::vec(any::<u8>(), 1..64),
        ) {
            let (source, destination): (IpAddr, IpAddr) = if v6 { ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()) } else { ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()) };
            let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi));
            spec.mark = mark.map(|(value, mask)| Mark { value, mask }).filter(|mark| *mark != Mark::default());
            spec.if_id = if_id.filter(|id| *id != 0).map(IfId);
            (spec.reqid, spec.replay_window) = (ReqId(reqid), window);
            spec.limits.bytes.hard = hard.filter(|value| *value != c::XFRM_INF);
            spec.selector = Some(Selector::everything_like(destination));
            let name = AlgorithmName::from_kernel("cbc(blowfish)");
            spec.algorithms.encryption = Some(Transform { name, key: Secret::copy_from(&key), icv_bits: 0 });
            let request = super::super::encode::new_sa(&spec);
            let told = sa(request.payload()).unwrap();
            prop_assert_eq!(told.id(), spec.id());
            prop_assert_eq!((told.reqid, told.if_id, told.limits), (spec.reqid, spec.if_id, spec.limits));
            // A short window comes back in another attribute than it was written in.
            prop_assert_eq!(told.replay.window, window);
            prop_assert_eq!(told.algorithms, spec.algorithms);
        }
    }
}
