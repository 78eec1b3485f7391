//! Every route of the product, once. The parser and the OpenAPI document are both made from it.

use serde::{Deserialize, Serialize};

/// HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Does something.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// How far an admin token goes; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything but secrets.
    Viewer,
    /// Changes flags, segments, routes and channels, kills and un-kills.
    Editor,
    /// Changes the environment's settings.
    Approver,
    /// Tokens, keys, deletion.
    Owner,
}

impl Role {
    const WORDS: [(&'static str, Self); 4] =
        [("viewer", Self::Viewer), ("editor", Self::Editor), ("approver", Self::Approver), ("owner", Self::Owner)];

    /// The word in documents.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|row| row.1 == self).map_or("", |row| row.0)
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|row| row.0 == word).map(|row| row.1)
    }
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// A client or server token.
    Evaluation,
    /// An admin token of any kind, or the owner.
    AnyAdmin,
    /// An admin token of the environment, or of the deployment, with this role at least.
    Environment(Role),
    /// An admin token of the deployment with this role at least.
    Deployment(Role),
}

/// The request's body: the name of its schema in the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// May be left out.
    Optional(&'static str),
    /// Must be there.
    Required(&'static str),
}

macro_rules! operations {
    ($($name:ident: $method:ident $path:expr, $access:expr, $body:expr, [$($query:literal),*], $status:literal $answer:literal, $summary:literal;)+) => {
        /// What a route does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is described by its row's summary")]
        pub enum Operation { $($name,)+ }

        impl Operation {
            /// The operation's name.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$name => stringify!($name),)+ }
            }

            /// The operation's row.
            pub fn row(self) -> &'static Row {
                &TABLE[self as usize]
            }
        }

        /// Every route, in the order of the document.
        pub static TABLE: &[Row] = &[$(Row {
            operation: Operation::$name,
            method: Method::$method,
            path: $path,
            access: $access,
            body: $body,
            query: &[$($query),*],
            status: $status,
            answer: $answer,
            summary: $summary,
        },)+];
    };
}

/// One route.
#[derive(Debug)]
pub struct Row {
    /// What it does.
    pub operation: Operation,
    /// Its method.
    pub method: Method,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its request body.
    pub body: Body,
    /// Its query parameters.
    pub query: &'static [&'static str],
    /// The status of success.
    pub status: u16,
    /// The schema of the answer; empty for none.
    pub answer: &'static str,
    /// What it does, in words.
    pub summary: &'static str,
}

macro_rules! env {
    ($rest:literal) => {
        concat!("/v1/projects/{project}/environments/{environment}", $rest)
    };
}

use Access::{AnyAdmin, Deployment, Environment, Evaluation, Public};
use Body::{None, Optional, Required};
use Role::{Approver, Editor, Owner, Viewer};

operations! {
    Home: Get "/", Public, None, [], 200 "", "A page of links";
    EvaluateAll: Post "/ofrep/v1/evaluate/flags", Evaluation, Optional("EvaluationRequest"), [], 200 "BulkEvaluation", "Evaluate every flag for a context (OFREP)";
    EvaluateOne: Post "/ofrep/v1/evaluate/flags/{key}", Evaluation, Optional("EvaluationRequest"), [], 200 "Evaluation", "Evaluate one flag for a context (OFREP)";
    Events: Post "/v1/events", Evaluation, Required("EventBatch"), [], 202 "EventReceipt", "Hand in exposures, conversions and measurements";
    Startup: Post "/v1/startup", Evaluation, Optional("StartupRequest"), [], 200 "StartupAnswer", "Start an app: flags, update verdict, settings and unit in one answer";
    StartupByUrl: Get "/v1/startup", Evaluation, None, ["app", "platform", "version", "build", "osVersion", "locale", "storefront", "channel", "storeVersion", "storeBuild", "bundle", "snoozes", "snoozedAt", "snoozedVersion"], 200 "StartupAnswer", "Start an app without anything of a person: no unit, and no flags by unit";
    Stream: Get "/v1/stream", Evaluation, None, ["environment", "token", "expires", "signature", "since"], 200 "text/event-stream", "Listen to changes: server-sent events that say when to fetch the flags again";
    Update: Get "/v1/update", Evaluation, None, ["app", "platform", "channel", "version", "build", "osVersion", "locale", "storefront", "storeVersion", "storeBuild", "bundle", "snoozes", "snoozedAt", "snoozedVersion", "targetingKey"], 200 "UpdateVerdict", "Ask whether an app's version may go on";
    PostUpdate: Post "/v1/update", Evaluation, Optional("UpdateRequest"), [], 200 "UpdateVerdict", "Ask the same with an evaluation context, for releases that go to the people of a flag or segment";
    Health: Get "/health", Public, None, [], 200 "Health", "State of the deployment and of what it depends on";
    Ready: Get "/health/ready", Public, None, [], 200 "Health", "Whether traffic may be sent here; 503 when not";
    Metrics: Get "/metrics", AnyAdmin, None, [], 200 "text/plain", "Metrics as Prometheus text: of the whole deployment, or of the token's own environment";
    OpenApi: Get "/openapi.json", Public, None, [], 200 "OpenApi", "This document";

    ListProjects: Get "/v1/projects", Deployment(Viewer), None, ["limit", "after"], 200 "Projects", "List projects";
    GetProject: Get "/v1/projects/{project}", Deployment(Viewer), None, [], 200 "Project", "Read a project";
    PutProject: Put "/v1/projects/{project}", Deployment(Owner), Optional("ProjectRequest"), [], 200 "Project", "Create or rename a project";
    DeleteProject: Delete "/v1/projects/{project}", Deployment(Owner), None, [], 204 "", "Delete a project that has no environments";
    ListEnvironments: Get "/v1/projects/{project}/environments", Deployment(Viewer), None, [], 200 "Environments", "List a project's environments";
    ImportProject: Post "/v1/import", Deployment(Owner), Required("ProjectDocument"), ["dryRun", "mode"], 200 "ImportReport", "Import a project document; missing project and environments are created";
    DeploymentAudit: Get "/v1/audit", Deployment(Owner), None, ["limit", "after", "actor", "from", "to"], 200 "Audit", "Changes of projects, environments and deployment tokens";
    ListDeploymentTokens: Get "/v1/tokens", Deployment(Owner), None, [], 200 "Tokens", "List the deployment's admin tokens";
    CreateDeploymentToken: Post "/v1/tokens", Deployment(Owner), Required("TokenRequest"), [], 201 "NewToken", "Make an admin token that is good for every environment; it is shown once";
    RevokeDeploymentToken: Delete "/v1/tokens/{token}", Deployment(Owner), None, [], 204 "", "Revoke a deployment token";
    RotateDeploymentToken: Post "/v1/tokens/{token}/rotate", Deployment(Owner), Optional("RotateRequest"), [], 201 "NewToken", "Replace a deployment token; the old one stays good for the overlap";

    GetEnvironment: Get env!(""), Environment(Viewer), None, [], 200 "Environment", "Read an environment's state";
    PutEnvironment: Put env!(""), Deployment(Owner), Optional("Empty"), [], 200 "Environment", "Create an environment; 200 when it exists";
    DeleteEnvironment: Delete env!(""), Deployment(Owner), None, ["confirm"], 204 "", "Delete an environment; `confirm` must repeat its key";
    GetSettings: Get env!("/settings"), Environment(Viewer), None, [], 200 "Settings", "Read the environment's settings";
    PutSettings: Put env!("/settings"), Environment(Approver), Required("Settings"), [], 200 "Settings", "Replace the environment's settings";
    KillEnvironment: Post env!("/kill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Kill the environment: every flag serves its off variant";
    UnkillEnvironment: Post env!("/unkill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Lift the environment's kill";
    ListVersions: Get env!("/versions"), Environment(Viewer), None, ["limit", "after"], 200 "Versions", "List the environment's versions, newest first";
    GetVersion: Get env!("/versions/{version}"), Environment(Viewer), None, [], 200 "ProjectDocument", "Read the environment's document at a version";
    DiffVersions: Get env!("/diff"), Environment(Viewer), None, ["from", "to"], 200 "Diff", "Compare two versions";
    Audit: Get env!("/audit"), Environment(Viewer), None, ["limit", "after", "entity", "actor", "from", "to"], 200 "Audit", "The environment's audit, newest first";
    ListTokens: Get env!("/tokens"), Environment(Owner), None, [], 200 "Tokens", "List tokens; never their secrets";
    CreateToken: Post env!("/tokens"), Environment(Owner), Required("TokenRequest"), [], 201 "NewToken", "Make a token; it is shown once";
    RevokeToken: Delete env!("/tokens/{token}"), Environment(Owner), None, [], 204 "", "Revoke a token";
    RotateToken: Post env!("/tokens/{token}/rotate"), Environment(Owner), Optional("RotateRequest"), [], 201 "NewToken", "Replace a token; the old one stays good for the overlap";
    GetContextKey: Get env!("/context-key"), Environment(Owner), None, [], 200 "ContextKeys", "Read the keys that sign contexts";
    RotateContextKey: Post env!("/context-key/rotate"), Environment(Owner), Optional("RotateRequest"), [], 201 "ContextKeys", "Make a new key for signed contexts; the old one stays good for the overlap";
    Export: Get env!("/export"), Environment(Viewer), None, [], 200 "ProjectDocument", "Export the environment as a project document";
    Import: Post env!("/import"), Environment(Editor), Required("ProjectDocument"), ["dryRun", "mode"], 200 "ImportReport", "Import this environment from a project document";
    Compare: Get env!("/compare"), Deployment(Viewer), None, ["with"], 200 "Diff", "Compare with another environment of the project";
    Copy: Post env!("/copy"), Deployment(Editor), Required("CopyRequest"), [], 200 "ImportReport", "Copy flags and segments from another environment, with what they need";
    Explain: Post env!("/explain"), Environment(Viewer), Required("ExplainRequest"), [], 200 "Explanation", "Trace one evaluation rule by rule, now or at an earlier version";
    KillFlag: Post env!("/flags/{key}/kill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Kill a flag: it serves its off variant within seconds";
    UnkillFlag: Post env!("/flags/{key}/unkill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Lift a flag's kill";
    KillRoute: Post env!("/routes/{key}/kill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Kill a route: everybody gets its stable target within seconds";
    UnkillRoute: Post env!("/routes/{key}/unkill"), Environment(Editor), Optional("ReasonRequest"), [], 200 "KillState", "Lift a route's kill";
    CreateLink: Post env!("/routes/{key}/link"), Environment(Editor), Required("LinkRequest"), [], 201 "Link", "Make a tester's link to one of a route's variants, at 0 % too";
    PatchFlag: Patch env!("/flags/{key}"), Environment(Editor), Required("FlagPatch"), [], 200 "Flag", "Switch a flag on or off, or change shares";
    PatchChannel: Patch env!("/channels/{key}"), Environment(Editor), Required("ChannelPatch"), [], 200 "Channel", "Change parts of a channel (JSON merge patch): null removes, what is left out stays";
    GetRelease: Get env!("/channels/{key}/releases/{release}"), Environment(Viewer), None, [], 200 "Release", "Read one release of a channel; its entity tag is the channel's";
    PutRelease: Put env!("/channels/{key}/releases/{release}"), Environment(Editor), Required("Release"), [], 200 "Channel", "Add or replace one release of a channel; 201 when added";
    DeleteRelease: Delete env!("/channels/{key}/releases/{release}"), Environment(Editor), None, [], 200 "Channel", "Take one release out of a channel";
    ReportAvailability: Post env!("/channels/{key}/releases/{release}/availability"), Environment(Editor), Required("AvailabilityReport"), [], 200 "Channel", "Report which storefronts serve a release; a weaker source does not override a stronger one";
    ListEntities: Get env!("/{kind}"), Environment(Viewer), None, ["limit", "after", "tag", "owner", "kind", "q", "enabled", "killed"], 200 "Entities", "List them, by page and filter";
    GetEntity: Get env!("/{kind}/{key}"), Environment(Viewer), None, [], 200 "Entity", "Read one; the answer can be PUT back";
    PutEntity: Put env!("/{kind}/{key}"), Environment(Editor), Required("Entity"), [], 200 "Entity", "Create or replace one; 201 when created";
    DeleteEntity: Delete env!("/{kind}/{key}"), Environment(Editor), None, [], 204 "", "Delete one that nothing refers to";
    History: Get env!("/{kind}/{key}/history"), Environment(Viewer), None, ["limit", "after"], 200 "History", "List its revisions, newest first";
    GetRevision: Get env!("/{kind}/{key}/history/{revision}"), Environment(Viewer), None, [], 200 "Entity", "Read one revision";
    DiffRevisions: Get env!("/{kind}/{key}/diff"), Environment(Viewer), None, ["from", "to"], 200 "Diff", "Compare two revisions";
    Revert: Post env!("/{kind}/{key}/revert"), Environment(Editor), Required("RevertRequest"), [], 200 "Entity", "Make an earlier revision the newest; never lifts a kill";
}
