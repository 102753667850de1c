//! Tests that need no privileges: everything above the kernel, against a scripted one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails should say where")]

mod console;
mod crypto;
mod evidence;
mod files;
mod filled;
mod headless;
mod keys;
mod setkey;
mod tcpdump;
mod tidy;
mod tshark;
mod wireshark;
