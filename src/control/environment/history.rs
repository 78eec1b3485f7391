//! The revisions of one document.

use super::super::document::Sort;
use super::super::{Author, Output, Paged, Principal, diff};
use super::channels;
use super::entities;
use super::store::{Store, etag};
use super::write::Manner;
use crate::http::{Answer, Fault, Query, Refusal, Reply, Request};
use crate::json::{At, Fields, Problems, integer, parse, text};
use crate::limits;
use crate::time::Instant;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    revision: i64,
    version: i64,
    at: String,
    actor: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    deleted: bool,
}

/// Answers a page of revisions, newest first.
pub(super) fn list(store: &Store<'_>, sort: Sort, key: &str, query: &Query) -> Answer<Reply> {
    let page = query.page()?;
    let before = page.number()?.unwrap_or(i64::from(u32::MAX));
    let rows = store.sql.rows(
        &format!(
            "SELECT revision, version, at, actor, action, reason, document IS NULL FROM history
             WHERE kind = ? AND key = ? AND revision < ? ORDER BY revision DESC LIMIT {}",
            page.limit + 1
        ),
        &[sort.word().into(), key.into(), before.into()],
    )?;
    if rows.is_empty() && page.after.is_none() {
        return Err(Refusal::new(Fault::UnknownEntity, format!("there never was a `{}`", sort.name(key))));
    }
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(Line {
            revision: row.integer(0)?,
            version: row.integer(1)?,
            at: Instant::from_millis(row.integer(2)?).to_string(),
            actor: row.text(3)?,
            action: row.text(4)?,
            reason: row.optional_text(5)?,
            deleted: row.integer(6)? != 0,
        });
    }
    Ok(Reply::value(200, &Paged::of(items, page.limit, |item| item.revision.to_string())))
}

/// The document of a revision; a deletion has none.
fn document(store: &Store<'_>, sort: Sort, key: &str, revision: i64) -> Answer<String> {
    let query = "SELECT document FROM history WHERE kind = ? AND key = ? AND revision = ?";
    let row = store.sql.first(query, &[sort.word().into(), key.into(), revision.into()])?;
    match row.map(|row| row.optional_text(0)).transpose()? {
        Some(Some(document)) => Ok(document),
        Some(None) => Err(Refusal::new(Fault::UnknownRevision, format!("revision {revision} is a deletion"))),
        None => {
            let detail = format!("`{}` has no revision {revision}", sort.name(key));
            Err(Refusal::new(Fault::UnknownRevision, detail))
        }
    }
}

/// Answers one revision's document.
pub(super) fn revision(store: &Store<'_>, sort: Sort, key: &str, revision: i64) -> Answer<Reply> {
    let meta = store.live()?;
    Ok(Reply::json(200, document(store, sort, key, revision)?).with("etag", etag(&meta, revision)))
}

/// Answers what changed between two revisions: `to` is the newest and `from` the one before it
/// unless they are given.
pub(super) fn diff(store: &Store<'_>, sort: Sort, key: &str, query: &Query) -> Answer<Reply> {
    let newest = "SELECT coalesce(max(revision), 0) FROM history WHERE kind = ? AND key = ?";
    let to = match query.integer("to")? {
        Some(to) => to,
        None => store.sql.number(newest, &[sort.word().into(), key.into()])?,
    };
    let from = query.integer("from")?.unwrap_or(to - 1);
    compare(from, to, &document(store, sort, key, from)?, &document(store, sort, key, to)?)
}

/// Answers the changes between two documents.
pub(super) fn compare(from: i64, to: i64, old: &str, new: &str) -> Answer<Reply> {
    #[derive(Serialize)]
    struct Diff<'a> {
        from: i64,
        to: i64,
        changes: Vec<diff::Change<'a>>,
    }
    let (old, new) = (parse(old)?, parse(new)?);
    Ok(Reply::value(200, &Diff { from, to, changes: diff::diff(&old, &new) }))
}

/// Makes an earlier revision the newest. Kills stand outside the documents and stay.
pub(super) fn revert(
    store: &Store<'_>,
    sort: Sort,
    key: &str,
    request: &Request,
    principal: &Principal,
) -> Answer<Output> {
    let node = parse(&request.body)?;
    let (mut problems, at) = (Problems::default(), At::ROOT);
    let Some(mut fields) = Fields::open(&node, &at, &mut problems) else {
        return Err(Refusal::invalid(problems));
    };
    let number = fields.required("revision", &at, &mut problems);
    let number = number.and_then(|node| integer(node, 1..=i64::from(u32::MAX), &at.member("revision"), &mut problems));
    let reason = fields.optional("reason");
    let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), &mut problems));
    fields.finish(&at, &mut problems);
    let (Some(number), true) = (number, problems.is_empty()) else { return Err(Refusal::invalid(problems)) };
    let author = Author::new(principal, request, reason)?;
    let text = document(store, sort, key, number)?;
    let node = parse(&text)?;
    let Some(mut document) = sort.read(&node, &at, &mut problems).filter(|_| problems.is_empty()) else {
        return Err(Refusal::invalid(problems));
    };
    channels::forget_stores(&mut document);
    let manner = Manner { action: "revert", ..Manner::PLAIN };
    entities::write(store, &author, manner, (sort, key), document)
}
