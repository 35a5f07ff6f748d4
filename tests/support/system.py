"""The whole system as a newcomer starts it, and a browser to look at it."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Self

import httpx
from support.waiting import eventually

READY = 60.0
# Everything happens often, so that a test sees it happen.
QUICK = {
    "PULSEBOARD_NETWORK_CHALLENGE_INTERVAL": "1.0",
    "PULSEBOARD_NETWORK_BEAT_INTERVAL": "1.0",
    "PULSEBOARD_NETWORK_REPORT_INTERVAL": "0.2",
    "PULSEBOARD_NETWORK_SUMMARY_INTERVAL": "0.5",
    "PULSEBOARD_WS_DRAIN_TIMEOUT": "2.0",
}


def clean_environ() -> dict[str, str]:
    """Our environment without any Pulseboard settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PULSEBOARD_")}


class Command:
    """A `pulseboard` command in a process of its own; what it prints is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._grown = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str, environ: Mapping[str, str] | None = None) -> Self:
        """Run `pulseboard <arguments>`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "core.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**clean_environ(), **(environ or {})},
            start_new_session=True,
        )
        return cls(process)

    async def printed(self, pattern: str, timeout: float = READY) -> re.Match[str]:
        """The first match of `pattern` in what it prints, now or later."""
        async with asyncio.timeout(timeout), self._grown:
            while True:
                text = "\n".join(self.lines)
                match = re.search(pattern, text)
                if match:
                    return match
                assert not self._reader.done(), f"ended without printing {pattern!r}:\n{text}"
                await self._grown.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 40.0) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(timeout):
            await self._reader
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._grown:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._grown.notify_all()
        async with self._grown:
            self._grown.notify_all()


class System:
    """`pulseboard up` on free ports and a folder of its own."""

    def __init__(self, command: Command, url: str, email: str, password: str, data: Path) -> None:
        self.command = command
        self.url = url
        self.email = email
        self.password = password
        self.data = data
        self.http = httpx.AsyncClient(base_url=url, timeout=10, trust_env=False)

    @classmethod
    async def start(cls, data: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Self:
        """Bring everything up and wait until it says so."""
        command = await Command.start(
            "up",
            "--data",
            str(data),
            "--http-port",
            "0",
            "--ws-port",
            "0",
            *arguments,
            environ={**QUICK, **(environ or {})},
        )
        url = await command.printed(r"open +(http://\S+)")
        login = await command.printed(r"sign in +(\S+) +password (\S+)")
        await command.printed(r"Ctrl-C stops it")
        return cls(command, url[1], login[1], login[2], data)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Take everything down; returns the exit code."""
        await self.http.aclose()
        return await self.command.stop(number)

    async def processes(self, kind: str) -> dict[int, dict[str, Any]]:
        """The living processes of a kind as the API tells: metrics by process id."""
        answer = (await self.http.get("/metrics.json")).raise_for_status().json()
        return {
            int(process["metrics"]["pid"]): process["metrics"]
            for process in answer["processes"]
            if process["kind"] == kind
        }

    async def token(self) -> str:
        """An access token of the demo user."""
        login = {"email": self.email, "password": self.password, "cookie": False}
        answer = (await self.http.post("/api/v1/auth/login", json=login)).raise_for_status().json()
        return str(answer["access_token"])

    async def enrolment(self, token: str) -> str:
        """A token with which agents enrol for the user of `token`."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.post("/api/v1/nodes/enrolments", headers=headers)
        return str(answer.raise_for_status().json()["token"])

    async def mailed_link(self, recipient: str) -> str:
        """The link in the newest mail to somebody, now or soon."""
        found: list[str] = []

        async def arrived() -> bool:
            for path in sorted((self.data / "mail").glob("*.eml")):
                mail = message_from_bytes(path.read_bytes(), policy=policy.default)
                body = mail.get_body(("plain",))
                if mail["To"] == recipient and body is not None:
                    found.extend(re.findall(r"http\S+#/\S+", body.get_content()))
            return bool(found)

        await eventually(arrived, timeout=20)
        return found[-1]

    async def ws_port(self) -> int:
        """The port of the workers."""
        return int((await self.http.get("/api/v1/client")).raise_for_status().json()["ws_port"])


def find_chromium() -> str:
    """The browser on this machine; `CHROMIUM` names another."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "no Chromium found: `make test` installs it, or set CHROMIUM to its path"
    return found


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
