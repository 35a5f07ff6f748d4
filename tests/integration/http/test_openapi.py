from typing import Any

import pytest
from support.api import V1, Api

from core.clock import new_id


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    answer = await api.client.get(f"{V1}/openapi.json")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json"
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_it_is_openapi_3_1_of_this_version(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert (document["info"]["title"], document["info"]["version"]) == ("Pulseboard", "1.2.3")


def test_every_endpoint_is_described(document: dict[str, Any]) -> None:
    described = operations(document)
    assert set(described) == {
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/logout",
        "GET /api/v1/me",
        "GET /api/v1/me/overview",
        "POST /api/v1/nodes/enrolments",
        "POST /api/v1/nodes",
        "GET /api/v1/nodes",
        "GET /api/v1/nodes/{node_id}",
        "POST /api/v1/nodes/token",
        "GET /api/v1/network/summary",
        "GET /api/v1/client",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /metrics.json",
    }
    for operation in described.values():
        assert operation["description"]
        assert operation["tags"]
    ids = [operation["operationId"] for operation in described.values()]
    assert len(ids) == len(set(ids))


async def test_what_needs_a_token_says_so_and_nothing_else_does(api: Api, document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    for name, operation in operations(document).items():
        method, path = name.split()
        answer = await api.client.request(method, path.replace("{node_id}", str(new_id())))
        needs = answer.status_code == 401 and answer.json()["code"] == "token_missing"
        assert needs == (operation.get("security") == [{scheme: []}]), name


def test_errors_are_described_as_problems(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
