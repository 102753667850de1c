//! Times as the user reads them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time zone that times are shown in.
#[derive(Clone, Debug)]
pub struct Clock(TimeZone);

impl Clock {
    /// The time zone of this machine.
    pub fn local() -> Self {
        Self(TimeZone::system())
    }

    /// Universal time: what tests show.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    fn format(&self, unix_ms: u64, form: &str) -> String {
        let stamp = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        stamp.map_or_else(|| "-".to_owned(), |stamp| stamp.to_zoned_datetime(self.0.clone()).strftime(form).to_string())
    }

    /// For many moments one after the other.
    pub fn times_of_day(&self) -> TimesOfDay {
        TimesOfDay { clock: self.clone(), second: u64::MAX, words: String::new() }
    }

    /// `16:21:42`
    pub fn time_of_day(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M:%S")
    }

    /// `16:21:42.123`
    pub fn time_of_day_ms(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M:%S.%3f")
    }

    /// `2026-11-23 16:21:42`
    pub fn date(&self, unix_secs: u64) -> String {
        self.format(unix_secs.saturating_mul(1000), "%Y-%m-%d %H:%M:%S")
    }
}

/// Puts many moments into words: the second only when it changes.
#[derive(Clone, Debug)]
pub struct TimesOfDay {
    clock: Clock,
    second: u64,
    words: String,
}

impl TimesOfDay {
    /// `16:21:42.123`
    pub fn time_of_day_ms(&mut self, unix_ms: u64) -> &str {
        if self.second != unix_ms / 1000 {
            (self.second, self.words) = (unix_ms / 1000, self.clock.time_of_day(unix_ms));
            self.words.push_str(".000");
        }
        self.words.truncate(self.words.len() - 3);
        let digits = unix_ms % 1000 + 1000;
        self.words.push_str(&itoa::Buffer::new().format(digits)[1..]);
        &self.words
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_utc() {
        let clock = Clock::utc();
        assert_eq!(clock.date(1_795_458_262), "2026-11-23 18:24:22");
        assert_eq!(clock.time_of_day_ms(1_795_458_262_007), "18:24:22.007");
        assert_eq!(clock.date(u64::MAX), "-");
        let mut times = clock.times_of_day();
        let moments = [1_795_458_262_007, 1_795_458_262_999, 1_795_458_263_000, 1_795_458_262_007];
        for moment in moments {
            assert_eq!(times.time_of_day_ms(moment), clock.time_of_day_ms(moment));
        }
    }
}
