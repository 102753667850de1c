//! Wireshark, asked what it thinks of a file's frames.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What Wireshark says of a frame.
#[derive(Debug)]
pub struct Opinion {
    pub is_good: bool,
    pub is_bad: bool,
    /// In hex.
    pub data: String,
    /// What was compressed stays so.
    pub is_compressed: bool,
}

/// Wireshark's opinions of a file's frames with a table of keys.
pub fn opinions(file: &Path, table: &Path) -> Vec<Opinion> {
    let settings = tempfile::tempdir().unwrap();
    // It has no words for comments that stand for what it cannot do.
    let rows = fs::read_to_string(table).unwrap();
    let rows: Vec<&str> = rows.lines().filter(|line| !line.starts_with('#')).collect();
    fs::write(settings.path().join("esp_sa"), rows.join("\n") + "\n").unwrap();
    let fields = ["esp.icv_good", "esp.icv_bad", "data.data", "ipcomp.cpi"];
    let output = Command::new("tshark")
        .env("WIRESHARK_CONFIG_DIR", settings.path())
        .args(["-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"])
        .args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=f"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .arg("-r")
        .arg(file)
        .output()
        .expect("tshark: install what your system calls the package tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let opinion = |line: &str| {
        let mut fields = line.split('|').map(str::to_owned);
        let mut next = || fields.next().unwrap();
        Opinion { is_good: next() == "1", is_bad: next() == "1", data: next(), is_compressed: !next().is_empty() }
    };
    String::from_utf8(output.stdout).unwrap().lines().map(opinion).collect()
}

/// Whether it can read what a row of its table says, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It reads and checks.
    Checks,
    /// It reads, and there is nothing to check.
    Reads,
    /// It has no word for it.
    None,
    /// It takes the row; version 4.0 then reads nothing, others read it.
    Perhaps,
}

/// The ability that a row of its table asks for; of the row's packets we say this `verdict`.
pub fn ability(row: &str, verdict: &str) -> Ability {
    if row.starts_with('#') || (row.contains("\"64-bit\"") && !knows_extended_numbers()) {
        Ability::None
    } else if row.contains("\"ChaCha20 ") {
        Ability::Perhaps
    } else if row.contains("[no checking]") || ["UNPROVEN", "REFUSED"].contains(&verdict) {
        Ability::Reads
    } else {
        Ability::Checks
    }
}

/// From 4.2 on it knows sequence numbers of 64 bits.
fn knows_extended_numbers() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| {
        let output = Command::new("tshark").arg("--version").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap()) >= (4, 2)
    })
}
