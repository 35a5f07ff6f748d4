"""Bad input and bad peers: how they are ended, what they cost the worker, what the others notice.

Every attack of the tables in `tests/support` runs once against a real process, while a bystander pings
the same process and another one; each property is one test over what was noted down.
"""

from collections.abc import AsyncIterator

import pytest
from reference.frames import client_frame
from support.attack import (
    KEPT,
    NOISE,
    SERVED,
    UNANSWERED,
    Attack,
    Report,
    Target,
    is_problem,
    percentile,
    run,
)
from support.bad_frames import FRAMES
from support.bad_peers import (
    Beginners,
    Bomb,
    Dawdler,
    EmptyFragments,
    Flood,
    FloodAfterTheEnd,
    NoFilesLeft,
    StoppedPeer,
    SuddenDeath,
    VanishedPeer,
)
from support.bad_requests import REQUESTS
from support.bystander import Bystander
from support.workers import WorkerProcess

from core.errors import CloseCode
from ext.frames import PING, TEXT

HASTE = 0.6  # seconds of every deadline of the hasty worker
PARTING = 0.3
TICK = 0.1

# Clients of this worker may send as often as the bystander does, and floods are cut off.
PATIENT = {"ws.message_rate": 2000, "ws.message_burst": 3000, "ws.close_timeout": 1.0}
# Clients of this one may send as often as they like.
HASTY = {
    "ws.message_rate": 0,
    "ws.handshake_timeout": HASTE,
    "ws.auth_timeout": HASTE,
    "ws.ping_interval": HASTE,
    "ws.pong_timeout": HASTE,
    "ws.close_timeout": PARTING,
}
SILENCE = 2 * HASTE

FLOODS = {
    "pings from a peer that never reads": client_frame(PING, bytes(125)),
    "questions from a peer that never reads": client_frame(TEXT, b'{"type":"ping"}'),
}

AT_ONCE: list[Attack] = [
    *REQUESTS,
    *FRAMES,
    *(
        Bomb(name, code, times=times, extra=extra, on_worker=times > 1, on_echo=times == 1, room=room)
        # An echo of 16 MiB takes its time, a worker's messages are small.
        for times, room in ((20, 0), (1, 3 * (16 << 20)))
        for name, code, extra in (
            ("bomb just below the limit", SERVED, 0),
            ("bomb just above the limit", 1009, 1),
            ("bomb far above the limit", 1009, 50 << 20),
        )
    ),
    EmptyFragments("a million empty fragments", CloseCode.RATE_LIMIT, on_echo=False),
    EmptyFragments("a million empty fragments", SERVED, on_worker=False),
    *(
        Flood(name, CloseCode.RATE_LIMIT, on_echo=False, frame=frame, counter="rate_limited_total")
        for name, frame in FLOODS.items()
    ),
    NoFilesLeft("no files left", 503),
    Beginners("large messages that only begin", UNANSWERED),
    SuddenDeath("resets in the middle of a frame", UNANSWERED),
]
IN_TIME: list[Attack] = [
    *(Flood(name, CloseCode.SLOW_CONSUMER, frame=frame) for name, frame in FLOODS.items()),
    EmptyFragments("a million empty fragments, allowed", SERVED),
    Dawdler("ten bad messages", CloseCode.BAD_MESSAGE, start=client_frame(TEXT, b"{}") * 10),
    FloodAfterTheEnd("frames for ever after a bad one", 1002, after=PARTING - TICK),
    Dawdler("silence instead of a request", UNANSWERED, upgraded=False, after=HASTE - TICK),
    Dawdler("half a request", UNANSWERED, upgraded=False, start=b"GET /ws HTTP/1.1\r\n", after=HASTE - TICK),
    Dawdler(
        "slow headers",
        UNANSWERED,
        upgraded=False,
        drops=b"GET /ws HTTP/1.1\r\nX: " + bytes(200),
        after=HASTE - TICK,
    ),
    Dawdler(
        "slow headers that never name one", UNANSWERED, upgraded=False, drops=b"x" * 200, after=HASTE - TICK
    ),
    Dawdler(
        "TLS on the plain port",
        UNANSWERED,
        upgraded=False,
        start=b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3" + bytes(500),
        after=HASTE - TICK,
    ),
    Dawdler("a stranger who says nothing", CloseCode.AUTH_TIMEOUT, authenticated=False, after=HASTE - TICK),
    Dawdler(
        "a stranger who only pings",
        CloseCode.AUTH_TIMEOUT,
        authenticated=False,
        drops=client_frame(PING, b"") * 30,
        after=HASTE - TICK,
    ),
    Dawdler("silence", CloseCode.NO_PONG, after=SILENCE - TICK),
    Dawdler("half a header for ever", CloseCode.NO_PONG, start=b"\x81", after=SILENCE - TICK),
    Dawdler(
        "half a frame for ever",
        CloseCode.NO_PONG,
        start=client_frame(TEXT, bytes(60000))[:30],
        after=SILENCE - TICK,
    ),
    Dawdler(
        "half a ping for ever",
        CloseCode.NO_PONG,
        start=client_frame(PING, bytes(9))[:8],
        after=SILENCE - TICK,
    ),
    Dawdler(
        "half a message for ever",
        CloseCode.NO_PONG,
        start=client_frame(TEXT, b"x", final=False),
        after=SILENCE - TICK,
    ),
    Dawdler(
        "a frame that comes byte by byte",
        CloseCode.NO_PONG,
        start=client_frame(TEXT, bytes(60000))[:8],
        drops=bytes(200),
        after=SILENCE - TICK,
    ),
    StoppedPeer("a stopped peer", CloseCode.NO_PONG),
    VanishedPeer("a peer that vanishes without FIN", CloseCode.NO_PONG, after=SILENCE - TICK),
]

CASES = [
    *(("worker", attack) for attack in AT_ONCE if attack.on_worker),
    *(("echo", attack) for attack in AT_ONCE if attack.on_echo),
    *(("hasty", attack) for attack in IN_TIME),
]


@pytest.fixture(scope="module")
async def processes(start_worker) -> dict[str, WorkerProcess]:
    """What is attacked, by name."""
    return {
        "worker": await start_worker(**PATIENT),
        "echo": await start_worker(echo=True),
        "hasty": await start_worker(**HASTY),
    }


@pytest.fixture(scope="module")
async def bystander(processes: dict[str, WorkerProcess]) -> AsyncIterator[Bystander]:
    """Somebody who pings all of them all along."""
    bystander = await Bystander.start(
        *((name, process.port, Target(process).request()) for name, process in processes.items())
    )
    yield bystander
    await bystander.stop()


@pytest.fixture(scope="module", params=CASES, ids=[f"{name}-{attack.name}" for name, attack in CASES])
async def report(request, processes: dict[str, WorkerProcess], bystander: Bystander) -> Report:
    """What came of one attack."""
    name, attack = request.param
    return await run(attack, processes[name], bystander, name)


def test_it_ends_with_the_right_code_within_its_deadline(report):
    attack = report.attack
    assert {code for code, _ in report.endings} == {attack.code}
    assert all(attack.after <= seconds <= attack.within for _, seconds in report.endings), report.endings


def test_nothing_is_left_of_it(report):
    assert report.connections_left <= 0


def test_memory_stays_in_proportion_and_comes_back(report):
    assert report.grown <= 100 * report.sent + report.attack.room + NOISE
    assert report.kept <= NOISE + KEPT * report.largest


def test_others_are_served_as_quickly_as_ever(report):
    for share, bound in ((0.5, 0.05), (0.99, 0.25), (1.0, 1.0)):
        waited, usual = percentile(report.waits, share), percentile(report.usual_waits, share)
        assert waited <= max(10 * usual, bound), (share, waited, usual)


def test_the_log_stays_quiet(report):
    assert len(report.lines) <= max(1, report.seconds), report.lines


def test_refusals_are_problems_in_our_own_words(report):
    assert all(is_problem(body) for body in report.bodies if body)
