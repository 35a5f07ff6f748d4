"""Measures whether time tells who has an account: registration, sign-in and forgotten passwords.

``python -m bench.timing`` starts PostgreSQL (with everything it writes on the disk before it answers),
Valkey and the API, asks for addresses that have an account and such that have none in a random order,
each from a network address of its own, and compares the medians. It fails where they are further apart
than `BOUND`.
"""

import argparse
import asyncio
import os
import random
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
from bench.api import answering, free_port, stopped
from bench.program import BenchError
from core.bootstrap import migrate, open_database
from core.clock import SystemClock, new_id
from core.config import Config, load
from services.passwords import Passwords
from storage.base import User
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.postgres import PostgresUsers

RESULT = Path(__file__).parent / "results" / "timing.json"
PASSWORD = "tangerine lamp over seven rivers"
TRIES = 200
# Milliseconds between the medians of what must not be told apart.
BOUND = 5.0

KNOWN, UNKNOWN, FLOODED = "known", "unknown", "known, enough mails"


def body(action: str, kind: str, number: int) -> dict[str, str]:
    """What is sent."""
    email = {
        KNOWN: f"{action}{number}@known.example.com",
        UNKNOWN: f"{action}{number}@unknown.example.com",
        FLOODED: f"{action}@flooded.example.com",
    }[kind]
    if action == "forgot":
        return {"email": email}
    return {"email": email, "password": PASSWORD if action == "register" else "a wrong password"}


PATHS = {"register": "/auth/register", "login": "/auth/login", "forgot": "/auth/password/forgot"}
KINDS = {
    "register": (KNOWN, UNKNOWN, FLOODED),
    # Ten attempts on one account and it is throttled, known or not.
    "login": (KNOWN, UNKNOWN),
    "forgot": (KNOWN, UNKNOWN, FLOODED),
}


@asynccontextmanager
async def running(folder: Path, tries: int) -> AsyncIterator[str]:
    """The API, with accounts; yields its address."""
    async with AsyncExitStack() as stack:
        postgres, valkey = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
        settings = {"PULSEBOARD_DATABASE_DSN": await postgres.start()}
        stack.push_async_callback(postgres.stop)
        settings["PULSEBOARD_REDIS_URL"] = await valkey.start()
        stack.push_async_callback(valkey.stop)
        port = free_port()
        settings |= {
            "PULSEBOARD_HTTP_PORT": str(port),
            "PULSEBOARD_HTTP_RATE": "0",
            "PULSEBOARD_HTTP_TRUSTED_PROXIES": "127.0.0.0/8",
            "PULSEBOARD_AUTH_SECRET": "Nq7vK2xR9mT4wZ8pL3sY6bH1cJ5gD0fA",
        }
        config = load(environ=settings)
        await migrate(config)
        await make_accounts(config, tries)
        log = stack.enter_context((folder / "api.log").open("wb"))
        api = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "core.cli", "api", env={**os.environ, **settings}, stderr=log
        )
        stack.push_async_callback(stopped, api)
        url = f"http://127.0.0.1:{port}"
        await answering(f"{url}/readyz")
        yield url


async def make_accounts(config: Config, tries: int) -> None:
    """Accounts for every known address."""
    passwords = Passwords(config.auth.argon2_memory, config.auth.argon2_time, 1)
    password_hash = await passwords.hash(PASSWORD)
    passwords.close()
    async with open_database(config) as pool:
        users = PostgresUsers(pool)
        for email in [
            body(action, kind, number)["email"]
            for action in PATHS
            for kind in (KNOWN, FLOODED)
            for number in range(tries if kind == KNOWN else 1)
        ]:
            await users.add(
                User(
                    user_id=new_id(),
                    email=email,
                    display_name="Bench",
                    password_hash=password_hash,
                    created_at=SystemClock().now(),
                )
            )


async def measure(url: str, action: str, tries: int, rng: random.Random) -> dict[str, list[float]]:
    """Milliseconds of each try, by kind."""
    kinds = KINDS[action]
    order = [(kind, number) for kind in kinds for number in range(tries)]
    rng.shuffle(order)
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30) as client:
        if FLOODED in kinds:
            for _ in range(4):
                await ask(client, action, FLOODED, 0, rng)
        for kind, number in order:
            found[kind].append(await ask(client, action, kind, number, rng))
    return found


async def ask(client: httpx.AsyncClient, action: str, kind: str, number: int, rng: random.Random) -> float:
    """Milliseconds until the answer.

    Raises:
        BenchError: it is not the usual one.
    """
    address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"
    started = time.perf_counter()
    answer = await client.post(
        PATHS[action], json=body(action, kind, number), headers={"X-Forwarded-For": address}
    )
    elapsed = (time.perf_counter() - started) * 1000
    if answer.status_code != (401 if action == "login" else 202):
        raise BenchError(f"{action} was answered {answer.status_code}: {answer.text}")
    return elapsed


async def run(tries: int, seed: int) -> dict[str, Any]:
    """Measure everything."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="pulseboard-timing-") as folder:
        async with running(Path(folder), tries) as url:
            found = {action: await measure(url, action, tries, rng) for action in PATHS}
    report: dict[str, Any] = {}
    for action, kinds in found.items():
        medians = {kind: statistics.median(values) for kind, values in kinds.items()}
        report[action] = {
            "median_ms": medians,
            "difference_ms": max(medians.values()) - min(medians.values()),
        }
    return report


def main() -> int:
    """Measure, print, and tell by the exit code whether the bound holds."""
    parser = argparse.ArgumentParser(description="Does time tell who has an account?")
    parser.add_argument("--tries", type=int, default=TRIES, help="requests of each kind")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the order")
    parser.add_argument("--save", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    report = asyncio.run(run(options.tries, options.seed))
    print(f"{options.tries} tries of each kind, seed {options.seed}")
    for action, figures in report.items():
        medians = ", ".join(f"{kind} {value:.2f} ms" for kind, value in figures["median_ms"].items())
        print(f"{action}: {medians}: {figures['difference_ms']:.2f} ms apart (bound {BOUND:.0f})")
    if options.save:
        result = {
            "machine": machine.describe(),
            "tries": options.tries,
            "seed": options.seed,
            "actions": report,
        }
        RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return int(any(figures["difference_ms"] >= BOUND for figures in report.values()))


if __name__ == "__main__":
    sys.exit(main())
