//! Import, export, comparison and copy.

use super::*;

const DOCUMENT: &str = r#"{"project":"swapjoy","name":"SwapJoy","environments":{
    "production":{
        "settings":{"origins":["https://swapjoy.example"]},
        "segments":{"beta":{"include":["u-17"],"if":{"attribute":"group","in":["internal","beta"]}}},
        "flags":{
            "site":{"type":"boolean","variants":{"on":true,"off":false},"off":"off","client":true,
                "rules":[{"id":"beta","if":{"segment":"beta"},"serve":"on"}],"default":"off"},
            "next":{"type":"boolean","variants":{"on":true,"off":false},"off":"off","requires":[{"flag":"site","is":"on"}],"default":"on"}},
        "routes":{"web":{"host":"swapjoy.example","flag":"site","targets":{"on":"https://green.example","off":"https://blue.example"}}},
        "channels":{"ios":{"platform":"ios","minimum":"2.0.0"}}},
    "staging":{}}}"#;

fn swapjoy(rest: &str) -> String {
    format!("/v1/projects/swapjoy/environments/{rest}")
}

#[test]
fn a_project_document_makes_what_is_missing_and_repeating_it_changes_nothing() {
    let world = World::new();
    let dry = world.owner("POST", "/v1/import?dryRun=true", DOCUMENT).expect(200);
    assert_eq!(dry.json["environments"]["production"]["created"], 6);
    world.owner("GET", "/v1/projects/swapjoy", "").expect(404);
    world.owner("GET", &swapjoy("production"), "").expect(404);
    let report = world.owner("POST", "/v1/import", DOCUMENT).expect(200);
    assert_eq!(report.json["environments"]["production"]["created"], 6);
    let project = world.owner("GET", "/v1/projects/swapjoy", "").expect(200);
    assert_eq!(
        (&project.json["name"], &project.json["environments"]),
        (&json!("SwapJoy"), &json!(["production", "staging"]))
    );
    let state = world.owner("GET", &swapjoy("production"), "").json;
    let again = world.owner("POST", "/v1/import", DOCUMENT).expect(200);
    let report = &again.json["environments"]["production"];
    assert_eq!((&report["created"], &report["updated"], &report["unchanged"]), (&json!(0), &json!(0), &json!(6)));
    assert_eq!(world.owner("GET", &swapjoy("production"), "").json["version"], state["version"]);
}

#[test]
fn an_import_with_a_fault_anywhere_changes_nothing_anywhere() {
    let world = World::new();
    let bad = DOCUMENT.replace(r#""staging":{}"#, r#""staging":{"flags":{"x":{"type":"boolean","variants":{"a":true},"off":"a","default":"a","requires":[{"flag":"gone","is":"on"}]}}}"#);
    let refused = world.owner("POST", "/v1/import", &bad).expect(422);
    assert_eq!(refused.json["problems"][0]["pointer"], "/environments/staging/flags/x/requires/0");
    world.owner("GET", "/v1/projects/swapjoy", "").expect(404);
    world.owner("GET", &swapjoy("production"), "").expect(404);
    let twice =
        r#"{"project":"swapjoy","environments":{"a":{"flags":{"x":{},"x":{}}},"deployment":{},"A":{}},"more":1}"#;
    let refused = world.owner("POST", "/v1/import", twice).expect(422);
    let places: Vec<_> =
        refused.json["problems"].as_array().expect("list").iter().map(|p| p["pointer"].as_str()).collect();
    assert!(places.contains(&Some("/environments/a/flags/x")) && places.contains(&Some("/more")), "{places:?}");
}

#[test]
fn what_was_exported_comes_back_the_same() {
    let world = World::populated();
    world.owner("POST", "/v1/import", DOCUMENT).expect(200);
    let export = world.owner("GET", &swapjoy("production/export"), "").expect(200);
    // A hostname is one environment's alone.
    let [here, there] = ["swapjoy", "copy"].map(|name| format!(r#""host":"{name}.example""#));
    let body = export.reply.body.replace(r#""production":"#, r#""copy":"#);
    let refused = world.owner("POST", "/v1/import", &body).expect(409);
    assert_eq!(refused.json["problems"][0]["pointer"], "/environments/copy/routes/web/host");
    world.owner("GET", &swapjoy("copy"), "").expect(404);
    world.owner("POST", "/v1/import", &body.replace(&here, &there)).expect(200);
    let copy = world.owner("GET", &swapjoy("copy/export"), "").expect(200);
    assert_eq!(copy.reply.body.replace(r#""copy":"#, r#""production":"#).replace(&there, &here), export.reply.body);
    let difference = world.owner("GET", &swapjoy("production/compare?with=copy"), "").expect(200);
    assert_eq!(difference.json["changes"].as_array().map(Vec::len), Some(1));
    assert!(difference.reply.body.contains("/routes/web/host"), "{}", difference.reply.body);
    // One environment alone is taken for the one that it is sent to.
    let free = r#""host":"free.example""#;
    world.owner("POST", &at("/import"), &export.reply.body.replace(&here, free)).expect(200);
    let export_here = world.owner("GET", &at("/export"), "").reply.body;
    assert_eq!(export_here.replace("pairity", "swapjoy").replace(free, &here), export.reply.body);
}

#[test]
fn replacing_deletes_what_is_not_named_and_a_dry_run_only_says_so() {
    let world = World::new();
    world.owner("POST", "/v1/import", DOCUMENT).expect(200);
    let less = r#"{"project":"swapjoy","environments":{"production":{"flags":{"site":{"type":"boolean","variants":{"on":true,"off":false},"off":"off","client":false,"default":"off"}}}}}"#;
    let target = swapjoy("production/import?mode=replace");
    let dry = world.owner("POST", &format!("{target}&dryRun=true"), less).expect(200);
    assert_eq!((&dry.json["deleted"], &dry.json["updated"], &dry.json["dryRun"]), (&json!(5), &json!(1), &json!(true)));
    let changes = dry.json["changes"].as_array().expect("changes").iter().find(|line| line["entity"] == "flags/site");
    let paths: Vec<_> = changes.expect("one")["changes"].as_array().expect("list").iter().map(|c| &c["path"]).collect();
    assert_eq!(paths, ["/client", "/rules"]);
    world.owner("GET", &swapjoy("production/flags/next"), "").expect(200);
    world.owner("POST", &swapjoy("production/import"), less).expect(200);
    world.owner("GET", &swapjoy("production/flags/next"), "").expect(200);
    world.owner("POST", &target, less).expect(200);
    world.owner("GET", &swapjoy("production/flags/next"), "").expect(404);
    world.owner("GET", &swapjoy("production/channels/ios"), "").expect(404);
}

#[test]
fn a_copy_brings_segments_and_leaves_salts() {
    let world = World::populated();
    world.owner("PUT", &staging("/segments/inner"), r#"{"include":["u"]}"#).expect(201);
    world.owner("PUT", &staging("/segments/beta"), r#"{"if":{"segment":"inner"}}"#).expect(201);
    let rules = r#""rules":[{"id":"b","if":{"segment":"beta"},"serve":"on"}]"#;
    let there = world.owner("PUT", &staging("/flags/chat"), &flag(rules)).expect(201).json;
    world.owner("PUT", &staging("/flags/other"), &flag(r#""requires":[{"flag":"absent","is":"on"}]"#)).expect(422);
    let fresh = world.owner("PUT", &staging("/flags/fresh"), FLAG).expect(201).json;
    let here = world.owner("PUT", &at("/flags/chat"), FLAG).expect(201).json;
    let dry = world.owner("POST", &at("/copy"), r#"{"from":"staging","flags":["chat"],"dryRun":true}"#).expect(200);
    assert_eq!((&dry.json["created"], &dry.json["updated"]), (&json!(2), &json!(1)));
    world.owner("GET", &at("/segments/beta"), "").expect(404);
    world.owner("POST", &at("/copy"), r#"{"from":"staging","flags":["chat","fresh"]}"#).expect(200);
    let copied = world.owner("GET", &at("/flags/chat"), "").json;
    assert_eq!((&copied["rules"], &copied["salt"]), (&there["rules"], &here["salt"]));
    assert_eq!(world.owner("GET", &at("/flags/fresh"), "").json["salt"], fresh["salt"]);
    world.owner("GET", &at("/segments/inner"), "").expect(200);
    world.owner("POST", &at("/copy"), r#"{"from":"staging","flags":["gone"]}"#).expect(404);
    world.owner("POST", &at("/copy"), r#"{"from":"nowhere","flags":["chat"]}"#).expect(404);
    let audit = world.owner("GET", &at("/audit?entity=flags/chat&limit=1"), "").json;
    assert_eq!(audit["items"][0]["action"], "copy");
}

#[test]
fn ten_thousand_flags_come_in_and_go_out() {
    let world = World::populated();
    let mut flags = serde_json::Map::new();
    for index in 0..10_000 {
        flags.insert(format!("f{index}"), serde_json::from_str(FLAG).expect("JSON"));
    }
    let body = json!({"project": "pairity", "environments": {"production": {"flags": flags}}}).to_string();
    assert_eq!(
        world.owner("POST", "/v1/import", &body).expect(200).json["environments"]["production"]["created"],
        10_000
    );
    world.pump(NAME);
    let pages = std::iter::successors(Some(world.owner("GET", &at("/flags?limit=200"), "").json), |page| {
        let next = page["next"].as_str()?;
        Some(world.owner("GET", &at(&format!("/flags?limit=200&after={next}")), "").json)
    });
    assert_eq!(pages.map(|page| page["items"].as_array().map_or(0, Vec::len)).sum::<usize>(), 10_000);
}

#[test]
fn the_example_products_come_in_go_out_and_compile() {
    use crate::flag::{FlagSet, Source};
    fn source((key, id, text): &(String, u32, String)) -> Source<'_> {
        Source { key, id: *id, revision: 1, text }
    }
    let examples = [
        include_str!("../../../examples/avalo/project.json"),
        include_str!("../../../examples/pairity/project.json"),
        include_str!("../../../examples/pinky-promise/project.json"),
        include_str!("../../../examples/pulse/project.json"),
        include_str!("../../../examples/swapjoy/project.json"),
    ];
    let world = World::new();
    for example in examples {
        let report = world.owner("POST", "/v1/import", example).expect(200).json;
        let project = report["project"].as_str().expect("a key");
        for environment in report["environments"].as_object().expect("environments").keys() {
            let name = format!("{project}/{environment}");
            let export = world.owner("GET", &format!("/v1/projects/{project}/environments/{environment}/export"), "");
            let again = world.owner("POST", "/v1/import?mode=replace", &export.expect(200).reply.body).expect(200).json;
            assert_eq!(again["environments"][environment]["changes"], json!([]), "{name}");
            let text = world.send("environment", &name, r#"{"snapshot":{"version":null}}"#).reply.expect("one");
            let snapshot: Value = serde_json::from_str(&text).expect("JSON");
            let texts = |kind: &str| -> Vec<(String, u32, String)> {
                let items = snapshot[kind].as_array().expect("a list").iter();
                let id = |item: &Value| u32::try_from(item["id"].as_u64().unwrap_or(0)).expect("small");
                items
                    .map(|i| (i["key"].as_str().expect("a key").to_owned(), id(i), i["document"].to_string()))
                    .collect()
            };
            let (segments, flags) = (texts("segments"), texts("flags"));
            let segments: Vec<_> = segments.iter().map(source).collect();
            let flags: Vec<_> = flags.iter().map(source).collect();
            let set = FlagSet::compile(&segments, &flags, None);
            assert_eq!(set.len(), flags.len());
            assert_eq!(set.faults().collect::<Vec<_>>(), []);
        }
    }
}
