"""Referrals over HTTP: codes, who was brought, and the staff's look."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.api import Api
from support.callers import Callers, make_callers
from support.earned import TERMS, Farm
from support.house import PASSWORD

from core.clock import new_id
from storage.base import ReferralTerms

HOME = "93.184.216.34"
OFFICE = "203.0.114.9"


@pytest.fixture
async def callers(api: Api) -> Callers:
    return await make_callers(api.house)


async def new_code(api: Api, token: str, alias: str | None = None) -> str:
    answer = await api.call("POST", "/referrals/codes", {"alias": alias}, token=token)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["code"]
    return code


async def register(
    api: Api, email: str, code: str | None = None, device: str | None = None
) -> dict[str, Any]:
    """Ask for an account from a browser of its own, unless `device` is one's name, and open the link."""
    api.client.cookies.clear()
    headers = {"Cookie": f"pulseboard_device={device}"} if device else {}
    body = {"email": email, "password": PASSWORD, "referral_code": code}
    answer = await api.call("POST", "/auth/register", body, headers=headers)
    assert answer.status_code == 202, answer.text
    api.client.cookies.clear()
    link = await api.house.link(email)
    assert (await api.call("POST", "/auth/verify-email", {"token": link})).status_code == 204
    return await api.sign_in(email)


async def summary(api: Api, token: str) -> dict[str, Any]:
    answer = await api.call("GET", "/referrals", token=token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reviews(api: Api, callers: Callers, state: str = "review") -> list[dict[str, Any]]:
    answer = await api.call("GET", f"/admin/referrals?state={state}", token=callers.token("support"))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_somebody_makes_codes_and_finds_them_again(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    code = await new_code(api, token)
    assert len(code) == 11
    assert code[5] == "-"
    assert await new_code(api, token, "ada-lovelace") == "ada-lovelace"
    found = await summary(api, token)
    assert {(each["code"], each["alias"], each["clicks"]) for each in found["codes"]} == {
        (code, False, 0),
        ("ada-lovelace", True, 0),
    }
    assert (found["joined_by"], found["tier"], found["missing"]) == (None, None, 1)
    assert found["active_hours"] == 100


@pytest.mark.parametrize(
    "alias", ["", "ada", "----", "ada lovelace", "1234", "-ada-", "a" * 25, "ÄDA-1", "a--b", "ada\0ada"]
)
async def test_an_alias_that_is_none_is_refused(api: Api, alias: str) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("POST", "/referrals/codes", {"alias": alias}, token=token)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        400,
        "invalid_input",
        "alias",
    )


@pytest.mark.parametrize("alias", ["ADA-Lovelace", "adal0velace", "ada1ove1ace", "Support", "adm1n"])
async def test_an_alias_of_somebody_else_or_of_ours_is_taken_however_it_is_written(
    api: Api, alias: str
) -> None:
    await new_code(api, (await api.sign_in())["access_token"], "ada-lovelace")
    token = (await api.sign_in("bob@example.com"))["access_token"]
    answer = await api.call("POST", "/referrals/codes", {"alias": alias}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (409, "referral_code_taken")


async def test_nobody_makes_codes_without_end(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    for _ in range(5):
        await new_code(api, token)
    answer = await api.call("POST", "/referrals/codes", {}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (409, "referral_codes_most")
    await new_code(api, token, "ada-1815")


async def test_a_request_that_is_sent_again_makes_no_second_code(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    headers = {"Idempotency-Key": "a-code-please"}
    one, two = [
        await api.call("POST", "/referrals/codes", {}, token=token, headers=headers) for _ in range(2)
    ]
    assert one.json() == two.json()
    assert len((await summary(api, token))["codes"]) == 1


async def test_a_stranger_follows_a_code_and_it_counts_once_a_day(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    await new_code(api, token, "ada-lovelace")
    for written in ("ada-lovelace", "ADALOVELACE", "adal0velace"):
        answer = await api.call("GET", f"/referrals/codes/{written}")
        assert (answer.status_code, answer.json()) == (200, {"code": "ada-lovelace"})
    missing = await api.call("GET", "/referrals/codes/bob")
    assert (missing.status_code, missing.json()["code"]) == (404, "referral_code_not_found")
    assert (await summary(api, token))["codes"][0]["clicks"] == 1


async def test_strangers_cannot_try_codes_without_end(api: Api) -> None:
    answers = [await api.call("GET", f"/referrals/codes/CODE{n}") for n in range(25)]
    assert [answer.status_code for answer in answers] == [404] * 20 + [429] * 5
    assert answers[-1].json()["code"] == "too_many_attempts"


async def test_from_a_click_to_somebody_who_is_active(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    code = await new_code(api, token)
    assert (await api.call("GET", f"/referrals/codes/{code}")).status_code == 200
    child = await register(api, "bob@example.com", code.lower())
    found = await summary(api, token)
    assert [(each["clicks"], each["signups"]) for each in found["codes"]] == [(1, 1)]
    assert [(each["level"], each["share"], each["people"], each["active"]) for each in found["levels"]] == [
        (1, 2000, 1, 0),
        (2, 1000, 0, 0),
        (3, 500, 0, 0),
    ]
    assert (await summary(api, child["access_token"]))["joined_by"] is not None
    await api.house.stores.referrals.activate(api.house.clock.now(), 0)
    user = await api.house.user_store.by_email("bob@example.com")
    assert user is not None
    await api.house.stores.add_node(user.user_id)
    assert await api.house.stores.referrals.activate(api.house.clock.now(), 0) == 1
    found = await summary(api, token)
    assert (found["levels"][0]["active"], found["tier"], found["next_tier"], found["missing"]) == (
        1,
        {"active": 1, "multiplier": 11_000},
        {"active": 3, "multiplier": 12_500},
        2,
    )
    page = (await api.call("GET", "/referrals/people", token=token)).json()
    (person,) = page["items"]
    assert (person["level"], person["state"], person["active_at"] is None) == (1, "good", False)
    assert str(user.user_id) not in str(page), "whoever was brought is not named"
    assert page["next_cursor"] is None
    assert (await api.call("GET", "/referrals/people?level=2", token=token)).json()["items"] == []
    assert (await api.call("GET", "/referrals/people?level=4", token=token)).status_code == 400


async def test_a_code_that_is_none_is_told_at_once(api: Api) -> None:
    body = {"email": "bob@example.com", "password": PASSWORD, "referral_code": "nobodys"}
    for code in ("nobodys", "", "no such code", "a" * 65, "\0"):
        answer = await api.call("POST", "/auth/register", {**body, "referral_code": code})
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (
            400,
            "invalid_input",
            "referral_code",
        )
    assert await api.house.mails() == []


async def test_whether_an_address_has_an_account_shows_in_no_count(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    code = await new_code(api, token)
    await api.house.person("known@example.com")
    for email in ("known@example.com", "unknown@example.com"):
        body = {"email": email, "password": PASSWORD, "referral_code": code}
        assert (await api.call("POST", "/auth/register", body)).status_code == 202
    assert (await summary(api, token))["codes"][0]["signups"] == 2


async def test_who_signs_up_again_from_the_same_browser_is_refused(api: Api, callers: Callers) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD}
    answer = await api.call("POST", "/auth/register", body)
    attributes = answer.headers["set-cookie"]
    assert "HttpOnly" in attributes
    assert "samesite=strict" in attributes.lower()
    device = attributes.partition(";")[0].partition("=")[2]
    token = (await register(api, "ada@example.com", device=device))["access_token"]
    await register(api, "bob@example.com", await new_code(api, token), device=device)
    (refused,) = await reviews(api, callers, "refused")
    assert [(each["kind"], each["value"]) for each in refused["evidence"]] == [("device", device)]
    assert (await summary(api, token))["levels"][0]["refused"] == 1


async def test_a_browser_that_signed_in_is_known_too(api: Api, callers: Callers) -> None:
    device = "D" * 22
    token = (await api.sign_in())["access_token"]
    body = {"email": "ada@example.com", "password": PASSWORD}
    headers = {"Cookie": f"pulseboard_device={device}"}
    assert (await api.call("POST", "/auth/login", body, headers=headers)).status_code == 200
    await register(api, "bob@example.com", await new_code(api, token), device=device)
    assert len(await reviews(api, callers, "refused")) == 1


async def test_another_address_of_ones_own_mailbox_is_refused(api: Api, callers: Callers) -> None:
    token = (await api.sign_in())["access_token"]
    await register(api, "ada+friend@example.com", await new_code(api, token))
    (refused,) = await reviews(api, callers, "refused")
    assert [each["kind"] for each in refused["evidence"]] == ["mailbox"]


async def test_an_operator_releases_what_was_flagged(api: Api, callers: Callers) -> None:
    token = (await api.sign_in())["access_token"]
    await register(api, "bob@mailinator.com", await new_code(api, token))
    (review,) = await reviews(api, callers)
    assert [(each["kind"], each["value"], each["released"]) for each in review["evidence"]] == [
        ("disposable", "mailinator.com", False)
    ]
    path = f"/admin/referrals/{review['referral_id']}/decision"
    decision = {"decision": "released", "note": "an artist's address"}
    refused = await api.call("POST", path, decision, token=callers.token("support"))
    assert refused.status_code == 403
    answer = await api.call("POST", path, decision, token=callers.token("operator"))
    assert (answer.status_code, answer.json()) == (200, {"referrals": 1})
    assert await reviews(api, callers) == []
    (released,) = await reviews(api, callers, "good")
    assert (released["decision"], released["note"]) == ("released", "an artist's address")
    assert released["decided_by"] == str(callers.people["operator"].user_id)
    assert "referral.decided" in await api.house.kinds_noted()


async def test_an_operator_refuses_a_whole_subtree(api: Api, callers: Callers) -> None:
    token = (await api.sign_in())["access_token"]
    session = await register(api, "one@mailinator.com", await new_code(api, token))
    for n in range(2):
        below = await new_code(api, session["access_token"])
        session = await register(api, f"below{n}@example.com", below)
    (review,) = await reviews(api, callers)
    answer = await api.call(
        "POST",
        f"/admin/referrals/{review['referral_id']}/decision",
        {"decision": "refused", "note": "a farm", "subtree": True},
        token=callers.token("operator"),
    )
    assert answer.json() == {"referrals": 3}
    assert [each["refused"] for each in (await summary(api, token))["levels"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decision": "refused", "note": " "}, "note"),
        ({"decision": "refused", "note": "x" * 501}, "note"),
        ({"decision": "maybe", "note": "x"}, "decision"),
    ],
)
async def test_a_decision_that_says_too_little_is_none(
    api: Api, callers: Callers, body: dict[str, Any], field: str
) -> None:
    path = f"/admin/referrals/{new_id()}/decision"
    answer = await api.call("POST", path, body, token=callers.token("operator"))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_there_is_no_deciding_about_nothing(api: Api, callers: Callers) -> None:
    path = f"/admin/referrals/{new_id()}/decision"
    body = {"decision": "refused", "note": "x"}
    answer = await api.call("POST", path, body, token=callers.token("operator"))
    assert (answer.status_code, answer.json()["code"]) == (404, "referral_not_found")


async def test_the_same_public_address_is_held_for_review(api: Api, callers: Callers) -> None:
    person = await api.house.person()
    await api.house.referrals.seen(person.user_id, HOME, None)
    code = (await api.house.referrals.make_code(person.user_id, None)).shown
    for email, address in (("bob@example.com", HOME), ("eve@example.com", OFFICE)):
        await api.house.accounts.registrar.register(email, PASSWORD, referral_code=code, address=address)
        await api.house.accounts.registrar.verify(await api.house.link(email), address)
    (review,) = await reviews(api, callers)
    assert sorted((each["kind"], each["value"]) for each in review["evidence"]) == [
        ("address", HOME),
        ("subnet", "93.184.216.0/24"),
    ]


async def test_a_burst_is_held_for_review(api: Api, callers: Callers) -> None:
    person = await api.house.person()
    code = (await api.house.referrals.make_code(person.user_id, None)).shown
    for n in range(5):
        email = f"bob{n}@example.com"
        await api.house.accounts.registrar.register(email, PASSWORD, referral_code=code)
        await api.house.accounts.registrar.verify(await api.house.link(email))
    found = await reviews(api, callers)
    assert [[(each["kind"], each["value"]) for each in one["evidence"]] for one in found] == [
        [("burst", "5")]
    ] * 5


async def test_what_each_of_them_brought_is_told_and_nobody_is_named(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    code = await new_code(api, token)
    children = []
    for name in ("bob", "cleo"):
        await register(api, f"{name}@example.com", code)
        user = await api.house.user_store.by_email(f"{name}@example.com")
        assert user is not None
        children.append(user)
    terms = replace(TERMS, referral_pool=10**9, referrals=ReferralTerms(active_seconds=60), hold_seconds=3600)
    farm = await Farm.begin(api.house, terms)
    nodes = [await farm.node(child) for child in children]
    for number in range(30):
        await farm.work({nodes[0]: 60, **({nodes[1]: 60} if number < 2 else {})}, minutes=1)
        await api.house.stores.referrals.activate(api.house.clock.now(), 60)
        await farm.close()
    token = (await api.sign_in())["access_token"]
    page = (await api.call("GET", "/referrals/rewards", token=token)).json()
    cleo, bob = page["items"]
    assert (bob["level"], bob["state"], bob["reversed"], bob["held"]) == (1, "good", "0", "0")
    for each in (bob, cleo):
        assert int(each["earned"]) == int(each["pending"]) + int(each["released"]) + int(each["held"])
    # The first day's are final, those of the second are not.
    assert (cleo["pending"], cleo["released"]) == ("0", str(2 * farm.pool // 2 // 5))
    assert int(bob["pending"]) > 0
    assert int(bob["released"]) > int(cleo["released"])
    rewards = (await api.call("GET", "/rewards", token=token)).json()
    assert int(rewards["pending"]) == int(bob["pending"])
    assert int(rewards["balance"]) == int(bob["earned"]) + int(cleo["earned"])
    (level, *_) = (await summary(api, token))["levels"]
    for name in ("earned", "pending", "released", "held", "reversed"):
        assert int(level[name]) == int(bob[name]) + int(cleo[name])
    assert not any(str(child.user_id) in str(page) for child in children)
    first = (await api.call("GET", "/referrals/rewards?limit=1", token=token)).json()
    rest = (
        await api.call("GET", f"/referrals/rewards?limit=1&cursor={first['next_cursor']}", token=token)
    ).json()
    assert (first["items"] + rest["items"], rest["next_cursor"]) == (page["items"], None)
    assert (await api.call("GET", "/referrals/rewards?level=2", token=token)).json()["items"] == []
    assert (await api.call("GET", "/referrals/rewards?level=4", token=token)).status_code == 400
