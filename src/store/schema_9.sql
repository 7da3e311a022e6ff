-- Up to which number this gateway knows head office's list of withdrawals.
CREATE TABLE withdrawn_up_to (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    list   TEXT NOT NULL,
    serial INTEGER NOT NULL
) STRICT;
