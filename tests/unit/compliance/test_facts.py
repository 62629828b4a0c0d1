"""Which facts an event tells, and what is taken from its bare fields."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from services.compliance.facts import SCHEMA, Facts, country_of, is_own_right, read_facts, telling_countries
from usher.event.v1 import event_pb2

NOON = "2026-11-22T12:00:00Z"


def facts_of(
    privacy: dict[str, Any] | None = None, *, country: str = "", own_right: bool = False, **bare: Any
) -> Facts:
    event = event_pb2.Event(event_type="play", **{"region": "ZZ", **bare})
    event.event_time.FromJsonString(NOON)
    if privacy:
        json_format.ParseDict(privacy, event.privacy)
    return read_facts(event, country, own_right=own_right)


def fact(facts: Facts, path: str) -> Any:
    return facts.values[SCHEMA.positions[path]]


def test_every_told_fact_is_read() -> None:
    facts = facts_of(
        {
            "user_age": 0,
            "purpose": "Analytics",
            "age_assured": False,
            "data_categories": ["device_id"],
            "consent": {
                "status": "granted",
                "scope": ["analytics"],
                "obtained_time": "2026-11-22T00:00:00Z",
                "tcf": {"purpose_consents": [1, 9]},
            },
            "transfer": {"destination_country": "us", "cross_border": True},
        }
    )

    assert fact(facts, "user_age") == 0
    assert fact(facts, "purpose") == "analytics"
    assert fact(facts, "age_assured") is False
    assert fact(facts, "data_categories") == ("device_id",)
    assert fact(facts, "consent.scope") == ("analytics",)
    # 12 hours before noon.
    assert fact(facts, "event_time") - fact(facts, "consent.obtained_time") == 12 * 3600
    assert fact(facts, "consent.tcf.purpose_consents") == (1, 9)
    assert fact(facts, "transfer.destination_country") == "US"
    assert fact(facts, "signals.gpc") is None
    assert fact(facts, "handling") == "processing"


@pytest.mark.parametrize(
    ("privacy", "bare", "country", "location", "residence", "assumptions"),
    [
        (
            {},
            {"region": "NL"},
            "",
            ("NL",),
            ("NL",),
            ["region=NL -> user_location", "region=NL -> user_residence"],
        ),
        (
            {},
            {"region": "us-ca"},
            "DE",
            ("US-CA", "DE"),
            ("US-CA",),
            [
                "region=US-CA -> user_location",
                "ip_address country=DE -> user_location",
                "region=US-CA -> user_residence",
            ],
        ),
        (
            {},
            {"region": "US-CA"},
            "US",
            ("US-CA",),
            ("US-CA",),
            ["region=US-CA -> user_location", "region=US-CA -> user_residence"],
        ),
        (
            {},
            {"region": "UK"},
            "",
            ("GB",),
            ("GB",),
            ["region=GB -> user_location", "region=GB -> user_residence"],
        ),
        ({}, {"region": "ZZ", "is_eu": True}, "", ("EU",), None, ["is_eu=true -> user_location=EU"]),
        ({}, {"region": "LATAM", "is_eu": False}, "", None, None, []),
        (
            {"user_location": "FR"},
            {"region": "US"},
            "US",
            ("FR",),
            ("FR",),
            ["user_location=FR -> user_residence"],
        ),
        ({"user_location": "US-NY", "user_residence": "DE"}, {"region": "FR"}, "", ("US-NY",), ("DE",), []),
    ],
)
def test_places(
    privacy: dict[str, Any],
    bare: dict[str, Any],
    country: str,
    location: tuple[str, ...] | None,
    residence: tuple[str, ...] | None,
    assumptions: list[str],
) -> None:
    facts = facts_of(privacy, country=country, **bare)

    assert (facts.location, facts.residence) == (location, residence)
    assert list(facts.assumptions) == assumptions


@pytest.mark.parametrize(
    ("consent", "has_consent", "status", "scope"),
    [
        ({}, None, None, ()),
        ({}, True, "granted", None),
        ({}, False, "absent", ()),
        ({"status": "granted"}, False, "granted", None),
        ({"status": "GRANTED", "scope": ["ads"]}, None, "granted", ("ads",)),
        ({"status": "perhaps"}, True, None, ()),
        # As of the event's time, noon of 22 November.
        (
            {"status": "withdrawn", "withdrawn_time": "2026-11-22T12:00:01Z", "scope": ["ads"]},
            None,
            "granted",
            ("ads",),
        ),
        ({"status": "granted", "withdrawn_time": "2026-11-22T12:00:00Z"}, None, "withdrawn", ()),
        ({"status": "granted", "expires_time": "2026-11-22T12:00:00Z"}, None, "expired", ()),
        ({"status": "granted", "expires_time": "2026-11-22T12:00:01Z"}, None, "granted", None),
    ],
)
def test_consent(
    consent: dict[str, Any], has_consent: bool | None, status: str | None, scope: tuple[str, ...] | None
) -> None:
    bare = {} if has_consent is None else {"has_consent": has_consent}
    facts = facts_of({"consent": consent} if consent else {}, **bare)

    assert fact(facts, "consent.status") == status
    assert fact(facts, "consent.scope") == scope


@pytest.mark.parametrize(
    ("privacy", "own_right", "handling"),
    [
        ({}, False, "processing"),
        ({}, True, "rights"),
        ({"purpose": "rights_request"}, False, "rights"),
        ({"rights_request": {"type": "access"}}, False, "rights"),
        ({"subject_type": "incident"}, True, "incident"),
        ({"breach": {"affected": 3}}, False, "incident"),
        ({"purpose": "breach_notification"}, False, "incident"),
        ({"purpose": "retention_check"}, False, "retention"),
    ],
)
def test_handling(privacy: dict[str, Any], own_right: bool, handling: str) -> None:
    assert fact(facts_of(privacy, own_right=own_right), "handling") == handling


def test_derived_facts() -> None:
    facts = facts_of(
        {
            "consent": {"given_by": "parent"},
            "third_party": {"is_sale_or_share": True},
            "transfer": {"destination_country": "CN"},
        }
    )

    assert fact(facts, "consent.parental") is True
    assert fact(facts, "third_party.shared") is True
    assert fact(facts, "transfer.cross_border") is True


@pytest.mark.parametrize(
    ("event_type", "own"),
    [("erasure_request", True), ("OPT_OUT", True), ("play", False), ("data_export", False)],
)
def test_own_rights(event_type: str, own: bool) -> None:
    assert is_own_right(event_type) is own


def test_country_of_a_column_entry() -> None:
    assert country_of(ord("D") << 8 | ord("E")) == "DE"
    assert country_of(0) == ""


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (event_pb2.PLACE_FLAG_UNSPECIFIED, True),
        (event_pb2.PLACE_FLAG_SHARED, True),
        (event_pb2.PLACE_FLAG_HOSTING, False),
        (event_pb2.PLACE_FLAG_VPN, False),
        (event_pb2.PLACE_FLAG_TOR, False),
        (event_pb2.PLACE_FLAG_RELAY, False),
        (event_pb2.PLACE_FLAG_SPECIAL, False),
    ],
)
def test_the_exit_of_a_vpn_is_not_where_the_viewer_is(flag: int, told: bool) -> None:
    germany = 0x4445
    places = event_pb2.Places(country=[germany, germany], flags=[0, 1 << flag if flag else 0])
    assert list(telling_countries(places, 2)) == [germany, germany if told else 0]


def test_columns_that_are_not_sent_are_zeros() -> None:
    assert list(telling_countries(event_pb2.Places(), 2)) == [0, 0]
    assert list(telling_countries(event_pb2.Places(country=[1, 2]), 2)) == [1, 2]
    assert list(telling_countries(event_pb2.Places(flags=[0, 2]), 2)) == [0, 0]
