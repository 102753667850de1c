//! The form that begins a check: is the traffic with a peer encrypted?

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::field::{Description, FieldId as F, words};
use super::reading::address;
use super::{Complaint, Form, Made, Plan};
use crate::capture::Probe;

/// The form that begins a check.
pub static PLAN: Plan = Plan {
    title: "Is the traffic with a peer encrypted?",
    button: "Watch",
    fields: &[FIELDS],
    check: |form| read(form).1,
    beside: |_, _, _| Vec::new(),
    make: |form| read(form).0.map(Box::new).map(Made::Check),
    blame: |_| None,
};

/// What a check is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPlan {
    /// The traffic with this host.
    pub peer: IpAddr,
    /// What must be nowhere on the wire, and is to be found after decryption.
    pub text: Option<String>,
    /// What is sent to the peer every second.
    pub probe: Option<Probe>,
    /// For how long to watch.
    pub seconds: u64,
}

impl CheckPlan {
    /// A form that is filled in with it.
    pub fn form(&self) -> Form {
        let mut form = Form::new(&PLAN);
        form.set(F::Destination, &self.peer.to_string());
        form.set(F::Text, self.text.as_deref().unwrap_or_default());
        form.set(F::Seconds, &self.seconds.to_string());
        match self.probe {
            None => {}
            Some(Probe::Icmp) => form.set(F::Probe, ICMP),
            Some(Probe::Udp(port)) => {
                form.set(F::Probe, UDP);
                form.set(F::DestinationPort, &port.to_string());
            }
        }
        form
    }
}

const ICMP: &str = "icmp echo";
const UDP: &str = "udp";
/// From now to tomorrow.
const SECONDS: RangeInclusive<u64> = 1..=86_400;

static FIELDS: &[Description] = &[
    Description::text(F::Destination, "Peer", "The host at the other end; also one behind a tunnel."),
    Description::text(
        F::Text,
        "Text",
        "What must be nowhere on the wire, and is to be found after decryption; empty: only whether all is encrypted.",
    ),
    Description::choice(
        F::Probe,
        "Send it",
        |_| words(&["no", ICMP, UDP]),
        "Sends the text (or a line of our own) to the peer every second, so that there is something to see.",
    )
    .initially("no"),
    Description::text(F::DestinationPort, "To port", "Nobody has to listen there.")
        .initially("9")
        .when(|form| form.value(F::Probe) == UDP),
    Description::text(F::Seconds, "Seconds", "For how long to watch.").initially("10"),
];

/// What is to be looked at as far as it can be read, and what is wrong.
fn read(form: &Form) -> (Option<CheckPlan>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let plan = read_plan(form, &mut complaints);
    (plan, complaints)
}

fn read_plan(form: &Form, complaints: &mut Vec<Complaint>) -> Option<CheckPlan> {
    let peer = address(form, F::Destination, complaints);
    let probe = match form.value(F::Probe) {
        ICMP => Some(Some(Probe::Icmp)),
        UDP => {
            let port = form.value(F::DestinationPort).parse().ok();
            if port.is_none() {
                complaints.push(Complaint::error(F::DestinationPort, "a port from 0 to 65535 is needed"));
            }
            port.map(|port| Some(Probe::Udp(port)))
        }
        _ => Some(None),
    };
    let seconds = form.value(F::Seconds).parse().ok().filter(|seconds| SECONDS.contains(seconds));
    if seconds.is_none() {
        complaints.push(Complaint::error(F::Seconds, "a number of seconds is needed, up to 86400"));
    }
    let text = Some(form.value(F::Text).to_owned()).filter(|text| !text.is_empty());
    Some(CheckPlan { peer: peer?, text, probe: probe?, seconds: seconds? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_makes_the_plan_that_it_was_made_of() {
        for probe in [None, Some(Probe::Icmp), Some(Probe::Udp(7777))] {
            for text in [None, Some("hello world".to_owned())] {
                let plan = CheckPlan { peer: [10, 9, 0, 2].into(), text, probe, seconds: 30 };
                assert_eq!(plan.form().made(), Some(Made::Check(Box::new(plan))));
            }
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_at_its_field() {
        let mut form = Form::new(&PLAN);
        form.set(F::Probe, UDP);
        form.set(F::DestinationPort, "70000");
        form.set(F::Seconds, "0");
        let fields: Vec<F> = form.complaints().iter().map(|complaint| complaint.field).collect();
        assert_eq!((fields, form.made()), (vec![F::Destination, F::DestinationPort, F::Seconds], None));
    }
}
