//! `GET /v1/stream`: who may listen to an environment's changes. The shell holds the stream itself.

use super::access::{self, Origin};
use super::imprint::{is_signed, told};
use super::{Call, Gateway, Held, RATE_WINDOW, Rate, Step, Streams, Unready, too_many};
use crate::http::{Answer, Fault, Query, Refusal};
use crate::id::check_scope_key;
use crate::snapshot::{Snapshot, TokenEntry};
use crate::time::Instant;
use crate::token::TokenKind;

/// Parameters of a stream's URL. `lastEventId` is what clients send that cannot set headers.
const PARAMETERS: [&str; 8] = [
    "environment",
    "token",
    "expires",
    "signature",
    "since",
    "lastEventId",
    "flagConfigEtag",
    "flagConfigLastModified",
];

fn unauthorized(detail: &str) -> Refusal {
    Refusal::new(Fault::Unauthenticated, detail)
}

impl Gateway {
    /// Lets a client listen, or not. The shell asks again after each notice: a token that has been
    /// revoked listens no longer.
    pub(super) fn stream(&mut self, call: &Call<'_>, now: Instant) -> Step {
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, "GET, OPTIONS");
            return Step::Reply;
        }
        let query = match listen(call) {
            Ok(query) => query,
            Err(refusal) => return self.problem(call, "", &refusal),
        };
        let claim = self.claimed(call.authorization);
        let environment = match &claim {
            Some(claim) => &*claim.environment,
            None => query.get("environment").unwrap_or_default(),
        };
        match self.ready(environment, call, now) {
            Ok(true) => {}
            Ok(false) => {
                return self.problem(call, environment, &unauthorized("a valid token or a signed URL is needed"));
            }
            Err(Unready::Wait(step)) => return step,
            Err(Unready::Away) => {
                let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
                return self.problem(call, environment, &refusal.with("retry-after", "2"));
            }
        }
        let Some(snapshot) = self.environments.get(environment).and_then(Held::snapshot) else {
            return self.problem(call, environment, &unauthorized("a valid token or a signed URL is needed"));
        };
        let entry = match &claim {
            Some(claim) => claim.entry(snapshot, now).ok_or_else(|| unauthorized("the token is not good here")),
            None => signed(environment, &query, snapshot, now),
        };
        let allowed = access::origin(call.origin, call.host, &snapshot.origins) != Origin::Refused;
        let entry = entry.and_then(|entry| {
            if allowed { Ok(entry) } else { Err(Refusal::new(Fault::Forbidden, "this origin is not allowed")) }
        });
        let since = query.get("lastEventId").or(query.get("since")).unwrap_or_default();
        let message = entry.map(|entry| format!("{environment}\n{since}\n{}", entry.id));
        match message.and_then(|message| room(call.streams).map(|()| message)) {
            Ok(message) => self.listening(call, environment, message),
            Err(refusal) => self.problem(call, environment, &refusal),
        }
    }

    fn listening(&mut self, call: &Call<'_>, environment: &str, message: String) -> Step {
        let output = &mut self.output;
        output.begin(200);
        output.lines("content-type\ntext/event-stream\ncache-control\nno-store\nx-accel-buffering\nno\n");
        output.cors_headers(call.origin);
        output.security_headers();
        output.finish();
        output.message = message;
        // A review of one that listens already is no request.
        if told(call).is_none() {
            self.count(environment, "stream");
        }
        Step::Stream
    }
}

fn room(streams: Streams) -> Answer<()> {
    match streams {
        Streams::Free => Ok(()),
        Streams::Full => {
            let refusal = Refusal::new(Fault::TooMany, "this token and address hold too many streams");
            Err(refusal.with("retry-after", RATE_WINDOW))
        }
        Streams::Away => {
            let refusal = Refusal::new(Fault::Unavailable, "streams cannot be had at the moment");
            Err(refusal.with("retry-after", "2"))
        }
    }
}

/// The parameters of a request to listen, when it is one.
fn listen(call: &Call<'_>) -> Answer<Query> {
    if call.rate == Rate::TokenExceeded {
        return Err(too_many());
    }
    if call.method != "GET" {
        return Err(Refusal::new(Fault::MethodNotAllowed, "only GET listens").with("allow", "GET, OPTIONS"));
    }
    let query = Query::read(call.query(), &PARAMETERS)?;
    if call.authorization.is_empty() {
        let keys = query.get("environment").unwrap_or_default().split_once('/');
        let known = keys.is_some_and(|(project, environment)| {
            check_scope_key(project).is_ok() && check_scope_key(environment).is_ok()
        });
        if !known {
            return Err(unauthorized("a valid token or a signed URL is needed"));
        }
    }
    Ok(query)
}

/// The token that a signed URL stands for.
fn signed<'s>(environment: &str, query: &Query, snapshot: &'s Snapshot, now: Instant) -> Answer<&'s TokenEntry> {
    let text = |name| query.get(name).unwrap_or_default();
    let expires = query.integer("expires")?.unwrap_or_default();
    let token = text("token");
    if !is_signed(&snapshot.context_keys, environment, token, expires, text("signature")) {
        return Err(Refusal::new(Fault::Forbidden, "the URL was not signed here"));
    }
    if now.millis() >= expires.saturating_mul(1_000) {
        return Err(unauthorized("the URL has expired: fetch the flags again, the answer has a new one"));
    }
    let entry = snapshot.tokens.values().find(|entry| *entry.id == *token);
    let entry = entry.filter(|entry| entry.kind != TokenKind::Admin && entry.is_alive(now));
    entry.ok_or_else(|| unauthorized("the token behind this URL is good no more"))
}
