//! From documents to compiled channels.

use super::model::{Admission, Audience, Bundle, Channel, Links, Maintenance, Release, To};
use super::texts::Localized;
use super::version::OwnedPoint;
use super::wire::{self, ANYWHERE, Blocked, ChannelDocument, STALE_AFTER, SameAs, Staging, StoreUrl, Table};
use crate::bucketing::Seeds;
use crate::flag::condition::Version;
use crate::flag::serve::Percent;
use crate::flag::{FlagSet, Source};
use crate::json::{At, Problems, parse};
use xxhash_rust::xxh3::xxh3_64;

/// A text as a JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads and compiles a channel; the control plane admits none that cannot be read.
pub(super) fn channel(source: &Source<'_>) -> Option<Channel> {
    let node = parse(source.text).ok()?;
    let mut problems = Problems::default();
    let mut document = ChannelDocument::read(&node, &At::ROOT, &mut problems).filter(|_| problems.is_empty())?;
    let salt = document.salt.take().unwrap_or_else(|| source.key.to_owned());
    let mut compiler = Compiler { blocked: std::mem::take(&mut document.blocked), salt, flags: Vec::new() };
    // Newest first. Lists are short and mostly in order: sorting code would weigh more than it saves.
    let mut releases: Vec<Release> = Vec::with_capacity(document.releases.0.len());
    for (key, wire) in document.releases.0 {
        let new = compiler.release(&key, wire);
        let at = releases.iter().position(|other| other.point.get().is_below(&new.point.get()));
        releases.insert(at.unwrap_or(releases.len()), new);
    }
    let mut bundles: Vec<Bundle> = Vec::with_capacity(document.bundles.0.len());
    for (key, wire) in document.bundles.0 {
        let at = bundles.iter().position(|other| other.number < wire.number).unwrap_or(bundles.len());
        bundles.insert(at, compiler.bundle(key, wire));
    }
    let mut store_urls = match document.store_url {
        None => Table::default(),
        Some(StoreUrl::One(url)) => Table(vec![(ANYWHERE.to_owned(), url)]),
        Some(StoreUrl::Each(table)) => table,
    };
    for (_, url) in &mut store_urls.0 {
        *url = quote(url);
    }
    let texts = document.texts.named().map(|(_, table)| Localized::texts(table));
    let (audience, segments) = document.audience.map_or((None, Vec::new()), |wire| {
        let units = hashes(&wire.units);
        (Some(Audience { units }), wire.segments)
    });
    let mut channel = Channel {
        source: hash(source),
        head: format!(r#""channel":{},"revision":{}"#, quote(source.key), source.revision).into(),
        app: document.app,
        platform: document.platform,
        track: document.track,
        audience,
        enabled: document.enabled,
        minimum: document.minimum.as_ref().map(|mark| mark.point().into()),
        recommended: document.recommended.as_ref().map(|mark| mark.point().into()),
        policy: document.policy,
        releases,
        bundles,
        store_urls,
        texts,
        remind_after: document.remind_after.map(|seconds| seconds * 1_000),
        snoozes: document.snoozes,
        maintenance: document.maintenance.map(|wire| Maintenance {
            start: wire.start,
            end: wire.end,
            texts: Localized::texts(&wire.texts),
        }),
        stale_after: document.stale_after.unwrap_or(STALE_AFTER) * 1_000,
        segments,
        flags: compiler.flags,
        blocked: compiler.blocked,
        bytes: 0,
    };
    channel.bytes = channel.count_bytes(source.text.len());
    Some(channel)
}

/// Tells a text apart from what it was before.
pub(super) fn hash(source: &Source<'_>) -> u64 {
    xxh3_64(source.text.as_bytes()) ^ source.revision.rotate_left(32)
}

fn hashes(units: &[String]) -> Vec<u64> {
    let mut hashes = Vec::with_capacity(units.len());
    for unit in units {
        hashes.push(xxh3_64(unit.as_bytes()));
    }
    hashes.sort_unstable();
    hashes
}

struct Compiler {
    blocked: Vec<Blocked>,
    salt: String,
    flags: Vec<SameAs>,
}

impl Compiler {
    fn release(&mut self, key: &str, wire: wire::Release) -> Release {
        let mut head = format!(r#""release":{},"version":{}"#, quote(key), quote(wire.version(key)));
        if let Some(build) = &wire.build {
            head.extend([r#","build":""#, build, "\""]);
        }
        let point = wire.point(key);
        Release {
            head: head.into(),
            pointer: At::ROOT.member("releases").member(key).pointer().into(),
            minimum_os: wire.minimum_os.as_deref().and_then(Version::parse).map(Into::into),
            required: wire.required,
            blocked: self.blocked.iter().any(|blocked| blocked.contains(&point)),
            released_at: wire.released_at,
            deadline: wire.deadline,
            phased_since: wire.phased_since,
            store_staged: wire.store_share.is_some_and(|share| share != Percent::ALL),
            notes: Localized::notes(&wire.notes),
            point: OwnedPoint::from(point),
            admission: self.admission(wire.staging, &["/", key]),
            availability: wire.availability.unwrap_or_default(),
        }
    }

    fn bundle(&mut self, key: String, wire: wire::Bundle) -> Bundle {
        let mut head = format!(r#""bundle":{},"number":{}"#, quote(&key), wire.number);
        for (name, text) in [("url", &wire.url), ("sha256", &wire.sha256)] {
            if let Some(text) = text {
                head.extend([",\"", name, "\":", &quote(text)]);
            }
        }
        Bundle {
            head: head.into(),
            pointer: At::ROOT.member("bundles").member(&key).pointer().into(),
            number: wire.number,
            binary: wire.binary,
            required: wire.required,
            withdrawn: wire.withdrawn,
            released_at: wire.released_at,
            admission: self.admission(wire.staging, &["/bundles/", &key]),
            key,
        }
    }

    /// Each release deals its buckets anew, lest the same people go first every time.
    fn admission(&mut self, wire: Staging, name: &[&str]) -> Admission {
        let mut salt = self.salt.clone();
        salt.extend(name.iter().copied());
        let to = match wire {
            Staging::All => To::All,
            Staging::Share(share) => To::Share(share),
            Staging::SameAs(same_as) => {
                self.flags.push(same_as);
                // There are at most limits::RELEASES releases and as many bundles.
                u16::try_from(self.flags.len() - 1).map_or(To::All, To::SameAs)
            }
        };
        Admission { seed: Seeds::new(&salt).share, to }
    }
}

impl Channel {
    fn count_bytes(&self, text: usize) -> usize {
        let texts: usize = self.texts.iter().map(Localized::bytes).sum();
        let notes: usize = self.releases.iter().map(|release| release.notes.bytes()).sum();
        let lists = size_of_val(&*self.releases) + size_of_val(&*self.bundles) + size_of_val(&*self.blocked);
        // What else it owns is written in the text, once at most.
        size_of::<Self>() + lists + texts + notes + text
    }

    /// Looks up what the channel refers to.
    pub(super) fn link(&self, flags: &FlagSet) -> Links {
        let mut links = Links { segments: Vec::new(), flags: Vec::new() };
        for key in &self.segments {
            links.segments.push(flags.segment(key));
        }
        for SameAs { flag, variant } in &self.flags {
            let found = flags.find(flag).and_then(|at| Some((at, flags.variant(at, variant.as_deref())?)));
            links.flags.push(found);
        }
        links
    }
}
