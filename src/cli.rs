//! The command line: arguments, and one file for each command that works without a screen.
//!
//! Only these files print. A command returns its exit status; an error that reaches [`run`] is printed on standard
//! error in one line and becomes status 1.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::observer::Place;
use crate::capture::Method;
use crate::settings::{Environment, Flags, Settings};

pub mod apply;
mod check;
mod console;
pub mod filled;
pub mod forms;
mod lab;
mod line;
mod list;
mod names;
mod observer;
mod packets;
pub mod pair;
pub mod policy;
pub mod print;
pub mod sa;
mod secret_file;
mod signals;

/// See and change the Linux kernel's IPsec: SAs, policies and live packets.
///
/// Without a command, the console opens.
#[derive(Debug, Parser)]
#[command(name = "espial", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    prints: Prints,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where help shows the options that are the console's.
const CONSOLE: &str = "Console";

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Work in this network namespace, named as by `ip netns`
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<String>,
    /// Read this configuration file instead of ~/.config/espial/config.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = CONSOLE)]
    config: Option<PathBuf>,
    /// The console's theme; see --print-themes
    #[arg(long, global = true, value_name = "NAME", help_heading = CONSOLE)]
    theme: Option<String>,
    /// Change nothing: take every dangerous action out of the console
    #[arg(long, global = true, help_heading = CONSOLE)]
    read_only: bool,
    /// The interface that packets are taken from, or any for all of them
    #[arg(short, long, global = true, value_name = "NAME")]
    interface: Option<String>,
    /// How packets are taken: from a ring shared with the kernel, or with pnet
    #[arg(long, global = true, value_enum, value_name = "METHOD")]
    capture: Option<Method>,
}

impl Common {
    /// What the command line prefers.
    pub fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            theme: self.theme.clone(),
            read_only: self.read_only,
            interface: self.interface.clone(),
            capture: self.capture,
        }
    }
}

impl Common {
    /// The same for the console on another host.
    fn console_arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let pairs = [
            ("--config", self.config.as_ref().map(|path| path.clone().into_os_string())),
            ("--theme", self.theme.as_ref().map(OsString::from)),
            ("--interface", self.interface.as_ref().map(OsString::from)),
        ];
        for (flag, value) in pairs {
            if let Some(value) = value {
                arguments.extend([OsString::from(flag), value]);
            }
        }
        if self.capture == Some(Method::Pnet) {
            arguments.extend(["--capture".into(), "pnet".into()]);
        }
        if self.read_only {
            arguments.push("--read-only".into());
        }
        arguments
    }
}

/// What is printed instead of opening the console.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Prints {
    /// Print a configuration file that says what holds without one
    #[arg(long)]
    print_config_template: bool,
    /// Print the names of the themes
    #[arg(long)]
    print_themes: bool,
    /// Print the console's keys
    #[arg(long)]
    print_keys: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sa(sa::Arguments),
    Policy(policy::Arguments),
    Apply(apply::Arguments),
    /// Add an SA or a policy
    #[command(subcommand)]
    Add(forms::Add),
    /// Set what becomes of packets without a policy, or which policies are found by hash
    #[command(subcommand)]
    Set(forms::Set),
    /// Let the kernel reserve a free SPI, and print it
    Allocspi(forms::AllocateSpi),
    /// Delete all SAs of a protocol, or all policies of a set
    #[command(subcommand)]
    Flush(forms::Flush),
    /// Protect the traffic with another host; make new keys for it; remove that
    #[command(subcommand)]
    Pair(pair::What),
    Packets(packets::Arguments),
    Check(check::Arguments),
    Lab(lab::Arguments),
    #[command(flatten)]
    LabStage(lab::Stage),
}

/// Runs the program with the process's own arguments.
pub fn run() -> ExitCode {
    if let Some(job) = crate::lab::init::job() {
        crate::lab::init::run(&job);
    }
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // Help and version come this way too; clap knows which stream and which status.
        Err(error) => error.exit(),
    };
    let only_lists =
        matches!(arguments.command, None | Some(Command::Sa(_) | Command::Policy(_) | Command::Packets(_)));
    let is_check = matches!(arguments.command, Some(Command::Check(_)));
    match execute(arguments) {
        Ok(status) => status,
        Err(error) if only_lists && is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "espial: {error:#}");
            // 1 means in clear.
            if is_check { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let common = arguments.common;
    if let Some(name) = &common.netns {
        // Before any thread starts: namespaces belong to threads.
        crate::kernel::namespace::Namespace::named(name)?.enter()?;
    }
    if !matches!(arguments.command, None | Some(Command::Lab(_) | Command::LabStage(_))) {
        // The console does the same when it has asked what needs more.
        crate::privilege::protect_memory();
        crate::privilege::drop_the_rest();
    }
    match arguments.command {
        None => match print::asked(&arguments.prints, &common)? {
            Some(text) => {
                io::stdout().write_all(text.as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
            None => console::run(&common),
        },
        Some(Command::Sa(arguments)) => sa::run(&arguments),
        Some(Command::Policy(arguments)) => policy::run(&arguments),
        Some(Command::Apply(arguments)) => {
            may_change("apply", arguments.only_says(), &common)?;
            apply::run(&arguments)
        }
        Some(Command::Add(what)) => forms::add(&what, &common),
        Some(Command::Set(what)) => forms::set(&what, &common),
        Some(Command::Allocspi(form)) => forms::allocate_spi(&form, &common),
        Some(Command::Flush(what)) => forms::flush(&what, &common),
        Some(Command::Pair(what)) => pair::run(&what, &common),
        Some(Command::Packets(arguments)) => packets::run(&arguments, &place(&common)?),
        Some(Command::Check(arguments)) => check::run(&arguments, &place(&common)?),
        Some(Command::Lab(arguments)) => Ok(lab::run(arguments, &common)),
        Some(Command::LabStage(stage)) => Ok(lab::run_stage(stage)),
    }
}

/// Where packets are to be taken, and how.
fn place(common: &Common) -> anyhow::Result<Place> {
    let settings = Settings::gather(&common.flags(), &Environment::of_process())?;
    Ok(Place { interface: settings.interface, method: settings.capture })
}

/// Whether a command may change the kernel.
fn may_change(command: &str, only_says: bool, common: &Common) -> anyhow::Result<()> {
    if !only_says && Settings::gather(&common.flags(), &Environment::of_process())?.read_only {
        anyhow::bail!("{command} changes the kernel, and read-only forbids it (--dry-run does not)");
    }
    Ok(())
}

/// Whether the reader of our output has gone. To a list, as in `espial sa | head -1`, that is no error: it has seen enough.
/// Elsewhere the status says what has been done.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
