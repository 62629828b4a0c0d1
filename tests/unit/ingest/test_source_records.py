"""Records of a source as events: every record becomes one event, and what is none says where it lies."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.event_json import MAX_EVENT_BYTES
from services.ingest import check
from services.ingest.sources.records import JSON, KEPT_BYTES, PROTOBUF, Record, identifier, mapped
from tests.fakes import event
from usher.event.v1 import event_pb2

PLACE = "kafka:events/3/1042"
WHERE = "offset 1042 of partition 3 of topic events"
GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "device_id": "d1",
    "event_type": "play",
    "timestamp": "2026-01-16T12:34:56Z",
    "region": "DE",
    "ip_address": "192.0.2.1",
}


def record(value: bytes | None, media_type: str = "", size: int = -1) -> Record:
    return Record(value, PLACE, WHERE, media_type, 0, size)


def one(value: bytes | None, media_type: str = "", usual: str = JSON, size: int = -1) -> event_pb2.Event:
    return event_pb2.Event.FromString(mapped(record(value, media_type, size), usual).payload)


def the_violation(found: event_pb2.Event) -> event_pb2.FieldViolation:
    (violation,) = found.unmapped.violations
    return violation


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "JSON", "application/cloudevents+json; charset=utf-8"]
)
def test_json_is_read(media_type: str) -> None:
    found = one(orjson.dumps(GOOD), media_type)
    assert (found.event_id, found.ip_address) == ("e1", "192.0.2.1")
    assert not found.HasField("unmapped")


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/protobuf", "protobuf"])
def test_a_record_says_itself_what_it_is(media_type: str) -> None:
    sent = event()
    assert one(sent.SerializeToString(), media_type, JSON) == sent
    assert one(sent.SerializeToString(), "", PROTOBUF) == sent
    assert one(orjson.dumps(GOOD), "application/json", PROTOBUF).event_id == "e1"


# A schema id of 7; protobuf's index of the first message as one zero, and as a list of one zero.
@pytest.mark.parametrize(
    ("frame", "usual"),
    [
        (b"\x00\x00\x00\x00\x07", JSON),
        (b"\x00\x00\x00\x00\x07\x00", PROTOBUF),
        (b"\x00\x00\x00\x00\x07\x02\x00", PROTOBUF),
    ],
)
def test_the_frame_of_a_schema_registry_is_taken_off(frame: bytes, usual: str) -> None:
    value = orjson.dumps(GOOD) if usual == JSON else event().SerializeToString()
    found = one(frame + value, usual=usual)
    assert found.event_id == "e1"
    assert not found.HasField("unmapped")


@pytest.mark.parametrize(
    ("value", "media_type", "usual", "reason"),
    [
        (None, "", JSON, "EMPTY_RECORD"),
        (b"  \n", "", JSON, "EMPTY_RECORD"),
        (b"{", "", JSON, "MALFORMED_JSON"),
        (b"\xff\xfe", "", JSON, "MALFORMED_JSON"),
        (b"[]", "", JSON, "NO_EVENTS"),
        (b"<event/>", "text/xml", JSON, "MEDIA_TYPE_UNKNOWN"),
        (b"\xff\xff\xff", "", PROTOBUF, "MALFORMED_MESSAGE"),
        (b"\x00\x01", "", PROTOBUF, "FRAME_INVALID"),
        # The third message of the file.
        (b"\x00\x00\x00\x00\x07\x02\x04", "", PROTOBUF, "FRAME_INVALID"),
    ],
)
def test_what_is_no_event_becomes_one_that_fails_and_names_its_place(
    value: bytes | None, media_type: str, usual: str, reason: str
) -> None:
    found = one(value, media_type, usual)
    assert found.event_id == PLACE
    assert the_violation(found).reason == reason
    assert WHERE in the_violation(found).message
    assert found.unmapped.payload == (value or b"")
    violations, _ = check.examine(found, 1_800_000_000_000, frozenset())
    assert [violation.reason for violation in violations] == [reason], "nothing is said to be missing from it"


def test_wrong_fields_are_told_as_at_the_other_doors() -> None:
    found = one(orjson.dumps({**GOOD, "is_eu": "yes", "event_id": ""}))
    assert {v.reason for v in found.unmapped.violations} >= {"WRONG_TYPE"}
    assert found.event_id == PLACE, "so that it can be found"


@pytest.mark.parametrize("usual", [JSON, PROTOBUF])
def test_of_a_record_that_is_too_large_the_beginning_is_kept_with_a_hash_of_all(usual: str) -> None:
    value = b'{"event_id":"' + b"x" * 200_000 + b'"}' if usual == JSON else b"\x0a" * 200_000
    found = one(value, usual=usual)
    assert found.ByteSize() <= MAX_EVENT_BYTES
    assert found.unmapped.payload == value[:KEPT_BYTES]
    assert hashlib.sha256(value).hexdigest() in the_violation(found).message
    assert str(len(value)) in the_violation(found).message


def test_of_a_line_that_was_never_held_as_a_whole_the_size_is_told() -> None:
    found = one(b"x" * 100, size=3_000_000)
    assert the_violation(found).reason == "EVENT_TOO_LARGE"
    assert "3000000 bytes" in the_violation(found).message


@given(
    value=st.none() | st.binary(max_size=300),
    media_type=st.text(max_size=40) | st.sampled_from(["", "application/json", "application/x-protobuf"]),
    usual=st.sampled_from([JSON, PROTOBUF]),
)
def test_every_record_becomes_one_event_that_ingest_can_take(
    value: bytes | None, media_type: str, usual: str
) -> None:
    made = mapped(record(value, media_type), usual)
    found = event_pb2.Event.FromString(made.payload)
    assert len(made.payload) <= MAX_EVENT_BYTES
    assert made.poison == found.HasField("unmapped")
    check.examine(found, 1_800_000_000_000, frozenset())


@given(st.text(max_size=400), st.text(max_size=400))
def test_a_place_is_an_identifier_and_two_places_are_two(first: str, second: str) -> None:
    ids = [identifier(place) for place in (first, second)]
    assert all(0 < len(one) <= 255 for one, place in zip(ids, (first, second), strict=True) if place)
    assert (ids[0] == ids[1]) == (first == second)
