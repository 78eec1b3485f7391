//! The append-only audit. Each entry carries the hash of the one before, so that a removed or
//! altered entry breaks the chain.

use super::sql::{Row, Sql, SqlError};
use super::{Author, Paged, raw};
use crate::http::{Answer, Query, Reply};
use crate::time::Instant;
use crate::token::sha256_hex;
use serde::Serialize;
use serde_json::value::RawValue;

/// What is noted of a change.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// What was done: `create`, `update`, `kill`…
    pub action: &'a str,
    /// To what: `flags/new-checkout`, `settings`, `environment`.
    pub entity: &'a str,
    /// The environment's version that the change made, if it made one.
    pub version: Option<i64>,
    /// JSON of what was there before.
    pub before: Option<&'a str>,
    /// JSON of what is there now.
    pub after: Option<&'a str>,
}

/// The hash before the first entry.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An entry as it is answered; its JSON without `hash` is what the hash is taken over.
#[derive(Serialize)]
struct Wire {
    sequence: i64,
    at: String,
    actor: String,
    action: String,
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Box<RawValue>>,
    previous: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hash: String,
}

/// Adds an entry.
pub fn append(sql: &dyn Sql, now: Instant, author: &Author, entry: &Entry<'_>) -> Answer<()> {
    let last = sql.first("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1", &[])?;
    let (sequence, previous) = match last {
        Some(row) => (row.integer(0)? + 1, row.text(1)?),
        None => (1, GENESIS.to_owned()),
    };
    let wire = Wire {
        sequence,
        at: now.to_string(),
        actor: author.actor.clone(),
        action: entry.action.to_owned(),
        entity: entry.entity.to_owned(),
        reason: author.reason.clone(),
        version: entry.version,
        before: entry.before.map(raw).transpose()?,
        after: entry.after.map(raw).transpose()?,
        previous: previous.clone(),
        hash: String::new(),
    };
    let hash = sha256_hex(&serde_json::to_string(&wire)?);
    sql.run(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            sequence.into(),
            now.into(),
            (&author.actor).into(),
            entry.action.into(),
            entry.entity.into(),
            author.reason.as_ref().into(),
            entry.version.into(),
            entry.before.into(),
            entry.after.into(),
            previous.into(),
            hash.into(),
        ],
    )?;
    Ok(())
}

const COLUMNS: &str = "sequence, at, actor, action, entity, reason, version, before, after, previous, hash";

fn wire(row: &Row) -> Answer<Wire> {
    Ok(Wire {
        sequence: row.integer(0)?,
        at: Instant::from_millis(row.integer(1)?).to_string(),
        actor: row.text(2)?,
        action: row.text(3)?,
        entity: row.text(4)?,
        reason: row.optional_text(5)?,
        version: row.optional_integer(6)?,
        before: row.optional_text(7)?.map(raw).transpose()?,
        after: row.optional_text(8)?.map(raw).transpose()?,
        previous: row.text(9)?,
        hash: row.text(10)?,
    })
}

/// Answers a page of entries, newest first, by the parameters `entity`, `actor`, `from`, `to`.
pub fn list(sql: &dyn Sql, query: &Query) -> Answer<Reply> {
    let page = query.page()?;
    let mut clauses = vec!["1 = 1"];
    let mut params = Vec::new();
    if let Some(after) = page.number()? {
        clauses.push("sequence < ?");
        params.push(after.into());
    }
    for (name, clause) in [("entity", "entity = ?"), ("actor", "actor = ?")] {
        if let Some(value) = query.get(name) {
            clauses.push(clause);
            params.push(value.into());
        }
    }
    for (name, clause) in [("from", "at >= ?"), ("to", "at < ?")] {
        if let Some(at) = query.instant(name)? {
            clauses.push(clause);
            params.push(at.into());
        }
    }
    let clauses = clauses.join(" AND ");
    let numbers = sql.rows(
        &format!("SELECT sequence FROM audit WHERE {clauses} ORDER BY sequence DESC LIMIT {}", page.limit + 1),
        &params,
    )?;
    let mut items = Vec::new();
    let mut bytes = 0;
    let mut limit = page.limit;
    for row in numbers {
        let one = format!("SELECT {COLUMNS} FROM audit WHERE sequence = ?");
        let Some(row) = sql.first(&one, &[row.integer(0)?.into()])? else { continue };
        let item = wire(&row)?;
        bytes += [&item.before, &item.after].into_iter().flatten().map(|text| text.get().len()).sum::<usize>();
        items.push(item);
        if bytes > PAGE_BYTES {
            limit = limit.min(items.len() - 1).max(1);
        }
        if items.len() > limit {
            break;
        }
    }
    Ok(Reply::value(200, &Paged::of(items, limit, |item| item.sequence.to_string())))
}

/// Bytes of documents on one page, well below what one answer of an object may carry.
pub(crate) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Checks the whole chain; the error names the first entry that does not fit.
pub fn verify(sql: &dyn Sql) -> Result<i64, SqlError> {
    let mut previous = GENESIS.to_owned();
    let mut expected = 0;
    loop {
        let query = format!("SELECT {COLUMNS} FROM audit WHERE sequence > ? ORDER BY sequence LIMIT 100");
        let rows = sql.rows(&query, &[expected.into()])?;
        if rows.is_empty() {
            return Ok(expected);
        }
        for row in rows {
            expected += 1;
            let mut entry = wire(&row).map_err(|refusal| SqlError(refusal.detail().to_owned()))?;
            let hash = std::mem::take(&mut entry.hash);
            let text = serde_json::to_string(&entry).unwrap_or_default();
            if entry.sequence != expected || entry.previous != previous || sha256_hex(&text) != hash {
                return Err(SqlError(format!("audit entry {expected} does not fit the chain")));
            }
            previous = hash;
        }
    }
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::schema::AUDIT;
    use super::super::sql::memory::Memory;
    use super::*;

    #[test]
    fn the_chain_notices_what_was_altered_or_removed() {
        let memory = Memory::new();
        let sql: &dyn Sql = &memory;
        sql.run(AUDIT, &[]).expect("creates");
        let author = Author { actor: "ann".to_owned(), reason: None };
        for version in 1..=3 {
            let entry =
                Entry { action: "update", entity: "flags/x", version: Some(version), before: None, after: Some("{}") };
            append(sql, Instant::from_millis(version), &author, &entry).expect("appends");
        }
        assert_eq!(verify(sql), Ok(3));
        let query = Query::read("limit=2&actor=ann", &["limit", "actor"]).expect("valid");
        assert!(list(sql, &query).expect("lists").body.ends_with(r#""next":"2"}"#));
        sql.run("UPDATE audit SET actor = 'eve' WHERE sequence = 2", &[]).expect("alters");
        assert!(verify(sql).expect_err("broken").0.contains("entry 2"));
        sql.run("DELETE FROM audit WHERE sequence = 1", &[]).expect("removes");
        assert!(verify(sql).expect_err("broken").0.contains("entry 1"));
    }
}
