//! The security association database (RFC 4301 section 4.4.2): a copy of the kernel's, kept true by its events.

use std::collections::HashMap;
use std::ops::Deref;

use super::slots::{Identified, Slot, Slots};
use super::{IpsecProtocol, Sa, SaId, Spi};

/// SAs by identity, and which numbers are taken.
#[derive(Clone, Debug, Default)]
pub struct Sad {
    sas: Slots<Sa>,
    /// How many SAs have an SPI: mostly one, more where two peers chose the same number.
    spis: HashMap<Spi, u32>,
}

impl Sad {
    /// Adds an SA, or puts it in the place of the one with the same identity.
    pub fn insert(&mut self, sa: Sa) -> Slot {
        let spi = sa.spi;
        let (slot, before) = self.sas.insert(sa);
        if before.is_none() {
            *self.spis.entry(spi).or_default() += 1;
        }
        slot
    }

    /// Takes an SA out.
    pub fn remove(&mut self, id: &SaId) -> Option<(Slot, Sa)> {
        let (slot, sa) = self.sas.remove(id)?;
        if let Some(count) = self.spis.get_mut(&id.spi) {
            *count -= 1;
            if *count == 0 {
                self.spis.remove(&id.spi);
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

    /// Whether any SA uses this number.
    pub fn has_spi(&self, spi: Spi) -> bool {
        self.spis.contains_key(&spi)
    }
}

impl Identified for Sa {
    type Id = SaId;

    fn id(&self) -> SaId {
        Sa::id(self)
    }
}

impl Deref for Sad {
    type Target = Slots<Sa>;

    fn deref(&self) -> &Self::Target {
        &self.sas
    }
}

impl From<Vec<Sa>> for Sad {
    fn from(sas: Vec<Sa>) -> Self {
        let sas = Slots::from(sas);
        let mut spis = HashMap::with_capacity(sas.len());
        for (_, sa) in sas.iter() {
            *spis.entry(sa.spi).or_default() += 1;
        }
        Self { sas, spis }
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
    fn a_flush_takes_its_protocol() {
        let mut sad = Sad::from(vec![
            sa([10, 0, 0, 2], IpsecProtocol::Esp, 1, None),
            sa([10, 0, 0, 2], IpsecProtocol::Ah, 1, None),
            sa([10, 0, 0, 2], IpsecProtocol::Routing, 1, None),
        ]);
        assert_eq!(sad.flush(IpsecProtocol::Ah).len(), 1);
        assert_eq!(sad.flush(IpsecProtocol::Any).len(), 1);
        assert_eq!(sad.len(), 1);
        assert!(sad.has_spi(Spi(1)));
        assert_eq!(sad.flush(IpsecProtocol::Other(0)).len(), 1);
        assert!(sad.is_empty() && !sad.has_spi(Spi(1)));
    }
}
