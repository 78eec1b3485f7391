//! `/v1/startup`: everything that an app needs at its start, in one answer.

use super::access::Claim;
use super::asked::Asked;
use super::context::{Setting, with_context};
use super::imprint::Imprint;
use super::ofrep::{collect, headers, matches, write_flags};
use super::{Call, Gateway, Held, Place, Step, Unready};
use crate::http::{Fault, Refusal};
use crate::time::Instant;
use crate::token::TokenKind;
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_64;

const METHODS: &str = "GET, POST, OPTIONS";

impl Gateway {
    pub(super) fn startup(&mut self, call: &Call<'_>, place: &dyn Place, now: Instant) -> Step {
        if call.method == "OPTIONS" {
            self.output.preflight(call.origin, METHODS);
            return Step::Reply;
        }
        let own = match self.admitted(call, now) {
            Ok(own) => own,
            Err(step) => return step,
        };
        if !matches!(call.method, "GET" | "POST") {
            let refusal = Refusal::new(Fault::MethodNotAllowed, "an app starts by GET or POST");
            return self.problem(call, &own, &refusal.with("allow", METHODS));
        }
        let mut asked = match Asked::read(call) {
            Ok(asked) => asked,
            Err(refusal) => return self.problem(call, &own, &refusal),
        };
        // A GET could not send the unit back: its flags answer as without one, never at random.
        let anonymous = call.method == "POST" && asked.unit().is_none();
        if anonymous {
            asked.set_unit(format!("{:032x}", place.random()).into());
        }
        let answered = match self.elsewhere(call, &own, &asked, now) {
            Ok(Some((claim, token))) => self.start(call, &claim, Some(&token), &asked, (anonymous, place, now)),
            Ok(None) => match self.claimed(call.authorization) {
                Some(claim) => self.start(call, &claim, None, &asked, (anonymous, place, now)),
                None => None,
            },
            Err(step) => return step,
        };
        let Some(environment) = answered else {
            let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
            return self.problem(call, &own, &refusal.with("retry-after", "2"));
        };
        self.count(&environment, "startup");
        Step::Reply
    }

    /// The environment of the project that answers in place of `own`, and the token for it. One that
    /// cannot be had, or has revoked the token, leaves the answer to `own`.
    fn elsewhere(
        &mut self,
        call: &Call<'_>,
        own: &str,
        asked: &Asked<'_>,
        now: Instant,
    ) -> Result<Option<(Rc<Claim>, String)>, Step> {
        let snapshot = self.environments.get(own).and_then(Held::snapshot);
        let apps = snapshot.map_or(&[][..], |snapshot| &snapshot.startup.elsewhere);
        let covered =
            apps.iter().find(|one| one.covers(asked.fact("app"), asked.fact("platform"), asked.fact("build")));
        let Some(token) = covered.map(|one| one.token.clone()) else { return Ok(None) };
        let Some(claim) = self.claimed(&format!("Bearer {token}")) else { return Ok(None) };
        match self.readied(&claim.environment, call, call.waited_elsewhere, now) {
            Ok(true) => {
                let snapshot = self.environments.get(&claim.environment).and_then(Held::snapshot);
                let good = snapshot.is_some_and(|snapshot| claim.admitted(snapshot, now).is_some());
                Ok(good.then_some((claim, token)))
            }
            Ok(false) | Err(Unready::Away) => Ok(None),
            Err(Unready::Wait(step)) => Err(step),
        }
    }

    /// Writes the answer; gives the environment that it comes from.
    fn start(
        &mut self,
        call: &Call<'_>,
        claim: &Claim,
        token: Option<&str>,
        asked: &Asked<'_>,
        (anonymous, place, now): (bool, &dyn Place, Instant),
    ) -> Option<Box<str>> {
        let Gateway { environments, output, scratch, digests, .. } = self;
        let held = environments.get(&claim.environment)?;
        let snapshot = held.snapshot()?;
        let entry = claim.entry(snapshot, now)?;
        let imprint = Imprint { base: call.base, environment: &claim.environment, held, snapshot, token: entry, now };
        let (client, kind) = (entry.kind == TokenKind::Client, entry.kind);
        let mut verdict = Vec::new();
        let outcomes = with_context(&Setting { snapshot, kind, place, now }, &asked.context, |context| {
            snapshot.gate(&asked.gate(), context, held.kills(), scratch).write(&mut verdict);
            collect(snapshot, client, context, held.kills(), scratch, digests)
        });
        imprint.digest_extras(digests);
        digests.extend_from_slice(&imprint.window().to_le_bytes());
        digests.extend_from_slice(&snapshot.startup.digest.to_le_bytes());
        for part in [&verdict, asked.unit().unwrap_or_default().as_bytes(), token.unwrap_or_default().as_bytes()] {
            digests.extend_from_slice(&xxh3_64(part).to_le_bytes());
        }
        let etag = xxh3_64(digests);
        // A new unit must reach the app, whatever the app has.
        if !anonymous && matches(call.if_none_match, etag) {
            output.begin(304);
        } else {
            output.begin(200);
            let body = &mut output.body;
            write_flags(body, &outcomes);
            imprint.write_extras(body);
            body.extend_from_slice(br#","update":"#);
            body.extend_from_slice(&verdict);
            body.extend_from_slice(br#","settings":{"#);
            body.extend_from_slice(snapshot.startup.members.as_bytes());
            body.extend_from_slice(br#","streamUrl":""#);
            imprint.write_stream_url(body);
            body.extend_from_slice(br#"","eventsUrl":""#);
            body.extend_from_slice(call.base.as_bytes());
            body.extend_from_slice(br#"/v1/events""#);
            if let Some(token) = token {
                write_text(body, "token", token);
            }
            body.push(b'}');
            if let Some(unit) = asked.unit() {
                write_text(body, "unit", unit);
            }
            body.push(b'}');
        }
        output.etag = Some(etag);
        headers(output, call, held, now);
        Some(claim.environment.clone())
    }
}

/// Writes a member of an object that has some already.
fn write_text(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}
