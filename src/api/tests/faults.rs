//! Every kind of bad input has its own problem.

use super::*;
use crate::http::Request;
use crate::limits;

#[test]
fn every_fault_has_its_own_problem() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let large = format!(r#"{{"description":"{}"}}"#, "x".repeat(limits::ENTITY_BYTES));
    let cases: [(&str, String, &str, u16, &str); 17] = [
        ("PUT", at("/flags/x"), "{", 400, "not-json"),
        ("PUT", at("/flags/x"), &deep, 400, "too-deep"),
        ("PUT", at("/flags/x"), &large, 413, "too-large"),
        ("PUT", at("/flags/x"), "[]", 422, "invalid-document"),
        ("PUT", at("/flags/x"), r#"{"type":"boolean","type":"string"}"#, 422, "invalid-document"),
        ("GET", at("/flags/a%20b"), "", 400, "bad-key"),
        ("GET", at("/flags/%f"), "", 400, "bad-percent-encoding"),
        ("GET", at("/flags?colour=red"), "", 400, "bad-parameter"),
        ("GET", at("/flags?limit=many"), "", 400, "bad-parameter"),
        ("GET", at("/flags/gone"), "", 404, "unknown-entity"),
        ("GET", "/v1/projects/gone".to_owned(), "", 404, "unknown-project"),
        ("GET", "/v1/projects/pairity/environments/gone".to_owned(), "", 404, "unknown-environment"),
        ("GET", "/nothing".to_owned(), "", 404, "not-found"),
        ("POST", at("/flags/chat"), "", 405, "method-not-allowed"),
        ("PUT", at("/flags/chat"), FLAG, 428, "if-match-required"),
        ("DELETE", "/v1/projects/pairity".to_owned(), "", 409, "not-empty"),
        ("PUT", "/v1/projects/deployment".to_owned(), "", 400, "bad-key"),
    ];
    for (method, target, body, status, problem) in cases {
        let found = world.owner(method, &target, body);
        assert_eq!((found.status, found.problem()), (status, problem), "{method} {target}");
        assert_eq!(found.reply.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(world.owner("POST", &at("/flags/chat"), "").reply.header("allow"), Some("PATCH, GET, PUT, DELETE"));
    let request = Request {
        method: "PUT".to_owned(),
        path: at("/flags/x"),
        authorization: Some(format!("Bearer {OWNER}")),
        content_type: Some("text/plain".to_owned()),
        body: FLAG.to_owned(),
        ..Request::default()
    };
    assert_eq!(world.request(request.clone()).expect(415).problem(), "unsupported-media-type");
    world.request(Request { content_type: Some("application/json; charset=utf-8".to_owned()), ..request }).expect(201);
}

#[test]
fn an_object_that_does_not_answer_is_named() {
    let world = World::populated();
    world.silent.borrow_mut().push("directory");
    let refused = world.owner("GET", "/v1/projects", "").expect(503);
    assert_eq!(refused.problem(), "unavailable");
    world.owner("GET", &at("/flags"), "").expect(200);
    world.silent.borrow_mut().push("environment");
    world.owner("GET", &at("/flags"), "").expect(503);
}

#[test]
fn a_message_that_nobody_understands_keeps_nothing() {
    let world = World::populated();
    for object in ["environment", "directory", "pointer", "metrics"] {
        for message in ["", "{}", r#""dance""#] {
            assert!(!world.send(object, NAME, message).commit, "{object} {message}");
        }
    }
}

#[test]
fn projects_and_environments_are_made_once() {
    let world = World::populated();
    world.owner("PUT", "/v1/projects/pairity", r#"{"name":"Pairity"}"#).expect(200);
    world.owner("PUT", "/v1/projects/other", r#"{"nam":"x"}"#).expect(422);
    world.owner("PUT", &at(""), "{}").expect(200);
    world.owner("PUT", "/v1/projects/gone/environments/x", "").expect(404);
    let only_new = |path: &str| Request {
        method: "PUT".to_owned(),
        path: path.to_owned(),
        authorization: Some(format!("Bearer {OWNER}")),
        if_none_match: Some("*".to_owned()),
        ..Request::default()
    };
    world.request(only_new(BASE)).expect(412);
    world.request(only_new("/v1/projects/pairity")).expect(412);
    let list = world.owner("GET", "/v1/projects/pairity/environments", "").expect(200).json;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    for environment in ["production", "staging"] {
        let target = format!("/v1/projects/pairity/environments/{environment}?confirm={environment}");
        world.owner("DELETE", &target, "").expect(204);
    }
    world.owner("DELETE", "/v1/projects/pairity", "").expect(204);
    assert_eq!(world.owner("GET", "/v1/projects", "").json["items"], json!([]));
    assert_eq!(world.send("directory", "directory", r#""environments""#).reply.as_deref(), Some("[]"));
}
