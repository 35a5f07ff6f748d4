"""Round trips counted in buckets: what percentiles are read from.

A histogram is a byte for each bucket, the first for the fastest. Counts stop at 255. In the database the
first eight bytes are one 64-bit number, most significant byte first, and the last eight another.
"""

from collections.abc import Sequence

#: The upper edge of each bucket in milliseconds; the last holds all that is slower.
EDGES_MS = (5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 675, 1000, 1500)
BUCKETS = len(EDGES_MS) + 1
MOST = 255


def bucket(rtt_us: int) -> int:
    """The bucket of a round trip of `rtt_us` microseconds: the first whose edge is not below it."""
    for index, edge in enumerate(EDGES_MS):
        if rtt_us <= edge * 1000:
            return index
    return BUCKETS - 1


def percentile(counts: Sequence[int], percent: int) -> int | None:
    """The upper edge in milliseconds of the bucket with that percentile; None without samples.

    By the nearest rank: the smallest edge that at least `percent` of 100 of the samples do not exceed.
    What lies in the last bucket is told as twice the last edge.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = max(1, -(-total * percent // 100))
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if seen >= rank:
            return EDGES_MS[index] if index < len(EDGES_MS) else 2 * EDGES_MS[-1]
    raise AssertionError("the counts are fewer than their sum")
