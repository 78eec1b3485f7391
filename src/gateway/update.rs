//! `/v1/update`: the update gate alone. A GET carries what fits a query; a POST an evaluation context
//! besides.

use super::access;
use super::context::{Setting, with_context};
use super::ofrep::matches;
use super::{Call, Gateway, Held, Place, Rate, Step, Unready, too_many};
use crate::flag::serve::TARGETING_KEY;
use crate::http::{Answer, Fault, Operation, Query, Refusal};
use crate::json::{At, Fields, Node, Number, Problems, parse};
use crate::limits;
use crate::time::Instant;
use crate::token::TokenKind;
use crate::update::Request;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// What an app asks, wherever it has written it.
#[derive(Default)]
struct Asked<'a> {
    fields: Vec<(&'static str, Cow<'a, str>)>,
    context: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Asked<'a> {
    fn read(call: &Call<'a>) -> Answer<Self> {
        if call.method == "GET" { Self::of_query(call.query()) } else { Self::of_body(call) }
    }

    fn of_query(query: &str) -> Answer<Self> {
        let query = Query::read(query, Operation::Update.row().query)?;
        let given = |name: &&'static str| Some((*name, Cow::Owned(query.get(name)?.to_owned())));
        let unit = query.get(TARGETING_KEY).map(|unit| Node::String(Cow::Owned(unit.to_owned())));
        let context = unit.map(|unit| (Cow::Borrowed(TARGETING_KEY), unit));
        Ok(Self { fields: Request::FIELDS.iter().filter_map(given).collect(), context: context.into_iter().collect() })
    }

    fn of_body(call: &Call<'a>) -> Answer<Self> {
        if call.size > limits::CONTEXT_BYTES {
            let detail = format!("the body has at most {} bytes", limits::CONTEXT_BYTES);
            return Err(Refusal::new(Fault::TooLarge, detail));
        }
        if call.body.trim().is_empty() {
            return Ok(Self::default());
        }
        let node = parse(call.body)?;
        let (mut problems, at) = (Problems::default(), At::ROOT);
        let mut asked = Self::default();
        if let Some(mut fields) = Fields::open(&node, &at, &mut problems) {
            for name in Request::FIELDS {
                match fields.optional(name) {
                    None | Some(Node::Null) => {}
                    Some(Node::String(text)) => asked.fields.push((name, text.clone())),
                    Some(Node::Number(Number::Whole(number))) => {
                        asked.fields.push((name, Cow::Owned(number.to_string())));
                    }
                    Some(other) => {
                        let detail = format!("must be a string or a whole number, not {}", other.kind());
                        problems.add(&at.member(name), detail);
                    }
                }
            }
            match fields.optional("context") {
                None | Some(Node::Null) => {}
                Some(Node::Object(members)) => asked.context.clone_from(members),
                Some(other) => {
                    problems.add(&at.member("context"), format!("must be an object, not {}", other.kind()));
                }
            }
            fields.finish(&at, &mut problems);
        }
        if problems.is_empty() { Ok(asked) } else { Err(Refusal::invalid(problems)) }
    }

    fn request(&self) -> Request<'_> {
        Request::of(&|name| self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value))
    }
}

impl Gateway {
    pub(super) fn update(&mut self, call: &Call<'_>, place: &dyn Place, now: Instant) -> Step {
        const METHODS: &str = "GET, POST, OPTIONS";
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, METHODS);
            return Step::Reply;
        }
        let environment = match self.admitted(call, now) {
            Ok(admitted) => admitted,
            Err(step) => return step,
        };
        if !matches!(call.method, "GET" | "POST") {
            let refusal = Refusal::new(Fault::MethodNotAllowed, "GET or POST asks for an update");
            return self.problem(call, &environment, &refusal.with("allow", METHODS));
        }
        let asked = match Asked::read(call) {
            Ok(asked) => asked,
            Err(refusal) => return self.problem(call, &environment, &refusal),
        };
        let kind = self.claimed(call.authorization);
        let Gateway { environments, output, scratch, .. } = self;
        let held = environments.get(&environment);
        let Some((held, snapshot)) = held.and_then(|held| Some((held, held.snapshot()?))) else {
            let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
            return self.problem(call, &environment, &refusal.with("retry-after", "2"));
        };
        let kind = kind.and_then(|claim| claim.admitted(snapshot, now)).unwrap_or(TokenKind::Client);
        output.begin(200);
        with_context(&Setting { snapshot, kind, place, now }, &asked.context, |context| {
            snapshot.gate(&asked.request(), context, held.kills(), scratch).write(&mut output.body);
        });
        let etag = xxh3_64(&output.body);
        if matches(call.if_none_match, etag) {
            output.begin(304);
        } else {
            output.header("content-type", "application/json");
        }
        output.etag = Some(etag);
        output.header("cache-control", "private, no-cache");
        output.cors_headers(call.origin);
        output.security_headers();
        output.version_headers(held, now);
        output.finish();
        self.count(&environment, "update");
        Step::Reply
    }
}

impl Gateway {
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
