//! How changes get to KV and the pointer, whatever fails on the way.

use super::*;
use crate::control::Output;

fn pump(world: &World) -> Output {
    world.send("environment", NAME, r#""pump""#)
}

fn settle(world: &World, receipt: &str, failed: Option<&str>) -> Output {
    let call = json!({"settle":{"receipt": receipt, "failed": failed}}).to_string();
    world.send("environment", NAME, &call)
}

fn reconcile(world: &World, pointer: &Value) -> Output {
    let pointer = if pointer.is_null() { Value::Null } else { Value::String(pointer.to_string()) };
    let output = world.send("environment", NAME, &json!({"reconcile":{"pointer": pointer}}).to_string());
    world.perform(&output.effects);
    if let Some(receipt) = &output.receipt {
        settle(world, receipt, None);
    }
    output
}

fn change(world: &World, text: &str) {
    world.put(&at("/flags/chat"), &flag(&format!(r#""description":"{text}""#)));
}

#[test]
fn the_texts_of_snapshot_and_pointer_are_pinned() {
    let world = World::populated();
    let flag = r#"{"type":"boolean","variants":{"on":true,"off":false},"enabled":true,"off":"off","salt":"s","default":"off"}"#;
    world.owner("PUT", &at("/flags/chat"), flag).expect(201);
    world.owner("PUT", &at("/flags/base"), flag).expect(201);
    world.owner("PUT", &at("/segments/beta"), r#"{"include":["u"]}"#).expect(201);
    world.matching("*", "PUT", &at("/settings"), r#"{"origins":["*"]}"#).expect(200);
    let token = world.owner("POST", &at("/tokens"), r#"{"kind":"client","name":"app"}"#).json["token"].clone();
    world.owner("POST", &at("/tokens"), r#"{"kind":"admin","role":"viewer","name":"no"}"#).expect(201);
    let key = world.owner("GET", &at("/context-key"), "").json["keys"][0]["key"].clone();
    assert_eq!(key.as_str().map(str::len), Some(43));
    world.owner("POST", &at("/flags/base/kill"), "").expect(200);
    world.pump(NAME);
    let sha256 = crate::token::sha256_hex(token.as_str().expect("a token"));
    let expected = format!(
        r#"{{"format":1,"environment":"pairity/production","incarnation":1,"version":7,"settings":{{"origins":["*"]}},"contextKeys":[{key}],"tokens":[{{"id":"t1","kind":"client","sha256":"{sha256}"}}],"segments":[{{"key":"beta","revision":1,"document":{{"include":["u"]}}}}],"flags":[{{"key":"base","id":2,"revision":1,"document":{flag}}},{{"key":"chat","id":1,"revision":1,"document":{flag}}}],"routes":[],"channels":[]}}"#
    );
    assert_eq!(world.kv.borrow()["snapshot/pairity.production/1/1.7"], expected);
    let pointer = r#"{"incarnation":1,"sequence":8,"version":7,"kill":false,"killed":[2]}"#;
    assert_eq!(world.kv.borrow()["current/pairity.production"], pointer);
    assert_eq!(world.send("pointer", NAME, r#""read""#).reply.as_deref(), Some(pointer));
    let ask = |call: &str| world.send("environment", NAME, call).reply;
    assert_eq!(ask(r#"{"snapshot":{"version":7}}"#).as_ref(), Some(&expected));
    assert_eq!(ask(r#"{"snapshot":{"version":null}}"#).as_ref(), Some(&expected));
    assert_eq!(ask(r#"{"snapshot":{"version":8}}"#), None);
    assert_eq!(ask(r#""pointer""#).as_deref(), Some(pointer));
    let earlier: Value = serde_json::from_str(&ask(r#"{"snapshot":{"version":2}}"#).expect("one")).expect("JSON");
    assert_eq!((&earlier["version"], earlier["flags"].as_array().map(Vec::len)), (&json!(2), Some(1)));
}

#[test]
fn at_most_one_publication_a_second_and_the_latest_alone() {
    let world = World::populated();
    world.pump(NAME);
    change(&world, "a");
    assert!(pump(&world).receipt.is_none(), "the second has not passed");
    let alarm = world.alarms.borrow()[NAME];
    assert_eq!(alarm, world.now.get() + 1_000);
    change(&world, "b");
    world.pass(1_000);
    let output = pump(&world);
    assert_eq!(output.receipt.as_deref(), Some("1.3.3"));
    assert!(pump(&world).receipt.is_none(), "one is under way");
    world.perform(&output.effects);
    assert_eq!(settle(&world, "1.3.3", None).alarm, None);
    assert!(pump(&world).receipt.is_none(), "nothing is left to do");
}

#[test]
fn failures_are_repeated_with_growing_waits_and_a_kill_does_not_wait() {
    let world = World::populated();
    change(&world, "a");
    let mut waits = Vec::new();
    for _ in 0..9 {
        let receipt = pump(&world).receipt.expect("it is due");
        let alarm = settle(&world, &receipt, Some("KV is away")).alarm.expect("another attempt");
        waits.push(alarm - world.now.get());
        world.now.set(alarm);
    }
    assert_eq!(waits, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    let state = world.owner("GET", &at(""), "").json["publication"].clone();
    assert_eq!((&state["settled"], &state["error"]), (&json!(false), &json!("KV is away")));
    let receipt = pump(&world).receipt.expect("due");
    settle(&world, &receipt, Some("KV is away"));
    world.pass(1_000);
    assert!(pump(&world).receipt.is_none(), "it waits");
    world.owner("POST", &at("/flags/chat/kill"), "").expect(200);
    assert!(pump(&world).receipt.is_some(), "it does not");
}

#[test]
fn a_publication_that_ends_late_never_moves_the_pointer_back() {
    let world = World::populated();
    change(&world, "a");
    let slow = pump(&world);
    change(&world, "b");
    world.pass(5_000);
    assert!(world.pump(NAME), "the slow one is taken as lost");
    let current = world.pointer(NAME);
    world.perform(&slow.effects);
    settle(&world, &slow.receipt.expect("a receipt"), None);
    assert_eq!(world.pointer(NAME), current);
    world.pass(2_000);
    assert!(pump(&world).receipt.is_none(), "the truth is settled and stays so");
    settle(&world, "1.1.1", Some("very late"));
    assert!(pump(&world).receipt.is_none());
}

#[test]
fn reconciliation_mends_what_was_lost() {
    let world = World::populated();
    change(&world, "a");
    world.pump(NAME);
    world.pass(2_000);
    assert!(reconcile(&world, &world.pointer(NAME)).receipt.is_none(), "all is well");
    assert!(reconcile(&world, &Value::Null).receipt.is_some(), "the pointer object was lost");
    world.pass(2_000);
    assert!(reconcile(&world, &world.pointer(NAME)).receipt.is_none());
    let mut ahead = world.pointer(NAME);
    ahead["sequence"] = json!(99);
    world.send("pointer", NAME, &json!({"move":{"pointer": ahead.to_string()}}).to_string());
    world.pass(2_000);
    assert!(reconcile(&world, &ahead).receipt.is_some(), "this object was restored from a backup");
    assert_eq!(world.pointer(NAME)["incarnation"], 2);
    change(&world, "b");
    world.pass(2_000);
    world.pump(NAME);
    assert_eq!(world.pointer(NAME)["version"], world.owner("GET", &at(""), "").json["version"]);
}

#[test]
fn old_snapshots_are_swept_after_a_day() {
    let world = World::populated();
    for text in ["a", "b", "c"] {
        change(&world, text);
        world.pass(2_000);
        world.pump(NAME);
    }
    assert_eq!(world.kv.borrow().keys().filter(|key| key.starts_with("snapshot/")).count(), 3);
    world.pass(25 * 3600 * 1000);
    change(&world, "d");
    world.pump(NAME);
    let kept: Vec<_> = world.kv.borrow().keys().filter(|key| key.starts_with("snapshot/")).cloned().collect();
    assert_eq!(kept, ["snapshot/pairity.production/1/1.4", "snapshot/pairity.production/1/1.5"]);
}

#[test]
fn a_context_key_ends_with_its_overlap() {
    let world = World::populated();
    world.pump(NAME);
    world.owner("POST", &at("/context-key/rotate"), r#"{"overlap":60}"#).expect(201);
    world.pass(2_000);
    world.pump(NAME);
    let keys = |world: &World| {
        let text = world.send("environment", NAME, r#"{"snapshot":{"version":null}}"#).reply.expect("one");
        serde_json::from_str::<Value>(&text).expect("JSON")["contextKeys"].as_array().map(Vec::len)
    };
    assert_eq!(keys(&world), Some(2));
    assert_eq!(world.alarms.borrow()[NAME], world.now.get() + 58_000, "it wakes up by itself");
    world.pass(58_000);
    assert!(world.pump(NAME));
    assert_eq!(keys(&world), Some(1));
}

#[test]
fn a_deleted_environment_leaves_nothing_to_serve_and_may_come_back() {
    let world = World::populated();
    change(&world, "a");
    world.owner("POST", &at("/tokens"), r#"{"kind":"client","name":"app"}"#).expect(201);
    assert_eq!(world.owner("DELETE", &at(""), "").expect(400).problem(), "confirmation-required");
    world.owner("DELETE", &at("?confirm=production"), "").expect(204);
    world.owner("GET", &at(""), "").expect(404);
    world.pump(NAME);
    let text = world.send("environment", NAME, r#"{"snapshot":{"version":null}}"#).reply.expect("a last one");
    let last: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&last["flags"], &last["tokens"]), (&json!([]), &json!([])));
    let before = world.pointer(NAME);
    world.owner("PUT", &at(""), "").expect(201);
    world.pass(2_000);
    world.pump(NAME);
    assert_eq!((&before["incarnation"], &world.pointer(NAME)["incarnation"]), (&json!(1), &json!(2)));
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
}

#[test]
fn a_clock_that_ran_backwards_holds_up_no_publication() {
    let world = World::populated();
    change(&world, "a");
    world.pass(2_000);
    assert!(world.pump(NAME));
    world.pass(-3_600_000);
    change(&world, "b");
    world.pass(1_000);
    assert!(pump(&world).receipt.is_some());
}

#[test]
fn a_restoration_keeps_the_kills_that_the_edge_has() {
    let world = World::populated();
    world.put(&at("/flags/chat2"), FLAG);
    world.pass(2_000);
    assert!(world.pump(NAME));
    let mut seen = world.pointer(NAME);
    seen["sequence"] = json!(99);
    seen["killed"] = json!([1]);
    world.send("pointer", NAME, &json!({"move":{"pointer": seen.to_string()}}).to_string());
    world.pass(2_000);
    assert!(reconcile(&world, &seen).receipt.is_some());
    assert_eq!(world.pointer(NAME)["incarnation"], json!(2));
    assert_eq!(world.pointer(NAME)["killed"], json!([1]), "{}", world.pointer(NAME));
}
