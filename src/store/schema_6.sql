-- How long ago a heartbeat was is known by the boot it was in, or by a wall clock that counted.
ALTER TABLE alive ADD COLUMN clock_set INTEGER NOT NULL DEFAULT 1;
ALTER TABLE alive ADD COLUMN boot TEXT;
ALTER TABLE alive ADD COLUMN uptime INTEGER; -- milliseconds since that boot
