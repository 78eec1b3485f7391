//! What an environment stores, and how its current state is read.

use super::super::document::Sort;
use super::super::entropy::Entropy;
use super::super::schema::{AUDIT, Step, TOKEN, TOKEN_OFREP};
use super::super::sql::{Cell, Sql, SqlError};
use super::super::{Author, Input, audit};
use crate::http::{Answer, Fault, Refusal};
use crate::time::Instant;

/// The schema, step by step. A step that was released is never changed.
pub(crate) const SCHEMA: &[Step] = &[FIRST, &[TOKEN_OFREP], ROUTED];

const ROUTED: Step = &[
    // One row: the hostnames that the directory was told of, and those that it is being told of.
    "CREATE TABLE routed (held TEXT NOT NULL, told TEXT NOT NULL)",
    "INSERT INTO routed VALUES ('', '')",
];

const FIRST: Step = &[
    // One row: what counts. `sequence` rises with every change of the pointer, `bytes` is the
    // sum of all documents' lengths.
    "CREATE TABLE meta (
        environment TEXT NOT NULL, incarnation INTEGER NOT NULL, version INTEGER NOT NULL,
        sequence INTEGER NOT NULL, killed INTEGER NOT NULL, deleted INTEGER NOT NULL,
        next_flag INTEGER NOT NULL, bytes INTEGER NOT NULL, created_at INTEGER NOT NULL)",
    // One row: what the edge was told. `flight` is the publication that is under way.
    "CREATE TABLE publication (
        incarnation INTEGER NOT NULL, version INTEGER NOT NULL, sequence INTEGER NOT NULL,
        flight TEXT, started_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
        retry_at INTEGER NOT NULL, error TEXT)",
    "CREATE TABLE entity (
        kind TEXT NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, revision INTEGER NOT NULL,
        version INTEGER NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL, document TEXT NOT NULL)",
    "CREATE UNIQUE INDEX entity_key ON entity (kind, key)",
    "CREATE TABLE reference (
        from_kind TEXT NOT NULL, from_key TEXT NOT NULL, to_kind TEXT NOT NULL, to_key TEXT NOT NULL,
        variant TEXT NOT NULL, PRIMARY KEY (from_kind, from_key, to_kind, to_key, variant)) WITHOUT ROWID",
    "CREATE INDEX reference_to ON reference (to_kind, to_key)",
    "CREATE TABLE history (
        kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, version INTEGER NOT NULL,
        id INTEGER NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        reason TEXT, document TEXT)",
    "CREATE UNIQUE INDEX history_key ON history (kind, key, revision)",
    "CREATE INDEX history_version ON history (version)",
    "CREATE TABLE version (
        version INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        entity TEXT NOT NULL, reason TEXT)",
    // Kills by flag id. When a killed flag went and was made again, that of its former id counts as
    // lifted and stays for a while: an edge that still serves the snapshot before must go on
    // serving it killed.
    "CREATE TABLE kill (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL,
        reason TEXT, lifted_at INTEGER)",
    "CREATE INDEX kill_key ON kill (key)",
    "CREATE TABLE artifact (key TEXT PRIMARY KEY, superseded_at INTEGER, deleting INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE context_key (
        number INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT NOT NULL, created_at INTEGER NOT NULL,
        expires_at INTEGER)",
    TOKEN,
    AUDIT,
];

/// The one row of `meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) environment: String,
    pub(super) incarnation: i64,
    pub(super) version: i64,
    pub(super) sequence: i64,
    pub(super) killed: bool,
    pub(super) deleted: bool,
    pub(super) next_flag: i64,
    pub(super) bytes: i64,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) revision: i64,
    pub(super) at: Instant,
    pub(super) actor: String,
    pub(super) document: String,
}

/// One environment's storage during one call.
pub(super) struct Store<'a> {
    pub(super) sql: &'a dyn Sql,
    pub(super) now: Instant,
    pub(super) entropy: Entropy<'a>,
    /// Hostnames that the directory has granted for what is being written.
    pub(super) granted: Vec<String>,
}

impl<'a> Store<'a> {
    pub(super) fn new(sql: &'a dyn Sql, input: &Input<'a>) -> Self {
        Self { sql, now: input.now, entropy: Entropy::new(input.entropy), granted: Vec::new() }
    }

    /// The state, or `None` where no environment was ever made.
    pub(super) fn meta(&self) -> Result<Option<Meta>, SqlError> {
        let row = self.sql.first(
            "SELECT environment, incarnation, version, sequence, killed, deleted, next_flag, bytes FROM meta",
            &[],
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Meta {
            environment: row.text(0)?,
            incarnation: row.integer(1)?,
            version: row.integer(2)?,
            sequence: row.integer(3)?,
            killed: row.integer(4)? != 0,
            deleted: row.integer(5)? != 0,
            next_flag: row.integer(6)?,
            bytes: row.integer(7)?,
        }))
    }

    /// The state of an environment that must be there.
    pub(super) fn live(&self) -> Answer<Meta> {
        match self.meta()? {
            Some(meta) if !meta.deleted => Ok(meta),
            _ => Err(Refusal::new(Fault::UnknownEnvironment, "create it with PUT, or import a project document")),
        }
    }

    /// A current document.
    pub(super) fn find(&self, sort: Sort, key: &str) -> Result<Option<Stored>, SqlError> {
        let row = self.sql.first(
            "SELECT id, revision, at, actor, document FROM entity WHERE kind = ? AND key = ?",
            &[sort.word().into(), key.into()],
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Stored {
            id: row.integer(0)?,
            revision: row.integer(1)?,
            at: Instant::from_millis(row.integer(2)?),
            actor: row.text(3)?,
            document: row.text(4)?,
        }))
    }

    /// The id of a flag's kill, if it is killed.
    pub(super) fn kill_of(&self, key: &str) -> Result<Option<i64>, SqlError> {
        let row = self.sql.first("SELECT id FROM kill WHERE key = ? AND lifted_at IS NULL", &[key.into()])?;
        row.map(|row| row.integer(0)).transpose()
    }

    /// The next version, noted with its author; the pointer moves with it.
    pub(super) fn advance(&self, meta: &Meta, author: &Author, action: &str, entity: &str) -> Answer<i64> {
        let version = meta.version + 1;
        self.sql.run("UPDATE meta SET version = ?, sequence = sequence + 1", &[version.into()])?;
        let params: [Cell; 6] = [
            version.into(),
            self.now.into(),
            (&author.actor).into(),
            action.into(),
            entity.into(),
            author.reason.as_ref().into(),
        ];
        self.sql.run("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?)", &params)?;
        Ok(version)
    }

    /// Adds an audit entry.
    pub(super) fn audit(&self, author: &Author, entry: &audit::Entry<'_>) -> Answer<()> {
        audit::append(self.sql, self.now, author, entry)
    }
}

/// The entity tag of a revision; the incarnation keeps tags of before a restoration apart.
pub(super) fn etag(meta: &Meta, revision: i64) -> String {
    format!("\"{}-{revision}\"", meta.incarnation)
}
