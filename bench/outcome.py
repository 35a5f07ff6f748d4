"""What a scenario finds out, and how it compares with what was wanted."""

from typing import Any

from msgspec import Struct

from bench.measure import Spread

OURS = "Pulseboard"

LOWER = "lower"
HIGHER = "higher"


class Check(Struct, frozen=True, kw_only=True):
    """A figure, the least that is asked of it (`bar`) and what was aimed at.

    `verdict` is "aim" or "bar" for what was reached, or "missed".
    """

    figure: str
    value: float
    unit: str
    better: str
    bar: float
    aim: float | None
    verdict: str


def check(
    figure: str, value: float, unit: str, *, better: str, bar: float, aim: float | None = None
) -> Check:
    """Judge a figure."""

    def reaches(mark: float) -> bool:
        return value <= mark if better == LOWER else value >= mark

    verdict = "aim" if aim is not None and reaches(aim) else "bar" if reaches(bar) else "missed"
    return Check(
        figure=figure,
        value=float(f"{value:.4g}"),
        unit=unit,
        better=better,
        bar=bar,
        aim=aim,
        verdict=verdict,
    )


class Outcome(Struct, frozen=True, kw_only=True):
    """A scenario's result: one `series` a chart (name to measurements), the checks, and the rest."""

    title: str
    unit: str
    better: str
    series: dict[str, Spread]
    checks: list[Check]
    details: dict[str, Any] = {}
