//! Tokens: made, listed, rotated, revoked and recognised. An environment keeps its own, so that a
//! kill depends on nothing else; the directory keeps those that are good everywhere.

use super::entropy::Entropy;
use super::sql::{Row, Sql};
use super::{Principal, Role};
use crate::http::{Answer, Fault, Refusal};
use crate::json::{At, Fields, Node, Problems, elements, integer, one_of, parse, text};
use crate::limits;
use crate::snapshot::Extras;
use crate::time::Instant;
use crate::token::{Scope, TokenKind, mint, same, sha256_hex};
use serde::Serialize;

/// What may be known of a token: all but itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo {
    /// Names it in calls and in audit entries.
    pub id: String,
    /// `client`, `server` or `admin`.
    pub kind: String,
    /// How far an admin token goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When it ceases to be good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whether it has ceased already.
    pub expired: bool,
    /// What bulk answers carry besides the flags: `metadata`, `eventStreams`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ofrep: Vec<String>,
}

/// A token that was just made: the only time that it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// What may be known of it.
    #[serde(flatten)]
    pub info: TokenInfo,
    /// The token itself.
    pub token: String,
    /// The token that it replaces, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<TokenInfo>,
}

/// What a new token shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    kind: TokenKind,
    role: Option<Role>,
    name: String,
    expires: Option<Instant>,
    ofrep: Vec<String>,
    /// Why it is made.
    pub reason: Option<String>,
}

impl TokenRequest {
    /// Reads the body of a request for a token that is good in `scope`.
    pub fn read(body: &str, scope: Scope<'_>, now: Instant) -> Answer<Self> {
        const KINDS: [(&str, TokenKind); 3] =
            [("client", TokenKind::Client), ("server", TokenKind::Server), ("admin", TokenKind::Admin)];
        const ROLES: [(&str, Role); 4] =
            [("viewer", Role::Viewer), ("editor", Role::Editor), ("approver", Role::Approver), ("owner", Role::Owner)];
        let node = parse(body)?;
        let (mut problems, at) = (Problems::default(), At::ROOT);
        let problems = &mut problems;
        let Some(mut fields) = Fields::open(&node, &at, problems) else {
            return Err(Refusal::invalid(std::mem::take(problems)));
        };
        let kinds = if scope == Scope::Deployment { &KINDS[2..] } else { &KINDS[..] };
        let kind = fields.required("kind", &at, problems);
        let kind = kind.and_then(|node| one_of(node, kinds, &at.member("kind"), problems));
        let role = fields.optional("role").and_then(|node| one_of(node, &ROLES, &at.member("role"), problems));
        let name = fields.required("name", &at, problems);
        let name = name.and_then(|node| text(node, limits::KEY_LENGTH, &at.member("name"), problems));
        let reason = fields.optional("reason");
        let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), problems));
        let expires = fields.optional("expiresAt").and_then(|node| {
            let expires = node.as_str().and_then(Instant::parse).filter(|at| *at > now);
            if expires.is_none() {
                problems.add(&at.member("expiresAt"), "must be a date and time in the future");
            }
            expires
        });
        let ofrep = fields.optional("ofrep").map(|node| read_ofrep(node, &at.member("ofrep"), problems));
        let ofrep = ofrep.unwrap_or_default();
        fields.finish(&at, problems);
        if kind == Some(TokenKind::Admin) && !ofrep.is_empty() {
            problems.add(&at.member("ofrep"), "only client and server tokens evaluate flags");
        }
        match (kind, role) {
            (Some(TokenKind::Admin), None) => problems.add(&at, "`role` is missing: an admin token has one"),
            (Some(TokenKind::Client | TokenKind::Server), Some(_)) => {
                problems.add(&at.member("role"), "only admin tokens have a role");
            }
            _ => {}
        }
        match (kind, name) {
            (Some(kind), Some(name)) if problems.is_empty() => {
                let reason = reason.map(str::to_owned);
                Ok(Self { kind, role, name: name.to_owned(), expires, ofrep, reason })
            }
            _ => Err(Refusal::invalid(std::mem::take(problems))),
        }
    }
}

fn read_ofrep(node: &Node<'_>, at: &At<'_>, problems: &mut Problems) -> Vec<String> {
    let words = Extras::WORDS.map(|word| (word, word));
    let list = elements(node, words.len(), at, problems).unwrap_or_default();
    let one = |(index, node)| one_of(node, &words, &at.element(index), problems);
    list.iter().enumerate().filter_map(one).map(str::to_owned).collect()
}

const COLUMNS: &str = "number, kind, role, name, created_at, created_by, expires_at, sha256, ofrep";

fn info(row: &Row, now: Instant) -> Answer<TokenInfo> {
    let expires = row.optional_integer(6)?.map(Instant::from_millis);
    Ok(TokenInfo {
        id: format!("t{}", row.integer(0)?),
        kind: row.text(1)?,
        role: row.optional_text(2)?,
        name: row.text(3)?,
        created_at: Instant::from_millis(row.integer(4)?).to_string(),
        created_by: row.text(5)?,
        expires_at: expires.map(|at| at.to_string()),
        expired: expires.is_some_and(|at| at <= now),
        ofrep: row.text(8)?.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    })
}

/// All tokens, oldest first.
pub fn list(sql: &dyn Sql, now: Instant) -> Answer<Vec<TokenInfo>> {
    let rows = sql.rows(&format!("SELECT {COLUMNS} FROM token ORDER BY number"), &[])?;
    rows.iter().map(|row| info(row, now)).collect()
}

/// Recognises an admin token by its hash.
pub fn authenticate(sql: &dyn Sql, now: Instant, sha256: &str) -> Answer<Option<Principal>> {
    let row = sql.first(&format!("SELECT {COLUMNS} FROM token WHERE sha256 = ?"), &[sha256.into()])?;
    let Some(row) = row else { return Ok(None) };
    let found = info(&row, now)?;
    let role = found.role.as_deref().and_then(Role::parse);
    let good =
        found.kind == TokenKind::Admin.word() && !found.expired && same(row.text(7)?.as_bytes(), sha256.as_bytes());
    Ok(role.filter(|_| good).map(|role| Principal { actor: format!("{} ({})", found.name, found.id), role }))
}

/// For how long expired tokens are listed: long enough to be asked about.
const REMEMBERED: i64 = 30 * 24 * 3600 * 1000;

/// Where tokens are made: storage, time, randomness and scope.
pub struct Mint<'a> {
    /// The storage.
    pub sql: &'a dyn Sql,
    /// The present.
    pub now: Instant,
    /// Randomness.
    pub entropy: &'a Entropy<'a>,
    /// What new tokens are good for.
    pub scope: Scope<'a>,
}

impl Mint<'_> {
    /// Makes a token.
    pub fn create(&self, request: &TokenRequest, actor: &str) -> Answer<NewToken> {
        let long_gone = self.now.plus_millis(-REMEMBERED);
        self.sql.run("DELETE FROM token WHERE expires_at < ?", &[long_gone.into()])?;
        if self.sql.number("SELECT count(*) FROM token", &[])? >= i64::try_from(limits::TOKENS).unwrap_or(i64::MAX) {
            return Err(Refusal::new(Fault::Limit, format!("there are {} tokens already", limits::TOKENS)));
        }
        let token = mint(request.kind, self.scope, &self.entropy.bytes());
        self.sql.run(
            "INSERT INTO token (kind, role, name, sha256, expires_at, created_at, created_by, ofrep)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                request.kind.word().into(),
                request.role.map(Role::word).into(),
                (&request.name).into(),
                sha256_hex(&token).into(),
                request.expires.into(),
                self.now.into(),
                actor.into(),
                request.ofrep.join(",").into(),
            ],
        )?;
        let number = self.sql.number("SELECT max(number) FROM token", &[])?;
        Ok(NewToken { info: self.find(&format!("t{number}"))?, token, replaces: None })
    }

    /// Makes a token like the one of this id, which stays good for `overlap` seconds.
    pub fn rotate(&self, id: &str, overlap: i64, actor: &str) -> Answer<NewToken> {
        let old = self.find(id)?;
        let expires = old.expires_at.as_deref().and_then(Instant::parse);
        if old.expired {
            return Err(Refusal::new(Fault::UnknownEntity, format!("the token `{id}` has expired")));
        }
        let kind = TokenKind::parse(&old.kind).unwrap_or(TokenKind::Client);
        let role = old.role.as_deref().and_then(Role::parse);
        let request = TokenRequest { kind, role, name: old.name, expires: None, ofrep: old.ofrep, reason: None };
        let mut made = self.create(&request, actor)?;
        let end = self.now.plus_millis(overlap.saturating_mul(1000));
        let end = expires.map_or(end, |expires| expires.min(end));
        self.sql.run("UPDATE token SET expires_at = ? WHERE number = ?", &[end.into(), number(id).into()])?;
        made.replaces = Some(self.find(id)?);
        Ok(made)
    }

    /// Forgets a token.
    pub fn revoke(&self, id: &str) -> Answer<TokenInfo> {
        let old = self.find(id)?;
        self.sql.run("DELETE FROM token WHERE number = ?", &[number(id).into()])?;
        Ok(old)
    }

    fn find(&self, id: &str) -> Answer<TokenInfo> {
        let query = format!("SELECT {COLUMNS} FROM token WHERE number = ?");
        match self.sql.first(&query, &[number(id).into()])? {
            Some(row) => info(&row, self.now),
            None => Err(Refusal::new(Fault::UnknownEntity, format!("there is no token `{id}`"))),
        }
    }
}

fn number(id: &str) -> i64 {
    id.strip_prefix('t').and_then(|digits| digits.parse().ok()).filter(|number| *number < 1 << 53).unwrap_or(0)
}

/// Seconds for which a replaced token or key stays good, and why it is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateRequest {
    /// Seconds.
    pub overlap: i64,
    /// Why.
    pub reason: Option<String>,
}

/// A day: long enough to roll a new token out, short enough not to be forgotten.
const OVERLAP: i64 = 24 * 3600;

impl RotateRequest {
    /// Reads `{"overlap": seconds, "reason": text}`, both optional.
    pub fn read(body: &str) -> Answer<Self> {
        if body.trim().is_empty() {
            return Ok(Self { overlap: OVERLAP, reason: None });
        }
        let node = parse(body)?;
        let (mut problems, at) = (Problems::default(), At::ROOT);
        let Some(mut fields) = Fields::open(&node, &at, &mut problems) else {
            return Err(Refusal::invalid(problems));
        };
        let overlap = fields.optional("overlap");
        let overlap = overlap.and_then(|node| integer(node, 0..=90 * OVERLAP, &at.member("overlap"), &mut problems));
        let reason = fields.optional("reason");
        let reason = reason.and_then(|node| text(node, limits::TEXT_LENGTH, &at.member("reason"), &mut problems));
        fields.finish(&at, &mut problems);
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems));
        }
        Ok(Self { overlap: overlap.unwrap_or(OVERLAP), reason: reason.map(str::to_owned) })
    }
}

#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests {
    use super::super::schema::{TOKEN, TOKEN_OFREP};
    use super::super::sql::memory::Memory;
    use super::*;

    #[test]
    fn a_token_is_recognised_until_it_is_rotated_out_or_revoked() {
        let memory = Memory::new();
        let sql: &dyn Sql = &memory;
        for statement in [TOKEN, TOKEN_OFREP] {
            sql.run(statement, &[]).expect("creates");
        }
        let entropy = Entropy::new(b"x");
        let scope = Scope::Environment("pairity", "production");
        let mint = |now| Mint { sql, now: Instant::from_millis(now), entropy: &entropy, scope };
        let body = r#"{"kind":"admin","role":"editor","name":"ci"}"#;
        let request = TokenRequest::read(body, scope, Instant::from_millis(0)).expect("valid");
        let first = mint(0).create(&request, "ann").expect("made");
        let known = |token: &str, now| {
            authenticate(sql, Instant::from_millis(now), &sha256_hex(token)).expect("answers").map(|p| p.actor)
        };
        assert_eq!(known(&first.token, 0).as_deref(), Some("ci (t1)"));
        let second = mint(1000).rotate("t1", 10, "ann").expect("rotated");
        assert_eq!(known(&first.token, 10_999).as_deref(), Some("ci (t1)"));
        assert_eq!(known(&first.token, 11_000), None);
        assert_eq!(known(&second.token, 11_000).as_deref(), Some("ci (t2)"));
        mint(12_000).revoke("t2").expect("revoked");
        assert_eq!(known(&second.token, 12_000), None);
        assert_eq!(mint(0).revoke("t2").expect_err("gone").fault(), Fault::UnknownEntity);
        let stored = sql.rows("SELECT sha256 || name FROM token", &[]).expect("reads");
        assert!(stored.iter().all(|row| !row.text(0).expect("text").contains(&first.token)));
    }

    #[test]
    fn requests_are_checked_as_a_whole() {
        let scope = Scope::Environment("p", "e");
        let read =
            |body| TokenRequest::read(body, scope, Instant::from_millis(0)).expect_err("refused").problems().len();
        assert_eq!(read(r#"{"kind":"root","expiresAt":"1969-01-01","x":1}"#), 4);
        assert_eq!(read(r#"{"kind":"client","name":"a","role":"owner"}"#), 1);
        assert_eq!(read(r#"{"kind":"admin","name":"a"}"#), 1);
        assert_eq!(read(r#"{"kind":"admin","role":"owner","name":"a","ofrep":["metadata"]}"#), 1);
        assert_eq!(read(r#"{"kind":"client","name":"a","ofrep":["metadata","?"]}"#), 1);
    }
}
