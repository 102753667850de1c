//! What is known of the kernel: the copies of its databases, its counters, what it can do.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;

use super::rates::Rates;
use super::table::Source;
use crate::capture::Interface;
use crate::console::columns::{Column, PolicyColumn, PolicyRow, SaColumn, SaRow, search};
use crate::console::event::Now;
use crate::kernel::Support;
use crate::model::row_filter::{FilteredRow, Object};
use crate::model::slots::Slot;
use crate::model::{PolicyDefaults, RowFilter, Sa, SaDirection, Sad, Spd, Ties, XfrmStatistics};

/// What is known of the kernel.
#[derive(Debug, Default)]
pub struct Facts {
    /// The time of the last event.
    pub now: Now,
    /// The copy of the SAD.
    pub sad: Sad,
    /// The copy of the SPD.
    pub spd: Spd,
    /// What happens to packets without a policy, where the kernel tells.
    pub defaults: Option<PolicyDefaults>,
    /// Which of two policies of one priority it asks first.
    pub ties: Ties,
    /// Whether the copies are the kernel's: at the start and after a loss they are not.
    pub synced: bool,
    /// Whether they have been at least once.
    pub read_once: bool,
    /// Why the kernel cannot be followed, while it cannot.
    pub silent: Option<String>,
    /// Packets lost since the namespace was made.
    pub statistics: XfrmStatistics,
    /// What the kernel can do.
    pub support: Support,
    /// The rates of SAs.
    pub rates: Rates,
    /// The interfaces of this host.
    pub interfaces: Vec<Interface>,
    /// Their addresses.
    pub addresses: HashSet<IpAddr>,
}

impl Facts {
    /// A row of the table of SAs.
    pub fn sa_row(&self, slot: Slot) -> Option<SaRow<'_>> {
        let row = self.sa_row_without_direction(slot)?;
        Some(SaRow { direction: self.direction_of(row.sa), ..row })
    }

    fn sa_row_without_direction(&self, slot: Slot) -> Option<SaRow<'_>> {
        let sa = self.sad.at(slot)?;
        let rate = self.rates.of(slot);
        Some(SaRow {
            sa,
            direction: None,
            packet_rate: rate.map(|rate| rate.packets),
            byte_rate: rate.map(|rate| rate.bytes),
            now: self.now.secs(),
        })
    }

    /// An SA's way: the kernel's word, or else by which of its ends is here.
    pub fn direction_of(&self, sa: &Sa) -> Option<SaDirection> {
        let here = |address| self.addresses.contains(&address);
        sa.direction.or_else(|| match (here(sa.source), here(sa.destination)) {
            (_, true) => Some(SaDirection::In),
            (true, false) => Some(SaDirection::Out),
            (false, false) => None,
        })
    }

    /// A row of the table of policies.
    pub fn policy_row(&self, slot: Slot) -> Option<PolicyRow<'_>> {
        let policy = self.spd.at(slot)?;
        let interface = self.interface_name(policy.selector.interface);
        Some(PolicyRow { policy, interface, now: self.now.secs() })
    }

    /// The name of the interface of this number, where there is one.
    pub fn interface_name(&self, index: u32) -> Option<&str> {
        let found = (index != 0).then(|| self.interfaces.iter().find(|interface| interface.index == index)).flatten();
        found.map(|interface| interface.name.as_str())
    }
}

impl Source<SaColumn> for Facts {
    fn end(&self) -> Slot {
        self.sad.end()
    }

    fn passes(&self, slot: Slot, filter: Option<&RowFilter>, shown: &[SaColumn], scratch: &mut String) -> bool {
        let (Some(filter), Some(row)) = (filter, self.sa_row(slot)) else {
            return self.sad.at(slot).is_some();
        };
        let filtered = FilteredRow { object: Object::Sa(row.sa, row.direction), now: row.now };
        filter.fits(&filtered, &mut search(&row, shown, scratch))
    }

    fn compare(&self, column: SaColumn, a: Slot, b: Slot) -> Ordering {
        // The only column that asks for it; finding it out takes longest.
        let needs_direction = column == SaColumn::Direction;
        let row = |slot| if needs_direction { self.sa_row(slot) } else { self.sa_row_without_direction(slot) };
        match (row(a), row(b)) {
            (Some(a), Some(b)) => column.compare(&a, &b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

impl Source<PolicyColumn> for Facts {
    fn end(&self) -> Slot {
        self.spd.end()
    }

    fn passes(&self, slot: Slot, filter: Option<&RowFilter>, shown: &[PolicyColumn], scratch: &mut String) -> bool {
        let (Some(filter), Some(row)) = (filter, self.policy_row(slot)) else {
            return self.spd.at(slot).is_some();
        };
        let filtered = FilteredRow { object: Object::Policy(row.policy), now: row.now };
        filter.fits(&filtered, &mut search(&row, shown, scratch))
    }

    fn compare(&self, column: PolicyColumn, a: Slot, b: Slot) -> Ordering {
        match (self.policy_row(a), self.policy_row(b)) {
            (Some(a), Some(b)) => column.compare(&a, &b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}
