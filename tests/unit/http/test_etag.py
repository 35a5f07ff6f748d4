from typing import Any

import pytest
from msgspec import Struct

from core.errors import PreconditionFailed
from core.http.etag import check_version, etag_of, matches, tagged


class View(Struct):
    name: str


class Request:
    """As much of one as a version needs."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.scope = {"headers": list(headers)}


async def answer(request: Any, view: View) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await tagged(request, view).to_asgi_response()({}, None, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def test_an_answer_tells_its_version() -> None:
    status, headers, body = await answer(Request(), View("Ada"))
    assert (status, body) == (200, b'{"name":"Ada"}')
    assert headers[b"etag"].decode() == etag_of(View("Ada")) != etag_of(View("Bob"))
    assert headers[b"cache-control"] == b"private, no-cache"
    assert headers[b"content-length"] == b"14"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"old", {}', "*", " * "])
async def test_who_has_it_already_gets_nothing_more(form: str) -> None:
    condition = form.format(etag_of(View("Ada"))).encode()
    status, headers, body = await answer(Request((b"if-none-match", condition)), View("Ada"))
    assert (status, body) == (304, b"")
    assert headers[b"etag"].decode() == etag_of(View("Ada"))
    assert b"content-length" not in headers


async def test_who_has_another_version_gets_this_one() -> None:
    condition = etag_of(View("Bob")).encode()
    assert (await answer(Request((b"if-none-match", condition)), View("Ada")))[0] == 200


def test_a_change_to_the_version_one_knows_is_made() -> None:
    check_version(Request(), View("Ada"))
    check_version(Request((b"if-match", etag_of(View("Ada")).encode())), View("Ada"))


@pytest.mark.parametrize("condition", [b'"old"', b"", b"nonsense", b'"'])
def test_a_change_to_another_version_is_refused(condition: bytes) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        check_version(Request((b"if-match", condition)), View("Ada"))
    assert (refused.value.status, refused.value.code) == (412, "precondition_failed")


def test_a_piece_of_a_tag_is_no_tag() -> None:
    assert not matches('"abcdef"', '"abc"')
    assert not matches("abc", '"abc"')
