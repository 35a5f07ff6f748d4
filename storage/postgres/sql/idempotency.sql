-- name: claim
-- Returns a row if the key is the caller's now.
INSERT INTO idempotent_request AS r (user_id, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, created_at = EXCLUDED.created_at
WHERE r.status = 0 AND r.created_at < $5
RETURNING user_id

-- name: kept
SELECT fingerprint, status, body, created_at FROM idempotent_request WHERE user_id = $1 AND key = $2

-- name: finish
UPDATE idempotent_request SET status = $3, body = $4 WHERE user_id = $1 AND key = $2 AND status = 0

-- name: abandon
DELETE FROM idempotent_request WHERE user_id = $1 AND key = $2 AND status = 0

-- name: prune
WITH gone AS (DELETE FROM idempotent_request WHERE created_at < $1 RETURNING 1)
SELECT count(*) FROM gone
