"""Events on their way to sockets: written once to a stream, read by the workers that need them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from services.revocations import Revoked
from storage.base import Presence, StreamLog

GLOBAL_STREAM = "bus:global"
# Apart from the broadcasts, so that a process that starts reads all of it and the API nothing else.
SESSIONS_STREAM = "bus:sessions"
INGEST_STREAM = "ingest"


def worker_stream(worker: str) -> str:
    """The stream that only `worker` reads."""
    return f"bus:worker:{worker}"


class Envelope(Struct, frozen=True, array_like=True):
    """An event between processes: for everybody on `channel`, or for one `user` only."""

    channel: str
    offset: int
    user: UUID | None
    data: Any


encode_envelope = msgspec.msgpack.Encoder().encode
decode_envelope = msgspec.msgpack.Decoder(Envelope).decode

SESSIONS_CHANNEL = "sessions"


def read_revoked(envelope: Envelope) -> Revoked:
    """What an envelope of channel `sessions` tells.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.convert(envelope.data, Revoked)


class Events:
    """Publishes events to the workers.

    Delivery is at least once to every worker that follows its streams; an event that a worker has
    not read when the stream's bound passes it is lost to that worker, which a last-value channel
    heals with its next value.
    """

    def __init__(self, log: StreamLog, presence: Presence, stream_length: int) -> None:
        self._log = log
        self._presence = presence
        self._length = stream_length

    async def publish(self, channel: str, offset: int, data: Any) -> None:
        """Send `data` to everybody on `channel`."""
        payload = encode_envelope(Envelope(channel, offset, None, data))
        await self._log.append(GLOBAL_STREAM, payload, self._length)

    async def publish_to_users(self, channel: str, news: Mapping[UUID, tuple[int, Any]]) -> None:
        """Send each user their (offset, data), only to the workers that hold the user."""
        await self._send(channel, news, await self._presence.holders(list(news)))

    async def publish_to_present(
        self,
        channel: str,
        users: Sequence[UUID],
        make: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, tuple[int, Any]]]],
    ) -> int:
        """Send what `make` returns, as for `publish_to_users`, of those `users` whom some worker holds.

        It is not asked for the others. Returns how many there were.
        """
        holders = await self._presence.holders(users)
        if holders:
            await self._send(channel, await make(list(holders)), holders)
        return len(holders)

    async def publish_revoked(self, revoked: Revoked) -> None:
        """Tell every worker and API process that sessions ended.

        One that starts later is told too, as long as the stream's bound keeps it.
        """
        data = msgspec.to_builtins(revoked)
        payload = encode_envelope(Envelope(SESSIONS_CHANNEL, revoked.at_ms, revoked.user_id, data))
        await self._log.append(SESSIONS_STREAM, payload, self._length)

    async def _send(
        self, channel: str, news: Mapping[UUID, tuple[int, Any]], holders: Mapping[UUID, Sequence[str]]
    ) -> None:
        entries = [
            (worker_stream(worker), encode_envelope(Envelope(channel, offset, user, data)))
            for user, (offset, data) in news.items()
            for worker in holders.get(user, ())
        ]
        if entries:
            await self._log.append_many(entries, self._length)
