-- The outbox holds what a message says; where it is published is not the store's business.
DROP INDEX outbox_by_visit;
ALTER TABLE outbox RENAME COLUMN topic TO kind;
ALTER TABLE outbox DROP COLUMN retain;
UPDATE outbox SET kind = CASE
    WHEN kind LIKE '%/arrivals' THEN 'arrival'
    WHEN kind LIKE '%/departures' THEN 'departure'
    ELSE 'visit_state'
END;
CREATE INDEX outbox_by_visit ON outbox (visit, kind);
