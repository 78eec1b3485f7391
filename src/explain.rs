//! The trace of one evaluation, at the present or at an earlier version.

use crate::control::environment::Question;
use crate::flag::{Context, FlagDocument, Kills, Slot};
use crate::json::{At, Node, Number, Problems, parse};
use crate::snapshot::{Pointer, Snapshot};
use serde_json::{Value as Json, json};

/// Answers `{"version": …, "answer": …, "steps": […]}`: what the flag answers and each step that
/// led there, with bucket numbers.
pub fn explain(question: &Question<'_>) -> String {
    trace(question).unwrap_or_else(|detail| json!({ "error": detail })).to_string()
}

fn trace(question: &Question<'_>) -> Result<Json, String> {
    let snapshot = Snapshot::load(question.snapshot, None).map_err(|error| error.to_string())?;
    let index = snapshot.flags.find(question.flag).ok_or("there is no such flag")?;
    let kills = Pointer::parse(question.pointer).map_or_else(Kills::default, |pointer| pointer.kills());
    let document = document(question.snapshot, question.flag).ok_or("the flag's document cannot be read")?;
    let Node::Object(members) = question.context else { return Err("the context is not an object".to_owned()) };
    let now = Node::Number(Number::Whole(question.now.millis()));
    let mut context = Context::new(snapshot.flags.attributes(), members, question.now);
    if context.get(Slot::TIME).is_none() {
        context.set(Slot::TIME, Some(&now));
    }
    let mut trace = snapshot.flags.explain(index, &document, &context, &kills);
    trace["version"] = snapshot.version().into();
    Ok(trace)
}

/// The document that a flag of a snapshot was compiled from.
fn document(snapshot: &str, key: &str) -> Option<FlagDocument> {
    let node = parse(snapshot).ok()?;
    let Node::Array(flags) = node.get("flags")? else { return None };
    let flag = flags.iter().find(|flag| flag.get("key").and_then(Node::as_str) == Some(key))?;
    FlagDocument::read(flag.get("document")?, &At::ROOT, &mut Problems::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn a_trace_shows_every_rule_its_conditions_and_the_buckets() {
        let snapshot = r#"{"format":1,"incarnation":1,"version":9,"segments":[{"key":"beta","revision":1,"document":{"include":["u-1"]}}],
            "flags":[{"key":"f","id":1,"revision":1,"document":{"type":"boolean","variants":{"on":true,"off":false},"off":"off","salt":"s",
            "rules":[{"id":"ch","if":{"all":[{"segment":"beta"},{"attribute":"country","equals":"CH"}]},"serve":"on"},
                     {"id":"half","serve":{"share":50,"weights":{"on":1,"off":1}}}],"default":"off"}}]}"#;
        let context = parse(r#"{"targetingKey":"u-1","country":"DE"}"#).expect("valid");
        let question = Question { snapshot, pointer: "", flag: "f", context: &context, now: Instant::from_millis(0) };
        let trace: Json = serde_json::from_str(&explain(&question)).expect("JSON");
        assert_eq!(trace["version"], 9);
        let steps = trace["steps"].as_array().expect("steps");
        assert_eq!(steps[0]["holds"], false);
        assert_eq!(steps[0]["if"]["all"][0]["holds"], true, "{trace}");
        assert_eq!(steps[0]["if"]["all"][1]["holds"], false);
        assert_eq!((steps[1]["rule"].as_str(), steps[1]["holds"].as_bool()), (Some("half"), Some(true)));
        assert_eq!(steps[2]["step"], "share");
        assert!(steps[2]["bucket"].is_u64());
        let killed =
            Question { pointer: r#"{"incarnation":1,"sequence":1,"version":9,"kill":false,"killed":[1]}"#, ..question };
        let trace: Json = serde_json::from_str(&explain(&killed)).expect("JSON");
        assert_eq!(trace["steps"][0]["step"], "kill");
        assert_eq!(trace["answer"]["metadata"]["cause"], "kill");
    }
}
