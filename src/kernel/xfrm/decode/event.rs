//! Messages of the multicast groups into events.

use netlink_packet_xfrm as x;
use netlink_packet_xfrm::constants as c;

use super::{
    Decoded, address, body, defaults, direction, encapsulation, if_id, newer, number, policy, policy_id_of, policy_of,
    replay, replay_esn, sa, sa_id_in, sa_of, said, selector, u32_of, used,
};
use crate::kernel::netlink::attributes;
use crate::model::event::{Migration, Move, SaProgress};
use crate::model::{IpsecProtocol, KernelEvent, Mode, PolicyDirection, PolicyKind, ReqId};

/// One message of the multicast groups; `None` for what is no event.
pub(in super::super) fn event(kind: u16, bytes: &[u8]) -> Option<KernelEvent> {
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
        c::XFRM_MSG_NEWAE => progress(bytes).map(|progress| KernelEvent::Replay(Box::new(progress))),
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
    Ok(KernelEvent::SaExpired { sa: Box::new(sa_of(&info, rest)?), hard })
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
    Ok(KernelEvent::PolicyExpired { policy: Box::new(policy_of(&info, rest)?), hard })
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

/// `XFRM_MSG_NEWAE`, as answer and as event: `struct xfrm_aevent_id` and its attributes.
pub(in super::super) fn progress(bytes: &[u8]) -> Decoded<SaProgress> {
    let (fixed, rest) = body(bytes, x::XFRM_ASYNC_EVENT_ID_LEN, "a replay event")?;
    let raw = x::AsyncEventId::parse(fixed).map_err(said)?;
    let mut progress = SaProgress {
        id: sa_id_in(&raw.sa_id, rest)?,
        source: address(raw.sa_id.family, &raw.saddr)?,
        reqid: ReqId(raw.reqid),
        flags: raw.flags,
        replay: None,
        used: None,
        replay_threshold: None,
        timer_threshold: None,
        if_id: None,
        direction: None,
        cpu: None,
    };
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            // The window's width is not told here.
            c::XFRMA_REPLAY_VAL => progress.replay = Some(replay(kind, value, 0)?),
            c::XFRMA_REPLAY_ESN_VAL => progress.replay = Some(replay_esn(kind, value)?),
            c::XFRMA_LTIME_VAL => {
                let raw = x::Lifetime::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
                progress.used = Some(used(&raw));
            }
            c::XFRMA_REPLAY_THRESH => progress.replay_threshold = Some(u32_of(kind, value)?),
            c::XFRMA_ETIMER_THRESH => progress.timer_threshold = Some(u32_of(kind, value)?),
            c::XFRMA_IF_ID => progress.if_id = if_id(kind, value)?,
            newer::SA_DIR => progress.direction = direction(value),
            newer::SA_PCPU => progress.cpu = Some(u32_of(kind, value)?),
            _ => {}
        }
    }
    Ok(progress)
}

fn mapping(bytes: &[u8]) -> Decoded<KernelEvent> {
    let (fixed, rest) = body(bytes, x::XFRM_USER_MAPPING_LEN, "a mapping")?;
    let raw = x::UserMapping::parse(fixed).map_err(said)?;
    let family = raw.id.family;
    let mut way = None;
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind == newer::SA_DIR {
            way = direction(value);
        }
    }
    Ok(KernelEvent::Mapping {
        id: sa_id_in(&raw.id, rest)?,
        reqid: ReqId(raw.reqid),
        direction: way,
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
    let (fixed, rest) = body(bytes, x::XFRM_USER_POLICY_ID_LEN, "a migration")?;
    let raw = x::UserPolicyId::parse(fixed).map_err(said)?;
    let mut migration = Migration {
        selector: selector(&raw.selector)?,
        direction: PolicyDirection::from_number(raw.direction),
        kind: PolicyKind::Main,
        moves: Vec::new(),
        key_managers: None,
        encapsulation: None,
        if_id: None,
    };
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        match kind {
            c::XFRMA_MIGRATE => {
                let (whole, left) = value.as_chunks::<{ x::XFRM_USER_MIGRATE_LEN }>();
                if !left.is_empty() {
                    return Err(format!("attribute {kind} of {} bytes is no whole number of moves", value.len()));
                }
                for raw in whole {
                    migration.moves.push(moved(&x::UserMigrate::parse(raw).map_err(said)?)?);
                }
            }
            c::XFRMA_KMADDRESS => {
                let raw =
                    x::UserKmAddress::parse(value).map_err(|error| format!("attribute {kind}: {}", said(error)))?;
                let of = |end: &x::Address| address(raw.family, end);
                migration.key_managers = Some((of(&raw.local)?, of(&raw.remote)?));
            }
            c::XFRMA_ENCAP => {
                migration.encapsulation = Some(encapsulation(raw.selector.family, kind, value)?);
            }
            c::XFRMA_POLICY_TYPE => migration.kind = PolicyKind::from_number(number::<1>(kind, value)?[0]),
            c::XFRMA_IF_ID => migration.if_id = if_id(kind, value)?,
            _ => {}
        }
    }
    Ok(KernelEvent::Migrated(Box::new(migration)))
}

fn moved(raw: &x::UserMigrate) -> Decoded<Move> {
    let (old, new) = (raw.old_family, raw.new_family);
    Ok(Move {
        from: (address(old, &raw.old_saddr)?, address(old, &raw.old_daddr)?),
        to: (address(new, &raw.new_saddr)?, address(new, &raw.new_daddr)?),
        protocol: IpsecProtocol::from_number(raw.proto),
        mode: Mode::from_number(raw.mode),
        reqid: ReqId(raw.reqid),
    })
}
