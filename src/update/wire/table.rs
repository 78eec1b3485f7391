//! Objects whose keys are names: releases by key, texts by locale, stores by storefront.

use super::{Object, line};
use crate::json::{At, Node, Problems, entries};
use crate::limits;

/// Values by name, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<T>(pub Vec<(String, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every name and value.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, T)> {
        self.0.iter()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Reads an object of at most `limit` members. `check` says what is wrong with a name.
    pub(super) fn read(
        node: &Node<'_>,
        limit: usize,
        (at, problems): (&At<'_>, &mut Problems),
        check: fn(&str) -> Option<String>,
        mut read: impl FnMut(&str, &Node<'_>, &At<'_>, &mut Problems) -> Option<T>,
    ) -> Option<Self> {
        let mut list = Vec::new();
        each(node, limit, (at, problems), check, &mut |key, node, at, problems| {
            list.extend(read(key, node, at, problems).map(|value| (key.to_owned(), value)));
        })?;
        Some(Self(list))
    }
}

/// Goes through the members of an object.
fn each(
    node: &Node<'_>,
    limit: usize,
    (at, problems): (&At<'_>, &mut Problems),
    check: fn(&str) -> Option<String>,
    visit: &mut dyn FnMut(&str, &Node<'_>, &At<'_>, &mut Problems),
) -> Option<()> {
    let members = entries(node, at, problems)?;
    if members.len() > limit {
        problems.add(at, format!("must have at most {limit} members, not {}", members.len()));
    }
    for (key, node) in members {
        let at = at.member(key);
        if let Some(detail) = check(key) {
            problems.add(&at, detail);
        }
        visit(key, node, &at, problems);
    }
    Some(())
}

impl<'t, T> IntoIterator for &'t Table<T> {
    type Item = &'t (String, T);
    type IntoIter = std::slice::Iter<'t, (String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The name of the text for those whose locale has none.
pub const DEFAULT_LOCALE: &str = "default";

/// Language, script, region… of BCP 47: `de`, `de-CH`, `zh-Hans-CN`.
fn check_locale(name: &str) -> Option<String> {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let mut parts = name.split('-');
    let language =
        parts.next().is_some_and(|first| first.len() > 1 && part(first) && !first.starts_with(char::is_numeric));
    let sound = language && parts.all(part) && name.len() <= limits::KEY_LENGTH;
    (!sound).then(|| "must be a locale such as `de` or `de-CH`, or `default`".to_owned())
}

/// What people are told. What a locale leaves out is taken from the next wider one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The heading.
    pub title: Option<String>,
    /// What it is about.
    pub message: Option<String>,
    /// The button that leads to the store.
    pub update: Option<String>,
    /// The button that puts the update off.
    pub later: Option<String>,
}

impl Text {
    /// Takes over what is not there yet.
    pub(in crate::update) fn fill(&mut self, wider: &Self) {
        let own = [&mut self.title, &mut self.message, &mut self.update, &mut self.later];
        for (own, other) in own.into_iter().zip([&wider.title, &wider.message, &wider.update, &wider.later]) {
            if own.is_none() {
                own.clone_from(other);
            }
        }
    }

    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let mut part = |name| object.optional(name, read_line);
        let new = Self { title: part("title"), message: part("message"), update: part("update"), later: part("later") };
        object.finish();
        Some(new)
    }
}

fn read_line(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    line(node, limits::TEXT_LENGTH, at, problems)
}

impl Table<Text> {
    /// Reads texts by locale.
    pub(super) fn read_texts(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let read = |_: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems| Text::read(node, at, problems);
        Self::read(node, limits::LOCALES, (at, problems), check_locale, read)
    }
}

impl Table<String> {
    /// Reads release notes by locale.
    pub(super) fn read_notes(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let read = |_: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems| read_line(node, at, problems);
        Self::read(node, limits::LOCALES, (at, problems), check_locale, read)
    }
}

/// Texts by what the app is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// Of an update that may be put off.
    pub recommended: Table<Text>,
    /// Of an update that may not.
    pub required: Table<Text>,
    /// Of a version that must not run, with nothing to update to.
    pub blocked: Table<Text>,
    /// Of a device that is too old for any update.
    pub unsupported: Table<Text>,
}

impl Texts {
    pub(super) fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = Object::open(node, at, problems)?;
        let mut of = |name| object.optional(name, Table::read_texts).unwrap_or_default();
        let (recommended, required) = (of("recommended"), of("required"));
        let new = Self { recommended, required, blocked: of("blocked"), unsupported: of("unsupported") };
        object.finish();
        Some(new)
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, &Table<Text>); 4] {
        [
            ("recommended", &self.recommended),
            ("required", &self.required),
            ("blocked", &self.blocked),
            ("unsupported", &self.unsupported),
        ]
    }
}
