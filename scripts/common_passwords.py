"""Packs the list of common passwords: `src/passwords.json` of the npm package @zxcvbn-ts/language-common."""

import json
import lzma
import sys
import unicodedata
from pathlib import Path

TARGET = Path(__file__).parents[1] / "services" / "data" / "common_passwords.txt.xz"


def main() -> None:
    """Read the file that is named, write ours: casefolded, sorted, the same bytes every time."""
    if len(sys.argv) != 2:
        sys.exit("usage: common_passwords.py passwords.json")
    listed = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folded = {unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold()) for word in listed}
    packed = lzma.compress("\n".join(sorted(folded)).encode(), preset=9 | lzma.PRESET_EXTREME)
    TARGET.write_bytes(packed)
    print(f"{len(folded)} passwords, {len(packed)} bytes")


if __name__ == "__main__":
    main()
