//! Frames as they come, judged by the kernel's own SAs and policies: what `packets` and `check` watch with.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::capture::{self, Frame, Interface, LiveCapture};
use crate::console::state::packets::{Seen, sight};
use crate::evidence::{Judge, Policies, Sight};
use crate::kernel::{Follower, Update, XfrmKernel};
use crate::model::{KernelEvent, PolicyDefaults, Spd};
use crate::packet::{Dissection, dissect};

/// What the kernel may keep of frames that were not fetched yet.
const BUFFER: usize = 16 * 1024 * 1024;

/// How often the host's addresses are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A frame with what it proved.
pub(super) struct Observed {
    pub(super) seen: Seen,
    pub(super) dissection: Dissection,
}

impl Observed {
    /// The frame as it was brought before the judge.
    pub(super) fn sight(&self) -> Sight<'_> {
        sight(&self.seen.frame)
    }
}

/// Watches an interface and the kernel's databases together.
pub(super) struct Observer {
    capture: LiveCapture,
    follower: Option<Follower>,
    /// What frames are judged by.
    pub(super) judge: Judge,
    spd: Spd,
    defaults: Option<PolicyDefaults>,
    interfaces: Vec<Interface>,
    looked: Instant,
    /// How many frames the kernel dropped.
    pub(super) dropped: u64,
}

impl Observer {
    /// Begins to watch an interface, or the one that is most likely meant. Without the right to read the kernel's
    /// databases frames are shown, but nothing is proven; the complaint says so.
    pub(super) fn open(interface: Option<&str>) -> anyhow::Result<(Self, Option<String>)> {
        let interfaces = capture::interfaces();
        let name = match interface {
            Some(name) => name.to_owned(),
            None => match capture::default_interface(&interfaces) {
                Some(interface) => interface.name.clone(),
                None => anyhow::bail!("this network namespace has no interface"),
            },
        };
        let (follower, complaint) = match XfrmKernel::open().and_then(|kernel| Follower::new(Box::new(kernel))) {
            Ok(follower) => (Some(follower), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut observer = Self {
            capture: LiveCapture::open(&name, BUFFER)?,
            follower,
            judge: Judge::default(),
            spd: Spd::default(),
            defaults: None,
            interfaces,
            looked: Instant::now(),
            dropped: 0,
        };
        observer.look_at_interfaces();
        let complaint = complaint.or(observer.listen().err());
        Ok((observer, complaint))
    }

    fn look_at_interfaces(&mut self) {
        self.looked = Instant::now();
        self.interfaces = capture::interfaces();
        let addresses: HashSet<_> = self.interfaces.iter().flat_map(|i| i.addresses.iter().copied()).collect();
        self.judge.addresses = addresses;
    }

    /// The name of the interface.
    pub(super) fn interface(&self) -> &str {
        self.capture.interface()
    }

    /// Waits for frames, but not longer than `patience`, and judges them.
    pub(super) fn next(&mut self, patience: Duration) -> anyhow::Result<Vec<Observed>> {
        let batch = self.capture.next(patience)?;
        if self.looked.elapsed() >= LOOK_EVERY {
            // Addresses come and go: what is for this host is judged by other policies than what is passed on.
            self.look_at_interfaces();
        }
        // What changed before the frames came decides over them; a silent kernel has been complained about.
        let _ = self.listen();
        self.dropped += batch.dropped;
        Ok(batch.frames.into_iter().map(|frame| self.judge_frame(frame)).collect())
    }

    fn judge_frame(&mut self, frame: Frame) -> Observed {
        let dissection = dissect(frame.link, &frame.bytes);
        let place = self.interfaces.iter().find(|interface| interface.name == *frame.interface);
        let sight = Sight { loopback: place.is_some_and(|place| place.is_loopback), ..sight(&frame) };
        let evidence = self.judge.judge(sight, &dissection, place.map_or(0, |place| place.index));
        Observed { seen: Seen { frame, evidence }, dissection }
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
                    self.spd = snapshot.policies.into_iter().collect();
                    self.defaults = snapshot.defaults.or(self.defaults);
                    policies_changed = true;
                }
                Update::Events(events) => {
                    for event in events {
                        policies_changed |= self.hear(event, now_ns);
                    }
                }
            }
        }
        if policies_changed {
            self.judge.policies = Policies::new(self.spd.iter().map(|(_, policy)| policy), self.defaults);
        }
        silence.map_or(Ok(()), Err)
    }

    /// Takes an event in; whether it is about policies.
    fn hear(&mut self, event: KernelEvent, now_ns: u64) -> bool {
        use KernelEvent as E;
        match event {
            E::SaAdded(sa) | E::SaUpdated(sa) => self.judge.memory.learn(&sa, now_ns),
            E::SaDeleted(id) | E::SaExpired { id, hard: true } => self.judge.memory.forget(&id, now_ns),
            E::SasFlushed(protocol) => self.judge.memory.flush(protocol, now_ns),
            E::PolicyAdded(policy) | E::PolicyUpdated(policy) => {
                self.spd.insert(*policy);
                return true;
            }
            E::PolicyDeleted(id) | E::PolicyExpired { id, hard: true } => return self.spd.remove(&id).is_some(),
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

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
