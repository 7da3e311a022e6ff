-- Messages for webhooks until they are delivered; one that was given up keeps no content.
CREATE TABLE webhooks (
    id         INTEGER PRIMARY KEY, -- in the order of events
    hook       TEXT NOT NULL,       -- its URL
    event      TEXT NOT NULL,
    key        TEXT NOT NULL,       -- webhook-id
    payload    BLOB NOT NULL,
    valid_from INTEGER NOT NULL,
    lifetime   INTEGER NOT NULL,    -- milliseconds
    visit      TEXT NOT NULL,
    client     TEXT NOT NULL,       -- whose data the payload carries
    dead_at    INTEGER,             -- NULL while it waits
    why        TEXT,
    UNIQUE (hook, key)
) STRICT;
CREATE INDEX webhooks_by_client ON webhooks (client);
CREATE INDEX webhooks_by_visit ON webhooks (visit);
