//! The console, opened.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use anyhow::Context;

use super::Common;
use crate::console::columns::{ChosenColumns, Columns};
use crate::console::remembered;
use crate::console::runtime::{self, Options};
use crate::console::state::{Screen, Setting};
use crate::console::theme::{self, Theme};
use crate::kernel::namespace::Namespace;
use crate::kernel::{Support, XfrmKernel};
use crate::lab;
use crate::privilege;
use crate::settings::{ColumnNames, Environment, Settings};

/// Opens the console on the namespace of the calling thread, which must be the only thread.
///
/// # Errors
/// When the settings are wrong or there is no terminal.
pub fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let settings = Settings::gather(&common.flags(), &Environment::of_process())?;
    let (columns, settled) = columns(&settings)?;
    let theme = Theme::load(&settings.theme, settings.theme_folder.as_deref())?;
    if settings.force_colour {
        crossterm::style::force_color_output(true);
    }
    let complaints = privilege::complaints(privilege::effective());
    privilege::protect_memory();
    // It needs rights that the console then gives up; threads started before keep theirs.
    let support = thread::Builder::new().name("kernel-ask".to_owned()).spawn(move || {
        // Asking makes the kernel load its modules, which is more than looking.
        if settings.read_only { Support::look() } else { Support::ask() }
    })?;
    // It lies in another namespace, which may be entered now and not later.
    let other_host = lab::other_host();
    let other_kernel = other_host.as_ref().filter(|_| !settings.read_only).and_then(|(host, _)| kernel_of(host));
    privilege::drop_the_rest();
    let setting = Setting {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        namespace: common.netns.clone(),
        read_only: settings.read_only,
        other_address: other_host.as_ref().map(|(_, address)| *address),
        other_host: other_kernel.is_some().then_some(other_host).flatten().map(|(host, _)| host),
        themes: theme::names(settings.theme_folder.as_deref()),
        interface: settings.interface,
        capture_at_start: settings.capture_at_start,
        complaints,
        columns,
        settled,
    };
    let options = Options {
        setting,
        theme,
        theme_folder: settings.theme_folder,
        state_folder: settings.state_folder,
        capture: settings.capture,
        other_host: other_kernel,
        support,
    };
    if let Some(words) = runtime::run(options).context("the terminal")? {
        // Nobody may be there to read it any more.
        let _ = writeln!(io::stderr(), "espial: {words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The columns that are shown at first, and the screens whose columns the configuration says.
fn columns(settings: &Settings) -> anyhow::Result<(ChosenColumns, Vec<Screen>)> {
    fn said<C: Columns>(table: &str, names: Option<&Vec<String>>) -> anyhow::Result<Option<Vec<C>>> {
        let refused = |reason| anyhow::anyhow!("the configuration's columns.{table}: {reason}");
        names.map(|names| C::read(names)).transpose().map_err(refused)
    }
    let ColumnNames { sas, policies, packets } = &settings.columns;
    let remembered = remembered::read(settings.state_folder.as_deref());
    let said_by = [(sas, Screen::Sas), (policies, Screen::Policies), (packets, Screen::Packets)];
    let settled = said_by.into_iter().filter(|(names, _)| names.is_some()).map(|(_, screen)| screen).collect();
    let columns = ChosenColumns {
        sas: said("sas", sas.as_ref())?.or(remembered.sas),
        policies: said("policies", policies.as_ref())?.or(remembered.policies),
        packets: said("packets", packets.as_ref())?.or(remembered.packets),
    };
    Ok((columns, settled))
}

/// The kernel as a host of the lab sees it.
fn kernel_of(host: &str) -> Option<XfrmKernel> {
    Namespace::named(host).ok()?.within(XfrmKernel::open).ok()?.ok()
}
