//! The admin API end to end, over real SQLite and without any I/O.

use super::world::{FLAG, World};

const BASE: &str = "/v1/projects/pairity/environments/production";
const NAME: &str = "pairity/production";

fn at(rest: &str) -> String {
    format!("{BASE}{rest}")
}

#[test]
fn a_flag_is_put_changed_killed_and_reaches_the_edge() {
    let world = World::populated();
    let made = world.owner("PUT", &at("/flags/chat"), FLAG).expect(201);
    assert!(made.json["salt"].is_string());
    assert_eq!(made.reply.header("headgate-killed"), Some("false"));
    assert!(world.pump(NAME));
    let pointer = world.pointer(NAME);
    let key = format!("snapshot/pairity.production/1/1.{}", pointer["version"]);
    let snapshot: serde_json::Value = serde_json::from_str(&world.kv.borrow()[&key]).expect("JSON");
    assert_eq!(snapshot["flags"][0]["key"], "chat");
    let killed = world.owner("POST", &at("/flags/chat/kill"), r#"{"reason":"broken"}"#).expect(200);
    assert_eq!(killed.json["killed"], true);
    assert_eq!(world.pointer(NAME)["killed"], serde_json::json!([snapshot["flags"][0]["id"]]), "before any pump");
}
