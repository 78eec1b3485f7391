//! Buckets: which of 100,000 slots a unit falls into, and what its slot means.
//!
//! The algorithm is public, so that another implementation can put the same unit into the same
//! bucket; `tests/conformance/bucketing.json` holds vectors.
//!
//! 1. A flag's salt gives two seeds: `XXH3-64("<salt>/share")` and `XXH3-64("<salt>/variant")`.
//! 2. A unit's hash is `XXH3-64` of its UTF-8 bytes with such a seed.
//! 3. The slot among `n` is `floor(hash * n / 2^64)`: no modulo bias, no floating point.
//!
//! XXH3 is specified at <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>. The
//! share and the variant have independent seeds, so that widening a share adds units and moves
//! nobody between variants.

use crate::time::Instant;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Slots of a share: one is a thousandth of a percent.
pub const BUCKETS: u32 = 100_000;

/// The two seeds of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// Decides whether a unit takes part.
    pub share: Seed,
    /// Decides which variant it gets.
    pub variant: Seed,
}

/// Where a family of buckets begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seeds {
    /// The seeds of a salt.
    pub fn new(salt: &str) -> Self {
        let mut text = String::with_capacity(salt.len() + 8);
        let mut seed = |purpose: &str| {
            text.clear();
            text.extend([salt, "/", purpose]);
            Seed(xxh3_64(text.as_bytes()))
        };
        Self { share: seed("share"), variant: seed("variant") }
    }
}

impl Seed {
    /// The hash of a unit.
    pub fn hash(self, unit: &[u8]) -> u64 {
        xxh3_64_with_seed(unit, self.0)
    }

    /// The slot of a unit among `slots`, 0..slots.
    pub fn slot(self, unit: &[u8], slots: u32) -> u32 {
        scale(self.hash(unit), slots)
    }

    /// The bucket of a unit, 0..[`BUCKETS`].
    pub fn bucket(self, unit: &[u8]) -> u32 {
        self.slot(unit, BUCKETS)
    }
}

/// `floor(hash * slots / 2^64)` in two 64-bit products, because wasm has no 128-bit one.
#[allow(clippy::cast_possible_truncation, reason = "the quotient is below `slots`")]
fn scale(hash: u64, slots: u32) -> u32 {
    let slots = u64::from(slots);
    let high = (hash >> 32) * slots;
    let low = (hash & 0xffff_ffff) * slots;
    ((high + (low >> 32)) >> 32) as u32
}

/// A linear move of a share over time, in buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Buckets until `start`.
    pub from: u32,
    /// Buckets from `end` on.
    pub to: u32,
    /// When it begins.
    pub start: Instant,
    /// When it ends; later than `start`.
    pub end: Instant,
}

impl Ramp {
    /// The share at an instant, in buckets: a pure function of the clock.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lies between `from` and `to`")]
    pub fn at(&self, now: Instant) -> u32 {
        if now <= self.start {
            return self.from;
        }
        if now >= self.end {
            return self.to;
        }
        let span = i128::from(self.end.millis()) - i128::from(self.start.millis());
        let gone = i128::from(now.millis()) - i128::from(self.start.millis());
        let moved = (i128::from(self.to) - i128::from(self.from)) * gone / span;
        (i128::from(self.from) + moved) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_is_exact() {
        for hash in [0, 1, 0xffff_ffff, 1 << 32, 0x8000_0000_0000_0000, 0x1234_5678_9abc_def0, u64::MAX] {
            for slots in [1, 2, 3, 7, BUCKETS, 1_000_000, u32::MAX] {
                let exact = (u128::from(hash) * u128::from(slots)) >> 64;
                assert_eq!(u128::from(scale(hash, slots)), exact, "{hash} {slots}");
            }
        }
    }

    #[test]
    fn ramps_move_linearly_and_stop_at_their_ends() {
        let at = Instant::from_millis;
        let ramp = Ramp { from: 5_000, to: 25_000, start: at(1_000), end: at(2_000) };
        assert_eq!(ramp.at(at(0)), 5_000);
        assert_eq!(ramp.at(at(1_500)), 15_000);
        assert_eq!(ramp.at(at(9_000)), 25_000);
        let down = Ramp { from: 100, to: 0, start: at(0), end: at(i64::MAX) };
        assert_eq!(down.at(at(i64::MAX / 2)), 51);
    }
}
