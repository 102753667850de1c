//! `espial sa`: the SAD without a screen.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use zeroize::Zeroizing;

use super::json::SaList;
use super::list::{self, Filter, Form};
use crate::console::columns::{SaColumn, SaRow, search};
use crate::dialect::{HIDDEN_KEY, iproute2, left_out_of_sa, setkey};
use crate::kernel::namespace::local_addresses;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::row_filter::{FilteredRow, Object, Rows};
use crate::model::{Sa, SaDirection, SaSpec};

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
}

const JSON_HELP: &str = "\
JSON: {\"schema\": 1, \"sas\": [...]}. Each SA has source, destination, protocol, spi (hex text), \
spi_number, mode, reqid, direction (in, out or null), mark {value, mask}, if_id, flags, larval, encryption, \
authentication and aead {name, key_bits, key, key_redacted, icv_bits}, compression, replay {window, \
received, sent, bitmap}, errors {before_window, replayed, integrity_failed}, limits {bytes, packets, \
since_added_secs, since_used_secs, each {soft, hard}}, used {bytes, packets, added_at, used_at}, \
last_used_at, selector {source, destination, protocol, protocol_number, source_port and destination_port \
{value, mask}, interface, user, any_family}, acquire_sequence, encapsulation {kind, source_port, \
destination_port, original}, output_mark, tfc_padding, offload {interface, flags}, care_of, security_label, \
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
            filter.fits(&filtered, &mut search::<_, SaColumn>(&row, &mut scratch))
        });
    }
    let keys = list::keys(arguments.show_keys);
    if arguments.form.json {
        serde_json::to_writer_pretty(&mut *out, &SaList::of(sas.iter(), keys)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if arguments.form.setkey {
        write_lines(&sas, |spec| setkey::print::sa(spec, keys), out)?;
    } else if arguments.form.ip {
        write_lines(&sas, |spec| iproute2::sa(spec, keys), out)?;
    } else {
        write_table(&sas, here, now, out)?;
    }
    Ok(())
}

/// A table of SAs in this order.
pub(super) fn write_table(sas: &[Sa], here: &[IpAddr], now: u64, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<SaRow<'_>> = sas.iter().map(|sa| row(sa, here, now)).collect();
    list::write_table(out, COLUMNS, &rows)
}

/// The console's columns, without rates: those need two looks.
const COLUMNS: &[SaColumn] = &[
    SaColumn::Direction,
    SaColumn::Source,
    SaColumn::Destination,
    SaColumn::Protocol,
    SaColumn::Spi,
    SaColumn::Mode,
    SaColumn::Encryption,
    SaColumn::Authentication,
    SaColumn::ReqId,
    SaColumn::Age,
    SaColumn::State,
];

fn row<'a>(sa: &'a Sa, here: &[IpAddr], now: u64) -> SaRow<'a> {
    let direction = sa.direction.or_else(|| match (here.contains(&sa.source), here.contains(&sa.destination)) {
        (_, true) => Some(SaDirection::In),
        (true, false) => Some(SaDirection::Out),
        (false, false) => None,
    });
    SaRow { sa, direction, packet_rate: None, byte_rate: None, now }
}

fn write_lines(sas: &[Sa], words: impl Fn(&SaSpec) -> Zeroizing<String>, out: &mut dyn Write) -> io::Result<()> {
    for sa in sas {
        if sa.is_larval() {
            writeln!(out, "# {} reserves its SPI and has no keys yet", sa.id())?;
        } else if sa.is_made_by_kernel() {
            writeln!(out, "# {} comes and goes with an IPComp SA: the kernel makes it", sa.id())?;
        } else {
            let left_out = left_out_of_sa(sa).join(", ");
            let line = words(&sa.to_spec());
            // A statement of setkey's says all: what it cannot say is no statement.
            if !left_out.is_empty() && !line.starts_with("add ") {
                writeln!(out, "# {}: what follows leaves out its {left_out}", sa.id())?;
            }
            // Without its keys it is nothing to be carried out.
            let mark = if line.contains(HIDDEN_KEY) && !line.starts_with('#') { "# " } else { "" };
            writeln!(out, "{mark}{}", *line)?;
        }
    }
    Ok(())
}
