"""The declared requirements and the lock files agree."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = ("runtime", "dev")
PACKAGES = ("core", "ext", "services", "storage")
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    """The versions of a lock file by package."""
    text = (ROOT / f"requirements/{name}.lock").read_text("utf-8")
    return {canonicalize_name(package): version for package, version in LOCKED.findall(text)}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, those of included groups too."""
    found: list[Requirement] = []
    for entry in project()["dependency-groups"][name]:
        found += [Requirement(entry)] if isinstance(entry, str) else group(entry["include-group"])
    return found


@pytest.mark.parametrize(("lock", "extra"), [("runtime", "build"), ("dev", "dev")])
def test_a_lock_satisfies_what_is_declared(lock: str, extra: str) -> None:
    versions = locked(lock)
    declared = [Requirement(text) for text in project()["project"]["dependencies"]]
    declared += [Requirement(text) for text in project()["build-system"]["requires"]]
    unsatisfied = [
        str(requirement)
        for requirement in declared + group(extra)
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), ""))
    ]
    assert unsatisfied == [], "run `make lock`"


def test_the_development_lock_contains_the_runtime_lock() -> None:
    assert locked("runtime").items() <= locked("dev").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.lock").read_text("utf-8")
    entries = re.split(r"\n(?=[A-Za-z])", re.sub(r"(?m)^\s*#.*\n", "", text))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_says_nothing_about_where_packages_come_from(lock: str) -> None:
    assert "://" not in (ROOT / f"requirements/{lock}.lock").read_text("utf-8")


def test_picows_is_pinned_exactly_and_equally_for_building_and_running() -> None:
    def pin(requirements: list[str]) -> list[str]:
        return [text for text in requirements if Requirement(text).name == "picows"]

    building = pin(project()["build-system"]["requires"])
    assert building == pin(project()["project"]["dependencies"])
    assert [str(Requirement(text).specifier)[:2] for text in building] == ["=="]


def imported(folders: Iterable[str]) -> set[str]:
    """The top-level names of everything that Python sources below `folders` import."""
    names: set[str] = set()
    for folder in folders:
        for path in ROOT.glob(f"{folder}/**/*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names


@pytest.mark.parametrize(
    ("folders", "groups"), [(PACKAGES, []), ((*PACKAGES, "tests", "scripts"), ["test", "build"])]
)
def test_what_is_imported_is_declared(folders: Iterable[str], groups: list[str]) -> None:
    """Not only installed because something else happens to need it."""
    declared = {canonicalize_name(Requirement(text).name) for text in project()["project"]["dependencies"]}
    for name in groups:
        declared |= {canonicalize_name(requirement.name) for requirement in group(name)}
    owners = packages_distributions()
    undeclared = {
        name
        for name in imported(folders)
        # What no distribution owns is a module of ours: a package, a test helper, a script.
        if name in owners
        and name not in PACKAGES
        and declared.isdisjoint(canonicalize_name(owner) for owner in owners[name])
    }
    assert undeclared == set()
