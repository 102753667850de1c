//! The languages that administrators write SAs and policies in: text to model, and the model to text.
//!
//! Pure: no files, no kernel. A parser takes the whole text and gives typed statements, each with its place, or every
//! error with the place it is at. Keys are printed only for who asks ([`Keys::Show`]).

pub mod deed;
pub mod esp_sa;
pub mod ip_script;
pub mod iproute2;
pub mod json;
pub mod key_file;
pub mod listing;
pub mod report;
pub mod script;
pub mod setkey;
mod xfrm_state;

use crate::model::extras::SaExtras;
use crate::model::{Policy, PortMatch, Sa, Selector};

/// Whether printed text shows keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In clear: the text can be loaded again.
    Show,
    /// Not at all: the text says so, and cannot be loaded by mistake.
    Hide,
}

/// What stands in the place of a hidden key. No dialect takes it for a key: loading it fails.
pub const HIDDEN_KEY: &str = "<key hidden>";

/// A key as both languages write it: `0x` and hex digits.
pub(crate) fn key_text(key: &crate::model::Secret, keys: Keys) -> zeroize::Zeroizing<String> {
    match keys {
        Keys::Show => zeroize::Zeroizing::new(format!("0x{}", *key.reveal_hex())),
        Keys::Hide => zeroize::Zeroizing::new(HIDDEN_KEY.to_owned()),
    }
}

/// What of an SA neither language is given to say: who loads the text again must know.
pub fn left_out_of_sa(sa: &Sa) -> Vec<&'static str> {
    let has = |which: fn(&SaExtras) -> bool| which(&sa.extras);
    words(&[
        (has_port_masks(&sa.selector), "port masks"),
        (has(|extras| extras.output_mark.is_some()), "output mark"),
        (has(|extras| extras.tfc_padding.is_some()), "TFC padding"),
        (has(|extras| extras.offload.is_some()), "offload"),
        (has(|extras| extras.care_of.is_some()), "care-of address"),
        (has(|extras| extras.security.is_some()), "security label"),
        (has(|extras| extras.extra_flags.0 != 0), "extra flags"),
        (has(|extras| extras.mapping_threshold_secs.is_some()), "mapping threshold"),
        (has(|extras| extras.nat_keepalive_secs.is_some()), "NAT keepalive"),
        (has(|extras| !extras.unknown.is_empty()), "unknown attributes"),
    ])
}

/// What of a policy neither language is given to say.
pub fn left_out_of_policy(policy: &Policy) -> Vec<&'static str> {
    words(&[(has_port_masks(&policy.selector), "port masks"), (!policy.unknown.is_empty(), "unknown attributes")])
}

fn has_port_masks(selector: &Selector) -> bool {
    let masked = |port: PortMatch| !matches!(port.mask, 0 | u16::MAX);
    masked(selector.source_port) || masked(selector.destination_port)
}

fn words(cases: &[(bool, &'static str)]) -> Vec<&'static str> {
    cases.iter().filter_map(|(is_so, words)| is_so.then_some(*words)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IpsecProtocol, Mark, PolicyDirection, PolicySpec, Prefix, SaSpec, Spi};

    #[test]
    fn what_is_not_printed_is_known() {
        let spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001));
        let mut sa = Sa::from_spec(&spec, 0);
        assert_eq!(left_out_of_sa(&sa), [""; 0]);
        sa.extras.output_mark = Some(Mark { value: 7, mask: 0xff });
        sa.extras.tfc_padding = Some(100);
        assert_eq!(left_out_of_sa(&sa), ["output mark", "TFC padding"]);

        let spec = PolicySpec::new(PolicyDirection::Out, Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
        let mut policy = Policy::from_spec(&spec, 1, 0);
        policy.selector.source_port = PortMatch::exactly(4500);
        assert_eq!(left_out_of_policy(&policy), [""; 0]);
        policy.selector.source_port = PortMatch { value: 4096, mask: 0xf000 };
        assert_eq!(left_out_of_policy(&policy), ["port masks"]);
    }
}
