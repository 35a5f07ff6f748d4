"""The way of a new user: invited, a first node online, numbers that move, an epoch paid, a phone at night."""

import os
import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from support.places import LONG, PLACES, Visitor
from support.system import Command
from support.town import PASSWORD, Town
from support.waiting import eventually

from core.clock import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

BY_PATH = {place.path: place for place in PLACES}
# An epoch, and what its close waits for.
PAID = 150_000.0


async def _invitation(page: Page, town: Town) -> str:
    """The link that somebody shows to friends."""
    inviter = await town.newcomer(page, f"{new_id().hex}@example.com")
    await inviter.visit(BY_PATH["/referrals"])
    await page.get_by_test_id("referral-first").click()
    return await page.get_by_test_id("referral-link").inner_text()


async def _join(page: Page, town: Town, link: str) -> Visitor:
    """Follow an invitation, confirm the address, sign in."""
    email = f"{new_id().hex}@example.com"
    await page.goto(link)
    await expect(page.get_by_test_id("signup-referral")).to_have_value(re.compile(r"\w+"))
    await page.get_by_test_id("signup-email").fill(email)
    await page.get_by_test_id("signup-name").fill("Ada <b>bold</b> 🌱 \u0639")
    await page.get_by_test_id("signup-password").fill(PASSWORD)
    await page.get_by_test_id("signup-submit").click()
    await expect(page.get_by_test_id("mail-sent")).to_be_visible()
    await page.goto(await town.system.mailed_link(email))
    await page.get_by_test_id("link-to-login").click()
    visitor = Visitor(page, town.system.url)
    await page.get_by_test_id("login-email").fill(email)
    await page.get_by_test_id("login-password").fill(PASSWORD)
    await page.get_by_test_id("login-submit").click()
    await visitor.live()
    return visitor


async def _amount(page: Page, name: str) -> int:
    return int(await page.get_by_test_id(name).first.get_attribute("data-micropoints") or 0)


async def test_from_an_invitation_to_a_paid_epoch(
    page: Page, browser: Browser, town: Town, tmp_path: Path
) -> None:
    elsewhere = await browser.new_context()
    other = await elsewhere.new_page()
    visitor = await _join(page, town, await _invitation(other, town))

    # The first node: its command is copied, it runs, and the page says that it sees it.
    await visitor.visit(BY_PATH["/nodes/new"])
    await page.get_by_test_id("add-node").click()
    command = page.get_by_test_id("enrol-command")
    await expect(command).to_contain_text("--enrol ")
    enrolment = re.search(r"--enrol (\S+)", await command.inner_text())
    assert enrolment
    arguments = ("--server", town.system.url, "--name", "attic", "--data", str(tmp_path))
    agent = await Command.start("agent", *arguments, "--enrol", enrolment[1])
    try:
        await expect(page.get_by_test_id("enrol-seen")).to_have_attribute("data-seen", "true", timeout=LONG)
        await expect(page.get_by_test_id("enrol-live")).to_be_visible()

        # Numbers move without a reload, also while a worker dies.
        await visitor.visit(BY_PATH["/"])
        before = await _amount(page, "accruing")
        workers = await town.system.processes("worker")
        victim = max(workers, key=lambda pid: int(workers[pid]["connections_nodes"]))
        os.kill(victim, signal.SIGKILL)

        async def grown() -> bool:
            return await _amount(page, "accruing") + await _amount(page, "balance") > before

        await eventually(grown, timeout=40)
        await visitor.live()

        # An epoch closes, and the amount leads to its arithmetic.
        async def paid() -> bool:
            return await _amount(page, "balance") > 0

        await eventually(paid, timeout=PAID / 1000)
        await visitor.visit(BY_PATH["/earnings/epochs"])
        await page.get_by_role("table").get_by_role("link").first.click()
        await expect(page.get_by_test_id("epoch-state")).to_be_visible()
        assert not await page.evaluate("performance.getEntriesByType('navigation')[0].type === 'reload'")

        # In the dark, on a phone, the same figures are there.
        await visitor.dress("dark", 390, 844)
        await visitor.visit(BY_PATH["/"])
        assert await _amount(page, "balance") > 0
        assert await visitor.faults() == []
    finally:
        await agent.stop()

    # Whoever invited them sees that somebody joined.
    inviter = Visitor(other, town.system.url)
    await inviter.visit(BY_PATH["/referrals/people"])
    await expect(other.get_by_test_id("referee-state")).to_have_count(1)
    await elsewhere.close()
