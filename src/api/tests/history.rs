//! Revisions, versions, differences, reversion, explanation.

use super::*;

#[test]
fn every_revision_can_be_read_compared_and_made_current_again() {
    let world = World::populated();
    let target = at("/flags/chat");
    world.owner("PUT", &target, FLAG).expect(201);
    world.put(&target, &flag(r#""description":"second","tags":["x"]"#)).expect(200);
    world.matching("*", "DELETE", &target, "").expect(204);
    let list = world.owner("GET", &at("/flags/chat/history"), "").expect(200).json;
    let found: Vec<_> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|r| (&r["revision"], &r["action"], &r["deleted"]))
        .collect();
    let expected = [
        (&json!(3), &json!("delete"), &json!(true)),
        (&json!(2), &json!("update"), &json!(false)),
        (&json!(1), &json!("create"), &json!(false)),
    ];
    assert_eq!(found, expected);
    let page = world.owner("GET", &at("/flags/chat/history?limit=1&after=3"), "").json;
    assert_eq!((&page["items"][0]["revision"], &page["next"]), (&json!(2), &json!("2")));
    let diff = world.owner("GET", &at("/flags/chat/diff?from=1&to=2"), "").expect(200).json;
    assert_eq!(diff["changes"][0], json!({"op": "add", "path": "/description", "to": "second"}));
    world.owner("GET", &at("/flags/chat/history/3"), "").expect(404);
    world.owner("GET", &at("/flags/chat/history/9"), "").expect(404);
    world.owner("GET", &at("/flags/never/history"), "").expect(404);
    let reverted = world.owner("POST", &at("/flags/chat/revert"), r#"{"revision":2,"reason":"sorry"}"#).expect(201);
    let second = world.owner("GET", &at("/flags/chat/history/2"), "").expect(200);
    assert_eq!(reverted.reply.body, second.reply.body);
    let newest = world.owner("GET", &at("/flags/chat/history?limit=1"), "").json["items"][0].clone();
    assert_eq!(
        (&newest["revision"], &newest["action"], &newest["reason"]),
        (&json!(4), &json!("revert"), &json!("sorry"))
    );
}

#[test]
fn a_revert_to_what_no_longer_fits_is_refused() {
    let world = World::populated();
    world.owner("PUT", &at("/segments/beta"), r#"{"include":["u"]}"#).expect(201);
    world
        .owner("PUT", &at("/flags/chat"), &flag(r#""rules":[{"id":"b","if":{"segment":"beta"},"serve":"on"}]"#))
        .expect(201);
    world.put(&at("/flags/chat"), FLAG).expect(200);
    world.matching("*", "DELETE", &at("/segments/beta"), "").expect(204);
    let refused = world.owner("POST", &at("/flags/chat/revert"), r#"{"revision":1}"#).expect(422);
    assert_eq!(refused.json["problems"][0]["pointer"], "/rules/0/if/segment");
}

#[test]
fn the_environment_can_be_read_as_it_was() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/a"), FLAG).expect(201);
    let then = world.owner("GET", &at("/export"), "").reply.body;
    world.owner("PUT", &at("/flags/b"), FLAG).expect(201);
    world.put(&at("/flags/a"), &flag(r#""client":true"#)).expect(200);
    world.matching("*", "DELETE", &at("/flags/b"), "").expect(204);
    assert_eq!(world.owner("GET", &at("/versions/2"), "").expect(200).reply.body, then);
    let now = world.owner("GET", &at("/export"), "").reply.body;
    assert_eq!(world.owner("GET", &at("/versions/5"), "").expect(200).reply.body, now);
    let diff = world.owner("GET", &at("/diff?from=2&to=5"), "").expect(200).json;
    assert_eq!(diff["changes"], json!([{"op": "add", "path": "/flags/a/client", "to": true}]));
    let last = world.owner("GET", &at("/diff"), "").expect(200).json;
    assert_eq!((&last["from"], &last["changes"][0]["path"]), (&json!(4), &json!("/flags/b")));
    world.owner("GET", &at("/versions/6"), "").expect(404);
    world.owner("GET", &at("/diff?from=0"), "").expect(404);
    let versions = world.owner("GET", &at("/versions?limit=2"), "").json;
    assert_eq!((&versions["items"][0]["entity"], &versions["next"]), (&json!("flags/b"), &json!("4")));
}

#[test]
fn an_explanation_sees_the_snapshot_of_its_version() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/a"), FLAG).expect(201);
    world.put(&at("/flags/a"), &flag(r#""client":true"#)).expect(200);
    let explain = |body: &str| world.owner("POST", &at("/explain"), body);
    let now = explain(r#"{"flag":"a","context":{"targetingKey":"u"}}"#).expect(200).json;
    assert_eq!((&now["flag"], &now["snapshot"]["flags"][0]["document"]["client"]), (&json!("a"), &json!(true)));
    let then = explain(r#"{"flag":"a","version":2}"#).expect(200).json;
    assert_eq!(then["snapshot"]["flags"][0]["document"]["client"], Value::Null);
    explain(r#"{"flag":"a","version":1}"#).expect(404);
    explain(r#"{"flag":"a","version":9}"#).expect(422);
    explain(r#"{"flag":"a","context":[]}"#).expect(422);
    explain(r#"{"flag":"gone"}"#).expect(404);
}

#[test]
fn the_audit_is_paged_filtered_and_says_who_and_why() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/a"), FLAG).expect(201);
    world.pass(60_000);
    let request = crate::http::Request {
        method: "PATCH".to_owned(),
        path: at("/flags/a"),
        authorization: Some(format!("Bearer {OWNER}")),
        reason: Some("launch day".to_owned()),
        body: r#"{"enabled":false}"#.to_owned(),
        ..crate::http::Request::default()
    };
    world.request(request).expect(200);
    let audit = world.owner("GET", &at("/audit?limit=1"), "").expect(200).json;
    let entry = &audit["items"][0];
    assert_eq!((&entry["reason"], &entry["action"]), (&json!("launch day"), &json!("patch")));
    assert_eq!((&entry["before"]["enabled"], &entry["after"]["enabled"]), (&json!(true), &json!(false)));
    let second = world.owner("GET", &at(&format!("/audit?after={}", audit["next"].as_str().expect("more"))), "").json;
    assert_eq!((second["items"].as_array().map(Vec::len), &second["items"][0]["hash"]), (Some(2), &entry["previous"]));
    let at_time = crate::time::Instant::from_millis(world.now.get()).to_string();
    let since = world.owner("GET", &at(&format!("/audit?from={at_time}&actor=owner")), "").json;
    assert_eq!(since["items"].as_array().map(Vec::len), Some(1));
    world.owner("GET", &at("/audit?from=yesterday"), "").expect(400);
    let deployment = world.owner("GET", "/v1/audit", "").expect(200).json;
    assert_eq!(deployment["items"].as_array().map(Vec::len), Some(3));
}
