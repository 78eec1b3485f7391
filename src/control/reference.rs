//! What a document refers to: other documents, and attributes of the context.

use super::document::Document;
use crate::flag::serve::TARGETING_KEY;
use crate::flag::{Condition, Serve};
use crate::json::At;
use crate::update::ChannelDocument;
use crate::update::wire::{SameAs, Staging};

/// What is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A segment.
    Segment,
    /// A flag; by a flag as prerequisite, by a route as what decides, by a channel as whose people.
    Flag,
    /// An attribute of the context.
    Attribute,
}

impl Target {
    /// The word in storage.
    pub fn word(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Flag => "flag",
            Self::Attribute => "attribute",
        }
    }
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// To what.
    pub target: Target,
    /// Its key.
    pub key: String,
    /// The variant that a prerequisite must serve, or whose people a channel means; else empty.
    pub variant: String,
    /// Where in the document it stands, as a JSON pointer.
    pub pointer: String,
}

/// All references of a document, in the order of the text.
pub fn references(document: &Document) -> Vec<Reference> {
    let mut out = Vec::new();
    match document {
        Document::Settings(_) => {}
        Document::Channel(channel) => channel_references(channel, &mut out),
        Document::Route(route) => {
            push(&mut out, Target::Flag, &route.flag, "", &At::ROOT.member("flag"));
        }
        Document::Segment(segment) => {
            attribute(&mut out, segment.by.as_deref(), &At::ROOT.member("by"));
            if let Some(condition) = &segment.condition {
                walk(condition, &At::ROOT.member("if"), &mut out);
            }
        }
        Document::Flag(flag) => {
            let requires = At::ROOT.member("requires");
            for (index, required) in flag.requires.iter().enumerate() {
                push(&mut out, Target::Flag, &required.flag, &required.is, &requires.element(index));
            }
            let rules = At::ROOT.member("rules");
            for (index, rule) in flag.rules.iter().enumerate() {
                let at = rules.element(index);
                if let Some(condition) = &rule.condition {
                    walk(condition, &at.member("if"), &mut out);
                }
                serve(&rule.serve, &at.member("serve"), &mut out);
            }
            serve(&flag.default, &At::ROOT.member("default"), &mut out);
        }
    }
    out
}

fn channel_references(channel: &ChannelDocument, out: &mut Vec<Reference>) {
    let audience = At::ROOT.member("audience");
    let segments = audience.member("segments");
    for (index, key) in channel.audience.iter().flat_map(|audience| &audience.segments).enumerate() {
        push(out, Target::Segment, key, "", &segments.element(index));
    }
    let releases = channel.releases.iter().map(|(key, release)| ("releases", key, &release.staging));
    let bundles = channel.bundles.iter().map(|(key, bundle)| ("bundles", key, &bundle.staging));
    for (table, key, staging) in releases.chain(bundles) {
        if let Staging::SameAs(SameAs { flag, variant }) = staging {
            let table = At::ROOT.member(table);
            let at = table.member(key);
            let variant = variant.as_deref().unwrap_or_default();
            push(out, Target::Flag, flag, variant, &at.member("sameAs").member("flag"));
        }
    }
}

fn push(out: &mut Vec<Reference>, target: Target, key: &str, variant: &str, at: &At<'_>) {
    out.push(Reference { target, key: key.to_owned(), variant: variant.to_owned(), pointer: at.pointer() });
}

fn attribute(out: &mut Vec<Reference>, name: Option<&str>, at: &At<'_>) {
    if let Some(name) = name.filter(|name| *name != TARGETING_KEY) {
        push(out, Target::Attribute, name, "", at);
    }
}

fn serve(serve: &Serve, at: &At<'_>, out: &mut Vec<Reference>) {
    if let Serve::Allocation(allocation) = serve {
        attribute(out, allocation.by.as_deref(), &at.member("by"));
    }
}

fn walk(condition: &Condition, at: &At<'_>, out: &mut Vec<Reference>) {
    let list = |list: &[Condition], at: &At<'_>, out: &mut Vec<Reference>| {
        for (index, inner) in list.iter().enumerate() {
            walk(inner, &at.element(index), out);
        }
    };
    match condition {
        Condition::All(inner) => list(inner, &at.member("all"), out),
        Condition::Any(inner) => list(inner, &at.member("any"), out),
        Condition::Not(inner) => walk(inner, &at.member("not"), out),
        Condition::Segment(key) => push(out, Target::Segment, key, "", &at.member("segment")),
        Condition::Attribute(test) => attribute(out, Some(&test.attribute), &at.member("attribute")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Sort;
    use super::*;
    use crate::http::Kind;
    use crate::json::{Problems, parse};

    #[test]
    fn references_know_their_place() {
        let flag = r#"{"type":"boolean","variants":{"on":true,"off":false},"off":"off","default":{"by":"team","variants":{"on":100}},
            "requires":[{"flag":"base","is":"on"}],
            "rules":[{"id":"r","if":{"all":[{"segment":"beta"},{"not":{"attribute":"country","in":["US"]}}]},"serve":"on"}]}"#;
        let mut problems = Problems::default();
        let node = parse(flag).expect("valid");
        let document = Sort::Of(Kind::Flag).read(&node, &At::ROOT, &mut problems).expect("read");
        let found: Vec<_> =
            references(&document).into_iter().map(|r| (r.target, r.key, r.variant, r.pointer)).collect();
        let expected = [
            (Target::Flag, "base", "on", "/requires/0"),
            (Target::Segment, "beta", "", "/rules/0/if/all/0/segment"),
            (Target::Attribute, "country", "", "/rules/0/if/all/1/not/attribute"),
            (Target::Attribute, "team", "", "/default/by"),
        ];
        assert_eq!(found, expected.map(|(t, k, v, p)| (t, k.to_owned(), v.to_owned(), p.to_owned())));
    }
}
