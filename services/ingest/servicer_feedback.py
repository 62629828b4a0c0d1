"""FeedbackService: check, read, answer."""

from __future__ import annotations

import asyncio
from typing import Any

from services.common.errors import InvalidArgument, NotFound
from services.ingest.check import require_tenant
from services.ingest.items import FOLD_ONLY, SUPPRESSED
from services.ingest.policy import PolicyInForce
from services.ingest.store_feedback import DecidedRow, FeedbackStore
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc

FEEDBACK = "usher.ingest.v1.FeedbackService"

_PAGE, _LARGEST_PAGE = 500, 1_000
_FIRST_FEATURE: int = decision_pb2.NUMBER_INDEX_FIRST_FEATURE


class FeedbackServicer(feedback_pb2_grpc.FeedbackServiceServicer):
    """What learning reads and writes."""

    def __init__(self, store: FeedbackStore, policy: PolicyInForce) -> None:
        self._store = store
        self._policy = policy

    async def ListTrainingEvents(
        self, request: feedback_pb2.ListTrainingEventsRequest, context: Any
    ) -> feedback_pb2.ListTrainingEventsResponse:
        require_tenant(request.tenant)
        size = _size(request.page_size)
        rows = await self._rows(request.tenant, request.after_position, size)
        answer = feedback_pb2.ListTrainingEventsResponse(
            next_position=rows[-1].position if rows else request.after_position, more=len(rows) == size
        )
        answer.events.extend(await asyncio.to_thread(_training, rows))
        return answer

    async def ListReviewSample(
        self, request: feedback_pb2.ListReviewSampleRequest, context: Any
    ) -> feedback_pb2.ListReviewSampleResponse:
        require_tenant(request.tenant)
        size = _size(request.page_size)
        rows = await self._rows(request.tenant, request.after_position, size)
        answer = feedback_pb2.ListReviewSampleResponse(
            next_position=rows[-1].position if rows else request.after_position, more=len(rows) == size
        )
        policy = self._policy.feedback
        for decision in await asyncio.to_thread(_decisions, rows):
            if decision.would_be < decision_pb2.OUTCOME_REVIEW and policy.in_sample(
                request.tenant, decision.event_id
            ):
                answer.decisions.append(decision)
        return answer

    async def PutFeedbackReport(
        self, request: feedback_pb2.PutFeedbackReportRequest, context: Any
    ) -> feedback_pb2.PutFeedbackReportResponse:
        report = request.report
        require_tenant(report.tenant)
        if not report.HasField("time") or report.time.seconds <= 0:
            raise InvalidArgument("REPORT_INVALID", "a report has a time")
        await self._store.database.run(
            self._store.put_report, report.tenant, report.time.ToMilliseconds(), report.SerializeToString()
        )
        return feedback_pb2.PutFeedbackReportResponse()

    async def GetFeedbackReport(
        self, request: feedback_pb2.GetFeedbackReportRequest, context: Any
    ) -> feedback_pb2.GetFeedbackReportResponse:
        require_tenant(request.tenant)
        body = await self._store.database.read(self._store.report, request.tenant)
        if body is None:
            raise NotFound(
                "REPORT_NOT_FOUND",
                "outcomes were not looked at yet; `usher scoring retrain` or its daily job does",
            )
        return feedback_pb2.GetFeedbackReportResponse(report=feedback_pb2.FeedbackReport.FromString(body))

    async def _rows(self, tenant: str, after: int, size: int) -> list[DecidedRow]:
        if after < 0:
            raise InvalidArgument("POSITION_INVALID", "after_position is 0 or a position that was answered")
        return await self._store.database.read(self._store.decided_after, tenant, after, size)


def _size(page_size: int) -> int:
    if not 0 <= page_size <= _LARGEST_PAGE:
        raise InvalidArgument("PAGE_SIZE_INVALID", f"page_size is 1 to {_LARGEST_PAGE}, or 0 for {_PAGE}")
    return page_size or _PAGE


def _decisions(rows: list[DecidedRow]) -> list[decision_pb2.Decision]:
    return [
        decision_pb2.Decision.FromString(row.decision)
        for row in rows
        if not row.flags & (SUPPRESSED | FOLD_ONLY)
    ]


def _training(rows: list[DecidedRow]) -> list[feedback_pb2.TrainingEvent]:
    found = []
    for row in rows:
        if row.flags & (SUPPRESSED | FOLD_ONLY):
            continue
        decision = decision_pb2.Decision.FromString(row.decision)
        if len(decision.numbers) <= _FIRST_FEATURE:
            continue
        found.append(
            feedback_pb2.TrainingEvent(
                event=row.event,
                position=row.position,
                features=decision.numbers[_FIRST_FEATURE:],
                policy_set=decision.policy_set,
                segment=decision.segment,
                outcome=decision.outcome,
                would_be=decision.would_be,
                country=decision.country,
                place_flags=decision.place_flags,
            )
        )
    return found
