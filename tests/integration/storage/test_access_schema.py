"""What PostgreSQL itself promises for accounts and access: rules of the schema, plans, crashes, locks."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from support.stores import Stores, make_mail, make_node, make_session, make_user, postgres_stores
from support.waiting import eventually

from core.clock import new_id, to_ms
from core.errors import StorageUnavailable
from storage.base import AuditEvent, Batch, EmailChange, Opened, Registration, Reset, SecondFactor
from storage.postgres import Pool
from storage.postgres.queries import load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + timedelta(days=1)


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


@pytest.fixture
def stores(pool: Pool) -> Stores:
    return postgres_stores(pool)


async def put_registration(stores: Stores, email: str = "ada@example.org") -> None:
    registration = Registration(
        token_hash=hashed("registration"),
        email=email,
        display_name="Ada Lovelace",
        password_hash="hash",
        locale="en",
        referral_code=None,
        created_at=NOW,
        expires_at=END,
    )
    await stores.confirmations.put_registration(registration, [])


async def put_reset(stores: Stores, user_id: UUID, token: str = "reset") -> None:
    reset = Reset(token_hash=hashed(token), user_id=user_id, created_at=NOW, expires_at=END)
    await stores.confirmations.put_reset(reset, [])


async def put_change(stores: Stores, user_id: UUID, new_email: str, token: str = "") -> None:
    change = EmailChange(
        user_id=user_id,
        new_email=new_email,
        old_hash=hashed(f"old{token}"),
        new_hash=hashed(f"new{token}"),
        created_at=NOW,
        expires_at=END,
    )
    await stores.confirmations.put_email_change(change, [])


# The audit log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET kind = 'login.ok'",
        "UPDATE audit_event SET kind = 'login.ok' WHERE false",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
    ],
)
async def test_what_was_written_into_the_audit_log_cannot_be_changed(
    stores: Stores, pool: Pool, statement: str
) -> None:
    event = AuditEvent(event_id=new_id(), at=NOW, kind="login.failed")
    await stores.audit.append(event)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await pool.fetch(statement)
    assert await stores.audit.read(user_id=None, kind=None, before=None, limit=10) == [event]


async def test_pruning_leaves_no_door_open(stores: Stores, pool: Pool) -> None:
    await stores.audit.append(AuditEvent(event_id=new_id(), at=NOW, kind="login.failed"))
    async with pool.transaction() as connection:
        assert await connection.fetchval("SELECT prune_audit_events($1)", NOW) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute("DELETE FROM audit_event")


# Erasing


async def test_no_row_of_any_table_tells_who_an_erased_account_was(stores: Stores, pool: Pool) -> None:
    user = make_user(email="ada@example.org", display_name="Ada Lovelace", password_hash="secret-hash")
    await stores.users.add(user)
    user_id = user.user_id
    await stores.users.set_profile(user_id, "Ada Lovelace", "xx-traced", "Europe/Traced")
    await stores.users.set_wallet(user_id, "0xTraced")
    await stores.sessions.add(make_session(user_id, "refresh", NOW))
    await put_registration(stores)
    await put_reset(stores, user_id)
    await put_change(stores, user_id, "traced@example.org")
    await stores.second_factors.offer(SecondFactor(user_id=user_id, secret=b"traced", created_at=NOW))
    await stores.idempotency.begin(user_id, "traced", b"print", NOW, NOW)
    await stores.idempotency.finish(user_id, "traced", 200, b"traced")
    node = make_node(user_id, name="traced attic", public_key=b"traced" + bytes(26))
    await stores.nodes.enrol(node)
    opened = Opened(node.node_id, new_id(), to_ms(NOW), "192.0.2.77")
    await stores.uptime.apply([Batch("w", 1, [opened])], {})
    traces = [
        "ada@",
        "Lovelace",
        "secret-hash",
        "raced",
        b"traced".hex(),
        "192.0.2.",
        "Firefox",
        hashed("refresh").hex(),
        hashed("reset").hex(),
    ]

    async def rows() -> str:
        tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = []
        for table in tables:
            found += await pool.fetch(f"SELECT t::text AS text FROM {table['tablename']} t")
        return "\n".join(row["text"] for row in found)

    before = await rows()
    assert all(trace in before for trace in traces)
    await stores.users.erase(user_id, NOW)
    after = await rows()
    assert [trace for trace in traces if trace in after] == []
    assert str(user_id) in after, "the pseudonym stays"


async def test_an_account_cannot_be_half_erased(stores: Stores, pool: Pool) -> None:
    user_id = await stores.add_user()
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.fetch("UPDATE account SET deleted_at = now() WHERE user_id = $1", user_id)


# Plans

# Without those that only insert, and `waiting`, which counts.
HOT = {
    "users": "by_email by_ids all find lock set_password_hash set_profile set_role claim_wallet"
    " release_wallet set_wallet erase",
    "sessions": "password_holds remove_expired whose lock replaced_at rotate end end_all of_user ended_since"
    " prune",
    "confirmations": "use_registration reset_owner use_reset drop_reset whose_email_change use_email_change"
    " drop_email_change release_email set_email prune",
    "outbox": "drop_expired take sent postpone",
    "second_factors": "get confirm use_step use_recovery set_recovery remove",
    "audit": "read read_user read_kind read_user_kind",
    "idempotency": "kept finish abandon prune",
    "nodes": "by_key by_id of_user advance_token_time",
}

FILL = """
CREATE TEMP TABLE seed AS
SELECT n, gen_random_uuid() AS id, sha256(n::text::bytea) AS hash,
       sha256(('x' || n)::bytea) AS other, timestamptz '2026-03-01' + n * interval '1 minute' AS at
FROM generate_series(1, 5000) n;
INSERT INTO account (user_id, email, display_name, password_hash, role, created_at)
    SELECT id, n || '@example.org', 'Ada', 'hash', 'user', at FROM seed;
INSERT INTO account_email SELECT n || '@example.org', id FROM seed;
INSERT INTO account_wallet SELECT '0x' || n, id FROM seed;
INSERT INTO login_session SELECT id, id, hash, '', '', at, at, at FROM seed;
INSERT INTO login_token SELECT id, id, hash FROM seed;
INSERT INTO ended_session SELECT id, id, now() + (n - 1500) * interval '1 minute' FROM seed;
INSERT INTO registration SELECT n || '@example.net', hash, '', '', '', '', at, at FROM seed;
INSERT INTO password_reset SELECT id, hash, at, at FROM seed;
INSERT INTO email_change SELECT id, n || '@example.net', hash, other, at, at FROM seed;
INSERT INTO mail SELECT id, '', '', '', at, at, at, 0 FROM seed;
INSERT INTO second_factor SELECT id, '', at FROM seed;
INSERT INTO idempotent_request SELECT id, n::text, hash, 0, '', at FROM seed;
INSERT INTO node (user_id, node_id, public_key, name, created_at) SELECT id, id, hash, '', at FROM seed;
INSERT INTO node_key SELECT hash, id, id FROM seed;
INSERT INTO node_session SELECT id, id, id, at, NULL, NULL, 'w', '' FROM seed;
INSERT INTO referral_code SELECT n::text, id, '', false, at FROM seed;
INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at)
    SELECT id, id, (SELECT id FROM seed WHERE n = 1), '', at FROM seed WHERE n > 1;
INSERT INTO referral_flag SELECT id, 'burst', id, '', at FROM seed WHERE n > 1;
INSERT INTO audit_event SELECT id, at, 'kind' || n % 50 || '.x', id, NULL, '', '', '{}' FROM seed;
ANALYZE;
"""
EARLY = datetime(2026, 3, 1, 1, tzinfo=UTC)
# Arguments of the few statements whose first ones are no ids or hashes, or that look for a range.
ARGUMENTS: dict[str, list[Any]] = {
    "all": [UUID(int=0), 10],
    "find": [UUID(int=0), 10, "17", "17\U0010ffff", UUID(int=0)],
    "ended_since": [datetime.now(UTC) + timedelta(hours=57)],
    "prune": [EARLY],
    "drop_expired": [EARLY],
    "take": [EARLY, EARLY, 10],
    "read": [UUID(int=1 << 127), 10],
    "read_user": [UUID(int=1 << 127), 10, UUID(int=7)],
    "read_kind": [UUID(int=1 << 127), 10, "kind7.", "kind7.\U0010ffff"],
    "read_user_kind": [UUID(int=1 << 127), 10, UUID(int=7), "kind7.", "kind7.\U0010ffff"],
}
VALUES: dict[str, Any] = {
    "uuid": UUID(int=7),
    "text": "7@example.org",
    "bytea": hashed("7"),
    "timestamptz": EARLY,
    "int4": 7,
    "int8": 7,
    "uuid[]": [UUID(int=7)],
    "bytea[]": [],
}


def sequential_scans(plan: Any) -> list[str]:
    """The tables that a plan reads from end to end."""
    match plan:
        case list():
            return [table for part in plan for table in sequential_scans(part)]
        case dict():
            own = [plan["Relation Name"]] if plan.get("Node Type") == "Seq Scan" else []
            return own + sequential_scans(list(plan.values()))
    return []


async def test_no_lookup_reads_a_table_from_end_to_end(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(FILL)
        for topic, names in HOT.items():
            statements = load(topic)
            for name in names.split():
                prepared = await connection.prepare(statements[name])
                kinds = [parameter.name for parameter in prepared.get_parameters()]
                args = ARGUMENTS.get(name) or [VALUES[kind] for kind in kinds]
                plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statements[name]}", *args)
                assert sequential_scans(msgspec.json.decode(plan)) == [], f"{topic}: {name}: {plan}"


# Crashes


async def crash_while_blocked(pool: Pool, blocker: str, args: list[Any], call: Awaitable[object]) -> None:
    """Run `call` up to the lock that `blocker` holds, and kill its connection there."""

    async def killed() -> bool:
        return bool(
            await pool.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )

    async with pool.connection() as holder:
        transaction = holder.transaction()
        await transaction.start()
        try:
            await holder.execute(blocker, *args)
            calling = asyncio.ensure_future(call)
            await eventually(killed)
            with pytest.raises(StorageUnavailable):
                await calling
        finally:
            await transaction.rollback()


async def test_a_reset_that_is_cut_off_changes_nothing_and_still_serves(stores: Stores, pool: Pool) -> None:
    user = make_user()
    await stores.users.add(user)
    session = make_session(user.user_id, "a", NOW)
    await stores.sessions.add(session)
    await put_reset(stores, user.user_id)
    await crash_while_blocked(
        pool,
        "SELECT FROM login_session WHERE user_id = $1 FOR UPDATE",
        [user.user_id],
        stores.confirmations.reset(hashed("reset"), "newer", NOW),
    )
    assert await stores.users.by_id(user.user_id) == user
    assert await stores.sessions.of_user(user.user_id, NOW) == [session]
    assert await stores.confirmations.reset(hashed("reset"), "newer", NOW) == [session.session_id]


async def test_a_registration_that_is_cut_off_still_serves(stores: Stores, pool: Pool) -> None:
    await put_registration(stores)
    stranger = make_user(email="bob@example.org")
    await stores.users.add(stranger)
    await crash_while_blocked(
        pool,
        "INSERT INTO account_email VALUES ('ada@example.org', $1)",
        [stranger.user_id],
        stores.confirmations.register(hashed("registration"), new_id(), NOW),
    )
    assert await stores.users.by_email("ada@example.org") is None
    assert await stores.confirmations.register(hashed("registration"), new_id(), NOW)


async def test_a_change_of_address_that_is_cut_off_still_serves(stores: Stores, pool: Pool) -> None:
    user = make_user(email="ada@example.org")
    await stores.users.add(user)
    stranger = await stores.add_user()
    await put_change(stores, user.user_id, "b@example.org")
    await stores.confirmations.confirm_email(hashed("old"), NOW)
    await crash_while_blocked(
        pool,
        "INSERT INTO account_email VALUES ('b@example.org', $1)",
        [stranger],
        stores.confirmations.confirm_email(hashed("new"), NOW),
    )
    assert await stores.users.by_email("ada@example.org") == user
    assert (await stores.confirmations.confirm_email(hashed("new"), NOW)).outcome == "changed"


async def test_a_link_is_not_remembered_without_its_mail(stores: Stores, pool: Pool) -> None:
    user_id = await stores.add_user()
    mail = make_mail(NOW)
    reset = Reset(token_hash=hashed("reset"), user_id=user_id, created_at=NOW, expires_at=END)
    await crash_while_blocked(
        pool,
        "INSERT INTO mail VALUES ($1, '', '', '', now(), now(), now(), 0)",
        [mail.mail_id],
        stores.confirmations.put_reset(reset, [mail]),
    )
    assert await stores.confirmations.reset_owner(hashed("reset"), NOW) is None
    assert await stores.outbox.waiting() == 0


async def test_an_erasure_that_is_cut_off_erases_nothing(stores: Stores, pool: Pool) -> None:
    user = make_user()
    await stores.users.add(user)
    session = make_session(user.user_id, "a", NOW)
    await stores.sessions.add(session)
    node = make_node(user.user_id)
    await stores.nodes.enrol(node)
    await crash_while_blocked(
        pool,
        "SELECT FROM node WHERE user_id = $1 FOR UPDATE",
        [user.user_id],
        stores.users.erase(user.user_id, NOW),
    )
    assert await stores.users.by_email(user.email) == user
    assert await stores.sessions.of_user(user.user_id, NOW) == [session]
    assert await stores.nodes.by_id(node.node_id) == node
    assert await stores.users.erase(user.user_id, NOW)


# Locks


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_an_account_at_the_same_time_nobody_waits_in_a_circle(
    stores: Stores, seed: int
) -> None:
    chance = random.Random(seed)
    for round_ in range(8):
        user_id, other = await stores.add_user(), await stores.add_user()
        tokens = [f"{seed}-{round_}-{number}" for number in range(4)]
        for token in tokens:
            # These have run out by the time of the others: adding those removes them.
            await stores.sessions.add(make_session(user_id, token, NOW - timedelta(days=60)))
        node = make_node(user_id)
        await stores.nodes.enrol(node)
        await put_change(stores, user_id, f"{new_id()}@example.org", f"-{seed}-{round_}")
        await put_reset(stores, user_id, f"{seed}-{round_}")
        opened = Opened(node.node_id, new_id(), to_ms(NOW), "192.0.2.1")

        def calls(
            user_id: UUID = user_id,
            other: UUID = other,
            round_: int = round_,
            opened: Opened = opened,
            first: str = tokens[0],
        ) -> list[Callable[[], Awaitable[object]]]:
            return [
                lambda: stores.sessions.add(make_session(user_id, f"{new_id()}", NOW), "hash"),
                lambda: stores.sessions.add(make_session(user_id, f"{new_id()}", NOW)),
                lambda: stores.sessions.rotate(
                    hashed(first), hashed(f"{new_id()}"), NOW - timedelta(days=60), END, 0
                ),
                lambda: stores.sessions.end_all(user_id),
                lambda: stores.sessions.prune(NOW),
                lambda: stores.users.set_password_hash(user_id, "hash"),
                lambda: stores.users.set_wallet(user_id, "0xA"),
                lambda: stores.users.set_wallet(other, "0xA"),
                lambda: put_reset(stores, user_id, f"{new_id()}"),
                lambda: stores.confirmations.reset(hashed(f"{seed}-{round_}"), "newer", NOW),
                lambda: put_change(stores, user_id, f"{new_id()}@example.org", f"{new_id()}"),
                lambda: stores.confirmations.confirm_email(hashed(f"old-{seed}-{round_}"), NOW),
                lambda: stores.confirmations.confirm_email(hashed(f"new-{seed}-{round_}"), NOW),
                lambda: stores.confirmations.prune(NOW),
                lambda: stores.idempotency.begin(user_id, "key", b"p", NOW, NOW),
                lambda: stores.second_factors.offer(
                    SecondFactor(user_id=user_id, secret=b"s", created_at=NOW)
                ),
                lambda: stores.uptime.apply([Batch("w", seed * 100 + round_, [opened])], "1-0"),
                lambda: stores.users.erase(user_id, NOW),
            ]

        jobs = calls() * 2
        chance.shuffle(jobs)
        outcomes = await asyncio.gather(*(job() for job in jobs), return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
        assert failed == [], f"seed {seed}, round {round_}"
