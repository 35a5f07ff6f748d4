"""Takes a picture of every page, in both colours and three widths, of a system with nodes and closed epochs.

    .venv/bin/python scripts/screenshots.py [FOLDER] [WORD]    # docs/images/pages; WORD: only pages with it

The page is the one in core/http/static. Pictures are WebP: `<page>-<light|dark>-<width>.webp`.
"""

import asyncio
import base64
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Page, async_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.places import PLACES, STRANGER_PLACES, Place, Visitor  # noqa: E402  # found by the line above
from support.system import CHROMIUM_FLAGS, find_chromium  # noqa: E402
from support.town import Town  # noqa: E402

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SIZES: Final = ((390, 844), (820, 1180), (1440, 900))
QUALITY: Final = 82


async def take(page: Page, path: Path) -> None:
    """Write what the window shows."""
    session = await page.context.new_cdp_session(page)
    picture = await session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    path.write_bytes(base64.b64decode(picture["data"]))  # noqa: ASYNC240  # nothing else waits
    await session.detach()


async def picture(visitor: Visitor, place: Place, folder: Path, **ids: object) -> None:
    """Take all pictures of a page."""
    await visitor.visit(place, **ids)
    for scheme in SCHEMES:
        for width, height in SIZES:
            await visitor.dress(scheme, width, height)
            await take(visitor.page, folder / f"{place.name}-{scheme}-{width}.webp")


async def main() -> None:
    """Take the pictures and say how many there are."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "pages"
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        town = await Town.build(Path(data))
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=find_chromium(), args=CHROMIUM_FLAGS
                )
                page = await browser.new_page(reduced_motion="reduce")
                await page.goto(town.system.url)
                stranger = Visitor(page, town.system.url)
                for place in STRANGER_PLACES:
                    if word in place.name:
                        await picture(stranger, place, folder)
                for staff in (False, True):
                    page = await browser.new_page(reduced_motion="reduce")
                    visitor = await (town.operator(page) if staff else town.owner(page))
                    for place in PLACES:
                        if place.staff is staff and word in place.name:
                            await picture(visitor, place, folder, **town.ids)
                await browser.close()
        finally:
            await town.system.stop()
    print(f"{len(list(folder.glob('*.webp')))} pictures in {folder}")


if __name__ == "__main__":
    asyncio.run(main())
