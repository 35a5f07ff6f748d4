"""The arithmetic of an epoch, apart from any store.

Whole numbers only, every division rounded down (``//``). For an epoch of so many ``seconds`` and a
category with a pool of ``rate`` micro-points an hour::

    pool         = rate * seconds // 3600
    points       = score, where it was measured; else unmeasured_score * gate // 4
    availability = pool * (confirmed * points) // sum of confirmed * points over all nodes
    usage        = pool * bytes // sum of bytes over all nodes
    held         = reward * share // 10000

``share`` is that of the hold-back step with the fewest days that the node has not reached at the epoch's
end. What is not held is pending until the epoch is final, ``hold_seconds`` after its end; what is held until
the first midnight (UTC) after the node has reached those days, if that is later. What the nodes of an erased
person would get stays unallocated, as does the rest of every division.

When an epoch becomes final its nodes are measured once more. A weight that has grown counts anew, against the
sum of what all weights are by then: ``pool * weight // sum``. Where that is more than was booked, the
difference is booked. So corrections never come to more than the pool once over, and nobody loses what was
booked.

Bonuses have a pool of their own. What a person's nodes did on a day (UTC) adds up; with ``least_seconds`` of
a day it counts, and every ``days`` of those in a row earn ``amount``. The first ``hours`` of all a person's
nodes together earn, for the ``first`` of an epoch's ``seconds`` that are among them::

    bonus = (availability + usage) * share * first // (10000 * seconds)

Those of campaigns are in `storage.campaigns`. If all bonuses of all sorts together are more than the pool,
each is ``bonus * pool // sum``. They are pending until the epoch is final. Corrections change no bonus.

Commissions (`storage.referrals`) are pending until the first midnight (UTC) at which the epoch is final.

The SQL of the PostgreSQL adapter says the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from storage.base.epochs import (
    UNCLOSED_MOST,
    HoldBack,
    NodeInputs,
    OpenEpoch,
    Pool,
    Terms,
    TermsVersion,
)
from storage.base.ledger import HOUSE, Category, Entry, Posting
from storage.scores import BYTES_MOST, POINTS, QUARTERS
from storage.uptime import HOUR_S, HourSums, Span

DAY_S = 86_400

#: What work earns, each from its own pool.
WORK: tuple[Category, ...] = ("availability", "usage")
#: What comes on top, all of it from one pool.
BONUSES: tuple[Category, ...] = ("streak", "first_hours", "campaign")


class Measured(Struct, frozen=True, kw_only=True):
    """What a node did in an epoch. `user_id` None: its owner was erased. The rest is as in `NodeInputs`.

    `country` is known whether a campaign asks for it or not.
    """

    node_id: UUID
    user_id: UUID | None
    created_at: datetime
    seconds: int
    score: int | None
    gate: int
    bytes: int
    country: str | None = None


class Hold(Struct, frozen=True):
    """`share` (in 10,000ths) of a reward is held until `matures_at`."""

    share: int
    matures_at: datetime


class Share(Struct, frozen=True, kw_only=True):
    """What somebody got of a pool, in an account until `matures_at`."""

    user_id: UUID
    held: bool
    matures_at: datetime
    amount: int


# --- time -----------------------------------------------------------------------------------------


def edge_before(at: datetime, seconds: int) -> datetime:
    """The last edge of epochs of `seconds` up to `at`: those are counted from 1970."""
    second = int(at.timestamp() // 1)
    return datetime.fromtimestamp(second - second % seconds, UTC)


def length_of(starts_at: datetime, wanted: int, former: int) -> int:
    """The seconds of an epoch from `starts_at` on: `wanted` if that is an edge of those, else `former`."""
    return wanted if edge_before(starts_at, wanted) == starts_at else former


def seconds_of(starts_at: datetime, ends_at: datetime) -> int:
    """The length of an epoch."""
    return (ends_at - starts_at) // timedelta(seconds=1)


def hours_of(starts_at: datetime, ends_at: datetime) -> range:
    """The hours since 1970 that an epoch has a part of."""
    first = int(starts_at.timestamp()) // HOUR_S
    return range(first, -(-int(ends_at.timestamp()) // HOUR_S))


def is_whole_hours(starts_at: datetime, ends_at: datetime) -> bool:
    """Whether an epoch has nothing but whole hours, so that their bytes are its own."""
    return starts_at == edge_before(starts_at, HOUR_S) and ends_at == edge_before(ends_at, HOUR_S)


def final_at(ends_at: datetime, terms: Terms) -> datetime:
    """When an epoch becomes final."""
    return ends_at + timedelta(seconds=terms.hold_seconds)


def follow(epoch: OpenEpoch, wanted: int, versions: Sequence[TermsVersion]) -> Iterator[OpenEpoch]:
    """The open `epoch`, and those that come after it, without sums; they are to have `wanted` seconds."""
    yield epoch
    for number in range(epoch.number + 1, epoch.number + UNCLOSED_MOST):
        starts_at = epoch.ends_at
        length = length_of(starts_at, wanted, seconds_of(epoch.starts_at, starts_at))
        epoch = OpenEpoch(
            number=number,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(seconds=length),
            terms=terms_at(versions, starts_at),
            measured_at=None,
            availability_weight=0,
            usage_weight=0,
        )
        yield epoch


def are_bytes_apart(epoch: OpenEpoch, first: OpenEpoch) -> bool:
    """Whether the bytes of `epoch` are no other's, where `first` is the oldest that is not closed."""
    return epoch.number == first.number or epoch.starts_at == edge_before(epoch.starts_at, HOUR_S)


def terms_at(versions: Sequence[TermsVersion], starts_at: datetime) -> TermsVersion:
    """Those of `versions`, the oldest first, that an epoch is closed by: there is at least one."""
    former = [version for version in versions if version.created_at <= starts_at]
    return former[-1] if former else versions[0]


# --- what a node did ------------------------------------------------------------------------------


def seconds_within(hour: int, confirmed: Iterable[Span], starts_at: datetime, ends_at: datetime) -> int:
    """How many of an hour's confirmed seconds are in an epoch."""
    low, high = (int(edge.timestamp()) - hour * HOUR_S for edge in (starts_at, ends_at))
    return sum(max(0, min(end, high) - max(start, low)) for start, end in confirmed)


def bytes_in(sums: HourSums) -> int:
    """What the bytes of an hour count as: a node's claims are bounded."""
    return min(sums.bytes_up, BYTES_MOST) + min(sums.bytes_down, BYTES_MOST)


def points_of(score: int | None, gate: int, terms: Terms) -> int:
    """What a second counts."""
    return terms.unmeasured_score * gate // QUARTERS if score is None else score


def weights_of(measured: Measured, terms: Terms) -> tuple[int, int]:
    """A node's weights for availability and usage."""
    return measured.seconds * points_of(measured.score, measured.gate, terms), measured.bytes


# --- what it comes to -----------------------------------------------------------------------------


def pool_of(rate: int, seconds: int) -> int:
    """What an epoch of so many seconds has of `rate` an hour."""
    return rate * seconds // HOUR_S


def rates_of(terms: Terms) -> dict[Category, int]:
    """The pools of work, an hour."""
    return {"availability": terms.availability_pool, "usage": terms.usage_pool}


def share_of(pool: int, weight: int, total: int) -> int:
    """What a weight gets of a pool; nothing where nobody has any weight."""
    return pool * weight // total if total else 0


def hold_of(created_at: datetime, ends_at: datetime, terms: Terms) -> Hold | None:
    """How much is held of what a node earns in an epoch that ends at `ends_at`, and until when."""
    steps = [step for step in terms.holdback if _reached(created_at, step) > ends_at]
    if not steps:
        return None
    step = min(steps, key=lambda step: step.days)
    return Hold(step.share, max(_midnight(_reached(created_at, step)), final_at(ends_at, terms)))


def commission_final_at(ends_at: datetime, terms: Terms) -> datetime:
    """When the commissions of an epoch become final: at a midnight, so that they do on few days."""
    return _midnight(final_at(ends_at, terms))


def _midnight(at: datetime) -> datetime:
    """The first midnight (UTC) that is not before `at`."""
    return edge_before(at + timedelta(days=1, microseconds=-1), DAY_S)


def _reached(created_at: datetime, step: HoldBack) -> datetime:
    return created_at + timedelta(days=step.days)


def inputs_of(
    nodes: Sequence[Measured], terms: Terms, seconds: int
) -> tuple[dict[UUID, NodeInputs], list[Pool]]:
    """What each of `nodes` gets for its work in an epoch of so many seconds, and what became of the pools."""
    weights = {node.node_id: weights_of(node, terms) for node in nodes}
    pools = [pool_of(rate, seconds) for rate in rates_of(terms).values()]
    totals = [sum(weight[index] for weight in weights.values()) for index in range(len(WORK))]
    found = {}
    for node in nodes:
        weight = weights[node.node_id]
        shares = [share_of(pools[index], weight[index], totals[index]) for index in range(len(WORK))]
        if node.user_id is None:
            shares = [0, 0]
        found[node.node_id] = NodeInputs(
            node_id=node.node_id,
            seconds=node.seconds,
            score=node.score,
            gate=node.gate,
            bytes=node.bytes,
            availability_weight=weight[0],
            usage_weight=weight[1],
            availability=shares[0],
            usage=shares[1],
        )
    booked = [
        sum(amounts)
        for amounts in ([i.availability for i in found.values()], [i.usage for i in found.values()])
    ]
    return found, [
        Pool(
            category=category,
            pool=pools[index],
            weight=totals[index],
            rewarded=booked[index],
            unallocated=pools[index] - booked[index],
        )
        for index, category in enumerate(WORK)
    ]


def corrected(
    pool: int, former: Mapping[UUID, tuple[int, int]], weights: Mapping[UUID, int]
) -> dict[UUID, int]:
    """What each node's reward is after `weights` were measured again, where it is more than it was.

    `former` has the weight and the reward that were booked; a node that is not in it had none.
    """
    grown = {
        node_id: max(weights.get(node_id, 0), former.get(node_id, (0, 0))[0])
        for node_id in {*former, *weights}
    }
    total = sum(grown.values())
    found = {}
    for node_id, weight in grown.items():
        weight_before, reward_before = former.get(node_id, (0, 0))
        reward = share_of(pool, weight, total)
        if weight > weight_before and reward > reward_before:
            found[node_id] = reward
    return found


# --- bonuses --------------------------------------------------------------------------------------

#: What a day's seconds can never reach.
NEVER = (1 << 31) - 1


class Progress(Struct, frozen=True, kw_only=True):
    """What somebody has done so far, all nodes together; days count from 1970.

    `day_seconds` are those of `day`. `streak` is how many days in a row counted up to `streak_day`.
    """

    seconds: int = 0
    day: int = -1
    day_seconds: int = 0
    streak: int = 0
    streak_day: int = -2


def day_of(starts_at: datetime) -> int:
    """The day that an epoch is in."""
    return int(starts_at.timestamp()) // DAY_S


def advance(
    progress: Progress, day: int, seconds: int, reward: int, terms: Terms
) -> tuple[Progress, int, int]:
    """What `progress` is after so many seconds, which earned `reward`, on a day; the bonuses for it.

    Those are for a streak and for the first hours.
    """
    before = progress.day_seconds if progress.day == day else 0
    least = terms.streak.least_seconds if terms.streak else NEVER
    streak, streak_day, for_streak = progress.streak, progress.streak_day, 0
    if terms.streak and before < least <= before + seconds:
        streak, streak_day = streak + 1 if streak_day == day - 1 else 1, day
        for_streak = terms.streak.amount if streak % terms.streak.days == 0 else 0
    for_first = first_bonus(reward, first_of(progress, seconds, terms), seconds, terms)
    after = Progress(
        seconds=progress.seconds + seconds,
        day=day,
        day_seconds=before + seconds,
        streak=streak,
        streak_day=streak_day,
    )
    return after, for_streak, for_first


def first_of(progress: Progress, seconds: int, terms: Terms) -> int:
    """How many of somebody's next seconds are among their first hours."""
    if terms.first_hours is None:
        return 0
    return min(seconds, max(0, terms.first_hours.hours * HOUR_S - progress.seconds))


def first_bonus(reward: int, first: int, seconds: int, terms: Terms) -> int:
    """The bonus for `first` of the seconds that earned `reward`."""
    if terms.first_hours is None or not seconds:
        return 0
    return reward * terms.first_hours.share * first // (POINTS * seconds)


def scaled(amount: int, pool: int, wanted: int) -> int:
    """What of a bonus is paid, where so much is wanted of the pool in all."""
    return amount if wanted <= pool else amount * pool // wanted


# --- bookings -------------------------------------------------------------------------------------


def parts(user_id: UUID, reward: int, hold: Hold | None, final: datetime) -> list[Share]:
    """A reward's parts, what is held and what is pending until `final`."""
    held = reward * hold.share // POINTS if hold else 0
    found = [Share(user_id=user_id, held=False, matures_at=final, amount=reward - held)]
    if hold:
        found.append(Share(user_id=user_id, held=True, matures_at=hold.matures_at, amount=held))
    return found


def postings_of(shares: Iterable[Share], category: Category) -> list[Posting]:
    """One posting for each person, account and maturity."""
    sums: dict[tuple[UUID, bool, datetime], int] = {}
    for share in shares:
        key = share.user_id, share.held, share.matures_at
        sums[key] = sums.get(key, 0) + share.amount
    return [
        Posting(
            user_id=user_id,
            account="held" if held else "pending",
            category=category,
            amount=amount,
            matures_at=matures_at,
        )
        for (user_id, held, matures_at), amount in sorted(sums.items())
        if amount
    ]


def reward_key(number: int, category: Category) -> str:
    """The key of the entry that booked an epoch's rewards for work."""
    return f"epoch:{number}:{category}"


def reward_entry(number: int, starts_at: datetime, pool: Pool, shares: Iterable[Share]) -> Entry | None:
    """The booking of a pool; None where there is nothing in it."""
    if not pool.pool:
        return None
    house = [
        Posting(user_id=HOUSE, account="issued", category=pool.category, amount=-pool.pool),
        Posting(user_id=HOUSE, account="unallocated", category=pool.category, amount=pool.unallocated),
    ]
    return Entry(
        key=reward_key(number, pool.category),
        kind="reward",
        epoch=number,
        at=starts_at,
        postings=[posting for posting in house if posting.amount] + postings_of(shares, pool.category),
    )


def correction_entry(
    number: int, starts_at: datetime, of: int, category: Category, shares: Iterable[Share]
) -> Entry | None:
    """The booking, in the epoch `number`, of what the epoch `of` turned out to be too little by."""
    postings = postings_of(shares, category)
    if not postings:
        return None
    cost = sum(posting.amount for posting in postings)
    house = Posting(user_id=HOUSE, account="corrections", category=category, amount=-cost)
    return Entry(
        key=f"correction:{of}:{category}",
        kind="correction",
        epoch=number,
        at=starts_at,
        postings=[house, *postings],
        reverses=reward_key(of, category),
    )
