//! Pushed settings in head office's file: numbered, kept for good, and the newest of each topic.

use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};

use super::store::{FleetError, FleetStore, unsigned};

/// A document that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its number.
    pub serial: u64,
    /// Where it was published.
    pub topic: String,
    /// As it was published.
    pub text: String,
    /// RFC 3339, UTC.
    pub pushed_at: String,
    /// What for.
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
}
