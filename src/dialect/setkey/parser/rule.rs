//! The rules of an ipsec policy: `protocol/mode/src-dst/level`.

use std::net::IpAddr;

use super::super::names::is_decimal;
use super::address::unspecified_like;
use crate::model::{IpsecProtocol, Level, Mode, PolicyDirection, PolicySpec, ReqId, Template};

pub(super) const RULE: &str = "a rule: esp/transport//require, or esp/tunnel/10.9.0.1-10.9.0.2/require";
/// The highest number that setkey's `unique` takes on Linux; above it the kernel picks its own (`IPSEC_MANUAL_REQID_MAX`).
pub(in super::super) const MOST_UNIQUE: u32 = 0x3fff;

/// A rule that was understood, and what its author should know.
pub(super) struct Rule {
    pub template: Template,
    pub warning: Option<&'static str>,
}

/// Why a text is no rule: what is wrong, and what would be right.
type NoRule = (String, String);

fn no_rule(what: &str) -> NoRule {
    (what.to_owned(), RULE.to_owned())
}

/// Reads one for a policy.
pub(super) fn rule(word: &str, policy: &PolicySpec) -> Result<Rule, NoRule> {
    let word = word.to_ascii_lowercase();
    let parts: Vec<&str> = word.split('/').collect();
    let [protocol, mode, ends, level] = match parts[..] {
        [protocol, mode, ends, level] => [protocol, mode, ends, level],
        [protocol, mode, ends] => [protocol, mode, ends, ""],
        [protocol, mode] => [protocol, mode, "", ""],
        _ => return Err(no_rule("a rule has four parts with / between them")),
    };
    let protocol = match protocol {
        "esp" => IpsecProtocol::Esp,
        "ah" => IpsecProtocol::Ah,
        "ipcomp" => IpsecProtocol::Comp,
        _ => return Err(no_rule("a rule begins with esp, ah or ipcomp")),
    };
    let mode = match mode {
        "transport" => Mode::Transport,
        "tunnel" => Mode::Tunnel,
        _ => return Err(no_rule("the second part of a rule is transport or tunnel")),
    };
    let nowhere = unspecified_like(policy.selector.source.address);
    let said = ends_of(ends, policy)?;
    // What af_key does with them (`parse_ipsecrequest`).
    let warning = match (mode, &said) {
        (Mode::Transport, Some(_)) => {
            Some("in transport mode Linux takes the packet's own addresses: these ends are not used")
        }
        (_, Some(ends)) if ends.have_ports => Some("on Linux the ends of a tunnel have no ports: these are not used"),
        (_, Some(ends)) if ends.source.is_ipv4() != nowhere.is_ipv4() => Some(
            "SAs made here carry the packets of their own address family; for another one's make them with ip xfrm's \
             flag af-unspec",
        ),
        _ => None,
    };
    let (source, destination) = match said.filter(|_| mode != Mode::Transport) {
        None => (nowhere, nowhere),
        Some(ends) => (ends.source, ends.destination),
    };
    let mut template = Template::new(protocol, mode, source, destination);
    (template.level, template.reqid) = level_of(level)?;
    Ok(Rule { template, warning })
}

struct Ends {
    source: IpAddr,
    destination: IpAddr,
    have_ports: bool,
}

/// `src-dst`, each with a port or both without; `None` for the packet's own addresses.
fn ends_of(text: &str, policy: &PolicySpec) -> Result<Option<Ends>, NoRule> {
    match (text, policy.direction) {
        ("", _) | ("me-any", PolicyDirection::Out) | ("any-me", PolicyDirection::In) => return Ok(None),
        ("me-any", _) => return Err(no_rule("me-any is for policies of direction out")),
        ("any-me", _) => return Err(no_rule("any-me is for policies of direction in")),
        _ => {}
    }
    let problem = || no_rule("the third part of a rule is two addresses with - between them");
    let (source, destination) = text.split_once('-').ok_or_else(problem)?;
    let [source, destination] = [source, destination].map(|end| {
        let Some((address, port)) = end.split_once('[') else {
            return Some((end.parse().ok()?, false));
        };
        let port = port.strip_suffix(']').filter(|port| is_decimal(port) && port.parse::<u16>().is_ok())?;
        Some((address.parse().ok()?, port.parse::<u16>().is_ok_and(|port| port != 0)))
    });
    match (source, destination) {
        (Some((source, at)), Some((destination, to))) => Ok(Some(Ends { source, destination, have_ports: at || to })),
        _ => Err(problem()),
    }
}

fn level_of(text: &str) -> Result<(Level, ReqId), NoRule> {
    match text.split_once(':') {
        None => match text {
            // Linux requires whatever is not optional (`parse_ipsecrequest`, net/key/af_key.c).
            "require" | "default" | "" => Ok((Level::Required, ReqId(0))),
            "use" => Ok((Level::Use, ReqId(0))),
            "unique" => Err(no_rule("unique without a number would leave the choice to the kernel: say unique:N")),
            _ => Err(no_rule("the last part of a rule is default, use, require or unique:N")),
        },
        Some(("unique", number)) => match number.parse() {
            Ok(reqid @ 1..=MOST_UNIQUE) => Ok((Level::Required, ReqId(reqid))),
            _ => Err(no_rule(&format!("unique takes a number from 1 to {MOST_UNIQUE}"))),
        },
        Some(_) => Err(no_rule("only unique takes a number")),
    }
}
