//! Forms: a list of fields, described once. The description drives drawing, keys, checking and help.
//!
//! A form holds text being typed and choices being made; what comes out is a checked spec. It must not know how it is
//! drawn, nor who sends the spec.

use crossterm::event::KeyEvent;

use super::command::Change;
use super::text_field::TextField;
use crate::kernel::KernelError;
use crate::model::check::Severity;
use crate::model::pair::PairPlan;
use crate::model::{Sa, Sad, Spd};
use check::CheckPlan;

pub mod check;
pub mod pair;
pub mod policy;
mod reading;
pub mod sa;

/// A field, by what it stands for; both forms share the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is labelled and explained in the description of its form")]
pub enum FieldId {
    Protocol,
    Mode,
    Source,
    Destination,
    Spi,
    Encryption,
    EncryptionKey,
    Authentication,
    AuthenticationKey,
    Compression,
    ReqId,
    ReplayWindow,
    Direction,
    Upper,
    SourcePort,
    DestinationPort,
    Action,
    Transforms,
    TunnelSource,
    TunnelDestination,
    Level,
    Priority,
    Make,
    OwnNetwork,
    FarNetwork,
    Protection,
    Suite,
    Lifetime,
    More,
    Mark,
    IfId,
    LongNumbers,
    Encapsulation,
    Set,
    Text,
    Probe,
    Seconds,
}

/// How a field is filled in.
#[derive(Clone, Copy)]
pub enum Kind {
    /// By typing.
    Text,
    /// By typing or making up a key; never shown unless asked.
    Key,
    /// By choosing one of these.
    Choice(fn(&Form) -> Vec<String>),
}

/// What a field is.
pub struct Description {
    /// Its name.
    pub id: FieldId,
    /// What stands before it.
    pub label: &'static str,
    /// What it means and what it takes, in a sentence.
    pub help: &'static str,
    /// How it is filled in.
    pub kind: Kind,
    /// What it holds at first; for a choice, the option chosen.
    pub initial: &'static str,
    /// Whether it means anything in view of the others.
    pub applies: fn(&Form) -> bool,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Which field.
    pub field: FieldId,
    /// How bad.
    pub severity: Severity,
    /// Why; never holds a key.
    pub sentence: String,
}

impl Complaint {
    /// A complaint that stops the form.
    pub fn error(field: FieldId, sentence: impl Into<String>) -> Self {
        Self { field, severity: Severity::Error, sentence: sentence.into() }
    }
}

/// What a form is for, and its fields.
pub struct Plan {
    /// What it makes.
    pub title: &'static str,
    /// What its button does.
    pub button: &'static str,
    /// Its fields from top to bottom.
    pub fields: &'static [Description],
    /// Everything wrong with what it holds.
    check: fn(&Form) -> Vec<Complaint>,
    /// What is wrong with it beside what is there already.
    beside: fn(&Form, &Sad, &Spd) -> Vec<Complaint>,
    /// What it asks for; `None` while something is missing.
    make: fn(&Form) -> Option<Made>,
    /// The field that a kernel's refusal is about.
    blame: fn(&KernelError) -> Option<FieldId>,
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// A change, to be carried out at once.
    Change(Box<Change>),
    /// A plan for two hosts, to be looked at first.
    Pair(Box<PairPlan>),
    /// A look at the traffic with a peer, which changes nothing.
    Check(Box<CheckPlan>),
}

/// One field's content.
#[derive(Clone, Debug)]
enum Content {
    Text(TextField),
    Choice(String),
}

/// Where a form stands with the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is being filled in.
    Editing,
    /// It is complete: what will be sent is shown, with all warnings (of a pair only the warnings). To send it again
    /// means to send it.
    Review,
    /// It was sent; no answer yet.
    Pending,
}

/// The options of a choice.
fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Whether the fields that are most often not needed are shown.
fn shows_more(form: &Form) -> bool {
    form.value(FieldId::More) == "shown"
}

/// A form being filled in.
#[derive(Clone)]
pub struct Form {
    plan: &'static Plan,
    contents: Vec<Content>,
    focus: usize,
    progress: Progress,
    /// The SA that it makes anew.
    edited: Option<Box<Sa>>,
    /// What was wrong beside what was there when it was last to be sent.
    clashes: Vec<Complaint>,
    refusal: Option<(Option<FieldId>, String)>,
    /// Until when keys are shown, in uptime milliseconds.
    revealed_until: Option<u64>,
    /// Whether empty fields are complained about: not before the user wanted to send it.
    strict: bool,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Form({:?}, focus {}, {:?})", self.plan.title, self.focus, self.progress)
    }
}

impl Form {
    /// A form with its initial contents.
    pub fn new(plan: &'static Plan) -> Self {
        let content = |field: &Description| match field.kind {
            Kind::Choice(_) => Content::Choice(field.initial.to_owned()),
            Kind::Text | Kind::Key => Content::Text(TextField::with(field.initial)),
        };
        Self {
            plan,
            contents: plan.fields.iter().map(content).collect(),
            focus: 0,
            progress: Progress::Editing,
            edited: None,
            clashes: Vec::new(),
            refusal: None,
            revealed_until: None,
            strict: false,
        }
    }

    /// The SA that it makes anew, as it was when the form was opened.
    pub fn edited_sa(&self) -> Option<&Sa> {
        self.edited.as_deref()
    }

    /// What it makes.
    pub fn title(&self) -> &'static str {
        self.plan.title
    }

    /// What its button does.
    pub fn button(&self) -> &'static str {
        self.plan.button
    }

    /// The fields that mean something now, from top to bottom.
    pub fn fields(&self) -> impl Iterator<Item = &'static Description> {
        self.plan.fields.iter().filter(|field| (field.applies)(self))
    }

    /// The field that keys go to; `None` on the button below them all.
    pub fn focused(&self) -> Option<&'static Description> {
        self.fields().nth(self.focus)
    }

    /// Where it stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether it was sent and the answer is not there yet: until then nothing of it can be altered.
    pub fn is_pending(&self) -> bool {
        self.progress == Progress::Pending
    }

    /// Whether it waits for the answer to this change.
    pub fn waits_for(&self, change: &Change) -> bool {
        self.is_pending() && matches!(self.made(), Some(Made::Change(made)) if *made == *change)
    }

    /// What it asks for; `None` while something is missing.
    pub fn made(&self) -> Option<Made> {
        (self.plan.make)(self)
    }

    /// Whether keys that mean characters go into text.
    pub fn text_is_focused(&self) -> bool {
        self.focused().is_some_and(|field| matches!(field.kind, Kind::Text | Kind::Key))
    }

    /// The kernel's refusal, with the field it is about.
    pub fn refusal(&self) -> Option<&(Option<FieldId>, String)> {
        self.refusal.as_ref()
    }

    /// Whether keys are to be shown at this time.
    pub fn reveals(&self, uptime_ms: u64) -> bool {
        self.revealed_until.is_some_and(|until| uptime_ms < until)
    }

    /// Shows keys until this time.
    pub fn reveal_until(&mut self, uptime_ms: u64) {
        self.revealed_until = Some(uptime_ms);
    }

    fn content(&self, id: FieldId) -> Option<&Content> {
        let place = self.plan.fields.iter().position(|field| field.id == id)?;
        self.contents.get(place)
    }

    fn content_mut(&mut self, id: FieldId) -> Option<&mut Content> {
        let place = self.plan.fields.iter().position(|field| field.id == id)?;
        self.contents.get_mut(place)
    }

    /// What a field holds, whether typed or chosen; blanks around it do not count.
    pub fn value(&self, id: FieldId) -> &str {
        match self.content(id) {
            Some(Content::Text(field)) => field.text().trim(),
            Some(Content::Choice(option)) => option,
            None => "",
        }
    }

    /// The text of a field that is typed.
    pub fn text(&self, id: FieldId) -> Option<&TextField> {
        match self.content(id)? {
            Content::Text(field) => Some(field),
            Content::Choice(_) => None,
        }
    }

    /// Fills a field in.
    pub fn set(&mut self, id: FieldId, value: &str) {
        match self.content_mut(id) {
            Some(Content::Text(field)) => field.set(value),
            Some(Content::Choice(option)) => value.clone_into(option),
            None => {}
        }
        self.edited();
    }

    /// Whether a field means something in view of the others.
    pub fn applies(&self, id: FieldId) -> bool {
        self.fields().any(|field| field.id == id)
    }

    /// What is wrong with a field and may be said by now: while it is filled in, an empty field is not wrong.
    pub fn complaint(&self, id: FieldId) -> Option<Complaint> {
        let quiet = !self.strict && self.value(id).is_empty();
        self.complaints().into_iter().filter(|complaint| complaint.field == id && !quiet).max_by_key(|c| c.severity)
    }

    /// Everything wrong, in no order.
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = (self.plan.check)(self);
        complaints.extend(self.clashes.iter().cloned());
        complaints
    }

    /// All warnings, in the order of the fields.
    pub fn warnings(&self) -> Vec<Complaint> {
        let mut warnings = self.complaints();
        warnings.retain(|complaint| complaint.severity == Severity::Warning);
        warnings.sort_by_key(|complaint| self.fields().position(|field| field.id == complaint.field));
        warnings
    }

    /// To the next field; behind the last one stands the button.
    pub fn next_field(&mut self) {
        self.focus = (self.focus + 1) % (self.fields().count() + 1);
        self.mark_focused();
    }

    /// As everywhere else, a field that is come to is replaced by what is typed.
    fn mark_focused(&mut self) {
        if let Some(id) = self.focused().map(|field| field.id)
            && let Some(Content::Text(field)) = self.content_mut(id)
        {
            field.mark();
        }
    }

    /// To the field before; from the last step back into the form.
    pub fn previous_field(&mut self) {
        self.leave_review();
        let places = self.fields().count() + 1;
        self.focus = (self.focus + places - 1) % places;
        self.mark_focused();
    }

    /// To the button: what the form holds is likely to be what is wanted.
    pub fn focus_on_button(&mut self) {
        self.focus = self.fields().count();
    }

    fn focus_on(&mut self, id: FieldId) {
        let place = self.fields().position(|field| field.id == id);
        self.focus = place.unwrap_or(self.focus);
    }

    /// Chooses `steps` options further in the focused field; `false` if it has none to choose.
    pub fn choose(&mut self, steps: isize) -> bool {
        let Some((id, Kind::Choice(options))) = self.focused().map(|field| (field.id, field.kind)) else {
            return false;
        };
        let options = options(self);
        let at = options.iter().position(|option| option == self.value(id)).unwrap_or(0);
        let next = at.cast_signed().saturating_add(steps).rem_euclid(options.len().max(1).cast_signed());
        if let Some(option) = options.get(next.cast_unsigned()) {
            self.set(id, option);
        }
        self.keep_choices_valid();
        true
    }

    /// One choice may take options away from another.
    fn keep_choices_valid(&mut self) {
        for field in self.plan.fields {
            if let Kind::Choice(options) = field.kind {
                let options = options(self);
                if !options.iter().any(|option| option == self.value(field.id))
                    && let Some(first) = options.first()
                {
                    self.set(field.id, first);
                }
            }
        }
        self.focus = self.focus.min(self.fields().count());
    }

    /// Gives a key to the focused field; `false` if it means nothing there.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        let Some(id) = self.focused().map(|field| field.id).filter(|_| !self.is_pending()) else {
            return false;
        };
        let taken = match self.content_mut(id) {
            Some(Content::Text(field)) => field.on_key(key),
            _ => false,
        };
        if taken {
            self.edited();
        }
        taken
    }

    /// Gives pasted text to the focused field.
    pub fn paste(&mut self, text: &str) {
        if let Some(id) = self.focused().map(|field| field.id).filter(|_| !self.is_pending())
            && let Some(Content::Text(field)) = self.content_mut(id)
        {
            field.paste(text);
            self.edited();
        }
    }

    fn edited(&mut self) {
        self.refusal = None;
        self.clashes.clear();
        self.leave_review();
    }

    /// From the last step back into the form; `false` if it is not there.
    pub fn leave_review(&mut self) -> bool {
        let was_there = self.progress == Progress::Review;
        if was_there {
            self.progress = Progress::Editing;
        }
        was_there
    }

    /// The user wants it sent. `true` if it may be: it had been shown what will be sent. Otherwise that is the next
    /// step, or the first error's field gets the focus.
    pub fn submit(&mut self, sad: &Sad, spd: &Spd) -> bool {
        if self.is_pending() {
            return false;
        }
        self.strict = true;
        self.clashes = (self.plan.beside)(self, sad, spd);
        let complaints = self.complaints();
        let has_error = |id| complaints.iter().any(|c| c.severity == Severity::Error && c.field == id);
        if complaints.iter().any(|complaint| complaint.severity == Severity::Error) {
            self.leave_review();
            let place = self.fields().position(|field| has_error(field.id));
            self.focus = place.unwrap_or(self.focus);
            return false;
        }
        // A pair is shown whole, with both its halves, before it is made; a check changes nothing.
        let is_shown_later = complaints.is_empty() && matches!(self.made(), Some(Made::Pair(_) | Made::Check(_)));
        if self.progress == Progress::Review || is_shown_later {
            return true;
        }
        self.progress = Progress::Review;
        self.focus = self.fields().count();
        false
    }

    /// It was sent.
    pub fn sent(&mut self) {
        self.progress = Progress::Pending;
        self.refusal = None;
    }

    /// The kernel refused it.
    pub fn refused(&mut self, error: &KernelError) {
        self.progress = Progress::Editing;
        let field = (self.plan.blame)(error).filter(|field| self.applies(*field));
        if let Some(field) = field {
            self.focus_on(field);
        }
        self.refusal = Some((field, error.reason()));
    }
}
