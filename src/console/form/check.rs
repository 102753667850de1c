//! The form that begins a check: is the traffic with a peer encrypted?

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::field::{Description, FieldId as F, words};
use super::reading::{address, optional};
use super::{Complaint, Form, Made, Plan};
use crate::capture::Probe;
use crate::evidence::check::Traffic;
use crate::model::Prefix;
use crate::model::prefix::PrefixError;

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
    /// Whose traffic.
    pub traffic: Traffic,
    /// What must be nowhere on the wire, and is to be found after decryption.
    pub text: Option<String>,
    /// What is sent every second, and to whom.
    pub probe: Option<(Probe, IpAddr)>,
    /// For how long to watch.
    pub seconds: u64,
}

impl CheckPlan {
    /// A form that is filled in with it.
    pub fn form(&self) -> Form {
        let mut form = Form::new(&PLAN);
        set_traffic(&mut form, Some(self.traffic));
        form.set(F::Text, self.text.as_deref().unwrap_or_default());
        form.set(F::Seconds, &self.seconds.to_string());
        if let Some((probe, host)) = self.probe {
            if !self.traffic.far.is_host() {
                form.set(F::ProbedHost, &host.to_string());
            }
            match probe {
                Probe::Icmp => form.set(F::Probe, ICMP),
                Probe::Udp(port) => {
                    form.set(F::Probe, UDP);
                    form.set(F::DestinationPort, &port.to_string());
                }
            }
        }
        form
    }
}

/// Fills in whose traffic is looked at.
pub fn set_traffic(form: &mut Form, traffic: Option<Traffic>) {
    let text = |prefix: Prefix| {
        if prefix.is_host() { prefix.address.to_string() } else { prefix.network().to_string() }
    };
    form.set(F::Destination, &traffic.map_or_else(String::new, |traffic| text(traffic.far)));
    form.set(F::OwnNetwork, &traffic.and_then(|traffic| traffic.own).map_or_else(String::new, text));
    // A host of another network is none of this one's.
    let is_in = |host: IpAddr| traffic.is_some_and(|traffic| traffic.far.contains(host));
    if !form.value(F::ProbedHost).parse().is_ok_and(is_in) {
        form.set(F::ProbedHost, "");
    }
}

const NOTHING: &str = "no";
const ICMP: &str = "icmp echo";
const UDP: &str = "udp";
/// From now to tomorrow.
const SECONDS: RangeInclusive<u64> = 1..=86_400;

static FIELDS: &[Description] = &[
    Description::text(
        F::Destination,
        "Peer",
        "The host or the network at the other end, as 10.9.0.2 or 10.2.0.0/24; also one behind a tunnel.",
    ),
    Description::text(
        F::OwnNetwork,
        "Own side",
        "Only its traffic with this network or host on our side; empty: with anybody. Watched is the wire to the other \
         gateway, not what is in clear inside.",
    )
    .when(|form| is_for_network(form) || !form.value(F::OwnNetwork).is_empty()),
    Description::text(
        F::Text,
        "Text",
        "What must be nowhere on the wire, and is to be found after decryption; empty: only whether all is encrypted.",
    ),
    Description::choice(
        F::Probe,
        "Send it",
        |_| words(&[NOTHING, ICMP, UDP]),
        "Sends the text (or a line of our own) to the peer every second, so that there is something to see.",
    )
    .initially(NOTHING),
    Description::text(F::ProbedHost, "To host", "Which host of the network is sent something.")
        .when(|form| is_for_network(form) && form.value(F::Probe) != NOTHING),
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

/// Whether what is typed is a network.
fn is_for_network(form: &Form) -> bool {
    form.value(F::Destination).parse().is_ok_and(|prefix: Prefix| !prefix.is_host())
}

fn read_plan(form: &Form, complaints: &mut Vec<Complaint>) -> Option<CheckPlan> {
    let far = match form.value(F::Destination) {
        "" => {
            complaints.push(Complaint::error(F::Destination, "a host or a network is needed, as 10.2.0.0/24"));
            None
        }
        text => network(text).map_err(|why| complaints.push(Complaint::error(F::Destination, why))).ok(),
    };
    let own = optional(form, F::OwnNetwork, complaints, network).ok();
    let traffic = far.zip(own).map(|(far, own)| Traffic { far, own });
    if let Some(Traffic { far, own }) = traffic {
        if own.is_some_and(|own| own.address.is_ipv4() != far.address.is_ipv4()) {
            complaints.push(Complaint::error(F::OwnNetwork, "it is of the other address family"));
        } else if far.is_any() && own.is_none_or(|own| own.is_any()) {
            complaints.push(Complaint::error(F::OwnNetwork, "of all that there is, whose traffic? Name a network"));
        }
    }
    let host = match far {
        Some(far) if !far.is_host() && form.value(F::Probe) != NOTHING => {
            let host = address(form, F::ProbedHost, complaints);
            if host.is_some_and(|host| !far.contains(host)) {
                complaints.push(Complaint::error(F::ProbedHost, format!("it is no host of {far}")));
            }
            host
        }
        far => far.map(|far| far.address),
    };
    let probe = match form.value(F::Probe) {
        ICMP => Some(host.map(|host| (Probe::Icmp, host))),
        UDP => {
            let port = form.value(F::DestinationPort).parse().ok();
            if port.is_none() {
                complaints.push(Complaint::error(F::DestinationPort, "a port from 0 to 65535 is needed"));
            }
            port.map(|port| host.map(|host| (Probe::Udp(port), host)))
        }
        _ => Some(None),
    };
    let seconds = form.value(F::Seconds).parse().ok().filter(|seconds| SECONDS.contains(seconds));
    if seconds.is_none() {
        complaints.push(Complaint::error(F::Seconds, "a number of seconds is needed, up to 86400"));
    }
    let text = Some(form.value(F::Text).to_owned()).filter(|text| !text.is_empty());
    Some(CheckPlan { traffic: traffic?, text, probe: probe?, seconds: seconds? })
}

/// A host or a network.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn network(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error: PrefixError| error.to_string())?;
    if prefix.has_host_bits() {
        let (network, host) = (prefix.network(), prefix.address);
        return Err(format!("{prefix} is a host in a network: say {network} or {host}"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_makes_the_plan_that_it_was_made_of() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let traffics = [
            Traffic::with([10, 9, 0, 2].into()),
            Traffic { far: prefix("10.9.0.0/24"), own: None },
            Traffic { far: prefix("10.9.0.0/24"), own: Some(prefix("10.1.0.0/16")) },
            Traffic { far: prefix("0.0.0.0/0"), own: Some(prefix("10.1.0.7")) },
        ];
        for traffic in traffics {
            for probe in [None, Some(Probe::Icmp), Some(Probe::Udp(7777))] {
                for text in [None, Some("hello world".to_owned())] {
                    let probe = probe.map(|probe| (probe, [10, 9, 0, 2].into()));
                    let plan = CheckPlan { traffic, text, probe, seconds: 30 };
                    assert_eq!(plan.form().made(), Some(Made::Check(Box::new(plan))));
                }
            }
        }
    }

    #[test]
    fn a_network_needs_no_host_bits_and_a_host_that_is_sent_something() {
        let mut form = Form::new(&PLAN);
        let said = |form: &Form| -> Vec<(F, String)> {
            form.complaints().iter().map(|complaint| (complaint.field, complaint.sentence.clone())).collect()
        };
        form.set(F::Destination, "10.2.0.1/24");
        let words = "10.2.0.1/24 is a host in a network: say 10.2.0.0/24 or 10.2.0.1";
        assert_eq!(said(&form), [(F::Destination, words.to_owned())]);
        form.set(F::Destination, "10.2.0.0/24");
        assert_eq!(said(&form), []);
        form.set(F::Probe, ICMP);
        assert_eq!(said(&form)[0].0, F::ProbedHost);
        form.set(F::ProbedHost, "10.1.0.1");
        assert_eq!(said(&form), [(F::ProbedHost, "it is no host of 10.2.0.0/24".to_owned())]);
        form.set(F::ProbedHost, "10.2.0.1");
        form.set(F::OwnNetwork, "fd00::/64");
        assert_eq!(said(&form), [(F::OwnNetwork, "it is of the other address family".to_owned())]);
        form.set(F::OwnNetwork, "");
        form.set(F::Destination, "0.0.0.0/0");
        assert_eq!(said(&form)[0].0, F::OwnNetwork);
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
