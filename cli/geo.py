"""`usher geo`: what is known of an address, from the data that ingest reads. Needs no running mesh."""

from __future__ import annotations

import json
from pathlib import Path

from cli.console import UnusableError, say
from services.common.errors import UsherError
from services.common.places import SHIPPED, Known, freshness, open_places

_FLAGS = {
    "hosting": "data centre or hosting provider",
    "vpn": "commercial VPN",
    "tor": "Tor exit",
    "relay": "privacy relay",
    "shared": "mobile carrier or carrier-grade NAT: many people",
    "proxy": "open or residential proxy",
    "special": "special-purpose range (RFC 6890): there is no place",
}


def show(address: str, folder: Path | None, as_json: bool) -> None:
    """Prints what is known of an address. Raises UnusableError where it is none, or the data are not usable."""
    try:
        places = open_places(folder or SHIPPED)
    except UsherError as error:
        raise UnusableError(error.message) from None
    try:
        known = places.describe(address)
    except UsherError as error:
        raise UnusableError(f"{address!r} is no IP address: {error.message}") from None
    finally:
        places.close()
    data = freshness(places.files)
    if as_json:
        print(
            json.dumps(
                {
                    "address": known.address,
                    "country": known.country or None,
                    "subdivision": known.subdivision or None,
                    "city": known.city or None,
                    "latitude": known.latitude if known.accuracy_km else None,
                    "longitude": known.longitude if known.accuracy_km else None,
                    "accuracy_km": known.accuracy_km or None,
                    "asn": known.asn or None,
                    "organisation": known.organisation or None,
                    "flags": list(known.flags),
                    "place_data": places.version,
                    "data": data,
                    "attribution": [{"text": text, "url": url} for text, url in places.attributions()],
                },
                ensure_ascii=False,
            )
        )
        return
    for name, text in _lines(known):
        print(f"{name:<10}{text}")
    print()
    for file in data:
        mark = ", STALE: replace it" if file["stale"] else ""
        print(f"{file['kind']:<10}{file['source']}, {file['date']}, {file['age_days']} days old{mark}")
    print(f"{'data':<10}{places.version}")
    for text, url in places.attributions():
        print(f"{text} ({url})")
    if any(file["stale"] for file in data):
        say("usher: some of the data are stale; docs/cli.md says how to replace them")


def _lines(known: Known) -> list[tuple[str, str]]:
    place = ", ".join(part for part in (known.city, known.subdivision) if part)
    lines = [("address", known.address), ("country", known.country or "unknown")]
    if known.accuracy_km:
        where = f"{known.latitude:.4f}, {known.longitude:.4f} within {known.accuracy_km} km"
        lines.append(("place", f"{place}, {where}" if place else where))
    else:
        lines.append(("place", "unknown"))
    network = f"AS{known.asn} {known.organisation}".rstrip() if known.asn else "unknown"
    lines.append(("network", network))
    lines += [("known as", f"{flag}: {_FLAGS[flag]}") for flag in known.flags] or [
        ("known as", "nothing special")
    ]
    return lines
