//! espial: see what the Linux kernel's IPsec does, prove that it does it, and change it without fear.

pub mod cli;
pub mod kernel;
pub mod model;
mod sys;
