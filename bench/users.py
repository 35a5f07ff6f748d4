"""Lets simulated people and nodes use a whole system for a while: starts the system, then locust.

    python -m bench.users [--users N] [--spawn-rate N] [--seconds N] [--out FOLDER]

Leaves an HTML report and CSV files in bench/results/local/locust.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.others import ENVIRONMENT, make_environment
from bench.program import BenchError
from bench.run import RESULTS

HERE = Path(__file__).parent
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0
# What locust may take beyond the run itself: to start, to stop the users, to write.
LOCUST_EXTRA = 90.0


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.users", description="Let locust use a system.")
    parser.add_argument("--users", type=int, default=200, help="owners and nodes, one to four")
    parser.add_argument("--spawn-rate", type=float, default=10, help="new ones a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "local" / "locust", help="folder of the reports"
    )
    return parser.parse_args(line)


@asynccontextmanager
async def whole_system() -> AsyncIterator[tuple[str, Path]]:
    """`pulseboard up` on free ports and a folder that is removed again.

    Yields the page's address and the folder of mails. The system takes us for a load balancer.

    Raises:
        BenchError: it did not start.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PULSEBOARD_")}
    environ["PULSEBOARD_HTTP_TRUSTED_PROXIES"] = "127.0.0.0/8"
    with tempfile.TemporaryDirectory(prefix="pulseboard-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "core.cli", "up", "--data", folder, "--http-port", "0", "--ws-port", "0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
        reading: asyncio.Task[None] | None = None
        try:
            url = await _announced(process)
            reading = asyncio.create_task(_forget_output(process))
            yield url, Path(folder, "mail")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await (reading or _forget_output(process))
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _announced(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    url, said = "", []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT):
            async for line in process.stdout:
                said.append(line.decode(errors="replace").rstrip())
                found = re.search(r"open +(http://\S+)", said[-1])
                url = found[1] if found else url
                if "Ctrl-C stops it" in said[-1]:
                    return url
    raise BenchError("the system did not start:\n" + "\n".join(said[-20:]))


async def _forget_output(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass


async def run(options: argparse.Namespace) -> int:
    """Start everything, let it run, stop everything; returns locust's exit code.

    Raises:
        BenchError: something did not start.
    """
    reason = make_environment()
    if reason:
        raise BenchError(f"locust cannot be installed: {reason}")
    options.out.mkdir(parents=True, exist_ok=True)
    async with whole_system() as (url, mail):
        print(f"  the system is at {url}", file=sys.stderr)
        locust = await asyncio.create_subprocess_exec(
            *(ENVIRONMENT / "bin" / "python", "-m", "locust", "-f", HERE / "locustfile.py"),
            *(
                "--headless",
                "--loglevel",
                "WARNING",
                "--host",
                url,
                "--only-summary",
                "--exit-code-on-error",
                "1",
            ),
            *("--users", str(options.users), "--spawn-rate", str(options.spawn_rate)),
            *("--run-time", f"{options.seconds}s", "--stop-timeout", "10"),
            *("--html", options.out / "report.html", "--csv", options.out / "run"),
            stdin=asyncio.subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE.parent),
                "PYTHONDONTWRITEBYTECODE": "1",
                "BENCH_MAIL": str(mail),
            },
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(options.seconds + LOCUST_EXTRA):
                return await locust.wait()
        except TimeoutError:
            raise BenchError("locust did not end in time") from None
        finally:
            if locust.returncode is None:
                locust.kill()
                await locust.wait()


def main() -> int:
    """Run and say where the reports are."""
    options = arguments()
    try:
        status = asyncio.run(run(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"report: {options.out / 'report.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
