//! Channels as they are written back: as one tree, so that there is one writer and not one for each
//! type.

use super::{
    Audience, Blocked, Bundle, ChannelDocument, Maintenance, Mark, PLATFORMS, PRODUCTION, Policy, Release, SOURCES,
    Served, Source, Staging, StoreUrl, Table, Text, URGENCIES, Urgency,
};
use crate::flag::condition::VersionRange;
use crate::flag::serve::{Percent, Share};
use crate::json::{Node, Number};
use crate::time::Instant;
use serde::{Serialize, Serializer};
use std::borrow::Cow;

impl Serialize for ChannelDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.node().serialize(serializer)
    }
}

/// An object in the making.
#[derive(Default)]
struct Out<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Out<'a> {
    fn put(&mut self, name: &'static str, node: Node<'a>) {
        self.0.push((Cow::Borrowed(name), node));
    }

    fn text(&mut self, name: &'static str, value: Option<&'a str>) {
        if let Some(value) = value {
            self.put(name, text(value));
        }
    }

    fn number(&mut self, name: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.put(name, Node::Number(Number::Whole(value)));
        }
    }

    fn instant(&mut self, name: &'static str, value: Option<Instant>) {
        if let Some(value) = value {
            self.put(name, Node::String(Cow::Owned(value.to_string())));
        }
    }

    /// Writes what is true.
    fn truth(&mut self, name: &'static str, value: bool) {
        if value {
            self.put(name, Node::Bool(true));
        }
    }

    /// Writes what has something in it.
    fn filled(&mut self, name: &'static str, node: Node<'a>) {
        if !matches!(&node, Node::Object(members) if members.is_empty())
            && !matches!(&node, Node::Array(list) if list.is_empty())
        {
            self.put(name, node);
        }
    }

    fn end(self) -> Node<'a> {
        Node::Object(self.0)
    }
}

fn text(value: &str) -> Node<'_> {
    Node::String(Cow::Borrowed(value))
}

fn texts(list: &[String]) -> Node<'_> {
    let mut out = Vec::with_capacity(list.len());
    for value in list {
        out.push(text(value));
    }
    Node::Array(out)
}

fn some(value: &str) -> Option<&str> {
    Some(value).filter(|value| !value.is_empty())
}

/// The word of a value.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> Node<'static> {
    text(words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word))
}

fn table<'t, T>(table: &'t Table<T>, node: fn(&'t T) -> Node<'t>) -> Node<'t> {
    let mut out = Vec::with_capacity(table.0.len());
    for (key, value) in table {
        out.push((Cow::Borrowed(key.as_str()), node(value)));
    }
    Node::Object(out)
}

/// A build is written as a number as long as every reader keeps all its digits.
fn digits(build: &str) -> Node<'_> {
    match build.parse() {
        Ok(number) if build.len() <= 15 => Node::Number(Number::Whole(number)),
        _ => text(build),
    }
}

fn percent(value: Percent) -> Node<'static> {
    let buckets = value.buckets();
    Node::Number(if buckets.is_multiple_of(1_000) {
        Number::Whole(i64::from(buckets / 1_000))
    } else {
        Number::Real(f64::from(buckets) / 1_000.0)
    })
}

fn share(value: &Share) -> Node<'static> {
    match value {
        Share::Fixed(value) => percent(*value),
        Share::Ramp { from, to, start, end } => {
            let mut out = Out::default();
            out.put("from", percent(*from));
            out.put("to", percent(*to));
            out.instant("start", Some(*start));
            out.instant("end", Some(*end));
            out.end()
        }
    }
}

impl Staging {
    fn write<'a>(&'a self, out: &mut Out<'a>) {
        match self {
            Self::All => {}
            Self::Share(value) => out.put("share", share(value)),
            Self::SameAs(same_as) => {
                let mut inner = Out::default();
                inner.text("flag", Some(&same_as.flag));
                inner.text("variant", same_as.variant.as_deref());
                out.put("sameAs", inner.end());
            }
        }
    }
}

impl Mark {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        match (&self.version, &self.build) {
            (Some(version), None) => return text(version),
            (version, build) => {
                out.text("version", version.as_deref());
                if let Some(build) = build {
                    out.put("build", digits(build));
                }
            }
        }
        out.end()
    }
}

impl Blocked {
    fn node(&self) -> Node<'_> {
        let versions = self.versions.as_ref().map(VersionRange::as_str);
        if let (Some(versions), None, "") = (versions, &self.builds, &*self.description) {
            return text(versions);
        }
        let mut out = Out::default();
        out.text("versions", versions);
        if let Some(builds) = &self.builds {
            out.put("builds", Node::String(Cow::Owned(builds.to_string())));
        }
        out.text("description", some(&self.description));
        out.end()
    }
}

impl StoreUrl {
    fn node(&self) -> Node<'_> {
        match self {
            Self::One(url) => text(url),
            Self::Each(each) => table(each, |url| text(url)),
        }
    }
}

impl Served {
    fn node(&self) -> Node<'_> {
        if self.source == Source::Admin && self.observed_at.is_none() {
            return Node::Bool(self.served);
        }
        let mut out = Out::default();
        out.put("served", Node::Bool(self.served));
        out.put("source", word(&SOURCES, &self.source));
        out.instant("observedAt", self.observed_at);
        out.end()
    }
}

impl Policy {
    fn node(self) -> Node<'static> {
        let mut out = Out::default();
        if self != Self::default() {
            for (name, urgency) in [("major", self.major), ("minor", self.minor), ("patch", self.patch)] {
                out.put(name, word::<Urgency>(&URGENCIES, &urgency));
            }
        }
        out.end()
    }
}

impl Audience {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        out.filled("units", texts(&self.units));
        out.filled("segments", texts(&self.segments));
        out.end()
    }
}

impl Text {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        let parts =
            [("title", &self.title), ("message", &self.message), ("update", &self.update), ("later", &self.later)];
        for (name, part) in parts {
            out.text(name, part.as_deref());
        }
        out.end()
    }

    /// The text as a JSON object.
    pub(in crate::update) fn json(&self) -> String {
        serde_json::to_string(&self.node()).unwrap_or_default()
    }
}

impl Maintenance {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        out.instant("start", self.start);
        out.instant("end", Some(self.end));
        out.filled("texts", table(&self.texts, Text::node));
        out.end()
    }
}

impl Release {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        out.text("description", some(&self.description));
        out.text("version", self.version.as_deref());
        if let Some(build) = &self.build {
            out.put("build", digits(build));
        }
        out.text("minimumOs", self.minimum_os.as_deref());
        out.truth("required", self.required);
        out.instant("releasedAt", self.released_at);
        out.instant("deadline", self.deadline);
        self.staging.write(&mut out);
        out.instant("phasedSince", self.phased_since);
        if let Some(share) = self.store_share {
            out.put("storeShare", percent(share));
        }
        if let Some(availability) = &self.availability {
            out.put("availability", table(availability, Served::node));
        }
        out.filled("notes", table(&self.notes, |note| text(note)));
        out.end()
    }
}

impl Bundle {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        out.text("description", some(&self.description));
        out.number("number", Some(self.number));
        out.text("binary", Some(self.binary.as_str()));
        out.text("url", self.url.as_deref());
        out.text("sha256", self.sha256.as_deref());
        out.truth("required", self.required);
        out.truth("withdrawn", self.withdrawn);
        out.instant("releasedAt", self.released_at);
        self.staging.write(&mut out);
        out.end()
    }
}

impl ChannelDocument {
    fn node(&self) -> Node<'_> {
        let mut out = Out::default();
        out.text("description", some(&self.about.description));
        out.text("owner", some(&self.about.owner));
        out.filled("tags", texts(&self.about.tags));
        out.text("app", self.app.as_deref());
        out.put("platform", word(&PLATFORMS, &self.platform));
        out.text("track", Some(&*self.track).filter(|track| *track != PRODUCTION));
        if let Some(audience) = &self.audience {
            out.put("audience", audience.node());
        }
        if !self.enabled {
            out.put("enabled", Node::Bool(false));
        }
        out.text("salt", self.salt.as_deref());
        for (name, mark) in [("minimum", &self.minimum), ("recommended", &self.recommended)] {
            if let Some(mark) = mark {
                out.put(name, mark.node());
            }
        }
        out.filled("policy", self.policy.node());
        out.filled("blocked", Node::Array(self.blocked.iter().map(Blocked::node).collect()));
        if let Some(url) = &self.store_url {
            out.put("storeUrl", url.node());
        }
        out.filled("releases", table(&self.releases, Release::node));
        out.filled("bundles", table(&self.bundles, Bundle::node));
        out.number("remindAfter", self.remind_after);
        out.number("snoozes", self.snoozes);
        let mut kinds = Out::default();
        for (name, of_kind) in self.texts.named() {
            kinds.filled(name, table(of_kind, Text::node));
        }
        out.filled("texts", kinds.end());
        if let Some(maintenance) = &self.maintenance {
            out.put("maintenance", maintenance.node());
        }
        out.number("staleAfter", self.stale_after);
        out.end()
    }
}
