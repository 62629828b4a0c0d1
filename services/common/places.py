"""Where an address is and what is known of it: GeoIP databases and reputation lists from a folder of files.

A folder holds `places.json`, which names its files, their SHA-256, date, source and attribution::

    {"files": [{"kind": "city", "file": "city.mmdb.gz", "sha256": "...", "date": "2026-11-01", "stale_after_days": 120,
                "source": "...", "licence": "CC-BY-4.0", "attribution": "IP Geolocation by DB-IP",
                "url": "https://db-ip.com"}, ...]}

Databases are in MaxMind DB format (https://maxmind.github.io/MaxMind-DB/), plain or gzipped: `country`, `city`, `network`
(autonomous systems), `anonymous`, `residential_proxy`, `connection`, at most one each. Their records are GeoIP2's, or flat
as other publishers have them (`country_code`, `asn: "AS64496"`, `lat` and `lng`). Lists hold a prefix or an address a
line: `hosting`, `vpn`, `tor`, `relay`, `proxy`, `shared`, as many as there are.

Every file is verified when the folder is opened, databases walked to their last record (mmdb.py). One that is not what the
manifest says keeps the process from starting, or is left out where that was asked for: wrong places are worse than none.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from services.common.address_ranges import (
    HOSTING,
    PROXY,
    RELAY,
    SHARED,
    SPECIAL,
    TOR,
    VPN,
    Range,
    Reputation,
    parse_list,
)
from services.common.errors import FailedPrecondition, InvalidArgument
from services.common.mmdb import InvalidDatabaseError, open_verified
from usher.event.v1 import event_pb2

SHIPPED = Path(__file__).resolve().parent / "places_data"
"""The data that come with Usher."""
MANIFEST = "places.json"
CACHED_ADDRESSES = 65_536
"""Answers kept in memory, about 250 bytes each."""
CITY_ACCURACY_KM = 50
"""Radius assumed of a place known to the city where the database gives none: the distance within which GeoIP vendors
count a city as right (https://www.maxmind.com/en/geoip-accuracy-comparison)."""
MAX_UNPACKED_BYTES = 1 << 30
"""Largest database, unpacked; commercial ones have a few hundred megabytes."""
_LOGIC = b"2"
"""Counts how files become answers: raised when equal files give other answers than before."""

LIST_FLAGS = {
    "hosting": HOSTING,
    "vpn": VPN,
    "tor": TOR,
    "relay": RELAY,
    "proxy": PROXY,
    "shared": SHARED,
}
DATABASE_TYPES = {
    "country": frozenset({"country", "city", "enterprise", "location"}),
    "city": frozenset({"city", "enterprise", "location"}),
    "network": frozenset({"asn", "isp", "enterprise", "as"}),
    "anonymous": frozenset({"anonymous", "risk", "privacy"}),
    "residential_proxy": frozenset({"proxy"}),
    "connection": frozenset({"connection", "enterprise"}),
}
"""Kind of database -> words of which the type in its metadata has one: "GeoIP2-City", "DBIP-City-Lite", "ipinfo
generic_country_asn.mmdb"."""
_TEXTS = ("kind", "file", "sha256", "date", "source", "licence", "attribution", "url")
_DAY_S = 86_400
_ANONYMOUS = (
    ("is_hosting_provider", HOSTING),
    ("is_anonymous_vpn", VPN),
    ("is_tor_exit_node", TOR),
    ("is_public_proxy", PROXY),
    ("is_residential_proxy", PROXY),
    ("hosting", HOSTING),
    ("vpn", VPN),
    ("tor", TOR),
    ("relay", RELAY),
    ("proxy", PROXY),
)

Row = tuple[int, int, int, int, int, int]
"""An entry of every column of usher.event.v1.Places, in the order of its fields."""


class DataFile(NamedTuple):
    """One file of the folder, as its manifest describes it."""

    kind: str
    file: str
    sha256: str
    """Of the file as it lies there, 64 hexadecimal digits."""
    date: date
    """When the data were made; where only the month is known, its first day."""
    stale_after_days: int
    source: str
    licence: str
    attribution: str
    """What must be shown where its answers are shown; may be empty."""
    url: str

    def age_days(self, now_s: float) -> float:
        """Days since its date, at a time in Unix seconds."""
        made = datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)
        return (now_s - made.timestamp()) / _DAY_S

    def is_stale(self, now_s: float) -> bool:
        """Whether it is too old to be relied on."""
        return self.age_days(now_s) > self.stale_after_days


class Known(NamedTuple):
    """What is known of one address, for people."""

    address: str
    country: str
    """ISO 3166-1 alpha-2; empty where unknown."""
    subdivision: str
    city: str
    latitude: float
    """Degrees; meaningful where accuracy_km > 0."""
    longitude: float
    accuracy_km: int
    asn: int
    organisation: str
    flags: tuple[str, ...]
    """Names of PlaceFlag without their prefix, in lower case."""


class Places:
    """The data of one folder, opened. Answers of equal data are equal, and `version` names the data."""

    def __init__(
        self,
        files: Sequence[DataFile],
        readers: Mapping[str, maxminddb.Reader],
        reputation: Reputation,
        left_out: Sequence[tuple[DataFile, str]] = (),
    ) -> None:
        self.files = tuple(files)
        self.left_out = tuple(left_out)
        """Files that could not be used, each with the reason."""
        self.version = version_of(files)
        """"pd_" and 12 hexadecimal digits: a hash of the files; decisions carry it."""
        self.unreadable: Counter[str] = Counter()
        """Records that could not be read, by kind of database."""
        self._readers = dict(readers)
        self._six = {kind for kind, reader in readers.items() if reader.metadata().ip_version == 6}
        self._reputation = reputation
        self._cached = lru_cache(maxsize=CACHED_ADDRESSES)(self._look_up)

    def row(self, address: str) -> Row:
        """The columns' entries of one address. Raises InvalidArgument (IP_ADDRESS_INVALID)."""
        return self._cached(address)

    def columns(self, addresses: Sequence[str]) -> event_pb2.Places:
        """Where each address is, in order. Raises InvalidArgument (IP_ADDRESS_INVALID)."""
        if not addresses:
            return event_pb2.Places()
        country, latitude, longitude, accuracy, asn, flags = zip(*map(self._cached, addresses), strict=True)
        return event_pb2.Places(
            country=country,
            latitude_e4=latitude,
            longitude_e4=longitude,
            accuracy_km=accuracy,
            asn=asn,
            flags=flags,
        )

    def describe(self, address: str) -> Known:
        """What is known of an address, with names. Raises InvalidArgument (IP_ADDRESS_INVALID)."""
        country, latitude, longitude, accuracy, asn, flags = self._look_up(address)
        city: Mapping[str, Any] = {}
        network: Mapping[str, Any] = {}
        if not flags & SPECIAL:
            city, network = self._record("city", address), self._record("network", address)
        subdivisions = city.get("subdivisions")
        subdivision = (
            subdivisions[0] if isinstance(subdivisions, list) and subdivisions else city.get("region")
        )
        network = _traits(network)
        organisation = network.get("autonomous_system_organization") or network.get("as_name")
        return Known(
            address,
            chr(country >> 8) + chr(country & 0xFF) if country else "",
            _name(subdivision),
            _name(city.get("city")),
            latitude / 1e4,
            longitude / 1e4,
            accuracy,
            asn,
            _name(organisation),
            tuple(
                name.removeprefix("PLACE_FLAG_").lower()
                for name, flag in event_pb2.PlaceFlag.items()
                if flag and flags >> flag & 1
            ),
        )

    def attributions(self) -> list[tuple[str, str]]:
        """(text, link) to be shown wherever places are shown, each once."""
        return list(dict.fromkeys((f.attribution, f.url) for f in self.files if f.attribution))

    def close(self) -> None:
        """Closes the databases."""
        for reader in self._readers.values():
            reader.close()

    def _look_up(self, address: str) -> Row:
        try:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except (OSError, ValueError) as error:
            raise InvalidArgument(
                "IP_ADDRESS_INVALID", "use an IPv4 dotted quad or an IPv6 address"
            ) from error
        flags = self._reputation.flags(packed)
        if flags & SPECIAL:
            return 0, 0, 0, 0, 0, flags
        record = self._record
        city = record("city", address)
        latitude, longitude, accuracy = place_of(city)
        # The city's own country where it has one: coordinates and country then tell of the same place.
        country = (city and country_of(city)) or country_of(record("country", address))
        asn = asn_of(record("network", address))
        if "anonymous" in self._readers:
            flags |= anonymity_of(record("anonymous", address))
        if "residential_proxy" in self._readers and record("residential_proxy", address):
            flags |= PROXY
        if "connection" in self._readers and _is_cellular(record("connection", address)):
            flags |= SHARED
        return country, latitude, longitude, accuracy, asn, flags

    def _record(self, kind: str, address: str) -> dict[str, Any]:
        reader = self._readers.get(kind)
        if reader is None or (kind not in self._six and ":" in address):
            return _NOTHING
        try:
            record = reader.get(address)
        except (maxminddb.InvalidDatabaseError, ValueError, OverflowError):
            # UnicodeDecodeError is a ValueError. The files passed their check: they were made wrong.
            self.unreadable[kind] += 1
            return _NOTHING
        return record if isinstance(record, dict) else _NOTHING


_NOTHING: dict[str, Any] = {}
_NOWHERE = (0, 0, 0)


def country_of(record: Mapping[str, Any]) -> int:
    """The country of a record as in Places.country; 0 where it has none.

    GeoIP2: `country.iso_code`. Flat: `country_code`, or `country` where that is a code and no name.
    """
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code") or country
    if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha() and code.isupper():
        return ord(code[0]) << 8 | ord(code[1])
    return 0


def place_of(record: Mapping[str, Any]) -> tuple[int, int, int]:
    """Latitude and longitude in 1e-4 degrees and the accuracy in km of a record.

    GeoIP2: `location`. Flat: `latitude` and `longitude`, or `lat` and `lng`, numbers or texts of numbers. All zeros where it
    has no coordinates, impossible ones, or neither a radius nor a city: the middle of a country is no place.
    """
    if not record:
        return _NOWHERE
    location = record.get("location", record)
    if not isinstance(location, dict):
        return _NOWHERE
    latitude = _degrees(location.get("latitude", location.get("lat")))
    longitude = _degrees(location.get("longitude", location.get("lng")))
    radius = location.get("accuracy_radius", CITY_ACCURACY_KM if record.get("city") is not None else None)
    # Comparisons are false for a number that is none, too.
    if (
        latitude is None
        or longitude is None
        or not (-90 <= latitude <= 90 and -180 <= longitude <= 180)
        or not isinstance(radius, int)
        or not 0 <= radius <= 0xFFFF
    ):
        return _NOWHERE
    return round(latitude * 10_000), round(longitude * 10_000), radius or 1


def _degrees(value: Any) -> float | None:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def asn_of(record: Mapping[str, Any]) -> int:
    """The autonomous system of a record; 0 where it has none.

    GeoIP2: `autonomous_system_number`, in Enterprise databases under `traits`. Flat: `asn` as a number or as "AS64496".
    """
    told = _traits(record)
    asn = told.get("autonomous_system_number", told.get("asn", 0))
    if isinstance(asn, str) and asn[:2].upper() == "AS" and asn[2:].isascii() and asn[2:].isdecimal():
        asn = int(asn[2:13])
    return asn if isinstance(asn, int) and 0 <= asn < 1 << 32 else 0


def anonymity_of(record: Mapping[str, Any]) -> int:
    """Place flags of an anonymity record: each kind that it names, PROXY where it says anonymous and names none."""
    flags = 0
    for name, flag in _ANONYMOUS:
        # Flat files write truth as text.
        if record.get(name) in (True, "true"):
            flags |= flag
    return flags or (PROXY if record.get("is_anonymous") is True else 0)


def _is_cellular(record: Mapping[str, Any]) -> bool:
    return _traits(record).get("connection_type") == "Cellular"


def _traits(record: Mapping[str, Any]) -> Mapping[str, Any]:
    traits = record.get("traits")
    return traits if isinstance(traits, dict) else record


_TELLS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "country": lambda record: country_of(record) > 0,
    "city": lambda record: place_of(record)[2] > 0,
    "network": lambda record: asn_of(record) > 0,
    "anonymous": lambda record: anonymity_of(record) > 0,
    "residential_proxy": bool,
    "connection": _is_cellular,
}
"""Whether a record tells what a database of its kind is there for."""


def version_of(files: Sequence[DataFile]) -> str:
    """ "pd_" and 12 hexadecimal digits over what the files hold; their order and names do not matter."""
    digest = hashlib.sha256(_LOGIC)
    for kind, sha256 in sorted((file.kind, file.sha256) for file in files):
        digest.update(f"\n{kind} {sha256}".encode())
    return f"pd_{digest.hexdigest()[:12]}"


def open_places(folder: Path = SHIPPED, *, leave_out: bool = False) -> Places:
    """Opens the data of a folder.

    With `leave_out` a file that is missing, corrupt or of another kind than the manifest says is left out and told in
    `Places.left_out`, as long as the manifest itself can be read.

    Raises FailedPrecondition (PLACE_DATA_INVALID) where the manifest, or without `leave_out` a file, is missing, is not what
    it should be, or does not have its checksum.
    """
    files = read_manifest(folder)
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened = list(pool.map(lambda file: _opened(folder, file), files))
    readers: dict[str, maxminddb.Reader] = {}
    lists: list[tuple[int, list[Range]]] = []
    used: list[DataFile] = []
    left_out: list[tuple[DataFile, str]] = []
    for file, one in zip(files, opened, strict=True):
        if isinstance(one, FailedPrecondition):
            left_out.append((file, one.message))
            continue
        used.append(file)
        if isinstance(one, list):
            lists.append((LIST_FLAGS[file.kind], one))
        else:
            readers[file.kind] = one
    if left_out and not leave_out:
        for reader in readers.values():
            reader.close()
        raise _invalid(left_out[0][1])
    return Places(used, readers, Reputation(lists), left_out)


def _opened(folder: Path, file: DataFile) -> maxminddb.Reader | list[Range] | FailedPrecondition:
    try:
        content = _verified(folder, file)
        return _ranges(file, content) if file.kind in LIST_FLAGS else _database(folder, file, content)
    except FailedPrecondition as error:
        return error


def read_manifest(folder: Path) -> list[DataFile]:
    """The files that a folder's manifest names. Raises FailedPrecondition (PLACE_DATA_INVALID)."""
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(f"{folder / MANIFEST} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _invalid(f"{folder / MANIFEST} is not JSON") from error
    entries = document.get("files") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise _invalid(f"{folder / MANIFEST} names no files")
    files = [_entry(entry, number) for number, entry in enumerate(entries)]
    kinds = Counter(file.kind for file in files if file.kind in DATABASE_TYPES)
    for kind, count in kinds.items():
        if count > 1:
            raise _invalid(f"{MANIFEST} names {count} databases of the kind {kind}; one is allowed")
    return files


def freshness(files: Sequence[DataFile], now_s: float | None = None) -> list[dict[str, Any]]:
    """Kind, source, date, age in days and staleness of each file, as JSON has it."""
    now = time.time() if now_s is None else now_s
    return [
        {
            "kind": file.kind,
            "source": file.source,
            "date": file.date.isoformat(),
            "age_days": int(file.age_days(now)),
            "stale": file.is_stale(now),
        }
        for file in files
    ]


def _entry(entry: Any, number: int) -> DataFile:
    where = f"{MANIFEST}, files[{number}]"
    if not isinstance(entry, dict):
        raise _invalid(f"{where} is no object")
    for name in _TEXTS:
        if not isinstance(entry.get(name), str):
            raise _invalid(f"{where}: {name} is missing or no text")
    unknown = sorted(entry.keys() - {*_TEXTS, "stale_after_days"})
    if unknown:
        raise _invalid(f"{where}: unknown names: {', '.join(unknown)}")
    kind, name, sha256 = entry["kind"], entry["file"], entry["sha256"]
    if kind not in DATABASE_TYPES and kind not in LIST_FLAGS:
        raise _invalid(f"{where}: kind is one of {', '.join((*DATABASE_TYPES, *LIST_FLAGS))}")
    if not name or name != Path(name).name:
        raise _invalid(f"{where}: file is the name of a file in the same folder")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise _invalid(f"{where}: sha256 is 64 lower-case hexadecimal digits")
    try:
        made = date.fromisoformat(entry["date"])
    except ValueError:
        raise _invalid(f"{where}: date is a day such as 2026-11-01") from None
    days = entry.get("stale_after_days")
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise _invalid(f"{where}: stale_after_days is a whole number from 1")
    return DataFile(
        kind, name, sha256, made, days, entry["source"], entry["licence"], entry["attribution"], entry["url"]
    )


def _verified(folder: Path, file: DataFile) -> bytes:
    """A file's content, unpacked, once its checksum is right."""
    try:
        content = (folder / file.file).read_bytes()
    except OSError as error:
        raise _invalid(f"{folder / file.file} cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _invalid(f"{folder / file.file} does not have the checksum that {MANIFEST} names")
    if file.file.endswith(".gz"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(MAX_UNPACKED_BYTES + 1)
        except (OSError, EOFError, ValueError) as error:
            raise _invalid(f"{folder / file.file} is not gzip") from error
        if len(content) > MAX_UNPACKED_BYTES:
            raise _invalid(f"{folder / file.file} has more than {MAX_UNPACKED_BYTES} bytes unpacked")
    return content


def _ranges(file: DataFile, content: bytes) -> list[Range]:
    try:
        return parse_list(content.decode("ascii"))
    except ValueError as error:
        raise _invalid(f"{file.file} is no list of prefixes: {error}") from error


def _database(folder: Path, file: DataFile, content: bytes) -> maxminddb.Reader:
    types, tells = DATABASE_TYPES[file.kind], _TELLS[file.kind]
    try:
        if not file.file.endswith(".gz"):
            return open_verified(str(folder / file.file), content, types, tells)
        with _as_file(content) as path:
            return open_verified(path, content, types, tells)
    except InvalidDatabaseError as error:
        raise _invalid(
            f"{file.file} is no usable MaxMind database of the kind {file.kind}: {error}"
        ) from error


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which the content can be mapped; what is mapped stays when the path is gone.

    On Linux it lies in memory, so that a read-only file system does not matter.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("usher-places")
        with os.fdopen(descriptor, "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile(prefix="usher-places-") as temporary:
            temporary.write(content)
            temporary.flush()
            yield temporary.name


def _name(named: Any) -> str:
    """The English name of a GeoIP2 object, or a flat record's text."""
    if isinstance(named, str):
        return named
    names = named.get("names") if isinstance(named, dict) else None
    text = names.get("en", "") if isinstance(names, dict) else ""
    return text if isinstance(text, str) else ""


def _invalid(message: str) -> FailedPrecondition:
    return FailedPrecondition("PLACE_DATA_INVALID", message)
