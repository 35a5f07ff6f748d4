"""Everything that moves money at the same moment, on PostgreSQL: the books are sound at any time."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from support.histories import START, Histories, Work
from support.proofs import prove

from core.errors import Conflict
from services.rewards import Claims
from storage.base import FirstHours, HoldBack, ReferralDecision, ReferralTerms, Streak, Terms
from storage.postgres import connect
from storage.scores import FIRST_FORMULA

ACTIVE_SECONDS, HOURS = 600, 4
TERMS = Terms(
    availability_pool=1_000_003,
    usage_pool=500_009,
    bonus_pool=100_000,
    referral_pool=100_000,
    unmeasured_score=5000,
    hold_seconds=3600,
    holdback=[HoldBack(days=3, share=2500)],
    streak=Streak(days=1, least_seconds=600, amount=777),
    first_hours=FirstHours(hours=2, share=5000),
    minimum_payout=1,
    referrals=ReferralTerms(active_seconds=ACTIVE_SECONDS),
)


async def _town(history: Histories) -> None:
    """Six people who brought one another, of whom the last is looked at, and what their nodes do."""
    await history.begin(TERMS)
    for place in range(6):
        await history.join(place - 1 if place else None, "disposable" if place == 5 else None)
        await history.enrol(place, 24 * place)
        for hour in range(HOURS):
            await history.work(Work(place, place % 3, hour, 0, 1800 + place, 10**6), late=False)
            await history.work(Work(place, place % 3, hour, 1800, 900, 10**5), late=True)
    await history.campaign(None, range(60 * HOURS), 3333, 100_000)
    await history.activate(ACTIVE_SECONDS)


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_at_the_same_moment_leaves_the_books_sound(postgres_dsn: str, seed: int) -> None:
    pool, dice = await connect(postgres_dsn), Random(seed)
    history = Histories(pool, FIRST_FORMULA)
    await _town(history)
    stores, people, late = history.postgres, history.people, history.take_late()
    claimed: list[int] = []

    async def claim(user_id: UUID) -> None:
        claims = Claims(ledger=stores.ledger, epochs=stores.epochs, users=stores.users, clock=history.clock)
        with suppress(Conflict):
            claimed.append(int((await claims.claim(user_id)).amount))

    async def decide(decision: ReferralDecision) -> None:
        user_id = dice.choice(people[1:])
        await stores.referrals.decide(user_id, decision, START, people[0], "", subtree=dice.random() < 0.5)

    async def sound() -> None:
        assert await prove(stores, START) == []

    for hour in range(1, HOURS + 1):
        ended = START + timedelta(hours=hour)
        doing = [
            *(stores.epochs.close(ended, ended) for _ in range(2)),
            *(claim(user_id) for user_id in people * 2),
            *(stores.uptime.apply([batch], {}) for batch in late[hour - 1 :: HOURS]),
            decide("refused"),
            decide("released"),
            stores.epochs.measure(ended),
            stores.scores.recompute(ended, FIRST_FORMULA),
            sound(),
            *([stores.users.erase(people[4], ended)] if hour == HOURS - 1 else []),
        ]
        dice.shuffle(doing)
        await asyncio.gather(*doing)
        await sound()
    assert [epoch.number for epoch in await stores.epochs.epochs(None, 10)] == list(range(HOURS, 0, -1))
    balances = await stores.ledger.balances(people)
    assert sum(each.claimed for each in balances.values()) == sum(claimed) > 0
    await pool.close()


async def test_no_close_makes_the_partition_that_it_books_in(postgres_dsn: str) -> None:
    # Whoever plans a statement before such a close and looks after it would see balances without postings.
    pool = await connect(postgres_dsn)
    epochs = Histories(pool, FIRST_FORMULA).postgres.epochs
    await epochs.set_terms(TERMS, START)
    await epochs.begin(START, 86_400)
    for day in range(33):
        epoch = await epochs.open()
        assert epoch is not None
        assert epoch.starts_at == START.replace(hour=0) + timedelta(days=day)
        month = f"ledger_posting_{epoch.starts_at:%Y%m}"
        assert await pool.fetch("SELECT FROM pg_class WHERE relname = $1", month)
        assert await epochs.close(epoch.ends_at, epoch.ends_at)
    await pool.close()
