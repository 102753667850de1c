//! `espial apply` of 10,000 SAs beside `ip -batch` of the same, on the lab's kernel, in the same run.
//!
//! To reach: at most a fifth of `ip`'s time. Seen: 0.07 to 0.13. The first of three rounds loads the kernel's modules and
//! is not counted. Look at the ratio, not at the times.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints a table")]

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

const SAS: u32 = 10_000;
const ROUNDS: u32 = 3;

fn main() {
    if std::env::var_os("ESPIAL_LAB").is_none() {
        let own = std::env::current_exe().unwrap();
        let lab = ["lab", "--profile", "none", "--memory", "512", "--"];
        let status = Command::new(env!("CARGO_BIN_EXE_espial")).args(lab).arg(own).status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let (key, mac) = ("0123456789abcdef".repeat(2), "ab".repeat(20));
    let (mut script, mut batch) = (String::new(), String::new());
    for n in 0..SAS {
        let (source, spi) = (format!("10.9.{}.1", n / 250), 0x1000 + n);
        writeln!(script, "add {source} 10.9.0.2 esp {spi} -E aes-cbc 0x{key} -A hmac-sha1 0x{mac};").unwrap();
        writeln!(
            batch,
            "xfrm state add src {source} dst 10.9.0.2 proto esp spi {spi} mode transport enc cbc(aes) 0x{key} \
             auth-trunc hmac(sha1) 0x{mac} 96"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let (script_path, batch_path) = (folder.path().join("setkey.conf"), folder.path().join("batch"));
    std::fs::write(&script_path, script).unwrap();
    std::fs::write(&batch_path, batch).unwrap();
    let timed = |program: &str, arguments: [&str; 1], path: &std::path::Path| {
        let start = Instant::now();
        let output = Command::new(program).args(arguments).arg(path).output().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let counted = Command::new("ip").args(["xfrm", "state", "count"]).output().unwrap();
        assert!(String::from_utf8_lossy(&counted.stdout).contains(&SAS.to_string()));
        assert!(Command::new("ip").args(["xfrm", "state", "flush"]).status().unwrap().success());
        seconds
    };
    for round in 0..ROUNDS {
        let espial = timed(env!("CARGO_BIN_EXE_espial"), ["apply"], &script_path);
        let ip = timed("ip", ["-batch"], &batch_path);
        if round > 0 {
            println!("espial apply {espial:.2} s, ip -batch {ip:.2} s: {:.2} of its time", espial / ip);
        }
    }
}
