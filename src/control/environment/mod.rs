//! One environment: the single writer of its flags, segments, routes, channels, settings, kills
//! and tokens, with their history, audit and publication.

mod admin;
mod channels;
mod check;
mod context_keys;
mod entities;
mod export;
mod graph;
mod history;
mod hosts;
mod import;
mod kill;
mod lifecycle;
mod link;
mod patch;
mod publish;
mod snapshot;
mod store;
mod versions;
mod write;

pub use admin::{Explain, Question};
pub use hosts::UNCLAIMED;
pub(crate) use import::replaces;
pub use publish::Pointer;
pub use snapshot::FORMAT;

use super::sql::Sql;
use super::tokens;
use super::{Caller, Input, Output, Principal, schema, unauthenticated};
use crate::http::{Answer, Fault, Refusal, Reply, Request};
use serde::{Deserialize, Serialize};
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
pub(crate) use store::SCHEMA as TABLES;
use store::{SCHEMA, Store};

/// What an environment is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Call {
    /// A request of the admin API.
    Admin {
        /// The request, without its credentials.
        request: Request,
        /// Who asks.
        caller: Caller,
        /// Hostnames that the directory has granted for it.
        #[serde(default)]
        granted: Vec<String>,
    },
    /// Makes the environment, unless it is there.
    Initialise {
        /// `project/environment`.
        environment: String,
        /// The directory's count of how often this name was made.
        incarnation: i64,
        /// Who asks.
        principal: Principal,
        /// Why.
        reason: Option<String>,
    },
    /// Empties the environment; its audit and history stay.
    Destroy {
        /// Who asks.
        principal: Principal,
        /// Why.
        reason: Option<String>,
    },
    /// Brings in an environment's document.
    Import(Import),
    /// Answers the environment's document.
    Document {
        /// Who asks.
        principal: Principal,
    },
    /// Answers the document of some flags and segments, with the segments that they need.
    Pick {
        /// Who asks.
        principal: Principal,
        /// Keys of flags.
        flags: Vec<String>,
        /// Keys of segments.
        segments: Vec<String>,
    },
    /// Answers whose token this is, as a [`Principal`].
    Authenticate {
        /// The token's SHA-256.
        token: String,
    },
    /// Publishes what is due.
    Pump,
    /// Notes how a publication ended.
    Settle {
        /// The receipt that came with the effects.
        receipt: String,
        /// What failed, if anything did.
        failed: Option<String>,
    },
    /// Compares with what the edge has.
    Reconcile {
        /// The pointer object's pointer.
        pointer: Option<String>,
        /// The hostnames that the directory has for this environment; not compared when absent.
        #[serde(default)]
        hosts: Option<Vec<String>>,
    },
    /// Answers a snapshot.
    Snapshot {
        /// The version; the current one when absent.
        version: Option<i64>,
    },
    /// Answers the pointer.
    Pointer,
}

/// A document to be brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// `project/environment`.
    pub environment: String,
    /// Makes the environment if it is missing, as this incarnation.
    pub create: Option<i64>,
    /// Who asks.
    pub principal: Principal,
    /// Why.
    pub reason: Option<String>,
    /// JSON of the environment's part of a project document.
    pub document: String,
    /// The environment's key in that document, for pointers of problems; empty when it is not
    /// part of one.
    pub key: String,
    /// Whether documents that are not in it are deleted.
    pub replace: bool,
    /// Whether existing flags keep their salts.
    pub keep_salts: bool,
    /// Whether only to say what would happen.
    pub dry_run: bool,
    /// The word in the audit.
    pub action: String,
    /// Hostnames that the directory has granted for it.
    #[serde(default)]
    pub granted: Vec<String>,
}

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>, explain: Explain) -> Output {
    run(sql, input, explain).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>, explain: Explain) -> Answer<Output> {
    let call: Call = serde_json::from_str(input.call)?;
    let creates = matches!(&call, Call::Initialise { .. } | Call::Import(Import { create: Some(_), .. }));
    if creates || schema::exists(sql)? {
        schema::migrate(sql, SCHEMA)?;
    } else {
        return absent(&call);
    }
    let mut store = Store::new(sql, input);
    match call {
        Call::Admin { request, caller, granted } => {
            store.granted = granted;
            admin::answer(&store, &request, caller, explain)
        }
        Call::Initialise { environment, incarnation, principal, reason } => {
            lifecycle::initialise(&store, &environment, incarnation, &super::Author { actor: principal.actor, reason })
        }
        Call::Destroy { principal, reason } => {
            lifecycle::destroy(&store, &super::Author { actor: principal.actor, reason })
        }
        Call::Import(import) => {
            store.granted.clone_from(&import.granted);
            import::run(&store, &import)
        }
        Call::Document { principal } => {
            principal.require(super::Role::Viewer)?;
            Ok(Output::reply(&Reply::json(200, export::environment(&store, None)?)))
        }
        Call::Pick { principal, flags, segments } => {
            principal.require(super::Role::Viewer)?;
            Ok(Output::reply(&Reply::json(200, export::pick(&store, flags, segments)?)))
        }
        Call::Authenticate { token } => {
            let principal = tokens::authenticate(sql, store.now, &token)?.ok_or_else(unauthenticated)?;
            Ok(Output::reply(&Reply::value(200, &principal)))
        }
        Call::Pump => publish::pump(&store),
        Call::Settle { receipt, failed } => publish::settle(&store, &receipt, failed.as_deref()),
        Call::Reconcile { pointer, hosts } => publish::reconcile(&store, pointer.as_deref(), hosts.as_deref()),
        Call::Snapshot { version } => snapshot_text(&store, version),
        Call::Pointer => {
            let text = store.meta()?.map(|meta| publish::pointer_text(&store, &meta)).transpose()?;
            Ok(Output::text(text))
        }
    }
}

/// The answer where nothing was ever stored; it leaves no trace. Who has only a token learns no
/// more than that it is not good.
fn absent(call: &Call) -> Answer<Output> {
    match call {
        Call::Admin { caller: Caller::Token(_), .. } | Call::Authenticate { .. } => Err(unauthenticated()),
        Call::Pump | Call::Settle { .. } | Call::Reconcile { .. } | Call::Snapshot { .. } | Call::Pointer => {
            Ok(Output::text(None))
        }
        _ => Err(Refusal::new(Fault::UnknownEnvironment, "create it with PUT, or import a project document")),
    }
}

fn snapshot_text(store: &Store<'_>, version: Option<i64>) -> Answer<Output> {
    let Some(meta) = store.meta()? else { return Ok(Output::text(None)) };
    match version {
        Some(version) if version < 1 || version > meta.version => Ok(Output::text(None)),
        version => {
            let earlier = version.filter(|version| *version != meta.version);
            Ok(Output::text(Some(snapshot::text(store, &meta, earlier)?)))
        }
    }
}
