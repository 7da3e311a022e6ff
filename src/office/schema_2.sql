-- Which trace a report is, so that it can be deleted with its customer's consent.
ALTER TABLE reports ADD COLUMN trace TEXT;

-- Whose each trace is, as a hash that only this gateway can make: so that head office can delete it
-- when the customer withdraws consent.
CREATE TABLE traces (
    trace    TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    until    INTEGER NOT NULL -- milliseconds since the Unix epoch, UTC; then it is deleted
) STRICT, WITHOUT ROWID;
CREATE INDEX traces_by_customer ON traces (customer);
