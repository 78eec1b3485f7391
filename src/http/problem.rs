//! Refusals as RFC 9457 problem documents: each kind of fault has one type, status and title.

use super::Reply;
use crate::json::{ParseError, Problem, Problems};
use serde::Serialize;

/// The result of everything that may be refused.
pub type Answer<T> = Result<T, Refusal>;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident, $status:literal, $slug:literal, $title:literal;)+) => {
        /// The kinds of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[doc = $doc])+ $name,)+ }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)+];

            /// Status, slug of the type's URN, and title.
            pub fn row(self) -> (u16, &'static str, &'static str) {
                match self { $(Fault::$name => ($status, $slug, $title),)+ }
            }
        }
    };
}

faults! {
    /// The body is not JSON.
    NotJson, 400, "not-json", "The body is not valid JSON";
    /// The body nests too deep.
    TooDeep, 400, "too-deep", "The body nests too deep";
    /// A key in the path is not a key.
    BadKey, 400, "bad-key", "A key in the path is malformed";
    /// The path's percent-encoding is broken.
    BadPercent, 400, "bad-percent-encoding", "The path is not properly percent-encoded";
    /// A query parameter is unknown or malformed.
    BadParameter, 400, "bad-parameter", "A query parameter is malformed";
    /// A dangerous call was not confirmed.
    Unconfirmed, 400, "confirmation-required", "The call must be confirmed";
    /// No token, or none that is good here.
    Unauthenticated, 401, "unauthenticated", "A valid token is required";
    /// The token is good and does not suffice.
    Forbidden, 403, "forbidden", "The token does not permit this";
    /// The path names nothing.
    NotFound, 404, "not-found", "There is nothing at this path";
    /// No such project.
    UnknownProject, 404, "unknown-project", "There is no such project";
    /// No such environment.
    UnknownEnvironment, 404, "unknown-environment", "There is no such environment";
    /// No such flag, segment, route, channel or token.
    UnknownEntity, 404, "unknown-entity", "There is no such entity";
    /// No such revision or version.
    UnknownRevision, 404, "unknown-revision", "There is no such revision or version";
    /// The path exists, the method does not.
    MethodNotAllowed, 405, "method-not-allowed", "The method is not allowed here";
    /// Another environment routes the hostname.
    HostTaken, 409, "hostname-taken", "Another environment routes this hostname";
    /// Others need what would go away.
    InUse, 409, "in-use", "Others still refer to it";
    /// The pointer that carries kills is full.
    KillDoesNotFit, 409, "kill-does-not-fit", "No more flags can be killed one by one";
    /// The project still has environments.
    NotEmpty, 409, "not-empty", "The project still has environments";
    /// The entity tag is not the current one.
    StaleEtag, 412, "stale-etag", "The resource has changed since it was read";
    /// `If-None-Match: *`, and it exists.
    Exists, 412, "already-exists", "The resource exists already";
    /// The body is too large.
    TooLarge, 413, "too-large", "The body is too large";
    /// The body is declared as something else than JSON.
    MediaType, 415, "unsupported-media-type", "The body must be JSON";
    /// The body is JSON and wrong.
    Invalid, 422, "invalid-document", "The document is invalid";
    /// Flags or segments refer to each other in a circle.
    Cycle, 422, "reference-cycle", "References form a cycle";
    /// A bound of the product is reached.
    Limit, 422, "limit-reached", "A limit is reached";
    /// An existing resource may only be changed with `If-Match`.
    Unconditional, 428, "if-match-required", "If-Match is required";
    /// Too many requests.
    TooMany, 429, "too-many-requests", "Too many requests";
    /// Our own fault.
    Internal, 500, "internal", "Something went wrong here";
    /// A route's target cannot be reached.
    BadGateway, 502, "bad-gateway", "The target cannot be reached";
    /// Something we need does not answer.
    Unavailable, 503, "unavailable", "A dependency does not answer";
    /// A route's target does not answer in time.
    GatewayTimeout, 504, "gateway-timeout", "The target does not answer in time";
    /// A request goes round in a circle.
    Loop, 508, "loop-detected", "The request goes round in a circle";
}

impl Fault {
    /// The type's URI.
    pub fn uri(self) -> String {
        format!("urn:headgate:problem:{}", self.row().1)
    }
}

/// A refused call: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    fault: Fault,
    detail: String,
    problems: Vec<Problem>,
    headers: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    problems: &'a [Problem],
}

impl Refusal {
    /// A refusal with its particulars in words.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { fault, detail: detail.into(), problems: Vec::new(), headers: Vec::new() }))
    }

    /// The faults of a document.
    pub fn invalid(problems: Problems) -> Self {
        Self::listing(Fault::Invalid, problems.into_list())
    }

    /// A refusal that lists places.
    pub fn listing(fault: Fault, problems: Vec<Problem>) -> Self {
        let detail = match problems.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} problems, the first at {}: {}", many.len(), many[0].pointer, many[0].detail),
        };
        Self(Box::new(Inner { fault, detail, problems, headers: Vec::new() }))
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The kind of fault.
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// What is wrong, in words.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The places.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The answer as `application/problem+json`.
    pub fn reply(&self) -> Reply {
        let (status, _, title) = self.0.fault.row();
        let Inner { detail, problems, headers, .. } = &*self.0;
        let mut reply = Reply::value(status, &Wire { r#type: self.0.fault.uri(), title, status, detail, problems });
        "application/problem+json".clone_into(&mut reply.headers[0].1);
        if self.0.fault == Fault::Unauthenticated {
            reply = reply.with("www-authenticate", "Bearer");
        }
        reply.headers.extend(headers.iter().cloned());
        reply
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        let fault = if error.message.starts_with("nested deeper") { Fault::TooDeep } else { Fault::NotJson };
        Self::new(fault, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_fault_has_its_own_type_and_an_error_status() {
        let slugs: HashSet<_> = Fault::ALL.iter().map(|fault| fault.row().1).collect();
        assert_eq!(slugs.len(), Fault::ALL.len());
        assert!(Fault::ALL.iter().all(|fault| (400..600).contains(&fault.row().0)));
    }

    #[test]
    fn a_problem_names_its_places() {
        let problem = Problem { pointer: "/flags/x".to_owned(), detail: "must be an object".to_owned() };
        let reply = Refusal::listing(Fault::Invalid, vec![problem]).reply();
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        let expected = r#"{"type":"urn:headgate:problem:invalid-document","title":"The document is invalid","status":422,"detail":"/flags/x: must be an object","problems":[{"pointer":"/flags/x","detail":"must be an object"}]}"#;
        assert_eq!(reply.body, expected);
    }
}
