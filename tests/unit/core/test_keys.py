import secrets
from pathlib import Path

import pytest

from core.config import load
from core.errors import ConfigError
from core.keys import Keys, hard_to_guess, load_keys

FIRST, SECOND, THIRD = (secrets.token_urlsafe(48) for _ in range(3))


def keys(**flags: object) -> Keys:
    return load_keys(load(environ={}, flags={f"auth.{key}": value for key, value in flags.items()}))


def refusal(**flags: object) -> str:
    with pytest.raises(ConfigError) as refused:
        keys(**flags)
    return str(refused.value)


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_keys_come_from_settings_and_from_files(tmp_path: Path) -> None:
    first = written(tmp_path / "first", f"{FIRST}\n")
    third = written(tmp_path / "third", f"  {THIRD}\n")
    assert keys(secret=FIRST) == Keys(FIRST)
    assert keys(secret_file=first, former_secrets=[SECOND], former_secret_files=[third]) == Keys(
        FIRST, (SECOND, THIRD)
    )


def test_keys_come_from_the_environment() -> None:
    environ = {"PULSEBOARD_AUTH_SECRET": FIRST, "PULSEBOARD_AUTH_FORMER_SECRETS": f"{SECOND}, {THIRD}"}
    assert load_keys(load(environ=environ)) == Keys(FIRST, (SECOND, THIRD))


def test_a_key_that_is_named_twice_counts_once() -> None:
    assert keys(secret=FIRST, former_secrets=[SECOND, FIRST, SECOND]) == Keys(FIRST, (SECOND,))


def test_without_a_key_nothing_starts() -> None:
    assert "PULSEBOARD_AUTH_SECRET" in refusal()


WEAK = [
    "fewer than 32",
    "x" * 40,
    "topsecret" * 5,
    "0123456789abcdef" * 2,
    "passwordpasswordpasswordpassword1",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    f"CHANGEME-{secrets.token_hex(16)}",
    "please change me, this is only an example",
]


@pytest.mark.parametrize("weak", WEAK)
def test_a_short_default_or_easy_key_is_refused_in_one_line_that_does_not_tell_it(
    tmp_path: Path, weak: str
) -> None:
    path = written(tmp_path / "key", weak)
    for told in (
        refusal(secret=weak),
        refusal(secret_file=path),
        refusal(secret=FIRST, former_secrets=[weak.replace(",", "")]),
        refusal(secret=FIRST, former_secret_files=[path]),
    ):
        assert weak not in told
        assert "\n" not in told
        assert "auth." in told


def test_a_random_key_is_good_in_whatever_way_it_is_written() -> None:
    for _ in range(1000):
        raw = secrets.token_bytes(16)
        assert hard_to_guess(raw.hex())
        assert hard_to_guess(secrets.token_urlsafe(24))
        assert hard_to_guess(str(int.from_bytes(secrets.token_bytes(32))))


@pytest.mark.parametrize("content", [None, b"\xff" * 40], ids=["missing", "no text"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        written(path, content)
    assert str(path) in refusal(secret_file=str(path))
    assert str(path) in refusal(secret=FIRST, former_secret_files=[str(path)])


def test_a_former_key_with_a_comma_needs_a_file(tmp_path: Path) -> None:
    with_comma = f"{SECOND},{THIRD}"
    assert "auth.former_secrets" in refusal(secret=FIRST, former_secrets=[with_comma])
    path = written(tmp_path / "key", with_comma)
    assert keys(secret=FIRST, former_secret_files=[path]).former == (with_comma,)


def test_keys_do_not_show_when_they_are_printed() -> None:
    shown = repr(keys(secret=FIRST, former_secrets=[SECOND]))
    assert FIRST not in shown
    assert SECOND not in shown
