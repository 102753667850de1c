//! Policies: what the kernel does to the packets that a selector matches.

use std::fmt;

use super::extras::{Offload, SecurityContext, UnknownAttribute};
use super::{IfId, LifetimeLimits, LifetimeUsed, Mark, Selector, Template};

/// Which packets a policy is asked about (`XFRM_POLICY_IN`, `OUT`, `FWD`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyDirection {
    /// Packets for this host.
    In,
    /// Packets that this host sends.
    Out,
    /// Packets that this host passes on: a tunnel needs these beside `In`.
    Forward,
    /// A policy of one socket (the kernel numbers them 3 and up); IKE daemons exempt themselves so.
    Socket(u8),
}

impl PolicyDirection {
    /// From `XFRM_POLICY_*`.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::In,
            1 => Self::Out,
            2 => Self::Forward,
            other => Self::Socket(other),
        }
    }

    /// As `XFRM_POLICY_*`.
    pub fn number(self) -> u8 {
        match self {
            Self::In => 0,
            Self::Out => 1,
            Self::Forward => 2,
            Self::Socket(number) => number,
        }
    }
}

impl fmt::Display for PolicyDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In => f.pad("in"),
            Self::Out => f.pad("out"),
            Self::Forward => f.pad("fwd"),
            Self::Socket(3) => f.pad("socket in"),
            Self::Socket(4) => f.pad("socket out"),
            Self::Socket(number) => f.pad(&format!("socket {number}")),
        }
    }
}

/// What happens to a matching packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyAction {
    /// It passes, through the templates if there are any.
    #[default]
    Allow,
    /// It is dropped.
    Block,
    /// An action that is newer than this program.
    Other(u8),
}

impl PolicyAction {
    /// From `XFRM_POLICY_ALLOW` or `XFRM_POLICY_BLOCK`.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Allow,
            1 => Self::Block,
            other => Self::Other(other),
        }
    }

    /// As `XFRM_POLICY_ALLOW` or `XFRM_POLICY_BLOCK`.
    pub fn number(self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Block => 1,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.pad("allow"),
            Self::Block => f.pad("block"),
            Self::Other(number) => f.pad(&number.to_string()),
        }
    }
}

/// `XFRM_POLICY_TYPE_*`: the kernel asks all sub policies before all main ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// The ordinary kind.
    #[default]
    Main,
    /// The kind that Mobile IPv6 uses (`CONFIG_XFRM_SUB_POLICY`).
    Sub,
    /// A kind that is newer than this program.
    Other(u8),
}

impl PolicyKind {
    /// From `XFRM_POLICY_TYPE_*`.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Main,
            1 => Self::Sub,
            other => Self::Other(other),
        }
    }

    /// As `XFRM_POLICY_TYPE_*`.
    pub fn number(self) -> u8 {
        match self {
            Self::Main => 0,
            Self::Sub => 1,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.pad("main"),
            Self::Sub => f.pad("sub"),
            Self::Other(number) => f.pad(&number.to_string()),
        }
    }
}

/// What names a policy to the kernel. The priority is not part of it: two policies cannot differ in that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId {
    /// The packets.
    pub selector: Selector,
    /// Their way.
    pub direction: PolicyDirection,
    /// Main or sub.
    pub kind: PolicyKind,
    /// The packets' mark.
    pub mark: Option<Mark>,
    /// The xfrm interface.
    pub if_id: Option<IfId>,
    /// The kernel's own number for it, which is the only name of a policy of a socket; 0 elsewhere.
    pub socket_index: u32,
}

impl fmt::Display for PolicyId {
    /// `out 10.9.0.1/32 10.9.0.2/32`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction, self.selector)?;
        if let Some(mark) = self.mark {
            write!(f, " mark {mark}")?;
        }
        if let Some(if_id) = self.if_id {
            write!(f, " if_id {if_id}")?;
        }
        if self.kind != PolicyKind::Main {
            write!(f, " ptype {}", self.kind)?;
        }
        Ok(())
    }
}

/// A policy as the kernel told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The packets.
    pub selector: Selector,
    /// Their way.
    pub direction: PolicyDirection,
    /// Main or sub.
    pub kind: PolicyKind,
    /// Their fate.
    pub action: PolicyAction,
    /// The lowest number is asked first. setkey's default is 2147483648, `ip xfrm`'s is 0, the strongest.
    pub priority: u32,
    /// The kernel's own number for it; the lowest three bits are the direction.
    pub index: u32,
    /// `XFRM_POLICY_LOCALOK` (1) and `XFRM_POLICY_ICMP` (2).
    pub flags: u8,
    /// `XFRM_SHARE_*`; the kernel stores and ignores it.
    pub share: u8,
    /// When it ends.
    pub limits: LifetimeLimits,
    /// Its age; bytes and packets stay 0.
    pub used: LifetimeUsed,
    /// The transforms demanded, first to last on the way out.
    pub templates: Vec<Template>,
    /// The packets' mark.
    pub mark: Option<Mark>,
    /// The xfrm interface.
    pub if_id: Option<IfId>,
    /// The security module's label.
    pub security: Option<Box<SecurityContext>>,
    /// The device that does the work.
    pub offload: Option<Offload>,
    /// What the kernel told beyond these, attribute by attribute.
    pub unknown: Vec<UnknownAttribute>,
}

impl Policy {
    /// The flags that have a word in `ip xfrm`.
    pub const FLAGS: [(u8, &str); 2] = [(1, "localok"), (2, "icmp")];

    /// What names it to the kernel.
    pub fn id(&self) -> PolicyId {
        PolicyId {
            selector: self.selector,
            direction: self.direction,
            kind: self.kind,
            mark: self.mark,
            if_id: self.if_id,
            socket_index: if self.is_of_socket() { self.index } else { 0 },
        }
    }

    /// What would make it again, under a number of the kernel's choice and with everything else as the kernel told it,
    /// also what espial has no name for.
    pub fn to_spec(&self) -> PolicySpec {
        PolicySpec {
            selector: self.selector,
            direction: self.direction,
            kind: self.kind,
            action: self.action,
            priority: self.priority,
            index: 0,
            flags: self.flags,
            share: self.share,
            limits: self.limits,
            templates: self.templates.clone(),
            mark: self.mark,
            if_id: self.if_id,
            security: self.security.clone(),
            offload: self.offload,
            unknown: self.unknown.clone(),
        }
    }

    /// Whether it belongs to one socket: neither listed nor removed by a flush, and not to be edited from outside.
    pub fn is_of_socket(&self) -> bool {
        matches!(self.direction, PolicyDirection::Socket(_))
    }

    /// The words of `ip xfrm` for the flags that are set, and the number of those that have none.
    pub fn flag_words(&self) -> Vec<String> {
        let named = Self::FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0).map(|(_, word)| (*word).to_owned());
        let rest = Self::FLAGS.iter().fold(self.flags, |rest, (bit, _)| rest & !bit);
        named.chain((rest != 0).then(|| format!("{rest:#x}"))).collect()
    }

    /// In words: `allow`, `block`, or `protect` for an allow that demands transforms.
    pub fn verb(&self) -> &'static str {
        match self.action {
            PolicyAction::Allow if self.templates.is_empty() => "allow",
            PolicyAction::Allow => "protect",
            PolicyAction::Block => "block",
            PolicyAction::Other(_) => "unknown",
        }
    }
}

/// A policy that is checked and ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// The packets.
    pub selector: Selector,
    /// Their way.
    pub direction: PolicyDirection,
    /// Main or sub.
    pub kind: PolicyKind,
    /// Their fate.
    pub action: PolicyAction,
    /// The lowest number is asked first.
    pub priority: u32,
    /// The number that it asks for; 0 leaves it to the kernel. The lowest three bits are the direction.
    pub index: u32,
    /// `XFRM_POLICY_LOCALOK` (1) and `XFRM_POLICY_ICMP` (2).
    pub flags: u8,
    /// `XFRM_SHARE_*`; the kernel stores and ignores it.
    pub share: u8,
    /// When it ends.
    pub limits: LifetimeLimits,
    /// The transforms demanded, first to last on the way out; at most [`PolicySpec::MOST_TEMPLATES`].
    pub templates: Vec<Template>,
    /// The packets' mark.
    pub mark: Option<Mark>,
    /// The xfrm interface.
    pub if_id: Option<IfId>,
    /// The security module's label.
    pub security: Option<Box<SecurityContext>>,
    /// The device that does the work.
    pub offload: Option<Offload>,
    /// What a kernel told beyond these, to be sent back as it came.
    pub unknown: Vec<UnknownAttribute>,
}

impl PolicySpec {
    /// `XFRM_MAX_DEPTH`: the kernel takes no more templates.
    pub const MOST_TEMPLATES: usize = 6;
    /// The priority that setkey gives (`PRIORITY_DEFAULT`): the middle of the range.
    pub const SETKEY_PRIORITY: u32 = 0x8000_0000;

    /// A main policy that lets matching packets pass unprotected, at priority 0.
    pub fn new(direction: PolicyDirection, selector: Selector) -> Self {
        Self {
            selector,
            direction,
            kind: PolicyKind::Main,
            action: PolicyAction::Allow,
            priority: 0,
            index: 0,
            flags: 0,
            share: 0,
            limits: LifetimeLimits::default(),
            templates: Vec::new(),
            mark: None,
            if_id: None,
            security: None,
            offload: None,
            unknown: Vec::new(),
        }
    }

    /// What will name it to the kernel.
    pub fn id(&self) -> PolicyId {
        PolicyId {
            selector: self.selector,
            direction: self.direction,
            kind: self.kind,
            mark: self.mark,
            if_id: self.if_id,
            socket_index: 0,
        }
    }
}

impl Policy {
    /// The policy that a kernel would tell right after `spec` was written at `now` (seconds since the epoch): what
    /// tests and the scripted kernel start from.
    pub fn from_spec(spec: &PolicySpec, index: u32, now: u64) -> Self {
        Self {
            selector: spec.selector,
            direction: spec.direction,
            kind: spec.kind,
            action: spec.action,
            priority: spec.priority,
            index,
            flags: spec.flags,
            share: spec.share,
            limits: spec.limits,
            used: LifetimeUsed { added_at: now, ..LifetimeUsed::default() },
            templates: spec.templates.clone(),
            mark: spec.mark,
            if_id: spec.if_id,
            security: spec.security.clone(),
            offload: spec.offload,
            unknown: spec.unknown.clone(),
        }
    }
}

/// Prefix lengths from which on the kernel finds policies by hash instead of going through a list
/// (`XFRMA_SPD_IPV4_HTHRESH`, `XFRMA_SPD_IPV6_HTHRESH`): it affects speed alone, and before Linux 6.12 which of two
/// policies of one priority is asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashThresholds {
    /// Of IPv4: this host's prefix, the other one's; each 0 to 32.
    pub v4: (u8, u8),
    /// Of IPv6: this host's prefix, the other one's; each 0 to 128.
    pub v6: (u8, u8),
}

impl HashThresholds {
    /// Those of a kernel that nobody has given others: policies of two hosts alone.
    pub const USUAL: Self = Self { v4: (32, 32), v6: (128, 128) };
}

/// Other prefix lengths; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThresholdsChange {
    /// Of IPv4.
    pub v4: Option<(u8, u8)>,
    /// Of IPv6.
    pub v6: Option<(u8, u8)>,
}

impl fmt::Display for ThresholdsChange {
    /// `IPv4 24 32, IPv6 64 128`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families = [("IPv4", self.v4), ("IPv6", self.v6)];
        let words = families.iter().filter_map(|(family, lengths)| lengths.map(|(l, r)| format!("{family} {l} {r}")));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}

impl ThresholdsChange {
    /// What comes of it.
    pub fn on(self, before: HashThresholds) -> HashThresholds {
        HashThresholds { v4: self.v4.unwrap_or(before.v4), v6: self.v6.unwrap_or(before.v6) }
    }
}

/// Another fate for packets that no policy matches; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultsChange {
    /// Packets for this host.
    pub input: Option<PolicyAction>,
    /// Packets passed on.
    pub forward: Option<PolicyAction>,
    /// Packets sent.
    pub output: Option<PolicyAction>,
}

impl fmt::Display for DefaultsChange {
    /// `in block, fwd block`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = [("in", self.input), ("fwd", self.forward), ("out", self.output)];
        let words = ways.iter().filter_map(|(way, action)| action.map(|action| format!("{way} {action}")));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}

impl DefaultsChange {
    /// What comes of it.
    pub fn on(self, before: PolicyDefaults) -> PolicyDefaults {
        PolicyDefaults {
            input: self.input.unwrap_or(before.input),
            forward: self.forward.unwrap_or(before.forward),
            output: self.output.unwrap_or(before.output),
        }
    }
}

/// What happens to packets that no policy matches.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyDefaults {
    /// Packets for this host.
    pub input: PolicyAction,
    /// Packets passed on.
    pub forward: PolicyAction,
    /// Packets sent.
    pub output: PolicyAction,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_through() {
        for number in 0..=u8::MAX {
            assert_eq!(PolicyDirection::from_number(number).number(), number);
            assert_eq!(PolicyAction::from_number(number).number(), number);
            assert_eq!(PolicyKind::from_number(number).number(), number);
        }
    }
}
