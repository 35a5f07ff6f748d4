import gzip
from pathlib import Path
from typing import Any

import pytest
from litestar.exceptions import HTTPException

from core.http.page import Page

SCRIPT = b"let pulse;" * 1000


@pytest.fixture
def page(tmp_path: Path) -> Page:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>Pulseboard</title>")
    (tmp_path / "favicon.svg").write_bytes(b"<svg/>")
    (tmp_path / "assets" / "index-abc123.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "data-abc123.bin").write_bytes(b"\0" * 2000)
    return Page(tmp_path)


async def get(
    page: Page, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the page reads no bodies")

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await page({"method": method, "path": path, "headers": pairs}, receive, send)
    start, body = sent
    return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, body["body"]


@pytest.mark.parametrize("path", ["/", "/index.html", "/login", "/nodes/", "/a/b/c"])
async def test_every_address_of_the_page_is_the_page(page: Page, path: str) -> None:
    status, headers, body = await get(page, path)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["cache-control"] == "no-cache"
    assert b"Pulseboard" in body


async def test_hashed_files_are_kept_for_ever_and_sent_packed(page: Page) -> None:
    status, headers, body = await get(page, "/assets/index-abc123.js", accept_encoding="br, gzip")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "accept-encoding"
    assert int(headers["content-length"]) == len(body) < len(SCRIPT)
    assert gzip.decompress(body) == SCRIPT


async def test_who_cannot_unpack_gets_the_plain_file(page: Page) -> None:
    _, headers, body = await get(page, "/assets/index-abc123.js")
    assert "content-encoding" not in headers
    assert body == SCRIPT


async def test_a_file_of_another_kind_is_not_guessed_at(page: Page) -> None:
    _, headers, _ = await get(page, "/assets/data-abc123.bin")
    assert headers["content-type"] == "application/octet-stream"


async def test_what_the_browser_has_is_not_sent_again(page: Page) -> None:
    _, headers, _ = await get(page, "/favicon.svg")
    status, again, body = await get(page, "/favicon.svg", if_none_match=headers["etag"])
    assert (status, body) == (304, b"")
    assert again["etag"] == headers["etag"]


@pytest.mark.parametrize(
    "path",
    ["/assets/old-000000.js", "/assets/", "/robots.txt", "/../page.py", "/assets/../../page.py", "/.env"],
)
async def test_a_file_that_is_not_in_the_bundle_does_not_exist(page: Page, path: str) -> None:
    with pytest.raises(HTTPException) as refused:
        await get(page, path)
    assert refused.value.status_code == 404


async def test_the_page_takes_no_posts(page: Page) -> None:
    with pytest.raises(HTTPException) as refused:
        await get(page, "/", "POST")
    assert (refused.value.status_code, refused.value.headers) == (405, {"Allow": "GET, HEAD"})


async def test_a_missing_bundle_says_how_to_build_it(tmp_path: Path) -> None:
    status, headers, body = await get(Page(tmp_path / "nothing"), "/")
    assert (status, headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert b"make web" in body
