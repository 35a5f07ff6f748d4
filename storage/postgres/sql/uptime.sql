-- name: cursor
SELECT last_id FROM ingest_cursor

-- name: advance
-- Also the lock that lets one caller apply at a time.
UPDATE ingest_cursor SET last_id = $1, revision = revision + 1

-- name: lock
SELECT revision FROM ingest_cursor FOR UPDATE

-- name: grow
UPDATE ingest_cursor SET revision = revision + 1

-- name: writers
SELECT worker, sequence FROM ingest_writer WHERE worker = ANY($1::text[])

-- name: save_writers
INSERT INTO ingest_writer (worker, sequence)
SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (worker) DO UPDATE SET sequence = EXCLUDED.sequence

-- name: states
-- Those of erased accounts are not known any more.
SELECT user_id, node_id, online, since, confirmed_ms, confirmed_until, session_id, opened_at, worker, presumed
FROM node
WHERE node_id = ANY($1::uuid[]) AND public_key IS NOT NULL
FOR NO KEY UPDATE

-- name: save_states
UPDATE node n
SET online = s.online, since = s.since, confirmed_ms = s.confirmed_ms, confirmed_until = s.confirmed_until,
    session_id = s.session_id, opened_at = s.opened_at, worker = s.worker, presumed = s.presumed
FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[], $5::bigint[], $6::timestamptz[],
            $7::uuid[], $8::timestamptz[], $9::text[], $10::boolean[])
    AS s (user_id, node_id, online, since, confirmed_ms, confirmed_until,
          session_id, opened_at, worker, presumed)
WHERE n.user_id = s.user_id AND n.node_id = s.node_id

-- name: save_hours
-- Counts stop at $8, so that no sum of two can overflow.
INSERT INTO uptime_hour AS h (user_id, node_id, hour, confirmed_ms, bytes_up, bytes_down, errors)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[],
                     $7::bigint[])
ON CONFLICT (user_id, node_id, hour) DO UPDATE
SET confirmed_ms = h.confirmed_ms + EXCLUDED.confirmed_ms,
    bytes_up = LEAST(h.bytes_up + EXCLUDED.bytes_up, $8::bigint),
    bytes_down = LEAST(h.bytes_down + EXCLUDED.bytes_down, $8::bigint),
    errors = LEAST(h.errors + EXCLUDED.errors, $8::bigint)

-- name: add_sessions
INSERT INTO node_session
    (user_id, node_id, session_id, opened_at, worker, address, closed_at, code, agent_version)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[],
                     $7::timestamptz[], $8::integer[], $9::text[])
ON CONFLICT DO NOTHING

-- name: update_sessions
UPDATE node_session n
SET closed_at = CASE WHEN s.reopened THEN NULL ELSE coalesce(s.closed_at, n.closed_at) END,
    code = coalesce(s.code, n.code),
    agent_version = coalesce(s.agent_version, n.agent_version)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::text[], $7::boolean[])
    AS s (user_id, node_id, session_id, closed_at, code, agent_version, reopened)
WHERE n.user_id = s.user_id AND n.node_id = s.node_id AND n.session_id = s.session_id

-- name: close_nodes
UPDATE node SET online = false, since = $2, presumed = true
WHERE online AND worker = ANY(ARRAY(SELECT worker FROM ingest_writer WHERE NOT worker = ANY($1::text[])))
RETURNING user_id

-- name: close_sessions
UPDATE node_session SET closed_at = $2
WHERE closed_at IS NULL
  AND worker = ANY(ARRAY(SELECT worker FROM ingest_writer WHERE NOT worker = ANY($1::text[])))

-- name: totals
-- One statement, hence one snapshot: the revision and the rows belong together.
SELECT c.revision, n.user_id, n.node_id, n.name, n.online, n.since, n.confirmed_ms
FROM ingest_cursor c LEFT JOIN node n ON n.user_id = ANY($1::uuid[]) AND n.public_key IS NOT NULL
ORDER BY n.user_id, n.node_id

-- name: hours
SELECT hour, confirmed_ms FROM uptime_hour
WHERE user_id = $1 AND node_id = $2 AND confirmed_ms > 0
ORDER BY hour

-- name: network
-- The time of erased accounts stays counted: it was measured.
SELECT c.revision, n.nodes_online, n.nodes_total, n.confirmed_seconds,
       (SELECT count(*) FROM account WHERE deleted_at IS NULL) AS users_total
FROM ingest_cursor c,
     (SELECT count(public_key) AS nodes_total, count(*) FILTER (WHERE online) AS nodes_online,
             coalesce(sum(confirmed_ms / 1000), 0)::bigint AS confirmed_seconds
      FROM node) n
