-- Traces of contacts, as in SQLite's schema 6.
CREATE TABLE traces (
    store   BIGINT NOT NULL,
    trace   TEXT COLLATE "C" NOT NULL,
    gateway TEXT COLLATE "C" NOT NULL,
    day     BIGINT NOT NULL,     -- since the Unix epoch
    report  TEXT NOT NULL,       -- JSON; empty where it was withdrawn
    PRIMARY KEY (store, trace)
);
CREATE INDEX traces_by_day ON traces (day);
