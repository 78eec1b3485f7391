//! `/metrics`: the text format of Prometheus, version 0.0.4.

use super::admin::{Call, Round, Stop, directory_call};
use crate::control::directory::{self, Census};
use crate::control::metrics::{self, Labels, Series};
use crate::http::{Fault, Refusal, Reply};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is said of the series that the product makes; others get a general line.
const HELP: [(&str, &str); 24] = [
    ("headgate_admin_requests_total", "Requests of the admin API, by status."),
    ("headgate_channels", "Channels of an environment."),
    ("headgate_denied_total", "Calls refused for want of a good token, by surface."),
    ("headgate_deployment_info", "The deployment that answers; always 1."),
    ("headgate_environment_bytes", "Bytes of an environment's documents."),
    ("headgate_environment_killed", "Whether an environment is killed."),
    ("headgate_environment_version", "Version of an environment."),
    ("headgate_environments", "Environments of the deployment."),
    ("headgate_events", "Events counted for an environment, by type, each once."),
    ("headgate_flags", "Flags of an environment."),
    ("headgate_flags_killed", "Killed flags of an environment."),
    ("headgate_projects", "Projects of the deployment."),
    ("headgate_published_timestamp_seconds", "When an environment was last published."),
    ("headgate_requests_total", "Requests of clients and servers, by endpoint and status."),
    ("headgate_routed_total", "Requests of routed hosts, by route, variant and what came of them."),
    ("headgate_routes", "Routes of an environment."),
    ("headgate_routes_killed", "Killed routes of an environment."),
    ("headgate_segments", "Segments of an environment."),
    ("headgate_target_milliseconds_bucket", "Answers of a route's target that began within `le` milliseconds."),
    ("headgate_target_milliseconds_count", "Answers of a route's target."),
    ("headgate_target_milliseconds_sum", "Milliseconds until answers of a route's target began."),
    ("headgate_tokens", "Tokens of an environment."),
    ("headgate_traps_total", "Wasm instances that ended in a trap."),
    ("headgate_uptime_seconds", "Seconds since the deployment."),
];

/// Answers the page; to a token of one environment without what concerns the others.
pub(super) fn page(round: &Round<'_>, only: Option<&str>) -> Result<Reply, Stop> {
    let metrics =
        Call { object: "metrics", name: "metrics".to_owned(), message: serde_json::to_string(&metrics::Call::Read)? };
    let results = round.attempt(vec![metrics, directory_call(&directory::Call::Ping)?])?;
    let mut series: Vec<Series> = match &results[0] {
        Ok(reply) if reply.status == 200 => serde_json::from_str(&reply.body)?,
        _ => return Err(Refusal::new(Fault::Unavailable, "the metrics object does not answer").into()),
    };
    let gauge =
        |name: &str, labels: Labels, value: i64| Series { name: name.to_owned(), labels, value, counter: false };
    // The directory may be silent: its two gauges are absent then, and the rest is true.
    if let Ok(reply) = &results[1]
        && let Ok(census) = serde_json::from_str::<Census>(&reply.body)
    {
        series.push(gauge("headgate_projects", Labels::new(), census.projects));
        series.push(gauge("headgate_environments", Labels::new(), census.environments));
    }
    let input = round.input;
    let uptime = (input.now - input.deployment.deployed_at).max(0) / 1000;
    series.push(gauge("headgate_uptime_seconds", Labels::new(), uptime));
    let version = [("version".to_owned(), input.deployment.version_id.clone())].into();
    series.push(gauge("headgate_deployment_info", version, 1));
    if let Some(only) = only {
        let own = |name: &str| name == "headgate_uptime_seconds" || name == "headgate_deployment_info";
        series.retain(|one| one.labels.get("environment").map_or(own(&one.name), |environment| environment == only));
    }
    let mut reply = Reply::json(200, render(&series));
    "text/plain; version=0.0.4; charset=utf-8".clone_into(&mut reply.headers[0].1);
    Ok(reply)
}

fn render(series: &[Series]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for one in series {
        by_name.entry(&one.name).or_default().push(one);
    }
    let mut out = String::new();
    for (name, list) in by_name {
        let help = HELP.iter().find(|row| row.0 == name).map_or("A count of the deployment.", |row| row.1);
        let kind = if list[0].counter { "counter" } else { "gauge" };
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for one in list {
            let labels: Vec<_> = one.labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(out, "{name}{labels} {}", one.value);
        }
    }
    out
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let series = |name: &str, label: &str, value, counter| Series {
            name: name.to_owned(),
            labels: [("environment".to_owned(), label.to_owned())].into(),
            value,
            counter,
        };
        let text = render(&[
            series("headgate_flags", "p/e", 3, false),
            series("headgate_denied_total", "a\"b\\", 1, true),
            series("headgate_flags", "p/f", 4, false),
        ]);
        let expected = "# HELP headgate_denied_total Calls refused for want of a good token, by surface.\n\
                        # TYPE headgate_denied_total counter\n\
                        headgate_denied_total{environment=\"a\\\"b\\\\\"} 1\n\
                        # HELP headgate_flags Flags of an environment.\n\
                        # TYPE headgate_flags gauge\n\
                        headgate_flags{environment=\"p/e\"} 3\n\
                        headgate_flags{environment=\"p/f\"} 4\n";
        assert_eq!(text, expected);
    }
}
