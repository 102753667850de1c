//! The language of setkey(8): scripts of `add`, `spdadd`, `flush`, ... as ipsec-tools 0.8 reads them on Linux.
//!
//! Differences, all towards the user: words may be in capitals (`-P out IPsec`, as printed in articles), several errors
//! are found in one go, and what Linux cannot do is refused by name instead of being dropped.

mod lexer;
mod parser;
pub mod print;

pub(super) use lexer::{key_spans, tokens};
pub use parser::{forward_twin, parse};
