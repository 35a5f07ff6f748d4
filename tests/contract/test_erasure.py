"""What is left, in every store, of an account that was erased."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_mail, make_node, make_session, make_user

from core.clock import new_id, to_ms
from core.errors import NotFound
from storage.base import (
    Batch,
    EmailChange,
    EmailChanged,
    Node,
    Opened,
    Registration,
    Report,
    Reset,
    SecondFactor,
    User,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_MS = to_ms(NOW)
END = NOW + timedelta(days=1)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
NOW_HOUR = NOW_MS // HOUR_MS


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


def make_reset(user_id: UUID, token: str) -> Reset:
    return Reset(token_hash=hashed(token), user_id=user_id, created_at=NOW, expires_at=END)


async def full_account(stores: Stores) -> tuple[User, Node]:
    """A user with everything a user can have: an online node with an hour of uptime among it."""
    user = make_user(email="ada@example.org", role="support", locale="de", time_zone="Europe/Berlin")
    assert await stores.users.add(user)
    user_id = user.user_id
    assert await stores.users.set_wallet(user_id, "0xA")
    await stores.sessions.add(make_session(user_id, "refresh", NOW))
    await stores.confirmations.put_reset(make_reset(user_id, "reset"), [])
    change = EmailChange(
        user_id=user_id,
        new_email="b@example.org",
        old_hash=hashed("old"),
        new_hash=hashed("new"),
        created_at=NOW,
        expires_at=END,
    )
    await stores.confirmations.put_email_change(change, [])
    registration = Registration(
        token_hash=hashed("registration"),
        email="ada@example.org",
        display_name="Ada",
        password_hash="hash",
        locale="en",
        referral_code=None,
        created_at=NOW,
        expires_at=END,
    )
    await stores.confirmations.put_registration(registration, [])
    await stores.second_factors.offer(SecondFactor(user_id=user_id, secret=b"s", created_at=NOW))
    await stores.second_factors.confirm(user_id, 1, [b"code"], NOW)
    await stores.idempotency.begin(user_id, "key", b"print", NOW, NOW)
    node = make_node(user_id)
    await stores.nodes.enrol(node)
    session_id = new_id()
    records = [
        Opened(node.node_id, session_id, NOW_MS, "192.0.2.7"),
        Report(node.node_id, session_id, NOW_HOUR, 0, 3600, NOW_MS // 1000 + 3600),
    ]
    await stores.uptime.apply([Batch("w", 1, records)], {})
    return user, node


async def test_nobody_finds_an_erased_account(stores: Stores) -> None:
    user, _ = await full_account(stores)
    assert await stores.users.erase(user.user_id, NOW)
    assert await stores.users.by_id(user.user_id) is None
    assert await stores.users.by_email(user.email) is None
    assert await stores.users.find("", None, 10) == []
    assert await stores.users.find(str(user.user_id), None, 10) == []
    assert not await stores.users.erase(user.user_id, NOW), "it is gone for good"
    assert not await stores.users.erase(new_id(), NOW)


async def test_sessions_links_second_factor_and_answers_are_gone(stores: Stores) -> None:
    user, _ = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    assert await stores.sessions.of_user(user.user_id, NOW) == []
    rotation = await stores.sessions.rotate(hashed("refresh"), hashed("newer"), NOW, END, 0)
    assert rotation.outcome == "unknown"
    assert await stores.confirmations.reset_owner(hashed("reset"), NOW) is None
    assert await stores.confirmations.reset(hashed("reset"), "newer", NOW) is None
    assert await stores.confirmations.confirm_email(hashed("old"), NOW) == EmailChanged("unknown")
    assert await stores.confirmations.register(hashed("registration"), new_id(), NOW) is None
    assert await stores.second_factors.get(user.user_id) is None
    assert await stores.confirmations.prune(END) == 0


async def test_address_wallet_and_node_keys_are_free_again(stores: Stores) -> None:
    user, node = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    newcomer = make_user(email=user.email)
    assert await stores.users.add(newcomer)
    assert await stores.users.set_wallet(newcomer.user_id, "0xA")
    again = make_node(newcomer.user_id, public_key=node.public_key)
    assert await stores.nodes.enrol(again) == again


async def test_the_nodes_are_unknown_and_offline_and_what_they_earned_stays(stores: Stores) -> None:
    user, node = await full_account(stores)
    before = await stores.uptime.network()
    assert (before.nodes_online, before.confirmed_seconds) == (1, 3600)
    await stores.users.erase(user.user_id, NOW)
    assert await stores.nodes.by_id(node.node_id) is None
    assert await stores.nodes.of_user(user.user_id, None, 10) == []
    assert not await stores.nodes.advance_token_time(node.node_id, NOW_MS)
    totals = await stores.uptime.totals([user.user_id])
    assert totals[user.user_id].nodes == []
    assert await stores.uptime.hours(user.user_id, node.node_id) == [(NOW, 3600)]
    after = await stores.uptime.network()
    assert after == replace(
        before, revision=before.revision + 1, nodes_online=0, nodes_total=0, users_total=0, countries=[]
    )


async def test_what_a_worker_still_reports_of_the_nodes_is_ignored(stores: Stores) -> None:
    user, node = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    session_id = new_id()
    records = [
        Opened(node.node_id, session_id, NOW_MS + HOUR_MS, "192.0.2.8"),
        Report(node.node_id, session_id, NOW_HOUR + 1, 0, 3600, NOW_MS // 1000 + 7200),
    ]
    applied = await stores.uptime.apply([Batch("w", 2, records)], {})
    assert (applied.touched, applied.changed, applied.unknown) == (set(), set(), 2)
    assert await stores.uptime.close_workers([], NOW) == set()
    network = await stores.uptime.network()
    assert (network.nodes_online, network.confirmed_seconds) == (0, 3600)


async def test_nothing_can_be_changed_on_an_erased_account(stores: Stores) -> None:
    user, _ = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    await stores.users.set_password_hash(user.user_id, "newer")
    await stores.users.set_profile(user.user_id, "Ada", "en", "UTC")
    assert not await stores.users.set_role(user.user_id, "operator")
    assert await stores.users.by_id(user.user_id) is None


ADDITIONS: dict[str, Callable[[Stores, UUID], Awaitable[object]]] = {
    "a session": lambda stores, user_id: stores.sessions.add(make_session(user_id, f"{new_id()}", NOW)),
    "a session with the password": lambda stores, user_id: stores.sessions.add(
        make_session(user_id, f"{new_id()}", NOW), "hash"
    ),
    "a node": lambda stores, user_id: stores.nodes.enrol(make_node(user_id)),
    "a reset": lambda stores, user_id: stores.confirmations.put_reset(
        make_reset(user_id, f"{new_id()}"), [make_mail(NOW)]
    ),
    "a change of address": lambda stores, user_id: stores.confirmations.put_email_change(
        EmailChange(
            user_id=user_id,
            new_email="c@example.org",
            old_hash=hashed(f"{new_id()}"),
            new_hash=hashed(f"{new_id()}"),
            created_at=NOW,
            expires_at=END,
        ),
        [make_mail(NOW)],
    ),
    "a second factor": lambda stores, user_id: stores.second_factors.offer(
        SecondFactor(user_id=user_id, secret=b"s", created_at=NOW)
    ),
    "a claim": lambda stores, user_id: stores.idempotency.begin(user_id, f"{new_id()}", b"p", NOW, NOW),
    "a wallet": lambda stores, user_id: stores.users.set_wallet(user_id, "0xA"),
}


@pytest.mark.parametrize("what", ADDITIONS)
async def test_nothing_can_be_added_to_an_erased_account(stores: Stores, what: str) -> None:
    user, _ = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    with pytest.raises(NotFound, match="user_unknown"):
        await ADDITIONS[what](stores, user.user_id)
    assert await stores.outbox.waiting() == 0


async def test_whatever_is_added_while_an_account_is_erased_is_refused_or_gone(stores: Stores) -> None:
    user, _ = await full_account(stores)
    user_id = user.user_id
    before = [add(stores, user_id) for add in ADDITIONS.values()]
    after = [add(stores, user_id) for _ in range(3) for add in ADDITIONS.values()]
    outcomes = await asyncio.gather(*before, stores.users.erase(user_id, NOW), *after, return_exceptions=True)
    assert outcomes[len(before)] is True
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, NotFound), outcome
    assert await stores.sessions.of_user(user_id, NOW) == []
    assert await stores.nodes.of_user(user_id, None, 10) == []
    assert await stores.second_factors.get(user_id) is None
    assert await stores.confirmations.prune(END + HOUR) == 0
    assert await stores.idempotency.prune(END) == 0
    assert await stores.users.set_wallet(await stores.add_user(), "0xA")


async def test_of_twenty_who_erase_an_account_exactly_one_does(stores: Stores) -> None:
    user, _ = await full_account(stores)
    results = await asyncio.gather(*(stores.users.erase(user.user_id, NOW) for _ in range(20)))
    assert results.count(True) == 1


async def test_nobody_else_is_touched(stores: Stores) -> None:
    bob = await stores.add_user()
    session = make_session(bob, "bob", NOW)
    await stores.sessions.add(session)
    node = make_node(bob)
    await stores.nodes.enrol(node)
    user, _ = await full_account(stores)
    await stores.users.erase(user.user_id, NOW)
    assert [found.user_id for found in await stores.users.find("", None, 10)] == [bob]
    assert await stores.sessions.of_user(bob, NOW) == [session]
    assert await stores.nodes.by_id(node.node_id) == node
