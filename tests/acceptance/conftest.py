"""The running system and the browser, shared by the acceptance tests."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright
from support.system import CHROMIUM_FLAGS, System, find_chromium


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A running system; tests leave it running."""
    system = await System.start(tmp_path_factory.mktemp("data"))
    yield system
    assert await system.stop() == 0


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a browser that was never here; errors in it fail the test."""
    context = await browser.new_context()
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    await context.close()
    assert not problems
