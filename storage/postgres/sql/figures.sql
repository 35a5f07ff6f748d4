-- name: revision
SELECT c.revision + s.changes AS revision FROM ingest_cursor c CROSS JOIN epoch_state s

-- name: count_change
-- Whoever changes a figure by anything but what was measured, or a close. Last in its transaction: others wait.
UPDATE epoch_state SET changes = changes + 1
