//! What becomes of a command that only watches when somebody interrupts it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Tells that the watch is to end, with what was seen until then, as it ends tcpdump; a second signal kills.
///
/// # Errors
/// When the signals cannot be caught.
pub fn end_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&ends)).context("catching signals")?;
        signal_hook::flag::register(signal, Arc::clone(&ends)).context("catching signals")?;
    }
    Ok(ends)
}
