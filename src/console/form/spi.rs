//! The form that reserves an SPI: the kernel chooses one that is free, and keeps it for an SA to come.

use super::field::{Description, FieldId as F, words};
use super::reading::{Complaints, IF_ID, MARK, address, if_id, mark, mode, modes, number, optional_number, protocol};
use super::{Complaint, Form, Made, Plan};
use crate::console::command::Change;
use crate::model::check::{self, Problem, SaField};
use crate::model::sa::SpiRequest;
use crate::model::{ReqId, SaDirection, Spi};

/// The form.
pub static PLAN: Plan = Plan {
    title: "Reserve an SPI",
    button: "Reserve",
    fields: &[FIELDS],
    check: |form| read(form).1,
    beside: |_, _, _| Vec::new(),
    make: |form| read(form).0.map(|wanted| Made::Change(Box::new(Change::AllocateSpi(Box::new(wanted))))),
    blame: |error| (error.errno() == Some(libc::ENOENT)).then_some(F::Greatest),
};

static FIELDS: &[Description] = &[
    Description::choice(
        F::Protocol,
        "Protocol",
        |_| words(&["esp", "ah", "ipcomp"]),
        "What the SA will be; it waits for its keys for 30 seconds, or as long as net.core.xfrm_acq_expires says.",
    )
    .initially("esp"),
    Description::choice(F::Mode, "Mode", modes, "How the SA will wrap packets.").initially("transport"),
    Description::text(F::Source, "Source", "The address that the SA's packets will come from."),
    Description::text(F::Destination, "Destination", "The address that the SA's packets will go to."),
    Description::text(F::Least, "Least", "The least number that will do, from 256 (0x100).").initially("0x100"),
    Description::text(F::Greatest, "Greatest", "The greatest number that will do; empty: the greatest there is."),
    Description::text(F::ReqId, "ReqID", "What will tie the SA to policies; 0 ties to none.").initially("0"),
    Description::fold(F::More, "More", "Direction, mark, xfrm interface: most often not needed."),
    Description::choice(
        F::Direction,
        "Direction",
        |_| words(&["any", "in", "out"]),
        "Whether packets will come or go by it; older kernels than Linux 6.10 do not keep it.",
    )
    .initially("any")
    .under(F::More),
    MARK,
    IF_ID,
];

fn read(form: &Form) -> (Option<SpiRequest>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let wanted = read_request(form, &mut complaints);
    if let (Some(wanted), true) = (&wanted, complaints.is_empty()) {
        for Problem { field, severity, sentence } in check::spi_request(wanted) {
            let field = match field {
                SaField::Protocol => F::Protocol,
                SaField::Mark => F::Mark,
                SaField::Spi if wanted.least.is_reserved() => F::Least,
                SaField::Spi => F::Greatest,
                _ => F::Destination,
            };
            complaints.push(Complaint { item: None, field, severity, sentence });
        }
    }
    (wanted.filter(|_| complaints.is_empty()), complaints)
}

fn read_request(form: &Form, complaints: &mut Complaints) -> Option<SpiRequest> {
    let source = address(form, F::Source, complaints);
    let destination = address(form, F::Destination, complaints);
    let least = number(form, F::Least, complaints);
    let greatest = optional_number(form, F::Greatest, complaints);
    let reqid = number(form, F::ReqId, complaints);
    let (mark, if_id) = (mark(form, F::Mark, complaints), if_id(form, complaints));
    let mut wanted = SpiRequest::any(source?, destination?, protocol(form));
    (wanted.mode, wanted.least, wanted.reqid) = (mode(form), Spi(least?), ReqId(reqid?));
    wanted.greatest = greatest.ok()?.map_or(wanted.greatest, Spi);
    (wanted.mark, wanted.if_id) = (mark.ok()?, if_id.ok()?);
    wanted.direction = match form.value(F::Direction) {
        "in" => Some(SaDirection::In),
        "out" => Some(SaDirection::Out),
        _ => None,
    };
    Some(wanted)
}
