-- name: sessions
-- What the newest session moved since its row was written is in the node's state.
SELECT s.session_id, s.opened_at, s.closed_at, s.code, s.worker, s.address, s.agent_version, s.connections,
       s.bytes_up + CASE WHEN n.session_id = s.session_id THEN n.session_up ELSE 0 END AS bytes_up,
       s.bytes_down + CASE WHEN n.session_id = s.session_id THEN n.session_down ELSE 0 END AS bytes_down,
       s.country, s.asn
FROM node_session s JOIN node_state n USING (user_id, node_id)
WHERE s.user_id = $1 AND s.node_id = $2 AND ($3::uuid IS NULL OR s.session_id < $3)
ORDER BY s.session_id DESC
LIMIT $4

-- name: memberships
SELECT created_at AS enrolled_at, retired_at FROM node
WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2)

-- name: minutes
-- Nodes that were there in the same seconds, mostly all of an hour, are one row.
SELECT hour, confirmed, count(*) AS nodes
FROM node_hours
WHERE number = ANY(ARRAY(SELECT number FROM node_state WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2)))
  AND hour >= $3 AND hour < $4 AND minutes <> 0
GROUP BY hour, confirmed

-- name: unrolled
-- Of these days the hours count, of all others their roll-up.
SELECT day FROM measured_day
WHERE day >= $1 AND day < $2 AND rolled IS DISTINCT FROM changed
  AND day >= (SELECT from_hour / 24 FROM hours_kept)
ORDER BY day

-- name: hours
SELECT hour, {node_sums}, {rtt_of_hour} AS rtt
FROM node_hours
WHERE number = ANY(ARRAY(SELECT number FROM node_state WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2)))
  AND hour >= $3 AND hour < $4
GROUP BY hour
ORDER BY hour

-- name: days
SELECT day, {node_sums}, {rtt_of_day} AS rtt
FROM node_day
WHERE number = ANY(ARRAY(SELECT number FROM node_state WHERE user_id = $1 AND ($2::uuid IS NULL OR node_id = $2)))
  AND day >= $3 AND day < $4 AND day <> ALL($5::integer[])
GROUP BY day
ORDER BY day

-- name: network_hours
-- The hours $2 of country $1, and the hours $3 of all countries.
SELECT hour, nodes, nodes::bigint AS node_hours, seconds, bytes_up, bytes_down, answered, missed, refused, rtt
FROM network_hour WHERE hour = ANY($2::integer[]) AND country = $1
UNION ALL
SELECT hour, sum(nodes), sum(nodes), {network_sums}
FROM network_hour WHERE hour = ANY($3::integer[]) AND country <> '*'
GROUP BY hour

-- name: network_days
SELECT day, nodes, node_hours, seconds, bytes_up, bytes_down, answered, missed, refused, rtt
FROM network_day WHERE day = ANY($2::integer[]) AND country = $1

-- name: countries
-- Over the days $1 and the hours $2.
WITH measured AS (
    SELECT country, max(nodes) AS nodes, sum(node_hours) AS node_hours, {network_sums}
    FROM (
        SELECT country, nodes, node_hours, seconds, bytes_up, bytes_down, answered, missed, refused, rtt
        FROM network_day WHERE day = ANY($1::integer[]) AND country <> '*'
        UNION ALL
        SELECT country, nodes, nodes, seconds, bytes_up, bytes_down, answered, missed, refused, rtt
        FROM network_hour WHERE hour = ANY($2::integer[]) AND country <> '*'
    ) parts
    GROUP BY country
)
SELECT country, coalesce(c.nodes_online, 0) AS nodes_online, coalesce(m.nodes, 0) AS nodes,
       coalesce(m.node_hours, 0)::bigint AS node_hours, coalesce(m.seconds, 0) AS seconds,
       coalesce(m.bytes_up, 0) AS bytes_up, coalesce(m.bytes_down, 0) AS bytes_down, coalesce(m.rtt, '{}') AS rtt
FROM measured m FULL JOIN (SELECT * FROM network_country WHERE nodes_online > 0) c USING (country)
