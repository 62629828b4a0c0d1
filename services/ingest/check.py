"""Step 1: three stages, each with failures of its own. Pure; finds every error of an event at once.

  * schema: types, lengths, ranges and formats. Identifiers follow one strict grammar (docs/events.md);
  * security: attacks, by the policy of each field (security.py);
  * sanitising: what no text may hold (controls, characters that are none), and metadata that are too deep or too large.

Free text is stored as sent and escaped where it is shown. `normalise` then gives equal events equal bytes.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import orjson

from services.common.errors import FieldViolation, InvalidArgument
from services.common.event_types import EVENT_TYPES, canonical
from services.common.regions import is_region
from services.ingest import security
from services.ingest.security import Attack
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
_MOST_CACHED_TEXTS = 512
"""Characters of free text that are worth a place in the cache."""
_MOST_CACHED_FACTS = 512
"""Bytes of privacy facts that are worth a place in the cache."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_ALL_IDENTIFIERS = re.compile(
    r"[A-Za-z0-9._:@+/=~-]{1,255}(?:\n[A-Za-z0-9._:@+/=~-]{1,255}){2}(?:\n[A-Za-z0-9._:@+/=~-]{0,255}){8}"
)
# Eleven identifiers that hold nothing a pattern of attack could match.
_ALL_HARMLESS = re.compile(
    r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*(?:\n(?:[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*)?){10}"
)
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_.:-]{1,50}")
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}")
_WORD = re.compile(r"[A-Za-z0-9_.:+/ -]{0,64}")
# Controls but for white space (ECMA-48), and the codes that Unicode reserves for no character.
_UNCLEAN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
# In a JSON text the same are written as escapes or stand as they are.
_UNCLEAN_JSON = re.compile(
    rb"\\u00[0189][0-9a-fA-F]|\\u007[fF]|\\[bf]|\x7f|\xc2[\x80-\x9f]|\xef\xb7[\x90-\xaf]|\xef\xbf[\xbe\xbf]|\\u[fF][dDfF]"
)
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


class Examined(NamedTuple):
    """What the three stages found."""

    violations: list[FieldViolation]
    """Every error, in order of the stages; empty where the event may be decided."""
    attacks: tuple[Attack, ...]
    """Every attack, also those that the policy of their field only marks."""


def examine(event: event_pb2.Event, now_ms: int, failing: frozenset[str] = security.FAILING) -> Examined:
    """All three stages.

    `now_ms` is the server's time, Unix milliseconds; `failing` are the groups of fields (security.FIELD_GROUPS) in which an
    attack fails the event.
    """
    identifiers, texts = _identifiers(event), _texts(event)
    errors = [] if _well_formed(event, now_ms, identifiers, texts) else _every_error(event, now_ms)
    attacks = _attacks(event, identifiers, texts)
    if attacks:
        errors = errors + security.violations_of(attacks, failing)
    return Examined(errors, attacks)


def text_length(event: event_pb2.Event) -> int:
    """Characters and bytes of an event that are looked at for attacks."""
    texts = len(event.metadata_json) + len(event.unknown_json) + len(event.user_agent) + len(event.error_code)
    return texts + len(event.subscription_plan) + len(_identifiers(event))


def require_tenant(tenant: str) -> None:
    """Raises InvalidArgument (TENANT_INVALID) for what is no tenant's name."""
    if not valid_tenant(tenant):
        raise InvalidArgument(
            "TENANT_INVALID",
            "a tenant is named by 1 to 63 characters of a-z, 0-9 and hyphen",
            violations=[FieldViolation("tenant", "TENANT_INVALID", "1 to 63 characters of [a-z0-9-]")],
        )


def violations(event: event_pb2.Event, now_ms: int) -> list[FieldViolation]:
    """Every error of the schema and of sanitising of one event, in order of its fields; empty where there is none.

    `now_ms` is the server's time, Unix milliseconds: an event more than 5 minutes ahead of it is IN_THE_FUTURE.
    """
    usual = _well_formed(event, now_ms, _identifiers(event), _texts(event))
    return [] if usual else _every_error(event, now_ms)


def attacks_of(event: event_pb2.Event) -> tuple[Attack, ...]:
    """Every attack in an event, whatever the policy of its field."""
    return _attacks(event, _identifiers(event), _texts(event))


def stage_of(field: str, reason: str) -> event_pb2.CheckStage:
    """The stage that a violation belongs to, from its field and reason."""
    if reason.startswith("ATTACK_"):
        return event_pb2.CHECK_STAGE_SECURITY
    too_large = reason == "TOO_LONG" and field in _OBJECTS
    if too_large or reason in ("CONTROL_CHARACTER", "TEXT_INVALID", "TOO_DEEP"):
        return event_pb2.CHECK_STAGE_SANITISING
    return event_pb2.CHECK_STAGE_SCHEMA


_OBJECTS = ("metadata", "extra_metadata", "unknown_json")


def _identifiers(event: event_pb2.Event) -> str:
    account = event.account
    return (
        f"{event.event_id}\n{event.user_id}\n{event.device_id}\n{event.content_id}\n{event.session_id}\n"
        f"{event.stream_id}\n{event.payment_fingerprint}\n{event.intent_event_id}\n{event.import_id}\n"
        f"{account.household_id}\n{account.plan}"
    )


class _Texts(NamedTuple):
    """The free texts of an event as they were read."""

    clean: bool
    """Whether none is too long or holds what no text may hold."""
    attacks: tuple[Attack, ...]


def _texts(event: event_pb2.Event) -> _Texts:
    plan, code, agent = event.subscription_plan, event.error_code, event.user_agent
    # Together they repeat: a platform has some thousand kinds of client.
    small = len(plan) + len(code) + len(agent) <= _MOST_CACHED_TEXTS
    return (_read_texts if small else _read_texts.__wrapped__)(plan, code, agent)


@lru_cache(maxsize=8_192)
def _read_texts(plan: str, code: str, agent: str) -> _Texts:
    clean = (
        len(plan) <= 20
        and len(code) <= 50
        and len(agent) <= 1024
        and _UNCLEAN.search(agent) is None
        and _UNCLEAN.search(plan) is None
        and _UNCLEAN.search(code) is None
    )
    return _Texts(clean, tuple(security.attacks_in_texts(plan, code, agent)))


def _attacks(event: event_pb2.Event, identifiers: str, texts: _Texts) -> tuple[Attack, ...]:
    harmless = "0x" not in identifiers and _ALL_HARMLESS.fullmatch(identifiers) is not None
    found = texts.attacks if harmless else security.attacks_in(event)
    for content in (event.metadata_json, event.unknown_json):
        if content:
            found += _object_of(content).attacks
    return found


def _well_formed(event: event_pb2.Event, now_ms: int, identifiers: str, texts: _Texts) -> bool:
    """Whether `_every_error` would find nothing: the usual case at a third of its cost. A property test holds them equal."""
    time, kind, zone = event.event_time, event.event_type, event.time_zone
    metadata, unknown = event.metadata_json, event.unknown_json
    seconds = time.seconds
    return (
        # One match for the eleven identifiers of an event.
        _ALL_IDENTIFIERS.fullmatch(identifiers) is not None
        and (kind in EVENT_TYPES or _EVENT_TYPE.fullmatch(kind) is not None)
        and MIN_TIME_S <= seconds < MAX_TIME_S
        and 0 <= time.nanos < 1_000_000_000
        # A second within the limit; at the limit itself the exact rule decides.
        and seconds * 1000 + 1000 <= now_ms + MAX_AHEAD_MS
        and (seconds > 0 or event.HasField("event_time"))
        and is_region(event.region)
        and _address_reason(event.ip_address) is None
        and texts.clean
        and (not zone or _TIME_ZONE.fullmatch(zone) is not None)
        and event.data_volume_bytes <= MAX_VOLUME
        and (not metadata or _object_of(metadata).error is None)
        and (not unknown or _object_of(unknown).error is None)
        and (event.origin != event_pb2.ORIGIN_IMPORT or bool(event.import_id))
        and not event.HasField("unmapped")
        and (not event.HasField("account") or _account_well_formed(event.account))
        and (not event.HasField("privacy") or not _facts_errors(event.privacy))
    )


def _account_well_formed(account: event_pb2.AccountFacts) -> bool:
    """As `_well_formed`; household and plan were looked at with the other identifiers."""
    domain, signup = account.email_domain, account.signup_ip_address
    return (
        (not domain or _DOMAIN.fullmatch(domain) is not None)
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
    elif not is_region(event.region):
        found.append(
            FieldViolation(
                "region",
                "REGION_INVALID",
                "use ISO 3166-1 alpha-2 (DE, GB), ISO 3166-2 (US-CA) or EU; ZZ where it is unknown",
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
        # Of a text that could not be read at all nothing is known to be missing.
        unread = "" in told and not event.user_id
        found = mapped + [
            v
            for v in found
            if _JSON_NAMES.get(v.field, v.field) not in told and not (unread and v.reason == "MISSING")
        ]
        if not found:
            found.append(
                FieldViolation("", "UNMAPPED", "the sender's text could not be mapped onto an event")
            )
    return found


def normalise(event: event_pb2.Event) -> None:
    """Brings an event without violations into its canonical form, in place, so that equal events have equal bytes.

    The type gets its canonical spelling, the plan and the error code Unicode's composed form (NFC, UAX 15); JSON objects get
    sorted keys and no white space. Texts in them and the user agent stay as sent.
    """
    kind = canonical(event.event_type)
    if kind != event.event_type:
        event.event_type = kind
    if not event.error_code.isascii():
        event.error_code = unicodedata.normalize("NFC", event.error_code)
    if not event.subscription_plan.isascii():
        event.subscription_plan = unicodedata.normalize("NFC", event.subscription_plan)
    if event.metadata_json:
        event.metadata_json = _object_of(event.metadata_json).canonical
    if event.unknown_json:
        event.unknown_json = _object_of(event.unknown_json).canonical


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
        if _UNCLEAN.search(value):
            found.append(
                FieldViolation(
                    name,
                    "CONTROL_CHARACTER",
                    f"{name} holds a control character or one that Unicode reserves",
                )
            )
    if event.time_zone and not _TIME_ZONE.fullmatch(event.time_zone):
        found.append(
            FieldViolation("time_zone", "TIME_ZONE_INVALID", 'use an IANA name such as "Europe/Berlin"')
        )
    if event.HasField("data_volume_bytes") and event.data_volume_bytes > MAX_VOLUME:
        found.append(FieldViolation("data_volume_bytes", "OUT_OF_RANGE", "data_volume_bytes is above 2^53"))
    for field, content in (("metadata", event.metadata_json), ("unknown_json", event.unknown_json)):
        if content:
            error = _object_of(content).error
            if error is not None:
                found.append(FieldViolation(field, *error))


class _Object(NamedTuple):
    """A JSON object as it was read."""

    canonical: bytes
    """With sorted keys and without white space; as sent where it has an error."""
    error: tuple[str, str] | None
    """Reason and message, where something is wrong with it."""
    attacks: tuple[Attack, ...]


def _object_of(content: bytes) -> _Object:
    # Small objects repeat: an app's version and a network's type have few combinations.
    # A large one is asked for three times on its way, by whatever thread checks it.
    return _read_cached(content) if len(content) <= _MOST_CACHED_OBJECT else _read_large(content)


def _read(content: bytes) -> _Object:
    if len(content) > MAX_METADATA_BYTES:
        message = f"{len(content)} bytes of JSON, at most {MAX_METADATA_BYTES} are allowed"
        return _Object(content, ("TOO_LONG", message), ())
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _Object(content, ("MALFORMED_JSON", "not a JSON object in UTF-8"), ())
    if not isinstance(value, dict):
        return _Object(content, ("WRONG_TYPE", "a JSON object is needed"), ())
    if _too_deep(value):
        message = f"nested more than {MAX_METADATA_DEPTH} levels deep"
        return _Object(content, ("TOO_DEEP", message), ())
    attacks = () if security.harmless_object(content) else security.attacks_in_object(value, "metadata")
    if _UNCLEAN_JSON.search(content) and any(_UNCLEAN.search(text) for text in _texts_of(value)):
        message = "a text holds a control character or one that Unicode reserves"
        return _Object(content, ("CONTROL_CHARACTER", message), attacks)
    return _Object(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), None, attacks)


def _too_deep(value: object) -> bool:
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
            return False
    return True


def _texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_of(inner)


_MOST_CACHED_OBJECT = 512
_read_cached = lru_cache(maxsize=8_192)(_read)
_read_large = lru_cache(maxsize=32)(_read)


def account_violations(account: event_pb2.AccountFacts) -> list[FieldViolation]:
    """Everything that is wrong with facts of an account; the fields are named as an event's ("account.plan")."""
    found: list[FieldViolation] = []
    _check_account(account, found)
    return found


def _check_account(account: event_pb2.AccountFacts, found: list[FieldViolation]) -> None:
    if account.household_id and not _IDENTIFIER.fullmatch(account.household_id):
        found.append(_identifier("account.household_id", account.household_id))
    if account.plan and not _IDENTIFIER.fullmatch(account.plan):
        found.append(_identifier("account.plan", account.plan))
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
        if value and not is_region(value):
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
