"""The OpenAPI 3.1 description, made from the handlers."""

from http import HTTPStatus

from litestar import Router
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

from core.http.problems import MEDIA_TYPE, Problem

SCHEME = "bearer"
BEARER: list[dict[str, list[str]]] = [{SCHEME: []}]


def fails(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that a handler may answer with, next to those that any may (503)."""
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=MEDIA_TYPE,
        )
        for status in (*statuses, 503)
    }


class _Description(JsonRenderPlugin):
    """The description and nothing below it: Litestar would answer there with pages of its own."""

    def receive_router(self, router: Router) -> None:
        router.routes[:] = [route for route in router.routes if not route.path_parameters]


def openapi_config(path: str, version: str) -> OpenAPIConfig:
    """The description as JSON at `path`."""
    return OpenAPIConfig(
        title="Pulseboard",
        version=version,
        summary="Accounts, nodes, live earnings.",
        description=(
            "Errors are RFC 9457 problems with a stable `code`. Times are UTC, RFC 3339. Amounts are "
            "micro-points, whole numbers written as strings. Ids are UUIDv7."
        ),
        path=path,
        render_plugins=[_Description(path=["/", "/openapi.json"])],
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="An access token of /auth/login, /auth/refresh or /nodes/token.",
                )
            }
        ),
        tags=[Tag(name="accounts"), Tag(name="nodes"), Tag(name="network"), Tag(name="operations")],
        use_handler_docstrings=True,
    )
