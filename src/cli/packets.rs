//! `espial packets`: frames without a screen.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;

use super::line::{Lines, push_hex};
use super::observer::{Dissected, Observer, Place, Portion};
use super::secret_file;
use super::signals::end_on_signals;
use crate::capture::{Frame, Recorder};
use crate::console::state::packets::{fits, sight};
use crate::dialect::esp_sa::Lacking;
use crate::dialect::key_file::{KeyRow, key_file};
use crate::evidence::{Evidence, Judge, Known, Looked, Sums, Verdict};
use crate::model::Secret;
use crate::packet::{Dissection, Filter, Header, Summary};

/// Show packets as they come, with what each proves
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// Read a pcap or pcapng file instead of an interface; - reads standard input
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Keys, of live packets beside the kernel's, of a file's instead of them: a setkey script, the output of
    /// `ip xfrm state`, or Wireshark's table of ESP SAs; - reads standard input
    #[arg(short, long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Record the packets that fit in a pcapng file, each with its verdict as a comment; a FIFO that is
    /// there is written into, for whoever reads it
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write the keys of the recorded packets' SAs into `FILE.esp_sa`, for Wireshark's table of ESP SAs
    #[arg(long, requires = "write")]
    write_keys: bool,
    /// Stop after so many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One JSON object for each packet
    #[arg(long)]
    json: bool,
    /// Say below each packet why, what was inside, and what keeps from looking deeper
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
    /// Only packets that fit, in tcpdump's words: esp, host 10.9.0.2, udp port 4500, and, or, not; and spi 0x1001,
    /// verdict clear!, text "hello world"
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

const HELP: &str = "\
Filter words: esp, ah, ipcomp, ipsec (any of these), ike, tcp, udp, sctp, icmp, icmp6, arp, ip, ip6, gre; host, net, \
port, portrange, each behind src, dst, src or dst, src and dst, or none of these; net 10.9.0 and net 10.9.0.0 mask \
255.255.255.0; port http; proto N, ip proto N, ip6 proto N; broadcast, multicast, ip multicast; ether host MAC; vlan \
[N], less N, greater N, in, out, fragment; spi N, peer ADDRESS, verdict WORD (ok, bad, nosa, nokey, unproven, \
refused, replay, \
old, gap, part, weak!, clear!, clear, copy, ike, other), text WORDS (on the wire or decrypted). They are joined by and, or, \
not and brackets (which a shell wants quoted): not binds closest, and and or bind alike and from left to right, as in \
tcpdump, so udp or tcp and port 80 is (udp or tcp) and port 80. In udp port 53 or 123 and udp port (53 or 123) the last \
value has the words of the first. They are looked for in every layer that can be read on the wire, and with the last \
part of a packet in the whole of it. Options may stand behind them.\n\n\
Verdicts: ESP ok, AH ok, ESP+AH ok (authentic), BAD ICV, NO SA, NO KEY, UNPROVEN, REFUSED (by its receiver, \
in spite of its ICV), REPLAY, OLD, GAP n, PART \
(of a packet, judged with the frame that completes it), WEAK \
! (a policy demands more protection), CLEAR ! (a policy demands protection), CLEAR (allowed), COPY (the kernel shows a tunnel's packet again after \
decryption), IKE, OTHER.\n\n\
JSON, an object in a line: schema (1), no, time (seconds since the Unix epoch, to the nanosecond), interface, direction (in, \
out or null), length, layers (names), source, destination, spi (hex text, outermost), sequence, sa (a list \
of {protocol, spi, destination, encryption, authentication}), verdict, reasons (sentences), policy, inner \
(what could be decrypted: {protocol, info, source, destination, source_port, destination_port, \
payload_hex}; of packets in one another the innermost, of several messages in TCP the last one's). What there is not is \
null.";

const SCHEMA: u32 = 1;

/// Shows packets until it is stopped.
///
/// # Errors
/// When the filter cannot be understood, or nothing can be captured.
pub fn run(arguments: &Arguments, place: &Place) -> anyhow::Result<ExitCode> {
    refuse(arguments)?;
    let words: Vec<&str> = arguments.filter.iter().map(String::as_str).collect();
    let filter = Filter::parse_arguments(&words).with_context(|| format!("the filter {:?}", words.join(" ")))?;
    let keys = arguments.keys.as_deref().map(read_keys).transpose()?;
    // Who waits for a file can be killed at once.
    let ends = if arguments.read.is_none() { end_on_signals()? } else { Arc::default() };
    let mut observer = if let Some(path) = &arguments.read {
        Observer::read(path, !arguments.json)?
    } else {
        let (observer, complaint) = Observer::open(place, filter.as_ref())?;
        if let Some(complaint) = complaint {
            writeln!(io::stderr(), "espial: {complaint}")?;
        }
        if place.interface.is_none() {
            // What crosses another one is not seen.
            let interface = observer.interface();
            writeln!(io::stderr(), "espial: watching {interface} (-i names another interface, or any for all)")?;
        }
        observer
    };
    let has_keys = keys.is_some();
    observer.add_keys(keys.unwrap_or_default());
    let recorder = |path: &PathBuf| {
        Recorder::create_with(path, arguments.write_keys).with_context(|| format!("recording in {}", path.display()))
    };
    let (mut recorder, key_table) = arguments.write.as_ref().map(recorder).transpose()?.unzip();
    let mut key_table = key_table.flatten();
    let mut lacking = Lacking::default();
    let mut keys_written = HashSet::new();
    let mut lines = Lines::new(observer.is_everywhere());
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut number = 0;
    let mut told = 0;
    // Packets of a file whose SAs nobody told of.
    let mut unexplained = 0_u64;
    let (mut portion, mut text) = (Portion::default(), Vec::new());
    'all: while !ends.load(Ordering::Relaxed) {
        observer.next(&mut portion, Duration::from_millis(200))?;
        if portion.frames.is_empty() && observer.is_file() {
            break;
        }
        for dissected in &mut portion.frames {
            number += 1;
            let evidence = observer.judge(dissected);
            let Dissected { frame, dissection, line } = dissected;
            let judge = &observer.judge;
            unexplained += u64::from(evidence.verdict == Verdict::NoSa);
            if filter.as_ref().is_none_or(|filter| fits(filter, frame, &evidence, dissection, judge)) {
                if let Some(recorder) = &mut recorder {
                    recorder.record(frame, &evidence.verdict.to_string())?;
                }
                if let Some(table) = &mut key_table {
                    let sas = judge.memory.named_first(&evidence, dissection, &mut keys_written);
                    let rows: Vec<Secret> = sas.iter().map(|(sa, high)| lacking.line(sa, *high)).collect();
                    table.add(&rows)?;
                }
                if arguments.json {
                    print_json(&mut out, &PacketJson::of(number, frame, dissection, &evidence, judge))?;
                } else if let Some(line) = line.take() {
                    line.write(&mut portion.lines, evidence.verdict, note(&evidence), &mut out)?;
                } else {
                    text.clear();
                    let line = lines.add(&mut text, frame, dissection);
                    line.write(&mut text, evidence.verdict, note(&evidence), &mut out)?;
                }
                if arguments.verbose {
                    let looked = judge.look_into_all(sight(frame), dissection, &evidence);
                    write_below(&mut out, &evidence, &looked)?;
                }
                told += 1;
                if arguments.count.is_some_and(|count| told >= count) {
                    break 'all;
                }
            }
        }
        out.flush()?;
        if let Some(recorder) = &mut recorder {
            recorder.flush()?;
        }
        if let Some(words) = observer.take_link_words() {
            writeln!(io::stderr(), "espial: {words}")?;
        }
        if observer.dropped > 0 {
            let dropped = std::mem::take(&mut observer.dropped);
            writeln!(io::stderr(), "espial: {dropped} frames came too fast and were dropped by the capture")?;
        }
    }
    let ended = finish(out, recorder.as_mut(), &lacking)?;
    if !observer.is_file() {
        writeln!(io::stderr(), "espial: {}", last_words(number, told, observer.judge.totals.all))?;
    }
    if unexplained > 0 && !has_keys && observer.is_file() {
        writeln!(
            io::stderr(),
            "espial: no keys were given (--keys FILE) for {unexplained} protected packets; without them what came out of a \
             tunnel looks like a packet in clear"
        )?;
    }
    Ok(ended)
}

/// Who reads "ok" must not take it for more than it is.
fn note(evidence: &Evidence) -> &'static str {
    if evidence.is_esp_in_clear() { ", NOT ENCRYPTED" } else { "" }
}

/// Why a packet proves what it does, and what was inside of it.
fn write_below(out: &mut impl Write, evidence: &Evidence, looked: &Looked) -> io::Result<()> {
    for reason in &evidence.reasons {
        writeln!(out, "    {reason}")?;
    }
    for inside in &looked.insides {
        let Summary { source, destination, protocol, info, .. } = inside.summary();
        write!(out, "    inside: ")?;
        if let (Some(source), Some(destination)) = (source, destination) {
            write!(out, "{source} > {destination} ")?;
        }
        let joint = if info.is_empty() { "" } else { ": " };
        writeln!(out, "{protocol}{joint}{info}")?;
    }
    if let Some(obstacle) = looked.obstacle_beside_reasons() {
        writeln!(out, "    not looked into any further: {obstacle}")?;
    }
    Ok(())
}

/// What cannot be done, before anything is.
fn refuse(arguments: &Arguments) -> anyhow::Result<()> {
    let is_standard = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    if is_standard(&arguments.write) {
        anyhow::bail!(
            "-w -: a recording cannot go to standard output, where the packets are shown: name a file, or a FIFO that \
             another program reads"
        );
    }
    if is_standard(&arguments.keys) && is_standard(&arguments.read) {
        anyhow::bail!("-k - and -r -: standard input cannot give both the keys and the packets: name a file for one");
    }
    Ok(())
}

/// What was seen, at the end of a watch.
fn last_words(seen: u64, shown: u64, sums: Sums) -> String {
    let packets = if seen == 1 { "1 packet seen".to_owned() } else { format!("{seen} packets seen") };
    let shown = if shown == seen { String::new() } else { format!(", {shown} shown") };
    let sums = sums.words(|count| count.to_string());
    let joint = if sums.is_empty() { "" } else { ": " };
    format!("{packets}{shown}{joint}{sums}")
}

/// What was recorded is on its way to the disk, or it is an error.
fn finish(
    mut out: impl Write,
    recorder: Option<&mut Recorder<BufWriter<File>>>,
    lacking: &Lacking,
) -> anyhow::Result<ExitCode> {
    out.flush()?;
    recorder.map_or(Ok(()), Recorder::flush).context("recording")?;
    if let Some(words) = lacking.words() {
        writeln!(io::stderr(), "espial: {words}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys of a file, which is wiped from memory when it was read.
fn read_keys(path: &Path) -> anyhow::Result<Vec<KeyRow>> {
    let (name, text) = secret_file::read(path)?;
    key_file(&text).map_err(|errors| {
        let words: Vec<String> = errors.iter().map(|error| format!("{name}: {error}")).collect();
        anyhow::anyhow!("{}", words.join("\n"))
    })
}

fn print_json(out: &mut impl Write, packet: &PacketJson) -> io::Result<()> {
    serde_json::to_writer(&mut *out, packet)?;
    writeln!(out)
}

#[derive(Serialize)]
struct PacketJson {
    schema: u32,
    no: u64,
    time: Seconds,
    interface: String,
    direction: Option<String>,
    length: usize,
    layers: Vec<String>,
    source: Option<String>,
    destination: Option<String>,
    spi: Option<String>,
    sequence: Option<u32>,
    sa: Vec<SaJson>,
    verdict: String,
    reasons: Vec<String>,
    policy: Option<String>,
    inner: Option<InnerJson>,
}

/// Nanoseconds, written as the number of seconds that they are: a double is good for a quarter of a microsecond only.
struct Seconds(u64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const IN_A_SECOND: u64 = 1_000_000_000;
        let (mut whole, mut rest) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut number = String::with_capacity(24);
        number.push_str(whole.format(self.0 / IN_A_SECOND));
        // All nine digits, whose first may be 0.
        let digits = rest.format(IN_A_SECOND + self.0 % IN_A_SECOND);
        number.push('.');
        number.push_str(digits.get(1..).unwrap_or_default());
        serde_json::from_str::<&RawValue>(&number).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

#[derive(Serialize)]
struct SaJson {
    protocol: String,
    spi: String,
    destination: String,
    encryption: String,
    authentication: String,
}

#[derive(Serialize)]
struct InnerJson {
    protocol: String,
    info: String,
    source: Option<String>,
    destination: Option<String>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    payload_hex: String,
}

impl PacketJson {
    fn of(number: u64, frame: &Frame, dissection: &Dissection, evidence: &Evidence, judge: &Judge) -> Self {
        let summary = Summary::of(dissection);
        let header = judge.whole(dissection, evidence).ipsec().next();
        let known = evidence.sas.iter().flatten().filter_map(|serial| judge.memory.get(*serial));
        Self {
            schema: SCHEMA,
            no: number,
            time: Seconds(frame.at_ns),
            interface: frame.interface.to_string(),
            direction: frame.direction.map(|way| way.to_string()),
            length: frame.wire_length,
            layers: dissection.layers().iter().map(|layer| layer.header.protocol().to_string()).collect(),
            source: summary.source.map(|end| end.to_string()),
            destination: summary.destination.map(|end| end.to_string()),
            spi: header.map(|header| header.spi.to_string()),
            sequence: header.and_then(|header| header.sequence),
            sa: known.map(SaJson::of).collect(),
            verdict: evidence.verdict.to_string(),
            reasons: evidence.reasons.iter().map(ToString::to_string).collect(),
            policy: evidence.policy().map(ToString::to_string),
            inner: InnerJson::of(&judge.look_into(sight(frame), dissection, evidence)),
        }
    }
}

impl SaJson {
    fn of(known: &Known) -> Self {
        Self {
            protocol: known.id.protocol.to_string(),
            spi: known.id.spi.to_string(),
            destination: known.id.destination.to_string(),
            encryption: known.algorithms.encryption_label(),
            authentication: known.algorithms.authentication_label(),
        }
    }
}

impl InnerJson {
    /// The innermost packet; in transport mode its ends are those of the packet around it.
    fn of(looked: &Looked) -> Option<Self> {
        let inside = looked.insides.last()?;
        let layers = inside.dissection.layers();
        let ports = layers.iter().find_map(|layer| layer.header.ports());
        let payload = layers.iter().rev().find(|layer| layer.header == Header::Data);
        let payload = payload.and_then(|layer| inside.plaintext.get(layer.range())).unwrap_or_default();
        let ends = inside.dissection.ends();
        let (source, destination) = ends.unwrap_or((inside.header.source, inside.header.destination));
        let summary = inside.summary();
        let mut payload_hex = Vec::with_capacity(payload.len() * 2);
        push_hex(&mut payload_hex, payload);
        Some(Self {
            protocol: summary.protocol.into_owned(),
            info: summary.info,
            source: Some(source.to_string()),
            destination: Some(destination.to_string()),
            source_port: ports.map(|(source, _)| source),
            destination_port: ports.map(|(_, destination)| destination),
            payload_hex: String::from_utf8(payload_hex).unwrap_or_default(),
        })
    }
}
