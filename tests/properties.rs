//! What holds for every environment and every context.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use headgate::flag::{FlagDocument, FlagSet, Scratch};
use headgate::json::{At, Problems, parse};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::{Environment, FLAGS, Request, environment, flag, request};

fn read(text: &str) -> Option<FlagDocument> {
    let node = parse(text).ok()?;
    let mut problems = Problems::default();
    let document = FlagDocument::read(&node, &At::ROOT, &mut problems)?;
    problems.is_empty().then_some(document)
}

fn positions() -> std::ops::Range<u32> {
    0..u32::try_from(FLAGS).expect("few")
}

/// The positions of flags that depend on the one at `root`, itself included, from the documents.
fn dependents(environment: &Environment, root: usize) -> HashSet<usize> {
    let requires: Vec<Vec<String>> = environment
        .flags
        .iter()
        .map(|text| {
            read(text).map_or_else(Vec::new, |flag| flag.requires.into_iter().map(|other| other.flag).collect())
        })
        .collect();
    let mut found = HashSet::from([root]);
    while let Some(next) = (0..FLAGS).find(|at| {
        !found.contains(at) && requires[*at].iter().any(|key| found.iter().any(|other| *key == format!("f{other}")))
    }) {
        found.insert(next);
    }
    found
}

/// A flag whose default is an allocation of this share.
fn shared(share: &Value) -> FlagSet {
    let flag = json!({
        "type": "string", "variants": {"a": "A", "b": "B", "c": "C", "out": ""}, "off": "out", "salt": "s",
        "default": {"share": share, "weights": {"a": 1, "b": 2, "c": 3}, "else": "out"},
    });
    let flags = vec![flag.to_string()];
    Environment { flags, segments: Vec::new() }.compile(None)
}

fn variant(set: &FlagSet, unit: &str, now: i64) -> String {
    let request = Request { context: json!({"targetingKey": unit}).to_string(), now, kill_all: false, kills: vec![] };
    let answer: Value = serde_json::from_str(&request.answers(set)[0]).expect("JSON");
    answer["variant"].as_str().expect("a variant").to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Evaluation is total, its answers are OFREP's, and one by one they are those of the bulk.
    #[test]
    fn one_by_one_is_all_at_once(environment in environment(), requests in prop::collection::vec(request(), 1..6)) {
        let set = environment.compile(None);
        // One working memory for all requests, as an isolate has it.
        let mut scratch = Scratch::default();
        for request in requests {
            let single = request.answers(&set);
            for answer in &single {
                let answer: Value = serde_json::from_str(answer).expect("JSON");
                let complete = ["key", "value", "reason", "variant", "metadata"].iter().all(|name| answer.get(name).is_some());
                let error = answer["errorCode"].is_string() && answer["errorDetails"].is_string();
                prop_assert!(complete != error, "{answer}");
            }
            for client in [false, true] {
                let mut bulk = Vec::new();
                request.with(&set, |context, kills| {
                    set.evaluate_all(client, context, kills, &mut scratch, |outcome| bulk.push(outcome.fragment().to_owned()));
                });
                let visible = positions().filter(|at| !client || set.is_client_visible(*at));
                let expected: Vec<_> = visible.map(|at| single[at as usize].clone()).collect();
                prop_assert_eq!(bulk, expected);
            }
        }
    }

    /// A set that takes flags over from the one before answers as one compiled afresh.
    #[test]
    fn taking_over_changes_nothing(
        before in environment(), after in environment(),
        keep in prop::collection::vec(any::<bool>(), FLAGS), request in request(),
    ) {
        let mut mixed = after;
        for (at, keep) in keep.into_iter().enumerate() {
            if keep {
                mixed.flags[at].clone_from(&before.flags[at]);
                mixed.segments[at].clone_from(&before.segments[at]);
            }
        }
        let before = before.compile(None);
        let (afresh, taken) = (mixed.compile(None), mixed.compile(Some(&before)));
        prop_assert_eq!(request.answers(&taken), request.answers(&afresh));
        let faults = |set: &FlagSet| set.faults().map(|(key, detail)| format!("{key}: {detail}")).collect::<Vec<_>>();
        prop_assert_eq!(faults(&taken), faults(&afresh));
        for at in positions() {
            prop_assert_eq!(taken.is_client_visible(at), afresh.is_client_visible(at));
        }
        // What nothing reads any more may stay behind; a third set of the same documents adds nothing.
        prop_assert_eq!(mixed.compile(Some(&taken)).reused(), FLAGS);
    }

    #[test]
    fn a_kill_changes_only_what_depends_on_it(environment in environment(), request in request(), killed in 0..FLAGS) {
        let set = environment.compile(None);
        let mut more = request.clone();
        more.kills.push(u32::try_from(killed).expect("few") + 1);
        let (without, with) = (request.answers(&set), more.answers(&set));
        let dependents = dependents(&environment, killed);
        for at in (0..FLAGS).filter(|at| !dependents.contains(at)) {
            prop_assert_eq!(&without[at], &with[at], "f{} changed when f{} was killed", at, killed);
        }
    }

    #[test]
    fn an_explanation_s_answer_is_the_evaluation_s(environment in environment(), request in request()) {
        let set = environment.compile(None);
        let answers = request.answers(&set);
        for at in positions() {
            let Some(document) = read(&environment.flags[at as usize]) else { continue };
            let explained = request.with(&set, |context, kills| set.explain(at, &document, context, kills));
            let answer: Value = serde_json::from_str(&answers[at as usize]).expect("JSON");
            prop_assert_eq!(&explained["answer"], &answer);
            let holds = |step: &&Value| step["step"] == "rule" && step["holds"] == true;
            if let Some(rule) = answer["metadata"].get("rule") {
                let last = explained["steps"].as_array().expect("a list").iter().rfind(holds);
                prop_assert_eq!(&last.expect("a rule that holds")["rule"], rule);
            }
        }
    }

    /// Reading, writing and reading again gives the same flag and the same text.
    #[test]
    fn what_is_written_is_what_was_read(text in flag()) {
        let flag = read(&text).expect("a good flag");
        let written = serde_json::to_string(&flag).expect("writes");
        let again = read(&written).expect("a good flag");
        prop_assert_eq!(&again, &flag);
        prop_assert_eq!(serde_json::to_string(&again).expect("writes"), written);
    }

    #[test]
    fn a_wider_share_only_adds_units(shares in (0u32..=100_000, 0u32..=100_000), seed in any::<u32>()) {
        let (narrow, wide) = (shares.0.min(shares.1), shares.0.max(shares.1));
        let percent = |buckets: u32| json!(f64::from(buckets) / 1000.0);
        let (narrow, wide) = (shared(&percent(narrow)), shared(&percent(wide)));
        for unit in 0..100u32 {
            let unit = format!("unit-{}", seed.wrapping_add(unit));
            let (before, after) = (variant(&narrow, &unit, 0), variant(&wide, &unit, 0));
            prop_assert!(before == "out" || before == after, "{unit} moved from {before} to {after}");
        }
    }

    #[test]
    fn a_rising_ramp_only_adds_units(
        ends in (0u32..=100_000, 0u32..=100_000), start in -10_000_000_000_000..10_000_000_000_000i64,
        times in (any::<i32>(), any::<i32>()), seed in any::<u32>(),
    ) {
        let text = |millis| headgate::time::Instant::from_millis(millis).to_string();
        let percent = |buckets: u32| json!(f64::from(buckets) / 1000.0);
        let (from, to) = (percent(ends.0.min(ends.1)), percent(ends.0.max(ends.1)));
        let set = shared(&json!({"from": from, "to": to, "start": text(start), "end": text(start + 1_000_000_000)}));
        let (early, late) = (i64::from(times.0.min(times.1)), i64::from(times.0.max(times.1)));
        for unit in 0..50u32 {
            let unit = format!("unit-{}", seed.wrapping_add(unit));
            let (before, after) = (variant(&set, &unit, start + early), variant(&set, &unit, start + late));
            prop_assert!(before == "out" || before == after, "{unit} moved from {before} to {after}");
        }
    }
}
