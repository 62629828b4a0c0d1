"""Records of a source as events. Pure.

A record is JSON or a serialised `usher.event.v1.Event`: what its own media type says, else what the settings say. The
frame of a schema registry (a zero byte, a schema id of four bytes, for protobuf the index of the message) is taken off;
no JSON text and no protobuf message begins with a zero byte, so nothing is mistaken for it. What cannot be read is not
refused: it becomes an event that ingest keeps as failed, with the bytes and the place in the source where they lie.

Frame: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from services.common.errors import InvalidArgument
from services.common.event_json import MAX_EVENT_BYTES, parse_event
from usher.event.v1 import event_pb2

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
KEPT_BYTES: Final = 60_000
"""Of a record that is no event: what a failed event has room for beside its errors."""

_PROTOBUF_TYPES = frozenset(
    {PROTOBUF, "application/protobuf", "application/vnd.google.protobuf", "protobuf", "proto"}
)
_JSON_TYPES = frozenset({JSON, "json"})
_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9._:@+/=~-]")
_LONGEST_ID = 255
_SHOWN = 100


class Record(NamedTuple):
    """One record as the source holds it."""

    value: bytes | None
    """Its bytes; None where it has none (a tombstone). Of one that is far too long perhaps only the beginning."""
    place: str
    """Where it lies, in characters of an identifier: `kafka:events/3/1042`."""
    where: str
    """The same for people: `offset 1042 of partition 3 of topic events`."""
    media_type: str = ""
    """What it says it is; empty: nothing."""
    time_ms: int = 0
    """When it was put there, Unix milliseconds; 0: not known."""
    size: int = -1
    """Bytes of the whole record, where `value` is its beginning."""


class Mapped(NamedTuple):
    """A record as ingest takes it."""

    payload: bytes
    """A serialised Event."""
    poison: bool
    """It is no event: ingest will keep it as failed."""


def mapped(record: Record, usual: str) -> Mapped:
    """The event that a record holds, or one that says why it holds none. Never raises for what a record holds.

    Args:
        record: as read.
        usual: JSON or PROTOBUF, for records that do not say what they are.
    """
    value = record.value
    if not value or (record.size < 0 and not value.strip()):
        return poison(record, "EMPTY_RECORD", "it holds nothing")
    kind = _kind(record.media_type, usual)
    if kind is None:
        return poison(
            record,
            "MEDIA_TYPE_UNKNOWN",
            f"it says that it is {record.media_type[:_SHOWN]!r}; {JSON} and {PROTOBUF} are known",
        )
    if record.size > len(value):
        return poison(record, "EVENT_TOO_LARGE", f"an event has at most {MAX_EVENT_BYTES} bytes")
    if value[0] == 0:
        framed = _unframed(value, kind)
        if framed is None:
            return poison(
                record,
                "FRAME_INVALID",
                "it begins like a schema registry's frame and is none, or names another message than the first",
            )
        value = framed
    if kind == PROTOBUF:
        return _protobuf(record, value)
    try:
        event = parse_event(value)
    except InvalidArgument as error:
        return poison(record, error.reason, error.message)
    if not event.event_id and event.HasField("unmapped"):
        event.event_id = identifier(record.place)
    return Mapped(event.SerializeToString(), event.HasField("unmapped"))


def poison(record: Record, reason: str, message: str) -> Mapped:
    """The event that stands for a record that is none: its bytes, its place, and what is wrong with it."""
    value = record.value or b""
    size = max(record.size, len(value))
    told = f"{record.where}: {message}"
    if size > KEPT_BYTES:
        told += f"; of its {size} bytes the first {min(KEPT_BYTES, len(value))} are kept here"
        if size == len(value):
            told += f"; SHA-256 of all {hashlib.sha256(value).hexdigest()}"
    event = event_pb2.Event(event_id=identifier(record.place))
    event.unmapped.payload = value[:KEPT_BYTES]
    event.unmapped.media_type = (
        _kind(record.media_type, "application/octet-stream") or record.media_type[:_SHOWN]
    )
    event.unmapped.violations.add(field="", reason=reason, message=told)
    return Mapped(event.SerializeToString(), True)


def identifier(place: str) -> str:
    """A place as an event_id: the same place is always the same id."""
    clean = _NO_IDENTIFIER.sub("_", place)
    if len(clean) <= _LONGEST_ID and clean == place:
        return clean
    # Two places that differ in what an id cannot hold still differ.
    digest = hashlib.sha256(place.encode()).hexdigest()[:16]
    return f"{clean[: _LONGEST_ID - 17]}:{digest}"


def _kind(media_type: str, usual: str) -> str | None:
    name = media_type.partition(";")[0].strip().lower()
    if not name:
        return usual
    if name in _JSON_TYPES or name.endswith("+json"):
        return JSON
    return PROTOBUF if name in _PROTOBUF_TYPES else None


def _unframed(value: bytes, kind: str) -> bytes | None:
    if len(value) < 6:
        return None
    if kind == JSON:
        return value[5:]
    # The first message of the file is written as one zero, or as a list of one zero.
    if value[5] == 0:
        return value[6:]
    return value[7:] if value[5:7] == b"\x02\x00" else None


def _protobuf(record: Record, value: bytes) -> Mapped:
    if len(value) > MAX_EVENT_BYTES:
        return poison(record, "EVENT_TOO_LARGE", f"an event has at most {MAX_EVENT_BYTES} bytes")
    try:
        event = event_pb2.Event.FromString(value)
    except DecodeError:
        return poison(record, "MALFORMED_MESSAGE", "it is not a usher.event.v1.Event (strings must be UTF-8)")
    return Mapped(value, event.HasField("unmapped"))
