//! Releases and over-the-air bundles as they are written.

use super::mark::{read_build, read_version};
use super::store::read_url;
use super::{Object, Served, Table, read_key, read_range};
use crate::flag::condition::{Version, VersionRange};
use crate::flag::serve::{Percent, Share, read_instant};
use crate::id::check_key;
use crate::json::{At, Node, Problems, boolean, integer, text};
use crate::limits;
use crate::time::Instant;
use crate::update::version::Point;

/// The people whom a flag serves a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameAs {
    /// The flag.
    pub flag: String,
    /// The variant; any but the flag's `off` when absent.
    pub variant: Option<String>,
}

impl SameAs {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let (flag, variant) = (object.required("flag", read_key), object.optional("variant", read_key));
        object.finish();
        Some(Self { flag: flag?, variant })
    }
}

/// Who is offered a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Staging {
    /// Everybody.
    #[default]
    All,
    /// A share of the units, by bucket.
    Share(Share),
    /// Those whom a flag serves a variant.
    SameAs(SameAs),
}

impl Staging {
    fn read(object: &mut Object<'_, '_, '_>) -> Self {
        let (share, same_as) = (object.optional("share", Share::read), object.optional("sameAs", SameAs::read));
        match (share, same_as) {
            (Some(_), Some(_)) => {
                object
                    .problems
                    .add(&object.at.member("sameAs"), "cannot stand beside `share`: which of the two holds?");
                Self::All
            }
            (Some(share), None) if share != Share::Fixed(Percent::ALL) => Self::Share(share),
            (_, Some(same_as)) => Self::SameAs(same_as),
            _ => Self::All,
        }
    }
}

fn is_key(key: &str) -> Option<String> {
    check_key(key).err().map(|error| format!("the key {error}"))
}

fn read_text(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    text(node, limits::TEXT_LENGTH, at, problems).map(str::to_owned)
}

/// A version that there is, or will be, in the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// What it brings, for colleagues.
    pub description: String,
    /// The version; the release's key when absent.
    pub version: Option<String>,
    /// The build's digits.
    pub build: Option<String>,
    /// The lowest version of the operating system that it runs on.
    pub minimum_os: Option<String>,
    /// Whether nobody may stay below it.
    pub required: bool,
    /// Before this it is not there.
    pub released_at: Option<Instant>,
    /// Until then it is recommended, from then on required.
    pub deadline: Option<Instant>,
    /// Who is offered it.
    pub staging: Staging,
    /// When Apple's phased release began: prompts keep its pace.
    pub phased_since: Option<Instant>,
    /// The share of devices to which Play offers it.
    pub store_share: Option<Percent>,
    /// What storefronts serve; kept from before when a write leaves it out.
    pub availability: Option<Table<Served>>,
    /// What it brings, for people, by locale.
    pub notes: Table<String>,
}

impl Release {
    /// Reads releases by key.
    pub(super) fn read_all(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Table<Self>> {
        Table::read(node, limits::RELEASES, (at, problems), is_key, Self::read)
    }

    fn read(key: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let new = Self {
            description: object.optional("description", read_text).unwrap_or_default(),
            version: object.optional("version", read_version).filter(|version| version != key),
            build: object.optional("build", read_build),
            minimum_os: object.optional("minimumOs", read_version),
            required: object.optional("required", boolean).unwrap_or(false),
            released_at: object.optional("releasedAt", read_instant),
            deadline: object.optional("deadline", read_instant),
            staging: Staging::read(&mut object),
            phased_since: object.optional("phasedSince", read_instant),
            store_share: object.optional("storeShare", Percent::read),
            availability: object.optional("availability", Table::read_served),
            notes: object.optional("notes", Table::read_notes).unwrap_or_default(),
        };
        object.finish();
        if node.get("version").is_none() && Version::parse(key).is_none() {
            problems.add(at, format!("needs a `version`: its key `{key}` is none"));
        }
        if let (Some(from), Some(deadline)) = (new.released_at, new.deadline)
            && deadline <= from
        {
            problems.add(&at.member("deadline"), "must be later than `releasedAt`");
        }
        Some(new)
    }

    /// Its version as text.
    pub fn version<'a>(&'a self, key: &'a str) -> &'a str {
        self.version.as_deref().unwrap_or(key)
    }

    /// Where it stands.
    pub fn point<'a>(&'a self, key: &'a str) -> Point<'a> {
        Point::parse(self.version(key), self.build.as_deref().unwrap_or_default())
    }
}

/// Code that is delivered over the air.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What it brings, for colleagues.
    pub description: String,
    /// Its place in the order of bundles.
    pub number: i64,
    /// The binaries that it fits.
    pub binary: VersionRange,
    /// Where it is to be had.
    pub url: Option<String>,
    /// SHA-256 of what is there, in hexadecimal.
    pub sha256: Option<String>,
    /// Whether a fitting binary may not go on without it.
    pub required: bool,
    /// Whether who runs it must go back.
    pub withdrawn: bool,
    /// Before this it is not there.
    pub released_at: Option<Instant>,
    /// Who is offered it.
    pub staging: Staging,
}

impl Bundle {
    /// Reads bundles by key.
    pub(super) fn read_all(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Table<Self>> {
        let mut numbers: Vec<(i64, String)> = Vec::new();
        let read = |key: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems| {
            let new = Self::read(node, at, problems)?;
            if let Some((_, other)) = numbers.iter().find(|(number, _)| *number == new.number) {
                problems.add(&at.member("number"), format!("`{other}` has this number too"));
            }
            numbers.push((new.number, key.to_owned()));
            Some(new)
        };
        Table::read(node, limits::RELEASES, (at, problems), is_key, read)
    }

    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let description = object.optional("description", read_text).unwrap_or_default();
        let number = object.required("number", |node, at, problems| integer(node, 0..=1 << 53, at, problems));
        let binary = object.required("binary", read_range);
        let url = object.optional("url", read_url);
        let sha256 = object.optional("sha256", read_sha256);
        let required = object.optional("required", boolean).unwrap_or(false);
        let withdrawn = object.optional("withdrawn", boolean).unwrap_or(false);
        let released_at = object.optional("releasedAt", read_instant);
        let staging = Staging::read(&mut object);
        object.finish();
        Some(Self {
            description,
            number: number?,
            binary: binary?,
            url,
            sha256,
            required,
            withdrawn,
            released_at,
            staging,
        })
    }
}

fn read_sha256(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let text = text(node, 64, at, problems)?;
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        problems.add(at, "must be 64 hexadecimal digits in lower case");
    }
    Some(text.to_owned())
}
