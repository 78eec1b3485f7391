//! One flag, three rules, a hundred flags and a whole request, beside two published evaluators.

use bench_evaluate::{Kind, eppo, gateway, hundred, unleash};
use chrono::{TimeZone, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use headgate::flag::{Context, FlagSet, Kills, Scratch};
use headgate::json::{Node, parse};
use headgate::time::Instant;
use std::hint::black_box;

const NOW: i64 = 1_782_900_000_000;

/// Evaluates every flag into the body of a bulk answer.
fn respond(set: &FlagSet, context: &Context<'_>, scratch: &mut Scratch, body: &mut Vec<u8>) -> u64 {
    let (mut tag, kills) = (0u64, Kills::default());
    body.extend_from_slice(b"{\"flags\":[");
    set.evaluate_all(true, context, &kills, scratch, |outcome| {
        body.extend_from_slice(outcome.fragment().as_bytes());
        body.push(b',');
        tag = tag.rotate_left(5) ^ outcome.digest();
    });
    body.pop();
    body.extend_from_slice(b"]}");
    tag
}

/// The members of a request's `context`.
fn members<'n, 'a>(request: &'n Node<'a>) -> &'n [(std::borrow::Cow<'a, str>, Node<'a>)] {
    match request.get("context") {
        Some(Node::Object(members)) => members,
        _ => &[],
    }
}

fn one_flag(c: &mut Criterion, name: &str, kind: Kind) {
    let mut group = c.benchmark_group(name);
    let flags = hundred();
    let key = flags.iter().find(|(_, found)| *found == kind).map_or("", |(key, _)| key);
    let (set, request) = (gateway::compile(&flags), gateway::context());
    let request = parse(&request).expect("valid");
    let context = Context::new(set.attributes(), members(&request), Instant::from_millis(NOW));
    let (kills, mut scratch) = (Kills::default(), Scratch::default());
    group.bench_function("headgate", |b| {
        b.iter(|| {
            let index = set.find(black_box(key)).expect("there");
            black_box(set.evaluate(index, black_box(&context), &kills, &mut scratch));
        });
    });

    let (engine, request) = (unleash::compile(&flags), unleash::context());
    let context = serde_json::from_str(&request).expect("valid");
    group.bench_function("unleash-yggdrasil", |b| {
        b.iter(|| {
            if kind == Kind::Targeted {
                black_box(engine.get_variant(black_box(key), black_box(&context), &None));
            } else {
                black_box(engine.is_enabled(black_box(key), black_box(&context), &None));
            }
        });
    });

    let (config, request) = (eppo::compile(&flags), eppo::context());
    let (subject, attributes) = eppo::read(&request);
    let now = Utc.timestamp_millis_opt(NOW).single().expect("valid");
    group.bench_function("eppo_core", |b| {
        b.iter(|| black_box(eppo::answer(&config, black_box(key), &subject, black_box(&attributes), now)));
    });
    group.finish();
}

fn hundred_flags(c: &mut Criterion) {
    let mut group = c.benchmark_group("100 flags and their JSON");
    let flags = hundred();
    let (set, request) = (gateway::compile(&flags), gateway::context());
    let request = parse(&request).expect("valid");
    let context = Context::new(set.attributes(), members(&request), Instant::from_millis(NOW));
    let (mut scratch, mut body) = (Scratch::default(), Vec::with_capacity(32 * 1024));
    group.bench_function("headgate", |b| {
        b.iter(|| {
            body.clear();
            black_box(respond(&set, black_box(&context), &mut scratch, &mut body));
        });
    });
    check(&body);

    let (engine, request) = (unleash::compile(&flags), unleash::context());
    let context = serde_json::from_str(&request).expect("valid");
    let mut body = String::with_capacity(32 * 1024);
    group.bench_function("unleash-yggdrasil", |b| {
        b.iter(|| {
            body.clear();
            unleash::respond(&engine, &flags, black_box(&context), &mut body);
        });
    });
    check(body.as_bytes());

    let (config, request) = (eppo::compile(&flags), eppo::context());
    let context = eppo::read(&request);
    let now = Utc.timestamp_millis_opt(NOW).single().expect("valid");
    group.bench_function("eppo_core", |b| {
        b.iter(|| {
            body.clear();
            eppo::respond(&config, &flags, black_box(&context), now, &mut body);
        });
    });
    check(body.as_bytes());
    group.finish();
}

fn whole_request(c: &mut Criterion) {
    let mut group = c.benchmark_group("request to answer");
    let flags = hundred();
    let (set, request) = (gateway::compile(&flags), gateway::context());
    let (mut scratch, mut body) = (Scratch::default(), Vec::with_capacity(32 * 1024));
    group.bench_function("headgate", |b| {
        b.iter(|| {
            body.clear();
            let request = parse(black_box(&request)).expect("valid");
            let context = Context::new(set.attributes(), members(&request), Instant::from_millis(NOW));
            black_box(respond(&set, &context, &mut scratch, &mut body));
        });
    });
    check(&body);

    let (engine, request) = (unleash::compile(&flags), unleash::context());
    let mut body = String::with_capacity(32 * 1024);
    group.bench_function("unleash-yggdrasil", |b| {
        b.iter(|| {
            body.clear();
            let context = serde_json::from_str(black_box(&request)).expect("valid");
            unleash::respond(&engine, &flags, &context, &mut body);
        });
    });
    check(body.as_bytes());

    let (config, request) = (eppo::compile(&flags), eppo::context());
    let now = Utc.timestamp_millis_opt(NOW).single().expect("valid");
    group.bench_function("eppo_core", |b| {
        b.iter(|| {
            body.clear();
            let context = eppo::read(black_box(&request));
            eppo::respond(&config, &flags, &context, now, &mut body);
        });
    });
    check(body.as_bytes());
    group.finish();
}

/// Every engine answers every flag: those everybody gets are on, the weighted choice was made.
fn check(body: &[u8]) {
    // A filter on the command line leaves benchmarks out.
    if body.is_empty() {
        return;
    }
    let answer: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    let answers = answer["flags"].as_array().expect("a list");
    assert_eq!(answers.len(), 100);
    for (answer, (key, kind)) in answers.iter().zip(hundred()) {
        assert_eq!(answer["key"], key.as_str());
        match kind {
            Kind::Static => assert_eq!(answer["value"], true, "{key}"),
            Kind::Targeted => assert_ne!(answer["value"], "", "{key}"),
            Kind::Share | Kind::Countries => assert!(answer["value"].is_boolean(), "{key}"),
        }
    }
}

fn evaluate(c: &mut Criterion) {
    one_flag(c, "one boolean for 25 %", Kind::Share);
    one_flag(c, "three rules and a weighted choice", Kind::Targeted);
    hundred_flags(c);
    whole_request(c);
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
