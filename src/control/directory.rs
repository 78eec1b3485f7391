//! The directory: which projects and environments there are, and the admin tokens that are good
//! for all of them.

use super::audit::{self, Entry};
use super::entropy::Entropy;
use super::hostname;
use super::project::check_project;
use super::sql::{Row, Sql};
use super::tokens::{self, Mint, RotateRequest, TokenRequest};
use super::{Author, Caller, Input, Output, Paged, Principal, Role, schema, unauthenticated};
use crate::http::{self, Access, Answer, Fault, Operation, Query, Refusal, Reply, Request, Route};
use crate::json::{At, Fields, Problems, parse, text};
use crate::limits;
use crate::time::Instant;
use crate::token::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the directory is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Call {
    /// A request of the admin API that concerns projects or deployment tokens.
    Admin {
        /// The request, without its credentials.
        request: Request,
        /// Who asks.
        caller: Caller,
    },
    /// Answers whose token this is, as a [`Principal`].
    Authenticate {
        /// The token's SHA-256.
        token: String,
    },
    /// Notes environments of a project, and answers [`Registered`].
    Register {
        /// The project's key.
        project: String,
        /// What people call it; unchanged when absent.
        name: Option<String>,
        /// Keys of environments.
        environments: Vec<String>,
        /// Whether a missing project is made.
        create: bool,
        /// Who asks.
        principal: Principal,
        /// Why.
        reason: Option<String>,
    },
    /// Forgets an environment.
    Remove {
        /// The project's key.
        project: String,
        /// The environment's key.
        environment: String,
        /// Who asks.
        principal: Principal,
        /// Why.
        reason: Option<String>,
    },
    /// Answers the names of all environments as a JSON array.
    Environments,
    /// Answers [`Census`].
    Ping,
    /// Claims hostnames for an environment whose routes are being written.
    Claim(Names),
    /// Says whether a claim would be granted.
    TryClaim(Names),
    /// Takes note of all hostnames that an environment routes.
    Hold(Names),
    /// Answers the environment that routes a hostname, or null.
    Holder(String),
    /// Answers every hostname with its environment, null for a former one, as a JSON array of pairs.
    Hosts,
}

/// Hostnames of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// `project/environment`.
    pub environment: String,
    /// One a line; in a claim as [`hostname::lines`] reads them.
    pub hosts: String,
}

/// The incarnations of environments that were registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// By key: how often an environment of this name was made.
    pub environments: BTreeMap<String, i64>,
}

/// How many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Projects.
    pub projects: i64,
    /// Environments.
    pub environments: i64,
}

pub(crate) const SCHEMA: &[schema::Step] = &[FIRST, &[schema::TOKEN_OFREP], &[hostname::TABLE]];

const FIRST: schema::Step = &[
    "CREATE TABLE project (key TEXT PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID",
    // A removed environment stays as a row: should its name be used again, its incarnation rises.
    "CREATE TABLE environment (
        project TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL,
        created_at INTEGER NOT NULL, removed_at INTEGER, PRIMARY KEY (project, key)) WITHOUT ROWID",
    schema::TOKEN,
    schema::AUDIT,
];

/// Answers a call; see [`crate::control`].
pub fn handle(sql: &dyn Sql, input: &Input<'_>) -> Output {
    run(sql, input).unwrap_or_else(|refusal| Output::refused(&refusal))
}

fn run(sql: &dyn Sql, input: &Input<'_>) -> Answer<Output> {
    let call: Call = serde_json::from_str(input.call)?;
    schema::migrate(sql, SCHEMA)?;
    let entropy = Entropy::new(input.entropy);
    let desk = Desk { sql, now: input.now, entropy };
    let reply = match call {
        Call::Admin { request, caller } => desk.admin(&request, caller)?,
        Call::Authenticate { token } => Reply::value(200, &desk.authenticate(&token)?),
        Call::Register { project, name, environments, create, principal, reason } => {
            principal.require(Role::Owner)?;
            let author = Author { actor: principal.actor, reason };
            if create {
                desk.put_project(&project, name.as_deref(), &author)?;
            }
            let environments = desk.register(&project, environments, &author)?;
            Reply::value(200, &Registered { environments })
        }
        Call::Remove { project, environment, principal, reason } => {
            principal.require(Role::Owner)?;
            let reply = desk.remove(&project, &environment, &Author { actor: principal.actor, reason })?;
            let freed = hostname::hold(sql, input.now, &format!("{project}/{environment}"), "")?;
            return Ok(Output { effects: freed.effects, ..Output::reply(&reply) });
        }
        Call::Claim(names) => {
            hostname::claim(sql, input.now, &names.environment, &names.hosts)?;
            Reply::json(200, "{}")
        }
        Call::TryClaim(names) => {
            hostname::claim(sql, input.now, &names.environment, &names.hosts)?;
            return Ok(Output { commit: false, ..Output::reply(&Reply::json(200, "{}")) });
        }
        Call::Hold(names) => return hostname::hold(sql, input.now, &names.environment, &names.hosts),
        Call::Holder(host) => return Ok(Output::text(hostname::holder(sql, &host)?)),
        Call::Hosts => return Ok(Output::text(Some(hostname::all(sql)?))),
        Call::Environments => {
            let names = sql.rows("SELECT project || '/' || key FROM environment WHERE removed_at IS NULL", &[])?;
            let names: Vec<String> = names.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
            return Ok(Output::text(Some(serde_json::to_string(&names)?)));
        }
        Call::Ping => Reply::value(200, &desk.census()?),
    };
    Ok(Output::reply(&reply))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Project {
    key: String,
    name: String,
    created_at: String,
    environments: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    key: String,
    incarnation: i64,
    created_at: String,
}

struct Desk<'a> {
    sql: &'a dyn Sql,
    now: Instant,
    entropy: Entropy<'a>,
}

impl Desk<'_> {
    fn authenticate(&self, sha256: &str) -> Answer<Principal> {
        tokens::authenticate(self.sql, self.now, sha256)?.ok_or_else(unauthenticated)
    }

    fn admin(&self, request: &Request, caller: Caller) -> Answer<Reply> {
        let principal = match caller {
            Caller::Principal(principal) => principal,
            Caller::Token(sha256) => self.authenticate(&sha256)?,
        };
        let route = http::parse(&request.method, &request.path)?;
        let row = route.operation.row();
        let Access::Deployment(role) = row.access else {
            return Err(Refusal::new(Fault::Forbidden, "this is not the directory's to answer"));
        };
        principal.require(role)?;
        let query = Query::read(&request.query, row.query)?;
        let author = Author::new(&principal, request, None)?;
        match route.operation {
            Operation::ListProjects => self.list_projects(&query),
            Operation::GetProject => Ok(Reply::value(200, &self.project(&route.project)?)),
            Operation::PutProject => self.answer_put(&route, request, &author),
            Operation::DeleteProject => self.delete_project(&route.project, &author),
            Operation::ListEnvironments => self.list_environments(&route.project),
            Operation::DeploymentAudit => audit::list(self.sql, &query),
            Operation::ListDeploymentTokens => {
                Ok(Reply::value(200, &Paged { items: tokens::list(self.sql, self.now)?, next: None }))
            }
            Operation::CreateDeploymentToken | Operation::RotateDeploymentToken | Operation::RevokeDeploymentToken => {
                self.token(&route, request, &principal)
            }
            _ => Err(Refusal::new(Fault::Internal, "no function answers this route")),
        }
    }

    fn note(
        &self,
        author: &Author,
        action: &str,
        entity: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Answer<()> {
        audit::append(self.sql, self.now, author, &Entry { action, entity, version: None, before, after })
    }

    fn census(&self) -> Answer<Census> {
        let count = |query: &str| self.sql.number(query, &[]);
        Ok(Census {
            projects: count("SELECT count(*) FROM project")?,
            environments: count("SELECT count(*) FROM environment WHERE removed_at IS NULL")?,
        })
    }

    fn list_projects(&self, query: &Query) -> Answer<Reply> {
        let page = query.page()?;
        let rows = self.sql.rows(
            &format!("SELECT key FROM project WHERE key > ? ORDER BY key LIMIT {}", page.limit + 1),
            &[page.after.unwrap_or_default().into()],
        )?;
        let items: Answer<Vec<Project>> = rows.iter().map(|row| self.project(&row.text(0)?)).collect();
        Ok(Reply::value(200, &Paged::of(items?, page.limit, |project| project.key.clone())))
    }

    fn project(&self, key: &str) -> Answer<Project> {
        let row = self.sql.first("SELECT name, created_at FROM project WHERE key = ?", &[key.into()])?;
        let row = row.ok_or_else(|| Refusal::new(Fault::UnknownProject, format!("there is no project `{key}`")))?;
        Ok(Project {
            key: key.to_owned(),
            name: row.text(0)?,
            created_at: Instant::from_millis(row.integer(1)?).to_string(),
            environments: self.environments(key)?.into_iter().map(|environment| environment.key).collect(),
        })
    }

    fn environments(&self, project: &str) -> Answer<Vec<Environment>> {
        let query = "SELECT key, incarnation, created_at FROM environment
                     WHERE project = ? AND removed_at IS NULL ORDER BY key";
        let read = |row: &Row| {
            Ok(Environment {
                key: row.text(0)?,
                incarnation: row.integer(1)?,
                created_at: Instant::from_millis(row.integer(2)?).to_string(),
            })
        };
        self.sql.rows(query, &[project.into()])?.iter().map(read).collect()
    }

    fn list_environments(&self, project: &str) -> Answer<Reply> {
        self.project(project)?;
        Ok(Reply::value(200, &Paged { items: self.environments(project)?, next: None }))
    }

    /// Makes or renames a project; true when it was made.
    fn put_project(&self, key: &str, name: Option<&str>, author: &Author) -> Answer<bool> {
        let known = self.sql.first("SELECT name FROM project WHERE key = ?", &[key.into()])?;
        let old = known.map(|row| row.text(0)).transpose()?;
        let new = name.or(old.as_deref()).unwrap_or(key);
        if old.as_deref() == Some(new) {
            return Ok(false);
        }
        self.sql.run(
            "INSERT INTO project VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET name = excluded.name",
            &[key.into(), new.into(), self.now.into()],
        )?;
        let json = |name: &str| serde_json::to_string(name);
        let (before, after) = (old.as_deref().map(json).transpose()?, json(new)?);
        let action = if before.is_some() { "update" } else { "create" };
        self.note(author, action, &format!("projects/{key}"), before.as_deref(), Some(&after))?;
        Ok(before.is_none())
    }

    fn answer_put(&self, route: &Route, request: &Request, author: &Author) -> Answer<Reply> {
        let (mut problems, at) = (Problems::default(), At::ROOT);
        check_project(&route.project, &at, &mut problems);
        if !problems.is_empty() {
            return Err(Refusal::listing(Fault::BadKey, problems.into_list()));
        }
        let body = if request.body.trim().is_empty() { "{}" } else { &request.body };
        let node = parse(body)?;
        let name = Fields::open(&node, &at, &mut problems).and_then(|mut fields| {
            let name = fields.optional("name");
            let name = name.and_then(|node| text(node, limits::KEY_LENGTH, &at.member("name"), &mut problems));
            fields.finish(&at, &mut problems);
            name.map(str::to_owned)
        });
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems));
        }
        let exists = self.sql.any("SELECT 1 FROM project WHERE key = ?", &[(&route.project).into()])?;
        if exists && request.if_none_match.as_deref().map(str::trim) == Some("*") {
            return Err(Refusal::new(Fault::Exists, format!("there is a project `{}`", route.project)));
        }
        let made = self.put_project(&route.project, name.as_deref(), author)?;
        Ok(Reply::value(if made { 201 } else { 200 }, &self.project(&route.project)?))
    }

    fn delete_project(&self, key: &str, author: &Author) -> Answer<Reply> {
        let project = self.project(key)?;
        if !project.environments.is_empty() {
            let detail = format!("delete its environments first: {}", project.environments.join(", "));
            return Err(Refusal::new(Fault::NotEmpty, detail));
        }
        self.sql.run("DELETE FROM project WHERE key = ?", &[key.into()])?;
        let before = serde_json::to_string(&project.name)?;
        self.note(author, "delete", &format!("projects/{key}"), Some(&before), None)?;
        Ok(Reply::empty(204))
    }

    fn register(&self, project: &str, environments: Vec<String>, author: &Author) -> Answer<BTreeMap<String, i64>> {
        self.project(project)?;
        let mut out = BTreeMap::new();
        for key in environments {
            let query = "SELECT incarnation, removed_at FROM environment WHERE project = ? AND key = ?";
            let known = self.sql.first(query, &[project.into(), (&key).into()])?;
            let incarnation = match known {
                Some(row) if row.optional_integer(1)?.is_none() => row.integer(0)?,
                other => {
                    let incarnation = other.map_or(Ok(0), |row| row.integer(0))? + 1;
                    self.sql.run(
                        "INSERT INTO environment VALUES (?, ?, ?, ?, NULL) ON CONFLICT (project, key) DO UPDATE
                         SET incarnation = excluded.incarnation, created_at = excluded.created_at, removed_at = NULL",
                        &[project.into(), (&key).into(), incarnation.into(), self.now.into()],
                    )?;
                    self.note(author, "create", &format!("environments/{project}/{key}"), None, None)?;
                    incarnation
                }
            };
            out.insert(key, incarnation);
        }
        Ok(out)
    }

    fn remove(&self, project: &str, environment: &str, author: &Author) -> Answer<Reply> {
        let which = [project.into(), environment.into()];
        let known = "SELECT 1 FROM environment WHERE project = ? AND key = ? AND removed_at IS NULL";
        if !self.sql.any(known, &which)? {
            let detail = format!("there is no environment `{project}/{environment}`");
            return Err(Refusal::new(Fault::UnknownEnvironment, detail));
        }
        let [project_cell, environment_cell] = which;
        let update = "UPDATE environment SET removed_at = ? WHERE project = ? AND key = ?";
        self.sql.run(update, &[self.now.into(), project_cell, environment_cell])?;
        self.note(author, "delete", &format!("environments/{project}/{environment}"), None, None)?;
        Ok(Reply::empty(204))
    }

    fn token(&self, route: &Route, request: &Request, principal: &Principal) -> Answer<Reply> {
        let scope = Scope::Deployment;
        let mint = Mint { sql: self.sql, now: self.now, entropy: &self.entropy, scope };
        let author = |reason: Option<&str>| Author::new(principal, request, reason);
        let (author, action, made) = match route.operation {
            Operation::CreateDeploymentToken => {
                let wanted = TokenRequest::read(&request.body, scope, self.now)?;
                let author = author(wanted.reason.as_deref())?;
                let made = mint.create(&wanted, &author.actor)?;
                (author, "create", made)
            }
            Operation::RotateDeploymentToken => {
                let wanted = RotateRequest::read(&request.body)?;
                let author = author(wanted.reason.as_deref())?;
                let made = mint.rotate(&route.key, wanted.overlap, &author.actor)?;
                (author, "rotate", made)
            }
            _ => {
                let old = mint.revoke(&route.key)?;
                let before = serde_json::to_string(&old)?;
                self.note(&author(None)?, "revoke", &format!("tokens/{}", old.id), Some(&before), None)?;
                return Ok(Reply::empty(204));
            }
        };
        let before = made.replaces.as_ref().map(serde_json::to_string).transpose()?;
        let after = serde_json::to_string(&made.info)?;
        self.note(&author, action, &format!("tokens/{}", made.info.id), before.as_deref(), Some(&after))?;
        Ok(Reply::value(201, &made))
    }
}
