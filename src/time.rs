//! Instants as a type. Nothing here reads a clock.

use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

    /// Reads RFC 3339 (`2026-07-01T10:00:00Z`, any offset) or a bare date (`2026-07-01`, midnight UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let full;
        let text = if text.len() == 10 {
            full = format!("{text}T00:00:00Z");
            &full
        } else {
            text
        };
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(parsed.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
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
        for bad in ["", "2026-13-01", "yesterday", "2026-07-01T10:00:00", "2026-02-30"] {
            assert_eq!(Instant::parse(bad), None, "{bad}");
        }
    }
}
