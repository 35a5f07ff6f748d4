"""Every page, as readers see it: nothing stands in their way, in both colours and on any screen."""

from typing import Literal

import pytest
from playwright.async_api import Page, Route, expect
from support.places import PLACES, STRANGER_PLACES, Place, Visitor
from support.town import Town

from core.clock import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(420)]

Scheme = Literal["light", "dark"]
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
DESK, PHONE = 1280, 390


async def _look(visitor: Visitor, where: str, scheme: Scheme) -> list[str]:
    """The faults of what the visitor sees, on a desk and, as colours are the same there, once on a phone."""
    found = []
    for width in (DESK, PHONE) if scheme == "light" else (DESK,):
        await visitor.dress(scheme, width)
        found += [f"{where} ({scheme}, {width}): {fault}" for fault in await visitor.faults()]
        if await visitor.overflows():
            found.append(f"{where} ({scheme}, {width}): wider than the window")
    return found


async def _walk(visitor: Visitor, places: tuple[Place, ...], scheme: Scheme, **ids: object) -> list[str]:
    found = []
    for place in places:
        await visitor.dress(scheme, DESK)
        await visitor.visit(place, **ids)
        found += await _look(visitor, place.path, scheme)
    return found


@SCHEMES
async def test_pages_of_a_node_owner(page: Page, town: Town, scheme: Scheme) -> None:
    visitor = await town.owner(page)
    places = tuple(place for place in PLACES if not place.staff)
    assert await _walk(visitor, places, scheme, **town.ids) == []


@SCHEMES
async def test_pages_of_an_operator(page: Page, town: Town, scheme: Scheme) -> None:
    visitor = await town.operator(page)
    places = tuple(place for place in PLACES if place.staff)
    assert await _walk(visitor, places, scheme, **town.ids) == []


@SCHEMES
async def test_pages_of_somebody_who_has_nothing_yet(page: Page, town: Town, scheme: Scheme) -> None:
    visitor = await town.newcomer(page, f"{new_id().hex}@example.com")
    found = []
    for path in ("/", "/nodes", "/network", "/earnings", "/earnings/history", "/referrals", "/rewards"):
        await visitor.dress(scheme, DESK)
        await visitor.go(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await visitor.settled()
        found += await _look(visitor, f"{path}, empty", scheme)
    assert found == []


@SCHEMES
async def test_pages_of_a_stranger(page: Page, town: Town, scheme: Scheme) -> None:
    visitor = Visitor(page, town.system.url)
    await page.goto(town.system.url)
    found = await _walk(visitor, STRANGER_PLACES, scheme)
    await visitor.visit(STRANGER_PLACES[0])
    await page.get_by_test_id("login-submit").click()
    found += await _look(visitor, "/login, nothing typed", scheme)
    await page.get_by_test_id("login-email").fill("nobody@example.com")
    await page.get_by_test_id("login-password").fill("not the password")
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_role("alert").first).to_be_visible()
    found += await _look(visitor, "/login, refused", scheme)
    assert found == []


@SCHEMES
async def test_what_opens_over_a_page(page: Page, town: Town, scheme: Scheme) -> None:
    visitor = await town.operator(page)
    by_path = {place.path: place for place in PLACES}
    found = []
    for path, opener, opened in (
        ("/admin/campaigns", "campaign-new", "campaign-dialog"),
        ("/admin/nodes/{node}", "suspend", "suspend-dialog"),
        ("/admin/people/{person}", "kick", "kick-dialog"),
        ("/admin/people/{person}", "role-change", "role-dialog"),
        ("/admin", "palette-open", "palette"),
    ):
        await visitor.dress(scheme, DESK)
        await visitor.visit(by_path[path], **town.ids)
        await page.get_by_test_id(opener).click()
        await expect(page.get_by_test_id(opened)).to_be_visible()
        await visitor.settled()
        found += await _look(visitor, opened, scheme)
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id(opened)).to_be_hidden()
    assert found == []


async def test_a_page_whose_figures_cannot_be_had_says_so_and_recovers(page: Page, town: Town) -> None:
    visitor = await town.operator(page)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=500, json={"code": "internal", "status": 500, "detail": "No."})

    await page.route("**/api/v1/admin/ledger", refuse)
    await visitor.go("/admin/ledger")
    await expect(page.get_by_test_id("trouble")).to_be_visible()
    assert await _look(visitor, "/admin/ledger, no answer", "light") == []
    await page.unroute("**/api/v1/admin/ledger")
    await page.get_by_test_id("trouble").get_by_role("button").click()
    await expect(page.get_by_test_id("ledger-check")).to_be_visible()


async def test_a_page_for_the_staff_is_not_there_for_others(page: Page, town: Town) -> None:
    visitor = await town.owner(page)
    await expect(page.locator('a[href="#/admin"]')).to_have_count(0)
    await visitor.go("/admin/people")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
