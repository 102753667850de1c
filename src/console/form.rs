//! Forms: a list of fields, described once. The description drives drawing, keys, checking, help and the command line.
//!
//! A form holds text being typed and choices being made; what comes out is a checked spec. It must not know how it is
//! drawn, nor who sends the spec.

use super::command::Change;
use super::text_field::TextField;
use crate::kernel::KernelError;
use crate::model::check::Severity;
use crate::model::pair::PairPlan;
use crate::model::{IpsecProtocol, Policy, Sa, Sad, Secret, Spd, Spi, Template};

pub mod check;
pub mod defaults;
mod field;
mod filling;
pub mod flush;
pub mod pair;
pub mod policy;
mod reading;
pub mod sa;
pub mod said;
pub mod spi;
pub mod thresholds;

use check::CheckPlan;
use field::SHOWN;
pub use field::{Description, FieldId, Kind, List, Place};

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Which of the small forms in it the field is of.
    pub item: Option<usize>,
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
        Self { item: None, field, severity: Severity::Error, sentence: sentence.into() }
    }

    /// A complaint that is to be read before the form goes.
    pub fn warning(field: FieldId, sentence: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(field, sentence) }
    }

    fn of(self, item: Option<usize>) -> Self {
        Self { item, ..self }
    }
}

/// What a form is for, and its fields.
pub struct Plan {
    /// What it makes.
    pub title: &'static str,
    /// What its button does.
    pub button: &'static str,
    /// Its fields from top to bottom, in groups.
    pub fields: &'static [&'static [Description]],
    /// Everything wrong with what it holds.
    check: fn(&Form) -> Vec<Complaint>,
    /// What is wrong with it beside what is there already.
    beside: fn(&Form, &Sad, &Spd) -> Vec<Complaint>,
    /// What it asks for; `None` while something is missing.
    make: fn(&Form) -> Option<Made>,
    /// The field that a kernel's refusal is about.
    blame: fn(&KernelError) -> Option<FieldId>,
}

impl Plan {
    /// Its fields from top to bottom.
    pub fn all(&self) -> impl Iterator<Item = &'static Description> + use<> {
        self.fields.iter().flat_map(|group| group.iter())
    }
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// A change, to be carried out when it has been looked at.
    Change(Box<Change>),
    /// A plan for two hosts, to be looked at first.
    Pair(Box<PairPlan>),
    /// A look at the traffic with a peer, which changes nothing.
    Check(Box<CheckPlan>),
}

impl Made {
    /// Whether it needs no last step of the form: a pair is shown with both its halves, a flush with all that goes, and a
    /// check changes nothing.
    fn is_shown_elsewhere(&self) -> bool {
        match self {
            Self::Pair(_) | Self::Check(_) => true,
            Self::Change(change) => matches!(**change, Change::FlushSas(_) | Change::FlushPolicies(_)),
        }
    }
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

/// What a form was filled in with, to be made anew or changed.
#[derive(Clone)]
enum Edited {
    Sa(Box<Sa>),
    Policy(Box<Policy>),
    Template(Box<Template>),
}

/// A form being filled in.
#[derive(Clone)]
pub struct Form {
    plan: &'static Plan,
    contents: Vec<Content>,
    /// The small forms in it.
    items: Vec<Form>,
    focus: usize,
    progress: Progress,
    edited: Option<Edited>,
    /// The names and numbers of this host's interfaces.
    interfaces: Vec<(String, u32)>,
    /// What was wrong beside what was there when it was last to be sent.
    clashes: Vec<Complaint>,
    refusal: Option<(Option<FieldId>, String)>,
    /// Until when keys are shown, in uptime milliseconds.
    revealed_until: Option<u64>,
    /// Whether empty fields are complained about: not before the user wanted to send it.
    strict: bool,
    /// As it was when it was opened.
    opened: Option<Box<Form>>,
    /// Whether the user wanted to leave it and was told what would be lost.
    is_being_left: bool,
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
            Kind::Choice(_) | Kind::Fold | Kind::List(_) => Content::Choice(field.initial.to_owned()),
            Kind::Text | Kind::Key => Content::Text(TextField::with(field.initial)),
        };
        Self {
            plan,
            contents: plan.all().map(content).collect(),
            items: Vec::new(),
            focus: 0,
            progress: Progress::Editing,
            edited: None,
            interfaces: Vec::new(),
            clashes: Vec::new(),
            refusal: None,
            revealed_until: None,
            strict: false,
            opened: None,
            is_being_left: false,
        }
    }

    /// It stands before the user now, filled in as far as it could be.
    pub fn open(&mut self) {
        self.opened = Some(Box::new(self.clone()));
    }

    /// The user wants to leave it. `false` the first time where something would be lost that was typed or chosen.
    pub fn leave(&mut self) -> bool {
        let is_lost = self.opened.is_some() && !self.is_as_opened();
        std::mem::replace(&mut self.is_being_left, true) || !is_lost || self.is_pending()
    }

    /// Whether it changes something that is there, and nothing of that was changed.
    pub fn changes_nothing(&self) -> bool {
        self.edited.is_some() && self.is_as_opened()
    }

    fn is_as_opened(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| self.says_the_same(opened))
    }

    /// Whether both hold the same; what is folded out does not matter.
    fn says_the_same(&self, other: &Self) -> bool {
        let same =
            |field: &Description| matches!(field.kind, Kind::Fold) || self.value(field.id) == other.value(field.id);
        let items = self.items.iter().zip(&other.items);
        self.items.len() == other.items.len()
            && self.plan.all().all(same)
            && items.into_iter().all(|(item, other)| item.says_the_same(other))
    }

    /// The user goes on with it.
    pub fn stay(&mut self) {
        self.is_being_left = false;
    }

    /// The SA that it makes anew, as it was when the form was opened.
    pub fn edited_sa(&self) -> Option<&Sa> {
        match &self.edited {
            Some(Edited::Sa(sa)) => Some(sa),
            _ => None,
        }
    }

    /// The policy that it changes, as it was when the form was opened.
    pub fn edited_policy(&self) -> Option<&Policy> {
        match &self.edited {
            Some(Edited::Policy(policy)) => Some(policy),
            _ => None,
        }
    }

    fn edited_template(&self) -> Option<&Template> {
        match &self.edited {
            Some(Edited::Template(template)) => Some(template),
            _ => None,
        }
    }

    /// What it makes.
    pub fn title(&self) -> &'static str {
        self.plan.title
    }

    /// What its button does.
    pub fn button(&self) -> &'static str {
        self.plan.button
    }

    /// Tells it the names and numbers of this host's interfaces.
    pub fn know_interfaces(&mut self, interfaces: impl IntoIterator<Item = (String, u32)>) {
        self.interfaces = interfaces.into_iter().collect();
    }

    /// What it is for, and its fields.
    pub fn plan(&self) -> &'static Plan {
        self.plan
    }

    /// The fields of the large form that mean something now and are shown, from top to bottom.
    pub fn fields(&self) -> impl Iterator<Item = &'static Description> {
        self.plan.all().filter(|field| (field.applies)(self) && !self.is_folded(field))
    }

    fn is_folded(&self, field: &Description) -> bool {
        field.fold.is_some_and(|fold| !self.folds_out(fold))
    }

    /// Every field that means something now and is shown, those of the small forms behind the list that they are in.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for field in self.fields() {
            places.push(Place { item: None, field });
            if matches!(field.kind, Kind::List(_)) {
                let of = |(place, item): (usize, &Self)| -> Vec<Place> {
                    item.fields().map(|field| Place { item: Some(place), field }).collect()
                };
                places.extend(self.items.iter().enumerate().flat_map(of));
            }
        }
        places
    }

    /// The field that keys go to; `None` on the button below them all.
    pub fn focused(&self) -> Option<Place> {
        self.places().get(self.focus).copied()
    }

    /// The form that a place is of.
    pub fn part(&self, item: Option<usize>) -> &Self {
        item.and_then(|item| self.items.get(item)).unwrap_or(self)
    }

    fn part_mut(&mut self, item: Option<usize>) -> &mut Self {
        match item.filter(|item| *item < self.items.len()) {
            Some(item) => &mut self.items[item],
            None => self,
        }
    }

    /// The small forms in it.
    pub fn items(&self) -> &[Self] {
        &self.items
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
        self.focused().is_some_and(|place| matches!(place.field.kind, Kind::Text | Kind::Key))
    }

    /// Whether the focus is on a list of small forms or in one of them.
    pub fn list_is_focused(&self) -> bool {
        self.focused().is_some_and(|place| place.item.is_some() || matches!(place.field.kind, Kind::List(_)))
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
        let place = self.plan.all().position(|field| field.id == id)?;
        self.contents.get(place)
    }

    fn content_mut(&mut self, id: FieldId) -> Option<&mut Content> {
        let place = self.plan.all().position(|field| field.id == id)?;
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
        self.touched();
    }

    /// What can be chosen in a field; nothing where it is typed.
    pub fn options(&self, id: FieldId) -> Vec<String> {
        match self.plan.all().find(|field| field.id == id).map(|field| field.kind) {
            Some(Kind::Choice(options)) => options(self),
            _ => Vec::new(),
        }
    }

    /// Whether a field means something in view of the others, be it shown or folded away.
    pub fn applies(&self, id: FieldId) -> bool {
        self.plan.all().any(|field| field.id == id && (field.applies)(self))
    }

    /// Whether what is under a fold is shown.
    pub fn folds_out(&self, fold: FieldId) -> bool {
        self.value(fold) == SHOWN
    }

    /// How many fields under a fold are not as they were at first.
    pub fn filled_in_under(&self, fold: FieldId) -> usize {
        let under = self.plan.all().filter(|field| field.fold == Some(fold) && (field.applies)(self));
        under.filter(|field| self.value(field.id) != field.initial).count()
    }

    /// Shows what is under folds that hold something.
    fn unfold_what_is_filled_in(&mut self) {
        for field in self.plan.all().filter(|field| matches!(field.kind, Kind::Fold)) {
            if self.filled_in_under(field.id) > 0 {
                self.set(field.id, SHOWN);
            }
        }
    }

    /// What is wrong with a field, among all [`Form::complaints`], and may be said by now: while it is filled in, an empty
    /// field is not wrong. A fold says what is wrong with what it hides.
    pub fn complaint<'c>(&self, complaints: &'c [Complaint], place: Place) -> Option<&'c Complaint> {
        let part = self.part(place.item);
        let hides = matches!(place.field.kind, Kind::Fold) && !part.folds_out(place.field.id);
        let is_of = |field: FieldId| {
            let under = || self.plan.all().any(|f| f.id == field && f.fold == Some(place.field.id));
            field == place.field.id || hides && under()
        };
        let is_typed = matches!(place.field.kind, Kind::Text | Kind::Key);
        let quiet = !self.strict && is_typed && part.value(place.field.id).is_empty();
        complaints.iter().filter(|c| c.item == place.item && is_of(c.field) && !quiet).max_by_key(|c| c.severity)
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
        let place = |complaint: &Complaint| {
            let id = |field: &Description| field.id == complaint.field;
            let list = |field: &Description| matches!(field.kind, Kind::List(_));
            let within = complaint.item.map_or(0, |item| item + 1);
            (self.plan.all().position(|f| if within > 0 { list(f) } else { id(f) }), within)
        };
        warnings.sort_by_key(place);
        warnings
    }

    /// Makes up a random key or a free SPI for a field; `false` if neither belongs there.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn make_up(&mut self, id: FieldId, sad: &Sad) -> Result<bool, getrandom::Error> {
        if self.is_key(id) {
            let key = Secret::random(sa::key_bytes(self, id).unwrap_or(0))?;
            self.set(id, &zeroize::Zeroizing::new(format!("0x{}", *key.reveal_hex())));
        } else if id == FieldId::Spi {
            let is_comp = self.value(FieldId::Protocol) == "ipcomp";
            let protocol = if is_comp { IpsecProtocol::Comp } else { IpsecProtocol::Esp };
            let spi = Spi::random(protocol, |spi| sad.has_spi(spi))?;
            self.set(id, &format!("{spi:#}"));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn is_key(&self, id: FieldId) -> bool {
        self.plan.all().any(|field| field.id == id && matches!(field.kind, Kind::Key))
    }

    /// Whether a random value can be made up for the field that keys go to.
    pub fn can_make_up(&self) -> bool {
        // Those of the small forms are of SAs that are there.
        let field = self.focused().filter(|place| place.item.is_none()).map(|place| place.field.id);
        field.is_some_and(|id| id == FieldId::Spi || self.is_key(id))
    }

    /// Whether a key is among its fields.
    pub fn has_keys(&self) -> bool {
        self.places().iter().any(|place| matches!(place.field.kind, Kind::Key))
    }

    /// What is shown of it in the place of its fields, in its last step: what will be sent.
    pub fn in_review(&self) -> Option<Box<Change>> {
        match self.made() {
            Some(Made::Change(change)) if self.progress == Progress::Review => Some(change),
            _ => None,
        }
    }

    /// To the button: what the form holds is likely to be what is wanted.
    pub fn focus_on_button(&mut self) {
        self.focus = self.places().len();
    }

    /// Something of it is another thing now.
    fn touched(&mut self) {
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

    /// Everything wrong with it, also with what is left empty and beside what is there already.
    pub fn judge(&mut self, sad: &Sad, spd: &Spd) -> Vec<Complaint> {
        self.strict = true;
        self.clashes = (self.plan.beside)(self, sad, spd);
        self.complaints()
    }

    /// The user wants it sent. `true` if it may be: it had been shown what will be sent. Otherwise that is the next
    /// step, or the first error's field gets the focus.
    pub fn submit(&mut self, sad: &Sad, spd: &Spd) -> bool {
        if self.is_pending() {
            return false;
        }
        let complaints = self.judge(sad, spd);
        let mut errors = complaints.iter().filter(|complaint| complaint.severity == Severity::Error);
        let shown = self.places();
        let place = |c: &&Complaint| shown.iter().position(|place| place.is_at(c.item, c.field)).unwrap_or(shown.len());
        let first = errors.clone().min_by_key(place).or_else(|| errors.next());
        if let Some(Complaint { item, field, .. }) = first {
            self.leave_review();
            self.focus_on(*item, *field);
            return false;
        }
        let is_shown_later = complaints.is_empty() && self.made().is_some_and(|made| made.is_shown_elsewhere());
        if self.progress == Progress::Review || is_shown_later {
            return true;
        }
        self.progress = Progress::Review;
        self.focus = self.places().len();
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
            self.focus_on(None, field);
        }
        self.refusal = Some((field, error.reason()));
    }
}
