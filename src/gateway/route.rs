//! Routed traffic: a redirect to the target that a flag's variant names.

use super::{Call, Gateway, Place, Step, Unready};
use crate::flag::Context;
use crate::json::Node;
use crate::time::Instant;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The first-party cookie that holds the bucketing unit.
const COOKIE: &str = "hg_unit";
/// The part of a routed host that the gateway keeps for itself.
const OWN_PREFIX: &str = "/.headgate/";

impl Gateway {
    pub(super) fn routed(&mut self, call: &Call<'_>, environment: &str, place: &dyn Place, now: Instant) -> Step {
        if call.path().starts_with(OWN_PREFIX) {
            return self.pass(call);
        }
        match self.ready(environment, call, now) {
            Ok(true) => {}
            Err(Unready::Wait(step)) => return step,
            Ok(false) | Err(Unready::Away) => {
                self.plain(503, "the configuration cannot be read at the moment\n");
                self.count(environment, "route");
                return Step::Reply;
            }
        }
        let cookie = unit_of(call.cookie);
        let fresh = if cookie.is_none() { format!("{:032x}", place.random()) } else { String::new() };
        let unit = cookie.unwrap_or(&fresh);
        match self.target(call.host, environment, unit, now) {
            Some(target) => self.redirect(call, &target, cookie.is_none().then_some(unit)),
            None => self.plain(404, "no route for this host\n"),
        }
        self.count(environment, "route");
        Step::Reply
    }

    fn target(&mut self, host: &str, environment: &str, unit: &str, now: Instant) -> Option<String> {
        let Gateway { environments, scratch, .. } = self;
        let held = environments.get(environment)?;
        let snapshot = held.snapshot()?;
        let (_, route) = snapshot.routes.iter().find(|(_, route)| route.host == host)?;
        let index = snapshot.flags.find(&route.flag)?;
        let members = [(Cow::Borrowed("targetingKey"), Node::String(Cow::Borrowed(unit)))];
        let context = Context::new(snapshot.flags.attributes(), &members, now);
        let outcome = snapshot.flags.evaluate(index, &context, held.kills(), scratch);
        let variant = snapshot.flags.variant_name(index, outcome)?;
        route.target(variant).map(str::to_owned)
    }

    fn redirect(&mut self, call: &Call<'_>, target: &str, new_unit: Option<&str>) {
        let output = &mut self.output;
        output.begin(302);
        output.header("location", &format!("{target}{}", call.target));
        output.header("cache-control", "private, no-store");
        if let Some(unit) = new_unit {
            let mut cookie = String::new();
            let _ = write!(cookie, "{COOKIE}={unit}; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax");
            output.header("set-cookie", &cookie);
        }
        output.security_headers();
        output.finish();
    }

    fn plain(&mut self, status: u16, text: &str) {
        let output = &mut self.output;
        output.begin(status);
        output.header("content-type", "text/plain; charset=utf-8");
        output.header("cache-control", "no-store");
        output.security_headers();
        output.finish();
        output.body.extend_from_slice(text.as_bytes());
    }
}

/// The unit in a `Cookie` header, when it looks like one that the gateway made.
fn unit_of(cookies: &str) -> Option<&str> {
    let values = cookies.split(';').filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let made_here = |value: &&str| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
    values.into_iter().find(made_here)
}
