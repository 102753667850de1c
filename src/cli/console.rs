//! The console, opened.

use std::process::ExitCode;
use std::thread;

use anyhow::Context;

use super::Common;
use crate::console::runtime::{self, Options};
use crate::console::state::Setting;
use crate::console::theme::{self, Theme};
use crate::kernel::namespace::Namespace;
use crate::kernel::{Support, XfrmKernel};
use crate::lab;
use crate::privilege;
use crate::settings::{Environment, Settings};

/// Opens the console on the namespace of the calling thread, which must be the only thread.
///
/// # Errors
/// When the settings are wrong or there is no terminal.
pub fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let settings = Settings::gather(&common.flags(), &Environment::of_process())?;
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
    let other_kernel = other_host.as_ref().filter(|_| !settings.read_only).and_then(|host| kernel_of(host));
    privilege::drop_the_rest();
    let setting = Setting {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        namespace: common.netns.clone(),
        read_only: settings.read_only,
        other_host: other_kernel.is_some().then_some(other_host).flatten(),
        themes: theme::names(settings.theme_folder.as_deref()),
        interface: settings.interface,
        capture_at_start: settings.capture_at_start,
        complaints,
    };
    let options = Options {
        setting,
        theme,
        theme_folder: settings.theme_folder,
        capture: settings.capture,
        other_host: other_kernel,
        support,
    };
    runtime::run(options).context("the terminal")?;
    Ok(ExitCode::SUCCESS)
}

/// The kernel as a host of the lab sees it.
fn kernel_of(host: &str) -> Option<XfrmKernel> {
    Namespace::named(host).ok()?.within(XfrmKernel::open).ok()?.ok()
}
