//! The screen of packets: frames in, rows and words out.

use espial::capture::{Batch, Frame, LinkState, Probe, ProbeEnds};
use espial::console::clock::Clock;
use espial::console::command::{Command, Record};
use espial::console::event::{CaptureNews, Event, RecorderNews};
use espial::console::state::{Setting, State};
use espial::evidence::Sums;
use espial::kernel::{Cause, Kernel, KernelError, Operation};
use espial::model::{IpsecProtocol, Mode, PolicyDirection, PolicySpec, Sa, SaSpec, Selector, Spi, Template};
use espial::packet::{Direction, LinkType};

use super::{Bench, START, article_sas, busy_kernel, transform};

/// A packet to reblochon with a datagram inside, protected by [`gcm_sa`].
fn sealed(sequence: u32, text: &[u8]) -> Frame {
    use aes_gcm::aead::{AeadInOut, KeyInit, Nonce};
    let gcm = aes_gcm::Aes128Gcm::new_from_slice(&[0xa7; 16]).unwrap();
    let header = [0x5000_u32.to_be_bytes(), sequence.to_be_bytes()].concat();
    let mut bytes = udp(41000, 7777, text);
    let padding = (4 - (bytes.len() + 2) % 4) % 4;
    bytes.extend((1..).take(padding));
    bytes.extend([u8::try_from(padding).unwrap(), 17]);
    let mut nonce = Nonce::<aes_gcm::Aes128Gcm>::default();
    nonce.fill(0xa7);
    let tag = gcm.encrypt_inout_detached(&nonce, &header, bytes.as_mut_slice().into()).unwrap();
    frame(Direction::Out, 0x0800, &ipv4(50, &[&header[..], &[0xa7; 8], &bytes, &tag].concat()))
}

fn gcm_sa() -> SaSpec {
    let (gouda, reblochon) = ("10.9.0.1".parse().unwrap(), "10.9.0.2".parse().unwrap());
    let mut spec = SaSpec::new(gouda, reblochon, IpsecProtocol::Esp, Spi(0x5000));
    spec.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 20, 128));
    spec
}

/// The frames between gouda and reblochon: the article's AH around ESP, both ways, and some that are in clear.
fn frames() -> Vec<Frame> {
    let protected = ipv4(51, &ah(1000, 7, &esp(1001, 7, 40)));
    vec![
        frame(Direction::Out, 0x0806, &arp()),
        frame(Direction::Out, 0x0800, &protected),
        frame(Direction::In, 0x0800, &ipv4_back(51, &ah(2000, 9, &esp(2001, 9, 56)))),
        frame(Direction::Out, 0x0800, &ipv4(17, &udp(41000, 7777, b"hello world"))),
        frame(Direction::Out, 0x0800, &ipv4(50, &esp(0xdead, 1, 24))),
        frame(Direction::Out, 0x0800, &ipv4(17, &udp(4500, 4500, &esp(1001, 8, 40)))),
        frame(Direction::In, 0x0800, &ipv4_back(17, &udp(500, 500, &ike()))),
    ]
}

fn frame(direction: Direction, ether_type: u16, payload: &[u8]) -> Frame {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    let at_ns = START * 1_000_000_000 + 123_456_789;
    Frame {
        at_ns,
        interface: "veth0".into(),
        link: LinkType::Ethernet,
        direction: Some(direction),
        wire_length: bytes.len(),
        bytes: bytes.into(),
    }
}

fn ip_packet(protocol: u8, ends: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 9, 0, ends[0], 10, 9, 0, ends[1]]);
    packet.extend(payload);
    packet
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip_packet(protocol, [1, 2], payload)
}

fn ipv4_back(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip_packet(protocol, [2, 1], payload)
}

fn esp(spi: u32, sequence: u32, bytes: usize) -> Vec<u8> {
    let mut packet = spi.to_be_bytes().to_vec();
    packet.extend(sequence.to_be_bytes());
    packet.extend((0..bytes).map(|at| u8::try_from(at * 89 % 251).unwrap()));
    packet
}

fn ah(spi: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![50, 4, 0, 0];
    packet.extend(spi.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0x1c; 12]);
    packet.extend(payload);
    packet
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = source.to_be_bytes().to_vec();
    datagram.extend(destination.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

fn ike() -> Vec<u8> {
    let mut message = vec![0x11; 16];
    message.extend([33, 0x20, 34, 0x20, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 4]);
    message
}

fn arp() -> Vec<u8> {
    vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 10, 9, 0, 2]
}

impl Bench {
    /// Opens the screen once, lets the capture begin and the frames come, and goes back.
    pub fn begin_packets(&mut self) {
        self.keys("3");
        self.event(Event::Capture { generation: 1, news: CaptureNews::Started("veth0".to_owned()) });
        self.captured(frames());
        self.keys("1");
        self.asked.clear();
    }

    fn captured(&mut self, frames: Vec<Frame>) {
        self.event(Event::Frames { generation: 1, batch: Batch { frames, ..Batch::default() } });
    }

    fn capture_says(&mut self, batch: Batch) {
        self.event(Event::Frames { generation: 1, batch });
    }
}

fn busy() -> Bench {
    let mut bench = Bench::with(busy_kernel, |_| {}).sized(200, 50);
    bench.begin_packets();
    bench.keys("3");
    bench
}

/// On a kernel with [`gcm_sa`] alone.
fn with_gcm() -> Bench {
    let mut bench = Bench::with(|kernel| kernel.put_sa(Sa::from_spec(&gcm_sa(), START - 9)), |_| {}).sized(200, 50);
    bench.begin_packets();
    bench.keys("3");
    bench
}

#[test]
fn capture_begins_when_somebody_wants_to_see_packets_and_only_once() {
    let mut bench = Bench::with(|_| {}, |setting| setting.interface = Some("eth1".to_owned()));
    bench.keys("24");
    assert_eq!(bench.asked, []);
    bench.keys("3").sees("The capture begins");
    bench.keys("13");
    assert_eq!(bench.asked, [Command::Capture { interface: Some("eth1".to_owned()), filter: None, generation: 1 }]);
}

#[test]
fn a_frame_is_tied_to_its_sas_or_said_to_have_none() {
    let mut bench = busy();
    let row = bench.line("AH/ESP");
    assert!(row.contains("16:21:42.123"), "{row}");
    assert!(row.contains("out 10.9.0.1"), "{row}");
    assert!(row.contains("0x3e8/0x3e9"), "{row}");
    assert!(row.contains("BAD ICV"), "these bytes were made up: {row}");
    assert!(row.contains("AH: hmac-md5-96; ESP: 3des-cbc hmac-sha1-96"), "{row}");
    assert!(bench.line("0x0000dead").contains("NO SA"));
    assert!(bench.line("UDP/ESP").contains("3des-cbc hmac-sha1-96"));
    bench.sees("41000 > 7777, 11 bytes").sees("who has 10.9.0.2? tell 10.9.0.1").sees("IKEv2 IKE_SA_INIT response 0");
}

#[test]
fn an_sa_that_came_later_is_not_the_frames_and_one_that_went_is_said_to_be_gone() {
    let mut bench = Bench::new().sized(200, 50);
    bench.begin_packets();
    bench.keys("3");
    assert!(bench.line("AH/ESP").contains("AH: no SA; ESP: no SA"));
    for sa in article_sas() {
        bench.kernel.put_sa(sa);
    }
    bench.kernel.say(&espial::model::KernelEvent::Lost);
    bench.seconds(3);
    bench.sees("SAs 4");
    assert!(bench.line("AH/ESP").contains("AH: no SA; ESP: no SA"), "what was not there then is not there now");
    bench.captured(frames());
    bench.sees("AH: hmac-md5-96; ESP: 3des-cbc hmac-sha1-96");
    bench.keys("1Fy3").sees("AH: hmac-md5-96 (gone); ESP: 3des-cbc");
}

#[test]
fn the_bytes_of_the_selected_frame_are_shown() {
    let mut bench = busy();
    bench.keys("gjjj").sees("68 65 6c 6c 6f 20").sees("hello");
    bench.keys("<enter>").sees("IPv4").sees("ttl 64").sees("0030").keys("<esc>");
    bench.sees("Packets 7");
}

#[test]
fn a_filter_uses_tcpdumps_words_and_says_what_it_does_not_understand() {
    let mut bench = busy();
    bench.keys("/udp port 7777").sees("Packets 1 of 7").keys("<enter>").sees("with: udp port 7777");
    bench.keys("/ and arq").sees("column 19: expected a condition").sees("Packets 1 of 7");
    bench.keys("<enter>").sees("found \"arq\"").keys("<esc>").sees("with: udp port 7777");
    bench.captured(frames());
    bench.sees("Packets 2 of 14");
    bench.keys("<esc>").sees("Packets 14 on veth0");
    bench.keys("/spi 0xdead or ike<enter>").sees("Packets 4 of 14");
    bench.keys("/<ctrl-u>tcp<enter>").sees("No packet fits the filter");
}

#[test]
fn a_frozen_list_stands_still_and_what_comes_meanwhile_is_not_lost() {
    let mut bench = busy();
    bench.keys(" ").sees("FROZEN, 0 since: Packets 7 on veth0").sees("Space go on");
    bench.captured(frames());
    bench.sees("FROZEN, 7 since: Packets 7 on veth0; in all 2 CLEAR !");
    bench.seconds(1);
    bench.keys("4").sees("against a policy").keys("3G<enter>").sees("Packet 7:").keys("n").sees("newest packet of the");
    bench
        .keys("<esc>/udp<enter>")
        .sees("FROZEN, 7 since: Packets 3 of 14 on veth0; in all 2 CLEAR !")
        .sees(", with: udp")
        .keys("<esc>");
    bench.keys(" ").sees("Packets 14 on veth0").misses("FROZEN").sees("Space freeze");
    bench.captured(frames());
    bench.sees("Packets 21 on veth0");
    bench.keys(" x").sees("FROZEN, 0 since: Packets 0").captured(frames());
    bench.sees("FROZEN, 7 since: Packets 0").sees("Space goes on");
    bench.keys(" ").sees("Packets 7 on veth0");
}

#[test]
fn a_long_filter_hides_neither_the_alarm_nor_that_there_is_a_recording() {
    let mut bench = busy().sized(80, 24);
    bench.keys("/udp and not (host 10.9.9.9 or host 10.9.9.8)<enter>:record /tmp/x.pcapng<enter>");
    bench.sees("Packets 3 of 7 on veth0; in all 1 CLEAR !, 4 undecided, RECORDING 0 in /tmp");
}

#[test]
fn in_a_narrow_window_what_is_in_clear_is_said_first() {
    let mut bench = busy().sized(80, 24);
    bench.state.packets.judge.totals.all = Sums { protected: 4512, weak: 3, clear: 12, forbidden: 2, undecided: 1 };
    bench.keys(" ").sees("FROZEN, 0 since: Packets 7 on veth0; in all 2 CLEAR !, 3 WEAK !, 12 clear");
}

#[test]
fn a_packet_that_goes_on_below_says_so_in_a_narrow_window() {
    let mut bench = busy().sized(80, 16);
    bench.keys("3k<enter>").sees("Packet 6: 2026-11-23 16:21:42").sees("more below: j").keys("G");
    bench.sees("Packet 6: 2026").sees("the end of").misses("more below");
}

#[test]
fn a_freeze_takes_nothing_from_a_recording() {
    let mut bench = busy();
    bench.keys("/udp<enter>:record /tmp/x.pcapng<enter> ");
    bench.captured(frames());
    bench.sees("FROZEN").event(Event::Recorder(RecorderNews::Written));
    let Some(Command::Record(Record::Write(written))) = bench.asked.last() else { panic!("{:?}", bench.asked) };
    assert_eq!(written.len(), 6, "three from before, three of those that came meanwhile");
}

#[test]
fn the_newest_is_followed_until_one_looks_back() {
    let mut bench = busy();
    assert!(bench.line(">16:").contains("IKE"));
    bench.keys("k").sees("not following");
    bench.captured(frames());
    assert!(bench.line(">16:").contains("UDP/ESP"));
    bench.keys("f");
    assert!(bench.line(">16:").contains("IKE"));
}

#[test]
fn what_was_dropped_is_shown_and_told() {
    let mut bench = busy();
    bench.capture_says(Batch { dropped: 1234, ..Batch::default() });
    bench.sees("1.23k DROPPED by capture").seconds(1);
    bench.keys("4").sees("1234 frames came too fast");
}

#[test]
fn an_interface_that_goes_down_is_said_to_and_comes_back() {
    let mut bench = busy();
    bench.capture_says(Batch { link: Some(LinkState::Down), ..Batch::default() });
    bench.sees("on veth0, which is DOWN");
    bench.capture_says(Batch { link: Some(LinkState::Up), ..Batch::default() });
    bench.misses("DOWN").keys("4").sees("veth0 is down or gone").sees("veth0 is back");
}

#[test]
fn the_interface_is_chosen_from_a_list_or_by_name() {
    let mut bench = busy();
    bench.keys("i").sees("Take packets from").sees("10.9.0.1 fd00:9::1").sees("down");
    bench.keys("j<enter>");
    bench.keys(":interface l<tab><enter>");
    bench.keys(":interface nope<enter>").sees("there is no interface \"nope\"; there are lo, veth0, spare");
    let capture =
        |name: &str, generation| Command::Capture { interface: Some(name.to_owned()), filter: None, generation };
    assert_eq!(bench.asked, [capture("spare", 2), capture("lo", 3)]);
    bench.captured(frames());
    bench.sees("Packets 7").misses("Packets 14");
    let news = CaptureNews::Failed("capturing on lo: opening a packet socket: EPERM".to_owned());
    bench.event(Event::Capture { generation: 2, news: news.clone() });
    bench.keys("x").sees("The capture begins").sees("packets forgotten");
    bench.event(Event::Capture { generation: 3, news });
    bench.sees("No packets: capturing on lo: opening a packet socket: EPERM.");
}

#[test]
fn plain_packets_can_be_left_to_the_kernel_and_the_title_says_so() {
    let mut bench = busy();
    bench.keys(":capture host 10.9.0.7<enter>").sees("plain ones only with: host 10.9.0.7");
    let Some(Command::Capture { filter: Some(filter), generation: 2, .. }) = bench.asked.last() else {
        panic!("{:?}", bench.asked)
    };
    assert!(filter.for_kernel().is_some());
    bench.keys(":capture nonsense<enter>").sees("column 1: expected a condition").sees("only with: host 10.9.0.7");
    bench.keys(":capture<enter>").misses("plain ones only");
    bench.keys("i").sees("any").sees("all of them");
}

#[test]
fn of_plain_packets_only_those_that_fit_are_listed_whatever_the_kernel_can_decide() {
    for (only, listed) in [("text \"hello world\"", 6), ("verdict clear!", 6), ("udp port 9", 5), ("arp or udp", 7)] {
        let mut bench = busy();
        bench.keys(&format!("x:capture {only}<enter>"));
        bench.event(Event::Frames { generation: 2, batch: Batch { frames: frames(), ..Batch::default() } });
        bench.sees(&format!("Packets {listed}, plain ones only with: {only}"));
    }
}

#[test]
fn where_packets_come_from_everywhere_each_says_from_where() {
    let mut bench = busy();
    bench.misses("out veth0");
    bench.keys(":interface any<enter>");
    bench.event(Event::Capture { generation: 2, news: CaptureNews::Started("any".to_owned()) });
    let on_lo = Frame { interface: "lo".into(), ..frame(Direction::In, 0x0806, &arp()) };
    bench.event(Event::Frames { generation: 2, batch: Batch { frames: vec![on_lo], ..Batch::default() } });
    bench.sees("on any").sees("out veth0").sees("in lo");
}

#[test]
fn a_check_lifts_the_filter_of_the_capture_for_it_must_see_what_is_plain() {
    let mut bench = busy();
    bench.keys(":capture udp port 9<enter>").keys("gjjjc<enter>").sees("Is the traffic with 10.9.0.2 encrypted?");
    let Some(Command::Capture { filter: None, generation: 3, .. }) = bench.asked.last() else {
        panic!("{:?}", bench.asked)
    };
    bench.event(Event::Frames { generation: 3, batch: Batch { frames: frames(), ..Batch::default() } });
    bench.sees("IN CLEAR: 1 frame with 10.9.0.2 can be read").keys("<esc>").misses("plain ones only");
}

#[test]
fn a_frame_in_clear_against_a_policy_is_an_alarm_with_the_policy() {
    let mut bench = busy();
    bench.sees("1 CLEAR !").seconds(1);
    bench.keys("4").sees("ALARM against a policy: CLEAR ! UDP 10.9.0.1 > 10.9.0.2 41000 > 7777, 11 bytes");
    bench.sees("protection: out 10.9.0.1/32 10.9.0.2/32");
    bench.keys("3/verdict clear!<enter>").sees("Packets 1 of 7").sees("because");
    bench.keys("/<ctrl-u>text \"hello world\"<enter>").sees("Packets 1 of 7");
    bench.keys("x<esc>").misses("CLEAR !");
}

#[test]
fn a_frame_that_came_before_the_news_of_its_sa_is_judged_again() {
    let mut bench = Bench::new().sized(200, 50);
    bench.begin_packets();
    bench.keys("3/esp<enter>").sees("NO SA");
    for sa in article_sas() {
        bench.kernel.add_sa(&sa.to_spec()).unwrap();
    }
    bench.settle();
    assert!(bench.line("AH/ESP").contains("BAD ICV"), "made up bytes, but of a known SA");
    bench.sees("NO SA").sees("0x0000dead");
}

#[test]
fn where_the_kernel_may_not_be_read_nobody_says_that_there_is_no_policy() {
    let mut bench = Bench::new().sized(200, 50);
    bench.state = State::new(Setting::default(), Clock::utc(), bench.now);
    let cause = Cause::Refused { errno: libc::EPERM, text: None };
    bench.event(Event::KernelSilent(KernelError { operation: Operation::ListSas, cause }));
    bench.begin_packets();
    bench.keys("3gjjj").sees("CLEAR").sees("without policies nobody knows whether that is allowed");
}

#[test]
fn a_check_watches_the_peer_of_the_row_and_ends_in_a_word() {
    let mut bench = busy();
    bench.keys("gjjjc").sees("Is the traffic with a peer").sees("[ Watch ]").keys("<enter>");
    bench.sees("Is the traffic with 10.9.0.2 encrypted?").sees("watching veth0 for 10 more seconds; 0 frames");
    bench.captured(frames());
    bench.sees("IN CLEAR: 1 frame with 10.9.0.2 can be read; the first: 16:21:42.123 10.9.0.1 > 10.9.0.2 CLEAR ! UDP");
    bench.sees("The first that can be read on the wire: 16:21:42.123 out, 53 bytes").sees("world");
    bench.misses("Watched was").seconds(10);
    bench.misses("watching").sees("Watched was veth0; what leaves by another interface was not seen");
    bench.captured(frames());
    bench.sees("IN CLEAR: 1 frame").keys("<esc>").misses("Is the traffic");
    bench.keys("1c<enter>").sees("Is the traffic with 10.9.0.2").seconds(10);
    bench.sees("UNDECIDED: nothing was seen of 10.9.0.2");
    bench.capture_says(Batch { link: Some(LinkState::Down), ..Batch::default() });
    bench.sees("interface veth0 is down or gone: no packets until it is back").keys("<esc>");
    bench.keys("4c").misses("Is the traffic");
}

#[test]
fn on_the_smallest_screen_the_field_that_is_typed_into_is_seen() {
    let mut bench = Bench::with(busy_kernel, |_| ()).sized(40, 10);
    bench.keys("1gc<tab>");
    for field in ["> Peer", "> Text", "> Send it", "> Seconds"] {
        bench.sees(field).keys("<tab>");
    }
    bench.sees("[ Watch ]");
}

#[test]
fn a_check_with_a_text_shows_the_first_frame_that_has_it_inside_and_marks_it_in_both_columns() {
    let mut bench = with_gcm();
    bench.keys("x1gc<backtab><backtab><backtab>hello world<ctrl-s>").sees("Is the traffic with 10.9.0.2 encrypted?");
    bench.captured(vec![sealed(1, b"something else"), sealed(2, b"say hello world"), sealed(3, b"hello world")]);
    bench.sees("ENCRYPTED: 3 frames with 10.9.0.2 encrypted and authentic, none in clear; \"hello world\" was nowhere");
    bench.sees("on the wire, and after decryption in 2").sees("The first with the text inside: 16:21:42.123 out");
    bench.sees("decrypted").sees("say hell");
    assert!(bench.is_selected("|hell|") && bench.is_selected("|68 65 6c 6c|"), "{}", bench.screen());
    bench.keys("<esc>c").sees("hello world").keys("<enter>");
    bench.captured(frames());
    bench.sees("The first with the text on the wire");
}

#[test]
fn the_line_above_the_bytes_of_a_check_is_whole_on_a_narrow_screen() {
    let mut bench = with_gcm().sized(80, 24);
    bench.keys("x1gc<enter>").captured(vec![sealed(1, &[b'x'; 80])]);
    bench.sees("The first encrypted one, with what was inside: 16:21:42.123 out, 158 bytes");
}

#[test]
fn a_check_sends_something_every_second_if_it_is_asked_to() {
    let mut bench = Bench::with(busy_kernel, |setting| setting.read_only = true).sized(80, 24);
    bench.keys("gc<tab><tab><tab><left><tab>7777<tab>2<tab>").sees("[ Watch ]").keys("<enter>").seconds(3);
    let probe = Command::Probe {
        ends: ProbeEnds { from: None, to: "10.9.0.2".parse().unwrap() },
        probe: Probe::Udp(7777),
        text: espial::capture::PROBE_TEXT.to_owned(),
    };
    let sent = bench.asked.iter().filter(|asked| **asked == probe).count();
    assert_eq!(sent, 2, "{:?}", bench.asked);
    bench.keys("<esc>c<enter>").event(Event::ProbeFailed("Network is unreachable".to_owned()));
    bench.sees("nothing can be sent to 10.9.0.2: Network is unreachable").seconds(1);
    let sent = bench.asked.iter().filter(|asked| **asked == probe).count();
    assert_eq!(sent, 3, "only at its beginning");
}

#[test]
fn a_check_can_begin_where_a_row_names_no_single_peer_and_among_the_peers() {
    let mut bench = busy();
    let between = |direction| {
        let networks = Selector::between("10.1.0.0/16".parse().unwrap(), "10.9.0.0/24".parse().unwrap());
        let mut spec = PolicySpec::new(direction, networks);
        let nowhere = [0, 0, 0, 0].into();
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, nowhere, nowhere));
        spec
    };
    bench.kernel.add_policy(&between(PolicyDirection::Out)).unwrap();
    bench.kernel.add_policy(&between(PolicyDirection::In)).unwrap();
    bench.settle();
    bench.keys("2/out 10.1.0.0/16<enter>gc").sees("Peer               10.9.0.2").keys("<enter>");
    bench.sees("Is the traffic with 10.9.0.2 encrypted?").keys("<esc>");
    bench.keys("/<ctrl-u>in 10.1.0.0/16<enter>gc").sees("> Peer").keys("10.1.0.7<ctrl-s>");
    bench.sees("Is the traffic with 10.1.0.7 encrypted?").keys("<esc>");
    bench
        .keys("3Pc")
        .sees("Peer               10.9.0.2")
        .keys("<enter>")
        .sees("Is the traffic with 10.9.0.2 encrypted?");
    bench.keys("<esc>").sees("Frames with each peer");
}

#[test]
fn a_check_on_a_tunnel_is_about_the_networks_behind_it() {
    let mut bench = busy();
    let question = "Is the traffic between 10.1.0.0/24 and 10.2.0.0/24 encrypted?";
    // The policy says it, and of the SA the policy that it answers.
    for keys in ["2/10.2.0.0<enter>gc", "1/c0ffee01<enter>gc"] {
        bench.keys(keys).sees("Peer               10.2.0.0/24").sees("Own side           10.1.0.0/24");
        bench.keys("<enter>").sees(question).keys("<esc>");
    }
    // A second policy of the same tunnel.
    let networks = Selector::between("10.1.0.0/24".parse().unwrap(), "10.3.0.0/24".parse().unwrap());
    let (here, there) = ("fd00:9::1".parse().unwrap(), "fd00:9::2".parse().unwrap());
    let mut spec = PolicySpec::new(PolicyDirection::Out, networks);
    (spec.priority, spec.templates) = (9, vec![Template::new(IpsecProtocol::Esp, Mode::Tunnel, here, there)]);
    bench.kernel.add_policy(&spec).unwrap();
    bench.settle();
    bench.keys("c").sees("Peer               10.2.0.0/24").sees("several policies use this SA").keys("<esc>");
    // What is sent goes to a host there, from an address of one's own network.
    bench.keys("c<backtab><backtab><left>").sees("To host").keys("<tab>10.2.0.7<ctrl-s>").sees(question).seconds(1);
    bench.sees("nothing can be sent to 10.2.0.7: this host has no address in 10.1.0.0/24");
    assert!(!bench.asked.iter().any(|asked| matches!(asked, Command::Probe { .. })), "{:?}", bench.asked);
    // Between two hosts behind the gateways the inner side is in clear as well.
    let hosts = Selector::between("10.1.0.7".parse().unwrap(), "10.4.0.7".parse().unwrap());
    bench.kernel.add_policy(&PolicySpec { selector: hosts, ..spec }).unwrap();
    bench.settle();
    bench
        .keys("<esc>2/<ctrl-u>10.4.0.7<enter>gc")
        .sees("Peer               10.4.0.7")
        .sees("Own side           10.1.0.7");
    bench.keys("<esc>1");
    // An SA in transport mode is between hosts, and the host of another check is forgotten.
    bench.keys("/<ctrl-u>0x000003e9<enter>gc").sees("Peer               10.9.0.2").misses("Own side");
}

#[test]
fn a_check_waits_a_second_for_the_rest_of_a_packet_and_calls_it_undecided_then() {
    let part = |offset: u16, bytes: &[u8]| {
        let mut packet = ipv4(50, bytes);
        packet[6..8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
        frame(Direction::Out, 0x0800, &packet)
    };
    let mut bench = with_gcm();
    bench.keys("x1gc<enter>").sees("Is the traffic with 10.9.0.2 encrypted?");
    bench.captured(vec![sealed(1, b"whole"), part(0, &esp(0x5000, 2, 40))]);
    bench.sees("ENCRYPTED: 1 frame with 10.9.0.2").seconds(10);
    bench.sees("watching veth0 for 1 more seconds").seconds(1);
    bench.misses("watching");
    bench.sees(
        "UNDECIDED: of 1 frame with 10.9.0.2 nothing can be said; the first: 16:21:42.123 10.9.0.1 > 10.9.0.2 PART",
    );
    bench.sees("Next: parts of packets are missing");
    // A packet that was on its way when the check began is not missing.
    bench.keys("<esc>x1gc<enter>");
    bench.captured(vec![sealed(3, b"whole"), part(0xb9, &esp(0x5000, 4, 40))]);
    bench.seconds(11);
    bench.sees("ENCRYPTED: 1 frame with 10.9.0.2").misses("watching");
}

#[test]
fn a_check_that_was_not_shown_every_frame_does_not_call_the_traffic_encrypted() {
    let mut bench = with_gcm();
    bench.keys("x1gc<enter>");
    bench.captured(vec![sealed(1, b"whole")]);
    bench.sees("ENCRYPTED: 1 frame").capture_says(Batch { dropped: 1234, ..Batch::default() });
    bench.sees("UNDECIDED: 1 frame with 10.9.0.2 encrypted and none in clear, but 1234 frames came too fast");
}

#[test]
fn from_a_packet_to_its_sa_and_its_policy_and_back() {
    let mut bench = busy();
    bench.keys("gjs").sees("Its SAs, the outermost first").sees("> ah 0x000003e8 to 10.9.0.2  hmac-md5-96");
    bench.keys("<enter>").sees("SA ah 0x000003e8 to 10.9.0.2").keys("<esc>");
    bench.keys("sj<enter>").sees("SA esp 0x000003e9 to 10.9.0.2");
    bench.keys("3jj").sees("Packet 4").keys("p").sees("Policy out 10.9.0.1/32 10.9.0.2/32");
    bench.keys("3").sees("Packet 4").keys("s").sees("names no SA that is there");
    bench.keys("gp").sees("no policy decided");
    bench.keys("j=").sees("with: spi 0x3e8 and dst 10.9.0.2").sees("Packets 1 of 7");
}

#[test]
fn a_step_back_leads_to_the_packet_again() {
    let mut bench = busy();
    bench.keys("gj<enter>s<enter>").sees("SA ah 0x000003e8 to 10.9.0.2").keys("<esc>").sees("Packet 2:");
    bench.keys("s<enter>1<esc>").misses("Packet 2:").sees("SAs 7");
}

#[test]
fn from_a_layer_of_a_packet_to_the_sa_that_it_is_of() {
    let mut bench = busy();
    bench.keys("gj<enter><tab><tab><tab>").sees(">AH").keys("s").sees("SA ah 0x000003e8 to 10.9.0.2");
    bench.keys("<esc><enter><tab><tab><tab><tab>").sees(">ESP").keys("s").sees("SA esp 0x000003e9 to 10.9.0.2");
    bench.keys("<esc><enter><tab>").sees(">Ethernet").keys("s").sees("Its SAs").keys("<esc>").sees(">Ethernet");
    bench.kernel.add_sa(&gcm_sa()).unwrap();
    bench.settle();
    bench.captured(vec![sealed(1, b"hello world")]);
    bench
        .keys("<esc><esc>G<enter><backtab>")
        .sees("decrypted from ESP")
        .keys("s")
        .sees("SA esp 0x00005000 to 10.9.0.2");
}

#[test]
fn a_text_is_looked_for_on_the_wire_and_decrypted_and_marked_in_both_columns() {
    let mut bench = with_gcm();
    let found = sealed(2, b"hello world");
    bench.captured(vec![sealed(1, b"something else"), found.clone()]);
    bench.keys("g<enter>thello<enter>").sees("Packet 4:").keys("]").sees("Packet 9:").sees("decrypted");
    assert!(bench.is_selected("|hello|") && bench.is_selected("|68 65 6c 6c 6f|"), "{}", bench.screen());
    // Behind Ethernet, IP, ESP, the IV and UDP.
    let hides: Vec<String> = found.bytes[58..63].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(bench.is_selected(&format!("|{}|", hides.join(" "))), "{}", bench.screen());
    bench.keys("]").sees("no newer packet of the list has \"hello\"").keys("[").sees("Packet 4:");
    bench.keys("[").sees("no older packet").keys("<esc>").sees("marking \"hello\"");
    bench.keys("<esc>").misses("marking").keys("]").sees("t does that");
    bench.keys("t<enter>").misses("marking").misses("no packet");
    // Who follows the newest finds what came before, and is told where there is nothing.
    bench.captured(vec![sealed(3, b"the newest")]);
    bench.keys("f").sees("Packet 10:").keys("thello<enter>").sees("Packet 9:");
    bench.keys("t<ctrl-u>never said<enter>").sees("no packet of the list has \"never said\"").sees("Packet 9:");
}

#[test]
fn a_text_in_any_message_of_a_tcp_segment_is_found_and_marked() {
    let mut bench = with_gcm();
    let messages = [sealed(1, b"hello world"), sealed(2, b"something else")].map(|frame| frame.bytes.slice(34..));
    let mut segment = vec![0x11, 0x94, 0x11, 0x94, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0];
    for message in &messages {
        segment.extend(u16::try_from(2 + message.len()).unwrap().to_be_bytes());
        segment.extend(message);
    }
    bench.captured(vec![frame(Direction::Out, 0x0800, &ipv4(6, &segment))]);
    bench.keys("g<enter>thello<enter>").sees("Packet 4:").keys("]").sees("Packet 8:").sees("decrypted");
    // Behind Ethernet, IP, TCP, the length, ESP, the IV and UDP.
    let hides: Vec<String> = messages[0][24..29].iter().map(|byte| format!("{byte:02x}")).collect();
    for marked in ["|hello|", "|68 65 6c 6c 6f|", &format!("|{}|", hides.join(" "))] {
        assert!(bench.is_selected(marked), "{marked}: {}", bench.screen());
    }
    // Each message beside what was in it, the last one first.
    bench.keys("<tab><tab><tab><tab><tab><tab><tab>").sees(">ESP").sees("somethin");
    bench.keys("<backtab><backtab>").sees(">ESP").sees("hello wo").misses("somethin");
}

#[test]
fn a_text_that_was_found_is_in_sight_where_little_of_the_packet_is() {
    let mut bench = with_gcm().sized(80, 24);
    bench.captured(vec![sealed(1, b"something else"), sealed(2, b"hello world")]);
    bench.keys("thello<enter>").sees("Packet 9:").sees("decrypted");
    assert!(bench.is_selected("|hello|"), "{}", bench.screen());
}

#[test]
fn beside_the_list_wire_and_plaintext_stand_in_two_columns() {
    let mut bench = with_gcm();
    bench.captured(vec![sealed(1, b"hello world")]);
    let heads = bench.line("on the wire");
    assert!(heads.contains("decrypted"), "{heads}");
    let mut bench = bench.sized(80, 24);
    let heads = bench.keys("<enter>").line("on the wire");
    assert!(heads.contains("decrypted"), "{heads}");
    bench.keys("<esc>c<enter>").captured(vec![sealed(2, b"hello world")]);
    let heads = bench.line("on the wire");
    assert!(heads.contains("decrypted"), "{heads}");
}

#[test]
fn nothing_is_watched_before_somebody_wants_it_and_the_events_say_so() {
    let mut bench = Bench::with(busy_kernel, |_| {});
    bench.keys("4").sees("packets are NOT WATCHED: 3 or :watch begins");
    bench.keys(":watch<enter>").sees("packets are taken from now on").misses("NOT WATCHED").sees("Events");
    assert!(matches!(bench.asked[..], [Command::Capture { generation: 1, .. }]), "{:?}", bench.asked);
    bench.event(Event::Capture { generation: 1, news: CaptureNews::Started("veth0".to_owned()) });
    bench.captured(frames());
    bench.seconds(1);
    bench.sees("ALARM against a policy").keys(":watch<enter>").sees("packets are taken already");
    let bench = Bench::with(busy_kernel, |setting| setting.capture_at_start = true);
    assert!(matches!(bench.asked[..], [Command::Capture { generation: 1, .. }]), "{:?}", bench.asked);
}

#[test]
fn an_sas_packets_are_one_key_away() {
    let mut bench = busy();
    bench.keys("1p").sees("with: spi 0x").sees("and dst 10.9.0.");
}

#[test]
fn one_goes_along_the_packets_of_an_sa_and_from_mark_to_mark() {
    let mut bench = busy();
    bench.captured(frames());
    bench.keys("gj>").sees("Packet 9:").keys(">").sees("no newer packet of ah 0x000003e8 to 10.9.0.2");
    bench.keys("<").sees("Packet 2:").keys("m");
    assert!(bench.line(">").contains(">*16:21:42.123 out 10.9.0.1"));
    bench.keys("GmkkM").sees("Packet 14:").keys("M").sees("Packet 2:").keys("mM").sees("Packet 14:");
    bench.keys("mM").sees("no packet of the list is marked");
}

#[test]
fn a_layers_bytes_are_marked_and_the_next_packet_is_one_key_away() {
    let mut bench = busy();
    bench.keys("gjjj<enter><tab><tab>").sees(">IPv4").sees("10.9.0.1 > 10.9.0.2, ttl 64");
    assert!(bench.is_selected("|45 00|") && bench.is_selected("|00 27 00 01") && !bench.is_selected("08 00"));
    bench.keys("<tab>");
    assert!(!bench.is_selected("45 00") && bench.is_selected("|a0 28 1e 61"));
    bench.keys("n").sees("Packet 5:").keys("N").sees("Packet 4:").sees(">UDP");
    bench.keys("?").sees("packet before").keys("?").misses("packet before").sees("Packet 4:").sees(">UDP");
    bench.keys("<esc>").misses(">UDP").sees("Packet 4:").keys("<esc>").sees("Packets 7");
    bench.keys("gj<enter>N").sees("Packet 1:").keys("N").sees("oldest packet of the list");
}

#[test]
fn what_is_listed_is_recorded_in_portions_and_what_comes_to_it() {
    let mut bench = busy();
    bench.keys("/udp<enter>:record /tmp/x.pcapng<enter>");
    let begun = Command::Record(Record::Begin { path: "/tmp/x.pcapng".to_owned(), with_keys: false });
    assert_eq!(bench.asked, [begun]);
    bench.sees("RECORDING 0 in /tmp/x.pcapng");
    bench.event(Event::Recorder(RecorderNews::Written));
    let Some(Command::Record(Record::Write(first))) = bench.asked.last().cloned() else { panic!("{:?}", bench.asked) };
    let comments: Vec<&str> = first.iter().map(|recorded| recorded.comment.as_str()).collect();
    assert_eq!(comments, ["CLEAR !", "BAD ICV", "IKE"]);
    assert!(first.iter().all(|recorded| recorded.keys.is_empty()));
    bench.captured(frames());
    assert_eq!(bench.asked.len(), 2, "one portion at a time");
    bench.event(Event::Recorder(RecorderNews::Written));
    bench.sees("RECORDING 3 in");
    bench.keys("w");
    assert!(matches!(bench.asked.last(), Some(Command::Record(Record::Write(next))) if next.len() == 3));
    bench.captured(frames());
    bench.event(Event::Recorder(RecorderNews::Written));
    assert_eq!(bench.asked.last(), Some(&Command::Record(Record::End)), "what came after the end is not written");
    bench.event(Event::Recorder(RecorderNews::Ended));
    bench.sees("recorded 6 packets in /tmp/x.pcapng").misses("RECORDING");
}

#[test]
fn a_recording_is_said_to_be_one_only_when_its_file_is_there() {
    let mut bench = busy();
    bench.keys(":record /nowhere/x.pcapng<enter>");
    bench.event(Event::Recorder(RecorderNews::Failed("No such file or directory".to_owned())));
    bench.keys("<esc>4").sees("recording in /nowhere/x.pcapng: No such file").misses("packets are recorded in");
    bench.keys(":record /tmp/x.pcapng<enter>");
    bench.event(Event::Recorder(RecorderNews::Written));
    bench.sees("the listed packets are recorded in /tmp/x.pcapng");
}

#[test]
fn the_keys_of_recorded_packets_go_with_them_only_where_they_are_asked_for_and_once() {
    let mut bench = busy();
    bench.keys("w").sees(":record espial-veth0-20261123-162143.pcapng").keys("<esc>");
    bench.keys("/esp<enter>:record-keys x<enter>");
    bench.event(Event::Recorder(RecorderNews::Written));
    let Some(Command::Record(Record::Write(portion))) = bench.asked.last() else { panic!("{:?}", bench.asked) };
    let rows: Vec<usize> = portion.iter().map(|recorded| recorded.keys.len()).collect();
    assert_eq!(rows, [2, 2, 0, 0], "AH around ESP, each way; no SA; an SA that is written already");
    let row = String::from_utf8(portion[0].keys[1].expose().to_vec()).unwrap();
    assert!(row.starts_with("\"IPv4\",\"10.9.0.1\",\"10.9.0.2\",\"0x000003e9\",\"TripleDES-CBC [RFC2451]\""), "{row}");
    assert!(!format!("{portion:?}").contains("TripleDES"), "not in a log");
    bench.event(Event::Recorder(RecorderNews::Failed("No space left on device".to_owned())));
    bench.sees("recording in x: No space left on device").misses("RECORDING");
}

#[test]
fn the_sums_of_each_peer() {
    let mut bench = busy();
    bench.keys("P").sees("Frames with each peer");
    let line = bench.line("10.9.0.2     ");
    assert_eq!(
        line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect::<Vec<_>>(),
        ["0", "0", "0", "1", "4"]
    );
    assert!(line.trim_end_matches([' ', '│']).ends_with('?'), "whose frames were dropped nobody knows: {line}");
    bench.capture_says(Batch { dropped: 1234, ..Batch::default() });
    let all: Vec<String> = bench.line("overall").split_whitespace().map(str::to_owned).collect();
    assert_eq!(all[all.len() - 6..all.len() - 1], ["0", "0", "1", "4", "1234"]);
    bench.keys("<esc>").misses("Frames with each peer");
}
