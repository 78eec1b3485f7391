//! From method and path to a route, by the table alone.

use super::query::decode;
use super::table::{Method, Operation, Row, TABLE};
use super::{Fault, Refusal};
use crate::id::{check_key, check_scope_key};

/// The collections of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Feature flags.
    Flag,
    /// Reusable audiences.
    Segment,
    /// Web traffic by variant.
    Route,
    /// Update gates.
    Channel,
}

impl Kind {
    /// Every collection, in the order in which documents list them.
    pub const ALL: [Self; 4] = [Self::Segment, Self::Flag, Self::Route, Self::Channel];

    /// The collection's name in paths and documents.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Flag => "flags",
            Self::Segment => "segments",
            Self::Route => "routes",
            Self::Channel => "channels",
        }
    }

    /// One of them.
    pub fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    fn parse(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }
}

/// A parsed path; parts that the route does not have are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What is asked for.
    pub operation: Operation,
    /// The project's key.
    pub project: String,
    /// The environment's key.
    pub environment: String,
    /// The collection.
    pub kind: Kind,
    /// The entity's key or the token's id.
    pub key: String,
    /// The release's key.
    pub release: String,
    /// The revision or version.
    pub number: i64,
}

impl Route {
    /// `project/environment`.
    pub fn scope(&self) -> String {
        format!("{}/{}", self.project, self.environment)
    }
}

/// Why a path is no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing has this path.
    NotFound,
    /// The path exists with these methods.
    Method(Vec<Method>),
    /// Percent-encoding is broken.
    Percent,
    /// A part is not a key, or not a number.
    Key(String),
}

impl From<Miss> for Refusal {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::NotFound => Refusal::new(Fault::NotFound, "the API's routes are listed at /openapi.json"),
            Miss::Percent => Refusal::new(Fault::BadPercent, "`%` must be followed by two hexadecimal digits of UTF-8"),
            Miss::Key(detail) => Refusal::new(Fault::BadKey, detail),
            Miss::Method(methods) => {
                let allow = methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", ");
                Refusal::new(Fault::MethodNotAllowed, format!("allowed here: {allow}")).with("allow", allow)
            }
        }
    }
}

/// Finds the route of a request.
pub fn parse(method: &str, path: &str) -> Result<Route, Miss> {
    let segments: Vec<&str> = path.strip_prefix('/').ok_or(Miss::NotFound)?.split('/').collect();
    // Rows that spell a part out (`/flags/x/kill`) come before those that leave it open.
    let mut methods = Vec::new();
    for row in TABLE.iter().filter(|row| fits(row, &segments)) {
        if row.method.name() == method {
            return read(row, &segments);
        }
        methods.push(row.method);
    }
    if methods.is_empty() { Err(Miss::NotFound) } else { Err(Miss::Method(methods)) }
}

fn parts(row: &Row) -> impl Iterator<Item = &'static str> {
    row.path[1..].split('/')
}

fn fits(row: &Row, segments: &[&str]) -> bool {
    parts(row).count() == segments.len()
        && parts(row).zip(segments).all(|(part, segment)| match part {
            "{kind}" => Kind::parse(segment).is_some(),
            _ if part.starts_with('{') => !segment.is_empty(),
            _ => part == *segment,
        })
}

fn read(row: &Row, segments: &[&str]) -> Result<Route, Miss> {
    let mut route = Route {
        operation: row.operation,
        project: String::new(),
        environment: String::new(),
        kind: Kind::Flag,
        key: String::new(),
        release: String::new(),
        number: 0,
    };
    for (part, segment) in parts(row).zip(segments).filter(|(part, _)| part.starts_with('{')) {
        let text = decode(segment).ok_or(Miss::Percent)?;
        let name = part.trim_matches(['{', '}']);
        let key = |error| Miss::Key(format!("{name} `{text}` {error}"));
        match name {
            "kind" => route.kind = Kind::parse(segment).ok_or(Miss::NotFound)?,
            "project" | "environment" => {
                check_scope_key(&text).map_err(key)?;
                if name == "project" { route.project = text } else { route.environment = text }
            }
            "revision" | "version" => {
                let number = text.parse().ok().filter(|number| (1..1 << 53).contains(number));
                route.number = number.ok_or_else(|| Miss::Key(format!("{name} `{text}` must be a whole number")))?;
            }
            _ => {
                check_key(&text).map_err(key)?;
                if name == "release" { route.release = text } else { route.key = text }
            }
        }
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of this row, with something in every place.
    pub(crate) fn example(row: &Row) -> String {
        row.path
            .replace("{kind}", "segments")
            .replace("{version}", "7")
            .replace("{revision}", "7")
            .replace(['{', '}'], "")
    }

    #[test]
    fn every_row_is_found_by_its_own_path() {
        for row in TABLE {
            let found = parse(row.method.name(), &example(row)).map(|route| route.operation);
            assert_eq!(found, Ok(row.operation), "{} {}", row.method.name(), row.path);
            assert_eq!(row.operation.row().path, row.path);
        }
    }

    #[test]
    fn paths_are_decoded_and_checked() {
        let get = |path: &str| parse("GET", path);
        let base = "/v1/projects/pairity/environments/production";
        let route = get(&format!("{base}/flags/a%2Db")).expect("a route");
        assert_eq!((route.key.as_str(), route.kind, route.scope().as_str()), ("a-b", Kind::Flag, "pairity/production"));
        assert_eq!(get(&format!("{base}/flags/%zz")), Err(Miss::Percent));
        assert!(matches!(get(&format!("{base}/flags/a%2Fb")), Err(Miss::Key(_))));
        assert!(matches!(get("/v1/projects/Pairity"), Err(Miss::Key(_))));
        assert!(matches!(get(&format!("{base}/flags/x/history/0")), Err(Miss::Key(_))));
        for nothing in ["", "/v1", "/v1/projects/", "/v1/projects//environments", &format!("{base}/flagz/x")] {
            assert_eq!(get(nothing), Err(Miss::NotFound), "{nothing}");
        }
    }

    #[test]
    fn a_known_path_names_its_methods() {
        let found = parse("POST", "/v1/projects/pairity/environments/production/flags/x");
        let Err(Miss::Method(methods)) = found else { panic!("a known path: {found:?}") };
        let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
        assert_eq!(names, ["PATCH", "GET", "PUT", "DELETE"]);
        let segment = parse("PATCH", "/v1/projects/p/environments/e/segments/x");
        let Err(Miss::Method(methods)) = segment else { panic!("a known path") };
        assert!(!methods.contains(&Method::Patch));
    }
}
