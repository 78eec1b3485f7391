//! Events: what apps and the gateway saw units do. Intake checks a batch event by event.

use crate::id::check_key;
use crate::json::{At, Fields, Node, Number, Problem, Problems, elements, one_of, text};
use crate::limits;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A unit saw a variant of a flag.
    Exposure,
    /// A unit reached a goal.
    Conversion,
    /// A health or metric value.
    Measurement,
}

impl EventKind {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Conversion => "conversion",
            Self::Measurement => "measurement",
        }
    }
}

/// One accepted event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The caller's id, made before the first attempt; exposures have none, they merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The bucketing unit.
    pub unit: String,
    /// The flag of an exposure, the metric of the others.
    pub name: String,
    /// The value of a conversion or measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// One queue message: events of one environment and when the gateway took them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `project/environment`.
    pub environment: String,
    /// Milliseconds since the epoch, by the gateway's clock.
    pub received: i64,
    /// The events.
    pub events: Vec<Event>,
}

/// An event that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its position in the batch.
    pub index: usize,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A batch after intake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The good events.
    pub accepted: Vec<Event>,
    /// The bad ones.
    pub rejected: Vec<Rejected>,
}

/// Reads `{"events": […]}`; the problem is of the batch as a whole.
pub fn read_batch(node: &Node<'_>) -> Result<Batch, Problems> {
    let mut problems = Problems::default();
    let at = At::ROOT;
    let list = Fields::open(node, &at, &mut problems).and_then(|mut fields| {
        let list = fields.required("events", &at, &mut problems)?;
        let list = elements(list, limits::EVENTS_BATCH, &at.member("events"), &mut problems);
        fields.finish(&at, &mut problems);
        list
    });
    let Some(list) = list.filter(|_| problems.is_empty()) else { return Err(problems) };
    let mut batch = Batch::default();
    let events = at.member("events");
    for (index, node) in list.iter().enumerate() {
        let mut problems = Problems::default();
        match read(node, &events.element(index), &mut problems) {
            Some(event) if problems.is_empty() => batch.accepted.push(event),
            _ => batch.rejected.push(Rejected { index, problems: problems.into_list() }),
        }
    }
    Ok(batch)
}

fn read(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Event> {
    let kinds = [EventKind::Exposure, EventKind::Conversion, EventKind::Measurement].map(|kind| (kind.word(), kind));
    let mut fields = Fields::open(node, at, problems)?;
    let kind = fields.required("type", at, problems);
    let kind = kind.and_then(|node| one_of(node, &kinds, &at.member("type"), problems));
    let mut line = |name, required| {
        let node = if required { fields.required(name, at, problems) } else { fields.optional(name) };
        let text = text(node?, limits::KEY_LENGTH * 2, &at.member(name), problems)?;
        if text.is_empty() {
            problems.add(&at.member(name), "must not be empty");
        }
        Some(text.to_owned())
    };
    let (id, unit) = (line("id", kind.is_some_and(|kind| kind != EventKind::Exposure)), line("unit", true));
    let subject = if kind == Some(EventKind::Exposure) { "flag" } else { "metric" };
    let name = line(subject, true);
    if let Some(Err(error)) = name.as_deref().map(check_key) {
        problems.add(&at.member(subject), error.to_string());
    }
    let value = fields.optional("value").and_then(|node| match node {
        Node::Number(number) => Some(Number::as_f64(*number)),
        other => {
            problems.add(&at.member("value"), format!("must be a number, not {}", other.kind()));
            None
        }
    });
    fields.finish(at, problems);
    Some(Event { kind: kind?, id, unit: unit?, name: name?, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn good_events_are_accepted_beside_bad_ones() {
        let text = r#"{"events":[{"type":"exposure","unit":"u","flag":"f"},{"type":"conversion","unit":"u","metric":"m"},
            {"type":"conversion","id":"1","unit":"u","metric":"m","value":2},{"type":"x"}]}"#;
        let batch = read_batch(&parse(text).expect("valid")).expect("a batch");
        assert_eq!(batch.accepted.len(), 2);
        let rejected: Vec<_> =
            batch.rejected.iter().map(|event| (event.index, event.problems[0].pointer.as_str())).collect();
        assert_eq!(rejected, [(1, "/events/1"), (3, "/events/3/type")]);
    }

    #[test]
    fn a_batch_beyond_its_bound_is_refused_whole() {
        let text = format!(r#"{{"events":[{}]}}"#, vec!["1"; limits::EVENTS_BATCH + 1].join(","));
        assert!(read_batch(&parse(&text).expect("valid")).is_err());
        assert!(read_batch(&parse("[]").expect("valid")).is_err());
    }
}
