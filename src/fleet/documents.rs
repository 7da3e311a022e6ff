//! Pushed settings in head office's file: numbered, kept for good, and the newest of each topic.

use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};

use super::store::{FleetError, FleetStore, unsigned};

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

impl FleetStore {
    /// Enters a document under the next number; `text` makes it from the number.
    ///
    /// # Errors
    /// Where the file cannot be written, or `text` fails.
    pub fn push<E: From<FleetError>>(
        &mut self,
        topic: &str,
        pushed_at: &str,
        note: &str,
        text: impl FnOnce(u64) -> Result<String, E>,
    ) -> Result<Document, E> {
        let path = self.path().to_owned();
        let failed = |source| E::from(FleetError::Sqlite { path: path.clone(), source });
        let transaction = self
            .connection()
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO documents (topic, text, pushed_at, note) VALUES (?1, '', ?2, ?3)",
                params![topic, pushed_at, note],
            )
            .map_err(failed)?;
        let row = transaction.last_insert_rowid();
        let serial = u64::try_from(row).unwrap_or(0);
        let text = text(serial)?;
        let sql = "UPDATE documents SET text = ?2 WHERE serial = ?1";
        transaction.execute(sql, params![row, text]).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        let (topic, pushed_at, note) = (topic.to_owned(), pushed_at.to_owned(), note.to_owned());
        Ok(Document { serial, topic, text, pushed_at, note })
    }

    /// Keeps what takes the place of document `serial` where it is taken back, under a number of its
    /// own; `text` makes it from the number.
    ///
    /// # Errors
    /// Where the file cannot be written, or `text` fails.
    pub fn guard<E: From<FleetError>>(
        &mut self,
        serial: u64,
        text: impl FnOnce(u64) -> Result<String, E>,
    ) -> Result<(), E> {
        // The number is taken, and the document is not there before it is needed.
        let back = self.push("", "", "", text)?;
        let kept = (|| {
            let transaction = self.connection().transaction()?;
            let (serial, number) = (integer(serial), integer(back.serial));
            transaction.execute("DELETE FROM documents WHERE serial = ?1", params![number])?;
            let sql = "INSERT INTO guards (serial, back, text) VALUES (?1, ?2, ?3)";
            transaction.execute(sql, params![serial, number, back.text])?;
            transaction.commit()
        })();
        self.done(kept).map_err(E::from)
    }

    /// The guards of documents that are the newest of their topic and in force somewhere.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn open_guards(&mut self) -> Result<Vec<Document>, FleetError> {
        let sql = "SELECT d.* FROM documents d JOIN guards g ON g.serial = d.serial
                   WHERE g.stopped_at IS NULL AND d.serial =
                       (SELECT max(serial) FROM documents WHERE topic = d.topic)";
        let all = self.connection().prepare_cached(sql).and_then(|mut query| {
            query.query_map([], document)?.collect::<rusqlite::Result<Vec<_>>>()
        });
        self.done(all)
    }

    /// Document `serial` is taken back everywhere: what takes its place is the newest of its topic now.
    /// `None` where it has no guard, or was taken back before.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn take_back(
        &mut self,
        serial: u64,
        why: &str,
        at: &str,
    ) -> Result<Option<Document>, FleetError> {
        let taken = (|| {
            let transaction =
                self.connection().transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sql = "SELECT g.back, g.text, d.topic FROM guards g JOIN documents d ON d.serial = g.serial
                       WHERE g.serial = ?1 AND g.stopped_at IS NULL";
            let found = transaction
                .query_row(sql, params![integer(serial)], |row| {
                    Ok(Document {
                        serial: unsigned(row, 0)?,
                        text: row.get(1)?,
                        topic: row.get(2)?,
                        pushed_at: at.to_owned(),
                        note: format!("{serial} is taken back: {why}"),
                    })
                })
                .optional()?;
            let Some(back) = found else { return Ok(None) };
            let sql = "UPDATE guards SET stopped_at = ?2, why = ?3 WHERE serial = ?1";
            transaction.execute(sql, params![integer(serial), at, why])?;
            let sql = "INSERT INTO documents (serial, topic, text, pushed_at, note)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let row = params![integer(back.serial), back.topic, back.text, at, back.note];
            transaction.execute(sql, row)?;
            transaction.commit()?;
            Ok(Some(back))
        })();
        self.done(taken)
    }

    /// The document of this number.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn document(&mut self, serial: u64) -> Result<Option<Document>, FleetError> {
        let serial = i64::try_from(serial).unwrap_or(i64::MAX);
        let sql = "SELECT * FROM documents WHERE serial = ?1";
        let found = self.connection().query_row(sql, params![serial], document).optional();
        self.done(found)
    }

    /// The newest document of a topic.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn newest(&mut self, topic: &str) -> Result<Option<Document>, FleetError> {
        let sql = "SELECT * FROM documents WHERE topic = ?1 ORDER BY serial DESC LIMIT 1";
        let found = self.connection().query_row(sql, params![topic], document).optional();
        self.done(found)
    }

    /// All documents, the newest first; of one topic, where one is named.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn history(&mut self, topic: Option<&str>) -> Result<Vec<Document>, FleetError> {
        let sql = "SELECT * FROM documents WHERE ?1 IS NULL OR topic = ?1 ORDER BY serial DESC";
        let all = self.connection().prepare_cached(sql).and_then(|mut query| {
            query.query_map(params![topic], document)?.collect::<rusqlite::Result<Vec<_>>>()
        });
        self.done(all)
    }
}

/// `SQLite` has signed integers.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        serial: unsigned(row, 0)?,
        topic: row.get("topic")?,
        text: row.get("text")?,
        pushed_at: row.get("pushed_at")?,
        note: row.get("note")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_over_all_topics_and_a_failed_document_takes_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(&folder.path().join("fleet.db")).unwrap();
        let mut push = |topic: &str| {
            store.push::<FleetError>(topic, "2026-01-05T09:00:00Z", "", |n| Ok(format!("# {n}\n")))
        };
        let (one, two) = (push("a").unwrap(), push("b").unwrap());
        assert_eq!((one.serial, two.serial, two.text.as_str()), (1, 2, "# 2\n"));
        let failed = store.push::<anyhow::Error>("a", "", "", |_| anyhow::bail!("no key"));
        assert!(failed.is_err());
        assert_eq!(store.history(None).unwrap().len(), 2);
        assert_eq!(store.newest("a").unwrap().unwrap(), one);
        assert_eq!(store.document(2).unwrap().unwrap(), two);
        assert_eq!(store.document(9).unwrap(), None);
    }

    #[test]
    fn what_takes_a_documents_place_has_a_number_and_is_not_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(&folder.path().join("fleet.db")).unwrap();
        let push = |store: &mut FleetStore| {
            store.push::<FleetError>("a", "", "", |n| Ok(format!("# {n}\n"))).unwrap().serial
        };
        assert_eq!(push(&mut store), 1);
        store.guard::<FleetError>(1, |n| Ok(format!("# back {n}\n"))).unwrap();
        assert_eq!(store.newest("a").unwrap().unwrap().serial, 1);
        assert_eq!(store.open_guards().unwrap().len(), 1);
        let back = store.take_back(1, "too many", "2026-01-05T09:00:00Z").unwrap().unwrap();
        assert_eq!((back.serial, back.text.as_str()), (2, "# back 2\n"));
        assert_eq!(store.newest("a").unwrap().unwrap().text, "# back 2\n");
        assert_eq!(store.take_back(1, "again", "").unwrap(), None);
        assert!(store.open_guards().unwrap().is_empty());
        assert_eq!(push(&mut store), 3, "the number was taken");
    }
}
