//! Spreading what counts to the edge: at most one publication a second, the latest state only,
//! repeated until KV and the pointer have it.

use super::super::metrics::{self, Gauge};
use super::super::{Author, Effect, Output, pointer};
use super::store::{Meta, Store};
use super::{context_keys, hosts, kill, snapshot};
use crate::http::Answer;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Milliseconds between the starts of two publications; KV takes one write a second per key.
const PACE: i64 = 1_000;
/// After this long without a word, a publication is taken as lost.
const PATIENCE: i64 = 5_000;
/// The longest wait between attempts.
const BACKOFF: i64 = 30_000;
/// For how long superseded snapshots are kept in KV.
const KEPT: i64 = 24 * 3600 * 1000;
/// Old snapshots deleted with one publication.
const SWEPT: usize = 20;

/// The pointer, as the edge reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Raised when the environment is made again or restored.
    pub incarnation: i64,
    /// Raised with every change of the pointer.
    pub sequence: i64,
    /// The snapshot to serve.
    pub version: i64,
    /// Whether every flag is killed.
    pub kill: bool,
    /// Ids of the killed flags.
    pub killed: Vec<i64>,
}

impl Pointer {
    /// What decides which of two pointers is newer.
    pub fn order(&self) -> (i64, i64) {
        (self.incarnation, self.sequence)
    }
}

/// What the edge was told, and what is under way.
struct Publication {
    settled: [i64; 3],
    flight: Option<String>,
    started_at: i64,
    attempts: i64,
    retry_at: i64,
}

fn load(store: &Store<'_>) -> Answer<Publication> {
    let query = "SELECT incarnation, version, sequence, flight, started_at, attempts, retry_at FROM publication";
    let Some(row) = store.sql.first(query, &[])? else {
        return Ok(Publication { settled: [0; 3], flight: None, started_at: 0, attempts: 0, retry_at: 0 });
    };
    let now = store.now.millis();
    // A start in the future means that the clock ran backwards: then nothing holds anything up.
    let passed = |at: i64, most: i64| if at > now.saturating_add(most) { 0 } else { at };
    Ok(Publication {
        settled: [row.integer(0)?, row.integer(1)?, row.integer(2)?],
        flight: row.optional_text(3)?,
        started_at: passed(row.integer(4)?, PACE),
        attempts: row.integer(5)?,
        retry_at: passed(row.integer(6)?, BACKOFF),
    })
}

fn truth(meta: &Meta) -> [i64; 3] {
    [meta.incarnation, meta.version, meta.sequence]
}

fn receipt(state: [i64; 3]) -> String {
    state.map(|number| number.to_string()).join(".")
}

fn read_receipt(text: &str) -> Option<[i64; 3]> {
    let numbers: Vec<i64> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// When something is to be done next, if ever.
pub(super) fn due(store: &Store<'_>) -> Answer<Option<i64>> {
    let Some(meta) = store.meta()? else { return Ok(None) };
    let state = load(store)?;
    let publication = if state.settled == truth(&meta) {
        None
    } else if state.flight.is_some() {
        Some(state.started_at + PATIENCE)
    } else {
        Some((state.started_at + PACE).max(state.retry_at).max(store.now.millis()))
    };
    let expiries = [kill::next_expiry(store)?, context_keys::next_expiry(store)?];
    Ok(publication.into_iter().chain(expiries.into_iter().flatten()).min())
}

/// Ends a wait for the next attempt: a kill must not stand behind earlier failures.
pub(super) fn hurry(store: &Store<'_>) -> Answer<()> {
    store.sql.run("UPDATE publication SET attempts = 0, retry_at = 0", &[])?;
    Ok(())
}

/// The pointer's text.
pub(super) fn pointer_text(store: &Store<'_>, meta: &Meta) -> Answer<String> {
    let text = |query: &str| -> Answer<String> {
        let rows = store.sql.rows(query, &[])?;
        let killed = rows.iter().map(|row| row.integer(0)).collect::<Result<_, _>>()?;
        let Meta { incarnation, sequence, version, killed: kill, .. } = *meta;
        Ok(serde_json::to_string(&Pointer { incarnation, sequence, version, kill, killed })?)
    };
    let all = text("SELECT id FROM kill ORDER BY id")?;
    if all.len() <= limits::POINTER_BYTES {
        return Ok(all);
    }
    // Kills of flags that are gone are the first that can be done without.
    text("SELECT id FROM kill WHERE id IN (SELECT id FROM entity WHERE id > 0) ORDER BY id")
}

/// The effect that moves the pointer object.
pub(super) fn pointer_effect(store: &Store<'_>, meta: &Meta) -> Answer<Effect> {
    let message = pointer::Call::Move { pointer: pointer_text(store, meta)? };
    Ok(Effect::Pointer { name: meta.environment.clone(), message: serde_json::to_string(&message)? })
}

/// `pairity.production`, as KV keys have it.
fn dotted(meta: &Meta) -> String {
    meta.environment.replace('/', ".")
}

fn snapshot_key(meta: &Meta) -> String {
    format!("snapshot/{}/{}/{}.{}", dotted(meta), snapshot::FORMAT, meta.incarnation, meta.version)
}

/// Publishes if it is time to; else only says when.
pub(super) fn pump(store: &Store<'_>) -> Answer<Output> {
    let mut output = Output::text(None);
    if store.meta()?.is_none() {
        return Ok(output);
    }
    let expired = kill::expire(store)?;
    if expired {
        store.sql.run("UPDATE meta SET sequence = sequence + 1", &[])?;
    }
    context_keys::expire(store, &Author::system("the overlap has ended"))?;
    let Some(meta) = store.meta()? else { return Ok(output) };
    let state = load(store)?;
    let now = store.now.millis();
    let waiting = match state.flight {
        Some(_) => now < state.started_at + PATIENCE,
        None => now < (state.started_at + PACE).max(state.retry_at),
    };
    if state.settled != truth(&meta) && !waiting {
        let receipt = receipt(truth(&meta));
        output.effects = effects(store, &meta, &state)?;
        store.sql.run("UPDATE publication SET flight = ?, started_at = ?", &[(&receipt).into(), store.now.into()])?;
        output.receipt = Some(receipt);
    }
    output.alarm = due(store)?;
    Ok(output)
}

/// Snapshot first, so that whoever follows the pointer finds it; then the pointer, its copy, and
/// the sweeping.
fn effects(store: &Store<'_>, meta: &Meta, state: &Publication) -> Answer<Vec<Effect>> {
    let mut effects = Vec::new();
    if state.settled[..2] != truth(meta)[..2] {
        let key = snapshot_key(meta);
        let supersede = "UPDATE artifact SET superseded_at = ? WHERE superseded_at IS NULL AND key <> ?";
        store.sql.run(supersede, &[store.now.into(), (&key).into()])?;
        let insert = "INSERT INTO artifact VALUES (?, NULL, 0) ON CONFLICT (key) DO NOTHING";
        store.sql.run(insert, &[(&key).into()])?;
        effects.push(Effect::Put { key, text: snapshot::text(store, meta, None)? });
    }
    effects.push(pointer_effect(store, meta)?);
    effects.push(Effect::Put { key: format!("current/{}", dotted(meta)), text: pointer_text(store, meta)? });
    if state.settled[..2] != truth(meta)[..2] {
        effects.extend(hosts::effect(store, meta)?);
    }
    effects.extend(sweep(store)?);
    effects.push(Effect::Gauges { message: serde_json::to_string(&gauges(store, meta)?)? });
    Ok(effects)
}

fn sweep(store: &Store<'_>) -> Answer<Vec<Effect>> {
    let query = format!("SELECT key FROM artifact WHERE superseded_at < ? LIMIT {SWEPT}");
    let mut effects = Vec::new();
    for row in store.sql.rows(&query, &[store.now.plus_millis(-KEPT).into()])? {
        let key = row.text(0)?;
        store.sql.run("UPDATE artifact SET deleting = 1 WHERE key = ?", &[(&key).into()])?;
        effects.push(Effect::Delete { key });
    }
    Ok(effects)
}

fn gauges(store: &Store<'_>, meta: &Meta) -> Answer<metrics::Call> {
    if meta.deleted {
        return Ok(metrics::Call::Gauges { source: meta.environment.clone(), gauges: Vec::new() });
    }
    let labels: BTreeMap<String, String> = [("environment".to_owned(), meta.environment.clone())].into();
    let mut gauges = Vec::new();
    let mut gauge = |name: &str, value: i64| gauges.push(Gauge(name.to_owned(), labels.clone(), value));
    for row in store.sql.rows("SELECT kind, count(*) FROM entity GROUP BY kind", &[])? {
        if row.text(0)? != "settings" {
            gauge(&format!("headgate_{}s", row.text(0)?), row.integer(1)?);
        }
    }
    let killed = "SELECT count(*) FROM kill WHERE lifted_at IS NULL AND (key LIKE 'routes/%') = ?";
    gauge("headgate_flags_killed", store.sql.number(killed, &[0i64.into()])?);
    gauge("headgate_routes_killed", store.sql.number(killed, &[1i64.into()])?);
    gauge("headgate_environment_killed", i64::from(meta.killed));
    gauge("headgate_environment_version", meta.version);
    gauge("headgate_environment_bytes", meta.bytes);
    gauge("headgate_tokens", store.sql.number("SELECT count(*) FROM token", &[])?);
    gauge("headgate_published_timestamp_seconds", store.now.millis() / 1000);
    Ok(metrics::Call::Gauges { source: meta.environment.clone(), gauges })
}

/// Notes how a publication ended.
pub(super) fn settle(store: &Store<'_>, receipt: &str, failed: Option<&str>) -> Answer<Output> {
    let mut output = Output::text(None);
    let (Some(state), Some(done)) = (store.meta()?.map(|_| load(store)).transpose()?, read_receipt(receipt)) else {
        return Ok(output);
    };
    // A publication that was given up and ends after all says nothing about its successor.
    let current = state.flight.as_deref() == Some(receipt);
    if current {
        store.sql.run("UPDATE publication SET flight = NULL", &[])?;
    }
    match failed {
        None => {
            let [incarnation, version, sequence] = state.settled.max(done);
            store.sql.run(
                "UPDATE publication SET incarnation = ?, version = ?, sequence = ?, attempts = 0, retry_at = 0, error = NULL",
                &[incarnation.into(), version.into(), sequence.into()],
            )?;
            store.sql.run("DELETE FROM artifact WHERE deleting = 1", &[])?;
            store.sql.run("UPDATE routed SET held = told", &[])?;
        }
        Some(error) if current => {
            let wait = (500 << state.attempts.clamp(0, 16)).min(BACKOFF);
            store.sql.run(
                "UPDATE publication SET attempts = attempts + 1, retry_at = ?, error = ?",
                &[store.now.plus_millis(wait).into(), error.into()],
            )?;
            store.sql.run("UPDATE artifact SET deleting = 0", &[])?;
        }
        Some(_) => {}
    }
    output.alarm = due(store)?;
    Ok(output)
}

/// Compares the pointer that the edge has with what counts, and publishes again what is behind.
pub(super) fn reconcile(store: &Store<'_>, pointer: Option<&str>, hosts: Option<&[String]>) -> Answer<Output> {
    let Some(meta) = store.meta()? else { return Ok(Output::text(None)) };
    let seen = pointer.and_then(|text| serde_json::from_str::<Pointer>(text).ok());
    let order = seen.as_ref().map_or((0, 0), Pointer::order);
    let state = load(store)?;
    if order > (meta.incarnation, meta.sequence) {
        // The edge knows more than we do: this storage was restored from an earlier time.
        let author = Author::system("restored from a backup: the edge was ahead");
        store.sql.run("UPDATE meta SET incarnation = ?", &[(order.0 + 1).into()])?;
        store.advance(&meta, &author, "restore", "environment")?;
        if let Some(seen) = &seen {
            kill::restore(store, &author, seen.kill && !meta.killed, &seen.killed)?;
        }
    } else if order < (state.settled[0], state.settled[2]) || hosts::differ(store, hosts)? {
        store.sql.run("UPDATE publication SET incarnation = 0, version = 0, sequence = 0", &[])?;
    }
    pump(store)
}

/// What is known about publishing, for people who look at the environment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    settled: bool,
    version: i64,
    attempts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn progress(store: &Store<'_>, meta: &Meta) -> Answer<Progress> {
    let state = load(store)?;
    let error = store.sql.first("SELECT error FROM publication", &[])?;
    let error = error.map(|row| row.optional_text(0)).transpose()?.flatten();
    Ok(Progress { settled: state.settled == truth(meta), version: state.settled[1], attempts: state.attempts, error })
}
