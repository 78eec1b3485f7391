//! Segments as they are written: reusable audiences.

use super::condition::Condition;
use super::serve::{TARGETING_KEY, read_attribute};
use super::wire::About;
use crate::json::{At, Fields, Lines, Node, Problems};
use crate::limits;
use serde::Serialize;

/// An audience: the units listed, and those whose context meets the condition. A unit in
/// `exclude` is outside whatever else holds; one in `include` is inside.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SegmentDocument {
    /// Who it is for and who looks after it.
    #[serde(flatten)]
    pub about: About,
    /// The attribute whose value `include` and `exclude` list; `targetingKey` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Units inside whatever the condition says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Units outside whatever else is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The condition; without one only `include` makes a member.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

const UNITS: Lines = Lines { count: limits::SEGMENT_UNITS, length: limits::KEY_LENGTH * 2 };

impl SegmentDocument {
    /// Reads a segment, noting every fault.
    pub fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, at, problems)?;
        let about = About::read(&mut fields, at, problems);
        let by = fields.optional("by").and_then(|node| read_attribute(node, &at.member("by"), problems));
        let mut units = |name| fields.optional(name).map(|node| UNITS.read(node, &at.member(name), problems));
        let include = units("include").unwrap_or_default();
        let exclude = units("exclude").unwrap_or_default();
        let mut budget = limits::CONDITIONS;
        let condition =
            fields.optional("if").and_then(|node| Condition::read(node, &mut budget, &at.member("if"), problems));
        fields.finish(at, problems);
        Some(Self { about, by: by.filter(|by| by != TARGETING_KEY), include, exclude, condition })
    }

    /// The segments that this one's condition refers to.
    pub fn segments(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(condition) = &self.condition {
            condition.segments(&mut out);
        }
        out
    }
}
