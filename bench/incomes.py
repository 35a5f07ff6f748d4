"""What people have earned so far, made in the database itself: who brought whom, and a ledger of months.

    await fill_nodes(connection, 1_000_000, 300_000)
    await fill_people(connection, 300_000, day)
    await fill_ledger(connection, 300_000, 20_000_000, until)

The same arguments make the same rows. The postings are what closes and payouts leave: a reward that is
pending, final after a week, then claimable. Most people have few of them, some have many.
"""

from datetime import datetime, timedelta
from typing import Any

# Months of bookings, and hours until a reward of them is final.
SPAN = timedelta(days=182)
HELD_HOURS = 168
# Postings of the one who has most, and of each reward: itself, its release, its payout.
MOST_POSTINGS = 50_000
PER_REWARD = 5
# Slots booked by one statement.
_SLOTS_AT_ONCE = 96

_PEOPLE = """
UPDATE node SET created_at = to_timestamp({day} * 86400.0 - 86400 * 365 * noise(n.number, 41))
FROM node_state n
WHERE n.user_id = node.user_id AND n.node_id = node.node_id;

ALTER TABLE referral DISABLE TRIGGER USER;
WITH above AS (
    SELECT i, CASE WHEN i > 1 AND noise(i, 22) < 0.8
                   THEN 1 + floor((i - 1) * pow(noise(i, 21), 2))::integer END AS parent
    FROM generate_series(1, {accounts}) i
)
INSERT INTO referral (user_id, referral_id, parent_id, second_id, third_id, code, joined_at, active_at)
SELECT pulse_id(1, a.i), pulse_id(4, a.i), pulse_id(1, a.parent), pulse_id(1, b.parent),
       pulse_id(1, c.parent), 'bench', '2026-01-01',
       CASE WHEN noise(a.i, 23) < 0.8 THEN timestamptz '2026-02-01' END
FROM above a LEFT JOIN above b ON b.i = a.parent LEFT JOIN above c ON c.i = b.parent
WHERE a.parent IS NOT NULL;
ALTER TABLE referral ENABLE TRIGGER USER;

INSERT INTO referral_flag (user_id, kind, other_id, value, raised_at)
SELECT user_id, 'subnet', parent_id, '100.64.0.0/24', joined_at FROM referral
ORDER BY referral_id LIMIT {accounts} / 100;

-- One in ten has not had the first hundred hours yet.
INSERT INTO earner (user_id, seconds, day_seconds, day, streak, streak_day)
SELECT pulse_id(1, i), 3600000 * noise(i, 24), 0, {day} - 1, floor(30 * noise(i, 25)), {day} - 1
FROM generate_series(1, {accounts}) i;
"""

_REWARDS = """
CREATE UNLOGGED TABLE bench_reward AS
SELECT user_id, slot, category, 1 + floor(2000000 * noise(slot, 33))::bigint AS amount
FROM (
    SELECT DISTINCT
           pulse_id(1, CASE WHEN i <= {most} THEN {accounts}
                            ELSE 1 + floor({accounts} * pow(noise(i, 31), 1.5))::integer END) AS user_id,
           CASE WHEN i <= {most} THEN (i::bigint * {slots} / ({most} + 1))::integer
                ELSE floor({slots} * noise(i, 32))::integer END AS slot,
           (ARRAY['availability', 'usage', 'referral'])[1 + i % 3] AS category
    FROM generate_series(1, {rewards}) i
) r;
CREATE INDEX ON bench_reward (slot);
ANALYZE bench_reward;

INSERT INTO ledger_entry (key, kind, epoch, at)
SELECT 'bench:' || kind || ':' || slot, kind, 0, timestamptz '{start}' + slot * interval '1 hour'
FROM generate_series(0, {slots} - 1) slot, unnest(ARRAY['reward', 'release', 'payable']) kind;
"""

_POSTINGS = """
WITH slot AS MATERIALIZED (
    SELECT split_part(key, ':', 3)::integer AS slot, at,
           max(entry_id) FILTER (WHERE kind = 'reward') AS reward,
           max(entry_id) FILTER (WHERE kind = 'release') AS release,
           max(entry_id) FILTER (WHERE kind = 'payable') AS payable
    FROM ledger_entry WHERE key LIKE 'bench:%'
    GROUP BY 1, 2
    HAVING split_part(key, ':', 3)::integer BETWEEN $1 AND $2
)
INSERT INTO ledger_posting (user_id, at, entry_id, account, category, matures_at, amount)
SELECT user_id, at, reward, 'pending', category, at + {final}, amount FROM slot JOIN bench_reward USING (slot)
UNION ALL
SELECT '00000000-0000-0000-0000-000000000000', at, reward, 'issued', category, 'infinity', -sum(amount)
FROM slot JOIN bench_reward USING (slot) GROUP BY at, reward, category
UNION ALL
SELECT user_id, at, CASE step WHEN 'final' THEN payable WHEN 'claimable' THEN payable ELSE release END,
       CASE step WHEN 'released' THEN 'final' ELSE step END, category,
       CASE step WHEN 'pending' THEN at - interval '{held} hours' + {final} ELSE 'infinity' END,
       CASE WHEN step IN ('pending', 'final') THEN -amount ELSE amount END
FROM slot s JOIN bench_reward r ON r.slot = s.slot - {held},
     unnest(ARRAY['pending', 'released', 'final', 'claimable']) step
ORDER BY 2, 3, 1
"""

_SUMS = """
INSERT INTO ledger_sum (entry_id, category, at, postings, credits, debits)
SELECT entry_id, category, at, count(*), coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
       coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)
FROM ledger_posting GROUP BY entry_id, category, at;

INSERT INTO ledger_balance (user_id, account, category, amount)
SELECT user_id, account, category, sum(amount) FROM ledger_posting
GROUP BY user_id, account, category ORDER BY user_id, account, category;
"""
_WRITTEN = ("ledger_posting", "ledger_sum", "ledger_balance")


async def fill_people(connection: Any, accounts: int, day: int) -> None:
    """Give nodes an age up to `day`, which counts from the epoch, and let people have brought each other.

    Of ten people eight were brought, by three levels and more; of those eight in ten are active.
    """
    await connection.execute(_PEOPLE.format(accounts=accounts, day=day))
    await connection.execute("VACUUM ANALYZE node, referral, referral_flag, earner")


async def fill_ledger(connection: Any, accounts: int, postings: int, until: datetime) -> int:
    """Add about so many postings of the half year before `until`; returns how many. The ledger was empty."""
    slots = SPAN // timedelta(hours=1)
    start = until - SPAN
    final = f"interval '{HELD_HOURS + 1} hours'"
    most = min(MOST_POSTINGS, postings // 10) // PER_REWARD
    for month in range(SPAN.days // 28 + 1):
        await connection.execute("SELECT make_posting_partition($1)", start + timedelta(days=28 * month))
    async with connection.transaction():
        await connection.execute("SET LOCAL work_mem = '256MB'")
        await connection.execute(
            _REWARDS.format(
                accounts=accounts, rewards=postings // PER_REWARD, most=most, slots=slots, start=start
            )
        )
        # What triggers would do for each of so many statements is done at once.
        for table in _WRITTEN:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for first in range(0, slots, _SLOTS_AT_ONCE):
            statement = _POSTINGS.format(held=HELD_HOURS, final=final)
            await connection.execute(statement, first, first + _SLOTS_AT_ONCE - 1)
        await connection.execute(_SUMS)
        for table in _WRITTEN:
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        await connection.execute("DROP TABLE bench_reward")
    await connection.execute(f"VACUUM ANALYZE ledger_entry, {', '.join(_WRITTEN)}")
    found: int = await connection.fetchval("SELECT count(*) FROM ledger_posting")
    return found
