//! What stays at the broker until it is cleared, so that a later life of this gateway can clear
//! what is no longer configured.

use rusqlite::{Connection, Result, Transaction, params};

/// Something with a state that the broker keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The store's number.
    pub store: u16,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// What has a state that the broker keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A gateway.
    Gateway,
    /// One of the shop's beacons.
    Beacon,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Beacon => "beacon",
        }
    }
}

pub(super) fn put(db: &Transaction<'_>, published: &Published) -> Result<()> {
    let Published { store, kind, name } = published;
    db.prepare_cached("INSERT OR IGNORE INTO published VALUES (?1, ?2, ?3)")?
        .execute(params![store, kind.word(), name])
        .map(drop)
}

pub(super) fn remove(db: &Transaction<'_>, published: &Published) -> Result<()> {
    let Published { store, kind, name } = published;
    db.prepare_cached("DELETE FROM published WHERE store = ?1 AND kind = ?2 AND name = ?3")?
        .execute(params![store, kind.word(), name])
        .map(drop)
}

pub(super) fn all(db: &Connection) -> Result<Vec<Published>> {
    db.prepare("SELECT store, kind, name FROM published ORDER BY store, kind, name")?
        .query_map([], |row| {
            let is_gateway = row.get::<_, String>("kind")? == Kind::Gateway.word();
            let kind = if is_gateway { Kind::Gateway } else { Kind::Beacon };
            Ok(Published { store: row.get("store")?, kind, name: row.get("name")? })
        })?
        .collect()
}
