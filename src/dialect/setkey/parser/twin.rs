//! The policy for packets passed on that Linux's setkey makes beside every policy of direction in.

use std::collections::HashSet;

use crate::dialect::deed::{Deed, Script, Warning};
use crate::model::{PolicyDirection, PolicyId, PolicyKind, PolicySpec, ReqId};

/// What Linux's setkey makes beside every policy of direction in: the same for packets that are passed on, whose first
/// transform is never tied to one SA.
pub fn forward_twin(spec: &PolicySpec) -> Option<PolicySpec> {
    if spec.direction != PolicyDirection::In || spec.kind != PolicyKind::Main {
        return None;
    }
    let mut twin = spec.clone();
    twin.direction = PolicyDirection::Forward;
    twin.index = 0;
    if let Some(first) = twin.templates.first_mut() {
        first.reqid = ReqId(0);
    }
    Some(twin)
}

/// Leaves out those twins that the script says itself: what stands there is what is meant, and setkey's own could only
/// be in its way.
pub(super) fn leave_out_said(script: &mut Script) {
    let said = said(script);
    let is_said = |verb: Verb, id: &PolicyId| said.contains(&(verb, *id));
    let mut warnings = Vec::new();
    for statement in &mut script.statements {
        let verb = verb_of(&statement.deed);
        if let Deed::AddPolicies(specs) | Deed::UpdatePolicies(specs) = &mut statement.deed
            && let Some(verb) = verb
            && specs.get(1).is_some_and(|twin| is_said(verb, &twin.id()))
        {
            specs.truncate(1);
            warnings.push(Warning {
                span: statement.span.clone(),
                sentence: "its policy for packets passed on stands in this script: setkey's own is left out".to_owned(),
            });
        }
    }
    let deletes_anyway = |deed: &Deed| matches!(deed, Deed::DeletePolicyIfThere(id) if is_said(Verb::Delete, id));
    script.statements.retain(|statement| !deletes_anyway(&statement.deed));
    script.warnings.extend(warnings);
    script.warnings.sort_by_key(|warning| warning.span.start);
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Add,
    Update,
    Delete,
}

fn verb_of(deed: &Deed) -> Option<Verb> {
    match deed {
        Deed::AddPolicies(_) => Some(Verb::Add),
        Deed::UpdatePolicies(_) => Some(Verb::Update),
        Deed::DeletePolicy(_) => Some(Verb::Delete),
        _ => None,
    }
}

/// The policies for packets passed on that a script names, with what shall become of them.
fn said(script: &Script) -> HashSet<(Verb, PolicyId)> {
    let id_of = |deed: &Deed| match deed {
        Deed::AddPolicies(specs) | Deed::UpdatePolicies(specs) => specs.first().map(PolicySpec::id),
        Deed::DeletePolicy(id) => Some(**id),
        _ => None,
    };
    let deeds = script.statements.iter().map(|statement| &statement.deed);
    deeds
        .filter_map(|deed| verb_of(deed).zip(id_of(deed)))
        .filter(|(_, id)| id.direction == PolicyDirection::Forward)
        .collect()
}
