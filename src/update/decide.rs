//! The gate: a pure walk over one channel. It returns a verdict for any request.
//!
//! Who *must* update is told so only when there is something to update to that is known to be in the
//! store and to run on the device. Whatever is not known weakens the verdict, never strengthens it.

use super::answer::{Action, Reason, Rule, Timings, Verdict};
use super::model::{Channel, Links, Release, Stock, TextOf, Who, by_storefront};
use super::request::Request;
use super::version::Point;
use super::wire::Urgency;
use crate::flag::condition::Version;
use crate::time::Instant;

/// What keeps a release from being one that a device can be required to have. The last is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    NoRelease,
    OsTooOld,
    NotInShare,
    NotAvailable,
    StoreStaged,
    OsUnknown,
    AvailabilityUnknown,
    Nothing,
}

impl Obstacle {
    fn reason(self) -> Reason {
        match self {
            Self::NoRelease => Reason::NoRelease,
            Self::OsTooOld => Reason::OsTooOld,
            Self::NotInShare => Reason::NotInShare,
            Self::NotAvailable => Reason::NotAvailable,
            Self::StoreStaged => Reason::StoreStaged,
            Self::OsUnknown => Reason::OsUnknown,
            Self::AvailabilityUnknown => Reason::AvailabilityUnknown,
            // Apple's phased release alone stands in the way of a prompt.
            Self::Nothing => Reason::NotInPhase,
        }
    }
}

/// Decides about the binary; `links` are the channel's own.
pub(super) fn decide<'c>(channel: &'c Channel, links: &Links, request: &Request<'_>, who: &mut Who<'_>) -> Verdict<'c> {
    let verdict = Verdict::of(channel);
    if !channel.enabled {
        return Verdict { reason: Reason::Disabled, rule: Rule::At("/enabled"), ..verdict };
    }
    let now = who.now();
    if let Some(window) = &channel.maintenance
        && window.start.is_none_or(|start| start <= now)
        && now < window.end
    {
        return Verdict {
            action: Action::Maintenance,
            reason: Reason::Maintenance,
            rule: Rule::At("/maintenance"),
            texts: window.texts.find(request.locale),
            timings: Timings { maintenance_end: Some(window.end), ..Timings::default() },
            ..verdict
        };
    }
    let running = Point::parse(request.version, request.build);
    if running.is_unknown() {
        return Verdict { reason: Reason::UnknownVersion, ..verdict };
    }
    let gate = Gate { channel, request, running, now };
    let survey = gate.survey(links, who);
    gate.judge(&survey, verdict)
}

/// One request at one channel.
struct Gate<'c, 'r> {
    channel: &'c Channel,
    request: &'r Request<'r>,
    running: Point<'r>,
    now: Instant,
}

/// What a walk over the releases, newest first, has found.
struct Survey<'c> {
    /// The newest that the device can be required to have.
    sure: Option<&'c Release>,
    /// The newest that it may be offered.
    offer: Option<&'c Release>,
    /// The least obstacle among all that are newer.
    best: Obstacle,
    /// The least obstacle among those that reach the minimum.
    to_minimum: Obstacle,
    /// What demands an update, and there is one.
    demand: Option<(Reason, Rule<'c>)>,
    /// What demands an update that there is none for, and what stands in its way.
    unmet: Option<(Obstacle, Rule<'c>)>,
    /// The soonest deadline to come, and whose it is.
    deadline: Option<(Instant, &'c Release)>,
}

impl<'c> Gate<'c, '_> {
    fn survey(&self, links: &Links, who: &mut Who<'_>) -> Survey<'c> {
        let os = Version::parse(self.request.os_version);
        let mut survey = Survey {
            sure: None,
            offer: None,
            best: Obstacle::NoRelease,
            to_minimum: Obstacle::NoRelease,
            demand: None,
            unmet: None,
            deadline: None,
        };
        let is_there = |release: &&Release| {
            self.running.is_below(&release.point.get())
                && !release.blocked
                && release.released_at.is_none_or(|at| at <= self.now)
        };
        for release in self.channel.releases.iter().filter(is_there) {
            let admitted = who.admitted(&release.admission, links, self.channel);
            let obstacle = self.obstacle(release, os.as_ref(), admitted);
            survey.best = survey.best.max(obstacle);
            if self.channel.minimum.as_ref().is_some_and(|minimum| release.point.get().reaches(&minimum.get())) {
                survey.to_minimum = survey.best;
            }
            if survey.sure.is_none() && obstacle == Obstacle::Nothing {
                survey.sure = Some(release);
            }
            if survey.offer.is_none() && obstacle >= Obstacle::OsUnknown && who.in_phase(release) {
                survey.offer = Some(release);
            }
            if admitted {
                self.note_demands(release, &mut survey);
            }
        }
        survey
    }

    fn obstacle(&self, release: &Release, os: Option<&Version<'_>>, admitted: bool) -> Obstacle {
        let needed = release.minimum_os.as_ref().map(|os| os.get());
        if let (Some(needed), Some(os)) = (&needed, os)
            && os < needed
        {
            return Obstacle::OsTooOld;
        }
        if !admitted {
            return Obstacle::NotInShare;
        }
        let request = self.request;
        let offer = Point::parse(request.store_version, request.store_build);
        match release.stock(request.storefront, &offer, self.channel.stale_after, self.now) {
            Stock::No => Obstacle::NotAvailable,
            Stock::Staged => Obstacle::StoreStaged,
            _ if needed.is_some() && os.is_none() => Obstacle::OsUnknown,
            Stock::Unknown => Obstacle::AvailabilityUnknown,
            Stock::Yes => Obstacle::Nothing,
        }
    }

    /// What a newer release asks of who runs an older version. It can be asked once this release, or a
    /// newer one, is there for certain.
    fn note_demands(&self, release: &'c Release, survey: &mut Survey<'c>) {
        let step = self.running.step_to(&release.point.get());
        let past = release.deadline.is_some_and(|deadline| deadline <= self.now);
        let demand = if release.required {
            Some((Reason::RequiredRelease, Rule::Release(&release.pointer, "/required")))
        } else if past {
            Some((Reason::Deadline, Rule::Release(&release.pointer, "/deadline")))
        } else if self.channel.policy.of(step) == Urgency::Required {
            Some((Reason::RequiredRelease, Rule::Policy(step)))
        } else {
            None
        };
        match demand {
            Some((reason, rule)) if survey.sure.is_some() => {
                survey.demand.get_or_insert((reason, rule));
            }
            Some((_, rule)) => {
                survey.unmet.get_or_insert((survey.best, rule));
            }
            None => {}
        }
        if let Some(deadline) = release.deadline.filter(|_| !past)
            && survey.offer.is_some()
            && survey.deadline.is_none_or(|(soonest, _)| deadline < soonest)
        {
            survey.deadline = Some((deadline, release));
        }
    }

    fn judge(&self, survey: &Survey<'c>, verdict: Verdict<'c>) -> Verdict<'c> {
        let required = |reason, rule| self.with(verdict, Action::Required, (reason, rule), survey.sure);
        if let Some(at) = self.channel.blocked.iter().position(|blocked| blocked.contains(&self.running)) {
            let why = (Reason::Blocked, Rule::Blocked(at));
            return match survey.sure {
                Some(_) => required(why.0, why.1),
                None => self.with(verdict, Action::Blocked, why, survey.offer),
            };
        }
        let minimum = self.channel.minimum.as_ref().map(|minimum| minimum.get());
        let minimum = minimum.filter(|minimum| self.running.is_below(minimum));
        let minimum_rule = Rule::At("/minimum");
        if minimum.is_some_and(|minimum| survey.sure.is_some_and(|sure| sure.point.get().reaches(&minimum))) {
            return required(Reason::BelowMinimum, minimum_rule);
        }
        if let Some((reason, rule)) = survey.demand {
            return required(reason, rule);
        }
        let unmet = minimum.map(|_| (survey.to_minimum, minimum_rule)).or(survey.unmet);
        if let Some((obstacle, rule)) = unmet {
            // What can be had is offered, though it is not what was asked for.
            return self.recommend((obstacle.reason(), rule), survey, verdict);
        }
        match self.urged(survey) {
            Some(why) => self.recommend(why, survey, verdict),
            None => Verdict { reason: silence(survey), ..verdict },
        }
    }

    /// Why the update is recommended, if it is.
    fn urged(&self, survey: &Survey<'c>) -> Option<(Reason, Rule<'c>)> {
        let recommended = self.channel.recommended.as_ref();
        if recommended.is_some_and(|mark| self.running.is_below(&mark.get())) {
            let reason = if survey.offer.is_some() { Reason::BelowRecommended } else { survey.best.reason() };
            return Some((reason, Rule::At("/recommended")));
        }
        let offer = survey.offer?;
        if let Some((_, release)) = survey.deadline {
            return Some((Reason::DeadlineAhead, Rule::Release(&release.pointer, "/deadline")));
        }
        let step = self.running.step_to(&offer.point.get());
        (self.channel.policy.of(step) >= Urgency::Recommended).then_some((Reason::Policy, Rule::Policy(step)))
    }

    /// Recommends what there is; without anything, says why in so many words. Who has put it off is
    /// left alone.
    fn recommend(&self, why: (Reason, Rule<'c>), survey: &Survey<'c>, verdict: Verdict<'c>) -> Verdict<'c> {
        let Some(offer) = survey.offer else {
            let texts = &self.channel.texts[TextOf::Unsupported as usize];
            let texts = texts.find(self.request.locale).filter(|_| why.0 == Reason::OsTooOld);
            return Verdict { reason: why.0, rule: why.1, texts, ..verdict };
        };
        let snoozes = self.request.snoozes_of(offer.point.get());
        let left = self.channel.snoozes.map(|most| most.saturating_sub(snoozes).max(0));
        let timings = Timings {
            remind_after: self.channel.remind_after.map(|millis| millis / 1_000),
            snoozes_left: left,
            deadline: survey.deadline.map(|(deadline, _)| deadline),
            ..Timings::default()
        };
        if let Some(remind_at) = self.snoozed_until(snoozes) {
            let timings = Timings { remind_at: Some(remind_at), ..timings };
            return Verdict { reason: Reason::Snoozed, rule: why.1, timings, ..verdict };
        }
        Verdict { timings, ..self.with(verdict, Action::Recommended, why, Some(offer)) }
    }

    /// Until when a person who put the update off is left alone.
    fn snoozed_until(&self, snoozes: i64) -> Option<Instant> {
        let span = self.channel.remind_after?;
        if snoozes == 0 || self.channel.snoozes.is_some_and(|most| snoozes > most) {
            return None;
        }
        let at = self.request.snoozed_at()?;
        // A device's clock that is far ahead must not silence a gate for years.
        let until = at.plus_millis(span);
        (self.now < until && at < self.now.plus_millis(span)).then_some(until)
    }

    fn with(
        &self,
        verdict: Verdict<'c>,
        action: Action,
        (reason, rule): (Reason, Rule<'c>),
        target: Option<&'c Release>,
    ) -> Verdict<'c> {
        let texts = match action {
            Action::Required => TextOf::Required,
            Action::Blocked => TextOf::Blocked,
            _ => TextOf::Recommended,
        };
        let channel = self.channel;
        Verdict {
            action,
            reason,
            rule,
            target,
            notes: target.and_then(|release| release.notes.find(self.request.locale)),
            store_url: target
                .and_then(|_| by_storefront(&channel.store_urls, self.request.storefront))
                .map(|url| &**url),
            texts: channel.texts[texts as usize].find(self.request.locale),
            ..verdict
        }
    }
}

/// Why nothing is said.
fn silence(survey: &Survey<'_>) -> Reason {
    match (survey.offer, survey.best) {
        (Some(_), _) => Reason::NotDue,
        (None, Obstacle::NoRelease) => Reason::UpToDate,
        (None, obstacle) => obstacle.reason(),
    }
}
