"""The data that memory adapters share."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import astuple, replace

from core.clock import Clock, SystemClock, to_ms
from core.errors import CloseCode, InvalidInput, NotFound
from storage.abuse import shipped
from storage.base import (
    AbuseRule,
    AuditEvent,
    Decision,
    EmailChange,
    Flag,
    FlagKind,
    KeptAnswer,
    Level,
    LoginSession,
    Mail,
    Node,
    NodeScore,
    Referral,
    ReferralCode,
    ReferralFlag,
    Registration,
    Reset,
    RuleGate,
    SecondFactor,
    Trait,
    User,
)
from storage.base.campaigns import Campaign, CampaignInputs
from storage.base.epochs import BonusInputs, Epoch, NodeInputs, OpenEpoch, TermsVersion
from storage.base.ledger import Account, Category, Entry
from storage.epochs import Progress
from storage.moves import Move
from storage.statistics import Totals
from storage.uptime import HourSums, NetworkHour, NodeSession, NodeState, Span

_REMEMBERED = timedelta(days=1)


class FormerToken(Struct):
    """A refresh token of a living session: whose it is, and when it was replaced, if it was."""

    session_id: UUID
    replaced_at: datetime | None = None


class KeptMove(Struct):
    """A move, and the last second that the connection that was left was confirmed in after it."""

    move: Move
    overlap_to: int | None = None


class Writer(Struct):
    """A worker's batches that were applied, as spans of their numbers, and when the last one was.

    `until_ms` is that of the batch with the greatest number.
    """

    applied: list[Span]
    last_at: datetime
    until_ms: int = 0


class ReferralSum(Struct, kw_only=True):
    """What was paid for a referral, what of it is held, was taken back, and could not be any more.

    `due` is what becomes final when.
    """

    level: Level
    amount: int = 0
    held: int = 0
    taken: int = 0
    lost: int = 0
    due: dict[datetime, int] = field(default_factory=dict)


class MemoryDatabase(Struct, kw_only=True):
    """Everything that a PostgreSQL database would hold. Belongs to one event loop.

    `clock` is the database's own: it tells when a session was ended. `former` holds the states of
    retired nodes and of those of erased accounts. With an `EmailChange` go the hashes of the tokens not
    used yet.
    """

    clock: Clock = field(default_factory=SystemClock)

    users: dict[UUID, User] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)
    wallets: dict[str, UUID] = field(default_factory=dict)

    sessions: dict[UUID, LoginSession] = field(default_factory=dict)
    tokens: dict[bytes, FormerToken] = field(default_factory=dict)
    ended: dict[UUID, datetime] = field(default_factory=dict)

    registrations: dict[str, Registration] = field(default_factory=dict)
    resets: dict[UUID, Reset] = field(default_factory=dict)
    email_changes: dict[UUID, tuple[EmailChange, set[bytes]]] = field(default_factory=dict)
    mails: dict[UUID, Mail] = field(default_factory=dict)

    factors: dict[UUID, SecondFactor] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)
    answers: dict[tuple[UUID, str], KeptAnswer] = field(default_factory=dict)

    nodes: dict[UUID, Node] = field(default_factory=dict)
    keys: dict[bytes, UUID] = field(default_factory=dict)
    token_times: dict[UUID, int] = field(default_factory=dict)
    retired: dict[UUID, Node] = field(default_factory=dict)
    retired_at: dict[UUID, datetime] = field(default_factory=dict)
    token_ends: dict[UUID, tuple[UUID, datetime]] = field(default_factory=dict)

    states: dict[UUID, NodeState] = field(default_factory=dict)
    former: dict[UUID, NodeState] = field(default_factory=dict)
    hours: dict[tuple[UUID, int], HourSums] = field(default_factory=dict)
    node_sessions: dict[tuple[UUID, UUID], NodeSession] = field(default_factory=dict)
    network_hours: dict[tuple[int, str], NetworkHour] = field(default_factory=dict)
    writers: dict[str, Writer] = field(default_factory=dict)
    revision: int = 0

    # By node and by country, and day; hours before from_hour were dropped.
    days: dict[tuple[UUID, int], Totals] = field(default_factory=dict)
    network_days: dict[tuple[int, str], Totals] = field(default_factory=dict)
    rolled: dict[int, datetime] = field(default_factory=dict)
    packed: set[int] = field(default_factory=set)
    from_hour: int = 0

    gates: dict[UUID, list[RuleGate]] = field(default_factory=dict)
    rules: dict[str, list[AbuseRule]] = field(
        default_factory=lambda: {rule.name: [rule] for rule in shipped()}
    )
    flags: dict[UUID, Flag] = field(default_factory=dict)
    # The retired node that had a key and was suspended.
    suspended_keys: dict[bytes, UUID] = field(default_factory=dict)
    decisions: dict[UUID, list[Decision]] = field(default_factory=dict)
    moves: dict[tuple[UUID, UUID], KeptMove] = field(default_factory=dict)
    scores: dict[tuple[UUID, UUID], NodeScore] = field(default_factory=dict)

    referral_codes: dict[str, ReferralCode] = field(default_factory=dict)
    # Of whoever was brought; when a trait was seen last; flags by referral, kind and ancestor.
    referrals: dict[UUID, Referral] = field(default_factory=dict)
    traits: dict[tuple[UUID, Trait], datetime] = field(default_factory=dict)
    referral_flags: dict[tuple[UUID, FlagKind, UUID], ReferralFlag] = field(default_factory=dict)
    # By who got it, and who it was for.
    referral_sums: dict[tuple[UUID, UUID], ReferralSum] = field(default_factory=dict)

    # The ledger: an entry's id is its place, from 1 on.
    entries: list[Entry] = field(default_factory=list)
    entry_ids: dict[str, int] = field(default_factory=dict)
    balances: dict[tuple[UUID, Account, Category], int] = field(default_factory=dict)

    # Closed epochs by their numbers, and what nodes were measured with in them.
    terms_versions: list[TermsVersion] = field(default_factory=list)
    epoch_seconds: int = 0
    open_epoch: OpenEpoch | None = None
    # The newest sums of epochs, by number.
    measures: dict[int, OpenEpoch] = field(default_factory=dict)
    # How often a figure was changed by anything but what was measured or a close.
    changes: int = 0
    epochs: dict[int, Epoch] = field(default_factory=dict)
    epoch_nodes: dict[int, dict[UUID, NodeInputs]] = field(default_factory=dict)
    # Of those before from_epoch only what each node earned is known, by day: for availability and for usage.
    from_epoch: int = 0
    earned_days: dict[tuple[UUID, int], tuple[int, int]] = field(default_factory=dict)
    progress: dict[UUID, Progress] = field(default_factory=dict)

    # Campaigns, what they came to in each epoch, and what people's own bonuses in it were made from.
    campaigns: dict[UUID, Campaign] = field(default_factory=dict)
    epoch_campaigns: dict[int, list[CampaignInputs]] = field(default_factory=dict)
    epoch_people: dict[int, dict[UUID, BonusInputs]] = field(default_factory=dict)

    def require_user(self, user_id: UUID) -> User:
        """The user; what would belong to nobody is refused."""
        user = self.users.get(user_id)
        if user is None:
            raise NotFound("user_unknown", "There is no such user.")
        return user

    def add_user(self, user: User) -> bool:
        """Add `user`; false if the address is taken."""
        if user.email in self.emails:
            return False
        self.users[user.user_id] = replace(user, wallet=None, second_factor=False)
        self.emails[user.email] = user.user_id
        return True

    def person(self, user_id: UUID) -> User | None:
        """The user as the product sees them."""
        user = self.users.get(user_id)
        factor = self.factors.get(user_id)
        return user and replace(user, second_factor=bool(factor and factor.confirmed_at))

    def end_sessions(self, user_id: UUID, but: UUID | None = None) -> list[UUID]:
        """End the sessions of a user except `but`; returns the ended ones."""
        ended = [
            session.session_id
            for session in self.sessions.values()
            if session.user_id == user_id and session.session_id != but
        ]
        for session_id in ended:
            self.end_session(session_id)
        return ended

    def end_session(self, session_id: UUID) -> None:
        """End a session and remember that."""
        self.remove_session(session_id)
        now = self.clock.now()
        for old in [key for key, at in self.ended.items() if at < now - _REMEMBERED]:
            del self.ended[old]
        self.ended[session_id] = now

    def end_node(self, node_id: UUID, at: datetime) -> None:
        """End a node for good: its key is free, its tokens are void, and its state is a former one."""
        node = self.nodes.pop(node_id)
        self.end_tokens(node, at)
        del self.keys[node.public_key]
        if any(flag.action == "suspend" for flag in self.active_flags(node_id)):
            self.suspended_keys[node.public_key] = node_id
        self.token_times.pop(node_id, None)
        state = self.states.pop(node_id)
        if state.status != "offline":
            state.status, state.since_ms = "offline", to_ms(at)
        if state.online:
            state.closed_ms, state.closed_code = to_ms(at), CloseCode.REVOKED
        state.online = state.presumed = state.suspended = state.flapping = False
        state.penalty = 0
        state.unsettled = []
        for session in self.node_sessions.values():
            if session.node_id == node_id and session.closed_at is None:
                session.closed_at, session.code = at, CloseCode.REVOKED
        self.former[node_id] = state

    def end_tokens(self, node: Node, at: datetime) -> None:
        """Make a node's tokens up to `at` void."""
        former = self.token_ends.get(node.node_id)
        self.token_ends[node.node_id] = node.user_id, max(at, former[1]) if former else at

    def active_flags(self, node_id: UUID) -> list[Flag]:
        """The active flags of a node, the oldest first."""
        found = [flag for flag in self.flags.values() if flag.node_id == node_id and flag.state == "active"]
        return sorted(found, key=lambda flag: flag.flag_id)

    def forget_abuse(self, user_id: UUID) -> None:
        """Forget what was found about a person's nodes: it has their addresses."""
        for flag in [flag for flag in self.flags.values() if flag.user_id == user_id]:
            del self.flags[flag.flag_id], self.decisions[flag.flag_id]
            self.gates.pop(flag.node_id, None)
        for key in [key for key, kept in self.moves.items() if kept.move.user_id == user_id]:
            del self.moves[key]

    def remove_session(self, session_id: UUID) -> None:
        """Forget a session and its tokens."""
        del self.sessions[session_id]
        for token_hash in [h for h, token in self.tokens.items() if token.session_id == session_id]:
            del self.tokens[token_hash]


def require_storable(*values: Any) -> None:
    """Refuse texts that a database could not hold, also within records and containers."""
    for value in values:
        match value:
            case str() if "\0" in value:
                raise InvalidInput("text_invalid", "A text holds a character that cannot be stored.")
            case Struct():
                require_storable(*astuple(value))
            case dict():
                require_storable(*value, *value.values())
            case list() | tuple():
                require_storable(*value)
