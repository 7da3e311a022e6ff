//! Pushed settings in head office's database: numbered, kept for good, and the newest of each topic.

use super::database::{FleetError, Row, transaction, values};
use super::store::FleetStore;

/// A document that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub serial: u64,
    /// Where it was published.
    pub topic: String,
    /// As it was published.
    pub text: String,
    /// RFC 3339, UTC.
    pub pushed_at: String,
    /// What it is for, as the person who pushed it noted.
    pub note: String,
}

/// The columns of a document.
const COLUMNS: &str = "serial, topic, text, pushed_at, note";

impl FleetStore {
    /// Enters a document under the next number; `text` makes it from the number.
    ///
    /// # Errors
    /// Where the database cannot be written, or `text` fails.
    pub fn push<E: From<FleetError>>(
        &mut self,
        topic: &str,
        pushed_at: &str,
        note: &str,
        text: impl FnOnce(u64) -> Result<String, E>,
    ) -> Result<Document, E> {
        transaction(self, |this| {
            let serial = this.next_number()?;
            let text = text(serial)?;
            let (topic, pushed_at, note) =
                (topic.to_owned(), pushed_at.to_owned(), note.to_owned());
            let document = Document { serial, topic, text, pushed_at, note };
            this.enter(&document)?;
            Ok(document)
        })
    }

    /// Keeps what takes the place of document `serial` where it is taken back, under a number of its
    /// own; `text` makes it from the number.
    ///
    /// # Errors
    /// Where the database cannot be written, or `text` fails.
    pub fn guard<E: From<FleetError>>(
        &mut self,
        serial: u64,
        text: impl FnOnce(u64) -> Result<String, E>,
    ) -> Result<(), E> {
        transaction(self, |this| {
            let back = this.next_number()?;
            let text = text(back)?;
            let sql = "INSERT INTO guards (serial, back, text) VALUES (?1, ?2, ?3)";
            this.db().execute(sql, values![serial, back, &text])?;
            Ok(())
        })
    }

    /// The number that no document has, and none that waits to take another one's place.
    fn next_number(&mut self) -> Result<u64, FleetError> {
        let sql = "SELECT coalesce(max(serial), 0) + 1 FROM
                   (SELECT serial FROM documents UNION ALL SELECT back FROM guards) AS numbers";
        Ok(self.db().first(sql, values![], |row| row.number(0))?.unwrap_or(1))
    }

    fn enter(&mut self, document: &Document) -> Result<(), FleetError> {
        let Document { serial, topic, text, pushed_at, note } = document;
        let sql = format!("INSERT INTO documents ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)");
        self.db().execute(&sql, values![*serial, topic, text, pushed_at, note]).map(drop)
    }

    /// The guards of documents that are the newest of their topic and in force somewhere.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn open_guards(&mut self) -> Result<Vec<Document>, FleetError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM documents d
             WHERE serial IN (SELECT serial FROM guards WHERE stopped_at IS NULL)
                 AND serial = (SELECT max(serial) FROM documents WHERE topic = d.topic)"
        );
        self.db().query(&sql, values![], document)
    }

    /// Document `serial` is taken back everywhere: what takes its place is the newest of its topic now.
    /// `None` where it has no guard, or was taken back before.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn take_back(
        &mut self,
        serial: u64,
        why: &str,
        at: &str,
    ) -> Result<Option<Document>, FleetError> {
        transaction(self, |this| {
            let sql = "SELECT g.back, d.topic, g.text
                       FROM guards g JOIN documents d ON d.serial = g.serial
                       WHERE g.serial = ?1 AND g.stopped_at IS NULL";
            let back = this.db().first(sql, values![serial], |row| Document {
                serial: row.number(0),
                topic: row.text(1),
                text: row.text(2),
                pushed_at: at.to_owned(),
                note: format!("{serial} is taken back: {why}"),
            })?;
            let Some(back) = back else { return Ok(None) };
            let sql = "UPDATE guards SET stopped_at = ?2, why = ?3 WHERE serial = ?1";
            this.db().execute(sql, values![serial, at, why])?;
            this.enter(&back)?;
            Ok(Some(back))
        })
    }

    /// The document of this number.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn document(&mut self, serial: u64) -> Result<Option<Document>, FleetError> {
        let sql = format!("SELECT {COLUMNS} FROM documents WHERE serial = ?1");
        self.db().first(&sql, values![serial], document)
    }

    /// The newest document of a topic.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn newest(&mut self, topic: &str) -> Result<Option<Document>, FleetError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM documents WHERE topic = ?1 ORDER BY serial DESC LIMIT 1"
        );
        self.db().first(&sql, values![topic], document)
    }

    /// The newest documents of any topic, at most `most`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn latest(&mut self, most: u32) -> Result<Vec<Document>, FleetError> {
        let sql = format!("SELECT {COLUMNS} FROM documents ORDER BY serial DESC LIMIT ?1");
        self.db().query(&sql, values![most], document)
    }

    /// All documents, the newest first; of one topic, where one is named.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn history(&mut self, topic: Option<&str>) -> Result<Vec<Document>, FleetError> {
        // PostgreSQL knows the type of a value by where it first stands.
        let sql = format!(
            "SELECT {COLUMNS} FROM documents WHERE topic = ?1 OR ?1 IS NULL ORDER BY serial DESC"
        );
        self.db().query(&sql, values![topic], document)
    }
}

fn document(row: &Row) -> Document {
    Document {
        serial: row.number(0),
        topic: row.text(1),
        text: row.text(2),
        pushed_at: row.text(3),
        note: row.text(4),
    }
}
