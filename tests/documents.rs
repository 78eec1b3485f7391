//! Documents: the table of small ones in `tests/conformance/documents`, the examples, and the
//! agreement of `schema/project.schema.json` with the readers and the limits.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::control::document::{Document, SettingsDocument, Sort};
use headgate::control::project::{EnvironmentDocument, ProjectDocument};
use headgate::flag::{Condition, FlagDocument, FlagSet, SegmentDocument, Serve, Source};
use headgate::json::{At, Node, Problems, parse};
use headgate::limits;
use headgate::route::RouteDocument;
use headgate::time::Instant;
use headgate::update::ChannelDocument;
use headgate::update::wire::Staging;
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// What can be read and written.
trait Wire: Sized + PartialEq + Debug + Serialize {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self>;
}

macro_rules! documents {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
                <$name>::read(node, at, problems)
            }
        }
    )*};
}
documents!(FlagDocument, SegmentDocument, RouteDocument, ChannelDocument, SettingsDocument);

impl Wire for Condition {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        Condition::read(node, &mut limits::CONDITIONS.clone(), at, problems)
    }
}

impl Wire for Serve {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        Serve::read(node, &["on", "off", "c"].map(str::to_owned), at, problems)
    }
}

/// Reads a document and says where its faults are; one without fault must come back from its
/// own text as it is.
fn check<D: Wire>(node: &Node<'_>, name: &str) -> Vec<String> {
    let mut problems = Problems::default();
    let document = D::read(node, &At::ROOT, &mut problems);
    if !problems.is_empty() {
        return problems.into_list().into_iter().map(|problem| problem.pointer).collect();
    }
    let document = document.unwrap_or_else(|| panic!("{name}: neither a document nor a problem"));
    let text = serde_json::to_string(&document).expect("writes");
    let node = parse(&text).expect("what is written is JSON");
    let again = D::read(&node, &At::ROOT, &mut problems);
    assert!(problems.is_empty(), "{name}: {text} is refused: {problems:?}");
    let again = again.expect("read");
    assert_eq!(again, document, "{name}: {text}");
    assert_eq!(serde_json::to_string(&again).expect("writes"), text, "{name}");
    Vec::new()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths
}

fn text_of<'n>(node: &'n Node<'_>, name: &str) -> &'n str {
    node.get(name).and_then(Node::as_str).unwrap_or_else(|| panic!("a case has `{name}`: {node:?}"))
}

fn list_of<'n, 'a>(node: &'n Node<'a>, name: &str) -> &'n [Node<'a>] {
    match node.get(name) {
        Some(Node::Array(list)) => list,
        _ => panic!("a case has a list `{name}`: {node:?}"),
    }
}

/// Where the faults of a document of a sort are.
fn problems_of(sort: &str, node: &Node<'_>, name: &str) -> Vec<String> {
    match sort {
        "flag" => check::<FlagDocument>(node, name),
        "segment" => check::<SegmentDocument>(node, name),
        "route" => check::<RouteDocument>(node, name),
        "channel" => check::<ChannelDocument>(node, name),
        "settings" => check::<SettingsDocument>(node, name),
        "condition" => check::<Condition>(node, name),
        "serve" => check::<Serve>(node, name),
        "project" => project_problems(node),
        other => panic!("{name}: unknown sort `{other}`"),
    }
}

#[test]
fn the_table_of_documents_holds() {
    let mut names = BTreeSet::new();
    let (mut good, mut bad) = (0, 0);
    for path in list("tests/conformance/documents") {
        let text = load(&path);
        let file = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let of = text_of(&file, "of");
        assert!(!list_of(&file, "cases").is_empty(), "{} has no cases", path.display());
        for case in list_of(&file, "cases") {
            let name = format!("{of}: {}", text_of(case, "name"));
            let expected: Vec<_> =
                list_of(case, "problems").iter().map(|pointer| pointer.as_str().expect("a pointer")).collect();
            let raw = case.get("text").map(|_| parse(text_of(case, "text")).expect("the case is JSON"));
            let node = raw.as_ref().or(case.get("document")).expect("a case has a document");
            assert_eq!(problems_of(of, node, &name), expected, "{name}");
            *(if expected.is_empty() { &mut good } else { &mut bad }) += 1;
            assert!(names.insert(name.clone()), "two cases are called `{name}`");
        }
    }
    assert!(good >= 40 && bad >= 80, "the table shrank to {good} good and {bad} bad documents");
}

/// Documents as they stand in an environment.
type Documents = Vec<(Sort, String, Document)>;

/// Reads a project with all its environments.
fn read_project(node: &Node<'_>, problems: &mut Problems) -> BTreeMap<String, Documents> {
    let raw = to_raw_value(node).expect("writes");
    let Some(project) = ProjectDocument::read(&raw, problems) else { return BTreeMap::new() };
    let at = At::ROOT.member("environments");
    let mut environments = BTreeMap::new();
    for (key, raw) in project.environments {
        let read = EnvironmentDocument::read(raw, &at.member(&key), problems);
        let documents = read.documents().map(|(sort, key, document)| (sort, key.to_owned(), document)).collect();
        environments.insert(key, documents);
    }
    environments
}

fn project_problems(node: &Node<'_>) -> Vec<String> {
    let mut problems = Problems::default();
    read_project(node, &mut problems);
    problems.into_list().into_iter().map(|problem| problem.pointer).collect()
}

/// One environment of an example, read.
#[derive(Default)]
struct Environment {
    segments: BTreeMap<String, SegmentDocument>,
    flags: BTreeMap<String, FlagDocument>,
    routes: BTreeMap<String, RouteDocument>,
    channels: BTreeMap<String, ChannelDocument>,
}

impl Environment {
    /// Takes the documents apart, after each has come back from its own text as it is.
    fn new(name: &str, documents: Documents) -> Self {
        let mut new = Self::default();
        for (sort, key, document) in documents {
            let text = document.text();
            let node = parse(&text).expect("what is written is JSON");
            let mut problems = Problems::default();
            let again = sort.read(&node, &At::ROOT, &mut problems);
            assert!(problems.is_empty(), "{name}, {}: {problems:?}", sort.name(&key));
            assert_eq!(again.as_ref(), Some(&document), "{name}, {}", sort.name(&key));
            match document {
                Document::Settings(_) => {}
                Document::Segment(segment) => drop(new.segments.insert(key, segment)),
                Document::Flag(flag) => drop(new.flags.insert(key, *flag)),
                Document::Route(route) => drop(new.routes.insert(key, route)),
                Document::Channel(channel) => drop(new.channels.insert(key, *channel)),
            }
        }
        new
    }

    /// Compiles the environment as a gateway would; a new flag gets its salt when it is created.
    fn compile(&self) -> FlagSet {
        let segments: Vec<_> = self.segments.iter().map(|(key, document)| (key, json(document))).collect();
        let flags = self.flags.iter().map(|(key, document)| {
            let salt = document.salt.clone().or_else(|| Some(key.clone()));
            (key, json(&FlagDocument { salt, ..document.clone() }))
        });
        let flags: Vec<_> = flags.collect();
        FlagSet::compile(&sources(&segments), &sources(&flags), None)
    }

    /// What refers to something that is not there.
    fn dangling(&self) -> Vec<String> {
        let mut out: Vec<_> = self.compile().faults().map(|(key, detail)| format!("flags/{key}: {detail}")).collect();
        for (key, segment) in &self.segments {
            let unknown = segment.segments().into_iter().filter(|other| !self.segments.contains_key(other));
            out.extend(unknown.map(|other| format!("segments/{key}: no segment `{other}`")));
        }
        for (key, route) in &self.routes {
            let targets: BTreeSet<_> = route.targets.iter().map(|(name, _)| name).collect();
            let variants = self.flags.get(&route.flag).map(|flag| flag.variants.iter().map(|(name, _)| name).collect());
            if variants != Some(targets) {
                out.push(format!("routes/{key}: needs a target for each variant of `{}`", route.flag));
            }
        }
        for (key, channel) in &self.channels {
            let segments = channel.audience.iter().flat_map(|audience| &audience.segments);
            let unknown = segments.filter(|other| !self.segments.contains_key(*other));
            out.extend(unknown.map(|other| format!("channels/{key}: no segment `{other}`")));
            let staged = channel.releases.iter().map(|(_, release)| &release.staging);
            for staging in staged.chain(channel.bundles.iter().map(|(_, bundle)| &bundle.staging)) {
                let Staging::SameAs(same_as) = staging else { continue };
                if !self.flags.contains_key(&same_as.flag) {
                    out.push(format!("channels/{key}: no flag `{}`", same_as.flag));
                }
            }
        }
        out
    }
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("writes")
}

fn sources<'a>(list: &'a [(&String, String)]) -> Vec<Source<'a>> {
    list.iter().map(|(key, text)| Source { key, id: 0, revision: 1, text }).collect()
}

/// An example with its environments by key.
fn example(folder: &Path) -> BTreeMap<String, Environment> {
    let path = folder.join("project.json");
    let text = load(&path);
    let node = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
    assert_eq!(text_of(&node, "project"), name, "the folder is named after the project");
    assert_eq!(text_of(&node, "$schema"), "../../schema/project.schema.json");
    let mut problems = Problems::default();
    let environments = read_project(&node, &mut problems);
    assert!(problems.is_empty(), "{}: {problems:?}", path.display());
    let take = |(key, environment)| {
        let environment = Environment::new(&format!("{name}/{key}"), environment);
        (key, environment)
    };
    environments.into_iter().map(take).collect()
}

#[test]
fn every_example_is_read_written_and_compiled_without_problems() {
    let folders = list("examples");
    assert!(folders.len() >= 5, "the examples shrank to {}", folders.len());
    for folder in folders {
        let environments = example(&folder);
        assert!(environments.contains_key("production") && environments.len() >= 2, "{}", folder.display());
        for (key, environment) in &environments {
            assert_eq!(environment.dangling(), Vec::<String>::new(), "{}/{key}", folder.display());
            assert_eq!(environment.compile().len(), environment.flags.len());
            assert!(environment.flags.len() >= 4, "{}/{key} has too few flags to show anything", folder.display());
        }
    }
}

#[test]
fn no_channel_of_an_example_has_what_a_newcomer_would_get_wrong() {
    let now = Instant::parse("2026-12-01T08:00:00Z").expect("an instant");
    for folder in list("examples") {
        let mut channels = 0;
        for (environment, Environment { channels: found, .. }) in example(&folder) {
            for (key, channel) in found {
                let warnings = channel.warnings(now);
                assert!(warnings.is_empty(), "{}/{environment}/{key}: {warnings:?}", folder.display());
                channels += 1;
            }
        }
        assert!(channels > 0, "{} has no channel", folder.display());
    }
}

#[test]
fn a_reference_to_nothing_is_seen() {
    let mut environments = example(&root().join("examples/swapjoy"));
    let production = environments.get_mut("production").expect("there");
    production.segments.remove("internal");
    production.flags.remove("bundle");
    production.routes.values_mut().for_each(|route| drop(route.targets.pop()));
    let expected = ["flags/site: no segment `internal`", "routes/www: needs a target for each variant of `site`"];
    assert_eq!(production.dangling(), expected);
    let mut environments = example(&root().join("examples/pairity"));
    let production = environments.get_mut("production").expect("there");
    production.flags.remove("matching_engine_v2");
    production.segments.remove("beta-testers");
    let expected = ["channels/android-closed: no segment `beta-testers`", "channels/ios: no flag `matching_engine_v2`"];
    assert!(expected.iter().all(|expected| production.dangling().iter().any(|found| found == expected)));
}

#[test]
fn readmes_ask_for_what_is_there() {
    for folder in list("examples") {
        let readme = load(&folder.join("README.md"));
        let environments = example(&folder);
        let production = &environments["production"];
        let after = |start: &str, end: &[char]| {
            let words = readme.match_indices(start).map(|(at, _)| &readme[at + start.len()..]);
            words.map(|rest| rest.split(end).next().unwrap_or(rest).to_owned()).collect::<BTreeSet<_>>()
        };
        let flags = after("/evaluate/flags/", &[' ', '\'', '"']);
        assert!(!flags.is_empty(), "{} shows no flag", folder.display());
        for key in flags {
            let client = production.flags.get(&key).map(|flag| flag.client);
            assert_eq!(client, Some(true), "{}: a client may ask for `{key}`", folder.display());
        }
        for key in after("channel=", &['&']) {
            assert!(production.channels.contains_key(&key), "{}: channel `{key}`", folder.display());
        }
        let hosts = after("http://", &[':']);
        for host in hosts.iter().filter(|host| *host != "localhost") {
            let routed = production.routes.values().any(|route| route.host == *host);
            assert!(routed, "{}: no route for `{host}`", folder.display());
        }
    }
}

#[test]
fn every_document_in_the_manual_is_sound() {
    let manual = load(&root().join("docs/document.md"));
    let mut count = 0;
    for block in manual.split("\n```json ").skip(1) {
        let (of, rest) = block.split_once('\n').expect("a block has lines");
        let text = rest.split("```").next().unwrap_or(rest);
        let node = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(problems_of(of, &node, text), Vec::<String>::new(), "{text}");
        count += 1;
    }
    assert!(count >= 5, "only {count} documents");
    // Odd parts between backticks are code; a table escapes the bar.
    let code = manual
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.starts_with("{\""))
        .map(|code| code.replace("\\|", "|"));
    let code: Vec<_> = code.collect();
    for text in &code {
        let node = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let is_condition = ["attribute", "segment", "all", "any", "not"].iter().any(|form| node.get(form).is_some());
        let of = if is_condition { "condition" } else { "serve" };
        assert_eq!(problems_of(of, &node, text), Vec::<String>::new(), "{text}");
    }
    assert!(code.len() >= 20, "only {} conditions and allocations", code.len());
}
