//! The schema names what the readers take: the same fields, words and limits. Whether single
//! documents are judged alike is tested with the table in `tests/conformance/documents`, here
//! and in `tests/schema.test.mjs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::control::document::SettingsDocument;
use headgate::control::project::{EnvironmentDocument, ProjectDocument};
use headgate::flag::{Condition, FlagDocument, SegmentDocument, Serve};
use headgate::json::{At, Node, Problems, parse};
use headgate::limits;
use headgate::route::RouteDocument;
use headgate::update::ChannelDocument;
use serde_json::Value as Json;
use serde_json::value::to_raw_value;
use std::collections::BTreeSet;

fn schema() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/project.schema.json");
    let text = std::fs::read_to_string(path).expect("the schema is there");
    serde_json::from_str(&text).expect("the schema is JSON")
}

type Read = fn(&Node<'_>, &mut Problems);

fn flag(node: &Node<'_>, problems: &mut Problems) {
    FlagDocument::read(node, &At::ROOT, problems);
}

fn condition(node: &Node<'_>, problems: &mut Problems) {
    Condition::read(node, &mut limits::CONDITIONS.clone(), &At::ROOT, problems);
}

fn serve(node: &Node<'_>, problems: &mut Problems) {
    Serve::read(node, &["on".to_owned()], &At::ROOT, problems);
}

fn settings(node: &Node<'_>, problems: &mut Problems) {
    SettingsDocument::read(node, &At::ROOT, problems);
}

fn environment(node: &Node<'_>, problems: &mut Problems) {
    EnvironmentDocument::read(&to_raw_value(node).expect("writes"), &At::ROOT, problems);
}

fn project(node: &Node<'_>, problems: &mut Problems) {
    ProjectDocument::read(&to_raw_value(node).expect("writes"), problems);
}

fn route(node: &Node<'_>, problems: &mut Problems) {
    RouteDocument::read(node, &At::ROOT, problems);
}

/// The words in backticks.
fn in_backticks(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn strings(json: &Json) -> BTreeSet<String> {
    json.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// An object of the form: its name in the schema, what reads it, the smallest text that has one
/// with a field `?`, and where in that text it is. The project itself has no name there.
type Object = (&'static str, Read, &'static str, &'static str);

fn channel(node: &Node<'_>, problems: &mut Problems) {
    ChannelDocument::read(node, &At::ROOT, problems);
}

const OBJECTS: [Object; 26] = [
    ("flag", flag, r#"{"?":1}"#, ""),
    ("prerequisite", flag, r#"{"requires":[{"?":1}]}"#, "/requires/0"),
    ("rule", flag, r#"{"rules":[{"?":1}]}"#, "/rules/0"),
    ("allocation", serve, r#"{"?":1}"#, ""),
    ("ramp", serve, r#"{"share":{"?":1}}"#, "/share"),
    ("condition", condition, r#"{"attribute":"a","exists":true,"?":1}"#, ""),
    ("segment", |node, problems| drop(SegmentDocument::read(node, &At::ROOT, problems)), r#"{"?":1}"#, ""),
    ("route", route, r#"{"?":1}"#, ""),
    ("unitSource", route, r#"{"unit":[{"?":1}]}"#, "/unit/0"),
    ("consent", route, r#"{"consent":{"?":1}}"#, "/consent"),
    ("channel", channel, r#"{"?":1}"#, ""),
    ("point", channel, r#"{"minimum":{"?":1,"build":1}}"#, "/minimum"),
    ("policy", channel, r#"{"policy":{"?":1}}"#, "/policy"),
    ("blocked", channel, r#"{"blocked":[{"?":1,"builds":"1"}]}"#, "/blocked/0"),
    ("audience", channel, r#"{"audience":{"?":1}}"#, "/audience"),
    ("release", channel, r#"{"releases":{"1":{"?":1}}}"#, "/releases/1"),
    ("sameAs", channel, r#"{"releases":{"1":{"sameAs":{"?":1}}}}"#, "/releases/1/sameAs"),
    ("observation", channel, r#"{"releases":{"1":{"availability":{"CH":{"?":1}}}}}"#, "/releases/1/availability/CH"),
    ("bundle", channel, r#"{"bundles":{"1":{"?":1}}}"#, "/bundles/1"),
    ("text", channel, r#"{"texts":{"required":{"de":{"?":1}}}}"#, "/texts/required/de"),
    ("texts", channel, r#"{"texts":{"?":1}}"#, "/texts"),
    ("maintenance", channel, r#"{"maintenance":{"?":1}}"#, "/maintenance"),
    ("settings", settings, r#"{"?":1}"#, ""),
    ("elsewhere", settings, r#"{"elsewhere":[{"?":1}]}"#, "/elsewhere/0"),
    ("environment", environment, r#"{"?":1}"#, ""),
    ("", project, r#"{"?":1}"#, ""),
];

#[test]
fn fields_are_those_that_the_readers_take() {
    let schema = schema();
    for (name, read, input, at) in OBJECTS {
        let object = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        let mut problems = Problems::default();
        read(&parse(input).expect("valid JSON"), &mut problems);
        let problems = problems.into_list();
        let unknown = problems.iter().find(|problem| problem.pointer == format!("{at}/?")).expect("`?` is unknown");
        let (_, known) = unknown.detail.split_once("this object takes").expect("says what is known");
        let fields: BTreeSet<_> = object["properties"].as_object().expect("has properties").keys().cloned().collect();
        assert_eq!(in_backticks(known), fields, "{name}");
        assert_eq!(object["additionalProperties"], false, "{name}");
        let here = problems.iter().filter(|problem| problem.pointer == at);
        let missing = here.filter_map(|problem| problem.detail.strip_suffix(" is missing"));
        let missing: BTreeSet<_> = missing.flat_map(in_backticks).collect();
        assert_eq!(missing, strings(&object["required"]), "{name}");
    }
}

#[test]
fn words_are_those_that_the_readers_know() {
    let schema = schema();
    let said = |read: Read, input: &str, what: &str| {
        let mut problems = Problems::default();
        read(&parse(input).expect("valid JSON"), &mut problems);
        let found = problems.into_list().into_iter().find_map(|problem| {
            let (_, list) = problem.detail.split_once(what)?;
            Some(in_backticks(list))
        });
        found.unwrap_or_else(|| panic!("{input} has no problem with `{what}`"))
    };
    let one_of = "must be one of";
    let word = |place: &str| strings(schema.pointer(place).unwrap_or_else(|| panic!("{place}")));
    assert_eq!(said(flag, r#"{"kind":"?"}"#, one_of), word("/$defs/flag/properties/kind/enum"));
    assert_eq!(said(flag, r#"{"type":"?"}"#, one_of), word("/$defs/flag/properties/type/enum"));
    assert_eq!(said(route, r#"{"mode":"?"}"#, one_of), word("/$defs/route/properties/mode/enum"));
    assert_eq!(said(channel, r#"{"platform":"?"}"#, one_of), word("/$defs/channel/properties/platform/enum"));
    assert_eq!(said(channel, r#"{"policy":{"major":"?"}}"#, one_of), word("/$defs/urgency/enum"));
    let source = r#"{"releases":{"1":{"availability":{"CH":{"source":"?"}}}}}"#;
    assert_eq!(said(channel, source, one_of), word("/$defs/observation/properties/source/enum"));
    let forms = schema["$defs"]["condition"]["oneOf"].as_array().expect("forms");
    let required = |list: &[Json]| list.iter().flat_map(|form| strings(&form["required"])).collect::<BTreeSet<_>>();
    assert_eq!(said(condition, "{}", "exactly one of"), required(forms));
    let operators = forms[0]["anyOf"].as_array().expect("operators");
    assert_eq!(said(condition, r#"{"attribute":"a"}"#, "at least one of"), required(operators));
    let typed = schema["$defs"]["flag"]["allOf"].as_array().expect("one for each type");
    let typed: BTreeSet<_> =
        typed.iter().filter_map(|one| Some(one.pointer("/if/properties/type/const")?.as_str()?.to_owned())).collect();
    assert_eq!(typed, word("/$defs/flag/properties/type/enum"));
}

#[test]
fn limits_are_those_of_the_product() {
    let schema = schema();
    let condition = "/$defs/condition/properties";
    let limits = [
        ("/properties/name/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/settings/properties/origins/maxItems".to_owned(), limits::ORIGINS),
        ("/$defs/settings/properties/origins/items/maxLength".to_owned(), limits::ORIGIN_LENGTH),
        ("/$defs/settings/properties/trusted/maxItems".to_owned(), limits::TAGS),
        ("/$defs/settings/properties/trusted/items/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/settings/properties/parameters/maxProperties".to_owned(), limits::PARAMETERS),
        ("/$defs/settings/properties/elsewhere/maxItems".to_owned(), limits::ELSEWHERE),
        ("/$defs/elsewhere/properties/app/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/elsewhere/properties/platform/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/environment/properties/flags/maxProperties".to_owned(), limits::FLAGS),
        ("/$defs/environment/properties/segments/maxProperties".to_owned(), limits::SEGMENTS),
        ("/$defs/environment/properties/routes/maxProperties".to_owned(), limits::ROUTES),
        ("/$defs/environment/properties/channels/maxProperties".to_owned(), limits::CHANNELS),
        ("/$defs/segment/properties/include/maxItems".to_owned(), limits::SEGMENT_UNITS),
        ("/$defs/segment/properties/exclude/maxItems".to_owned(), limits::SEGMENT_UNITS),
        ("/$defs/segment/properties/include/items/maxLength".to_owned(), limits::KEY_LENGTH * 2),
        ("/$defs/tags/maxItems".to_owned(), limits::TAGS),
        ("/$defs/tags/items/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/description/maxLength".to_owned(), limits::TEXT_LENGTH),
        ("/$defs/owner/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/flag/properties/salt/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/flag/properties/variants/maxProperties".to_owned(), limits::VARIANTS),
        ("/$defs/flag/properties/rules/maxItems".to_owned(), limits::RULES),
        ("/$defs/flag/properties/requires/maxItems".to_owned(), limits::PREREQUISITES),
        ("/$defs/route/properties/targets/maxProperties".to_owned(), limits::VARIANTS),
        ("/$defs/channel/properties/app/maxLength".to_owned(), limits::APP_LENGTH),
        ("/$defs/channel/properties/blocked/maxItems".to_owned(), limits::BLOCKED),
        ("/$defs/channel/properties/releases/maxProperties".to_owned(), limits::RELEASES),
        ("/$defs/channel/properties/bundles/maxProperties".to_owned(), limits::RELEASES),
        ("/$defs/channel/properties/storeUrl/else/maxProperties".to_owned(), limits::STOREFRONTS),
        ("/$defs/release/properties/availability/maxProperties".to_owned(), limits::STOREFRONTS),
        ("/$defs/localized/maxProperties".to_owned(), limits::LOCALES),
        ("/$defs/audience/properties/units/maxItems".to_owned(), limits::AUDIENCE),
        ("/$defs/text/properties/title/maxLength".to_owned(), limits::TEXT_LENGTH),
        ("/$defs/route/properties/host/maxLength".to_owned(), limits::HOST_LENGTH),
        ("/$defs/route/properties/path/maxLength".to_owned(), limits::PATH_LENGTH),
        ("/$defs/route/properties/unit/maxItems".to_owned(), limits::UNIT_SOURCES),
        ("/$defs/route/properties/maxAge/maximum".to_owned(), usize::try_from(limits::ROUTE_MAX_AGE).expect("small")),
        ("/$defs/route/properties/timeout/maximum".to_owned(), usize::try_from(limits::ROUTE_TIMEOUT).expect("small")),
        ("/$defs/headerName/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/attribute/maxLength".to_owned(), limits::KEY_LENGTH),
        ("/$defs/scalar/maxLength".to_owned(), limits::TEXT_LENGTH),
        (format!("{condition}/all/maxItems"), limits::CONDITIONS),
        (format!("{condition}/any/maxItems"), limits::CONDITIONS),
        (format!("{condition}/matches/maxLength"), limits::PATTERN_LENGTH),
        (format!("{condition}/in/maxItems"), limits::LIST_VALUES),
        (format!("{condition}/contains/maxItems"), limits::LIST_VALUES),
        (format!("{condition}/hasAll/maxItems"), limits::LIST_VALUES),
    ];
    for (place, limit) in limits {
        assert_eq!(schema.pointer(&place), Some(&Json::from(limit)), "{place}");
    }
    for (place, length) in [("/$defs/key", limits::KEY_LENGTH), ("/$defs/scopeKey", limits::SCOPE_KEY_LENGTH)] {
        let pattern = schema.pointer(place).and_then(|key| key["pattern"].as_str()).expect("a pattern");
        assert!(pattern.ends_with(&format!("{{1,{length}}}$")), "{place}: {pattern}");
    }
}

#[test]
fn the_manual_names_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/document.md");
    let manual = std::fs::read_to_string(path).expect("the manual is there");
    let schema = schema();
    let objects = schema["$defs"].as_object().expect("definitions").values().chain([&schema]);
    let fields: BTreeSet<_> =
        objects.filter_map(|object| object["properties"].as_object()).flat_map(|map| map.keys()).collect();
    assert!(fields.len() >= 60, "{} fields", fields.len());
    let told = |field: &str| manual.contains(&format!("`{field}`")) || manual.contains(&format!("\"{field}\": "));
    assert_eq!(fields.into_iter().filter(|field| !told(field)).collect::<Vec<_>>(), Vec::<&String>::new());
}
