//! A form of the console filled in by options: one for each field, with the same help, the same checks, the same
//! refusals and the same last step.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use zeroize::Zeroizing;

use super::secret_file::read_wiping;
use crate::capture::Interface;
use crate::console::command::{Change, Done};
use crate::console::form::policy::template;
use crate::console::form::said::in_both_languages;
use crate::console::form::{Complaint, Description, FieldId, Form, Kind, Made, Plan};
use crate::console::state::question::Deed;
use crate::kernel::{Kernel, KernelError};
use crate::model::check::{NOTHING_CHANGES, Severity};
use crate::model::{Sad, Spd};

/// A form that the command line fills in.
pub trait Planned {
    /// What the command's own name says already.
    const SAID: Option<(FieldId, &str)> = None;

    /// The fields that stand without the name of an option, in this order.
    const ENDS: &'static [FieldId] = &[];

    /// What a field says, if it is filled in, about another one, which is no option then: field, other one, its value.
    const IMPLIED: &'static [(FieldId, FieldId, &'static str)] = &[];

    /// The form.
    const PLAN: &'static Plan;
}

/// What the options say.
pub struct Filled<P> {
    values: Vec<(&'static Description, Zeroizing<String>)>,
    /// The small forms of its list, as they were written.
    items: Vec<String>,
    yes: bool,
    dry_run: bool,
    plan: PhantomData<P>,
}

impl<P> std::fmt::Debug for Filled<P> {
    /// A value may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(field, _)| field.label)).finish()
    }
}

impl<P> Filled<P> {
    /// Whether nothing is to be changed.
    pub fn only_says(&self) -> bool {
        self.dry_run
    }
}

/// What stands for a key or an SPI that is to be made up.
const GENERATE: &str = "generate";
/// What is said of keys beyond what the form says.
const KEY_HELP: &str = "Its key: generate makes up a random one; a FILE that holds it as 0x and hex digits, or text in \"quotes\"; \
                        - reads standard input; 0x... itself is seen by everybody who may list processes";

/// The form with what the command's own name says.
fn begun<P: Planned>() -> Form {
    let mut form = Form::new(P::PLAN);
    if let Some((field, value)) = P::SAID {
        form.set(field, value);
    }
    form
}

/// The fields that are options; what the command's own name says leaves others without a meaning.
fn options<P: Planned>() -> Vec<&'static Description> {
    let form = begun::<P>();
    let is_open = |field: &&Description| {
        let is_implied = P::IMPLIED.iter().any(|(_, implied, _)| *implied == field.id);
        P::SAID.is_none_or(|(said, _)| said != field.id && may_apply::<P>(&form, field))
            && !is_implied
            && !matches!(field.kind, Kind::Fold)
    };
    form.plan().all().filter(is_open).collect()
}

/// Whether a field means anything beside what the command's own name says, if need be with another choice somewhere.
fn may_apply<P: Planned>(form: &Form, field: &Description) -> bool {
    let free = form.plan().all().filter(|other| P::SAID.is_none_or(|(said, _)| said != other.id));
    let mut choices = free.flat_map(|other| form.options(other.id).into_iter().map(|option| (other.id, option)));
    (field.applies)(form)
        || choices.any(|(id, option)| {
            let mut changed = form.clone();
            changed.set(id, &option);
            (field.applies)(&changed)
        })
}

/// A choice as it stands on the command line: `esp and ah` is `esp-and-ah`, and what is said in brackets is left out.
fn word(option: &str) -> String {
    option.split(" (").next().unwrap_or_default().replace(' ', "-")
}

impl<P: Planned> Args for Filled<P> {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        let form = begun::<P>();
        for field in options::<P>() {
            let fold = field.fold.and_then(|fold| form.plan().all().find(|field| field.id == fold));
            command = command.arg(if P::ENDS.contains(&field.id) {
                let name = field.option();
                Arg::new(name.clone()).required(true).value_name(name.to_uppercase()).help(help(field))
            } else {
                argument(&form, field).help_heading(fold.map_or(form.title(), |fold| fold.label))
            });
        }
        let yes = "Do it although there are warnings; without this they are printed and nothing is done";
        let dry_run = "Change nothing: only show what would be sent, as ip xfrm and setkey say it, without keys";
        command
            .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue).help(yes))
            .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help(dry_run))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// What a field means, without what is said of the console's keys.
fn help(field: &Description) -> String {
    let sentences: Vec<&str> = field.help.split_inclusive(". ").filter(|part| !part.contains("Ctrl-")).collect();
    sentences.concat().trim_end().trim_end_matches('.').to_owned()
}

fn argument(form: &Form, field: &'static Description) -> Arg {
    let mut help = help(field);
    if let Kind::List(list) = field.kind {
        let help = format!("A transform, once for each, the innermost first: {}", template::WRITTEN);
        return Arg::new(list.option).long(list.option).action(ArgAction::Append).value_name("TRANSFORM").help(help);
    }
    let option = field.option();
    let value = option.to_uppercase();
    let mut argument = Arg::new(option.clone()).long(option).action(ArgAction::Set).value_name(value);
    match field.kind {
        Kind::Key => {
            argument = argument.value_name("KEY");
            KEY_HELP.clone_into(&mut help);
        }
        Kind::Choice(options) => {
            let options = options(form);
            if options == ["no", "yes"] {
                argument = argument.num_args(0..=1).default_missing_value("yes").require_equals(true);
            }
            let words: Vec<String> = options.iter().map(|option| word(option)).collect();
            help.push_str(&format!(" [{}]", words.join(", ")));
        }
        Kind::Text if field.id == FieldId::Spi => help.push_str("; generate picks a free one"),
        Kind::Text | Kind::Fold | Kind::List(_) => {}
    }
    if !field.initial.is_empty() {
        help.push_str(&format!(" [default: {}]", word(field.initial)));
    }
    argument.help(help)
}

impl<P: Planned> FromArgMatches for Filled<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (mut values, mut items) = (Vec::new(), Vec::new());
        for field in options::<P>() {
            if let Kind::List(list) = field.kind {
                items = matches.get_many::<String>(list.option).into_iter().flatten().cloned().collect();
            } else if let Some(value) = matches.get_one::<String>(&field.option()) {
                values.push((field, Zeroizing::new(value.clone())));
            }
        }
        let (yes, dry_run) = (matches.get_flag("yes"), matches.get_flag("dry-run"));
        Ok(Self { values, items, yes, dry_run, plan: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<P: Planned> Filled<P> {
    fn form(&self, interfaces: &[Interface], sad: &Sad, complaints: &mut dyn Write) -> anyhow::Result<Form> {
        let mut form = begun::<P>();
        form.know_interfaces(interfaces.iter().map(|interface| (interface.name.clone(), interface.index)));
        for item in &self.items {
            let item = template::parse(item).map_err(anyhow::Error::msg)?;
            if !form.push_item(item) {
                bail!("a policy has at most {} transforms", crate::model::PolicySpec::MOST_TEMPLATES);
            }
        }
        for (field, value) in self.values.iter().filter(|(_, value)| **value != GENERATE) {
            let value = match field.kind {
                Kind::Key => key(field, value, complaints)?,
                Kind::Choice(_) => chosen(&form, field, value),
                _ => value.clone(),
            };
            form.set(field.id, &value);
            for (_, implied, value) in P::IMPLIED.iter().filter(|(said, ..)| *said == field.id) {
                form.set(*implied, value);
            }
        }
        self.refuse_choices(&mut form)?;
        // How long a key is, other options say.
        for (field, _) in self.values.iter().filter(|(_, value)| **value == GENERATE) {
            if !form.make_up(field.id, sad).context("random numbers")? {
                bail!("--{}: only keys and the SPI can be made up", field.option());
            }
        }
        Ok(form)
    }

    /// Refuses what is not among the choices, and what means nothing beside the others. What was not said becomes what
    /// it can be.
    fn refuse_choices(&self, form: &mut Form) -> anyhow::Result<()> {
        for (field, value) in &self.values {
            let options = form.options(field.id);
            if matches!(field.kind, Kind::Choice(_)) && !options.contains(&chosen(form, field, value)) {
                let words: Vec<String> = options.iter().map(|option| word(option)).collect();
                bail!("--{}: {:?} is none of {}", field.option(), value.as_str(), words.join(", "));
            }
            if !form.applies(field.id) {
                bail!("--{} means nothing with these other options", field.option());
            }
        }
        form.keep_choices_valid();
        Ok(())
    }
}

/// The option that a word of the command line means; the word itself where it means none.
fn chosen(form: &Form, field: &Description, value: &str) -> Zeroizing<String> {
    let option = form.options(field.id).into_iter().find(|option| word(option) == value);
    Zeroizing::new(option.unwrap_or_else(|| value.to_owned()))
}

/// The text of a key: itself, or that of the file that it is in.
fn key(field: &Description, value: &str, complaints: &mut dyn Write) -> anyhow::Result<Zeroizing<String>> {
    if value.starts_with("0x") || value.starts_with("0X") || value.starts_with('"') {
        let better = "a file or - (standard input) keeps it from whoever lists processes";
        say(complaints, format_args!("warning: --{}: a key on the command line; {better}", field.option()));
        return Ok(Zeroizing::new(value.to_owned()));
    }
    let bytes = if value == "-" {
        read_wiping(io::stdin().lock(), 0).context("reading standard input")?
    } else {
        // It may be a key whose quotes the shell took: not repeated.
        let read = File::open(value).and_then(|file| read_wiping(file, 0));
        read.with_context(|| {
            format!(
                "--{}: the file of this option cannot be read; text as a key needs quotes of its own inside the \
                 shell's, and on the command line whoever lists processes has seen it",
                field.option()
            )
        })?
    };
    let text = std::str::from_utf8(&bytes).ok().with_context(|| format!("--{}: this is no text", field.option()))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// What the options ask for, and what it was held against.
pub struct Judged<'k> {
    /// What they ask for.
    pub made: Made,
    /// Whether there are warnings that nobody said yes to.
    pub waits_for_yes: bool,
    /// The SAs that are there.
    pub sad: Sad,
    /// The policies that are there.
    pub spd: Spd,
    /// The kernel; without it nothing can be done but showing.
    pub kernel: Option<&'k mut dyn Kernel>,
}

impl<P: Planned> Filled<P> {
    /// Reads and checks what the options say. `None` if it is wrong; why is written to `complaints`, and so are warnings.
    ///
    /// # Errors
    /// When an option cannot be understood, a key's file or the kernel not be read.
    pub fn judge<'k>(
        &self,
        kernel: Result<&'k mut dyn Kernel, KernelError>,
        interfaces: &[Interface],
        complaints: &mut dyn Write,
    ) -> anyhow::Result<Option<Judged<'k>>> {
        let (mut sad, mut spd) = (Sad::default(), Spd::default());
        let kernel = match kernel {
            Ok(kernel) => {
                for sa in kernel.sas()? {
                    sad.insert(sa);
                }
                for policy in kernel.policies()? {
                    spd.insert(policy);
                }
                Some(kernel)
            }
            Err(error) if self.dry_run => {
                say(complaints, format_args!("compared with nothing, because the kernel cannot be read: {error}"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let mut form = self.form(interfaces, &sad, complaints)?;
        let found = form.judge(&sad, &spd);
        for complaint in &found {
            let word = if complaint.severity == Severity::Warning { "warning: " } else { "" };
            let place = place::<P>(&form, complaint);
            let sentence = said_here::<P>(&complaint.sentence);
            say(complaints, format_args!("{word}{place}{sentence}"));
        }
        let is_wrong = found.iter().any(|complaint| complaint.severity == Severity::Error);
        let Some(made) = form.made().filter(|_| !is_wrong) else {
            say(complaints, format_args!("nothing has been done"));
            return Ok(None);
        };
        let waits_for_yes = !found.is_empty() && !self.yes;
        Ok(Some(Judged { made, waits_for_yes, sad, spd, kernel }))
    }

    /// Says where keys are that were made up, when they are there.
    fn tell_of_keys(&self, complaints: &mut dyn Write) {
        let keys = self.values.iter().filter(|(field, value)| matches!(field.kind, Kind::Key) && **value == GENERATE);
        for (field, _) in keys {
            say(complaints, format_args!("{} is made up; `espial sa --show-keys` shows it", field.label));
        }
    }

    /// Whether what is listed may go.
    pub fn says_yes(&self) -> bool {
        self.yes
    }
}

/// Checks what the options say, shows it or carries it out.
///
/// # Errors
/// When an option cannot be understood, a key's file not be read, or the output does not take it. What is wrong with the
/// object itself, and the kernel's refusal, are written to `complaints` and make the status 1.
pub fn run<P: Planned>(
    filled: &Filled<P>,
    kernel: Result<&mut dyn Kernel, KernelError>,
    interfaces: &[Interface],
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let Some(Judged { made: Made::Change(change), waits_for_yes, sad, spd, kernel }) =
        filled.judge(kernel, interfaces, complaints)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    let victims = victims(&change, &sad, &spd);
    let listed = victims.iter().flatten().try_for_each(|victim| writeln!(out, "{victim}"));
    if filled.dry_run {
        listed?;
        let before = match &*change {
            Change::ReplaceSa { id, .. } => sad.get(id),
            _ => None,
        };
        for (name, text) in in_both_languages(&change, before) {
            writeln!(out, "# {name}\n{text}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if waits_for_yes || victims.is_some() && !filled.yes {
        say(complaints, format_args!("nothing has been done; --yes does it all the same"));
        return Ok(ExitCode::FAILURE);
    }
    let Some(kernel) = kernel else {
        bail!("the kernel cannot be changed");
    };
    match change.carry_out(kernel) {
        Ok(Done { spi: Some(spi), .. }) => {
            writeln!(out, "{spi}").context("it is done, but its result could not be written")?;
        }
        Ok(_) => {
            say(complaints, format_args!("{change}"));
            filled.tell_of_keys(complaints);
        }
        Err(error) => {
            say(complaints, format_args!("{error}\nespial: nothing has been done"));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what stands beside the result. That nobody reads it stops no change, and makes none of what was refused.
pub(super) fn say(complaints: &mut dyn Write, words: std::fmt::Arguments<'_>) {
    let _ = writeln!(complaints, "espial: {words}");
}

/// What a change would take away, a line for each.
fn victims(change: &Change, sad: &Sad, spd: &Spd) -> Option<Vec<String>> {
    let deed = match change {
        Change::FlushSas(protocol) => Deed::FlushSas(*protocol),
        Change::FlushPolicies(kind) => Deed::FlushPolicies(*kind),
        _ => return None,
    };
    Some(deed.victims(sad, spd, 0..usize::MAX).1)
}

/// A complaint as it is said where there are options and no keys to press.
fn said_here<P: Planned>(sentence: &str) -> Cow<'_, str> {
    if sentence == NOTHING_CHANGES {
        let names: Vec<String> = options::<P>().iter().map(|field| format!("--{}", field.option())).collect();
        return format!("{sentence}: say it with {}", names.join(", ")).into();
    }
    match sentence.split_once("Ctrl-") {
        None => sentence.into(),
        Some((before, key)) if key.starts_with('G') => format!("{before}{GENERATE} makes one up").into(),
        Some((before, _)) => {
            let lists = begun::<P>().plan().all().find_map(|field| match field.kind {
                Kind::List(list) => Some(list.option),
                _ => None,
            });
            format!("{before}--{} says it", lists.unwrap_or_default()).into()
        }
    }
}

/// The option that a complaint is about.
fn place<P: Planned>(form: &Form, complaint: &Complaint) -> String {
    if P::SAID.is_some_and(|(said, _)| said == complaint.field) || complaint.sentence == NOTHING_CHANGES {
        // It is about the command itself.
        return String::new();
    }
    let part = form.part(complaint.item);
    let Some(field) = part.plan().all().find(|field| field.id == complaint.field) else {
        return String::new();
    };
    let lists = form.plan().all().find_map(|field| match field.kind {
        Kind::List(list) => Some(list.option),
        _ => None,
    });
    match (complaint.item, field.kind, lists) {
        (Some(item), _, Some(list)) => format!("--{list} {}, {}: ", item + 1, field.label),
        (_, Kind::List(list), _) => format!("--{}: ", list.option),
        _ if P::ENDS.contains(&field.id) => format!("{}: ", field.option()),
        _ => format!("--{}: ", field.option()),
    }
}
