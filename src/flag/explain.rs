//! Explanations: the same walk as an evaluation, with every step written down.

use super::condition as wire;
use super::context::Context;
use super::evaluate::{Kills, Scope, Scratch, Trace};
use super::model::{Condition, FlagSet};
use super::wire::FlagDocument;
use serde_json::{Value as Json, json};

impl FlagSet {
    /// Explains the evaluation of the flag at a position, rule by rule, with bucket numbers:
    /// `{"answer": …, "steps": […]}`. `document` is what the flag was compiled from.
    pub fn explain(&self, index: u32, document: &FlagDocument, context: &Context<'_>, kills: &Kills) -> Json {
        let mut scratch = Scratch::default();
        let mut recorder = Recorder { set: self, document, steps: Vec::new() };
        let outcome = self.traced(index, context, kills, &mut scratch, &mut recorder);
        let mut steps = recorder.steps;
        let scope = Scope::of(self, index, context, &scratch);
        for step in &mut steps {
            let Some(rule) = step.get("index").and_then(Json::as_u64).and_then(|at| usize::try_from(at).ok()) else {
                continue;
            };
            let compiled = self.flags[index as usize].flag.body.as_ref().ok().and_then(|body| body.rules.get(rule));
            let written = document.rules.get(rule).and_then(|rule| rule.condition.as_ref());
            if let (Some(compiled), Some(written)) = (compiled, written) {
                step["if"] = explain_condition(written, &compiled.condition, &scope);
            }
        }
        let answer = serde_json::from_str(outcome.fragment()).unwrap_or(Json::Null);
        json!({ "answer": answer, "steps": steps })
    }
}

struct Recorder<'a> {
    set: &'a FlagSet,
    document: &'a FlagDocument,
    steps: Vec<Json>,
}

impl Trace for Recorder<'_> {
    fn killed(&mut self) {
        self.steps.push(json!({ "step": "kill", "serves": self.document.off }));
    }

    fn disabled(&mut self) {
        self.steps.push(json!({ "step": "not-enabled", "serves": self.document.off }));
    }

    fn prerequisite(&mut self, position: u32, met: bool) {
        let key = &*self.set.flags[position as usize].flag.key;
        let is = self.document.requires.iter().find(|other| other.flag == key).map(|other| &other.is);
        self.steps.push(json!({ "step": "prerequisite", "flag": key, "is": is, "met": met }));
    }

    fn rule(&mut self, index: usize, holds: bool) {
        let id = self.document.rules.get(index).map(|rule| &rule.id);
        self.steps.push(json!({ "step": "rule", "index": index, "rule": id, "holds": holds }));
    }

    fn default(&mut self) {
        self.steps.push(json!({ "step": "default" }));
    }

    fn missing_unit(&mut self) {
        self.steps.push(json!({ "step": "share", "missing": "the bucketing unit is not in the context" }));
    }

    fn share(&mut self, bucket: u32, share: u32) {
        let inside = bucket < share;
        self.steps.push(json!({ "step": "share", "bucket": bucket, "share": share, "inside": inside }));
    }

    fn variant(&mut self, slot: u32, total: u32) {
        self.steps.push(json!({ "step": "variant", "slot": slot, "of": total }));
    }
}

/// The condition as written, each part with whether it holds.
fn explain_condition(written: &wire::Condition, compiled: &Condition, scope: &Scope<'_>) -> Json {
    let holds = scope.holds(compiled);
    let parts = |name: &str, written: &[wire::Condition], compiled: &[Condition]| {
        let pairs = written.iter().zip(compiled);
        let parts: Vec<_> = pairs.map(|(written, compiled)| explain_condition(written, compiled, scope)).collect();
        json!({ name: parts, "holds": holds })
    };
    match (written, compiled) {
        (wire::Condition::All(written), Condition::All(compiled)) => parts("all", written, compiled),
        (wire::Condition::Any(written), Condition::Any(compiled)) => parts("any", written, compiled),
        (wire::Condition::Not(written), Condition::Not(compiled)) => {
            json!({ "not": explain_condition(written, compiled, scope), "holds": holds })
        }
        _ => json!({ "condition": written, "holds": holds }),
    }
}
