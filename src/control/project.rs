//! The project document: one shape for files, import and export.

use super::document::{Document, Sort};
use crate::http::Kind;
use crate::id::{check_key, check_scope_key};
use crate::json::{At, Fields, Node, Problems, entries, text};
use crate::limits;
use crate::token::DEPLOYMENT;

/// A project document whose environments are still to be read.
#[derive(Debug)]
pub struct ProjectDocument<'n, 'a> {
    /// The project's key.
    pub project: String,
    /// What people call it.
    pub name: Option<String>,
    /// The environments by key, in the order written.
    pub environments: Vec<(String, &'n Node<'a>)>,
}

impl<'n, 'a> ProjectDocument<'n, 'a> {
    /// Reads the outer part, noting every fault.
    pub fn read(node: &'n Node<'a>, problems: &mut Problems) -> Option<Self> {
        let at = &At::ROOT;
        let mut fields = Fields::open(node, at, problems)?;
        fields.optional("$schema").map(|node| text(node, limits::TEXT_LENGTH, &at.member("$schema"), problems));
        let project = fields.required("project", at, problems).and_then(|node| {
            let key = text(node, limits::TEXT_LENGTH, &at.member("project"), problems)?;
            check_project(key, &at.member("project"), problems);
            Some(key.to_owned())
        });
        let name =
            fields.optional("name").and_then(|node| text(node, limits::KEY_LENGTH, &at.member("name"), problems));
        let here = at.member("environments");
        let environments = fields.required("environments", at, problems);
        let environments = environments.and_then(|node| entries(node, &here, problems)).unwrap_or_default();
        fields.finish(at, problems);
        for (key, _) in environments {
            if let Err(error) = check_scope_key(key) {
                problems.add(&here.member(key), format!("an environment's key {}", spell(error)));
            }
        }
        let environments = environments.iter().map(|(key, node)| (key.to_string(), node)).collect();
        Some(Self { project: project?, name: name.map(str::to_owned), environments })
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

fn spell(error: crate::id::KeyError) -> String {
    match error {
        crate::id::KeyError::Character => "may hold only `a`-`z`, `0`-`9` and `-`".to_owned(),
        other => other.to_string(),
    }
}

/// The documents of one environment, in the order written.
#[derive(Debug, Default)]
pub struct EnvironmentDocument {
    /// Sort, key (empty for the settings) and document.
    pub documents: Vec<(Sort, String, Document)>,
}

impl EnvironmentDocument {
    /// Reads an environment, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Self {
        let mut documents = Vec::new();
        let Some(mut fields) = Fields::open(node, at, problems) else { return Self::default() };
        if let Some(node) = fields.optional("settings") {
            let document = Sort::Settings.read(node, &at.member("settings"), problems);
            documents.extend(document.map(|document| (Sort::Settings, String::new(), document)));
        }
        for kind in Kind::ALL {
            let Some(node) = fields.optional(kind.plural()) else { continue };
            let at = at.member(kind.plural());
            for (key, node) in entries(node, &at, problems).unwrap_or_default() {
                let at = at.member(key);
                if let Err(error) = check_key(key) {
                    problems.add(&at, format!("the key {error}"));
                }
                let document = Sort::Of(kind).read(node, &at, problems);
                documents.extend(document.map(|document| (Sort::Of(kind), key.to_string(), document)));
            }
        }
        fields.finish(at, problems);
        Self { documents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn all_problems_of_all_environments_are_found_at_once() {
        let input = r#"{"$schema":"x","project":"Pairity","environments":{
            "production":{"flags":{"a b":{},"a b":1},"settings":{"origins":["x"]}},
            "Staging":{"flag":{}}},"extra":1}"#;
        let node = parse(input).expect("valid JSON");
        let mut problems = Problems::default();
        assert!(ProjectDocument::read(&node, &mut problems).is_some());
        let environments = At::ROOT.member("environments");
        for (key, node) in
            entries(node.get("environments").expect("there"), &environments, &mut problems).expect("object")
        {
            EnvironmentDocument::read(node, &environments.member(key), &mut problems);
        }
        let mut places: Vec<_> = problems.into_list().into_iter().map(|problem| problem.pointer).collect();
        places.dedup();
        let expected = [
            "/project",
            "/extra",
            "/environments/Staging",
            "/environments/production/settings/origins/0",
            "/environments/production/flags/a b",
            "/environments/Staging/flag",
        ];
        assert_eq!(places, expected);
    }
}
