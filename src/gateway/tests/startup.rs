use super::*;
use serde_json::{Value, json};

const START: &str = "/v1/startup";

fn start(gateway: &mut Gateway, body: &str, tags: &str, random: u128) -> (u16, Value) {
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let base = "https://gate.example:8443";
    let call = Call {
        method: "POST",
        target: START,
        base,
        authorization: &authorization,
        if_none_match: tags,
        body,
        size: body.len(),
        ..Call::default()
    };
    assert_eq!(gateway.answer(&call, &Random(random), NOW), Step::Reply, "{body}");
    (gateway.output.status, serde_json::from_slice(&gateway.output.body).unwrap_or_default())
}

const SETTINGS: &str = r#"{"pollSeconds":60,"parameters":{"api":"https://api.example","max":3}}"#;

fn prepared() -> Gateway {
    let half = boolean(r#""client":true,"default":{"share":50,"variants":{"on":100},"else":"off"}"#);
    let new = boolean(
        r#""client":true,"rules":[{"id":"a","if":{"attribute":"app_version","semver":">=2.5"},"serve":"on"}],"default":"off""#,
    );
    gateway(SETTINGS, &[("closed", &boolean(r#""default":"on""#)), ("half", &half), ("new", &new)])
}

#[test]
fn one_answer_carries_flags_verdict_settings_and_unit() {
    let mut gateway = prepared();
    let body = r#"{"bundleId":"example.shop","version":"1.9","channel":"ios","unit":"u \"1\"","attributes":{"x":1}}"#;
    let (status, answer) = start(&mut gateway, body, "", 7);
    assert_eq!(status, 200);
    let context =
        r#"{"context":{"app":"example.shop","app_version":"1.9","channel":"ios","targetingKey":"u \"1\"","x":1}}"#;
    let (_, bulk) = ask(&mut gateway, TokenKind::Client, BULK, context);
    let bulk: Value = serde_json::from_str(&bulk).expect("JSON");
    assert_eq!(answer["flags"], bulk["flags"], "an SDK is seeded with what it would fetch");
    assert_eq!(answer["flags"].as_array().expect("flags").len(), 2);
    assert_eq!((&answer["update"]["action"], &answer["unit"]), (&json!("required"), &json!("u \"1\"")));
    let settings = &answer["settings"];
    assert_eq!(settings["parameters"], json!({"api": "https://api.example", "max": 3}));
    assert_eq!(
        (&settings["pollSeconds"], &settings["eventsUrl"]),
        (&json!(60), &json!("https://gate.example:8443/v1/events"))
    );
    assert!(
        settings["streamUrl"]
            .as_str()
            .expect("a URL")
            .starts_with("https://gate.example:8443/v1/stream?environment=p/e&")
    );
    assert!(gateway.output.head_text().contains("cache-control\nprivate, no-cache\n"));
}

#[test]
fn without_a_unit_one_is_made_and_kept_by_the_app() {
    let mut gateway = prepared();
    let (_, first) = start(&mut gateway, "{}", "", 7);
    let tag = format!("\"{:016x}\"", gateway.output.etag.expect("a tag"));
    let unit = first["unit"].as_str().expect("a unit").to_owned();
    assert_eq!(unit, format!("{:032x}", 7));
    assert_ne!(first["flags"][0]["errorCode"], "TARGETING_KEY_MISSING");
    let (status, second) = start(&mut gateway, "{}", "*", 8);
    assert_eq!((status, second["unit"].as_str()), (200, Some(format!("{:032x}", 8).as_str())), "never 304: it is new");
    let body = json!({ "unit": unit }).to_string();
    assert_eq!(start(&mut gateway, &body, &tag, 9).0, 304, "the app sends it back");
    assert_eq!(start(&mut gateway, &body, "", 9).1["flags"], first["flags"]);
    assert_eq!(start(&mut gateway, r#"{"unit":"other"}"#, &tag, 9).0, 200);
}

#[test]
fn a_url_is_answered_without_a_unit() {
    let mut gateway = prepared();
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let target = "/v1/startup?version=2.6&channel=ios";
    let call = Call { method: "GET", target, authorization: &authorization, ..Call::default() };
    assert_eq!(gateway.answer(&call, &Nowhere, NOW), Step::Reply);
    let answer: Value = serde_json::from_slice(&gateway.output.body).expect("JSON");
    assert_eq!((gateway.output.status, answer.get("unit")), (200, None));
    assert_eq!(answer["flags"][0]["errorCode"], "TARGETING_KEY_MISSING");
    assert_eq!((&answer["flags"][1]["value"], &answer["update"]["action"]), (&json!(true), &json!("none")));
    let tag = format!("\"{:016x}\"", gateway.output.etag.expect("a tag"));
    gateway.answer(&Call { if_none_match: &tag, ..call }, &Nowhere, NOW);
    assert_eq!((gateway.output.status, gateway.output.body.len()), (304, 0));
    gateway.answer(&Call { target: "/v1/startup?unit=u", ..call }, &Nowhere, NOW);
    assert_eq!(gateway.output.status, 400);
}

#[test]
fn the_entity_tag_is_of_the_answer_and_not_of_the_hour_s_signature() {
    let mut gateway = prepared();
    let tag = |gateway: &mut Gateway, body: &str| {
        start(gateway, body, "", 7);
        gateway.output.etag.expect("a tag")
    };
    let body = r#"{"unit":"u","channel":"ios","version":"2.4"}"#;
    let first = tag(&mut gateway, body);
    assert_eq!(tag(&mut gateway, body), first);
    assert_ne!(tag(&mut gateway, r#"{"unit":"u","channel":"ios","version":"1.4"}"#), first, "another verdict");
    assert_ne!(tag(&mut gateway, r#"{"unit":"v","channel":"ios","version":"2.4"}"#), first, "another unit");
    let mut other = super::gateway(r#"{"parameters":{"api":"other"}}"#, &[]);
    let mut same = super::gateway(r#"{"parameters":{"api":"x"}}"#, &[]);
    assert_ne!(tag(&mut other, body), tag(&mut same, body), "other parameters");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_places_and_nonsense_fails_open() {
    let mut gateway = prepared();
    let (status, problem) = start(&mut gateway, r#"{"unit":7,"version":true}"#, "", 7);
    assert_eq!((status, problem["problems"].as_array().expect("a list").len()), (422, 2));
    assert_eq!(start(&mut gateway, "[1]", "", 7).0, 422);
    assert_eq!(start(&mut gateway, "{", "", 7).0, 400);
    assert_eq!(start(&mut gateway, &format!(r#"{{"unit":"{}"}}"#, "x".repeat(70_000)), "", 7).0, 413);
    for nonsense in ["", "1..2", &"9".repeat(400), "٣.٤", "banana"] {
        let body =
            json!({"unit": "u", "version": nonsense, "platform": "toaster", "locale": "\u{0}", "channel": "ios"});
        let (status, answer) = start(&mut gateway, &body.to_string(), "", 7);
        assert_eq!((status, &answer["update"]["action"]), (200, &json!("none")), "{nonsense}");
    }
}

#[test]
fn facts_obey_the_rules_of_trust() {
    let flag = boolean(
        r#""client":true,"rules":[{"id":"a","if":{"attribute":"channel","equals":"internal"},"serve":"on"}],"default":"off""#,
    );
    let mut gateway = gateway(r#"{"trusted":["channel"]}"#, &[("f", &flag)]);
    let (_, answer) = start(&mut gateway, r#"{"unit":"u","channel":"internal"}"#, "", 7);
    assert_eq!(answer["flags"][0]["value"], false, "a client may not claim what its environment trusts");
}

#[test]
fn an_app_is_sent_elsewhere_by_bundle_id_and_build() {
    let staging = token::mint(TokenKind::Client, Scope::Environment("p", "staging"), &[b'c'; 32]);
    let settings = format!(r#"{{"elsewhere":[{{"app":"a.b","builds":"512","token":"{staging}"}}]}}"#);
    let (on, off) = (boolean(r#""client":true,"default":"on""#), boolean(r#""client":true,"default":"off""#));
    let mut gateway = gateway(&settings, &[("f", &off)]);
    let under_review = r#"{"unit":"u","bundleId":"a.b","build":512}"#;
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let call = Call {
        method: "POST",
        target: START,
        authorization: &authorization,
        body: under_review,
        waited: Waited { pointer: true, snapshot: true },
        ..Call::default()
    };
    assert_eq!(
        gateway.answer(&call, &Nowhere, NOW),
        Step::Wait("p/staging".into(), Read::Pointer),
        "it is not here yet"
    );
    let away = Call { waited_elsewhere: Waited { pointer: true, snapshot: true }, ..call };
    assert_eq!(gateway.answer(&away, &Nowhere, NOW), Step::Reply, "and cannot be had: the own one answers");
    hold(&mut gateway, "p/staging", "{}", &[("f", &on)]);
    let (_, answer) = start(&mut gateway, under_review, "", 7);
    assert_eq!((&answer["flags"][0]["value"], &answer["settings"]["token"]), (&json!(true), &json!(staging)));
    assert!(answer["settings"]["streamUrl"].as_str().expect("a URL").contains("environment=p/staging&"));
    let (_, answer) = start(&mut gateway, r#"{"unit":"u","bundleId":"a.b","build":511}"#, "", 7);
    assert_eq!((&answer["flags"][0]["value"], answer["settings"].get("token")), (&json!(false), None));
    let revoked = r#"{"format":1,"incarnation":1,"version":8}"#;
    gateway.environments.accept_snapshot("p/staging", revoked).expect("taken");
    let (status, answer) = start(&mut gateway, under_review, "", 7);
    assert_eq!((status, answer["settings"].get("token")), (200, None), "its token is good no more");
}

#[test]
fn a_token_may_ask_for_what_open_feature_has_besides_flags() {
    let flag = boolean(r#""client":true,"default":"on""#);
    let mut gateway = gateway("{}", &[("f", &flag)]);
    let (_, plain) = ask(&mut gateway, TokenKind::Client, BULK, "{}");
    assert_eq!(serde_json::from_str::<Value>(&plain).expect("JSON").as_object().expect("an object").len(), 1);
    let (_, rich) = ask(&mut gateway, TokenKind::Server, BULK, "{}");
    let rich: Value = serde_json::from_str(&rich).expect("JSON");
    assert_eq!(rich["metadata"], json!({"flagSetId": "p/e", "version": "7"}));
    assert_eq!(
        (&rich["eventStreams"][0]["type"], &rich["eventStreams"][0]["inactivityDelaySec"]),
        (&json!("sse"), &json!(120))
    );
    assert!(rich["eventStreams"][0]["url"].as_str().expect("a URL").ends_with("&since=1.1"));
}

#[test]
fn whoever_was_told_of_a_change_waits_for_it() {
    let mut gateway = prepared();
    let authorization = format!("Bearer {}", token(TokenKind::Client));
    let wait = Step::Wait("p/e".into(), Read::PointerFrom(1, 2));
    for target in ["/v1/startup?flagConfigEtag=%221.2%22", "/ofrep/v1/evaluate/flags?flagConfigEtag=%221.2%22"] {
        let call = Call { method: "POST", target, authorization: &authorization, ..Call::default() };
        assert_eq!(gateway.answer(&call, &Nowhere, NOW), wait, "{target}");
        let waited = Call { waited: Waited { pointer: true, snapshot: false }, ..call };
        gateway.environments.accept_failure("p/e", NOW);
        assert_eq!((gateway.answer(&waited, &Nowhere, NOW), gateway.output.status), (Step::Reply, 503));
        let pointer = Pointer { incarnation: 1, sequence: 1, version: 7, kill: false, killed: Vec::new() };
        gateway.environments.accept_pointer("p/e", pointer, NOW).expect("taken");
    }
}
