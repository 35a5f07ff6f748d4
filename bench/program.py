"""Child processes that answer lines on their input with JSON objects on their output."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Self

import msgspec

Answer = dict[str, Any]


class BenchError(Exception):
    """A benchmark could not be carried out; the text says why."""


class Program:
    """One child process. It ends when its input does."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(
        cls, name: str, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> Self:
        """Run `command`."""
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        return cls(name, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, command: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    async def hear(self, event: str, timeout: float) -> Answer:
        """The next answer with this `event`; others on the way are dropped.

        Raises:
            BenchError: it reported an error, ended, or said nothing for `timeout` seconds.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout):
                async for line in self._process.stdout:
                    answer: Answer = msgspec.json.decode(line)
                    if answer["event"] == event:
                        return answer
                    if answer["event"] == "error":
                        raise BenchError(f"{self.name}: {answer['reason']}")
        except TimeoutError:
            raise BenchError(f"{self.name}: no {event!r} within {timeout:g} s") from None
        raise BenchError(f"{self.name}: ended instead of answering {event!r}")

    async def ask(self, command: str, event: str, timeout: float = 60.0) -> Answer:
        """Send a line and wait for its answer."""
        self.tell(command)
        return await self.hear(event, timeout)

    async def stop(self, patience: float = 10.0) -> None:
        """End it: gently, then by force."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(patience):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
