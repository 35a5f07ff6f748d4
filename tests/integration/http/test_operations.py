import asyncio

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from support.api import Api

from core.errors import StorageUnavailable
from core.http import operations
from storage.base import Process


async def test_a_process_that_lives_says_so_even_while_it_drains(api: Api) -> None:
    api.draining.set()
    answer = await api.client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_a_process_is_ready_when_what_it_needs_answers(api: Api) -> None:
    answer = await api.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "ok", "redis": "ok"}}


async def test_a_process_is_not_ready_while_a_server_is_out_of_reach(api: Api) -> None:
    async def down() -> None:
        raise StorageUnavailable("redis://:hunter2@10.0.0.1 refused the connection")

    well = api.checks["redis"]
    api.checks["redis"] = down
    with capture_logs() as logs:
        answer = await api.client.get("/readyz")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["code"] == "not_ready"
    assert answer.json()["checks"] == {"database": "ok", "redis": "unavailable"}
    assert "hunter2" not in answer.text
    assert "hunter2" in str(logs)
    api.checks["redis"] = well
    assert (await api.client.get("/readyz")).status_code == 200


async def test_a_server_that_hangs_counts_as_out_of_reach(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(operations, "CHECK_TIMEOUT", 0.01)
    api.checks["database"] = hang
    answer = await api.client.get("/readyz")
    assert answer.json()["checks"] == {"database": "unavailable", "redis": "ok"}


async def test_a_draining_process_wants_no_requests(api: Api) -> None:
    api.draining.set()
    answer = await api.client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")


async def test_prometheus_reads_this_process(api: Api) -> None:
    await api.client.get("/healthz")
    answer = await api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["pulseboard_info"].samples[0].labels == {"version": "1.2.3"}
    assert families["pulseboard_http_responses_2xx"].samples[0].value == 1
    assert families["pulseboard_http_requests_in_flight"].samples[0].value == 1
    assert families["pulseboard_passwords_pending"].samples[0].value == 0


async def test_the_cluster_is_one_json_document(api: Api) -> None:
    for number, connections in ((1, 10), (2, 32)):
        process = Process(
            kind="worker",
            process_id=f"worker@{number}",
            admin_url=f"http://127.0.0.1:{9000 + number}",
            metrics={"connections": connections, "version": "1.2.3"},
        )
        await api.presence.renew(process, 60_000)
    await api.presence.renew(
        Process(kind="jobs", process_id="jobs@1", admin_url="", metrics={"x": 1}), 60_000
    )
    document = msgspec.json.decode((await api.client.get("/metrics.json")).content)
    assert document["schema"] == 1
    assert document["totals"] == {"worker": {"connections": 42}, "api": {}, "jobs": {"x": 1}}
    assert [process["process_id"] for process in document["processes"]] == ["jobs@1", "worker@1", "worker@2"]
    assert document["processes"][1]["metrics"] == {"connections": 10, "version": "1.2.3"}
