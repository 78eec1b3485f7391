//! The pointer object: the one place that says which snapshot counts. Readers ask it about once a
//! second and never touch the environment. It only ever moves forward.

use super::environment::Pointer;
use super::sql::Sql;
use super::{Input, Output, schema};
use crate::http::Answer;
use serde::{Deserialize, Serialize};

/// What a pointer object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Moves the pointer, unless it is there or beyond already; answers the pointer that counts.
    Move {
        /// The pointer's text.
        pointer: String,
    },
    /// Answers the pointer's text, or null.
    Read,
}

pub(crate) const SCHEMA: &[schema::Step] =
    &[&["CREATE TABLE pointer (incarnation INTEGER NOT NULL, sequence INTEGER NOT NULL, text TEXT NOT NULL)"]];

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let moved = match serde_json::from_str(input.call)? {
        Call::Read if !schema::exists(sql)? => return Ok(Output::text(None)),
        Call::Read => None,
        Call::Move { pointer } => Some(pointer),
    };
    schema::migrate(sql, SCHEMA)?;
    let current = sql.first("SELECT incarnation, sequence, text FROM pointer", &[])?;
    let known = current.as_ref().map(|row| Ok::<_, super::sql::SqlError>((row.integer(0)?, row.integer(1)?)));
    let known = known.transpose()?;
    if let Some(text) = moved {
        let pointer: Pointer = serde_json::from_str(&text)?;
        if known.is_none_or(|known| pointer.order() > known) {
            let (incarnation, sequence) = pointer.order();
            sql.run("DELETE FROM pointer", &[])?;
            let insert = "INSERT INTO pointer VALUES (?, ?, ?)";
            sql.run(insert, &[incarnation.into(), sequence.into(), (&text).into()])?;
            return Ok(Output::text(Some(text)));
        }
    }
    Ok(Output::text(current.map(|row| row.text(2)).transpose()?))
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
}
