"""What `make dist` makes: an sdist, and a wheel built from it that works where it is installed."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = {"core", "ext", "services", "storage"}
EXTENSIONS = sorted(path.stem for path in ROOT.glob("ext/*.pyx"))

# The first test that asks for the wheel waits for its compilation.
pytestmark = pytest.mark.timeout(600)


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=580,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def sources() -> list[str]:
    """The files under version control, or about to be."""
    listing = run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"],
        ROOT,
    )
    return [name for name in listing.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, as a fresh clone has them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in sources():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def dist(checkout: Path) -> Path:
    """The folder with the sdist and with the wheel that was built from it."""
    # -O0: these tests are about what is in the wheel, and -O3 takes five times as long.
    run([sys.executable, "-m", "build", "--no-isolation", checkout], checkout, CFLAGS="-O0")
    return checkout / "dist"


@pytest.fixture(scope="session")
def sdist_names(dist: Path) -> set[str]:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (archive,) = dist.glob("*.whl")
    return archive


@pytest.fixture(scope="session")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel; requirements are this one's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel], folder)
    purelib = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    # A path in a .pth file is searched, but .pth files in it are not: an editable Pulseboard stays unseen.
    Path(purelib, "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder / "bin"


def test_the_sdist_holds_what_builds_it(sdist_names: set[str]) -> None:
    needed = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "CHANGELOG.md"}
    needed |= {f"ext/{name}.pyx" for name in EXTENSIONS}
    needed |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("ext/*.pxd")}
    assert needed - sdist_names == set()


def test_the_sdist_holds_no_tests_nor_generated_c(sdist_names: set[str]) -> None:
    strays = {name for name in sdist_names if name.startswith(("tests/", "bench/", "web/"))}
    strays |= {name for name in sdist_names if name.endswith((".c", ".so"))}
    assert strays == set()


def test_the_wheel_holds_every_extension_with_its_stub_and_header(wheel_names: set[str]) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    needed = {f"ext/{name}{suffix}" for name in EXTENSIONS} | {f"ext/{name}.pyi" for name in EXTENSIONS}
    needed |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("ext/*.pxd")}
    assert needed - wheel_names == set()


def test_the_wheel_holds_every_module_and_data_file_of_the_packages(wheel_names: set[str]) -> None:
    ours = {name for name in sources() if name.partition("/")[0] in PACKAGES}
    assert {name for name in ours if name.endswith(".sql")}
    assert "core/http/static/index.html" in ours
    assert ours - wheel_names == set()


def test_the_wheel_marks_every_package_as_typed(wheel_names: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel_names


def test_the_wheel_holds_nothing_but_the_packages_and_its_own_data(wheel_names: set[str]) -> None:
    roots = {name.partition("/")[0] for name in wheel_names}
    version = importlib.metadata.version("pulseboard")
    assert roots == PACKAGES | {f"pulseboard-{version}.dist-info"}
    assert {name for name in wheel_names if name.endswith(".c")} == set()


def test_the_installed_command_works(installed: Path, tmp_path: Path) -> None:
    version = importlib.metadata.version("pulseboard")
    assert version in run([installed / "pulseboard", "version"], tmp_path)


def test_the_installed_packages_are_complete(installed: Path, tmp_path: Path) -> None:
    """Extensions load and data files are found in the environment, not in the checkout."""
    modules = ", ".join([*sorted(PACKAGES - {"ext"}), *(f"ext.{name}" for name in EXTENSIONS)])
    code = (
        f"import {modules}, ext, importlib.resources as resources\n"
        "for package in (core, ext, services, storage): print(package.__file__)\n"
        "page = resources.files('core') / 'http/static/index.html'\n"
        "assert page.read_text('utf-8'), page\n"
    )
    places = run([installed / "python", "-c", code], tmp_path).split()
    assert [place for place in places if not place.startswith(str(installed.parent))] == []


def test_no_other_distribution_owns_our_package_names() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, ())) - {"pulseboard"} for name in PACKAGES} == {
        name: set() for name in PACKAGES
    }
