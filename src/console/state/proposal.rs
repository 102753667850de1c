//! What is to become of the protection of the traffic with another host, step by step and shown before it is done: what
//! this host does, and what the other one's script does, whose keys exist nowhere else until it is handed over.
//!
//! A step that was carried out from here can be taken back. What makes this host differ from the other one is on trial at
//! first: it may have cut off who asked for it, so it is taken back by itself unless a key says that it shall stay.

use std::net::IpAddr;

use super::line::Purpose as LinePurpose;
use super::log::{Origin, Weight};
use super::{Layer, State, movement, scrolled};
use crate::console::action::Action;
use crate::console::command::{Change, Command, Done, Outcome};
use crate::dialect::Keys;
use crate::dialect::script::{Language, script};
use crate::kernel::together::Reversal;
use crate::kernel::{Cause, KernelError, Operation};
use crate::model::pair::{Half, OldSa, PairPlan, Purpose, Side, Stage};
use crate::model::{IpsecProtocol, SaId, SaSpec, Secret};

/// How long a step is on trial.
pub const TRIAL_MS: u64 = 30_000;
/// How long it is tried at least before it can be kept.
const TRIED_MS: u64 = 1_000;

/// A plan, step by step.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The plan.
    pub plan: PairPlan,
    /// What it is shown in.
    pub language: Language,
    /// Lines above the window, if somebody scrolled; if not, the step that is next is shown.
    pub scroll: Option<usize>,
    /// The steps; those of new keys in the order in which no packet is lost.
    pub steps: Vec<Step>,
    /// What happens to the traffic when its protection is gone, in a sentence.
    pub afterwards: String,
    /// Until when this host's step is on trial, in uptime milliseconds.
    pub trial_until: Option<u64>,
    /// Whether it was taken back because nobody kept it.
    pub has_lapsed: bool,
    /// The steps that were carried out, in that order.
    pub(super) done: Vec<usize>,
    /// Whether a step of the other host is to be taken back as soon as it is done: the trial that it belongs to is over.
    pub(super) is_called_off: bool,
    /// What earlier plans, left half-way, have left on the other host; the last step there removes it.
    pub(super) left_there: Vec<OldSa>,
    /// What the last key, or the end of the trial, has taken back so far, in words.
    taken_back: Vec<String>,
    /// The step whose script is being saved.
    saving: usize,
    /// What was warned of last; the same key once more does it.
    warned_of: Option<Action>,
}

/// A step of a proposal.
#[derive(Clone, Debug)]
pub struct Step {
    /// On which host.
    pub side: Side,
    /// How it stands.
    pub progress: Progress,
    /// What was to go and was not there when it was done, in words.
    pub missing: Option<String>,
    /// Whether its script is somewhere else as well.
    pub is_handed_over: bool,
    pub(super) half: Half,
    /// What takes it back.
    pub(super) reversal: Option<Box<Reversal>>,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has been done.
    Proposed,
    /// It was sent; no answer yet.
    Pending,
    /// It is done.
    Made,
    /// Nothing of it was done, and why.
    Refused(String),
    /// It was not taken back whole, or nobody answered: what the host has of it is not known. And why.
    Unknown(String),
}

impl Progress {
    /// What follows from an error while something was done. A refusal leaves nothing; what is said when even taking back
    /// failed, or when no answer came that can be read, leaves nobody knows what.
    fn of(error: &KernelError) -> Self {
        let is_back = matches!(error.operation, Operation::TakeBack(_));
        let is_unheard = matches!(error.cause, Cause::TimedOut(_) | Cause::Unreadable(_));
        let is_unknown = is_back || (is_unheard && error.operation != Operation::Open);
        if is_unknown { Self::Unknown(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}

impl Step {
    /// Whether it is done, or can be done without us.
    pub fn is_passed(&self) -> bool {
        self.progress == Progress::Made || self.is_handed_over
    }

    /// Whether it has begun to count. Of what is not known the most is supposed.
    pub(super) fn is_begun(&self) -> bool {
        matches!(self.progress, Progress::Made | Progress::Pending | Progress::Unknown(_)) || self.is_handed_over
    }

    /// Why nobody knows what the host has of it, if nobody does.
    pub fn why_unknown(&self) -> Option<&str> {
        match &self.progress {
            Progress::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

impl Proposal {
    pub(super) fn of(plan: PairPlan, stages: Vec<Stage>, afterwards: String) -> Self {
        let step = |Stage { side, half }| Step {
            side,
            half,
            progress: Progress::Proposed,
            missing: None,
            is_handed_over: false,
            reversal: None,
        };
        Self {
            plan,
            language: Language::Ip,
            scroll: None,
            steps: stages.into_iter().map(step).collect(),
            afterwards,
            trial_until: None,
            has_lapsed: false,
            done: Vec::new(),
            is_called_off: false,
            left_there: Vec::new(),
            taken_back: Vec::new(),
            saving: 0,
            warned_of: None,
        }
    }

    /// Whether the steps must be taken one after the other.
    pub fn is_ordered(&self) -> bool {
        matches!(self.plan.purpose, Purpose::NewKeys(_))
    }

    /// The address of a host.
    pub(super) fn host(&self, side: Side) -> IpAddr {
        if side == Side::Here { self.plan.here } else { self.plan.there }
    }

    /// A step in words and without keys; `None` where the language cannot say it.
    pub fn words(&self, step: &Step) -> Option<String> {
        let heading = format!("{} on {}", step.half.order(), self.host(step.side));
        script(&step.half, self.language, &heading, Keys::Hide).map(|text| text.to_string())
    }

    /// The step of the other host whose script is wanted next: as long as this host waits for it, it is that one.
    pub fn wanted_script(&self) -> usize {
        let is_over = |place: usize| self.steps.iter().skip(place + 1).any(|later| later.progress == Progress::Made);
        let there = self.steps.iter().enumerate().filter(|(_, step)| step.side == Side::There);
        let mut places = there.map(|(place, _)| place);
        let open = places.clone().find(|place| !is_over(*place));
        open.or(places.next_back()).unwrap_or(0)
    }

    /// The script of a step, keys and all.
    fn script(&self, place: usize) -> Option<Secret> {
        let Step { side, half, .. } = self.steps.get(place)?;
        let text = script(half, self.language, &self.plan.heading(*side, half), Keys::Show)?;
        Some(Secret::copy_from(text.as_bytes()))
    }

    /// Whether it is not known what a host has of the plan.
    pub fn is_unknown(&self) -> bool {
        self.steps.iter().any(|step| step.why_unknown().is_some())
    }

    /// Whether a step was sent that nobody has answered yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.steps.iter().any(|step| step.progress == Progress::Pending)
    }

    /// The next step on a host; on what is not known nothing is built.
    pub fn next(&self, side: Side) -> Option<usize> {
        if self.is_unknown() {
            return None;
        }
        self.steps.iter().position(|step| step.side == side && step.progress != Progress::Made)
    }

    /// Whether something was done that could be taken back.
    pub fn is_begun(&self) -> bool {
        !self.done.is_empty()
    }

    /// A new step begins: what was refused, and what was taken back before, is told no more.
    pub(super) fn begin(&mut self) {
        self.taken_back.clear();
        for step in self.steps.iter_mut().filter(|step| matches!(step.progress, Progress::Refused(_))) {
            step.progress = Progress::Proposed;
        }
    }

    /// The first step of those that have an order that is not taken.
    pub fn turn(&self) -> Option<(usize, &Step)> {
        self.steps.iter().enumerate().find(|(_, step)| !step.is_passed())
    }

    /// Takes a step back that was carried out.
    pub(super) fn take_back(&mut self, place: usize, commands: &mut Vec<Command>) {
        let Some(step) = self.steps.get_mut(place) else {
            return;
        };
        let Some(reversal) = step.reversal.take() else {
            return;
        };
        step.progress = Progress::Pending;
        let change = Box::new(Change::TakeBack { half: Box::new(step.half.clone()), reversal });
        commands.push(if step.side == Side::Here { Command::Change(change) } else { Command::There(change) });
    }

    /// What is on trial, if anything is.
    pub(super) fn on_trial(&self) -> &'static str {
        if self.plan.purpose == Purpose::Remove { "the removal" } else { "what was made on this host" }
    }

    /// What must be done before this step, if that is not done.
    fn comes_first(&self, place: usize) -> Option<String> {
        let mut before = self.steps.iter().take(place).filter(|_| self.is_ordered());
        let earlier = before.find(|step| !step.is_passed())?;
        let whose = if earlier.side == Side::Here { "this host's (y)" } else { "the other host's" };
        Some(format!("first comes the step before it, {whose}: else packets are lost"))
    }

    /// The SAs with which this host hears that the other one uses its new keys.
    fn new_received(&self) -> impl Iterator<Item = SaId> {
        let first = self.steps.first().filter(|_| self.is_ordered());
        let sas = first.into_iter().flat_map(|step| &step.half.sas);
        sas.filter(|sa| sa.protocol != IpsecProtocol::Comp).map(SaSpec::id)
    }

    /// Whether the step to be taken back may be one that the other host builds upon, with a script that nobody sees run.
    fn may_have_run_there(&self) -> bool {
        let is_out = |step: &Step| step.is_handed_over && step.progress != Progress::Made;
        !self.done.is_empty() && self.steps.iter().any(is_out)
    }

    /// The SAs that a host has and the other one has not, or not any more, each with the host. What was handed over
    /// counts as done.
    pub(super) fn left_over(&self) -> Vec<(Side, OldSa)> {
        let of = |side, is_begun| {
            let steps = self.steps.iter().filter(move |step| step.side == side && step.is_begun() == is_begun);
            steps.map(|step| &step.half)
        };
        let made = |side| -> Vec<OldSa> {
            of(side, true).flat_map(|half| &half.sas).map(|sa| OldSa { id: sa.id(), source: sa.source }).collect()
        };
        let listed = |side, is_begun| of(side, is_begun).flat_map(|half| &half.old_sas).copied();
        // Marks are each host's own.
        let name = |sa: &OldSa| (sa.source, SaId { mark: None, ..sa.id });
        let gone_there: Vec<OldSa> = listed(Side::There, true).collect();
        let from_before = self.left_there.iter().filter(|sa| !gone_there.contains(sa));
        let mut left: Vec<(Side, OldSa)> = from_before.map(|sa| (Side::There, *sa)).collect();
        for (side, other) in [(Side::Here, Side::There), (Side::There, Side::Here)] {
            let (known, gone) = (made(other), listed(other, true).collect::<Vec<_>>());
            let alone = made(side).into_iter().filter(|sa| !known.iter().any(|one| name(one) == name(sa)));
            let stays = listed(side, false).filter(|sa| gone.iter().any(|one| name(one) == name(sa)));
            let stays = stays.filter(|sa| !self.left_there.contains(sa));
            left.extend(alone.chain(stays).map(|sa| (side, sa)));
        }
        left
    }
}

impl State {
    pub(super) fn on_proposal_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let (reading, now) = (self.drawn.reading, self.facts.now.uptime_ms);
        let is_heard = self.hears_what_was_made();
        let Some(Layer::Proposal(proposal)) = self.layers.last_mut() else {
            return;
        };
        let is_warned = proposal.warned_of.take() == Some(action);
        match action {
            // A second goes by before a trial's end is seen.
            Action::MakeHere | Action::MakeThere if proposal.trial_until.is_some_and(|until| until <= now) => {
                self.end_trial(commands);
            }
            Action::Back if proposal.trial_until.is_some() => {
                self.warn("it is on trial: y keeps it, u takes it back".to_owned());
            }
            Action::Back if proposal.is_half_done() && !is_warned => {
                proposal.warned_of = Some(action);
                let why = proposal.why_to_stay().to_owned();
                self.warn(why);
            }
            Action::Back => {
                let (is_made, is_unknown) = (proposal.is_begun(), proposal.is_unknown());
                let leftovers = proposal.is_half_done().then(|| proposal.leftovers());
                let awaited = proposal.awaited_script(is_heard);
                self.remember_left();
                self.layers.pop();
                if let Some(words) = leftovers {
                    self.tell(Origin::Console, Weight::Warning, words);
                    let what =
                        if is_unknown { "where it is not known what is left" } else { "what is left on which host" };
                    self.warn(format!("left half-way: the events (4) say {what}"));
                } else if let Some(words) = awaited {
                    self.tell(Origin::Console, Weight::Warning, words.clone());
                    self.warn(words);
                }
                if is_made && matches!(self.layers.last(), Some(Layer::Form(_))) {
                    self.layers.pop();
                }
            }
            // A key that is held down must not keep what nobody has seen yet.
            Action::MakeHere if proposal.trial_until.is_some_and(|until| until > now + TRIAL_MS - TRIED_MS) => {
                self.warn("it is on trial: look whether all goes on as it should, then y keeps it".to_owned());
            }
            Action::MakeHere if proposal.trial_until.is_some() => {
                proposal.trial_until = None;
                commands.push(Command::Keep);
                let text = format!("{} is kept", proposal.on_trial());
                self.tell(Origin::Console, Weight::Note, text);
                self.note("kept".to_owned());
            }
            Action::MakeHere => self.take_step(Side::Here, is_warned, commands),
            Action::MakeThere if self.setting.other_host.is_none() => {
                self.warn("the other host cannot be reached from here: Y copies its script, w saves it".to_owned());
            }
            Action::MakeThere => self.take_step(Side::There, is_warned, commands),
            Action::TakeBack if proposal.may_have_run_there() && proposal.trial_until.is_none() && !is_warned => {
                proposal.warned_of = Some(action);
                let words = "the other host's script may have run: packets would be lost; u again goes on";
                self.warn(words.to_owned());
            }
            Action::TakeBack if proposal.trial_until.is_some() => self.take_trial_back(commands),
            Action::TakeBack => self.take_step_back(commands),
            Action::OtherLanguage => {
                let other = if proposal.language == Language::Ip { Language::Setkey } else { Language::Ip };
                (proposal.language, proposal.scroll) = (other, None);
            }
            Action::Copy => self.copy_script(is_warned, commands),
            Action::Save => {
                let place = proposal.wanted_script();
                let missing = proposal.script(place).is_none().then(|| CANNOT_SAY.to_owned());
                if let Some(words) = proposal.comes_first(place).or(missing) {
                    self.warn(words);
                    return;
                }
                proposal.saving = place;
                let name: String = proposal.plan.there.to_string().replace(':', "-");
                let part = match (proposal.plan.purpose, place) {
                    (Purpose::Make, _) => "",
                    (Purpose::NewKeys(_), 1) => "-1",
                    (Purpose::NewKeys(_), _) => "-2",
                    (Purpose::Remove, _) => "-remove",
                };
                self.open_line(LinePurpose::SaveScript, &format!("ipsec-{name}{part}.sh"));
            }
            _ => {
                if let Some(movement) = movement(action, reading.height) {
                    proposal.scroll = Some(scrolled(reading.top, movement, reading.height, reading.length));
                }
            }
        }
    }

    /// Carries out the next step of a host, if it is its turn.
    fn take_step(&mut self, side: Side, is_warned: bool, commands: &mut Vec<Command>) {
        let is_heard = self.hears_new_keys();
        let Some(proposal) = self.proposal() else {
            return;
        };
        if proposal.is_unknown() {
            self.warn("it is not known what is there: look first, then another plan (Esc, A) can be made".to_owned());
            return;
        }
        let Some(place) = proposal.next(side) else {
            let host = if side == Side::Here { "here" } else { "on the other host" };
            self.note(format!("all is done {host}: u takes back what was done last, Esc leaves it so"));
            return;
        };
        let waits =
            |(at, step): (usize, &Step)| step.progress == Progress::Pending && (at == place || proposal.is_ordered());
        if proposal.steps.iter().enumerate().any(waits) {
            return;
        }
        if let Some(words) = proposal.comes_first(place) {
            self.warn(words);
            return;
        }
        if proposal.is_ordered() {
            let before = proposal.steps.get(..place).and_then(<[Step]>::last);
            let by_script = before.is_some_and(|step| step.progress != Progress::Made);
            if by_script && !is_heard && !is_warned {
                proposal.warned_of = Some(Action::MakeHere);
                let words = "nothing comes with the new keys: has the script run there? y again goes on";
                self.warn(words.to_owned());
                return;
            }
        }
        proposal.has_lapsed = false;
        proposal.begin();
        // In an order of steps none loses packets.
        let is_on_trial = !proposal.is_ordered();
        if let Some(step) = proposal.steps.get_mut(place) {
            step.progress = Progress::Pending;
            let change = Box::new(Change::Exchange(Box::new(step.half.clone())));
            commands.push(match side {
                Side::Here if is_on_trial => Command::Try(change),
                Side::Here => Command::Change(change),
                Side::There => Command::There(change),
            });
        }
    }

    /// Takes the step back that was carried out last, if none is on its way.
    fn take_step_back(&mut self, commands: &mut Vec<Command>) {
        let Some(proposal) = self.proposal() else {
            return;
        };
        if proposal.steps.iter().any(|step| step.progress == Progress::Pending) {
            return;
        }
        proposal.begin();
        match proposal.done.last().copied() {
            Some(place) => proposal.take_back(place, commands),
            None => self.note("nothing was done yet that could be taken back".to_owned()),
        }
    }

    /// Whether packets have come with the new keys.
    pub(crate) fn hears_new_keys(&self) -> bool {
        let Some(proposal) = self.layers.iter().find_map(of_layer) else {
            return false;
        };
        let mut sas = proposal.new_received().peekable();
        let has_come = |id| self.facts.sad.get(&id).is_some_and(|sa| sa.used.packets > 0);
        sas.peek().is_some() && sas.all(has_come)
    }

    /// Keys in a clipboard can be read by other programs, and stay there: they are given away only when that was said.
    fn copy_script(&mut self, is_warned: bool, commands: &mut Vec<Command>) {
        let Some(proposal) = self.proposal() else {
            return;
        };
        let place = proposal.wanted_script();
        if let Some(words) = proposal.comes_first(place) {
            self.warn(words);
            return;
        }
        let Some(text) = proposal.script(place) else {
            self.warn(CANNOT_SAY.to_owned());
            return;
        };
        let host = proposal.plan.there;
        if !is_warned && proposal.steps.get(place).is_some_and(|step| step.half.has_keys()) {
            proposal.warned_of = Some(Action::Copy);
            let words = "KEYS would go to the clipboard, open to other programs: Y again copies them";
            self.warn(words.to_owned());
            return;
        }
        commands.push(Command::Copy(text));
        let what = self.handed_over(place);
        self.tell(Origin::Console, Weight::Note, format!("copied {what}"));
        self.note(format!("the script of {host} is on its way to the clipboard, if the terminal takes it"));
    }

    /// The user has named the file for the other host's script.
    pub(super) fn save_script(&mut self, path: String, commands: &mut Vec<Command>) {
        if let Some(Layer::Proposal(proposal)) = self.layers.last()
            && let Some(text) = proposal.script(proposal.saving)
        {
            commands.push(Command::Save { path, text });
        }
    }

    pub(super) fn on_saved(&mut self, path: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                if let Some(place) = self.proposal().map(|proposal| proposal.saving) {
                    let text = format!("saved {} as {path}", self.handed_over(place));
                    self.tell(Origin::Console, Weight::Note, text.clone());
                    self.note(text);
                }
            }
            Err(reason) => self.alarm(format!("saving {path}: {reason}")),
        }
    }

    /// The script of a step is somewhere else as well. Returns what it is, in words.
    fn handed_over(&mut self, place: usize) -> String {
        let Some(proposal) = self.proposal() else {
            return String::new();
        };
        let host = proposal.plan.there;
        let Some(step) = proposal.steps.get_mut(place) else {
            return String::new();
        };
        step.is_handed_over = true;
        let keys = if step.half.has_keys() { ", keys and all," } else { "" };
        proposal.scroll = None;
        format!("the script of {host}{keys}")
    }

    /// A step on the lab's other host was carried out or refused.
    pub(super) fn on_done_there(&mut self, outcome: &Outcome, commands: &mut Vec<Command>) {
        let host = self.setting.other_host.clone().unwrap_or_default();
        self.on_step(outcome, commands);
        match &outcome.result {
            Ok(_) => {
                let text = outcome.deed(&format!(" on {host}"));
                self.tell(Origin::Console, Weight::Note, text.clone());
                let text = self.with_taken_back(outcome, text);
                self.note(text);
            }
            Err(error) => {
                self.tell(Origin::Console, Weight::Warning, format!("refused on {host}: {error}"));
                if matches!(error.operation, Operation::TakeBack(_)) || self.proposal().is_none() {
                    self.alarm(format!("on {host}: {error}"));
                }
            }
        }
    }

    /// What was taken back on one host, together with what was on the other one: a trial of both is taken back at once.
    pub(super) fn with_taken_back(&mut self, outcome: &Outcome, text: String) -> String {
        match self.proposal() {
            Some(proposal) if matches!(&*outcome.change, Change::TakeBack { .. }) => {
                proposal.taken_back.push(text);
                proposal.taken_back.join("; ")
            }
            _ => text,
        }
    }

    /// A step was carried out, taken back or refused.
    pub(super) fn on_step(&mut self, outcome: &Outcome, commands: &mut Vec<Command>) {
        let until = self.facts.now.uptime_ms + TRIAL_MS;
        let (half, is_back) = match &*outcome.change {
            Change::Exchange(half) => (half, false),
            Change::TakeBack { half, .. } => (half, true),
            _ => return,
        };
        let Some(proposal) = self.proposal() else {
            return;
        };
        // A trial may have been ended for the console while it hung.
        let is_on = |progress: &Progress| *progress == Progress::Pending || (is_back && *progress == Progress::Made);
        let waits = |step: &Step| is_on(&step.progress) && step.half == **half;
        let Some(place) = proposal.steps.iter().position(waits) else {
            return;
        };
        let is_tried = !proposal.is_ordered();
        let tried_there = proposal.tried_there();
        proposal.scroll = None;
        let Some(step) = proposal.steps.get_mut(place) else {
            return;
        };
        match (&outcome.result, is_back) {
            (Ok(Done { reversal, .. }), false) => {
                (step.progress, step.reversal) = (Progress::Made, reversal.clone());
                step.missing = outcome.missing();
                if is_tried && step.side == Side::Here {
                    proposal.trial_until = Some(until);
                }
                let is_called_off = step.side == Side::There && std::mem::take(&mut proposal.is_called_off);
                proposal.done.push(place);
                if is_called_off {
                    proposal.take_back(place, commands);
                }
            }
            (Err(error), false) => {
                if step.side == Side::There {
                    proposal.is_called_off = false;
                }
                step.progress = Progress::of(error);
            }
            (result, true) => {
                // What could not be taken back whole cannot be tried again.
                (step.reversal, step.missing, proposal.trial_until) = (None, None, None);
                step.progress = match result {
                    Ok(_) => Progress::Proposed,
                    Err(error) => Progress::Unknown(error.to_string()),
                };
                proposal.has_lapsed &= result.is_ok();
                let is_here = step.side == Side::Here;
                proposal.done.retain(|done| *done != place);
                // Here it was taken back although the console did not ask for it: the other host's half goes with it.
                for place in tried_there.into_iter().filter(|_| is_here) {
                    proposal.take_back(place, commands);
                }
            }
        }
    }

    pub(super) fn proposal(&mut self) -> Option<&mut Proposal> {
        self.layers.iter_mut().find_map(|layer| match layer {
            Layer::Proposal(proposal) => Some(&mut **proposal),
            _ => None,
        })
    }
}

pub(super) fn of_layer(layer: &Layer) -> Option<&Proposal> {
    match layer {
        Layer::Proposal(proposal) => Some(proposal),
        _ => None,
    }
}

/// Why there is no script in setkey's language.
pub const CANNOT_SAY: &str = "setkey on Linux has no words for this: l shows it in ip xfrm's";
