//! Conditions as they are written: they read like a sentence.
//!
//! `{"attribute": "app_version", "semver": ">=2.3.0"}`,
//! `{"all": [{"segment": "beta"}, {"not": {"attribute": "country", "in": ["US"]}}]}`.
//! Several tests in one object must all hold: `{"attribute": "age", "atLeast": 18, "lessThan": 65}`.

use super::serve::{read_attribute, read_instant};
use crate::id::check_key;
use crate::json::{At, Fields, Node, Number, Problems, boolean, elements, text};
use crate::limits;
use crate::time::Instant;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

mod pattern;
mod semver;

pub use pattern::Pattern;
pub use semver::{OwnedVersion, Version, VersionRange};

/// A test of the context.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Every one holds; none at all holds too.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// The inner one does not hold, be it for a missing attribute.
    Not(Box<Condition>),
    /// The unit belongs to the segment of this key.
    Segment(String),
    /// One attribute passes all the tests.
    Attribute(AttributeTest),
}

/// Tests of one attribute; a missing attribute passes none but `"exists": false`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeTest {
    /// Name or dotted path; an attribute of exactly this name is found before a path.
    pub attribute: String,
    /// Whether texts are compared without regard to case (Unicode lower case).
    pub ignore_case: bool,
    /// At least one.
    pub tests: Vec<Test>,
}

/// One test of an attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The same text, number or boolean.
    Equals(Scalar),
    /// One of these.
    In(Vec<Scalar>),
    /// A text that contains one of these, or a list that has one of them as an element.
    Contains(Vec<String>),
    /// A text that starts with one of these.
    StartsWith(Vec<String>),
    /// A text that ends with one of these.
    EndsWith(Vec<String>),
    /// A text in which the pattern is found.
    Matches(Pattern),
    /// A number below.
    LessThan(Number),
    /// A number below or equal.
    AtMost(Number),
    /// A number above.
    GreaterThan(Number),
    /// A number above or equal.
    AtLeast(Number),
    /// An instant earlier than this: RFC 3339 text or milliseconds since the epoch.
    Before(Instant),
    /// An instant later than or at this.
    After(Instant),
    /// A version within the range.
    Semver(VersionRange),
    /// A list with at least one of these elements.
    HasAny(Vec<Scalar>),
    /// A list with all of these elements.
    HasAll(Vec<Scalar>),
    /// There (and not null), or not.
    Exists(bool),
}

/// A text, number or boolean to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`
    Bool(bool),
    /// A number; `2` equals `2.0`.
    Number(Number),
    /// A text.
    Text(String),
}

impl Scalar {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match node {
            Node::Bool(value) => Some(Scalar::Bool(*value)),
            Node::Number(value) => Some(Scalar::Number(*value)),
            Node::String(_) => text(node, limits::TEXT_LENGTH, at, problems).map(|text| Scalar::Text(text.to_owned())),
            other => {
                problems.add(at, format!("must be a string, a number or a boolean, not {}", other.kind()));
                None
            }
        }
    }

    fn node(&self) -> Node<'_> {
        match self {
            Scalar::Bool(value) => Node::Bool(*value),
            Scalar::Number(value) => Node::Number(*value),
            Scalar::Text(text) => Node::String(Cow::Borrowed(text)),
        }
    }
}

impl Condition {
    /// Reads a condition; `budget` bounds the number of conditions over all levels.
    pub fn read(node: &Node<'_>, budget: &mut usize, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        Self::nested(node, limits::CONDITION_DEPTH, budget, at, problems)
    }

    /// Reads a condition that may have `depth` levels.
    fn nested(node: &Node<'_>, depth: usize, budget: &mut usize, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(depth) = depth.checked_sub(1) else {
            problems.add(at, format!("conditions are nested deeper than {} levels", limits::CONDITION_DEPTH));
            return None;
        };
        if *budget == 0 {
            problems.add(at, format!("more than {} conditions", limits::CONDITIONS));
            return None;
        }
        *budget -= 1;
        let mut fields = Fields::open(node, at, problems)?;
        let (all, any, not) = (fields.optional("all"), fields.optional("any"), fields.optional("not"));
        let (segment, attribute) = (fields.optional("segment"), fields.optional("attribute"));
        let forms = [all, any, not, segment, attribute];
        if forms.iter().flatten().count() != 1 {
            problems.add(at, "a condition has exactly one of `attribute`, `segment`, `all`, `any`, `not`");
            return None;
        }
        let read = match forms {
            [Some(list), ..] => read_list(list, depth, budget, &at.member("all"), problems).map(Condition::All),
            [_, Some(list), ..] => read_list(list, depth, budget, &at.member("any"), problems).map(Condition::Any),
            [_, _, Some(inner), ..] => {
                let inner = Self::nested(inner, depth, budget, &at.member("not"), problems);
                inner.map(|inner| Condition::Not(Box::new(inner)))
            }
            [_, _, _, Some(key), _] => read_segment(key, &at.member("segment"), problems).map(Condition::Segment),
            [.., attribute] => {
                let attribute = attribute.and_then(|node| read_attribute(node, &at.member("attribute"), problems));
                let test = AttributeTest::read(attribute, &mut fields, at, problems);
                fields.finish(at, problems);
                return test.map(Condition::Attribute);
            }
        };
        fields.finish(at, problems);
        read
    }

    /// The segments that the condition refers to.
    pub fn segments(&self, out: &mut Vec<String>) {
        match self {
            Condition::All(list) | Condition::Any(list) => list.iter().for_each(|inner| inner.segments(out)),
            Condition::Not(inner) => inner.segments(out),
            Condition::Segment(key) => out.push(key.clone()),
            Condition::Attribute(_) => {}
        }
    }
}

fn read_list(
    node: &Node<'_>,
    depth: usize,
    budget: &mut usize,
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<Vec<Condition>> {
    let list = elements(node, limits::CONDITIONS, at, problems)?;
    if list.is_empty() {
        problems.add(at, "must have at least one condition");
    }
    let read = |(index, node)| Condition::nested(node, depth, budget, &at.element(index), problems);
    Some(list.iter().enumerate().filter_map(read).collect())
}

fn read_segment(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let key = text(node, limits::KEY_LENGTH, at, problems)?;
    if let Err(error) = check_key(key) {
        problems.add(at, error.to_string());
    }
    Some(key.to_owned())
}

impl AttributeTest {
    fn read(
        attribute: Option<String>,
        fields: &mut Fields<'_, '_>,
        at: &At<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.count();
        let mut tests = Vec::new();
        for (name, read) in OPERATORS {
            let Some(node) = fields.optional(name) else { continue };
            tests.extend(read(node, &at.member(name), problems));
        }
        let ignore_case = fields.optional("ignoreCase");
        let ignore_case =
            ignore_case.and_then(|node| boolean(node, &at.member("ignoreCase"), problems)).unwrap_or(false);
        if tests.is_empty() && problems.count() == before {
            let known = OPERATORS.map(|(name, _)| format!("`{name}`")).join(", ");
            problems.add(at, format!("needs at least one of {known}"));
        }
        Some(Self { attribute: attribute?, ignore_case, tests })
    }
}

type Read = fn(&Node<'_>, &At<'_>, &mut Problems) -> Option<Test>;

/// Every operator, in the order in which it is written back.
const OPERATORS: [(&str, Read); 16] = [
    ("exists", |node, at, problems| boolean(node, at, problems).map(Test::Exists)),
    ("equals", |node, at, problems| Scalar::read(node, at, problems).map(Test::Equals)),
    ("in", |node, at, problems| scalars(node, at, problems).map(Test::In)),
    ("contains", |node, at, problems| texts(node, at, problems).map(Test::Contains)),
    ("startsWith", |node, at, problems| texts(node, at, problems).map(Test::StartsWith)),
    ("endsWith", |node, at, problems| texts(node, at, problems).map(Test::EndsWith)),
    ("matches", |node, at, problems| Pattern::read(node, at, problems).map(Test::Matches)),
    ("lessThan", |node, at, problems| number(node, at, problems).map(Test::LessThan)),
    ("atMost", |node, at, problems| number(node, at, problems).map(Test::AtMost)),
    ("greaterThan", |node, at, problems| number(node, at, problems).map(Test::GreaterThan)),
    ("atLeast", |node, at, problems| number(node, at, problems).map(Test::AtLeast)),
    ("before", |node, at, problems| read_instant(node, at, problems).map(Test::Before)),
    ("after", |node, at, problems| read_instant(node, at, problems).map(Test::After)),
    ("semver", |node, at, problems| VersionRange::read(node, at, problems).map(Test::Semver)),
    ("hasAny", |node, at, problems| scalars(node, at, problems).map(Test::HasAny)),
    ("hasAll", |node, at, problems| scalars(node, at, problems).map(Test::HasAll)),
];

fn number(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Number> {
    if let Node::Number(number) = node {
        return Some(*number);
    }
    problems.add(at, format!("must be a number, not {}", node.kind()));
    None
}

fn scalars(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Vec<Scalar>> {
    let list = elements(node, limits::LIST_VALUES, at, problems)?;
    if list.is_empty() {
        problems.add(at, "must have at least one element");
    }
    let read = |(index, node)| Scalar::read(node, &at.element(index), problems);
    Some(list.iter().enumerate().filter_map(read).collect())
}

/// A string, or a list of them.
fn texts(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let Node::Array(list) = node {
        elements(node, limits::LIST_VALUES, at, problems)?;
        if list.is_empty() {
            problems.add(at, "must have at least one element");
        }
        let read = |(index, node)| text(node, limits::TEXT_LENGTH, &at.element(index), problems).map(str::to_owned);
        return Some(list.iter().enumerate().filter_map(read).collect());
    }
    text(node, limits::TEXT_LENGTH, at, problems).map(|text| vec![text.to_owned()])
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Condition::All(list) => map.serialize_entry("all", list)?,
            Condition::Any(list) => map.serialize_entry("any", list)?,
            Condition::Not(inner) => map.serialize_entry("not", inner)?,
            Condition::Segment(key) => map.serialize_entry("segment", key)?,
            Condition::Attribute(test) => {
                map.serialize_entry("attribute", &test.attribute)?;
                for test in &test.tests {
                    let (name, value) = test.member();
                    map.serialize_entry(name, &value)?;
                }
                if test.ignore_case {
                    map.serialize_entry("ignoreCase", &true)?;
                }
            }
        }
        map.end()
    }
}

impl Test {
    fn member(&self) -> (&'static str, Node<'_>) {
        let scalars = |list: &'_ [Scalar]| Node::Array(list.iter().map(|scalar| scalar.node().into_owned()).collect());
        match self {
            Test::Equals(scalar) => ("equals", scalar.node()),
            Test::In(list) => ("in", scalars(list)),
            Test::Contains(list) => ("contains", text_node(list)),
            Test::StartsWith(list) => ("startsWith", text_node(list)),
            Test::EndsWith(list) => ("endsWith", text_node(list)),
            Test::Matches(pattern) => ("matches", Node::String(Cow::Borrowed(pattern.as_str()))),
            Test::LessThan(number) => ("lessThan", Node::Number(*number)),
            Test::AtMost(number) => ("atMost", Node::Number(*number)),
            Test::GreaterThan(number) => ("greaterThan", Node::Number(*number)),
            Test::AtLeast(number) => ("atLeast", Node::Number(*number)),
            Test::Before(at) => ("before", Node::String(Cow::Owned(at.to_string()))),
            Test::After(at) => ("after", Node::String(Cow::Owned(at.to_string()))),
            Test::Semver(range) => ("semver", Node::String(Cow::Borrowed(range.as_str()))),
            Test::HasAny(list) => ("hasAny", scalars(list)),
            Test::HasAll(list) => ("hasAll", scalars(list)),
            Test::Exists(value) => ("exists", Node::Bool(*value)),
        }
    }
}

fn text_node(list: &[String]) -> Node<'_> {
    let node = |text: &'_ String| Node::String(Cow::Owned(text.clone()));
    match list {
        [one] => Node::String(Cow::Borrowed(one)),
        list => Node::Array(list.iter().map(node).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn check(input: &str, expect: Result<(), &[&str]>) {
        let node = parse(input).expect("valid JSON");
        let mut problems = Problems::default();
        let condition = Condition::read(&node, &mut 20, &At::ROOT, &mut problems);
        let found: Vec<_> = problems.into_list().into_iter().map(|p| format!("{}: {}", p.pointer, p.detail)).collect();
        match expect {
            Ok(()) => {
                assert!(found.is_empty(), "{input}: {found:?}");
                assert_eq!(serde_json::to_string(&condition.expect("read")).expect("writes"), input);
            }
            Err(expected) => assert_eq!(found, expected, "{input}"),
        }
    }

    #[test]
    fn every_form_is_written_back_as_read() {
        for input in [
            r#"{"segment":"beta"}"#,
            r#"{"all":[{"attribute":"app_version","semver":">=2.3.0"},{"not":{"attribute":"country","in":["US","CA"]}}]}"#,
            r#"{"any":[{"attribute":"age","lessThan":65,"atLeast":18},{"attribute":"n","atMost":1.5,"greaterThan":-3}]}"#,
            r#"{"attribute":"device.os","startsWith":"i","ignoreCase":true}"#,
            r#"{"attribute":"email","endsWith":["@a.example","@b.example"]}"#,
            r#"{"attribute":"time","before":"2026-07-02T00:00:00Z","after":"2026-07-01T00:00:00Z"}"#,
            r#"{"attribute":"tags","hasAny":["a",1,true]}"#,
            r#"{"attribute":"tags","hasAll":["a","b"]}"#,
            r#"{"attribute":"name","matches":"^[a-z]+$"}"#,
            r#"{"attribute":"name","contains":"x"}"#,
            r#"{"attribute":"name","exists":false}"#,
            r#"{"attribute":"plan","equals":"premium"}"#,
        ] {
            let node = parse(input).expect("valid JSON");
            let mut problems = Problems::default();
            let condition = Condition::read(&node, &mut 20, &At::ROOT, &mut problems).expect("read");
            assert!(problems.is_empty(), "{input}: {problems:?}");
            let text = serde_json::to_string(&condition).expect("writes");
            let node = parse(&text).expect("valid JSON");
            let again = Condition::read(&node, &mut 20, &At::ROOT, &mut problems).expect("read");
            assert_eq!(condition, again, "{input} became {text}");
        }
        check(r#"{"attribute":"age","lessThan":65,"atLeast":18}"#, Ok(()));
    }

    #[test]
    fn faults_are_named() {
        check("{}", Err(&[": a condition has exactly one of `attribute`, `segment`, `all`, `any`, `not`"]));
        check(
            r#"{"segment":"a","not":{}}"#,
            Err(&[": a condition has exactly one of `attribute`, `segment`, `all`, `any`, `not`"]),
        );
        check(r#"{"all":[]}"#, Err(&["/all: must have at least one condition"]));
        check(
            r#"{"attribute":"a","matches":"("}"#,
            Err(&["/matches: not a regular expression: found open group without closing ')'"]),
        );
        check(
            r#"{"attribute":"a","semver":"banana"}"#,
            Err(&["/semver: not a version range: `banana` is not a version"]),
        );
        check(
            r#"{"attribute":"a","in":[{}]}"#,
            Err(&["/in/0: must be a string, a number or a boolean, not an object"]),
        );
        let deep = format!("{}{}{}", r#"{"not":"#.repeat(10), r#"{"segment":"s"}"#, "}".repeat(10));
        let place = format!("{}: conditions are nested deeper than 10 levels", "/not".repeat(10));
        check(&deep, Err(&[&place]));
        check(&deep[7..deep.len() - 1], Ok(()));
        let many = format!(r#"{{"any":[{}]}}"#, vec![r#"{"segment":"s"}"#; 20].join(","));
        check(&many, Err(&["/any/19: more than 1000 conditions"]));
    }
}
