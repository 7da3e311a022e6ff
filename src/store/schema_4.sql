-- How loud a customer's phone is, as earlier visits said; goes with their record, and with its
-- customer.
CREATE TABLE phones (
    client         TEXT PRIMARY KEY,
    above_usual_db REAL NOT NULL,
    visits         INTEGER NOT NULL, -- how many say so, at most a few
    learned_at     INTEGER NOT NULL  -- when the last of them ended
) STRICT, WITHOUT ROWID;
CREATE INDEX phones_by_time ON phones (learned_at);
