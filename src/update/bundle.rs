//! Over-the-air bundles: which code a binary is to run.

use super::answer::{Action, BundleVerdict, Reason};
use super::model::{Bundle, Channel, Links, Who};
use super::request::Request;
use crate::flag::condition::Version;

/// Decides about the bundle; a channel without bundles says nothing of them.
pub(super) fn decide<'c>(
    channel: &'c Channel,
    links: &Links,
    request: &Request<'_>,
    who: &mut Who<'_>,
) -> Option<BundleVerdict<'c>> {
    if channel.bundles.is_empty() {
        return None;
    }
    let none = |reason| BundleVerdict { action: Action::None, reason, rule: None, target: None };
    if !channel.enabled {
        return Some(none(Reason::Disabled));
    }
    let Some(binary) = Version::parse(request.version) else { return Some(none(Reason::UnknownVersion)) };
    let named = request.bundle.trim();
    let number: Option<i64> = named.parse().ok();
    let runs = |bundle: &&Bundle| *bundle.key == *named || Some(bundle.number) == number;
    let running = channel.bundles.iter().find(runs);
    // One that is not listed any more counts by its number, or as the one in the binary.
    let number = running.map(|bundle| bundle.number).or(number);
    let unfit = running.and_then(|bundle| {
        let fits = bundle.binary.contains(&binary);
        let reason = if bundle.withdrawn { Reason::Withdrawn } else { Reason::Unfit };
        (bundle.withdrawn || !fits).then_some((reason, &*bundle.pointer))
    });
    let now = who.now();
    let mut newest = None;
    let mut required = false;
    for bundle in &channel.bundles {
        let newer = number.is_none_or(|number| bundle.number > number);
        if !newer && (newest.is_some() || unfit.is_none()) {
            break;
        }
        let fits = !bundle.withdrawn && bundle.binary.contains(&binary);
        let there = fits && bundle.released_at.is_none_or(|at| at <= now);
        if there && who.admitted(&bundle.admission, links, channel) {
            newest = newest.or(Some(bundle));
            required |= bundle.required;
        }
    }
    Some(match (unfit, newest) {
        (Some((reason, rule)), target) => BundleVerdict { action: Action::Required, reason, rule: Some(rule), target },
        (None, Some(bundle)) => {
            let action = if required { Action::Required } else { Action::Recommended };
            BundleVerdict { action, reason: Reason::NewerBundle, rule: Some(&bundle.pointer), target: Some(bundle) }
        }
        (None, None) => none(Reason::UpToDate),
    })
}
