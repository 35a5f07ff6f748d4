-- name: lock
-- One at a time begins or closes. The number is only ours.
SELECT pg_advisory_xact_lock(6006)

-- name: prepare
-- Nothing is known of how many groups there are in a view of two tables. With the guess of 200 each of a million nodes
-- would be looked up one by one.
SELECT set_config('work_mem', '512MB', true), set_config('enable_nestloop', 'off', true),
       set_config('jit', 'off', true)

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
-- measured_to: the newest that sums are kept of.
SELECT e.number, e.starts_at, e.ends_at, e.seconds, m.measured_at, m.availability, m.usage, t.version, t.parameters,
       t.created_at, (SELECT max(epoch) FROM epoch_measure) AS measured_to
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
       h.seconds::integer AS seconds, c.score, coalesce(c.gate, 4::smallint) AS gate, h.bytes, s.country,
       h.seconds * coalesce(c.score, $5::integer * coalesce(c.gate, 4) / 4) AS weight
FROM ({did}) h
JOIN node_state s USING (number)
JOIN node n USING (user_id, node_id)
LEFT JOIN (SELECT user_id, deleted_at FROM account WHERE deleted_at IS NOT NULL) a USING (user_id)
LEFT JOIN node_score c USING (number)
WHERE NOT s.suspended AND (h.seconds > 0 OR h.bytes > 0)

-- name: did
-- What "measured" takes from the hours, with the same parameters.
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

-- name: earlier
-- The first epoch that has a part of the hour in which $2 began, the number of that one or a former.
SELECT min(number) FROM epoch WHERE number <= $1 AND ends_at > date_trunc('hour', $2::timestamptz, 'UTC')

-- name: keep_sums
INSERT INTO epoch_measure (epoch, measured_at, availability, usage) VALUES ($1, $2, $3, $4)
ON CONFLICT (epoch) DO UPDATE
SET measured_at = EXCLUDED.measured_at, availability = EXCLUDED.availability, usage = EXCLUDED.usage

-- name: drop_sums
-- Of epochs that were closed before $1.
DELETE FROM epoch_measure WHERE epoch < $1

-- name: drop_later_sums
DELETE FROM epoch_measure WHERE epoch > $1

-- name: measures
SELECT epoch, measured_at, availability, usage FROM epoch_measure WHERE epoch >= $1

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
  AND EXISTS (SELECT FROM account a WHERE a.user_id = s.user_id AND a.deleted_at IS NULL OFFSET 0)
GROUP BY s.user_id

-- name: gather
CREATE TEMPORARY TABLE closing_node ON COMMIT DROP AS {measured}

-- name: analyse_postings
ANALYZE closing_posting

-- name: analyse
ANALYZE closing_node

-- name: sums
SELECT coalesce(sum(weight), 0) AS availability, coalesce(sum(bytes), 0) AS usage, count(*) AS nodes,
       (SELECT count(*) FROM (SELECT FROM closing_node WHERE user_id IS NOT NULL GROUP BY user_id) u) AS users
FROM closing_node

-- name: reward
-- $1 and $2 are the pools, $3 and $4 the sums of the weights.
CREATE TEMPORARY TABLE closing_reward ON COMMIT DROP AS
SELECT number, user_id, created_at, seconds, score, gate, bytes, country,
       CASE WHEN user_id IS NULL OR $3::numeric = 0 THEN 0 ELSE div($1::numeric * weight, $3::numeric)::bigint END
           AS availability,
       CASE WHEN user_id IS NULL OR $4::numeric = 0 THEN 0 ELSE div($2::numeric * bytes, $4::numeric)::bigint END
           AS usage
FROM closing_node

-- name: analyse_rewards
ANALYZE closing_reward

-- name: keep_inputs
-- Countries if $2.
INSERT INTO epoch_node (bytes, availability, usage, number, epoch, seconds, score, gate, country)
SELECT bytes, availability, usage, number, $1, seconds, score, gate, CASE WHEN $2::boolean THEN country END
FROM closing_reward
ORDER BY number

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
WITH parts AS MATERIALIZED (
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
)
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1::text || category, user_id, 'pending', category, $2, {sign}amount
FROM (SELECT user_id, total(availability) AS availability, total(usage) AS usage FROM parts GROUP BY user_id) r
CROSS JOIN LATERAL (VALUES ('availability', r.availability), ('usage', r.usage)) p (category, amount)
WHERE amount > 0
UNION ALL
SELECT $1::text || category, user_id, 'held', category, matures_at, {sign}amount
FROM parts
CROSS JOIN LATERAL (VALUES ('availability', availability_held), ('usage', usage_held)) p (category, amount)
WHERE amount > 0

-- name: advance
-- What each person's progress is after this epoch, on the day $1, and the bonuses that come of it. $2, $3 and $4: a
-- streak's least seconds a day, its days, its amount; $5 and $6: the seconds that count as the first, their share.
CREATE TEMPORARY TABLE closing_person ON COMMIT DROP AS
SELECT user_id, former + did AS seconds, before + did AS day_seconds, streak,
       least(did, greatest(0, $5::bigint - former)) AS first_seconds,
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

-- name: keep_people
-- What bonuses were made from, of those who have one.
INSERT INTO epoch_person (user_id, epoch, first_seconds, streak)
SELECT user_id, $1, CASE WHEN for_first > 0 THEN first_seconds ELSE 0 END, CASE WHEN for_streak > 0 THEN streak ELSE 0 END
FROM closing_person
WHERE for_first > 0 OR for_streak > 0
ORDER BY user_id

-- name: running
-- Nobody changes them until the close is over.
SELECT campaign_id, name, starts_at, ends_at, country, share, budget, spent, version, created_at, updated_at, updated_by
FROM campaign
WHERE starts_at < $2 AND ends_at > $1 AND spent < budget
ORDER BY campaign_id
FOR UPDATE

-- name: make_bonuses
-- amount: what is left of what is wanted, after the campaign's own limit and the pool's.
CREATE TEMPORARY TABLE closing_bonus (
    user_id     uuid    NOT NULL,
    category    text    NOT NULL,
    campaign_id uuid,
    wanted      numeric NOT NULL,
    amount      numeric NOT NULL
) ON COMMIT DROP

-- name: want_own
INSERT INTO closing_bonus (user_id, category, wanted, amount)
SELECT user_id, category, bonus, bonus
FROM closing_person
CROSS JOIN LATERAL (VALUES ('streak', for_streak), ('first_hours', for_first)) b (category, bonus)
WHERE bonus > 0

-- name: want_campaign
-- The campaign $1 of the country $2, with the share $3: it covers $4 of the epoch's $6 seconds and has $5 left.
WITH bonus AS MATERIALIZED (
    SELECT user_id,
           div(total(availability + usage)::numeric * $3::integer * $4::integer, 10000::numeric * $6::integer) AS wanted
    FROM closing_reward
    WHERE user_id IS NOT NULL AND ($2::text IS NULL OR country = $2)
    GROUP BY user_id
)
INSERT INTO closing_bonus (user_id, category, campaign_id, wanted, amount)
SELECT user_id, 'campaign', $1::uuid, wanted,
       CASE WHEN total <= $5::numeric THEN wanted ELSE div(wanted * $5::numeric, total) END
FROM bonus CROSS JOIN (SELECT sum(wanted) AS total FROM bonus) t
WHERE wanted > 0

-- name: granted
SELECT category, campaign_id, sum(wanted) AS wanted, sum(amount) AS amount
FROM closing_bonus
GROUP BY category, campaign_id
ORDER BY category, campaign_id

-- name: scale_bonuses
-- $2 is wanted of the pool of $1.
UPDATE closing_bonus SET amount = div(amount * $1::numeric, $2::numeric)

-- name: keep_campaigns
WITH kept AS (
    INSERT INTO campaign_epoch (epoch, campaign_id, country, share, seconds, available, wanted, paid)
    SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::numeric[], $7::numeric[],
                             $8::numeric[])
    RETURNING campaign_id, paid
)
UPDATE campaign c SET spent = c.spent + k.paid FROM kept k WHERE c.campaign_id = k.campaign_id

-- name: post_bonuses
-- $2 is when they are final.
INSERT INTO closing_posting (key, user_id, account, category, matures_at, amount)
SELECT $1, user_id, 'pending', category, $2, sum(amount)
FROM closing_bonus
WHERE amount > 0
GROUP BY user_id, category

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
-- The nodes that are known now to have done more in the epoch $7 than is recorded ($1 to $6 as in "measured"), by the
-- scores that they had then. Bytes are told apart by the hour only, so they are measured again if that is all its
-- own ($8).
CREATE TEMPORARY TABLE again_node ON COMMIT DROP AS
SELECT number, CASE WHEN a.deleted_at IS NULL THEN s.user_id END AS user_id, n.created_at, m.availability_before,
       m.usage_before, m.seconds_before * p.points AS weight_before, m.bytes_before, m.seconds * p.points AS weight, m.bytes
FROM (
    SELECT number, h.seconds, h.bytes, r.score, r.gate, coalesce(r.seconds, 0) AS seconds_before,
           coalesce(r.bytes, 0) AS bytes_before, coalesce(r.availability, 0) AS availability_before,
           coalesce(r.usage, 0) AS usage_before
    FROM (SELECT * FROM epoch_node WHERE epoch = $7::integer) r
    RIGHT JOIN ({did}) h USING (number)
    WHERE h.seconds > coalesce(r.seconds, 0) OR ($8::boolean AND h.bytes > coalesce(r.bytes, 0))
) w
JOIN node_state s USING (number)
JOIN node n USING (user_id, node_id)
LEFT JOIN (SELECT user_id, deleted_at FROM account WHERE deleted_at IS NOT NULL) a USING (user_id)
LEFT JOIN node_score c USING (number)
CROSS JOIN LATERAL (
    SELECT w.availability_before, w.usage_before, w.seconds_before, w.bytes_before,
           greatest(w.seconds, w.seconds_before) AS seconds,
           CASE WHEN $8::boolean THEN greatest(w.bytes, w.bytes_before) ELSE w.bytes_before END AS bytes
) m
CROSS JOIN LATERAL (
    SELECT CASE WHEN w.gate IS NULL THEN coalesce(c.score, $5::integer * coalesce(c.gate, 4) / 4)
                ELSE coalesce(w.score, $5::integer * w.gate / 4) END::bigint AS points
) p
WHERE NOT s.suspended

-- name: sums_again
-- What the weights of the epoch $1 come to by now.
SELECT (SELECT weight FROM epoch_pool WHERE epoch = $1 AND category = 'availability')
           + coalesce(sum(weight - weight_before), 0) AS availability,
       (SELECT weight FROM epoch_pool WHERE epoch = $1 AND category = 'usage')
           + coalesce(sum(bytes - bytes_before), 0) AS usage
FROM again_node

-- name: reward_again
-- As "reward", for those with more than before: what they had, and what they have now.
CREATE TEMPORARY TABLE again_reward ON COMMIT DROP AS
SELECT user_id, created_at, availability_before, usage_before,
       CASE WHEN $3::numeric > 0 AND weight > weight_before
            THEN greatest(availability_before, div($1::numeric * weight, $3::numeric)::bigint)
            ELSE availability_before END AS availability,
       CASE WHEN $4::numeric > 0 AND bytes > bytes_before
            THEN greatest(usage_before, div($2::numeric * bytes, $4::numeric)::bigint)
            ELSE usage_before END AS usage
FROM again_node
WHERE user_id IS NOT NULL AND (weight > weight_before OR bytes > bytes_before)

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
SELECT s.node_id, i.seconds, i.score, i.gate, i.bytes, i.availability, i.usage, i.country, t.parameters
FROM node_state s
CROSS JOIN LATERAL (SELECT * FROM epoch_node WHERE epoch = $1 AND number = s.number OFFSET 0) i
JOIN epoch e ON e.number = $1
JOIN earning_terms t ON t.version = e.terms
WHERE s.user_id = $2
ORDER BY s.node_id

-- name: person_inputs
SELECT first_seconds, streak FROM epoch_person WHERE epoch = $1 AND user_id = $2

-- name: campaign_inputs
SELECT e.campaign_id, c.name, e.country, e.share, e.seconds, e.available, e.wanted, e.paid
FROM campaign_epoch e JOIN campaign c USING (campaign_id)
WHERE e.epoch = $1
ORDER BY e.campaign_id

-- name: number_of_node
SELECT number FROM node_state WHERE user_id = $1 AND node_id = $2

-- name: node_earned
-- Of the node $1 between each two neighbours of $2, the first of which is $3, the last $4. Each epoch's row is looked
-- up by its key. Days that have no more than their sums count at noon.
SELECT width_bucket(at, $2::timestamptz[]) AS span, total(availability) AS availability, total(usage) AS usage
FROM (
    SELECT e.starts_at AS at, i.availability, i.usage
    FROM epoch e
    CROSS JOIN LATERAL (
        SELECT availability, usage FROM epoch_node WHERE epoch = e.number AND number = $1 OFFSET 0
    ) i
    WHERE e.closed_at IS NOT NULL AND e.starts_at >= $3 AND e.starts_at < $4
      AND e.number >= (SELECT from_epoch FROM epochs_kept)
    UNION ALL
    SELECT to_timestamp(day * 86400::bigint + 43200), availability, usage
    FROM earned_day
    WHERE number = $1 AND day * 86400::bigint + 43200 >= extract(epoch FROM $3::timestamptz)
      AND day * 86400::bigint + 43200 < extract(epoch FROM $4::timestamptz)
) n
GROUP BY span
ORDER BY span

-- name: node_epochs
-- Of the node $1, the newest first, numbers below $2.
SELECT e.number AS epoch, e.starts_at, e.ends_at, i.seconds, i.score, i.gate, i.bytes, i.availability, i.usage
FROM epoch e
CROSS JOIN LATERAL (
    SELECT * FROM epoch_node WHERE epoch = e.number AND number = $1 OFFSET 0
) i
WHERE e.closed_at IS NOT NULL AND ($2::integer IS NULL OR e.number < $2)
  AND e.number >= (SELECT from_epoch FROM epochs_kept)
ORDER BY e.number DESC
LIMIT $3

-- name: room
-- What 24 epochs of a million nodes add up to fits in little more.
SET LOCAL work_mem = '256MB'

-- name: patience
-- Who waits for a lock makes those wait who come after.
SET LOCAL lock_timeout = '2s'

-- name: open_earned_months
SELECT open_earned_months()

-- name: roll_up
SELECT roll_up_epochs($1)

-- name: drop_epochs
SELECT drop_epochs()

-- name: drop_earned_days
SELECT drop_earned_days($1)
