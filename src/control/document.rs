//! The documents of an environment: flags, segments, routes, channels and the settings.

use crate::flag::serve::Members;
use crate::flag::{FlagDocument, SegmentDocument};
use crate::http::Kind;
use crate::json::{At, Fields, Lines, Node, Problems, elements, integer, text};
use crate::limits;
use crate::route::RouteDocument;
use crate::startup::{self, Elsewhere};
use crate::update::ChannelDocument;
use serde::{Serialize, Serializer};

/// The sorts of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// The one settings document.
    Settings,
    /// One of a collection.
    Of(Kind),
}

impl Sort {
    /// Every sort, in the order in which documents list them.
    pub const ALL: [Self; 5] =
        [Self::Settings, Self::Of(Kind::Segment), Self::Of(Kind::Flag), Self::Of(Kind::Route), Self::Of(Kind::Channel)];

    /// The word in storage.
    pub fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Of(kind) => kind.singular(),
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.word() == word)
    }

    /// How one is named in audit entries and messages: `flags/x`, `settings`.
    pub fn name(self, key: &str) -> String {
        match self {
            Self::Settings => "settings".to_owned(),
            Self::Of(kind) => format!("{}/{key}", kind.plural()),
        }
    }

    /// Reads a document of this sort, noting every fault.
    pub fn read(self, node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Document> {
        match self {
            Self::Settings => SettingsDocument::read(node, at, problems).map(Document::Settings),
            Self::Of(Kind::Flag) => FlagDocument::read(node, at, problems).map(|flag| Document::Flag(Box::new(flag))),
            Self::Of(Kind::Segment) => SegmentDocument::read(node, at, problems).map(Document::Segment),
            Self::Of(Kind::Route) => RouteDocument::read(node, at, problems).map(Document::Route),
            Self::Of(Kind::Channel) => {
                ChannelDocument::read(node, at, problems).map(|channel| Document::Channel(Box::new(channel)))
            }
        }
    }
}

/// A document that was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Document {
    /// The settings.
    Settings(SettingsDocument),
    /// A segment.
    Segment(SegmentDocument),
    /// A flag.
    Flag(Box<FlagDocument>),
    /// A route.
    Route(RouteDocument),
    /// A channel.
    Channel(Box<ChannelDocument>),
}

impl Document {
    /// The canonical text: what is stored, hashed, published and answered.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What holds for a whole environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsDocument {
    /// What the environment is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Origins whose pages may call with a client token; `*` alone for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Attributes that clients may not set; they come from a server token, a signed context or
    /// the edge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// Seconds after which an app that holds no stream asks again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_seconds: Option<i64>,
    /// Values that apps are given at their start; anybody who has a client token can read them.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "members")]
    pub parameters: Vec<(String, Node<'static>)>,
    /// Apps whose start-up calls another environment answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
}

fn members<S: Serializer>(parameters: &[(String, Node<'static>)], serializer: S) -> Result<S::Ok, S::Error> {
    Members(parameters).serialize(serializer)
}

impl SettingsDocument {
    /// Reads settings, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let description = fields.optional("description");
        let description =
            description.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("description"), problems));
        let origins = fields.optional("origins");
        let origins = origins.map(|node| read_origins(node, &at.member("origins"), problems)).unwrap_or_default();
        let trusted = Lines { count: limits::TAGS, length: limits::KEY_LENGTH };
        let trusted = fields.optional("trusted").map(|node| trusted.read(node, &at.member("trusted"), problems));
        let poll = fields.optional("pollSeconds");
        let poll_seconds =
            poll.and_then(|node| integer(node, startup::POLL_RANGE, &at.member("pollSeconds"), problems));
        let parameters = fields.optional("parameters");
        let parameters = parameters.map(|node| startup::parameters(node, &at.member("parameters"), problems));
        let elsewhere = fields.optional("elsewhere");
        let elsewhere = elsewhere.map(|node| Elsewhere::read_all(node, &at.member("elsewhere"), problems));
        fields.finish(at, problems);
        Some(Self {
            description: description.unwrap_or_default().to_owned(),
            origins,
            trusted: trusted.unwrap_or_default(),
            poll_seconds,
            parameters: parameters.unwrap_or_default(),
            elsewhere: elsewhere.unwrap_or_default(),
        })
    }
}

fn read_origins(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<String> {
    let list = elements(node, limits::ORIGINS, at, problems).unwrap_or_default();
    let mut origins = Vec::with_capacity(list.len());
    for (index, node) in list.iter().enumerate() {
        let at = at.element(index);
        let Some(origin) = text(node, limits::ORIGIN_LENGTH, &at, problems) else { continue };
        if origin == "*" && list.len() > 1 {
            problems.add(&at, "`*` stands alone");
        } else if origin != "*" && !is_origin(origin) {
            problems.add(&at, "must be an origin such as `https://app.example.com`, or `*`");
        }
        origins.push(origin.to_owned());
    }
    origins
}

/// Scheme and host, as browsers send it: no path, no slash at the end, lower case.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let sound = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    sound(scheme, b"+-.") && sound(host, b"-._:[]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn origins_are_what_browsers_send() {
        let read = |origins: &str| {
            let text = format!(r#"{{"origins":{origins},"trusted":["plan"]}}"#);
            let mut problems = Problems::default();
            let read = Sort::Settings.read(&parse(&text).expect("valid"), &At::ROOT, &mut problems);
            (read.map(|document| document.text() == text), problems.count())
        };
        assert_eq!(
            read(r#"["https://app.example.com","http://localhost:3000","capacitor://localhost"]"#),
            (Some(true), 0)
        );
        assert_eq!(read(r#"["*"]"#), (Some(true), 0));
        assert_eq!(read(r#"["*","https://a.example"]"#).1, 1);
        assert_eq!(read(r#"["https://a.example/","a.example","https://A.example","null",""]"#).1, 5);
    }
}
