//! Schemas and their migrations. The version is kept in a table of our own.

use super::sql::{Sql, SqlError};

/// The statements that lead from one version of a schema to the next.
pub type Step = &'static [&'static str];

/// Whether anything was ever stored here. Asking creates nothing, so that a made-up name costs
/// no storage.
pub fn exists(sql: &dyn Sql) -> Result<bool, SqlError> {
    sql.any("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", &[])
}

/// Brings the schema to its newest version.
pub fn migrate(sql: &dyn Sql, steps: &[Step]) -> Result<(), SqlError> {
    let known = exists(sql)?;
    let current = if known { sql.number("SELECT version FROM schema_version", &[])? } else { 0 };
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    if current == steps.len() {
        return Ok(());
    }
    if current > steps.len() {
        return Err(SqlError(format!("the stored schema {current} is newer than this program's {}", steps.len())));
    }
    for statement in steps[current..].iter().copied().flatten() {
        sql.run(statement, &[])?;
    }
    if !known {
        sql.run("CREATE TABLE schema_version (version INTEGER NOT NULL)", &[])?;
        sql.run("INSERT INTO schema_version VALUES (0)", &[])?;
    }
    sql.run("UPDATE schema_version SET version = ?", &[steps.len().into()])?;
    Ok(())
}

/// The append-only audit, the same for every object that has one.
pub const AUDIT: &str = "CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    entity TEXT NOT NULL, reason TEXT, version INTEGER, before TEXT, after TEXT,
    previous TEXT NOT NULL, hash TEXT NOT NULL)";

/// Tokens, the same for every object that has them.
pub const TOKEN: &str = "CREATE TABLE token (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, role TEXT, name TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE, expires_at INTEGER, created_at INTEGER NOT NULL, created_by TEXT NOT NULL)";

/// What bulk answers to a token carry besides the flags, separated by commas.
pub const TOKEN_OFREP: &str = "ALTER TABLE token ADD COLUMN ofrep TEXT NOT NULL DEFAULT ''";

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;

    /// Storage that is out there was made by these very statements: a released step never changes,
    /// a new one is added.
    #[test]
    fn released_steps_are_pinned() {
        use super::super::{directory, environment, metrics, pointer, stream};
        let pin = |steps: &[Step]| {
            let hash = |step: &Step| crate::token::sha256_hex(&step.join(";"))[..12].to_owned();
            steps.iter().map(hash).collect::<Vec<_>>()
        };
        assert_eq!(pin(environment::TABLES), ["b04fb9757c01", "85fec3840a58", "8ddc60c16c7a"]);
        assert_eq!(pin(directory::SCHEMA), ["1173894efc39", "85fec3840a58", "cd027e7799f5"]);
        assert_eq!(pin(pointer::SCHEMA), ["3e7a549037d5", "d91af57baa78"]);
        assert_eq!(pin(metrics::SCHEMA), ["3413e3d6df2e"]);
        assert_eq!(pin(stream::SCHEMA), ["1932b07c0749"]);
    }

    #[test]
    fn steps_run_once_each_and_a_newer_schema_is_left_alone() {
        let memory = Memory::new();
        let sql: &dyn Sql = &memory;
        let first: &[Step] = &[&["CREATE TABLE a (x INTEGER)"]];
        let second: &[Step] = &[first[0], &["ALTER TABLE a ADD COLUMN y INTEGER"]];
        assert_eq!(exists(sql), Ok(false));
        migrate(sql, first).expect("creates");
        migrate(sql, first).expect("does nothing");
        migrate(sql, second).expect("adds");
        assert_eq!(sql.number("SELECT count(*) FROM pragma_table_info('a')", &[]), Ok(2));
        assert!(migrate(sql, first).is_err());
    }
}
