"""Short forms of the benches: that they work, not how fast anything is."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[[Path], dict[str, Any]]


def test_every_scenario_measures_ours_beside_others(run_module: Run, result_in: Read, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_module("bench.run", "--size", "short", "--no-install", "--out", out)
    assert done.returncode == 0, done.stderr
    result = result_in(out)
    assert {"cpu", "cores", "kernel", "python", "libraries", "commit", "date"} <= set(result["machine"])
    for name, scenario in result["scenarios"].items():
        assert scenario["checks"], name
        assert any(target.startswith("Pulseboard") for target in scenario["series"]), name
        if name not in ("memory", "churn"):
            assert all(spread["low"] > 0 for spread in scenario["series"].values()), scenario
    for name, beside in (("handshakes", "picows"), ("echo", "C epoll"), ("beats", "picows")):
        assert beside in result["scenarios"][name]["series"]
    assert result["scenarios"]["idle"]["details"]["pings_answered"] > 0
    assert result["scenarios"]["beats"]["details"]["records_dropped"] == 0


def test_an_unknown_scenario_is_refused(run_module: Run) -> None:
    done = run_module("bench.run", "--only", "echo,nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_many_connections_are_held_and_all_hear_the_broadcasts(
    run_module: Run, result_in: Read, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    options = ("--connections", "5000", "--hold", "3", "--ping", "1", "--broadcast-every", "1", "--out", out)
    done = run_module("bench.million", *options)
    assert done.returncode == 0, done.stderr
    held = result_in(out)["held"]
    assert (held["open"], held["lost"]) == (5000, 0)
    assert held["pings"] > 0
    assert [one["reached"] for one in held["broadcasts"]] == [5000] * len(held["broadcasts"])
    assert len(held["broadcasts"]) >= 2


def test_limits_that_are_too_low_are_named_with_their_remedy(run_module: Run) -> None:
    done = run_module("bench.million", "--connections", "500000000", "--check")
    assert done.returncode == 1
    assert "fs.file-max is" in done.stderr
    assert "sysctl -w fs.file-max=" in done.stderr
    assert "MemAvailable is" in done.stderr


def test_the_page_shows_the_recorded_results(run_module: Run) -> None:
    done = run_module("bench.report", "--check")
    assert done.returncode == 0, done.stderr
