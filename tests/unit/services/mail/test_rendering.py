import re
from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest
from msgspec.structs import replace
from support.house import PAGE_URL, SECRET, House

from core.errors import ConfigError
from services.mail import Kind, Letters, Renderer, Unmailable
from services.sealing import Sealer
from storage.base import Mail

FACTS = {
    "token": "t0ken_-",
    "name": "Ada",
    "new_email": "new@example.com",
    "old_email": "old@example.com",
    "left": "9",
    "wallet": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
}
SENDER = "Pulseboard <post@pulse.example.com>"


@pytest.fixture
def letters(house: House) -> Letters:
    return Letters(house.sealer, house.clock)


def write(letters: Letters, kind: Kind, recipient: str = "ada@example.com", **changes: str) -> Mail:
    return letters.write(kind, recipient, timedelta(hours=2), **(FACTS | changes))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_letter_has_a_subject_a_text_and_an_html_form(
    house: House, letters: Letters, kind: Kind
) -> None:
    rendered = house.renderer.render(write(letters, kind))
    message = message_from_bytes(rendered.message.as_bytes(), policy=SMTP)
    assert message["Subject"]
    assert message["From"] == SENDER
    assert message["To"] == "ada@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    assert "{{" not in text + html
    assert PAGE_URL in text
    assert PAGE_URL in html
    if rendered.link:
        assert rendered.link in text
        assert f'href="{rendered.link}"' in html


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (Kind.VERIFY, "verify"),
        (Kind.RESET, "reset"),
        (Kind.EMAIL_OLD, "confirm-email"),
        (Kind.EMAIL_NEW, "confirm-email"),
    ],
)
def test_a_link_leads_to_our_page_with_the_token_where_no_server_sees_it(
    house: House, letters: Letters, kind: Kind, page: str
) -> None:
    assert house.renderer.render(write(letters, kind)).link == f"{PAGE_URL}/#/{page}?token=t0ken_-"


def test_what_lies_in_the_outbox_tells_nothing(letters: Letters) -> None:
    mail = write(letters, Kind.RESET)
    assert b"t0ken_-" not in mail.body
    assert b"Ada" not in mail.body


def test_a_name_is_text_in_html_and_no_header_in_text(house: House, letters: Letters) -> None:
    hostile = '<script>alert(1)</script>\r\nBcc: all@example.com {{ site }} "&'
    message = house.renderer.render(write(letters, Kind.PASSWORD_CHANGED, name=hostile)).message
    html = message.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "{{ site }}" in html
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    "recipient", ["ada@example.com\r\nBcc: eve@example.com", "ada\n@example.com", "nobody", "@example.com"]
)
def test_a_recipient_that_is_none_makes_no_message(house: House, letters: Letters, recipient: str) -> None:
    with pytest.raises(Unmailable):
        house.renderer.render(write(letters, Kind.VERIFY, recipient))


def test_a_recipient_is_one_recipient(house: House, letters: Letters) -> None:
    message = house.renderer.render(write(letters, Kind.VERIFY, "ada@example.com, eve@example.com")).message
    assert len(message["To"].addresses) == 1


def test_a_letter_to_an_unconfirmed_address_names_nothing_that_a_stranger_wrote(
    house: House, letters: Letters
) -> None:
    for kind in (Kind.VERIFY, Kind.ALREADY_REGISTERED, Kind.EMAIL_NEW):
        message = house.renderer.render(write(letters, kind, name="BUY NOW")).message
        assert "BUY NOW" not in message.as_string()


def test_the_same_mail_has_the_same_id_with_every_attempt(house: House, letters: Letters) -> None:
    mail = write(letters, Kind.VERIFY)
    first = house.renderer.render(mail).message["Message-ID"]
    assert house.renderer.render(mail).message["Message-ID"] == first
    assert re.fullmatch(r"<[0-9a-f-]{36}@pulse\.example\.com>", first)


def test_a_letter_says_how_long_its_link_serves(house: House, letters: Letters) -> None:
    for ttl, words in ((timedelta(hours=1), "one hour"), (timedelta(days=1), "24 hours")):
        mail = letters.write(Kind.VERIFY, "ada@example.com", ttl, token="t")
        assert f"for {words}." in house.renderer.render(mail).message.get_body(("plain",)).get_content()
        assert mail.expires_at == house.clock.now() + ttl


def test_what_nobody_can_read_is_no_mail(house: House, letters: Letters) -> None:
    mail = write(letters, Kind.VERIFY)
    stranger = Renderer(Sealer(SECRET[::-1]), PAGE_URL, SENDER)
    for renderer, broken in (
        (stranger, mail),
        (house.renderer, replace(mail, template="nonsense")),
        (house.renderer, replace(mail, body=b"")),
    ):
        with pytest.raises(Unmailable):
            renderer.render(broken)


def test_an_international_address_is_written_as_it_is(house: House, letters: Letters) -> None:
    message = house.renderer.render(write(letters, Kind.VERIFY, "jürgen@xn--bcher-kva.example.com")).message
    assert str(message["To"]) == "jürgen@xn--bcher-kva.example.com"


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c", "Somebody <>"])
def test_a_sender_that_is_no_address_is_refused_at_the_start(house: House, sender: str) -> None:
    with pytest.raises(ConfigError, match=r"mail\.sender"):
        Renderer(house.sealer, PAGE_URL, sender)
