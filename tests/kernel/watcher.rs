//! `espial packets` as it watches an end of the wire: its lines, and what it records.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use espial::capture::{FileCapture, interfaces};
use serde_json::Value;

use crate::evidence::{ESPIAL, Wire};
use crate::matrix::sum;
use crate::world::{GOUDA, REBLOCHON, ip, on_reblochon};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);
/// Which SA the marks name that tell where one is.
const MARK: u32 = 0xffff_0000;

/// A frame with the line that was said of it.
pub struct Sighted {
    pub bytes: Vec<u8>,
    pub line: Value,
}

/// espial, watching.
pub struct Watcher {
    child: Child,
    lines: Receiver<Value>,
    recording: PathBuf,
    seen: Vec<Value>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watcher {
    /// Begins to watch what goes this way at a host's end of the wire; it records what fits in `folder`, with the keys.
    pub fn begin(host: &str, method: &str, filter: &str, folder: &Path) -> Self {
        let link = if host == "gouda" { link(GOUDA) } else { on_reblochon(|| link(REBLOCHON)) };
        let recording = folder.join(format!("{host}-{method}.pcapng"));
        let mut command = Command::new(ESPIAL);
        command.args(["--netns", host, "--capture", method, "packets", "-i", &link, "--json", "--write-keys", "-w"]);
        command.arg(&recording).arg(filter).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, recording, seen: Vec::new() }
    }

    /// Interrupts it, as a user does: what it says last.
    pub fn interrupted(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        words
    }

    /// Wireshark's table that it writes beside its recording.
    pub fn table(&self) -> PathBuf {
        self.recording.with_extension("pcapng.esp_sa")
    }

    pub fn recording(&self) -> &Path {
        &self.recording
    }

    /// What was seen so far, marks included: each frame as it was recorded with the line about it.
    pub fn sighted(&self) -> Vec<Sighted> {
        let mut file = FileCapture::open(&self.recording).unwrap();
        let mut sighted = Vec::new();
        for line in &self.seen {
            let bytes = file.next_frame().unwrap().expect("what is said is recorded as well").bytes.to_vec();
            sighted.push(Sighted { bytes, line: line.clone() });
        }
        sighted
    }

    /// Whether it says within some time that a mark has come.
    fn sees(&mut self, mark: &str, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let is_it = line["spi"] == mark;
            self.seen.push(line);
            if is_it {
                return true;
            }
        }
        false
    }
}

/// Marks on the wire from gouda to reblochon: packets of an SA that nobody has.
pub struct Marks {
    wire: Wire,
    frame: Vec<u8>,
    next: u32,
}

impl Marks {
    pub fn new() -> Self {
        let mac = on_reblochon(|| mac_of(REBLOCHON));
        let mut frame = [&mac[..], &[2, 0, 0, 0, 0, 1], &[8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 50, 0, 0]].concat();
        frame.extend([10, 9, 0, 1, 10, 9, 0, 2]);
        frame.extend([0; 40]);
        sum(&mut frame[14..34]);
        Self { wire: Wire::at(GOUDA), frame, next: MARK }
    }

    fn put(&mut self) {
        self.frame[34..38].copy_from_slice(&self.next.to_be_bytes());
        self.wire.put(&self.frame);
    }

    fn name(&self) -> String {
        format!("0x{:08x}", self.next)
    }

    /// Waits until all of them watch.
    pub fn until_watched<'w>(&mut self, watchers: impl IntoIterator<Item = &'w mut Watcher>) {
        self.next += 1;
        let start = Instant::now();
        for watcher in watchers {
            self.put();
            while !watcher.sees(&self.name(), Duration::from_millis(200)) {
                assert!(start.elapsed() < PATIENCE, "it does not begin to watch");
                self.put();
            }
        }
    }

    /// Waits until all of them have said and recorded what was on the wire before this.
    pub fn until_said<'w>(&mut self, watchers: impl IntoIterator<Item = &'w mut Watcher>) {
        let mut watchers: Vec<&mut Watcher> = watchers.into_iter().collect();
        // What it says it has not yet recorded; when it has seen another mark since, it has.
        for _ in 0..2 {
            self.next += 1;
            self.put();
            for watcher in &mut watchers {
                assert!(watcher.sees(&self.name(), PATIENCE), "it says no more than {} lines", watcher.seen.len());
            }
        }
    }

    /// Whether a line is about a mark.
    pub fn is_mark(line: &Value) -> bool {
        line["spi"].as_str().is_some_and(|spi| spi.starts_with("0xffff"))
    }
}

/// The interface with this address.
fn link(address: &str) -> String {
    let address = address.parse().unwrap();
    interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap().name
}

/// The hardware address of the interface with this address.
pub fn mac_of(address: &str) -> Vec<u8> {
    let facts = ip(&format!("-o link show dev {}", link(address)));
    let mac = facts.split(' ').skip_while(|word| *word != "link/ether").nth(1).unwrap();
    mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
