"""`Idempotency-Key`: a request that is sent again is answered again, but not done again.

The rules of draft-ietf-httpapi-idempotency-key-header-07, for handlers that declare ``idempotent``:
success is kept and replayed for `KEPT`; what failed did nothing and may be repeated; the same key with
another request is refused. Work that was begun goes on when its client leaves or its time is up, so that
asking again finds the answer instead of doing it twice.
"""

import asyncio
import hashlib
import re
from datetime import timedelta
from typing import Any, cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from core.clock import Clock
from core.errors import Conflict, InvalidInput, Mismatch, StorageUnavailable
from core.http.permissions import DECLARED
from core.http.requests import read_body
from core.logs import get_logger
from services.tokens import Principal
from storage.base import IdempotencyStore, KeptAnswer

KEPT = timedelta(hours=24)
# Whoever began and has no answer by then has died.
STALE = timedelta(minutes=5)
HEADER = b"idempotency-key"
_KEY = re.compile(rb"[\x21-\x7e]{8,128}\Z")

log = get_logger("http")


class Idempotency:
    """Remembers answers under the caller's keys."""

    def __init__(self, store: IdempotencyStore, clock: Clock, max_body: int) -> None:
        """`max_body` is the longest body of a request, in bytes."""
        self._store = store
        self._clock = clock
        self._max_body = max_body
        self._running: set[asyncio.Task[None]] = set()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """The layer around all handlers, behind the guard, that keeps what they declare."""

        async def once(scope: Scope, receive: Receive, send: Send) -> None:
            declaration = scope["route_handler"].opt.get(DECLARED)
            if (
                declaration is not None
                and declaration.idempotent
                and any(name == HEADER for name, _ in scope["headers"])
            ):
                await self._once(app, cast("HTTPScope", scope), receive, send)
            else:
                await app(scope, receive, send)

        return once

    async def finish(self) -> None:
        """Wait for what is still being done."""
        while self._running:
            await asyncio.wait(self._running)

    async def _once(self, app: ASGIApp, scope: HTTPScope, receive: Receive, send: Send) -> None:
        principal: Principal = scope["auth"]
        key = next(value for name, value in scope["headers"] if name == HEADER)
        if not _KEY.match(key):
            raise InvalidInput(
                "invalid_input",
                "Idempotency-Key: must be 8 to 128 visible ASCII characters.",
                field="Idempotency-Key",
            )
        body = await read_body(receive, self._max_body)
        name, fingerprint = key.decode(), _fingerprint(scope, body)
        now = self._clock.now()
        kept = await self._store.begin(principal.user_id, name, fingerprint, now, now - STALE)
        if kept is not None:
            await _replay(kept, fingerprint, send)
            return
        answer: list[Message] = []
        work = asyncio.create_task(self._work(app, scope, body, answer, name))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        await asyncio.shield(work)
        for message in answer:
            await send(message)

    async def _work(
        self, app: ASGIApp, scope: HTTPScope, body: bytes, answer: list[Message], key: str
    ) -> None:
        """Let the handler answer into `answer`, and keep or give up the claim accordingly."""

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        user_id = scope["auth"].user_id
        # Cut off in the middle, nobody knows what was done: the claim stays until it is stale.
        await app(scope, receive, send)
        status = next(m["status"] for m in answer if m["type"] == "http.response.start")
        try:
            if 200 <= status < 300:
                content = b"".join(m["body"] for m in answer if m["type"] == "http.response.body")
                await self._store.finish(user_id, key, status, content)
            else:
                await self._store.abandon(user_id, key)
        except StorageUnavailable as error:
            log.error("the answer to an idempotent request was not kept", reason=str(error))


async def _replay(kept: KeptAnswer, fingerprint: bytes, send: Send) -> None:
    if kept.fingerprint != fingerprint:
        raise Mismatch("idempotency_mismatch", "This Idempotency-Key was used for another request.")
    if kept.status == 0:
        raise Conflict(
            "in_progress",
            "The request with this Idempotency-Key is being worked on; ask again.",
            retry_after=1,
        )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(kept.body)).encode()),
        (b"idempotency-replayed", b"true"),
    ]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body, "more_body": False})


def _fingerprint(scope: HTTPScope, body: bytes) -> bytes:
    """SHA-256 of what was asked: method, address and body."""
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
