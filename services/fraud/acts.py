"""What of an event the windows and the account's acts remember, and what is asked of them first. Pure.

An act is a step of a takeover: a failed or successful sign-in, a change of credentials or of payment, an export.
"""

from __future__ import annotations

import ipaddress
import zlib
from functools import lru_cache

from services.common.event_types import canonical, event_class
from services.fraud.memory import (
    CHARGEBACKS_ON_DEVICE,
    CHARGEBACKS_ON_PAYMENT,
    DAY_MS,
    EXPORTERS_AT_ADDRESS,
    EXPORTS_OF_ACCOUNT,
    FAILED_AT_ADDRESS,
    FAILED_IN_NETWORK,
    FAILED_WITH_TOOL,
    FAILURES_AT_ADDRESS,
    FAILURES_OF_ACCOUNT,
    FAILURES_ON_DEVICE,
    HOUR_MS,
    MINUTE_MS,
    SIGNED_IN_IN_NETWORK,
    SIGNED_IN_WITH_TOOL,
    SOURCES_AGAINST_ACCOUNT,
    TITLES_OF_ACCOUNT,
    TRIALS_ON_DEVICE,
    TRIALS_ON_PAYMENT,
    Add,
    Read,
)
from usher.event.v1 import event_pb2

FAILED, SIGNED_IN, CREDENTIAL, PAYMENT, EXPORT = 1, 2, 3, 4, 5
NAMES = {
    FAILED: "failed_sign_in",
    SIGNED_IN: "sign_in",
    CREDENTIAL: "credential_change",
    PAYMENT: "payment_change",
    EXPORT: "export",
}

FAILED_SIGN_INS = frozenset({"login_failed", "token_refresh_failed", "mfa_failed"})
"""Canonical event types that count as a failed sign-in."""
_SIGN_INS = frozenset({"login", "signup"})
_PAYMENT_CHANGES = frozenset({"payment_method_add", "payment_method_change", "payment_method_remove"})
_CREDENTIAL_CHANGES = frozenset(
    {"password_change", "password_reset", "email_change", "phone_change", "profile_change", "mfa_disable"}
)
_TITLES = frozenset({"access", "play", "download", "bulk_download"})
_STREAMING = frozenset({"play", "pause", "seek", "heartbeat", "stop", "error"})
_BURST_MS = 10 * MINUTE_MS
# Equal to calling a named tuple's class, for a third of the cost.
_tuple = tuple.__new__


class Counts:
    """Positions of answers: the first five are asked for every event, the others by `SENSITIVE` ones."""

    ACCOUNT_FAILURES = 0
    DEVICE_FAILURES = 1
    ADDRESS_FAILURES = 2
    FAILED_AT_ADDRESS = 3
    TITLES = 4
    EXPORTS = 5
    BURST = 6
    FAILED_AT_ADDRESS_DAY = 7
    FAILED_IN_NETWORK = 8
    SIGNED_IN_IN_NETWORK = 9
    FAILED_WITH_TOOL = 10
    SIGNED_IN_WITH_TOOL = 11
    SOURCES = 12
    EXPORTERS = 13
    TRIALS_ON_DEVICE = 14
    TRIALS_ON_PAYMENT = 15
    CHARGEBACKS_ON_DEVICE = 16
    CHARGEBACKS_ON_PAYMENT = 17


BASIC = 6
"""Answers to an event that is not sensitive."""


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 address: what one customer or pool usually holds."""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


@lru_cache(maxsize=4_096)
def tool_of(user_agent: str) -> str:
    """A short name for a user agent; empty: none told."""
    return f"{zlib.crc32(user_agent.encode()):08x}" if user_agent else ""


@lru_cache(maxsize=1_024)
def kind_of(event_type: str) -> tuple[int, bool, bool, bool, bool]:
    """(act, sensitive, streaming, ends a stream, reads a title) of an event type as sent."""
    name = canonical(event_type)
    act = 0
    if name in FAILED_SIGN_INS:
        act = FAILED
    elif name in _SIGN_INS:
        act = SIGNED_IN
    elif name in _CREDENTIAL_CHANGES:
        act = CREDENTIAL
    elif name in _PAYMENT_CHANGES:
        act = PAYMENT
    elif event_class(name) == event_pb2.EVENT_CLASS_EXPORT:
        act = EXPORT
    sensitive = act > 0 or event_class(name) in (
        event_pb2.EVENT_CLASS_LOGIN,
        event_pb2.EVENT_CLASS_PAYMENT,
        event_pb2.EVENT_CLASS_CREDENTIAL,
    )
    return act, sensitive, name in _STREAMING, name == "stop", name in _TITLES


def plan(
    event: event_pb2.Event, event_id: str, address: str, act: int, sensitive: bool, titled: bool
) -> tuple[tuple[Read, ...], tuple[Add, ...]]:
    """Questions to the windows in the order of `Counts`, and what the event adds to them.

    Args:
        address: empty where the event's address can tell nothing.
    """
    user, device = event.user_id, event.device_id
    reads: tuple[Read, ...] = (
        _tuple(Read, (FAILURES_OF_ACCOUNT, user, HOUR_MS, event_id)),
        _tuple(Read, (FAILURES_ON_DEVICE, device, HOUR_MS, event_id)),
        _tuple(Read, (FAILURES_AT_ADDRESS, address, HOUR_MS, event_id)),
        _tuple(Read, (FAILED_AT_ADDRESS, address, HOUR_MS, user)),
        _tuple(Read, (TITLES_OF_ACCOUNT, user, HOUR_MS, event.content_id)),
        _tuple(Read, (EXPORTS_OF_ACCOUNT, user, DAY_MS, event_id)),
    )
    adds: tuple[Add, ...] = ()
    if titled and event.content_id:
        adds = (Add(TITLES_OF_ACCOUNT, user, event.content_id),)
    if not sensitive:
        return reads, adds
    payment = event.payment_fingerprint
    network = network_of(address) if address else ""
    tool = tool_of(event.user_agent)
    reads += (
        Read(FAILURES_OF_ACCOUNT, user, _BURST_MS, event_id),
        Read(FAILED_AT_ADDRESS, address, DAY_MS, user),
        Read(FAILED_IN_NETWORK, network, DAY_MS, user),
        Read(SIGNED_IN_IN_NETWORK, network, DAY_MS, user),
        Read(FAILED_WITH_TOOL, tool, HOUR_MS, user),
        Read(SIGNED_IN_WITH_TOOL, tool, HOUR_MS, user),
        Read(SOURCES_AGAINST_ACCOUNT, user, DAY_MS, address),
        Read(EXPORTERS_AT_ADDRESS, address, DAY_MS, user),
        Read(TRIALS_ON_DEVICE, device, 90 * DAY_MS, user),
        Read(TRIALS_ON_PAYMENT, payment, 90 * DAY_MS, user),
        Read(CHARGEBACKS_ON_DEVICE, device, 180 * DAY_MS, user),
        Read(CHARGEBACKS_ON_PAYMENT, payment, 180 * DAY_MS, user),
    )
    more = []
    if act == FAILED:
        more += [(FAILURES_OF_ACCOUNT, user, event_id), (FAILURES_ON_DEVICE, device, event_id)]
        more += [(FAILURES_AT_ADDRESS, address, event_id), (FAILED_AT_ADDRESS, address, user)]
        more += [(FAILED_IN_NETWORK, network, user), (FAILED_WITH_TOOL, tool, user)]
        if address:
            more.append((SOURCES_AGAINST_ACCOUNT, user, address))
    elif act == SIGNED_IN:
        more += [(SIGNED_IN_IN_NETWORK, network, user), (SIGNED_IN_WITH_TOOL, tool, user)]
    elif act == EXPORT:
        more += [(EXPORTS_OF_ACCOUNT, user, event_id), (EXPORTERS_AT_ADDRESS, address, user)]
    if event.account.trial:
        more += [(TRIALS_ON_DEVICE, device, user), (TRIALS_ON_PAYMENT, payment, user)]
    if canonical(event.event_type) == "chargeback":
        more += [(CHARGEBACKS_ON_DEVICE, device, user), (CHARGEBACKS_ON_PAYMENT, payment, user)]
    return reads, adds + tuple(Add(kind, key, member) for kind, key, member in more if key)
