"""ConsentService over gRPC: checks requests, reads or adds to the ledger, answers. No rules here."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from services.common.clock import Clock
from services.common.errors import InvalidArgument
from services.compliance import ledger
from services.compliance.ledger import Entry, State
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import consent_pb2, consent_pb2_grpc

MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50
MAX_VERIFIED = 10_000

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_TOKEN = struct.Struct(">q")


class ConsentServicer(consent_pb2_grpc.ConsentServiceServicer):
    """Serves usher.compliance.v1.ConsentService."""

    def __init__(self, store: ConsentStore, registry: CollectorRegistry, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recorded = Counter(
            "usher_compliance_consents_recorded_total",
            "Acts added to the consent ledger.",
            ["act"],
            registry=registry,
        )

    async def RecordConsent(
        self, request: consent_pb2.RecordConsentRequest, context: Any
    ) -> consent_pb2.RecordConsentResponse:
        """Adds the records and answers their receipts."""
        _check_identifiers(request.tenant, request.user_id)
        if not request.records:
            raise InvalidArgument("RECORDS_MISSING", "records must hold at least one record")
        if len(request.records) > ledger.MAX_RECORDS:
            raise InvalidArgument(
                "TOO_MANY_RECORDS",
                f"records must be {ledger.MAX_RECORDS} or fewer, not {len(request.records)}",
                metadata={"limit": str(ledger.MAX_RECORDS)},
            )
        if len(request.request_id.encode()) > 255:
            raise InvalidArgument("REQUEST_ID_INVALID", "request_id takes at most 255 bytes")
        now_ms = self._clock.now_ms()
        wrong = [
            violation
            for position, record in enumerate(request.records)
            for violation in ledger.violations(record, position, now_ms)
        ]
        if wrong:
            raise InvalidArgument(
                "CONSENT_RECORD_INVALID",
                f"{len(wrong)} fields are wrong, first {wrong[0].field}: {wrong[0].message}",
                violations=wrong,
            )
        recorded = await self._store.record(
            request.tenant, request.user_id, list(request.records), request.request_id, now_ms
        )
        if not recorded.repeated:
            for entry in recorded.entries:
                act = consent_pb2.ConsentAct.Name(entry.act)  # type: ignore[arg-type]
                self._recorded.labels(act.removeprefix("CONSENT_ACT_").lower()).inc()
        return consent_pb2.RecordConsentResponse(
            receipts=[_receipt(entry) for entry in recorded.entries], repeated_request=recorded.repeated
        )

    async def GetConsent(
        self, request: consent_pb2.GetConsentRequest, context: Any
    ) -> consent_pb2.GetConsentResponse:
        """The states as of the time, by purpose."""
        _check_identifiers(request.tenant, request.user_id)
        for name in ("time", "known_time"):
            told = getattr(request, name)
            if not (0 <= told.seconds < ledger.END_OF_TIMES and 0 <= told.nanos < 1_000_000_000):
                raise InvalidArgument("TIME_INVALID", f"{name} is a time of the years 1970 to 2100")
        time_ms = request.time.ToMilliseconds() if request.HasField("time") else self._clock.now_ms()
        known_ms = request.known_time.ToMilliseconds() if request.HasField("known_time") else None
        entries = await self._store.of_viewer(request.tenant, request.user_id)
        if known_ms is not None:
            entries = [entry for entry in entries if entry.recorded_ms <= known_ms]
        states = ledger.states_at(entries, time_ms)
        return consent_pb2.GetConsentResponse(
            states=[
                _state(purpose, state)
                for purpose, state in states.items()
                if request.purpose in ("", purpose)
            ],
            ledger_version=ledger.newest(entries),
        )

    async def ListConsents(
        self, request: consent_pb2.ListConsentsRequest, context: Any
    ) -> consent_pb2.ListConsentsResponse:
        """Entries newest first; a page's token is the place of its last one."""
        _check_identifiers(request.tenant, request.user_id or "-")
        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            raise InvalidArgument("PAGE_SIZE_INVALID", f"page_size is 1 to {MAX_PAGE_SIZE}, or 0 for 50")
        size = request.page_size or DEFAULT_PAGE_SIZE
        before = _place(request.page_token) if request.page_token else 0
        # One more than asked: whether there is a next page.
        entries = await self._store.page(request.tenant, request.user_id, size + 1, before)
        more = len(entries) > size
        return consent_pb2.ListConsentsResponse(
            entries=[_entry(entry) for entry in entries[:size]],
            next_page_token=_token(entries[size - 1].seq) if more else "",
        )

    async def VerifyConsents(
        self, request: consent_pb2.VerifyConsentsRequest, context: Any
    ) -> consent_pb2.VerifyConsentsResponse:
        """Recomputes the chain after a place."""
        _check_identifiers(request.tenant, "-")
        if request.after_seq < 0 or not 0 <= request.limit <= MAX_VERIFIED:
            raise InvalidArgument(
                "LIMIT_INVALID", f"after_seq is 0 or more, limit 1 to {MAX_VERIFIED:,} or 0 for that"
            )
        limit = request.limit or MAX_VERIFIED
        chain, entries = await self._store.chain(request.tenant, request.after_seq, limit + 1)
        answer = consent_pb2.VerifyConsentsResponse(
            complete=len(entries) <= limit, last_seq=request.after_seq
        )
        previous = (request.after_seq, chain)
        for entry in entries[:limit]:
            problem = ledger.broken(entry, previous)
            if problem:
                answer.broken_seq, answer.broken, answer.complete = entry.seq, problem, False
                return answer
            previous = (entry.seq, entry.chain)
            answer.checked += 1
            answer.erased += entry.content is None
            answer.last_seq = entry.seq
        return answer


def _check_identifiers(tenant: str, user_id: str) -> None:
    if not _IDENTIFIER.fullmatch(tenant):
        raise InvalidArgument(
            "TENANT_INVALID", "tenant is 1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"
        )
    if not _IDENTIFIER.fullmatch(user_id):
        raise InvalidArgument(
            "USER_ID_INVALID", "user_id is 1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"
        )


def _token(seq: int) -> str:
    return base64.urlsafe_b64encode(_TOKEN.pack(seq)).decode()


def _place(token: str) -> int:
    try:
        (seq,) = _TOKEN.unpack(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, struct.error, UnicodeEncodeError):
        seq = 0
    if seq < 1:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is none that this list gave")
    return int(seq)


def _receipt(entry: Entry) -> consent_pb2.ConsentReceipt:
    receipt = consent_pb2.ConsentReceipt(
        receipt_id=entry.receipt_id,
        seq=entry.seq,
        act=entry.act,  # type: ignore[arg-type]
        digest=entry.digest,
        chain=entry.chain,
    )
    receipt.recorded_time.FromMilliseconds(entry.recorded_ms)
    return receipt


def _entry(entry: Entry) -> consent_pb2.ConsentEntry:
    found = consent_pb2.ConsentEntry(
        receipt=_receipt(entry), user_id=entry.user_id or "", salt=entry.salt or b""
    )
    if entry.content is not None and entry.act != ledger.ERASED:
        found.record.ParseFromString(entry.content)
    return found


def _state(purpose: str, state: State) -> consent_pb2.ConsentState:
    found = consent_pb2.ConsentState(
        purpose=purpose,
        status=state.status,
        scope=state.scope,
        receipt_id=state.entry.receipt_id,
        record=state.record,
    )
    if state.agreement is not None:
        found.obtained_time.CopyFrom(state.agreement.effective_time)
        if state.agreement.HasField("expires_time"):
            found.expires_time.CopyFrom(state.agreement.expires_time)
    if state.status == "withdrawn":
        found.withdrawn_time.CopyFrom(state.record.effective_time)
    return found
