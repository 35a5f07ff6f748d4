"""What an operator does: look at the cluster, prove the ledger, end connections, pay for a campaign."""

import pytest
from playwright.async_api import Browser, Page, expect
from support.places import PLACES, Visitor
from support.town import Town

from core.clock import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

LONG = 30_000.0
BY_PATH = {place.path: place for place in PLACES}


async def test_sees_every_process_and_figures_that_move(page: Page, town: Town) -> None:
    visitor = await town.operator(page)
    await visitor.visit(BY_PATH["/admin"])
    await expect(page.get_by_test_id("process-row")).to_have_count(4)
    await expect(page.get_by_test_id("figure-nodes")).to_have_text("3")
    await expect(page.get_by_test_id("figure-messages_in")).not_to_contain_text("–", timeout=LONG)


async def test_has_the_ledger_checked(page: Page, town: Town) -> None:
    visitor = await town.operator(page)
    await visitor.visit(BY_PATH["/admin/ledger"])
    await page.get_by_test_id("ledger-ask").click()
    await expect(page.get_by_test_id("ledger-ask")).to_be_disabled()
    await expect(page.get_by_test_id("ledger-ask")).to_be_enabled(timeout=LONG)
    await expect(page.get_by_test_id("ledger-offences")).to_have_text("0")


async def test_finds_somebody_and_disconnects_them(page: Page, browser: Browser, town: Town) -> None:
    email = f"{new_id().hex}@example.com"
    elsewhere = await browser.new_context()
    other = await elsewhere.new_page()
    await town.newcomer(other, email)

    visitor = await town.operator(page)
    await visitor.visit(BY_PATH["/admin/people"])
    await page.get_by_test_id("people-search").fill(email)
    await page.get_by_test_id("people-search-submit").click()
    await expect(page.get_by_test_id("person-row")).to_have_count(1)
    await page.get_by_test_id("person-row").get_by_role("link").click()
    await expect(page.get_by_test_id("session-row")).to_have_count(1)
    await page.get_by_test_id("kick").click()
    await page.get_by_test_id("kick-confirm").click()
    await expect(page.get_by_test_id("session-row")).to_have_count(0)
    await expect(other.get_by_test_id("login-email")).to_be_visible(timeout=LONG)
    await elsewhere.close()


async def test_suspends_a_node_and_lets_it_in_again(page: Page, town: Town) -> None:
    visitor = await town.operator(page)
    await visitor.visit(BY_PATH["/admin/nodes/{node}"], **town.ids)
    await page.get_by_test_id("suspend").click()
    await page.get_by_test_id("suspend-dialog-submit").click()
    await expect(page.get_by_test_id("suspend-dialog-note")).to_be_focused()
    await page.get_by_test_id("suspend-dialog-note").fill("Its owner asked for it.")
    await page.get_by_test_id("suspend-dialog-submit").click()
    await expect(page.get_by_test_id("flag-row").first).to_contain_text("Suspended")
    await page.get_by_test_id("unsuspend").click()
    await page.get_by_test_id("unsuspend-dialog-note").fill("It is well again.")
    await page.get_by_test_id("unsuspend-dialog-submit").click()
    await expect(page.get_by_test_id("suspend")).to_be_visible()


async def test_begins_a_campaign_of_the_very_budget_that_was_typed_and_stops_it(
    page: Page, town: Town
) -> None:
    visitor = await town.operator(page)
    await visitor.visit(BY_PATH["/admin/campaigns"])
    await page.get_by_test_id("campaign-new").click()
    await page.get_by_test_id("campaign-submit").click()
    await expect(page.get_by_test_id("campaign-name")).to_be_focused()
    name = "<b>Spring</b> \u202e 🌱"
    await page.get_by_test_id("campaign-name").fill(name)
    await page.get_by_test_id("campaign-budget").fill("9007199254.740993")
    await page.get_by_test_id("campaign-submit").click()
    row = page.get_by_test_id("campaign-row").first
    await expect(row).to_contain_text(name)
    await expect(row).to_contain_text("9,007,199,254.740993")
    await page.get_by_test_id("campaign-open").first.click()
    await page.get_by_test_id("campaign-stop").click()
    await expect(row.get_by_test_id("campaign-state")).to_have_text("Budget spent")


async def test_support_looks_and_does_not_decide(page: Page, town: Town) -> None:
    email = f"{new_id().hex}@example.com"
    await town.add(email, "support")
    visitor = Visitor(page, town.system.url)
    await visitor.sign_in(email, "a long enough password")
    await visitor.visit(BY_PATH["/admin/campaigns"])
    await expect(page.get_by_test_id("campaign-new")).to_have_count(0)
    await visitor.visit(BY_PATH["/admin/ledger"])
    await expect(page.get_by_test_id("ledger-ask")).to_have_count(0)
