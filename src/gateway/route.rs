//! Traffic of routed hosts: redirects, plans for what the shell fetches, and what is made of the answers.

use super::{Call, Gateway, Place, Site, Step, Unready};
use crate::http::{Fault, Refusal};
use crate::route::{Config, Decision, Failure, Proxy, Redirect, Returned, Ticket, Verdict, Visit, Visitor, decide};
use crate::time::Instant;
use std::fmt::Write as _;

/// The part of a routed host that the gateway keeps for itself.
pub(super) const OWN_PREFIX: &str = "/.headgate/";
/// Seconds after which to try again what cannot be answered at the moment.
const RETRY: &str = "2";

struct Asked<'p>(&'p dyn Place);

impl Visitor for Asked<'_> {
    fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    fn place(&self, which: usize) -> Option<String> {
        self.0.name(which)
    }

    fn random(&self) -> u128 {
        self.0.random()
    }
}

/// What a decision comes to, free of what it was made from.
enum Outcome {
    Refused(Refusal),
    Redirect,
    Fetch,
}

impl Gateway {
    /// Routes a request of a routed host, its body unread. [`Step::Pass`] is one of the gateway's own after
    /// all; for [`Step::Fetch`] the plan is in [`super::Output::message`].
    #[inline(never)]
    pub fn travel(&mut self, call: &Call<'_>, secure: bool, place: &dyn Place, now: Instant) -> Step {
        self.begin();
        let environment = match self.site(call.host, now) {
            None => return Step::Host(call.host.into()),
            Some(Site::Routed(environment)) if !call.target.starts_with(OWN_PREFIX) => environment,
            Some(_) => return Step::Pass,
        };
        self.output.is_product_s = true;
        match self.ready(&environment, call, now) {
            Ok(true) => {}
            Err(Unready::Wait(step)) => return step,
            Ok(false) | Err(Unready::Away) => {
                let refusal = Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
                return self.problem(call, &environment, &refusal.with("retry-after", RETRY));
            }
        }
        match self.outcome(call, &environment, secure, place, now) {
            Outcome::Refused(refusal) => self.problem(call, &environment, &refusal),
            Outcome::Redirect => Step::Reply,
            Outcome::Fetch => Step::Fetch,
        }
    }

    fn outcome(
        &mut self,
        call: &Call<'_>,
        environment: &str,
        secure: bool,
        place: &dyn Place,
        now: Instant,
    ) -> Outcome {
        let unavailable = || Refusal::new(Fault::Unavailable, "the configuration cannot be read at the moment");
        let Gateway { environments, output, scratch, traffic, .. } = self;
        let Some(held) = environments.get(environment) else { return Outcome::Refused(unavailable()) };
        let Some(snapshot) = held.snapshot() else { return Outcome::Refused(unavailable()) };
        let config = Config {
            routes: &snapshot.routes,
            flags: &snapshot.flags,
            kills: held.kills(),
            keys: &snapshot.context_keys,
        };
        let Call { method, target, authority, host, cookie, .. } = *call;
        let visit = Visit { method, target, authority, host, secure, cookie, now };
        match decide(&config, &visit, &Asked(place), scratch) {
            Decision::NotFound => {
                Outcome::Refused(Refusal::new(Fault::NotFound, "no route is for this path on this host"))
            }
            Decision::Malformed => Outcome::Refused(Refusal::new(Fault::BadParameter, "the target is no path")),
            Decision::Loop => {
                Outcome::Refused(Refusal::new(Fault::Loop, "the request has come by this gateway too often"))
            }
            Decision::Redirect(redirect) => {
                let choice = &redirect.choice;
                let of = [environment, &*choice.route.key, &*choice.arm.variant];
                traffic.count(of, "redirect", choice.exposed);
                write_redirect(output, &redirect);
                Outcome::Redirect
            }
            Decision::Proxy(proxy) => {
                write_plan(output, environment, &proxy);
                Outcome::Fetch
            }
        }
    }

    /// Says what becomes of what the shell has fetched, counting it. The first line is `pass`, `again` or
    /// `fail`. After `pass` and `again` come header lines, `name` and `value` (an empty value drops the
    /// header, `+name` adds to it); `again` has the ticket for the second answer on its own line before
    /// them; after `fail` comes the status, then the problem.
    pub fn returned(&mut self, ticket: &Ticket<'_>, returned: &Returned<'_>, millis: u32) -> String {
        let Ticket { environment, route, variant, .. } = ticket;
        let of = [*environment, *route, *variant];
        self.traffic.count(of, returned.class(), ticket.exposed);
        if matches!(returned, Returned::Head { .. }) {
            self.traffic.time(of, millis);
        }
        match ticket.judge(returned) {
            Verdict::Pass(edits) => format!("pass\n{edits}"),
            Verdict::Again(second) => format!("again\n{}\nheadgate-variant\n{}\n", second.text(), second.variant),
            Verdict::Fail(failure) => {
                let (fault, detail) = match failure {
                    Failure::Refused => (Fault::BadGateway, "the route's target does not take the request"),
                    Failure::TimedOut => (Fault::GatewayTimeout, "the route's target does not answer in time"),
                };
                let reply = Refusal::new(fault, detail).reply();
                format!("fail\n{}\n{}", reply.status, reply.body)
            }
        }
    }
}

fn write_redirect(output: &mut super::Output, redirect: &Redirect<'_>) {
    output.begin(redirect.status);
    if redirect.max_age == 0 {
        output.lines("cache-control\nprivate, no-store\n");
    } else {
        let _ = write!(output.text, "cache-control\npublic, max-age={}\n", redirect.max_age);
        output.lines("vary\nCookie, Headgate-Override\n");
    }
    output.finish();
    output.own_header("location", &redirect.location);
    for cookie in &redirect.choice.cookies {
        output.own_header("set-cookie", cookie);
    }
}

/// The plan's lines: URL, the fallback's URL or nothing, milliseconds until the answer must have begun, the
/// ticket, then request headers: name and value, an empty value drops the header.
fn write_plan(output: &mut super::Output, environment: &str, proxy: &Proxy<'_>) {
    let choice = &proxy.choice;
    let stable = choice.route.stable();
    let ticket = Ticket {
        environment,
        route: &choice.route.key,
        variant: &choice.arm.variant,
        target: choice.arm.target.as_str(),
        stable: if proxy.fallback.is_some() { &stable.variant } else { "" },
        stable_target: stable.target.as_str(),
        shared: choice.shared,
        exposed: choice.exposed,
        cookies: &choice.cookies.join("\t"),
    };
    output.begin(200);
    let fallback = proxy.fallback.as_deref().unwrap_or_default();
    let _ = writeln!(output.message, "{}\n{fallback}\n{}\n{}", proxy.url, proxy.timeout * 1_000, ticket.text());
    output.message.push_str(&proxy.headers);
}
