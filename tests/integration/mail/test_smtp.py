"""Mails to real SMTP servers: with TLS, with a password, refusing, slow, gone."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import SMTPUTF8
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs
from support.house import SECRET, START

from core.clock import ManualClock
from core.config import MailSettings
from core.errors import ConfigError
from core.jobs import Mailing, make_post
from core.jobs.mail import RETRY_BASE
from core.jobs.post import FolderPost, SmtpPost
from services.mail import Kind, Letters, Renderer
from services.sealing import Sealer
from storage.memory import MemoryDatabase, MemoryOutbox

SENDER = "post@pulse.example.com"


class Postmaster:
    """What a server does with mails; `answer` instead of the usual ones, by command."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.answers: dict[str, list[str]] = {}
        self.stalled: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def handle_RCPT(  # noqa: N802 - the server's names
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._answer("RCPT")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        self.reached.set()
        if self.stalled:
            await self.stalled.wait()
        answer = self._answer("DATA")
        if answer.startswith("2"):
            self.envelopes.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return answer

    def _answer(self, command: str) -> str:
        queued = self.answers.get(command)
        return queued.pop(0) if queued else "250 fine"


@asynccontextmanager
async def serving(
    postmaster: Postmaster, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """An SMTP server on a free port."""
    loop = asyncio.get_running_loop()

    def make() -> SMTP:
        return SMTP(postmaster, hostname="mail.example.com", enable_SMTPUTF8=True, loop=loop, **options)

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server with a certificate of its own making, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=folder / "cert.pem")


class Desk:
    """An outbox in memory and the duty that empties it."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.database = MemoryDatabase()
        self.outbox = MemoryOutbox(self.database)
        sealer = Sealer(SECRET)
        self.letters = Letters(sealer, self.clock)
        self.renderer = Renderer(sealer, "https://pulse.example.com", f"Pulseboard <{SENDER}>")

    def mailing(
        self,
        port: int,
        mode: str = "none",
        trust: ssl.SSLContext | None = None,
        password: str = "",
        **settings: Any,
    ) -> Mailing:
        made = MailSettings(smtp_host="127.0.0.1", smtp_port=port, smtp_tls=mode, **settings)
        return Mailing(self.outbox, self.renderer, SmtpPost(made, password, SENDER, trust), self.clock)

    async def queue(self, *recipients: str) -> None:
        for recipient in recipients:
            await self.outbox.add(
                self.letters.write(Kind.VERIFY, recipient, datetime.timedelta(days=1), token="t0ken")
            )


def counts(mailing: Mailing) -> tuple[int, int, int, int]:
    metrics = mailing.metrics()
    return tuple(
        metrics[f"mails_{name}"] for name in ("sent_total", "postponed_total", "dropped_total", "waiting")
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def postmaster() -> Postmaster:
    return Postmaster()


async def test_a_mail_arrives_whole(desk: Desk, postmaster: Postmaster) -> None:
    await desk.queue("ada@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port)
        await mailing.step()
    (envelope,) = postmaster.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["ada@example.com"])
    message = message_from_bytes(envelope.content, policy=SMTPUTF8)
    assert message["Subject"] == "Confirm your address"
    assert "https://pulse.example.com/#/verify?token=t0ken" in message.get_body(("plain",)).get_content()
    assert "token=t0ken" in message.get_body(("html",)).get_content()
    assert counts(mailing) == (1, 0, 0, 0)


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_mail_travels_encrypted(
    desk: Desk, postmaster: Postmaster, tls: tuple[ssl.SSLContext, ssl.SSLContext], mode: str
) -> None:
    await desk.queue("ada@example.com")
    options = {"tls_context": tls[0], "require_starttls": True} if mode == "starttls" else {}
    async with serving(postmaster, tls[0] if mode == "tls" else None, **options) as port:
        mailing = desk.mailing(port, mode, tls[1])
        await mailing.step()
    assert counts(mailing) == (1, 0, 0, 0)
    if mode == "starttls":
        assert postmaster.encrypted == [True]


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(
    desk: Desk, postmaster: Postmaster, tls: tuple[ssl.SSLContext, ssl.SSLContext], mode: str
) -> None:
    await desk.queue("ada@example.com")
    options = {"tls_context": tls[0]} if mode == "starttls" else {}
    async with serving(postmaster, tls[0] if mode == "tls" else None, **options) as port:
        mailing = desk.mailing(port, mode)
        await mailing.step()
    assert postmaster.envelopes == []
    assert counts(mailing) == (0, 1, 0, 1)


async def test_a_server_without_starttls_gets_nothing_in_the_clear(
    desk: Desk, postmaster: Postmaster
) -> None:
    await desk.queue("ada@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port, "starttls")
        await mailing.step()
    assert postmaster.envelopes == []
    assert counts(mailing) == (0, 1, 0, 1)


@pytest.mark.parametrize(("password", "sent"), [("hunter2", 1), ("wrong", 0)])
async def test_a_server_that_wants_a_password(
    desk: Desk,
    postmaster: Postmaster,
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    password: str,
    sent: int,
) -> None:
    def authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"pulse", b"hunter2")
        return AuthResult(success=good, handled=good)

    await desk.queue("ada@example.com")
    options = {"tls_context": tls[0], "authenticator": authenticate, "auth_required": True}
    with capture_logs() as logs:
        async with serving(postmaster, **options) as port:
            mailing = desk.mailing(port, "starttls", tls[1], password, smtp_user="pulse")
            await mailing.step()
    assert len(postmaster.envelopes) == sent
    # A wrong password is our fault, not the mail's.
    assert counts(mailing) == (sent, 1 - sent, 0, 1 - sent)
    assert ("535" in repr(logs)) == (not sent)
    assert "hunter2" not in repr(logs)


async def test_several_mails_take_one_connection(desk: Desk, postmaster: Postmaster) -> None:
    connections = []

    class Counted(Postmaster):
        async def handle_EHLO(  # noqa: N802 - the server's name
            self, _: Any, session: Any, __: Any, host: str, responses: list[str]
        ) -> list[str]:
            session.host_name = host
            connections.append(host)
            return responses

    counted = Counted()
    await desk.queue(*(f"somebody{number}@example.com" for number in range(5)))
    async with serving(counted) as port:
        await desk.mailing(port).step()
    assert len(counted.envelopes) == 5
    assert connections == ["pulse.example.com"]


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_mail_that_is_refused_for_good_is_given_up(
    desk: Desk, postmaster: Postmaster, command: str
) -> None:
    postmaster.answers[command] = ["550 no such mailbox ada@example.com"]
    await desk.queue("ada@example.com", "bob@example.com")
    with capture_logs() as logs:
        async with serving(postmaster) as port:
            mailing = desk.mailing(port)
            await mailing.step()
    assert [envelope.rcpt_tos for envelope in postmaster.envelopes] == [["bob@example.com"]]
    assert counts(mailing) == (1, 0, 1, 0)
    assert "ada@" not in repr(logs)


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_mail_that_is_refused_for_now_leaves_later(
    desk: Desk, postmaster: Postmaster, command: str
) -> None:
    postmaster.answers[command] = ["451 later"]
    await desk.queue("ada@example.com", "bob@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port)
        await mailing.step()
        assert counts(mailing) == (1, 1, 0, 1)
        desk.clock.advance(RETRY_BASE * 2)
        await mailing.step()
    assert [envelope.rcpt_tos[0] for envelope in postmaster.envelopes] == [
        "bob@example.com",
        "ada@example.com",
    ]
    assert counts(mailing) == (2, 1, 0, 0)


async def test_a_server_that_says_421_and_hangs_up_gets_the_rest_later(
    desk: Desk, postmaster: Postmaster
) -> None:
    postmaster.answers["DATA"] = ["250 fine", "421 closing"]
    await desk.queue("a@example.com", "b@example.com", "c@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port)
        await mailing.step()
        sent = counts(mailing)[0]
        assert sent < 3
        desk.clock.advance(RETRY_BASE * 2)
        await mailing.step()
    assert counts(mailing)[0] == 3
    assert len(postmaster.envelopes) == 3


async def test_a_server_that_is_not_there_gets_them_when_it_is(desk: Desk, postmaster: Postmaster) -> None:
    await desk.queue("ada@example.com")
    async with serving(postmaster) as port:
        pass
    mailing = desk.mailing(port)
    await mailing.step()
    assert counts(mailing) == (0, 1, 0, 1)


async def test_a_server_that_is_slow_does_not_hold_us_for_longer_than_the_timeout(
    desk: Desk, postmaster: Postmaster
) -> None:
    postmaster.stalled = asyncio.Event()
    await desk.queue("ada@example.com", "bob@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port, timeout=0.2)
        async with asyncio.timeout(10):
            await mailing.step()
        assert postmaster.reached.is_set()
        assert counts(mailing) == (0, 2, 0, 2)
        postmaster.stalled.set()
        desk.clock.advance(RETRY_BASE * 2)
        await desk.mailing(port).step()
    assert len(desk.database.mails) == 0


async def test_a_server_that_never_greets_does_not_hold_us_either(desk: Desk) -> None:
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    await desk.queue("ada@example.com")
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        mailing = desk.mailing(server.sockets[0].getsockname()[1], timeout=0.2)
        async with asyncio.timeout(10):
            await mailing.step()
        done.set()
    assert counts(mailing) == (0, 1, 0, 1)


async def test_an_international_mailbox_is_reached_by_its_name(desk: Desk, postmaster: Postmaster) -> None:
    await desk.queue("jürgen@example.com")
    async with serving(postmaster) as port:
        mailing = desk.mailing(port)
        await mailing.step()
    assert [envelope.rcpt_tos for envelope in postmaster.envelopes] == [["jürgen@example.com"]]


def test_the_password_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    post = make_post(MailSettings(smtp_host="mail", smtp_password_file=str(file)), tmp_path, SENDER)
    assert isinstance(post, SmtpPost)
    assert post._password == "hunter2"
    with pytest.raises(ConfigError, match=r"mail\.smtp_password_file"):
        make_post(MailSettings(smtp_host="mail", smtp_password_file=str(tmp_path / "none")), tmp_path, SENDER)


def test_without_a_server_there_is_a_folder(tmp_path: Path) -> None:
    assert isinstance(make_post(MailSettings(), tmp_path, SENDER), FolderPost)
