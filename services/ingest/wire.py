"""Protobuf's wire format for the few messages that ingest assembles from parts other services serialised.

A decision is stored and answered as a concatenation (protobuf merges concatenated messages, see
https://protobuf.dev/programming-guides/encoding/#last-one-wins), which costs a tenth of building it field by field.
"""

from __future__ import annotations

from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

_VARINT = 0
_LENGTH = 2


def varint(value: int) -> bytes:
    """Base-128 varint of a value from 0 to 2^64 - 1."""
    if value < 0x80:
        return _SMALL[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [bytes((value,)) for value in range(0x80)]


def _tag(message: type, field: str, wire_type: int) -> bytes:
    number = message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]
    return varint(number << 3 | wire_type)


def length_delimited(tag: bytes, content: bytes) -> bytes:
    """A string, bytes or message field."""
    return tag + varint(len(content)) + content


_D = decision_pb2.Decision
OUTCOME = _tag(_D, "outcome", _VARINT)
WOULD_BE = _tag(_D, "would_be", _VARINT)
MODE = _tag(_D, "mode", _VARINT)
VERDICT = _tag(_D, "verdict", _LENGTH)
ASSESSMENT = _tag(_D, "assessment", _LENGTH)
EVENT_ID = _tag(_D, "event_id", _LENGTH)
TENANT = _tag(_D, "tenant", _LENGTH)
USER_ID = _tag(_D, "user_id", _LENGTH)
DECIDED_TIME = _tag(_D, "decided_time", _LENGTH)
POLICY_SET = _tag(_D, "policy_set", _LENGTH)
POSITION = _tag(_D, "position", _VARINT)
DEGRADED = _tag(_D, "degraded", _LENGTH)
FOLDED = _tag(_D, "folded", _VARINT)
SIGHTED = _tag(_D, "sighted", _VARINT)
STAGE_US = _tag(_D, "stage_us", _LENGTH)
TRACE_ID = _tag(_D, "trace_id", _LENGTH)
ITEM_FLAGS = _tag(_D, "item_flags", _VARINT)
EVENT_CLASS = _tag(_D, "event_class", _VARINT)
PLACE_DATA = _tag(_D, "place_data", _LENGTH)
COUNTRY = _tag(_D, "country", _LENGTH)
PLACE_FLAGS = _tag(_D, "place_flags", _VARINT)
ASN = _tag(_D, "asn", _VARINT)

ACCOUNT = _tag(event_pb2.Event, "account", _LENGTH)
"""Of an event, not of a decision."""


def packed(tag: bytes, values: list[int] | tuple[int, ...]) -> bytes:
    """A packed repeated field of non-negative integers; nothing where there are none."""
    if not values:
        return b""
    return length_delimited(tag, b"".join([varint(value) for value in values]))


def timestamp(tag: bytes, milliseconds: int) -> bytes:
    """A google.protobuf.Timestamp field."""
    seconds, rest = divmod(milliseconds, 1000)
    content = b"\x08" + varint(seconds)
    if rest:
        content += b"\x10" + varint(rest * 1_000_000)
    return length_delimited(tag, content)


_R = ingest_pb2.EventResult
RESULTS = _tag(ingest_pb2.DecideEventsResponse, "results", _LENGTH)
_RESULT_STATUS = _tag(_R, "status", _VARINT)
_RESULT_EVENT_ID = _tag(_R, "event_id", _LENGTH)
_RESULT_DECISION = _tag(_R, "decision", _LENGTH)


def result(status: int, event_id: str, decision: bytes = b"") -> bytes:
    """A serialised usher.ingest.v1.EventResult without failure."""
    content = _RESULT_STATUS + varint(status) + length_delimited(_RESULT_EVENT_ID, event_id.encode())
    if decision:
        content += length_delimited(_RESULT_DECISION, decision)
    return content


def results(serialised: list[bytes]) -> bytes:
    """A serialised SubmitEventsResponse or DecideEventsResponse (they share their wire)."""
    return b"".join([RESULTS + varint(len(one)) + one for one in serialised])
