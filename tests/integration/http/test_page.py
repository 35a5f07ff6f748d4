from pathlib import Path

import pytest
from support.api import Api, running_api


@pytest.mark.parametrize("path", ["/", "/login", "/nodes/x"])
async def test_the_page_is_at_every_address_of_its_own(api: Api, path: str) -> None:
    answer = await api.client.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert "Pulseboard" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    policy = answer.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "connect-src 'self' ws://127.0.0.1:8081 wss://127.0.0.1:8081" in policy
    assert "server" not in answer.headers


async def test_assets_come_packed_and_stay(api: Api) -> None:
    answer = await api.client.get("/assets/index-abc123.js")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text.startswith("let pulse;")


async def test_head_is_get_without_the_body(api: Api) -> None:
    got, head = await api.client.get("/"), await api.client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await api.client.head("/api/v1/client")).status_code == 200


async def test_a_missing_bundle_leaves_the_api_alone(tmp_path: Path) -> None:
    async with running_api(tmp_path / "nothing") as api:
        answer = await api.client.get("/")
        assert answer.status_code == 503
        assert "make web" in answer.text
        assert (await api.call("GET", "/client")).status_code == 200
