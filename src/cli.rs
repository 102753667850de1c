//! The command line: arguments, and one file for each command that works without a screen.
//!
//! Only these files print. A command returns its exit status; an error that reaches [`run`] is printed on standard
//! error in one line and becomes status 1.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// See and change the Linux kernel's IPsec: SAs, policies and live packets.
///
/// Without a command, the console opens.
#[derive(Debug, Parser)]
#[command(name = "espial", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Work in this network namespace, named as by `ip netns`
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Runs the program with the process's own arguments.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // Help and version come this way too; clap knows which stream and which status.
        Err(error) => error.exit(),
    };
    match execute(arguments) {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "espial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(name) = &arguments.common.netns {
        // Before any thread starts: namespaces belong to threads.
        crate::kernel::namespace::Namespace::named(name)?.enter()?;
    }
    match arguments.command {
        None => anyhow::bail!("the console is not built yet"),
        Some(command) => match command {},
    }
}

/// Whether the reader of our output has gone, as in `espial sa | head -1`: no error, it has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
