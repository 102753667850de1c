//! `espial pair`: what protects the traffic with another host, made, renewed or removed on this one, and the other one's
//! script. The options are the fields of the console's form.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use super::filled::{Filled, Judged, Planned, say};
use super::{Common, may_change};
use crate::capture::Interface;
use crate::console::form::pair::{MAKE, NEW_KEYS, PLAN, REMOVE, TUNNEL};
use crate::console::form::{FieldId, Made, Plan};
use crate::console::state::question::{Chosen, Deed};
use crate::dialect::Keys;
use crate::dialect::script::{self, script};
use crate::kernel::{Kernel, KernelError, Operation, XfrmKernel, together};
use crate::model::check::{self, Severity};
use crate::model::pair::{Half, PairPlan, Purpose, Side, Stage, Standing, free_reqid};
use crate::model::text::harmless;
use crate::model::{Sad, Spd, Spi};
use crate::privilege::write_private;

/// What is to become of the protection.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Make SAs both ways with random keys, and policies, all of it or nothing
    ///
    /// This host's half is made, and the mirrored script for the other host written. Traffic between them stops until
    /// that one has run there.
    Make(Work<Making>),
    /// Make SAs with new keys in the place of those that both hosts have, while traffic goes on
    ///
    /// This host can read the new keys at once. The rest is written as three scripts: FILE for the other host, which
    /// sends with the new keys from then on; FILE.here for this one, which does the same and deletes the old SAs; and
    /// FILE.last for the other host, which deletes the old SAs there. No packet is lost if they run in this order.
    Rekey(Work<Renewing>),
    /// Remove the SAs and policies, all of them or none
    ///
    /// What goes is listed, and goes from this host with --yes. The script that does the same on the other host is
    /// written. Without policies, traffic between them is in clear.
    Remove(Work<Removing>),
}

/// The form's fields, and where the scripts go.
#[derive(Debug, Args)]
pub struct Work<P: Planned> {
    #[command(flatten)]
    filled: Filled<P>,
    /// What the scripts are written in
    #[arg(long, value_enum, default_value_t = Language::Ip)]
    language: Language,
    /// Write what the other host needs, keys and all, into this file, which its owner alone may read; - prints it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Commands of `ip xfrm`
    Ip,
    /// Statements of setkey, which cannot say AES-GCM on Linux
    Setkey,
}

/// The form, for SAs and policies.
#[derive(Debug)]
pub enum Making {}
/// The form, for new keys.
#[derive(Debug)]
pub enum Renewing {}
/// The form, for the end of it.
#[derive(Debug)]
pub enum Removing {}

/// The hosts are in the order in which everybody says them.
const ENDS: &[FieldId] = &[FieldId::Source, FieldId::Destination];
/// Who names a network means a tunnel.
const IMPLIED: &[(FieldId, FieldId, &str)] =
    &[(FieldId::OwnNetwork, FieldId::Mode, TUNNEL), (FieldId::FarNetwork, FieldId::Mode, TUNNEL)];

impl Planned for Making {
    const SAID: Option<(FieldId, &str)> = Some((FieldId::Make, MAKE));
    const ENDS: &'static [FieldId] = ENDS;
    const IMPLIED: &'static [(FieldId, FieldId, &'static str)] = IMPLIED;
    const PLAN: &Plan = &PLAN;
}

impl Planned for Renewing {
    const SAID: Option<(FieldId, &str)> = Some((FieldId::Make, NEW_KEYS));
    const ENDS: &'static [FieldId] = ENDS;
    const IMPLIED: &'static [(FieldId, FieldId, &'static str)] = IMPLIED;
    const PLAN: &Plan = &PLAN;
}

impl Planned for Removing {
    const SAID: Option<(FieldId, &str)> = Some((FieldId::Make, REMOVE));
    const ENDS: &'static [FieldId] = ENDS;
    const IMPLIED: &'static [(FieldId, FieldId, &'static str)] = IMPLIED;
    const PLAN: &Plan = &PLAN;
}

/// Does it.
///
/// # Errors
/// When the kernel refuses, or a script cannot be written. Then nothing has been changed.
pub fn run(what: &What, common: &Common) -> anyhow::Result<ExitCode> {
    match what {
        What::Make(work) => begin(work, common),
        What::Rekey(work) => begin(work, common),
        What::Remove(work) => begin(work, common),
    }
}

fn begin<P: Planned>(work: &Work<P>, common: &Common) -> anyhow::Result<ExitCode> {
    may_change("pair", work.filled.only_says(), common)?;
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    let mut kernel = XfrmKernel::open().and_then(|mut kernel| kernel.counts().map(|_| kernel));
    let kernel = kernel.as_mut().map(|kernel| kernel as &mut dyn Kernel).map_err(|error| error.clone());
    pair(work, kernel, &crate::capture::interfaces(), &mut out, &mut complaints)
}

/// Does it in a kernel.
///
/// # Errors
/// As for [`run`].
pub fn pair<P: Planned>(
    work: &Work<P>,
    kernel: Result<&mut dyn Kernel, KernelError>,
    interfaces: &[Interface],
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let Some(Judged { made: Made::Pair(mut plan), mut waits_for_yes, sad, spd, mut kernel }) =
        work.filled.judge(kernel, interfaces, complaints)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    let is_dry = work.filled.only_says();
    if plan.purpose == Purpose::Make && plan.reqid.0 == 0 {
        plan.reqid = free_reqid(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
    }
    let standing = plan.standing(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
    let stages = stages(&plan, &standing, &sad)?;
    if plan.purpose == Purpose::Remove {
        let listed = victims(&stages, &sad, &spd).iter().try_for_each(|victim| writeln!(complaints, "{victim}"));
        listed.context("what goes could not be shown")?;
        let output = kernel.as_mut().and_then(|kernel| kernel.defaults().ok()).map(|defaults| defaults.output);
        let policies = spd.iter().map(|(_, policy)| policy);
        say(complaints, format_args!("{}", plan.afterwards(&standing, policies, output)));
        waits_for_yes = !work.filled.says_yes();
    }
    let texts = work.texts(&plan, &stages, if is_dry { Keys::Hide } else { Keys::Show })?;
    if is_dry {
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        write!(out, "{}", texts.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if waits_for_yes {
        say(complaints, format_args!("nothing has been done; --yes does it all the same"));
        return Ok(ExitCode::FAILURE);
    }
    let Some(kernel) = kernel else {
        bail!("the kernel cannot be changed");
    };
    let scripts = texts.get(1..).unwrap_or_default();
    let files = work.files(&plan, scripts.len())?;
    // Before anything is changed: what the other host needs must not be lost.
    write_files(&files, scripts)?;
    let Some(Stage { half, .. }) = stages.first() else {
        bail!("there is nothing to do");
    };
    if let Err(refusal) = undisturbed(|| together::exchange(kernel, half)) {
        forget(&files);
        // If even that could not be taken back, something has been.
        let is_left = matches!(refusal.operation, Operation::TakeBack(_));
        return if is_left { Err(refusal.into()) } else { Err(refusal).context("nothing has been changed") };
    }
    if files.is_empty() {
        let text = scripts.first().map(|text| text.as_bytes()).unwrap_or_default();
        out.write_all(text).and_then(|()| out.flush()).with_context(|| {
            format!("it is done on this host, but the script for {} could not be written", plan.there)
        })?;
    }
    // All is done: a reader that has gone changes nothing.
    say(complaints, format_args!("{} here; {}", half.deed(), rest(&plan, &files)));
    Ok(ExitCode::SUCCESS)
}

/// Does what no interruption may break off half-way; one that comes meanwhile comes too late. Once in a process: a
/// second time, the first would let it end.
fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let may_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Where that is refused, it is no worse than without.
        let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&may_end));
    }
    let result = work();
    may_end.store(true, Ordering::Relaxed);
    result
}

/// The steps of a plan; the first is the one that is taken here and now.
fn stages(plan: &PairPlan, standing: &Standing<'_>, sad: &Sad) -> anyhow::Result<Vec<Stage>> {
    let mut given = Vec::new();
    let free_spi = |protocol| {
        let spi = Spi::random(protocol, |spi| given.contains(&spi) || sad.has_spi(spi))?;
        given.push(spi);
        Ok(spi)
    };
    let stages = plan.stages(standing, free_spi)?;
    let is_error = |severity| severity == Severity::Error;
    for Half { sas, policies, .. } in stages.iter().map(|stage| &stage.half) {
        let of_sas = sas.iter().flat_map(check::sa).filter(|p| is_error(p.severity)).map(|p| p.sentence);
        let of_policies = policies.iter().flat_map(check::policy).filter(|p| is_error(p.severity)).map(|p| p.sentence);
        if let Some(problem) = of_sas.chain(of_policies).next() {
            bail!("{problem}");
        }
    }
    Ok(stages)
}

/// What goes from this host, a line for each.
fn victims(stages: &[Stage], sad: &Sad, spd: &Spd) -> Vec<String> {
    let here = stages.iter().filter(|stage| stage.side == Side::Here).map(|stage| &stage.half);
    let lines = |half: &Half| {
        let sas = half.old_sas.iter().map(|old| old.id).collect();
        let deeds =
            [Deed::DeletePolicies(half.old_policies.clone(), Chosen::Filtered), Deed::DeleteSas(sas, Chosen::Filtered)];
        deeds.map(|deed| deed.victims(sad, spd, 0..usize::MAX).1).concat()
    };
    here.flat_map(lines).collect()
}

impl<P: Planned> Work<P> {
    /// Each step as a script.
    fn texts(&self, plan: &PairPlan, stages: &[Stage], keys: Keys) -> anyhow::Result<Vec<Zeroizing<String>>> {
        let language = match self.language {
            Language::Ip => script::Language::Ip,
            Language::Setkey => script::Language::Setkey,
        };
        let text = |stage: &Stage| {
            script(&stage.half, language, &plan.heading(stage.side, &stage.half), keys)
                .with_context(|| format!("{} cannot say all of this; --language ip can", language.name()))
        };
        stages.iter().map(text).collect()
    }

    /// Where the scripts go that are left; nowhere means standard output.
    fn files(&self, plan: &PairPlan, scripts: usize) -> anyhow::Result<Vec<PathBuf>> {
        let there = plan.there;
        match (&self.output, plan.purpose) {
            (None, Purpose::Remove) => Ok(Vec::new()),
            (None, _) => bail!(
                "say where the script for {there} goes, which holds its keys: -o FILE{}",
                if scripts > 1 { "" } else { ", or -o - for standard output" }
            ),
            (Some(path), _) if path.as_os_str() == "-" && scripts > 1 => {
                bail!("new keys take {scripts} scripts more, one after the other: -o FILE")
            }
            (Some(path), _) if path.as_os_str() == "-" => Ok(Vec::new()),
            (Some(path), _) => Ok(["", ".here", ".last"].iter().take(scripts).map(|end| with_end(path, end)).collect()),
        }
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Writes all of them or none.
fn write_files(files: &[PathBuf], scripts: &[Zeroizing<String>]) -> anyhow::Result<()> {
    for (written, (path, text)) in files.iter().zip(scripts).enumerate() {
        if let Err(error) = write_private(path, text.as_bytes()) {
            forget(files.get(..written).unwrap_or_default());
            return Err(error).with_context(|| format!("writing {}", shown(path)));
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    harmless(&path.display().to_string()).into_owned()
}

fn forget(files: &[PathBuf]) {
    for path in files {
        let _ = fs::remove_file(path);
    }
}

/// What is left to do, and what holds until then.
fn rest(plan: &PairPlan, files: &[PathBuf]) -> String {
    let there = plan.there;
    let names: Vec<String> = files.iter().map(|path| shown(path)).collect();
    match (plan.purpose, names.as_slice()) {
        (Purpose::NewKeys(_), [first, second]) => {
            format!("no traffic is lost if now {first} runs on {there}, then {second} here")
        }
        (Purpose::NewKeys(_), [first, second, last, ..]) => {
            format!("no traffic is lost if now {first} runs on {there}, then {second} here, and {last} on {there}")
        }
        (_, []) => format!("traffic is lost until the script has run on {there}"),
        (_, names) => format!("traffic is lost until {} has run on {there}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_is_not_interrupted() {
        undisturbed(|| [SIGINT, SIGTERM, SIGHUP].map(|signal| signal_hook::low_level::raise(signal).unwrap()));
    }
}
