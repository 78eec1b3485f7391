//! `GET /v1/update`: the update gate alone.

use super::access;
use super::{Call, Gateway, Held, Rate, Step, Unready, too_many};
use crate::http::{Fault, Query, Refusal};
use crate::time::Instant;
use serde_json::json;

impl Gateway {
    pub(super) fn update(&mut self, call: &Call<'_>, now: Instant) -> Step {
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, "GET, OPTIONS");
            return Step::Reply;
        }
        let environment = match self.admitted(call, now) {
            Ok(admitted) => admitted,
            Err(step) => return step,
        };
        if call.method != "GET" {
            return self.problem(
                call,
                &environment,
                &Refusal::new(Fault::MethodNotAllowed, "only GET asks for an update").with("allow", "GET, OPTIONS"),
            );
        }
        let query = match Query::read(call.query(), &["channel", "version"]) {
            Ok(query) => query,
            Err(refusal) => return self.problem(call, &environment, &refusal),
        };
        let channel = query.get("channel").unwrap_or_default();
        let snapshot = self.environments.get(&environment).and_then(Held::snapshot);
        let found = snapshot.and_then(|snapshot| snapshot.channels.iter().find(|(key, _)| key == channel));
        let Some((_, document)) = found else {
            let detail = format!("there is no channel `{channel}`");
            return self.problem(call, &environment, &Refusal::new(Fault::UnknownEntity, detail));
        };
        let verdict = document.verdict(query.get("version").unwrap_or_default());
        let body = json!({
            "channel": channel, "action": verdict.action, "reason": verdict.reason,
            "minimum": document.minimum, "latest": document.latest, "storeUrl": document.store_url,
        });
        self.respond(call, &environment, 200, &body, now);
        self.count(&environment, "update");
        Step::Reply
    }

    /// The environment of the request's token, once it can be looked at and the token is good.
    pub(super) fn admitted(&mut self, call: &Call<'_>, now: Instant) -> Result<String, Step> {
        if call.rate == Rate::TokenExceeded {
            return Err(self.problem(call, "", &too_many()));
        }
        let unauthorized =
            || Refusal::new(Fault::Unauthenticated, "a valid client or server token of this environment is needed");
        let Some(claim) = self.claimed(call.authorization) else {
            return Err(self.problem(call, "", &unauthorized()));
        };
        let environment = &*claim.environment;
        match self.ready(environment, call, now) {
            Ok(true) => {}
            Ok(false) => return Err(self.problem(call, environment, &unauthorized())),
            Err(Unready::Wait(step)) => return Err(step),
            Err(Unready::Away) => {
                let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
                return Err(self.problem(call, environment, &refusal.with("retry-after", "2")));
            }
        }
        let snapshot = self.environments.get(environment).and_then(Held::snapshot);
        let Some(snapshot) = snapshot.filter(|snapshot| claim.admitted(snapshot, now).is_some()) else {
            return Err(self.problem(call, environment, &unauthorized()));
        };
        if access::origin(call.origin, call.host, &snapshot.origins) == access::Origin::Refused {
            return Err(self.problem(call, environment, &Refusal::new(Fault::Forbidden, "this origin is not allowed")));
        }
        Ok(environment.to_owned())
    }

    /// Answers with a problem document (RFC 9457).
    pub(super) fn problem(&mut self, call: &Call<'_>, environment: &str, refusal: &Refusal) -> Step {
        let reply = refusal.reply();
        let output = &mut self.output;
        output.begin(reply.status);
        for (name, value) in &reply.headers {
            output.header(&name.to_ascii_lowercase(), value);
        }
        output.cors_headers(call.origin);
        output.security_headers();
        output.finish();
        output.body.extend_from_slice(reply.body.as_bytes());
        self.count(environment, "problem");
        Step::Reply
    }

    /// Answers with a JSON body.
    pub(super) fn respond(
        &mut self,
        call: &Call<'_>,
        environment: &str,
        status: u16,
        body: &serde_json::Value,
        now: Instant,
    ) {
        let output = &mut self.output;
        output.begin(status);
        output.header("content-type", "application/json");
        output.header("cache-control", "private, no-cache");
        output.cors_headers(call.origin);
        output.security_headers();
        if let Some(held) = self.environments.get(environment) {
            output.version_headers(held, now);
        }
        output.finish();
        output.body.extend_from_slice(body.to_string().as_bytes());
    }
}
