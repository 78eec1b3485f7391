//! How many bytes compiled flags take, so that a cache of environments can be bounded.

use super::model::{
    Body, Choice, Condition, Entry, Fault, Flag, FlagSet, Outcome, Rule, Scalar, Scalars, Segment, SegmentEntry, Serve,
    Share, Test, Weights,
};
use crate::bucketing::Ramp;
use std::mem::size_of;

/// The counts of an `Arc` beside its value.
const COUNTS: usize = 2 * size_of::<usize>();
/// A compiled pattern and what matching it keeps, for each byte of its source: measured on patterns
/// of some twenty bytes.
const PATTERN_BYTE: usize = 90;

/// Bytes that a value owns elsewhere.
trait Heap {
    fn heap(&self) -> usize;
}

impl Heap for Box<str> {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl Heap for (Box<str>, Box<str>) {
    fn heap(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

impl<T: Heap> Heap for [T] {
    fn heap(&self) -> usize {
        size_of_val(self) + self.iter().map(Heap::heap).sum::<usize>()
    }
}

impl FlagSet {
    pub(super) fn count_bytes(&self) -> usize {
        // A map has a bucket and a byte for each of 8/7 of its capacity.
        let buckets = self.by_key.capacity() + self.by_key.capacity() / 7;
        size_of::<Self>()
            + self.flags.heap()
            + self.segments.heap()
            + buckets * (size_of::<(usize, usize, u32)>() + 1)
            + size_of_val(&*self.prerequisites)
            + size_of_val(&*self.client)
            + self.attributes.bytes()
    }
}

impl Heap for Entry {
    fn heap(&self) -> usize {
        let broken = self
            .broken
            .as_deref()
            .map_or(0, |(detail, outcome)| size_of::<(String, Outcome)>() + detail.len() + outcome.heap());
        let references = size_of_val(&*self.segments) + size_of_val(&*self.requires) + size_of_val(&*self.before);
        broken + references + self.flag.bytes
    }
}

impl Flag {
    pub(super) fn count_bytes(&self) -> usize {
        let body = match &self.body {
            Ok(body) => body.heap(),
            Err(Fault { detail, outcome }) => detail.len() + outcome.heap(),
        };
        COUNTS + size_of::<Self>() + COUNTS + self.key.len() + body
    }
}

impl Heap for Body {
    fn heap(&self) -> usize {
        let names = self.variants.heap() + self.requires.heap() + self.segments.heap();
        names + self.outcomes.heap() + self.rules.heap() + self.default.heap()
    }
}

impl Heap for Outcome {
    fn heap(&self) -> usize {
        self.fragment.len()
    }
}

impl Heap for Rule {
    fn heap(&self) -> usize {
        self.condition.heap() + self.serve.heap()
    }
}

impl Heap for Serve {
    fn heap(&self) -> usize {
        let Self::Allocation(allocation) = self else { return 0 };
        let ramp = if matches!(allocation.share, Share::Ramp(_)) { size_of::<Ramp>() } else { 0 };
        match &allocation.choice {
            Choice::One(_) => ramp,
            Choice::Weighted(Weights { ends, .. }) => ramp + size_of_val(&**ends),
        }
    }
}

impl Heap for SegmentEntry {
    fn heap(&self) -> usize {
        size_of_val(&*self.segments) + self.segment.bytes
    }
}

impl Segment {
    pub(super) fn count_bytes(&self) -> usize {
        let lists = size_of_val(&*self.include) + size_of_val(&*self.exclude);
        COUNTS + size_of::<Self>() + COUNTS + self.key.len() + lists + self.condition.heap() + self.segments.heap()
    }
}

impl Heap for Condition {
    fn heap(&self) -> usize {
        match self {
            Self::Always | Self::Never | Self::Segment(_) => 0,
            Self::All(list) | Self::Any(list) => list.heap(),
            Self::Not(inner) => size_of::<Self>() + inner.heap(),
            Self::Attribute(_, test) => test.heap(),
        }
    }
}

impl Heap for Test {
    fn heap(&self) -> usize {
        match self {
            Self::Exists(_)
            | Self::LessThan(_)
            | Self::AtMost(_)
            | Self::GreaterThan(_)
            | Self::AtLeast(_)
            | Self::Before(_)
            | Self::After(_) => 0,
            Self::Equals(scalar) => scalar.heap(),
            Self::In(scalars) | Self::HasAny(scalars) => scalars.heap(),
            Self::HasAll(list, _) => list.heap(),
            Self::Text(_, _, needles) => needles.heap(),
            Self::Matches(pattern) => pattern.as_str().len() * PATTERN_BYTE,
            Self::Semver(range) => range.bytes(),
        }
    }
}

impl Heap for Scalar {
    fn heap(&self) -> usize {
        if let Self::Text(text) = self { text.len() } else { 0 }
    }
}

impl Heap for Scalars {
    fn heap(&self) -> usize {
        size_of_val(&*self.hashes) + self.texts.heap() + self.others.heap()
    }
}
