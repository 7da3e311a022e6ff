//! What goes into statements, and what comes out of them.

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(in crate::fleet) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
}

/// The values of a statement, in the order of its placeholders.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::fleet::database::Value::from($value)),*] };
}
pub(in crate::fleet) use values;

/// A row of an answer.
#[derive(Debug)]
pub(in crate::fleet) struct Row(pub(super) Vec<Cell>);

#[derive(Debug)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

/// The schema has each column's type: another one is as good as none.
impl Row {
    pub(in crate::fleet) fn integer(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Cell::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// A number that is never negative; 0 where the database has one that is.
    pub(in crate::fleet) fn number<T: TryFrom<i64> + Default>(&self, column: usize) -> T {
        T::try_from(self.integer(column)).unwrap_or_default()
    }

    pub(in crate::fleet) fn text(&self, column: usize) -> String {
        self.optional(column).unwrap_or_default()
    }

    /// A text that may be null.
    pub(in crate::fleet) fn optional(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value<'_> {
    /// Both databases have signed integers.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
