//! What steps would change, without taking them: the databases before and after, object by object.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::together::{Step, kept_by_update};
use super::{KernelError, Operation, Result};
use crate::kernel::Cause;
use crate::model::sa::SpiRequest;
use crate::model::{Policy, PolicyId, PolicySpec, Sa, SaId, SaSpec};

/// What becomes of the objects that steps touch.
#[derive(Debug)]
pub struct Preview {
    /// Of SAs.
    pub sas: Vec<Fate<SaSpec>>,
    /// Of policies.
    pub policies: Vec<Fate<PolicySpec>>,
    /// How many of both nothing touches.
    pub untouched: usize,
    /// What else changes, in words.
    pub others: Vec<String>,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate<T> {
    /// As it is.
    pub before: Option<T>,
    /// As it will be.
    pub after: Option<T>,
    is_touched: bool,
}

/// A database that steps are tried on.
struct Trial<Id, T> {
    fates: Vec<Fate<T>>,
    places: HashMap<Id, usize>,
}

impl<Id: Eq + Hash, T: Clone> Trial<Id, T> {
    fn new(rows: impl Iterator<Item = (Id, T)>) -> Self {
        let mut trial = Self { fates: Vec::new(), places: HashMap::new() };
        for (id, row) in rows {
            trial.places.insert(id, trial.fates.len());
            trial.fates.push(Fate { before: Some(row.clone()), after: Some(row), is_touched: false });
        }
        trial
    }

    /// `false` if it is there already.
    fn add(&mut self, id: Id, row: T) -> bool {
        match self.places.entry(id) {
            Entry::Vacant(place) => {
                place.insert(self.fates.len());
                self.fates.push(Fate { before: None, after: Some(row), is_touched: true });
                true
            }
            Entry::Occupied(place) => match self.fates.get_mut(*place.get()) {
                Some(fate) if fate.after.is_none() => {
                    fate.after = Some(row);
                    true
                }
                _ => false,
            },
        }
    }

    /// `false` if it is not there.
    fn delete(&mut self, id: &Id) -> bool {
        let fate = self.places.get(id).and_then(|place| self.fates.get_mut(*place));
        fate.is_some_and(|fate| {
            fate.is_touched = true;
            fate.after.take().is_some()
        })
    }

    fn get(&self, id: &Id) -> Option<&T> {
        self.places.get(id).and_then(|place| self.fates.get(*place))?.after.as_ref()
    }

    /// As it was before all steps.
    fn before(&self, id: &Id) -> Option<&T> {
        self.places.get(id).and_then(|place| self.fates.get(*place))?.before.as_ref()
    }

    /// Puts it in the place of what is there; `false` if nothing is.
    fn update(&mut self, id: &Id, row: T) -> bool {
        match self.places.get(id).and_then(|place| self.fates.get_mut(*place)) {
            Some(fate) if fate.after.is_some() => {
                (fate.after, fate.is_touched) = (Some(row), true);
                true
            }
            _ => false,
        }
    }

    /// Puts it there, whether it is there or not.
    fn put(&mut self, id: Id, row: &T) {
        let _ = self.update(&id, row.clone()) || self.add(id, row.clone());
    }

    fn flush(&mut self, is_flushed: impl Fn(&T) -> bool) {
        for fate in self.fates.iter_mut().filter(|fate| fate.after.as_ref().is_some_and(&is_flushed)) {
            (fate.after, fate.is_touched) = (None, true);
        }
    }

    /// What was touched and was there or will be, and how many others there are.
    fn outcome(self) -> (Vec<Fate<T>>, usize) {
        let (touched, others): (Vec<_>, Vec<_>) = self.fates.into_iter().partition(|fate| fate.is_touched);
        let is_something = |fate: &Fate<T>| fate.before.is_some() || fate.after.is_some();
        (touched.into_iter().filter(is_something).collect(), others.len())
    }
}

/// Tries steps on databases like these.
///
/// # Errors
/// What the kernel would refuse because it exists already or does not exist, with the place of that step; what else it
/// may refuse only it knows.
pub fn preview(
    sas: &[Sa],
    policies: &[Policy],
    steps: &[Step<'_>],
) -> std::result::Result<Preview, (usize, KernelError)> {
    let of_all = || policies.iter().filter(|policy| !policy.is_of_socket());
    let mut bench = Bench {
        sas: Trial::new(sas.iter().map(|sa| (sa.id(), sa.to_spec()))),
        policies: Trial::new(of_all().map(|policy| (policy.id(), policy.to_spec()))),
        larval: sas.iter().filter(|sa| sa.is_larval()).map(Sa::id).collect(),
        places: of_all().map(|policy| (policy.index, policy.id())).collect(),
        numbers: of_all().map(|policy| (policy.id(), policy.index)).collect(),
        labelled: of_all().filter(|policy| policy.security.is_some()).map(Policy::id).collect(),
        others: Vec::new(),
    };
    for (place, step) in steps.iter().enumerate() {
        bench.take(step).map_err(|error| (place, error))?;
    }
    let ((sas, other_sas), (policies, other_policies)) = (bench.sas.outcome(), bench.policies.outcome());
    Ok(Preview { sas, policies, untouched: other_sas + other_policies, others: bench.others })
}

/// The databases that steps are tried on.
struct Bench {
    sas: Trial<SaId, SaSpec>,
    policies: Trial<PolicyId, PolicySpec>,
    /// The SAs that wait for their keys.
    larval: HashSet<SaId>,
    /// The policies by their numbers.
    places: HashMap<u32, PolicyId>,
    /// The numbers of the policies.
    numbers: HashMap<PolicyId, u32>,
    /// The policies with labels: others may differ from them in the label alone.
    labelled: HashSet<PolicyId>,
    others: Vec<String>,
}

fn refused_unless(is_fine: bool, operation: Operation, errno: i32) -> Result<()> {
    let error = KernelError { operation, cause: Cause::Refused { errno, text: None } };
    if is_fine { Ok(()) } else { Err(error) }
}

impl Bench {
    fn take(&mut self, step: &Step<'_>) -> Result<()> {
        match step {
            Step::AddSa(spec) => {
                let is_new = self.sas.add(spec.id(), (*spec).clone());
                refused_unless(is_new, Operation::AddSa(spec.id()), libc::EEXIST)
            }
            Step::UpdateSa(spec) => self.update_sa(spec),
            Step::DeleteSa(id) => refused_unless(self.sas.delete(id), Operation::DeleteSa(*id), libc::ESRCH),
            Step::DeleteSas(filter) => {
                self.sas.flush(|spec| filter.is_none_or(|filter| filter.fits_sa(&Sa::from_spec(spec, 0))));
                Ok(())
            }
            Step::FlushSas(protocol) => {
                self.sas.flush(|sa| protocol.flushes(sa.protocol));
                Ok(())
            }
            Step::AddPolicy(spec) => {
                let operation = Operation::AddPolicy(Box::new(spec.id()));
                if spec.security.is_some() {
                    self.labelled.insert(spec.id());
                }
                let is_new = self.policies.add(spec.id(), (*spec).clone()) || self.labelled.contains(&spec.id());
                refused_unless(is_new, operation, libc::EEXIST)?;
                self.number(spec);
                Ok(())
            }
            Step::UpdatePolicy(spec) => {
                // One that is there keeps its number.
                if self.policies.get(&spec.id()).is_none() {
                    self.number(spec);
                }
                self.policies.put(spec.id(), spec);
                Ok(())
            }
            Step::DeletePolicy(id) => {
                let is_gone = self.policies.delete(id) || self.labelled.contains(id);
                refused_unless(is_gone, Operation::DeletePolicy(Box::new(*id)), libc::ENOENT)
            }
            Step::DeletePolicyIfThere(id) => {
                self.policies.delete(id);
                Ok(())
            }
            Step::DeletePolicyAt(place) => {
                let id = self.places.get(&place.index);
                let id = id.filter(|id| id.direction == place.direction && id.kind == place.kind).copied();
                let is_gone = id.is_some_and(|id| self.policies.delete(&id) || self.labelled.contains(&id));
                refused_unless(is_gone, Operation::ReadPolicyAt(place.index), libc::ENOENT)
            }
            Step::DeletePolicies(filter) => {
                let numbers = &self.numbers;
                self.policies.flush(|spec| {
                    let number = numbers.get(&spec.id()).copied().unwrap_or(0);
                    filter.is_none_or(|filter| filter.fits_policy(&Policy::from_spec(spec, number, 0)))
                });
                Ok(())
            }
            Step::FlushPolicies(kind) => {
                self.policies.flush(|policy| policy.kind == *kind);
                Ok(())
            }
            Step::AllocateSpi(wanted) => self.allocate(wanted),
            Step::SetDefaults(change) => {
                self.others.push(format!("packets without a policy: {change}"));
                Ok(())
            }
            Step::SetThresholds(change) => {
                self.others.push(format!("hash thresholds: {change}"));
                Ok(())
            }
            Step::Show(_) => Ok(()),
        }
    }

    /// A policy that is made has the number that is asked for; another one only the kernel knows.
    fn number(&mut self, spec: &PolicySpec) {
        self.numbers.insert(spec.id(), spec.index);
        if spec.index != 0 {
            self.places.insert(spec.index, spec.id());
        }
    }

    fn allocate(&mut self, wanted: &SpiRequest) -> Result<()> {
        // Which one it is only the kernel knows, unless it is the only one that will do.
        if wanted.least != wanted.greatest {
            self.others.push(format!("{wanted} is reserved"));
            return Ok(());
        }
        let (mode, reqid, mark) = (wanted.mode, wanted.reqid, wanted.mark);
        let named = SaSpec::new(wanted.source, wanted.destination, wanted.protocol, wanted.least);
        let spec = SaSpec { mode, reqid, mark, ..named };
        // One that was there before is the same for all that can be foreseen: the kernel adds limits of its own.
        let is_like = |before: &&SaSpec| before.algorithms.is_none() && (before.mode, before.reqid) == (mode, reqid);
        let spec = self.sas.before(&spec.id()).filter(is_like).cloned().unwrap_or(spec);
        self.larval.insert(spec.id());
        let operation = Operation::AllocateSpi(Box::new(*wanted));
        refused_unless(self.sas.add(spec.id(), spec), operation, libc::ENOENT)
    }

    fn update_sa(&mut self, spec: &SaSpec) -> Result<()> {
        let operation = || Operation::UpdateSa(spec.id());
        let is_larval = self.larval.remove(&spec.id());
        let kept = self.sas.get(&spec.id()).filter(|_| !is_larval).map(|before| kept_by_update(before, spec));
        if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
            return Err(KernelError { operation: operation(), cause: Cause::WouldKeep(kept) });
        }
        refused_unless(self.sas.update(&spec.id(), spec.clone()), operation(), libc::ESRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::extras::SecurityContext;
    use crate::model::question::PolicyPlace;
    use crate::model::row_filter::Rows;
    use crate::model::{IpsecProtocol, PolicyDirection, PolicyKind, Prefix, ReqId, RowFilter, Selector, Spi};

    fn spec(spi: u32) -> SaSpec {
        SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(spi))
    }

    #[test]
    fn what_goes_comes_changes_and_stays_is_told_apart() {
        let sas: Vec<Sa> = [0x1001, 0x1002, 0x1003].map(|spi| Sa::from_spec(&spec(spi), 0)).to_vec();
        let (kept, new) = (spec(0x1001), spec(0x2001));
        let mut changed = spec(0x1002);
        changed.reqid = ReqId(7);
        let select = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        let policy = Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, select), 1, 0);
        let steps = [
            Step::FlushSas(IpsecProtocol::Any),
            Step::AddSa(&kept),
            Step::AddSa(&changed),
            Step::AddSa(&new),
            Step::DeleteSa(new.id()),
            Step::AddSa(&new),
        ];
        let preview = preview(&sas, &[policy], &steps).unwrap();
        let fates: Vec<_> = preview.sas.iter().map(|fate| (fate.before.clone(), fate.after.clone())).collect();
        let expected = [
            (Some(spec(0x1001)), Some(kept)),
            (Some(spec(0x1002)), Some(changed)),
            (Some(spec(0x1003)), None),
            (None, Some(new)),
        ];
        assert_eq!(fates, expected);
        assert_eq!((preview.policies.len(), preview.untouched), (0, 1));
    }

    #[test]
    fn a_reserved_spi_is_there_for_the_steps_behind_it() {
        let mut wanted = SpiRequest::any([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp);
        let any = Step::AllocateSpi(&wanted);
        assert_eq!(preview(&[], &[], &[any]).unwrap().others.len(), 1);
        (wanted.least, wanted.greatest) = (Spi(0x1001), Spi(0x1001));
        let (reserve, full) = (Step::AllocateSpi(&wanted), spec(0x1001));
        let update = Step::UpdateSa(&full);
        let outcome = preview(&[], &[], &[reserve.clone(), update.clone()]).unwrap();
        assert_eq!((outcome.sas[0].before.as_ref(), outcome.sas[0].after.as_ref()), (None, Some(&full)));
        let (place, error) = preview(&[], &[], &[reserve.clone(), reserve.clone()]).unwrap_err();
        assert_eq!((place, error.errno()), (1, Some(libc::ENOENT)));
        // Reserved again after a flush it is as it was.
        let mut larval = Sa::from_spec(&spec(0x1001), 0);
        larval.limits.since_added_secs.hard = Some(30);
        let outcome = preview(&[larval], &[], &[Step::FlushSas(IpsecProtocol::Any), reserve]).unwrap();
        assert_eq!(outcome.sas[0].before, outcome.sas[0].after);
    }

    #[test]
    fn a_policy_that_need_not_be_there_is_not_missed() {
        let select = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        let policy = Policy::from_spec(&PolicySpec::new(PolicyDirection::Forward, select), 2, 0);
        let gone = Step::DeletePolicyIfThere(policy.id());
        let outcome = preview(&[], &[policy], &[gone.clone(), gone]).unwrap();
        assert_eq!((outcome.policies.len(), outcome.policies[0].after.as_ref()), (1, None));
    }

    #[test]
    fn a_policy_is_found_by_its_number() {
        let select = Selector::between(Prefix::ANY_V4, Prefix::ANY_V4);
        let spec = PolicySpec::new(PolicyDirection::Out, select);
        let policy = Policy::from_spec(&spec, 81, 0);
        let numbered = PolicySpec { index: 89, ..spec.clone() };
        let filter = |number| RowFilter::parse(&format!("index {number}"), Rows::Policies).unwrap().unwrap();
        let (old, new) = (filter(81), filter(89));
        let steps = [
            Step::DeletePolicies(Some(&old)),
            Step::AddPolicy(&numbered),
            Step::DeletePolicies(Some(&old)),
            Step::DeletePolicies(Some(&new)),
            Step::AddPolicy(&numbered),
            Step::DeletePolicyAt(PolicyPlace { index: 89, direction: spec.direction, kind: spec.kind }),
            Step::AddPolicy(&spec),
        ];
        let outcome = preview(&[], std::slice::from_ref(&policy), &steps).unwrap();
        assert_eq!(outcome.policies[0].before, outcome.policies[0].after);
        let (place, error) = preview(&[], &[policy], &steps[1..]).unwrap_err();
        assert_eq!((place, error.errno()), (0, Some(libc::EEXIST)));
    }

    #[test]
    fn what_may_differ_in_the_label_alone_is_not_foreseen() {
        let plain = PolicySpec::new(PolicyDirection::Out, Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
        let security = SecurityContext { doi: 1, algorithm: 1, label: (*b"a:b\0").into() };
        let labelled = PolicySpec { security: Some(Box::new(security)), ..plain.clone() };
        let gone = Step::DeletePolicy(plain.id());
        let steps = [Step::AddPolicy(&labelled), gone.clone(), gone];
        let policies = [&plain, &labelled].map(|spec| Policy::from_spec(spec, 0, 0));
        assert!(preview(&[], &policies[..1], &steps).is_ok());
        assert!(preview(&[], &policies, &steps[1..]).is_ok());
        let (place, error) = preview(&[], &policies[..1], &steps[1..]).unwrap_err();
        assert_eq!((place, error.errno()), (1, Some(libc::ENOENT)));
    }

    #[test]
    fn what_the_kernel_would_refuse_is_foreseen() {
        let sas = [Sa::from_spec(&spec(0x1001), 0)];
        let (again, other) = (spec(0x1001), spec(0x1002));
        let refused = |steps: &[Step<'_>]| preview(&sas, &[], steps).unwrap_err();
        let (place, error) = refused(&[Step::AddSa(&other), Step::AddSa(&again)]);
        assert_eq!((place, error.errno()), (1, Some(libc::EEXIST)));
        let (place, error) = refused(&[Step::DeleteSa(again.id()), Step::DeleteSa(again.id())]);
        assert_eq!((place, error.errno()), (1, Some(libc::ESRCH)));
        let flush = Step::FlushPolicies(PolicyKind::Main);
        assert!(preview(&sas, &[], &[flush, Step::DeleteSa(again.id()), Step::AddSa(&again)]).is_ok());
    }
}
