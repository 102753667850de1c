//! `espial policy`: the SPD without a screen.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::list::{self, Filter, Form, NamedColumns};
use crate::console::columns::{Columns, PolicyColumn, PolicyRow, search};
use crate::dialect::listing;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::Policy;
use crate::model::row_filter::{FilteredRow, Object, Rows};
use crate::model::spd::matching_order;

/// List the policies in the order in which the kernel asks them
#[derive(Clone, Debug, Args)]
#[command(after_long_help = JSON_HELP)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    form: Form,
    /// The table's columns, in their order
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "form",
        value_parser = NamedColumns(PolicyColumn::ALL.to_vec()))]
    columns: Vec<PolicyColumn>,
}

const JSON_HELP: &str = "\
JSON: {\"schema\": 1, \"policies\": [...], \"defaults\": {in, fwd, out}}. Each policy has direction (out, \
in, fwd, or socket in and socket out for those of programs), selector {source, destination, protocol, \
protocol_number, source_port and destination_port {value, mask}, interface, user, any_family}, action, \
priority, index, kind (main or sub), flags, share, mark {value, mask}, if_id, limits {bytes, packets, \
since_added_secs, since_used_secs, each {soft, hard}}, used {bytes, packets, added_at, used_at}, \
security_label, security_doi, security_algorithm, offload {interface, flags}, templates \
[{protocol, mode, source, destination, spi, spi_number, reqid, required, share, encryption_mask, \
authentication_mask, compression_mask}], unknown [{attribute, length, bytes}], whose bytes are not told. What is not set is null; \
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
    let twinless = listing::twinless(policies.iter());
    policies.sort_by(matching_order);
    if let Some(filter) = filter {
        let mut scratch = String::new();
        policies.retain(|policy| {
            let filtered = FilteredRow { object: Object::Policy(policy), now };
            filter.fits(&filtered, &mut search(&row(policy, now), &arguments.columns, &mut scratch))
        });
    }
    if let Some(form) = arguments.form.written() {
        let policies: Vec<&Policy> = policies.iter().collect();
        listing::write_policies(out, &policies, form, kernel.defaults().ok(), &twinless)?;
    } else {
        write_table(&policies, now, &arguments.columns, out)?;
        if let Ok(defaults) = kernel.defaults() {
            writeln!(out, "\nWithout a policy: {}", crate::console::state::defaults_words(defaults))?;
        }
    }
    Ok(())
}

/// A table of policies in this order, with the usual columns where none is asked for.
pub(super) fn write_table(
    policies: &[Policy],
    now: u64,
    columns: &[PolicyColumn],
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows: Vec<PolicyRow<'_>> = policies.iter().map(|policy| row(policy, now)).collect();
    list::write_table(out, if columns.is_empty() { PolicyColumn::USUAL } else { columns }, &rows)
}

fn row(policy: &Policy, now: u64) -> PolicyRow<'_> {
    PolicyRow { policy, interface: None, now }
}
