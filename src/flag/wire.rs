//! A flag as it is written: the one JSON form of files, API and export.

use super::condition::Condition;
use super::serve::{Members, Serve, check_variant};
use crate::id::check_key;
use crate::json::{At, Fields, Lines, Node, Number, Problems, boolean, elements, entries, one_of, text};
use crate::limits;
use crate::time::Instant;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What a flag, segment or other entity is for and who looks after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// What it is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The person or team that answers for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Labels to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl About {
    /// Reads the members `description`, `owner` and `tags`.
    pub fn read(fields: &mut Fields<'_, '_>, at: &At<'_>, problems: &mut Problems) -> Self {
        let mut line = |name, limit| {
            let text = fields.optional(name).and_then(|node| text(node, limit, &at.member(name), problems));
            text.unwrap_or_default().to_owned()
        };
        let description = line("description", limits::TEXT_LENGTH);
        let owner = line("owner", limits::KEY_LENGTH);
        let tags = fields.optional("tags").map(|node| Lines::TAGS.read(node, &at.member("tags"), problems));
        Self { description, owner, tags: tags.unwrap_or_default() }
    }

    /// Writes them; those that are empty are left out.
    pub fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for (name, text) in [("description", &self.description), ("owner", &self.owner)] {
            if !text.is_empty() {
                map.serialize_entry(name, text)?;
            }
        }
        if self.tags.is_empty() { Ok(()) } else { map.serialize_entry("tags", &self.tags) }
    }
}

/// How long a flag is meant to live, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FlagKind {
    /// Guards a release; to be removed afterwards.
    #[default]
    Release,
    /// Carries an experiment.
    Experiment,
    /// An operational switch; stays.
    Operational,
    /// Says who may do what; stays.
    Permission,
}

/// The type of all values of one flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `true` or `false`
    Boolean,
    /// A text.
    String,
    /// A whole number within 2^53, which every client can hold.
    Integer,
    /// A finite number.
    Float,
    /// A JSON object.
    Object,
}

const TYPES: [(&str, ValueType); 5] = [
    ("boolean", ValueType::Boolean),
    ("string", ValueType::String),
    ("integer", ValueType::Integer),
    ("float", ValueType::Float),
    ("object", ValueType::Object),
];

const KINDS: [(&str, FlagKind); 4] = [
    ("release", FlagKind::Release),
    ("experiment", FlagKind::Experiment),
    ("operational", FlagKind::Operational),
    ("permission", FlagKind::Permission),
];

impl ValueType {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        TYPES.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl FlagKind {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// The payload of a variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a boolean flag.
    Boolean(bool),
    /// Of a string flag.
    String(String),
    /// Of an integer flag.
    Integer(i64),
    /// Of a float flag.
    Float(f64),
    /// Of an object flag; always [`Node::Object`].
    Object(Node<'static>),
}

/// 2^53: the whole numbers that a double, and so every JSON client, holds exactly.
const SAFE_INTEGER: u64 = 9_007_199_254_740_992;

impl Value {
    fn read(node: &Node<'_>, expected: ValueType, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let value = match (expected, node) {
            (ValueType::Boolean, Node::Bool(value)) => Some(Value::Boolean(*value)),
            (ValueType::String, Node::String(text)) => Some(Value::String(text.to_string())),
            (ValueType::Integer, Node::Number(Number::Whole(value))) => Some(Value::Integer(*value)),
            (ValueType::Float, Node::Number(number)) => Some(Value::Float(number.as_f64())),
            (ValueType::Object, Node::Object(_)) => {
                check_object(node, limits::VALUE_DEPTH, at, problems);
                Some(Value::Object(node.clone().into_owned()))
            }
            _ => None,
        };
        match value {
            None if matches!((expected, node), (ValueType::Integer, Node::Number(_))) => {
                problems.add(at, "must be a whole number without point or exponent, within 2^53");
            }
            None => problems.add(at, format!("must be a value of type {}, not {}", expected.word(), node.kind())),
            Some(Value::Integer(value)) if value.unsigned_abs() > SAFE_INTEGER => {
                problems.add(at, "must lie within 2^53, beyond which clients lose digits");
            }
            Some(_) => {}
        }
        value
    }
}

/// Duplicate keys are refused inside a value too: clients would disagree on which one counts.
/// Checks that a value is nested no deeper than `depth` and gives no key twice.
pub(crate) fn check_object(node: &Node<'_>, depth: usize, at: &At<'_>, problems: &mut Problems) {
    if !matches!(node, Node::Object(_) | Node::Array(_)) {
        return;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return problems.add(at, format!("values are nested deeper than {} levels", limits::VALUE_DEPTH));
    };
    match node {
        Node::Object(_) => {
            for (key, inner) in entries(node, at, problems).unwrap_or_default() {
                check_object(inner, depth, &at.member(key), problems);
            }
        }
        Node::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                check_object(inner, depth, &at.element(index), problems);
            }
        }
        _ => {}
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Object(node) => node.serialize(serializer),
        }
    }
}

/// Another flag that must serve a certain variant, else this one serves its off variant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Prerequisite {
    /// Key of the other flag.
    pub flag: String,
    /// The variant it must serve.
    pub is: String,
}

/// A targeting rule: the first whose condition holds decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Names the rule in answers, traces and rollouts; unique within the flag.
    pub id: String,
    /// Why the rule is there.
    pub description: String,
    /// Whom it concerns; everybody when absent.
    pub condition: Option<Condition>,
    /// What they get.
    pub serve: Serve,
}

/// A flag.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagDocument {
    /// Who it is for and who looks after it.
    pub about: About,
    /// How long it is meant to live.
    pub kind: FlagKind,
    /// The day (`2027-01-31`) by which somebody looks whether it is still needed.
    pub review: Option<String>,
    /// The type of every variant's value.
    pub value_type: ValueType,
    /// Named values, in the order written; at least one.
    pub variants: Vec<(String, Value)>,
    /// When false everybody gets `off`.
    pub enabled: bool,
    /// The variant of a flag that is killed, not enabled or lacks a prerequisite.
    pub off: String,
    /// Whether client tokens may see the flag.
    pub client: bool,
    /// Seeds the buckets. Random at creation; flags with one salt put the same people in the same buckets.
    pub salt: Option<String>,
    /// Flags that must serve certain variants first.
    pub requires: Vec<Prerequisite>,
    /// Targeting rules in order.
    pub rules: Vec<Rule>,
    /// What those get whom no rule concerns.
    pub default: Serve,
}

impl FlagDocument {
    /// Reads a flag, noting every fault that the flag alone can have.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let about = About::read(&mut fields, at, problems);
        let kind = fields.optional("kind").and_then(|node| one_of(node, &KINDS, &at.member("kind"), problems));
        let review = fields.optional("review").and_then(|node| read_day(node, &at.member("review"), problems));
        let value_type = fields.required("type", at, problems);
        let value_type = value_type.and_then(|node| one_of(node, &TYPES, &at.member("type"), problems));
        let variants = fields.required("variants", at, problems);
        let variants = variants.map(|node| read_variants(node, value_type, &at.member("variants"), problems));
        let (names, variants) = variants.unwrap_or_default();
        let mut flag = |name, default| {
            let node = fields.optional(name);
            node.map_or(Some(default), |node| boolean(node, &at.member(name), problems))
        };
        let enabled = flag("enabled", true);
        let client = flag("client", false);
        let off = fields.required("off", at, problems).and_then(|node| {
            let name = text(node, limits::KEY_LENGTH, &at.member("off"), problems)?;
            check_variant(name, &names, &at.member("off"), problems);
            Some(name.to_owned())
        });
        let salt = fields.optional("salt").and_then(|node| read_salt(node, &at.member("salt"), problems));
        let requires = fields.optional("requires").map(|node| read_requires(node, &at.member("requires"), problems));
        let rules = fields.optional("rules").map(|node| read_rules(node, &names, &at.member("rules"), problems));
        let default = fields.required("default", at, problems);
        let default = default.and_then(|node| Serve::read(node, &names, &at.member("default"), problems));
        fields.finish(at, problems);
        Some(Self {
            about,
            kind: kind.unwrap_or_default(),
            review,
            value_type: value_type?,
            variants,
            enabled: enabled?,
            off: off?,
            client: client?,
            salt,
            requires: requires.unwrap_or_default(),
            rules: rules.unwrap_or_default(),
            default: default?,
        })
    }

    /// The segments that the rules refer to.
    pub fn segments(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.rules.iter().filter_map(|rule| rule.condition.as_ref()).for_each(|condition| condition.segments(&mut out));
        out
    }
}

fn read_day(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let day = node.as_str().filter(|day| day.len() == 10 && Instant::parse(day).is_some());
    if day.is_none() {
        problems.add(at, "must be a date such as `2027-01-31`");
    }
    day.map(str::to_owned)
}

fn read_salt(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let salt = text(node, limits::KEY_LENGTH, at, problems)?;
    if salt.is_empty() {
        problems.add(at, "must not be empty; leave it out for a random one");
    }
    Some(salt.to_owned())
}

fn read_variants(
    node: &Node<'_>,
    value_type: Option<ValueType>,
    at: &At<'_>,
    problems: &mut Problems,
) -> (Vec<String>, Vec<(String, Value)>) {
    let members = entries(node, at, problems).unwrap_or_default();
    if !(1..=limits::VARIANTS).contains(&members.len()) {
        problems.add(at, format!("must have 1 to {} variants", limits::VARIANTS));
    }
    let mut variants = Vec::with_capacity(members.len());
    for (name, node) in members {
        let at = at.member(name);
        if let Err(error) = check_key(name) {
            problems.add(&at, format!("a variant's name {error}"));
        }
        let value = value_type.and_then(|expected| Value::read(node, expected, &at, problems));
        variants.extend(value.map(|value| (name.to_string(), value)));
    }
    (members.iter().map(|(name, _)| name.to_string()).collect(), variants)
}

fn read_requires(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<Prerequisite> {
    let list = elements(node, limits::PREREQUISITES, at, problems).unwrap_or_default();
    let mut read = |(index, node)| {
        let at = at.element(index);
        let mut fields = Fields::open(node, &at, problems)?;
        let mut key = |name| {
            let node = fields.required(name, &at, problems)?;
            let key = text(node, limits::KEY_LENGTH, &at.member(name), problems)?;
            if let Err(error) = check_key(key) {
                problems.add(&at.member(name), error.to_string());
            }
            Some(key.to_owned())
        };
        let (flag, is) = (key("flag"), key("is"));
        fields.finish(&at, problems);
        Some(Prerequisite { flag: flag?, is: is? })
    };
    list.iter().enumerate().filter_map(&mut read).collect()
}

fn read_rules(node: &Node<'_>, variants: &[String], at: &At<'_>, problems: &mut Problems) -> Vec<Rule> {
    let list = elements(node, limits::RULES, at, problems).unwrap_or_default();
    let mut budget = limits::CONDITIONS;
    let mut rules = Vec::with_capacity(list.len());
    for (index, node) in list.iter().enumerate() {
        let at = at.element(index);
        let Some(rule) = read_rule(node, variants, &mut budget, &at, problems) else { continue };
        if rules.iter().any(|other: &Rule| other.id == rule.id) {
            problems.add(&at.member("id"), format!("another rule has the id `{}`", rule.id));
        }
        rules.push(rule);
    }
    rules
}

fn read_rule(
    node: &Node<'_>,
    variants: &[String],
    budget: &mut usize,
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<Rule> {
    let mut fields = Fields::open(node, at, problems)?;
    let id = fields.required("id", at, problems).and_then(|node| {
        let id = text(node, limits::KEY_LENGTH, &at.member("id"), problems)?;
        if let Err(error) = check_key(id) {
            problems.add(&at.member("id"), error.to_string());
        }
        Some(id.to_owned())
    });
    let description = fields.optional("description");
    let description = description.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("description"), problems));
    let condition = fields.optional("if").map(|node| Condition::read(node, budget, &at.member("if"), problems));
    let serve = fields.required("serve", at, problems);
    let serve = serve.and_then(|node| Serve::read(node, variants, &at.member("serve"), problems));
    fields.finish(at, problems);
    let condition = match condition {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Rule { id: id?, description: description.unwrap_or_default().to_owned(), condition, serve: serve? })
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        if !self.description.is_empty() {
            map.serialize_entry("description", &self.description)?;
        }
        if let Some(condition) = &self.condition {
            map.serialize_entry("if", condition)?;
        }
        map.serialize_entry("serve", &self.serve)?;
        map.end()
    }
}

impl Serialize for FlagDocument {
    /// The canonical form: fixed order of fields, defaults left out but for `enabled`, which
    /// people look for.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.about.write(&mut map)?;
        if self.kind != FlagKind::default() {
            map.serialize_entry("kind", self.kind.word())?;
        }
        if let Some(review) = &self.review {
            map.serialize_entry("review", review)?;
        }
        map.serialize_entry("type", self.value_type.word())?;
        map.serialize_entry("variants", &Members(&self.variants))?;
        map.serialize_entry("enabled", &self.enabled)?;
        map.serialize_entry("off", &self.off)?;
        if self.client {
            map.serialize_entry("client", &true)?;
        }
        if let Some(salt) = &self.salt {
            map.serialize_entry("salt", salt)?;
        }
        if !self.requires.is_empty() {
            map.serialize_entry("requires", &self.requires)?;
        }
        if !self.rules.is_empty() {
            map.serialize_entry("rules", &self.rules)?;
        }
        map.serialize_entry("default", &self.default)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(input: &str) -> (Option<FlagDocument>, Vec<String>) {
        let node = parse(input).expect("valid JSON");
        let mut problems = Problems::default();
        let flag = FlagDocument::read(&node, &At::ROOT, &mut problems);
        (flag, problems.into_list().into_iter().map(|p| format!("{}: {}", p.pointer, p.detail)).collect())
    }

    const FULL: &str = r#"{"description":"d","owner":"team-video","tags":["ios","video"],"kind":"experiment","review":"2027-01-31","type":"boolean","variants":{"on":true,"off":false},"enabled":true,"off":"off","client":true,"salt":"s1","requires":[{"flag":"other","is":"on"}],"rules":[{"id":"beta","description":"first","if":{"segment":"beta"},"serve":"on"},{"id":"gradual","serve":{"share":25,"variants":{"on":100},"else":"off"}}],"default":"off"}"#;

    #[test]
    fn a_full_flag_is_written_back_as_read() {
        let (flag, problems) = read(FULL);
        assert_eq!(problems, Vec::<String>::new());
        let flag = flag.expect("read");
        assert_eq!(serde_json::to_string(&flag).expect("writes"), FULL);
        assert_eq!(flag.segments(), ["beta"]);
    }

    #[test]
    fn values_have_the_flag_s_type() {
        let flag = |value_type: &str, value: &str| {
            read(&format!(r#"{{"type":"{value_type}","variants":{{"a":{value}}},"off":"a","default":"a"}}"#)).1
        };
        for (value_type, value) in
            [("string", "\"x\""), ("integer", "10"), ("float", "10"), ("float", "0.5"), ("object", "{\"a\":[1]}")]
        {
            assert_eq!(flag(value_type, value), Vec::<String>::new(), "{value_type} {value}");
        }
        assert_eq!(
            flag("integer", "1.0"),
            ["/variants/a: must be a whole number without point or exponent, within 2^53"]
        );
        assert_eq!(flag("boolean", "null"), ["/variants/a: must be a value of type boolean, not null"]);
        assert_eq!(
            flag("integer", "9007199254740993"),
            ["/variants/a: must lie within 2^53, beyond which clients lose digits"]
        );
        for edge in ["9223372036854775807", "-9223372036854775808"] {
            assert_eq!(flag("integer", edge), ["/variants/a: must lie within 2^53, beyond which clients lose digits"]);
        }
        let nest = |n| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        assert_eq!(flag("object", &nest(16)), Vec::<String>::new());
        let place = format!("/variants/a{}: values are nested deeper than 16 levels", "/a".repeat(16));
        assert_eq!(flag("object", &nest(17)), [place]);
        assert_eq!(flag("object", r#"{"a":{"b":1,"b":2}}"#), ["/variants/a/a/b: key is given twice"]);
    }

    #[test]
    fn a_float_is_written_with_its_point() {
        let (flag, _) = read(r#"{"type":"float","variants":{"a":10},"off":"a","default":"a"}"#);
        assert!(serde_json::to_string(&flag.expect("read")).expect("writes").contains(r#"{"a":10.0}"#));
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let input = r#"{"type":"bool","variants":{},"off":"gone","enable":true,"review":"soon","kind":"x",
            "rules":[{"id":"a","serve":"on"},{"id":"a","serve":"on","if":{}},{"serve":1}],"requires":[{"flag":"x"}]}"#;
        let expected = [
            "/kind: must be one of `release`, `experiment`, `operational`, `permission`",
            "/review: must be a date such as `2027-01-31`",
            "/type: must be one of `boolean`, `string`, `integer`, `float`, `object`",
            "/variants: must have 1 to 64 variants",
            "/off: the flag has no variant `gone`",
            "/requires/0: `is` is missing",
            "/rules/0/serve: the flag has no variant `on`",
            "/rules/1/if: a condition has exactly one of `attribute`, `segment`, `all`, `any`, `not`",
            "/rules/1/serve: the flag has no variant `on`",
            "/rules/2: `id` is missing",
            "/rules/2/serve: must be a variant's name or an allocation, not a number",
            ": `default` is missing",
        ];
        let (flag, mut problems) = read(input);
        assert!(flag.is_none());
        let unknown = problems.pop().expect("the unknown field is last");
        assert!(unknown.starts_with("/enable: unknown field; this object takes `description`"), "{unknown}");
        assert_eq!(problems, expected);
    }
}
