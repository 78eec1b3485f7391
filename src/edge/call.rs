//! The operations of `hg_call`, by the numbers that `shell/wasm.mjs` has.

use super::host::Database;
use crate::api::admin;
use crate::control::sql::Sql;
use crate::control::{Input, Output, directory, environment, ledger, metrics, pointer, stream};
use crate::explain::explain;
use crate::gateway::{Declined, Gateway, Holder, LATENCIES, Requests, Site};
use crate::limits;
use crate::route::{Failure, Returned, Ticket};
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
        10 => accept_host(gateway, text, now),
        11 => counts(gateway),
        12 => status(gateway, now),
        13 => body_limit(text).to_string(),
        14 => {
            gateway.environments.accept_failure(text, now);
            String::new()
        }
        15 => accept_copy(gateway, text, now).unwrap_or_default(),
        16 => object(text, now, stream::handle),
        17 => {
            let (host, own) = text.split_once('\n').unwrap_or((text, ""));
            if gateway.meet_host(host, own) { "ask".to_owned() } else { String::new() }
        }
        18 => returned(gateway, text).unwrap_or_default(),
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

/// Host, then the environment that routes it, nothing, or `?` when nobody could be asked. Answers `routed`
/// when it is a product's.
fn accept_host(gateway: &mut Gateway, text: &str, now: Instant) -> String {
    let (host, holder) = text.split_once('\n').unwrap_or((text, ""));
    let holder = match holder {
        "" => Holder::Nobody,
        "?" => Holder::Silence,
        name => Holder::Environment(name),
    };
    let site = gateway.accept_host(host, holder, now);
    if matches!(site, Site::Routed(_)) { "routed".to_owned() } else { String::new() }
}

/// What came of a fetch, each on its line: ticket, milliseconds, status or `refused` or `timeout`, location,
/// cache-control.
fn returned(gateway: &mut Gateway, text: &str) -> Option<String> {
    let mut lines = text.split('\n');
    let ticket = Ticket::read(lines.next()?)?;
    let millis = lines.next()?.parse().ok()?;
    let returned = match (lines.next()?, lines.next()?, lines.next()?) {
        ("refused", ..) => Returned::Failed(Failure::Refused),
        ("timeout", ..) => Returned::Failed(Failure::TimedOut),
        (status, location, cache_control) => Returned::head(status.parse().ok()?, location, cache_control),
    };
    Some(gateway.returned(&ticket, &returned, millis))
}

/// Counters in the form in which the metrics object takes them.
fn counts(gateway: &mut Gateway) -> String {
    let counters = gateway.take_counts().into_iter().map(|count| {
        let labels = json!({
            "environment": count.environment, "endpoint": count.endpoint, "status": count.status.to_string(),
        });
        json!(["headgate_requests_total", labels, count.requests])
    });
    let mut counters: Vec<Json> = counters.collect();
    routed(gateway, &mut counters);
    Json::from(counters).to_string()
}

/// Routed traffic as counters; classes of latency are cumulative, as Prometheus has histograms.
fn routed(gateway: &mut Gateway, counters: &mut Vec<Json>) {
    let (requests, latencies) = gateway.traffic.take();
    for Requests { of: [environment, route, variant], class, exposed, count } in requests {
        let labels = json!({ "environment": environment, "route": route, "variant": variant, "class": class,
            "exposed": exposed.to_string() });
        counters.push(json!(["headgate_routed_total", labels, count]));
    }
    for latency in latencies {
        let [environment, route, variant] = &latency.of;
        let labels = json!({ "environment": environment, "route": route, "variant": variant });
        let mut sum = 0;
        let bounds = LATENCIES.map(|bound| bound.to_string()).into_iter().chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(latency.classes) {
            sum += count;
            let mut labels = labels.clone();
            labels["le"] = bound.into();
            counters.push(json!(["headgate_target_milliseconds_bucket", labels, sum]));
        }
        counters.push(json!(["headgate_target_milliseconds_count", labels, sum]));
        counters.push(json!(["headgate_target_milliseconds_sum", labels, latency.sum]));
    }
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
    let target = target.strip_prefix("/.headgate").unwrap_or(target);
    if ["/ofrep/", "/v1/update", "/v1/startup"].iter().any(|start| target.starts_with(start)) {
        limits::CONTEXT_BYTES
    } else if target.starts_with("/v1/events") {
        limits::EVENTS_BYTES
    } else {
        limits::ADMIN_BODY_BYTES
    }
}
