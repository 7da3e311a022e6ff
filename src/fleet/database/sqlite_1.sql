-- Which list the numbers below count in: another file is another list.
CREATE TABLE list (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
) STRICT;

-- Withdrawals of consent, numbered from 1 in each store.
CREATE TABLE withdrawals (
    store  INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    client TEXT NOT NULL,
    at     TEXT NOT NULL,        -- RFC 3339, UTC
    PRIMARY KEY (store, serial),
    UNIQUE (store, client)
) STRICT, WITHOUT ROWID;

-- What each gateway said last. Times are milliseconds since the Unix epoch, UTC.
CREATE TABLE gateways (
    store        INTEGER NOT NULL,
    name         TEXT NOT NULL,
    seen_at      INTEGER NOT NULL,             -- the last message of any kind
    status       TEXT,                         -- JSON
    health       TEXT,                         -- JSON
    list         TEXT,                         -- of the withdrawals it knows
    serial       INTEGER NOT NULL DEFAULT 0,   -- all up to this one
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;
