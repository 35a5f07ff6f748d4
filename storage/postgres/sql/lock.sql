-- name: try_acquire
SELECT pg_try_advisory_lock($1)

-- name: alive
SELECT 1
