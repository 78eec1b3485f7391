//! An evaluation allocates nothing: this binary's allocator counts.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use headgate::flag::{Context, FlagSet, Kills, Scratch, Source};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use headgate::update::{Gates, Request, Who};
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations and the bytes held of each thread, so that tests do not see each other.
struct Counting;

fn note(new: usize, old: usize) {
    COUNT.with(|count| count.set(count.get() + usize::from(new > 0)));
    BYTES.with(|bytes| bytes.set(bytes.get().wrapping_add(new).wrapping_sub(old)));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations made while `run` runs, and bytes it leaves behind.
fn cost<T>(run: impl FnOnce() -> T) -> (usize, usize, T) {
    let (count, bytes) = (COUNT.get(), BYTES.get());
    let result = run();
    (COUNT.get() - count, BYTES.get().wrapping_sub(bytes), result)
}

/// One flag for each operator, and flags that use everything else.
fn documents() -> Vec<(String, String)> {
    let tests = [
        json!({"exists": true}),
        json!({"equals": "Zürich", "ignoreCase": true}),
        json!({"in": ["a", "b", 3]}),
        json!({"in": ["A", "B"], "ignoreCase": true}),
        json!({"contains": ["xyz", "ZÜ"], "ignoreCase": true}),
        json!({"startsWith": "zü"}),
        json!({"endsWith": "ICH", "ignoreCase": true}),
        json!({"matches": "^[A-Zü]+-[0-9]+$"}),
        json!({"lessThan": 5}),
        json!({"before": "2026-07-01"}),
        json!({"after": "2026-07-01T00:00:00+02:00"}),
        json!({"semver": ">=2.3.0-rc.1 <3 || ^4.1"}),
        json!({"hasAny": ["a", 1]}),
        json!({"hasAll": ["A", "b"], "ignoreCase": true}),
    ];
    let flag = |rules: Value, default: Value, requires: Value| {
        json!({
            "type": "boolean", "variants": {"on": true, "off": false}, "off": "off", "salt": "s", "client": true,
            "rules": rules, "default": default, "requires": requires,
        })
        .to_string()
    };
    let mut flags = Vec::new();
    for (at, mut test) in tests.into_iter().enumerate() {
        test["attribute"] = json!("a");
        flags.push((
            format!("operator-{at}"),
            flag(json!([{"id": "r", "if": test, "serve": "on"}]), json!("off"), json!([])),
        ));
    }
    let segment = json!([{"id": "r", "if": {"not": {"segment": "outer"}}, "serve": "on"}]);
    flags.push(("segment".into(), flag(segment, json!("off"), json!([]))));
    let ramp = json!({"from": 5, "to": 95, "start": "2026-07-01", "end": "2026-07-08"});
    let split = json!({"share": ramp, "weights": {"on": 1, "off": 2}, "by": "device.id"});
    flags.push(("split".into(), flag(json!([{"id": "r", "serve": split}]), json!("on"), json!([]))));
    flags.push(("needs".into(), flag(json!([]), json!("on"), json!([{"flag": "split", "is": "on"}]))));
    flags.push(("broken".into(), "{]".into()));
    flags
}

fn compile(segments: &[(String, String)], flags: &[(String, String)]) -> FlagSet {
    let source = |((key, text), id): (&'_ (String, String), u32)| (key.clone(), text.clone(), id);
    let owned = |list: &[(String, String)]| list.iter().zip(1..).map(source).collect::<Vec<_>>();
    let (segments, flags) = (owned(segments), owned(flags));
    FlagSet::compile(&sources(&segments), &sources(&flags), None)
}

fn sources(list: &[(String, String, u32)]) -> Vec<Source<'_>> {
    list.iter().map(|(key, text, id)| Source { key, id: *id, revision: 1, text }).collect()
}

fn segments() -> Vec<(String, String)> {
    let inner = json!({"include": ["u-1", "u-2"], "exclude": ["u-3"], "if": {"attribute": "a", "exists": true}});
    let outer = json!({"if": {"all": [{"segment": "inner"}, {"attribute": "targetingKey", "startsWith": "u"}]}});
    vec![("inner".into(), inner.to_string()), ("outer".into(), outer.to_string())]
}

#[test]
fn an_evaluation_allocates_nothing() {
    let set = compile(&segments(), &documents());
    assert_eq!(set.faults().count(), 1);
    let kills = Kills::new(false, vec![3]);
    let mut scratch = Scratch::default();
    for value in [
        r#""ZÜRICH-17""#,
        r#""2.4.0-rc.1+b""#,
        r#""2026-07-01""#,
        r#""2026-07-01T10:00:00Z""#,
        "3",
        "2.5",
        r#"["a","B",1]"#,
        "null",
    ] {
        let text = format!(r#"{{"targetingKey":"u-7","a":{value},"device":{{"id":-9223372036854775808}}}}"#);
        let node = parse(&text).expect("valid");
        let Node::Object(members) = &node else { panic!("an object") };
        let context = Context::new(set.attributes(), members, Instant::from_millis(1_783_000_000_000));
        // The first evaluation sizes the working memory, and a pattern's.
        let mut run = || {
            let mut digest = 0;
            set.evaluate_all(true, &context, &kills, &mut scratch, |outcome| digest ^= outcome.digest());
            for at in 0..u32::try_from(set.len()).expect("few") {
                digest ^= set.evaluate(at, &context, &kills, &mut scratch).digest();
            }
            digest
        };
        run();
        let (count, _, _) = cost(run);
        assert_eq!(count, 0, "allocations for {value}");
    }
}

#[test]
fn a_set_takes_about_as_many_bytes_as_it_says() {
    let few = documents();
    let many = (0..2_000).flat_map(|at| {
        few.iter()
            .take(17)
            .map(move |(key, text)| (format!("{key}-{at}"), text.replace("\"split\"", &format!("\"split-{at}\""))))
    });
    let units: Vec<_> = (0..20_000).map(|unit| format!("user-{unit}")).collect();
    let mut segments = segments();
    segments.push(("large".into(), json!({"include": units}).to_string()));
    for flags in [few.clone(), many.collect()] {
        let (segments, flags) = (segments.clone(), flags);
        let (_, held, set) = cost(|| compile(&segments, &flags));
        let said = set.bytes();
        assert!(said * 10 >= held * 9 && said * 10 <= held * 13, "{} flags: says {said}, holds {held}", set.len());
    }
}

/// The channels of the truth table, with its flags and segments.
fn gates() -> (FlagSet, Vec<(String, String)>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/update-gates.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("text")).expect("JSON");
    let documents = |name: &str| {
        let list = file[name].as_object().expect("an object").iter();
        list.map(|(key, document)| (key.clone(), document.to_string())).collect::<Vec<_>>()
    };
    (compile(&documents("segments"), &documents("flags")), documents("channels"))
}

#[test]
fn a_verdict_allocates_nothing_but_its_text() {
    let (flags, channels) = gates();
    let sources: Vec<_> = channels.iter().map(|(key, text)| Source { key, id: 0, revision: 1, text }).collect();
    let gates = Gates::compile(&sources, &flags, None);
    let node = parse(r#"{"targetingKey":"u-7","group":"internal"}"#).expect("valid");
    let Node::Object(members) = &node else { panic!("an object") };
    let context = Context::new(flags.attributes(), members, Instant::from_millis(1_796_126_400_000));
    let (kills, mut scratch) = (Kills::default(), Scratch::default());
    let mut out = Vec::with_capacity(4_096);
    for (key, _) in &channels {
        let facts = [("version", "2.0"), ("build", "200"), ("osVersion", "16"), ("locale", "de_CH"), ("snoozes", "1")];
        let more =
            [("channel", key.as_str()), ("snoozedAt", "2026-12-01T11:59:00Z"), ("bundle", "b31"), ("storefront", "CH")];
        let get = |name: &str| facts.iter().chain(&more).find(|(known, _)| *known == name).map(|(_, value)| *value);
        let request = Request::of(&get);
        // The first evaluation of a flag sizes the working memory.
        let mut run = || {
            let mut who = Who { flags: &flags, context: &context, kills: &kills, scratch: &mut scratch };
            gates.decide(&request, &mut who)
        };
        run();
        let (count, _, verdict) = cost(run);
        assert_eq!(count, 0, "allocations at {key}");
        out.clear();
        verdict.write(&mut out);
        assert!(out.starts_with(b"{") && out.len() < 4_096, "{key}");
    }
}

#[test]
fn gates_take_about_as_many_bytes_as_they_say() {
    let (flags, channels) = gates();
    let many: Vec<_> =
        (0..20).flat_map(|at| channels.iter().map(move |(key, text)| (format!("{key}-{at}"), text))).collect();
    let sources: Vec<_> = many.iter().map(|(key, text)| Source { key, id: 0, revision: 1, text }).collect();
    let (_, held, gates) = cost(|| Gates::compile(&sources, &flags, None));
    let said = gates.bytes();
    assert!(said * 10 >= held * 8 && said * 10 <= held * 16, "says {said}, holds {held}");
}
