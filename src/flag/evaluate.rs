//! Evaluation: a pure walk over compiled flags. It returns an answer for any context, allocates
//! nothing and follows no reference that compilation has not followed before.

use super::context::{Context, Slot};
use super::model::{Allocation, Body, Choice, Condition, Entry, FlagSet, Outcome, Requirement, Segment, Serve};
use crate::bucketing::BUCKETS;
use std::cell::Cell;
use xxhash_rust::xxh3::xxh3_64;

mod test;

/// What on-call people have switched off; laid over the flags before anything else is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kills {
    environment: bool,
    flags: Vec<u32>,
}

impl Kills {
    /// The kill switch of a whole environment, and the numbers of killed flags.
    pub fn new(environment: bool, mut flags: Vec<u32>) -> Self {
        flags.sort_unstable();
        Self { environment, flags }
    }

    /// Whether the whole environment is killed.
    pub fn everything(&self) -> bool {
        self.environment
    }

    /// Whether the flag of this number is killed.
    pub fn covers(&self, id: u32) -> bool {
        self.environment || (!self.flags.is_empty() && self.flags.binary_search(&id).is_ok())
    }
}

/// Working memory of evaluations, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Outcome of each prerequisite evaluated for the present context.
    outcomes: Vec<u16>,
    segments: Vec<Cell<Membership>>,
    present: u32,
}

/// What is known of a segment: since which evaluation, and whether the unit belongs to it.
#[derive(Clone, Copy, Debug, Default)]
struct Membership {
    since: u32,
    belongs: bool,
}

/// Marks an answer that is not in a flag's table: its fault.
const FAULT: u16 = u16::MAX;

impl Scratch {
    /// Forgets the context before.
    fn begin(&mut self, set: &FlagSet) {
        self.outcomes.resize(set.flags.len(), FAULT);
        self.present = self.present.wrapping_add(1);
        // Another set may be evaluated with the same memory, and the counter may wrap.
        if self.segments.len() != set.segments.len() || self.present == 0 {
            self.present = 1;
            self.segments.clear();
            self.segments.resize(set.segments.len(), Cell::default());
        }
    }
}

/// Watches an evaluation; the default methods watch nothing and cost nothing.
pub(super) trait Trace {
    fn killed(&mut self) {}
    fn disabled(&mut self) {}
    fn prerequisite(&mut self, _position: u32, _met: bool) {}
    fn rule(&mut self, _index: usize, _holds: bool) {}
    fn default(&mut self) {}
    fn missing_unit(&mut self) {}
    fn share(&mut self, _bucket: u32, _share: u32) {}
    fn variant(&mut self, _slot: u32, _total: u32) {}
}

struct Silent;
impl Trace for Silent {}

impl FlagSet {
    /// Evaluates the flag at a position.
    ///
    /// # Panics
    /// Never for a position that [`FlagSet::find`] gave for this set.
    pub fn evaluate<'s>(
        &'s self,
        index: u32,
        context: &Context<'_>,
        kills: &Kills,
        scratch: &mut Scratch,
    ) -> &'s Outcome {
        self.traced(index, context, kills, scratch, &mut Silent)
    }

    pub(super) fn traced<'s>(
        &'s self,
        index: u32,
        context: &Context<'_>,
        kills: &Kills,
        scratch: &mut Scratch,
        trace: &mut impl Trace,
    ) -> &'s Outcome {
        scratch.begin(self);
        let entry = &self.flags[index as usize];
        self.prepare(&entry.before, context, kills, scratch);
        entry.outcome(self.walk(entry, context, kills, scratch, trace))
    }

    /// Evaluates every flag, or those that client tokens may see, and hands over each answer in
    /// the order of keys.
    pub fn evaluate_all<'s>(
        &'s self,
        client: bool,
        context: &Context<'_>,
        kills: &Kills,
        scratch: &mut Scratch,
        mut answer: impl FnMut(&'s Outcome),
    ) {
        scratch.begin(self);
        self.prepare(&self.prerequisites, context, kills, scratch);
        let mut one = |index: usize| {
            let entry = &self.flags[index];
            let outcome = if entry.is_prerequisite {
                scratch.outcomes[index]
            } else {
                self.walk(entry, context, kills, scratch, &mut Silent)
            };
            answer(entry.outcome(outcome));
        };
        if client {
            self.client.iter().for_each(|index| one(*index as usize));
        } else {
            (0..self.flags.len()).for_each(one);
        }
    }

    /// Whether the context belongs to the segment at a position.
    ///
    /// # Panics
    /// Never for a position that [`FlagSet::segment`] gave for this set.
    pub fn belongs(&self, segment: u32, context: &Context<'_>, scratch: &mut Scratch) -> bool {
        scratch.begin(self);
        Scope { set: self, segments: &[], context, scratch }.belongs(segment)
    }

    /// Evaluates flags that others require, in their order.
    fn prepare(&self, order: &[u32], context: &Context<'_>, kills: &Kills, scratch: &mut Scratch) {
        for index in order {
            let entry = &self.flags[*index as usize];
            scratch.outcomes[*index as usize] = self.walk(entry, context, kills, scratch, &mut Silent);
        }
    }

    /// Kill switch, not enabled, prerequisites, rules, default: the first that applies answers.
    fn walk(
        &self,
        entry: &Entry,
        context: &Context<'_>,
        kills: &Kills,
        scratch: &Scratch,
        trace: &mut impl Trace,
    ) -> u16 {
        let Ok(body) = &entry.flag.body else { return FAULT };
        if kills.covers(entry.flag.id) {
            trace.killed();
            return body.killed;
        }
        if entry.broken.is_some() {
            return FAULT;
        }
        if let Some(disabled) = body.disabled {
            trace.disabled();
            return disabled;
        }
        if !self.requirements_met(entry, scratch, trace) {
            return body.unmet;
        }
        let scope = Scope { set: self, segments: &entry.segments, context, scratch };
        for (index, rule) in body.rules.iter().enumerate() {
            let holds = scope.holds(&rule.condition);
            trace.rule(index, holds);
            if holds && let Some(outcome) = serve(&rule.serve, body, context, trace) {
                return outcome;
            }
        }
        trace.default();
        // A default without `else` has nowhere to go on to: those outside its share get `off`.
        serve(&body.default, body, context, trace).unwrap_or(body.outside)
    }

    fn requirements_met(&self, entry: &Entry, scratch: &Scratch, trace: &mut impl Trace) -> bool {
        entry.requires.iter().all(|Requirement { flag, variant }| {
            let served = self.flags[*flag as usize].outcome(scratch.outcomes[*flag as usize]);
            let met = variant.is_some() && served.variant == *variant;
            trace.prerequisite(*flag, met);
            met
        })
    }
}

impl Entry {
    fn outcome(&self, index: u16) -> &Outcome {
        match (&self.broken, &self.flag.body) {
            (_, Err(fault)) => &fault.outcome,
            (Some(broken), Ok(_)) if index == FAULT => &broken.1,
            (_, Ok(body)) => &body.outcomes[usize::from(index)],
        }
    }
}

/// The outcome for the unit; none when the unit goes on to the next rule.
fn serve(serve: &Serve, body: &Body, context: &Context<'_>, trace: &mut impl Trace) -> Option<u16> {
    match serve {
        Serve::Outcome(outcome) => Some(*outcome),
        Serve::Allocation(allocation) => allocate(allocation, body, context, trace),
    }
}

fn allocate(allocation: &Allocation, body: &Body, context: &Context<'_>, trace: &mut impl Trace) -> Option<u16> {
    let share = allocation.share.at(context.now());
    let allocated = context.unit(allocation.by, |unit| {
        let bucket = if share < BUCKETS { body.seeds.share.bucket(unit) } else { 0 };
        trace.share(bucket, share);
        if bucket >= share {
            return allocation.otherwise;
        }
        match &allocation.choice {
            Choice::One(outcome) => Some(*outcome),
            Choice::Weighted(weights) => {
                let slot = body.seeds.variant.slot(unit, weights.total);
                trace.variant(slot, weights.total);
                weights.at(slot)
            }
        }
    });
    allocated.unwrap_or_else(|| {
        trace.missing_unit();
        Some(allocation.missing)
    })
}

impl Segment {
    /// Whether the unit is included or excluded by name; none when it is not named.
    fn lists(&self, context: &Context<'_>) -> Option<bool> {
        if self.include.is_empty() && self.exclude.is_empty() {
            return None;
        }
        let hash = context.unit(self.by, xxh3_64)?;
        let has = |list: &[u64]| list.binary_search(&hash).is_ok();
        if has(&self.exclude) { Some(false) } else { has(&self.include).then_some(true) }
    }
}

/// Where conditions are looked at: the segments they may refer to, the context, what is known.
pub(super) struct Scope<'a> {
    set: &'a FlagSet,
    segments: &'a [u32],
    context: &'a Context<'a>,
    scratch: &'a Scratch,
}

impl<'a> Scope<'a> {
    pub(super) fn of(set: &'a FlagSet, index: u32, context: &'a Context<'a>, scratch: &'a Scratch) -> Self {
        Self { set, segments: &set.flags[index as usize].segments, context, scratch }
    }

    pub(super) fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Never => false,
            Condition::All(list) => list.iter().all(|inner| self.holds(inner)),
            Condition::Any(list) => list.iter().any(|inner| self.holds(inner)),
            Condition::Not(inner) => !self.holds(inner),
            Condition::Segment(local) => self.segments.get(usize::from(*local)).is_some_and(|at| self.belongs(*at)),
            Condition::Attribute(slot, test) => test.passes(self.attribute(*slot)),
        }
    }

    fn attribute(&self, slot: Slot) -> Option<&'a crate::json::Node<'a>> {
        self.context.get(slot)
    }

    /// Whether the unit belongs to the segment at a position; found out once per context.
    fn belongs(&self, at: u32) -> bool {
        let memory = &self.scratch.segments[at as usize];
        let known = memory.get();
        if known.since == self.scratch.present {
            return known.belongs;
        }
        let entry = &self.set.segments[at as usize];
        let belongs = !entry.broken && {
            let segment = &entry.segment;
            let inner = Scope { segments: &entry.segments, ..*self };
            segment.lists(self.context).unwrap_or_else(|| inner.holds(&segment.condition))
        };
        memory.set(Membership { since: self.scratch.present, belongs });
        belongs
    }
}

#[cfg(test)]
mod tests;
