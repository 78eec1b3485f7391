//! The workload in the terms of Eppo's engine (`eppo_core`).

use crate::{ATTRIBUTES, ELSEWHERE, HERE, Kind, USER, listed};
use chrono::{DateTime, Utc};
use eppo_core::eval::get_assignment;
use eppo_core::ufc::{AssignmentValue, UniversalFlagConfig};
use eppo_core::{Attributes, Configuration, SdkMetadata, Str};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

fn flag(key: &str, kind: Kind) -> Value {
    let range = |start: u32, end: u32| json!({"salt": format!("salt-{key}"), "ranges": [{"start": start, "end": end}]});
    let split = |variant: &str, shards: Value| json!({"variationKey": variant, "shards": shards});
    let allocation =
        |rules: Value, splits: Value| json!({"key": "a", "rules": rules, "splits": splits, "doLog": false});
    let within = |name: &str, values: Value| json!({"attribute": name, "operator": "ONE_OF", "value": values});
    let rule = |condition: Value| json!({"conditions": [condition]});
    let boolean = json!({"on": {"key": "on", "value": true}, "off": {"key": "off", "value": false}});
    let text = json!({
        "red": {"key": "red", "value": "#c00"}, "green": {"key": "green", "value": "#0a0"},
        "blue": {"key": "blue", "value": "#00c"},
    });
    let rest = allocation(json!([]), json!([split("off", json!([]))]));
    let allocations = match kind {
        Kind::Share => json!([allocation(json!([]), json!([split("on", json!([range(0, 2_500)]))])), rest]),
        Kind::Static => json!([allocation(json!([]), json!([split("on", json!([]))]))]),
        Kind::Countries => json!([
            allocation(json!([rule(within("country", json!(HERE)))]), json!([split("on", json!([range(0, 5_000)]))])),
            rest,
        ]),
        Kind::Targeted => {
            let newer = json!({"attribute": "app_version", "operator": "GTE", "value": "3.0.0"});
            let beta = [within("id", json!(listed())), within("group", json!(["beta", "internal"]))];
            let splits = json!([
                split("red", json!([range(0, 2_500)])),
                split("green", json!([range(2_500, 5_000)])),
                split("blue", json!([range(5_000, 10_000)])),
            ]);
            json!([
                allocation(json!([rule(within("country", json!(ELSEWHERE)))]), json!([split("red", json!([]))])),
                allocation(json!([rule(newer)]), json!([split("red", json!([]))])),
                allocation(json!(beta.map(rule)), splits),
            ])
        }
    };
    let (value_type, variations) = if kind == Kind::Targeted { ("STRING", text) } else { ("BOOLEAN", boolean) };
    json!({
        "key": key, "enabled": true, "variationType": value_type, "variations": variations,
        "allocations": allocations, "totalShards": 10_000,
    })
}

/// Flags ready to be evaluated; a segment is written out as rules, which this engine has instead.
///
/// # Panics
/// When the engine refuses its own format.
#[must_use]
pub fn compile(flags: &[(String, Kind)]) -> Configuration {
    let flags: BTreeMap<_, _> = flags.iter().map(|(key, kind)| (key, flag(key, *kind))).collect();
    let config = json!({"createdAt": "2026-01-01T00:00:00Z", "environment": {"name": "bench"}, "flags": flags});
    let meta = SdkMetadata { name: "bench", version: "0.0.0" };
    let config =
        UniversalFlagConfig::from_json(meta, config.to_string().into_bytes()).expect("the engine's own format");
    Configuration::from_server_response(config, None)
}

/// A request's context in the engine's form.
#[must_use]
pub fn context() -> String {
    json!({"subjectKey": USER, "subjectAttributes": BTreeMap::from(ATTRIBUTES)}).to_string()
}

/// Reads a request's context.
///
/// # Panics
/// When it is not in the engine's form.
#[must_use]
pub fn read(context: &str) -> (Str, Arc<Attributes>) {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        subject_key: Str,
        subject_attributes: Attributes,
    }
    let wire: Wire = serde_json::from_str(context).expect("the engine's own form");
    (wire.subject_key, Arc::new(wire.subject_attributes))
}

/// The answer of one flag.
///
/// # Panics
/// When the engine cannot evaluate the flag.
#[must_use]
pub fn answer(
    config: &Configuration,
    key: &str,
    subject: &Str,
    of: &Arc<Attributes>,
    now: DateTime<Utc>,
) -> AssignmentValue {
    let assigned = get_assignment(Some(config), key, subject, of, None, now).expect("evaluates");
    assigned.expect("assigns").value
}

/// The answers of all flags as JSON: key and value; this engine does not tell the variant.
pub fn respond(
    config: &Configuration,
    flags: &[(String, Kind)],
    (subject, attributes): &(Str, Arc<Attributes>),
    now: DateTime<Utc>,
    body: &mut String,
) {
    body.push_str("{\"flags\":[");
    for (key, _) in flags {
        let _ = match answer(config, key, subject, attributes, now) {
            AssignmentValue::Boolean(on) => write!(body, r#"{{"key":"{key}","value":{on}}},"#),
            AssignmentValue::String(text) => write!(body, r#"{{"key":"{key}","value":"{text}"}},"#),
            other => write!(body, r#"{{"key":"{key}","value":"{other:?}"}},"#),
        };
    }
    body.pop();
    body.push_str("]}");
}
