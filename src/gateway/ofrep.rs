//! `OpenFeature` Remote Evaluation Protocol 0.3: single and bulk evaluation.
//! Source: <https://github.com/open-feature/protocol>.

use super::access::{self, Origin};
use super::context::{Setting, with_context};
use super::imprint::Imprint;
use super::{Call, Gateway, Held, Output, Place, RATE_WINDOW, Rate, Step, Unready};
use crate::flag::{Context, Kills, Outcome, Reason, Scratch};
use crate::json::{Node, parse};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::time::Instant;
use crate::token::TokenKind;
use serde_json::json;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// Why an evaluation is refused, in the protocol's words.
#[derive(Clone, Copy, Debug)]
struct Refused {
    status: u16,
    code: &'static str,
    detail: &'static str,
}

const UNAUTHORIZED: Refused =
    Refused { status: 401, code: "GENERAL", detail: "a valid client or server token of this environment is needed" };
const FOREIGN_ORIGIN: Refused = Refused { status: 403, code: "GENERAL", detail: "this origin is not allowed" };
const FOREIGN_HOST: Refused =
    Refused { status: 403, code: "GENERAL", detail: "the token is not of the environment of this host" };
const UNAVAILABLE: Refused =
    Refused { status: 503, code: "GENERAL", detail: "the configuration cannot be read at the moment" };
const TOO_MANY: Refused = Refused { status: 429, code: "GENERAL", detail: "too many requests with this token" };
const METHOD: Refused = Refused { status: 405, code: "GENERAL", detail: "only POST evaluates flags" };
const TOO_LARGE: Refused = Refused { status: 413, code: "GENERAL", detail: "the context is larger than 64 KiB" };
const NOT_JSON: Refused = Refused { status: 400, code: "PARSE_ERROR", detail: "the body is not a JSON object" };
const NOT_CONTEXT: Refused =
    Refused { status: 400, code: "INVALID_CONTEXT", detail: "`context` must be an object and `targetingKey` a string" };
const DUPLICATE: Refused =
    Refused { status: 400, code: "INVALID_CONTEXT", detail: "an object has the same name twice" };
const BAD_KEY: Refused = Refused { status: 404, code: "FLAG_NOT_FOUND", detail: "there is no such flag" };

impl Gateway {
    pub(super) fn ofrep(&mut self, call: &Call<'_>, key: Option<&str>, place: &dyn Place, now: Instant) -> Step {
        let key = key.map(decode);
        let key = key.as_deref();
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, "POST, OPTIONS");
            return Step::Reply;
        }
        if call.rate == Rate::TokenExceeded {
            return self.refuse(call, "", key, TOO_MANY);
        }
        let Some(claim) = self.claimed(call.authorization) else {
            return self.refuse(call, "", key, UNAUTHORIZED);
        };
        let environment = &*claim.environment;
        match self.ready(environment, call, now) {
            Ok(true) => {}
            Ok(false) => return self.refuse(call, environment, key, UNAUTHORIZED),
            Err(Unready::Wait(step)) => return step,
            Err(Unready::Away) => return self.refuse(call, environment, key, UNAVAILABLE),
        }
        let Gateway { environments, output, scratch, digests, .. } = self;
        let held = environments.get(environment);
        let Some((held, snapshot)) = held.and_then(|held| Some((held, held.snapshot()?))) else {
            return self.refuse(call, environment, key, UNAVAILABLE);
        };
        let Some(token) = claim.entry(snapshot, now) else {
            return self.refuse(call, environment, key, UNAUTHORIZED);
        };
        let evaluated = evaluate(
            call,
            &Request { imprint: Imprint { base: call.base, environment, held, snapshot, token, now }, place, key },
            &mut Buffers { output, scratch, digests },
        );
        match evaluated {
            Ok(()) => {
                self.count(environment, endpoint(key));
                Step::Reply
            }
            Err(refused) => self.refuse(call, environment, key, refused),
        }
    }

    fn refuse(&mut self, call: &Call<'_>, environment: &str, key: Option<&str>, refused: Refused) -> Step {
        let output = &mut self.output;
        output.begin(refused.status);
        output.header("content-type", "application/json");
        output.header("cache-control", "no-store");
        match refused.status {
            503 => output.header("retry-after", "2"),
            429 => output.header("retry-after", RATE_WINDOW),
            _ => {}
        }
        if refused.status == 405 {
            output.header("allow", "POST, OPTIONS");
        }
        output.cors_headers(call.origin);
        output.security_headers();
        output.finish();
        let mut body = json!({ "errorCode": refused.code, "errorDetails": refused.detail, "metadata": {} });
        if let Some(key) = key {
            body["key"] = key.into();
        }
        output.body.extend_from_slice(body.to_string().as_bytes());
        self.count(environment, endpoint(key));
        Step::Reply
    }
}

impl Gateway {
    /// Refuses a token whose environment is not that of the host.
    pub(super) fn foreign(&mut self, call: &Call<'_>, refusal: &crate::http::Refusal) -> Step {
        match call.path().strip_prefix("/ofrep/v1/evaluate/flags") {
            Some(key) => self.refuse(call, "", key.strip_prefix('/'), FOREIGN_HOST),
            None => self.problem(call, "", refusal),
        }
    }
}

fn endpoint(key: Option<&str>) -> &'static str {
    if key.is_some() { "ofrep_flag" } else { "ofrep_flags" }
}

struct Request<'a> {
    imprint: Imprint<'a>,
    place: &'a dyn Place,
    key: Option<&'a str>,
}

struct Buffers<'a> {
    output: &'a mut Output,
    scratch: &'a mut Scratch,
    digests: &'a mut Vec<u8>,
}

fn evaluate(call: &Call<'_>, request: &Request<'_>, buffers: &mut Buffers<'_>) -> Result<(), Refused> {
    let Request { imprint: Imprint { snapshot, now, .. }, place, key } = *request;
    let origin = access::origin(call.origin, call.host, &snapshot.origins);
    if origin == Origin::Refused {
        return Err(FOREIGN_ORIGIN);
    }
    if call.method != "POST" {
        return Err(METHOD);
    }
    if call.size > limits::CONTEXT_BYTES {
        return Err(TOO_LARGE);
    }
    let node = read_body(call.body)?;
    let members = read_context(&node)?;
    let kind = request.imprint.token.kind;
    with_context(&Setting { snapshot, kind, place, now }, members, |context| {
        if let Some(key) = key {
            return single(call, request, key, context, buffers);
        }
        bulk(call, request, context, buffers);
        Ok(())
    })
}

/// The context's members; without a body, or with one that names none, the context is empty.
fn read_context<'n, 'a>(body: &'n Node<'a>) -> Result<&'n [(Cow<'a, str>, Node<'a>)], Refused> {
    let members = match body.get("context") {
        None | Some(Node::Null) => return Ok(&[]),
        Some(Node::Object(members)) => members,
        Some(_) => return Err(NOT_CONTEXT),
    };
    if has_duplicate(members) {
        return Err(DUPLICATE);
    }
    let key = members.iter().find(|(name, _)| name == "targetingKey").map(|(_, node)| node);
    if matches!(key, None | Some(Node::Null | Node::String(_))) { Ok(members) } else { Err(NOT_CONTEXT) }
}

/// Members of a context up to which each is compared with each: quicker than to sort so few.
const FEW: usize = 24;

/// Whether a name comes twice; who checks the first and uses the last can be deceived.
fn has_duplicate(members: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    if members.len() <= FEW {
        return members.iter().enumerate().any(|(at, (name, _))| members[..at].iter().any(|(other, _)| other == name));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn read_body(text: &str) -> Result<Node<'_>, Refused> {
    if text.is_empty() {
        return Ok(Node::Null);
    }
    match parse(text) {
        Ok(Node::Object(members)) if has_duplicate(&members) => Err(DUPLICATE),
        Ok(node @ Node::Object(_)) => Ok(node),
        _ => Err(NOT_JSON),
    }
}

fn single(
    call: &Call<'_>,
    request: &Request<'_>,
    key: &str,
    context: &Context<'_>,
    buffers: &mut Buffers<'_>,
) -> Result<(), Refused> {
    let Imprint { snapshot, held, token, now, .. } = request.imprint;
    let flags = &snapshot.flags;
    let visible = |index: &u32| token.kind == TokenKind::Server || flags.is_client_visible(*index);
    let index = flags.find(key).filter(visible).ok_or(BAD_KEY)?;
    let outcome = flags.evaluate(index, context, held.kills(), buffers.scratch);
    let status = match outcome.reason() {
        Reason::TargetingKeyMissing | Reason::Fault => 400,
        _ => 200,
    };
    let output = &mut *buffers.output;
    output.begin(status);
    output.body.extend_from_slice(outcome.fragment().as_bytes());
    headers(output, call, held, now);
    Ok(())
}

fn bulk(call: &Call<'_>, request: &Request<'_>, context: &Context<'_>, buffers: &mut Buffers<'_>) {
    let Buffers { output, scratch, digests } = buffers;
    let Imprint { snapshot, held, token, now, .. } = request.imprint;
    let outcomes = collect(snapshot, token.kind == TokenKind::Client, context, held.kills(), scratch, digests);
    request.imprint.digest_extras(digests);
    // The tag is known before the body is written: an unchanged answer needs none.
    let etag = xxh3_64(digests);
    if matches(call.if_none_match, etag) {
        output.begin(304);
    } else {
        output.begin(200);
        write_flags(&mut output.body, &outcomes);
        request.imprint.write_extras(&mut output.body);
        output.body.push(b'}');
    }
    output.etag = Some(etag);
    headers(output, call, held, now);
}

/// The answers of all flags that the token may see, and their digests.
pub(super) fn collect<'s>(
    snapshot: &'s Snapshot,
    client: bool,
    context: &Context<'_>,
    kills: &Kills,
    scratch: &mut Scratch,
    digests: &mut Vec<u8>,
) -> Vec<&'s Outcome> {
    digests.clear();
    let mut outcomes = Vec::with_capacity(snapshot.flags.len());
    snapshot.flags.evaluate_all(client, context, kills, scratch, |outcome| {
        digests.extend_from_slice(&outcome.digest().to_le_bytes());
        outcomes.push(outcome);
    });
    outcomes
}

/// Begins an answer with its flags.
pub(super) fn write_flags(body: &mut Vec<u8>, outcomes: &[&Outcome]) {
    body.extend_from_slice(br#"{"flags":["#);
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(outcome.fragment().as_bytes());
    }
    body.push(b']');
}

/// The headers of an evaluation.
pub(super) fn headers(output: &mut Output, call: &Call<'_>, held: &Held, now: Instant) {
    if output.status != 304 {
        output.lines("content-type\napplication/json\n");
    }
    output.lines("cache-control\nprivate, no-cache\n");
    output.cors_headers(call.origin);
    output.security_headers();
    output.version_headers(held, now);
    output.finish();
}

/// Weak comparison with a list of entity tags (RFC 9110 section 13.1.2).
pub(super) fn matches(list: &str, etag: u64) -> bool {
    if list.is_empty() {
        return false;
    }
    let own = format!("\"{etag:016x}\"");
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}

/// Percent-decoding (RFC 3986 section 2.1) of a path segment; bad escapes stay as they are.
fn decode(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(segment), Cow::Owned)
}
