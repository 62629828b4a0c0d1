"""Fulfils subject requests in all services: erasure in rounds until nothing is left, and the bundle of an access.

An erasure is a request that the worker takes up until it is done: each step is written down, each call is idempotent, so
that a crash anywhere costs a repeated step and nothing else. Order of a round: alerts, fraud, scoring, compliance, and
ingest last, because only ingest knows which events are the subject's. Then everything is looked at again; whatever is
left (an event that was on its way, a message that was being delivered) goes in the next round.
"""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common import signed
from services.common.clock import Clock
from services.common.erased import Entry
from services.common.errors import FailedPrecondition, UsherError
from services.common.subject_data import MAX_EVENT_IDS, Subject, entry_message
from services.common.telemetry import Telemetry
from services.compliance import bundle, retention
from services.compliance import requests as rules
from services.compliance.duties import Facts
from services.compliance.faults import crash_point
from services.compliance.peers import Peers
from services.compliance.store_records import NEVER, TABLES, RecordStore
from services.compliance.store_subject import ComplianceSubjects
from services.compliance.telling import erasure_stalled
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1.records_pb2 import SubjectRequest
from usher.subject.v1 import subject_pb2

OWN = "compliance"
ROUND = ("alerts", "fraud", "scoring", OWN, "ingest")
LEASE_MS = 20_000
"""How long nobody else takes up a request; renewed while it is worked on."""
_FIRST_RETRY_MS = 1_000
STALLED_AFTER = 8
"""Rounds after which people are told that an erasure does not come to its end."""
_DAY_MS = 86_400_000
_SETTLED_MS = 600_000
_SPOOL_BYTES = 8 << 20


class Kept(NamedTuple):
    """What stays for now, why, and until when."""

    keep: list[subject_pb2.Keep]
    until_ms: int
    """When to look again; 0: when a hold is released."""


class Fulfilment:
    """Does the work."""

    def __init__(
        self,
        *,
        store: RecordStore,
        peers: Peers,
        own: ComplianceSubjects,
        key: bytes,
        signing: Ed25519PrivateKey,
        ledger_copy: Path | None,
        settle_seconds: float,
        longest_retry_seconds: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._database = store.database
        self._peers = peers
        self._own = own
        self._key = key
        self._signing = signing
        self._ledger_copy = ledger_copy
        self._settle = settle_seconds
        self._longest_retry_ms = int(longest_retry_seconds * 1000)
        self._clock = clock
        self._log = telemetry.logger("fulfil")

    # -- erasure -----------------------------------------------------------------------------------

    async def erase(self, request: SubjectRequest, facts: Sequence[Facts]) -> SubjectRequest:
        """One round of an erasure; returns the request after it. What goes wrong makes it wait for the next round."""
        try:
            return await self._round(request, facts)
        except UsherError as error:
            self._log.warning(
                "an erasure waits", extra={"request_id": request.request_id, "reason": error.reason}
            )
            return await self._change(request, lambda one: self._again(one))

    async def _round(self, request: SubjectRequest, facts: Sequence[Facts]) -> SubjectRequest:
        request = await self._change(request, self._begin)
        crash_point("erasure.begun")
        kept = await self._kept(request, facts)
        erasure = request.erasure
        entry = None if kept.keep else await self._enter(request)
        crash_point("erasure.entered")
        event_ids = await self._event_ids(request)
        for service in ROUND:
            if service in erasure.done:
                continue
            answer = await self._erase_in(service, request, kept.keep, event_ids, entry)
            request = await self._change(request, functools.partial(self._count, service, answer))
            crash_point(f"erasure.after.{service}")
        await asyncio.sleep(self._settle)
        left = await self._left(request, kept.keep, event_ids)
        if left:
            self._log.info("an erasure left something; it goes on", extra={"left": left})
            return await self._change(request, lambda one: self._again(one))
        crash_point("erasure.verified")
        if kept.keep:
            return await self._change(request, lambda one: self._hold(one, kept))
        document = self._certificate(request, entry)
        user_id, tenant = request.user_id, request.tenant
        request = await self._change(request, lambda one: self._complete(one, document))
        crash_point("erasure.certified")
        # The request itself named the subject until now.
        await self._own.erase(Subject(tenant, user_id), b"", None)
        await self._database.run(self._own.scrub, user_id)
        return await self._change(request, lambda _: NEVER)

    async def tidy(self, request: SubjectRequest) -> None:
        """Cleans the file after an erasure whose process died at its very end: nobody knows any more what to look for."""
        await self._database.run(lambda: self._database.scrub([], TABLES, rebuild=True))
        await self._change(request, lambda _: NEVER)

    async def _change(
        self, request: SubjectRequest, change: Callable[[SubjectRequest], int]
    ) -> SubjectRequest:
        tenant, request_id = request.tenant, request.request_id

        def stalled(one: SubjectRequest) -> alerts_pb2.AlertMessage | None:
            waits = one.erasure.rounds == STALLED_AFTER and not one.erasure.done
            return erasure_stalled(one, self._clock.now_ms()) if waits else None

        return await self._database.run(
            lambda: self._store.change_request(tenant, request_id, change, stalled)
        )

    def _begin(self, request: SubjectRequest) -> int:
        erasure = request.erasure
        if not erasure.erasure_id:
            erasure.erasure_id = f"er_{os.urandom(16).hex()}"
        if len(erasure.done) == len(ROUND):
            del erasure.done[:]
        if not erasure.done:
            erasure.rounds += 1
        request.state = rules.FULFILLING
        return self._clock.now_ms() + LEASE_MS

    def _count(
        self, service: str, answer: subject_pb2.EraseSubjectDataResponse, request: SubjectRequest
    ) -> int:
        erasure = request.erasure
        erasure.done.append(service)
        for store, rows in answer.erased.items():
            erasure.erased[f"{service}/{store}"] += rows
        for store in [name for name in erasure.kept if name.startswith(f"{service}/")]:
            del erasure.kept[store]
        for store, rows in answer.kept.items():
            erasure.kept[f"{service}/{store}"] = rows
        for recipient, messages in answer.delivered.items():
            erasure.delivered[recipient] += messages
        return self._clock.now_ms() + LEASE_MS

    def _again(self, request: SubjectRequest) -> int:
        del request.erasure.done[:]
        rounds = request.erasure.rounds
        if rounds == STALLED_AFTER:
            rules.note(request, "ERASURE_STALLED", self._clock.now_ms(), OWN)
        return self._clock.now_ms() + min(self._longest_retry_ms, _FIRST_RETRY_MS << min(rounds - 1, 16))

    def _hold(self, request: SubjectRequest, kept: Kept) -> int:
        request.state = rules.HELD
        del request.erasure.grounds[:]
        request.erasure.grounds.extend(sorted({one.ground for one in kept.keep}))
        del request.erasure.done[:]
        rules.note(request, "HELD", self._clock.now_ms(), OWN)
        now_ms = self._clock.now_ms()
        # A hold that is released wakes it; a day at most is slept through.
        return min(kept.until_ms or now_ms + _DAY_MS, now_ms + _DAY_MS)

    def _complete(self, request: SubjectRequest, document: dict[str, Any]) -> int:
        now_ms = self._clock.now_ms()
        request.certificate = orjson.dumps(document).decode()
        rules.close(request, rules.COMPLETED, now_ms)
        rules.anonymise(request)
        rules.note(request, "ERASED", now_ms, OWN)
        # Taken up once more if the process dies before the file is clean (`tidy`).
        return now_ms + LEASE_MS

    async def _kept(self, request: SubjectRequest, facts: Sequence[Facts]) -> Kept:
        key = bytes.fromhex(request.subject)
        holds = await self._database.read(
            lambda: self._store.holds(request.tenant, released=False, subject=key)
        )
        keep = [
            subject_pb2.Keep(store=store, ground=f"legal hold {hold.hold_id}")
            for hold in holds
            for store in (hold.stores or ["*"])
        ]
        until_ms = 0
        now_ms = self._clock.now_ms()
        least = retention.minimum(facts, request.jurisdiction, now_ms)
        if least is not None:
            newest = await self._newest_event_ms(request)
            since_ms = now_ms - least.days * _DAY_MS
            if newest is not None and newest >= since_ms:
                one = subject_pb2.Keep(store="decisions", ground=f"statutory minimum, {least.cite}")
                one.since_time.FromMilliseconds(since_ms)
                keep.append(one)
                until_ms = newest + (least.days + 1) * _DAY_MS
        return Kept(keep, until_ms)

    async def _newest_event_ms(self, request: SubjectRequest) -> int | None:
        newest: int | None = None
        asked = subject_pb2.ExportSubjectDataRequest(tenant=request.tenant, user_id=request.user_id)
        async for piece in self._peers.export("ingest", asked):
            if piece.store != "decisions":
                continue
            for line in piece.json_lines.splitlines():
                text = orjson.loads(line)["event"]["timestamp"]
                time_ms = int(datetime.fromisoformat(text).timestamp() * 1000)
                newest = time_ms if newest is None else max(newest, time_ms)
        return newest

    async def _enter(self, request: SubjectRequest) -> Entry:
        entry = await self._database.run(
            self._store.enter,
            bytes.fromhex(request.subject),
            request.erasure.erasure_id,
            self._clock.now_ms(),
        )
        if self._ledger_copy is not None:
            await asyncio.to_thread(append_copy, self._ledger_copy, entry)
        return entry

    async def _event_ids(self, request: SubjectRequest) -> list[str]:
        asked = subject_pb2.ListSubjectEventsRequest(tenant=request.tenant, user_id=request.user_id)
        found: dict[str, None] = {}
        async for piece in self._peers.events("ingest", asked):
            found.update(dict.fromkeys(piece.event_ids))
        return list(found)

    async def _erase_in(
        self,
        service: str,
        request: SubjectRequest,
        keep: Sequence[subject_pb2.Keep],
        event_ids: Sequence[str],
        entry: Entry | None,
    ) -> subject_pb2.EraseSubjectDataResponse:
        if service == OWN:
            subject = Subject(
                request.tenant,
                request.user_id,
                keep={one.store: 0 for one in keep if not one.HasField("since_time")},
            )
            done = await self._own.erase(subject, self._key, entry)
            return subject_pb2.EraseSubjectDataResponse(erased=done.erased)
        total = subject_pb2.EraseSubjectDataResponse()
        pieces = [event_ids[at : at + MAX_EVENT_IDS] for at in range(0, len(event_ids), MAX_EVENT_IDS)] or [
            []
        ]
        for number, piece in enumerate(pieces, start=1):
            asked = subject_pb2.EraseSubjectDataRequest(
                tenant=request.tenant,
                user_id=request.user_id,
                erasure_id=request.erasure.erasure_id,
                event_ids=piece,
                keep=keep,
            )
            if entry is not None and number == len(pieces):
                asked.entry.CopyFrom(entry_message(entry))
                asked.ledger_key = self._key
            answer = await self._peers.erase(service, asked)
            for counts, new in (
                (total.erased, answer.erased),
                (total.kept, answer.kept),
                (total.delivered, answer.delivered),
            ):
                for name, rows in new.items():
                    counts[name] += rows
        return total

    async def _left(
        self, request: SubjectRequest, keep: Sequence[subject_pb2.Keep], event_ids: Sequence[str]
    ) -> dict[str, int]:
        left: dict[str, int] = {}
        for service in ROUND:
            if service == OWN:
                held = {one.store: 0 for one in keep if not one.HasField("since_time")}
                found: Any = await self._own.remaining(Subject(request.tenant, request.user_id, keep=held))
                left.update({f"{service}/{store}": rows for store, rows in found.items() if rows})
                continue
            for at in range(0, max(1, len(event_ids)), MAX_EVENT_IDS):
                asked = subject_pb2.VerifySubjectErasureRequest(
                    tenant=request.tenant,
                    user_id=request.user_id,
                    event_ids=event_ids[at : at + MAX_EVENT_IDS],
                    keep=keep,
                )
                answer = await self._peers.verify(service, asked)
                for store, rows in answer.remaining.items():
                    left[f"{service}/{store}"] = left.get(f"{service}/{store}", 0) + rows
        return left

    def _certificate(self, request: SubjectRequest, entry: Entry | None) -> dict[str, Any]:
        assert entry is not None
        erasure = request.erasure
        return signed.sign(
            {
                "kind": "erasure_certificate",
                "version": 1,
                "tenant": request.tenant,
                "request_id": request.request_id,
                "erasure_id": erasure.erasure_id,
                "subject": request.subject,
                "subject_is": "blake2b-128 of tenant, zero byte and user id, keyed with the ledger's key",
                "received": _rfc3339(request.received_time.ToMilliseconds()),
                "erased_through": _rfc3339(entry.erased_ms),
                "completed": _rfc3339(self._clock.now_ms()),
                "ledger_sequence": entry.sequence,
                "services": list(ROUND),
                "erased": dict(sorted(erasure.erased.items())),
                "delivered_before": dict(sorted(erasure.delivered.items())),
                "held_before": list(erasure.grounds),
                "remaining": 0,
                "rounds": erasure.rounds,
                "keeps": [
                    "keyed hash of the subject and time of the erasure (erasure ledger)",
                    "16-byte hashes of event ids, so that a repeated event is refused",
                    "this request without name and words, as proof that it was answered",
                    "digests of consent records without their content",
                    "audit entries about the subject under the keyed hash",
                ],
            },
            self._signing,
        )

    # -- access and portability -------------------------------------------------------------------------

    async def collect(self, request: SubjectRequest, facts: Sequence[Facts]) -> tuple[IO[bytes], str]:
        """The zip file of everything that is kept of the subject, and its SHA-256. The file goes when it is closed."""
        stores: dict[str, list[dict[str, Any]]] = {}
        profile = b""

        def take(store: str, lines: bytes) -> None:
            stores.setdefault(store, []).extend(orjson.loads(line) for line in lines.splitlines())

        for service in ("ingest", "fraud", "alerts", "scoring"):
            asked = subject_pb2.ExportSubjectDataRequest(
                tenant=request.tenant,
                user_id=request.user_id,
                profile=profile if service == "scoring" else b"",
            )
            async for piece in self._peers.export(service, asked):
                profile = piece.profile or profile
                if piece.json_lines:
                    take(piece.store, piece.json_lines)
        async for found in self._own.export(Subject(request.tenant, request.user_id), b""):
            assert not isinstance(found, bytes)
            store, rows = found
            stores.setdefault(store, []).extend(rows)
        file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
        digest = await asyncio.to_thread(bundle.write, file, request.request_id, stores, self._clock.now_ms())
        return file, digest

    # -- the ledger, again ------------------------------------------------------------------------------

    async def reapply(self) -> bool:
        """Applies the ledger to services whose stores lack some of it; returns whether all have everything.

        Raises UsherError where a service does not answer.
        """
        entries = await self._whole_ledger()
        newest = entries[-1].sequence if entries else 0
        complete = True
        for service in self._peers.names:
            state = await self._peers.state(service)
            if state.remembered_sequence > newest:
                self._log.error(
                    "the erasure ledger is older than a service remembers: put its copy back",
                    extra={"service": service, "ledger": newest, "remembered": state.remembered_sequence},
                )
                complete = False
                continue
            # Those of the last minutes are still their own worker's, which counts what it erases.
            settled_ms = self._clock.now_ms() - _SETTLED_MS
            missing = [
                entry
                for entry in entries
                if state.restored
                or (entry.sequence > state.applied_sequence and entry.erased_ms < settled_ms)
            ]
            if not missing and not state.restored:
                continue
            for at in range(0, max(1, len(missing)), 1_000):
                piece = missing[at : at + 1_000]
                asked = subject_pb2.ReapplyErasuresRequest(
                    ledger_key=self._key,
                    entries=[entry_message(entry) for entry in piece],
                    complete=at + 1_000 >= len(missing),
                )
                answer = await self._peers.reapply(service, asked)
            self._log.warning(
                "the erasure ledger was applied again",
                extra={"service": service, "entries": len(missing), "erased": dict(answer.erased)},
            )
        return complete

    async def _whole_ledger(self) -> list[Entry]:
        entries: list[Entry] = []
        while True:
            some = await self._database.read(
                self._store.ledger, entries[-1].sequence if entries else 0, 10_000
            )
            entries += some
            if len(some) < 10_000:
                return entries


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """A file in pieces of at most 1 MiB."""
    while piece := await asyncio.to_thread(file.read, 1 << 20):
        yield piece


def append_copy(path: Path, entry: Entry) -> None:
    """Appends an entry to the copy of the ledger; durable when it returns. A later line of a sequence counts."""
    line = orjson.dumps({**entry._asdict(), "subject": entry.subject.hex()}, option=orjson.OPT_APPEND_NEWLINE)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_copy(path: Path) -> list[Entry]:
    """The entries of a copy. Raises FailedPrecondition (LEDGER_CORRUPT) for lines that are none, but for a torn last one."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found: dict[int, Entry] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = orjson.loads(line)
            entry = Entry(
                int(row["sequence"]), bytes.fromhex(row["subject"]), int(row["erased_ms"]), row["erasure_id"]
            )
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                # The process died while it wrote it; the erasure goes on and writes it again.
                break
            raise FailedPrecondition("LEDGER_CORRUPT", f"line {number} of {path.name} is no entry") from error
        found[entry.sequence] = entry
    return [found[sequence] for sequence in sorted(found)]


def _rfc3339(time_ms: int) -> str:
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
