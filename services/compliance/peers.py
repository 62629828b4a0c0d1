"""The services that compliance calls: SubjectDataService of all, and ingest's decisions, labels and policy set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from services.common.client import ClientSettings, connect
from services.common.errors import FailedPrecondition, UsherError
from services.common.telemetry import Telemetry
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import (
    enforcement_pb2,
    enforcement_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    labels_pb2,
    labels_pb2_grpc,
)
from usher.policy.v1 import policy_pb2, policy_pb2_grpc
from usher.subject.v1 import subject_pb2, subject_pb2_grpc

_S = "/usher.subject.v1.SubjectDataService/"
_IDEMPOTENT = [
    f"{_S}{name}"
    for name in (
        "EraseSubjectData",
        "VerifySubjectErasure",
        "GetErasureState",
        "ReapplyErasures",
        "ApplyRetention",
    )
]
_SHORT_SECONDS = 5.0
_REACHING_SECONDS = 3.0
"""Longer than a channel waits between two tries."""
_PAGE = 1_000
_EVENT_IDS = 500
_ENFORCEMENTS = 1_000


class Peers:
    """Channels to the services; without settings every call raises FailedPrecondition (RECORDS_NOT_CONFIGURED)."""

    def __init__(
        self, settings: dict[str, ClientSettings | None], seconds: float, telemetry: Telemetry
    ) -> None:
        # Whatever their health says: a service that waits for the erasure ledger is NOT_SERVING until it was called.
        self._channels: dict[str, grpc.aio.Channel] = {
            name: connect(one, telemetry=telemetry, idempotent=_IDEMPOTENT, health=False)
            for name, one in settings.items()
            if one is not None
        }
        self._seconds = seconds
        self._subjects = {
            name: subject_pb2_grpc.SubjectDataServiceStub(channel) for name, channel in self._channels.items()
        }

    @property
    def names(self) -> list[str]:
        """The services."""
        return list(self._channels)

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()

    async def export(
        self, service: str, request: subject_pb2.ExportSubjectDataRequest
    ) -> AsyncIterator[subject_pb2.ExportSubjectDataResponse]:
        """Pieces of what a service keeps of a subject."""
        await self._reached(service)
        async for piece in self._of(service).ExportSubjectData(request, timeout=self._seconds):
            yield piece

    async def events(
        self, service: str, request: subject_pb2.ListSubjectEventsRequest
    ) -> AsyncIterator[subject_pb2.ListSubjectEventsResponse]:
        """The subject's events."""
        await self._reached(service)
        async for piece in self._of(service).ListSubjectEvents(request, timeout=self._seconds):
            yield piece

    async def erase(
        self, service: str, request: subject_pb2.EraseSubjectDataRequest
    ) -> subject_pb2.EraseSubjectDataResponse:
        """Erases in one service."""
        answer: Any = await self._of(service).EraseSubjectData(request, timeout=self._seconds)
        return answer  # type: ignore[no-any-return]

    async def verify(
        self, service: str, request: subject_pb2.VerifySubjectErasureRequest
    ) -> subject_pb2.VerifySubjectErasureResponse:
        """Counts what is left in one service."""
        answer: Any = await self._of(service).VerifySubjectErasure(request, timeout=self._seconds)
        return answer  # type: ignore[no-any-return]

    async def state(self, service: str) -> subject_pb2.GetErasureStateResponse:
        """How much of the ledger a service has."""
        request = subject_pb2.GetErasureStateRequest()
        answer: Any = await self._of(service).GetErasureState(request, timeout=_SHORT_SECONDS)
        return answer  # type: ignore[no-any-return]

    async def reapply(
        self, service: str, request: subject_pb2.ReapplyErasuresRequest
    ) -> subject_pb2.ReapplyErasuresResponse:
        """Erases again in one service."""
        answer: Any = await self._of(service).ReapplyErasures(request, timeout=self._seconds)
        return answer  # type: ignore[no-any-return]

    async def retain(
        self, service: str, request: subject_pb2.ApplyRetentionRequest
    ) -> subject_pb2.ApplyRetentionResponse:
        """Applies retention in one service."""
        answer: Any = await self._of(service).ApplyRetention(request, timeout=self._seconds)
        return answer  # type: ignore[no-any-return]

    async def raise_alerts(self, request: alerts_pb2.RaiseAlertsRequest) -> alerts_pb2.RaiseAlertsResponse:
        """Gives messages to alerts."""
        answer: Any = await alerts_pb2_grpc.AlertsServiceStub(self._channel("alerts")).RaiseAlerts(request)
        return answer  # type: ignore[no-any-return]

    async def record_labels(self, request: labels_pb2.RecordLabelsRequest) -> labels_pb2.RecordLabelsResponse:
        """Records labels in ingest."""
        answer: Any = await labels_pb2_grpc.LabelServiceStub(self._channel("ingest")).RecordLabels(request)
        return answer  # type: ignore[no-any-return]

    async def policy_set(self) -> str:
        """The policy set in force; empty where ingest does not answer or there is none."""
        if "ingest" not in self._channels:
            return ""
        stub = policy_pb2_grpc.PolicyServiceStub(self._channel("ingest"))
        try:
            answer: Any = await stub.GetActivePolicySet(
                policy_pb2.GetActivePolicySetRequest(), timeout=_SHORT_SECONDS
            )
        except UsherError:
            return ""
        return str(answer.manifest.policy_set)

    async def decisions(self, tenant: str, user_id: str, most: int) -> AsyncIterator[decision_pb2.Decision]:
        """Decisions of a tenant or one viewer, the newest first, at most so many."""
        await self._reached("ingest")
        stub = ingest_pb2_grpc.IngestServiceStub(self._channel("ingest"))
        token = ""
        while most > 0:
            request = ingest_pb2.ListDecisionsRequest(
                tenant=tenant, user_id=user_id, page_size=min(_PAGE, most), page_token=token
            )
            answer: Any = await stub.ListDecisions(request, timeout=30.0)
            for decision in answer.decisions:
                yield decision
            most -= len(answer.decisions)
            token = answer.next_page_token
            if not token:
                return

    async def enforcements(self, tenant: str, event_ids: Sequence[str]) -> list[enforcement_pb2.Enforcement]:
        """What callers confirmed of the decisions on some events."""
        stub = enforcement_pb2_grpc.EnforcementServiceStub(self._channel("ingest"))
        found: list[enforcement_pb2.Enforcement] = []
        for start in range(0, len(event_ids), _EVENT_IDS):
            some, token = event_ids[start : start + _EVENT_IDS], ""
            while True:
                request = enforcement_pb2.ListEnforcementsRequest(
                    tenant=tenant, event_ids=some, page_size=_ENFORCEMENTS, page_token=token
                )
                answer: Any = await stub.ListEnforcements(request, timeout=30.0)
                found += answer.enforcements
                token = answer.next_page_token
                if not token:
                    break
        return found

    async def _reached(self, service: str) -> None:
        """Waits for a service that has just come up: until its channel tries again, calls would fail at once.

        Returns also where it does not come: the call then says so.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._channel(service).channel_ready(), _REACHING_SECONDS)

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            raise FailedPrecondition(
                "RECORDS_NOT_CONFIGURED",
                f"compliance does not know where {service} is: set USHER_COMPLIANCE_{service.upper()}_TARGET",
            )
        return self._channels[service]

    def _of(self, service: str) -> Any:
        self._channel(service)
        return self._subjects[service]
