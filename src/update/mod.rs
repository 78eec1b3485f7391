//! Update gates: which versions of an app may run, per channel.

use crate::flag::condition::Version;
use crate::flag::wire::About;
use crate::json::{At, Fields, Node, Problems, one_of, text};
use crate::limits;
use serde::Serialize;

/// The platform a channel serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Apple's phones and tablets.
    Ios,
    /// Google's and others' phones and tablets.
    Android,
    /// A browser.
    Web,
}

/// A channel as it is written: the versions of one app on one platform and track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelDocument {
    /// What it is for and who looks after it.
    #[serde(flatten)]
    pub about: About,
    /// The platform.
    pub platform: Platform,
    /// Versions below this one must update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Where the update is to be had.
    #[serde(rename = "storeUrl", skip_serializing_if = "Option::is_none")]
    pub store_url: Option<String>,
}

impl ChannelDocument {
    /// Reads a channel, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let platforms = [("ios", Platform::Ios), ("android", Platform::Android), ("web", Platform::Web)];
        let mut fields = Fields::open(node, at, problems)?;
        let about = About::read(&mut fields, at, problems);
        let platform = fields.required("platform", at, problems);
        let platform = platform.and_then(|node| one_of(node, &platforms, &at.member("platform"), problems));
        let mut version = |name| {
            let text = text(fields.optional(name)?, limits::KEY_LENGTH, &at.member(name), problems)?;
            if Version::parse(text).is_none() {
                problems.add(&at.member(name), format!("`{text}` is not a version"));
            }
            Some(text.to_owned())
        };
        let (minimum, latest) = (version("minimum"), version("latest"));
        if let (Some(low), Some(high)) = (&minimum, &latest)
            && Version::parse(low) > Version::parse(high)
        {
            problems.add(&at.member("minimum"), "is above `latest`: nobody could comply");
        }
        let store_url = fields.optional("storeUrl").and_then(|node| {
            let url = text(node, limits::TEXT_LENGTH, &at.member("storeUrl"), problems)?;
            if !is_store_url(url) {
                problems
                    .add(&at.member("storeUrl"), "must be an absolute URL such as `https://apps.apple.com/app/id1`");
            }
            Some(url.to_owned())
        });
        fields.finish(at, problems);
        Some(Self { about, platform: platform?, minimum, latest, store_url })
    }

    /// Whether an app of this version may go on, and why. Unknown versions may: fail open.
    pub fn verdict(&self, version: &str) -> Verdict {
        let Some(current) = Version::parse(version) else {
            return Verdict { action: "none", reason: "unknown-version" };
        };
        match self.minimum.as_deref().and_then(Version::parse) {
            Some(minimum) if current < minimum => Verdict { action: "required", reason: "below-minimum" },
            _ => Verdict { action: "none", reason: "supported" },
        }
    }
}

/// Whether an app may open the URL: `https://…`, `itms-apps://…`, `market://…`, but no script.
fn is_store_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(letter)
        && !matches!(scheme, "javascript" | "data" | "vbscript" | "file")
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

/// What an app is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `none` or `required`.
    pub action: &'static str,
    /// Why.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(input: &str) -> (Option<ChannelDocument>, Vec<String>) {
        let mut problems = Problems::default();
        let channel = ChannelDocument::read(&parse(input).expect("valid JSON"), &At::ROOT, &mut problems);
        (channel, problems.into_list().into_iter().map(|p| p.pointer).collect())
    }

    #[test]
    fn an_update_is_required_below_the_minimum_alone() {
        let (channel, problems) = read(r#"{"platform":"ios","minimum":"2.3.0","latest":"2.4"}"#);
        assert_eq!(problems, Vec::<String>::new());
        let verdict = |version| channel.as_ref().expect("read").verdict(version).action;
        assert_eq!(verdict("2.2.9"), "required");
        assert_eq!(verdict("2.3"), "none");
        assert_eq!(verdict("2.3.0-beta"), "required");
        assert_eq!(verdict("banana"), "none");
    }

    #[test]
    fn a_minimum_above_the_latest_is_refused() {
        assert_eq!(read(r#"{"platform":"ios","minimum":"3","latest":"2.4"}"#).1, ["/minimum"]);
        assert_eq!(read(r#"{"platform":"beos","storeUrl":"x"}"#).1, ["/platform", "/storeUrl"]);
        let store = |url: &str| read(&format!(r#"{{"platform":"web","storeUrl":"{url}"}}"#)).1;
        for good in ["https://a.example/x?y=1", "itms-apps://apps.apple.com/app/id1", "market://details?id=a"] {
            assert_eq!(store(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["javascript://%0aalert(1)", "HTTPS://a.example", "https://", "https://a b", "1://a", "://a"] {
            assert_eq!(store(bad), ["/storeUrl"], "{bad}");
        }
    }
}
