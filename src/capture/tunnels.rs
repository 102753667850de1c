//! Behind which interfaces packets are encrypted or wrapped, what ties them to SAs and policies, and which interfaces belong
//! to others: only rtnetlink tells.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    GreEncapType, InfoData, InfoGre, InfoGre6, InfoIpTunnel, InfoKind, InfoXfrm, LinkAttribute, LinkInfo, LinkMessage,
    TunnelEncapType,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;

use crate::model::{IfId, TunnelInterface};

/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is told of interfaces, by their index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// What those are behind which packets are encrypted or wrapped.
    pub(super) tunnels: HashMap<u32, TunnelInterface>,
    /// Which interface these belong to: a bridge, a bond, a VRF.
    controllers: HashMap<u32, u32>,
    vrfs: HashSet<u32>,
}

impl Links {
    /// The interface that packets on this one are routed on: the bridge or the bond that it is a port of, or itself.
    pub(super) fn routed(&self, index: u32) -> u32 {
        let mut routed = index;
        // A bond may be a port of a bridge; more than that Linux does not stack.
        for _ in 0..8 {
            match self.controllers.get(&routed) {
                Some(controller) if !self.vrfs.contains(controller) => routed = *controller,
                _ => break,
            }
        }
        routed
    }

    /// The VRF that it is, or belongs to.
    pub(super) fn vrf(&self, index: u32) -> Option<u32> {
        [Some(&index), self.controllers.get(&index)]
            .into_iter()
            .flatten()
            .find(|index| self.vrfs.contains(index))
            .copied()
    }
}

/// Those of the calling thread's namespace; none where the kernel does not answer.
pub(super) fn all() -> Links {
    dump().unwrap_or_default()
}

fn dump() -> io::Result<Links> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    // Whoever asks every second must not wait for ever.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(LinkMessage::default()));
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut found = Links::default();
    while read(&socket.recv_from_full()?.0, &mut found)? {}
    Ok(found)
}

/// Reads the messages of a datagram; whether more will come. An interface that cannot be understood is none of these.
fn read(mut datagram: &[u8], found: &mut Links) -> io::Result<bool> {
    const HEADER: usize = 16;
    while let Some(length) = datagram.first_chunk::<HEADER>() {
        let [l0, l1, l2, l3, ..] = *length;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let message = datagram.get(..length).filter(|message| message.len() >= HEADER);
        let message = message.ok_or(io::ErrorKind::InvalidData)?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                let index = link.header.index;
                found.tunnels.extend(kind(&link).map(|kind| (index, kind)));
                found.controllers.extend(controller(&link).map(|controller| (index, controller)));
                found.vrfs.extend(is_vrf(&link).then_some(index));
            }
            Ok(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return Ok(false),
            Ok(_) | Err(_) => {}
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn infos(link: &LinkMessage) -> impl Iterator<Item = &LinkInfo> {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten()
}

fn is_vrf(link: &LinkMessage) -> bool {
    infos(link).any(|info| matches!(info, LinkInfo::Kind(InfoKind::Vrf)))
}

fn controller(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}

fn kind(link: &LinkMessage) -> Option<TunnelInterface> {
    infos(link).find_map(|info| match info {
        LinkInfo::Data(InfoData::Xfrm(facts)) => facts.iter().find_map(|fact| match fact {
            InfoXfrm::IfId(number) => Some(TunnelInterface::Xfrm(IfId(*number))),
            _ => None,
        }),
        LinkInfo::Data(data) if is_wrapping(data) => Some(TunnelInterface::Wrapping),
        LinkInfo::Kind(InfoKind::Vti | InfoKind::Vti6) => Some(TunnelInterface::Vti),
        _ => None,
    })
}

/// Whether it is GRE or IP in IP, and not in UDP, where what it wraps could not be seen.
fn is_wrapping(data: &InfoData) -> bool {
    match data {
        InfoData::GreTun(facts) => {
            !facts.iter().any(|fact| matches!(fact, InfoGre::EncapType(kind) if *kind != GreEncapType::None))
        }
        InfoData::GreTun6(facts) => {
            !facts.iter().any(|fact| matches!(fact, InfoGre6::EncapType(kind) if *kind != GreEncapType::None))
        }
        InfoData::IpTunnel(facts) => {
            !facts.iter().any(|fact| matches!(fact, InfoIpTunnel::EncapType(kind) if *kind != TunnelEncapType::None))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute around bytes.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([kind, 0].map(u16::to_ne_bytes).concat());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    /// `RTM_NEWLINK` of an interface of this kind, with what belongs to the kind.
    fn link(index: i32, kind: &str, data: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend([0; 8]);
        // IFLA_LINKINFO: IFLA_INFO_KIND and IFLA_INFO_DATA.
        let kind = attribute(1, format!("{kind}\0").as_bytes());
        body.extend(attribute(18, &[kind, attribute(2, data)].concat()));
        message(16, &body)
    }

    #[test]
    fn xfrm_interfaces_are_told_with_their_numbers_and_vtis() {
        // IFLA_XFRM_LINK and IFLA_XFRM_IF_ID.
        let xfrm = [attribute(1, &2_u32.to_ne_bytes()), attribute(2, &42_u32.to_ne_bytes())].concat();
        let datagram = [link(7, "xfrm", &xfrm), link(8, "dummy", &[]), link(9, "vlan", &xfrm)].concat();
        let datagram = [datagram, link(10, "vti", &[]), link(11, "vti6", &[])].concat();
        let mut found = Links::default();
        assert!(read(&datagram, &mut found).unwrap());
        let vti = TunnelInterface::Vti;
        assert_eq!(found.tunnels, [(7, TunnelInterface::Xfrm(IfId(42))), (10, vti), (11, vti)].into());
        assert!(!read(&message(3, &[0; 4]), &mut found).unwrap());
        assert!(read(&datagram[..20], &mut found).is_err());
    }

    #[test]
    fn what_wraps_packets_is_told_unless_it_does_so_in_udp() {
        // IFLA_GRE_ENCAP_TYPE is 14 and IFLA_IPTUN_ENCAP_TYPE 15; TUNNEL_ENCAP_NONE, TUNNEL_ENCAP_FOU.
        for (kind, place) in [("gre", 14), ("ip6gre", 14), ("ipip", 15), ("sit", 15), ("ip6tnl", 15)] {
            let [plain, in_udp] = [0_u16, 1].map(|encap| attribute(place, &encap.to_ne_bytes()));
            let datagram = [link(7, kind, &plain), link(8, kind, &in_udp), link(9, "gretap", &plain)].concat();
            let mut found = Links::default();
            assert!(read(&datagram, &mut found).unwrap());
            assert_eq!(found.tunnels, [(7, TunnelInterface::Wrapping)].into(), "{kind}");
        }
    }

    #[test]
    fn what_belongs_to_a_bridge_is_routed_there_and_what_belongs_to_a_vrf_is_not() {
        let in_it = |index: i32, kind: &str, controller: i32| {
            let mut message = link(index, kind, &[]);
            // IFLA_MASTER
            message.extend(attribute(10, &controller.to_ne_bytes()));
            let length = u32::try_from(message.len()).unwrap();
            message[..4].copy_from_slice(&length.to_ne_bytes());
            message
        };
        let datagram = [link(2, "vrf", &[]), in_it(3, "bridge", 2), in_it(4, "bond", 3), in_it(5, "dummy", 4)].concat();
        let mut found = Links::default();
        assert!(read(&[datagram, link(6, "dummy", &[]), in_it(7, "dummy", 7)].concat(), &mut found).unwrap());
        assert_eq!([2, 3, 4, 5, 6, 7, 8].map(|index| found.routed(index)), [2, 3, 3, 3, 6, 7, 8]);
        assert_eq!([2, 3, 4, 6].map(|index| found.vrf(index)), [Some(2), Some(2), None, None]);
    }

    #[test]
    fn this_kernel_answers() {
        assert!(dump().is_ok());
    }
}
