//! Keys that were given by hand: a row may be for many SAs, and several rows for one.
//!
//! Which row a packet belongs to is found out by trying: its key makes the packet's ICV. Then an SA is drawn from the
//! row. So forged packets leave nothing behind, and each row's key is prepared once, however many SAs it is for.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::memory::{Known, Preparation, encrypts, prepare};
use crate::crypto::sequence;
use crate::model::{Sa, Spi};
use crate::packet::IpsecHeader;

/// Rows of keys, in the order in which they were given.
#[derive(Default)]
pub(super) struct GivenKeys {
    rows: Vec<Row>,
    /// The rows for one SPI alone.
    by_spi: HashMap<Spi, Vec<usize>>,
    /// The others.
    for_many: Vec<usize>,
}

struct Row {
    /// What an SA that is drawn from it begins as.
    sa: Sa,
    fits: Box<dyn Fn(&IpsecHeader) -> bool + Send>,
    /// For sequence numbers of 32 and of 64 bits.
    prepared: [OnceCell<Preparation>; 2],
}

/// A row's key, to be tried on a packet.
pub(super) struct Trial {
    row: usize,
    pub(super) prepared: Preparation,
    pub(super) extended: bool,
    pub(super) sequence: u64,
    pub(super) encrypts: bool,
}

impl GivenKeys {
    /// Adds a row; `spi` if it is for no other.
    pub(super) fn add(&mut self, sa: Sa, spi: Option<Spi>, fits: Box<dyn Fn(&IpsecHeader) -> bool + Send>) {
        let place = self.rows.len();
        self.rows.push(Row { sa, fits, prepared: Default::default() });
        match spi {
            Some(spi) => self.by_spi.entry(spi).or_default().push(place),
            None => self.for_many.push(place),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What can be tried on a packet. `known` is its SA, if the kernel told of it and hides its key: then how sequence
    /// numbers go is known. Otherwise a row that does not say so may still be for numbers of 64 bits.
    pub(super) fn trials(&self, header: &IpsecHeader, known: Option<&Known>) -> Vec<Trial> {
        let exact = self.by_spi.get(&header.spi).into_iter().flatten();
        let mut places: Vec<usize> = exact.chain(&self.for_many).copied().collect();
        places.sort_unstable();
        let rows = places.into_iter().filter_map(|place| Some((place, self.rows.get(place)?)));
        let low = header.sequence.unwrap_or(0);
        let tried = |(place, row): (usize, &Row)| {
            let ways = match known {
                Some(known) => vec![(known.extended, known.sequence(low))],
                None => row.ways(low),
            };
            let trial = |(extended, sequence)| {
                let prepared = row.prepared[usize::from(extended)]
                    .get_or_init(|| prepare(row.sa.protocol, &row.sa.algorithms, extended));
                let encrypts = encrypts(&row.sa.algorithms);
                Trial { row: place, prepared: prepared.clone(), extended, sequence, encrypts }
            };
            ways.into_iter().map(trial).collect::<Vec<_>>()
        };
        rows.filter(|(_, row)| (row.fits)(header)).flat_map(tried).collect()
    }

    /// The SA of the packet that a trial was right for.
    pub(super) fn draw(&self, trial: &Trial, header: &IpsecHeader) -> Option<Sa> {
        let mut sa = self.rows.get(trial.row)?.sa.clone();
        (sa.source, sa.destination, sa.spi) = (header.source, header.destination, header.spi);
        Some(sa)
    }
}

impl Row {
    /// Whether sequence numbers have 64 bits, and the number of a packet that carries this lower half.
    fn ways(&self, low: u32) -> Vec<(bool, u64)> {
        if !self.sa.flags.esn() {
            return vec![(false, low.into()), (true, low.into())];
        }
        let counter = self.sa.replay.sent.max(self.sa.replay.received);
        // A table has the upper half of the first number, which may be this one.
        let first = counter & !u64::from(u32::MAX) | u64::from(low);
        let near = sequence::extended(counter, low);
        let mut ways = vec![(true, near), (true, first)];
        ways.dedup();
        ways
    }
}
