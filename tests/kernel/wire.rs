//! What is on the wire, by tcpdump's word and by espial's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use espial::capture::{CaptureError, Frame, LinkState, LiveCapture, interfaces};
use espial::kernel::namespace::Namespace;
use espial::packet::{Direction, Kind, Summary, dissect};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, espial, feed, ip, on_reblochon, words};

pub const TESTS: &[Test] = &[
    ("after_the_articles_scripts_nothing_can_be_read", after_the_articles_scripts),
    ("frames_come_both_ways_whole_and_once", frames_both_ways),
    ("loopback_shows_each_frame_once", loopback_once),
    ("a_link_that_goes_down_is_waited_for_without_spinning", link_down_and_up),
    ("what_is_not_fetched_in_time_is_counted", drops),
    ("an_interface_that_is_not_there", no_interface),
];

const HELLO: &[u8] = b"hello world";
/// The buffer that tests capture into.
const BUFFER: usize = 8 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// The interface between the hosts, on gouda.
fn link() -> String {
    let gouda = GOUDA.parse().unwrap();
    interfaces().into_iter().find(|interface| interface.addresses.contains(&gouda)).unwrap().name
}

/// Says hello to reblochon over UDP and TCP, and hears it back.
fn greet() {
    let namespace = Namespace::named("reblochon").unwrap();
    let (udp, tcp) = namespace
        .within(|| (UdpSocket::bind((REBLOCHON, 0)).unwrap(), TcpListener::bind((REBLOCHON, 0)).unwrap()))
        .unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let (udp_port, tcp_port) = (udp.local_addr().unwrap().port(), tcp.local_addr().unwrap().port());
    let there = thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, peer) = udp.recv_from(&mut buffer).unwrap();
        udp.send_to(&buffer[..length], peer).unwrap();
        let (mut stream, _) = tcp.accept().unwrap();
        let mut hello = [0; HELLO.len()];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(&hello).unwrap();
    });
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(HELLO, (REBLOCHON, udp_port)).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(socket.recv(&mut buffer).unwrap(), HELLO.len());
    assert_eq!(&buffer[..HELLO.len()], HELLO);
    let there_is = std::net::SocketAddr::new(REBLOCHON.parse().unwrap(), tcp_port);
    let mut stream = TcpStream::connect_timeout(&there_is, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(HELLO).unwrap();
    let mut hello = [0; HELLO.len()];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(hello, HELLO);
    there.join().unwrap();
}

/// What tcpdump records while something happens.
fn recorded(work: impl FnOnce()) -> Vec<u8> {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-i", &link(), "-U", "--immediate-mode", "-s", "0", "-w", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says on which interface it listens when it does.
    let mut first = [0; 1];
    tcpdump.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    let mut output = tcpdump.stdout.take().unwrap();
    work();
    // Between the networks behind the hosts nothing is protected. When this has come, all before it has; it is said
    // again and again, because a datagram may be lost.
    let the_end = b"here the recording ends";
    let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
    let (sender, chunks) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    let (mut pcap, start) = (Vec::new(), Instant::now());
    while !contains(&pcap, the_end) {
        assert!(start.elapsed() < PATIENCE, "the end of the recording did not come; {} bytes did", pcap.len());
        // A closed port may have been told about the one before.
        let _ = socket.send_to(the_end, "10.2.0.1:9");
        while let Ok(chunk) = chunks.recv_timeout(Duration::from_millis(200)) {
            pcap.extend(chunk);
        }
    }
    tcpdump.kill().unwrap();
    tcpdump.wait().unwrap();
    pcap
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// tcpdump's lines for the IP packets between the hosts in a recording.
fn lines(pcap: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.pcap");
    std::fs::write(&path, pcap).unwrap();
    let text =
        Command::new("tcpdump").args(["-nn", "-r", path.to_str().unwrap(), "ip and host", REBLOCHON]).output().unwrap();
    String::from_utf8(text.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn after_the_articles_scripts() {
    let plain = recorded(greet);
    assert!(contains(&plain, HELLO), "without policies the words can be read");
    let apply = |arguments: &[&str], script| {
        let output = feed(env!("CARGO_BIN_EXE_espial"), arguments, script);
        assert!(output.status.success(), "{output:?}");
    };
    apply(&["apply", "-"], include_str!("../data/article-gouda.conf"));
    apply(&["--netns", "reblochon", "apply", "-"], include_str!("../data/article-reblochon.conf"));
    let protected = recorded(greet);
    assert!(!contains(&protected, HELLO), "the words are on the wire");
    let lines = lines(&protected);
    assert!(lines.len() >= 6, "{lines:?}");
    for line in &lines {
        assert!(line.contains("AH(spi=") && line.contains("ESP(spi="), "{line}");
    }
    let told: serde_json::Value = serde_json::from_str(&espial(&["sa", "--json"])).unwrap();
    for sa in told["sas"].as_array().unwrap() {
        assert!(sa["used"]["packets"].as_u64().unwrap() > 0, "{sa:#}");
    }
}

/// Frames until enough fit.
fn until(capture: &mut LiveCapture, count: usize, fits: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let start = Instant::now();
    let mut found = Vec::new();
    while found.len() < count {
        assert!(start.elapsed() < PATIENCE, "only {} of {count} frames came", found.len());
        let batch = capture.next(Duration::from_millis(200)).unwrap();
        found.extend(batch.frames.into_iter().filter(|frame| fits(frame)));
    }
    found
}

fn frames_both_ways() {
    let mut capture = LiveCapture::open(&link(), BUFFER).unwrap();
    let marked = |frame: &Frame| contains(&frame.bytes, b"espial test both ways");
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let payload = [b"espial test both ways".as_slice(), &[b'x'; 1000]].concat();
    socket.send_to(&payload, (REBLOCHON, 9)).unwrap();
    on_reblochon(|| UdpSocket::bind((REBLOCHON, 0)).unwrap().send_to(&payload, (GOUDA, port)).unwrap());
    // The datagram to a closed port comes back in an ICMP error as well, cut by the kernel.
    let frames = until(&mut capture, 2, |frame| marked(frame) && frame.bytes.len() == 14 + 20 + 8 + payload.len());
    let ways: Vec<Direction> = frames.iter().filter_map(|frame| frame.direction).collect();
    assert_eq!(ways, [Direction::Out, Direction::In]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for frame in &frames {
        let age = now.abs_diff(Duration::from_nanos(frame.at_ns));
        assert!(age < PATIENCE, "the kernel's time is {age:?} off");
        let summary = Summary::of(&dissect(frame.link, &frame.bytes));
        assert_eq!((summary.kind, summary.protocol.as_str(), frame.is_cut()), (Kind::Plain, "UDP", false));
    }
    assert!(capture.next(Duration::from_millis(300)).unwrap().frames.iter().all(|frame| frame.bytes.len() < 1000));
}

fn loopback_once() {
    let mut capture = LiveCapture::open("lo", BUFFER).unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..3u8 {
        sender.send_to(&[b'l', b'o', number], receiver.local_addr().unwrap()).unwrap();
    }
    let frames = until(&mut capture, 3, |_| true);
    let last: Vec<u8> = frames.iter().map(|frame| *frame.bytes.last().unwrap()).collect();
    assert_eq!(last, [0, 1, 2]);
    assert!(capture.next(Duration::from_millis(200)).unwrap().frames.is_empty(), "each frame came once");
}

/// A pair of interfaces that nobody else uses.
struct Pair;

impl Pair {
    fn new() -> Self {
        ip("link add espial-a type veth peer name espial-b");
        ip("addr add 192.0.2.1/24 dev espial-a");
        ip("link set espial-a up");
        ip("link set espial-b up");
        Self
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        words("ip", ["link", "del", "espial-a"]);
    }
}

/// Sends a datagram that leaves through espial-a, whoever may receive it.
fn shout() {
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(HELLO, "192.0.2.255:9").unwrap();
}

fn link_down_and_up() {
    let pair = Pair::new();
    let mut capture = LiveCapture::open("espial-a", BUFFER).unwrap();
    shout();
    until(&mut capture, 1, |frame| contains(&frame.bytes, HELLO));
    ip("link set espial-a down");
    let states = |capture: &mut LiveCapture, wanted| {
        let start = Instant::now();
        while capture.next(Duration::from_millis(200)).unwrap().link != Some(wanted) {
            assert!(start.elapsed() < PATIENCE, "{wanted:?} was not told");
        }
    };
    states(&mut capture, LinkState::Down);
    let before = cpu_time();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert!(capture.next(Duration::from_millis(250)).unwrap().is_empty());
    }
    // Spinning takes all of the two seconds.
    let used = cpu_time().saturating_sub(before);
    assert!(used < Duration::from_secs(1), "waiting took {used:?} of the processor");
    ip("link set espial-a up");
    states(&mut capture, LinkState::Up);
    shout();
    until(&mut capture, 1, |frame| contains(&frame.bytes, HELLO));
    // Removed and made anew it is another interface under the same name.
    drop(pair);
    states(&mut capture, LinkState::Down);
    let _pair = Pair::new();
    states(&mut capture, LinkState::Up);
    shout();
    until(&mut capture, 1, |frame| contains(&frame.bytes, HELLO));
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

fn drops() {
    let _pair = Pair::new();
    // Room for some hundred small frames; the kernel counts their bookkeeping as well.
    let mut capture = LiveCapture::open("espial-a", 256 * 1024).unwrap();
    let count = 5000;
    for _ in 0..count {
        shout();
    }
    let (mut got, mut dropped) = (0, 0);
    loop {
        let batch = capture.next(Duration::from_millis(300)).unwrap();
        if batch.is_empty() {
            break;
        }
        got += batch.frames.iter().filter(|frame| contains(&frame.bytes, HELLO)).count();
        dropped += batch.dropped;
    }
    assert!(dropped > 0, "{got} frames came and none was dropped: the buffer is not the one asked for");
    let all = got as u64 + dropped;
    // Neighbour discovery may speak up in between.
    assert!((count..count + 50).contains(&all), "{got} came, {dropped} were dropped, {count} were sent");
}

fn no_interface() {
    let error = LiveCapture::open("espial-z", BUFFER).map(drop).unwrap_err();
    assert!(matches!(&error, CaptureError::Missing { others, .. } if others.contains(&link())), "{error}");
}
