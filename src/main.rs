//! espial
fn main() {}
