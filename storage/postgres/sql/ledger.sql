-- name: add_entries
-- In order of their keys: of two that book the same ones, one waits for the other.
INSERT INTO ledger_entry (key, kind, epoch, at, reverses, memo)
SELECT w.key, w.kind, w.epoch, w.at, r.entry_id, w.memo::jsonb
FROM unnest($1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[])
     AS w (key, kind, epoch, at, reverses, memo)
LEFT JOIN ledger_entry r ON r.key = w.reverses
ORDER BY w.key
ON CONFLICT (key) DO NOTHING
RETURNING entry_id, key, reverses

-- name: open_months
SELECT make_posting_partition(month)
FROM (SELECT DISTINCT date_trunc('month', at, 'UTC') AS month FROM unnest($1::timestamptz[]) at ORDER BY 1) m

-- name: post
INSERT INTO ledger_posting (entry_id, at, user_id, account, category, matures_at, amount)
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[],
                     $7::numeric[])

-- name: balances
SELECT user_id, account, sum(amount) AS amount FROM ledger_balance
WHERE user_id = ANY ($1::uuid[]) GROUP BY user_id, account

-- name: amounts
SELECT category, amount FROM ledger_balance
WHERE user_id = $1 AND account = $2 AND amount <> 0 ORDER BY category

-- name: history
-- The page first: its entries are neighbours in the key, from the newest month on. OFFSET 0 keeps the planner
-- from reading all that is somebody's for a page of it.
WITH mark AS MATERIALIZED (
    SELECT coalesce((SELECT at FROM ledger_entry WHERE entry_id = $2), 'infinity') AS at
), page AS MATERIALIZED (
    SELECT DISTINCT at, entry_id FROM ledger_posting
    WHERE user_id = $1 AND at <= (SELECT at FROM mark) AND (at, entry_id) < ((SELECT at FROM mark), $2)
    ORDER BY at DESC, entry_id DESC LIMIT $3
)
SELECT e.entry_id, e.key, e.kind, e.epoch, e.at, p.account, p.category, p.amount,
       nullif(p.matures_at, 'infinity') AS matures_at
FROM page
JOIN ledger_entry e USING (entry_id)
CROSS JOIN LATERAL (
    SELECT account, category, matures_at, amount FROM ledger_posting
    WHERE user_id = $1 AND at = page.at AND entry_id = page.entry_id OFFSET 0
) p
ORDER BY e.at DESC, e.entry_id DESC, p.account, p.category, p.matures_at

-- name: earned
SELECT width_bucket(at, $2::timestamptz[]) AS span, category, sum(amount) AS amount FROM ledger_posting
WHERE user_id = $1 AND at >= $3 AND at < $4 GROUP BY span, category ORDER BY span, category

-- name: room
-- For the sums of all accounts at once.
SELECT set_config('work_mem', $1, true), set_config('jit', 'off', true)

-- name: check_balanced
SELECT entry_id, category, sum(amount) AS amount FROM ledger_posting
GROUP BY entry_id, category HAVING sum(amount) <> 0 ORDER BY entry_id, category LIMIT 1

-- name: check_entered
SELECT p.entry_id, p.at FROM (SELECT DISTINCT entry_id, at FROM ledger_posting) p
WHERE NOT EXISTS (SELECT FROM ledger_entry e WHERE e.entry_id = p.entry_id AND e.at = p.at)
ORDER BY p.entry_id, p.at LIMIT 1

-- name: check_complete
SELECT coalesce(s.entry_id, p.entry_id) AS entry_id, coalesce(s.category, p.category) AS category,
       s.postings AS booked, p.postings, s.credits AS booked_credits, p.credits
FROM ledger_sum s
FULL JOIN (
    SELECT entry_id, category, count(*) AS postings, coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS credits,
           coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS debits
    FROM ledger_posting GROUP BY entry_id, category
) p ON p.entry_id = s.entry_id AND p.category = s.category
WHERE (s.postings, s.credits, s.debits) IS DISTINCT FROM (p.postings, p.credits, p.debits)
ORDER BY 1, 2 LIMIT 1

-- name: check_balance
SELECT coalesce(b.user_id, p.user_id) AS user_id, coalesce(b.account, p.account) AS account,
       coalesce(b.category, p.category) AS category, coalesce(b.amount, 0) AS shown, coalesce(p.amount, 0) AS amount
FROM ledger_balance b
FULL JOIN (
    SELECT user_id, account, category, sum(amount) AS amount FROM ledger_posting GROUP BY user_id, account, category
) p ON p.user_id = b.user_id AND p.account = b.account AND p.category = b.category
WHERE coalesce(b.amount, 0) <> coalesce(p.amount, 0)
ORDER BY 1, 2, 3 LIMIT 1

-- name: check_account
SELECT user_id, account FROM ledger_balance
WHERE (user_id = '00000000-0000-0000-0000-000000000000') <> (account IN ('issued', 'unallocated', 'corrections', 'lost'))
ORDER BY user_id, account LIMIT 1

-- name: check_overdrawn
SELECT user_id, account, category, amount FROM ledger_balance
WHERE amount < 0 AND account IN ('final', 'claimable', 'claimed') OR amount > 0 AND account = 'issued'
ORDER BY user_id, account, category LIMIT 1

-- name: check_reversal
SELECT e.entry_id, e.reverses FROM ledger_entry e
WHERE e.reverses IS NOT NULL
  AND NOT EXISTS (SELECT FROM ledger_entry r WHERE r.entry_id = e.reverses AND r.entry_id < e.entry_id)
ORDER BY e.entry_id LIMIT 1
