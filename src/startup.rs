//! An app's start: what the app says of itself, what the environment gives it, and which apps
//! belong to another environment.

use crate::flag::condition::{Version, VersionRange};
use crate::flag::wire::check_object;
use crate::id::check_key;
use crate::json::{At, Fields, Node, Number, Problems, elements, entries, text};
use crate::limits;
use crate::token::{self, Scope, TokenKind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One thing that an app says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Its name in a request.
    pub name: &'static str,
    /// The attribute that conditions look at.
    pub attribute: &'static str,
}

/// What an app may say of itself.
pub const FACTS: [Fact; 8] = [
    Fact { name: "app", attribute: "app" },
    Fact { name: "platform", attribute: "platform" },
    Fact { name: "version", attribute: "app_version" },
    Fact { name: "build", attribute: "build" },
    Fact { name: "osVersion", attribute: "os_version" },
    Fact { name: "locale", attribute: "locale" },
    Fact { name: "storefront", attribute: "storefront" },
    Fact { name: "channel", attribute: "channel" },
];

/// What people call some facts, and their names here.
const ALIASES: [(&str, &str); 2] = [("bundleId", "app"), ("appVersion", "version")];

impl Fact {
    /// The fact of this name; `bundleId` is `app`, `appVersion` is `version`.
    pub fn named(name: &str) -> Option<Self> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        FACTS.into_iter().find(|fact| fact.name == name)
    }

    /// The attribute's value. Build numbers compare as numbers where they are some.
    pub fn value<'a>(self, text: &str) -> Node<'a> {
        match text.parse() {
            Ok(number) if self.name == "build" => Node::Number(Number::Whole(number)),
            _ => Node::String(Cow::Owned(text.to_owned())),
        }
    }
}

/// Seconds between two calls of an app that holds no stream, where the settings name none: with
/// the 5 s in which changes spread, a kill is on screen within 30 s.
pub const POLL_SECONDS: i64 = 20;
/// What an environment may ask of its apps instead.
pub const POLL_RANGE: std::ops::RangeInclusive<i64> = 5..=86_400;

/// Reads an environment's parameters: values that its apps are given at their start.
pub fn parameters(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<(String, Node<'static>)> {
    let members = entries(node, at, problems).unwrap_or_default();
    if members.len() > limits::PARAMETERS {
        problems.add(at, format!("must have at most {} members, not {}", limits::PARAMETERS, members.len()));
    }
    for (name, value) in members {
        let at = at.member(name);
        if let Err(error) = check_key(name) {
            problems.add(&at, format!("the name {error}"));
        }
        if matches!(value, Node::Null) {
            problems.add(&at, "must be a boolean, a number, a string, an array or an object, not null");
        }
        check_object(value, limits::VALUE_DEPTH, &at, problems);
    }
    let bytes = serde_json::to_string(node).map_or(0, |text| text.len());
    if bytes > limits::PARAMETERS_BYTES {
        problems.add(at, format!("must have at most {} bytes, not {bytes}", limits::PARAMETERS_BYTES));
    }
    members.iter().map(|(name, value)| (name.to_string(), value.clone().into_owned())).collect()
}

/// An app whose start-up calls are answered by another environment of the project: a build that a
/// store reviews, say. It names that environment by a client token of it, which the answer hands on,
/// so that whatever the app asks next goes there too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Bundle id or package name.
    pub app: String,
    /// The platform; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The builds, as a range of versions; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<String>,
    /// A client token of the other environment.
    pub token: String,
}

impl Elsewhere {
    /// Reads a list of them, noting every fault.
    pub fn read_all(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<Self> {
        let list = elements(node, limits::ELSEWHERE, at, problems).unwrap_or_default();
        let one = |(index, node)| Self::read(node, &at.element(index), problems);
        list.iter().enumerate().filter_map(one).collect()
    }

    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let app = fields.required("app", at, problems);
        let app = app.and_then(|node| line(node, &at.member("app"), problems));
        let platform = fields.optional("platform").and_then(|node| line(node, &at.member("platform"), problems));
        let builds =
            fields.optional("builds").and_then(|node| VersionRange::read(node, &at.member("builds"), problems));
        let token = fields.required("token", at, problems);
        let token = token.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("token"), problems));
        if token.is_some_and(|text| target(text).is_none()) {
            problems.add(&at.member("token"), "must be a client token of another environment of the project");
        }
        fields.finish(at, problems);
        let builds = builds.map(|range| range.as_str().to_owned());
        Some(Self { app: app?, platform, builds, token: token?.to_owned() })
    }

    /// The keys of project and environment that the token is of.
    pub fn target(&self) -> Option<(&str, &str)> {
        target(&self.token)
    }

    /// Whether an app is meant.
    pub fn covers(&self, app: &str, platform: &str, build: &str) -> bool {
        let of_platform = self.platform.as_ref().is_none_or(|known| known.eq_ignore_ascii_case(platform));
        let of_builds = || {
            let Some(range) = &self.builds else { return true };
            let (Ok(range), Some(build)) = (VersionRange::parse(range), Version::parse(build)) else { return false };
            range.contains(&build)
        };
        self.app == app && of_platform && of_builds()
    }
}

fn line(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let text = text(node, limits::KEY_LENGTH, at, problems)?;
    if text.is_empty() {
        problems.add(at, "must not be empty");
    }
    Some(text.to_owned())
}

fn target(text: &str) -> Option<(&str, &str)> {
    match token::parse(text).filter(|token| token.kind == TokenKind::Client)?.scope {
        Scope::Environment(project, environment) => Some((project, environment)),
        Scope::Deployment => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(input: &str) -> (Vec<Elsewhere>, Vec<String>) {
        let mut problems = Problems::default();
        let read = Elsewhere::read_all(&parse(input).expect("valid JSON"), &At::ROOT, &mut problems);
        (read, problems.into_list().into_iter().map(|problem| problem.pointer).collect())
    }

    #[test]
    fn apps_are_told_apart_by_id_platform_and_build() {
        let client = token::mint(TokenKind::Client, Scope::Environment("p", "staging"), &[1; 32]);
        let (list, problems) =
            read(&format!(r#"[{{"app":"a.b","platform":"ios","builds":">=512 <600 || 700","token":"{client}"}}]"#));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(list[0].target(), Some(("p", "staging")));
        for (app, platform, build, covered) in [
            ("a.b", "ios", "512", true),
            ("a.b", "iOS", "599", true),
            ("a.b", "ios", "700", true),
            ("a.b", "ios", "600", false),
            ("a.b", "android", "512", false),
            ("a.c", "ios", "512", false),
            ("a.b", "ios", "", false),
            ("a.b", "ios", "banana", false),
        ] {
            assert_eq!(list[0].covers(app, platform, build), covered, "{app} {platform} {build}");
        }
        let (list, _) = read(&format!(r#"[{{"app":"a.b","token":"{client}"}}]"#));
        assert!(list[0].covers("a.b", "", ""));
    }

    #[test]
    fn a_client_token_is_what_names_the_other_environment() {
        let server = token::mint(TokenKind::Server, Scope::Environment("p", "e"), &[1; 32]);
        for token in [server.as_str(), "staging", ""] {
            assert_eq!(read(&format!(r#"[{{"app":"a","token":"{token}"}}]"#)).1, ["/0/token"], "{token}");
        }
        assert_eq!(read(r#"[{"app":"","builds":"?","more":1}]"#).1, ["/0/app", "/0/builds", "/0", "/0/more"]);
    }

    #[test]
    fn parameters_are_values_of_any_type_but_null() {
        let check = |input: &str| {
            let mut problems = Problems::default();
            let read = parameters(&parse(input).expect("valid JSON"), &At::ROOT, &mut problems);
            (read.len(), problems.into_list().into_iter().map(|problem| problem.pointer).collect::<Vec<_>>())
        };
        let good = r#"{"api":"https://api.example","max":3,"ratio":0.5,"beta":true,"tiers":[1,{"a":2}]}"#;
        assert_eq!(check(good), (5, vec![]));
        assert_eq!(check(r#"{"a b":1,"n":null,"o":{"x":1,"x":2}}"#).1, ["/a b", "/n", "/o/x"]);
        assert_eq!(check(&format!(r#"{{"long":"{}"}}"#, "x".repeat(limits::PARAMETERS_BYTES))).1, [""]);
        assert_eq!(check("[]").1, [""]);
    }

    #[test]
    fn facts_become_attributes() {
        assert_eq!(Fact::named("bundleId").map(|fact| fact.attribute), Some("app"));
        assert_eq!(Fact::named("appVersion").map(|fact| fact.attribute), Some("app_version"));
        assert!(Fact::named("unit").is_none());
        let value = |name: &str, text| Fact::named(name).expect("a fact").value(text);
        assert_eq!(value("build", "0512"), Node::Number(Number::Whole(512)));
        assert_eq!(value("build", "5a"), Node::String("5a".into()));
        assert_eq!(value("version", "2"), Node::String("2".into()));
    }
}
