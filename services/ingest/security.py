"""The second stage of the check: whether what an event carries is an attack on a program behind. Pure.

Each field has its policy. Identifiers, codes and names of metadata are machine words: an attack there fails the event.
Free text (values of metadata, the user agent) is stored as sent and escaped where it is shown, so an attack there harms
nobody here: it is marked in the decision and counted, or fails the event where the operator says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from services.common.attacks.detector import Finding, Kind, inspect, is_word
from services.common.errors import FieldViolation
from usher.event.v1 import event_pb2

FIELD_GROUPS = ("error_code", "subscription_plan", "metadata_name", "metadata_value", "user_agent")
"""Groups of fields whose policy can be set; identifiers always fail."""
FAILING = frozenset({"error_code", "subscription_plan", "metadata_name"})
"""Groups in which an attack fails the event unless the settings say otherwise."""

_IDENTIFIERS = (
    "event_id",
    "user_id",
    "device_id",
    "content_id",
    "session_id",
    "stream_id",
    "payment_fingerprint",
    "intent_event_id",
    "import_id",
)
_MOST_TOLD = 32
"""Attacks told of one event; further ones add nothing."""
_LONGEST_NAME = 64

# A JSON object of numbers and of words that are harmless to the detector, too. RE2: a number can be cut in many ways, and a
# backtracking engine tries them all.
_HARMLESS_JSON = re2.compile(
    rb'(?:[{}\[\],: \n]|"(?:[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*|[0-9]+(?:[.:][0-9]+)*)?"'
    rb"|-?[0-9]+(?:\.[0-9]+)?|true|false|null)*"
)


class Attack(NamedTuple):
    """An attack in one field."""

    field: str
    """Its path: `content_id`, `metadata.title`, `metadata.tags[2]`."""
    group: str
    """`identifier`, or one of FIELD_GROUPS."""
    finding: Finding


def attacks_in(event: event_pb2.Event) -> tuple[Attack, ...]:
    """Every attack in an event's identifiers and free texts, at most 32, in order of the fields.

    What is harmless at first sight costs about a microsecond a field; equal texts are looked at once (user agents and small
    metadata repeat).
    """
    found: list[Attack] = []
    for name in _IDENTIFIERS:
        _look(name, "identifier", getattr(event, name), Kind.IDENTIFIER, found)
    found.extend(attacks_in_texts(event.subscription_plan, event.error_code, event.user_agent))
    if event.HasField("account"):
        _look("account.household_id", "identifier", event.account.household_id, Kind.IDENTIFIER, found)
        _look("account.plan", "identifier", event.account.plan, Kind.IDENTIFIER, found)
    return tuple(found[:_MOST_TOLD])


def attacks_in_texts(plan: str, code: str, agent: str) -> list[Attack]:
    """Every attack in the free texts of an event: its subscription_plan, error_code and user_agent."""
    found: list[Attack] = []
    _look("subscription_plan", "subscription_plan", plan, Kind.IDENTIFIER, found)
    _look("error_code", "error_code", code, Kind.TEXT, found)
    _look("user_agent", "user_agent", agent, Kind.TEXT, found)
    return found


def attacks_in_object(value: object, path: str) -> tuple[Attack, ...]:
    """Every attack in the names and texts of a JSON object, to any depth."""
    found: list[Attack] = []
    for where, is_name, text in _texts(value, path):
        _look(
            where,
            "metadata_name" if is_name else "metadata_value",
            text,
            Kind.IDENTIFIER if is_name else Kind.TEXT,
            found,
        )
        if len(found) == _MOST_TOLD:
            break
    return tuple(found)


def harmless_object(content: bytes) -> bool:
    """Whether a JSON object holds nothing but plain words and numbers, told from its bytes alone."""
    return b"0x" not in content and _HARMLESS_JSON.fullmatch(content) is not None


def violations_of(attacks: Iterable[Attack], failing: frozenset[str]) -> list[FieldViolation]:
    """The errors of those attacks that fail the event."""
    return [
        FieldViolation(
            attack.field,
            f"ATTACK_{attack.finding.attack.upper()}",
            f"looks like an attack ({', '.join(attack.finding.patterns[:4])}); send what it stands for in plain words",
        )
        for attack in attacks
        if attack.group == "identifier" or attack.group in failing
    ]


def _look(field: str, group: str, text: str, kind: Kind, found: list[Attack]) -> None:
    if text and not is_word(text):
        finding = _inspect(text, kind) if len(text) <= _MOST_CACHED else inspect(text, kind)
        if finding is not None:
            found.append(Attack(field, group, finding))


_MOST_CACHED = 512
"""Characters of a text that is worth a place in the cache: about 6 MB at most together."""


@lru_cache(maxsize=8_192)
def _inspect(text: str, kind: Kind) -> Finding | None:
    return inspect(text, kind)


def _texts(value: object, path: str) -> Iterator[tuple[str, bool, str]]:
    """(path, whether it is a name, text), outer ones first; without recursion, since senders choose the depth."""
    waiting: deque[tuple[str, Any]] = deque([(path, value)])
    while waiting:
        where, one = waiting.popleft()
        if isinstance(one, str):
            yield where, False, one
        elif isinstance(one, dict):
            for name, inner in one.items():
                inside = f"{where}.{name[:_LONGEST_NAME]}"
                yield inside, True, name
                waiting.append((inside, inner))
        elif isinstance(one, list):
            waiting.extend((f"{where}[{index}]", inner) for index, inner in enumerate(one))
