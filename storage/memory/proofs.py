"""Proofs over the data that memory adapters share: the twin of the statements of `proofs.sql`."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from storage.base.epochs import Epoch, Terms
from storage.base.ledger import HOUSE, Balances, Category, Finding, Posting
from storage.base.proofs import Helped, Recorded
from storage.epochs import WORK, day_of, final_at, pool_of, rates_of, seconds_of
from storage.memory.database import MemoryDatabase
from storage.proofs import STORED, finding, most_shares, pay_keys
from storage.referrals import WHOLE, above

_MOVES = ("release", "payable", "claim")
_PAYS = ("reward", "bonus", "referral")


class MemoryProofs:
    """`ProofStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def check(self) -> list[Finding]:
        checks = (
            _spans,
            _states,
            _terms,
            _pools,
            _bookings,
            _nodes,
            _days,
            _campaigns,
            _corrections,
            _moves,
            _parents,
            _paid,
        )
        first: dict[str, Finding] = {}
        for check in checks:
            for found in check(self._db):
                first.setdefault(found.invariant, found)
        return [first[name] for name in STORED if name in first]

    async def sums(self, after: UUID | None, limit: int) -> dict[UUID, Balances]:
        people = sorted({user_id for user_id, _, _ in self._db.balances if user_id > (after or HOUSE)})[
            :limit
        ]
        sums: dict[UUID, Counter[str]] = {user_id: Counter() for user_id in people}
        for entry in self._db.entries:
            for posting in entry.postings:
                if posting.user_id in sums:
                    sums[posting.user_id][posting.account] += posting.amount
        return {user_id: Balances(**accounts) for user_id, accounts in sums.items()}

    async def oldest_recorded(self) -> int | None:
        return min((number for number, nodes in self._db.epoch_nodes.items() if nodes), default=None)

    async def recorded(self, number: int) -> AsyncIterator[Recorded]:
        db = self._db
        states, nodes = {**db.states, **db.former}, {**db.nodes, **db.retired}
        found = []
        for node_id, each in db.epoch_nodes.get(number, {}).items():
            node, user_id = nodes.get(node_id), states[node_id].user_id
            found.append(
                Recorded(
                    node_id=node_id,
                    user_id=user_id,
                    erased=user_id not in db.users,
                    created_at=node.created_at if node else None,
                    seconds=each.seconds,
                    score=each.score,
                    gate=each.gate,
                    country=each.country,
                    bytes=each.bytes,
                    availability=each.availability,
                    usage=each.usage,
                )
            )
        for recorded in sorted(found, key=lambda node: (node.user_id, node.node_id)):
            yield recorded

    async def helped(self, number: int) -> AsyncIterator[Helped]:
        for user_id, each in sorted(self._db.epoch_people.get(number, {}).items()):
            yield Helped(user_id=user_id, first_seconds=each.first_seconds, streak=each.streak)

    async def rewarded(self, number: int) -> AsyncIterator[Posting]:
        keys = set(pay_keys(number))
        postings = [
            posting
            for entry in self._db.entries
            for posting in entry.postings
            if entry.key in keys and posting.user_id != HOUSE
        ]
        for posting in sorted(postings, key=lambda posting: posting.user_id):
            yield posting


def _closed(db: MemoryDatabase) -> list[tuple[Epoch, Terms]]:
    versions = {version.version: version.terms for version in db.terms_versions}
    return [
        (epoch, versions[epoch.terms]) for _, epoch in sorted(db.epochs.items()) if epoch.terms in versions
    ]


def _closed_to(db: MemoryDatabase) -> datetime | None:
    return max((epoch.ends_at for epoch in db.epochs.values()), default=None)


def _spans(db: MemoryDatabase) -> Iterator[Finding]:
    spans = [(number, epoch.starts_at, epoch.ends_at) for number, epoch in sorted(db.epochs.items())]
    if db.open_epoch is not None:
        spans.append((db.open_epoch.number, db.open_epoch.starts_at, db.open_epoch.ends_at))
    if not spans:
        return
    for former, (number, starts_at, _) in pairwise([(0, None, spans[0][1]), *spans]):
        if (number, starts_at) != (former[0] + 1, former[2]):
            yield finding(
                "epoch_gap", number=number, starts_at=starts_at, former=former[0], former_ends_at=former[2]
            )


def _states(db: MemoryDatabase) -> Iterator[Finding]:
    closed_to = _closed_to(db)
    if closed_to is None:
        return
    for epoch, terms in _closed(db):
        final = final_at(epoch.ends_at, terms)
        if epoch.final != (final <= closed_to):
            yield finding(
                "epoch_state",
                number=epoch.number,
                closed_at=epoch.closed_at,
                final_at=final,
                final=epoch.final,
                closed_to=closed_to,
            )


def _terms(db: MemoryDatabase) -> Iterator[Finding]:
    versions = {version.version: version for version in db.terms_versions}
    former = 0
    for number, epoch in sorted(db.epochs.items()):
        version = versions.get(epoch.terms)
        early = version is not None and (
            version.created_at <= epoch.starts_at or epoch.terms == min(versions)
        )
        if not early or epoch.terms < former:
            final = version and final_at(epoch.ends_at, version.terms)
            yield finding("epoch_terms", number=number, terms=epoch.terms, former=former, final_at=final)
        former = epoch.terms


def _pools(db: MemoryDatabase) -> Iterator[Finding]:
    for epoch, terms in _closed(db):
        seconds = seconds_of(epoch.starts_at, epoch.ends_at)
        sizes = {pool.category: pool.pool for pool in epoch.pools}
        for category, rate in rates_of(terms).items():
            wanted, pool = pool_of(rate, seconds), sizes.get(category)
            if pool != wanted:
                yield finding("pool_size", number=epoch.number, category=category, pool=pool, wanted=wanted)
        paid: Counter[str] = Counter()
        for each in epoch.pools:
            if each.category not in WORK:
                paid["referral" if each.category == "referral" else "bonus"] += each.rewarded
        for name, rate in (("bonus", terms.bonus_pool), ("referral", terms.referral_pool)):
            most = pool_of(rate, seconds)
            if paid[name] > most:
                yield finding("pool_cap", number=epoch.number, name=name, pool=most, paid=paid[name])


def _bookings(db: MemoryDatabase) -> Iterator[Finding]:
    booked: dict[tuple[int, Category], list[int]] = defaultdict(lambda: [0, 0, 0])
    for entry in db.entries:
        if entry.kind in _PAYS:
            for posting in entry.postings:
                sums = booked[entry.epoch, posting.category]
                sums[0] += max(posting.amount, 0)
                sums[1] += posting.amount if posting.account == "unallocated" else 0
                sums[2] -= posting.amount if posting.account == "issued" else 0
    pools = {(number, pool.category): pool for number, epoch in db.epochs.items() for pool in epoch.pools}
    for number, category in sorted({*booked, *pools}):
        known, (credited, unallocated, issued) = pools.get((number, category)), booked[number, category]
        said = (known.pool, known.unallocated) if known else (0, 0)
        if (*said, said[0]) != (credited, unallocated, issued):
            yield finding(
                "pool_booked",
                number=number,
                category=category,
                pool=said[0],
                unallocated=said[1],
                booked=credited,
                booked_unallocated=unallocated,
            )


def _nodes(db: MemoryDatabase) -> Iterator[Finding]:
    kept = [number for number, nodes in db.epoch_nodes.items() if nodes]
    for number, epoch in sorted(db.epochs.items()):
        if number < min(kept, default=number + 1):
            continue
        nodes = db.epoch_nodes.get(number, {}).values()
        pools = {pool.category: pool for pool in epoch.pools}
        said = [
            (pool.rewarded, pool.weight) if pool else (0, 0)
            for pool in (pools.get("availability"), pools.get("usage"))
        ]
        sums = [
            (sum(node.availability for node in nodes), sum(node.availability_weight for node in nodes)),
            (sum(node.usage for node in nodes), sum(node.usage_weight for node in nodes)),
        ]
        if (epoch.nodes, said) != (len(nodes), sums):
            yield finding(
                "pool_nodes",
                number=number,
                nodes=epoch.nodes,
                recorded=len(nodes),
                availability=said[0][0],
                recorded_availability=sums[0][0],
                usage=said[1][0],
                recorded_usage=sums[1][0],
            )


def _days(db: MemoryDatabase) -> Iterator[Finding]:
    paid: dict[int, Counter[str]] = defaultdict(Counter)
    kept: dict[int, Counter[str]] = defaultdict(Counter)
    for number, epoch in db.epochs.items():
        if number < db.from_epoch:
            for pool in epoch.pools:
                paid[day_of(epoch.starts_at)][pool.category] += pool.rewarded
    for (_, day), amounts in db.earned_days.items():
        kept[day].update(dict(zip(WORK, amounts, strict=True)))
    for day in sorted(paid):
        said, known = [[sums[day][category] for category in WORK] for sums in (paid, kept)]
        if kept and day >= min(kept) and said != known:
            yield finding(
                "pool_days",
                day=day,
                availability=said[0],
                kept_availability=known[0],
                usage=said[1],
                kept_usage=known[1],
            )


def _campaigns(db: MemoryDatabase) -> Iterator[Finding]:
    paid: Counter[UUID] = Counter()
    for number, epoch in sorted(db.epochs.items()):
        total = 0
        for each in db.epoch_campaigns.get(number, []):
            paid[each.campaign_id] += each.paid
            total += each.paid
        rewarded = sum(pool.rewarded for pool in epoch.pools if pool.category == "campaign")
        if rewarded != total:
            yield finding("campaign_pool", number=number, rewarded=rewarded, paid=total)
    for campaign_id, campaign in sorted(db.campaigns.items()):
        if campaign.spent != paid[campaign_id] or campaign.spent > campaign.budget:
            yield finding(
                "campaign_spent",
                campaign_id=campaign_id,
                spent=campaign.spent,
                budget=campaign.budget,
                paid=paid[campaign_id],
            )


def _corrections(db: MemoryDatabase) -> Iterator[Finding]:
    pools = {
        (number, pool.category): pool.pool for number, epoch in db.epochs.items() for pool in epoch.pools
    }
    totals: Counter[tuple[int, Category]] = Counter()
    for entry_id, entry in enumerate(db.entries, 1):
        if entry.kind != "correction":
            continue
        former = db.entries[db.entry_ids[entry.reverses] - 1] if entry.reverses in db.entry_ids else None
        credited: Counter[Category] = Counter()
        for posting in entry.postings:
            credited[posting.category] += max(posting.amount, 0)
        for category, amount in sorted(credited.items()):
            number = former.epoch if former else 0
            totals[number, category] += amount
            pool = pools.get((number, category))
            if former is None or former.kind != "reward" or pool is None or totals[number, category] > pool:
                yield finding(
                    "correction",
                    entry_id=entry_id,
                    number=number,
                    category=category,
                    amount=amount,
                    pool=pool,
                )


def _moves(db: MemoryDatabase) -> Iterator[Finding]:
    closed_to = _closed_to(db)
    matured: Counter[tuple[UUID, str, Category, datetime]] = Counter()
    claimable: Counter[tuple[UUID, Category]] = Counter()
    for entry_id, entry in enumerate(db.entries, 1):
        own: Counter[tuple[UUID, Category]] = Counter()
        for posting in entry.postings:
            own[posting.user_id, posting.category] += posting.amount
            if posting.account == "claimable":
                claimable[posting.user_id, posting.category] += posting.amount
            at = posting.matures_at
            if at is not None and closed_to is not None and at <= closed_to:
                matured[posting.user_id, posting.account, posting.category, at] += posting.amount
        for (user_id, category), amount in sorted(own.items()):
            if entry.kind in _MOVES and amount:
                yield finding("moved", entry_id=entry_id, user_id=user_id, category=category, amount=amount)
            if (rest := claimable[user_id, category]) < 0:
                yield finding("claim", entry_id=entry_id, user_id=user_id, category=category, rest=rest)
    for (user_id, account, category, at), amount in sorted(matured.items()):
        if amount:
            yield finding(
                "matured", user_id=user_id, account=account, category=category, matures_at=at, amount=amount
            )


def _parents(db: MemoryDatabase) -> Iterator[Finding]:
    parents = {user_id: referral.parent_id for user_id, referral in db.referrals.items()}
    for user_id, referral in sorted(db.referrals.items()):
        if _is_in_a_circle(user_id, parents):
            yield finding("referral_cycle", user_id=user_id, parent_id=referral.parent_id)
        # Of whoever is erased nothing is known here but the id.
        parent = db.users.get(referral.parent_id)
        if parent is not None and parent.created_at > referral.joined_at:
            yield finding(
                "referral_age",
                user_id=user_id,
                parent_id=referral.parent_id,
                joined_at=referral.joined_at,
                created_at=parent.created_at,
            )
        up = db.referrals.get(referral.parent_id)
        wanted = (up.parent_id, up.second_id) if up else (None, None)
        if (referral.second_id, referral.third_id) != wanted:
            yield finding(
                "referral_level",
                user_id=user_id,
                second_id=referral.second_id,
                wanted_second=wanted[0],
                third_id=referral.third_id,
                wanted_third=wanted[1],
            )


def _is_in_a_circle(user_id: UUID, parents: dict[UUID, UUID]) -> bool:
    seen: set[UUID] = set()
    while user_id in parents:
        if user_id in seen:
            return True
        seen.add(user_id)
        user_id = parents[user_id]
    return False


def _paid(db: MemoryDatabase) -> Iterator[Finding]:
    """What was paid for referrals: to whom, how much of it is booked, and how much there may be."""
    most = most_shares(db.terms_versions)
    worked = _worked(db)
    said: dict[UUID, list[int]] = defaultdict(lambda: [0, 0])
    for (user_id, referee_id), each in sorted(db.referral_sums.items()):
        said[user_id][0] += each.amount - each.taken
        said[user_id][1] += each.held
        referral = db.referrals.get(referee_id)
        if referral is None or (each.level, user_id) not in above(referral):
            yield finding("commission_level", user_id=user_id, referee_id=referee_id, level=each.level)
        earned = worked[referee_id]
        if each.amount * WHOLE * WHOLE > earned * most[each.level - 1]:
            yield finding(
                "commission_share",
                user_id=user_id,
                referee_id=referee_id,
                level=each.level,
                amount=each.amount,
                earned=earned,
            )
    lost = sum(each.lost for each in db.referral_sums.values())
    house = -sum(amount for (_, account, _), amount in db.balances.items() if account == "lost")
    if lost != house:
        yield finding("commission_lost", lost=lost, booked=house)
    booked: dict[UUID, list[int]] = defaultdict(lambda: [0, 0])
    for (user_id, account, category), amount in db.balances.items():
        if category == "referral" and user_id != HOUSE:
            booked[user_id][0] += amount
            booked[user_id][1] += amount if account == "held" else 0
    for user_id in sorted({*said, *booked}):
        if said[user_id] != booked[user_id]:
            yield finding(
                "commission_booked",
                user_id=user_id,
                earned=said[user_id][0],
                booked=booked[user_id][0],
                held=said[user_id][1],
                booked_held=booked[user_id][1],
            )


def _worked(db: MemoryDatabase) -> Counter[UUID]:
    """What everybody's work came to."""
    worked: Counter[UUID] = Counter()
    for entry in db.entries:
        if entry.kind in ("reward", "correction"):
            for posting in entry.postings:
                if posting.category in WORK:
                    worked[posting.user_id] += posting.amount
    return worked
