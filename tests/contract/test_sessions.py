"""What every `SessionStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_session, make_user

from core.clock import new_id
from core.errors import NotFound
from storage.base import Reset, Rotation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
GRACE_MS = 10_000


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


async def rotate(stores: Stores, old: str, new: str, now: datetime = NOW) -> Rotation:
    return await stores.sessions.rotate(hashed(old), hashed(new), now, now + timedelta(days=30), GRACE_MS)


async def test_a_rotated_session_has_the_new_token_and_a_later_end(stores: Stores) -> None:
    session = make_session(await stores.add_user(), "one", NOW)
    await stores.sessions.add(session)
    now = NOW + timedelta(hours=1)
    rotation = await rotate(stores, "one", "two", now)
    expected = replace(
        session, token_hash=hashed("two"), last_used_at=now, expires_at=now + timedelta(days=30)
    )
    assert rotation == Rotation("rotated", expected)
    assert await stores.sessions.of_user(session.user_id, now) == [expected]


async def test_tokens_can_be_rotated_again_and_again(stores: Stores) -> None:
    await stores.sessions.add(make_session(await stores.add_user(), "0", NOW))
    for number in range(5):
        assert (await rotate(stores, f"{number}", f"{number + 1}")).outcome == "rotated"


async def test_a_token_that_nobody_ever_had_is_unknown(stores: Stores) -> None:
    assert await rotate(stores, "none", "two") == Rotation("unknown")


async def test_a_token_replaced_within_the_grace_has_raced_and_nothing_changes(stores: Stores) -> None:
    session = make_session(await stores.add_user(), "one", NOW)
    await stores.sessions.add(session)
    await rotate(stores, "one", "two")
    soon = NOW + timedelta(milliseconds=GRACE_MS - 1)
    assert (await rotate(stores, "one", "three", soon)).outcome == "raced"
    assert (await rotate(stores, "three", "four", soon)).outcome == "unknown"
    assert (await rotate(stores, "two", "three", soon)).outcome == "rotated"


async def test_a_token_replaced_before_the_grace_ends_the_session(stores: Stores) -> None:
    session = make_session(await stores.add_user(), "one", NOW)
    await stores.sessions.add(session)
    await rotate(stores, "one", "two")
    late = NOW + timedelta(milliseconds=GRACE_MS)
    reused = await rotate(stores, "one", "three", late)
    assert reused.outcome == "reused"
    assert reused.session
    assert reused.session.session_id == session.session_id
    assert await stores.sessions.of_user(session.user_id, late) == []
    assert (await rotate(stores, "two", "three", late)).outcome == "unknown"


async def test_even_the_first_of_many_tokens_is_remembered(stores: Stores) -> None:
    await stores.sessions.add(make_session(await stores.add_user(), "0", NOW))
    for number in range(5):
        await rotate(stores, f"{number}", f"{number + 1}")
    assert (await rotate(stores, "0", "x", NOW + timedelta(hours=1))).outcome == "reused"


async def test_reuse_ends_only_the_session_of_the_token(stores: Stores) -> None:
    user_id = await stores.add_user()
    other = make_session(user_id, "other", NOW)
    await stores.sessions.add(make_session(user_id, "one", NOW))
    await stores.sessions.add(other)
    await rotate(stores, "one", "two")
    await rotate(stores, "one", "three", NOW + timedelta(hours=1))
    assert await stores.sessions.of_user(user_id, NOW) == [other]


async def test_an_expired_session_is_neither_rotated_nor_listed(stores: Stores) -> None:
    session = make_session(await stores.add_user(), "one", NOW)
    await stores.sessions.add(session)
    assert await stores.sessions.of_user(session.user_id, session.expires_at) == []
    assert (await rotate(stores, "one", "two", session.expires_at)).outcome == "unknown"


async def test_expired_sessions_are_gone_once_the_user_signs_in_again(stores: Stores) -> None:
    user_id = await stores.add_user()
    old = make_session(user_id, "old", NOW)
    await stores.sessions.add(old)
    await stores.sessions.add(make_session(user_id, "new", old.expires_at))
    assert not await stores.sessions.end(user_id, old.session_id)


async def test_of_twenty_rotations_of_one_token_exactly_one_succeeds(stores: Stores) -> None:
    await stores.sessions.add(make_session(await stores.add_user(), "one", NOW))
    outcomes = await asyncio.gather(*(rotate(stores, "one", f"two-{number}") for number in range(20)))
    assert sorted(rotation.outcome for rotation in outcomes) == ["raced"] * 19 + ["rotated"]
    winner = [rotation.outcome for rotation in outcomes].index("rotated")
    assert (await rotate(stores, f"two-{winner}", "three")).outcome == "rotated"


async def test_a_session_is_ended_by_its_user_once(stores: Stores) -> None:
    session = make_session(await stores.add_user(), "one", NOW)
    await stores.sessions.add(session)
    assert not await stores.sessions.end(await stores.add_user(), session.session_id)
    assert await stores.sessions.end(session.user_id, session.session_id)
    assert not await stores.sessions.end(session.user_id, session.session_id)
    assert (await rotate(stores, "one", "two")).outcome == "unknown"


async def test_all_sessions_of_a_user_are_ended_and_of_nobody_else(stores: Stores) -> None:
    ada, bob = await stores.add_user(), await stores.add_user()
    for token in ("one", "two", "three"):
        await stores.sessions.add(make_session(ada, token, NOW))
    kept = make_session(bob, "four", NOW)
    await stores.sessions.add(kept)
    assert len(await stores.sessions.end_all(ada)) == 3
    assert await stores.sessions.end_all(ada) == []
    assert await stores.sessions.of_user(ada, NOW) == []
    assert await stores.sessions.of_user(bob, NOW) == [kept]


async def test_all_sessions_but_one_are_ended(stores: Stores) -> None:
    user_id = await stores.add_user()
    sessions = [make_session(user_id, token, NOW) for token in ("one", "two", "three")]
    for session in sessions:
        await stores.sessions.add(session)
    ended = await stores.sessions.end_all(user_id, but=sessions[1].session_id)
    assert sorted(ended) == sorted([sessions[0].session_id, sessions[2].session_id])
    assert await stores.sessions.of_user(user_id, NOW) == [sessions[1]]
    assert await stores.sessions.end_all(user_id, but=new_id()) == [sessions[1].session_id]


async def test_of_many_who_end_all_sessions_each_session_is_told_to_one(stores: Stores) -> None:
    user_id = await stores.add_user()
    sessions = [make_session(user_id, f"{number}", NOW) for number in range(20)]
    for session in sessions:
        await stores.sessions.add(session)
    told = await asyncio.gather(*(stores.sessions.end_all(user_id) for _ in range(10)))
    assert sorted(session_id for part in told for session_id in part) == sorted(
        session.session_id for session in sessions
    )


async def test_ended_sessions_are_remembered_in_whatever_way_they_ended(stores: Stores) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    users = [await stores.add_user() for _ in range(5)]
    sessions = [make_session(user_id, f"{number}", NOW) for number, user_id in enumerate(users)]
    for session in sessions:
        await stores.sessions.add(session)
    kept = make_session(users[0], "kept", NOW)
    await stores.sessions.add(kept)
    assert await stores.sessions.ended_since(since) == []

    assert await stores.sessions.end(users[0], sessions[0].session_id)
    assert await stores.sessions.end_all(users[1]) == [sessions[1].session_id]
    await rotate(stores, "2", "2b")
    assert (await rotate(stores, "2", "2c", NOW + timedelta(hours=1))).outcome == "reused"
    assert await stores.users.erase(users[3], NOW)
    reset = Reset(token_hash=hashed("reset"), user_id=users[4], created_at=NOW, expires_at=LATER)
    await stores.confirmations.put_reset(reset, [])
    assert await stores.confirmations.reset(hashed("reset"), "newer", NOW) == [sessions[4].session_id]

    ended = await stores.sessions.ended_since(since)
    assert sorted(ended) == sorted(session.session_id for session in sessions)
    assert await stores.sessions.ended_since(datetime.now(UTC) + timedelta(minutes=1)) == []


async def test_sessions_that_merely_ran_out_are_not_among_the_ended(stores: Stores) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    user_id = await stores.add_user()
    old = make_session(user_id, "old", NOW)
    await stores.sessions.add(old)
    await stores.sessions.add(make_session(user_id, "new", old.expires_at))
    assert not await stores.sessions.end(user_id, old.session_id)
    assert await stores.sessions.prune(LATER + timedelta(days=30)) == 1
    assert await stores.sessions.ended_since(since) == []


async def test_pruning_takes_what_ran_out_and_leaves_the_living_and_the_just_ended(stores: Stores) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    user_id = await stores.add_user()
    ended = make_session(user_id, "ended", NOW)
    living = make_session(user_id, "living", NOW + timedelta(hours=1))
    for session in (ended, living, make_session(await stores.add_user(), "old", NOW)):
        await stores.sessions.add(session)
    await stores.sessions.end(user_id, ended.session_id)
    assert await stores.sessions.prune(LATER) == 1
    assert await stores.sessions.prune(LATER) == 0
    assert await stores.sessions.of_user(user_id, NOW) == [living]
    assert (await rotate(stores, "old", "x")).outcome == "unknown"
    assert await stores.sessions.ended_since(since) == [ended.session_id]


async def test_a_session_starts_only_with_the_password_that_holds(stores: Stores) -> None:
    user = make_user(password_hash="first")
    await stores.users.add(user)
    session = make_session(user.user_id, "one", NOW)
    assert not await stores.sessions.add(session, "other")
    assert await stores.sessions.of_user(user.user_id, NOW) == []
    assert await stores.sessions.add(session, "first")
    assert await stores.sessions.of_user(user.user_id, NOW) == [session]


async def test_no_sign_in_with_the_old_password_outlives_its_change(stores: Stores) -> None:
    for _ in range(10):
        user = make_user(password_hash="first")
        await stores.users.add(user)

        async def change(user_id: UUID = user.user_id) -> None:
            await stores.users.set_password_hash(user_id, "second")
            await stores.sessions.end_all(user_id)

        sessions = [make_session(user.user_id, f"{new_id()}", NOW) for _ in range(10)]
        adding = [stores.sessions.add(session, "first") for session in sessions]
        await asyncio.gather(*adding[:5], change(), *adding[5:])
        assert await stores.sessions.of_user(user.user_id, NOW) == []


async def test_no_sign_in_with_the_old_password_outlives_a_reset(stores: Stores) -> None:
    for _ in range(10):
        user = make_user(password_hash="first")
        await stores.users.add(user)
        token = hashed(f"{user.user_id}")
        reset = Reset(token_hash=token, user_id=user.user_id, created_at=NOW, expires_at=LATER)
        await stores.confirmations.put_reset(reset, [])
        sessions = [make_session(user.user_id, f"{new_id()}", NOW) for _ in range(10)]
        adding = [stores.sessions.add(session, "first") for session in sessions]
        await asyncio.gather(*adding[:5], stores.confirmations.reset(token, "second", NOW), *adding[5:])
        assert await stores.sessions.of_user(user.user_id, NOW) == []


async def test_sessions_are_listed_with_the_newest_first(stores: Stores) -> None:
    user_id = await stores.add_user()
    sessions = [make_session(user_id, f"{hour}", NOW + timedelta(hours=hour)) for hour in (2, 0, 1)]
    for session in sessions:
        await stores.sessions.add(session)
    listed = await stores.sessions.of_user(user_id, NOW)
    assert [session.created_at.hour for session in listed] == [14, 13, 12]


async def test_a_session_of_an_unknown_user_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.sessions.add(make_session(new_id(), "one", NOW))
    with pytest.raises(NotFound, match="user_unknown"):
        await stores.sessions.add(make_session(new_id(), "one", NOW), "hash")
