import msgspec
import pytest
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    ValidationException,
)
from structlog.testing import capture_logs

from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Refusal,
    StorageUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from core.http.problems import MEDIA_TYPE, Problem, render


def body_of(error: Exception, request_id: str | None = None) -> dict[str, object]:
    return msgspec.json.decode(render(error, request_id).body)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (InvalidInput, 400),
        (Unauthenticated, 401),
        (Forbidden, 403),
        (NotFound, 404),
        (Conflict, 409),
        (TooManyRequests, 429),
    ],
)
def test_every_refusal_keeps_its_code_detail_and_facts(kind: type[Refusal], status: int) -> None:
    problem = render(kind("some_code", "A sentence.", server_time=17), "request-1")
    assert problem.status == status
    assert problem.headers["content-type"] == MEDIA_TYPE
    assert msgspec.json.decode(problem.body) == {
        "type": "urn:pulseboard:problem:some_code",
        "title": "Some code",
        "status": status,
        "detail": "A sentence.",
        "code": "some_code",
        "request_id": "request-1",
        "server_time": 17,
    }
    msgspec.json.decode(problem.body, type=Problem)


def test_facts_never_hide_what_every_problem_has() -> None:
    assert body_of(NotFound("gone", "It is gone.", status=200, type="x"))["status"] == 404


def test_who_is_not_known_is_told_how_to_identify() -> None:
    assert render(Unauthenticated("token_missing", "Sign in.")).headers["www-authenticate"] == "Bearer"


def test_who_is_too_fast_is_told_when_to_come_back() -> None:
    assert render(TooManyRequests("busy", "Wait.", retry_after=7)).headers["retry-after"] == "7"


def test_a_store_out_of_reach_is_a_503_that_says_nothing_about_it() -> None:
    with capture_logs() as logs:
        problem = render(StorageUnavailable("postgresql://user:hunter2@db/x: refused"))
    assert (problem.status, problem.headers["retry-after"]) == (503, "2")
    assert body_of(StorageUnavailable("x"))["code"] == "unavailable"
    assert b"hunter2" not in problem.body
    assert logs[0]["reason"] == "postgresql://user:hunter2@db/x: refused"


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), InternalServerException("secret")])
def test_what_nobody_foresaw_is_logged_and_not_told(error: Exception) -> None:
    with capture_logs() as logs:
        problem = render(error, "request-1")
    assert problem.status == 500
    assert b"secret" not in problem.body
    assert msgspec.json.decode(problem.body)["code"] == "internal"
    assert (logs[0]["log_level"], logs[0]["exc_info"]) == ("error", error)


def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    problem = render(MethodNotAllowedException(headers={"allow": "GET"}))
    assert (problem.status, problem.headers["allow"]) == (405, "GET")


def test_a_wrong_parameter_is_named() -> None:
    problem = body_of(ValidationException(detail="x", extra=[{"key": "limit", "message": "Too much"}]))
    assert (problem["code"], problem["field"], problem["detail"]) == (
        "invalid_input",
        "limit",
        "limit: Too much.",
    )


def test_a_missing_body_is_asked_for() -> None:
    problem = body_of(ValidationException(detail="x", extra=[{"key": "data", "message": "'data'"}]))
    assert problem["detail"] == "This address needs a JSON body."


def test_a_status_without_a_name_of_its_own_still_has_a_code() -> None:
    assert body_of(HTTPException(status_code=418, detail="Short and stout"))["code"] == "bad_request"
