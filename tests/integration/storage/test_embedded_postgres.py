"""PostgreSQL of our own: starts, stops, crashes, and folders in a bad state."""

import asyncio
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.processes import ordinary_user, python_environment, silent_server
from support.servers import FAST_SETTINGS
from support.waiting import eventually

from core.errors import StartupError
from storage.embedded import EmbeddedPostgres
from storage.embedded.child import working_in

SUPERVISOR = """
import asyncio, pathlib, sys
from storage.embedded import EmbeddedPostgres
async def main():
    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await server.wait()
asyncio.run(main())
"""


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def start_supervisor(data: Path, **environment: str) -> tuple[asyncio.subprocess.Process, int]:
    """Another process that runs the server; returns it and the server's process id."""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SUPERVISOR,
        str(data),
        stdout=asyncio.subprocess.PIPE,
        env=python_environment(**environment),
    )
    assert supervisor.stdout
    return supervisor, int(await supervisor.stdout.readline())


async def test_a_new_folder_becomes_a_server_that_only_its_user_can_read(tmp_path: Path) -> None:
    data = tmp_path / "some where" / "new" / ("long" * 25)
    server = EmbeddedPostgres(data)
    dsn = await server.start()
    try:
        assert await query(dsn, "SHOW server_encoding") == "UTF8"
        assert await query(dsn, "SELECT 'ä' < 'z'") is False, "texts are compared by code point"
        assert await query(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert await query(dsn, "SHOW fsync") == "on"
        assert urlsplit(dsn).hostname == "127.0.0.1"
    finally:
        await server.stop()
    # Below "postgres" there may be folders of the server itself that a group could be let into.
    for path in (data, *data.rglob("*")):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres) -> None:
    dsn = await postgres.start()
    wrong = dsn.replace(str(urlsplit(dsn).password), "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong, "SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong.replace("pulseboard:", "postgres:"), "SELECT 1")


async def test_a_restart_keeps_data_and_address_and_is_quick(postgres: EmbeddedPostgres) -> None:
    first = await postgres.start()
    await query(first, "CREATE TABLE kept_by_stop AS SELECT 7 AS value")
    await postgres.stop()
    started = asyncio.get_running_loop().time()
    assert await postgres.start() == first
    assert asyncio.get_running_loop().time() - started < 5
    assert await query(first, "SELECT value FROM kept_by_stop") == 7


async def test_stopping_twice_or_before_the_start_does_nothing(postgres: EmbeddedPostgres) -> None:
    await postgres.stop()
    await postgres.start()
    await postgres.stop()
    await postgres.stop()


async def test_a_stop_cuts_open_sessions_and_leaves_no_process(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    connection = await asyncpg.connect(await postgres.start())
    sleeping = asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)"))
    await asyncio.wait_for(postgres.stop(), 10)
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await sleeping
    connection.terminate()
    assert working_in(data / "postgres" / "cluster") == []


async def test_it_takes_another_port_when_its_own_is_taken(postgres: EmbeddedPostgres) -> None:
    first = await postgres.start()
    await postgres.stop()
    with silent_server(urlsplit(first).port or 0):
        second = await postgres.start()
        assert urlsplit(second).port != urlsplit(first).port
        assert await query(second, "SELECT 1") == 1


async def test_it_recovers_after_sigkill(postgres: EmbeddedPostgres) -> None:
    dsn = await postgres.start()
    await query(dsn, "CREATE TABLE kept_by_log AS SELECT 7 AS value")
    assert postgres.pid
    os.kill(postgres.pid, signal.SIGKILL)
    assert await asyncio.wait_for(postgres.wait(), 10) == -signal.SIGKILL
    await postgres.stop()
    assert await query(await postgres.start(), "SELECT value FROM kept_by_log") == 7


async def test_a_stale_pid_file_of_before_a_reboot_is_no_obstacle(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    cluster = data / "postgres" / "cluster"
    # Process 1 always lives, and is not PostgreSQL.
    (cluster / "postmaster.pid").write_text(f"1\n{cluster}\n1\n5432\n\n127.0.0.1\n\nready   \n")
    assert await query(await postgres.start(), "SELECT 1") == 1


async def test_a_second_start_on_the_same_folder_names_the_first(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    with pytest.raises(
        StartupError, match=rf"{data}/postgres: is in use by the process with pid {os.getpid()}"
    ):
        await EmbeddedPostgres(data).start()
    assert await query(dsn, "SELECT 1") == 1, "the first is not disturbed"


async def test_the_server_ends_with_a_killed_supervisor(postgres: EmbeddedPostgres, data: Path) -> None:
    supervisor, server = await start_supervisor(data)
    with pytest.raises(StartupError, match=f"pid {supervisor.pid}"):
        await postgres.start()
    supervisor.kill()
    await supervisor.wait()

    async def is_gone() -> bool:
        return server not in working_in(data / "postgres" / "cluster")

    await eventually(is_gone)
    assert await query(await postgres.start(), "SELECT 1") == 1


@pytest.fixture
def path_with(tmp_path: Path) -> Path:
    """A folder of programs; "sh", "true" and "unshare" are there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "true", "unshare"):
        (folder / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return folder


async def test_a_server_that_outlived_its_supervisor_is_ended_first(
    postgres: EmbeddedPostgres, data: Path, path_with: Path
) -> None:
    # Without setpriv nobody tells the server that its supervisor is gone.
    supervisor, server = await start_supervisor(data, PATH=str(path_with))
    supervisor.kill()
    await supervisor.wait()
    assert server in working_in(data / "postgres" / "cluster")
    assert await query(await postgres.start(), "SELECT 1") == 1
    assert server not in working_in(data / "postgres" / "cluster")


async def test_an_unfinished_cluster_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="initdb did not end within"):
        await EmbeddedPostgres(tmp_path, start_timeout=0.05).start()
    cluster = tmp_path / "postgres" / "cluster"
    (cluster / "half").mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres(tmp_path, settings=FAST_SETTINGS)
    assert await query(await server.start(), "SELECT 1") == 1
    await server.stop()
    assert not (cluster / "half").exists()


async def test_a_cluster_that_was_in_use_is_never_made_again(postgres: EmbeddedPostgres, data: Path) -> None:
    (data / "postgres" / "complete").unlink()
    with pytest.raises(StartupError, match=r"has been in use, but .*/complete is missing"):
        await postgres.start()
    (data / "postgres" / "complete").write_text("yes")
    assert await query(await postgres.start(), "SELECT 1") == 1


async def test_a_failed_start_tells_the_last_lines_of_the_log_and_frees_the_folder(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    with pytest.raises(StartupError, match='invalid value for parameter "shared_buffers"'):
        await EmbeddedPostgres(data, settings={"shared_buffers": "plenty"}).start()
    assert await query(await postgres.start(), "SELECT 1") == 1


async def test_a_folder_without_rights_is_named_with_the_user(closed_folder: Path) -> None:
    denied = rf"{closed_folder}.*: Permission denied \(as user "
    with ordinary_user(), pytest.raises(StartupError, match=denied):
        await EmbeddedPostgres(closed_folder / "data").start()


async def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StartupError, match=r"data.*: (Not a directory|File exists) \(as user "):
        await EmbeddedPostgres(tmp_path / "data").start()


def without_namespaces(place: Path, programs: Path) -> None:
    place.chmod(0o700)
    (programs / "unshare").unlink()
    (programs / "setpriv").symlink_to(shutil.which("setpriv") or "setpriv")


def owner(path: Path) -> str:
    return path.owner()


async def test_it_runs_for_root_also_where_user_namespaces_are_forbidden(
    tmp_path: Path, path_with: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The folder and perhaps the programs lie where only root gets to.
    without_namespaces(tmp_path, path_with)
    monkeypatch.setenv("PATH", str(path_with))
    data = tmp_path / "data"
    server = EmbeddedPostgres(data, settings=FAST_SETTINGS)
    expected = "nobody" if os.geteuid() == 0 else owner(tmp_path)
    assert await query(await server.start(), "SELECT 1") == 1
    assert owner(data / "postgres" / "cluster") == expected
    await server.stop()
    # Data that belongs to somebody stays theirs, whatever the system allows later.
    monkeypatch.undo()
    assert await query(await server.start(), "SELECT 1") == 1
    # A process that was lent a right shows as root's.
    assert owner(Path(f"/proc/{server.pid}")) in (expected, "root")
    await server.stop()


async def test_root_is_told_when_nobody_can_reach_the_folder(
    closed_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("no-programs")))
    refusal = (
        "user nobody cannot reach .*: run as an ordinary user" if os.geteuid() == 0 else "Permission denied"
    )
    with pytest.raises(StartupError, match=refusal):
        await EmbeddedPostgres(closed_folder / "data").start()
