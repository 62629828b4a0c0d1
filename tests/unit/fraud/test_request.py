"""Checks of requests."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import InvalidArgument
from services.fraud.acts import FAILED
from services.fraud.memory import unpack_place
from services.fraud.request import (
    Item,
    check_tenant,
    minimum_score_e6,
    page_size,
    page_token,
    read_columns,
    read_items,
    read_page_token,
)
from usher.event.v1 import event_pb2


def event(**changes: Any) -> bytes:
    message = event_pb2.Event(
        event_id="e1", user_id="ann", device_id="tv", event_type="play", ip_address="192.0.2.1", region="DE"
    )
    message.event_time.seconds = 1_795_348_800
    for name, value in changes.items():
        setattr(message, name, value)
    return message.SerializeToString()


def read(*events: bytes, places: event_pb2.Places | None = None) -> list[Item]:
    columns = read_columns(len(events), places or event_pb2.Places(), (), least=1)
    return read_items(events, columns, 0, len(events))


def reason(caught: pytest.ExceptionInfo[InvalidArgument]) -> str:
    return caught.value.reason


def test_an_event_is_read() -> None:
    message = event_pb2.Event.FromString(event(event_type="LOGIN_FAILED", payment_fingerprint="card"))
    message.account.household_id = "h1"
    message.event_time.nanos = 7_900_000
    places = event_pb2.Places(
        country=[17477], latitude_e4=[525200], longitude_e4=[134050], accuracy_km=[20], asn=[3320]
    )
    [item] = read(message.SerializeToString(), places=places)
    sighting = item.sighting
    assert sighting[:7] == ("e1", "ann", "tv", "card", "192.0.2.1", "h1", 1_795_348_800_007)
    assert item.act == FAILED
    assert unpack_place(sighting.place).latitude_e4 == 525200
    assert (item.region, item.country) == ("DE", 17477)


@pytest.mark.parametrize("kind", ["login_failed", "LOGIN_FAILED", "token_refresh_failed"])
def test_failed_sign_ins(kind: str) -> None:
    assert read(event(event_type=kind))[0].act == FAILED


@pytest.mark.parametrize("kind", ["login", "play", "payment_failed", "something_else"])
def test_what_is_no_failed_sign_in(kind: str) -> None:
    assert read(event(event_type=kind))[0].act != FAILED


def test_an_act_that_was_asked_about_counts_as_its_intent() -> None:
    assert read(event(intent_event_id="asked"))[0].sighting.event_id == "asked"


@pytest.mark.parametrize(
    "flag",
    [
        event_pb2.PLACE_FLAG_VPN,
        event_pb2.PLACE_FLAG_TOR,
        event_pb2.PLACE_FLAG_RELAY,
        event_pb2.PLACE_FLAG_HOSTING,
    ],
)
def test_a_place_that_is_not_the_viewers_is_none(flag: int) -> None:
    places = event_pb2.Places(latitude_e4=[1], longitude_e4=[1], accuracy_km=[5], flags=[1 << flag])
    [item] = read(event(), places=places)
    assert (item.sighting.place, item.sighting.address) == (b"", "192.0.2.1")


def test_the_place_of_a_carriers_shared_address_is_rough() -> None:
    flags = [1 << event_pb2.PLACE_FLAG_SHARED]
    [item] = read(
        event(), places=event_pb2.Places(latitude_e4=[1], accuracy_km=[5], longitude_e4=[1], flags=flags)
    )
    assert unpack_place(item.sighting.place).accuracy_km == 500


def test_a_special_purpose_address_ties_nobody() -> None:
    [item] = read(event(), places=event_pb2.Places(flags=[1 << event_pb2.PLACE_FLAG_SPECIAL]))
    assert item.sighting.address == ""


def test_columns_have_one_entry_an_event_or_none() -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_columns(2, event_pb2.Places(country=[1], asn=[1, 2, 3], flags=[0, 0]), [1], least=1)
    assert reason(caught) == "COLUMN_LENGTH"
    assert [violation.field for violation in caught.value.violations] == [
        "places.country",
        "places.asn",
        "item_flags",
    ]


@pytest.mark.parametrize(("count", "expected"), [(0, "NO_EVENTS"), (2001, "TOO_MANY_EVENTS")])
def test_sizes(count: int, expected: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_columns(count, event_pb2.Places(), (), least=1)
    assert reason(caught) == expected
    read_columns(2000, event_pb2.Places(), (), least=1)


@pytest.mark.parametrize(
    "bad", [b"\xff\xff", event(user_id=""), event(device_id=""), event(event_id=""), b"\x0a\x02\xff\xfe"]
)
def test_a_malformed_event_is_named_by_its_position(bad: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(event(), bad)
    assert reason(caught) == "MALFORMED_EVENT"
    assert caught.value.metadata["index"] == "1"


def test_times_before_1970_are_refused() -> None:
    message = event_pb2.Event.FromString(event())
    message.event_time.seconds = -1
    with pytest.raises(InvalidArgument):
        read(message.SerializeToString())


@pytest.mark.parametrize("tenant", ["", "a b", "a" * 256, "a{b}", "ä"])
def test_tenants(tenant: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_tenant(tenant)
    assert reason(caught) == "TENANT_INVALID"


def test_pages() -> None:
    assert (page_size(0), page_size(1), page_size(1000)) == (100, 1, 1000)
    for wrong in (-1, 1001):
        with pytest.raises(InvalidArgument):
            page_size(wrong)
    token = page_token(512_000, "ring_0123456789abcdef")
    assert read_page_token(token) == (512_000, "ring_0123456789abcdef")
    assert read_page_token("") is None
    for bad in (
        "x",
        "====",
        token[:-6],
        page_token(2_000_000, "ring_0123456789abcdef"),
        page_token(1, "ring_x"),
        "é",
    ):
        with pytest.raises(InvalidArgument) as caught:
            read_page_token(bad)
        assert reason(caught) == "PAGE_TOKEN_INVALID"


def test_scores() -> None:
    assert minimum_score_e6(0.25) == 250_000
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidArgument):
            minimum_score_e6(wrong)
