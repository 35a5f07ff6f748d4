"""A process's admin port: its health and its metrics over plain HTTP.

``GET /healthz`` says that the event loop runs, ``/readyz`` whether the process can do its work,
``/metrics`` (Prometheus) and ``/metrics.json`` what it counted. It is for the operator's machines,
not for the public; it takes GET only and closes the connection after each answer.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from core.errors import StartupError
from core.logs import get_logger
from core.metrics import PROMETHEUS_CONTENT_TYPE, Source, to_prometheus

Readiness = Callable[[], tuple[bool, list[str]]]

_JSON = "application/json"
_PROBLEM = "application/problem+json"


class AdminServer:
    """Serves one process's admin port, from `start` to `stop`.

    `metrics` is read when somebody asks; `ready` returns whether the process can work and, if not,
    the reasons.
    """

    def __init__(self, host: str, port: int, metrics: Source, ready: Readiness) -> None:
        self._host = host
        self._port = port
        self._metrics = metrics
        self._ready = ready
        self._server: asyncio.Server | None = None
        self._log = get_logger("admin")

    @property
    def url(self) -> str:
        """Where the port is reached, ``http://host:port``; empty until `start`."""
        if self._server is None:
            return ""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            StartupError: the address cannot be had.
        """
        try:
            # aiofastnet spins at full CPU once the process has no descriptors left.
            self._server = await ws_create_server(
                self._answer, self._host, self._port, use_aiofastnet=False, logger_name="admin"
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartupError(
                f"the admin port {self._port} on {self._host} cannot be had: {reason}"
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            # Not waited for: a client that says nothing could hold it up for seconds.
            self._server.close()
            self._server = None

    def _answer(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        # What escapes from here, picows sends to the client word for word.
        try:
            response = self._route(request.path.partition(b"?")[0])
        except Exception:
            self._log.exception("admin request failed")
            response = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong.")
        return WSUpgradeResponseWithListener(response, None)

    def _route(self, path: bytes) -> WSUpgradeResponse:
        match path:
            case b"/healthz":
                return _respond(HTTPStatus.OK, _JSON, b'{"status":"ok"}')
            case b"/readyz":
                ready, reasons = self._ready()
                status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                return _respond(status, _JSON, msgspec.json.encode({"ready": ready, "reasons": reasons}))
            case b"/metrics":
                return _respond(HTTPStatus.OK, PROMETHEUS_CONTENT_TYPE, to_prometheus(self._metrics()))
            case b"/metrics.json":
                return _respond(HTTPStatus.OK, _JSON, msgspec.json.encode(self._metrics()))
        return _problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here.")


def _respond(status: HTTPStatus, content_type: str, body: bytes) -> WSUpgradeResponse:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    response: WSUpgradeResponse = WSUpgradeResponse.create_ok_response(body, headers)
    response.status = status
    return response


def _problem(status: HTTPStatus, code: str, detail: str) -> WSUpgradeResponse:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": code,
        "detail": detail,
    }
    return _respond(status, _PROBLEM, msgspec.json.encode(problem))
