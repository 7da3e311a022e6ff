-- Two people of one name are two; and an alert is escalated once.
ALTER TABLE visits ADD COLUMN claimed_tablet TEXT;
ALTER TABLE visits ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
