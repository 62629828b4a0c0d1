"""IngestService and PolicyService: check, call, answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from services.common.clock import Clock
from services.common.errors import (
    FieldViolation,
    Gone,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    UsherError,
)
from services.common.telemetry import Telemetry
from services.ingest import check, receipts
from services.ingest.check import require_tenant
from services.ingest.door import NO_TENANT, Door
from services.ingest.failures import Failures
from services.ingest.ledger import Ledger
from services.ingest.paging import page_of
from services.ingest.pipeline import Pipeline
from services.ingest.policy import PolicyInForce
from services.ingest.senders import DECIDE, SUBMIT, Senders
from services.ingest.sentry import Sentry
from services.ingest.servicer_flow import require_flow_name
from services.ingest.store import Store
from services.ingest.store_flow import FlowStore
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

INGEST = "usher.ingest.v1.IngestService"
POLICY = "usher.policy.v1.PolicyService"

_WATCH_BATCH = 256
_SIGN_OF_LIFE_S = 15.0


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """The front door's RPCs."""

    def __init__(
        self,
        *,
        door: Door,
        pipeline: Pipeline,
        store: Store,
        ledger: Ledger,
        policy: PolicyInForce,
        failures: Failures,
        sentry: Sentry,
        clock: Clock,
        senders: Senders,
        flow: FlowStore,
        telemetry: Telemetry,
    ) -> None:
        self._senders = senders
        self._flow = flow
        self._door = door
        self._pipeline = pipeline
        self._store = store
        self._ledger = ledger
        self._policy = policy
        self._failures = failures
        self._sentry = sentry
        self._clock = clock
        self._telemetry = telemetry

    async def SubmitEvents(self, request: bytes, context: Any) -> bytes:
        with self._door.holding(len(request)):
            return await self._door.submit(await self._batch(SUBMIT, request, context))

    async def DecideEvents(self, request: bytes, context: Any) -> bytes:
        with self._door.holding(len(request)):
            return await self._door.decide(await self._batch(DECIDE, request, context))

    async def _batch(self, method: str, request: bytes, context: Any) -> ingest_pb2.EventBatch:
        try:
            batch = ingest_pb2.EventBatch.FromString(request)
        except DecodeError:
            # How many events it was meant to hold nobody knows: it counts as one.
            self._ledger.refuse(NO_TENANT, "MALFORMED_MESSAGE")
            raise InvalidArgument("MALFORMED_MESSAGE", "the request is not a batch of events") from None
        try:
            await self._senders.admit(method, context, batch.tenant, len(batch.events))
        except UsherError as error:
            # A tenant that a sender only claims does not enter that tenant's books.
            known = isinstance(error, ResourceExhausted) and check.valid_tenant(batch.tenant)
            self._ledger.refuse(batch.tenant if known else NO_TENANT, error.reason, len(batch.events))
            raise
        return batch

    async def GetDecision(
        self, request: ingest_pb2.GetDecisionRequest, context: Any
    ) -> ingest_pb2.GetDecisionResponse:
        require_tenant(request.tenant)
        key = receipts.event_key(request.tenant, request.event_id)
        read = self._store.database.read
        found = await read(self._store.find, key)
        if found is None:
            if await read(self._store.is_pending, key):
                raise NotFound(
                    "DECISION_PENDING", "the event was accepted and waits for its decision; ask again"
                )
            # It may have been decided between the two looks.
            found = await read(self._store.find, key)
        if found is None and await read(self._store.is_erased, key):
            raise Gone(
                message="ERASED: the event and its decision were erased at the viewer's request",
                metadata={"status": "ERASED"},
            )
        if found is None:
            raise NotFound("DECISION_UNKNOWN", "no event of this tenant with this event_id was decided")
        _, decision, event = found
        return ingest_pb2.GetDecisionResponse(
            decision=decision_pb2.Decision.FromString(decision), event=event_pb2.Event.FromString(event)
        )

    async def ListDecisions(
        self, request: ingest_pb2.ListDecisionsRequest, context: Any
    ) -> ingest_pb2.ListDecisionsResponse:
        require_tenant(request.tenant)
        size, before = page_of(request.page_size, request.page_token)
        user = receipts.user_key(request.tenant, request.user_id) if request.user_id else None
        rows = await self._store.database.read(
            self._store.list_decisions, request.tenant, before, size, int(request.minimum_outcome), user
        )
        return ingest_pb2.ListDecisionsResponse(
            decisions=[decision_pb2.Decision.FromString(body) for _, body in rows],
            next_page_token=str(rows[-1][0]) if len(rows) == size else "",
        )

    async def WatchDecisions(
        self, request: ingest_pb2.WatchDecisionsRequest, context: Any
    ) -> AsyncIterator[ingest_pb2.WatchDecisionsResponse]:
        require_tenant(request.tenant)
        position: int | None = None
        if request.subscriber:
            require_flow_name("subscriber", request.subscriber)
            position = await self._store.database.read(
                self._flow.position_of, request.tenant, request.subscriber
            )
        if position is None:
            position = request.after_position
        if position < 0:
            position = await self._store.database.read(self._store.last_position)
        changed = self._pipeline.watch()
        try:
            while True:
                changed.clear()
                rows = await self._store.database.read(
                    self._store.decisions_after, request.tenant, position, _WATCH_BATCH
                )
                if rows:
                    position = rows[-1][0]
                    yield ingest_pb2.WatchDecisionsResponse(
                        decisions=[decision_pb2.Decision.FromString(body) for _, body in rows]
                    )
                    continue
                try:
                    # Another process's commits do not set the event: look every second all the same.
                    await asyncio.wait_for(changed.wait(), 1.0)
                except TimeoutError:
                    yield ingest_pb2.WatchDecisionsResponse()
        finally:
            self._pipeline.unwatch(changed)

    async def GetAccounting(
        self, request: ingest_pb2.GetAccountingRequest, context: Any
    ) -> ingest_pb2.GetAccountingResponse:
        if request.tenant:
            require_tenant(request.tenant)
        await self._ledger.flush()
        counts, pending = await self._store.database.read(self._store.accounting, request.tenant or None)
        now_ms = self._clock.now_ms()
        tenants = sorted({tenant for tenant, _ in counts} | set(pending))
        return ingest_pb2.GetAccountingResponse(
            accounts=[account(tenant, counts, pending.get(tenant, (0, now_ms)), now_ms) for tenant in tenants]
        )

    async def ListFailedEvents(
        self, request: ingest_pb2.ListFailedEventsRequest, context: Any
    ) -> ingest_pb2.ListFailedEventsResponse:
        require_tenant(request.tenant)
        size, before = page_of(request.page_size, request.page_token)
        failed, last = await self._failures.listed(
            request.tenant,
            before,
            size,
            reason=request.reason,
            component=request.component,
            open_only=request.open_only,
        )
        return ingest_pb2.ListFailedEventsResponse(
            failed_events=failed, next_page_token=str(last) if len(failed) == size else ""
        )

    async def GetFailedEvent(
        self, request: ingest_pb2.GetFailedEventRequest, context: Any
    ) -> ingest_pb2.GetFailedEventResponse:
        require_tenant(request.tenant)
        failed = await self._failures.one(request.tenant, request.failed_id)
        if failed is None:
            raise NotFound(
                "FAILED_EVENT_UNKNOWN", "no failed event of this tenant is kept under this failed_id"
            )
        return ingest_pb2.GetFailedEventResponse(failed_event=failed)

    async def ReplayFailedEvents(
        self, request: ingest_pb2.ReplayFailedEventsRequest, context: Any
    ) -> ingest_pb2.ReplayFailedEventsResponse:
        require_tenant(request.tenant)
        results = await self._failures.replay(
            request.tenant,
            request.failed_ids,
            accept_attacks=request.accept_attacks,
            actor=request.actor[:128],
        )
        return ingest_pb2.ReplayFailedEventsResponse(results=results)

    async def GetSecurityStatus(
        self, request: ingest_pb2.GetSecurityStatusRequest, context: Any
    ) -> ingest_pb2.GetSecurityStatusResponse:
        return self._sentry.status()

    async def SetMode(self, request: ingest_pb2.SetModeRequest, context: Any) -> ingest_pb2.SetModeResponse:
        require_tenant(request.tenant)
        if request.mode not in (decision_pb2.MODE_OBSERVE, decision_pb2.MODE_ENFORCE):
            raise InvalidArgument(
                "MODE_INVALID",
                "mode is OBSERVE or ENFORCE",
                violations=[FieldViolation("mode", "MODE_INVALID", "set MODE_OBSERVE or MODE_ENFORCE")],
            )
        if request.event_class not in event_pb2.EventClass.values():
            raise InvalidArgument(
                "EVENT_CLASS_UNKNOWN",
                "event_class is not one that this version knows",
                violations=[
                    FieldViolation("event_class", "EVENT_CLASS_UNKNOWN", "use a known class, or none")
                ],
            )
        modes: Any = await self._policy.set_mode(
            request.tenant, int(request.event_class), int(request.mode), request.actor[:128]
        )
        return ingest_pb2.SetModeResponse(modes=modes)

    async def GetMode(self, request: ingest_pb2.GetModeRequest, context: Any) -> ingest_pb2.GetModeResponse:
        require_tenant(request.tenant)
        return ingest_pb2.GetModeResponse(classes=await self._policy.class_modes(request.tenant))


class PolicyServicer(policy_pb2_grpc.PolicyServiceServicer):
    """Which policy set is in force."""

    def __init__(self, store: Store, policy: PolicyInForce) -> None:
        self._store = store
        self._policy = policy

    async def GetActivePolicySet(
        self, request: policy_pb2.GetActivePolicySetRequest, context: Any
    ) -> policy_pb2.GetActivePolicySetResponse:
        manifest: Any = await asyncio.to_thread(self._policy.manifest)
        answer = policy_pb2.GetActivePolicySetResponse(manifest=manifest)
        answer.activated_time.FromMilliseconds(self._policy.activated_ms)
        return answer

    async def ActivatePolicySet(
        self, request: policy_pb2.ActivatePolicySetRequest, context: Any
    ) -> policy_pb2.ActivatePolicySetResponse:
        since = await self._policy.activate(request.policy_set, request.actor[:128])
        answer = policy_pb2.ActivatePolicySetResponse()
        answer.activated_time.FromMilliseconds(since)
        return answer

    async def ListActivations(
        self, request: policy_pb2.ListActivationsRequest, context: Any
    ) -> policy_pb2.ListActivationsResponse:
        size, before = page_of(request.page_size, request.page_token)
        rows = await self._store.database.read(self._store.list_activations, before, size)
        answer = policy_pb2.ListActivationsResponse(
            next_page_token=str(rows[-1][0]) if len(rows) == size else ""
        )
        for _, policy_set, activated_ms, actor in rows:
            one = answer.activations.add(policy_set=policy_set, actor=actor)
            one.activated_time.FromMilliseconds(activated_ms)
        return answer


def add_ingest_to_server(servicer: IngestServicer, server: Any) -> None:
    """Registers the front door; the two doors take and give bytes, so that nothing is parsed twice."""
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, _BytesAtTheDoors(server))


_DOORS = ("SubmitEvents", "DecideEvents")


class _BytesAtTheDoors:
    """Passes registrations on to a server, with the doors' serialisers taken away."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        self._server.add_generic_rpc_handlers(tuple(_BytesHandlers(one) for one in handlers))

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self._server.add_registered_method_handlers(
            service, {name: _bytes_only(one) if name in _DOORS else one for name, one in handlers.items()}
        )


class _BytesHandlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: grpc.GenericRpcHandler) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        handler = self._handlers.service(handler_call_details)
        door = handler_call_details.method.rpartition("/")[2] in _DOORS
        return _bytes_only(handler) if handler is not None and door else handler


def _bytes_only(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(handler.unary_unary)


def account(
    tenant: str, counts: dict[tuple[str, str], int], pending: tuple[int, int], now_ms: int
) -> ingest_pb2.Accounting:
    """The books of one tenant."""
    of = {name: n for (one, name), n in counts.items() if one == tenant}
    refused = {name.removeprefix("refused:"): n for name, n in of.items() if name.startswith("refused:")}
    books = ingest_pb2.Accounting(
        tenant=tenant,
        refused=sum(refused.values()),
        refused_by_reason=refused,
        pending=pending[0],
        oldest_pending_ms=max(0, now_ms - pending[1]) if pending[0] else 0,
    )
    for name in ("received", "accepted", "duplicate", "conflict", "decided", "failed", "superseded"):
        setattr(books, name, of.get(name, 0))
    books.balanced = (
        books.received == books.accepted + books.duplicate + books.conflict + books.refused
        and books.accepted == books.decided + books.failed + books.superseded + books.pending
    )
    return books
