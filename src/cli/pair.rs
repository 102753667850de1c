//! `espial pair`: what protects the traffic with another host, made on this one, and the other one's script.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::dialect::Keys;
use crate::dialect::script::{self, script};
use crate::kernel::{Kernel, Operation, XfrmKernel, together};
use crate::model::check::{self, Severity};
use crate::model::lifetime::parse_seconds;
use crate::model::number::parse_u32;
use crate::model::pair::{Half, PairPlan, Protection, SUITES, Suite, free_reqid};
use crate::model::{IfId, LifetimeLimits, Mark, PolicySpec, Prefix, ReqId, Spi};
use crate::privilege::write_private;

/// Protect the traffic with another host: SAs both ways, and policies
///
/// Makes this host's half with random keys, all of it or nothing, and gives the mirrored script for the other host.
/// Traffic between them stops until that one has run there.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// This host's address
    here: IpAddr,
    /// The other host's address
    there: IpAddr,
    /// Make a tunnel between the networks behind the two hosts instead of protecting the hosts' own traffic
    #[arg(long, num_args = 2, value_names = ["OWN", "FAR"])]
    networks: Option<Vec<Prefix>>,
    /// What protects the packets
    #[arg(long, value_enum, default_value_t = Protect::Esp)]
    protect: Protect,
    /// Compress packets first (IPComp)
    #[arg(long)]
    compress: bool,
    /// The algorithms: aes-256-gcm, aes-128-gcm, chacha20-poly1305, aes-256-cbc-sha512, or 3des-sha1 (legacy)
    #[arg(long, value_name = "NAME", default_value = SUITES[0].name, value_parser = suite)]
    suite: &'static Suite,
    /// How long the SAs live, as 8h or 86400; a hundredth of it before, the kernel begins to warn
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    lifetime: Option<u64>,
    /// The number that ties SAs and policies together; one that is free if it is left out
    #[arg(long, value_name = "N", value_parser = parse_u32)]
    reqid: Option<u32>,
    /// The policies' priority; the lowest is asked first
    #[arg(long, value_name = "N", value_parser = parse_u32, default_value_t = PolicySpec::SETKEY_PRIORITY)]
    priority: u32,
    /// Only for packets with this mark, on this host
    #[arg(long, value_name = "VALUE[/MASK]")]
    mark: Option<Mark>,
    /// Only for packets through this xfrm interface, on this host
    #[arg(long, value_name = "N", value_parser = parse_u32)]
    if_id: Option<u32>,
    /// Only make SAs with new keys, for policies that both hosts have; the old SAs stay until they are deleted
    #[arg(long, conflicts_with_all = ["reqid", "priority"])]
    only_keys: bool,
    /// What the script is written in
    #[arg(long, value_enum, default_value_t = Language::Ip)]
    language: Language,
    /// Write the other host's script, keys and all, into this file, which its owner alone may read; - prints it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Change nothing: only show both halves, without keys
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protect {
    /// Encrypted and authentic
    Esp,
    /// Authentic with its header, but not encrypted
    Ah,
    /// Both
    #[value(name = "esp+ah")]
    EspAh,
    /// Neither: packets are only made smaller
    Ipcomp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Commands of `ip xfrm`
    Ip,
    /// Statements of setkey, which cannot say AES-GCM on Linux
    Setkey,
}

fn suite(name: &str) -> Result<&'static Suite, String> {
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    Suite::named(name).ok_or_else(|| format!("there are {}", names.join(", ")))
}

impl Arguments {
    /// Whether nothing is to be changed.
    pub fn only_says(&self) -> bool {
        self.dry_run
    }

    fn plan(&self, kernel: &mut dyn Kernel) -> anyhow::Result<PairPlan> {
        let limits = self.lifetime.map_or_else(LifetimeLimits::default, LifetimeLimits::ending_after);
        let mut plan = PairPlan {
            networks: self.networks.as_deref().and_then(|networks| networks.try_into().ok()),
            protection: match self.protect {
                Protect::Esp => Protection::Esp,
                Protect::Ah => Protection::Ah,
                Protect::EspAh => Protection::EspAh,
                Protect::Ipcomp => Protection::Nothing,
            },
            compress: self.compress,
            suite: self.suite,
            priority: self.priority,
            limits,
            mark: self.mark,
            if_id: self.if_id.map(IfId),
            only_keys: self.only_keys,
            ..PairPlan::between(self.here, self.there)
        };
        let policies = kernel.policies()?;
        plan.reqid = match self.reqid {
            Some(reqid) => ReqId(reqid),
            None if self.only_keys => {
                plan.reqid_in(&policies).context("this host has no policy for this pair that demands SAs")?
            }
            None => free_reqid(&kernel.sas()?, &policies),
        };
        Ok(plan)
    }
}

/// Makes the pair.
///
/// # Errors
/// When the plan cannot be, the kernel refuses, or the script cannot be written. Then nothing has been changed.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    pair(arguments, &mut XfrmKernel::open()?, &mut out, &mut complaints)
}

/// Makes the pair in a kernel.
///
/// # Errors
/// As for [`run`].
pub fn pair(
    arguments: &Arguments,
    kernel: &mut dyn Kernel,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let plan = arguments.plan(kernel)?;
    let used: Vec<(IpAddr, Spi)> = kernel.sas()?.iter().map(|sa| (sa.destination, sa.spi)).collect();
    let mut given = Vec::new();
    let free_spi = |protocol| {
        let spi = Spi::random(protocol, |spi| given.contains(&spi) || used.iter().any(|(_, used)| *used == spi))?;
        given.push(spi);
        Ok(spi)
    };
    let halves = plan.make(free_spi).context("random numbers")?;
    refuse_problems(&plan, &halves)?;
    for (_, warning) in plan.warnings() {
        writeln!(complaints, "espial: warning: {warning}")?;
    }
    let language = match arguments.language {
        Language::Ip => script::Language::Ip,
        Language::Setkey => script::Language::Setkey,
    };
    let keys = if arguments.dry_run { Keys::Hide } else { Keys::Show };
    let text = |half, host: IpAddr| {
        let heading = format!("IPsec between {} and {}: the half of {host}", plan.here, plan.there);
        script(half, language, &heading, keys)
            .with_context(|| format!("{} cannot say all of this; --language ip can", language.name()))
    };
    let [here, there] = &halves;
    let mirrored = text(there, plan.there)?;
    if arguments.dry_run {
        write!(out, "{}\n{}", *text(here, plan.here)?, *mirrored)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(path) = &arguments.output else {
        bail!(
            "say where the script for {} goes, which holds its keys: -o FILE, or -o - for standard output",
            plan.there
        );
    };
    let file = Some(path).filter(|path| path.as_os_str() != "-");
    if let Some(path) = file {
        // Before anything is changed: what the other host needs must not be lost.
        write_private(path, mirrored.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    }
    if let Err(refusal) = together::add(kernel, here) {
        if let Some(path) = file {
            let _ = std::fs::remove_file(path);
        }
        // If even that could not be taken back, something has been.
        let is_left = matches!(refusal.operation, Operation::TakeBack(_));
        return if is_left { Err(refusal.into()) } else { Err(refusal).context("nothing has been changed") };
    }
    match file {
        Some(path) => {
            // All is done: a reader that has gone changes nothing.
            let (path, size) = (path.display(), here.size());
            let _ = writeln!(
                complaints,
                "espial: made {size} here; traffic is lost until {path} has run on {}",
                plan.there
            );
        }
        None => out.write_all(mirrored.as_bytes()).and_then(|()| out.flush()).with_context(|| {
            format!("this host's half is made, but the script for {} could not be written", plan.there)
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse_problems(plan: &PairPlan, halves: &[Half; 2]) -> anyhow::Result<()> {
    let mut problems = plan.problems();
    for half in halves {
        let is_error = |severity| severity == Severity::Error;
        problems.extend(half.sas.iter().flat_map(check::sa).filter(|p| is_error(p.severity)).map(|p| p.sentence));
        problems
            .extend(half.policies.iter().flat_map(check::policy).filter(|p| is_error(p.severity)).map(|p| p.sentence));
    }
    problems.dedup();
    match problems.first() {
        Some(problem) => bail!("{problem}"),
        None => Ok(()),
    }
}
