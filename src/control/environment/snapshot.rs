//! The snapshot: everything that the edge needs of one version, as canonical JSON.

use super::super::raw;
use super::super::sql::Row;
use super::context_keys;
use super::store::{Meta, Store};
use crate::http::Answer;
use serde::Serialize;
use serde_json::value::RawValue;

/// The form of the snapshot's text.
pub const FORMAT: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    format: u32,
    environment: &'a str,
    incarnation: i64,
    version: i64,
    settings: Box<RawValue>,
    context_keys: Vec<String>,
    tokens: Vec<Token>,
    segments: Vec<Item>,
    flags: Vec<Item>,
    routes: Vec<Item>,
    channels: Vec<Item>,
}

#[derive(Serialize)]
struct Token {
    id: String,
    kind: String,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    ofrep: String,
}

#[derive(Serialize)]
struct Item {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    revision: i64,
    document: Box<RawValue>,
}

/// All documents of one kind: `key, id, revision, document`, by key. At an earlier version they
/// come from the history.
pub(super) fn documents(store: &Store<'_>, word: &str, version: Option<i64>) -> Answer<Vec<Row>> {
    let rows = match version {
        None => store
            .sql
            .rows("SELECT key, id, revision, document FROM entity WHERE kind = ? ORDER BY key", &[word.into()])?,
        Some(version) => store.sql.rows(
            "SELECT key, id, revision, document FROM history AS h WHERE kind = ?1 AND document IS NOT NULL
             AND revision = (SELECT max(revision) FROM history AS i
                             WHERE i.kind = ?1 AND i.key = h.key AND i.version <= ?2) ORDER BY key",
            &[word.into(), version.into()],
        )?,
    };
    Ok(rows)
}

/// The snapshot's text, now or as of an earlier version. Tokens and context keys are always those
/// of now, so that what was revoked stays so.
pub(super) fn text(store: &Store<'_>, meta: &Meta, version: Option<i64>) -> Answer<String> {
    let items = |word: &str| -> Answer<Vec<Item>> {
        let item = |row: &Row| {
            let id = Some(row.integer(1)?).filter(|id| *id > 0);
            Ok(Item { key: row.text(0)?, id, revision: row.integer(2)?, document: raw(row.text(3)?)? })
        };
        documents(store, word, version)?.iter().map(item).collect()
    };
    let settings = documents(store, "settings", version)?;
    let settings = settings.first().map_or_else(|| Ok("{}".to_owned()), |row| row.text(3))?;
    let snapshot = Snapshot {
        format: FORMAT,
        environment: &meta.environment,
        incarnation: meta.incarnation,
        version: version.unwrap_or(meta.version),
        settings: raw(settings)?,
        context_keys: context_keys::secrets(store)?,
        tokens: tokens(store)?,
        segments: items("segment")?,
        flags: items("flag")?,
        routes: items("route")?,
        channels: items("channel")?,
    };
    Ok(serde_json::to_string(&snapshot)?)
}

/// Client and server tokens; admin tokens are none of the edge's business.
fn tokens(store: &Store<'_>) -> Answer<Vec<Token>> {
    let query =
        "SELECT 't' || number AS id, kind, sha256, expires_at, ofrep FROM token WHERE kind <> 'admin' ORDER BY id";
    let token = |row: &Row| {
        let (id, kind, sha256) = (row.text(0)?, row.text(1)?, row.text(2)?);
        Ok(Token { id, kind, sha256, expires: row.optional_integer(3)?, ofrep: row.text(4)? })
    };
    store.sql.rows(query, &[])?.iter().map(token).collect()
}
