"""The doorman's memory: a client is judged alike, whether its kind was seen before or not."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.websocket import KEY, upgrade_request

from core.config import load
from core.engine.handshake import MAX_KNOWN, Accepted, Doorman, Refused
from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL

OTHER_KEY = "AQIDBAUGBwgJCgsMDQ4PEA=="
CONFIG = load(environ={}, flags={"ws.port": 0, "http.port": 18080})


def _doorman() -> Doorman:
    return Doorman(CONFIG, lambda: None, lambda: True)


def _or_none(*values: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(values)


VARIED = st.fixed_dictionaries(
    {
        "Sec-WebSocket-Key": _or_none(KEY, OTHER_KEY, "short==", "A" * 24, "\xff", ""),
        "Authorization": _or_none("Bearer one", "bearer two", "Basic three", "Bearer", "Bearer  four ", "\t"),
        "User-Agent": _or_none("agent 1", "agent 2", "\x01"),
        "X-Forwarded-For": _or_none("192.0.2.1", "2001:db8::1, 192.0.2.2"),
    }
)
COMMON = st.fixed_dictionaries(
    {
        "Host": _or_none("pulseboard.test", "other.test"),
        "Origin": _or_none("http://pulseboard.test:18080", "http://evil.test"),
        "Connection": _or_none("Upgrade", "keep-alive, Upgrade", "close"),
        "Sec-WebSocket-Extensions": _or_none(
            "permessage-deflate", "permessage-deflate; server_max_window_bits=9"
        ),
        "Sec-WebSocket-Protocol": _or_none(
            JSON_SUBPROTOCOL,
            MSGPACK_SUBPROTOCOL,
            f"{JSON_SUBPROTOCOL}, {BEARER_PREFIX}five",
            f"{MSGPACK_SUBPROTOCOL}, {BEARER_PREFIX}six",
        ),
    }
)
EXTRA = st.lists(
    st.sampled_from([("Authorization", "Bearer seven"), ("Cookie", "a=b"), (" folded", "x"), ("Host", "y")]),
    max_size=2,
)


@settings(deadline=None)
@given(COMMON, st.lists(st.tuples(VARIED, EXTRA), min_size=2, max_size=4))
def test_whoever_comes_later_is_judged_as_if_they_came_first(common, requests):
    warm = _doorman()
    for varied, extra in requests:
        head = upgrade_request(replace={**common, **varied}, extra=extra).removesuffix(b"\r\n\r\n")
        assert warm.judge(head) == _doorman().judge(head)


def test_clients_of_one_kind_are_recognised_with_their_own_key_and_token():
    doorman = _doorman()
    answers = set()
    for key, token in ((KEY, "one"), (OTHER_KEY, "two"), (KEY, None)):
        head = upgrade_request(token=token, replace={"Sec-WebSocket-Key": key}).removesuffix(b"\r\n\r\n")
        accepted = doorman.judge(head)
        assert isinstance(accepted, Accepted)
        assert accepted.token == token
        answers.add(accepted.answer)
    assert len(answers) == 2
    # With and without a token are two kinds.
    assert len(doorman._known) == 2


def test_whoever_is_known_is_refused_like_the_others_when_there_is_no_room():
    full = False
    doorman = Doorman(CONFIG, lambda: Refused(503, "full", "No room.") if full else None, lambda: True)
    head = upgrade_request(token="one").removesuffix(b"\r\n\r\n")
    assert isinstance(doorman.judge(head), Accepted)
    full = True
    answer = doorman.judge(head)
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.1 503 ")


def test_no_token_is_kept_and_no_more_kinds_than_a_bound():
    doorman = _doorman()
    subprotocols = f"{JSON_SUBPROTOCOL}, {BEARER_PREFIX}secret"
    doorman.judge(upgrade_request(subprotocols=subprotocols, token="secret").removesuffix(b"\r\n\r\n"))
    assert not doorman._known
    for number in range(MAX_KNOWN + 1):
        head = upgrade_request(token="secret", extra=[("X-Kind", str(number))]).removesuffix(b"\r\n\r\n")
        assert isinstance(doorman.judge(head), Accepted)
    assert len(doorman._known) == 1
    assert "secret" not in repr(doorman._known)
