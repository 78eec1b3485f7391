//! The schemas of the OpenAPI document. Those of flags and other documents say what is common;
//! `schema/project.schema.json` says everything, for editors.

use crate::http::{Fault, Role};
use crate::snapshot::Extras;
use crate::startup;
use crate::update;
use serde_json::{Map, Value, json};

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// A closed object: other members are refused.
fn closed(required: &[&str], properties: &Value) -> Value {
    let mut out = object(required, properties);
    out["additionalProperties"] = Value::Bool(false);
    out
}

fn page(item: &Value) -> Value {
    object(
        &["items"],
        &json!({
            "items": {"type": "array", "items": item},
            "next": {"type": "string", "description": "The next page's `after`; absent on the last page"},
        }),
    )
}

fn text() -> Value {
    json!({"type": "string"})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn truth() -> Value {
    json!({"type": "boolean"})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn map(of: &Value) -> Value {
    json!({"type": "object", "additionalProperties": of})
}

/// All schemas by name.
pub(super) fn all() -> Map<String, Value> {
    let groups = [documents(), evaluation(), operations(), administration(), changes()];
    groups.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Schemas = Vec<(&'static str, Value)>;

/// Members that every document has.
fn about(more: &Value) -> Value {
    let mut properties = json!({"description": text(), "owner": text(), "tags": texts()});
    if let (Some(all), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    properties
}

fn flag() -> Value {
    let properties = about(&json!({
        "kind": {"enum": ["release", "experiment", "operational", "permission"], "default": "release"},
        "review": {"type": "string", "format": "date"},
        "type": {"enum": ["boolean", "string", "integer", "float", "object"]},
        "variants": {"type": "object", "minProperties": 1},
        "enabled": {"type": "boolean", "default": true},
        "off": text(),
        "client": {"type": "boolean", "default": false},
        "salt": {"type": "string", "description": "Random unless given; kept when left out of a PUT"},
        "requires": {"type": "array", "items": closed(&["flag", "is"], &json!({"flag": text(), "is": text()}))},
        "rules": {"type": "array", "items": closed(&["id", "serve"], &json!({
            "id": text(),
            "description": text(),
            "if": {"type": "object"},
            "serve": reference("Serve"),
        }))},
        "default": reference("Serve"),
    }));
    closed(&["type", "variants", "off", "default"], &properties)
}

fn channel() -> Value {
    let mark = json!({"type": ["string", "object"]});
    let urgency = json!({"enum": ["none", "recommended", "required"]});
    let by_locale = map(&json!({"type": "object"}));
    let properties = about(&json!({
        "app": text(),
        "platform": {"enum": ["ios", "android", "web", "macos", "windows", "linux", "tvos", "watchos", "visionos"]},
        "track": {"type": "string", "default": "production"},
        "audience": closed(&[], &json!({"units": texts(), "segments": texts()})),
        "enabled": {"type": "boolean", "default": true},
        "salt": text(),
        "minimum": mark,
        "recommended": mark,
        "policy": closed(&[], &json!({"major": urgency, "minor": urgency, "patch": urgency})),
        "blocked": {"type": "array", "items": {"type": ["string", "object"]}},
        "storeUrl": {"type": ["string", "object"]},
        "releases": map(&reference("Release")),
        "bundles": map(&json!({"type": "object"})),
        "remindAfter": number(),
        "snoozes": number(),
        "texts": map(&by_locale),
        "maintenance": object(&["end"], &json!({"start": instant(), "end": instant(), "texts": by_locale})),
        "staleAfter": number(),
        "warnings": warnings(),
    }));
    closed(&["platform"], &properties)
}

/// What is allowed and most likely not meant.
fn warnings() -> Value {
    let place = object(&["pointer", "detail"], &json!({"pointer": text(), "detail": text()}));
    json!({"type": "array", "items": place, "readOnly": true})
}

fn release() -> Value {
    let properties = json!({
        "description": text(),
        "version": text(),
        "build": {"type": ["integer", "string"]},
        "minimumOs": text(),
        "required": truth(),
        "releasedAt": instant(),
        "deadline": instant(),
        "share": reference("Share"),
        "sameAs": closed(&["flag"], &json!({"flag": text(), "variant": text()})),
        "phasedSince": instant(),
        "storeShare": {"type": "number", "minimum": 0, "maximum": 100},
        "availability": map(&json!({"type": ["boolean", "object"]})),
        "notes": map(&text()),
    });
    closed(&[], &properties)
}

fn documents() -> Schemas {
    let segment = about(&json!({"by": text(), "include": texts(), "exclude": texts(), "if": {"type": "object"}}));
    let route = about(&json!({
        "host": text(),
        "path": {"type": "string", "default": "/**"},
        "flag": text(),
        "mode": {"enum": ["redirect", "proxy"], "default": "redirect"},
        "status": {"enum": [302, 307], "default": 302},
        "maxAge": number(),
        "timeout": number(),
        "fallback": {"type": "boolean", "default": true},
        "pin": {"type": "boolean", "default": true},
        "stable": text(),
        "targets": map(&text()),
        "unit": {"type": "array", "items": closed(&[], &json!({"cookie": text(), "header": text(), "signed": text()}))},
        "consent": closed(&["cookie"], &json!({"cookie": text(), "contains": text()})),
    }));
    let elsewhere =
        closed(&["app", "token"], &json!({"app": text(), "platform": text(), "builds": text(), "token": text()}));
    let settings = json!({
        "description": text(),
        "origins": texts(),
        "trusted": texts(),
        "pollSeconds": json!({"type": "integer", "minimum": 5, "maximum": 86_400}),
        "parameters": {"type": "object"},
        "elsewhere": {"type": "array", "items": elsewhere},
    });
    let environment = closed(
        &[],
        &json!({
            "settings": reference("Settings"),
            "segments": map(&reference("Segment")),
            "flags": map(&reference("Flag")),
            "routes": map(&reference("Route")),
            "channels": map(&reference("Channel")),
        }),
    );
    let project = closed(
        &["project", "environments"],
        &json!({
            "$schema": text(),
            "project": text(),
            "name": text(),
            "environments": map(&environment),
        }),
    );
    let share = json!({"oneOf": [{"type": "number", "minimum": 0, "maximum": 100}, {"type": "object"}]});
    let allocation = closed(
        &[],
        &json!({
            "share": reference("Share"),
            "variants": map(&json!({"type": "number"})),
            "weights": map(&number()),
            "else": text(),
            "by": text(),
        }),
    );
    vec![
        ("Share", share),
        ("Serve", json!({"oneOf": [text(), allocation]})),
        ("Flag", flag()),
        ("Segment", closed(&[], &segment)),
        ("Route", closed(&["host", "flag", "targets"], &route)),
        ("LinkRequest", closed(&["variant"], &json!({"variant": text(), "seconds": number(), "reason": text()}))),
        (
            "Link",
            closed(
                &["variant", "url", "ticket", "expiresAt"],
                &json!({
                    "variant": text(),
                    "url": {"type": "string", "description": "Opened in a browser it sets a cookie, by which the visitor stays with the variant"},
                    "ticket": {"type": "string", "description": "For the header `Headgate-Override`, where there is no browser"},
                    "expiresAt": {"type": "string", "format": "date-time"},
                }),
            ),
        ),
        ("Channel", channel()),
        ("Release", release()),
        ("Settings", closed(&[], &settings)),
        ("ProjectDocument", project),
    ]
}

fn evaluation() -> Schemas {
    let evaluation = json!({
        "key": text(),
        "value": {},
        "reason": text(),
        "variant": text(),
        "metadata": {"type": "object"},
    });
    let failure = json!({"key": text(), "errorCode": text(), "errorDetails": text(), "metadata": {"type": "object"}});
    let flags = json!({"type": "array", "items": {"oneOf": [reference("Evaluation"), reference("EvaluationFailure")]}});
    let stream = object(&["type", "url"], &json!({"type": text(), "url": text(), "inactivityDelaySec": number()}));
    let bulk = json!({
        "flags": flags,
        "metadata": {"type": "object"},
        "eventStreams": {"type": "array", "items": stream},
    });
    let mut startup = json!({"unit": text(), "attributes": {"type": "object"}, "context": {"type": "object"}});
    for name in startup::FACTS.iter().map(|fact| fact.name).chain(["bundleId", "appVersion"]) {
        startup[name] = json!({"type": ["string", "integer"]});
    }
    let given = json!({
        "pollSeconds": number(),
        "parameters": {"type": "object"},
        "streamUrl": text(),
        "eventsUrl": text(),
        "token": text(),
    });
    let mut started = bulk.clone();
    started["update"] = reference("UpdateVerdict");
    started["settings"] = object(&["pollSeconds", "parameters", "streamUrl", "eventsUrl"], &given);
    started["unit"] = text();
    vec![
        ("EvaluationRequest", object(&[], &json!({"context": {"type": "object"}}))),
        ("Evaluation", object(&["key", "value", "reason", "metadata"], &evaluation)),
        ("EvaluationFailure", object(&["errorCode"], &failure)),
        ("BulkEvaluation", object(&["flags"], &bulk)),
        ("StartupRequest", closed(&[], &startup)),
        ("StartupAnswer", object(&["flags", "update", "settings"], &started)),
        ("EventBatch", object(&["events"], &json!({"events": {"type": "array", "items": {"type": "object"}}}))),
        ("EventReceipt", json!({"type": "object"})),
        ("UpdateRequest", update_request()),
        ("UpdateVerdict", update_verdict()),
    ]
}

fn update_request() -> Value {
    let fields =
        update::Request::FIELDS.iter().map(|name| ((*name).to_owned(), json!({"type": ["string", "integer"]})));
    let mut properties: Map<String, Value> = fields.collect();
    properties.insert("context".to_owned(), json!({"type": "object", "description": "An evaluation context"}));
    closed(&[], &Value::Object(properties))
}

fn update_verdict() -> Value {
    let (action, reason) = (json!({"enum": update::Action::WORDS}), json!({"enum": update::Reason::WORDS}));
    let rule = json!({"type": "string", "description": "JSON pointer to the part of the channel that decided"});
    let target = json!({"release": text(), "version": text(), "build": text(), "notes": text()});
    let texts = json!({"title": text(), "message": text(), "update": text(), "later": text()});
    let timings = json!({
        "remindAfter": {"type": "integer", "description": "Seconds"}, "remindAt": instant(), "snoozesLeft": number(),
        "deadline": instant(), "maintenanceEnd": instant(),
    });
    let bundle = json!({
        "action": {"enum": ["none", "recommended", "required"]}, "reason": reason, "rule": rule,
        "bundle": {"type": "string", "description": "Its key; when an update is required without one, the code in the binary is meant"},
        "number": number(), "url": text(), "sha256": text(),
    });
    let properties = json!({
        "channel": text(), "revision": number(), "action": action, "reason": reason, "rule": rule,
        "target": object(&["release", "version"], &target), "storeUrl": text(), "texts": object(&[], &texts),
        "timings": object(&[], &timings), "bundle": object(&["action", "reason"], &bundle),
    });
    object(&["action", "reason"], &properties)
}

fn operations() -> Schemas {
    let status = json!({"enum": ["ok", "degraded", "down"]});
    let dependency = object(&["name", "status"], &json!({"name": text(), "status": status, "detail": text()}));
    let health = json!({
        "status": status,
        "version": text(),
        "release": text(),
        "deployedAt": instant(),
        "uptimeSeconds": number(),
        "timestamp": instant(),
        "dependencies": {"type": "array", "items": dependency},
    });
    let types: Vec<String> = Fault::ALL.iter().map(|fault| fault.uri()).collect();
    let place = object(&["pointer", "detail"], &json!({"pointer": text(), "detail": text()}));
    let problem = json!({
        "type": {"enum": types},
        "title": text(),
        "status": number(),
        "detail": text(),
        "problems": {"type": "array", "items": place},
    });
    vec![
        ("OpenApi", json!({"type": "object"})),
        ("Health", object(&["status", "version", "uptimeSeconds", "timestamp", "dependencies"], &health)),
        ("Problem", object(&["type", "title", "status", "detail"], &problem)),
        ("Empty", closed(&[], &json!({}))),
    ]
}

fn administration() -> Schemas {
    let roles: Vec<&str> = [Role::Viewer, Role::Editor, Role::Approver, Role::Owner].map(Role::word).to_vec();
    let project = json!({"key": text(), "name": text(), "createdAt": instant(), "environments": texts()});
    let registered = object(&["key"], &json!({"key": text(), "incarnation": number(), "createdAt": instant()}));
    let environment = json!({
        "project": text(),
        "environment": text(),
        "incarnation": number(),
        "version": number(),
        "sequence": number(),
        "killed": truth(),
        "killedFlags": texts(),
        "counts": map(&number()),
        "bytes": number(),
        "createdAt": instant(),
        "publication": {"type": "object"},
    });
    let token = json!({
        "id": text(),
        "kind": {"enum": ["client", "server", "admin"]},
        "role": {"enum": roles},
        "name": text(),
        "createdAt": instant(),
        "createdBy": text(),
        "expiresAt": instant(),
        "expired": truth(),
        "ofrep": texts(),
    });
    let new = json!({"token": text(), "replaces": reference("Token")});
    let request = json!({
        "kind": {"enum": ["client", "server", "admin"]},
        "role": {"enum": roles},
        "name": text(),
        "expiresAt": instant(),
        "ofrep": {"type": "array", "items": {"enum": Extras::WORDS}},
        "reason": text(),
    });
    let rotate = json!({"overlap": {"type": "integer", "minimum": 0, "default": 86_400}, "reason": text()});
    let key = object(&["key"], &json!({"key": text(), "createdAt": instant(), "expiresAt": instant()}));
    vec![
        ("Project", object(&["key", "name"], &project)),
        ("Projects", page(&reference("Project"))),
        ("ProjectRequest", closed(&[], &json!({"name": text()}))),
        ("Environment", object(&["project", "environment", "version"], &environment)),
        ("Environments", page(&registered)),
        ("Token", object(&["id", "kind", "name"], &token)),
        ("Tokens", page(&reference("Token"))),
        ("NewToken", json!({"allOf": [reference("Token"), object(&["token"], &new)]})),
        ("TokenRequest", closed(&["kind", "name"], &request)),
        ("RotateRequest", closed(&[], &rotate)),
        ("ContextKeys", object(&["keys"], &json!({"keys": {"type": "array", "items": key}}))),
        ("ReasonRequest", closed(&[], &json!({"reason": text()}))),
    ]
}

fn changes() -> Schemas {
    let item = |of: &str| {
        object(
            &["key", "revision", "document"],
            &json!({
                "key": text(),
                "revision": number(),
                "killed": truth(),
                "etag": text(),
                "updatedAt": instant(),
                "updatedBy": text(),
                "document": reference(of),
            }),
        )
    };
    let noted = json!({"at": instant(), "actor": text(), "action": text(), "reason": text()});
    let with = |more: &Value| {
        let mut all = noted.clone();
        if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        object(&["at", "actor", "action"], &all)
    };
    let entry = json!({
        "sequence": number(), "entity": text(), "version": number(), "before": {}, "after": {},
        "previous": text(), "hash": text(),
    });
    let change = json!({"op": {"enum": ["add", "remove", "replace"]}, "path": text(), "from": {}, "to": {}});
    let changes = json!({"type": "array", "items": object(&["op", "path"], &change)});
    let share = closed(&["share"], &json!({"share": reference("Share")}));
    let report = json!({
        "environment": text(), "project": text(), "dryRun": truth(), "version": number(),
        "created": number(), "updated": number(), "deleted": number(), "unchanged": number(),
        "changes": {"type": "array", "items": {"type": "object"}},
        "warnings": warnings(),
        "environments": {"type": "object", "description": "By environment, where a whole project is imported"},
    });
    let copy = json!({
        "from": text(), "flags": texts(), "segments": texts(), "dryRun": truth(), "reason": text(),
    });
    let explain = json!({"flag": text(), "context": {"type": "object"}, "version": number()});
    let availability = json!({
        "source": {"enum": ["admin", "lookup", "clientReport"]},
        "storefronts": {"type": "object", "additionalProperties": truth()},
        "observedAt": {"type": "string", "format": "date-time", "description": "Now, when left out"},
    });
    let kill = json!({"entity": text(), "killed": truth(), "changed": truth(), "sequence": number()});
    vec![
        ("Flags", page(&item("Flag"))),
        ("Segments", page(&item("Segment"))),
        ("Routes", page(&item("Route"))),
        ("Channels", page(&item("Channel"))),
        ("FlagPatch", closed(&[], &json!({"enabled": truth(), "rules": map(&share), "default": share}))),
        ("ChannelPatch", json!({"type": "object", "description": "A JSON merge patch (RFC 7396) of a channel"})),
        ("AvailabilityReport", closed(&["source", "storefronts"], &availability)),
        ("KillState", object(&["entity", "killed", "changed", "sequence"], &kill)),
        ("History", page(&with(&json!({"revision": number(), "version": number(), "deleted": truth()})))),
        ("Versions", page(&with(&json!({"version": number(), "entity": text()})))),
        ("Audit", page(&with(&entry))),
        ("Diff", object(&["from", "to", "changes"], &json!({"from": {}, "to": {}, "changes": changes}))),
        ("RevertRequest", closed(&["revision"], &json!({"revision": number(), "reason": text()}))),
        ("ImportReport", object(&["dryRun"], &report)),
        ("CopyRequest", closed(&["from"], &copy)),
        ("ExplainRequest", closed(&["flag"], &explain)),
        ("Explanation", json!({"type": "object"})),
    ]
}
