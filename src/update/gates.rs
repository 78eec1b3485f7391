//! The gates of one environment: which channel is an app's.

use super::answer::{Reason, Verdict};
use super::model::{Channel, Links, Release, Who};
use super::request::Request;
use super::wire::{PRODUCTION, Platform};
use super::{bundle, compile, decide};
use crate::flag::{FlagSet, Source};
use std::cmp::Ordering;
use std::sync::Arc;

/// The channels of one environment, ready to be asked.
#[derive(Debug, Default)]
pub struct Gates {
    /// By key.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: Box<str>,
    channel: Arc<Channel>,
    links: Links,
}

impl Gates {
    /// Compiles channels beside the flags of their snapshot; those whose text is that of `previous` are
    /// taken over. One that cannot be read is left out: its apps are told nothing.
    pub fn compile(sources: &[Source<'_>], flags: &FlagSet, previous: Option<&Gates>) -> Self {
        let entry = |source: &Source<'_>| {
            let old = previous.and_then(|gates| gates.entries.iter().find(|entry| *entry.key == *source.key));
            let old = old.filter(|entry| entry.channel.source == compile::hash(source));
            let channel = match old {
                Some(entry) => Arc::clone(&entry.channel),
                None => Arc::new(compile::channel(source)?),
            };
            Some(Entry { key: source.key.into(), links: channel.link(flags), channel })
        };
        Self { entries: sources.iter().filter_map(entry).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes they take in memory.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.channel.bytes + size_of::<Entry>() + 64).sum()
    }

    /// Decides. A killed environment is silent: whoever killed it wants nothing decided.
    pub fn decide<'c>(&'c self, request: &Request<'_>, who: &mut Who<'_>) -> Verdict<'c> {
        if who.kills.everything() {
            return Verdict::silent(Reason::Killed);
        }
        let entry = match self.find(request, who) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::silent(reason),
        };
        let (channel, links) = (&entry.channel, &entry.links);
        let bundle = bundle::decide(channel, links, request, who);
        Verdict { bundle, ..decide::decide(channel, links, request, who) }
    }

    /// The channel of an app: the one it names, by key or track, if the unit may use it; else the
    /// track that admits the unit by name; else the one that is open to all.
    fn find(&self, request: &Request<'_>, who: &mut Who<'_>) -> Result<&Entry, Reason> {
        let (platform, app, named) = (request.platform.trim(), request.app.trim(), request.channel.trim());
        if platform.is_empty() && named.is_empty() {
            return Err(Reason::UnknownPlatform);
        }
        let platform = match Platform::parse(platform) {
            None if !platform.is_empty() => return Err(Reason::UnknownPlatform),
            platform => platform,
        };
        let on_platform = |entry: &&Entry| platform.is_none_or(|platform| entry.channel.platform == platform);
        // A channel without an app serves those that have none of their own.
        let own = self.entries.iter().filter(on_platform).any(|entry| entry.channel.app.as_deref() == Some(app));
        let of_app = |entry: &&Entry| {
            app.is_empty() || if own { entry.channel.app.as_deref() == Some(app) } else { entry.channel.app.is_none() }
        };
        let by_key = |entry: &&Entry| named.is_empty() || *entry.key == *named;
        let by_track = |entry: &&Entry| *entry.channel.track == *named && platform.is_some();
        let candidates = || self.entries.iter().filter(on_platform);
        if candidates().next().is_none() {
            return Err(Reason::UnknownPlatform);
        }
        let candidates = || candidates().filter(of_app);
        if candidates().next().is_none() {
            return Err(Reason::UnknownApp);
        }
        let admits = |entry: &Entry, who: &mut Who<'_>| {
            entry.channel.audience.as_ref().is_none_or(|audience| who.belongs(audience, &entry.links))
        };
        let chosen = if named.is_empty() {
            None
        } else {
            let found = candidates().find(by_key).or_else(|| candidates().find(by_track));
            Some(found.ok_or(Reason::UnknownChannel)?)
        };
        if let Some(chosen) = chosen.filter(|chosen| admits(chosen, who)) {
            return Ok(chosen);
        }
        // Its siblings are the tracks of the same app on the same platform.
        let sibling = |entry: &&Entry| {
            chosen.is_none_or(|chosen| {
                entry.channel.platform == chosen.channel.platform && entry.channel.app == chosen.channel.app
            })
        };
        let mut best: Option<&Entry> = None;
        for entry in candidates().filter(sibling) {
            let closed = entry.channel.audience.is_some();
            if closed && chosen.is_none() && admits(entry, who) && best.is_none_or(|best| entry.is_ahead_of(best)) {
                best = Some(entry);
            }
        }
        let open = || candidates().filter(sibling).filter(|entry| entry.channel.audience.is_none());
        let production = || open().find(|entry| *entry.channel.track == *PRODUCTION);
        best.or_else(production).or_else(|| open().next()).ok_or(Reason::UnknownChannel)
    }
}

impl Entry {
    /// Whether its newest release is newer than the other's, as a store would choose between tracks.
    fn is_ahead_of(&self, other: &Entry) -> bool {
        let newest = |entry: &'_ Entry| entry.channel.releases.first().map(|release: &Release| release.point.clone());
        match (newest(self), newest(other)) {
            (Some(own), Some(other)) => own.get().compare(&other.get()) == Some(Ordering::Greater),
            (own, other) => own.is_some() && other.is_none(),
        }
    }
}
