//! What a check sends to a peer so that there is something to capture.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, ipproto, send, socket_with};

use crate::model::Prefix;

/// What is sent where no text was given.
pub const PROBE_TEXT: &str = "espial probe: if you can read this on the wire, it is not encrypted";

/// What is sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A datagram to this port.
    Udp(u16),
    /// An echo request, which is answered by most hosts.
    Icmp,
}

impl Probe {
    /// `udp:PORT` or `icmp`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "icmp" => Ok(Self::Icmp),
            Some(("udp", port)) => port.parse().map(Self::Udp).map_err(|_| format!("{port:?} is not a port")),
            _ => Err("expected udp:PORT or icmp".to_owned()),
        }
    }
}

/// Where a probe is sent, and from which address of this host; the kernel chooses where `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeEnds {
    /// From.
    pub from: Option<IpAddr>,
    /// To.
    pub to: IpAddr,
}

impl ProbeEnds {
    /// The ends of a probe to this host; if the traffic with one's own network is looked at, it is sent from an address
    /// there, of those that this host has.
    ///
    /// # Errors
    /// When it has none.
    pub fn choose(
        to: IpAddr,
        own: Option<Prefix>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Self, String> {
        let Some(own) = own else { return Ok(Self { from: None, to }) };
        let from = addresses.into_iter().filter(|address| own.contains(*address)).min();
        let none = || format!("this host has no address in {own}: let a host there send something");
        from.map(|from| Self { from: Some(from), to }).ok_or_else(none)
    }
}

/// Sends probes to one peer.
pub struct Prober(Socket);

enum Socket {
    Udp(UdpSocket),
    Icmp(PingSocket),
}

impl Prober {
    /// Opens a socket to the peer.
    ///
    /// # Errors
    /// When there is no way to it, or for ICMP without `CAP_NET_RAW`.
    pub fn open(ends: ProbeEnds, probe: Probe) -> io::Result<Self> {
        let peer = ends.to;
        let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let from = ends.from.unwrap_or(any);
        Ok(Self(match probe {
            Probe::Udp(port) => {
                let socket = UdpSocket::bind((from, 0))?;
                match socket.connect(SocketAddr::new(peer, port)) {
                    Err(error) if !is_missing_sa(&error) => return Err(error),
                    _ => Socket::Udp(socket),
                }
            }
            Probe::Icmp => Socket::Icmp(PingSocket::open(from, peer)?),
        }))
    }

    /// Sends once. That a policy holds it back, or that nobody listens, is no error: that is what is asked.
    ///
    /// # Errors
    /// Any other that the kernel reports.
    pub fn send(&self, text: &str) -> io::Result<()> {
        match &self.0 {
            // A closed port answers with an ICMP error, which shows at the next sending; an SA may be missing.
            Socket::Udp(socket) => match socket.send(text.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::ConnectionRefused && !is_missing_sa(&error) => Err(error),
                _ => Ok(()),
            },
            Socket::Icmp(socket) => match socket.send(text.as_bytes()) {
                Err(error) if !is_missing_sa(&error) => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// What the kernel says of a packet that a policy holds back for want of an SA.
fn is_missing_sa(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENETUNREACH | libc::ESRCH | libc::EPERM | libc::ENOENT))
}

/// A socket that sends ICMP echo requests to one peer.
struct PingSocket {
    socket: OwnedFd,
    is_ipv4: bool,
}

impl PingSocket {
    /// Opens it; needs `CAP_NET_RAW`.
    fn open(from: IpAddr, peer: IpAddr) -> io::Result<Self> {
        let (family, protocol) =
            if peer.is_ipv4() { (AddressFamily::INET, ipproto::ICMP) } else { (AddressFamily::INET6, ipproto::ICMPV6) };
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))?;
        bind(&socket, &SocketAddr::new(from, 0))?;
        connect(&socket, &SocketAddr::new(peer, 0))?;
        Ok(Self { socket, is_ipv4: peer.is_ipv4() })
    }

    /// Sends one with this payload.
    fn send(&self, payload: &[u8]) -> io::Result<()> {
        let mut message = vec![if self.is_ipv4 { 8 } else { 128 }, 0, 0, 0, 0x65, 0x73, 0, 1];
        message.extend_from_slice(payload);
        if self.is_ipv4 {
            // For IPv6 the kernel computes it.
            let checksum = internet_checksum(&message);
            message.splice(2..4, checksum.to_be_bytes());
        }
        send(&self.socket, &message, SendFlags::empty())?;
        Ok(())
    }
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = words.fold(0, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_named() {
        assert_eq!(Probe::parse("udp:7777"), Ok(Probe::Udp(7777)));
        assert_eq!(Probe::parse("icmp"), Ok(Probe::Icmp));
        assert_eq!(Probe::parse("udp:70000"), Err("\"70000\" is not a port".to_owned()));
        assert!(Probe::parse("tcp:1").is_err() && Probe::parse("icmp:1").is_err());
    }

    #[test]
    fn a_probe_between_networks_comes_from_an_address_of_ones_own_network() {
        let address = |last: u8| IpAddr::from([10, last, 0, 1]);
        let own: Prefix = "10.1.0.0/24".parse().unwrap();
        let choose =
            |own, addresses: &[u8]| ProbeEnds::choose(address(2), own, addresses.iter().map(|last| address(*last)));
        assert_eq!(choose(None, &[9]), Ok(ProbeEnds { from: None, to: address(2) }));
        assert_eq!(choose(Some(own), &[9, 1]), Ok(ProbeEnds { from: Some(address(1)), to: address(2) }));
        let refusal = choose(Some(own), &[9]).unwrap_err();
        assert_eq!(refusal, "this host has no address in 10.1.0.0/24: let a host there send something");
    }

    #[test]
    fn the_checksum_of_rfc_1071() {
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0x220d);
        assert_eq!(internet_checksum(&[1]), !0x0100);
    }
}
