"""A copy of everything that is held of a person."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec

from core.clock import Clock
from services.accounts.credentials import Credentials
from services.audit import Audit, Kind
from services.earnings import history_item
from storage.base import (
    LedgerStore,
    Node,
    NodeStore,
    ReferralStore,
    SecondFactorStore,
    SessionStore,
    StatisticsStore,
    UptimeStore,
)
from storage.referrals import LEVELS

PAGE = 200


class Exports:
    """Gathers what the stores hold of a person, without what guards it: hashes, keys and secrets."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        sessions: SessionStore,
        second_factors: SecondFactorStore,
        nodes: NodeStore,
        uptime: UptimeStore,
        ledger: LedgerStore,
        referrals: ReferralStore,
        statistics: StatisticsStore,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._second_factors = second_factors
        self._nodes = nodes
        self._uptime = uptime
        self._ledger = ledger
        self._referrals = referrals
        self._statistics = statistics
        self._audit = audit
        self._clock = clock

    async def of(self, user_id: UUID) -> AsyncIterator[bytes]:
        """The copy as a JSON object, in pieces of a bounded size.

        Raises:
            Unauthenticated: "token_invalid" when the account is gone.
        """
        user = await self._credentials.person(user_id)
        await self._audit.note(Kind.EXPORT, user_id=user_id)
        return self._pieces(user_id, _public(user, "password_hash"))

    async def _pieces(self, user_id: UUID, account: dict[str, Any]) -> AsyncIterator[bytes]:
        factor = await self._second_factors.get(user_id)
        own = await self._referrals.referral(user_id)
        now = self._clock.now()
        sessions = await self._sessions.of_user(user_id, now)
        whole = {
            "exported_at": now,
            "account": account,
            "second_factor": factor
            and {
                "created_at": factor.created_at,
                "confirmed_at": factor.confirmed_at,
                "recovery_codes_left": len(factor.recovery),
            },
            "referral_codes": [_public(code, "user_id") for code in await self._referrals.codes(user_id)],
            "joined_by": own.code if own else None,
            "sessions": [_public(session, "token_hash", "user_id") for session in sessions],
        }
        yield msgspec.json.encode(whole)[:-1]
        async for piece in _array("nodes", self._node_records(user_id)):
            yield piece
        async for piece in _array("node_sessions", self._node_sessions(user_id)):
            yield piece
        async for piece in _array("referrals", self._referees(user_id)):
            yield piece
        async for piece in _array("earnings", self._bookings(user_id)):
            yield piece
        async for piece in _array("security_events", self._events(user_id)):
            yield piece
        yield b"}\n"

    async def _node_records(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        totals = (await self._uptime.totals([user_id]))[user_id]
        confirmed = {node.node_id: node.confirmed_seconds for node in totals.nodes}
        after: UUID | None = None
        while page := await self._nodes.of_user(user_id, after, PAGE):
            for node in page:
                yield await self._node_record(node, confirmed.get(node.node_id, 0))
            after = page[-1].node_id
        for node in await self._nodes.retired(user_id):
            yield {**await self._node_record(node, confirmed.get(node.node_id, 0)), "retired": True}

    async def _node_record(self, node: Node, confirmed_seconds: int) -> dict[str, Any]:
        hours = await self._uptime.hours(node.user_id, node.node_id)
        return {
            **_public(node, "user_id"),
            "confirmed_seconds": confirmed_seconds,
            "hours": [{"hour": hour, "confirmed_seconds": seconds} for hour, seconds in hours],
        }

    async def _node_sessions(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        totals = (await self._uptime.totals([user_id]))[user_id]
        for node in totals.nodes:
            before: UUID | None = None
            while page := await self._statistics.sessions(user_id, node.node_id, before, PAGE):
                for session in page:
                    yield {"node_id": node.node_id, **_public(session)}
                before = page[-1].session_id

    async def _referees(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        for level in LEVELS:
            before: UUID | None = None
            while page := await self._referrals.referees(user_id, level, before, PAGE):
                for referee in page:
                    # Amounts are texts, as everywhere.
                    yield {
                        **_public(referee),
                        "earned": str(referee.earned),
                        "held": str(referee.held),
                        "pending": str(referee.pending),
                        "reversed": str(referee.reversed),
                    }
                before = page[-1].referral_id

    async def _bookings(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        before: int | None = None
        while page := await self._ledger.history(user_id, before, PAGE):
            for booked in page:
                yield msgspec.structs.asdict(history_item(booked))
            before = page[-1].entry_id

    async def _events(self, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
        before: UUID | None = None
        while page := await self._audit.read(user_id=user_id, kind=None, before=before, limit=PAGE):
            for event in page:
                # Where the staff sit is no fact about the person.
                yield _public(event, *(() if event.actor_id == user_id else ("actor_id", "address")))
            before = page[-1].event_id


async def _array(name: str, items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """`items` as a member of an object that has others before."""
    yield f',"{name}":['.encode()
    separator = b""
    async for item in items:
        yield separator + msgspec.json.encode(item)
        separator = b","
    yield b"]"


def _public(record: msgspec.Struct, *secret: str) -> dict[str, Any]:
    """What a record says, without what is `secret`."""
    return {name: value for name, value in msgspec.structs.asdict(record).items() if name not in secret}
