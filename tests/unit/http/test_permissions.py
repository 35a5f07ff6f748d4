from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from core.clock import new_id
from core.http.binding import bind
from core.http.permissions import check_declarations, declared, handlers, may
from core.http.requests import ApiRequest
from core.http.shortcuts import Shortcuts
from services.access import MEANINGS, admits
from services.tokens import Principal


class Greeter:
    def greet(self, name: str) -> str:
        return f"Hello {name}"


@get("/hello/{name:str}", opt=may("anyone"))
async def hello(name: FromPath[str], greeter: NamedDependency[Greeter]) -> dict[str, str]:
    """Greet somebody."""
    return {"text": greeter.greet(name)}


@get("/hello", opt=may("user"))
async def hello_me(
    principal: NamedDependency[Principal], greeter: NamedDependency[Greeter]
) -> dict[str, str]:
    """Greet the caller."""
    return {"text": greeter.greet(principal.kind)}


@get("/secret")
async def undeclared() -> None:
    """Nobody said who may."""


def make(*routes: Any, **services: object) -> Litestar:
    return Litestar(
        bind([Router("/", route_handlers=list(routes), tags=["greetings"])], services),
        openapi_config=None,
        logging_config=None,
        request_class=ApiRequest,
    )


def test_a_handler_that_declares_nothing_is_found_at_the_start() -> None:
    check_declarations(make(hello, greeter=Greeter()))
    with pytest.raises(LookupError, match="undeclared"):
        check_declarations(make(hello, undeclared, greeter=Greeter()))


@pytest.mark.parametrize("who", [(), ("everybody",), ("user", "admin")])
def test_a_declaration_names_who_there_is(who: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="no declaration"):
        may(*who)


def test_only_what_needs_a_token_can_remember_answers() -> None:
    with pytest.raises(ValueError, match="no declaration"):
        may("anyone", idempotent=True)


def principal(kind: str, role: str) -> Principal:
    return Principal(kind, new_id(), None, None, role, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "role", "names"),
    [
        ("user", "user", {"anyone", "user"}),
        ("user", "support", {"anyone", "user", "support"}),
        ("user", "operator", {"anyone", "user", "support", "operator"}),
        ("user", "emperor", {"anyone", "user"}),
        ("node", "node", {"anyone", "node"}),
        ("enrol", "enrol", {"anyone", "enrol"}),
        ("node", "operator", {"anyone", "node"}),
    ],
)
def test_who_may_more_may_what_the_ones_below_may(kind: str, role: str, names: set[str]) -> None:
    caller = principal(kind, role)
    assert {name for name in MEANINGS if admits([name], caller)} == names
    assert {name for name in MEANINGS if admits([name], None)} == {"anyone"}


def test_services_are_bound_once_and_are_no_parameters() -> None:
    app = make(hello, hello_me, greeter=Greeter())
    by_path = dict(handlers(app))
    assert set(by_path["/hello/{name}"].parsed_fn_signature.parameters) == {"name"}
    assert set(by_path["/hello"].parsed_fn_signature.parameters) == {"request"}
    assert by_path["/hello"].handler_name == "hello_me"
    assert by_path["/hello"].fn.__doc__ == "Greet the caller."
    assert declared(by_path["/hello"]).who == ("user",)
    assert by_path["/hello"].resolve_tags() == ["greetings"]


def test_a_service_that_there_is_not_is_found_at_the_start() -> None:
    with pytest.raises(Exception, match="greeter"):
        make(hello)


def test_only_plain_reads_are_cut_short() -> None:
    assert Shortcuts(make(hello, hello_me, greeter=Greeter())).paths == {"/hello"}
