"""Measures the HTTP API: `GET /me` beside a bare route of the same framework, and beside logins.

``python -m bench.api`` starts PostgreSQL, Valkey, the API as it is run in production (log lines, limits,
security headers and all) and a Litestar application of one route, each a process of its own.
"""

import argparse
import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench import machine
from bench.measure import cpu_seconds
from bench.outcome import HIGHER, LOWER, Check, check
from bench.program import Answer, BenchError, Program
from core.bootstrap import ensure_user, migrate
from core.clock import SystemClock, new_id
from core.config import Config, load
from services.tokens import Tokens
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

PASSWORD = "correct horse battery staple"
RESULT = Path(__file__).parent / "results" / "api.json"
ME, BARE, BARE_QUIET = "GET /me", "bare", "bare without log"
CONNECTIONS = 32
LOGINS = 50
# How often the time beside logins is measured.
PRESSES = 3
START_TIMEOUT = 60.0


class Target:
    """A server, and the client that asks it."""

    def __init__(self, pid: int, client: Program, *requests: str) -> None:
        """`pid` is the server's; the `requests` are sent in turn."""
        self.pid = pid
        self._client = client
        self._requests = requests

    async def ask(self, seconds: float, connections: int = CONNECTIONS, *, pause: float = 0.0) -> Answer:
        """Ask for `seconds`.

        Raises:
            BenchError: an answer was no success.
        """
        command = {
            "requests": self._requests,
            "connections": connections,
            "seconds": seconds,
            "pause": pause,
        }
        line = msgspec.json.encode(command).decode()
        answer = await self._client.ask(line, "asked", seconds + 60)
        if set(answer["statuses"]) != {"200"}:
            raise BenchError(f"answers were not 200 alone: {answer['statuses']}")
        return answer


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(path: str, token: str = "") -> str:
    """A GET request as it is sent."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{authorization}\r\n"


def login(number: int) -> str:
    """A login as it is sent, each from an account and an address of its own."""
    body = msgspec.json.encode({"email": email(number), "password": PASSWORD}).decode()
    return (
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Forwarded-For: 10.0.0.{number}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def email(number: int) -> str:
    """The address of an account."""
    return f"bench{number}@example.com"


@asynccontextmanager
async def running(stack: AsyncExitStack, folder: Path) -> AsyncIterator[tuple[Config, int]]:
    """The stores and the API, until the block ends; yields its process id too."""
    postgres = EmbeddedPostgres(folder / "postgres")
    dsn = await postgres.start()
    stack.push_async_callback(postgres.stop)
    valkey = EmbeddedValkey(folder / "valkey")
    url = await valkey.start()
    stack.push_async_callback(valkey.stop)
    flags: dict[str, Any] = {
        "database.dsn": dsn,
        "redis.url": url,
        "http.port": free_port(),
        "auth.secret": "Nq7vK2xR9mT4wZ8pL3sY6bH1cJ5gD0fA",
        # The load is far above what one caller may send; it is counted all the same.
        "http.rate": 1_000_000.0,
        "http.burst": 1_000_000,
        "http.trusted_proxies": ["127.0.0.0/8"],
    }
    config = load(environ={}, flags=flags)
    await migrate(config)
    for number in range(LOGINS):
        await ensure_user(config, email(number), PASSWORD, "Bench")
    environ = {
        **os.environ,
        **{f"PULSEBOARD_{key.replace('.', '_').upper()}": text(value) for key, value in flags.items()},
    }
    log = stack.enter_context((folder / "api.log").open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.cli", "api", env=environ, stderr=log
    )
    stack.push_async_callback(stopped, process)
    await answering(f"http://127.0.0.1:{config.http.port}/readyz")
    yield config, process.pid


def text(value: Any) -> str:
    """A setting as it stands in the environment."""
    return ",".join(value) if isinstance(value, list) else str(value)


async def stopped(process: asyncio.subprocess.Process) -> None:
    """End a server."""
    process.terminate()
    await process.wait()


async def answering(url: str) -> None:
    """Wait until a server answers.

    Raises:
        BenchError: it does not.
    """
    deadline = time.monotonic() + START_TIMEOUT
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get(url)).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise BenchError(f"{url} does not answer")


async def client_of(stack: AsyncExitStack, port: int) -> Program:
    """A client process for a server of this machine."""
    client = await Program.start("client", sys.executable, "-m", "bench.load.http", "127.0.0.1", str(port))
    stack.push_async_callback(client.stop)
    return client


async def run(seconds: float, rounds: int) -> dict[str, Any]:
    """Measure; returns the whole result."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pulseboard-bench-")))
        config, pid = await stack.enter_async_context(running(stack, folder))
        token = await sign_in(config.http.port)
        me = Target(pid, await client_of(stack, config.http.port), get("/api/v1/me", token))
        targets = {ME: me, BARE: await bare(stack, folder), BARE_QUIET: await bare(stack, folder, "quiet")}
        logins = Target(pid, await client_of(stack, config.http.port), *map(login, range(LOGINS)))
        rates: dict[str, list[float]] = {name: [] for name in targets}
        cpu: dict[str, list[float]] = {name: [] for name in targets}
        for target in targets.values():
            await target.ask(0.5)
        for _ in range(rounds):
            for name, target in targets.items():
                before = cpu_seconds(target.pid)
                answer = await target.ask(seconds)
                cpu[name].append((cpu_seconds(target.pid) - before) / answer["done"] * 1e6)
                rates[name].append(answer["done"] / answer["seconds"])
            told = ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items())
            print(f"  {told}", file=sys.stderr)
        calm, pressed, signed_in = [], [], []
        for _ in range(PRESSES):
            calm.append(await me.ask(seconds * 2, 1, pause=0.002))
            signing_in = asyncio.create_task(logins.ask(seconds * 2 + 2, LOGINS))
            await asyncio.sleep(1.0)
            pressed.append(await me.ask(seconds * 2, 1, pause=0.002))
            signed_in.append(await signing_in)
    check_us = token_check_us()
    checks: list[Check] = [
        check(
            "GET /me against a bare route of the same framework",
            ratio(rates, BARE),
            "×",
            better=HIGHER,
            bar=0.8,
            aim=1.0,
        ),
        check("checking a token", check_us, "µs", better=LOWER, bar=60.0, aim=30.0),
        check(
            f"p99 of GET /me beside {LOGINS} logins, against idle",
            statistics.median(
                busy["p99_us"] / idle["p99_us"] for busy, idle in zip(pressed, calm, strict=True)
            ),
            "×",
            better=LOWER,
            bar=3.0,
        ),
    ]
    return {
        "machine": machine.describe(),
        "checks": checks,
        "requests_per_second": rates,
        "against_bare_without_log": ratio(rates, BARE_QUIET),
        "server_cpu_us": {name: round(statistics.median(found), 1) for name, found in cpu.items()},
        "idle_p99_us": [each["p99_us"] for each in calm],
        "beside_logins_p99_us": [each["p99_us"] for each in pressed],
        "logins_per_second": [each["done"] / each["seconds"] for each in signed_in],
    }


async def bare(stack: AsyncExitStack, folder: Path, *options: str) -> Target:
    """The bare route, running until the stack is left."""
    port = free_port()
    log = stack.enter_context((folder / "bare.log").open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bare", str(port), *options, stdout=log, stderr=log
    )
    stack.push_async_callback(stopped, process)
    await answering(f"http://127.0.0.1:{port}/bare")
    return Target(process.pid, await client_of(stack, port), get("/bare"))


def ratio(rates: dict[str, list[float]], other: str) -> float:
    """`GET /me` against another, round by round, the median."""
    return statistics.median(me / them for me, them in zip(rates[ME], rates[other], strict=True))


async def sign_in(port: int) -> str:
    """An access token."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{port}/api/v1/auth/login", json={"email": email(0), "password": PASSWORD}
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token


def token_check_us(checks: int = 20_000) -> float:
    """Microseconds that the check of one token takes."""
    tokens = Tokens("Nq7vK2xR9mT4wZ8pL3sY6bH1cJ5gD0fA", SystemClock(), 600, 600)
    token, _ = tokens.for_user(new_id(), new_id(), "user")
    began = time.perf_counter()
    for _ in range(checks):
        tokens.verify(token)
    return (time.perf_counter() - began) / checks * 1e6


def main() -> int:
    """Run, write, show the verdicts."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT, help="the result's file")
    options = parser.parse_args()
    try:
        result = asyncio.run(run(options.seconds, options.rounds))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    for each in result["checks"]:
        print(f"{each.verdict:>7}  {each.figure}: {each.value:g} {each.unit} (bar {each.bar:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
