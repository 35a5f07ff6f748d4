from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import messages
from core.messages import (
    AnyClientMessage,
    AnyServerMessage,
    Auth,
    Beat,
    Call,
    Challenge,
    ChallengeReply,
    Error,
    Limits,
    Ping,
    Reconnect,
    Resume,
    Subscribe,
    TokenExpiring,
    Unsubscribe,
    Welcome,
    challenge_bytes,
    enrol_bytes,
    json_decode_client,
    json_decode_server,
    json_encode,
    msgpack_decode_client,
    msgpack_decode_server,
    msgpack_encode,
    token_bytes,
)

ID = UUID("01a20658-f69e-7600-9e7e-c29040850712")
OTHER = UUID("01a20658-f69e-7600-9e7e-c291ee6877f0")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

FROM_CLIENTS = [
    Auth("token"),
    Auth("token", Resume(ID, {"me": 3})),
    Subscribe("me"),
    Subscribe(f"node:{ID}", 7, "epoch"),
    Unsubscribe("network"),
    Beat(1, 2, 3, "agent/1"),
    ChallengeReply(b"n" * 32, b"s" * 64),
    Call(1, "me.overview", {"deep": [1, {"a": None}]}),
    Ping(),
]
FROM_SERVERS = [
    Welcome(ID, "worker@1", NOW, 25.0, NOW, Limits(1, 2)),
    Challenge(b"n" * 32, NOW),
    Error("code", "A sentence."),
    Error("code", "A sentence.", 4),
    TokenExpiring(NOW),
    Reconnect(100, "resume"),
]


@pytest.mark.parametrize("message", FROM_CLIENTS, ids=lambda m: type(m).__name__)
def test_what_clients_send_reads_the_same_in_both_encodings(message: Any) -> None:
    assert json_decode_client(json_encode(message)) == message
    assert msgpack_decode_client(msgpack_encode(message)) == message


@pytest.mark.parametrize("message", FROM_SERVERS, ids=lambda m: type(m).__name__)
def test_what_servers_send_reads_the_same_in_both_encodings(message: Any) -> None:
    assert json_decode_server(json_encode(message)) == message
    assert msgpack_decode_server(msgpack_encode(message)) == message


def test_types_are_in_snake_case_and_times_in_rfc_3339() -> None:
    assert msgspec.json.decode(json_encode(TokenExpiring(NOW))) == {
        "type": "token_expiring",
        "expires": "2026-01-02T03:04:05Z",
    }
    tags = [kind.__struct_config__.tag for kind in get_args(AnyClientMessage | AnyServerMessage)]
    assert len(tags) == len(set(tags))
    assert all(tag == tag.lower() for tag in tags)


def test_an_error_without_a_call_has_no_id() -> None:
    assert b"id" not in json_encode(Error("code", "A sentence."))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"unheard_of"}',
        b'{"type":1}',
        b'{"type":"ping","extra":1}',
        b'{"type":"auth","token":""}',
        b'{"type":"auth","token":"%s"}' % (b"x" * 4097),
        b'{"type":"auth","token":"\xff"}',
        b'{"type":"subscribe","channel":"ME"}',
        b'{"type":"subscribe","channel":"me\\n"}',
        b'{"type":"subscribe","channel":"node:../../x"}',
        b'{"type":"subscribe","channel":"me","offset":-1}',
        b'{"type":"beat","bytes_up":-1,"bytes_down":0}',
        b'{"type":"beat","bytes_up":1125899906842625,"bytes_down":0}',
        b'{"type":"beat","bytes_up":1.5,"bytes_down":0}',
        b'{"type":"challenge_reply","nonce":"AAAA","signature":"AAAA"}',
        b'{"type":"call","id":-1,"method":"x"}',
        b'{"type":"welcome"}',
    ],
)
def test_what_the_protocol_does_not_know_is_refused(text: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        json_decode_client(text)


@given(st.binary(max_size=256))
def test_no_bytes_whatever_raise_anything_but_a_decoding_error(data: bytes) -> None:
    for decode in (json_decode_client, msgpack_decode_client):
        try:
            message = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert isinstance(message, AnyClientMessage)


def test_servers_may_say_more_than_this_client_knows() -> None:
    assert json_decode_server(b'{"type":"reconnect","after_ms":1,"new":true}') == Reconnect(1)


def test_what_is_signed_says_what_for() -> None:
    nonce, key = b"n" * 32, b"k" * 32
    signed = [challenge_bytes(nonce, ID, OTHER), token_bytes(ID, 1), enrol_bytes(ID, key)]
    assert signed == [
        b"pulseboard challenge v1\0" + nonce + ID.bytes + OTHER.bytes,
        b"pulseboard node token v1\0" + ID.bytes + bytes(7) + b"\1",
        b"pulseboard enrol v1\0" + ID.bytes + key,
    ]
    contexts = [messages.CHALLENGE_CONTEXT, messages.TOKEN_CONTEXT, messages.ENROL_CONTEXT]
    assert not any(a != b and a.startswith(b) for a in contexts for b in contexts)
