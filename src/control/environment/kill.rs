//! The kill switch. Kills stand outside the versioned documents: they change the pointer at once
//! and no snapshot, and nothing but an un-kill lifts them. They even outlive their flags, so that one
//! which is deleted and made again comes back killed.

use super::super::audit::Entry;
use super::super::document::Sort;
use super::super::{Author, Output};
use super::publish::{self, pointer_effect};
use super::store::{Meta, Store};
use crate::http::{Answer, Fault, Kind, Refusal, Reply, Route};
use crate::limits;
use serde::Serialize;

/// For how long the kill of a flag's former id stays in the pointer: an edge that still serves the
/// snapshot before must not bring the flag back to life.
const GRACE: i64 = 10 * 60 * 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    entity: &'a str,
    killed: bool,
    changed: bool,
    sequence: i64,
}

/// Answers a kill or un-kill, with the pointer's move to be made before the answer is sent.
fn answer(store: &Store<'_>, entity: &str, killed: bool, changed: bool) -> Answer<Output> {
    let meta = store.live()?;
    let state = State { entity, killed, changed, sequence: meta.sequence };
    let mut output = Output::reply(&Reply::value(200, &state));
    publish::hurry(store)?;
    output.alarm = publish::due(store)?;
    output.effects = vec![pointer_effect(store, &meta)?];
    Ok(output)
}

fn note(store: &Store<'_>, author: &Author, entity: &str, killed: bool) -> Answer<()> {
    store.sql.run("UPDATE meta SET sequence = sequence + 1", &[])?;
    let (before, after) = if killed { ("false", "true") } else { ("true", "false") };
    let action = if killed { "kill" } else { "unkill" };
    store.audit(author, &Entry { action, entity, version: None, before: Some(before), after: Some(after) })
}

/// Whether a document can be killed by itself.
pub(super) fn can_kill(sort: Sort) -> bool {
    matches!(sort, Sort::Of(Kind::Flag | Kind::Route))
}

/// The name of a document's kill: a flag's key, which holds no `/`, or `routes/` and the route's.
pub(super) fn name(sort: Sort, key: &str) -> String {
    if sort == Sort::Of(Kind::Flag) { key.to_owned() } else { sort.name(key) }
}

/// Kills or un-kills a flag or route; repeating it changes nothing.
pub(super) fn one(store: &Store<'_>, kind: Kind, route: &Route, author: &Author, kill: bool) -> Answer<Output> {
    let sort = Sort::Of(kind);
    let (entity, name) = (sort.name(&route.key), name(sort, &route.key));
    let (stored, known) = (store.find(sort, &route.key)?, store.kill_of(&name)?);
    let changed = known.is_some() != kill;
    // The kill of a flag that is gone can still be lifted.
    if stored.is_none() && (kill || known.is_none()) {
        return Err(Refusal::new(Fault::UnknownEntity, format!("there is no {} `{}`", kind.singular(), route.key)));
    }
    if let (true, true, Some(stored)) = (changed, kill, stored) {
        insert(store, &name, stored.id, author)?;
        let meta = store.live()?;
        if publish::pointer_text(store, &Meta { sequence: meta.sequence + 1, ..meta })?.len() > limits::POINTER_BYTES {
            let detail =
                "too many flags are killed one by one for the edge to carry; kill the environment instead: POST …/kill";
            return Err(Refusal::new(Fault::KillDoesNotFit, detail));
        }
    } else if changed {
        store.sql.run("DELETE FROM kill WHERE key = ?", &[name.into()])?;
    }
    if changed {
        note(store, author, &entity, kill)?;
    }
    answer(store, &entity, kill, changed)
}

fn insert(store: &Store<'_>, key: &str, id: i64, author: &Author) -> Answer<()> {
    store.sql.run(
        "INSERT INTO kill VALUES (?, ?, ?, ?, ?, NULL)
         ON CONFLICT (id) DO UPDATE SET lifted_at = NULL, at = excluded.at, actor = excluded.actor",
        &[id.into(), key.into(), store.now.into(), (&author.actor).into(), author.reason.as_ref().into()],
    )?;
    Ok(())
}

/// Kills or un-kills the environment; repeating it changes nothing.
pub(super) fn environment(store: &Store<'_>, author: &Author, kill: bool) -> Answer<Output> {
    let changed = store.live()?.killed != kill;
    if changed {
        store.sql.run("UPDATE meta SET killed = ?", &[i64::from(kill).into()])?;
        note(store, author, "environment", kill)?;
    }
    answer(store, "environment", kill, changed)
}

/// After a restoration from a backup: what the edge has killed meanwhile stays killed.
pub(super) fn restore(store: &Store<'_>, author: &Author, environment: bool, ids: &[i64]) -> Answer<()> {
    if environment {
        store.sql.run("UPDATE meta SET killed = 1", &[])?;
        note(store, author, "environment", true)?;
    }
    for id in ids {
        let query = "SELECT key, kind FROM entity WHERE id > 0 AND id = ?1
                     AND NOT EXISTS (SELECT 1 FROM kill WHERE id = ?1 AND lifted_at IS NULL)";
        let Some(row) = store.sql.first(query, &[(*id).into()])? else { continue };
        let (key, Some(sort)) = (row.text(0)?, Sort::parse(&row.text(1)?)) else { continue };
        insert(store, &name(sort, &key), *id, author)?;
        note(store, author, &sort.name(&key), true)?;
    }
    Ok(())
}

/// A flag is made again that went while it was killed: it comes back killed, under its new id; the
/// old one stays for a while.
pub(super) fn inherit(store: &Store<'_>, key: &str, id: i64) -> Answer<()> {
    if store.kill_of(key)?.is_none() {
        return Ok(());
    }
    store.sql.run(
        "INSERT INTO kill SELECT ?, key, at, actor, reason, NULL FROM kill WHERE key = ? AND lifted_at IS NULL",
        &[id.into(), key.into()],
    )?;
    let query = "UPDATE kill SET lifted_at = ? WHERE key = ? AND lifted_at IS NULL AND id <> ?";
    store.sql.run(query, &[store.now.into(), key.into(), id.into()])?;
    Ok(())
}

/// Forgets kills of former ids after a while; true when the pointer changes.
pub(super) fn expire(store: &Store<'_>) -> Answer<bool> {
    let before = [store.now.plus_millis(-GRACE).into()];
    let due = store.sql.any("SELECT 1 FROM kill WHERE lifted_at <= ?", &before)?;
    if due {
        store.sql.run("DELETE FROM kill WHERE lifted_at <= ?", &before)?;
    }
    Ok(due)
}

/// When the next lifted kill is to be forgotten.
pub(super) fn next_expiry(store: &Store<'_>) -> Answer<Option<i64>> {
    let row = store.sql.first("SELECT min(lifted_at) FROM kill", &[])?;
    Ok(row.map(|row| row.optional_integer(0)).transpose()?.flatten().map(|at| at.saturating_add(GRACE)))
}
