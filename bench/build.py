"""Compiles the programs of the benches when their sources have changed, into `build/bench`."""

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from bench.program import BenchError

HERE = Path(__file__).parent
CACHE = HERE.parent / "build" / "bench"


def c_program(source: str) -> Path:
    """The program made of `source`, a C file below `bench/`.

    Raises:
        BenchError: the compiler is missing or refuses.
    """
    path = HERE / source
    flags = ["-O2", "-Wall", "-Wextra"]
    target = CACHE / f"{path.stem}-{_fingerprint(path, *flags)}"
    if not target.exists():
        _make(target, lambda out: [_compiler(), *flags, "-o", str(out), str(path)])
    return target


def cython_module(source: str) -> Path:
    """The folder of the extension module made of `source`, a `.pyx` file below `bench/`.

    It may cimport picows. The module belongs to the running interpreter.

    Raises:
        BenchError: Cython or the compiler is missing or refuses.
    """
    path = HERE / source
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    folder = CACHE / f"{path.stem}-{_fingerprint(path, suffix, *_versions())}"
    target = folder / f"{path.stem}{suffix}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        c_file = folder / f"{path.stem}.c"
        site = sysconfig.get_path("platlib")
        _make(
            c_file,
            lambda out: [
                *(sys.executable, "-m", "cython", "-3", "-I", site),
                *("--module-name", path.stem, "-o", str(out), str(path)),
            ],
        )
        include = sysconfig.get_path("include")
        _make(
            target,
            lambda out: [
                *(_compiler(), "-O3", "-shared", "-fPIC", f"-I{include}"),
                *("-o", str(out), str(c_file)),
            ],
        )
    return folder


def _versions() -> list[str]:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and needed only here

    return [version("picows"), version("Cython")]


def _compiler() -> str:
    return os.environ.get("CC", "cc")


def _fingerprint(path: Path, *more: str) -> str:
    return hashlib.sha256(path.read_bytes() + "\0".join(more).encode()).hexdigest()[:16]


def _make(target: Path, command: Callable[[Path], list[str]]) -> None:
    """Run the command that writes `target`; what is cut short leaves nothing behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{os.getpid()}-{target.name}")
    line = command(unfinished)
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{line[0]}: {error}") from error
    if done.returncode:
        raise BenchError(f"{' '.join(line)}:\n{done.stderr or done.stdout}")
    unfinished.replace(target)
