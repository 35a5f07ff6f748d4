"""A profile tells whose time it was, seen at work whose time is known; without perf it says what to do."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[[Path], dict[str, Any]]

NO_PERF = ("perf is missing: install ", "perf may not be used ", "perf record: ")


def test_a_profile_shows_python_where_connections_open_and_none_where_they_are(
    run_module: Run, result_in: Read, tmp_path: Path
) -> None:
    out = tmp_path / "profile.json"
    done = run_module("bench.profile", "--size", "short", "--out", out)
    if done.returncode:
        # Few machines have perf, and some forbid it.
        assert any(f"bench: {reason}" in done.stderr for reason in NO_PERF), done.stderr
        return
    for profile in result_in(out)["profiles"]:
        assert profile["samples"] > 0
        if profile["work"] == "opening":
            assert profile["within_samples"] > 0, profile
        else:
            assert profile["within_samples"] == 0, profile
