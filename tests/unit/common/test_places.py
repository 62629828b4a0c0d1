"""Places data: MaxMind's own test databases with their published answers, corrupt files, manifests, freshness."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.common import places as module
from services.common.address_ranges import HOSTING, PROXY, RELAY, SHARED, SPECIAL, TOR, VPN
from services.common.errors import FailedPrecondition, InvalidArgument
from services.common.mmdb import InvalidDatabaseError, open_verified
from services.common.places import (
    DATABASE_TYPES,
    MANIFEST,
    SHIPPED,
    Places,
    anonymity_of,
    asn_of,
    country_of,
    freshness,
    open_places,
    place_of,
    read_manifest,
    version_of,
)
from usher.event.v1 import event_pb2

TestData = Callable[[str, str], Path]


def entry(kind: str, file: str, content: bytes, changes: dict[str, Any]) -> dict[str, Any]:
    told = {
        "kind": kind,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "date": "2026-11-01",
        "stale_after_days": 30,
        "source": "a test",
        "licence": "none",
        "attribution": "",
        "url": "",
    }
    return told | changes


def folder_of(folder: Path, *files: tuple[str, str, bytes], changes: dict[str, Any] | None = None) -> Path:
    """A folder of (kind, file name, content) with a manifest that is right unless `changes` make it wrong."""
    for _, name, content in files:
        (folder / name).write_bytes(content)
    entries = [entry(kind, name, content, changes or {}) for kind, name, content in files]
    (folder / MANIFEST).write_text(json.dumps({"files": entries}))
    return folder


def packed(country: str) -> int:
    return ord(country[0]) << 8 | ord(country[1]) if country else 0


def published(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(first address, record) of the JSON beside a test database; IPv4 is written there as ::a.b.c.d/96+n.

    Its entries were written in their order, so a later prefix replaces what it covers.
    """
    entries = [
        (
            ipaddress.ip_network(prefix, strict=False),
            int(ipaddress.ip_address(prefix.partition("/")[0])),
            record,
        )
        for item in json.loads(path.read_text(encoding="utf-8"))
        for prefix, record in item.items()
    ]
    for position, (net, number, record) in enumerate(entries):
        if any(
            later.version == net.version and net.subnet_of(later)  # type: ignore[arg-type]
            for later, _, _ in entries[position + 1 :]
        ):
            continue
        four = net.version == 4 or (net.prefixlen >= 96 and number >> 32 == 0)
        yield str(ipaddress.IPv4Address(number) if four else ipaddress.IPv6Address(number)), record


@pytest.fixture
def maxmind(test_data: TestData) -> Callable[[str, str], Path]:
    return lambda name, what: test_data(f"geoip/maxmind_test/{name}", what)


def answers(
    tmp_path: Path, maxmind: Callable[[str, str], Path], kind: str, name: str
) -> tuple[Places, list[Any]]:
    database = maxmind(f"{name}.mmdb", "MaxMind's test databases").read_bytes()
    expected = list(published(maxmind(f"{name}.json", "their answers")))
    assert len(expected) >= 4
    return open_places(folder_of(tmp_path, (kind, "x.mmdb.gz", gzip.compress(database)))), expected


@pytest.mark.parametrize(
    "name",
    ["GeoIP2-City-Test", "GeoLite2-City-Test", "GeoIP2-Enterprise-Test", "GeoIP2-Precision-Enterprise-Test"],
)
def test_city_answers_are_maxminds(tmp_path: Path, maxmind: Any, name: str) -> None:
    places, expected = answers(tmp_path, maxmind, "city", name)
    placed = 0
    for address, record in expected:
        row = places.row(address)
        if row[5] & SPECIAL:
            assert row[:5] == (0, 0, 0, 0, 0)
            continue
        location = record.get("location", {})
        radius = location.get("accuracy_radius")
        assert row[0] == packed(record.get("country", {}).get("iso_code", "")), address
        if radius is not None:
            placed += 1
            assert row[1:4] == (round(location["latitude"] * 1e4), round(location["longitude"] * 1e4), radius)
            known = places.describe(address)
            assert known.city == record.get("city", {}).get("names", {}).get("en", "")
    assert placed > 10
    assert not places.unreadable


@pytest.mark.parametrize("name", ["GeoIP2-Country-Test", "GeoLite2-Country-Test"])
def test_country_answers_are_maxminds(tmp_path: Path, maxmind: Any, name: str) -> None:
    places, expected = answers(tmp_path, maxmind, "country", name)
    for address, record in expected:
        row = places.row(address)
        wanted = 0 if row[5] & SPECIAL else packed(record.get("country", {}).get("iso_code", ""))
        assert row[:5] == (wanted, 0, 0, 0, 0), address


@pytest.mark.parametrize("name", ["GeoLite2-ASN-Test", "GeoIP2-ISP-Test", "GeoIP2-Enterprise-Test"])
def test_network_answers_are_maxminds(tmp_path: Path, maxmind: Any, name: str) -> None:
    places, expected = answers(tmp_path, maxmind, "network", name)
    told = 0
    for address, record in expected:
        if not places.row(address)[5] & SPECIAL:
            record = record.get("traits", {}) if "Enterprise" in name else record
            known = places.describe(address)
            assert known.asn == record.get("autonomous_system_number", 0), address
            assert known.organisation == record.get("autonomous_system_organization", "")
            told += bool(known.asn)
    assert told > 10


@pytest.mark.parametrize(
    "name", ["GeoIP2-Anonymous-IP-Test", "GeoIP-Anonymous-Plus-Test", "GeoIP2-IP-Risk-Test"]
)
def test_flags_of_the_anonymous_databases_are_maxminds(tmp_path: Path, maxmind: Any, name: str) -> None:
    places, expected = answers(tmp_path, maxmind, "anonymous", name)
    for address, record in expected:
        named = (
            (HOSTING if record.get("is_hosting_provider") else 0)
            | (VPN if record.get("is_anonymous_vpn") else 0)
            | (TOR if record.get("is_tor_exit_node") else 0)
            | (PROXY if record.get("is_public_proxy") or record.get("is_residential_proxy") else 0)
        )
        wanted = named or (PROXY if record.get("is_anonymous") else 0)
        found = places.row(address)[5]
        if not found & SPECIAL:
            assert found == wanted, address


def test_every_address_of_the_residential_proxy_database_is_a_proxy(tmp_path: Path, maxmind: Any) -> None:
    places, expected = answers(tmp_path, maxmind, "residential_proxy", "GeoIP-Residential-Proxy-Test")
    assert {places.row(address)[5] & (PROXY | SPECIAL) for address, _ in expected} <= {
        PROXY,
        SPECIAL,
        PROXY | SPECIAL,
    }
    assert places.row("6.0.42.17")[5] == PROXY
    assert places.row("6.0.42.18")[5] == 0


def test_cellular_networks_are_shared(tmp_path: Path, maxmind: Any) -> None:
    places, expected = answers(tmp_path, maxmind, "connection", "GeoIP2-Connection-Type-Test")
    kinds = set()
    for address, record in expected:
        if not places.row(address)[5] & SPECIAL:
            kinds.add(record["connection_type"])
            assert places.row(address)[5] == (SHARED if record["connection_type"] == "Cellular" else 0), (
                address
            )
    assert "Cellular" in kinds


def test_an_ipv4_database_is_not_asked_for_ipv6(tmp_path: Path, test_data: TestData) -> None:
    places = open_places()
    # The shipped city database holds IPv4 only; the country database both.
    assert places.row("2001:4860:4860::8888")[0]
    assert places.row("2001:4860:4860::8888")[1:4] == (0, 0, 0)
    assert not places.unreadable


def bad_files() -> list[str]:
    """Named here, so that the run says which file; all of them are asserted to be there."""
    return [
        "GeoIP2-City-Test-Broken-Double-Format.mmdb",
        "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
        "MaxMind-DB-test-broken-pointers-24.mmdb",
        "MaxMind-DB-test-broken-search-tree-24.mmdb",
        "bad-unicode-in-map-key.mmdb",
        "cyclic-data-structure.mmdb",
        "invalid-bytes-length.mmdb",
        "invalid-data-record-offset.mmdb",
        "invalid-map-key-length.mmdb",
        "invalid-string-length.mmdb",
        "libmaxminddb-corrupt-search-tree.mmdb",
        "libmaxminddb-deep-array-nesting.mmdb",
        "libmaxminddb-deep-nesting.mmdb",
        "libmaxminddb-empty-array-last-in-metadata.mmdb",
        "libmaxminddb-empty-map-last-in-metadata.mmdb",
        "libmaxminddb-metadata-marker-only.mmdb",
        "libmaxminddb-offset-integer-overflow.mmdb",
        "libmaxminddb-oversized-array.mmdb",
        "libmaxminddb-oversized-map.mmdb",
        "libmaxminddb-separator-record-max-left.mmdb",
        "libmaxminddb-separator-record-min-left.mmdb",
        "libmaxminddb-separator-record-min-right.mmdb",
        "libmaxminddb-uint64-max-epoch.mmdb",
        "metadata-is-an-uint128.mmdb",
        "unexpected-bytes.mmdb",
    ]


@pytest.mark.parametrize("name", bad_files())
def test_none_of_maxminds_corrupt_databases_is_opened(tmp_path: Path, test_data: TestData, name: str) -> None:
    path = test_data(f"geoip/maxmind_bad/{name}", "MaxMind's corrupt databases")
    assert {item.name for item in path.parent.glob("*.mmdb")} == set(bad_files())
    # With a checksum that is right, plain and packed, as whatever kind it may be taken for.
    for kind in DATABASE_TYPES:
        for file, content in (("x.mmdb", path.read_bytes()), ("x.mmdb.gz", gzip.compress(path.read_bytes()))):
            folder = folder_of(tmp_path, (kind, file, content))
            with pytest.raises(FailedPrecondition, match="no usable MaxMind database"):
                open_places(folder)
            left_out = open_places(folder, leave_out=True)
            assert [one.kind for one, _ in left_out.left_out] == [kind]
            assert left_out.row("1.2.3.4") == left_out.row("9.1.1.1") == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("name", bad_files())
def test_the_walk_finds_the_damage_whatever_the_type_says(test_data: TestData, name: str) -> None:
    path = test_data(f"geoip/maxmind_bad/{name}", "MaxMind's corrupt databases")
    types = frozenset({"test", "geoip", "city"})
    if name in SOUND:
        open_verified(str(path), path.read_bytes(), types, bool).close()
    else:
        with pytest.raises(InvalidDatabaseError):
            open_verified(str(path), path.read_bytes(), types, bool)


SOUND = {
    # Regression tests of a reader that read beyond the metadata's end: the metadata end in an empty list or map, which the
    # specification allows. Both are databases of the type "Test" and are refused for that, and for telling no country.
    "libmaxminddb-empty-array-last-in-metadata.mmdb",
    "libmaxminddb-empty-map-last-in-metadata.mmdb",
}


def test_a_broken_record_is_counted_and_gives_no_place(
    tmp_path: Path, test_data: TestData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def metadata(self) -> Any:
            return type("Metadata", (), {"ip_version": 6})

        def get(self, address: str) -> Any:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "made wrong")

    places = Places([], {"city": Broken(), "country": Broken()}, module.Reputation())  # type: ignore[dict-item]
    assert places.row("8.8.8.8") == (0, 0, 0, 0, 0, 0)
    assert places.unreadable == {"city": 1, "country": 1}


# -- records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({}, (0, 0, 0)),
        # Flat, numbers and texts.
        ({"city": "Bonn", "latitude": 50.73, "longitude": 7.1}, (507_300, 71_000, 50)),
        ({"city": "Bonn", "lat": "50.73", "lng": "7.1"}, (507_300, 71_000, 50)),
        ({"city": "Bonn", "lat": "north", "lng": "7.1"}, (0, 0, 0)),
        ({"city": "Bonn", "lat": "nan", "lng": "7.1"}, (0, 0, 0)),
        ({"city": "Bonn", "lat": True, "lng": "7.1"}, (0, 0, 0)),
        ({"country_code": "DE", "latitude": 50.73, "longitude": 7.1}, (0, 0, 0)),
        ({"location": {"latitude": 1.5, "longitude": -2.25, "accuracy_radius": 20}}, (15_000, -22_500, 20)),
        ({"location": {"latitude": 1.5, "longitude": -2.25, "accuracy_radius": 0}}, (15_000, -22_500, 1)),
        # A city without a radius: 50 km; neither: the middle of some area, which is no place.
        ({"city": {}, "location": {"latitude": 1.5, "longitude": -2.25}}, (15_000, -22_500, 50)),
        ({"location": {"latitude": 1.5, "longitude": -2.25}}, (0, 0, 0)),
        ({"location": {"latitude": 90.1, "longitude": 0.0, "accuracy_radius": 20}}, (0, 0, 0)),
        ({"location": {"latitude": 0.0, "longitude": -180.1, "accuracy_radius": 20}}, (0, 0, 0)),
        ({"location": {"latitude": float("nan"), "longitude": 0.0, "accuracy_radius": 20}}, (0, 0, 0)),
        ({"location": {"latitude": [1], "longitude": 0.0, "accuracy_radius": 20}}, (0, 0, 0)),
        ({"location": {"latitude": 1.0, "longitude": 0.0, "accuracy_radius": 70_000}}, (0, 0, 0)),
        ({"location": [1, 2]}, (0, 0, 0)),
    ],
)
def test_places_of_records(record: dict[str, Any], place: tuple[int, int, int]) -> None:
    assert place_of(record) == place


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "DE"}}, 0x4445),
        ({"country": {"iso_code": "de"}}, 0),
        ({"country": {"iso_code": "DEU"}}, 0),
        ({"country": {"iso_code": "ÄÖ"}}, 0),
        ({"country": {"iso_code": 7}}, 0),
        # Flat.
        ({"country": "DE"}, 0x4445),
        ({"country": "Germany", "country_code": "DE"}, 0x4445),
        ({"country_code": "Germany"}, 0),
        ({"country": {}}, 0),
        ({}, 0),
    ],
)
def test_countries_of_records(record: dict[str, Any], country: int) -> None:
    assert country_of(record) == country


@pytest.mark.parametrize(
    ("record", "asn"),
    [
        ({"autonomous_system_number": 64_496}, 64_496),
        ({"traits": {"autonomous_system_number": 64_496}}, 64_496),
        ({"asn": "AS64496"}, 64_496),
        ({"asn": 64_496}, 64_496),
        ({"asn": "ASx"}, 0),
        ({"asn": "AS99999999999"}, 0),
        ({"asn": -1}, 0),
        ({"asn": 1.5}, 0),
        ({}, 0),
    ],
)
def test_networks_of_records(record: dict[str, Any], asn: int) -> None:
    assert asn_of(record) == asn


@pytest.mark.parametrize(
    ("record", "flags"),
    [
        ({"vpn": True, "tor": False, "hosting": "true"}, VPN | HOSTING),
        ({"relay": True}, RELAY),
        ({"proxy": "false", "vpn": ""}, 0),
        ({"is_anonymous": True}, PROXY),
        ({"is_anonymous": True, "is_tor_exit_node": True}, TOR),
    ],
)
def test_anonymity_of_records(record: dict[str, Any], flags: int) -> None:
    assert anonymity_of(record) == flags


# -- a folder --------------------------------------------------------------------------------------------


def test_lists_columns_and_the_cache(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        ("tor", "tor.txt", b"9.1.1.1\n2600::1\n"),
        ("hosting", "a.txt", b"9.1.0.0/16\n"),
        ("hosting", "b.txt.gz", gzip.compress(b"9.2.0.0/16\n")),
        ("relay", "relay.txt", b"9.3.0.0/16\n"),
    )
    places = open_places(folder)
    columns = places.columns(
        ["9.1.1.1", "9.2.3.4", "9.9.9.9", "2600::1", "203.0.113.10", "9.1.1.1", "9.3.0.0"]
    )
    relay = 1 << event_pb2.PLACE_FLAG_RELAY
    assert list(columns.flags) == [TOR | HOSTING, HOSTING, 0, TOR, SPECIAL, TOR | HOSTING, relay]
    assert list(columns.country) == list(columns.asn) == list(columns.accuracy_km) == [0] * 7
    assert len(columns.latitude_e4) == len(columns.longitude_e4) == 7
    assert places.columns([]) == event_pb2.Places()
    with pytest.raises(InvalidArgument) as refused:
        places.columns(["9.1.1.1", "nowhere"])
    assert refused.value.reason == "IP_ADDRESS_INVALID"


def test_the_version_names_the_content(tmp_path: Path) -> None:
    def version(name: str, *files: tuple[str, str, bytes], **changes: Any) -> str:
        (tmp_path / name).mkdir()
        return open_places(folder_of(tmp_path / name, *files, changes=changes)).version

    a, b = ("tor", "a.txt", b"9.1.1.1\n"), ("vpn", "b.txt", b"9.2.2.2\n")
    first = version("1", a, b)
    assert first.startswith("pd_")
    assert len(first) == 15
    assert version("2", b, ("tor", "renamed.txt", b"9.1.1.1\n"), date="2026-10-01") == first
    assert version("3", a, ("vpn", "b.txt", b"9.2.2.3\n")) != first
    assert version("4", ("vpn", "a.txt", b"9.1.1.1\n"), ("tor", "b.txt", b"9.2.2.2\n")) != first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "does not have the checksum"),
        ({"sha256": "0"}, "64 lower-case"),
        ({"kind": "weather"}, "kind is one of"),
        ({"file": "../x.txt"}, "same folder"),
        ({"file": "absent.txt"}, "cannot be read"),
        ({"date": "2026-13-01"}, "date is a day"),
        ({"stale_after_days": 0}, "whole number"),
        ({"stale_after_days": True}, "whole number"),
        ({"source": None}, "source is missing"),
        ({"colour": "red"}, "unknown names: colour"),
        ({"kind": "city"}, "no usable MaxMind database"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = folder_of(tmp_path, ("tor", "x.txt", b"9.1.1.1\n"), changes=changes)
    with pytest.raises(FailedPrecondition, match=message) as refused:
        open_places(folder)
    assert refused.value.reason == "PLACE_DATA_INVALID"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": [1]}', "\x00"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(FailedPrecondition):
        read_manifest(tmp_path)
    with pytest.raises(FailedPrecondition, match="cannot be read"):
        read_manifest(tmp_path / "absent")


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("tor", "x.txt", b"9.1.1.1\nnot an address\n", "line 2"),
        ("tor", "x.txt", b"", "no range"),
        ("tor", "x.txt", b"9.1.1.1 \xff\n", "no list"),
        ("tor", "x.txt.gz", b"9.1.1.1\n", "not gzip"),
        ("tor", "x.txt.gz", gzip.compress(b"9.1.1.1\n" * 99, mtime=0)[:-9], "not gzip"),
        ("city", "x.mmdb", b"no database", "no usable"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, kind: str, name: str, content: bytes, message: str) -> None:
    with pytest.raises(FailedPrecondition, match=message):
        open_places(folder_of(tmp_path, (kind, name, content)))


def test_one_database_a_kind_and_of_its_kind(tmp_path: Path, maxmind: Any) -> None:
    country = maxmind("GeoIP2-Country-Test.mmdb", "MaxMind's test databases").read_bytes()
    with pytest.raises(FailedPrecondition, match="its type is 'GeoIP2-Country'"):
        open_places(folder_of(tmp_path, ("city", "x.mmdb", country)))
    with pytest.raises(FailedPrecondition, match="names 2 databases"):
        open_places(folder_of(tmp_path, ("country", "x.mmdb", country), ("country", "y.mmdb", country)))


# -- what is shipped -------------------------------------------------------------------------------------


def test_every_shipped_file_is_as_its_manifest_says() -> None:
    files = read_manifest(SHIPPED)
    for file in files:
        assert hashlib.sha256((SHIPPED / file.file).read_bytes()).hexdigest() == file.sha256, file.file
        assert file.attribution or file.licence == "MIT", "CC-BY asks for attribution"
    listed = {file.file for file in files}
    present = {path.name for path in SHIPPED.iterdir() if path.suffix in (".gz", ".mmdb", ".txt")}
    assert listed == present
    assert {file.kind for file in files} == {"country", "city", "network", "hosting", "vpn", "tor"}
    assert {"DBIP-LICENSE", "ROUTEVIEWS-LICENSE", "X4BNET-LICENSE.md", "IPORIGIN-LICENSE"} <= {
        path.name for path in SHIPPED.iterdir()
    }


def test_known_addresses_in_the_shipped_data() -> None:
    places = open_places()
    home = places.describe("92.230.10.20")
    assert (home.country, home.city) == ("DE", "Frankfurt am Main")
    assert home.accuracy_km == 50
    assert abs(home.latitude - 50.11) < 0.1
    assert abs(home.longitude - 8.68) < 0.1
    assert home.flags == ()
    assert "tor" in places.describe("2.56.10.36").flags
    assert "vpn" in places.describe("77.243.189.10").flags
    assert places.describe("203.0.113.10").flags == ("special",)
    assert ("IP Geolocation by DB-IP", "https://db-ip.com") in places.attributions()
    assert places.version == version_of(read_manifest(SHIPPED))


def test_freshness_counts_days_from_the_files_date(tmp_path: Path) -> None:
    folder_of(tmp_path, ("tor", "x.txt", b"9.1.1.1\n"))
    files = read_manifest(tmp_path)

    def at(*moment: int) -> tuple[int, bool]:
        [told] = freshness(files, datetime(*moment, tzinfo=UTC).timestamp())
        return told["age_days"], told["stale"]

    assert at(2026, 11, 1) == (0, False)
    assert at(2026, 12, 1) == (30, False)
    assert at(2026, 12, 1, 0, 1) == (30, True)
    assert at(2026, 12, 2) == (31, True)
