//! Instants as a type. Nothing here reads a clock.

use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The years 0000 to 9999 in UTC, which are what RFC 3339 can write.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Milliseconds since 1970-01-01T00:00:00Z, the resolution of the platform's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// An instant from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 (`2026-07-01T10:00:00Z`, any offset, a space in place of the `T`) or a bare
    /// date (`2026-07-01`, midnight UTC). What an offset moves out of the years 0000 to 9999 is
    /// refused, since it could not be written back.
    pub fn parse(text: &str) -> Option<Self> {
        // A buffer instead of a `String`: conditions read instants while they are evaluated.
        let mut midnight = *b"0000-00-00T00:00:00Z";
        let text = if text.len() == 10 {
            midnight[..10].copy_from_slice(text.as_bytes());
            std::str::from_utf8(&midnight).ok()?
        } else {
            text
        };
        // The `time` crate takes any character at all for the separator.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
            return None;
        }
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?;
        WRITABLE.contains(&millis).then_some(Self(millis))
    }

    /// The instant `millis` later (earlier when negative), saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC, to the millisecond where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        let at = Instant::parse("2026-07-01T12:30:00.250+02:00").expect("valid");
        assert_eq!(at.millis(), 1_782_901_800_250);
        assert_eq!(at.to_string(), "2026-07-01T10:30:00.25Z");
        assert_eq!(Instant::parse("2026-07-01"), Instant::parse("2026-07-01T00:00:00Z"));
        assert_eq!(Instant::parse("2026-07-01 00:00:00z"), Instant::parse("2026-07-01"));
        for bad in [
            "",
            "2026-13-01",
            "yesterday",
            "2026-07-01T10:00:00",
            "2026-02-30",
            "2026-07-ü",
            "2026-07-01_10:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(Instant::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_and_the_last_instant_are_written_as_read() {
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"] {
            assert_eq!(Instant::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Instant::parse("1969-12-31T23:59:59.9999Z").map(Instant::millis), Some(-1));
    }
}
