-- What candidates for settings would have changed, by candidate and store, and their latest reports
-- without a look at all others.
CREATE TABLE shadows (
    serial    INTEGER NOT NULL,  -- the candidate's document
    store     INTEGER NOT NULL,
    same      INTEGER NOT NULL,
    more      INTEGER NOT NULL,
    fewer     INTEGER NOT NULL,
    sooner    INTEGER NOT NULL,
    later     INTEGER NOT NULL,
    otherwise INTEGER NOT NULL,
    PRIMARY KEY (serial, store)
) STRICT, WITHOUT ROWID;
CREATE INDEX shadows_by_time ON reports (at) WHERE kind = 'shadow';

INSERT INTO shadows
SELECT d.serial, r.store,
       sum(min(r.report ->> 'same', 1099511627776)),
       sum(min(r.report ->> 'more', 1099511627776)),
       sum(min(r.report ->> 'fewer', 1099511627776)),
       sum(min(r.report ->> 'sooner', 1099511627776)),
       sum(min(r.report ->> 'later', 1099511627776)),
       sum(min(r.report ->> 'otherwise', 1099511627776))
FROM reports r JOIN documents d ON d.serial = r.report ->> 'serial'
WHERE r.kind = 'shadow' GROUP BY 1, 2;

-- What `grelot tune --fleet` proposed last for these stores.
CREATE TABLE proposals (
    name     TEXT PRIMARY KEY,   -- which stores, for people
    at       TEXT NOT NULL,      -- RFC 3339, UTC
    report   TEXT NOT NULL,      -- JSON, as `grelot tune --json` prints it
    document TEXT NOT NULL       -- TOML
) STRICT;
