//! `espial apply`: a script of setkey's or of `ip xfrm` commands, checked whole before anything is done.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::names::SystemNames;
use super::secret_file;
use crate::dialect::deed::{Deed, Script};
use crate::dialect::report::{excerpt, place_of};
use crate::dialect::setkey::Reading;
use crate::dialect::{Keys, ip_script, iproute2, setkey};
use crate::kernel::namespace::{interface_number, local_addresses};
use crate::kernel::preview::{Fate, Preview, preview};
use crate::kernel::together::{self, Answer, Step};
use crate::kernel::{Kernel, KernelError, XfrmKernel};
use crate::model::question::Question;
use crate::model::{Counts, IpsecProtocol, PolicyDefaults, PolicyKind, PolicySpec, SaSpec};

/// Carry out a script of setkey statements or of `ip xfrm` commands
///
/// The whole script is read and checked first: an error names file, line and column, and nothing has been done. Then
/// the statements are carried out in order, unless one of them would add what is there by then or delete what is not.
/// If the kernel refuses one, those before it are taken back, and what was deleted is there again with its counters and
/// sequence numbers. Ctrl-C does the same.
///
/// Of setkey's language everything is understood: add, update, getspi, get, delete, deleteall, flush, dump, spdadd,
/// spdupdate, spddelete, spdflush, spddump and quit. Host names are looked up before anything is done, honouring -4, -6
/// and -n; what Linux cannot do (esp-old, tcp, tagged, keyed-md5, ...) is refused by name.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The script; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Change nothing: only say what would come, go, change and stay
    #[arg(long)]
    dry_run: bool,
    /// In a script of setkey's, add no policy for packets passed on (fwd) to each one of direction in
    ///
    /// setkey on Linux adds them, unless it is started with -k. Where the script itself has one for the same packets,
    /// that one is taken.
    #[arg(long)]
    no_forward: bool,
}

impl Arguments {
    /// Whether nothing is to be changed.
    pub fn only_says(&self) -> bool {
        self.dry_run
    }
}

/// Nobody reads more.
const MOST_WARNINGS: usize = 100;

/// Carries out a script in the calling thread's namespace.
///
/// # Errors
/// When the file cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (name, source) = secret_file::read(&arguments.file)?;
    let reading = Reading { names: &SystemNames, forward_twins: !arguments.no_forward };
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    if !arguments.dry_run {
        // Nothing is done before the first step: until then, as while names are looked up, an interruption is the end.
        let (end, may_end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&end)).context("catching signals")?;
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&may_end))
                .context("catching signals")?;
        }
        let is_unwanted = || {
            may_end.store(false, Ordering::SeqCst);
            end.load(Ordering::SeqCst)
        };
        let way = Way::Do(&mut XfrmKernel::open()?, &is_unwanted);
        return apply(&name, &source, reading, way, &mut out, &mut complaints);
    }
    // Whoever may not look can still read what is asked for.
    let mut kernel = XfrmKernel::open().and_then(|mut kernel| kernel.counts().map(|_| kernel));
    if let Err(error) = &kernel {
        writeln!(complaints, "espial: compared with nothing, because the kernel cannot be read: {error}")?;
    }
    let kernel = kernel.as_mut().ok().map(|kernel| kernel as &mut dyn Kernel);
    apply(&name, &source, reading, Way::Say(kernel), &mut out, &mut complaints)
}

/// What is to be done with a script.
pub enum Way<'k> {
    /// Say what would change; without a kernel, only what is asked for.
    Say(Option<&'k mut dyn Kernel>),
    /// Do it, unless this is true before one of the steps: then take back what is done.
    Do(&'k mut dyn Kernel, &'k dyn Fn() -> bool),
}

/// Checks a script and carries it out as one step, or says what would change.
///
/// # Errors
/// When the output does not take it. Errors of the script and the kernel's refusal are written to `complaints` and make
/// the status 1.
pub fn apply(
    name: &str,
    source: &str,
    reading: Reading<'_>,
    way: Way<'_>,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let Some(script) = understood(name, source, reading, complaints) else {
        return Ok(ExitCode::FAILURE);
    };
    let mut steps = Vec::with_capacity(script.statements.len());
    for statement in &script.statements {
        steps.extend(steps_of(&statement.deed));
    }
    // A statement may be several steps.
    let statement_of = |place: usize| {
        let mut end = 0;
        script.statements.iter().find(|statement| {
            end += steps_of(&statement.deed).len();
            place < end
        })
    };
    let mut refused = |place: usize, error: &KernelError, outcome: &str| {
        if let Some(statement) = statement_of(place) {
            let (line, column) = place_of(source, statement.span.start);
            say(complaints, format_args!("{name}:{line}:{column}: {error}\n{}", excerpt(source, &statement.span)));
        }
        say(complaints, format_args!("espial: {outcome}\n"));
    };
    match way {
        Way::Do(kernel, is_unwanted) => {
            // Nothing is taken away, to be put back a moment later, for what can be foreseen to be refused.
            if steps.iter().any(Step::takes_away)
                && let (Ok(sas), Ok(policies)) = (kernel.sas(), kernel.policies())
                && let Err((place, error)) = preview(&sas, &policies, &steps)
                && steps.iter().take(place).any(Step::takes_away)
            {
                refused(place, &error, &outcome(name, &[]));
                return Ok(ExitCode::FAILURE);
            }
            match together::carry_out_unless(kernel, &steps, is_unwanted) {
                Ok(answers) => {
                    tell_all(&answers, out)
                        .with_context(|| format!("{name} is applied, but its answers are not written"))?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(refusal) => {
                    refused(refusal.step, &refusal.error, &outcome(name, &refusal.left));
                    tell_all(&refusal.answers, out)?;
                    Ok(ExitCode::FAILURE)
                }
            }
        }
        Way::Say(Some(kernel)) => match preview(&kernel.sas()?, &kernel.policies()?, &steps) {
            Ok(preview) => {
                say_fates(&preview, out)?;
                Ok(ExitCode::SUCCESS)
            }
            Err((place, error)) => {
                refused(place, &error, &format!("so nothing of {name} would be applied"));
                Ok(ExitCode::FAILURE)
            }
        },
        Way::Say(None) => {
            for statement in &script.statements {
                describe(&statement.deed, out)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a script says, its warnings written; `None` after its errors.
fn understood(name: &str, source: &str, reading: Reading<'_>, complaints: &mut dyn Write) -> Option<Script> {
    let is_of_ip = ip_script::looks_like(source);
    let parsed =
        if is_of_ip { ip_script::parse(source, &interface_number) } else { setkey::parse_with(source, reading) };
    let script = match parsed {
        Ok(script) => script,
        Err(errors) => {
            for error in &errors {
                say(complaints, format_args!("{}", error.render(name, source)));
            }
            let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
            say(complaints, format_args!("espial: {count} in {name}: nothing has been applied\n"));
            return None;
        }
    };
    for warning in script.warnings.iter().take(MOST_WARNINGS) {
        let (line, column) = place_of(source, warning.span.start);
        say(complaints, format_args!("{name}:{line}:{column}: warning: {}\n", warning.sentence));
    }
    if let Some(more) = script.warnings.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        say(complaints, format_args!("{name}: and {more} more warnings\n"));
    }
    Some(script)
}

/// That nobody reads a complaint stops nothing, and makes nothing of what was refused.
fn say(complaints: &mut dyn Write, words: std::fmt::Arguments<'_>) {
    let _ = complaints.write_fmt(words);
}

/// What has become of a script that was refused: nothing, unless the kernel refused to take something back.
fn outcome(name: &str, left: &[KernelError]) -> String {
    if left.is_empty() {
        return format!("nothing of {name} has been applied");
    }
    let lines: Vec<String> = left.iter().map(|error| format!("\n    {error}")).collect();
    format!("what had been applied before was taken back, but not all of it:{}", lines.concat())
}

fn tell_all(answers: &[(usize, Answer)], out: &mut dyn Write) -> io::Result<()> {
    answers.iter().try_for_each(|(_, answer)| tell(answer, out))
}

fn steps_of(deed: &Deed) -> Vec<Step<'_>> {
    let one = match deed {
        Deed::AddPolicies(specs) => return specs.iter().map(Step::AddPolicy).collect(),
        Deed::UpdatePolicies(specs) => return specs.iter().map(Step::UpdatePolicy).collect(),
        Deed::FlushSas(protocol) => Step::FlushSas(*protocol),
        Deed::FlushPolicies(kind) => Step::FlushPolicies(*kind),
        Deed::AddSa(spec) => Step::AddSa(spec),
        Deed::UpdateSa(spec) => Step::UpdateSa(spec),
        Deed::DeleteSa(id) => Step::DeleteSa(*id),
        Deed::DeleteSas(filter) => Step::DeleteSas(filter.as_ref()),
        Deed::AllocateSpi(wanted) => Step::AllocateSpi(wanted),
        Deed::DeletePolicy(id) => Step::DeletePolicy(**id),
        Deed::DeletePolicyIfThere(id) => Step::DeletePolicyIfThere(**id),
        Deed::DeletePolicyAt(place) => Step::DeletePolicyAt(*place),
        Deed::DeletePolicies(filter) => Step::DeletePolicies(filter.as_ref()),
        Deed::SetDefaults(change) => Step::SetDefaults(*change),
        Deed::SetThresholds(change) => Step::SetThresholds(*change),
        Deed::Show(question) => Step::Show(question),
    };
    vec![one]
}

/// What becomes of each object: `+` comes, `-` goes, `~` changes, `=` stays as it is.
fn say_fates(preview: &Preview, out: &mut dyn Write) -> io::Result<()> {
    let mut counts = [0; 4];
    for fate in &preview.sas {
        let line = |spec: &SaSpec| {
            if spec.algorithms.is_none() {
                return "a reserved SPI, without keys".to_owned();
            }
            let text = setkey::print::sa(spec, Keys::Hide);
            // What setkey cannot say, `ip` can.
            if text.starts_with('#') { iproute2::sa(spec, Keys::Hide).to_string() } else { text.to_string() }
        };
        let name = |spec: &SaSpec| format!("SA {}", spec.id());
        say_fate(fate, name, line, " (made anew: its sequence numbers begin again)", &mut counts, out)?;
    }
    for fate in &preview.policies {
        let name = |spec: &PolicySpec| format!("policy {}", spec.id());
        let line = |spec: &PolicySpec| {
            let text = setkey::print::policy(spec);
            if text.starts_with('#') { iproute2::policy(spec) } else { text }
        };
        say_fate(fate, name, line, "", &mut counts, out)?;
    }
    for other in &preview.others {
        writeln!(out, "! {other}")?;
    }
    let [added, removed, changed, unchanged] = counts;
    let unchanged = unchanged + preview.untouched;
    writeln!(out, "{added} added, {removed} removed, {changed} changed, {unchanged} unchanged; nothing has been done")
}

fn say_fate<T: PartialEq>(
    fate: &Fate<T>,
    name: impl Fn(&T) -> String,
    line: impl Fn(&T) -> String,
    anew: &str,
    counts: &mut [usize; 4],
    out: &mut dyn Write,
) -> io::Result<()> {
    let place = match (&fate.before, &fate.after) {
        (None, Some(after)) => {
            writeln!(out, "+ {}\n    {}", name(after), line(after))?;
            0
        }
        (Some(before), None) => {
            writeln!(out, "- {}\n    {}", name(before), line(before))?;
            1
        }
        (Some(before), Some(after)) if before != after => {
            let (old, new) = (line(before), line(after));
            if old == new {
                writeln!(out, "~ {} (with another key)\n    {new}", name(after))?;
            } else {
                writeln!(out, "~ {}\n    {old}\n    {new}", name(after))?;
            }
            2
        }
        (Some(_), Some(after)) => {
            writeln!(out, "= {}{anew}", name(after))?;
            3
        }
        (None, None) => return Ok(()),
    };
    if let Some(count) = counts.get_mut(place) {
        *count += 1;
    }
    Ok(())
}

fn describe(deed: &Deed, out: &mut dyn Write) -> io::Result<()> {
    let line = |spec: &SaSpec| setkey::print::sa(spec, Keys::Hide);
    match deed {
        Deed::FlushSas(IpsecProtocol::Any | IpsecProtocol::Other(0)) => writeln!(out, "delete all SAs"),
        Deed::FlushSas(protocol) => writeln!(out, "delete all {protocol} SAs"),
        Deed::FlushPolicies(PolicyKind::Main) => writeln!(out, "delete all policies"),
        Deed::FlushPolicies(kind) => writeln!(out, "delete all {kind} policies"),
        Deed::AddSa(spec) => writeln!(out, "add SA {}\n    {}", spec.id(), *line(spec)),
        Deed::UpdateSa(spec) => writeln!(out, "update SA {}\n    {}", spec.id(), *line(spec)),
        Deed::DeleteSa(id) => writeln!(out, "delete SA {id}"),
        Deed::DeleteSas(None) => writeln!(out, "delete all SAs, one by one"),
        Deed::DeleteSas(Some(_)) => writeln!(out, "delete all SAs that fit"),
        Deed::AllocateSpi(wanted) => writeln!(out, "reserve {wanted}"),
        Deed::AddPolicies(specs) | Deed::UpdatePolicies(specs) => {
            let verb = if matches!(deed, Deed::AddPolicies(_)) { "add" } else { "update" };
            for (place, spec) in specs.iter().enumerate() {
                let why = if place > 0 { " (setkey adds it to every policy of direction in)" } else { "" };
                writeln!(out, "{verb} policy {}{why}\n    {}", spec.id(), setkey::print::policy(spec))?;
            }
            Ok(())
        }
        Deed::DeletePolicy(id) => writeln!(out, "delete policy {id}"),
        Deed::DeletePolicyIfThere(id) => writeln!(out, "delete policy {id}, if it is there (setkey's own)"),
        Deed::DeletePolicyAt(place) => writeln!(out, "delete the policy with index {}", place.index),
        Deed::DeletePolicies(None) => writeln!(out, "delete all policies, one by one"),
        Deed::DeletePolicies(Some(_)) => writeln!(out, "delete all policies that fit"),
        Deed::SetDefaults(change) => writeln!(out, "packets without a policy: {change}"),
        Deed::SetThresholds(change) => writeln!(out, "hash thresholds: {change}"),
        Deed::Show(question) => writeln!(out, "show {}", subject(question)),
    }
}

/// What a question is about.
fn subject(question: &Question) -> String {
    match question {
        Question::Sa(id) => format!("SA {id}"),
        Question::Sas(None) => "all SAs".to_owned(),
        Question::Sas(Some(_)) => "all SAs that fit".to_owned(),
        Question::Policy(id) => format!("policy {id}"),
        Question::PolicyAt(place) => format!("the policy with index {}", place.index),
        Question::Policies(None) => "all policies".to_owned(),
        Question::Policies(Some(_)) => "all policies that fit".to_owned(),
        Question::CountSas => "how many SAs there are".to_owned(),
        Question::CountPolicies => "how many policies there are".to_owned(),
        Question::Defaults => "what becomes of packets without a policy".to_owned(),
    }
}

/// What the script wanted to see, in the form of `espial sa` and `espial policy`.
fn tell(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    match answer {
        Answer::Sas(sas) => super::sa::write_table(sas, &local_addresses(), now(), &[], out),
        Answer::Policies(policies) => super::policy::write_table(policies, now(), &[], out),
        Answer::SaCounts(counts) => {
            writeln!(out, "SAs: {} (hash buckets {} of {})", counts.sas, counts.sa_buckets.0, counts.sa_buckets.1)
        }
        Answer::PolicyCounts(counts, thresholds) => {
            let Counts { policies_in, policies_out, policies_forward, policies_of_sockets, .. } = counts;
            let (buckets, most) = counts.policy_buckets;
            let ((l4, r4), (l6, r6)) = (thresholds.v4, thresholds.v6);
            writeln!(
                out,
                "policies: in {policies_in}, out {policies_out}, fwd {policies_forward}, of sockets \
                 {policies_of_sockets} (hash buckets {buckets} of {most}; thresholds IPv4 {l4} {r4}, IPv6 {l6} {r6})"
            )
        }
        Answer::Defaults(defaults) => {
            let PolicyDefaults { input, forward, output } = defaults;
            writeln!(out, "packets without a policy: in {input}, fwd {forward}, out {output}")
        }
        Answer::Allocated(sa) => writeln!(out, "SPI {} ({}) is reserved: {}", sa.spi, sa.spi.0, sa.id()),
    }
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
