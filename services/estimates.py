"""What is not booked yet, as far as it can be told: always with an interval, or not at all.

Whole numbers only, every division rounded down, as in `storage.epochs`.

Of an epoch's `length` seconds `elapsed` were measured, all of the first `settled`; `total` is what
everybody's weight was then and `weight` one's own by now; `rest` is `PACE` times what is not settled::

    amount = pool * elapsed * weight // (length * total)       the share of what accrued, as if total grew too
    least  = pool * settled * weight // (total * (settled + rest)) - nodes
    most   = pool * weight * (settled + rest) // (total * settled + weight * rest)

The close books at least `least` if one's own weights do not shrink (a score that falls, a suspension) and
everybody's grow at most `PACE` times as fast in the rest of the epoch as until now. It books at most `most`
if one's own grow at most that fast, whatever the others do.
"""

from collections.abc import Sequence
from datetime import timedelta

from msgspec import Struct

from storage.base import Accruing as Weights
from storage.base import Category, OpenEpoch
from storage.epochs import pool_of, rates_of, seconds_of
from storage.uptime import HOUR_S

#: How much faster than until now the work may come in that an interval allows for.
PACE = 2

#: A projection needs this many samples, and looks at no more than so many.
FEWEST_SAMPLES = 24
MOST_SAMPLES = 168

_SECOND = timedelta(seconds=1)


class Interval(Struct, frozen=True):
    """An amount that is not certain, at least `least` and at most `most`: micro-points."""

    amount: int
    least: int
    most: int

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.amount + other.amount, self.least + other.least, self.most + other.most)

    def at_most(self, amount: int) -> "Interval":
        """The same, but with an amount that is no more than this; `least` is never more."""
        return Interval(max(self.least, min(self.amount, amount)), self.least, self.most)


NOTHING = Interval(0, 0, 0)


def estimate_all(
    epochs: Sequence[OpenEpoch], own: Sequence[Weights], nodes: int, *, settling: timedelta
) -> Interval:
    """What all epochs that are not closed yet will pay somebody for their work."""
    parts = [estimate(epoch, mine, nodes, settling=settling) for epoch, mine in zip(epochs, own, strict=True)]
    return sum(parts, start=NOTHING)


def estimate(epoch: OpenEpoch, own: Weights, nodes: int, *, settling: timedelta) -> Interval:
    """What an epoch that is not closed yet will pay somebody for their work.

    `own` are the weights of their `nodes`. What was measured in the last `settling` before the newest
    measurement may not be complete.
    """
    length = seconds_of(epoch.starts_at, epoch.ends_at)
    measured_at = epoch.measured_at or epoch.starts_at
    elapsed = _within(length, (measured_at - epoch.starts_at) // _SECOND)
    weights: dict[Category, tuple[int, int | None]] = {
        "availability": (own.availability_weight, epoch.availability_weight),
        "usage": (own.usage_weight, epoch.usage_weight),
    }
    found = NOTHING
    for category, rate in rates_of(epoch.terms.terms).items():
        weight, total = weights[category]
        pool = pool_of(rate, length)
        if total is None:
            found += Interval(0, 0, pool)
            continue
        # Of an epoch that is a part of an hour, bytes come in until it is closed, which is that much later.
        unsettled = settling if category == "availability" or length % HOUR_S == 0 else 2 * settling
        settled = _within(length, (measured_at - unsettled - epoch.starts_at) // _SECOND)
        whole = share(pool, weight, total, elapsed=elapsed, settled=settled, length=length, nodes=nodes)
        # There is no more to share than what accrued until it was measured.
        found += whole.at_most(pool * elapsed // length)
    return found


def share(
    pool: int, weight: int, total: int, *, elapsed: int, settled: int, length: int, nodes: int
) -> Interval:
    """What a weight will get of a pool, with the numbers above."""
    if elapsed == 0:
        return Interval(0, 0, pool)
    if weight == 0:
        return Interval(0, 0, pool if settled == 0 else 0)
    amount = min(pool, pool * elapsed * weight // (length * (total or weight)))
    # One's own is newer than everybody's.
    total = max(total, weight)
    rest = PACE * (length - settled)
    # Each node's share is rounded down by itself.
    least = pool * settled * weight // (total * (settled + rest)) - nodes
    most = pool * weight * (settled + rest) // (total * settled + weight * rest)
    return Interval(amount, max(0, min(least, amount)), max(most, amount))


def project(booked: int, samples: Sequence[int], remaining: int, sample: int) -> Interval | None:
    """What a period will have come to by its end; None: not enough is known.

    `booked` is what it has by now, `remaining` the seconds until its end, and `samples` what was booked in
    each of the newest spans of `sample` seconds, the oldest first. What is to come is told from their mean,
    the interval from the tenth from below and from above.
    """
    known = list(samples[-MOST_SAMPLES:])
    # Before the first there was nothing that anything could be told from.
    while known and known[0] == 0:
        known.pop(0)
    if len(known) < FEWEST_SAMPLES:
        return None
    # What was taken back says nothing of what will be earned.
    ordered = sorted(max(0, amount) for amount in known)
    tenth = len(ordered) // 10
    mean = sum(ordered) * remaining // (len(ordered) * sample)
    least = min(mean, ordered[tenth] * remaining // sample)
    most = max(mean, -(-ordered[-1 - tenth] * remaining // sample))
    return Interval(booked + mean, booked + least, booked + most)


def _within(length: int, seconds: int) -> int:
    return min(max(seconds, 0), length)
