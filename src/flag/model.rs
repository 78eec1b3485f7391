//! Compiled flags and segments: private types that only [`super::compile`] makes and only
//! [`super::evaluate`] walks.

use super::condition::{Pattern, VersionRange};
use super::context::{Attributes, Slot};
use super::keys::KeyMap;
use crate::bucketing::{Ramp, Seeds};
use crate::json::Number;
use crate::time::Instant;
use std::sync::Arc;

/// The flags and segments of one environment, ready to be evaluated.
#[derive(Debug, Default)]
pub struct FlagSet {
    pub(super) attributes: Attributes,
    pub(super) flags: Vec<Entry>,
    pub(super) by_key: KeyMap<u32>,
    pub(super) segments: Vec<SegmentEntry>,
    /// Flags that others require, each after those that it requires itself.
    pub(super) prerequisites: Vec<u32>,
    /// Flags that client tokens may see, by key.
    pub(super) client: Vec<u32>,
    pub(super) bytes: usize,
    pub(super) reused: usize,
}

impl FlagSet {
    /// How many flags there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are no flags.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// About how many bytes the set takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many flags were taken over from the set before.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// The attributes that the flags read.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The flag of a key, by position.
    pub fn find(&self, key: &str) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// Whether client tokens may see the flag at a position.
    pub fn is_client_visible(&self, index: u32) -> bool {
        self.flags.get(index as usize).is_some_and(|entry| entry.flag.client)
    }

    /// The position of a flag's variant; of its `off` variant where none is named.
    pub fn variant(&self, index: u32, name: Option<&str>) -> Option<u16> {
        let body = self.flags.get(index as usize)?.flag.body.as_ref().ok()?;
        match name {
            Some(name) => body.variants.iter().position(|known| **known == *name)?.try_into().ok(),
            None => body.outcomes.get(usize::from(body.killed))?.variant,
        }
    }

    /// The segment of a key, by position. It looks at one after the other: for compilers.
    pub fn segment(&self, key: &str) -> Option<u32> {
        self.segments.iter().position(|entry| *entry.segment.key == *key)?.try_into().ok()
    }

    /// The name of the variant that an outcome of the flag at a position serves.
    pub fn variant_name(&self, index: u32, outcome: &Outcome) -> Option<&str> {
        let body = self.flags.get(index as usize)?.flag.body.as_ref().ok()?;
        body.variants.get(usize::from(outcome.variant?)).map(|name| &**name)
    }

    /// The name of the variant that the flag at a position serves while it is killed.
    pub fn off_variant(&self, index: u32) -> Option<&str> {
        let body = self.flags.get(index as usize)?.flag.body.as_ref().ok()?;
        self.variant_name(index, body.outcomes.get(usize::from(body.killed))?)
    }

    /// The number by which kills name the flag at a position.
    pub fn id(&self, index: u32) -> Option<u32> {
        Some(self.flags.get(index as usize)?.flag.id)
    }

    /// The flags that could not be compiled, with what is wrong.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.flags.iter().filter_map(|entry| Some((&*entry.flag.key, entry.fault()?)))
    }
}

/// A flag with its references to other entities of the same set.
#[derive(Debug)]
pub(super) struct Entry {
    pub flag: Arc<Flag>,
    /// Positions for the flag's local segment numbers.
    pub segments: Box<[u32]>,
    pub requires: Box<[Requirement]>,
    /// Everything that must be evaluated first, in order.
    pub before: Box<[u32]>,
    /// Whether another flag requires this one.
    pub is_prerequisite: bool,
    /// Why the references cannot be followed.
    pub broken: Option<Box<(String, Outcome)>>,
}

/// A prerequisite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    /// Position of the other flag.
    pub flag: u32,
    /// The variant it must serve; none when it cannot be evaluated and so serves none.
    pub variant: Option<u16>,
}

impl Entry {
    fn fault(&self) -> Option<&str> {
        let broken = self.broken.as_deref().map(|(detail, _)| detail.as_str());
        broken.or(self.flag.body.as_ref().err().map(|fault| fault.detail.as_str()))
    }
}

/// A flag on its own; shared between the sets of successive versions while its text is the same.
#[derive(Debug)]
pub(super) struct Flag {
    pub key: Arc<str>,
    pub id: u32,
    pub client: bool,
    /// Hash of the text and the revision it was compiled from.
    pub source: u64,
    pub body: Result<Body, Fault>,
    /// What it takes in memory, counted when it is compiled.
    pub bytes: usize,
}

/// A flag that could not be compiled: an error in its own slot.
#[derive(Debug)]
pub(super) struct Fault {
    pub detail: String,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub(super) struct Body {
    pub variants: Box<[Box<str>]>,
    pub outcomes: Box<[Outcome]>,
    pub killed: u16,
    /// What is served while the flag is not enabled.
    pub disabled: Option<u16>,
    /// What is served when a prerequisite is not met.
    pub unmet: u16,
    /// What those get whom the default's allocation leaves out.
    pub outside: u16,
    /// Key and variant of each prerequisite.
    pub requires: Box<[(Box<str>, Box<str>)]>,
    /// Keys of the segments that conditions refer to by number.
    pub segments: Box<[Box<str>]>,
    pub seeds: Seeds,
    pub rules: Box<[Rule]>,
    pub default: Serve,
}

/// One possible answer of a flag.
#[derive(Debug)]
pub struct Outcome {
    /// Position of the variant; none for an error.
    pub(super) variant: Option<u16>,
    pub(super) reason: Reason,
    /// The answer's JSON object.
    pub(super) fragment: Box<str>,
    /// Hash of the fragment.
    pub(super) digest: u64,
}

impl Outcome {
    /// The answer as OFREP's JSON object.
    pub fn fragment(&self) -> &str {
        &self.fragment
    }

    /// Hash of the fragment, for entity tags.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Why this is the answer.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Position of the variant served; none for an error.
    pub fn variant(&self) -> Option<u16> {
        self.variant
    }
}

/// Why an answer is what it is, in `OpenFeature`'s words (specification, section 1.4.7 and types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The flag has no rules: everybody gets this.
    Static,
    /// No rule concerned the unit.
    Default,
    /// A rule concerned the unit.
    TargetingMatch,
    /// The unit's bucket decided.
    Split,
    /// The flag is killed, not enabled or lacks a prerequisite.
    Disabled,
    /// The allocation's unit is missing from the context.
    TargetingKeyMissing,
    /// The flag's configuration cannot be evaluated.
    Fault,
}

impl Reason {
    /// The word in answers; errors have none.
    pub fn word(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::TargetingKeyMissing | Self::Fault => "ERROR",
        }
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    pub condition: Condition,
    pub serve: Serve,
}

#[derive(Debug)]
pub(super) enum Serve {
    Outcome(u16),
    Allocation(Allocation),
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub by: Slot,
    pub share: Share,
    pub choice: Choice,
    /// The outcome of those who do not take part; none goes on to the next rule.
    pub otherwise: Option<u16>,
    /// The outcome of a context without the unit.
    pub missing: u16,
}

#[derive(Debug)]
pub(super) enum Share {
    Fixed(u32),
    /// Boxed, because most shares are fixed and an evaluation reads less memory without it.
    Ramp(Box<Ramp>),
}

/// Who gets what among the units that take part.
#[derive(Debug)]
pub(super) enum Choice {
    /// All the same.
    One(u16),
    /// By slot.
    Weighted(Weights),
}

/// Slots 0..`total`, divided among outcomes.
#[derive(Debug)]
pub(super) struct Weights {
    pub total: u32,
    /// Where each outcome's slots end; the last end is `total`.
    pub ends: Box<[(u32, u16)]>,
}

impl Weights {
    /// The outcome that a slot belongs to.
    pub(super) fn at(&self, slot: u32) -> Option<u16> {
        self.ends.iter().find(|(end, _)| slot < *end).map(|(_, outcome)| *outcome)
    }
}

impl Share {
    pub(super) fn at(&self, now: Instant) -> u32 {
        match self {
            Self::Fixed(buckets) => *buckets,
            Self::Ramp(ramp) => ramp.at(now),
        }
    }
}

#[derive(Debug)]
pub(super) struct SegmentEntry {
    pub segment: Arc<Segment>,
    /// Positions for the segment's local segment numbers.
    pub segments: Box<[u32]>,
    /// Refers to itself or to what is not there: nobody belongs to it.
    pub broken: bool,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub key: Arc<str>,
    pub source: u64,
    pub by: Slot,
    /// Sorted hashes of the units; 64 bits, so that a stranger is taken for one of 50,000 once in
    /// 10^14 look-ups.
    pub include: Box<[u64]>,
    pub exclude: Box<[u64]>,
    pub condition: Condition,
    pub segments: Box<[Box<str>]>,
    /// What it takes in memory, counted when it is compiled.
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) enum Condition {
    Always,
    Never,
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
    Not(Box<Condition>),
    /// Local number of a segment.
    Segment(u16),
    Attribute(Slot, Test),
}

#[derive(Debug)]
pub(super) enum Test {
    Exists(bool),
    Equals(Scalar),
    In(Scalars),
    Text(TextTest, bool, Box<[Box<str>]>),
    Matches(Pattern),
    LessThan(Number),
    AtMost(Number),
    GreaterThan(Number),
    AtLeast(Number),
    Before(Instant),
    After(Instant),
    Semver(VersionRange),
    HasAny(Scalars),
    HasAll(Box<[Scalar]>, bool),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum TextTest {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug)]
pub(super) enum Scalar {
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

/// A set of scalars, texts apart.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    /// Sorted hashes of the texts, so that a look-up touches one text at most; two of 10,000 texts
    /// share a hash once in 10^11 sets, and then the first in line is not found.
    pub hashes: Box<[u64]>,
    /// In the order of their hashes.
    pub texts: Box<[Box<str>]>,
    pub others: Box<[Scalar]>,
    pub ignore_case: bool,
}
