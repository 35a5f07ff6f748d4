"""What is one's own, over HTTP."""

from typing import Any

import httpx
import pytest
from coincurve import PrivateKey
from Crypto.Hash import keccak
from support.api import Api
from support.house import PASSWORD

ADA = "ada@example.com"
NEW = "a brand new pass sentence"
KEY = PrivateKey(b"\x07" * 32)


def outcome(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code") if answer.content else None


def keccak256(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


@pytest.fixture
async def token(api: Api) -> str:
    return (await api.sign_in())["access_token"]


async def test_a_profile_is_changed_in_the_version_that_was_read(api: Api, token: str) -> None:
    read = await api.call("GET", "/me", token=token)
    version = read.headers["etag"]
    unchanged = await api.call("GET", "/me", token=token, headers={"If-None-Match": version})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    body = {"display_name": "Countess", "locale": "de-at", "time_zone": "Europe/Vienna"}
    changed = await api.call("PATCH", "/me", body, token=token, headers={"If-Match": version})
    assert changed.json() == {
        **read.json(),
        "display_name": "Countess",
        "locale": "de-AT",
        "time_zone": "Europe/Vienna",
    }
    again = await api.call("GET", "/me", token=token)
    assert (again.json(), again.headers["etag"]) == (changed.json(), changed.headers["etag"])
    late = await api.call("PATCH", "/me", {"locale": "en"}, token=token, headers={"If-Match": version})
    assert outcome(late) == (412, "precondition_failed")


@pytest.mark.parametrize(
    "body",
    [
        {"display_name": ""},
        {"display_name": None, "email": "eve@example.com"},
        {"role": "operator"},
        {"locale": "<b>"},
        {"time_zone": "../etc/passwd"},
        [],
        "text",
    ],
)
async def test_a_profile_takes_only_what_it_has(api: Api, token: str, body: Any) -> None:
    assert outcome(await api.call("PATCH", "/me", body, token=token)) == (400, "invalid_input")


async def test_a_password_is_changed_and_other_sessions_end(api: Api, token: str) -> None:
    other = (await api.sign_in())["access_token"]
    body = {"current": "a wrong password", "new": NEW}
    assert outcome(await api.call("PUT", "/me/password", body, token=token)) == (401, "invalid_credentials")
    body = {"current": PASSWORD, "new": "passwordpassword"}
    refused = await api.call("PUT", "/me/password", body, token=token)
    assert (outcome(refused), refused.json()["field"]) == ((400, "password_common"), "new")
    body = {"current": PASSWORD, "new": NEW}
    assert outcome(await api.call("PUT", "/me/password", body, token=token)) == (204, None)
    assert (await api.call("GET", "/me", token=token)).status_code == 200
    assert outcome(await api.call("GET", "/me", token=other)) == (401, "token_revoked")


async def test_an_address_is_changed_by_both(api: Api, token: str) -> None:
    body = {"email": "lovelace@example.com", "password": PASSWORD}
    assert (await api.call("PUT", "/me/email", body, token=token)).status_code == 202
    states = []
    for address in (ADA, "lovelace@example.com"):
        link = {"token": await api.house.link(address)}
        states.append((await api.call("POST", "/auth/email/confirm", link)).json())
    assert states == [{"state": "half"}, {"state": "changed"}]
    assert (await api.call("GET", "/me", token=token)).json()["email"] == "lovelace@example.com"


async def test_a_taken_address_gets_the_same_answer(api: Api, token: str) -> None:
    await api.house.person("taken@example.com")
    answers = []
    for email in ("taken@example.com", "free@example.com"):
        answer = await api.call("PUT", "/me/email", {"email": email, "password": PASSWORD}, token=token)
        answers.append((answer.status_code, answer.content))
    assert answers[0] == answers[1]


async def test_a_wallet_is_linked_and_unlinked(api: Api, token: str) -> None:
    address = "0x" + keccak256(KEY.public_key.format(compressed=False)[1:])[-20:].hex()
    challenge = (await api.call("POST", "/me/wallet/challenge", {"address": address}, token=token)).json()
    message = challenge["message"].encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)
    signature = KEY.sign_recoverable(digest, hasher=None).hex()
    body = {"address": address, "nonce": challenge["nonce"], "signature": "0x" + signature}
    wrong = {**body, "signature": "0x" + "11" * 65}
    assert outcome(await api.call("PUT", "/me/wallet", wrong, token=token)) == (400, "signature_invalid")
    linked = await api.call("PUT", "/me/wallet", body, token=token)
    assert linked.json()["address"].lower() == address
    assert (await api.call("GET", "/me", token=token)).json()["wallet"] == linked.json()["address"]
    assert outcome(await api.call("PUT", "/me/wallet", body, token=token)) == (400, "challenge_invalid")
    other = (await api.sign_in("eve@example.com"))["access_token"]
    challenge = (await api.call("POST", "/me/wallet/challenge", {"address": address}, token=other)).json()
    message = challenge["message"].encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)
    signature = KEY.sign_recoverable(digest, hasher=None).hex()
    body = {"address": address, "nonce": challenge["nonce"], "signature": signature}
    assert outcome(await api.call("PUT", "/me/wallet", body, token=other)) == (409, "wallet_taken")
    assert outcome(await api.call("DELETE", "/me/wallet", token=token)) == (204, None)
    assert (await api.call("GET", "/me", token=token)).json()["wallet"] is None


async def test_a_copy_of_everything_is_a_file(api: Api, token: str) -> None:
    answer = await api.call("GET", "/me/export", token=token)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["account"]["email"] == ADA


async def test_an_account_is_deleted_for_good(api: Api, token: str) -> None:
    refused = await api.call("DELETE", "/me", {"password": "a wrong password"}, token=token)
    assert outcome(refused) == (401, "invalid_credentials")
    assert outcome(await api.call("DELETE", "/me", {"password": PASSWORD}, token=token)) == (204, None)
    assert outcome(await api.call("GET", "/me", token=token)) == (401, "token_revoked")
    login = await api.call("POST", "/auth/login", {"email": ADA, "password": PASSWORD})
    assert outcome(login) == (401, "invalid_credentials")


async def test_proofs_are_throttled(api: Api, token: str) -> None:
    for _ in range(10):
        await api.call("DELETE", "/me", {"password": "a wrong password"}, token=token)
    refused = await api.call("DELETE", "/me", {"password": PASSWORD}, token=token)
    assert outcome(refused) == (429, "too_many_attempts")
