//! Netlink messages into the model. Every length is checked before it is used, and no error text holds a key.

use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_core::DecodeError;
use netlink_packet_xfrm as x;
use netlink_packet_xfrm::constants as c;

use crate::kernel::netlink::attributes;
use crate::model::extras::{Encapsulation, ExtraFlags, Offload, SaExtras, SecurityContext, UnknownAttribute};
use crate::model::policy::HashThresholds;
use crate::model::sa::SaErrors;
use crate::model::template::AlgorithmMasks;
use crate::model::{
    AlgorithmName, Counts, Extras, IfId, IpsecProtocol, Level, LifetimeLimits, LifetimeUsed, Limit, Mark, Mode, Policy,
    PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind, PortMatch, Prefix, Replay, ReqId, Sa,
    SaDirection, SaFlags, SaId, Secret, Selector, Spi, Template, Transform, UpperProtocol,
};

mod event;

pub(super) use event::{event, progress};

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
    /// `XFRMA_IPTFS_DROP_TIME`, Linux 6.14, as are those below
    pub const IPTFS_DROP_TIME: u16 = 36;
    /// `XFRMA_IPTFS_REORDER_WINDOW`
    pub const IPTFS_REORDER_WINDOW: u16 = 37;
    /// `XFRMA_IPTFS_DONT_FRAG`
    pub const IPTFS_DONT_FRAG: u16 = 38;
    /// `XFRMA_IPTFS_INIT_DELAY`
    pub const IPTFS_INIT_DELAY: u16 = 39;
    /// `XFRMA_IPTFS_MAX_QSIZE`
    pub const IPTFS_MAX_QSIZE: u16 = 40;
    /// `XFRMA_IPTFS_PKT_SIZE`
    pub const IPTFS_PKT_SIZE: u16 = 41;
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
    selector_like(raw, c::AF_INET6)
}

/// A selector whose addresses, if it has any, are of this family where it does not say of which.
fn selector_like(raw: &x::Selector, family: u16) -> Decoded<Selector> {
    let any_family = raw.family == c::AF_UNSPEC;
    let empty = raw.saddr == x::Address::default() && raw.daddr == x::Address::default();
    let family = match raw.family {
        c::AF_UNSPEC if empty => c::AF_INET,
        c::AF_UNSPEC => family,
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
    Ok(Replay { window: window.into(), received: raw.seq.into(), sent: raw.oseq.into(), bitmap, is_ring: false })
}

fn replay_esn(kind: u16, value: &[u8]) -> Decoded<Replay> {
    let raw = x::ReplayEsn::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
    let long = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Replay {
        window: raw.replay_window,
        received: long(raw.seq_hi, raw.seq),
        sent: long(raw.oseq_hi, raw.oseq),
        bitmap: raw.bmp.into_boxed_slice(),
        is_ring: true,
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
        algorithms: Arc::default(),
        replay: Replay { window: info.replay_window.into(), ..Replay::default() },
        errors: SaErrors {
            before_window: info.stats.replay_window,
            replayed: info.stats.replay,
            integrity_failed: info.stats.integrity_failed,
        },
        limits: limits(&info.lifetime_cfg),
        used: used(&info.lifetime_cur),
        last_used_at: None,
        // The kernel fills in an SA that waits for its keys without the selector's family.
        selector: selector_like(&info.selector, info.family)?,
        extras: Extras::default(),
    };
    let algorithms = Arc::make_mut(&mut sa.algorithms);
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_ALG_AEAD => algorithms.aead = Some(transform(kind, value, true)?),
            c::XFRMA_ALG_CRYPT => algorithms.encryption = Some(transform(kind, value, false)?),
            c::XFRMA_ALG_AUTH_TRUNC => algorithms.authentication = Some(transform(kind, value, true)?),
            // Sent beside the one above, which says more.
            c::XFRMA_ALG_AUTH if algorithms.authentication.is_some() => {}
            c::XFRMA_ALG_AUTH => algorithms.authentication = Some(with_default_icv(transform(kind, value, false)?)),
            c::XFRMA_ALG_COMP => algorithms.compression = Some(transform(kind, value, false)?.name),
            c::XFRMA_REPLAY_VAL if !sa.flags.esn() => sa.replay = replay(kind, value, info.replay_window)?,
            c::XFRMA_REPLAY_ESN_VAL => sa.replay = replay_esn(kind, value)?,
            c::XFRMA_MARK => sa.mark = mark(kind, value)?,
            c::XFRMA_IF_ID => sa.if_id = if_id(kind, value)?,
            c::XFRMA_LASTUSED => {
                sa.last_used_at = Some(number(kind, value).map(u64::from_ne_bytes)?).filter(|at| *at != 0);
            }
            newer::SA_DIR => sa.direction = direction(value),
            c::XFRMA_PAD | c::XFRMA_UNSPEC => {}
            _ => extra(&mut sa.extras, info.family, kind, value)?,
        }
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
        c::XFRMA_OFFLOAD_DEV => extras.offload = Some(offload(kind, value)?),
        c::XFRMA_COADDR => {
            let raw = x::Address::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
            extras.care_of = Some(address(family, &raw)?);
        }
        c::XFRMA_SEC_CTX => extras.security = Some(security_context(kind, value)?),
        c::XFRMA_SA_EXTRA_FLAGS => extras.extra_flags = ExtraFlags(u32_of(kind, value)?),
        c::XFRMA_REPLAY_THRESH => extras.replay_threshold = Some(u32_of(kind, value)?),
        c::XFRMA_ETIMER_THRESH => extras.timer_threshold = Some(u32_of(kind, value)?),
        c::XFRMA_MTIMER_THRESH => extras.mapping_threshold_secs = Some(u32_of(kind, value)?),
        newer::NAT_KEEPALIVE_INTERVAL => extras.nat_keepalive_secs = Some(u32_of(kind, value)?),
        newer::SA_PCPU => extras.cpu = Some(u32_of(kind, value)?),
        newer::IPTFS_DROP_TIME => extras.iptfs.drop_time_us = Some(u32_of(kind, value)?),
        newer::IPTFS_REORDER_WINDOW => {
            extras.iptfs.reorder_window = Some(number(kind, value).map(u16::from_ne_bytes)?);
        }
        newer::IPTFS_DONT_FRAG => extras.iptfs.dont_fragment = true,
        newer::IPTFS_INIT_DELAY => extras.iptfs.initial_delay_us = Some(u32_of(kind, value)?),
        newer::IPTFS_MAX_QSIZE => extras.iptfs.largest_queue_bytes = Some(u32_of(kind, value)?),
        newer::IPTFS_PKT_SIZE => extras.iptfs.packet_bytes = Some(u32_of(kind, value)?),
        _ => extras.unknown.push(unknown(kind, value)),
    }
    Ok(())
}

fn offload(kind: u16, value: &[u8]) -> Decoded<Offload> {
    let [i0, i1, i2, i3, flags] = number(kind, value)?;
    Ok(Offload { interface: u32::from_ne_bytes([i0, i1, i2, i3]), flags })
}

/// `struct xfrm_user_sec_ctx`: its length, the attribute's number, algorithm, DOI, the label's length, the label.
fn security_context(kind: u16, value: &[u8]) -> Decoded<SecurityContext> {
    let [_, _, _, _, algorithm, doi, l0, l1] = number(kind, value)?;
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    let label = value.get(8..8 + length).ok_or_else(|| {
        format!("attribute {kind} announces a label of {length} bytes and holds {}", value.len().saturating_sub(8))
    })?;
    // Each time that a label is written Linux puts another byte 0 behind it (`selinux_xfrm_alloc_user`,
    // security/selinux/xfrm.c): one says the same.
    let zeros = label.iter().rev().take_while(|byte| **byte == 0).count();
    let label = label.get(..label.len() - zeros.saturating_sub(1)).unwrap_or(label);
    Ok(SecurityContext { doi, algorithm, label: label.into() })
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
        security: None,
        offload: None,
        unknown: Vec::new(),
    };
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_TMPL => policy.templates = templates(kind, value)?,
            c::XFRMA_POLICY_TYPE => policy.kind = PolicyKind::from_number(number::<1>(kind, value)?[0]),
            c::XFRMA_MARK => policy.mark = mark(kind, value)?,
            c::XFRMA_IF_ID => policy.if_id = if_id(kind, value)?,
            c::XFRMA_SEC_CTX => policy.security = Some(Box::new(security_context(kind, value)?)),
            c::XFRMA_OFFLOAD_DEV => policy.offload = Some(offload(kind, value)?),
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
    let masks = AlgorithmMasks { encryption: raw.ealgos, authentication: raw.aalgos, compression: raw.calgos };
    Ok(Template {
        protocol: IpsecProtocol::from_number(raw.id.proto),
        mode: Mode::from_number(raw.mode),
        source: address(raw.family, &raw.saddr)?,
        destination: address(raw.family, &raw.id.daddr)?,
        spi: Spi(raw.id.spi),
        reqid: ReqId(raw.reqid),
        level: if raw.optional == 0 { Level::Required } else { Level::Use },
        share: raw.share,
        // A policy that came by PF_KEY allows every algorithm and is dumped with none (`allalgs` of `struct xfrm_tmpl` is
        // not told): sent back so, no SA would fit it.
        algorithm_masks: if masks == AlgorithmMasks::NONE { AlgorithmMasks::ALL } else { masks },
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

/// `XFRM_MSG_NEWSADINFO`; the counts of policies stay 0.
pub(super) fn sad_counts(bytes: &[u8]) -> Decoded<Counts> {
    let (_flags, rest) = body(bytes, 4, "SAD information")?;
    let (mut counts, mut found) = (Counts::default(), false);
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_SAD_CNT => (counts.sas, found) = (u32_of(kind, value)?, true),
            c::XFRMA_SAD_HINFO => counts.sa_buckets = two_u32(kind, value)?,
            _ => {}
        }
    }
    if found { Ok(counts) } else { Err("SAD information without a count".to_owned()) }
}

fn two_u32(kind: u16, value: &[u8]) -> Decoded<(u32, u32)> {
    let [a0, a1, a2, a3, b0, b1, b2, b3] = number(kind, value)?;
    Ok((u32::from_ne_bytes([a0, a1, a2, a3]), u32::from_ne_bytes([b0, b1, b2, b3])))
}

/// `XFRM_MSG_NEWSPDINFO`; the SA count stays 0.
pub(super) fn spd_information(bytes: &[u8]) -> Decoded<(Counts, HashThresholds)> {
    let (_flags, rest) = body(bytes, 4, "SPD information")?;
    let (mut counts, mut thresholds, mut found) = (Counts::default(), HashThresholds::default(), false);
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        let two = |value| number::<2>(kind, value).map(|[here, there]| (here, there));
        match kind {
            c::XFRMA_SPD_INFO => {
                let raw = number::<24>(kind, value)?;
                let (words, _) = raw.as_chunks::<4>();
                let mut words = words.iter().map(|word| u32::from_ne_bytes(*word));
                // struct xfrmu_spdinfo: in, out, fwd, and the same of sockets
                let mut next = || words.next().unwrap_or(0);
                (counts.policies_in, counts.policies_out, counts.policies_forward) = (next(), next(), next());
                counts.policies_of_sockets = next().saturating_add(next()).saturating_add(next());
                found = true;
            }
            c::XFRMA_SPD_HINFO => counts.policy_buckets = two_u32(kind, value)?,
            c::XFRMA_SPD_IPV4_HTHRESH => thresholds.v4 = two(value)?,
            c::XFRMA_SPD_IPV6_HTHRESH => thresholds.v6 = two(value)?,
            _ => {}
        }
    }
    if found { Ok((counts, thresholds)) } else { Err("SPD information without counts".to_owned()) }
}

#[cfg(test)]
mod tests;
