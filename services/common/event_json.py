"""Events as JSON, the way senders write them, to `usher.event.v1.Event` and back: exact and strict.

Names are those of the original pipeline (`timestamp`, `extra_metadata`) and of the privacy facts
(`privacy.consent.obtained_at`); the contract's own names (`event_time`, `metadata`, `obtained_time`) are
accepted too. `null` means absent. Nothing is coerced: `1` is not `true`, `"5"` is not a number. Fields that
this version does not know are kept in `unknown_json`.

Two kinds of trouble are told apart. A body that cannot be taken apart into events (broken JSON, too many, too
deep) raises `InvalidArgument` and concerns the whole call. An event with wrong fields never raises: it
carries every violation found in `Event.unmapped` with the sender's text, so that it can be accepted, failed
and replayed.

Equal content gives equal bytes: the order of fields and the layout of the text leave no trace in
`SerializeToString(deterministic=True)`. Numbers mean what RFC 8259 section 6 calls interoperable: 64-bit
integers and IEEE 754 doubles.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.errors import InvalidArgument
from usher.event.v1 import event_pb2

MAX_EVENTS: Final = 2_000
"""Events a body may hold."""
MAX_EVENT_BYTES: Final = 65_536
"""Bytes of one event, serialised."""
MAX_METADATA_BYTES: Final = 16_384
"""Bytes of `extra_metadata`, and of all unknown fields together, as canonical JSON."""
MAX_METADATA_DEPTH: Final = 8
"""Levels of nesting of `extra_metadata` and of unknown fields; the object itself is the first."""
MAX_JSON_DEPTH: Final = 64
"""Levels of nesting of a body."""
MAX_VIOLATIONS: Final = 100
"""Violations listed for one event; the last of them says that there are more."""

MEDIA_TYPE: Final = "application/json"

_NO_SURROGATES: Final = "send text without unpaired surrogates (RFC 8259, 8.2)"

_FIRST_SECOND: Final = 0
_LAST_SECOND: Final = 4_133_980_799  # 2100-12-31T23:59:59Z
_UINT32_MAX: Final = 2**32 - 1
_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_DATA_VOLUME_MAX: Final = 2**53

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
# The closing quote of every key is followed by a colon; a match inside a string only raises the count.
_KEY_END = re.compile(rb'"[ \t\r\n]*:')
_BLANKS = re.compile(r"[ \t\r\n]*")
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


class Batch(NamedTuple):
    """The events of one body, in order."""

    events: list[event_pb2.Event]
    single: bool
    """Whether the body was one bare event rather than a list of them."""


class _Violations:
    """Collects what is wrong with one event."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[event_pb2.FieldViolation] = []

    def add(self, field: str, reason: str, message: str) -> None:
        if len(self.items) < MAX_VIOLATIONS - 1:
            self.items.append(event_pb2.FieldViolation(field=_path(field), reason=reason, message=message))
        elif len(self.items) == MAX_VIOLATIONS - 1:
            self.items.append(
                event_pb2.FieldViolation(
                    reason="TOO_MANY_VIOLATIONS",
                    message=f"more than {MAX_VIOLATIONS - 1} things are wrong: correct these first",
                )
            )


class _Object(dict[str, Any]):
    """A JSON object in which names came twice."""

    duplicates: tuple[str, ...] = ()


# Puts a JSON value into `message`, or says why not. Arguments: message, name of the field in
# the contract, value (never None), path in the sender's terms, violations.
_Put = Callable[[Any, str, Any, str, _Violations], Any]


class _Kind(NamedTuple):
    """A kind of field: how it is mapped, and its JSON Schema."""

    put: _Put
    schema: dict[str, Any]


class _Field(NamedTuple):
    name: str
    """Name in the contract."""
    put: _Put
    schema: dict[str, Any]


# --- kinds of fields ------------------------------------------------------------------------------


def _text(limit: int) -> _Kind:
    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
        if type(value) is not str:
            violations.add(path, "WRONG_TYPE", f"send text, not {_kind(value)}")
        elif len(value) > limit:
            violations.add(path, "TOO_LONG", f"send at most {limit} characters; there are {len(value)}")
        else:
            try:
                setattr(message, name, value)
            except UnicodeEncodeError:
                violations.add(path, "TEXT_INVALID", _NO_SURROGATES)

    return _Kind(put, {"type": "string", "maxLength": limit})


def _put_truth(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
    if value is True or value is False:
        setattr(message, name, value)
    else:
        violations.add(path, "WRONG_TYPE", f"send true or false, not {_kind(value)}")


def _count(maximum: int) -> _Kind:
    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
        if _is_count(value, maximum, path, violations):
            setattr(message, name, value)

    return _Kind(put, {"type": "integer", "minimum": 0, "maximum": maximum})


def _is_count(value: Any, maximum: int, path: str, violations: _Violations) -> bool:
    if type(value) is float and not math.isfinite(value):
        violations.add(path, "NUMBER_INVALID", "send a finite number: JSON has no NaN and no Infinity")
    elif type(value) is float and value.is_integer() and abs(value) > maximum:
        # Integers beyond 64 bits reach us as doubles.
        violations.add(path, "OUT_OF_RANGE", f"send a whole number from 0 to {maximum}")
    elif type(value) is not int:
        violations.add(path, "WRONG_TYPE", f"send a whole number, not {_kind(value)}")
    elif not 0 <= value <= maximum:
        violations.add(path, "OUT_OF_RANGE", f"send a whole number from 0 to {maximum}")
    else:
        return True
    return False


def _put_time(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
    if type(value) is not str:
        violations.add(path, "WRONG_TYPE", f"send an RFC 3339 time as text, not {_kind(value)}")
        return
    try:
        seconds, nanos = parse_time(value)
    except InvalidArgument as error:
        violations.add(path, error.reason, error.message)
        return
    stamp: Timestamp = getattr(message, name)
    stamp.seconds = seconds
    stamp.nanos = nanos
    stamp.SetInParent()


def _word(values: Mapping[str, int]) -> _Kind:
    listed = ", ".join(values)

    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
        if type(value) is not str:
            violations.add(path, "WRONG_TYPE", f"send text, not {_kind(value)}")
        elif (number := values.get(value.lower())) is None:
            violations.add(path, "VALUE_UNKNOWN", f"send one of: {listed}")
        else:
            setattr(message, name, number)

    return _Kind(put, {"type": "string", "enum": list(values)})


def _texts(limit: int, most: int) -> _Kind:
    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
        if type(value) is not list:
            violations.add(path, "WRONG_TYPE", f"send a list of texts, not {_kind(value)}")
            return
        if len(value) > most:
            violations.add(path, "TOO_LONG", f"send at most {most} entries; there are {len(value)}")
            return
        target = getattr(message, name)
        for index, item in enumerate(value):
            where = f"{path}[{index}]"
            if type(item) is not str:
                violations.add(where, "WRONG_TYPE", f"send text, not {_kind(item)}")
            elif len(item) > limit:
                violations.add(where, "TOO_LONG", f"send at most {limit} characters; there are {len(item)}")
            else:
                try:
                    target.append(item)
                except UnicodeEncodeError:
                    violations.add(where, "TEXT_INVALID", _NO_SURROGATES)

    return _Kind(put, {"type": "array", "maxItems": most, "items": {"type": "string", "maxLength": limit}})


def _counts(maximum: int, most: int) -> _Kind:
    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
        if type(value) is not list:
            violations.add(path, "WRONG_TYPE", f"send a list of whole numbers, not {_kind(value)}")
            return
        if len(value) > most:
            violations.add(path, "TOO_LONG", f"send at most {most} entries; there are {len(value)}")
            return
        target = getattr(message, name)
        for index, item in enumerate(value):
            if _is_count(item, maximum, f"{path}[{index}]", violations):
                target.append(item)

    return _Kind(
        put,
        {
            "type": "array",
            "maxItems": most,
            "items": {"type": "integer", "minimum": 0, "maximum": maximum},
        },
    )


def _record(fields: Mapping[str, _Field]) -> _Kind:
    def put(message: Any, name: str, value: Any, path: str, violations: _Violations) -> Any:
        if not isinstance(value, dict):
            violations.add(path, "WRONG_TYPE", f"send an object, not {_kind(value)}")
            return None
        child = getattr(message, name)
        # An object without fields is present all the same.
        child.SetInParent()
        return _fill(child, value, fields, path + ".", violations) or None

    return _Kind(put, _object_schema(fields))


def _put_json(message: Any, name: str, value: Any, path: str, violations: _Violations) -> None:
    if not isinstance(value, dict):
        violations.add(path, "WRONG_TYPE", f"send an object, not {_kind(value)}")
        return
    encoded = _canonical_json(value, path, violations)
    if encoded is not None:
        setattr(message, name, encoded)


_truth = _Kind(_put_truth, {"type": "boolean"})
_time = _Kind(_put_time, {"type": "string", "format": "date-time"})
_json_object = _Kind(_put_json, {"type": "object", "additionalProperties": True})


# --- the fields -----------------------------------------------------------------------------------


def _fields(*rows: tuple[Any, ...]) -> dict[str, _Field]:
    """Rows are (name of the contract, kind, further name). The last name given is the one that is written."""
    table: dict[str, _Field] = {}
    for row in rows:
        for name in (row[0], *row[2:]):
            table[name] = _Field(row[0], row[1].put, row[1].schema)
    return table


def _object_schema(fields: Mapping[str, _Field]) -> dict[str, Any]:
    written = {field.name: name for name, field in fields.items()}
    return {"type": "object", "properties": {name: fields[name].schema for name in written.values()}}


_identifier = _text(255)
_place = _text(10)
_code = _text(64)

_TCF = _fields(
    ("version", _code),
    ("disclosed_vendors_segment", _truth),
    ("vendor_id", _count(_UINT32_MAX)),
    ("vendor_disclosed", _truth),
    ("vendor_consent", _truth),
    ("purpose_consents", _counts(255, 64)),
    ("purpose_legitimate_interests", _counts(255, 64)),
)
_CONSENT = _fields(
    ("status", _code),
    ("scope", _texts(64, 64)),
    ("parental", _truth),
    ("obtained_time", _time, "obtained_at"),
    ("withdrawn_time", _time, "withdrawn_at"),
    ("expires_time", _time, "expires_at"),
    ("given_by", _code),
    ("separate", _truth),
    ("verifiable", _truth),
    ("vppa_separate_form", _truth),
    ("tcf", _record(_TCF)),
    ("tcf_string", _text(8_192)),
    ("gpp_string", _text(8_192)),
    ("us_privacy_string", _code),
    ("explicit", _truth),
    ("registered_time", _time, "registered_at"),
)
_SIGNALS = _fields(("gpc", _truth), ("gpp_sids", _counts(_UINT32_MAX, 64)))
_THIRD_PARTY = _fields(
    ("shared", _truth),
    ("recipient_country", _place),
    ("recipient_type", _code),
    ("is_sale_or_share", _truth),
    ("entrustment", _truth),
    ("ordinary_course", _truth),
    ("linked_to_person", _truth),
    ("integral_to_service", _truth),
    ("processor_contract", _truth),
)
_TRANSFER = _fields(
    ("cross_border", _truth),
    ("destination_country", _place),
    ("mechanism", _code),
    ("impact_assessment_done", _truth, "tia_done", "dpia_done", "pia_done"),
    ("recipient_dpf_certified", _truth),
    ("recipient_role", _code),
    ("separate_consent", _truth),
    ("standard_contract_signed_time", _time, "standard_contract_signed_at"),
    ("standard_contract_notified_time", _time, "standard_contract_notified_at"),
    ("information_given", _truth),
    ("repetitive", _truth),
    ("prior_authorisation", _truth),
    ("written_agreement", _truth),
    ("reasonable_steps_taken", _truth),
)
_RIGHTS_REQUEST = _fields(
    ("type", _code),
    ("received_time", _time, "received_at"),
    ("answered_time", _time, "answered_at"),
    ("extension_notified_time", _time, "extension_notified_at"),
    ("format", _code),
    ("identity_verified", _truth),
    ("acknowledged_time", _time, "acknowledged_at"),
    ("response_date_given_time", _time, "response_date_given_at"),
    ("identity_verified_time", _time, "identity_verified_at"),
)
_BREACH = _fields(
    ("affected", _count(_UINT64_MAX)),
    ("aware_time", _time, "discovered_at", "aware_at"),
    ("regulator_notified_time", _time, "regulator_notified_at"),
    ("risk", _code),
    ("reasons_for_delay_given", _truth),
    ("subjects_notified_time", _time, "consumers_notified_at", "subjects_notified_at"),
    ("assessed_time", _time, "assessed_at"),
    ("suspected_time", _time, "suspected_at"),
    ("encrypted", _truth),
    ("major_incident", _truth),
    ("small_agent", _truth),
    ("unlawful_purpose", _truth),
    ("sensitive_data", _truth),
    ("final_report_time", _time, "final_report_at"),
    ("supplement_time", _time, "supplement_at"),
)
_RETENTION = _fields(
    ("days_since_no_longer_necessary", _count(_UINT32_MAX)),
    ("indefinite", _truth),
    ("pending_request_or_order", _truth),
    ("policy_published", _truth),
)
_PRIVACY = _fields(
    ("user_residence", _place),
    ("user_location", _place),
    ("user_age", _count(150)),
    ("age_assured", _truth),
    ("subject_type", _code),
    ("service_type", _code),
    ("controller_established_in", _texts(10, 64)),
    ("operator_meets_thresholds", _truth),
    ("purpose", _code),
    ("legal_basis_claimed", _code),
    ("data_categories", _texts(64, 64)),
    ("terminal_storage_access", _truth),
    ("terminal_strictly_necessary", _truth),
    ("terminal_purpose", _code),
    ("consent", _record(_CONSENT)),
    ("signals", _record(_SIGNALS)),
    ("third_party", _record(_THIRD_PARTY)),
    ("transfer", _record(_TRANSFER)),
    ("rights_request", _record(_RIGHTS_REQUEST)),
    ("breach", _record(_BREACH)),
    ("retention", _record(_RETENTION)),
    ("annual_outbound_individuals", _count(_UINT64_MAX)),
    ("child_directed", _truth),
    ("ciio", _truth),
    ("explicit_opt_out", _truth),
    ("guardian_account_linked", _truth),
    ("notice_given", _truth),
    ("opt_out_link_offered", _truth),
    ("opt_out_offered", _truth),
    ("opt_out_received_time", _time, "opt_out_received_at"),
    ("profiling_activated_by_user", _truth),
    ("profiling_active", _truth),
    ("storage_country", _place),
    ("user_objected", _truth),
    ("uses_profiling", _truth),
    ("data_origin", _code),
    ("honours_opt_out_signals", _truth),
    ("most_protective_defaults", _truth),
    ("best_interest_assessed", _truth),
    ("bulk_export", _truth),
    ("data_minimised", _truth),
    ("existing_customer", _truth),
    ("annual_outbound_sensitive_individuals", _count(_UINT64_MAX)),
)
_ACCOUNT = _fields(
    ("created_time", _time, "created_at"),
    ("email_domain", _text(253)),
    ("email_verified", _truth),
    ("signup_ip_address", _text(64)),
    ("trial", _truth),
    ("chargebacks", _count(_UINT32_MAX)),
    ("stream_limit", _count(100)),
    ("household_id", _identifier),
    ("registered_devices", _count(_UINT32_MAX)),
    ("second_factor_enrolled", _truth),
    ("plan", _identifier),
)
_PHASES = {"intent": event_pb2.PHASE_INTENT, "occurred": event_pb2.PHASE_OCCURRED}
_ORIGINS = {"live": event_pb2.ORIGIN_LIVE, "import": event_pb2.ORIGIN_IMPORT}
_EVENT = _fields(
    ("event_id", _identifier),
    ("user_id", _identifier),
    ("device_id", _identifier),
    ("content_id", _identifier),
    ("event_type", _text(50)),
    ("event_time", _time, "timestamp"),
    ("region", _place),
    ("is_eu", _truth),
    ("has_consent", _truth),
    ("ip_address", _text(64)),
    ("subscription_plan", _text(20)),
    ("error_code", _text(50)),
    ("metadata_json", _json_object, "metadata", "extra_metadata"),
    ("phase", _word(_PHASES)),
    ("intent_event_id", _identifier),
    ("origin", _word(_ORIGINS)),
    ("import_id", _identifier),
    ("user_agent", _text(1_024)),
    ("session_id", _identifier),
    ("stream_id", _identifier),
    ("payment_fingerprint", _identifier),
    ("data_volume_bytes", _count(_DATA_VOLUME_MAX)),
    ("time_zone", _text(64)),
    ("account", _record(_ACCOUNT)),
    ("privacy", _record(_PRIVACY)),
)
# The bytes of metadata have no name of their own in JSON.
del _EVENT["metadata_json"]

REQUIRED: Final = ("event_id", "user_id", "device_id", "event_type", "timestamp", "region", "ip_address")
"""Fields without which an event cannot be decided, by the names that senders use."""
_REQUIRED: Final = tuple((_EVENT[name].name, name) for name in REQUIRED)


def event_schema() -> dict[str, Any]:
    """Returns the JSON Schema of an event, under the names that `event_to_json` writes."""
    return {**_object_schema(_EVENT), "required": list(REQUIRED)}


# --- JSON to events -------------------------------------------------------------------------------


def parse_events(body: bytes, *, lines: bool = False) -> list[event_pb2.Event]:
    """Returns the events of a body, in order: one object, `{"events": [...]}`, an array, or JSON lines.

    Raises InvalidArgument as `parse_batch` does.
    """
    return parse_batch(body, lines=lines).events


def parse_event(text: bytes) -> event_pb2.Event:
    """Returns the one event of a text; finds names that come twice, keeps the text when something is wrong.

    Raises InvalidArgument: MALFORMED_JSON (metadata `position`), ONE_EVENT_EXPECTED, TOO_DEEP,
    EVENT_TOO_LARGE.
    """
    batch = parse_batch(text)
    if not batch.single:
        raise InvalidArgument("ONE_EVENT_EXPECTED", "send one event as one JSON object")
    return batch.events[0]


def parse_batch(body: bytes, *, lines: bool = False) -> Batch:
    """Returns the events of a body and whether it was one bare event.

    `lines`: the body is JSON lines (application/x-ndjson), blank lines are skipped.

    Raises InvalidArgument: MALFORMED_JSON (metadata `position`, the byte; `line` for JSON lines), TOO_DEEP,
    ENVELOPE_INVALID, NO_EVENTS, TOO_MANY_EVENTS (metadata `limit`, `count`), EVENT_TOO_LARGE (metadata
    `position`, that of the event, and `limit`).
    """
    batch = None if lines else _parse_fast(body)
    if batch is None:
        # The exact way: keeps each event's own text, finds names that come twice, tells where NaN stands.
        objects, single = _split_lines(body) if lines else _split(body)
        _require_number(len(objects))
        batch = Batch([event_from_json(value, raw) for value, raw in objects], single)
    for position, event in enumerate(batch.events):
        if event.ByteSize() > MAX_EVENT_BYTES:
            raise InvalidArgument(
                "EVENT_TOO_LARGE",
                f"event {position} takes more than {MAX_EVENT_BYTES} bytes: send less metadata",
                metadata={"position": str(position), "limit": str(MAX_EVENT_BYTES)},
            )
    return batch


def event_from_json(obj: Any, raw: bytes | None = None) -> event_pb2.Event:
    """Returns the event that a JSON object describes. Never raises for what a sender wrote.

    `obj` is what a JSON parser returned; anything but an object is one violation. `raw` is the sender's text,
    kept in `unmapped.payload` when something is wrong; without it the object is written again as JSON. What
    could be mapped is set as well, so that an event with violations still shows its ids.
    """
    event = event_pb2.Event()
    violations = _Violations()
    if isinstance(obj, dict):
        unknown = _fill(event, obj, _EVENT, "", violations)
        if unknown:
            encoded = _canonical_json(unknown, "", violations)
            if encoded is not None:
                event.unknown_json = encoded
        for name, shown in _REQUIRED:
            held = event.HasField(name) if name == "event_time" else getattr(event, name)
            if not held and not _sent(obj, name, shown):
                violations.add(shown, "MISSING", f"send {shown}: an event cannot be decided without it")
    else:
        violations.add("", "WRONG_TYPE", f"send an event as an object, not {_kind(obj)}")
    if violations.items:
        _keep_unmapped(event, obj, raw, violations)
    return event


def parse_time(text: str) -> tuple[int, int]:
    """Returns (seconds since 1970-01-01T00:00:00Z, nanoseconds) of an RFC 3339 time with offset.

    Raises InvalidArgument: TIME_INVALID (not RFC 3339, no such day, leap second), TIME_OUT_OF_RANGE (in UTC
    outside the years 1970 to 2100).
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            "TIME_INVALID", "send an RFC 3339 time with its offset, as 2026-01-16T12:34:56Z or …56.123+09:00"
        )
    day, hour, minute, second, fraction, _, sign, offset_hour, offset_minute = match.groups()
    if second == "60":
        raise InvalidArgument(
            "TIME_INVALID", "leap seconds are not taken: send the second before or after (smeared time)"
        )
    try:
        seconds = _day_start(day)
    except ValueError:
        raise InvalidArgument("TIME_INVALID", "there is no such day in the calendar") from None
    if hour > "23" or minute > "59" or second > "60":
        raise InvalidArgument("TIME_INVALID", "hours go to 23, minutes and seconds to 59")
    seconds += int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign is not None:
        if offset_hour > "23" or offset_minute > "59":
            raise InvalidArgument("TIME_INVALID", "an offset goes from -23:59 to +23:59")
        offset = int(offset_hour) * 3600 + int(offset_minute) * 60
        seconds -= offset if sign == "+" else -offset
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise InvalidArgument("TIME_OUT_OF_RANGE", "send a time within the years 1970 to 2100 (UTC)")
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0


@lru_cache(maxsize=4096)
def _day_start(day: str) -> int:
    return (date(int(day[:4]), int(day[5:7]), int(day[8:])).toordinal() - 719_163) * 86_400


def _fill(
    message: Any, obj: dict[str, Any], fields: Mapping[str, _Field], prefix: str, violations: _Violations
) -> dict[str, Any]:
    """Maps an object onto a message; returns what it does not know, by name."""
    unknown: dict[str, Any] = {}
    filled: dict[str, str] = {}
    if type(obj) is _Object:
        for name in obj.duplicates:
            violations.add(prefix + name, "DUPLICATE_FIELD", "send each name once within an object")
    for name, value in obj.items():
        field = fields.get(name)
        if value is None:
            continue
        if field is None:
            unknown[name] = value
        else:
            target = field.name
            if target in filled:
                violations.add(prefix + name, "DUPLICATE_FIELD", f"send {filled[target]} or {name}, not both")
                continue
            filled[target] = name
            rest = field.put(message, target, value, prefix + name, violations)
            if rest is not None:
                unknown[name] = rest
    return unknown


def _sent(obj: dict[str, Any], name: str, shown: str) -> bool:
    # A value of a wrong kind was sent and has its violation; empty text says as little as nothing.
    return any(obj.get(alias) not in (None, "") for alias in (name, shown))


def _canonical_json(value: dict[str, Any], path: str, violations: _Violations) -> bytes | None:
    before = len(violations.items)
    _check_json(value, path, 1, violations)
    if len(violations.items) != before:
        return None
    encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(encoded) > MAX_METADATA_BYTES:
        what = path or "the fields that this version does not know"
        violations.add(
            path, "TOO_LONG", f"{what} may take {MAX_METADATA_BYTES} bytes as JSON and takes {len(encoded)}"
        )
        return None
    return encoded


def _check_json(value: Any, path: str, depth: int, violations: _Violations) -> None:
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_text(value, path, violations)
    elif kind is float:
        if not math.isfinite(value):
            violations.add(path, "NUMBER_INVALID", "send a finite number: JSON has no NaN and no Infinity")
    elif kind is int:
        if not _INT64_MIN <= value <= _UINT64_MAX:
            violations.add(path, "OUT_OF_RANGE", "send integers of at most 64 bits, or send text")
    elif isinstance(value, dict):
        if depth > MAX_METADATA_DEPTH:
            violations.add(path, "TOO_DEEP", f"send at most {MAX_METADATA_DEPTH} levels of nesting")
            return
        if isinstance(value, _Object):
            for name in value.duplicates:
                violations.add(_join(path, name), "DUPLICATE_FIELD", "send each name once within an object")
        for name, item in value.items():
            if not name.isascii():
                _check_text(name, path, violations)
            if item is not None and item is not True and item is not False:
                _check_json(item, _join(path, name), depth + 1, violations)
    elif kind is list:
        if depth > MAX_METADATA_DEPTH:
            violations.add(path, "TOO_DEEP", f"send at most {MAX_METADATA_DEPTH} levels of nesting")
            return
        for index, item in enumerate(value):
            if item is not None and item is not True and item is not False:
                _check_json(item, f"{path}[{index}]", depth + 1, violations)


def _check_text(text: str, path: str, violations: _Violations) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        violations.add(path, "TEXT_INVALID", _NO_SURROGATES)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _path(field: str) -> str:
    """A path that any receiver can take: printable, bounded. Names come from the sender."""
    if len(field) > 200:
        field = field[:199] + "…"
    return field.encode("utf-8", "replace").decode()


def _keep_unmapped(event: event_pb2.Event, obj: Any, raw: bytes | None, violations: _Violations) -> None:
    payload = raw if raw is not None else json.dumps(obj, ensure_ascii=True, default=str).encode()
    unmapped = event_pb2.Unmapped(payload=payload, media_type=MEDIA_TYPE, violations=violations.items)
    event.unmapped.CopyFrom(unmapped)
    if event.ByteSize() > MAX_EVENT_BYTES:
        # The text holds all of it; the fields beside it only serve who looks.
        slim = event_pb2.Event(event_id=event.event_id, user_id=event.user_id, unmapped=unmapped)
        event.CopyFrom(slim)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN or Infinity"
    return "a number"


# --- taking a body apart --------------------------------------------------------------------------


def _parse_fast(body: bytes) -> Batch | None:
    """The usual case: well-formed, no name twice, every event in order. None: take the exact way."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if len(_KEY_END.findall(body)) != _keys(value, 1):
        return None
    objects, single = _unwrap(value)
    _require_number(len(objects))
    events = [event_from_json(item, b"") for item in objects]
    if any(event.HasField("unmapped") for event in events):
        return None
    return Batch(events, single)


def _keys(value: Any, depth: int) -> int:
    """Number of names in all objects; -1 and less when nested too deeply to tell."""
    if depth > MAX_JSON_DEPTH:
        return -(2**40)
    count = 0
    if type(value) is dict:
        count = len(value)
        for item in value.values():
            if type(item) is dict or type(item) is list:
                count += _keys(item, depth + 1)
    elif type(value) is list:
        for item in value:
            if type(item) is dict or type(item) is list:
                count += _keys(item, depth + 1)
    return count


def _unwrap(value: Any) -> tuple[list[Any], bool]:
    if isinstance(value, list):
        return value, False
    if isinstance(value, dict) and "events" in value and "event_id" not in value:
        _require_envelope(value)
        return value["events"], False
    return [value], True


def _require_envelope(value: dict[str, Any]) -> None:
    others = sorted(set(value) - {"events"})
    if others or type(value["events"]) is not list or (type(value) is _Object and value.duplicates):
        raise InvalidArgument(
            "ENVELOPE_INVALID",
            'send {"events": [...]} with nothing beside the list, a bare list, or one event',
        )


def _require_number(count: int) -> None:
    if count == 0:
        raise InvalidArgument("NO_EVENTS", "send at least one event")
    if count > MAX_EVENTS:
        raise InvalidArgument(
            "TOO_MANY_EVENTS",
            f"send at most {MAX_EVENTS} events a call; there are {count}",
            metadata={"limit": str(MAX_EVENTS), "count": str(count)},
        )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    obj = dict(pairs)
    if len(obj) == len(pairs):
        return obj
    seen: set[str] = set()
    twice = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    marked = _Object(pairs)
    marked.duplicates = tuple(dict.fromkeys(twice))
    return marked


def _integer(digits: str) -> int | float:
    # As the fast parser does it, so that one event means the same whatever stands beside it.
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 400:
        return math.inf
    number = int(digits)
    if _INT64_MIN <= number <= _UINT64_MAX:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer)


def _decode_text(body: bytes, offset: int = 0, line: int | None = None) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _malformed("not UTF-8 text", offset + error.start, line) from None


def _value_at(text: str, start: int, offset: int = 0, line: int | None = None) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _malformed(error.msg, offset + len(text[: error.pos].encode()), line) from None
    except RecursionError:
        raise _too_deep(text, offset) from None


def _split(body: bytes) -> tuple[list[tuple[Any, bytes]], bool]:
    """Takes a body apart into (value, its own text)."""
    text = _decode_text(body)
    _require_shallow(text)
    start = _skip(text, 0)
    if text.startswith("[", start):
        items, end = _split_list(text, start)
        _require_end(text, end)
        return items, False
    value, end = _value_at(text, start)
    _require_end(text, end)
    if isinstance(value, dict) and "events" in value and "event_id" not in value:
        _require_envelope(value)
        key_end = text.index(":", text.index('"', start)) + 1
        items, _ = _split_list(text, _skip(text, key_end))
        return items, False
    return [(value, text[start:end].encode())], True


def _split_list(text: str, start: int) -> tuple[list[tuple[Any, bytes]], int]:
    items: list[tuple[Any, bytes]] = []
    position = _skip(text, start + 1)
    if text.startswith("]", position):
        return items, position + 1
    while True:
        value, end = _value_at(text, position)
        items.append((value, text[position:end].encode()))
        position = _skip(text, end)
        if text.startswith("]", position):
            return items, position + 1
        if not text.startswith(",", position):
            raise _malformed("expecting ',' or ']'", len(text[:position].encode()))
        position = _skip(text, position + 1)


def _split_lines(body: bytes) -> tuple[list[tuple[Any, bytes]], bool]:
    items: list[tuple[Any, bytes]] = []
    offset = 0
    for number, line in enumerate(body.split(b"\n"), start=1):
        stripped = line.strip(b" \t\r")
        if stripped:
            if len(items) == MAX_EVENTS:
                _require_number(sum(1 for item in body.split(b"\n") if item.strip(b" \t\r")))
            text = _decode_text(line, offset, number)
            _require_shallow(text, offset)
            value, end = _value_at(text, _skip(text, 0), offset, number)
            _require_end(text, end, offset, number)
            items.append((value, stripped))
        offset += len(line) + 1
    return items, False


def _skip(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _require_end(text: str, position: int, offset: int = 0, line: int | None = None) -> None:
    position = _skip(text, position)
    if position != len(text):
        raise _malformed(
            "something follows the JSON value (send several as a list or as application/x-ndjson)",
            offset + len(text[:position].encode()),
            line,
        )


def _require_shallow(text: str, offset: int = 0) -> None:
    # Brackets beyond the limit need at least that many characters; most texts end here.
    if text.count("{") + text.count("[") <= MAX_JSON_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        first = match.group()[0]
        if first in "{[":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                raise _too_deep_at(offset + len(text[: match.start()].encode()))
        elif first in "]}":
            depth -= 1


def _too_deep(text: str, offset: int) -> InvalidArgument:
    try:
        _require_shallow(text, offset)
    except InvalidArgument as error:
        return error
    return _too_deep_at(offset)


def _too_deep_at(position: int) -> InvalidArgument:
    return InvalidArgument(
        "TOO_DEEP",
        f"send at most {MAX_JSON_DEPTH} levels of nesting (byte {position})",
        metadata={"limit": str(MAX_JSON_DEPTH), "position": str(position)},
    )


def _malformed(why: str, position: int, line: int | None = None) -> InvalidArgument:
    metadata = {"position": str(position)}
    where = f"byte {position}"
    if line is not None:
        metadata["line"] = str(line)
        where = f"line {line}, {where}"
    # The parser's words quote nothing of the text.
    return InvalidArgument("MALFORMED_JSON", f"the body is not JSON at {where}: {why}", metadata=metadata)


# --- events to JSON -------------------------------------------------------------------------------


def event_to_json(event: event_pb2.Event) -> dict[str, Any]:
    """Returns an event as JSON values, under the names that senders use; absent fields are left out.

    `event_from_json` gives the event back. An event that could not be mapped also shows `unmapped` (media
    type, text, violations).
    """
    obj = _to_json(event, _SHOWN_EVENT)
    if event.metadata_json:
        obj["extra_metadata"] = orjson.loads(event.metadata_json)
    if event.unknown_json:
        _merge(obj, orjson.loads(event.unknown_json))
    if event.HasField("unmapped"):
        obj["unmapped"] = {
            "media_type": event.unmapped.media_type,
            "payload": event.unmapped.payload.decode("utf-8", "replace"),
            "violations": [
                {"field": item.field, "reason": item.reason, "message": item.message}
                for item in event.unmapped.violations
            ],
        }
    return obj


def time_to_json(stamp: Timestamp) -> str:
    """Returns RFC 3339 in UTC with as many fractional digits as needed: none, 3, 6 or 9."""
    day, rest = divmod(stamp.seconds, 86_400)
    text = f"{_day(day)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    nanos = stamp.nanos
    if nanos:
        if nanos % 1_000_000 == 0:
            text += f".{nanos // 1_000_000:03d}"
        elif nanos % 1_000 == 0:
            text += f".{nanos // 1_000:06d}"
        else:
            text += f".{nanos:09d}"
    return text + "Z"


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return date.fromordinal(number + 719_163).isoformat()


def account_to_json(facts: event_pb2.AccountFacts) -> dict[str, Any]:
    """Returns account facts as JSON values, under the names that an event has for them."""
    return _to_json(facts, _SHOWN_ACCOUNT)


def _shown(fields: Mapping[str, _Field], **children: dict[str, Any]) -> dict[str, Any]:
    """Name in the contract -> (name written, fields of a nested object)."""
    return {field.name: (name, children.get(field.name)) for name, field in fields.items()}


_SHOWN_EVENT = _shown(
    _EVENT,
    account=_shown(_ACCOUNT),
    privacy=_shown(
        _PRIVACY,
        consent=_shown(_CONSENT, tcf=_shown(_TCF)),
        signals=_shown(_SIGNALS),
        third_party=_shown(_THIRD_PARTY),
        transfer=_shown(_TRANSFER),
        rights_request=_shown(_RIGHTS_REQUEST),
        breach=_shown(_BREACH),
        retention=_shown(_RETENTION),
    ),
)
_SHOWN_ACCOUNT = _shown(_ACCOUNT)
_PHASE_NAMES = {number: name for name, number in _PHASES.items()}
_ORIGIN_NAMES = {number: name for name, number in _ORIGINS.items()}


def _to_json(message: Message, shown: Mapping[str, Any]) -> dict[str, Any]:
    obj: dict[str, Any] = {}
    for field, value in message.ListFields():
        entry = shown.get(field.name)
        if entry is None or field.name == "metadata_json":
            continue
        name, children = entry
        if children is not None:
            obj[name] = _to_json(value, children)
        elif isinstance(value, Timestamp):
            obj[name] = time_to_json(value)
        elif field.is_repeated:
            obj[name] = list(value)
        elif field.name == "phase":
            obj[name] = _PHASE_NAMES.get(value, value)
        elif field.name == "origin":
            obj[name] = _ORIGIN_NAMES.get(value, value)
        else:
            obj[name] = value
    return obj


def _merge(obj: dict[str, Any], unknown: dict[str, Any]) -> None:
    """Puts unknown fields back where they were."""
    for name, value in unknown.items():
        held = obj.get(name)
        if isinstance(held, dict) and isinstance(value, dict):
            _merge(held, value)
        else:
            obj[name] = value
