"""The strict parser beside its Python twin, and each rule by name."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.frames import client_frame
from reference.parser import ReferenceParser

from ext import frames
from ext.parser import Parser

TEXT, BINARY, CONTINUATION = frames.TEXT, frames.BINARY, frames.CONTINUATION
CLOSE, PING, PONG = frames.CLOSE, frames.PING, frames.PONG
LIMIT = 70_000

PAYLOADS = (
    st.binary(max_size=20)
    | st.text(max_size=20).map(str.encode)
    | st.sampled_from([b"y" * 126, b"z" * 65536, b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03", b"\x03\xed"])
)
FRAMES = st.builds(
    client_frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3, 11]),
    PAYLOADS,
    final=st.sampled_from([True, True, False]),
    key=st.binary(min_size=4, max_size=4),
    reserved=st.sampled_from([0] * 20 + [1, 2, 4]),
)
STREAMS = st.lists(FRAMES, max_size=8).map(b"".join) | st.binary(max_size=60)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=1000)
@given(STREAMS, st.lists(st.integers(0, 1 << 20), max_size=6))
def test_any_bytes_in_any_pieces_are_parsed_like_the_twin_does(data, cuts):
    parser, twin = Parser(LIMIT), ReferenceParser(LIMIT)
    for piece in _cut(data, cuts):
        assert parser.feed(piece) == twin.feed(piece)
        assert (parser.violation or (None,))[0] == twin.violation_code


@given(STREAMS)
def test_byte_by_byte_gives_the_same_messages_as_at_once(data):
    at_once, slow = Parser(LIMIT), Parser(LIMIT)
    whole = at_once.feed(data)
    pieces = [message for i in range(len(data)) for message in slow.feed(data[i : i + 1])]
    assert pieces == whole
    assert slow.violation == at_once.violation


def test_nothing_is_kept_between_whole_messages():
    parser = Parser(LIMIT)
    assert parser.feed(client_frame(TEXT, b"one") + client_frame(BINARY, b"two")) == [
        (TEXT, b"one"),
        (BINARY, b"two"),
    ]
    assert parser.idle
    parser.feed(client_frame(TEXT, b"three")[:4])
    assert not parser.idle
    parser.feed(client_frame(TEXT, b"three")[4:])
    assert parser.idle


def test_control_frames_may_come_between_fragments():
    parser = Parser(LIMIT)
    data = (
        client_frame(TEXT, b"he", final=False)
        + client_frame(PING, b"now")
        + client_frame(CONTINUATION, b"l", final=False)
        + client_frame(CONTINUATION, b"lo")
    )
    assert parser.feed(data) == [(PING, b"now"), (TEXT, b"hello")]
    assert parser.idle


def test_a_character_may_be_cut_by_a_fragment():
    parser = Parser(LIMIT)
    euro = "€".encode()
    assert parser.feed(client_frame(TEXT, euro[:1], final=False) + client_frame(CONTINUATION, euro[1:])) == [
        (TEXT, euro)
    ]


def test_a_million_empty_fragments_keep_nothing():
    parser = Parser(LIMIT)
    parser.feed(client_frame(TEXT, b"", final=False))
    empty = client_frame(CONTINUATION, b"", final=False) * 10_000
    for _ in range(100):
        assert parser.feed(empty) == []
    assert parser.feed(client_frame(CONTINUATION, b"x")) == [(TEXT, b"x")]


def _header(second: int, length: bytes, first: int = 0x82) -> bytes:
    return bytes([first, second]) + length + b"mask"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(client_frame(TEXT, b"x", reserved=4), 1002, id="compression that was not agreed"),
        pytest.param(client_frame(TEXT, b"x", reserved=1), 1002, id="reserved bit"),
        pytest.param(client_frame(3, b""), 1002, id="unknown data opcode"),
        pytest.param(client_frame(15, b""), 1002, id="unknown control opcode"),
        pytest.param(frames.build(TEXT, b"x"), 1002, id="not masked"),
        pytest.param(client_frame(PING, b"x", final=False), 1002, id="fragmented ping"),
        pytest.param(client_frame(PING, b"x" * 126), 1002, id="long ping"),
        pytest.param(client_frame(CONTINUATION, b"x"), 1002, id="continuation of nothing"),
        pytest.param(
            client_frame(TEXT, b"x", final=False) + client_frame(TEXT, b"y"), 1002, id="message in message"
        ),
        pytest.param(_header(0xFE, (125).to_bytes(2, "big")), 1002, id="length not minimal in 16 bits"),
        pytest.param(_header(0xFF, (65535).to_bytes(8, "big")), 1002, id="length not minimal in 64 bits"),
        pytest.param(_header(0xFF, (1 << 31).to_bytes(8, "big")), 1009, id="2**31 bytes"),
        pytest.param(_header(0xFF, (1 << 62).to_bytes(8, "big")), 1009, id="2**62 bytes"),
        pytest.param(_header(0xFF, (1 << 63).to_bytes(8, "big")), 1002, id="2**63 bytes"),
        pytest.param(client_frame(BINARY, b"x" * (LIMIT + 1)), 1009, id="message over the limit"),
        pytest.param(
            client_frame(BINARY, b"x" * 40_000, final=False) + client_frame(CONTINUATION, b"x" * 40_000),
            1009,
            id="fragments over the limit",
        ),
        pytest.param(client_frame(TEXT, b"\xff"), 1007, id="text that is not UTF-8"),
        pytest.param(client_frame(TEXT, b"\xe2\x82"), 1007, id="text that ends within a character"),
        pytest.param(client_frame(TEXT, b"\xed\xa0", final=False), 1007, id="half a surrogate"),
        pytest.param(client_frame(CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(client_frame(CLOSE, b"\x03\xee"), 1002, id="close code 1006"),
        pytest.param(client_frame(CLOSE, b"\x00\x00"), 1002, id="close code 0"),
        pytest.param(client_frame(CLOSE, b"\x13\x88"), 1002, id="close code 5000"),
        pytest.param(client_frame(CLOSE, b"\x03\xe8\xff"), 1007, id="close reason that is not UTF-8"),
    ],
)
def test_violations_have_their_code(data, code):
    for parser in (Parser(LIMIT), Parser(LIMIT)):
        assert parser.feed(data) == []
        assert parser.violation is not None
        assert parser.violation[0] == code
        assert parser.feed(client_frame(TEXT, b"later")) == []


def test_a_bad_first_byte_is_refused_before_the_rest_comes():
    parser = Parser(LIMIT)
    parser.feed(b"\xf1")
    assert parser.violation == (1002, "reserved bits are set")


def test_bad_utf8_is_refused_before_the_message_ends():
    parser = Parser(LIMIT)
    parser.feed(client_frame(TEXT, b"\xff" + b"x" * 1000)[:12])
    assert parser.violation == (1007, "text is not UTF-8")


def test_what_follows_a_close_frame_is_ignored():
    parser = Parser(LIMIT)
    assert parser.feed(client_frame(CLOSE, b"\x03\xe8") + client_frame(TEXT, b"late")) == [
        (CLOSE, b"\x03\xe8")
    ]
    assert parser.feed(client_frame(TEXT, b"later")) == []
