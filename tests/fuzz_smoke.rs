//! Damaged documents and contexts: nothing panics, nothing hangs, whatever comes.
//!
//! Seeded, so that a failure comes again; the failing input is printed. `bench/fuzz/run.mjs` runs ten
//! million, or as many as it is told, with the checks of a debug build.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::flag::{Context, FlagDocument, FlagSet, Kills, Scratch, SegmentDocument, Source};
use headgate::json::{At, Node, Problems, parse};
use headgate::route::{self, Config, Decision, RouteDocument, Routes, Visit, Visitor};
use headgate::time::Instant;
use headgate::update::{Gates, Request, Who};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A step of xorshift64*; good enough to choose where to damage a text.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % limit.max(1)
    }

    fn one_of<'a>(&mut self, list: &'a [String]) -> &'a str {
        &list[self.below(list.len())]
    }
}

/// What is put into texts: the words of the format, and what breaks readers.
const PIECES: [&str; 48] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1e999",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551616",
    "0.1",
    "1E-400",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\u{feff}",
    "é",
    "🚀",
    "\"type\":\"object\"",
    "\"variants\":{}",
    "\"weights\":{\"on\":1000000}",
    "\"share\":0.001",
    "\"else\":\"on\"",
    "\"by\":\"a.b.c\"",
    "\"if\":{\"not\":{}}",
    "\"all\":[]",
    "\"any\":[{}]",
    "\"segment\":\"s\"",
    "\"semver\":\"^1 || <\"",
    "\"matches\":\"(a|b)*c{1,9}\"",
    "\"matches\":\"((a{99}){99}){99}\"",
    "\"before\":\"9999-12-31\"",
    "\"in\":[]",
    "\"hasAll\":[1,\"a\",true]",
    "\"exists\":false",
    "\"ignoreCase\":true",
    "\"off\":\"\"",
    "\"salt\":\"\"",
    "\"requires\":[]",
    "\"rules\":[{}]",
    "\"enabled\":false",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// Documents of a folder of the conformance files: whole flags, segments, conditions and contexts.
struct Corpus {
    flags: Vec<String>,
    segments: Vec<String>,
    contexts: Vec<String>,
    channels: Vec<String>,
    /// What apps say of themselves, a field's value each.
    facts: Vec<String>,
}

impl Corpus {
    fn read() -> Self {
        let mut corpus = Self {
            flags: Vec::new(),
            segments: Vec::new(),
            contexts: Vec::new(),
            channels: Vec::new(),
            facts: Vec::new(),
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/evaluation");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).expect("a folder").map(|f| f.expect("a file").path()).collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(path).expect("text");
            let root = parse(&text).expect("JSON");
            let documents = |name| match root.get(name) {
                Some(Node::Object(members)) => members.iter().map(|(_, node)| written(node)).collect(),
                _ => Vec::new(),
            };
            corpus.flags.extend(documents("flags"));
            corpus.segments.extend(documents("segments"));
            for case in elements(root.get("cases")) {
                corpus.contexts.extend(case.get("context").map(written));
            }
            for condition in elements(root.get("conditions")) {
                let tested = written(condition.get("if").expect("a condition"));
                corpus.segments.push(format!(r#"{{"if":{tested}}}"#));
                corpus.flags.push(format!(
                    r#"{{"type":"boolean","variants":{{"on":true,"off":false}},"off":"off","salt":"s","rules":[{{"id":"r","if":{tested},"serve":"on"}}],"default":"off"}}"#
                ));
                corpus.contexts.extend(elements(condition.get("holds")).iter().map(written));
            }
        }
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/update-gates.json");
        let text = std::fs::read_to_string(table).expect("text");
        let root = parse(&text).expect("JSON");
        let Some(Node::Object(channels)) = root.get("channels") else { panic!("an object") };
        corpus.channels = channels.iter().map(|(_, node)| written(node)).collect();
        for case in elements(root.get("cases")) {
            let Some(Node::Object(request)) = case.get("request") else { panic!("an object") };
            corpus.facts.extend(request.iter().filter_map(|(_, node)| node.as_str().map(str::to_owned)));
        }
        assert!(corpus.channels.len() > 30 && corpus.facts.len() > 300);
        assert!(corpus.flags.len() > 100 && corpus.segments.len() > 50 && corpus.contexts.len() > 200);
        corpus
    }
}

fn elements<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Node<'a>] {
    if let Some(Node::Array(list)) = node { list } else { &[] }
}

fn written(node: &Node<'_>) -> String {
    serde_json::to_string(node).expect("writes")
}

/// Damages a text in up to four places; three in eight stay whole, for the others to meet.
fn damage(text: &str, others: &[String], random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..[0, 0, 0, 1, 1, 2, 3, 4][random.below(8)] {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..end, PIECES[random.below(PIECES.len())].bytes())),
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            3 => {
                // A part of the text once more: keys twice, values twice, brackets twice.
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
            4 => {
                let other = random.one_of(others).as_bytes();
                let from = random.below(other.len());
                let to = (from + random.below(60)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).expect("a byte");
                }
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One input: two flags, a segment, a context, a channel and what an app says to it, each perhaps damaged.
#[derive(Debug)]
struct Input {
    flags: [String; 2],
    segment: String,
    context: String,
    channel: String,
    facts: Vec<String>,
    now: i64,
}

impl Input {
    fn new(corpus: &Corpus, random: &mut Random) -> Self {
        let mut one = |list: &[String]| {
            let text = random.one_of(list).to_owned();
            damage(&text, list, random)
        };
        let flags = [one(&corpus.flags), one(&corpus.flags)];
        let (segment, context) = (one(&corpus.segments), one(&corpus.contexts));
        let channel = one(&corpus.channels);
        let facts = Request::FIELDS.iter().map(|_| one(&corpus.facts)).collect();
        Self { flags, segment, context, channel, facts, now: random.next().cast_signed() >> random.below(64) }
    }

    /// Reads, compiles, evaluates and explains; returns how many texts were acceptable.
    fn run(&self, scratch: &mut Scratch) -> usize {
        let documents = self.flags.each_ref().map(|text| flag(text));
        let mut problems = Problems::default();
        let segment = parse(&self.segment).ok().and_then(|node| SegmentDocument::read(&node, &At::ROOT, &mut problems));
        // The names that the corpus refers to most.
        let sources = [("listed", &self.segment)].map(|(key, text)| Source { key, id: 0, revision: 1, text });
        let [first, second] = &self.flags;
        let flags =
            [("base", 1, first), ("good", 2, second)].map(|(key, id, text)| Source { key, id, revision: 1, text });
        let set = FlagSet::compile(&sources, &flags, None);
        let node = parse(&self.context);
        let members = if let Ok(Node::Object(members)) = &node { members.as_slice() } else { &[] };
        let context = Context::new(set.attributes(), members, Instant::from_millis(self.now));
        let kills = Kills::default();
        set.evaluate_all(false, &context, &kills, scratch, |outcome| assert!(outcome.fragment().starts_with('{')));
        for (at, document) in (0..).zip(&documents) {
            let answer = set.evaluate(at, &context, &kills, scratch).fragment();
            if let Some(document) = document {
                let explained = set.explain(at, document, &context, &kills);
                assert_eq!(explained["answer"]["key"], if at == 0 { "base" } else { "good" }, "{answer}");
            }
        }
        let channels = [Source { key: "c", id: 0, revision: 1, text: &self.channel }];
        let gates = Gates::compile(&channels, &set, None);
        let fact =
            |name: &str| Request::FIELDS.iter().position(|known| *known == name).map(|at| self.facts[at].as_str());
        let request = Request { channel: "c", platform: "", app: "", ..Request::of(&fact) };
        let mut out = Vec::new();
        gates.decide(&request, &mut Who { flags: &set, context: &context, kills: &kills, scratch }).write(&mut out);
        let verdict: serde_json::Value = serde_json::from_slice(&out).expect("a verdict is JSON");
        assert!(
            verdict["reason"] != "unknown-channel" || gates.is_empty() || self.channel.contains("audience"),
            "{verdict}"
        );
        let segment = segment.filter(|_| problems.is_empty());
        documents.iter().flatten().count() + usize::from(segment.is_some()) + usize::from(node.is_ok()) + gates.len()
    }
}

/// A flag that can be read; written and read again it must be the same.
fn flag(text: &str) -> Option<FlagDocument> {
    let read = |text: &str| {
        let node = parse(text).ok()?;
        let mut problems = Problems::default();
        let document = FlagDocument::read(&node, &At::ROOT, &mut problems);
        document.filter(|_| problems.is_empty())
    };
    let document = read(text)?;
    let again = read(&serde_json::to_string(&document).expect("writes"));
    assert_eq!(again.as_ref(), Some(&document), "{text}");
    Some(document)
}

#[test]
fn damaged_inputs_neither_panic_nor_hang() {
    // Four texts of flags a round, and one of a channel.
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000usize);
    let (corpus, mut random, mut scratch) = (Corpus::read(), Random(0x5eed_5eed_5eed_5eed), Scratch::default());
    let (started, mut accepted, mut slowest) = (std::time::Instant::now(), 0, std::time::Duration::ZERO);
    for round in 0..inputs / 4 {
        let input = Input::new(&corpus, &mut random);
        let begun = std::time::Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| input.run(&mut scratch)));
        accepted += result.unwrap_or_else(|_| panic!("round {round} panics: {input:#?}"));
        slowest = slowest.max(begun.elapsed());
    }
    let spent = started.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = inputs as f64 / spent;
    println!("{inputs} inputs in {spent:.1} s, {rate:.0} a second, {accepted} acceptable, slowest round {slowest:?}");
    // Both halves must be reached: texts that are refused, and texts that go on to be evaluated.
    assert!(accepted > inputs / 10 && accepted < inputs * 9 / 10, "{accepted} of {inputs} acceptable");
    assert!(slowest < std::time::Duration::from_secs(10), "one round took {slowest:?}");
}

/// What is put into requests: whatever has ever led out of a site, or into a header.
const TRAPS: [&str; 30] = [
    "/",
    "//",
    "\\",
    "/..",
    "/%2e%2E/",
    "%2f%2F",
    "@",
    ":",
    "?",
    "#",
    "&",
    "=",
    ";",
    "\r\n",
    "\n",
    "\t",
    "\0",
    " ",
    "%0d%0a",
    "%",
    "ü",
    "\u{202e}",
    "evil.example",
    "http://evil.example",
    "//evil.example/",
    "hg_variant=",
    "hg_pin=",
    "hg_unit=",
    "green.9.x",
    "*",
];

fn mixed(random: &mut Random, pieces: usize) -> String {
    let mut text = String::new();
    for _ in 0..random.below(pieces) {
        match random.below(4) {
            0 => text.push(char::from(u8::try_from(random.below(128)).expect("ASCII"))),
            1 => text.push_str(["cart", "a", "shop", "x=1", "green", "blue"][random.below(6)]),
            _ => text.push_str(TRAPS[random.below(TRAPS.len())]),
        }
    }
    text
}

struct Anybody(Vec<(&'static str, String)>);

impl Visitor for Anybody {
    fn header(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn place(&self, _: usize) -> Option<String> {
        None
    }

    fn random(&self) -> u128 {
        7
    }
}

const SITE: &str = r#"{"type":"string","variants":{"blue":"b","green":"g"},"off":"blue","salt":"s","rules":[{"id":"r","serve":{"share":50,"variants":{"green":100},"else":"blue"}}],"default":"blue"}"#;
const HEADERS: [&str; 9] = [
    "user-agent",
    "sec-purpose",
    "sec-fetch-dest",
    "headgate-override",
    "headgate-pin",
    "headgate-hops",
    "via",
    "connection",
    "x-unit",
];

/// An environment with a redirecting and a proxied route.
fn site() -> (FlagSet, Routes, Vec<Vec<u8>>) {
    let flags = FlagSet::compile(&[], &[Source { key: "site", id: 1, revision: 1, text: SITE }], None);
    let more =
        [r#""path":"/shop/**","mode":"proxy""#, r#""unit":[{"header":"x-unit"},{"signed":"id"},{"cookie":"hg_unit"}]"#];
    let documents = more.map(|more| {
        let text = format!(
            r#"{{"host":"www.example","flag":"site","targets":{{"blue":"https://blue.test","green":"https://green.test/v2"}},{more}}}"#
        );
        let mut problems = Problems::default();
        let document = RouteDocument::read(&parse(&text).expect("JSON"), &At::ROOT, &mut problems).expect("a route");
        assert!(problems.is_empty(), "{text}: {problems:?}");
        (more.len().to_string(), 2, document)
    });
    let keys = vec![vec![7; 32]];
    let routes = Routes::compile(&documents, &flags, &keys);
    (flags, routes, keys)
}

/// A URL that leads to one of the targets, and stands on one line.
fn is_at_home(url: &str) -> bool {
    let rest = url.strip_prefix("https://blue.test").or_else(|| url.strip_prefix("https://green.test/v2"));
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let path = url.split('?').next().unwrap_or(url);
    rest.is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'/' | b'?')))
        && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !path.split('/').any(dots)
}

#[test]
fn hostile_requests_lead_nowhere_but_to_the_targets() {
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000usize);
    let (flags, routes, keys) = site();
    let (mut random, mut scratch, mut led) = (Random(0xbad_5eed), Scratch::default(), [0usize; 2]);
    let kills = Kills::default();
    let config = Config { routes: &routes, flags: &flags, kills: &kills, keys: &keys };
    for round in 0..inputs {
        let start = ["/", "/shop/", "/shop", ""][random.below(4)];
        let target = format!("{start}{}", mixed(&mut random, 12));
        let cookie = mixed(&mut random, 8);
        // HTTP itself lets no line's end into a header.
        let value = |text: String| text.replace(['\r', '\n', '\0'], "");
        let headers = HEADERS.map(|name| (name, value(mixed(&mut random, 4))));
        let visitor = Anybody(headers.into_iter().filter(|(_, value)| !value.is_empty()).collect());
        let method = ["GET", "HEAD", "POST", "OPTIONS", ""][random.below(5)];
        let now = Instant::from_millis(1_800_000_000_000);
        let visit = Visit {
            method,
            target: &target,
            authority: "www.example",
            host: "www.example",
            secure: true,
            cookie: &cookie,
            now,
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (urls, cookies) = match route::decide(&config, &visit, &visitor, &mut scratch) {
                Decision::Redirect(redirect) => (vec![redirect.location], redirect.choice.cookies),
                Decision::Proxy(proxy) => {
                    let names = proxy.headers.lines().step_by(2);
                    assert!(names.clone().all(|name| !name.is_empty()), "{:?}", proxy.headers);
                    led[1] += 1;
                    ([vec![proxy.url], proxy.fallback.into_iter().collect()].concat(), proxy.choice.cookies)
                }
                Decision::NotFound | Decision::Malformed | Decision::Loop => (Vec::new(), Vec::new()),
            };
            led[0] += urls.len();
            assert!(urls.iter().all(|url| is_at_home(url)), "{urls:?}");
            assert!(cookies.iter().all(|cookie| !cookie.contains(['\r', '\n', '\0'])), "{cookies:?}");
        }));
        assert!(result.is_ok(), "round {round}: {visit:?}");
    }
    println!("{inputs} requests, {} led to a target, {} of them proxied", led[0], led[1]);
    assert!(led[0] > inputs / 3 && led[1] > inputs / 20, "{led:?} of {inputs}");
}
