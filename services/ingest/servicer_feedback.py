"""FeedbackService: check, read, answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from services.common.clock import Clock
from services.common.errors import InvalidArgument, NotFound
from services.ingest.check import require_tenant
from services.ingest.items import FOLD_ONLY, SUPPRESSED
from services.ingest.policy import PolicyInForce
from services.ingest.store_control import HOUR_MS, ControlStore
from services.ingest.store_feedback import DecidedRow, FeedbackStore
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2, feedback_pb2_grpc

FEEDBACK = "usher.ingest.v1.FeedbackService"

_PAGE, _LARGEST_PAGE = 500, 1_000
_SHOWN_HOURS = 7 * 24
_FIRST_FEATURE: int = decision_pb2.NUMBER_INDEX_FIRST_FEATURE


class FeedbackServicer(feedback_pb2_grpc.FeedbackServiceServicer):
    """What learning reads and writes."""

    def __init__(
        self, store: FeedbackStore, control: ControlStore, policy: PolicyInForce, clock: Clock
    ) -> None:
        self._store = store
        self._control = control
        self._policy = policy
        self._clock = clock

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

    async def GetControlGroup(
        self, request: feedback_pb2.GetControlGroupRequest, context: Any
    ) -> feedback_pb2.GetControlGroupResponse:
        require_tenant(request.tenant)
        policy, now = self._policy.feedback, self._clock.now_ms() // HOUR_MS
        taken = await self._store.database.read(self._control.hours, request.tenant, now - _SHOWN_HOURS)
        answer = feedback_pb2.GetControlGroupResponse(
            policy_set=self._policy.policy_set,
            share=policy.control_share,
            at_most_an_hour=policy.control_an_hour,
            most_bytes=policy.control_bytes,
            classes=cast(
                Any, [one for one in event_pb2.EventClass.values() if policy.control_classes >> one & 1]
            ),
            sample_share=policy.sample_share,
            this_hour=dict(taken).get(now, 0),
        )
        for hour, number in taken:
            answer.hours.add(taken=number).start.FromMilliseconds(hour * HOUR_MS)
        body = await self._store.database.read(self._store.report, request.tenant)
        if body is not None:
            report = feedback_pb2.FeedbackReport.FromString(body)
            answer.report_time.CopyFrom(report.time)
            answer.sampled, answer.control_group = report.sampled, report.control_group
            if report.HasField("control_abusive"):
                answer.control_abusive.CopyFrom(report.control_abusive)
            if report.HasField("misses"):
                answer.misses.CopyFrom(report.misses)
        return answer

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
