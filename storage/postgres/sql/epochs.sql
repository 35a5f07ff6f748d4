-- name: lock
-- One at a time begins or closes. The number is only ours.
SELECT pg_advisory_xact_lock(6006)

-- name: prepare
-- Nothing is known of how many groups there are in a view of two tables. With the guess of 200 each of a million nodes
-- would be looked up one by one.
SELECT set_config('work_mem', '192MB', true), set_config('enable_nestloop', 'off', true)

-- name: newest_terms
SELECT version, parameters, created_at FROM earning_terms ORDER BY version DESC LIMIT 1

-- name: add_terms
INSERT INTO earning_terms (version, parameters, created_at) VALUES ($1, $2, $3)

-- name: terms
SELECT version, parameters, created_at FROM earning_terms ORDER BY version

-- name: newest
-- The open epoch.
SELECT number, starts_at, ends_at, seconds FROM epoch WHERE closed_at IS NULL

-- name: add
INSERT INTO epoch (number, starts_at, ends_at, seconds) VALUES ($1, $2, $3, $4)

-- name: lengthen
UPDATE epoch SET ends_at = $2, seconds = $3 WHERE number = $1

-- name: open
SELECT e.number, e.starts_at, e.ends_at, m.measured_at, coalesce(m.availability, 0) AS availability_weight,
       coalesce(m.usage, 0) AS usage_weight, t.version, t.parameters, t.created_at
FROM epoch e
CROSS JOIN LATERAL (
    SELECT * FROM earning_terms
    ORDER BY created_at <= e.starts_at DESC, CASE WHEN created_at <= e.starts_at THEN -version ELSE version END
    LIMIT 1
) t
LEFT JOIN epoch_measure m ON m.epoch = e.number
WHERE e.closed_at IS NULL

-- name: measured
-- What each node did in the epoch $7: seconds from $3 up to $4, since 1970, in the hours $1 to $2. Its bytes are
-- those of its hours, without what the epochs from $6 on had of the same hour. $5 is what counts for a score that
-- is not measured. One statement, hence one snapshot: an hour that moves from node_state to node_hour meanwhile is
-- seen once, in one of them. Nobody waits for it.
SELECT s.number, CASE WHEN a.deleted_at IS NULL THEN s.user_id END AS user_id, n.created_at,
       h.seconds::integer AS seconds, c.score, coalesce(c.gate, 4::smallint) AS gate, h.bytes,
       h.seconds * coalesce(c.score, $5::integer * coalesce(c.gate, 4) / 4) AS weight
FROM (
    SELECT number, h.seconds, greatest(h.bytes - coalesce(b.bytes, 0), 0) AS bytes
    FROM (
        SELECT number,
               total(CASE WHEN hour * 3600::bigint >= $3::bigint AND (hour + 1) * 3600::bigint <= $4::bigint THEN seconds
                          ELSE seconds_in(confirmed * int4multirange(int4range(
                              greatest(0, $3::bigint - hour * 3600::bigint)::integer,
                              least(3600, $4::bigint - hour * 3600::bigint)::integer))) END) AS seconds,
               total(least(bytes_up, 1::bigint << 57) + least(bytes_down, 1::bigint << 57)) AS bytes
        FROM node_hours
        WHERE hour BETWEEN $1::integer AND $2::integer
        GROUP BY number
    ) h
    LEFT JOIN (
        SELECT number, total(bytes) AS bytes
        FROM epoch_node
        WHERE epoch >= $6::integer AND epoch < $7::integer
        GROUP BY number
    ) b USING (number)
) h
JOIN node_state s USING (number)
JOIN node n USING (user_id, node_id)
JOIN account a USING (user_id)
LEFT JOIN node_score c USING (number)
WHERE NOT s.suspended AND (h.seconds > 0 OR h.bytes > 0)

-- name: earlier
-- The first epoch that has a part of the hour in which $2 began, the number of that one or a former.
SELECT min(number) FROM epoch WHERE number <= $1 AND ends_at > date_trunc('hour', $2::timestamptz, 'UTC')

-- name: sum_up
SELECT coalesce(sum(weight), 0) AS availability, coalesce(sum(bytes), 0) AS usage FROM ({measured}) m

-- name: keep_sums
INSERT INTO epoch_measure (epoch, measured_at, availability, usage)
SELECT $1, $2, $3, $4 FROM epoch WHERE number = $1 AND closed_at IS NULL
ON CONFLICT (only_row) DO UPDATE
SET epoch = EXCLUDED.epoch, measured_at = EXCLUDED.measured_at, availability = EXCLUDED.availability,
    usage = EXCLUDED.usage
WHERE epoch_measure.epoch <= EXCLUDED.epoch

-- name: accruing
-- As in "measured", for the nodes of some; each is looked up by its number.
SELECT s.user_id, coalesce(sum(h.seconds * coalesce(c.score, $5::integer * coalesce(c.gate, 4) / 4)), 0) AS availability,
       coalesce(sum(greatest(h.bytes - b.bytes, 0)), 0) AS usage
FROM node_state s
CROSS JOIN LATERAL (
    SELECT total(CASE WHEN hour * 3600::bigint >= $3::bigint AND (hour + 1) * 3600::bigint <= $4::bigint THEN seconds
                      ELSE seconds_in(confirmed * int4multirange(int4range(
                          greatest(0, $3::bigint - hour * 3600::bigint)::integer,
                          least(3600, $4::bigint - hour * 3600::bigint)::integer))) END) AS seconds,
           total(least(bytes_up, 1::bigint << 57) + least(bytes_down, 1::bigint << 57)) AS bytes
    FROM node_hours
    WHERE number = s.number AND hour BETWEEN $1::integer AND $2::integer
    OFFSET 0
) h
CROSS JOIN LATERAL (
    SELECT total(bytes) AS bytes
    FROM epoch_node
    WHERE number = s.number AND epoch >= $6::integer AND epoch < $7::integer
    OFFSET 0
) b
LEFT JOIN LATERAL (SELECT score, gate FROM node_score WHERE number = s.number OFFSET 0) c ON true
WHERE s.user_id = ANY($8::uuid[]) AND NOT s.suspended
GROUP BY s.user_id

-- name: gather
CREATE TEMPORARY TABLE closing_node ON COMMIT DROP AS {measured}

-- name: analyse_postings
ANALYZE closing_posting

-- name: analyse
ANALYZE closing_node

-- name: sums
SELECT coalesce(sum(weight), 0) AS availability, coalesce(sum(bytes), 0) AS usage, count(*) AS nodes,
       count(DISTINCT user_id) AS users
FROM closing_node

-- name: reward
-- $1 and $2 are the pools, $3 and $4 the sums of the weights.
CREATE TEMPORARY TABLE closing_reward ON COMMIT DROP AS
SELECT number, user_id, created_at, seconds, score, gate, bytes,
       CASE WHEN user_id IS NULL OR $3::numeric = 0 THEN 0 ELSE div($1::numeric * weight, $3::numeric)::bigint END
           AS availability,
       CASE WHEN user_id IS NULL OR $4::numeric = 0 THEN 0 ELSE div($2::numeric * bytes, $4::numeric)::bigint END
           AS usage
FROM closing_node

-- name: analyse_rewards
ANALYZE closing_reward

-- name: keep_inputs
INSERT INTO epoch_node (bytes, availability, usage, number, epoch, seconds, score, gate)
SELECT bytes, availability, usage, number, $1, seconds, score, gate FROM closing_reward ORDER BY number

-- name: rewarded
SELECT coalesce(sum(availability), 0) AS availability, coalesce(sum(usage), 0) AS usage FROM closing_reward

-- name: keep_pool
INSERT INTO epoch_pool (epoch, category, pool, weight, rewarded, unallocated) VALUES ($1, $2, $3, $4, $5, $6)

-- name: make_postings
CREATE TEMPORARY TABLE closing_posting (
    key        text        NOT NULL,
    user_id    uuid        NOT NULL,
    account    text        NOT NULL,
    category   text        NOT NULL,
    matures_at timestamptz NOT NULL,
    amount     numeric     NOT NULL
) ON COMMIT DROP

-- name: post_house
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, '00000000-0000-0000-0000-000000000000', $2, $3, 'infinity', $4::numeric WHERE $4::numeric <> 0

-- name: post_shares
-- What {table} has of each person's nodes, $1 being how their entries' keys begin. Who was made after the n-th of $3
-- is held back by the n-th of $4 (days) and $5 (10,000ths of it); what is not is pending until $2.
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1::text || category, user_id, account, category, p.matures_at, {sign}sum(amount)
FROM (
    SELECT user_id, matures_at, total(availability - availability_held) AS availability,
           total(usage - usage_held) AS usage, total(availability_held) AS availability_held,
           total(usage_held) AS usage_held
    FROM (
        SELECT user_id, availability, usage,
               availability / 10000 * share + availability % 10000 * share / 10000 AS availability_held,
               usage / 10000 * share + usage % 10000 * share / 10000 AS usage_held,
               CASE WHEN step > 0 THEN greatest($2::timestamptz, date_trunc('day', created_at
                   + (days + 1) * interval '24 hours' - interval '1 microsecond', 'UTC')) END AS matures_at
        FROM (
            SELECT user_id, availability, usage, created_at, step, ($4::integer[])[step] AS days,
                   coalesce(($5::integer[])[step], 0) AS share
            FROM (
                SELECT user_id, created_at, {availability} AS availability, {usage} AS usage,
                       width_bucket(created_at, $3::timestamptz[]) AS step
                FROM {table}
                WHERE user_id IS NOT NULL
            ) r
            WHERE availability > 0 OR usage > 0
        ) r
    ) r
    GROUP BY user_id, matures_at
) r
CROSS JOIN LATERAL (
    VALUES ('pending', 'availability', $2::timestamptz, r.availability), ('pending', 'usage', $2, r.usage),
           ('held', 'availability', r.matures_at, r.availability_held), ('held', 'usage', r.matures_at, r.usage_held)
) p (account, category, matures_at, amount)
WHERE amount > 0
GROUP BY user_id, account, category, p.matures_at

-- name: advance
-- What each person's progress is after this epoch, on the day $1, and the bonuses that come of it. $2, $3 and $4: a
-- streak's least seconds a day, its days, its amount; $5 and $6: the seconds that count as the first, their share.
CREATE TEMPORARY TABLE closing_person ON COMMIT DROP AS
SELECT user_id, former + did AS seconds, before + did AS day_seconds, streak,
       CASE WHEN counts THEN $1::integer ELSE streak_day END AS streak_day,
       CASE WHEN counts AND streak % $3::integer = 0 THEN $4::numeric ELSE 0 END AS for_streak,
       CASE WHEN did = 0 THEN 0
            ELSE div(reward::numeric * $6::integer * least(did, greatest(0, $5::bigint - former)), 10000::numeric * did)
            END AS for_first
FROM (
    SELECT *, CASE WHEN NOT counts THEN run WHEN streak_day = $1::integer - 1 THEN run + 1 ELSE 1 END AS streak
    FROM (
        SELECT *, before < $2::bigint AND before + did >= $2::bigint AS counts
        FROM (
            SELECT user_id, w.did, w.reward, coalesce(e.seconds, 0) AS former, coalesce(e.streak, 0) AS run,
                   coalesce(e.streak_day, -2) AS streak_day,
                   CASE WHEN e.day = $1::integer THEN e.day_seconds ELSE 0 END AS before
            FROM (
                SELECT user_id, total(seconds) AS did, total(availability + usage) AS reward
                FROM closing_reward
                WHERE user_id IS NOT NULL
                GROUP BY user_id
            ) w
            LEFT JOIN earner e USING (user_id)
        ) p
    ) p
) p

-- name: keep_progress
INSERT INTO earner AS e (user_id, seconds, day_seconds, day, streak, streak_day)
SELECT user_id, seconds, day_seconds, $1, streak, streak_day FROM closing_person ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE
SET seconds = EXCLUDED.seconds, day_seconds = EXCLUDED.day_seconds, day = EXCLUDED.day, streak = EXCLUDED.streak,
    streak_day = EXCLUDED.streak_day

-- name: wanted
SELECT coalesce(sum(for_streak), 0) AS streak, coalesce(sum(for_first), 0) AS first_hours FROM closing_person

-- name: post_bonuses
-- $2 is when they are final; $3 the pool, $4 what is wanted of it.
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, user_id, 'pending', category, $2, amount
FROM (
    SELECT user_id, category,
           CASE WHEN $4::numeric <= $3::numeric THEN bonus ELSE div(bonus * $3::numeric, $4::numeric) END AS amount
    FROM closing_person
    CROSS JOIN LATERAL (VALUES ('streak', for_streak), ('first_hours', for_first)) b (category, bonus)
    WHERE bonus > 0
) b
WHERE amount > 0

-- name: bonuses
SELECT category, sum(amount) AS amount FROM closing_posting WHERE key = $1 GROUP BY category ORDER BY category

-- name: work_earned
-- What commissions are made of: no commission of commissions.
CREATE TEMPORARY TABLE work_earned ON COMMIT DROP AS
SELECT user_id, total(availability + usage)::numeric AS amount
FROM closing_reward
WHERE user_id IS NOT NULL
GROUP BY user_id

-- name: commissions
CREATE TEMPORARY TABLE closing_commission ON COMMIT DROP AS {commissions}

-- name: commissioned
SELECT coalesce(sum(amount), 0) AS paid, coalesce(max(wanted), 0) AS wanted FROM closing_commission

-- name: post_commissions
-- $2 is when they are final; what is in review is held until the staff decides.
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, user_id, CASE WHEN held THEN 'held' ELSE 'pending' END, 'referral',
       CASE WHEN held THEN 'infinity' ELSE $2::timestamptz END, sum(amount)
FROM closing_commission
GROUP BY user_id, held

-- name: becoming_final
SELECT number, starts_at, ends_at, terms FROM epoch
WHERE closed_at IS NOT NULL AND NOT final AND final_at <= $1
ORDER BY number

-- name: gather_again
-- The nodes of the epoch $7 as they are known now ($1 to $6 as in "measured"), by what they were known with then:
-- the score, and what is recorded of a node that is known no more. Bytes are told apart by the hour only, so they
-- are measured again if that is all its own ($8).
CREATE TEMPORARY TABLE again_node ON COMMIT DROP AS
SELECT number, m.user_id, m.created_at, coalesce(r.availability, 0) AS availability_before,
       coalesce(r.usage, 0) AS usage_before, r.seconds * r.points AS weight_before, coalesce(r.bytes, 0) AS bytes_before,
       greatest(m.seconds, r.seconds) * coalesce(r.points, m.points) AS weight,
       CASE WHEN $8::boolean THEN greatest(m.bytes, r.bytes) ELSE coalesce(r.bytes, 0) END AS bytes
FROM (SELECT *, coalesce(score, $5::integer * gate / 4)::bigint AS points FROM ({measured}) m) m
FULL JOIN (
    SELECT *, coalesce(score, $5::integer * gate / 4)::bigint AS points FROM epoch_node WHERE epoch = $7::integer
) r USING (number)

-- name: sums_again
SELECT coalesce(sum(weight), 0) AS availability, coalesce(sum(bytes), 0) AS usage,
       coalesce(bool_or(weight > coalesce(weight_before, 0)), false) AS more_availability,
       coalesce(bool_or(bytes > bytes_before), false) AS more_usage
FROM again_node

-- name: reward_again
-- As "reward", for those with more than before: what they had, and what they have now.
CREATE TEMPORARY TABLE again_reward ON COMMIT DROP AS
SELECT user_id, created_at, availability_before, usage_before,
       CASE WHEN $3::numeric > 0 AND weight > coalesce(weight_before, 0)
            THEN greatest(availability_before, div($1::numeric * weight, $3::numeric)::bigint)
            ELSE availability_before END AS availability,
       CASE WHEN $4::numeric > 0 AND bytes > bytes_before
            THEN greatest(usage_before, div($2::numeric * bytes, $4::numeric)::bigint)
            ELSE usage_before END AS usage
FROM again_node
WHERE user_id IS NOT NULL AND (weight > coalesce(weight_before, 0) OR bytes > bytes_before)

-- name: net
-- What is left of the corrections whose keys begin with $1: one posting for each person, account and maturity.
WITH noted AS (
    DELETE FROM closing_posting WHERE key IN ($1::text || 'availability', $1::text || 'usage') RETURNING *
)
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT key, user_id, account, category, matures_at, sum(amount)
FROM noted
GROUP BY key, user_id, account, category, matures_at
HAVING sum(amount) <> 0

-- name: corrected
SELECT category, sum(amount) AS amount
FROM closing_posting
WHERE key IN ($1::text || 'availability', $1::text || 'usage')
GROUP BY category
ORDER BY category

-- name: drop_again
DROP TABLE again_node, again_reward

-- name: release
-- What matures after $2 and up to $3, also of what is booked only now.
WITH matured AS (
    SELECT user_id, account, category, matures_at, sum(amount) AS amount
    FROM (
        SELECT user_id, account, category, matures_at, amount FROM ledger_posting
        WHERE matures_at > $2::timestamptz AND matures_at <= $3::timestamptz AND matures_at < 'infinity'
        UNION ALL
        SELECT user_id, account, category, matures_at, amount FROM closing_posting
        WHERE matures_at > $2::timestamptz AND matures_at <= $3::timestamptz
    ) p
    GROUP BY user_id, account, category, matures_at
    HAVING sum(amount) <> 0
)
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, user_id, account, category, matures_at, -amount FROM matured
UNION ALL
SELECT $1, user_id, 'final', category, 'infinity', sum(amount) FROM matured GROUP BY user_id, category

-- name: pay
-- Of those who have at least $2 final, all of that becomes claimable. What is below 0 stays where it is.
WITH final AS (
    SELECT user_id, category, sum(amount) AS amount
    FROM (
        SELECT user_id, category, amount FROM ledger_balance WHERE account = 'final' AND amount <> 0
        UNION ALL
        SELECT user_id, category, amount FROM closing_posting WHERE account = 'final'
    ) f
    GROUP BY user_id, category
    HAVING sum(amount) > 0
), due AS (
    SELECT user_id FROM final GROUP BY user_id HAVING sum(amount) >= $2::numeric
)
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, user_id, account, category, 'infinity', sign * amount
FROM final JOIN due USING (user_id) CROSS JOIN (VALUES ('final', -1), ('claimable', 1)) a (account, sign)

-- name: keys
SELECT DISTINCT key FROM closing_posting

-- name: book_entries
INSERT INTO ledger_entry (key, kind, reverses, epoch, at)
SELECT n.key, n.kind, r.entry_id, $4, $5
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS n (key, kind, reverses, place)
LEFT JOIN ledger_entry r ON r.key = n.reverses
ORDER BY n.place

-- name: book_postings
INSERT INTO ledger_posting (user_id, at, entry_id, account, category, matures_at, amount)
SELECT p.user_id, $1, e.entry_id, p.account, p.category, p.matures_at, p.amount
FROM closing_posting p
JOIN (SELECT key, entry_id FROM ledger_entry WHERE key = ANY($2::text[])) e USING (key)
WHERE p.amount <> 0
ORDER BY p.user_id, e.entry_id

-- name: make_final
UPDATE epoch SET final = true WHERE closed_at IS NOT NULL AND NOT final AND final_at <= $1

-- name: finish
UPDATE epoch SET terms = $2, closed_at = $3, final_at = $4, nodes = $5, users = $6 WHERE number = $1

-- name: epochs
-- $3: just that one.
SELECT e.number, e.starts_at, e.ends_at, e.terms, e.closed_at, e.final, e.nodes, e.users,
       p.category, p.pool, p.weight, p.rewarded, p.unallocated
FROM (
    SELECT * FROM epoch
    WHERE closed_at IS NOT NULL AND ($1::integer IS NULL OR number < $1) AND ($3::integer IS NULL OR number = $3)
    ORDER BY number DESC
    LIMIT $2
) e
LEFT JOIN epoch_pool p ON p.epoch = e.number
ORDER BY e.number DESC, p.category

-- name: inputs
SELECT s.node_id, i.seconds, i.score, i.gate, i.bytes, i.availability, i.usage, t.parameters
FROM node_state s
CROSS JOIN LATERAL (SELECT * FROM epoch_node WHERE epoch = $1 AND number = s.number OFFSET 0) i
JOIN epoch e ON e.number = $1
JOIN earning_terms t ON t.version = e.terms
WHERE s.user_id = $2
ORDER BY s.node_id
