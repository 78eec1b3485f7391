//! Documents brought in all at once: import of a file, copy from another environment.

use super::super::document::Sort;
use super::super::project::{EnvironmentDocument, ProjectDocument, split};
use super::super::{Author, Output, Principal, Role, diff};
use super::store::Store;
use super::write::{Change, Manner, Written, apply};
use super::{Import, channels, entities, lifecycle};
use crate::http::{Answer, Fault, Kind, Query, Refusal, Reply, Request};
use crate::json::{At, Problem, Problems, parse};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// Changes that a report spells out; it counts them all.
const REPORTED: usize = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    environment: String,
    dry_run: bool,
    version: i64,
    created: usize,
    updated: usize,
    deleted: usize,
    unchanged: usize,
    changes: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Problem>,
}

#[derive(Serialize)]
struct Line {
    action: &'static str,
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Box<RawValue>>,
}

/// Answers `POST …/import`: the body is a project document that holds this environment, or one
/// environment alone, which is then taken for this one.
pub(super) fn request(store: &Store<'_>, request: &Request, query: &Query, principal: &Principal) -> Answer<Output> {
    let meta = store.live()?;
    let mut problems = Problems::default();
    let project = ProjectDocument::read(split(&request.body)?, &mut problems);
    let Some(project) = project.filter(|_| problems.is_empty()) else {
        return Err(Refusal::invalid(problems));
    };
    let wanted = meta.environment.split_once('/').map_or("", |(_, environment)| environment);
    let found = match project.environments.as_slice() {
        [one] => Some(one),
        many => many.iter().find(|(key, _)| key == wanted),
    };
    let Some((key, raw)) = found else {
        problems.add(&At::ROOT.member("environments"), format!("there is no `{wanted}` among several"));
        return Err(Refusal::invalid(problems));
    };
    let import = Import {
        environment: meta.environment,
        create: None,
        principal: principal.clone(),
        reason: request.reason.clone(),
        document: String::new(),
        key: key.clone(),
        replace: replaces(query)?,
        keep_salts: false,
        dry_run: query.boolean("dryRun")?.unwrap_or(false),
        action: "import".to_owned(),
        granted: Vec::new(),
    };
    let author = Author::new(principal, request, None)?;
    bring(store, &author, &import, raw)
}

/// The parameter `mode`.
pub(crate) fn replaces(query: &Query) -> Answer<bool> {
    match query.get("mode") {
        None | Some("merge") => Ok(false),
        Some("replace") => Ok(true),
        Some(_) => Err(Refusal::new(Fault::BadParameter, "`mode` must be `merge` or `replace`")),
    }
}

/// Answers the call `import`.
pub(super) fn run(store: &Store<'_>, import: &Import) -> Answer<Output> {
    import.principal.require(Role::Editor)?;
    let author = Author { actor: import.principal.actor.clone(), reason: import.reason.clone() };
    if let Some(incarnation) = import.create {
        lifecycle::ensure(store, &import.environment, incarnation, &author)?;
    }
    bring(store, &author, import, split(&import.document)?)
}

fn bring(store: &Store<'_>, author: &Author, import: &Import, raw: &RawValue) -> Answer<Output> {
    let environments = At::ROOT.member("environments");
    let inner = environments.member(&import.key);
    let at = if import.key.is_empty() { At::ROOT } else { inner };
    let mut problems = Problems::default();
    let documents = EnvironmentDocument::read(raw, &at, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal::invalid(problems));
    }
    let gone = if import.replace { missing(store, &documents.names(), &at)? } else { Vec::new() };
    let changes = documents.documents().map(|(sort, key, document)| {
        let place = match sort {
            Sort::Settings => at.member("settings").pointer(),
            Sort::Of(kind) => at.member(kind.plural()).member(key).pointer(),
        };
        Change { sort, key: key.to_owned(), document: Some(document), place }
    });
    let manner = Manner { action: &import.action, keep_salts: import.keep_salts };
    let written = apply(store, author, manner, changes.chain(gone))?;
    if written.iter().any(|one| one.sort == Sort::Settings) {
        import.principal.require(Role::Approver)?;
    }
    let mut output = entities::finish(store, &Reply::value(200, &report(store, import, documents.len(), &written)?))?;
    if import.dry_run {
        output.commit = false;
        output.alarm = None;
    }
    Ok(output)
}

/// Deletions of what the document does not name.
fn missing(store: &Store<'_>, named: &HashSet<(Sort, &str)>, at: &At<'_>) -> Answer<Vec<Change>> {
    let mut changes = Vec::new();
    for row in store.sql.rows("SELECT kind, key FROM entity ORDER BY kind, key", &[])? {
        let (Some(sort), key) = (Sort::parse(&row.text(0)?), row.text(1)?) else { continue };
        if !named.contains(&(sort, key.as_str())) {
            changes.push(Change { sort, key, document: None, place: at.pointer() });
        }
    }
    Ok(changes)
}

fn report(store: &Store<'_>, import: &Import, total: usize, written: &[Written]) -> Answer<Report> {
    let count = |verb: &str| written.iter().filter(|one| one.verb() == verb).count();
    let (created, updated, deleted) = (count("create"), count("update"), count("delete"));
    let mut changes = Vec::new();
    for one in written.iter().take(REPORTED) {
        let entity = one.sort.name(&one.key);
        changes.push(Line { action: one.verb(), entity, changes: places(one)? });
    }
    let mut warnings = Vec::new();
    for one in written.iter().filter(|one| one.sort == Sort::Of(Kind::Channel)).take(REPORTED) {
        warnings.extend(one.text.iter().flat_map(|text| channels::warnings(text, &one.place, store.now)));
    }
    Ok(Report {
        environment: import.environment.clone(),
        dry_run: import.dry_run,
        version: store.live()?.version,
        created,
        updated,
        deleted,
        unchanged: total - created - updated,
        changes,
        warnings,
    })
}

fn places(one: &Written) -> Answer<Option<Box<RawValue>>> {
    let (Some(before), Some(after)) = (&one.before, &one.text) else { return Ok(None) };
    let (from, to) = (parse(&before.document)?, parse(after)?);
    Ok(Some(serde_json::value::to_raw_value(&diff::diff(&from, &to))?))
}
