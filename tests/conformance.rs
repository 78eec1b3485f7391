//! Runs the published conformance files; `tests/conformance/README.md` describes them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::bucketing::{BUCKETS, Seeds};
use headgate::flag::{Context, FlagSet, Kills, Scratch, Source};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn buckets_are_those_of_an_independent_implementation() {
    let file: Value = serde_json::from_str(&read(&Path::new(FOLDER).join("bucketing.json"))).expect("JSON");
    assert_eq!(file["buckets"], BUCKETS);
    let vectors = file["vectors"].as_array().expect("a list");
    assert!(vectors.len() >= 100, "the file holds {} vectors", vectors.len());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().expect("text");
        let seeds = Seeds::new(text("salt"));
        let seed = match text("purpose") {
            "share" => seeds.share,
            "variant" => seeds.variant,
            other => panic!("unknown purpose `{other}`"),
        };
        let unit = text("unit").as_bytes();
        assert_eq!(seed.hash(unit).to_string(), text("hash"), "{vector}");
        assert_eq!(vector["bucket"], seed.bucket(unit), "{vector}");
        let slots = vector["slots"].as_object().expect("an object");
        assert!(!slots.is_empty());
        for (count, slot) in slots {
            assert_eq!(*slot, seed.slot(unit, count.parse().expect("a count")), "{count} slots of {vector}");
        }
    }
}

#[test]
fn evaluations_answer_as_published() {
    let folder = Path::new(FOLDER).join("evaluation");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a folder").map(|f| f.expect("a file").path()).collect();
    files.sort();
    let (mut ran, mut failures) = (0, Vec::new());
    for path in &files {
        let text = read(path);
        let file =
            File { name: path.file_stem().expect("named").to_string_lossy().into(), root: parse(&text).expect("JSON") };
        ran += file.run(&mut failures);
    }
    assert!(failures.is_empty(), "{} of {ran} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= 500, "only {ran} cases were found in {}", folder.display());
}

/// One file of cases. It is read by the product's own reader, which keeps numbers as written.
struct File<'a> {
    name: String,
    root: Node<'a>,
}

fn members<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [(std::borrow::Cow<'a, str>, Node<'a>)] {
    match node {
        Some(Node::Object(members)) => members,
        None => &[],
        Some(other) => panic!("not an object: {other:?}"),
    }
}

fn list<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Node<'a>] {
    match node {
        Some(Node::Array(list)) => list,
        None => &[],
        Some(other) => panic!("not a list: {other:?}"),
    }
}

fn json_of(node: &Node<'_>) -> Value {
    serde_json::to_value(node).expect("writes")
}

/// Key and text of every document.
fn documents(node: Option<&Node<'_>>) -> Vec<(String, String)> {
    let text = |node| serde_json::to_string(node).expect("writes");
    members(node).iter().map(|(key, node)| (key.to_string(), text(node))).collect()
}

fn sources(documents: &[(String, String)]) -> Vec<Source<'_>> {
    documents.iter().zip(1..).map(|((key, text), id)| Source { key, id, revision: 1, text }).collect()
}

fn compile(segments: &[(String, String)], flags: &[(String, String)]) -> FlagSet {
    FlagSet::compile(&sources(segments), &sources(flags), None)
}

impl File<'_> {
    fn run(&self, failures: &mut Vec<String>) -> usize {
        let now = self.root.get("now").and_then(Node::as_str).and_then(Instant::parse).expect("an instant");
        let segments = documents(self.root.get("segments"));
        let flags = documents(self.root.get("flags"));
        let set = compile(&segments, &flags);
        let ids: HashMap<&str, u32> = flags.iter().map(|(key, _)| key.as_str()).zip(1..).collect();
        let cases = list(self.root.get("cases"));
        for case in cases {
            let key = case.get("flag").and_then(Node::as_str).expect("a flag's key");
            let now = case.get("now").map_or(now, |node| node.as_str().and_then(Instant::parse).expect("an instant"));
            let kills = kills(case.get("kills"), &ids);
            let answer = answer(&set, key, members(case.get("context")), now, &kills);
            let expected = json_of(case.get("expect").expect("an expectation"));
            let document = self.root.get("flags").and_then(|flags| flags.get(key)).expect("a flag");
            if let Err(found) = matches(&answer, &expected, document) {
                failures.push(format!("{}: {} gave {found}", self.name, json_of(case)));
            }
        }
        cases.len() + self.run_conditions(now, failures)
    }

    fn run_conditions(&self, now: Instant, failures: &mut Vec<String>) -> usize {
        let mut ran = 0;
        for condition in list(self.root.get("conditions")) {
            let flag = json!({
                "type": "boolean", "variants": {"on": true, "off": false}, "off": "off", "salt": "s",
                "rules": [{"id": "r", "if": "IF", "serve": "on"}], "default": "off",
            });
            let written = serde_json::to_string(condition.get("if").expect("a condition")).expect("writes");
            let flag = flag.to_string().replace("\"IF\"", &written);
            let set = compile(&[], &[("f".to_owned(), flag)]);
            let holds = json!({"variant": "on", "reason": "TARGETING_MATCH", "rule": "r"});
            let fails = json!({"variant": "off", "reason": "DEFAULT"});
            for (name, expected) in [("holds", holds), ("fails", fails)] {
                for context in list(condition.get(name)) {
                    let answer = answer(&set, "f", members(Some(context)), now, &Kills::default());
                    if let Err(found) = matches(&answer, &expected, &Node::Null) {
                        failures.push(format!("{}: {written} for {} gave {found}", self.name, json_of(context)));
                    }
                    ran += 1;
                }
            }
        }
        ran
    }
}

fn kills(node: Option<&Node<'_>>, ids: &HashMap<&str, u32>) -> Kills {
    let environment = node.and_then(|node| node.get("environment")) == Some(&Node::Bool(true));
    let flags = list(node.and_then(|node| node.get("flags"))).iter();
    let flags = flags.map(|key| ids[key.as_str().expect("a flag's key")]).collect();
    Kills::new(environment, flags)
}

fn answer<'a>(
    set: &FlagSet,
    key: &str,
    context: &'a [(std::borrow::Cow<'a, str>, Node<'a>)],
    now: Instant,
    kills: &Kills,
) -> Value {
    let context = Context::new(set.attributes(), context, now);
    let index = set.find(key).unwrap_or_else(|| panic!("no flag `{key}`"));
    let outcome = set.evaluate(index, &context, kills, &mut Scratch::default());
    let answer: Value = serde_json::from_str(outcome.fragment()).expect("an answer is JSON");
    assert_eq!(answer["key"], key);
    assert!(answer["metadata"].is_object(), "{answer}");
    answer
}

/// Compares everything that `expect` may say, and the value with the document's.
fn matches(answer: &Value, expected: &Value, document: &Node<'_>) -> Result<(), Value> {
    let mut found = match answer.get("errorCode") {
        Some(code) => json!({"error": code}),
        None => json!({"variant": answer["variant"], "reason": answer["reason"]}),
    };
    for name in ["rule", "cause"] {
        if let Some(value) = answer["metadata"].get(name) {
            found[name] = value.clone();
        }
    }
    if expected.get("value").is_some() {
        found["value"] = answer["value"].clone();
    }
    let variant = answer["variant"].as_str().unwrap_or_default();
    let written = document.get("variants").and_then(|variants| variants.get(variant)).map(json_of);
    let as_written = written.is_none_or(|written| same_value(&written, &answer["value"]));
    if found == *expected && as_written { Ok(()) } else { Err(answer.clone()) }
}

/// A float flag's `10` comes out as `10.0`, which is the same number.
fn same_value(written: &Value, answered: &Value) -> bool {
    written == answered || (written.is_number() && written.as_f64() == answered.as_f64())
}
