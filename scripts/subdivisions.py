"""`python -m scripts.subdivisions FOLDER`: writes services/common/regions_data/subdivisions.txt from CLDR.

FOLDER is the unpacked npm package `cldr-core`. See services/common/regions_data/README.md.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "services" / "common" / "regions_data" / "subdivisions.txt"


def by_country(codes: Iterable[str]) -> dict[str, set[str]]:
    """From CLDR's codes (`usca`) to the parts after the country (`CA`), by country (`US`)."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for code in codes:
        found[code[:2].upper()].add(code[2:].upper())
    return found


def listed(contained: Iterable[str], replaced: Iterable[str]) -> str:
    """The content of the file: subdivisions there are, then those that were replaced and are none any more."""
    now, before = by_country(contained), by_country(replaced)
    lines = [f"{country} {' '.join(sorted(now[country]))}" for country in sorted(now)]
    lines.append("withdrawn")
    for country in sorted(before):
        if gone := before[country] - now.get(country, set()):
            lines.append(f"{country} {' '.join(sorted(gone))}")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Reads both files and writes one."""
    supplemental = folder / "supplemental"
    containment = json.loads((supplemental / "subdivisionContainment.json").read_text())["supplemental"]
    contained = [
        code for group in containment["subdivisionContainment"].values() for code in group["_contains"]
    ]
    aliases = json.loads((supplemental / "aliases.json").read_text())["supplemental"]["metadata"]["alias"]
    TARGET.write_text(listed(contained, aliases["subdivisionAlias"]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
