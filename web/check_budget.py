"""Says what a browser fetches before the page shows, and fails if that is too much.

    python web/check_budget.py FOLDER    # of a built page

Counted is what `index.html` names: scripts with what they import at once, and style sheets; compressed
by gzip, as the API sends them. Pages, languages and fonts come later and do not count.
"""

import gzip
import re
import sys
from pathlib import Path
from typing import Final

BUDGETS: Final = {".js": 120_000, ".css": 30_000}

_NAMED: Final = re.compile(r'(?:src|href)="/([^"]+\.(?:js|css))"')
_IMPORTED: Final = re.compile(r'(?:\bfrom|\bimport)\s*"(\./[^"]+\.js)"')


def first_files(folder: Path) -> set[Path]:
    """The scripts and style sheets of the page at `folder` that a browser needs before it shows."""
    waiting = [folder / name for name in _NAMED.findall((folder / "index.html").read_text())]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".js":
            waiting += [path.parent / name for name in _IMPORTED.findall(path.read_text())]
    return found


def main() -> int:
    """Tell the sums; 1 if one is over its budget."""
    folder = Path(sys.argv[1])
    files = first_files(folder)
    over = False
    for suffix, budget in BUDGETS.items():
        size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files if path.suffix == suffix)
        if not size:
            print(f"web: {folder / 'index.html'} names no {suffix} file", file=sys.stderr)
            return 1
        print(f"web: {size:,} of {budget:,} bytes of {suffix[1:]} before the page shows, compressed")
        over |= size > budget
    if over:
        print("web: that is too much; see what the first page need not have at once", file=sys.stderr)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
