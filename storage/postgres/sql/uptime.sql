-- name: lock
-- Lets one caller at a time change states.
SELECT revision FROM ingest_cursor FOR UPDATE

-- name: grow
UPDATE ingest_cursor SET revision = revision + 1

-- name: finish
-- The days of these hours have changed.
WITH cursor AS (
    UPDATE ingest_cursor SET revision = revision + $1, confirmed_s = confirmed_s + $2 RETURNING revision
)
INSERT INTO measured_day AS m (day, changed)
SELECT day, revision FROM unnest($3::integer[]) day, cursor
WHERE day >= (SELECT from_hour / 24 FROM hours_kept)
ON CONFLICT (day) DO UPDATE SET changed = EXCLUDED.changed

-- name: writers
SELECT worker, applied, until_ms FROM ingest_writer WHERE worker = ANY($1::text[])

-- name: save_writers
INSERT INTO ingest_writer (worker, applied, last_at, until_ms)
SELECT worker, applied::int8multirange, now(), until_ms
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w (worker, applied, until_ms)
ON CONFLICT (worker) DO UPDATE
SET applied = EXCLUDED.applied, last_at = EXCLUDED.last_at, until_ms = EXCLUDED.until_ms

-- name: watermarks
SELECT worker, until_ms FROM ingest_writer WHERE worker = ANY($1::text[]) AND until_ms > 0

-- name: states
-- Those of nodes that are retired or suspended are not known.
SELECT user_id, node_id, status, since_ms, confirmed_s, confirmed_to, session_up, session_down, seen_s, rtt_us,
       jitter_us, connection_id, session_id, opened_ms, online, presumed, closed_ms, closed_code, sound, suspended,
       flapping, penalty, penalty_ms, worker, address, subnet, country, asn, latitude, longitude, agent_version
FROM node_state
WHERE node_id = ANY($1::uuid[]) AND NOT retired AND NOT suspended
FOR NO KEY UPDATE

-- name: state
SELECT user_id, node_id, status, since_ms, confirmed_s, confirmed_to, session_up, session_down, seen_s, rtt_us,
       jitter_us, connection_id, session_id, opened_ms, online, presumed, closed_ms, closed_code, sound, suspended,
       flapping, penalty, penalty_ms, worker, address, subnet, country, asn, latitude, longitude, agent_version
FROM node_state
WHERE node_id = $1 AND NOT retired
FOR NO KEY UPDATE

-- name: flapping
SELECT user_id, node_id, status, since_ms, confirmed_s, confirmed_to, session_up, session_down, seen_s, rtt_us,
       jitter_us, connection_id, session_id, opened_ms, online, presumed, closed_ms, closed_code, sound, suspended,
       flapping, penalty, penalty_ms, worker, address, subnet, country, asn, latitude, longitude, agent_version
FROM node_state
WHERE flapping AND NOT retired
FOR NO KEY UPDATE

-- name: unsettled
SELECT node_id, connection_id, worker, opened_ms, closed_ms, code, from_s, to_s, sound
FROM node_unsettled
WHERE node_id = ANY($1::uuid[])
ORDER BY opened_ms, connection_id

-- name: unsettled_by_dead
-- The states of nodes that left a connection on a worker that is not alive, without a word of its end.
SELECT user_id, node_id, status, since_ms, confirmed_s, confirmed_to, session_up, session_down, seen_s, rtt_us,
       jitter_us, connection_id, session_id, opened_ms, online, presumed, closed_ms, closed_code, sound, suspended,
       flapping, penalty, penalty_ms, worker, address, subnet, country, asn, latitude, longitude, agent_version
FROM node_state
WHERE NOT retired AND NOT suspended AND node_id IN (
    SELECT node_id FROM node_unsettled
    WHERE closed_ms IS NULL
      AND worker = ANY(ARRAY(SELECT worker FROM ingest_writer WHERE NOT worker = ANY($1::text[])))
)
FOR NO KEY UPDATE

-- name: confirmed
-- The confirmed seconds of these hours. OFFSET 0, here and below: rows are looked up one by one, whatever
-- the planner holds of arrays.
SELECT a.node_id, a.hour, h.confirmed
FROM unnest($1::uuid[], $2::integer[]) AS a (node_id, hour),
     LATERAL (SELECT number FROM node_state WHERE node_id = a.node_id OFFSET 0) n,
     LATERAL (SELECT confirmed FROM node_hours
              WHERE number = n.number AND hour = a.hour AND seconds > 0 OFFSET 0) h

-- name: save_states
UPDATE node_state n
SET status = s.status, since_ms = s.since_ms, session_up = s.session_up, session_down = s.session_down,
    connection_id = s.connection_id, session_id = s.session_id, opened_ms = s.opened_ms, online = s.online,
    presumed = s.presumed, closed_ms = s.closed_ms, closed_code = s.closed_code, sound = s.sound,
    suspended = s.suspended, flapping = s.flapping, penalty = s.penalty, penalty_ms = s.penalty_ms,
    worker = s.worker, address = s.address, subnet = s.subnet, country = s.country, asn = s.asn,
    latitude = s.latitude, longitude = s.longitude, agent_version = s.agent_version
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[], $8::uuid[],
            $9::bigint[], $10::boolean[], $11::boolean[], $12::bigint[], $13::integer[], $14::boolean[],
            $15::boolean[], $16::boolean[], $17::integer[], $18::bigint[], $19::text[], $20::text[], $21::text[],
            $22::text[], $23::bigint[], $24::real[], $25::real[], $26::text[])
    AS s (user_id, node_id, status, since_ms, session_up, session_down, connection_id, session_id, opened_ms,
          online, presumed, closed_ms, closed_code, sound, suspended, flapping, penalty, penalty_ms, worker,
          address, subnet, country, asn, latitude, longitude, agent_version),
    LATERAL (SELECT ctid FROM node_state WHERE user_id = s.user_id AND node_id = s.node_id OFFSET 0) o
WHERE n.ctid = o.ctid

-- name: forget_unsettled
DELETE FROM node_unsettled WHERE node_id = ANY($1::uuid[])

-- name: save_unsettled
INSERT INTO node_unsettled (user_id, node_id, connection_id, worker, opened_ms, closed_ms, code, from_s, to_s,
                            sound)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
                     $8::bigint[], $9::bigint[], $10::boolean[])
ON CONFLICT DO NOTHING

-- name: count_online
INSERT INTO network_country AS c (country, nodes_online)
SELECT * FROM unnest($1::text[], $2::integer[])
ON CONFLICT (country) DO UPDATE SET nodes_online = c.nodes_online + EXCLUDED.nodes_online

-- name: add_sessions
INSERT INTO node_session AS n
    (user_id, node_id, session_id, opened_at, closed_at, code, worker, address, country, asn, agent_version,
     connections, bytes_up, bytes_down)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::integer[],
                     $7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::integer[], $13::bigint[],
                     $14::bigint[])
ON CONFLICT DO NOTHING

-- name: change_sessions
-- No count exceeds $15.
UPDATE node_session n
SET closed_at = CASE WHEN s.closed_at IS NOT NULL OR s.resumed THEN s.closed_at ELSE n.closed_at END,
    code = CASE WHEN s.closed_at IS NOT NULL OR s.resumed THEN s.code ELSE n.code END,
    worker = coalesce(s.worker, n.worker),
    address = coalesce(s.address, n.address),
    country = CASE WHEN s.address IS NULL THEN n.country ELSE s.country END,
    asn = CASE WHEN s.address IS NULL THEN n.asn ELSE s.asn END,
    agent_version = coalesce(s.agent_version, n.agent_version),
    connections = n.connections + s.connections,
    bytes_up = least(n.bytes_up + s.bytes_up, $15::bigint),
    bytes_down = least(n.bytes_down + s.bytes_down, $15::bigint)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::boolean[], $7::text[],
            $8::text[], $9::text[], $10::bigint[], $11::text[], $12::integer[], $13::bigint[], $14::bigint[])
    AS s (user_id, node_id, session_id, closed_at, code, resumed, worker, address, country, asn, agent_version,
          connections, bytes_up, bytes_down),
    LATERAL (SELECT ctid FROM node_session
             WHERE user_id = s.user_id AND node_id = s.node_id AND session_id = s.session_id OFFSET 0) o
WHERE n.ctid = o.ctid

-- name: newest_sessions
-- What is heard late is of the newest sessions.
SELECT s.node_id, s.session_id, s.opened_at, s.closed_at
FROM unnest($1::uuid[]) AS a (node_id),
     LATERAL (SELECT user_id FROM node_state WHERE node_id = a.node_id OFFSET 0) n,
     LATERAL (SELECT node_id, session_id, opened_at, closed_at FROM node_session
              WHERE user_id = n.user_id AND node_id = a.node_id
              ORDER BY session_id DESC LIMIT 32) s

-- name: merge_sessions
-- No count exceeds $6.
WITH part AS (
    DELETE FROM node_session n
    USING unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[])
        AS m (user_id, node_id, session_id, into_id, newest)
    WHERE n.user_id = m.user_id AND n.node_id = m.node_id AND n.session_id = m.session_id
    RETURNING m.into_id, m.newest, n.*
), summed AS (
    SELECT user_id, node_id, into_id, sum(connections) AS connections, sum(bytes_up) AS bytes_up,
           sum(bytes_down) AS bytes_down
    FROM part
    GROUP BY user_id, node_id, into_id
)
UPDATE node_session n
SET connections = n.connections + s.connections,
    bytes_up = least(n.bytes_up + s.bytes_up, $6::bigint),
    bytes_down = least(n.bytes_down + s.bytes_down, $6::bigint),
    closed_at = p.closed_at, code = p.code, worker = p.worker, address = p.address, country = p.country, asn = p.asn,
    agent_version = coalesce(nullif(p.agent_version, ''), n.agent_version)
FROM summed s JOIN part p USING (user_id, node_id, into_id)
WHERE p.newest AND n.user_id = s.user_id AND n.node_id = s.node_id AND n.session_id = s.into_id

-- name: close_nodes
-- $2 is the time in milliseconds since the epoch.
WITH gone AS (
    UPDATE node_state
    SET online = false, presumed = true, closed_ms = $2::bigint, closed_code = NULL,
        status = CASE WHEN flapping THEN 'degraded' ELSE 'offline' END,
        since_ms = CASE WHEN flapping AND status = 'degraded' THEN since_ms ELSE $2 END
    WHERE online AND worker = ANY(ARRAY(SELECT worker FROM ingest_writer WHERE NOT worker = ANY($1::text[])))
    RETURNING user_id, node_id, session_id, coalesce(country, '') AS country
), counted AS (
    UPDATE network_country c SET nodes_online = c.nodes_online - g.nodes
    FROM (SELECT country, count(*) AS nodes FROM gone GROUP BY country) g
    WHERE c.country = g.country
), sessions AS (
    UPDATE node_session s SET closed_at = to_timestamp($2 / 1000.0)
    FROM gone g
    WHERE s.user_id = g.user_id AND s.node_id = g.node_id AND s.session_id = g.session_id
)
SELECT array_agg(DISTINCT user_id) FROM gone

-- name: forget_workers
WITH writers AS (
    DELETE FROM ingest_writer WHERE NOT worker = ANY($1::text[]) AND last_at < now() - interval '1 day'
)
DELETE FROM node_unsettled WHERE greatest(opened_ms, closed_ms) < $2::bigint - 86400000

-- name: totals
-- One statement, hence one snapshot: the revision and the rows belong together.
SELECT c.revision, n.user_id, n.node_id, n.name, s.status, s.since_ms, s.confirmed_s, s.flapping, s.country,
       s.rtt_us, s.jitter_us, s.retired
FROM ingest_cursor c
LEFT JOIN (node n JOIN node_state s USING (user_id, node_id))
    ON n.user_id = ANY($1::uuid[]) AND (n.public_key IS NOT NULL OR n.retired_at IS NOT NULL)
ORDER BY n.user_id, n.node_id

-- name: hours
SELECT to_timestamp(h.hour::bigint * 3600) AS hour, h.seconds
FROM node_state s JOIN node_hours h USING (number)
WHERE s.user_id = $1 AND s.node_id = $2 AND h.seconds > 0
ORDER BY h.hour

-- name: network
-- The time of erased accounts stays counted: it was measured.
SELECT c.revision, c.confirmed_s,
       (SELECT sum(count)::bigint FROM tally WHERE what = 'nodes') AS nodes_total,
       (SELECT sum(count)::bigint FROM tally WHERE what = 'users') AS users_total,
       ARRAY(SELECT country FROM network_country WHERE nodes_online > 0 ORDER BY country = '', country) AS countries,
       ARRAY(SELECT nodes_online FROM network_country WHERE nodes_online > 0 ORDER BY country = '', country) AS online
FROM ingest_cursor c
