//! What is typed into fields, read. What cannot be read is complained about.

use std::net::IpAddr;

use super::{Complaint, FieldId as F, Form};
use crate::model::lifetime::parse_seconds;
use crate::model::number::parse_u32;
use crate::model::{IfId, LifetimeLimits, Mark};

/// An address in a field.
pub(super) fn address(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<IpAddr> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "an IPv4 or IPv6 address is needed"));
        return None;
    }
    text.parse().map_err(|_| complaints.push(Complaint::error(field, "this is no IPv4 or IPv6 address"))).ok()
}

/// A number in a field.
pub(super) fn number(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Option<u32> {
    let text = form.value(field);
    if text.is_empty() {
        complaints.push(Complaint::error(field, "a number is needed, decimal or 0x hex"));
        return None;
    }
    let wrong = |_| complaints.push(Complaint::error(field, "this is no number from 0 to 4294967295 (or 0x hex)"));
    parse_u32(text).map_err(wrong).ok()
}

/// What a field that may stay empty holds. What cannot be read has been complained about.
pub(super) fn optional<T>(
    form: &Form,
    field: F,
    complaints: &mut Vec<Complaint>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ()> {
    if !form.applies(field) || form.value(field).is_empty() {
        return Ok(None);
    }
    read(form.value(field)).map(Some).map_err(|why| complaints.push(Complaint::error(field, why)))
}

/// A number in a field that may stay empty.
pub(super) fn optional_number(form: &Form, field: F, complaints: &mut Vec<Complaint>) -> Result<Option<u32>, ()> {
    let words = "this is no number from 0 to 4294967295 (or 0x hex)";
    optional(form, field, complaints, |text| parse_u32(text).map_err(|_| words.to_owned()))
}

/// A lifetime in seconds.
pub(super) fn lifetime(form: &Form, complaints: &mut Vec<Complaint>) -> Result<LifetimeLimits, ()> {
    let seconds = optional(form, F::Lifetime, complaints, parse_seconds)?;
    Ok(seconds.map_or_else(LifetimeLimits::default, LifetimeLimits::ending_after))
}

/// A mark.
pub(super) fn mark(form: &Form, complaints: &mut Vec<Complaint>) -> Result<Option<Mark>, ()> {
    let words = "a mark is a number, or number/mask";
    optional(form, F::Mark, complaints, |text| text.parse().map_err(|_| words.to_owned()))
}

/// The number of an xfrm interface.
pub(super) fn if_id(form: &Form, complaints: &mut Vec<Complaint>) -> Result<Option<IfId>, ()> {
    Ok(optional_number(form, F::IfId, complaints)?.map(IfId))
}
