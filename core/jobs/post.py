"""How mails leave: to an SMTP server, or into a folder where there is none."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import deepcopy
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
)

from core.config import MailSettings
from core.errors import ConfigError
from core.logs import get_logger
from services.mail import Rendered

# Mails kept in the folder; the oldest go first.
KEPT = 1000

log = get_logger("mail")

Send = Callable[[Rendered], Awaitable[None]]


class Undeliverable(Exception):
    """The server will never take this mail."""


class NotNow(Exception):
    """The server did not take this mail, and may take it later; `gone` if it takes none now."""

    def __init__(self, reason: str, *, gone: bool) -> None:
        super().__init__(reason)
        self.gone = gone


class Post(Protocol):
    """Takes mails out of the house."""

    def collect(self) -> AbstractAsyncContextManager[Send]:
        """Be ready for some mails within the block; what it yields sends one.

        Raises:
            NotNow, and what it yields `Undeliverable` too.
        """
        ...


class SmtpPost:
    """Hands mails to an SMTP server, over one connection for all of a block."""

    def __init__(
        self, settings: MailSettings, password: str, sender: str, tls: ssl.SSLContext | None = None
    ) -> None:
        """`sender` is the envelope's; `tls` replaces the machine's own idea of whom to trust."""
        self._settings = settings
        self._password = password
        self._sender = sender
        self._tls = tls

    @asynccontextmanager
    async def collect(self) -> AsyncIterator[Send]:
        """See `Post`."""
        mode = self._settings.smtp_tls
        client = SMTP(
            hostname=self._settings.smtp_host,
            port=self._settings.smtp_port,
            username=self._settings.smtp_user or None,
            password=self._password or None,
            # Looking our own name up in the DNS could hang.
            local_hostname=self._sender.rpartition("@")[2],
            timeout=self._settings.timeout,
            use_tls=mode == "tls",
            start_tls=mode == "starttls",
            tls_context=self._tls if mode != "none" else None,
        )
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            client.close()
            raise NotNow(_reason(error), gone=True) from error
        try:
            yield lambda mail: self._send(client, mail)
        finally:
            with suppress(SMTPException, OSError):
                await client.quit()
            client.close()

    async def _send(self, client: SMTP, mail: Rendered) -> None:
        try:
            await client.send_message(mail.message, sender=self._sender, recipients=[mail.recipient])
        except (SMTPException, OSError, ValueError) as error:
            if _final(error):
                raise Undeliverable(_reason(error)) from error
            raise NotNow(_reason(error), gone=not client.is_connected) from error


class FolderPost:
    """Writes mails to files and their links to the log: for a system on one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def collect(self) -> AsyncIterator[Send]:
        """See `Post`."""
        yield self._send

    async def _send(self, mail: Rendered) -> None:
        try:
            path = await asyncio.to_thread(self._write, mail)
        except OSError as error:
            raise NotNow(f"{self._folder}: {error.strerror}", gone=True) from error
        log.info(
            "mail written",
            to=mail.recipient,
            subject=str(mail.message["Subject"]),
            link=mail.link,
            file=str(path),
        )

    def _write(self, mail: Rendered) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The id of a mail sorts by time.
        name = str(mail.message["Message-ID"]).strip("<>").partition("@")[0]
        path = self._folder / f"{name}.eml"
        part = path.with_suffix(".part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(legible(mail.message).as_bytes())
        part.rename(path)
        for old in sorted(self._folder.glob("*.eml"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return path


def legible(message: EmailMessage) -> EmailMessage:
    """The same message with its texts as they are (8bit), so that a link can be copied from the file.

    Sent, they are quoted-printable: lines are longer there than SMTP advises.
    """
    copy = deepcopy(message)
    for part in copy.walk():
        if part.get_content_maintype() == "text":
            part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte="8bit")
    return copy


def make_post(settings: MailSettings, folder: Path, sender: str) -> Post:
    """The post that the configuration asks for; `folder` is where mails land without a server.

    Raises:
        ConfigError: the password's file cannot be read.
    """
    if not settings.smtp_host:
        return FolderPost(folder)
    return SmtpPost(settings, _password(settings), sender)


def _password(settings: MailSettings) -> str:
    if not settings.smtp_password_file:
        return settings.smtp_password
    try:
        return Path(settings.smtp_password_file).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigError(f"mail.smtp_password_file: {settings.smtp_password_file}: {reason}") from error


def _final(error: Exception) -> bool:
    """Whether trying again is no use: the mail or its recipient is refused for good, not our setup."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(_final(each) for each in error.recipients)
    if isinstance(error, (SMTPRecipientRefused, SMTPDataError)):
        return 500 <= error.code < 600
    return isinstance(error, (SMTPNotSupported, ValueError)) and not isinstance(
        error, SMTPAuthenticationError
    )


def _reason(error: Exception) -> str:
    """What went wrong without the address it concerns, which has no business in a log."""
    refused = error.recipients[0] if isinstance(error, SMTPRecipientsRefused) else error
    if isinstance(refused, aiosmtplib.SMTPResponseException):
        return f"{type(refused).__name__}: {refused.code}"
    return f"{type(error).__name__}: {error}"
