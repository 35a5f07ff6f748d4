import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.http.requests import decode_body
from core.http.views import EnrolRequest, LoginRequest, NodeTokenRequest, RefreshRequest, RegisterRequest


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    many: list[Inner] = []


def refusal(body: bytes, target: Any = LoginRequest) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        decode_body(body, target)
    return refused.value


def test_a_body_becomes_the_declared_type() -> None:
    assert decode_body(b'{"email":"a","password":"b"}', LoginRequest) == LoginRequest("a", "b")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"email":1,"password":"b"}', "email"),
        (b'{"email":"a"}', "password"),
        (b'{"email":"a","password":"b","extra":1}', "extra"),
        (b'{"email":"a","password":"b","cookie":"true"}', "cookie"),
        (b'{"email":"a","password":"b","password":"c"}', "password"),
        (b'{"email":"%s","password":"b"}' % (b"x" * 2000), "email"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, field: str) -> None:
    error = refusal(body)
    assert error.code == "invalid_input"
    assert error.extra == {"field": field}
    assert field in error.detail


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"inner":{"count":"1"}}', "inner.count"),
        (b'{"inner":{}}', "inner.count"),
        (b'{"inner":{"count":1},"many":[{"count":1},{"other":1}]}', "many[1].other"),
        (b'{"inner":{"count":1,"count":2}}', "count"),
    ],
)
def test_the_field_at_fault_is_named_with_its_path(body: bytes, field: str) -> None:
    assert refusal(body, Outer).extra["field"] == field


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
def test_another_kind_of_value_is_refused_as_a_whole(body: bytes) -> None:
    error = refusal(body)
    assert error.code == "invalid_input"
    assert error.extra == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"email":"a","password":"b"} x',
        b"\xff\xfe",
        b'{"email":"\xff","password":"b"}',
        b'{"email":"\xed\xa0\x80","password":"b"}',
        b'{"email":"\\ud800","password":"b"}',
        b'{"email":NaN}',
        b"{'email':1}",
        b"[" * 50_000,
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(body, Any).code == "invalid_json"


@given(st.binary(max_size=200))
def test_no_bytes_whatever_get_past_as_anything_but_a_refusal(body: bytes) -> None:
    for target in (RegisterRequest, EnrolRequest, NodeTokenRequest):
        refusal(body, target)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_no_json_whatever_gets_past_unless_it_is_the_type(value: Any) -> None:
    body = msgspec.json.encode(value)
    for target in (RegisterRequest, LoginRequest, EnrolRequest, NodeTokenRequest, RefreshRequest):
        try:
            decoded = decode_body(body, target)
        except InvalidInput:
            continue
        assert isinstance(decoded, target)


def test_numbers_beyond_reason_are_refused_without_a_crash() -> None:
    body = b'{"node_id":"01a20658-f69e-7600-9e7e-c29040850712","time_ms":%s,"signature":""}'
    for number in (b"9" * 5000, b"1e400", b"-0.5", str(math.pi).encode()):
        assert refusal(body % number, NodeTokenRequest).code in {"invalid_json", "invalid_input"}
