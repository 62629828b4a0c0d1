"""Subject requests, breaches, retention, evidence and the audit log on the wire: check, call, answer, write down who.

Every call is an entry of the audit log, refused ones too; it is written before the answer goes out.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple

import orjson
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict

from services.common import audit, signed
from services.common.clock import Clock
from services.common.erased import subject_of
from services.common.errors import Conflict, FailedPrecondition, UsherError
from services.common.subject_data import Subject, check_tenant, check_user_id
from services.compliance import breaches, evidence, retention, telling
from services.compliance import requests as rules
from services.compliance.duties import Facts
from services.compliance.fulfil import Fulfilment, pieces
from services.compliance.peers import Peers
from services.compliance.requests import invalid
from services.compliance.store_records import NEVER, RecordStore
from services.compliance.store_subject import ComplianceSubjects
from services.compliance.sweep import next_look, next_look_at_breach
from usher.compliance.v1 import consent_pb2, records_pb2, records_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import labels_pb2
from usher.subject.v1 import subject_pb2

R = records_pb2
_PAGE = 100
_LARGEST_PAGE = 500
_LARGEST_AUDIT_PAGE = 1_000
_DAY_MS = 86_400_000
_PIECE = 1 << 20


class Shared(NamedTuple):
    """What the servicers share."""

    store: RecordStore
    peers: Peers
    facts: Callable[[], Awaitable[tuple[Facts, ...]]]
    packs: Callable[[str], dict[str, bytes]]
    key: bytes
    signing: Ed25519PrivateKey
    clock: Clock

    def subject(self, tenant: str, user_id: str) -> bytes:
        """The keyed hash of a subject."""
        return subject_of(self.key, tenant, user_id)

    async def audited(
        self, request: Any, action: str, object_id: str, user_id: str, work: Awaitable[Any]
    ) -> Any:
        """Awaits the work and writes down who asked, for what, and how it ended."""
        try:
            answer = await work
        except UsherError as error:
            await self.write(request, action, object_id, user_id, error.reason)
            raise
        await self.write(request, action, object_id, user_id, "ok")
        return answer

    async def write(self, request: Any, action: str, object_id: str, user_id: str, outcome: str) -> None:
        """Appends to the audit log."""
        entry = audit.Entry(
            0,
            self.clock.now_ms(),
            request.actor,
            getattr(request, "tenant", "") or getattr(getattr(request, "breach", None), "tenant", ""),
            f"compliance.{action}",
            object_id,
            self.subject(request.tenant, user_id).hex() if user_id else "",
            outcome,
        )
        await self.store.database.run(self.store.append, os.urandom(16).hex(), entry)


def _check(request: Any) -> None:
    check_tenant(request.tenant)
    _check_actor(request.actor)


def _check_actor(actor: str) -> None:
    if not 1 <= len(actor) <= 128 or not actor.isprintable():
        raise invalid("actor", "say who, in 1 to 128 printable characters")


def _text(field: str, value: str, most: int, *, least: int = 0) -> None:
    if not least <= len(value.strip()) or len(value) > most:
        raise invalid(field, f"{least} to {most:,} characters")


def _own_id(field: str, value: str, prefix: str) -> str:
    if not value:
        return f"{prefix}_{os.urandom(16).hex()}"
    if len(value) > 128 or not all(c.isascii() and (c.isalnum() or c in "._:@+/=~-") for c in value):
        raise invalid(field, "1 to 128 characters of A-Z a-z 0-9 . _ : @ + / = ~ -")
    return value


class RequestServicer(records_pb2_grpc.SubjectRequestServiceServicer):
    """Serves SubjectRequestService."""

    def __init__(self, shared: Shared, fulfilment: Fulfilment, own: ComplianceSubjects) -> None:
        self._shared = shared
        self._store = shared.store
        self._database = shared.store.database
        self._fulfilment = fulfilment
        self._own = own

    async def OpenSubjectRequest(
        self, request: R.OpenSubjectRequestRequest, context: Any
    ) -> R.OpenSubjectRequestResponse:
        _check(request)
        check_user_id(request.user_id)
        now_ms = self._shared.clock.now_ms()
        if request.right not in R.SubjectRight.values() or not request.right:
            raise invalid("right", "say what is asked for")
        breaches.check_jurisdiction("jurisdiction", request.jurisdiction)
        _text("details", request.details, rules.MAX_TEXT)
        received = request.received_time.ToMilliseconds() if request.HasField("received_time") else now_ms
        if received > now_ms + 300_000:
            raise invalid("received_time", "lies in the future")
        if (request.right == R.SUBJECT_RIGHT_CONTEST) != bool(request.event_id):
            raise invalid(
                "event_id", "names the contested decision's event, for a contest and for nothing else"
            )
        one = R.SubjectRequest(
            request_id=_own_id("request_id", request.request_id, "sr"),
            tenant=request.tenant,
            user_id=request.user_id,
            subject=self._shared.subject(request.tenant, request.user_id).hex(),
            right=request.right,
            jurisdiction=request.jurisdiction,
            event_id=request.event_id,
            details=request.details,
        )
        one.received_time.FromMilliseconds(received)
        if request.identity_confirmed:
            one.identity = R.IDENTITY_STATE_CONFIRMED
        rules.open_request(one, await self._shared.facts(), now_ms, request.actor)
        kept = await self._shared.audited(
            request,
            "OpenSubjectRequest",
            one.request_id,
            request.user_id,
            self._database.run(self._store.open_request, one, next_look(one, now_ms), None),
        )
        if (kept.subject, kept.right) != (one.subject, one.right):
            raise Conflict("REQUEST_ID_REUSED", "another request has this request_id")
        return R.OpenSubjectRequestResponse(request=kept)

    async def GetSubjectRequest(
        self, request: R.GetSubjectRequestRequest, context: Any
    ) -> R.GetSubjectRequestResponse:
        _check(request)
        found = await self._shared.audited(
            request, "GetSubjectRequest", request.request_id, "", self._get(request)
        )
        return R.GetSubjectRequestResponse(request=found)

    async def _get(self, request: Any) -> R.SubjectRequest:
        found = await self._database.read(self._store.request, request.tenant, request.request_id)
        found.overdue = rules.is_late(found, self._shared.clock.now_ms())
        return found

    async def ListSubjectRequests(
        self, request: R.ListSubjectRequestsRequest, context: Any
    ) -> R.ListSubjectRequestsResponse:
        _check(request)
        size = _size(request.page_size, _LARGEST_PAGE)
        after = _token(request.page_token)
        subject = self._shared.subject(request.tenant, request.user_id) if request.user_id else None

        def work() -> list[R.SubjectRequest]:
            return self._store.list_requests(
                request.tenant, after, size, subject=subject, closed=request.include_closed
            )

        found = await self._shared.audited(
            request, "ListSubjectRequests", "", request.user_id, self._database.read(work)
        )
        now_ms = self._shared.clock.now_ms()
        for one in found:
            one.overdue = rules.is_late(one, now_ms)
        token = f"{found[-1].due_time.ToMilliseconds()} {found[-1].request_id}" if len(found) == size else ""
        if request.overdue_only:
            found = [one for one in found if one.overdue]
        return R.ListSubjectRequestsResponse(requests=found, next_page_token=token)

    async def ActOnSubjectRequest(
        self, request: R.ActOnSubjectRequestRequest, context: Any
    ) -> R.ActOnSubjectRequestResponse:
        _check(request)
        _text("note", request.note, rules.MAX_TEXT)
        facts = await self._shared.facts()
        action = R.SubjectRequestAction.Name(request.action).removeprefix("SUBJECT_REQUEST_ACTION_")
        if request.action == R.SUBJECT_REQUEST_ACTION_FULFIL and not self._shared.peers.names:
            raise FailedPrecondition(
                "RECORDS_NOT_CONFIGURED",
                "compliance does not know where the other services are: set their targets",
            )

        def change(one: R.SubjectRequest) -> int:
            now_ms = self._shared.clock.now_ms()
            rules.act(one, request.action, request.note, request.contest, facts, now_ms, request.actor)
            if one.state == rules.FULFILLING:
                return now_ms
            return NEVER if one.state in rules.CLOSED else next_look(one, now_ms)

        before = await self._database.read(self._store.request, request.tenant, request.request_id)

        async def work() -> R.SubjectRequest:
            if request.action == R.SUBJECT_REQUEST_ACTION_ANSWER:
                trial = R.SubjectRequest()
                trial.CopyFrom(before)
                # Raises what the change would raise, before anything is written elsewhere.
                change(trial)
                if request.contest == R.CONTEST_OUTCOME_OVERTURNED:
                    await self._label(before, request.actor)
                await self._enter_right(before)
            return await self._database.run(
                self._store.change_request, request.tenant, request.request_id, change
            )

        found = await self._shared.audited(
            request,
            f"ActOnSubjectRequest.{action}",
            request.request_id,
            before.user_id,
            work(),
        )
        if found.state in rules.CLOSED and before.user_id:
            await self._forget_if_erased(found)
            found = await self._database.read(self._store.request, request.tenant, request.request_id)
        return R.ActOnSubjectRequestResponse(request=found)

    async def _label(self, contest: R.SubjectRequest, actor: str) -> None:
        """What a person found out becomes a label: models learn from it, and the same alert is known to be false.

        Idempotent by the label's id, so it is written before the request is closed.
        """
        if contest.right != R.SUBJECT_RIGHT_CONTEST or contest.state != rules.READY:
            return
        label = labels_pb2.Label(
            label_id=f"contest.{contest.request_id}",
            subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
            subject=contest.event_id,
            kind=labels_pb2.LABEL_KIND_FALSE_ALARM,
            source="contest",
            actor=actor,
            reference=contest.request_id,
        )
        label.label_time.FromMilliseconds(contest.received_time.ToMilliseconds())
        answer = await self._shared.peers.record_labels(
            labels_pb2.RecordLabelsRequest(tenant=contest.tenant, labels=[label])
        )
        if answer.results[0].status == labels_pb2.LABEL_STATUS_INVALID:
            raise FailedPrecondition("LABEL_REFUSED", f"the label was refused: {answer.results[0].error}")

    async def _enter_right(self, one: R.SubjectRequest) -> None:
        """An opt-out, objection or restriction that is granted goes into the consent ledger, which later decisions read.

        It counts from when it was received. Idempotent by the request's id, so it is written before the request is closed.
        """
        purpose = rules.LEDGER_PURPOSES.get(one.right)
        if purpose is None or one.state != rules.READY or not one.user_id:
            return
        record = consent_pb2.ConsentRecord(
            act=consent_pb2.CONSENT_ACT_REFUSED, purpose=purpose, source="subject_request"
        )
        record.effective_time.CopyFrom(one.received_time)
        record.proof.kind, record.proof.reference = "subject_request", one.request_id
        await self._own.consents.record(
            one.tenant,
            one.user_id,
            [record],
            f"subject_request.{one.request_id}",
            self._shared.clock.now_ms(),
        )

    async def _forget_if_erased(self, request: R.SubjectRequest) -> None:
        """A request that was open when its subject was erased loses the name once it is closed."""
        entries = await self._database.read(self._store.ledger, 0, 1_000_000)
        if any(entry.subject.hex() == request.subject for entry in entries):
            await self._own.erase(Subject(request.tenant, request.user_id), b"", None)
            await self._database.run(self._own.scrub, request.user_id)

    async def DownloadSubjectExport(
        self, request: R.DownloadSubjectExportRequest, context: Any
    ) -> AsyncIterator[R.DownloadSubjectExportResponse]:
        _check(request)
        one = await self._get(request)
        if one.right not in rules.DOWNLOADS:
            raise invalid("request_id", "only access and portability requests have a bundle")
        if one.state not in (rules.READY, rules.COMPLETED) or not one.user_id:
            raise FailedPrecondition(
                "STATE_NOT_ALLOWED",
                "the bundle is handed out once the identity is confirmed, and not after an erasure",
            )
        file, digest = await self._shared.audited(
            request,
            "DownloadSubjectExport",
            request.request_id,
            one.user_id,
            self._fulfilment.collect(one, await self._shared.facts()),
        )
        with file:
            async for piece in pieces(file):
                yield R.DownloadSubjectExportResponse(content=piece)

        def done(found: R.SubjectRequest) -> int:
            if found.state == rules.READY:
                now_ms = self._shared.clock.now_ms()
                found.export_digest = digest
                rules.close(found, rules.COMPLETED, now_ms)
                rules.note(found, "HANDED_OUT", now_ms, request.actor)
            return NEVER

        await self._database.run(self._store.change_request, request.tenant, request.request_id, done)

    async def PlaceLegalHold(
        self, request: R.PlaceLegalHoldRequest, context: Any
    ) -> R.PlaceLegalHoldResponse:
        _check(request)
        check_user_id(request.user_id)
        _text("reason", request.reason, 1_000, least=1)
        hold = R.LegalHold(
            hold_id=_own_id("hold_id", request.hold_id, "hold"),
            tenant=request.tenant,
            user_id=request.user_id,
            stores=request.stores,
            reason=request.reason,
            actor=request.actor,
        )
        hold.placed_time.FromMilliseconds(self._shared.clock.now_ms())
        kept = await self._shared.audited(
            request,
            "PlaceLegalHold",
            hold.hold_id,
            request.user_id,
            self._database.run(
                self._store.place_hold, hold, self._shared.subject(request.tenant, request.user_id)
            ),
        )
        return R.PlaceLegalHoldResponse(hold=kept)

    async def ReleaseLegalHold(
        self, request: R.ReleaseLegalHoldRequest, context: Any
    ) -> R.ReleaseLegalHoldResponse:
        _check(request)
        now_ms = self._shared.clock.now_ms()
        work = self._database.run(
            self._store.release_hold, request.tenant, request.hold_id, request.actor, now_ms
        )
        found = await self._shared.audited(request, "ReleaseLegalHold", request.hold_id, "", work)
        return R.ReleaseLegalHoldResponse(hold=found)

    async def ListLegalHolds(
        self, request: R.ListLegalHoldsRequest, context: Any
    ) -> R.ListLegalHoldsResponse:
        _check(request)
        work = self._database.read(
            lambda: self._store.holds(request.tenant, released=request.include_released)
        )
        found = await self._shared.audited(request, "ListLegalHolds", "", "", work)
        return R.ListLegalHoldsResponse(holds=found)


class BreachServicer(records_pb2_grpc.BreachServiceServicer):
    """Serves BreachService."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._store = shared.store
        self._database = shared.store.database

    async def RegisterBreach(
        self, request: R.RegisterBreachRequest, context: Any
    ) -> R.RegisterBreachResponse:
        _check_actor(request.actor)
        check_tenant(request.breach.tenant)
        now_ms = self._shared.clock.now_ms()
        breach = R.Breach()
        breach.CopyFrom(request.breach)
        for field in ("duties", "steps", "closed_time"):
            breach.ClearField(field)  # type: ignore[arg-type]
        breach.breach_id = _own_id("breach_id", breach.breach_id, "br")
        breaches.check(breach, now_ms)
        breaches.count(breach, await self._shared.facts(), now_ms)
        rules.note(breach, "REGISTERED", now_ms, request.actor)  # type: ignore[arg-type]
        work = self._database.run(self._store.register, breach, now_ms, now_ms)
        kept = await self._shared.audited(request, "RegisterBreach", breach.breach_id, "", work)
        return R.RegisterBreachResponse(breach=kept)

    async def UpdateBreach(self, request: R.UpdateBreachRequest, context: Any) -> R.UpdateBreachResponse:
        _check_actor(request.actor)
        new = request.breach
        check_tenant(new.tenant)
        _text("note", request.note, rules.MAX_TEXT)
        facts = await self._shared.facts()

        def change(one: R.Breach) -> int:
            now_ms = self._shared.clock.now_ms()
            for field in ("description", "risk", "encrypted", "unlawful"):
                if getattr(new, field):
                    setattr(one, field, getattr(new, field))
            for field in ("occurred_time", "aware_time", "assessed_time", "subjects_notified_time"):
                if new.HasField(field):
                    getattr(one, field).CopyFrom(getattr(new, field))
            if new.affected:
                one.affected.clear()
                one.affected.update(new.affected)
            if new.data_kinds:
                one.data_kinds[:] = new.data_kinds
            breaches.check(one, now_ms)
            breaches.count(one, facts, now_ms)
            rules.note(one, "UPDATED", now_ms, request.actor, request.note)  # type: ignore[arg-type]
            if request.close:
                waiting = [
                    duty
                    for duty in one.duties
                    if duty.applies != breaches.NOT_DUE and not duty.HasField("sent_time")
                ]
                if waiting and not request.note.strip():
                    raise invalid(
                        "note", f"{len(waiting)} notices were not sent: say why it is closed all the same"
                    )
                one.closed_time.FromMilliseconds(now_ms)
                rules.note(one, "CLOSED", now_ms, request.actor)  # type: ignore[arg-type]
            return next_look_at_breach(one, now_ms) if one.HasField("closed_time") else now_ms

        work = self._database.run(self._store.change_breach, new.tenant, new.breach_id, change)
        found = await self._shared.audited(request, "UpdateBreach", new.breach_id, "", work)
        return R.UpdateBreachResponse(breach=found)

    async def GetBreach(self, request: R.GetBreachRequest, context: Any) -> R.GetBreachResponse:
        _check(request)
        work = self._database.read(self._store.breach, request.tenant, request.breach_id)
        found = await self._shared.audited(request, "GetBreach", request.breach_id, "", work)
        return R.GetBreachResponse(breach=self._now(found))

    def _now(self, breach: R.Breach) -> R.Breach:
        now_ms = self._shared.clock.now_ms()
        for duty in breach.duties:
            duty.overdue = breaches.is_overdue(duty, now_ms)
        return breach

    async def ListBreaches(self, request: R.ListBreachesRequest, context: Any) -> R.ListBreachesResponse:
        _check(request)
        size = _size(request.page_size, _LARGEST_PAGE)
        before = _token(request.page_token)
        work = self._database.read(self._store.breaches, request.tenant, before, size)
        found = await self._shared.audited(request, "ListBreaches", "", "", work)
        return R.ListBreachesResponse(
            breaches=[self._now(one) for _, one in found],
            next_page_token=f"{found[-1][0]} {found[-1][1].breach_id}" if len(found) == size else "",
        )

    async def DraftNotice(self, request: R.DraftNoticeRequest, context: Any) -> R.DraftNoticeResponse:
        _check(request)
        work = self._database.read(self._store.breach, request.tenant, request.breach_id)
        breach = self._now(await self._shared.audited(request, "DraftNotice", request.breach_id, "", work))
        duty = _duty_of(breach, request.regulation, request.recipient, "first")
        names = {one.id: one.name for one in await self._shared.facts()}
        return R.DraftNoticeResponse(
            text=breaches.draft(breach, duty, names.get(duty.regulation, duty.regulation))
        )

    async def RecordNotice(self, request: R.RecordNoticeRequest, context: Any) -> R.RecordNoticeResponse:
        _check(request)
        _text("note", request.note, 1_000, least=1)
        facts = await self._shared.facts()

        def change(one: R.Breach) -> int:
            now_ms = self._shared.clock.now_ms()
            sent = request.sent_time.ToMilliseconds() if request.HasField("sent_time") else now_ms
            if sent > now_ms + 300_000:
                raise invalid("sent_time", "lies in the future")
            duty = _duty_of(one, request.regulation, request.recipient, request.stage or "first")
            duty.sent_time.FromMilliseconds(sent)
            duty.sent_note = request.note
            if request.recipient == breaches.SUBJECTS and not one.HasField("subjects_notified_time"):
                one.subjects_notified_time.FromMilliseconds(sent)
            breaches.count(one, facts, now_ms)
            text = f"{request.regulation}: {request.note}"
            rules.note(one, "NOTICE_SENT", now_ms, request.actor, text)  # type: ignore[arg-type]
            return now_ms

        work = self._database.run(self._store.change_breach, request.tenant, request.breach_id, change)
        found = await self._shared.audited(request, "RecordNotice", request.breach_id, "", work)
        return R.RecordNoticeResponse(breach=found)


SCHEDULE = "schedule"
"""Who asks for a run that nobody asked for."""


class RetentionServicer(records_pb2_grpc.RetentionServiceServicer):
    """Serves RetentionService."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._store = shared.store
        self._database = shared.store.database

    async def ListRetentionPolicies(
        self, request: R.ListRetentionPoliciesRequest, context: Any
    ) -> R.ListRetentionPoliciesResponse:
        check_tenant(request.tenant)
        found = retention.policies(await self._shared.facts(), self._shared.clock.now_ms())
        return R.ListRetentionPoliciesResponse(policies=found)

    async def RunRetention(self, request: R.RunRetentionRequest, context: Any) -> R.RunRetentionResponse:
        _check(request)
        action = "RunRetention.dry" if request.dry_run else "RunRetention"
        run = await self._shared.audited(request, action, "", "", self._run(request))
        return R.RunRetentionResponse(run=run)

    async def run_due(self, tenants: Sequence[str], every_ms: int) -> None:
        """Runs the job for the tenants for whom it is due; two replicas at once delete the same, which is once."""
        for tenant in tenants:
            runs = await self._database.read(self._store.runs, tenant)
            if retention.is_due(runs, self._shared.clock.now_ms(), every_ms):
                await self.RunRetention(R.RunRetentionRequest(tenant=tenant, actor=SCHEDULE), None)

    async def _run(self, request: R.RunRetentionRequest) -> R.RetentionRun:
        now_ms = self._shared.clock.now_ms()
        run = R.RetentionRun(
            run_id=f"rr_{os.urandom(16).hex()}", tenant=request.tenant, dry_run=request.dry_run
        )
        run.started_time.FromMilliseconds(now_ms)
        try:
            await self._apply(request, run, now_ms)
        except UsherError as error:
            run.failure = error.reason
            if not request.dry_run:
                alert = telling.retention_failed(run, self._shared.clock.now_ms())
                await self._database.run(self._store.keep_run, run, alert)
            raise
        await self._database.run(self._store.keep_run, run)
        return run

    async def _apply(self, request: R.RunRetentionRequest, run: R.RetentionRun, now_ms: int) -> None:
        """Does the work and writes the results and the signed report into the run."""
        policies = retention.policies(await self._shared.facts(), now_ms)
        holds = await self._database.read(lambda: self._store.holds(request.tenant, released=False))
        asked = subject_pb2.ApplyRetentionRequest(
            tenant=request.tenant,
            held_user_ids=sorted({hold.user_id for hold in holds if hold.user_id}),
            dry_run=request.dry_run,
        )
        of = {}
        for policy in policies:
            if policy.kind in ("decisions", "failed_events"):
                rule = asked.rules.add(store=policy.kind, jurisdiction=policy.jurisdiction)
                rule.before_time.FromMilliseconds(now_ms - policy.days * _DAY_MS)
                of[policy.kind, policy.jurisdiction] = policy
        answer = await self._shared.peers.retain("ingest", asked)
        for count in answer.counts:
            _add_result(run, of[count.store, count.jurisdiction], now_ms, count.rows, count.held)
        await self._requests(request, run, policies, now_ms)
        report = {
            "kind": "retention_report",
            "version": 1,
            **MessageToDict(run, preserving_proto_field_name=True),
            "partitions_dropped": answer.partitions_dropped,
            "law": [MessageToDict(one, preserving_proto_field_name=True) for one in policies],
        }
        run.report = orjson.dumps(signed.sign(evidence.exact(report), self._shared.signing)).decode()

    async def _requests(
        self,
        request: R.RunRetentionRequest,
        run: R.RetentionRun,
        policies: list[R.RetentionPolicy],
        now_ms: int,
    ) -> None:
        policy = retention.days_for(policies, "subject_requests", "")
        before_ms = now_ms - policy.days * _DAY_MS
        old = await self._database.read(self._store.requests_to_anonymise, request.tenant, before_ms)
        if not request.dry_run:
            for one in old:
                await self._database.run(
                    self._store.change_request, one.tenant, one.request_id, _without_name
                )
        if old:
            _add_result(run, policy, now_ms, len(old), 0)

    async def ListRetentionRuns(
        self, request: R.ListRetentionRunsRequest, context: Any
    ) -> R.ListRetentionRunsResponse:
        check_tenant(request.tenant)
        return R.ListRetentionRunsResponse(runs=await self._database.read(self._store.runs, request.tenant))


class EvidenceServicer(records_pb2_grpc.EvidenceServiceServicer):
    """Serves EvidenceService."""

    def __init__(self, shared: Shared, own: ComplianceSubjects) -> None:
        self._shared = shared
        self._store = shared.store
        self._database = shared.store.database
        self._own = own

    async def ExportEvidence(
        self, request: R.ExportEvidenceRequest, context: Any
    ) -> AsyncIterator[R.ExportEvidenceResponse]:
        _check(request)
        if not request.user_id and not request.HasField("since_time"):
            raise invalid("since_time", "evidence is about a subject, a period, or both")
        content = await self._shared.audited(
            request, "ExportEvidence", "", request.user_id, self._evidence(request)
        )
        for at in range(0, len(content), _PIECE):
            yield R.ExportEvidenceResponse(content=content[at : at + _PIECE])

    async def _evidence(self, request: R.ExportEvidenceRequest) -> bytes:
        now_ms = self._shared.clock.now_ms()
        since = request.since_time.ToMilliseconds() if request.HasField("since_time") else 0
        until = request.until_time.ToMilliseconds() if request.HasField("until_time") else now_ms
        decisions: list[decision_pb2.Decision] = []
        truncated = False
        async for decision in self._shared.peers.decisions(request.tenant, request.user_id, 1 << 40):
            decided = decision.decided_time.ToMilliseconds()
            if decided < since:
                break
            if decided <= until:
                if len(decisions) == evidence.MAX_DECISIONS:
                    truncated = True
                    break
                decisions.append(decision)
        told = await self._shared.peers.enforcements(
            request.tenant, [decision.event_id for decision in decisions]
        )
        sets = sorted({decision.policy_set for decision in decisions})
        packs = {name: await asyncio.to_thread(self._shared.packs, name) for name in sets}
        consents: list[dict[str, Any]] = []
        requests: list[R.SubjectRequest] = []
        if request.user_id:
            consents = await self._database.read(
                self._own.consents_of, Subject(request.tenant, request.user_id)
            )
            key = self._shared.subject(request.tenant, request.user_id)
            requests = await self._database.read(
                lambda: self._store.list_requests(request.tenant, None, 1_000, subject=key, closed=True)
            )
        _, _, head = await self._database.read(self._store.verify_audit)

        def build() -> bytes:
            document = evidence.document(
                tenant=request.tenant,
                subject=request.user_id,
                since=_time(since),
                until=_time(until),
                made=_time(now_ms),
                decisions=decisions,
                truncated=truncated,
                packs=packs,
                consents=consents,
                requests=[MessageToDict(one, preserving_proto_field_name=True) for one in requests],
                audit_head=head.hex(),
                enforcements=told,
            )
            return orjson.dumps(signed.sign(document, self._shared.signing))

        return await asyncio.to_thread(build)

    async def GetSigningKey(self, request: R.GetSigningKeyRequest, context: Any) -> R.GetSigningKeyResponse:
        return R.GetSigningKeyResponse(public_key=signed.public_pem(self._shared.signing))

    async def GetProcessingRecords(
        self, request: R.GetProcessingRecordsRequest, context: Any
    ) -> R.GetProcessingRecordsResponse:
        _check(request)
        work = self._activities()
        found = await self._shared.audited(request, "GetProcessingRecords", "", "", work)
        return R.GetProcessingRecordsResponse(json=json.dumps(found))

    async def _activities(self) -> list[dict[str, Any]]:
        text = (files("services.compliance") / "activities.yaml").read_text(encoding="utf-8")
        activities: list[dict[str, Any]] = yaml.safe_load(text)
        policies = retention.policies(await self._shared.facts(), self._shared.clock.now_ms())
        for one in activities:
            kind = one.pop("retention_kind", None)
            days = one.pop("retention_days", None)
            if kind is not None:
                one["retention"] = [
                    {"jurisdiction": policy.jurisdiction or "*", "days": policy.days, "basis": policy.basis}
                    for policy in policies
                    if policy.kind == kind
                ]
            elif days is not None:
                one["retention"] = [{"jurisdiction": "*", "days": days, "basis": "policy"}]
            else:
                one["retention"] = [
                    {"jurisdiction": "*", "days": None, "basis": "as long as the purpose lasts"}
                ]
        return activities

    async def AppendAudit(self, request: R.AppendAuditRequest, context: Any) -> R.AppendAuditResponse:
        _check_actor(request.actor)
        if request.tenant:
            check_tenant(request.tenant)
        for field, least, most in (
            ("entry_id", 1, 128),
            ("action", 1, 100),
            ("object", 0, 255),
            ("outcome", 0, 64),
        ):
            _text(field, getattr(request, field), most, least=least)
        entry = audit.Entry(
            0,
            self._shared.clock.now_ms(),
            request.actor,
            request.tenant,
            request.action,
            request.object,
            self._shared.subject(request.tenant, request.user_id).hex() if request.user_id else "",
            request.outcome or "ok",
        )
        return R.AppendAuditResponse(
            sequence=await self._database.run(self._store.append, request.entry_id, entry)
        )

    async def ListAudit(self, request: R.ListAuditRequest, context: Any) -> R.ListAuditResponse:
        _check_actor(request.actor)
        if request.tenant or request.user_id:
            check_tenant(request.tenant)
        size = _size(request.page_size, _LARGEST_AUDIT_PAGE)
        after = int(request.page_token) if request.page_token.isdecimal() else 0
        subject = self._shared.subject(request.tenant, request.user_id).hex() if request.user_id else ""

        def work() -> list[tuple[audit.Entry, bytes]]:
            return self._store.audit_entries(after, size, tenant=request.tenant, subject=subject)

        rows = await self._shared.audited(
            request, "ListAudit", "", request.user_id, self._database.read(work)
        )
        answer = R.ListAuditResponse(next_page_token=str(rows[-1][0].sequence) if len(rows) == size else "")
        for entry, link in rows:
            one = answer.entries.add(
                sequence=entry.sequence,
                actor=entry.actor,
                tenant=entry.tenant,
                action=entry.action,
                object=entry.object,
                subject=entry.subject,
                outcome=entry.outcome,
                hash=link.hex(),
            )
            one.time.FromMilliseconds(entry.time_ms)
        return answer

    async def VerifyAudit(self, request: R.VerifyAuditRequest, context: Any) -> R.VerifyAuditResponse:
        entries, broken, head = await self._database.read(self._store.verify_audit)
        return R.VerifyAuditResponse(entries=entries, intact=not broken, broken_at=broken, head=head.hex())


def _duty_of(breach: R.Breach, regulation: str, recipient: int, stage: str) -> R.NoticeDuty:
    for duty in breach.duties:
        if (duty.regulation, duty.recipient, duty.stage) == (regulation, recipient, stage):
            return duty
    known = sorted({duty.regulation for duty in breach.duties})
    raise invalid(
        "regulation", f"asks for no such notice of this breach; those that do: {', '.join(known) or 'none'}"
    )


def _add_result(run: R.RetentionRun, policy: R.RetentionPolicy, now_ms: int, rows: int, held: int) -> None:
    result = run.results.add(policy=policy, rows=rows, held=held)
    result.before_time.FromMilliseconds(now_ms - policy.days * _DAY_MS)


def _without_name(request: R.SubjectRequest) -> int:
    rules.anonymise(request)
    return NEVER


def _size(size: int, most: int) -> int:
    if not 0 <= size <= most:
        raise invalid("page_size", f"1 to {most}, or 0 for {_PAGE}")
    return size or _PAGE


def _token(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    number, _, rest = token.partition(" ")
    if not number.isdecimal() or len(number) > 18:
        raise invalid("page_token", "is the next_page_token of an earlier answer")
    return int(number), rest


def _time(time_ms: int) -> str:
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
