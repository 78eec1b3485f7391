//! Where a variant leads. A target comes from configuration alone: of a request no more is put behind it
//! than a path and a query, cleaned so that they can neither leave the target's prefix nor the header
//! that they are written into.

use super::pattern::is_local;
use crate::limits;
use std::borrow::Cow;
use std::fmt::Write as _;

/// An origin, and the prefix that is put before every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: String,
    origin: usize,
}

impl Target {
    /// Reads an absolute URL without user, query and fragment; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be an absolute https URL without user, query and fragment";
        let text = text.trim_end_matches('/');
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, prefix) = rest.split_at(end);
        if !matches!(scheme, "https" | "http") || !is_authority(authority) {
            return Err(FORM);
        }
        if prefix.bytes().any(|b| !is_plain(b) || b == b'?') {
            return Err(FORM);
        }
        if prefix.split('/').skip(1).any(|segment| segment.is_empty() || is_dots(segment)) {
            return Err("its path may not hold empty segments, `.` or `..`");
        }
        let origin = scheme.len() + 3 + authority.len();
        let new = Self { url: text.to_owned(), origin };
        if scheme == "http" && !is_local(new.host()) {
            return Err("must be https: http is for `localhost` and 127.0.0.1 alone");
        }
        Ok(new)
    }

    /// The URL as it is written, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.url[..self.origin]
    }

    /// The hostname.
    pub fn host(&self) -> &str {
        let authority = self.origin().split_once("://").map_or("", |(_, authority)| authority);
        without_port(authority)
    }

    /// The URL that a request's path and query come to.
    pub fn join(&self, path: &str, query: &str) -> String {
        let mut url = String::with_capacity(self.url.len() + path.len() + query.len() + 8);
        url.push_str(&self.url);
        escape(&resolved(path), &mut url);
        if !query.is_empty() {
            url.push('?');
            escape(query, &mut url);
        }
        url
    }

    /// What a `Location` of the target is on the routed host; `None` when it leads elsewhere.
    pub fn local_path<'l>(&self, location: &'l str) -> Option<&'l str> {
        let rest = location.strip_prefix(self.as_str())?;
        // `https://a.example` is no beginning of `https://a.example.evil` or of `/v20`.
        matches!(rest.bytes().next(), None | Some(b'/' | b'?' | b'#')).then_some(rest)
    }
}

/// A host without its port.
pub fn without_port(authority: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(authority, |(name, _)| name)
}

fn is_authority(text: &str) -> bool {
    let name = without_port(text);
    let port = text.get(name.len() + 1..).unwrap_or_default();
    let port_fits = name.len() == text.len() || port.parse::<u16>().is_ok_and(|port| port > 0);
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let host = !name.is_empty() && name.bytes().all(label) && !name.starts_with('.') && !name.contains("..");
    port_fits && name.len() <= limits::HOST_LENGTH && (host || name == "[::1]")
}

/// What stands in a URL as it is: visible ASCII without what ends a path or confuses those who read it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte)
}

/// Puts a text into a URL; what has no place there is percent-encoded (RFC 3986 section 2.1).
fn escape(text: &str, out: &mut String) {
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Whether a segment is `.` or `..`, however it is spelled (WHATWG URL, single- and double-dot segments).
fn is_dots(segment: &str) -> bool {
    let mut rest = segment.as_bytes();
    let mut dots = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => return false,
        };
        dots += 1;
    }
    matches!(dots, 1 | 2)
}

/// A path without `.` and `..`, so that it stays below the target's prefix whoever resolves them later.
fn resolved(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(is_dots) {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        if is_dots(segment) {
            if segment.len() > 1 && !segment.eq_ignore_ascii_case("%2e") {
                kept.pop();
            }
            if index + 1 == segments.len() {
                kept.push("");
            }
        } else {
            kept.push(segment);
        }
    }
    Cow::Owned(kept.iter().flat_map(|segment| ["/", segment]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_https_or_local() {
        for good in ["https://a.example", "https://a.example:8443/v2/", "http://localhost:3000", "http://a.localhost/x"]
        {
            let target = Target::parse(good).expect(good);
            assert_eq!(target.as_str(), good.trim_end_matches('/'));
        }
        assert_eq!(Target::parse("https://a.example:8443/v2").map(|t| t.host().to_owned()), Ok("a.example".to_owned()));
        for bad in [
            "",
            "a.example",
            "//a.example",
            "javascript:alert(1)",
            "ftp://a.example",
            "https://",
            "https:///x",
            "https://u@a.example",
            "https://a.example?x",
            "https://a.example/#x",
            "https://a.example/a b",
            "https://a..b",
            "https://a.example\\@b.example",
            "https://A.example",
            "https://a.example:0",
            "https://a.example:70000",
            "https://a.example:x",
            "http://a.example",
            "https://a.example/../x",
            "https://a.example//x",
            "https://a.example/%2E%2e/x",
            "https://a.example\r\nx",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_in_a_request_leads_away_from_the_target() {
        let target = Target::parse("https://new.example/v2").expect("a target");
        let check = |path: &str, query: &str, expected: &str| assert_eq!(target.join(path, query), expected, "{path}");
        check("/cart", "x=1&y=%20", "https://new.example/v2/cart?x=1&y=%20");
        check("//evil.example", "", "https://new.example/v2//evil.example");
        check("/\\evil.example", "", "https://new.example/v2/%5Cevil.example");
        check("/%2F%2fevil.example", "", "https://new.example/v2/%2F%2fevil.example");
        check("/../../etc", "", "https://new.example/v2/etc");
        check("/a/%2E%2e/%2e./b", "", "https://new.example/v2/b");
        check("/a/./b/..", "", "https://new.example/v2/a/");
        check("/a\r\nset-cookie: x", "y\nz", "https://new.example/v2/a%0D%0Aset-cookie:%20x?y%0Az");
        check("/ü#x", "", "https://new.example/v2/%C3%BC%23x");
        check("/...", "", "https://new.example/v2/...");
    }

    #[test]
    fn locations_of_the_target_come_home() {
        let target = Target::parse("https://new.example/v2").expect("a target");
        assert_eq!(target.local_path("https://new.example/v2/login?x"), Some("/login?x"));
        assert_eq!(target.local_path("https://new.example/v2"), Some(""));
        for away in ["https://new.example/v20", "https://new.example.evil/v2", "/login", "https://new.example/"] {
            assert_eq!(target.local_path(away), None, "{away}");
        }
    }
}
