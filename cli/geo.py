"""`usher geo`: what is known of an address, from the data that ingest reads and from what a running mesh has seen there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.console import UnusableError, say
from cli.home import Home
from services.common.errors import UsherError
from services.common.places import SHIPPED, Known, freshness, open_places
from usher.fraud.v1 import fraud_pb2

Learnt = Callable[[str, int], fraud_pb2.DescribeAddressResponse]

_FLAGS = {
    "hosting": "data centre or hosting provider",
    "vpn": "commercial VPN",
    "tor": "Tor exit",
    "relay": "privacy relay",
    "shared": "mobile carrier or carrier-grade NAT: many people",
    "proxy": "open or residential proxy",
    "special": "special-purpose range (RFC 6890): there is no place",
}


_CLASSES = {
    fraud_pb2.ADDRESS_CLASS_UNSPECIFIED: "too little is known",
    fraud_pb2.ADDRESS_CLASS_HOUSEHOLD: "a home",
    fraud_pb2.ADDRESS_CLASS_CARRIER: "a carrier's gateway or another crowd that comes and goes",
    fraud_pb2.ADDRESS_CLASS_CAMPUS: "a campus or business",
    fraud_pb2.ADDRESS_CLASS_VPN: "a commercial VPN",
    fraud_pb2.ADDRESS_CLASS_RELAY: "a privacy relay",
    fraud_pb2.ADDRESS_CLASS_HOSTING: "a data centre, or machines that run accounts",
    fraud_pb2.ADDRESS_CLASS_TOR: "a Tor exit",
}


def learnt_from(home: Path, target: str | None, tenant: str) -> Learnt | None:
    """Asks the mesh on `home`, or fraud at `target`, what was learnt of an address; None where no mesh runs there."""
    if target is None:
        if not Home(home).is_running():
            return None
        target = Home(home).target("fraud")
    asked = target

    def learnt(address: str, flags: int) -> fraud_pb2.DescribeAddressResponse:
        from cli import rings

        return rings.described(asked, tenant, address, flags)

    return learnt


def show(address: str, folder: Path | None, as_json: bool, learnt: Learnt | None = None) -> None:
    """Prints what is known of an address.

    Args:
        learnt: asks a mesh what it learnt of an address with these bits of PlaceFlag; None: no mesh is asked.

    Raises UnusableError where it is no address, the data are not usable or the mesh does not answer.
    """
    try:
        places = open_places(folder or SHIPPED)
    except UsherError as error:
        raise UnusableError(error.message) from None
    try:
        known = places.describe(address)
        [flags] = places.columns([known.address]).flags or [0]
    except UsherError as error:
        raise UnusableError(f"{address!r} is no IP address: {error.message}") from None
    finally:
        places.close()
    data = freshness(places.files)
    seen = None if learnt is None else learnt(known.address, flags)
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
                    "learnt": None if seen is None else _seen(seen),
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
    for name, text in [("seen", "not asked: no mesh runs here")] if seen is None else _seen_lines(seen):
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


def _seen(seen: fraud_pb2.DescribeAddressResponse) -> dict[str, Any]:
    """What the mesh has seen of an address, in terms of JSON."""
    name = fraud_pb2.AddressClass.Name(seen.address_class).removeprefix("ADDRESS_CLASS_").lower()
    return {
        "class": name,
        "accounts": seen.accounts,
        "devices": seen.devices,
        "regulars": round(seen.regulars, 3),
        "churn": round(seen.churn, 3),
        "reputation": [
            {
                "code": reason.code,
                "count": reason.count or None,
                "age_hours": reason.age_hours if reason.HasField("age_hours") else None,
            }
            for reason in seen.reasons
        ],
    }


def _seen_lines(seen: fraud_pb2.DescribeAddressResponse) -> list[tuple[str, str]]:
    lines = [("class", _CLASSES.get(seen.address_class, "unknown to this version"))]
    if seen.accounts:
        crowd = f"{seen.accounts} accounts with {seen.devices} devices within 37 days"
        lines.append(("seen", f"{crowd}; {seen.regulars:.0%} on three days or more, {seen.churn:.0%} on one"))
    else:
        lines.append(("seen", "nobody"))
    for reason in seen.reasons:
        count = f"{reason.count} " if reason.count else ""
        age = (
            f", last {reason.age_hours:.1f} hours ago"
            if reason.HasField("age_hours")
            else ", by network data"
        )
        lines.append(("against", f"{count}{reason.code.replace('_', ' ')}{age}"))
    return lines


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
