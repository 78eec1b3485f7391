//! `/health` and `/health/ready`.

use super::admin::{Call, Condition, Round, Status, Stop, directory_call};
use crate::control::directory;
use crate::http::Reply;
use crate::time::Instant;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: Status,
    version: String,
    release: &'static str,
    deployed_at: String,
    uptime_seconds: i64,
    timestamp: String,
    dependencies: Vec<Condition>,
}

/// The state of everything; 503 only when the gateway cannot do its work.
pub(super) fn health(round: &Round<'_>) -> Result<Reply, Stop> {
    let ping = directory_call(&directory::Call::Ping)?;
    let metrics = Call {
        object: "metrics",
        name: "metrics".to_owned(),
        message: serde_json::to_string(&crate::control::metrics::Call::Ping)?,
    };
    let results = round.attempt(vec![ping, metrics])?;
    let mut dependencies = Vec::new();
    for (name, result) in ["directory", "metrics"].into_iter().zip(results) {
        // Evaluation goes on without either of them.
        let (status, detail) = match result {
            Ok(reply) if reply.status == 200 => (Status::Ok, String::new()),
            Ok(reply) => (Status::Degraded, format!("answers with status {}", reply.status)),
            Err(error) => (Status::Degraded, error),
        };
        dependencies.push(Condition { name: name.to_owned(), status, detail });
    }
    Ok(answer(round, dependencies))
}

/// Whether traffic may be sent here: nothing is asked but the isolate itself.
pub(super) fn ready(round: &Round<'_>) -> Reply {
    answer(round, Vec::new())
}

fn answer(round: &Round<'_>, mut dependencies: Vec<Condition>) -> Reply {
    let input = round.input;
    dependencies.extend(input.conditions.iter().cloned());
    let status = dependencies.iter().map(|condition| condition.status).max().unwrap_or(Status::Ok);
    let deployed = Instant::from_millis(input.deployment.deployed_at);
    let health = Health {
        status,
        version: input.deployment.version_id.clone(),
        release: env!("CARGO_PKG_VERSION"),
        deployed_at: deployed.to_string(),
        uptime_seconds: (input.now - input.deployment.deployed_at).max(0) / 1000,
        timestamp: Instant::from_millis(input.now).to_string(),
        dependencies,
    };
    Reply::value(if status == Status::Down { 503 } else { 200 }, &health)
}
