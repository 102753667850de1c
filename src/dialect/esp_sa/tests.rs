//! Rows as Wireshark takes them, and as it refuses them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::dialect::report::place_of;
use crate::model::algorithm::ALGORITHMS;
use crate::model::{AlgorithmKind, Spi};

const VECTORS: &str = include_str!("../../../tests/data/vectors/esp_sa");

fn with(family: &str, source: &str, spi: &str) -> String {
    format!("\"{family}\",\"{source}\",\"*\",\"{spi}\",\"NULL\",\"\",\"NULL\",\"\"\n")
}

fn one(text: &str) -> Row {
    let mut rows = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    assert_eq!(rows.len(), 1, "{text}");
    rows.remove(0)
}

#[test]
fn rows_that_another_program_made_are_read_and_written_the_same() {
    let rows = parse(VECTORS).unwrap();
    assert_eq!(rows.len(), VECTORS.lines().count());
    for (row, line) in rows.into_iter().zip(VECTORS.lines()) {
        let address = |pattern| match pattern {
            AddressPattern::V4 { value, mask: u32::MAX } => IpAddr::V4(Ipv4Addr::from_bits(value)),
            other => panic!("{other:?}"),
        };
        assert_eq!(row.spi.mask, u32::MAX);
        let (source, destination) = (address(row.source), address(row.destination));
        let mut sa = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(row.spi.value));
        sa.algorithms = row.algorithms;
        assert_eq!(*super::row(&sa, None).unwrap(), line);
    }
}

#[test]
fn addresses_have_wildcards_and_prefixes() {
    let check = |family: &str, pattern: &str, address: &str, expected: bool| {
        let found = one(&with(family, pattern, "*")).source.matches(address.parse().unwrap());
        assert_eq!(found, expected, "{address} in {pattern} of {family}");
    };
    check("IPv4", "10.9.0.1", "10.9.0.1", true);
    check("IPv4", "10.9.0.1", "10.9.0.2", false);
    check("IPv4", "*", "10.9.0.1", true);
    check("IPv4", "*", "::1", false);
    check("IPv4", "190.*.*.1", "190.7.255.1", true);
    check("IPv4", "190.*.*.1", "190.7.255.2", false);
    check("IPv4", "10.9.0.0/15", "10.8.4.4", true);
    check("IPv4", "10.9.0.0/15", "10.10.4.4", false);
    check("IPv4", "10.9.0.0/0", "1.2.3.4", true);
    check("IPv6", "fd00:9::1", "fd00:9::1", true);
    check("IPv6", "fd00:9::*", "fd00:9::beef", true);
    check("IPv6", "fd00:9::*", "fd00:9::1:beef", false);
    check("IPv6", "fd00:9::00*1", "fd00:9::a1", true);
    check("IPv6", "fd00::/17", "fd00:7fff::1", true);
    check("IPv6", "fd00::/17", "fd00:8000::1", false);
    check("IPv6", "*", "fd00::1", true);
    check("IPv6", "*", "10.9.0.1", false);
    check("Any", "*", "10.9.0.1", true);
    check("Any", "*", "fd00::1", true);
    check("Any", "fd00::/8", "fd00::1", true);
    check("Any", "10.0.0.0/8", "10.1.2.3", true);
}

#[test]
fn spis_have_wildcards() {
    let check = |pattern: &str, spi: u32, expected: bool| {
        assert_eq!(one(&with("IPv4", "*", pattern)).spi.matches(Spi(spi)), expected, "{spi:#x} in {pattern}");
    };
    check("0x1001", 0x1001, true);
    check("4097", 0x1001, true);
    check("0x00001001", 0x1002, false);
    check("*", 0xffff_ffff, true);
    check("0x000010**", 0x10ab, true);
    check("0x000010**", 0x11ab, false);
}

#[test]
fn newer_rows_say_the_upper_half_of_sequence_numbers() {
    let row = with("IPv4", "*", "*");
    let row = row.trim_end();
    let check = |more: &str, expected| assert_eq!(one(&format!("{row}{more}")).sequence_high, expected, "{more}");
    check("", None);
    check(",\"32-bit\",\"0\"", None);
    check(",\"64-bit\",\"0\"", Some(0));
    check(",\"64-bit\",\"0x1a\"", Some(26));
}

#[test]
fn keys_are_hex_or_text_with_escapes() {
    let key = |cell: &str| {
        let row = one(&format!("\"IPv4\",\"*\",\"*\",\"*\",\"DES-CBC [RFC2405]\",\"{cell}\",\"NULL\",\"\""));
        row.algorithms.encryption.unwrap().key
    };
    assert_eq!(key("0x0102030405060708"), Secret::copy_from(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(key("0x102030405060708"), Secret::copy_from(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(key("abcd,#\\\"\\x01"), Secret::copy_from(b"abcd,#\"\x01"));
}

#[test]
fn an_icv_may_be_known_by_its_length_alone() {
    let text = "\"IPv4\",\"*\",\"*\",\"*\",\"NULL\",\"\",\"ANY 96 bit authentication [no checking]\",\"\"";
    let authentication = one(text).algorithms.authentication.unwrap();
    assert_eq!((authentication.name.kernel(), authentication.icv_bits), ("digest_null", 96));
    let key = "0x0102030405060708090a0b0c0d0e0f1011121314";
    let old = format!(
        "\"IPv4\",\"*\",\"*\",\"*\",\"AES-GCM [RFC4106]\",\"{key}\",\"ANY 128 bit authentication [no checking]\",\"\""
    );
    assert_eq!(one(&old).algorithms.aead.unwrap().icv_bits, 128);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_without_keys() {
    let check = |line: &str, column: usize, problem: &str| {
        let text = format!("# comment\n\n{line}\n");
        let errors = parse(&text).unwrap_err();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((place_of(&text, error.span.start), &*error.problem), ((3, column), problem), "{line}");
        assert!(!format!("{error:?}").contains("hunter2") && !format!("{error:?}").contains("beef"), "{error:?}");
    };
    check("IPv4", 1, "a cell does not begin with a quote");
    check("\"IPv4\",\"10.9.0.1", 8, "the cell does not end");
    check("\"IPv4\" ,\"*\"", 7, "something stands behind a cell");
    check("\"IPv4\",\"*\"", 8, "the row ends after 2 of 8 or 10 cells");
    check(&with("IPX", "*", "*"), 1, "this is no protocol");
    check(&with("IPv4", "fd00::1", "*"), 8, "this is no address");
    check(&with("IPv4", "10.9.0.0/33", "*"), 8, "this is no address");
    check(&with("IPv4", "1*.9.0.0", "*"), 8, "this is no address");
    check(&with("IPv6", "10.9.0.1", "*"), 8, "this is no address");
    check(&with("IPv4", "*", "0x10*"), 16, "this is no SPI");
    check(&with("IPv4", "*", "hunter2"), 16, "this is no SPI");
    let keyed = |enc: &str, key: &str, auth: &str, auth_key: &str| {
        format!("\"IPv4\",\"*\",\"*\",\"*\",\"{enc}\",\"{key}\",\"{auth}\",\"{auth_key}\"")
    };
    check(&keyed("hunter2", "", "NULL", ""), 20, "this is no encryption algorithm of the table");
    check(&keyed("NULL", "", "hunter2", ""), 30, "this is no authentication algorithm of the table");
    check(&keyed("AES-CBC [RFC3602]", "hunter2", "NULL", ""), 40, "the key has 56 bits");
    check(&keyed("AES-CBC [RFC3602]", "0xbeefno", "NULL", ""), 40, "only the digits 0-9 and a-f may follow 0x");
    check(&keyed("NULL", "", "HMAC-MD5-96 [RFC2403]", "0x"), 54, "the key has 0 bits");
    let gcm_key = "0xbeefbeefbeefbeefbeefbeefbeefbeefbeefbeef";
    let problem = "the encryption algorithm authenticates, too";
    check(&keyed("AES-GCM with 16 octet ICV [RFC4106]", gcm_key, "HMAC-MD5-96 [RFC2403]", "x"), 103, problem);
    check(&keyed("AES-GCM [RFC4106]", gcm_key, "NULL", ""), 85, problem);
    let row = keyed("NULL", "", "NULL", "");
    check(&format!("{row},\"64-bit\""), 40, "a row with sequence numbers has 10 cells");
    check(&format!("{row},\"64-bit\",\"g\""), 49, "this is no 32-bit number");
    check(&format!("{row},\"48-bit\",\"0\""), 40, "this is no length of sequence numbers");
    check(&format!("{row},\"64-bit\",\"0\",\"\""), 53, "the row has more than 10 cells");
}

#[test]
fn what_the_table_cannot_hold_is_said_by_name() {
    use AlgorithmKind::{Aead, Authentication, Encryption};
    let check = |protocol, kind: AlgorithmKind, name: &str, key: usize, icv_bits, expected: &str| {
        let mut sa = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), protocol, Spi(0x1001));
        let key = Secret::copy_from(&vec![7; key]);
        let transform = Some(Transform { name: AlgorithmName::from_kernel(name), key, icv_bits });
        match kind {
            Aead => sa.algorithms.aead = transform,
            Authentication => sa.algorithms.authentication = transform,
            _ => sa.algorithms.encryption = transform,
        }
        assert_eq!(row(&sa, None).unwrap_err().to_string(), expected);
    };
    let (ah, esp) = (IpsecProtocol::Ah, IpsecProtocol::Esp);
    check(ah, Authentication, "hmac(sha1)", 20, 96, "Wireshark's table of keys is for ESP, not for ah");
    check(esp, Encryption, "cbc(camellia)", 16, 0, "Wireshark has no word for cbc(camellia) with a key of 128 bits");
    check(esp, Encryption, "cbc(aes)", 3, 0, "Wireshark has no word for cbc(aes) with a key of 24 bits");
    check(esp, Authentication, "hmac(sha1)", 0, 96, "the SA's authentication algorithm has no key");
    check(esp, Encryption, "cbc(cast5)", 5, 0, "Wireshark has no word for cbc(cast5) with a key of 40 bits");
    check(esp, Aead, "rfc4309(ccm(aes))", 19, 64, "Wireshark has no word for rfc4309(ccm(aes)) with an ICV of 64 bits");
    check(esp, Authentication, "hmac(sha1)", 20, 160, "Wireshark has no word for hmac(sha1) with an ICV of 160 bits");
}

#[test]
fn what_a_table_lacks_is_counted_and_said() {
    let sa = |protocol, name: &str, icv_bits| {
        let mut sa = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), protocol, Spi(0x1001));
        let name = AlgorithmName::from_kernel(name);
        sa.algorithms.authentication = Some(Transform { name, key: Secret::copy_from(&[7; 16]), icv_bits });
        sa
    };
    let said = |sas: &[SaSpec]| {
        let mut lacking = Lacking::default();
        for sa in sas {
            lacking.line(sa, None);
        }
        lacking.words()
    };
    let (ah, esp) = (IpsecProtocol::Ah, IpsecProtocol::Esp);
    let comp = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Comp, Spi(0x1001));
    assert_eq!(said(&[sa(esp, "hmac(md5)", 96), comp]), None);
    let words = said(&[sa(ah, "hmac(md5)", 96), sa(ah, "hmac(md5)", 96)]).unwrap();
    assert_eq!(words, "Wireshark's table of keys lacks the keys of 2 SAs of AH, which it is not for");
    let words = said(&[sa(esp, "hmac(md5)", 80), sa(esp, "xcbc(aes)", 96)]).unwrap();
    assert_eq!(
        words,
        "Wireshark's table of keys lacks the keys of 1 SA of ESP, for the reasons in its comments; the authentication of \
         1 SA, for whose algorithms it has no word: such packets are decrypted unchecked"
    );
}

#[test]
fn hidden_keys_are_not_exported() {
    let mut sa = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x1001));
    let name = AlgorithmName::from_kernel("cbc(aes)");
    sa.algorithms.encryption = Some(Transform { name, key: Secret::copy_from(&[0; 16]), icv_bits: 0 });
    assert_eq!(row(&sa, None), Err(NoRow::KeyHidden));
}

fn transforms(kind: AlgorithmKind) -> impl Strategy<Value = Option<Transform>> {
    let algorithms: Vec<&'static Algorithm> = ALGORITHMS.iter().filter(|one| one.kind == kind).collect();
    let transform = prop::sample::select(algorithms).prop_flat_map(|algorithm| {
        let lengths: Vec<usize> = (0..=64).filter(|bytes| algorithm.key_bits.allow(bytes * 8)).collect();
        let icv_bits = if algorithm.icv_bits.is_empty() { &[0][..] } else { algorithm.icv_bits };
        (prop::sample::select(lengths), prop::sample::select(icv_bits), 1u8..).prop_map(
            move |(bytes, icv_bits, fill)| {
                let key = Secret::copy_from(&vec![fill; bytes]);
                Transform { name: algorithm.into(), key, icv_bits: icv_bits.into() }
            },
        )
    });
    prop::option::of(transform)
}

proptest! {
    #[test]
    fn a_row_reads_back_what_was_written(
        addresses in prop_oneof![
            any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b))),
            any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b))),
        ],
        spi in any::<u32>(),
        high in any::<Option<u32>>(),
        aead in transforms(AlgorithmKind::Aead),
        encryption in transforms(AlgorithmKind::Encryption),
        authentication in transforms(AlgorithmKind::Authentication),
    ) {
        let mut sa = SaSpec::new(addresses.0, addresses.1, IpsecProtocol::Esp, Spi(spi));
        sa.algorithms = match aead {
            Some(_) => Algorithms { aead, authentication, ..Algorithms::default() },
            None => Algorithms { encryption, authentication, ..Algorithms::default() },
        };
        if let Ok(text) = row(&sa, high) {
            let found = one(&text);
            prop_assert!(found.source.matches(sa.source) && found.destination.matches(sa.destination));
            prop_assert_eq!((found.spi, found.sequence_high), (SpiPattern { value: spi, mask: u32::MAX }, high));
            if sa.algorithms.aead.is_some() {
                sa.algorithms.authentication = None;
            }
            prop_assert_eq!(found.algorithms.aead, sa.algorithms.aead);
            let written = |transform: Option<Transform>| transform.filter(|transform| !transform.key.is_empty());
            prop_assert_eq!(written(found.algorithms.encryption), written(sa.algorithms.encryption));
            // What Wireshark cannot check it is not told the key of.
            let (read, meant) = (found.algorithms.authentication, sa.algorithms.authentication);
            prop_assert_eq!(read.as_ref().map_or(0, |code| code.icv_bits), meant.as_ref().map_or(0, |code| code.icv_bits));
            if read.as_ref().is_some_and(|code| code.name.kernel() != NOT_CHECKED) {
                prop_assert_eq!(read, meant);
            }
        }
    }
}
