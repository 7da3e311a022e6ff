-- Settings that were pushed, as they were published. The number is the document's own, and grows
-- over all topics.
CREATE TABLE documents (
    serial    INTEGER PRIMARY KEY AUTOINCREMENT,
    topic     TEXT NOT NULL,
    text      TEXT NOT NULL,
    pushed_at TEXT NOT NULL,     -- RFC 3339, UTC
    note      TEXT NOT NULL
) STRICT;
CREATE INDEX documents_by_topic ON documents (topic, serial);

-- Troubles that a person knows of: they count again once they are others.
CREATE TABLE acknowledged (
    store   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    trouble TEXT NOT NULL,
    at      TEXT NOT NULL,       -- RFC 3339, UTC
    note    TEXT NOT NULL,
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;
