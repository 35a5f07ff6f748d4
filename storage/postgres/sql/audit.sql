-- name: append
INSERT INTO audit_event (event_id, at, kind, user_id, actor_id, address, request_id, facts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: read
-- A statement for each set of conditions, so that each has a plan of its own.
SELECT event_id, at, kind, user_id, actor_id, address, request_id, facts FROM audit_event
WHERE event_id < $1
ORDER BY event_id DESC
LIMIT $2

-- name: read_user
SELECT event_id, at, kind, user_id, actor_id, address, request_id, facts FROM audit_event
WHERE event_id < $1 AND user_id = $3
ORDER BY event_id DESC
LIMIT $2

-- name: read_kind
SELECT event_id, at, kind, user_id, actor_id, address, request_id, facts FROM audit_event
WHERE event_id < $1 AND kind BETWEEN $3 AND $4
ORDER BY event_id DESC
LIMIT $2

-- name: read_user_kind
SELECT event_id, at, kind, user_id, actor_id, address, request_id, facts FROM audit_event
WHERE event_id < $1 AND user_id = $3 AND kind BETWEEN $4 AND $5
ORDER BY event_id DESC
LIMIT $2

-- name: prune
SELECT prune_audit_events($1)
