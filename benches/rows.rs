//! What 100,000 SAs cost the console: resident memory for each, keys left out; and how much of a core it takes when
//! nothing happens, thread by thread, with 10,000 SAs in the kernel.
//!
//! To reach: less than 1 KB for each SA beyond its keys, and less than 2 % of a core. The second part runs on the lab's
//! kernel, where a system call costs ten times what it costs elsewhere, so elsewhere it is less.
//! Seen, with the packet view's own facts of each SA: 0.97 KB, and 1.08 KB right after all were read, when mimalloc still
//! keeps what reading them took; under glibc's allocator 0.87 KB at both times. And 0.6 to 1.8 % on the lab's kernel, half
//! of it for reading counters: its clock counts in hundredths of a second, so only several runs together say much.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints lines")]

use std::fmt::Write as _;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use espial::console::clock::Clock;
use espial::console::event::{Event, Now, Polled};
use espial::console::state::{Setting, State};
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::{AlgorithmName, Counts, IpsecProtocol, Sa, SaSpec, Secret, Spi, Transform};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u32 = 100_000;
const KEY_BYTES: usize = 36;
const IDLE_SAS: u32 = 10_000;
const WATCHED: Duration = Duration::from_secs(20);

fn main() {
    if std::env::var_os("ESPIAL_LAB").is_some() {
        idle();
        return;
    }
    memory();
    let own = std::env::current_exe().unwrap();
    let lab = ["lab", "--profile", "none", "--memory", "512", "--"];
    let status = Command::new(env!("CARGO_BIN_EXE_espial")).args(lab).arg(own).status().unwrap();
    assert!(status.success());
}

fn sa(n: u32) -> Sa {
    let host = |net: u32| std::net::Ipv4Addr::from((net << 24) | (n / 2)).into();
    let mut spec = SaSpec::new(host(10), host(11), IpsecProtocol::Esp, Spi(0x1000 + n));
    let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
    spec.algorithms.aead = Some(Transform { name, key: Secret::copy_from(&[7; KEY_BYTES]), icv_bits: 128 });
    Sa::from_spec(&spec, 1_795_450_902)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn memory() {
    let now = Now { unix_ms: 1_795_450_999_000, uptime_ms: 5000 };
    let mut state = State::new(Setting::default(), Clock::utc(), now);
    let before = resident_bytes();
    let snapshot = Snapshot { sas: (0..ROWS).map(sa).collect(), ..Snapshot::default() };
    state.update(Event::Kernel(Update::Snapshot(snapshot)), now, &mut Vec::new());
    let told = |when: &str| {
        let each = (resident_bytes() - before) / u64::from(ROWS) - KEY_BYTES as u64;
        println!("{ROWS} SAs, {when}: {each} bytes each beyond their keys: {}", verdict(each < 1024));
    };
    told("just read");
    // The allocator gives back what it does not need when it is asked for something again.
    for second in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        let sas = (0..245).map(|n| sa(second * 245 + n)).collect();
        let counts = Ok(Counts { sas: ROWS, ..Counts::default() });
        let polled = Polled { sas, policies: Vec::new(), counts, statistics: None, interfaces: Vec::new() };
        state.update(Event::Polled(Box::new(polled)), now, &mut Vec::new());
    }
    told("ten readings of counters later");
    assert_eq!(state.facts.sad.len(), ROWS as usize);
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

/// Inside the lab: many SAs, the console on a terminal that nobody touches, and the time that its process takes.
fn idle() {
    let mut script = String::new();
    for n in 0..IDLE_SAS {
        let (source, spi) = (format!("10.9.{}.1", n / 250), 0x1000 + n);
        writeln!(
            script,
            "add {source} 10.9.0.2 esp {spi} -E aes-cbc 0x{} -A hmac-sha1 0x{};",
            "01".repeat(16),
            "02".repeat(20)
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("setkey.conf");
    std::fs::write(&path, script).unwrap();
    assert!(Command::new(env!("CARGO_BIN_EXE_espial")).arg("apply").arg(&path).status().unwrap().success());
    let size = portable_pty::PtySize { rows: 50, cols: 200, ..portable_pty::PtySize::default() };
    let pty = portable_pty::native_pty_system().openpty(size).unwrap();
    let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_espial"));
    command.env("TERM", "xterm-256color");
    let mut child = pty.slave.spawn_command(command).unwrap();
    let mut screen = pty.master.try_clone_reader().unwrap();
    let (sender, pictures) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            let _ = sender.send(buffer[..length].to_vec());
        }
    });
    // The table is there when the last thing that is read at the start has been drawn.
    let (mut seen, start) = (Vec::new(), Instant::now());
    while !String::from_utf8_lossy(&seen).contains("aes-cbc-128") {
        assert!(start.elapsed() < Duration::from_mins(1), "no table came");
        seen.extend(pictures.recv_timeout(Duration::from_mins(1)).unwrap());
    }
    let settled = Instant::now();
    while settled.elapsed() < Duration::from_secs(5) {
        let _ = pictures.recv_timeout(Duration::from_secs(1));
    }
    let pid = child.process_id().unwrap();
    let (task, whole) = (format!("/proc/{pid}/task"), format!("/proc/{pid}/stat"));
    let (begun, before_all, before) = (Instant::now(), ticks(&whole), threads(&task));
    while begun.elapsed() < WATCHED {
        let _ = pictures.recv_timeout(Duration::from_secs(1));
    }
    let watched = begun.elapsed().as_secs_f64();
    let share = |taken: u32| f64::from(taken) / 100.0 / watched * 100.0;
    let busy = share(ticks(&whole) - before_all);
    println!("idle with {IDLE_SAS} SAs: {busy:.1} % of a core: {}", verdict(busy < 2.0));
    for ((name, after), before) in threads(&task).into_iter().zip(before) {
        println!("    {name}: {:.1} %", share(after - before.1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The threads of a process in their order, and what each has taken.
fn threads(folder: &str) -> Vec<(String, u32)> {
    let tasks = std::fs::read_dir(folder).unwrap().map(|task| task.unwrap().path());
    let mut tasks: Vec<std::path::PathBuf> = tasks.collect();
    tasks.sort();
    let told = |task: &std::path::PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).unwrap();
        (name.trim().to_owned(), ticks(task.join("stat").to_str().unwrap()))
    };
    tasks.iter().map(told).collect()
}

/// What a process or a thread has taken of the processor, in hundredths of a second.
fn ticks(path: &str) -> u32 {
    let stat = std::fs::read_to_string(path).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap()
}
