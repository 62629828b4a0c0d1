"""SubjectDataService, served by every service: checks and translates; what is kept and how it is erased is the
service's own `SubjectStore`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from services.common.clock import Clock
from services.common.erased import KEY_BYTES, SUBJECT_BYTES, Entry, Erased, State
from services.common.errors import FieldViolation, InvalidArgument
from services.common.server import Service
from usher.subject.v1 import subject_pb2, subject_pb2_grpc

EVERY_STORE = "*"
MAX_EVENT_IDS = 20_000
MAX_ENTRIES = 10_000
MAX_PIECE_BYTES = 1 << 20
_EVENT_IDS_A_PIECE = 5_000
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Rows = tuple[str, list[dict[str, Any]]]
"""Store and some of its rows as JSON objects."""


@dataclass(frozen=True)
class Subject:
    """Whom it is about, and what of theirs stays."""

    tenant: str
    user_id: str
    event_ids: frozenset[str] = frozenset()
    """Events of the subject that this call names."""
    keep: Mapping[str, int] = field(default_factory=dict)
    """Store -> event time (Unix milliseconds) from which its rows are kept; 0: all of them."""
    through_ms: int | None = None
    """Only what was received until then; None: everything."""

    def kept_from(self, store: str) -> int | None:
        """From which event time on rows of a store are kept; None: none are."""
        times = [self.keep[name] for name in (store, EVERY_STORE) if name in self.keep]
        return min(times, default=None)

    def keeps_all(self, store: str) -> bool:
        """Whether nothing of a store is to be erased."""
        return self.kept_from(store) == 0


class Rule(NamedTuple):
    """How long one store keeps what comes from one jurisdiction."""

    store: str
    jurisdiction: str
    """"NL", "US-CA", "US"; empty: every one without a rule of its own."""
    before_ms: int


class Retained(NamedTuple):
    """What one rule did."""

    rows: int
    held: int


class SubjectStore(Protocol):
    """What a service keeps of people."""

    def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        """Yields rows by store; ingest yields the profile's bytes as they are."""
        ...

    def event_ids(self, subject: Subject) -> AsyncIterator[Sequence[str]]:
        """Yields the ids of the subject's events."""
        ...

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        """Erases everything but what is kept, then notes the entry of the ledger where there is one."""
        ...

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        """Rows that are still there and not kept, by store."""
        ...

    async def erasure_state(self) -> State:
        """How much of the ledger is in the stores."""
        ...

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        """Erases again whom the entries name; returns the rows erased by store."""
        ...

    async def retain(
        self, tenant: str, rules: Sequence[Rule], held: frozenset[str], dry_run: bool
    ) -> tuple[Mapping[Rule, Retained], int]:
        """Deletes or counts what is older than its rule says; returns that by rule, and partitions dropped."""
        ...


_NO_ROWS: tuple[Rows, ...] = ()
_NO_IDS: tuple[Sequence[str], ...] = ()


class NothingKept:
    """The store of a service that keeps nothing of anybody."""

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        for nothing in _NO_ROWS:
            yield nothing

    async def event_ids(self, subject: Subject) -> AsyncIterator[Sequence[str]]:
        for nothing in _NO_IDS:
            yield nothing

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        return Erased({})

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        return {}

    async def erasure_state(self) -> State:
        # Nothing kept is as far as any ledger.
        return State(2**62, False)

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        return {}

    async def retain(
        self, tenant: str, rules: Sequence[Rule], held: frozenset[str], dry_run: bool
    ) -> tuple[Mapping[Rule, Retained], int]:
        return {}, 0


class SubjectDataServicer(subject_pb2_grpc.SubjectDataServiceServicer):
    """Implements usher.subject.v1.SubjectDataService over a store."""

    def __init__(self, store: SubjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ExportSubjectData(
        self, request: subject_pb2.ExportSubjectDataRequest, context: Any
    ) -> AsyncIterator[subject_pb2.ExportSubjectDataResponse]:
        async for found in self._store.export(_subject(request), request.profile):
            if isinstance(found, bytes):
                yield subject_pb2.ExportSubjectDataResponse(store="profile", profile=found)
                continue
            store, rows = found
            for piece in _pieces(rows):
                yield subject_pb2.ExportSubjectDataResponse(store=store, json_lines=piece)

    async def ListSubjectEvents(
        self, request: subject_pb2.ListSubjectEventsRequest, context: Any
    ) -> AsyncIterator[subject_pb2.ListSubjectEventsResponse]:
        async for ids in self._store.event_ids(_subject(request)):
            for start in range(0, len(ids), _EVENT_IDS_A_PIECE):
                yield subject_pb2.ListSubjectEventsResponse(event_ids=ids[start : start + _EVENT_IDS_A_PIECE])

    async def EraseSubjectData(
        self, request: subject_pb2.EraseSubjectDataRequest, context: Any
    ) -> subject_pb2.EraseSubjectDataResponse:
        subject = _subject(request)
        if not request.erasure_id:
            raise _invalid("erasure_id", "ERASURE_ID_INVALID", "an erasure has an id, stable over retries")
        entry = _entry(request.entry) if request.HasField("entry") else None
        if entry is not None:
            _check_key(request.ledger_key)
        found = await self._store.erase(subject, request.ledger_key, entry)
        answer = subject_pb2.EraseSubjectDataResponse(
            erased=found.erased, kept=found.kept, delivered=found.delivered
        )
        answer.erased_time.FromMilliseconds(self._clock.now_ms())
        return answer

    async def VerifySubjectErasure(
        self, request: subject_pb2.VerifySubjectErasureRequest, context: Any
    ) -> subject_pb2.VerifySubjectErasureResponse:
        remaining = await self._store.remaining(_subject(request))
        return subject_pb2.VerifySubjectErasureResponse(
            remaining={store: number for store, number in remaining.items() if number}
        )

    async def GetErasureState(
        self, request: subject_pb2.GetErasureStateRequest, context: Any
    ) -> subject_pb2.GetErasureStateResponse:
        state = await self._store.erasure_state()
        return subject_pb2.GetErasureStateResponse(**state._asdict())

    async def ReapplyErasures(
        self, request: subject_pb2.ReapplyErasuresRequest, context: Any
    ) -> subject_pb2.ReapplyErasuresResponse:
        _check_key(request.ledger_key)
        if len(request.entries) > MAX_ENTRIES:
            raise _invalid("entries", "LEDGER_INVALID", f"at most {MAX_ENTRIES} entries a call")
        entries = [_entry(one) for one in request.entries]
        erased = await self._store.reapply(request.ledger_key, entries, request.complete)
        return subject_pb2.ReapplyErasuresResponse(erased=erased)

    async def ApplyRetention(
        self, request: subject_pb2.ApplyRetentionRequest, context: Any
    ) -> subject_pb2.ApplyRetentionResponse:
        check_tenant(request.tenant)
        if len(request.held_user_ids) > MAX_ENTRIES:
            raise _invalid("held_user_ids", "LEDGER_INVALID", f"at most {MAX_ENTRIES} viewers under a hold")
        rules = [Rule(one.store, one.jurisdiction, one.before_time.ToMilliseconds()) for one in request.rules]
        counts, dropped = await self._store.retain(
            request.tenant, rules, frozenset(request.held_user_ids), request.dry_run
        )
        answer = subject_pb2.ApplyRetentionResponse(partitions_dropped=dropped)
        for rule, done in counts.items():
            answer.counts.add(
                store=rule.store, jurisdiction=rule.jurisdiction, rows=done.rows, held=done.held
            )
        return answer


def rule_for(rules: Mapping[tuple[str, str], Rule], store: str, region: str) -> Rule | None:
    """The rule for a region: its own, its country's, or the general one."""
    for place in (region, region.partition("-")[0], ""):
        rule = rules.get((store, place))
        if rule is not None:
            return rule
    return None


def as_word(user_id: str) -> re.Pattern[str]:
    """Matches the id as a word of its own within a text, and not as a part of a longer id."""
    return re.compile(rf"(?<![\w@+/=~-])(?<!\w[.:]){re.escape(user_id)}(?![\w@+/=~-]|[.:]\w)")


def subject_data(store: SubjectStore, clock: Clock) -> Service:
    """The service to host, over a store."""
    return Service(
        subject_pb2_grpc.add_SubjectDataServiceServicer_to_server,
        SubjectDataServicer(store, clock),
        "usher.subject.v1.SubjectDataService",
    )


def entry_message(entry: Entry) -> subject_pb2.LedgerEntry:
    """An entry of the ledger for the wire."""
    message = subject_pb2.LedgerEntry(
        sequence=entry.sequence, subject=entry.subject, erasure_id=entry.erasure_id
    )
    message.erased_time.FromMilliseconds(entry.erased_ms)
    return message


def check_tenant(tenant: str) -> None:
    """Raises InvalidArgument (TENANT_INVALID)."""
    if not _TENANT.fullmatch(tenant):
        raise _invalid("tenant", "TENANT_INVALID", "a tenant is 1 to 63 characters of a-z, 0-9 and hyphen")


def check_user_id(user_id: str) -> None:
    """Raises InvalidArgument (USER_ID_INVALID)."""
    if not 1 <= len(user_id.encode()) <= 1024:
        raise _invalid("user_id", "USER_ID_INVALID", "a user id has 1 to 1,024 bytes")


def _subject(request: Any) -> Subject:
    check_tenant(request.tenant)
    check_user_id(request.user_id)
    event_ids = getattr(request, "event_ids", ())
    if len(event_ids) > MAX_EVENT_IDS:
        raise _invalid("event_ids", "TOO_MANY_EVENTS", f"at most {MAX_EVENT_IDS:,} event ids a call")
    keep: dict[str, int] = {}
    for one in getattr(request, "keep", ()):
        since = one.since_time.ToMilliseconds() if one.HasField("since_time") else 0
        keep[one.store] = min(since, keep.get(one.store, since))
    return Subject(request.tenant, request.user_id, frozenset(event_ids), keep)


def _entry(message: subject_pb2.LedgerEntry) -> Entry:
    if message.sequence < 1 or len(message.subject) != SUBJECT_BYTES or not message.HasField("erased_time"):
        raise _invalid("entry", "LEDGER_INVALID", "an entry has a sequence, a subject of 16 bytes and a time")
    return Entry(message.sequence, message.subject, message.erased_time.ToMilliseconds(), message.erasure_id)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise _invalid("ledger_key", "LEDGER_INVALID", f"the ledger's key has {KEY_BYTES} bytes")


def _invalid(field: str, reason: str, message: str) -> InvalidArgument:
    return InvalidArgument(reason, message, violations=[FieldViolation(field, reason, message)])


def _pieces(rows: Iterable[dict[str, Any]]) -> Iterable[bytes]:
    piece: list[bytes] = []
    size = 0
    for row in rows:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS)
        if piece and size + len(line) > MAX_PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)
