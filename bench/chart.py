"""Bar charts as SVG, readable on light and dark pages."""

from collections.abc import Mapping
from html import escape

from bench.measure import Spread
from bench.outcome import OURS

WIDTH = 720
LABEL_WIDTH = 200
BAR_HEIGHT = 22
GAP = 8
TOP = 40
VALUE_WIDTH = 110

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2937 }
.title { font-weight: 600; font-size: 15px }
.ours { fill: #2563eb } .theirs { fill: #9ca3af } .spread { stroke: #1f2937; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e5e7eb } .ours { fill: #60a5fa } .theirs { fill: #6b7280 } .spread { stroke: #e5e7eb }
}
"""


def bars(title: str, unit: str, series: Mapping[str, Spread]) -> str:
    """A horizontal bar for each median, with a line from the lowest to the highest measurement."""
    longest = max(spread.high for spread in series.values()) or 1.0
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
    height = TOP + len(series) * (BAR_HEIGHT + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(f"{title}, {unit}")}</text>',
    ]
    for number, (name, spread) in enumerate(series.items()):
        top = TOP + number * (BAR_HEIGHT + GAP)
        middle = top + BAR_HEIGHT / 2
        kind = "ours" if name.startswith(OURS) else "theirs"
        # What grew by less than nothing has no bar.
        width, low, high = (max(0.0, value) * scale for value in (spread.median, spread.low, spread.high))
        lines += [
            f'<text x="0" y="{middle + 5:g}">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LABEL_WIDTH}" y="{top}" width="{width:.1f}"'
            f' height="{BAR_HEIGHT}" rx="3"/>',
            f'<line class="spread" x1="{LABEL_WIDTH + low:.1f}" x2="{LABEL_WIDTH + high:.1f}"'
            f' y1="{middle:g}" y2="{middle:g}"/>',
            f'<text x="{LABEL_WIDTH + max(width, high) + 8:.1f}" y="{middle + 5:g}">'
            f"{amount(spread.median)}</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])


def amount(value: float) -> str:
    """A figure with three digits or so, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
