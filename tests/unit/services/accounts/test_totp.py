import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from services.accounts import totp

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, seconds // 30, digits=8) == code
    assert totp.code_at(RFC_SECRET, seconds // 30) == code[-6:]


def test_a_code_serves_for_its_step_and_the_ones_beside_it() -> None:
    code = totp.code_at(RFC_SECRET, 100)
    for now, step in ((98, None), (99, 100), (100, 100), (101, 100), (102, None)):
        assert totp.matching_step(RFC_SECRET, code, now * 30_000) == step


@pytest.mark.parametrize("text", ["12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666", ""])
def test_what_is_not_six_digits_is_no_code(text: str) -> None:
    assert not totp.is_code(text)


def test_an_app_gets_the_secret_from_the_address() -> None:
    address = urlsplit(totp.uri(RFC_SECRET, "ada@example.com", "Pulseboard"))
    assert (address.scheme, address.netloc, address.path) == (
        "otpauth",
        "totp",
        "/Pulseboard%3Aada%40example.com",
    )
    facts = parse_qs(address.query)
    assert base64.b32decode(facts["secret"][0]) == RFC_SECRET
    assert facts["issuer"] == ["Pulseboard"]


def test_recovery_codes_differ_and_are_the_same_however_they_are_typed() -> None:
    codes = totp.new_recovery_codes()
    assert len(set(codes)) == 10
    code = codes[0]
    assert len(code) == 19
    for typed in (code.upper(), code.replace("-", ""), f" {code.replace('-', ' ')} "):
        assert totp.recovery_hash(typed) == totp.recovery_hash(code)
    assert totp.recovery_hash(codes[1]) != totp.recovery_hash(code)
