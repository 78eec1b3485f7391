//! The environment as a document, whole or in part, now or as it was.

use super::super::document::Sort;
use super::super::raw;
use super::super::reference::{Reference, Target, references};
use super::snapshot::documents;
use super::store::Store;
use crate::flag::serve::Members;
use crate::http::{Answer, Fault, Kind, Refusal};
use crate::json::{At, Problems, parse};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Documents by key.
type Named = Vec<(String, Box<RawValue>)>;

/// An environment's part of a project document; empty collections are left out.
#[derive(Default)]
struct Body {
    settings: Option<Box<RawValue>>,
    collections: Vec<(Kind, Named)>,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(settings) = &self.settings {
            map.serialize_entry("settings", settings)?;
        }
        for (kind, documents) in self.collections.iter().filter(|(_, documents)| !documents.is_empty()) {
            map.serialize_entry(kind.plural(), &Members(documents))?;
        }
        map.end()
    }
}

fn body(store: &Store<'_>, version: Option<i64>) -> Answer<Body> {
    let settings = documents(store, "settings", version)?;
    let settings = settings.first().map(|row| row.text(3)).transpose()?.filter(|text| text != "{}");
    let mut body = Body { settings: settings.map(raw).transpose()?, collections: Vec::new() };
    for kind in Kind::ALL {
        let mut list = Vec::new();
        for row in documents(store, kind.singular(), version)? {
            list.push((row.text(0)?, raw(row.text(3)?)?));
        }
        body.collections.push((kind, list));
    }
    Ok(body)
}

/// The environment's part alone.
pub(super) fn environment(store: &Store<'_>, version: Option<i64>) -> Answer<String> {
    store.live()?;
    Ok(serde_json::to_string(&body(store, version)?)?)
}

/// A project document with this one environment.
pub(super) fn project(store: &Store<'_>, version: Option<i64>) -> Answer<String> {
    #[derive(Serialize)]
    struct Project<'a> {
        project: &'a str,
        environments: BTreeMap<&'a str, Body>,
    }
    let meta = store.live()?;
    let (project, environment) = meta.environment.split_once('/').unwrap_or_default();
    let environments = [(environment, body(store, version)?)].into();
    Ok(serde_json::to_string(&Project { project, environments })?)
}

/// Some flags and segments with all segments that they need.
pub(super) fn pick(store: &Store<'_>, flags: Vec<String>, segments: Vec<String>) -> Answer<String> {
    store.live()?;
    let mut open: Vec<(Kind, String)> = flags.into_iter().map(|key| (Kind::Flag, key)).collect();
    open.extend(segments.into_iter().map(|key| (Kind::Segment, key)));
    let mut found: BTreeMap<(Kind, String), Box<RawValue>> = BTreeMap::new();
    while let Some((kind, key)) = open.pop() {
        if found.contains_key(&(kind, key.clone())) {
            continue;
        }
        let sort = Sort::Of(kind);
        let Some(stored) = store.find(sort, &key)? else {
            let detail = format!("there is no `{}` to copy", sort.name(&key));
            return Err(Refusal::new(Fault::UnknownEntity, detail));
        };
        let node = parse(&stored.document)?;
        let document = sort.read(&node, &At::ROOT, &mut Problems::default());
        let needed = document.as_ref().map(references).unwrap_or_default();
        let segment = |reference: Reference| (reference.target == Target::Segment).then_some(reference.key);
        open.extend(needed.into_iter().filter_map(segment).map(|key| (Kind::Segment, key)));
        found.insert((kind, key), raw(stored.document)?);
    }
    let mut body = Body::default();
    for kind in Kind::ALL {
        let of_kind = found.iter().filter(|((k, _), _)| *k == kind);
        body.collections.push((kind, of_kind.map(|((_, key), text)| (key.clone(), text.clone())).collect()));
    }
    Ok(serde_json::to_string(&body)?)
}
