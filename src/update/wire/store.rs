//! What stores serve, and where they are.

use super::{Object, Table};
use crate::flag::serve::read_instant;
use crate::json::{At, Node, Problems, boolean, one_of, text};
use crate::limits;
use crate::time::Instant;

/// The storefront that stands for all that are not named.
pub const ANYWHERE: &str = "*";

fn check_storefront(name: &str) -> Option<String> {
    let word = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (!word && name != ANYWHERE).then(|| "must be a storefront such as `CH` or `CHE`, or `*`".to_owned())
}

/// Checks a storefront's name.
pub fn read_storefront(name: &str, at: &At<'_>, problems: &mut Problems) {
    if let Some(detail) = check_storefront(name) {
        problems.add(at, detail);
    }
}

/// Who says what a store serves. A stronger source is never overridden by a weaker one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An app; nobody is ever required to update on its word.
    ClientReport,
    /// A program that asks the store now and then.
    Lookup,
    /// A person who is responsible.
    #[default]
    Admin,
}

/// Every source by its word.
pub const SOURCES: [(&str, Source); 3] =
    [("admin", Source::Admin), ("lookup", Source::Lookup), ("clientReport", Source::ClientReport)];

/// Whether a storefront serves a release, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whether it does.
    pub served: bool,
    /// Who says so.
    pub source: Source,
    /// Since when they know; always there unless an admin says so.
    pub observed_at: Option<Instant>,
}

impl Served {
    fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(node, Node::Object(_)) {
            let served = boolean(node, at, problems)?;
            return Some(Self { served, source: Source::Admin, observed_at: None });
        }
        let mut object = Object::open(node, at, problems)?;
        let served = object.required("served", boolean);
        let source = object.optional("source", |node, at, problems| one_of(node, &SOURCES, at, problems));
        let source = source.unwrap_or_default();
        let observed_at = object.optional("observedAt", read_instant);
        object.finish();
        if source != Source::Admin && node.get("observedAt").is_none() {
            problems.add(at, "needs `observedAt`: without it nobody knows how old this is");
        }
        Some(Self { served: served?, source, observed_at })
    }
}

impl Table<Served> {
    /// Reads what storefronts serve.
    pub(super) fn read_served(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let read = |_: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems| Served::read(node, at, problems);
        Self::read(node, limits::STOREFRONTS, (at, problems), check_storefront, read)
    }

    /// Takes a report in, unless a stronger source has spoken, or the same one later; says whether it
    /// was taken.
    pub fn report(&mut self, storefront: &str, report: Served) -> bool {
        let known = self.0.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(storefront));
        match known {
            Some((_, known)) if known.source > report.source => false,
            Some((_, known)) if known.source == report.source && known.observed_at > report.observed_at => false,
            Some((_, known)) => {
                *known = report;
                true
            }
            None => {
                self.0.push((storefront.to_owned(), report));
                true
            }
        }
    }
}

/// Where updates are to be had: one URL, or one for each storefront.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// Everywhere the same.
    One(String),
    /// By storefront.
    Each(Table<String>),
}

impl StoreUrl {
    pub(super) fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(node, Node::Object(_)) {
            return read_url(node, at, problems).map(Self::One);
        }
        let read = |_: &str, node: &Node<'_>, at: &At<'_>, problems: &mut Problems| read_url(node, at, problems);
        let each = Table::read(node, limits::STOREFRONTS, (at, problems), check_storefront, read)?;
        if each.is_empty() && matches!(node, Node::Object(members) if members.is_empty()) {
            problems.add(at, "must name at least one storefront, `*` for any");
        }
        Some(Self::Each(each))
    }

    /// Every storefront with its URL.
    pub fn each(&self) -> Vec<(&str, &str)> {
        match self {
            Self::One(url) => vec![(ANYWHERE, url)],
            Self::Each(table) => table.iter().map(|(storefront, url)| (storefront.as_str(), url.as_str())).collect(),
        }
    }
}

/// Reads a URL that an app may open: `https://…`, `itms-apps://…`, `market://…`, but no script.
pub(super) fn read_url(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<String> {
    let url = text(node, limits::TEXT_LENGTH, at, problems)?;
    if !is_url(url) {
        problems.add(at, "must be an absolute URL such as `https://apps.apple.com/app/id1`");
    }
    Some(url.to_owned())
}

fn is_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(letter)
        && !matches!(scheme, "javascript" | "data" | "vbscript" | "file")
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weaker_source_never_overrides_a_stronger_one() {
        let served = |served, source| Served { served, source, observed_at: Some(Instant::from_millis(0)) };
        let mut table = Table::default();
        assert!(table.report("CH", served(true, Source::ClientReport)));
        assert!(table.report("ch", served(false, Source::Lookup)));
        assert!(!table.report("CH", served(true, Source::ClientReport)));
        let earlier = Served { observed_at: Some(Instant::from_millis(-1)), ..served(true, Source::Lookup) };
        assert!(!table.report("CH", earlier), "older than what the same source has said");
        assert!(table.report("CH", served(true, Source::Admin)));
        assert!(!table.report("CH", served(false, Source::Lookup)));
        assert_eq!(table.0, [("CH".to_owned(), served(true, Source::Admin))]);
    }

    #[test]
    fn apps_open_stores_and_no_scripts() {
        for good in ["https://a.example/x?y=1", "itms-apps://apps.apple.com/app/id1", "market://details?id=a"] {
            assert!(is_url(good), "{good}");
        }
        for bad in ["javascript://%0aalert(1)", "HTTPS://a.example", "https://", "https://a b", "1://a", "://a"] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
