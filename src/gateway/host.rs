//! What a hostname is: the gateway's own, or a product's whose traffic an environment routes.

use super::Gateway;
use crate::route::pattern::is_host_pattern;
use crate::time::Instant;
use std::collections::HashMap;

/// What a hostname is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// The gateway's: the API answers here.
    Own,
    /// A product's: this environment routes it.
    Routed(Box<str>),
    /// Nobody's.
    Unknown,
    /// Nobody could be asked.
    Unsure,
}

/// What was found out about a hostname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// This environment routes it.
    Environment(&'a str),
    /// Nobody does.
    Nobody,
    /// Nobody could be asked.
    Silence,
}

/// Hostnames met, bounded: anybody can make them up.
#[derive(Debug, Default)]
pub(super) struct Sites {
    known: HashMap<Box<str>, Known>,
    /// Whether the deployment has named its own hostnames: then no other one is.
    pub(super) named: bool,
}

#[derive(Debug)]
struct Known {
    site: Site,
    /// When to ask again; never where absent.
    due: Option<i64>,
}

/// Hostnames remembered at most.
const SITES: usize = 1_000;
/// How long it takes until a hostname's holder is asked for again, milliseconds; KV remembers it for 30 s anyway.
const MEMORY: i64 = 30_000;
/// The same where nobody routes it: a new route shall not wait for long.
const MISS: i64 = 3_000;
/// The same after a failure.
const PAUSE: i64 = 2_000;

impl Sites {
    fn put(&mut self, host: &str, site: Site, due: Option<i64>) {
        if self.known.len() >= SITES && !self.known.contains_key(host) {
            self.known.clear();
        }
        self.known.insert(host.into(), Known { site, due });
    }
}

impl Gateway {
    /// Meets a hostname for the first time, with the deployment's own ones (`GATEWAY_HOSTS`, separated by
    /// commas or spaces). Whether somebody must be asked who routes it.
    pub fn meet_host(&mut self, host: &str, own: &str) -> bool {
        let mut own = own.split([',', ' ', '\n']).filter(|name| !name.is_empty()).peekable();
        self.sites.named = own.peek().is_some();
        let is_own = if self.sites.named {
            own.any(|name| name.eq_ignore_ascii_case(host))
        } else {
            // The machine itself, as on a laptop: nobody can route these.
            matches!(host, "" | "localhost" | "127.0.0.1" | "[::1]")
        };
        // What is no hostname is nobody's, without asking: the header is anybody's word.
        let sound = is_host_pattern(host) && !host.starts_with("*.");
        if is_own || !sound {
            let site = if is_own || !self.sites.named { Site::Own } else { Site::Unknown };
            self.sites.put(host, site, None);
        }
        !is_own && sound
    }

    /// Takes note of who routes a hostname, and says what it is now. A silence changes nothing that was known.
    pub fn accept_host(&mut self, host: &str, holder: Holder<'_>, now: Instant) -> Site {
        let now = now.millis();
        let site = match holder {
            Holder::Environment(name) => Site::Routed(name.into()),
            Holder::Nobody if self.sites.named => Site::Unknown,
            Holder::Nobody => Site::Own,
            Holder::Silence => self.sites.known.get(host).map_or(Site::Unsure, |known| known.site.clone()),
        };
        let wait = match holder {
            Holder::Environment(_) => MEMORY,
            Holder::Nobody => MISS,
            Holder::Silence => PAUSE,
        };
        self.sites.put(host, site.clone(), Some(now + wait));
        site
    }

    /// What a hostname is; none when it was not met yet. [`Gateway::take_host_due`] then says whether its holder is to
    /// be asked for again, behind the answer.
    pub(super) fn site(&mut self, host: &str, now: Instant) -> Option<Site> {
        let now = now.millis();
        let known = self.sites.known.get_mut(host)?;
        if let Some(due) = &mut known.due
            // Far in the future means that the clock ran backwards.
            && !(now..=now + MEMORY).contains(due)
        {
            // Nothing to serve by: the request itself waits.
            if known.site == Site::Unsure {
                return None;
            }
            *due = now + PAUSE;
            self.host_due = true;
        }
        Some(known.site.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn where_own_names_are_given_no_other_is() {
        let mut gateway = Gateway::default();
        assert!(!gateway.meet_host("gate.example", "gate.example, api.example"));
        assert_eq!(gateway.site("gate.example", at(0)), Some(Site::Own));
        assert!(gateway.meet_host("localhost", "gate.example, api.example"));
        assert_eq!(gateway.accept_host("localhost", Holder::Nobody, at(0)), Site::Unknown);
        assert_eq!(gateway.accept_host("shop.example", Holder::Environment("p/e"), at(0)), Site::Routed("p/e".into()));
    }

    #[test]
    fn where_none_are_given_what_nobody_routes_is_our_own() {
        let mut gateway = Gateway::default();
        assert!(!gateway.meet_host("127.0.0.1", "") && gateway.meet_host("shop.localhost", " ,"));
        assert_eq!(gateway.site("shop.localhost", at(0)), None);
        assert_eq!(gateway.accept_host("shop.localhost", Holder::Nobody, at(0)), Site::Own);
        assert!(gateway.site("shop.localhost", at(3_000)).is_some() && !gateway.take_host_due());
        assert!(gateway.site("shop.localhost", at(3_001)).is_some() && gateway.take_host_due(), "soon asked again");
    }

    #[test]
    fn a_silence_is_no_answer_and_what_was_known_serves_on() {
        let mut gateway = Gateway::default();
        assert_eq!(gateway.accept_host("a.example", Holder::Silence, at(0)), Site::Unsure);
        assert_eq!(gateway.site("a.example", at(1_000)), Some(Site::Unsure));
        assert_eq!(gateway.site("a.example", at(2_001)), None, "the next request asks again");
        gateway.accept_host("a.example", Holder::Environment("p/e"), at(3_000));
        assert!(gateway.site("a.example", at(33_000)).is_some() && !gateway.take_host_due());
        assert_eq!(gateway.site("a.example", at(33_001)), Some(Site::Routed("p/e".into())));
        assert!(gateway.take_host_due());
        assert_eq!(gateway.accept_host("a.example", Holder::Silence, at(34_000)), Site::Routed("p/e".into()));
        assert!(gateway.site("a.example", at(34_001)).is_some() && !gateway.take_host_due());
        assert!(gateway.site("a.example", at(-50_000)).is_some() && gateway.take_host_due(), "a clock ran backwards");
    }
}
