"""Days of many nodes, made in the database itself: what statistics, scores and their sizes are measured on.

    connection = await asyncpg.connect(dsn)     # a migrated database of its own
    await fill_nodes(connection, 1_000_000)
    await fill_day(connection, 1_000_000, day)  # day counts from the epoch; oldest first

The hours are as ingest leaves them, in the order in which reports come: hour by hour, and within an hour
in the nodes' turn. The last hour of the day stands in `node_state`, the others in `node_hour`. The same
`nodes` and `day` make the same rows.
"""

from typing import Any

# Of 100 nodes this many are on without a break, but for an hour in fifty; the others come and go.
STEADY = 80
# Nodes of one account, and countries.
PER_ACCOUNT = 4
COUNTRIES = 150

_NODES = """
ALTER TABLE account DISABLE TRIGGER USER;
ALTER TABLE node DISABLE TRIGGER USER;

INSERT INTO account (user_id, email, display_name, password_hash, role, created_at)
SELECT pulse_id(1, i), 'owner' || i || '@example.org', 'Owner', 'hash', 'user', now()
FROM generate_series(1, {accounts}) i;

INSERT INTO node (user_id, node_id, public_key, name, created_at)
SELECT pulse_id(1, ((i - 1)::bigint * {accounts} / {nodes})::integer + 1), pulse_id(2, i),
       sha256(int4send(i)), 'node ' || i, 'epoch'
FROM generate_series(1, {nodes}) i;

ALTER TABLE account ENABLE TRIGGER USER;
ALTER TABLE node ENABLE TRIGGER USER;

-- Most nodes are in few countries.
INSERT INTO node_state (user_id, node_id, country, asn, address, subnet, status, online, session_id,
                        connection_id, worker, rtt_us, jitter_us, agent_version)
SELECT user_id, node_id,
       (SELECT chr(65 + c / 26) || chr(65 + c % 26)
        FROM (SELECT floor({countries} * pow(noise(i, 1), 3))::integer AS c) c),
       floor(60000 * noise(i, 2)), address, address, 'online', true, pulse_id(3, i),
       pulse_id(3, i), 'worker-1', 20000, 1000, '1.0.0'
FROM (SELECT user_id, node_id, i, format('100.%s.%s.%s', i >> 16, i >> 8 & 255, i & 255) AS address
      FROM (SELECT user_id, node_id, row_number() OVER (ORDER BY node_id)::integer AS i FROM node) n) n;

INSERT INTO tally (what, part, count) VALUES ('nodes', 0, {nodes}), ('users', 0, {accounts})
ON CONFLICT (what, part) DO UPDATE SET count = EXCLUDED.count;
INSERT INTO network_country SELECT country, count(*) FROM node_state GROUP BY 1
ON CONFLICT (country) DO UPDATE SET nodes_online = EXCLUDED.nodes_online;
"""

_HELPERS = """
CREATE OR REPLACE FUNCTION pulse_id(kind integer, i integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0199' || lpad(to_hex(kind), 4, '0') || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid
$$;
-- A number from 0 to 1 that depends on both.
CREATE OR REPLACE FUNCTION noise(a integer, b integer) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT (hashint4extended(a, b) & 1048575) / 1048576.0
$$;
"""

# How many seconds a node was there, which of them, what it moved and how fast it answered.
_HOURS = """
CREATE OR REPLACE VIEW bench_node AS
SELECT number, country, noise(number, 11) AS turn, noise(number, 12) * 100 AS kind,
       5 + floor(7 * pow(noise(number, 14), 2))::integer AS pace
FROM node_state;

CREATE OR REPLACE FUNCTION bench_hour(hour_ integer) RETURNS TABLE (
    minutes bigint, bytes_up bigint, bytes_down bigint, rtt_low bigint, rtt_high bigint, number integer,
    hour integer, errors integer, seconds integer, answered integer, missed integer, refused integer,
    confirmed int4multirange, country text, turn double precision) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN stop - start >= 3600 THEN (1::bigint << 60) - 1
                ELSE ((1::bigint << (stop / 60 - start / 60 + 1)) - 1) << (start / 60) END,
           (luck * 5e6)::bigint, (luck * 3e7)::bigint,
           CASE WHEN pace < 8 THEN (100::bigint << (8 * (7 - pace))) | (30::bigint << (8 * (8 - pace)))
                ELSE 0 END,
           CASE WHEN pace >= 8 THEN (100::bigint << (8 * (15 - pace))) | (20::bigint << (8 * (14 - pace)))
                ELSE 0 END,
           number, hour_, (luck < 0.02)::integer, stop - start, (stop - start) / 20, (luck < 0.1)::integer, 0,
           int4multirange(int4range(start, stop)), country, turn
    FROM (SELECT *, CASE WHEN kind < {steady} AND luck > 0.02 THEN 0
                         ELSE floor(luck * 1700)::integer END AS start,
                    CASE WHEN kind < {steady} AND luck > 0.02 THEN 3600
                         ELSE 1800 + floor(noise(number, hour_ + 7) * 1700)::integer END AS stop
          FROM (SELECT *, noise(number, hour_) AS luck FROM bench_node) n) n
$$;
"""

_HOUR = """
WITH made AS (SELECT * FROM bench_hour({hour}) ORDER BY turn),
stored AS ({store})
INSERT INTO network_hour (hour, country, nodes, seconds, bytes_up, bytes_down, answered, missed, refused, rtt)
SELECT {hour}, country, count(*), sum(seconds), sum(bytes_up), sum(bytes_down), sum(answered), sum(missed),
       sum(refused), ARRAY[{rtt}]
FROM made GROUP BY country
"""
_STORE = """INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors,
                                   seconds, answered, missed, refused, confirmed)
            SELECT minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds,
                   answered, missed, refused, confirmed FROM made"""
_STATE = """UPDATE node_state s
            SET minutes = m.minutes, bytes_up = m.bytes_up, bytes_down = m.bytes_down, rtt_low = m.rtt_low,
                rtt_high = m.rtt_high, hour = m.hour, errors = m.errors, seconds = m.seconds,
                answered = m.answered, missed = m.missed, refused = m.refused, confirmed = m.confirmed,
                confirmed_to = m.hour::bigint * 3600 + 3600, seen_s = m.hour::bigint * 3600 + 3600
            FROM made m WHERE m.number = s.number"""
_MOVE = """
INSERT INTO node_hour (minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds,
                       answered, missed, refused, confirmed)
SELECT minutes, bytes_up, bytes_down, rtt_low, rtt_high, number, hour, errors, seconds, answered, missed,
       refused, confirmed
FROM node_state WHERE hour > 0 AND hour < {first}
"""


async def fill_nodes(connection: Any, nodes: int, accounts: int | None = None) -> None:
    """Add `nodes` nodes and their owners, `PER_ACCOUNT` each or `accounts`, to a database that has none."""
    accounts = accounts or -(-nodes // PER_ACCOUNT)
    await connection.execute(_HELPERS)
    await connection.execute(_NODES.format(nodes=nodes, accounts=accounts, countries=COUNTRIES))
    await connection.execute("VACUUM ANALYZE account, node, node_state")


async def fill_day(connection: Any, nodes: int, day: int) -> None:
    """Add the hours of `day`, which counts from the epoch and is later than those before.

    Makes the nodes when there are none. 24 rows a node.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM node_state)"):
        await fill_nodes(connection, nodes)
    await fill_hours(connection, day * 24, day * 24 + 24)


async def fill_hours(connection: Any, first: int, last: int) -> None:
    """Add the hours from `first` up to `last`, which count from the epoch and are later than those before.

    A row a node for each.
    """
    await connection.execute(_HOURS.format(steady=STEADY))
    days = range(first // 24, (last - 1) // 24 + 1)
    for day in (days[0] - 1, *days):
        await connection.execute("SELECT make_hour_partition($1)", day)
    await connection.execute(_MOVE.format(first=first))
    rtt = ", ".join(
        f"sum(rtt_{'low' if bucket < 8 else 'high'} >> {56 - 8 * (bucket % 8)} & 255)" for bucket in range(16)
    )
    for hour in range(first, last):
        store = _STORE if hour < last - 1 else _STATE
        await connection.execute(_HOUR.format(hour=hour, store=store, rtt=rtt))
    await connection.execute(
        "INSERT INTO measured_day (day, changed)"
        " SELECT day, revision FROM unnest($1::integer[]) day, ingest_cursor"
        " ON CONFLICT (day) DO UPDATE SET changed = EXCLUDED.changed",
        list(days),
    )
