-- What the shop's own traffic says of its radio: counts and means, no customers. `of` is a gateway's name
-- after `gateway/`, a kind of place after `beacon/`, or `store`.
CREATE TABLE survey (
    of    TEXT NOT NULL,
    what  TEXT NOT NULL,
    count REAL NOT NULL,
    mean  REAL NOT NULL,
    PRIMARY KEY (of, what)
) STRICT, WITHOUT ROWID;
