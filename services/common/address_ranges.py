"""What is known of ranges of IP addresses: lists of prefixes, flattened so that one bisection answers. Pure.

Lists overlap (a VPN's prefix lies in a data centre's), so the longest match would lose a flag. Flattening cuts the
address space at every border and keeps, for each piece, the flags of all ranges that cover it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from usher.event.v1 import event_pb2

HOSTING = 1 << event_pb2.PLACE_FLAG_HOSTING
VPN = 1 << event_pb2.PLACE_FLAG_VPN
TOR = 1 << event_pb2.PLACE_FLAG_TOR
RELAY = 1 << event_pb2.PLACE_FLAG_RELAY
SHARED = 1 << event_pb2.PLACE_FLAG_SHARED
SPECIAL = 1 << event_pb2.PLACE_FLAG_SPECIAL
PROXY = 1 << event_pb2.PLACE_FLAG_PROXY

NOT_OWN_PLACE = HOSTING | VPN | TOR | RELAY | SPECIAL | PROXY
"""Flags of addresses that say nothing of where the viewer is."""

SPECIAL_PURPOSE = (
    # IANA IPv4 Special-Purpose Address Registry: what is not globally reachable.
    "0.0.0.0/8",  # "this network", RFC 791
    "10.0.0.0/8",  # private use, RFC 1918
    "100.64.0.0/10",  # shared address space of carriers, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 1122
    "169.254.0.0/16",  # link local, RFC 3927
    "172.16.0.0/12",  # private use, RFC 1918
    "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
    "192.0.2.0/24",  # documentation TEST-NET-1, RFC 5737
    "192.168.0.0/16",  # private use, RFC 1918
    "198.18.0.0/15",  # benchmarking, RFC 2544
    "198.51.100.0/24",  # documentation TEST-NET-2, RFC 5737
    "203.0.113.0/24",  # documentation TEST-NET-3, RFC 5737
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved and limited broadcast, RFC 1112, RFC 8190
    # IANA IPv6 Special-Purpose Address Registry: what is not globally reachable.
    "::/128",  # unspecified, RFC 4291
    "::1/128",  # loopback, RFC 4291
    "::ffff:0:0/96",  # IPv4-mapped, RFC 4291
    "64:ff9b:1::/48",  # local-use translation, RFC 8215
    "100::/64",  # discard only, RFC 6666
    "2001:2::/48",  # benchmarking, RFC 5180
    "2001:10::/28",  # ORCHID, deprecated, RFC 4843
    "2001:db8::/32",  # documentation, RFC 3849
    "3fff::/20",  # documentation, RFC 9637
    "5f00::/16",  # segment routing SIDs, RFC 9602
    "fc00::/7",  # unique local, RFC 4193
    "fe80::/10",  # link local, RFC 4291
    "fec0::/10",  # site local, deprecated, RFC 3879
    "ff00::/8",  # multicast, RFC 4291
)
"""Ranges in which no viewer on the public Internet is (RFC 6890 and the IANA registries it founds)."""

CARRIER_SHARED = ("100.64.0.0/10",)
"""Carrier-grade NAT by its own standard (RFC 6598)."""


# Addresses of a prefix by its length as written.
_SIZES_4 = {str(length): 1 << 32 - length for length in range(33)}
_SIZES_6 = {str(length): 1 << 128 - length for length in range(129)}


class Range(NamedTuple):
    """Addresses of one family, both ends included."""

    version: int
    """4 or 6."""
    first: int
    last: int


def parse_prefix(text: str) -> Range:
    """The range of a prefix ("192.0.2.0/24") or of one address.

    Raises ValueError where it is neither, or has bits set beyond its length: a list with such a line is not what it
    seems.
    """
    address, slash, length = text.partition("/")
    family, bits, sizes = (AF_INET6, 128, _SIZES_6) if ":" in address else (AF_INET, 32, _SIZES_4)
    try:
        first = int.from_bytes(inet_pton(family, address), "big")
    except (OSError, ValueError) as error:
        raise ValueError(f"{text[:64]!r} is no address and no prefix") from error
    size = sizes.get(length, 0) if slash else 1
    if not size:
        raise ValueError(f"{text[:64]!r} has no length from 0 to {bits}")
    if first & size - 1:
        raise ValueError(f"{text[:64]!r} has bits set beyond its length")
    return Range(4 if bits == 32 else 6, first, first + size - 1)


def parse_list(text: str) -> list[Range]:
    """The ranges of a list, one prefix or address a line; `#` begins a comment.

    Raises ValueError with the line's number, or where the list holds nothing.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if entry:
            try:
                found.append(parse_prefix(entry))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    if not found:
        raise ValueError("it holds no range")
    return found


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same addresses as disjoint ranges with a gap between each two, in order."""
    joined: list[tuple[int, int]] = []
    start, end = -2, -2
    for first, last in sorted(ranges):
        if first > end + 1:
            if end >= 0:
                joined.append((start, end))
            start, end = first, last
        elif last > end:
            end = last
    if end >= 0:
        joined.append((start, end))
    return joined


class Flattened:
    """Disjoint intervals of one family, each with the flags of every range that covers it."""

    __slots__ = ("_flags", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        """`ranges` are (first, last, flag bit), in any order, overlapping as they like."""
        by_flag: dict[int, list[tuple[int, int]]] = {}
        for first, last, flag in ranges:
            by_flag.setdefault(flag, []).append((first, last))
        # A flag's own ranges, joined, begin and end at different places: each border switches it on or off.
        switches: dict[int, int] = {}
        for flag, own in by_flag.items():
            for first, last in _joined(own):
                switches[first] = switches.get(first, 0) ^ flag
                switches[last + 1] = switches.get(last + 1, 0) ^ flag
        starts, values = [0], [0]
        flags = 0
        for position in sorted(switches):
            flags ^= switches[position]
            if position == 0:
                values[0] = flags
            elif flags != values[-1]:
                starts.append(position)
                values.append(flags)
        self._starts = starts
        self._flags = values

    def __len__(self) -> int:
        return len(self._starts)

    def flags(self, address: int) -> int:
        """The flags of an address; 0 where no range covers it."""
        return self._flags[bisect_right(self._starts, address) - 1]


class Reputation:
    """Flags of IPv4 and IPv6 addresses: what lists say, and the special-purpose ranges."""

    def __init__(self, lists: Iterable[tuple[int, Sequence[Range]]] = ()) -> None:
        """`lists` are (flag bit, ranges)."""
        everything = [
            *lists,
            (SPECIAL, [parse_prefix(prefix) for prefix in SPECIAL_PURPOSE]),
            (SHARED, [parse_prefix(prefix) for prefix in CARRIER_SHARED]),
        ]
        v4 = [(r.first, r.last, flag) for flag, ranges in everything for r in ranges if r.version == 4]
        v6 = [(r.first, r.last, flag) for flag, ranges in everything for r in ranges if r.version == 6]
        self._v4, self._v6 = Flattened(v4), Flattened(v6)

    def flags(self, packed: bytes) -> int:
        """The flags of an address in network order, 4 or 16 bytes."""
        table = self._v4 if len(packed) == 4 else self._v6
        return table.flags(int.from_bytes(packed, "big"))
