"""Whatever happens: both stores come to the same figures, and each is sound after each step."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.histories import Histories, Work
from support.servers import Databases

from storage.base import ReferralTerms, Tier
from storage.base.epochs import FirstHours, HoldBack, Streak, Terms
from storage.postgres import connect
from storage.scores import FIRST_FORMULA
from storage.uptime import HOUR_S

ACTIVE_SECONDS = 600
# Scores as soon as anything is known.
LENIENT = replace(
    FIRST_FORMULA,
    parameters=replace(FIRST_FORMULA.parameters, required=[], least_window_seconds=1, settle_seconds=0),
)
SOME_TERMS = st.builds(
    Terms,
    availability_pool=st.sampled_from([0, 1, 999, 10**6 + 7, 10**15]),
    usage_pool=st.sampled_from([0, 1, 10**6 + 9, 10**15]),
    bonus_pool=st.sampled_from([0, 1000, 10**15]),
    referral_pool=st.sampled_from([0, 1000, 10**15]),
    unmeasured_score=st.sampled_from([0, 3333, 10_000]),
    hold_seconds=st.sampled_from([0, 1800, 2 * HOUR_S, 5 * HOUR_S + 1]),
    holdback=st.sampled_from(
        [[], [HoldBack(days=2, share=5000), HoldBack(days=1, share=7501)], [HoldBack(days=30, share=10_000)]]
    ),
    streak=st.sampled_from([None, Streak(days=1, least_seconds=1800, amount=777)]),
    first_hours=st.sampled_from([None, FirstHours(hours=1, share=3333)]),
    minimum_payout=st.sampled_from([0, 1, 10**6]),
    referrals=st.builds(
        ReferralTerms,
        active_seconds=st.just(ACTIVE_SECONDS),
        tiers=st.sampled_from([(), (Tier(active=1, multiplier=12_000), Tier(active=2, multiplier=15_000))]),
    ),
)
PLACES = st.integers(0, 5)
SEEDS = st.integers(0, 1000)
WORK = st.tuples(
    st.just("work"),
    st.builds(
        Work,
        node=PLACES,
        worker=st.integers(0, 2),
        hour=st.integers(-2, 1),
        start=st.integers(0, HOUR_S - 1),
        seconds=st.integers(0, HOUR_S),
        size=st.sampled_from([0, 1, 12345, (1 << 62) - 1]),
    ),
    st.fixed_dictionaries({"late": st.booleans()}),
)
HAPPENINGS = st.lists(
    st.one_of(
        WORK,
        WORK,
        st.tuples(st.just("close"), st.none() | st.integers(1, 75)),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("join"), st.none() | PLACES, st.sampled_from([None, None, "device", "disposable"])),
        st.tuples(
            st.just("enrol"), PLACES, st.integers(0, 60), st.sampled_from(["", "192.0.2.1", "192.0.2.2"])
        ),
        st.tuples(
            st.just("campaign"),
            st.sampled_from([None, "DE"]),
            st.builds(
                lambda start, length: range(start, start + length), st.integers(-90, 240), st.integers(1, 300)
            ),
            st.sampled_from([1, 3333, 100_000]),
            st.sampled_from([0, 1, 10**5 + 3, 10**18]),
        ),
        st.tuples(st.just("change_budget"), PLACES, st.sampled_from([1, 500, 10**9])),
        st.tuples(st.just("erase"), PLACES),
        st.tuples(st.just("retire"), PLACES),
        st.tuples(st.just("suspend"), PLACES, st.booleans()),
        st.tuples(st.just("deliver"), SEEDS),
        st.tuples(st.just("replay"), SEEDS),
        st.tuples(st.just("turn_back"), st.sampled_from([-1, 1])),
        st.tuples(st.just("score")),
        st.tuples(st.just("activate"), st.just(ACTIVE_SECONDS)),
        st.tuples(st.just("claim"), PLACES, st.sampled_from([1, 3])),
        st.tuples(
            st.just("decide"),
            PLACES,
            st.sampled_from(["released", "refused"]),
            st.fixed_dictionaries({"subtree": st.booleans()}),
        ),
        st.tuples(st.just("length"), st.sampled_from([600, 1800, HOUR_S, 2 * HOUR_S])),
        st.tuples(st.just("terms"), SOME_TERMS),
    ),
    max_size=30,
)

# What else may happen books nothing, and takes nobody's account away.
MOVES_MONEY = {"close", "claim", "decide", "erase"}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=SOME_TERMS, happenings=HAPPENINGS)
@pytest.mark.timeout(180)
async def test_any_history_leaves_both_stores_sound_and_alike(
    databases: Databases, terms: Terms, happenings: list[tuple[object, ...]]
) -> None:
    dsn = await databases.create()
    pool = await connect(dsn)
    try:
        history = Histories(pool, LENIENT)
        await history.begin(terms)
        for place in range(3):
            await history.join(place - 1 if place else None, None)
            await history.enrol(place, 24 * place, f"192.0.2.{place}")
            await history.work(Work(place, place, 0, 0, 1000 + place, 1000), late=False)
        await history.activate(ACTIVE_SECONDS)
        for what, *how in happenings:
            options = how.pop() if how and isinstance(how[-1], dict) else {}
            await getattr(history, str(what))(*how, **options)
            await history.agree(sound=what in MOVES_MONEY)
        for _ in range(2):
            await history.close()
            await history.agree_in_all()
    finally:
        await pool.close()
        await databases.drop(dsn)
