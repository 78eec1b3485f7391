//! How an environment begins and ends.

use super::super::audit::Entry;
use super::super::document::Sort;
use super::super::{Author, Output};
use super::store::{Meta, Store};
use super::write::{Change, Manner, apply};
use super::{admin, context_keys, entities};
use crate::http::{Answer, Reply};
use crate::id::EnvironmentId;

/// Makes the environment unless it is there; true when it was made.
pub(super) fn ensure(store: &Store<'_>, environment: &str, incarnation: i64, author: &Author) -> Answer<bool> {
    let known = store.meta()?;
    let meta = match known {
        Some(meta) if !meta.deleted => return Ok(false),
        Some(meta) => {
            let incarnation = incarnation.max(meta.incarnation + 1);
            store.sql.run("UPDATE meta SET deleted = 0, killed = 0, incarnation = ?", &[incarnation.into()])?;
            Meta { incarnation, ..meta }
        }
        None => first(store, environment, incarnation)?,
    };
    context_keys::create(store)?;
    let version = store.advance(&meta, author, "create", "environment")?;
    let entry = Entry { action: "create", entity: "environment", version: Some(version), before: None, after: None };
    store.audit(author, &entry)?;
    Ok(true)
}

fn first(store: &Store<'_>, environment: &str, incarnation: i64) -> Answer<Meta> {
    let id = EnvironmentId::parse(environment).map_err(|error| {
        crate::http::Refusal::new(crate::http::Fault::BadKey, format!("the environment `{environment}` {error}"))
    })?;
    store.sql.run(
        "INSERT INTO meta VALUES (?, ?, 0, 0, 0, 0, 1, 0, ?)",
        &[id.as_str().into(), incarnation.into(), store.now.into()],
    )?;
    store.sql.run("INSERT INTO publication VALUES (0, 0, 0, NULL, 0, 0, 0, NULL)", &[])?;
    store.live()
}

/// Answers `initialise`: 201 when the environment was made, 200 when it was there.
pub(super) fn initialise(store: &Store<'_>, environment: &str, incarnation: i64, author: &Author) -> Answer<Output> {
    let made = ensure(store, environment, incarnation, author)?;
    let mut reply = admin::state(store)?;
    reply.status = if made { 201 } else { 200 };
    entities::finish(store, &reply)
}

/// Empties the environment. The edge learns of it by a last snapshot without flags and tokens.
pub(super) fn destroy(store: &Store<'_>, author: &Author) -> Answer<Output> {
    store.live()?;
    let mut changes = Vec::new();
    for row in store.sql.rows("SELECT kind, key FROM entity", &[])? {
        let Some(sort) = Sort::parse(&row.text(0)?) else { continue };
        changes.push(Change { sort, key: row.text(1)?, document: None, place: String::new() });
    }
    apply(store, author, Manner::PLAIN, changes)?;
    for statement in ["DELETE FROM token", "DELETE FROM context_key", "UPDATE meta SET deleted = 1"] {
        store.sql.run(statement, &[])?;
    }
    let lift = "UPDATE kill SET lifted_at = ? WHERE lifted_at IS NULL";
    store.sql.run(lift, &[store.now.into()])?;
    if let Some(meta) = store.meta()? {
        let version = store.advance(&meta, author, "delete", "environment")?;
        let entry =
            Entry { action: "delete", entity: "environment", version: Some(version), before: None, after: None };
        store.audit(author, &entry)?;
    }
    entities::finish(store, &Reply::empty(204))
}
