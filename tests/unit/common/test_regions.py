"""Codes of regions against ISO 3166-1 and Unicode's list of territories."""

from __future__ import annotations

import json

import pytest

from services.common.regions import COUNTRIES, is_region
from tests.testdata import data_path


@pytest.mark.parametrize("code", ["DE", "GB", "US-CA", "GB-ENG", "FR-2A", "EU", "ZZ", "XK", "AA", "QM"])
def test_regions(code: str) -> None:
    assert is_region(code)


# UK is "exceptionally reserved", not assigned; the others are nothing.
@pytest.mark.parametrize(
    "code", ["", "UK", "D", "de", "DEU", "US-", "US-CALI", "UK-ENG", "EU-X", "QA1", "ÖÖ", "DE\n"]
)
def test_no_regions(code: str) -> None:
    assert not is_region(code)


def test_the_codes_are_those_of_the_standard() -> None:
    # 249 since the last change of ISO 3166-1 (2011, South Sudan; the Netherlands Antilles left in 2010).
    assert len(COUNTRIES) == 249
    text = data_path("regions/territoryContainment.json", "Unicode CLDR's territories").read_text(
        encoding="utf-8"
    )
    groups = json.loads(text)["supplemental"]["territoryContainment"]
    named = {
        code
        for group in groups.values()
        for code in group.get("_contains", [])
        if len(code) == 2 and code.isalpha()
    }
    assert named >= COUNTRIES
