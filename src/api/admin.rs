//! Planning: a request either has its answer, or needs calls of objects first. The shell performs
//! them, appends their results to `gathered` and asks again; everything is computed anew from the
//! start, so nothing is kept between two rounds.

use super::{health, metrics};
use crate::control::directory::{self, Registered};
use crate::control::environment;
use crate::control::hostname;
use crate::control::metrics::Delta;
use crate::control::{Author, Caller, Principal, Role, unauthenticated};
use crate::http::{self, Access, Answer, Body, Fault, Operation, Query, Refusal, Reply, Request, Route};
use crate::json::{Problem, Problems};
use crate::limits;
use crate::token::{Scope, Token, TokenKind, bearer, parse as parse_token, same, sha256_hex};
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// Everything that a plan is made from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planning {
    /// The request.
    pub request: Request,
    /// Bytes of its body, as declared or as read; the body is empty when that is over the bound.
    #[serde(default)]
    pub size: usize,
    /// The secret `OWNER_TOKEN`, if one is set.
    pub owner: Option<String>,
    /// Results of the calls made so far, in the order of the calls.
    #[serde(default)]
    pub gathered: Vec<Gathered>,
    /// The present, in milliseconds since 1970.
    pub now: i64,
    /// Which deployment this is.
    pub deployment: Deployment,
    /// What the isolate knows of its own state, for `/health`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The gateway's own hostnames, which nobody can route, separated by commas or spaces.
    #[serde(default)]
    pub gateway_hosts: String,
}

/// Which deployment this is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// The platform's name for the version.
    pub version_id: String,
    /// When it was deployed, in milliseconds since 1970.
    pub deployed_at: i64,
}

/// Something the gateway depends on, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What: `kv`, `snapshot pairity/production`.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// More, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How something is; the worst of all decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, with less than it should have.
    Degraded,
    /// Does not work.
    Down,
}

/// The result of one call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Gathered {
    /// The object's reply.
    Ok(Option<String>),
    /// The call did not get through.
    Error(String),
}

/// A call of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Which kind: `directory`, `environment`, `metrics`.
    pub object: &'static str,
    /// The object's name.
    pub name: String,
    /// The message, JSON text.
    pub message: String,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Plan {
    /// This is the answer.
    Reply {
        /// It.
        reply: Reply,
        /// What is to be counted.
        counters: Vec<Delta>,
        /// The file of the deployment that is its body.
        #[serde(skip_serializing_if = "Option::is_none")]
        asset: Option<&'static str>,
    },
    /// These calls are needed first, any order.
    Calls {
        /// They.
        calls: Vec<Call>,
    },
}

/// Says what a request needs, or answers it.
pub fn plan(input: &Planning) -> Plan {
    let round = Round { input, cursor: Cell::new(0) };
    let (reply, asset) = match round.run() {
        Ok(reply) | Err(Stop::Reply(reply)) => (reply, None),
        Err(Stop::Asset(asset, reply)) => (reply, Some(asset)),
        Err(Stop::Calls(calls)) => return Plan::Calls { calls },
    };
    let bodiless = input.request.method == "HEAD";
    let reply = if bodiless { Reply { body: String::new(), ..reply } } else { reply }.finished();
    let asset = asset.filter(|_| !bodiless);
    let label = |name: &str, value: String| [(name.to_owned(), value)].into();
    let status = label("status", reply.status.to_string());
    let mut counters = vec![Delta("headgate_admin_requests_total".to_owned(), status, 1)];
    if matches!(reply.status, 401 | 403) {
        counters.push(Delta("headgate_denied_total".to_owned(), label("surface", "admin".to_owned()), 1));
    }
    Plan::Reply { reply, counters, asset }
}

/// Why a round ends early.
pub(super) enum Stop {
    /// Results are missing.
    Calls(Vec<Call>),
    /// The answer is known already.
    Reply(Reply),
    /// The answer's body is a file of the deployment: too large to be carried in the wasm.
    Asset(&'static str, Reply),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Reply(refusal.reply())
    }
}

impl From<http::Miss> for Stop {
    fn from(miss: http::Miss) -> Self {
        Refusal::from(miss).into()
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Refusal::from(error).into()
    }
}

/// One pass over a request, with the results so far.
pub(super) struct Round<'a> {
    pub(super) input: &'a Planning,
    cursor: Cell<usize>,
}

/// Whose request it is, as far as the token itself says.
enum Who {
    Principal(Principal),
    Environment { scope: String, sha256: String },
    Deployment { sha256: String },
}

pub(super) fn directory_call(message: &directory::Call) -> Result<Call, Stop> {
    Ok(Call { object: "directory", name: "directory".to_owned(), message: serde_json::to_string(message)? })
}

pub(super) fn environment_call(name: &str, message: &environment::Call) -> Result<Call, Stop> {
    Ok(Call { object: "environment", name: name.to_owned(), message: serde_json::to_string(message)? })
}

impl Round<'_> {
    /// The results of calls, some of which may have failed.
    pub(super) fn attempt(&self, calls: Vec<Call>) -> Result<Vec<Result<Reply, String>>, Stop> {
        let start = self.cursor.get();
        let Some(results) = self.input.gathered.get(start..start + calls.len()) else { return Err(Stop::Calls(calls)) };
        self.cursor.set(start + calls.len());
        let read = |result: &Gathered| match result {
            Gathered::Ok(text) => serde_json::from_str(text.as_deref().unwrap_or("null")).map_err(|e| e.to_string()),
            Gathered::Error(error) => Err(error.clone()),
        };
        Ok(results.iter().map(read).collect())
    }

    /// The answers of calls that must all get through.
    pub(super) fn all(&self, calls: Vec<Call>) -> Result<Vec<Reply>, Stop> {
        let names: Vec<_> = calls.iter().map(|call| format!("{} `{}`", call.object, call.name)).collect();
        let results = self.attempt(calls)?.into_iter().zip(names);
        let fail = |(result, name): (Result<Reply, String>, String)| {
            result.map_err(|error| {
                Refusal::new(Fault::Unavailable, format!("the {name} does not answer: {error}")).into()
            })
        };
        results.map(fail).collect()
    }

    /// The answer of one call, whatever it is.
    pub(super) fn one(&self, call: Call) -> Result<Reply, Stop> {
        self.all(vec![call]).map(|mut replies| replies.swap_remove(0))
    }

    /// The answer of one call that must succeed for the rest to make sense.
    pub(super) fn good(&self, call: Call) -> Result<Reply, Stop> {
        let reply = self.one(call)?;
        if reply.status < 400 { Ok(reply) } else { Err(Stop::Reply(reply)) }
    }

    fn run(&self) -> Result<Reply, Stop> {
        let request = &self.input.request;
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let route = http::parse(method, &request.path)?;
        let row = route.operation.row();
        check_body(request, self.input.size, row.body)?;
        let query = Query::read(&request.query, row.query)?;
        match row.access {
            Access::Public => match route.operation {
                Operation::Home => Err(Stop::Asset("home", Reply::page())),
                Operation::Health => health::health(self),
                Operation::Ready => Ok(health::ready(self)),
                Operation::OpenApi => Err(Stop::Asset("openapi", Reply::json(200, ""))),
                _ => Err(http::Miss::NotFound.into()),
            },
            Access::Evaluation => Err(http::Miss::NotFound.into()),
            Access::AnyAdmin => {
                let only = self.any_admin()?;
                metrics::page(self, only.as_deref())
            }
            Access::Deployment(role) => self.deployment(&route, &query, role),
            Access::Environment(_) => {
                let caller = self.caller(&route.scope())?;
                let call = |granted| {
                    let (request, caller) = (self.bare(method), caller.clone());
                    environment_call(&route.scope(), &environment::Call::Admin { request, caller, granted })
                };
                let reply = self.one(call(Vec::new())?)?;
                self.claiming(&route.scope(), reply, query.boolean("dryRun").is_ok_and(|dry| dry == Some(true)), call)
            }
        }
    }

    /// The request as objects get it: the token does not travel.
    fn bare(&self, method: &str) -> Request {
        Request { authorization: None, method: method.to_owned(), ..self.input.request.clone() }
    }

    fn who(&self) -> Answer<Who> {
        let header = self.input.request.authorization.as_deref();
        let credential = header.and_then(bearer).ok_or_else(unauthenticated)?;
        let sha256 = sha256_hex(credential);
        // Hashes are compared, so that not even the length of the secret shows.
        let owner = self.input.owner.as_deref().filter(|owner| !owner.is_empty()).map(sha256_hex);
        if owner.is_some_and(|owner| same(owner.as_bytes(), sha256.as_bytes())) {
            return Ok(Who::Principal(Principal { actor: "owner".to_owned(), role: Role::Owner }));
        }
        match parse_token(credential) {
            Some(Token { kind: TokenKind::Admin, scope: Scope::Deployment }) => Ok(Who::Deployment { sha256 }),
            Some(Token { kind: TokenKind::Admin, scope: Scope::Environment(project, environment) }) => {
                Ok(Who::Environment { scope: format!("{project}/{environment}"), sha256 })
            }
            _ => Err(unauthenticated()),
        }
    }

    fn authenticate(&self, sha256: String) -> Result<Principal, Stop> {
        let reply = self.good(directory_call(&directory::Call::Authenticate { token: sha256 })?)?;
        Ok(serde_json::from_str(&reply.body)?)
    }

    /// Who calls an environment. Its own tokens it checks itself, so that a kill needs no directory.
    fn caller(&self, scope: &str) -> Result<Caller, Stop> {
        match self.who()? {
            Who::Principal(principal) => Ok(Caller::Principal(principal)),
            Who::Deployment { sha256 } => Ok(Caller::Principal(self.authenticate(sha256)?)),
            Who::Environment { scope: good, sha256 } if good == scope => Ok(Caller::Token(sha256)),
            Who::Environment { .. } => Err(unauthenticated().into()),
        }
    }

    /// Lets any admin token pass; gives the one environment that it is good for, if it is.
    fn any_admin(&self) -> Result<Option<String>, Stop> {
        match self.who()? {
            Who::Principal(_) => Ok(None),
            Who::Deployment { sha256 } => {
                self.authenticate(sha256)?;
                Ok(None)
            }
            Who::Environment { scope, sha256 } => {
                self.good(environment_call(&scope, &environment::Call::Authenticate { token: sha256 })?)?;
                Ok(Some(scope))
            }
        }
    }

    /// Calls that concern more than one environment.
    fn deployment(&self, route: &Route, query: &Query, role: Role) -> Result<Reply, Stop> {
        let spanning = matches!(
            route.operation,
            Operation::PutEnvironment
                | Operation::DeleteEnvironment
                | Operation::ImportProject
                | Operation::Compare
                | Operation::Copy
        );
        let caller = match self.who()? {
            Who::Principal(principal) => Caller::Principal(principal),
            Who::Deployment { sha256 } if spanning => Caller::Principal(self.authenticate(sha256)?),
            Who::Deployment { sha256 } => Caller::Token(sha256),
            Who::Environment { .. } => return Err(unauthenticated().into()),
        };
        let Caller::Principal(principal) = caller else {
            let request = self.bare(&self.input.request.method.replace("HEAD", "GET"));
            return self.one(directory_call(&directory::Call::Admin { request, caller })?);
        };
        principal.require(role)?;
        match route.operation {
            Operation::PutEnvironment => self.put_environment(route, principal),
            Operation::DeleteEnvironment => self.delete_environment(route, query, principal),
            Operation::ImportProject => self.import(query, &principal),
            Operation::Compare => self.compare(route, query, &principal),
            Operation::Copy => self.copy(route, &principal),
            _ => {
                let request = self.bare(&self.input.request.method.replace("HEAD", "GET"));
                let message = directory::Call::Admin { request, caller: Caller::Principal(principal) };
                self.one(directory_call(&message)?)
            }
        }
    }

    fn reason(&self, principal: &Principal) -> Answer<Option<String>> {
        Ok(Author::new(principal, &self.input.request, None)?.reason)
    }

    pub(super) fn register(
        &self,
        project: &str,
        name: Option<String>,
        environments: Vec<String>,
        create: bool,
        principal: &Principal,
    ) -> Result<Registered, Stop> {
        let message = directory::Call::Register {
            project: project.to_owned(),
            name,
            environments,
            create,
            principal: principal.clone(),
            reason: self.reason(principal)?,
        };
        let reply = self.good(directory_call(&message)?)?;
        Ok(serde_json::from_str(&reply.body)?)
    }

    /// The answer of an environment; where that asks for hostnames first, they are claimed and it is asked
    /// once more.
    pub(super) fn claiming(
        &self,
        environment: &str,
        reply: Reply,
        dry_run: bool,
        again: impl FnOnce(Vec<String>) -> Result<Call, Stop>,
    ) -> Result<Reply, Stop> {
        let Some(list) = reply.header(environment::UNCLAIMED) else { return Ok(reply) };
        let hosts = list.to_owned();
        let is_own = |host: &str| self.input.gateway_hosts.split([',', ' ', '\n']).any(|own| own == host);
        let mut problems = Problems::default();
        for (_, pointer) in hostname::lines(&hosts).filter(|(host, _)| is_own(host)) {
            let detail = "must be a name of its own: this one is the gateway's".to_owned();
            problems.push(Problem { pointer: pointer.to_owned(), detail });
        }
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems).into());
        }
        let granted = hostname::lines(&hosts).map(|(host, _)| host.to_owned()).collect();
        let names = directory::Names { environment: environment.to_owned(), hosts };
        let message = if dry_run { directory::Call::TryClaim(names) } else { directory::Call::Claim(names) };
        self.good(directory_call(&message)?)?;
        self.one(again(granted)?)
    }

    fn put_environment(&self, route: &Route, principal: Principal) -> Result<Reply, Stop> {
        if !matches!(self.input.request.body.trim(), "" | "{}") {
            return Err(
                Refusal::new(Fault::Invalid, "an environment takes no particulars: send `{}` or nothing").into()
            );
        }
        let registered = self.register(&route.project, None, vec![route.environment.clone()], false, &principal)?;
        let incarnation = registered.environments.get(&route.environment).copied().unwrap_or(1);
        let (environment, reason) = (route.scope(), self.reason(&principal)?);
        let message = environment::Call::Initialise { environment, incarnation, principal, reason };
        let reply = self.good(environment_call(&route.scope(), &message)?)?;
        let exclusive = self.input.request.if_none_match.as_deref().map(str::trim) == Some("*");
        if exclusive && reply.status == 200 {
            return Err(Refusal::new(Fault::Exists, format!("there is an environment `{}`", route.scope())).into());
        }
        Ok(reply)
    }

    fn delete_environment(&self, route: &Route, query: &Query, principal: Principal) -> Result<Reply, Stop> {
        if query.get("confirm") != Some(&route.environment) {
            let detail = format!("to delete the environment, add `?confirm={}`", route.environment);
            return Err(Refusal::new(Fault::Unconfirmed, detail).into());
        }
        let reason = self.reason(&principal)?;
        let message = environment::Call::Destroy { principal: principal.clone(), reason: reason.clone() };
        // Where it is gone already, an earlier deletion was cut short before the directory knew.
        let reply = self.one(environment_call(&route.scope(), &message)?)?;
        if reply.status >= 400 && reply.status != 404 {
            return Err(Stop::Reply(reply));
        }
        let (project, environment) = (route.project.clone(), route.environment.clone());
        self.one(directory_call(&directory::Call::Remove { project, environment, principal, reason })?)
    }
}

fn check_body(request: &Request, size: usize, body: Body) -> Answer<()> {
    if request.body.len().max(size) > limits::ADMIN_BODY_BYTES {
        let detail = format!("a body has at most {} bytes", limits::ADMIN_BODY_BYTES);
        return Err(Refusal::new(Fault::TooLarge, detail));
    }
    if body == Body::None || request.body.is_empty() {
        return Ok(());
    }
    let Some(declared) = request.content_type.as_deref() else { return Ok(()) };
    let media = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") {
        return Ok(());
    }
    Err(Refusal::new(Fault::MediaType, format!("send `application/json`, not `{media}`")))
}
