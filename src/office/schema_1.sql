-- Reports to head office, until it has acknowledged them.
CREATE TABLE reports (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    report TEXT NOT NULL -- JSON
) STRICT;

-- Which queue the numbers count in, a secret that makes references to visits, and how many reports
-- were dropped because head office was away for too long.
CREATE TABLE queue (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    id      TEXT NOT NULL,
    secret  BLOB NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO queue (one, id, secret) VALUES (1, lower(hex(randomblob(8))), randomblob(16));
