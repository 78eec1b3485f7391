//! Keys as types: what may name a project, an environment, a flag, a variant.

use crate::limits;
use std::fmt;

/// Says why a text cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is empty.
    Empty,
    /// The text is longer than the limit it carries.
    TooLong(usize),
    /// The text holds a character outside the allowed set.
    Character,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(limit) => write!(f, "must have at most {limit} characters"),
            Self::Character => f.write_str("may hold only letters, digits and `.`, `_`, `~`, `-`"),
        }
    }
}

/// Checks the key of a flag, segment, route, channel, variant or rule: `[A-Za-z0-9._~-]`, the
/// unreserved characters of RFC 3986 section 2.3, so that a key is its own path segment.
pub fn check_key(text: &str) -> Result<(), KeyError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    check(text, limits::KEY_LENGTH, allowed)?;
    // `.` and `..` are path navigation to every HTTP client.
    if text == "." || text == ".." { Err(KeyError::Character) } else { Ok(()) }
}

fn check(text: &str, limit: usize, allowed: impl Fn(u8) -> bool) -> Result<(), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.len() > limit {
        return Err(KeyError::TooLong(limit));
    }
    if text.bytes().all(allowed) { Ok(()) } else { Err(KeyError::Character) }
}

/// Checks a project's or environment's key: `[a-z0-9-]`, because it is part of tokens (where `_`
/// separates) and of host names.
pub fn check_scope_key(text: &str) -> Result<(), KeyError> {
    check(text, limits::SCOPE_KEY_LENGTH, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One environment of one project, the unit of isolation: `pairity/production`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentId {
    text: String,
    slash: usize,
}

impl EnvironmentId {
    /// Puts the two keys together; the error says which of them is at fault and why.
    pub fn new(project: &str, environment: &str) -> Result<Self, KeyError> {
        check_scope_key(project)?;
        check_scope_key(environment)?;
        Ok(Self { text: format!("{project}/{environment}"), slash: project.len() })
    }

    /// Reads `project/environment`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (project, environment) = text.split_once('/').ok_or(KeyError::Character)?;
        Self::new(project, environment)
    }

    /// The project's key.
    pub fn project(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The environment's key.
    pub fn environment(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// `project/environment`: the name of the Durable Objects and the part of KV keys.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_path_segments() {
        for good in ["a", "enable_video_chat", "A.b~c-9", "..."] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        assert_eq!(check_key(""), Err(KeyError::Empty));
        assert_eq!(check_key(".."), Err(KeyError::Character));
        assert_eq!(check_key("a/b"), Err(KeyError::Character));
        assert_eq!(check_key("ü"), Err(KeyError::Character));
        assert_eq!(check_key(&"a".repeat(129)), Err(KeyError::TooLong(128)));
    }

    #[test]
    fn environments_split_where_they_were_joined() {
        let id = EnvironmentId::parse("pairity/production").expect("valid");
        assert_eq!((id.project(), id.environment()), ("pairity", "production"));
        assert!(EnvironmentId::parse("pairity").is_err());
        assert!(EnvironmentId::parse("a/b/c").is_err());
        assert!(EnvironmentId::parse("Pairity/production").is_err());
    }
}
