-- name: enrol
-- The key decides: whoever gets its row also gets the node. Returns nothing if it is taken.
WITH claimed AS (
    INSERT INTO node_key (public_key, user_id, node_id) VALUES ($3, $1, $2)
    ON CONFLICT (public_key) DO NOTHING
    RETURNING user_id
)
INSERT INTO node (user_id, node_id, public_key, name, created_at)
SELECT user_id, $2, $3, $4, $5 FROM claimed
RETURNING node_id

-- name: by_key
SELECT n.user_id, n.node_id, n.public_key, n.name, n.created_at
FROM node_key k JOIN node n USING (user_id, node_id)
WHERE k.public_key = $1

-- name: by_id
SELECT user_id, node_id, public_key, name, created_at FROM node
WHERE node_id = $1 AND public_key IS NOT NULL

-- name: of_user
SELECT user_id, node_id, public_key, name, created_at
FROM node
WHERE user_id = $1 AND public_key IS NOT NULL AND ($2::uuid IS NULL OR node_id > $2)
ORDER BY node_id
LIMIT $3

-- name: of_user_in_status
SELECT n.user_id, n.node_id, n.public_key, n.name, n.created_at
FROM node n JOIN node_state s USING (user_id, node_id)
WHERE n.user_id = $1 AND n.public_key IS NOT NULL AND ($2::uuid IS NULL OR n.node_id > $2) AND s.status = $4
ORDER BY n.node_id
LIMIT $3

-- name: live
SELECT node_id, status, to_timestamp(since_ms / 1000.0) AS since, flapping, confirmed_s AS confirmed_seconds,
       to_timestamp(nullif(seen_s, 0)) AS seen_at, session_id, address, country, asn, agent_version,
       nullif(rtt_us, 0) AS rtt_us, nullif(jitter_us, 0) AS jitter_us
FROM node_state
WHERE node_id = ANY($1::uuid[]) AND NOT retired

-- name: rename
UPDATE node SET name = $3
WHERE user_id = $1 AND node_id = $2 AND public_key IS NOT NULL
RETURNING user_id, node_id, public_key, name, created_at

-- name: retire
WITH ended AS (
    UPDATE node SET public_key = NULL, retired_at = $3, tokens_end = greatest(tokens_end, $3)
    WHERE user_id = $1 AND node_id = $2 AND public_key IS NOT NULL
    RETURNING user_id, node_id
)
DELETE FROM node_key k USING ended e WHERE k.user_id = e.user_id AND k.node_id = e.node_id
RETURNING k.node_id

-- name: close
-- Ends the connections of a person's nodes, or of one of them. $3 is the time in milliseconds.
WITH gone AS (
    SELECT user_id, node_id, online, coalesce(country, '') AS country
    FROM node_state
    WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2)
    FOR NO KEY UPDATE
), counted AS (
    UPDATE network_country c SET nodes_online = c.nodes_online - g.nodes
    FROM (SELECT country, count(*) AS nodes FROM gone WHERE online GROUP BY country) g
    WHERE c.country = g.country
), sessions AS (
    UPDATE node_session SET closed_at = to_timestamp($3 / 1000.0), code = $4
    WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2) AND closed_at IS NULL
)
UPDATE node_state s
SET status = 'offline', since_ms = CASE WHEN s.status = 'offline' THEN s.since_ms ELSE $3 END,
    closed_ms = CASE WHEN s.online THEN $3 ELSE s.closed_ms END,
    closed_code = CASE WHEN s.online THEN $4 ELSE s.closed_code END,
    online = false, presumed = false, suspended = false, flapping = false, penalty = 0
FROM gone g
WHERE s.user_id = g.user_id AND s.node_id = g.node_id

-- name: retired
SELECT user_id, node_id, ''::bytea AS public_key, name, created_at
FROM node
WHERE user_id = $1 AND retired_at IS NOT NULL
ORDER BY node_id

-- name: end_tokens
UPDATE node SET tokens_end = greatest(tokens_end, $2) WHERE node_id = ANY($1::uuid[])

-- name: ended_since
SELECT user_id, node_id, tokens_end FROM node WHERE tokens_end >= $1 ORDER BY tokens_end

-- name: advance_token_time
UPDATE node SET token_time_ms = $2
WHERE node_id = $1 AND public_key IS NOT NULL AND token_time_ms < $2
RETURNING node_id
