//! The context of one request, its attributes put where compiled conditions look for them.

use super::keys::KeyMap;
use crate::json::{Node, Number};
use crate::time::Instant;
use std::borrow::Cow;
use std::sync::Arc;

/// Where an attribute is found in a [`Context`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// `targetingKey`, always there.
    pub const TARGETING_KEY: Self = Self(0);
    /// `time`, always there, set by the gateway.
    pub const TIME: Self = Self(1);
    /// `country`, `region` and `continent`, always there, set by the gateway where it knows them.
    pub const PLACE: [Self; 3] = [Self(2), Self(3), Self(4)];
}

const FIXED: [&str; 5] = ["targetingKey", "time", "country", "region", "continent"];

/// The attributes that an environment's flags read; each has its slot. Slots are only ever added,
/// so that flags compiled earlier stay valid.
#[derive(Clone, Debug)]
pub struct Attributes {
    slots: KeyMap<Slot>,
    /// First parts of dotted paths, with the slots below each.
    nested: KeyMap<Vec<(Arc<str>, Slot)>>,
    /// Which of country, region and continent some flag looks at.
    places: [bool; 3],
}

impl Default for Attributes {
    fn default() -> Self {
        let mut new = Self { slots: KeyMap::default(), nested: KeyMap::default(), places: [false; 3] };
        for name in FIXED {
            new.slot(name);
        }
        new.places = [false; 3];
        new
    }
}

impl Attributes {
    /// The slot of an attribute, made where there is none.
    #[allow(clippy::cast_possible_truncation, reason = "bounded by limits::ATTRIBUTES")]
    pub fn slot(&mut self, name: &str) -> Slot {
        if let Some(place) = FIXED[2..].iter().position(|place| *place == name) {
            self.places[place] = true;
        }
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let slot = Slot(self.slots.len() as u32);
        let name: Arc<str> = name.into();
        if let Some((first, _)) = name.split_once('.') {
            self.nested.entry(first.into()).or_default().push((Arc::clone(&name), slot));
        }
        self.slots.insert(name, slot);
        slot
    }

    /// Hands over the slots of an attribute and of everything below it: `account` and `account.plan`.
    pub fn within(&self, name: &str, mut slot: impl FnMut(Slot)) {
        self.find(name).into_iter().for_each(&mut slot);
        let first = name.split('.').next().unwrap_or(name);
        for (path, below) in self.nested.get(first).into_iter().flatten() {
            if path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) {
                slot(*below);
            }
        }
    }

    /// Whether some flag looks at the country, the region and the continent.
    pub fn places(&self) -> [bool; 3] {
        self.places
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none; there are always the fixed ones.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        // A name with its counts, a place in each map, and room that maps keep.
        self.slots.keys().map(|name| name.len() + 64).sum()
    }

    /// The slot of an attribute that some flag reads.
    pub fn find(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied()
    }
}

/// Attributes of one request in their slots.
#[derive(Debug)]
pub struct Context<'c> {
    slots: Vec<Option<&'c Node<'c>>>,
    now: Instant,
}

impl<'c> Context<'c> {
    /// Puts a request's attributes into their slots; those that no flag reads are left out. An
    /// attribute given literally (`"a.b"`) goes before one reached by path (`"a": {"b": …}`).
    pub fn new(attributes: &Attributes, members: &'c [(Cow<'c, str>, Node<'c>)], now: Instant) -> Self {
        let mut slots = vec![None; attributes.len()];
        for (name, node) in members {
            let Some(below) = attributes.nested.get(name.as_ref()) else { continue };
            for (path, slot) in below {
                slots[slot.0 as usize] = descend(node, &path[name.len() + 1..]);
            }
        }
        for (name, node) in members {
            if let Some(slot) = attributes.find(name) {
                slots[slot.0 as usize] = present(node);
            }
        }
        Self { slots, now }
    }

    /// The attribute in a slot; null counts as missing.
    pub fn get(&self, slot: Slot) -> Option<&'c Node<'c>> {
        self.slots.get(slot.0 as usize).copied().flatten()
    }

    /// Sets an attribute, or takes it away.
    pub fn set(&mut self, slot: Slot, node: Option<&'c Node<'c>>) {
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = node;
        }
    }

    /// Takes over what another context of the same attributes has, but for its targeting key.
    pub fn adopt(&mut self, other: &Self) {
        for (place, given) in self.slots.iter_mut().zip(&other.slots).skip(1) {
            *place = given.or(*place);
        }
    }

    /// The instant of the evaluation.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Hands the bytes to hash for a slot to `use_bytes`: a text's UTF-8, a whole number's digits.
    /// Other values and an empty text are no unit.
    pub fn unit<T>(&self, slot: Slot, use_bytes: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self.get(slot)? {
            Node::String(text) if !text.is_empty() => Some(use_bytes(text.as_bytes())),
            Node::Number(Number::Whole(value)) => Some(use_bytes(digits(*value, &mut [0; 20]))),
            _ => None,
        }
    }
}

fn present<'c>(node: &'c Node<'c>) -> Option<&'c Node<'c>> {
    (!matches!(node, Node::Null)).then_some(node)
}

fn descend<'c>(node: &'c Node<'c>, path: &str) -> Option<&'c Node<'c>> {
    if let Some(found) = node.get(path) {
        return present(found);
    }
    let (first, rest) = path.split_once('.')?;
    descend(node.get(first)?, rest)
}

/// Decimal digits of a number in a buffer of the caller: the longest is `-9223372036854775808`.
#[allow(clippy::cast_possible_truncation, reason = "a digit")]
fn digits(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn attributes_are_found_literally_and_by_path() {
        let mut attributes = Attributes::default();
        let [os, model, plan, literal] = ["device.os", "device.info.model", "plan", "a.b"].map(|n| attributes.slot(n));
        let text = r#"{"plan":null,"device":{"os":"ios","info":{"model":"x"}},"a.b":1,"a":{"b":2},"other":true}"#;
        let Node::Object(members) = parse(text).expect("valid") else { panic!("an object") };
        let context = Context::new(&attributes, &members, Instant::from_millis(0));
        assert_eq!(context.get(os).and_then(Node::as_str), Some("ios"));
        assert_eq!(context.get(model).and_then(Node::as_str), Some("x"));
        assert_eq!(context.get(plan), None);
        assert_eq!(context.get(literal), Some(&Node::Number(Number::Whole(1))));
    }

    #[test]
    fn units_are_texts_and_whole_numbers() {
        let attributes = Attributes::default();
        let unit = |value: &str| {
            let text = format!(r#"{{"targetingKey":{value}}}"#);
            let Node::Object(members) = parse(&text).expect("valid") else { panic!("an object") };
            let context = Context::new(&attributes, &members, Instant::from_millis(0));
            context.unit(Slot::TARGETING_KEY, |bytes| String::from_utf8(bytes.to_vec()).expect("text"))
        };
        assert_eq!(unit(r#""u-1""#).as_deref(), Some("u-1"));
        assert_eq!(unit("-9223372036854775808").as_deref(), Some("-9223372036854775808"));
        assert_eq!(unit("0").as_deref(), Some("0"));
        for none in [r#""""#, "1.5", "true", "null", "[]"] {
            assert_eq!(unit(none), None, "{none}");
        }
    }
}
