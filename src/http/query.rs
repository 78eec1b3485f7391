//! Query strings and the pages they ask for.

use super::{Answer, Fault, Refusal};
use crate::limits;
use crate::time::Instant;

/// Decodes percent-encoding; `None` when it is broken or not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
        out.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(out).ok()
}

/// The parameters of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d` and refuses every name that is not among `known`.
    pub fn read(text: &str, known: &[&str]) -> Answer<Self> {
        let mut list: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(&name.replace('+', " ")).zip(decode(&value.replace('+', " ")));
            let Some((name, value)) = decoded else {
                return Err(Refusal::new(Fault::BadParameter, "the query is not properly percent-encoded"));
            };
            if !known.contains(&name.as_str()) {
                let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "no parameters".to_owned() } else { known };
                return Err(Refusal::new(Fault::BadParameter, format!("unknown parameter `{name}`; here are {known}")));
            }
            if list.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Refusal::new(Fault::BadParameter, format!("`{name}` is given twice")));
            }
            list.push((name, value));
        }
        Ok(Self(list))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A whole number from 0 to 2^53.
    pub fn integer(&self, name: &str) -> Answer<Option<i64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (0..1 << 53).contains(number));
        number.map_or_else(|| Err(bad(name, "a whole number")), |number| Ok(Some(number)))
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Answer<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "1" | "") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(bad(name, "`true` or `false`")),
        }
    }

    /// A date, or a date and time.
    pub fn instant(&self, name: &str) -> Answer<Option<Instant>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        Instant::parse(text).map_or_else(|| Err(bad(name, "a date such as `2026-07-01T10:00:00Z`")), |at| Ok(Some(at)))
    }

    /// The page asked for by `limit` and `after`.
    pub fn page(&self) -> Answer<Page> {
        let limit = match self.integer("limit")? {
            None => Page::DEFAULT,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, limits::PAGE_ITEMS),
        };
        Ok(Page { limit, after: self.get("after").map(str::to_owned) })
    }
}

fn bad(name: &str, wanted: &str) -> Refusal {
    Refusal::new(Fault::BadParameter, format!("`{name}` must be {wanted}"))
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items at most, 1 to [`limits::PAGE_ITEMS`].
    pub limit: usize,
    /// The cursor where the page before ended.
    pub after: Option<String>,
}

impl Page {
    const DEFAULT: usize = 50;

    /// The cursor as a number, for lists that are ordered by one.
    pub fn number(&self) -> Answer<Option<i64>> {
        let Some(after) = &self.after else { return Ok(None) };
        after.parse().map(Some).map_err(|_| bad("after", "the `next` of the page before"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let query = Query::read("q=a%20b+c&limit=1000&dryRun", &["q", "limit", "dryRun", "after"]).expect("valid");
        assert_eq!(query.get("q"), Some("a b c"));
        assert_eq!(query.page().expect("valid"), Page { limit: 200, after: None });
        assert_eq!(query.boolean("dryRun"), Ok(Some(true)));
        for bad in ["x=1", "q=%zz", "q=1&q=2"] {
            assert_eq!(Query::read(bad, &["q"]).expect_err(bad).fault(), Fault::BadParameter);
        }
        assert_eq!(
            Query::read("limit=-1", &["limit"]).and_then(|q| q.page()).expect_err("bad").detail(),
            "`limit` must be a whole number"
        );
    }

    #[test]
    fn percent_encoding_is_strict() {
        assert_eq!(decode("a%2Fb").as_deref(), Some("a/b"));
        for bad in ["%", "%2", "%g0", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
