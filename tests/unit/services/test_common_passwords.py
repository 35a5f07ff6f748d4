import pytest
from support.house import PASSWORD, common_passwords

COMMON = [
    "passwordpassword",
    "Password123456",
    "PASSWORD123!",
    "p@ssw0rdp@ssw0rd",
    "123456789012",
    "abcdefghijklmnop",
    "zyxwvutsrqponm",
    "qwertyuiopas",
    "1qaz2wsx3edc4rfv",
    "aaaaaaaaaaaaaaaa",
    "abcabcabcabc",
    "iloveyou iloveyou",
    "dragon monkey",
    "!!letmein2024!!",
    "unbelievable",
]
SECRET = [
    PASSWORD,
    "correct horse battery staple",
    "tangerine lamp over seven rivers",
    "kGv9#xQ2mLw!",
    "Zürich liegt am See",
    "пароль из четырёх слов",
    "密码应该足够长才能算安全的",
    "dragon 8391-0472-6655",
    "🦊🐻🐼🦁🐯🐨🐸🐵🦄🐝🐞🦋",
]


def test_the_list_is_the_one_that_is_shipped() -> None:
    assert len(common_passwords()) > 45_000


@pytest.mark.parametrize("password", COMMON)
def test_what_is_common_in_a_simple_form_is_no_secret(password: str) -> None:
    assert common_passwords().includes(password)


@pytest.mark.parametrize("password", SECRET)
def test_what_is_long_and_of_ones_own_is_a_secret(password: str) -> None:
    assert not common_passwords().includes(password)


@pytest.mark.parametrize(
    "password",
    ["ada.lovelace1", "ADA LOVELACE 1815", "adalovelaceadalovelace", "lovelace@example.com"],
)
def test_ones_own_name_or_address_is_no_secret(password: str) -> None:
    personal = ("lovelace@example.com", "ada.lovelace", "Ada Lovelace")
    assert common_passwords().includes(password, personal)
    assert not common_passwords().includes("Hopper rode the 1906 tram", personal)


@pytest.mark.parametrize(
    "password", ["pulseboard123", "PulseboardPulseboard", "Pul5eb0ard!!", "pulseboardpassword"]
)
def test_the_products_name_is_no_secret(password: str) -> None:
    assert common_passwords().includes(password, ("pulseboard",))
