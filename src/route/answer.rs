//! What becomes of a target's answer: passed on, or asked for again elsewhere, or a problem.

use super::decide::HOP_BY_HOP;
use super::push_header;
use super::target::Target;

/// Statuses by which a proxy or the platform says that the target is down, and not the target itself.
const DOWN: [u16; 3] = [502, 503, 504];

/// What is remembered of a request while its answer is fetched: a line of text, kept by the shell, its
/// parts by tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket<'t> {
    /// `project/environment`.
    pub environment: &'t str,
    /// The route's key.
    pub route: &'t str,
    /// The variant that answers.
    pub variant: &'t str,
    /// The URL of its target.
    pub target: &'t str,
    /// The stable variant, if the request may still go there; else empty.
    pub stable: &'t str,
    /// The URL of the stable target.
    pub stable_target: &'t str,
    /// Whether everybody is answered alike.
    pub shared: bool,
    /// Whether the visitor takes part in the comparison of variants.
    pub exposed: bool,
    /// Values of `Set-Cookie`, by tabs.
    pub cookies: &'t str,
}

impl<'t> Ticket<'t> {
    /// The ticket as text.
    pub fn text(&self) -> String {
        let mark = |is: bool| if is { "1" } else { "" };
        let Self { environment, route, variant, target, stable, stable_target, .. } = *self;
        let (shared, exposed) = (mark(self.shared), mark(self.exposed));
        [environment, route, variant, target, stable, stable_target, shared, exposed, self.cookies].join("\t")
    }

    /// Reads the text.
    pub fn read(text: &'t str) -> Option<Self> {
        let mut parts = text.splitn(9, '\t');
        let mut next = || parts.next();
        Some(Self {
            environment: next()?,
            route: next()?,
            variant: next()?,
            target: next()?,
            stable: next()?,
            stable_target: next()?,
            shared: !next()?.is_empty(),
            exposed: !next()?.is_empty(),
            cookies: next()?,
        })
    }
}

/// What came of a fetch.
#[derive(Clone, Copy, Debug)]
pub enum Returned<'a> {
    /// The head of an answer.
    Head {
        /// The status.
        status: u16,
        /// The header `Location`, empty when absent.
        location: &'a str,
        /// The header `Cache-Control`, empty when absent.
        cache_control: &'a str,
    },
    /// None within the time, or none at all.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target refuses connections or breaks them.
    Refused,
    /// It does not begin to answer.
    TimedOut,
}

impl<'a> Returned<'a> {
    /// The head of an answer. workerd takes a `103 Early Hints` for one, and the answer behind it is lost.
    pub fn head(status: u16, location: &'a str, cache_control: &'a str) -> Self {
        match status {
            100 | 102..200 => Self::Failed(Failure::Refused),
            _ => Self::Head { status, location, cache_control },
        }
    }

    /// The class under which it is counted.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Failed(Failure::Refused) => "refused",
            Self::Failed(Failure::TimedOut) => "timeout",
            Self::Head { status, .. } => match status / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                _ => "5xx",
            },
        }
    }

    /// Whether the target is down; 520 to 530 are the platform's own words for it.
    fn is_down(&self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::Head { status, .. } => DOWN.contains(status) || (520..=530).contains(status),
        }
    }
}

/// What is done with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'t> {
    /// It goes to the visitor with these changes of its headers, name and value each on its line: an empty
    /// value drops the header, `+` before the name adds to it.
    Pass(String),
    /// The stable target is asked instead; the ticket is for its answer.
    Again(Ticket<'t>),
    /// The visitor gets a problem.
    Fail(Failure),
}

impl<'t> Ticket<'t> {
    /// Judges what came of the fetch.
    pub fn judge(&self, returned: &Returned<'_>) -> Verdict<'t> {
        if returned.is_down() && !self.stable.is_empty() {
            let (variant, target) = (self.stable, self.stable_target);
            // Whoever is served in place of another takes no part.
            return Verdict::Again(Self { variant, target, stable: "", exposed: false, ..*self });
        }
        match *returned {
            Returned::Failed(failure) => Verdict::Fail(failure),
            Returned::Head { location, cache_control, .. } => Verdict::Pass(self.edits(location, cache_control)),
        }
    }

    fn edits(&self, location: &str, cache_control: &str) -> String {
        let mut out = String::with_capacity(256);
        let mut set = |name: &str, value: &str| push_header(&mut out, name, value);
        for name in HOP_BY_HOP {
            set(name, "");
        }
        set("headgate-variant", self.variant);
        if let Some(home) = self.homeward(location) {
            set("location", &home);
        }
        if !self.shared {
            if let Some(text) = private(cache_control) {
                set("cache-control", &text);
            }
            set("cdn-cache-control", "");
            set("surrogate-control", "");
        }
        for cookie in self.cookies.split('\t').filter(|cookie| !cookie.is_empty()) {
            set("+set-cookie", cookie);
        }
        out
    }

    /// A `Location` of the target as the visitor knows it: the target's own address is nobody's business.
    fn homeward(&self, location: &str) -> Option<String> {
        let target = Target::parse(self.target).ok()?;
        let prefix = &target.as_str()[target.origin().len()..];
        let below = location.strip_prefix(prefix).filter(|_| !prefix.is_empty() && location.starts_with('/'));
        let below = below.filter(|rest| matches!(rest.bytes().next(), None | Some(b'/' | b'?' | b'#')));
        let path = target.local_path(location).or(below)?;
        // `//name` would be another host's address.
        let lone = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
        match path.bytes().next() {
            Some(b'/') => lone.then(|| path.to_owned()),
            _ => Some(format!("/{path}")),
        }
    }
}

/// `Cache-Control` for one visitor alone: another one's variant must not come out of a cache that both share.
fn private(cache_control: &str) -> Option<String> {
    let mut out = "private".to_owned();
    for text in cache_control.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let directive = text.split('=').next().unwrap_or_default().trim_end();
        let is = |name: &str| directive.eq_ignore_ascii_case(name);
        if is("private") || is("no-store") {
            return None;
        }
        if !is("public") && !is("s-maxage") {
            out.push_str(", ");
            out.push_str(text);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: Ticket<'_> = Ticket {
        environment: "p/e",
        route: "www",
        variant: "green",
        target: "https://green.example/v2",
        stable: "blue",
        stable_target: "https://blue.example",
        shared: false,
        exposed: true,
        cookies: "hg_unit=1; Path=/\thg_pin.www=x",
    };

    fn head(status: u16, location: &'static str, cache_control: &'static str) -> Returned<'static> {
        Returned::head(status, location, cache_control)
    }

    #[test]
    fn tickets_are_read_as_they_were_written() {
        for ticket in [TICKET, Ticket { stable: "", shared: true, exposed: false, cookies: "", ..TICKET }] {
            assert_eq!(Ticket::read(&ticket.text()), Some(ticket));
        }
        assert_eq!(Ticket::read("a\tb"), None);
    }

    #[test]
    fn a_canary_that_is_down_is_asked_for_once_and_its_own_errors_are_its_own() {
        for down in [
            Returned::Failed(Failure::Refused),
            Returned::Failed(Failure::TimedOut),
            head(503, "", ""),
            head(522, "", ""),
            head(103, "", ""),
        ] {
            let Verdict::Again(second) = TICKET.judge(&down) else { panic!("{down:?}") };
            assert_eq!((second.variant, second.target), ("blue", "https://blue.example"));
            assert!(!matches!(second.judge(&down), Verdict::Again(_)), "{down:?}");
        }
        assert!(matches!(TICKET.judge(&head(500, "", "")), Verdict::Pass(_)));
        let lone = Ticket { stable: "", ..TICKET };
        assert_eq!(lone.judge(&Returned::Failed(Failure::TimedOut)), Verdict::Fail(Failure::TimedOut));
        assert!(matches!(lone.judge(&head(503, "", "")), Verdict::Pass(_)));
    }

    #[test]
    fn the_target_s_address_stays_with_us_and_one_visitor_s_answer_with_him() {
        let edit = |location, cache_control, name: &str| {
            let Verdict::Pass(edits) = TICKET.judge(&head(200, location, cache_control)) else { panic!("passes") };
            let lines: Vec<&str> = edits.lines().collect();
            lines.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].to_owned()).unwrap_or_default()
        };
        for (location, expected) in [
            ("https://green.example/v2/login?x", "/login?x"),
            ("https://green.example/v2", "/"),
            ("/v2/login", "/login"),
            ("https://green.example/v2?a", "/?a"),
            ("https://green.example/other", ""),
            ("https://pay.example/", ""),
            ("/v20", ""),
            ("https://green.example/v2//evil.example", ""),
            ("/v2/\\evil.example", ""),
            ("", ""),
        ] {
            assert_eq!(edit(location, "", "location"), expected, "{location}");
        }
        for (given, expected) in [
            ("", "private"),
            ("public, max-age=60, s-maxage=600", "private, max-age=60"),
            ("no-store", ""),
            ("Private, max-age=5", ""),
        ] {
            assert_eq!(edit("", given, "cache-control"), expected, "{given}");
        }
        assert_eq!(edit("", "", "+set-cookie"), "hg_unit=1; Path=/");
        let shared = Ticket { shared: true, ..TICKET };
        let Verdict::Pass(edits) = shared.judge(&head(200, "", "public")) else { panic!("passes") };
        assert!(!edits.contains("cache-control"));
    }
}
