-- The same tables as SQLite's schema 5. Texts are compared octet by octet, as there.
CREATE SCHEMA IF NOT EXISTS grelot;

CREATE TABLE version (
    version BIGINT NOT NULL
);
INSERT INTO version VALUES (0);

-- Which list the numbers below count in: another database is another list.
CREATE TABLE list (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
);

-- Withdrawals of consent, numbered from 1 in each store.
CREATE TABLE withdrawals (
    store  BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    at     TEXT NOT NULL,        -- RFC 3339, UTC
    PRIMARY KEY (store, serial),
    UNIQUE (store, client)
);

-- What each gateway said last. Times are milliseconds since the Unix epoch, UTC. Every row is replaced
-- each minute: the free space lets it stay in its page, without a change of the index.
CREATE TABLE gateways (
    store        BIGINT NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    seen_at      BIGINT NOT NULL,             -- the last message of any kind
    status       TEXT,                        -- JSON
    health       TEXT,                        -- JSON
    list         TEXT,                        -- of the withdrawals it knows
    serial       BIGINT NOT NULL DEFAULT 0,   -- all up to this one
    PRIMARY KEY (store, name)
) WITH (fillfactor = 50);

-- What gateways report, once each, without whose visits they were.
CREATE TABLE reports (
    store   BIGINT NOT NULL,
    gateway TEXT COLLATE "C" NOT NULL,
    queue   TEXT COLLATE "C" NOT NULL,
    n       BIGINT NOT NULL,
    at      TEXT COLLATE "C" NOT NULL,       -- RFC 3339, UTC
    kind    TEXT COLLATE "C" NOT NULL,       -- visit, label, shadow
    report  TEXT NOT NULL,                   -- JSON
    PRIMARY KEY (store, gateway, queue, n)
);
CREATE INDEX reports_by_time ON reports (at);

-- What each gateway counted in an hour. `at` is the hour's end, in seconds since the Unix epoch, UTC.
CREATE TABLE hours (
    store          BIGINT NOT NULL,
    gateway        TEXT COLLATE "C" NOT NULL,
    at             BIGINT NOT NULL,
    seconds        BIGINT NOT NULL,
    blind_s        BIGINT NOT NULL,
    advertisements BIGINT NOT NULL,
    contacts       BIGINT NOT NULL,
    arrivals       BIGINT NOT NULL,
    alerts         BIGINT NOT NULL,
    departures     BIGINT NOT NULL,
    PRIMARY KEY (store, gateway, at)
);
CREATE INDEX hours_by_time ON hours (at);

-- The same and what visits and labels say, by store and day since the Unix epoch.
CREATE TABLE days (
    day       BIGINT NOT NULL,
    store     BIGINT NOT NULL,
    seconds   BIGINT NOT NULL DEFAULT 0,
    blind_s   BIGINT NOT NULL DEFAULT 0,
    arrivals  BIGINT NOT NULL DEFAULT 0,
    alerts    BIGINT NOT NULL DEFAULT 0,
    announced BIGINT NOT NULL DEFAULT 0,   -- visits that alerted staff and have ended
    claimed   BIGINT NOT NULL DEFAULT 0,   -- of those, the ones that staff took care of
    claimed_s BIGINT NOT NULL DEFAULT 0,   -- until then, in all
    here      BIGINT NOT NULL DEFAULT 0,   -- labels
    not_here  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (day, store)
);

-- Settings that were pushed, as they were published. The number is the document's own, and grows
-- over all topics.
CREATE TABLE documents (
    serial    BIGINT PRIMARY KEY,
    topic     TEXT COLLATE "C" NOT NULL,
    text      TEXT NOT NULL,
    pushed_at TEXT NOT NULL,     -- RFC 3339, UTC
    note      TEXT NOT NULL
);
CREATE INDEX documents_by_topic ON documents (topic, serial);

-- Troubles that a person knows of: they count again once they are others.
CREATE TABLE acknowledged (
    store   BIGINT NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    trouble TEXT NOT NULL,
    at      TEXT NOT NULL,       -- RFC 3339, UTC
    note    TEXT NOT NULL,
    PRIMARY KEY (store, name)
);

-- Pushed documents that are taken back where a limit is exceeded, and what is pushed then.
CREATE TABLE guards (
    serial     BIGINT PRIMARY KEY,   -- the document's
    back       BIGINT NOT NULL,      -- the number of what takes its place
    text       TEXT NOT NULL,        -- numbered and signed in advance
    stopped_at TEXT,                 -- RFC 3339, UTC
    why        TEXT
);
