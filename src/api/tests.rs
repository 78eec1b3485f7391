//! The admin API end to end, over real SQLite and without any I/O.

mod access;
mod channels;
mod documents;
mod faults;
mod history;
mod hostnames;
mod kills;
mod operations;
mod publishing;
mod random;
mod writes;

use super::world::{FLAG, OWNER, World};
use serde_json::{Value, json};

const BASE: &str = "/v1/projects/pairity/environments/production";
const NAME: &str = "pairity/production";

/// A path below production.
fn at(rest: &str) -> String {
    format!("{BASE}{rest}")
}

/// A path below staging.
fn staging(rest: &str) -> String {
    format!("/v1/projects/pairity/environments/staging{rest}")
}

/// A boolean flag with more members.
fn flag(more: &str) -> String {
    FLAG.replacen('{', &format!("{{{more},"), 1)
}

#[test]
fn the_helper_makes_flags() {
    let made: Value = serde_json::from_str(&flag(r#""client":true"#)).expect("JSON");
    assert_eq!((&made["client"], &made["variants"]), (&json!(true), &json!({"on": true, "off": false})));
}
