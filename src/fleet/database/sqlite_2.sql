-- What gateways report, once each, without whose visits they were.
CREATE TABLE reports (
    store   INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    queue   TEXT NOT NULL,
    n       INTEGER NOT NULL,
    at      TEXT NOT NULL,       -- RFC 3339, UTC
    kind    TEXT NOT NULL,       -- visit, label, hour
    report  TEXT NOT NULL,       -- JSON
    PRIMARY KEY (store, gateway, queue, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_by_time ON reports (at);
