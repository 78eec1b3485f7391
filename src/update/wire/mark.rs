//! Marks in an app's line of versions, and ranges of it.

use super::super::version::{Build, Point};
use super::{Object, read_range};
use crate::flag::condition::{Version, VersionRange};
use crate::json::{At, Node, Number, Problems, text};
use crate::limits;
use std::borrow::Cow;
use std::fmt;

/// A version, a build, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version.
    pub version: Option<String>,
    /// The build's digits.
    pub build: Option<String>,
}

impl Mark {
    /// Reads a version, or an object.
    pub(super) fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(node, Node::Object(_)) {
            return read_version(node, at, problems).map(|version| Self { version: Some(version), build: None });
        }
        let mut object = Object::open(node, at, problems)?;
        let (version, build) = (object.optional("version", read_version), object.optional("build", read_build));
        object.finish();
        if node.get("version").is_none() && node.get("build").is_none() {
            problems.add(at, "needs `version`, `build` or both");
        }
        Some(Self { version, build })
    }

    /// The point to compare with.
    pub fn point(&self) -> Point<'_> {
        Point::parse(self.version.as_deref().unwrap_or_default(), self.build.as_deref().unwrap_or_default())
    }
}

/// Reads a version of one to four parts.
pub(super) fn read_version(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let text = text(node, limits::KEY_LENGTH, at, problems)?;
    if Version::parse(text).is_none() {
        problems.add(at, format!("`{text}` is not a version"));
    }
    Some(text.to_owned())
}

/// Reads a build: a whole number, or its digits where they are too many for one.
pub(super) fn read_build(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let text = match node {
        Node::String(text) => Cow::Borrowed(&**text),
        Node::Number(Number::Whole(number)) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(""),
    };
    let build = Build::parse(&text).map(|build| build.as_str().to_owned());
    if build.is_none() {
        let detail = format!("must be a whole number from 0, or a string of at most {} digits", limits::BUILD_DIGITS);
        problems.add(at, detail);
    }
    build
}

/// Builds from one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builds {
    from: String,
    to: String,
}

impl Builds {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let text = text(node, limits::TEXT_LENGTH, at, problems)?;
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (Build::parse(from), Build::parse(to)) {
            (Some(from), Some(to)) if from <= to => {
                Some(Self { from: from.as_str().to_owned(), to: to.as_str().to_owned() })
            }
            _ => {
                problems.add(at, "must be a build or two in order, such as `508` or `508-515`");
                None
            }
        }
    }

    fn contain(&self, build: Build<'_>) -> bool {
        let within = |from: Option<Build<'_>>, to: Option<Build<'_>>| Some(from? <= build && build <= to?);
        within(Build::parse(&self.from), Build::parse(&self.to)).unwrap_or(false)
    }
}

impl fmt::Display for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)?;
        if self.from == self.to { Ok(()) } else { write!(f, "-{}", self.to) }
    }
}

/// Versions that must not run: those in both ranges, where both are given.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// Versions.
    pub versions: Option<VersionRange>,
    /// Builds.
    pub builds: Option<Builds>,
    /// Why.
    pub description: String,
}

impl Blocked {
    /// Reads a range of versions, or an object.
    pub(super) fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(node, Node::Object(_)) {
            let versions = read_range(node, at, problems);
            return Some(Self { versions: Some(versions?), builds: None, description: String::new() });
        }
        let mut object = Object::open(node, at, problems)?;
        let (versions, builds) = (object.optional("versions", read_range), object.optional("builds", Builds::read));
        let description = object.optional("description", |node, at, problems| {
            text(node, limits::TEXT_LENGTH, at, problems).map(str::to_owned)
        });
        object.finish();
        if node.get("versions").is_none() && node.get("builds").is_none() {
            problems.add(at, "needs `versions`, `builds` or both");
        }
        Some(Self { versions, builds, description: description.unwrap_or_default() })
    }

    /// Whether a version is known to be among them.
    pub fn contains(&self, point: &Point<'_>) -> bool {
        let versions = self.versions.as_ref().is_none_or(|range| point.version.is_some_and(|v| range.contains(&v)));
        versions && self.builds.as_ref().is_none_or(|builds| point.build.is_some_and(|build| builds.contain(build)))
    }
}
