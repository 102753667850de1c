//! The console itself, in a terminal inside the lab.

use espial::kernel::together;
use espial::lab::Profile;

use crate::Test;
use crate::session::Session;
use crate::world::{feed, ip, kernel, on_reblochon, reset};

pub const TESTS: &[Test] = &[
    ("an_aes_gcm_sa_is_added_by_form_seen_by_ip_deleted_and_flushed", add_delete_flush),
    ("a_policy_is_added_by_form_refused_twice_deleted_and_flushed", policies),
    ("read_only_on_another_host_changes_nothing", read_only_elsewhere),
    ("packets_are_tied_to_their_sas", packets),
    ("hello_world_is_read_decrypted_and_not_on_the_wire_under_every_profile", hello),
    ("a_check_from_the_console_sends_a_probe_and_finds_it_inside", check),
    ("without_capabilities_it_opens_and_says_what_is_missing", without_capabilities),
];

const KEY: &str = "0x0102030405060708090a0b0c0d0e0f1011121314";

fn must(result: Result<(), String>) {
    result.unwrap_or_else(|problem| panic!("{problem}"));
}

/// The time in which warnings are read; before it, no key confirms them.
fn read() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

fn add_delete_flush() {
    let mut session = Session::espial();
    must(session.sees("SAs 0"));
    // Source, destination and SPI; then a key from Ctrl-G for the algorithm that is offered first.
    session.press("a\t\t10.9.0.1\t10.9.0.2\t0x1001\t\t\x07");
    must(session.sees("••••"));
    session.press("\x13");
    must(session.sees("Send it all the same"));
    read();
    session.press("\r");
    must(session.sees("added SA esp 0x00001001 to 10.9.0.2"));
    must(session.sees("SAs 1"));
    let listed = ip("xfrm state");
    assert!(listed.contains("src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00001001"), "{listed}");
    assert!(listed.contains("aead rfc4106(gcm(aes)) 0x"), "{listed}");
    session.press("d");
    must(session.sees("Delete this SA?"));
    assert!(ip("xfrm state").contains("0x00001001"), "the question alone deletes nothing");
    session.press("y");
    must(session.sees("SAs 0"));
    assert_eq!(ip("xfrm state"), "");
    for spi in ["0x2001", "0x2002"] {
        ip(&format!("xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi {spi} aead rfc4106(gcm(aes)) {KEY} 128"));
    }
    must(session.sees("SAs 2"));
    session.press("F");
    must(session.sees("These 2 SAs go"));
    session.press("y");
    must(session.sees("SAs 0"));
    assert_eq!(ip("xfrm state"), "");
    session.press("q");
    session.ends(0).unwrap();
}

fn packets() {
    for (host, script) in [
        ("gouda", include_str!("../data/article-gouda.conf")),
        ("reblochon", include_str!("../data/article-reblochon.conf")),
    ] {
        let output = feed(env!("CARGO_BIN_EXE_espial"), &["--netns", host, "apply", "-"], script);
        assert!(output.status.success(), "{output:?}");
    }
    let mut session = Session::espial();
    must(session.sees("SAs 4"));
    session.resize(40, 130);
    session.press("3");
    // The hosts' talkers speak every second.
    must(session.sees("AH: hmac-md5-96; ESP: 3des-cbc hmac-sha1-96"));
    ip("xfrm state delete src 10.9.0.2 dst 10.9.0.1 proto esp spi 2001");
    must(session.sees("ESP: no SA"));
    session.press("/esp and in\r");
    must(session.sees("with: esp and in"));
    session.press("q");
    session.press("q");
    session.ends(0).unwrap();
}

/// Protects the hosts as the lab does it at its start.
fn install(profile: Profile) {
    let [gouda, reblochon] = profile.contents().unwrap();
    together::exchange(&mut kernel(), &gouda).unwrap();
    on_reblochon(|| together::exchange(&mut kernel(), &reblochon)).unwrap();
}

/// The characters of one of the two columns of bytes: that below this head.
fn column(screen: &str, head: &str) -> String {
    let mut lines = screen.lines().skip_while(|line| !line.contains("on the wire"));
    let heads = lines.next().unwrap();
    let (left, right) = (heads.find("on the wire").unwrap(), heads.find("decrypted").unwrap());
    let in_a_row = (right - left - 6) / 4;
    let start = heads.find(head).unwrap();
    let is_hex = |offset: &String| offset.len() == 4 && offset.bytes().all(|byte| byte.is_ascii_hexdigit());
    let row = |line: &str| {
        let cells: Vec<char> = line.chars().skip(start).collect();
        let offset: String = cells.iter().take(4).collect();
        is_hex(&offset).then(|| cells.into_iter().skip(5 + 3 * in_a_row).take(in_a_row).collect::<String>())
    };
    lines.map_while(row).collect()
}

fn hello() {
    for profile in [Profile::Gcm, Profile::Tunnel, Profile::Article] {
        reset();
        install(profile);
        let mut session = Session::espial();
        must(session.sees("1 of "));
        session.resize(50, 160);
        session.press("3/esp and text \"hello world\"\r");
        // The title is written before the rows below it.
        must(session.until("a packet that fits", |screen| {
            let text = screen.contents();
            // The words are cut where there is no room; hints come back when they were all typed.
            text.contains(", with: esp and") && text.contains("Enter details") && !text.contains("Packets 0 of")
        }));
        session.press("\r");
        // The last line is written last.
        must(session.sees("Tab layer"));
        let screen = session.contents();
        let (wire, inside) = (column(&screen, "on the wire"), column(&screen, "decrypted"));
        assert!(inside.contains("hello world"), "{profile:?}: {inside:?}\n{screen}");
        assert!(wire.len() > inside.len() && !wire.contains("hello"), "{profile:?}: {wire:?}");
        session.press("\x03");
        session.ends(0).unwrap();
    }
}

fn check() {
    install(Profile::Gcm);
    let mut session = Session::espial();
    must(session.sees("SAs 2"));
    session.press("c");
    must(session.sees("[ Watch ]"));
    // Two up is what to send, one further up the text.
    session.press("\x1b[A\x1b[A\x1b[C\x1b[Asent by a check\x13");
    must(session.sees("ENCRYPTED: "));
    must(session.sees("The first with the text inside"));
    must(session.sees("decrypted"));
    session.press("\x03");
    session.ends(0).unwrap();
}

fn without_capabilities() {
    let espial = env!("CARGO_BIN_EXE_espial");
    let arguments = ["--bounding-set=-all", "--inh-caps=-all", espial, "--config", "/dev/null"];
    let mut session = Session::start("setpriv", &arguments);
    must(session.sees("CAP_NET_ADMIN"));
    session.press("3");
    must(session.sees("CAP_NET_RAW"));
    session.press("q");
    session.ends(0).unwrap();
}

fn policies() {
    let mut session = Session::espial();
    must(session.sees("Policies 0"));
    session.press("2");
    must(session.sees("2 Policies 0"));
    // Direction, source and destination; what comes behind has a default.
    let form = "a\t10.1.0.0/24\t10.2.0.0/24\x13";
    session.press(form);
    must(session.sees("ip xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir out"));
    must(session.sees("gateways take mode tunnel"));
    read();
    session.press("\r");
    must(session.sees("added policy out 10.1.0.0/24 10.2.0.0/24"));
    must(session.sees("Policies 1"));
    let listed = ip("xfrm policy");
    assert!(listed.contains("src 10.1.0.0/24 dst 10.2.0.0/24 dir out priority 2147483648 "), "{listed}");
    assert!(listed.contains("proto esp reqid 0 mode transport"), "{listed}");
    session.press(form);
    must(session.sees("another priority does not make it another"));
    session.press("\x1b");
    must(session.until("the form's end", |screen| !screen.contents().contains("Add a policy")));
    ip("xfrm policy add src 10.3.0.0/24 dst 10.2.0.0/24 dir in action block");
    must(session.sees("Policies 2"));
    session.press("F");
    must(session.sees("These 2 policies go"));
    session.press("n");
    must(session.until("the question's end", |screen| !screen.contents().contains("These 2 policies go")));
    assert_eq!(ip("xfrm policy").matches("src 10.").count(), 2, "a no deletes nothing");
    session.press("gd");
    must(session.sees("Delete this policy?"));
    session.press("y");
    must(session.sees("Policies 1"));
    assert!(!ip("xfrm policy").contains("dir out"));
    session.press("F");
    must(session.sees("This policy goes"));
    session.press("y");
    must(session.sees("Policies 0"));
    assert_eq!(ip("xfrm policy"), "");
    session.press("q");
    session.ends(0).unwrap();
}

/// On the other host, and only looking.
fn read_only_elsewhere() {
    let add = "xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x2001";
    ip(&format!("-n reblochon {add} aead rfc4106(gcm(aes)) {KEY} 128"));
    let arguments = ["--config", "/dev/null", "--netns", "reblochon", "--read-only"];
    let mut session = Session::start(env!("CARGO_BIN_EXE_espial"), &arguments);
    must(session.sees("espial reblochon"));
    must(session.sees("SAs 1"));
    must(session.sees("Enter details  c check"));
    // The help comes behind whatever these would do; y alone copies, which changes nothing, and q leaves that again.
    session.press("dyFyq?");
    must(session.sees("Keys"));
    assert!(ip("-n reblochon xfrm state").contains("spi 0x00002001"));
    session.press("\x03");
    session.ends(0).unwrap();
}
