//! Health, metrics and the description of the API.

use super::*;

#[test]
fn health_names_what_is_wrong_and_goes_on() {
    let world = World::populated();
    let well = world.with_token(None, "GET", "/health", "").expect(200).json;
    assert_eq!((&well["status"], &well["version"], &well["uptimeSeconds"]), (&json!("ok"), &json!("v1"), &json!(10)));
    world.silent.borrow_mut().push("directory");
    let ill = world.with_token(None, "GET", "/health", "").expect(200).json;
    assert_eq!((&ill["status"], &ill["dependencies"][0]["detail"]), (&json!("degraded"), &json!("timed out")));
    world.with_token(None, "GET", "/health/ready", "").expect(200);
}

#[test]
fn metrics_speak_for_the_whole_deployment() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    world.pump(NAME);
    for (isolate, amount) in [("a", 2), ("b", 3)] {
        let add = json!({"add":{"isolate": isolate, "flush": 1, "counters": [["headgate_traps_total", {}, amount]]}});
        world.send("metrics", "metrics", &add.to_string());
    }
    world.with_token(None, "GET", "/metrics", "").expect(401);
    let page = world.owner("GET", "/metrics", "").expect(200).reply;
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "headgate_traps_total 5",
        "headgate_flags{environment=\"pairity/production\"} 1",
        "headgate_environments 2",
        "headgate_uptime_seconds 10",
        "# TYPE headgate_traps_total counter",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line} in\n{}", page.body);
    }
}

#[test]
fn a_token_of_one_environment_sees_the_metrics_of_no_other() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    world.pump(NAME);
    let counters = json!([["headgate_requests_total", {"environment": NAME}, 2], ["headgate_requests_total", {"environment": "other/one"}, 3]]);
    world.send("metrics", "metrics", &json!({"add":{"isolate": "a", "flush": 1, "counters": counters}}).to_string());
    let created = world.owner("POST", &at("/tokens"), r#"{"kind":"admin","role":"viewer","name":"p"}"#).json;
    let page = world.with_token(created["token"].as_str(), "GET", "/metrics", "").expect(200).reply.body;
    let whole = world.owner("GET", "/metrics", "").expect(200).reply.body;
    let other = "headgate_requests_total{environment=\"other/one\"} 3";
    assert!(whole.contains(other) && !page.contains(other), "{page}");
    for line in ["headgate_flags{environment=\"pairity/production\"} 1", "headgate_uptime_seconds 10"] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(!page.contains("headgate_projects"), "{page}");
}

#[test]
fn head_is_get_without_a_body() {
    let world = World::populated();
    let head = world.with_token(None, "HEAD", "/health/ready", "").expect(200).reply;
    assert!(head.body.is_empty());
    let get = world.with_token(None, "GET", "/health/ready", "").expect(200);
    assert_eq!(get.json["status"], "ok");
    world.owner("HEAD", "/v1/projects", "").expect(200);
    world.owner("HEAD", &at("/flags"), "").expect(200);
}
