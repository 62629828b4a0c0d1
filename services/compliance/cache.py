"""Verdicts by legal signature: events with equal legal facts share one answer.

There are two signatures. The exact one is what the facts are read from: the serialised PrivacyFacts, the sender's bare
fields, the country of the address, whether the event type exercises a right, and what the consent ledger says. Of an
event whose exact signature is known only a slice is parsed: PrivacyFacts stay bytes. Else the facts are read, and the
coarse signature (`Law.signature`) is what of them the law looks at: another viewer's age or date of consent mostly
makes no difference.

The event's time is in neither; each answer says for which times it holds instead, so that a deadline or a new law makes
a new answer at the second at which it does.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from services.compliance.consent import LedgerFact
from services.compliance.evaluate import Answer, Law
from services.compliance.facts import Facts, country_of, is_own_right, read_facts
from usher.event.v1 import event_pb2

MAX_ANSWERS_A_SIGNATURE = 8
"""Answers of one signature for different times; further ones replace the oldest."""

MAX_CACHED_BYTES = 2_048
"""Longest PrivacyFacts that are kept as part of a signature: what a signature costs in memory stays bounded."""

_own_right = lru_cache(maxsize=4_096)(is_own_right)


def _slice_class(name: str, fields: tuple[str, ...]) -> Any:
    """A message with these fields of Event and `privacy`, under their numbers; the others are skipped.

    `privacy` is repeated bytes: a sender may split a message field, and parts that are to be merged must not be
    mistaken for a whole.
    """
    event = descriptor_pb2.DescriptorProto()
    event_pb2.Event.DESCRIPTOR.CopyToProto(event)
    whole = {field.name: field for field in event.field}
    file = descriptor_pb2.FileDescriptorProto(
        name=f"usher/compliance/{name}.proto", package="usher.compliance.internal", syntax="proto3"
    )
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name=name)
    for field_name in fields:
        field = message.field.add()
        field.CopyFrom(whole[field_name])
        if field.proto3_optional:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field_name}")
    message.field.add(
        name="privacy",
        number=whole["privacy"].number,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    )
    pool = descriptor_pool.DescriptorPool()
    timestamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
    pool.Add(timestamp)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"usher.compliance.internal.{name}"))


parse_slice: Any = _slice_class(
    "LegalSlice", ("event_type", "event_time", "region", "is_eu", "has_consent")
).FromString
"""Parses the slice of a serialised event; raises DecodeError where the bytes are no message."""

parse_viewer: Any = _slice_class("ViewerSlice", ("user_id", "event_time")).FromString
"""Parses whom an event is about, when, and with what privacy facts; raises DecodeError likewise."""


class CacheStatistics(NamedTuple):
    """What the cache did since its start."""

    hits: int
    """Answered by the exact signature."""
    misses: int
    """Not so; the facts were read."""
    alike: int
    """Of the misses: answered by the coarse signature, without applying a pack."""


class _Recent:
    """Answers by signature, the most recently used `capacity` to `2 * capacity` of them.

    Two generations stand in for a list in order of use: a signature of the older one that is asked for moves to the
    younger; when that is full, it becomes the older, and what was never asked for again goes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: dict[Hashable, tuple[Answer, ...]] = {}
        self._old: dict[Hashable, tuple[Answer, ...]] = {}

    def get(self, signature: Hashable) -> tuple[Answer, ...]:
        """The answers of a signature, the newest first; empty where there are none."""
        answers = self._young.get(signature)
        if answers is None:
            answers = self._old.get(signature, ())
            if answers:
                self._keep(signature, answers)
        return answers

    def add(self, signature: Hashable, answer: Answer, others: tuple[Answer, ...]) -> None:
        """Puts an answer before the others of its signature."""
        self._keep(signature, (answer, *others[: MAX_ANSWERS_A_SIGNATURE - 1]))

    def _keep(self, signature: Hashable, answers: tuple[Answer, ...]) -> None:
        if len(self._young) >= self._capacity:
            self._old = self._young
            self._young = {}
        self._young[signature] = answers


class VerdictCache:
    """Answers of one policy set, by both signatures."""

    def __init__(self, law: Law, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a cache holds 1 signature or more, not {capacity}")
        self._law = law
        self._exact = _Recent(capacity)
        self._coarse = _Recent(capacity)
        self._asked = 0
        self._misses = 0
        self._alike = 0

    @property
    def statistics(self) -> CacheStatistics:
        """What was answered how, since the start."""
        return CacheStatistics(self._asked - self._misses, self._misses, self._alike)

    def answer(
        self, serialised: bytes, packed_country: int, ledger: LedgerFact | None = None
    ) -> Answer | None:
        """The law's answer to a serialised event; None where it has no `event_time`.

        `packed_country` is as in Places.country, 0 where unknown; `ledger` is what the consent ledger says of the
        viewer as of the event's time. Raises DecodeError where the bytes, as far as
        they must be read, are no event.
        """
        event = parse_slice(serialised)
        if not event.HasField("event_time"):
            return None
        self._asked += 1
        time: int = event.event_time.seconds
        own_right = _own_right(event.event_type)
        bare = 0
        if event.HasField("is_eu"):
            bare = 2 + event.is_eu
        if event.HasField("has_consent"):
            bare += 8 + 4 * event.has_consent
        parts = event.privacy
        # Concatenated parts are what a parser would merge: the same message.
        privacy = b"".join(parts) if parts else b""
        signature = (privacy, event.region, bare, own_right, packed_country, ledger)
        answers = self._exact.get(signature)
        for answer in answers:
            if answer.since <= time < answer.until:
                return answer
        self._misses += 1
        whole = event_pb2.Event.FromString(serialised)
        facts = read_facts(whole, country_of(packed_country), own_right=own_right, ledger=ledger)
        if len(privacy) > MAX_CACHED_BYTES:
            return self._law.evaluate(facts)
        answer = _until_a_turn(self._alike_answer(facts), facts)
        self._exact.add(signature, answer, answers)
        return answer

    def _alike_answer(self, facts: Facts) -> Answer:
        signature = self._law.signature(facts)
        answers = self._coarse.get(signature)
        for answer in answers:
            if answer.since <= facts.time < answer.until:
                self._alike += 1
                return answer
        answer = self._law.evaluate(facts)
        self._coarse.add(signature, answer, answers)
        return answer


def _until_a_turn(answer: Answer, facts: Facts) -> Answer:
    """The answer for the times at which the same event has the same facts."""
    if not facts.turns:
        return answer
    since, until = answer.since, answer.until
    for turn in facts.turns:
        if turn <= facts.time:
            since = max(since, turn)
        else:
            until = min(until, turn)
    return answer._replace(since=since, until=until)
