"""A system in use, and the people in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from playwright.async_api import Page
from support.places import Visitor
from support.system import System
from support.waiting import eventually

from core.bootstrap import ensure_user
from core.config import load
from storage.embedded import embedded_address

OPERATOR = "operator@example.com"
PASSWORD = "a long enough password"
PAID = 150.0
# Epochs are as short as they can be and closed soon after their end.
SOON = {
    "PULSEBOARD_EARNINGS_EPOCH_SECONDS": "60",
    "PULSEBOARD_NETWORK_CHALLENGE_TIMEOUT": "1.0",
    "PULSEBOARD_NETWORK_RESUME_WINDOW": "0.0",
    "PULSEBOARD_NETWORK_SCORE_INTERVAL": "2.0",
    "PULSEBOARD_HTTP_RATE": "0",
}


@dataclass
class Town:
    """A system in use: demo agents work for the demo user, an epoch was closed, somebody runs it."""

    system: System
    ids: dict[str, Any]

    @classmethod
    async def build(cls, data: Path) -> Self:
        """Start it, and wait until an epoch is paid: a minute or two."""
        system = await System.start(data, "--demo", "3", environ=SOON)
        town = cls(system, {})
        await town.add(OPERATOR, "operator")
        headers = {"Authorization": f"Bearer {await system.token()}"}

        async def ask(path: str) -> dict[str, Any]:
            answer = await system.http.get(f"/api/v1{path}", headers=headers)
            return dict(answer.raise_for_status().json())

        async def paid() -> bool:
            return int((await ask("/earnings/summary"))["balance"]) > 0

        await eventually(paid, timeout=PAID)
        node = (await ask("/nodes"))["items"][0]
        epoch = (await ask("/earnings/epochs"))["items"][0]
        town.ids |= {"node": node["node_id"], "person": node["user_id"], "epoch": epoch["number"]}
        return town

    async def operator(self, page: Page) -> Visitor:
        """Its operator."""
        return await self._visitor(page, OPERATOR, PASSWORD)

    async def owner(self, page: Page) -> Visitor:
        """The demo user, who has nodes."""
        return await self._visitor(page, self.system.email, self.system.password)

    async def newcomer(self, page: Page, email: str) -> Visitor:
        """Somebody who has nothing yet."""
        await self.add(email, "user")
        return await self._visitor(page, email, PASSWORD)

    async def add(self, email: str, role: str) -> None:
        """Somebody else."""
        dsn = embedded_address(self.system.data)
        config = load(environ={"PULSEBOARD_DATABASE_DSN": str(dsn), "PULSEBOARD_AUTH_SECRET": "s" * 32})
        await ensure_user(config, email, PASSWORD, email.split("@", maxsplit=1)[0], role)

    async def _visitor(self, page: Page, email: str, password: str) -> Visitor:
        visitor = Visitor(page, self.system.url)
        await visitor.sign_in(email, password)
        return visitor
