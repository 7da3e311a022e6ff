//! States that the broker retains until they are cleared, so that a later run of this gateway can
//! clear those that are no longer configured.

use rusqlite::{Connection, Result, Transaction, params};

/// Something with a state that the broker retains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    pub store: u16,
    pub kind: Kind,
    /// The name of the gateway or beacon.
    pub name: String,
}

/// The kinds of things with a retained state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
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
