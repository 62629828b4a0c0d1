"""`make geoip`: a folder of places data of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.geoip import WrongFileError, entry_of, install
from services.common.places import MANIFEST, open_places

TestData = Callable[[str, str], Path]


@pytest.fixture
def exits(tmp_path: Path) -> Path:
    path = tmp_path / "exits.txt"
    path.write_text("9.1.1.1\n")
    return path


def test_a_list_replaces_its_kind_and_the_rest_stays(tmp_path: Path, exits: Path) -> None:
    folder = tmp_path / "places"
    install([f"tor={exits}@2026-11-20"], folder)
    places = open_places(folder)
    assert "tor" in places.describe("9.1.1.1").flags
    # A Tor exit and a place in Frankfurt by the shipped data.
    assert places.describe("2.56.10.36").flags == ()
    assert places.describe("92.230.10.20").city == "Frankfurt am Main"
    [tor] = [file for file in places.files if file.kind == "tor"]
    assert (tor.date.isoformat(), tor.stale_after_days) == ("2026-11-20", 7)
    assert "DBIP-LICENSE" in {path.name for path in folder.iterdir()}

    # Again: on top of what is there; nothing of the old folder is left beside it.
    exits.write_text("9.2.2.2\n")
    install([f"tor={exits}"], folder)
    assert open_places(folder).describe("9.1.1.1").flags == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exits.txt", "places"]


def test_a_databases_kind_and_date_are_read_from_it(tmp_path: Path, test_data: TestData) -> None:
    city = test_data("geoip/maxmind_test/GeoIP2-City-Test.mmdb", "MaxMind's test databases")
    kinds = {
        name: entry_of(str(city.with_name(f"{name}.mmdb")))[1]["kind"]
        for name in (
            "GeoIP2-City-Test",
            "GeoIP2-Enterprise-Test",
            "GeoLite2-Country-Test",
            "GeoLite2-ASN-Test",
            "GeoIP2-ISP-Test",
            "GeoIP2-Anonymous-IP-Test",
            "GeoIP-Residential-Proxy-Test",
            "GeoIP2-Connection-Type-Test",
            "GeoIP2-IP-Risk-Test",
        )
    }
    assert list(kinds.values()) == [
        *("city", "city", "country", "network", "network", "anonymous", "residential_proxy", "connection"),
        "anonymous",
    ]
    places = install([str(city)], tmp_path / "places")
    assert places.describe("81.2.69.142").city == "London"
    assert ("GeoLite2 or GeoIP2 data by MaxMind", "https://www.maxmind.com") in places.attributions()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("absent.mmdb", "no file"),
        ("{exits}", "say what kind of list"),
        ("weather={exits}", "is no kind"),
        ("tor={exits}@yesterday", "is no day"),
        ("city={notes}", "no usable MaxMind database"),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    tmp_path: Path, exits: Path, argument: str, message: str
) -> None:
    folder = tmp_path / "places"
    install([f"tor={exits}"], folder)
    (tmp_path / "notes.txt").write_text("no database")
    before = json.loads((folder / MANIFEST).read_text())
    with pytest.raises(WrongFileError, match=message):
        install([argument.format(exits=exits, notes=tmp_path / "notes.txt")], folder)
    assert json.loads((folder / MANIFEST).read_text()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exits.txt", "notes.txt", "places"]
