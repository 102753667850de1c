//! What the console holds after it has seen ten million frames of real ESP, and whether that is little enough.
//!
//! The frames are AES-GCM of 64 to 1400 bytes of forty SAs, which are made anew every 100,000 frames as a key manager does
//! it, so that the memory of SAs that are gone is full as well; two policies demand them. All authenticate: the bench
//! fails if one does not. Runs in a process of its own, so that nothing else is counted.
//!
//! To reach: less than 150 MB resident. Seen: 100 MB, at most 103 (75,862 frames kept).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints a line")]

use aes_gcm::aead::{AeadInOut, Nonce};
use aes_gcm::{Aes128Gcm, KeyInit};
use espial::capture::{Batch, Frame};
use espial::console::clock::Clock;
use espial::console::event::{CaptureNews, Event, Now};
use espial::console::state::{Drawn, Setting, State};
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::{
    AlgorithmName, IpsecProtocol, KernelEvent, Mode, Policy, PolicyDirection, PolicySpec, Prefix, Sa, SaSpec, Secret,
    Selector, Spi, Template, Transform,
};
use espial::packet::{Direction, LinkType};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FRAMES: u64 = 10_000_000;
const BATCH: u64 = 256;

/// How many SAs there are at a time.
const SAS: u64 = 40;
/// After so many frames there are others.
const REKEYED_AFTER: u64 = 100_096;
const KEY: [u8; 20] = [7; 20];
const START_MS: u64 = 1_795_450_902_000;
/// To reach.
const MOST_MEGABYTES: u64 = 150;

/// The number of the SA of a frame.
fn spi(number: u64) -> u32 {
    u32::try_from(0x1000 + number / REKEYED_AFTER * SAS + number % SAS).unwrap()
}

fn sa(spi: u32) -> Sa {
    let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(spi));
    let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
    spec.algorithms.aead = Some(Transform { name, key: Secret::copy_from(&KEY), icv_bits: 128 });
    Sa::from_spec(&spec, START_MS / 1000 - 10)
}

fn policy(direction: PolicyDirection, from: u8, to: u8) -> Policy {
    let host = |last| Prefix::host([10, 9, 0, last].into());
    let mut spec = PolicySpec::new(direction, Selector::between(host(from), host(to)));
    spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, [0; 4].into(), [0; 4].into()));
    Policy::from_spec(&spec, 1, START_MS / 1000 - 10)
}

/// A datagram in ESP, of 64 to 1400 bytes.
fn frame(gcm: &Aes128Gcm, number: u64) -> Frame {
    let length = 64 + usize::try_from(number * 7919 % 1337).unwrap() / 4 * 4;
    let sequence = u32::try_from(number % REKEYED_AFTER / SAS + 1).unwrap();
    let header = [spi(number).to_be_bytes(), sequence.to_be_bytes()].concat();
    let iv = number.to_be_bytes();
    let mut text = vec![0x5a; (length - 64).max(12)];
    let end = text.len();
    text[..8].copy_from_slice(&[0x1e, 0x61, 0, 9, 0, 0, 0, 0]);
    text[4..6].copy_from_slice(&u16::try_from(end - 4).unwrap().to_be_bytes());
    text[end - 4..].copy_from_slice(&[1, 2, 2, 17]);
    let mut nonce = Nonce::<Aes128Gcm>::default();
    nonce[..4].copy_from_slice(&KEY[16..]);
    nonce[4..].copy_from_slice(&iv);
    let tag = gcm.encrypt_inout_detached(&nonce, &header, text.as_mut_slice().into()).unwrap();
    let esp = [&header[..], &iv, &text, &tag].concat();
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend(u16::try_from(20 + esp.len()).unwrap().to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 50, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    bytes.extend(esp);
    Frame {
        at_ns: START_MS * 1_000_000 + number * 1000,
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
    let now = Now { unix_ms: START_MS, uptime_ms: 0 };
    let mut state = State::new(Setting::default(), Clock::utc(), now);
    let mut commands = Vec::new();
    state.drawn(Drawn { usable: true, rows: 40, ..Drawn::default() });
    let policies = vec![policy(PolicyDirection::Out, 1, 2), policy(PolicyDirection::In, 2, 1)];
    let snapshot = Snapshot { policies, ..Snapshot::default() };
    state.update(Event::Kernel(Update::Snapshot(snapshot)), now, &mut commands);
    let key = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char('3'));
    state.update(Event::Key(key), now, &mut commands);
    let generation = 1;
    let news = CaptureNews::Started("bench".to_owned());
    state.update(Event::Capture { generation, news }, now, &mut commands);
    let gcm = Aes128Gcm::new_from_slice(&KEY[..16]).unwrap();
    for batch in 0..FRAMES / BATCH {
        let first = batch * BATCH;
        let now = Now { unix_ms: START_MS + first / 1000, uptime_ms: first / 1000 };
        if first % REKEYED_AFTER < BATCH {
            let others: Vec<KernelEvent> = (first..first + SAS)
                .flat_map(|number| {
                    let old =
                        number.checked_sub(REKEYED_AFTER).map(|number| KernelEvent::SaDeleted(sa(spi(number)).id()));
                    old.into_iter().chain([KernelEvent::SaAdded(Box::new(sa(spi(number))))])
                })
                .collect();
            state.update(Event::Kernel(Update::Events(others)), now, &mut commands);
        }
        let frames = (first..first + BATCH).map(|number| frame(&gcm, number)).collect();
        let event = Event::Frames { generation, batch: Batch { frames, ..Batch::default() } };
        state.update(event, now, &mut commands);
        commands.clear();
    }
    let sums = state.packets.judge.totals.all;
    assert_eq!(sums.protected, FRAMES / BATCH * BATCH, "{sums:?}");
    let (kept, forgotten) = (state.packets.ring.len(), state.packets.ring.forgotten());
    let (now, most) = (megabytes("VmRSS"), megabytes("VmHWM"));
    let verdict = if most < MOST_MEGABYTES { "reached" } else { "NOT REACHED" };
    println!("{kept} frames kept, {forgotten} forgotten: {now} MB resident, at most {most} MB");
    println!("less than {MOST_MEGABYTES} MB: {verdict}");
}
