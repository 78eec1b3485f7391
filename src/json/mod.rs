//! JSON that is read with care: duplicate keys are seen, nesting is bounded, and every problem of
//! a document is reported at once with the JSON pointer (RFC 6901) to it.

mod node;
mod problem;
mod reader;

pub use node::{Node, Number, ParseError, parse};
pub use problem::{At, Problem, Problems};
pub use reader::{Fields, Lines, boolean, elements, entries, integer, one_of, text};
