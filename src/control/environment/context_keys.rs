//! Keys with which a product's backend signs contexts, so that clients can carry attributes that
//! they cannot change.

use super::super::audit::Entry;
use super::super::tokens::RotateRequest;
use super::super::{Author, Output};
use super::publish;
use super::store::Store;
use crate::http::{Answer, Reply};
use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    key: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<Line>,
}

/// The secrets, newest first.
pub(super) fn secrets(store: &Store<'_>) -> Answer<Vec<String>> {
    let rows = store.sql.rows("SELECT secret FROM context_key ORDER BY number DESC", &[])?;
    Ok(rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?)
}

/// Answers the keys; who signs takes the first.
pub(super) fn get(store: &Store<'_>, status: u16) -> Answer<Reply> {
    let mut keys = Vec::new();
    for row in store.sql.rows("SELECT secret, created_at, expires_at FROM context_key ORDER BY number DESC", &[])? {
        let at = |millis| Instant::from_millis(millis).to_string();
        keys.push(Line {
            key: row.text(0)?,
            created_at: at(row.integer(1)?),
            expires_at: row.optional_integer(2)?.map(at),
        });
    }
    Ok(Reply::value(status, &Keys { keys }))
}

/// Adds a key.
pub(super) fn create(store: &Store<'_>) -> Answer<()> {
    let secret = URL_SAFE_NO_PAD.encode(store.entropy.bytes());
    let insert = "INSERT INTO context_key (secret, created_at) VALUES (?, ?)";
    store.sql.run(insert, &[secret.into(), store.now.into()])?;
    Ok(())
}

/// Adds a key and lets the others end after the overlap.
pub(super) fn rotate(store: &Store<'_>, author: &Author, request: &RotateRequest) -> Answer<Output> {
    let meta = store.live()?;
    let end = store.now.plus_millis(request.overlap.saturating_mul(1000));
    let retire = "UPDATE context_key SET expires_at = min(coalesce(expires_at, ?1), ?1)";
    store.sql.run(retire, &[end.into()])?;
    create(store)?;
    let version = store.advance(&meta, author, "rotate", "context-key")?;
    let entry = Entry { action: "rotate", entity: "context-key", version: Some(version), before: None, after: None };
    store.audit(author, &entry)?;
    let mut output = Output::reply(&get(store, 201)?);
    output.alarm = publish::due(store)?;
    Ok(output)
}

/// Drops keys whose overlap has ended; that is a new version, because the edge must know.
pub(super) fn expire(store: &Store<'_>, author: &Author) -> Answer<()> {
    let now = [store.now.into()];
    if !store.sql.any("SELECT 1 FROM context_key WHERE expires_at <= ?", &now)? {
        return Ok(());
    }
    store.sql.run("DELETE FROM context_key WHERE expires_at <= ?", &now)?;
    let Some(meta) = store.meta()? else { return Ok(()) };
    let version = store.advance(&meta, author, "expire", "context-key")?;
    let entry = Entry { action: "expire", entity: "context-key", version: Some(version), before: None, after: None };
    store.audit(author, &entry)
}

/// When the next key ends.
pub(super) fn next_expiry(store: &Store<'_>) -> Answer<Option<i64>> {
    let row = store.sql.first("SELECT min(expires_at) FROM context_key", &[])?;
    Ok(row.map(|row| row.optional_integer(0)).transpose()?.flatten())
}
