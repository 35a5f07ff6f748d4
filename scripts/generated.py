"""Writes a generated file, or with ``--check`` fails if the one that stands is stale."""

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def publish(pages: Mapping[str, str], description: str | None) -> int:
    """Write `pages` (path below the repository → text), or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    stale = 0
    for name, text in pages.items():
        path = ROOT / name
        before = path.read_text("utf-8") if path.exists() else ""
        if before == text:
            continue
        if check:
            stale += 1
            sys.stderr.writelines(
                difflib.unified_diff(
                    before.splitlines(keepends=True), text.splitlines(keepends=True), name, "generated"
                )
            )
            print(f"{name} is stale: run `make reference`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if stale else 0
