"""Checks a batch and reads what fraud needs of it. Pure."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from services.common.address_ranges import NOT_OWN_PLACE, SHARED, SPECIAL
from services.common.errors import FieldViolation, InvalidArgument
from services.fraud.acts import kind_of, plan
from services.fraud.addresses import SATELLITE_NETWORKS
from services.fraud.memory import Sighting, pack_place
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2

MAX_EVENTS = 2_000
MAX_OUTCOMES = 1_000
DEFAULT_PAGE = 100
MAX_PAGE = 1_000
LATEST_MS = 4_133_980_800_000
"""2101-01-01T00:00:00Z."""
_LATEST_S = LATEST_MS // 1000
# Equal to calling a named tuple's class, for a third of the cost.
_tuple = tuple.__new__

CARRIER_ACCURACY_KM = 500
"""Least accuracy of the place of a carrier's shared address, kilometres."""

FOLD_ONLY = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
OLD = 1 << event_pb2.ITEM_FLAG_OLD
SUPPRESSED = 1 << event_pb2.ITEM_FLAG_SUPPRESSED
_VERDICTS = (fraud_pb2.OUTCOME_VERDICT_FRAUD, fraud_pb2.OUTCOME_VERDICT_INNOCENT)
UNTOUCHED = OLD | SUPPRESSED
"""Events that leave no trace in the memory."""

_TENANT = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")


class Item(NamedTuple):
    """One event of a batch."""

    sighting: Sighting
    region: str
    country: int
    place_flags: int
    item_flags: int
    act: int
    """What was done (see `acts`); 0: nothing that is kept."""
    stream_limit: int
    """Streams that the plan allows at once; 0: not told."""


def check_tenant(tenant: str) -> None:
    """Raises InvalidArgument (TENANT_INVALID)."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidArgument("TENANT_INVALID", "tenant is 1 to 255 characters of [A-Za-z0-9._:@+/=~-]")


def check_address(text: str) -> str:
    """An address in its usual spelling. Raises InvalidArgument (ADDRESS_INVALID)."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise InvalidArgument("ADDRESS_INVALID", "ip_address is no IPv4 or IPv6 address") from error


def check_verdict(request: fraud_pb2.SetRingStatusRequest) -> None:
    """Raises InvalidArgument (RING_STATUS_INVALID, NOTE_TOO_LONG)."""
    if request.status not in (
        fraud_pb2.RING_STATUS_OPEN,
        fraud_pb2.RING_STATUS_CONFIRMED,
        fraud_pb2.RING_STATUS_DISMISSED,
    ):
        raise InvalidArgument("RING_STATUS_INVALID", "status is OPEN, CONFIRMED or DISMISSED")
    if len(request.note) > 2_000 or len(request.decided_by) > 255:
        raise InvalidArgument("NOTE_TOO_LONG", "note has at most 2,000 characters, decided_by 255")


def check_outcomes(request: fraud_pb2.RecordOutcomesRequest) -> None:
    """Raises InvalidArgument (TOO_MANY_OUTCOMES, OUTCOME_INVALID)."""
    if len(request.outcomes) > MAX_OUTCOMES:
        raise InvalidArgument(
            "TOO_MANY_OUTCOMES",
            f"a call takes at most {MAX_OUTCOMES} outcomes, not {len(request.outcomes)}",
            metadata={"limit": str(MAX_OUTCOMES)},
        )
    for number, one in enumerate(request.outcomes):
        problems = [
            ("tenant", _TENANT.fullmatch(one.tenant) is None, "is required"),
            ("user_id", bool(one.user_id) == bool(one.ring_id), "user_id or ring_id is required, not both"),
            ("verdict", one.verdict not in _VERDICTS, "is FRAUD or INNOCENT"),
            ("position", not 0 < one.position <= request.through_position, "is from 1 to through_position"),
            ("actor", len(one.actor) > 255, "has at most 255 characters"),
        ]
        violations = [
            FieldViolation(f"outcomes[{number}].{field}", "OUTCOME_INVALID", text)
            for field, wrong, text in problems
            if wrong
        ]
        if violations:
            raise InvalidArgument(
                "OUTCOME_INVALID",
                f"outcomes[{number}] cannot be taken over",
                metadata={"index": str(number)},
                violations=violations,
            )


class Columns(NamedTuple):
    """The columns of a request, one entry an event."""

    country: Sequence[int]
    latitude_e4: Sequence[int]
    longitude_e4: Sequence[int]
    accuracy_km: Sequence[int]
    asn: Sequence[int]
    flags: Sequence[int]
    item_flags: Sequence[int]


def read_columns(count: int, places: event_pb2.Places, item_flags: Sequence[int], *, least: int) -> Columns:
    """The columns of a request of `count` events; an empty one is all zeros.

    Raises InvalidArgument: TOO_MANY_EVENTS (or fewer than `least`: NO_EVENTS), COLUMN_LENGTH.
    """
    if count > MAX_EVENTS:
        raise InvalidArgument(
            "TOO_MANY_EVENTS",
            f"a call takes at most {MAX_EVENTS} events, not {count}",
            metadata={"limit": str(MAX_EVENTS), "count": str(count)},
        )
    if count < least:
        raise InvalidArgument("NO_EVENTS", f"a call takes {least} event or more")
    columns = {
        "places.country": places.country,
        "places.latitude_e4": places.latitude_e4,
        "places.longitude_e4": places.longitude_e4,
        "places.accuracy_km": places.accuracy_km,
        "places.asn": places.asn,
        "places.flags": places.flags,
        "item_flags": item_flags,
    }
    wrong = [
        FieldViolation(name, "COLUMN_LENGTH", f"{len(column)} entries for {count} events")
        for name, column in columns.items()
        if len(column) not in (0, count)
    ]
    if wrong:
        raise InvalidArgument("COLUMN_LENGTH", "a column has one entry an event, or none", violations=wrong)
    return Columns._make(list(column) or [0] * count for column in columns.values())


def read_items(events: Sequence[bytes], columns: Columns, start: int, stop: int) -> list[Item]:
    """The events from `start` up to `stop`, at most all.

    Raises InvalidArgument (MALFORMED_EVENT) with the position.
    """
    parse = event_pb2.Event.FromString
    rows = zip(events[start:stop], *(column[start:stop] for column in columns), strict=True)
    items = []
    for position, row in enumerate(rows, start):
        content, country, latitude, longitude, accuracy, asn, place_flags, item_flags = row
        try:
            event = parse(content)
        except DecodeError as error:
            raise _malformed(position, "it is not a serialised Event") from error
        event_id = event.event_id
        user = event.user_id
        device = event.device_id
        if not (event_id and user and device):
            raise _malformed(position, "event_id, user_id and device_id are required")
        moment = event.event_time
        time_ms = moment.seconds * 1000 + moment.nanos // 1_000_000
        if not 0 <= time_ms < LATEST_MS:
            raise _malformed(position, "event_time is not within 1970 to 2100")
        place = b""
        if place_flags & SHARED and accuracy:
            # A carrier's exit lies anywhere in its country: handing over from Wi-Fi to mobile is no journey.
            accuracy = max(accuracy, CARRIER_ACCURACY_KM)
        if accuracy and not place_flags & NOT_OWN_PLACE and asn not in SATELLITE_NETWORKS:
            try:
                place = pack_place(time_ms, event_id, latitude, longitude, accuracy, country, asn)
            except struct.error as error:
                raise _malformed(position, "its place is out of range") from error
        address = "" if place_flags & SPECIAL else event.ip_address
        act, sensitive, streaming, ended, titled = kind_of(event.event_type)
        event_id = event.intent_event_id or event_id
        account = event.account
        # A running stream asks the windows nothing: they were asked when it began.
        quiet = streaming and not titled and not sensitive
        reads, adds = ((), ()) if quiet else plan(event, event_id, address, act, sensitive, titled)
        created = account.created_time.seconds
        sighting = _tuple(
            Sighting,
            (
                event_id,
                user,
                device,
                event.payment_fingerprint,
                address,
                account.household_id,
                time_ms,
                place,
                account.email_domain,
                account.signup_ip_address,
                created * 1000 if 0 < created < _LATEST_S else 0,
                act,
                event.stream_id if streaming else "",
                ended,
                reads,
                adds,
            ),
        )
        limit = account.stream_limit
        items.append(_tuple(Item, (sighting, event.region, country, place_flags, item_flags, act, limit)))
    return items


def _malformed(position: int, problem: str) -> InvalidArgument:
    return InvalidArgument(
        "MALFORMED_EVENT",
        f"events[{position}]: {problem}",
        metadata={"index": str(position)},
        violations=[FieldViolation(f"events[{position}]", "MALFORMED_EVENT", problem)],
    )


def page_size(asked: int) -> int:
    """Raises InvalidArgument (PAGE_SIZE_INVALID)."""
    if not 0 <= asked <= MAX_PAGE:
        raise InvalidArgument(
            "PAGE_SIZE_INVALID", f"page_size is from 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
        )
    return asked or DEFAULT_PAGE


def minimum_score_e6(score: float) -> int:
    """Millionths. Raises InvalidArgument (SCORE_INVALID)."""
    if not 0.0 <= score <= 1.0:
        raise InvalidArgument("SCORE_INVALID", "minimum_score is from 0 to 1")
    return round(score * 1_000_000)


def page_token(score_e6: int, ring_id: str) -> str:
    """Token of the page after a ring."""
    return base64.urlsafe_b64encode(f"{score_e6}.{ring_id}".encode()).decode()


def read_page_token(token: str) -> tuple[int, str] | None:
    """(score in millionths, ring id) of a token; None for the first page.

    Raises InvalidArgument (PAGE_TOKEN_INVALID).
    """
    if not token:
        return None
    try:
        score, _, ring_id = base64.urlsafe_b64decode(token.encode()).decode("ascii").partition(".")
        if not re.fullmatch(r"ring_[0-9a-f]{16}", ring_id) or not 0 <= int(score) <= 1_000_000:
            raise ValueError("not a position")
        return int(score), ring_id
    except (ValueError, binascii.Error) as error:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is not one that this service gave") from error
