"""Events as JSON: exact, strict, and the same bytes for the same content."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidArgument
from services.common.event_json import (
    MAX_EVENTS,
    MAX_METADATA_BYTES,
    event_from_json,
    event_schema,
    event_to_json,
    parse_batch,
    parse_event,
    parse_events,
    parse_time,
)
from usher.event.v1 import event_pb2

ORIGINAL = Path(__file__).parents[2] / "data" / "original" / "event.json"


def sample(**changes: Any) -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(ORIGINAL.read_text())
    return {**obj, **changes}


def violations(event: event_pb2.Event) -> set[tuple[str, str]]:
    return {(item.field, item.reason) for item in event.unmapped.violations}


# --- the original's event ----------------------------------------------------------------------------


def test_the_original_sample_event() -> None:
    event = parse_event(ORIGINAL.read_bytes())
    assert event == event_pb2.Event(
        event_id="evt_20260116_001",
        user_id="user_42",
        device_id="tv_lg_abc123",
        content_id="movie_987",
        event_type="PLAY",
        # 2026-01-16 is day 20,469 since 1970-01-01: 20,469 x 86,400 + 45,296.
        event_time={"seconds": 1_768_566_896},
        region="NL",
        is_eu=True,
        has_consent=False,
        ip_address="203.0.113.10",
        subscription_plan="premium",
        metadata_json=b'{"app_version":"1.2.3","device_model":"LG_OLED_55","network_type":"wifi"}',
    )


def test_the_names_of_the_contract_are_accepted_too() -> None:
    obj = sample()
    obj["event_time"] = obj.pop("timestamp")
    obj["metadata"] = obj.pop("extra_metadata")
    assert event_from_json(obj) == event_from_json(sample())


def test_two_names_for_one_field_are_refused() -> None:
    event = event_from_json(sample(event_time="2026-01-16T12:34:56Z"))
    assert violations(event) == {("event_time", "DUPLICATE_FIELD")}


def test_null_means_absent() -> None:
    with_nulls = sample(privacy=None, account=None, content_id=None, is_eu=None, brand_new=None)
    bare = sample()
    del bare["content_id"], bare["is_eu"]
    assert event_from_json(with_nulls) == event_from_json(bare)
    assert not event_from_json(with_nulls).HasField("is_eu")


def test_privacy_facts_and_account() -> None:
    event = event_from_json(
        sample(
            phase="intent",
            origin="IMPORT",
            data_volume_bytes=2**53,
            privacy={
                "user_residence": "US-CA",
                "user_age": 15,
                "consent": {
                    "status": "granted",
                    "scope": ["analytics"],
                    "obtained_at": "2026-03-01T00:00:00Z",
                    "tcf": {"vendor_id": 755, "purpose_consents": [1]},
                },
                "signals": {"gpc": True, "gpp_sids": [8]},
                "transfer": {"cross_border": True, "pia_done": True},
                "rights_request": {"type": "access", "answered_at": None},
                "annual_outbound_individuals": 50000,
            },
            account={"created_at": "2025-01-01T00:00:00Z", "stream_limit": 4, "trial": False},
        )
    )
    assert not event.HasField("unmapped")
    assert event.phase == event_pb2.PHASE_INTENT
    assert event.origin == event_pb2.ORIGIN_IMPORT
    assert event.data_volume_bytes == 2**53
    assert event.privacy.user_age == 15
    assert event.privacy.consent.obtained_time.ToJsonString() == "2026-03-01T00:00:00Z"
    assert list(event.privacy.consent.tcf.purpose_consents) == [1]
    assert event.privacy.signals.gpc is True
    assert event.privacy.transfer.impact_assessment_done is True
    assert not event.privacy.rights_request.HasField("answered_time")
    assert event.account.created_time.ToJsonString() == "2025-01-01T00:00:00Z"
    assert event.account.HasField("trial")
    assert not event.account.trial


def test_unknown_fields_are_kept_where_they_were() -> None:
    event = event_from_json(sample(zeta={"b": 1, "a": [2]}, privacy={"user_age": 30, "mood": "good"}))
    assert event.unknown_json == b'{"privacy":{"mood":"good"},"zeta":{"a":[2],"b":1}}'
    shown = event_to_json(event)
    assert shown["zeta"] == {"a": [2], "b": 1}
    assert shown["privacy"] == {"user_age": 30, "mood": "good"}


# --- what is wrong with one event --------------------------------------------------------------------


def test_every_error_of_an_event_at_once() -> None:
    event = event_from_json(
        {
            "event_id": "e1",
            "device_id": 7,
            "event_type": "x" * 51,
            "timestamp": "9999-01-01T00:00:00Z",
            "region": ["NL"],
            "is_eu": 1,
            "has_consent": "true",
            "ip_address": "203.0.113.10",
            "data_volume_bytes": -1,
            "phase": "later",
            "extra_metadata": [],
            "privacy": {"user_age": 151, "consent": {"scope": ["a", 1]}, "breach": True},
        }
    )
    assert violations(event) == {
        ("user_id", "MISSING"),
        ("device_id", "WRONG_TYPE"),
        ("event_type", "TOO_LONG"),
        ("timestamp", "TIME_OUT_OF_RANGE"),
        ("region", "WRONG_TYPE"),
        ("is_eu", "WRONG_TYPE"),
        ("has_consent", "WRONG_TYPE"),
        ("data_volume_bytes", "OUT_OF_RANGE"),
        ("phase", "VALUE_UNKNOWN"),
        ("extra_metadata", "WRONG_TYPE"),
        ("privacy.user_age", "OUT_OF_RANGE"),
        ("privacy.consent.scope[1]", "WRONG_TYPE"),
        ("privacy.breach", "WRONG_TYPE"),
    }
    assert event.event_id == "e1"
    assert event.ip_address == "203.0.113.10"


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_says_as_little_as_nothing(empty: str | None) -> None:
    assert violations(event_from_json(sample(user_id=empty))) == {("user_id", "MISSING")}


@pytest.mark.parametrize("value", [True, 1.0, "5", [5], {"n": 5}])
def test_a_number_is_not_coerced(value: Any) -> None:
    assert violations(event_from_json(sample(data_volume_bytes=value))) == {
        ("data_volume_bytes", "WRONG_TYPE")
    }


def test_what_is_not_an_object_is_one_violation() -> None:
    for value in (1, "event", [sample()], None, True):
        assert violations(event_from_json(value)) == {("", "WRONG_TYPE")}


def test_the_text_is_kept_as_sent() -> None:
    body = b'[ {"event_id": "a",  "is_eu": "yes"} , ' + ORIGINAL.read_bytes() + b"]"
    first, second = parse_events(body)
    assert first.unmapped.payload == b'{"event_id": "a",  "is_eu": "yes"}'
    assert first.unmapped.media_type == "application/json"
    assert second == parse_event(ORIGINAL.read_bytes())


def test_not_a_number_is_told_by_field_and_the_rest_goes_on() -> None:
    good = ORIGINAL.read_text()
    bad = good.replace('"1.2.3"', "[1, NaN]").replace('"premium"', "Infinity")
    first, second, third = parse_events(f"[{good},{bad},{good}]".encode())
    assert not first.HasField("unmapped")
    assert not third.HasField("unmapped")
    assert violations(second) == {
        ("extra_metadata.app_version[1]", "NUMBER_INVALID"),
        ("subscription_plan", "WRONG_TYPE"),
    }
    assert second.unmapped.payload == bad.strip().encode()


def test_a_number_beyond_a_double_is_no_number() -> None:
    event = parse_event(ORIGINAL.read_bytes().replace(b'"1.2.3"', b"1e400"))
    assert violations(event) == {("extra_metadata.app_version", "NUMBER_INVALID")}


def test_names_that_come_twice() -> None:
    text = ORIGINAL.read_text()
    twice = text.replace('"user_id": "user_42",', '"user_id": "user_42", "user_id": "user_43",')
    assert violations(parse_event(twice.encode())) == {("user_id", "DUPLICATE_FIELD")}
    inner = text.replace('"network_type": "wifi",', '"network_type": "wifi", "network_type": "wifi",')
    assert violations(parse_event(inner.encode())) == {("extra_metadata.network_type", "DUPLICATE_FIELD")}
    # A colon after a quote within a text is not a name.
    quoted = text.replace('"1.2.3"', r'"\": \": \":"')
    assert not parse_event(quoted.encode()).HasField("unmapped")


def test_unpaired_surrogates() -> None:
    event = parse_event(ORIGINAL.read_bytes().replace(b'"user_42"', rb'"\ud800"'))
    assert violations(event) == {("user_id", "TEXT_INVALID")}
    event = parse_event(ORIGINAL.read_bytes().replace(b'"wifi"', rb'"\udc00"'))
    assert violations(event) == {("extra_metadata.network_type", "TEXT_INVALID")}


def test_metadata_has_a_size_and_a_depth() -> None:
    # {"k":"..."} takes 8 bytes beside the text.
    fits = sample(extra_metadata={"k": "x" * (MAX_METADATA_BYTES - 8)})
    assert not event_from_json(fits).HasField("unmapped")
    over = sample(extra_metadata={"k": "x" * (MAX_METADATA_BYTES - 7)})
    assert violations(event_from_json(over)) == {("extra_metadata", "TOO_LONG")}
    deep: dict[str, Any] = {}
    for _ in range(7):
        deep = {"d": deep}
    assert not event_from_json(sample(extra_metadata=deep)).HasField("unmapped")
    event = event_from_json(sample(extra_metadata={"d": deep}))
    assert violations(event) == {("extra_metadata" + ".d" * 8, "TOO_DEEP")}


def test_violations_are_bounded() -> None:
    event = event_from_json(sample(extra_metadata={f"k{n}": float("nan") for n in range(500)}))
    assert len(event.unmapped.violations) == 100
    assert event.unmapped.violations[-1].reason == "TOO_MANY_VIOLATIONS"


def test_a_large_event_with_an_error_stays_within_the_limit() -> None:
    text = json.dumps(sample(is_eu="yes", extra_metadata={"k": "x" * 16_000}, content_id="y" * 255))
    padded = text[:-1] + " " * 40_000 + "}"
    event = parse_event(padded.encode())
    assert event.unmapped.payload == padded.encode()
    assert event.event_id == "evt_20260116_001"
    assert event.user_id == "user_42"
    assert event.ByteSize() <= 65_536


def test_violations_never_hold_the_value() -> None:
    secret = "jane.doe+secret"
    event = event_from_json(sample(user_id=[secret], device_id=secret * 50, region=secret, timestamp=secret))
    assert len(event.unmapped.violations) == 4
    assert all(secret not in item.message + item.field for item in event.unmapped.violations)


# --- times (RFC 3339) --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        # Examples of RFC 3339, section 5.8.
        ("1985-04-12T23:20:50.52Z", 482_196_050, 520_000_000),
        ("1996-12-19T16:39:57-08:00", 851_042_397, 0),
        ("1996-12-20T00:39:57Z", 851_042_397, 0),
        ("2026-01-16t12:34:56z", 1_768_566_896, 0),
        ("2026-01-16T21:34:56.123456789+09:00", 1_768_566_896, 123_456_789),
        ("2000-02-29T00:00:00Z", 951_782_400, 0),
        ("1969-12-31T23:59:59-00:01", 59, 0),
    ],
)
def test_times(text: str, seconds: int, nanos: int) -> None:
    assert parse_time(text) == (seconds, nanos)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-16",
        "2026-01-16T12:34:56",
        "2026-01-16T12:34Z",
        "2026-01-16T24:00:00Z",
        "2026-01-16T12:60:00Z",
        "2026-01-16T12:34:61Z",
        "1990-12-31T23:59:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-16T12:34:56+24:00",
        "2026-01-16T12:34:56+0900",
        "2026-01-16T12:34:56.Z",
        "2026-01-16T12:34:56.1234567890Z",
        "2026-W03-5T12:34:56Z",
        "٢٠٢٦-01-16T12:34:56Z",
        "2026-01-16T12:34:56Z\n",
    ],
)
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_time(text)
    assert caught.value.reason == "TIME_INVALID"


@pytest.mark.parametrize(
    "text",
    ["1969-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01"],
)
def test_times_out_of_range(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_time(text)
    assert caught.value.reason == "TIME_OUT_OF_RANGE"


# --- bodies ------------------------------------------------------------------------------------------


def test_the_forms_of_a_body() -> None:
    one = ORIGINAL.read_bytes()
    flat = orjson.dumps(orjson.loads(one))
    event = parse_event(one)
    assert parse_batch(one) == ([event], True)
    assert parse_batch(b"[" + one + b"]") == ([event], False)
    assert parse_batch(b'{"events":[' + one + b"," + one + b"]}") == ([event, event], False)
    assert parse_batch(flat + b"\r\n\n" + flat, lines=True) == ([event, event], False)


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b"{", 1),
        (b'{"a":1} {"b":2}', 8),
        (b'[{"event_id":"a"},', 18),
        (b'{"user_id":"\xff"}', 12),
        # The position counts bytes: "é" takes two.
        ('{"é":é}'.encode(), 6),
        (b"\xef\xbb\xbf{}", 0),
    ],
)
def test_broken_json_tells_the_byte(body: bytes, position: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_events(body)
    assert caught.value.reason == "MALFORMED_JSON"
    assert caught.value.metadata["position"] == str(position)


def test_a_broken_line_tells_line_and_byte() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_events(b'{"event_id":"a"}\n{"event_id":x}\n', lines=True)
    assert caught.value.reason == "MALFORMED_JSON"
    assert caught.value.metadata == {"line": "2", "position": str(17 + 12)}


@pytest.mark.parametrize("lines", [False, True])
def test_too_many_events(lines: bool) -> None:
    item = b'{"event_id":"a"}'
    count = MAX_EVENTS + 1
    body = b"\n".join([item] * count) if lines else b"[" + b",".join([item] * count) + b"]"
    with pytest.raises(InvalidArgument) as caught:
        parse_events(body, lines=lines)
    assert caught.value.reason == "TOO_MANY_EVENTS"
    assert caught.value.metadata == {"limit": "2000", "count": "2001"}


@pytest.mark.parametrize("body", [b"[]", b'{"events":[]}'])
def test_no_events(body: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_events(body)
    assert caught.value.reason == "NO_EVENTS"


@pytest.mark.parametrize(
    "body", [b'{"events":{}}', b'{"events":[{}],"tenant":"x"}', b'{"events":[{}],"events":[{}]}']
)
def test_a_wrong_envelope(body: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_events(body)
    assert caught.value.reason == "ENVELOPE_INVALID"


@pytest.mark.parametrize("depth", [65, 900, 5_000, 200_000])
def test_too_deep(depth: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_events(b"[" * depth + b"]" * depth)
    assert caught.value.reason == "TOO_DEEP"
    assert caught.value.metadata == {"limit": "64", "position": "64"}


def test_too_large_an_event_tells_which() -> None:
    large = json.dumps(sample(is_eu="yes", padding="x" * 70_000))
    with pytest.raises(InvalidArgument) as caught:
        parse_events(f"[{ORIGINAL.read_text()},{large}]".encode())
    assert caught.value.reason == "EVENT_TOO_LARGE"
    assert caught.value.metadata == {"position": "1", "limit": "65536"}


def test_one_event_is_expected() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_event(b"[" + ORIGINAL.read_bytes() + b"]")
    assert caught.value.reason == "ONE_EVENT_EXPECTED"


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_a_typed_error(body: bytes) -> None:
    for lines in (False, True):
        try:
            events = parse_events(body, lines=lines)
        except InvalidArgument:
            continue
        assert all(event.ByteSize() for event in events)


# --- properties --------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SMALLEST = {"user_age": 150, "stream_limit": 100, "data_volume_bytes": 2**53}
STRING_LIMITS = {
    "event_type": 50,
    "region": 10,
    "subscription_plan": 20,
    "user_residence": 10,
    "user_location": 10,
    "storage_country": 10,
    "recipient_country": 10,
    "destination_country": 10,
}


def canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(item) for item in value), default=0)
    return 0


@st.composite
def message(draw: st.DrawFn, descriptor: Descriptor) -> dict[str, Any]:
    """Constructor arguments of a message, each field there or not."""
    values: dict[str, Any] = {}
    for field in descriptor.fields:
        if field.name in ("unmapped", "metadata_json", "unknown_json"):
            continue
        required = descriptor.name == "Event" and field.name in (
            ["event_id", "user_id", "device_id", "event_type", "event_time", "region", "ip_address"]
        )
        if not required and draw(st.integers(0, 2)):
            continue
        values[field.name] = draw(value_of(field))
    return values


def value_of(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return st.fixed_dictionaries(
                {"seconds": st.integers(0, 4_133_980_799), "nanos": st.integers(0, 999_999_999)}
            )
        return message(field.message_type)
    if field.type == FieldDescriptor.TYPE_STRING:
        limit = STRING_LIMITS.get(field.name, 20)
        if field.name == "controller_established_in":
            limit = 10
        one: st.SearchStrategy[Any] = st.text(st.characters(codec="utf-8"), min_size=1, max_size=limit)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        one = st.booleans()
    elif field.type == FieldDescriptor.TYPE_ENUM:
        one = st.integers(1, 2)
    elif field.is_repeated and field.name != "gpp_sids":
        one = st.integers(0, 255)
    else:
        bits = 64 if field.type == FieldDescriptor.TYPE_UINT64 else 32
        one = st.integers(0, SMALLEST.get(field.name, 2**bits - 1))
    return st.lists(one, min_size=1, max_size=3) if field.is_repeated else one


@st.composite
def events(draw: st.DrawFn) -> event_pb2.Event:
    event = event_pb2.Event(**draw(message(event_pb2.Event.DESCRIPTOR)))
    metadata = draw(st.none() | st.dictionaries(texts, json_values, max_size=4))
    if metadata is not None and depth_of(metadata) <= 8:
        event.metadata_json = canonical(metadata)
    unknown = {
        f"x_{name}": value
        for name, value in draw(st.dictionaries(texts, json_values, max_size=2)).items()
        if value is not None and depth_of(value) <= 7
    }
    if unknown:
        event.unknown_json = canonical(unknown)
    return event


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        order.shuffle(items)
        return {name: shuffled(item, order) for name, item in items}
    if isinstance(value, list):
        return [shuffled(item, order) for item in value]
    return value


@settings(max_examples=60, deadline=None)
@given(events(), st.randoms(use_true_random=False), st.booleans(), st.sampled_from([None, 1]))
def test_round_trip_whatever_the_order_and_the_layout(
    event: event_pb2.Event, order: random.Random, ascii_only: bool, indent: int | None
) -> None:
    obj = event_to_json(event)
    assert event_from_json(obj) == event
    text = json.dumps(shuffled(obj, order), ensure_ascii=ascii_only, indent=indent).encode()
    parsed = parse_event(text)
    assert not parsed.HasField("unmapped")
    assert parsed.SerializeToString(deterministic=True) == event.SerializeToString(deterministic=True)


@settings(max_examples=60, deadline=None)
@given(events())
def test_neighbours_do_not_change_an_event(event: event_pb2.Event) -> None:
    text = json.dumps(event_to_json(event)).encode()
    beside_broken = parse_events(b"[" + text + b',{"event_id":NaN}]')[0]
    assert beside_broken == parse_event(text)


def test_whole_numbers_beyond_64_bits_mean_the_same_beside_broken_neighbours() -> None:
    text = ORIGINAL.read_bytes().replace(b'"1.2.3"', b"18446744073709551616")
    alone = parse_event(text)
    assert orjson.loads(alone.metadata_json)["app_version"] == 2.0**64
    assert parse_events(b"[" + text + b',{"event_id":NaN}]')[0] == alone


def test_an_unmapped_event_shows_its_text() -> None:
    event = event_from_json({"event_id": "a"}, b'{"event_id":"a"}')
    shown = event_to_json(event)["unmapped"]
    assert shown["payload"] == '{"event_id":"a"}'
    assert ("MISSING", "user_id") in {(item["reason"], item["field"]) for item in shown["violations"]}


def test_the_schema_names_what_is_written() -> None:
    schema = event_schema()
    assert set(sample()) <= set(schema["properties"])
    assert "obtained_at" in schema["properties"]["privacy"]["properties"]["consent"]["properties"]
    every = {field.name for field in event_pb2.PrivacyFacts.DESCRIPTOR.fields}
    written = set(schema["properties"]["privacy"]["properties"])
    assert every - written == {"opt_out_received_time"}
