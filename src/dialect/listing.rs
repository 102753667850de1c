//! SAs and policies as a kernel has them, written down: as JSON, or in lines that can be loaded again. What a language
//! cannot say, and what nobody can make, stands among the lines as a comment.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::json::{PolicyList, SaList};
use super::script::Language;
use super::{HIDDEN_KEY, Keys, iproute2, left_out_of_policy, left_out_of_sa, setkey};
use crate::model::{Policy, PolicyDefaults, PolicyDirection, PolicyId, PolicySpec, Sa};

/// What a list is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines of a language.
    Lines(Language),
    /// JSON.
    Json,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lines(Language::Ip), Self::Lines(Language::Setkey), Self::Json];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines(language) => language.name(),
            Self::Json => "JSON",
        }
    }
}

/// Writes SAs in this order.
///
/// # Errors
/// When `out` does not take it.
pub fn write_sas(out: &mut dyn Write, sas: &[&Sa], form: Form, keys: Keys) -> io::Result<()> {
    match form {
        Form::Json => write_json(out, &SaList::of(sas.iter().copied(), keys)),
        Form::Lines(language) => sas.iter().try_for_each(|sa| write_sa(out, sa, language, keys)),
    }
}

/// Writes policies in this order; `defaults` is told where the form has a place for it. For setkey they are statements
/// that make them and no others: Linux's setkey adds a policy for packets passed on to each of direction in, unless it is
/// told not to; `twinless` are those that lack it.
///
/// # Errors
/// When `out` does not take it.
pub fn write_policies(
    out: &mut dyn Write,
    policies: &[&Policy],
    form: Form,
    defaults: Option<PolicyDefaults>,
    twinless: &Twinless,
) -> io::Result<()> {
    match form {
        Form::Json => write_json(out, &PolicyList::of(policies.iter().copied(), defaults)),
        Form::Lines(language @ Language::Ip) => {
            policies.iter().try_for_each(|policy| write_policy(out, policy, language))
        }
        Form::Lines(language @ Language::Setkey) => {
            let mut made_anyway = HashSet::new();
            if policies.iter().any(|policy| twinless.0.contains(&policy.id())) {
                writeln!(
                    out,
                    "# to be loaded with espial apply --no-forward, or setkey -k: not every policy of direction in"
                )?;
                writeln!(out, "# has the one for packets passed on that would be added to it otherwise")?;
            } else {
                made_anyway =
                    policies.iter().filter_map(|policy| made_by_setkey(policy)).map(|twin| twin.id()).collect();
            }
            let mut said = policies.iter().filter(|policy| !made_anyway.contains(&policy.id()));
            said.try_for_each(|policy| write_policy(out, policy, language))
        }
    }
}

/// Policies of direction in that stand alone.
#[derive(Clone, Debug, Default)]
pub struct Twinless(HashSet<PolicyId>);

/// The policies of direction in for which setkey's policy for packets passed on is not there as it would make it.
pub fn twinless<'a>(policies: impl Iterator<Item = &'a Policy> + Clone) -> Twinless {
    let others: HashMap<PolicyId, PolicySpec> = policies
        .clone()
        .filter(|policy| policy.direction == PolicyDirection::Forward)
        .map(|policy| (policy.id(), policy.to_spec()))
        .collect();
    let lacks_it = |policy: &&Policy| made_by_setkey(policy).is_some_and(|twin| others.get(&twin.id()) != Some(&twin));
    Twinless(policies.filter(lacks_it).map(Policy::id).collect())
}

/// What the statement for a policy makes beside it, if there is a statement for it.
fn made_by_setkey(policy: &Policy) -> Option<PolicySpec> {
    let spec = policy.to_spec();
    setkey::forward_twin(&spec).filter(|_| !setkey::print::policy(&spec).starts_with('#'))
}

fn write_json(out: &mut dyn Write, list: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, list)?;
    writeln!(out)
}

fn write_sa(out: &mut dyn Write, sa: &Sa, language: Language, keys: Keys) -> io::Result<()> {
    if sa.is_larval() {
        return writeln!(out, "# {} reserves its SPI and has no keys yet", sa.id());
    }
    if sa.is_made_by_kernel() {
        return writeln!(out, "# {} comes and goes with an IPComp SA: the kernel makes it", sa.id());
    }
    let left_out = left_out_of_sa(sa).join(", ");
    let spec = sa.to_spec();
    let line = match language {
        Language::Ip => iproute2::sa(&spec, keys),
        Language::Setkey => setkey::print::sa(&spec, keys),
    };
    // A statement of setkey's says all: what it cannot say is no statement.
    if !left_out.is_empty() && !line.starts_with("add ") {
        writeln!(out, "# {}: what follows leaves out its {left_out}", sa.id())?;
    }
    // Without its keys it is nothing to be carried out.
    let mark = if line.contains(HIDDEN_KEY) && !line.starts_with('#') { "# " } else { "" };
    writeln!(out, "{mark}{}", *line)
}

fn write_policy(out: &mut dyn Write, policy: &Policy, language: Language) -> io::Result<()> {
    if policy.is_of_socket() {
        return writeln!(out, "# a policy of a program's socket, which only the program can make ({})", policy.id());
    }
    let left_out = left_out_of_policy(policy).join(", ");
    let spec = policy.to_spec();
    let line = match language {
        Language::Ip => iproute2::policy(&spec),
        Language::Setkey => setkey::print::policy(&spec),
    };
    // A statement of setkey's says all: what it cannot say is no statement.
    if !left_out.is_empty() && !line.starts_with("spdadd ") {
        writeln!(out, "# {}: what follows leaves out its {left_out}", policy.id())?;
    }
    writeln!(out, "{line}")
}
