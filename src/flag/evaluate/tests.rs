use super::*;
use crate::flag::Source;
use crate::json::{Node, parse};
use crate::time::Instant;

/// Compiles flags (`key`, document) and segments, numbering flags from 1.
fn set(segments: &[(&str, &str)], flags: &[(&str, &str)]) -> FlagSet {
    let source = |(at, (key, text)): (usize, &(&'static str, &'static str))| Source {
        key,
        id: u32::try_from(at).expect("few") + 1,
        revision: 1,
        text,
    };
    let leak = |list: &[(&str, &str)]| -> Vec<(&'static str, &'static str)> {
        list.iter().map(|(k, t)| (&*k.to_string().leak(), &*t.to_string().leak())).collect()
    };
    let (segments, flags) = (leak(segments), leak(flags));
    let segments: Vec<_> = segments.iter().enumerate().map(source).collect();
    let flags: Vec<_> = flags.iter().enumerate().map(source).collect();
    FlagSet::compile(&segments, &flags, None)
}

fn answer(set: &FlagSet, key: &str, context: &str, kills: &Kills) -> String {
    let Node::Object(members) = parse(context).expect("valid") else { panic!("an object") };
    let context = Context::new(set.attributes(), &members, Instant::from_millis(1_000_000));
    let index = set.find(key).expect("there");
    let outcome = set.evaluate(index, &context, kills, &mut Scratch::default());
    let json: serde_json::Value = serde_json::from_str(outcome.fragment()).expect("JSON");
    let mut bulk = None;
    set.evaluate_all(false, &context, kills, &mut Scratch::default(), |outcome| {
        if outcome.fragment().starts_with(&format!("{{\"key\":\"{key}\"")) {
            bulk = Some(outcome.fragment());
        }
    });
    assert_eq!(bulk, Some(outcome.fragment()), "single and bulk agree");
    match json.get("errorCode") {
        Some(code) => code.as_str().expect("text").to_owned(),
        None => format!("{} {}", json["variant"].as_str().expect("text"), json["reason"].as_str().expect("text")),
    }
}

fn boolean(rest: &str) -> String {
    format!(r#"{{"type":"boolean","variants":{{"on":true,"off":false}},"off":"off","salt":"s",{rest}}}"#)
}

/// The answer of a boolean flag with these members.
fn check(rest: &str, context: &str, expect: &str) {
    let flag = boolean(rest);
    let set = set(
        &[("beta", r#"{"include":["u-in"],"exclude":["u-out"],"if":{"attribute":"group","equals":"beta"}}"#)],
        &[("f", &flag)],
    );
    assert_eq!(answer(&set, "f", context, &Kills::default()), expect, "{rest} for {context}");
}

#[test]
fn the_first_that_applies_answers() {
    check(r#""default":"on""#, "{}", "on STATIC");
    check(r#""enabled":false,"default":"on""#, "{}", "off DISABLED");
    let rules = r#""rules":[{"id":"a","if":{"attribute":"x","equals":1},"serve":"on"}],"default":"off""#;
    check(rules, r#"{"x":1.0}"#, "on TARGETING_MATCH");
    check(rules, r#"{"x":2}"#, "off DEFAULT");
    check(r#""default":{"share":0,"variants":{"on":100},"else":"off"}"#, r#"{"targetingKey":"u"}"#, "off SPLIT");
    check(r#""default":{"share":0,"variants":{"on":100}}"#, r#"{"targetingKey":"u"}"#, "off SPLIT");
    check(r#""default":{"variants":{"on":100}}"#, r#"{"targetingKey":"u"}"#, "on SPLIT");
    check(r#""default":{"share":50,"variants":{"on":100}}"#, "{}", "TARGETING_KEY_MISSING");
    check(r#""default":{"share":100,"variants":{"on":100},"by":"device.id"}"#, r#"{"device":{"id":7}}"#, "on SPLIT");
}

#[test]
fn those_outside_a_share_go_on_to_the_next_rule() {
    let rules =
        r#""rules":[{"id":"a","serve":{"share":0,"variants":{"on":100}}},{"id":"b","serve":"on"}],"default":"off""#;
    check(rules, r#"{"targetingKey":"u"}"#, "on TARGETING_MATCH");
}

#[test]
fn segments_list_and_test() {
    let rules = r#""rules":[{"id":"a","if":{"segment":"beta"},"serve":"on"}],"default":"off""#;
    check(rules, r#"{"targetingKey":"u-in"}"#, "on TARGETING_MATCH");
    check(rules, r#"{"targetingKey":"u-out","group":"beta"}"#, "off DEFAULT");
    check(rules, r#"{"targetingKey":"u","group":"beta"}"#, "on TARGETING_MATCH");
    check(rules, r#"{"group":"beta"}"#, "on TARGETING_MATCH");
}

#[test]
fn a_missing_attribute_fails_every_test_and_not_turns_it() {
    let rule = |condition: &str| format!(r#""rules":[{{"id":"a","if":{condition},"serve":"on"}}],"default":"off""#);
    for test in [
        r#""equals":"x""#,
        r#""in":["x"]"#,
        r#""contains":"x""#,
        r#""startsWith":"x""#,
        r#""endsWith":"x""#,
        r#""matches":".*""#,
        r#""lessThan":1"#,
        r#""atMost":1"#,
        r#""greaterThan":1"#,
        r#""atLeast":1"#,
        r#""before":"2030-01-01""#,
        r#""after":"2000-01-01""#,
        r#""semver":"*""#,
        r#""hasAny":["x"]"#,
        r#""hasAll":["x"]"#,
        r#""exists":true"#,
    ] {
        check(&rule(&format!(r#"{{"attribute":"a",{test}}}"#)), r#"{"a":null}"#, "off DEFAULT");
        check(&rule(&format!(r#"{{"not":{{"attribute":"a",{test}}}}}"#)), "{}", "on TARGETING_MATCH");
    }
    check(&rule(r#"{"attribute":"a","exists":false}"#), "{}", "on TARGETING_MATCH");
}

#[test]
fn every_operator_tests_what_it_says() {
    let holds = |test: &str, value: &str, expected: bool| {
        let rule = format!(r#""rules":[{{"id":"a","if":{{"attribute":"a",{test}}},"serve":"on"}}],"default":"off""#);
        check(&rule, &format!(r#"{{"a":{value}}}"#), if expected { "on TARGETING_MATCH" } else { "off DEFAULT" });
    };
    for (test, inside, outside) in [
        (r#""equals":"Zürich""#, vec![r#""Zürich""#], vec![r#""zürich""#, "1", "true"]),
        (r#""equals":"ZÜRICH","ignoreCase":true"#, vec![r#""zürich""#, r#""Zürich""#], vec![r#""Zurich""#]),
        (r#""equals":true"#, vec!["true"], vec!["false", r#""true""#]),
        (r#""in":["a","b",3,true]"#, vec![r#""a""#, r#""b""#, "3", "3.0", "true"], vec![r#""c""#, r#""3""#, "false"]),
        (r#""equals":"ΟΔΟΣ","ignoreCase":true"#, vec![r#""ΟΔΟΣ""#, r#""οδοσ""#], vec![r#""ΟΔΟ""#]),
        (r#""in":["A"],"ignoreCase":true"#, vec![r#""a""#], vec![r#""b""#]),
        (r#""contains":"ell""#, vec![r#""hello""#, r#"["ell"]"#], vec![r#""help""#, r#"["hello"]"#]),
        (r#""contains":["xy","LL"],"ignoreCase":true"#, vec![r#""heLlo""#], vec![r#""helo""#]),
        (r#""startsWith":["a","b"]"#, vec![r#""apple""#, r#""b""#], vec![r#""Cab""#]),
        (r#""startsWith":"A","ignoreCase":true"#, vec![r#""apple""#], vec![r#""""#]),
        (r#""endsWith":"@x.example""#, vec![r#""u@x.example""#], vec![r#""u@x.example.org""#]),
        (r#""endsWith":"@X.example","ignoreCase":true"#, vec![r#""u@x.EXAMPLE""#], vec![r#""x""#]),
        (r#""matches":"^[a-c]+$""#, vec![r#""abc""#], vec![r#""abd""#, "1"]),
        (r#""lessThan":2.5"#, vec!["2", "-1"], vec!["2.5", "3", r#""1""#]),
        (r#""atMost":2"#, vec!["2", "2.0"], vec!["2.1"]),
        (r#""greaterThan":2"#, vec!["2.1"], vec!["2"]),
        (r#""atLeast":18,"lessThan":65"#, vec!["18", "64"], vec!["17", "65"]),
        (
            r#""before":"2026-07-01T12:00:00Z""#,
            vec![r#""2026-07-01T13:59:59+02:00""#, "0"],
            vec![r#""2026-07-01T12:00:00Z""#, r#""x""#],
        ),
        (r#""after":"2026-07-01""#, vec![r#""2026-07-01""#, "1893456000000"], vec![r#""2026-06-30""#, "1.5"]),
        (r#""semver":">=2.3.0 <3""#, vec![r#""2.3""#, r#""v2.9.9""#], vec![r#""3""#, r#""x""#, "3", "2.5"]),
        (r#""semver":"2""#, vec!["2", r#""2.0.0""#], vec!["3", "-2"]),
        (r#""hasAny":["a",1]"#, vec![r#"["b","a"]"#, "[1.0]"], vec!["[]", r#""a""#]),
        (r#""hasAll":["a",1]"#, vec![r#"[1,"b","a"]"#], vec![r#"["a"]"#]),
        (r#""hasAll":["A"],"ignoreCase":true"#, vec![r#"["a"]"#], vec![r#"["b"]"#]),
        (r#""exists":true"#, vec!["0", "false", r#""""#], vec!["null"]),
    ] {
        for (values, expected) in [(inside, true), (outside, false)] {
            for value in values {
                holds(test, value, expected);
            }
        }
    }
}

#[test]
fn prerequisites_are_evaluated_first_and_kills_before_them() {
    let base = boolean(r#""default":"on""#);
    let middle = boolean(r#""requires":[{"flag":"base","is":"on"}],"default":"on""#);
    let top = boolean(r#""requires":[{"flag":"middle","is":"on"},{"flag":"base","is":"on"}],"default":"on""#);
    let set = set(&[], &[("base", &base), ("middle", &middle), ("top", &top)]);
    let none = Kills::default();
    assert_eq!(answer(&set, "top", "{}", &none), "on DEFAULT");
    assert_eq!(answer(&set, "top", "{}", &Kills::new(false, vec![1])), "off DISABLED");
    assert_eq!(answer(&set, "base", "{}", &Kills::new(false, vec![3])), "on STATIC");
    assert_eq!(answer(&set, "base", "{}", &Kills::new(true, vec![])), "off DISABLED");
}

#[test]
fn a_bad_flag_is_an_error_in_its_own_slot() {
    let good = boolean(r#""default":"on""#);
    let circle = |other: &str| boolean(&format!(r#""requires":[{{"flag":"{other}","is":"on"}}],"default":"on""#));
    let (a, b) = (circle("b"), circle("a"));
    let lost = boolean(r#""rules":[{"id":"r","if":{"segment":"gone"},"serve":"on"}],"default":"off""#);
    let wrong = boolean(r#""requires":[{"flag":"good","is":"blue"}],"default":"on""#);
    let flags = [("a", &*a), ("b", &b), ("good", &good), ("lost", &lost), ("text", "{]"), ("wrong", &wrong)];
    let set = set(&[], &flags);
    assert_eq!(answer(&set, "good", "{}", &Kills::default()), "on STATIC");
    for key in ["a", "b", "lost", "text", "wrong"] {
        assert_eq!(answer(&set, key, "{}", &Kills::default()), "GENERAL", "{key}");
    }
    assert_eq!(set.faults().count(), 5);
}

#[test]
fn unchanged_flags_are_taken_over() {
    let (one, two, changed) =
        (boolean(r#""default":"on""#), boolean(r#""default":"off""#), boolean(r#""default":"on","client":true"#));
    let source = |key: &'static str, id, text| Source { key, id, revision: 1, text };
    let before = FlagSet::compile(&[], &[source("a", 1, &one), source("b", 2, &two)], None);
    let after =
        FlagSet::compile(&[], &[source("a", 1, &one), source("b", 2, &changed), source("c", 3, &one)], Some(&before));
    assert_eq!((after.len(), after.reused()), (3, 1));
    assert_eq!(answer(&after, "b", "{}", &Kills::default()), "on STATIC");
}

#[test]
fn an_allocation_gives_every_slot_to_one_outcome_and_each_its_weight_exactly() {
    let check = |split: &str, expected: &[(&str, u32)]| {
        let text =
            format!(r#"{{"type":"integer","variants":{{"a":1,"b":2,"c":3}},"off":"a","salt":"s","default":{split}}}"#);
        let set = set(&[], &[("f", &text)]);
        let body = set.flags[0].flag.body.as_ref().expect("compiles");
        let Serve::Allocation(allocation) = &body.default else { panic!("an allocation") };
        let Choice::Weighted(weights) = &allocation.choice else { panic!("several outcomes") };
        let mut counts = vec![0; body.outcomes.len()];
        for slot in 0..weights.total {
            counts[usize::from(weights.at(slot).expect("every slot has an outcome"))] += 1;
        }
        assert_eq!(weights.at(weights.total), None, "{split}");
        let count_of = |variant: &str| -> u32 {
            let served =
                |outcome: &Outcome| outcome.variant.map(|at| &*body.variants[usize::from(at)]) == Some(variant);
            body.outcomes.iter().zip(&counts).filter(|(outcome, _)| served(outcome)).map(|(_, count)| *count).sum()
        };
        for (variant, weight) in expected {
            assert_eq!(count_of(variant), *weight, "{variant} of {split}");
        }
        assert_eq!(counts.iter().sum::<u32>(), expected.iter().map(|(_, weight)| weight).sum::<u32>(), "{split}");
    };
    check(r#"{"weights":{"a":1,"b":1,"c":1}}"#, &[("a", 1), ("b", 1), ("c", 1)]);
    check(r#"{"weights":{"a":0,"b":3,"c":0}}"#, &[("a", 0), ("b", 3), ("c", 0)]);
    check(r#"{"weights":{"c":1000000,"b":1,"a":7}}"#, &[("a", 7), ("b", 1), ("c", 1_000_000)]);
    check(r#"{"variants":{"a":33.333,"b":33.333,"c":33.334}}"#, &[("a", 33_333), ("b", 33_333), ("c", 33_334)]);
    check(r#"{"variants":{"a":0.001,"b":99.999}}"#, &[("a", 1), ("b", 99_999), ("c", 0)]);
}
