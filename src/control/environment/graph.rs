//! Documents of one kind that refer to each other, as a graph.

use super::super::sql::{Sql, SqlError};
use crate::json::Problem;
use std::collections::{BTreeMap, HashSet};

/// Who refers to whom, by key. Only the references are loaded, never the documents.
pub(super) struct Graph {
    edges: BTreeMap<String, Vec<String>>,
}

/// Finds the JSON pointer of the reference from one key to another, if it was written just now.
pub(super) type Place<'p> = &'p dyn Fn(&str, Option<&str>) -> Option<String>;

#[derive(Clone, Copy, PartialEq)]
enum Colour {
    Open,
    Done,
}

impl Graph {
    pub(super) fn load(sql: &dyn Sql, word: &str) -> Result<Self, SqlError> {
        let query = "SELECT from_key, to_key FROM reference WHERE from_kind = ? AND to_kind = ?";
        let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sql.rows(query, &[word.into(), word.into()])? {
            edges.entry(row.text(0)?).or_default().push(row.text(1)?);
        }
        Ok(Self { edges })
    }

    fn next(&self, key: &str) -> &[String] {
        self.edges.get(key).map_or(&[], Vec::as_slice)
    }

    /// One problem for every reference that closes a circle.
    pub(super) fn cycles(&self, place: Place<'_>) -> Vec<Problem> {
        let mut colours: BTreeMap<&str, Colour> = BTreeMap::new();
        let mut problems = Vec::new();
        for start in self.edges.keys() {
            if colours.contains_key(start.as_str()) {
                continue;
            }
            colours.insert(start, Colour::Open);
            // The path from the start, each with how many of its references were followed.
            let mut path: Vec<(&str, usize)> = vec![(start, 0)];
            while let Some((key, followed)) = path.last_mut() {
                let (from, Some(to)) = (*key, self.next(key).get(*followed)) else {
                    colours.insert(key, Colour::Done);
                    path.pop();
                    continue;
                };
                *followed += 1;
                match colours.get(to.as_str()) {
                    Some(Colour::Done) => {}
                    Some(Colour::Open) => {
                        let first = path.iter().position(|(key, _)| key == to).unwrap_or(0);
                        let ring: Vec<&str> = path[first..].iter().map(|(key, _)| *key).collect();
                        problems.push(Self::problem(&ring, (from, to), place));
                    }
                    None => {
                        colours.insert(to, Colour::Open);
                        path.push((to, 0));
                    }
                }
            }
        }
        problems
    }

    /// Names a circle at a reference that was written just now.
    fn problem(ring: &[&str], closing: (&str, &str), place: Place<'_>) -> Problem {
        let pairs = (0..ring.len()).map(|index| (ring[index], ring[(index + 1) % ring.len()]));
        let pointer = pairs.chain([closing]).find_map(|(from, to)| place(from, Some(to))).unwrap_or_default();
        let mut names: Vec<String> = ring.iter().map(|key| format!("`{key}`")).collect();
        names.extend(names.first().cloned());
        Problem { pointer, detail: format!("references form a cycle: {}", names.join(" -> ")) }
    }

    /// The first key from which more than `limit` others are reached, and how many.
    pub(super) fn wide(&self, limit: usize) -> Option<(String, usize)> {
        self.edges.keys().find_map(|start| {
            let mut seen: HashSet<&str> = HashSet::new();
            let mut open = vec![start.as_str()];
            while let Some(key) = open.pop() {
                open.extend(self.next(key).iter().map(String::as_str).filter(|to| seen.insert(to)));
            }
            (seen.len() > limit).then(|| (start.clone(), seen.len()))
        })
    }

    /// The first key whose longest chain has more than `limit` members, itself included, and how
    /// many. There must be no cycles.
    pub(super) fn deep(&self, limit: usize) -> Option<(String, usize)> {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for start in self.edges.keys() {
            let mut open = vec![start.as_str()];
            while let Some(key) = open.last().copied() {
                let before = open.len();
                let next = self.next(key).iter().map(String::as_str);
                open.extend(next.clone().filter(|to| !depths.contains_key(to)));
                if open.len() == before {
                    open.pop();
                    let below = next.filter_map(|to| depths.get(to)).max().copied().unwrap_or(0);
                    depths.insert(key, below + 1);
                }
            }
        }
        depths.into_iter().find(|(_, depth)| *depth > limit).map(|(key, depth)| (key.to_owned(), depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (from, to) in edges {
            map.entry((*from).to_owned()).or_default().push((*to).to_owned());
        }
        Graph { edges: map }
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        let diamond = graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]);
        assert_eq!(diamond.cycles(&|_, _| None), []);
        assert_eq!(diamond.wide(2), Some(("a".to_owned(), 3)));
        assert_eq!(diamond.wide(3), None);
        assert_eq!(diamond.deep(2), Some(("a".to_owned(), 3)));
        assert_eq!(diamond.deep(3), None);
    }

    #[test]
    fn every_circle_is_named() {
        let ring = graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("x", "x")]);
        let found = ring.cycles(&|from, to| Some(format!("/{from}/{}", to.unwrap_or_default())));
        let found: Vec<_> = found.into_iter().map(|problem| (problem.pointer, problem.detail)).collect();
        let expected =
            [("/b/c", "references form a cycle: `b` -> `c` -> `b`"), ("/x/x", "references form a cycle: `x` -> `x`")];
        assert_eq!(found, expected.map(|(p, d)| (p.to_owned(), d.to_owned())));
    }
}
