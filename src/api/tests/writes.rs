//! Single documents: conditions, checks over several documents, versions and audit.

use super::*;
use crate::control::audit;
use crate::http::Request;
use std::fmt::Write as _;

#[test]
fn an_existing_flag_changes_only_under_its_current_entity_tag() {
    let world = World::populated();
    let target = at("/flags/chat");
    let first = world.owner("PUT", &target, FLAG).expect(201).etag();
    let bare = world.owner("PUT", &target, FLAG).expect(428);
    assert_eq!((bare.problem(), bare.etag()), ("if-match-required", first.clone()));
    let changed = flag(r#""description":"video""#);
    let second = world.matching(&first, "PUT", &target, &changed).expect(200).etag();
    assert_ne!(first, second);
    let stale = world.matching(&first, "PUT", &target, FLAG).expect(412);
    assert_eq!((stale.problem(), stale.etag()), ("stale-etag", second.clone()));
    world.matching(&first, "DELETE", &target, "").expect(412);
    world.owner("DELETE", &target, "").expect(428);
    let request = Request {
        method: "PUT".to_owned(),
        path: target.clone(),
        authorization: Some(format!("Bearer {OWNER}")),
        if_none_match: Some("*".to_owned()),
        body: FLAG.to_owned(),
        ..Request::default()
    };
    assert_eq!(world.request(request).expect(412).problem(), "already-exists");
    world.matching(&second, "DELETE", &target, "").expect(204);
    world.owner("GET", &target, "").expect(404);
    world.matching(&second, "PUT", &target, FLAG).expect(412);
    let again = world.owner("PUT", &target, FLAG).expect(201).etag();
    assert!(![first, second].contains(&again), "a tag never comes back");
}

#[test]
fn a_put_that_changes_nothing_is_no_change() {
    let world = World::populated();
    let target = at("/flags/chat");
    world.owner("PUT", &target, FLAG).expect(201);
    let before = world.owner("GET", &target, "");
    let version = before.reply.header("headgate-version").map(str::to_owned);
    let after = world.put(&target, FLAG).expect(200);
    assert_eq!(after.etag(), before.etag());
    assert_eq!(after.reply.header("headgate-version").map(str::to_owned), version);
    assert_eq!(after.json["salt"], before.json["salt"], "a PUT without salt keeps it");
    let read_back = world.matching(&before.etag(), "PUT", &target, &before.reply.body).expect(200);
    assert_eq!(read_back.reply.body, before.reply.body);
}

#[test]
fn a_patch_switches_and_widens() {
    let world = World::populated();
    let target = at("/flags/chat");
    let rules = r#""rules":[{"id":"some","serve":{"share":10,"variants":{"on":100}}}]"#;
    world.owner("PUT", &target, &flag(rules)).expect(201);
    let patched = world.owner("PATCH", &target, r#"{"enabled":false,"rules":{"some":{"share":25}}}"#).expect(200);
    assert_eq!(patched.json["enabled"], false);
    assert_eq!(patched.json["rules"][0]["serve"]["share"], 25);
    world.matching("\"1-1\"", "PATCH", &target, r#"{"enabled":true}"#).expect(412);
}

#[test]
fn all_problems_are_reported_with_their_places() {
    let world = World::populated();
    let body = flag(
        r#""requires":[{"flag":"gone","is":"on"}],"rules":[{"id":"a","if":{"any":[{"segment":"x"},{"segment":"y"}]},"serve":"on"}]"#,
    );
    let refused = world.owner("PUT", &at("/flags/chat"), &body).expect(422);
    let places: Vec<_> = refused.json["problems"].as_array().expect("problems").iter().map(|p| &p["pointer"]).collect();
    assert_eq!(places, ["/requires/0", "/rules/0/if/any/0/segment", "/rules/0/if/any/1/segment"]);
    world.owner("GET", &at("/flags/chat"), "").expect(404);
}

#[test]
fn what_others_need_cannot_go() {
    let world = World::populated();
    world.owner("PUT", &at("/segments/beta"), r#"{"include":["u-1"]}"#).expect(201);
    world.owner("PUT", &at("/segments/inner"), r#"{"if":{"segment":"beta"}}"#).expect(201);
    world.owner("PUT", &at("/flags/base"), FLAG).expect(201);
    let user = r#""requires":[{"flag":"base","is":"on"}],"rules":[{"id":"a","if":{"segment":"beta"},"serve":"on"}]"#;
    world.owner("PUT", &at("/flags/user"), &flag(user)).expect(201);
    let route =
        r#"{"host":"shop.example","flag":"base","targets":{"on":"https://new.example","off":"https://old.example"}}"#;
    world.owner("PUT", &at("/routes/shop"), route).expect(201);
    let refused = world.matching("*", "DELETE", &at("/segments/beta"), "").expect(409);
    assert_eq!(refused.problem(), "in-use");
    assert_eq!(refused.json["detail"], "`segments/beta` is used by `flags/user`, `segments/inner`");
    let refused = world.matching("*", "DELETE", &at("/flags/base"), "").expect(409);
    assert_eq!(refused.json["detail"], "`flags/base` is used by `flags/user`, `routes/shop`");
    let narrower = r#"{"type":"boolean","variants":{"off":false,"more":true},"off":"off","default":"more"}"#;
    let refused = world.matching("*", "PUT", &at("/flags/base"), narrower).expect(422);
    let details: Vec<_> = refused.json["problems"].as_array().expect("problems").iter().map(|p| &p["detail"]).collect();
    let expected = ["`flags/user` needs the variant `on`", "`routes/shop` has no target for the variant `more`"];
    assert_eq!(details, expected);
    let short = route.replace(r#","off":"https://old.example""#, "");
    let refused = world.matching("*", "PUT", &at("/routes/shop"), &short).expect(422);
    assert_eq!(refused.json["problems"][0]["pointer"], "/targets");
    world.matching("*", "DELETE", &at("/flags/user"), "").expect(204);
    world.matching("*", "DELETE", &at("/segments/inner"), "").expect(204);
    world.matching("*", "DELETE", &at("/segments/beta"), "").expect(204);
}

#[test]
fn circles_are_refused_wherever_they_close() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/a"), FLAG).expect(201);
    world.owner("PUT", &at("/flags/b"), &flag(r#""requires":[{"flag":"a","is":"on"}]"#)).expect(201);
    let refused = world.put(&at("/flags/a"), &flag(r#""requires":[{"flag":"b","is":"on"}]"#)).expect(422);
    assert_eq!(refused.problem(), "reference-cycle");
    assert_eq!(refused.json["problems"][0]["pointer"], "/requires/0");
    let own = world.owner("PUT", &at("/segments/s"), r#"{"if":{"segment":"s"}}"#).expect(422);
    assert_eq!(own.problem(), "reference-cycle");
    for level in 1..=9 {
        let below = if level == 1 { "{}".to_owned() } else { format!(r#"{{"if":{{"segment":"l{}"}}}}"#, level - 1) };
        let status = if level == 9 { 422 } else { 201 };
        world.owner("PUT", &at(&format!("/segments/l{level}")), &below).expect(status);
    }
}

#[test]
fn versions_have_no_gaps_and_the_audit_matches() {
    let world = World::populated();
    for round in 0..5 {
        world.put(&at("/flags/chat"), &flag(&format!(r#""description":"{round}""#)));
        world.put(&at("/flags/chat"), "{").expect(400);
        world.owner("PUT", &at("/segments/x"), r#"{"if":{"segment":"gone"}}"#).expect(422);
        world.owner("PATCH", &at("/flags/chat"), &format!(r#"{{"enabled":{}}}"#, round % 2 == 0)).reply.header("etag");
        world.owner("POST", &at("/tokens"), r#"{"kind":"client","name":"app"}"#).expect(201);
    }
    let versions = world.owner("GET", &at("/versions?limit=200"), "").expect(200);
    let versions: Vec<_> =
        versions.json["items"].as_array().expect("items").iter().map(|v| v["version"].as_i64()).collect();
    let newest = i64::try_from(versions.len()).expect("small");
    assert_eq!(versions, (1..=newest).rev().map(Some).collect::<Vec<_>>());
    let memory = world.memory("environment", NAME);
    let sql: &dyn crate::control::sql::Sql = &*memory;
    assert_eq!(audit::verify(sql), Ok(newest), "one entry for each version");
    let sum = sql.number("SELECT sum(length(document)) FROM entity", &[]).expect("sums");
    assert_eq!(sql.number("SELECT bytes FROM meta", &[]), Ok(sum));
}

#[test]
fn lists_are_paged_and_filtered() {
    let world = World::populated();
    for index in 0..5 {
        let mut more = format!(r#""description":"number {index}","tags":["t{}"]"#, index % 2);
        let _ = write!(more, r#","owner":"team-{index}","enabled":{}"#, index != 3);
        world.owner("PUT", &at(&format!("/flags/f{index}")), &flag(&more)).expect(201);
    }
    world.owner("POST", &at("/flags/f4/kill"), "").expect(200);
    let keys = |query: &str| {
        let found = world.owner("GET", &at(&format!("/flags?{query}")), "").expect(200);
        let items = found.json["items"].as_array().expect("items").iter();
        items.map(|item| item["key"].as_str().expect("a key").to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("limit=2"), "f0 f1");
    assert_eq!(keys("limit=2&after=f1"), "f2 f3");
    assert_eq!(keys("tag=t1"), "f1 f3");
    assert_eq!(keys("owner=team-2"), "f2");
    assert_eq!(keys("q=NUMBER%203"), "f3");
    assert_eq!(keys("enabled=false"), "f3");
    assert_eq!(keys("killed=true"), "f4");
    assert_eq!(keys("kind=experiment"), "");
    assert_eq!(keys("kind=release&killed=false"), "f0 f1 f2 f3");
    let page = world.owner("GET", &at("/flags?limit=5"), "").json;
    assert_eq!((&page["next"], &page["items"][4]["killed"]), (&Value::Null, &json!(true)));
}
