-- What this gateway lets the broker keep until it is cleared: its state and those of the shop's
-- beacons. A name that is no longer configured is cleared there and goes.
CREATE TABLE published (
    store INTEGER NOT NULL,
    kind  TEXT NOT NULL, -- gateway, beacon
    name  TEXT NOT NULL,
    PRIMARY KEY (store, kind, name)
) STRICT, WITHOUT ROWID;
