//! The versions of the environment as a whole.

use super::super::Paged;
use super::store::Store;
use super::{export, history};
use crate::http::{Answer, Fault, Query, Refusal, Reply};
use crate::time::Instant;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    version: i64,
    at: String,
    actor: String,
    action: String,
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Answers a page of versions, newest first.
pub(super) fn list(store: &Store<'_>, query: &Query) -> Answer<Reply> {
    let meta = store.live()?;
    let page = query.page()?;
    let before = page.number()?.unwrap_or(meta.version + 1);
    let rows = store.sql.rows(
        &format!(
            "SELECT version, at, actor, action, entity, reason FROM version
             WHERE version < ? ORDER BY version DESC LIMIT {}",
            page.limit + 1
        ),
        &[before.into()],
    )?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(Line {
            version: row.integer(0)?,
            at: Instant::from_millis(row.integer(1)?).to_string(),
            actor: row.text(2)?,
            action: row.text(3)?,
            entity: row.text(4)?,
            reason: row.optional_text(5)?,
        });
    }
    Ok(Reply::value(200, &Paged::of(items, page.limit, |item| item.version.to_string())))
}

fn check(store: &Store<'_>, version: i64) -> Answer<()> {
    let newest = store.live()?.version;
    if (1..=newest).contains(&version) {
        return Ok(());
    }
    Err(Refusal::new(Fault::UnknownRevision, format!("versions go from 1 to {newest}")))
}

/// Answers the project document as of a version.
pub(super) fn get(store: &Store<'_>, version: i64) -> Answer<Reply> {
    check(store, version)?;
    Ok(Reply::json(200, export::project(store, Some(version))?))
}

/// Answers what changed between two versions: `to` is the newest and `from` the one before it
/// unless they are given.
pub(super) fn diff(store: &Store<'_>, query: &Query) -> Answer<Reply> {
    let to = query.integer("to")?.unwrap_or(store.live()?.version);
    let from = query.integer("from")?.unwrap_or((to - 1).max(1));
    check(store, from)?;
    check(store, to)?;
    history::compare(from, to, &export::environment(store, Some(from))?, &export::environment(store, Some(to))?)
}
