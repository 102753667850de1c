//! The security association database (RFC 4301 section 4.4.2): a copy of the kernel's, kept true by its events.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;

use super::slots::{Slot, Slots};
use super::{IpsecProtocol, Sa, SaId, Spi};

/// SAs by identity, and by the number that packets name them by.
#[derive(Clone, Debug, Default)]
pub struct Sad {
    sas: Slots<SaId, Sa>,
    /// Mostly one SA to an SPI; the rare others (two peers chose the same number) stand behind it.
    by_spi: HashMap<Spi, Vec<Slot>>,
}

impl Sad {
    /// Adds an SA, or puts it in the place of the one with the same identity.
    pub fn insert(&mut self, sa: Sa) -> Slot {
        let spi = sa.spi;
        let (slot, before) = self.sas.insert(sa.id(), sa);
        if before.is_none() {
            self.by_spi.entry(spi).or_default().push(slot);
        }
        slot
    }

    /// Takes an SA out.
    pub fn remove(&mut self, id: &SaId) -> Option<(Slot, Sa)> {
        let (slot, sa) = self.sas.remove(id)?;
        if let Some(slots) = self.by_spi.get_mut(&id.spi) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.by_spi.remove(&id.spi);
            }
        }
        Some((slot, sa))
    }

    /// Takes out what a flush of `protocol` takes.
    pub fn flush(&mut self, protocol: IpsecProtocol) -> Vec<(Slot, Sa)> {
        let taken = |sa: &&Sa| protocol.flushes(sa.protocol);
        let gone: Vec<SaId> = self.iter().map(|(_, sa)| sa).filter(taken).map(Sa::id).collect();
        gone.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The SA in a slot, to renew its counters; its identity must stay.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut Sa> {
        self.sas.at_mut(slot)
    }

    /// The SA that a packet names: the unmarked one, or else any with these addresses.
    pub fn of_packet(&self, destination: IpAddr, protocol: IpsecProtocol, spi: Spi) -> Option<&Sa> {
        self.get(&SaId { destination, protocol, spi, mark: None, acquire_sequence: 0 }).or_else(|| {
            let slots = self.by_spi.get(&spi)?;
            let mut found = slots.iter().filter_map(|slot| self.at(*slot));
            found.find(|sa| sa.destination == destination && sa.protocol == protocol)
        })
    }

    /// Whether any SA uses this number.
    pub fn has_spi(&self, spi: Spi) -> bool {
        self.by_spi.contains_key(&spi)
    }
}

impl Deref for Sad {
    type Target = Slots<SaId, Sa>;

    fn deref(&self) -> &Self::Target {
        &self.sas
    }
}

impl FromIterator<Sa> for Sad {
    fn from_iter<T: IntoIterator<Item = Sa>>(sas: T) -> Self {
        let mut sad = Self::default();
        for sa in sas {
            sad.insert(sa);
        }
        sad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mark, SaSpec};

    fn sa(destination: [u8; 4], protocol: IpsecProtocol, spi: u32, mark: Option<Mark>) -> Sa {
        let mut spec = SaSpec::new([10, 0, 0, 1].into(), destination.into(), protocol, Spi(spi));
        spec.mark = mark;
        Sa::from_spec(&spec, 1000)
    }

    #[test]
    fn an_sa_put_in_anothers_place_is_found_once() {
        let mut sad = Sad::default();
        let slot = sad.insert(sa([10, 0, 0, 2], IpsecProtocol::Esp, 1, None));
        assert_eq!(sad.insert(sa([10, 0, 0, 2], IpsecProtocol::Esp, 1, None)), slot);
        let id = sad.at(slot).unwrap().id();
        assert!(sad.has_spi(Spi(1)) && sad.remove(&id).is_some());
        assert!(!sad.has_spi(Spi(1)) && sad.remove(&id).is_none());
    }

    #[test]
    fn a_packet_finds_its_sa_even_behind_a_mark() {
        let mark = Some(Mark { value: 1, mask: 1 });
        let sad: Sad = [
            sa([10, 0, 0, 2], IpsecProtocol::Esp, 7, mark),
            sa([10, 0, 0, 3], IpsecProtocol::Esp, 7, None),
            sa([10, 0, 0, 2], IpsecProtocol::Ah, 7, None),
        ]
        .into_iter()
        .collect();
        let find = |last, protocol| sad.of_packet([10, 0, 0, last].into(), protocol, Spi(7)).map(|sa| sa.mark);
        assert_eq!(find(2, IpsecProtocol::Esp), Some(mark));
        assert_eq!(find(3, IpsecProtocol::Esp), Some(None));
        assert_eq!(find(3, IpsecProtocol::Ah), None);
    }

    #[test]
    fn a_flush_takes_its_protocol() {
        let mut sad: Sad = [
            sa([10, 0, 0, 2], IpsecProtocol::Esp, 1, None),
            sa([10, 0, 0, 2], IpsecProtocol::Ah, 1, None),
            sa([10, 0, 0, 2], IpsecProtocol::Routing, 1, None),
        ]
        .into_iter()
        .collect();
        assert_eq!(sad.flush(IpsecProtocol::Ah).len(), 1);
        assert_eq!(sad.flush(IpsecProtocol::Any).len(), 1);
        assert_eq!(sad.len(), 1);
        assert!(sad.has_spi(Spi(1)));
        assert_eq!(sad.flush(IpsecProtocol::Other(0)).len(), 1);
        assert!(sad.is_empty() && !sad.has_spi(Spi(1)));
    }
}
