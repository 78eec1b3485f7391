//! What becomes of a request on a routed host.

use super::cookie::{cookie, set_cookie};
use super::pattern::is_local;
use super::push_header;
use super::seal;
use super::table::{Arm, Route, Routes};
use super::wire::{Mode, UnitSource, is_token};
use crate::flag::{Context, FlagSet, Kills, Reason, Scratch, Slot};
use crate::json::{Node, Number};
use crate::limits;
use crate::time::Instant;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Carries a tester's ticket: query parameter, header and cookie.
const OVERRIDE_PARAMETER: &str = "hg_variant";
const OVERRIDE_HEADER: &str = "headgate-override";
const OVERRIDE_COOKIE: &str = "hg_variant";
/// Pins the parts of a page: query parameter and header; the cookie has the route's key behind it.
const PIN_PARAMETER: &str = "hg_pin";
const PIN_HEADER: &str = "headgate-pin";
const PIN_COOKIE: &str = "hg_pin.";
/// How often a request has come by a gateway.
const HOPS_HEADER: &str = "headgate-hops";
/// A unit's cookie lives for a year.
const UNIT_SECONDS: i64 = 365 * 24 * 3_600;

/// What an environment knows, as far as routes need it.
#[derive(Clone, Copy, Debug)]
pub struct Config<'r> {
    /// The routes.
    pub routes: &'r Routes,
    /// The flags that decide.
    pub flags: &'r FlagSet,
    /// What is killed: flags, routes, or everything.
    pub kills: &'r Kills,
    /// The context keys, the newest first.
    pub keys: &'r [Vec<u8>],
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The method, upper-case.
    pub method: &'a str,
    /// Path and query, as they were sent.
    pub target: &'a str,
    /// The host, and the port where one was given.
    pub authority: &'a str,
    /// The host alone.
    pub host: &'a str,
    /// Whether it came by HTTPS.
    pub secure: bool,
    /// The header `Cookie`.
    pub cookie: &'a str,
    /// The present.
    pub now: Instant,
}

/// What is asked for only where a decision hangs on it.
pub trait Visitor {
    /// A request header by its name in lower case.
    fn header(&self, name: &str) -> Option<String>;
    /// Country, region or continent, by position.
    fn place(&self, which: usize) -> Option<String>;
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision<'r> {
    /// No route is for it.
    NotFound,
    /// Its target is no path.
    Malformed,
    /// It has come by too often.
    Loop,
    /// The visitor is told where to go.
    Redirect(Redirect<'r>),
    /// The gateway fetches it.
    Proxy(Proxy<'r>),
}

/// Whom a request was given to.
#[derive(Debug)]
pub struct Choice<'r> {
    /// The route.
    pub route: &'r Route,
    /// The variant and its target.
    pub arm: &'r Arm,
    /// Whether the visitor takes part in the comparison of variants.
    pub exposed: bool,
    /// Whether everybody is answered alike, whoever asks.
    pub shared: bool,
    /// Values of `Set-Cookie`.
    pub cookies: Vec<String>,
}

/// Where the visitor is sent.
#[derive(Debug)]
pub struct Redirect<'r> {
    /// Whom the request was given to.
    pub choice: Choice<'r>,
    /// 302 or 307.
    pub status: u16,
    /// The absolute URL.
    pub location: String,
    /// For how many seconds the answer may be cached, by whomever; 0 is not at all.
    pub max_age: u32,
}

/// What the gateway fetches.
#[derive(Debug)]
pub struct Proxy<'r> {
    /// Whom the request was given to.
    pub choice: Choice<'r>,
    /// The absolute URL.
    pub url: String,
    /// The stable target's URL, if the request may go there should this one fail.
    pub fallback: Option<String>,
    /// Seconds until the answer must have begun.
    pub timeout: u32,
    /// Request headers, name and value each on its line: to be set, or with an empty value to be dropped.
    pub headers: String,
}

/// Decides; the same request gives the same decision, but for a visitor who has no unit yet.
pub fn decide<'r>(
    config: &Config<'r>,
    visit: &Visit<'_>,
    visitor: &dyn Visitor,
    scratch: &mut Scratch,
) -> Decision<'r> {
    let (path, query) = visit.target.split_once('?').unwrap_or((visit.target, ""));
    if !path.starts_with('/') {
        return Decision::Malformed;
    }
    let Some(route) = config.routes.find(visit.host, path) else { return Decision::NotFound };
    let secure = visit.secure || !is_local(visit.host);
    let ours = if query.contains("hg_") { Parameters::read(query) } else { Parameters::default() };
    let query = ours.rest.as_deref().unwrap_or(query);
    let desk = Desk { config, route, visit, visitor, ours: &ours, secure };
    let choice = desk.choose(scratch);
    match route.mode {
        Mode::Redirect { status, max_age } => Decision::Redirect(Redirect {
            // Other methods would become a GET by 302.
            status: if matches!(visit.method, "GET" | "HEAD") { status } else { 307 },
            location: choice.arm.target.join(path, query),
            max_age: if choice.shared && choice.cookies.is_empty() { max_age } else { 0 },
            choice,
        }),
        Mode::Proxy { timeout, fallback, .. } => {
            let Some(hops) = desk.hops() else { return Decision::Loop };
            let stable = route.stable();
            let safe = matches!(visit.method, "GET" | "HEAD" | "OPTIONS");
            let elsewhere = fallback && safe && choice.arm.variant != stable.variant;
            Decision::Proxy(Proxy {
                url: choice.arm.target.join(path, query),
                fallback: elsewhere.then(|| stable.target.join(path, query)),
                timeout,
                headers: desk.headers(&choice, hops),
                choice,
            })
        }
    }
}

/// The gateway's own query parameters, and the query without them.
#[derive(Debug, Default)]
struct Parameters {
    ticket: Option<String>,
    pin: Option<String>,
    rest: Option<String>,
}

impl Parameters {
    fn read(query: &str) -> Self {
        let mut new = Self::default();
        let mut rest = String::with_capacity(query.len());
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                OVERRIDE_PARAMETER => new.ticket = Some(value.to_owned()),
                PIN_PARAMETER => new.pin = Some(value.to_owned()),
                _ => {
                    if !rest.is_empty() {
                        rest.push('&');
                    }
                    rest.push_str(pair);
                }
            }
        }
        new.rest = Some(rest);
        new
    }
}

/// One request at its route.
struct Desk<'d, 'r> {
    config: &'d Config<'r>,
    route: &'r Route,
    visit: &'d Visit<'d>,
    visitor: &'d dyn Visitor,
    ours: &'d Parameters,
    secure: bool,
}

impl<'r> Desk<'_, 'r> {
    fn stable(&self, shared: bool) -> Choice<'r> {
        Choice { route: self.route, arm: self.route.stable(), exposed: false, shared, cookies: Vec::new() }
    }

    /// Kill, tester, guest, pin, unit: the first that has a say decides.
    fn choose(&self, scratch: &mut Scratch) -> Choice<'r> {
        let Config { kills, flags, .. } = self.config;
        if kills.covers(self.route.id) {
            return self.stable(false);
        }
        let flag_killed = self.route.flag.and_then(|flag| flags.id(flag)).is_some_and(|id| kills.covers(id));
        if let Some(choice) = self.overridden().filter(|_| !flag_killed) {
            return choice;
        }
        if self.is_guest() {
            return self.stable(false);
        }
        let dest = if self.pins() { self.visitor.header("sec-fetch-dest") } else { None };
        let document = matches!(dest.as_deref(), Some("document" | "iframe" | "frame"));
        if let Some(arm) = self.pinned(document, dest.is_some()).filter(|_| !flag_killed) {
            return Choice { arm, ..self.stable(false) };
        }
        let mut choice = self.compared(scratch);
        if document && !choice.shared {
            choice.cookies.extend(self.pin_cookie(choice.arm));
        }
        choice
    }

    /// A tester's choice; a ticket in the query is kept in a cookie for what follows, and one that is no
    /// ticket ends that.
    fn overridden(&self) -> Option<Choice<'r>> {
        let cookie = cookie(self.visit.cookie, OVERRIDE_COOKIE);
        let given = self.ours.ticket.as_deref();
        let header = if given.is_none() { self.visitor.header(OVERRIDE_HEADER) } else { None };
        let ticket = given.or(header.as_deref()).or(cookie)?;
        let read = seal::read_override(self.config.keys, &self.route.key, ticket, self.visit.now);
        let arm = read.and_then(|(variant, seconds)| Some((self.route.arm(variant)?, seconds)));
        let keep = |value, seconds| vec![set_cookie(OVERRIDE_COOKIE, value, Some(seconds), self.secure)];
        match arm {
            Some((arm, seconds)) => {
                let cookies = given.map(|ticket| keep(ticket, seconds)).unwrap_or_default();
                Some(Choice { arm, cookies, ..self.stable(false) })
            }
            None if given.is_some() && cookie.is_some() => Some(Choice { cookies: keep("", 0), ..self.stable(false) }),
            None => None,
        }
    }

    /// Whether nobody looks at the answer, or not now: robots, HEAD, preflights, what is fetched ahead.
    fn is_guest(&self) -> bool {
        let header = |name| self.visitor.header(name);
        matches!(self.visit.method, "HEAD" | "OPTIONS")
            || header("sec-purpose").is_some_and(|purpose| purpose.contains("pre"))
            || header("purpose").is_some_and(|purpose| purpose.contains("pre"))
            || header("x-moz").is_some_and(|purpose| purpose.contains("pre"))
            || header("user-agent").is_some_and(|agent| is_robot(&agent))
    }

    fn pins(&self) -> bool {
        matches!(self.route.mode, Mode::Proxy { pin: true, .. })
    }

    /// The version that the page came from which asks for this.
    fn pinned(&self, document: bool, known: bool) -> Option<&'r Arm> {
        if document || !self.pins() {
            return None;
        }
        let header = if self.ours.pin.is_none() { self.visitor.header(PIN_HEADER) } else { None };
        // Without the browser's word that this is a part of a page, its cookie says nothing.
        let cookie = if known { self.pin_of_cookie() } else { None };
        self.route.pinned(self.ours.pin.as_deref().or(header.as_deref()).or(cookie)?)
    }

    fn pin_of_cookie(&self) -> Option<&str> {
        cookie(self.visit.cookie, &format!("{PIN_COOKIE}{}", self.route.key))
    }

    fn pin_cookie(&self, arm: &Arm) -> Option<String> {
        let name = format!("{PIN_COOKIE}{}", self.route.key);
        (self.pin_of_cookie() != Some(&*arm.pin) && !arm.pin.is_empty())
            .then(|| set_cookie(&name, &arm.pin, None, self.secure))
    }

    /// What the flag says of the visitor's unit.
    fn compared(&self, scratch: &mut Scratch) -> Choice<'r> {
        let consented = self.route.consent.as_ref().is_none_or(|consent| {
            cookie(self.visit.cookie, &consent.cookie).is_some_and(|value| value.contains(&consent.contains))
        });
        let (true, Some(flag)) = (consented, self.route.flag) else { return self.stable(false) };
        let Some((unit, made)) = self.unit() else { return self.stable(false) };
        let (variant, reason) = self.evaluate(flag, &unit, scratch);
        let shared = matches!(reason, Reason::Static | Reason::Disabled);
        let Some(arm) = variant.and_then(|variant| self.route.arm(variant)) else { return self.stable(false) };
        let cookies = made.filter(|_| !shared).map(|name| set_cookie(name, &unit, Some(UNIT_SECONDS), self.secure));
        let cookies = cookies.into_iter().collect();
        Choice { arm, exposed: !shared, shared, cookies, ..self.stable(false) }
    }

    /// The unit, and the cookie that it is to be kept in when it is new.
    fn unit(&self) -> Option<(String, Option<&str>)> {
        let header = |name: &str| self.visitor.header(name);
        if let Some(unit) = known_unit(self.route, self.visit.cookie, self.config.keys, &header) {
            return Some((unit, None));
        }
        let cookie = self.route.unit.iter().find_map(|source| match source {
            UnitSource::Cookie(name) => Some(name.as_str()),
            _ => None,
        });
        cookie.map(|name| (format!("{:032x}", self.visitor.random()), Some(name)))
    }

    fn evaluate(&self, flag: u32, unit: &str, scratch: &mut Scratch) -> (Option<&'r str>, Reason) {
        let Config { flags, kills, .. } = self.config;
        let now = Node::Number(Number::Whole(self.visit.now.millis()));
        let members = [(Cow::Borrowed("targetingKey"), Node::String(Cow::Borrowed(unit)))];
        let places: [OnceCell<Option<Node<'static>>>; 3] = Default::default();
        let mut context = Context::new(flags.attributes(), &members, self.visit.now);
        context.set(Slot::TIME, Some(&now));
        for (which, slot) in Slot::PLACE.into_iter().enumerate() {
            if flags.attributes().places()[which] {
                let name = || self.visitor.place(which).map(|name| Node::String(Cow::Owned(name)));
                context.set(slot, places[which].get_or_init(name).as_ref());
            }
        }
        let outcome = flags.evaluate(flag, &context, kills, scratch);
        (flags.variant_name(flag, outcome), outcome.reason())
    }

    /// How often the request will have come by a gateway; none when that is too often.
    fn hops(&self) -> Option<usize> {
        let count = self.visitor.header(HOPS_HEADER).map_or(0, |text| text.parse().unwrap_or(limits::HOPS));
        // Should somebody on the way drop the count, `Via` still tells.
        let via = self.visitor.header("via").map_or(0, |via| via.matches(OWN_NAME).count());
        let hops = count.max(via);
        (hops < limits::HOPS).then_some(hops + 1)
    }

    /// Request headers of the fetch: what says who asks and by which way, less what is between us alone.
    fn headers(&self, choice: &Choice<'_>, hops: usize) -> String {
        let header = |name| self.visitor.header(name).unwrap_or_default();
        let via = header("via");
        let via_sign = if via.is_empty() { "" } else { ", " };
        let mut out = String::with_capacity(512);
        let mut set = |name: &str, value: &str| push_header(&mut out, name, value);
        set("x-forwarded-host", self.visit.authority);
        set("x-forwarded-proto", if self.visit.secure { "https" } else { "http" });
        set("x-forwarded-for", &header("cf-connecting-ip"));
        set("via", &[&via, via_sign, "1.1 ", OWN_NAME].concat());
        set(HOPS_HEADER, &hops.to_string());
        set("headgate-route", &choice.route.key);
        set("headgate-variant", &choice.arm.variant);
        set(PIN_HEADER, if self.pins() { &choice.arm.pin } else { "" });
        for name in [OVERRIDE_HEADER, "forwarded"].iter().chain(&HOP_BY_HOP) {
            set(name, "");
        }
        for name in header("connection").split(',').map(str::trim) {
            // What is no name cannot be dropped either.
            if is_token(name) && !name.eq_ignore_ascii_case("upgrade") {
                set(name, "");
            }
        }
        out
    }
}

/// The unit that a request's cookies bring for a route.
pub fn unit_of(route: &Route, cookies: &str, keys: &[Vec<u8>]) -> Option<String> {
    known_unit(route, cookies, keys, &|_| None)
}

/// The unit that a request brings, from the first source that has one.
fn known_unit(
    route: &Route,
    cookies: &str,
    keys: &[Vec<u8>],
    header: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let fits = |unit: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~-@:+".contains(&b);
        (1..=limits::UNIT_LENGTH).contains(&unit.len()) && unit.bytes().all(plain)
    };
    let found = |source: &UnitSource| match source {
        UnitSource::Cookie(name) => cookie(cookies, name).map(str::to_owned),
        UnitSource::Header(name) => header(name),
        UnitSource::Signed(name) => {
            let header = header(&name.to_ascii_lowercase());
            let text = header.as_deref().or_else(|| cookie(cookies, name));
            text.and_then(|text| seal::read_unit(keys, text)).map(str::to_owned)
        }
    };
    route.unit.iter().find_map(|source| found(source).filter(fits))
}

/// The gateway's name in `Via` (RFC 9110 section 7.6.3).
const OWN_NAME: &str = "headgate";

/// Headers of one connection alone (RFC 9110 section 7.6.1). `Upgrade` is not among them: where a
/// websocket is asked for it must pass, elsewhere nobody heeds it.
pub(super) const HOP_BY_HOP: [&str; 6] =
    ["keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"];

/// Words in the agents of robots, link previews and monitors.
const ROBOTS: [&[u8]; 11] = [
    b"bot",
    b"crawl",
    b"spider",
    b"slurp",
    b"facebookexternalhit",
    b"preview",
    b"embedly",
    b"lighthouse",
    b"pingdom",
    b"uptime",
    b"monitor",
];

fn is_robot(agent: &str) -> bool {
    let agent = agent.as_bytes();
    (0..agent.len()).any(|at| {
        let rest = &agent[at..];
        let first = rest[0] | 0x20;
        let found = |word: &&[u8]| {
            word[0] == first && rest.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word))
        };
        // Cubot makes phones.
        ROBOTS.iter().any(found) && !agent[..at].to_ascii_lowercase().ends_with(b"cu")
    })
}
