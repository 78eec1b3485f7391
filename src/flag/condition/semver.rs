//! Versions and ranges of versions, forgiving where app versions need it: one to four numeric
//! parts (`2` = `2.0` = `2.0.0`), a `v` prefix, pre-releases ordered as Semantic Versioning 2.0.0
//! section 11 says, build metadata ignored.

use crate::json::{At, Node, Problems, text};
use crate::limits;
use std::cmp::Ordering;

/// A version; borrows its pre-release from the text it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    parts: [u64; 4],
    given: usize,
    pre: &'a str,
}

impl<'a> Version<'a> {
    /// Reads one to four numeric parts, an optional `v` before them, `-pre.release` and `+build` after them.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let mut rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (mut parts, mut given) = ([0; 4], 0);
        loop {
            let (part, after) = leading_number(rest)?;
            *parts.get_mut(given)? = part;
            given += 1;
            let Some(next) = after.strip_prefix('.') else {
                return Some(Self { parts, given, pre: pre_release(after)? });
            };
            rest = next;
        }
    }

    /// The version of one part.
    pub fn major(major: u64) -> Self {
        Self { parts: [major, 0, 0, 0], given: 1, pre: "" }
    }

    /// The numeric parts; those that were not given are 0.
    pub fn parts(&self) -> [u64; 4] {
        self.parts
    }

    fn upper(self, index: usize) -> [u64; 4] {
        let mut upper = [0; 4];
        upper[..=index].copy_from_slice(&self.parts[..=index]);
        upper[index] = upper[index].saturating_add(1);
        upper
    }
}

/// What follows the numbers: nothing, `-pre.release`, `+build`, or both in this order.
fn pre_release(text: &str) -> Option<&str> {
    if text.is_empty() || text.starts_with('+') {
        return Some("");
    }
    let pre = text.strip_prefix('-')?.split('+').next()?;
    pre.split('.').all(is_identifier).then_some(pre)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The number of 1 to 18 digits that a text begins with, and what follows.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text.bytes().take(digits.min(18)).fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (1..=18).contains(&digits).then(|| (value, &text[digits..]))
}

fn number(text: &str) -> Option<u64> {
    leading_number(text).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// A version that owns its text's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedVersion {
    parts: [u64; 4],
    given: usize,
    pre: Box<str>,
}

impl OwnedVersion {
    /// The version, to be compared with others.
    pub fn get(&self) -> Version<'_> {
        Version { parts: self.parts, given: self.given, pre: &self.pre }
    }
}

impl From<Version<'_>> for OwnedVersion {
    fn from(version: Version<'_>) -> Self {
        Self { parts: version.parts, given: version.given, pre: version.pre.into() }
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| compare_pre(self.pre, other.pre))
    }
}

/// Semantic Versioning 2.0.0 section 11.3 and 11.4: a release is above its pre-releases, numeric
/// identifiers are below others and compared as numbers, a longer list is above its prefix.
fn compare_pre(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.is_empty().cmp(&b.is_empty());
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Alternatives (`||`) of comparisons that must all hold: `>=2.3.0 <3`, `^1.2 || ~2.0.1`, `1.x`.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRange {
    text: String,
    alternatives: Vec<Vec<Bound>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Bound {
    comparison: Comparison,
    parts: [u64; 4],
    pre: String,
    /// Whether the bound ends a range that the user gave as a whole (`^2`), so that the
    /// pre-releases of the upper end (`3.0.0-beta`) are outside it.
    below_pre: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

impl VersionRange {
    /// Reads a range.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match Self::parse(text(node, limits::TEXT_LENGTH, at, problems)?) {
            Ok(range) => Some(range),
            Err(error) => {
                problems.add(at, format!("not a version range: {error}"));
                None
            }
        }
    }

    /// Reads alternatives separated by `||`, each of comparisons separated by spaces or commas.
    /// A comparison is an operator (`=`, `>`, `>=`, `<`, `<=`, `^`, `~`, none is `=`) and a
    /// version; `1.x` and `1.*` are all versions that begin with 1, `<=1.x` those and lower ones.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut alternatives = Vec::new();
        for alternative in text.split("||") {
            let mut bounds = Vec::new();
            let mut operator = String::new();
            let gap = |c: char| c.is_ascii_whitespace() || c == ',';
            for word in alternative.split(gap).filter(|word| !word.is_empty()) {
                // The operator may stand apart from its version: `>= 2`.
                if word.chars().all(|c| "<>=^~".contains(c)) {
                    operator.push_str(word);
                } else {
                    comparison(&format!("{operator}{word}"), &mut bounds)?;
                    operator.clear();
                }
            }
            if bounds.is_empty() || !operator.is_empty() {
                return Err("a version is missing".to_owned());
            }
            alternatives.push(bounds);
        }
        Ok(Self { text: text.to_owned(), alternatives })
    }

    /// Whether the version is within the range.
    pub fn contains(&self, version: &Version<'_>) -> bool {
        self.alternatives.iter().any(|bounds| bounds.iter().all(|bound| bound.admits(version)))
    }

    /// How many bytes it owns.
    pub fn bytes(&self) -> usize {
        let bounds = self.alternatives.iter().map(|bounds| size_of_val(&**bounds) + size_of::<Vec<Bound>>());
        self.text.len() + bounds.sum::<usize>()
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Bound {
    fn admits(&self, version: &Version<'_>) -> bool {
        if self.below_pre && version.parts == self.parts {
            return false;
        }
        let order = version.parts.cmp(&self.parts).then_with(|| compare_pre(version.pre, &self.pre));
        match self.comparison {
            Comparison::Less => order == Ordering::Less,
            Comparison::AtMost => order != Ordering::Greater,
            Comparison::Equal => order == Ordering::Equal,
            Comparison::AtLeast => order != Ordering::Less,
            Comparison::Greater => order == Ordering::Greater,
        }
    }
}

fn comparison(word: &str, out: &mut Vec<Bound>) -> Result<(), String> {
    let version_at = word.find(|c: char| !"<>=^~".contains(c)).unwrap_or(word.len());
    let (operator, text) = word.split_at(version_at);
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (stem, wildcard) = without_wildcards(bare);
    if wildcard && stem.is_empty() && matches!(operator, "" | "=") {
        out.push(bound(Comparison::AtLeast, [0; 4], "0"));
        return Ok(());
    }
    let version = Version::parse(stem).filter(|version| !wildcard || version.given < 4);
    let version = version.ok_or_else(|| format!("`{text}` is not a version"))?;
    let (parts, pre, last) = (version.parts, version.pre, version.given - 1);
    let below = |upper| Bound { below_pre: true, ..bound(Comparison::Less, upper, "") };
    let mut range = |upper| {
        out.push(bound(Comparison::AtLeast, parts, pre));
        out.push(below(upper));
    };
    match (operator, wildcard) {
        ("<", true) => out.push(below(parts)),
        ("<=", true) => out.push(below(version.upper(last))),
        (">", true) => out.push(bound(Comparison::AtLeast, version.upper(last), "")),
        ("" | "=", true) => range(version.upper(last)),
        ("^", _) => range(version.upper(parts[..=last].iter().position(|part| *part > 0).unwrap_or(last))),
        ("~", _) => range(version.upper(last.min(1))),
        ("" | "=", false) => out.push(bound(Comparison::Equal, parts, pre)),
        (">", _) => out.push(bound(Comparison::Greater, parts, pre)),
        (">=", _) => out.push(bound(Comparison::AtLeast, parts, pre)),
        ("<", _) => out.push(bound(Comparison::Less, parts, pre)),
        ("<=", _) => out.push(bound(Comparison::AtMost, parts, pre)),
        _ => return Err(format!("`{operator}` is not an operator")),
    }
    Ok(())
}

/// Takes trailing parts `x`, `X` and `*` away, and says whether there were any. A pre-release may
/// end in such a letter (`1.0-linux`, `1.0-rc.x`) and is none.
fn without_wildcards(text: &str) -> (&str, bool) {
    if text.contains(['-', '+']) {
        return (text, false);
    }
    let is_wildcard = |part: &str| matches!(part, "x" | "X" | "*");
    let mut stem = text;
    while let Some((head, _)) = stem.rsplit_once('.').filter(|(_, part)| is_wildcard(part)) {
        stem = head;
    }
    if is_wildcard(stem) { ("", true) } else { (stem, stem.len() != text.len()) }
}

fn bound(comparison: Comparison, parts: [u64; 4], pre: &str) -> Bound {
    Bound { comparison, parts, pre: pre.to_owned(), below_pre: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_people_expect() {
        let version = |text| Version::parse(text).unwrap_or_else(|| panic!("`{text}` is a version"));
        for (a, b) in [("2", "2.0"), ("2", "2.0.0"), ("v2.1", "2.1.0.0"), ("1.2.3+build", "1.2.3"), (" 1.0 ", "1")] {
            assert_eq!(version(a).cmp(&version(b)), Ordering::Equal, "{a} = {b}");
        }
        // The order of Semantic Versioning 2.0.0 section 11.4, and what surrounds it.
        let ordered = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.1",
            "1.0.1",
            "1.9",
            "1.10",
            "2",
        ];
        for (index, low) in ordered.iter().enumerate() {
            for high in &ordered[index + 1..] {
                assert!(version(low) < version(high), "{low} < {high}");
                assert!(version(high) > version(low), "{high} > {low}");
            }
        }
        for bad in ["", "a", "1.", "1..2", "1.2.3.4.5", "-1", "1.2-", "1.2-a..b", "1.2-ü", "9999999999999999999"] {
            assert!(Version::parse(bad).is_none(), "`{bad}` is no version");
        }
    }

    #[test]
    fn ranges_admit_what_they_say() {
        let check = |range: &str, inside: &[&str], outside: &[&str]| {
            let range = VersionRange::parse(range).unwrap_or_else(|error| panic!("`{range}`: {error}"));
            let contains = |text: &&str| range.contains(&Version::parse(text).unwrap_or_else(|| panic!("`{text}`")));
            assert_eq!(inside.iter().find(|text| !contains(text)), None, "inside {}", range.as_str());
            assert_eq!(outside.iter().find(|text| contains(text)), None, "outside {}", range.as_str());
        };
        check(">=2.3.0", &["2.3", "2.3.0", "2.10", "3", "v2.3.1-rc.1"], &["2.2.9", "2.3.0-beta"]);
        check(">= 2 <3", &["2", "2.9.9", "3.0.0-rc.1"], &["1.9", "3"]);
        check("^1.2", &["1.2", "1.9.9"], &["1.1", "2", "2.0.0-alpha"]);
        check("^0.2.3", &["0.2.3", "0.2.9"], &["0.3", "0.2.2"]);
        check("^0.0", &["0.0.5"], &["0.1"]);
        check("~1.2.3", &["1.2.3", "1.2.9"], &["1.3", "1.2.2"]);
        check("~1", &["1.0", "1.9"], &["2"]);
        check("1.x", &["1", "1.5"], &["2", "0.9", "2.0.0-a"]);
        check("*", &["0", "0.0.0-a", "99"], &[]);
        check("=x.x", &["0", "99"], &[]);
        check("1.2.x.X", &["1.2", "1.2.9"], &["1.3", "1.1"]);
        check("<=1.x", &["1.9", "0"], &["2", "2.0.0-a"]);
        check("<2.x", &["1.9", "0"], &["2", "2.0.0-a"]);
        check(">1.x", &["2"], &["1.9", "2.0.0-a"]);
        check(">=1.x", &["1", "2"], &["0.9"]);
        check("1.0-linux", &["1.0-linux"], &["1.0-linu", "1.0", "1.1"]);
        check(">=1.0-rc.x", &["1.0-rc.x", "1.0"], &["1.0-rc"]);
        check(">=1\n<2", &["1.5"], &["2"]);
        check("1.2.3 || >=4, <5", &["1.2.3", "4.5"], &["1.2.4", "5"]);
        check("=2", &["2.0.0", "v2"], &["2.0.1"]);
        check(">1.0.0-beta", &["1.0.0-rc", "1"], &["1.0.0-beta", "1.0.0-alpha"]);
        for bad in ["", "||", ">=", "1 ||", "=>1", "1.y", ">=x", "1.", "1xx", "1..x", "1.2.3.4.x", "1.x.2"] {
            assert!(VersionRange::parse(bad).is_err(), "`{bad}`");
        }
    }
}
