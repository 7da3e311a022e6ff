//! Tables for windows of time: the next one is built ahead of time, in slices.

use std::ops::RangeInclusive;

use super::window::{Window, counts};
use crate::pipeline::units::Clock;

/// A look-up table for one window.
pub trait Table: Default {
    /// What it is built from.
    type Source;

    /// Begins to build the table of `window`, and reuses its memory.
    fn begin(&mut self, source: &Self::Source, window: Window, clock: Clock);

    /// Builds a slice: what the slowest supported processor does in less than 1 ms.
    fn build(&mut self, source: &mut Self::Source);

    /// Whether nothing is left to build.
    fn is_built(&self) -> bool;

    fn window(&self) -> Window;

    /// Frees a slice; true while more is left.
    fn zeroize_slice(&mut self) -> bool;
}

/// How soon the next slice must be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Nothing is left to do.
    None,
    /// A table is built before it is needed, or memory is freed.
    Ahead,
    /// A customer who is here may not be recognised before it is done.
    Now,
}

/// The tables of the windows that are wanted.
#[derive(Debug, Default)]
pub struct WindowTables<T> {
    tables: Vec<T>,
    outdated: Vec<T>,
}

impl<T: Table> WindowTables<T> {
    /// Begins the missing tables of `wanted`, and reuses the memory of outdated ones.
    pub fn plan(&mut self, source: &T::Source, wanted: RangeInclusive<Window>, clock: Clock) {
        for at in (0..self.tables.len()).rev() {
            if self.tables.get(at).is_some_and(|table| !wanted.contains(&table.window())) {
                self.outdated.push(self.tables.swap_remove(at));
            }
        }
        for window in wanted {
            if self.tables.iter().all(|table| table.window() != window) {
                let mut table = self.outdated.pop().unwrap_or_default();
                table.begin(source, window, clock);
                self.tables.push(table);
            }
        }
    }

    /// Builds or frees the most urgent slice; returns how urgent the next one is.
    pub fn work(&mut self, source: &mut T::Source, clock: Clock) -> Priority {
        let unbuilt = |table: &&mut T| !table.is_built();
        let urgent = |table: &&mut T| !table.is_built() && counts(table.window(), clock);
        if let Some(table) = self.tables.iter_mut().find(urgent) {
            table.build(source);
        } else if let Some(table) = self.tables.iter_mut().find(unbuilt) {
            table.build(source);
        } else if let Some(table) = self.outdated.last_mut()
            && !table.zeroize_slice()
        {
            self.outdated.pop();
        }
        self.priority(clock)
    }

    /// How urgent the next slice is.
    pub fn priority(&self, clock: Clock) -> Priority {
        let of = |table: &T| match (table.is_built(), counts(table.window(), clock)) {
            (true, _) => Priority::None,
            (false, true) => Priority::Now,
            (false, false) => Priority::Ahead,
        };
        let idle = if self.outdated.is_empty() { Priority::None } else { Priority::Ahead };
        self.tables.iter().map(of).max().unwrap_or(Priority::None).max(idle)
    }

    /// All tables, finished or not.
    pub fn tables(&self) -> impl Iterator<Item = &T> {
        self.tables.iter()
    }

    /// All tables, finished or not.
    pub fn tables_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.tables.iter_mut()
    }

    /// Frees a slice of every table; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        self.outdated.append(&mut self.tables);
        if let Some(table) = self.outdated.last_mut()
            && !table.zeroize_slice()
        {
            self.outdated.pop();
        }
        !self.outdated.is_empty()
    }
}

/// Wipes and frees the last `count` entries of a column; true while more are left. Freeing a large
/// column at once would hold up the radio for milliseconds.
pub fn zeroize_slice<T: zeroize::Zeroize>(column: &mut Vec<T>, count: usize) -> bool {
    let left = column.len().saturating_sub(count);
    if let Some(last) = column.get_mut(left..) {
        last.iter_mut().for_each(zeroize::Zeroize::zeroize);
    }
    column.truncate(left);
    column.shrink_to(left);
    left > 0
}
