//! The metrics object: counts of all isolates and gauges of all environments, so that `/metrics`
//! speaks for the whole deployment and not for the isolate that happens to answer.

use super::sql::Sql;
use super::{Input, Output, schema};
use crate::http::{Answer, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of a series, by name.
pub type Labels = BTreeMap<String, String>;

/// What is added to a counter: name, labels, amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta(pub String, pub Labels, pub i64);

/// The present value of a gauge: name, labels, value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge(pub String, pub Labels, pub i64);

/// What the metrics object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Adds what an isolate has counted since its last flush.
    Add {
        /// The isolate's random name.
        isolate: String,
        /// Rises with every flush of the isolate; one not above the last is a repetition.
        #[serde(default)]
        flush: Option<i64>,
        /// The amounts.
        counters: Vec<Delta>,
    },
    /// Replaces all gauges of a source.
    Gauges {
        /// Whose gauges they are.
        source: String,
        /// The values.
        gauges: Vec<Gauge>,
    },
    /// Answers everything, as [`Series`].
    Read,
    /// Answers that it is there.
    Ping,
}

/// One counter or gauge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: i64,
    /// Whether it only ever rises.
    pub counter: bool,
}

pub(crate) const SCHEMA: &[schema::Step] = &[&[
    "CREATE TABLE series (
        source TEXT NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, value INTEGER NOT NULL,
        PRIMARY KEY (source, name, labels)) WITHOUT ROWID",
    "CREATE TABLE isolate (name TEXT PRIMARY KEY, flush INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
]];

/// Series at most; more than that is a mistake in somebody's labels.
const SERIES: i64 = 20_000;
/// How long an isolate's last flush is remembered; isolates live for hours.
const REMEMBERED: i64 = 2 * 24 * 3600 * 1000;

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let call = serde_json::from_str(input.call)?;
    schema::migrate(sql, SCHEMA)?;
    match call {
        Call::Add { isolate, flush, counters } => {
            if let Some(flush) = flush
                && repeated(sql, input, &isolate, flush)?
            {
                return Ok(Output::text(None));
            }
            let full = sql.number("SELECT count(*) FROM series", &[])? >= SERIES;
            for Delta(name, labels, amount) in counters.iter().filter(|delta| is_name(&delta.0)) {
                add(sql, full, name, labels, *amount)?;
            }
            Ok(Output::text(None))
        }
        Call::Gauges { source, gauges } => {
            sql.run("DELETE FROM series WHERE source = ?", &[(&source).into()])?;
            for Gauge(name, labels, value) in gauges.iter().filter(|gauge| is_name(&gauge.0)) {
                let labels = serde_json::to_string(labels)?;
                let insert = "INSERT INTO series VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
                sql.run(insert, &[(&source).into(), name.into(), labels.into(), (*value).into()])?;
            }
            Ok(Output::text(None))
        }
        Call::Read => read(sql),
        Call::Ping => Ok(Output::reply(&Reply::json(200, "{}"))),
    }
}

/// Counters have the empty source.
fn add(sql: &dyn Sql, full: bool, name: &str, labels: &Labels, amount: i64) -> Answer<()> {
    let labels = serde_json::to_string(labels)?;
    let params = [amount.into(), name.into(), labels.into()];
    if full {
        sql.run("UPDATE series SET value = value + ? WHERE source = '' AND name = ? AND labels = ?", &params)?;
        return Ok(());
    }
    let insert = "INSERT INTO series (source, value, name, labels) VALUES ('', ?, ?, ?)
                  ON CONFLICT DO UPDATE SET value = value + excluded.value";
    sql.run(insert, &params)?;
    Ok(())
}

fn repeated(sql: &dyn Sql, input: &Input<'_>, isolate: &str, flush: i64) -> Answer<bool> {
    let last = "SELECT 1 FROM isolate WHERE name = ? AND flush >= ?";
    if sql.any(last, &[isolate.into(), flush.into()])? {
        return Ok(true);
    }
    let insert = "INSERT INTO isolate VALUES (?, ?, ?)
                  ON CONFLICT (name) DO UPDATE SET flush = excluded.flush, at = excluded.at";
    sql.run(insert, &[isolate.into(), flush.into(), input.now.into()])?;
    sql.run("DELETE FROM isolate WHERE at < ?", &[input.now.plus_millis(-REMEMBERED).into()])?;
    Ok(false)
}

fn is_name(text: &str) -> bool {
    let start = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    start && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read(sql: &dyn Sql) -> Answer<Output> {
    let mut series = Vec::new();
    for row in sql.rows("SELECT source, name, labels, value FROM series ORDER BY name, labels", &[])? {
        let labels = serde_json::from_str(&row.text(2)?)?;
        series.push(Series { counter: row.text(0)?.is_empty(), name: row.text(1)?, labels, value: row.integer(3)? });
    }
    Ok(Output::reply(&Reply::value(200, &series)))
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;
    use crate::time::Instant;

    #[test]
    fn isolates_add_up_repetitions_do_not_and_gauges_replace() {
        let memory = Memory::new();
        let call = |call: &str| handle(&memory, &Input { now: Instant::from_millis(0), entropy: &[], call });
        for (isolate, flush, amount) in [("a", 1, 2), ("b", 1, 3), ("a", 1, 2), ("a", 2, 5)] {
            let counters = vec![Delta("headgate_requests_total".to_owned(), Labels::new(), amount)];
            let add = Call::Add { isolate: isolate.to_owned(), flush: Some(flush), counters };
            assert!(call(&serde_json::to_string(&add).expect("writes")).commit);
        }
        call(r#"{"gauges":{"source":"p/e","gauges":[["old",{},1],["headgate_flags",{},1]]}}"#);
        call(r#"{"gauges":{"source":"p/e","gauges":[["headgate_flags",{},7],["bad name",{},7]]}}"#);
        let reply: Reply = serde_json::from_str(&call(r#""read""#).reply.expect("answers")).expect("a reply");
        let series: Vec<Series> = serde_json::from_str(&reply.body).expect("series");
        let found: Vec<_> = series.iter().map(|s| (s.name.as_str(), s.value, s.counter)).collect();
        assert_eq!(found, [("headgate_flags", 7, false), ("headgate_requests_total", 10, true)]);
    }
}
