//! Everything about a policy.

use super::sa::{say_limits, say_unknown};
use super::{Facts, interface_words, offload_words};
use crate::console::columns::policy::upper;
use crate::console::state::State;
use crate::console::theme::Role;
use crate::model::template::AlgorithmMasks;
use crate::model::text::duration;
use crate::model::{Level, Policy, PolicyAction, PolicyDirection, PolicyKind, Template};

/// The facts.
pub(super) fn facts(policy: &Policy, state: &State) -> Facts {
    let now = state.facts.now.secs();
    let mut facts = Facts::default();
    let selector = &policy.selector;
    let way = match policy.direction {
        PolicyDirection::In => "packets for this host",
        PolicyDirection::Out => "packets that leave this host",
        PolicyDirection::Forward => "packets passed on",
        PolicyDirection::Socket(_) => "packets of one program's socket",
    };
    facts.say("matches", format!("{way}, from {} to {}, {}", selector.source, selector.destination, upper(selector)));
    if selector.any_family {
        facts.and("of either address family", Role::Text);
    }
    let interface = Some(selector.interface).filter(|index| *index != 0);
    facts.say_some("interface", interface.map(|index| format!("only {}", interface_words(index, state))));
    facts.say_some("user", Some(selector.user).filter(|user| *user != 0).map(|user| user.to_string()));
    let (fate, role) = match (policy.action, policy.templates.len()) {
        (PolicyAction::Allow, 0) => ("they pass in clear".to_owned(), Role::Text),
        (PolicyAction::Allow, 1) => ("they pass only through this transform:".to_owned(), Role::Good),
        (PolicyAction::Allow, n) => {
            (format!("they pass only through these {n} transforms, innermost first:"), Role::Good)
        }
        (PolicyAction::Block, _) => ("they are dropped".to_owned(), Role::Caution),
        (PolicyAction::Other(number), _) => (format!("action {number}, which espial does not know"), Role::Caution),
    };
    facts.say_as("action", format!("{}: {fate}", policy.verb()), role);
    for template in &policy.templates {
        facts.say("transform", template_words(template));
    }
    facts.say("priority", format!("{} ({:#x}); the lowest number is asked first", policy.priority, policy.priority));
    let kind = if policy.kind == PolicyKind::Main { String::new() } else { format!(", type {}", policy.kind) };
    facts.say("index", format!("{}{kind}", policy.index));
    let ago = |at: u64| format!("{} ({} ago)", state.clock.date(at), duration(now.saturating_sub(at)));
    facts.say("added", ago(policy.used.added_at));
    facts.say("last used", policy.used.used_at.map_or("never".to_owned(), ago));
    say_limits(&mut facts, &policy.limits, &policy.used, now);
    facts.say_some("flags", Some(policy.flag_words().join(" ")).filter(|flags| !flags.is_empty()));
    facts.say_some("share", Some(policy.share).filter(|share| *share != 0).map(|share| share.to_string()));
    facts.say_some("mark", policy.mark.map(|mark| mark.to_string()));
    facts.say_some("xfrm interface", policy.if_id.map(|id| format!("if_id {id}")));
    facts.say_some("security label", policy.security.as_ref().map(ToString::to_string));
    facts.say_some("offload", policy.offload.map(|offload| offload_words(offload, state)));
    // It may be a key.
    say_unknown(&mut facts, &policy.unknown, false);
    facts
}

fn template_words(template: &Template) -> String {
    let mut words = format!("{} {}", template.protocol, template.mode);
    if !template.source.is_unspecified() || !template.destination.is_unspecified() {
        words += &format!(" from {} to {}", template.source, template.destination);
    }
    if template.spi.0 != 0 {
        words += &format!(", only SPI {}", template.spi);
    }
    words += &match template.reqid.0 {
        0 => ", any reqid".to_owned(),
        reqid => format!(", reqid {reqid}"),
    };
    words += match template.level {
        Level::Required => ", required",
        Level::Use => ", optional: without an SA they go on unprotected",
    };
    if template.share != 0 {
        words += &format!(", share {}", template.share);
    }
    let masks = template.algorithm_masks;
    if masks != AlgorithmMasks::ALL {
        let AlgorithmMasks { encryption, authentication, compression } = masks;
        words += &format!(", algorithm masks enc {encryption:#x} auth {authentication:#x} comp {compression:#x}");
    }
    words
}
