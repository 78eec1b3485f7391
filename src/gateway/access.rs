//! Who may ask, from where, and which attributes are believed.

use super::{Gateway, Held, Output};
use crate::flag::Context;
use crate::http::SECURITY_HEADERS;
use crate::json::{Node, Number, parse};
use crate::limits;
use crate::snapshot::{Snapshot, TokenEntry};
use crate::time::Instant;
use crate::token::{self, Scope, TokenKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::rc::Rc;

/// What a well-formed token says of itself.
#[derive(Debug)]
pub(super) struct Claim {
    /// The environment that it claims to belong to.
    pub environment: Box<str>,
    hash: Box<str>,
}

/// Claims of the `Authorization` headers seen, so that they are read and hashed once; bounded,
/// anybody can make up tokens.
pub(super) type Known = HashMap<Box<str>, Rc<Claim>>;
const KNOWN: usize = 1_000;

fn claim(authorization: &str) -> Option<Claim> {
    let text = token::bearer(authorization)?;
    match token::parse(text)?.scope {
        Scope::Environment(project, environment) => {
            Some(Claim { environment: format!("{project}/{environment}").into(), hash: token::sha256_hex(text).into() })
        }
        Scope::Deployment => None,
    }
}

impl Gateway {
    /// What the token of an `Authorization` header claims.
    pub(super) fn claimed(&mut self, authorization: &str) -> Option<Rc<Claim>> {
        if let Some(known) = self.tokens.get(authorization) {
            return Some(Rc::clone(known));
        }
        let claim = Rc::new(claim(authorization)?);
        if self.tokens.len() >= KNOWN {
            self.tokens.clear();
        }
        self.tokens.insert(authorization.into(), Rc::clone(&claim));
        Some(claim)
    }
}

impl Claim {
    /// The token's kind, when the environment knows it and it has not ended.
    pub(super) fn admitted(&self, snapshot: &Snapshot, now: Instant) -> Option<TokenKind> {
        self.entry(snapshot, now).map(|entry| entry.kind)
    }

    /// What the environment knows of the token, when it does and it has not ended.
    pub(super) fn entry<'s>(&self, snapshot: &'s Snapshot, now: Instant) -> Option<&'s TokenEntry> {
        let entry = snapshot.tokens.get(&self.hash)?;
        (entry.is_alive(now) && entry.kind != TokenKind::Admin).then_some(entry)
    }
}

/// Whether a browser page of this origin may read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// No browser asks, or the page is the gateway's own.
    None,
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

/// Checks an `Origin` header against what an environment allows.
pub(super) fn origin(origin: &str, host: &str, allowed: &[String]) -> Origin {
    let own = || origin.split_once("://").is_some_and(|(_, rest)| rest.split(':').next() == Some(host));
    if origin.is_empty() || own() {
        Origin::None
    } else if allowed.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(origin)) {
        Origin::Allowed
    } else {
        Origin::Refused
    }
}

impl Output {
    /// The headers that every answer carries.
    pub(super) fn security_headers(&mut self) {
        for (name, value) in SECURITY_HEADERS {
            if !(self.is_product_s && name == "strict-transport-security") {
                self.header(name, value);
            }
        }
    }

    /// Lets a browser page of this origin read the answer; `origin` comes from a request.
    pub(super) fn cors_headers(&mut self, origin: &str) {
        self.lines("vary\nOrigin\n");
        // Heads are remembered here and in the shell: nobody makes them long.
        if !origin.is_empty() && origin.len() <= limits::ORIGIN_LENGTH {
            self.header("access-control-allow-origin", origin);
            self.lines("access-control-expose-headers\nETag, Retry-After, Headgate-Version, Headgate-Stale\n");
        }
    }

    /// The answer to a browser that asks what it may do. It carries no token yet, so any origin
    /// is let through; the request that follows is checked.
    pub(super) fn preflight(&mut self, origin: &str, methods: &str) {
        self.begin(204);
        self.cors_headers(origin);
        self.header("access-control-allow-methods", methods);
        self.header("access-control-allow-headers", "Authorization, Content-Type, If-None-Match");
        self.header("access-control-max-age", "86400");
        self.security_headers();
        self.finish();
    }

    /// Which version answered, and whether it may be out of date.
    pub(super) fn version_headers(&mut self, held: &Held, now: Instant) {
        self.header_number("headgate-version", held.snapshot().map_or(0, Snapshot::version));
        match held.staleness(now) {
            Some(_) if held.is_of_unknown_age() => self.header("headgate-stale", "unknown"),
            Some(age) => self.header_number("headgate-stale", age / 1_000),
            None => {}
        }
    }
}

/// Takes away what a client may not claim, and puts in what its backend has signed.
///
/// A backend signs by putting `signedContext` into the context: `<payload>.<signature>`, both
/// base64url without padding; the payload is a JSON object `{"unit": …, "expires": <ms>,
/// "attributes": {…}}`, the signature HMAC-SHA256 (RFC 2104) of the payload's text with the
/// environment's context key. The unit must be the request's targeting key.
pub(super) fn restrict<'c>(context: &mut Context<'c>, snapshot: &Snapshot, signed: Option<&'c Node<'c>>) {
    let attributes = snapshot.flags.attributes();
    for name in &snapshot.trusted {
        attributes.within(name, |slot| context.set(slot, None));
    }
    if let Some(Node::Object(members)) = signed.and_then(|payload| payload.get("attributes")) {
        context.adopt(&Context::new(attributes, members, context.now()));
    }
}

/// The payload of a signed context, when the signature is right and it is still good.
pub(super) fn verify(keys: &[Vec<u8>], text: &str, unit: &str, now: Instant) -> Option<Node<'static>> {
    let (payload, signature) = text.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let signed = |key: &Vec<u8>| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
        mac.update(payload.as_bytes());
        mac.verify_slice(&signature).is_ok()
    };
    if !keys.iter().any(signed) {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let node = parse(&text).ok()?.into_owned();
    let fresh = match node.get("expires") {
        Some(Node::Number(Number::Whole(end))) => now.millis() < *end,
        None => true,
        Some(_) => false,
    };
    (fresh && node.get("unit").and_then(Node::as_str) == Some(unit)).then_some(node)
}
