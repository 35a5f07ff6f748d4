"""What `MemoryProofs` finds: the twin of what the statements on PostgreSQL find."""

from collections.abc import Callable
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.proofs import prove
from support.stores import memory_stores
from support.worlds import HOUR, START, TERMS, World

from core.clock import new_id
from storage.base import FirstHours, Referral, ReferralTerms, Streak, TermsVersion
from storage.memory import MemoryDatabase

GENEROUS = replace(
    TERMS,
    bonus_pool=100_000,
    referral_pool=50_000,
    streak=Streak(days=1, least_seconds=300, amount=7000),
    first_hours=FirstHours(hours=1, share=1000),
    referrals=ReferralTerms(active_seconds=60),
)


class Scene:
    """Three people, each brought by the one before, over three hours; a late second is corrected."""

    def __init__(self) -> None:
        self.db = MemoryDatabase()
        self.stores = memory_stores(self.db)
        self.people: list[UUID] = []

    async def live(self) -> None:
        world = World(self.stores)
        self.people = sorted([await world.add_user() for _ in range(3)])
        for place, user_id in enumerate(self.people[1:], 1):
            above = [*reversed(self.people[:place]), None, None]
            self.db.referrals[user_id] = Referral(
                user_id=user_id,
                referral_id=new_id(),
                parent_id=self.people[place - 1],
                second_id=above[1],
                third_id=above[2],
                code="CODE",
                joined_at=START - HOUR,
                active_at=START - HOUR,
                state="good",
                decision=None,
                decided_at=None,
                decided_by=None,
                note="",
            )
        nodes = [await world.add_node(user_id) for user_id in self.people]
        await world.begin(GENEROUS)
        for hour in range(3):
            for place, node_id in enumerate(nodes):
                await world.report(node_id, hour, 0, 400 + 100 * place, up=1000)
            if hour == 1:
                await world.report(nodes[0], 0, 400, 900, up=50)
            await world.close()

    def terms(self, **changes: object) -> None:
        """The terms were others."""
        (version,) = self.db.terms_versions
        self.db.terms_versions[0] = replace(version, terms=replace(version.terms, **changes))

    def epoch(self, number: int, **changes: object) -> None:
        self.db.epochs[number] = replace(self.db.epochs[number], **changes)

    def referral(self, place: int, **changes: object) -> None:
        user_id = self.people[place]
        self.db.referrals[user_id] = replace(self.db.referrals[user_id], **changes)


def no_span(scene: Scene) -> None:
    assert scene.db.open_epoch is not None
    scene.db.open_epoch = replace(scene.db.open_epoch, number=5)


def early(scene: Scene) -> None:
    scene.epoch(3, final=True)


def other_terms(scene: Scene) -> None:
    late = TermsVersion(version=2, created_at=START + 9 * HOUR, terms=scene.db.terms_versions[0].terms)
    scene.db.terms_versions.append(late)
    scene.epoch(1, terms=2)


def no_nodes(scene: Scene) -> None:
    scene.epoch(2, nodes=4)


def days(scene: Scene) -> None:
    scene.db.from_epoch = 2
    scene.db.earned_days[next(iter(scene.db.epoch_nodes[1])), int(START.timestamp()) // 86_400] = (1, 1)


def spent(scene: Scene) -> None:
    scene.db.referral_sums[scene.people[0], scene.people[1]].lost = 3


def younger(scene: Scene) -> None:
    user = scene.db.users[scene.people[0]]
    scene.db.users[user.user_id] = replace(user, created_at=START)


def circle(scene: Scene) -> None:
    first, second, third = scene.people
    found = replace(scene.db.referrals[second], user_id=first, parent_id=third, second_id=second)
    scene.db.referrals[first] = replace(found, third_id=first)
    scene.referral(1, second_id=third, third_id=second)
    scene.referral(2, third_id=third)


def level(scene: Scene) -> None:
    scene.db.referral_sums[scene.people[0], scene.people[1]].level = 2


def amount(scene: Scene) -> None:
    scene.db.referral_sums[scene.people[0], scene.people[1]].amount += 1


BREAKS: dict[str, tuple[Callable[[Scene], None], list[str]]] = {
    "a gap": (no_span, ["epoch_gap"]),
    "final too early": (early, ["epoch_state"]),
    "other terms": (other_terms, ["epoch_terms"]),
    "a pool of another size": (lambda scene: scene.terms(usage_pool=1), ["pool_size", "computed"]),
    "too many bonuses": (lambda scene: scene.terms(bonus_pool=20_000), ["pool_cap", "computed"]),
    "too many commissions": (lambda scene: scene.terms(referral_pool=9), ["pool_cap"]),
    "another number of nodes": (no_nodes, ["pool_nodes"]),
    "another day": (days, ["pool_days"]),
    "something lost": (spent, ["commission_lost"]),
    "a younger parent": (younger, ["referral_age"]),
    "a circle": (circle, ["referral_cycle"]),
    "another grandparent": (
        lambda scene: scene.referral(2, second_id=None),
        ["referral_level", "commission_level"],
    ),
    "paid at another level": (level, ["commission_level"]),
    "paid something else": (amount, ["commission_booked"]),
}


async def test_nothing_is_found_where_nothing_is_wrong() -> None:
    scene = Scene()
    await scene.live()
    assert {entry.kind for entry in scene.db.entries} >= {"bonus", "correction", "referral", "release"}
    assert await prove(scene.stores, START, lambda least, most: least) == []


@pytest.mark.parametrize("name", BREAKS)
async def test_what_was_broken_is_found_and_nothing_else(name: str) -> None:
    scene = Scene()
    await scene.live()
    change, wanted = BREAKS[name]

    change(scene)

    found = await prove(scene.stores, START, lambda least, most: least)
    assert [finding.invariant for finding in found] == wanted
