"""The open vocabulary of event types: canonical names, other spellings, and the class of each.

Senders write what they like ("PLAY", "play", "STREAMING_START"); everything after the edge compares canonical
names. A type that is not listed is accepted: it stands for itself in lower case, has the class
EVENT_CLASS_UNSPECIFIED, and its decision says so (REASON_CODE_UNKNOWN_EVENT_TYPE). docs/events.md shows this
table to senders, and a test holds the two together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from usher.event.v1 import event_pb2

_PLAYBACK: Final = event_pb2.EVENT_CLASS_PLAYBACK
_LOGOUT: Final = event_pb2.EVENT_CLASS_LOGOUT
_LOGIN: Final = event_pb2.EVENT_CLASS_LOGIN
_EXPORT: Final = event_pb2.EVENT_CLASS_EXPORT
_PAYMENT: Final = event_pb2.EVENT_CLASS_PAYMENT
_CREDENTIAL: Final = event_pb2.EVENT_CLASS_CREDENTIAL
_RIGHTS: Final = event_pb2.EVENT_CLASS_RIGHTS

EVENT_TYPES: Final[dict[str, int]] = {
    "play": _PLAYBACK,
    "pause": _PLAYBACK,
    "stop": _PLAYBACK,
    "seek": _PLAYBACK,
    "heartbeat": _PLAYBACK,
    "error": _PLAYBACK,
    "access": _PLAYBACK,
    "logout": _LOGOUT,
    "login": _LOGIN,
    "login_failed": _LOGIN,
    "token_refresh": _LOGIN,
    "token_refresh_failed": _LOGIN,
    "signup": _LOGIN,
    "account_takeover_attempt": _LOGIN,
    "download": _EXPORT,
    "export": _EXPORT,
    "bulk_download": _EXPORT,
    "data_export": _EXPORT,
    "purchase": _PAYMENT,
    "payment_success": _PAYMENT,
    "payment_failed": _PAYMENT,
    "payment_method_add": _PAYMENT,
    "payment_method_change": _PAYMENT,
    "payment_method_remove": _PAYMENT,
    "subscription_change": _PAYMENT,
    "refund": _PAYMENT,
    "chargeback": _PAYMENT,
    "password_change": _CREDENTIAL,
    "password_reset": _CREDENTIAL,
    "email_change": _CREDENTIAL,
    "phone_change": _CREDENTIAL,
    "profile_change": _CREDENTIAL,
    "device_add": _CREDENTIAL,
    "device_remove": _CREDENTIAL,
    "mfa_enroll": _CREDENTIAL,
    "mfa_disable": _CREDENTIAL,
    "mfa_challenge": _CREDENTIAL,
    "mfa_failed": _CREDENTIAL,
    "consent_grant": _RIGHTS,
    "consent_change": _RIGHTS,
    "consent_withdraw": _RIGHTS,
    "access_request": _RIGHTS,
    "portability_request": _RIGHTS,
    "rectification_request": _RIGHTS,
    "erasure_request": _RIGHTS,
    "objection": _RIGHTS,
    "opt_out": _RIGHTS,
}
"""Canonical name -> usher.event.v1.EventClass as a number."""

ALIASES: Final[dict[str, str]] = {
    "streaming_start": "play",
    "stream_start": "play",
    "start": "play",
    "playback_start": "play",
    "resume": "play",
    "streaming_pause": "pause",
    "playback_pause": "pause",
    "streaming_stop": "stop",
    "stream_stop": "stop",
    "streaming_end": "stop",
    "playback_stop": "stop",
    "streaming_heartbeat": "heartbeat",
    "playback_error": "error",
    "streaming_error": "error",
    "data_access": "access",
    "sign_in": "login",
    "signin": "login",
    "login_success": "login",
    "login_failure": "login_failed",
    "auth_failure": "login_failed",
    "sign_in_failed": "login_failed",
    "sign_out": "logout",
    "signout": "logout",
    "sign_up": "signup",
    "register": "signup",
    "account_created": "signup",
    "token_refresh_failure": "token_refresh_failed",
    "bulk_export": "bulk_download",
    "payment": "payment_success",
    "payment_failure": "payment_failed",
    "user_data_access": "access_request",
    "data_subject_access_request": "access_request",
    "user_data_deletion": "erasure_request",
    "data_deletion": "erasure_request",
    "deletion_request": "erasure_request",
    "user_consent_change": "consent_change",
    "consent_granted": "consent_grant",
    "consent_withdrawn": "consent_withdraw",
    "data_portability": "portability_request",
    "optout": "opt_out",
}
"""Other spellings in lower case -> canonical name. Other cases, and `-` or a blank for `_`, need no entry."""

# Spellings met as they are: one dict look-up for the usual ones.
_KNOWN: Final[dict[str, str]] = {
    spelling: name
    for listed, name in [*((name, name) for name in EVENT_TYPES), *ALIASES.items()]
    for spelling in (listed, listed.upper())
}


def canonical(event_type: str) -> str:
    """Returns the canonical name of an event type; an unknown one stands for itself in lower case.

    Case does not matter, nor whether words are joined by `_`, `-` or a blank where the joined name is known.
    """
    known = _KNOWN.get(event_type)
    return known if known is not None else _fold(event_type)


def event_class(canonical_type: str) -> int:
    """Returns the usher.event.v1.EventClass of a canonical name as a number; 0 for an unknown type."""
    return EVENT_TYPES.get(canonical_type, 0)


@lru_cache(maxsize=4096)
def _fold(event_type: str) -> str:
    folded = event_type.lower()
    return _KNOWN.get(folded.replace("-", "_").replace(" ", "_"), folded)
