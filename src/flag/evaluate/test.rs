//! Tests of one attribute. A missing attribute passes none but `exists: false`.

use crate::flag::condition::Version;
use crate::flag::model::{Scalar, Scalars, Test, TextTest};
use crate::json::{Node, Number};
use crate::time::Instant;
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64;

impl Test {
    pub(super) fn passes(&self, node: Option<&Node<'_>>) -> bool {
        let Some(node) = node else { return matches!(self, Test::Exists(false)) };
        match self {
            Test::Exists(expected) => *expected,
            Test::Equals(scalar) => scalar.equals(node),
            Test::In(scalars) => scalars.has(node),
            Test::Text(kind, ignore_case, needles) => match (kind, node) {
                (TextTest::Contains, Node::Array(list)) => list.iter().any(|element| {
                    element.as_str().is_some_and(|text| needles.iter().any(|needle| same(text, needle, *ignore_case)))
                }),
                (kind, Node::String(text)) => needles.iter().any(|needle| kind.passes(text, needle, *ignore_case)),
                _ => false,
            },
            Test::Matches(pattern) => node.as_str().is_some_and(|text| pattern.is_match(text)),
            Test::LessThan(limit) => compare(node, *limit) == Some(Ordering::Less),
            Test::AtMost(limit) => compare(node, *limit).is_some_and(Ordering::is_le),
            Test::GreaterThan(limit) => compare(node, *limit) == Some(Ordering::Greater),
            Test::AtLeast(limit) => compare(node, *limit).is_some_and(Ordering::is_ge),
            Test::Before(at) => instant(node).is_some_and(|found| found < *at),
            Test::After(at) => instant(node).is_some_and(|found| found >= *at),
            Test::Semver(range) => version(node, |version| range.contains(version)),
            Test::HasAny(scalars) => match node {
                Node::Array(list) => list.iter().any(|element| scalars.has(element)),
                _ => false,
            },
            Test::HasAll(wanted, ignore_case) => match node {
                Node::Array(list) => {
                    wanted.iter().all(|scalar| list.iter().any(|element| scalar.is(element, *ignore_case)))
                }
                _ => false,
            },
        }
    }
}

impl Scalar {
    fn equals(&self, node: &Node<'_>) -> bool {
        self.is(node, false)
    }

    fn is(&self, node: &Node<'_>, ignore_case: bool) -> bool {
        match (self, node) {
            (Scalar::Bool(wanted), Node::Bool(found)) => wanted == found,
            (Scalar::Number(wanted), Node::Number(found)) => order(*found, *wanted) == Some(Ordering::Equal),
            (Scalar::Text(wanted), Node::String(found)) => same(found, wanted, ignore_case),
            _ => false,
        }
    }
}

impl Scalars {
    fn has(&self, node: &Node<'_>) -> bool {
        match node {
            Node::String(text) if self.ignore_case => self.texts.iter().any(|wanted| same(text, wanted, true)),
            Node::String(text) => {
                self.hashes.binary_search(&xxh3_64(text.as_bytes())).is_ok_and(|at| *self.texts[at] == **text)
            }
            other => self.others.iter().any(|scalar| scalar.equals(other)),
        }
    }
}

fn order(found: Number, wanted: Number) -> Option<Ordering> {
    match (found, wanted) {
        (Number::Whole(found), Number::Whole(wanted)) => Some(found.cmp(&wanted)),
        (found, wanted) => found.as_f64().partial_cmp(&wanted.as_f64()),
    }
}

fn compare(node: &Node<'_>, limit: Number) -> Option<Ordering> {
    match node {
        Node::Number(found) => order(*found, limit),
        _ => None,
    }
}

fn instant(node: &Node<'_>) -> Option<Instant> {
    match node {
        Node::String(text) => Instant::parse(text),
        Node::Number(Number::Whole(millis)) => Some(Instant::from_millis(*millis)),
        _ => None,
    }
}

/// Whole numbers are versions of one part; a real number is not: 2.10 would be 2.1.
fn version(node: &Node<'_>, check: impl FnOnce(&Version<'_>) -> bool) -> bool {
    match node {
        Node::String(text) => Version::parse(text).is_some_and(|version| check(&version)),
        Node::Number(Number::Whole(value)) => u64::try_from(*value).is_ok_and(|major| check(&Version::major(major))),
        _ => false,
    }
}

impl TextTest {
    /// `needle` is lower-case already when case is ignored.
    fn passes(self, text: &str, needle: &str, ignore_case: bool) -> bool {
        match (self, ignore_case) {
            (Self::Equals, _) => same(text, needle, ignore_case),
            (Self::Contains, false) => text.contains(needle),
            (Self::StartsWith, false) => text.starts_with(needle),
            (Self::EndsWith, false) => text.ends_with(needle),
            (Self::Contains, true) => {
                text.char_indices().any(|(at, _)| starts_with(&text[at..], needle)) || needle.is_empty()
            }
            (Self::StartsWith, true) => starts_with(text, needle),
            (Self::EndsWith, true) => {
                let mut folded = text.chars().rev().flat_map(|c| c.to_lowercase().rev());
                needle.chars().rev().all(|wanted| folded.next() == Some(wanted))
            }
        }
    }
}

fn same(text: &str, wanted: &str, ignore_case: bool) -> bool {
    if ignore_case { text.chars().flat_map(char::to_lowercase).eq(wanted.chars()) } else { text == wanted }
}

/// Without regard to case, and without a lower-case copy of the text.
fn starts_with(text: &str, needle: &str) -> bool {
    let mut folded = text.chars().flat_map(char::to_lowercase);
    needle.chars().all(|wanted| folded.next() == Some(wanted))
}
