"""Figures for reading: nothing is computed with them."""


def to_milliseconds(us: int | None) -> float | None:
    """Milliseconds, rounded to a tenth; what was not measured stays so."""
    return None if us is None else round(us / 1000, 1)
