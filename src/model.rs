//! Plain facts about IPsec in RFC 4301's and XFRM's words: what an SA, a policy, a selector is.
//!
//! Everything here is data with names, units and text forms. It must not know where the facts come from (netlink,
//! a file, a test) nor who looks at them: no I/O, no clock, no terminal. Times are seconds since the Unix epoch, as
//! the kernel tells them.

pub mod algorithm;
pub mod check;
pub mod event;
pub mod expression;
pub mod extras;
pub mod interface;
pub mod lifetime;
pub mod number;
pub mod pair;
pub mod policy;
pub mod prefix;
pub mod protocol;
pub mod question;
pub mod row_filter;
pub mod sa;
pub mod sad;
pub mod secret;
pub mod selector;
pub mod slots;
pub mod spd;
pub mod statistics;
pub mod template;
pub mod text;

pub use algorithm::{Algorithm, AlgorithmKind, AlgorithmName};
pub use event::KernelEvent;
pub use extras::Extras;
pub use interface::{Exemption, PolicySettings};
pub use lifetime::{LifetimeLimits, LifetimeUsed, Limit};
pub use number::{IfId, Mark, ReqId, Spi, TunnelInterface};
pub use policy::{Policy, PolicyAction, PolicyDefaults, PolicyDirection, PolicyId, PolicyKind, PolicySpec};
pub use prefix::Prefix;
pub use protocol::{IpsecProtocol, Mode, UpperProtocol};
pub use row_filter::RowFilter;
pub use sa::{Algorithms, Receipt, Replay, Sa, SaDirection, SaFlags, SaId, SaSpec, Transform};
pub use sad::Sad;
pub use secret::Secret;
pub use selector::{Flow, PortMatch, Selector};
pub use spd::{Spd, Ties};
pub use statistics::{Counts, XfrmStatistics};
pub use template::{Level, Template};
