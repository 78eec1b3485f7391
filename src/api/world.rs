//! The shell in small, for tests: objects with real SQLite, KV as a map, one call after another.

use super::admin::{Call, Deployment, Gathered, Plan, Planning, plan};
use crate::control::sql::memory::Memory;
use crate::control::{Effect, Input, Output, directory, environment, metrics, pointer};
use crate::http::{Reply, Request};
use crate::time::Instant;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) const OWNER: &str = "owner-secret";
pub(crate) const FLAG: &str = r#"{"type":"boolean","variants":{"on":true,"off":false},"off":"off","default":"off"}"#;

pub(crate) struct World {
    pub(crate) now: Cell<i64>,
    calls: Cell<u64>,
    objects: RefCell<BTreeMap<(String, String), Rc<Memory>>>,
    pub(crate) kv: RefCell<BTreeMap<String, String>>,
    /// Objects that do not answer.
    pub(crate) silent: RefCell<Vec<&'static str>>,
    pub(crate) alarms: RefCell<BTreeMap<String, i64>>,
}

/// What a request was answered, ready for assertions.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) reply: Reply,
    pub(crate) json: Value,
}

impl Answered {
    pub(crate) fn etag(&self) -> String {
        self.reply.header("etag").expect("an entity tag").to_owned()
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.json["type"].as_str().expect("a problem").rsplit(':').next().expect("a slug")
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.reply.body);
        self
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            now: Cell::new(1_800_000_000_000),
            calls: Cell::new(0),
            objects: RefCell::default(),
            kv: RefCell::default(),
            silent: RefCell::default(),
            alarms: RefCell::default(),
        }
    }

    /// A world with the environments `pairity/production` and `pairity/staging`.
    pub(crate) fn populated() -> Self {
        let world = Self::new();
        world.owner("PUT", "/v1/projects/pairity", "").expect(201);
        for environment in ["production", "staging"] {
            world.owner("PUT", &format!("/v1/projects/pairity/environments/{environment}"), "").expect(201);
        }
        world
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    pub(crate) fn memory(&self, object: &str, name: &str) -> Rc<Memory> {
        let key = (object.to_owned(), name.to_owned());
        Rc::clone(self.objects.borrow_mut().entry(key).or_insert_with(|| Rc::new(Memory::new())))
    }

    /// Sends a message to an object, in one transaction.
    pub(crate) fn send(&self, object: &str, name: &str, message: &str) -> Output {
        self.calls.set(self.calls.get() + 1);
        let entropy = self.calls.get().to_be_bytes();
        let input = Input { now: Instant::from_millis(self.now.get()), entropy: &entropy, call: message };
        let memory = self.memory(object, name);
        let output = memory.transaction(|sql| {
            let output = match object {
                "environment" => environment::handle(sql, &input, |question| {
                    format!(r#"{{"flag":"{}","snapshot":{}}}"#, question.flag, question.snapshot)
                }),
                "directory" => directory::handle(sql, &input),
                "pointer" => pointer::handle(sql, &input),
                _ => metrics::handle(sql, &input),
            };
            let commit = output.commit;
            (output, commit)
        });
        if let (true, Some(alarm)) = (output.commit, output.alarm) {
            self.alarms.borrow_mut().insert(name.to_owned(), alarm);
        }
        if output.receipt.is_none() {
            self.perform(&output.effects);
        }
        output
    }

    pub(crate) fn perform(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Notice { .. } => {}
                Effect::Directory { message } => {
                    self.send("directory", "directory", message);
                }
                Effect::Put { key, text } => {
                    self.kv.borrow_mut().insert(key.clone(), text.clone());
                }
                Effect::Delete { key } => {
                    self.kv.borrow_mut().remove(key);
                }
                Effect::Pointer { name, message } => {
                    self.send("pointer", name, message);
                }
                Effect::Gauges { message } => {
                    self.send("metrics", "metrics", message);
                }
            }
        }
    }

    /// Pumps an environment; performs and settles what is due. True when something was.
    pub(crate) fn pump(&self, name: &str) -> bool {
        let output = self.send("environment", name, r#""pump""#);
        let Some(receipt) = output.receipt else { return false };
        self.perform(&output.effects);
        self.send("environment", name, &format!(r#"{{"settle":{{"receipt":"{receipt}","failed":null}}}}"#));
        true
    }

    pub(crate) fn pointer(&self, name: &str) -> Value {
        let text = self.send("pointer", name, r#""read""#).reply;
        text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("a pointer"))
    }

    /// Answers a request as the Worker would.
    pub(crate) fn request(&self, request: Request) -> Answered {
        let mut planning = Planning {
            request,
            size: 0,
            owner: Some(OWNER.to_owned()),
            gathered: Vec::new(),
            now: self.now.get(),
            deployment: Deployment { version_id: "v1".to_owned(), deployed_at: 1_799_999_990_000 },
            conditions: Vec::new(),
            gateway_hosts: "gate.example".to_owned(),
        };
        loop {
            match plan(&planning) {
                Plan::Reply { reply, .. } => {
                    let json = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
                    return Answered { status: reply.status, reply, json };
                }
                Plan::Calls { calls } => {
                    for Call { object, name, message } in calls {
                        let silent = self.silent.borrow().contains(&object);
                        planning.gathered.push(if silent {
                            Gathered::Error("timed out".to_owned())
                        } else {
                            Gathered::Ok(self.send(object, &name, &message).reply)
                        });
                    }
                }
            }
        }
    }

    fn build(token: Option<&str>, method: &str, target: &str, body: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
            body: body.to_owned(),
            ..Request::default()
        }
    }

    pub(crate) fn with_token(&self, token: Option<&str>, method: &str, target: &str, body: &str) -> Answered {
        self.request(Self::build(token, method, target, body))
    }

    pub(crate) fn owner(&self, method: &str, target: &str, body: &str) -> Answered {
        self.with_token(Some(OWNER), method, target, body)
    }

    /// As owner, with `If-Match`.
    pub(crate) fn matching(&self, etag: &str, method: &str, target: &str, body: &str) -> Answered {
        let request = Self::build(Some(OWNER), method, target, body);
        self.request(Request { if_match: Some(etag.to_owned()), ..request })
    }

    /// Replaces a document whatever it is now.
    pub(crate) fn put(&self, target: &str, body: &str) -> Answered {
        let etag = self.owner("GET", target, "").reply.header("etag").map(str::to_owned);
        match etag {
            Some(etag) => self.matching(&etag, "PUT", target, body),
            None => self.owner("PUT", target, body),
        }
    }
}
