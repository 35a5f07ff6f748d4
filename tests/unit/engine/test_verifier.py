"""Verifying beside the event loop, as strictly as everywhere else."""

import asyncio
import threading

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ed25519

from core.engine import verifier
from core.engine.verifier import MAX_BATCH, Verifier, are_good, is_good

MESSAGE = b"what was signed"


def _openssl(key: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signed[:64], signed[64:])
    except (InvalidSignature, ValueError):
        return False
    return True


def _claim(message: bytes = MESSAGE) -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    return key.public_key().public_bytes_raw(), key.sign(message) + message


SCALARS = st.integers(0, 3) | st.integers(0, ed25519.L - 1)
ODD = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (*range(4), *range(ed25519.P - 2, 2**255), *(point[1] for point in ed25519.SMALL))
    for sign in (0, 1)
]


@st.composite
def _claims(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A key and a signature with something odd about them: torsion, no randomness, no canonical form."""
    secret, nonce = draw(SCALARS), draw(SCALARS)
    torsion = st.sampled_from(ed25519.SMALL)
    key = ed25519.encode(ed25519.add(ed25519.times(secret, ed25519.BASE), draw(torsion)))
    r = ed25519.encode(ed25519.add(ed25519.times(nonce, ed25519.BASE), draw(torsion)))
    if draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from(ODD) | st.binary(min_size=32, max_size=32))
        secret = 0
    if draw(st.integers(0, 3)) == 0:
        r = draw(st.sampled_from(ODD) | st.binary(min_size=32, max_size=32))
        nonce = 0
    message = draw(st.binary(max_size=4))
    signature = ed25519.sign(secret, key, nonce, r, message)
    s = int.from_bytes(signature[32:], "little") + draw(st.sampled_from([0, 0, 0, 1, ed25519.L]))
    return key, r + s.to_bytes(32, "little") + message


@settings(deadline=None, max_examples=400)
@given(st.lists(_claims(), min_size=1, max_size=4))
def test_the_verdicts_are_those_of_openssl_and_of_the_rfc(claims):
    verdicts = are_good(claims)
    assert verdicts == [_openssl(key, signed) for key, signed in claims]
    assert verdicts == [ed25519.verify(key, signed[:64], signed[64:]) for key, signed in claims]
    assert verdicts == [is_good(key, signed) for key, signed in claims]


def test_the_coordinates_of_small_order_are_all_there_are():
    assert set(verifier.SMALL_ORDER) == {point[1] for point in ed25519.SMALL}


@pytest.mark.parametrize("key", ODD)
@pytest.mark.parametrize("r", ODD[:4])
def test_points_of_small_order_and_odd_form_are_judged_alike(key, r):
    claims = [(key, ed25519.sign(0, key, 0, r, bytes([number])) + bytes([number])) for number in range(16)]
    assert are_good(claims) == [_openssl(*claim) for claim in claims]


async def test_verdicts_come_back_on_the_loop_in_order():
    loop_thread = threading.get_ident()
    verdicts: list[tuple[int, bool]] = []
    done = asyncio.Event()
    total = 2 * MAX_BATCH + 3

    def judged(item: int, good: bool) -> None:
        assert threading.get_ident() == loop_thread
        verdicts.append((item, good))
        if len(verdicts) == total:
            done.set()

    one = Verifier(judged)
    good, wrong = _claim(), (_claim()[0], _claim()[1])
    for number in range(total):
        one.put(number, *(good if number % 2 else wrong))
    assert len(one) == total
    assert not verdicts
    async with asyncio.timeout(10):
        await done.wait()
    assert verdicts == [(number, number % 2 == 1) for number in range(total)]
    one.close()


async def test_the_loop_goes_on_while_a_batch_is_verified(monkeypatch):
    began, finish = threading.Event(), threading.Event()

    def slow(claims: list[tuple[bytes, bytes]]) -> list[bool]:
        began.set()
        finish.wait(10)
        return [True] * len(claims)

    monkeypatch.setattr(verifier, "are_good", slow)
    verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    one = Verifier(lambda item, good: verdict.set_result(good))
    one.put(None, *_claim())
    await asyncio.to_thread(began.wait, 10)
    assert not verdict.done()
    finish.set()
    assert await verdict
    one.close()


async def test_a_batch_that_fails_does_not_stop_the_next(monkeypatch):
    def broken(claims: list[tuple[bytes, bytes]]) -> list[bool]:
        monkeypatch.setattr(verifier, "are_good", are_good)
        raise MemoryError

    complaints: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    monkeypatch.setattr(verifier, "are_good", broken)
    verdicts: list[int] = []
    done = asyncio.Event()

    def judged(item: int, good: bool) -> None:
        verdicts.append(item)
        done.set()

    one = Verifier(judged)
    try:
        for number in range(MAX_BATCH + 1):
            one.put(number, *_claim())
        async with asyncio.timeout(10):
            await done.wait()
    finally:
        loop.set_exception_handler(None)
    assert verdicts == [MAX_BATCH]
    assert len(complaints) == 1
    one.close()


async def test_what_waits_at_the_end_is_not_judged():
    verdicts: list[bool] = []
    one = Verifier(lambda item, good: verdicts.append(good))
    one.put(None, *_claim())
    one.close()
    assert len(one) == 0
    await asyncio.sleep(0)
    assert verdicts == []
