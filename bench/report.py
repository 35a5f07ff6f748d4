"""Writes the measured figures into docs/performance.md and draws the charts beside it.

    python -m bench.report [--check]

The results are bench.json, million.json, monitoring.json, earnings.json and profile.json of bench/results;
what lies between the markers of the page is replaced. With `--check` nothing is written, and a difference is
an error.
"""

import argparse
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from bench.chart import amount, bars
from bench.measure import Spread
from bench.outcome import Check, Outcome
from bench.profile import PARTS, Profile
from bench.run import RESULTS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
# Scenarios whose series compare something.
CHARTED = ("memory", "handshakes", "echo", "broadcast", "beats", "verify")
VERDICTS = {"aim": "aim reached", "bar": "reached", "missed": "**missed**"}
NOTHING = "No result is recorded yet: run `{command}`, then `make bench-report`.\n"
GIB = 2**30
# Of the samples of a profile, for what is named.
LEAST_SHARE = 0.005


def documents() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    page = PAGE.read_text("utf-8")
    generated: dict[Path, str] = {}
    compared = _read("bench.json")
    million = _read("million.json")
    outcomes: dict[str, Outcome] = {}
    if compared:
        outcomes = msgspec.convert(compared["scenarios"], dict[str, Outcome])
        for name in CHARTED:
            if name in outcomes:
                outcome = outcomes[name]
                generated[IMAGES / f"bench-{name}.svg"] = bars(outcome.title, outcome.unit, outcome.series)
    page = _replace(page, "machine", _machine(compared))
    page = _replace(page, "table", _table(outcomes))
    page = _replace(page, "charts", _charts(outcomes))
    page = _replace(page, "million", _million(million))
    page = _replace(page, "monitoring", _monitoring(_read("monitoring.json")))
    page = _replace(page, "earnings", _earnings(_read("earnings.json")))
    page = _replace(page, "profile", _profile(_read("profile.json")))
    generated[PAGE] = page
    return generated


def _read(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path.exists() else None


def _replace(page: str, name: str, text: str) -> str:
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    replaced, count = re.subn(
        pattern, lambda found: found[1] + "\n" + text + "\n" + found[2], page, flags=re.S
    )
    if count != 1:
        raise SystemExit(f"{PAGE.name} must have the markers of {name!r} once")
    return replaced


def _machine(result: dict[str, Any] | None) -> str:
    if result is None:
        return NOTHING.format(command="make bench")
    machine, peers = result["machine"], result["peers"]
    versions = [f"{name} {number}" for name, number in machine["libraries"].items()]
    others = [f"{name} {number}".strip() for name, number in peers["versions"].items()]
    lines = [
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / GIB:.0f} GiB;"
        f" {machine['system']}, Linux {machine['kernel']}",
        f"- Python {machine['python']}, {', '.join(versions)}",
        f"- beside: {', '.join(others)}",
        f"- commit `{machine['commit'][:12]}`, {machine['date'][:10]}, seed {result['seed']},"
        f" {result['seconds']} s in all",
    ]
    lines += [f"- not measured: {name} ({reason})" for name, reason in peers["missing"].items()]
    return "\n".join(lines) + "\n"


def _table(outcomes: dict[str, Outcome]) -> str:
    if not outcomes:
        return NOTHING.format(command="make bench")
    lines = ["| figure | measured | bar | aim | | command |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for name, outcome in outcomes.items():
        for check in outcome.checks:
            sign = "≤" if check.better == "lower" else "≥"
            aim = f"{sign} {amount(check.aim)}" if check.aim is not None else ""
            lines.append(
                f"| {check.figure} | {amount(check.value)} {check.unit} | {sign} {amount(check.bar)} | {aim} "
                f"| {VERDICTS[check.verdict]} | `make bench ARGS='--only {name}'` |"
            )
    return "\n".join(lines) + "\n"


def _charts(outcomes: dict[str, Outcome]) -> str:
    parts = []
    for name in CHARTED:
        if name in outcomes:
            outcome = outcomes[name]
            parts.append(f"![{outcome.title}](images/bench-{name}.svg)\n\n{_series(outcome)}")
    return "\n".join(parts) or NOTHING.format(command="make bench")


def _series(outcome: Outcome) -> str:
    lines = [
        f"| | median, {outcome.unit} | lowest | highest | rounds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(name, spread) for name, spread in outcome.series.items()]
    return "\n".join(lines) + "\n"


def _row(name: str, spread: Spread) -> str:
    figures = " | ".join(amount(value) for value in (spread.median, spread.low, spread.high))
    return f"| {name} | {figures} | {spread.rounds} |"


def _million(result: dict[str, Any] | None) -> str:
    if result is None:
        return NOTHING.format(command="make bench-million")
    held, available = result["held"], result["available_bytes"]
    broadcasts = [f"{one['seconds']:.1f} s" for one in held["broadcasts"]]
    rows = [
        (
            "connections, authenticated, on " + " and ".join(f"`{c}`" for c in result["channels"]),
            f"{held['open']:,}",
        ),
        (
            "held",
            f"{held['seconds']:,.0f} s, pinged every {result['ping_interval']:g} s, {held['pings']:,} pings",
        ),
        ("lost", f"{held['lost']:,}"),
        ("workers, client processes", f"{result['workers']}, {result['clients']}"),
        ("opened in", f"{result['open_seconds']:,.0f} s"),
        ("user memory of all workers, a connection (PSS)", f"{result['pss_per_connection']:,} B"),
        ("the same for each after the first tenth", f"{result['pss_per_further_connection'] or 0:,} B"),
        ("the same from 10 % to 50 %, and from 50 % to 100 %", " and ".join(_slopes(result["growth"]))),
        ("CPU of all workers, a connection", f"{held['workers_cpu_us_per_connection_and_second']:g} µs/s"),
        ("a broadcast to all took", ", ".join(broadcasts)),
        (
            "memory of the machine left, before and at the least",
            f"{available['before'] / GIB:.1f} GiB, {available['lowest'] / GIB:.1f} GiB",
        ),
        ("commit, date", f"`{result['machine']['commit'][:12]}`, {result['machine']['date'][:10]}"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def _monitoring(result: dict[str, Any] | None) -> str:
    if result is None:
        return NOTHING.format(command="make bench-monitoring")
    lines = ["| figure | measured | bar | | command |", "| --- | ---: | ---: | --- | --- |"]
    notes = []
    for part, found in result.items():
        for check in msgspec.convert(found["checks"], list[Check]):
            sign = "≤" if check.better == "lower" else "≥"
            lines.append(
                f"| {check.figure} | {amount(check.value)} {check.unit} | {sign} {amount(check.bar)} "
                f"| {VERDICTS[check.verdict]} | `make bench-monitoring ARGS='--only {part}'` |"
            )
        details, machine = found["details"], found["machine"]
        rounds = f", {details['rounds']} reports of each" if "rounds" in details else ""
        notes.append(
            f"- {part}: {details['nodes']:,} nodes{rounds}, commit `{machine['commit'][:12]}`,"
            f" {machine['date'][:10]}"
        )
    return "\n".join([*lines, "", *notes]) + "\n"


def _earnings(result: dict[str, Any] | None) -> str:
    if result is None:
        return NOTHING.format(command="make bench-earnings")
    lines = ["| figure | measured | bar | |", "| --- | ---: | ---: | --- |"]
    for check in msgspec.convert(result["checks"], list[Check]):
        lines.append(
            f"| {check.figure} | {amount(check.value)} {check.unit} | ≤ {amount(check.bar)} "
            f"| {VERDICTS[check.verdict]} |"
        )
    details, machine = result["details"], result["machine"]
    booked = ", ".join(f"{postings:,} of kind {kind}" for kind, postings in details["booked"].items())
    lines += [
        "",
        f"- {details['nodes']:,} nodes of {details['accounts']:,} people,"
        f" {details['postings']:,} postings before; the two closes booked {booked}",
        f"- commit `{machine['commit'][:12]}`, {machine['date'][:10]}",
    ]
    return "\n".join(lines) + "\n"


def _slopes(growth: list[dict[str, float]]) -> list[str]:
    """Bytes for each further connection, early and late: flat, if memory grows by nothing else."""
    total = growth[-1]["connections"]
    points = [next(one for one in growth if one["connections"] >= total * part) for part in (0.1, 0.5, 1)]
    held = [(one["connections"], one["connections"] * one["pss_per_connection"]) for one in points]
    return [f"{(b[1] - a[1]) / (b[0] - a[0]):,.0f} B" for a, b in pairwise(held) if b[0] > a[0]]


def _profile(result: dict[str, Any] | None) -> str:
    if result is None:
        return NOTHING.format(command="make bench-profile")
    lines = [
        "| work | connections | CPU, ms/s | engine | Python within | Python around | event loop | samples |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    profiles = msgspec.convert(result["profiles"], list[Profile])
    for one in profiles:
        parts = " | ".join(f"{one.by_part[part]:,.2f}" for part in PARTS)
        lines.append(
            f"| {one.work} | {one.connections:,} | {one.ms_per_second:,.1f} | {parts} | {one.samples:,} |"
        )
    lines += ["", "| figure | measured | bar | |", "| --- | ---: | ---: | --- |"]
    for check in msgspec.convert(result["checks"], list[Check]):
        lines.append(
            f"| {check.figure} | {amount(check.value)} {check.unit} | ≤ {amount(check.bar)} "
            f"| {VERDICTS[check.verdict]} |"
        )
    largest = max(profile.connections for profile in profiles)
    lines.append("")
    for one in profiles:
        if one.connections == largest:
            shares = [f"{name} {share:.1%}" for name, share in one.by_file.items() if share >= LEAST_SHARE]
            lines.append(f"- {one.work}, {largest:,} connections, what ran: {', '.join(shares)}")
    machine = result["machine"]
    lines.append(f"- commit `{machine['commit'][:12]}`, {machine['date'][:10]}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    status = 0
    for path, text in documents().items():
        if path.exists() and path.read_text("utf-8") == text:
            continue
        if check:
            print(f"{path.relative_to(ROOT)} is stale: run `make bench-report`", file=sys.stderr)
            status = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
