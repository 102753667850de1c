//! The language of setkey(8): scripts of `add`, `spdadd`, `flush`, ... as ipsec-tools 0.8 reads them on Linux.
//!
//! Differences, all towards the user: words may be in capitals (`-P out IPsec`, as printed in articles), several errors
//! are found in one go, `update` exists, names of the BSDs' setkey are understood, and what Linux cannot do is refused by
//! name or warned about instead of being dropped.

mod lexer;
mod names;
mod parser;
pub mod print;

pub(super) use lexer::{key_spans, tokens};
pub use names::{Names, NoNames};
pub use parser::{Reading, forward_twin, parse, parse_with};
