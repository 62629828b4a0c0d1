"""Puts GeoIP and reputation files of your own beside those that Usher ships, and says how.

    make geoip                                                    what is in use, how old it is, where full files come from
    make geoip FILES="GeoLite2-City.mmdb GeoLite2-ASN.mmdb"       databases: the kind is read from the file
    make geoip FILES="tor=exits.txt vpn=vpn4.txt vpn=vpn6.txt"    lists: the kind stands before the file

Files replace all files of their kind; the other kinds stay as they are. A list is as old as its file says (its time of
change) unless a day stands behind it: tor=exits.txt@2026-11-20. Every file is verified as ingest would verify it, then
the folder is replaced at once; a running ingest that reads it puts it in force within half a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import maxminddb
from rich.console import Console
from rich.table import Table

from services.common.errors import UsherError
from services.common.places import (
    DATABASE_TYPES,
    LIST_FLAGS,
    MANIFEST,
    SHIPPED,
    Places,
    freshness,
    open_places,
)

HOW = """\
The data that Usher ships know every country, but cities and networks in part only. Full files:

  DB-IP Lite       City, Country, ASN (CC-BY-4.0, monthly, no account): https://db-ip.com/db/lite.php, "MMDB"
  MaxMind GeoLite2 City, Country, ASN (free account and licence key): https://dev.maxmind.com/geoip/geolite2-free-geolocation-data
  MaxMind GeoIP2   City, Enterprise, ISP, Anonymous IP, Anonymous Plus, Residential Proxy, Connection Type, IP Risk
  Tor exits        the Tor Project's list, daily: https://check.torproject.org/torbulkexitlist

Unpack what comes as .tar.gz, then for example:

  make geoip FILES="dbip-city-lite-2026-11.mmdb dbip-asn-lite-2026-11.mmdb tor=torbulkexitlist"

Their licences ask for attribution, and MaxMind's for deletion of old files within 30 days: it is yours to keep."""
MONTHLY_DAYS, DAILY_DAYS = 45, 7
_KIND_OF_WORD = {
    "city": "city",
    "enterprise": "city",
    "location": "city",
    "country": "country",
    "asn": "network",
    "isp": "network",
    "anonymous": "anonymous",
    "risk": "anonymous",
    "privacy": "anonymous",
    "proxy": "residential_proxy",
    "connection": "connection",
}
console = Console(soft_wrap=True, highlight=False)


class WrongFileError(Exception):
    """A file cannot be used; the text says why and what to do."""


def entry_of(argument: str) -> tuple[Path, dict[str, Any]]:
    """The file that an argument names and its entry in the manifest. Raises WrongFileError."""
    kind, equals, name = argument.partition("=")
    name, at, day = (
        (name if equals else argument).rpartition("@") if "@" in argument else (name or kind, "", "")
    )
    path = Path(name)
    if not path.is_file():
        raise WrongFileError(f"{path} is no file")
    entry: dict[str, Any] = {"licence": "its publisher's", "attribution": "", "url": ""}
    try:
        made = date.fromisoformat(day) if at else datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    except ValueError:
        raise WrongFileError(f"{day!r} is no day such as 2026-11-20") from None
    if path.suffix == ".mmdb":
        told, made, description = _database(path)
        kind = kind if equals else told
        entry |= {"source": description, "stale_after_days": MONTHLY_DAYS}
        if "db-ip" in description.lower() or "dbip" in description.lower():
            entry |= {"attribution": "IP Geolocation by DB-IP", "url": "https://db-ip.com"}
        elif description.startswith(("GeoIP", "GeoLite2")):
            entry |= {"attribution": "GeoLite2 or GeoIP2 data by MaxMind", "url": "https://www.maxmind.com"}
    elif not equals:
        raise WrongFileError(
            f"say what kind of list {path} is: KIND={path}, KIND one of {', '.join(LIST_FLAGS)}"
        )
    else:
        entry |= {"source": path.name, "stale_after_days": DAILY_DAYS if kind == "tor" else MONTHLY_DAYS}
    if kind not in LIST_FLAGS and kind not in DATABASE_TYPES:
        raise WrongFileError(f"{kind!r} is no kind; kinds are {', '.join((*DATABASE_TYPES, *LIST_FLAGS))}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, {"kind": kind, "file": path.name, "sha256": digest, "date": made.isoformat(), **entry}


def _database(path: Path) -> tuple[str, date, str]:
    try:
        with maxminddb.open_database(path) as reader:
            metadata = reader.metadata()
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise WrongFileError(f"{path} is no MaxMind database ({error})") from None
    words = metadata.database_type.lower().replace("_", "-").replace(" ", "-").split("-")
    kind = next((_KIND_OF_WORD[word] for word in words if word in _KIND_OF_WORD), "")
    if not kind:
        raise WrongFileError(
            f"{path} is of the type {metadata.database_type!r}: say what it tells, KIND={path}, KIND one of "
            f"{', '.join(DATABASE_TYPES)}"
        )
    made = datetime.fromtimestamp(min(metadata.build_epoch, 4_000_000_000), UTC).date()
    return kind, made, f"{metadata.database_type} ({metadata.description.get('en', 'no description')})"


def install(arguments: list[str], folder: Path) -> Places:
    """Replaces `folder` by one with the files of the arguments. Raises WrongFileError; the folder then stays as it was."""
    base = folder if (folder / MANIFEST).is_file() else SHIPPED
    new = [entry_of(argument) for argument in arguments]
    replaced = {entry["kind"] for _, entry in new}
    kept = [
        entry
        for entry in json.loads((base / MANIFEST).read_text(encoding="utf-8"))["files"]
        if entry["kind"] not in replaced
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for entry in kept:
            shutil.copy2(base / entry["file"], made)
        for path, entry in new:
            if (made / entry["file"]).exists():
                raise WrongFileError(f"two files are named {entry['file']}: rename one")
            shutil.copy2(path, made)
        for licence in base.iterdir():
            if licence.suffix == ".md" or "LICENSE" in licence.name or licence.name == "MODIFICATIONS":
                shutil.copy2(licence, made)
        text = json.dumps({"files": [*kept, *(entry for _, entry in new)]}, indent=2)
        (made / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
        made.chmod(0o755)
        places = open_places(made)
        old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        if folder.exists():
            os.replace(folder, old / "old")
        os.replace(made, folder)
        shutil.rmtree(old)
    except UsherError as error:
        raise WrongFileError(error.message) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return places


def show(places: Places, folder: Path) -> None:
    """Prints what a folder holds."""
    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("kind", "source", "date", "days old", ""):
        table.add_column(column)
    for file in freshness(places.files):
        table.add_row(
            file["kind"],
            file["source"],
            file["date"],
            str(file["age_days"]),
            "stale" if file["stale"] else "",
        )
    console.print(f"places data {places.version} in {folder}")
    console.print(table)


def main() -> int:
    """Parses arguments; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="make geoip", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a database, or KIND=FILE")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(os.environ.get("USHER_HOME", ".usher")) / "places",
        help="default: `places` in the home, which `usher up` uses where it is there",
    )
    arguments = parser.parse_args()
    try:
        if arguments.files:
            show(install(arguments.files, arguments.folder), arguments.folder)
            console.print(
                "`usher up` uses it from its next start; elsewhere set USHER_INGEST_PLACES_DIR to it. An ingest that reads "
                "it already follows by itself."
            )
        else:
            folder = arguments.folder if (arguments.folder / MANIFEST).is_file() else SHIPPED
            show(open_places(folder), folder)
            console.print(f"\n{HOW}")
    except (WrongFileError, UsherError) as error:
        print(f"geoip: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
