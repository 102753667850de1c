//! Everything that the console knows and shows, and how an event changes it. Pure: it asks for deeds by commands and
//! is told the time.
//!
//! [`State::update`] is the only way in. The screens keep their own state; what stands before them (help, a form, a
//! question) is a stack of [`Layer`]s, and keys go to the uppermost.

use std::collections::HashSet;
use std::net::IpAddr;

use crossterm::event::KeyEvent;

use super::action::Action;
use super::clock::Clock;
use super::columns::{ChosenColumns, Columns, PacketColumn, PolicyColumn, SaColumn};
use super::command::{Command, Outcome, Wanted};
use super::event::{Event, Now, Polled};
use super::form::check::CheckPlan;
use super::form::{Form, Progress};
use super::keymap::{self, Context, Key};
use crate::kernel::Update;
use crate::kernel::follow::Snapshot;
use crate::model::pair::OldSa;
use crate::model::slots::Slot;
use crate::model::{Counts, KernelEvent, Policy, PolicyId, Sa, SaId};

pub mod checking;
pub mod column_choice;
mod consequence;
mod facts;
pub mod feed;
mod leaving;
pub mod line;
pub mod log;
mod making;
mod on_action;
mod on_form;
mod on_kernel;
mod on_list;
mod on_packet;
pub mod packets;
mod planning;
pub mod proposal;
pub mod question;
pub mod rates;
pub mod recording;
pub mod ring;
pub mod table;
mod trial;
mod under_cursor;

pub use facts::Facts;
pub(crate) use on_kernel::defaults_words;

use checking::Checking;
use column_choice::ColumnChoice;
use feed::Feed;
use line::Line;
use log::{Entry, Log, Origin, Weight};
use on_action::{movement, scrolled};
use packets::Packets;
use proposal::Proposal;
use question::Question;
use table::Table;

/// One of the four screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The SAD.
    Sas,
    /// The SPD.
    Policies,
    /// Frames from the wire.
    Packets,
    /// The time line.
    Events,
}

impl Screen {
    /// All of them, in the order of Tab.
    pub const ALL: [Self; 4] = [Self::Sas, Self::Policies, Self::Packets, Self::Events];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sas => "SAs",
            Self::Policies => "Policies",
            Self::Packets => "Packets",
            Self::Events => "Events",
        }
    }

    fn context(self) -> Context {
        match self {
            Self::Sas => Context::Sas,
            Self::Policies => Context::Policies,
            Self::Packets => Context::Packets,
            Self::Events => Context::Events,
        }
    }
}

/// Something that stands before the screen.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The keys that work here, scrolled so far.
    Help {
        /// Lines above the window.
        scroll: usize,
        /// Where the keys work that are shown.
        contexts: Vec<Context>,
    },
    /// The selected row, whole.
    Whole {
        /// Lines above the window, if somebody scrolled; if not, what matters is shown.
        scroll: Option<usize>,
    },
    /// Are you sure?
    Question(Question),
    /// A form.
    Form(Box<Form>),
    /// What is to protect the traffic with another host.
    Proposal(Box<Proposal>),
    /// A list to choose from.
    Choice(Choice),
    /// Which columns are shown, and in which order.
    Columns(Box<ColumnChoice>),
    /// The sums of each peer.
    Peers {
        /// The peer that keys go to; the first one where `None`.
        selected: Option<IpAddr>,
    },
    /// Is the traffic with a peer encrypted?
    Check(Box<Checking>),
    /// A line to type.
    Line(Line),
}

/// A list to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What it is for.
    pub of: ChoiceOf,
    /// What is chosen.
    pub title: String,
    /// What there is to choose: the value, and what is said about it.
    pub options: Vec<(String, String)>,
    /// The option that keys go to.
    pub cursor: usize,
}

/// What a list to choose from is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceOf {
    /// Where packets are taken from.
    Interface,
    /// One of these SAs, to be shown.
    Sa(Vec<SaId>),
    /// The column that rows are sorted by.
    Sorting,
    /// What rows are copied as.
    Form,
}

/// A short message at the foot of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is said.
    pub text: String,
    /// How much it matters.
    pub weight: Weight,
    /// When it goes by itself, in uptime milliseconds; an alarm stays until a key is pressed.
    until: Option<u64>,
}

/// What the console is told at its start.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The host's name.
    pub host: String,
    /// The network namespace's name, if one was asked for.
    pub namespace: Option<String>,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// The names of all themes.
    pub themes: Vec<String>,
    /// The lab's other host, if this is the lab.
    pub other_host: Option<String>,
    /// Its address.
    pub other_address: Option<IpAddr>,
    /// The interface that packets are to be taken from, if one was named.
    pub interface: Option<String>,
    /// Whether packets are taken from the start, and not only when somebody wants to see them.
    pub capture_at_start: bool,
    /// What is missing from the start, in sentences: rights, parts of the kernel.
    pub complaints: Vec<String>,
    /// The columns that are shown at first.
    pub columns: ChosenColumns,
    /// The screens whose columns the configuration says, so that no others are remembered.
    pub settled: Vec<Screen>,
}

/// The sizes of the last picture, told by the view: how far a page goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Whether there was room to draw at all; if not, keys do nothing but leave.
    pub usable: bool,
    /// Rows of the screen's table.
    pub rows: usize,
    /// The text of the uppermost layer.
    pub reading: Reading,
}

/// A text in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lines above the window.
    pub top: usize,
    /// Lines in the window.
    pub height: usize,
    /// Lines in all.
    pub length: usize,
}

/// How long a notice stays.
const NOTICE_MS: u64 = 6000;
/// How long revealed keys stay.
const REVEAL_MS: u64 = 10_000;
/// Up to how many SAs all counters are read every second.
const FEW_SAS: usize = 1000;
/// How many SAs' counters are read in a second beside the visible ones, when there are many.
const SWEEP: usize = 200;

/// Everything.
#[derive(Debug)]
pub struct State {
    /// What was told at the start.
    pub setting: Setting,
    /// How times are shown.
    pub clock: Clock,
    /// The screen that is open.
    pub screen: Screen,
    /// What stands before it; the last is uppermost.
    pub layers: Vec<Layer>,
    /// What is said at the foot of the screen.
    pub notice: Option<Notice>,
    /// What is known of the kernel.
    pub facts: Facts,
    /// The table of SAs.
    pub sas: Table<SaColumn, SaId>,
    /// The table of policies.
    pub policies: Table<PolicyColumn, PolicyId>,
    /// The packets.
    pub packets: Packets,
    /// The list of events.
    pub events: Feed,
    /// The events themselves.
    pub log: Log,
    /// Changes that were confirmed and are not answered yet, in words.
    pub waits: Vec<String>,
    /// The SAs whose keys are shown, and until when in uptime milliseconds.
    revealed: Option<(HashSet<SaId>, u64)>,
    /// What plans that were left half-way have left on the other host, each with the two hosts.
    left_half_way: Vec<((IpAddr, IpAddr), OldSa)>,
    drawn: Drawn,
    sweep: usize,
    /// The kernel's counts, while they are not those of the copies.
    difference: Option<Counts>,
    /// The counts that reading everything again did not explain.
    not_cured: Option<Counts>,
    wanted_sa: Option<SaId>,
    wanted_policy: Option<PolicyId>,
    /// The repetition that the last event is, and how often it came.
    repeated: Option<(u64, &'static str, u32)>,
    /// Whether the user came here from a packet, to which one step back leads.
    came_from_packet: bool,
    /// What was checked last: the next check is likely to be like it.
    checked: Option<CheckPlan>,
    seen: under_cursor::Seen,
    /// When a row that was read whole went by itself, and its text with it.
    closed_at: Option<u64>,
    /// When a form's warnings were shown, or somebody wanted to go on without having read them, in uptime milliseconds.
    warned_at: Option<u64>,
    /// When something was last taken away or changed here, in uptime milliseconds.
    acted_at: Option<u64>,
    /// The threads that have ended and should not have.
    pub lost_threads: Vec<&'static str>,
}

impl State {
    /// A console that knows nothing yet.
    pub fn new(setting: Setting, clock: Clock, now: Now) -> Self {
        let mut state = Self {
            clock,
            screen: Screen::Sas,
            layers: Vec::new(),
            notice: None,
            facts: Facts { now, ..Facts::default() },
            sas: Table::by(SaColumn::Source),
            policies: Table::by(PolicyColumn::Direction),
            packets: Packets::default(),
            events: Feed::default(),
            log: log::new(),
            waits: Vec::new(),
            revealed: None,
            left_half_way: Vec::new(),
            drawn: Drawn::default(),
            sweep: 0,
            difference: None,
            not_cured: None,
            wanted_sa: None,
            wanted_policy: None,
            repeated: None,
            came_from_packet: false,
            checked: None,
            seen: Vec::new(),
            closed_at: None,
            warned_at: None,
            acted_at: None,
            lost_threads: Vec::new(),
            setting,
        };
        let ChosenColumns { sas, policies, packets } = state.setting.columns.clone();
        state.sas.show(sas.unwrap_or_else(|| SaColumn::USUAL.to_vec()));
        state.policies.show(policies.unwrap_or_else(|| PolicyColumn::USUAL.to_vec()));
        state.packets.columns = packets.unwrap_or_else(|| PacketColumn::USUAL.to_vec());
        for complaint in state.setting.complaints.clone() {
            state.tell(Origin::Console, Weight::Warning, complaint);
        }
        state
    }

    /// Takes an event in. What is to be done about it is added to `commands`.
    pub fn update(&mut self, event: Event, now: Now, commands: &mut Vec<Command>) {
        self.facts.now = now;
        if self.notice.as_ref().is_some_and(|n| n.until.is_some_and(|until| until <= now.uptime_ms)) {
            self.notice = None;
        }
        let by_hand = matches!(event, Event::Key(_) | Event::Paste(_));
        match event {
            Event::Key(key) => self.on_key(key, commands),
            Event::Paste(text) => self.on_paste(&text),
            // The terminal's own size is looked at for every picture.
            Event::Resized => {}
            Event::Kernel(Update::Snapshot(snapshot)) => self.on_snapshot(snapshot),
            Event::Kernel(Update::Events(events)) => self.on_kernel_events(events),
            Event::KernelSilent(error) => self.on_silence(&error),
            Event::Polled(polled) => self.on_polled(*polled, commands),
            Event::Supported(support) => self.on_support(support),
            Event::Done(outcome) => self.on_outcome(&outcome, commands),
            Event::DoneThere(outcome) => self.on_done_there(&outcome, commands),
            Event::Saved { path, result } => self.on_saved(&path, result),
            Event::Frames { generation, batch } => {
                self.on_frames(generation, batch);
                self.go_on_recording(commands);
            }
            Event::Capture { generation, news } => self.on_capture_news(generation, news),
            Event::Recorder(news) => self.on_recorder(news, commands),
            Event::Tick => self.on_tick(commands),
            Event::Spare => self.go_on_with_lists(),
            Event::ProbeFailed(reason) => self.on_probe_failed(reason),
            Event::NotRemembered(reason) => self.on_not_remembered(&reason),
            Event::ThemeRefused(reason) => self.alarm(reason),
            Event::ThreadLost { name, reason } => {
                self.lost_threads.push(name);
                self.tell(Origin::Console, Weight::Alarm, format!("thread {name} has ended: {reason}"));
            }
            Event::Terminated => self.quit(commands),
        }
        self.watch_cursor(by_hand);
    }

    /// The view's sizes of the last picture.
    pub fn drawn(&mut self, drawn: Drawn) {
        self.drawn = drawn;
    }

    /// Where keys are looked up, the most special first.
    pub fn contexts(&self) -> Vec<Context> {
        match self.layers.last() {
            None => vec![self.screen.context(), Context::Screen, Context::Always],
            Some(Layer::Whole { .. }) if self.screen == Screen::Sas => {
                vec![Context::Whole, Context::Reading, Context::Always]
            }
            Some(Layer::Whole { .. }) if self.screen == Screen::Packets => {
                vec![Context::Frame, Context::Reading, Context::Always]
            }
            Some(Layer::Peers { .. }) => vec![Context::Peers, Context::Reading, Context::Always],
            Some(Layer::Help { .. } | Layer::Whole { .. } | Layer::Check(_)) => {
                vec![Context::Reading, Context::Always]
            }
            Some(Layer::Question(_)) => vec![Context::Question, Context::Always],
            Some(Layer::Form(form)) if form.list_is_focused() && form.progress() == &Progress::Editing => {
                vec![Context::List, Context::Form, Context::Always]
            }
            Some(Layer::Form(_)) => vec![Context::Form, Context::Always],
            Some(Layer::Proposal(_)) => vec![Context::Proposal, Context::Always],
            Some(Layer::Choice(_)) => vec![Context::Choice, Context::Always],
            Some(Layer::Columns(_)) => vec![Context::Columns, Context::Always],
            Some(Layer::Line(_)) => vec![Context::Line, Context::Always],
        }
    }

    fn on_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        // Whatever the key does, what stands at the foot has been seen.
        self.notice = None;
        // Who moves on does not wait any more for a row to come.
        (self.wanted_sa, self.wanted_policy) = (None, None);
        let action = keymap::action(&self.contexts(), Key::of(key));
        if !self.drawn.usable && !matches!(action, Some(Action::Quit | Action::Leave)) {
            // Nobody must answer what cannot be seen.
            return;
        }
        // Neither what is typed into a line nor another order depends on which rows are listed.
        let sorts = matches!(action, Some(Action::SortByNext | Action::SortByPrevious | Action::SortBackwards));
        if !sorts && !matches!(self.layers.last(), Some(Layer::Line(_))) {
            self.finish_what_was_asked();
        }
        if action.is_some_and(|action| self.may_mean_another_row(action)) {
            return;
        }
        let typing = match self.layers.last_mut() {
            Some(Layer::Form(form)) => {
                let chooses = matches!(action, Some(Action::NextChoice | Action::PreviousChoice));
                Some((form.text_is_focused(), chooses))
            }
            Some(Layer::Line(_)) => Some((true, false)),
            _ => None,
        };
        match (action, typing) {
            // A blank and the arrows choose among options, but in a field of text they are for the text.
            (Some(_), Some((true, true))) | (None, Some((true, _))) => self.on_typed(key),
            (Some(action), _) if self.setting.read_only && action.is_dangerous() => {
                self.refuse_to_change();
            }
            (Some(action), _) => self.on_action(action, commands),
            (None, _) => {}
        }
    }

    fn refuse_to_change(&mut self) {
        self.warn("espial was started read-only: nothing can be changed here".to_owned());
    }

    /// Whether the keys of this SA are to be shown now, and for how many more seconds.
    pub fn reveals(&self, id: &SaId) -> Option<u64> {
        let (revealed, until) = self.revealed.as_ref()?;
        let left = until.checked_sub(self.facts.now.uptime_ms).filter(|left| *left > 0)?;
        revealed.contains(id).then(|| left.div_ceil(1000))
    }

    /// Writes an entry into the time line.
    fn tell(&mut self, origin: Origin, weight: Weight, text: String) {
        let number = self.log.next_number();
        let entry = Entry { at_ms: self.facts.now.unix_ms, origin, weight, text };
        if entry_passes(&self.events, &entry) {
            self.events.push(number);
        }
        self.log.push(entry);
        self.events.forget_before(self.log.forgotten());
    }

    /// Tells what may come every second: as long as nothing else is told in between, it is one entry with a count.
    fn tell_again(&mut self, origin: Origin, weight: Weight, what: &'static str, news: &str) {
        let last = self.log.next_number().checked_sub(1);
        match self.repeated {
            Some((number, before, times)) if Some(number) == last && before == what => {
                self.repeated = Some((number, what, times + 1));
                let time = self.clock.time_of_day(self.facts.now.unix_ms);
                if let Some(entry) = self.log.newest_mut().next() {
                    entry.text = format!("{what}: {news} ({} times in a row, last at {time})", times + 1);
                }
            }
            _ => {
                self.repeated = Some((self.log.next_number(), what, 1));
                self.tell(origin, weight, format!("{what}: {news}"));
            }
        }
    }

    fn note(&mut self, text: String) {
        self.notice = Some(Notice { text, weight: Weight::Note, until: Some(self.facts.now.uptime_ms + NOTICE_MS) });
    }

    fn warn(&mut self, text: String) {
        self.notice = Some(Notice { text, weight: Weight::Warning, until: Some(self.facts.now.uptime_ms + NOTICE_MS) });
    }

    fn alarm(&mut self, text: String) {
        self.notice = Some(Notice { text, weight: Weight::Alarm, until: None });
    }

    fn on_tick(&mut self, commands: &mut Vec<Command>) {
        if self.setting.capture_at_start {
            self.begin_capture(commands);
        }
        self.tell_of_packets();
        self.send_probe(commands);
        self.end_check();
        self.go_on_recording(commands);
        self.watch_trial(commands);
        let (sas, policies) = (self.wanted(), self.wanted_policies());
        commands.push(Command::Poll { sas, policies });
    }

    /// The policies whose counters to read next: those that are looked at.
    fn wanted_policies(&self) -> Vec<PolicyId> {
        if self.screen != Screen::Policies {
            return Vec::new();
        }
        let (visible, _) = self.policies.window(self.drawn.rows);
        let policies = visible.iter().filter_map(|slot| self.facts.spd.at(*slot));
        policies.filter(|policy| !policy.is_of_socket()).map(Policy::id).collect()
    }

    /// Which SAs' counters to read next: all while they are few; otherwise the visible ones and a slow sweep, so that
    /// the cost of a second does not grow with the SAD.
    fn wanted(&mut self) -> Wanted {
        if self.facts.sad.len() <= FEW_SAS {
            return Wanted::All;
        }
        let (visible, _) = self.sas.window(self.drawn.rows);
        let visible = visible.iter().copied();
        let order = self.sas.order();
        let start = if self.sweep < order.len() { self.sweep } else { 0 };
        let swept = order.iter().skip(start).take(SWEEP).copied();
        let ids = visible.chain(swept).filter_map(|slot| self.facts.sad.at(slot)).map(Sa::id).collect();
        self.sweep = start + SWEEP;
        Wanted::These(ids)
    }
}

fn entry_passes(feed: &Feed, entry: &Entry) -> bool {
    let words = feed.words();
    words.is_empty() || words.match_text(&format!("{} {} {}", entry.origin.word(), entry.weight.word(), entry.text))
}
