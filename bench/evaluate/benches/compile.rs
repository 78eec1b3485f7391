//! A large environment: 10,000 flags, 500 segments, 50,000 listed units.

use criterion::{Criterion, criterion_group, criterion_main};
use headgate::flag::{Context, FlagSet, Kills, Scratch, Source};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use serde_json::json;
use std::hint::black_box;

const FLAGS: usize = 10_000;
const SEGMENTS: usize = 500;
const UNITS: usize = 50_000;

fn flag(at: usize) -> String {
    let segment = format!("segment_{:03}", at % SEGMENTS);
    let rules = match at % 4 {
        0 => json!([]),
        1 => json!([{"id": "beta", "if": {"segment": segment}, "serve": "on"}]),
        2 => json!([
            {"id": "internal", "if": {"segment": segment}, "serve": "on"},
            {"id": "gradual", "if": {"all": [
                {"attribute": "app_version", "semver": ">=2.3.0"},
                {"not": {"attribute": "country", "in": ["US", "CA", "MX"]}}]},
             "serve": {"share": 25, "variants": {"on": 100}, "else": "off"}}]),
        _ => json!([{"id": "mail", "if": {"attribute": "email", "endsWith": "@mail.example", "ignoreCase": true},
            "serve": {"weights": {"on": 1, "off": 1}}}]),
    };
    json!({
        "description": format!("flag number {at} of a large environment"), "owner": "team-platform",
        "tags": ["large", "bench"], "type": "boolean", "variants": {"on": true, "off": false}, "enabled": true,
        "off": "off", "client": at.is_multiple_of(2), "salt": format!("salt-{at}"), "rules": rules,
        "default": {"share": 10, "variants": {"on": 100}, "else": "off"},
    })
    .to_string()
}

fn segment(at: usize) -> String {
    let units: Vec<_> = (0..UNITS / SEGMENTS).map(|unit| format!("user-{:08x}", at * 7919 + unit * 104_729)).collect();
    json!({"include": units, "if": {"attribute": "group", "in": ["beta", format!("group-{at}")]}}).to_string()
}

fn compile(c: &mut Criterion) {
    let flags: Vec<_> = (0..FLAGS).map(|at| (format!("flag_{at:05}"), flag(at))).collect();
    let segments: Vec<_> = (0..SEGMENTS).map(|at| (format!("segment_{at:03}"), segment(at))).collect();
    let source = |((key, text), id): (&'_ (String, String), u32)| Source {
        key: Box::leak(key.clone().into_boxed_str()),
        id,
        revision: 1,
        text: Box::leak(text.clone().into_boxed_str()),
    };
    let flags: Vec<Source<'static>> = flags.iter().zip(1..).map(source).collect();
    let segments: Vec<Source<'static>> = segments.iter().zip(1..).map(source).collect();
    let set = FlagSet::compile(&segments, &flags, None);
    assert_eq!(set.faults().next(), None);
    let text: usize = flags.iter().chain(&segments).map(|source| source.text.len()).sum();
    println!("{FLAGS} flags, {SEGMENTS} segments, {UNITS} units: {text} bytes of text, about {} compiled", set.bytes());

    let mut group = c.benchmark_group("10,000 flags, 500 segments, 50,000 units");
    group.sample_size(10);
    // Freeing the set is not part of the figure.
    group.bench_function("compile", |b| b.iter_with_large_drop(|| FlagSet::compile(&segments, &flags, None)));
    let mut changed = flags.clone();
    changed[0].revision = 2;
    group.bench_function("compile after one change", |b| {
        b.iter_with_large_drop(|| FlagSet::compile(&segments, &changed, Some(&set)));
    });
    let request = parse(r#"{"targetingKey":"user-1","app_version":"2.4.1","country":"DE"}"#).expect("valid");
    let Node::Object(members) = &request else { return };
    let context = Context::new(set.attributes(), members, Instant::from_millis(0));
    let (kills, mut scratch) = (Kills::default(), Scratch::default());
    group.bench_function("evaluate one", |b| {
        b.iter(|| {
            let index = set.find(black_box("flag_05002")).expect("there");
            black_box(set.evaluate(index, &context, &kills, &mut scratch));
        });
    });
    group.finish();
}

criterion_group!(benches, compile);
criterion_main!(benches);
