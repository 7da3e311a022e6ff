-- What each gateway counted in an hour. `at` is the hour's end, in seconds since the Unix epoch, UTC.
CREATE TABLE hours (
    store          INTEGER NOT NULL,
    gateway        TEXT NOT NULL,
    at             INTEGER NOT NULL,
    seconds        INTEGER NOT NULL,
    blind_s        INTEGER NOT NULL,
    advertisements INTEGER NOT NULL,
    contacts       INTEGER NOT NULL,
    arrivals       INTEGER NOT NULL,
    alerts         INTEGER NOT NULL,
    departures     INTEGER NOT NULL,
    PRIMARY KEY (store, gateway, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX hours_by_time ON hours (at);

-- The same and what visits and labels say, by store and day since the Unix epoch.
CREATE TABLE days (
    day       INTEGER NOT NULL,
    store     INTEGER NOT NULL,
    seconds   INTEGER NOT NULL DEFAULT 0,
    blind_s   INTEGER NOT NULL DEFAULT 0,
    arrivals  INTEGER NOT NULL DEFAULT 0,
    alerts    INTEGER NOT NULL DEFAULT 0,
    announced INTEGER NOT NULL DEFAULT 0,   -- visits that ended, of which staff were alerted
    claimed   INTEGER NOT NULL DEFAULT 0,   -- of those, the ones that staff took care of
    claimed_s INTEGER NOT NULL DEFAULT 0,   -- until then, in all
    here      INTEGER NOT NULL DEFAULT 0,   -- labels
    not_here  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, store)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO hours
SELECT store, gateway, unixepoch(at), report ->> 'seconds', report ->> 'blind_s',
       report ->> 'advertisements', report ->> 'contacts', report ->> 'arrivals',
       report ->> 'alerts', report ->> 'departures'
FROM reports WHERE kind = 'hour' AND unixepoch(at) IS NOT NULL;

INSERT INTO days
SELECT unixepoch(at) / 86400, store,
       sum(iif(kind = 'hour', report ->> 'seconds', 0)),
       sum(iif(kind = 'hour', report ->> 'blind_s', 0)),
       sum(iif(kind = 'hour', report ->> 'arrivals', 0)),
       sum(iif(kind = 'hour', report ->> 'alerts', 0)),
       sum(kind = 'visit' AND report ->> 'announced'),
       sum(kind = 'visit' AND report ->> 'announced' AND report ->> 'claimed_after_s' IS NOT NULL),
       sum(iif(kind = 'visit' AND report ->> 'announced', coalesce(report ->> 'claimed_after_s', 0), 0)),
       sum(kind = 'label' AND report ->> 'was_here'),
       sum(kind = 'label' AND NOT report ->> 'was_here')
FROM reports WHERE unixepoch(at) IS NOT NULL GROUP BY 1, 2;

DELETE FROM reports WHERE kind = 'hour';
