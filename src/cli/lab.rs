//! `espial lab`, and the hidden commands that it starts of itself.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::Common;
use crate::lab::{self, BROKEN, Ground, HostName, Options, Profile};

const ABOUT: &str = "\
Open the console on two hosts with real IPsec between them, or run a command there\n\n\
The hosts are gouda (10.9.0.1, fd00:9::1) and reblochon (10.9.0.2, fd00:9::2). Where this kernel has ESP and AH and \
lets you make namespaces, they live on it; elsewhere in a User-Mode Linux kernel whose root are this machine's files, \
read-only: there, whatever is written inside vanishes. The exit status is the command's; 125 means that there is no \
lab.";

/// Open the console on two hosts with real IPsec between them, or run a command there
#[derive(Clone, Debug, Args)]
#[command(long_about = ABOUT)]
pub struct Arguments {
    /// What protects the traffic between the hosts at the start
    #[arg(long, value_enum, default_value_t = ProfileName::Article)]
    profile: ProfileName,
    /// Force one kind of kernel
    #[arg(long, value_enum)]
    kernel: Option<KernelName>,
    /// The host that the command runs on
    #[arg(long, value_enum, default_value_t = Host::Gouda)]
    on: Host,
    /// A folder that is writable inside, at the same path; may be given several times
    #[arg(long, value_name = "DIR")]
    out: Vec<PathBuf>,
    /// Memory of a User-Mode Linux kernel, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=65536))]
    memory: u32,
    /// The command to run instead of the console
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    /// The article's listing: AH around ESP, transport mode, with the article's keys
    Article,
    /// AES-GCM, transport mode, random keys
    Gcm,
    /// An AES-GCM tunnel between 10.1.0.0/24 and 10.2.0.0/24, random keys
    Tunnel,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KernelName {
    /// This machine's own
    Host,
    /// User-Mode Linux
    Uml,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Host {
    Gouda,
    Reblochon,
}

/// Runs the lab.
pub fn run(arguments: Arguments, common: &Common) -> ExitCode {
    let command = if arguments.command.is_empty() { console(common) } else { arguments.command };
    let options = Options {
        profile: match arguments.profile {
            ProfileName::Article => Profile::Article,
            ProfileName::Gcm => Profile::Gcm,
            ProfileName::Tunnel => Profile::Tunnel,
            ProfileName::None => Profile::None,
        },
        ground: arguments.kernel.map(|kernel| match kernel {
            KernelName::Host => Ground::Host,
            KernelName::Uml => Ground::Uml,
        }),
        on: match arguments.on {
            Host::Gouda => HostName::Gouda,
            Host::Reblochon => HostName::Reblochon,
        },
        out: arguments.out,
        memory_mib: arguments.memory,
        command,
    };
    match lab::run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            if !matches!(error, lab::LabError::Signal(_)) {
                let _ = writeln!(io::stderr(), "espial: {error}");
            }
            ExitCode::from(error.status())
        }
    }
}

/// The console inside, told what this program was told.
fn console(common: &Common) -> Vec<OsString> {
    std::iter::once("espial".into()).chain(common.console_arguments()).collect()
}

/// The commands that the lab starts of this program; not for users.
#[derive(Debug, Subcommand)]
pub enum Stage {
    #[command(name = lab::keeper::COMMAND, hide = true)]
    Keeper { folder: PathBuf },
    #[command(name = lab::here::PROBE, hide = true)]
    Probe,
    #[command(name = lab::here::OUTER, hide = true)]
    Outer { folder: PathBuf },
    #[command(name = lab::here::INNER, hide = true)]
    Inner { folder: PathBuf },
    #[command(name = lab::inside::COMMAND, hide = true)]
    Exec {
        #[arg(long)]
        on: String,
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        session: bool,
        #[arg(long)]
        terminal: bool,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

/// Runs a stage of the lab.
pub fn run_stage(stage: Stage) -> ExitCode {
    match stage {
        Stage::Keeper { folder } => {
            lab::keeper::keep(folder.as_os_str());
            ExitCode::SUCCESS
        }
        Stage::Probe => match lab::here::probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(obstacle) => {
                let _ = writeln!(io::stdout(), "{obstacle}");
                ExitCode::FAILURE
            }
        },
        Stage::Outer { folder } => ExitCode::from(lab::here::outer(&folder)),
        Stage::Inner { folder } => ExitCode::from(lab::here::inner(&folder)),
        Stage::Exec { on, folder, session, terminal, command } => {
            let (status, why) = lab::inside::exec(&lab::inside::Exec { on, folder, session, terminal, command });
            let _ = writeln!(io::stderr(), "espial: {why}");
            ExitCode::from(if status == 0 { BROKEN } else { status })
        }
    }
}
