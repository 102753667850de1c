//! The program: everything is in the library.

use std::process::ExitCode;

/// A frame is made in one thread and given back in another, millions of times: glibc's allocator takes a lock for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    espial::cli::run()
}
