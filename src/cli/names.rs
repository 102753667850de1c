//! What names in a script mean to this system: hosts by its resolver, services and protocols by the files in /etc.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

use crate::dialect::setkey::Names;

/// This system's names.
pub struct SystemNames;

impl Names for SystemNames {
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = (host, 0).to_socket_addrs().map_err(|error| reason(&error))?;
        Ok(found.map(|address| address.ip()).collect())
    }

    fn port(&self, service: &str) -> Option<u16> {
        // setkey asks for UDP's number.
        let services = std::fs::read_to_string("/etc/services").ok()?;
        number_in(&services, service, |number| number.strip_suffix("/udp"))?.parse().ok()
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        let protocols = std::fs::read_to_string("/etc/protocols").ok()?;
        number_in(&protocols, name, Some)?.parse().ok()
    }
}

/// The resolver's words without Rust's in front of them.
fn reason(error: &io::Error) -> String {
    let words = error.to_string();
    words.split_once(": ").map_or(words.clone(), |(_, own)| own.to_owned())
}

/// The number of a name in a table of lines `name number alias...`, where `wanted` takes the number.
fn number_in<'t>(table: &'t str, name: &str, wanted: fn(&'t str) -> Option<&'t str>) -> Option<&'t str> {
    let is_it = |word: &str| word.eq_ignore_ascii_case(name);
    table.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, number) = (words.next()?, words.next()?);
        (is_it(first) || words.any(is_it)).then(|| wanted(number)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_etc_are_read() {
        let table = "# services\nssh 22/tcp\nisakmp 500/tcp\nisakmp 500/udp ike IKE2 # keys\n\nodd\n";
        let udp = |name| number_in(table, name, |number| number.strip_suffix("/udp"));
        assert_eq!((udp("isakmp"), udp("ike2"), udp("ssh"), udp("keys")), (Some("500"), Some("500"), None, None));
        assert_eq!(number_in("hopopt 0 HOPOPT\negp\t8 EGP\n", "egp", Some), Some("8"));
    }

    #[test]
    fn a_resolvers_words_stand_alone() {
        let error = SystemNames.addresses("no such host.invalid").unwrap_err();
        assert!(!error.is_empty() && !error.contains("failed to lookup"), "{error}");
    }
}
