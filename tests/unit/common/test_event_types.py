"""The open vocabulary of event types."""

from __future__ import annotations

import pytest

from services.common.event_types import ALIASES, EVENT_TYPES, canonical, event_class
from usher.event.v1 import event_pb2

# The 15 types of the original pipeline's code, and the upper case of its documents.
ORIGINAL = [
    "play",
    "pause",
    "stop",
    "seek",
    "error",
    "login",
    "logout",
    "login_failed",
    "purchase",
    "download",
    "export",
    "token_refresh",
    "token_refresh_failed",
    "bulk_download",
    "access",
]


@pytest.mark.parametrize("name", ORIGINAL)
def test_types_of_the_original_stand_for_themselves_in_both_cases(name: str) -> None:
    assert canonical(name) == name
    assert canonical(name.upper()) == name
    assert event_class(name) != event_pb2.EVENT_CLASS_UNSPECIFIED


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("STREAMING_START", "play"),
        ("BULK_DOWNLOAD", "bulk_download"),
        ("user_data_access", "access_request"),
        ("user_data_deletion", "erasure_request"),
        ("user_consent_change", "consent_change"),
        ("Login-Failed", "login_failed"),
        ("token refresh", "token_refresh"),
    ],
)
def test_other_spellings(sent: str, name: str) -> None:
    assert canonical(sent) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The comments of EventClass in event.proto.
        ("heartbeat", event_pb2.EVENT_CLASS_PLAYBACK),
        ("error", event_pb2.EVENT_CLASS_PLAYBACK),
        ("access", event_pb2.EVENT_CLASS_PLAYBACK),
        ("logout", event_pb2.EVENT_CLASS_LOGOUT),
        ("signup", event_pb2.EVENT_CLASS_LOGIN),
        ("token_refresh", event_pb2.EVENT_CLASS_LOGIN),
        ("data_export", event_pb2.EVENT_CLASS_EXPORT),
        ("chargeback", event_pb2.EVENT_CLASS_PAYMENT),
        ("refund", event_pb2.EVENT_CLASS_PAYMENT),
        ("email_change", event_pb2.EVENT_CLASS_CREDENTIAL),
        ("mfa_disable", event_pb2.EVENT_CLASS_CREDENTIAL),
        ("objection", event_pb2.EVENT_CLASS_RIGHTS),
        ("opt_out", event_pb2.EVENT_CLASS_RIGHTS),
    ],
)
def test_classes(name: str, expected: int) -> None:
    assert event_class(name) == expected


def test_an_unknown_type_is_itself_in_lower_case_without_class() -> None:
    assert canonical("Warp-Drive") == "warp-drive"
    assert event_class("warp-drive") == 0


def test_every_alias_leads_to_a_listed_type_and_hides_none() -> None:
    assert set(ALIASES.values()) <= set(EVENT_TYPES)
    assert not set(ALIASES) & set(EVENT_TYPES)
    assert all(name == name.lower() for name in [*EVENT_TYPES, *ALIASES])


def test_canonical_is_idempotent() -> None:
    for name in [*EVENT_TYPES, *ALIASES]:
        assert canonical(canonical(name)) == canonical(name)
