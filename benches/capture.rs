//! ESP in frames of 64 bytes on a veth pair, at the highest rate that a sender on every processor reaches, taken by both
//! sources and by `tcpdump -w` in the same run.
//!
//! Runs in a network namespace of its own (root, or `unshare -r`); who captures is on the last processor, together with
//! one of the senders. A veth pair receives in the sender, so that a slow receiver also slows the sender: look at all
//! columns, and at the ratios, not at the times. To reach: no more lost than by tcpdump.
//!
//! On two processors, in several runs:
//!
//! | source | offered, of what tcpdump was | lost | CPU time per frame, of tcpdump's |
//! |---|---|---|---|
//! | ring | 0.8 to 1.1 | none | 1.2 to 1.5 |
//! | pnet | 0.4 to 0.6 | a quarter to two fifths | 27 to 38 |
//! | tcpdump | 1 | none | 1 |
//!
//! With pnet each frame costs several system calls and fills a socket's queue; from the ring a batch costs one. That is
//! why the ring is the default.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench that fails should say where, and prints a table of numbers to look at"
)]

use std::io::{IoSlice, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use espial::capture::{self, Method, Wanted};
use espial::kernel::namespace::within_scratch;
use rustix::net::{AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketType, netdevice, sendmmsg, socket};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// For how long frames are sent.
const DURATION: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// How many frames a system call sends.
const AT_ONCE: usize = 64;
const BUFFER: usize = 64 * 1024 * 1024;

/// What came of a flood, or of several.
#[derive(Default)]
struct Count {
    sent: u64,
    taken: u64,
    dropped: u64,
    cpu: Duration,
}

/// A flood, taken by somebody.
type Taking = fn() -> Count;

fn run(program: &str, line: &str) {
    let status = Command::new(program).args(line.split_whitespace()).status().unwrap();
    assert!(status.success(), "{program} {line}");
}

/// How many there are, asked before anybody is bound to one.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().unwrap().get());

fn pin_to(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).unwrap();
}

/// An ESP packet from 192.0.2.1 to 192.0.2.2 in 64 bytes.
fn frame() -> [u8; 64] {
    let mut frame = [0x11; 64];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..34]
        .copy_from_slice(&[0x08, 0, 0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 50, 0xb6, 0x97, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame
}

#[allow(unsafe_code, reason = "rustix has no addresses of this family")]
fn bind_to(socket: &OwnedFd, interface: &str) {
    let index = netdevice::name_to_index(socket, interface).unwrap();
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET.try_into().unwrap();
    address.sll_ifindex = index.try_into().unwrap();
    let size = size_of_val(&address).try_into().unwrap();
    // SAFETY: the kernel reads `size` bytes of `address`, which lives until the call returns.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Sends from every processor for a while; how many frames.
fn flood() -> u64 {
    thread::scope(|scope| {
        let senders: Vec<_> = (0..*PROCESSORS).map(|processor| scope.spawn(move || flood_from(processor))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    })
}

fn flood_from(processor: usize) -> u64 {
    pin_to(processor);
    let socket = socket(AddressFamily::PACKET, SocketType::RAW, None).unwrap();
    bind_to(&socket, "bench-a");
    let frame = frame();
    let payload = [IoSlice::new(&frame)];
    let mut nothing: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        (0..AT_ONCE).map(|_| SendAncillaryBuffer::default()).collect();
    let mut packets: Vec<MMsgHdr<'_>> = nothing.iter_mut().map(|nothing| MMsgHdr::new(&payload, nothing)).collect();
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < DURATION {
        sent += sendmmsg(&socket, &mut packets, SendFlags::empty()).unwrap_or(0) as u64;
    }
    sent
}

fn with_espial(method: Method) -> Count {
    let wanted = Wanted { method, interface: "bench-b".to_owned(), buffer: BUFFER, filter: Vec::new() };
    let mut source = capture::open(wanted).unwrap();
    let has_sent = AtomicBool::new(false);
    let cpu_time = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = flood();
            has_sent.store(true, Ordering::Relaxed);
            sent
        });
        let (before, mut taken, mut dropped) = (cpu_time(), 0, 0);
        loop {
            let is_over = has_sent.load(Ordering::Relaxed);
            let batch = source.next(Duration::from_millis(100)).unwrap();
            taken += batch.frames.len() as u64;
            dropped += batch.dropped;
            if is_over && batch.is_empty() {
                break;
            }
        }
        Count { sent: sender.join().unwrap(), taken, dropped, cpu: cpu_time().saturating_sub(before) }
    })
}

fn with_tcpdump() -> Count {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-i", "bench-b", "-B", "65536", "-w", "/dev/null"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says that it listens when it does.
    let mut said = vec![0; 1];
    tcpdump.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    let before = cpu_time_of(&tcpdump);
    let sent = thread::spawn(flood).join().unwrap();
    // Longer than its buffer takes to be handed over.
    thread::sleep(Duration::from_millis(1500));
    let cpu = cpu_time_of(&tcpdump).saturating_sub(before);
    kill_process(Pid::from_child(&tcpdump), Signal::INT).unwrap();
    let mut report = String::new();
    tcpdump.stderr.as_mut().unwrap().read_to_string(&mut report).unwrap();
    tcpdump.wait().unwrap();
    let number_before = |words: &str| {
        let line = report.lines().find(|line| line.contains(words)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    Count { sent, taken: number_before("captured"), dropped: number_before("dropped by kernel"), cpu }
}

/// To a hundredth of a second.
fn cpu_time_of(child: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 = stat.split_whitespace().skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn main() {
    within_scratch(|| {
        run("ip", "link add bench-a type veth peer name bench-b");
        run("ip", "link set bench-a up");
        run("ip", "link set bench-b up");
        pin_to(*PROCESSORS - 1);
        println!(
            "{:8}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}",
            "source", "sent/s", "taken/s", "dropped", "missed", "CPU/frame"
        );
        let sources: [(&str, Taking); 3] =
            [("ring", || with_espial(Method::Ring)), ("pnet", || with_espial(Method::Pnet)), ("tcpdump", with_tcpdump)];
        let mut sums: [Count; 3] = Default::default();
        for _ in 0..ROUNDS {
            for ((name, take), sum) in sources.iter().zip(&mut sums) {
                let count = take();
                print(name, &count);
                sum.add(&count);
            }
        }
        let [ring, pnet, tcpdump] = &sums;
        for (name, count) in [("ring", ring), ("pnet", pnet)] {
            println!(
                "{name}: {:.2} of tcpdump's CPU time per frame; {} of {} frames lost, tcpdump {} of {}",
                count.nanos_per_frame() / tcpdump.nanos_per_frame(),
                count.lost(),
                count.sent,
                tcpdump.lost(),
                tcpdump.sent
            );
        }
    })
    .unwrap();
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.taken += other.taken;
        self.dropped += other.dropped;
        self.cpu += other.cpu;
    }

    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.taken)
    }

    fn nanos_per_frame(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.taken.max(1) as f64
    }
}

fn print(source: &str, count: &Count) {
    let per_second = |frames: u64| frames / DURATION.as_secs();
    let missed = count.lost().saturating_sub(count.dropped);
    let (sent, taken) = (per_second(count.sent), per_second(count.taken));
    let nanos = count.nanos_per_frame();
    println!("{source:8}  {sent:>9}  {taken:>9}  {:>9}  {missed:>9}  {nanos:>6.0} ns", count.dropped);
}
