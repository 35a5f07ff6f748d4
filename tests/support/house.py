"""The services over memory adapters or others, with a clock that stands still."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.stores import Stores, memory_stores

from core.clock import ManualClock, to_ms
from core.messages import enrol_bytes, token_bytes
from services.abuse import Abuse
from services.accounts import AccountSettings, AccountStores, make_accounts
from services.audit import Audit
from services.campaigns import Campaigns
from services.common_passwords import CommonPasswords
from services.disposable import DisposableDomains
from services.earnings import Earnings
from services.explain import Explanations
from services.mail import Renderer
from services.networks import Networks
from services.nodes import Nodes
from services.oversight import Oversight
from services.passwords import Passwords
from services.referrals import Referrals
from services.revocations import Revocations, Revoked
from services.rewards import Claims
from services.score import Scores
from services.sealing import Sealer
from services.sessions import Sessions
from services.staff import Staff
from services.statistics import Statistics
from services.tokens import Tokens
from storage.base import Burst, Node, Presence, ReferralTerms, Tier, User
from storage.memory import MemoryDatabase, MemoryThrottle

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "a secret of at least thirty-two characters"
PASSWORD = "correct horse battery"
ACCESS_TTL = 600
REFRESH_TTL = 3600
SETTLING = 60
PAGE_URL = "https://pulse.example.com"
LINK_TTL = 86_400
RESET_TTL = 3600
BURST = Burst(people=5, seconds=600)
REFERRAL_TERMS = ReferralTerms(tiers=(Tier(active=1, multiplier=11_000), Tier(active=3, multiplier=12_500)))


class House:
    """Everything that tests of services and handlers need, made anew for each."""

    def __init__(self, stores: Stores | None = None) -> None:
        """`stores` are memory's unless given; `database` is what memory's share."""
        self.clock = ManualClock(START)
        self.database = MemoryDatabase()
        stores = self.stores = stores or memory_stores(self.database)
        self.user_store = stores.users
        self.uptime = stores.uptime
        self.figures = stores.figures
        # As cheap as Argon2 goes: the tests are about us, not about it.
        self.passwords = Passwords(memory_kib=8, passes=1, threads=1)
        self.tokens = Tokens(SECRET, self.clock, ACCESS_TTL, 3600)
        self.audit = Audit(stores.audit, self.clock)
        self.revocations = Revocations(stores.sessions, stores.nodes, self.clock, 3600)
        # What the other processes would be told of.
        self.ended: list[Revoked] = []
        self.sessions = Sessions(
            sessions=stores.sessions,
            users=stores.users,
            tokens=self.tokens,
            audit=self.audit,
            clock=self.clock,
            refresh_ttl=REFRESH_TTL,
            ended=self._session_ended,
        )
        self.throttle = MemoryThrottle(self.clock.now_ms)
        self.sealer = Sealer(SECRET)
        self.renderer = Renderer(self.sealer, PAGE_URL, "Pulseboard <post@pulse.example.com>")
        self.referrals = Referrals(
            store=stores.referrals,
            throttle=self.throttle,
            disposable=DisposableDomains({"mailinator.com"}),
            audit=self.audit,
            clock=self.clock,
            terms=REFERRAL_TERMS,
            burst=BURST,
        )
        self.accounts = make_accounts(
            stores=AccountStores(
                users=stores.users,
                sessions=stores.sessions,
                confirmations=stores.confirmations,
                outbox=stores.outbox,
                second_factors=stores.second_factors,
                nodes=stores.nodes,
                uptime=stores.uptime,
                ledger=stores.ledger,
                referrals=stores.referrals,
                statistics=stores.statistics,
                throttle=self.throttle,
            ),
            settings=AccountSettings(public_url=PAGE_URL, link_ttl=LINK_TTL, reset_ttl=RESET_TTL),
            passwords=self.passwords,
            common=common_passwords(),
            sessions=self.sessions,
            referrals=self.referrals,
            sealer=self.sealer,
            audit=self.audit,
            clock=self.clock,
        )
        self.staff = Staff(stores.users, self.sessions, self.audit)
        self.networks = Networks(stores.nodes, stores.uptime, stores.abuse, self.tokens, self.clock)
        self.nodes = Nodes(nodes=stores.nodes, audit=self.audit, clock=self.clock, ended=self._session_ended)
        # Whose overview would be published.
        self.changed: list[UUID] = []
        self.abuse = Abuse(
            store=stores.abuse,
            nodes=stores.nodes,
            uptime=stores.uptime,
            audit=self.audit,
            clock=self.clock,
            ended=self._node_ended,
            changed=self._status_changed,
        )
        self.earnings = Earnings(
            figures=self.figures,
            ledger=stores.ledger,
            epochs=stores.epochs,
            users=stores.users,
            clock=self.clock,
            settling=SETTLING,
        )
        self.explanations = Explanations(epochs=stores.epochs, ledger=stores.ledger)
        self.claims = Claims(ledger=stores.ledger, epochs=stores.epochs, users=stores.users, clock=self.clock)
        self.scores = Scores(stores.scores, stores.nodes)
        self.campaigns = Campaigns(store=stores.campaigns, audit=self.audit, clock=self.clock)
        self.statistics = Statistics(stores.statistics, self.clock, hour_days=35, day_days=1100)

    def oversight(self, presence: Presence) -> Oversight:
        """What the staff sees of epochs and proofs; `presence` knows the processes."""
        return Oversight(
            epochs=self.stores.epochs,
            uptime=self.uptime,
            presence=presence,
            audit=self.audit,
            clock=self.clock,
            grace=timedelta(seconds=SETTLING),
        )

    async def person(self, email: str = "ada@example.com") -> User:
        """An account, there already or made now."""
        made = await self.accounts.admission.admit(email, PASSWORD, "Ada")
        found = made or await self.user_store.by_email(email)
        assert found is not None
        return found

    async def mails(self, recipient: str | None = None) -> list[EmailMessage]:
        """The mails that would leave now, to everybody or to `recipient`; they stay in the outbox."""
        now = self.clock.now()
        waiting = [
            self.renderer.render(mail).message for mail in await self.stores.outbox.take(now, now, 100)
        ]
        return [mail for mail in waiting if recipient in (None, str(mail["To"]))]

    async def link(self, recipient: str) -> str:
        """The token of the link in the newest mail to `recipient` that has one."""
        texts = [mail.get_body(("plain",)).get_content() for mail in await self.mails(recipient)]
        words = [word for text in texts for word in text.split() if "token=" in word]
        return parse_qs(urlsplit(urlsplit(words[-1]).fragment).query)["token"][0]

    async def kinds_noted(self) -> list[str]:
        """What the audit log has, the oldest first."""
        events = await self.stores.audit.read(user_id=None, kind=None, before=None, limit=200)
        return [event.kind for event in reversed(events)]

    async def node(self, owner: User, key: Ed25519PrivateKey, name: str = "attic") -> Node:
        """A node of `owner`."""
        public = public_bytes(key)
        signature = key.sign(enrol_bytes(owner.user_id, public))
        return await self.networks.enrol(owner.user_id, public, name, signature)

    @property
    def now_ms(self) -> int:
        """The clock, in milliseconds."""
        return to_ms(self.clock.now())

    def _session_ended(self, revoked: Revoked) -> None:
        self.revocations.take(revoked)
        self.ended.append(revoked)

    async def _node_ended(self, revoked: Revoked) -> None:
        self._session_ended(revoked)

    async def _status_changed(self, user_id: UUID) -> None:
        self.changed.append(user_id)

    def close(self) -> None:
        """Let the threads go."""
        self.passwords.close()


@cache
def common_passwords() -> CommonPasswords:
    """The list that is shipped, read once."""
    return CommonPasswords.shipped()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    return key.public_key().public_bytes_raw()


def token_signature(key: Ed25519PrivateKey, node: Node, time_ms: int) -> bytes:
    """What the node sends to get a token."""
    return key.sign(token_bytes(node.node_id, time_ms))
