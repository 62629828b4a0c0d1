"""Writes docs/features.md from the registry of features: python scripts/features_doc.py [--check]"""

from __future__ import annotations

import sys
from pathlib import Path

from services.scoring import features

PAGE = Path(__file__).resolve().parent.parent / "docs" / "features.md"


def page() -> str:
    """The page."""
    lines = [
        "# Features",
        "",
        "Written by `python scripts/features_doc.py` from `services/scoring/features.py`; a test holds the two together.",
        f"Registry version {features.REGISTRY_VERSION}: {features.WIDTH} features in the order of the models' input and of"
        f" `Decision.numbers` from position 24. The first {features.ANOMALY_FEATURES} feed the anomaly models and the"
        " violation model, the rest the violation model alone.",
        "",
        "| | name | meaning | unit | range | default | from |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, one in enumerate(features.REGISTRY):
        where = f"{one.minimum:g} to {one.maximum:g}"
        lines.append(
            f"| {number} | `{one.name}` | {one.meaning} | {one.unit} | {where} | {one.default:g} | {one.source} |"
        )
    lines += [
        "",
        "## Risk factors of a violation",
        "",
        "| factor | holds where |",
        "|---|---|",
        *(
            f"| `{name}` | `{feature}` above {value:g} |"
            for name, (feature, value) in features.RISK_FACTORS.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
