//! Frames as they come, judged by the kernel's own SAs and policies: what `packets` and `check` watch with.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::line::{Line, Lines};
use crate::capture::{self, ANY, FileCapture, Frame, Interface, LinkState, Method, ReadAhead, Wanted};
use crate::console::state::packets::sight_on;
use crate::dialect::key_file::KeyRow;
use crate::evidence::{Evidence, Interfaces, Judge, Policies};
use crate::kernel::{Follower, Update, XfrmKernel};
use crate::model::{IpsecProtocol, KernelEvent, PolicyDefaults, Sa, SaFlags, SaSpec, Spd, Spi, Ties};
use crate::packet::filter::Instruction;
use crate::packet::{Dissection, Filter, IpsecHeader, dissect};

/// What the kernel may keep of frames that were not fetched yet.
const BUFFER: usize = 16 * 1024 * 1024;

/// How often the host's addresses are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where live frames are taken, and how.
#[derive(Clone, Debug)]
pub struct Place {
    /// The interface; the one that is most likely meant where `None`.
    pub interface: Option<String>,
    /// How.
    pub method: Method,
}

/// Where frames come from.
enum Source {
    Live(Box<dyn capture::Source>),
    File(ReadAhead<Portion>),
}

/// Frames that came together.
#[derive(Default)]
pub(super) struct Portion {
    pub(super) frames: Vec<Dissected>,
    /// The lines of those that have one.
    pub(super) lines: Vec<u8>,
}

/// A frame, taken apart, and its line: all that needs no knowledge of others, so that the thread that reads a file can do
/// it.
pub(super) struct Dissected {
    pub(super) frame: Frame,
    pub(super) dissection: Dissection,
    /// If it was made when the packet was read.
    pub(super) line: Option<Line>,
}

impl Portion {
    fn add(&mut self, frame: Frame, lines: Option<&mut Lines>) {
        let dissection = dissect(frame.link, &frame.bytes);
        let line = lines.map(|lines| lines.add(&mut self.lines, &frame, &dissection));
        self.frames.push(Dissected { frame, dissection, line });
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.lines.clear();
    }
}

/// Watches an interface and the kernel's databases together, or reads a file.
pub(super) struct Observer {
    source: Source,
    /// Whether frames come from several interfaces, so that each has to be said.
    is_everywhere: bool,
    /// What the kernel's filter was made of, to make it anew.
    wanted: Option<(Wanted, Filter)>,
    /// The ports that it lets through because SAs send their packets there.
    ports: Vec<u16>,
    follower: Option<Follower>,
    /// What frames are judged by.
    pub(super) judge: Judge,
    spd: Spd,
    defaults: Option<PolicyDefaults>,
    ties: Ties,
    interfaces: Vec<Interface>,
    looked: Instant,
    /// How many frames the kernel dropped.
    pub(super) dropped: u64,
    /// What became of the interface, until somebody has told it.
    link: Option<LinkState>,
}

impl Observer {
    /// Begins to watch an interface, or the one that is most likely meant. Without the right to read the kernel's
    /// databases frames are shown, but nothing is proven; the complaint says so.
    ///
    /// `filter` spares the kernel what it can: plain frames that certainly do not fit may be missing.
    pub(super) fn open(place: &Place, filter: Option<&Filter>) -> anyhow::Result<(Self, Option<String>)> {
        let interfaces = capture::interfaces();
        let interface = match &place.interface {
            Some(name) => name.clone(),
            None => match capture::default_interface(&interfaces) {
                Some(interface) => interface.name.clone(),
                None => anyhow::bail!("this network namespace has no interface"),
            },
        };
        let wanted = Wanted { method: place.method, interface, buffer: BUFFER, filter: program(filter) };
        let (follower, complaint) = match XfrmKernel::open().and_then(|kernel| Follower::new(Box::new(kernel))) {
            Ok(follower) => (Some(follower), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut observer = Self {
            source: Source::Live(capture::open(wanted.clone())?),
            is_everywhere: wanted.interface == ANY,
            wanted: filter.map(|filter| (wanted, filter.clone())),
            ports: Vec::new(),
            follower,
            judge: Judge::default(),
            spd: Spd::default(),
            defaults: None,
            ties: Ties::default(),
            interfaces,
            looked: Instant::now(),
            dropped: 0,
            link: None,
        };
        observer.judge.begin_watching(now_ns());
        // Until the first snapshot says so, nobody knows which SAs there are.
        observer.judge.memory.set_unreadable();
        observer.look_at_interfaces();
        let complaint = complaint.or(observer.listen().err());
        Ok((observer, complaint))
    }

    /// Begins to read a file, and to make lines of its packets if they are wanted. Which policies held where it was
    /// recorded nobody knows.
    pub(super) fn read(path: &Path, with_lines: bool) -> anyhow::Result<Self> {
        let file = if path.as_os_str() == "-" {
            FileCapture::from_reader("standard input".to_owned(), Box::new(io::stdin()))?
        } else {
            FileCapture::open(path)?
        };
        let is_everywhere = file.names_several_interfaces();
        let mut lines = with_lines.then(|| Lines::new(is_everywhere));
        Ok(Self {
            source: Source::File(ReadAhead::begin(file, move |portion: &mut Portion, frame| {
                portion.add(frame, lines.as_mut());
            })?),
            is_everywhere,
            wanted: None,
            ports: Vec::new(),
            follower: None,
            judge: Judge::default(),
            spd: Spd::default(),
            defaults: None,
            ties: Ties::default(),
            interfaces: Vec::new(),
            looked: Instant::now(),
            dropped: 0,
            link: None,
        })
    }

    /// Adds keys from a file.
    pub(super) fn add_keys(&mut self, keys: Vec<KeyRow>) {
        for row in keys {
            let (algorithms, high) = (row.algorithms().clone(), row.sequence_high());
            match row {
                KeyRow::Sa(sa) => self.judge.memory.give(*sa),
                KeyRow::Pattern(row) => {
                    let nowhere = Ipv4Addr::UNSPECIFIED.into();
                    let mut spec = SaSpec::new(nowhere, nowhere, IpsecProtocol::Esp, Spi(0));
                    spec.algorithms = algorithms;
                    spec.flags = SaFlags(high.map_or(0, |_| SaFlags::ESN));
                    spec.sent = u64::from(high.unwrap_or(0)) << 32;
                    let spi = row.spi.alone();
                    let row = KeyRow::Pattern(row);
                    let fits = move |header: &IpsecHeader| {
                        row.is_for(header.protocol, header.spi, header.source, header.destination)
                    };
                    self.judge.memory.give_for(Sa::from_spec(&spec, 0), spi, fits);
                }
            }
        }
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    fn look_at_interfaces(&mut self) {
        self.looked = Instant::now();
        self.interfaces = capture::interfaces();
        self.judge.addresses = self.interfaces.iter().flat_map(Interface::own).collect();
        self.judge.tunnel_interfaces =
            self.interfaces.iter().filter_map(|interface| Some((interface.index, interface.tunnel?))).collect();
        self.judge.interfaces = Interfaces::new(self.interfaces.iter().map(Interface::for_policies));
    }

    /// The name of the interface.
    pub(super) fn interface(&self) -> &str {
        match &self.source {
            Source::Live(capture) => capture.interface(),
            Source::File(_) => "the file",
        }
    }

    /// Whether frames come from several interfaces: from all, or from those of a file.
    pub(super) fn is_everywhere(&self) -> bool {
        self.is_everywhere
    }

    /// What became of the interface, in a sentence; only once.
    pub(super) fn take_link_words(&mut self) -> Option<String> {
        let link = self.link.take()?;
        Some(link.words(self.interface()))
    }

    /// Waits for frames, but not longer than `patience`; each must be judged before the next ones are asked for. At the
    /// end of a file there are none. They come in the place of those in `portion`.
    pub(super) fn next(&mut self, portion: &mut Portion, patience: Duration) -> anyhow::Result<()> {
        portion.clear();
        let batch = match &mut self.source {
            Source::Live(capture) => capture.next(patience)?,
            Source::File(file) => {
                *portion = file.next(std::mem::take(portion))?.unwrap_or_default();
                return Ok(());
            }
        };
        if self.looked.elapsed() >= LOOK_EVERY {
            // Addresses come and go: what is for this host is judged by other policies than what is passed on.
            self.look_at_interfaces();
        }
        // What changed before the frames came decides over them; a silent kernel has been complained about.
        let _ = self.listen();
        self.dropped += batch.dropped;
        self.link = batch.link.or(self.link);
        for frame in batch.frames {
            portion.add(frame, None);
        }
        Ok(())
    }

    /// What a frame proves. It is taken apart anew where SAs say more of ports.
    pub(super) fn judge(&mut self, dissected: &mut Dissected) -> Evidence {
        let Dissected { frame, dissection, line } = dissected;
        if !self.judge.memory.encapsulations().is_empty() {
            *dissection = self.judge.dissect(frame.link, &frame.bytes);
            *line = None;
        }
        let (sight, index) = sight_on(frame, &self.interfaces);
        self.judge.judge(sight, dissection, index)
    }

    /// Takes in what the kernel has said since the last time.
    fn listen(&mut self) -> Result<(), String> {
        let Some(follower) = &mut self.follower else {
            return Ok(());
        };
        let mut policies_changed = false;
        let (mut updates, mut silence) = (Vec::new(), None);
        loop {
            match follower.next(Duration::ZERO) {
                Ok(Some(update)) => updates.push(update),
                Ok(None) => break,
                Err(error) => {
                    silence = Some(error.to_string());
                    break;
                }
            }
        }
        let now_ns = now_ns();
        for update in updates {
            match update {
                Update::Snapshot(snapshot) => {
                    self.judge.memory.replace(snapshot.sas.iter(), now_ns);
                    self.spd = snapshot.policies.into();
                    self.defaults = snapshot.defaults.or(self.defaults);
                    self.ties = snapshot.ties;
                    policies_changed = true;
                }
                Update::Events(events) => {
                    for event in events {
                        policies_changed |= self.hear(event, now_ns);
                    }
                }
            }
        }
        self.let_ports_through();
        if policies_changed {
            self.judge.policies = Policies::new(self.spd.oldest_first(), self.defaults).with(self.ties);
        }
        silence.map_or(Ok(()), Err)
    }

    /// An SA may send its packets to any port: the kernel's filter must not drop them.
    fn let_ports_through(&mut self) {
        let Some((wanted, filter)) = &self.wanted else {
            return;
        };
        let ports = self.judge.memory.encapsulations().ports();
        if ports == self.ports {
            return;
        }
        let filter = program(Some(&filter.clone().or_ports(&ports)));
        // Where the interface is gone the old one waits for it.
        if let Ok(source) = capture::open(Wanted { filter, ..wanted.clone() }) {
            (self.source, self.ports) = (Source::Live(source), ports);
            self.judge.begin_watching(now_ns());
        }
    }

    /// Takes an event in; whether it is about policies.
    fn hear(&mut self, event: KernelEvent, now_ns: u64) -> bool {
        use KernelEvent as E;
        match event {
            E::SaAdded(sa) | E::SaUpdated(sa) => self.judge.memory.learn(&sa, now_ns),
            E::SaDeleted(id) => self.judge.memory.forget(&id, now_ns),
            E::SaExpired { sa, hard: true } => self.judge.memory.forget(&sa.id(), now_ns),
            E::SasFlushed(protocol) => self.judge.memory.flush(protocol, now_ns),
            E::PolicyAdded(policy) | E::PolicyUpdated(policy) => {
                self.spd.insert(*policy);
                return true;
            }
            E::PolicyDeleted(id) => return self.spd.remove(&id).is_some(),
            E::PolicyExpired { policy, hard: true } => return self.spd.remove(&policy.id()).is_some(),
            E::PoliciesFlushed(kind) => return !self.spd.flush(kind).is_empty(),
            E::DefaultsChanged(defaults) => {
                self.defaults = Some(defaults);
                return true;
            }
            _ => {}
        }
        false
    }
}

/// What the kernel drops of what certainly does not fit.
fn program(filter: Option<&Filter>) -> Vec<Instruction> {
    filter.and_then(Filter::for_kernel).unwrap_or_default()
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
