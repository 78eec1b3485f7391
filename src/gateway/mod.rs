//! The data plane of one isolate: answers evaluations, update checks, events and routed traffic
//! from what it holds, synchronously, or says what must be read first.

mod access;
mod asked;
mod beacon;
mod context;
mod environments;
mod event;
mod host;
mod imprint;
mod ofrep;
mod output;
mod route;
mod startup;
mod stream;
mod traffic;
mod update;

pub use environments::{Declined, Environments, Freshness, Held, Read, Waited};
pub use host::{Holder, Site};
pub use output::Output;
pub use traffic::{LATENCIES, Latency, Requests, Traffic};

use crate::flag::Scratch;
use crate::http::{Fault, Refusal};
use crate::time::Instant;

/// One request, as far as the data plane looks at it. Absent headers are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// The method, upper-case.
    pub method: &'a str,
    /// Path and query, still percent-encoded.
    pub target: &'a str,
    /// Scheme, host and port: `https://gate.example`.
    pub base: &'a str,
    /// The host, with its port where there is one.
    pub authority: &'a str,
    /// The hostname, without port.
    pub host: &'a str,
    /// `Authorization`
    pub authorization: &'a str,
    /// `If-None-Match`
    pub if_none_match: &'a str,
    /// `Origin`
    pub origin: &'a str,
    /// `Cookie`
    pub cookie: &'a str,
    /// The body, empty when it is over its bound.
    pub body: &'a str,
    /// Bytes of the body, as declared or as read.
    pub size: usize,
    /// What the request has waited for.
    pub waited: Waited,
    /// What it has waited for of the environment that an app is sent to.
    pub waited_elsewhere: Waited,
    /// Whether a rate limit is reached.
    pub rate: Rate,
    /// Whether the queue did not take the request's message.
    pub queue_failed: bool,
    /// Whether a stream could be had.
    pub streams: Streams,
}

impl<'a> Call<'a> {
    fn path(&self) -> &'a str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Whether a request is within its rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// It is.
    #[default]
    Within,
    /// Its token has asked too often.
    TokenExceeded,
    /// Everybody together has asked too often: events are refused, evaluations are not.
    DeploymentExceeded,
}

/// Whether there is room for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// As far as is known.
    #[default]
    Free,
    /// The token and address have too many.
    Full,
    /// What holds them does not answer.
    Away,
}

/// Seconds after which a request over its limit may be tried again: the limits' window.
const RATE_WINDOW: &str = "10";

/// The refusal of a token that has asked too often.
fn too_many() -> Refusal {
    Refusal::new(Fault::TooMany, "too many requests with this token").with("retry-after", RATE_WINDOW)
}

/// What only the platform knows; asked only when an answer hangs on it, because most do not.
pub trait Place {
    /// Country (ISO 3166-1), region (ISO 3166-2) or continent of the request, by position.
    fn name(&self, which: usize) -> Option<String>;
    /// 128 random bits, for a unit that has no id yet.
    fn random(&self) -> u128;
    /// A request header by its name in lower case, beyond those of a [`Call`].
    fn header(&self, _name: &str) -> Option<String> {
        None
    }
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Answer with the [`Output`].
    Reply,
    /// Read something for an environment, then ask again.
    Wait(Box<str>, Read),
    /// Look up which environment routes a hostname, then ask again.
    Host(Box<str>),
    /// Put the message into the queue, then answer; answer 503 if that fails.
    Queue,
    /// Answer with a stream; the message holds, each on its line, the environment, the `id` of the
    /// event that the client knows, and the token's.
    Stream,
    /// Fetch what the plan in the [`Output`] says, and hand in what comes of it.
    Fetch,
    /// The host is routed: ask again by [`Gateway::travel`], the body unread.
    Travel,
    /// Not a request of the data plane.
    Pass,
}

/// The data plane's memory: plain data, no handles of requests.
#[derive(Debug, Default)]
pub struct Gateway {
    /// The environments.
    pub environments: Environments,
    /// The last answer.
    pub output: Output,
    /// What routed traffic came to.
    pub traffic: Traffic,
    sites: host::Sites,
    host_due: bool,
    tokens: access::Known,
    scratch: Scratch,
    digests: Vec<u8>,
    counts: Vec<Count>,
    background: Option<(Box<str>, Read)>,
}

/// Why a request cannot be answered now.
enum Unready {
    /// Something must be read first.
    Wait(Step),
    /// Nothing could be read.
    Away,
}

impl Gateway {
    /// What to read behind the last answer, whatever it was, and for which environment.
    pub fn take_background(&mut self) -> Option<(Box<str>, Read)> {
        self.background.take()
    }

    /// Whether a request for the environment can be answered now; else the step to take first.
    /// `Ok(false)` is an environment that is not there.
    fn ready(&mut self, environment: &str, call: &Call<'_>, now: Instant) -> Result<bool, Unready> {
        self.readied(environment, call, call.waited, now)
    }

    /// The same for one of several environments, with what was waited for of it.
    fn readied(&mut self, environment: &str, call: &Call<'_>, waited: Waited, now: Instant) -> Result<bool, Unready> {
        let freshness = match imprint::told(call) {
            Some(told) => self.environments.reaching(environment, told, now, waited),
            None => self.environments.freshness(environment, now, waited),
        };
        match freshness {
            Freshness::Ready(read) => {
                self.background = read.map(|read| (environment.into(), read)).or(self.background.take());
                Ok(true)
            }
            Freshness::Wait(read) => Err(Unready::Wait(Step::Wait(environment.into(), read))),
            Freshness::Away => Err(Unready::Away),
            Freshness::Absent => Ok(false),
        }
    }

    /// Whether the last request's host is to be looked up again, behind the answer.
    pub fn take_host_due(&mut self) -> bool {
        std::mem::take(&mut self.host_due)
    }

    /// Forgets the request before.
    fn begin(&mut self) {
        self.background = None;
        self.host_due = false;
        self.output.is_product_s = false;
    }

    /// Answers a request, or says what is missing.
    pub fn answer(&mut self, call: &Call<'_>, place: &dyn Place, now: Instant) -> Step {
        self.begin();
        match self.site(call.host, now) {
            None => Step::Host(call.host.into()),
            Some(Site::Own) => self.data(call, place, now).unwrap_or_else(|| self.pass(call)),
            Some(Site::Routed(environment)) if call.target.starts_with(route::OWN_PREFIX) => {
                self.below(call, &environment, place, now)
            }
            Some(Site::Routed(_)) => Step::Travel,
            Some(Site::Unknown) => {
                self.problem(call, "", &Refusal::new(Fault::NotFound, "nothing is routed for this host"))
            }
            // The host may be a product's; the API stands behind its tokens.
            Some(Site::Unsure) if !self.has_named_hosts() && is_of_api(call.path()) => {
                self.data(call, place, now).unwrap_or_else(|| self.pass(call))
            }
            Some(Site::Unsure) => {
                let refusal =
                    Refusal::new(Fault::Unavailable, "it cannot be found out at the moment whose host this is");
                self.problem(call, "", &refusal.with("retry-after", "2"))
            }
        }
    }

    /// Answers a request of the data plane; none for everything else.
    fn data(&mut self, call: &Call<'_>, place: &dyn Place, now: Instant) -> Option<Step> {
        Some(match call.path() {
            "/ofrep/v1/evaluate/flags" => self.ofrep(call, None, place, now),
            "/v1/events" => self.events(call, now),
            "/v1/update" => self.update(call, place, now),
            "/v1/startup" => self.startup(call, place, now),
            "/v1/stream" => self.stream(call, now),
            path => self.ofrep(call, Some(path.strip_prefix("/ofrep/v1/evaluate/flags/")?), place, now),
        })
    }

    /// Hands a request on to the control plane, unless its token has asked too often.
    fn pass(&mut self, call: &Call<'_>) -> Step {
        if call.rate == Rate::TokenExceeded && !call.authorization.is_empty() {
            return self.problem(call, "", &too_many());
        }
        Step::Pass
    }

    /// Requests answered since the last call.
    pub fn take_counts(&mut self) -> Vec<Count> {
        std::mem::take(&mut self.counts)
    }

    /// Whether there is anything to take.
    pub fn has_counts(&self) -> bool {
        !self.counts.is_empty()
    }

    fn has_named_hosts(&self) -> bool {
        self.sites.named
    }

    /// Counts the present answer.
    fn count(&mut self, environment: &str, endpoint: &'static str) {
        let status = self.output.status;
        // Anybody can make up an environment; those that are not there count as one.
        let known = self.environments.get(environment).is_some();
        let environment = if known { environment } else { "" };
        let same = |count: &&mut Count| {
            count.status == status && count.endpoint == endpoint && *count.environment == *environment
        };
        match self.counts.iter_mut().find(same) {
            Some(count) => count.requests += 1,
            None => self.counts.push(Count { environment: environment.into(), endpoint, status, requests: 1 }),
        }
    }
}

/// Whether a path is the API's on the gateway's own hosts.
fn is_of_api(path: &str) -> bool {
    let below = ["/ofrep/", "/v1/", "/health/"];
    below.iter().any(|start| path.starts_with(start)) || matches!(path, "/health" | "/metrics" | "/openapi.json")
}

/// Requests answered alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// `project/environment`, empty where there is none.
    pub environment: Box<str>,
    /// The kind of request.
    pub endpoint: &'static str,
    /// The status answered.
    pub status: u16,
    /// How many.
    pub requests: u64,
}

#[cfg(test)]
mod tests;
