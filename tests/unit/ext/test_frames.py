"""Frames as a server writes them, masking and UTF-8, beside their Python twins."""

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
