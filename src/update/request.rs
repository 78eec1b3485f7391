//! What an app says of itself, as it says it.

use super::version::Point;
use crate::time::Instant;
use std::cmp::Ordering;

macro_rules! request {
    ($($(#[doc = $doc:literal])+ $field:ident $name:literal,)+) => {
        /// What an app says of itself. Whatever it leaves out is empty, and whatever cannot be read is
        /// taken as not said: a gate answers every request.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Request<'a> {
            $($(#[doc = $doc])+ pub $field: &'a str,)+
        }

        impl<'a> Request<'a> {
            /// The names of the fields on the wire.
            pub const FIELDS: &'static [&'static str] = &[$($name,)+];

            /// Takes each field from where the caller has it.
            pub fn of(get: &dyn Fn(&'static str) -> Option<&'a str>) -> Self {
                Self { $($field: get($name).unwrap_or_default(),)+ }
            }
        }
    };
}

request! {
    /// Bundle id or package name.
    app "app",
    /// `ios`, `android`, ….
    platform "platform",
    /// A channel's key, or its track.
    channel "channel",
    /// The version that runs: `2.5.1`.
    version "version",
    /// The build that runs: `512`.
    build "build",
    /// The version of the operating system: `17.4`, or Android's API level, as releases have it.
    os_version "osVersion",
    /// The person's locale: `de-CH`.
    locale "locale",
    /// The storefront, as availability names it: `CH`.
    storefront "storefront",
    /// The version that the device's store offers at the moment, where the app can ask it.
    store_version "storeVersion",
    /// The build that the device's store offers at the moment (Play's available version code).
    store_build "storeBuild",
    /// Key or number of the over-the-air bundle that runs; empty for the one in the binary.
    bundle "bundle",
    /// How often the person has put the update off.
    snoozes "snoozes",
    /// When they did so last: RFC 3339 or milliseconds since 1970.
    snoozed_at "snoozedAt",
    /// Which version they put off; the one that is offered when empty.
    snoozed_version "snoozedVersion",
}

impl Request<'_> {
    /// How often this version was put off.
    pub(super) fn snoozes_of(&self, offer: Point<'_>) -> i64 {
        let other = Point::parse(self.snoozed_version, "");
        let same = other.is_unknown() || other.compare(&Point { build: None, ..offer }).is_some_and(Ordering::is_eq);
        let count = self.snoozes.trim().parse::<i64>().unwrap_or(0).max(0);
        if same { count } else { 0 }
    }

    /// When the update was put off last.
    pub(super) fn snoozed_at(&self) -> Option<Instant> {
        let text = self.snoozed_at.trim();
        text.parse().ok().map(Instant::from_millis).or_else(|| Instant::parse(text))
    }
}
