"""Builds the Cython extensions of `ext`; everything else is declared in pyproject.toml."""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "freethreading_compatible": False,
}


class BuildExtensions(build_ext):
    """Translates and compiles. Other commands, such as making the sdist, need neither."""

    def run(self) -> None:
        """Write the C files, then compile them."""
        from Cython.Build import cythonize  # noqa: PLC0415 - reading metadata must not need it

        translated = cythonize(
            self.extensions,
            compiler_directives=DIRECTIVES,
            nthreads=os.cpu_count() or 1,
            # Cython does not notice changed directives by itself.
            force=bool(os.environ.get("PULSEBOARD_FORCE_BUILD")),
        )
        for extension, c_extension in zip(self.extensions, translated, strict=True):
            extension.sources = c_extension.sources
        super().run()


setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=[
        # CFLAGS of the environment, if there are any, choose the optimisation.
        Extension(
            f"ext.{path.stem}",
            [path.as_posix()],
            extra_compile_args=[] if "CFLAGS" in os.environ else ["-O3"],
        )
        for path in sorted(Path("ext").glob("*.pyx"))
    ],
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
