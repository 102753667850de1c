//! What is on the wire, by tcpdump's word and by espial's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use espial::capture::{
    self, ANY, CaptureError, FileCapture, Frame, LinkState, Method, Recorder, Source, Wanted, interfaces,
};
use espial::kernel::namespace::Namespace;
use espial::packet::filter::Subject;
use espial::packet::{Direction, Filter, Kind, Summary, dissect};

use crate::Test;
use crate::world::{GOUDA, REBLOCHON, espial, feed, ip, on_reblochon, words};

pub const TESTS: &[Test] = &[
    ("after_the_articles_scripts_nothing_can_be_read", after_the_articles_scripts),
    ("frames_come_both_ways_whole_and_once", || with_both(frames_both_ways)),
    ("loopback_shows_each_frame_once", || with_both(loopback_once)),
    ("a_link_that_goes_down_or_vanishes_is_waited_for_without_spinning", || with_both(link_down_and_up)),
    ("what_is_not_fetched_in_time_is_counted", || with_both(drops)),
    ("an_interface_that_is_not_there", || with_both(no_interface)),
    ("a_frame_larger_than_any_packet_comes_whole", || with_both(large_frames)),
    ("a_tag_that_the_device_took_off_is_told", vlan_tag),
    ("all_interfaces_are_told_apart", any_interface),
    ("plain_frames_that_do_not_fit_are_dropped_in_the_kernel", || with_both(kernel_filter)),
    ("an_interface_that_vanishes_under_packets_is_told", vanished_interface),
    ("packets_asks_the_kernel_for_what_its_filter_needs", || with_both(filtered_packets)),
    ("pnet_takes_one_interface_at_a_time", pnet_alone),
    ("a_file_of_tcpdumps_holds_what_was_captured", tcpdumps_file),
    ("a_recording_is_read_by_tcpdump", recording),
];

const HELLO: &[u8] = b"hello world";
/// The buffer that tests capture into.
const BUFFER: usize = 8 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

fn with_both(test: fn(Method)) {
    for method in [Method::Ring, Method::Pnet] {
        test(method);
    }
}

fn wanted(method: Method, interface: &str, buffer: usize) -> Wanted {
    Wanted { method, interface: interface.to_owned(), buffer, filter: Vec::new() }
}

fn open(method: Method, interface: &str) -> Box<dyn Source> {
    capture::open(wanted(method, interface, BUFFER)).unwrap()
}

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

/// What tcpdump records while something happens, but for what the networks behind the hosts say to each
/// other besides the end's mark.
fn recorded(work: impl FnOnce()) -> Vec<u8> {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-i", &link(), "-U", "--immediate-mode", "-s", "0", "-w", "-", "not net 10.2.0.0/24 or udp dst port 9"])
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
fn until(capture: &mut dyn Source, count: usize, fits: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let start = Instant::now();
    let mut found = Vec::new();
    while found.len() < count {
        assert!(start.elapsed() < PATIENCE, "only {} of {count} frames came", found.len());
        let batch = capture.next(Duration::from_millis(200)).unwrap();
        found.extend(batch.frames.into_iter().filter(|frame| fits(frame)));
    }
    found
}

/// Sends one datagram to reblochon and one back, which nobody awaits. Unlike a greeting they cannot be mistaken for the
/// lab's own traffic.
fn exchange(payload: &[u8]) {
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    socket.send_to(payload, (REBLOCHON, 9)).unwrap();
    on_reblochon(|| UdpSocket::bind((REBLOCHON, 0)).unwrap().send_to(payload, (GOUDA, port)).unwrap());
}

fn frames_both_ways(method: Method) {
    let mut capture = open(method, &link());
    let marked = |frame: &Frame| contains(&frame.bytes, b"espial test both ways");
    let payload = [b"espial test both ways".as_slice(), &[b'x'; 1000]].concat();
    exchange(&payload);
    // The datagram to a closed port comes back in an ICMP error as well, cut by the kernel.
    let frames = until(&mut *capture, 2, |frame| marked(frame) && frame.bytes.len() == 14 + 20 + 8 + payload.len());
    let ways: Vec<Direction> = frames.iter().filter_map(|frame| frame.direction).collect();
    assert_eq!(ways, [Direction::Out, Direction::In]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for frame in &frames {
        let age = now.abs_diff(Duration::from_nanos(frame.at_ns));
        assert!(age < PATIENCE, "the kernel's time is {age:?} off");
        let summary = Summary::of(&dissect(frame.link, &frame.bytes));
        assert_eq!((summary.kind, &*summary.protocol, frame.is_cut()), (Kind::Plain, "UDP", false));
    }
    assert!(capture.next(Duration::from_millis(300)).unwrap().frames.iter().all(|frame| frame.bytes.len() < 1000));
}

fn loopback_once(method: Method) {
    let mut capture = open(method, "lo");
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..3u8 {
        sender.send_to(&[b'l', b'o', number], receiver.local_addr().unwrap()).unwrap();
    }
    let frames = until(&mut *capture, 3, |_| true);
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

fn link_down_and_up(method: Method) {
    let pair = Pair::new();
    let mut capture = open(method, "espial-a");
    shout();
    until(&mut *capture, 1, |frame| contains(&frame.bytes, HELLO));
    ip("link set espial-a down");
    let states = |capture: &mut dyn Source, wanted| {
        let start = Instant::now();
        while capture.next(Duration::from_millis(200)).unwrap().link != Some(wanted) {
            assert!(start.elapsed() < PATIENCE, "{wanted:?} was not told");
        }
    };
    states(&mut *capture, LinkState::Down);
    rests(&mut *capture);
    ip("link set espial-a up");
    states(&mut *capture, LinkState::Up);
    shout();
    until(&mut *capture, 1, |frame| contains(&frame.bytes, HELLO));
    // Removed and made anew it is another interface under the same name.
    drop(pair);
    states(&mut *capture, LinkState::Down);
    rests(&mut *capture);
    let _pair = Pair::new();
    states(&mut *capture, LinkState::Up);
    shout();
    until(&mut *capture, 1, |frame| contains(&frame.bytes, HELLO));
}

/// Nothing comes, and waiting for it costs next to nothing.
fn rests(capture: &mut dyn Source) {
    let (before, start) = (cpu_time(), Instant::now());
    while start.elapsed() < Duration::from_secs(1) {
        assert!(capture.next(Duration::from_millis(250)).unwrap().is_empty());
    }
    // Spinning takes all of the second.
    let used = cpu_time().saturating_sub(before);
    assert!(used < Duration::from_millis(300), "waiting took {used:?} of the processor");
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

fn drops(method: Method) {
    let _pair = Pair::new();
    // Room for some hundred small frames, or for some thousand in the ring.
    let mut capture = capture::open(wanted(method, "espial-a", 256 * 1024)).unwrap();
    let count = 10_000;
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

fn no_interface(method: Method) {
    let error = capture::open(wanted(method, "espial-z", BUFFER)).map(drop).unwrap_err();
    assert!(matches!(&error, CaptureError::Missing { others, .. } if others.contains(&link())), "{error}");
}

fn large_frames(method: Method) {
    // Loopback's packets are as large as IP allows; what a device is to cut up comes as large, too.
    let mut capture = open(method, "lo");
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let payload = vec![b'l'; 65_507];
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&payload, receiver.local_addr().unwrap()).unwrap();
    let found = until(&mut *capture, 1, |frame| frame.bytes.len() > 60_000);
    assert_eq!((found[0].bytes.len(), found[0].is_cut()), (14 + 20 + 8 + payload.len(), false));
}

fn vlan_tag() {
    let _pair = Pair::new();
    ip("link add link espial-a name espial-a.5 type vlan id 5");
    ip("link add link espial-b name espial-b.5 type vlan id 5");
    ip("addr add 198.51.100.1/24 dev espial-a.5");
    ip("link set espial-a.5 up");
    ip("link set espial-b.5 up");
    let mut trunk = open(Method::Ring, "espial-a");
    let mut inside = open(Method::Ring, "espial-a.5");
    let socket = UdpSocket::bind("198.51.100.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(HELLO, "198.51.100.255:9").unwrap();
    let hello = |frame: &Frame| contains(&frame.bytes, HELLO);
    let tagged = until(&mut *trunk, 1, hello).remove(0);
    let plain = until(&mut *inside, 1, hello).remove(0);
    assert_eq!((&*tagged.interface, &*plain.interface), ("espial-a", "espial-a.5"));
    let layers = |frame: &Frame| dissect(frame.link, &frame.bytes).layers().len();
    assert_eq!(&tagged.bytes[12..16], [0x81, 0, 0, 5]);
    assert_eq!((tagged.wire_length, layers(&tagged)), (plain.wire_length + 4, layers(&plain) + 1));
    assert!(fits("vlan 5", &tagged) && !fits("vlan 6", &tagged) && !fits("vlan", &plain));
    // In a recording the tag is where it was on the wire.
    let folder = tempfile::tempdir().unwrap();
    let path = record(folder.path(), &[(&tagged, "")]);
    let text = words("tcpdump", ["-nn", "-e", "-r", &path]);
    assert!(text.contains("802.1Q (0x8100)") && text.contains("vlan 5"), "{text}");
}

fn fits(filter: &str, frame: &Frame) -> bool {
    Filter::parse(filter).unwrap().unwrap().fits(Subject {
        dissection: &dissect(frame.link, &frame.bytes),
        direction: frame.direction,
        length: frame.wire_length,
        bytes: &frame.bytes,
        whole: None,
        verdict: "",
        inside: &|_| false,
    })
}

fn any_interface() {
    let _pair = Pair::new();
    let mut capture = open(Method::Ring, ANY);
    assert_eq!(capture.interface(), "any");
    shout();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(HELLO, receiver.local_addr().unwrap()).unwrap();
    let link = link();
    let ours = |frame: &Frame| contains(&frame.bytes, HELLO) && *frame.interface != link;
    let found = until(&mut *capture, 3, ours);
    let mut told: Vec<_> = found.iter().map(|frame| (&*frame.interface, frame.direction.unwrap())).collect();
    told.sort_unstable();
    assert_eq!(told, [("espial-a", Direction::Out), ("espial-b", Direction::In), ("lo", Direction::In)]);
    // An interface made later is named as well.
    ip("link add espial-c type dummy");
    ip("addr add 203.0.113.1/24 dev espial-c");
    ip("link set espial-c up");
    let socket = UdpSocket::bind("203.0.113.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(HELLO, "203.0.113.255:9").unwrap();
    let found = until(&mut *capture, 1, ours);
    ip("link del espial-c");
    assert_eq!(&*found[0].interface, "espial-c");
}

fn kernel_filter(method: Method) {
    let filter = Filter::parse("udp port 9 and dst host 192.0.2.255").unwrap().unwrap().for_kernel().unwrap();
    let _pair = Pair::new();
    let mut some = capture::open(Wanted { filter, ..wanted(method, "espial-a", BUFFER) }).unwrap();
    let mut all = open(method, "espial-a");
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    for port in [9, 10, 4500, 9] {
        socket.send_to(HELLO, ("192.0.2.255", port)).unwrap();
    }
    let hello = |frame: &Frame| contains(&frame.bytes, HELLO);
    let port = |frame: &Frame| u16::from_be_bytes([frame.bytes[36], frame.bytes[37]]);
    let ports = |frames: Vec<Frame>| frames.iter().map(port).collect::<Vec<_>>();
    assert_eq!(ports(until(&mut *all, 4, hello)), [9, 10, 4500, 9]);
    assert_eq!(ports(until(&mut *some, 3, hello)), [9, 4500, 9], "what may be ESP is never dropped");
}

fn vanished_interface() {
    let pair = Pair::new();
    let mut packets = Command::new(env!("CARGO_BIN_EXE_espial"))
        .args(["packets", "-i", "espial-a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = packets.stdout.take().unwrap();
    let (sender, begun) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut first = [0; 1];
        lines.read_exact(&mut first).unwrap();
        sender.send(()).unwrap();
        std::io::copy(&mut lines, &mut std::io::sink())
    });
    let start = Instant::now();
    while begun.recv_timeout(Duration::from_millis(100)).is_err() {
        assert!(start.elapsed() < PATIENCE, "no frame was shown");
        shout();
    }
    drop(pair);
    let mut errors = BufReader::new(packets.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    packets.kill().unwrap();
    packets.wait().unwrap();
    assert_eq!(line, "espial: interface espial-a is down or gone: no packets until it is back\n");
}

/// Of hundreds of plain datagrams hardly one reaches the program that asked for others.
fn filtered_packets(method: Method) {
    let _pair = Pair::new();
    let method = if method == Method::Pnet { "pnet" } else { "ring" };
    let mut packets = Command::new(env!("CARGO_BIN_EXE_espial"))
        .args(["packets", "-i", "espial-a", "--capture", method, "--json", "-c", "4", "udp port 53"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    while packets.try_wait().unwrap().is_none() {
        for port in std::iter::repeat_n(9, 50).chain([53]) {
            socket.send_to(HELLO, ("192.0.2.255", port)).unwrap();
        }
        thread::sleep(Duration::from_millis(50));
    }
    let text = String::from_utf8(packets.wait_with_output().unwrap().stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    // Address resolution and neighbour discovery are not the filter's to drop.
    let number = last["no"].as_u64().unwrap();
    assert!(number < 50, "{number} frames came for the sake of 4");
}

fn pnet_alone() {
    let error = capture::open(wanted(Method::Pnet, ANY, BUFFER)).map(drop).unwrap_err();
    assert!(matches!(error, CaptureError::OneAtATime), "{error}");
}

fn tcpdumps_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.pcap");
    let mut capture = open(Method::Ring, &link());
    let words = b"espial test of a file";
    std::fs::write(&path, recorded(|| exchange(words))).unwrap();
    let ours = |frame: &Frame| contains(&frame.bytes, words);
    let mut file = FileCapture::open(&path).unwrap();
    let read: Vec<Frame> = std::iter::from_fn(|| file.next_frame().unwrap()).filter(ours).collect();
    assert!(read.len() >= 2, "{read:?}");
    let live = until(&mut *capture, read.len(), ours);
    for (live, read) in live.iter().zip(&read) {
        assert_eq!((&live.bytes, live.link, live.wire_length), (&read.bytes, read.link, read.wire_length));
        assert!(live.at_ns.abs_diff(read.at_ns) < 1_000_000_000, "{} and {}", live.at_ns, read.at_ns);
    }
    // The times of the file, to its microsecond, by tcpdump's own word.
    let text = Command::new("tcpdump").args(["-nn", "-tt", "-r"]).arg(&path).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for frame in &read {
        let time = format!("{}.{:06} ", frame.at_ns / 1_000_000_000, frame.at_ns % 1_000_000_000 / 1000);
        assert!(text.contains(&time), "{time} is not in {text}");
    }
}

/// Records frames with their comments.
fn record(folder: &Path, frames: &[(&Frame, &str)]) -> String {
    let path = folder.join("recorded.pcapng");
    let mut recorder = Recorder::create(&path).unwrap();
    for (frame, comment) in frames {
        recorder.record(frame, comment).unwrap();
    }
    recorder.flush().unwrap();
    path.to_str().unwrap().to_owned()
}

fn recording() {
    let mut capture = open(Method::Ring, &link());
    exchange(b"espial test of a recording");
    let frames = until(&mut *capture, 2, |frame| contains(&frame.bytes, b"espial test of a recording"));
    let folder = tempfile::tempdir().unwrap();
    let commented: Vec<_> = frames.iter().map(|frame| (frame, "CLEAR: no policy matched")).collect();
    let path = record(folder.path(), &commented);
    let output =
        Command::new("tcpdump").args(["-nn", "-tt", "--time-stamp-precision=nano", "-r", &path]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), frames.len(), "{text}");
    for (line, frame) in text.lines().zip(&frames) {
        let time = format!("{}.{:09} IP ", frame.at_ns / 1_000_000_000, frame.at_ns % 1_000_000_000);
        assert!(line.starts_with(&time), "{line} is not of {time}");
    }
    with_tshark(&path, &frames);
}

fn with_tshark(path: &str, frames: &[Frame]) {
    let fields = ["frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction", "frame.comment"];
    let fields = fields.iter().flat_map(|field| ["-e", *field]);
    let arguments = ["-r", path, "-T", "fields", "-E", "separator=|"].into_iter().chain(fields);
    let output = Command::new("tshark").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = |frame: &Frame| {
        let direction = if frame.direction == Some(Direction::In) { "0x00000001" } else { "0x00000002" };
        let (seconds, nanos) = (frame.at_ns / 1_000_000_000, frame.at_ns % 1_000_000_000);
        format!("{seconds}.{nanos:09}|{}|{direction}|CLEAR: no policy matched", frame.interface)
    };
    assert_eq!(text.lines().collect::<Vec<_>>(), frames.iter().map(told).collect::<Vec<_>>());
}
