-- Sums of shadows and proposals, as in SQLite's schema 7.
CREATE TABLE shadows (
    serial    BIGINT NOT NULL,   -- the candidate's document
    store     BIGINT NOT NULL,
    same      BIGINT NOT NULL,
    more      BIGINT NOT NULL,
    fewer     BIGINT NOT NULL,
    sooner    BIGINT NOT NULL,
    later     BIGINT NOT NULL,
    otherwise BIGINT NOT NULL,
    PRIMARY KEY (serial, store)
);
CREATE INDEX shadows_by_time ON reports (at) WHERE kind = 'shadow';

INSERT INTO shadows
SELECT d.serial, r.store,
       sum(least((r.report::json ->> 'same')::numeric, 1099511627776))::bigint,
       sum(least((r.report::json ->> 'more')::numeric, 1099511627776))::bigint,
       sum(least((r.report::json ->> 'fewer')::numeric, 1099511627776))::bigint,
       sum(least((r.report::json ->> 'sooner')::numeric, 1099511627776))::bigint,
       sum(least((r.report::json ->> 'later')::numeric, 1099511627776))::bigint,
       sum(least((r.report::json ->> 'otherwise')::numeric, 1099511627776))::bigint
FROM (SELECT store, report FROM reports WHERE kind = 'shadow' OFFSET 0) r
JOIN documents d ON d.serial::text = r.report::json ->> 'serial'
GROUP BY 1, 2;

CREATE TABLE proposals (
    name     TEXT COLLATE "C" PRIMARY KEY,   -- which stores, for people
    at       TEXT COLLATE "C" NOT NULL,      -- RFC 3339, UTC
    report   TEXT NOT NULL,                  -- JSON, as `grelot tune --json` prints it
    document TEXT NOT NULL                   -- TOML
);
