-- Times are milliseconds since the Unix epoch, UTC.
CREATE TABLE visits (
    id            TEXT PRIMARY KEY,
    client        TEXT NOT NULL,
    tier          TEXT NOT NULL,
    card          TEXT,              -- JSON, only where consent shows it
    discreet      INTEGER NOT NULL,
    gateway       TEXT NOT NULL,     -- the name of the one that opened the visit
    arrived_at    INTEGER NOT NULL,
    confidence    REAL NOT NULL,
    claimed_by    TEXT,
    claimed_since INTEGER,
    dismissed     INTEGER NOT NULL,
    departed_at   INTEGER            -- NULL while open
) STRICT, WITHOUT ROWID;
CREATE INDEX visits_by_client ON visits (client);

CREATE TABLE caps (
    client     TEXT PRIMARY KEY,
    last_alert INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE withdrawals (
    client TEXT PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY, -- in the order of sending
    topic       TEXT NOT NULL,
    payload     BLOB NOT NULL,
    retain      INTEGER NOT NULL,
    valid_from  INTEGER NOT NULL,
    lifetime    INTEGER NOT NULL,    -- milliseconds
    visit       TEXT NOT NULL,
    client      TEXT                 -- whose data the payload carries
) STRICT;
CREATE INDEX outbox_by_visit ON outbox (visit, topic);

CREATE TABLE alive (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
