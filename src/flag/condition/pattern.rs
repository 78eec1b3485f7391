//! Regular expressions, compiled once and matched in linear time.

use crate::json::{At, Node, Problems, text};
use crate::limits;
use regex_lite::{Regex, RegexBuilder};

/// A compiled regular expression; it is found anywhere in the text unless anchored.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads and compiles a pattern of at most [`limits::PATTERN_LENGTH`] bytes that takes at most
    /// [`limits::PATTERN_BYTES`] compiled.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let source = text(node, limits::PATTERN_LENGTH, at, problems)?;
        match Self::new(source) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                problems.add(at, format!("not a regular expression: {error}"));
                None
            }
        }
    }

    /// Compiles a pattern.
    pub fn new(source: &str) -> Result<Self, regex_lite::Error> {
        RegexBuilder::new(source).size_limit(limits::PATTERN_BYTES).build().map(Self)
    }

    /// Whether the pattern is found in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The source.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_bounded_by_what_they_compile_to() {
        for fine in [r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$", "^.{1,500}$", "(?i)^(ios|android)-[0-9]{2,4}$"] {
            assert!(Pattern::new(fine).is_ok(), "{fine}");
        }
        for large in ["(a{1000}){1000}", "((a{100}){100}){100}", r"(\w{50}){50}"] {
            assert!(Pattern::new(large).is_err(), "{large}");
        }
    }
}
