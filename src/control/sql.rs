//! The port to SQL. A Durable Object's storage answers synchronously, so this is a plain call;
//! in tests it is SQLite in memory.

use std::fmt;

/// One value of a row or a parameter. There are no floats and no blobs, and integers stay below
/// 2^53, because they pass through JavaScript numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// NULL
    Null,
    /// INTEGER
    Integer(i64),
    /// TEXT
    Text(String),
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError(pub String);

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A transactional SQL database. Whoever calls the control plane opens a transaction around the
/// whole call and rolls it back unless [`super::Output::commit`] says otherwise.
pub trait Sql {
    /// Runs one statement (at most 100 parameters) and answers its rows.
    fn run(&self, query: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>, SqlError>;
}

/// A row whose cells are asked for by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Cell>);

impl Row {
    /// A text.
    pub fn text(&self, index: usize) -> Result<String, SqlError> {
        self.optional_text(index)?.ok_or_else(|| SqlError(format!("column {index} is NULL")))
    }

    /// A text or NULL.
    pub fn optional_text(&self, index: usize) -> Result<Option<String>, SqlError> {
        match self.0.get(index) {
            Some(Cell::Text(text)) => Ok(Some(text.clone())),
            Some(Cell::Null) => Ok(None),
            other => Err(SqlError(format!("column {index} is {other:?}, not text"))),
        }
    }

    /// A whole number.
    pub fn integer(&self, index: usize) -> Result<i64, SqlError> {
        self.optional_integer(index)?.ok_or_else(|| SqlError(format!("column {index} is NULL")))
    }

    /// A whole number or NULL.
    pub fn optional_integer(&self, index: usize) -> Result<Option<i64>, SqlError> {
        match self.0.get(index) {
            Some(Cell::Integer(value)) => Ok(Some(*value)),
            Some(Cell::Null) => Ok(None),
            other => Err(SqlError(format!("column {index} is {other:?}, not an integer"))),
        }
    }
}

impl dyn Sql + '_ {
    /// All rows.
    pub fn rows(&self, query: &str, params: &[Cell]) -> Result<Vec<Row>, SqlError> {
        Ok(self.run(query, params)?.into_iter().map(Row).collect())
    }

    /// The first row, if any.
    pub fn first(&self, query: &str, params: &[Cell]) -> Result<Option<Row>, SqlError> {
        Ok(self.rows(query, params)?.into_iter().next())
    }

    /// Whether there is a row.
    pub fn any(&self, query: &str, params: &[Cell]) -> Result<bool, SqlError> {
        Ok(!self.run(query, params)?.is_empty())
    }

    /// The integer that an aggregate answers.
    pub fn number(&self, query: &str, params: &[Cell]) -> Result<i64, SqlError> {
        self.first(query, params)?.map_or(Ok(0), |row| row.integer(0))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<crate::time::Instant> for Cell {
    fn from(at: crate::time::Instant) -> Self {
        Self::Integer(at.millis())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// SQLite in memory, for tests.
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
pub(crate) mod memory {
    use super::{Cell, Sql, SqlError};
    use rusqlite::types::{Value, ValueRef};
    use rusqlite::{Connection, params_from_iter};

    pub(crate) struct Memory(Connection);

    impl Memory {
        pub(crate) fn new() -> Self {
            Self(Connection::open_in_memory().expect("opens"))
        }

        /// What the shell does: one transaction a call, kept or not as the outcome says.
        pub(crate) fn transaction<T>(&self, call: impl FnOnce(&dyn Sql) -> (T, bool)) -> T {
            self.0.execute_batch("BEGIN").expect("begins");
            let (out, commit) = call(self);
            self.0.execute_batch(if commit { "COMMIT" } else { "ROLLBACK" }).expect("ends");
            out
        }
    }

    impl Sql for Memory {
        fn run(&self, query: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>, SqlError> {
            assert!(params.len() <= 100, "too many parameters");
            let fail = |error: rusqlite::Error| SqlError(format!("{error}: {query}"));
            let values = params.iter().map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Integer(value) => Value::Integer(*value),
                Cell::Text(text) => Value::Text(text.clone()),
            });
            let mut statement = self.0.prepare_cached(query).map_err(fail)?;
            let width = statement.column_count();
            let mut rows = statement.query(params_from_iter(values)).map_err(fail)?;
            let mut out = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                let cell = |index| match row.get_ref(index).expect("in range") {
                    ValueRef::Null => Cell::Null,
                    ValueRef::Integer(value) => {
                        assert!(value.abs() < 1 << 53, "beyond JavaScript");
                        Cell::Integer(value)
                    }
                    ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                    other => panic!("{other:?} in {query}"),
                };
                out.push((0..width).map(cell).collect());
            }
            Ok(out)
        }
    }
}
