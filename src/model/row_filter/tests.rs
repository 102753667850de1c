//! Filters over rows, read and held against SAs and policies.

use super::*;
use crate::model::expression::MOST_CONDITIONS;
use crate::model::extras::{ExtraFlags, SecurityContext};
use crate::model::sa::SaErrors;
use crate::model::{
    AlgorithmName, IfId, Limit, Mark, PolicyAction, PolicyDirection, PolicySpec, PortMatch, ReqId, SaDirection,
    SaFlags, SaSpec, Secret, Selector, Spi, Template, Transform,
};

const NOW: u64 = 10_000;

fn sa() -> Sa {
    let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(0x7d1));
    spec.algorithms.encryption =
        Some(Transform { name: AlgorithmName::from_kernel("cbc(aes)"), key: Secret::copy_from(&[1; 16]), icv_bits: 0 });
    spec.algorithms.authentication = Some(Transform {
        name: AlgorithmName::from_kernel("hmac(sha1)"),
        key: Secret::copy_from(&[2; 20]),
        icv_bits: 96,
    });
    (spec.mode, spec.reqid, spec.flags) = (Mode::Tunnel, ReqId(7), SaFlags(SaFlags::ESN));
    spec.mark = Some(Mark { value: 5, mask: 0xff });
    let mut sa = Sa::from_spec(&spec, NOW - 7200);
    (sa.used.bytes, sa.used.packets) = (1_500_000, 12);
    sa.errors = SaErrors { replayed: 3, ..SaErrors::default() };
    sa
}

fn policy() -> Policy {
    let selector = Selector::between("10.9.0.0/25".parse().unwrap(), "10.8.0.0/16".parse().unwrap());
    let mut spec = PolicySpec::new(PolicyDirection::Out, selector);
    let mut template = Template::new(IpsecProtocol::Esp, Mode::Tunnel, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    template.reqid = ReqId(7);
    spec.templates.push(template);
    (spec.priority, spec.action, spec.if_id) = (100, PolicyAction::Allow, Some(IfId(42)));
    Policy::from_spec(&spec, 9, NOW - 60)
}

fn fits(text: &str, object: Object<'_>, rows: Rows) -> bool {
    let filter = RowFilter::parse(text, rows).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut contains = |word: &str| "out 10.9.0.1 10.9.0.2 esp dst".contains(word);
    filter.is_none_or(|filter| filter.fits(&FilteredRow { object, now: NOW }, &mut contains))
}

fn check(object: Object<'_>, rows: Rows, fitting: &[&str], others: &[&str]) {
    for text in fitting {
        assert!(fits(text, object, rows), "{text} should fit");
    }
    for text in others {
        assert!(!fits(text, object, rows), "{text} should not fit");
    }
}

#[test]
fn sas_are_chosen_by_their_fields() {
    let fitting = [
        "",
        "dst 10.9.0.0/24 and proto esp and errors > 0",
        "spi 0x7d1",
        "spi 2001",
        "spi=2001",
        "spi != 5",
        "mode tunnel",
        "auth hmac-sha1",
        "auth hmac-sha1-96",
        "enc aes",
        "age > 1h",
        "age >= 7200",
        "age<=2h",
        "bytes > 1M",
        "bytes = 1.5M",
        "packets < 13",
        "dir out",
        "mark 5",
        "mark 0x5/0xff",
        "if_id != 3",
        "reqid 7",
        "flag esn",
        "peer 10.9.0.2",
        "host 10.9.0.1",
        "upper any",
        "mode transport or mode tunnel",
        "not (proto ah or proto ipcomp)",
        "proto esp or (proto ah and spi 2002)",
        "proto ah and spi 2002 or proto esp",
        "ESP 10.9",
        "10.9.0.2 errors>2",
        "\"dst\"",
    ];
    let others = [
        "dst 10.9.0.1",
        "src 10.10.0.0/16",
        "errors > 3",
        "errors 0",
        "auth hmac-sha",
        "auth hmac-sha2-256",
        "enc aes-gcm",
        "dir in",
        "mark 5/0xf",
        "if_id 3",
        "! esp",
        "esp nothing",
        "proto ah or proto ipcomp and spi 2001",
        // From left to right.
        "proto esp or proto ah and spi 2002",
        "proto esp or proto ah spi 2002",
        "flag noecn",
    ];
    check(Object::Sa(&sa(), Some(SaDirection::Out)), Rows::Sas, &fitting, &others);
}

#[test]
fn sas_are_chosen_by_what_few_have_and_by_how_they_are() {
    let mut sa = sa();
    sa.limits.since_added_secs = Limit { soft: Some(7300), hard: Some(7300 + 3600) };
    sa.last_used_at = Some(NOW - 90);
    (sa.replay.window, sa.replay.sent, sa.replay.received) = (32, 5_000_000_000, 7);
    (sa.errors.before_window, sa.errors.integrity_failed) = (1, 2);
    sa.selector.source_port = PortMatch::exactly(500);
    sa.selector.interface = 4;
    sa.extras.encapsulation = Some(Encapsulation {
        kind: Encapsulation::ESP_IN_UDP,
        source_port: 4500,
        destination_port: 31_000,
        original: [0, 0, 0, 0].into(),
    });
    sa.extras.output_mark = Some(Mark { value: 9, mask: u32::MAX });
    sa.extras.extra_flags = ExtraFlags(1);
    sa.extras.security = Some(SecurityContext::selinux("system_u:object_r:ipsec_spd_t:s0"));
    sa.extras.cpu = Some(2);
    let fitting = [
        "state ok",
        "idle 90",
        "idle < 2m and idle > 1m",
        "left = 3700s",
        "renewal <= 100s",
        "replayed 3 late 1 bad-icv > 1 errors 6",
        "window 32",
        "sent > 4G and received 7",
        "encap udp and encap espinudp and encap any and encap 2",
        "sport 4500 and sport 500 and dport 31000 and port 500",
        "output-mark 9",
        "flag dont-encap-dscp flags esn",
        "label ipsec_spd",
        "label SYSTEM_U",
        "cpu 2",
        "dev 4",
    ];
    let others = [
        "state larval",
        "state expired",
        "idle > 2m",
        "left > 2h",
        "late 0",
        "encap tcp",
        "encap none",
        "dport 500",
        "sport 31000",
        "output-mark 9/0xff",
        "flag oseq-may-wrap",
        "label nothing",
        "cpu != 2",
        "dev 5",
    ];
    check(Object::Sa(&sa, None), Rows::Sas, &fitting, &others);
    sa.limits.since_added_secs = Limit { soft: Some(7000), hard: None };
    check(Object::Sa(&sa, None), Rows::Sas, &["state expiring", "renewal 0", "not left < 9d"], &["left > 0"]);
    sa.algorithms = std::sync::Arc::default();
    (sa.extras, sa.last_used_at) = (crate::model::Extras::default(), None);
    let nothing = ["encap any", "sport 4500", "output-mark 9", "cpu 2", "label s0", "idle >= 0"];
    check(Object::Sa(&sa, None), Rows::Sas, &["state larval", "encap none"], &nothing);
}

#[test]
fn policies_are_chosen_by_their_fields_and_those_of_their_templates() {
    let fitting = [
        "dir out",
        "action protect",
        "src 10.9.0.0/24",
        "src 10.9.0.0/25",
        "host 10.0.0.0/8",
        "peer 192.0.2.2",
        "proto esp mode tunnel reqid 7",
        "priority < 1000 and index 9",
        "if_id 0x2a",
        "age 1m",
        "upper any",
    ];
    let others =
        ["action block", "src 10.9.0.1", "src 10.9.0.0/26", "peer 10.9.0.1", "mark 0", "dir socket", "reqid 8"];
    check(Object::Policy(&policy()), Rows::Policies, &fitting, &others);
    let mut policy = policy();
    (policy.flags, policy.kind) = (1, PolicyKind::Sub);
    policy.selector.destination_port = PortMatch { value: 4096, mask: 0xf000 };
    policy.selector.interface = 3;
    policy.security = Some(Box::new(SecurityContext::selinux("a:b")));
    policy.used.used_at = Some(NOW - 5);
    policy.limits.since_added_secs.hard = Some(61);
    let fitting = [
        "flag localok ptype sub",
        "dport 4097 and port 5000",
        "dev 3 and label a: and idle 5 and left 1s and state expiring and templates 1",
    ];
    check(Object::Policy(&policy), Rows::Policies, &fitting, &["flag icmp", "ptype main", "sport 4097", "templates 0"]);
}

#[test]
fn errors_say_where_and_what() {
    let condition = "expected a condition, as dst 10.9.0.0/24, spi 0x1001 or a word";
    let cases = [
        ("dst", 4, format!("expected {NET}")),
        ("dst ten", 5, format!("expected {NET}, found \"ten\"")),
        ("esp and", 8, condition.to_owned()),
        ("or esp", 1, format!("{condition}, found \"or\"")),
        ("(esp", 5, "expected \")\"".to_owned()),
        ("esp )", 5, "expected \"and\", \"or\", or the end, found \")\"".to_owned()),
        ("errors >", 9, format!("expected {AMOUNT}")),
        ("errors > many", 10, format!("expected {AMOUNT}, found \"many\"")),
        ("errors >< 5", 8, "expected =, !=, <, <=, > or >=, found \"><\"".to_owned()),
        ("mode > tunnel", 6, "expected = or != behind mode, found \">\"".to_owned()),
        ("> 5", 1, "expected a field, as errors or age, before a sign, found \">\"".to_owned()),
        ("dir \u{1b}[2J", 5, "expected in, out, fwd or socket, found \"\\x1b[2J\"".to_owned()),
        ("bytes 1.23", 7, format!("expected {AMOUNT}, found \"1.23\"")),
        ("bytes 99999E", 7, format!("expected {AMOUNT}, found \"99999E\"")),
    ];
    for (text, column, message) in cases {
        assert_eq!(RowFilter::parse(text, Rows::Sas), Err(FilterError { column, message }), "{text}");
    }
    let missed = RowFilter::parse("error > 0", Rows::Sas).unwrap_err().to_string();
    assert!(missed.starts_with("column 1: expected a field before a sign (src, dst, "), "{missed}");
    let foreign = RowFilter::parse("action block", Rows::Sas).unwrap_err().to_string();
    assert!(foreign.starts_with("column 1: expected a field that SAs have (src, dst, "), "{foreign}");
    assert!(foreign.ends_with(", found \"action\""), "{foreign}");
    assert!(RowFilter::parse("spi 5", Rows::Policies).is_err());
    let deep = "(".repeat(100_000);
    assert!(RowFilter::parse(&deep, Rows::Sas).unwrap_err().message.contains("fewer than 64 brackets"));
}

#[test]
fn amounts_are_read_as_they_are_printed() {
    for (text, value) in [("0", Some(0)), ("999", Some(999)), ("1.50k", Some(1500)), ("2m", Some(2_000_000))] {
        assert_eq!(amount(text), value, "{text}");
    }
    for text in ["", "k", ".5k", "1.5", "1.2345k", "-1", "+1", "19E", "1 k", "ük"] {
        assert_eq!(amount(text), None, "{text}");
    }
}

#[test]
fn more_conditions_than_anybody_writes_are_refused() {
    for join in ["", "or ", "and not "] {
        let many = |count| format!("esp{}", format!(" {join}esp").repeat(count - 1));
        assert!(RowFilter::parse(&many(MOST_CONDITIONS), Rows::Sas).is_ok());
        let error = RowFilter::parse(&many(100_000), Rows::Sas).unwrap_err();
        assert!(error.to_string().contains("at most 1000 conditions"), "{error}");
    }
}

#[test]
fn only_what_changes_by_itself_is_live() {
    for (text, live) in [
        ("esp", true),
        ("age > 5", true),
        ("not errors 0", true),
        ("state ok", true),
        ("left < 1m", true),
        ("window 32", false),
        ("spi 5 or dir in", true),
        ("spi 5 or proto ah", false),
    ] {
        assert_eq!(RowFilter::parse(text, Rows::Sas).unwrap().unwrap().is_live(), live, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "(dst|spi|errors|and|or|not|[()<>=! \"]|10\\.9\\.0\\.2|5|ü|\\PC){0,12}") {
        for rows in [Rows::Sas, Rows::Policies] {
            if let Ok(Some(filter)) = RowFilter::parse(&text, rows) {
                let (sa, policy) = (sa(), policy());
                let object = if rows == Rows::Sas { Object::Sa(&sa, None) } else { Object::Policy(&policy) };
                let row = FilteredRow { object, now: NOW };
                let opposite = RowFilter::Not(Box::new(filter.clone()));
                proptest::prop_assert_ne!(filter.fits(&row, &mut |_| true), opposite.fits(&row, &mut |_| true));
            }
        }
    }
}
