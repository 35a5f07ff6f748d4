"""The file that keeps a node's key."""

import stat
from uuid import UUID

import pytest

from core.agent.identity import Identity
from core.errors import ConfigError, StartupError

SERVER = "http://localhost:1"
NODE = UUID("01900000-0000-7000-8000-000000000001")


def test_a_new_identity_is_kept_and_found_again(tmp_path):
    path = tmp_path / "agent" / "laptop.json"
    first = Identity.load_or_create(path, SERVER)
    assert first.node_id is None
    first.node_id = NODE
    first.save()
    second = Identity.load_or_create(path, "http://elsewhere:2")
    assert second.public_key == first.public_key
    assert (second.node_id, second.server) == (NODE, SERVER)
    assert second.sign(b"x") == first.sign(b"x")


def test_only_the_owner_can_read_it_and_nothing_else_is_left_behind(tmp_path):
    path = tmp_path / "agent" / "laptop.json"
    Identity.load_or_create(path, SERVER).save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"private_key":"AAAA","server":""}', b"\xff\xfe"])
def test_a_damaged_file_is_refused_by_name_and_left_alone(tmp_path, content):
    path = tmp_path / "laptop.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"laptop\.json"):
        Identity.load_or_create(path, SERVER)
    assert path.read_bytes() == content


def test_a_place_that_cannot_hold_it_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="file"):
        Identity.load_or_create(tmp_path / "file" / "laptop.json", SERVER)
