"""From a sign-up to live numbers, and what the page shows when things die."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from support.system import Command, System
from support.waiting import eventually

from core.clock import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

PASSWORD = "a long enough password"
SECONDS = 1000


async def _sign_up(page: Page, system: System) -> str:
    """As a newcomer: ask for an account, open the link of the mail, sign in."""
    email = f"{new_id().hex}@example.com"
    await page.goto(system.url)
    await page.get_by_test_id("to-signup").click()
    await page.get_by_test_id("signup-email").fill(email)
    await page.get_by_test_id("signup-name").fill("Ada")
    await page.get_by_test_id("signup-password").fill(PASSWORD)
    await page.get_by_test_id("signup-submit").click()
    await expect(page.get_by_test_id("mail-sent")).to_be_visible()
    await page.goto(await system.mailed_link(email))
    await page.get_by_test_id("link-to-login").click()
    assert "token" not in page.url
    await _sign_in(page, email, PASSWORD)
    return email


async def _sign_in(page: Page, email: str, password: str) -> None:
    await page.get_by_test_id("login-email").fill(email)
    await page.get_by_test_id("login-password").fill(password)
    await page.get_by_test_id("login-submit").click()
    await _live(page)


async def _live(page: Page) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute(
        "data-state", "live", timeout=20 * SECONDS
    )


async def _micropoints(page: Page) -> int:
    """All that the page shows as earned: what is booked and what accrues."""
    figures = [page.get_by_test_id(name) for name in ("balance", "accruing")]
    return sum([int(await figure.get_attribute("data-micropoints") or 0) for figure in figures])


async def _grows(page: Page) -> None:
    """See the number of points change, without a reload."""
    before = await _micropoints(page)

    async def grown() -> bool:
        return await _micropoints(page) > before

    await eventually(grown, timeout=20)


async def _nodes_online(page: Page, count: int) -> None:
    online = page.locator('[data-testid="node-row"][data-state="online"]')
    await expect(online).to_have_count(count, timeout=30 * SECONDS)
    await expect(page.get_by_test_id("nodes-online")).to_have_text(re.compile(rf"^\s*{count}\b"))


async def _enrolment(page: Page) -> str:
    """The token of the command that the page shows for a new node."""
    if not await page.get_by_test_id("enrol-command").is_visible():
        await page.get_by_test_id("add-node").click()
    command = page.get_by_test_id("enrol-command")
    await expect(command).to_contain_text("--enrol ")
    match = re.search(r"pulseboard agent --server (\S+) --enrol (\S+)", await command.inner_text())
    assert match
    return match[2]


@pytest.fixture
async def agents(system: System, tmp_path: Path) -> AsyncIterator["Agents"]:
    agents = Agents(system, tmp_path)
    yield agents
    for agent in agents.running.values():
        await agent.stop()


class Agents:
    """Node agents, each in a process of its own."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder
        self.running: dict[str, Command] = {}

    async def start(self, name: str, enrolment: str | None = None) -> None:
        """Start one; the enrolment is needed the first time only."""
        arguments = ["agent", "--server", self._system.url, "--name", name, "--data", str(self._folder)]
        arguments += ["--enrol", enrolment] if enrolment else []
        self.running[name] = await Command.start(*arguments)

    async def kill(self, name: str) -> None:
        """Kill one without a warning."""
        await self.running.pop(name).stop(signal.SIGKILL)


async def test_numbers_move_nodes_die_and_workers_die(system: System, page: Page, agents: Agents) -> None:
    email = await _sign_up(page, system)
    await expect(page.get_by_test_id("nodes-total")).to_have_text(re.compile(r"^\s*0\b"))

    enrolment = await _enrolment(page)
    for name in ("attic", "cellar", "garage"):
        await agents.start(name, enrolment)
    await _nodes_online(page, 3)
    await _grows(page)

    # One number everywhere: what the page shows is what the API says, once the next event is in.
    login = {"email": email, "password": PASSWORD, "cookie": False}
    token = (await system.http.post("/api/v1/auth/login", json=login)).json()["access_token"]

    async def agree() -> bool:
        shown = await _micropoints(page)
        headers = {"Authorization": f"Bearer {token}"}
        answers = [
            (await system.http.get(f"/api/v1{path}", headers=headers)).raise_for_status().json()
            for path in ("/me/overview", "/earnings/summary")
        ]
        overview, summary = answers
        if (summary["balance"], summary["accruing"]) != (overview["balance"], overview["accruing"]):
            return False
        return int(overview["balance"]) + int(overview["accruing"]["amount"]) == shown

    await eventually(agree, timeout=20)

    await agents.kill("attic")
    await _nodes_online(page, 2)
    await expect(page.locator('[data-testid="node-row"][data-state="offline"]')).to_have_count(1)

    workers = await system.processes("worker")
    victim = max(workers, key=lambda pid: int(workers[pid]["connections_nodes"]))
    assert workers[victim]["connections_nodes"]
    os.kill(victim, signal.SIGKILL)

    async def all_back() -> bool:
        others = {pid: m for pid, m in (await system.processes("worker")).items() if pid != victim}
        return len(others) == 2 and sum(int(m["connections_nodes"]) for m in others.values()) == 2

    await eventually(all_back, timeout=30)
    await _live(page)
    await _nodes_online(page, 2)
    await _grows(page)

    await agents.start("attic")
    await _nodes_online(page, 3)
    assert not await page.evaluate("performance.getEntriesByType('navigation')[0].type === 'reload'")


async def test_a_session_survives_a_reload_and_ends_with_logging_out(system: System, page: Page) -> None:
    await page.goto(system.url)
    await page.get_by_test_id("login-email").fill(system.email)
    await page.get_by_test_id("login-password").fill("not the password")
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await _sign_in(page, system.email, system.password)
    await page.reload()
    await _live(page)
    await page.get_by_test_id("account").click()
    await page.get_by_test_id("logout").click()
    await expect(page.get_by_test_id("login-email")).to_be_visible()
    await page.reload()
    await expect(page.get_by_test_id("login-email")).to_be_visible()


async def test_the_page_says_when_it_is_cut_off_and_recovers(system: System, page: Page) -> None:
    await _sign_up(page, system)
    await page.context.set_offline(True)
    # An open socket outlives that switch: end it from the other side.
    workers = await system.processes("worker")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    await expect(page.get_by_test_id("connection")).not_to_have_attribute(
        "data-state", "live", timeout=20 * SECONDS
    )
    await expect(page.get_by_test_id("accruing")).to_be_visible()
    await page.context.set_offline(False)

    async def restarted() -> bool:
        return len(set(await system.processes("worker")) - set(workers)) == 2

    await eventually(restarted, timeout=30)
    await _live(page)


async def test_two_pages_of_one_person_show_the_same(system: System, page: Page, agents: Agents) -> None:
    await _sign_up(page, system)
    await agents.start("only", await _enrolment(page))
    await _nodes_online(page, 1)
    other = await page.context.new_page()
    await other.goto(system.url)
    await _nodes_online(other, 1)

    async def same() -> bool:
        shown = await asyncio.gather(_micropoints(page), _micropoints(other))
        return shown[0] == shown[1] > 0

    await eventually(same, timeout=20)


async def test_a_forgotten_password_is_replaced_and_every_page_signed_out(
    system: System, page: Page, browser: Browser
) -> None:
    email = await _sign_up(page, system)
    elsewhere = await browser.new_context()
    other = await elsewhere.new_page()
    await other.goto(system.url)
    await other.get_by_test_id("to-forgot").click()
    await other.get_by_test_id("forgot-email").fill(email)
    await other.get_by_test_id("forgot-submit").click()
    await expect(other.get_by_test_id("mail-sent")).to_be_visible()

    async def reset_arrived() -> bool:
        return "#/reset" in await system.mailed_link(email)

    await eventually(reset_arrived, timeout=20)
    await other.goto(await system.mailed_link(email))
    await other.get_by_test_id("reset-password").fill("another long password")
    await other.get_by_test_id("reset-submit").click()
    await expect(page.get_by_test_id("login-email")).to_be_visible(timeout=10 * SECONDS)
    await other.get_by_test_id("link-to-login").click()
    await _sign_in(other, email, "another long password")
    await elsewhere.close()
