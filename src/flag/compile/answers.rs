//! The answers that a flag can give, each written out once.

use crate::flag::FlagDocument;
use crate::flag::compile::Source;
use crate::flag::model::{Outcome, Reason};
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// Collects the possible answers of one flag.
pub(super) struct Answers<'a> {
    key: &'a str,
    /// Of each variant, what stands before the reason and what stands after it.
    variants: Vec<(String, String)>,
    found: Vec<Outcome>,
    /// The text of one answer after the other.
    text: String,
}

impl<'a> Answers<'a> {
    pub(super) fn new(source: &Source<'a>, document: &FlagDocument) -> Result<Self, String> {
        let (key, revision) = (quote(source.key), source.revision);
        let parts = document.variants.iter().map(|(name, value)| {
            let value = serde_json::to_string(value).map_err(|error| error.to_string())?;
            let before = format!(r#"{{"key":{key},"value":{value},"reason":""#);
            let after = format!(r#"","variant":{},"metadata":{{"revision":{revision}"#, quote(name));
            Ok((before, after))
        });
        let variants = parts.collect::<Result<_, String>>()?;
        Ok(Self { key: source.key, variants, found: Vec::with_capacity(8), text: String::with_capacity(256) })
    }

    /// The answer that serves a variant, with OFREP's fields in OFREP's order. `cause` is what the
    /// metadata says beside the revision.
    pub(super) fn serving(&mut self, variant: u16, reason: Reason, cause: &str) -> Result<u16, String> {
        let (before, after) = self.variants.get(usize::from(variant)).ok_or("the flag lacks a variant")?;
        self.text.clear();
        for part in [before, reason.word(), after, cause, "}}"] {
            self.text.push_str(part);
        }
        self.add(Some(variant), reason)
    }

    /// The answer to a context without the unit of an allocation.
    pub(super) fn missing(&mut self, by: &str) -> Result<u16, String> {
        let detail = format!("`{by}` is missing from the context or is neither a string nor a whole number");
        self.text.clear();
        write_error(&mut self.text, self.key, "TARGETING_KEY_MISSING", &detail);
        self.add(None, Reason::TargetingKeyMissing)
    }

    /// The position of the answer whose text was just written.
    fn add(&mut self, variant: Option<u16>, reason: Reason) -> Result<u16, String> {
        let same = self.found.iter().position(|known| *known.fragment == self.text);
        let at = same.unwrap_or_else(|| {
            self.found.push(outcome(variant, reason, &self.text));
            self.found.len() - 1
        });
        u16::try_from(at).map_err(|_| "the flag has too many answers".to_owned())
    }

    pub(super) fn finish(self) -> Box<[Outcome]> {
        self.found.into()
    }
}

/// A text as a JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_error(out: &mut String, key: &str, code: &str, detail: &str) {
    let [key, code, detail] = [key, code, detail].map(quote);
    let _ = write!(out, r#"{{"key":{key},"errorCode":{code},"errorDetails":{detail},"metadata":{{}}}}"#);
}

/// The answer of a flag that cannot be evaluated.
pub(super) fn fault(key: &str, detail: &str) -> Outcome {
    let mut text = String::new();
    write_error(&mut text, key, "GENERAL", detail);
    outcome(None, Reason::Fault, &text)
}

fn outcome(variant: Option<u16>, reason: Reason, fragment: &str) -> Outcome {
    Outcome { variant, reason, fragment: fragment.into(), digest: xxh3_64(fragment.as_bytes()) }
}
