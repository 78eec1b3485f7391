//! Kills stand outside the documents: nothing but an un-kill lifts them.

use super::*;

fn killed(world: &World, key: &str) -> bool {
    let reply = world.owner("GET", &at(&format!("/flags/{key}")), "").expect(200).reply;
    reply.header("headgate-killed") == Some("true")
}

#[test]
fn nothing_but_an_unkill_lifts_a_kill() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    world.put(&at("/flags/chat"), &flag(r#""description":"second""#)).expect(200);
    world.owner("PUT", &staging("/flags/chat"), FLAG).expect(201);
    let export = world.owner("GET", &at("/export"), "").reply.body;
    world.owner("POST", &at("/flags/chat/kill"), r#"{"reason":"broken"}"#).expect(200);
    world.put(&at("/flags/chat"), &flag(r#""description":"third""#)).expect(200);
    assert!(killed(&world, "chat"), "after PUT");
    world.owner("PATCH", &at("/flags/chat"), r#"{"enabled":false}"#).expect(200);
    world.owner("POST", &at("/flags/chat/revert"), r#"{"revision":1}"#).expect(200);
    assert!(killed(&world, "chat"), "after revert");
    world.owner("POST", &at("/import?mode=replace"), &export).expect(200);
    assert!(killed(&world, "chat"), "after import");
    world.owner("POST", &at("/copy"), r#"{"from":"staging","flags":["chat"]}"#).expect(200);
    assert!(killed(&world, "chat"), "after copy");
    let empty = r#"{"project":"pairity","environments":{"production":{}}}"#;
    world.owner("POST", &at("/import?mode=replace"), empty).expect(200);
    world.owner("GET", &at("/flags/chat"), "").expect(404);
    world.owner("POST", &at("/import"), &export).expect(200);
    assert!(killed(&world, "chat"), "removed and brought back by imports");
    let ids = world.pointer(NAME);
    assert_eq!(ids["killed"], json!([1]), "the new id comes with the next publication");
    world.pass(2_000);
    world.pump(NAME);
    assert_eq!(world.pointer(NAME)["killed"], json!([1, 2]));
    let lifted = world.owner("POST", &at("/flags/chat/unkill"), "").expect(200);
    assert_eq!((&lifted.json["killed"], &lifted.json["changed"]), (&json!(false), &json!(true)));
    assert_eq!(world.pointer(NAME)["killed"], json!([]));
}

#[test]
fn a_killed_flag_that_was_deleted_comes_back_killed_under_a_new_id() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    world.owner("POST", &at("/flags/chat/kill"), "").expect(200);
    world.matching("*", "DELETE", &at("/flags/chat"), "").expect(204);
    world.owner("POST", &at("/flags/chat/revert"), r#"{"revision":1}"#).expect(201);
    assert!(killed(&world, "chat"), "deleted and reverted");
    world.matching("*", "DELETE", &at("/flags/chat"), "").expect(204);
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    assert!(killed(&world, "chat"), "deleted and made again");
    world.pump(NAME);
    assert_eq!(world.pointer(NAME)["killed"], json!([1, 2, 3]), "for edges that still have a snapshot before");
    world.pass(11 * 60 * 1000);
    world.pump(NAME);
    assert_eq!(world.pointer(NAME)["killed"], json!([3]));
    world.matching("*", "DELETE", &at("/flags/chat"), "").expect(204);
    world.owner("POST", &at("/flags/chat/unkill"), "").expect(200);
    world.owner("POST", &at("/flags/chat/unkill"), "").expect(404);
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    assert!(!killed(&world, "chat"), "lifted while it was gone");
}

#[test]
fn a_kill_makes_no_version_and_is_audited_once() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    let version = world.owner("GET", &at(""), "").json["version"].clone();
    let first = world.owner("POST", &at("/flags/chat/kill"), r#"{"reason":"crashes"}"#).expect(200);
    let second = world.owner("POST", &at("/flags/chat/kill"), "").expect(200);
    assert_eq!((&first.json["changed"], &second.json["changed"]), (&json!(true), &json!(false)));
    assert_eq!(first.json["sequence"], second.json["sequence"]);
    assert_eq!(world.owner("GET", &at(""), "").json["version"], version);
    let audit = world.owner("GET", &at("/audit?entity=flags/chat"), "").json;
    let kinds: Vec<_> = audit["items"].as_array().expect("items").iter().map(|e| &e["action"]).collect();
    assert_eq!(kinds, ["kill", "create"]);
    assert_eq!((&audit["items"][0]["reason"], &audit["items"][0]["actor"]), (&json!("crashes"), &json!("owner")));
}

#[test]
fn the_environment_s_kill_needs_no_directory() {
    let world = World::populated();
    let token = r#"{"kind":"admin","role":"editor","name":"oncall"}"#;
    let token = world.owner("POST", &at("/tokens"), token).expect(201).json["token"].as_str().expect("one").to_owned();
    world.silent.borrow_mut().push("directory");
    let reply = world.with_token(Some(&token), "POST", &at("/kill"), r#"{"reason":"fire"}"#).expect(200);
    assert_eq!(reply.json["killed"], true);
    assert_eq!(world.pointer(NAME)["kill"], true);
    world.with_token(Some(&token), "POST", &at("/unkill"), "").expect(200);
    assert_eq!(world.pointer(NAME)["kill"], false);
}

#[test]
fn a_kill_that_the_pointer_cannot_carry_is_refused() {
    let world = World::populated();
    let mut flags = serde_json::Map::new();
    for index in 0..1_200 {
        flags.insert(format!("f{index}"), serde_json::from_str(FLAG).expect("JSON"));
    }
    let body = json!({"project": "pairity", "environments": {"production": {"flags": flags}}}).to_string();
    world.owner("POST", &at("/import"), &body).expect(200);
    let refused = (0..1_200).find_map(|index| {
        let answer = world.owner("POST", &at(&format!("/flags/f{index}/kill")), "");
        (answer.status != 200).then_some((index, answer))
    });
    let (index, refused) = refused.expect("4 KB are not enough");
    assert!(index > 700, "{index}");
    assert_eq!((refused.status, refused.problem()), (409, "kill-does-not-fit"));
    assert_eq!(world.pointer(NAME)["killed"].as_array().map(Vec::len), Some(index));
    world.owner("POST", &at("/kill"), "").expect(200);
    assert_eq!(world.pointer(NAME)["kill"], true);
}
