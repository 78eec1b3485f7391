//! The hostnames of an environment's routes: claimed before they are written, told to the directory when
//! they are published.

use super::super::document::Sort;
use super::super::{Effect, directory};
use super::store::{Meta, Store};
use super::write::Written;
use crate::http::{Answer, Fault, Kind, Refusal};
use crate::json::{Problem, parse};
use crate::limits;

/// The header of a refusal that lists hostnames to be claimed first, as [`crate::control::hostname::lines`]
/// reads them. It never leaves the gateway.
pub const UNCLAIMED: &str = "headgate-unclaimed";

/// The hostnames that are routed, in order.
fn current(store: &Store<'_>) -> Answer<Vec<String>> {
    let query =
        "SELECT DISTINCT json_extract(document, '$.host') AS host FROM entity WHERE kind = 'route' ORDER BY host";
    Ok(store.sql.rows(query, &[])?.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?)
}

fn host_of(document: &str) -> Option<String> {
    parse(document).ok()?.get("host")?.as_str().map(str::to_owned)
}

/// Checks routes that were written: no two for the same host and path, not too many hostnames, and none that
/// was neither routed here before nor granted for this write.
pub(super) fn check(store: &Store<'_>, written: &[Written]) -> Answer<()> {
    let of_route = |one: &&Written| one.sort == Sort::Of(Kind::Route);
    let routes: Vec<&Written> = written.iter().filter(of_route).filter(|one| one.text.is_some()).collect();
    if routes.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = routes.iter().map(|one| one.key.as_str()).collect();
    let keys = serde_json::to_string(&keys)?;
    let place = |key: &str| {
        let place = routes.iter().find(|one| one.key == key).map(|one| one.place.as_str());
        format!("{}/host", place.unwrap_or_default())
    };
    doubles(store, &keys, &place)?;
    let count = current(store)?.len();
    if count > limits::HOSTS {
        let detail = format!("an environment routes at most {} hostnames, not {count}", limits::HOSTS);
        return Err(Refusal::new(Fault::Limit, detail));
    }
    let mut own: Vec<String> = store.granted.clone();
    own.extend(written.iter().filter(of_route).filter_map(|one| host_of(&one.before.as_ref()?.document)));
    let query = "SELECT min(key), json_extract(document, '$.host') AS host FROM entity WHERE kind = 'route'
                 GROUP BY host HAVING count(*) = sum(key IN (SELECT value FROM json_each(?1)))
                 AND host NOT IN (SELECT value FROM json_each(?2))";
    let mut wanted = String::new();
    for row in store.sql.rows(query, &[keys.into(), serde_json::to_string(&own)?.into()])? {
        for part in [&row.text(1)?, " ", &place(&row.text(0)?), "\n"] {
            wanted.push_str(part);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(Fault::HostTaken, "the hostnames must be claimed first").with(UNCLAIMED, wanted))
}

/// Refuses routes of one host and path.
fn doubles(store: &Store<'_>, keys: &str, place: &dyn Fn(&str) -> String) -> Answer<()> {
    let query = "SELECT min(key), max(key), max(key) IN (SELECT value FROM json_each(?1)) FROM entity
                 WHERE kind = 'route' GROUP BY json_extract(document, '$.host'), json_extract(document, '$.path')
                 HAVING count(*) > 1 AND sum(key IN (SELECT value FROM json_each(?1))) > 0";
    let mut problems = Vec::new();
    for row in store.sql.rows(query, &[keys.into()])? {
        let (first, last) = (row.text(0)?, row.text(1)?);
        let (new, other) = if row.integer(2)? == 1 { (last, first) } else { (first, last) };
        problems
            .push(Problem { pointer: place(&new), detail: format!("`routes/{other}` is for the same host and path") });
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::listing(Fault::Invalid, problems)) }
}

/// Tells the directory which hostnames are routed, when that is not what it was told last.
pub(super) fn effect(store: &Store<'_>, meta: &Meta) -> Answer<Option<Effect>> {
    let hosts = current(store)?.join("\n");
    store.sql.run("UPDATE routed SET told = ?", &[(&hosts).into()])?;
    if !store.sql.any("SELECT 1 FROM routed WHERE held <> told", &[])? {
        return Ok(None);
    }
    let message = directory::Call::Hold(directory::Names { environment: meta.environment.clone(), hosts });
    Ok(Some(Effect::Directory { message: serde_json::to_string(&message)? }))
}

/// Whether the directory has other hostnames for this environment than it should; it is then told again.
pub(super) fn differ(store: &Store<'_>, held: Option<&[String]>) -> Answer<bool> {
    let Some(held) = held else { return Ok(false) };
    let current = current(store)?;
    let differ = held.len() != current.len() || held.iter().any(|host| !current.contains(host));
    if differ {
        store.sql.run("UPDATE routed SET held = '?'", &[])?;
    }
    Ok(differ)
}
