import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.house import ACCESS_TTL, REFRESH_TTL, House
from support.stores import make_user

from core.clock import new_id
from core.errors import Conflict, InvalidInput, NotFound, Refusal, StorageUnavailable, Unauthenticated
from services.audit import Kind
from services.revocations import Revoked, mark
from services.sessions import REFRESH_GRACE_MS, SignIn
from storage.base import AuditEvent, User
from storage.memory import MemoryAuditLog

GRACE = timedelta(milliseconds=REFRESH_GRACE_MS)


@pytest.fixture
async def ada(house: House) -> User:
    return await person(house)


async def person(house: House) -> User:
    user = make_user()
    assert await house.user_store.add(user)
    return user


async def sign_in(house: House, user: User, device: str = "a browser") -> SignIn:
    return await house.sessions.open(user, device, "192.0.2.1")


def session_of(house: House, signed_in: SignIn) -> UUID:
    session_id = house.tokens.verify(signed_in.access_token).session_id
    assert session_id is not None
    return session_id


async def code_of(call: Coroutine[Any, Any, Any], kind: type[Refusal]) -> str:
    with pytest.raises(kind) as refused:
        await call
    return refused.value.code


async def events(house: House, kind: Kind) -> list[AuditEvent]:
    log = MemoryAuditLog(house.database)
    return await log.read(user_id=None, kind=kind, before=None, limit=100)


def refused_everywhere(house: House, signed_in: SignIn) -> bool:
    return house.revocations.revoked(house.tokens.verify(signed_in.access_token))


async def test_an_open_session_says_who_and_for_how_long(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    principal = house.tokens.verify(opened.access_token, "user")
    assert (principal.user_id, principal.role) == (ada.user_id, ada.role)
    assert opened.expires_at == house.clock.now() + timedelta(seconds=ACCESS_TTL)
    assert opened.refresh_expires_at == house.clock.now() + timedelta(seconds=REFRESH_TTL)


async def test_a_sign_in_that_began_before_the_password_changed_opens_nothing(
    house: House, ada: User
) -> None:
    await house.user_store.set_password_hash(ada.user_id, "another hash")
    assert await code_of(sign_in(house, ada), Unauthenticated) == "invalid_credentials"
    assert house.database.sessions == {}


async def test_nobody_signs_in_to_an_account_that_is_gone(house: House, ada: User) -> None:
    await house.user_store.erase(ada.user_id, house.clock.now())
    assert await code_of(sign_in(house, ada), Unauthenticated) == "invalid_credentials"


async def test_a_refresh_token_is_replaced_and_prolongs_the_session(house: House, ada: User) -> None:
    first = await sign_in(house, ada)
    house.clock.advance(timedelta(seconds=REFRESH_TTL - 1))
    second = await house.sessions.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.refresh_expires_at == house.clock.now() + timedelta(seconds=REFRESH_TTL)
    house.clock.advance(timedelta(seconds=ACCESS_TTL))
    third = await house.sessions.refresh(second.refresh_token)
    sessions = await house.sessions.list_sessions(ada.user_id, None, 10)
    assert [each.session_id for each in sessions[0]] == [session_of(house, third)]


async def test_an_unused_session_ends(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    house.clock.advance(timedelta(seconds=REFRESH_TTL))
    assert await code_of(house.sessions.refresh(opened.refresh_token), Unauthenticated) == "refresh_invalid"


async def test_a_new_role_reaches_the_next_access_token(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    await house.user_store.set_role(ada.user_id, "operator")
    renewed = await house.sessions.refresh(opened.refresh_token)
    assert house.tokens.verify(renewed.access_token).role == "operator"


async def test_a_token_that_comes_back_later_ends_the_session_everywhere(house: House, ada: User) -> None:
    first, other = await sign_in(house, ada), await sign_in(house, ada)
    second = await house.sessions.refresh(first.refresh_token)
    house.clock.advance(GRACE)
    assert await code_of(house.sessions.refresh(first.refresh_token), Unauthenticated) == "refresh_reused"
    assert await code_of(house.sessions.refresh(second.refresh_token), Unauthenticated) == "refresh_invalid"
    session_id = session_of(house, first)
    assert [(each.user_id, each.sessions) for each in house.ended] == [(ada.user_id, [mark(session_id)])]
    assert refused_everywhere(house, second)
    assert not refused_everywhere(house, other)
    (event,) = await events(house, Kind.SESSION_REUSED)
    assert (event.user_id, event.facts) == (ada.user_id, {"session": str(session_id)})


async def test_a_chain_of_tokens_is_followed_back_to_its_first(house: House, ada: User) -> None:
    first = newest = await sign_in(house, ada)
    for _ in range(5):
        house.clock.advance(GRACE)
        newest = await house.sessions.refresh(newest.refresh_token)
    house.clock.advance(GRACE)
    assert await code_of(house.sessions.refresh(first.refresh_token), Unauthenticated) == "refresh_reused"
    assert await code_of(house.sessions.refresh(newest.refresh_token), Unauthenticated) == "refresh_invalid"


async def test_two_tabs_that_refresh_at_once_both_stay_signed_in(house: House, ada: User) -> None:
    first = await sign_in(house, ada)
    second = await house.sessions.refresh(first.refresh_token)
    house.clock.advance(GRACE - timedelta(milliseconds=1))
    assert await code_of(house.sessions.refresh(first.refresh_token), Conflict) == "refresh_raced"
    await house.sessions.refresh(second.refresh_token)
    assert house.ended == []


async def test_of_many_that_refresh_with_one_token_one_is_served(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    answers = await asyncio.gather(
        *(house.sessions.refresh(opened.refresh_token) for _ in range(20)), return_exceptions=True
    )
    served = [answer for answer in answers if isinstance(answer, SignIn)]
    assert len(served) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"refresh_raced"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
async def test_whatever_order_tokens_come_in_at_most_one_serves_at_a_time(rng: Random) -> None:
    house = House()
    opened = await sign_in(house, await person(house))
    known, newest, ended = [opened.refresh_token], opened.refresh_token, False
    for _ in range(20):
        house.clock.advance(timedelta(seconds=rng.choice([0, 1, 20])))
        token = rng.choice(known)
        (answer,) = await asyncio.gather(house.sessions.refresh(token), return_exceptions=True)
        if isinstance(answer, SignIn):
            assert not ended
            assert token == newest
            newest = answer.refresh_token
            known.append(newest)
        elif isinstance(answer, Unauthenticated):
            assert ended or (answer.code == "refresh_reused" and token != newest)
            ended = True
        else:
            assert isinstance(answer, Conflict)
            assert token != newest
    assert bool(house.ended) == ended
    house.close()


@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 10_000])
async def test_what_is_no_refresh_token_is_refused(house: House, token: str) -> None:
    assert await code_of(house.sessions.refresh(token), Unauthenticated) == "refresh_invalid"


async def test_signing_out_ends_this_session_only(house: House, ada: User) -> None:
    here, there = await sign_in(house, ada), await sign_in(house, ada)
    principal = house.tokens.verify(here.access_token)
    await house.sessions.logout(principal)
    await house.sessions.logout(principal)
    assert await code_of(house.sessions.refresh(here.refresh_token), Unauthenticated) == "refresh_invalid"
    assert refused_everywhere(house, here)
    await house.sessions.refresh(there.refresh_token)
    assert not refused_everywhere(house, there)
    assert len(await events(house, Kind.SESSION_ENDED)) == 1


@pytest.mark.parametrize("replaced", [False, True], ids=["current", "just replaced"])
async def test_a_session_can_be_ended_by_its_refresh_token(house: House, ada: User, replaced: bool) -> None:
    opened = await sign_in(house, ada)
    if replaced:
        await house.sessions.refresh(opened.refresh_token)
    await house.sessions.forget("unknown")
    assert house.ended == []
    await house.sessions.forget(opened.refresh_token)
    assert house.database.sessions == {}
    assert refused_everywhere(house, opened)


async def test_a_spent_token_that_signs_out_later_counts_as_reused(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    await house.sessions.refresh(opened.refresh_token)
    house.clock.advance(GRACE)
    await house.sessions.forget(opened.refresh_token)
    assert refused_everywhere(house, opened)
    assert len(await events(house, Kind.SESSION_REUSED)) == 1


async def test_ones_own_session_can_be_ended_by_its_id_anothers_not(house: House, ada: User) -> None:
    bob = await person(house)
    hers, his = await sign_in(house, ada), await sign_in(house, bob)
    assert await code_of(house.sessions.end(ada.user_id, session_of(house, his)), NotFound) == (
        "session_not_found"
    )
    assert house.ended == []
    await house.sessions.end(ada.user_id, session_of(house, hers))
    assert refused_everywhere(house, hers)
    assert await code_of(house.sessions.end(ada.user_id, session_of(house, hers)), NotFound) == (
        "session_not_found"
    )


async def test_all_sessions_but_one_can_be_ended(house: House, ada: User) -> None:
    kept, *others = [await sign_in(house, ada) for _ in range(3)]
    bobs = await sign_in(house, await person(house))
    assert await house.sessions.end_all(ada.user_id, but=session_of(house, kept)) == 2
    assert [refused_everywhere(house, each) for each in (kept, *others, bobs)] == [False, True, True, False]
    (event,) = await events(house, Kind.SESSION_ENDED)
    assert event.facts == {"sessions": 2, "all": False}
    assert await house.sessions.end_all(ada.user_id) == 1
    assert await house.sessions.end_all(ada.user_id) == 0
    assert len(house.ended) == 2


async def test_an_operator_ends_the_tokens_of_a_persons_nodes_too(house: House, ada: User) -> None:
    operator = new_id()
    token, _ = house.tokens.for_node(new_id(), ada.user_id, bytes(32))
    assert await house.sessions.end_all(ada.user_id, nodes=True, actor_id=operator) == 0
    assert house.ended == [Revoked(user_id=ada.user_id, at_ms=house.clock.now_ms(), nodes=True)]
    assert house.revocations.revoked(house.tokens.verify(token))
    house.clock.advance(timedelta(milliseconds=1))
    token, _ = house.tokens.for_node(new_id(), ada.user_id, bytes(32))
    assert not house.revocations.revoked(house.tokens.verify(token))


async def test_what_another_change_ended_is_told_too(house: House, ada: User) -> None:
    session = new_id()
    house.sessions.were_ended(ada.user_id, [])
    assert house.ended == []
    house.sessions.were_ended(ada.user_id, [session])
    assert house.ended[0].sessions == [mark(session)]


async def test_an_enrolment_token_ends_with_the_session_it_was_made_in(house: House, ada: User) -> None:
    opened = await sign_in(house, ada)
    token, _ = house.tokens.for_enrolment(ada.user_id, session_of(house, opened))
    await house.sessions.logout(house.tokens.verify(opened.access_token))
    assert house.revocations.revoked(house.tokens.verify(token))


async def test_a_session_that_could_not_be_noted_has_ended_all_the_same(
    house: House, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("away")

    opened = await sign_in(house, ada)
    monkeypatch.setattr(house.audit, "note", away)
    with pytest.raises(StorageUnavailable):
        await house.sessions.end(ada.user_id, session_of(house, opened))
    assert refused_everywhere(house, opened)


async def test_sessions_are_listed_page_by_page_the_newest_first(house: House, ada: User) -> None:
    opened = [await sign_in(house, ada, f"device {number}") for number in range(5)]
    await sign_in(house, await person(house))
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = await house.sessions.list_sessions(ada.user_id, cursor, 2)
        seen += [each.device for each in page]
        if cursor is None:
            break
    assert seen == [f"device {number}" for number in reversed(range(5))]
    page, _ = await house.sessions.list_sessions(ada.user_id, None, 1)
    assert page[0].session_id == session_of(house, opened[-1])
    house.clock.advance(timedelta(seconds=REFRESH_TTL))
    assert await house.sessions.list_sessions(ada.user_id, None, 200) == ([], None)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_has_a_size(house: House, ada: User, limit: int) -> None:
    assert await code_of(house.sessions.list_sessions(ada.user_id, None, limit), InvalidInput) == (
        "invalid_input"
    )


async def test_what_a_device_says_of_itself_is_kept_short_and_printable(house: House, ada: User) -> None:
    await house.sessions.open(replace(ada, role="user"), "Fire\x00fox\n" + "x" * 1000, "192.0.2.1")
    ((kept,), _) = await house.sessions.list_sessions(ada.user_id, None, 1)
    assert kept.device.startswith("Firefox")
    assert len(kept.device) <= 200
