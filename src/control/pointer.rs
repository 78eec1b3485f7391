//! The pointer object: the one place that says which snapshot counts. Readers ask it about once a
//! second and never touch the environment. It only ever moves forward.

use super::environment::Pointer;
use super::sql::{Row, Sql, SqlError};
use super::{Effect, Input, Output, schema};
use crate::http::Answer;
use serde::{Deserialize, Serialize};

/// What a pointer object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Moves the pointer, unless it is there or beyond already; answers the pointer that counts. The
    /// effects tell the streams.
    Move {
        /// The pointer's text.
        pointer: String,
    },
    /// Answers the pointer's text, or null.
    Read,
    /// Registers a shard of the environment's streams; answers the pointer's text, or null where
    /// there is no environment.
    Join {
        /// The shard's name.
        shard: String,
    },
    /// Notes how notices went.
    Told {
        /// The receipt that came with the effects.
        receipt: String,
        /// The shards that answered.
        shards: Vec<Told>,
    },
    /// Tells the shards that have not been told.
    Tell,
}

/// A shard that took a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The shard's name.
    pub name: String,
    /// The number that came with the effect.
    pub joined: i64,
    /// Whether nobody is there.
    pub gone: bool,
}

pub(crate) const SCHEMA: &[schema::Step] = &[
    &["CREATE TABLE pointer (incarnation INTEGER NOT NULL, sequence INTEGER NOT NULL, text TEXT NOT NULL)"],
    // Shards of streams, and the pointer that each was told of. `joined` counts how often it has
    // registered, so that a shard which registers anew is not taken for gone.
    &["CREATE TABLE shard (name TEXT PRIMARY KEY, joined INTEGER NOT NULL, incarnation INTEGER NOT NULL,
        sequence INTEGER NOT NULL, attempts INTEGER NOT NULL) WITHOUT ROWID"],
];

/// How often a shard is told of one pointer before it is given up until the next.
const ATTEMPTS: i64 = 6;
/// Milliseconds until it is told again, doubled with each attempt.
const RETRY: i64 = 1_000;

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let call = serde_json::from_str(input.call)?;
    let creates = matches!(call, Call::Move { .. });
    if !creates && !schema::exists(sql)? {
        return Ok(Output::text(None));
    }
    schema::migrate(sql, SCHEMA)?;
    match call {
        Call::Read => {}
        Call::Move { pointer } => {
            if advance(sql, &pointer)? {
                let told = tell(sql, input)?;
                return Ok(Output { reply: Some(pointer), ..told });
            }
        }
        Call::Join { shard } => join(sql, &shard)?,
        Call::Told { receipt, shards } => told(sql, &receipt, &shards)?,
        Call::Tell => return tell(sql, input),
    }
    Ok(Output::text(current(sql)?.map(|row| row.text(2)).transpose()?))
}

fn current(sql: &dyn Sql) -> Result<Option<Row>, SqlError> {
    sql.first("SELECT incarnation, sequence, text FROM pointer", &[])
}

/// Moves the pointer forward; false when it is there or beyond already.
fn advance(sql: &dyn Sql, text: &str) -> Answer<bool> {
    let (incarnation, sequence) = serde_json::from_str::<Pointer>(text)?.order();
    if let Some(row) = current(sql)?
        && (row.integer(0)?, row.integer(1)?) >= (incarnation, sequence)
    {
        return Ok(false);
    }
    sql.run("DELETE FROM pointer", &[])?;
    sql.run("INSERT INTO pointer VALUES (?, ?, ?)", &[incarnation.into(), sequence.into(), text.into()])?;
    sql.run("UPDATE shard SET attempts = 0", &[])?;
    Ok(true)
}

fn join(sql: &dyn Sql, shard: &str) -> Result<(), SqlError> {
    let insert = "INSERT INTO shard SELECT ?, 1, incarnation, sequence, 0 FROM pointer WHERE true
        ON CONFLICT (name) DO UPDATE SET
        joined = joined + 1, incarnation = excluded.incarnation, sequence = excluded.sequence";
    sql.run(insert, &[shard.into()])?;
    Ok(())
}

/// Effects for every shard that has not heard of the pointer, and when to look again.
fn tell(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let mut output = Output::text(None);
    let Some(pointer) = current(sql)? else { return Ok(output) };
    let (incarnation, sequence, text) = (pointer.integer(0)?, pointer.integer(1)?, pointer.text(2)?);
    let query = "SELECT name, joined, attempts FROM shard
        WHERE (incarnation, sequence) < (?, ?) AND attempts < ? ORDER BY name";
    let mut attempts = 0;
    for row in sql.rows(query, &[incarnation.into(), sequence.into(), ATTEMPTS.into()])? {
        output.effects.push(Effect::Notice { name: row.text(0)?, joined: row.integer(1)?, pointer: text.clone() });
        attempts = attempts.max(row.integer(2)?);
    }
    if !output.effects.is_empty() {
        let count = "UPDATE shard SET attempts = attempts + 1 WHERE (incarnation, sequence) < (?, ?)";
        sql.run(count, &[incarnation.into(), sequence.into()])?;
        output.receipt = Some(format!("{incarnation}.{sequence}"));
        output.alarm = Some(input.now.plus_millis(RETRY << attempts).millis());
    }
    Ok(output)
}

fn told(sql: &dyn Sql, receipt: &str, shards: &[Told]) -> Result<(), SqlError> {
    let order = receipt.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let Some((incarnation, sequence)): Option<(i64, i64)> = order else { return Ok(()) };
    for Told { name, joined, gone } in shards {
        if *gone {
            sql.run("DELETE FROM shard WHERE name = ? AND joined = ?", &[name.into(), (*joined).into()])?;
        } else {
            let note = "UPDATE shard SET incarnation = ?1, sequence = ?2
                WHERE name = ?3 AND (incarnation, sequence) < (?1, ?2)";
            sql.run(note, &[incarnation.into(), sequence.into(), name.into()])?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;
    use crate::time::Instant;

    #[test]
    fn the_pointer_never_moves_back() {
        let memory = Memory::new();
        let call = |call: &str| {
            let input = Input { now: Instant::from_millis(0), entropy: &[], call };
            memory.transaction(|sql| {
                let output = handle(sql, &input);
                let commit = output.commit;
                (output, commit)
            })
        };
        let text = |incarnation, sequence| {
            format!(r#"{{"incarnation":{incarnation},"sequence":{sequence},"version":1,"kill":false,"killed":[]}}"#)
        };
        let put = |pointer: String| {
            let message = serde_json::to_string(&Call::Move { pointer }).expect("writes");
            call(&message).reply.expect("answers")
        };
        assert_eq!(call(r#""read""#).reply, None);
        assert_eq!(put(text(1, 5)), text(1, 5));
        assert_eq!(put(text(1, 4)), text(1, 5), "an older publication that ends late");
        assert_eq!(put(text(2, 1)), text(2, 1));
        assert_eq!(put(text(1, 9)), text(2, 1));
        assert_eq!(call(r#""read""#).reply, Some(text(2, 1)));
        assert!(!call(r#"{"move":{"pointer":"x"}}"#).commit);
    }

    struct Object(Memory);

    impl Object {
        fn ask(&self, now: i64, call: &Call) -> Output {
            let call = serde_json::to_string(call).expect("writes");
            let input = Input { now: Instant::from_millis(now), entropy: &[], call: &call };
            self.0.transaction(|sql| (handle(sql, &input), true))
        }

        /// Moves the pointer; gives the shards that are to be told.
        fn moved(&self, sequence: i64) -> Vec<String> {
            let pointer = Pointer { incarnation: 1, sequence, version: 1, kill: false, killed: vec![] };
            names(&self.ask(0, &Call::Move { pointer: serde_json::to_string(&pointer).expect("writes") }))
        }

        fn join(&self, shard: &str) -> Option<String> {
            self.ask(0, &Call::Join { shard: shard.to_owned() }).reply
        }

        fn told(&self, receipt: &str, name: &str, joined: i64, gone: bool) {
            let shards = vec![Told { name: name.to_owned(), joined, gone }];
            self.ask(0, &Call::Told { receipt: receipt.to_owned(), shards });
        }
    }

    fn names(output: &Output) -> Vec<String> {
        let name = |effect: &Effect| match effect {
            Effect::Notice { name, .. } => name.clone(),
            other => panic!("a notice: {other:?}"),
        };
        output.effects.iter().map(name).collect()
    }

    #[test]
    fn shards_are_told_until_they_have_heard_or_are_gone() {
        let object = Object(Memory::new());
        assert_eq!(object.join("p/e/1"), None, "there is no environment");
        assert_eq!(object.moved(1), Vec::<String>::new(), "nobody listens");
        assert!(object.join("p/e/1").is_some() && object.join("p/e/2").is_some());
        assert_eq!(object.moved(2), ["p/e/1", "p/e/2"]);
        object.told("1.2", "p/e/1", 1, false);
        let again = object.ask(5_000, &Call::Tell);
        assert_eq!((names(&again), again.alarm), (vec!["p/e/2".to_owned()], Some(7_000)));
        for _ in 2..ATTEMPTS {
            assert_eq!(names(&object.ask(0, &Call::Tell)), ["p/e/2"]);
        }
        assert_eq!(object.ask(0, &Call::Tell), Output::text(None), "given up, and no alarm");
        assert_eq!(object.moved(3), ["p/e/1", "p/e/2"], "until the next");
        object.told("1.3", "p/e/2", 1, true);
        object.told("1.3", "p/e/1", 1, false);
        assert_eq!(object.moved(4), ["p/e/1"]);
    }

    #[test]
    fn a_shard_that_registers_anew_is_not_taken_for_gone() {
        let object = Object(Memory::new());
        object.moved(1);
        object.join("p/e/1");
        assert_eq!(object.moved(2), ["p/e/1"]);
        object.join("p/e/1");
        object.told("1.2", "p/e/1", 1, true);
        assert_eq!(object.moved(3), ["p/e/1"]);
    }

    #[test]
    fn a_late_receipt_does_not_pass_for_the_newest() {
        let object = Object(Memory::new());
        object.moved(1);
        object.join("p/e/1");
        object.moved(2);
        object.moved(3);
        object.told("1.2", "p/e/1", 1, false);
        assert_eq!(names(&object.ask(0, &Call::Tell)), ["p/e/1"]);
    }
}
