//! Makes the little library that the lab's kernel is started with; see `src/sys/uml_ptrace.rs`.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const SOURCE: &str = "src/sys/uml_ptrace.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var_os(name).unwrap_or_default();
    let library = PathBuf::from(variable("OUT_DIR")).join("ptrace.so");
    let target = variable("TARGET");
    if target != "x86_64-unknown-linux-gnu" {
        // There is no User-Mode Linux elsewhere.
        fs::write(library, []).expect("writing into the build's own folder");
        return;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=ptrace", "-Copt-level=2", "-Cpanic=abort"]);
    rustc.args(["-Cstrip=symbols", SOURCE, "--target"]).arg(target).arg("-o").arg(library);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    let status = rustc.status().expect("running the compiler");
    assert!(status.success(), "{SOURCE} does not compile");
}
