//! Reading columns of rows that may be damaged.

use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

use crate::pipeline::VisitId;

/// Leaves out a damaged row, so that the others can be read.
pub(super) fn readable<T>(row: Result<T>) -> Option<Result<T>> {
    match row {
        Err(
            error @ (Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)),
        ) => {
            tracing::warn!(%error, "a damaged row of the store is left out");
            None
        }
        row => Some(row),
    }
}

/// The id of a visit, in text.
pub(super) fn visit_id(row: &Row<'_>, column: &str) -> Result<VisitId> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: uuid::Error| {
        Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    })
}
