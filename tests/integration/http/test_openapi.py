from typing import Any

import pytest
from support.api import V1, Api


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
    for operation in described.values():
        assert operation["description"]
        assert operation["tags"]
        assert operation["x-who"]
    ids = [operation["operationId"] for operation in described.values()]
    assert len(ids) == len(set(ids))
    # Found by what is asked for most.
    assert {"GET /api/v1/me", "POST /api/v1/auth/login", "GET /api/v1/nodes/{node_id}"} <= set(described)


def test_what_needs_a_token_says_so(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    for name, operation in operations(document).items():
        needs = "anyone" not in operation["x-who"]
        assert (operation.get("security") == [{scheme: []}]) == needs, name


def test_links_lead_to_operations_that_there_are(document: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for operation in operations(document).values()}
    links = [
        link
        for operation in by_id.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 5
    for link in links:
        names = {parameter["name"] for parameter in by_id[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= names


async def test_the_description_has_a_version(api: Api) -> None:
    first = await api.client.get(f"{V1}/openapi.json")
    again = await api.client.get(f"{V1}/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_errors_are_described_as_problems(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
