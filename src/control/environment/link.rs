//! Testers' links: a route's variant for whoever opens one, also while nobody else gets it.

use super::super::audit::Entry;
use super::super::document::Sort;
use super::super::{Author, Output, Principal};
use super::context_keys;
use super::store::Store;
use crate::http::{Answer, Fault, Kind, Refusal, Reply, Request};
use crate::json::{At, Fields, Problems, integer, parse, text};
use crate::limits;
use crate::route::{RouteDocument, seal};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// How long a link is good unless it is said, seconds.
const SECONDS: i64 = 24 * 3_600;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link<'a> {
    variant: &'a str,
    url: String,
    ticket: &'a str,
    expires_at: String,
}

/// Answers `POST …/routes/{key}/link`: `{"variant": …, "seconds": …, "reason": …}`.
pub(super) fn create(store: &Store<'_>, key: &str, request: &Request, principal: &Principal) -> Answer<Output> {
    let node = parse(&request.body)?;
    let (mut problems, at) = (Problems::default(), At::ROOT);
    let Some(mut fields) = Fields::open(&node, &at, &mut problems) else { return Err(Refusal::invalid(problems)) };
    let variant = fields.required("variant", &at, &mut problems);
    let variant = variant.and_then(|node| text(node, limits::KEY_LENGTH, &at.member("variant"), &mut problems));
    let seconds = fields.optional("seconds");
    let range = 1..=limits::LINK_SECONDS;
    let seconds = seconds.and_then(|node| integer(node, range, &at.member("seconds"), &mut problems));
    let reason = fields.optional("reason");
    let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), &mut problems));
    fields.finish(&at, &mut problems);
    let sort = Sort::Of(Kind::Route);
    let stored = store.find(sort, key)?;
    let stored =
        stored.ok_or_else(|| Refusal::new(Fault::UnknownEntity, format!("there is no `{}`", sort.name(key))))?;
    let route = RouteDocument::read(&parse(&stored.document)?, &At::ROOT, &mut Problems::default());
    let route = route.ok_or_else(|| Refusal::new(Fault::Internal, "the route cannot be read"))?;
    if variant.is_some_and(|variant| route.target(variant).is_none()) {
        problems.add(&at.member("variant"), "the route has no target for it");
    }
    let (Some(variant), true) = (variant, problems.is_empty()) else { return Err(Refusal::invalid(problems)) };
    let secret = context_keys::secrets(store)?.into_iter().next().unwrap_or_default();
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap_or_default();
    let until = store.now.plus_millis(seconds.unwrap_or(SECONDS) * 1_000);
    let ticket = seal::override_ticket(&secret, key, variant, until);
    let author = Author::new(principal, request, reason)?;
    let (entity, after) = (sort.name(key), serde_json::to_string(variant)?);
    store
        .audit(&author, &Entry { action: "link", entity: &entity, version: None, before: None, after: Some(&after) })?;
    let host = route.host.replacen("*.", "www.", 1);
    let path = route.path.split('*').next().unwrap_or("/");
    let url = format!("https://{host}{path}?hg_variant={ticket}");
    Ok(Output::reply(&Reply::value(201, &Link { variant, url, ticket: &ticket, expires_at: until.to_string() })))
}
