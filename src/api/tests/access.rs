//! Who may do what.

use super::*;

fn make(world: &World, target: &str, body: &str) -> String {
    world.owner("POST", target, body).expect(201).json["token"].as_str().expect("a token").to_owned()
}

fn admin(role: &str) -> String {
    format!(r#"{{"kind":"admin","role":"{role}","name":"{role}"}}"#)
}

#[test]
fn a_token_that_is_not_good_here_learns_nothing() {
    let world = World::populated();
    let foreign = make(&world, &staging("/tokens"), &admin("owner"));
    let client = make(&world, &at("/tokens"), r#"{"kind":"client","name":"app"}"#);
    let expiring = format!(
        r#"{{"kind":"admin","role":"owner","name":"x","expiresAt":"{}"}}"#,
        crate::time::Instant::from_millis(world.now.get() + 1_000)
    );
    let expired = make(&world, &at("/tokens"), &expiring);
    world.with_token(Some(&expired), "GET", &at("/flags"), "").expect(200);
    world.pass(1_000);
    let unknown = crate::token::mint(
        crate::token::TokenKind::Admin,
        crate::token::Scope::Environment("pairity", "production"),
        &[7; 32],
    );
    let nowhere = crate::token::mint(
        crate::token::TokenKind::Admin,
        crate::token::Scope::Environment("nobody", "nowhere"),
        &[7; 32],
    );
    let bodies: Vec<String> = [None, Some(foreign.as_str()), Some(&client), Some(&expired), Some(&unknown), Some("x")]
        .into_iter()
        .map(|token| world.with_token(token, "GET", &at("/flags"), "").expect(401).reply.body)
        .collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let there = world.with_token(Some(&nowhere), "GET", "/v1/projects/nobody/environments/nowhere/flags", "");
    assert_eq!(there.expect(401).reply.body, bodies[0]);
    let memory = world.memory("environment", "nobody/nowhere");
    assert_eq!(crate::control::schema::exists(&*memory), Ok(false), "a made-up name leaves no trace");
}

#[test]
fn roles_reach_as_far_as_they_say() {
    let world = World::populated();
    world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    let settings = r#"{"project":"p","environments":{"x":{"settings":{"origins":["*"]}}}}"#;
    let calls: [(&str, String, &str, usize); 10] = [
        ("GET", at("/flags/chat"), "", 0),
        ("GET", at("/audit"), "", 0),
        ("PATCH", at("/flags/chat"), r#"{"enabled":true}"#, 1),
        ("POST", at("/flags/chat/kill"), "", 1),
        ("POST", at("/unkill"), "", 1),
        ("PUT", at("/settings"), "{}", 2),
        ("POST", at("/import?dryRun=true"), settings, 2),
        ("GET", at("/tokens"), "", 3),
        ("GET", at("/context-key"), "", 3),
        ("POST", at("/tokens"), r#"{"kind":"server","name":"s"}"#, 3),
    ];
    for (level, role) in ["viewer", "editor", "approver", "owner"].into_iter().enumerate() {
        let own = make(&world, &at("/tokens"), &admin(role));
        let everywhere = make(&world, "/v1/tokens", &admin(role));
        for token in [own, everywhere] {
            for (method, target, body, needed) in &calls {
                let found = world.with_token(Some(&token), method, target, body);
                assert_eq!(found.status == 403, level < *needed, "{role} {method} {target}: {}", found.reply.body);
                assert_ne!(found.status, 401);
            }
        }
    }
}

#[test]
fn deployment_tokens_are_good_everywhere_and_environment_tokens_are_not() {
    let world = World::populated();
    let viewer = make(&world, "/v1/tokens", &admin("viewer"));
    world.with_token(Some(&viewer), "GET", "/v1/projects", "").expect(200);
    world.with_token(Some(&viewer), "GET", &at("/compare?with=staging"), "").expect(200);
    world.with_token(Some(&viewer), "PUT", "/v1/projects/new", "").expect(403);
    world.with_token(Some(&viewer), "POST", "/v1/import", r#"{"project":"x","environments":{}}"#).expect(403);
    let own = make(&world, &at("/tokens"), &admin("owner"));
    world.with_token(Some(&own), "GET", "/v1/projects", "").expect(401);
    world.with_token(Some(&own), "GET", &at("/compare?with=staging"), "").expect(401);
    assert_eq!(world.owner("POST", "/v1/tokens", r#"{"kind":"client","name":"x"}"#).status, 422);
    let list = world.owner("GET", "/v1/tokens", "").expect(200);
    assert!(!list.reply.body.contains("hga_") && !list.reply.body.contains("sha256"));
    world.owner("DELETE", "/v1/tokens/t1", "").expect(204);
    world.with_token(Some(&viewer), "GET", "/v1/projects", "").expect(401);
    world.owner("DELETE", "/v1/tokens/t1", "").expect(404);
}

#[test]
fn rotation_keeps_the_old_token_for_the_overlap() {
    let world = World::populated();
    let old = make(&world, &at("/tokens"), &admin("editor"));
    let made = world.owner("POST", &at("/tokens/t1/rotate"), r#"{"overlap":60,"reason":"90 days"}"#).expect(201).json;
    let new = made["token"].as_str().expect("a token");
    assert_eq!((&made["role"], &made["replaces"]["id"]), (&json!("editor"), &json!("t1")));
    for (token, before, after) in [(old.as_str(), 200, 401), (new, 200, 200)] {
        world.with_token(Some(token), "GET", &at("/flags"), "").expect(before);
        world.pass(60_000);
        world.with_token(Some(token), "GET", &at("/flags"), "").expect(after);
        world.pass(-60_000);
    }
    let audit = world.owner("GET", &at("/audit?entity=tokens/t2"), "").json;
    assert_eq!((&audit["items"][0]["action"], &audit["items"][0]["reason"]), (&json!("rotate"), &json!("90 days")));
    assert!(!audit.to_string().contains("hga_"));
}
