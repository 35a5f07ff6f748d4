"""What every `ReferralStore` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from support.stores import Stores, make_node, make_user

from core.clock import new_id, to_ms
from core.errors import NotFound
from storage.base import (
    Batch,
    Burst,
    Opened,
    Referral,
    ReferralCode,
    ReferralTerms,
    Registration,
    Report,
    Tier,
    Trait,
)
from storage.base.epochs import Epoch, Terms
from storage.referrals import above, commissions_of, mailbox

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR_SECONDS = 3600
NOON = to_ms(NOW) // 3_600_000
NO_BURST = Burst(people=1000)
TERMS = ReferralTerms(tiers=(Tier(active=1, multiplier=12_000), Tier(active=2, multiplier=15_000)))


def make_code(user_id: UUID, code: str, **changes: object) -> ReferralCode:
    facts = {"code": code, "user_id": user_id, "shown": code.lower(), "alias": False, "created_at": NOW}
    return ReferralCode(**{**facts, **changes})


async def add_code(stores: Stores, user_id: UUID) -> str:
    """A code of somebody's; returns it."""
    code = user_id.hex.upper()
    assert await stores.referrals.add_code(make_code(user_id, code), 5) == "added"
    return code


async def join(
    stores: Stores,
    code: str | None,
    *traits: Trait,
    at: datetime = NOW,
    burst: Burst = NO_BURST,
    email: str = "",
) -> UUID:
    """Register with a code, and confirm; returns who came to be."""
    user_id = new_id()
    token_hash = sha256(user_id.bytes).digest()
    registration = Registration(
        token_hash=token_hash,
        email=email or f"{user_id}@example.org",
        display_name="Ada",
        password_hash="hash",
        locale="en",
        referral_code=code,
        traits=list(traits),
        created_at=at,
        expires_at=at + timedelta(days=1),
    )
    await stores.confirmations.put_registration(registration, [])
    assert await stores.confirmations.register(token_hash, user_id, at, burst=burst)
    return user_id


async def chain(stores: Stores, length: int) -> list[UUID]:
    """People of whom each brought the next."""
    people = [await join(stores, None)]
    while len(people) < length:
        people.append(await join(stores, await add_code(stores, people[-1])))
    return people


async def pair(stores: Stores) -> tuple[UUID, UUID]:
    """Somebody, and whom they brought."""
    parent, child = await chain(stores, 2)
    return parent, child


async def work(stores: Stores, user_id: UUID, seconds: int, hour: int = NOON) -> None:
    """Have a node of somebody's confirmed for so long."""
    node_id, session_id = await stores.add_node(user_id), new_id()
    records = [Opened(node_id, session_id, to_ms(NOW), "192.0.2.1")]
    await stores.uptime.apply([Batch(f"{node_id}", 1, records)], {})
    left, at = seconds, 0
    while left:
        part = min(left, HOUR_SECONDS)
        end = (hour + at) * HOUR_SECONDS + part
        report = Report(node_id, session_id, hour + at, 0, part, end)
        await stores.uptime.apply([Batch(f"{node_id}", 2 + at, [report])], {})
        left, at = left - part, at + 1


async def found(stores: Stores, user_id: UUID) -> Referral:
    referral = await stores.referrals.referral(user_id)
    assert referral is not None
    return referral


async def kinds(stores: Stores, user_id: UUID) -> list[str]:
    return sorted(flag.kind for flag in await stores.referrals.flags([user_id]))


# --- codes --------------------------------------------------------------------------------------


async def test_a_code_is_found_with_its_owner_and_counts(stores: Stores) -> None:
    user_id = await stores.add_user()
    code = make_code(user_id, "ADA")
    assert await stores.referrals.add_code(code, 1) == "added"
    assert await stores.referrals.code("ADA") == code
    assert await stores.referrals.code("BOB") is None
    await asyncio.gather(*(stores.referrals.count("ADA", "clicks") for _ in range(5)))
    await stores.referrals.count("ADA", "signups")
    await stores.referrals.count("BOB", "clicks")
    (counted,) = await stores.referrals.codes(user_id)
    assert (counted.clicks, counted.signups) == (5, 1)


async def test_of_many_who_want_a_code_one_has_it(stores: Stores) -> None:
    people = [await stores.add_user() for _ in range(20)]
    outcomes = await asyncio.gather(
        *(stores.referrals.add_code(make_code(user_id, "ADA"), 5) for user_id in people)
    )
    assert sorted(outcomes) == ["added"] + ["taken"] * 19


async def test_nobody_has_more_codes_of_a_sort_than_there_may_be(stores: Stores) -> None:
    user_id = await stores.add_user()
    outcomes = await asyncio.gather(
        *(stores.referrals.add_code(make_code(user_id, f"CODE{n}"), 3) for n in range(20))
    )
    assert sorted(outcomes) == ["added"] * 3 + ["most"] * 17
    assert await stores.referrals.add_code(make_code(user_id, "ALIAS", alias=True), 1) == "added"


async def test_a_code_belongs_to_somebody_there_is(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.referrals.add_code(make_code(new_id(), "ADA"), 1)


# --- who brought whom ---------------------------------------------------------------------------


async def test_three_levels_are_known_from_the_moment_of_joining(stores: Stores) -> None:
    people = await chain(stores, 5)
    assert await stores.referrals.referral(people[0]) is None
    referral = await found(stores, people[4])
    assert above(referral) == [(1, people[3]), (2, people[2]), (3, people[1])]
    assert (referral.joined_at, referral.active_at, referral.state) == (NOW, None, "good")
    assert await stores.referrals.by_id(referral.referral_id) == referral
    for level, child in ((1, people[2]), (2, people[3]), (3, people[4])):
        (referee,) = await stores.referrals.referees(people[1], level, None, 10)
        assert referee.referral_id == (await found(stores, child)).referral_id
    assert [(each.level, each.people) for each in await stores.referrals.counts(people[1])] == [
        (1, 1),
        (2, 1),
        (3, 1),
    ]
    assert [each.people for each in await stores.referrals.counts(people[4])] == [0, 0, 0]


async def test_referees_come_in_pages_newest_first(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    ids = [(await found(stores, await join(stores, code))).referral_id for _ in range(5)]
    first = await stores.referrals.referees(parent, 1, None, 3)
    rest = await stores.referrals.referees(parent, 1, first[-1].referral_id, 3)
    assert [each.referral_id for each in (*first, *rest)] == sorted(ids, reverse=True)


async def test_a_code_that_is_gone_brings_an_account_without_a_parent(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    assert await stores.users.erase(parent, NOW)
    child = await join(stores, code)
    assert await stores.users.by_id(child) is not None
    assert await stores.referrals.referral(child) is None
    assert await stores.referrals.referral(await join(stores, "NEVER")) is None


async def test_fifty_who_join_by_one_code_at_once_are_all_brought(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    burst = Burst(people=50, seconds=60)
    people = await asyncio.gather(*(join(stores, code, burst=burst) for _ in range(50)))
    assert (await stores.referrals.counts(parent))[0].people == 50
    flags = await stores.referrals.flags(people)
    assert {flag.kind for flag in flags} == {"burst"}
    assert len(flags) == 50, "the last of them completes the burst, and it is all of theirs"


async def test_a_link_that_is_opened_many_times_at_once_brings_one(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    registration = Registration(
        token_hash=b"t" * 32,
        email="ada@example.org",
        display_name="Ada",
        password_hash="hash",
        locale="en",
        referral_code=code,
        created_at=NOW,
        expires_at=NOW + MINUTE,
    )
    await stores.confirmations.put_registration(registration, [])
    made = await asyncio.gather(*(stores.confirmations.register(b"t" * 32, new_id(), NOW) for _ in range(20)))
    assert sum(each is not None for each in made) == 1
    assert (await stores.referrals.counts(parent))[0].people == 1


async def test_two_halves_of_a_cycle_at_the_same_moment_make_none(stores: Stores) -> None:
    """Each would have to know the other's code before it is an account: one is there first, or neither."""
    for _ in range(5):
        one, two = new_id(), new_id()
        hashes = {each: sha256(each.bytes).digest() for each in (one, two)}
        for each, other in ((one, two), (two, one)):
            registration = Registration(
                token_hash=hashes[each],
                email=f"{each}@example.org",
                display_name="Ada",
                password_hash="hash",
                locale="en",
                referral_code=other.hex.upper(),
                created_at=NOW,
                expires_at=NOW + MINUTE,
            )
            await stores.confirmations.put_registration(registration, [])

        async def half(user_id: UUID, token_hash: bytes) -> None:
            assert await stores.confirmations.register(token_hash, user_id, NOW)
            await stores.referrals.add_code(make_code(user_id, user_id.hex.upper()), 5)

        await asyncio.gather(*(half(each, hashes[each]) for each in (one, two)))
        halves = [await stores.referrals.referral(each) for each in (one, two)]
        assert None in halves


async def test_an_erased_parent_stays_a_pseudonym_and_what_was_known_of_them_goes(stores: Stores) -> None:
    trait = Trait("address", "192.0.2.7")
    parent = await join(stores, None, trait)
    code = await add_code(stores, parent)
    child = await join(stores, code, trait)
    assert [flag.value for flag in await stores.referrals.flags([child])] == ["192.0.2.7"]
    assert await stores.users.erase(parent, NOW)
    assert await stores.referrals.code(code) is None
    assert (await found(stores, child)).parent_id == parent
    assert [flag.value for flag in await stores.referrals.flags([child])] == [""]
    with pytest.raises(NotFound):
        await stores.referrals.add_code(make_code(parent, "AGAIN"), 5)
    await stores.referrals.saw(parent, [Trait("mailbox", "a@example.org")], NOW)
    await stores.referrals.saw(child, [Trait("mailbox", "a@example.org")], NOW)
    assert await kinds(stores, child) == ["address"]


# --- what speaks against it ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mailbox", "device"])
@pytest.mark.parametrize("generations", [1, 2, 3])
async def test_whoever_is_their_own_ancestor_is_refused(stores: Stores, kind: str, generations: int) -> None:
    trait = Trait(kind, "the same")
    top = await join(stores, None, trait)
    last = top
    for _ in range(generations - 1):
        last = await join(stores, await add_code(stores, last))
    child = await join(stores, await add_code(stores, last), trait)
    (flag,) = await stores.referrals.flags([child])
    assert (flag.kind, flag.other_id, flag.value, flag.released) == (kind, top, "the same", False)
    assert (await found(stores, child)).state == "refused"


async def test_a_great_great_grandchild_is_no_concern(stores: Stores) -> None:
    trait = Trait("device", "the same")
    people = await chain(stores, 4)
    await stores.referrals.saw(people[0], [trait], NOW)
    child = await join(stores, await add_code(stores, people[-1]), trait)
    assert await kinds(stores, child) == []


@pytest.mark.parametrize("first", ["parent", "child"])
async def test_a_node_key_that_changes_hands_is_known_again(stores: Stores, first: str) -> None:
    parent, child = await pair(stores)
    one, two = (parent, child) if first == "parent" else (child, parent)
    node = make_node(one)
    assert await stores.nodes.enrol(node) == node
    assert await stores.nodes.retire(one, node.node_id, NOW)
    assert await kinds(stores, child) == []
    assert await stores.nodes.enrol(make_node(two, public_key=node.public_key))
    (flag,) = await stores.referrals.flags([child])
    assert (flag.kind, flag.other_id, flag.value) == ("node_key", parent, node.public_key.hex())
    assert (await found(stores, child)).state == "refused"


@pytest.mark.parametrize("first", ["parent", "child"])
async def test_a_wallet_that_changes_hands_is_known_again(stores: Stores, first: str) -> None:
    parent, child = await pair(stores)
    one, two = (parent, child) if first == "parent" else (child, parent)
    assert await stores.users.set_wallet(one, "0xA")
    assert await stores.users.set_wallet(one, None)
    assert await stores.users.set_wallet(two, "0xA")
    assert await kinds(stores, child) == ["wallet"]
    assert (await found(stores, child)).state == "refused"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.org", "ada+2@example.org"),
        ("a.da+x@gmail.com", "ad.a@googlemail.com"),
        ("+a@gmail.com", "+a@googlemail.com"),
    ],
)
async def test_another_address_of_the_same_mailbox_is_the_same_person(
    stores: Stores, one: str, other: str
) -> None:
    parent = await join(stores, None, email=one)
    child = await join(stores, await add_code(stores, parent), email=other)
    (flag,) = await stores.referrals.flags([child])
    assert (flag.kind, flag.other_id, flag.value) == ("mailbox", parent, mailbox(one))


async def test_strangers_who_share_a_wallet_by_turns_concern_no_referral(stores: Stores) -> None:
    _, child = await pair(stores)
    stranger = await stores.add_user()
    assert await stores.users.set_wallet(stranger, "0xA")
    assert await stores.users.set_wallet(stranger, None)
    assert await stores.users.set_wallet(child, "0xA")
    assert await kinds(stores, child) == []


@pytest.mark.parametrize("kind", ["address", "subnet"])
async def test_whoever_joins_from_where_an_ancestor_was_is_looked_at(stores: Stores, kind: str) -> None:
    trait = Trait(kind, "192.0.2.0")
    parent, child = await pair(stores)
    await stores.referrals.saw(parent, [trait], NOW)
    grandchild = await join(stores, await add_code(stores, child), trait)
    assert await kinds(stores, grandchild) == [kind]
    assert (await found(stores, grandchild)).state == "review"


async def test_where_somebody_is_seen_later_says_nothing(stores: Stores) -> None:
    parent, child = await pair(stores)
    for user_id in (parent, child):
        await stores.referrals.saw(user_id, [Trait("address", "192.0.2.7")], NOW)
    assert await kinds(stores, child) == []


async def test_a_disposable_mail_domain_is_looked_at(stores: Stores) -> None:
    parent = await join(stores, None)
    child = await join(stores, await add_code(stores, parent), Trait("disposable", "mailinator.com"))
    (flag,) = await stores.referrals.flags([child])
    assert (flag.kind, flag.other_id, flag.value) == ("disposable", parent, "mailinator.com")
    assert (await found(stores, child)).state == "review"


async def test_a_burst_is_all_who_came_within_its_time(stores: Stores) -> None:
    parent = await join(stores, None)
    code, burst = await add_code(stores, parent), Burst(people=3, seconds=600)
    before = await join(stores, code, burst=burst)
    people = [await join(stores, code, at=NOW + (11 + n) * MINUTE, burst=burst) for n in range(2)]
    assert await stores.referrals.flags([before, *people]) == []
    people.append(await join(stores, code, at=NOW + 13 * MINUTE, burst=burst))
    flags = await stores.referrals.flags([before, *people])
    assert sorted(flag.user_id for flag in flags) == sorted(people)
    assert {(flag.kind, flag.other_id, flag.value) for flag in flags} == {("burst", parent, "3")}


async def test_what_was_seen_long_ago_is_forgotten_but_for_what_stays(stores: Stores) -> None:
    parent = await join(stores, None)
    traits = [Trait(kind, "x") for kind in ("address", "subnet", "device", "mailbox")]
    await stores.referrals.saw(parent, traits, NOW)
    await stores.referrals.saw(parent, [Trait("address", "x")], NOW + MINUTE)
    assert await stores.referrals.prune(NOW + MINUTE) == 2
    child = await join(stores, await add_code(stores, parent), *traits)
    assert await kinds(stores, child) == ["address", "mailbox"]


# --- decisions ----------------------------------------------------------------------------------


async def test_what_is_released_counts_until_something_new_speaks_against_it(stores: Stores) -> None:
    parent = await join(stores, None)
    child = await join(stores, await add_code(stores, parent), Trait("disposable", "mailinator.com"))
    (review,) = await stores.referrals.reviews("review", None, 10)
    assert review.user_id == child
    actor = new_id()
    assert await stores.referrals.decide(child, "released", NOW, actor, "known", subtree=False) == [child]
    referral = await found(stores, child)
    assert (referral.state, referral.decision, referral.decided_by, referral.note) == (
        "good",
        "released",
        actor,
        "known",
    )
    assert [flag.released for flag in await stores.referrals.flags([child])] == [True]
    assert await stores.referrals.reviews("review", None, 10) == []
    assert await stores.referrals.reviews("good", None, 10) == [referral]
    for user_id in (parent, child):
        await stores.referrals.saw(user_id, [Trait("device", "the same")], NOW)
    assert (await found(stores, child)).state == "refused"


async def test_a_whole_subtree_is_refused_and_released(stores: Stores) -> None:
    people = await chain(stores, 6)
    beside = await join(stores, people[0].hex.upper())
    refused = await stores.referrals.decide(people[1], "refused", NOW, new_id(), "farm", subtree=True)
    assert refused == sorted(people[1:])
    assert (await found(stores, people[5])).state == "refused"
    assert (await found(stores, beside)).state == "good"
    assert len(await stores.referrals.reviews("refused", None, 10)) == 5
    await stores.referrals.decide(people[1], "released", NOW, new_id(), "sorry", subtree=False)
    assert [(await found(stores, each)).state for each in people[1:3]] == ["good", "refused"]


async def test_there_is_nothing_to_decide_about_who_came_alone(stores: Stores) -> None:
    alone = await join(stores, None)
    assert await stores.referrals.decide(alone, "refused", NOW, new_id(), "", subtree=True) == []
    assert await stores.referrals.decide(new_id(), "refused", NOW, new_id(), "", subtree=False) == []


# --- active, and commissions --------------------------------------------------------------------


async def test_somebody_is_active_by_all_their_nodes_also_retired_ones(stores: Stores) -> None:
    parent, child = await pair(stores)
    await work(stores, child, 2 * HOUR_SECONDS - 1)
    (node,) = await stores.nodes.of_user(child, None, 10)
    assert await stores.nodes.retire(child, node.node_id, NOW)
    assert await stores.referrals.activate(NOW, 2 * HOUR_SECONDS) == 0
    await work(stores, child, 1)
    assert await stores.referrals.activate(NOW + MINUTE, 2 * HOUR_SECONDS) == 1
    assert await stores.referrals.activate(NOW + 2 * MINUTE, 2 * HOUR_SECONDS) == 0
    assert (await found(stores, child)).active_at == NOW + MINUTE
    assert (await stores.referrals.counts(parent))[0].active == 1


async def test_three_levels_get_their_shares_of_what_work_earned(stores: Stores) -> None:
    people = await chain(stores, 5)
    await stores.referrals.activate(NOW, 0)
    await work(stores, people[4], 60)
    assert await stores.referrals.activate(NOW, 60) == 1
    found_ = await stores.referrals.commissions({people[4]: 1_000_003}, 10**9, ReferralTerms())
    assert {(each.user_id, each.level, each.amount, each.held) for each in found_} == {
        (people[3], 1, 200_000, False),
        (people[2], 2, 100_000, False),
        (people[1], 3, 50_000, False),
    }


async def test_no_commission_is_more_than_the_pool(stores: Stores) -> None:
    parent, child = await pair(stores)
    await work(stores, child, 60)
    await stores.referrals.activate(NOW, 60)
    huge = {child: 10**37}
    (one,) = await stores.referrals.commissions(huge, 10**18, ReferralTerms())
    assert one.amount == 10**18
    assert await stores.referrals.commissions(huge, 0, ReferralTerms()) == []
    assert await stores.referrals.commissions({}, 10**18, ReferralTerms()) == []
    assert await stores.users.erase(parent, NOW)
    assert await stores.referrals.commissions(huge, 10**18, ReferralTerms()) == []


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_forest_is_acyclic_and_pays_as_the_plain_arithmetic_says(
    stores: Stores, data: st.DataObject
) -> None:
    size = data.draw(st.integers(2, 12), "people")
    people: list[UUID] = []
    parents: dict[UUID, UUID | None] = {}
    for n in range(size):
        parent = data.draw(st.sampled_from([None, *people]), f"parent of {n}")
        trait = data.draw(st.sampled_from([None, "device", "disposable"]), f"trait of {n}")
        traits = [Trait(trait, f"{trait}")] if trait else []
        code = f"{parent.hex}".upper() if parent else None
        user_id = await join(stores, code, *traits)
        await add_code(stores, user_id)
        people.append(user_id)
        parents[user_id] = parent
        if data.draw(st.booleans(), f"active {n}"):
            await work(stores, user_id, 60)
    await stores.referrals.activate(NOW, 60)
    gone = data.draw(st.lists(st.sampled_from(people), max_size=2, unique=True), "erased")
    for user_id in gone:
        await stores.users.erase(user_id, NOW)
    referrals = [each for user_id in people if (each := await stores.referrals.referral(user_id))]
    for referral in referrals:
        line, above_of = [], parents[referral.user_id]
        while above_of is not None and len(line) < 3:
            line.append(above_of)
            above_of = parents[above_of]
        assert [user_id for _, user_id in above(referral)] == line
        assert referral.user_id not in line
    assert {each.user_id for each in referrals} == {who for who, parent in parents.items() if parent}
    earned = {user_id: data.draw(st.integers(0, 10**13), "earned") for user_id in people}
    pool = data.draw(st.integers(0, 10**13), "pool")
    paid = await stores.referrals.commissions(earned, pool, TERMS)
    living = set(people) - set(gone)
    expected = commissions_of(earned, referrals, living, pool, TERMS)
    assert {(each.referee_id, each.level): each for each in paid} == {
        (each.referee_id, each.level): each for each in expected
    }
    assert sum(each.amount for each in paid) <= pool


async def test_tiers_count_those_who_are_good_and_active(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    children = [await join(stores, code) for _ in range(3)]
    await asyncio.gather(*(work(stores, child, 60) for child in children[:2]))
    await stores.referrals.activate(NOW, 60)
    earned = dict.fromkeys(children, 100000)
    paid = await stores.referrals.commissions(earned, 10**9, TERMS)
    assert sorted(each.amount for each in paid) == [30_000, 30_000], "the third is not active"
    await stores.referrals.decide(children[0], "refused", NOW, new_id(), "", subtree=False)
    (left,) = await stores.referrals.commissions(earned, 10**9, TERMS)
    assert left.amount == 24_000


async def test_what_is_in_review_is_paid_but_held(stores: Stores) -> None:
    parent = await join(stores, None)
    child = await join(stores, await add_code(stores, parent), Trait("disposable", "mailinator.com"))
    await work(stores, child, 60)
    await stores.referrals.activate(NOW, 60)
    (held,) = await stores.referrals.commissions({child: 1000}, 10**9, ReferralTerms())
    assert (held.amount, held.held) == (200, True)


async def test_an_account_of_its_own_has_no_referral(stores: Stores) -> None:
    user = make_user()
    assert await stores.users.add(user)
    assert await stores.referrals.referral(user.user_id) is None
    assert await stores.referrals.by_id(user.user_id) is None


# --- paid at the close of an epoch ----------------------------------------------------------------

EPOCH_TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=0,
    bonus_pool=0,
    referral_pool=1_000_000,
    unmeasured_score=5000,
    hold_seconds=0,
    holdback=[],
    streak=None,
    first_hours=None,
    minimum_payout=10**12,
    referrals=ReferralTerms(active_seconds=60),
)


async def close_one(stores: Stores, terms: Terms, *workers: UUID) -> Epoch:
    """Close an epoch in which these people worked alike; the epochs before it are the hours before."""
    await stores.epochs.set_terms(terms, NOW - timedelta(hours=1))
    await stores.epochs.begin(NOW, HOUR_SECONDS)
    open_ = await stores.epochs.open()
    assert open_ is not None
    for user_id in workers:
        await work(stores, user_id, 600, hour=to_ms(open_.starts_at) // 3_600_000)
    await stores.referrals.activate(NOW, terms.referrals.active_seconds)
    epoch = await stores.epochs.close(open_.ends_at, open_.ends_at)
    assert epoch is not None
    assert await stores.ledger.check() == []
    return epoch


async def accounts(stores: Stores, user_id: UUID) -> tuple[int, int, int]:
    """What of somebody's is pending, held and final."""
    found = (await stores.ledger.balances([user_id]))[user_id]
    return found.pending, found.held, found.final


async def test_a_close_pays_three_levels_from_a_pool_of_their_own(stores: Stores) -> None:
    people = await chain(stores, 5)
    epoch = await close_one(stores, EPOCH_TERMS, people[4])
    (pool,) = [pool for pool in epoch.pools if pool.category == "referral"]
    assert (pool.pool, pool.weight, pool.rewarded, pool.unallocated) == (350_000, 350_000, 350_000, 0)
    found = [await accounts(stores, user_id) for user_id in people]
    assert [sum(each) for each in found] == [0, 50_000, 100_000, 200_000, 1_000_000]
    (referee,) = await stores.referrals.referees(people[3], 1, None, 10)
    assert (referee.earned, referee.held) == (200_000, 0)
    assert [each.earned for each in await stores.referrals.counts(people[1])] == [0, 0, 50_000]


async def test_more_than_the_referral_pool_is_scaled_down(stores: Stores) -> None:
    people = await chain(stores, 3)
    epoch = await close_one(stores, structs.replace(EPOCH_TERMS, referral_pool=3000), people[2])
    (pool,) = [pool for pool in epoch.pools if pool.category == "referral"]
    assert (pool.weight, pool.rewarded) == (300_000, 3000)
    assert [sum(await accounts(stores, user_id)) for user_id in people[:2]] == [1000, 2000]


async def test_an_epoch_without_referrals_has_no_pool_of_them(stores: Stores) -> None:
    epoch = await close_one(stores, EPOCH_TERMS, await join(stores, None))
    assert [pool.category for pool in epoch.pools] == ["availability", "usage"]


async def test_what_is_held_for_review_is_final_when_released(stores: Stores) -> None:
    parent = await join(stores, None)
    child = await join(stores, await add_code(stores, parent), Trait("disposable", "mailinator.com"))
    for n in (1, 2):
        await close_one(stores, EPOCH_TERMS, child)
        assert await accounts(stores, parent) == (0, n * 200_000, 0)
    (referee,) = await stores.referrals.referees(parent, 1, None, 10)
    assert (referee.earned, referee.held) == (400_000, 400_000)
    for _ in range(2):
        await stores.referrals.decide(child, "released", NOW, new_id(), "known", subtree=False)
        assert await accounts(stores, parent) == (0, 0, 400_000)
    (referee,) = await stores.referrals.referees(parent, 1, None, 10)
    assert (referee.earned, referee.held) == (400_000, 0)
    assert await stores.ledger.check() == []


async def test_what_was_paid_for_a_whole_subtree_is_taken_back_once(stores: Stores) -> None:
    people = await chain(stores, 3)
    await close_one(stores, EPOCH_TERMS, people[1], people[2])
    before = [sum(await accounts(stores, user_id)) for user_id in people]
    assert before == [150_000, 600_000, 500_000]
    await asyncio.gather(
        *(
            stores.referrals.decide(people[1], "refused", NOW, new_id(), "farm", subtree=True)
            for _ in range(5)
        )
    )
    assert [sum(await accounts(stores, user_id)) for user_id in people] == [0, 500_000, 500_000]
    assert [each.earned for each in await stores.referrals.counts(people[0])] == [0, 0, 0]
    assert (await stores.ledger.house())["corrections"] == 250_000
    assert await stores.ledger.check() == []
    await close_one(stores, EPOCH_TERMS, people[2])
    assert sum(await accounts(stores, people[0])) == 0, "what is refused earns nothing"


async def test_a_decision_and_a_close_at_the_same_moment_lose_nothing(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    children = [await join(stores, code, Trait("disposable", "mailinator.com")) for _ in range(3)]
    await close_one(stores, EPOCH_TERMS, *children)
    await asyncio.gather(
        close_one(stores, EPOCH_TERMS, *children),
        *(
            stores.referrals.decide(child, "released", NOW, new_id(), "known", subtree=False)
            for child in children
        ),
    )
    for child in children:
        await stores.referrals.decide(child, "released", NOW, new_id(), "known", subtree=False)
    (level, *_) = await stores.referrals.counts(parent)
    pending, held, final = await accounts(stores, parent)
    assert (held, level.held) == (0, 0)
    assert pending + final == level.earned
    assert level.earned > 0
    assert await stores.ledger.check() == []


async def rewards(stores: Stores, user_id: UUID) -> list[tuple[int, int, int, int]]:
    """What each of whom they brought earned them: pending, released, held and taken back."""
    found = await stores.referrals.rewarded(user_id, None, None, 100)
    return [
        (each.pending, each.earned - each.pending - each.held, each.held, each.reversed) for each in found
    ]


async def test_what_somebody_brought_is_pending_until_a_midnight(stores: Stores) -> None:
    parent = await join(stores, None)
    child = await join(stores, await add_code(stores, parent))
    terms = structs.replace(EPOCH_TERMS, hold_seconds=3 * HOUR_SECONDS)
    closed: list[Epoch] = []
    while not closed or (closed[-1].ends_at - closed[0].ends_at) < timedelta(hours=41):
        worked = [child] if len(closed) < 14 else []
        closed.append(await close_one(stores, terms, *worked))
        # An epoch's are final with the first midnight at which the epoch itself is.
        final = sum(
            ceiling(epoch.ends_at + timedelta(hours=3)) <= closed[-1].ends_at for epoch in closed[:14]
        )
        count = min(len(closed), 14)
        assert await rewards(stores, parent) == [((count - final) * 200_000, final * 200_000, 0, 0)]
        pending, _, in_final = await accounts(stores, parent)
        assert (pending, in_final) == ((count - final) * 200_000, final * 200_000)
    assert await rewards(stores, parent) == [(0, 14 * 200_000, 0, 0)]
    (first, *_) = await stores.referrals.counts(parent)
    assert (first.earned, first.pending, first.reversed) == (14 * 200_000, 0, 0)


def ceiling(at: datetime) -> datetime:
    """The first midnight that is not before `at`."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == at else midnight + timedelta(days=1)


async def test_what_was_held_and_what_was_taken_back_is_told_apart(stores: Stores) -> None:
    parent = await join(stores, None)
    code = await add_code(stores, parent)
    child = await join(stores, code)
    odd = await join(stores, code, Trait("disposable", "mailinator.com"))
    terms = structs.replace(EPOCH_TERMS, hold_seconds=30 * HOUR_SECONDS)
    for _ in range(3):
        await close_one(stores, terms, child, odd)
    # The newest first; each has half of the pool.
    assert await rewards(stores, parent) == [(0, 0, 300_000, 0), (300_000, 0, 0, 0)]
    await stores.referrals.decide(child, "refused", NOW, new_id(), "farm", subtree=False)
    assert await rewards(stores, parent) == [(0, 0, 300_000, 0), (0, 0, 0, 300_000)]
    await stores.referrals.decide(odd, "released", NOW, new_id(), "known", subtree=False)
    assert await rewards(stores, parent) == [(0, 300_000, 0, 0), (0, 0, 0, 300_000)]
    await stores.referrals.decide(child, "released", NOW, new_id(), "a mistake", subtree=False)
    await close_one(stores, terms, child, odd)
    assert await rewards(stores, parent) == [(100_000, 300_000, 0, 0), (100_000, 0, 0, 300_000)]
    assert await accounts(stores, parent) == (200_000, 0, 300_000)
    (first, *_) = await stores.referrals.counts(parent)
    assert (first.earned, first.pending, first.held, first.reversed) == (500_000, 200_000, 0, 300_000)


async def test_rewards_come_page_by_page_and_by_level(stores: Stores) -> None:
    top, middle, below = await chain(stores, 3)
    lazy = await join(stores, top.hex.upper())
    await close_one(stores, EPOCH_TERMS, middle, below)
    whole = await stores.referrals.rewarded(top, None, None, 100)
    # Whoever brought nothing is not among them.
    people = [await stores.referrals.referral(user_id) for user_id in (below, middle, lazy)]
    ids = [each.referral_id for each in people if each is not None]
    assert [(each.referral_id, each.level) for each in whole] == [(ids[0], 2), (ids[1], 1)]
    assert await stores.referrals.rewarded(top, None, None, 1) == whole[:1]
    assert await stores.referrals.rewarded(top, None, whole[0].referral_id, 9) == whole[1:]
    assert await stores.referrals.rewarded(top, 1, None, 9) == whole[1:]
    assert await stores.referrals.rewarded(top, 3, None, 9) == []
