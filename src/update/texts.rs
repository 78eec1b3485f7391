//! Texts by locale, each written out once as JSON.

use super::wire::{DEFAULT_LOCALE, Table, Text};

/// JSON fragments by locale.
#[derive(Debug, Default)]
pub(super) struct Localized(Vec<(Box<str>, Box<str>)>);

/// Characters of a locale that are looked at; BCP 47 asks for 35.
const LOCALE_LENGTH: usize = 64;

/// `de-CH`, `de_CH.UTF-8` and `DE-ch` are the same to a person.
fn same(a: &str, b: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| fold(a) == fold(b))
}

/// A locale and those wider than it: `de-CH`, `de`.
fn widening(locale: &str) -> impl Iterator<Item = &str> {
    let locale = locale.trim();
    let first = Some(locale).filter(|text| text.len() <= LOCALE_LENGTH && !text.is_empty());
    std::iter::successors(first, |text| text.rfind(['-', '_', '.', '@']).map(|end| &text[..end]))
}

impl Localized {
    /// The text for a locale, else for a wider one, else the default.
    pub(super) fn find(&self, locale: &str) -> Option<&str> {
        let named = |name: &str| self.0.iter().find(|(key, _)| same(key, name)).map(|(_, text)| &**text);
        widening(locale).find_map(named).or_else(|| named(DEFAULT_LOCALE))
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(key, text)| key.len() + text.len() + 32).sum()
    }

    /// Texts, with what a locale leaves out taken from wider ones.
    pub(super) fn texts(table: &Table<Text>) -> Self {
        let mut new = Self::default();
        for (key, _) in table {
            let mut merged = Text::default();
            for name in widening(key).chain([DEFAULT_LOCALE]) {
                if let Some(text) = find(table, name) {
                    merged.fill(text);
                }
            }
            new.0.push((key.as_str().into(), merged.json().into()));
        }
        new
    }

    /// Release notes.
    pub(super) fn notes(table: &Table<String>) -> Self {
        let mut new = Self::default();
        for (key, text) in table {
            new.0.push((key.as_str().into(), super::compile::quote(text).into()));
        }
        new
    }
}

fn find<'t>(table: &'t Table<Text>, name: &str) -> Option<&'t Text> {
    table.iter().find(|(key, _)| same(key, name)).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_falls_back_to_wider_ones_part_by_part() {
        let text = |title: &str, later: Option<&str>| Text {
            title: Some(title.to_owned()),
            later: later.map(str::to_owned),
            ..Text::default()
        };
        let table = Table(vec![
            ("default".to_owned(), text("New", Some("Later"))),
            ("de".to_owned(), Text { title: None, ..text("", Some("Später")) }),
            ("de-CH".to_owned(), text("Neu", None)),
            ("zh-Hans".to_owned(), text("新", None)),
        ]);
        let texts = Localized::texts(&table);
        let check = |locale: &str, title: &str, later: &str| {
            let expected = format!(r#"{{"title":"{title}","later":"{later}"}}"#);
            assert_eq!(texts.find(locale), Some(&*expected), "{locale}");
        };
        for locale in ["de-CH", "de_CH", "DE-ch", " de-CH ", "de_CH.UTF-8", "de-CH-1996", "de-CH@euro"] {
            check(locale, "Neu", "Später");
        }
        check("de-AT", "New", "Später");
        check("zh-Hans-CN", "新", "Later");
        for locale in ["", "fr", "d", "-", "--", "ü", "zh", "de_", &"de-".repeat(100), "default"] {
            let title = if locale == "de_" { ("New", "Später") } else { ("New", "Later") };
            check(locale, title.0, title.1);
        }
        assert_eq!(Localized::texts(&Table::default()).find("de"), None);
    }
}
