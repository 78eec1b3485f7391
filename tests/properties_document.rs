//! Properties of the readers: what is written is read again as it was, and no text, however
//! broken, makes a reader panic, point at nothing, or take what it cannot write.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::control::document::SettingsDocument;
use headgate::control::project::{EnvironmentDocument, ProjectDocument};
use headgate::flag::condition::{AttributeTest, Condition, Pattern, Scalar, Test, VersionRange};
use headgate::flag::serve::{Allocation, Percent};
use headgate::flag::wire::About;
use headgate::flag::{
    FlagDocument, FlagKind, Prerequisite, Rule, SegmentDocument, Serve, Share, Split, Value, ValueType,
};
use headgate::json::{At, Node, Number, Problems, parse};
use headgate::limits;
use headgate::route::RouteDocument;
use headgate::time::Instant;
use headgate::update::ChannelDocument;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Debug;

fn key() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,7}"
}

fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![key(), "[a-z]{1,4}\\.[a-z]{1,4}", Just("ü{\"\\".to_owned())].prop_filter("is left out", |name| {
        // `targetingKey` is what an absent name means, so it is not written back.
        name != "targetingKey"
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,12}", ".{0,8}"]
}

fn about() -> impl Strategy<Value = About> {
    (text(), text(), vec("[a-zé]{1,5}", 0..3)).prop_map(|(description, owner, tags)| About { description, owner, tags })
}

fn real() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE, -1000.0..1000.0]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![any::<i64>().prop_map(Number::Whole), (-9i64..9).prop_map(Number::Whole), real().prop_map(Number::Real)]
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![-62_167_219_200_000i64..=253_402_300_799_999, 1_782_000_000_000i64..1_783_000_000_000]
        .prop_map(Instant::from_millis)
}

/// JSON of a few levels; `unique` keeps keys apart, as documents demand.
fn json(unique: bool, key: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = Node<'static>> {
    let leaf = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Bool),
        number().prop_map(Node::Number),
        prop_oneof![text(), key.clone()].prop_map(|text| Node::String(Cow::Owned(text))),
    ];
    leaf.prop_recursive(4, 48, 5, move |inner| {
        let members = vec((key.clone().prop_map(Cow::Owned), inner.clone()), 0..5).prop_map(move |mut members| {
            let mut seen = HashSet::new();
            members.retain(|(key, _): &(Cow<'static, str>, _)| !unique || seen.insert(key.clone()));
            Node::Object(members)
        });
        prop_oneof![vec(inner, 0..5).prop_map(Node::Array), members]
    })
}

fn value(value_type: ValueType) -> BoxedStrategy<Value> {
    match value_type {
        ValueType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        ValueType::String => text().prop_map(Value::String).boxed(),
        ValueType::Integer => (-(1i64 << 53)..=1 << 53).prop_map(Value::Integer).boxed(),
        ValueType::Float => real().prop_map(Value::Float).boxed(),
        ValueType::Object => vec(json(true, ".{0,4}"), 0..3)
            .prop_map(|list| {
                let member = |(index, node)| (Cow::Owned(format!("k{index}")), node);
                Value::Object(Node::Object(list.into_iter().enumerate().map(member).collect()))
            })
            .boxed(),
    }
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![any::<bool>().prop_map(Scalar::Bool), number().prop_map(Scalar::Number), text().prop_map(Scalar::Text)]
}

fn range() -> impl Strategy<Value = VersionRange> {
    let comparison = (select(&["", "=", ">", ">=", "<", "<=", "^", "~", ">= "][..]), 0u32..99, 0u32..9).prop_flat_map(
        |(operator, a, b)| {
            select(vec![
                format!("{operator}{a}"),
                format!("{operator}v{a}.{b}-rc.{b}+x"),
                format!("{operator}{a}.{b}.x"),
            ])
        },
    );
    let all = vec(comparison, 1..3).prop_map(|list| list.join(" "));
    vec(all, 1..3).prop_map(|list| VersionRange::parse(&list.join(" || ")).expect("made to be a range"))
}

/// Tests in the order in which they are written.
fn tests() -> impl Strategy<Value = Vec<Test>> {
    let texts = || vec(text(), 1..3);
    let scalars = || vec(scalar(), 1..4);
    let pattern =
        select(&["^a+$", "x|y", "", "\\d{2,4}", "(?i)ü"][..]).prop_map(|text| Pattern::new(text).expect("good"));
    let groups = (
        (any::<bool>().prop_map(Test::Exists), scalar().prop_map(Test::Equals), scalars().prop_map(Test::In)),
        (texts().prop_map(Test::Contains), texts().prop_map(Test::StartsWith), texts().prop_map(Test::EndsWith)),
        (pattern.prop_map(Test::Matches), number().prop_map(Test::LessThan), number().prop_map(Test::AtMost)),
        (number().prop_map(Test::GreaterThan), number().prop_map(Test::AtLeast)),
        (instant().prop_map(Test::Before), instant().prop_map(Test::After), range().prop_map(Test::Semver)),
        (scalars().prop_map(Test::HasAny), scalars().prop_map(Test::HasAll)),
    );
    groups.prop_flat_map(|((a, b, c), (d, e, f), (g, h, i), (j, k), (l, m, n), (o, p))| {
        subsequence(vec![a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p], 1..4)
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let test = (attribute(), any::<bool>(), tests()).prop_map(|(attribute, ignore_case, tests)| {
        Condition::Attribute(AttributeTest { attribute, ignore_case, tests })
    });
    prop_oneof![key().prop_map(Condition::Segment), test].prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Condition::All),
            vec(inner.clone(), 1..4).prop_map(Condition::Any),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn percent() -> impl Strategy<Value = Percent> {
    (0u32..=100_000).prop_map(|buckets| Percent::from_buckets(buckets).expect("within"))
}

fn share() -> impl Strategy<Value = Share> {
    let ramp = (percent(), percent(), instant(), instant()).prop_filter_map("no time passes", |(from, to, a, b)| {
        (a != b).then(|| Share::Ramp { from, to, start: a.min(b), end: a.max(b) })
    });
    prop_oneof![percent().prop_map(Share::Fixed), ramp]
}

/// Percentages that sum to 100: the widths between sorted cuts.
fn split(names: Vec<String>) -> impl Strategy<Value = Split> {
    let (count, others) = (names.len(), names.clone());
    let percents = vec(0u32..=100_000, count - 1).prop_map(move |mut cuts| {
        cuts.push(100_000);
        cuts.sort_unstable();
        let before = std::iter::once(0).chain(cuts.iter().copied());
        let widths = cuts.iter().zip(before).map(|(end, start)| Percent::from_buckets(end - start).expect("within"));
        Split::Percent(names.iter().cloned().zip(widths).collect())
    });
    let weights = vec(1u32..=1_000_000, count)
        .prop_map(move |weights| Split::Weights(others.iter().cloned().zip(weights).collect()));
    prop_oneof![percents, weights]
}

fn serve(variants: Vec<String>) -> impl Strategy<Value = Serve> {
    let count = variants.len();
    let allocation = (
        share(),
        subsequence(variants.clone(), 1..=count).prop_flat_map(split),
        option::of(select(variants.clone())),
        option::of(attribute()),
    );
    let allocation = allocation.prop_map(|(share, split, otherwise, by)| Allocation { share, split, otherwise, by });
    prop_oneof![select(variants).prop_map(Serve::Variant), allocation.prop_map(Serve::Allocation)]
}

fn rules(variants: Vec<String>) -> impl Strategy<Value = Vec<Rule>> {
    let rule = (text(), option::of(condition()), serve(variants));
    btree_map(key(), rule, 0..3).prop_map(|rules| {
        let rule = |(id, (description, condition, serve))| Rule { id, description, condition, serve };
        rules.into_iter().map(rule).collect()
    })
}

fn flag() -> impl Strategy<Value = FlagDocument> {
    let kinds = [FlagKind::Release, FlagKind::Experiment, FlagKind::Operational, FlagKind::Permission];
    let types = [ValueType::Boolean, ValueType::String, ValueType::Integer, ValueType::Float, ValueType::Object];
    let variants = select(types.to_vec())
        .prop_flat_map(|value_type| (Just(value_type), btree_map(key(), value(value_type), 1..5)));
    variants.prop_flat_map(move |(value_type, variants)| {
        let names: Vec<_> = variants.keys().cloned().collect();
        let day = instant().prop_map(|at| at.to_string()[..10].to_owned());
        let requires = vec((key(), key()).prop_map(|(flag, is)| Prerequisite { flag, is }), 0..3);
        let parts = (
            (about(), select(kinds.to_vec()), option::of(day), any::<[bool; 2]>()),
            (select(names.clone()), option::of("[a-z]{1,6}"), requires),
            (rules(names.clone()), serve(names)),
        );
        parts.prop_map(move |((about, kind, review, [enabled, client]), (off, salt, requires), (rules, default))| {
            let variants = variants.clone().into_iter().collect();
            FlagDocument {
                about,
                kind,
                review,
                value_type,
                variants,
                enabled,
                off,
                client,
                salt,
                requires,
                rules,
                default,
            }
        })
    })
}

fn segment() -> impl Strategy<Value = SegmentDocument> {
    let units = || vec(".{1,6}", 0..4);
    (about(), option::of(attribute()), units(), units(), option::of(condition()))
        .prop_map(|(about, by, include, exclude, condition)| SegmentDocument { about, by, include, exclude, condition })
}

type Reader<D> = fn(&Node<'_>, &At<'_>, &mut Problems) -> Option<D>;

/// Reads, and holds the reader to its word: either problems, each at a place that exists, or a
/// document that is written and read again as it is.
fn honest<D: PartialEq + Debug + Serialize>(node: &Node<'_>, read: Reader<D>) -> Result<Option<D>, TestCaseError> {
    let mut problems = Problems::default();
    let document = read(node, &At::ROOT, &mut problems);
    if !problems.is_empty() {
        for problem in problems.into_list() {
            prop_assert!(find(node, &problem.pointer), "{problem:?} points at nothing in {node:?}");
        }
        return Ok(None);
    }
    let Some(document) = document else { return Err(TestCaseError::fail("neither a document nor a problem")) };
    let text = serde_json::to_string(&document).expect("writes");
    let written = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let again = read(&written, &At::ROOT, &mut problems);
    prop_assert!(problems.is_empty(), "{}: {:?}", text, problems);
    prop_assert_eq!(again.as_ref(), Some(&document), "{}", text);
    prop_assert_eq!(serde_json::to_string(&again).expect("writes"), text);
    Ok(Some(document))
}

/// Whether a JSON pointer leads to a place.
fn find(node: &Node<'_>, pointer: &str) -> bool {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    steps
        .into_iter()
        .try_fold(node, |node, step| match node {
            Node::Array(list) => list.get(step.parse::<usize>().ok()?),
            other => other.get(&step),
        })
        .is_some()
}

fn condition_of(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Condition> {
    Condition::read(node, &mut limits::CONDITIONS.clone(), at, problems)
}

/// Hands a text to every reader.
fn survive(text: &str) -> Result<(), TestCaseError> {
    let Ok(node) = parse(text) else { return Ok(()) };
    honest(&node, FlagDocument::read)?;
    honest(&node, SegmentDocument::read)?;
    honest(&node, RouteDocument::read)?;
    honest(&node, ChannelDocument::read)?;
    honest(&node, SettingsDocument::read)?;
    honest(&node, condition_of)?;
    let mut problems = Problems::default();
    let raw = to_raw_value(&node).expect("writes");
    ProjectDocument::read(&raw, &mut problems);
    EnvironmentDocument::read(&raw, &At::ROOT, &mut problems);
    for problem in problems.into_list() {
        prop_assert!(find(&node, &problem.pointer), "{problem:?} points at nothing in {text}");
    }
    Ok(())
}

/// Words that the readers look for, so that random documents get past the first field.
fn word() -> impl Strategy<Value = String> + Clone {
    let words = "type variants enabled off client salt requires rules default kind review description owner tags id if \
        serve flag is share weights else by from to start end attribute segment all any not exists equals in contains \
        startsWith endsWith matches lessThan atMost greaterThan atLeast before after semver hasAny hasAll ignoreCase \
        project environments settings segments flags routes channels origins trusted * \
        include exclude host targets platform minimum recommended policy major patch blocked versions builds releases \
        bundles number binary track audience units storeUrl texts required maintenance availability served source \
        observedAt lookup sameAs deadline releasedAt notes remindAfter snoozes boolean string integer float object ios on 1.x \
        2026-07-01 targetingKey https://a.example";
    select(words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

/// A change of a document: which place, and what happens there.
#[derive(Clone, Debug)]
enum Change {
    Replace(Node<'static>),
    Remove,
    Rename(String),
    Repeat,
}

fn change() -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        3 => json(false, word()).prop_map(Change::Replace),
        1 => Just(Change::Remove),
        1 => word().prop_map(Change::Rename),
        1 => Just(Change::Repeat),
    ];
    (any::<Index>(), change)
}

fn count(node: &Node<'_>) -> usize {
    match node {
        Node::Array(list) => list.iter().map(|inner| 1 + count(inner)).sum(),
        Node::Object(members) => members.iter().map(|(_, inner)| 1 + count(inner)).sum(),
        _ => 0,
    }
}

/// Applies a change at the `at`th place below the node; returns how many places are left to go.
fn apply(node: &mut Node<'static>, mut at: usize, change: &Change) -> Option<usize> {
    let list = match node {
        Node::Array(list) => list.len(),
        Node::Object(members) => members.len(),
        _ => 0,
    };
    for index in 0..list {
        if at == 0 {
            match node {
                Node::Array(list) => edit(list, index, change, |_, _| {}, |inner| inner),
                Node::Object(members) => edit(
                    members,
                    index,
                    change,
                    |(key, _), name| *key = Cow::Owned(name.to_owned()),
                    |(_, inner)| inner,
                ),
                _ => {}
            }
            return None;
        }
        let inner = match node {
            Node::Array(list) => &mut list[index],
            Node::Object(members) => &mut members[index].1,
            _ => return Some(at),
        };
        at = apply(inner, at - 1, change)?;
    }
    Some(at)
}

fn edit<T: Clone>(
    list: &mut Vec<T>,
    index: usize,
    change: &Change,
    rename: impl Fn(&mut T, &str),
    inner: impl Fn(&mut T) -> &mut Node<'static>,
) {
    match change {
        Change::Replace(node) => *inner(&mut list[index]) = node.clone(),
        Change::Remove => drop(list.remove(index)),
        Change::Rename(name) => rename(&mut list[index], name),
        Change::Repeat => list.push(list[index].clone()),
    }
}

fn change_all(document: &impl Serialize, changes: &[(Index, Change)]) -> Node<'static> {
    let text = serde_json::to_string(document).expect("writes");
    let mut node = parse(&text).expect("what is written is JSON").into_owned();
    for (index, change) in changes {
        let places = count(&node);
        if places > 0 {
            apply(&mut node, index.index(places), change);
        }
    }
    node
}

proptest! {
    #[test]
    fn flags_are_read_as_written(flag in flag()) {
        let text = serde_json::to_string(&flag).expect("writes");
        let node = parse(&text).expect("what is written is JSON");
        prop_assert_eq!(honest(&node, FlagDocument::read)?, Some(flag), "{}", text);
    }

    #[test]
    fn segments_are_read_as_written(segment in segment()) {
        let text = serde_json::to_string(&segment).expect("writes");
        let node = parse(&text).expect("what is written is JSON");
        prop_assert_eq!(honest(&node, SegmentDocument::read)?, Some(segment), "{}", text);
    }

    #[test]
    fn changed_flags_are_read_or_refused(flag in flag(), changes in vec(change(), 1..4)) {
        honest(&change_all(&flag, &changes), FlagDocument::read)?;
    }

    #[test]
    fn changed_segments_are_read_or_refused(segment in segment(), changes in vec(change(), 1..4)) {
        honest(&change_all(&segment, &changes), SegmentDocument::read)?;
    }

    #[test]
    fn json_of_known_words_is_read_or_refused(node in json(false, word())) {
        survive(&serde_json::to_string(&node).expect("writes"))?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        survive(&text)?;
    }

    #[test]
    fn text_with_wrong_letters_is_read_or_refused(
        flag in flag(),
        edits in vec((any::<Index>(), "[{}\\[\\]\",:0-9eE.+\\-a-z\\\\ ü]{0,3}"), 1..5),
    ) {
        let mut text: Vec<char> = serde_json::to_string(&flag).expect("writes").chars().collect();
        for (index, letters) in edits {
            let at = index.index(text.len());
            text.splice(at..=at, letters.chars());
            if text.is_empty() { break }
        }
        survive(&text.into_iter().collect::<String>())?;
    }
}
