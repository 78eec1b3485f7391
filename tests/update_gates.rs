//! Update gates: the published truth table (`tests/conformance/update-gates.json`), and what holds
//! for every channel and request.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::flag::{Context, FlagSet, Kills, Scratch, Source};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use headgate::update::{Gates, Request, Who};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

type Documents = Vec<(String, String)>;

fn documents(value: &Value) -> Documents {
    let list = value.as_object().map(|map| map.iter().map(|(key, document)| (key.clone(), document.to_string())));
    list.map(Iterator::collect).unwrap_or_default()
}

fn sources(documents: &Documents) -> Vec<Source<'_>> {
    documents.iter().zip(1..).map(|((key, text), id)| Source { key, id, revision: 1, text }).collect()
}

/// An environment with gates.
struct World {
    flag_keys: Vec<String>,
    flags: FlagSet,
    gates: Gates,
}

impl World {
    fn new(file: &Value) -> Self {
        let [segments, flags, channels] = ["segments", "flags", "channels"].map(|name| documents(&file[name]));
        let set = FlagSet::compile(&sources(&segments), &sources(&flags), None);
        assert_eq!(set.faults().collect::<Vec<_>>(), []);
        let gates = Gates::compile(&sources(&channels), &set, None);
        assert_eq!(gates.len(), channels.len(), "every channel can be read");
        Self { flag_keys: flags.into_iter().map(|(key, _)| key).collect(), flags: set, gates }
    }

    /// One channel alone, of the name `c`.
    fn of(channel: &Value) -> Self {
        Self::new(&json!({"channels": {"c": channel}}))
    }

    fn kills(&self, value: &Value) -> Kills {
        let id = |key: &Value| self.flag_keys.iter().position(|known| key == known).expect("a flag") + 1;
        let ids = value["flags"].as_array().into_iter().flatten().map(|key| u32::try_from(id(key)).expect("few"));
        Kills::new(value["environment"] == true, ids.collect())
    }

    fn ask(&self, request: &Value, context: &Value, kills: &Kills, now: Instant) -> Value {
        let text = context.to_string();
        let node = parse(&text).expect("JSON");
        let Node::Object(members) = &node else { panic!("an object: {text}") };
        let context = Context::new(self.flags.attributes(), members, now);
        let known = |name: &str| Request::FIELDS.contains(&name);
        assert!(request.as_object().expect("an object").keys().all(|name| known(name)), "{request}");
        let request = Request::of(&|name| request[name].as_str());
        let mut out = Vec::new();
        let mut who = Who { flags: &self.flags, context: &context, kills, scratch: &mut Scratch::default() };
        self.gates.decide(&request, &mut who).write(&mut out);
        serde_json::from_slice(&out).expect("an answer is JSON")
    }

    /// The answer of the channel `c` to an app that says this of itself.
    fn told(&self, mut request: Value, unit: &str) -> Value {
        request["channel"] = "c".into();
        self.ask(&request, &json!({"targetingKey": unit}), &Kills::default(), now())
    }
}

fn now() -> Instant {
    Instant::parse("2026-12-01T12:00:00Z").expect("an instant")
}

/// What an answer says, in the form of the table's expectations.
fn said(answer: &Value, expected: &Value) -> Value {
    let mut found = json!({"action": answer["action"], "reason": answer["reason"]});
    let mut take = |name: &str, value: &Value| {
        if !value.is_null() {
            found[name] = value.clone();
        }
    };
    take("rule", &answer["rule"]);
    take("target", &answer["target"]["release"]);
    take("bundle", &{
        let mut bundle = answer["bundle"].clone();
        if let Some(bundle) = bundle.as_object_mut() {
            bundle.retain(|name, _| matches!(name.as_str(), "action" | "reason" | "rule" | "bundle"));
        }
        bundle
    });
    // The rest is compared where the row speaks of it; null says that it is not there.
    for name in ["channel", "storeUrl", "texts", "timings", "notes"] {
        let value = if name == "notes" { &answer["target"]["notes"] } else { &answer[name] };
        match &expected[name] {
            _ if expected.get(name).is_none() => {}
            Value::Object(parts) => {
                let same = parts.iter().all(|(part, wanted)| value[part] == *wanted);
                found[name] = if same { expected[name].clone() } else { value.clone() };
            }
            _ => found[name] = value.clone(),
        }
    }
    found
}

#[test]
fn the_truth_table_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/update-gates.json");
    let text = std::fs::read_to_string(path).expect("the table is there");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let world = World::new(&file);
    let instant = |value: &Value| Instant::parse(value.as_str().expect("text")).expect("an instant");
    let cases = file["cases"].as_array().expect("a list");
    let (mut names, mut failures) = (BTreeSet::new(), Vec::new());
    for case in cases {
        assert!(names.insert(case["name"].as_str()), "twice: {}", case["name"]);
        let now = instant(case.get("now").unwrap_or(&file["now"]));
        let context = case.get("context").cloned().unwrap_or_else(|| json!({}));
        let answer = world.ask(&case["request"], &context, &world.kills(&case["kills"]), now);
        let found = said(&answer, &case["expect"]);
        if found != case["expect"] {
            failures.push(format!(
                "{}\n  expected {}\n  found    {found}\n  in       {answer}",
                case["name"], case["expect"]
            ));
        }
    }
    assert!(failures.is_empty(), "{} of {} rows fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
    assert!(cases.len() >= 200, "the table shrank to {} rows", cases.len());
}

/// Versions in order, with spellings that mean the same left out.
const VERSIONS: [&str; 12] =
    ["0.9", "1.0.0-rc.1", "1.0", "1.0.1", "1.1", "1.9.9", "2.0-beta", "2.0", "2.0.0.1", "2.1", "2.10", "3.0"];

fn version() -> impl Strategy<Value = String> {
    prop::sample::select(VERSIONS.map(str::to_owned).to_vec())
}

fn release() -> impl Strategy<Value = Value> {
    let parts = (
        any::<bool>(),
        prop::option::of(prop::sample::select(vec!["2026-11-30", "2026-12-24"])),
        prop::option::of(0u32..=100),
        prop::option::of(prop::sample::select(vec!["15.0", "17.0"])),
        prop::sample::select(vec![json!({"*": true}), json!({"*": false}), json!({}), json!({"CH": true})]),
        prop::option::of(prop::sample::select(vec!["2026-11-30", "2026-12-02"])),
    );
    parts.prop_map(|(required, deadline, share, os, availability, phased)| {
        let mut release = json!({"required": required, "availability": availability});
        let optional = [("deadline", deadline.map(Value::from)), ("share", share.map(Value::from))];
        let more = [("minimumOs", os.map(Value::from)), ("phasedSince", phased.map(Value::from))];
        for (name, value) in optional.into_iter().chain(more) {
            if let Some(value) = value {
                release[name] = value;
            }
        }
        release
    })
}

prop_compose! {
    fn channel()(
        releases in prop::collection::btree_map(version(), release(), 0..5),
        minimum in prop::option::of(version()),
        recommended in prop::option::of(version()),
        blocked in prop::collection::vec(version(), 0..2),
        mut policy in [0usize..3, 0..3, 0..3],
        snoozes in prop::option::of(0..3i64),
    ) -> Value {
        policy.sort_unstable();
        let [patch, minor, major] = policy.map(|urgency| ["none", "recommended", "required"][urgency]);
        let mut channel = json!({
            "platform": "ios", "salt": "s", "policy": {"major": major, "minor": minor, "patch": patch},
            "blocked": blocked, "remindAfter": 3600,
        });
        let order = |text: &Option<String>| text.as_ref().and_then(|text| VERSIONS.iter().position(|known| known == text));
        if let Some(minimum) = &minimum {
            channel["minimum"] = minimum.as_str().into();
        }
        if order(&recommended) >= order(&minimum) && let Some(recommended) = recommended {
            channel["recommended"] = recommended.into();
        }
        channel["releases"] = releases.into_iter().map(|(key, mut release)| {
            // A required release that is blocked is refused.
            if blocked.contains(&key) {
                release["required"] = false.into();
            }
            (key, release)
        }).collect::<serde_json::Map<_, _>>().into();
        if let Some(snoozes) = snoozes {
            channel["snoozes"] = snoozes.into();
        }
        channel
    }
}

prop_compose! {
    fn app()(os in prop::sample::select(vec!["", "14.0", "16.1", "17.0"]), storefront in prop::sample::select(vec!["", "CH"]),
        store in prop::option::of(version())) -> Value {
        json!({"osVersion": os, "storefront": storefront, "storeVersion": store.unwrap_or_default()})
    }
}

fn with(app: &Value, more: Value) -> Value {
    let mut app = app.clone();
    if let (Some(app), Value::Object(more)) = (app.as_object_mut(), more) {
        app.extend(more);
    }
    app
}

fn strictness(answer: &Value) -> usize {
    let actions = ["none", "recommended", "required"];
    actions.iter().position(|action| answer["action"] == *action).expect("an action that can be ordered")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered(channel in channel(), fields in prop::collection::vec(".{0,40}", Request::FIELDS.len()), unit in ".{0,10}") {
        let request: Value = Request::FIELDS.iter().zip(fields).map(|(name, text)| ((*name).to_owned(), text.into())).collect::<serde_json::Map<_, _>>().into();
        let answer = World::of(&channel).told(request, &unit);
        prop_assert!(answer["action"].is_string() && answer["reason"].is_string());
    }

    #[test]
    fn what_is_required_does_not_hang_on_snoozes(channel in channel(), app in app(), version in version(), snoozes in 0..5i64, age in 0..7200i64) {
        let world = World::of(&channel);
        let plain = world.told(with(&app, json!({"version": version})), "u-1");
        let at = now().plus_millis(-age * 1000).to_string();
        let snoozed = world.told(with(&app, json!({"version": version, "snoozes": snoozes.to_string(), "snoozedAt": at})), "u-1");
        let firm = |answer: &Value| ["required", "blocked", "maintenance"].iter().any(|action| answer["action"] == *action);
        prop_assert_eq!(firm(&plain), firm(&snoozed));
        if firm(&plain) {
            prop_assert_eq!(plain, snoozed);
        } else {
            prop_assert!(strictness(&snoozed) <= strictness(&plain));
        }
    }

    #[test]
    fn a_newer_version_is_never_treated_more_strictly(channel in channel(), app in app(), unit in "u-[0-9]{1,3}") {
        let world = World::of(&channel);
        let mut before = None;
        for version in VERSIONS {
            let answer = world.told(with(&app, json!({"version": version})), &unit);
            if answer["reason"] == "blocked" {
                continue;
            }
            let strict = strictness(&answer);
            prop_assert!(before.is_none_or(|before| strict <= before), "{}: {} in {}", version, answer, channel);
            before = Some(strict);
        }
    }

    #[test]
    fn nobody_is_required_to_have_what_may_not_be_there(channel in channel(), app in app(), version in version(), unit in "u-[0-9]{1,3}") {
        let answer = World::of(&channel).told(with(&app, json!({"version": version})), &unit);
        if answer["action"] == "required" {
            let release = &channel["releases"][answer["target"]["release"].as_str().expect("a target")];
            let place = |text: &str| VERSIONS.iter().position(|known| *known == text);
            let target = answer["target"]["version"].as_str().expect("text");
            prop_assert!(place(target) > place(&version));
            match app["storeVersion"].as_str().filter(|offer| !offer.is_empty()) {
                Some(offer) => prop_assert!(place(target) <= place(offer)),
                None => prop_assert!(release["availability"]["*"] == true || (release["availability"]["CH"] == true && app["storefront"] == "CH")),
            }
            if let Some(needed) = release["minimumOs"].as_str() {
                prop_assert!(app["osVersion"].as_str().is_some_and(|os| os >= needed), "{} {}", answer, app);
            }
        }
    }

    #[test]
    fn a_wider_share_only_adds_people(from in 0u32..=100, more in 0u32..=100, unit in "u-[0-9]{1,4}") {
        let offered = |share: u32| {
            let channel = json!({"platform": "web", "salt": "s", "recommended": "2.0", "releases": {"2.0": {"share": share, "availability": {"*": true}}}});
            World::of(&channel).told(json!({"version": "1.0"}), &unit)["action"] == "recommended"
        };
        prop_assert!(!offered(from) || offered((from + more).min(100)));
    }
}

#[test]
fn a_share_is_as_wide_as_it_says_and_deals_anew_for_every_release() {
    let releases =
        json!({"2.0": {"share": 20, "availability": {"*": true}}, "2.1": {"share": 20, "availability": {"*": true}}});
    let world = World::of(&json!({"platform": "web", "salt": "s", "recommended": "2.1", "releases": releases}));
    let told: Vec<_> = (0..5_000).map(|unit| world.told(json!({"version": "1.0"}), &format!("u-{unit}"))).collect();
    let count = |release: &str| told.iter().filter(|answer| answer["target"]["release"] == release).count();
    // 20 % of 5,000 with a standard deviation of 28; 20 % of the other 4,000 with one of 25.
    assert!(count("2.1").abs_diff(1_000) < 140, "{}", count("2.1"));
    assert!(count("2.0").abs_diff(800) < 130, "{}", count("2.0"));
}

#[test]
fn unchanged_channels_are_taken_over_with_their_answers() {
    let text =
        json!({"platform": "ios", "salt": "s", "minimum": "2.0", "releases": {"2.0": {"availability": {"*": true}}}})
            .to_string();
    let sources = [Source { key: "c", id: 0, revision: 1, text: &text }];
    let flags = FlagSet::default();
    let first = Gates::compile(&sources, &flags, None);
    let second = Gates::compile(&sources, &flags, Some(&first));
    assert_eq!(first.bytes(), second.bytes());
    let changed = text.replace("2.0", "3.0");
    let third = Gates::compile(&[Source { key: "c", id: 0, revision: 2, text: &changed }], &flags, Some(&second));
    let world = World { flag_keys: Vec::new(), flags, gates: third };
    assert_eq!(world.told(json!({"version": "2.5"}), "u")["target"]["release"], "3.0");
}
