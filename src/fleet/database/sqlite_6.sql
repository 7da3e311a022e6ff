-- Traces of contacts, without whose they were. A trace that was withdrawn leaves its id, so that it
-- does not come again.
CREATE TABLE traces (
    store   INTEGER NOT NULL,
    trace   TEXT NOT NULL,
    gateway TEXT NOT NULL,
    day     INTEGER NOT NULL,    -- since the Unix epoch
    report  TEXT NOT NULL,       -- JSON; empty where it was withdrawn
    PRIMARY KEY (store, trace)
) STRICT, WITHOUT ROWID;
CREATE INDEX traces_by_day ON traces (day);
