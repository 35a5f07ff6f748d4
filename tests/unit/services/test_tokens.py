from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey
from support.house import SECRET, START

from core.clock import ManualClock, new_id
from core.errors import Unauthenticated
from services.tokens import AUDIENCE, ISSUER, LEEWAY, MAX_TOKEN, Tokens

NEW_SECRET = "the secret that replaced it, of a good length"
USER_ID, SESSION_ID, NODE_ID = new_id(), new_id(), new_id()
KEY = bytes(range(32))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens(SECRET, clock, access_ttl=600, enrol_ttl=3600)


def forged(header: dict[str, str], secret: str = SECRET, **changes: object) -> str:
    """A token that is signed properly but says something else."""
    now = int(START.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(USER_ID),
        "iat": now,
        "exp": now + 600,
        "kind": "user",
        "role": "user",
        "sid": str(SESSION_ID),
    } | changes
    return jws.serialize_compact(
        header,
        msgspec.json.encode(claims),
        OctKey.import_key(secret.encode()),
        algorithms=["HS256", "HS512", "none"],
    )


def own_header(tokens: Tokens) -> dict[str, str]:
    token, _ = tokens.for_enrolment(USER_ID)
    return jws.extract_compact(token.encode()).headers()


def refusal(tokens: Tokens, token: str, *kinds: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(token, *kinds)
    return refused.value.code


def test_a_users_token_says_who_and_until_when(tokens: Tokens) -> None:
    token, expires_at = tokens.for_user(USER_ID, SESSION_ID, "operator")
    principal = tokens.verify(token, "user")
    assert (principal.kind, principal.user_id, principal.role) == ("user", USER_ID, "operator")
    assert (principal.session_id, principal.node_id) == (SESSION_ID, None)
    assert principal.expires_at == expires_at == START + timedelta(seconds=600)


def test_a_nodes_token_says_which_node_whose_and_its_key(tokens: Tokens) -> None:
    principal = tokens.verify(tokens.for_node(NODE_ID, USER_ID, KEY)[0])
    assert (principal.kind, principal.node_id, principal.user_id) == ("node", NODE_ID, USER_ID)
    assert principal.public_key == KEY
    assert principal.session_id is None


def test_an_enrolment_token_lives_longer_and_does_not_serve_as_a_users(tokens: Tokens) -> None:
    token, expires_at = tokens.for_enrolment(USER_ID, SESSION_ID)
    assert expires_at == START + timedelta(seconds=3600)
    principal = tokens.verify(token, "user", "enrol")
    assert (principal.user_id, principal.session_id) == (USER_ID, SESSION_ID)
    assert refusal(tokens, token, "user") == "token_invalid"


def test_a_token_ends_on_the_second(tokens: Tokens, clock: ManualClock) -> None:
    token, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    clock.advance(timedelta(seconds=599.9))
    tokens.verify(token)
    clock.advance(timedelta(seconds=0.1))
    assert refusal(tokens, token) == "token_expired"


def test_processes_with_one_secret_trust_each_other_and_others_do_not(clock: ManualClock) -> None:
    token, _ = Tokens(SECRET, clock, 600, 600).for_user(USER_ID, SESSION_ID, "user")
    assert Tokens(SECRET, clock, 60, 60).verify(token).user_id == USER_ID
    assert refusal(Tokens(SECRET[::-1], clock, 600, 600), token) == "token_invalid"


class TestRotation:
    """One key signs, former ones verify; a token names its key by the `kid` of its header."""

    def test_what_a_former_key_signed_stays_good(self, clock: ManualClock) -> None:
        token, _ = Tokens(SECRET, clock, 600, 600).for_user(USER_ID, SESSION_ID, "user")
        assert Tokens(NEW_SECRET, clock, 600, 600, former=[SECRET]).verify(token).user_id == USER_ID

    def test_what_the_new_key_signs_needs_the_new_key(self, clock: ManualClock) -> None:
        token, _ = Tokens(NEW_SECRET, clock, 600, 600, former=[SECRET]).for_user(USER_ID, SESSION_ID, "user")
        assert Tokens(NEW_SECRET, clock, 600, 600).verify(token).user_id == USER_ID
        assert refusal(Tokens(SECRET, clock, 600, 600), token) == "token_invalid"

    def test_processes_that_learn_the_new_key_first_never_refuse_each_other(self, clock: ManualClock) -> None:
        old = Tokens(SECRET, clock, 600, 600)
        taught = Tokens(SECRET, clock, 600, 600, former=[NEW_SECRET])
        switched = Tokens(NEW_SECRET, clock, 600, 600, former=[SECRET])
        for signing, verifying in ((old, taught), (taught, old), (taught, switched), (switched, taught)):
            token, _ = signing.for_user(USER_ID, SESSION_ID, "user")
            assert verifying.verify(token).user_id == USER_ID

    def test_a_key_that_was_taken_away_serves_no_more(self, clock: ManualClock) -> None:
        token, _ = Tokens(SECRET, clock, 600, 600).for_user(USER_ID, SESSION_ID, "user")
        assert refusal(Tokens(NEW_SECRET, clock, 600, 600), token) == "token_invalid"

    def test_the_header_of_one_key_does_not_carry_the_signature_of_another(self, clock: ManualClock) -> None:
        both = Tokens(NEW_SECRET, clock, 600, 600, former=[SECRET])
        header = own_header(Tokens(SECRET, clock, 600, 600))
        assert both.verify(forged(header)).user_id == USER_ID
        assert refusal(both, forged(header, secret=NEW_SECRET)) == "token_invalid"

    def test_a_key_id_tells_nothing_but_which_key(self, clock: ManualClock) -> None:
        kids = [own_header(Tokens(secret, clock, 600, 600))["kid"] for secret in (SECRET, NEW_SECRET)]
        assert [len(kid) for kid in kids] == [16, 16]
        assert kids[0] != kids[1]


def test_a_clock_that_is_a_little_behind_the_issuers_is_forgiven(clock: ManualClock) -> None:
    ahead = ManualClock(START + timedelta(seconds=LEEWAY))
    token, _ = Tokens(SECRET, ahead, 600, 600).for_user(USER_ID, SESSION_ID, "user")
    ours = Tokens(SECRET, clock, 600, 600)
    assert ours.verify(token).issued_ms == ahead.now_ms()
    ahead.advance(timedelta(milliseconds=1))
    token, _ = Tokens(SECRET, ahead, 600, 600).for_user(USER_ID, SESSION_ID, "user")
    assert refusal(ours, token) == "token_invalid"


def test_a_token_says_to_the_millisecond_when_it_was_made(tokens: Tokens, clock: ManualClock) -> None:
    clock.advance(timedelta(milliseconds=123))
    token, expires_at = tokens.for_node(NODE_ID, USER_ID, KEY)
    assert tokens.verify(token).issued_ms == clock.now_ms()
    assert expires_at == START + timedelta(seconds=600)


def test_a_well_signed_token_passes_or_the_cases_below_would_prove_nothing(tokens: Tokens) -> None:
    assert tokens.verify(forged(own_header(tokens))).user_id == USER_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"iss": "another"},
        {"iat": int(START.timestamp()) + 3600},
        {"sub": "nobody"},
        {"exp": "tomorrow"},
        {"surprise": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_claim_that_is_not_ours_is_refused(tokens: Tokens, changes: dict[str, object]) -> None:
    assert refusal(tokens, forged(own_header(tokens), **changes)) == "token_invalid"


def test_another_algorithm_is_refused(tokens: Tokens) -> None:
    header = own_header(tokens)
    assert refusal(tokens, forged(header | {"alg": "HS512"})) == "token_invalid"


def test_no_algorithm_at_all_is_refused(tokens: Tokens) -> None:
    payload = forged(own_header(tokens)).split(".")[1]
    for header in ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"):
        assert refusal(tokens, f"{header}.{payload}.") == "token_invalid"


def test_another_key_id_is_refused(tokens: Tokens) -> None:
    assert refusal(tokens, forged(own_header(tokens) | {"kid": "0" * 16})) == "token_invalid"


def test_an_oversized_token_is_refused(tokens: Tokens) -> None:
    token, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    assert refusal(tokens, token + "A" * MAX_TOKEN) == "token_invalid"


def test_a_huge_token_is_refused_before_anything_is_computed(tokens: Tokens) -> None:
    token = forged(own_header(tokens), role="x" * MAX_TOKEN)
    assert refusal(tokens, token) == "token_invalid"


@given(st.binary(max_size=600))
def test_bytes_behind_a_good_header_are_refused(garbage: bytes) -> None:
    tokens = Tokens(SECRET, ManualClock(START), 600, 600, former=[NEW_SECRET])
    valid, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    head, payload, signature = valid.split(".")
    text = garbage.decode("latin-1")
    for token in (
        text,
        f"{head}.{text}",
        f"{head}.{text}.{signature}",
        f"{head}.{payload}.{signature}{text}.",
    ):
        assert refusal(tokens, token) == "token_invalid"


@given(st.integers(0, 400))
def test_a_token_that_broke_off_is_refused(length: int) -> None:
    tokens = Tokens(SECRET, ManualClock(START), 600, 600)
    token, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    assert refusal(tokens, token[: min(length, len(token) - 1)]) == "token_invalid"


@given(st.text())
def test_garbage_is_refused(text: str) -> None:
    tokens = Tokens(SECRET, ManualClock(START), 600, 600)
    valid, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    head, payload, _ = valid.split(".")
    for token in (text, f"{head}.{text}", f"{head}.{payload}.{text}", f"{head}.{text}.{payload}"):
        assert refusal(tokens, token) == "token_invalid"


@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    tokens = Tokens(SECRET, ManualClock(START), 600, 600)
    token, _ = tokens.for_user(USER_ID, SESSION_ID, "user")
    # The last character of the signature has bits that mean nothing.
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.sampled_from("AZaz09-_.").filter(lambda char: char != token[place]))
    assert refusal(tokens, token[:place] + other + token[place + 1 :]) == "token_invalid"
