//! `espial check`: is the traffic with a peer encrypted?

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use super::observer::{Observer, Place};
use crate::capture::{PROBE_TEXT, Probe, Prober};
use crate::console::clock::Clock;
use crate::evidence::check::{Answer, Check};
use crate::model::Prefix;
use crate::packet::filter::{End, Filter, Test};

/// Watch the traffic with a peer and say whether it is encrypted
///
/// Ends in one line: ENCRYPTED (status 0), IN CLEAR or MIXED (status 1), or UNDECIDED (status 2) with what to do next.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The peer's address; also one behind a tunnel
    peer: IpAddr,
    /// A text that must be nowhere on the wire and must be found after decryption
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// How long to watch
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Send the text (or a line of our own) to the peer every second: udp:PORT or icmp
    #[arg(long, value_name = "PROBE", value_parser = Probe::parse)]
    probe: Option<Probe>,
}

/// Watches and answers.
///
/// # Errors
/// When nothing can be captured, or the probe cannot be sent.
pub fn run(arguments: &Arguments, place: &Place) -> anyhow::Result<ExitCode> {
    let with_peer = Filter::Is(Test::Net(End::Either, Prefix::host(arguments.peer)));
    let (mut observer, complaint) = Observer::open(place, Some(&with_peer))?;
    let mut err = io::stderr().lock();
    if let Some(complaint) = complaint {
        writeln!(err, "espial: {complaint}")?;
    }
    let text = arguments.text.as_deref().or_else(|| arguments.probe.map(|_| PROBE_TEXT));
    let mut check = Check::new(arguments.peer, text);
    let prober = arguments.probe.map(|probe| Prober::open(arguments.peer, probe)).transpose();
    let prober = prober.with_context(|| format!("opening a socket to {}", arguments.peer))?;
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut next_probe = Instant::now();
    while Instant::now() < end {
        if let Some(prober) = &prober
            && Instant::now() >= next_probe
        {
            prober.send(text.unwrap_or(PROBE_TEXT)).context("sending the probe")?;
            next_probe += Duration::from_secs(1);
        }
        for dissected in observer.next(Duration::from_millis(100))? {
            let judged = observer.judge(dissected);
            check.take(&observer.judge, judged.sight(), &judged.dissection, &judged.seen.evidence);
        }
        if let Some(words) = observer.take_link_words() {
            writeln!(err, "espial: {words}")?;
        }
    }
    let clock = Clock::local();
    let (sentence, next) = check.sentence(|at_ns| clock.time_of_day_ms(at_ns / 1_000_000));
    let mut out = io::stdout().lock();
    writeln!(out, "{sentence}")?;
    if observer.dropped > 0 {
        writeln!(
            err,
            "espial: {} frames came too fast on {} and were not seen",
            observer.dropped,
            observer.interface()
        )?;
    }
    if let Some(next) = next {
        writeln!(err, "espial: next: {next}")?;
    }
    Ok(match check.answer() {
        Answer::Encrypted => ExitCode::SUCCESS,
        Answer::InClear | Answer::Mixed => ExitCode::FAILURE,
        Answer::Undecided => ExitCode::from(2),
    })
}
