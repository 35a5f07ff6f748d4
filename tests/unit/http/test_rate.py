from hypothesis import given
from hypothesis import strategies as st

from core.http.rate import RateLimiter, refusal


def test_a_burst_is_let_through_and_then_one_each_interval() -> None:
    limiter = RateLimiter(rate=2, burst=3)
    assert [limiter.hit("ada", 100).allowed for _ in range(4)] == [True, True, True, False]
    assert limiter.hit("ada", 100.4).allowed is False
    assert limiter.hit("ada", 100.5).allowed is True
    assert limiter.hit("ada", 100.6).allowed is False


def test_callers_do_not_take_from_each_other() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    assert limiter.hit("ada", 0).allowed
    assert limiter.hit("bob", 0).allowed
    assert not limiter.hit("ada", 0).allowed


def test_who_is_told_to_wait_is_let_in_after_it() -> None:
    limiter = RateLimiter(rate=4, burst=2)
    limiter.hit("ada", 10)
    limiter.hit("ada", 10)
    refused = limiter.hit("ada", 10.1)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert 0 < refused.retry <= 0.25
    assert limiter.hit("ada", 10.1 + refused.retry).allowed
    assert refusal(refused).extra == {"retry_after": 1}
    assert limiter.refused == 1


def test_the_headers_tell_what_is_left_and_when_all_is_there_again() -> None:
    limiter = RateLimiter(rate=20, burst=200)
    verdict = limiter.hit("ada", 5)
    assert dict(limiter.headers(verdict)) == {
        b"ratelimit-policy": b'"default";q=200;w=10',
        b"ratelimit": b'"default";r=199;t=1',
    }
    for _ in range(199):
        verdict = limiter.hit("ada", 5)
    assert dict(limiter.headers(verdict))[b"ratelimit"] == b'"default";r=0;t=10'
    assert dict(limiter.headers(limiter.hit("ada", 5)))[b"ratelimit"] == b'"default";r=0;t=10'


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 50), st.floats(0.5, 100))
def test_no_stretch_of_time_ever_sees_more_than_the_burst_and_the_rate(
    pauses: list[float], burst: int, rate: float
) -> None:
    limiter, now, let_through = RateLimiter(rate, burst), 1000.0, []
    for pause in pauses:
        now += pause
        verdict = limiter.hit("ada", now)
        assert 0 <= verdict.remaining < burst
        if verdict.allowed:
            let_through.append(now)
    for first, begin in enumerate(let_through):
        for last, end in enumerate(let_through[first:], first):
            assert last - first + 1 <= burst + (end - begin) * rate + 1e-6


def test_memory_is_bounded_and_the_quietest_are_forgotten_first() -> None:
    limiter = RateLimiter(rate=0.001, burst=2, capacity=100)
    for number in range(100):
        limiter.hit(number, 0)
    limiter.hit(0, 1)
    for number in range(100, 150):
        limiter.hit(number, 2)
    assert len(limiter) <= 100
    assert limiter.hit(0, 3).allowed is False
    assert limiter.hit(1, 3).remaining == 1


def test_who_owes_nothing_is_not_kept() -> None:
    limiter = RateLimiter(rate=10, burst=1)
    for number in range(10_000):
        limiter.hit(number, number)
    assert len(limiter) < 5
