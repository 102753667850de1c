//! Everything about an SA.

use super::{Facts, interface_words, offload_words};
use crate::console::clock::Clock;
use crate::console::columns::SaRow;
use crate::console::state::State;
use crate::console::theme::Role;
use crate::model::extras::{Iptfs, SaExtras, UnknownAttribute};
use crate::model::lifetime::Nearness;
use crate::model::text::{duration, quantity};
use crate::model::{LifetimeLimits, LifetimeUsed, Sa, Secret, Transform};

/// The facts; keys in clear only while `reveal` counts the seconds that are left.
pub(super) fn facts(row: &SaRow<'_>, reveal: Option<u64>, state: &State) -> Facts {
    let sa = row.sa;
    let mut facts = Facts::default();
    let way = row.direction.map_or_else(String::new, |direction| format!(" {direction}bound,"));
    say_state(&mut facts, row);
    facts.say("packets", format!("from {} to {},{way} {} mode, {}", sa.source, sa.destination, sa.mode, sa.protocol));
    facts.say("number", format!("SPI {} ({}), reqid {}", sa.spi, sa.spi.0, sa.reqid));
    say_traffic(&mut facts, row);
    say_algorithms(&mut facts, sa, reveal);
    say_limits(&mut facts, &sa.limits, &sa.used, row.now);
    say_use(&mut facts, row, &state.clock);
    say_replay(&mut facts, sa);
    let errors = sa.errors;
    let role = if errors.total() == 0 { Role::Text } else { Role::Caution };
    let text = format!(
        "{} with a wrong ICV, {} replayed, {} older than the window",
        errors.integrity_failed, errors.replayed, errors.before_window
    );
    facts.say_as("errors", text, role);
    let selector = if sa.selector.is_everything() { "every packet".to_owned() } else { sa.selector.to_string() };
    facts.say("may be used for", selector);
    let interface = Some(sa.selector.interface).filter(|index| *index != 0);
    facts.say_some("interface", interface.map(|index| format!("only {}", interface_words(index, state))));
    facts.say_some("user", Some(sa.selector.user).filter(|user| *user != 0).map(|user| user.to_string()));
    facts.say_some("mark", sa.mark.map(|mark| mark.to_string()));
    facts.say_some("xfrm interface", sa.if_id.map(|id| format!("if_id {id}")));
    facts.say_some("flags", Some(sa.flags.to_string()).filter(|flags| !flags.is_empty()));
    facts.say_some("answers acquire", Some(sa.acquire_sequence).filter(|n| *n != 0).map(|n| n.to_string()));
    say_extras(&mut facts, &sa.extras, reveal, state);
    facts
}

fn say_algorithms(facts: &mut Facts, sa: &Sa, reveal: Option<u64>) {
    let algorithms = &sa.algorithms;
    if sa.is_larval() {
        facts.say("algorithms", "none yet: this reserves the SPI until its keys come");
    }
    if let Some(transform) = &algorithms.aead {
        say_transform(facts, "encryption", transform, &format!(", ICV {} bits, authenticates too", transform.icv_bits));
        say_key(facts, &transform.key, reveal);
    }
    if let Some(transform) = &algorithms.encryption {
        say_transform(facts, "encryption", transform, "");
        say_key(facts, &transform.key, reveal);
    }
    if let Some(transform) = &algorithms.authentication {
        say_transform(facts, "authentication", transform, &format!(", ICV {} bits", transform.icv_bits));
        say_key(facts, &transform.key, reveal);
    }
    if let Some(name) = &algorithms.compression {
        facts.say("compression", name.label());
    }
}

fn say_transform(facts: &mut Facts, label: &'static str, transform: &Transform, more: &str) {
    let name = &transform.name;
    let kernel = if name.label() == name.kernel() { String::new() } else { format!(" {},", name.kernel()) };
    facts.say(label, format!("{},{kernel} key {} bits{more}", name.label(), transform.key.bits()));
    if name.known().is_some_and(|algorithm| algorithm.legacy) {
        facts.and("weak (RFC 8221)", Role::Caution);
    }
}

fn say_key(facts: &mut Facts, key: &Secret, reveal: Option<u64>) {
    if key.is_empty() {
        return;
    }
    let text = match reveal {
        _ if key.is_redacted() => "hidden by the kernel (lockdown)".to_owned(),
        Some(secs) => format!("0x{}  (hidden again in {secs} s)", *key.reveal_hex()),
        None => "••••••••••••  (r reveals it)".to_owned(),
    };
    facts.say_as("key", text, Role::Secret);
}

fn say_state(facts: &mut Facts, row: &SaRow<'_>) {
    let role = match row.nearness() {
        Nearness::Over => Role::Alarm,
        Nearness::Near => Role::Caution,
        Nearness::Far if row.sa.errors.total() > 0 => Role::Caution,
        Nearness::Far => Role::Good,
    };
    facts.say_as("state", row.state(), role);
}

fn say_traffic(facts: &mut Facts, row: &SaRow<'_>) {
    let used = &row.sa.used;
    let rate = |value: Option<u64>| value.map_or("-".to_owned(), quantity);
    facts.say(
        "traffic",
        format!(
            "{} packets, {} bytes; now {} packets/s, {} bytes/s",
            used.packets,
            used.bytes,
            rate(row.packet_rate),
            rate(row.byte_rate)
        ),
    );
}

fn say_use(facts: &mut Facts, row: &SaRow<'_>, clock: &Clock) {
    let (sa, used) = (row.sa, &row.sa.used);
    let ago = |at: u64| format!("{} ({} ago)", clock.date(at), duration(row.now.saturating_sub(at)));
    facts.say("added", ago(used.added_at));
    let first = used.used_at.map_or("never".to_owned(), ago);
    let last = sa.last_used_at.map_or_else(String::new, |at| format!(", last {}", ago(at)));
    facts.say("used", format!("first {first}{last}"));
}

/// Limits with how much of them is used.
pub(super) fn say_limits(facts: &mut Facts, limits: &LifetimeLimits, used: &LifetimeUsed, now: u64) {
    if limits.is_none() {
        facts.say("lifetime", "no limits");
        return;
    }
    let age = now.saturating_sub(used.added_at);
    let in_use = used.used_at.map_or(0, |at| now.saturating_sub(at));
    let all = [
        ("since added", limits.since_added_secs, age, duration as fn(u64) -> String),
        ("since first used", limits.since_used_secs, in_use, duration),
        ("bytes", limits.bytes, used.bytes, |bytes| bytes.to_string()),
        ("packets", limits.packets, used.packets, |packets| packets.to_string()),
    ];
    let mut label = "lifetime";
    for (what, limit, value, text) in all.into_iter().filter(|(_, limit, ..)| !limit.is_none()) {
        let bound = |word: &str, at: Option<u64>| {
            at.map(|at| format!("{word} {} (in {})", text(at), text(at.saturating_sub(value))))
        };
        let bounds: Vec<String> =
            [bound("renewal at", limit.soft), bound("end at", limit.hard)].into_iter().flatten().collect();
        facts.say(label, format!("{what}: {}, {}", text(value), bounds.join(", ")));
        label = "";
    }
}

fn say_replay(facts: &mut Facts, sa: &Sa) {
    let replay = &sa.replay;
    let window = match replay.window {
        0 => "no window: old packets are not refused".to_owned(),
        window => {
            let seen: u32 = replay.bitmap.iter().map(|word| word.count_ones()).sum();
            let due = u64::from(window).min(replay.received);
            format!("window {window} packets, {} missing", due.saturating_sub(seen.into()))
        }
    };
    facts.say("sequence", format!("sent {}, received {}; {window}", replay.sent, replay.received));
}

fn say_extras(facts: &mut Facts, extras: &SaExtras, reveal: Option<u64>, state: &State) {
    facts.say_some(
        "encapsulation",
        extras.encapsulation.map(|e| {
            let kind = match e.kind {
                1 => "UDP without IKE (espinudp-nonike)".to_owned(),
                2 => "UDP (espinudp)".to_owned(),
                7 => "TCP (espintcp)".to_owned(),
                other => format!("type {other}"),
            };
            format!("{kind}, ports {} to {}, original address {}", e.source_port, e.destination_port, e.original)
        }),
    );
    facts.say_some("output mark", extras.output_mark.map(|mark| mark.to_string()));
    facts.say_some("TFC padding", extras.tfc_padding.map(|bytes| format!("to {bytes} bytes")));
    facts.say_some("offload", extras.offload.map(|offload| offload_words(offload, state)));
    facts.say_some("care-of address", extras.care_of.map(|address| address.to_string()));
    facts.say_some("security label", extras.security.as_ref().map(ToString::to_string));
    facts.say_some("extra flags", Some(extras.extra_flags.to_string()).filter(|words| !words.is_empty()));
    facts.say_some("replay event", extras.replay_threshold.map(|n| format!("every {n} packets")));
    facts.say_some("replay timer", extras.timer_threshold.map(|n| format!("after {} ms", u64::from(n) * 100)));
    facts.say_some("NAT events", extras.mapping_threshold_secs.map(|n| format!("at most every {n} s")));
    facts.say_some("NAT keep-alive", extras.nat_keepalive_secs.map(|n| format!("every {n} s")));
    facts.say_some("CPU", extras.cpu.map(|cpu| format!("only {cpu}")));
    say_iptfs(facts, extras.iptfs);
    say_unknown(facts, &extras.unknown, reveal.is_some());
}

/// What goes with mode iptfs.
fn say_iptfs(facts: &mut Facts, iptfs: Iptfs) {
    facts.say_some("drop time", iptfs.drop_time_us.map(|us| format!("missing packets are waited for {us} µs")));
    facts.say_some("reorder window", iptfs.reorder_window.map(|n| format!("{n} packets are put into order")));
    facts.say_some("fragments", iptfs.dont_fragment.then(|| "inner packets are never split".to_owned()));
    facts.say_some("first delay", iptfs.initial_delay_us.map(|us| format!("more packets are waited for {us} µs")));
    facts.say_some("longest queue", iptfs.largest_queue_bytes.map(|bytes| format!("{bytes} bytes")));
    facts.say_some(
        "packet size",
        iptfs.packet_bytes.map(|bytes| if bytes == 0 { "the path's MTU".to_owned() } else { format!("{bytes} bytes") }),
    );
}

/// Attributes without a name here. They might be keys, so they are as secret.
pub(super) fn say_unknown(facts: &mut Facts, unknown: &[UnknownAttribute], reveal: bool) {
    for attribute in unknown {
        let bytes = attribute.bytes.len();
        let shown = if reveal { format!(": {}", *attribute.bytes.reveal_hex()) } else { String::new() };
        facts.say_as("unknown", format!("attribute {}, {bytes} bytes{shown}", attribute.kind), Role::Secret);
    }
}
