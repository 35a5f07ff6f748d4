-- name: plan
-- A join that reads all states to meet some thousand reports would be the slower one, and no state is looked
-- up twice, so that none is worth remembering.
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_memoize', 'off', true),
       set_config('work_mem', '64MB', true)

-- name: stage
-- Columns that reports do not have: how many of them a row stands for, and its part of the session's bytes
-- where that is not all.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_report (
    node_id       uuid           NOT NULL,
    connection_id uuid,
    hour          integer        NOT NULL,
    seconds       integer        NOT NULL,
    at_s          bigint         NOT NULL,
    minutes       bigint         NOT NULL,
    bytes_up      bigint         NOT NULL,
    bytes_down    bigint         NOT NULL,
    rtt_low       bigint         NOT NULL,
    rtt_high      bigint         NOT NULL,
    errors        integer        NOT NULL,
    answered      integer        NOT NULL,
    missed        integer        NOT NULL,
    refused       integer        NOT NULL,
    rtt_us        integer        NOT NULL,
    jitter_us     integer        NOT NULL,
    confirmed     int4multirange NOT NULL,
    records       integer        NOT NULL DEFAULT 1,
    session_up    bigint,
    session_down  bigint
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS gathered_report (LIKE staged_report INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS turning_report (
    LIKE staged_report INCLUDING DEFAULTS,
    user_id uuid    NOT NULL,
    number  integer NOT NULL,
    was     integer NOT NULL,
    country text    NOT NULL,
    late    boolean NOT NULL
) ON COMMIT DELETE ROWS

-- name: clear
TRUNCATE pg_temp.staged_report

-- name: concerned
-- Reported nodes whose connection may turn out to be alive, or of which something is not settled. OFFSET 0,
-- here and below: staged rows are looked up one by one, whatever the planner holds of temporary tables.
SELECT r.node_id FROM staged_report r
WHERE EXISTS (
    SELECT FROM node_state n
    WHERE n.node_id = r.node_id AND n.presumed AND n.connection_id = r.connection_id
      AND r.at_s * 1000 > n.closed_ms
    OFFSET 0
) OR EXISTS (SELECT FROM node_unsettled u WHERE u.node_id = r.node_id OFFSET 0)

-- name: credit
-- Seconds that count besides those reported.
INSERT INTO staged_report (node_id, hour, seconds, at_s, minutes, bytes_up, bytes_down, rtt_low, rtt_high, errors,
                           answered, missed, refused, rtt_us, jitter_us, confirmed, records, session_up, session_down)
SELECT node_id, hour, end_s - start_s, 0, minutes, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
       int4multirange(int4range(start_s, end_s)), 0, 0, 0
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[])
    AS c (node_id, hour, start_s, end_s, minutes)

-- name: gather
-- One row for each node and hour. What belongs to a session before the node's newest goes there at once.
WITH known AS (
    SELECT r.*, n.user_id, r.connection_id < n.session_id AS former
    FROM staged_report r LEFT JOIN LATERAL (
        SELECT user_id, session_id FROM node_state
        WHERE node_id = r.node_id AND NOT suspended AND NOT retired
        OFFSET 0
    ) n ON true
), sessions AS (
    UPDATE node_session s
    SET bytes_up = least(s.bytes_up + f.bytes_up, 4611686018427387903),
        bytes_down = least(s.bytes_down + f.bytes_down, 4611686018427387903)
    FROM (
        SELECT user_id, node_id, session_id, least(sum(bytes_up), 4611686018427387903)::bigint AS bytes_up,
               least(sum(bytes_down), 4611686018427387903)::bigint AS bytes_down
        FROM known k, LATERAL (
            SELECT session_id FROM node_session o
            WHERE o.user_id = k.user_id AND o.node_id = k.node_id AND o.session_id <= k.connection_id
            ORDER BY session_id DESC LIMIT 1
        ) o
        WHERE former
        GROUP BY user_id, node_id, session_id
    ) f
    WHERE s.user_id = f.user_id AND s.node_id = f.node_id AND s.session_id = f.session_id
)
INSERT INTO gathered_report
SELECT node_id, NULL, hour, seconds_in(range_agg(confirmed)), max(at_s), bit_or(minutes),
       least(sum(bytes_up), 4611686018427387903), least(sum(bytes_down), 4611686018427387903), rtt_sum(rtt_low),
       rtt_sum(rtt_high), least(sum(errors), 2147483647), least(sum(answered), 2147483647),
       least(sum(missed), 2147483647), least(sum(refused), 2147483647),
       coalesce((array_agg(rtt_us ORDER BY at_s DESC) FILTER (WHERE rtt_us > 0))[1], 0),
       coalesce((array_agg(jitter_us ORDER BY at_s DESC) FILTER (WHERE jitter_us > 0))[1], 0),
       range_agg(confirmed), sum(records),
       coalesce(least(sum(bytes_up) FILTER (WHERE former IS NOT TRUE), 4611686018427387903), 0),
       coalesce(least(sum(bytes_down) FILTER (WHERE former IS NOT TRUE), 4611686018427387903), 0)
FROM known
GROUP BY node_id, hour

-- name: count
-- Reports of the hours that their nodes are in. The old seconds are read beside the row that is updated. Ids
-- grow with time: in their order, neighbours are on the same pages.
WITH counted AS (
    UPDATE node_state n
    SET confirmed = n.confirmed + r.confirmed,
        seconds = CASE WHEN n.confirmed && r.confirmed THEN seconds_in(n.confirmed + r.confirmed)
                       ELSE n.seconds + r.seconds END,
        confirmed_s = n.confirmed_s + CASE WHEN n.confirmed && r.confirmed
                                           THEN seconds_in(n.confirmed + r.confirmed) - n.seconds
                                           ELSE r.seconds END,
        confirmed_to = greatest(n.confirmed_to, r.hour::bigint * 3600 + upper(r.confirmed)),
        minutes = n.minutes | r.minutes,
        bytes_up = least(n.bytes_up + r.bytes_up, 4611686018427387903),
        bytes_down = least(n.bytes_down + r.bytes_down, 4611686018427387903),
        errors = least(n.errors::bigint + r.errors, 2147483647),
        answered = least(n.answered::bigint + r.answered, 32767),
        missed = least(n.missed::bigint + r.missed, 32767),
        refused = least(n.refused::bigint + r.refused, 32767),
        rtt_low = CASE WHEN r.rtt_low = 0 THEN n.rtt_low
                       WHEN (n.rtt_low | r.rtt_low) & x'C080808080808080'::bigint = 0 THEN n.rtt_low + r.rtt_low
                       ELSE rtt_add(n.rtt_low, r.rtt_low) END,
        rtt_high = CASE WHEN r.rtt_high = 0 THEN n.rtt_high
                        WHEN (n.rtt_high | r.rtt_high) & x'C080808080808080'::bigint = 0 THEN n.rtt_high + r.rtt_high
                        ELSE rtt_add(n.rtt_high, r.rtt_high) END,
        session_up = CASE WHEN r.session_up IS NOT NULL THEN least(n.session_up + r.session_up, 4611686018427387903)
                          WHEN r.connection_id < n.session_id THEN n.session_up
                          ELSE least(n.session_up + r.bytes_up, 4611686018427387903) END,
        session_down = CASE WHEN r.session_down IS NOT NULL THEN least(n.session_down + r.session_down, 4611686018427387903)
                            WHEN r.connection_id < n.session_id THEN n.session_down
                            ELSE least(n.session_down + r.bytes_down, 4611686018427387903) END,
        seen_s = greatest(n.seen_s, r.at_s),
        rtt_us = CASE WHEN r.at_s >= n.seen_s AND r.rtt_us > 0 THEN r.rtt_us ELSE n.rtt_us END,
        jitter_us = CASE WHEN r.at_s >= n.seen_s AND r.jitter_us > 0 THEN r.jitter_us ELSE n.jitter_us END
    FROM (SELECT * FROM {reports} ORDER BY node_id) r, LATERAL (
        SELECT ctid, seconds FROM node_state
        WHERE node_id = r.node_id AND hour = r.hour AND NOT suspended AND NOT retired
        OFFSET 0
    ) o
    WHERE n.ctid = o.ctid
    RETURNING n.user_id, n.node_id, r.records, r.hour, coalesce(n.country, '') AS country,
              n.seconds - o.seconds AS seconds, r.bytes_up, r.bytes_down, r.answered, r.missed, r.refused,
              r.rtt_low, r.rtt_high,
              CASE WHEN r.session_up IS NULL AND r.connection_id < n.session_id THEN r.connection_id END AS former
), sessions AS (
    UPDATE node_session s
    SET bytes_up = least(s.bytes_up + f.bytes_up, 4611686018427387903),
        bytes_down = least(s.bytes_down + f.bytes_down, 4611686018427387903)
    FROM (
        SELECT c.user_id, c.node_id, c.bytes_up, c.bytes_down, (
                   SELECT session_id FROM node_session o
                   WHERE o.user_id = c.user_id AND o.node_id = c.node_id AND o.session_id <= c.former
                   ORDER BY session_id DESC LIMIT 1
               ) AS session_id
        FROM counted c WHERE c.former IS NOT NULL
    ) f
    WHERE s.user_id = f.user_id AND s.node_id = f.node_id AND s.session_id = f.session_id
), network AS (
    {network}
)
SELECT array_agg(user_id) AS owners, count(*) AS rows, coalesce(sum(records), 0)::bigint AS records,
       coalesce(sum(seconds), 0)::bigint AS seconds
FROM counted

-- name: network
INSERT INTO network_hour AS h (hour, country, nodes, seconds, bytes_up, bytes_down, answered, missed, refused, rtt)
SELECT hour, country, {nodes}, sum(seconds), least(sum(bytes_up), 4611686018427387903),
       least(sum(bytes_down), 4611686018427387903), sum(answered), sum(missed), sum(refused), ARRAY[
           sum((rtt_low >> 56) & 255), sum((rtt_low >> 48) & 255), sum((rtt_low >> 40) & 255),
           sum((rtt_low >> 32) & 255), sum((rtt_low >> 24) & 255), sum((rtt_low >> 16) & 255),
           sum((rtt_low >> 8) & 255), sum(rtt_low & 255),
           sum((rtt_high >> 56) & 255), sum((rtt_high >> 48) & 255), sum((rtt_high >> 40) & 255),
           sum((rtt_high >> 32) & 255), sum((rtt_high >> 24) & 255), sum((rtt_high >> 16) & 255),
           sum((rtt_high >> 8) & 255), sum(rtt_high & 255)]::bigint[]
FROM counted
GROUP BY hour, country
ON CONFLICT (hour, country) DO UPDATE
SET nodes = h.nodes + EXCLUDED.nodes, seconds = h.seconds + EXCLUDED.seconds,
    bytes_up = least(h.bytes_up + EXCLUDED.bytes_up, 4611686018427387903),
    bytes_down = least(h.bytes_down + EXCLUDED.bytes_down, 4611686018427387903),
    answered = h.answered + EXCLUDED.answered, missed = h.missed + EXCLUDED.missed,
    refused = h.refused + EXCLUDED.refused,
    rtt = ARRAY(SELECT a + b FROM unnest(h.rtt, EXCLUDED.rtt) AS sums (a, b))

-- name: leap
-- Reports, one a node, that begin a newer hour: what was the current one moves to node_hour, where the days $1
-- have a place. The rare rest, by `turn`: other days, and connections of sessions that are over.
WITH newer AS MATERIALIZED (
    SELECT r.*, n.*
    FROM (SELECT node_id AS id, hour AS new_hour, seconds AS new_seconds, at_s, minutes AS new_minutes,
                 bytes_up AS new_up, bytes_down AS new_down, rtt_low AS new_low, rtt_high AS new_high,
                 errors AS new_errors, answered AS new_answered, missed AS new_missed, refused AS new_refused,
                 rtt_us AS new_rtt_us, jitter_us AS new_jitter_us, confirmed AS new_confirmed, records,
                 connection_id AS its_connection
          FROM staged_report ORDER BY node_id) r, LATERAL (
        SELECT ctid AS place, hour, minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, errors, seconds,
               answered, missed, refused, confirmed
        FROM node_state
        WHERE node_id = r.id AND hour < r.new_hour AND (hour = 0 OR hour / 24 = ANY($1::integer[]))
          AND (r.its_connection < session_id) IS NOT TRUE AND NOT suspended AND NOT retired
        OFFSET 0
    ) n
), moved AS (
    INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds, answered,
                           missed, refused, confirmed)
    SELECT minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds, answered, missed, refused,
           confirmed
    FROM newer
    WHERE hour > 0 AND hour >= (SELECT from_hour FROM hours_kept)
), counted AS (
    UPDATE node_state n
    SET hour = r.new_hour, confirmed = r.new_confirmed, seconds = r.new_seconds,
        confirmed_s = n.confirmed_s + r.new_seconds,
        confirmed_to = greatest(n.confirmed_to, r.new_hour::bigint * 3600 + upper(r.new_confirmed)),
        minutes = r.new_minutes, bytes_up = r.new_up, bytes_down = r.new_down, errors = r.new_errors,
        answered = least(r.new_answered, 32767), missed = least(r.new_missed, 32767),
        refused = least(r.new_refused, 32767), rtt_low = r.new_low, rtt_high = r.new_high,
        session_up = least(n.session_up + r.new_up, 4611686018427387903),
        session_down = least(n.session_down + r.new_down, 4611686018427387903),
        seen_s = greatest(n.seen_s, r.at_s),
        rtt_us = CASE WHEN r.at_s >= n.seen_s AND r.new_rtt_us > 0 THEN r.new_rtt_us ELSE n.rtt_us END,
        jitter_us = CASE WHEN r.at_s >= n.seen_s AND r.new_jitter_us > 0 THEN r.new_jitter_us ELSE n.jitter_us END
    FROM newer r
    WHERE n.ctid = r.place
    RETURNING n.user_id, r.records, n.hour, coalesce(n.country, '') AS country,
              r.new_seconds AS seconds, r.new_up AS bytes_up, r.new_down AS bytes_down, r.new_answered AS answered,
              r.new_missed AS missed, r.new_refused AS refused, r.new_low AS rtt_low, r.new_high AS rtt_high
), network AS (
    {network}
)
SELECT array_agg(user_id) AS owners, coalesce(sum(records), 0)::bigint AS records,
       coalesce(sum(seconds), 0)::bigint AS seconds
FROM counted

-- name: turn
-- Reports of other hours than the one that their node is in. Late are those of hours before the newest.
WITH turning AS (
    INSERT INTO turning_report
    SELECT r.node_id, r.connection_id, r.hour, r.seconds, r.at_s, r.minutes, r.bytes_up, r.bytes_down, r.rtt_low,
           r.rtt_high, r.errors, r.answered, r.missed, r.refused, r.rtt_us, r.jitter_us, r.confirmed, r.records,
           CASE WHEN r.session_up IS NOT NULL THEN r.session_up
                WHEN r.connection_id < n.session_id THEN 0 ELSE r.bytes_up END,
           CASE WHEN r.session_down IS NOT NULL THEN r.session_down
                WHEN r.connection_id < n.session_id THEN 0 ELSE r.bytes_down END,
           n.user_id, n.number, n.hour, coalesce(n.country, ''),
           r.hour < max(greatest(r.hour, n.hour)) OVER (PARTITION BY r.node_id)
    FROM {reports} r, LATERAL (
        SELECT user_id, number, hour, country, session_id FROM node_state
        WHERE node_id = r.node_id AND hour <> r.hour AND NOT suspended AND NOT retired
        OFFSET 0
    ) n
    RETURNING user_id, node_id, connection_id, records, hour, was, bytes_up - session_up AS bytes_up,
              bytes_down - session_down AS bytes_down
), sessions AS (
    UPDATE node_session s
    SET bytes_up = least(s.bytes_up + f.bytes_up, 4611686018427387903),
        bytes_down = least(s.bytes_down + f.bytes_down, 4611686018427387903)
    FROM (
        SELECT t.user_id, t.node_id, sum(t.bytes_up)::bigint AS bytes_up, sum(t.bytes_down)::bigint AS bytes_down,
               o.session_id
        FROM turning t, LATERAL (
            SELECT session_id FROM node_session o
            WHERE o.user_id = t.user_id AND o.node_id = t.node_id AND o.session_id <= t.connection_id
            ORDER BY session_id DESC LIMIT 1
        ) o
        WHERE t.connection_id IS NOT NULL AND (t.bytes_up > 0 OR t.bytes_down > 0)
        GROUP BY t.user_id, t.node_id, o.session_id
    ) f
    WHERE s.user_id = f.user_id AND s.node_id = f.node_id AND s.session_id = f.session_id
)
SELECT array_agg(user_id) AS owners, coalesce(sum(records), 0)::bigint AS records,
       array_agg(DISTINCT hour / 24) || array_agg(DISTINCT was / 24) FILTER (WHERE was > 0) AS days
FROM turning

-- name: open_days
SELECT open_days($1::integer[])

-- name: advance
-- A newer hour begins: what was the current one moves to node_hour.
WITH moved AS (
    INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds, answered,
                           missed, refused, confirmed)
    SELECT n.minutes, n.bytes_up, n.bytes_down, n.rtt_low, n.rtt_high, n.number, n.hour, n.errors, n.seconds,
           n.answered, n.missed, n.refused, n.confirmed
    FROM turning_report r, LATERAL (
        SELECT * FROM node_state
        WHERE number = r.number AND hour > 0 AND hour >= (SELECT from_hour FROM hours_kept)
        OFFSET 0
    ) n
    WHERE NOT r.late
), counted AS (
    UPDATE node_state n
    SET hour = r.hour, confirmed = r.confirmed, seconds = r.seconds, confirmed_s = n.confirmed_s + r.seconds,
        confirmed_to = greatest(n.confirmed_to, r.hour::bigint * 3600 + upper(r.confirmed)),
        minutes = r.minutes, bytes_up = r.bytes_up, bytes_down = r.bytes_down, errors = r.errors,
        answered = least(r.answered, 32767), missed = least(r.missed, 32767), refused = least(r.refused, 32767),
        rtt_low = r.rtt_low, rtt_high = r.rtt_high,
        session_up = least(n.session_up + r.session_up, 4611686018427387903),
        session_down = least(n.session_down + r.session_down, 4611686018427387903),
        seen_s = greatest(n.seen_s, r.at_s),
        rtt_us = CASE WHEN r.at_s >= n.seen_s AND r.rtt_us > 0 THEN r.rtt_us ELSE n.rtt_us END,
        jitter_us = CASE WHEN r.at_s >= n.seen_s AND r.jitter_us > 0 THEN r.jitter_us ELSE n.jitter_us END
    FROM turning_report r, LATERAL (SELECT ctid FROM node_state WHERE number = r.number OFFSET 0) o
    WHERE NOT r.late AND n.ctid = o.ctid
    RETURNING r.hour, r.country, r.seconds, r.bytes_up, r.bytes_down, r.answered, r.missed, r.refused, r.rtt_low,
              r.rtt_high
), network AS (
    {network}
)
SELECT coalesce(sum(seconds), 0)::bigint FROM counted

-- name: correct
-- What is late is merged into hours that are over; those no longer kept stay as they are.
WITH late AS (
    SELECT r.*, h.number IS NULL AS is_new, coalesce(h.seconds, 0) AS old_seconds, coalesce(h.minutes, 0) AS old_minutes,
           coalesce(h.bytes_up, 0) AS old_up, coalesce(h.bytes_down, 0) AS old_down, coalesce(h.errors, 0) AS old_errors,
           coalesce(h.answered, 0) AS old_answered, coalesce(h.missed, 0) AS old_missed,
           coalesce(h.refused, 0) AS old_refused, coalesce(h.rtt_low, 0) AS old_low, coalesce(h.rtt_high, 0) AS old_high,
           r.confirmed + CASE WHEN h.confirmed IS NOT NULL THEN h.confirmed WHEN h.seconds > 0 THEN '{[0,3600)}'
                              ELSE '{}' END AS united
    FROM turning_report r
    LEFT JOIN LATERAL (SELECT * FROM node_hour WHERE number = r.number AND hour = r.hour OFFSET 0) h ON true
    WHERE r.late AND r.hour >= (SELECT from_hour FROM hours_kept)
), merged AS (
    INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds, answered,
                           missed, refused, confirmed)
    SELECT minutes | old_minutes, least(old_up + bytes_up, 4611686018427387903),
           least(old_down + bytes_down, 4611686018427387903), rtt_add(old_low, rtt_low), rtt_add(old_high, rtt_high),
           number, hour, least(old_errors::bigint + errors, 2147483647), seconds_in(united),
           least(old_answered::bigint + answered, 32767), least(old_missed::bigint + missed, 32767),
           least(old_refused::bigint + refused, 32767), united
    FROM late
    ON CONFLICT (number, hour) DO UPDATE
    SET minutes = EXCLUDED.minutes, bytes_up = EXCLUDED.bytes_up, bytes_down = EXCLUDED.bytes_down,
        rtt_low = EXCLUDED.rtt_low, rtt_high = EXCLUDED.rtt_high, errors = EXCLUDED.errors,
        seconds = EXCLUDED.seconds, answered = EXCLUDED.answered, missed = EXCLUDED.missed,
        refused = EXCLUDED.refused, confirmed = EXCLUDED.confirmed
), counted AS (
    SELECT number, hour, country, is_new, seconds_in(united) - old_seconds AS seconds, bytes_up, bytes_down, answered,
           missed, refused, rtt_low, rtt_high, session_up, session_down, at_s, rtt_us, jitter_us,
           hour::bigint * 3600 + upper(confirmed) AS confirmed_to
    FROM late
), states AS (
    UPDATE node_state n
    SET confirmed_s = n.confirmed_s + c.seconds, confirmed_to = greatest(n.confirmed_to, c.confirmed_to),
        session_up = least(n.session_up + c.session_up, 4611686018427387903),
        session_down = least(n.session_down + c.session_down, 4611686018427387903),
        seen_s = greatest(n.seen_s, c.at_s),
        rtt_us = CASE WHEN c.at_s >= n.seen_s AND c.rtt_us > 0 THEN c.rtt_us ELSE n.rtt_us END,
        jitter_us = CASE WHEN c.at_s >= n.seen_s AND c.jitter_us > 0 THEN c.jitter_us ELSE n.jitter_us END
    FROM (
        SELECT number, sum(seconds) AS seconds, max(confirmed_to) AS confirmed_to,
               least(sum(session_up), 4611686018427387903)::bigint AS session_up,
               least(sum(session_down), 4611686018427387903)::bigint AS session_down, max(at_s) AS at_s,
               (array_agg(rtt_us ORDER BY at_s DESC))[1] AS rtt_us,
               (array_agg(jitter_us ORDER BY at_s DESC))[1] AS jitter_us
        FROM counted GROUP BY number
    ) c, LATERAL (SELECT ctid FROM node_state WHERE number = c.number OFFSET 0) o
    WHERE n.ctid = o.ctid
), network AS (
    {network}
)
SELECT coalesce(sum(seconds), 0)::bigint FROM counted
