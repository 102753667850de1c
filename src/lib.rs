//! espial: see what the Linux kernel's IPsec does, prove that it does it, and change it without fear.

pub mod cli;
pub mod console;
pub mod kernel;
pub mod model;
pub mod privilege;
pub mod settings;
mod sys;
