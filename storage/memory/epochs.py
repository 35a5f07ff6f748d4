"""The epochs, closed by the arithmetic of `storage.epochs`."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from core.errors import NotFound
from storage.base.campaigns import CampaignInputs
from storage.base.epochs import (
    EPOCHS_TOGETHER,
    Accruing,
    BonusInputs,
    Epoch,
    NodeEarned,
    NodeInputs,
    OpenEpoch,
    Pool,
    PrunedEpochs,
    Terms,
    TermsVersion,
)
from storage.base.ledger import HOUSE, Account, Category, Earned, Entry, Kind, Posting
from storage.campaigns import grant
from storage.days import day_numbered, number_of
from storage.epochs import (
    DAY_S,
    WORK,
    Measured,
    Progress,
    Share,
    advance,
    are_bytes_apart,
    bytes_in,
    commission_final_at,
    corrected,
    correction_entry,
    day_of,
    edge_before,
    final_at,
    first_of,
    follow,
    hold_of,
    hours_of,
    inputs_of,
    is_whole_hours,
    length_of,
    parts,
    points_of,
    pool_of,
    rates_of,
    reward_entry,
    seconds_of,
    seconds_within,
    terms_at,
    weights_of,
)
from storage.memory.campaigns import named, running, spend
from storage.memory.database import MemoryDatabase
from storage.memory.ledger import book
from storage.memory.referrals import commissions, keep_sums
from storage.scores import QUARTERS
from storage.uptime import HOUR_S

# Whoever is erased has no node any more that was made at some time.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryEpochs:
    """`EpochStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def set_terms(self, terms: Terms, at: datetime) -> TermsVersion:
        versions = self._db.terms_versions
        if not versions or versions[-1].terms != terms:
            versions.append(TermsVersion(version=len(versions) + 1, created_at=at, terms=terms))
        return versions[-1]

    async def terms(self) -> list[TermsVersion]:
        return list(self._db.terms_versions)

    async def begin(self, at: datetime, seconds: int) -> None:
        if not self._db.terms_versions:
            raise NotFound("terms_unknown", "There are no terms that an epoch could be closed by.")
        former, self._db.epoch_seconds = self._db.epoch_seconds, seconds
        if self._db.open_epoch is None:
            start = edge_before(at, seconds)
            self._open(1, start, start + timedelta(seconds=seconds))
        else:
            open_ = self._db.open_epoch
            length = length_of(open_.starts_at, seconds, seconds_of(open_.starts_at, open_.ends_at))
            self._db.open_epoch = replace(open_, ends_at=open_.starts_at + timedelta(seconds=length))
            if seconds != former:
                # Those that come after it are others now.
                for number in [number for number in self._db.measures if number > open_.number]:
                    del self._db.measures[number]
                self._db.changes += 1

    async def close(self, at: datetime, settled_to: datetime) -> Epoch | None:
        open_ = self._now()
        if open_ is None or open_.ends_at > settled_to:
            return None
        terms = open_.terms.terms
        nodes = self._measured(open_)
        inputs, pools = inputs_of(nodes, terms, seconds_of(open_.starts_at, open_.ends_at))
        campaigns = running(self._db, open_.starts_at, open_.ends_at)
        if any(campaign.country is not None for campaign in campaigns):
            countries = {node.node_id: node.country for node in nodes}
            inputs = {node_id: replace(each, country=countries[node_id]) for node_id, each in inputs.items()}
        epoch = Epoch(
            number=open_.number,
            starts_at=open_.starts_at,
            ends_at=open_.ends_at,
            terms=open_.terms.version,
            closed_at=at,
            final=False,
            nodes=len(nodes),
            users=len({node.user_id for node in nodes if node.user_id is not None}),
            pools=pools,
        )
        entries: list[Entry | None] = []
        for pool in pools:
            rewards = {node_id: _reward(each, pool.category) for node_id, each in inputs.items()}
            shares = _shares(nodes, rewards, epoch.ends_at, terms)
            entries.append(reward_entry(epoch.number, epoch.starts_at, pool, shares))
        entries.extend(self._grant(epoch, nodes, inputs, terms, campaigns))
        entries.extend(self._refer(epoch, nodes, inputs, terms))
        for former in list(self._db.epochs.values()):
            if not former.final and self._is_final(former, epoch.ends_at):
                entries.extend(self._corrections(epoch, former))
        booked = [entry for entry in entries if entry is not None]
        booked.extend(self._release(epoch, booked))
        booked.extend(self._pay(epoch, terms.minimum_payout, booked))
        book(self._db, booked)
        self._db.epoch_nodes[epoch.number] = inputs
        self._db.epochs[epoch.number] = epoch
        for former in list(self._db.epochs.values()):
            if self._is_final(former, epoch.ends_at):
                self._db.epochs[former.number] = replace(former, final=True)
        length = length_of(epoch.ends_at, self._db.epoch_seconds, seconds_of(epoch.starts_at, epoch.ends_at))
        self._open(epoch.number + 1, epoch.ends_at, epoch.ends_at + timedelta(seconds=length))
        return self._db.epochs[epoch.number]

    async def measure(self, at: datetime) -> OpenEpoch:
        open_ = self._now()
        if open_ is None:
            raise NotFound("epoch_unknown", "No epoch has begun.")
        self._db.changes += 1
        for epoch in self._follow(open_):
            if epoch is not open_ and epoch.starts_at > at:
                break
            weights = [weights_of(node, epoch.terms.terms) for node in self._measured(epoch)]
            usage = sum(weight[1] for weight in weights)
            self._db.measures[epoch.number] = replace(
                epoch,
                measured_at=at,
                availability_weight=sum(weight[0] for weight in weights),
                usage_weight=usage if are_bytes_apart(epoch, open_) else None,
            )
        return self._with_sums(open_)

    async def open(self) -> OpenEpoch | None:
        return self._now()

    async def unclosed(self) -> list[OpenEpoch]:
        open_ = self._now()
        if open_ is None:
            return []
        return [
            self._with_sums(epoch)
            for epoch in self._follow(open_)
            if epoch is open_ or epoch.number in self._db.measures
        ]

    async def accruing(
        self, user_ids: Sequence[UUID], epochs: Sequence[OpenEpoch]
    ) -> dict[UUID, list[Accruing]]:
        sums = {user_id: [[0, 0] for _ in epochs] for user_id in user_ids}
        for place, epoch in enumerate(epochs):
            apart = are_bytes_apart(epoch, epochs[0])
            for node in self._measured(epoch):
                if node.user_id in sums:
                    weights = weights_of(node, epoch.terms.terms)
                    sums[node.user_id][place][0] += weights[0]
                    sums[node.user_id][place][1] += weights[1] if apart else 0
        return {
            user_id: [Accruing(availability_weight=each[0], usage_weight=each[1]) for each in mine]
            for user_id, mine in sums.items()
        }

    async def epochs(self, before: int | None, limit: int) -> list[Epoch]:
        numbers = [number for number in self._db.epochs if before is None or number < before]
        return [self._db.epochs[number] for number in sorted(numbers, reverse=True)[:limit]]

    async def epoch(self, number: int) -> Epoch | None:
        return self._db.epochs.get(number)

    async def inputs(self, number: int, user_id: UUID) -> list[NodeInputs]:
        states = {**self._db.states, **self._db.former}
        found = self._db.epoch_nodes.get(number, {})
        return [each for node_id, each in sorted(found.items()) if states[node_id].user_id == user_id]

    async def bonus_inputs(self, number: int, user_id: UUID) -> BonusInputs:
        nothing = BonusInputs(first_seconds=0, streak=0, campaigns=[])
        own = self._db.epoch_people.get(number, {}).get(user_id, nothing)
        return replace(own, campaigns=named(self._db, number))

    async def node_earned(
        self, user_id: UUID, node_id: UUID, edges: Sequence[datetime]
    ) -> list[Earned] | None:
        if not self._owns(user_id, node_id):
            return None
        noon = DAY_S // 2
        found = [
            (datetime.fromtimestamp(day * DAY_S + noon, UTC), amounts)
            for (owner, day), amounts in self._db.earned_days.items()
            if owner == node_id
        ]
        for number, nodes in self._db.epoch_nodes.items():
            if node_id in nodes:
                each = nodes[node_id]
                found.append((self._db.epochs[number].starts_at, (each.availability, each.usage)))
        sums: dict[datetime, list[int]] = {}
        for at, amounts in sorted(found):
            place = bisect_right(edges, at)
            if 0 < place < len(edges):
                span = sums.setdefault(edges[place - 1], [0, 0])
                for index, amount in enumerate(amounts):
                    span[index] += amount
        return [
            Earned(start=start, category=category, amount=amount)
            for start, span in sums.items()
            for category, amount in zip(WORK, span, strict=True)
            if amount
        ]

    async def node_epochs(
        self, user_id: UUID, node_id: UUID, before: int | None, limit: int
    ) -> list[NodeEarned] | None:
        if not self._owns(user_id, node_id):
            return None
        numbers = [
            number
            for number, nodes in sorted(self._db.epoch_nodes.items(), reverse=True)
            if node_id in nodes and (before is None or number < before)
        ]
        found = []
        for number in numbers[:limit]:
            epoch, each = self._db.epochs[number], self._db.epoch_nodes[number][node_id]
            found.append(
                NodeEarned(
                    epoch=number,
                    starts_at=epoch.starts_at,
                    ends_at=epoch.ends_at,
                    seconds=each.seconds,
                    score=each.score,
                    gate=each.gate,
                    bytes=each.bytes,
                    availability=each.availability,
                    usage=each.usage,
                )
            )
        return found

    async def prune(self, ended_before: datetime, days_from: date) -> PrunedEpochs:
        db, dropped = self._db, 0
        while True:
            numbers = range(max(db.from_epoch, 1), db.from_epoch + EPOCHS_TOGETHER)
            epochs = [db.epochs[number] for number in numbers if number in db.epochs]
            if len(epochs) < len(numbers) or not all(
                epoch.final and epoch.ends_at <= ended_before for epoch in epochs
            ):
                break
            for epoch in epochs:
                day = day_of(epoch.starts_at)
                for node_id, each in db.epoch_nodes.pop(epoch.number).items():
                    former = db.earned_days.get((node_id, day), (0, 0))
                    if each.availability or each.usage:
                        db.earned_days[node_id, day] = (
                            former[0] + each.availability,
                            former[1] + each.usage,
                        )
                db.epoch_people.pop(epoch.number, None)
            db.from_epoch += EPOCHS_TOGETHER
            dropped += EPOCHS_TOGETHER
        month = number_of(days_from.replace(day=1))
        months = {day_numbered(day).replace(day=1) for _, day in db.earned_days if day < month}
        db.earned_days = {key: sums for key, sums in db.earned_days.items() if key[1] >= month}
        return PrunedEpochs(epochs=dropped, months=len(months), complete=True)

    def _owns(self, user_id: UUID, node_id: UUID) -> bool:
        state = {**self._db.states, **self._db.former}.get(node_id)
        return state is not None and state.user_id == user_id

    def _now(self) -> OpenEpoch | None:
        """The open epoch with the terms that hold for it by now."""
        open_ = self._db.open_epoch
        if open_ is None:
            return None
        return self._with_sums(replace(open_, terms=terms_at(self._db.terms_versions, open_.starts_at)))

    def _follow(self, open_: OpenEpoch) -> Iterator[OpenEpoch]:
        return follow(open_, self._db.epoch_seconds, self._db.terms_versions)

    def _with_sums(self, epoch: OpenEpoch) -> OpenEpoch:
        """An epoch with what it was summed up to last."""
        found = self._db.measures.get(epoch.number)
        return replace(
            epoch,
            measured_at=found.measured_at if found else None,
            availability_weight=found.availability_weight if found else 0,
            usage_weight=found.usage_weight if found else 0,
        )

    def _open(self, number: int, starts_at: datetime, ends_at: datetime) -> None:
        self._db.open_epoch = OpenEpoch(
            number=number,
            starts_at=starts_at,
            ends_at=ends_at,
            terms=terms_at(self._db.terms_versions, starts_at),
            measured_at=None,
            availability_weight=0,
            usage_weight=0,
        )

    def _terms(self, epoch: Epoch) -> Terms:
        return self._db.terms_versions[epoch.terms - 1].terms

    def _is_final(self, epoch: Epoch, at: datetime) -> bool:
        return final_at(epoch.ends_at, self._terms(epoch)) <= at

    def _measured(self, epoch: Epoch | OpenEpoch) -> list[Measured]:
        """What every node did in an epoch, of those that did anything."""
        db = self._db
        hours = hours_of(epoch.starts_at, epoch.ends_at)
        seconds: dict[UUID, int] = defaultdict(int)
        moved: dict[UUID, int] = defaultdict(int)
        for (node_id, hour), sums in db.hours.items():
            if hour in hours:
                seconds[node_id] += seconds_within(hour, sums.confirmed, epoch.starts_at, epoch.ends_at)
                moved[node_id] += bytes_in(sums)
        for number, former in db.epochs.items():
            if number < epoch.number and former.ends_at > edge_before(epoch.starts_at, HOUR_S):
                for node_id, each in db.epoch_nodes[number].items():
                    moved[node_id] -= each.bytes
        states = {**db.states, **db.former}
        nodes = {**db.nodes, **db.retired}
        found = []
        for node_id in sorted({*seconds, *moved}):
            state, node = states[node_id], nodes.get(node_id)
            if state.suspended or (seconds[node_id] == 0 and moved[node_id] <= 0):
                continue
            score = db.scores.get((state.user_id, node_id))
            found.append(
                Measured(
                    node_id=node_id,
                    user_id=state.user_id if state.user_id in db.users else None,
                    created_at=node.created_at if node else _UNKNOWN,
                    seconds=seconds[node_id],
                    score=score.score if score else None,
                    gate=score.gate if score else QUARTERS,
                    bytes=max(moved[node_id], 0),
                    country=state.place.country,
                )
            )
        return found

    def _grant(
        self,
        epoch: Epoch,
        nodes: Sequence[Measured],
        inputs: Mapping[UUID, NodeInputs],
        terms: Terms,
        campaigns: Sequence[CampaignInputs],
    ) -> list[Entry]:
        """Share the pool of bonuses out; what became of it is added to the pools of `epoch`."""
        earned: dict[tuple[UUID, str | None], int] = defaultdict(int)
        for node in nodes:
            if node.user_id is not None:
                each = inputs[node.node_id]
                earned[node.user_id, node.country] += each.availability + each.usage
        own = self._advance(epoch, nodes, inputs, terms) if terms.streak or terms.first_hours else {}
        length = seconds_of(epoch.starts_at, epoch.ends_at)
        granted = grant(own, campaigns, earned, length, pool_of(terms.bonus_pool, length))
        spend(self._db, epoch.number, granted.campaigns)
        epoch.pools.extend(granted.pools)
        postings = [
            Posting(
                user_id=user_id,
                account="pending",
                category=category,
                amount=amount,
                matures_at=final_at(epoch.ends_at, terms),
            )
            for (user_id, category), amount in granted.bonuses.items()
        ]
        postings.extend(
            Posting(user_id=HOUSE, account="issued", category=pool.category, amount=-pool.rewarded)
            for pool in granted.pools
        )
        return _entry(f"epoch:{epoch.number}:bonus", "bonus", epoch, postings)

    def _advance(
        self, epoch: Epoch, nodes: Sequence[Measured], inputs: Mapping[UUID, NodeInputs], terms: Terms
    ) -> dict[tuple[UUID, Category], int]:
        """Note everybody's progress; returns the bonuses for it."""
        did: dict[UUID, list[int]] = {}
        for node in nodes:
            if node.user_id is not None:
                each = did.setdefault(node.user_id, [0, 0])
                each[0] += node.seconds
                each[1] += inputs[node.node_id].availability + inputs[node.node_id].usage
        bonuses: dict[tuple[UUID, Category], int] = {}
        people: dict[UUID, BonusInputs] = {}
        for user_id, (seconds, reward) in did.items():
            progress = self._db.progress.get(user_id, Progress())
            after, streak, first = advance(progress, day_of(epoch.starts_at), seconds, reward, terms)
            self._db.progress[user_id] = after
            bonuses[user_id, "streak"], bonuses[user_id, "first_hours"] = streak, first
            if streak or first:
                people[user_id] = BonusInputs(
                    first_seconds=first_of(progress, seconds, terms) if first else 0,
                    streak=after.streak if streak else 0,
                    campaigns=[],
                )
        self._db.epoch_people[epoch.number] = people
        return bonuses

    def _refer(
        self, epoch: Epoch, nodes: Sequence[Measured], inputs: Mapping[UUID, NodeInputs], terms: Terms
    ) -> list[Entry]:
        """Let those have their share who brought the people who worked."""
        earned: dict[UUID, int] = defaultdict(int)
        for node in nodes:
            if node.user_id is not None:
                earned[node.user_id] += inputs[node.node_id].availability + inputs[node.node_id].usage
        pool = pool_of(terms.referral_pool, seconds_of(epoch.starts_at, epoch.ends_at))
        wanted = sum(each.amount for each in commissions(self._db, earned, None, terms.referrals))
        paid = commissions(self._db, earned, pool, terms.referrals)
        if not paid:
            return []
        matures_at = commission_final_at(epoch.ends_at, terms)
        keep_sums(self._db, paid, matures_at)
        postings = [
            Posting(
                user_id=each.user_id,
                account="held" if each.held else "pending",
                category="referral",
                amount=each.amount,
                matures_at=None if each.held else matures_at,
            )
            for each in paid
        ]
        total = sum(each.amount for each in paid)
        epoch.pools.append(
            Pool(category="referral", pool=total, weight=wanted, rewarded=total, unallocated=0)
        )
        postings.append(Posting(user_id=HOUSE, account="issued", category="referral", amount=-total))
        return _entry(f"epoch:{epoch.number}:referral", "referral", epoch, postings)

    def _corrections(self, epoch: Epoch, former: Epoch) -> list[Entry | None]:
        """What `former`, which becomes final in `epoch`, turns out to be too little by."""
        terms = self._terms(former)
        before = self._db.epoch_nodes[former.number]
        nodes = self._measured(former)
        whole = is_whole_hours(former.starts_at, former.ends_at)
        entries = []
        for category, rate in rates_of(terms).items():
            pool = pool_of(rate, seconds_of(former.starts_at, former.ends_at))
            weights = {}
            for node in nodes:
                known = before.get(node.node_id)
                if category == "usage":
                    weights[node.node_id] = node.bytes if whole else (known.bytes if known else 0)
                elif known is not None:
                    weights[node.node_id] = node.seconds * points_of(known.score, known.gate, terms)
                else:
                    weights[node.node_id] = weights_of(node, terms)[0]
            booked = {
                node_id: (each.usage_weight, each.usage)
                if category == "usage"
                else (each.availability_weight, each.availability)
                for node_id, each in before.items()
            }
            rewards = corrected(pool, booked, weights)
            again = [node for node in nodes if node.node_id in rewards]
            shares = _shares(again, rewards, former.ends_at, terms)
            taken = _shares(
                again, {node_id: booked.get(node_id, (0, 0))[1] for node_id in rewards}, former.ends_at, terms
            )
            shares += [replace(share, amount=-share.amount) for share in taken]
            entries.append(correction_entry(epoch.number, epoch.starts_at, former.number, category, shares))
        return entries

    def _release(self, epoch: Epoch, booked: Sequence[Entry]) -> list[Entry]:
        """Everything that matures in `epoch`, also of what is booked only now."""
        sums: dict[tuple[UUID, Account, Category, datetime], int] = defaultdict(int)
        for entry in [*self._db.entries, *booked]:
            for posting in entry.postings:
                matures_at = posting.matures_at
                if matures_at is not None and epoch.starts_at < matures_at <= epoch.ends_at:
                    sums[posting.user_id, posting.account, posting.category, matures_at] += posting.amount
        final: dict[tuple[UUID, Account, Category], int] = defaultdict(int)
        postings = []
        for (user_id, account, category, matures_at), amount in sums.items():
            postings.append(
                Posting(
                    user_id=user_id, account=account, category=category, amount=-amount, matures_at=matures_at
                )
            )
            final[user_id, "final", category] += amount
        return _entry(f"epoch:{epoch.number}:release", "release", epoch, [*postings, *_plain(final)])

    def _pay(self, epoch: Epoch, minimum: int, booked: Sequence[Entry]) -> list[Entry]:
        """All that is final of those who have enough of it."""
        final: dict[tuple[UUID, Category], int] = defaultdict(int)
        for (user_id, account, category), amount in self._db.balances.items():
            if account == "final":
                final[user_id, category] += amount
        for entry in booked:
            for posting in entry.postings:
                if posting.account == "final":
                    final[posting.user_id, posting.category] += posting.amount
        people: dict[UUID, int] = defaultdict(int)
        for (user_id, _), amount in final.items():
            people[user_id] += max(amount, 0)
        moved: dict[tuple[UUID, Account, Category], int] = {}
        for (user_id, category), amount in final.items():
            if amount > 0 and people[user_id] >= minimum:
                moved[user_id, "final", category] = -amount
                moved[user_id, "claimable", category] = amount
        return _entry(f"epoch:{epoch.number}:payable", "payable", epoch, _plain(moved))


def _reward(inputs: NodeInputs, category: Category) -> int:
    return inputs.usage if category == "usage" else inputs.availability


def _shares(
    nodes: Sequence[Measured], rewards: Mapping[UUID, int], ends_at: datetime, terms: Terms
) -> list[Share]:
    """What people get of their nodes' rewards."""
    found: list[Share] = []
    for node in nodes:
        if node.user_id is not None:
            hold = hold_of(node.created_at, ends_at, terms)
            found.extend(parts(node.user_id, rewards[node.node_id], hold, final_at(ends_at, terms)))
    return found


def _plain(sums: Mapping[tuple[UUID, Account, Category], int]) -> list[Posting]:
    return [
        Posting(user_id=user_id, account=account, category=category, amount=amount)
        for (user_id, account, category), amount in sums.items()
    ]


def _entry(key: str, kind: Kind, epoch: Epoch, postings: Sequence[Posting]) -> list[Entry]:
    kept = [posting for posting in postings if posting.amount]
    return [Entry(key=key, kind=kind, epoch=epoch.number, at=epoch.starts_at, postings=kept)] if kept else []
