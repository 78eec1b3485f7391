//! From documents to compiled flags. What did not change since the last set is taken over, so
//! that a change of one flag costs one flag.

use super::condition::{self as wire, AttributeTest};
use super::context::{Attributes, Slot};
use super::model::{
    Allocation, Body, Choice, Condition, Fault, Flag, FlagSet, Reason, Rule, Scalar, Scalars, Segment, Serve, Share,
    Test, TextTest, Weights,
};
use super::{FlagDocument, SegmentDocument, serve};
use crate::bucketing::{BUCKETS, Ramp, Seeds};
use crate::json::{At, Problems, parse};
use crate::limits;
use answers::{Answers, quote};
use std::collections::HashMap;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

mod answers;
mod link;

/// The text of one flag or segment, as a snapshot holds it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its key.
    pub key: &'a str,
    /// The flag's number within its environment, by which kills name it; 0 for segments.
    pub id: u32,
    /// Its revision.
    pub revision: u64,
    /// Its JSON document.
    pub text: &'a str,
}

impl Source<'_> {
    fn hash(&self) -> u64 {
        xxh3_64_with_seed(self.text.as_bytes(), self.revision ^ (u64::from(self.id) << 32))
    }
}

impl FlagSet {
    /// Compiles a set; a flag that cannot be compiled is an error in its own slot. Flags and
    /// segments whose text and revision are those of `previous` are taken over.
    pub fn compile(segments: &[Source<'_>], flags: &[Source<'_>], previous: Option<&FlagSet>) -> FlagSet {
        // Attributes of flags long gone would grow without bound: now and then start afresh.
        let previous = previous.filter(|set| set.attributes.len() < limits::ATTRIBUTES);
        let mut set = FlagSet::default();
        if let Some(previous) = previous {
            set.attributes = previous.attributes.clone();
        }
        let old_segments: HashMap<&str, &Arc<Segment>> =
            previous.iter().flat_map(|set| &set.segments).map(|entry| (&*entry.segment.key, &entry.segment)).collect();
        let segments = segments.iter().map(|source| {
            let hash = source.hash();
            let old = old_segments.get(source.key).filter(|old| old.source == hash);
            old.map_or_else(|| Arc::new(segment(source, &mut set.attributes)), |old| Arc::clone(old))
        });
        let segments: Vec<_> = segments.collect();
        let mut compiled = Vec::with_capacity(flags.len());
        for source in flags {
            let hash = source.hash();
            let old = previous.and_then(|set| set.flags.get(set.find(source.key)? as usize));
            let flag = match old {
                Some(old) if old.flag.source == hash && old.flag.id == source.id => {
                    set.reused += 1;
                    Arc::clone(&old.flag)
                }
                _ => Arc::new(flag(source, &mut set.attributes)),
            };
            compiled.push(flag);
        }
        set.link(segments, compiled);
        set
    }
}

fn segment(source: &Source<'_>, attributes: &mut Attributes) -> Segment {
    let mut problems = Problems::default();
    let document = parse(source.text).ok();
    let document = document.and_then(|node| SegmentDocument::read(&node, &At::ROOT, &mut problems));
    // A segment that cannot be read has no members; the control plane admits none such.
    let document = document.filter(|_| problems.is_empty()).unwrap_or_default();
    let mut compiler = Compiler { attributes, segments: Vec::new() };
    let condition = document.condition.as_ref().map_or(Condition::Never, |wire| compiler.condition(wire));
    let segments: Box<[Box<str>]> = compiler.segments.into();
    let (include, exclude) = (hashes(&document.include), hashes(&document.exclude));
    let by = document.by.map_or(Slot::TARGETING_KEY, |name| attributes.slot(&name));
    let (key, source) = (source.key.into(), source.hash());
    let mut segment = Segment { key, source, by, include, exclude, condition, segments, bytes: 0 };
    segment.bytes = segment.count_bytes();
    segment
}

fn hashes(units: &[String]) -> Box<[u64]> {
    let mut hashes: Vec<_> = units.iter().map(|unit| xxh3_64(unit.as_bytes())).collect();
    hashes.sort_unstable();
    hashes.into()
}

fn flag(source: &Source<'_>, attributes: &mut Attributes) -> Flag {
    let read = read(source.text);
    let client = read.as_ref().is_ok_and(|document| document.client);
    let body = read.and_then(|document| Assembly::new(source, &document, attributes)?.body());
    let body = body.map_err(|detail| Fault { outcome: answers::fault(source.key, &detail), detail });
    let mut flag = Flag { key: source.key.into(), id: source.id, client, source: source.hash(), body, bytes: 0 };
    flag.bytes = flag.count_bytes();
    flag
}

fn read(text: &str) -> Result<FlagDocument, String> {
    let node = parse(text).map_err(|error| error.to_string())?;
    let mut problems = Problems::default();
    let document = FlagDocument::read(&node, &At::ROOT, &mut problems);
    match (document, problems.into_list().into_iter().next()) {
        (Some(document), None) => Ok(document),
        (_, Some(problem)) => Err(format!("{}: {}", problem.pointer, problem.detail)),
        (None, None) => Err("cannot be read".to_owned()),
    }
}

/// Builds one flag: collects its possible answers while rules are compiled.
struct Assembly<'a> {
    document: &'a FlagDocument,
    compiler: Compiler<'a>,
    answers: Answers<'a>,
}

impl<'a> Assembly<'a> {
    fn new(source: &Source<'a>, document: &'a FlagDocument, attributes: &'a mut Attributes) -> Result<Self, String> {
        let compiler = Compiler { attributes, segments: Vec::new() };
        Ok(Self { document, compiler, answers: Answers::new(source, document)? })
    }

    fn body(mut self) -> Result<Body, String> {
        let document = self.document;
        let salt = document.salt.as_deref().ok_or("the flag has no salt")?;
        let off = self.variant(&document.off)?;
        let mut not = |cause| self.answers.serving(off, Reason::Disabled, cause);
        let killed = not(r#","cause":"kill""#)?;
        let disabled = if document.enabled { None } else { Some(not(r#","cause":"not-enabled""#)?) };
        let unmet = if document.requires.is_empty() { killed } else { not(r#","cause":"prerequisite""#)? };
        let mut rules = Vec::with_capacity(document.rules.len());
        for rule in &document.rules {
            let condition = rule.condition.as_ref().map_or(Condition::Always, |wire| self.compiler.condition(wire));
            let cause = format!(r#","rule":{}"#, quote(&rule.id));
            let serve = self.serve(&rule.serve, Reason::TargetingMatch, &cause)?;
            rules.push(Rule { condition, serve });
        }
        let plain = document.rules.is_empty() && document.requires.is_empty();
        let reason = if plain { Reason::Static } else { Reason::Default };
        let default = self.serve(&document.default, reason, "")?;
        let outside = self.answers.serving(off, Reason::Split, "")?;
        let requires = document.requires.iter();
        Ok(Body {
            variants: document.variants.iter().map(|(name, _)| name.as_str().into()).collect(),
            outcomes: self.answers.finish(),
            killed,
            disabled,
            unmet,
            outside,
            requires: requires.map(|other| (other.flag.as_str().into(), other.is.as_str().into())).collect(),
            segments: self.compiler.segments.into(),
            seeds: Seeds::new(salt),
            rules: rules.into(),
            default,
        })
    }

    fn variant(&self, name: &str) -> Result<u16, String> {
        let position = self.document.variants.iter().position(|(known, _)| known == name);
        position.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| format!("the flag has no variant `{name}`"))
    }

    fn serve(&mut self, wire: &serve::Serve, reason: Reason, cause: &str) -> Result<Serve, String> {
        match wire {
            serve::Serve::Variant(name) => {
                let variant = self.variant(name)?;
                self.answers.serving(variant, reason, cause).map(Serve::Outcome)
            }
            serve::Serve::Allocation(allocation) => self.allocation(allocation, cause).map(Serve::Allocation),
        }
    }

    fn allocation(&mut self, wire: &serve::Allocation, cause: &str) -> Result<Allocation, String> {
        let mut split = |name: &str| {
            let variant = self.variant(name)?;
            self.answers.serving(variant, Reason::Split, cause)
        };
        let mut total = 0u32;
        let mut ends = Vec::new();
        let mut add = |name: &str, part: u32| {
            total = total.checked_add(part).ok_or("the weights are too large")?;
            ends.push((total, split(name)?));
            Ok::<_, String>(())
        };
        match &wire.split {
            serve::Split::Percent(list) => list.iter().try_for_each(|(name, share)| add(name, share.buckets()))?,
            serve::Split::Weights(list) => list.iter().try_for_each(|(name, weight)| add(name, *weight))?,
        }
        let choice = match *ends {
            [(_, only)] => Choice::One(only),
            _ => Choice::Weighted(Weights { total, ends: ends.into() }),
        };
        let otherwise = wire.otherwise.as_deref().map(split).transpose()?;
        let by = wire.by.as_deref().unwrap_or(serve::TARGETING_KEY);
        let missing = self.answers.missing(by)?;
        let by = self.compiler.attributes.slot(by);
        Ok(Allocation { by, share: share(&wire.share), choice, otherwise, missing })
    }
}

fn share(wire: &serve::Share) -> Share {
    match wire {
        serve::Share::Fixed(percent) => Share::Fixed(percent.buckets().min(BUCKETS)),
        serve::Share::Ramp { from, to, start, end } => {
            Share::Ramp(Box::new(Ramp { from: from.buckets(), to: to.buckets(), start: *start, end: *end }))
        }
    }
}

/// Compiles conditions; numbers the segments they refer to.
struct Compiler<'a> {
    attributes: &'a mut Attributes,
    segments: Vec<Box<str>>,
}

impl Compiler<'_> {
    fn condition(&mut self, wire: &wire::Condition) -> Condition {
        match wire {
            wire::Condition::All(list) => Condition::All(list.iter().map(|inner| self.condition(inner)).collect()),
            wire::Condition::Any(list) => Condition::Any(list.iter().map(|inner| self.condition(inner)).collect()),
            wire::Condition::Not(inner) => Condition::Not(Box::new(self.condition(inner))),
            wire::Condition::Segment(key) => {
                let known = self.segments.iter().position(|known| **known == **key);
                let at = known.unwrap_or_else(|| {
                    self.segments.push(key.as_str().into());
                    self.segments.len() - 1
                });
                // A flag has at most limits::CONDITIONS conditions, so the number always fits.
                u16::try_from(at).map_or(Condition::Never, Condition::Segment)
            }
            wire::Condition::Attribute(test) => self.attribute(test),
        }
    }

    fn attribute(&mut self, wire: &AttributeTest) -> Condition {
        let slot = self.attributes.slot(&wire.attribute);
        let compile = |test| Condition::Attribute(slot, compile_test(test, wire.ignore_case));
        match wire.tests.as_slice() {
            [one] => compile(one),
            several => Condition::All(several.iter().map(compile).collect()),
        }
    }
}

fn compile_test(wire: &wire::Test, ignore_case: bool) -> Test {
    let texts = |kind, list: &[String]| {
        Test::Text(kind, ignore_case, list.iter().map(|text| fold(text, ignore_case)).collect())
    };
    match wire {
        wire::Test::Exists(expected) => Test::Exists(*expected),
        wire::Test::Equals(wire::Scalar::Text(text)) if ignore_case => {
            texts(TextTest::Equals, std::slice::from_ref(text))
        }
        wire::Test::Equals(value) => Test::Equals(scalar(value)),
        wire::Test::In(list) => Test::In(scalars(list, ignore_case)),
        wire::Test::Contains(list) => texts(TextTest::Contains, list),
        wire::Test::StartsWith(list) => texts(TextTest::StartsWith, list),
        wire::Test::EndsWith(list) => texts(TextTest::EndsWith, list),
        wire::Test::Matches(pattern) => Test::Matches(pattern.clone()),
        wire::Test::LessThan(number) => Test::LessThan(*number),
        wire::Test::AtMost(number) => Test::AtMost(*number),
        wire::Test::GreaterThan(number) => Test::GreaterThan(*number),
        wire::Test::AtLeast(number) => Test::AtLeast(*number),
        wire::Test::Before(at) => Test::Before(*at),
        wire::Test::After(at) => Test::After(*at),
        wire::Test::Semver(range) => Test::Semver(range.clone()),
        wire::Test::HasAny(list) => Test::HasAny(scalars(list, ignore_case)),
        wire::Test::HasAll(list) => {
            Test::HasAll(list.iter().map(|value| folded(value, ignore_case)).collect(), ignore_case)
        }
    }
}

fn fold(text: &str, ignore_case: bool) -> Box<str> {
    // Character by character, as attributes are folded: `str::to_lowercase` gives a final sigma another form.
    if ignore_case { text.chars().flat_map(char::to_lowercase).collect() } else { text.into() }
}

fn scalar(wire: &wire::Scalar) -> Scalar {
    match wire {
        wire::Scalar::Bool(value) => Scalar::Bool(*value),
        wire::Scalar::Number(value) => Scalar::Number(*value),
        wire::Scalar::Text(text) => Scalar::Text(text.as_str().into()),
    }
}

fn folded(wire: &wire::Scalar, ignore_case: bool) -> Scalar {
    match wire {
        wire::Scalar::Text(text) => Scalar::Text(fold(text, ignore_case)),
        other => scalar(other),
    }
}

fn scalars(list: &[wire::Scalar], ignore_case: bool) -> Scalars {
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    for value in list {
        match value {
            wire::Scalar::Text(text) => texts.push(fold(text, ignore_case)),
            other => others.push(scalar(other)),
        }
    }
    texts.sort_by_cached_key(|text| xxh3_64(text.as_bytes()));
    texts.dedup();
    let hashes = texts.iter().map(|text| xxh3_64(text.as_bytes())).collect();
    Scalars { hashes, texts: texts.into(), others: others.into(), ignore_case }
}
