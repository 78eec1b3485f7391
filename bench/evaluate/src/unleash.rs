//! The workload in the terms of Unleash's engine (`unleash-yggdrasil`).

use crate::{ATTRIBUTES, ELSEWHERE, HERE, Kind, USER};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use unleash_yggdrasil::{Context, EngineState, UpdateMessage};

fn feature(key: &str, kind: Kind) -> Value {
    let rollout = |share: u32| json!({"rollout": share.to_string(), "stickiness": "userId", "groupId": key});
    let within = |name: &str, values: &[&str]| json!({"contextName": name, "operator": "IN", "values": values});
    let newer = json!({"contextName": "app_version", "operator": "SEMVER_GT", "value": "2.99.99"});
    let colour = |name: &str, weight: u32| json!({"name": name, "weight": weight, "stickiness": "userId", "payload": {"type": "string", "value": name}});
    let strategy = |parameters: Value, constraints: Value| json!({"name": "flexibleRollout", "parameters": parameters, "constraints": constraints});
    let strategies = match kind {
        Kind::Share => json!([strategy(rollout(25), json!([]))]),
        Kind::Static => json!([{"name": "default"}]),
        Kind::Countries => json!([strategy(rollout(50), json!([within("country", &HERE)]))]),
        Kind::Targeted => json!([
            strategy(rollout(100), json!([within("country", &ELSEWHERE)])),
            strategy(rollout(100), json!([newer])),
            {"name": "flexibleRollout", "parameters": rollout(100), "segments": [1],
             "variants": [colour("red", 250), colour("green", 250), colour("blue", 500)]},
        ]),
    };
    json!({"name": key, "enabled": true, "strategies": strategies})
}

/// Flags ready to be evaluated. A segment cannot both list and test there; its list is left out,
/// which saves the engine a look-up.
///
/// # Panics
/// When the engine refuses its own format.
#[must_use]
pub fn compile(flags: &[(String, Kind)]) -> EngineState {
    let features: Vec<_> = flags.iter().map(|(key, kind)| feature(key, *kind)).collect();
    let group = json!({"contextName": "group", "operator": "IN", "values": ["beta", "internal"]});
    let state = json!({"version": 2, "features": features, "segments": [{"id": 1, "constraints": [group]}]});
    let state = serde_json::from_value(state).expect("the engine's own format");
    let engine = EngineState::default();
    let warnings = engine.take_state(UpdateMessage::FullResponse(state));
    assert!(warnings.is_none_or(|warnings| warnings.is_empty()), "every flag compiles");
    engine
}

/// A request's context in the engine's form.
#[must_use]
pub fn context() -> String {
    json!({"userId": USER, "properties": BTreeMap::from(ATTRIBUTES)}).to_string()
}

/// The answers of all flags as JSON: key, value and variant.
pub fn respond(engine: &EngineState, flags: &[(String, Kind)], context: &Context, body: &mut String) {
    body.push_str("{\"flags\":[");
    for (key, kind) in flags {
        let _ = if *kind == Kind::Targeted {
            let variant = engine.get_variant(key, context, &None);
            let value = variant.payload.as_ref().map_or("", |payload| &payload.value);
            write!(body, r#"{{"key":"{key}","value":"{value}","variant":"{}"}},"#, variant.name)
        } else {
            let on = engine.is_enabled(key, context, &None);
            write!(body, r#"{{"key":"{key}","value":{on},"variant":"{}"}},"#, if on { "on" } else { "off" })
        };
    }
    body.pop();
    body.push_str("]}");
}
