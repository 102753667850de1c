//! `espial check`: is the traffic with a peer encrypted?

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::observer::{Observer, Place, Portion};
use super::signals::end_on_signals;
use crate::capture::{self, PROBE_TEXT, Probe, ProbeEnds, Prober};
use crate::console::clock::Clock;
use crate::console::form::check::network;
use crate::console::probing::why_unsent;
use crate::console::state::packets::sight;
use crate::evidence::check::{Answer, Check, Traffic};
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::{Prefix, XfrmStatistics};
use crate::packet::filter::{End, Filter, Test};

/// Watch the traffic with a host or a network and say whether it is encrypted
///
/// Ends in one line: ENCRYPTED (status 0), IN CLEAR or MIXED (status 1), or UNDECIDED (status 2) with what to do next. What
/// could not even be begun has status 2 as well. Where frames came too fast to be seen, nothing is called encrypted.
///
/// Ctrl-C ends it early with what was seen until then, as `interrupted after N s: ...`. What was seen in clear stays true
/// (status 1); that everything would have been encrypted nobody knows (status 2).
///
/// Of what this host passes on as a gateway, what counts is the wire to the other gateway: not what is in clear on this
/// one's inner side, on its way into the tunnel or out of it. So the host or the network to name is the one at the other
/// end, on each of the gateways another one. Of a network, as `espial check 10.2.0.0/24`, packets of its hosts count that
/// are in clear, and ESP that has them inside; what the gateways themselves say in clear is no business of the network's.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The host's address or the network; also one behind a tunnel
    #[arg(value_parser = network)]
    peer: Prefix,
    /// Only its traffic with this host or network on our side, as 10.1.0.0/24
    #[arg(long, value_name = "NET", value_parser = network)]
    own: Option<Prefix>,
    /// A text that must be nowhere on the wire and must be found after decryption
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    text: Option<String>,
    /// How long to watch
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Send the text (or a line of our own) to the peer every second: udp:PORT or icmp
    #[arg(long, value_name = "PROBE", value_parser = Probe::parse)]
    probe: Option<Probe>,
    /// Which host of the network the probe goes to
    #[arg(long, value_name = "HOST", requires = "probe")]
    to: Option<IpAddr>,
}

impl Arguments {
    fn traffic(&self) -> anyhow::Result<Traffic> {
        if self.own.is_some_and(|own| own.address.is_ipv4() != self.peer.address.is_ipv4()) {
            anyhow::bail!("--own is of the other address family");
        }
        if self.peer.is_any() && self.own.is_none_or(|own| own.is_any()) {
            anyhow::bail!("of all that there is, whose traffic? Name a network, with --own");
        }
        Ok(Traffic { far: self.peer, own: self.own })
    }

    /// Who is sent something.
    fn probed(&self) -> anyhow::Result<IpAddr> {
        match self.to {
            None if self.peer.is_host() => Ok(self.peer.address),
            None => anyhow::bail!("a network cannot be sent anything: name one of its hosts with --to"),
            Some(host) if self.peer.contains(host) => Ok(host),
            Some(host) => anyhow::bail!("--to {host} is no host of {}", self.peer),
        }
    }

    fn prober(&self, probe: Probe) -> anyhow::Result<Prober> {
        let host = self.probed()?;
        let addresses = capture::interfaces().into_iter().flat_map(|interface| interface.addresses);
        let ends = ProbeEnds::choose(host, self.own, addresses).map_err(anyhow::Error::msg)?;
        Prober::open(ends, probe)
            .map_err(|error| anyhow::anyhow!("nothing can be sent to {host}: {}", why_unsent(&error, host, probe)))
    }
}

/// What the kernel has dropped of what this host was to send, in words.
fn held_back(before: &XfrmStatistics, after: &XfrmStatistics) -> Option<String> {
    let grown = after.grown_since(before).filter(|(name, _)| name.starts_with("XfrmOut"));
    let words: Vec<String> = grown
        .map(|(name, by)| match XfrmStatistics::meaning(name) {
            Some(meaning) => format!("{name} +{by} ({meaning})"),
            None => format!("{name} +{by}"),
        })
        .collect();
    (!words.is_empty()).then(|| {
        format!(
            "this host dropped packets instead of sending them, and a probe among them never left: {}",
            words.join(", ")
        )
    })
}

/// How long the other parts of a packet are waited for at the end.
const GRACE: Duration = Duration::from_secs(1);

/// Watches and answers.
///
/// # Errors
/// When nothing can be captured, or the probe cannot be sent.
pub fn run(arguments: &Arguments, place: &Place) -> anyhow::Result<ExitCode> {
    let traffic = arguments.traffic()?;
    let prober = arguments.probe.map(|probe| arguments.prober(probe)).transpose()?;
    // The kernel cannot drop what is of the one end alone when the other one is everybody.
    let watched = arguments.own.filter(|_| arguments.peer.is_any()).unwrap_or(arguments.peer);
    let with_peer = Filter::Is(Test::Net(End::Either, watched));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut observer, complaint) = Observer::open(place, Some(&with_peer))?;
    let mut err = io::stderr().lock();
    if let Some(complaint) = complaint {
        writeln!(err, "espial: {complaint}")?;
    }
    if place.interface.is_none() {
        // What leaves by another one is not seen.
        let (interface, seconds) = (observer.interface(), arguments.seconds);
        writeln!(err, "espial: watching {interface} for {seconds} s (-i names another interface, or any for all)")?;
    }
    let text = arguments.text.as_deref().or_else(|| arguments.probe.map(|_| PROBE_TEXT));
    let mut check = Check::new(traffic, text).since(u64::try_from(since.as_nanos()).unwrap_or(0));
    let mut kernel = prober.as_ref().and_then(|_| XfrmKernel::open().ok());
    let mut statistics = || kernel.as_mut().and_then(|kernel| kernel.statistics().ok()).unwrap_or_default();
    let before = statistics();
    let is_interrupted = end_on_signals()?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(arguments.seconds);
    let mut next_probe = Instant::now();
    let mut portion = Portion::default();
    let mut interrupted_after = None;
    while Instant::now() < end || check.waits_for_parts() && Instant::now() < end + GRACE {
        if is_interrupted.load(Ordering::Relaxed) {
            interrupted_after = Some(begin.elapsed().as_secs());
            break;
        }
        if let Some(prober) = &prober
            && Instant::now() >= next_probe
            && next_probe < end
        {
            if let (Err(error), Some(probe)) = (prober.send(text.unwrap_or(PROBE_TEXT)), arguments.probe) {
                let host = arguments.probed()?;
                anyhow::bail!("nothing can be sent to {host}: {}", why_unsent(&error, host, probe));
            }
            next_probe += Duration::from_secs(1);
        }
        let dropped = observer.dropped;
        observer.next(&mut portion, Duration::from_millis(100))?;
        check.miss(observer.dropped - dropped);
        for dissected in &mut portion.frames {
            let evidence = observer.judge(dissected);
            check.take(&observer.judge, sight(&dissected.frame), &dissected.dissection, &evidence);
        }
        if let Some(words) = observer.take_link_words() {
            writeln!(err, "espial: {words}")?;
        }
    }
    check.end();
    let clock = Clock::local();
    let (sentence, next) = check.sentence(|at_ns| clock.time_of_day_ms(at_ns / 1_000_000));
    let mut out = io::stdout().lock();
    match interrupted_after {
        Some(seconds) => writeln!(out, "interrupted after {seconds} s: {sentence}")?,
        None => writeln!(out, "{sentence}")?,
    }
    if let Some(words) = held_back(&before, &statistics()) {
        writeln!(err, "espial: {words}")?;
    }
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
        Answer::Encrypted if interrupted_after.is_none() => ExitCode::SUCCESS,
        Answer::InClear | Answer::Mixed => ExitCode::FAILURE,
        Answer::Encrypted | Answer::Undecided => ExitCode::from(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_dropped_on_the_way_out_is_told() {
        let read = |text| XfrmStatistics::parse(text).unwrap();
        let before = read("XfrmInNoStates 1\nXfrmOutNoStates 2\n");
        assert_eq!(held_back(&before, &read("XfrmInNoStates 9\nXfrmOutNoStates 2\n")), None);
        let words = held_back(&before, &read("XfrmInNoStates 9\nXfrmOutNoStates 5\n")).unwrap();
        assert!(words.ends_with("never left: XfrmOutNoStates +3 (no SA here for what a policy protects)"), "{words}");
    }
}
