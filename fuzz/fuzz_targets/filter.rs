//! Any text as a filter expression.
#![no_main]

use espial::packet::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Filter::parse(text);
});
