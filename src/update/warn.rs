//! What is allowed and most likely not meant: said to whoever writes a channel, refused to nobody.

use super::version::Point;
use super::wire::{ANYWHERE, ChannelDocument, DEFAULT_LOCALE, Platform, Release, STALE_AFTER, Source, Staging, Table};
use crate::flag::condition::Version;
use crate::flag::serve::Percent;
use crate::json::{At, Problem, Problems};
use crate::time::Instant;

impl ChannelDocument {
    /// What a newcomer would get wrong, each with its place; `now` tells what has passed.
    pub fn warnings(&self, now: Instant) -> Vec<Problem> {
        let mut problems = Problems::default();
        let mut warn = Warn { channel: self, now, problems: &mut problems };
        warn.marks();
        warn.releases();
        warn.store();
        warn.texts();
        warn.times();
        problems.into_list()
    }

    fn newest(&self) -> Option<(&str, &Release)> {
        let releases = self.releases.iter().map(|(key, release)| (key.as_str(), release));
        releases.reduce(|best, next| if best.1.point(best.0).is_below(&next.1.point(next.0)) { next } else { best })
    }
}

struct Warn<'c, 'p> {
    channel: &'c ChannelDocument,
    now: Instant,
    problems: &'p mut Problems,
}

impl Release {
    /// Whether somebody who may require updates says that it is served somewhere.
    fn is_known_to_be_served(&self, stale_after: i64, now: Instant) -> bool {
        self.availability.iter().flat_map(Table::iter).any(|(_, known)| {
            let age = known.observed_at.map_or(0, |at| now.millis().saturating_sub(at.millis()));
            let believed = match known.source {
                Source::Admin => true,
                Source::Lookup => age <= stale_after * 1_000,
                Source::ClientReport => false,
            };
            known.served && believed
        })
    }
}

impl<'c> Warn<'c, '_> {
    fn add(&mut self, at: &At<'_>, detail: &str) {
        self.problems.add(at, detail);
    }

    fn is_served(&self, release: &Release) -> bool {
        release.is_known_to_be_served(self.channel.stale_after.unwrap_or(STALE_AFTER), self.now)
    }

    /// The releases that are at least at a mark.
    fn reaching<'m>(&self, mark: Point<'m>) -> impl Iterator<Item = &'c (String, Release)> + use<'c, 'm> {
        self.channel.releases.iter().filter(move |(key, release)| release.point(key).reaches(&mark))
    }

    /// Minimum and recommended version.
    fn marks(&mut self) {
        let marks = [("minimum", &self.channel.minimum), ("recommended", &self.channel.recommended)];
        for (name, mark) in marks.into_iter().filter_map(|(name, mark)| Some((name, mark.as_ref()?))) {
            let point = mark.point();
            if self.reaching(point).next().is_none() {
                self.add(
                    &At::ROOT.member(name),
                    "is above every release: there is nothing to update to, so nobody is asked to",
                );
            } else if name == "minimum" && !self.reaching(point).any(|(_, release)| self.is_served(release)) {
                let detail = "no release that reaches it is known to be served: updates are recommended, never required; \
                     say in a release's `availability` where it is";
                self.add(&At::ROOT.member(name), detail);
            }
        }
    }

    fn releases(&mut self) {
        let floor = self.channel.minimum.as_ref().map_or(Point::default(), |mark| mark.point());
        let open = |(_, release): &(String, Release)| release.staging == Staging::All;
        let has_fallback =
            if floor.is_unknown() { self.channel.releases.iter().any(open) } else { self.reaching(floor).any(open) };
        let all = At::ROOT.member("releases");
        for (key, release) in &self.channel.releases {
            let at = all.member(key);
            let staged = match &release.staging {
                Staging::All => None,
                Staging::Share(_) => Some("share"),
                Staging::SameAs(_) => Some("sameAs"),
            };
            if let Some(name) = staged.filter(|_| !has_fallback) {
                let detail = "those outside have no release to fall back to: they are left where they are";
                self.add(&at.member(name), detail);
            }
            if (release.required || release.deadline.is_some()) && !self.is_served(release) {
                let name = if release.required { "required" } else { "deadline" };
                let detail = "nobody is required to update as long as `availability` does not say where it is served";
                self.add(&at.member(name), detail);
            }
            if release.deadline.is_some_and(|deadline| deadline <= self.now) {
                self.add(&at.member("deadline"), "has passed: everybody below is required to update at once");
            }
            if release.store_share.is_some_and(|share| share != Percent::ALL) && release.required {
                let detail = "Play chooses who gets it: only an app that sends `storeBuild` can be required to update";
                self.add(&at.member("storeShare"), detail);
            }
            self.missing_default(&release.notes, &at.member("notes"));
        }
        self.builds(&all);
    }

    /// Apps that send a build alone are compared by it.
    fn builds(&mut self, at: &At<'_>) {
        let releases = &self.channel.releases;
        let falls = |(key, release): &&(String, Release)| {
            let point = release.point(key);
            let above = |(other, lower): &(String, Release)| {
                let lower = lower.point(other);
                lower.version < point.version && lower.build.is_some() && point.build < lower.build
            };
            point.build.is_some() && releases.iter().any(above)
        };
        if let Some((key, _)) = releases.iter().find(falls) {
            let detail =
                "its build is below that of a lower version: apps must send their version, not the build alone";
            self.add(&at.member(key).member("build"), detail);
        }
    }

    fn store(&mut self) {
        let channel = self.channel;
        match &channel.store_url {
            None if channel.platform != Platform::Web && !channel.releases.is_empty() => {
                self.add(&At::ROOT, "`storeUrl` is missing: apps cannot lead anybody to the update");
            }
            Some(url) if !url.each().iter().any(|(storefront, _)| *storefront == ANYWHERE) => {
                self.add(&At::ROOT.member("storeUrl"), "has no `*`: apps in other storefronts get no URL");
            }
            _ => {}
        }
    }

    fn missing_default<T>(&mut self, table: &Table<T>, at: &At<'_>) {
        if !table.is_empty() && table.get(DEFAULT_LOCALE).is_none() {
            self.add(at, "has no `default`: people with other locales get no text");
        }
    }

    /// Texts of one kind in a language that those of another kind lack.
    fn texts(&mut self) {
        let channel = self.channel;
        let texts = At::ROOT.member("texts");
        let locales = |table: &'c Table<_>| table.iter().map(|(locale, _)| locale.as_str());
        for (name, table) in channel.texts.named() {
            let at = texts.member(name);
            self.missing_default(table, &at);
            let others = channel.texts.named();
            let others = others.iter().filter(|(other, _)| *other != name).flat_map(|(_, table)| locales(table));
            let mut missing: Vec<_> =
                others.filter(|locale| table.get(locale).is_none() && *locale != DEFAULT_LOCALE).collect();
            missing.sort_unstable();
            missing.dedup();
            if !table.is_empty() && !missing.is_empty() {
                let list = missing.iter().map(|locale| format!("`{locale}`")).collect::<Vec<_>>().join(", ");
                self.add(&at, &format!("has no {list}, which other texts have"));
            }
        }
        if let Some(window) = &channel.maintenance {
            self.missing_default(&window.texts, &At::ROOT.member("maintenance").member("texts"));
        }
    }

    fn times(&mut self) {
        let channel = self.channel;
        if channel.maintenance.as_ref().is_some_and(|window| window.end <= self.now) {
            self.add(&At::ROOT.member("maintenance").member("end"), "has passed: the window is closed");
        }
        if channel.snoozes.is_some() && channel.remind_after.is_none() {
            self.add(&At::ROOT.member("snoozes"), "counts nothing without `remindAfter`: people are asked every time");
        }
        let bundles = At::ROOT.member("bundles");
        for (key, bundle) in &channel.bundles {
            let fits = |(key, release): &(String, Release)| {
                Version::parse(release.version(key)).is_some_and(|version| bundle.binary.contains(&version))
            };
            if !channel.releases.is_empty() && !channel.releases.iter().any(fits) {
                self.add(&bundles.member(key).member("binary"), "fits none of the releases");
            }
        }
        if let (Some(mark), Some((key, newest))) = (&channel.minimum, channel.newest())
            && channel.blocks(&newest.point(key)).is_some()
            && newest.point(key).reaches(&mark.point())
        {
            self.add(
                &At::ROOT.member("blocked"),
                "the newest release is blocked: people are led to an older one, or to none",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn warnings(text: &str) -> Vec<String> {
        let node = parse(text).expect("valid JSON");
        let mut problems = Problems::default();
        let channel = ChannelDocument::read(&node, &At::ROOT, &mut problems).expect("read");
        assert!(problems.is_empty(), "{text}: {problems:?}");
        let now = Instant::parse("2026-12-01").expect("a day");
        channel.warnings(now).into_iter().map(|p| p.pointer).collect()
    }

    fn check(rest: &str, expected: &[&str]) {
        let text = format!(r#"{{"platform":"ios","storeUrl":"https://a.example",{rest}}}"#);
        assert_eq!(warnings(&text), expected, "{rest}");
    }

    #[test]
    fn a_sound_channel_has_none() {
        check(
            r#""minimum":"2.3","recommended":"2.4","releases":{"2.5":{"availability":{"*":true},"notes":{"default":"n"}},
               "2.6":{"share":10,"required":true,"deadline":"2027-01-01","availability":{"CH":{"served":true,"source":"lookup","observedAt":"2026-11-30"}}}},
               "texts":{"required":{"default":{},"de":{}},"recommended":{"default":{},"de":{}}},"remindAfter":60,"snoozes":3,
               "bundles":{"a":{"number":1,"binary":">=2.5"}},"maintenance":{"end":"2026-12-02","texts":{"default":{}}}"#,
            &[],
        );
        assert_eq!(warnings(r#"{"platform":"web","releases":{"1":{}}}"#), Vec::<String>::new());
    }

    #[test]
    fn what_a_newcomer_gets_wrong_is_named() {
        check(r#""minimum":"3","releases":{"2.5":{"availability":{"*":true}}}"#, &["/minimum"]);
        check(r#""minimum":"2","recommended":"2.6""#, &["/minimum", "/recommended"]);
        check(r#""minimum":"2","releases":{"2.5":{}}"#, &["/minimum"]);
        check(
            r#""minimum":"2","releases":{"2.5":{"availability":{"*":{"served":true,"source":"clientReport","observedAt":"2026-11-30"}}}}"#,
            &["/minimum"],
        );
        check(
            r#""minimum":"2","releases":{"2.5":{"availability":{"*":{"served":true,"source":"lookup","observedAt":"2026-11-01"}}}}"#,
            &["/minimum"],
        );
        check(r#""releases":{"2.5":{"required":true}}"#, &["/releases/2.5/required"]);
        check(r#""releases":{"2.5":{"deadline":"2026-11-30","availability":{"*":true}}}"#, &["/releases/2.5/deadline"]);
        check(r#""releases":{"2.5":{"share":10}}"#, &["/releases/2.5/share"]);
        check(
            r#""minimum":"2.5","releases":{"2.4":{},"2.5":{"sameAs":{"flag":"f"},"availability":{"*":true}}}"#,
            &["/releases/2.5/sameAs"],
        );
        check(
            r#""releases":{"2.4":{"build":9},"2.5":{"build":8,"notes":{"de":"n"}}}"#,
            &["/releases/2.5/notes", "/releases/2.5/build"],
        );
        check(
            r#""texts":{"required":{"de":{}},"recommended":{"default":{},"fr":{}}}"#,
            &["/texts/recommended", "/texts/required", "/texts/required"],
        );
        check(
            r#""maintenance":{"end":"2026-11-30","texts":{"de":{}}},"snoozes":3"#,
            &["/maintenance/texts", "/maintenance/end", "/snoozes"],
        );
        check(r#""releases":{"2.5":{}},"bundles":{"a":{"number":1,"binary":"^3"}}"#, &["/bundles/a/binary"]);
        check(r#""minimum":"2","blocked":["2.5"],"releases":{"2.5":{"availability":{"*":true}}}"#, &["/blocked"]);
        assert_eq!(warnings(r#"{"platform":"ios","releases":{"1":{}}}"#), [""]);
        assert_eq!(warnings(r#"{"platform":"ios","storeUrl":{"CH":"https://a.example"}}"#), ["/storeUrl"]);
        assert_eq!(
            warnings(
                r#"{"platform":"android","storeUrl":"https://a.example","releases":{"1":{"required":true,"storeShare":20,"availability":{"*":true}}}}"#
            ),
            ["/releases/1/storeShare"]
        );
    }
}
