"""The benches, run in the way that people run them: as commands in the repository's folder."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 110.0

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_module() -> Run:
    """Runs `python -m <module> <arguments>` to its end."""

    def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def compiled() -> Callable[[str], Path]:
    """Compiles a C program of the benches; returns where it is."""

    def compile_program(source: str) -> Path:
        code = f"from bench.build import c_program; print(c_program({source!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return Path(done.stdout.strip())

    return compile_program


@pytest.fixture
def result_in() -> Callable[[Path], dict[str, Any]]:
    """Reads a result's file."""

    def read(path: Path) -> dict[str, Any]:
        return dict(json.loads(path.read_text("utf-8")))

    return read
