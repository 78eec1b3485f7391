//! The context of one request: what it says, what it may say, and what the edge knows better.

use super::{Place, access};
use crate::flag::{Context, Slot};
use crate::json::{Node, Number};
use crate::snapshot::Snapshot;
use crate::time::Instant;
use crate::token::TokenKind;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Where, when and for whom something is decided.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// The environment's configuration.
    pub snapshot: &'a Snapshot,
    /// The kind of the request's token.
    pub kind: TokenKind,
    /// What the platform knows of the request.
    pub place: &'a dyn Place,
    /// The present.
    pub now: Instant,
}

/// Hands over the context that a request's attributes make.
pub(super) fn with_context<T>(
    setting: &Setting<'_>,
    members: &[(Cow<'_, str>, Node<'_>)],
    decide: impl FnOnce(&Context<'_>) -> T,
) -> T {
    let (snapshot, now) = (setting.snapshot, setting.now);
    let flags = &snapshot.flags;
    let now_node = Node::Number(Number::Whole(now.millis()));
    let places: [OnceCell<Option<Node<'static>>>; 3] = Default::default();
    let signed = match members.iter().find(|(name, _)| name == "signedContext") {
        Some((_, Node::String(text))) => {
            let unit = members.iter().find(|(name, _)| name == "targetingKey").and_then(|(_, node)| node.as_str());
            access::verify(&snapshot.context_keys, text, unit.unwrap_or_default(), now)
        }
        _ => None,
    };
    let mut context = Context::new(flags.attributes(), members, now);
    if setting.kind == TokenKind::Client {
        access::restrict(&mut context, snapshot, signed.as_ref());
    }
    if context.get(Slot::TIME).is_none() {
        context.set(Slot::TIME, Some(&now_node));
    }
    for (which, slot) in Slot::PLACE.into_iter().enumerate() {
        // The platform is slow to say: it is asked where a flag looks and the context is silent.
        if flags.attributes().places()[which] && context.get(slot).is_none() {
            let name = || setting.place.name(which).map(|name| Node::String(Cow::Owned(name)));
            context.set(slot, places[which].get_or_init(name).as_ref());
        }
    }
    decide(&context)
}
