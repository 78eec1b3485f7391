//! From documents to compiled channels.

use super::model::{Admission, Audience, Bundle, Channel, FlagKey, Links, Maintenance, Release, To};
use super::texts::Localized;
use super::version::OwnedPoint;
use super::wire::{self, ChannelDocument, STALE_AFTER, Staging, StoreUrl};
use crate::bucketing::Seeds;
use crate::flag::condition::Version;
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
    let document = ChannelDocument::read(&node, &At::ROOT, &mut problems).filter(|_| problems.is_empty())?;
    let salt = document.salt.as_deref().unwrap_or(source.key);
    let mut compiler = Compiler { document: &document, salt, flags: Vec::new() };
    // Newest first. Lists are short and mostly in order: sorting code would weigh more than it saves.
    let mut releases: Vec<Release> = Vec::with_capacity(document.releases.0.len());
    for (key, wire) in &document.releases {
        let point = wire.point(key);
        let at = releases.iter().position(|other| other.point.get().is_below(&point)).unwrap_or(releases.len());
        releases.insert(at, compiler.release(key, wire));
    }
    let mut bundles: Vec<Bundle> = Vec::with_capacity(document.bundles.0.len());
    for (key, wire) in &document.bundles {
        let at = bundles.iter().position(|other| other.number < wire.number).unwrap_or(bundles.len());
        bundles.insert(at, compiler.bundle(key, wire));
    }
    let flags = compiler.flags.into();
    let urls = document.store_url.as_ref().map(StoreUrl::each).unwrap_or_default();
    let [recommended, required, blocked, unsupported] =
        document.texts.named().map(|(_, table)| Localized::texts(table));
    let mut channel = Channel {
        source: hash(source),
        head: format!(r#""channel":{},"revision":{}"#, quote(source.key), source.revision).into(),
        app: document.app.as_deref().map(Into::into),
        platform: document.platform,
        track: document.track.as_str().into(),
        audience: document.audience.as_ref().map(audience),
        enabled: document.enabled,
        minimum: document.minimum.as_ref().map(|mark| mark.point().into()),
        recommended: document.recommended.as_ref().map(|mark| mark.point().into()),
        policy: document.policy,
        releases: releases.into(),
        bundles: bundles.into(),
        store_urls: urls.iter().map(|(storefront, url)| ((*storefront).into(), quote(url).into())).collect(),
        texts: [recommended, required, blocked, unsupported],
        remind_after: document.remind_after.map(|seconds| seconds * 1_000),
        snoozes: document.snoozes,
        maintenance: document.maintenance.as_ref().map(|wire| Maintenance {
            start: wire.start,
            end: wire.end,
            texts: Localized::texts(&wire.texts),
        }),
        stale_after: document.stale_after.unwrap_or(STALE_AFTER) * 1_000,
        segments: document.audience.iter().flat_map(|wire| &wire.segments).map(|key| key.as_str().into()).collect(),
        flags,
        bytes: 0,
        blocked: document.blocked.into(),
    };
    channel.bytes = channel.count_bytes(source.text.len());
    Some(channel)
}

/// Tells a text apart from what it was before.
pub(super) fn hash(source: &Source<'_>) -> u64 {
    xxh3_64(source.text.as_bytes()) ^ source.revision.rotate_left(32)
}

fn audience(wire: &wire::Audience) -> Audience {
    let mut units: Vec<_> = wire.units.iter().map(|unit| xxh3_64(unit.as_bytes())).collect();
    units.sort_unstable();
    Audience { units: units.into(), segments: 0..wire.segments.len() }
}

struct Compiler<'a> {
    document: &'a ChannelDocument,
    salt: &'a str,
    flags: Vec<FlagKey>,
}

impl Compiler<'_> {
    fn release(&mut self, key: &str, wire: &wire::Release) -> Release {
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
            blocked: self.document.blocks(&point).is_some(),
            released_at: wire.released_at,
            deadline: wire.deadline,
            admission: self.admission(&wire.staging, &["/", key]),
            phased_since: wire.phased_since,
            store_staged: wire.store_share.is_some_and(|share| share != crate::flag::serve::Percent::ALL),
            availability: wire
                .availability
                .iter()
                .flat_map(|table| table.iter())
                .map(|(storefront, served)| (storefront.as_str().into(), served.clone()))
                .collect(),
            notes: Localized::notes(&wire.notes),
            point: OwnedPoint::from(point),
        }
    }

    fn bundle(&mut self, key: &str, wire: &wire::Bundle) -> Bundle {
        let mut head = format!(r#""bundle":{},"number":{}"#, quote(key), wire.number);
        for (name, text) in [("url", &wire.url), ("sha256", &wire.sha256)] {
            if let Some(text) = text {
                head.extend([",\"", name, "\":", &quote(text)]);
            }
        }
        Bundle {
            key: key.into(),
            head: head.into(),
            pointer: At::ROOT.member("bundles").member(key).pointer().into(),
            number: wire.number,
            binary: wire.binary.clone(),
            required: wire.required,
            withdrawn: wire.withdrawn,
            released_at: wire.released_at,
            admission: self.admission(&wire.staging, &["/bundles/", key]),
        }
    }

    /// Each release deals its buckets anew, lest the same people go first every time.
    fn admission(&mut self, wire: &Staging, name: &[&str]) -> Admission {
        let seed = Seeds::new(&[&[self.salt], name].concat().concat()).share;
        let to = match wire {
            Staging::All => To::All,
            Staging::Share(share) => To::Share(share.clone()),
            Staging::SameAs(same_as) => {
                self.flags.push((same_as.flag.as_str().into(), same_as.variant.as_deref().map(Into::into)));
                // There are at most limits::RELEASES releases and as many bundles.
                u16::try_from(self.flags.len() - 1).map_or(To::All, To::SameAs)
            }
        };
        Admission { seed, to }
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
        let flag = |(key, variant): &FlagKey| {
            let index = flags.find(key)?;
            Some((index, flags.variant(index, variant.as_deref())?))
        };
        Links {
            segments: self.segments.iter().map(|key| flags.segment(key)).collect(),
            flags: self.flags.iter().map(flag).collect(),
        }
    }
}
