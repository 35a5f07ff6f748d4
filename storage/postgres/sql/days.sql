-- name: lock
SELECT FROM ingest_cursor FOR UPDATE

-- name: open
SELECT open_days(array_agg(day)), min(make_day_partition(day)::text) FROM generate_series($1::integer, $2::integer) day

-- name: patience
-- Who waits for a lock makes those wait who come after.
SET LOCAL lock_timeout = '2s'

-- name: room
-- A sort or a table of a million nodes fits in little more. And nobody works for a caller that has gone.
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '256MB';
SET LOCAL client_connection_check_interval = '2s'

-- name: unrolled
SELECT day, rolled_at FROM measured_day
WHERE day < $1 AND rolled IS DISTINCT FROM changed AND day >= (SELECT from_hour / 24 FROM hours_kept)
ORDER BY day

-- name: changed
SELECT changed FROM measured_day WHERE day = $1

-- name: roll_up_nodes
-- Four buckets of round trips at a time: 24 counts of a byte each fit 16 bits.
INSERT INTO node_day AS d (bytes_up, bytes_down, rtt_0, rtt_1, rtt_2, rtt_3, number, day, seconds, errors, answered,
                           missed, refused)
SELECT least(sum(bytes_up), 4611686018427387903), least(sum(bytes_down), 4611686018427387903),
       sum(rtt_low >> 8 & 71777214294589695), sum(rtt_low & 71777214294589695),
       sum(rtt_high >> 8 & 71777214294589695), sum(rtt_high & 71777214294589695),
       number, $1::integer, sum(seconds), least(sum(errors), 2147483647), sum(answered), sum(missed), sum(refused)
FROM node_hours WHERE hour >= $1::integer * 24 AND hour < $1::integer * 24 + 24
GROUP BY number
ON CONFLICT (number, day) DO UPDATE
SET bytes_up = EXCLUDED.bytes_up, bytes_down = EXCLUDED.bytes_down, rtt_0 = EXCLUDED.rtt_0, rtt_1 = EXCLUDED.rtt_1,
    rtt_2 = EXCLUDED.rtt_2, rtt_3 = EXCLUDED.rtt_3, seconds = EXCLUDED.seconds, errors = EXCLUDED.errors,
    answered = EXCLUDED.answered, missed = EXCLUDED.missed, refused = EXCLUDED.refused
WHERE d.* IS DISTINCT FROM EXCLUDED.*

-- name: add_up_hours
-- All countries together, hour by hour.
INSERT INTO network_hour (hour, country, nodes, seconds, bytes_up, bytes_down, answered, missed, refused, rtt)
SELECT hour, '*', sum(nodes), {network_sums}
FROM network_hour WHERE hour >= $1::integer * 24 AND hour < $1::integer * 24 + 24 AND country <> '*'
GROUP BY hour
ON CONFLICT (hour, country) DO UPDATE
SET nodes = EXCLUDED.nodes, seconds = EXCLUDED.seconds, bytes_up = EXCLUDED.bytes_up,
    bytes_down = EXCLUDED.bytes_down, answered = EXCLUDED.answered, missed = EXCLUDED.missed,
    refused = EXCLUDED.refused, rtt = EXCLUDED.rtt

-- name: roll_up_network
INSERT INTO network_day (day, country, nodes, node_hours, seconds, bytes_up, bytes_down, answered, missed, refused, rtt)
SELECT $1::integer, country, max(nodes), sum(nodes), {network_sums}
FROM network_hour WHERE hour >= $1::integer * 24 AND hour < $1::integer * 24 + 24
GROUP BY country
ON CONFLICT (day, country) DO UPDATE
SET nodes = EXCLUDED.nodes, node_hours = EXCLUDED.node_hours, seconds = EXCLUDED.seconds,
    bytes_up = EXCLUDED.bytes_up, bytes_down = EXCLUDED.bytes_down, answered = EXCLUDED.answered,
    missed = EXCLUDED.missed, refused = EXCLUDED.refused, rtt = EXCLUDED.rtt

-- name: rolled
UPDATE measured_day SET rolled = $2, rolled_at = now() WHERE day = $1

-- name: unpacked
SELECT day FROM measured_day
WHERE day < $1 AND NOT packed AND rolled = changed AND to_regclass(hour_partition(day)) IS NOT NULL
ORDER BY day

-- name: begin_packing
SELECT begin_packing($1)

-- name: copy_packed
SELECT copy_packed($1)

-- name: finish_packing
SELECT finish_packing($1)

-- name: drop_hours
SELECT drop_hours($1)

-- name: drop_days
SELECT drop_days($1)

-- name: prune_sessions
DELETE FROM node_session
WHERE (user_id, node_id, session_id) IN (
    SELECT user_id, node_id, session_id FROM node_session
    WHERE closed_at < $1 ORDER BY closed_at LIMIT $2
)
