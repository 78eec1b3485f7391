//! The common single changes of a flag: on or off, and shares.

use super::super::document::{Document, Sort};
use crate::http::{Answer, Kind, Refusal};
use crate::json::{At, Fields, Node, Problem, Problems, boolean, entries, parse};
use std::borrow::Cow;

/// Applies `{"enabled": bool, "rules": {"<id>": {"share": 25}}, "default": {"share": 25}}` to a
/// stored flag. Pointers of problems are those of the patch.
pub(super) fn apply(stored: &str, body: &str) -> Answer<Document> {
    let patch = parse(body)?;
    let mut flag = parse(stored)?;
    let mut problems = Problems::default();
    let places = edit(&mut flag, &patch, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal::invalid(problems));
    }
    let document = Sort::Of(Kind::Flag).read(&flag, &At::ROOT, &mut problems);
    match document {
        Some(document) if problems.is_empty() => Ok(document),
        _ => {
            let mut renamed = Problems::default();
            for problem in problems.into_list() {
                let pointer =
                    places.iter().find_map(|(from, to)| Some(format!("{to}{}", problem.pointer.strip_prefix(from)?)));
                renamed.push(Problem { pointer: pointer.unwrap_or(problem.pointer), detail: problem.detail });
            }
            Err(Refusal::invalid(renamed))
        }
    }
}

/// Edits the flag; answers which places of it stand for which places of the patch.
fn edit<'a>(flag: &mut Node<'a>, patch: &Node<'a>, problems: &mut Problems) -> Vec<(String, String)> {
    let at = At::ROOT;
    let mut renames = Vec::new();
    let Some(mut fields) = Fields::open(patch, &at, problems) else { return renames };
    let enabled = fields.optional("enabled").and_then(|node| boolean(node, &at.member("enabled"), problems));
    if let Some(enabled) = enabled {
        set(flag, "enabled", Node::Bool(enabled));
    }
    if let Some(node) = fields.optional("default") {
        let at = at.member("default");
        if let Some(share) = read_share(node, &at, problems) {
            set_share(member(flag, "default"), share, &at, problems);
        }
    }
    if let Some(node) = fields.optional("rules") {
        let at = at.member("rules");
        for (id, node) in entries(node, &at, problems).unwrap_or_default() {
            let at = at.member(id);
            let Some(share) = read_share(node, &at, problems) else { continue };
            let Some((index, rule)) = find_rule(flag, id) else {
                problems.add(&at, format!("the flag has no rule `{id}`"));
                continue;
            };
            set_share(member(rule, "serve"), share, &at, problems);
            renames.push((format!("/rules/{index}/serve"), at.pointer()));
        }
    }
    if enabled.is_none() && patch.get("default").is_none() && patch.get("rules").is_none() {
        problems.add(&at, "nothing to change: give `enabled`, `rules` or `default`");
    }
    fields.finish(&at, problems);
    renames
}

fn read_share<'a>(node: &Node<'a>, at: &At<'_>, problems: &mut Problems) -> Option<Node<'a>> {
    let mut fields = Fields::open(node, at, problems)?;
    let share = fields.required("share", at, problems).cloned();
    fields.finish(at, problems);
    share
}

fn find_rule<'n, 'a>(flag: &'n mut Node<'a>, id: &str) -> Option<(usize, &'n mut Node<'a>)> {
    let Some(Node::Array(rules)) = member(flag, "rules") else { return None };
    rules.iter_mut().enumerate().find(|(_, rule)| rule.get("id").and_then(Node::as_str) == Some(id))
}

fn member<'n, 'a>(node: &'n mut Node<'a>, name: &str) -> Option<&'n mut Node<'a>> {
    let Node::Object(members) = node else { return None };
    members.iter_mut().find(|(key, _)| key == name).map(|(_, node)| node)
}

fn set<'a>(node: &mut Node<'a>, name: &'static str, value: Node<'a>) {
    if let Some(place) = member(node, name) {
        *place = value;
    } else if let Node::Object(members) = node {
        members.push((Cow::Borrowed(name), value));
    }
}

fn set_share<'a>(serve: Option<&mut Node<'a>>, share: Node<'a>, at: &At<'_>, problems: &mut Problems) {
    match serve {
        Some(serve @ Node::Object(_)) => set(serve, "share", share),
        _ => problems.add(at, "serves one variant to everybody: it has no share to change"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAG: &str = r#"{"type":"boolean","variants":{"on":true,"off":false},"enabled":true,"off":"off","salt":"s","rules":[{"id":"all","serve":"on"},{"id":"some","serve":{"share":10,"variants":{"on":100},"else":"off"}}],"default":"off"}"#;

    fn check(body: &str, expect: Result<&str, &[&str]>) {
        let found = apply(FLAG, body).map(|document| document.text());
        let found = found.map_err(|refusal| {
            refusal.problems().iter().map(|p| format!("{}: {}", p.pointer, p.detail)).collect::<Vec<_>>()
        });
        assert_eq!(found, expect.map(str::to_owned).map_err(|list| list.iter().map(|&p| p.to_owned()).collect()));
    }

    #[test]
    fn only_what_is_named_changes() {
        check(r#"{"enabled":false}"#, Ok(&FLAG.replace("\"enabled\":true", "\"enabled\":false")));
        check(r#"{"rules":{"some":{"share":33.5}}}"#, Ok(&FLAG.replace("\"share\":10", "\"share\":33.5")));
    }

    #[test]
    fn problems_point_into_the_patch() {
        check(
            r#"{"rules":{"some":{"share":101}}}"#,
            Err(&["/rules/some/share: must be a percentage: a number from 0 to 100 with at most three decimals"]),
        );
        check(
            r#"{"rules":{"all":{"share":1},"gone":{"share":1}},"default":{}}"#,
            Err(&[
                "/default: `share` is missing",
                "/rules/all: serves one variant to everybody: it has no share to change",
                "/rules/gone: the flag has no rule `gone`",
            ]),
        );
        check("{}", Err(&[": nothing to change: give `enabled`, `rules` or `default`"]));
    }
}
