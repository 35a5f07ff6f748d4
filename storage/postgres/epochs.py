"""The epochs, closed by the server itself: not a row of a node comes here."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.errors import NotFound
from storage.base.campaigns import CampaignInputs
from storage.base.epochs import (
    Accruing,
    BonusInputs,
    Epoch,
    FirstHours,
    NodeEarned,
    NodeInputs,
    OpenEpoch,
    Pool,
    PrunedEpochs,
    Streak,
    Terms,
    TermsVersion,
)
from storage.base.ledger import Earned, Kind
from storage.days import number_of
from storage.epochs import (
    BONUSES,
    NEVER,
    WORK,
    are_bytes_apart,
    commission_final_at,
    day_of,
    edge_before,
    final_at,
    follow,
    hours_of,
    is_whole_hours,
    length_of,
    points_of,
    pool_of,
    rates_of,
    reward_key,
    seconds_of,
    terms_at,
)
from storage.postgres.campaigns import campaign_record, running
from storage.postgres.pool import Pool as Connections
from storage.postgres.queries import load
from storage.postgres.referrals import terms_as_arguments
from storage.uptime import HOUR_S

# Seconds that a close, and a measurement, may take.
CLOSE_TIMEOUT = 600
MEASURE_TIMEOUT = 120

_SQL = load("epochs")
_REFERRALS = load("referrals")
_MEASURE = load("measure")
_FIGURES = load("figures")
_MEASURED = _SQL["measured"].format(did=_SQL["did"])
_TERMS = msgspec.json.Decoder(Terms)
_ORDER: dict[str, int] = {category: place for place, category in enumerate((*WORK, *BONUSES, "referral"))}


class PostgresEpochs:
    """`EpochStore` on PostgreSQL.

    One transaction at a time closes, in READ COMMITTED. All that is measured is read by one statement, hence
    from one snapshot, into a temporary table; everything else is made from that. So nobody who measures
    waits for a close, and it takes no lock of `ingest_cursor`, accounts or nodes. People's balances are
    locked at its end, in the order of their ids. A computation of scores waits until it is over, or gives up.
    """

    def __init__(self, pool: Connections) -> None:
        self._pool = pool

    async def set_terms(self, terms: Terms, at: datetime) -> TermsVersion:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["lock"])
            row = await connection.fetchrow(_SQL["newest_terms"])
            newest = row and _version(row)
            if newest is not None and newest.terms == terms:
                return newest
            version = TermsVersion(version=newest.version + 1 if newest else 1, created_at=at, terms=terms)
            parameters = msgspec.json.encode(terms).decode()
            await connection.execute(_SQL["add_terms"], version.version, parameters, at)
            return version

    async def terms(self) -> list[TermsVersion]:
        return [_version(row) for row in await self._pool.fetch(_SQL["terms"])]

    async def begin(self, at: datetime, seconds: int) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["lock"])
            if await connection.fetchrow(_SQL["newest_terms"]) is None:
                raise NotFound("terms_unknown", "There are no terms that an epoch could be closed by.")
            row = await connection.fetchrow(_SQL["newest"])
            if row is None:
                start = edge_before(at, seconds)
                # A close makes the next month's only: who reads while one commits must know of the rows' own.
                await connection.execute("SELECT make_posting_partition($1)", start)
                await connection.execute(_SQL["add"], 1, start, start + timedelta(seconds=seconds), seconds)
            elif row["seconds"] != seconds:
                former = seconds_of(row["starts_at"], row["ends_at"])
                length = length_of(row["starts_at"], seconds, former)
                ends_at = row["starts_at"] + timedelta(seconds=length)
                await connection.execute(_SQL["lengthen"], row["number"], ends_at, seconds)
                # Those that come after it are others now.
                await connection.execute(_SQL["drop_later_sums"], row["number"])
                await connection.execute(_FIGURES["count_change"])

    async def close(self, at: datetime, settled_to: datetime) -> Epoch | None:
        async with self._pool.transaction(CLOSE_TIMEOUT) as connection:
            await connection.execute(_SQL["lock"])
            row = await connection.fetchrow(_SQL["newest"])
            if row is None or row["ends_at"] > settled_to:
                return None
            versions = [_version(each) for each in await connection.fetch(_SQL["terms"])]
            close = _Close(connection, row, at, versions)
            await close.run()
            [epoch] = _epochs(await connection.fetch(_SQL["epochs"], None, 1, row["number"]))
            return epoch

    async def measure(self, at: datetime) -> OpenEpoch:
        async with self._pool.transaction(MEASURE_TIMEOUT) as connection:
            await connection.execute(_MEASURE["prepare"])
            row = await connection.fetchrow(_SQL["open"])
            if row is None:
                raise NotFound("epoch_unknown", "No epoch has begun.")
            epochs = [_open(row)]
            if epochs[0].ends_at <= at:
                epochs = [epoch for epoch in await _follow(connection, row) if epoch.starts_at <= at]
            for place, epoch in enumerate(epochs):
                span = await _span(
                    connection, epoch.number, epoch.starts_at, epoch.ends_at, epoch.terms.terms
                )
                row = await connection.fetchrow(_MEASURE["sum_up"], *span)
                usage = int(row["usage"]) if are_bytes_apart(epoch, epochs[0]) else None
                await connection.execute(_SQL["keep_sums"], epoch.number, at, row["availability"], usage)
                epochs[place] = msgspec.structs.replace(
                    epoch, measured_at=at, availability_weight=int(row["availability"]), usage_weight=usage
                )
            await connection.execute(_SQL["drop_sums"], epochs[0].number)
            await connection.execute(_FIGURES["count_change"])
            return epochs[0]

    async def open(self) -> OpenEpoch | None:
        row = await self._pool.fetchrow(_SQL["open"])
        return row and _open(row)

    async def unclosed(self) -> list[OpenEpoch]:
        async with self._pool.snapshot() as pool, pool.connection() as connection:
            row = await connection.fetchrow(_SQL["open"])
            if row is None:
                return []
            if row["measured_to"] is None or row["measured_to"] <= row["number"]:
                return [_open(row)]
            sums = {each["epoch"]: each for each in await connection.fetch(_SQL["measures"], row["number"])}
            epochs = await _follow(connection, row)
            return [
                _with_sums(epoch, sums.get(epoch.number))
                for epoch in epochs
                if epoch.number in {row["number"], *sums}
            ]

    async def accruing(
        self, user_ids: Sequence[UUID], epochs: Sequence[OpenEpoch]
    ) -> dict[UUID, list[Accruing]]:
        nothing = Accruing(availability_weight=0, usage_weight=0)
        found = {user_id: [nothing] * len(epochs) for user_id in user_ids}
        async with self._pool.connection() as connection:
            for place, epoch in enumerate(epochs):
                span = await _span(
                    connection, epoch.number, epoch.starts_at, epoch.ends_at, epoch.terms.terms
                )
                apart = are_bytes_apart(epoch, epochs[0])
                for row in await connection.fetch(_SQL["accruing"], *span, list(user_ids)):
                    found[row["user_id"]][place] = Accruing(
                        availability_weight=int(row["availability"]),
                        usage_weight=int(row["usage"]) if apart else 0,
                    )
        return found

    async def epochs(self, before: int | None, limit: int) -> list[Epoch]:
        return _epochs(await self._pool.fetch(_SQL["epochs"], before, limit, None))

    async def epoch(self, number: int) -> Epoch | None:
        found = _epochs(await self._pool.fetch(_SQL["epochs"], None, 1, number))
        return found[0] if found else None

    async def inputs(self, number: int, user_id: UUID) -> list[NodeInputs]:
        return [_inputs(row) for row in await self._pool.fetch(_SQL["inputs"], number, user_id)]

    async def node_earned(
        self, user_id: UUID, node_id: UUID, edges: Sequence[datetime]
    ) -> list[Earned] | None:
        async with self._pool.connection() as connection:
            number = await connection.fetchval(_SQL["number_of_node"], user_id, node_id)
            if number is None:
                return None
            rows = await connection.fetch(_SQL["node_earned"], number, edges, edges[0], edges[-1])
        return [
            Earned(start=edges[row["span"] - 1], category=category, amount=int(row[category]))
            for row in rows
            for category in WORK
            if row[category]
        ]

    async def node_epochs(
        self, user_id: UUID, node_id: UUID, before: int | None, limit: int
    ) -> list[NodeEarned] | None:
        async with self._pool.connection() as connection:
            number = await connection.fetchval(_SQL["number_of_node"], user_id, node_id)
            if number is None:
                return None
            rows = await connection.fetch(_SQL["node_epochs"], number, before, limit)
        return [NodeEarned(**row) for row in rows]

    async def prune(self, ended_before: datetime, days_from: date) -> PrunedEpochs:
        rolling = True
        while rolling:
            async with self._pool.transaction() as connection:
                await connection.execute(_SQL["open_earned_months"])
            async with self._pool.transaction(CLOSE_TIMEOUT) as connection:
                await connection.execute(_SQL["room"])
                rolling = await connection.fetchval(_SQL["roll_up"], ended_before)
        epochs = await self._unless_busy("drop_epochs")
        months = await self._unless_busy("drop_earned_days", number_of(days_from))
        return PrunedEpochs(
            epochs=epochs or 0, months=months or 0, complete=epochs is not None and months is not None
        )

    async def _unless_busy(self, statement: str, *arguments: Any) -> int | None:
        """What a statement returns, in a transaction of its own; None if it would have to wait too long."""
        try:
            async with self._pool.transaction() as connection:
                await connection.execute(_SQL["patience"])
                return int(await connection.fetchval(_SQL[statement], *arguments))
        except asyncpg.LockNotAvailableError:
            return None

    async def bonus_inputs(self, number: int, user_id: UUID) -> BonusInputs:
        async with self._pool.connection() as connection:
            own = await connection.fetchrow(_SQL["person_inputs"], number, user_id)
            rows = await connection.fetch(_SQL["campaign_inputs"], number)
        return BonusInputs(
            first_seconds=own["first_seconds"] if own else 0,
            streak=own["streak"] if own else 0,
            campaigns=[campaign_record(row) for row in rows],
        )


class _Close:
    """One close, on a connection with a transaction that holds the lock."""

    def __init__(self, connection: Any, row: Any, at: datetime, versions: Sequence[TermsVersion]) -> None:
        self._db = connection
        self._number: int = row["number"]
        self._starts_at: datetime = row["starts_at"]
        self._ends_at: datetime = row["ends_at"]
        self._wanted: int = row["seconds"]
        self._at = at
        self._versions = {version.version: version for version in versions}
        self._version = terms_at(versions, self._starts_at)
        self._kinds: dict[str, tuple[Kind, str | None]] = {}
        self._campaigns: list[CampaignInputs] = []

    async def run(self) -> None:
        """Everything, in an order in which each step sees what the former booked."""
        await self._db.execute(_SQL["prepare"])
        await self._db.execute("SELECT make_epoch_partition($1)", self._number)
        await self._db.execute("SELECT make_posting_partition($1)", self._starts_at)
        await self._db.execute(_SQL["make_postings"])
        self._campaigns = await running(self._db, self._starts_at, self._ends_at)
        nodes, users = await self._reward()
        terms = self._version.terms
        await self._grant()
        await self._refer()
        for row in await self._db.fetch(_SQL["becoming_final"], self._ends_at):
            await self._correct(
                row["number"], row["starts_at"], row["ends_at"], self._versions[row["terms"]].terms
            )
        await self._db.execute(_SQL["analyse_postings"])
        await self._release()
        await self._pay(terms.minimum_payout)
        await self._book()
        final = final_at(self._ends_at, terms)
        await self._db.execute(
            _SQL["finish"], self._number, self._version.version, self._at, final, nodes, users
        )
        await self._db.execute(_SQL["make_final"], self._ends_at)
        await self._follow()

    async def _reward(self) -> tuple[int, int]:
        """Measure, and share the pools of work out; returns how many nodes and people there were."""
        db, terms = self._db, self._version.terms
        span = await _span(db, self._number, self._starts_at, self._ends_at, terms)
        await db.execute(_SQL["gather"].format(measured=_MEASURED), *span)
        await db.execute(_SQL["analyse"])
        sums = await db.fetchrow(_SQL["sums"])
        seconds = seconds_of(self._starts_at, self._ends_at)
        pools = {category: pool_of(rate, seconds) for category, rate in rates_of(terms).items()}
        await db.execute(_SQL["reward"], *pools.values(), *(sums[category] for category in WORK))
        await db.execute(_SQL["analyse_rewards"])
        by_country = any(each.country is not None for each in self._campaigns)
        await db.execute(_SQL["keep_inputs"], self._number, by_country)
        rewarded = await db.fetchrow(_SQL["rewarded"])
        await self._post(f"epoch:{self._number}:", "closing_reward", self._ends_at, terms)
        for category, pool in pools.items():
            rest = pool - int(rewarded[category])
            await db.execute(
                _SQL["keep_pool"], self._number, category, pool, sums[category], rewarded[category], rest
            )
            key = reward_key(self._number, category)
            self._kinds[key] = "reward", None
            await db.execute(_SQL["post_house"], key, "issued", category, -pool)
            await db.execute(_SQL["post_house"], key, "unallocated", category, rest)
        return sums["nodes"], sums["users"]

    async def _grant(self) -> None:
        """Share the pool of bonuses out."""
        db, terms = self._db, self._version.terms
        length = seconds_of(self._starts_at, self._ends_at)
        await db.execute(_SQL["make_bonuses"])
        if terms.streak or terms.first_hours:
            await self._advance()
        for each in self._campaigns:
            await db.execute(
                _SQL["want_campaign"],
                each.campaign_id,
                each.country,
                each.share,
                each.seconds,
                each.available,
                length,
            )
        wanted = await db.fetch(_SQL["granted"])
        if not wanted:
            return
        pool, total = pool_of(terms.bonus_pool, length), sum(row["amount"] for row in wanted)
        paid = wanted
        if total > pool:
            await db.execute(_SQL["scale_bonuses"], pool, total)
            paid = await db.fetch(_SQL["granted"])
        await self._spend(paid)
        key = f"epoch:{self._number}:bonus"
        self._kinds[key] = "bonus", None
        await db.execute(_SQL["post_bonuses"], key, final_at(self._ends_at, terms))
        for category in BONUSES:
            weight = sum(row["amount"] for row in wanted if row["category"] == category)
            amount = sum(row["amount"] for row in paid if row["category"] == category)
            if weight:
                await db.execute(_SQL["keep_pool"], self._number, category, amount, weight, amount, 0)
                await db.execute(_SQL["post_house"], key, "issued", category, -amount)

    async def _advance(self) -> None:
        """Note everybody's progress, and what they want for it."""
        db, terms, day = self._db, self._version.terms, day_of(self._starts_at)
        streak = terms.streak or Streak(days=1, least_seconds=NEVER, amount=0)
        first = terms.first_hours or FirstHours(hours=0, share=0)
        await db.execute(
            _SQL["advance"],
            day,
            streak.least_seconds,
            streak.days,
            streak.amount,
            first.hours * HOUR_S,
            first.share,
        )
        await db.execute(_SQL["keep_progress"], day)
        await db.execute(_SQL["keep_people"], self._number)
        await db.execute(_SQL["want_own"])

    async def _spend(self, paid: Sequence[Any]) -> None:
        """Keep what campaigns came to."""
        campaigns = {each.campaign_id: each for each in self._campaigns}
        rows = [(campaigns[row["campaign_id"]], row) for row in paid if row["campaign_id"] is not None]
        if rows:
            await self._db.execute(
                _SQL["keep_campaigns"],
                self._number,
                [each.campaign_id for each, _ in rows],
                [each.country for each, _ in rows],
                [each.share for each, _ in rows],
                [each.seconds for each, _ in rows],
                [each.available for each, _ in rows],
                [row["wanted"] for _, row in rows],
                [row["amount"] for _, row in rows],
            )

    async def _refer(self) -> None:
        """Let those have their share who brought the people who worked."""
        db, terms = self._db, self._version.terms
        pool = pool_of(terms.referral_pool, seconds_of(self._starts_at, self._ends_at))
        await db.execute(_SQL["work_earned"])
        statement = _SQL["commissions"].format(commissions=_REFERRALS["commissions"])
        await db.execute(statement, pool, *terms_as_arguments(terms.referrals))
        row = await db.fetchrow(_SQL["commissioned"])
        if not row["paid"]:
            return
        key = f"epoch:{self._number}:referral"
        self._kinds[key] = "referral", None
        matures_at = commission_final_at(self._ends_at, terms)
        await db.execute(_SQL["post_commissions"], key, matures_at)
        await db.execute(_REFERRALS["keep_sums"], matures_at, self._starts_at)
        await db.execute(
            _SQL["keep_pool"], self._number, "referral", row["paid"], row["wanted"], row["paid"], 0
        )
        await db.execute(_SQL["post_house"], key, "issued", "referral", -row["paid"])

    async def _correct(self, number: int, starts_at: datetime, ends_at: datetime, terms: Terms) -> None:
        """Measure an epoch that becomes final once more, and book what it was too little by."""
        db = self._db
        span = await _span(db, number, starts_at, ends_at, terms)
        whole = is_whole_hours(starts_at, ends_at)
        await db.execute(_SQL["gather_again"].format(did=_SQL["did"]), *span, whole)
        sums = await db.fetchrow(_SQL["sums_again"], number)
        seconds = seconds_of(starts_at, ends_at)
        pools = {category: pool_of(rate, seconds) for category, rate in rates_of(terms).items()}
        await db.execute(_SQL["reward_again"], *pools.values(), *(sums[category] for category in WORK))
        prefix = f"correction:{number}:"
        await self._post(prefix, "again_reward", ends_at, terms)
        await self._post(prefix, "again_reward", ends_at, terms, before=True)
        await db.execute(_SQL["net"], prefix)
        for row in await db.fetch(_SQL["corrected"], prefix):
            category = row["category"]
            key = f"{prefix}{category}"
            self._kinds[key] = "correction", reward_key(number, category)
            await db.execute(_SQL["post_house"], key, "corrections", category, -row["amount"])
        await db.execute(_SQL["drop_again"])

    async def _post(
        self, key: str, table: str, ends_at: datetime, terms: Terms, *, before: bool = False
    ) -> None:
        """Note what people get of a table of rewards; `before`: take back what it says they had before."""
        suffix = "_before" if before else ""
        statement = _SQL["post_shares"].format(
            table=table,
            availability=f"availability{suffix}",
            usage=f"usage{suffix}",
            sign="-" if before else "",
        )
        steps = sorted({step.days: step.share for step in reversed(terms.holdback)}.items(), reverse=True)
        # A node that was made at the very edge has reached the step.
        after = [ends_at - timedelta(days=days) + timedelta(microseconds=1) for days, _ in steps]
        await self._db.execute(
            statement,
            key,
            final_at(ends_at, terms),
            after,
            [days for days, _ in steps],
            [share for _, share in steps],
        )

    async def _release(self) -> None:
        key = f"epoch:{self._number}:release"
        self._kinds[key] = "release", None
        await self._db.execute(_SQL["release"], key, self._starts_at, self._ends_at)

    async def _pay(self, minimum: int) -> None:
        key = f"epoch:{self._number}:payable"
        self._kinds[key] = "payable", None
        await self._db.execute(_SQL["pay"], key, max(minimum, 1))

    async def _book(self) -> None:
        """Book what was noted: all postings in one statement, as the ledger wants it."""
        noted = {row["key"] for row in await self._db.fetch(_SQL["keys"])}
        keys = [key for key in self._kinds if key in noted]
        kinds = [self._kinds[key] for key in keys]
        await self._db.execute(
            _SQL["book_entries"],
            keys,
            [kind for kind, _ in kinds],
            [reverses for _, reverses in kinds],
            self._number,
            self._starts_at,
        )
        await self._db.execute(_SQL["book_postings"], self._starts_at, keys)

    async def _follow(self) -> None:
        """Open the next epoch."""
        length = length_of(self._ends_at, self._wanted, seconds_of(self._starts_at, self._ends_at))
        ends_at = self._ends_at + timedelta(seconds=length)
        await self._db.execute(_SQL["add"], self._number + 1, self._ends_at, ends_at, self._wanted)


async def _follow(connection: Any, row: Any) -> list[OpenEpoch]:
    """The open epoch, of which the row is, and those that come after it, without their sums."""
    versions = [_version(each) for each in await connection.fetch(_SQL["terms"])]
    return list(follow(_open(row), row["seconds"], versions))


def _open(row: Any) -> OpenEpoch:
    epoch = OpenEpoch(
        number=row["number"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        terms=_version(row),
        measured_at=None,
        availability_weight=0,
        usage_weight=0,
    )
    return _with_sums(epoch, row if row["measured_at"] else None)


def _with_sums(epoch: OpenEpoch, row: Any) -> OpenEpoch:
    """An epoch with what it was summed up to last, if it was."""
    if row is None:
        return epoch
    return msgspec.structs.replace(
        epoch,
        measured_at=row["measured_at"],
        availability_weight=int(row["availability"]),
        usage_weight=None if row["usage"] is None else int(row["usage"]),
    )


async def _span(
    connection: Any, number: int, starts_at: datetime, ends_at: datetime, terms: Terms
) -> tuple[int, ...]:
    """What "measured" takes."""
    hours = hours_of(starts_at, ends_at)
    earlier = await connection.fetchval(_SQL["earlier"], number, starts_at)
    return (
        hours[0],
        hours[-1],
        int(starts_at.timestamp()),
        int(ends_at.timestamp()),
        terms.unmeasured_score,
        earlier,
        number,
    )


def _version(row: Any) -> TermsVersion:
    return TermsVersion(
        version=row["version"], created_at=row["created_at"], terms=_TERMS.decode(row["parameters"])
    )


def _epochs(rows: Sequence[Any]) -> list[Epoch]:
    """Closed epochs from a row for each of their pools."""
    found: dict[int, Epoch] = {}
    for row in rows:
        epoch = found.setdefault(
            row["number"],
            Epoch(
                number=row["number"],
                starts_at=row["starts_at"],
                ends_at=row["ends_at"],
                terms=row["terms"],
                closed_at=row["closed_at"],
                final=row["final"],
                nodes=row["nodes"],
                users=row["users"],
                pools=[],
            ),
        )
        epoch.pools.append(
            Pool(
                category=row["category"],
                pool=int(row["pool"]),
                weight=int(row["weight"]),
                rewarded=int(row["rewarded"]),
                unallocated=int(row["unallocated"]),
            )
        )
    for epoch in found.values():
        epoch.pools.sort(key=lambda pool: _ORDER[pool.category])
    return list(found.values())


def _inputs(row: Any) -> NodeInputs:
    points = points_of(row["score"], row["gate"], _TERMS.decode(row["parameters"]))
    return NodeInputs(
        node_id=row["node_id"],
        seconds=row["seconds"],
        score=row["score"],
        gate=row["gate"],
        bytes=row["bytes"],
        availability_weight=row["seconds"] * points,
        usage_weight=row["bytes"],
        availability=row["availability"],
        usage=row["usage"],
        country=row["country"],
    )
