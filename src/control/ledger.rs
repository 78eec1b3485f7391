//! The ledger of one environment's events. It counts what the queue delivered, each message once
//! in effect.

use super::metrics::{self, Gauge};
use super::sql::Sql;
use super::{Effect, Input, Output, schema};
use crate::event::{EventKind, Message};
use crate::http::{Answer, Fault, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a ledger is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Takes a message of the queue.
    Take {
        /// The queue's id of the message: a delivery may be repeated.
        id: String,
        /// The message, a [`Message`] as JSON.
        message: String,
    },
}

const SCHEMA: &[schema::Step] = &[&[
    "CREATE TABLE taken (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX taken_at ON taken (at)",
    "CREATE TABLE total (type TEXT PRIMARY KEY, events INTEGER NOT NULL) WITHOUT ROWID",
]];

/// How long a message's id is remembered, milliseconds: the queue keeps messages for four days.
const REMEMBERED: i64 = 4 * 24 * 3_600 * 1_000;

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let Call::Take { id, message } = serde_json::from_str(input.call)?;
    let message: Message =
        serde_json::from_str(&message).map_err(|error| Refusal::new(Fault::Invalid, error.to_string()))?;
    schema::migrate(sql, SCHEMA)?;
    let now = input.now;
    if sql.any("SELECT 1 FROM taken WHERE id = ?", &[id.as_str().into()])? {
        return Ok(Output::text(Some("known".to_owned())));
    }
    sql.run("DELETE FROM taken WHERE at < ?", &[now.plus_millis(-REMEMBERED).into()])?;
    sql.run("INSERT INTO taken VALUES (?, ?)", &[id.into(), now.into()])?;
    for kind in [EventKind::Exposure, EventKind::Conversion, EventKind::Measurement] {
        let events = message.events.iter().filter(|event| event.kind == kind).count();
        let add = "INSERT INTO total VALUES (?1, ?2) ON CONFLICT (type) DO UPDATE SET events = events + ?2";
        sql.run(add, &[kind.word().into(), events.into()])?;
    }
    let effects = vec![gauges(sql, &message.environment)?];
    Ok(Output { effects, ..Output::text(Some("taken".to_owned())) })
}

/// The totals on their way to `/metrics`; sent as they stand, so that a repetition changes nothing.
fn gauges(sql: &dyn Sql, environment: &str) -> Answer<Effect> {
    let rows = sql.rows("SELECT type, events FROM total ORDER BY type", &[])?;
    let gauge = |row: super::sql::Row| {
        let kind = row.text(0)?;
        let labels = BTreeMap::from([("environment".to_owned(), environment.to_owned()), ("type".to_owned(), kind)]);
        Ok(Gauge("headgate_events".to_owned(), labels, row.integer(1)?))
    };
    let gauges = rows.into_iter().map(gauge).collect::<Answer<Vec<_>>>()?;
    let message = metrics::Call::Gauges { source: format!("ledger {environment}"), gauges };
    Ok(Effect::Gauges { message: serde_json::to_string(&message)? })
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;
    use crate::time::Instant;

    fn take(memory: &Memory, id: &str, message: &str) -> Output {
        let call = serde_json::to_string(&Call::Take { id: id.to_owned(), message: message.to_owned() }).expect("JSON");
        handle(memory, &Input { now: Instant::from_millis(1), entropy: &[0; 64], call: &call })
    }

    const MESSAGE: &str = r#"{"environment":"p/e","received":1,"events":[
        {"type":"exposure","unit":"u","name":"f"},{"type":"conversion","id":"1","unit":"u","name":"m","value":2}]}"#;

    #[test]
    fn a_message_delivered_twice_counts_once() {
        let memory = Memory::new();
        assert_eq!(take(&memory, "a", MESSAGE).reply.as_deref(), Some("taken"));
        assert_eq!(take(&memory, "a", MESSAGE).reply.as_deref(), Some("known"));
        let output = take(&memory, "b", MESSAGE);
        let [Effect::Gauges { message }] = output.effects.as_slice() else { panic!("one effect") };
        assert!(message.contains(r#"["headgate_events",{"environment":"p/e","type":"exposure"},2]"#), "{message}");
    }

    #[test]
    fn a_message_that_cannot_be_read_keeps_nothing() {
        let memory = Memory::new();
        assert!(!take(&memory, "a", "{}").commit);
        assert_eq!(take(&memory, "a", MESSAGE).reply.as_deref(), Some("taken"));
    }
}
