"""Facts of accounts: what is valid, which of two is newer, and how an event carries them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from services.common.errors import FieldViolation
from services.ingest import check, wire
from usher.event.v1 import event_pb2
from usher.ingest.v1 import accounts_pb2

MAX_ACCOUNTS = 500
"""Accounts of one call."""
MAX_AHEAD_MS = 300_000
"""Facts that claim to hold from later on are refused, as events are."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_LEAST_MS, _MOST_MS = 0, 4_133_980_799_000


class Kept(NamedTuple):
    """The facts of one account and since when each holds, both serialised."""

    facts: bytes = b""
    times: bytes = b""


def violations(update: accounts_pb2.AccountUpdate, now_ms: int) -> list[FieldViolation]:
    """Everything that is wrong with an update; empty where it can be recorded."""
    found = []
    if not _IDENTIFIER.fullmatch(update.user_id):
        found.append(
            FieldViolation(
                "user_id", "IDENTIFIER_INVALID", "1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"
            )
        )
    if not update.facts.ListFields():
        found.append(FieldViolation("facts", "MISSING", "tell at least one fact"))
    found += [
        one._replace(field=one.field.replace("account.", "facts.", 1))
        for one in check.account_violations(update.facts)
    ]
    if not update.HasField("as_of_time"):
        found.append(FieldViolation("as_of_time", "MISSING", "say since when the facts hold"))
    else:
        as_of = update.as_of_time
        as_of_ms = as_of.seconds * 1000 + as_of.nanos // 1_000_000
        if not (0 <= as_of.nanos < 1_000_000_000 and _LEAST_MS < as_of_ms < _MOST_MS):
            found.append(FieldViolation("as_of_time", "TIME_OUT_OF_RANGE", "must lie in 1970 to 2100"))
        elif as_of_ms > now_ms + MAX_AHEAD_MS:
            found.append(
                FieldViolation("as_of_time", "IN_THE_FUTURE", "facts may lie at most 5 minutes ahead")
            )
    return found


def merge(kept: Kept, update: accounts_pb2.AccountUpdate) -> Kept | None:
    """What is known after a valid update; None where it tells nothing new.

    Each fact goes by its own time: a newer one replaces, an older one is left. At one time the larger value wins, compared
    as bytes, so that the order of calls does not matter.
    """
    facts = event_pb2.AccountFacts.FromString(kept.facts)
    times = accounts_pb2.AccountFactTimes.FromString(kept.times)
    as_of_ms = update.as_of_time.ToMilliseconds()
    changed = False
    for field, value in update.facts.ListFields():
        before_ms = times.as_of_ms.get(field.number)
        one = event_pb2.AccountFacts()
        _set(one, field.name, value)
        if before_ms is not None:
            if before_ms > as_of_ms:
                continue
            if before_ms == as_of_ms:
                held = event_pb2.AccountFacts()
                if facts.HasField(field.name) if field.has_presence else True:
                    _set(held, field.name, getattr(facts, field.name))
                if held.SerializeToString() >= one.SerializeToString():
                    continue
        facts.ClearField(field.name)
        facts.MergeFrom(one)
        times.as_of_ms[field.number] = as_of_ms
        changed = True
    if not changed:
        return None
    return Kept(facts.SerializeToString(deterministic=True), times.SerializeToString(deterministic=True))


def carry(payload: bytes, facts: bytes) -> bytes:
    """An event's bytes with the kept facts of its account; what the event itself tells goes first.

    Protobuf merges what is concatenated, and the later value wins. An event that may hold facts of its own is written
    anew, for readers that take the facts as one piece.
    """
    if not facts:
        return payload
    joined = wire.length_delimited(wire.ACCOUNT, facts) + payload
    if wire.ACCOUNT in payload:
        return event_pb2.Event.FromString(joined).SerializeToString(deterministic=True)
    return joined


def _set(facts: event_pb2.AccountFacts, name: str, value: object) -> None:
    if name == "created_time":
        facts.created_time.CopyFrom(value)  # type: ignore[arg-type]
    else:
        setattr(facts, name, value)
