//! RSSI offsets of customers' phones: a handle and three numbers, never an address.

use rusqlite::{Connection, Result, Transaction, params};

use crate::pipeline::event::KnownPhone;
use crate::pipeline::presence::Loudness;
use crate::pipeline::units::WallTime;

pub(super) fn put(db: &Transaction<'_>, phone: &KnownPhone) -> Result<()> {
    let KnownPhone { client, loudness: Loudness { above_usual_db, visits }, at } = phone;
    let row = params![client, above_usual_db, visits, at.unix_millis()];
    let sql = "INSERT OR REPLACE INTO phones VALUES (?1, ?2, ?3, ?4)";
    db.prepare_cached(sql)?.execute(row).map(drop)
}

pub(super) fn forget(db: &Transaction<'_>, client: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM phones WHERE client = ?1")?.execute(params![client]).map(drop)
}

/// Deletes what was learned before `then`.
pub(super) fn age(db: &Transaction<'_>, then: WallTime) -> Result<()> {
    let sql = "DELETE FROM phones WHERE learned_at < ?1";
    db.prepare_cached(sql)?.execute(params![then.unix_millis()]).map(drop)
}

/// What was learned since `then`.
pub(super) fn since(db: &Connection, then: WallTime) -> Result<Vec<KnownPhone>> {
    let sql = "SELECT * FROM phones WHERE learned_at >= ?1 ORDER BY client";
    db.prepare(sql)?
        .query_map(params![then.unix_millis()], |row| {
            let (above_usual_db, visits) = (row.get("above_usual_db")?, row.get("visits")?);
            let at = WallTime::from_unix_millis(row.get("learned_at")?);
            Ok(KnownPhone {
                client: row.get("client")?,
                loudness: Loudness { above_usual_db, visits },
                at,
            })
        })?
        .filter_map(super::columns::readable)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Change, Heartbeat, Store};
    use super::*;

    fn learned(client: &str, secs: i64) -> KnownPhone {
        let loudness = Loudness { above_usual_db: 3.5, visits: 2 };
        KnownPhone { client: client.into(), loudness, at: WallTime::from_unix_secs(secs) }
    }

    fn restored(store: &Store) -> Vec<KnownPhone> {
        since(&store.db, WallTime::from_unix_secs(0)).unwrap()
    }

    fn raw(dir: &Path) -> Vec<u8> {
        let files = std::fs::read_dir(dir).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn a_phone_is_known_until_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let (lea, max) = (learned("c-lea", 100), learned("c-max", 50));
        let known = [&lea, &max, &lea].map(|phone| Change::Learned(phone.clone()));
        store.commit(&known).unwrap();
        assert_eq!(restored(&store), [lea.clone(), max]);
        let at = WallTime::from_unix_secs(0);
        let learned_before = WallTime::from_unix_secs(51);
        let heartbeat = Heartbeat { at, clock_set: true, boot: None };
        let alive =
            Change::Heartbeat { heartbeat, closed_before: at, alerted_before: at, learned_before };
        store.commit(&[alive]).unwrap();
        assert_eq!(restored(&store), [lea]);
    }

    #[test]
    fn what_is_unlearned_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.commit(&[Change::Learned(learned("c-gone", 100))]).unwrap();
        let holds = || raw(folder.path()).windows(6).any(|part| part == b"c-gone");
        assert!(holds(), "the search would have found it");
        store.commit(&[Change::Unlearned("c-gone".into())]).unwrap();
        assert_eq!(restored(&store), []);
        assert!(!holds());
    }
}
