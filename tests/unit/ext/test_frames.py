"""Frames as a server writes them, masking and UTF-8, beside their Python twins."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import frames as reference

from ext import frames

OPCODES = st.sampled_from([frames.TEXT, frames.BINARY, frames.PING, frames.PONG])


@given(OPCODES, st.binary(max_size=300) | st.sampled_from([b"x" * n for n in (125, 126, 65535, 65536)]))
def test_a_frame_is_built_as_the_rfc_draws_it(opcode, payload):
    assert frames.build(opcode, payload) == reference.build(opcode, payload)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4), st.integers(0, 10))
def test_masking_twice_gives_the_data_back(data, key, offset):
    masked = frames.mask(data, key, offset)
    assert masked == reference.mask(data, key, offset)
    assert frames.mask(masked, key, offset) == data


def test_masking_leaves_its_input_alone():
    for data in (b"", b"a", b"abc"):
        before = bytes(bytearray(data))
        frames.mask(data, b"\xff\xff\xff\xff")
        assert data == before


@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_of_another_length_is_refused(key):
    with pytest.raises(ValueError, match="4 bytes"):
        frames.mask(b"data", key)


@given(st.integers(1000, 4999), st.text(max_size=200))
def test_a_close_frame_fits_and_its_reason_is_never_cut_within_a_character(code, reason):
    frame = frames.build_close(code, reason)
    payload = frame[2:]
    assert frame[0] == 0x88
    assert frame[1] == len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == code
    assert reason.startswith(payload[2:].decode())


def _verdict(state: int) -> str:
    return {0: "whole", 0xFFFFFFFF: "invalid"}.get(state, "unfinished")


# Text with a few bytes changed is where the interesting sequences are.
NEARLY_TEXT = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(str.encode),
    st.tuples(st.text(max_size=10), st.binary(max_size=4), st.text(max_size=10)).map(
        lambda parts: parts[0].encode() + parts[1] + parts[2].encode()
    ),
    st.text(max_size=20).map(str.encode).flatmap(lambda d: st.integers(0, len(d)).map(lambda n: d[:n])),
)


@given(NEARLY_TEXT, st.integers(0, 40))
def test_utf8_is_judged_like_pythons_decoder_wherever_it_is_cut(data, cut):
    state = frames.utf8_state(data[cut:], frames.utf8_state(data[:cut]))
    assert _verdict(state) == reference.utf8_verdict(data)


@pytest.mark.parametrize(
    "data",
    [b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80"],
)
def test_overlong_surrogate_and_too_large_characters_are_invalid(data):
    assert _verdict(frames.utf8_state(data)) == "invalid"


LIMIT = 1 << 20
# Repeats at all distances that a window of any size can hold.
REPETITIVE = st.lists(
    st.tuples(st.binary(min_size=1, max_size=300), st.integers(1, 40)).map(lambda part: part[0] * part[1]),
    max_size=6,
).map(b"".join)


def _final(data: bytes) -> bytes:
    """`data` as a stream that ends with a final block."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FINISH)


def _inflate_within(packed: bytes, window: int) -> bytes:
    """What a reader makes of a message that remembers no more than 2**`window` bytes of it."""
    reader = zlib.decompressobj(-window)
    data, rest = b"", packed + b"\0\0\xff\xff"
    # Byte by byte, or it would look back into what it has just made instead of its window.
    while part := reader.decompress(rest, 1):
        data, rest = data + part, reader.unconsumed_tail
    return data


@given(REPETITIVE, st.integers(8, 15))
def test_a_compressed_message_needs_no_more_than_the_agreed_window(data, window):
    assert _inflate_within(frames.deflate_payload(data, window), window) == data


@given(REPETITIVE, st.integers(8, 15))
def test_what_was_compressed_is_inflated(data, window):
    assert frames.inflate_payload(frames.deflate_payload(data, window), LIMIT) == data


@pytest.mark.parametrize("size", [16_384 + offset for offset in range(-8, 9)])
def test_a_message_may_be_cut_anywhere_for_inflating(size):
    # A stored block: compressed size and contents are known to the byte.
    packer = zlib.compressobj(0, zlib.DEFLATED, -15)
    data = bytes(size % 251 for size in range(size))
    packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert frames.inflate_payload(packed[:-4], LIMIT) == data


@pytest.mark.parametrize("after", [b"", b"\0"], ids=["nothing", "an empty block"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_message_may_end_with_a_final_block(after, size):
    data = frames.mask(bytes(size), b"mask")
    assert frames.inflate_payload(_final(data) + after, LIMIT) == data


def test_every_fragment_may_end_with_a_final_block():
    pieces = [bytes([n % 256]) * 3000 + b"%d" % (n**99) for n in range(300)]
    packed = b"".join(_final(piece) for piece in pieces) + b"\0"
    assert frames.inflate_payload(packed, LIMIT) == b"".join(pieces)


@pytest.mark.parametrize("data", [b"all of this", bytes(range(256)) * 100])
def test_the_beginning_of_a_compressed_message_is_not_a_message(data):
    packed = frames.deflate_payload(data)
    for end in range(1, len(packed)):
        with pytest.raises(zlib.error):
            frames.inflate_payload(packed[:end], LIMIT)


def test_a_flood_of_empty_streams_is_no_message():
    with pytest.raises(zlib.error, match="too many"):
        frames.inflate_payload(_final(b"") * 32_768, LIMIT)


@pytest.mark.parametrize(("limit", "fits"), [(4999, False), (5000, True), (5001, True)])
def test_nothing_longer_than_the_limit_is_inflated(limit, fits):
    message = frames.inflate_payload(frames.deflate_payload(b"z" * 5000), limit)
    assert message == (b"z" * 5000 if fits else None)
