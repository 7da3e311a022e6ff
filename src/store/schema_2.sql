-- What staff said of a visit, for tuning; goes with its customer, and with age.
CREATE TABLE labels (
    visit      TEXT PRIMARY KEY,
    client     TEXT NOT NULL,
    gateway    TEXT NOT NULL,        -- the name of the one that opened the visit
    arrived_at INTEGER NOT NULL,
    confidence REAL NOT NULL,
    was_here   INTEGER NOT NULL,
    said_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_client ON labels (client);
CREATE INDEX labels_by_time ON labels (said_at);
