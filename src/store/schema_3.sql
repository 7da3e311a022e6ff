-- What the store's gateways need to agree on a visit.
ALTER TABLE visits ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE visits ADD COLUMN revision  INTEGER NOT NULL DEFAULT 0;
