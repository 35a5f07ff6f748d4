import pytest

from core.errors import InvalidInput
from services.accounts import normal_email


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("ADA@Example.COM", "ada@example.com"),
        ("A\u0308da@b\u00fccher.example.com", "\u00e4da@xn--bcher-kva.example.com"),
        ("ada@XN--BCHER-KVA.example.com", "ada@xn--bcher-kva.example.com"),
        ("STRASSE@example.com", "strasse@example.com"),
        ("Stra\u00dfe@example.com", "strasse@example.com"),
        ("\u0438\u0432\u0430\u043d.2@example.com", "\u0438\u0432\u0430\u043d.2@example.com"),
        ("\u7530\u4e2d\u305f\u308d\u3046@example.com", "\u7530\u4e2d\u305f\u308d\u3046@example.com"),
        ("ada+tag@example.com", "ada+tag@example.com"),
    ],
)
def test_an_address_has_one_form_however_it_is_written(written: str, normal: str) -> None:
    assert normal_email(written) == normal
    assert normal_email(normal) == normal


@pytest.mark.parametrize(
    "disguised",
    [
        "\u0430da@example.com",  # Cyrillic a
        "p\u0430ypal@example.com",
        "ad\u03b1@example.com",  # Greek alpha
        "\uff41\uff44\uff41@example.com",  # full width
        "\U0001d41a\U0001d41d\U0001d41a@example.com",  # mathematical bold
        "ad\u00aa@example.com",  # feminine ordinal
        "\u2170da@example.com",  # small Roman numeral one
    ],
)
def test_letters_that_look_like_others_are_refused(disguised: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normal_email(disguised)
    assert (refused.value.code, refused.value.extra["field"]) == ("invalid_input", "email")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a b@example.com",
        '"a b"@example.com',
        "ada@[127.0.0.1]",
        "a\0@example.com",
        "a\ud800@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\n@example.com",
        "ada@example.com,eve@example.com",
        "Ada <ada@example.com>",
        "ada\u200b@example.com",
        "ada\u202e@example.com",
        f"{'a' * 300}@example.com",
        "'; DROP TABLE account; --",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normal_email(text)
    assert refused.value.extra["field"] == "email"
