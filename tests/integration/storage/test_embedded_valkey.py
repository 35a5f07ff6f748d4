"""Valkey of our own: starts, stops, crashes, and folders in a bad state."""

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from support.processes import ordinary_user, python_environment, silent_server

from core.errors import StartupError
from storage.embedded import EmbeddedValkey
from storage.embedded.child import working_in
from storage.redis import connect

SUPERVISOR = """
import asyncio, pathlib, sys
from storage.embedded import EmbeddedValkey
async def main():
    server = EmbeddedValkey(pathlib.Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await server.wait()
asyncio.run(main())
"""


def arguments_of(server: EmbeddedValkey) -> bytes:
    """What everybody can see of it."""
    return Path(f"/proc/{server.pid}/cmdline").read_bytes()


async def put(url: str, value: str) -> None:
    client = await connect(url, 10)
    await client.set("kept", value)
    await client.execute_command("WAITAOF", 1, 0, 5_000)
    await client.aclose()


async def get(url: str) -> str | None:
    client = await connect(url, 10)
    value = await client.get("kept")
    await client.aclose()
    return value.decode() if value else None


async def test_a_new_folder_becomes_a_server_that_only_its_user_can_read(tmp_path: Path) -> None:
    data = tmp_path / 'some "where"' / "new"
    server = EmbeddedValkey(data)
    url = await server.start()
    try:
        await put(url, "7")
        assert urlsplit(url).hostname == "127.0.0.1"
        async with Redis(port=urlsplit(url).port) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
        assert str(urlsplit(url).password).encode() not in arguments_of(server)
    finally:
        await server.stop()
    for path in (data, *data.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_a_restart_keeps_data_and_address(valkey: EmbeddedValkey) -> None:
    first = await valkey.start()
    await put(first, "7")
    await valkey.stop()
    await valkey.stop()
    assert await valkey.start() == first
    assert await get(first) == "7"


async def test_it_takes_another_port_when_its_own_is_taken(valkey: EmbeddedValkey) -> None:
    first = await valkey.start()
    await valkey.stop()
    with silent_server(urlsplit(first).port or 0):
        second = await valkey.start()
        assert urlsplit(second).port != urlsplit(first).port
        assert await get(second) is None


async def test_it_recovers_after_sigkill(valkey: EmbeddedValkey) -> None:
    url = await valkey.start()
    await put(url, "7")
    assert valkey.pid
    os.kill(valkey.pid, signal.SIGKILL)
    assert await asyncio.wait_for(valkey.wait(), 10) == -signal.SIGKILL
    await valkey.stop()
    assert await get(await valkey.start()) == "7"


async def test_a_half_written_end_of_its_file_is_no_obstacle(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    await put(await valkey.start(), "7")
    await valkey.stop()
    (journal,) = (tmp_path / "data" / "valkey" / "store").rglob("*.incr.aof")
    with journal.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nke")
    assert await get(await valkey.start()) == "7"


async def test_a_damaged_file_is_told_with_the_last_lines_of_the_log(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    await put(await valkey.start(), "7")
    await valkey.stop()
    (journal,) = (tmp_path / "data" / "valkey" / "store").rglob("*.incr.aof")
    journal.write_bytes(b"\0" * 64 + journal.read_bytes())
    with pytest.raises(StartupError, match="Bad file format reading the append only file"):
        await valkey.start()


async def test_a_second_start_on_the_same_folder_names_the_first(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    url = await valkey.start()
    with pytest.raises(StartupError, match=f"is in use by the process with pid {os.getpid()}"):
        await EmbeddedValkey(tmp_path / "data").start()
    assert await get(url) is None


async def test_the_server_of_a_killed_supervisor_is_ended_first(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SUPERVISOR,
        str(tmp_path / "data"),
        stdout=asyncio.subprocess.PIPE,
        # Without setpriv nobody tells the server that its supervisor is gone.
        env=python_environment(PATH=""),
    )
    assert supervisor.stdout
    server = int(await supervisor.stdout.readline())
    supervisor.kill()
    await supervisor.wait()
    assert working_in(tmp_path / "data" / "valkey" / "store") == [server]
    assert await get(await valkey.start()) is None
    assert working_in(tmp_path / "data" / "valkey" / "store") == [valkey.pid] != [server]


async def test_a_folder_without_rights_is_named_with_the_user(closed_folder: Path) -> None:
    with ordinary_user(), pytest.raises(StartupError, match=r"Permission denied \(as user "):
        await EmbeddedValkey(closed_folder / "data").start()
