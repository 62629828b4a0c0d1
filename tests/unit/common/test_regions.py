"""Codes of regions against ISO 3166-1 and Unicode's list of territories."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from services.common import regions
from services.common.regions import COUNTRIES, is_region, subdivisions
from tests.testdata import data_path

REGIONS = Path(regions.__file__).parent / "regions_data" / "subdivisions.txt"


@pytest.mark.parametrize(
    "code", ["DE", "GB", "US-CA", "GB-ENG", "FR-2A", "CN-BJ", "EU", "ZZ", "XK", "AA", "QM"]
)
def test_regions(code: str) -> None:
    assert is_region(code)


# UK is "exceptionally reserved", not assigned; the others are nothing.
@pytest.mark.parametrize(
    "code",
    [
        "",
        "UK",
        "D",
        "de",
        "DEU",
        "US-",
        "US-CALI",
        "UK-ENG",
        "EU-X",
        "US-ZZ",
        "GB-LON",
        "DE-BE ",
        "us-ca",
        "DE-",
        "-",
        "US-CA-LA",
        "XK-01",
        "QA1",
        "ÖÖ",
        "DE\n",
    ],
)
def test_no_regions(code: str) -> None:
    assert not is_region(code)


# ISO's online browsing platform: so many states and the like as each country has.
@pytest.mark.parametrize(
    ("country", "number"), [("US", 57), ("CA", 13), ("DE", 16), ("AT", 9), ("JP", 47), ("IN", 36), ("BR", 27)]
)
def test_subdivisions_of_countries(country: str, number: int) -> None:
    now = REGIONS.read_text().partition("withdrawn")[0]
    (line,) = [one for one in now.splitlines() if one.startswith(f"{country} ")]
    assert len(line.split()) - 1 == number


def test_every_subdivision_is_of_a_country_and_well_formed() -> None:
    assert {code[:2] for code in subdivisions()} <= COUNTRIES
    assert all(re.fullmatch(r"[A-Z]{2}-[A-Z0-9]{1,3}", code) for code in subdivisions())
    # Withdrawn in 2016 and 2017, and still what older data say.
    assert {"FR-A", "CN-11"} <= subdivisions()


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
