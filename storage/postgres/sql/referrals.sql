-- name: codes_of_sort
SELECT count(*) FROM referral_code WHERE user_id = $1 AND alias = $2

-- name: add_code
INSERT INTO referral_code (code, user_id, shown, alias, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (code) DO NOTHING
RETURNING code

-- name: code
SELECT code, user_id, shown, alias, created_at, clicks, signups FROM referral_code WHERE code = $1

-- name: codes
SELECT code, user_id, shown, alias, created_at, clicks, signups FROM referral_code
WHERE user_id = $1
ORDER BY created_at, code

-- name: count_clicks
UPDATE referral_code SET clicks = clicks + 1 WHERE code = $1

-- name: count_signups
UPDATE referral_code SET signups = signups + 1 WHERE code = $1

-- name: see
-- Whoever erases the account locks it: what is seen meanwhile is not kept.
INSERT INTO person_trait (user_id, kind, value, seen_at)
SELECT living.user_id, seen.kind, seen.value, $4
FROM (SELECT user_id FROM account WHERE user_id = $1 AND deleted_at IS NULL FOR KEY SHARE) living,
     unnest($2::text[], $3::text[]) AS seen (kind, value)
ORDER BY kind, value
ON CONFLICT (user_id, kind, value) DO UPDATE SET seen_at = greatest(person_trait.seen_at, EXCLUDED.seen_at)

-- name: lock_parent
-- Whoever joins by a code of this person's waits for the others who do: a burst is counted to the last.
SELECT FROM account WHERE user_id = (SELECT user_id FROM referral_code WHERE code = $1) FOR NO KEY UPDATE

-- name: join
-- Nothing if the code is not there any more. The trigger fills in the ancestors above the parent.
INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at)
SELECT $1, $2, user_id, code, $4 FROM referral_code WHERE code = $3
RETURNING parent_id

-- name: judge_joining
-- What speaks against a referral at the moment of joining; later the trigger of person_trait tells.
WITH joined AS (
    SELECT * FROM referral WHERE user_id = $1
), recent AS (
    SELECT r.user_id, r.parent_id, count(*) OVER () AS people
    FROM joined j JOIN referral r ON r.parent_id = j.parent_id
    WHERE r.joined_at > j.joined_at - make_interval(secs => $3)
)
INSERT INTO referral_flag (user_id, kind, other_id, value, raised_at)
SELECT DISTINCT ON (user_id, kind, other_id) *, $4::timestamptz FROM (
    SELECT j.user_id, t.kind, o.user_id, t.value
    FROM joined j
    JOIN person_trait t ON t.user_id = j.user_id AND t.kind <> 'disposable'
    JOIN person_trait o ON o.user_id IN (j.parent_id, j.second_id, j.third_id)
                       AND o.kind = t.kind AND o.value = t.value
    UNION ALL
    SELECT j.user_id, t.kind, j.parent_id, t.value
    FROM joined j JOIN person_trait t ON t.user_id = j.user_id AND t.kind = 'disposable'
    UNION ALL
    SELECT user_id, 'burst', parent_id, people::text FROM recent WHERE people >= $2
) found (user_id, kind, other_id, value)
ORDER BY user_id, kind, other_id, value
ON CONFLICT DO NOTHING

-- name: referral
SELECT user_id, referral_id, parent_id, second_id, third_id, code, joined_at, active_at, state, decision,
       decided_at, decided_by, note
FROM referral_now
WHERE user_id = $1

-- name: by_id
SELECT user_id, referral_id, parent_id, second_id, third_id, code, joined_at, active_at, state, decision,
       decided_at, decided_by, note
FROM referral_now
WHERE referral_id = $1

-- name: referees_1
SELECT referral_id, joined_at, active_at, state, coalesce(s.amount - s.taken, 0) AS earned,
       coalesce(s.held, 0) AS held, coalesce(s.taken, 0) AS reversed,
       coalesce(due_after(s.due_at, s.due, (SELECT starts_at FROM epoch WHERE closed_at IS NULL)), 0) AS pending
FROM referral_now r LEFT JOIN referral_sum s ON s.user_id = $1 AND s.referee_id = r.user_id
WHERE parent_id = $1 AND ($2::uuid IS NULL OR referral_id < $2)
ORDER BY referral_id DESC
LIMIT $3

-- name: referees_2
SELECT referral_id, joined_at, active_at, state, coalesce(s.amount - s.taken, 0) AS earned,
       coalesce(s.held, 0) AS held, coalesce(s.taken, 0) AS reversed,
       coalesce(due_after(s.due_at, s.due, (SELECT starts_at FROM epoch WHERE closed_at IS NULL)), 0) AS pending
FROM referral_now r LEFT JOIN referral_sum s ON s.user_id = $1 AND s.referee_id = r.user_id
WHERE second_id = $1 AND ($2::uuid IS NULL OR referral_id < $2)
ORDER BY referral_id DESC
LIMIT $3

-- name: referees_3
SELECT referral_id, joined_at, active_at, state, coalesce(s.amount - s.taken, 0) AS earned,
       coalesce(s.held, 0) AS held, coalesce(s.taken, 0) AS reversed,
       coalesce(due_after(s.due_at, s.due, (SELECT starts_at FROM epoch WHERE closed_at IS NULL)), 0) AS pending
FROM referral_now r LEFT JOIN referral_sum s ON s.user_id = $1 AND s.referee_id = r.user_id
WHERE third_id = $1 AND ($2::uuid IS NULL OR referral_id < $2)
ORDER BY referral_id DESC
LIMIT $3

-- name: rewarded
-- Those who brought $1 something, of level $2 if that is given.
SELECT referral_id, s.level, joined_at, active_at, state, s.amount - s.taken AS earned, s.held, s.taken AS reversed,
       due_after(s.due_at, s.due, (SELECT starts_at FROM epoch WHERE closed_at IS NULL)) AS pending
FROM referral_sum s JOIN referral_now r ON r.user_id = s.referee_id
WHERE s.user_id = $1 AND ($2::smallint IS NULL OR s.level = $2) AND ($3::uuid IS NULL OR referral_id < $3)
ORDER BY referral_id DESC
LIMIT $4

-- name: counts
WITH brought AS (
    SELECT 1 AS level, active_at, state FROM referral_now WHERE parent_id = $1
    UNION ALL
    SELECT 2, active_at, state FROM referral_now WHERE second_id = $1
    UNION ALL
    SELECT 3, active_at, state FROM referral_now WHERE third_id = $1
), paid AS (
    SELECT level, sum(amount - taken) AS earned, sum(held) AS held, sum(taken) AS reversed,
           sum(due_after(due_at, due, (SELECT starts_at FROM epoch WHERE closed_at IS NULL))) AS pending
    FROM referral_sum WHERE user_id = $1
    GROUP BY level
)
SELECT level, count(state) AS people,
       count(*) FILTER (WHERE active_at IS NOT NULL AND state = 'good') AS active,
       count(*) FILTER (WHERE state = 'review') AS review,
       count(*) FILTER (WHERE state = 'refused') AS refused,
       coalesce(max(p.earned), 0) AS earned, coalesce(max(p.held), 0) AS held,
       coalesce(max(p.reversed), 0) AS reversed, coalesce(max(p.pending), 0) AS pending
FROM (VALUES (1), (2), (3)) AS levels (level) LEFT JOIN brought USING (level) LEFT JOIN paid p USING (level)
GROUP BY level
ORDER BY level

-- name: activate
-- In the order in which whoever decides locks them.
WITH due AS (
    SELECT r.user_id
    FROM referral r JOIN node_state s USING (user_id)
    WHERE r.active_at IS NULL
    GROUP BY r.user_id
    HAVING sum(s.confirmed_s) >= $2
), mine AS (
    SELECT user_id FROM referral WHERE user_id IN (SELECT user_id FROM due) ORDER BY user_id FOR NO KEY UPDATE
)
UPDATE referral r SET active_at = $1 FROM mine m WHERE r.user_id = m.user_id AND r.active_at IS NULL

-- name: reviews
SELECT user_id, referral_id, parent_id, second_id, third_id, code, joined_at, active_at, state, decision,
       decided_at, decided_by, note
FROM referral_now r
WHERE state = $1 AND ($2::uuid IS NULL OR referral_id < $2)
      AND (decision IS NOT NULL OR EXISTS (SELECT FROM referral_flag f WHERE f.user_id = r.user_id))
ORDER BY referral_id DESC
LIMIT $3

-- name: flags
SELECT user_id, kind, other_id, value, raised_at, released FROM referral_flag
WHERE user_id = ANY($1::uuid[])
ORDER BY raised_at, user_id, kind, other_id

-- name: below
-- A person with a referral, and all whom they brought, at any depth.
WITH RECURSIVE tree AS (
    SELECT user_id FROM referral WHERE user_id = $1
    UNION ALL
    SELECT r.user_id FROM tree t JOIN referral r ON r.parent_id = t.user_id
)
SELECT user_id FROM tree

-- name: decide
WITH mine AS (
    SELECT user_id FROM referral WHERE user_id = ANY($1::uuid[]) ORDER BY user_id FOR NO KEY UPDATE
), released AS (
    UPDATE referral_flag f SET released = true
    FROM mine m
    WHERE f.user_id = m.user_id AND $2 = 'released' AND NOT f.released
)
UPDATE referral r SET decision = $2, decided_at = $3, decided_by = $4, note = $5
FROM mine m
WHERE r.user_id = m.user_id
RETURNING r.user_id

-- name: lock_closes
-- As whoever closes an epoch: what is decided is booked in the one that is open.
SELECT pg_advisory_xact_lock(6006)

-- name: open_epoch
SELECT number, starts_at FROM epoch WHERE closed_at IS NULL

-- name: paid_for
SELECT user_id, referee_id, amount, held, taken, lost
FROM referral_sum
WHERE referee_id = ANY($1::uuid[])
ORDER BY user_id, referee_id

-- name: lock_funds
-- In the order in which whoever books locks them.
SELECT user_id, account, amount FROM ledger_balance
WHERE user_id = ANY($1::uuid[]) AND category = 'referral'
ORDER BY user_id, account, category
FOR UPDATE

-- name: pending_funds
-- What is pending matures after the end of the newest closed epoch, $2.
SELECT user_id, matures_at, sum(amount) AS amount FROM ledger_posting
WHERE user_id = ANY($1::uuid[]) AND account = 'pending' AND category = 'referral' AND matures_at > $2
GROUP BY user_id, matures_at
HAVING sum(amount) > 0
ORDER BY user_id, matures_at

-- name: settle
-- What is taken back is due no more.
UPDATE referral_sum s
SET held = n.held, taken = n.taken, lost = n.lost,
    due_at = CASE WHEN n.taken + n.lost > s.taken + s.lost THEN '{}' ELSE s.due_at END,
    due = CASE WHEN n.taken + n.lost > s.taken + s.lost THEN '{}' ELSE s.due END
FROM unnest($1::uuid[], $2::uuid[], $3::numeric[], $4::numeric[], $5::numeric[])
     AS n (user_id, referee_id, held, taken, lost)
WHERE s.user_id = n.user_id AND s.referee_id = n.referee_id

-- name: keep_sums
-- Of closing_commission, which an epoch's close made by "commissions". What is not held becomes final at $1, as what
-- was the last of those before may do, too; the first of them is final if that was by $2. There are arrays of both, so
-- that no row needs to be looked up but its own.
INSERT INTO referral_sum AS s (user_id, referee_id, level, amount, held, due_at, due)
SELECT user_id, referee_id, level, amount, CASE WHEN held THEN amount ELSE 0 END,
       CASE WHEN held THEN '{}' ELSE ARRAY[$1::timestamptz] END, CASE WHEN held THEN '{}' ELSE ARRAY[amount] END
FROM closing_commission
ORDER BY user_id, referee_id
ON CONFLICT (user_id, referee_id) DO UPDATE
SET amount = s.amount + EXCLUDED.amount, held = s.held + EXCLUDED.held,
    due_at = s.due_at[1 + coalesce((s.due_at[1] <= $2::timestamptz)::integer, 0):]
             || CASE WHEN s.due_at[cardinality(s.due_at)] = $1::timestamptz THEN '{}' ELSE EXCLUDED.due_at END,
    due = CASE WHEN EXCLUDED.held = 0 AND s.due_at[cardinality(s.due_at)] = $1::timestamptz
               THEN s.due[1 + (s.due_at[1] <= $2::timestamptz)::integer:cardinality(s.due) - 1]
                    || s.due[cardinality(s.due)] + EXCLUDED.due[1]
               ELSE s.due[1 + coalesce((s.due_at[1] <= $2::timestamptz)::integer, 0):] || EXCLUDED.due END

-- name: earned
CREATE TEMP TABLE work_earned ON COMMIT DROP AS
SELECT user_id, amount FROM unnest($1::uuid[], $2::numeric[]) AS work (user_id, amount)

-- name: commissions
-- Twin of storage.referrals.commissions_of. Reads work_earned (user_id, amount numeric); div rounds down what
-- is not negative. $1 the pool, $2 the three shares, $3 and $4 the tiers' thresholds and multipliers.
-- States are those of referral_now, put together for all at once.
WITH flagged AS MATERIALIZED (
    SELECT user_id, bool_or(kind IN ('mailbox', 'wallet', 'node_key', 'device')) AS hard
    FROM referral_flag
    WHERE NOT released
    GROUP BY user_id
), standing AS MATERIALIZED (
    SELECT r.user_id, r.parent_id, r.second_id, r.third_id, f.hard IS NOT NULL AS review
    FROM referral r LEFT JOIN flagged f USING (user_id)
    WHERE r.active_at IS NOT NULL AND r.decision IS DISTINCT FROM 'refused' AND f.hard IS NOT TRUE
), counted AS (
    SELECT s.user_id, s.parent_id, s.second_id, s.third_id, s.review, w.amount
    FROM work_earned w JOIN standing s USING (user_id)
    WHERE w.amount > 0
), levels AS MATERIALIZED (
    SELECT c.user_id AS referee_id, a.user_id, a.level, c.review, c.amount * ($2::numeric[])[a.level] AS shared
    FROM counted c
    CROSS JOIN LATERAL (VALUES (1, c.parent_id), (2, c.second_id), (3, c.third_id)) AS a (level, user_id)
    JOIN account l ON l.user_id = a.user_id AND l.deleted_at IS NULL
), active AS (
    SELECT parent_id AS user_id, count(*) AS people FROM standing WHERE NOT review GROUP BY parent_id
), tiered AS (
    SELECT a.user_id, (
        SELECT t.multiplier FROM unnest($3::bigint[], $4::numeric[]) AS t (active, multiplier)
        WHERE t.active <= a.people ORDER BY t.active DESC LIMIT 1
    ) AS multiplier
    FROM (
        SELECT DISTINCT l.user_id, coalesce(a.people, 0) AS people FROM levels l LEFT JOIN active a USING (user_id)
    ) a
), wanted AS MATERIALIZED (
    SELECT l.user_id, l.referee_id, l.level, l.review AS held,
           div(l.shared * coalesce(t.multiplier, 10000), 100000000) AS amount
    FROM levels l JOIN tiered t USING (user_id)
), total AS (
    SELECT coalesce(sum(amount), 0) AS amount FROM wanted
)
SELECT * FROM (
    SELECT w.user_id, w.referee_id, w.level, w.held,
           CASE WHEN t.amount > $1::numeric THEN div(w.amount * $1::numeric, t.amount) ELSE w.amount END AS amount,
           t.amount AS wanted
    FROM wanted w CROSS JOIN total t
) scaled
WHERE amount > 0
ORDER BY referee_id, level

-- name: prune
WITH gone AS (
    DELETE FROM person_trait WHERE kind IN ('address', 'subnet', 'device') AND seen_at < $1 RETURNING 1
)
SELECT count(*) FROM gone
