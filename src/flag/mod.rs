//! Flags: how they are written, checked, compiled and evaluated.
//!
//! [`wire`] is the JSON form that people write and the product stores; [`compile`] turns it into
//! the private types of [`model`] once; [`evaluate`] walks those for every request.

pub mod compile;
pub mod condition;
pub mod context;
pub mod evaluate;
pub mod explain;
mod keys;
pub mod model;
pub mod segment;
pub mod serve;
mod size;
pub mod wire;

pub use compile::Source;
pub use condition::Condition;
pub use context::{Attributes, Context, Slot};
pub use evaluate::{Kills, Scratch};
pub use model::{FlagSet, Outcome, Reason};
pub use segment::SegmentDocument;
pub use serve::{Serve, Share, Split};
pub use wire::{FlagDocument, FlagKind, Prerequisite, Rule, Value, ValueType};
