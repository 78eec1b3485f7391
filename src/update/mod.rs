//! Update gates: which versions of an app may run, and what each is to update to.
//!
//! [`wire`] is the JSON form that people write and the product stores; `compile` turns it into the
//! private types of `model` once; `decide` walks those for every request; `answer` is what
//! comes out. `warn` says what is allowed and most likely not meant.

mod answer;
mod bundle;
mod compile;
mod decide;
mod gates;
mod model;
mod request;
mod texts;
mod version;
mod warn;
pub mod wire;

pub use answer::{Action, Reason, Verdict};
pub use gates::Gates;
pub use model::Who;
pub use request::Request;
pub use version::{Build, Point};
pub use wire::ChannelDocument;
