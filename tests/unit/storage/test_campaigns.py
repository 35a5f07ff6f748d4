"""The arithmetic of campaigns and of all bonuses together."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Campaign, CampaignInputs, Category
from storage.campaigns import campaign_bonus, campaign_inputs, covered, grant

START = datetime(2026, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
PEOPLE = [UUID(int=number) for number in range(1, 5)]
COUNTRIES = [None, "DE", "FR"]

amounts = st.sampled_from([0, 1, 2, 999, 10**6 + 3, 10**15, 48 * 10**15])
campaigns = st.lists(
    st.builds(
        CampaignInputs,
        campaign_id=st.integers(100, 10**6).map(lambda number: UUID(int=number)),
        name=st.just("spring"),
        country=st.sampled_from(COUNTRIES),
        share=st.integers(1, 100_000),
        seconds=st.integers(1, 3600),
        available=st.sampled_from([1, 7, 10**6, 10**18]),
        wanted=st.just(0),
        paid=st.just(0),
    ),
    max_size=4,
    unique_by=lambda campaign: campaign.campaign_id,
)
own_bonuses = st.dictionaries(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["streak", "first_hours"])), amounts
)
earnings = st.dictionaries(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(COUNTRIES)), amounts)


def campaign(start: datetime, end: datetime, *, budget: int = 9, spent: int = 0) -> Campaign:
    return Campaign(
        campaign_id=PEOPLE[0],
        name="spring",
        starts_at=start,
        ends_at=end,
        country=None,
        share=1,
        budget=budget,
        spent=spent,
        created_at=START,
        updated_at=START,
        updated_by=PEOPLE[0],
    )


@given(own=own_bonuses, campaigns=campaigns, earned=earnings, pool=amounts)
def test_bonuses_are_never_more_than_the_pool_and_no_campaign_spends_more_than_it_has(
    own: dict[tuple[UUID, Category], int],
    campaigns: list[CampaignInputs],
    earned: dict[tuple[UUID, str | None], int],
    pool: int,
) -> None:
    granted = grant(own, campaigns, earned, 3600, pool)
    assert min(granted.bonuses.values(), default=0) >= 0
    assert sum(granted.bonuses.values()) <= pool
    sums: Counter[Category] = Counter()
    for (_, category), amount in granted.bonuses.items():
        sums[category] += amount
    for each in granted.pools:
        assert each.pool == each.rewarded == sums.pop(each.category) <= each.weight
    assert set(sums.values()) <= {0}
    wanted = sum(each.weight for each in granted.pools)
    if wanted <= pool:
        assert sum(granted.bonuses.values()) == wanted
    else:
        # Each person loses less than one micro-point by each rounding.
        rows = len(own) + len(campaigns) * len(PEOPLE)
        assert pool - sum(granted.bonuses.values()) <= rows
    assert sum(each.paid for each in granted.campaigns) == sum(
        amount for (_, category), amount in granted.bonuses.items() if category == "campaign"
    )
    for each in granted.campaigns:
        assert 0 <= each.paid <= min(each.available, each.wanted)


@given(
    campaigns=campaigns,
    earned=earnings,
    places=st.permutations(range(4)),
)
def test_what_campaigns_give_does_not_depend_on_their_order(
    campaigns: list[CampaignInputs], earned: dict[tuple[UUID, str | None], int], places: list[int]
) -> None:
    shuffled = [campaigns[place] for place in places if place < len(campaigns)]
    one, other = (grant({}, each, earned, 3600, 10**9) for each in (campaigns, shuffled))
    assert one.bonuses == other.bonuses
    assert sorted(one.campaigns, key=repr) == sorted(other.campaigns, key=repr)


@given(
    reward=amounts, share=st.integers(1, 100_000), length=st.sampled_from([60, 3600, 86_400]), data=st.data()
)
def test_a_campaign_that_is_cut_in_two_gives_the_same_but_for_one_rounding(
    reward: int, share: int, length: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, length))
    whole = campaign_bonus(reward, share, length, length)
    parts = campaign_bonus(reward, share, first, length) + campaign_bonus(
        reward, share, length - first, length
    )
    assert 0 <= whole - parts <= 1
    assert Fraction(reward * share, 10_000) - whole < 1


def test_a_campaign_of_a_country_looks_at_the_nodes_there() -> None:
    german = CampaignInputs(
        campaign_id=UUID(int=99),
        name="in Germany",
        country="DE",
        share=10_000,
        seconds=3600,
        available=10**9,
        wanted=0,
        paid=0,
    )
    ada, ben, *_ = PEOPLE
    earned = {(ada, "DE"): 5, (ada, "FR"): 7, (ada, None): 11, (ben, "FR"): 13}
    granted = grant({}, [german], earned, 3600, 100)
    assert granted.bonuses == {(ada, "campaign"): 5}


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (START - HOUR, START, 0),
        (START - HOUR, START + HOUR, 3600),
        (START + timedelta(seconds=7), START + timedelta(seconds=8), 1),
        (START + HOUR, START + 2 * HOUR, 0),
    ],
)
def test_a_campaign_covers_the_part_of_an_epoch_that_it_runs_in(
    start: datetime, end: datetime, seconds: int
) -> None:
    assert covered(campaign(start, end), START, START + HOUR) == seconds
    assert (campaign_inputs(campaign(start, end), START, START + HOUR) is None) is (seconds == 0)


def test_an_exhausted_campaign_has_nothing_to_give() -> None:
    assert campaign_inputs(campaign(START, START + HOUR, spent=9), START, START + HOUR) is None
