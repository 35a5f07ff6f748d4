from datetime import timedelta
from timeit import repeat
from uuid import UUID

import msgspec
import pytest
from support.house import START
from support.stores import memory_stores

from core.clock import ManualClock, from_ms, new_id
from core.errors import StorageUnavailable, Unauthenticated
from services.revocations import OVERLAP, Revocations, Revoked, mark
from services.tokens import LEEWAY, Principal
from storage.base import LoginSession, SessionStore, User
from storage.memory import MemoryDatabase, MemoryNodes, MemorySessions

LIFETIME = 600
PERSON, STRANGER = new_id(), new_id()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def over(database: MemoryDatabase, clock: ManualClock, **settings: int) -> Revocations:
    return Revocations(MemorySessions(database), MemoryNodes(database), clock, LIFETIME, **settings)


@pytest.fixture
def revocations(clock: ManualClock) -> Revocations:
    return over(MemoryDatabase(), clock)


def ended(*sessions: UUID, user_id: UUID = PERSON, at_ms: int = 0, nodes: bool = False) -> Revoked:
    return Revoked(user_id=user_id, at_ms=at_ms, sessions=[mark(each) for each in sessions], nodes=nodes)


def token(session_id: UUID | None, kind: str = "user", issued_ms: int = 0) -> Principal:
    return Principal(kind, PERSON, None, session_id, "user", START, issued_ms=issued_ms)


def test_the_tokens_of_an_ended_session_are_refused_and_no_others(revocations: Revocations) -> None:
    here, there = new_id(), new_id()
    revocations.take(ended(here))
    with pytest.raises(Unauthenticated) as refused:
        revocations.check(token(here))
    assert refused.value.code == "token_revoked"
    assert revocations.revoked(token(here, "enrol"))
    revocations.check(token(there))
    revocations.check(token(None))


def test_ended_sessions_are_forgotten_when_their_last_token_has_run_out(
    revocations: Revocations, clock: ManualClock
) -> None:
    session = new_id()
    revocations.take(ended(session))
    clock.advance(timedelta(seconds=LIFETIME + LEEWAY) - timedelta(milliseconds=1))
    revocations.take(ended(new_id()))
    assert revocations.revoked(token(session))
    clock.advance(timedelta(milliseconds=1))
    revocations.take(ended(new_id()))
    assert not revocations.revoked(token(session))
    assert len(revocations) == 2


def test_a_nodes_tokens_from_before_the_cut_are_refused(revocations: Revocations) -> None:
    revocations.take(ended(at_ms=1000, nodes=True))
    assert revocations.revoked(token(None, "node", issued_ms=1000))
    assert not revocations.revoked(token(None, "node", issued_ms=1001))
    assert not revocations.revoked(token(None, "user", issued_ms=1000))


def test_a_cut_never_moves_back(revocations: Revocations) -> None:
    assert revocations.take(ended(at_ms=1000, nodes=True))
    assert revocations.take(ended(at_ms=999, nodes=True)) is None
    assert revocations.revoked(token(None, "node", issued_ms=1000))
    assert revocations.take(ended(at_ms=1001, nodes=True))


def node_token(node_id: UUID, issued_ms: int) -> Principal:
    return Principal("node", PERSON, node_id, None, "node", START, issued_ms=issued_ms)


def test_the_tokens_of_a_node_that_ended_are_refused_and_those_of_others_are_not(
    revocations: Revocations,
) -> None:
    attic, cellar = new_id(), new_id()
    revocations.take(Revoked(user_id=PERSON, at_ms=1000, node_ids=(attic,)))
    with pytest.raises(Unauthenticated) as refused:
        revocations.check(node_token(attic, issued_ms=1000))
    assert refused.value.code == "token_revoked"
    assert not revocations.revoked(node_token(attic, issued_ms=1001)), "one that it got since"
    assert not revocations.revoked(node_token(cellar, issued_ms=1000))
    assert not revocations.revoked(token(None, "user", issued_ms=1000))


def test_of_several_nodes_only_those_not_known_yet_are_news(revocations: Revocations) -> None:
    attic, cellar = new_id(), new_id()
    first = Revoked(user_id=PERSON, at_ms=1000, node_ids=(attic,))
    assert revocations.take(first) == first
    assert revocations.take(first) is None
    assert revocations.take(Revoked(user_id=PERSON, at_ms=1000, node_ids=(attic, cellar))) == Revoked(
        user_id=PERSON, at_ms=1000, node_ids=(cellar,)
    )
    assert revocations.take(Revoked(user_id=PERSON, at_ms=999, node_ids=(attic,))) is None


def test_a_node_that_ended_is_forgotten_when_its_last_token_has_run_out(
    revocations: Revocations, clock: ManualClock
) -> None:
    revocations.take(Revoked(user_id=PERSON, at_ms=clock.now_ms(), node_ids=(new_id(),)))
    clock.advance(timedelta(seconds=LIFETIME + LEEWAY))
    revocations.take(ended(new_id()))
    assert len(revocations) == 1


def test_what_former_releases_announced_can_be_read() -> None:
    told = {"user_id": str(PERSON), "at_ms": 5, "sessions": [7], "nodes": False}
    assert msgspec.convert(told, Revoked) == Revoked(user_id=PERSON, at_ms=5, sessions=[7])
    attic = new_id()
    again = msgspec.to_builtins(Revoked(user_id=PERSON, at_ms=5, node_ids=(attic,)))
    assert msgspec.convert(again, Revoked).node_ids == (attic,)


def test_what_is_told_twice_is_news_once(revocations: Revocations) -> None:
    first, second = new_id(), new_id()
    assert revocations.take(ended(first)) == ended(first)
    assert revocations.take(ended(first)) is None
    assert revocations.take(ended(first, second)) == ended(second)


def test_when_there_are_too_many_the_oldest_are_forgotten(clock: ManualClock) -> None:
    revocations = over(MemoryDatabase(), clock, capacity=3)
    sessions = [new_id() for _ in range(5)]
    for session in sessions:
        revocations.take(ended(session))
    assert [revocations.revoked(token(session)) for session in sessions] == [False, False, True, True, True]
    assert revocations.metrics() == {"revocations": 3, "revocations_forgotten_early_total": 2}
    revocations.take(ended(at_ms=5, nodes=True))
    assert len(revocations) == 3


class _Silent(MemorySessions):
    """A store that does not answer."""

    async def ended_since(self, at: object) -> list[UUID]:
        raise StorageUnavailable("away")


async def test_what_ended_before_we_began_is_read_up(clock: ManualClock) -> None:
    database = MemoryDatabase()
    store: SessionStore = MemorySessions(database)
    user = User(user_id=PERSON, email="", display_name="", password_hash="", created_at=START)
    database.users[PERSON] = user
    sessions = [new_id(), new_id()]
    for number, session_id in enumerate(sessions):
        await store.add(
            LoginSession(
                user_id=PERSON,
                session_id=session_id,
                token_hash=bytes([number]) * 32,
                device="",
                address="",
                created_at=START,
                last_used_at=START,
                expires_at=START + timedelta(days=1),
            )
        )
    await store.end(PERSON, sessions[0])
    revocations = over(database, clock)
    assert await revocations.read_up() == [
        Revoked(user_id=None, at_ms=clock.now_ms(), sessions=[mark(sessions[0])])
    ]
    assert revocations.revoked(token(sessions[0]))
    assert await revocations.read_up() == []
    await store.end(PERSON, sessions[1])
    (news,) = await revocations.read_up()
    assert news.sessions == [mark(sessions[1])]


async def test_nodes_that_ended_before_we_began_are_read_up(clock: ManualClock) -> None:
    stores = memory_stores(database := MemoryDatabase())
    owner = await stores.add_user()
    attic, cellar = [await stores.add_node(owner) for _ in range(2)]
    await stores.nodes.end_tokens([attic], START)
    revocations = over(database, clock)
    assert await revocations.read_up() == [Revoked(user_id=owner, at_ms=clock.now_ms(), node_ids=(attic,))]
    assert revocations.revoked(node_token(attic, issued_ms=clock.now_ms()))
    assert not revocations.revoked(node_token(cellar, issued_ms=clock.now_ms()))
    assert await revocations.read_up() == []


async def test_after_a_failure_nothing_is_left_out(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def ended_since(at: object) -> list[UUID]:
        asked.append(at)
        return []

    store = MemorySessions(MemoryDatabase())
    revocations = Revocations(store, MemoryNodes(MemoryDatabase()), clock, LIFETIME)
    monkeypatch.setattr(store, "ended_since", _Silent(MemoryDatabase()).ended_since)
    with pytest.raises(StorageUnavailable):
        await revocations.read_up()
    monkeypatch.setattr(store, "ended_since", ended_since)
    await revocations.read_up()
    clock.advance(timedelta(hours=1))
    await revocations.read_up()
    assert asked == [START - timedelta(seconds=LIFETIME + LEEWAY), START - timedelta(seconds=OVERLAP)]


def test_sessions_are_told_apart_by_the_random_half_of_their_id() -> None:
    session = UUID("01890000-0000-7000-8123-456789abcdef")
    assert mark(session) == 0x8123456789ABCDEF


def test_asking_costs_next_to_nothing(revocations: Revocations, clock: ManualClock) -> None:
    revocations.take(ended(*(new_id() for _ in range(10_000))))
    principal = Principal("user", PERSON, None, new_id(), "user", from_ms(0))
    seconds = min(repeat(lambda: revocations.check(principal), number=1000, repeat=20)) / 1000
    assert seconds < 5e-6
