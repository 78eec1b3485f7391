//! Where an app stands in its line of versions: a version, a build number, or both.

use crate::flag::condition::{OwnedVersion, Version};
use crate::limits;
use std::cmp::Ordering;

/// A build number: decimal digits of any length up to [`limits::BUILD_DIGITS`], compared as a whole
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build<'a>(&'a str);

impl<'a> Build<'a> {
    /// Reads ASCII digits; zeros before them do not count.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let digits = (1..=limits::BUILD_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let significant = text.trim_start_matches('0');
        digits.then_some(Self(if significant.is_empty() { "0" } else { significant }))
    }

    /// The digits without zeros before them.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl PartialOrd for Build<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Build<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(other.0))
    }
}

/// A point in an app's line of versions; what is not known is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point<'a> {
    /// The version that people see: `2.5.1`.
    pub version: Option<Version<'a>>,
    /// The build number that the store counts.
    pub build: Option<Build<'a>>,
}

impl<'a> Point<'a> {
    /// Reads both; what cannot be read is unknown.
    pub fn parse(version: &'a str, build: &'a str) -> Self {
        Self { version: Version::parse(version), build: Build::parse(build) }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.version.is_none() && self.build.is_none()
    }

    /// Versions first; builds decide between equal versions, and alone where a version is unknown.
    /// `None` where the two have nothing in common.
    pub fn compare(&self, other: &Point<'_>) -> Option<Ordering> {
        let builds = || Some(self.build?.cmp(&other.build?));
        match (self.version, other.version) {
            (Some(a), Some(b)) => Some(a.cmp(&b).then_with(|| builds().unwrap_or(Ordering::Equal))),
            _ => builds(),
        }
    }

    /// Whether this is known to be below the other.
    pub fn is_below(&self, other: &Point<'_>) -> bool {
        self.compare(other) == Some(Ordering::Less)
    }

    /// Whether this is known to be the other or above it.
    pub fn reaches(&self, other: &Point<'_>) -> bool {
        matches!(self.compare(other), Some(Ordering::Equal | Ordering::Greater))
    }

    /// How far the other version is away; a build alone is no more than a patch.
    pub fn step_to(&self, other: &Point<'_>) -> Step {
        let (Some(a), Some(b)) = (self.version, other.version) else { return Step::Patch };
        match a.parts().iter().zip(b.parts()).position(|(a, b)| *a != b) {
            Some(0) => Step::Major,
            Some(1) => Step::Minor,
            _ => Step::Patch,
        }
    }
}

/// A point that owns its texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnedPoint {
    version: Option<OwnedVersion>,
    build: Option<Box<str>>,
}

impl OwnedPoint {
    /// The point, to be compared with others.
    pub(super) fn get(&self) -> Point<'_> {
        let version = self.version.as_ref().map(OwnedVersion::get);
        Point { version, build: self.build.as_deref().map(Build) }
    }
}

impl From<Point<'_>> for OwnedPoint {
    fn from(point: Point<'_>) -> Self {
        Self { version: point.version.map(Into::into), build: point.build.map(|build| build.0.into()) }
    }
}

/// How far two versions are apart: the first numeric part in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The third or fourth part, a pre-release or a build.
    Patch,
    /// The second part.
    Minor,
    /// The first part.
    Major,
}

impl Step {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_compare_as_whole_numbers_of_any_length() {
        fn build(text: &str) -> Build<'_> {
            Build::parse(text).unwrap_or_else(|| panic!("`{text}` is a build"))
        }
        let long = "9".repeat(limits::BUILD_DIGITS);
        let ordered = ["0", "9", "10", "512", "1000", "18446744073709551616", &long];
        for (index, low) in ordered.iter().enumerate() {
            assert_eq!(build(&format!(" {low} ")), build(low));
            for high in &ordered[index + 1..] {
                assert!(build(low) < build(high), "{low} < {high}");
            }
        }
        assert_eq!((build("00512"), build("000")), (build("512"), build("0")));
        for bad in ["", "-1", "1.2", "0x1", "١٢", "1e3", &"1".repeat(400)] {
            assert_eq!(Build::parse(bad), None, "`{bad}`");
        }
    }

    #[test]
    fn versions_go_before_builds_and_the_unknown_compares_with_nothing() {
        let compare = |a: (&str, &str), b: (&str, &str)| Point::parse(a.0, a.1).compare(&Point::parse(b.0, b.1));
        assert_eq!(compare(("2.5", "9"), ("2.6", "1")), Some(Ordering::Less));
        assert_eq!(compare(("2.5", "9"), ("2.5.0", "10")), Some(Ordering::Less));
        assert_eq!(compare(("2.5", ""), ("2.5", "10")), Some(Ordering::Equal));
        assert_eq!(compare(("1..2", "9"), ("2.5", "10")), Some(Ordering::Less));
        assert_eq!(compare(("2.5", ""), ("", "10")), None);
        assert_eq!(compare(("", ""), ("2.5", "10")), None);
    }

    #[test]
    fn steps_are_named_by_the_first_part_that_differs() {
        let step = |a: &str, b: &str| Point::parse(a, "1").step_to(&Point::parse(b, "2"));
        assert_eq!((step("1.9.9", "2.0"), step("1.9", "1.10")), (Step::Major, Step::Minor));
        assert_eq!((step("1.9", "1.9.1"), step("1.9", "1.9.0.1")), (Step::Patch, Step::Patch));
        assert_eq!((step("2.0-rc.1", "2.0"), step("", "2.0")), (Step::Patch, Step::Patch));
    }
}
