from datetime import timedelta

import pytest
from support.house import House
from support.stores import make_user

from core.clock import new_id
from core.errors import Conflict, InvalidInput, NotFound
from services.audit import CONTEXT, AuditContext, Kind
from services.tokens import Principal
from storage.base import AuditEvent, User


@pytest.fixture
async def operator(house: House) -> Principal:
    user = make_user(role="operator")
    await house.stores.users.add(user)
    return house.tokens.verify((await house.sessions.open(user, "", "")).access_token)


@pytest.fixture
async def ada(house: House) -> User:
    return await house.person()


async def events(house: House, kind: str | None = None) -> list[AuditEvent]:
    return await house.audit.read(user_id=None, kind=kind, before=None, limit=50)


async def test_people_are_found_page_by_page_or_by_address(
    house: House, operator: Principal, ada: User
) -> None:
    everybody = await house.staff.find(operator, "", None, 10)
    assert {user.user_id for user in everybody} == {operator.user_id, ada.user_id}
    assert await house.staff.find(operator, "ada@", None, 10) == [ada]
    assert await house.staff.find(operator, str(ada.user_id), None, 10) == [ada]
    assert len(await house.staff.find(operator, "", everybody[0].user_id, 10)) == 1


async def test_looking_at_an_account_is_written_down(house: House, operator: Principal, ada: User) -> None:
    await house.sessions.open(ada, "laptop", "192.0.2.1")
    user, sessions = await house.staff.view(operator, ada.user_id)
    assert (user, [each.device for each in sessions]) == (ada, ["laptop"])
    (noted,) = await events(house, "admin.viewed")
    assert (noted.user_id, noted.actor_id) == (ada.user_id, operator.user_id)


async def test_another_role_ends_the_sessions_that_tell_the_old_one(
    house: House, operator: Principal, ada: User
) -> None:
    former = house.tokens.verify((await house.sessions.open(ada, "", "")).access_token)
    changed = await house.staff.set_role(operator, ada.user_id, "support")
    assert changed.role == "support"
    assert house.revocations.revoked(former)
    (noted,) = await events(house, "role.changed")
    assert noted.facts == {"former": "user", "role": "support"}
    assert noted.actor_id == operator.user_id
    await house.staff.set_role(operator, ada.user_id, "support")
    assert len(await events(house, "role.changed")) == 1


async def test_nobody_changes_their_own_role(house: House, operator: Principal) -> None:
    with pytest.raises(Conflict, match="own_role"):
        await house.staff.set_role(operator, operator.user_id, "user")


async def test_there_are_three_roles(house: House, operator: Principal, ada: User) -> None:
    with pytest.raises(InvalidInput) as refused:
        await house.staff.set_role(operator, ada.user_id, "emperor")
    assert refused.value.extra == {"field": "role"}


async def test_somebodys_sessions_are_ended_with_those_of_their_nodes(
    house: House, operator: Principal, ada: User
) -> None:
    person = house.tokens.verify((await house.sessions.open(ada, "", "")).access_token)
    node = house.tokens.verify(house.tokens.for_node(new_id(), ada.user_id, b"k" * 32)[0])
    assert await house.staff.end_sessions(operator, ada.user_id) == 1
    assert house.revocations.revoked(person)
    assert house.revocations.revoked(node)
    house.clock.advance(timedelta(seconds=1))
    later = house.tokens.verify(house.tokens.for_node(new_id(), ada.user_id, b"k" * 32)[0])
    assert not house.revocations.revoked(later)


async def test_who_is_not_there_is_not_found(house: House, operator: Principal) -> None:
    nobody = new_id()
    for call in (
        house.staff.view(operator, nobody),
        house.staff.set_role(operator, nobody, "user"),
        house.staff.end_sessions(operator, nobody),
    ):
        with pytest.raises(NotFound, match="user_not_found"):
            await call


async def test_an_event_tells_who_whom_when_and_where_from(house: House, ada: User) -> None:
    token = CONTEXT.set(AuditContext("203.0.113.9", "request-1"))
    try:
        await house.audit.note(Kind.LOGIN_OK, user_id=ada.user_id, device="laptop")
    finally:
        CONTEXT.reset(token)
    (event,) = await events(house, "login.")
    assert (event.kind, event.user_id, event.actor_id) == ("login.ok", ada.user_id, ada.user_id)
    assert (event.address, event.request_id) == ("203.0.113.9", "request-1")
    assert (event.at, event.facts) == (house.clock.now(), {"device": "laptop"})


async def test_reading_the_log_is_in_the_log(house: House, operator: Principal) -> None:
    assert await house.staff.audit(operator, user_id=None, kind="role.", before=None, limit=5) == []
    (noted,) = await events(house, "admin.audit_read")
    assert noted.facts == {"user": None, "of_kind": "role."}


@pytest.mark.parametrize("kind", ["nonsense", "login", ".", "login.ok.", ""])
async def test_a_kind_that_there_is_not_is_refused(house: House, kind: str) -> None:
    with pytest.raises(InvalidInput):
        await house.audit.read(user_id=None, kind=kind, before=None, limit=5)


def test_every_kind_has_a_name_and_a_meaning() -> None:
    assert all(kind.meaning and kind.value == str(kind) for kind in Kind)
    assert len({kind.value for kind in Kind}) == len(Kind)
