//! Links, addresses and routes of the calling thread's network namespace, by rtnetlink.

use std::net::IpAddr;
use std::os::fd::RawFd;

use netlink_packet_core::{Emitable, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::kernel::netlink::{Connection, Request};
use crate::kernel::{KernelError, Operation};
use crate::model::Prefix;

// include/uapi/linux/rtnetlink.h
const NEW_LINK: u16 = 16;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// The links, addresses and routes of one namespace.
pub(super) struct Links {
    connection: Connection,
}

type Result<T> = std::result::Result<T, KernelError>;

impl Links {
    /// Those of the calling thread's namespace.
    pub(super) fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open(NETLINK_ROUTE)? })
    }

    fn tell(&mut self, deed: String, kind: u16, flags: u16, message: &impl Emitable) -> Result<()> {
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        self.connection.request(&Operation::Network(deed), Request::new(kind).body(&body), flags, |_| Ok(()))
    }

    /// A pair of Ethernet links: `name` here, `peer` in the namespace of this descriptor, or here too.
    pub(super) fn add_veth(&mut self, name: &str, peer: &str, peer_namespace: Option<RawFd>) -> Result<()> {
        let mut far = LinkMessage::default();
        far.attributes = vec![LinkAttribute::IfName(peer.to_owned())];
        far.attributes.extend(peer_namespace.map(LinkAttribute::NetNsFd));
        let mut near = LinkMessage::default();
        near.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ];
        self.tell(format!("adding the links {name} and {peer}"), NEW_LINK, NLM_F_CREATE | NLM_F_EXCL, &near)
    }

    /// Switches a link on.
    pub(super) fn set_up(&mut self, name: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        self.tell(format!("switching the link {name} on"), SET_LINK, 0, &link)
    }

    /// Gives a link an address. IPv6 ones are used at once, without asking whether another host has them.
    pub(super) fn add_address(&mut self, link: u32, name: &str, prefix: Prefix) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(prefix.address);
        message.header.prefix_len = prefix.length;
        message.header.index = link;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![AddressAttribute::Address(prefix.address), AddressAttribute::Local(prefix.address)];
        self.tell(format!("giving {name} the address {prefix}"), NEW_ADDRESS, NLM_F_CREATE | NLM_F_EXCL, &message)
    }

    /// Sends packets to a network by way of a gateway, from this address of ours.
    pub(super) fn add_route(&mut self, to: Prefix, gateway: IpAddr, from: IpAddr) -> Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to.address);
        message.header.destination_prefix_length = to.length;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Destination(RouteAddress::from(to.address)),
            RouteAttribute::Gateway(RouteAddress::from(gateway)),
            RouteAttribute::PrefSource(RouteAddress::from(from)),
        ];
        self.tell(format!("adding a route to {to}"), NEW_ROUTE, NLM_F_CREATE | NLM_F_EXCL, &message)
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
