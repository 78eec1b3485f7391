//! A channel as it is written: the one JSON form of files, API and export.

use super::version::{Point, Step};
use crate::flag::condition::VersionRange;
use crate::flag::serve::read_instant;
use crate::flag::wire::About;
use crate::id::check_key;
use crate::json::{At, Fields, Lines, Node, Problems, boolean, elements, integer, one_of, text};
use crate::limits;
use crate::time::Instant;
use std::cmp::Ordering;

mod mark;
mod release;
mod store;
mod table;
mod write;

pub use mark::{Blocked, Builds, Mark};
pub use release::{Bundle, Release, SameAs, Staging};
pub use store::{ANYWHERE, SOURCES, Served, Source, StoreUrl, read_storefront};
pub use table::{DEFAULT_LOCALE, Table, Text, Texts};

/// The platform a channel serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "known by these names")]
pub enum Platform {
    Ios,
    Android,
    Web,
    Macos,
    Windows,
    Linux,
    Tvos,
    Watchos,
    Visionos,
}

/// Every platform by its word.
pub(super) const PLATFORMS: [(&str, Platform); 9] = [
    ("ios", Platform::Ios),
    ("android", Platform::Android),
    ("web", Platform::Web),
    ("macos", Platform::Macos),
    ("windows", Platform::Windows),
    ("linux", Platform::Linux),
    ("tvos", Platform::Tvos),
    ("watchos", Platform::Watchos),
    ("visionos", Platform::Visionos),
];

impl Platform {
    /// Reads the word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        PLATFORMS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim())).map(|(_, platform)| *platform)
    }

    /// Whether its store is Apple's.
    fn is_apple(self) -> bool {
        matches!(self, Self::Ios | Self::Macos | Self::Tvos | Self::Watchos | Self::Visionos)
    }
}

/// How urgent a newer version is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nobody is told.
    #[default]
    None,
    /// People are told, and may put it off.
    Recommended,
    /// Nobody may go on without it.
    Required,
}

const URGENCIES: [(&str, Urgency); 3] =
    [("none", Urgency::None), ("recommended", Urgency::Recommended), ("required", Urgency::Required)];

/// How urgent a newer version is by how far it is away; never less urgent when it is further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Another first part.
    pub major: Urgency,
    /// Another second part.
    pub minor: Urgency,
    /// Any other difference.
    pub patch: Urgency,
}

impl Policy {
    /// What holds for a step.
    pub fn of(self, step: Step) -> Urgency {
        match step {
            Step::Major => self.major,
            Step::Minor => self.minor,
            Step::Patch => self.patch,
        }
    }

    /// A step that is not named is as urgent as the next smaller one.
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let urgency = |node: &Node<'_>, at: &At<'_>, problems: &mut Problems| one_of(node, &URGENCIES, at, problems);
        let (major, minor) = (object.optional("major", urgency), object.optional("minor", urgency));
        let patch = object.optional("patch", urgency).unwrap_or_default();
        object.finish();
        let new = Self { patch, minor: minor.unwrap_or(patch), major: major.or(minor).unwrap_or(patch) };
        for (name, is_milder, other) in
            [("minor", new.minor < new.patch, "patch"), ("major", new.major < new.minor, "minor")]
        {
            if is_milder {
                let detail = format!("must not be milder than `{other}`: who is further behind would be let off");
                problems.add(&at.member(name), detail);
            }
        }
        Some(new)
    }
}

/// Who may use a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Targeting keys.
    pub units: Vec<String>,
    /// Keys of segments.
    pub segments: Vec<String>,
}

impl Audience {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        const UNITS: Lines = Lines { count: limits::AUDIENCE, length: limits::KEY_LENGTH * 2 };
        const SEGMENTS: Lines = Lines { count: limits::TAGS, length: limits::KEY_LENGTH };
        let mut object = Object::open(node, at, problems)?;
        let units = object.optional("units", |node, at, problems| Some(UNITS.read(node, at, problems)));
        let segments = object.optional("segments", |node, at, problems| {
            let keys = SEGMENTS.read(node, at, problems);
            for (index, key) in keys.iter().enumerate() {
                if let Err(error) = check_key(key) {
                    problems.add(&at.element(index), error.to_string());
                }
            }
            Some(keys)
        });
        object.finish();
        Some(Self { units: units.unwrap_or_default(), segments: segments.unwrap_or_default() })
    }
}

/// A time in which the app is not to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// When it begins; at once when absent.
    pub start: Option<Instant>,
    /// When it ends, later than `start`.
    pub end: Instant,
    /// What people are told, by locale.
    pub texts: Table<Text>,
}

impl Maintenance {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let start = object.optional("start", read_instant);
        let end = object.required("end", read_instant);
        let texts = object.optional("texts", Table::read_texts).unwrap_or_default();
        object.finish();
        let end = end?;
        if start.is_some_and(|start| end <= start) {
            problems.add(&at.member("end"), "must be later than `start`");
        }
        Some(Self { start, end, texts })
    }
}

/// The track that an app's people are on unless they are on another.
pub const PRODUCTION: &str = "production";
/// Seconds after which a look-up of a store says nothing any more, unless a channel says otherwise.
pub const STALE_AFTER: i64 = 7 * 86_400;

/// A channel: the versions of one app on one platform and track, and who must update.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDocument {
    /// What it is for and who looks after it.
    pub about: About,
    /// The app: bundle id or package name. Any app's when absent.
    pub app: Option<String>,
    /// The platform.
    pub platform: Platform,
    /// The track.
    pub track: String,
    /// Who may use the track; everybody when absent.
    pub audience: Option<Audience>,
    /// When false the gate is silent.
    pub enabled: bool,
    /// Seeds the buckets of staged releases. Random at creation.
    pub salt: Option<String>,
    /// Who is below must update.
    pub minimum: Option<Mark>,
    /// Who is below is told to update.
    pub recommended: Option<Mark>,
    /// How urgent a newer version is by how far it is away.
    pub policy: Policy,
    /// Versions that must not run.
    pub blocked: Vec<Blocked>,
    /// Where the update is to be had.
    pub store_url: Option<StoreUrl>,
    /// What there is to update to, by name.
    pub releases: Table<Release>,
    /// Code that is delivered over the air into binaries that fit, by name.
    pub bundles: Table<Bundle>,
    /// Seconds for which a person who put an update off is left alone.
    pub remind_after: Option<i64>,
    /// How often a person may put an update off; as often as they like when absent.
    pub snoozes: Option<i64>,
    /// What people are told, by action and locale.
    pub texts: Texts,
    /// When the app is not to be used.
    pub maintenance: Option<Maintenance>,
    /// Seconds after which a look-up of a store says nothing any more.
    pub stale_after: Option<i64>,
}

impl ChannelDocument {
    /// Reads a channel, noting every fault. `warnings`, which answers to writes carry, is passed over.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let about = About::read(&mut object.fields, at, object.problems);
        let line = |limit| move |node: &Node<'_>, at: &At<'_>, problems: &mut Problems| line(node, limit, at, problems);
        let span = |node: &Node<'_>, at: &At<'_>, problems: &mut Problems| {
            integer(node, 0..=limits::SPAN_SECONDS, at, problems)
        };
        let platform = object.required("platform", |node, at, problems| one_of(node, &PLATFORMS, at, problems));
        let new = Self {
            about,
            app: object.optional("app", line(limits::APP_LENGTH)),
            platform: platform.unwrap_or(Platform::Web),
            track: object.optional("track", read_key).unwrap_or_else(|| PRODUCTION.to_owned()),
            audience: object.optional("audience", Audience::read),
            enabled: object.optional("enabled", boolean).unwrap_or(true),
            salt: object.optional("salt", line(limits::KEY_LENGTH)),
            minimum: object.optional("minimum", Mark::read),
            recommended: object.optional("recommended", Mark::read),
            policy: object.optional("policy", Policy::read).unwrap_or_default(),
            blocked: object.optional("blocked", read_blocked).unwrap_or_default(),
            store_url: object.optional("storeUrl", StoreUrl::read),
            releases: object.optional("releases", Release::read_all).unwrap_or_default(),
            bundles: object.optional("bundles", Bundle::read_all).unwrap_or_default(),
            remind_after: object.optional("remindAfter", span),
            snoozes: object
                .optional("snoozes", |node, at, problems| integer(node, 0..=limits::SPAN_SECONDS, at, problems)),
            texts: object.optional("texts", Texts::read).unwrap_or_default(),
            maintenance: object.optional("maintenance", Maintenance::read),
            stale_after: object.optional("staleAfter", span),
        };
        object.fields.optional("warnings");
        object.finish();
        platform?;
        new.contradictions(at, problems);
        Some(new)
    }

    /// Notes what cannot hold together.
    fn contradictions(&self, at: &At<'_>, problems: &mut Problems) {
        let point = |mark: &'_ Option<Mark>| mark.as_ref().map(|mark| mark.point().into());
        let marks: [Option<super::version::OwnedPoint>; 2] = [point(&self.recommended), point(&self.minimum)];
        if let [Some(recommended), Some(minimum)] = &marks
            && recommended.get().is_below(&minimum.get())
        {
            problems.add(&at.member("recommended"), "is below `minimum`: nobody could be told");
        }
        let releases = at.member("releases");
        for (index, (key, release)) in self.releases.iter().enumerate() {
            let at = releases.member(key);
            let here = release.point(key);
            let same =
                |(other, earlier): &&(String, Release)| earlier.point(other).compare(&here) == Some(Ordering::Equal);
            if let Some((other, _)) = self.releases.iter().take(index).find(same) {
                problems.add(&at, format!("cannot be told from `{other}`: same version, and no other `build`"));
            }
            if release.required && self.blocks(&here).is_some() {
                problems.add(&at.member("required"), "this version is `blocked`: nobody can be required to run it");
            }
            for (name, given, fits, store) in [
                ("phasedSince", release.phased_since.is_some(), self.platform.is_apple(), "Apple's App Store"),
                ("storeShare", release.store_share.is_some(), self.platform == Platform::Android, "Google Play"),
            ] {
                if given && !fits {
                    problems.add(&at.member(name), format!("only {store} has this"));
                }
            }
        }
    }

    /// The position of the blocked range that a version is in.
    pub fn blocks(&self, point: &Point<'_>) -> Option<usize> {
        self.blocked.iter().position(|blocked| blocked.contains(point))
    }
}

fn read_blocked(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Vec<Blocked>> {
    let list = elements(node, limits::BLOCKED, at, problems)?;
    let read = |(index, node)| Blocked::read(node, &at.element(index), problems);
    Some(list.iter().enumerate().filter_map(read).collect())
}

/// An object whose members are read one by one.
struct Object<'n, 'a, 'p> {
    fields: Fields<'n, 'a>,
    at: &'p At<'p>,
    problems: &'p mut Problems,
}

impl<'n, 'a, 'p> Object<'n, 'a, 'p> {
    fn open(node: &'n Node<'a>, at: &'p At<'p>, problems: &'p mut Problems) -> Option<Self> {
        Some(Self { fields: Fields::open(node, at, problems)?, at, problems })
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'n Node<'a>, &At<'_>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let node = self.fields.optional(name)?;
        read(node, &self.at.member(name), self.problems)
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'n Node<'a>, &At<'_>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let node = self.fields.required(name, self.at, self.problems)?;
        read(node, &self.at.member(name), self.problems)
    }

    fn finish(self) {
        self.fields.finish(self.at, self.problems);
    }
}

/// A text of at least one byte.
fn line(node: &Node<'_>, limit: usize, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let text = text(node, limit, at, problems)?;
    if text.is_empty() {
        problems.add(at, "must not be empty");
    }
    Some(text.to_owned())
}

fn read_key(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let key = text(node, limits::KEY_LENGTH, at, problems)?;
    if let Err(error) = check_key(key) {
        problems.add(at, error.to_string());
    }
    Some(key.to_owned())
}

fn read_range(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<VersionRange> {
    VersionRange::read(node, at, problems)
}
