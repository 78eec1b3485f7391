//! Access tokens as texts: how they are made, read and compared. Only their SHA-256 is ever stored.
//!
//! `hgc_pairity_production_` + 32 characters of secret + 6 of checksum. The keys of project and
//! environment hold no `_`, so the parts fall apart at it; the checksum lets a mistyped token be
//! refused without a look-up.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The scope of tokens that are good for every environment: no project may have this key.
pub const DEPLOYMENT: &str = "deployment";
const EVERYWHERE: &str = "all";
const SECRET: usize = 32;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Shipped with apps, hence public: evaluation of client-visible flags, and events.
    Client,
    /// Kept by backends: evaluation of all flags, trusted attributes, events.
    Server,
    /// Reads and changes configuration, as far as its role goes.
    Admin,
}

impl TokenKind {
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::Client, "client", "hgc_"), (Self::Server, "server", "hgs_"), (Self::Admin, "admin", "hga_")];

    /// The word in documents and snapshots.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    fn prefix(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
}

/// What a token is good for, in one environment or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope<'a> {
    /// One environment: the keys of project and environment.
    Environment(&'a str, &'a str),
    /// The whole deployment.
    Deployment,
}

/// A well-formed token; whether it is known, only its hash can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is for.
    pub kind: TokenKind,
    /// Where it is good.
    pub scope: Scope<'a>,
}

/// Reads a token's parts and checks its checksum.
pub fn parse(text: &str) -> Option<Token<'_>> {
    let (kind, rest) = TokenKind::ALL.iter().find_map(|row| Some((row.0, text.strip_prefix(row.2)?)))?;
    let (project, rest) = rest.split_once('_')?;
    let (environment, secret) = rest.split_once('_')?;
    let alphabet = secret.len() == SECRET + CHECKSUM && secret.bytes().all(|b| ALPHABET.contains(&b));
    let keys = crate::id::check_scope_key(project).is_ok() && crate::id::check_scope_key(environment).is_ok();
    if !alphabet || !keys {
        return None;
    }
    let (body, given) = text.split_at(text.len() - CHECKSUM);
    if checksum(body) != given {
        return None;
    }
    let scope = if project == DEPLOYMENT { Scope::Deployment } else { Scope::Environment(project, environment) };
    Some(Token { kind, scope })
}

/// Makes a token from 32 random bytes.
pub fn mint(kind: TokenKind, scope: Scope<'_>, random: &[u8; 32]) -> String {
    let (project, environment) = match scope {
        Scope::Environment(project, environment) => (project, environment),
        Scope::Deployment => (DEPLOYMENT, EVERYWHERE),
    };
    let secret: String = random.iter().map(|byte| letter(u64::from(*byte))).collect();
    let body = format!("{}{project}_{environment}_{secret}", kind.prefix());
    let checksum = checksum(&body);
    body + &checksum
}

fn letter(bits: u64) -> char {
    char::from(ALPHABET[usize::from((bits & 31) as u8)])
}

fn checksum(body: &str) -> String {
    let hash = xxh3_64(body.as_bytes());
    (0..CHECKSUM).map(|index| letter(hash >> (5 * index))).collect()
}

/// SHA-256 in lower-case hexadecimal: the form in which tokens are stored and looked up.
pub fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Whether two texts are the same, in a time that depends on their length alone.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

/// The credential of an `Authorization: Bearer` header.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, credential) = authorization.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_typing_errors_found() {
        let random: [u8; 32] = std::array::from_fn(|i| u8::try_from(i * 7).expect("small"));
        let scope = Scope::Environment("pairity", "pre-prod");
        let text = mint(TokenKind::Server, scope, &random);
        assert_eq!(parse(&text), Some(Token { kind: TokenKind::Server, scope }));
        for index in 0..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[index] = if typo[index] == b'q' { b'r' } else { b'q' };
            let typo = String::from_utf8(typo).expect("text");
            assert_eq!(parse(&typo), None, "{typo}");
        }
        assert_eq!(parse(""), None);
        assert_eq!(parse("hga_a_b_"), None);
    }

    #[test]
    fn the_form_is_pinned() {
        let text = mint(TokenKind::Admin, Scope::Deployment, &[9; 32]);
        assert_eq!(text, "hga_deployment_all_jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj".to_owned() + &text[51..]);
        assert_eq!(parse(&text).map(|token| token.scope), Some(Scope::Deployment));
        assert_eq!(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn comparison_and_header() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"abcd"));
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("Bearer "), None);
    }
}
