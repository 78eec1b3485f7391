//! Channels beyond what every document has: patches, releases one by one, reports of what stores
//! serve, and warnings of what is most likely not meant.

use super::super::document::{Document, Sort};
use super::super::{Author, Output};
use super::entities;
use super::store::{Meta, Store, Stored, etag};
use super::write::Manner;
use crate::http::{Answer, Fault, Kind, Refusal, Reply, Request, Route, matches_strongly};
use crate::json::{At, Fields, Node, Problem, Problems, boolean, entries, one_of, parse};
use crate::time::Instant;
use crate::update::ChannelDocument;
use crate::update::wire::{SOURCES, Served, Source, read_storefront};
use std::borrow::Cow;

const SORT: Sort = Sort::Of(Kind::Channel);

/// Takes over what a channel's new document leaves out and the old one knew: what stores serve of a
/// release that is the same as before.
pub(super) fn inherit(channel: &mut ChannelDocument, before: Option<&Stored>) {
    let Some(old) = before.and_then(|before| read(&before.document)) else { return };
    for (key, release) in &mut channel.releases.0 {
        let same = old.releases.get(key).filter(|old| old.point(key) == release.point(key));
        if let (None, Some(old)) = (&release.availability, same) {
            release.availability.clone_from(&old.availability);
        }
    }
}

/// Takes out what an earlier revision says of stores: a revert must not bring back an old fact.
pub(super) fn forget_stores(document: &mut Document) {
    if let Document::Channel(channel) = document {
        channel.releases.0.iter_mut().for_each(|(_, release)| release.availability = None);
    }
}

fn read(text: &str) -> Option<ChannelDocument> {
    ChannelDocument::read(&parse(text).ok()?, &At::ROOT, &mut Problems::default())
}

/// What is most likely not meant in a channel's text, each with its place below `place`.
pub(super) fn warnings(text: &str, place: &str, now: Instant) -> Vec<Problem> {
    let found = read(text).map(|channel| channel.warnings(now)).unwrap_or_default();
    found.into_iter().map(|warning| Problem { pointer: format!("{place}{}", warning.pointer), ..warning }).collect()
}

/// Puts the warnings of a channel beside its members, where whoever wrote it sees them.
pub(super) fn warn(reply: &mut Reply, now: Instant) -> Answer<()> {
    let found = warnings(&reply.body, "", now);
    if !found.is_empty() && reply.body.pop() == Some('}') {
        reply.body.push_str(",\"warnings\":");
        reply.body.push_str(&serde_json::to_string(&found)?);
        reply.body.push('}');
    }
    Ok(())
}

/// A stored channel, and its state for conditions.
fn find(store: &Store<'_>, key: &str) -> Answer<(Meta, Stored)> {
    let meta = store.live()?;
    let stored = store.find(SORT, key)?.ok_or_else(|| entities::missing(SORT, key))?;
    Ok((meta, stored))
}

fn no_release(route: &Route) -> Refusal {
    Refusal::new(Fault::UnknownEntity, format!("`{}` has no release `{}`", SORT.name(&route.key), route.release))
}

/// Reads an edited channel. Problems at `place` and below are the request's own.
fn checked(node: &Node<'_>, place: &str) -> Answer<Document> {
    let mut problems = Problems::default();
    let document = SORT.read(node, &At::ROOT, &mut problems);
    match document {
        Some(document) if problems.is_empty() => Ok(document),
        _ => {
            let mut own = Problems::default();
            for Problem { pointer, detail } in problems.into_list() {
                let relative = pointer.strip_prefix(place).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                own.push(Problem { pointer: relative.map(str::to_owned).unwrap_or(pointer), detail });
            }
            Err(Refusal::invalid(own))
        }
    }
}

/// Answers PATCH of a channel: a JSON merge patch (RFC 7396).
pub(super) fn patch(store: &Store<'_>, key: &str, request: &Request, author: &Author) -> Answer<Output> {
    let (meta, stored) = find(store, key)?;
    entities::check_conditions(&meta, Some(&stored), request, false)?;
    let patch = parse(&request.body)?;
    let mut problems = Problems::default();
    check_keys(&patch, &At::ROOT, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal::invalid(problems));
    }
    let mut node = parse(&stored.document)?;
    merge(&mut node, &patch);
    let manner = Manner { action: "patch", ..Manner::PLAIN };
    entities::write(store, author, manner, (SORT, key), checked(&node, "")?)
}

/// Notes a body that is no object, and keys given twice at any level.
fn check_keys(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) {
    for (key, inner) in entries(node, at, problems).unwrap_or_default() {
        if matches!(inner, Node::Object(_)) {
            check_keys(inner, &at.member(key), problems);
        }
    }
}

/// RFC 7396 section 2: null removes, objects merge, everything else replaces.
fn merge<'a>(target: &mut Node<'a>, patch: &Node<'a>) {
    let Node::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !matches!(target, Node::Object(_)) {
        *target = Node::Object(Vec::new());
    }
    let Node::Object(members) = target else { return };
    for (key, change) in changes {
        let at = members.iter().position(|(known, _)| known == key);
        match (at, change) {
            (Some(at), Node::Null) => drop(members.remove(at)),
            (None, Node::Null) => {}
            (Some(at), change) => merge(&mut members[at].1, change),
            (None, change) => {
                let mut new = Node::Null;
                merge(&mut new, change);
                members.push((key.clone(), new));
            }
        }
    }
}

/// Answers GET of a release; its entity tag is the channel's.
pub(super) fn get_release(store: &Store<'_>, route: &Route) -> Answer<Reply> {
    let (meta, stored) = find(store, &route.key)?;
    let node = parse(&stored.document)?;
    let release = node.get("releases").and_then(|all| all.get(&route.release)).ok_or_else(|| no_release(route))?;
    Ok(Reply::value(200, release).with("etag", etag(&meta, stored.revision)))
}

/// Answers PUT and DELETE of a release: a change of its channel, whose tag goes into `If-Match`. A
/// release that is new needs none.
pub(super) fn put_release(store: &Store<'_>, route: &Route, request: &Request, author: &Author) -> Answer<Output> {
    let (meta, stored) = find(store, &route.key)?;
    let deletes = request.method == "DELETE";
    let mut node = parse(&stored.document)?;
    let exists = node.get("releases").and_then(|all| all.get(&route.release)).is_some();
    if exists {
        entities::check_conditions(&meta, Some(&stored), request, true)?;
    } else if deletes {
        return Err(no_release(route));
    } else if let Some(list) = &request.if_match {
        let tag = etag(&meta, stored.revision);
        if !matches_strongly(list, &tag) {
            return Err(Refusal::new(Fault::StaleEtag, format!("its entity tag is {tag} by now")).with("etag", tag));
        }
    }
    let release = if deletes { Node::Null } else { parse(&request.body)? };
    edit_releases(&mut node, &route.release, release);
    let place = At::ROOT.member("releases").member(&route.release).pointer();
    let manner = Manner { action: "release", ..Manner::PLAIN };
    let mut reply = entities::written(store, author, manner, (SORT, &route.key), checked(&node, &place)?)?;
    if !exists {
        reply.status = 201;
    }
    entities::finish(store, &reply)
}

/// Puts a release in, in place of the one before; null takes it out.
fn edit_releases<'a>(channel: &mut Node<'a>, key: &'a str, release: Node<'a>) {
    let Node::Object(members) = channel else { return };
    let at = members.iter().position(|(name, _)| name == "releases").unwrap_or_else(|| {
        members.push((Cow::Borrowed("releases"), Node::Object(Vec::new())));
        members.len() - 1
    });
    let Node::Object(releases) = &mut members[at].1 else { return };
    let known = releases.iter().position(|(name, _)| name == key);
    match (known, release) {
        (Some(at), Node::Null) => drop(releases.remove(at)),
        (Some(at), release) => releases[at].1 = release,
        (None, release) => releases.push((Cow::Borrowed(key), release)),
    }
}

/// Answers a report of which storefronts serve a release. A weaker source does not override a
/// stronger one, nor an older report a newer one of the same source.
pub(super) fn report(store: &Store<'_>, route: &Route, request: &Request, author: &Author) -> Answer<Output> {
    let (meta, stored) = find(store, &route.key)?;
    entities::check_conditions(&meta, Some(&stored), request, false)?;
    let mut channel = read(&stored.document).ok_or_else(|| entities::missing(SORT, &route.key))?;
    let release = channel.releases.0.iter_mut().find(|(key, _)| *key == route.release);
    let (_, release) = release.ok_or_else(|| no_release(route))?;
    let table = release.availability.get_or_insert_default();
    for (storefront, served) in read_report(&request.body, store.now)? {
        table.report(&storefront, served);
    }
    let manner = Manner { action: "report", ..Manner::PLAIN };
    entities::write(store, author, manner, (SORT, &route.key), Document::Channel(Box::new(channel)))
}

/// Reads `{"source": …, "storefronts": {"CH": true}, "observedAt": …}`.
fn read_report(body: &str, now: Instant) -> Answer<Vec<(String, Served)>> {
    let node = parse(body)?;
    let (mut problems, at) = (Problems::default(), At::ROOT);
    let mut list = Vec::new();
    if let Some(mut fields) = Fields::open(&node, &at, &mut problems) {
        let source = fields.required("source", &at, &mut problems);
        let source = source.and_then(|node| one_of(node, &SOURCES, &at.member("source"), &mut problems));
        let seen = fields.optional("observedAt");
        let seen =
            seen.and_then(|node| crate::flag::serve::read_instant(node, &at.member("observedAt"), &mut problems));
        // An admin's word needs no date: it does not age.
        let source = source.unwrap_or_default();
        let observed_at = seen.or((source != Source::Admin).then_some(now));
        if let Some(node) = fields.required("storefronts", &at, &mut problems) {
            let at = at.member("storefronts");
            for (storefront, node) in entries(node, &at, &mut problems).unwrap_or_default() {
                let at = at.member(storefront);
                read_storefront(storefront, &at, &mut problems);
                if let Some(served) = boolean(node, &at, &mut problems) {
                    list.push((storefront.to_string(), Served { served, source, observed_at }));
                }
            }
        }
        fields.finish(&at, &mut problems);
    }
    if problems.is_empty() { Ok(list) } else { Err(Refusal::invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_merge_as_rfc_7396_says() {
        // Its appendix A, but for those whose target is no object.
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (target, patch, expected) in cases {
            let mut node = parse(target).expect("JSON");
            merge(&mut node, &parse(patch).expect("JSON"));
            assert_eq!(serde_json::to_string(&node).expect("writes"), expected, "{target} {patch}");
        }
    }
}
