//! Every bound of the product, with its arithmetic and the platform limit it comes from.

/// Characters in a project or environment key. Both appear in tokens, Durable Object names and
/// KV keys (512 bytes at most): `snapshot/` + 40 + `.` + 40 + numbers stays below 128.
pub const SCOPE_KEY_LENGTH: usize = 40;
/// Characters in the key of a flag, segment, route or channel, and in a variant or rule name.
pub const KEY_LENGTH: usize = 128;
/// Nesting depth of any JSON that is read: a flag's conditions nest far less, and 32 frames of
/// the parser stay below 64 KB of the 1 MiB stack.
pub const JSON_DEPTH: usize = 32;
/// Levels of conditions within conditions. A flag that is taken alone must be readable in a
/// project document too, where a rule's condition is at level 8 of [`JSON_DEPTH`] and each level
/// of `all` takes two more, the innermost list one.
pub const CONDITION_DEPTH: usize = 10;
/// Levels of an object flag's value, which is at level 7 of a project document.
pub const VALUE_DEPTH: usize = 16;
/// Problems reported for one document; the rest are counted.
pub const PROBLEMS: usize = 100;

/// Bytes of one entity's document. A Durable Object row holds 2 MB; audit keeps before and after
/// in one row: 2 * 512 KiB + overhead < 2 MB.
pub const ENTITY_BYTES: usize = 512 * 1024;
/// Bytes of one environment's snapshot: old plus new plus text must fit the isolate's 96 MiB of
/// wasm memory beside the caches.
pub const SNAPSHOT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of an admin request's body; an import carries a whole environment.
pub const ADMIN_BODY_BYTES: usize = SNAPSHOT_BYTES + 1024 * 1024;
/// Bytes of an evaluation request's body (the context).
pub const CONTEXT_BYTES: usize = 64 * 1024;
/// Bytes of an event batch after decompression.
pub const EVENTS_BYTES: usize = 96 * 1024;
/// Events in one batch.
pub const EVENTS_BATCH: usize = 500;
/// Bytes of one queue message: the platform takes 128,000; the envelope needs the rest.
pub const QUEUE_MESSAGE_BYTES: usize = 120_000;

/// Flags in one environment.
pub const FLAGS: usize = 20_000;
/// Segments in one environment.
pub const SEGMENTS: usize = 2_000;
/// Routes in one environment.
pub const ROUTES: usize = 500;
/// Channels in one environment.
pub const CHANNELS: usize = 500;
/// Releases, and bundles, of one channel.
pub const RELEASES: usize = 200;
/// Ranges of blocked versions in one channel.
pub const BLOCKED: usize = 100;
/// Locales of one text.
pub const LOCALES: usize = 100;
/// Storefronts of one release or store URL; Apple has 175.
pub const STOREFRONTS: usize = 300;
/// Units and segments that may use one track; Apple admits 10,000 external testers.
pub const AUDIENCE: usize = 10_000;
/// Digits of a build number.
pub const BUILD_DIGITS: usize = 64;
/// Bytes of an app's id: Google Play has no bound of its own; Apple's bundle ids have 155 at most.
pub const APP_LENGTH: usize = 255;
/// Seconds of the spans in a channel: ten years.
pub const SPAN_SECONDS: i64 = 10 * 366 * 86_400;
/// Variants of one flag.
pub const VARIANTS: usize = 64;
/// Rules of one flag.
pub const RULES: usize = 200;
/// Prerequisites of one flag.
pub const PREREQUISITES: usize = 20;
/// Flags that one evaluation may have to evaluate first, over all levels of prerequisites.
pub const PREREQUISITE_CLOSURE: usize = 200;
/// Levels of segments that refer to segments.
pub const SEGMENT_DEPTH: usize = 8;
/// Conditions in one rule or segment, over all levels.
pub const CONDITIONS: usize = 1_000;
/// Values in one list of a condition.
pub const LIST_VALUES: usize = 10_000;
/// Units in a segment's `include` or `exclude`.
pub const SEGMENT_UNITS: usize = 50_000;
/// Characters of a regular expression.
pub const PATTERN_LENGTH: usize = 1_000;
/// Bytes of a compiled regular expression. Matching takes time in proportion to this and to the
/// text: `(a{1000}){1000}` is short, and would run for minutes over a context of 64 KiB.
pub const PATTERN_BYTES: usize = 64 * 1024;
/// Bytes of free text: descriptions, reasons.
pub const TEXT_LENGTH: usize = 2_000;
/// Tags of one flag.
pub const TAGS: usize = 50;
/// Distinct attributes that one environment's flags may read.
pub const ATTRIBUTES: usize = 4_000;
/// Tokens of one environment.
pub const TOKENS: usize = 200;
/// Origins an environment may allow.
pub const ORIGINS: usize = 50;
/// Bytes of one origin: a hostname has 253 at most.
pub const ORIGIN_LENGTH: usize = 280;

/// Parameters of an environment.
pub const PARAMETERS: usize = 200;
/// Bytes of an environment's parameters: every start-up call's answer carries them.
pub const PARAMETERS_BYTES: usize = 32 * 1024;
/// Apps that an environment may send elsewhere.
pub const ELSEWHERE: usize = 50;

/// Objects that hold an environment's streams; each may have 32,768 sockets by the platform.
pub const STREAM_SHARDS: u32 = 16;
/// Bytes of a hostname (RFC 1035 section 2.3.4).
pub const HOST_LENGTH: usize = 253;
/// Hostnames that one environment may route: one publication writes each into KV.
pub const HOSTS: usize = 100;
/// Bytes of a route's path pattern.
pub const PATH_LENGTH: usize = 500;
/// Segments of a route's path pattern.
pub const PATH_SEGMENTS: usize = 32;
/// Places in which a route may look for the bucketing unit.
pub const UNIT_SOURCES: usize = 4;
/// Bytes of a unit that a visitor's cookie or header brings.
pub const UNIT_LENGTH: usize = 128;
/// Seconds for which a redirect that is everybody's may be cached: a change of the route waits for them.
pub const ROUTE_MAX_AGE: i64 = 3_600;
/// Seconds that a route may wait for the first byte of its target: the platform gives up at 100.
pub const ROUTE_TIMEOUT: i64 = 90;
/// How often a request may come by the gateway: two in a row are somebody's design, four are a loop.
pub const HOPS: usize = 4;
/// Seconds for which a tester's link is good at most: 90 days.
pub const LINK_SECONDS: i64 = 90 * 24 * 3_600;

/// Bytes of the pointer, read by every isolate about once a second.
pub const POINTER_BYTES: usize = 4 * 1024;
/// Items on one page of a list.
pub const PAGE_ITEMS: usize = 200;

const _: () = assert!(2 * ENTITY_BYTES + 64 * 1024 < 2_000_000, "audit row fits a row");
const _: () = assert!(QUEUE_MESSAGE_BYTES < 128_000, "queue message fits");
const _: () = assert!(EVENTS_BYTES < QUEUE_MESSAGE_BYTES, "a batch fits one message");
const _: () = assert!(8 + 2 * (CONDITION_DEPTH - 1) < JSON_DEPTH, "a condition fits a project document");
const _: () = assert!(7 + VALUE_DEPTH < JSON_DEPTH, "a value fits a project document");
const _: () = assert!(PREREQUISITES <= PREREQUISITE_CLOSURE);
