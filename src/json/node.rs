//! A JSON document as a tree that borrows from its text and keeps duplicate keys.

use crate::limits;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::fmt;

/// One JSON value. Objects keep the order and the duplicates of the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, whole or not.
    Number(Number),
    /// A text, borrowed where the document spells it without escapes.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Node<'a>>),
    /// Members in the order of the text.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// A JSON number: `10` is whole, `10.0` and `1e1` are not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Written without fraction and exponent, within 64 bits.
    Whole(i64),
    /// Everything else; always finite.
    Real(f64),
}

impl Number {
    /// The number as a float, rounded to nearest beyond 2^53.
    #[allow(clippy::cast_precision_loss, reason = "comparison with a float is what is asked for")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }
}

impl<'a> Node<'a> {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The member `name` of an object, the first if there are several.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same value, free of the text it was read from.
    pub fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Number(value) => Node::Number(value),
            Self::String(text) => Node::String(Cow::Owned(text.into_owned())),
            Self::Array(list) => Node::Array(list.into_iter().map(Node::into_owned).collect()),
            Self::Object(members) => Node::Object(
                members.into_iter().map(|(key, node)| (Cow::Owned(key.into_owned()), node.into_owned())).collect(),
            ),
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number::Whole(value)) => serializer.serialize_i64(*value),
            Self::Number(Number::Real(value)) => serializer.serialize_f64(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(list) => serializer.collect_seq(list),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, node) in members {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
        }
    }
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// One-based line of the fault.
    pub line: usize,
    /// One-based column of the fault, in bytes.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.message, self.line, self.column)
    }
}

/// Reads a JSON text (RFC 8259) of at most [`limits::JSON_DEPTH`] levels.
pub fn parse(text: &str) -> Result<Node<'_>, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Seed { depth: 0 }.deserialize(&mut deserializer).map_err(error)?;
    deserializer.end().map_err(error)?;
    Ok(node)
}

#[allow(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn error(error: serde_json::Error) -> ParseError {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    ParseError { line: error.line(), column: error.column(), message }
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= limits::JSON_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {} levels", limits::JSON_DEPTH)));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Node::Number(Number::Whole(value)))
    }

    #[allow(clippy::cast_precision_loss, reason = "beyond 64 signed bits a number is a float, as in JavaScript")]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Node::Number(i64::try_from(value).map_or(Number::Real(value as f64), Number::Whole)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.is_finite() { Ok(Node::Number(Number::Real(value))) } else { Err(E::custom("number out of range")) }
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(node) = access.next_element_seed(inner)? {
            list.push(node);
        }
        Ok(Node::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            members.push((key, access.next_value_seed(inner)?));
        }
        Ok(Node::Object(members))
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match (Seed { depth: 0 }).deserialize(deserializer)? {
            Node::String(text) => Ok(text),
            _ => Err(D::Error::custom("object key must be a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_duplicates_order_and_the_kind_of_numbers() {
        let node = parse(r#"{"b":1,"a":2.0,"b":null}"#).expect("valid");
        let Node::Object(members) = &node else { panic!("an object") };
        assert_eq!(members.len(), 3);
        assert_eq!(members[0], (Cow::Borrowed("b"), Node::Number(Number::Whole(1))));
        assert_eq!(members[1].1, Node::Number(Number::Real(2.0)));
        assert_eq!(serde_json::to_string(&node).expect("writes"), r#"{"b":1,"a":2.0,"b":null}"#);
    }

    #[test]
    fn numeric_looking_keys_are_keys() {
        assert!(parse(r#"{"1":true}"#).expect("valid").get("1").is_some());
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nest(limits::JSON_DEPTH)).is_ok());
        let error = parse(&nest(limits::JSON_DEPTH + 1)).expect_err("too deep");
        assert_eq!(error.message, "nested deeper than 32 levels");
        assert!(parse(&nest(100_000)).is_err());
    }

    #[test]
    fn faults_name_line_and_column() {
        let error = parse("{\n  \"a\": 1,,\n}").expect_err("invalid");
        assert_eq!((error.line, error.column), (2, 10));
        assert!(parse("").is_err());
        assert!(parse("1 2").is_err());
        assert!(parse("1e999").is_err());
    }
}
