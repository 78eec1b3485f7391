//! The beacon: a script for pages of redirect targets, and what it reports. The browser brings the unit
//! along in the routed host's cookie; whatever else it says is a client's word.

use super::route::OWN_PREFIX;
use super::{Call, Gateway, Held, Place, RATE_WINDOW, Rate, Step};
use crate::event::{Event, EventKind, Message};
use crate::http::{Fault, Refusal};
use crate::id::check_key;
use crate::json::{At, Fields, Node, Number, Problems, entries, parse, text};
use crate::limits;
use crate::route::{Route, Routes, unit_of};
use crate::time::Instant;

const SCRIPT: &str = include_str!("beacon.js");
/// Bytes of a report.
const REPORT_BYTES: usize = 4 * 1024;
/// Metrics of a report.
const METRICS: usize = 16;

impl Gateway {
    /// Answers what lies below [`OWN_PREFIX`]: the beacon, and evaluation for the environment that routes the
    /// host.
    #[inline(never)]
    pub(super) fn below(&mut self, call: &Call<'_>, environment: &str, place: &dyn Place, now: Instant) -> Step {
        self.output.is_product_s = true;
        let target = &call.target[OWN_PREFIX.len() - 1..];
        let call = Call { target, ..*call };
        match call.path() {
            "/beacon.js" => self.script(),
            "/beacon" => self.beacon(&call, environment, place, now),
            _ => {
                let foreign = self.claimed(call.authorization).is_some_and(|claim| *claim.environment != *environment);
                if foreign {
                    let refusal = Refusal::new(Fault::Forbidden, "the token is not of the environment of this host");
                    return self.foreign(&call, &refusal);
                }
                let nothing = || Refusal::new(Fault::NotFound, "here are only evaluation, events and the beacon");
                let step = self.data(&call, place, now);
                step.unwrap_or_else(|| self.problem(&call, environment, &nothing()))
            }
        }
    }

    fn script(&mut self) -> Step {
        let output = &mut self.output;
        output.begin(200);
        output.lines("content-type\ntext/javascript; charset=utf-8\ncache-control\npublic, max-age=3600\n");
        output.lines("access-control-allow-origin\n*\ncross-origin-resource-policy\ncross-origin\n");
        output.security_headers();
        output.finish();
        output.body.extend_from_slice(SCRIPT.as_bytes());
        Step::Reply
    }

    fn beacon(&mut self, call: &Call<'_>, environment: &str, place: &dyn Place, now: Instant) -> Step {
        match self.ready(environment, call, now) {
            Ok(true) => {}
            Err(super::Unready::Wait(step)) => return step,
            Ok(false) | Err(super::Unready::Away) => {
                let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
                return self.problem(call, environment, &refusal.with("retry-after", "2"));
            }
        }
        let found = self.environments.get(environment).and_then(Held::snapshot);
        let events = match found {
            Some(snapshot) => report(call, &snapshot.routes, &snapshot.context_keys, place),
            None => Ok(Vec::new()),
        };
        let events = match events {
            Ok(events) => events,
            Err(refusal) => return self.problem(call, environment, &refusal),
        };
        if call.queue_failed {
            return self.problem(call, environment, &Refusal::new(Fault::Unavailable, "the queue takes no events"));
        }
        let output = &mut self.output;
        output.begin(204);
        output.lines("cache-control\nno-store\n");
        output.finish();
        self.count(environment, "beacon");
        if events.is_empty() {
            return Step::Reply;
        }
        let message = Message { environment: environment.to_owned(), received: now.millis(), events };
        self.output.message = serde_json::to_string(&message).unwrap_or_default();
        Step::Queue
    }
}

/// Measurements of a report; none where the visitor has no unit.
fn report(call: &Call<'_>, routes: &Routes, keys: &[Vec<u8>], place: &dyn Place) -> Result<Vec<Event>, Refusal> {
    if call.method != "POST" {
        return Err(Refusal::new(Fault::MethodNotAllowed, "only POST reports").with("allow", "POST"));
    }
    if call.rate != Rate::Within {
        return Err(Refusal::new(Fault::TooMany, "too many reports").with("retry-after", RATE_WINDOW));
    }
    if call.size > REPORT_BYTES {
        return Err(Refusal::new(Fault::TooLarge, format!("a report has at most {REPORT_BYTES} bytes")));
    }
    let of_target = || routes.of_host(call.host).flat_map(Route::arms).any(|arm| arm.target.origin() == call.origin);
    let own = || call.origin.split_once("://").is_some_and(|(_, authority)| authority == call.authority);
    if !call.origin.is_empty() && !own() && !of_target() {
        return Err(Refusal::new(Fault::Forbidden, "only pages of this host and of its targets report here"));
    }
    let node = parse(call.body)?;
    let mut problems = Problems::default();
    let read = read(&node, &mut problems);
    let Some((path, metrics)) = read.filter(|_| problems.is_empty()) else {
        return Err(Refusal::invalid(problems));
    };
    let route = routes.find(call.host, &path).or_else(|| routes.of_host(call.host).next());
    let Some(unit) = route.and_then(|route| unit_of(route, call.cookie, keys)) else { return Ok(Vec::new()) };
    let id = place.random();
    let event = |(index, (name, value)): (usize, (String, f64))| Event {
        kind: EventKind::Measurement,
        id: Some(format!("{id:032x}-{index}")),
        unit: unit.clone(),
        name,
        value: Some(value),
    };
    Ok(metrics.into_iter().enumerate().map(event).collect())
}

/// Reads `{"path": …, "metrics": {name: number}}`.
fn read(node: &Node<'_>, problems: &mut Problems) -> Option<(String, Vec<(String, f64)>)> {
    let at = At::ROOT;
    let mut fields = Fields::open(node, &at, problems)?;
    let path = fields.required("path", &at, problems);
    let path = path.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("path"), problems));
    let metrics = fields.required("metrics", &at, problems);
    fields.finish(&at, problems);
    let at = at.member("metrics");
    let members = entries(metrics?, &at, problems)?;
    if members.len() > METRICS {
        problems.add(&at, format!("must have at most {METRICS} members"));
    }
    let mut list = Vec::new();
    for (name, node) in members {
        match node {
            Node::Number(number) if check_key(name).is_ok() => list.push((name.to_string(), Number::as_f64(*number))),
            _ => problems.add(&at.member(name), "must be a number under the name of a metric"),
        }
    }
    Some((path?.to_owned(), list))
}
