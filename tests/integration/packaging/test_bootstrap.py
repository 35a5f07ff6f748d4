"""How `scripts/bootstrap` meets a machine that lacks something. Nothing is installed here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ["bash", "cat", "cut", "dirname", "flock", "grep", "head", "id", "mkdir", "readlink", "rm", "sed"]
TOOLS += ["sha256sum", "sort", "tail"]


class Machine:
    """A folder with a copy of the project, and a PATH that holds only what it is given."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project with a space"
        self.path = folder / "bin"
        self.path.mkdir()
        for name in ("scripts/bootstrap", "pyproject.toml", "setup.py"):
            copy = self.project / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "requirements", self.project / "requirements")
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                self.program(tool, f'exec {found} "$@"')

    def program(self, name: str, script: str) -> None:
        program = self.path / name
        program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        program.chmod(0o755)

    def bootstrap(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.project / "scripts/bootstrap", *arguments],
            env={"PATH": str(self.path), "HOME": str(self.project), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def as_user(machine: Machine) -> None:
    machine.program("id", "echo 1000")


def as_root(machine: Machine) -> None:
    machine.program("id", "echo 0")


def test_a_user_is_told_the_one_line_to_type(machine: Machine) -> None:
    as_user(machine)
    machine.program("apt-get", "exit 99")
    outcome = machine.bootstrap("runtime")
    assert outcome.returncode == 1
    lines = [line.strip() for line in outcome.stderr.splitlines() if "apt-get" in line]
    assert lines == ["sudo apt-get install python3 python3-venv python3-dev make gcc libc6-dev"]
    assert not (machine.project / ".venv").exists()


def test_a_developer_needs_a_browser_too(machine: Machine) -> None:
    as_user(machine)
    machine.program("apt-get", "exit 99")
    assert "gcc libc6-dev chromium" in machine.bootstrap("dev").stderr


def test_a_browser_of_ones_own_is_enough(machine: Machine) -> None:
    as_user(machine)
    machine.program("apt-get", "exit 99")
    machine.program("my-browser", "exit 0")
    browser = str(machine.path / "my-browser")
    assert "gcc libc6-dev\n" in machine.bootstrap("dev", CHROMIUM=browser).stderr


def test_root_installs_what_is_missing_without_being_asked(machine: Machine) -> None:
    as_root(machine)
    machine.program("apt-get", 'echo "$DEBIAN_FRONTEND: $*" >>"$HOME/apt"')
    outcome = machine.bootstrap("runtime")
    # The stand-in installs nothing, so the interpreter is still missing and that is said.
    assert outcome.returncode == 1
    assert "Python >= 3.11 is needed" in outcome.stderr
    assert (machine.project / "apt").read_text("utf-8").splitlines() == [
        "noninteractive: update",
        "noninteractive: install --yes --no-install-recommends"
        " python3 python3-venv python3-dev make gcc libc6-dev",
    ]


def test_a_failing_installation_shows_its_output(machine: Machine) -> None:
    as_root(machine)
    machine.program("apt-get", "echo 'E: no network'; exit 100")
    outcome = machine.bootstrap("runtime")
    assert outcome.returncode == 1
    assert "E: no network" in outcome.stderr


def test_a_system_without_apt_is_told_what_is_missing(machine: Machine) -> None:
    as_root(machine)
    outcome = machine.bootstrap("runtime")
    assert outcome.returncode == 1
    assert "has no apt-get" in outcome.stderr
    assert "gcc" in outcome.stderr


def test_an_interpreter_that_is_too_old_is_passed_over(machine: Machine) -> None:
    as_user(machine)
    machine.program("apt-get", "exit 99")
    machine.program("python3", "echo 3.9")
    assert "python3-venv" in machine.bootstrap("runtime").stderr


def test_a_chosen_interpreter_that_cannot_serve_is_refused(machine: Machine) -> None:
    machine.program("python-old", "echo 3.9")
    outcome = machine.bootstrap("runtime", PYTHON=str(machine.path / "python-old"))
    assert outcome.returncode == 1
    assert "python-old is not a Python >= 3.11" in outcome.stderr


def test_a_broken_environment_is_made_anew(machine: Machine) -> None:
    """An environment that was moved, cut short or lost its interpreter does not stay in the way."""
    for name in ("gcc", "make"):
        machine.program(name, "exit 0")
    broken = machine.project / ".venv/bin/python"
    broken.parent.mkdir(parents=True)
    broken.symlink_to("/nonexistent/python3")
    # A lock that cannot be satisfied stops it right after the environment was made.
    (machine.project / "requirements/runtime.lock").write_text("no-such-package==1.0\n", "utf-8")
    outcome = machine.bootstrap("runtime", PYTHON=sys.executable, PIP_NO_INDEX="1")
    assert "Creating .venv" in outcome.stderr
    assert "No matching distribution" in outcome.stderr
    assert os.access(broken, os.X_OK)
    assert not (machine.project / ".venv/.stamps").exists()


def test_an_unknown_mode_prints_how_to_use_it(machine: Machine) -> None:
    outcome = machine.bootstrap("everything")
    assert outcome.returncode == 2
    assert "scripts/bootstrap runtime" in outcome.stderr
