//! The compiled routes of one environment.

use super::pattern::PathPattern;
use super::seal;
use super::target::Target;
use super::wire::{Consent, Mode, RouteDocument, UnitSource};
use crate::flag::FlagSet;
use crate::token::same;
use std::collections::HashMap;

/// The routes of an environment: by hostname, each list with the most specific path first.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<Box<str>, Vec<Route>>,
    /// By what follows `*.`.
    below: HashMap<Box<str>, Vec<Route>>,
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Its key.
    pub key: Box<str>,
    pub(super) id: u32,
    pub(super) path: PathPattern,
    /// Position of the flag that decides; none when it is not there, and then all is stable.
    pub(super) flag: Option<u32>,
    pub(super) mode: Mode,
    pub(super) arms: Box<[Arm]>,
    /// Position of the stable arm.
    pub(super) stable: usize,
    pub(super) unit: Box<[UnitSource]>,
    pub(super) consent: Option<Consent>,
}

/// One variant of a route.
#[derive(Debug)]
pub struct Arm {
    /// The variant's name.
    pub variant: Box<str>,
    /// Where it leads.
    pub target: Target,
    /// What pins a page's parts to it.
    pub(super) pin: Box<str>,
}

impl Route {
    fn compile(key: &str, id: u32, document: &RouteDocument, flags: &FlagSet, keys: &[Vec<u8>]) -> Option<Self> {
        let arm = |(variant, url): &(String, String)| {
            let pin = keys.first().map(|key_bytes| seal::pin(key_bytes, key, variant)).unwrap_or_default();
            Some(Arm { variant: variant.as_str().into(), target: Target::parse(url).ok()?, pin: pin.into() })
        };
        let arms: Box<[Arm]> = document.targets.iter().filter_map(arm).collect();
        let flag = flags.find(&document.flag);
        let named = document.stable.as_deref().or_else(|| flags.off_variant(flag?));
        let stable = arms.iter().position(|arm| named.is_none_or(|name| *arm.variant == *name))?;
        Some(Self {
            key: key.into(),
            id,
            path: PathPattern::parse(&document.path).ok()?,
            flag,
            mode: document.mode,
            arms,
            stable,
            unit: document.unit.clone().into(),
            consent: document.consent.clone(),
        })
    }

    /// The arm of those who are not compared.
    pub fn stable(&self) -> &Arm {
        &self.arms[self.stable]
    }

    /// The arm of a variant.
    pub fn arm(&self, variant: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| *arm.variant == *variant)
    }

    /// The arm that a pin names.
    pub(super) fn pinned(&self, pin: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| !arm.pin.is_empty() && same(arm.pin.as_bytes(), pin.as_bytes()))
    }

    /// Its variants.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }
}

impl Routes {
    /// Compiles documents, given with their keys and numbers; `keys` are the environment's context keys.
    pub fn compile(documents: &[(String, u32, RouteDocument)], flags: &FlagSet, keys: &[Vec<u8>]) -> Self {
        let mut new = Self::default();
        for (key, id, document) in documents {
            let Some(route) = Route::compile(key, *id, document, flags, keys) else { continue };
            let (map, name) = match document.host.strip_prefix("*.") {
                Some(rest) => (&mut new.below, rest),
                None => (&mut new.exact, document.host.as_str()),
            };
            let list = map.entry(name.into()).or_default();
            // Behind those that are as specific: documents come in the order of their keys.
            let rank = route.path.rank();
            let at = list.iter().position(|other| rank < other.path.rank()).unwrap_or(list.len());
            list.insert(at, route);
        }
        new
    }

    /// The routes of a hostname, the most specific first.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = &Route> {
        let below = host.split_once('.').and_then(|(_, rest)| self.below.get(rest));
        self.exact.get(host).into_iter().chain(below).flatten()
    }

    /// The route of a request: the hostname itself goes before `*.`, then the most specific path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Route> {
        self.of_host(host).find(|route| route.path.matches(path))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.exact.values().chain(self.below.values()).map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }
}
