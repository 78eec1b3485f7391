//! Arbitrary environments: flags, segments and contexts that refer to each other, with faults among
//! them.

use headgate::flag::{Context, FlagSet, Kills, Scratch, Source};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// How many flags and segments an environment has.
pub(crate) const FLAGS: usize = 6;
/// Attributes that conditions read and contexts carry.
pub(crate) const ATTRIBUTES: [&str; 7] = ["targetingKey", "country", "n", "tags", "device.os", "when", "app_version"];

/// The documents of an environment, by position: `f0`, `f1`, … and `s0`, `s1`, ….
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// Texts of flags, good and bad.
    pub(crate) flags: Vec<String>,
    /// Texts of segments, good and bad.
    pub(crate) segments: Vec<String>,
}

impl Environment {
    /// Compiles it, numbering flags from 1.
    pub(crate) fn compile(&self, previous: Option<&FlagSet>) -> FlagSet {
        let keys = |prefix: &str| (0..FLAGS).map(|at| format!("{prefix}{at}")).collect::<Vec<_>>();
        let (flag_keys, segment_keys) = (keys("f"), keys("s"));
        let (flags, segments) = (sources(&flag_keys, &self.flags), sources(&segment_keys, &self.segments));
        FlagSet::compile(&segments, &flags, previous)
    }
}

fn sources<'a>(keys: &'a [String], texts: &'a [String]) -> Vec<Source<'a>> {
    keys.iter().zip(texts).zip(1..).map(|((key, text), id)| Source { key, id, revision: 1, text }).collect()
}

/// A request: context, instant, kills.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The context's JSON text.
    pub(crate) context: String,
    /// Milliseconds since the epoch.
    pub(crate) now: i64,
    /// The environment's kill switch.
    pub(crate) kill_all: bool,
    /// Numbers of killed flags.
    pub(crate) kills: Vec<u32>,
}

impl Request {
    /// Puts the request before a set.
    pub(crate) fn with<T>(&self, set: &FlagSet, ask: impl FnOnce(&Context<'_>, &Kills) -> T) -> T {
        let node = parse(&self.context).expect("valid");
        let Node::Object(members) = &node else { panic!("an object") };
        let context = Context::new(set.attributes(), members, Instant::from_millis(self.now));
        ask(&context, &Kills::new(self.kill_all, self.kills.clone()))
    }

    /// The answers of all flags, one by one.
    pub(crate) fn answers(&self, set: &FlagSet) -> Vec<String> {
        let mut scratch = Scratch::default();
        self.with(set, |context, kills| {
            let one = |at| set.evaluate(at, context, kills, &mut scratch).fragment().to_owned();
            (0..u32::try_from(set.len()).expect("few")).map(one).collect()
        })
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["u-1", "u-2", "DE", "US", "ios", "Ζεύς", "ΖΕΎΣ", "", "7", "2.3.0", "2.4.0-rc.1", "2026-07-01"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-4.0..4.0f64).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn test() -> impl Strategy<Value = (&'static str, Value)> {
    let named = |name: &'static str| move |value: Value| (name, value);
    let texts = || vec(text(), 1..4).prop_map(|list| json!(list));
    let scalars = || vec(scalar(), 1..4).prop_map(|list| json!(list));
    let number = || (-4i32..8).prop_map(|n| json!(f64::from(n) / 2.0));
    let instant =
        || select(vec![json!("2026-07-01"), json!("1969-12-31T23:59:59Z"), json!("2026-07-01T10:00:00+02:00")]);
    let range = select(vec![json!(">=2.3.0"), json!("^2 || 7.x"), json!("*"), json!("<2.4.0-rc.2"), json!(">1.x")]);
    let pattern = select(vec![json!("^u-[0-9]+$"), json!("(?i)ios"), json!(""), json!("[^a]$")]);
    prop_oneof![
        any::<bool>().prop_map(|b| ("exists", json!(b))),
        scalar().prop_map(named("equals")),
        scalars().prop_map(named("in")),
        texts().prop_map(named("contains")),
        texts().prop_map(named("startsWith")),
        texts().prop_map(named("endsWith")),
        pattern.prop_map(named("matches")),
        number().prop_map(named("lessThan")),
        number().prop_map(named("atMost")),
        number().prop_map(named("greaterThan")),
        number().prop_map(named("atLeast")),
        instant().prop_map(named("before")),
        instant().prop_map(named("after")),
        range.prop_map(named("semver")),
        scalars().prop_map(named("hasAny")),
        scalars().prop_map(named("hasAll")),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let attribute = (select(&ATTRIBUTES[..]), vec(test(), 1..3), any::<bool>()).prop_map(|(name, tests, fold)| {
        let mut object =
            Map::from_iter([("attribute".to_owned(), json!(name)), ("ignoreCase".to_owned(), json!(fold))]);
        object.extend(tests.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object)
    });
    // The last one is not there.
    let segment = (0..=FLAGS).prop_map(|at| json!({"segment": format!("s{at}")}));
    let leaf = prop_oneof![4 => attribute, 1 => segment];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(|list| json!({"all": list})),
            vec(inner.clone(), 1..4).prop_map(|list| json!({"any": list})),
            inner.prop_map(|inner| json!({"not": inner})),
        ]
    })
}

fn percent() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!(0)), Just(json!(100)), (0u32..=100_000).prop_map(|n| json!(f64::from(n) / 1000.0))]
}

/// What a rule or the default of a flag with the variants `a`, `b` and `c` serves.
pub(crate) fn serve() -> impl Strategy<Value = Value> {
    let variant = || select(vec!["a", "b", "c"]);
    let ramp = (percent(), percent())
        .prop_map(|(from, to)| json!({"from": from, "to": to, "start": "2026-07-01", "end": "2026-07-08"}));
    let share = prop_oneof![3 => percent(), 1 => ramp];
    let weights = (1u32..5, 0u32..5, 0u32..1_000_000).prop_map(|(a, b, c)| json!({"a": a, "b": b, "c": c}));
    let by = prop_oneof![6 => Just(None), 1 => select(&ATTRIBUTES[..]).prop_map(Some)];
    let allocation = (share, weights, proptest::option::of(variant()), by).prop_map(|(share, weights, other, by)| {
        let mut allocation = json!({"share": share, "weights": weights});
        if let Some(other) = other {
            allocation["else"] = json!(other);
        }
        if let Some(by) = by {
            allocation["by"] = json!(by);
        }
        allocation
    });
    prop_oneof![variant().prop_map(|name| json!(name)), allocation]
}

/// A flag that can be read.
pub(crate) fn flag() -> impl Strategy<Value = String> {
    let rule = (proptest::option::of(condition()), serve());
    let requires = vec((0..=FLAGS, select(vec!["a", "b", "c"])), 0..3);
    let requires = prop_oneof![3 => Just(Vec::new()), 1 => requires];
    (vec(rule, 0..4), serve(), requires, any::<bool>(), 0u8..10, select(vec!["s", "salt-2", "größe"])).prop_map(
        |(rules, default, requires, client, enabled, salt)| {
            let rule = |(at, (condition, serve)): (usize, (Option<Value>, Value))| match condition {
                Some(condition) => json!({"id": format!("r{at}"), "if": condition, "serve": serve}),
                None => json!({"id": format!("r{at}"), "serve": serve}),
            };
            let rules: Vec<_> = rules.into_iter().enumerate().map(rule).collect();
            let requires = requires.into_iter().map(|(at, is)| json!({"flag": format!("f{at}"), "is": is}));
            json!({
                "type": "string", "variants": {"a": "A", "b": "Ü", "c": ""}, "off": "c", "enabled": enabled > 0,
                "client": client, "salt": salt, "requires": requires.collect::<Vec<_>>(), "rules": rules,
                "default": default,
            })
            .to_string()
        },
    )
}

/// A segment that can be read.
pub(crate) fn segment() -> impl Strategy<Value = String> {
    let units = || vec(select(vec!["u-1", "u-2", "7", "DE", "2.3.0"]), 0..3);
    (units(), units(), proptest::option::of(condition()), proptest::option::of(select(&ATTRIBUTES[..]))).prop_map(
        |(include, exclude, condition, by)| {
            let mut segment = json!({"include": include, "exclude": exclude});
            if let Some(condition) = condition {
                segment["if"] = condition;
            }
            if let Some(by) = by {
                segment["by"] = json!(by);
            }
            segment.to_string()
        },
    )
}

/// Some documents are cut short, some are no documents at all.
fn perhaps_bad(good: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (good, 0u8..20, any::<proptest::sample::Index>(), any::<String>()).prop_map(|(good, how, cut, other)| match how {
        0 => good.chars().take(cut.index(good.len())).collect(),
        1 => other,
        2 => good.replace("\"off\":\"c\"", "\"off\":\"d\""),
        _ => good,
    })
}

/// An environment with faults here and there.
pub(crate) fn environment() -> impl Strategy<Value = Environment> {
    (vec(perhaps_bad(flag()), FLAGS), vec(perhaps_bad(segment()), FLAGS))
        .prop_map(|(flags, segments)| Environment { flags, segments })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((select(vec!["os", "a", "b"]), inner), 0..3)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A request with arbitrary values in known and unknown attributes.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let names = subsequence(vec!["targetingKey", "country", "n", "tags", "device.os", "device", "when", "x"], 0..=8);
    let now = prop_oneof![(1_782_000_000_000..1_784_000_000_000i64), any::<i64>()];
    let kills = subsequence((1..=u32::try_from(FLAGS).expect("few")).collect::<Vec<_>>(), 0..2);
    let unit = prop_oneof![4 => (0u32..1_000_000).prop_map(|unit| Some(json!(format!("u-{unit}")))), 1 => Just(None)];
    (unit, names, vec(value(), 8), now, 0u8..20, kills).prop_map(|(unit, names, values, now, kill_all, kills)| {
        let mut context: Map<_, _> = names.into_iter().map(str::to_owned).zip(values).collect();
        context.extend(unit.map(|unit| ("targetingKey".to_owned(), unit)));
        Request { context: Value::Object(context).to_string(), now, kill_all: kill_all == 0, kills }
    })
}
