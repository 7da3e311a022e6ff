//! Comma-separated files of the data sets, none of which quotes anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// One row, by column.
pub type Row = BTreeMap<String, String>;

/// The rows of a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = text.lines();
    let columns: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let cells = columns.iter().zip(line.split(','));
        cells.map(|(column, cell)| ((*column).to_owned(), cell.to_owned())).collect()
    };
    Ok(lines.map(row).collect())
}

/// A cell as a number.
pub fn number<T: std::str::FromStr>(row: &Row, column: &str) -> anyhow::Result<T> {
    let cell = row.get(column).with_context(|| format!("no column {column}"))?;
    cell.parse().ok().with_context(|| format!("{column} is not a number"))
}
