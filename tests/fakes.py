"""The services that ingest asks, as small programmable servers, and ingest itself in this process.

The fakes are real gRPC servers on unix sockets. They keep just enough to tell whether what ingest promises them holds:
scoring's profile counts and chains the events folded into it, so that folding twice, not at all, or out of order shows;
fraud remembers event ids and what it applied through; alerts keeps messages by id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from services.common.client import ClientSettings, connect
from services.common.db import DatabaseSettings
from services.common.errors import FieldViolation, StateBehind, Unavailable, UsherError
from services.common.policy import Part, write_policy_set
from services.common.policy_sets import policy_set_service
from services.common.server import RunningServer, ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.ingest.app import Ingest
from services.ingest.servicer import INGEST
from services.ingest.settings import IngestSettings, PipelineSettings, SenderSettings
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.compliance.v1 import compliance_pb2, compliance_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from usher.ingest.v1 import (
    accounts_pb2_grpc,
    enforcement_pb2_grpc,
    feedback_pb2_grpc,
    flow_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    keys_pb2_grpc,
    labels_pb2_grpc,
    lists_pb2_grpc,
)
from usher.policy.v1 import policy_pb2, policy_pb2_grpc
from usher.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from usher.subject.v1 import subject_pb2_grpc

TENANT = "acme"
SIGNAL_WIDTH = 12
MAX_EVENTS = 2_000
"""The most events that the contracts of scoring, compliance and fraud allow in a call."""

_FOLD_ONLY = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
_UNTOUCHED = 1 << event_pb2.ITEM_FLAG_OLD | 1 << event_pb2.ITEM_FLAG_SUPPRESSED


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def event(
    event_id: str = "e1", user: str = "u1", *, at_ms: int | None = None, **fields: Any
) -> event_pb2.Event:
    """A well-formed event, now unless `at_ms` says otherwise; `fields` replace what it says."""
    values: dict[str, Any] = {
        "event_id": event_id,
        "user_id": user,
        "device_id": "d1",
        "event_type": "play",
        "region": "DE",
        "ip_address": "192.0.2.1",
        **fields,
    }
    built = event_pb2.Event(**values)
    if not built.HasField("event_time"):
        built.event_time.FromMilliseconds(now_ms() if at_ms is None else at_ms)
    return built


def too_many(events: Sequence[bytes]) -> None:
    """Refuses what the contracts refuse. Raises InvalidArgument (TOO_MANY_EVENTS)."""
    from services.common.errors import InvalidArgument

    if len(events) > MAX_EVENTS:
        raise InvalidArgument("TOO_MANY_EVENTS", f"{len(events)} events")


_PATIENT: dict[str, Any] = {"health_interval": 2.0, "health_timeout": 2.0}
"""On a busy machine a slow health check is no outage."""


class Programme:
    """What a fake does besides its work: fail, be slow, wait, count."""

    def __init__(self) -> None:
        self.error: UsherError | None = None
        """Raised by every call while set."""
        self.errors: list[UsherError] = []
        """Raised by the next calls, one each."""
        self.delay = 0.0
        """Seconds that every call takes."""
        self.gate: asyncio.Event | None = None
        """Calls wait for it while set."""
        self.requests: list[Any] = []
        """Every request, those that failed included."""
        self.answered = 0
        """Calls that were answered without an error."""
        self.loaded: list[str] = []
        """Policy sets that it was told to load."""
        self.load_error: UsherError | None = None
        """Raised when it is told to load a policy set, while set."""

    def away(self) -> None:
        """Refuses every call until `back`."""
        self.error = Unavailable("FAKE_AWAY", "away")

    def back(self) -> None:
        """Answers again."""
        self.error = None

    async def load(self, policy_set: str) -> None:
        """Loads a policy set."""
        self.loaded.append(policy_set)
        if self.load_error is not None:
            raise self.load_error

    async def meet(self, request: Any) -> None:
        """Plays the programme for one call."""
        self.requests.append(request)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if self.error is not None:
            raise self.error


class FakeCompliance(Programme, compliance_pb2_grpc.ComplianceServiceServicer):
    """Everybody complies; processing for security is suppressed for the users in `suppressed`."""

    def __init__(self) -> None:
        super().__init__()
        self.suppressed: set[str] = set()
        self.undecidable: dict[str, str] = {}
        """Reason by event_id of events answered by an ItemError."""
        self.poison: set[str] = set()
        """Event ids that meet a defect: the whole call fails."""

    async def EvaluateEvents(
        self, request: compliance_pb2.EvaluateEventsRequest, context: Any
    ) -> compliance_pb2.EvaluateEventsResponse:
        await self.meet(request)
        too_many(request.events)
        choke(self.poison, request.events)
        flags = 1 << decision_pb2.VERDICT_FLAG_SECURITY_SUPPRESSED
        verdicts = [
            decision_pb2.Verdict(status=decision_pb2.COMPLIANCE_STATUS_COMPLIANT),
            decision_pb2.Verdict(status=decision_pb2.COMPLIANCE_STATUS_VIOLATION, risk=3.0, flags=flags),
        ]
        verdicts[1].processing.add(
            purpose="targeted_advertising",
            state=decision_pb2.PROCESSING_STATE_SUPPRESS,
            rule="EU_GDPR.consent_absent",
        )
        answer = compliance_pb2.EvaluateEventsResponse(
            verdicts=[verdict.SerializeToString() for verdict in verdicts], risks=[0.0, 3.0], flags=[0, flags]
        )
        for index, serialised in enumerate(request.events):
            one = event_pb2.Event.FromString(serialised)
            answer.verdict_of.append(1 if one.user_id in self.suppressed else 0)
            if one.event_id in self.undecidable:
                answer.errors.add(index=index, reason=self.undecidable[one.event_id], message="as programmed")
        return answer


def choke(poison: set[str], events: Iterable[bytes]) -> None:
    """A defect that some events meet."""
    if poison:
        for serialised in events:
            if event_pb2.Event.FromString(serialised).event_id in poison:
                raise RuntimeError("a defect")


class FakeFraud(Programme, fraud_pb2_grpc.FraudServiceServicer):
    """Remembers event ids; answers STATE_BEHIND when it has applied less than the caller committed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[str, str]] = Counter()
        """How often each (tenant, event_id) was given."""
        self.applied_through_ms = 0
        self.restores: list[fraud_pb2.RestoreRequest] = []
        self.outcomes: list[fraud_pb2.Outcome] = []
        self.outcomes_through = 0

    def lose(self, through_ms: int = 0) -> None:
        """Forgets everything, and what was applied after a time."""
        self.seen.clear()
        self.applied_through_ms = through_ms

    async def AssessEvents(
        self, request: fraud_pb2.AssessEventsRequest, context: Any
    ) -> fraud_pb2.AssessEventsResponse:
        await self.meet(request)
        too_many(request.events)
        if request.committed_through_ms > self.applied_through_ms:
            raise StateBehind(metadata={"applied_through": str(self.applied_through_ms)})
        for flags, serialised in zip(request.item_flags, request.events, strict=True):
            if not flags & _UNTOUCHED:
                self.seen[(request.tenant, event_pb2.Event.FromString(serialised).event_id)] += 1
        self.applied_through_ms = max(self.applied_through_ms, request.batch_time_ms)
        self.answered += 1
        return fraud_pb2.AssessEventsResponse(
            signal_width=SIGNAL_WIDTH,
            signals=[0.0] * (SIGNAL_WIDTH * len(request.events)),
            assessments=[
                decision_pb2.Assessment(signals=[0.0] * SIGNAL_WIDTH).SerializeToString()
                for _ in request.events
            ],
        )

    async def Restore(self, request: fraud_pb2.RestoreRequest, context: Any) -> fraud_pb2.RestoreResponse:
        too_many(request.events)
        if self.error is not None:
            raise self.error
        self.restores.append(request)
        for serialised in request.events:
            self.seen[(request.tenant, event_pb2.Event.FromString(serialised).event_id)] += 1
        if request.complete_through_ms:
            self.applied_through_ms = max(self.applied_through_ms, request.complete_through_ms)
        return fraud_pb2.RestoreResponse(
            applied=len(request.events), applied_through_ms=self.applied_through_ms
        )

    async def RecordOutcomes(
        self, request: fraud_pb2.RecordOutcomesRequest, context: Any
    ) -> fraud_pb2.RecordOutcomesResponse:
        if self.error is not None:
            raise self.error
        self.outcomes += [one for one in request.outcomes if one.position > self.outcomes_through]
        self.outcomes_through = max(self.outcomes_through, request.through_position)
        return fraud_pb2.RecordOutcomesResponse(through_position=self.outcomes_through)


def chain(event_ids: Iterable[str]) -> bytes:
    """The fake's profile after events, in their order: an 8-byte count and a 16-byte hash chain."""
    profile = b""
    for event_id in event_ids:
        profile = folded(profile, event_id)
    return profile


def folded(profile: bytes, event_id: str) -> bytes:
    """The fake's profile after one more event."""
    count = int.from_bytes(profile[:8], "little") + 1
    link = hashlib.sha256(profile[8:] + event_id.encode()).digest()[:16]
    return count.to_bytes(8, "little") + link


class FakeScoring(Programme, scoring_pb2_grpc.ScoringServiceServicer):
    """Allows everything but what `outcomes` says, and folds into a profile that can be checked."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, int] = {}
        """Outcome by event_id."""
        self.undecidable: dict[str, str] = {}
        """Reason by event_id of events answered by an ItemError."""
        self.poison: set[str] = set()
        """Event ids that meet a defect: the whole call fails."""
        self.list_addresses: set[str] = set()
        """Event ids whose decision asks the mesh to list the address."""
        self.shared: list[str] = []
        """Users who were in two calls at once: none may be."""
        self._at_work: Counter[str] = Counter()

    async def DescribeProfile(
        self, request: scoring_pb2.DescribeProfileRequest, context: Any
    ) -> scoring_pb2.DescribeProfileResponse:
        return scoring_pb2.DescribeProfileResponse(sentences=[f"{len(request.profile)} bytes"])

    async def DecideEvents(
        self, request: scoring_pb2.DecideEventsRequest, context: Any
    ) -> scoring_pb2.DecideEventsResponse:
        choke(self.poison, request.events)
        events = [event_pb2.Event.FromString(one) for one in request.events]
        users = {one.user_id for one in events}
        self.shared.extend(user for user in users if self._at_work[user])
        self._at_work.update(users)
        try:
            await self.meet(request)
            too_many(request.events)
            answer = self._answer(request, events)
            self.answered += 1
            return answer
        finally:
            self._at_work.subtract(users)

    def _answer(
        self, request: scoring_pb2.DecideEventsRequest, events: list[event_pb2.Event]
    ) -> scoring_pb2.DecideEventsResponse:
        number = len(events)
        for column in (
            request.profile_of,
            request.item_flags,
            request.compliance_risk,
            request.verdict_flags,
        ):
            assert len(column) == number, "every column has one entry an event"
        assert len(request.signals) == request.signal_width * number
        profiles = list(request.profiles)
        answer = scoring_pb2.DecideEventsResponse()
        for index, one in enumerate(events):
            flags, place = request.item_flags[index], request.profile_of[index]
            if one.event_id in self.undecidable:
                answer.errors.add(index=index, reason=self.undecidable[one.event_id], message="as programmed")
                answer.decisions.append(b"")
                answer.outcomes.append(0)
                continue
            before = int.from_bytes(profiles[place][:8], "little")
            if not flags & _UNTOUCHED:
                profiles[place] = folded(profiles[place], one.event_id)
            if flags & _FOLD_ONLY:
                answer.decisions.append(b"")
                answer.outcomes.append(0)
                continue
            would_be = self.outcomes.get(one.event_id, decision_pb2.OUTCOME_ALLOW)
            kind = _event_class(one)
            mode = request.modes[kind] if kind < len(request.modes) else decision_pb2.MODE_OBSERVE
            outcome = would_be if mode == decision_pb2.MODE_ENFORCE else decision_pb2.OUTCOME_ALLOW
            decision = decision_pb2.Decision(
                outcome=outcome,  # type: ignore[arg-type]
                would_be=would_be,  # type: ignore[arg-type]
                mode=mode,
                risk_level=decision_pb2.RISK_LEVEL_LOW,
            )
            decision.numbers.extend([0.0] * decision_pb2.NUMBER_INDEX_PROFILE_EVENTS + [float(before)])
            if would_be > decision_pb2.OUTCOME_ALLOW:
                decision.reasons.add(code=decision_pb2.REASON_CODE_TOR_EXIT, points=3.0)
            if one.event_id in self.list_addresses:
                decision.actions.add(
                    kind=decision_pb2.ACTION_KIND_LIST_ADDRESS, enforced_by=decision_pb2.ENFORCED_BY_USHER
                )
            answer.decisions.append(decision.SerializeToString())
            answer.outcomes.append(outcome)
        answer.profiles.extend(
            after if after != before else b""
            for before, after in zip(request.profiles, profiles, strict=True)
        )
        return answer


def _event_class(one: event_pb2.Event) -> int:
    from services.common.event_types import event_class

    return event_class(one.event_type)


class FakeAlerts(Programme, alerts_pb2_grpc.AlertsServiceServicer):
    """Keeps messages by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[tuple[str, str, str], alerts_pb2.AlertMessage] = {}

    async def RaiseAlerts(
        self, request: alerts_pb2.RaiseAlertsRequest, context: Any
    ) -> alerts_pb2.RaiseAlertsResponse:
        await self.meet(request)
        answer = alerts_pb2.RaiseAlertsResponse()
        for message in request.messages:
            key = (message.tenant, message.event_id, message.kind)
            repeat = key in self.messages
            self.messages.setdefault(key, message)
            answer.results.add(
                status=alerts_pb2.RAISE_STATUS_DUPLICATE if repeat else alerts_pb2.RAISE_STATUS_OPENED
            )
        return answer


class FakeMesh:
    """The four fakes on unix sockets of one folder. An async context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compliance = FakeCompliance()
        self.scoring = FakeScoring()
        self.fraud = FakeFraud()
        self.alerts = FakeAlerts()
        self._running: dict[str, RunningServer] = {}

    async def __aenter__(self) -> FakeMesh:
        for name in ("compliance", "scoring", "fraud", "alerts"):
            await self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._running):
            await self.stop(name)

    def target(self, name: str) -> str:
        """Where a fake serves."""
        return f"unix:{self.folder}/{name}.sock"

    async def start(self, name: str) -> None:
        """Starts a fake's server."""
        add: dict[str, Callable[[Any, Any], None]] = {
            "compliance": compliance_pb2_grpc.add_ComplianceServiceServicer_to_server,
            "scoring": scoring_pb2_grpc.add_ScoringServiceServicer_to_server,
            "fraud": fraud_pb2_grpc.add_FraudServiceServicer_to_server,
            "alerts": alerts_pb2_grpc.add_AlertsServiceServicer_to_server,
        }
        server = start_server(
            ServerSettings(address=self.target(name), drain_notice=0.0, drain_grace=0.2, **_PATIENT),
            [
                Service(add[name], getattr(self, name), f"usher.{name}.v1.{name.capitalize()}Service"),
                policy_set_service(getattr(self, name).load),
            ],
            healthy=_always,
            telemetry=quiet_telemetry(name),
        )
        await server.start()
        await server.wait_serving()
        self._running[name] = server

    async def stop(self, name: str) -> None:
        """Stops a fake's server; its memory stays."""
        await self._running.pop(name).drain()


class Front:
    """Ingest, running in this process, and stubs for its doors."""

    def __init__(self, app: Ingest, channel: Any) -> None:
        self.app = app
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        self.policy = policy_pb2_grpc.PolicyServiceStub(channel)
        self.labels = labels_pb2_grpc.LabelServiceStub(channel)
        self.enforcement = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        self.feedback = feedback_pb2_grpc.FeedbackServiceStub(channel)
        self.accounts = accounts_pb2_grpc.AccountServiceStub(channel)
        self.lists = lists_pb2_grpc.ListServiceStub(channel)
        self.subjects = subject_pb2_grpc.SubjectDataServiceStub(channel)
        self.keys = keys_pb2_grpc.KeyServiceStub(channel)
        self.flow = flow_pb2_grpc.FlowServiceStub(channel)
        self._channel = channel

    async def decide(
        self, events: Iterable[event_pb2.Event], tenant: str = TENANT, **call: Any
    ) -> list[ingest_pb2.EventResult]:
        """The Decide door."""
        request = ingest_pb2.DecideEventsRequest(tenant=tenant, events=events)
        return list((await self.ingest.DecideEvents(request, **call)).results)

    async def submit(
        self, events: Iterable[event_pb2.Event], tenant: str = TENANT
    ) -> list[ingest_pb2.EventResult]:
        """The Submit door."""
        request = ingest_pb2.SubmitEventsRequest(tenant=tenant, events=events)
        return list((await self.ingest.SubmitEvents(request)).results)

    async def raw(self, door: str, batch: ingest_pb2.EventBatch) -> bytes:
        """A door's answer as bytes, to events given as bytes."""
        return await self.raw_bytes(door, batch.SerializeToString())

    async def raw_decide(self, batch: ingest_pb2.EventBatch) -> bytes:
        """The Decide door's answer as bytes."""
        return await self.raw("DecideEvents", batch)

    async def raw_bytes(self, door: str, request: bytes) -> bytes:
        """A door's answer as bytes, to any bytes."""
        answer: bytes = await self._channel.unary_unary(f"/{INGEST}/{door}")(request)
        return answer

    async def decision(self, event_id: str, tenant: str = TENANT) -> decision_pb2.Decision:
        """The decision on an event, once there is one."""
        from services.common.errors import NotFound

        async with asyncio.timeout(60):
            while True:
                try:
                    request = ingest_pb2.GetDecisionRequest(tenant=tenant, event_id=event_id)
                    return (await self.ingest.GetDecision(request)).decision
                except NotFound as error:
                    if error.reason != "DECISION_PENDING":
                        raise
                await asyncio.sleep(0.01)

    async def books(self, tenant: str = TENANT) -> ingest_pb2.Accounting:
        """The accounting of one tenant."""
        request = ingest_pb2.GetAccountingRequest(tenant=tenant)
        accounts = (await self.ingest.GetAccounting(request)).accounts
        return accounts[0] if accounts else ingest_pb2.Accounting(tenant=tenant, balanced=True)

    async def profile(self, user: str, tenant: str = TENANT) -> bytes:
        """Scoring's profile of a viewer as it is stored."""
        from services.ingest import receipts

        key = receipts.user_key(tenant, user)
        store = self.app._store
        found = await store.database.read(store.look_up, [], [key])
        return found.profiles[key].body if key in found.profiles else b""


def tiny_places(folder: Path) -> Path:
    """Places data that know one Tor exit and nothing else."""
    content = b"9.9.9.9\n"
    folder.mkdir(exist_ok=True)
    (folder / "tor.txt").write_bytes(content)
    file: dict[str, Any] = dict.fromkeys(("source", "licence", "attribution", "url"), "")
    file |= {"kind": "tor", "file": "tor.txt", "sha256": hashlib.sha256(content).hexdigest()}
    file |= {"date": "2026-11-01", "stale_after_days": 36_500}
    (folder / "places.json").write_text(json.dumps({"files": [file]}))
    return folder


def tiny_policy_set(folder: Path, content: bytes = b"rules: []\n") -> str:
    """Writes a set of one part; returns its id."""
    return write_policy_set(folder, [Part(policy_pb2.PART_KIND_SCORING_RULES, "outcomes", content)])


@contextlib.asynccontextmanager
async def running_ingest(
    url: str,
    mesh: FakeMesh,
    *,
    policy_set: str | None = None,
    socket: str = "ingest",
    client_timeout: float = 20.0,
    peer_timeout: float = 2.0,
    server: dict[str, Any] | None = None,
    places_dir: Path | None = None,
    places_on_error: Literal["refuse", "leave_out"] = "refuse",
    serving: bool = True,
    failed_keys: str | None = None,
    senders: dict[str, Any] | None = None,
    **pipeline: Any,
) -> AsyncIterator[Front]:
    """Ingest on a database, beside a mesh; `pipeline` are fields of PipelineSettings.

    With `serving` false it is not waited for, and called whatever its health says.
    Without `places_dir` hardly any address has a place: reading what is shipped takes half a second.
    """
    policy_dir = mesh.folder / "policy"
    address = f"unix:{mesh.folder}/{socket}.sock"
    settings = IngestSettings(
        server=ServerSettings(
            address=address, **{"drain_notice": 0.0, "drain_grace": 5.0, **_PATIENT, **(server or {})}
        ),
        database=DatabaseSettings(url=url),
        compliance=ClientSettings(mesh.target("compliance"), timeout=peer_timeout),
        scoring=ClientSettings(mesh.target("scoring"), timeout=peer_timeout),
        fraud=ClientSettings(mesh.target("fraud"), timeout=peer_timeout),
        alerts=ClientSettings(mesh.target("alerts"), timeout=peer_timeout),
        policy_dir=policy_dir,
        failed_keys=failed_keys,
        policy_set=tiny_policy_set(policy_dir) if policy_set is None else policy_set,
        places_dir=tiny_places(mesh.folder / "places") if places_dir is None else places_dir,
        places_on_error=places_on_error,
        pipeline=PipelineSettings(**{"enforcing_tenants": (TENANT,), "refresh_seconds": 0.2, **pipeline}),
        senders=SenderSettings(**(senders or {})),
        telemetry=TelemetrySettings(log_level="ERROR"),
    )
    telemetry = quiet_telemetry("ingest")
    async with Ingest(settings, telemetry) as app:
        running = start_server(
            settings.server,
            app.services,
            healthy=app.healthy,
            telemetry=telemetry,
            on_drain=app.drain,
            authorise=app.authorise,
        )
        await running.start()
        channel = connect(
            ClientSettings(f"unix:{mesh.folder}/{socket}.sock", timeout=client_timeout),
            telemetry=quiet_telemetry("client"),
            health=serving,
        )
        try:
            if serving:
                await running.wait_serving()
            yield Front(app, channel)
        finally:
            # The clients stay connected while the server drains.
            await running.drain()
            await channel.close()


def quiet_telemetry(name: str) -> Telemetry:
    """Telemetry of its own registry that logs errors only."""
    return Telemetry(name, TelemetrySettings(log_level="ERROR", sample_ratio=0.0), None)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60.0) -> None:
    """Waits for a condition; raises TimeoutError when it does not come true."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def violation_set(violations: Iterable[FieldViolation | event_pb2.FieldViolation]) -> set[tuple[str, str]]:
    """Field and reason of each violation."""
    return {(one.field, one.reason) for one in violations}


async def _always() -> None:
    return None
