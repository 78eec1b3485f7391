//! Calls that span environments: import of a whole project, comparison, copy.

use super::admin::{Round, Stop, environment_call};
use crate::control::environment::{self, Import, replaces};
use crate::control::project::{ProjectDocument, split};
use crate::control::{Author, Principal, diff, raw};
use crate::http::{Answer, Fault, Query, Refusal, Reply, Route};
use crate::id::{check_key, check_scope_key};
use crate::json::{At, Fields, Lines, Node, Problem, Problems, boolean, parse, text};
use crate::limits;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    project: String,
    dry_run: bool,
    environments: BTreeMap<String, Box<RawValue>>,
}

/// The problems in a refused reply.
fn problems_of(reply: &Reply) -> Vec<Problem> {
    #[derive(serde::Deserialize)]
    struct Wire {
        #[serde(default)]
        problems: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        pointer: String,
        detail: String,
    }
    let wire: Option<Wire> = serde_json::from_str(&reply.body).ok();
    let list = wire.map(|wire| wire.problems).unwrap_or_default().into_iter();
    list.map(|one| Problem { pointer: one.pointer, detail: one.detail }).collect()
}

impl Round<'_> {
    /// Imports a project document: every environment tries first, and only if all of them could
    /// take it, project and environments are registered and filled.
    pub(super) fn import(&self, query: &Query, principal: &Principal) -> Result<Reply, Stop> {
        let replace = replaces(query)?;
        let dry_run = query.boolean("dryRun")?.unwrap_or(false);
        let author = Author::new(principal, &self.input.request, None)?;
        let mut problems = Problems::default();
        let document = split(&self.input.request.body).map_err(Refusal::from)?;
        let project = ProjectDocument::read(document, &mut problems);
        // What is wrong within environments they say themselves, unless it does not come to that.
        if let (Some(project), false) = (&project, problems.is_empty()) {
            project.check(&mut problems);
        }
        let Some(project) = project.filter(|_| problems.is_empty()) else {
            return Err(Refusal::invalid(problems).into());
        };
        let call = |key: &str, document: &RawValue, create: i64, dry_run: bool, granted: Vec<String>| {
            let environment = format!("{}/{key}", project.project);
            let import = Import {
                environment: environment.clone(),
                create: Some(create),
                principal: principal.clone(),
                reason: author.reason.clone(),
                document: document.get().to_owned(),
                key: key.to_owned(),
                replace,
                keep_salts: false,
                dry_run,
                action: "import".to_owned(),
                granted,
            };
            environment_call(&environment, &environment::Call::Import(import))
        };
        let claiming =
            |replies: Vec<Reply>, incarnation: &dyn Fn(&str) -> i64, dry_call: bool| -> Result<Vec<Reply>, Stop> {
                let pairs = project.environments.iter().zip(replies);
                let one = |((key, document), reply): (&(String, &RawValue), Reply)| {
                    let again = |granted| call(key, document, incarnation(key), dry_call, granted);
                    self.claiming(&format!("{}/{key}", project.project), reply, dry_run, again)
                };
                pairs.map(one).collect()
            };
        let tries = project.environments.iter().map(|(key, document)| call(key, document, 0, true, Vec::new()));
        let replies = self.all(tries.collect::<Result<_, Stop>>()?)?;
        let mut replies = claiming(replies, &|_| 0, true)?;
        merge(&replies)?;
        if !dry_run {
            let keys: Vec<_> = project.environments.iter().map(|(key, _)| key.clone()).collect();
            let registered = self.register(&project.project, project.name.clone(), keys, true, principal)?;
            let incarnation = |key: &str| registered.environments.get(key).copied().unwrap_or(1);
            let real = project
                .environments
                .iter()
                .map(|(key, document)| call(key, document, incarnation(key), false, Vec::new()));
            let real = self.all(real.collect::<Result<_, Stop>>()?)?;
            replies = claiming(real, &incarnation, false)?;
            merge(&replies)?;
        }
        let mut environments = BTreeMap::new();
        for ((key, _), reply) in project.environments.iter().zip(replies) {
            environments.insert(key.clone(), raw(reply.body)?);
        }
        Ok(Reply::value(200, &Report { project: project.project, dry_run, environments }))
    }

    /// What differs between this environment and another one of the project. Salts are left out:
    /// they are random and say nothing.
    pub(super) fn compare(&self, route: &Route, query: &Query, principal: &Principal) -> Result<Reply, Stop> {
        #[derive(Serialize)]
        struct Diff<'a> {
            from: &'a str,
            to: &'a str,
            changes: Vec<diff::Change<'a>>,
        }
        let Some(with) = query.get("with").filter(|key| check_scope_key(key).is_ok()) else {
            return Err(Refusal::new(Fault::BadParameter, "`with` must be the key of another environment").into());
        };
        let call = |key: &str| {
            let message = environment::Call::Document { principal: principal.clone() };
            environment_call(&format!("{}/{key}", route.project), &message)
        };
        let replies = self.all(vec![call(&route.environment)?, call(with)?])?;
        merge(&replies)?;
        let read = |reply: &Reply| -> Answer<Node<'static>> { Ok(without_salts(parse(&reply.body)?.into_owned())) };
        let (from, to) = (read(&replies[0])?, read(&replies[1])?);
        let changes = diff::diff(&from, &to);
        Ok(Reply::value(200, &Diff { from: &route.environment, to: with, changes }))
    }

    /// Copies flags and segments from another environment of the project, with the segments that
    /// they need. A flag that exists here keeps its salt, so that nobody changes buckets; a new
    /// one brings the salt of its origin along.
    pub(super) fn copy(&self, route: &Route, principal: &Principal) -> Result<Reply, Stop> {
        let wanted = CopyRequest::read(&self.input.request.body)?;
        let author = Author::new(principal, &self.input.request, wanted.reason.as_deref())?;
        let message =
            environment::Call::Pick { principal: principal.clone(), flags: wanted.flags, segments: wanted.segments };
        let picked = self.good(environment_call(&format!("{}/{}", route.project, wanted.from), &message)?)?;
        let import = Import {
            environment: route.scope(),
            create: None,
            principal: principal.clone(),
            reason: author.reason,
            document: picked.body,
            key: String::new(),
            replace: false,
            keep_salts: true,
            dry_run: wanted.dry_run,
            action: "copy".to_owned(),
            granted: Vec::new(),
        };
        self.one(environment_call(&route.scope(), &environment::Call::Import(import))?)
    }
}

/// Stops at refusals, with the problems of all of them when they are of the same kind.
fn merge(replies: &[Reply]) -> Result<(), Stop> {
    let Some(first) = replies.iter().find(|reply| reply.status >= 400) else { return Ok(()) };
    let problems: Vec<Problem> = replies.iter().filter(|reply| reply.status == 422).flat_map(problems_of).collect();
    let several = replies.iter().filter(|reply| reply.status >= 400).count() > 1;
    if several && first.status == 422 && !problems.is_empty() {
        return Err(Refusal::listing(Fault::Invalid, problems).into());
    }
    Err(Stop::Reply(first.clone()))
}

fn without_salts(mut environment: Node<'static>) -> Node<'static> {
    if let Node::Object(members) = &mut environment {
        for (_, flags) in members.iter_mut().filter(|(key, _)| key == "flags") {
            let Node::Object(flags) = flags else { continue };
            for (_, flag) in flags {
                if let Node::Object(members) = flag {
                    members.retain(|(key, _)| key != "salt");
                }
            }
        }
    }
    environment
}

struct CopyRequest {
    from: String,
    flags: Vec<String>,
    segments: Vec<String>,
    dry_run: bool,
    reason: Option<String>,
}

impl CopyRequest {
    fn read(body: &str) -> Answer<Self> {
        let node = parse(body)?;
        let (mut problems, at) = (Problems::default(), At::ROOT);
        let Some(mut fields) = Fields::open(&node, &at, &mut problems) else {
            return Err(Refusal::invalid(problems));
        };
        let from = fields.required("from", &at, &mut problems).and_then(|node| {
            let from = text(node, limits::SCOPE_KEY_LENGTH, &at.member("from"), &mut problems)?;
            if check_scope_key(from).is_err() {
                problems.add(&at.member("from"), "must be an environment's key");
            }
            Some(from.to_owned())
        });
        let mut keys = |name| {
            let lines = Lines { count: limits::FLAGS, length: limits::KEY_LENGTH };
            let at = at.member(name);
            let keys = fields.optional(name).map(|node| lines.read(node, &at, &mut problems)).unwrap_or_default();
            for (index, key) in keys.iter().enumerate() {
                if let Err(error) = check_key(key) {
                    problems.add(&at.element(index), error.to_string());
                }
            }
            keys
        };
        let (flags, segments) = (keys("flags"), keys("segments"));
        let dry_run = fields.optional("dryRun");
        let dry_run = dry_run.and_then(|node| boolean(node, &at.member("dryRun"), &mut problems)).unwrap_or(false);
        let reason = fields.optional("reason");
        let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), &mut problems));
        fields.finish(&at, &mut problems);
        if flags.is_empty() && segments.is_empty() && problems.is_empty() {
            problems.add(&at, "names no flag and no segment");
        }
        let (Some(from), true) = (from, problems.is_empty()) else { return Err(Refusal::invalid(problems)) };
        Ok(Self { from, flags, segments, dry_run, reason: reason.map(str::to_owned) })
    }
}
