//! Following references between the entities of one set: segments, prerequisites.

use super::answers::fault;
use crate::flag::keys::KeyMap;
use crate::flag::model::{Entry, Flag, FlagSet, Requirement, Segment, SegmentEntry};
use crate::limits;
use std::sync::Arc;

impl FlagSet {
    /// Takes compiled segments and flags in, with their references turned into positions.
    #[allow(clippy::cast_possible_truncation, reason = "counts are bounded by limits")]
    pub(super) fn link(&mut self, segments: Vec<Arc<Segment>>, flags: Vec<Arc<Flag>>) {
        let positions: KeyMap<u32> =
            segments.iter().enumerate().map(|(at, segment)| (Arc::clone(&segment.key), at as u32)).collect();
        self.segments = link_segments(segments, &positions);
        self.by_key = flags.iter().enumerate().map(|(at, flag)| (Arc::clone(&flag.key), at as u32)).collect();
        self.flags = flags.into_iter().map(|flag| self.entry(flag, &positions)).collect();
        self.order();
        let client = self.flags.iter().enumerate().filter(|(_, entry)| entry.flag.client);
        self.client = client.map(|(at, _)| at as u32).collect();
        self.bytes = self.count_bytes();
    }

    fn entry(&self, flag: Arc<Flag>, segments: &KeyMap<u32>) -> Entry {
        let mut entry = Entry {
            segments: Box::default(),
            requires: Box::default(),
            before: Box::default(),
            is_prerequisite: false,
            broken: None,
            flag,
        };
        let Ok(body) = &entry.flag.body else { return entry };
        let known: Result<Box<[u32]>, _> = body
            .segments
            .iter()
            .map(|key| segments.get(&**key).copied().ok_or_else(|| format!("no segment `{key}`")))
            .collect();
        let requires: Result<Box<[u32]>, _> = body
            .requires
            .iter()
            .map(|(key, _)| self.find(key).ok_or_else(|| format!("no flag `{key}` to require")))
            .collect();
        match (known, requires) {
            (Ok(segments), Ok(requires)) => {
                entry.segments = segments;
                // The variants are looked up once every flag is in its place.
                entry.requires = requires.iter().map(|flag| Requirement { flag: *flag, variant: None }).collect();
            }
            (Err(detail), _) | (_, Err(detail)) => entry.mark(detail),
        }
        entry
    }

    /// Finds the required variants, the order of evaluation and the cycles.
    fn order(&mut self) {
        for at in 0..self.flags.len() {
            match self.required_variants(at) {
                Ok(requires) => self.flags[at].requires = requires,
                Err(detail) => self.flags[at].mark(detail),
            }
        }
        for at in 0..self.flags.len() {
            for required in 0..self.flags[at].requires.len() {
                let other = self.flags[at].requires[required].flag;
                self.flags[other as usize].is_prerequisite = true;
            }
        }
        let (state, rank) = (vec![State::New; self.flags.len()], vec![0; self.flags.len()]);
        let mut sorter = Sorter { set: self, state, rank, sorted: Vec::new() };
        let befores: Vec<_> = (0..sorter.set.flags.len()).map(|at| sorter.before(at)).collect();
        let order = std::mem::take(&mut sorter.sorted);
        for (entry, before) in self.flags.iter_mut().zip(befores) {
            match before {
                Ok(before) => entry.before = before,
                Err(detail) => entry.mark(detail),
            }
        }
        self.prerequisites = order.into_iter().filter(|at| self.flags[*at as usize].is_prerequisite).collect();
    }

    fn required_variants(&self, at: usize) -> Result<Box<[Requirement]>, String> {
        let entry = &self.flags[at];
        let Ok(body) = &entry.flag.body else { return Ok(Box::default()) };
        let others = entry.requires.iter().map(|requirement| requirement.flag);
        let resolve = |(flag, (key, variant)): (u32, &(Box<str>, Box<str>))| {
            let Ok(body) = &self.flags[flag as usize].flag.body else { return Ok(Requirement { flag, variant: None }) };
            let found = body.variants.iter().position(|known| known == variant);
            let found = found.and_then(|found| u16::try_from(found).ok());
            let found = found.ok_or_else(|| format!("flag `{key}` has no variant `{variant}`"))?;
            Ok(Requirement { flag, variant: Some(found) })
        };
        others.zip(&body.requires).map(resolve).collect()
    }
}

impl Entry {
    fn mark(&mut self, detail: String) {
        let outcome = fault(&self.flag.key, &detail);
        self.requires = Box::default();
        self.segments = Box::default();
        self.broken = Some(Box::new((detail, outcome)));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Depth-first sort of flags by their prerequisites.
struct Sorter<'a> {
    set: &'a FlagSet,
    state: Vec<State>,
    /// Position of each flag in `sorted`.
    rank: Vec<usize>,
    sorted: Vec<u32>,
}

impl Sorter<'_> {
    /// What must be evaluated before the flag at a position, in order.
    fn before(&mut self, at: usize) -> Result<Box<[u32]>, String> {
        let looped = self.visit(at);
        let mut closure: Vec<u32> = Vec::new();
        let mut open: Vec<u32> = self.set.flags[at].requires.iter().map(|requirement| requirement.flag).collect();
        while let Some(next) = open.pop() {
            if closure.contains(&next) {
                continue;
            }
            closure.push(next);
            if closure.len() > limits::PREREQUISITE_CLOSURE {
                return Err(format!("requires more than {} flags in all", limits::PREREQUISITE_CLOSURE));
            }
            open.extend(self.set.flags[next as usize].requires.iter().map(|requirement| requirement.flag));
        }
        if looped || closure.iter().any(|other| *other as usize == at) {
            return Err("requires itself through other flags".to_owned());
        }
        closure.sort_unstable_by_key(|at| self.rank[*at as usize]);
        Ok(closure.into())
    }

    /// Sorts everything that a flag requires; true when the flag lies on a cycle. The walk keeps
    /// its own stack, because chains may be long.
    #[allow(clippy::cast_possible_truncation, reason = "counts are bounded by limits")]
    fn visit(&mut self, start: usize) -> bool {
        let mut stack = vec![(start, 0)];
        let mut looped = false;
        while let Some((at, next)) = stack.pop() {
            if next == 0 {
                if self.state[at] == State::Done {
                    continue;
                }
                self.state[at] = State::Open;
            }
            let requires = &self.set.flags[at].requires;
            if let Some(other) = requires.get(next).map(|requirement| requirement.flag as usize) {
                stack.push((at, next + 1));
                match self.state[other] {
                    State::New => stack.push((other, 0)),
                    State::Open => looped |= other == start,
                    State::Done => {}
                }
            } else if self.state[at] != State::Done {
                self.state[at] = State::Done;
                self.rank[at] = self.sorted.len();
                self.sorted.push(at as u32);
            }
        }
        looped
    }
}

fn link_segments(segments: Vec<Arc<Segment>>, positions: &KeyMap<u32>) -> Vec<SegmentEntry> {
    let link = |segment: Arc<Segment>| {
        let known: Option<Box<[u32]>> = segment.segments.iter().map(|key| positions.get(&**key).copied()).collect();
        SegmentEntry { broken: known.is_none(), segments: known.unwrap_or_default(), segment }
    };
    let mut linked: Vec<_> = segments.into_iter().map(link).collect();
    let deep = too_deep(&linked);
    for (entry, deep) in linked.iter_mut().zip(deep) {
        entry.broken |= deep;
    }
    linked
}

/// Which segments refer to others below the allowed depth, as all do that lead into a cycle. Each
/// round looks one level further at every reference once, however many paths there are.
fn too_deep(linked: &[SegmentEntry]) -> Vec<bool> {
    let mut goes_on = vec![true; linked.len()];
    for _ in 0..=limits::SEGMENT_DEPTH {
        goes_on = linked.iter().map(|entry| entry.segments.iter().any(|at| goes_on[*at as usize])).collect();
    }
    goes_on
}
