-- name: room
-- For sums of everything at once.
SELECT set_config('work_mem', $1, true), set_config('jit', 'off', true)

-- name: plan
-- off: what reads everything must not look each row up one by one, however few the planner takes it for.
SELECT set_config('enable_nestloop', $1, true)

-- name: check_epoch_gap
SELECT number, starts_at, former, former_ends_at
FROM (
    SELECT number, starts_at, lag(number) OVER by_number AS former, lag(ends_at) OVER by_number AS former_ends_at
    FROM epoch WINDOW by_number AS (ORDER BY number)
) e
WHERE (number, starts_at) IS DISTINCT FROM (coalesce(former, 0) + 1, coalesce(former_ends_at, starts_at))
ORDER BY number LIMIT 1

-- name: check_epoch_state
-- Only the newest is open. What is final by the end of the newest closed one is final, and nothing else.
SELECT e.number, e.closed_at, e.final_at, e.final, n.ends_at AS closed_to
FROM epoch e
CROSS JOIN (SELECT max(number) AS newest, max(ends_at) FILTER (WHERE closed_at IS NOT NULL) AS ends_at FROM epoch) n
WHERE (e.closed_at IS NULL) <> (e.number = n.newest)
   OR e.final IS DISTINCT FROM (e.closed_at IS NOT NULL AND e.final_at <= n.ends_at)
ORDER BY e.number LIMIT 1

-- name: check_epoch_terms
-- By terms from before it (the oldest if there were none), never by older ones than the epoch before.
SELECT e.number, e.terms, e.former, e.final_at
FROM (
    SELECT number, starts_at, ends_at, terms, final_at, lag(terms) OVER (ORDER BY number) AS former
    FROM epoch WHERE closed_at IS NOT NULL
) e
LEFT JOIN earning_terms t ON t.version = e.terms
WHERE (t.created_at <= e.starts_at OR t.version = (SELECT min(version) FROM earning_terms)) IS NOT TRUE
   OR e.terms < e.former
   OR e.final_at IS DISTINCT FROM e.ends_at + (t.parameters->>'hold_seconds')::bigint * interval '1 second'
ORDER BY e.number LIMIT 1

-- name: check_pool_size
-- What work is paid from is there whether anybody works or not.
SELECT w.number, w.category, w.pool AS wanted, p.pool
FROM (
    SELECT e.number, c.category, div(c.rate * extract(epoch FROM e.ends_at - e.starts_at), 3600) AS pool
    FROM epoch e
    JOIN earning_terms t ON t.version = e.terms
    CROSS JOIN LATERAL (
        VALUES ('availability', (t.parameters->>'availability_pool')::numeric),
               ('usage', (t.parameters->>'usage_pool')::numeric)
    ) c (category, rate)
    WHERE e.closed_at IS NOT NULL
) w
LEFT JOIN epoch_pool p ON p.epoch = w.number AND p.category = w.category
WHERE p.pool IS DISTINCT FROM w.pool
ORDER BY w.number, w.category LIMIT 1

-- name: check_pool_cap
-- Of what has a part in a pool only: all bonuses together, and commissions.
SELECT w.number, w.name, w.pool, p.paid
FROM (
    SELECT e.number, c.name, div(c.rate * extract(epoch FROM e.ends_at - e.starts_at), 3600) AS pool
    FROM epoch e
    JOIN earning_terms t ON t.version = e.terms
    CROSS JOIN LATERAL (
        VALUES ('bonus', (t.parameters->>'bonus_pool')::numeric),
               ('referral', (t.parameters->>'referral_pool')::numeric)
    ) c (name, rate)
) w
JOIN (
    SELECT epoch, CASE WHEN category = 'referral' THEN 'referral' ELSE 'bonus' END AS name, sum(rewarded) AS paid
    FROM epoch_pool WHERE category NOT IN ('availability', 'usage') GROUP BY 1, 2
) p ON p.epoch = w.number AND p.name = w.name
WHERE p.paid > w.pool
ORDER BY w.number, w.name LIMIT 1

-- name: check_pool_booked
-- What an epoch says of its pools is what the ledger has of them.
SELECT coalesce(k.epoch, b.epoch) AS number, coalesce(k.category, b.category) AS category,
       coalesce(k.pool, 0) AS pool, coalesce(k.unallocated, 0) AS unallocated,
       coalesce(b.credits, 0) AS booked, coalesce(b.unallocated, 0) AS booked_unallocated
FROM epoch_pool k
FULL JOIN (
    SELECT e.epoch, s.category, sum(s.credits) AS credits, coalesce(sum(h.issued), 0) AS issued,
           coalesce(sum(h.unallocated), 0) AS unallocated
    FROM ledger_entry e
    JOIN ledger_sum s USING (entry_id)
    LEFT JOIN (
        SELECT entry_id, category, sum(amount) FILTER (WHERE account = 'issued') AS issued,
               sum(amount) FILTER (WHERE account = 'unallocated') AS unallocated
        FROM ledger_posting WHERE user_id = '00000000-0000-0000-0000-000000000000' GROUP BY entry_id, category
    ) h ON h.entry_id = s.entry_id AND h.category = s.category
    WHERE e.kind IN ('reward', 'bonus', 'referral')
    GROUP BY e.epoch, s.category
) b ON b.epoch = k.epoch AND b.category = k.category
WHERE (coalesce(k.pool, 0), coalesce(k.unallocated, 0), -coalesce(k.pool, 0))
      IS DISTINCT FROM (coalesce(b.credits, 0), coalesce(b.unallocated, 0), coalesce(b.issued, 0))
ORDER BY 1, 2 LIMIT 1

-- name: check_pool_nodes
-- From the oldest epoch on whose nodes are kept.
SELECT e.number, e.nodes, coalesce(d.nodes, 0) AS recorded, a.rewarded AS availability,
       coalesce(d.availability, 0) AS recorded_availability, u.rewarded AS usage,
       coalesce(d.usage, 0) AS recorded_usage
FROM epoch e
JOIN epoch_pool a ON a.epoch = e.number AND a.category = 'availability'
JOIN epoch_pool u ON u.epoch = e.number AND u.category = 'usage'
LEFT JOIN (
    SELECT n.epoch, count(*) AS nodes, sum(n.availability) AS availability, sum(n.usage) AS usage,
           sum(n.seconds::bigint * coalesce(n.score, t.unmeasured * n.gate / 4)) AS availability_weight,
           sum(n.bytes) AS usage_weight
    FROM epoch_node n
    JOIN (
        SELECT number, (parameters->>'unmeasured_score')::integer AS unmeasured
        FROM epoch JOIN earning_terms ON version = terms
    ) t ON t.number = n.epoch
    GROUP BY n.epoch
) d ON d.epoch = e.number
WHERE e.closed_at IS NOT NULL AND e.number >= (SELECT min(epoch) FROM epoch_node)
  AND (e.nodes, a.rewarded, u.rewarded, a.weight, u.weight) IS DISTINCT FROM
      (coalesce(d.nodes, 0), coalesce(d.availability, 0), coalesce(d.usage, 0), coalesce(d.availability_weight, 0),
       coalesce(d.usage_weight, 0))
ORDER BY e.number LIMIT 1

-- name: check_pool_days
-- Of the epochs whose nodes are added up by days, in the months that are kept.
SELECT e.day, e.availability, coalesce(d.availability, 0) AS kept_availability, e.usage,
       coalesce(d.usage, 0) AS kept_usage
FROM (
    SELECT (extract(epoch FROM starts_at)::bigint / 86400)::integer AS day,
           sum(rewarded) FILTER (WHERE category = 'availability') AS availability,
           sum(rewarded) FILTER (WHERE category = 'usage') AS usage
    FROM epoch JOIN epoch_pool ON epoch = number
    WHERE number < (SELECT from_epoch FROM epochs_kept) AND category IN ('availability', 'usage')
    GROUP BY 1
) e
LEFT JOIN (SELECT day, sum(availability) AS availability, sum(usage) AS usage FROM earned_day GROUP BY day) d USING (day)
WHERE e.day >= (SELECT min(day) FROM earned_day)
  AND (e.availability, e.usage) IS DISTINCT FROM (coalesce(d.availability, 0), coalesce(d.usage, 0))
ORDER BY e.day LIMIT 1

-- name: check_campaign_spent
SELECT c.campaign_id, c.spent, c.budget, coalesce(p.paid, 0) AS paid
FROM campaign c
LEFT JOIN (SELECT campaign_id, sum(paid) AS paid FROM campaign_epoch GROUP BY campaign_id) p USING (campaign_id)
WHERE c.spent <> coalesce(p.paid, 0) OR c.spent > c.budget
ORDER BY c.campaign_id LIMIT 1

-- name: check_campaign_pool
SELECT coalesce(p.epoch, c.epoch) AS number, coalesce(p.rewarded, 0) AS rewarded, coalesce(c.paid, 0) AS paid
FROM (SELECT epoch, rewarded FROM epoch_pool WHERE category = 'campaign') p
FULL JOIN (SELECT epoch, sum(paid) AS paid FROM campaign_epoch GROUP BY epoch) c ON c.epoch = p.epoch
WHERE coalesce(p.rewarded, 0) <> coalesce(c.paid, 0)
ORDER BY 1 LIMIT 1

-- name: check_correction
-- Corrections take an epoch's own rewards back and give more, never more than its pool once over.
SELECT c.entry_id, c.number, c.category, c.amount, p.pool
FROM (
    SELECT e.entry_id, r.epoch AS number, s.category, s.credits AS amount, r.kind,
           sum(s.credits) OVER (PARTITION BY r.epoch, s.category) AS total
    FROM ledger_entry e
    JOIN ledger_sum s USING (entry_id)
    LEFT JOIN ledger_entry r ON r.entry_id = e.reverses
    WHERE e.kind = 'correction'
) c
LEFT JOIN epoch_pool p ON p.epoch = c.number AND p.category = c.category
WHERE c.kind IS DISTINCT FROM 'reward' OR p.pool IS NULL OR c.total > p.pool
ORDER BY c.entry_id, c.category LIMIT 1

-- name: check_moved
-- What only goes from account to account leaves everybody what they have.
SELECT entry_id, user_id, category, sum(amount) AS amount
FROM ledger_posting
WHERE entry_id IN (SELECT entry_id FROM ledger_entry WHERE kind IN ('release', 'payable', 'claim'))
GROUP BY entry_id, user_id, category HAVING sum(amount) <> 0
ORDER BY entry_id, user_id, category LIMIT 1

-- name: check_matured
SELECT user_id, account, category, matures_at, sum(amount) AS amount
FROM ledger_posting
WHERE matures_at <= (SELECT max(ends_at) FROM epoch WHERE closed_at IS NOT NULL) AND matures_at < 'infinity'
GROUP BY user_id, account, category, matures_at HAVING sum(amount) <> 0
ORDER BY user_id, account, category, matures_at LIMIT 1

-- name: check_claim
-- In the order of entries: nobody ever claimed what was not claimable by then.
SELECT entry_id, user_id, category, rest
FROM (
    SELECT entry_id, user_id, category,
           sum(amount) OVER (PARTITION BY user_id, category ORDER BY entry_id) AS rest
    FROM ledger_posting
    WHERE account = 'claimable' AND user_id IN (SELECT user_id FROM ledger_balance WHERE account = 'claimed')
) c
WHERE rest < 0
ORDER BY entry_id, user_id, category LIMIT 1

-- name: check_referral_cycle
-- Whoever is not below somebody without a parent is in a circle, or below one. OFFSET 0: step by step by the index,
-- a chain may have as many steps as there are people.
WITH RECURSIVE reached AS (
    SELECT user_id FROM referral r WHERE NOT EXISTS (SELECT FROM referral p WHERE p.user_id = r.parent_id)
    UNION ALL
    SELECT r.user_id
    FROM reached a CROSS JOIN LATERAL (SELECT user_id FROM referral WHERE parent_id = a.user_id OFFSET 0) r
)
SELECT user_id, parent_id FROM referral r
WHERE NOT EXISTS (SELECT FROM reached a WHERE a.user_id = r.user_id)
ORDER BY user_id LIMIT 1

-- name: check_referral_age
SELECT r.user_id, r.parent_id, r.joined_at, a.created_at
FROM referral r LEFT JOIN account a ON a.user_id = r.parent_id
WHERE a.created_at IS NULL OR a.created_at > r.joined_at
ORDER BY r.user_id LIMIT 1

-- name: check_referral_level
SELECT r.user_id, r.second_id, p.parent_id AS wanted_second, r.third_id, p.second_id AS wanted_third
FROM referral r LEFT JOIN referral p ON p.user_id = r.parent_id
WHERE (r.second_id, r.third_id) IS DISTINCT FROM (p.parent_id, p.second_id)
ORDER BY r.user_id LIMIT 1

-- name: check_commission_level
-- Whoever was paid for somebody is their ancestor at that level.
SELECT s.user_id, s.referee_id, s.level
FROM referral_sum s LEFT JOIN referral r ON r.user_id = s.referee_id
WHERE s.user_id IS DISTINCT FROM CASE s.level WHEN 1 THEN r.parent_id WHEN 2 THEN r.second_id ELSE r.third_id END
ORDER BY s.user_id, s.referee_id LIMIT 1

-- name: check_commission_booked
SELECT coalesce(s.user_id, b.user_id) AS user_id, coalesce(s.earned, 0) AS earned, coalesce(b.earned, 0) AS booked,
       coalesce(s.held, 0) AS held, coalesce(b.held, 0) AS booked_held
FROM (SELECT user_id, sum(amount - taken) AS earned, sum(held) AS held FROM referral_sum GROUP BY user_id) s
FULL JOIN (
    SELECT user_id, sum(amount) AS earned, coalesce(sum(amount) FILTER (WHERE account = 'held'), 0) AS held
    FROM ledger_balance WHERE category = 'referral' AND user_id <> '00000000-0000-0000-0000-000000000000'
    GROUP BY user_id
) b USING (user_id)
WHERE (coalesce(s.earned, 0), coalesce(s.held, 0)) IS DISTINCT FROM (coalesce(b.earned, 0), coalesce(b.held, 0))
ORDER BY 1 LIMIT 1

-- name: check_commission_lost
-- What was to be taken back and had been claimed is what the house lost.
SELECT r.lost, b.lost AS booked
FROM (SELECT coalesce(sum(lost), 0) AS lost FROM referral_sum) r
CROSS JOIN (
    SELECT coalesce(-sum(amount), 0) AS lost FROM ledger_balance
    WHERE user_id = '00000000-0000-0000-0000-000000000000' AND account = 'lost'
) b
WHERE r.lost <> b.lost

-- name: check_commission_share
-- $1: the most that there ever was of what work earns, by level, in 10,000ths of 10,000ths.
SELECT s.user_id, s.referee_id, s.level, s.amount, coalesce(w.earned, 0) AS earned
FROM referral_sum s
LEFT JOIN (
    SELECT p.user_id, sum(p.amount) AS earned
    FROM ledger_posting p
    WHERE p.category IN ('availability', 'usage')
      AND p.entry_id IN (SELECT entry_id FROM ledger_entry WHERE kind IN ('reward', 'correction'))
    GROUP BY p.user_id
) w ON w.user_id = s.referee_id
WHERE s.amount * 100000000 > coalesce(w.earned, 0) * ($1::numeric[])[s.level]
ORDER BY s.user_id, s.referee_id LIMIT 1

-- name: people
SELECT DISTINCT user_id FROM ledger_balance
WHERE user_id > $1 ORDER BY user_id LIMIT $2

-- name: sums
SELECT user_id, account, sum(amount) AS amount FROM ledger_posting
WHERE user_id BETWEEN $1 AND $2 GROUP BY user_id, account

-- name: oldest_recorded
SELECT min(epoch) FROM epoch_node

-- name: recorded
SELECT s.node_id, s.user_id, a.deleted_at IS NOT NULL AS erased, n.created_at, i.seconds, i.score, i.gate, i.country,
       i.bytes, i.availability, i.usage
FROM epoch_node i
JOIN node_state s USING (number)
JOIN node n ON n.user_id = s.user_id AND n.node_id = s.node_id
JOIN account a ON a.user_id = s.user_id
WHERE i.epoch = $1
ORDER BY s.user_id, s.node_id

-- name: helped
SELECT user_id, first_seconds, streak FROM epoch_person WHERE epoch = $1 ORDER BY user_id

-- name: entries
SELECT entry_id, at FROM ledger_entry WHERE key = ANY($1::text[])

-- name: rewarded
SELECT user_id, account, category, amount, nullif(matures_at, 'infinity') AS matures_at
FROM ledger_posting
WHERE entry_id = ANY($1::bigint[]) AND at = ANY($2::timestamptz[])
  AND user_id <> '00000000-0000-0000-0000-000000000000'
ORDER BY user_id
