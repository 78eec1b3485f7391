//! Single documents over HTTP: read, listed, put, switched, deleted.

use super::super::document::{Document, Sort};
use super::super::{Author, Output, Paged, raw};
use super::channels;
use super::kill;
use super::patch;
use super::publish;
use super::store::{Meta, Store, Stored, etag};
use super::write::{Change, Manner, apply};
use crate::control::audit::PAGE_BYTES;
use crate::control::sql::Cell;
use crate::http::{Answer, Fault, Kind, Query, Refusal, Reply, Request, date, matches_strongly, matches_weakly};
use crate::json::{At, Problems, parse};
use crate::limits;
use crate::time::Instant;
use serde::Serialize;
use serde_json::value::RawValue;

/// Answers a document with the headers that say which it is.
pub(super) fn respond(store: &Store<'_>, meta: &Meta, sort: Sort, key: &str, stored: &Stored) -> Answer<Reply> {
    let mut reply = Reply::json(200, &stored.document)
        .with("etag", etag(meta, stored.revision))
        .with("last-modified", date(stored.at))
        .with("headgate-version", meta.version.to_string());
    if kill::can_kill(sort) {
        let killed = store.kill_of(&kill::name(sort, key))?.is_some();
        reply = reply.with("headgate-killed", killed.to_string());
    }
    Ok(reply)
}

pub(super) fn missing(sort: Sort, key: &str) -> Refusal {
    Refusal::new(Fault::UnknownEntity, format!("there is no `{}`", sort.name(key)))
}

/// The document that is there; settings are always there, if only with their defaults.
pub(super) fn current(store: &Store<'_>, sort: Sort, key: &str) -> Answer<Option<Stored>> {
    let found = store.find(sort, key)?;
    if found.is_some() || sort != Sort::Settings {
        return Ok(found);
    }
    let at = store.sql.number("SELECT created_at FROM meta", &[])?;
    let at = Instant::from_millis(at);
    Ok(Some(Stored { id: 0, revision: 0, at, actor: "system".to_owned(), document: "{}".to_owned() }))
}

/// Answers GET.
pub(super) fn get(store: &Store<'_>, sort: Sort, key: &str, request: &Request) -> Answer<Reply> {
    let meta = store.live()?;
    let stored = current(store, sort, key)?.ok_or_else(|| missing(sort, key))?;
    let tag = etag(&meta, stored.revision);
    if request.if_none_match.as_deref().is_some_and(|list| matches_weakly(list, &tag)) {
        return Ok(Reply::empty(304).with("etag", tag));
    }
    respond(store, &meta, sort, key, &stored)
}

/// Refuses a change of something that is not what the caller takes it for.
pub(super) fn check_conditions(meta: &Meta, stored: Option<&Stored>, request: &Request, required: bool) -> Answer<()> {
    let Some(stored) = stored else {
        if request.if_match.is_some() {
            return Err(Refusal::new(Fault::StaleEtag, "it does not exist (any more)"));
        }
        return Ok(());
    };
    let tag = etag(meta, stored.revision);
    if request.if_none_match.as_deref().is_some_and(|list| list.trim() == "*" || matches_weakly(list, &tag)) {
        return Err(Refusal::new(Fault::Exists, format!("its entity tag is {tag}")).with("etag", tag));
    }
    match request.if_match.as_deref() {
        None if required => {
            let detail = format!("it exists already; send `If-Match: {tag}` to change what you have read");
            Err(Refusal::new(Fault::Unconditional, detail).with("etag", tag))
        }
        Some(list) if !matches_strongly(list, &tag) => {
            Err(Refusal::new(Fault::StaleEtag, format!("its entity tag is {tag} by now")).with("etag", tag))
        }
        _ => Ok(()),
    }
}

/// Reads one document from a request's body.
fn read_body(sort: Sort, body: &str) -> Answer<Document> {
    if body.len() > limits::ENTITY_BYTES {
        let detail = format!("a document has at most {} bytes", limits::ENTITY_BYTES);
        return Err(Refusal::new(Fault::TooLarge, detail));
    }
    let node = parse(body)?;
    let mut problems = Problems::default();
    let document = sort.read(&node, &At::ROOT, &mut problems);
    match document {
        Some(document) if problems.is_empty() => Ok(document),
        _ => Err(Refusal::invalid(problems)),
    }
}

/// Writes one document and answers what it is now.
pub(super) fn write(
    store: &Store<'_>,
    author: &Author,
    manner: Manner<'_>,
    named: (Sort, &str),
    document: Document,
) -> Answer<Output> {
    finish(store, &written(store, author, manner, named, document)?)
}

/// Writes one document and gives what it is now, with warnings of what is most likely not meant.
pub(super) fn written(
    store: &Store<'_>,
    author: &Author,
    manner: Manner<'_>,
    (sort, key): (Sort, &str),
    document: Document,
) -> Answer<Reply> {
    let created = store.find(sort, key)?.is_none() && sort != Sort::Settings;
    let change = Change { sort, key: key.to_owned(), document: Some(document), place: String::new() };
    apply(store, author, manner, vec![change])?;
    let meta = store.live()?;
    let stored = current(store, sort, key)?.ok_or_else(|| missing(sort, key))?;
    let mut reply = respond(store, &meta, sort, key, &stored)?;
    if created {
        reply.status = 201;
    }
    if sort == Sort::Of(Kind::Channel) {
        channels::warn(&mut reply, store.now)?;
    }
    Ok(reply)
}

/// An answer after a change: the publication is due.
pub(super) fn finish(store: &Store<'_>, reply: &Reply) -> Answer<Output> {
    let mut output = Output::reply(reply);
    output.alarm = publish::due(store)?;
    Ok(output)
}

/// Answers PUT.
pub(super) fn put(store: &Store<'_>, sort: Sort, key: &str, request: &Request, author: &Author) -> Answer<Output> {
    let document = read_body(sort, &request.body)?;
    let meta = store.live()?;
    check_conditions(&meta, current(store, sort, key)?.as_ref(), request, true)?;
    write(store, author, Manner::PLAIN, (sort, key), document)
}

/// Answers PATCH of a flag. It says all that it changes, so `If-Match` may be left out.
pub(super) fn patch(store: &Store<'_>, key: &str, request: &Request, author: &Author) -> Answer<Output> {
    let sort = Sort::Of(Kind::Flag);
    let meta = store.live()?;
    let stored = store.find(sort, key)?.ok_or_else(|| missing(sort, key))?;
    check_conditions(&meta, Some(&stored), request, false)?;
    let document = patch::apply(&stored.document, &request.body)?;
    let manner = Manner { action: "patch", ..Manner::PLAIN };
    write(store, author, manner, (sort, key), document)
}

/// Answers DELETE.
pub(super) fn delete(store: &Store<'_>, sort: Sort, key: &str, request: &Request, author: &Author) -> Answer<Output> {
    let meta = store.live()?;
    let stored = store.find(sort, key)?.ok_or_else(|| missing(sort, key))?;
    check_conditions(&meta, Some(&stored), request, true)?;
    let change = Change { sort, key: key.to_owned(), document: None, place: String::new() };
    apply(store, author, Manner::PLAIN, vec![change])?;
    finish(store, &Reply::empty(204))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    key: String,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    killed: Option<bool>,
    etag: String,
    updated_at: String,
    updated_by: String,
    document: Box<RawValue>,
}

/// SQL for the filters of a list.
fn filters(kind: Kind, query: &Query) -> Answer<(String, Vec<Cell>)> {
    let mut clauses = vec!["kind = ?".to_owned()];
    let mut params: Vec<Cell> = vec![kind.singular().into()];
    if let Some(after) = query.get("after") {
        clauses.push("key > ?".to_owned());
        params.push(after.into());
    }
    if let Some(text) = query.get("q") {
        let found = "instr(lower(key || ' ' || coalesce(json_extract(document, '$.description'), '')), lower(?)) > 0";
        clauses.push(found.to_owned());
        params.push(text.into());
    }
    if let Some(tag) = query.get("tag") {
        clauses.push("EXISTS (SELECT 1 FROM json_each(document, '$.tags') WHERE value = ?)".to_owned());
        params.push(tag.into());
    }
    for (name, default) in [("owner", ""), ("kind", "release")] {
        if let Some(value) = query.get(name) {
            clauses.push(format!("coalesce(json_extract(document, '$.{name}'), '{default}') = ?"));
            params.push(value.into());
        }
    }
    if let Some(enabled) = query.boolean("enabled")? {
        clauses.push(format!("coalesce(json_extract(document, '$.enabled'), 1) = {}", i64::from(enabled)));
    }
    if let Some(killed) = query.boolean("killed")? {
        let not = if killed { "" } else { "NOT " };
        let prefix = kill::name(Sort::Of(kind), "");
        clauses.push(format!("'{prefix}' || key {not}IN (SELECT key FROM kill WHERE lifted_at IS NULL)"));
    }
    Ok((clauses.join(" AND "), params))
}

/// Answers a page of a collection.
pub(super) fn list(store: &Store<'_>, kind: Kind, query: &Query) -> Answer<Reply> {
    let meta = store.live()?;
    let page = query.page()?;
    let (clauses, params) = filters(kind, query)?;
    let keys = format!("SELECT key FROM entity WHERE {clauses} ORDER BY key LIMIT {}", page.limit + 1);
    let mut items: Vec<Item> = Vec::new();
    let (mut bytes, mut limit) = (0, page.limit);
    for row in store.sql.rows(&keys, &params)? {
        let key = row.text(0)?;
        let Some(stored) = store.find(Sort::Of(kind), &key)? else { continue };
        bytes += stored.document.len();
        // A page ends early when its documents grow too large for one answer.
        if bytes > PAGE_BYTES && !items.is_empty() {
            limit = limit.min(items.len());
        }
        let sort = Sort::Of(kind);
        let name = Some(kill::name(sort, &key)).filter(|_| kill::can_kill(sort));
        let killed = name.map(|name| store.kill_of(&name)).transpose()?.map(|id| id.is_some());
        items.push(Item {
            key,
            revision: stored.revision,
            killed,
            etag: etag(&meta, stored.revision),
            updated_at: stored.at.to_string(),
            updated_by: stored.actor,
            document: raw(stored.document)?,
        });
        if items.len() > limit {
            break;
        }
    }
    Ok(Reply::value(200, &Paged::of(items, limit, |item| item.key.clone())))
}
