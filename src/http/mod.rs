//! HTTP as values: requests, replies, problems and the one table of routes. Nothing here sends or
//! receives; the control plane speaks in these terms and the shell carries them.

pub mod problem;
mod query;
pub mod route;
mod table;

pub use problem::{Answer, Fault, Refusal};
pub use query::{Page, Query};
pub use route::{Kind, Miss, Route, parse};
pub use table::{Access, Body, Method, Operation, Role, Row, TABLE};

use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// The headers that every answer carries, whoever makes it.
pub const SECURITY_HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("referrer-policy", "no-referrer"),
];

/// What the control plane needs of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// The method, upper-case.
    pub method: String,
    /// The path as it was sent, percent-encoded, without query.
    pub path: String,
    /// The query without `?`, as it was sent.
    pub query: String,
    /// The header `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The header `If-Match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// The header `If-None-Match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// The header `Headgate-Reason`: why the change is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The header `Content-Type`; a request without one is taken as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("cache-control".to_owned(), "no-store".to_owned()),
        ];
        Self { status, headers, body: body.into() }
    }

    /// A JSON answer from a value.
    pub fn value(status: u16, value: &impl Serialize) -> Self {
        Self::json(status, serde_json::to_string(value).unwrap_or_default())
    }

    /// The head of a page: it loads nothing and stands in nobody's frame.
    pub fn page() -> Self {
        let mut reply = Self::json(200, "");
        "text/html; charset=utf-8".clone_into(&mut reply.headers[0].1);
        reply
            .with(
                "content-security-policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            )
            .with("x-frame-options", "DENY")
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same as it goes out: with the headers of every answer, and kept by no cache that was
    /// not told to.
    #[must_use]
    pub fn finished(mut self) -> Self {
        if self.header("cache-control").is_none() {
            self = self.with("cache-control", "no-store");
        }
        self.headers.extend(SECURITY_HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a strong entity tag is in an `If-Match` list; `*` matches whatever exists.
pub fn matches_strongly(list: &str, current: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag == current)
}

/// Whether an entity tag is in an `If-None-Match` list, compared weakly (RFC 9110, 13.1.2).
pub fn matches_weakly(list: &str, current: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(current))
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant as `Last-Modified` wants it: `Wed, 01 Jul 2026 10:30:00 GMT`.
pub fn date(at: Instant) -> String {
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1000)) else {
        return String::new();
    };
    let day = DAYS[usize::from(at.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{day}, {:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT", at.day(), at.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        let at = Instant::parse("2026-07-01T12:30:00.250+02:00").expect("valid");
        assert_eq!(date(at), "Wed, 01 Jul 2026 10:30:00 GMT");
    }

    #[test]
    fn entity_tags_compare_as_rfc_9110_says() {
        assert!(matches_strongly("\"a\", \"b\"", "\"b\"") && matches_strongly("*", "\"b\""));
        assert!(!matches_strongly("W/\"b\"", "\"b\"") && !matches_strongly("", "\"b\""));
        assert!(matches_weakly("W/\"b\"", "\"b\"") && !matches_weakly("\"a\"", "\"b\""));
    }
}
