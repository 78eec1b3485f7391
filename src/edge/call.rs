//! The operations of `hg_call`, by the numbers that `shell/wasm.mjs` has.

use super::host::Database;
use crate::api::admin;
use crate::control::sql::Sql;
use crate::control::{Input, Output, directory, environment, ledger, metrics, pointer, stream};
use crate::explain::explain;
use crate::gateway::{Declined, Gateway};
use crate::limits;
use crate::snapshot::Pointer;
use crate::time::Instant;
use serde_json::{Value as Json, json};

/// Runs an operation; what it cannot read answers nothing.
pub(super) fn run(operation: u32, text: &str, now: Instant, gateway: &mut Gateway) -> String {
    match operation {
        1 => plan(text),
        2 => object(text, now, directory::handle),
        3 => object(text, now, |sql, input| environment::handle(sql, input, explain)),
        4 => object(text, now, pointer::handle),
        5 => object(text, now, metrics::handle),
        6 => object(text, now, ledger::handle),
        7 => accept_pointer(gateway, text).unwrap_or_default(),
        8 => accept_snapshot(gateway, text).unwrap_or_default(),
        9 => {
            gateway.environments.accept_absence(text, now);
            String::new()
        }
        10 => {
            let (host, environment) = text.split_once('\n').unwrap_or((text, ""));
            gateway.accept_host(host, Some(environment).filter(|name| !name.is_empty()), now);
            String::new()
        }
        11 => counts(gateway),
        12 => status(gateway, now),
        13 => body_limit(text).to_string(),
        14 => {
            gateway.environments.accept_failure(text, now);
            String::new()
        }
        15 => accept_copy(gateway, text, now).unwrap_or_default(),
        16 => object(text, now, stream::handle),
        _ => String::new(),
    }
}

/// What a request of the control plane needs, or its answer.
// Apart, as `object` is: a function is compiled when it is first called, and an isolate's first
// evaluation, which calls `run` for a pointer, would wait for the whole control plane.
#[inline(never)]
fn plan(text: &str) -> String {
    let plan = serde_json::from_str(text).map(|planning| admin::plan(&planning));
    plan.and_then(|plan| serde_json::to_string(&plan)).unwrap_or_default()
}

/// A message to a Durable Object: 128 hexadecimal digits of randomness, then the message.
#[inline(never)]
fn object(text: &str, now: Instant, handle: fn(&dyn Sql, &Input<'_>) -> Output) -> String {
    let (digits, call) = text.split_once('\n').unwrap_or_default();
    #[cfg(feature = "faults")]
    super::faults::provoke(call);
    let pairs = (0..digits.len() / 2).filter_map(|at| digits.get(at * 2..at * 2 + 2));
    let entropy: Vec<u8> = pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    let output = handle(&Database, &Input { now, entropy: &entropy, call });
    serde_json::to_string(&output).unwrap_or_default()
}

/// Environment, when the control plane was asked, the pointer's text.
fn accept_pointer(gateway: &mut Gateway, text: &str) -> Option<String> {
    let (environment, rest) = text.split_once('\n')?;
    let (read_at, text) = rest.split_once('\n')?;
    let read_at = Instant::from_millis(read_at.parse().ok()?);
    let pointer = Pointer::parse(text)?;
    Some(declined(gateway.environments.accept_pointer(environment, pointer, read_at)))
}

/// Environment, then the text of the pointer's copy.
fn accept_copy(gateway: &mut Gateway, text: &str, now: Instant) -> Option<String> {
    let (environment, text) = text.split_once('\n')?;
    let pointer = Pointer::parse(text)?;
    Some(declined(gateway.environments.accept_copy(environment, pointer, now)))
}

/// Environment, then the snapshot's text.
fn accept_snapshot(gateway: &mut Gateway, text: &str) -> Option<String> {
    let (environment, text) = text.split_once('\n')?;
    Some(declined(gateway.environments.accept_snapshot(environment, text)))
}

/// What is wrong with something that was read; that it is older than what is here is nothing wrong.
fn declined(result: Result<(), Declined>) -> String {
    match result {
        Ok(()) | Err(Declined::Older) => String::new(),
        Err(Declined::Fault(detail)) => detail,
    }
}

/// Counters in the form in which the metrics object takes them.
fn counts(gateway: &mut Gateway) -> String {
    let counters = gateway.take_counts().into_iter().map(|count| {
        let labels = json!({
            "environment": count.environment, "endpoint": count.endpoint, "status": count.status.to_string(),
        });
        json!(["headgate_requests_total", labels, count.requests])
    });
    counters.collect::<Json>().to_string()
}

/// What this isolate holds, as conditions of `/health`.
fn status(gateway: &Gateway, now: Instant) -> String {
    let conditions = gateway.environments.iter().filter_map(|(name, held)| {
        let detail = match (held.fault(), held.staleness(now)) {
            (Some(fault), _) => fault.to_owned(),
            // An environment that nobody asks for is not read either: age alone is no fault.
            (None, Some(_)) if held.is_failing() => "the pointer cannot be read; the last one serves".to_owned(),
            (None, _) => return None,
        };
        Some(json!({ "name": format!("snapshot {name}"), "status": "degraded", "detail": detail }))
    });
    conditions.collect::<Json>().to_string()
}

/// Bytes that a path's body may have.
fn body_limit(target: &str) -> usize {
    if ["/ofrep/", "/v1/update", "/v1/startup"].iter().any(|start| target.starts_with(start)) {
        limits::CONTEXT_BYTES
    } else if target.starts_with("/v1/events") {
        limits::EVENTS_BYTES
    } else {
        limits::ADMIN_BODY_BYTES
    }
}
