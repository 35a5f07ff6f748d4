"""The arithmetic of commissions, by hand."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Referral, ReferralTerms, Tier
from storage.referrals import ALPHABET, commissions_of, mailbox, next_tier, normal_code, tier_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIERS = (Tier(active=5, multiplier=11_000), Tier(active=25, multiplier=12_500))


def who(number: int) -> UUID:
    return UUID(int=number)


def referral(user: int, parent: int, **changes: object) -> Referral:
    facts = {
        "user_id": who(user),
        "referral_id": who(1000 + user),
        "parent_id": who(parent),
        "second_id": None,
        "third_id": None,
        "code": "CODE",
        "joined_at": NOW,
        "active_at": NOW,
        "state": "good",
        "decision": None,
        "decided_at": None,
        "decided_by": None,
        "note": "",
    }
    return Referral(**{**facts, **changes})


@pytest.mark.parametrize(
    ("written", "compared"),
    [("ada-lovelace", "ADA10VE1ACE"), ("O0-oI1l_L", "0001111"), ("7K3MQ-9XTRB", "7K3MQ9XTRB"), ("", "")],
)
def test_codes_compare_whatever_their_case_hyphens_and_look_alikes(written: str, compared: str) -> None:
    assert normal_code(written) == compared


def test_what_random_codes_are_made_of_compares_as_itself() -> None:
    assert normal_code(ALPHABET) == ALPHABET
    assert len(set(ALPHABET)) == 32


@pytest.mark.parametrize(
    ("email", "box"),
    [
        ("ada@example.org", "ada@example.org"),
        ("a.da+x+y@example.org", "a.da@example.org"),
        ("+x@example.org", "+x@example.org"),
        ("a.d.a+x@googlemail.com", "ada@gmail.com"),
    ],
)
def test_addresses_of_one_mailbox_are_the_same(email: str, box: str) -> None:
    assert mailbox(email) == box


def test_a_tier_is_reached_with_its_number_of_people() -> None:
    assert [tier_of(active, TIERS) for active in (0, 4, 5, 24, 25, 10**6)] == [
        None,
        None,
        TIERS[0],
        TIERS[0],
        TIERS[1],
        TIERS[1],
    ]
    assert [next_tier(active, TIERS) for active in (4, 5, 25)] == [TIERS[0], TIERS[1], None]


def test_shares_are_rounded_down_and_nothing_that_comes_to_nothing_is_paid() -> None:
    known = [referral(1, 2, second_id=who(3), third_id=who(4))]
    living = {who(n) for n in range(5)}
    paid = commissions_of({who(1): 19}, known, living, 10**9, ReferralTerms())
    assert [(each.level, each.amount) for each in paid] == [(1, 3), (2, 1)]


def test_more_than_the_pool_is_scaled_down_for_all_alike() -> None:
    known = [referral(1, 3), referral(2, 4)]
    paid = commissions_of({who(1): 1000, who(2): 3000}, known, {who(3), who(4)}, 401, ReferralTerms())
    assert [each.amount for each in paid] == [100, 300]


@given(
    earned=st.lists(st.integers(0, 10**30), min_size=1, max_size=8),
    pool=st.integers(0, 10**30),
    multiplier=st.integers(0, 100_000),
)
def test_the_pool_is_never_exceeded_nor_left_by_more_than_rounding(
    earned: list[int], pool: int, multiplier: int
) -> None:
    size = len(earned)
    known = [referral(n, n + 1, second_id=who(n + 2), third_id=who(n + 3)) for n in range(1, size + 1)]
    living = {who(n) for n in range(1, size + 5)}
    terms = ReferralTerms(tiers=(Tier(active=1, multiplier=multiplier),))
    amounts = {who(n): amount for n, amount in enumerate(earned, 1)}
    free = commissions_of(amounts, known, living, 10**60, terms)
    paid = commissions_of(amounts, known, living, pool, terms)
    wanted, got = sum(each.amount for each in free), sum(each.amount for each in paid)
    assert got <= pool
    assert min(wanted, pool) - got <= len(free)
    most = {(each.referee_id, each.level): each.amount for each in free}
    assert all(each.amount <= most[each.referee_id, each.level] for each in paid)
