-- What each rule looks for: $1 is the time, $2 the rule's parameters. Each gives (user_id, node_id,
-- subject, weight, evidence), a row for each cause.

-- name: shared_address
SELECT s.user_id, s.node_id, s.address AS subject, c.nodes AS weight,
       jsonb_build_object('nodes', c.nodes, 'address', s.address) AS evidence
FROM (
    SELECT address, count(*) AS nodes FROM node_state
    WHERE online AND NOT suspended AND subnet <> ''
    GROUP BY address HAVING count(*) >= ($2::jsonb ->> 'nodes')::integer
) c JOIN node_state s USING (address)
WHERE s.online AND NOT s.suspended AND s.subnet <> ''

-- name: shared_subnet
SELECT s.user_id, s.node_id, s.subnet AS subject, c.nodes AS weight,
       jsonb_build_object('nodes', c.nodes, 'subnet', s.subnet) AS evidence
FROM (
    SELECT subnet, count(*) AS nodes FROM node_state
    WHERE online AND NOT suspended AND subnet <> ''
    GROUP BY subnet
    HAVING count(*) >= CASE WHEN strpos(subnet, ':') > 0 THEN ($2::jsonb ->> 'nodes_64')::integer
                            ELSE ($2::jsonb ->> 'nodes_24')::integer END
) c JOIN node_state s USING (subnet)
WHERE s.online AND NOT s.suspended

-- name: shared_asn
SELECT s.user_id, s.node_id, 'AS' || s.asn AS subject, c.nodes AS weight,
       jsonb_build_object('nodes', c.nodes, 'asn', s.asn) AS evidence
FROM (
    SELECT asn, nodes FROM (
        SELECT asn, count(*) AS nodes, sum(count(*)) OVER () AS everywhere FROM node_state
        WHERE online AND NOT suspended AND subnet <> ''
        GROUP BY asn
    ) each
    WHERE asn IS NOT NULL AND nodes >= ($2::jsonb ->> 'nodes')::integer
      AND nodes * 100 >= everywhere * ($2::jsonb ->> 'percent')::integer
) c JOIN node_state s USING (asn)
WHERE s.online AND NOT s.suspended AND s.subnet <> ''

-- name: two_places
SELECT user_id, node_id, one || ' ' || other AS subject, count(*) AS weight,
       jsonb_build_object('times', count(*), 'seconds', max(seconds), 'addresses', jsonb_build_array(one, other))
           AS evidence
FROM (
    SELECT user_id, node_id, least(from_address COLLATE "C", to_address COLLATE "C") AS one,
           greatest(from_address COLLATE "C", to_address COLLATE "C") AS other,
           overlap_to - at_ms / 1000 AS seconds
    FROM node_move
    WHERE overlap_to > extract(epoch FROM $1::timestamptz)::bigint - ($2::jsonb ->> 'hours')::integer * 3600
) both_answered
WHERE seconds > ($2::jsonb ->> 'grace')::integer
GROUP BY user_id, node_id, one, other

-- name: impossible_travel
-- The evidence is of the newest such journey.
SELECT user_id, node_id, one || ' ' || other AS subject, count(*) AS weight,
       (array_agg(jsonb_build_object('km', km, 'minutes', elapsed_ms / 60000,
                                     'km_h', km * 3600000 / greatest(elapsed_ms, 1000),
                                     'from', from_country, 'to', to_country) ORDER BY at_ms DESC))[1]
           || jsonb_build_object('times', count(*)) AS evidence
FROM (
    SELECT user_id, node_id, least(from_subnet COLLATE "C", to_subnet COLLATE "C") AS one,
           greatest(from_subnet COLLATE "C", to_subnet COLLATE "C") AS other,
           km::bigint AS km, at_ms, at_ms - left_ms AS elapsed_ms, from_country, to_country
    FROM node_move
    WHERE at_ms > (extract(epoch FROM $1::timestamptz) * 1000)::bigint - ($2::jsonb ->> 'hours')::bigint * 3600000
      AND km >= ($2::jsonb ->> 'km')::integer
) journey
WHERE km * 3600000 > ($2::jsonb ->> 'km_h')::bigint * elapsed_ms
GROUP BY user_id, node_id, one, other

-- name: identical_timing
-- Ends of our doing (4001, and a worker's death, which has no code) end many at once: they tell nothing.
-- Pairs of seconds that too few share are dropped first: nearly all, of millions of sessions. (date_part
-- makes a binary number, extract a decimal one, which costs three times as much.)
WITH ended AS MATERIALIZED (
    SELECT user_id, node_id, floor(date_part('epoch', opened_at))::bigint AS began,
           floor(date_part('epoch', closed_at))::bigint AS ended
    FROM node_session
    WHERE closed_at > $1::timestamptz - make_interval(hours => ($2::jsonb ->> 'hours')::integer)
      AND closed_at <= $1 AND code <> 4001
), crowded AS MATERIALIZED (
    SELECT began, ended FROM ended GROUP BY began, ended HAVING count(*) >= ($2::jsonb ->> 'nodes')::integer
), together AS MATERIALIZED (
    SELECT e.user_id, e.node_id, began, ended FROM crowded JOIN ended e USING (began, ended)
), known AS (
    SELECT DISTINCT t.user_id, t.node_id, t.began, t.ended, s.subnet
    FROM together t JOIN node_state s USING (user_id, node_id)
    WHERE s.subnet <> ''
), counted AS MATERIALIZED (
    SELECT user_id, node_id, subnet, count(*) OVER (PARTITION BY began, ended, user_id) AS of_owner,
           count(*) OVER (PARTITION BY began, ended, subnet) AS of_subnet
    FROM known
), taken_part AS (
    SELECT user_id, node_id, 'owner' AS what, 'owner' AS subject, of_owner AS nodes FROM counted
    UNION ALL
    SELECT user_id, node_id, 'subnet', 'subnet ' || subnet, of_subnet FROM counted
)
SELECT user_id, node_id, subject, max(nodes) AS weight,
       jsonb_build_object('nodes', max(nodes), 'times', count(*), 'of', what) AS evidence
FROM taken_part
WHERE nodes >= ($2::jsonb ->> 'nodes')::integer
GROUP BY user_id, node_id, what, subject
HAVING count(*) >= ($2::jsonb ->> 'times')::integer

-- name: failing_challenges
-- Few hours have refused answers, and fewer nodes enough of them: only theirs are looked up.
SELECT s.user_id, s.node_id, '' AS subject, f.refused AS weight,
       jsonb_build_object('refused', f.refused, 'asked', a.asked, 'percent', f.refused * 100 / a.asked) AS evidence
FROM (
    SELECT number, sum(refused)::bigint AS refused
    FROM (
        SELECT number, hour, refused FROM node_hour WHERE refused > 0
        UNION ALL
        SELECT number, hour, refused FROM node_state WHERE refused > 0
    ) refused_in
    WHERE hour > floor(extract(epoch FROM $1::timestamptz) / 3600)::integer - ($2::jsonb ->> 'hours')::integer
      AND hour <= floor(extract(epoch FROM $1::timestamptz) / 3600)::integer
    GROUP BY number
    HAVING sum(refused) >= ($2::jsonb ->> 'refused')::integer
) f CROSS JOIN LATERAL (
    SELECT sum(h.answered + h.missed + h.refused)::bigint AS asked
    FROM node_hours h
    WHERE h.number = f.number
      AND h.hour > floor(extract(epoch FROM $1::timestamptz) / 3600)::integer - ($2::jsonb ->> 'hours')::integer
      AND h.hour <= floor(extract(epoch FROM $1::timestamptz) / 3600)::integer
) a JOIN node_state s ON s.number = f.number
WHERE f.refused * 100 >= a.asked * ($2::jsonb ->> 'percent')::integer
