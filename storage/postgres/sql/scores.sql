-- name: formulas
SELECT version, created_at, parameters FROM score_formula ORDER BY version

-- name: current
-- Whoever computes holds this row until all is written.
SELECT current FROM score_run FOR UPDATE

-- name: filled
SELECT EXISTS (SELECT FROM node_score_{slot})

-- name: patience
SELECT set_config('lock_timeout', $1, true)

-- name: empty
TRUNCATE node_score_{slot}

-- name: last_number
SELECT coalesce(max(number), 0) FROM node_state

-- name: prepare
-- Room for the hash table of a million nodes (what does not fit goes to the disk), and a plan for these
-- very numbers, not for any.
SELECT set_config('work_mem', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: fill
-- The scores of the nodes with the numbers $12 to $13, of the hours $1 to $2 and the seconds up to $3.
--
-- The sums are packed: a histogram's sixteen counters of one byte become sixteen of two, four to a
-- number, which twenty-five hours cannot overflow; three counts of 15 bits become three of 21. A node's
-- claims of bytes may be absurd, but never too much to add. The median's bucket comes after those whose
-- cumulated counts are below its rank. Each step stands in a subquery of its own;
-- OFFSET 0 keeps the planner from writing it out wherever the next one uses it.
INSERT INTO node_score_{slot} (
    bytes, number, window_s, confirmed, samples, answered, missed, refused, target, median_ms,
    uptime, latency, challenges, contribution, base, score, gate, public, located, gates
)
WITH gates AS MATERIALIZED (
    SELECT node_id, min(gate) AS gate,
           jsonb_agg(jsonb_build_object('rule', rule, 'quarters', gate, 'evidence', evidence)
                     ORDER BY gate, rule) AS gates
    FROM node_gate
    GROUP BY node_id
),
packed AS (
    SELECT number, total(seconds) AS confirmed,
           total(least(bytes_up, 1::bigint << 57) + least(bytes_down, 1::bigint << 57)) AS bytes,
           total(answered + (missed::bigint << 21) + (refused::bigint << 42)) AS counts,
           total((rtt_low >> 8) & x'00FF00FF00FF00FF'::bigint) AS even_low,
           total(rtt_low & x'00FF00FF00FF00FF'::bigint) AS odd_low,
           total((rtt_high >> 8) & x'00FF00FF00FF00FF'::bigint) AS even_high,
           total(rtt_high & x'00FF00FF00FF00FF'::bigint) AS odd_high
    FROM node_hours
    WHERE hour BETWEEN $1 AND $2 AND number BETWEEN $12 AND $13
    GROUP BY number
),
unpacked AS (
    SELECT s.number, s.subnet <> '' AS public, s.latitude IS NOT NULL AS located,
           coalesce(g.gate, 4) AS gate, g.gates,
           coalesce(p.confirmed, 0) AS confirmed, coalesce(p.bytes, 0) AS bytes,
           greatest(0, $3 - greatest($1 * 3600::bigint, floor(extract(epoch FROM n.created_at))::bigint)) AS window_s,
           coalesce(p.counts, 0) & 2097151 AS answered, (coalesce(p.counts, 0) >> 21) & 2097151 AS missed,
           coalesce(p.counts, 0) >> 42 AS refused,
           coalesce(p.even_low, 0) >> 48 AS b0, coalesce(p.odd_low, 0) >> 48 AS b1,
           (coalesce(p.even_low, 0) >> 32) & 65535 AS b2, (coalesce(p.odd_low, 0) >> 32) & 65535 AS b3,
           (coalesce(p.even_low, 0) >> 16) & 65535 AS b4, (coalesce(p.odd_low, 0) >> 16) & 65535 AS b5,
           coalesce(p.even_low, 0) & 65535 AS b6, coalesce(p.odd_low, 0) & 65535 AS b7,
           coalesce(p.even_high, 0) >> 48 AS b8, coalesce(p.odd_high, 0) >> 48 AS b9,
           (coalesce(p.even_high, 0) >> 32) & 65535 AS b10, (coalesce(p.odd_high, 0) >> 32) & 65535 AS b11,
           (coalesce(p.even_high, 0) >> 16) & 65535 AS b12, (coalesce(p.odd_high, 0) >> 16) & 65535 AS b13,
           coalesce(p.even_high, 0) & 65535 AS b14, coalesce(p.odd_high, 0) & 65535 AS b15
    FROM node_state s
    JOIN node n USING (user_id, node_id)
    LEFT JOIN packed p USING (number)
    LEFT JOIN gates g USING (node_id)
    WHERE n.public_key IS NOT NULL AND s.number BETWEEN $12 AND $13
    OFFSET 0
),
added AS (
    SELECT *, b0 + b1 + b2 + b3 AS c3, b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7 AS c7,
           b8 + b9 + b10 + b11 AS d3, b8 + b9 + b10 + b11 + b12 + b13 + b14 + b15 AS d7,
           answered + missed + refused AS asked,
           $4::bigint * greatest(window_s, $5) / (($2 - $1) * 3600::bigint) AS target
    FROM unpacked
    OFFSET 0
),
counted AS (
    SELECT *, c7 + d7 AS samples,
           1 + width_bucket((c7 + d7 + 1) / 2 - 1, ARRAY[
               b0, b0 + b1, c3 - b3, c3, c3 + b4, c3 + b4 + b5, c7 - b7, c7,
               c7 + b8, c7 + b8 + b9, c7 + d3 - b11, c7 + d3,
               c7 + d3 + b12, c7 + d3 + b12 + b13, c7 + d7 - b15, c7 + d7
           ]) AS bucket
    FROM added
    OFFSET 0
),
measured AS (
    SELECT *,
           CASE WHEN window_s >= $5 THEN least(10000, confirmed * 10000 / window_s) END AS uptime,
           CASE WHEN samples >= $6 THEN ($8::integer[])[bucket] END AS latency,
           CASE WHEN asked >= $7 THEN answered * 10000 / asked END AS challenges,
           least(bytes, target) * 10000 / target AS contribution,
           CASE WHEN samples > 0 THEN ($9::integer[])[bucket] END AS median_ms
    FROM counted
    OFFSET 0
),
weighed AS (
    SELECT *,
           CASE WHEN (uptime IS NOT NULL OR NOT ($11::boolean[])[1])
                 AND (latency IS NOT NULL OR NOT ($11::boolean[])[2])
                 AND (challenges IS NOT NULL OR NOT ($11::boolean[])[3])
                THEN (coalesce(uptime, 0) * ($10::integer[])[1] + coalesce(latency, 0) * ($10::integer[])[2]
                      + coalesce(challenges, 0) * ($10::integer[])[3] + contribution * ($10::integer[])[4]) / 10000
           END AS base
    FROM measured
    OFFSET 0
)
SELECT bytes, number, window_s, confirmed, samples, answered, missed, refused, target, median_ms,
       uptime, latency, challenges, contribution, base, base * gate / 4, gate, public, located, gates
FROM weighed

-- name: finish
UPDATE score_run SET current = $1, formula = $2, computed_at = $3

-- name: of_node
-- Not a join: a number that is known beforehand is looked up within the view.
SELECT s.formula, s.computed_at, s.score, s.base, s.gate, s.uptime, s.latency, s.challenges, s.contribution,
       s.confirmed AS confirmed_seconds, s.window_s AS window_seconds, s.samples, s.median_ms,
       s.answered, s.missed, s.refused, s.bytes, s.target AS target_bytes, s.public, s.located, s.gates
FROM node_score s
WHERE s.number = (SELECT number FROM node_state WHERE user_id = $1 AND node_id = $2)
