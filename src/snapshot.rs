//! Snapshots and pointers as isolates read them: the published configuration of one environment,
//! and which one is current.

use crate::flag::{Context, FlagSet, Kills, Scratch, Source};
use crate::json::{At, Node, Problems, parse};
use crate::route::{RouteDocument, Routes};
use crate::startup::{Elsewhere, POLL_SECONDS};
use crate::time::Instant;
use crate::token::TokenKind;
use crate::update::{self, Gates, Verdict, Who};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// The format that this code writes and reads.
pub const FORMAT: u32 = 1;

/// Which configuration of an environment is current, and what is killed in it. Pointers are
/// ordered by incarnation, then sequence; a kill raises the sequence and leaves the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Rises when the environment's object is restored from a backup.
    pub incarnation: u64,
    /// Rises with every change of the pointer.
    pub sequence: u64,
    /// The snapshot's version.
    pub version: u64,
    /// Whether the whole environment is killed.
    pub kill: bool,
    /// Numbers of the killed flags.
    pub killed: Vec<u32>,
}

impl Pointer {
    /// Reads a pointer.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where the pointer stands in the order of pointers.
    pub fn order(&self) -> (u64, u64) {
        (self.incarnation, self.sequence)
    }

    /// What it switches off.
    pub fn kills(&self) -> Kills {
        Kills::new(self.kill, self.killed.clone())
    }
}

/// A loaded snapshot.
#[derive(Debug)]
pub struct Snapshot {
    /// Incarnation and version, its place in the order of snapshots.
    pub order: (u64, u64),
    /// The flags and segments.
    pub flags: FlagSet,
    /// Client and server tokens by the SHA-256 of their text, in hexadecimal.
    pub tokens: HashMap<Box<str>, TokenEntry>,
    /// Origins that browsers may call from; `*` alone is any.
    pub origins: Vec<String>,
    /// Attributes that client tokens may not set.
    pub trusted: Vec<String>,
    /// What apps are given at their start.
    pub startup: Startup,
    /// Keys with which backends sign contexts, the newest first.
    pub context_keys: Vec<Vec<u8>>,
    /// The routes, compiled.
    pub routes: Routes,
    /// The update gates.
    pub gates: Gates,
    /// About how many bytes it takes in memory.
    pub bytes: usize,
}

/// What an environment gives its apps at their start, ready to be written.
#[derive(Debug)]
pub struct Startup {
    /// Members of the answer's `settings`: `"pollSeconds":20,"parameters":{}`.
    pub members: String,
    /// Hash of the members.
    pub digest: u64,
    /// Apps that another environment answers.
    pub elsewhere: Vec<Elsewhere>,
}

/// What a snapshot knows of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Its number within the environment.
    pub id: Box<str>,
    /// What it is for.
    pub kind: TokenKind,
    /// When it ends; never when absent.
    pub expires: Option<Instant>,
    /// What bulk answers carry besides the flags.
    pub extras: Extras,
    /// The end of the newest stream URL that was signed for it, seconds since 1970, and what was signed.
    pub signed: RefCell<(i64, Box<str>)>,
}

impl TokenEntry {
    /// Whether it has not ended.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// Parts of OFREP's bulk answer that a token asks for when it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `metadata`: the flag set and its version.
    pub metadata: bool,
    /// `eventStreams`: where changes are announced.
    pub event_streams: bool,
}

impl Extras {
    /// The words in documents.
    pub const WORDS: [&'static str; 2] = ["metadata", "eventStreams"];

    /// Reads the words, separated by commas; those that are unknown say nothing.
    pub fn of(words: &str) -> Self {
        let has = |word| words.split(',').any(|given| given == word);
        Self { metadata: has(Self::WORDS[0]), event_streams: has(Self::WORDS[1]) }
    }
}

/// Why a snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The text is not a snapshot.
    Unreadable(String),
    /// It was written by newer code.
    Format(u32),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(detail) => write!(f, "the snapshot cannot be read: {detail}"),
            Self::Format(format) => write!(f, "the snapshot has format {format}, this code reads {FORMAT}"),
        }
    }
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    format: u32,
    incarnation: u64,
    version: u64,
    #[serde(default)]
    #[serde(borrow)]
    settings: Settings<'a>,
    #[serde(default)]
    context_keys: Vec<String>,
    #[serde(borrow, default)]
    tokens: Vec<Token<'a>>,
    #[serde(borrow, default)]
    segments: Vec<Entity<'a>>,
    #[serde(borrow, default)]
    flags: Vec<Entity<'a>>,
    #[serde(borrow, default)]
    routes: Vec<Entity<'a>>,
    #[serde(borrow, default)]
    channels: Vec<Entity<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings<'a> {
    origins: Vec<String>,
    trusted: Vec<String>,
    poll_seconds: Option<i64>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    elsewhere: Vec<Elsewhere>,
}

impl Settings<'_> {
    fn startup(&self) -> Startup {
        let (poll, parameters) =
            (self.poll_seconds.unwrap_or(POLL_SECONDS), self.parameters.map_or("{}", RawValue::get));
        let members = format!(r#""pollSeconds":{poll},"parameters":{parameters}"#);
        Startup { digest: xxh3_64(members.as_bytes()), members, elsewhere: self.elsewhere.clone() }
    }
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    #[serde(default)]
    expires: Option<i64>,
    #[serde(default)]
    ofrep: String,
}

#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(default)]
    id: u32,
    revision: u64,
    #[serde(borrow)]
    document: &'a RawValue,
}

impl Snapshot {
    /// Reads a snapshot's text and compiles its flags; those unchanged since `previous` are taken
    /// over. Parts that this code cannot read are left out, each a flag's own fault at worst.
    pub fn load(text: &str, previous: Option<&Snapshot>) -> Result<Snapshot, LoadError> {
        let unreadable = |error: serde_json::Error| LoadError::Unreadable(error.to_string());
        // A newer format may have another shape: only its number is looked at then.
        let wire: Wire<'_> = match serde_json::from_str(text) {
            Ok(wire) => wire,
            Err(error) => {
                let head: Head = serde_json::from_str(text).map_err(unreadable)?;
                let newer = head.format != FORMAT;
                return Err(if newer { LoadError::Format(head.format) } else { unreadable(error) });
            }
        };
        if wire.format != FORMAT {
            return Err(LoadError::Format(wire.format));
        }
        let flags =
            FlagSet::compile(&sources(&wire.segments), &sources(&wire.flags), previous.map(|snapshot| &snapshot.flags));
        let gates = Gates::compile(&sources(&wire.channels), &flags, previous.map(|snapshot| &snapshot.gates));
        let startup = wire.settings.startup();
        let context_keys: Vec<Vec<u8>> =
            wire.context_keys.iter().filter_map(|key| URL_SAFE_NO_PAD.decode(key).ok()).collect();
        let routes = documents(&wire.routes, RouteDocument::read);
        let bytes = flags.bytes()
            + gates.bytes()
            + startup.members.len()
            + 4_096
            + wire.tokens.len() * 200
            + routes.len() * 2_000;
        Ok(Snapshot {
            routes: Routes::compile(&routes, &flags, &context_keys),
            order: (wire.incarnation, wire.version),
            flags,
            tokens: wire.tokens.iter().filter_map(token).collect(),
            startup,
            origins: wire.settings.origins,
            trusted: wire.settings.trusted,
            context_keys,
            gates,
            bytes,
        })
    }

    /// The snapshot's version.
    pub fn version(&self) -> u64 {
        self.order.1
    }

    /// What an app is to do. `context` is one of this snapshot's flags.
    pub fn gate<'s>(
        &'s self,
        request: &update::Request<'_>,
        context: &Context<'_>,
        kills: &Kills,
        scratch: &mut Scratch,
    ) -> Verdict<'s> {
        self.gates.decide(request, &mut Who { flags: &self.flags, context, kills, scratch })
    }
}

fn sources<'a>(entities: &'a [Entity<'a>]) -> Vec<Source<'a>> {
    let source = |entity: &'a Entity<'a>| Source {
        key: &entity.key,
        id: entity.id,
        revision: entity.revision,
        text: entity.document.get(),
    };
    entities.iter().map(source).collect()
}

fn token(wire: &Token<'_>) -> Option<(Box<str>, TokenEntry)> {
    let kind = TokenKind::parse(&wire.kind)?;
    let (expires, extras) = (wire.expires.map(Instant::from_millis), Extras::of(&wire.ofrep));
    let entry = TokenEntry { id: (*wire.id).into(), kind, expires, extras, signed: RefCell::default() };
    Some(((*wire.sha256).into(), entry))
}

type Read<T> = fn(&Node<'_>, &At<'_>, &mut Problems) -> Option<T>;

/// Documents with their keys and numbers.
fn documents<T>(entities: &[Entity<'_>], read: Read<T>) -> Vec<(String, u32, T)> {
    let document = |entity: &Entity<'_>| {
        let mut problems = Problems::default();
        let document = read(&parse(entity.document.get()).ok()?, &At::ROOT, &mut problems)?;
        problems.is_empty().then(|| (entity.key.to_string(), entity.id, document))
    };
    entities.iter().filter_map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"format":1,"environment":"p/e","incarnation":1,"version":7,"settings":{"origins":["*"],"later":1,"pollSeconds":60,"parameters":{"api":"x"}},
        "contextKeys":["AAAA"],"tokens":[{"id":"t1","kind":"client","sha256":"ab","expires":9,"ofrep":"metadata,later"},{"id":"t2","kind":"new","sha256":"cd"}],
        "segments":[],"flags":[{"key":"f","id":3,"revision":2,"document":{"type":"boolean","variants":{"on":true},"off":"on","salt":"s","default":"on"}}],
        "routes":[{"key":"r","revision":1,"document":{"host":"h","flag":"f","targets":{"on":"https://a.example"}}},{"key":"bad","revision":1,"document":{}}],
        "channels":[]}"#;

    #[test]
    fn a_snapshot_is_loaded_with_all_its_parts() {
        let snapshot = Snapshot::load(TEXT, None).expect("loads");
        assert_eq!((snapshot.order, snapshot.flags.len(), snapshot.routes.len()), ((1, 7), 1, 1));
        assert_eq!(snapshot.context_keys, [[0, 0, 0]]);
        assert_eq!(snapshot.tokens.len(), 1);
        let token = &snapshot.tokens["ab"];
        let extras = Extras { metadata: true, event_streams: false };
        assert_eq!((token.expires, token.extras), (Some(Instant::from_millis(9)), extras));
        assert_eq!(snapshot.startup.members, r#""pollSeconds":60,"parameters":{"api":"x"}"#);
        let again = Snapshot::load(TEXT, Some(&snapshot)).expect("loads");
        assert_eq!(again.flags.reused(), 1);
    }

    #[test]
    fn newer_formats_and_other_texts_are_refused() {
        assert_eq!(Snapshot::load(r#"{"format":2,"flags":7}"#, None).err(), Some(LoadError::Format(2)));
        assert!(matches!(Snapshot::load("<html>", None), Err(LoadError::Unreadable(_))));
        assert!(matches!(Snapshot::load(r#"{"format":1}"#, None), Err(LoadError::Unreadable(_))));
    }

    #[test]
    fn pointers_are_ordered_by_incarnation_then_sequence() {
        let pointer = Pointer::parse(r#"{"incarnation":1,"sequence":31,"version":12,"kill":false,"killed":[17,4]}"#);
        let pointer = pointer.expect("reads");
        assert!(pointer.kills().covers(4) && !pointer.kills().covers(5));
        assert!((2, 1) > pointer.order());
        assert_eq!(Pointer::parse("{}"), None);
    }
}
