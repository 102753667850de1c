//! Linux's XFRM netlink: the SAD and SPD of the namespace that the socket was opened in.
//!
//! The fixed bodies of messages are `netlink-packet-xfrm`'s. Their attributes are walked here, because that crate
//! panics on short messages, loses the attributes of some (EXPIRE, MAPPING), fails a whole message for one odd
//! attribute, lacks those of Linux 6.x, and holds keys in types that print them.
#![deny(clippy::indexing_slicing)]

mod decode;
mod encode;
mod watch;

use netlink_packet_xfrm::constants as c;
use netlink_sys::protocols::NETLINK_XFRM;

use super::error::{Cause, KernelError, Operation};
use super::netlink::{Connection, Message, Request};
use super::{Kernel, Result, Watch};
use crate::model::event::SaProgress;
use crate::model::policy::HashThresholds;
use crate::model::sa::SpiRequest;
use crate::model::{
    Counts, IpsecProtocol, Policy, PolicyDefaults, PolicyId, PolicyKind, PolicySpec, Sa, SaId, SaSpec, Ties,
    XfrmStatistics,
};

/// The path of the loss counters of the calling thread's namespace.
const STATISTICS_PATH: &str = "/proc/thread-self/net/xfrm_stat";

/// For no more rows than this memory is taken before they come.
const MOST_EXPECTED: u32 = 1 << 20;

/// How many answers are waited for together: each takes a page of the socket's 208 KiB at most, and what finds no room
/// there is lost.
const ANSWERS_AT_ONCE: usize = 32;

/// A connection to XFRM in one namespace.
pub struct XfrmKernel {
    connection: Connection,
}

impl XfrmKernel {
    /// Opens the namespace of the calling thread.
    ///
    /// # Errors
    /// When the kernel has no XFRM netlink. Rights are not needed yet: every later request says so when they miss.
    pub fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open(NETLINK_XFRM)? })
    }

    fn list<T>(
        &mut self,
        operation: &Operation,
        request: Request,
        kind: u16,
        decode: fn(&[u8]) -> std::result::Result<T, String>,
        expected: u32,
    ) -> Result<Vec<T>> {
        // A list that grows by itself is moved again and again: with 100,000 rows that is a third of the time. Shared by
        // the two closures: the second one empties it when the kernel starts over.
        let rows = std::cell::RefCell::new(Vec::with_capacity(expected.min(MOST_EXPECTED) as usize));
        let row = |message: Message<'_>| {
            if message.kind == kind {
                rows.borrow_mut().push(decode(message.payload)?);
            }
            Ok(())
        };
        self.connection.dump(operation, request, row, || rows.borrow_mut().clear())?;
        Ok(rows.into_inner())
    }

    fn one<T>(
        &mut self,
        operation: Operation,
        request: Request,
        kind: u16,
        decode: fn(&[u8]) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let mut found = None;
        self.connection.request(&operation, request, 0, |message| {
            if message.kind == kind {
                found = Some(decode(message.payload)?);
            }
            Ok(())
        })?;
        let cause = Cause::Unreadable(format!("no message of type {kind:#x} came"));
        found.ok_or(KernelError { operation, cause })
    }

    fn spd_information(&mut self, operation: Operation) -> Result<(Counts, HashThresholds)> {
        let request = Request::new(c::XFRM_MSG_GETSPDINFO).body(&u32::MAX.to_ne_bytes());
        self.one(operation, request, c::XFRM_MSG_NEWSPDINFO, decode::spd_information)
    }

    fn tell(&mut self, operation: &Operation, request: Request) -> Result<()> {
        self.connection.request(operation, request, 0, |_| Ok(()))
    }
}

impl Kernel for XfrmKernel {
    fn sas(&mut self) -> Result<Vec<Sa>> {
        // An empty body asks for all; a filter would be an attribute behind it.
        self.list(&Operation::ListSas, Request::new(c::XFRM_MSG_GETSA), c::XFRM_MSG_NEWSA, decode::sa, 0)
    }

    fn sa(&mut self, id: &SaId) -> Result<Sa> {
        let request = encode::sa_id(c::XFRM_MSG_GETSA, id);
        self.one(Operation::ReadSa(*id), request, c::XFRM_MSG_NEWSA, decode::sa)
    }

    fn sas_of(&mut self, ids: &[SaId]) -> Vec<Sa> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(ANSWERS_AT_ONCE) {
            let mut requests: Vec<Request> = ids.iter().map(|id| encode::sa_id(c::XFRM_MSG_GETSA, id)).collect();
            self.connection.requests(&mut requests, |message| {
                if message.kind == c::XFRM_MSG_NEWSA {
                    found.push(decode::sa(message.payload)?);
                }
                Ok(())
            });
        }
        found
    }

    fn add_sa(&mut self, spec: &SaSpec) -> Result<()> {
        self.tell(&Operation::AddSa(spec.id()), encode::sa(c::XFRM_MSG_NEWSA, spec))
    }

    fn add_sas(&mut self, specs: &[&SaSpec]) -> Vec<(usize, KernelError)> {
        let mut requests: Vec<Request> = specs.iter().map(|spec| encode::sa(c::XFRM_MSG_NEWSA, spec)).collect();
        let refusals = self.connection.requests(&mut requests, |_| Ok(())).into_iter();
        let named = |(place, cause): (usize, _)| {
            let operation = Operation::AddSa(specs.get(place)?.id());
            Some((place, KernelError { operation, cause }))
        };
        refusals.filter_map(named).collect()
    }

    fn update_sa(&mut self, spec: &SaSpec) -> Result<()> {
        self.tell(&Operation::UpdateSa(spec.id()), encode::sa(c::XFRM_MSG_UPDSA, spec))
    }

    fn allocate_spi(&mut self, wanted: &SpiRequest) -> Result<Sa> {
        let operation = Operation::AllocateSpi(Box::new(*wanted));
        self.one(operation, encode::allocate_spi(wanted), c::XFRM_MSG_NEWSA, decode::sa)
    }

    fn progress(&mut self, id: &SaId) -> Result<SaProgress> {
        self.one(Operation::ReadSa(*id), encode::progress_of(id), c::XFRM_MSG_NEWAE, decode::progress)
    }

    fn resume_sa(&mut self, sa: &Sa) -> Result<()> {
        self.tell(&Operation::AddSa(sa.id()), encode::resumed_sa(sa))
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<()> {
        if id.mark.is_some() {
            // xfrm_user_state_lookup takes the first that fits, and an SA without a mark fits every mark.
            let found = self.sa(id).map_err(|error| KernelError { operation: Operation::DeleteSa(*id), ..error })?.id();
            if found != *id {
                return Err(KernelError { operation: Operation::DeleteSa(*id), cause: Cause::WouldTake(found) });
            }
        }
        self.tell(&Operation::DeleteSa(*id), encode::sa_id(c::XFRM_MSG_DELSA, id))
    }

    fn flush_sas(&mut self, protocol: IpsecProtocol) -> Result<()> {
        let result = self.tell(&Operation::FlushSas(protocol), encode::flush_sas(protocol));
        nothing_to_flush_is_fine(result)
    }

    fn policies(&mut self) -> Result<Vec<Policy>> {
        let expected = self.spd_information(Operation::ListPolicies).map_or(0, |(counts, _)| {
            counts.policies_in.saturating_add(counts.policies_out).saturating_add(counts.policies_forward)
        });
        let request = Request::new(c::XFRM_MSG_GETPOLICY);
        self.list(&Operation::ListPolicies, request, c::XFRM_MSG_NEWPOLICY, decode::policy, expected)
    }

    fn policy(&mut self, id: &PolicyId) -> Result<Policy> {
        let request = encode::policy_id(c::XFRM_MSG_GETPOLICY, id);
        self.one(Operation::ReadPolicy(Box::new(*id)), request, c::XFRM_MSG_NEWPOLICY, decode::policy)
    }

    fn add_policy(&mut self, spec: &PolicySpec) -> Result<()> {
        self.tell(&Operation::AddPolicy(Box::new(spec.id())), encode::policy(c::XFRM_MSG_NEWPOLICY, spec))
    }

    fn update_policy(&mut self, spec: &PolicySpec) -> Result<()> {
        let operation = Operation::UpdatePolicy(Box::new(spec.id()));
        self.tell(&operation, encode::policy(c::XFRM_MSG_UPDPOLICY, spec))
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<()> {
        let operation = Operation::DeletePolicy(Box::new(*id));
        self.tell(&operation, encode::policy_id(c::XFRM_MSG_DELPOLICY, id))
    }

    fn delete_listed_policy(&mut self, policy: &Policy) -> Result<()> {
        let id = policy.id();
        self.tell(
            &Operation::DeletePolicy(Box::new(id)),
            encode::policy_place(c::XFRM_MSG_DELPOLICY, &id, policy.index),
        )
    }

    fn flush_policies(&mut self, kind: PolicyKind) -> Result<()> {
        let result = self.tell(&Operation::FlushPolicies(kind), encode::flush_policies(kind));
        nothing_to_flush_is_fine(result)
    }

    fn defaults(&mut self) -> Result<PolicyDefaults> {
        let request = encode::defaults(c::XFRM_MSG_GETDEFAULT, None);
        self.one(Operation::ReadDefaults, request, c::XFRM_MSG_GETDEFAULT, decode::defaults)
    }

    fn set_defaults(&mut self, defaults: PolicyDefaults) -> Result<()> {
        self.tell(&Operation::SetDefaults, encode::defaults(c::XFRM_MSG_SETDEFAULT, Some(defaults)))
    }

    fn counts(&mut self) -> Result<Counts> {
        let sas = Request::new(c::XFRM_MSG_GETSADINFO).body(&u32::MAX.to_ne_bytes());
        let sas = self.one(Operation::Count, sas, c::XFRM_MSG_NEWSADINFO, decode::sad_counts)?;
        let (policies, _) = self.spd_information(Operation::Count)?;
        Ok(Counts { sas: sas.sas, sa_buckets: sas.sa_buckets, ..policies })
    }

    fn ties(&mut self) -> Ties {
        let release = rustix::system::uname();
        if knows_ages(&release.release().to_string_lossy()) {
            return Ties::ByAge;
        }
        let usual = HashThresholds::USUAL;
        if self.thresholds().unwrap_or(usual) == usual { Ties::HostsFirst } else { Ties::Unclear }
    }

    fn thresholds(&mut self) -> Result<HashThresholds> {
        self.spd_information(Operation::ReadThresholds).map(|(_, thresholds)| thresholds)
    }

    fn set_thresholds(&mut self, thresholds: HashThresholds) -> Result<()> {
        self.tell(&Operation::SetThresholds, encode::thresholds(thresholds))
    }

    fn statistics(&mut self) -> Result<XfrmStatistics> {
        let operation = Operation::ReadStatistics;
        let text = std::fs::read_to_string(STATISTICS_PATH).map_err(|e| KernelError::io(operation.clone(), &e))?;
        XfrmStatistics::parse(&text).map_err(|(line, text)| {
            let cause = Cause::Unreadable(format!("line {line} is {text:?}, not a name and a number"));
            KernelError { operation, cause }
        })
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>> {
        Ok(Box::new(watch::XfrmWatch::open()?))
    }
}

/// Whether a kernel of this release asks the older of two policies whatever they are about: from Linux 6.12 on. One that
/// does not say which it is, is a new one.
fn knows_ages(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|digits| digits.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    version.is_none_or(|version| version >= (6, 12))
}

/// Kernels before 3.9 and some since answer ESRCH to a flush that finds nothing.
fn nothing_to_flush_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.errno() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_tells_whether_age_alone_decides() {
        for old in ["6.1.176", "6.11.0-29-generic", "5.14.0-503.el9", "4.19"] {
            assert!(!knows_ages(old), "{old}");
        }
        for new in ["6.12.0-55.9.1.el10_0", "6.18.44-fc-v595", "7.0-rc1", "10.1", "unknown"] {
            assert!(knows_ages(new), "{new}");
        }
    }
}
