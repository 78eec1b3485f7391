//! Which environment routes a hostname. The directory alone says so, because two environments know nothing
//! of each other; KV holds a copy that isolates read.
//!
//! A hostname is *claimed* while a route is written, and *held* once the environment has published it. A
//! claim whose write never came ends by itself.

use super::sql::Sql;
use super::{Effect, Output};
use crate::http::{Answer, Fault, Refusal};
use crate::json::Problem;
use crate::route::pattern::hosts_overlap;
use crate::time::Instant;

/// A claimed hostname without a holder is a former one, of which KV may still have a copy.
pub(super) const TABLE: &str = "CREATE TABLE hostname (
    host TEXT PRIMARY KEY, environment TEXT, held INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID";

/// How long a claim waits for its write, milliseconds.
const PATIENCE: i64 = 60_000;
/// How long a former hostname is remembered, so that its copy in KV surely goes, milliseconds.
const MEMORY: i64 = 24 * 3_600_000;

/// The hostnames of a claim: one a line, each followed by a space and where it stands in the caller's
/// document, a JSON pointer.
pub fn lines(wanted: &str) -> impl Iterator<Item = (&str, &str)> {
    wanted.lines().filter_map(|line| line.split_once(' '))
}

/// Where KV has the copy.
fn key(host: &str) -> String {
    format!("host/{host}")
}

/// Claims hostnames for an environment, all or none.
pub(super) fn claim(sql: &dyn Sql, now: Instant, environment: &str, wanted: &str) -> Answer<()> {
    let mut problems = Vec::new();
    for (host, pointer) in lines(wanted) {
        if is_taken(sql, now, environment, host)? {
            let detail = format!("`{host}` is routed by another environment");
            problems.push(Problem { pointer: pointer.to_owned(), detail });
            continue;
        }
        sql.run(
            "INSERT INTO hostname VALUES (?1, ?2, 0, ?3) ON CONFLICT (host) DO UPDATE
             SET held = held AND environment = ?2, environment = ?2, at = ?3",
            &[host.into(), environment.into(), now.into()],
        )?;
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::listing(Fault::HostTaken, problems)) }
}

/// Whether another environment has the hostname, or one that its pattern or theirs covers.
fn is_taken(sql: &dyn Sql, now: Instant, environment: &str, host: &str) -> Answer<bool> {
    let below = host.split_once('.').map_or("", |(_, below)| below);
    let query = "SELECT host FROM hostname WHERE environment <> ?1 AND (held = 1 OR at > ?2)
                 AND (host = ?3 OR host LIKE '%.' || ?4)";
    let since = now.plus_millis(-PATIENCE);
    let rows = sql.rows(query, &[environment.into(), since.into(), host.into(), below.into()])?;
    for row in rows {
        if hosts_overlap(&row.text(0)?, host) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes note of all hostnames that an environment routes, one a line; those that it had before are free.
pub(super) fn hold(sql: &dyn Sql, now: Instant, environment: &str, hosts: &str) -> Answer<Output> {
    for host in hosts.lines() {
        if !is_taken(sql, now, environment, host)? {
            sql.run(
                "INSERT INTO hostname VALUES (?1, ?2, 1, ?3) ON CONFLICT (host) DO UPDATE
                 SET environment = ?2, held = 1, at = ?3",
                &[host.into(), environment.into(), now.into()],
            )?;
        }
    }
    sql.run(
        "UPDATE hostname SET environment = NULL, held = 0, at = ?1 WHERE environment = ?2
         AND (held = 1 OR at <= ?3) AND instr(char(10) || ?4 || char(10), char(10) || host || char(10)) = 0",
        &[now.into(), environment.into(), now.plus_millis(-PATIENCE).into(), hosts.into()],
    )?;
    let mut output = Output::text(None);
    output.effects = copies(sql, environment)?;
    let forget = "DELETE FROM hostname WHERE environment IS NULL AND at <= ?";
    sql.run(forget, &[now.plus_millis(-MEMORY).into()])?;
    Ok(output)
}

/// What makes KV's copy true for an environment and for the hostnames that nobody routes any more.
fn copies(sql: &dyn Sql, environment: &str) -> Answer<Vec<Effect>> {
    let query = "SELECT host, environment FROM hostname WHERE environment IS NULL OR (environment = ? AND held = 1)";
    let mut effects = Vec::new();
    for row in sql.rows(query, &[environment.into()])? {
        let key = key(&row.text(0)?);
        effects.push(match row.optional_text(1)? {
            Some(text) => Effect::Put { key, text },
            None => Effect::Delete { key },
        });
    }
    Ok(effects)
}

/// The environment that routes a hostname, by its name or by a pattern.
pub(super) fn holder(sql: &dyn Sql, host: &str) -> Answer<Option<String>> {
    let wide = host.split_once('.').map(|(_, below)| format!("*.{below}")).unwrap_or_default();
    let query = "SELECT environment FROM hostname WHERE host IN (?1, ?2) AND held = 1 ORDER BY host = ?1 DESC";
    let row = sql.first(query, &[host.into(), wide.into()])?;
    Ok(row.map(|row| row.text(0)).transpose()?)
}

/// Every hostname that KV should have a copy of, with its environment, and those of which it should not.
pub(super) fn all(sql: &dyn Sql) -> Answer<String> {
    let query = "SELECT json_group_array(json_array(host, environment)) FROM hostname
                 WHERE environment IS NULL OR held = 1";
    Ok(sql.first(query, &[])?.map(|row| row.text(0)).transpose()?.unwrap_or_default())
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;

    fn wanted(hosts: &[&str]) -> String {
        hosts.iter().flat_map(|host| [host, " /host\n"]).collect()
    }

    #[test]
    fn a_hostname_is_claimed_by_one_held_once_published_and_free_when_left() {
        let (memory, now) = (Memory::new(), Instant::from_millis(1_000_000));
        let sql: &dyn Sql = &memory;
        sql.run(TABLE, &[]).expect("a table");
        claim(sql, now, "a/e", &wanted(&["www.x", "*.y.x"])).expect("free");
        claim(sql, now, "a/e", &wanted(&["www.x"])).expect("its own");
        let refused = claim(sql, now, "b/e", &wanted(&["www.x", "z.y.x", "free.x"])).expect_err("taken");
        assert_eq!(refused.problems().len(), 2);
        let output = hold(sql, now, "a/e", "www.x\nz.x").expect("holds");
        let put = |host: &str| Effect::Put { key: format!("host/{host}"), text: "a/e".to_owned() };
        assert_eq!(output.effects, [put("www.x"), put("z.x")]);
        assert_eq!(holder(sql, "www.x").expect("reads").as_deref(), Some("a/e"));
        assert_eq!(holder(sql, "z.y.x").expect("reads"), None, "claimed, and no route is published");
        // The claim beside it has a minute for its write.
        let later = now.plus_millis(PATIENCE);
        assert!(claim(sql, later.plus_millis(-1), "b/e", &wanted(&["z.y.x"])).is_err());
        claim(sql, later, "b/e", &wanted(&["z.y.x"])).expect("free again");
        assert!(claim(sql, later, "b/e", &wanted(&["www.x"])).is_err(), "held for as long as it is routed");
        let output = hold(sql, later, "a/e", "").expect("lets go");
        assert!(output.effects.contains(&Effect::Delete { key: "host/www.x".to_owned() }));
        claim(sql, later, "b/e", &wanted(&["www.x", "*.x"])).expect("free");
        assert!(claim(sql, later, "a/e", &wanted(&["mail.x"])).is_err(), "covered by a pattern");
        assert!(claim(sql, later, "a/e", &wanted(&["*.y.x"])).is_err(), "covers another's");
    }

    #[test]
    fn a_former_hostname_is_forgotten_after_a_day() {
        let (memory, now) = (Memory::new(), Instant::from_millis(0));
        let sql: &dyn Sql = &memory;
        sql.run(TABLE, &[]).expect("a table");
        hold(sql, now, "a/e", "www.x").expect("holds");
        hold(sql, now, "a/e", "").expect("lets go");
        assert_eq!(all(sql).expect("lists"), r#"[["www.x",null]]"#);
        hold(sql, now.plus_millis(MEMORY), "b/e", "").expect("nothing to do");
        assert_eq!(all(sql).expect("lists"), "[]");
    }
}
