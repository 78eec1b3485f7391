//! What changed between two JSON values, place by place.

use crate::json::Node;
use serde::Serialize;

/// One changed place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change<'a> {
    /// `add`, `remove` or `replace`.
    pub op: &'static str,
    /// JSON pointer to the place.
    pub path: String,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a Node<'a>>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a Node<'a>>,
}

/// The changes that lead from one value to the other; the order of an object's members does not
/// count.
pub fn diff<'a>(from: &'a Node<'a>, to: &'a Node<'a>) -> Vec<Change<'a>> {
    let mut out = Vec::new();
    walk(from, to, &mut String::new(), &mut out);
    out
}

fn walk<'a>(from: &'a Node<'a>, to: &'a Node<'a>, path: &mut String, out: &mut Vec<Change<'a>>) {
    match (from, to) {
        (Node::Object(old), Node::Object(new)) => {
            for (key, value) in old {
                under(path, key, |path| match to.get(key) {
                    Some(next) => walk(value, next, path, out),
                    None => out.push(Change { op: "remove", path: path.clone(), from: Some(value), to: None }),
                });
            }
            for (key, value) in new.iter().filter(|(key, _)| from.get(key).is_none()) {
                under(path, key, |path| {
                    out.push(Change { op: "add", path: path.clone(), from: None, to: Some(value) });
                });
            }
        }
        (Node::Array(old), Node::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                under(path, &index.to_string(), |path| match (old.get(index), new.get(index)) {
                    (Some(value), Some(next)) => walk(value, next, path, out),
                    (value, next) => {
                        let op = if value.is_some() { "remove" } else { "add" };
                        out.push(Change { op, path: path.clone(), from: value, to: next });
                    }
                });
            }
        }
        _ if from == to => {}
        _ => out.push(Change { op: "replace", path: path.clone(), from: Some(from), to: Some(to) }),
    }
}

fn under(path: &mut String, part: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&part.replace('~', "~0").replace('/', "~1"));
    visit(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn every_changed_place_is_named_once() {
        let from = parse(r#"{"a":1,"b":{"c":[1,2],"d":true},"e":0}"#).expect("valid");
        let to = parse(r#"{"e":0,"b":{"d":false,"c":[1,3,4]},"f/g":null}"#).expect("valid");
        let changes = serde_json::to_string(&diff(&from, &to)).expect("writes");
        let expected = [
            r#"{"op":"remove","path":"/a","from":1}"#,
            r#"{"op":"replace","path":"/b/c/1","from":2,"to":3}"#,
            r#"{"op":"add","path":"/b/c/2","to":4}"#,
            r#"{"op":"replace","path":"/b/d","from":true,"to":false}"#,
            r#"{"op":"add","path":"/f~1g","to":null}"#,
        ];
        assert_eq!(changes, format!("[{}]", expected.join(",")));
        assert_eq!(diff(&from, &from), []);
    }
}
