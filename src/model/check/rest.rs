//! What is wrong with an SPI that is asked for, with hash thresholds, and with what becomes of packets without a policy.

use super::{Findings, Problem, SaField};
use crate::model::policy::{DefaultsChange, ThresholdsChange};
use crate::model::sa::SpiRequest;
use crate::model::{IpsecProtocol, PolicyAction, Spi};

/// What is wrong with a change that changes nothing.
pub const NOTHING_CHANGES: &str = "nothing is to be changed";

/// Everything wrong with an SPI that is asked for (`verify_spi_info`, `net/xfrm/xfrm_user.c`). The range is the SPI.
pub fn spi_request(wanted: &SpiRequest) -> Vec<Problem<SaField>> {
    let mut findings = Findings(Vec::new());
    if wanted.source.is_ipv4() != wanted.destination.is_ipv4() {
        findings.error(SaField::Destination, "source and destination must both be IPv4 or both be IPv6");
    }
    if wanted.destination.is_unspecified() {
        findings.error(SaField::Destination, "an SA needs the address that its packets go to");
    }
    match wanted.protocol {
        IpsecProtocol::Comp if wanted.greatest > Spi(0xffff) => {
            findings.error(SaField::Spi, "the number of an IPComp SA has 16 bits: at most 65535 (0xffff)");
        }
        IpsecProtocol::Esp | IpsecProtocol::Ah | IpsecProtocol::Comp => {}
        _ => findings.error(SaField::Protocol, "only esp, ah and ipcomp have SPIs to reserve"),
    }
    if wanted.least > wanted.greatest {
        findings.error(SaField::Spi, "the range ends before it begins");
    } else if wanted.least.is_reserved() {
        findings.error(SaField::Spi, "SPIs 0 to 255 are reserved (RFC 4303); begin with 256 (0x100) or more");
    }
    findings.mark(SaField::Mark, wanted.mark);
    findings.0
}

/// The family that a hash threshold is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdsField {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// Everything wrong with hash thresholds.
pub fn thresholds(change: &ThresholdsChange) -> Vec<Problem<ThresholdsField>> {
    let mut findings = Findings(Vec::new());
    for (field, lengths, most) in [(ThresholdsField::V4, change.v4, 32), (ThresholdsField::V6, change.v6, 128)] {
        if lengths.is_some_and(|(here, there)| here > most || there > most) {
            findings.error(field, format!("a prefix of this family has at most {most} bits"));
        }
    }
    if change.v4.is_none() && change.v6.is_none() {
        findings.error(ThresholdsField::V4, NOTHING_CHANGES);
    }
    findings.0
}

/// The way of packets without a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultsField {
    /// For this host.
    Input,
    /// Passed on.
    Forward,
    /// Sent.
    Output,
}

/// What a change of the fate of packets without a policy leads to.
pub fn defaults(change: &DefaultsChange) -> Vec<Problem<DefaultsField>> {
    let mut findings = Findings(Vec::new());
    if *change == DefaultsChange::default() {
        findings.error(DefaultsField::Input, NOTHING_CHANGES);
    }
    let blocks = |action| action == Some(PolicyAction::Block);
    if blocks(change.input) {
        let sentence = "THIS CUTS THE NETWORK: no packet reaches this host any more that no policy lets in, SSH \
                        included";
        findings.warning(DefaultsField::Input, sentence);
    }
    if blocks(change.forward) {
        let sentence = "THIS CUTS THE NETWORK behind this host: nothing is passed on that no policy lets through";
        findings.warning(DefaultsField::Forward, sentence);
    }
    if blocks(change.output) {
        let sentence = "THIS CUTS THE NETWORK: this host sends nothing more that no policy lets out, SSH included";
        findings.warning(DefaultsField::Output, sentence);
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Severity::{self, Error, Warning};

    #[track_caller]
    fn expect<Field: Copy + std::fmt::Debug + PartialEq>(
        found: &[Problem<Field>],
        expected: &[(Field, Severity, &str)],
    ) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (problem, (field, severity, part)) in found.iter().zip(expected) {
            assert_eq!((problem.field, problem.severity), (*field, *severity), "{problem:?}");
            assert!(problem.sentence.contains(part), "{:?} lacks {part:?}", problem.sentence);
        }
    }

    #[test]
    fn spis_are_asked_for_within_reason() {
        use SaField as F;
        let any = SpiRequest::any([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp);
        expect(&spi_request(&any), &[]);
        let check = |wanted: SpiRequest, expected: &[(F, Severity, &str)]| expect(&spi_request(&wanted), expected);
        check(SpiRequest { least: Spi(9), greatest: Spi(8), ..any }, &[(F::Spi, Error, "before it begins")]);
        check(SpiRequest { least: Spi(9), ..any }, &[(F::Spi, Error, "reserved")]);
        check(SpiRequest { protocol: IpsecProtocol::Comp, ..any }, &[(F::Spi, Error, "16 bits")]);
        check(SpiRequest { protocol: IpsecProtocol::Routing, ..any }, &[(F::Protocol, Error, "only esp")]);
        check(SpiRequest { source: "::1".parse().unwrap(), ..any }, &[(F::Destination, Error, "both")]);
    }

    #[test]
    fn thresholds_are_prefix_lengths() {
        use ThresholdsField::{V4, V6};
        let change = |v4, v6| ThresholdsChange { v4, v6 };
        expect(&thresholds(&change(Some((32, 0)), Some((128, 64)))), &[]);
        expect(&thresholds(&change(Some((33, 0)), Some((0, 129)))), &[(V4, Error, "32"), (V6, Error, "128")]);
        expect(&thresholds(&change(None, None)), &[(V4, Error, "nothing")]);
    }

    #[test]
    fn to_block_is_said_loudly() {
        use DefaultsField as F;
        let block = Some(PolicyAction::Block);
        let change = DefaultsChange { input: block, forward: Some(PolicyAction::Allow), output: block };
        expect(&defaults(&change), &[(F::Input, Warning, "CUTS"), (F::Output, Warning, "CUTS")]);
        expect(&defaults(&DefaultsChange::default()), &[(F::Input, Error, "nothing")]);
    }
}
