//! What the shell does for a call while it runs: SQL of the object at hand, the request's place, a log line.

use crate::control::sql::{Cell, Sql, SqlError};
use serde::Deserialize;
use serde_json::Value as Json;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Runs a statement given as JSON; says how long the answer is, which `take` then copies.
    #[link_name = "sql"]
    fn host_sql(start: *const u8, length: usize) -> usize;
    /// Looks up country (0), region (1) or continent (2) of the request; 0 is unknown.
    #[link_name = "place"]
    fn host_place(which: u32) -> usize;
    /// Writes 16 random bytes to `start`.
    #[link_name = "random"]
    fn host_random(start: *mut u8);
    /// Looks up a header of the request; says how long it is, or less than 0 when there is none.
    #[link_name = "header"]
    fn host_header(name: *const u8, length: usize) -> isize;
    /// Copies the last answer to `start`.
    #[link_name = "take"]
    fn host_take(start: *mut u8);
    #[link_name = "log"]
    fn host_log(start: *const u8, length: usize);
}

fn take(length: usize) -> String {
    let mut buffer = vec![0; length];
    // SAFETY: the shell copies exactly the `length` bytes that it announced.
    unsafe { host_take(buffer.as_mut_ptr()) };
    String::from_utf8_lossy(&buffer).into_owned()
}

/// Country, region or continent of the request that is being answered.
pub(super) fn place(which: usize) -> Option<String> {
    // SAFETY: passes a number.
    let length = unsafe { host_place(u32::try_from(which).ok()?) };
    (length > 0).then(|| take(length))
}

/// A header of the request that is being answered.
pub(super) fn header(name: &str) -> Option<String> {
    // SAFETY: the shell reads `name` before it returns.
    let length = unsafe { host_header(name.as_ptr(), name.len()) };
    usize::try_from(length).ok().map(take)
}

/// 128 random bits.
pub(super) fn random() -> u128 {
    let mut bytes = [0; 16];
    // SAFETY: the shell writes exactly 16 bytes.
    unsafe { host_random(bytes.as_mut_ptr()) };
    u128::from_ne_bytes(bytes)
}

/// Writes a line to the Worker's log.
pub(super) fn log(text: &str) {
    // SAFETY: the shell reads `text` before it returns.
    unsafe { host_log(text.as_ptr(), text.len()) };
}

/// The database of the Durable Object that the present call belongs to.
pub(super) struct Database;

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    rows: Vec<Vec<Json>>,
    #[serde(default)]
    error: Option<String>,
}

impl Sql for Database {
    fn run(&self, query: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>, SqlError> {
        let params: Vec<Json> = params.iter().map(to_json).collect();
        let statement = serde_json::json!([query, params]).to_string();
        // SAFETY: the shell reads `statement` before it returns.
        let length = unsafe { host_sql(statement.as_ptr(), statement.len()) };
        let answer: Rows = serde_json::from_str(&take(length)).map_err(|error| SqlError(error.to_string()))?;
        if let Some(error) = answer.error {
            return Err(SqlError(error));
        }
        Ok(answer.rows.into_iter().map(|row| row.into_iter().map(to_cell).collect()).collect())
    }
}

fn to_json(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Integer(value) => Json::from(*value),
        Cell::Text(text) => Json::from(text.as_str()),
    }
}

fn to_cell(value: Json) -> Cell {
    match value {
        Json::String(text) => Cell::Text(text),
        Json::Number(number) => number.as_i64().map_or(Cell::Null, Cell::Integer),
        Json::Bool(value) => Cell::Integer(i64::from(value)),
        _ => Cell::Null,
    }
}
