//! What the shell gets back: a status, a head of headers that it has most likely seen before, an
//! entity tag and a body.

use crate::route::push_header;
use std::collections::HashMap;
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The answer to one request. The buffers are kept from one request to the next.
#[derive(Debug, Default)]
pub struct Output {
    /// HTTP status.
    pub status: u16,
    /// Number of the head; the shell keeps heads by number.
    pub head: u32,
    /// The entity tag, to be written as 16 hexadecimal digits in quotes.
    pub etag: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
    /// A message that must be in the queue before the answer is sent.
    pub message: String,
    /// Whether the host is a product's: what holds for its whole site is not the gateway's to say.
    pub(super) is_product_s: bool,
    heads: Heads,
    pub(super) text: String,
    own: String,
}

/// Heads handed out so far: the same few come again and again.
#[derive(Debug, Default)]
struct Heads {
    numbers: HashMap<u64, u32>,
    next: u32,
}

/// Heads remembered at most; a head carries an origin and a version, so old ones go stale.
const HEADS: usize = 2_000;

impl Output {
    /// Starts an answer.
    pub fn begin(&mut self, status: u16) {
        self.status = status;
        self.etag = None;
        self.body.clear();
        self.message.clear();
        self.text.clear();
        self.own.clear();
    }

    /// Adds a header line.
    pub fn header(&mut self, name: &str, value: &str) {
        // A value from a request must not open a line of its own.
        debug_assert!(!value.contains(['\r', '\n']));
        self.text.push_str(name);
        self.text.push('\n');
        self.text.push_str(value);
        self.text.push('\n');
    }

    /// Adds header lines written beforehand: names and values, each with a line's end.
    pub fn lines(&mut self, lines: &'static str) {
        self.text.push_str(lines);
    }

    /// Adds a header with a number.
    pub fn header_number(&mut self, name: &str, value: u64) {
        let _ = write!(self.text, "{name}\n{value}\n");
    }

    /// Ends the head: gives it its number.
    pub fn finish(&mut self) {
        if self.heads.numbers.len() >= HEADS {
            self.heads.numbers.clear();
        }
        let heads = &mut self.heads;
        self.head = *heads.numbers.entry(xxh3_64(self.text.as_bytes())).or_insert_with(|| {
            heads.next += 1;
            heads.next
        });
    }

    /// Adds a header that hardly another answer has: it stays out of the head.
    pub fn own_header(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains(['\r', '\n']));
        push_header(&mut self.own, name, value);
    }

    /// Names and values of the headers beside the head.
    pub fn own_text(&self) -> &str {
        &self.own
    }

    /// Names and values of the headers, each on a line of its own.
    pub fn head_text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_heads_have_one_number() {
        let mut output = Output::default();
        let mut head = |origin: &str| {
            output.begin(200);
            output.header("access-control-allow-origin", origin);
            output.finish();
            output.head
        };
        let (a, b, again) = (head("https://a.example"), head("https://b.example"), head("https://a.example"));
        assert_ne!(a, b);
        assert_eq!(a, again);
    }
}
