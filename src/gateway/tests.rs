use super::*;
use crate::snapshot::Pointer;
use crate::token::{self, Scope, TokenKind};

struct Nowhere;
impl Place for Nowhere {
    fn name(&self, which: usize) -> Option<String> {
        Some(["CH", "ZH", "EU"][which].to_owned())
    }

    fn random(&self) -> u128 {
        7
    }
}

struct Random(u128);
impl Place for Random {
    fn name(&self, _: usize) -> Option<String> {
        None
    }

    fn random(&self) -> u128 {
        self.0
    }
}

const NOW: Instant = Instant::from_millis(1_800_000_000_000);

fn token(kind: TokenKind) -> String {
    token::mint(kind, Scope::Environment("p", "e"), &[kind.word().as_bytes()[0]; 32])
}

/// A gateway that holds an environment with these flags and settings.
fn gateway(settings: &str, flags: &[(&str, &str)]) -> Gateway {
    let mut gateway = Gateway::default();
    hold(&mut gateway, "p/e", settings, flags);
    gateway
}

/// Gives a gateway an environment with these flags and settings.
fn hold(gateway: &mut Gateway, environment: &str, settings: &str, flags: &[(&str, &str)]) {
    let flags = flags.iter().enumerate().map(|(at, (key, document))| {
        format!(r#"{{"key":"{key}","id":{},"revision":1,"document":{document}}}"#, at + 1)
    });
    let flags = flags.collect::<Vec<_>>().join(",");
    let (project, key) = environment.split_once('/').expect("two keys");
    let tokens = [TokenKind::Client, TokenKind::Server].map(|kind| {
        let text = token::mint(kind, Scope::Environment(project, key), &[kind.word().as_bytes()[0]; 32]);
        let extras = if kind == TokenKind::Server { "metadata,eventStreams" } else { "" };
        format!(
            r#"{{"id":"{0}","kind":"{0}","sha256":"{1}","ofrep":"{extras}"}}"#,
            kind.word(),
            token::sha256_hex(&text)
        )
    });
    let text = format!(
        r#"{{"format":1,"incarnation":1,"version":7,"settings":{settings},"contextKeys":["AAAA"],"tokens":[{}],"flags":[{flags}],
        "routes":[{{"key":"r","revision":1,"document":{{"host":"shop.localhost","flag":"site","targets":{{"on":"https://new.example","off":"https://old.example"}}}}}}],
        "channels":[{{"key":"ios","revision":1,"document":{{"platform":"ios","app":"example.shop","minimum":"2.0","releases":{{"2.0":{{"availability":{{"*":true}}}},"2.1":{{"sameAs":{{"flag":"f"}}}}}}}}}}]}}"#,
        tokens.join(",")
    );
    let pointer = Pointer { incarnation: 1, sequence: 1, version: 7, kill: false, killed: Vec::new() };
    gateway.environments.accept_pointer(environment, pointer, NOW).expect("taken");
    gateway.environments.accept_snapshot(environment, &text).expect("taken");
    for own in ["", "gate.example"] {
        gateway.accept_host(own, Holder::Nobody, NOW);
    }
}

mod startup;
mod stream;

fn boolean(rest: &str) -> String {
    format!(r#"{{"type":"boolean","variants":{{"on":true,"off":false}},"off":"off","salt":"s",{rest}}}"#)
}

fn ask(gateway: &mut Gateway, kind: TokenKind, target: &str, body: &str) -> (u16, String) {
    let authorization = format!("Bearer {}", token(kind));
    let call =
        Call { method: "POST", target, authorization: &authorization, body, size: body.len(), ..Call::default() };
    let step = gateway.answer(&call, &Nowhere, NOW);
    assert_eq!(step, Step::Reply, "{target} {body}");
    (gateway.output.status, String::from_utf8(gateway.output.body.clone()).expect("text"))
}

const BULK: &str = "/ofrep/v1/evaluate/flags";

#[test]
fn clients_see_client_flags_and_servers_all() {
    let (open, closed) = (boolean(r#""client":true,"default":"on""#), boolean(r#""default":"on""#));
    let mut gateway = gateway("{}", &[("closed", &closed), ("open", &open)]);
    let (status, body) = ask(&mut gateway, TokenKind::Client, BULK, "{}");
    let fragment = r#"{"key":"open","value":true,"reason":"STATIC","variant":"on","metadata":{"revision":1}}"#;
    assert_eq!((status, body), (200, format!(r#"{{"flags":[{fragment}]}}"#)));
    assert!(ask(&mut gateway, TokenKind::Server, BULK, "").1.contains("closed"));
    assert_eq!(ask(&mut gateway, TokenKind::Client, "/ofrep/v1/evaluate/flags/open", "{}"), (200, fragment.to_owned()));
    assert_eq!(ask(&mut gateway, TokenKind::Client, "/ofrep/v1/evaluate/flags/closed", "{}").0, 404);
    assert_eq!(ask(&mut gateway, TokenKind::Server, "/ofrep/v1/evaluate/flags/c%6Cosed", "{}").0, 200);
}

#[test]
fn bad_bodies_are_named_in_the_protocol_s_words() {
    let flag = boolean(r#""default":{"share":50,"variants":{"on":100}}"#);
    let mut gateway = gateway("{}", &[("f", &flag)]);
    let mut check = |body: &str, status: u16, code: &str| {
        let (found, text) = ask(&mut gateway, TokenKind::Server, "/ofrep/v1/evaluate/flags/f", body);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (found, json["errorCode"].as_str(), json["key"].as_str()),
            (status, Some(code), Some("f")),
            "{body}"
        );
        assert!(json["metadata"].is_object());
    };
    check("nonsense", 400, "PARSE_ERROR");
    check("[]", 400, "PARSE_ERROR");
    check(r#"{"context":7}"#, 400, "INVALID_CONTEXT");
    check(r#"{"context":{"targetingKey":7}}"#, 400, "INVALID_CONTEXT");
    check(r#"{"context":{},"context":{}}"#, 400, "INVALID_CONTEXT");
    check(r#"{"context":{"targetingKey":"a","x":1,"x":2}}"#, 400, "INVALID_CONTEXT");
    let many: Vec<_> = (0..60).map(|at| format!(r#""a{at}":1"#)).collect();
    check(&format!(r#"{{"context":{{{},"a7":2}}}}"#, many.join(",")), 400, "INVALID_CONTEXT");
    check(r#"{"context":{}}"#, 400, "TARGETING_KEY_MISSING");
    check(&format!(r#"{{"context":{{"x":"{}"}}}}"#, "x".repeat(70_000)), 413, "GENERAL");
}

#[test]
fn wrong_expired_and_missing_tokens_are_refused_alike() {
    let mut gateway = gateway("{}", &[]);
    let other = token::mint(TokenKind::Server, Scope::Environment("p", "e"), &[9; 32]);
    let admin = token(TokenKind::Admin);
    let mut bodies = std::collections::HashSet::new();
    for authorization in ["", "Bearer", "Bearer x", "Basic abc", &format!("Bearer {other}"), &format!("Bearer {admin}")]
    {
        let call = Call { method: "POST", target: BULK, authorization, ..Call::default() };
        assert_eq!(gateway.answer(&call, &Nowhere, NOW), Step::Reply);
        assert_eq!(gateway.output.status, 401, "{authorization}");
        bodies.insert(gateway.output.body.clone());
    }
    assert_eq!(bodies.len(), 1, "no hint which");
}

#[test]
fn the_entity_tag_is_of_the_answer() {
    let flag = boolean(r#""rules":[{"id":"a","if":{"attribute":"x","equals":1},"serve":"on"}],"default":"off""#);
    let mut gateway = gateway("{}", &[("f", &flag)]);
    let authorization = format!("Bearer {}", token(TokenKind::Server));
    let mut ask = |body: &str, tags: &str| {
        let call = Call {
            method: "POST",
            target: BULK,
            authorization: &authorization,
            body,
            if_none_match: tags,
            ..Call::default()
        };
        gateway.answer(&call, &Nowhere, NOW);
        (gateway.output.status, gateway.output.etag.expect("a tag"), gateway.output.body.len())
    };
    let (_, tag, _) = ask("{}", "");
    let (_, other, _) = ask(r#"{"context":{"x":1}}"#, "");
    assert_ne!(tag, other);
    let text = format!("\"{tag:016x}\"");
    for tags in [text.clone(), format!("W/{text}"), format!("\"x\", {text}"), "*".to_owned()] {
        assert_eq!(ask(r#"{"context":{"y":1}}"#, &tags), (304, tag, 0), "{tags}");
    }
    assert_eq!(ask("{}", &tag.to_string()).0, 200, "a tag without quotes is no tag");
}

#[test]
fn origins_are_those_of_the_environment() {
    let mut gateway = gateway(r#"{"origins":["https://app.example"]}"#, &[]);
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let mut ask = |method: &str, origin: &str| {
        let call = Call {
            method,
            target: BULK,
            authorization: &authorization,
            host: "gate.example",
            origin,
            ..Call::default()
        };
        gateway.answer(&call, &Nowhere, NOW);
        (gateway.output.status, gateway.output.head_text().contains("access-control-allow-origin"))
    };
    assert_eq!(ask("POST", ""), (200, false));
    assert_eq!(ask("POST", "https://app.example"), (200, true));
    assert_eq!(ask("POST", "https://gate.example:8787"), (200, true));
    assert_eq!(ask("POST", "https://evil.example"), (403, true));
    assert_eq!(ask("OPTIONS", "https://evil.example"), (204, true), "a preflight carries no token");
    assert_eq!(ask("GET", ""), (405, false));
}

#[test]
fn clients_may_not_claim_what_the_environment_trusts() {
    let flag = boolean(
        r#""client":true,"rules":[{"id":"a","if":{"attribute":"plan","equals":"premium"},"serve":"on"}],"default":"off""#,
    );
    let mut gateway = gateway(r#"{"trusted":["plan"]}"#, &[("f", &flag)]);
    let mut served = |kind, context: &str| {
        let (_, body) = ask(&mut gateway, kind, "/ofrep/v1/evaluate/flags/f", &format!(r#"{{"context":{context}}}"#));
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON")["variant"].as_str().expect("text").to_owned()
    };
    assert_eq!(served(TokenKind::Client, r#"{"plan":"premium"}"#), "off");
    assert_eq!(served(TokenKind::Server, r#"{"plan":"premium"}"#), "on");
    // {"unit":"u","attributes":{"plan":"premium"}} signed with the key of three zero bytes, by
    // openssl: `printf %s PAYLOAD | openssl dgst -sha256 -mac HMAC -macopt hexkey:000000 -binary`.
    let signed =
        "eyJ1bml0IjoidSIsImF0dHJpYnV0ZXMiOnsicGxhbiI6InByZW1pdW0ifX0.94oXyNfqig8ZDtbjlS7ISoBtRQiXdWt_S5K7pQt94Is";
    assert_eq!(served(TokenKind::Client, &format!(r#"{{"targetingKey":"u","signedContext":"{signed}"}}"#)), "on");
    assert_eq!(served(TokenKind::Client, &format!(r#"{{"targetingKey":"v","signedContext":"{signed}"}}"#)), "off");
    assert_eq!(
        served(
            TokenKind::Client,
            &format!(r#"{{"targetingKey":"u","signedContext":"{}"}}"#, signed.replace("eyJ1", "eyJ2"))
        ),
        "off"
    );
}

#[test]
fn trust_covers_what_lies_below_an_attribute() {
    let flag = boolean(
        r#""client":true,"rules":[{"id":"a","if":{"attribute":"account.plan","equals":"premium"},"serve":"on"}],"default":"off""#,
    );
    let mut gateway = gateway(r#"{"trusted":["account"]}"#, &[("f", &flag)]);
    let mut served = |kind, context: &str| ask(&mut gateway, kind, BULK, &format!(r#"{{"context":{context}}}"#)).1;
    for claim in [r#"{"account":{"plan":"premium"}}"#, r#"{"account.plan":"premium"}"#] {
        assert!(served(TokenKind::Client, claim).contains("DEFAULT"), "{claim}");
        assert!(served(TokenKind::Server, claim).contains("TARGETING_MATCH"), "{claim}");
    }
}

#[test]
fn the_edge_says_where_a_request_comes_from_unless_the_context_does() {
    let flag =
        boolean(r#""rules":[{"id":"a","if":{"attribute":"country","equals":"CH"},"serve":"on"}],"default":"off""#);
    let mut gateway = gateway("{}", &[("f", &flag)]);
    assert!(ask(&mut gateway, TokenKind::Server, BULK, "{}").1.contains("TARGETING_MATCH"));
    assert!(ask(&mut gateway, TokenKind::Server, BULK, r#"{"context":{"country":"US"}}"#).1.contains("DEFAULT"));
}

/// The value of a header of the answer.
fn header(gateway: &Gateway, name: &str) -> Option<String> {
    let lines: Vec<&str> = gateway.output.head_text().lines().chain(gateway.output.own_text().lines()).collect();
    lines.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].to_owned())
}

/// A gateway with a routed host, met.
fn routed(flag: &str) -> Gateway {
    let mut gateway = gateway("{}", &[("site", flag)]);
    gateway.accept_host("shop.localhost", Holder::Environment("p/e"), NOW);
    gateway
}

const VISIT: Call<'static> = Call {
    base: "http://shop.localhost",
    streams: Streams::Free,
    waited_elsewhere: Waited { pointer: false, snapshot: false },
    method: "GET",
    target: "/cart?x=1",
    authority: "shop.localhost:8787",
    host: "shop.localhost",
    authorization: "",
    if_none_match: "",
    origin: "",
    cookie: "",
    body: "",
    size: 0,
    waited: Waited { pointer: false, snapshot: false },
    rate: Rate::Within,
    queue_failed: false,
};

#[test]
fn a_routed_host_redirects_by_flag_and_keeps_its_unit() {
    let flag = boolean(r#""default":{"share":50,"variants":{"on":100},"else":"off"}"#);
    let mut gateway = gateway("{}", &[("site", &flag)]);
    assert_eq!(gateway.travel(&VISIT, false, &Nowhere, NOW), Step::Host("shop.localhost".into()));
    gateway.accept_host("shop.localhost", Holder::Environment("p/e"), NOW);
    let mut visit = |cookie: &str, random| {
        assert_eq!(gateway.travel(&Call { cookie, ..VISIT }, false, &Random(random), NOW), Step::Reply);
        assert_eq!(gateway.output.status, 302);
        assert_eq!(header(&gateway, "cache-control").as_deref(), Some("private, no-store"));
        (header(&gateway, "location").expect("a target"), header(&gateway, "set-cookie"))
    };
    let (target, cookie) = visit("", 7);
    let cookie = cookie.expect("a new unit");
    let cookie = cookie.split(';').next().expect("a pair");
    for _ in 0..5 {
        assert_eq!(visit(&format!("a=b; {cookie}"), 8), (target.clone(), None));
    }
    assert!(target.ends_with(".example/cart?x=1"), "{target}");
    let targets: std::collections::HashSet<_> = (0..50).map(|random| visit("hg_unit=forged\"", random).0).collect();
    assert_eq!(targets.len(), 2, "both arms are served");
    let (requests, _) = gateway.traffic.take();
    assert_eq!(requests.iter().map(|each| each.count).sum::<u64>(), 56);
    assert!(requests.iter().all(|each| each.exposed && each.class == "redirect" && *each.of[1] == *"r"));
}

#[test]
fn on_a_routed_host_only_its_own_part_is_the_gateway_s() {
    let mut gateway = routed(&boolean(r#""client":true,"default":"on""#));
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let ask = |gateway: &mut Gateway, target: &str, authorization: &str| {
        let call = Call { method: "POST", target, authorization, ..VISIT };
        let step = gateway.answer(&call, &Nowhere, NOW);
        (step.clone(), if step == Step::Reply { gateway.output.status } else { 0 })
    };
    for target in ["/", "/health", "/v1/projects", "/ofrep/v1/evaluate/flags", "/metrics", "/.headgates/"] {
        assert_eq!(ask(&mut gateway, target, &authorization).0, Step::Travel, "{target}");
    }
    assert_eq!(ask(&mut gateway, "/.headgate/ofrep/v1/evaluate/flags", &authorization), (Step::Reply, 200));
    assert!(!gateway.output.head_text().contains("strict-transport-security"), "the site is not ours to bind");
    let other = token::mint(TokenKind::Client, Scope::Environment("q", "e"), &[9; 32]);
    let other = format!("Bearer {other}");
    for target in ["/.headgate/ofrep/v1/evaluate/flags", "/.headgate/v1/events"] {
        assert_eq!(ask(&mut gateway, target, &other), (Step::Reply, 403), "{target}");
    }
    for target in ["/.headgate/v1/projects", "/.headgate/health", "/.headgate/"] {
        assert_eq!(ask(&mut gateway, target, &authorization), (Step::Reply, 404), "{target}");
    }
    // And the other way round: what is ours does not travel.
    let own = Call { target: "/.headgate/beacon.js", ..VISIT };
    assert_eq!(gateway.travel(&own, false, &Nowhere, NOW), Step::Pass);
}

#[test]
fn while_nobody_says_whose_host_it_is_only_the_api_answers() {
    let mut gateway = gateway("{}", &[]);
    gateway.accept_host("shop.localhost", Holder::Silence, NOW);
    let mut ask = |target| (gateway.answer(&Call { target, ..VISIT }, &Nowhere, NOW), gateway.output.status);
    assert_eq!(ask("/cart"), (Step::Reply, 503));
    assert_eq!(ask("/health").0, Step::Pass);
    assert_eq!(ask("/v1/update"), (Step::Reply, 401));
    gateway.meet_host("gate.example", "gate.example");
    let step = gateway.answer(&Call { target: "/health", ..VISIT }, &Nowhere, NOW);
    assert_eq!((step, gateway.output.status), (Step::Reply, 503), "it is none of the named ones");
    assert_eq!(header(&gateway, "retry-after").as_deref(), Some("2"));
    gateway.accept_host("shop.localhost", Holder::Nobody, NOW);
    gateway.answer(&Call { target: "/health", ..VISIT }, &Nowhere, NOW);
    assert_eq!(gateway.output.status, 404);
}

#[test]
fn a_beacon_measures_for_the_unit_that_the_browser_brings() {
    let mut gateway = routed(&boolean(r#""default":"on""#));
    let body = r#"{"path":"/cart","metrics":{"page_load_ms":812,"page_errors":1}}"#;
    let beacon = Call {
        method: "POST",
        target: "/.headgate/beacon",
        origin: "https://new.example",
        cookie: "hg_unit=u1",
        body,
        size: body.len(),
        ..VISIT
    };
    assert_eq!(gateway.answer(&beacon, &Nowhere, NOW), Step::Queue);
    let message: serde_json::Value = serde_json::from_str(&gateway.output.message).expect("JSON");
    assert_eq!(message["environment"], "p/e");
    assert_eq!(message["events"][0]["unit"], "u1");
    assert_eq!(message["events"][1]["value"], 1.0);
    let mut status = |call: &Call<'_>| {
        assert_eq!(gateway.answer(call, &Nowhere, NOW), Step::Reply);
        gateway.output.status
    };
    assert_eq!(status(&Call { cookie: "", ..beacon }), 204, "nobody's report is nobody's measurement");
    assert_eq!(status(&Call { origin: "https://evil.example", ..beacon }), 403);
    assert_eq!(status(&Call { method: "GET", ..beacon }), 405);
    assert_eq!(status(&Call { body: "{}", ..beacon }), 422);
    assert_eq!(status(&Call { size: 9_999, ..beacon }), 413);
    assert_eq!(status(&Call { rate: Rate::TokenExceeded, ..beacon }), 429);
    assert_eq!(status(&Call { queue_failed: true, ..beacon }), 503);
    assert_eq!(status(&Call { method: "GET", target: "/.headgate/beacon.js", ..beacon }), 200);
}

fn update(gateway: &mut Gateway, call: Call<'_>) -> (u16, serde_json::Value) {
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let call = Call { authorization: &authorization, size: call.body.len(), ..call };
    assert_eq!(gateway.answer(&call, &Nowhere, NOW), Step::Reply);
    (gateway.output.status, serde_json::from_slice(&gateway.output.body).unwrap_or_default())
}

#[test]
fn updates_are_asked_for_by_get_and_by_post() {
    let flag = boolean(r#""rules":[{"id":"r","if":{"attribute":"group","equals":"in"},"serve":"on"}],"default":"off""#);
    let mut gateway = gateway("{}", &[("f", &flag)]);
    let get = |target| Call { method: "GET", target, ..Call::default() };
    let post = |body| Call { method: "POST", target: "/v1/update", body, ..Call::default() };
    let (status, answer) = update(&mut gateway, get("/v1/update?app=example.shop&platform=ios&version=1.9"));
    let expected = serde_json::json!({
        "channel": "ios", "revision": 1, "action": "required", "reason": "below-minimum", "rule": "/minimum",
        "target": {"release": "2.0", "version": "2.0"},
    });
    assert_eq!((status, &answer), (200, &expected));
    assert!(gateway.output.head_text().contains("cache-control\nprivate, no-cache\n"));
    let same = update(&mut gateway, post(r#"{"app":"example.shop","platform":"ios","version":"1.9","build":7}"#));
    assert_eq!(same, (200, expected));
    let reason = |answer: (u16, serde_json::Value)| answer.1["reason"].as_str().unwrap_or_default().to_owned();
    let inside = post(r#"{"channel":"ios","version":"2.0","context":{"targetingKey":"u","group":"in"}}"#);
    assert_eq!(reason(update(&mut gateway, inside)), "not-due", "the release is offered, and policy is silent");
    assert_eq!(reason(update(&mut gateway, get("/v1/update?channel=ios&version=2.0&targetingKey=u"))), "not-in-share");
    assert_eq!(reason(update(&mut gateway, get("/v1/update"))), "unknown-platform");
    assert_eq!(reason(update(&mut gateway, post(""))), "unknown-platform");
    assert_eq!(reason(update(&mut gateway, get("/v1/update?channel=gone&version=1"))), "unknown-channel");
    assert_eq!(reason(update(&mut gateway, get("/v1/update?channel=ios&version=%D9%A2"))), "unknown-version");
}

#[test]
fn a_query_takes_every_field_of_a_request() {
    let (unit, fields) = crate::http::Operation::Update.row().query.split_last().expect("not empty");
    assert_eq!((fields, *unit), (crate::update::Request::FIELDS, "targetingKey"));
}

#[test]
fn what_is_no_question_is_a_problem() {
    let mut gateway = gateway("{}", &[]);
    let mut check = |call: Call<'_>, status: u16, kind: &str| {
        let (found, problem) = update(&mut gateway, call);
        let expected = format!("urn:headgate:problem:{kind}");
        assert_eq!((found, problem["type"].as_str()), (status, Some(&*expected)), "{problem}");
        problem
    };
    let call = Call { method: "GET", target: "/v1/update", ..Call::default() };
    check(Call { target: "/v1/update?osversion=17", ..call }, 400, "bad-parameter");
    check(Call { target: "/v1/update?version=%zz", ..call }, 400, "bad-parameter");
    check(Call { target: "/v1/update?version=1&version=2", ..call }, 400, "bad-parameter");
    check(Call { method: "PUT", ..call }, 405, "method-not-allowed");
    let post = Call { method: "POST", ..call };
    check(Call { body: "{", ..post }, 400, "not-json");
    let long = format!(r#"{{"version":"{}"}}"#, "1".repeat(70_000));
    check(Call { body: &long, ..post }, 413, "too-large");
    let body = r#"{"version":1.5,"context":[],"osversion":"17","build":1,"build":2}"#;
    let problem = check(Call { body, ..post }, 422, "invalid-document");
    let places: Vec<_> =
        problem["problems"].as_array().expect("a list").iter().map(|one| one["pointer"].as_str()).collect();
    assert_eq!(places, ["/build", "/version", "/context", "/osversion"].map(Some));
}

#[test]
fn an_update_that_has_not_changed_is_not_sent_again() {
    let mut gateway = gateway(r#"{"origins":["https://app.example"]}"#, &[]);
    let call = Call { method: "GET", target: "/v1/update?channel=ios&version=1", ..Call::default() };
    update(&mut gateway, call);
    let tag = gateway.output.etag.expect("a tag");
    let text = format!("\"{tag:016x}\"");
    let (status, _) = update(&mut gateway, Call { if_none_match: &text, origin: "https://app.example", ..call });
    assert_eq!((status, gateway.output.etag, gateway.output.body.len()), (304, Some(tag), 0));
    assert!(gateway.output.head_text().contains("access-control-allow-origin\nhttps://app.example\n"));
    let (status, _) =
        update(&mut gateway, Call { if_none_match: &text, target: "/v1/update?channel=ios&version=3", ..call });
    assert_eq!(status, 200);
    assert_eq!(update(&mut gateway, Call { origin: "https://evil.example", ..call }).0, 403);
    gateway.answer(&Call { method: "OPTIONS", ..call }, &Nowhere, NOW);
    assert_eq!(gateway.output.status, 204);
    assert!(gateway.output.head_text().contains("access-control-allow-methods\nGET, POST, OPTIONS\n"));
}

#[test]
fn a_killed_environment_s_gates_are_silent() {
    let mut gateway = gateway("{}", &[]);
    let pointer = Pointer { incarnation: 1, sequence: 2, version: 7, kill: true, killed: Vec::new() };
    gateway.environments.accept_pointer("p/e", pointer, NOW).expect("taken");
    let call = Call { method: "GET", target: "/v1/update?channel=ios&version=1", ..Call::default() };
    assert_eq!(update(&mut gateway, call).1, serde_json::json!({"action": "none", "reason": "killed"}));
}

#[test]
fn events_answer_with_problems_or_results() {
    let mut gateway = gateway("{}", &[]);
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let call = Call { method: "POST", authorization: &authorization, ..Call::default() };
    let body = r#"{"events":[{"type":"exposure","unit":"u","flag":"f"},{"type":"exposure"}]}"#;
    let events = Call { target: "/v1/events", body, ..call };
    assert_eq!(gateway.answer(&events, &Nowhere, NOW), Step::Queue);
    assert_eq!(gateway.output.status, 202);
    assert!(gateway.output.message.contains(r#""environment":"p/e""#));
    assert_eq!(gateway.answer(&Call { body: r#"{"events":[{}]}"#, ..events }, &Nowhere, NOW), Step::Reply);
    assert_eq!(gateway.output.status, 422);
    let counts = gateway.take_counts();
    assert!(counts.iter().any(|count| count.endpoint == "events" && count.status == 202 && count.requests == 1));
    assert!(!gateway.has_counts());
}

#[test]
fn a_refused_request_too_has_the_pointer_refreshed() {
    let mut gateway = gateway("{}", &[]);
    let other = token::mint(TokenKind::Server, Scope::Environment("p", "e"), &[9; 32]);
    let authorization = format!("Bearer {other}");
    let call = Call { method: "POST", target: BULK, authorization: &authorization, ..Call::default() };
    assert_eq!(gateway.answer(&call, &Nowhere, NOW.plus_millis(2_000)), Step::Reply);
    assert_eq!(gateway.output.status, 401, "the token may be newer than what is held");
    assert_eq!(gateway.take_background(), Some(("p/e".into(), Read::Pointer)));
}
