use super::*;

/// The stream's URL in an answer, without scheme and host.
fn url(gateway: &mut Gateway) -> String {
    let (_, body) = ask(gateway, TokenKind::Client, "/v1/startup", r#"{"unit":"u"}"#);
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    answer["settings"]["streamUrl"].as_str().expect("a URL").to_owned()
}

fn listen(gateway: &mut Gateway, target: &str, authorization: &str, now: Instant) -> (u16, Step) {
    let call = Call { method: "GET", target, authorization, ..Call::default() };
    let step = gateway.answer(&call, &Nowhere, now);
    (gateway.output.status, step)
}

#[test]
fn a_signed_url_stands_for_its_token() {
    let mut gateway = gateway("{}", &[]);
    let url = url(&mut gateway);
    assert_eq!(listen(&mut gateway, &url, "", NOW), (200, Step::Stream));
    assert_eq!(gateway.output.message, "p/e\n1.1\nclient");
    assert!(gateway.output.head_text().starts_with("content-type\ntext/event-stream\n"));
    let escaped = url.replace("p/e", "p%2Fe") + "&lastEventId=1.9";
    assert_eq!(listen(&mut gateway, &escaped, "", NOW), (200, Step::Stream));
    assert_eq!(gateway.output.message, "p/e\n1.9\nclient");
    for hours in [1, 2] {
        let then = NOW.plus_millis(hours * 3_600_000);
        // What the isolate holds is old by then, and there is nothing else to be had.
        let call =
            Call { method: "GET", target: &url, waited: Waited { pointer: true, snapshot: true }, ..Call::default() };
        let step = gateway.answer(&call, &Nowhere, then);
        assert_eq!((gateway.output.status, step == Step::Stream), if hours == 1 { (200, true) } else { (401, false) });
    }
}

#[test]
fn forged_urls_and_bad_tokens_do_not_listen() {
    let mut gateway = gateway("{}", &[]);
    let url = url(&mut gateway);
    let forged = [
        url.replace("token=client", "token=server"),
        url.replace("expires=1", "expires=2"),
        url.replace("signature=", "signature=A"),
        url.split("&signature").next().expect("a part").to_owned(),
    ];
    for target in forged {
        assert_eq!(listen(&mut gateway, &target, "", NOW), (403, Step::Reply), "{target}");
    }
    for target in ["/v1/stream", "/v1/stream?environment=x", "/v1/stream?environment=P/../e"] {
        assert_eq!(listen(&mut gateway, target, "", NOW), (401, Step::Reply), "{target}");
    }
    assert_eq!(listen(&mut gateway, "/v1/stream?x=1", "", NOW).0, 400);
    let authorization = format!("Bearer {}", token(TokenKind::Server));
    assert_eq!(listen(&mut gateway, "/v1/stream", &authorization, NOW), (200, Step::Stream));
    let other = token::mint(TokenKind::Server, Scope::Environment("p", "e"), &[9; 32]);
    assert_eq!(listen(&mut gateway, "/v1/stream", &format!("Bearer {other}"), NOW).0, 401);
}

#[test]
fn a_revoked_token_and_a_foreign_origin_are_refused() {
    let mut gateway = gateway(r#"{"origins":["https://app.example"]}"#, &[]);
    let url = url(&mut gateway);
    let call = Call { method: "GET", target: &url, origin: "https://evil.example", ..Call::default() };
    gateway.answer(&call, &Nowhere, NOW);
    assert_eq!(gateway.output.status, 403);
    assert_eq!(gateway.answer(&Call { origin: "https://app.example", ..call }, &Nowhere, NOW), Step::Stream);
    assert!(gateway.output.head_text().contains("access-control-allow-origin\nhttps://app.example"));
    let revoked = r#"{"format":1,"incarnation":1,"version":8,"contextKeys":["AAAA"]}"#;
    gateway.environments.accept_snapshot("p/e", revoked).expect("taken");
    assert_eq!(listen(&mut gateway, &url, "", NOW), (401, Step::Reply));
}
