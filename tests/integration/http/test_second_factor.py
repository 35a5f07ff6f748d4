"""A second factor from beginning to end, over HTTP."""

import base64
from datetime import timedelta
from typing import Any

import httpx
from support.api import Api
from support.house import PASSWORD

from services.accounts import totp

ADA = "ada@example.com"


def outcome(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code") if answer.content else None


def code_of(api: Api, secret: str) -> str:
    return totp.code_at(base64.b32decode(secret), api.house.now_ms // 30_000)


async def login(api: Api, **more: Any) -> httpx.Response:
    return await api.call("POST", "/auth/login", {"email": ADA, "password": PASSWORD, **more})


async def test_a_second_factor_from_beginning_to_end(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    refused = await api.call("POST", "/me/second-factor", {"password": "a wrong password"}, token=token)
    assert outcome(refused) == (401, "invalid_credentials")
    offer = (await api.call("POST", "/me/second-factor", {"password": PASSWORD}, token=token)).json()
    assert offer["uri"].startswith("otpauth://totp/Pulseboard%3Aada%40example.com?secret=")
    wrong = await api.call("POST", "/me/second-factor/confirm", {"code": "000000"}, token=token)
    assert outcome(wrong) == (401, "second_factor_invalid")
    body = {"code": code_of(api, offer["secret"])}
    turned_on = await api.call("POST", "/me/second-factor/confirm", body, token=token)
    codes = turned_on.json()["recovery_codes"]
    assert len(codes) == 10
    assert (await api.call("GET", "/me", token=token)).json()["second_factor"] is True

    api.house.clock.advance(timedelta(seconds=30))
    assert outcome(await login(api)) == (401, "second_factor_required")
    assert outcome(await login(api, code="000000")) == (401, "second_factor_invalid")
    code = code_of(api, offer["secret"])
    assert (await login(api, code=code)).status_code == 200
    assert outcome(await login(api, code=code)) == (401, "second_factor_invalid")
    assert (await login(api, code=codes[0])).status_code == 200

    api.house.clock.advance(timedelta(seconds=30))
    body = {"password": PASSWORD, "code": code_of(api, offer["secret"])}
    renewed = await api.call("POST", "/me/second-factor/recovery-codes", body, token=token)
    fresh = renewed.json()["recovery_codes"]
    assert set(fresh).isdisjoint(codes)
    assert outcome(await login(api, code=codes[1])) == (401, "second_factor_invalid")

    refused = await api.call("DELETE", "/me", {"password": PASSWORD}, token=token)
    assert outcome(refused) == (401, "second_factor_required")
    body = {"password": PASSWORD, "code": fresh[0]}
    assert outcome(await api.call("DELETE", "/me/second-factor", body, token=token)) == (204, None)
    assert (await login(api)).status_code == 200
    again = await api.call("DELETE", "/me/second-factor", body, token=token)
    assert outcome(again) == (409, "second_factor_off")
