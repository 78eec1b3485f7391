//! What an answer says of the environment that gave it, besides its flags: where changes are
//! announced, and which version this is.

use super::{Call, Held};
use crate::snapshot::{Snapshot, TokenEntry};
use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Write as _;

/// Seconds of a window. A stream's URL is signed once in a window and good until the end of the next,
/// so that an answer does not change with every call, and no URL is good for longer than two hours.
const WINDOW: i64 = 3_600;
/// Seconds after which a client that nobody looks at should close its stream.
const INACTIVITY: u32 = 120;

/// Where an answer comes from.
#[derive(Clone, Copy)]
pub(super) struct Imprint<'a> {
    /// `https://host:port`, as the client has it.
    pub base: &'a str,
    /// `project/environment`
    pub environment: &'a str,
    /// The environment.
    pub held: &'a Held,
    /// Its configuration.
    pub snapshot: &'a Snapshot,
    /// The token that asks.
    pub token: &'a TokenEntry,
    /// The present.
    pub now: Instant,
}

impl Imprint<'_> {
    /// Numbers the window, for entity tags.
    pub(super) fn window(&self) -> i64 {
        self.now.millis().div_euclid(1_000 * WINDOW)
    }

    /// Writes the URL of the stream; the client behind it knows what this answer says.
    pub(super) fn write_stream_url(&self, out: &mut Vec<u8>) {
        let expires = (self.window() + 2) * WINDOW;
        let mut signed = self.token.signed.borrow_mut();
        if signed.0 != expires {
            *signed = (expires, self.sign(expires).into());
        }
        let (incarnation, sequence) = self.held.position();
        let _ = write!(out, "{}/v1/stream?{}&since={incarnation}.{sequence}", self.base, signed.1);
    }

    fn sign(&self, expires: i64) -> String {
        let (environment, token) = (self.environment, &self.token.id);
        let key = self.snapshot.context_keys.first();
        let mac = key.and_then(|key| mac(key, environment, token, expires));
        let signature = mac.map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default();
        format!("environment={environment}&token={token}&expires={expires}&signature={signature}")
    }

    /// Adds what the extras hang on to the digests of an entity tag.
    pub(super) fn digest_extras(&self, digests: &mut Vec<u8>) {
        if self.token.extras.metadata {
            digests.extend_from_slice(&self.snapshot.version().to_le_bytes());
        }
        if self.token.extras.event_streams {
            digests.extend_from_slice(&self.window().to_le_bytes());
        }
    }

    /// Writes the members of a bulk answer that the token was made to get.
    pub(super) fn write_extras(&self, out: &mut Vec<u8>) {
        if self.token.extras.metadata {
            let (environment, version) = (self.environment, self.snapshot.version());
            let _ = write!(out, r#","metadata":{{"flagSetId":"{environment}","version":"{version}"}}"#);
        }
        if self.token.extras.event_streams {
            out.extend_from_slice(br#","eventStreams":[{"type":"sse","url":""#);
            self.write_stream_url(out);
            let _ = write!(out, r#"","inactivityDelaySec":{INACTIVITY}}}]"#);
        }
    }
}

/// The code of a stream's URL: HMAC-SHA256 (RFC 2104) with a key of its own, made from one of the
/// environment's keys for signed contexts.
fn mac(key: &[u8], environment: &str, token: &str, expires: i64) -> Option<Hmac<Sha256>> {
    let keyed = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    let own = keyed(key, "headgate stream")?.finalize().into_bytes();
    keyed(&own, &format!("{environment}\n{token}\n{expires}"))
}

/// Whether a stream's URL was signed here.
pub(super) fn is_signed(keys: &[Vec<u8>], environment: &str, token: &str, expires: i64, signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let signs = |key: &Vec<u8>| Some(mac(key, environment, token, expires)?.verify_slice(&signature).is_ok());
    keys.iter().any(|key| signs(key) == Some(true))
}

/// The place in the order of pointers that a request was told of, as OFREP's clients repeat it from
/// a stream: `flagConfigEtag="1.31"`, percent-encoded.
pub(super) fn told(call: &Call<'_>) -> Option<(u64, u64)> {
    let value = call.query().split('&').find_map(|pair| pair.strip_prefix("flagConfigEtag="))?;
    let value = value.strip_prefix("W/").or_else(|| value.strip_prefix("W%2F")).unwrap_or(value);
    let value = value.trim_start_matches("%22").trim_end_matches("%22").trim_matches('"');
    let (incarnation, sequence) = value.split_once('.')?;
    Some((incarnation.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_of_environment_token_and_end() {
        let keys = [vec![1; 32], vec![2; 32]];
        let sign = |key: &[u8]| {
            let mac = mac(key, "p/e", "t3", 7).expect("any key");
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        };
        assert!(is_signed(&keys, "p/e", "t3", 7, &sign(&[1; 32])) && is_signed(&keys, "p/e", "t3", 7, &sign(&[2; 32])));
        let good = sign(&[1; 32]);
        assert!(!is_signed(&keys, "p/f", "t3", 7, &good) && !is_signed(&keys, "p/e", "t4", 7, &good));
        assert!(!is_signed(&keys, "p/e", "t3", 8, &good) && !is_signed(&keys, "p/e", "t3", 7, &sign(&[3; 32])));
        assert!(!is_signed(&keys, "p/e", "t3", 7, "") && !is_signed(&keys, "p/e", "t3", 7, "!"));
        assert!(!is_signed(&[], "p/e", "t3", 7, &good));
    }

    #[test]
    fn what_a_stream_told_is_read_in_every_spelling() {
        let read = |query: &str| {
            let target = format!("/ofrep/v1/evaluate/flags?{query}");
            told(&Call { target: &target, ..Call::default() })
        };
        for spelling in ["%221.31%22", "1.31", "\"1.31\"", "W/%221.31%22", "W%2F%221.31%22"] {
            assert_eq!(read(&format!("a=b&flagConfigEtag={spelling}&flagConfigLastModified=7")), Some((1, 31)));
        }
        for nothing in ["", "flagConfigEtag=", "flagConfigEtag=abc", "flagConfigEtag=1", "xflagConfigEtag=1.2"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
