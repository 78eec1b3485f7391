//! A route as it is written.

use super::pattern::{PathPattern, host_matches, is_host_pattern};
use super::target::Target;
use crate::flag::serve::Members;
use crate::flag::wire::About;
use crate::id::check_key;
use crate::json::{At, Fields, Node, Problems, boolean, elements, entries, integer, one_of, text};
use crate::limits;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A route as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteDocument {
    /// What it is for and who looks after it.
    pub about: About,
    /// The hostname whose traffic is routed, without port, lower-case; `*.` before it is any one label.
    pub host: String,
    /// The paths that it is for, a [`PathPattern`].
    pub path: String,
    /// The flag whose variant decides.
    pub flag: String,
    /// How visitors get to the target.
    pub mode: Mode,
    /// The variant of those who are not compared, and where a failing one falls back to; the flag's `off`
    /// when absent.
    pub stable: Option<String>,
    /// Where each variant leads: an absolute URL without query and fragment.
    pub targets: Vec<(String, String)>,
    /// Where the bucketing unit comes from; the first that a request has.
    pub unit: Vec<UnitSource>,
    /// The cookie without which nobody is compared and no cookie is set.
    pub consent: Option<Consent>,
}

/// How visitors get to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are told where it is.
    Redirect {
        /// 302 or 307, of a GET; other methods get 307, which keeps method and body.
        status: u16,
        /// For how many seconds an answer that is everybody's may be cached.
        max_age: u32,
    },
    /// The gateway fetches it for them.
    Proxy {
        /// Seconds until the target must have begun to answer.
        timeout: u32,
        /// Whether a safe request whose canary is down is answered by the stable target.
        fallback: bool,
        /// Whether what a page loads comes from the version that the page came from.
        pin: bool,
    },
}

impl Mode {
    const REDIRECT: Self = Self::Redirect { status: 302, max_age: 0 };
    const PROXY: Self = Self::Proxy { timeout: 15, fallback: true, pin: true };
}

/// Where a bucketing unit comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSource {
    /// A first-party cookie, made when there is none.
    Cookie(String),
    /// A request header, lower-case.
    Header(String),
    /// A header or cookie `<id>.<signature>`, signed with the environment's context key.
    Signed(String),
}

/// The cookie of those who have consented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Its name.
    pub cookie: String,
    /// What its value must hold; empty when any will do.
    pub contains: String,
}

/// The cookie that holds the unit unless a route says otherwise.
pub const UNIT_COOKIE: &str = "hg_unit";

impl RouteDocument {
    /// Reads a route, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let about = About::read(&mut fields, at, problems);
        let host = fields.required("host", at, problems);
        let host = host.and_then(|node| read_host(node, &at.member("host"), problems));
        let path = fields.optional("path").and_then(|node| read_path(node, &at.member("path"), problems));
        let flag = fields.required("flag", at, problems);
        let flag = flag.and_then(|node| read_key(node, &at.member("flag"), problems));
        let mode = read_mode(&mut fields, at, problems);
        let stable = fields.optional("stable").and_then(|node| read_key(node, &at.member("stable"), problems));
        let targets = fields.required("targets", at, problems);
        let targets = targets.map(|node| read_targets(node, host.as_deref(), &at.member("targets"), problems));
        let unit = fields.optional("unit");
        let unit = unit.and_then(|node| read_unit(node, &at.member("unit"), problems));
        let consent = fields.optional("consent");
        let consent = consent.and_then(|node| read_consent(node, &at.member("consent"), problems));
        fields.finish(at, problems);
        let (host, flag, targets) = (host?, flag?, targets?);
        if stable.as_ref().is_some_and(|stable| !targets.iter().any(|(name, _)| name == stable)) {
            problems.add(&at.member("stable"), "must be a variant that has a target");
        }
        let path = path.unwrap_or_else(|| PathPattern::ALL.to_owned());
        let unit = unit.unwrap_or_else(Self::default_unit);
        Some(Self { about, host, path, flag, mode, stable, targets, unit, consent })
    }

    /// The unit's sources of a route that names none.
    pub fn default_unit() -> Vec<UnitSource> {
        vec![UnitSource::Cookie(UNIT_COOKIE.to_owned())]
    }

    /// The URL of a variant's target.
    pub fn target(&self, variant: &str) -> Option<&str> {
        self.targets.iter().find(|(name, _)| name == variant).map(|(_, url)| url.as_str())
    }
}

fn read_key(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let key = text(node, limits::KEY_LENGTH, at, problems)?;
    if let Err(error) = check_key(key) {
        problems.add(at, error.to_string());
    }
    Some(key.to_owned())
}

fn read_host(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let host = text(node, limits::HOST_LENGTH, at, problems)?;
    if !is_host_pattern(host) {
        problems.add(at, "must be a hostname in lower case, without scheme and port; `*.` may stand before it");
    } else if host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok() {
        problems.add(at, "must be a name of its own: this one is the gateway's");
    }
    Some(host.to_owned())
}

fn read_path(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let path = text(node, limits::PATH_LENGTH, at, problems)?;
    if let Err(detail) = PathPattern::parse(path) {
        problems.add(at, detail);
    }
    Some(path.to_owned())
}

/// Reads `mode` and the fields that one of the modes has.
fn read_mode(fields: &mut Fields<'_, '_>, at: &At<'_>, problems: &mut Problems) -> Mode {
    let words = [("redirect", Mode::REDIRECT), ("proxy", Mode::PROXY)];
    let mode = fields.optional("mode").and_then(|node| one_of(node, &words, &at.member("mode"), problems));
    let mut mode = mode.unwrap_or(Mode::REDIRECT);
    let status = fields.optional("status").and_then(|node| {
        let status = integer(node, 302..=307, &at.member("status"), problems)?;
        if !matches!(status, 302 | 307) {
            problems.add(&at.member("status"), "must be 302 or 307");
        }
        u16::try_from(status).ok()
    });
    let mut number = |name, range, problems: &mut Problems| {
        let number = fields.optional(name).and_then(|node| integer(node, range, &at.member(name), problems));
        number.and_then(|number| u32::try_from(number).ok())
    };
    let given_age = number("maxAge", 0..=limits::ROUTE_MAX_AGE, problems);
    let given_timeout = number("timeout", 1..=limits::ROUTE_TIMEOUT, problems);
    let mut switch = |name, problems: &mut Problems| {
        fields.optional(name).and_then(|node| boolean(node, &at.member(name), problems))
    };
    let (given_fallback, given_pin) = (switch("fallback", problems), switch("pin", problems));
    let mut only = |name, given: bool, word| {
        if given {
            problems.add(&at.member(name), format!("is for `\"mode\": \"{word}\"` alone"));
        }
    };
    match &mut mode {
        Mode::Redirect { status: to, max_age } => {
            *to = status.unwrap_or(*to);
            *max_age = given_age.unwrap_or(*max_age);
            only("timeout", given_timeout.is_some(), "proxy");
            only("fallback", given_fallback.is_some(), "proxy");
            only("pin", given_pin.is_some(), "proxy");
        }
        Mode::Proxy { timeout, fallback, pin } => {
            *timeout = given_timeout.unwrap_or(*timeout);
            *fallback = given_fallback.unwrap_or(*fallback);
            *pin = given_pin.unwrap_or(*pin);
            only("status", status.is_some(), "redirect");
            only("maxAge", given_age.is_some(), "redirect");
        }
    }
    mode
}

fn read_targets(node: &Node<'_>, host: Option<&str>, at: &At<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    let members = entries(node, at, problems).unwrap_or_default();
    if !(1..=limits::VARIANTS).contains(&members.len()) {
        problems.add(at, format!("must name a target for every variant, 1 to {}", limits::VARIANTS));
    }
    let mut targets = Vec::with_capacity(members.len());
    for (variant, node) in members {
        let at = at.member(variant);
        if let Err(error) = check_key(variant) {
            problems.add(&at, format!("a variant's name {error}"));
        }
        let Some(url) = text(node, limits::TEXT_LENGTH, &at, problems) else { continue };
        match Target::parse(url) {
            Err(detail) => problems.add(&at, detail),
            Ok(target) if host.is_some_and(|host| host_matches(host, target.host())) => {
                problems.add(&at, "leads back to the hostname that is routed");
            }
            Ok(target) => targets.push((variant.to_string(), target.as_str().to_owned())),
        }
    }
    targets
}

/// Whether a text can be the name of a header or cookie (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn read_name(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let name = text(node, limits::KEY_LENGTH, at, problems)?;
    if !is_token(name) {
        problems.add(at, "must be the name of a header or cookie");
    }
    Some(name.to_owned())
}

const SOURCES: [&str; 3] = ["cookie", "header", "signed"];

fn read_unit(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Vec<UnitSource>> {
    let list = elements(node, limits::UNIT_SOURCES, at, problems)?;
    let mut sources = Vec::with_capacity(list.len());
    for (index, node) in list.iter().enumerate() {
        let at = at.element(index);
        let Some(mut fields) = Fields::open(node, &at, problems) else { continue };
        let mut name = |word| fields.optional(word).and_then(|node| read_name(node, &at.member(word), problems));
        let given = [
            name("cookie").map(UnitSource::Cookie),
            name("header").map(|name| UnitSource::Header(name.to_ascii_lowercase())),
            name("signed").map(UnitSource::Signed),
        ];
        fields.finish(&at, problems);
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(source), None) => sources.push(source),
            (Some(_), Some(_)) => problems.add(&at, "takes only one of `cookie`, `header`, `signed`"),
            (None, _) if SOURCES.iter().any(|word| node.get(word).is_some()) => {}
            (None, _) => problems.add(&at, "needs one of `cookie`, `header`, `signed`"),
        }
    }
    Some(sources)
}

fn read_consent(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Consent> {
    let mut fields = Fields::open(node, at, problems)?;
    let cookie = fields.required("cookie", at, problems);
    let cookie = cookie.and_then(|node| read_name(node, &at.member("cookie"), problems));
    let contains = fields.optional("contains");
    let contains = contains.and_then(|node| text(node, limits::KEY_LENGTH, &at.member("contains"), problems));
    fields.finish(at, problems);
    Some(Consent { cookie: cookie?, contains: contains.unwrap_or_default().to_owned() })
}

struct One<'a>(&'a UnitSource);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, name) = match self.0 {
            UnitSource::Cookie(name) => ("cookie", name),
            UnitSource::Header(name) => ("header", name),
            UnitSource::Signed(name) => ("signed", name),
        };
        serializer.collect_map([(word, name)])
    }
}

impl Serialize for Consent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let contains = Some(("contains", &self.contains)).filter(|(_, text)| !text.is_empty());
        serializer.collect_map([("cookie", &self.cookie)].into_iter().chain(contains))
    }
}

/// Fields that say what holds anyway are left out.
impl Serialize for RouteDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.about.write(&mut map)?;
        map.serialize_entry("host", &self.host)?;
        if self.path != PathPattern::ALL {
            map.serialize_entry("path", &self.path)?;
        }
        map.serialize_entry("flag", &self.flag)?;
        match self.mode {
            Mode::Redirect { status, max_age } => {
                if status != 302 {
                    map.serialize_entry("status", &status)?;
                }
                if max_age != 0 {
                    map.serialize_entry("maxAge", &max_age)?;
                }
            }
            Mode::Proxy { timeout, fallback, pin } => {
                map.serialize_entry("mode", "proxy")?;
                if timeout != 15 {
                    map.serialize_entry("timeout", &timeout)?;
                }
                if !fallback {
                    map.serialize_entry("fallback", &false)?;
                }
                if !pin {
                    map.serialize_entry("pin", &false)?;
                }
            }
        }
        if let Some(stable) = &self.stable {
            map.serialize_entry("stable", stable)?;
        }
        map.serialize_entry("targets", &Members(&self.targets))?;
        if self.unit != Self::default_unit() {
            map.serialize_entry("unit", &self.unit.iter().map(One).collect::<Vec<_>>())?;
        }
        if let Some(consent) = &self.consent {
            map.serialize_entry("consent", consent)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn check(input: &str) -> (Option<RouteDocument>, Vec<String>) {
        let mut problems = Problems::default();
        let route = RouteDocument::read(&parse(input).expect("valid JSON"), &At::ROOT, &mut problems);
        (route, problems.into_list().into_iter().map(|problem| problem.pointer).collect())
    }

    fn route(more: &str) -> String {
        format!(r#"{{"host":"shop.example","flag":"f","targets":{{"on":"https://a.example"}}{more}}}"#)
    }

    #[test]
    fn routes_are_written_back_as_they_were_read() {
        for text in [
            route(""),
            r#"{"description":"d","owner":"o","tags":["t"],"host":"*.shop.example","path":"/a/**","flag":"f","mode":"proxy","timeout":5,"fallback":false,"pin":false,"stable":"on","targets":{"on":"https://a.example/v2"},"unit":[{"header":"x-user"},{"signed":"hg_id"},{"cookie":"uid"}],"consent":{"cookie":"c","contains":"yes"}}"#.to_owned(),
            route("").replace(r#","targets""#, r#","status":307,"maxAge":60,"targets""#),
        ] {
            let (document, problems) = check(&text);
            assert_eq!(problems, Vec::<String>::new(), "{text}");
            assert_eq!(serde_json::to_string(&document.expect("read")).expect("writes"), text);
        }
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let (_, found) = check(
            r#"{"host":"Shop:80","path":"a","flag":"a b","mode":"proxy","status":302,"stable":"gone",
                "targets":{"on":"javascript:alert(1)","off":"http://a.example"},"unit":[{},{"cookie":"a b"}],"consent":{}}"#,
        );
        let expected = [
            "/host",
            "/path",
            "/flag",
            "/status",
            "/targets/on",
            "/targets/off",
            "/unit/0",
            "/unit/1/cookie",
            "/consent",
            "/stable",
        ];
        assert_eq!(found, expected);
        assert_eq!(check(&route(r#","unit":[{}]"#)).1, ["/unit/0"]);
        assert_eq!(check(&route(r#","unit":[{"cookie":"a","header":"b"}]"#)).1, ["/unit/0"]);
        assert_eq!(check(&route(r#","timeout":5,"fallback":true,"pin":true"#)).1, ["/timeout", "/fallback", "/pin"]);
        assert_eq!(check(&route(r#","status":303"#)).1, ["/status"]);
    }

    #[test]
    fn a_target_that_leads_back_to_its_route_is_refused() {
        for (host, target) in [
            ("shop.example", "https://shop.example/v2"),
            ("shop.example", "https://shop.example:8443"),
            ("*.shop.example", "https://blue.shop.example"),
        ] {
            let text = format!(r#"{{"host":"{host}","flag":"f","targets":{{"on":"{target}"}}}}"#);
            assert_eq!(check(&text).1, ["/targets/on"], "{text}");
        }
    }

    #[test]
    fn the_gateway_s_own_hosts_are_not_routed() {
        for host in ["localhost", "127.0.0.1"] {
            assert_eq!(check(&route("").replace("shop.example", host)).1, ["/host"], "{host}");
        }
    }
}
