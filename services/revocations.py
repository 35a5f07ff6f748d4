"""Sessions and nodes that ended before their access tokens run out, as every process remembers them.

An access token is verified without asking anybody, so each process keeps what was ended until the last
token of it has run out. It hears of it at once from the process that ended it (`core.endings`) and
reads up in the database what it may have missed.
"""

from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, to_ms
from core.errors import Unauthenticated
from core.logs import get_logger
from core.metrics import Metrics
from services.tokens import LEEWAY, NODE, Principal
from storage.base import NodeStore, SessionStore

# Entries kept at most; beyond it those go first whose tokens run out first.
CAPACITY = 200_000
# How far the database's clock may be off ours, and how long a transaction takes to be seen, in seconds.
OVERLAP = 60

log = get_logger("revocations")


class Revoked(Struct, frozen=True, kw_only=True):
    """Sessions that ended, by their `mark`; of whom, if that is known.

    With `nodes` every token that one of the person's nodes got up to `at_ms` is void too, otherwise
    those of `node_ids`, which are nodes of `user_id`.
    """

    user_id: UUID | None
    at_ms: int
    sessions: list[int] = []
    nodes: bool = False
    node_ids: tuple[UUID, ...] = ()


class Revocations:
    """What ended lately. Looking it up costs well under a microsecond and asks nobody."""

    def __init__(
        self,
        sessions: SessionStore,
        nodes: NodeStore,
        clock: Clock,
        lifetime: int,
        capacity: int = CAPACITY,
    ) -> None:
        """`lifetime` is the longest that a token lives, in seconds."""
        self._store = sessions
        self._nodes = nodes
        self._clock = clock
        self._lifetime = lifetime + LEEWAY
        self._capacity = capacity
        # Until when to remember, in milliseconds; the oldest come first.
        self._sessions: dict[int, int] = {}
        # By a person's id for all their nodes, or by a node's: up to when its tokens are void.
        self._cuts: dict[UUID, tuple[int, int]] = {}
        self._read_up_to = clock.now() - timedelta(seconds=self._lifetime)
        self.forgotten_early = 0

    def __len__(self) -> int:
        return len(self._sessions) + len(self._cuts)

    def check(self, principal: Principal) -> None:
        """Let a token pass unless what it came from has ended.

        Raises:
            Unauthenticated: "token_revoked".
        """
        if self.revoked(principal):
            raise Unauthenticated("token_revoked", "The session of this token has ended. Sign in again.")

    def revoked(self, principal: Principal) -> bool:
        """Whether what a token came from has ended."""
        if principal.session_id is not None and mark(principal.session_id) in self._sessions:
            return True
        if principal.kind != NODE:
            return False
        return self._cut(principal.user_id, principal.issued_ms) or (
            principal.node_id is not None and self._cut(principal.node_id, principal.issued_ms)
        )

    def take(self, revoked: Revoked) -> Revoked | None:
        """Remember what ended; returns what of it is news, None if nothing is."""
        until = self._forget()
        fresh = [each for each in revoked.sessions if each not in self._sessions]
        for each in fresh:
            self._sessions[each] = until
        nodes = revoked.nodes and revoked.user_id is not None and self._move(revoked.user_id, revoked, until)
        node_ids = tuple(each for each in revoked.node_ids if self._move(each, revoked, until))
        self._bound()
        if not fresh and not nodes and not node_ids:
            return None
        return Revoked(
            user_id=revoked.user_id, at_ms=revoked.at_ms, sessions=fresh, nodes=nodes, node_ids=node_ids
        )

    async def read_up(self) -> list[Revoked]:
        """Remember what ended in the database since this was asked last; returns what of it is news.

        Raises:
            StorageUnavailable: the next call reads it up.
        """
        began = self._clock.now()
        sessions = await self._store.ended_since(self._read_up_to)
        nodes = await self._nodes.ended_since(self._read_up_to)
        self._read_up_to = began - timedelta(seconds=OVERLAP)
        ended = [
            Revoked(user_id=None, at_ms=self._clock.now_ms(), sessions=[mark(each) for each in sessions]),
            *(Revoked(user_id=owner, at_ms=to_ms(at), node_ids=(node_id,)) for owner, node_id, at in nodes),
        ]
        return [news for each in ended if (news := self.take(each)) is not None]

    def metrics(self) -> Metrics:
        """How much is remembered, and what had to be forgotten before its time."""
        return {"revocations": len(self), "revocations_forgotten_early_total": self.forgotten_early}

    def _cut(self, whose: UUID, issued_ms: int) -> bool:
        """Whether a token of then is void by what ended for a person or a node."""
        cut = self._cuts.get(whose)
        return cut is not None and issued_ms <= cut[0]

    def _move(self, whose: UUID, revoked: Revoked, until: int) -> bool:
        """Void tokens up to when something ended; whether those up to then were not void yet."""
        former = self._cuts.pop(whose, (-1, 0))[0]
        self._cuts[whose] = (max(revoked.at_ms, former), until)
        return revoked.at_ms > former

    def _forget(self) -> int:
        """Drop what serves no more; returns until when an entry of now is kept."""
        now = self._clock.now_ms()
        while self._sessions and self._sessions[oldest := next(iter(self._sessions))] <= now:
            del self._sessions[oldest]
        while self._cuts and self._cuts[cut := next(iter(self._cuts))][1] <= now:
            del self._cuts[cut]
        return now + self._lifetime * 1000

    def _bound(self) -> None:
        if len(self) <= self._capacity:
            return
        log.warning("more ended sessions than can be remembered", entries=len(self))
        while len(self) > self._capacity:
            entries: dict[int, int] | dict[UUID, tuple[int, int]] = self._sessions or self._cuts
            del entries[next(iter(entries))]  # type: ignore[arg-type]  # whichever it is, the key is its own
            self.forgotten_early += 1


def mark(session_id: UUID) -> int:
    """The random half of a session's id, 62 bits of chance: by it connections are found."""
    return session_id.int & 0xFFFF_FFFF_FFFF_FFFF
