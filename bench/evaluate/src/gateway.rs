//! The workload in Headgate's terms.

use crate::{ATTRIBUTES, ELSEWHERE, HERE, Kind, USER, listed};
use headgate::flag::{FlagSet, Source};
use serde_json::{Value, json};

/// The document of one flag.
#[must_use]
pub fn document(key: &str, kind: Kind) -> String {
    let half = json!({"share": 50, "variants": {"on": 100}, "else": "off"});
    let rules = match kind {
        Kind::Share | Kind::Static => json!([]),
        Kind::Countries => json!([{"id": "here", "if": {"attribute": "country", "in": HERE}, "serve": half}]),
        Kind::Targeted => json!([
            {"id": "elsewhere", "if": {"attribute": "country", "in": ELSEWHERE}, "serve": "red"},
            {"id": "new", "if": {"attribute": "app_version", "semver": ">=3.0.0"}, "serve": "red"},
            {"id": "beta", "if": {"segment": "beta"}, "serve": {"weights": {"red": 1, "green": 1, "blue": 2}}},
        ]),
    };
    let default = match kind {
        Kind::Share => json!({"share": 25, "variants": {"on": 100}, "else": "off"}),
        Kind::Static => json!("on"),
        Kind::Countries => json!("off"),
        Kind::Targeted => json!("red"),
    };
    let (value_type, variants, off) = match kind {
        Kind::Targeted => ("string", json!({"red": "#c00", "green": "#0a0", "blue": "#00c"}), "red"),
        _ => ("boolean", json!({"on": true, "off": false}), "off"),
    };
    json!({
        "type": value_type, "variants": variants, "off": off, "client": true, "salt": format!("salt-{key}"),
        "rules": rules, "default": default,
    })
    .to_string()
}

/// Flags ready to be evaluated.
///
/// # Panics
/// When a flag does not compile.
#[must_use]
pub fn compile(flags: &[(String, Kind)]) -> FlagSet {
    let documents: Vec<_> = flags.iter().map(|(key, kind)| document(key, *kind)).collect();
    let sources = flags.iter().zip(&documents).zip(1..);
    let sources: Vec<_> =
        sources.map(|(((key, _), text), id)| Source { key, id, revision: u64::from(id), text }).collect();
    let beta = json!({"include": listed(), "if": {"attribute": "group", "in": ["beta", "internal"]}}).to_string();
    let set = FlagSet::compile(&[Source { key: "beta", id: 0, revision: 1, text: &beta }], &sources, None);
    assert_eq!(set.faults().next(), None, "every flag compiles");
    set
}

/// A request's context as OFREP carries it.
#[must_use]
pub fn context() -> String {
    let mut context = serde_json::Map::from_iter([("targetingKey".to_owned(), Value::from(USER))]);
    context.extend(ATTRIBUTES.map(|(name, text)| (name.to_owned(), Value::from(text))));
    json!({"context": context}).to_string()
}
