//! Reading a tree field by field, noting every fault instead of stopping at the first.

use super::{At, Node, Number, Problems};
use crate::limits;
use std::borrow::Cow;
use std::collections::HashSet;

/// The members of an object, each to be asked for once; [`Fields::finish`] reports the rest.
pub struct Fields<'n, 'a> {
    members: &'n [(Cow<'a, str>, Node<'a>)],
    taken: Vec<&'static str>,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// Opens an object; anything else, and a key given twice, is a problem.
    pub fn open(node: &'n Node<'a>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let members = entries(node, at, problems)?;
        // No object has more than 24 fields: a condition has 22.
        Some(Self { members, taken: Vec::with_capacity(24) })
    }

    /// The member `name`, if it is there.
    pub fn optional(&mut self, name: &'static str) -> Option<&'n Node<'a>> {
        self.taken.push(name);
        self.members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    /// The member `name`; its absence is a problem.
    pub fn required(&mut self, name: &'static str, at: &At<'_>, problems: &mut Problems) -> Option<&'n Node<'a>> {
        let found = self.optional(name);
        if found.is_none() {
            problems.add(at, format!("`{name}` is missing"));
        }
        found
    }

    /// Reports every member that nobody asked for.
    pub fn finish(self, at: &At<'_>, problems: &mut Problems) {
        for (key, _) in self.members {
            if !self.taken.iter().any(|taken| taken == key) {
                let known = self.taken.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                problems.add(&at.member(key), format!("unknown field; this object takes {known}"));
            }
        }
    }
}

/// The members of an object, with duplicate keys reported.
pub fn entries<'n, 'a>(
    node: &'n Node<'a>,
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<&'n [(Cow<'a, str>, Node<'a>)]> {
    let Node::Object(members) = node else {
        problems.add(at, format!("must be an object, not {}", node.kind()));
        return None;
    };
    // Comparing a few keys with each other is cheaper than hashing them.
    let many = members.len() > 32;
    let mut seen = HashSet::with_capacity(if many { members.len() } else { 0 });
    for (index, (key, _)) in members.iter().enumerate() {
        let duplicate =
            if many { !seen.insert(key.as_ref()) } else { members[..index].iter().any(|(earlier, _)| earlier == key) };
        if duplicate {
            problems.add(&at.member(key), "key is given twice");
        }
    }
    Some(members)
}

/// The elements of an array of at most `limit`.
pub fn elements<'n, 'a>(
    node: &'n Node<'a>,
    limit: usize,
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<&'n [Node<'a>]> {
    match node {
        Node::Array(list) if list.len() <= limit => Some(list),
        Node::Array(list) => {
            problems.add(at, format!("must have at most {limit} elements, not {}", list.len()));
            None
        }
        other => {
            problems.add(at, format!("must be an array, not {}", other.kind()));
            None
        }
    }
}

/// A string of at most `limit` bytes.
pub fn text<'n>(node: &'n Node<'_>, limit: usize, at: &At<'_>, problems: &mut Problems) -> Option<&'n str> {
    match node {
        Node::String(text) if text.len() <= limit => Some(text),
        Node::String(text) => {
            problems.add(at, format!("must have at most {limit} bytes, not {}", text.len()));
            None
        }
        other => {
            problems.add(at, format!("must be a string, not {}", other.kind()));
            None
        }
    }
}

/// `true` or `false`.
pub fn boolean(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<bool> {
    if let Node::Bool(value) = node {
        return Some(*value);
    }
    problems.add(at, format!("must be true or false, not {}", node.kind()));
    None
}

/// A whole number within a closed range.
pub fn integer(
    node: &Node<'_>,
    range: std::ops::RangeInclusive<i64>,
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<i64> {
    match node {
        Node::Number(Number::Whole(value)) if range.contains(value) => Some(*value),
        _ => {
            problems.add(at, format!("must be a whole number from {} to {}", range.start(), range.end()));
            None
        }
    }
}

/// One of a fixed set of words.
pub fn one_of<T: Copy>(node: &Node<'_>, words: &[(&str, T)], at: &At<'_>, problems: &mut Problems) -> Option<T> {
    let found = node.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    if found.is_none() {
        let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        problems.add(at, format!("must be one of {known}"));
    }
    found.map(|(_, value)| *value)
}

/// Lists of short texts (tags, origins, units), read by [`Lines::read`].
pub struct Lines {
    /// Elements at most.
    pub count: usize,
    /// Bytes of each at most.
    pub length: usize,
}

impl Lines {
    /// Reads an array of non-empty strings.
    pub fn read(&self, node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<String> {
        let list = elements(node, self.count, at, problems).unwrap_or_default();
        let mut out = Vec::with_capacity(list.len());
        for (index, element) in list.iter().enumerate() {
            let at = at.element(index);
            match text(element, self.length, &at, problems) {
                Some("") => problems.add(&at, "must not be empty"),
                Some(text) => out.push(text.to_owned()),
                None => {}
            }
        }
        out
    }
}

/// Free text such as descriptions: [`limits::TEXT_LENGTH`].
impl Lines {
    /// Bounds of free text in a list.
    pub const TAGS: Self = Self { count: limits::TAGS, length: limits::KEY_LENGTH };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn all_faults_are_reported_with_their_places() {
        let node = parse(r#"{"a":1,"a":2,"c":{"x":true},"unknown":0}"#).expect("valid");
        let mut problems = Problems::default();
        let at = At::ROOT;
        let mut fields = Fields::open(&node, &at, &mut problems).expect("an object");
        fields.required("b", &at, &mut problems);
        let a = fields.optional("a").expect("there");
        boolean(a, &at.member("a"), &mut problems);
        fields.optional("c");
        fields.finish(&at, &mut problems);
        let found: Vec<_> = problems.into_list().into_iter().map(|p| (p.pointer, p.detail)).collect();
        let expected = [
            ("/a", "key is given twice"),
            ("", "`b` is missing"),
            ("/a", "must be true or false, not a number"),
            ("/unknown", "unknown field; this object takes `b`, `a`, `c`"),
        ];
        assert_eq!(found, expected.map(|(p, d)| (p.to_owned(), d.to_owned())));
    }
}
