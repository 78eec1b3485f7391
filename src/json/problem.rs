//! What is wrong with a document, and where.

use crate::limits;
use serde::Serialize;
use std::fmt::Write as _;

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the faulty place; empty for the whole document.
    pub pointer: String,
    /// What is wrong there, lower-case, without a full stop.
    pub detail: String,
}

/// All faults of a document, bounded by [`limits::PROBLEMS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    dropped: usize,
}

impl Problems {
    /// Notes a fault at a place.
    pub fn add(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.push(Problem { pointer: at.pointer(), detail: detail.into() });
    }

    /// Notes a fault that was found elsewhere.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < limits::PROBLEMS {
            self.list.push(problem);
        } else {
            self.dropped += 1;
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many faults were found, those beyond the bound included.
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// The faults in the order found; a last line counts those beyond the bound.
    pub fn into_list(mut self) -> Vec<Problem> {
        if self.dropped > 0 {
            let detail = format!("and {} more problems", self.dropped);
            self.list.push(Problem { pointer: String::new(), detail });
        }
        self.list
    }
}

/// A place in a document, kept as a list on the stack: it costs nothing until there is a fault.
#[derive(Clone, Copy, Debug)]
pub struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Element(usize),
}

impl At<'static> {
    /// The whole document.
    pub const ROOT: Self = At { parent: None, step: Step::Root };
}

impl<'p> At<'p> {
    /// The member `name` of the object here.
    #[must_use]
    pub fn member(&'p self, name: &'p str) -> At<'p> {
        At { parent: Some(self), step: Step::Member(name) }
    }

    /// The element `index` of the array here.
    #[must_use]
    pub fn element(&'p self, index: usize) -> At<'p> {
        At { parent: Some(self), step: Step::Element(index) }
    }

    /// The place as a JSON pointer.
    pub fn pointer(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                out.push('/');
                out.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Step::Element(index) => {
                let _ = write!(out, "/{index}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_as_rfc_6901_says() {
        let flags = At::ROOT.member("flags");
        let flag = flags.member("a/b~c");
        assert_eq!(flag.element(3).pointer(), "/flags/a~1b~0c/3");
        assert_eq!(At::ROOT.pointer(), "");
    }

    #[test]
    fn problems_beyond_the_bound_are_counted() {
        let mut problems = Problems::default();
        for _ in 0..limits::PROBLEMS + 5 {
            problems.add(&At::ROOT, "x");
        }
        assert_eq!(problems.count(), limits::PROBLEMS + 5);
        let list = problems.into_list();
        assert_eq!(list.last().map(|p| p.detail.as_str()), Some("and 5 more problems"));
    }
}
