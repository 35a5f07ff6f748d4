"""What every `LedgerStore` guarantees."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.servers import Databases
from support.stores import Stores, memory_stores, postgres_stores

from core.clock import new_id
from core.errors import Conflict, InvalidInput
from storage.base import HOUSE, Account, Balances, Category, Earned, Entry, LedgerStore, Posting
from storage.ledger import MOST
from storage.postgres import connect

AT = datetime(2026, 3, 31, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = AT + timedelta(days=7)
ADA, GRACE = UUID(int=0xADA), UUID(int=0x6ACE)


def to(
    user_id: UUID,
    account: Account,
    amount: int,
    category: Category = "availability",
    matures_at: datetime | None = None,
) -> Posting:
    return Posting(user_id=user_id, account=account, category=category, amount=amount, matures_at=matures_at)


def reward(key: str, shares: dict[UUID, int], *, hours: int = 0, rest: int = 0) -> Entry:
    """An entry of the epoch `hours` after the first."""
    postings = [to(user_id, "pending", amount, matures_at=LATER) for user_id, amount in shares.items()]
    source = to(HOUSE, "issued", -sum(shares.values()) - rest)
    return Entry(
        key=key,
        kind="reward",
        epoch=1 + hours,
        at=AT + hours * HOUR,
        postings=[source, *postings, to(HOUSE, "unallocated", rest)],
    )


def claim(key: str, user_id: UUID, amount: int) -> Entry:
    postings = [to(user_id, "claimable", -amount), to(user_id, "claimed", amount)]
    return Entry(key=key, kind="claim", epoch=1, at=AT, postings=postings)


def payable(key: str, user_id: UUID, amount: int) -> Entry:
    postings = [to(HOUSE, "issued", -amount), to(user_id, "claimable", amount)]
    return Entry(key=key, kind="payable", epoch=1, at=AT, postings=postings)


async def balances(ledger: LedgerStore, user_id: UUID) -> Balances:
    return (await ledger.balances([user_id]))[user_id]


async def test_a_person_without_postings_has_nothing(stores: Stores) -> None:
    assert await stores.ledger.balances([ADA, GRACE]) == {ADA: Balances(), GRACE: Balances()}
    assert await stores.ledger.house() == {"issued": 0, "unallocated": 0, "corrections": 0}
    assert await stores.ledger.history(ADA, None, 10) == []
    assert await stores.ledger.check() == []


async def test_balances_are_what_the_postings_come_to(stores: Stores) -> None:
    assert await stores.ledger.book([reward("one", {ADA: 30, GRACE: 12}, rest=8)]) == 1
    assert await stores.ledger.book([reward("two", {ADA: 5}, hours=1)]) == 1

    assert await stores.ledger.balances([ADA, GRACE]) == {
        ADA: Balances(pending=35),
        GRACE: Balances(pending=12),
    }
    assert await stores.ledger.house() == {"issued": -55, "unallocated": 8, "corrections": 0}
    assert await stores.ledger.check() == []


async def test_booking_the_same_key_again_changes_nothing(stores: Stores) -> None:
    first = reward("one", {ADA: 30})

    assert await stores.ledger.book([first, reward("one", {ADA: 99}), reward("two", {ADA: 1})]) == 2
    assert await stores.ledger.book([reward("one", {GRACE: 7}), first]) == 0

    assert await stores.ledger.balances([ADA, GRACE]) == {ADA: Balances(pending=31), GRACE: Balances()}


async def test_of_fifty_who_book_the_same_key_at_once_one_does(stores: Stores) -> None:
    await stores.ledger.book([payable("payable", ADA, 100)])

    booked = await asyncio.gather(*(stores.ledger.book([claim("claim", ADA, 100)]) for _ in range(50)))

    assert sorted(booked) == [0] * 49 + [1]
    assert await balances(stores.ledger, ADA) == Balances(claimed=100)


async def test_of_fifty_who_claim_the_same_amount_at_once_one_gets_it(stores: Stores) -> None:
    await stores.ledger.book([payable("payable", ADA, 199)])

    outcomes = await asyncio.gather(
        *(stores.ledger.book([claim(f"claim {number}", ADA, 100)]) for number in range(50)),
        return_exceptions=True,
    )

    assert outcomes.count(1) == 1
    refused = [outcome for outcome in outcomes if outcome != 1]
    assert {type(error) for error in refused} == {Conflict}
    assert {error.code for error in refused if isinstance(error, Conflict)} == {"overdrawn"}
    assert await balances(stores.ledger, ADA) == Balances(claimable=99, claimed=100)
    assert await stores.ledger.check() == []


async def test_claims_replayed_in_any_order_count_once(stores: Stores) -> None:
    people = [new_id() for _ in range(10)]
    await stores.ledger.book([payable(f"payable {user_id}", user_id, 60) for user_id in people])
    claims = [[claim(f"{user_id} {share}", user_id, 20) for user_id in people] for share in range(3)] * 3
    dice = Random(7)
    for batch in claims:
        dice.shuffle(batch)
    dice.shuffle(claims)

    assert sum(await asyncio.gather(*(stores.ledger.book(batch) for batch in claims))) == 30

    found = await stores.ledger.balances(people)
    assert set(found.values()) == {Balances(claimed=60)}
    assert await stores.ledger.check() == []


async def test_entries_are_booked_all_or_none(stores: Stores) -> None:
    await stores.ledger.book([payable("payable", ADA, 5)])

    with pytest.raises(Conflict, match="overdrawn"):
        await stores.ledger.book([reward("one", {ADA: 30}), claim("too much", ADA, 6)])

    assert await balances(stores.ledger, ADA) == Balances(claimable=5)
    assert await stores.ledger.book([reward("one", {ADA: 30})]) == 1


async def test_what_was_claimed_by_another_category_is_no_help(stores: Stores) -> None:
    await stores.ledger.book([payable("payable", ADA, 5)])
    other = [to(ADA, "claimable", -5, "usage"), to(ADA, "claimed", 5, "usage")]

    with pytest.raises(Conflict, match="overdrawn"):
        await stores.ledger.book([Entry(key="claim", kind="claim", epoch=1, at=AT, postings=other)])


async def test_the_house_never_owes_what_it_issued(stores: Stores) -> None:
    back = [to(HOUSE, "issued", 5), to(ADA, "pending", -5)]

    with pytest.raises(Conflict, match="overdrawn"):
        await stores.ledger.book([Entry(key="back", kind="clawback", epoch=1, at=AT, postings=back)])


@pytest.mark.parametrize(
    ("postings", "code"),
    [
        ([to(ADA, "pending", 5)], "entry_unbalanced"),
        ([to(HOUSE, "issued", -5), to(ADA, "pending", 4)], "entry_unbalanced"),
        ([to(HOUSE, "issued", -5), to(ADA, "pending", 5, "usage")], "entry_unbalanced"),
        ([to(HOUSE, "pending", 5), to(ADA, "pending", -5)], "posting_invalid"),
        ([to(ADA, "issued", -5), to(ADA, "pending", 5)], "posting_invalid"),
        ([to(HOUSE, "issued", -5), to(ADA, "final", 5, matures_at=LATER)], "posting_invalid"),
        ([to(HOUSE, "issued", -MOST - 1), to(ADA, "pending", MOST + 1)], "posting_invalid"),
    ],
)
async def test_an_unsound_entry_is_refused(stores: Stores, postings: list[Posting], code: str) -> None:
    entry = Entry(key="unsound", kind="adjustment", epoch=1, at=AT, postings=postings)

    with pytest.raises(InvalidInput, match=code):
        await stores.ledger.book([reward("one", {ADA: 30}), entry])

    assert await balances(stores.ledger, ADA) == Balances()
    assert await stores.ledger.house() == {"issued": 0, "unallocated": 0, "corrections": 0}


async def test_a_key_with_a_nul_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.ledger.book([reward("one\0", {ADA: 30})])


async def test_amounts_are_exact_up_to_the_greatest(stores: Stores) -> None:
    await stores.ledger.book([reward(f"part {number}", {ADA: MOST - number}) for number in range(9)])

    assert (await balances(stores.ledger, ADA)).earned == 9 * MOST - 36
    with pytest.raises(InvalidInput, match="posting_invalid"):
        await stores.ledger.book([reward("too much", {ADA: MOST}), reward("still more", {ADA: MOST})])
    assert await stores.ledger.check() == []


async def test_postings_to_the_same_account_are_one(stores: Stores) -> None:
    twice = [to(HOUSE, "issued", -5), to(ADA, "final", 9), to(ADA, "final", -4), to(ADA, "claimable", 0)]

    await stores.ledger.book([Entry(key="twice", kind="bonus", epoch=1, at=AT, postings=twice)])

    assert [booked.postings for booked in await stores.ledger.history(ADA, None, 10)] == [
        [to(ADA, "final", 5)]
    ]


async def test_an_entry_takes_back_one_that_is_there(stores: Stores) -> None:
    postings = [to(HOUSE, "corrections", 30), to(ADA, "pending", -30, matures_at=LATER)]
    back = Entry(key="back", kind="clawback", epoch=2, at=AT, postings=postings, reverses="one")
    again = Entry(key="again", kind="adjustment", epoch=2, at=AT, postings=[], reverses="back")

    with pytest.raises(InvalidInput, match="entry_unknown"):
        await stores.ledger.book([back, reward("one", {ADA: 30})])
    assert await stores.ledger.book([reward("one", {ADA: 30}), back, again]) == 3

    assert await balances(stores.ledger, ADA) == Balances()
    assert await stores.ledger.check() == []


async def test_an_account_is_told_by_category(stores: Stores) -> None:
    usage = [to(HOUSE, "issued", -9, "usage"), to(ADA, "claimable", 7, "usage"), to(ADA, "final", 2, "usage")]
    await stores.ledger.book(
        [
            payable("payable", ADA, 5),
            payable("spent", GRACE, 5),
            claim("claim", GRACE, 5),
            Entry(key="usage", kind="payable", epoch=1, at=AT, postings=usage),
        ]
    )

    assert await stores.ledger.amounts(ADA, "claimable") == {"availability": 5, "usage": 7}
    assert await stores.ledger.amounts(ADA, "claimed") == {}
    assert await stores.ledger.amounts(GRACE, "claimable") == {}
    assert await stores.ledger.amounts(GRACE, "claimed") == {"availability": 5}


async def test_history_tells_the_newest_first_page_by_page(stores: Stores) -> None:
    await stores.ledger.book([reward("late", {ADA: 4, GRACE: 1}, hours=3)])
    await stores.ledger.book([reward("early", {ADA: 3}), reward("april", {ADA: 2}, hours=2)])
    await stores.ledger.book([reward("others", {GRACE: 2}, hours=5)])
    postings = [to(HOUSE, "issued", -7, "usage"), to(ADA, "held", 7, "usage", LATER)]
    usage = Entry(key="usage", kind="reward", epoch=3, at=AT + 2 * HOUR, postings=postings)
    await stores.ledger.book([usage])

    found = await stores.ledger.history(ADA, None, 10)

    assert [booked.key for booked in found] == ["late", "usage", "april", "early"]
    assert (found[1].kind, found[1].epoch, found[1].at) == ("reward", 3, usage.at)
    assert found[1].postings == [to(ADA, "held", 7, "usage", LATER)]
    pages, before = [], None
    while page := await stores.ledger.history(ADA, before, 3):
        pages.append(page)
        before = page[-1].entry_id
    assert pages == [found[:3], found[3:]]


async def test_postings_of_an_entry_are_told_in_order(stores: Stores) -> None:
    mine = [
        to(ADA, "final", 2, "usage"),
        to(ADA, "held", 3, matures_at=LATER),
        to(ADA, "held", 4, matures_at=LATER + HOUR),
        to(ADA, "held", 5),
        to(ADA, "pending", 6, matures_at=LATER),
    ]
    source = [to(HOUSE, "issued", -18), to(HOUSE, "issued", -2, "usage")]

    await stores.ledger.book(
        [Entry(key="many", kind="reward", epoch=1, at=AT, postings=[*mine[::-1], *source])]
    )

    assert (await stores.ledger.history(ADA, None, 1))[0].postings == mine


async def test_what_was_earned_is_told_by_span_and_category(stores: Stores) -> None:
    usage = [to(HOUSE, "issued", -9, "usage"), to(ADA, "pending", 9, "usage", LATER)]
    move = [to(ADA, "pending", -5, matures_at=LATER), to(ADA, "final", 5)]
    await stores.ledger.book(
        [
            reward("before", {ADA: 100}, hours=-1),
            reward("first", {ADA: 5, GRACE: 1}),
            reward("second", {ADA: 6}, hours=1),
            Entry(key="usage", kind="reward", epoch=2, at=AT + HOUR, postings=usage),
            Entry(key="move", kind="release", epoch=5, at=AT + 4 * HOUR, postings=move),
            reward("last", {ADA: 7}, hours=5),
            reward("after", {ADA: 100}, hours=6),
        ]
    )

    edges = [AT, AT + 2 * HOUR, AT + 3 * HOUR, AT + 5 * HOUR, AT + 6 * HOUR]

    assert await stores.ledger.earned(ADA, edges) == [
        Earned(start=AT, category="availability", amount=11),
        Earned(start=AT, category="usage", amount=9),
        Earned(start=AT + 3 * HOUR, category="availability", amount=0),
        Earned(start=AT + 5 * HOUR, category="availability", amount=7),
    ]
    assert await stores.ledger.earned(ADA, edges[:1]) == []
    assert await stores.ledger.earned(ADA, []) == []


# --- against a twin -------------------------------------------------------------------------------

OWN: list[Account] = ["pending", "held", "final", "claimable", "claimed"]
# A move: from one's account (None: issued by the house) to another's (None: unallocated), and how much.
Place = tuple[int, Account] | None
Move = tuple[Place, Place, Category, int]
Plan = list[list[tuple[int, int, list[Move]]]]

places = st.none() | st.tuples(st.integers(0, 2), st.sampled_from(OWN))
moves = st.tuples(
    places,
    places,
    st.sampled_from(["availability", "usage", "streak"]),
    st.integers(1, 50) | st.integers(1, 10**30),
)
# Calls of `book`, each with entries: the number in the key, the epoch, and the moves.
plans: st.SearchStrategy[Plan] = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.lists(moves, max_size=4)), max_size=4),
    max_size=6,
)


class Twin:
    """The ledger in a few lines: a dictionary of accounts, and all postings by entry."""

    def __init__(self) -> None:
        self.accounts: Counter[tuple[UUID, Account, Category]] = Counter()
        self.entries: dict[str, Entry] = {}

    def book(self, entries: list[Entry]) -> int | None:
        """How many are new; None when it is to be refused."""
        accounts = self.accounts.copy()
        fresh: dict[str, Entry] = {}
        for entry in entries:
            if entry.key not in self.entries:
                fresh.setdefault(entry.key, entry)
        for entry in fresh.values():
            for posting in entry.postings:
                accounts[posting.user_id, posting.account, posting.category] += posting.amount
        bounded = ("final", "claimable", "claimed")
        if any(amount < 0 for (_, account, _), amount in accounts.items() if account in bounded):
            return None
        self.accounts, self.entries = accounts, self.entries | fresh
        return len(fresh)

    def of(self, user_id: UUID) -> Balances:
        sums: Counter[str] = Counter()
        for (owner, account, _), amount in self.accounts.items():
            if owner == user_id:
                sums[account] += amount
        return Balances(**sums)

    def house(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for (owner, account, _), amount in self.accounts.items():
            if owner == HOUSE:
                sums[account] += amount
        return sums

    def earned(self, user_id: UUID, start: datetime, end: datetime) -> int:
        return sum(
            posting.amount
            for entry in self.entries.values()
            if start <= entry.at < end
            for posting in entry.postings
            if posting.user_id == user_id
        )


def entry_of(name: str, people: list[UUID], number: int, hours: int, planned: list[Move]) -> Entry:
    postings = []
    for source, target, category, amount in planned:
        postings.append(_posting(people, source, "issued", category, -amount))
        postings.append(_posting(people, target, "unallocated", category, amount))
    key = f"{name} {number}"
    return Entry(key=key, kind="adjustment", epoch=hours, at=AT + hours * HOUR, postings=postings)


def _posting(people: list[UUID], place: Place, house: Account, category: Category, amount: int) -> Posting:
    if place is None:
        return to(HOUSE, house, amount, category)
    return to(people[place[0]], place[1], amount, category)


async def check_against_twin(ledger: LedgerStore, plan: Plan) -> None:
    name, people, twin = str(new_id()), [new_id() for _ in range(3)], Twin()
    before = Counter(await ledger.house())
    for planned in plan:
        entries = [entry_of(name, people, *each) for each in planned]
        expected = twin.book(entries)
        if expected is None:
            with pytest.raises(Conflict, match="overdrawn"):
                await ledger.book(entries)
        else:
            assert await ledger.book(entries) == expected

    assert await ledger.balances(people) == {user_id: twin.of(user_id) for user_id in people}
    after = Counter(await ledger.house())
    for account in after:
        assert after[account] - before[account] == twin.house()[account]
    edges = [AT + hours * HOUR for hours in range(0, 42, 7)]
    for user_id in people:
        found: Counter[datetime] = Counter()
        for earned in await ledger.earned(user_id, edges):
            found[earned.start] += earned.amount
        for start, end in pairwise(edges):
            assert found[start] == twin.earned(user_id, start, end)
        history = await ledger.history(user_id, None, 100)
        assert (
            sum(posting.amount for booked in history for posting in booked.postings)
            == twin.of(user_id).earned
        )
    assert await ledger.check() == []


@given(plans)
@settings(max_examples=150, deadline=None)
async def test_in_memory_everything_is_as_in_the_twin(plan: Plan) -> None:
    await check_against_twin(memory_stores().ledger, plan)


@pytest.fixture(scope="module")
async def shared_ledger(databases: Databases) -> AsyncIterator[LedgerStore]:
    dsn = await databases.create()
    pool = await connect(dsn)
    yield postgres_stores(pool).ledger
    await pool.close()
    await databases.drop(dsn)


# The examples share a database: each has keys and people of its own, and the house's differences.
@given(plan=plans)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_in_postgresql_everything_is_as_in_the_twin(shared_ledger: LedgerStore, plan: Plan) -> None:
    await check_against_twin(shared_ledger, plan)
