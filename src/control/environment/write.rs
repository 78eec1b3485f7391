//! The one way in which documents change: documents, history, audit and version together, then
//! the checks over what has become of the whole. A refusal rolls everything back.

use super::super::Author;
use super::super::audit::Entry;
use super::super::document::{Document, Sort};
use super::super::reference::{Reference, Target, references};
use super::kill;
use super::store::{Store, Stored};
use super::{channels, check};
use crate::http::{Answer, Fault, Refusal};
use crate::json::Problem;
use crate::limits;
use std::collections::BTreeSet;

/// A change that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) sort: Sort,
    pub(super) key: String,
    /// `None` deletes.
    pub(super) document: Option<Document>,
    /// Where the document stands in the request, as a JSON pointer.
    pub(super) place: String,
}

/// How changes are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner<'a> {
    /// The word in the audit; empty for `create`, `update` or `delete`, as it happens to be.
    pub(super) action: &'a str,
    /// Whether an existing flag keeps its salt even if the change brings another.
    pub(super) keep_salts: bool,
}

impl Manner<'static> {
    /// A change of single documents.
    pub(super) const PLAIN: Self = Self { action: "", keep_salts: false };
}

/// A change that was made.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) sort: Sort,
    pub(super) key: String,
    pub(super) before: Option<Stored>,
    pub(super) text: Option<String>,
    pub(super) revision: i64,
    pub(super) references: Vec<Reference>,
    pub(super) place: String,
    /// Whether it reads attributes that it did not read before.
    pub(super) new_attributes: bool,
}

impl Written {
    pub(super) fn verb(&self) -> &'static str {
        match (&self.before, &self.text) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        }
    }
}

/// Makes changes; those that change nothing are left out, and if none is left there is no new
/// version.
pub(super) fn apply(
    store: &Store<'_>,
    author: &Author,
    manner: Manner<'_>,
    changes: impl IntoIterator<Item = Change>,
) -> Answer<Vec<Written>> {
    let meta = store.live()?;
    let mut written = Vec::new();
    for change in changes {
        written.extend(stage(store, manner, change)?);
    }
    if written.is_empty() {
        return Ok(written);
    }
    let entity = match written.as_slice() {
        [one] => one.sort.name(&one.key),
        many => format!("{} documents", many.len()),
    };
    let action = if manner.action.is_empty() { written[0].verb() } else { manner.action };
    let version = store.advance(&meta, author, action, &entity)?;
    let mut bytes = meta.bytes;
    let mut next_flag = meta.next_flag;
    for one in &mut written {
        bytes += length(one.text.as_deref()) - length(one.before.as_ref().map(|before| before.document.as_str()));
        save(store, author, manner, one, version, &mut next_flag)?;
    }
    store.sql.run("UPDATE meta SET bytes = ?, next_flag = ?", &[bytes.into(), next_flag.into()])?;
    if bytes > length_limit() {
        let detail =
            format!("the environment's documents would have {bytes} bytes, and {} is the limit", length_limit());
        return Err(Refusal::new(Fault::Limit, detail));
    }
    check::all(store, &written)?;
    Ok(written)
}

fn length(text: Option<&str>) -> i64 {
    text.map_or(0, |text| i64::try_from(text.len()).unwrap_or(i64::MAX))
}

/// A snapshot adds keys, revisions and tokens to the documents: about 100 bytes for each.
fn length_limit() -> i64 {
    let overhead = 120 * (limits::FLAGS / 10 + limits::SEGMENTS + limits::TOKENS);
    i64::try_from(limits::SNAPSHOT_BYTES - overhead).unwrap_or(i64::MAX)
}

/// Settles what the change will be; `None` when nothing would change.
fn stage(store: &Store<'_>, manner: Manner<'_>, change: Change) -> Answer<Option<Written>> {
    let Change { sort, key, mut document, place } = change;
    let before = store.find(sort, &key)?;
    if let Some(Document::Channel(channel)) = &mut document {
        channels::inherit(channel, before.as_ref());
    }
    let given = match &mut document {
        Some(Document::Flag(flag)) => Some(&mut flag.salt),
        Some(Document::Channel(channel)) => Some(&mut channel.salt),
        _ => None,
    };
    if let Some(given) = given {
        let old = before.as_ref().and_then(|before| salt(&before.document));
        if manner.keep_salts && old.is_some() {
            given.clone_from(&old);
        }
        if given.is_none() {
            *given = Some(old.unwrap_or_else(|| store.entropy.salt()));
        }
    }
    let text = document.as_ref().map(Document::text);
    if text.as_deref() == before.as_ref().map(|before| before.document.as_str()) {
        return Ok(None);
    }
    if text.as_ref().is_some_and(|text| text.len() > limits::ENTITY_BYTES) {
        let detail = format!("has more than {} bytes", limits::ENTITY_BYTES);
        return Err(Refusal::listing(Fault::Limit, vec![Problem { pointer: place, detail }]));
    }
    let references = document.as_ref().map(references).unwrap_or_default();
    Ok(Some(Written { sort, key, before, text, revision: 0, references, place, new_attributes: false }))
}

fn salt(document: &str) -> Option<String> {
    let node = crate::json::parse(document).ok()?;
    node.get("salt").and_then(|salt| salt.as_str()).map(str::to_owned)
}

fn save(
    store: &Store<'_>,
    author: &Author,
    manner: Manner<'_>,
    one: &mut Written,
    version: i64,
    next_flag: &mut i64,
) -> Answer<()> {
    let (kind, key) = (one.sort.word(), one.key.as_str());
    let last = "SELECT coalesce(max(revision), 0) FROM history WHERE kind = ? AND key = ?";
    one.revision = store.sql.number(last, &[kind.into(), key.into()])? + 1;
    // What can be killed has a number.
    let numbered = kill::can_kill(one.sort);
    let id = match &one.before {
        Some(before) => before.id,
        None if numbered => {
            let id = *next_flag;
            *next_flag += 1;
            kill::inherit(store, &kill::name(one.sort, key), id)?;
            id
        }
        None => 0,
    };
    if let Some(text) = &one.text {
        store.sql.run(
            "INSERT INTO entity VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET
             revision = excluded.revision, version = excluded.version, at = excluded.at,
             actor = excluded.actor, document = excluded.document",
            &[
                kind.into(),
                key.into(),
                id.into(),
                one.revision.into(),
                version.into(),
                store.now.into(),
                (&author.actor).into(),
                text.into(),
            ],
        )?;
    } else {
        store.sql.run("DELETE FROM entity WHERE kind = ? AND key = ?", &[kind.into(), key.into()])?;
    }
    one.new_attributes = save_references(store, one)?;
    note(store, author, manner, one, version, id)
}

/// History and audit.
fn note(store: &Store<'_>, author: &Author, manner: Manner<'_>, one: &Written, version: i64, id: i64) -> Answer<()> {
    let action = if manner.action.is_empty() { one.verb() } else { manner.action };
    store.sql.run(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            one.sort.word().into(),
            (&one.key).into(),
            one.revision.into(),
            version.into(),
            id.into(),
            store.now.into(),
            (&author.actor).into(),
            action.into(),
            author.reason.as_ref().into(),
            one.text.as_ref().into(),
        ],
    )?;
    let entry = Entry {
        action,
        entity: &one.sort.name(&one.key),
        version: Some(version),
        before: one.before.as_ref().map(|before| before.document.as_str()),
        after: one.text.as_deref(),
    };
    store.audit(author, &entry)
}

/// Replaces a document's references, touching only those that differ.
fn save_references(store: &Store<'_>, one: &Written) -> Answer<bool> {
    let (kind, key) = (one.sort.word(), one.key.as_str());
    let query = "SELECT to_kind, to_key, variant FROM reference WHERE from_kind = ? AND from_key = ?";
    let mut old = BTreeSet::new();
    if one.before.is_some() {
        for row in store.sql.rows(query, &[kind.into(), key.into()])? {
            old.insert((row.text(0)?, row.text(1)?, row.text(2)?));
        }
    }
    let new: BTreeSet<_> = one
        .references
        .iter()
        .map(|reference| (reference.target.word().to_owned(), reference.key.clone(), reference.variant.clone()))
        .collect();
    for (target, to, variant) in old.difference(&new) {
        store.sql.run(
            "DELETE FROM reference WHERE from_kind = ? AND from_key = ? AND to_kind = ? AND to_key = ? AND variant = ?",
            &[kind.into(), key.into(), target.into(), to.into(), variant.into()],
        )?;
    }
    for (target, to, variant) in new.difference(&old) {
        store.sql.run(
            "INSERT INTO reference VALUES (?, ?, ?, ?, ?)",
            &[kind.into(), key.into(), target.into(), to.into(), variant.into()],
        )?;
    }
    Ok(new.difference(&old).any(|(target, ..)| target == Target::Attribute.word()))
}
