//! A shard of an environment's streams: it holds sockets, one for each client that waits for
//! changes, and tells them when the pointer has moved. While it has sockets it is registered with
//! the pointer object; the first notice that finds none ends that, so an idle shard costs nothing.

use super::environment::Pointer;
use super::sql::{Sql, SqlError};
use super::{Input, Output, schema};
use crate::http::Answer;
use crate::limits;
use serde::{Deserialize, Serialize};

/// What a shard is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// A client has come, who knows the state of `since`. Answers what to send it, which may be
    /// nothing, or null: then the shard must register first.
    Open {
        /// The `id` of the last event that it has seen: `1.31`.
        since: String,
    },
    /// The shard is registered, at this pointer; answers as `open`.
    Joined {
        /// The pointer's text.
        pointer: String,
        /// As in `open`.
        since: String,
    },
    /// The pointer has moved. Answers what to send to everybody, which may be nothing, or null: then
    /// nobody is here and the shard is registered no more.
    Notice {
        /// The pointer's text.
        pointer: String,
        /// How many sockets there are.
        sockets: u32,
    },
}

/// Milliseconds after which a shard registers anew when a client comes: an object that lost its list
/// of shards is put right by that.
const REJOIN: i64 = 10 * 60 * 1_000;

pub(crate) const SCHEMA: &[schema::Step] = &[&[
    // One row while the shard is registered: the newest pointer, and when it registered.
    "CREATE TABLE position (incarnation INTEGER NOT NULL, sequence INTEGER NOT NULL, version INTEGER NOT NULL,
        joined_at INTEGER NOT NULL)",
]];

/// Where the pointer stands: incarnation, sequence, version.
type Position = (i64, i64, i64);

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    schema::migrate(sql, SCHEMA)?;
    let now = input.now.millis();
    let known = known(sql)?;
    let reply = match serde_json::from_str(input.call)? {
        Call::Open { since } => {
            let registered = known.filter(|(_, joined)| (now - joined).abs() < REJOIN);
            registered.map(|(position, _)| news(position, &since))
        }
        Call::Joined { pointer, since } => {
            let position = read(&pointer)?.max(known.map_or((0, 0, 0), |(position, _)| position));
            keep(sql, Some((position, now)))?;
            Some(news(position, &since))
        }
        Call::Notice { sockets: 0, .. } => {
            keep(sql, None)?;
            None
        }
        Call::Notice { pointer, sockets } => {
            let (position, joined) = (read(&pointer)?, known.map_or(0, |(_, joined)| joined));
            let newer = known.is_none_or(|(known, _)| position > known);
            if newer {
                keep(sql, Some((position, joined)))?;
            }
            Some(if newer { format!("{}\n{}", spread(sockets), event(position)) } else { String::new() })
        }
    };
    Ok(Output::text(reply))
}

fn read(pointer: &str) -> Answer<Position> {
    let pointer: Pointer = serde_json::from_str(pointer)?;
    Ok((pointer.incarnation, pointer.sequence, pointer.version))
}

fn known(sql: &dyn Sql) -> Result<Option<(Position, i64)>, SqlError> {
    let Some(row) = sql.first("SELECT incarnation, sequence, version, joined_at FROM position", &[])? else {
        return Ok(None);
    };
    Ok(Some(((row.integer(0)?, row.integer(1)?, row.integer(2)?), row.integer(3)?)))
}

fn keep(sql: &dyn Sql, state: Option<(Position, i64)>) -> Result<(), SqlError> {
    sql.run("DELETE FROM position", &[])?;
    if let Some(((incarnation, sequence, version), joined)) = state {
        let insert = "INSERT INTO position VALUES (?, ?, ?, ?)";
        sql.run(insert, &[incarnation.into(), sequence.into(), version.into(), joined.into()])?;
    }
    Ok(())
}

/// What to tell a client at once: the newest position, unless it is there or beyond.
fn news(position: Position, since: &str) -> String {
    let seen = since.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let behind = seen.is_none_or(|seen: (i64, i64)| seen < (position.0, position.1));
    if behind { format!("0\n{}", event(position)) } else { String::new() }
}

/// Milliseconds over which a notice is spread, so that its readers do not all ask again at once.
fn spread(sockets: u32) -> u32 {
    let streams = sockets.saturating_mul(limits::STREAM_SHARDS);
    (streams / 10).min(500)
}

/// A server-sent event as OFREP's event streams have it (ADR 0008 of the protocol). What follows it
/// must be asked with the `etag` as `flagConfigEtag`.
fn event((incarnation, sequence, version): Position) -> String {
    let id = format!("{incarnation}.{sequence}");
    format!("id: {id}\ndata: {{\"type\":\"refetchEvaluation\",\"etag\":\"\\\"{id}\\\"\",\"version\":{version}}}\n\n")
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::sql::memory::Memory;
    use super::*;
    use crate::time::Instant;

    struct Shard(Memory);

    impl Shard {
        fn ask(&self, now: i64, call: &Call) -> Option<String> {
            let call = serde_json::to_string(call).expect("writes");
            let input = Input { now: Instant::from_millis(now), entropy: &[], call: &call };
            self.0.transaction(|sql| {
                let output = handle(sql, &input);
                assert!(output.commit);
                let commit = output.commit;
                (output.reply, commit)
            })
        }

        fn open(&self, now: i64, since: &str) -> Option<String> {
            self.ask(now, &Call::Open { since: since.to_owned() })
        }

        fn joined(&self, pointer: String, since: &str) -> Option<String> {
            self.ask(0, &Call::Joined { pointer, since: since.to_owned() })
        }

        fn notice(&self, pointer: String, sockets: u32) -> Option<String> {
            self.ask(0, &Call::Notice { pointer, sockets })
        }
    }

    fn pointer(incarnation: i64, sequence: i64) -> String {
        let pointer = Pointer { incarnation, sequence, version: 7, kill: false, killed: vec![] };
        serde_json::to_string(&pointer).expect("writes")
    }

    const EVENT: &str = "id: 1.5\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"\\\"1.5\\\"\",\"version\":7}\n\n";

    #[test]
    fn whoever_is_behind_is_told_at_once() {
        let shard = Shard(Memory::new());
        assert_eq!(shard.open(0, "1.5"), None, "nothing is known before the shard is registered");
        let news = format!("0\n{EVENT}");
        for (since, told) in
            [("1.5", ""), ("1.6", ""), ("2.1", ""), ("1.4", &news), ("0.9", &news), ("", &news), ("x", &news)]
        {
            assert_eq!(shard.joined(pointer(1, 5), since).as_deref(), Some(told), "{since}");
            assert_eq!(shard.open(1, since).as_deref(), Some(told), "{since}");
        }
        assert_eq!(shard.joined(pointer(1, 4), "1.4"), Some(news), "an older answer takes nothing back");
        assert_eq!(shard.open(REJOIN, "1.5"), None, "it registers anew from time to time");
    }

    #[test]
    fn a_notice_goes_out_once_and_never_back() {
        let shard = Shard(Memory::new());
        shard.joined(pointer(1, 4), "1.4");
        assert_eq!(shard.notice(pointer(1, 5), 3), Some(format!("4\n{EVENT}")));
        assert_eq!(shard.notice(pointer(1, 5), 3).as_deref(), Some(""));
        assert_eq!(shard.notice(pointer(1, 4), 3).as_deref(), Some(""));
        assert!(shard.notice(pointer(2, 1), 1_000_000).expect("told").starts_with("500\nid: 2.1\n"));
    }

    #[test]
    fn without_sockets_the_shard_is_forgotten() {
        let shard = Shard(Memory::new());
        shard.joined(pointer(1, 4), "");
        assert_eq!(shard.notice(pointer(1, 5), 0), None);
        assert_eq!(shard.open(0, "1.5"), None);
    }
}
