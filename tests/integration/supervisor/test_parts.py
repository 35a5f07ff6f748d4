"""The supervisor's parts, on real files, sockets and processes."""

import asyncio
import os
import signal
import socket
import stat

import pytest

from core.config import load, settings
from core.errors import StartupError
from core.notify import Notifier
from core.supervisor import children
from core.supervisor.children import Child, Spec, keep_one_old
from core.supervisor.folder import DataFolder
from core.supervisor.messages import Mailbox
from core.supervisor.ports import claim_port
from core.supervisor.up import _environ


class TestDataFolder:
    def test_secrets_are_made_once_and_kept(self, tmp_path):
        with DataFolder(tmp_path / "data") as folder:
            made = folder.secrets()
            assert stat.S_IMODE((folder.path / "secrets.toml").stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        with DataFolder(tmp_path / "data") as folder:
            assert folder.secrets() == made
        assert len(made.auth_secret) >= 32
        assert len(made.demo_password) >= 12

    @pytest.mark.parametrize("content", [b"", b"auth_secret = 1", b"= x", b"\xff", b'auth_secret = "only"'])
    def test_damaged_secrets_are_refused_and_left_alone(self, tmp_path, content):
        path = tmp_path / "secrets.toml"
        path.write_bytes(content)
        with DataFolder(tmp_path) as folder, pytest.raises(StartupError, match=r"secrets\.toml"):
            folder.secrets()
        assert path.read_bytes() == content

    def test_an_open_folder_is_closed_to_others(self, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        folder.chmod(0o755)
        with DataFolder(folder):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0


class TestPorts:
    def test_a_free_port_is_found_for_0(self):
        port = claim_port("127.0.0.1", 0, "nothing")
        assert claim_port("127.0.0.1", port, "nothing") == port

    @pytest.mark.parametrize("shared", [False, True])
    def test_a_port_in_use_is_refused_even_when_its_holder_would_share_it(self, shared):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(StartupError, match=rf"port {port} on 127\.0\.0\.1 is in use: do this"):
                claim_port("127.0.0.1", port, "do this")

    def test_an_address_of_another_machine_is_refused(self):
        with pytest.raises(StartupError, match=r"192\.0\.2\.1"):
            claim_port("192.0.2.1", 0, "nothing")


class TestMailbox:
    async def test_it_tells_who_said_what(self):
        heard = asyncio.Queue()
        mailbox = Mailbox(lambda pid, line: heard.put_nowait((pid, line)))
        try:
            Notifier({"NOTIFY_SOCKET": mailbox.address}).ready()
            async with asyncio.timeout(5):
                assert await heard.get() == (os.getpid(), "READY=1")
        finally:
            mailbox.close()

    async def test_other_users_are_not_heard(self, monkeypatch):
        heard = asyncio.Queue()
        mailbox = Mailbox(lambda pid, line: heard.put_nowait(line))
        try:
            # For the first message we are somebody else than its sender.
            users = iter([os.geteuid() + 1, os.geteuid()])
            monkeypatch.setattr(os, "geteuid", lambda: next(users))
            Notifier({"NOTIFY_SOCKET": mailbox.address}).ready()
            Notifier({"NOTIFY_SOCKET": mailbox.address}).stopping()
            async with asyncio.timeout(5):
                assert await heard.get() == "STOPPING=1"
            assert heard.empty()
        finally:
            mailbox.close()


class TestEnvironment:
    def test_children_get_the_same_configuration(self, monkeypatch):
        monkeypatch.setenv("PULSEBOARD_HTTP_PORT", "1")
        config = load(
            environ={
                "PULSEBOARD_DATA": "/some where/π",
                "PULSEBOARD_WS_ALLOWED_ORIGINS": "https://a.example,https://b.example",
                "PULSEBOARD_AUTH_SECRET": "x" * 40,
                "PULSEBOARD_AUTH_FORMER_SECRETS": f"{'y' * 40},{'z' * 40}",
                "PULSEBOARD_AUTH_FORMER_SECRET_FILES": "/some where/key,/another",
                "PULSEBOARD_NETWORK_BEAT_INTERVAL": "0.1",
                "PULSEBOARD_EARNINGS_USAGE_POOL": "123456789012345",
            }
        )
        environ = _environ(config, "@socket")
        assert environ["NOTIFY_SOCKET"] == "@socket"
        assert load(environ=environ) == config
        assert {setting.env for setting in settings()} <= set(environ)


class TestLogs:
    def test_a_log_beyond_its_limit_keeps_one_old_file(self, tmp_path):
        path = tmp_path / "x.log"
        with path.open("ab") as writer:
            for round_ in (b"first", b"second"):
                writer.write(round_ * 10)
                writer.flush()
                keep_one_old(path, limit=20)
                assert path.stat().st_size == 0
                assert (tmp_path / "x.log.1").read_bytes() == round_ * 10
            writer.write(b"short")
        keep_one_old(path, limit=20)
        assert path.read_bytes() == b"short"

    def test_no_log_is_no_trouble(self, tmp_path):
        keep_one_old(tmp_path / "x.log", limit=0)
        assert list(tmp_path.iterdir()) == []


class Nursery:
    """Runs children the way the supervisor does."""

    def __init__(self, folder):
        self.said = asyncio.Queue()
        self.folder = folder
        self.children = []
        self.tasks = []
        self.mailbox = Mailbox(self.hear)

    def hear(self, pid, line):
        for child in self.children:
            if child.pid == pid:
                child.hear(line)

    def start(self, *arguments, essential=True, patience=5.0):
        spec = Spec(name="child", arguments=arguments, patience=patience, essential=essential)
        environ = dict(os.environ) | {
            "NOTIFY_SOCKET": self.mailbox.address,
            "WATCHDOG_USEC": "200000",
            "PULSEBOARD_DATA": str(self.folder),
        }
        child = Child(spec, environ, self.folder, self.said.put_nowait)
        self.children.append(child)
        self.tasks.append(asyncio.create_task(child.run()))
        return child

    async def next(self):
        async with asyncio.timeout(20):
            return await self.said.get()


# A process that needs no server to be ready: it knocks at a closed port, patiently.
AGENT = ("agent", "--server", "http://127.0.0.1:1", "--enrol", "header.eyJzdWIiOiJ4In0.x", "--count", "2")


@pytest.fixture
async def nursery(tmp_path):
    made = Nursery(tmp_path)
    yield made
    for child in made.children:
        await child.stop()
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    made.mailbox.close()


class TestChild:
    async def test_one_that_never_gets_ready_fails_with_its_own_words(self, nursery):
        nursery.start("worker", "--port", "many")
        with pytest.raises(StartupError, match="child did not start: Invalid value for '--port'"):
            await nursery.tasks[0]

    async def test_one_that_is_not_essential_is_tried_again(self, nursery):
        child = nursery.start("worker", "--port", "many", essential=False)
        for _ in range(2):
            assert "child ended (exit code 2): starting again" in await nursery.next()
        assert child.restarts == 2
        assert not child.ready.is_set()

    async def test_one_that_is_stuck_is_killed_and_started_again(self, nursery, monkeypatch):
        monkeypatch.setattr(children, "WATCHDOG", 0.5)
        child = nursery.start(*AGENT)
        async with asyncio.timeout(20):
            await child.ready.wait()
        child.look_after()
        os.kill(child.pid, signal.SIGSTOP)
        async with asyncio.timeout(10):
            while nursery.said.empty():
                child.look_after()
                await asyncio.sleep(0.01)
        assert "no sign of life" in await nursery.next()
        assert "ended (signal 9)" in await nursery.next()
        async with asyncio.timeout(20):
            await child.ready.wait()

    async def test_one_that_will_not_end_is_killed_when_its_time_is_over(self, nursery):
        child = nursery.start(*AGENT, patience=0.2)
        async with asyncio.timeout(20):
            await child.ready.wait()
        os.kill(child.pid, signal.SIGSTOP)
        async with asyncio.timeout(5):
            await child.stop()
            await nursery.tasks[0]
        assert child.pid == 0

    async def test_one_that_is_stopped_while_it_waits_stays_down(self, nursery):
        child = nursery.start("worker", "--port", "many", essential=False)
        await nursery.next()
        await child.stop()
        async with asyncio.timeout(20):
            await nursery.tasks[0]
        assert child.pid == 0
