//! What an app asks at its start: what it says of itself, and for whom it asks.

use super::Call;
use crate::flag::serve::TARGETING_KEY;
use crate::http::{Answer, Fault, Query, Refusal};
use crate::json::{At, Node, Number, Problems, entries, parse};
use crate::limits;
use crate::startup::Fact;
use crate::update;
use std::borrow::Cow;

/// Members of an evaluation context.
type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// What an app asks, wherever it has written it.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    /// What the app says of itself, by its name in a request; empty texts are left out.
    facts: Vec<(&'static str, Cow<'a, str>)>,
    /// The evaluation context: what the request's says, with the facts it is silent about.
    pub context: Members<'a>,
}

/// Parameters that any request may name: what an OFREP client was told by a stream.
const TOLD: [&str; 2] = ["flagConfigEtag", "flagConfigLastModified"];

/// The name under which a field is known, if it is.
fn field(name: &str) -> Option<&'static str> {
    let fact = Fact::named(name).map(|fact| fact.name);
    fact.or_else(|| update::Request::FIELDS.iter().copied().find(|field| *field == name))
}

impl<'a> Asked<'a> {
    /// Reads a request. A GET stands in logs and histories, so it takes nothing of a person.
    pub(super) fn read(call: &Call<'a>) -> Answer<Self> {
        if call.method == "GET" { Self::of_query(call.query()) } else { Self::of_body(call) }
    }

    fn of_query(query: &str) -> Answer<Self> {
        for personal in ["unit", TARGETING_KEY, "context", "attributes"] {
            if query.split('&').any(|pair| pair.split('=').next() == Some(personal)) {
                let detail = format!("`{personal}` belongs into the body of a POST: URLs end up in logs");
                return Err(Refusal::new(Fault::BadParameter, detail));
            }
        }
        let mut known: Vec<&str> = update::Request::FIELDS.to_vec();
        known.extend(["bundleId", "appVersion"]);
        known.extend(TOLD);
        let query = Query::read(query, &known)?;
        let mut asked = Self::default();
        for name in known {
            if let (Some(value), Some(name)) = (query.get(name), field(name)) {
                asked.say(name, Cow::Owned(value.to_owned()));
            }
        }
        asked.complete();
        Ok(asked)
    }

    fn of_body(call: &Call<'a>) -> Answer<Self> {
        if call.size > limits::CONTEXT_BYTES {
            let detail = format!("the body has at most {} bytes", limits::CONTEXT_BYTES);
            return Err(Refusal::new(Fault::TooLarge, detail));
        }
        if call.body.trim().is_empty() {
            return Ok(Self::default());
        }
        let node = parse(call.body)?;
        let mut problems = Problems::default();
        entries(&node, &At::ROOT, &mut problems);
        let mut asked = Self::default();
        let (mut unit, mut attributes) = (None, Vec::new());
        for (name, node) in if let Node::Object(members) = node { members } else { Vec::new() } {
            let at = At::ROOT.member(&name);
            match (&*name, node) {
                ("context" | "attributes" | "unit", Node::Null) => {}
                (part @ ("context" | "attributes"), node) => {
                    // A name given twice is a problem: who checks the first and uses the last can be deceived.
                    entries(&node, &at, &mut problems);
                    let members = if let Node::Object(members) = node { members } else { Vec::new() };
                    if part == "context" { asked.context = members } else { attributes = members }
                }
                ("unit", Node::String(text)) => unit = Some(text),
                ("unit", other) => problems.add(&at, format!("must be a string, not {}", other.kind())),
                (_, node) => asked.member(field(&name), node, &at, &mut problems),
            }
        }
        for (part, members) in [("context", &asked.context), ("attributes", &attributes)] {
            let named = members.iter().find(|(name, _)| name == TARGETING_KEY);
            if named.is_some_and(|(_, node)| !matches!(node, Node::String(_) | Node::Null)) {
                problems.add(&At::ROOT.member(part).member(TARGETING_KEY), "must be a string");
            }
        }
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems));
        }
        asked.context.retain(|(name, _)| !attributes.iter().any(|(other, _)| other == name));
        asked.context.append(&mut attributes);
        if let Some(unit) = unit {
            asked.set_unit(unit);
        }
        asked.complete();
        Ok(asked)
    }

    fn member(&mut self, field: Option<&'static str>, node: Node<'a>, at: &At<'_>, problems: &mut Problems) {
        match (field, node) {
            (None, _) => problems.add(at, "unknown field"),
            (Some(_), Node::Null) => {}
            (Some(name), Node::String(text)) => self.say(name, text),
            (Some(name), Node::Number(Number::Whole(number))) => self.say(name, Cow::Owned(number.to_string())),
            (Some(_), other) => {
                problems.add(at, format!("must be a string or a whole number, not {}", other.kind()));
            }
        }
    }

    fn say(&mut self, name: &'static str, value: Cow<'a, str>) {
        if !value.is_empty() {
            self.facts.push((name, value));
        }
    }

    /// Puts the facts into the context, where it says nothing of them.
    fn complete(&mut self) {
        for (name, value) in &self.facts {
            let Some(fact) = Fact::named(name) else { continue };
            if !self.context.iter().any(|(known, _)| known == fact.attribute) {
                self.context.push((Cow::Borrowed(fact.attribute), fact.value(value)));
            }
        }
    }

    /// What the app says of itself under this name; empty when it does not.
    pub(super) fn fact(&self, name: &str) -> &str {
        self.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// What the update gates are asked.
    pub(super) fn gate(&self) -> update::Request<'_> {
        update::Request::of(&|name| Some(self.fact(name)))
    }

    fn unit_node(&self) -> Option<&Node<'a>> {
        self.context.iter().find(|(name, _)| name == TARGETING_KEY).map(|(_, node)| node)
    }

    /// The unit, when there is one.
    pub(super) fn unit(&self) -> Option<&str> {
        self.unit_node().and_then(Node::as_str).filter(|unit| !unit.is_empty())
    }

    /// Asks for this unit.
    pub(super) fn set_unit(&mut self, unit: Cow<'a, str>) {
        self.context.retain(|(name, _)| name != TARGETING_KEY);
        self.context.push((Cow::Borrowed(TARGETING_KEY), Node::String(unit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &str) -> Answer<Asked<'_>> {
        Asked::read(&Call { method: "POST", body, size: body.len(), ..Call::default() })
    }

    fn pointers(body: &str) -> Vec<String> {
        let refusal = post(body).expect_err("refused");
        refusal.problems().iter().map(|problem| problem.pointer.clone()).collect()
    }

    #[test]
    fn facts_fill_what_the_context_is_silent_about() {
        let body = r#"{"bundleId":"a.b","appVersion":"2.5","build":512,"platform":null,"unit":"u",
            "context":{"app_version":"9","targetingKey":"v"},"attributes":{"plan":"x"}}"#;
        let asked = post(body).expect("reads");
        assert_eq!((asked.unit(), asked.fact("app"), asked.fact("version")), (Some("u"), "a.b", "2.5"));
        assert_eq!((asked.fact("build"), asked.fact("platform")), ("512", ""));
        let found: Vec<_> = asked.context.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(found, ["app_version", "plan", "targetingKey", "app", "build"]);
        assert_eq!(asked.context[0].1.as_str(), Some("9"), "the context goes first");
    }

    #[test]
    fn no_name_is_left_twice() {
        let body = r#"{"context":{"targetingKey":"u","signedContext":"a","x":1},"attributes":{"targetingKey":"v","signedContext":"b"}}"#;
        let asked = post(body).expect("reads");
        let found: Vec<_> = asked.context.iter().map(|(name, node)| (name.as_ref(), node.as_str())).collect();
        assert_eq!(found, [("x", None), ("targetingKey", Some("v")), ("signedContext", Some("b"))]);
        assert_eq!(asked.unit(), Some("v"));
    }

    #[test]
    fn an_empty_body_asks_too() {
        for body in ["", " ", "{}", r#"{"unit":null,"context":null}"#, r#"{"unit":""}"#] {
            assert_eq!(post(body).expect(body).unit(), None, "{body}");
        }
    }

    #[test]
    fn wrong_types_and_unknown_fields_are_named_all_at_once() {
        let body = r#"{"platform":true,"context":[],"attributes":1,"unit":2,"more":0,"build":1.5,"build":1}"#;
        let expected = ["/build", "/platform", "/context", "/attributes", "/unit", "/more", "/build"];
        assert_eq!(pointers(body), expected);
        assert_eq!(
            pointers(r#"{"attributes":{"targetingKey":1,"a":1,"a":2}}"#),
            ["/attributes/a", "/attributes/targetingKey"]
        );
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers(r#"{"context":{"targetingKey":7}}"#), ["/context/targetingKey"]);
        assert_eq!(post("{").expect_err("refused").fault(), Fault::NotJson);
    }

    #[test]
    fn a_url_takes_nothing_of_a_person() {
        let get = |target| Asked::read(&Call { method: "GET", target, ..Call::default() });
        let asked = get("/v1/startup?bundleId=a.b&version=2.5&build=5&flagConfigEtag=1.2").expect("reads");
        assert_eq!((asked.fact("app"), asked.fact("version"), asked.fact("build")), ("a.b", "2.5", "5"));
        for target in ["/v1/startup?unit=u", "/v1/startup?targetingKey=u", "/v1/startup?x=1", "/v1/startup?app=%zz"] {
            assert_eq!(get(target).expect_err(target).fault(), Fault::BadParameter, "{target}");
        }
    }
}
