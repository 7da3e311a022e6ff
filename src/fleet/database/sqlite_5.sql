-- Pushed documents that are taken back where a limit is exceeded, and what is pushed then.
CREATE TABLE guards (
    serial     INTEGER PRIMARY KEY,  -- the document's
    back       INTEGER NOT NULL,     -- the number of what takes its place
    text       TEXT NOT NULL,        -- numbered and signed in advance
    stopped_at TEXT,                 -- RFC 3339, UTC
    why        TEXT
) STRICT;
