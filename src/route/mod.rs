//! Routes: web traffic sent to the target that a flag's variant names.
//!
//! [`wire`] is the JSON form that people write; [`table`] holds the compiled routes of an environment;
//! [`mod@decide`] says what becomes of a request, [`answer`] what becomes of a target's answer. All of it is pure.

pub mod answer;
mod cookie;
pub mod decide;
pub mod pattern;
pub mod seal;
pub mod table;
pub mod target;
pub mod wire;

/// Adds a line with a name and one with a value, as the shell reads headers.
#[inline(never)]
pub fn push_header(out: &mut String, name: &str, value: &str) {
    for part in [name, "\n", value, "\n"] {
        out.push_str(part);
    }
}

pub use answer::{Failure, Returned, Ticket, Verdict};
pub use decide::{Config, Decision, Proxy, Redirect, Visit, Visitor, decide, unit_of};
pub use table::{Route, Routes};
pub use wire::{Mode, RouteDocument};

#[cfg(test)]
mod tests;
