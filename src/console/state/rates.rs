//! Packets and bytes per second, from counters read twice.

use crate::model::LifetimeUsed;
use crate::model::slots::Slot;

/// What goes through an SA in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Packets.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    packets: u64,
    bytes: u64,
    /// When what was counted was added.
    added_at: u64,
    at_ms: u64,
    rate: Option<Rate>,
}

/// The rates of rows, by their slots.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    readings: Vec<Option<Reading>>,
}

/// Readings closer than this say more about chance than about the rate.
const LEAST_MS: u64 = 200;

impl Rates {
    /// Takes a reading in.
    pub fn read(&mut self, slot: Slot, used: LifetimeUsed, now_ms: u64) {
        let place = slot as usize;
        if self.readings.len() <= place {
            self.readings.resize(place + 1, None);
        }
        let Some(reading) = self.readings.get_mut(place) else {
            return;
        };
        let LifetimeUsed { packets, bytes, added_at, .. } = used;
        let fresh = Reading { packets, bytes, added_at, at_ms: now_ms, rate: None };
        *reading = match reading {
            // Made anew since: its counters began again.
            Some(before) if before.added_at != added_at || before.packets > packets => Some(fresh),
            Some(before) if now_ms.saturating_sub(before.at_ms) < LEAST_MS => return,
            Some(before) => {
                let ms = now_ms - before.at_ms;
                let per_second = |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1000).div_ceil(ms);
                let rate =
                    Rate { packets: per_second(packets, before.packets), bytes: per_second(bytes, before.bytes) };
                Some(Reading { rate: Some(rate), ..fresh })
            }
            None => Some(fresh),
        };
    }

    /// The last rate of a row; `None` before its second reading.
    pub fn of(&self, slot: Slot) -> Option<Rate> {
        self.readings.get(slot as usize)?.as_ref()?.rate
    }

    /// Forgets a row: its slot may be used again.
    pub fn forget(&mut self, slot: Slot) {
        if let Some(reading) = self.readings.get_mut(slot as usize) {
            *reading = None;
        }
    }

    /// Forgets all rows; there will be so many.
    pub fn begin(&mut self, slots: Slot) {
        self.readings = Vec::with_capacity(slots as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(packets: u64, added_at: u64) -> LifetimeUsed {
        LifetimeUsed { packets, bytes: packets * 100, added_at, used_at: None }
    }

    #[test]
    fn two_readings_make_a_rate() {
        let mut rates = Rates::default();
        rates.read(3, used(10, 1), 1000);
        assert_eq!(rates.of(3), None);
        rates.read(3, used(20, 1), 3000);
        assert_eq!(rates.of(3), Some(Rate { packets: 5, bytes: 500 }));
        rates.read(3, used(25, 1), 3100);
        assert_eq!(rates.of(3), Some(Rate { packets: 5, bytes: 500 }), "too soon");
        rates.read(3, used(5, 1), 4000);
        assert_eq!(rates.of(3), None, "the counter went back: another SA");
        assert_eq!(rates.of(99), None);
    }

    #[test]
    fn an_sa_made_anew_starts_anew() {
        let mut rates = Rates::default();
        rates.read(0, used(10, 1), 1000);
        rates.read(0, used(500, 2), 2000);
        assert_eq!(rates.of(0), None);
        rates.forget(0);
        rates.read(0, used(600, 2), 3000);
        assert_eq!(rates.of(0), None);
    }
}
