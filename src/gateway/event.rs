//! `POST /v1/events`: what apps saw units do, on its way into the queue.

use super::{Call, Gateway, RATE_WINDOW, Rate, Step};
use crate::event::{Message, read_batch};
use crate::http::{Fault, Refusal};
use crate::json::parse;
use crate::limits;
use crate::time::Instant;
use serde_json::json;

/// Seconds after which events that the queue did not take may be sent again.
const QUEUE_PAUSE: &str = "5";

impl Gateway {
    pub(super) fn events(&mut self, call: &Call<'_>, now: Instant) -> Step {
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, "POST, OPTIONS");
            return Step::Reply;
        }
        let environment = match self.admitted(call, now) {
            Ok(admitted) => admitted,
            Err(step) => return step,
        };
        if call.rate == Rate::DeploymentExceeded {
            let refusal = Refusal::new(Fault::TooMany, "events are refused while evaluations need the room");
            return self.problem(call, &environment, &refusal.with("retry-after", RATE_WINDOW));
        }
        if call.queue_failed {
            let refusal = Refusal::new(Fault::Unavailable, "the queue takes no events at the moment; send them again");
            return self.problem(call, &environment, &refusal.with("retry-after", QUEUE_PAUSE));
        }
        let batch = match intake(call) {
            Ok(batch) => batch,
            Err(refusal) => return self.problem(call, &environment, &refusal),
        };
        let accepted = batch.accepted.len();
        if accepted == 0 && !batch.rejected.is_empty() {
            let problems = batch.rejected.into_iter().flat_map(|event| event.problems).collect();
            return self.problem(call, &environment, &Refusal::listing(Fault::Invalid, problems));
        }
        self.respond(call, &environment, 202, &json!({ "accepted": accepted, "rejected": batch.rejected }), now);
        self.count(&environment, "events");
        if accepted == 0 {
            return Step::Reply;
        }
        let message = Message { environment, received: now.millis(), events: batch.accepted };
        self.output.message = serde_json::to_string(&message).unwrap_or_default();
        Step::Queue
    }
}

fn intake(call: &Call<'_>) -> Result<crate::event::Batch, Refusal> {
    if call.method != "POST" {
        return Err(Refusal::new(Fault::MethodNotAllowed, "only POST sends events").with("allow", "POST, OPTIONS"));
    }
    if call.size > limits::EVENTS_BYTES {
        return Err(Refusal::new(Fault::TooLarge, format!("the batch is larger than {} bytes", limits::EVENTS_BYTES)));
    }
    let node = parse(call.body)?;
    read_batch(&node).map_err(Refusal::invalid)
}
