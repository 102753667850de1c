//! The loop: waits for whatever happens first, lets the state take it in, carries out what it asks for, draws.
//!
//! The only place of the console that starts tasks and threads. What blocks has a thread of its own with a name and a
//! bounded channel:
//!
//! | thread | does |
//! |---|---|
//! | `kernel-follow` | the kernel's databases and events |
//! | `kernel-change` | the user's changes, one after the other |
//! | `kernel-poll` | counters, once a second |
//! | `kernel-there` | changes of the lab's other host |
//! | `signals` | ends the program when the loop cannot |
//! | `capture` | frames, from the moment on that somebody wants to see them |
//! | `record` | a recording into a file, while there is one |
//! | `probe` | what a check sends to a peer |
//! | `remember` | what the next start is to know |
//!
//! Frames have a channel of their own, so that no flood of them can hold up the kernel's events; what finds it full is
//! dropped and counted.
//!
//! A thread that ends by itself becomes [`Event::ThreadLost`]: the console lives on and says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::EventStream;
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::capturing;
use super::changing::{self, Order};
use super::clock::Clock;
use super::columns::ChosenColumns;
use super::command::{Change, Command, Outcome, Record, Wanted};
use super::event::{CaptureNews, Event, Now, Polled, RecorderNews};
use super::probing::why_unsent;
use super::recording;
use super::remembered;
use super::state::{Setting, State};
use super::terminal::TakenTerminal;
use super::theme::Theme;
use super::view;
use crate::capture::{self, Method, Probe, ProbeEnds, Prober};
use crate::kernel::follow::{Follower, Resync};
use crate::kernel::{Kernel, KernelError, Support, XfrmKernel};
use crate::model::{PolicyId, Secret};
use crate::packet::Filter;
use crate::privilege::write_private;

/// No picture comes sooner than this after the last.
const FRAME: Duration = Duration::from_millis(33);
/// How many events wait for the loop at most; a thread that has more waits, and the kernel's own buffer fills.
const QUEUE: usize = 256;
/// How many batches of frames wait at most.
const FRAMES_QUEUE: usize = 16;
/// What the kernel may keep of frames that were not fetched yet.
const CAPTURE_BUFFER: usize = 32 * 1024 * 1024;
/// How long a thread waits for news before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a change may take after the user has left.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the loop may take to follow a signal before it is taken for stuck.
const STUCK: Duration = Duration::from_secs(3);
/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(2);

/// What the console is started with.
pub struct Options {
    /// What it is told about itself.
    pub setting: Setting,
    /// How it looks at first.
    pub theme: Theme,
    /// Where the user's themes are.
    pub theme_folder: Option<PathBuf>,
    /// The folder where what is remembered stands.
    pub state_folder: Option<PathBuf>,
    /// How frames are taken.
    pub capture: Method,
    /// The kernel as the lab's other host sees it.
    pub other_host: Option<XfrmKernel>,
    /// Finds out what the kernel can do; started by the caller, whose rights it may need.
    pub support: JoinHandle<Support>,
}

/// Runs the console until the user leaves it. Returns what is left half-done, in words.
///
/// # Errors
/// When there is no terminal, or it breaks.
pub fn run(options: Options) -> io::Result<Option<String>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminal = TakenTerminal::take()?;
    let result = tokio.block_on(run_loop(options, &mut terminal));
    drop(terminal);
    // The threads wait for the kernel; nothing of theirs needs to be finished.
    tokio.shutdown_background();
    result
}

struct Clocks {
    start: Instant,
}

impl Clocks {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now { unix_ms: millis(unix), uptime_ms: millis(self.start.elapsed()) }
    }
}

async fn run_loop(options: Options, terminal: &mut TakenTerminal) -> io::Result<Option<String>> {
    let clocks = Clocks { start: Instant::now() };
    let is_ending = Arc::default();
    watch_for_signals(Arc::clone(&is_ending))?;
    let mut state = State::new(options.setting.clone(), Clock::local(), clocks.now());
    let mut world = World::start(options, is_ending)?;
    let result = turn(&mut world, &mut state, &clocks, terminal).await;
    world.finish(&mut state, &clocks);
    result.map(|()| state.leaves_behind())
}

/// Goes round until the user leaves, or the terminal breaks.
async fn turn(world: &mut World, state: &mut State, clocks: &Clocks, terminal: &mut TakenTerminal) -> io::Result<()> {
    let mut keys = EventStream::new();
    let mut signals =
        [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
    let [terminate, hangup, interrupt] = &mut signals;
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut commands = Vec::new();
    let mut last_frame: Option<Instant> = None;
    let mut dirty = true;
    loop {
        let until_frame = last_frame.map_or(Duration::ZERO, |last| FRAME.saturating_sub(last.elapsed()));
        if dirty && until_frame.is_zero() {
            let mut drawn = None;
            terminal.screen.draw(|frame| drawn = Some(view::draw(frame, state, &world.theme)))?;
            state.drawn(drawn.unwrap_or_default());
            (last_frame, dirty) = (Some(Instant::now()), false);
        }
        let event = tokio::select! {
            biased;
            _ = terminate.recv() => Event::Terminated,
            _ = hangup.recv() => Event::Terminated,
            _ = interrupt.recv() => Event::Terminated,
            key = keys.next() => match key {
                Some(Ok(event)) => match Event::of_terminal(event) {
                    Some(event) => event,
                    None => continue,
                },
                // The terminal is gone: nobody is there to be told.
                Some(Err(_)) | None => Event::Terminated,
            },
            _ = tick.tick() => Event::Tick,
            Some(event) = world.events.recv() => event,
            Some(event) = world.frames.recv() => event,
            // Before the next picture is due; a key that comes is answered first.
            () = tokio::task::yield_now(), if state.makes_lists() => Event::Spare,
            () = tokio::time::sleep(until_frame), if dirty => continue,
        };
        state.update(event, clocks.now(), &mut commands);
        // Whatever else waits is taken in before the next picture, but no endless stream of it.
        let start = Instant::now();
        while start.elapsed() < FRAME {
            let Ok(event) = world.events.try_recv().or_else(|_| world.frames.try_recv()) else {
                break;
            };
            state.update(event, clocks.now(), &mut commands);
        }
        dirty = true;
        for command in commands.drain(..) {
            match command {
                Command::Quit => return Ok(()),
                Command::Redraw => terminal.redraw()?,
                Command::Copy(text) => terminal.copy(&text)?,
                other => world.carry_out(other),
            }
        }
    }
}

/// Everything outside of the state: threads, channels, the theme.
struct World {
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    frames: mpsc::Receiver<Event>,
    frames_sender: mpsc::Sender<Event>,
    /// The capture that is wanted; all others end.
    generation: Arc<AtomicU64>,
    method: Method,
    changes: Option<blocking::Sender<Order>>,
    /// The thread that carries changes out; none is abandoned halfway.
    changing: JoinHandle<()>,
    polls: blocking::SyncSender<(Wanted, Vec<PolicyId>)>,
    resync: blocking::Receiver<Resync>,
    following: Option<Resync>,
    /// Changes of the lab's other host.
    other_host: Option<blocking::Sender<Change>>,
    /// What the next start is to know.
    memory: Option<blocking::Sender<ChosenColumns>>,
    /// The thread that writes it down.
    remembering: JoinHandle<()>,
    /// The recording that runs; its thread ends with it.
    recorder: Option<blocking::Sender<Record>>,
    theme: Theme,
    theme_folder: Option<PathBuf>,
}

impl World {
    fn start(options: Options, is_ending: Arc<AtomicBool>) -> io::Result<Self> {
        let Options { setting: _, theme, theme_folder, state_folder, capture: method, other_host, support } = options;
        let (sender, events) = mpsc::channel(QUEUE);
        let (frames_sender, frames) = mpsc::channel(FRAMES_QUEUE);
        let generation = Arc::default();
        let answer = sender.clone();
        thread::Builder::new().name("kernel-answer".to_owned()).spawn(move || {
            let support = support.join().unwrap_or_default();
            answer.blocking_send(Event::Supported(support))
        })?;
        let (resync_sender, resync) = blocking::channel();
        spawn("kernel-follow", &sender, move |sender| follow(sender, &resync_sender))?;
        let (changes, wanted_changes) = blocking::channel();
        let changing = spawn("kernel-change", &sender, move |sender| {
            changing::run(XfrmKernel::open, sender, &wanted_changes, &is_ending);
        })?;
        // One question waits at most: another one behind it would ask for the same.
        let (polls, wanted_polls) = blocking::sync_channel(1);
        spawn("kernel-poll", &sender, move |sender| poll(sender, &wanted_polls))?;
        let other_host = other_host.map(|kernel| {
            let (changes, wanted) = blocking::channel();
            spawn("kernel-there", &sender, move |sender| change_there(kernel, sender, &wanted)).map(|_| changes)
        });
        let other_host = other_host.transpose()?;
        let (memory, wanted) = blocking::channel();
        let remembering = spawn("remember", &sender, move |sender| remember(sender, state_folder.as_deref(), &wanted))?;
        let following = None;
        Ok(Self {
            events,
            sender,
            frames,
            frames_sender,
            generation,
            method,
            changes: Some(changes),
            changing,
            polls,
            resync,
            following,
            other_host,
            memory: Some(memory),
            remembering,
            recorder: None,
            theme,
            theme_folder,
        })
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Change(change) => self.order(Order::Change(change)),
            Command::Try(change) => self.order(Order::Try(change)),
            Command::Keep => self.order(Order::Keep),
            Command::Poll { sas, policies } => {
                let _ = self.polls.try_send((sas, policies));
            }
            Command::Resync => {
                self.following = self.resync.try_iter().last().or(self.following.take());
                if let Some(resync) = &self.following {
                    resync.ask();
                }
            }
            Command::Capture { interface, filter, generation } => self.capture(interface, filter.as_ref(), generation),
            Command::Record(record) => self.record(record),
            Command::Probe { ends, probe, text } => self.probe(ends, probe, text),
            Command::Remember(columns) => {
                let _ = self.memory.as_ref().map(|memory| memory.send(columns));
            }
            Command::UseTheme(name) => match Theme::load(&name, self.theme_folder.as_deref()) {
                Ok(theme) => self.theme = theme,
                Err(error) => {
                    let _ = self.sender.try_send(Event::ThemeRefused(error.to_string()));
                }
            },
            Command::There(change) => {
                // Only a lab has another host.
                if let Some(host) = &self.other_host {
                    let _ = host.send(*change);
                }
            }
            Command::Save { path, text } => self.save(path, text),
            Command::Redraw | Command::Copy(_) | Command::Quit => {}
        }
    }

    fn order(&self, order: Order) {
        // A lost thread has been reported by itself; its channel is closed then.
        let sent = match &self.changes {
            Some(changes) => changes.send(order),
            None => Err(blocking::SendError(order)),
        };
        if let Err(blocking::SendError(Order::Change(change) | Order::Try(change))) = sent {
            let reason = "the thread that changes the kernel has ended".to_owned();
            let error = KernelError { operation: change.operation(), cause: crate::kernel::Cause::Unreadable(reason) };
            let _ = self.sender.try_send(Event::Done(Outcome { change, result: Err(error) }));
        }
    }

    /// Nobody knows how long the kernel takes over a packet for which it has no SA.
    fn probe(&self, ends: ProbeEnds, probe: Probe, text: String) {
        let body = move |sender: &mpsc::Sender<Event>| {
            if let Err(error) = Prober::open(ends, probe).and_then(|prober| prober.send(&text)) {
                let _ = sender.blocking_send(Event::ProbeFailed(why_unsent(&error, ends.to, probe)));
            }
        };
        if let Err(error) = spawn_mortal("probe", &self.sender, body) {
            let _ = self.sender.try_send(Event::ProbeFailed(error.to_string()));
        }
    }

    fn save(&mut self, path: String, text: Secret) {
        let (name, refused) = (path.clone(), path.clone());
        let body = move |sender: &mpsc::Sender<Event>| {
            let result = write_private(Path::new(&path), text.expose()).map_err(|error| error.to_string());
            let _ = sender.blocking_send(Event::Saved { path: name, result });
        };
        if let Err(error) = spawn_mortal("save", &self.sender, body) {
            let _ = self.sender.try_send(Event::Saved { path: refused, result: Err(error.to_string()) });
        }
    }

    /// Waits for the changes that were asked for, for the rest of a recording and for what is to be remembered, but not
    /// for ever: who confirms and leaves means both. What is on trial is taken back.
    fn finish(&mut self, state: &mut State, clocks: &Clocks) {
        (self.changes, self.memory) = (None, None);
        let end = Instant::now() + LAST_WORDS;
        let mut commands = Vec::new();
        state.end_recording(&mut commands);
        let works = |world: &Self, state: &State| {
            let is_unheard = !world.changing.is_finished() || state.awaits_other_host();
            is_unheard || !world.remembering.is_finished() || state.packets.recording.is_some()
        };
        while works(self, state) && Instant::now() < end {
            for command in commands.drain(..) {
                if matches!(command, Command::Record(_) | Command::There(_)) {
                    self.carry_out(command);
                }
            }
            match self.events.try_recv() {
                Ok(event) => state.update(event, clocks.now(), &mut commands),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
        // The last answer may have come just before its thread ended; what is said in the end depends on it.
        while let Ok(event) = self.events.try_recv() {
            state.update(event, clocks.now(), &mut commands);
        }
    }

    fn record(&mut self, record: Record) {
        let refused = match record {
            Record::Begin { path, with_keys } => {
                let (orders, wanted) = blocking::channel();
                self.recorder = Some(orders);
                let body = move |sender: &mpsc::Sender<Event>| recording::run(sender, &path, with_keys, &wanted);
                spawn_mortal("record", &self.sender, body).err().map(|error| error.to_string())
            }
            record => {
                let sent = self.recorder.as_ref().is_some_and(|recorder| recorder.send(record).is_ok());
                (!sent).then(|| "the thread that records has ended".to_owned())
            }
        };
        if let Some(reason) = refused {
            let _ = self.sender.try_send(Event::Recorder(RecorderNews::Failed(reason)));
        }
    }

    fn capture(&self, interface: Option<String>, filter: Option<&Filter>, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
        let wanted = Arc::clone(&self.generation);
        let frames = self.frames_sender.clone();
        let filter = filter.and_then(Filter::for_kernel).unwrap_or_default();
        let place = capture::Wanted {
            method: self.method,
            interface: interface.unwrap_or_default(),
            buffer: CAPTURE_BUFFER,
            filter,
        };
        let body = move |sender: &mpsc::Sender<Event>| capturing::run(sender, &frames, place, generation, &wanted);
        if let Err(error) = spawn_mortal("capture", &self.sender, body) {
            let news = CaptureNews::Failed(format!("the capture cannot begin: {error}"));
            let _ = self.sender.try_send(Event::Capture { generation, news });
        }
    }
}

impl Drop for World {
    /// Also where the loop panics: what is on trial must not stay because nobody is there to keep it.
    fn drop(&mut self) {
        self.changes = None;
        self.events.close();
        let end = Instant::now() + LAST_WORDS;
        while !self.changing.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Says that a thread has ended, whichever way it did.
struct Farewell {
    name: &'static str,
    /// Whether it ends by itself when its work is done.
    is_mortal: bool,
    sender: mpsc::Sender<Event>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if self.is_mortal && !thread::panicking() {
            return;
        }
        let reason = if thread::panicking() { "it panicked, which is a bug in espial" } else { "it gave up" };
        let _ = self.sender.blocking_send(Event::ThreadLost { name: self.name, reason: reason.to_owned() });
    }
}

/// Starts a thread that should live as long as the console.
fn spawn(
    name: &'static str,
    sender: &mpsc::Sender<Event>,
    body: impl FnOnce(&mpsc::Sender<Event>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start(Farewell { name, is_mortal: false, sender: sender.clone() }, body)
}

/// Starts a thread that ends when its work is done.
fn spawn_mortal(
    name: &'static str,
    sender: &mpsc::Sender<Event>,
    body: impl FnOnce(&mpsc::Sender<Event>) + Send + 'static,
) -> io::Result<()> {
    start(Farewell { name, is_mortal: true, sender: sender.clone() }, body).map(drop)
}

fn start(farewell: Farewell, body: impl FnOnce(&mpsc::Sender<Event>) + Send + 'static) -> io::Result<JoinHandle<()>> {
    let name = farewell.name.to_owned();
    thread::Builder::new().name(name).spawn(move || body(&farewell.sender))
}

/// Ends the program when a signal asks for it and the loop cannot: it may hang in writing to a terminal that nobody
/// reads any more, as at the end of a dead connection.
fn watch_for_signals(is_ending: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            is_ending.store(true, Ordering::Relaxed);
            thread::sleep(STUCK);
            let _ = crossterm::terminal::disable_raw_mode();
            std::process::exit(1);
        }
    })?;
    Ok(())
}

/// Follows the kernel for as long as the console lives; what fails is said and tried again.
fn follow(sender: &mpsc::Sender<Event>, resync: &blocking::Sender<Resync>) {
    loop {
        let opened = XfrmKernel::open().and_then(|kernel| Follower::new(Box::new(kernel)));
        let error = match opened {
            Ok(mut follower) => {
                let _ = resync.send(follower.resync());
                loop {
                    match follower.next(PATIENCE) {
                        Ok(Some(update)) => {
                            if sender.blocking_send(Event::Kernel(update)).is_err() {
                                return;
                            }
                        }
                        Ok(None) if sender.is_closed() => return,
                        Ok(None) => {}
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => error,
        };
        if sender.blocking_send(Event::KernelSilent(error)).is_err() {
            return;
        }
        thread::sleep(RETRY);
    }
}

/// Writes down what the next start is to know, and says when it cannot.
fn remember(sender: &mpsc::Sender<Event>, folder: Option<&Path>, wanted: &blocking::Receiver<ChosenColumns>) {
    while let Ok(columns) = wanted.recv() {
        if let Err(reason) = remembered::write(folder, &columns)
            && sender.blocking_send(Event::NotRemembered(reason)).is_err()
        {
            return;
        }
    }
}

fn change_there(mut kernel: XfrmKernel, sender: &mpsc::Sender<Event>, wanted: &blocking::Receiver<Change>) {
    while let Ok(change) = wanted.recv() {
        let result = change.carry_out(&mut kernel);
        let outcome = Outcome { change: Box::new(change), result };
        if sender.blocking_send(Event::DoneThere(outcome)).is_err() {
            return;
        }
    }
}

fn poll(sender: &mpsc::Sender<Event>, wanted: &blocking::Receiver<(Wanted, Vec<PolicyId>)>) {
    let mut kernel: Option<XfrmKernel> = None;
    while let Ok((sas, policies)) = wanted.recv() {
        let opened = match &mut kernel {
            Some(kernel) => Ok(kernel),
            None => XfrmKernel::open().map(|opened| kernel.insert(opened)),
        };
        let polled = match opened {
            Ok(kernel) => read_counters(kernel, &sas, &policies),
            Err(error) => Polled {
                sas: Vec::new(),
                policies: Vec::new(),
                counts: Err(error),
                statistics: None,
                interfaces: capture::interfaces(),
            },
        };
        if sender.blocking_send(Event::Polled(Box::new(polled))).is_err() {
            return;
        }
    }
}

fn read_counters(kernel: &mut XfrmKernel, wanted: &Wanted, policies: &[PolicyId]) -> Polled {
    // An SA that is gone by now is no error: its event is on the way.
    let sas = match wanted {
        Wanted::All => kernel.sas().unwrap_or_default(),
        Wanted::These(ids) => kernel.sas_of(ids),
    };
    let policies = policies.iter().filter_map(|id| kernel.policy(id).ok()).collect();
    let (counts, statistics) = (kernel.counts(), kernel.statistics().ok());
    Polled { sas, policies, counts, statistics, interfaces: capture::interfaces() }
}
