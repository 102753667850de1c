//! `espial policy`: the SPD without a screen.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::json::PolicyList;
use super::list::{self, Filter, Form};
use crate::console::columns::{Column, PolicyColumn, search};
use crate::dialect::{iproute2, left_out_of_policy, setkey};
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::row_filter::{FilteredRow, Object, Rows};
use crate::model::spd::matching_order;
use crate::model::{Policy, PolicyDirection, PolicyId, PolicySpec};

/// List the policies in the order in which the kernel asks them
#[derive(Clone, Debug, Args)]
#[command(after_long_help = JSON_HELP)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    form: Form,
}

const JSON_HELP: &str = "\
JSON: {\"schema\": 1, \"policies\": [...], \"defaults\": {in, fwd, out}}. Each policy has direction (out, \
in, fwd, or socket in and socket out for those of programs), selector {source, destination, protocol, \
protocol_number, source_port and destination_port {value, mask}, interface, user, any_family}, action, \
priority, index, kind (main or sub), flags, share, mark {value, mask}, if_id, limits {bytes, packets, \
since_added_secs, since_used_secs, each {soft, hard}}, used {bytes, packets, added_at, used_at}, \
security_label, offload {interface, flags}, templates \
[{protocol, mode, source, destination, spi, spi_number, reqid, required, share, encryption_mask, \
authentication_mask, compression_mask}], unknown [{attribute, length, bytes}]. What is not set is null; \
defaults is null where the kernel does not tell (before Linux 5.15). Times are seconds since the Unix epoch.";

/// Lists the policies of the calling thread's namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    print(arguments, &mut XfrmKernel::open()?, now, &mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a kernel's policies; `now` is in seconds since the epoch.
///
/// # Errors
/// When the kernel refuses, or the output does not take it.
pub fn print(arguments: &Arguments, kernel: &mut dyn Kernel, now: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let filter = arguments.filter.read(Rows::Policies)?;
    let mut policies = kernel.policies()?;
    let twinless = twinless(&policies);
    policies.sort_by(matching_order);
    if let Some(filter) = filter {
        let mut scratch = String::new();
        policies.retain(|policy| {
            let filtered = FilteredRow { object: Object::Policy(policy), now };
            filter.fits(&filtered, &mut search::<_, PolicyColumn>(policy, &mut scratch))
        });
    }
    if arguments.form.json {
        let list = PolicyList::of(policies.iter(), kernel.defaults().ok());
        serde_json::to_writer_pretty(&mut *out, &list).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if arguments.form.setkey {
        write_setkey(&policies, &twinless, out)?;
    } else if arguments.form.ip {
        for policy in &policies {
            write_line(policy, iproute2::policy, out)?;
        }
    } else {
        write_table(&policies, out)?;
        if let Ok(defaults) = kernel.defaults() {
            writeln!(out, "\nWithout a policy: {}", crate::console::state::defaults_words(defaults))?;
        }
    }
    Ok(())
}

/// A table of policies in this order.
pub(super) fn write_table(policies: &[Policy], out: &mut dyn Write) -> io::Result<()> {
    list::write_table(out, PolicyColumn::ALL, policies)
}

fn write_line(policy: &Policy, words: fn(&PolicySpec) -> String, out: &mut dyn Write) -> io::Result<()> {
    if policy.is_of_socket() {
        return writeln!(out, "# a policy of a program's socket, which only the program can make ({})", policy.id());
    }
    let left_out = left_out_of_policy(policy).join(", ");
    let line = words(&policy.to_spec());
    // A statement of setkey's says all: what it cannot say is no statement.
    if !left_out.is_empty() && !line.starts_with("spdadd ") {
        writeln!(out, "# {}: what follows leaves out its {left_out}", policy.id())?;
    }
    writeln!(out, "{line}")
}

/// Policies as statements that make them and no others: Linux's setkey adds one for packets passed on to each of
/// direction in, unless it is told not to.
fn write_setkey(policies: &[Policy], twinless: &HashSet<PolicyId>, out: &mut dyn Write) -> io::Result<()> {
    let mut made_anyway = HashSet::new();
    if policies.iter().any(|policy| twinless.contains(&policy.id())) {
        writeln!(out, "# to be loaded with espial apply --no-forward, or setkey -k: not every policy of direction in")?;
        writeln!(out, "# has the one for packets passed on that would be added to it otherwise")?;
    } else {
        made_anyway = policies.iter().filter_map(made_by_setkey).map(|twin| twin.id()).collect();
    }
    for policy in policies.iter().filter(|policy| !made_anyway.contains(&policy.id())) {
        write_line(policy, setkey::print::policy, out)?;
    }
    Ok(())
}

/// The policies of direction in for which setkey's policy for packets passed on is not there as it would make it.
fn twinless(policies: &[Policy]) -> HashSet<PolicyId> {
    let others: HashMap<PolicyId, PolicySpec> = policies
        .iter()
        .filter(|policy| policy.direction == PolicyDirection::Forward)
        .map(|policy| (policy.id(), policy.to_spec()))
        .collect();
    let lacks_it = |policy: &&Policy| made_by_setkey(policy).is_some_and(|twin| others.get(&twin.id()) != Some(&twin));
    policies.iter().filter(lacks_it).map(Policy::id).collect()
}

/// What the statement for a policy makes beside it, if there is a statement for it.
fn made_by_setkey(policy: &Policy) -> Option<PolicySpec> {
    let spec = policy.to_spec();
    setkey::forward_twin(&spec).filter(|_| !setkey::print::policy(&spec).starts_with('#'))
}
