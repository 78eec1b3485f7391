//! What a rule or the default serves: one variant, or an allocation of units to variants.

use crate::bucketing::Ramp;
use crate::json::{At, Fields, Node, Number, Problems, entries, integer, text};
use crate::limits;
use crate::time::Instant;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A share in thousandths of a percent, which is one bucket: 0..=100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u32);

impl Percent {
    /// Everybody.
    pub const ALL: Self = Self(100_000);

    /// From buckets, 0..=100,000.
    pub const fn from_buckets(buckets: u32) -> Option<Self> {
        if buckets <= 100_000 { Some(Self(buckets)) } else { None }
    }

    /// How many of the 100,000 buckets the share covers.
    pub const fn buckets(self) -> u32 {
        self.0
    }

    /// Reads a number from 0 to 100 with at most three decimals.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let found = match node {
            Node::Number(number) => Self::from_number(*number),
            _ => None,
        };
        if found.is_none() {
            problems.add(at, "must be a percentage: a number from 0 to 100 with at most three decimals");
        }
        found
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range is checked first")]
    #[allow(clippy::float_cmp, reason = "a decimal and the quotient are both the nearest double to the same number")]
    fn from_number(number: Number) -> Option<Self> {
        let value = number.as_f64();
        if !(0.0..=100.0).contains(&value) {
            return None;
        }
        let buckets = (value * 1000.0).round();
        (buckets / 1000.0 == value).then_some(Self(buckets as u32))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u32(self.0 / 1000)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 1000.0)
        }
    }
}

/// How many units take part.
#[derive(Clone, Debug, PartialEq)]
pub enum Share {
    /// A fixed share.
    Fixed(Percent),
    /// A share that moves linearly with the clock, from `from` at `start` to `to` at `end`.
    Ramp {
        /// Share until `start`.
        from: Percent,
        /// Share from `end` on.
        to: Percent,
        /// When the ramp begins.
        start: Instant,
        /// When the ramp ends, later than `start`.
        end: Instant,
    },
}

impl Share {
    /// Reads a percentage or a ramp.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(node, Node::Object(_)) {
            return Percent::read(node, at, problems).map(Share::Fixed);
        }
        let mut fields = Fields::open(node, at, problems)?;
        let mut percent = |name, problems: &mut Problems| {
            fields.required(name, at, problems).and_then(|node| Percent::read(node, &at.member(name), problems))
        };
        let from = percent("from", problems);
        let to = percent("to", problems);
        let mut instant = |name, problems: &mut Problems| {
            fields.required(name, at, problems).and_then(|node| read_instant(node, &at.member(name), problems))
        };
        let start = instant("start", problems);
        let end = instant("end", problems);
        fields.finish(at, problems);
        let (from, to, start, end) = (from?, to?, start?, end?);
        if end <= start {
            problems.add(&at.member("end"), "must be later than `start`");
        }
        Some(Share::Ramp { from, to, start, end })
    }
}

impl Share {
    /// How many of the 100,000 buckets it covers at an instant.
    pub fn at(&self, now: Instant) -> u32 {
        match self {
            Self::Fixed(percent) => percent.buckets(),
            Self::Ramp { from, to, start, end } => {
                Ramp { from: from.buckets(), to: to.buckets(), start: *start, end: *end }.at(now)
            }
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Share::Fixed(percent) => percent.serialize(serializer),
            Share::Ramp { from, to, start, end } => {
                let mut map = serializer.serialize_map(Some(4))?;
                map.serialize_entry("from", from)?;
                map.serialize_entry("to", to)?;
                map.serialize_entry("start", &start.to_string())?;
                map.serialize_entry("end", &end.to_string())?;
                map.end()
            }
        }
    }
}

/// Reads an RFC 3339 instant or a bare date.
pub fn read_instant(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Instant> {
    let found = node.as_str().and_then(Instant::parse);
    if found.is_none() {
        problems.add(at, "must be a date and time such as `2026-07-01T10:00:00Z`, or a date such as `2026-07-01`");
    }
    found
}

/// Who gets what among the units that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Percentages that sum to 100 exactly.
    Percent(Vec<(String, Percent)>),
    /// Integer parts: `{"a": 1, "b": 1, "c": 1}` is three equal thirds.
    Weights(Vec<(String, u32)>),
}

impl Split {
    /// The variants named, in the order written.
    pub fn variants(&self) -> Vec<&str> {
        match self {
            Split::Percent(list) => list.iter().map(|(name, _)| name.as_str()).collect(),
            Split::Weights(list) => list.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }

    fn read_percent(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut list = Vec::new();
        let before = problems.count();
        for (name, node) in entries(node, at, problems)? {
            list.extend(Percent::read(node, &at.member(name), problems).map(|share| (name.to_string(), share)));
        }
        let sum: u32 = list.iter().map(|(_, share)| share.buckets()).fold(0, u32::saturating_add);
        if problems.count() == before && sum != Percent::ALL.buckets() {
            let sum = f64::from(sum) / 1000.0;
            problems.add(at, format!("percentages sum to {sum}, not 100; for parts of any sum write `weights`"));
        }
        Some(Split::Percent(list))
    }

    fn read_weights(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut list = Vec::new();
        let before = problems.count();
        for (name, node) in entries(node, at, problems)? {
            let weight = integer(node, 0..=1_000_000, &at.member(name), problems);
            list.extend(weight.and_then(|weight| Some((name.to_string(), u32::try_from(weight).ok()?))));
        }
        if problems.count() == before && list.iter().all(|(_, weight)| *weight == 0) {
            problems.add(at, "at least one weight must be above 0");
        }
        Some(Split::Weights(list))
    }
}

/// What is served to whom it concerns.
#[derive(Clone, Debug, PartialEq)]
pub enum Serve {
    /// The named variant, to everybody.
    Variant(String),
    /// Variants by bucket.
    Allocation(Allocation),
}

/// An allocation of bucketing units to variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// How many take part.
    pub share: Share,
    /// Who gets what among them.
    pub split: Split,
    /// The variant of those who do not take part; without it they go on to the next rule.
    pub otherwise: Option<String>,
    /// The attribute that is hashed; `targetingKey` when absent.
    pub by: Option<String>,
}

/// The attribute that is hashed unless an allocation or segment names another.
pub const TARGETING_KEY: &str = "targetingKey";

impl Serve {
    /// Reads a variant's name or an allocation; the variants must be among `variants`.
    pub fn read(node: &Node<'_>, variants: &[String], at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match node {
            Node::String(name) => {
                check_variant(name, variants, at, problems);
                Some(Serve::Variant(name.to_string()))
            }
            Node::Object(_) => Allocation::read(node, variants, at, problems).map(Serve::Allocation),
            other => {
                problems.add(at, format!("must be a variant's name or an allocation, not {}", other.kind()));
                None
            }
        }
    }

    /// The variants that may be served.
    pub fn variants(&self) -> Vec<&str> {
        match self {
            Serve::Variant(name) => vec![name],
            Serve::Allocation(allocation) => {
                let mut names = allocation.split.variants();
                names.extend(allocation.otherwise.as_deref());
                names
            }
        }
    }
}

/// Notes a name that is not among a flag's variants.
pub fn check_variant(name: &str, variants: &[String], at: &At<'_>, problems: &mut Problems) {
    if !variants.iter().any(|known| known == name) {
        problems.add(at, format!("the flag has no variant `{name}`"));
    }
}

impl Allocation {
    fn read(node: &Node<'_>, variants: &[String], at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let share = match fields.optional("share") {
            Some(node) => Share::read(node, &at.member("share"), problems),
            None => Some(Share::Fixed(Percent::ALL)),
        };
        let (by_percent, by_weight) = (fields.optional("variants"), fields.optional("weights"));
        let (split, name) = match (by_percent, by_weight) {
            (Some(node), None) => (Split::read_percent(node, &at.member("variants"), problems), "variants"),
            (None, Some(node)) => (Split::read_weights(node, &at.member("weights"), problems), "weights"),
            _ => {
                problems.add(at, "needs either `variants` (percentages that sum to 100) or `weights` (integer parts)");
                (None, "variants")
            }
        };
        let here = at.member(name);
        for variant in split.iter().flat_map(Split::variants) {
            check_variant(variant, variants, &here.member(variant), problems);
        }
        let otherwise = fields.optional("else").and_then(|node| {
            let at = at.member("else");
            let name = text(node, limits::KEY_LENGTH, &at, problems)?;
            check_variant(name, variants, &at, problems);
            Some(name.to_owned())
        });
        let by = fields.optional("by").and_then(|node| read_attribute(node, &at.member("by"), problems));
        fields.finish(at, problems);
        Some(Self { share: share?, split: split?, otherwise, by: by.filter(|by| by != TARGETING_KEY) })
    }
}

/// Reads the name of an attribute, a dotted path included.
pub fn read_attribute(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let name = text(node, limits::KEY_LENGTH, at, problems)?;
    if name.is_empty() {
        problems.add(at, "must not be empty");
    }
    Some(name.to_owned())
}

impl Serialize for Serve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let allocation = match self {
            Serve::Variant(name) => return serializer.serialize_str(name),
            Serve::Allocation(allocation) => allocation,
        };
        let mut map = serializer.serialize_map(None)?;
        if allocation.share != Share::Fixed(Percent::ALL) {
            map.serialize_entry("share", &allocation.share)?;
        }
        match &allocation.split {
            Split::Percent(list) => map.serialize_entry("variants", &Members(list))?,
            Split::Weights(list) => map.serialize_entry("weights", &Members(list))?,
        }
        if let Some(name) = &allocation.otherwise {
            map.serialize_entry("else", name)?;
        }
        if let Some(by) = &allocation.by {
            map.serialize_entry("by", by)?;
        }
        map.end()
    }
}

/// Pairs written as an object, in their order.
pub struct Members<'a, T>(pub &'a [(String, T)]);

impl<T: Serialize> Serialize for Members<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn check(input: &str, expect: Result<&str, &[&str]>) {
        let node = parse(input).expect("valid JSON");
        let mut problems = Problems::default();
        let variants = ["on", "off", "c"].map(str::to_owned);
        let serve = Serve::read(&node, &variants, &At::ROOT, &mut problems);
        let found: Vec<_> = problems.into_list().into_iter().map(|p| format!("{}: {}", p.pointer, p.detail)).collect();
        match expect {
            Ok(text) => {
                assert!(found.is_empty(), "{input}: {found:?}");
                assert_eq!(serde_json::to_string(&serve.expect("read")).expect("writes"), text);
            }
            Err(expected) => assert_eq!(found, expected, "{input}"),
        }
    }

    #[test]
    fn allocations_are_written_back_as_read() {
        check(r#""on""#, Ok(r#""on""#));
        let allocation = r#"{"share":25,"variants":{"on":100},"else":"off","by":"device.id"}"#;
        check(allocation, Ok(allocation));
        check(r#"{"share":100,"weights":{"on":1,"off":1,"c":1}}"#, Ok(r#"{"weights":{"on":1,"off":1,"c":1}}"#));
        check(
            r#"{"share":0.001,"variants":{"on":33.333,"off":66.667}}"#,
            Ok(r#"{"share":0.001,"variants":{"on":33.333,"off":66.667}}"#),
        );
        let ramp = r#"{"share":{"from":5,"to":25,"start":"2026-07-01T00:00:00Z","end":"2026-07-08T00:00:00Z"},"variants":{"on":100}}"#;
        check(ramp, Ok(ramp));
        check(r#"{"variants":{"on":100},"by":"targetingKey"}"#, Ok(r#"{"variants":{"on":100}}"#));
    }

    #[test]
    fn every_percentage_is_read_as_written_and_nothing_between() {
        for buckets in 0..=100_000 {
            let percent = Percent(buckets);
            let text = serde_json::to_string(&percent).expect("writes");
            let read = |text: &str| {
                let mut problems = Problems::default();
                Percent::read(&parse(text).expect("valid JSON"), &At::ROOT, &mut problems)
            };
            assert_eq!(read(&text), Some(percent), "{text}");
            let dot = if text.contains('.') { "" } else { "." };
            assert_eq!(read(&format!("{text}{dot}0000")), Some(percent), "{text}");
            assert_eq!(read(&format!("{text}{dot}0000000001")), None, "{text}");
        }
    }

    #[test]
    fn faults_say_what_to_write_instead() {
        check(
            r#"{"variants":{"on":50,"off":40}}"#,
            Err(&["/variants: percentages sum to 90, not 100; for parts of any sum write `weights`"]),
        );
        check(
            r#"{"share":12.3456,"variants":{"on":100}}"#,
            Err(&["/share: must be a percentage: a number from 0 to 100 with at most three decimals"]),
        );
        check(
            r#"{"share":101,"variants":{"on":100}}"#,
            Err(&["/share: must be a percentage: a number from 0 to 100 with at most three decimals"]),
        );
        check(r#"{"weights":{"on":0}}"#, Err(&["/weights: at least one weight must be above 0"]));
        check(
            r#"{"variants":{"on":100},"weights":{"on":1}}"#,
            Err(&[": needs either `variants` (percentages that sum to 100) or `weights` (integer parts)"]),
        );
        check(
            r#"{"variants":{"blue":100},"else":"red"}"#,
            Err(&["/variants/blue: the flag has no variant `blue`", "/else: the flag has no variant `red`"]),
        );
        check(
            r#"{"share":{"from":5,"to":25,"start":"2026-07-08","end":"2026-07-01"},"variants":{"on":100}}"#,
            Err(&["/share/end: must be later than `start`"]),
        );
        check("7", Err(&[": must be a variant's name or an allocation, not a number"]));
    }
}
