use super::*;
use crate::flag::{FlagSet, Kills, Scratch, Source};
use crate::json::{At, Problems, parse};
use crate::time::Instant;
use std::cell::Cell;
use std::collections::HashMap;

const NOW: Instant = Instant::from_millis(1_800_000_000_000);
const KEYS: &[u8] = &[7; 32];

/// An environment: its flags and routes.
struct Site {
    flags: FlagSet,
    routes: Routes,
    kills: Kills,
    keys: Vec<Vec<u8>>,
}

fn flag(serve: &str) -> String {
    format!(
        r#"{{"type":"string","variants":{{"blue":"b","green":"g"}},"off":"blue","salt":"s","rules":[{{"id":"r","serve":{serve}}}],"default":"blue"}}"#
    )
}

fn share(percent: u32) -> String {
    flag(&format!(r#"{{"share":{percent},"variants":{{"green":100}},"else":"blue"}}"#))
}

impl Site {
    fn new(flag: &str, routes: &[&str]) -> Self {
        let source = [Source { key: "site", id: 1, revision: 1, text: flag }];
        let flags = FlagSet::compile(&[], &source, None);
        let document = |(index, text): (usize, &&str)| {
            let mut problems = Problems::default();
            let document = RouteDocument::read(&parse(text).expect("JSON"), &At::ROOT, &mut problems);
            assert!(problems.is_empty(), "{text}: {problems:?}");
            (format!("r{index}"), u32::try_from(index + 10).expect("small"), document.expect("a route"))
        };
        let documents: Vec<_> = routes.iter().enumerate().map(document).collect();
        let keys = vec![KEYS.to_vec()];
        let routes = Routes::compile(&documents, &flags, &keys);
        Self { flags, routes, kills: Kills::default(), keys }
    }

    fn decide(&self, visit: &Visit<'_>, visitor: &Person) -> Decision<'_> {
        let config = Config { routes: &self.routes, flags: &self.flags, kills: &self.kills, keys: &self.keys };
        decide(&config, visit, visitor, &mut Scratch::default())
    }

    /// Variant, whether it counts, and the cookies that are set.
    fn choose(&self, visit: &Visit<'_>, visitor: &Person) -> (String, bool, Vec<String>) {
        let (Decision::Redirect(Redirect { choice, .. }) | Decision::Proxy(Proxy { choice, .. })) =
            self.decide(visit, visitor)
        else {
            panic!("somewhere to go: {visit:?}")
        };
        (choice.arm.variant.to_string(), choice.exposed, choice.cookies)
    }
}

fn route(more: &str) -> String {
    format!(
        r#"{{"host":"www.example","flag":"site","targets":{{"blue":"https://blue.example","green":"https://green.example/v2"}}{more}}}"#
    )
}

#[derive(Default)]
struct Person {
    headers: HashMap<&'static str, String>,
    random: Cell<u128>,
}

impl Person {
    fn with(headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { headers, random: Cell::new(1) }
    }
}

impl Visitor for Person {
    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).cloned()
    }

    fn place(&self, _: usize) -> Option<String> {
        None
    }

    fn random(&self) -> u128 {
        // Weyl's sequence through a mixer: as good as random for hashing.
        self.random.set(self.random.get() + 1);
        let mut x = self.random.get().wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        x ^= x >> 61;
        x.wrapping_mul(0xda94_2042_e4dd_58b5_94d0_49bb_1331_11eb)
    }
}

const VISIT: Visit<'static> = Visit {
    method: "GET",
    target: "/cart?x=1",
    authority: "www.example",
    host: "www.example",
    secure: true,
    cookie: "",
    now: NOW,
};

#[test]
fn both_arms_keep_their_people_over_repeat_visits_and_a_ramp_moves_nobody_back() {
    const VISITORS: u32 = 100_000;
    const VISITS: u32 = 20;
    let ramp = [0, 5, 10, 25, 50, 100];
    let sites: Vec<Site> = ramp.iter().map(|percent| Site::new(&share(*percent), &[&route("")])).collect();
    let person = Person::with(&[]);
    // At 10 % the canary has 10,000 of them, 3.29 standard deviations either way: binomial, 99.9 %.
    let (at_ten, mut canaries, mut before) = (&sites[2], 0u32, Vec::new());
    for _ in 0..VISITORS {
        let (variant, exposed, cookies) = at_ten.choose(&VISIT, &person);
        assert!(exposed);
        let [cookie] = &cookies[..] else { panic!("a new unit: {cookies:?}") };
        canaries += u32::from(variant == "green");
        before.push((cookie.split(';').next().expect("a pair").to_owned(), variant));
    }
    let spread = 3.29 * (f64::from(VISITORS) * 0.1 * 0.9).sqrt();
    assert!((f64::from(canaries) - f64::from(VISITORS) * 0.1).abs() < spread, "{canaries} canaries");
    let mut again = 0u32;
    for _ in 1..VISITS {
        for (cookie, variant) in &before {
            let (served, _, cookies) = at_ten.choose(&Visit { cookie, ..VISIT }, &person);
            assert!(served == *variant && cookies.is_empty(), "{cookie}");
            again += u32::from(served == "green");
        }
    }
    assert_eq!(again, canaries * (VISITS - 1), "the ratio holds over {VISITS} visits");
    for (cookie, _) in before.iter().take(5_000) {
        let on = |site: &Site| site.choose(&Visit { cookie, ..VISIT }, &person).0 == "green";
        let seen: Vec<bool> = sites.iter().map(on).collect();
        assert!(seen.is_sorted(), "{cookie}: {seen:?}");
        assert!(!seen[0] && seen[5]);
    }
}

#[test]
fn the_most_specific_route_of_the_most_specific_host_decides() {
    let host = |host: &str, path: &str, target: &str| {
        format!(
            r#"{{"host":"{host}","path":"{path}","flag":"site","targets":{{"blue":"{target}","green":"{target}"}}}}"#
        )
    };
    let routes = [
        host("*.example", "/**", "https://wide.test"),
        host("www.example", "/**", "https://all.test"),
        host("www.example", "/shop/**", "https://shop.test"),
        host("www.example", "/shop/*/edit", "https://edit.test"),
        host("*.example", "/only/wide", "https://only.test"),
    ];
    let site = Site::new(&share(0), &routes.each_ref().map(String::as_str));
    let to = |host: &'static str, target: &'static str| match site
        .decide(&Visit { target, host, ..VISIT }, &Person::default())
    {
        Decision::Redirect(redirect) => redirect.location,
        other => format!("{other:?}"),
    };
    assert_eq!(to("www.example", "/"), "https://all.test/");
    assert_eq!(to("www.example", "/shop"), "https://shop.test/shop");
    assert_eq!(to("www.example", "/shop/7/edit?a"), "https://edit.test/shop/7/edit?a");
    assert_eq!(to("www.example", "/only/wide"), "https://all.test/only/wide", "the host goes before the path");
    assert_eq!(to("blog.example", "/only/wide"), "https://only.test/only/wide");
    assert_eq!(to("a.b.example", "/"), "NotFound");
    assert_eq!(to("www.example", "http://evil.example/"), "Malformed");
    assert_eq!(to("www.example", "*"), "Malformed");
}

#[test]
fn redirects_keep_path_query_and_method() {
    let site = Site::new(
        &flag(r#""green""#).replace(r#""rules":[{"id":"r","serve":"green"}],"#, ""),
        &[&route(r#","maxAge":60"#)],
    );
    let redirect = |visit: &Visit<'_>| match site.decide(visit, &Person::default()) {
        Decision::Redirect(redirect) => (redirect.status, redirect.location, redirect.max_age),
        other => panic!("{other:?}"),
    };
    // A flag without rules answers everybody alike: no unit is made, and caches may keep it.
    assert_eq!(redirect(&VISIT), (302, "https://blue.example/cart?x=1".to_owned(), 60));
    assert_eq!(redirect(&Visit { method: "POST", ..VISIT }).0, 307);
    assert_eq!(site.choose(&VISIT, &Person::default()), ("blue".to_owned(), false, Vec::new()));
    let varied = Site::new(&share(50), &[&route(r#","maxAge":60,"status":307"#)]);
    let Decision::Redirect(redirect) = varied.decide(&VISIT, &Person::default()) else { panic!("a redirect") };
    assert_eq!((redirect.status, redirect.max_age), (307, 0), "what varies by unit is nobody's to keep");
}

#[test]
fn guests_get_stable_and_do_not_count() {
    let site = Site::new(&share(100), &[&route("")]);
    let guest = |visit: &Visit<'_>, headers: &[(&'static str, &str)]| site.choose(visit, &Person::with(headers));
    let stable = ("blue".to_owned(), false, Vec::new());
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("user-agent", "facebookexternalhit/1.1"),
        ("user-agent", "WhatsApp/2.23 Preview"),
    ] {
        assert_eq!(guest(&VISIT, &[(name, value)]), stable, "{value}");
    }
    for method in ["HEAD", "OPTIONS"] {
        assert_eq!(guest(&Visit { method, ..VISIT }, &[]), stable, "{method}");
    }
    for agent in ["Mozilla/5.0 (Linux; Android 9; CUBOT X19)", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140", ""] {
        assert_eq!(guest(&VISIT, &[("user-agent", agent)]).0, "green", "{agent}");
    }
}

#[test]
fn testers_see_what_nobody_else_does() {
    let site = Site::new(&share(0), &[&route("")]);
    let ticket = seal::override_ticket(KEYS, "r0", "green", NOW.plus_millis(60_000));
    let target = format!("/cart?hg_variant={ticket}&x=1");
    let linked = Visit { target: &target, ..VISIT };
    let (variant, exposed, cookies) = site.choose(&linked, &Person::default());
    assert_eq!((variant.as_str(), exposed), ("green", false));
    let expected = format!("hg_variant={ticket}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(cookies, [expected]);
    let Decision::Redirect(redirect) = site.decide(&linked, &Person::default()) else { panic!("a redirect") };
    assert_eq!(redirect.location, "https://green.example/v2/cart?x=1", "the ticket stays here");
    let cookie = format!("a=b; hg_variant={ticket}");
    let kept = Visit { cookie: &cookie, ..VISIT };
    assert_eq!(site.choose(&kept, &Person::default()), ("green".to_owned(), false, Vec::new()));
    assert_eq!(site.choose(&VISIT, &Person::with(&[("headgate-override", &ticket)])).0, "green");
    let late = Visit { now: NOW.plus_millis(60_000), ..kept };
    assert_eq!(site.choose(&late, &Person::default()).0, "blue");
    // A link that is none ends it.
    let ended = Visit { target: "/?hg_variant=", cookie: &cookie, ..VISIT };
    let (variant, _, cookies) = site.choose(&ended, &Person::default());
    assert_eq!((variant.as_str(), cookies[0].contains("Max-Age=0")), ("blue", true));
    let forged = Visit { target: "/?hg_variant=green", ..VISIT };
    assert_eq!(site.choose(&forged, &Person::default()).0, "blue");
    // The former colour is kept warm the same way.
    let swapped = Site::new(&share(100), &[&route("")]);
    let back = seal::override_ticket(KEYS, "r0", "blue", NOW.plus_millis(60_000));
    assert_eq!(swapped.choose(&VISIT, &Person::with(&[("headgate-override", &back)])).0, "blue");
}

#[test]
fn a_kill_goes_before_everything() {
    let mut site = Site::new(&share(100), &[&route(r#","stable":"blue""#)]);
    let ticket = seal::override_ticket(KEYS, "r0", "green", NOW.plus_millis(60_000));
    let tester = Person::with(&[("headgate-override", &ticket)]);
    assert_eq!(site.choose(&VISIT, &tester).0, "green");
    for kills in [Kills::new(false, vec![10]), Kills::new(false, vec![1]), Kills::new(true, Vec::new())] {
        site.kills = kills;
        assert_eq!(site.choose(&VISIT, &tester), ("blue".to_owned(), false, Vec::new()), "{:?}", site.kills);
    }
    site.kills = Kills::new(false, vec![11]);
    assert_eq!(site.choose(&VISIT, &tester).0, "green", "another route's kill");
}

#[test]
fn the_unit_comes_from_the_first_source_that_has_one() {
    let sources = r#","unit":[{"header":"X-User"},{"signed":"hg_id"},{"cookie":"uid"}]"#;
    let site = Site::new(&share(50), &[&route(sources)]);
    let of = |unit: &str| site.choose(&Visit { cookie: &format!("uid={unit}"), ..VISIT }, &Person::default()).0;
    let (mut blue, mut green) = ((0..).map(|n| format!("u{n}")), (0..).map(|n| format!("u{n}")));
    let blue = blue.find(|unit| of(unit) == "blue").expect("half of them");
    let green = green.find(|unit| of(unit) == "green").expect("half of them");
    let cookie = format!("uid={blue}");
    let visit = Visit { cookie: &cookie, ..VISIT };
    assert_eq!(site.choose(&visit, &Person::with(&[("x-user", &green)])), ("green".to_owned(), true, Vec::new()));
    for bad in ["", "a b", "ü", &"x".repeat(129)] {
        assert_eq!(site.choose(&visit, &Person::with(&[("x-user", bad)])).0, "blue", "{bad}");
    }
    let signed = Person::with(&[("hg_id", &format!("{green}.forged"))]);
    assert_eq!(site.choose(&visit, &signed).0, "blue");
    let oversized = format!("uid={}", "x".repeat(10_000));
    let (_, _, cookies) = site.choose(&Visit { cookie: &oversized, ..VISIT }, &Person::default());
    assert!(cookies[0].starts_with("uid=") && cookies[0].len() < 120, "a cookie that is no unit is made anew");
    // Without a cookie among the sources nobody gets one.
    let site = Site::new(&share(100), &[&route(r#","unit":[{"header":"x-user"}]"#)]);
    assert_eq!(site.choose(&VISIT, &Person::default()), ("blue".to_owned(), false, Vec::new()));
    assert_eq!(site.choose(&VISIT, &Person::with(&[("x-user", "u")])), ("green".to_owned(), true, Vec::new()));
}

#[test]
fn without_consent_there_is_no_cookie_and_no_comparison() {
    let site = Site::new(&share(100), &[&route(r#","consent":{"cookie":"consent","contains":"statistics"}"#)]);
    let choose = |cookie: &str| site.choose(&Visit { cookie, ..VISIT }, &Person::default());
    for cookie in ["", "consent=necessary", "hg_unit=u1"] {
        assert_eq!(choose(cookie), ("blue".to_owned(), false, Vec::new()), "{cookie}");
    }
    let (variant, exposed, cookies) = choose("consent=necessary+statistics");
    assert_eq!((variant.as_str(), exposed, cookies.len()), ("green", true, 1));
}

#[test]
fn parts_of_a_page_come_from_the_version_of_the_page() {
    let (half, none) = (share(50), share(0));
    let proxied = route(r#","mode":"proxy""#);
    let (now_half, now_none) = (Site::new(&half, &[&proxied]), Site::new(&none, &[&proxied]));
    let page = Person::with(&[("sec-fetch-dest", "document")]);
    let (variant, cookies) = loop {
        let (variant, _, cookies) = now_half.choose(&VISIT, &page);
        if variant == "green" {
            break (variant, cookies);
        }
    };
    assert_eq!((variant.as_str(), cookies.len()), ("green", 2), "unit and pin");
    let pairs: Vec<_> = cookies.iter().map(|cookie| cookie.split(';').next().expect("a pair")).collect();
    let cookie = pairs.join("; ");
    let pin = pairs[1].strip_prefix("hg_pin.r0=").expect("the route's pin");
    let visit = Visit { cookie: &cookie, ..VISIT };
    // The rollout has been taken back: the page's own parts still come from where it came from.
    let part = Person::with(&[("sec-fetch-dest", "script")]);
    assert_eq!(now_none.choose(&visit, &part), ("green".to_owned(), false, Vec::new()));
    let (next, _, cookies) = now_none.choose(&visit, &page);
    assert_eq!((next.as_str(), cookies.len()), ("blue", 1), "the next page is pinned anew");
    assert_eq!(now_none.choose(&VISIT, &Person::with(&[("headgate-pin", pin)])).0, "green");
    let target = format!("/app.js?hg_pin={pin}&v=2");
    let linked = Visit { target: &target, ..VISIT };
    let Decision::Proxy(proxy) = now_none.decide(&linked, &Person::default()) else { panic!("a fetch") };
    assert_eq!(proxy.url, "https://green.example/v2/app.js?v=2");
    assert_eq!(now_none.choose(&linked, &page).0, "blue", "a page is not pinned by a link");
    for forged in ["green", "green.AAAAAAAAAAAAAAAAAAAAAA", "", "."] {
        assert_eq!(now_none.choose(&VISIT, &Person::with(&[("headgate-pin", forged)])).0, "blue", "{forged}");
    }
    let mut killed = Site::new(&half, &[&proxied]);
    killed.kills = Kills::new(false, vec![10]);
    assert_eq!(killed.choose(&visit, &part).0, "blue");
}

#[test]
fn a_plan_says_who_asks_and_by_which_way() {
    let site = Site::new(&share(100), &[&route(r#","mode":"proxy","timeout":3"#)]);
    let person = Person::with(&[
        ("cf-connecting-ip", "203.0.113.7"),
        ("via", "1.1 edge"),
        ("connection", "Keep-Alive, X-Hop, Upgrade, a b, @, ,"),
        ("headgate-hops", "1"),
    ]);
    let Decision::Proxy(proxy) = site.decide(&VISIT, &person) else { panic!("a fetch") };
    assert_eq!((proxy.url.as_str(), proxy.timeout), ("https://green.example/v2/cart?x=1", 3));
    assert_eq!(proxy.fallback.as_deref(), Some("https://blue.example/cart?x=1"));
    let lines: Vec<&str> = proxy.headers.split('\n').collect();
    let set: HashMap<_, _> = lines.chunks(2).filter(|pair| pair.len() == 2).map(|pair| (pair[0], pair[1])).collect();
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-host", "www.example"),
        ("x-forwarded-proto", "https"),
        ("via", "1.1 edge, 1.1 headgate"),
        ("headgate-hops", "2"),
        ("headgate-variant", "green"),
        ("headgate-route", "r0"),
        ("keep-alive", ""),
        ("X-Hop", ""),
        ("te", ""),
        ("headgate-override", ""),
    ] {
        assert_eq!(set.get(name), Some(&value), "{name}");
    }
    assert!(!set.contains_key("Upgrade"), "a websocket asks for it");
    assert!(!set.contains_key("a b") && !set.contains_key("@"), "no names of headers");
    let post = Visit { method: "POST", ..VISIT };
    let Decision::Proxy(proxy) = site.decide(&post, &person) else { panic!("a fetch") };
    assert_eq!(proxy.fallback, None, "what may have been done is not done twice");
}

#[test]
fn a_request_that_goes_round_is_stopped() {
    let site = Site::new(&share(0), &[&route(r#","mode":"proxy""#)]);
    for (name, value) in [
        ("headgate-hops", "4"),
        ("headgate-hops", "x"),
        ("via", "1.1 headgate, 1.1 x, 1.1 headgate, 1.1 headgate, 1.1 headgate"),
    ] {
        let decision = site.decide(&VISIT, &Person::with(&[(name, value)]));
        assert!(matches!(decision, Decision::Loop), "{name}: {value}");
    }
    assert!(matches!(site.decide(&VISIT, &Person::with(&[("headgate-hops", "3")])), Decision::Proxy(_)));
}

#[test]
fn on_the_machine_itself_cookies_need_no_https() {
    let text = route("").replace("www.example", "shop.localhost");
    let site = Site::new(&share(50), &[&text]);
    let visit = Visit { host: "shop.localhost", authority: "shop.localhost:8787", secure: false, ..VISIT };
    assert!(!site.choose(&visit, &Person::default()).2[0].contains("Secure"));
    assert!(site.choose(&Visit { secure: true, ..visit }, &Person::default()).2[0].contains("; Secure"));
    let elsewhere = Site::new(&share(50), &[&route("")]);
    assert!(elsewhere.choose(&Visit { secure: false, ..VISIT }, &Person::default()).2[0].contains("; Secure"));
}
