//! Channels: patches, releases one by one, reports of what stores serve, warnings.

use super::*;

const CHANNEL: &str = r#"{"platform":"ios","salt":"s","minimum":"2.0","storeUrl":"https://a.example","releases":{"2.0":{"availability":{"*":true}}}}"#;

fn channel(rest: &str) -> String {
    at(&format!("/channels/ios{rest}"))
}

fn world() -> World {
    let world = World::populated();
    world.owner("PUT", &channel(""), CHANNEL).expect(201);
    world
}

fn pointers(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(|one| one["pointer"].as_str()).collect()
}

#[test]
fn a_channel_lives_as_other_documents_do() {
    let world = World::populated();
    let created = world.owner("PUT", &channel(""), CHANNEL).expect(201);
    assert_eq!(created.reply.body, CHANNEL, "sound, so without warnings");
    world.owner("PUT", &channel(""), CHANNEL).expect(428);
    let read = world.owner("GET", &channel(""), "").expect(200);
    assert_eq!((read.reply.body.as_str(), read.etag()), (CHANNEL, created.etag()));
    let changed = world.put(&channel(""), &CHANNEL.replace(r#""minimum":"2.0","#, "")).expect(200);
    assert_ne!(changed.etag(), created.etag());
    assert_eq!(world.owner("GET", &at("/channels"), "").json["items"][0]["key"], "ios");
    assert_eq!(world.owner("GET", &channel("/history"), "").json["items"].as_array().map(Vec::len), Some(2));
    let diff = world.owner("GET", &channel("/diff"), "").json;
    assert_eq!(diff["changes"][0]["path"], "/minimum");
    let reverted = world.owner("POST", &channel("/revert"), r#"{"revision":1}"#).expect(200);
    assert_eq!(reverted.reply.body, CHANNEL);
    world.matching(&reverted.etag(), "DELETE", &channel(""), "").expect(204);
    world.owner("GET", &channel(""), "").expect(404);
}

#[test]
fn a_salt_is_made_once() {
    let world = World::populated();
    let made = world.owner("PUT", &channel(""), r#"{"platform":"ios"}"#).expect(201).json["salt"].clone();
    assert!(made.as_str().is_some_and(|salt| !salt.is_empty()), "{made}");
    assert_eq!(world.put(&channel(""), r#"{"platform":"ios","minimum":"1.0"}"#).expect(200).json["salt"], made);
}

#[test]
fn a_patch_changes_what_it_names() {
    let world = world();
    let patch = |body: &str| world.owner("PATCH", &channel(""), body);
    let patched =
        patch(r#"{"minimum":null,"releases":{"2.0":{"share":50},"2.1":{"availability":{"*":true}}}}"#).expect(200);
    let expected = r#"{"platform":"ios","salt":"s","storeUrl":"https://a.example","releases":{"2.0":{"share":50,"availability":{"*":true}},"2.1":{"availability":{"*":true}}}}"#;
    assert_eq!(patched.reply.body, expected);
    assert_eq!(world.owner("GET", &channel("/history"), "").json["items"][0]["action"], "patch");
    let refused = patch(r#"{"minimum":"x","releases":{"2.0":{"share":500}}}"#).expect(422);
    assert_eq!(pointers(&refused.json["problems"]), ["/minimum", "/releases/2.0/share"]);
    assert_eq!(pointers(&patch(r#"{"minimum":"1","minimum":"2"}"#).expect(422).json["problems"]), ["/minimum"]);
    assert_eq!(pointers(&patch("[]").expect(422).json["problems"]), [""]);
    assert_eq!(patch("{").expect(400).problem(), "not-json");
    world.matching("\"1-1\"", "PATCH", &channel(""), r#"{"minimum":"1"}"#).expect(412);
    world.owner("PATCH", &at("/channels/gone"), "{}").expect(404);
    assert_eq!(world.owner("GET", &channel(""), "").reply.body, expected, "what was refused changed nothing");
}

#[test]
fn a_release_comes_with_one_put() {
    let world = world();
    let target = channel("/releases/2.1");
    world.owner("GET", &target, "").expect(404);
    let body = r#"{"build":512,"share":10}"#;
    let added = world.owner("PUT", &target, body).expect(201);
    assert_eq!(added.json["releases"]["2.1"], json!({"build": 512, "share": 10}));
    assert_eq!(added.json["minimum"], "2.0", "the answer is the channel");
    let read = world.owner("GET", &target, "").expect(200);
    assert_eq!((read.reply.body.as_str(), read.etag()), (body, added.etag()));
    assert_eq!(world.owner("PUT", &target, body).expect(428).etag(), added.etag());
    let wider = world.matching(&added.etag(), "PUT", &target, r#"{"build":512,"share":50}"#).expect(200);
    assert_eq!(world.matching(&added.etag(), "PUT", &target, body).expect(412).etag(), wider.etag());
    world.matching(&added.etag(), "PUT", &channel("/releases/2.2"), body).expect(412);
    let refused = world.owner("PUT", &channel("/releases/2.2"), r#"{"build":-1,"sameAs":{"flag":"gone"}}"#).expect(422);
    assert_eq!(pointers(&refused.json["problems"]), ["/build"], "places are those of the body");
    let twin = world.owner("PUT", &channel("/releases/twin"), r#"{"version":"2.1.0","build":512}"#).expect(422);
    assert_eq!(pointers(&twin.json["problems"]), [""]);
    let unknown = world.owner("PUT", &channel("/releases/2.2"), r#"{"sameAs":{"flag":"gone"}}"#).expect(422);
    assert_eq!(pointers(&unknown.json["problems"]), ["/releases/2.2/sameAs/flag"]);
    world.owner("PUT", &at("/channels/gone/releases/2.1"), body).expect(404);
    world.owner("DELETE", &target, "").expect(428);
    let less = world.matching(&wider.etag(), "DELETE", &target, "").expect(200);
    assert_eq!(less.json["releases"], json!({"2.0": {"availability": {"*": true}}}));
    world.matching(&less.etag(), "DELETE", &target, "").expect(404);
    assert_eq!(world.owner("GET", &channel("/history"), "").json["items"][0]["action"], "release");
}

#[test]
fn stores_are_reported_and_weaker_sources_pass_unheard() {
    let world = world();
    world.owner("PUT", &channel("/releases/2.1"), "{}").expect(201);
    let target = channel("/releases/2.1/availability");
    let report = |source: &str, served: bool, more: &str| {
        let body = format!(r#"{{"source":"{source}","storefronts":{{"CH":{served}}}{more}}}"#);
        world.owner("POST", &target, &body).expect(200).json["releases"]["2.1"]["availability"]["CH"].clone()
    };
    let said = |served: bool, source: &str, at: &str| json!({"served": served, "source": source, "observedAt": at});
    let now = "2027-01-15T08:00:00Z";
    assert_eq!(report("clientReport", true, ""), said(true, "clientReport", now));
    assert_eq!(report("lookup", false, ""), said(false, "lookup", now));
    assert_eq!(report("clientReport", true, ""), said(false, "lookup", now), "an app cannot talk a look-up down");
    let earlier = r#","observedAt":"2027-01-14""#;
    assert_eq!(report("lookup", true, earlier), said(false, "lookup", now), "older than what is known");
    assert_eq!(report("admin", true, ""), json!(true));
    assert_eq!(report("lookup", false, ""), json!(true), "a person has spoken");
    let post = |body: &str| world.owner("POST", &target, body).expect(422).json;
    assert_eq!(pointers(&post("{}")["problems"]), ["", ""]);
    let wrong = r#"{"source":"rumour","storefronts":{"Swiss store":true,"CH":"yes"},"observedAt":"soon","more":1}"#;
    let places = ["/source", "/observedAt", "/storefronts/Swiss store", "/storefronts/CH", "/more"];
    assert_eq!(pointers(&post(wrong)["problems"]), places);
    world.owner("POST", &channel("/releases/9.9/availability"), r#"{"source":"admin","storefronts":{}}"#).expect(404);
}

#[test]
fn what_stores_serve_survives_writes_that_do_not_speak_of_it_and_reverts() {
    let world = world();
    let availability =
        |release: &str| world.owner("GET", &channel(""), "").json["releases"][release]["availability"].clone();
    let silent = r#"{"platform":"ios","releases":{"2.0":{"share":50}}}"#;
    world.put(&channel(""), silent).expect(200);
    assert_eq!(availability("2.0"), json!({"*": true}));
    // Pulled from the store after revision 2: going back to it does not bring the release back.
    let pulled = r#"{"source":"admin","storefronts":{"*":false}}"#;
    world.owner("POST", &channel("/releases/2.0/availability"), pulled).expect(200);
    world.owner("POST", &channel("/revert"), r#"{"revision":1}"#).expect(200);
    assert_eq!(availability("2.0"), json!({"*": false}));
    let said = r#"{"platform":"ios","releases":{"2.0":{"availability":{}}}}"#;
    world.put(&channel(""), said).expect(200);
    assert_eq!(availability("2.0"), json!({}), "to forget, say so");
    world.put(&channel(""), CHANNEL).expect(200);
    world.put(&channel(""), r#"{"platform":"ios","releases":{"2.0":{"version":"3.0"}}}"#).expect(200);
    assert_eq!(availability("2.0"), Value::Null, "another version is another release");
}

#[test]
fn what_is_most_likely_not_meant_is_said_and_not_refused() {
    let world = World::populated();
    let body = r#"{"platform":"ios","salt":"s","minimum":"3.0","releases":{"2.0":{"share":10}}}"#;
    let put = world.owner("PUT", &channel(""), body).expect(201);
    assert_eq!(pointers(&put.json["warnings"]), ["/minimum", "/releases/2.0/share", ""]);
    assert_eq!(world.owner("GET", &channel(""), "").reply.body, body, "stored without them");
    let back = world.matching(&put.etag(), "PUT", &channel(""), &put.reply.body).expect(200);
    assert_eq!(back.etag(), put.etag(), "the answer can be sent back");
    let patched = world.owner("PATCH", &channel(""), r#"{"minimum":null,"storeUrl":"https://a.example"}"#).expect(200);
    assert_eq!(pointers(&patched.json["warnings"]), ["/releases/2.0/share"]);
    let document =
        format!(r#"{{"project":"pairity","environments":{{"production":{{"channels":{{"new":{body}}}}}}}}}"#);
    let dry = world.owner("POST", "/v1/import?dryRun=true", &document).expect(200);
    let place = "/environments/production/channels/new";
    let expected = [format!("{place}/minimum"), format!("{place}/releases/2.0/share"), place.to_owned()];
    assert_eq!(pointers(&dry.json["environments"]["production"]["warnings"]), expected);
    world.owner("GET", &at("/channels/new"), "").expect(404);
}

#[test]
fn contradictions_are_refused_with_their_places() {
    let world = World::populated();
    let body = r#"{"platform":"android","minimum":"3.0","recommended":"2.0","policy":{"major":"none","patch":"required"},
        "releases":{"2.0":{"share":10,"sameAs":{"flag":"f"},"phasedSince":"2027-01-01"}},"maintenance":{"start":"2027-02-01","end":"2027-01-01"}}"#;
    let refused = world.owner("PUT", &channel(""), body).expect(422);
    let expected =
        ["/policy/major", "/releases/2.0/sameAs", "/maintenance/end", "/recommended", "/releases/2.0/phasedSince"];
    assert_eq!(pointers(&refused.json["problems"]), expected);
}

#[test]
fn a_channel_s_flags_and_segments_must_be_there_and_stay() {
    let world = World::populated();
    let body = r#"{"platform":"ios","audience":{"segments":["beta"]},"releases":{"2.0":{"sameAs":{"flag":"chat","variant":"on"}}},
        "bundles":{"a":{"number":1,"binary":"1.x","sameAs":{"flag":"chat"}}}}"#;
    let refused = world.owner("PUT", &channel(""), body).expect(422);
    let expected = ["/audience/segments/0", "/releases/2.0/sameAs/flag", "/bundles/a/sameAs/flag"];
    assert_eq!(pointers(&refused.json["problems"]), expected);
    world.owner("PUT", &at("/segments/beta"), "{}").expect(201);
    let flag_tag = world.owner("PUT", &at("/flags/chat"), FLAG).expect(201).etag();
    let wrong = body.replace(r#""variant":"on""#, r#""variant":"red""#);
    assert_eq!(
        pointers(&world.owner("PUT", &channel(""), &wrong).expect(422).json["problems"]),
        ["/releases/2.0/sameAs/flag"]
    );
    world.owner("PUT", &channel(""), body).expect(201);
    let deleted = world.matching(&flag_tag, "DELETE", &at("/flags/chat"), "").expect(409);
    assert_eq!(deleted.problem(), "in-use");
    let other = r#"{"type":"boolean","variants":{"yes":true,"off":false},"off":"off","default":"off"}"#;
    let renamed = world.matching(&flag_tag, "PUT", &at("/flags/chat"), other).expect(422);
    assert_eq!(pointers(&renamed.json["problems"]), ["/variants"]);
    let segment = world.owner("GET", &at("/segments/beta"), "").etag();
    world.matching(&segment, "DELETE", &at("/segments/beta"), "").expect(409);
}

#[test]
fn only_editors_change_channels() {
    let world = world();
    let token = |role: &str| {
        let body = format!(r#"{{"kind":"admin","role":"{role}","name":"{role}"}}"#);
        world.owner("POST", &at("/tokens"), &body).expect(201).json["token"].as_str().expect("text").to_owned()
    };
    let (viewer, editor) = (token("viewer"), token("editor"));
    let report = r#"{"source":"lookup","storefronts":{"CH":true}}"#;
    for (method, target, body) in [
        ("PATCH", channel(""), r#"{"minimum":"1.0"}"#),
        ("PUT", channel("/releases/3.0"), "{}"),
        ("POST", channel("/releases/2.0/availability"), report),
    ] {
        world.with_token(Some(&viewer), method, &target, body).expect(403);
        let status = world.with_token(Some(&editor), method, &target, body).status;
        assert!(matches!(status, 200 | 201), "{method} {target}: {status}");
    }
    world.with_token(Some(&viewer), "GET", &channel("/releases/3.0"), "").expect(200);
}
