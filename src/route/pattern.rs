//! Which requests a route is for: patterns of hostnames and paths, and which of two is more specific.

use crate::limits;

/// Whether a text is a hostname in lower case (RFC 1123 section 2.1), or such a name below `*.`.
pub fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    name.len() <= limits::HOST_LENGTH && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a pattern is for a hostname. `*.` stands for one label, as in certificates (RFC 6125 section 6.4.3).
pub fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(label, below)| !label.is_empty() && below == rest),
        None => pattern == host,
    }
}

/// Whether two patterns can be for the same hostname.
pub fn hosts_overlap(one: &str, other: &str) -> bool {
    one == other || host_matches(one, other) || host_matches(other, one)
}

/// Whether a hostname means the machine itself, where there are no certificates.
pub fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]"
}

/// A pattern of paths: literal segments, `*` for any one segment, `**` at the end for any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Box<[Segment]>,
    /// Whether anything may follow.
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
}

impl PathPattern {
    /// The pattern that a route without one has.
    pub const ALL: &'static str = "/**";

    /// Reads a pattern; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or("must begin with `/`")?;
        if text.bytes().any(|b| !b.is_ascii_graphic() || b"?#\\\"<>".contains(&b)) {
            return Err("may hold only what stands in the path of a URL, percent-encoded".to_owned());
        }
        let (rest, open) = match rest.strip_suffix("**") {
            Some(before) if before.is_empty() || before.ends_with('/') => (before.trim_end_matches('/'), true),
            _ => (rest, false),
        };
        let list: Vec<&str> = if open && rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
        if list.len() > limits::PATH_SEGMENTS {
            return Err(format!("must have at most {} segments", limits::PATH_SEGMENTS));
        }
        let end = list.len().saturating_sub(1);
        let segment = |(index, text): (usize, &&str)| match *text {
            "*" => Ok(Segment::Any),
            "." | ".." => Err("may not hold `.` or `..` as a segment".to_owned()),
            "" if index != end || open => Err("may not hold an empty segment".to_owned()),
            text if text.contains('*') => Err("`*` stands for a whole segment, `**` for the end of a path".to_owned()),
            text => Ok(Segment::Literal(text.into())),
        };
        let segments = list.iter().enumerate().map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments, open })
    }

    /// Whether the pattern is for a path, as it was sent.
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut given = rest.split('/');
        for segment in &self.segments {
            let fits = match (segment, given.next()) {
                (_, None) => false,
                (Segment::Literal(text), Some(part)) => **text == *part,
                (Segment::Any, Some(part)) => !part.is_empty(),
            };
            if !fits {
                return false;
            }
        }
        self.open || given.next().is_none()
    }

    /// Orders patterns, the most specific first: segment by segment a literal goes before `*`, the
    /// end of a pattern before `**`, and both behind anything longer.
    pub fn rank(&self) -> Vec<u8> {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Any => 1,
        };
        self.segments.iter().map(rank).chain([2 + u8::from(self.open)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_one_label_for_a_star() {
        assert!(
            is_host_pattern("*.shop.example") && is_host_pattern("shop-1.example") && is_host_pattern("*.localhost")
        );
        for bad in ["", "*", "*.", "a.*.example", "*shop.example", "Shop.example", "a..b", "-a", "a:80", "*.*.a"] {
            assert!(!is_host_pattern(bad), "{bad}");
        }
        assert!(host_matches("*.shop.example", "www.shop.example"));
        for other in ["shop.example", "a.b.shop.example", ".shop.example", "www.shop.example.evil"] {
            assert!(!host_matches("*.shop.example", other), "{other}");
        }
        assert!(hosts_overlap("*.a.example", "x.a.example") && hosts_overlap("x.a.example", "*.a.example"));
        assert!(!hosts_overlap("*.a.example", "*.b.example") && hosts_overlap("*.a.example", "*.a.example"));
    }

    #[test]
    fn paths_match_by_segments() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let pattern = PathPattern::parse(pattern).expect(pattern);
            for path in yes {
                assert!(pattern.matches(path), "{path}");
            }
            for path in no {
                assert!(!pattern.matches(path), "{path}");
            }
        };
        check("/**", &["/", "/a", "/a/b", "//"], &["a", ""]);
        check("/", &["/"], &["/a", "//"]);
        check("/shop", &["/shop"], &["/shop/", "/shopping", "/shop/a"]);
        check("/shop/**", &["/shop", "/shop/", "/shop/a/b"], &["/shopping", "/"]);
        check("/*/cart", &["/de/cart"], &["/cart", "//cart", "/de/fr/cart"]);
        check("/a/", &["/a/"], &["/a", "/a/b"]);
    }

    #[test]
    fn patterns_that_are_none_say_why() {
        for bad in ["", "shop", "/a*", "/**/a", "/a//b", "/../a", "/a?b", "/a b", "/a\\b", "/a***", "/ä"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
        assert!(PathPattern::parse(&"/a".repeat(limits::PATH_SEGMENTS + 1)).is_err());
    }

    #[test]
    fn the_most_specific_pattern_goes_first() {
        let mut patterns = ["/**", "/shop/**", "/shop", "/shop/*", "/*/cart", "/shop/cart", "/shop/cart/**", "/*"];
        patterns.sort_by_key(|pattern| PathPattern::parse(pattern).expect("a pattern").rank());
        let expected = ["/shop/cart", "/shop/cart/**", "/shop/*", "/shop", "/shop/**", "/*/cart", "/*", "/**"];
        assert_eq!(patterns, expected);
    }
}
