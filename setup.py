"""Builds the Cython extensions of `ext`; everything else is declared in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "freethreading_compatible": False,
}

extensions = [
    Extension(f"ext.{path.stem}", [path.as_posix()], extra_compile_args=["-O3"])
    for path in sorted(Path("ext").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
        # Cython does not notice changed directives by itself.
        force=bool(os.environ.get("PULSEBOARD_FORCE_BUILD")),
    ),
)
