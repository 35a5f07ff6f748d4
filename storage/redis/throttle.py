"""Limits on calls, over all processes together.

A key, ``throttle:<key>`` behind the prefix, holds the time (ms) at which everything counted so far will
have run off, and is gone by then.
"""

from collections.abc import Callable

from redis.asyncio import Redis

from storage.base import Limit, Verdict
from storage.redis.client import call

# KEYS: the throttle. ARGV: burst, interval in ms, 1 to count, the time in ms or -1 for the server's.
# A time beyond the whole burst can only be left by a clock that was set back, or by a wider limit.
_HIT = """
local now = tonumber(ARGV[4])
if now < 0 then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end
local interval = tonumber(ARGV[2])
local burst = ARGV[1] * interval
local full = tonumber(redis.call('GET', KEYS[1]) or now)
full = math.min(math.max(full, now), now + burst)
local next_full = full + interval
local over = next_full - now - burst
if over > 0 then
  return {0, 0, over, full - now}
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], string.format('%d', next_full), 'PX', next_full - now)
end
return {1, math.floor(-over / interval), 0, next_full - now}
"""


class RedisThrottle:
    """`Throttle` on Redis: one script call each.

    Time is the server's, so that the clocks of the processes do not matter; or `now_ms` says it.
    """

    def __init__(self, client: Redis, prefix: str, now_ms: Callable[[], int] | None = None) -> None:
        self._client = client
        self._prefix = f"{prefix}:throttle:"
        self._now_ms = now_ms

    async def hit(self, key: str, limit: Limit) -> Verdict:
        return await self._ask(key, limit, count=True)

    async def peek(self, key: str, limit: Limit) -> Verdict:
        return await self._ask(key, limit, count=False)

    async def forgive(self, key: str) -> None:
        await call(self._client, "DEL", self._prefix + key)

    async def _ask(self, key: str, limit: Limit, *, count: bool) -> Verdict:
        now = -1 if self._now_ms is None else self._now_ms()
        facts = limit.burst, limit.interval_ms, int(count), now
        allowed, remaining, retry, reset = await call(
            self._client, "EVAL", _HIT, 1, self._prefix + key, *facts
        )
        return Verdict(bool(allowed), remaining, retry, reset)
