import asyncio
import threading

import pytest
from argon2 import extract_parameters

from core.errors import TooManyRequests
from services.passwords import WAITING_PER_THREAD, Passwords


@pytest.fixture
def passwords():
    passwords = Passwords(memory_kib=8, passes=1, threads=1)
    yield passwords
    passwords.close()


async def test_a_password_fits_its_own_hash_only(passwords: Passwords) -> None:
    made = await passwords.hash("correct horse")
    assert made.startswith("$argon2id$")
    assert made != await passwords.hash("correct horse")
    assert await passwords.verify(made, "correct horse")
    assert not await passwords.verify(made, "correct horse ")


async def test_any_unicode_serves(passwords: Passwords) -> None:
    made = await passwords.hash("pässwörd 🔑 دفتر")
    assert await passwords.verify(made, "pässwörd 🔑 دفتر")


async def test_nobodys_hash_costs_the_same_and_fits_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "")
    real = extract_parameters(await passwords.hash("x"))
    assert extract_parameters(passwords._nobody) == real


async def test_a_broken_hash_fits_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify("$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "x")


async def test_a_hash_of_another_cost_is_outdated(passwords: Passwords) -> None:
    costlier = Passwords(memory_kib=16, passes=1, threads=1)
    made = await passwords.hash("x")
    assert not passwords.outdated(made)
    assert costlier.outdated(made)
    costlier.close()


async def test_hashing_leaves_the_loop_free_and_too_many_are_turned_away(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, workers = threading.Event(), set()

    def slow(password: str) -> str:
        workers.add(threading.current_thread())
        release.wait(30)
        return password

    monkeypatch.setattr(passwords, "_hasher", type("Slow", (), {"hash": staticmethod(slow)}))
    waiting = [asyncio.create_task(passwords.hash(str(i))) for i in range(1 + WAITING_PER_THREAD)]
    await asyncio.sleep(0)
    assert passwords.metrics() == {"passwords_pending": 1 + WAITING_PER_THREAD}
    with pytest.raises(TooManyRequests) as refused:
        await passwords.hash("one too many")
    assert refused.value.extra["retry_after"] == 1
    waiting.pop().cancel()
    await asyncio.sleep(0)
    assert passwords.metrics() == {"passwords_pending": WAITING_PER_THREAD}
    release.set()
    assert await asyncio.gather(*waiting) == [str(i) for i in range(WAITING_PER_THREAD)]
    assert passwords.metrics() == {"passwords_pending": 0}
    assert len(workers) == 1
    assert threading.current_thread() not in workers
