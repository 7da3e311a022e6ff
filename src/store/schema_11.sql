-- Who checked in stays although nothing is received, over restarts too.
ALTER TABLE visits ADD COLUMN checked_in_until INTEGER;
