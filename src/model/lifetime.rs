//! How long an SA or a policy may live, and how much of that it has used.

/// One limit: at the soft one the kernel warns its key manager, at the hard one the object goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Where an EXPIRE event announces that renewal is due.
    pub soft: Option<u64>,
    /// Where the object is removed.
    pub hard: Option<u64>,
}

impl Limit {
    /// Neither limit.
    pub const NONE: Self = Self { soft: None, hard: None };

    /// Whether neither is set.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// `xfrm_lifetime_cfg`: all limits of an object; whichever is met first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LifetimeLimits {
    /// Payload bytes.
    pub bytes: Limit,
    /// Packets.
    pub packets: Limit,
    /// Seconds since it was added.
    pub since_added_secs: Limit,
    /// Seconds since its first use.
    pub since_used_secs: Limit,
}

/// Seconds as a person writes them: `86400`, `90m`, `8h`, `1d`.
///
/// # Errors
/// What would be right.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).filter(|number| *number > 0);
    number.ok_or_else(|| "a time is a number of seconds, or a number with s, m, h or d behind it".to_owned())
}

impl LifetimeLimits {
    /// An end after so many seconds; a hundredth of them before it the kernel begins to warn.
    pub fn ending_after(seconds: u64) -> Self {
        let since_added_secs = Limit { soft: Some(seconds - seconds / 100), hard: Some(seconds) };
        Self { since_added_secs, ..Self::default() }
    }

    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// `xfrm_lifetime_cur`: what an object has lived through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LifetimeUsed {
    /// Bytes. An SA counts payload before encryption, not wire bytes; a policy's stay 0 (the kernel never adds).
    pub bytes: u64,
    /// Packets; a policy's stay 0.
    pub packets: u64,
    /// When it was added, seconds since the epoch.
    pub added_at: u64,
    /// When it was first used, seconds since the epoch; for a policy, when it was last used.
    pub used_at: Option<u64>,
}

/// How near an object is to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// No limit, or far from it.
    Far,
    /// Past a soft limit, or in the last tenth before a hard one.
    Near,
    /// At a hard limit: the kernel is about to remove it.
    Over,
}

impl Nearness {
    /// It in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Far => "ok",
            Self::Near => "expiring",
            Self::Over => "expired",
        }
    }
}

impl LifetimeLimits {
    /// How near the object that used `used` is to any of its limits at `now` (seconds since the epoch).
    pub fn nearness(&self, used: &LifetimeUsed, now: u64) -> Nearness {
        let age = now.saturating_sub(used.added_at);
        let in_use = used.used_at.map_or(0, |at| now.saturating_sub(at));
        [
            (self.bytes, used.bytes),
            (self.packets, used.packets),
            (self.since_added_secs, age),
            (self.since_used_secs, in_use),
        ]
        .into_iter()
        .map(|(limit, value)| match limit {
            Limit { hard: Some(hard), .. } if value >= hard => Nearness::Over,
            Limit { soft: Some(soft), .. } if value >= soft => Nearness::Near,
            Limit { hard: Some(hard), .. } if value >= hard - hard / 10 => Nearness::Near,
            _ => Nearness::Far,
        })
        .max()
        .unwrap_or(Nearness::Far)
    }

    /// Seconds from `now` until the earliest hard limit of time, if there is one.
    pub fn seconds_left(&self, used: &LifetimeUsed, now: u64) -> Option<u64> {
        self.seconds_until(|limit| limit.hard, used, now)
    }

    /// Seconds from `now` until the earliest soft limit of time, if there is one.
    pub fn seconds_to_renewal(&self, used: &LifetimeUsed, now: u64) -> Option<u64> {
        self.seconds_until(|limit| limit.soft, used, now)
    }

    fn seconds_until(&self, which: fn(Limit) -> Option<u64>, used: &LifetimeUsed, now: u64) -> Option<u64> {
        let ends = [
            which(self.since_added_secs).map(|secs| used.added_at.saturating_add(secs)),
            which(self.since_used_secs).zip(used.used_at).map(|(secs, at)| at.saturating_add(secs)),
        ];
        ends.into_iter().flatten().min().map(|end| end.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_takes_the_nearest_limit() {
        let used = LifetimeUsed { bytes: 95, packets: 1, added_at: 1000, used_at: Some(1010) };
        let limits = |bytes, added| LifetimeLimits { bytes, since_added_secs: added, ..LifetimeLimits::default() };
        let cases = [
            (limits(Limit::NONE, Limit::NONE), Nearness::Far),
            (limits(Limit { soft: None, hard: Some(1000) }, Limit::NONE), Nearness::Far),
            (limits(Limit { soft: None, hard: Some(100) }, Limit::NONE), Nearness::Near),
            (limits(Limit { soft: Some(95), hard: Some(1000) }, Limit::NONE), Nearness::Near),
            (limits(Limit::NONE, Limit { soft: Some(3600), hard: Some(50) }), Nearness::Over),
        ];
        for (limits, expected) in cases {
            assert_eq!(limits.nearness(&used, 1050), expected, "{limits:?}");
        }
    }

    #[test]
    fn the_earlier_end_counts() {
        let used = LifetimeUsed { added_at: 1000, used_at: Some(1010), ..LifetimeUsed::default() };
        let limits = LifetimeLimits {
            since_added_secs: Limit { soft: None, hard: Some(100) },
            since_used_secs: Limit { soft: None, hard: Some(60) },
            ..LifetimeLimits::default()
        };
        assert_eq!((limits.seconds_left(&used, 1020), limits.seconds_to_renewal(&used, 1020)), (Some(50), None));
        assert_eq!(limits.seconds_left(&used, 2000), Some(0));
        assert_eq!(LifetimeLimits::default().seconds_left(&used, 1020), None);
    }

    #[test]
    fn times_are_written_with_or_without_a_unit() {
        for (text, seconds) in [("86400", 86_400), ("90s", 90), ("90m", 5400), ("8h", 28_800), ("1d", 86_400)] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        for text in ["", "0", "h", "1w", "-1", "1h30m", "99999999999999999999", "9999999999999999d"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
