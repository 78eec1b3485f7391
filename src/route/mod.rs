//! Routes: web traffic sent to the target that a flag's variant names.

use crate::flag::wire::About;
use crate::id::check_key;
use crate::json::{At, Fields, Node, Problems, entries, text};
use crate::limits;
use serde::Serialize;

/// A route as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteDocument {
    /// What it is for and who looks after it.
    pub about: About,
    /// The hostname whose traffic is routed, without port, lower-case.
    pub host: String,
    /// The flag whose variant decides.
    pub flag: String,
    /// Where each variant leads: an absolute `http` or `https` URL without query or fragment.
    pub targets: Vec<(String, String)>,
}

impl RouteDocument {
    /// Reads a route, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let about = About::read(&mut fields, at, problems);
        let host = fields.required("host", at, problems).and_then(|node| {
            let host = text(node, 253, &at.member("host"), problems)?;
            if !host.split('.').all(is_label) {
                problems.add(&at.member("host"), "must be a hostname in lower case, without scheme and port");
            } else if host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok() {
                problems.add(&at.member("host"), "must be a name of its own: this one is the gateway's");
            }
            Some(host.to_owned())
        });
        let flag = fields.required("flag", at, problems).and_then(|node| {
            let key = text(node, limits::KEY_LENGTH, &at.member("flag"), problems)?;
            if let Err(error) = check_key(key) {
                problems.add(&at.member("flag"), error.to_string());
            }
            Some(key.to_owned())
        });
        let targets = fields.required("targets", at, problems);
        let targets = targets.map(|node| read_targets(node, &at.member("targets"), problems));
        fields.finish(at, problems);
        Some(Self { about, host: host?, flag: flag?, targets: targets? })
    }

    /// The URL of a variant's target.
    pub fn target(&self, variant: &str) -> Option<&str> {
        self.targets.iter().find(|(name, _)| name == variant).map(|(_, url)| url.as_str())
    }
}

/// Whether the text can stand between the dots of a hostname (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn read_targets(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<(String, String)> {
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
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let sound = |rest: &str| {
            !rest.is_empty()
                && !rest.starts_with('/')
                && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b))
        };
        if !rest.is_some_and(sound) {
            problems.add(&at, "must be an absolute http or https URL without query and fragment");
        }
        targets.push((variant.to_string(), url.trim_end_matches('/').to_owned()));
    }
    targets
}

impl Serialize for RouteDocument {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(flatten)]
            about: &'a About,
            host: &'a str,
            flag: &'a str,
            targets: crate::flag::serve::Members<'a, String>,
        }
        let targets = crate::flag::serve::Members(&self.targets);
        Wire { about: &self.about, host: &self.host, flag: &self.flag, targets }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn the_gateway_s_own_hosts_are_not_routed() {
        for host in ["localhost", "127.0.0.1"] {
            let input = format!(r#"{{"host":"{host}","flag":"f","targets":{{"on":"https://a.example"}}}}"#);
            let mut problems = Problems::default();
            RouteDocument::read(&parse(&input).expect("valid JSON"), &At::ROOT, &mut problems);
            assert_eq!(problems.count(), 1, "{host}");
        }
    }

    #[test]
    fn targets_come_from_configuration_alone_and_must_be_sound() {
        let input = r#"{"host":"Shop:80","flag":"new-site","targets":{"stable":"javascript:alert(1)","canary":"https://c.example/v2/"}}"#;
        let mut problems = Problems::default();
        let route = RouteDocument::read(&parse(input).expect("valid JSON"), &At::ROOT, &mut problems).expect("read");
        let found: Vec<_> = problems.into_list().into_iter().map(|p| p.pointer).collect();
        assert_eq!(found, ["/host", "/targets/stable"]);
        assert_eq!(route.target("canary"), Some("https://c.example/v2"));
        assert_eq!(route.target("gone"), None);
    }
}
