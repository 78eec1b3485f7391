//! One workload for every engine: the same flags, the same context, the same answers to build.
//!
//! A hundred flags, as a mobile product has them: 60 booleans rolled out to 25 %, 20 that everybody
//! gets, 15 for a list of countries at 50 %, and 5 with three rules (attribute in a list, semantic
//! version, segment) and a weighted choice of three. The context misses the first two rules and
//! meets the third, so that no engine gets away with less work.

pub mod eppo;
pub mod gateway;
pub mod unleash;

/// What a flag of the workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean for 25 % of all units.
    Share,
    /// A boolean that everybody gets.
    Static,
    /// A boolean for half of the units of some countries.
    Countries,
    /// Three rules, the last of which chooses among three texts by weight.
    Targeted,
}

/// The hundred flags: key and kind.
#[must_use]
pub fn hundred() -> Vec<(String, Kind)> {
    let kind = |at: usize| match at % 20 {
        0 => Kind::Targeted,
        1..=3 => Kind::Countries,
        4..=7 => Kind::Static,
        _ => Kind::Share,
    };
    (0..100).map(|at| (format!("flag_{at:03}"), kind(at))).collect()
}

/// Countries that the context's is not among.
pub const ELSEWHERE: [&str; 8] = ["US", "CA", "MX", "BR", "AR", "CL", "PE", "CO"];
/// Countries that the context's is among.
pub const HERE: [&str; 8] = ["AT", "BE", "CH", "DE", "ES", "FR", "IT", "NL"];
/// The context's user.
pub const USER: &str = "7f8c2f9e-5d0b-4a8e-9f43-0c6a1f2b3d4e";
/// The context's other attributes.
pub const ATTRIBUTES: [(&str, &str); 7] = [
    ("app_version", "2.4.1"),
    ("country", "DE"),
    ("email", "user@mail.example"),
    ("group", "beta"),
    ("locale", "de-DE"),
    ("os", "ios"),
    ("plan", "premium"),
];

/// Users listed by the segment, the context's not among them.
#[must_use]
pub fn listed() -> Vec<String> {
    (0..100).map(|at| format!("u-{at}")).collect()
}
