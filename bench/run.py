"""Runs the scenarios, ours and theirs in turn, and writes what came of it as JSON.

python -m bench.run [--size short|normal|long] [--only NAME,…] [--no-install] [--out FILE] [--seed N]
"""

import argparse
import asyncio
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import machine, others
from bench.lab import LONG, NORMAL, SHORT, Lab
from bench.outcome import Outcome
from bench.program import BenchError

SCENARIOS = ("memory", "handshakes", "echo", "broadcast", "idle", "beats", "churn", "writes", "verify")
RESULTS = Path(__file__).parent / "results"
FILES_NEEDED = 19_000


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="Measure Pulseboard beside others."
    )
    parser.add_argument("--size", choices=(SHORT, NORMAL, LONG), default=NORMAL, help="how much is measured")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, comma-separated")
    parser.add_argument("--no-install", action="store_true", help="install no packages of peers")
    parser.add_argument(
        "--out", type=Path, help="the result's file (bench/results/bench.json for a whole run)"
    )
    parser.add_argument("--seed", type=int, default=20_260_101, help="of the order of the rounds")
    options = parser.parse_args(line)
    options.only = options.only.split(",")
    unknown = set(options.only) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if options.out is None:
        # What is published is whole, and a short run's figures mean little.
        whole = options.size != SHORT and set(options.only) == set(SCENARIOS)
        options.out = RESULTS / ("bench.json" if whole else f"local/{options.size}.json")
    return options


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Carry out the scenarios; returns the whole result.

    Raises:
        BenchError: one of them could not be.
    """
    if options.size != SHORT and machine.open_files() < FILES_NEEDED:
        raise BenchError(
            f"a process may open {machine.open_files()} files, {FILES_NEEDED} are needed: raise `ulimit -Hn`"
        )
    peers = others.prepare(install=not options.no_install)
    for name, reason in peers.missing.items():
        print(f"{name} is not measured: {reason}", file=sys.stderr)
    lab = Lab(options.size, peers, options.seed)
    outcomes: dict[str, Outcome] = {}
    began = time.monotonic()
    for name in options.only:
        print(f"{name}:", file=sys.stderr)
        outcomes[name] = await importlib.import_module(f"bench.scenarios.{name}").run(lab)
    return {
        "machine": machine.describe(),
        "size": options.size,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began),
        "peers": peers,
        "scenarios": outcomes,
    }


def main() -> int:
    """Run, write, show the verdicts."""
    options = arguments()
    try:
        result = asyncio.run(run(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write(options.out, result)
    for outcome in result["scenarios"].values():
        for check in outcome.checks:
            print(f"{check.verdict:>7}  {check.figure}: {check.value:g} {check.unit} (bar {check.bar:g})")
    return 0


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result where it belongs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
