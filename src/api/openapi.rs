//! The OpenAPI 3.1 document, made from the table of routes that the parser uses too. The Worker
//! serves it as a file, `schema/openapi.json`, so that the wasm need not carry its maker.

use super::schemas;
use crate::http::{Access, Body, Kind, Method, Operation, Row, TABLE};
use serde_json::{Map, Value, json};

/// The document's text.
pub fn document() -> String {
    let mut paths: Map<String, Value> = Map::new();
    for row in TABLE {
        let kinds: &[Option<Kind>] = if row.path.contains("{kind}") {
            &[Some(Kind::Flag), Some(Kind::Segment), Some(Kind::Route), Some(Kind::Channel)]
        } else {
            &[None]
        };
        for kind in kinds {
            let path = kind.map_or_else(|| row.path.to_owned(), |kind| row.path.replace("{kind}", kind.plural()));
            let item = paths.entry(path.clone()).or_insert_with(|| json!({}));
            item[row.method.name().to_ascii_lowercase()] = operation(row, *kind, &path);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headgate",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Feature flags, canary routes and update gates at the edge",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A client (hgc_), server (hgs_) or admin (hga_) token, or the owner's secret",
                },
            },
            "schemas": schemas::all(),
        },
    })
    .to_string()
}

/// A singular or plural with a capital: `Flag`, `Flags`.
fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

fn operation_id(row: &Row, kind: Option<Kind>) -> String {
    let name = row.operation.name();
    let name = match kind {
        None => name.to_owned(),
        Some(kind) if name.contains("Entit") => {
            name.replace("Entities", &capital(kind.plural())).replace("Entity", &capital(kind.singular()))
        }
        Some(kind) => format!("{name}Of{}", capital(kind.singular())),
    };
    name[..1].to_ascii_lowercase() + &name[1..]
}

/// A reference to a schema; `Entity` is that of the collection.
fn reference(name: &str, kind: Option<Kind>) -> Value {
    let name = match kind {
        Some(kind) if name == "Entity" => capital(kind.singular()),
        Some(kind) if name == "Entities" => capital(kind.plural()),
        _ => name.to_owned(),
    };
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn operation(row: &Row, kind: Option<Kind>, path: &str) -> Value {
    let mut out = json!({
        "operationId": operation_id(row, kind),
        "summary": row.summary,
        "tags": [tag(row)],
        "responses": responses(row, kind),
    });
    let parameters = parameters(row, kind, path);
    if !parameters.is_empty() {
        out["parameters"] = Value::Array(parameters);
    }
    let body = |name, required| json!({"required": required, "content": {"application/json": {"schema": reference(name, kind)}}});
    match row.body {
        Body::None => {}
        Body::Optional(name) => out["requestBody"] = body(name, false),
        Body::Required(name) => out["requestBody"] = body(name, true),
    }
    match row.access {
        Access::Public => out["security"] = json!([]),
        // A signed URL stands for its token.
        _ if row.operation == Operation::Stream => out["security"] = json!([{"token": []}, {}]),
        _ => out["security"] = json!([{"token": []}]),
    }
    if let Some(access) = access(row.access) {
        out["description"] = Value::String(access);
    }
    out
}

fn access(access: Access) -> Option<String> {
    match access {
        Access::Public => None,
        Access::Evaluation => Some("Needs a client or server token.".to_owned()),
        Access::AnyAdmin => Some("Needs any admin token.".to_owned()),
        Access::Environment(role) => {
            Some(format!("Needs the role `{}` in the environment or in the deployment.", role.word()))
        }
        Access::Deployment(role) => Some(format!("Needs the role `{}` in the deployment.", role.word())),
    }
}

fn tag(row: &Row) -> &'static str {
    match row.access {
        Access::Evaluation => "evaluation",
        Access::Public | Access::AnyAdmin => "operations",
        Access::Deployment(_) => "deployment",
        Access::Environment(_) => "environment",
    }
}

fn responses(row: &Row, kind: Option<Kind>) -> Value {
    use Operation as O;
    let success = match row.answer {
        "" if row.operation == Operation::Home => {
            json!({"description": "A page", "content": {"text/html": {"schema": {"type": "string"}}}})
        }
        "" => json!({"description": "Done"}),
        "text/plain" | "text/event-stream" => {
            json!({"description": "Text", "content": {row.answer: {"schema": {"type": "string"}}}})
        }
        name => {
            let schema = reference(name, kind);
            json!({"description": "Success", "content": {"application/json": {"schema": schema}}})
        }
    };
    let (media, error) = if row.path.starts_with("/ofrep/") {
        ("application/json", "EvaluationFailure")
    } else {
        ("application/problem+json", "Problem")
    };
    let refusal = json!({"description": "Refused", "content": {media: {"schema": reference(error, None)}}});
    let mut out = json!({"default": refusal});
    out[row.status.to_string()] = success;
    if conditional(row) && row.method == Method::Put {
        out["201"] = out["200"].clone();
    }
    if matches!(row.operation, O::GetEntity | O::EvaluateAll | O::Startup | O::StartupByUrl | O::Update | O::PostUpdate)
    {
        out["304"] = json!({"description": "Not modified"});
    }
    if row.operation == Operation::Ready {
        out["503"] = json!({
            "description": "Not ready",
            "content": {"application/json": {"schema": reference("Health", None)}},
        });
    }
    out
}

fn conditional(row: &Row) -> bool {
    use Operation as O;
    matches!(
        row.operation,
        O::PutEntity
            | O::PutSettings
            | O::PatchFlag
            | O::PatchChannel
            | O::PutRelease
            | O::DeleteRelease
            | O::DeleteEntity
    )
}

fn parameters(row: &Row, kind: Option<Kind>, path: &str) -> Vec<Value> {
    let mut out = Vec::new();
    for part in path.split('/').filter(|part| part.starts_with('{')) {
        let name = part.trim_matches(['{', '}']);
        let schema = match name {
            "project" | "environment" => json!({"type": "string", "pattern": "^[a-z0-9-]{1,40}$"}),
            "version" | "revision" => json!({"type": "integer", "minimum": 1}),
            _ => json!({"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"}),
        };
        out.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    for name in row.query.iter().filter(|name| **name != "enabled" && **name != "killed" || kind == Some(Kind::Flag)) {
        let required = matches!(row.operation, Operation::DeleteEnvironment | Operation::Compare);
        out.push(json!({"name": name, "in": "query", "required": required, "schema": query_schema(row, name)}));
    }
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}});
    if conditional(row) {
        out.push(header("If-Match", "The entity tag of what is changed; required where it exists, but for PATCH"));
    }
    if matches!(
        row.operation,
        Operation::PutEntity | Operation::PutRelease | Operation::PutEnvironment | Operation::PutProject
    ) {
        out.push(header("If-None-Match", "`*` refuses to change what exists"));
    }
    let admin = matches!(row.access, Access::Environment(_) | Access::Deployment(_));
    if admin && row.method != Method::Get && row.operation != Operation::Explain {
        out.push(header("Headgate-Reason", "Why the change is made; goes into the audit"));
    }
    out
}

fn query_schema(row: &Row, name: &str) -> Value {
    match (row.operation, name) {
        (_, "limit") => json!({"type": "integer", "minimum": 1, "maximum": crate::limits::PAGE_ITEMS}),
        (_, "dryRun" | "enabled" | "killed") => json!({"type": "boolean"}),
        (_, "mode") => json!({"enum": ["merge", "replace"], "default": "merge"}),
        (Operation::ListEntities, "kind") => json!({"enum": ["release", "experiment", "operational", "permission"]}),
        (Operation::DiffRevisions | Operation::DiffVersions, "from" | "to") => {
            json!({"type": "integer", "minimum": 1})
        }
        (_, "from" | "to") => json!({"type": "string", "format": "date-time"}),
        _ => json!({"type": "string"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;
    use std::collections::HashSet;

    fn read() -> Value {
        serde_json::from_str(&document()).expect("JSON")
    }

    /// `make openapi` sets `HEADGATE_UPDATE`, which writes the file instead.
    #[test]
    fn the_published_file_is_this_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openapi.json");
        let text = serde_json::to_string_pretty(&read()).expect("JSON") + "\n";
        if std::env::var_os("HEADGATE_UPDATE").is_some() {
            std::fs::write(path, &text).expect("written");
        }
        let published = std::fs::read_to_string(path).expect("run `make openapi`");
        assert!(published == text, "schema/openapi.json is out of date: run `make openapi`");
    }

    #[test]
    fn document_and_routes_agree() {
        let document = read();
        let paths = document["paths"].as_object().expect("paths");
        let mut described = HashSet::new();
        let mut ids = HashSet::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("methods") {
                let example = path.replace("{version}", "7").replace("{revision}", "7").replace(['{', '}'], "");
                let route = parse(&method.to_ascii_uppercase(), &example).expect("a route");
                let row = route.operation.row();
                assert_eq!(row.path.replace("{kind}", route.kind.plural()), *path);
                described.insert(route.operation);
                assert!(ids.insert(operation["operationId"].clone()), "{path}");
                let placeholders = path.matches('{').count();
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), placeholders, "{path}");
            }
        }
        let missing: Vec<_> = TABLE.iter().filter(|row| !described.contains(&row.operation)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        fn collect(value: &Value, out: &mut HashSet<String>) {
            match value {
                Value::Object(members) => {
                    for (key, inner) in members {
                        match inner.as_str() {
                            Some(target) if key == "$ref" => {
                                out.insert(target.to_owned());
                            }
                            _ => collect(inner, out),
                        }
                    }
                }
                Value::Array(list) => list.iter().for_each(|inner| collect(inner, out)),
                _ => {}
            }
        }
        let document = read();
        let mut references = HashSet::new();
        collect(&document, &mut references);
        for target in &references {
            let pointer = target.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(references.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
        }
    }
}
