//! The environment's part of the admin API: who may, and which function answers.

use super::super::audit::{self, Entry};
use super::super::document::Sort;
use super::super::tokens::{self, Mint, NewToken, RotateRequest, TokenInfo, TokenRequest};
use super::super::{Author, Caller, Output, Paged, Principal, unauthenticated};
use super::store::Store;
use super::{channels, context_keys, entities, export, history, import, kill, link, publish, snapshot, versions};
use crate::http::{self, Access, Answer, Fault, Kind, Operation, Query, Refusal, Reply, Request, Route};
use crate::id::EnvironmentId;
use crate::json::{At, Fields, Node, Problems, integer, parse, text};
use crate::limits;
use crate::time::Instant;
use crate::token::Scope;
use serde::Serialize;
use std::collections::BTreeMap;

/// An evaluation that is to be traced.
#[derive(Debug)]
pub struct Question<'a> {
    /// The snapshot to evaluate, as it was at the version asked for.
    pub snapshot: &'a str,
    /// The pointer, for kills; at an earlier version without any.
    pub pointer: &'a str,
    /// The flag's key; it is in the snapshot.
    pub flag: &'a str,
    /// The evaluation context, an object.
    pub context: &'a Node<'a>,
    /// The present.
    pub now: Instant,
}

/// Traces an evaluation: answers the JSON text of the explanation.
pub type Explain = fn(&Question<'_>) -> String;

/// Answers a request.
pub(super) fn answer(store: &Store<'_>, request: &Request, caller: Caller, explain: Explain) -> Answer<Output> {
    let principal = match caller {
        Caller::Principal(principal) => principal,
        Caller::Token(sha256) => tokens::authenticate(store.sql, store.now, &sha256)?.ok_or_else(unauthenticated)?,
    };
    let meta = store.live()?;
    let route = http::parse(&request.method, &request.path)?;
    let row = route.operation.row();
    let Access::Environment(role) = row.access else {
        return Err(Refusal::new(Fault::Forbidden, "this is not the environment's to answer"));
    };
    if route.scope() != meta.environment {
        return Err(unauthenticated());
    }
    principal.require(role)?;
    let call = Call { store, request, principal, query: Query::read(&request.query, row.query)?, route };
    call.run(explain)
}

struct Call<'s, 'a> {
    store: &'s Store<'a>,
    request: &'s Request,
    principal: Principal,
    query: Query,
    route: Route,
}

impl Call<'_, '_> {
    fn author(&self) -> Answer<Author> {
        Author::new(&self.principal, self.request, None)
    }

    /// The author of a verb, whose body may give the reason.
    fn verb(&self) -> Answer<Author> {
        let reason = read_reason(&self.request.body)?;
        Author::new(&self.principal, self.request, reason.as_deref())
    }

    fn run(&self, explain: Explain) -> Answer<Output> {
        use Operation as O;
        let Self { store, request, route, query, .. } = self;
        let (sort, key) = (Sort::Of(route.kind), route.key.as_str());
        let read = |reply: Reply| Ok(Output::reply(&reply));
        match route.operation {
            O::GetEnvironment => read(state(store)?),
            O::GetSettings => read(entities::get(store, Sort::Settings, "", request)?),
            O::PutSettings => entities::put(store, Sort::Settings, "", request, &self.author()?),
            O::ListEntities => read(entities::list(store, route.kind, query)?),
            O::GetEntity => read(entities::get(store, sort, key, request)?),
            O::PutEntity => entities::put(store, sort, key, request, &self.author()?),
            O::PatchChannel => channels::patch(store, key, request, &self.author()?),
            O::GetRelease => read(channels::get_release(store, route)?),
            O::PutRelease | O::DeleteRelease => channels::put_release(store, route, request, &self.author()?),
            O::ReportAvailability => channels::report(store, route, request, &self.author()?),
            O::PatchFlag => entities::patch(store, key, request, &self.author()?),
            O::DeleteEntity => entities::delete(store, sort, key, request, &self.author()?),
            O::History => read(history::list(store, sort, key, query)?),
            O::GetRevision => read(history::revision(store, sort, key, route.number)?),
            O::DiffRevisions => read(history::diff(store, sort, key, query)?),
            O::Revert => history::revert(store, sort, key, request, &self.principal),
            O::KillFlag => kill::one(store, Kind::Flag, route, &self.verb()?, true),
            O::UnkillFlag => kill::one(store, Kind::Flag, route, &self.verb()?, false),
            O::KillRoute => kill::one(store, Kind::Route, route, &self.verb()?, true),
            O::UnkillRoute => kill::one(store, Kind::Route, route, &self.verb()?, false),
            O::CreateLink => link::create(store, key, request, &self.principal),
            O::KillEnvironment => kill::environment(store, &self.verb()?, true),
            O::UnkillEnvironment => kill::environment(store, &self.verb()?, false),
            O::ListVersions => read(versions::list(store, query)?),
            O::GetVersion => read(versions::get(store, route.number)?),
            O::DiffVersions => read(versions::diff(store, query)?),
            O::Audit => read(audit::list(store.sql, query)?),
            O::Export => read(Reply::json(200, export::project(store, None)?)),
            O::Import => import::request(store, request, query, &self.principal),
            O::Explain => self.explain(explain),
            O::GetContextKey => read(context_keys::get(store, 200)?),
            O::RotateContextKey => {
                let rotate = RotateRequest::read(&request.body)?;
                let author = Author::new(&self.principal, request, rotate.reason.as_deref())?;
                context_keys::rotate(store, &author, &rotate)
            }
            O::ListTokens => {
                let items = tokens::list(store.sql, store.now)?;
                read(Reply::value(200, &Paged { items, next: None }))
            }
            O::CreateToken | O::RotateToken | O::RevokeToken => self.token(),
            _ => Err(Refusal::new(Fault::Internal, "no function answers this route")),
        }
    }

    /// Tokens are part of the snapshot, so every change of them is a version.
    fn token(&self) -> Answer<Output> {
        let meta = self.store.live()?;
        let scope = EnvironmentId::parse(&meta.environment)
            .map_err(|error| Refusal::new(Fault::Internal, error.to_string()))?;
        let Store { sql, now, entropy, .. } = self.store;
        let scope = Scope::Environment(scope.project(), scope.environment());
        let mint = Mint { sql: *sql, now: *now, entropy, scope };
        let author = |reason: Option<&str>| Author::new(&self.principal, self.request, reason);
        let new = |author: &Author, action: &str, made: &NewToken| -> Answer<Output> {
            self.note_token(author, action, &made.info.id, made.replaces.as_ref(), Some(&made.info))?;
            entities::finish(self.store, &Reply::value(201, made))
        };
        match self.route.operation {
            Operation::CreateToken => {
                let request = TokenRequest::read(&self.request.body, scope, *now)?;
                let author = author(request.reason.as_deref())?;
                new(&author, "create", &mint.create(&request, &author.actor)?)
            }
            Operation::RotateToken => {
                let request = RotateRequest::read(&self.request.body)?;
                let author = author(request.reason.as_deref())?;
                new(&author, "rotate", &mint.rotate(&self.route.key, request.overlap, &author.actor)?)
            }
            _ => {
                let old = mint.revoke(&self.route.key)?;
                self.note_token(&author(None)?, "revoke", &old.id, Some(&old), None)?;
                entities::finish(self.store, &Reply::empty(204))
            }
        }
    }

    fn note_token(
        &self,
        author: &Author,
        action: &str,
        id: &str,
        before: Option<&TokenInfo>,
        after: Option<&TokenInfo>,
    ) -> Answer<()> {
        let entity = format!("tokens/{id}");
        let version = self.store.advance(&self.store.live()?, author, action, &entity)?;
        let json = |info: Option<&TokenInfo>| info.map(serde_json::to_string).transpose();
        let (before, after) = (json(before)?, json(after)?);
        let entry = Entry {
            action,
            entity: &entity,
            version: Some(version),
            before: before.as_deref(),
            after: after.as_deref(),
        };
        self.store.audit(author, &entry)
    }

    fn explain(&self, explain: Explain) -> Answer<Output> {
        let meta = self.store.live()?;
        let node = parse(&self.request.body)?;
        let (mut problems, at) = (Problems::default(), At::ROOT);
        let Some(mut fields) = Fields::open(&node, &at, &mut problems) else {
            return Err(Refusal::invalid(problems));
        };
        let flag = fields.required("flag", &at, &mut problems);
        let flag = flag.and_then(|node| text(node, limits::KEY_LENGTH, &at.member("flag"), &mut problems));
        let empty = Node::Object(Vec::new());
        let context = fields.optional("context").unwrap_or(&empty);
        if !matches!(context, Node::Object(_)) {
            problems.add(&at.member("context"), "must be an object");
        }
        let version = fields.optional("version");
        let version = version.and_then(|node| integer(node, 1..=meta.version, &at.member("version"), &mut problems));
        fields.finish(&at, &mut problems);
        let (Some(flag), true) = (flag, problems.is_empty()) else { return Err(Refusal::invalid(problems)) };
        let earlier = version.filter(|version| *version != meta.version);
        let known = snapshot::documents(self.store, "flag", earlier)?;
        if !known.iter().any(|row| row.text(0).is_ok_and(|key| key == flag)) {
            return Err(Refusal::new(Fault::UnknownEntity, format!("there is no flag `{flag}` at this version")));
        }
        let snapshot = snapshot::text(self.store, &meta, earlier)?;
        let pointer = match earlier {
            None => publish::pointer_text(self.store, &meta)?,
            Some(version) => {
                let (incarnation, sequence) = (meta.incarnation, meta.sequence);
                serde_json::to_string(&super::Pointer { incarnation, sequence, version, kill: false, killed: vec![] })?
            }
        };
        let question = Question { snapshot: &snapshot, pointer: &pointer, flag, context, now: self.store.now };
        Ok(Output::reply(&Reply::json(200, explain(&question))))
    }
}

/// Reads `{"reason": text}`, or nothing.
fn read_reason(body: &str) -> Answer<Option<String>> {
    if body.trim().is_empty() {
        return Ok(None);
    }
    let node = parse(body)?;
    let (mut problems, at) = (Problems::default(), At::ROOT);
    let reason = Fields::open(&node, &at, &mut problems).and_then(|mut fields| {
        let reason = fields.optional("reason");
        let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), &mut problems));
        fields.finish(&at, &mut problems);
        reason.map(str::to_owned)
    });
    if problems.is_empty() { Ok(reason) } else { Err(Refusal::invalid(problems)) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    project: String,
    environment: String,
    incarnation: i64,
    version: i64,
    sequence: i64,
    killed: bool,
    killed_flags: Vec<String>,
    killed_routes: Vec<String>,
    counts: BTreeMap<String, i64>,
    bytes: i64,
    created_at: String,
    publication: publish::Progress,
}

/// What there is to know of an environment at a glance.
pub(super) fn state(store: &Store<'_>) -> Answer<Reply> {
    let meta = store.live()?;
    let (project, environment) = meta.environment.split_once('/').unwrap_or_default();
    let killed = store.sql.rows("SELECT key FROM kill WHERE lifted_at IS NULL ORDER BY key", &[])?;
    let killed: Vec<String> = killed.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    let (killed_routes, killed_flags): (Vec<_>, Vec<_>) =
        killed.into_iter().partition(|name| name.starts_with("routes/"));
    let mut counts: BTreeMap<String, i64> = http::Kind::ALL.iter().map(|kind| (kind.plural().to_owned(), 0)).collect();
    for row in store.sql.rows("SELECT kind, count(*) FROM entity WHERE kind <> 'settings' GROUP BY kind", &[])? {
        counts.insert(format!("{}s", row.text(0)?), row.integer(1)?);
    }
    let created_at = store.sql.number("SELECT created_at FROM meta", &[])?;
    let state = State {
        project: project.to_owned(),
        environment: environment.to_owned(),
        incarnation: meta.incarnation,
        version: meta.version,
        sequence: meta.sequence,
        killed: meta.killed,
        killed_flags,
        killed_routes: killed_routes
            .iter()
            .filter_map(|name| name.strip_prefix("routes/"))
            .map(str::to_owned)
            .collect(),
        counts,
        bytes: meta.bytes,
        created_at: Instant::from_millis(created_at).to_string(),
        publication: publish::progress(store, &meta)?,
    };
    Ok(Reply::value(200, &state).with("headgate-version", meta.version.to_string()))
}
