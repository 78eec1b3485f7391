//! Checks that take more than one document: they look at what the whole has become after a write
//! and before its commit.

use super::super::document::{Document, Sort};
use super::super::reference::{Reference, Target};
use super::graph::Graph;
use super::hosts;
use super::store::Store;
use super::write::Written;
use crate::flag::FlagDocument;
use crate::http::{Answer, Fault, Kind, Refusal};
use crate::json::{At, Problem, Problems, parse};
use crate::limits;
use crate::route::RouteDocument;
use std::collections::HashMap;

/// Checks everything that the written documents can have broken.
pub(super) fn all(store: &Store<'_>, written: &[Written]) -> Answer<()> {
    in_use(store, written)?;
    counts(store, written)?;
    let mut check = Check { store, problems: Vec::new(), flags: HashMap::new() };
    for one in written {
        check.targets(one)?;
        check.elsewhere(one)?;
        check.users(one)?;
    }
    if !check.problems.is_empty() {
        return Err(Refusal::listing(Fault::Invalid, bounded(check.problems)));
    }
    hosts::check(store, written)?;
    graphs(store, written)
}

fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    if problems.len() > limits::PROBLEMS {
        let more = problems.len() - limits::PROBLEMS;
        problems.truncate(limits::PROBLEMS);
        problems.push(Problem { pointer: String::new(), detail: format!("and {more} more problems") });
    }
    problems
}

/// Deleted documents must have no users left.
fn in_use(store: &Store<'_>, written: &[Written]) -> Answer<()> {
    let mut problems = Vec::new();
    for one in written.iter().filter(|one| one.text.is_none()) {
        let users = users(store, one.sort.word(), &one.key)?;
        if !users.is_empty() {
            let detail = format!("`{}` is used by {}", one.sort.name(&one.key), naming(&users));
            problems.push(Problem { pointer: one.place.clone(), detail });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::listing(Fault::InUse, bounded(problems))) }
}

struct User {
    sort: Sort,
    key: String,
    variant: String,
}

fn users(store: &Store<'_>, word: &str, key: &str) -> Answer<Vec<User>> {
    let query = "SELECT from_kind, from_key, variant FROM reference WHERE to_kind = ? AND to_key = ?";
    let mut users = Vec::new();
    for row in store.sql.rows(query, &[word.into(), key.into()])? {
        let Some(sort) = Sort::parse(&row.text(0)?) else { continue };
        users.push(User { sort, key: row.text(1)?, variant: row.text(2)? });
    }
    Ok(users)
}

/// The first few users by name.
fn naming(users: &[User]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = users.iter().map(|user| format!("`{}`", user.sort.name(&user.key))).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

fn counts(store: &Store<'_>, written: &[Written]) -> Answer<()> {
    let bounds = [
        (Kind::Flag, limits::FLAGS),
        (Kind::Segment, limits::SEGMENTS),
        (Kind::Route, limits::ROUTES),
        (Kind::Channel, limits::CHANNELS),
    ];
    for (kind, bound) in bounds {
        if !written.iter().any(|one| one.sort == Sort::Of(kind) && one.before.is_none()) {
            continue;
        }
        let count = store.sql.number("SELECT count(*) FROM entity WHERE kind = ?", &[kind.singular().into()])?;
        if usize::try_from(count).unwrap_or(usize::MAX) > bound {
            let detail = format!("an environment has at most {bound} {}, not {count}", kind.plural());
            return Err(Refusal::new(Fault::Limit, detail));
        }
    }
    if written.iter().any(|one| one.new_attributes) {
        let count = "SELECT count(DISTINCT to_key) FROM reference WHERE to_kind = 'attribute'";
        let count = usize::try_from(store.sql.number(count, &[])?).unwrap_or(usize::MAX);
        if count > limits::ATTRIBUTES {
            let detail = format!("flags and segments read at most {} attributes, not {count}", limits::ATTRIBUTES);
            return Err(Refusal::new(Fault::Limit, detail));
        }
    }
    Ok(())
}

/// Flags kept at hand during the checks of an import.
const REMEMBERED: usize = 1_000;

struct Check<'s, 'a> {
    store: &'s Store<'a>,
    problems: Vec<Problem>,
    flags: HashMap<String, Option<FlagDocument>>,
}

impl Check<'_, '_> {
    fn note(&mut self, place: &str, pointer: &str, detail: String) {
        self.problems.push(Problem { pointer: format!("{place}{pointer}"), detail });
    }

    /// What a document refers to must be there, with the variants it needs.
    fn targets(&mut self, one: &Written) -> Answer<()> {
        for reference in &one.references {
            match reference.target {
                Target::Attribute => {}
                Target::Segment => {
                    let query = "SELECT 1 FROM entity WHERE kind = 'segment' AND key = ?";
                    if !self.store.sql.any(query, &[(&reference.key).into()])? {
                        let detail = format!("there is no segment `{}`", reference.key);
                        self.note(&one.place, &reference.pointer, detail);
                    }
                }
                Target::Flag => self.flag_target(one, reference)?,
            }
        }
        Ok(())
    }

    /// Apps are sent to other environments of the project alone.
    fn elsewhere(&mut self, one: &Written) -> Answer<()> {
        if one.sort != Sort::Settings {
            return Ok(());
        }
        let Some(Document::Settings(settings)) = self.read(one.sort, &one.key)? else { return Ok(()) };
        let meta = self.store.live()?;
        let own = meta.environment.split_once('/').unwrap_or_default();
        for (index, app) in settings.elsewhere.iter().enumerate() {
            let foreign = |(project, environment): (&str, &str)| project != own.0 || environment == own.1;
            if app.target().is_some_and(foreign) {
                let place = format!("/elsewhere/{index}/token");
                self.note(&one.place, &place, "must be a token of another environment of this project".to_owned());
            }
        }
        Ok(())
    }

    fn flag_target(&mut self, one: &Written, reference: &Reference) -> Answer<()> {
        let Some(flag) = self.flag(&reference.key)? else {
            self.note(&one.place, &reference.pointer, format!("there is no flag `{}`", reference.key));
            return Ok(());
        };
        if one.sort == Sort::Of(Kind::Route) {
            let Some(Document::Route(route)) = self.read(one.sort, &one.key)? else { return Ok(()) };
            for variant in uncovered(&flag, &route) {
                let detail = format!("the flag `{}` can serve `{variant}`, which has no target", route.flag);
                self.note(&one.place, "/targets", detail);
            }
        } else if !reference.variant.is_empty() && !has_variant(&flag, &reference.variant) {
            let detail = format!("the flag `{}` has no variant `{}`", reference.key, reference.variant);
            self.note(&one.place, &reference.pointer, detail);
        }
        Ok(())
    }

    /// What others need of a written flag must still be there.
    fn users(&mut self, one: &Written) -> Answer<()> {
        if one.sort != Sort::Of(Kind::Flag) || one.before.is_none() || one.text.is_none() {
            return Ok(());
        }
        let users = users(self.store, "flag", &one.key)?;
        if users.is_empty() {
            return Ok(());
        }
        let Some(flag) = self.flag(&one.key)? else { return Ok(()) };
        for user in users {
            let name = user.sort.name(&user.key);
            if user.sort != Sort::Of(Kind::Route) {
                if !user.variant.is_empty() && !has_variant(&flag, &user.variant) {
                    let detail = format!("`{name}` needs the variant `{}`", user.variant);
                    self.note(&one.place, "/variants", detail);
                }
                continue;
            }
            let Some(Document::Route(route)) = self.read(user.sort, &user.key)? else { continue };
            for variant in uncovered(&flag, &route) {
                let detail = format!("`{name}` has no target for the variant `{variant}`");
                self.note(&one.place, "/variants", detail);
            }
        }
        Ok(())
    }

    fn flag(&mut self, key: &str) -> Answer<Option<FlagDocument>> {
        if !self.flags.contains_key(key) {
            if self.flags.len() >= REMEMBERED {
                self.flags.clear();
            }
            let read = match self.read(Sort::Of(Kind::Flag), key)? {
                Some(Document::Flag(flag)) => Some(*flag),
                _ => None,
            };
            self.flags.insert(key.to_owned(), read);
        }
        Ok(self.flags.get(key).cloned().flatten())
    }

    fn read(&self, sort: Sort, key: &str) -> Answer<Option<Document>> {
        let Some(stored) = self.store.find(sort, key)? else { return Ok(None) };
        let node = parse(&stored.document)?;
        Ok(sort.read(&node, &At::ROOT, &mut Problems::default()))
    }
}

fn has_variant(flag: &FlagDocument, variant: &str) -> bool {
    flag.variants.iter().any(|(name, _)| name == variant)
}

/// Variants that the flag can serve and the route has no target for.
fn uncovered(flag: &FlagDocument, route: &RouteDocument) -> Vec<String> {
    let serves = flag.rules.iter().map(|rule| &rule.serve).chain([&flag.default]);
    let mut variants: Vec<&str> = serves.flat_map(|serve| serve.variants()).chain([flag.off.as_str()]).collect();
    variants.sort_unstable();
    variants.dedup();
    variants.into_iter().filter(|variant| route.target(variant).is_none()).map(str::to_owned).collect()
}

/// Cycles, depth of segments, and how many flags one evaluation may have to evaluate first.
fn graphs(store: &Store<'_>, written: &[Written]) -> Answer<()> {
    for (kind, target) in [(Kind::Segment, Target::Segment), (Kind::Flag, Target::Flag)] {
        let sort = Sort::Of(kind);
        let refers = |one: &&Written| one.sort == sort && one.references.iter().any(|r| r.target == target);
        let changed: Vec<&Written> = written.iter().filter(refers).collect();
        if changed.is_empty() {
            continue;
        }
        let graph = Graph::load(store.sql, kind.singular())?;
        let place = |key: &str, next: Option<&str>| {
            let one = changed.iter().find(|one| one.key == key)?;
            let to = |r: &&Reference| r.target == target && next.is_none_or(|next| r.key == next);
            Some(format!("{}{}", one.place, one.references.iter().find(to)?.pointer))
        };
        let cycles = graph.cycles(&place);
        if !cycles.is_empty() {
            return Err(Refusal::listing(Fault::Cycle, bounded(cycles)));
        }
        let excess = if kind == Kind::Flag {
            graph.wide(limits::PREREQUISITE_CLOSURE).map(|(key, count)| {
                (
                    key,
                    format!(
                        "{count} flags would have to be evaluated first; {} is the limit",
                        limits::PREREQUISITE_CLOSURE
                    ),
                )
            })
        } else {
            graph.deep(limits::SEGMENT_DEPTH).map(|(key, depth)| {
                (
                    key,
                    format!(
                        "segments would refer to each other over {depth} levels; {} is the limit",
                        limits::SEGMENT_DEPTH
                    ),
                )
            })
        };
        if let Some((key, detail)) = excess {
            let pointer = place(&key, None).or_else(|| place(&changed[0].key, None)).unwrap_or_default();
            let detail = format!("`{}`: {detail}", sort.name(&key));
            return Err(Refusal::listing(Fault::Limit, vec![Problem { pointer, detail }]));
        }
    }
    Ok(())
}
