//! The control plane: who may change what, what was changed, and how it gets to the edge.
//!
//! Six objects, each a plain function over SQL ([`sql::Sql`]): the caller (a Durable Object, or
//! a test) opens a transaction, calls `handle` with an [`Input`], ends the transaction as
//! [`Output::commit`] says, and then performs the effects. No clock and no randomness are read
//! here: `now` and 64 random bytes are part of every input.
//!
//! # The shell's part
//! * `Output.commit`: true: keep the transaction; false: roll it back (refusals and dry runs).
//! * `Output.alarm`: set the object's alarm to this time (ms), inside the transaction; absent:
//!   leave the alarm as it is.
//! * `Output.reply`: a text, handed to whoever sent the message and never looked into. For a call
//!   of [`crate::api::admin::plan`] it goes into `gathered` as `{"ok": reply}`.
//! * `Output.effects`: perform them in order, carrying on after a failure; all are idempotent.
//!   Effects that came with a `receipt` are followed by `{"settle":{"receipt":…,"failed":…}}`
//!   with the first failure's text or null. Effects without a receipt (a kill's pointer, performed
//!   before the reply is sent) need none: `pump` repeats them until they are settled.
//! * After every call of `environment` that was committed with an alarm, send `"pump"`
//!   (in the background); send it in `alarm()` too.
//! * A call of KV or of another object that hangs is a failure after 2 seconds: a slow KV must
//!   not hold up the pointer, and readers can have the snapshot from the environment itself.
//! * A new deployment needs nothing: schemas migrate on first use.
//!
//! # Messages
//! **environment** (named `project/environment`), see [`environment::Call`]; its `handle` takes
//! one thing more, the function that traces an evaluation ([`environment::Explain`]):
//! * `{"admin":{"request":Request,"caller":Caller}}` → Reply. From `plan`.
//! * `{"initialise"|"destroy"|"import"|"document"|"pick"|"authenticate": {…}}` → Reply. From `plan`.
//! * `"pump"` → effects and a receipt when something is due, else only the alarm.
//! * `{"settle":{"receipt":text,"failed":text|null}}`
//! * `{"reconcile":{"pointer":text|null,"hosts":[…]}}` with what the pointer object answers to `read` and the
//!   hostnames that the directory has for this environment:
//!   like `pump`, but publishes again whatever is behind, and raises the incarnation when the
//!   pointer is ahead, which means that this object was restored from a backup.
//! * `{"snapshot":{"version":n|null}}` → reply is the snapshot's text, or null when there is
//!   no such environment or version. `"pointer"` → the pointer's text or null.
//!
//! **pointer** (named `project/environment`): `{"move":{"pointer":text}}` → the pointer that
//! counts now, `"read"` → the pointer's text, or null, `{"join":{"shard":name}}` → the same.
//! A move, and `"tell"` (to be sent in `alarm()`), may give `notice` effects with a `receipt`: perform
//! them at once and beside each other, after the reply is sent, then
//! `{"told":{"receipt":…,"shards":[{"name":…,"joined":…,"gone":reply is null},…]}}` with those that answered.
//!
//! **stream** (named `project/environment/shard`), see [`stream::Call`]: a text that is not empty
//! holds milliseconds, a line's end, and an event to be sent at a random moment within them.
//!
//! **directory** (one, named `directory`), see [`directory::Call`]: `admin`, `authenticate`,
//! `register`, `remove`, `ping` → Reply, from `plan`; `"environments"` → reply is
//! `["pairity/production",…]`, for cron. `claim` → Reply, from `plan`; `hold`, an effect of environments;
//! `{"holder":host}` → the environment that routes a hostname, or null; `"hosts"` →
//! `[["www.example","pairity/production"],["former.example",null],…]`, for cron.
//!
//! **metrics** (one, named `metrics`), see [`metrics::Call`]:
//! `{"add":{"isolate":id,"flush":n,"counters":[[name,{label:value},delta],…]}}` (a `flush`
//! not above the isolate's last one is taken as a repetition), `{"gauges":{…}}` (made by
//! environments, pass it on as it is), `"read"` → Reply.
//!
//! **ledger** (named `project/environment`): `{"take":{"id":…,"message":…}}` with a message
//! of the event queue → `taken` or `known`.
//!
//! **effects**: `{"put":{"key","text"}}` and `{"delete":{"key"}}` on KV,
//! `{"directory":{"message"}}`: send the message to the directory,
//! `{"pointer":{"name","message"}}`: send the message to that pointer object,
//! `{"notice":{"name","joined","pointer"}}`: tell that shard of streams, with its number of sockets,
//! `{"gauges":{"message"}}`: send the message to the metrics object.

pub mod audit;
pub mod diff;
pub mod directory;
pub mod document;
pub mod entropy;
pub mod environment;
pub mod hostname;
pub mod ledger;
pub mod metrics;
pub mod pointer;
pub mod project;
pub mod reference;
pub mod schema;
pub mod sql;
pub mod stream;
pub mod tokens;

pub use crate::http::Role;

use crate::http::{Answer, Fault, Refusal, Reply, Request};
use crate::limits;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sql::SqlError;

/// What every object's `handle` is given.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The present.
    pub now: Instant,
    /// Random bytes, 64 of them, fresh for every call.
    pub entropy: &'a [u8],
    /// The message.
    pub call: &'a str,
}

/// What every object's `handle` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The answer to the sender.
    pub reply: Option<String>,
    /// Whether the transaction is to be kept.
    pub commit: bool,
    /// What is to be done once it is.
    pub effects: Vec<Effect>,
    /// Names the publication that the effects are part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// When to wake up, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<i64>,
}

impl Output {
    /// An HTTP answer; errors keep nothing.
    pub fn reply(reply: &Reply) -> Self {
        let text = serde_json::to_string(reply).unwrap_or_default();
        Self { reply: Some(text), commit: reply.status < 400, ..Self::default() }
    }

    /// A plain text, or null.
    pub fn text(text: Option<String>) -> Self {
        Self { reply: text, commit: true, ..Self::default() }
    }

    /// A refusal keeps nothing.
    pub fn refused(refusal: &Refusal) -> Self {
        Self::reply(&refusal.reply())
    }
}

/// Something to be done outside the transaction; all are idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Write a key of KV.
    Put {
        /// The key.
        key: String,
        /// The value.
        text: String,
    },
    /// Delete a key of KV.
    Delete {
        /// The key.
        key: String,
    },
    /// Send a message to the directory.
    Directory {
        /// The message, a [`directory::Call`] as JSON text.
        message: String,
    },
    /// Send a message to a pointer object.
    Pointer {
        /// The object's name.
        name: String,
        /// The message, a [`pointer::Call`] as JSON text.
        message: String,
    },
    /// Send a notice to a shard of streams.
    Notice {
        /// The shard's name.
        name: String,
        /// Hand it back with the outcome.
        joined: i64,
        /// The pointer's text.
        pointer: String,
    },
    /// Send a message to the metrics object.
    Gauges {
        /// The message, a [`metrics::Call`] as JSON text.
        message: String,
    },
}

/// Somebody whose credentials were checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The name in audit entries.
    pub actor: String,
    /// How far they may go.
    pub role: Role,
}

/// On whose behalf an object is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Caller {
    /// Somebody who was checked already.
    Principal(Principal),
    /// The bearer of a token that the object itself must check: its SHA-256.
    Token(String),
}

impl Principal {
    /// Refuses those whose role does not reach.
    pub fn require(&self, role: Role) -> Answer<()> {
        if self.role >= role {
            return Ok(());
        }
        Err(Refusal::new(Fault::Forbidden, format!("this needs the role `{}`", role.word())))
    }
}

/// The refusal of every token that is not good here; it says no more on purpose.
pub fn unauthenticated() -> Refusal {
    Refusal::new(Fault::Unauthenticated, "send `Authorization: Bearer` with a token that is good here")
}

/// Who makes a change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name in audit entries.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

impl Author {
    /// A principal's change, with the reason the request gives in its header or body.
    pub fn new(principal: &Principal, request: &Request, in_body: Option<&str>) -> Answer<Self> {
        let reason = in_body.or(request.reason.as_deref()).map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_some_and(|reason| reason.len() > limits::TEXT_LENGTH) {
            let detail = format!("a reason has at most {} bytes", limits::TEXT_LENGTH);
            return Err(Refusal::new(Fault::BadParameter, detail));
        }
        Ok(Self { actor: principal.actor.clone(), reason: reason.map(str::to_owned) })
    }

    /// A change that nobody asked for.
    pub fn system(reason: &str) -> Self {
        Self { actor: "system".to_owned(), reason: Some(reason.to_owned()) }
    }
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        Refusal::new(Fault::Internal, format!("storage: {error}"))
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Refusal::new(Fault::Internal, format!("message: {error}"))
    }
}

/// A document that was stored, to be put into an answer as it is.
pub(crate) fn raw(text: impl Into<String>) -> Answer<Box<RawValue>> {
    Ok(RawValue::from_string(text.into())?)
}

/// A list's page in an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Paged<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl<T> Paged<T> {
    /// Makes a page of `limit` from up to one more item than that.
    pub(crate) fn of(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}
