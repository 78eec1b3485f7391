//! Hostnames belong to one environment; routes are killed by themselves; testers get links.

use super::*;
use crate::route::{RouteDocument, seal};
use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn route(host: &str) -> String {
    format!(r#"{{"host":"{host}","flag":"f","targets":{{"on":"https://new.test","off":"https://old.test"}}}}"#)
}

fn world() -> World {
    let world = World::populated();
    for environment in [BASE, "/v1/projects/pairity/environments/staging"] {
        world.owner("PUT", &format!("{environment}/flags/f"), FLAG).expect(201);
    }
    world
}

fn settle(world: &World) {
    for name in [NAME, "pairity/staging"] {
        world.pass(2_000);
        world.pump(name);
    }
}

fn copy(world: &World, host: &str) -> Option<String> {
    world.kv.borrow().get(&format!("host/{host}")).cloned()
}

#[test]
fn a_hostname_is_one_environment_s_until_its_last_route_goes() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    assert_eq!(copy(&world, "www.example"), None, "nothing is routed before it is published");
    settle(&world);
    assert_eq!(copy(&world, "www.example").as_deref(), Some(NAME));
    let refused = world.owner("PUT", &staging("/routes/www"), &route("www.example")).expect(409);
    assert_eq!((refused.problem(), &refused.json["problems"][0]["pointer"]), ("hostname-taken", &json!("/host")));
    world.owner("GET", &staging("/routes/www"), "").expect(404);
    world.owner("PUT", &staging("/routes/www"), &route("*.example")).expect(409);
    // A second route of the same host needs nothing, and keeps it when the first goes.
    let second = route("www.example").replace(r#""flag""#, r#""path":"/api/**","flag""#);
    world.owner("PUT", &at("/routes/api"), &second).expect(201);
    world.matching("*", "DELETE", &at("/routes/www"), "").expect(204);
    settle(&world);
    world.owner("PUT", &staging("/routes/www"), &route("www.example")).expect(409);
    world.matching("*", "DELETE", &at("/routes/api"), "").expect(204);
    settle(&world);
    assert_eq!(copy(&world, "www.example"), None);
    world.owner("PUT", &staging("/routes/www"), &route("www.example")).expect(201);
    settle(&world);
    assert_eq!(copy(&world, "www.example").as_deref(), Some("pairity/staging"));
    world.owner("DELETE", &staging("?confirm=staging"), "").expect(204);
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    settle(&world);
    assert_eq!(copy(&world, "www.example").as_deref(), Some(NAME));
}

#[test]
fn a_refused_write_keeps_no_hostname_for_long_and_a_dry_run_none() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("gate.example")).expect(422);
    let export = world.owner("GET", &at("/export"), "").reply.body;
    let with = |host: &str| export.replace(r#""flags":"#, &format!(r#""routes":{{"www":{}}},"flags":"#, route(host)));
    world.owner("POST", &at("/import?dryRun=true"), &with("dry.example")).expect(200);
    world.owner("PUT", &staging("/routes/dry"), &route("dry.example")).expect(201);
    // A claim is made, and its write refused: the environment is silent the second time it is asked.
    let claim = r#"{"claim":{"environment":"pairity/production","hosts":"lost.example /host"}}"#;
    world.send("directory", "directory", claim);
    world.owner("PUT", &staging("/routes/lost"), &route("lost.example")).expect(409);
    world.pass(61_000);
    world.owner("PUT", &staging("/routes/lost"), &route("lost.example")).expect(201);
    world.silent.borrow_mut().push("directory");
    world.owner("PUT", &staging("/routes/new"), &route("new.example")).expect(503);
}

#[test]
fn what_the_directory_lost_it_is_told_again() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    settle(&world);
    world.kv.borrow_mut().clear();
    let reconcile = |hosts: &str| {
        let pointer = serde_json::to_string(&world.send("pointer", NAME, r#""read""#).reply).expect("writes");
        let message = format!(r#"{{"reconcile":{{"pointer":{pointer},"hosts":{hosts}}}}}"#);
        world.pass(2_000);
        let output = world.send("environment", NAME, &message);
        world.perform(&output.effects);
        output.effects.len()
    };
    assert_eq!(reconcile(r#"["www.example"]"#), 0, "all is as it should be");
    assert!(reconcile("[]") > 0);
    assert_eq!(copy(&world, "www.example").as_deref(), Some(NAME));
}

#[test]
fn two_routes_of_a_host_differ_in_their_paths() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    let refused = world.owner("PUT", &at("/routes/web"), &route("www.example")).expect(422);
    assert_eq!(refused.json["problems"][0]["detail"], "`routes/www` is for the same host and path");
}

#[test]
fn a_route_is_killed_by_itself_and_nothing_but_an_unkill_lifts_that() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    let killed = world.owner("POST", &at("/routes/www/kill"), r#"{"reason":"errors"}"#).expect(200);
    assert_eq!(killed.json["entity"], "routes/www");
    assert_eq!(world.pointer(NAME)["killed"], json!([2]), "flags and routes are numbered together");
    let state = world.owner("GET", BASE, "").json;
    assert_eq!((&state["killedFlags"], &state["killedRoutes"]), (&json!([]), &json!(["www"])));
    world.put(&at("/routes/www"), &route("shop.example")).expect(200);
    let read = world.owner("GET", &at("/routes/www"), "").expect(200);
    assert_eq!(read.reply.header("headgate-killed"), Some("true"));
    let list = world.owner("GET", &at("/routes?killed=true"), "").expect(200);
    assert_eq!(list.json["items"][0]["killed"], json!(true));
    // A flag of the same key is another thing.
    world.owner("PUT", &at("/flags/www"), FLAG).expect(201);
    assert_eq!(world.owner("GET", &at("/flags/www"), "").reply.header("headgate-killed"), Some("false"));
    world.owner("POST", &at("/routes/www/unkill"), "").expect(200);
    assert_eq!(world.pointer(NAME)["killed"], json!([]));
    world.owner("POST", &at("/routes/gone/kill"), "").expect(404);
}

#[test]
fn a_tester_s_link_is_good_for_one_variant_and_a_time() {
    let world = world();
    world.owner("PUT", &at("/routes/www"), &route("www.example")).expect(201);
    let refused = world.owner("POST", &at("/routes/www/link"), r#"{"variant":"gone","seconds":0}"#).expect(422);
    let places: Vec<_> = refused.json["problems"].as_array().expect("list").iter().map(|p| &p["pointer"]).collect();
    assert_eq!(places, ["/seconds", "/variant"]);
    world.owner("POST", &at("/routes/gone/link"), r#"{"variant":"on"}"#).expect(404);
    let link = world.owner("POST", &at("/routes/www/link"), r#"{"variant":"on","seconds":600}"#).expect(201).json;
    let ticket = link["ticket"].as_str().expect("a ticket");
    assert_eq!(link["url"], format!("https://www.example/?hg_variant={ticket}"));
    let key = world.owner("GET", &at("/context-key"), "").json["keys"][0]["key"].as_str().expect("a key").to_owned();
    let keys = [URL_SAFE_NO_PAD.decode(key).expect("base64url")];
    let now = Instant::from_millis(world.now.get());
    assert_eq!(seal::read_override(&keys, "www", ticket, now), Some(("on", 600)));
    let audit = world.owner("GET", &at("/audit?limit=1"), "").json;
    assert_eq!((&audit["items"][0]["action"], &audit["items"][0]["entity"]), (&json!("link"), &json!("routes/www")));
    let document = world.owner("GET", &at("/routes/www"), "").reply.body;
    let node = crate::json::parse(&document).expect("JSON");
    let mut problems = crate::json::Problems::default();
    assert!(RouteDocument::read(&node, &crate::json::At::ROOT, &mut problems).is_some() && problems.is_empty());
}
