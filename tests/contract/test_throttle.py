"""What every `Throttle` guarantees, and that all of them say the same."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import eventually

from core.clock import new_id
from storage.base import Limit, Throttle, Verdict
from storage.memory import MemoryThrottle
from storage.redis import RedisThrottle, connect

START = 1_800_000_000_000
# Long intervals: what Redis forgets by its own clock must not be over before the test is.
MINUTE = 60_000
LIMIT = Limit(burst=3, interval_ms=MINUTE)

Make = Callable[[Callable[[], int]], Throttle]


class HandClock:
    """Milliseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture(params=["memory", "redis"])
async def make(request: pytest.FixtureRequest, redis_url: str, redis_prefix: str) -> AsyncIterator[Make]:
    """Makes a throttle on a clock."""
    if request.param == "memory":
        yield MemoryThrottle
        return
    client = await connect(redis_url, 5.0)
    yield lambda now_ms: RedisThrottle(client, redis_prefix, now_ms)
    await client.aclose()


async def test_a_burst_is_let_through_and_then_one_each_interval(make: Make) -> None:
    clock = HandClock()
    throttle = make(clock)
    assert [await throttle.hit("k", LIMIT) for _ in range(4)] == [
        Verdict(True, 2, 0, MINUTE),
        Verdict(True, 1, 0, 2 * MINUTE),
        Verdict(True, 0, 0, 3 * MINUTE),
        Verdict(False, 0, MINUTE, 3 * MINUTE),
    ]
    clock.now += MINUTE - 1
    assert await throttle.hit("k", LIMIT) == Verdict(False, 0, 1, 2 * MINUTE + 1)
    clock.now += 1
    assert await throttle.hit("k", LIMIT) == Verdict(True, 0, 0, 3 * MINUTE)
    assert not (await throttle.hit("k", LIMIT)).allowed


async def test_what_is_refused_is_not_counted(make: Make) -> None:
    clock = HandClock()
    throttle = make(clock)
    for _ in range(100):
        await throttle.hit("k", LIMIT)
    clock.now += MINUTE
    assert (await throttle.hit("k", LIMIT)).allowed


async def test_after_a_rest_the_whole_burst_is_there_and_not_more(make: Make) -> None:
    clock = HandClock()
    throttle = make(clock)
    for _ in range(3):
        last = await throttle.hit("k", LIMIT)
    clock.now += last.reset_ms
    assert [(await throttle.hit("k", LIMIT)).allowed for _ in range(4)] == [True, True, True, False]
    clock.now += 1000 * MINUTE
    assert [(await throttle.hit("k", LIMIT)).allowed for _ in range(4)] == [True, True, True, False]


async def test_peeking_says_what_a_hit_would_and_counts_nothing(make: Make) -> None:
    throttle = make(HandClock())
    for _ in range(5):
        verdicts = [await throttle.peek("k", LIMIT) for _ in range(3)]
        assert verdicts == [await throttle.hit("k", LIMIT)] * 3


async def test_what_was_counted_can_be_forgiven(make: Make) -> None:
    throttle = make(HandClock())
    for _ in range(3):
        await throttle.hit("k", LIMIT)
    await throttle.forgive("k")
    await throttle.forgive("never heard of")
    assert await throttle.hit("k", LIMIT) == Verdict(True, 2, 0, MINUTE)


async def test_keys_do_not_touch_each_other(make: Make) -> None:
    throttle = make(HandClock())
    for _ in range(4):
        await throttle.hit("k:1", LIMIT)
    assert (await throttle.hit("k:2", LIMIT)).allowed
    assert (await throttle.hit("k:ö\n", LIMIT)).allowed


async def test_a_clock_that_is_set_back_locks_nobody_out(make: Make) -> None:
    clock = HandClock()
    throttle = make(clock)
    for _ in range(3):
        await throttle.hit("k", LIMIT)
    clock.now -= 1000 * MINUTE
    verdict = await throttle.hit("k", LIMIT)
    assert verdict == Verdict(False, 0, MINUTE, 3 * MINUTE)
    clock.now += verdict.retry_ms
    # A refused call is not written down: the next one meets the same bound.
    assert (await throttle.peek("k", LIMIT)).retry_ms <= MINUTE


async def test_a_limit_that_was_made_narrower_holds_at_once(make: Make) -> None:
    throttle = make(HandClock())
    for _ in range(3):
        await throttle.hit("k", LIMIT)
    assert await throttle.hit("k", Limit(1, 1000)) == Verdict(False, 0, 1000, 1000)


async def test_of_fifty_calls_at_the_same_time_exactly_the_burst_is_let_through(make: Make) -> None:
    throttle = make(HandClock())
    verdicts = await asyncio.gather(*(throttle.hit("k", LIMIT) for _ in range(50)))
    assert sorted(verdict.remaining for verdict in verdicts if verdict.allowed) == [0, 1, 2]


async def test_on_its_own_clock_a_throttle_opens_again(redis_url: str, redis_prefix: str) -> None:
    client = await connect(redis_url, 5.0)
    limit = Limit(1, 50)
    for throttle in (MemoryThrottle(), RedisThrottle(client, redis_prefix)):
        assert (await throttle.hit("k", limit)).allowed

        async def opens(throttle: Throttle = throttle) -> bool:
            return (await throttle.hit("k", limit)).allowed

        await eventually(opens)
    await client.aclose()


async def test_redis_forgets_a_key_once_it_has_run_off(redis_url: str, redis_prefix: str) -> None:
    client = await connect(redis_url, 5.0)
    throttle = RedisThrottle(client, redis_prefix)
    verdict = await throttle.hit("k", LIMIT)
    (key,) = await client.keys(f"{redis_prefix}:*")
    assert 0 < await client.pttl(key) <= verdict.reset_ms
    await throttle.forgive("k")
    assert await client.keys(f"{redis_prefix}:*") == []
    await client.aclose()


async def test_memory_keeps_nothing_that_has_run_off() -> None:
    clock = HandClock()
    throttle = MemoryThrottle(clock)
    for number in range(5_000):
        await throttle.hit(f"{number}", LIMIT)
        clock.now += MINUTE // 10
    assert len(throttle) <= 1024


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hit", "hit", "hit", "peek", "forgive"]),
        st.sampled_from("ab"),
        st.integers(0, 3 * MINUTE),
    ),
    max_size=40,
)
LIMITS = st.builds(Limit, st.integers(1, 8), st.integers(MINUTE // 2, 2 * MINUTE))


@settings(max_examples=60, deadline=None)
@given(limit=LIMITS, steps=STEPS)
def test_memory_and_redis_agree_and_never_let_more_than_the_limit_through(
    limit: Limit,
    steps: list[tuple[str, str, int]],
    redis_url: str,
) -> None:
    asyncio.run(follow(limit, steps, redis_url))


async def follow(limit: Limit, steps: list[tuple[str, str, int]], redis_url: str) -> None:
    clock = HandClock()
    client = await connect(redis_url, 5.0)
    memory = MemoryThrottle(clock)
    redis = RedisThrottle(client, f"test-{new_id().hex}", clock)
    passed: dict[str, list[int]] = {"a": [], "b": []}
    try:
        for step, key, pause in steps:
            clock.now += pause
            if step == "forgive":
                await memory.forgive(key)
                await redis.forgive(key)
                passed[key].clear()
                continue
            verdict = await getattr(memory, step)(key, limit)
            assert await getattr(redis, step)(key, limit) == verdict
            assert verdict.allowed == (verdict.retry_ms == 0)
            assert 0 <= verdict.retry_ms <= limit.interval_ms
            assert 0 < verdict.reset_ms <= limit.burst * limit.interval_ms
            if step == "hit" and verdict.allowed:
                passed[key].append(clock.now)
                for index, since in enumerate(passed[key]):
                    elapsed = clock.now - since
                    assert len(passed[key]) - index <= limit.burst + elapsed / limit.interval_ms
    finally:
        await client.aclose()
