"""Flattened ranges against the plain way of asking every prefix in turn, and the special-purpose registry."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.address_ranges import (
    HOSTING,
    SHARED,
    SPECIAL,
    TOR,
    VPN,
    Flattened,
    Reputation,
    parse_list,
    parse_prefix,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
FOUR = 0x09000000
SIX = 0x2600 << 112


def reference(networks: list[tuple[int, Network]], address: Address) -> int:
    """Every prefix in turn, with the standard library."""
    flags = 0
    for flag, net in networks:
        if address in net:
            flags |= flag
    return flags


def flags_of(reputation: Reputation, address: str) -> int:
    return reputation.flags(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address))


# Few bits vary, so that prefixes nest, touch and repeat; 9.0.0.0/8 and 2600::/16 hold no special-purpose range.
@st.composite
def prefixes(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        length = draw(st.integers(24, 32))
        number = FOUR | draw(st.integers(0, 0x1FF))
        return str(ipaddress.ip_network((number, length), strict=False))
    length = draw(st.integers(119, 128))
    number = SIX | draw(st.integers(0, 0x1FF))
    return str(ipaddress.ip_network((number, length), strict=False))


lists_of_prefixes = st.lists(
    st.tuples(st.sampled_from([HOSTING, VPN, TOR]), st.lists(prefixes(), max_size=12)), max_size=6
)


@settings(deadline=None)
@given(lists_of_prefixes, st.integers(0, 0x200))
def test_flattened_lists_answer_as_asking_every_prefix_does(
    lists: list[tuple[int, list[str]]], anywhere: int
) -> None:
    reputation = Reputation([(flag, [parse_prefix(text) for text in texts]) for flag, texts in lists])
    networks = [(flag, ipaddress.ip_network(text)) for flag, texts in lists for text in texts]
    hosts = {anywhere}
    for _, net in networks:
        first, last = int(net[0]) & 0x3FF, int(net[-1]) & 0x3FF
        hosts |= {max(first - 1, 0), first, last, last + 1}
    for host in hosts:
        for address in (ipaddress.IPv4Address(FOUR | host), ipaddress.IPv6Address(SIX | host)):
            assert flags_of(reputation, str(address)) == reference(networks, address), address


@pytest.mark.parametrize("reach", ["0.0.0.0/0", "::/0", "128.0.0.0/1", "8000::/1"])
def test_ranges_reach_the_ends_of_the_address_space(reach: str) -> None:
    one = parse_prefix(reach)
    flat = Flattened([(one.first, one.last, TOR)])
    assert (flat.flags(one.first), flat.flags(one.last)) == (TOR, TOR)
    if one.first:
        assert flat.flags(one.first - 1) == 0


def test_nothing_is_flattened_into_nothing() -> None:
    assert [Flattened([]).flags(address) for address in (0, 1, (1 << 128) - 1)] == [0, 0, 0]


@pytest.mark.parametrize(
    "address",
    [
        *("0.1.2.3", "10.0.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.0", "172.31.255.255", "192.168.1.1"),
        *(
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.10",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *(
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "3fff:fff::1",
            "::ffff:8.8.8.8",
        ),
    ],
)
def test_special_purpose_addresses(address: str) -> None:
    assert flags_of(Reputation(), address) == SPECIAL


@pytest.mark.parametrize(
    "address",
    [
        *(
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
        ),
        *("100.63.255.255", "100.128.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
        *("2001:db7:ffff::1", "2001:db9::1", "2a00::1", "2600::1", "3ffe::1"),
    ],
)
def test_addresses_beside_them_are_ordinary(address: str) -> None:
    assert flags_of(Reputation(), address) == 0


def test_shared_address_space_is_many_people_without_a_place() -> None:
    # RFC 6598: 100.64.0.0/10 lies between carriers' subscribers and their translators.
    assert (
        flags_of(Reputation(), "100.64.0.1") == flags_of(Reputation(), "100.127.255.254") == SPECIAL | SHARED
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "/8", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/8", "1.2.3.4/٣", "01.2.3.4"),
        *("::1/129", "2001:db8::1/32", "host"),
    ],
)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no address|no length|bits set"):
        parse_prefix(text)


def test_a_list_names_its_wrong_line() -> None:
    assert len(parse_list("# Tor\n192.0.2.1\n\n2001:db8::/32  # all of it\n")) == 2
    with pytest.raises(ValueError, match="line 3"):
        parse_list("192.0.2.1\n# fine\n192.0.2.300\n")
    with pytest.raises(ValueError, match="no range"):
        parse_list("# nothing\n\n")
