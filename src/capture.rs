//! Where frames come from, and where they are kept.
//!
//! Live frames come from a [`Source`], of which there are two: [`RingCapture`] reads a ring that the kernel fills,
//! [`LiveCapture`] receives with pnet, on sockets that are opened and prepared here. Both wait in the calling thread and
//! in no other; a frame carries all that is known of it, so that whoever looks at it needs to ask nothing more.
//! [`FileCapture`] reads frames from a file, [`ReadAhead`] does it in a thread of its own, [`Recorder`] writes them to
//! one. A [`Prober`] sends something that can be captured. What a frame means is not known here.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pnet::ipnetwork::IpNetwork;
use serde::Deserialize;

use crate::model::text::harmless;
use crate::model::{PolicySettings, TunnelInterface};
use crate::packet::filter::Instruction;
use crate::packet::{Direction, LinkType};

mod ahead;
pub mod file;
mod live;
mod probe;
pub mod recorder;
mod ring;
mod settings;
mod tunnels;

pub use ahead::ReadAhead;
pub use file::FileCapture;
pub use live::LiveCapture;
pub use probe::{PROBE_TEXT, Probe, ProbeEnds, Prober};
pub use recorder::{KeyTable, Recorder};
pub use ring::RingCapture;

/// The name that stands for all interfaces at once.
pub const ANY: &str = "any";

/// How live frames are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From a ring that the kernel fills.
    #[default]
    Ring,
    /// With pnet: frame by frame, on one interface, without the tags that the device took off.
    Pnet,
}

/// Something that live frames come from.
pub trait Source: Send {
    /// Waits for frames, and a moment for more of them. An empty batch after `patience` without any.
    ///
    /// # Errors
    /// When the capture has ended for good.
    fn next(&mut self, patience: Duration) -> Result<Batch, CaptureError>;

    /// The name of the interface, or [`ANY`].
    fn interface(&self) -> &str;
}

/// What is to be captured.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How.
    pub method: Method,
    /// On the interface of this name, or on [`ANY`].
    pub interface: String,
    /// How many bytes the kernel keeps until they are fetched, about.
    pub buffer: usize,
    /// A program of [`crate::packet::Filter::for_kernel`]: the kernel drops what it drops.
    pub filter: Vec<Instruction>,
}

impl Wanted {
    /// A filter for the kernel: the steps before the wanted program decide whether it is asked at all.
    fn program(&self, before: &[libc::sock_filter]) -> Vec<libc::sock_filter> {
        let wanted = self.filter.iter().map(|i| step(i.code, i.number, i.if_so, i.if_not));
        before.iter().copied().chain(wanted).chain([step(RETURN, u32::MAX, 0, 0)]).collect()
    }
}

// Steps of the kernel's packet filter language (Documentation/networking/filter.rst).
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Begins to take frames in the calling thread's namespace.
///
/// # Errors
/// When there is no such interface, or the rights miss.
pub fn open(wanted: Wanted) -> Result<Box<dyn Source>, CaptureError> {
    Ok(match wanted.method {
        Method::Ring => Box::new(RingCapture::open(wanted)?),
        Method::Pnet => Box::new(LiveCapture::open(wanted)?),
    })
}

/// A frame with what the capture knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel saw it, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// Where.
    pub interface: Arc<str>,
    /// What it begins with.
    pub link: LinkType,
    /// Which way it went, if that is known; on loopback every frame arrives.
    pub direction: Option<Direction>,
    /// How long it was on the wire.
    pub wire_length: usize,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Frame {
    /// Whether bytes are missing at its end.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.wire_length
    }
}

/// Frames that came shortly after one another, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The frames.
    pub frames: Vec<Frame>,
    /// How many the kernel dropped since the last batch because they were not fetched soon enough.
    pub dropped: u64,
    /// What became of the interface, if anything.
    pub link: Option<LinkState>,
}

impl Batch {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.dropped == 0 && self.link.is_none()
    }
}

/// What can become of an interface while it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It was switched off, or removed: no frames until it is back.
    Down,
    /// It is back.
    Up,
}

impl LinkState {
    /// A sentence of it, about the interface of this name.
    pub fn words(self, interface: &str) -> String {
        let interface = harmless(interface);
        match self {
            Self::Down => format!("interface {interface} is down or gone: no packets until it is back"),
            Self::Up => format!("interface {interface} is back"),
        }
    }
}

/// A network interface of the calling thread's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether what it sends comes back.
    pub is_loopback: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The addresses that it shares with all hosts of its networks.
    pub broadcasts: Vec<IpAddr>,
    /// What it is if packets are encrypted behind it.
    pub tunnel: Option<TunnelInterface>,
    /// How policies are asked about its packets.
    pub settings: PolicySettings,
}

impl Interface {
    /// What tells how policies are asked about its packets: its number, its settings and its addresses.
    pub fn for_policies(&self) -> (u32, PolicySettings, &[IpAddr]) {
        (self.index, self.settings, &self.addresses)
    }

    /// The addresses whose packets are for this host.
    pub fn own(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().chain(&self.broadcasts).copied()
    }
}

/// The interfaces of the calling thread's namespace.
pub fn interfaces() -> Vec<Interface> {
    let all = pnet::datalink::interfaces();
    let links = tunnels::all();
    let names = all.iter().map(|interface| (interface.index, &*interface.name)).collect();
    let loopback = all.iter().find(|interface| interface.is_loopback()).map_or(0, |interface| interface.index);
    let settings = settings::all(&links, &names, loopback);
    all.into_iter()
        .map(|interface| Interface {
            broadcasts: interface.ips.iter().filter_map(broadcast).collect(),
            tunnel: links.tunnels.get(&interface.index).copied(),
            settings: settings.get(&interface.index).copied().unwrap_or_default(),
            is_up: interface.is_up(),
            is_loopback: interface.is_loopback(),
            addresses: interface.ips.iter().map(IpNetwork::ip).collect(),
            name: interface.name,
            index: interface.index,
        })
        .collect()
}

/// Point-to-point links and IPv6 have none.
fn broadcast(network: &IpNetwork) -> Option<IpAddr> {
    match network {
        IpNetwork::V4(network) if network.prefix() < 31 => Some(network.broadcast().into()),
        IpNetwork::V4(_) | IpNetwork::V6(_) => None,
    }
}

/// The interface that an administrator most likely means: the first that is up and has an address, loopback last, and
/// before a tunnel the wire.
pub fn default_interface(interfaces: &[Interface]) -> Option<&Interface> {
    interfaces.iter().min_by_key(|interface| {
        let Interface { is_loopback, is_up, addresses, tunnel, .. } = interface;
        (*is_loopback, !is_up, addresses.is_empty(), tunnel.is_some())
    })
}

/// The interface of this name.
fn find(name: &str) -> Result<Interface, CaptureError> {
    let all = interfaces();
    if let Some(interface) = all.iter().find(|interface| interface.name == name) {
        return Ok(interface.clone());
    }
    let others = all.into_iter().map(|interface| interface.name).collect();
    Err(CaptureError::Missing { name: name.to_owned(), others })
}

/// How often to look whether an interface is back.
const RETRY: Duration = Duration::from_millis(500);

/// The time for which an interface is down or away.
struct Absence {
    /// When it was last looked for.
    looked: Instant,
}

impl Absence {
    fn begin() -> Self {
        Self { looked: Instant::now() }
    }

    /// Waits for the interface of this name to be up, for `patience` at most, and opens it again. Made anew it has another
    /// number.
    fn end<T>(
        &mut self,
        name: &str,
        patience: Duration,
        open: impl FnOnce(&Interface) -> Result<T, CaptureError>,
    ) -> Result<Option<T>, CaptureError> {
        std::thread::sleep(patience.min(RETRY.saturating_sub(self.looked.elapsed())));
        if self.looked.elapsed() < RETRY {
            return Ok(None);
        }
        self.looked = Instant::now();
        let Some(interface) = interfaces().into_iter().find(|interface| interface.name == name && interface.is_up)
        else {
            return Ok(None);
        };
        match open(&interface) {
            // It went away again in this very moment.
            Err(CaptureError::Refused { error, .. }) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            opened => opened.map(Some),
        }
    }
}

/// Why nothing can be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such interface.
    #[error("there is no interface {name:?}{}", there_are(.others))]
    Missing {
        /// What was asked for.
        name: String,
        /// What there is.
        others: Vec<String>,
    },
    /// pnet does not tell from which interface a frame is.
    #[error("with pnet frames can be taken from one interface only: name it, or set capture = \"ring\"")]
    OneAtATime,
    /// The kernel refuses.
    #[error("capturing on {interface}: {operation}: {error}{}", hint(.error))]
    Refused {
        /// Where.
        interface: String,
        /// What was tried.
        operation: &'static str,
        /// The refusal.
        error: io::Error,
    },
}

fn refused(interface: &str, operation: &'static str, error: impl Into<io::Error>) -> CaptureError {
    CaptureError::Refused { interface: interface.to_owned(), operation, error: error.into() }
}

fn there_are(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; there are {}", harmless(&others.join(", "))) }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (this needs the capability CAP_NET_RAW: run espial as root)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, is_up: bool, is_loopback: bool, addresses: &[[u8; 4]]) -> Interface {
        let addresses = addresses.iter().map(|address| IpAddr::from(*address)).collect();
        let (broadcasts, tunnel) = (Vec::new(), None);
        let settings = PolicySettings::default();
        Interface { name: name.to_owned(), index: 1, is_up, is_loopback, addresses, broadcasts, tunnel, settings }
    }

    #[test]
    fn a_network_of_more_than_two_hosts_has_a_broadcast_address() {
        let of = |network: &str| broadcast(&network.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(of("10.9.0.1/24").as_deref(), Some("10.9.0.255"));
        assert_eq!(of("10.9.0.1/30").as_deref(), Some("10.9.0.3"));
        assert_eq!((of("10.9.0.1/31"), of("10.9.0.1/32"), of("fd00::1/64")), (None, None, None));
    }

    #[test]
    fn the_default_is_what_is_up_and_has_an_address() {
        let lo = interface("lo", true, true, &[[127, 0, 0, 1]]);
        let down = interface("eth0", false, false, &[[10, 0, 0, 1]]);
        let bare = interface("dummy0", true, false, &[]);
        let good = interface("eth1", true, false, &[[10, 0, 0, 2]]);
        let name = |all: &[Interface]| default_interface(all).map(|interface| interface.name.clone());
        let tunnel = Interface { tunnel: Some(TunnelInterface::Vti), name: "vti0".to_owned(), ..good.clone() };
        assert_eq!(name(&[lo.clone(), down.clone(), bare.clone(), tunnel.clone(), good]), Some("eth1".into()));
        assert_eq!(name(&[lo.clone(), bare.clone(), tunnel]), Some("vti0".into()));
        assert_eq!(name(&[lo.clone(), down.clone(), bare]), Some("dummy0".into()));
        assert_eq!(name(&[lo.clone(), down]), Some("eth0".into()));
        assert_eq!(name(&[lo]), Some("lo".into()));
        assert_eq!(name(&[]), None);
    }

    #[test]
    fn a_missing_interface_is_told_with_those_that_there_are() {
        let error = CaptureError::Missing { name: "eth9".into(), others: vec!["lo".into(), "eth0".into()] };
        assert_eq!(error.to_string(), "there is no interface \"eth9\"; there are lo, eth0");
        let error = CaptureError::Refused {
            interface: "eth0".into(),
            operation: "opening a packet socket",
            error: io::Error::from_raw_os_error(libc::EPERM),
        };
        assert!(error.to_string().ends_with("CAP_NET_RAW: run espial as root)"), "{error}");
    }
}
