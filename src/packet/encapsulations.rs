//! Which ports carry IPsec beside those that always do: an SA may name any.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use super::transport::NAT_TRAVERSAL;
use super::{Dissection, Header, Layer, LinkType, Protocol, walk};
use crate::model::{Flow, UpperProtocol};

/// The flows of UDP and TCP that carry ESP and IKE, because SAs say so.
#[derive(Clone, Debug, Default)]
pub struct Encapsulations {
    /// Those of other ports than 4500.
    flows: HashMap<Flow, u32>,
    /// Between which addresses, by the protocol, both ways.
    ends: HashMap<(UpperProtocol, IpAddr, IpAddr), u32>,
}

impl Encapsulations {
    /// An SA sends its packets in this flow. What is sent back through the same NAT is in the opposite one.
    pub fn add(&mut self, flow: Flow) {
        for ends in both_ways(flow) {
            *self.ends.entry(ends).or_default() += 1;
        }
        for flow in unknown_ways(flow) {
            *self.flows.entry(flow).or_default() += 1;
        }
    }

    /// An SA that did so is forgotten; there may be others.
    pub fn remove(&mut self, flow: Flow) {
        for ends in both_ways(flow) {
            count_down(&mut self.ends, &ends);
        }
        for flow in unknown_ways(flow) {
            count_down(&mut self.flows, &flow);
        }
    }

    /// Whether none is of another port than 4500.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Whether an SA sends its packets in this protocol between these addresses.
    pub fn are_between(&self, protocol: UpperProtocol, source: IpAddr, destination: IpAddr) -> bool {
        self.ends.contains_key(&(protocol, source, destination))
    }

    /// Whether an SA sends its packets in this flow of another port than 4500, or in the opposite one.
    pub fn has(&self, flow: &Flow) -> bool {
        self.flows.contains_key(flow)
    }

    /// One of the ports of each, sorted: whoever looks at these sees all of them.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.flows.keys().map(|flow| flow.source_port.min(flow.destination_port)).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Takes a frame apart.
    pub fn dissect(&self, link: LinkType, frame: &[u8]) -> Dissection {
        walk(Some(link.first_protocol(frame)), frame, self)
    }

    /// Takes apart what was behind an IP, AH or ESP header that announced it by this number.
    pub fn dissect_above_ip(&self, number: u8, payload: &[u8]) -> Dissection {
        walk(Protocol::above_ip(number), payload, self)
    }

    /// What a header carries behind these layers, if that is not known by its ports.
    pub(super) fn behind(&self, before: &[Layer], header: &Header) -> Option<Protocol> {
        if self.is_empty() {
            return None;
        }
        let (protocol, carried) = match header {
            Header::Udp(_) => (UpperProtocol::UDP, Protocol::UdpEncapsulation),
            Header::Tcp(_) => (UpperProtocol::TCP, Protocol::TcpEncapsulation),
            _ => return None,
        };
        let (source, destination) = before.iter().rev().find_map(|layer| layer.header.ip_addresses())?;
        let (source_port, destination_port) = header.ports()?;
        let flow = Flow { source, destination, protocol, source_port, destination_port, interface: 0 };
        self.has(&flow).then_some(carried)
    }
}

fn both_ways(flow: Flow) -> [(UpperProtocol, IpAddr, IpAddr); 2] {
    [(flow.protocol, flow.source, flow.destination), (flow.protocol, flow.destination, flow.source)]
}

fn count_down<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// It and its opposite, unless their ports are known anyway.
fn unknown_ways(flow: Flow) -> impl Iterator<Item = Flow> {
    let back = Flow {
        source: flow.destination,
        destination: flow.source,
        source_port: flow.destination_port,
        destination_port: flow.source_port,
        ..flow
    };
    let is_known = [flow.source_port, flow.destination_port].contains(&NAT_TRAVERSAL);
    [flow, back].into_iter().filter(move |_| !is_known)
}
