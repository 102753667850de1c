//! `espial apply`: a setkey script, checked whole before anything is done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use zeroize::Zeroizing;

use crate::dialect::Keys;
use crate::dialect::setkey::{self, Deed, Script, Statement, place_of};
use crate::kernel::{Kernel, KernelError, XfrmKernel};
use crate::model::{IpsecProtocol, PolicyKind};

/// Carry out a setkey script
///
/// The whole script is read and checked first: an error names file, line and column, and nothing has been done. Then
/// the statements are carried out in order, up to the first that the kernel refuses.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The script; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Arguments {
    /// Whether nothing is to be changed.
    pub fn only_says(&self) -> bool {
        self.dry_run
    }
}

/// Larger than any script that a person or a generator writes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Carries out a script in the calling thread's namespace.
///
/// # Errors
/// When the file cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (name, source) = read(&arguments.file)?;
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    if arguments.dry_run {
        return apply(&name, &source, None, &mut out, &mut complaints);
    }
    apply(&name, &source, Some(&mut XfrmKernel::open()?), &mut out, &mut complaints)
}

/// A file's name for messages, and its text, which is wiped when it goes: it may hold keys.
fn read(path: &Path) -> anyhow::Result<(String, Zeroizing<String>)> {
    let (name, bytes) = if path == Path::new("-") {
        ("standard input".to_owned(), read_wiping(io::stdin().lock()).context("reading standard input")?)
    } else {
        let name = crate::model::text::harmless(&path.display().to_string()).into_owned();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        let bytes = read_wiping(file).with_context(|| format!("reading {name}"))?;
        (name, bytes)
    };
    if bytes.len() > MOST_BYTES {
        bail!("{name} is larger than {} MiB: that is no script", MOST_BYTES / 1024 / 1024);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok((name, Zeroizing::new(text.to_owned()))),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).and_then(|good| std::str::from_utf8(good).ok());
            let (line, column) = place_of(good.unwrap_or_default(), error.valid_up_to());
            bail!("{name}:{line}:{column}: this is not valid UTF-8")
        }
    }
}

/// Everything that a reader gives, up to one byte more than a script may have. A vector that grew by itself would leave
/// copies behind; here each buffer is wiped when a larger one takes its place.
fn read_wiping(mut reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; 64 * 1024]);
    let mut length = 0;
    while length <= MOST_BYTES {
        if length == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; bytes.len() * 2]);
            larger.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
            bytes = larger;
        }
        match reader.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Shortening moves nothing.
    bytes.truncate(length);
    Ok(bytes)
}

/// Checks a script and carries it out, or says what would be done where there is no kernel.
///
/// # Errors
/// When the output does not take it. Errors of the script are written to `complaints` and make the status 1.
pub fn apply(
    name: &str,
    source: &str,
    kernel: Option<&mut dyn Kernel>,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let script = match setkey::parse(source) {
        Ok(script) => script,
        Err(errors) => {
            for error in &errors {
                write!(complaints, "{}", error.render(name, source))?;
            }
            let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
            writeln!(complaints, "espial: {count} in {name}: nothing has been applied")?;
            return Ok(ExitCode::FAILURE);
        }
    };
    for warning in &script.warnings {
        let (line, column) = place_of(source, warning.span.start);
        writeln!(complaints, "{name}:{line}:{column}: warning: {}", warning.sentence)?;
    }
    if let Some(kernel) = kernel {
        carry_out(name, source, &script, kernel, complaints)
    } else {
        for statement in &script.statements {
            describe(&statement.deed, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(deed: &Deed, out: &mut dyn Write) -> io::Result<()> {
    match deed {
        Deed::FlushSas(IpsecProtocol::Any) => writeln!(out, "delete all SAs"),
        Deed::FlushSas(protocol) => writeln!(out, "delete all {protocol} SAs"),
        Deed::FlushPolicies => writeln!(out, "delete all policies"),
        Deed::AddSa(spec) => writeln!(out, "add SA {}\n    {}", spec.id(), *setkey::print::sa(spec, Keys::Hide)),
        Deed::DeleteSa(id) => writeln!(out, "delete SA {id}"),
        Deed::AddPolicies(specs) => {
            for (place, spec) in specs.iter().enumerate() {
                let why = if place > 0 { " (setkey adds it to every policy of direction in)" } else { "" };
                writeln!(out, "add policy {}{why}\n    {}", spec.id(), setkey::print::policy(spec))?;
            }
            Ok(())
        }
        Deed::DeletePolicy(id) => writeln!(out, "delete policy {id}"),
    }
}

fn carry_out(
    name: &str,
    source: &str,
    script: &Script,
    kernel: &mut dyn Kernel,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    for (done, statement) in script.statements.iter().enumerate() {
        if let Err(error) = do_one(&statement.deed, kernel) {
            refuse(name, source, statement, &error, done, complaints)?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn do_one(deed: &Deed, kernel: &mut dyn Kernel) -> Result<(), KernelError> {
    match deed {
        Deed::FlushSas(protocol) => kernel.flush_sas(*protocol),
        Deed::FlushPolicies => kernel.flush_policies(PolicyKind::Main),
        Deed::AddSa(spec) => kernel.add_sa(spec),
        Deed::DeleteSa(id) => kernel.delete_sa(id),
        Deed::AddPolicies(specs) => {
            for (added, spec) in specs.iter().enumerate() {
                if let Err(error) = kernel.add_policy(spec) {
                    // A statement is carried out whole or not at all.
                    for before in specs.iter().take(added) {
                        kernel.delete_policy(&before.id())?;
                    }
                    return Err(error);
                }
            }
            Ok(())
        }
        Deed::DeletePolicy(id) => kernel.delete_policy(id),
    }
}

fn refuse(
    name: &str,
    source: &str,
    statement: &Statement,
    error: &KernelError,
    done: usize,
    complaints: &mut dyn Write,
) -> io::Result<()> {
    let (line, column) = place_of(source, statement.span.start);
    writeln!(complaints, "{name}:{line}:{column}: {error}")?;
    write!(complaints, "{}", setkey::excerpt(source, &statement.span))?;
    match done {
        0 => writeln!(complaints, "espial: nothing of {name} has been applied"),
        1 => writeln!(complaints, "espial: the statement before this one has been applied, the rest of {name} has not"),
        n => writeln!(
            complaints,
            "espial: the {n} statements before this one have been applied, the rest of {name} has not"
        ),
    }
}
