"""The hub over socket pairs: no event loop, every step by hand."""

import select
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.frames import client_frame
from reference.parser import ReferenceParser

from ext import frames
from ext.frames import Message
from ext.hub import Hub

MAX_QUEUE = 64 * 1024
USER, NOBODY, SESSION = b"u" * 16, bytes(16), b"s" * 16
CHANNEL = 4


class Echo:
    """A handler that sends every message back and remembers the rest."""

    def __init__(self) -> None:
        self.hub: Hub | None = None
        self.messages: list[bytes] = []
        self.closed: list[tuple[int, int]] = []
        self.failures: list[Exception] = []

    def on_message(self, handle, payload, binary):
        assert self.hub is not None
        self.messages.append(payload)
        self.hub.send(handle, payload)

    def on_closed(self, handle, code):
        assert self.hub is not None
        assert handle in self.hub.table
        assert not self.hub.send(handle, b"too late")
        self.closed.append((handle, code))

    def on_alarm(self, handle):
        raise AssertionError("no alarm was set")

    def on_expiring(self, handle):
        raise AssertionError("no token is about to end")

    def on_failure(self, handle, error):
        self.failures.append(error)


def _hub(**settings: int) -> tuple[Hub, Echo]:
    handler = Echo()
    values = {
        "capacity": 16,
        "max_message": 70_000,
        "max_queue": MAX_QUEUE,
        "ping_interval": 60_000,
        "pong_timeout": 60_000,
        "upgrade_timeout": 60_000,
        "auth_timeout": 60_000,
        "close_timeout": 60_000,
        "expiry_notice": 0,
        "deflate_above": 100,
        "message_rate": 0,
        "message_burst": 1,
        "call_soon": lambda flush: None,
        **settings,
    }
    handler.hub = Hub(handler, **values)
    return handler.hub, handler


def _join(hub: Hub, *, binary: bool = True, buffer: int | None = None) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    if buffer:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    theirs.setblocking(False)
    ours.setblocking(False)
    handle = hub.adopt(ours.detach())
    assert handle is not None
    assert hub.upgrade(handle, b"", binary)
    hub.flush()
    assert hub.bind(handle, USER, NOBODY, SESSION, hub.now_ms() + 10**9)
    return handle, theirs


def _drain(theirs: socket.socket) -> bytes:
    """Everything that has arrived; the end of the stream shows as nothing more."""
    data = b""
    while True:
        try:
            piece = theirs.recv(1 << 16)
        except (BlockingIOError, ConnectionResetError):
            return data
        if not piece:
            return data
        data += piece


def _frames(data: bytes) -> list[tuple[int, bytes]]:
    out = []
    while data:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        out.append((data[0] & 15, data[start : start + size]))
        assert len(out[-1][1]) == size
        data = data[start + size :]
    return out


FRAMES = st.builds(
    client_frame,
    st.sampled_from([0, 2, 2, 2, 8, 9, 10, 3]),
    st.binary(max_size=20) | st.sampled_from([b"y" * 126, b"z" * 65536, b"\x03\xe8", b"\x03"]),
    final=st.sampled_from([True, True, False]),
    reserved=st.sampled_from([0] * 20 + [1]),
)


@settings(deadline=None)
@given(st.lists(FRAMES, max_size=6).map(b"".join), st.lists(st.integers(0, 1 << 18), max_size=4))
def test_what_comes_back_is_what_the_twin_understood(data, cuts):
    hub, handler = _hub(max_queue=1 << 20)
    _, theirs = _join(hub)
    twin = ReferenceParser(70_000)
    expected = twin.feed(data)
    answers = b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        piece = data[start:end]
        while piece:
            try:
                sent = theirs.send(piece)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                sent = 0
            piece = piece[sent:]
            hub.poll()
            answers += _drain(theirs)
            if len(hub) == 0 or (not sent and twin.violation_code):
                break
    for _ in range(4):
        hub.poll()
        answers += _drain(theirs)
    got = _frames(answers)
    wanted = [
        {2: (2, payload), 9: (10, payload), 8: (8, payload[:2])}[opcode]
        for opcode, payload in expected
        if opcode != 10
    ]
    assert got[: len(wanted)] == wanted
    if twin.violation_code is not None:
        opcode, payload = got[len(wanted)]
        assert (opcode, int.from_bytes(payload[:2], "big")) == (8, twin.violation_code)
    else:
        assert len(got) == len(wanted)
    assert not handler.failures
    theirs.close()
    hub.poll()
    assert len(hub) == 0
    assert len(handler.closed) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), max_size=40))
def test_a_slow_reader_gets_every_byte_in_order_or_is_let_go(steps):
    hub, _ = _hub()
    handle, theirs = _join(hub, buffer=4096)
    sent: list[bytes] = []
    received = b""
    for number, (size, reads) in enumerate(steps):
        payload = bytes([number % 256]) * size
        if hub.send(handle, payload):
            sent.append(payload)
        if number % 3 == 0:
            hub.flush()
        assert hub.queued_bytes <= MAX_QUEUE + 256
        if reads:
            received += _drain(theirs)
            hub.poll()
    hub.flush()
    while True:
        piece = _drain(theirs)
        hub.poll()
        if not piece:
            break
        received += piece
    got = [payload for opcode, payload in _frames(received) if opcode == frames.BINARY]
    assert got == sent
    slow = [payload for opcode, payload in _frames(received) if opcode == frames.CLOSE]
    assert bool(slow) == (len(sent) < len(steps))
    assert hub.queued_bytes == 0
    theirs.close()


def test_a_broadcast_reaches_the_channel_in_everybodys_own_kind():
    hub, _ = _hub()
    message = Message(b"", lambda _: b"text", lambda _: b"binary")
    text, binary = frames.build(frames.TEXT, b"text"), frames.build(frames.BINARY, b"binary")
    joined = [_join(hub, binary=binary_kind) for binary_kind in (True, False, True)]
    for handle, _ in joined[:2]:
        hub.subscribe(handle, CHANNEL)
    assert hub.broadcast([(CHANNEL, message)]) == 2
    assert [_drain(theirs) for _, theirs in joined] == [binary, text, b""]
    for _, theirs in joined:
        theirs.close()


def test_a_users_frame_reaches_only_their_connections_on_the_channel():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    other, others = _join(hub)
    hub.bind(other, b"o" * 16, NOBODY, SESSION, hub.now_ms() + 10**9)
    frame = frames.build(frames.BINARY, b"news")
    message = Message(b"news", bytes, bytes)
    assert hub.send_user(USER, CHANNEL, message) == 0
    hub.subscribe(handle, CHANNEL)
    hub.subscribe(other, CHANNEL)
    assert hub.send_user(USER, CHANNEL, message) == 1
    hub.flush()
    assert (_drain(theirs), _drain(others)) == (frame, b"")
    theirs.close()
    others.close()


def test_a_full_hub_closes_what_it_cannot_take():
    hub, _ = _hub(capacity=1)
    _, first = _join(hub)
    ours, theirs = socket.socketpair()
    assert hub.adopt(ours.detach()) is None
    assert theirs.recv(1) == b""
    assert hub.counters()["refused_full"] == 1
    first.close()
    theirs.close()


def test_stale_handles_do_nothing():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    theirs.close()
    hub.poll()
    newer, others = _join(hub)
    assert newer != handle
    assert not hub.send(handle, b"x")
    assert not hub.close(handle, 1000, "")
    assert not hub.bind(handle, USER, NOBODY, SESSION, 0)
    assert not hub.set_alarm(handle, 1)
    assert hub.subscribe(handle, CHANNEL) is None
    assert hub.channels(handle) == 0
    assert hub.take_rtt_us(handle) is None
    assert not hub.ping(handle)
    assert hub.expires_in_ms(handle) == 0
    assert _drain(others) == b""
    others.close()


def test_a_failing_handler_costs_its_connection_only():
    hub, handler = _hub()

    class Broken(Exception):
        pass

    def fail(handle, payload, binary):
        raise Broken

    _, theirs = _join(hub)
    _, others = _join(hub)
    handler.on_message = fail
    theirs.send(client_frame(frames.BINARY, b"x"))
    hub.poll()
    assert [type(error) for error in handler.failures] == [Broken]
    ((opcode, payload),) = _frames(_drain(theirs))
    assert (opcode, payload[:2]) == (frames.CLOSE, (1011).to_bytes(2, "big"))
    assert len(hub) == 2
    assert _drain(others) == b""
    theirs.close()
    others.close()


def test_aborting_drops_everybody_and_tells():
    hub, handler = _hub()
    joined = [_join(hub) for _ in range(3)]
    hub.abort_all()
    assert len(hub) == 0
    assert sorted(handler.closed) == sorted((handle, 1006) for handle, _ in joined)
    for _, theirs in joined:
        assert theirs.recv(1) == b""
        theirs.close()


def _pings(hub: Hub, theirs: socket.socket) -> list[bytes]:
    hub.flush()
    return [payload for opcode, payload in _frames(_drain(theirs)) if opcode == frames.PING]


def _pong(hub: Hub, theirs: socket.socket, payload: bytes) -> None:
    theirs.send(client_frame(frames.PONG, payload))
    hub.poll()


def test_a_ping_measures_one_round_trip_once():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    assert hub.take_rtt_us(handle) is None
    before = hub.now_ms()
    assert hub.ping(handle)
    (payload,) = _pings(hub, theirs)
    _pong(hub, theirs, payload)
    assert 0 < hub.take_rtt_us(handle) <= (hub.now_ms() - before + 1) * 1000
    assert hub.take_rtt_us(handle) is None
    # The same pong again measures nothing.
    _pong(hub, theirs, payload)
    assert hub.take_rtt_us(handle) is None
    assert hub.counters()["pings"] == 1
    theirs.close()


def test_only_the_pong_of_the_newest_ping_measures():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    others_handle, others = _join(hub)
    assert hub.ping(handle)
    (former,) = _pings(hub, theirs)
    assert hub.ping(handle)
    assert hub.ping(others_handle)
    (newest,) = _pings(hub, theirs)
    (foreign,) = _pings(hub, others)
    made_up = bytes([newest[0] ^ 1]) + newest[1:]
    for payload in (b"", bytes(8), former, foreign, made_up, newest[:7], newest + b"x"):
        _pong(hub, theirs, payload)
        assert hub.take_rtt_us(handle) is None
    _pong(hub, theirs, newest)
    assert hub.take_rtt_us(handle) is not None
    theirs.close()
    others.close()


def test_of_those_pinged_at_the_same_moment_each_can_answer_only_for_itself():
    hub, _ = _hub(ping_interval=1)
    first, one = _join(hub)
    second, other = _join(hub)
    idle: list[bytes] = []
    while not idle:
        hub.tick()
        idle = _pings(hub, one)
    (others,) = _pings(hub, other)
    _pong(hub, one, others)
    _pong(hub, other, idle[0])
    assert (hub.take_rtt_us(first), hub.take_rtt_us(second)) == (None, None)
    _pong(hub, one, idle[0])
    _pong(hub, other, others)
    assert hub.take_rtt_us(first) is not None
    assert hub.take_rtt_us(second) is not None
    one.close()
    other.close()


def test_what_a_ping_carries_cannot_be_told_from_the_one_before():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    payloads = []
    for _ in range(64):
        hub.ping(handle)
        payloads += _pings(hub, theirs)
    values = [int.from_bytes(payload, "little") for payload in payloads]
    assert len(set(values)) == 64
    # Half of the bits change from one to the next; of a clock's time it would be a few.
    changes = [(first ^ second).bit_count() for first, second in pairwise(values)]
    assert 24 < sum(changes) / len(changes) < 40
    theirs.close()


def test_a_pong_for_which_there_was_no_ping_measures_nothing():
    hub, _ = _hub()
    handle, theirs = _join(hub)
    _pong(hub, theirs, bytes(8))
    assert hub.take_rtt_us(handle) is None
    theirs.close()


def test_a_measuring_ping_sets_no_deadline_and_one_that_does_is_left_alone():
    hub, handler = _hub(ping_interval=1, pong_timeout=300)
    handle, theirs = _join(hub)
    hub.ping(handle)
    (payload,) = _pings(hub, theirs)
    _pong(hub, theirs, payload)
    hub.take_rtt_us(handle)
    idle: list[bytes] = []
    while not idle:
        hub.tick()
        idle = _pings(hub, theirs)
    # The silent peer is being waited for: that ping serves, and its deadline stays.
    assert hub.ping(handle)
    assert _pings(hub, theirs) == []
    pinged = hub.now_ms()
    while len(hub) and not hub.counters()["lost_pongs"]:
        hub.ping(handle)
        hub.tick()
    assert 0 <= hub.now_ms() - pinged <= 600
    assert [opcode for opcode, _ in _frames(_drain(theirs))] == [frames.CLOSE]
    assert handler.closed == []
    assert not hub.ping(handle)
    theirs.close()


def test_an_idle_connections_own_ping_measures_too():
    hub, _ = _hub(ping_interval=1)
    handle, theirs = _join(hub)
    idle: list[bytes] = []
    while not idle:
        hub.tick()
        idle = _pings(hub, theirs)
    hub.ping(handle)
    _pong(hub, theirs, idle[0])
    assert hub.take_rtt_us(handle) is not None
    theirs.close()


@pytest.mark.parametrize("size", [0, 15, 17])
def test_ids_of_another_length_are_refused(size):
    hub, _ = _hub()
    handle, theirs = _join(hub)
    with pytest.raises(ValueError, match="16 bytes"):
        hub.bind(handle, bytes(size), NOBODY, SESSION, 0)
    theirs.close()


class Door:
    """Upgrades or refuses whatever comes, and remembers it."""

    def __init__(self, hub: Hub, *, refuses: bool = False) -> None:
        self.hub = hub
        self.refuses = refuses
        self.heads: list[bytes] = []
        self.too_long = 0

    def on_request(self, handle, head):
        self.heads.append(head)
        assert not self.hub.send(handle, b"not yet")
        if self.refuses:
            assert self.hub.answer(handle, b"HTTP/1.1 400 No\r\n\r\n")
        else:
            assert self.hub.upgrade(handle, b"HTTP/1.1 101 Yes\r\n\r\n", True)
            assert self.hub.send(handle, b"welcome")

    def on_long_request(self, handle):
        self.too_long += 1
        self.hub.answer(handle, b"HTTP/1.1 431 Long\r\n\r\n")


def _knock(hub: Hub, **door: bool) -> tuple[Door, socket.socket]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    doorman = Door(hub, **door)
    hub.listen(listening.fileno(), doorman)
    theirs = socket.create_connection(listening.getsockname())
    theirs.settimeout(5)
    hub.poll()
    hub.stop_listening()
    listening.close()
    assert len(hub) == 1
    return doorman, theirs


def _say(hub: Hub, theirs: socket.socket, data: bytes) -> None:
    theirs.sendall(data)
    select.select([hub.fileno()], [], [], 5)
    hub.poll()


HEAD = b"GET /ws HTTP/1.1\r\nHost: x"


@given(st.lists(st.integers(0, len(HEAD) + 4), max_size=4))
@settings(deadline=None, max_examples=30)
def test_a_request_may_come_in_any_pieces_and_the_first_message_follows_the_answer(cuts):
    hub, handler = _hub()
    door, theirs = _knock(hub)
    data = HEAD + b"\r\n\r\n"
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        if start < end:
            _say(hub, theirs, data[start:end])
    assert door.heads == [HEAD]
    expected = b"HTTP/1.1 101 Yes\r\n\r\n" + frames.build(frames.BINARY, b"welcome")
    assert theirs.recv(1000) == expected
    assert hub.counters()["writes"] == 1
    assert hub.counters()["upgraded"] == 1
    theirs.close()
    hub.poll()
    assert [code for _, code in handler.closed] == [1006]


def test_a_refused_request_is_answered_and_its_stream_ended_unheard_by_the_handler():
    hub, handler = _hub()
    _, theirs = _knock(hub, refuses=True)
    _say(hub, theirs, HEAD + b"\r\n\r\n")
    assert theirs.recv(1000) == b"HTTP/1.1 400 No\r\n\r\n"
    assert theirs.recv(1000) == b""
    theirs.close()
    select.select([hub.fileno()], [], [], 5)
    hub.poll()
    assert len(hub) == 0
    assert handler.closed == []


def test_a_request_that_never_ends_is_answered_while_the_peer_still_sends():
    hub, _ = _hub()
    door, theirs = _knock(hub)
    for _ in range(40):
        _say(hub, theirs, b"x" * 1000)
    assert door.too_long == 1
    assert theirs.recv(1000) == b"HTTP/1.1 431 Long\r\n\r\n"
    theirs.close()


def test_whoever_says_nothing_is_dropped_after_the_upgrade_timeout():
    hub, handler = _hub(upgrade_timeout=0)
    _, theirs = _knock(hub)
    deadline = hub.now_ms() + 5000
    while len(hub) and hub.now_ms() < deadline:
        hub.tick()
    assert theirs.recv(1) == b""
    assert handler.closed == []
    assert hub.counters()["upgrade_timeouts"] == 1
    theirs.close()


def test_the_peers_address_is_known():
    hub, _ = _hub()
    _, theirs = _knock(hub)
    (handle,) = hub.table.handles()
    assert hub.peer(handle) == "127.0.0.1"
    theirs.close()
    hub.poll()
    assert hub.peer(handle) == ""


@pytest.mark.parametrize(
    "flood",
    [
        client_frame(frames.PING, b"x"),
        client_frame(frames.PONG, b""),
        client_frame(frames.BINARY, b"message"),
        client_frame(frames.CONTINUATION, b"", final=False),
    ],
    ids=["pings", "pongs", "messages", "empty fragments"],
)
def test_whoever_sends_more_than_a_burst_is_let_go_and_nothing_of_it_is_kept(flood):
    hub, handler = _hub(message_rate=1, message_burst=50)
    _, theirs = _join(hub)
    opening = client_frame(frames.BINARY, b"begun", final=False) if flood[0] == 0 else flood
    theirs.send(opening + flood * 2000)
    hub.poll()
    got = _frames(_drain(theirs))
    assert len(got) == 1 + (50 if flood[0] in (0x82, 0x89) else 0)
    opcode, payload = got[-1]
    assert (opcode, payload[:2]) == (frames.CLOSE, (4506).to_bytes(2, "big"))
    assert hub.counters()["rate_limited"] == 1
    assert len(handler.messages) == (50 if flood[0] == 0x82 else 0)
    theirs.send(flood)
    hub.poll()
    assert _drain(theirs) == b""
    theirs.close()
    hub.poll()
    assert [code for _, code in handler.closed] == [4506]


def test_a_flood_while_we_wait_for_the_peers_close_frame_is_not_listened_to():
    hub, _ = _hub(message_rate=1, message_burst=50)
    handle, theirs = _join(hub)
    hub.close(handle, 1000, "")
    theirs.send(client_frame(frames.PING, b"x") * 60)
    theirs.send(client_frame(frames.BINARY, b"", reserved=7))
    hub.poll()
    hub.flush()
    assert [opcode for opcode, _ in _frames(_drain(theirs))] == [frames.CLOSE]
    assert hub.counters()["violations"] == 0
    theirs.close()


def test_a_close_frame_is_answered_however_much_came_before_it():
    hub, handler = _hub(message_rate=1, message_burst=50)
    _, theirs = _join(hub)
    theirs.send(client_frame(frames.PONG, b"") * 50 + client_frame(frames.CLOSE, b"\x03\xe8"))
    hub.poll()
    assert _frames(_drain(theirs)) == [(frames.CLOSE, b"\x03\xe8")]
    assert [code for _, code in handler.closed] == [1000]
    theirs.close()


@pytest.mark.parametrize(
    ("said", "reported"),
    [(1000, 1000), (1001, 1001), (3999, 3999), (4000, 1000), (4001, 1000), (4503, 1000), (4999, 1000)],
)
def test_our_codes_are_not_believed_when_the_peer_says_them(said, reported):
    hub, handler = _hub()
    _, theirs = _join(hub)
    theirs.send(client_frame(frames.CLOSE, said.to_bytes(2, "big")))
    hub.poll()
    assert _frames(_drain(theirs)) == [(frames.CLOSE, said.to_bytes(2, "big"))]
    theirs.close()
    hub.poll()
    assert [code for _, code in handler.closed] == [reported]


def test_the_code_we_closed_with_counts_whatever_the_peer_answers():
    hub, handler = _hub()
    handle, theirs = _join(hub)
    hub.close(handle, 4001, "")
    theirs.send(client_frame(frames.CLOSE, (4503).to_bytes(2, "big")))
    hub.poll()
    assert [code for _, code in handler.closed] == [4001]
    theirs.close()


def test_an_echo_has_no_pace():
    hub, _ = _hub(message_rate=1, message_burst=1)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    handle = hub.adopt(ours.detach())
    assert hub.upgrade(handle, b"", True, 0, True)
    theirs.send(client_frame(frames.BINARY, b"again") * 100)
    hub.poll()
    assert _frames(_drain(theirs)) == [(frames.BINARY, b"again")] * 100
    theirs.close()


def test_what_is_sent_while_a_tick_ends_leaves_with_the_next():
    flushes = []
    hub, handler = _hub(call_soon=flushes.append)
    (_, theirs), (other, others) = _join(hub), _join(hub)
    handler.on_closed = lambda handle, code: hub.send(other, b"gone")
    theirs.send(client_frame(frames.CLOSE, b"\x03\xe8"))
    hub.poll()
    flushes.pop()()
    assert _frames(_drain(others)) == [(frames.BINARY, b"gone")]
    assert hub.queued_bytes == 0
    theirs.close()
    others.close()
