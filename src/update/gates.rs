//! The gates of one environment: which channel is an app's.

use super::answer::{Reason, Verdict};
use super::model::{Channel, Links, Who};
use super::request::Request;
use super::wire::{PRODUCTION, Platform};
use super::{bundle, compile, decide};
use crate::flag::{FlagSet, Source};
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
        let on_platform = |entry: &Entry| platform.is_none_or(|platform| entry.channel.platform == platform);
        // A channel without an app serves those that have none of their own.
        let is_own = |entry: &Entry| entry.channel.app.as_deref() == Some(app);
        let own = self.entries.iter().any(|entry| on_platform(entry) && is_own(entry));
        let of_app = |entry: &Entry| app.is_empty() || if own { is_own(entry) } else { entry.channel.app.is_none() };
        let mut missing = Reason::UnknownPlatform;
        let (mut by_key, mut by_track) = (None, None);
        for entry in self.entries.iter().filter(|entry| on_platform(entry)) {
            if !of_app(entry) {
                missing = if missing == Reason::UnknownPlatform { Reason::UnknownApp } else { missing };
                continue;
            }
            missing = Reason::UnknownChannel;
            if *entry.key == *named {
                by_key = Some(entry);
            } else if entry.channel.track == named && platform.is_some() {
                by_track = by_track.or(Some(entry));
            }
        }
        let chosen = by_key.or(by_track);
        if missing != Reason::UnknownChannel || chosen.is_none() && !named.is_empty() {
            return Err(missing);
        }
        if let Some(chosen) = chosen.filter(|chosen| chosen.admits(who)) {
            return Ok(chosen);
        }
        let (mut closed, mut production, mut open): (Option<&Entry>, _, _) = (None, None, None);
        for entry in self.entries.iter().filter(|entry| on_platform(entry) && of_app(entry)) {
            // The siblings of the channel that was named are the tracks of its app on its platform.
            let sibling = chosen.is_none_or(|chosen| {
                entry.channel.platform == chosen.channel.platform && entry.channel.app == chosen.channel.app
            });
            if sibling && entry.channel.audience.is_none() {
                open = open.or(Some(entry));
                production = production.or(Some(entry).filter(|entry| entry.channel.track == PRODUCTION));
            } else if chosen.is_none() && entry.admits(who) && closed.is_none_or(|best| entry.is_ahead_of(best)) {
                closed = Some(entry);
            }
        }
        closed.or(production).or(open).ok_or(Reason::UnknownChannel)
    }
}

impl Entry {
    /// Whether the unit may use the track.
    fn admits(&self, who: &mut Who<'_>) -> bool {
        self.channel.audience.as_ref().is_none_or(|audience| who.belongs(audience, &self.links))
    }

    /// Whether its newest release is newer than the other's, as a store would choose between tracks.
    fn is_ahead_of(&self, other: &Entry) -> bool {
        match (self.channel.releases.first(), other.channel.releases.first()) {
            (Some(own), Some(other)) => other.point.get().is_below(&own.point.get()),
            (own, other) => own.is_some() && other.is_none(),
        }
    }
}
