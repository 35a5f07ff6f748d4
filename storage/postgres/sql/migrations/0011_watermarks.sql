-- Up to when each worker has told all, in milliseconds since the epoch.

-- That of its batch with the greatest number; 0: it does not say.
ALTER TABLE ingest_writer ADD COLUMN until_ms bigint NOT NULL DEFAULT 0;
