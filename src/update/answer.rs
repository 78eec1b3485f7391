//! Verdicts, and how they are written.

use super::model::{Bundle, Channel, Release};
use super::version::Step;
use crate::time::Instant;
use std::io::Write as _;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word in answers.
            pub fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }
    };
}

words! {
    /// What an app is to do.
    Action {
        /// Nothing.
        None "none",
        /// Tell the person of the update; they may put it off.
        Recommended "recommended",
        /// Go on only after the update; there is one.
        Required "required",
        /// Not go on: this version must not run, and no update is certain to be there.
        Blocked "blocked",
        /// Wait: the app is not to be used for a while.
        Maintenance "maintenance",
    }
}

words! {
    /// Why.
    Reason {
        /// Nothing newer is known.
        UpToDate "up-to-date",
        /// There is something newer, and policy does not speak of it.
        NotDue "not-due",
        /// The person has put the update off.
        Snoozed "snoozed",
        /// The environment is killed.
        Killed "killed",
        /// The channel is not enabled.
        Disabled "disabled",
        /// No channel serves the platform.
        UnknownPlatform "unknown-platform",
        /// No channel serves the app.
        UnknownApp "unknown-app",
        /// There is no such channel or track, or the unit is not on it.
        UnknownChannel "unknown-channel",
        /// Neither version nor build can be read.
        UnknownVersion "unknown-version",
        /// No release reaches what is asked for.
        NoRelease "no-release",
        /// The operating system is too old.
        OsTooOld "os-too-old",
        /// The unit is not in the staged share.
        NotInShare "not-in-share",
        /// Apple's phased release has not got to the unit; prompts wait for it.
        NotInPhase "not-in-phase",
        /// The storefront does not serve it yet.
        NotAvailable "not-available",
        /// The store offers it to some devices alone, of its own choice.
        StoreStaged "store-staged",
        /// The app did not say on which version of the operating system it runs.
        OsUnknown "os-unknown",
        /// Nobody reliable has said lately that the storefront serves it.
        AvailabilityUnknown "availability-unknown",
        /// The version is below the minimum.
        BelowMinimum "below-minimum",
        /// The version is below the recommended one.
        BelowRecommended "below-recommended",
        /// The version is blocked.
        Blocked "blocked",
        /// The update's deadline has passed.
        Deadline "deadline",
        /// The update has a deadline to come.
        DeadlineAhead "deadline-ahead",
        /// A release that may not be skipped is newer.
        RequiredRelease "required-release",
        /// The policy for updates of this size says so.
        Policy "policy",
        /// A maintenance window is open.
        Maintenance "maintenance",
        /// There is a newer bundle.
        NewerBundle "newer-bundle",
        /// The bundle that runs was withdrawn.
        Withdrawn "withdrawn",
        /// The bundle that runs does not fit the binary.
        Unfit "unfit",
    }
}

/// The part of the channel's document that decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule<'c> {
    /// None did.
    Nowhere,
    /// A JSON pointer.
    At(&'static str),
    /// A member of a release.
    Release(&'c str, &'static str),
    /// A blocked range.
    Blocked(usize),
    /// The policy for a step.
    Policy(Step),
}

/// Instants and spans that go with a verdict.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timings {
    /// Seconds.
    pub remind_after: Option<i64>,
    pub remind_at: Option<Instant>,
    pub snoozes_left: Option<i64>,
    pub deadline: Option<Instant>,
    pub maintenance_end: Option<Instant>,
}

/// What an app is to do, and everything it needs to say so to a person.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'c> {
    pub(super) channel: Option<&'c Channel>,
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    pub(super) rule: Rule<'c>,
    pub(super) target: Option<&'c Release>,
    pub(super) notes: Option<&'c str>,
    pub(super) store_url: Option<&'c str>,
    pub(super) texts: Option<&'c str>,
    pub(super) timings: Timings,
    pub(super) bundle: Option<BundleVerdict<'c>>,
}

/// Which bundle a binary is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct BundleVerdict<'c> {
    pub action: Action,
    pub reason: Reason,
    pub rule: Option<&'c str>,
    pub target: Option<&'c Bundle>,
}

impl<'c> Verdict<'c> {
    /// Silence, for a reason.
    pub(super) fn silent(reason: Reason) -> Self {
        Self {
            channel: None,
            action: Action::None,
            reason,
            rule: Rule::Nowhere,
            target: None,
            notes: None,
            store_url: None,
            texts: None,
            timings: Timings::default(),
            bundle: None,
        }
    }

    /// Silence of a channel.
    pub(super) fn of(channel: &'c Channel) -> Self {
        Self { channel: Some(channel), ..Self::silent(Reason::UpToDate) }
    }

    /// Writes the verdict as a JSON object: fragments that were made beforehand, one after the other.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(channel) = self.channel {
            push(out, &[&channel.head, ","]);
        }
        push(out, &[r#""action":""#, self.action.word(), r#"","reason":""#, self.reason.word(), "\""]);
        self.rule.write(out);
        if let Some(target) = self.target {
            push(out, &[r#","target":{"#, &target.head]);
            member(out, "notes", self.notes);
            out.push(b'}');
        }
        member(out, "storeUrl", self.store_url);
        member(out, "texts", self.texts);
        self.timings.write(out);
        if let Some(bundle) = &self.bundle {
            bundle.write(out);
        }
        out.push(b'}');
    }
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// A member whose value is JSON already.
fn member(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        push(out, &[",\"", name, "\":", value]);
    }
}

impl Rule<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut rule = |parts: &[&str]| {
            push(out, &[r#","rule":""#]);
            push(out, parts);
            out.push(b'"');
        };
        match self {
            Self::Nowhere => {}
            Self::At(pointer) => rule(&[pointer]),
            Self::Release(pointer, name) => rule(&[pointer, name]),
            Self::Blocked(at) => rule(&["/blocked/", &at.to_string()]),
            Self::Policy(step) => rule(&["/policy/", step.word()]),
        }
    }
}

impl Timings {
    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for (name, number) in [("remindAfter", self.remind_after), ("snoozesLeft", self.snoozes_left)] {
            if let Some(number) = number {
                // Writing to memory does not fail.
                let _ = write!(out, r#","{name}":{number}"#);
            }
        }
        let instants =
            [("remindAt", self.remind_at), ("deadline", self.deadline), ("maintenanceEnd", self.maintenance_end)];
        for (name, at) in instants {
            if let Some(at) = at {
                let _ = write!(out, r#","{name}":"{at}""#);
            }
        }
        if out.len() > start {
            out.splice(start..=start, *br#","timings":{"#);
            out.push(b'}');
        }
    }
}

impl BundleVerdict<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        push(out, &[r#","bundle":{"action":""#, self.action.word(), r#"","reason":""#, self.reason.word(), "\""]);
        if let Some(rule) = self.rule {
            push(out, &[r#","rule":""#, rule, "\""]);
        }
        if let Some(target) = self.target {
            push(out, &[",", &target.head]);
        }
        out.push(b'}');
    }
}
