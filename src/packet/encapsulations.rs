//! Which ports carry IPsec beside those that always do: an SA may name any.

use std::collections::HashMap;

use super::transport::NAT_TRAVERSAL;
use super::{Dissection, Header, Layer, LinkType, Protocol, walk};
use crate::model::{Flow, UpperProtocol};

/// The flows of UDP and TCP that carry ESP and IKE as those of port 4500 do, because SAs say so.
#[derive(Clone, Debug, Default)]
pub struct Encapsulations(HashMap<Flow, u32>);

impl Encapsulations {
    /// An SA sends its packets in this flow. What is sent back through the same NAT is in the opposite one.
    pub fn add(&mut self, flow: Flow) {
        for flow in unknown_ways(flow) {
            *self.0.entry(flow).or_default() += 1;
        }
    }

    /// An SA that did so is forgotten; there may be others.
    pub fn remove(&mut self, flow: Flow) {
        for flow in unknown_ways(flow) {
            if let Some(count) = self.0.get_mut(&flow) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&flow);
                }
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of the ports of each, sorted: whoever looks at these sees all of them.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.0.keys().map(|flow| flow.source_port.min(flow.destination_port)).collect();
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
        self.0.contains_key(&flow).then_some(carried)
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
