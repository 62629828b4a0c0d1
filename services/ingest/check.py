"""Step 1: whether an event is well formed. Pure; finds every error of an event at once.

Identifiers follow one strict grammar, so that nothing that looks like a query, a path or markup passes as one
(docs/events.md); free text is bounded and stored as sent.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache

import orjson

from services.common.errors import FieldViolation
from services.common.event_types import EVENT_TYPES, canonical
from usher.event.v1 import event_pb2

MAX_EVENT_BYTES = 65_536
MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 8
MAX_AHEAD_MS = 5 * 60 * 1000
MIN_TIME_S = 0
MAX_TIME_S = 4_133_980_800
"""2101-01-01T00:00:00Z, the first second beyond."""
MAX_VOLUME = 2**53

_LONGEST_ADDRESS = 45
"""Characters of the longest IPv6 address (RFC 4291, 2.2: with an IPv4 address at its end)."""
_MOST_CACHED_FACTS = 512
"""Bytes of privacy facts that are worth a place in the cache."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_ALL_IDENTIFIERS = re.compile(
    r"[A-Za-z0-9._:@+/=~-]{1,255}(?:\n[A-Za-z0-9._:@+/=~-]{1,255}){2}(?:\n[A-Za-z0-9._:@+/=~-]{0,255}){6}"
)
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_.:-]{1,50}")
_REGION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}")
_WORD = re.compile(r"[A-Za-z0-9_.:+/ -]{0,64}")
_IPV4_MAPPED = bytes(10) + b"\xff\xff"
_TENANT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62})")

_OPTIONAL_IDENTIFIERS = (
    "content_id",
    "session_id",
    "stream_id",
    "payment_fingerprint",
    "intent_event_id",
    "import_id",
)
_IDENTIFIER_ADVICE = "use 1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"

# The sender's JSON names of fields whose names differ, so that one error is told once.
_JSON_NAMES = {"timestamp": "event_time", "extra_metadata": "metadata", "metadata_json": "metadata"}


def valid_tenant(tenant: str) -> bool:
    """Whether a tenant's name is 1 to 63 characters of [a-z0-9-], not beginning with a hyphen."""
    return _TENANT.fullmatch(tenant) is not None


def violations(event: event_pb2.Event, now_ms: int) -> list[FieldViolation]:
    """Every error of one event, in order of its fields; an empty list where it is well formed.

    `now_ms` is the server's time, Unix milliseconds: an event more than 5 minutes ahead of it is IN_THE_FUTURE.
    """
    return [] if _well_formed(event, now_ms) else _every_error(event, now_ms)


def _well_formed(event: event_pb2.Event, now_ms: int) -> bool:
    """Whether `_every_error` would find nothing: the usual case at a third of its cost. A property test holds them equal."""
    time, kind, region, zone = event.event_time, event.event_type, event.region, event.time_zone
    plan, code, agent = event.subscription_plan, event.error_code, event.user_agent
    metadata, unknown = event.metadata_json, event.unknown_json
    return (
        # One match for the nine identifiers of an event.
        _ALL_IDENTIFIERS.fullmatch(
            f"{event.event_id}\n{event.user_id}\n{event.device_id}\n{event.content_id}\n{event.session_id}\n"
            f"{event.stream_id}\n{event.payment_fingerprint}\n{event.intent_event_id}\n{event.import_id}"
        )
        is not None
        and (kind in EVENT_TYPES or _EVENT_TYPE.fullmatch(kind) is not None)
        and MIN_TIME_S <= time.seconds < MAX_TIME_S
        and 0 <= time.nanos < 1_000_000_000
        # A second within the limit; at the limit itself the exact rule decides.
        and time.seconds * 1000 + 1000 <= now_ms + MAX_AHEAD_MS
        and (time.seconds > 0 or event.HasField("event_time"))
        and _REGION.fullmatch(region) is not None
        and _address_reason(event.ip_address) is None
        and len(plan) <= 20
        and len(code) <= 50
        and len(agent) <= 1024
        and "\0" not in agent
        and "\0" not in plan
        and "\0" not in code
        and (not zone or _TIME_ZONE.fullmatch(zone) is not None)
        and event.data_volume_bytes <= MAX_VOLUME
        and (not metadata or _canonical_object(metadata)[1] is None)
        and (not unknown or _canonical_object(unknown)[1] is None)
        and (event.origin != event_pb2.ORIGIN_IMPORT or bool(event.import_id))
        and not event.HasField("unmapped")
        and (not event.HasField("account") or _account_well_formed(event.account))
        and (not event.HasField("privacy") or not _facts_errors(event.privacy))
    )


def _account_well_formed(account: event_pb2.AccountFacts) -> bool:
    household, domain, signup = account.household_id, account.email_domain, account.signup_ip_address
    return (
        (not household or _IDENTIFIER.fullmatch(household) is not None)
        and (not domain or _DOMAIN.fullmatch(domain) is not None)
        and (not signup or _address_reason(signup) is None)
        and MIN_TIME_S <= account.created_time.seconds < MAX_TIME_S
        and (1 <= account.stream_limit <= 100 or not account.HasField("stream_limit"))
    )


def _every_error(event: event_pb2.Event, now_ms: int) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    _check_identifiers(event, found)
    if event.origin == event_pb2.ORIGIN_IMPORT and not event.import_id:
        found.append(FieldViolation("import_id", "MISSING", "import_id is required where origin is IMPORT"))
    if not event.event_type:
        found.append(FieldViolation("event_type", "MISSING", "event_type is required"))
    elif not _EVENT_TYPE.fullmatch(event.event_type):
        found.append(
            FieldViolation(
                "event_type", "EVENT_TYPE_INVALID", "use 1 to 50 characters of A-Z a-z 0-9 _ . : -"
            )
        )
    _check_time(event, now_ms, found)
    if not event.region:
        found.append(FieldViolation("region", "MISSING", "region is required; send ZZ where it is unknown"))
    elif not _REGION.fullmatch(event.region):
        found.append(
            FieldViolation(
                "region", "REGION_INVALID", "use ISO 3166-1 alpha-2 (DE), ISO 3166-2 (US-CA) or EU"
            )
        )
    if not event.ip_address:
        found.append(FieldViolation("ip_address", "MISSING", "ip_address is required"))
    else:
        reason = _address_reason(event.ip_address)
        if reason is not None:
            found.append(FieldViolation("ip_address", *reason))
    _check_text(event, found)
    if event.HasField("account"):
        _check_account(event.account, found)
    if event.HasField("privacy"):
        found.extend(_facts_errors(event.privacy))
    if event.HasField("unmapped"):
        told = {_JSON_NAMES.get(v.field, v.field) for v in event.unmapped.violations}
        mapped = [FieldViolation(v.field, v.reason, v.message) for v in event.unmapped.violations]
        found = mapped + [v for v in found if _JSON_NAMES.get(v.field, v.field) not in told]
        if not found:
            found.append(
                FieldViolation("", "UNMAPPED", "the sender's text could not be mapped onto an event")
            )
    return found


def normalise(event: event_pb2.Event) -> None:
    """Brings an event without violations into its canonical form, in place, so that equal events have equal bytes.

    The type gets its canonical spelling; JSON objects get sorted keys and no white space.
    """
    kind = canonical(event.event_type)
    if kind != event.event_type:
        event.event_type = kind
    if event.metadata_json:
        event.metadata_json, _ = _canonical_object(event.metadata_json)
    if event.unknown_json:
        event.unknown_json, _ = _canonical_object(event.unknown_json)


def _check_identifiers(event: event_pb2.Event, found: list[FieldViolation]) -> None:
    for name in ("event_id", "user_id", "device_id", *_OPTIONAL_IDENTIFIERS):
        value = getattr(event, name)
        if value:
            if not _IDENTIFIER.fullmatch(value):
                found.append(_identifier(name, value))
        elif name not in _OPTIONAL_IDENTIFIERS:
            found.append(FieldViolation(name, "MISSING", f"{name} is required"))


def _identifier(name: str, value: str) -> FieldViolation:
    if len(value) > 255:
        return FieldViolation(
            name, "TOO_LONG", f"{name} has {len(value)} characters, at most 255 are allowed"
        )
    return FieldViolation(
        name, "IDENTIFIER_INVALID", f"{name} has a character that is not allowed: {_IDENTIFIER_ADVICE}"
    )


def _check_time(event: event_pb2.Event, now_ms: int, found: list[FieldViolation]) -> None:
    if not event.HasField("event_time"):
        found.append(FieldViolation("event_time", "MISSING", "event_time is required"))
        return
    seconds, nanos = event.event_time.seconds, event.event_time.nanos
    if not (MIN_TIME_S <= seconds < MAX_TIME_S and 0 <= nanos < 1_000_000_000):
        found.append(
            FieldViolation("event_time", "TIME_OUT_OF_RANGE", "event_time lies outside 1970 to 2100")
        )
    elif seconds * 1000 + nanos / 1_000_000 > now_ms + MAX_AHEAD_MS:
        found.append(
            FieldViolation(
                "event_time",
                "IN_THE_FUTURE",
                "event_time is more than 5 minutes ahead of the server; check the sender's clock and zone",
            )
        )


def _address_reason(text: str) -> tuple[str, str] | None:
    # Before the cache: what a sender makes up may be long.
    if len(text) > _LONGEST_ADDRESS:
        return "IP_ADDRESS_INVALID", "use an IPv4 dotted quad or an IPv6 address"
    return _address_error(text)


def _address_error(text: str) -> tuple[str, str] | None:
    # inet_pton is as strict as ipaddress (no leading zeros, no zone) and ten times faster.
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return "IP_ADDRESS_INVALID", "use an IPv4 dotted quad or an IPv6 address"
    if len(packed) == 16 and packed.startswith(_IPV4_MAPPED):
        return "IP_ADDRESS_IPV4_MAPPED", "send the IPv4 address itself, not its IPv4-mapped IPv6 form"
    return None


def _check_text(event: event_pb2.Event, found: list[FieldViolation]) -> None:
    for name, limit, value in (
        ("subscription_plan", 20, event.subscription_plan),
        ("error_code", 50, event.error_code),
        ("user_agent", 1024, event.user_agent),
    ):
        if not value:
            continue
        if len(value) > limit:
            found.append(
                FieldViolation(
                    name, "TOO_LONG", f"{name} has {len(value)} characters, at most {limit} are allowed"
                )
            )
        if "\0" in value:
            found.append(FieldViolation(name, "CONTROL_CHARACTER", f"{name} holds a NUL character"))
    if event.time_zone and not _TIME_ZONE.fullmatch(event.time_zone):
        found.append(
            FieldViolation("time_zone", "TIME_ZONE_INVALID", 'use an IANA name such as "Europe/Berlin"')
        )
    if event.HasField("data_volume_bytes") and event.data_volume_bytes > MAX_VOLUME:
        found.append(FieldViolation("data_volume_bytes", "OUT_OF_RANGE", "data_volume_bytes is above 2^53"))
    for field, content in (("metadata", event.metadata_json), ("unknown_json", event.unknown_json)):
        if content:
            _, reason = _canonical_object(content)
            if reason is not None:
                found.append(FieldViolation(field, *reason))


def _canonical_object(content: bytes) -> tuple[bytes, tuple[str, str] | None]:
    """A JSON object with sorted keys and without white space; or what is wrong with it."""
    # Small objects repeat: an app's version and a network's type have few combinations.
    return _parse_object_cached(content) if len(content) <= _MOST_CACHED_OBJECT else _parse_object(content)


def _parse_object(content: bytes) -> tuple[bytes, tuple[str, str] | None]:
    if len(content) > MAX_METADATA_BYTES:
        return content, (
            "TOO_LONG",
            f"{len(content)} bytes of JSON, at most {MAX_METADATA_BYTES} are allowed",
        )
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content, ("MALFORMED_JSON", "not a JSON object in UTF-8")
    if not isinstance(value, dict):
        return content, ("WRONG_TYPE", "a JSON object is needed")
    level: list[object] = [value]
    for _ in range(MAX_METADATA_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
            if isinstance(inner, dict | list)
        ]
        if not level:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS), None
    return content, ("TOO_DEEP", f"nested more than {MAX_METADATA_DEPTH} levels deep")


_MOST_CACHED_OBJECT = 512
_parse_object_cached = lru_cache(maxsize=8_192)(_parse_object)


def _check_account(account: event_pb2.AccountFacts, found: list[FieldViolation]) -> None:
    if account.household_id and not _IDENTIFIER.fullmatch(account.household_id):
        found.append(_identifier("account.household_id", account.household_id))
    if account.email_domain and not _DOMAIN.fullmatch(account.email_domain):
        found.append(
            FieldViolation(
                "account.email_domain", "DOMAIN_INVALID", 'use a lower-case domain ("example.org")'
            )
        )
    if account.signup_ip_address:
        reason = _address_reason(account.signup_ip_address)
        if reason is not None:
            found.append(FieldViolation("account.signup_ip_address", *reason))
    if account.HasField("created_time") and not MIN_TIME_S <= account.created_time.seconds < MAX_TIME_S:
        found.append(
            FieldViolation(
                "account.created_time", "TIME_OUT_OF_RANGE", "created_time lies outside 1970 to 2100"
            )
        )
    if account.HasField("stream_limit") and not 1 <= account.stream_limit <= 100:
        found.append(FieldViolation("account.stream_limit", "OUT_OF_RANGE", "stream_limit is 1 to 100"))


def _facts_errors(facts: event_pb2.PrivacyFacts) -> tuple[FieldViolation, ...]:
    serialised = facts.SerializeToString(deterministic=True)
    cached = len(serialised) <= _MOST_CACHED_FACTS
    return _privacy_errors(serialised) if cached else _privacy_errors.__wrapped__(serialised)


@lru_cache(maxsize=32_768)
def _privacy_errors(serialised: bytes) -> tuple[FieldViolation, ...]:
    # Cached by content: a brand's events share few combinations of facts.
    facts = event_pb2.PrivacyFacts.FromString(serialised)
    found: list[FieldViolation] = []
    for name in ("user_residence", "user_location", "storage_country"):
        value = getattr(facts, name)
        if value and not _REGION.fullmatch(value):
            found.append(FieldViolation(f"privacy.{name}", "REGION_INVALID", "use ISO 3166-1 or ISO 3166-2"))
    if facts.HasField("user_age") and facts.user_age > 150:
        found.append(FieldViolation("privacy.user_age", "OUT_OF_RANGE", "user_age is 0 to 150"))
    _check_words(facts, "privacy", found)
    return tuple(found)


def _check_words(message: object, path: str, found: list[FieldViolation]) -> None:
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        where = f"{path}.{field.name}"
        if field.type == field.TYPE_MESSAGE:
            if field.message_type.full_name == "google.protobuf.Timestamp":
                if not MIN_TIME_S <= value.seconds < MAX_TIME_S:
                    found.append(
                        FieldViolation(where, "TIME_OUT_OF_RANGE", "the time lies outside 1970 to 2100")
                    )
            else:
                _check_words(value, where, found)
        elif field.type == field.TYPE_STRING:
            texts = value if field.is_repeated else (value,)
            limit = 8192 if field.name in ("tcf_string", "gpp_string") else 64
            if len(texts) > 64:
                found.append(FieldViolation(where, "TOO_MANY", "at most 64 entries are allowed"))
            for text in texts:
                if len(text) > limit:
                    found.append(FieldViolation(where, "TOO_LONG", f"at most {limit} characters are allowed"))
                elif limit == 64 and not _WORD.fullmatch(text):
                    found.append(
                        FieldViolation(where, "WORD_INVALID", "use a word of the documented vocabulary")
                    )
        elif field.is_repeated and len(value) > 64:
            found.append(FieldViolation(where, "TOO_MANY", "at most 64 entries are allowed"))
