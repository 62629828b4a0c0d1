"""Names of TCF purposes, features and vendors, from the Global Vendor List that is shipped (gvl_data/README.md).

A vendor that the shipped list does not hold has no name here and is no error: lists grow weekly.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

ATTRIBUTION = (
    "Global Vendor List by IAB Europe (Transparency & Consent Framework), CC BY 3.0, "
    "https://vendor-list.consensu.org, reduced to names and purposes"
)
"""To be shown wherever names of the list are shown."""

_FILE = Path(__file__).parent / "gvl_data" / "vendor-list.json"


class VendorList(NamedTuple):
    """The parts of a Global Vendor List that name things."""

    version: int
    policy_version: int
    last_updated: str
    """RFC 3339."""
    purposes: dict[int, str]
    special_features: dict[int, str]
    vendors: dict[int, str]


@lru_cache(maxsize=1)
def shipped() -> VendorList:
    """The list of this release, read once."""
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    return VendorList(
        content["vendorListVersion"],
        content["tcfPolicyVersion"],
        content["lastUpdated"],
        _names(content["purposes"]),
        _names(content["specialFeatures"]),
        _names(content["vendors"]),
    )


def _names(things: dict[str, Any]) -> dict[int, str]:
    return {int(number): thing["name"] for number, thing in things.items()}
