//! espial: see what the Linux kernel's IPsec does, see on the wire that it does it, and change it without fear.
//!
//! This is the library behind the program of the same name. The program's manual is its README and `espial --help`;
//! here is the house, for whoever works on it.
//!
//! # The rooms
//!
//! | room | holds | must not know |
//! |---|---|---|
//! | [`cli`] | arguments; one file for each command that needs no screen | how a command does its work |
//! | [`console`] | the terminal program: events, state, forms, views, the runtime | how the kernel is spoken to |
//! | [`lab`] | the hosts gouda and reblochon, on this kernel or on a User-Mode Linux kernel | the console |
//! | [`capture`] | where frames come from | what an SA is |
//! | [`evidence`] | frames, SAs and policies in, verdicts with reasons out | where any of them comes from |
//! | [`kernel`] | the SAD and SPD behind one trait: XFRM netlink, and a scripted stand-in for tests | who asks |
//! | [`dialect`] | text to model and back: setkey's language, `ip xfrm` lines, Wireshark's table of keys | files, kernels |
//! | [`packet`] | bytes to layers | where the bytes came from |
//! | [`crypto`] | ESP, AH and IPComp undone: keys and bytes to facts | which SA a packet belongs to |
//! | [`model`] | plain facts: SA, policy, selector, template, algorithm, key | everything else |
//! | [`privilege`], [`settings`] | what this process may do; what the user prefers | the rooms above |
//! | `sys` | the few system calls that no safe crate offers; the only unsafe code | everything else |
//!
//! Arrows point down only:
//!
//! ```text
//! cli ─► console ─┬─► capture, evidence ─┬─► packet, crypto ─┐
//!   └──► lab ─────┴─► kernel ────────────┴─► dialect ────────┴─► model
//! ```
//!
//! # What always holds
//!
//! - `model`, `packet`, `crypto`, `dialect` and `evidence` do no I/O and read no clock. Nothing below `console` knows a terminal.
//! - Events go in one direction: what happens becomes an event, the state takes it in and asks for commands, a worker
//!   carries them out, and their outcomes are events again. The view gets the state and remembers nothing.
//! - Nothing is optimistic: a row changes when the kernel says so.
//! - Keys are [`model::Secret`]: wiped when they go, hidden in `Debug`, on screen, in errors and in exports unless the
//!   user asked for them.
//! - What comes from outside (packets, netlink, files, keys) can neither panic the program nor reach the terminal raw.
//! - Only `sys` has unsafe code, only `cli` prints, and in the console only its `runtime` starts threads.
//!
//! `tests/it/tidy.rs` holds the arrows and these rules as data and fails on a forbidden `use`.

pub mod capture;
pub mod cli;
pub mod console;
pub mod crypto;
pub mod dialect;
pub mod evidence;
pub mod kernel;
pub mod lab;
pub mod model;
pub mod packet;
pub mod privilege;
pub mod settings;
mod sys;
