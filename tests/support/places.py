"""Every page there is, and a browser's visitor who walks through them."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

from playwright.async_api import Page, expect

LONG = 30_000.0


@dataclass(frozen=True)
class Place:
    """A page: its address, with `{node}`, `{epoch}`, `{person}` for ids, and what shows that it is there."""

    path: str
    shows: str
    staff: bool = False

    @property
    def name(self) -> str:
        """What a file of it is called."""
        return self.path.strip("/").replace("/{", "-").replace("}", "").replace("/", "-") or "overview"


PLACES: Final = (
    Place("/", "balance"),
    Place("/nodes", "nodes"),
    Place("/nodes/new", "enrol-seen"),
    Place("/nodes/{node}", "node-score"),
    Place("/network", "network-reach"),
    Place("/earnings", "earnings-series"),
    Place("/earnings/estimate", "estimate-epochs"),
    Place("/earnings/history", "history"),
    Place("/earnings/epochs", "epochs"),
    Place("/earnings/epochs/{epoch}", "epoch-state"),
    Place("/referrals", "referral-invite"),
    Place("/referrals/people", "referral-level-choice"),
    Place("/referrals/rewards", "rewards-how"),
    Place("/rewards", "rewards-now"),
    Place("/notifications", "notifications"),
    Place("/settings", "settings-preferences"),
    Place("/settings/security", "settings-password"),
    Place("/settings/wallet", "settings-wallet"),
    Place("/settings/data", "settings-export"),
    Place("/admin", "cluster-health", staff=True),
    Place("/admin/people", "people", staff=True),
    Place("/admin/people/{person}", "person-account", staff=True),
    Place("/admin/nodes/{node}", "node-facts", staff=True),
    Place("/admin/flags", "flags", staff=True),
    Place("/admin/referrals", "reviews", staff=True),
    Place("/admin/epochs", "epoch-open", staff=True),
    Place("/admin/ledger", "ledger-check", staff=True),
    Place("/admin/campaigns", "campaigns", staff=True),
    Place("/admin/broadcasts", "broadcasts", staff=True),
)
STRANGER_PLACES: Final = (
    Place("/login", "login-submit"),
    Place("/signup", "signup-submit"),
    Place("/forgot", "forgot-submit"),
)

_AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
_FAULTS: Final = """
async () => (await axe.run(document)).violations.flatMap(({ id, nodes }) =>
  nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`))
"""


class Visitor:
    """Somebody with a browser, who goes from page to page without a reload."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    async def sign_in(self, email: str, password: str) -> None:
        """Come with an account, and see that figures are live."""
        await self.page.goto(f"{self._url}/#/login")
        await self.page.get_by_test_id("login-email").fill(email)
        await self.page.get_by_test_id("login-password").fill(password)
        await self.page.get_by_test_id("login-submit").click()
        await self.live()

    async def live(self) -> None:
        """Wait until the page is connected."""
        await expect(self.page.get_by_test_id("connection")).to_have_attribute(
            "data-state", "live", timeout=LONG
        )

    async def go(self, path: str) -> None:
        """Go to an address."""
        await self.page.evaluate("(path) => { location.hash = path }", path)

    async def visit(self, place: Place, **ids: Any) -> None:
        """Go to a page and wait until it shows what it has."""
        await self.go(place.path.format(**ids))
        await expect(self.page.get_by_test_id(place.shows).first).to_be_visible(timeout=LONG)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is loading and nothing moves: what is half faded in has no contrast yet."""
        await expect(self.page.locator("main .skeleton:visible")).to_have_count(0, timeout=LONG)
        await self.page.evaluate(
            """() => Promise.allSettled(document.getAnimations()
                 .filter(({ effect }) => effect.getComputedTiming().endTime < Infinity)
                 .map(({ finished }) => finished))"""
        )

    async def dress(self, scheme: Literal["light", "dark"], width: int, height: int = 900) -> None:
        """Take colours and a size."""
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.settled()

    async def faults(self) -> list[str]:
        """What stands in the way of people with a disability here, by axe's rules."""
        await self.page.evaluate(f"() => {{ if (!window.axe) {{ {_AXE} }} }}")
        return list(await self.page.evaluate(_FAULTS))

    async def overflows(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
