"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version


def version() -> str:
    """The version, as in the package's metadata; "0+unknown" when run without being installed."""
    try:
        return distribution_version("pulseboard")
    except PackageNotFoundError:
        return "0+unknown"
