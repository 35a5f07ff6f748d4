"""The page, the API, the socket and the ledger show the same number: before, during and after closes."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Page, WebSocket, expect
from support.system import Command, System
from support.waiting import eventually
from support.websocket import Socket

from core.bootstrap import ensure_user
from core.config import load
from core.tasks import end
from storage.embedded import embedded_address

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

SCREENS = ("page", "me", "summary")
# Closes between which all screens are compared, and how long an epoch is then: no minute ends with such a
# one, so they stay that short.
CLOSES, EPOCH_SECONDS = 2, 7
PASSWORD = "a long enough password"
# A close comes a few seconds after an epoch's end, and what is paid becomes claimable while it is watched.
QUICK = {
    "PULSEBOARD_EARNINGS_EPOCH_SECONDS": "60",
    "PULSEBOARD_EARNINGS_HOLD_SECONDS": "5",
    "PULSEBOARD_EARNINGS_MINIMUM_PAYOUT": "1",
    "PULSEBOARD_NETWORK_CHALLENGE_TIMEOUT": "1.0",
    "PULSEBOARD_NETWORK_RESUME_WINDOW": "0.0",
    "PULSEBOARD_NETWORK_SCORE_INTERVAL": "2.0",
    "PULSEBOARD_ADMIN_LEASE": "0.5",
    "PULSEBOARD_HTTP_RATE": "0",
}
# What was earned by the ledger's postings, and by its kept balances, with the revision that others see then.
LEDGER = """
SELECT (SELECT revision FROM ingest_cursor) + (SELECT number FROM epoch WHERE closed_at IS NULL)
           + (SELECT changes FROM epoch_state) AS revision,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger_posting WHERE user_id = $1) AS posted,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger_balance WHERE user_id = $1) AS kept
"""
SHORTEN = """
UPDATE epoch SET ends_at = starts_at + $1 * interval '1 second' WHERE closed_at IS NULL RETURNING number
"""
# Notes each pair of figures that the page shows.
WATCH = """
() => {
  window.shown = [];
  const note = () => {
    const figure = (name) => document.querySelector(`[data-testid="${name}"]`)?.dataset.micropoints ?? "";
    const pair = [figure("balance"), figure("accruing")];
    if (String(pair) !== String(window.shown.at(-1))) window.shown.push(pair);
  };
  new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
  note();
}
"""

Figures = tuple[str, dict[str, Any] | None]


class Screens:
    """What each of the screens showed, by revision, from an epoch on."""

    def __init__(self) -> None:
        self.first_epoch = 0
        # All pairs of figures that anybody was ever told.
        self.told: set[tuple[str, str]] = set()
        self.seen: dict[str, dict[int, list[Figures]]] = defaultdict(dict)
        self.booked: dict[int, int] = {}

    def note(self, screen: str, shown: dict[str, Any]) -> None:
        """A screen showed an overview or a summary."""
        if shown["accruing"] is None:
            return
        self.told.add((shown["balance"], shown["accruing"]["amount"]))
        if shown["accruing"]["epoch"] < self.first_epoch:
            return
        known = self.seen[screen].setdefault(shown["revision"], [])
        figures = shown["balance"], shown["accruing"]
        if figures not in known:
            known.append(figures)

    def compared(self) -> set[str]:
        """The balances of which all screens, and the ledger, showed a revision: each close makes another."""
        common = set.intersection(*(set(self.seen[screen]) for screen in SCREENS)) & self.booked.keys()
        return {balance for revision in common for balance, _ in self.seen["me"][revision]}

    def agree(self) -> None:
        """See that no two ever differed for a revision."""
        every: dict[int, dict[str, list[Figures]]] = defaultdict(dict)
        for screen, revisions in self.seen.items():
            for revision, figures in revisions.items():
                every[revision][screen] = figures
        for revision, screens in sorted(every.items()):
            different = {json.dumps(each) for figures in screens.values() for each in figures}
            assert len(different) == 1, (revision, screens)
            booked = {self.booked.get(revision), int(json.loads(different.pop())[0])}
            assert len(booked - {None}) == 1, (revision, screens, booked)


@pytest.fixture
async def quick_system(tmp_path: Path) -> AsyncIterator[System]:
    """A system of its own, in which epochs are closed soon after their end."""
    system = await System.start(tmp_path, environ=QUICK)
    yield system
    assert await system.stop() == 0


@asynccontextmanager
async def agent(system: System, folder: Path, name: str, token: str) -> AsyncIterator[None]:
    """A node of whoever has the token works."""
    enrolment = await system.enrolment(token)
    arguments = ("--server", system.url, "--name", name, "--data", str(folder), "--enrol", enrolment)
    running = await Command.start("agent", *arguments)
    try:
        yield
    finally:
        await running.stop()


async def _get(system: System, path: str, token: str) -> dict[str, Any]:
    answer = await system.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
    return dict(answer.raise_for_status().json())


async def _shorten(dsn: str) -> int:
    """Let epochs be shorter than any that can be set, so that several end soon; returns the open one."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(SHORTEN, EPOCH_SECONDS))
    finally:
        await connection.close(timeout=5)


async def _rival(system: System, dsn: str) -> str:
    """Somebody else who works too; returns their access token."""
    config = load(environ={"PULSEBOARD_DATABASE_DSN": dsn, "PULSEBOARD_AUTH_SECRET": "s" * 32})
    await ensure_user(config, "rival@example.com", PASSWORD, "Rival", "user")
    login = {"email": "rival@example.com", "password": PASSWORD, "cookie": False}
    answer = (await system.http.post("/api/v1/auth/login", json=login)).raise_for_status().json()
    return str(answer["access_token"])


async def _look_at_api(system: System, token: str, screens: Screens) -> None:
    while True:
        summary = await _get(system, "/earnings/summary", token)
        screens.note("summary", summary)
        states = ("pending", "held", "final", "claimable", "claimed")
        assert int(summary["balance"]) == sum(int(summary[state]) for state in states)


async def _look_at_socket(socket: Socket, screens: Screens) -> None:
    while True:
        message = await socket.receive()
        if message["type"] in {"snapshot", "event"}:
            screens.note("me", message["data"])


async def _look_at_ledger(dsn: str, user_id: UUID, screens: Screens) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            row = await connection.fetchrow(LEDGER, user_id)
            assert row["posted"] == row["kept"]
            assert screens.booked.setdefault(row["revision"], row["posted"]) == row["posted"]
    finally:
        await connection.close(timeout=5)


def _overhear(page: Page, screens: Screens) -> None:
    """Note what the page is told."""

    def heard(payload: str | bytes) -> None:
        message = json.loads(payload)
        if message.get("channel") == "me" and message["type"] in {"snapshot", "event"}:
            screens.note("page", message["data"])

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", heard)

    page.on("websocket", opened)


async def _sign_in(page: Page, system: System) -> None:
    await page.goto(system.url)
    await page.get_by_test_id("login-email").fill(system.email)
    await page.get_by_test_id("login-password").fill(system.password)
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=20_000)


async def _watch(page: Page, system: System, screens: Screens, token: str, dsn: str) -> None:
    """Look at all screens, again and again, until some epochs were closed."""
    user_id = UUID((await _get(system, "/me", token))["user_id"])
    socket = await Socket.open(await system.ws_port(), token=token)
    socket.send({"type": "subscribe", "channel": "me"})
    async with AsyncExitStack() as watching:
        watching.push_async_callback(socket.leave)
        lookers = [
            asyncio.create_task(looker)
            for looker in (
                _look_at_api(system, token, screens),
                _look_at_socket(socket, screens),
                _look_at_ledger(dsn, user_id, screens),
            )
        ]
        watching.push_async_callback(end, lookers)

        async def closed() -> bool:
            for looker in lookers:
                if looker.done():
                    looker.result()
            return len(screens.compared()) > CLOSES

        await eventually(closed, timeout=60)


async def test_every_screen_shows_the_same_number_before_during_and_after_closes(
    quick_system: System, page: Page, tmp_path: Path
) -> None:
    system, screens = quick_system, Screens()
    token, dsn = await system.token(), embedded_address(system.data)
    assert dsn is not None
    _overhear(page, screens)
    async with AsyncExitStack() as running:
        rival = await _rival(system, dsn)
        for name, owner in (("mine", token), ("theirs", rival)):
            await running.enter_async_context(agent(system, tmp_path / "agents", name, owner))
        await _sign_in(page, system)
        accruing = page.get_by_test_id("accruing")
        await expect(accruing).to_have_attribute("data-micropoints", re.compile(r"[1-9]"), timeout=20_000)
        await page.evaluate(WATCH)
        screens.first_epoch = await _shorten(dsn) + 1
        await _watch(page, system, screens, token, dsn)
        # What it showed at first it may have asked for by itself.
        shown = {tuple(pair) for pair in (await page.evaluate("window.shown"))[1:]}
    screens.agree()
    assert shown <= screens.told
    assert len({balance for balance, _ in shown}) >= CLOSES, "the page showed them"
