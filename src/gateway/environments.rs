//! The environments that an isolate holds: their pointers and snapshots, how old they are, and
//! what must be read before a request can be answered.

use crate::flag::Kills;
use crate::limits;
use crate::snapshot::{Pointer, Snapshot};
use crate::time::Instant;
use std::collections::HashMap;

/// A pointer younger than this is used without a thought, and this is the pace of readings, ms.
const SOFT_AGE: i64 = 1_000;
/// A pointer older than this is waited for, milliseconds.
const HARD_AGE: i64 = 4_000;
/// A background read that has not answered for so long is tried again, milliseconds.
const RETRY: i64 = 2_000;
/// When a pointer was asked for that came from a copy.
const UNKNOWN: Instant = Instant::from_millis(0);
/// A question without an answer for so long will hardly have one soon, milliseconds: whoever comes
/// then goes on with what is here.
const SILENCE: i64 = 500;
/// After a failed read nobody waits for the next for so long, milliseconds: longer than the pace of
/// attempts, so that a busy isolate never waits while the control plane is away.
const FAILURE: i64 = 3_000;
/// How long an environment that is not there is remembered as such at first, milliseconds; each time
/// it is still not there the span doubles, so that made-up tokens cost next to no reads.
const ABSENCE: i64 = 3_000;
/// The longest span, milliseconds: an environment made anew under the same name is seen after it at the latest.
const LONGEST_ABSENCE: i64 = 60_000;
/// Absent environments remembered at most: anybody can make up tokens.
const ABSENCES: usize = 10_000;

/// What an isolate knows of one environment.
#[derive(Debug, Default)]
pub struct Held {
    pointer: Option<Pointer>,
    /// When the control plane was asked for the pointer: the only age that counts.
    read_at: i64,
    kills: Kills,
    snapshot: Option<Snapshot>,
    pointer_asked: i64,
    /// Since when a question has had neither answer nor failure.
    unanswered: Option<i64>,
    failed_at: Option<i64>,
    snapshot_asked: i64,
    /// When the snapshot in service was last known to be the newest: when that pointer was asked for.
    current_at: i64,
    used: u64,
    fault: Option<String>,
}

/// What a request has waited for already, each up to its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// For the pointer.
    pub pointer: bool,
    /// For the snapshot.
    pub snapshot: bool,
}

/// What the shell must read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The environment's pointer.
    Pointer,
    /// Its pointer, from a source that knows of this incarnation and sequence.
    PointerFrom(u64, u64),
    /// The snapshot of an incarnation and version.
    Snapshot(u64, u64),
    /// The same, while an older one is here to be served: nobody waits long for it.
    Newer(u64, u64),
}

/// Whether a request can be answered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It can; what to read in the background meanwhile.
    Ready(Option<Read>),
    /// It cannot before this has been read.
    Wait(Read),
    /// It cannot at all: everything that could be read is away.
    Away,
    /// There is no such environment.
    Absent,
}

/// All environments of an isolate, bounded in bytes; the one used longest ago goes first.
#[derive(Debug)]
pub struct Environments {
    held: HashMap<Box<str>, Held>,
    absent: HashMap<Box<str>, Absence>,
    clock: u64,
    capacity: usize,
}

/// An environment that was not there.
#[derive(Clone, Copy, Debug)]
struct Absence {
    until: i64,
    span: i64,
}

/// Why something that was read is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Something newer is here already.
    Older,
    /// It cannot be read.
    Fault(String),
}

impl Default for Environments {
    fn default() -> Self {
        // Old plus new plus text of the largest snapshot stay below the 96 MiB of wasm memory.
        Self { held: HashMap::new(), absent: HashMap::new(), clock: 0, capacity: 6 * limits::SNAPSHOT_BYTES }
    }
}

impl Environments {
    /// Bounds the cache, in bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Whether a request for the environment can be answered at `now`.
    pub fn freshness(&mut self, environment: &str, now: Instant, waited: Waited) -> Freshness {
        let now = now.millis();
        if self.absent.get(environment).is_some_and(|absence| absence.stands(now)) {
            return Freshness::Absent;
        }
        let Some(held) = self.held.get_mut(environment) else {
            return if waited.pointer { Freshness::Away } else { Freshness::Wait(Read::Pointer) };
        };
        self.clock += 1;
        held.used = self.clock;
        held.freshness(now, waited)
    }

    /// As [`Environments::freshness`] for a request that was told of a place in the order of pointers:
    /// it is answered from nothing older, as long as that can be had.
    pub fn reaching(&mut self, environment: &str, told: (u64, u64), now: Instant, waited: Waited) -> Freshness {
        let reached = self.held.get_mut(environment).and_then(|held| held.reach(told, now.millis(), waited));
        match reached.unwrap_or_else(|| self.freshness(environment, now, waited)) {
            Freshness::Wait(Read::Pointer) => Freshness::Wait(Read::PointerFrom(told.0, told.1)),
            freshness => freshness,
        }
    }

    /// What is known of an environment.
    pub fn get(&self, environment: &str) -> Option<&Held> {
        self.held.get(environment)
    }

    /// Every environment held, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Held)> {
        self.held.iter().map(|(name, held)| (&**name, held))
    }

    /// Takes a pointer that was asked for at `read_at`. A lower one never replaces a higher.
    pub fn accept_pointer(&mut self, environment: &str, pointer: Pointer, read_at: Instant) -> Result<(), Declined> {
        self.absent.remove(environment);
        let held = self.held.entry(environment.into()).or_default();
        held.unanswered = None;
        let read_at = read_at.millis();
        match &held.pointer {
            Some(known) if pointer.order() < known.order() => Err(Declined::Older),
            Some(known) if pointer.order() == known.order() => {
                held.read_at = held.read_at.max(read_at);
                held.failed_at = None;
                Ok(())
            }
            _ => {
                held.failed_at = None;
                held.kills = pointer.kills();
                held.read_at = held.read_at.max(read_at);
                held.pointer = Some(pointer);
                Ok(())
            }
        }
    }

    /// Takes a copy of the pointer, whose age nobody knows, in place of the control plane's answer.
    pub fn accept_copy(&mut self, environment: &str, pointer: Pointer, now: Instant) -> Result<(), Declined> {
        let taken = self.accept_pointer(environment, pointer, UNKNOWN);
        self.accept_failure(environment, now);
        taken
    }

    /// Takes a snapshot's text. One that cannot be read leaves the one before in service.
    pub fn accept_snapshot(&mut self, environment: &str, text: &str) -> Result<(), Declined> {
        let held = self.held.entry(environment.into()).or_default();
        let loaded = Snapshot::load(text, held.snapshot.as_ref()).map_err(|error| error.to_string());
        let taken = match loaded {
            Ok(new) if held.snapshot.as_ref().is_some_and(|known| new.order < known.order) => Err(Declined::Older),
            Ok(new) => {
                held.fault = None;
                held.snapshot = Some(new);
                Ok(())
            }
            Err(detail) => {
                held.fault = Some(detail.clone());
                Err(Declined::Fault(detail))
            }
        };
        self.evict(environment);
        taken
    }

    /// Remembers for a while that an environment is not there.
    pub fn accept_absence(&mut self, environment: &str, now: Instant) {
        if self.held.get(environment).is_some_and(|held| held.snapshot.is_some()) {
            return;
        }
        if self.absent.len() >= ABSENCES {
            self.absent.clear();
        }
        self.held.remove(environment);
        let span = self.absent.get(environment).map_or(ABSENCE, |known| (known.span * 2).min(LONGEST_ABSENCE));
        self.absent.insert(environment.into(), Absence { until: now.millis() + span, span });
    }

    /// Takes note that a read has failed: for a while nobody waits for the next.
    pub fn accept_failure(&mut self, environment: &str, now: Instant) {
        if let Some(held) = self.held.get_mut(environment) {
            held.failed_at = Some(now.millis());
            held.unanswered = None;
        }
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        self.held.values().map(Held::bytes).sum()
    }

    fn evict(&mut self, keep: &str) {
        while self.bytes() > self.capacity && self.held.len() > 1 {
            let others = self.held.iter().filter(|(name, _)| ***name != *keep);
            let Some(oldest) = others.min_by_key(|(_, held)| held.used).map(|(name, _)| name.clone()) else { return };
            self.held.remove(&oldest);
        }
    }
}

impl Absence {
    fn stands(self, now: i64) -> bool {
        // A clock that ran backwards ends it.
        (self.until - self.span..self.until).contains(&now)
    }
}

impl Held {
    fn freshness(&mut self, now: i64, waited: Waited) -> Freshness {
        let Some(pointer) = &self.pointer else {
            return if waited.pointer { Freshness::Away } else { Freshness::Wait(Read::Pointer) };
        };
        let order = (pointer.incarnation, pointer.version);
        let Some(snapshot) = &self.snapshot else {
            let read = Read::Snapshot(order.0, order.1);
            return if waited.snapshot { Freshness::Away } else { Freshness::Wait(read) };
        };
        // A clock that ran backwards makes the pointer neither old nor young: its age is forgotten,
        // else no reading by the new clock would ever count, and every request would wait.
        if self.read_at - now > HARD_AGE {
            self.read_at = 0;
        }
        let age = now - self.read_at;
        let just_failed = self.failed_at.is_some_and(|at| (now - at).abs() < FAILURE);
        let silent = self.unanswered.is_some_and(|since| (SILENCE..FAILURE).contains(&(now - since)));
        if age.abs() > HARD_AGE && !waited.pointer && !just_failed && !silent {
            self.asks(now);
            return Freshness::Wait(Read::Pointer);
        }
        if snapshot.order < order {
            let asked = (now - self.snapshot_asked).abs();
            let read = Read::Newer(order.0, order.1);
            // What is here was superseded nobody knows how long ago: serving it would show a change only
            // to whoever comes next. On a busy isolate the newer one is here before that.
            let hopeful = self.fault.is_none() && !just_failed && !(SILENCE..=RETRY).contains(&asked);
            if (now - self.current_at).abs() > HARD_AGE && !waited.snapshot && hopeful {
                self.snapshot_asked = now;
                return Freshness::Wait(read);
            }
            // What was waited for in vain is read on behind the answer.
            if asked > RETRY || waited.snapshot {
                self.snapshot_asked = now;
                return Freshness::Ready(Some(read));
            }
        } else {
            self.current_at = self.read_at;
        }
        // What comes out of the location's cache may be old already: the pace counts, not the age.
        let pace = if self.unanswered.is_none() { SOFT_AGE } else { RETRY };
        let due = age > SOFT_AGE + self.jitter() && (now - self.pointer_asked).abs() > pace;
        if due {
            self.asks(now);
        }
        Freshness::Ready(due.then_some(Read::Pointer))
    }

    /// What a request must wait for that was told of this place; nothing when it is reached.
    fn reach(&mut self, told: (u64, u64), now: i64, waited: Waited) -> Option<Freshness> {
        let pointer = self.pointer.as_ref()?;
        if pointer.order() < told {
            let failed = self.failed_at.is_some_and(|at| (now - at).abs() < FAILURE);
            return match (failed, waited.pointer) {
                (true, _) => Some(Freshness::Away),
                (false, false) => {
                    self.asks(now);
                    Some(Freshness::Wait(Read::Pointer))
                }
                // The control plane does not know it: it was made up, or went with a lost storage.
                (false, true) => None,
            };
        }
        let newest = (pointer.incarnation, pointer.version);
        let behind = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.order < newest);
        let wait = if waited.snapshot { Freshness::Away } else { Freshness::Wait(Read::Newer(newest.0, newest.1)) };
        behind.then_some(wait)
    }

    /// The place in the order of pointers that answers have reached; the lowest while a snapshot is
    /// awaited.
    pub fn position(&self) -> (u64, u64) {
        let newest = self.pointer.as_ref().map(|pointer| (pointer.order(), (pointer.incarnation, pointer.version)));
        let reached =
            newest.filter(|(_, version)| self.snapshot.as_ref().is_some_and(|snapshot| snapshot.order >= *version));
        reached.map_or((0, 0), |(order, _)| order)
    }

    fn asks(&mut self, now: i64) {
        self.pointer_asked = now;
        self.unanswered = self.unanswered.filter(|since| now - since < FAILURE).or(Some(now));
    }

    /// 0 to 255 milliseconds, different from one reading to the next, so that isolates which
    /// started together do not ask together.
    fn jitter(&self) -> i64 {
        (self.read_at.wrapping_mul(0x9e37_79b9) >> 8) & 0xff
    }

    /// The snapshot in service.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// What is killed.
    pub fn kills(&self) -> &Kills {
        &self.kills
    }

    /// Milliseconds since the control plane was asked for the pointer, when that is longer than a
    /// request would wait for.
    pub fn staleness(&self, now: Instant) -> Option<u64> {
        let age = now.millis() - self.read_at;
        u64::try_from(age).ok().filter(|_| age > HARD_AGE)
    }

    /// Whether nobody knows how old the pointer is.
    pub fn is_of_unknown_age(&self) -> bool {
        self.read_at == UNKNOWN.millis()
    }

    /// Whether the last read has failed.
    pub fn is_failing(&self) -> bool {
        self.failed_at.is_some()
    }

    /// Why the newest snapshot is not in service.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn bytes(&self) -> usize {
        500 + self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(sequence: u64, version: u64, killed: &[u32]) -> Pointer {
        Pointer { incarnation: 1, sequence, version, kill: false, killed: killed.to_vec() }
    }

    fn snapshot(version: u64) -> String {
        format!(r#"{{"format":1,"incarnation":1,"version":{version}}}"#)
    }

    const WAITED: Waited = Waited { pointer: true, snapshot: false };

    const fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }

    fn loaded() -> Environments {
        let mut all = Environments::default();
        assert_eq!(all.freshness("p/e", at(0), Waited::default()), Freshness::Wait(Read::Pointer));
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(0)).expect("taken");
        assert_eq!(all.freshness("p/e", at(0), WAITED), Freshness::Wait(Read::Snapshot(1, 1)));
        all.accept_snapshot("p/e", &snapshot(1)).expect("taken");
        all
    }

    #[test]
    fn a_young_pointer_serves_an_older_one_is_refreshed_behind_an_old_one_waited_for() {
        let mut all = loaded();
        assert_eq!(all.freshness("p/e", at(1_000), Waited::default()), Freshness::Ready(None));
        assert_eq!(all.freshness("p/e", at(2_500), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(2_600), Waited::default()), Freshness::Ready(None), "one read at a time");
        assert_eq!(all.freshness("p/e", at(5_600), Waited::default()), Freshness::Wait(Read::Pointer));
        assert_eq!(all.freshness("p/e", at(6_500), WAITED), Freshness::Ready(None), "after the bound it serves stale");
        assert_eq!(all.get("p/e").expect("held").staleness(at(6_500)), Some(6_500));
    }

    #[test]
    fn age_counts_from_the_question_and_not_from_the_answer() {
        let mut all = loaded();
        // The location's cache answers at 10 s with what was read at 7 s.
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(7_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(11_001), Waited::default()), Freshness::Wait(Read::Pointer));
        // A slow answer to an earlier question makes nothing younger.
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(2_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(11_001), Waited::default()), Freshness::Wait(Read::Pointer));
    }

    #[test]
    fn a_clock_that_ran_backwards_is_waited_for_once() {
        let mut all = loaded();
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(3_600_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(10_000), Waited::default()), Freshness::Wait(Read::Pointer));
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(10_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(10_100), Waited::default()), Freshness::Ready(None));
    }

    #[test]
    fn while_the_control_plane_is_away_nobody_waits_twice() {
        let mut all = loaded();
        assert_eq!(all.freshness("p/e", at(20_000), Waited::default()), Freshness::Wait(Read::Pointer));
        all.accept_failure("p/e", at(21_500));
        assert_eq!(all.freshness("p/e", at(21_600), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(22_700), Waited::default()), Freshness::Ready(None), "one read at a time");
        all.accept_failure("p/e", at(24_000));
        assert_eq!(all.freshness("p/e", at(24_900), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(28_000), Waited::default()), Freshness::Wait(Read::Pointer));
        // A copy is no answer of the control plane: the next request does not wait for another.
        all.accept_copy("p/e", pointer(1, 1, &[]), at(29_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(29_100), WAITED), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(29_200), Waited::default()), Freshness::Ready(None));
        assert_eq!(all.get("p/e").expect("held").staleness(at(29_200)), Some(29_200));
    }

    #[test]
    fn a_busy_isolate_does_not_wait_for_a_silent_control_plane_an_idle_one_does() {
        let mut all = loaded();
        assert_eq!(all.freshness("p/e", at(3_400), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(4_100), Waited::default()), Freshness::Ready(None));
        assert_eq!(all.freshness("p/e", at(5_500), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(5_600), Waited::default()), Freshness::Ready(None));
        assert_eq!(all.freshness("p/e", at(60_000), Waited::default()), Freshness::Wait(Read::Pointer));
    }

    #[test]
    fn a_pointer_that_is_old_on_arrival_is_read_again_at_the_pace_of_readings() {
        let mut all = loaded();
        assert_eq!(all.freshness("p/e", at(2_500), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        // The location's cache answers at once with what was read at 1 s.
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(1_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(3_500), Waited::default()), Freshness::Ready(None));
        assert_eq!(all.freshness("p/e", at(3_501), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        assert_eq!(all.freshness("p/e", at(4_900), Waited::default()), Freshness::Ready(None), "one read at a time");
    }

    #[test]
    fn a_lower_pointer_never_replaces_a_higher() {
        let mut all = loaded();
        all.accept_pointer("p/e", pointer(3, 2, &[7]), at(100)).expect("taken");
        assert_eq!(all.accept_pointer("p/e", pointer(2, 2, &[]), at(200)), Err(Declined::Older));
        assert!(all.get("p/e").expect("held").kills().covers(7));
    }

    #[test]
    fn until_the_new_snapshot_is_here_the_old_one_serves_with_the_new_kills() {
        let mut all = loaded();
        all.accept_pointer("p/e", pointer(2, 2, &[7]), at(3_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(3_000), Waited::default()), Freshness::Ready(Some(Read::Newer(1, 2))));
        let held = all.get("p/e").expect("held");
        assert_eq!(held.snapshot().map(Snapshot::version), Some(1));
        assert!(held.kills().covers(7));
        assert!(matches!(all.accept_snapshot("p/e", "{"), Err(Declined::Fault(_))));
        assert!(all.get("p/e").expect("held").fault().is_some());
        all.accept_snapshot("p/e", &snapshot(2)).expect("taken");
        assert_eq!(all.accept_snapshot("p/e", &snapshot(1)), Err(Declined::Older));
        assert_eq!(all.get("p/e").expect("held").fault(), None);
    }

    #[test]
    fn after_a_silence_requests_wait_for_the_new_snapshot() {
        let mut all = loaded();
        assert_eq!(all.freshness("p/e", at(60_000), Waited::default()), Freshness::Wait(Read::Pointer));
        all.accept_pointer("p/e", pointer(2, 2, &[]), at(60_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(60_010), WAITED), Freshness::Wait(Read::Newer(1, 2)));
        assert_eq!(
            all.freshness("p/e", at(60_110), Waited::default()),
            Freshness::Wait(Read::Newer(1, 2)),
            "as do those"
        );
        let both = Waited { snapshot: true, ..WAITED };
        all.accept_failure("p/e", at(61_700));
        assert_eq!(all.freshness("p/e", at(61_700), both), Freshness::Ready(Some(Read::Newer(1, 2))), "up to a bound");
        assert_eq!(all.freshness("p/e", at(61_800), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
        all.accept_pointer("p/e", pointer(2, 2, &[]), at(62_300)).expect("taken");
        assert!(all.accept_snapshot("p/e", "{").is_err());
        assert_eq!(all.freshness("p/e", at(63_800), Waited::default()), Freshness::Ready(Some(Read::Newer(1, 2))));
    }

    #[test]
    fn while_the_old_snapshot_was_the_newest_seconds_ago_nobody_waits() {
        let mut all = loaded();
        all.accept_pointer("p/e", pointer(1, 1, &[]), at(10_000)).expect("taken");
        assert_eq!(all.freshness("p/e", at(10_500), Waited::default()), Freshness::Ready(None));
        all.accept_pointer("p/e", pointer(2, 2, &[]), at(11_500)).expect("taken");
        assert_eq!(all.freshness("p/e", at(11_600), Waited::default()), Freshness::Ready(Some(Read::Newer(1, 2))));
        assert_eq!(all.freshness("p/e", at(13_000), Waited::default()), Freshness::Ready(Some(Read::Pointer)));
    }

    #[test]
    fn whoever_was_told_of_a_change_gets_nothing_older() {
        let mut all = loaded();
        let told = |all: &mut Environments, order, now, waited| all.reaching("p/e", order, at(now), waited);
        let both = Waited { pointer: true, snapshot: true };
        assert_eq!(told(&mut all, (1, 1), 100, Waited::default()), Freshness::Ready(None));
        assert_eq!(all.get("p/e").expect("held").position(), (1, 1));
        let wait = Freshness::Wait(Read::PointerFrom(1, 2));
        assert_eq!(told(&mut all, (1, 2), 100, Waited::default()), wait, "however young the pointer is");
        all.accept_pointer("p/e", pointer(2, 2, &[]), at(100)).expect("taken");
        assert_eq!(all.get("p/e").expect("held").position(), (0, 0), "version 2 is not here yet");
        assert_eq!(told(&mut all, (1, 2), 150, WAITED), Freshness::Wait(Read::Newer(1, 2)));
        assert_eq!(told(&mut all, (1, 2), 200, both), Freshness::Away, "rather nothing than the old");
        all.accept_snapshot("p/e", &snapshot(2)).expect("taken");
        assert_eq!(told(&mut all, (1, 2), 200, both), Freshness::Ready(None));
        assert_eq!(told(&mut all, (9, 9), 200, WAITED), Freshness::Ready(None), "nobody knows of it: made up");
        all.accept_failure("p/e", at(300));
        assert_eq!(told(&mut all, (1, 3), 300, WAITED), Freshness::Away);
        assert_eq!(told(&mut all, (1, 3), 400, Waited::default()), Freshness::Away, "nobody waits twice");
        assert_eq!(all.reaching("p/new", (1, 3), at(0), Waited::default()), Freshness::Wait(Read::PointerFrom(1, 3)));
    }

    #[test]
    fn absent_environments_are_remembered_for_a_while() {
        let mut all = Environments::default();
        all.accept_absence("made/up", at(0));
        assert_eq!(all.freshness("made/up", at(2_999), Waited::default()), Freshness::Absent);
        assert_eq!(all.freshness("made/up", at(3_000), Waited::default()), Freshness::Wait(Read::Pointer));
        all.accept_absence("made/up", at(3_000));
        assert_eq!(all.freshness("made/up", at(8_999), Waited::default()), Freshness::Absent, "twice as long");
        assert_eq!(all.freshness("made/up", at(9_000), Waited::default()), Freshness::Wait(Read::Pointer));
        assert_eq!(all.freshness("made/up", at(2_000), Waited::default()), Freshness::Wait(Read::Pointer), "backwards");
        all.accept_pointer("made/up", pointer(1, 1, &[]), at(9_100)).expect("it is there now");
        assert_eq!(all.freshness("made/up", at(9_100), WAITED), Freshness::Wait(Read::Snapshot(1, 1)));
        assert_eq!(all.freshness("other/one", at(0), WAITED), Freshness::Away);
    }

    #[test]
    fn the_environment_used_longest_ago_goes_first() {
        let mut one = Environments::default();
        one.accept_pointer("a", pointer(1, 1, &[]), at(0)).expect("taken");
        one.accept_snapshot("a", &snapshot(1)).expect("taken");
        let mut all = Environments::with_capacity(2 * one.bytes());
        for (name, now) in [("a", 0), ("b", 1)] {
            all.accept_pointer(name, pointer(1, 1, &[]), at(now)).expect("taken");
            all.accept_snapshot(name, &snapshot(1)).expect("taken");
            all.freshness(name, at(now), Waited::default());
        }
        all.freshness("a", at(2), Waited::default());
        all.accept_pointer("c", pointer(1, 1, &[]), at(3)).expect("taken");
        all.accept_snapshot("c", &snapshot(1)).expect("taken");
        assert!(all.get("a").is_some() && all.get("b").is_none() && all.get("c").is_some());
    }
}
