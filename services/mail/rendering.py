"""From a queued letter to a message with text and HTML."""

import tomllib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import DictLoader, Environment, StrictUndefined, UndefinedError
from markupsafe import Markup
from msgspec import Struct

from core.errors import ConfigError
from services.mail.letters import Kind
from services.sealing import SealBroken, Sealer
from storage.base import Mail

_LETTERS = "letters.toml"
_LAYOUTS = ("layout.txt", "layout.html")


class Letter(Struct, forbid_unknown_fields=True, frozen=True):
    """What a letter says; each text may name facts in double braces.

    `page` is the part of the site that its link leads to, with the token; `action` is what the link does.
    """

    subject: str
    paragraphs: list[str]
    page: str = ""
    action: str = ""


class Unmailable(Exception):
    """No message can be made of what was queued."""


class Rendered(Struct, frozen=True):
    """A message ready to send, whom to, and the link in it."""

    message: EmailMessage
    recipient: str
    link: str | None


class Renderer:
    """Makes messages of queued letters.

    Links begin with the address of the page from the configuration and carry their token behind the #,
    which browsers send to nobody.
    """

    def __init__(self, sealer: Sealer, public_url: str, sender: str) -> None:
        """`public_url` is where people reach the page, `sender` an address with or without a name.

        Raises:
            ConfigError: `sender` is no address.
        """
        self._sealer = sealer
        self._base = public_url.rstrip("/")
        name, address = parseaddr(sender)
        local, _, domain = address.rpartition("@")
        if not local or not domain or not address.isascii():
            raise ConfigError("configuration: mail.sender: is no mail address")
        self._sender = Address(name, local, domain)
        folder = files("services.mail")
        letters = tomllib.loads(folder.joinpath(_LETTERS).read_text("utf-8"))
        self._letters = msgspec.convert(letters, dict[Kind, Letter])
        loader = DictLoader({name: folder.joinpath(name).read_text("utf-8") for name in _LAYOUTS})
        self._text = _environment(loader, escape=False)
        self._html = _environment(loader, escape=True)

    @property
    def sender(self) -> str:
        """The envelope's sender: the bare address."""
        return self._sender.addr_spec

    def render(self, mail: Mail) -> Rendered:
        """The message of `mail`.

        Raises:
            Unmailable: nobody can read it any more, it is none of this release's letters, or its
                recipient is no address.
        """
        try:
            letter = self._letters[Kind(mail.template)]
            opened = self._sealer.open(mail.body, f"mail {mail.mail_id}")
            facts: dict[str, str] = msgspec.msgpack.decode(opened, type=dict[str, str])
        except (KeyError, ValueError, msgspec.DecodeError, SealBroken) as error:
            raise Unmailable(f"no letter that can be read: {mail.template}") from error
        try:
            return self._message(mail, letter, facts)
        except (ValueError, UndefinedError) as error:
            raise Unmailable(f"no message can be made of it: {error}") from error

    def _message(self, mail: Mail, letter: Letter, facts: dict[str, str]) -> Rendered:
        link = f"{self._base}/#/{letter.page}?token={facts.get('token', '')}" if letter.page else None
        facts |= {"site": self._base}
        local, _, domain = mail.recipient.rpartition("@")
        if not local or not domain:
            raise ValueError("the recipient is no address")
        message = EmailMessage(SMTP if local.isascii() else SMTPUTF8)
        message["Subject"] = self._text.from_string(letter.subject).render(facts)
        message["From"] = self._sender
        message["To"] = Address(username=local, domain=domain)
        message["Date"] = format_datetime(mail.created_at)
        # The same with every attempt, so that a mail that was sent twice is shown once.
        message["Message-ID"] = f"<{mail.mail_id}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_filled(self._text, _LAYOUTS[0], letter, facts, link))
        message.add_alternative(_filled(self._html, _LAYOUTS[1], letter, facts, link), subtype="html")
        return Rendered(message, mail.recipient, link)


def _filled(
    environment: Environment, layout: str, letter: Letter, facts: dict[str, str], link: str | None
) -> str:
    paragraphs: list[Any] = [environment.from_string(text).render(facts) for text in letter.paragraphs]
    if environment.autoescape:
        paragraphs = [Markup(text) for text in paragraphs]  # noqa: S704 - they were rendered with escaping
    return environment.get_template(layout).render(letter=letter, paragraphs=paragraphs, link=link, **facts)


def _environment(loader: DictLoader, *, escape: bool) -> Environment:
    return Environment(
        loader=loader,
        autoescape=escape,  # noqa: S701 - off for plain text only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
