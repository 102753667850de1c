//! Makes the little library that the lab's kernel is started with; see `src/sys/uml_ptrace.rs`.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const SOURCE: &str = "src/sys/uml_ptrace.rs";
const LINUX: &str = "x86_64-unknown-linux-gnu";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var_os(name).unwrap_or_default();
    let library = PathBuf::from(variable("OUT_DIR")).join("ptrace.so");
    let (host, target) = (variable("HOST"), variable("TARGET"));
    // A User-Mode Linux kernel is a program of libc's, whichever library espial itself is built with.
    if host != LINUX || !target.to_string_lossy().starts_with("x86_64-unknown-linux") {
        fs::write(library, []).expect("writing into the build's own folder");
        return;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=ptrace", "-Copt-level=2", "-Cpanic=abort"]);
    rustc.args(["-Cstrip=symbols", SOURCE, "--target", LINUX, "-o"]).arg(library);
    if let Some(linker) = env::var_os("RUSTC_LINKER").filter(|_| host == target) {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    let status = rustc.status().expect("running the compiler");
    assert!(status.success(), "{SOURCE} does not compile");
}
