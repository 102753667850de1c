//! `espial sa`: the SAD without a screen.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::list::{self, Filter, Form, NamedColumns};
use crate::console::columns::{Columns, SaColumn, SaRow, search};
use crate::dialect::listing;
use crate::kernel::namespace::local_addresses;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::row_filter::{FilteredRow, Object, Rows};
use crate::model::{Sa, SaDirection};

/// List the security associations
#[derive(Clone, Debug, Args)]
#[command(after_long_help = JSON_HELP)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    form: Form,
    /// Print keys too; without this they appear in no form
    #[arg(long)]
    show_keys: bool,
    /// The table's columns, in their order
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "form",
        value_parser = NamedColumns(without_rates(SaColumn::ALL)))]
    columns: Vec<SaColumn>,
}

const JSON_HELP: &str = "\
JSON: {\"schema\": 1, \"sas\": [...]}. Each SA has source, destination, protocol, spi (hex text), \
spi_number, mode, reqid, direction (in, out or null), mark {value, mask}, if_id, flags, larval, encryption, \
authentication and aead {name, key_bits, key, key_redacted, icv_bits}, compression, replay {window, \
received, sent, bitmap}, errors {before_window, replayed, integrity_failed}, limits {bytes, packets, \
since_added_secs, since_used_secs, each {soft, hard}}, used {bytes, packets, added_at, used_at}, \
last_used_at, selector {source, destination, protocol, protocol_number, source_port and destination_port \
{value, mask}, interface, user, any_family}, acquire_sequence, encapsulation {kind, source_port, \
destination_port, original}, output_mark, tfc_padding, offload {interface, flags}, care_of, security_label, security_doi, security_algorithm, \
extra_flags, replay_threshold, timer_threshold, mapping_threshold_secs, nat_keepalive_secs, cpu, iptfs {drop_time_us, reorder_window, \
dont_fragment, initial_delay_us, largest_queue_bytes, packet_bytes}, unknown \
[{attribute, length, bytes}]. What is not set is null. Times are seconds since the Unix epoch. A key is 0x \
and hex digits, and null without --show-keys.";

/// Lists the SAs of the calling thread's namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut kernel = XfrmKernel::open()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    print(arguments, &mut kernel, &local_addresses(), now, &mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a kernel's SAs, oldest first; `here` are the host's addresses, `now` is in seconds since the epoch.
///
/// # Errors
/// When the kernel refuses, or the output does not take it.
pub fn print(
    arguments: &Arguments,
    kernel: &mut dyn Kernel,
    here: &[IpAddr],
    now: u64,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let filter = arguments.filter.read(Rows::Sas)?;
    let mut sas = kernel.sas()?;
    // The kernel gives the newest first.
    sas.reverse();
    if let Some(filter) = filter {
        let mut scratch = String::new();
        sas.retain(|sa| {
            let row = row(sa, here, now);
            let filtered = FilteredRow { object: Object::Sa(sa, row.direction), now };
            filter.fits(&filtered, &mut search(&row, &arguments.columns, &mut scratch))
        });
    }
    match arguments.form.written() {
        Some(form) => {
            let sas: Vec<&Sa> = sas.iter().collect();
            listing::write_sas(out, &sas, form, list::keys(arguments.show_keys))?;
        }
        None => write_table(&sas, here, now, &arguments.columns, out)?,
    }
    Ok(())
}

/// A table of SAs in this order, with the usual columns where none is asked for.
pub(super) fn write_table(
    sas: &[Sa],
    here: &[IpAddr],
    now: u64,
    columns: &[SaColumn],
    out: &mut dyn Write,
) -> io::Result<()> {
    let usual = without_rates(SaColumn::USUAL);
    let rows: Vec<SaRow<'_>> = sas.iter().map(|sa| row(sa, here, now)).collect();
    list::write_table(out, if columns.is_empty() { &usual } else { columns }, &rows)
}

/// Rates need two looks.
fn without_rates(columns: &[SaColumn]) -> Vec<SaColumn> {
    columns.iter().copied().filter(|column| !column.is_rate()).collect()
}

fn row<'a>(sa: &'a Sa, here: &[IpAddr], now: u64) -> SaRow<'a> {
    let direction = sa.direction.or_else(|| match (here.contains(&sa.source), here.contains(&sa.destination)) {
        (_, true) => Some(SaDirection::In),
        (true, false) => Some(SaDirection::Out),
        (false, false) => None,
    });
    SaRow { sa, direction, packet_rate: None, byte_rate: None, now }
}
