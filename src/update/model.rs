//! Compiled channels: private types that only [`super::compile`] makes and only [`super::decide`]
//! walks.

use super::texts::Localized;
use super::version::{OwnedPoint, Point};
use super::wire::{ANYWHERE, Blocked, Platform, Policy, SameAs, Served, Source, Table};
use crate::bucketing::{BUCKETS, Seed};
use crate::flag::condition::{OwnedVersion, VersionRange};
use crate::flag::serve::Share;
use crate::flag::{Context, FlagSet, Kills, Scratch, Slot};
use crate::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// A channel on its own; shared between the sets of successive versions while its text is the same.
#[derive(Debug)]
pub(super) struct Channel {
    /// Hash of the text and the revision it was compiled from.
    pub source: u64,
    /// `"channel":…,"revision":…`
    pub head: Box<str>,
    pub app: Option<String>,
    pub platform: Platform,
    pub track: String,
    pub audience: Option<Audience>,
    pub enabled: bool,
    pub minimum: Option<OwnedPoint>,
    pub recommended: Option<OwnedPoint>,
    pub policy: Policy,
    pub blocked: Vec<Blocked>,
    /// Newest first.
    pub releases: Vec<Release>,
    /// Newest first.
    pub bundles: Vec<Bundle>,
    /// Storefronts, and URLs as JSON strings.
    pub store_urls: Table<String>,
    /// In the order of [`TextOf`].
    pub texts: [Localized; 4],
    /// Milliseconds.
    pub remind_after: Option<i64>,
    pub snoozes: Option<i64>,
    pub maintenance: Option<Maintenance>,
    /// Milliseconds.
    pub stale_after: i64,
    /// Keys of the segments and flags that are referred to by number.
    pub segments: Vec<String>,
    pub flags: Vec<SameAs>,
    /// What it takes in memory, roughly.
    pub bytes: usize,
}

/// Positions in [`Channel::texts`].
#[derive(Clone, Copy, Debug)]
pub(super) enum TextOf {
    Recommended,
    Required,
    Blocked,
    Unsupported,
}

#[derive(Debug)]
pub(super) struct Audience {
    /// Sorted hashes of targeting keys.
    pub units: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Maintenance {
    pub start: Option<Instant>,
    pub end: Instant,
    pub texts: Localized,
}

#[derive(Debug)]
pub(super) struct Release {
    /// `"release":…,"version":…,"build":…`
    pub head: Box<str>,
    /// JSON pointer to it.
    pub pointer: Box<str>,
    pub point: OwnedPoint,
    pub minimum_os: Option<OwnedVersion>,
    pub required: bool,
    pub blocked: bool,
    pub released_at: Option<Instant>,
    pub deadline: Option<Instant>,
    pub admission: Admission,
    pub phased_since: Option<Instant>,
    /// Whether the store offers it to some devices alone, of its own choice.
    pub store_staged: bool,
    pub availability: Table<Served>,
    pub notes: Localized,
}

#[derive(Debug)]
pub(super) struct Bundle {
    pub key: String,
    /// `"key":…,"number":…,"url":…,"sha256":…`
    pub head: Box<str>,
    pub pointer: Box<str>,
    pub number: i64,
    pub binary: VersionRange,
    pub required: bool,
    pub withdrawn: bool,
    pub released_at: Option<Instant>,
    pub admission: Admission,
}

/// Who is offered something.
#[derive(Debug)]
pub(super) struct Admission {
    pub seed: Seed,
    pub to: To,
}

#[derive(Debug)]
pub(super) enum To {
    All,
    Share(Share),
    /// Local number of a flag.
    SameAs(u16),
}

/// A channel with its references to flags and segments of the same snapshot.
#[derive(Debug)]
pub(super) struct Links {
    /// Positions of segments; a missing one has no members.
    pub segments: Vec<Option<u32>>,
    /// Positions of flags, with the variant, or that of `off`.
    pub flags: Vec<Option<(u32, u16)>>,
}

/// Whose gate it is: the context of one request beside the flags and kills of its environment.
#[derive(Debug)]
pub struct Who<'a> {
    /// The flags and segments of the gates' snapshot.
    pub flags: &'a FlagSet,
    /// The request's attributes, and the present.
    pub context: &'a Context<'a>,
    /// What is killed.
    pub kills: &'a Kills,
    /// Working memory.
    pub scratch: &'a mut Scratch,
}

impl Who<'_> {
    pub(super) fn now(&self) -> Instant {
        self.context.now()
    }

    /// Whether the unit is among the first so many buckets. One that is not known is in none but all.
    fn within(&self, buckets: u32, seed: Seed) -> bool {
        buckets >= BUCKETS || self.context.unit(Slot::TARGETING_KEY, |unit| seed.bucket(unit) < buckets) == Some(true)
    }

    pub(super) fn admitted(&mut self, admission: &Admission, links: &Links, channel: &Channel) -> bool {
        match &admission.to {
            To::All => true,
            To::Share(share) => self.within(share.at(self.now()), admission.seed),
            To::SameAs(number) => {
                let Some(Some((flag, variant))) = links.flags.get(usize::from(*number)) else { return false };
                let served = self.flags.evaluate(*flag, self.context, self.kills, self.scratch).variant();
                let named = channel.flags.get(usize::from(*number)).is_some_and(|same_as| same_as.variant.is_some());
                served.is_some_and(|served| (served == *variant) == named)
            }
        }
    }

    /// Whether prompts for a phased release have got as far as this unit.
    pub(super) fn in_phase(&self, release: &Release) -> bool {
        release.phased_since.is_none_or(|since| self.within(phase(since, self.now()), release.admission.seed))
    }

    pub(super) fn belongs(&mut self, audience: &Audience, links: &Links) -> bool {
        let listed = |unit: &[u8]| audience.units.binary_search(&xxh3_64(unit)).is_ok();
        self.context.unit(Slot::TARGETING_KEY, listed) == Some(true)
            || links.segments.iter().flatten().any(|segment| self.flags.belongs(*segment, self.context, self.scratch))
    }
}

/// The share that Apple's phased release has reached, in buckets: 1, 2, 5, 10, 20, 50 and 100 % on
/// its seven days. Source: App Store Connect Help, "Release a version update in phases".
fn phase(since: Instant, now: Instant) -> u32 {
    const PERCENT: [u32; 7] = [1, 2, 5, 10, 20, 50, 100];
    const DAY: i64 = 86_400_000;
    let day = now.millis().saturating_sub(since.millis()).div_euclid(DAY);
    let percent = usize::try_from(day).map_or(0, |day| PERCENT[day.min(6)]);
    percent * (BUCKETS / 100)
}

/// What is known of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stock {
    /// It serves the release.
    Yes,
    /// It does not.
    No,
    /// It offers it to some devices, and nobody can say whether to this one.
    Staged,
    /// Nobody knows, or who knows is not to be relied on, or it was long ago.
    Unknown,
}

impl Release {
    /// Whether the store serves the release. `offer` is what it offers this very device.
    pub(super) fn stock(&self, storefront: &str, offer: &Point<'_>, stale_after: i64, now: Instant) -> Stock {
        if let Some(order) = self.point.get().compare(offer) {
            return if order.is_le() { Stock::Yes } else { Stock::No };
        }
        let Some(known) = by_storefront(&self.availability, storefront) else {
            return if self.store_staged { Stock::Staged } else { Stock::Unknown };
        };
        let age = known.observed_at.map_or(0, |at| now.millis().saturating_sub(at.millis()));
        match known.source {
            Source::ClientReport => Stock::Unknown,
            Source::Lookup if age > stale_after => Stock::Unknown,
            _ if !known.served => Stock::No,
            _ if self.store_staged => Stock::Staged,
            _ => Stock::Yes,
        }
    }
}

/// What is said of a storefront, or of any.
pub(super) fn by_storefront<'t, T>(table: &'t Table<T>, storefront: &str) -> Option<&'t T> {
    let named = |name: &str| table.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    named(storefront.trim()).or_else(|| named(ANYWHERE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apples_phases_are_those_of_its_manual() {
        const DAY: i64 = 86_400_000;
        let at = |day: i64| phase(Instant::from_millis(0), Instant::from_millis(day * DAY)) / 1_000;
        assert_eq!([-1, 0, 1, 2, 3, 4, 5, 6, 7, 400].map(at), [0, 1, 2, 5, 10, 20, 50, 100, 100, 100]);
        assert_eq!(phase(Instant::from_millis(i64::MAX), Instant::from_millis(i64::MIN)), 0);
    }
}
