"""Cities, addresses and the networks that abuse comes from.

The ranges are public ones of consumer networks whose city is the same over the whole range in DB-IP Lite (IP
Geolocation by DB-IP, https://db-ip.com), so that a simulated viewer looks up as where he is said to be. VPN
and hosting ranges are in the lists of X4BNet/lists_vpn, the Tor exits in a list of October 2026. No event is
ever sent to any of these addresses.
"""

from __future__ import annotations

from typing import NamedTuple


def address_number(text: str) -> int:
    """Returns an IPv4 address as a number. Raises ValueError when it has not four parts."""
    first, second, third, fourth = text.split(".")
    return int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)


def address_text(number: int) -> str:
    """Returns the dotted quad of an IPv4 address."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Network(NamedTuple):
    """A range of IPv4 addresses."""

    base: int
    """First address."""
    size: int
    """Number of addresses, 1 or more."""

    def address(self, fraction: float) -> str:
        """Returns an address by its relative position in [0, 1); host parts 0 and 255 are left out."""
        if self.size < 4:
            return address_text(self.base + int(fraction * self.size))
        number = self.base + int(fraction * self.size)
        host = number & 255
        if host == 0:
            number += 1
        elif host == 255:
            number -= 1
        return address_text(number)


def network(cidr: str) -> Network:
    """Returns the range of an IPv4 prefix such as "192.0.2.0/24". Raises ValueError for another text."""
    text, _, length = cidr.partition("/")
    return Network(address_number(text), 1 << 32 - int(length))


class Place(NamedTuple):
    """Where a household lives."""

    country: str
    """ISO 3166-1 alpha-2."""
    region: str
    """ISO 3166-1, or ISO 3166-2 where the law of a part of the country matters."""
    city: str
    time_zone: str
    """IANA name, as the platform would tell it."""
    utc_offset_minutes: int
    """Standard time. The daily rhythm uses this and not the time-zone database, which differs between
    machines; in summer it is an hour late where clocks change."""
    home: Network
    """Addresses of fixed lines; the last 16 serve as the carrier's shared addresses for telephones."""
    weight: int
    """Share of households, relative to the others."""


def _place(region: str, city: str, time_zone: str, utc_offset_minutes: int, home: str, weight: int) -> Place:
    country = region.partition("-")[0]
    return Place(country, region, city, time_zone, utc_offset_minutes, network(home), weight)


PLACES: tuple[Place, ...] = (
    _place("DE", "Frankfurt", "Europe/Berlin", 60, "92.230.0.0/16", 6),
    _place("DE", "Düsseldorf", "Europe/Berlin", 60, "78.49.0.0/16", 5),
    _place("DE", "Munich", "Europe/Berlin", 60, "77.178.128.0/20", 4),
    _place("FR", "Paris", "Europe/Paris", 60, "109.14.192.0/19", 6),
    _place("FR", "Marseille", "Europe/Paris", 60, "77.205.232.0/21", 3),
    _place("GB", "London", "Europe/London", 0, "95.148.192.0/18", 6),
    _place("GB", "Newport", "Europe/London", 0, "81.128.0.0/17", 3),
    _place("ES", "Madrid", "Europe/Madrid", 60, "217.125.192.0/18", 4),
    _place("ES", "Barcelona", "Europe/Madrid", 60, "79.154.160.0/21", 3),
    _place("IT", "Milan", "Europe/Rome", 60, "79.4.112.0/20", 4),
    _place("IT", "Trieste", "Europe/Rome", 60, "79.28.0.0/17", 2),
    _place("NL", "Amsterdam", "Europe/Amsterdam", 60, "188.206.32.0/19", 3),
    _place("SE", "Stockholm", "Europe/Stockholm", 60, "78.74.16.0/20", 2),
    _place("PL", "Warsaw", "Europe/Warsaw", 60, "78.9.240.0/20", 3),
    _place("IE", "Dublin", "Europe/Dublin", 0, "86.47.208.0/22", 1),
    _place("US-NY", "New York", "America/New_York", -300, "32.29.128.0/19", 6),
    _place("US-CA", "Bakersfield", "America/Los_Angeles", -480, "50.91.32.0/19", 6),
    _place("US-TX", "Austin", "America/Chicago", -360, "72.182.64.0/19", 4),
    _place("US-IL", "Northlake", "America/Chicago", -360, "50.180.0.0/14", 4),
    _place("CA-ON", "Toronto", "America/Toronto", -300, "99.219.64.0/18", 3),
    _place("CA-BC", "Vancouver", "America/Vancouver", -480, "184.65.32.0/20", 2),
    _place("BR", "São Paulo", "America/Sao_Paulo", -180, "177.77.224.0/19", 5),
    _place("BR", "Porto Alegre", "America/Sao_Paulo", -180, "177.40.24.0/21", 2),
    _place("MX", "Mexico City", "America/Mexico_City", -360, "201.122.112.0/20", 3),
    _place("JP", "Tokyo", "Asia/Tokyo", 540, "106.190.0.0/16", 5),
    _place("KR", "Seoul", "Asia/Seoul", 540, "1.248.128.0/19", 3),
    _place("IN", "New Delhi", "Asia/Kolkata", 330, "122.176.120.0/21", 4),
    _place("IN", "Bengaluru", "Asia/Kolkata", 330, "122.167.212.0/22", 3),
    _place("AU", "Sydney", "Australia/Sydney", 600, "121.209.192.0/18", 3),
    _place("TH", "Bangkok", "Asia/Bangkok", 420, "180.183.192.0/19", 2),
    _place("CN", "Guangzhou", "Asia/Shanghai", 480, "14.18.0.0/16", 3),
    _place("ZA", "Cape Town", "Africa/Johannesburg", 120, "105.227.216.0/21", 1),
)
"""Where households live."""

EU_COUNTRIES = frozenset({"DE", "ES", "FR", "IE", "IT", "NL", "PL", "SE"})
"""Those of PLACES whose residents EU law protects."""

OPT_IN_COUNTRIES = EU_COUNTRIES | {"BR", "CN", "GB", "KR", "TH", "ZA"}
"""Those of PLACES whose law asks for consent before advertising to a profile (facts: RC02, RC08, RC43)."""

VPN_NETWORKS: tuple[Network, ...] = tuple(
    network(cidr)
    for cidr in (
        "77.243.189.0/24",
        "45.93.185.0/24",
        "82.21.68.0/24",
        "45.159.15.0/24",
        "45.38.136.0/24",
        "38.180.154.0/24",
        "103.102.127.0/24",
        "46.203.185.0/24",
    )
)
"""Commercial VPN services in NL, DE, DE, GB, US, FR, SG, CA."""

HOSTING_NETWORKS: tuple[Network, ...] = tuple(
    network(cidr)
    for cidr in (
        "5.255.72.0/24",
        "5.145.176.0/24",
        "5.196.0.0/16",
        "23.109.48.0/24",
        "23.27.18.0/24",
        "31.184.220.0/24",
        "156.59.94.0/24",
        "43.241.68.0/24",
    )
)
"""Data centres in NL, DE, FR, NL, SG, RU, VN, IN."""

TOR_EXITS: tuple[Network, ...] = tuple(
    Network(address_number(text), 1)
    for text in ("2.56.10.36", "5.2.67.226", "5.2.79.190", "5.45.98.162", "5.45.102.93", "5.45.104.176")
)
"""Tor exits."""


class GroundStation(NamedTuple):
    """Where a satellite operator's addresses lead, as databases of addresses tell it."""

    network: Network
    asn: int
    country: str
    latitude: float
    longitude: float


GROUND_STATIONS: tuple[GroundStation, ...] = (
    GroundStation(network("37.9.177.0/24"), 7155, "CY", 34.69, 33.04),
    GroundStation(network("70.41.3.0/24"), 7155, "US", 33.13, -117.16),
    GroundStation(network("64.226.208.0/24"), 14593, "US", 47.67, -122.12),
    GroundStation(network("91.102.180.0/24"), 14593, "PL", 52.23, 21.01),
    GroundStation(network("164.86.1.0/24"), 26243, "CA", 45.42, -75.70),
    GroundStation(network("216.129.170.0/24"), 25222, "CA", 47.56, -52.71),
    GroundStation(network("84.22.64.0/24"), 29286, "FR", 48.86, 2.35),
)
"""Networks that carry the Wi-Fi of aircraft. The coordinates are those of the operator's town in that country: the shipped
city data have none for them, larger ones do."""
