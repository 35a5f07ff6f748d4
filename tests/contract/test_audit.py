"""What every `AuditLog` guarantees."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.stores import Stores

from core.clock import new_id
from core.errors import InvalidInput
from storage.base import AuditEvent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_event(kind: str = "login.ok", **changes: object) -> AuditEvent:
    return AuditEvent(**{"event_id": new_id(), "at": NOW, "kind": kind, **changes})


async def read(
    stores: Stores,
    user_id: UUID | None = None,
    kind: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[AuditEvent]:
    return await stores.audit.read(user_id=user_id, kind=kind, before=before, limit=limit)


async def test_an_event_is_read_as_it_was_written(stores: Stores) -> None:
    event = make_event(
        user_id=new_id(),
        actor_id=new_id(),
        address="2001:db8::1",
        request_id="req-1",
        facts={"device": "Firefox 🦊", "tries": 3, "deep": {"list": [1, None, True]}},
    )
    await stores.audit.append(event)
    assert await read(stores) == [event]


async def test_an_event_may_concern_nobody_known(stores: Stores) -> None:
    event = make_event("login.failed")
    await stores.audit.append(event)
    assert await read(stores, kind="login.failed") == [event]


async def test_events_are_read_page_by_page_with_the_newest_first(stores: Stores) -> None:
    events = [make_event(facts={"number": number}) for number in range(5)]
    # Processes write at the same time: an older id may come later.
    for index in (0, 2, 1, 4, 3):
        await stores.audit.append(events[index])
    pages, before = [], None
    while page := await read(stores, before=before, limit=2):
        pages.append([event.facts["number"] for event in page])
        before = page[-1].event_id
    assert pages == [[4, 3], [2, 1], [0]]


async def test_events_are_found_by_user_and_by_kind(stores: Stores) -> None:
    ada, bob = new_id(), new_id()
    kinds = ["login.ok", "login.failed", "login", "loginx", "email.changed", "login.failed"]
    users = [ada, ada, bob, ada, ada, bob]
    for kind, user_id in zip(kinds, users, strict=True):
        await stores.audit.append(make_event(kind, user_id=user_id, actor_id=bob))

    async def kinds_of(user_id: UUID | None, kind: str | None) -> list[str]:
        return [event.kind for event in await read(stores, user_id, kind)]

    assert await kinds_of(None, None) == kinds[::-1]
    assert await kinds_of(bob, None) == ["login.failed", "login"]
    assert await kinds_of(None, "login.failed") == ["login.failed", "login.failed"]
    assert await kinds_of(None, "login.") == ["login.failed", "login.failed", "login.ok"]
    assert await kinds_of(None, "login") == ["login"], "without its dot it is no prefix"
    assert await kinds_of(ada, "login.") == ["login.failed", "login.ok"]
    assert await kinds_of(ada, "email.changed") == ["email.changed"]
    assert await kinds_of(new_id(), None) == []


async def test_paging_holds_with_conditions_too(stores: Stores) -> None:
    user_id = new_id()
    wanted = [make_event("login.ok", user_id=user_id) for _ in range(3)]
    for event in wanted:
        await stores.audit.append(event)
        await stores.audit.append(make_event("login.ok"))
        await stores.audit.append(make_event("export", user_id=user_id))
    assert await read(stores, user_id, "login.", None, 2) == [wanted[2], wanted[1]]
    assert await read(stores, user_id, "login.", wanted[1].event_id, 2) == [wanted[0]]


async def test_only_what_is_older_than_the_retention_is_pruned(stores: Stores) -> None:
    events = [make_event(at=NOW + timedelta(days=day)) for day in range(4)]
    for event in events:
        await stores.audit.append(event)
    assert await stores.audit.prune(NOW + timedelta(days=2)) == 2
    assert await stores.audit.prune(NOW + timedelta(days=2)) == 0
    assert await read(stores) == [events[3], events[2]]


@pytest.mark.parametrize(
    "changes", [{"address": "\0"}, {"facts": {"device": "a\0b"}}, {"facts": {"deep": [{"a\0": 1}]}}]
)
async def test_a_text_that_cannot_be_stored_is_refused(stores: Stores, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.audit.append(make_event(**changes))
    assert await read(stores) == []
