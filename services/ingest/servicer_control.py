"""LabelService and ListService: check, call, answer."""

from __future__ import annotations

import asyncio
from typing import Any

from services.common.clock import Clock
from services.common.errors import FieldViolation, InvalidArgument
from services.ingest import labels, listed
from services.ingest.affected import Tally
from services.ingest.check import require_tenant
from services.ingest.lists import Lists
from services.ingest.paging import FIRST, page_of
from services.ingest.records import POSITION_SHIFT
from services.ingest.store_labels import LabelStore
from services.ingest.store_lists import ListStore
from usher.ingest.v1 import labels_pb2, labels_pb2_grpc, lists_pb2, lists_pb2_grpc

LABELS = "usher.ingest.v1.LabelService"
LISTS = "usher.ingest.v1.ListService"

_MOST_HOURS = 720
_MOST_EVENTS = 200_000
_MOST_ACCOUNTS = 1_000
_HOUR_MS = 3_600_000


class LabelServicer(labels_pb2_grpc.LabelServiceServicer):
    """What turned out to be true."""

    def __init__(self, store: LabelStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def RecordLabels(
        self, request: labels_pb2.RecordLabelsRequest, context: Any
    ) -> labels_pb2.RecordLabelsResponse:
        require_tenant(request.tenant)
        if not request.labels:
            raise InvalidArgument("LABELS_MISSING", "labels must hold at least one label")
        if len(request.labels) > labels.MAX_LABELS:
            raise InvalidArgument(
                "TOO_MANY_LABELS",
                f"labels must be {labels.MAX_LABELS} or fewer, not {len(request.labels)}",
                metadata={"limit": str(labels.MAX_LABELS)},
            )
        faults = [labels.violations(label) for label in request.labels]
        valid = [label for label, found in zip(request.labels, faults, strict=True) if not found]
        recorded: list[labels_pb2.LabelResult] = []
        if valid:
            recorded = await self._store.database.run(
                self._store.record, request.tenant, valid, self._clock.now_ms()
            )
        kept = iter(recorded)
        return labels_pb2.RecordLabelsResponse(
            results=[_invalid(found) if found else next(kept) for found in faults]
        )

    async def ListLabels(
        self, request: labels_pb2.ListLabelsRequest, context: Any
    ) -> labels_pb2.ListLabelsResponse:
        require_tenant(request.tenant)
        size, after = page_of(request.page_size, request.page_token, first=0)
        found = await self._store.database.read(
            lambda: self._store.list_labels(
                request.tenant,
                after,
                size + 1,
                kinds=tuple(request.kinds),
                mature_by_ms=request.mature_by.ToMilliseconds() if request.HasField("mature_by") else None,
                subject_kind=request.subject_kind,
                subject=request.subject,
            )
        )
        page = found[:size]
        return labels_pb2.ListLabelsResponse(
            labels=page,
            next_page_token=str(page[-1].position) if page else request.page_token,
            more=len(found) > size,
        )


class ListServicer(lists_pb2_grpc.ListServiceServicer):
    """Block-lists, allow-lists and limits."""

    def __init__(self, lists: Lists, store: ListStore, clock: Clock) -> None:
        self._lists = lists
        self._store = store
        self._clock = clock

    async def SetListEntry(
        self, request: lists_pb2.SetListEntryRequest, context: Any
    ) -> lists_pb2.SetListEntryResponse:
        require_tenant(request.tenant)
        return lists_pb2.SetListEntryResponse(entry=await self._lists.set(request.tenant, request.entry))

    async def ListEntries(
        self, request: lists_pb2.ListEntriesRequest, context: Any
    ) -> lists_pb2.ListEntriesResponse:
        require_tenant(request.tenant)
        size, before = page_of(request.page_size, request.page_token, first=FIRST)
        rows = await self._store.database.read(
            lambda: self._store.list_entries(
                request.tenant,
                before,
                size + 1,
                request.kind,
                request.entity,
                ended=request.include_ended,
                now_ms=self._clock.now_ms(),
            )
        )
        page = rows[:size]
        return lists_pb2.ListEntriesResponse(
            entries=[entry for _, entry in page],
            next_page_token=str(page[-1][0]) if len(rows) > size else "",
        )

    async def LiftListEntry(
        self, request: lists_pb2.LiftListEntryRequest, context: Any
    ) -> lists_pb2.LiftListEntryResponse:
        require_tenant(request.tenant)
        entry = await self._lists.lift(request.tenant, request.entry_id, request.actor, request.reason)
        return lists_pb2.LiftListEntryResponse(entry=entry)

    async def PreviewListEntry(
        self, request: lists_pb2.PreviewListEntryRequest, context: Any
    ) -> lists_pb2.PreviewListEntryResponse:
        require_tenant(request.tenant)
        if not 0 <= request.hours <= _MOST_HOURS:
            raise InvalidArgument("HOURS_INVALID", f"hours is 1 to {_MOST_HOURS}, or 0 for 24")
        probe = lists_pb2.ListEntry(
            kind=listed.BLOCK,
            entity_kind=request.entity_kind,
            entity=request.entity,
            reason="preview",
            actor="preview",
        )
        now_ms = self._clock.now_ms()
        found = listed.violations(probe, now_ms)
        if found:
            raise InvalidArgument(
                "LIST_ENTRY_INVALID", f"{len(found)} things are wrong with the entry", violations=found
            )
        since = max(0, now_ms - (request.hours or 24) * _HOUR_MS) << POSITION_SHIFT
        return await asyncio.to_thread(
            self._preview, request.tenant, int(request.entity_kind), request.entity, since
        )

    def _preview(
        self, tenant: str, entity_kind: int, entity: str, since: int
    ) -> lists_pb2.PreviewListEntryResponse:
        tally = Tally(entity_kind, entity)
        for piece in self._store.events_back(tenant, since, _MOST_EVENTS):
            tally.add(piece)
        found = tally.accounts(_MOST_ACCOUNTS, complete=tally.read < _MOST_EVENTS)
        return lists_pb2.PreviewListEntryResponse(
            accounts=found.accounts,
            account_count=found.account_count,
            events_read=found.events_read,
            complete=found.complete,
            watching=found.watching,
        )


def _invalid(found: list[FieldViolation]) -> labels_pb2.LabelResult:
    return labels_pb2.LabelResult(
        status=labels_pb2.LABEL_STATUS_INVALID,
        error="; ".join(f"{one.field}: {one.reason}: {one.message}" for one in found),
    )
