"""Cutting what differs out of requests, beside its Python twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.request import ReferenceCutter

from ext.request import Cutter

NAMES = ("Key", "Authorization", "X-Forwarded-For")
ODD = st.sampled_from(
    [b"", b" ", b"\t", b"\n", b"\r", b"\0", b":", b"\xff", b"a", b" a b ", b"\r\n", b"\r\n\r\n"]
)
NAME = st.sampled_from(
    [b"key", b"KEY", b"Key ", b"keys", b"authorization", b"x-forwarded-for", b"Host", b"", b" Key"]
)
LINES = st.lists(
    st.tuples(NAME, st.sampled_from([b":", b": ", b""]), ODD | st.binary(max_size=8)), max_size=8
)


@given(LINES)
def test_it_cuts_what_its_twin_cuts(lines):
    head = b"\r\n".join([b"GET / HTTP/1.1", *(b"".join(line) for line in lines)])
    assert Cutter(*NAMES).cut(head) == ReferenceCutter(*NAMES).cut(head)


@given(st.binary(max_size=60))
def test_it_cuts_any_bytes_as_its_twin_does(head):
    assert Cutter(*NAMES).cut(head) == ReferenceCutter(*NAMES).cut(head)


def test_requests_that_differ_in_those_values_only_leave_the_same():
    cutter = Cutter(*NAMES)
    one = cutter.cut(b"GET / HTTP/1.1\r\nHost: x\r\nKey: one\r\nAuthorization: Bearer 1")
    other = cutter.cut(b"GET / HTTP/1.1\r\nHost: x\r\nKey:  other \r\nAuthorization:Bearer 2")
    assert one == (b"GET / HTTP/1.1\r\nHost: x\r\nKey:\r\nAuthorization:", [b"one", b"Bearer 1", None])
    assert other == (one[0], [b"other", b"Bearer 2", None])


def test_a_request_beyond_the_limit_is_left_alone():
    assert Cutter(*NAMES).cut(b"x" * 16385) is None


def test_seventeen_names_are_too_many():
    with pytest.raises(ValueError, match="too many"):
        Cutter(*"abcdefghijklmnopq")
