"""Challenge answers verified a second on one core: in batches as a worker does, and one by one.

Both run on a thread beside the event loop and count its own processor time. The batches also run beside a
loop that never rests, as in a worker under load: what the thread then gets done says whether it has to wait
for the interpreter's lock.

Then answers come at a steady rate to an event loop that has something to do every millisecond, and how late
it gets to that is measured: with a worker's verifier, with verifying on the loop itself, and with nothing to
verify, which is what the machine itself makes late.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from uuid import UUID

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bench.lab import Lab
from bench.measure import Spread
from bench.outcome import HIGHER, LOWER, OURS, Outcome, check
from core.engine.verifier import MAX_BATCH, Verifier, are_good
from core.messages import challenge_bytes

BARE = "cryptography, one by one"
BUSY = f"{OURS}, beside a busy loop"

NOTHING = "nothing to verify"

# Answers a second that come to the loop, and the seconds between two things it has to do.
RATE = 10_000
PULSE = 0.001

Work = Callable[[], int]
Claims = list[tuple[bytes, bytes]]
Put = Callable[[int], None]


async def run(lab: Lab) -> Outcome:
    """Verify answers of as many nodes as fill a batch, again and again."""
    seconds = lab.pick(0.3, 3.0)
    rounds = lab.pick(1, 5)
    claims = [_answer() for _ in range(MAX_BATCH)]
    keys = [Ed25519PublicKey.from_public_bytes(key) for key, _ in claims]

    def batch() -> int:
        return sum(are_good(claims))

    def one_by_one() -> int:
        for key, (_, signed) in zip(keys, claims, strict=True):
            key.verify(signed[:64], signed[64:])
        return len(claims)

    work = {OURS: batch, BUSY: batch, BARE: one_by_one}
    found: dict[str, list[float]] = {name: [] for name in work}
    shares: list[float] = []
    for _ in range(rounds):
        for name in lab.shuffled(list(work)):
            done, processor, wall = await _measure(work[name], seconds, busy=name == BUSY)
            found[name].append(done / processor)
            if name == BUSY:
                shares.append(processor / wall)
            lab.say(f"{name}: {found[name][-1]:,.0f}/s, {processor / wall:.0%} of a core")
    stalls = await _all_stalls(lab, claims, rounds, seconds)
    series = {name: Spread.of(values) for name, values in found.items()}
    return Outcome(
        title="Challenge answers verified per second of one core",
        unit="1/s",
        better=HIGHER,
        series=series,
        checks=[
            check(
                "challenge answers verified on one core",
                series[OURS].median,
                "1/s",
                better=HIGHER,
                bar=10_000,
            ),
            check(
                "the same against `cryptography` one by one",
                series[OURS].median / series[BARE].median,
                "×",
                better=HIGHER,
                bar=1,
                aim=1.5,
            ),
            check(
                f"longest stall of the event loop in {seconds:g} s of {RATE:,} answers a second",
                stalls[OURS].median,
                "ms",
                better=LOWER,
                bar=20,
                aim=10,
            ),
        ],
        details={
            "batch": MAX_BATCH,
            "share_of_a_core_beside_a_busy_loop": Spread.of(shares),
            "rate": RATE,
            "longest_stall_ms": stalls,
        },
    )


def _answer() -> tuple[bytes, bytes]:
    """The public key and the answer, signature and what is signed, of a node."""
    key = Ed25519PrivateKey.generate()
    message = challenge_bytes(os.urandom(32), UUID(bytes=os.urandom(16)), UUID(bytes=os.urandom(16)))
    return key.public_key().public_bytes_raw(), key.sign(message) + message


async def _measure(work: Work, seconds: float, *, busy: bool) -> tuple[int, float, float]:
    """How much `work` got done on a thread, in how many seconds of it by its own and by the wall's clock."""
    over = threading.Event()

    def repeat() -> tuple[int, float, float]:
        began, processor, done = time.monotonic(), time.thread_time(), 0
        while time.monotonic() < began + seconds:
            done += work()
        over.set()
        return done, time.thread_time() - processor, time.monotonic() - began

    measured = asyncio.create_task(asyncio.to_thread(repeat))
    while busy and not over.is_set():  # noqa: ASYNC110 - the loop is to have no rest
        await asyncio.sleep(0)
    return await measured


async def _all_stalls(lab: Lab, claims: Claims, rounds: int, seconds: float) -> dict[str, Spread]:
    """Milliseconds of the longest stall of each round, by what verifies."""
    found: dict[str, list[float]] = {name: [] for name in (OURS, BARE, NOTHING)}
    for _ in range(rounds):
        for name in lab.shuffled(list(found)):
            # A loop as a worker's, and a thread for it: this one's own belongs to the bench.
            longest = await asyncio.to_thread(uvloop.run, _longest_stall(name, claims, seconds))
            found[name].append(longest * 1e3)
            lab.say(f"{name}: the loop was {found[name][-1]:.2f} ms late at most")
    return {name: Spread.of(values) for name, values in found.items()}


async def _longest_stall(name: str, claims: Claims, seconds: float) -> float:
    """By how many seconds the loop was late at most while answers came, up to the last verdict."""
    good = 0

    def judged(item: int, verdict: bool) -> None:
        nonlocal good
        good += verdict

    def on_the_loop(item: int) -> None:
        key, signed = claims[item % len(claims)]
        Ed25519PublicKey.from_public_bytes(key).verify(signed[:64], signed[64:])
        judged(item, True)

    verifier = Verifier(judged)
    put: dict[str, Put] = {
        OURS: lambda item: verifier.put(item, *claims[item % len(claims)]),
        BARE: on_the_loop,
        NOTHING: lambda item: judged(item, True),
    }
    came, longest, total = 0, 0.0, round(RATE * seconds)
    began = last = time.monotonic()
    while good < total:
        await asyncio.sleep(PULSE)
        now = time.monotonic()
        longest = max(longest, now - last - PULSE)
        last = now
        due = min(round((now - began) * RATE), total)
        for item in range(came, due):
            put[name](item)
        came = due
    verifier.close()
    return longest
