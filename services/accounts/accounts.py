"""All that accounts are made of, put together."""

from msgspec import Struct

from core.clock import Clock
from services.accounts.admission import Admission
from services.accounts.codes import Codes
from services.accounts.credentials import Credentials
from services.accounts.emails import Emails
from services.accounts.export import Exports
from services.accounts.limits import Limits
from services.accounts.new_passwords import NewPasswords
from services.accounts.profile import Profiles
from services.accounts.recovery import Recovery
from services.accounts.registration import Registrar
from services.accounts.second_factor import SecondFactors
from services.accounts.signin import SignIns
from services.accounts.wallets import Wallets
from services.audit import Audit
from services.common_passwords import CommonPasswords
from services.mail import Letters
from services.passwords import Passwords
from services.referrals import Referrals
from services.sealing import Sealer
from services.sessions import Sessions
from storage.base import (
    ConfirmationStore,
    LedgerStore,
    NodeStore,
    Outbox,
    ReferralStore,
    SecondFactorStore,
    SessionStore,
    StatisticsStore,
    Throttle,
    UptimeStore,
    UserStore,
)


class AccountStores(Struct, frozen=True, kw_only=True):
    """The stores that accounts live in."""

    users: UserStore
    sessions: SessionStore
    confirmations: ConfirmationStore
    outbox: Outbox
    second_factors: SecondFactorStore
    nodes: NodeStore
    uptime: UptimeStore
    ledger: LedgerStore
    referrals: ReferralStore
    statistics: StatisticsStore
    throttle: Throttle


class AccountSettings(Struct, frozen=True, kw_only=True):
    """How accounts are set up: where people reach the page, and seconds that links serve."""

    public_url: str
    link_ttl: int
    reset_ttl: int


class Accounts(Struct, frozen=True, kw_only=True):
    """The services of accounts."""

    admission: Admission
    registrar: Registrar
    recovery: Recovery
    sign_ins: SignIns
    profiles: Profiles
    emails: Emails
    second_factors: SecondFactors
    wallets: Wallets
    exports: Exports


def make_accounts(
    *,
    stores: AccountStores,
    settings: AccountSettings,
    passwords: Passwords,
    common: CommonPasswords,
    sessions: Sessions,
    referrals: Referrals,
    sealer: Sealer,
    audit: Audit,
    clock: Clock,
) -> Accounts:
    """The services of accounts over these stores."""
    letters = Letters(sealer, clock)
    limits = Limits(stores.throttle)
    codes = Codes(
        store=stores.second_factors,
        sealer=sealer,
        letters=letters,
        outbox=stores.outbox,
        audit=audit,
        clock=clock,
    )
    credentials = Credentials(users=stores.users, passwords=passwords, codes=codes, limits=limits)
    new_passwords = NewPasswords(passwords, common)
    registrar = Registrar(
        users=stores.users,
        confirmations=stores.confirmations,
        new_passwords=new_passwords,
        limits=limits,
        referrals=referrals,
        letters=letters,
        audit=audit,
        clock=clock,
        link_ttl=settings.link_ttl,
    )
    return Accounts(
        admission=Admission(users=stores.users, new_passwords=new_passwords, audit=audit, clock=clock),
        registrar=registrar,
        recovery=Recovery(
            users=stores.users,
            confirmations=stores.confirmations,
            new_passwords=new_passwords,
            registrar=registrar,
            sessions=sessions,
            limits=limits,
            letters=letters,
            audit=audit,
            clock=clock,
            reset_ttl=settings.reset_ttl,
        ),
        sign_ins=SignIns(
            users=stores.users,
            sessions=sessions,
            passwords=passwords,
            codes=codes,
            limits=limits,
            referrals=referrals,
            audit=audit,
        ),
        profiles=Profiles(
            users=stores.users,
            session_store=stores.sessions,
            confirmations=stores.confirmations,
            credentials=credentials,
            new_passwords=new_passwords,
            sessions=sessions,
            letters=letters,
            outbox=stores.outbox,
            audit=audit,
            clock=clock,
        ),
        emails=Emails(
            users=stores.users,
            confirmations=stores.confirmations,
            credentials=credentials,
            limits=limits,
            letters=letters,
            outbox=stores.outbox,
            audit=audit,
            clock=clock,
            link_ttl=settings.link_ttl,
        ),
        second_factors=SecondFactors(
            store=stores.second_factors,
            credentials=credentials,
            codes=codes,
            sealer=sealer,
            letters=letters,
            outbox=stores.outbox,
            audit=audit,
            clock=clock,
        ),
        wallets=Wallets(
            users=stores.users,
            credentials=credentials,
            limits=limits,
            sealer=sealer,
            letters=letters,
            outbox=stores.outbox,
            audit=audit,
            clock=clock,
            public_url=settings.public_url,
        ),
        exports=Exports(
            credentials=credentials,
            sessions=stores.sessions,
            second_factors=stores.second_factors,
            nodes=stores.nodes,
            uptime=stores.uptime,
            ledger=stores.ledger,
            referrals=stores.referrals,
            statistics=stores.statistics,
            audit=audit,
            clock=clock,
        ),
    )
