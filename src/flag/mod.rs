//! Flags: how they are written, checked, compiled and evaluated.
//!
//! [`wire`] is the JSON form that people write and the product stores; [`compile`] turns it into
//! the private types of [`model`] once; [`evaluate`] walks those for every request.

pub mod condition;
pub mod segment;
pub mod serve;
pub mod wire;

pub use condition::Condition;
pub use segment::SegmentDocument;
pub use serve::{Serve, Share, Split};
pub use wire::{FlagDocument, FlagKind, Prerequisite, Rule, Value, ValueType};
