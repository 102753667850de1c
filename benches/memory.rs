//! What the console holds after it has seen ten million frames.
//!
//! To reach: less than 150 MB resident. Runs in a process of its own, so that nothing else is counted.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints a line")]

use espial::capture::{Batch, Frame};
use espial::console::clock::Clock;
use espial::console::event::{CaptureNews, Event, Now};
use espial::console::state::{Drawn, Setting, State};
use espial::packet::{Direction, LinkType};

const FRAMES: u64 = 10_000_000;
const BATCH: u64 = 256;

/// ESP of no SA, of 64 to 1400 bytes.
fn frame(number: u64) -> Frame {
    let length = 64 + usize::try_from(number * 7919 % 1337).unwrap();
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend(u16::try_from(length - 14).unwrap().to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 50, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    bytes.extend(u32::try_from(number % 1000 + 0x1000).unwrap().to_be_bytes());
    bytes.extend(u32::try_from(number).unwrap().to_be_bytes());
    bytes.resize(length, 0x5a);
    Frame {
        at_ns: 1_795_450_902_000_000_000 + number * 1000,
        interface: "bench".into(),
        link: LinkType::Ethernet,
        direction: Some(Direction::Out),
        wire_length: bytes.len(),
        bytes: bytes.into(),
    }
}

/// A line of `/proc/self/status`, in megabytes.
fn megabytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn main() {
    let now = Now { unix_ms: 1_795_450_902_000, uptime_ms: 0 };
    let mut state = State::new(Setting::default(), Clock::utc(), now);
    let mut commands = Vec::new();
    state.drawn(Drawn { usable: true, rows: 40, ..Drawn::default() });
    state.update(
        Event::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char('3'))),
        now,
        &mut commands,
    );
    let generation = 1;
    let news = CaptureNews::Started("bench".to_owned());
    state.update(Event::Capture { generation, news }, now, &mut commands);
    for batch in 0..FRAMES / BATCH {
        let frames = (batch * BATCH..(batch + 1) * BATCH).map(frame).collect();
        let event = Event::Frames { generation, batch: Batch { frames, ..Batch::default() } };
        state.update(event, now, &mut commands);
    }
    let (kept, forgotten) = (state.packets.ring.len(), state.packets.ring.forgotten());
    println!(
        "{kept} frames kept, {forgotten} forgotten: {} MB resident, at most {} MB",
        megabytes("VmRSS"),
        megabytes("VmHWM")
    );
}
