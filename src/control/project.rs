//! The project document: one shape for files, import and export.
//!
//! It may be as large as a quarter of the memory there is. So it is never read into a tree as a
//! whole: its outer levels are split into texts, and each flag, segment… is read by itself.

use super::document::{Document, Sort};
use crate::http::Kind;
use crate::id::{KeyError, check_key, check_scope_key};
use crate::json::{At, Node, ParseError, Problems, parse, text};
use crate::limits;
use crate::token::DEPLOYMENT;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// The members of an object, duplicates included, each still a text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Splitter;

        impl<'de> Visitor<'de> for Splitter {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Splitter)
    }
}

/// Splits an object; anything else, and a key given twice, is a problem.
fn members<'a>(raw: &'a RawValue, at: &At<'_>, problems: &mut Problems) -> Option<Vec<(String, &'a RawValue)>> {
    let Ok(Members(members)) = serde_json::from_str(raw.get()) else {
        let kind = parse(raw.get()).map_or("that", |node| node.kind());
        problems.add(at, format!("must be an object, not {kind}"));
        return None;
    };
    let mut seen = HashSet::with_capacity(members.len());
    for (key, _) in &members {
        if !seen.insert(key.as_str()) {
            problems.add(&at.member(key), "key is given twice");
        }
    }
    Some(members)
}

fn find<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw)
}

/// Notes members that the object does not have.
fn check_known(members: &[(String, &RawValue)], known: &[&str], at: &At<'_>, problems: &mut Problems) {
    for (key, _) in members.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        problems.add(&at.member(key), format!("unknown field; this object takes {known}"));
    }
}

/// Reads one part as a tree.
fn read<T>(
    raw: &RawValue,
    at: &At<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&Node<'_>, &At<'_>, &mut Problems) -> Option<T>,
) -> Option<T> {
    match parse(raw.get()) {
        Ok(node) => read(&node, at, problems),
        Err(error) => {
            problems.add(at, error.message);
            None
        }
    }
}

/// A text that must be JSON; nothing more is looked at.
pub fn split(text: &str) -> Result<&RawValue, ParseError> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        ParseError { line: error.line(), column: error.column(), message }
    })
}

/// A project document whose environments are still to be read.
#[derive(Debug)]
pub struct ProjectDocument<'a> {
    /// The project's key.
    pub project: String,
    /// What people call it.
    pub name: Option<String>,
    /// The environments by key, in the order written.
    pub environments: Vec<(String, &'a RawValue)>,
}

impl<'a> ProjectDocument<'a> {
    /// Reads the outer part, noting every fault.
    pub fn read(raw: &'a RawValue, problems: &mut Problems) -> Option<Self> {
        let at = &At::ROOT;
        let outer = members(raw, at, problems)?;
        let line = |name: &str, limit: usize, problems: &mut Problems| {
            let line = |node: &Node<'_>, at: &At<'_>, problems: &mut Problems| {
                text(node, limit, at, problems).map(str::to_owned)
            };
            find(&outer, name).and_then(|raw| read(raw, &at.member(name), problems, line))
        };
        let required = |name: &str, problems: &mut Problems| {
            if find(&outer, name).is_none() {
                problems.add(at, format!("`{name}` is missing"));
            }
        };
        line("$schema", limits::TEXT_LENGTH, problems);
        required("project", problems);
        let project = line("project", limits::TEXT_LENGTH, problems);
        if let Some(key) = &project {
            check_project(key, &at.member("project"), problems);
        }
        let name = line("name", limits::KEY_LENGTH, problems);
        required("environments", problems);
        let here = at.member("environments");
        let environments = find(&outer, "environments").and_then(|raw| members(raw, &here, problems));
        check_known(&outer, &["$schema", "project", "name", "environments"], at, problems);
        let environments = environments.unwrap_or_default();
        for (key, _) in &environments {
            if let Err(error) = check_scope_key(key) {
                problems.add(&here.member(key), format!("an environment's key {}", spell(error)));
            }
        }
        Some(Self { project: project?, name, environments })
    }

    /// Reads all environments too, noting every fault.
    pub fn check(&self, problems: &mut Problems) {
        let here = At::ROOT.member("environments");
        for (key, raw) in &self.environments {
            EnvironmentDocument::read(raw, &here.member(key), problems);
        }
    }
}

/// Notes a project's key that is none, or is reserved.
pub fn check_project(key: &str, at: &At<'_>, problems: &mut Problems) {
    if let Err(error) = check_scope_key(key) {
        problems.add(at, format!("a project's key {}", spell(error)));
    } else if key == DEPLOYMENT {
        problems.add(at, format!("`{DEPLOYMENT}` is reserved"));
    }
}

fn spell(error: KeyError) -> String {
    match error {
        KeyError::Character => "may hold only `a`-`z`, `0`-`9` and `-`".to_owned(),
        other => other.to_string(),
    }
}

/// The documents of one environment, in the order written, each still a text.
#[derive(Debug, Default)]
pub struct EnvironmentDocument<'a> {
    parts: Vec<(Sort, String, &'a RawValue)>,
}

impl<'a> EnvironmentDocument<'a> {
    /// Reads an environment and every document in it, noting every fault.
    pub fn read(raw: &'a RawValue, at: &At<'_>, problems: &mut Problems) -> Self {
        let Some(outer) = members(raw, at, problems) else { return Self::default() };
        let mut parts = Vec::new();
        if let Some(raw) = find(&outer, "settings") {
            let at = at.member("settings");
            read(raw, &at, problems, |node, at, problems| Sort::Settings.read(node, at, problems));
            parts.push((Sort::Settings, String::new(), raw));
        }
        for kind in Kind::ALL {
            let Some(raw) = find(&outer, kind.plural()) else { continue };
            let at = at.member(kind.plural());
            for (key, raw) in members(raw, &at, problems).unwrap_or_default() {
                let at = at.member(&key);
                if let Err(error) = check_key(&key) {
                    problems.add(&at, format!("the key {error}"));
                }
                read(raw, &at, problems, |node, at, problems| Sort::Of(kind).read(node, at, problems));
                parts.push((Sort::Of(kind), key, raw));
            }
        }
        let known = ["settings"].into_iter().chain(Kind::ALL.map(Kind::plural));
        check_known(&outer, &known.collect::<Vec<_>>(), at, problems);
        Self { parts }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sort, key (empty for the settings) and document, one after the other; those with faults
    /// are left out.
    pub fn documents(&self) -> impl Iterator<Item = (Sort, &str, Document)> {
        self.parts.iter().filter_map(|(sort, key, raw)| {
            let mut problems = Problems::default();
            let document = read(raw, &At::ROOT, &mut problems, |node, at, problems| sort.read(node, at, problems));
            document.filter(|_| problems.is_empty()).map(|document| (*sort, key.as_str(), document))
        })
    }

    /// Whether a document is named.
    pub fn names(&self) -> HashSet<(Sort, &str)> {
        self.parts.iter().map(|(sort, key, _)| (*sort, key.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(input: &str) -> Vec<String> {
        let mut problems = Problems::default();
        if let Some(project) = ProjectDocument::read(split(input).expect("JSON"), &mut problems) {
            project.check(&mut problems);
        }
        problems.into_list().into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn all_problems_of_all_environments_are_found_at_once() {
        let input = r#"{"$schema":"x","project":"Pairity","environments":{
            "production":{"flags":{"a b":{},"a b":1},"settings":{"origins":["x"]}},
            "Staging":{"flag":{}}},"extra":1}"#;
        let mut found = places(input);
        found.dedup();
        let expected = [
            "/project",
            "/extra",
            "/environments/Staging",
            "/environments/production/settings/origins/0",
            "/environments/production/flags/a b",
            "/environments/Staging/flag",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_is_no_project_is_said_to_be_none() {
        for (input, expected) in
            [("[]", &[""][..]), ("{}", &["", ""]), (r#"{"project":"p","environments":3}"#, &["/environments"])]
        {
            assert_eq!(&places(input)[..expected.len()], expected, "{input}");
        }
        let error = split("{\n\"a\":}").expect_err("not JSON");
        assert_eq!((error.line, error.column), (2, 5));
        assert_eq!(
            places(r#"{"project":"deployment","environments":{"e":{"flags":{"x":{"type":1e999}}}}}"#),
            ["/project", "/environments/e/flags/x"]
        );
    }
}
