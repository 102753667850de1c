//! A recording: the packets that the list shows, and those that come to it (also while it is frozen), into a file.
//!
//! The state hands packets out in portions, the next one when the last one is written: a slow disk holds up neither
//! the console nor the capture. What the list forgets before it was its turn is counted.

use std::collections::HashSet;

use super::log::{Origin, Weight};
use super::packets::{CaptureState, Packets};
use super::{Command, State};
use crate::console::command::{Record, Recorded};
use crate::console::event::RecorderNews;
use crate::dialect::esp_sa::Lacking;
use crate::model::text::quantity;

/// The packets of one portion.
const PORTION: usize = 256;

/// A recording that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub path: String,
    /// Whether the file is there: it may exist already, or its folder may be missing.
    is_made: bool,
    /// How many packets are in it.
    pub written: u64,
    /// How many may have been forgotten before they were written.
    pub missed: u64,
    /// The SAs whose keys are in the file of keys, if there is one.
    keyed: Option<HashSet<u64>>,
    /// What that file lacks.
    lacking: Lacking,
    /// The number of the first packet that was not handed out yet.
    next: u64,
    /// Where it ends, if it is to end.
    until: Option<u64>,
    /// How many are being written now.
    under_way: Option<usize>,
}

impl Packets {
    /// The next packets to be written, if any wait.
    fn portion(&mut self) -> Vec<Recorded> {
        let Self { ring, feed, judge, recording: Some(recording), .. } = self else {
            return Vec::new();
        };
        let missed = ring.forgotten().saturating_sub(recording.next);
        recording.missed += missed;
        recording.next += missed;
        let until = recording.until.unwrap_or(u64::MAX);
        let mut portion = Vec::new();
        for number in feed.all_from(recording.next).take_while(|number| *number < until).take(PORTION) {
            recording.next = number + 1;
            let Some(seen) = ring.get(number) else {
                continue;
            };
            let sas = recording.keyed.as_mut().map(|keyed| {
                let dissection = judge.dissect(seen.frame.link, &seen.frame.bytes);
                judge.memory.named_first(&seen.evidence, &dissection, keyed)
            });
            let keys = sas.map(|sas| sas.iter().map(|(sa, high)| recording.lacking.line(sa, *high)).collect());
            let comment = seen.evidence.verdict.to_string();
            portion.push(Recorded { frame: seen.frame.clone(), comment, keys: keys.unwrap_or_default() });
        }
        portion
    }
}

impl State {
    /// Begins to record, or ends it.
    pub(super) fn record(&mut self, commands: &mut Vec<Command>) {
        if self.packets.recording.is_some() {
            self.end_recording(commands);
            return;
        }
        let place = match &self.packets.capture {
            CaptureState::Running(name) | CaptureState::Down(name) => name.as_str(),
            _ => "packets",
        };
        let time = self.clock.date(self.facts.now.secs()).replace(['-', ':'], "").replace(' ', "-");
        let line = format!("record espial-{place}-{time}.pcapng");
        self.open_command_line(&line);
    }

    pub(super) fn begin_recording(&mut self, path: String, with_keys: bool, commands: &mut Vec<Command>) {
        if let Some(recording) = &self.packets.recording {
            let warning = format!("packets are being recorded in {} already: w ends that", recording.path);
            self.warn(warning);
            return;
        }
        if with_keys && self.setting.read_only {
            // Reading keys out is no change, but a file of them outlives the console.
            self.warn("espial was started read-only: it writes no keys".to_owned());
            return;
        }
        commands.push(Command::Record(Record::Begin { path: path.clone(), with_keys }));
        self.packets.recording = Some(Recording {
            path,
            is_made: false,
            written: 0,
            missed: 0,
            keyed: with_keys.then(HashSet::new),
            lacking: Lacking::default(),
            next: self.packets.ring.forgotten(),
            until: None,
            under_way: Some(0),
        });
    }

    /// Lets what is listed now be written, and no more.
    pub fn end_recording(&mut self, commands: &mut Vec<Command>) {
        let end = self.packets.ring.next_number();
        if let Some(recording) = &mut self.packets.recording {
            recording.until.get_or_insert(end);
        }
        self.go_on_recording(commands);
    }

    /// Hands out the next portion, unless the last one is still being written.
    pub(super) fn go_on_recording(&mut self, commands: &mut Vec<Command>) {
        if self.packets.recording.as_ref().is_none_or(|recording| recording.under_way.is_some()) {
            return;
        }
        let portion = self.packets.portion();
        let Some(recording) = &mut self.packets.recording else {
            return;
        };
        let order = match (portion.is_empty(), recording.until) {
            (true, None) => return,
            (true, Some(_)) => Record::End,
            (false, _) => Record::Write(portion),
        };
        recording.under_way = Some(if let Record::Write(portion) = &order { portion.len() } else { 0 });
        commands.push(Command::Record(order));
    }

    pub(super) fn on_recorder(&mut self, news: RecorderNews, commands: &mut Vec<Command>) {
        let Some(recording) = &mut self.packets.recording else {
            return;
        };
        match news {
            RecorderNews::Written => {
                let Recording { path, keyed, .. } = &*recording;
                let keys = if keyed.is_some() { format!(", their SAs' keys in {path}.esp_sa") } else { String::new() };
                let begun = format!("the listed packets are recorded in {path}{keys}");
                let is_first = !std::mem::replace(&mut recording.is_made, true);
                recording.written += recording.under_way.take().unwrap_or(0) as u64;
                if is_first {
                    self.tell(Origin::Capture, Weight::Note, begun);
                }
                self.go_on_recording(commands);
            }
            RecorderNews::Ended => {
                let Recording { path, written, missed, keyed, lacking, .. } = recording;
                let mut text = format!("recorded {} packets in {path}", quantity(*written));
                if keyed.is_some() {
                    text += &format!(", their SAs' keys in {path}.esp_sa");
                }
                let weight = if *missed == 0 { Weight::Note } else { Weight::Warning };
                if *missed > 0 {
                    text += &format!("; up to {} were forgotten before they could be written", quantity(*missed));
                }
                if let Some(words) = lacking.words() {
                    text += &format!("; {words}");
                }
                self.packets.recording = None;
                self.note(text.clone());
                self.tell(Origin::Capture, weight, text);
            }
            RecorderNews::Failed(reason) => {
                let text = format!("recording in {}: {reason}", recording.path);
                self.packets.recording = None;
                self.alarm(text.clone());
                self.tell(Origin::Capture, Weight::Alarm, text);
            }
        }
    }
}
