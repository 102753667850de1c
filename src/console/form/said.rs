//! A change in both old languages, as it is shown before it is sent: without keys.

use std::fmt::Write;

use crate::console::command::Change;
use crate::dialect::{Keys, iproute2, setkey};
use crate::model::policy::{DefaultsChange, ThresholdsChange};
use crate::model::sa::SpiRequest;
use crate::model::{IpsecProtocol, PolicyId, PolicyKind, Sa, SaDirection, SaId};

/// What stands in the place of what setkey has no words for.
const UNSAYABLE: &str = "# setkey has no words for this";

/// A change as commands of `ip xfrm`, and as statements of setkey. `before` is the SA that is made anew.
pub fn in_both_languages(change: &Change, before: Option<&Sa>) -> [(&'static str, String); 2] {
    let (ip, setkey) = match change {
        Change::AddSa(spec) => {
            (iproute2::sa(spec, Keys::Hide).to_string(), setkey::print::sa(spec, Keys::Hide).to_string())
        }
        Change::ReplaceSa { id, spec } => {
            let source = before.map_or(spec.source, |sa| sa.source);
            let (ip, setkey) = delete_sa(id, source);
            let add = (iproute2::sa(spec, Keys::Hide), setkey::print::sa(spec, Keys::Hide));
            (format!("{ip}\n{}", *add.0), format!("{setkey}\n{}", *add.1))
        }
        Change::AddPolicy(spec) => (iproute2::policy(spec), setkey::print::policy(spec)),
        Change::UpdatePolicy(spec) => (iproute2::update_policy(spec), setkey::print::update_policy(spec)),
        Change::ReplacePolicy { id, spec } => {
            let (ip, setkey) = delete_policy(id);
            (format!("{ip}\n{}", iproute2::policy(spec)), format!("{setkey}\n{}", setkey::print::policy(spec)))
        }
        Change::SetDefaults(change) => (set_defaults(*change), UNSAYABLE.to_owned()),
        Change::SetThresholds(change) => (set_thresholds(*change), UNSAYABLE.to_owned()),
        Change::AllocateSpi(wanted) => allocate_spi(wanted),
        Change::FlushSas(protocol) => flush_sas(*protocol),
        Change::FlushPolicies(PolicyKind::Main) => ("ip xfrm policy flush".to_owned(), "spdflush;".to_owned()),
        Change::FlushPolicies(kind) => (format!("ip xfrm policy flush ptype {kind}"), UNSAYABLE.to_owned()),
        // No form makes these: a pair is shown as two scripts, and deletions are asked about with their rows.
        Change::Exchange(_)
        | Change::TakeBack { .. }
        | Change::DeleteSa(_)
        | Change::DeletePolicy(_)
        | Change::DeleteSas(_)
        | Change::DeletePolicies(_) => (format!("# {}", change.operation()), UNSAYABLE.to_owned()),
    };
    [("as a command", ip), ("in the language of setkey", setkey)]
}

fn delete_sa(id: &SaId, source: std::net::IpAddr) -> (String, String) {
    let setkey = setkey::print::delete_sa(id, source);
    (iproute2::delete_sa(id, source), setkey.unwrap_or_else(|| UNSAYABLE.to_owned()))
}

fn delete_policy(id: &PolicyId) -> (String, String) {
    let setkey = setkey::print::delete_policy(id);
    (iproute2::delete_policy(id), setkey.unwrap_or_else(|| UNSAYABLE.to_owned()))
}

fn set_defaults(change: DefaultsChange) -> String {
    let ways = [("in", change.input), ("fwd", change.forward), ("out", change.output)];
    let mut ip = "ip xfrm policy setdefault".to_owned();
    for (way, action) in ways {
        if let Some(action) = action {
            let word = if action == crate::model::PolicyAction::Block { "block" } else { "accept" };
            let _ = write!(ip, " {way} {word}");
        }
    }
    ip
}

fn set_thresholds(change: ThresholdsChange) -> String {
    let mut ip = "ip xfrm policy set".to_owned();
    for (word, lengths) in [("hthresh4", change.v4), ("hthresh6", change.v6)] {
        if let Some((here, there)) = lengths {
            let _ = write!(ip, " {word} {here} {there}");
        }
    }
    ip
}

fn allocate_spi(wanted: &SpiRequest) -> (String, String) {
    let SpiRequest { source, destination, protocol, mode, reqid, least, greatest, mark, if_id, direction, .. } = wanted;
    let mut ip = format!("ip xfrm state allocspi src {source} dst {destination} proto {protocol} mode {mode}");
    if reqid.0 != 0 {
        let _ = write!(ip, " reqid {reqid}");
    }
    if let Some(mark) = mark {
        let _ = write!(ip, " mark {:#x} mask {:#x}", mark.value, mark.mask);
    }
    if let Some(if_id) = if_id {
        let _ = write!(ip, " if_id {if_id}");
    }
    if let Some(direction) = direction {
        let _ = write!(ip, " dir {}", if *direction == SaDirection::In { "in" } else { "out" });
    }
    let _ = write!(ip, " min {least:#} max {greatest:#}");
    // setkey's getspi has no words for the rest.
    let setkey = match (mark, if_id, direction, setkey::print::protocol_word(*protocol)) {
        (None, None, None, Some(protocol)) => {
            format!("getspi {source} {destination} {protocol} {least:#}-{greatest:#};")
        }
        _ => UNSAYABLE.to_owned(),
    };
    (ip, setkey)
}

fn flush_sas(protocol: IpsecProtocol) -> (String, String) {
    if protocol == IpsecProtocol::Any {
        return ("ip xfrm state flush".to_owned(), "flush;".to_owned());
    }
    let setkey = setkey::print::protocol_word(protocol)
        .map_or_else(|| UNSAYABLE.to_owned(), |protocol| format!("flush {protocol};"));
    (format!("ip xfrm state flush proto {protocol}"), setkey)
}
