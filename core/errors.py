"""The exception tree and every code a client can see.

::

    PulseboardError
    ├── ConfigError          the configuration is wrong: which file, key and why
    ├── StartupError         the machine refuses: a port in use, a server away, a folder without rights
    ├── StorageUnavailable   PostgreSQL or Redis did not answer; the same call may succeed later
    └── Refusal              the caller's fault: a stable code, an HTTP status and one sentence
        ├── InvalidInput          400  what was sent cannot be read or breaks a rule
        ├── Unauthenticated       401  no valid token, password or signature
        ├── Forbidden             403  known, but not allowed
        ├── NotFound              404  no such thing, or not yours
        ├── Conflict              409  clashes with what exists
        ├── PreconditionFailed    412  was changed since the caller looked
        ├── Mismatch              422  the key of a former request with another content
        └── TooManyRequests       429  slow down; `retry_after` seconds

The driver's own error always stays as ``__cause__``.
"""

from enum import IntEnum
from typing import Any, ClassVar


class PulseboardError(Exception):
    """Base of all errors that Pulseboard raises on purpose."""


class ConfigError(PulseboardError):
    """The configuration cannot be used; the message names source, key and reason."""


class StartupError(PulseboardError):
    """The machine or a server refuses what the process needs to start."""


class StorageUnavailable(PulseboardError):
    """A server behind a storage port did not answer; nothing was half-written."""


class Refusal(PulseboardError):
    """A request that is refused and why.

    The same `code` and `detail` reach HTTP clients as a problem (RFC 9457) and
    WebSocket clients as an ``error`` message. `extra` holds further public facts.
    """

    status: ClassVar[int] = 400

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.extra = extra


class InvalidInput(Refusal):
    """What was sent cannot be read or breaks a rule."""

    status = 400


class Unauthenticated(Refusal):
    """No valid token, password or signature."""

    status = 401


class Forbidden(Refusal):
    """The caller is known but not allowed."""

    status = 403


class NotFound(Refusal):
    """There is no such thing, or it is not the caller's."""

    status = 404


class Conflict(Refusal):
    """The request clashes with what exists."""

    status = 409


class PreconditionFailed(Refusal):
    """What the caller wants to change was changed since they looked at it."""

    status = 412


class Mismatch(Refusal):
    """A request under the idempotency key of another one."""

    status = 422


class TooManyRequests(Refusal):
    """The caller is over a limit."""

    status = 429


class CloseCode(IntEnum):
    """WebSocket close codes: RFC 6455 §7.4.1 and, in the private range, our own.

    4000–4499 mean "reconnect", 4500–4999 mean "do not come back like this".
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011

    DRAIN = 4001
    SLOW_CONSUMER = 4008
    NO_PONG = 4012

    UNAUTHENTICATED = 4501
    AUTH_TIMEOUT = 4502
    REVOKED = 4503
    CONNECTION_LIMIT = 4504
    BAD_MESSAGE = 4505
    RATE_LIMIT = 4506

    @property
    def final(self) -> bool:
        """Whether a client must not reconnect with the same credentials and behaviour."""
        return self.value >= 4500
