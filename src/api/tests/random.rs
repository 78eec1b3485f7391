//! Many writes in no particular order: whatever happens, versions, history, audit and the derived
//! tables agree with the documents.

use super::*;
use crate::control::sql::Sql;
use crate::control::{audit, document::Sort, reference};
use crate::json::{At, Problems, parse};
use std::collections::{BTreeMap, BTreeSet};

/// A small linear congruential generator (Knuth's constants): the same run every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn step(world: &World, dice: &mut Dice) {
    let key = format!("k{}", dice.roll(6));
    let other = format!("k{}", dice.roll(6));
    let target = at(&format!("/flags/{key}"));
    let segment = at(&format!("/segments/{key}"));
    match dice.roll(12) {
        0 => world.put(&target, FLAG),
        1 => world.put(&target, &flag(&format!(r#""requires":[{{"flag":"{other}","is":"on"}}]"#))),
        2 => {
            let rule = format!(r#""rules":[{{"id":"r","if":{{"segment":"{other}"}},"serve":"on"}}]"#);
            world.put(&target, &flag(&rule))
        }
        3 => world.put(&segment, r#"{"include":["u"]}"#),
        4 => world.put(
            &segment,
            &format!(r#"{{"if":{{"any":[{{"segment":"{other}"}},{{"attribute":"a","exists":true}}]}}}}"#),
        ),
        5 => world.matching("*", "DELETE", &target, ""),
        6 => world.matching("*", "DELETE", &segment, ""),
        7 => world.owner("PATCH", &target, &format!(r#"{{"enabled":{}}}"#, dice.roll(2) == 0)),
        8 => world.owner("POST", &format!("{target}/kill"), ""),
        9 => world.owner("POST", &format!("{target}/revert"), &format!(r#"{{"revision":{}}}"#, 1 + dice.roll(5))),
        10 => {
            let body = format!(
                r#"{{"project":"p","environments":{{"e":{{"flags":{{"{key}":{FLAG}}},"segments":{{"{other}":{{}}}}}}}}}}"#
            );
            let mode = ["merge", "replace", "replace&dryRun=true"][usize::try_from(dice.roll(3)).expect("small")];
            world.owner("POST", &at(&format!("/import?mode={mode}")), &body)
        }
        _ => world.matching("\"1-2\"", "PUT", &target, FLAG),
    };
}

/// Derived tables are what the documents say.
fn check_tables(sql: &dyn Sql) {
    let rows = sql.rows("SELECT kind, key, document FROM entity", &[]).expect("reads");
    let (mut expected, mut bytes) = (BTreeSet::new(), 0);
    for row in rows {
        let (kind, key, text) = (row.text(0).expect("kind"), row.text(1).expect("key"), row.text(2).expect("text"));
        bytes += i64::try_from(text.len()).expect("small");
        let sort = Sort::parse(&kind).expect("a sort");
        let node = parse(&text).expect("JSON");
        let document = sort.read(&node, &At::ROOT, &mut Problems::default()).expect("a document");
        for found in reference::references(&document) {
            expected.insert((kind.clone(), key.clone(), found.target.word().to_owned(), found.key, found.variant));
        }
    }
    let rows = sql.rows("SELECT from_kind, from_key, to_kind, to_key, variant FROM reference", &[]).expect("reads");
    let text = |row: &crate::control::sql::Row, at| row.text(at).expect("text");
    let stored = rows.iter().map(|r| (text(r, 0), text(r, 1), text(r, 2), text(r, 3), text(r, 4))).collect();
    assert_eq!(expected, stored);
    assert_eq!(sql.number("SELECT bytes FROM meta", &[]), Ok(bytes));
}

#[test]
fn everything_agrees_after_many_writes() {
    let world = World::populated();
    let mut dice = Dice(2_026);
    let mut seen: BTreeMap<i64, String> = BTreeMap::new();
    let mut order = (0, 0);
    for _ in 0..400 {
        step(&world, &mut dice);
        world.pass(i64::try_from(dice.roll(700)).expect("small"));
        if dice.roll(3) == 0 {
            world.pump(NAME);
        }
        let version = world.owner("GET", &at(""), "").json["version"].as_i64().expect("a version");
        let export = world.owner("GET", &at("/export"), "").reply.body;
        assert_eq!(*seen.entry(version).or_insert_with(|| export.clone()), export, "a version never changes");
        let pointer = world.pointer(NAME);
        let now = (pointer["incarnation"].as_i64().unwrap_or(0), pointer["sequence"].as_i64().unwrap_or(0));
        assert!(now >= order, "the pointer never moves back");
        order = now;
    }
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        (1..=i64::try_from(seen.len()).expect("small")).collect::<Vec<_>>()
    );
    assert!(seen.len() > 100, "{}", seen.len());
    for (version, export) in &seen {
        assert_eq!(world.owner("GET", &at(&format!("/versions/{version}")), "").reply.body, *export);
    }
    let memory = world.memory("environment", NAME);
    check_tables(&*memory);
    assert!(audit::verify(&*memory).is_ok());
    world.pass(60_000);
    while world.pump(NAME) {
        world.pass(2_000);
    }
    let state = world.owner("GET", &at(""), "").json;
    assert_eq!(
        (&state["publication"]["settled"], &state["sequence"]),
        (&json!(true), &world.pointer(NAME)["sequence"])
    );
}
