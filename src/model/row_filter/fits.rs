//! Whether an SA or a policy fits a condition.

use super::{Encapsulated, Quantity, RowTest};
use crate::model::expression::End;
use crate::model::extras::SecurityContext;
use crate::model::{Mark, Policy, Sa, SaDirection, Selector, Template};

/// What a filter looks at.
#[derive(Clone, Copy)]
pub struct FilteredRow<'a> {
    /// The object.
    pub object: Object<'a>,
    /// Seconds since the epoch.
    pub now: u64,
}

/// An SA or a policy.
#[derive(Clone, Copy)]
pub enum Object<'a> {
    /// An SA with its way, where that is known.
    Sa(&'a Sa, Option<SaDirection>),
    /// A policy.
    Policy(&'a Policy),
}

impl FilteredRow<'_> {
    pub(super) fn fits(&self, test: &RowTest, contains: &mut dyn FnMut(&str) -> bool) -> bool {
        if let RowTest::Text(word) = test {
            return contains(word);
        }
        match self.object {
            Object::Sa(sa, way) => sa_fits(sa, way, self.now, test),
            Object::Policy(policy) => policy_fits(policy, self.now, test),
        }
    }
}

fn sa_fits(sa: &Sa, way: Option<SaDirection>, now: u64, test: &RowTest) -> bool {
    match test {
        RowTest::Net(end, prefix) => end.find((sa.source, sa.destination), |address| prefix.contains(address)),
        RowTest::Peer(prefix) => prefix.contains(sa.source) || prefix.contains(sa.destination),
        RowTest::Protocol(protocol) => sa.protocol == *protocol,
        RowTest::Mode(mode) => sa.mode == *mode,
        RowTest::Upper(protocol) => sa.selector.protocol == *protocol,
        RowTest::Way(word) => way.is_some_and(|way| way.to_string() == *word),
        RowTest::Encryption(label) => begins_with(&sa.algorithms.encryption_label(), label),
        RowTest::Authentication(label) => begins_with(&sa.algorithms.authentication_label(), label),
        RowTest::Flag(name) => sa.flags.names().chain(sa.extras.extra_flags.names()).any(|flag| *flag == **name),
        RowTest::Mark(value, mask) => fits_mark(sa.mark, *value, *mask),
        RowTest::OutputMark(value, mask) => fits_mark(sa.extras.output_mark, *value, *mask),
        RowTest::State(word) => {
            *word == if sa.is_larval() { "larval" } else { sa.limits.nearness(&sa.used, now).word() }
        }
        RowTest::Encapsulation(wanted) => match (wanted, sa.extras.encapsulation) {
            (Encapsulated::Not, found) => found.is_none(),
            (Encapsulated::Somehow, found) => found.is_some(),
            (Encapsulated::As(kind), found) => found.is_some_and(|found| found.kind == *kind),
        },
        RowTest::Port(end, port) => {
            let outside = sa.extras.encapsulation.map(|outer| (outer.source_port, outer.destination_port));
            fits_port(&sa.selector, *end, *port) || outside.is_some_and(|ports| end.find(ports, |found| found == *port))
        }
        RowTest::Label(part) => fits_label(sa.extras.security.as_ref(), part),
        RowTest::Number(quantity, relation, wanted) => {
            number_of_sa(sa, *quantity, now).is_some_and(|value| relation.holds(value, *wanted))
        }
        RowTest::Text(_) | RowTest::Action(_) | RowTest::Kind(_) => false,
    }
}

fn number_of_sa(sa: &Sa, quantity: Quantity, now: u64) -> Option<u64> {
    match quantity {
        Quantity::Spi => Some(sa.spi.0.into()),
        Quantity::ReqId => Some(sa.reqid.0.into()),
        Quantity::IfId => sa.if_id.map(|id| id.0.into()),
        Quantity::Errors => Some(sa.errors.total()),
        Quantity::Replayed => Some(sa.errors.replayed.into()),
        Quantity::Late => Some(sa.errors.before_window.into()),
        Quantity::BadIcv => Some(sa.errors.integrity_failed.into()),
        Quantity::Age => Some(now.saturating_sub(sa.used.added_at)),
        Quantity::Idle => sa.last_used_at.map(|at| now.saturating_sub(at)),
        Quantity::Left => sa.limits.seconds_left(&sa.used, now),
        Quantity::Renewal => sa.limits.seconds_to_renewal(&sa.used, now),
        Quantity::Bytes => Some(sa.used.bytes),
        Quantity::Packets => Some(sa.used.packets),
        Quantity::Window => Some(sa.replay.window.into()),
        Quantity::Sent => Some(sa.replay.sent),
        Quantity::Received => Some(sa.replay.received),
        Quantity::Interface => Some(sa.selector.interface).filter(|index| *index != 0).map(u64::from),
        Quantity::Cpu => sa.extras.cpu.map(u64::from),
        Quantity::Priority | Quantity::Index | Quantity::Templates => None,
    }
}

fn policy_fits(policy: &Policy, now: u64, test: &RowTest) -> bool {
    let any = |fits: &dyn Fn(&Template) -> bool| policy.templates.iter().any(fits);
    match test {
        RowTest::Net(end, wanted) => {
            let ends = (policy.selector.source, policy.selector.destination);
            end.find(ends, |prefix| prefix.length >= wanted.length && wanted.contains(prefix.address))
        }
        RowTest::Peer(prefix) => any(&|template| {
            let ends = (template.source, template.destination);
            End::Either.find(ends, |address| !address.is_unspecified() && prefix.contains(address))
        }),
        RowTest::Protocol(protocol) => any(&|template| template.protocol == *protocol),
        RowTest::Mode(mode) => any(&|template| template.mode == *mode),
        RowTest::Upper(protocol) => policy.selector.protocol == *protocol,
        RowTest::Way("socket") => policy.is_of_socket(),
        RowTest::Way(word) => policy.direction.to_string() == *word,
        RowTest::Action(verb) => policy.verb() == *verb,
        RowTest::Mark(value, mask) => fits_mark(policy.mark, *value, *mask),
        RowTest::Number(Quantity::ReqId, relation, wanted) => {
            any(&|template| relation.holds(template.reqid.0.into(), *wanted))
        }
        RowTest::Number(quantity, relation, wanted) => {
            number_of_policy(policy, *quantity, now).is_some_and(|value| relation.holds(value, *wanted))
        }
        RowTest::Flag(name) => policy.flag_words().iter().any(|flag| **flag == **name),
        RowTest::State(word) => policy.limits.nearness(&policy.used, now).word() == *word,
        RowTest::Port(end, port) => fits_port(&policy.selector, *end, *port),
        RowTest::Kind(kind) => policy.kind == *kind,
        RowTest::Label(part) => fits_label(policy.security.as_deref(), part),
        RowTest::Text(_)
        | RowTest::Encryption(_)
        | RowTest::Authentication(_)
        | RowTest::OutputMark(..)
        | RowTest::Encapsulation(_) => false,
    }
}

fn number_of_policy(policy: &Policy, quantity: Quantity, now: u64) -> Option<u64> {
    match quantity {
        Quantity::IfId => policy.if_id.map(|id| id.0.into()),
        Quantity::Age => Some(now.saturating_sub(policy.used.added_at)),
        Quantity::Idle => policy.used.used_at.map(|at| now.saturating_sub(at)),
        Quantity::Left => policy.limits.seconds_left(&policy.used, now),
        Quantity::Renewal => policy.limits.seconds_to_renewal(&policy.used, now),
        Quantity::Priority => Some(policy.priority.into()),
        Quantity::Index => Some(policy.index.into()),
        Quantity::Templates => Some(policy.templates.len() as u64),
        Quantity::Interface => Some(policy.selector.interface).filter(|index| *index != 0).map(u64::from),
        // Its templates have several, which are looked at one by one.
        Quantity::ReqId
        | Quantity::Spi
        | Quantity::Errors
        | Quantity::Replayed
        | Quantity::Late
        | Quantity::BadIcv
        | Quantity::Bytes
        | Quantity::Packets
        | Quantity::Window
        | Quantity::Sent
        | Quantity::Received
        | Quantity::Cpu => None,
    }
}

/// Whether a selector asks for this port and does not take every port.
fn fits_port(selector: &Selector, end: End, port: u16) -> bool {
    let ends = (selector.source_port, selector.destination_port);
    end.find(ends, |asked| !asked.is_any() && asked.contains(port))
}

fn fits_label(label: Option<&SecurityContext>, part: &str) -> bool {
    label.is_some_and(|label| label.text().to_ascii_lowercase().contains(part))
}

fn fits_mark(own: Option<Mark>, value: u32, mask: Option<u32>) -> bool {
    own.is_some_and(|own| own.value == value && mask.is_none_or(|mask| own.mask == mask))
}

/// Whether a label is this one, or this one with more behind a hyphen: `aes` is the beginning of `aes-gcm-128`, `hmac-sha`
/// of no other.
fn begins_with(label: &str, beginning: &str) -> bool {
    label.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
