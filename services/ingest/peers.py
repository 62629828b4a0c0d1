"""The services that ingest asks, and what it does when one is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import grpc

from services.common.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    PolicySetUnknown,
    StateBehind,
    UsherError,
)
from services.common.policy_sets import LOAD
from services.common.telemetry import Telemetry
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import compliance_pb2
from usher.fraud.v1 import fraud_pb2
from usher.policy.v1 import policy_pb2
from usher.scoring.v1 import scoring_pb2

T = TypeVar("T")

EVALUATE = "/usher.compliance.v1.ComplianceService/EvaluateEvents"
ASSESS = "/usher.fraud.v1.FraudService/AssessEvents"
RESTORE = "/usher.fraud.v1.FraudService/Restore"
OUTCOMES = "/usher.fraud.v1.FraudService/RecordOutcomes"
DECIDE = "/usher.scoring.v1.ScoringService/DecideEvents"
DESCRIBE = "/usher.scoring.v1.ScoringService/DescribeProfile"
RAISE = "/usher.alerts.v1.AlertsService/RaiseAlerts"

_PATIENT_S = 10.0
_POLICY_TRIES = 20
_POLICY_WAIT_S = 0.1


class AwayError(Exception):
    """A service did not answer in time or at all; decide without it."""


class RefusedBatchError(Exception):
    """A service answers, and cannot answer this batch: a defect that one of its events meets, or a contract that differs."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


class Peer:
    """One service, with a breaker: after it timed out, calls are skipped for a while, then one is let through."""

    def __init__(self, name: str, timeout: float, breaker_seconds: float, telemetry: Telemetry) -> None:
        self.name = name
        self._timeout = timeout
        self._breaker_seconds = breaker_seconds
        self._closed_until = 0.0
        self._log = telemetry.logger("peers")
        self._answered = 0.0
        self.away_since_ms: int | None = None

    def timeout(self, wanted: float | None, *, patient: bool = False) -> float:
        """Seconds for a call: the service's own, or less where its callers have less.

        Where no viewer waits (`patient`) a service that was slow is better waited for than done without; once it counts as
        away, it is not.
        """
        own = max(self._timeout, _PATIENT_S) if patient and self.away_since_ms is None else self._timeout
        return own if wanted is None else min(own, wanted)

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Awaits a call.

        Raises:
            AwayError: the service is unreachable, too slow or overloaded.
            RefusedBatchError: it answers, and not this.
            StateBehind: as it came.
        """
        if time.monotonic() < self._closed_until:
            raise AwayError(self.name)
        for attempt in range(_POLICY_TRIES):
            try:
                answer = await call()
            except PolicySetUnknown:
                # It is loading the set; a model takes a few tenths of a second.
                if attempt == _POLICY_TRIES - 1:
                    self._gone("it does not load the policy set")
                await asyncio.sleep(_POLICY_WAIT_S)
            except StateBehind:
                raise
            except DeadlineExceeded as error:
                self._closed_until = time.monotonic() + self._breaker_seconds
                self._gone(error.reason)
            except (Internal, InvalidArgument) as error:
                raise RefusedBatchError(self.name, error.reason) from error
            except UsherError as error:
                # Unreachable or overloaded, or its policy set is broken: to the viewer at the door it comes to the same,
                # and the log says which.
                self._gone(error.reason)
            else:
                self._answered = time.monotonic()
                if self.away_since_ms is not None:
                    self._log.warning("a service answers again", extra={"peer": self.name})
                    self.away_since_ms = None
                return answer
        raise AssertionError("unreachable")

    def answered_since(self, moment: float) -> bool:
        """Whether it has answered anything since then (time.monotonic())."""
        return self._answered > moment

    def skip(self, reason: str) -> None:
        """Lets calls be skipped for a while, as after a time-out: whatever it is asked, it refuses."""
        self._closed_until = time.monotonic() + self._breaker_seconds
        with contextlib.suppress(AwayError):
            self._gone(reason)

    def _gone(self, reason: str) -> None:
        if self.away_since_ms is None:
            self.away_since_ms = time.time_ns() // 1_000_000
            self._log.warning(
                "a service is away; deciding without it", extra={"peer": self.name, "reason": reason}
            )
        raise AwayError(self.name)


class Peers:
    """The four services."""

    def __init__(
        self,
        compliance: grpc.aio.Channel,
        scoring: grpc.aio.Channel,
        fraud: grpc.aio.Channel,
        alerts: grpc.aio.Channel,
        *,
        timeouts: tuple[float, float, float],
        breaker_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        """`timeouts` are those of compliance, scoring and fraud, seconds."""
        self.compliance, self.scoring, self.fraud = (
            Peer(name, seconds, breaker_seconds, telemetry)
            for name, seconds in zip(("compliance", "scoring", "fraud"), timeouts, strict=True)
        )
        self._evaluate = _method(
            compliance, EVALUATE, compliance_pb2.EvaluateEventsRequest, compliance_pb2.EvaluateEventsResponse
        )
        self._assess = _method(fraud, ASSESS, fraud_pb2.AssessEventsRequest, fraud_pb2.AssessEventsResponse)
        self._restore = _method(fraud, RESTORE, fraud_pb2.RestoreRequest, fraud_pb2.RestoreResponse)
        self._outcomes = _method(
            fraud, OUTCOMES, fraud_pb2.RecordOutcomesRequest, fraud_pb2.RecordOutcomesResponse
        )
        self._decide = _method(
            scoring, DECIDE, scoring_pb2.DecideEventsRequest, scoring_pb2.DecideEventsResponse
        )
        self._describe = _method(
            scoring, DESCRIBE, scoring_pb2.DescribeProfileRequest, scoring_pb2.DescribeProfileResponse
        )
        self._load = {
            name: _method(channel, LOAD, policy_pb2.LoadPolicySetRequest, policy_pb2.LoadPolicySetResponse)
            for name, channel in (("compliance", compliance), ("fraud", fraud), ("scoring", scoring))
        }
        self._channels = (compliance, scoring, fraud)
        self._raise = _method(alerts, RAISE, alerts_pb2.RaiseAlertsRequest, alerts_pb2.RaiseAlertsResponse)

    async def reached(self, seconds: float) -> bool:
        """Returns once the services that are asked about events can be, or after so long; whether all of them can."""
        ready = [asyncio.ensure_future(channel.channel_ready()) for channel in self._channels]
        _, waiting = await asyncio.wait(ready, timeout=seconds)
        for one in waiting:
            one.cancel()
        return not waiting

    def named(self, name: str) -> Peer:
        """A service by its name."""
        return {peer.name: peer for peer in (self.compliance, self.scoring, self.fraud)}[name]

    async def evaluate(self, request: Any, timeout: float | None = None, *, patient: bool = False) -> Any:
        """compliance.EvaluateEvents. Raises AwayError."""
        seconds = self.compliance.timeout(timeout, patient=patient)
        return await self.compliance.ask(lambda: self._evaluate(request, timeout=seconds))

    async def assess(self, request: Any, timeout: float | None = None, *, patient: bool = False) -> Any:
        """fraud.AssessEvents. Raises AwayError, StateBehind."""
        seconds = self.fraud.timeout(timeout, patient=patient)
        return await self.fraud.ask(lambda: self._assess(request, timeout=seconds))

    async def restore(self, request: Any, timeout: float | None = None) -> Any:
        """fraud.Restore. Raises AwayError."""
        seconds = self.fraud.timeout(timeout)
        return await self.fraud.ask(lambda: self._restore(request, timeout=seconds))

    async def decide(self, request: Any, timeout: float | None = None, *, patient: bool = False) -> Any:
        """scoring.DecideEvents. Raises AwayError."""
        seconds = self.scoring.timeout(timeout, patient=patient)
        return await self.scoring.ask(lambda: self._decide(request, timeout=seconds))

    async def describe(self, request: Any) -> Any:
        """scoring.DescribeProfile. Raises AwayError."""
        return await self.scoring.ask(lambda: self._describe(request, timeout=self.scoring.timeout(None)))

    async def load_policy_set(self, policy_set: str, seconds: float) -> dict[str, UsherError]:
        """Has the services load a set before anything is decided under it, for at most so long.

        Returns those that could not, by name, with the reason. Compiling the packs or a model takes longer than a batch may.
        """
        request = policy_pb2.LoadPolicySetRequest(policy_set=policy_set)
        failures = await asyncio.gather(
            *(_failure(partial(call, request, timeout=seconds)) for call in self._load.values())
        )
        return {
            name: failure for name, failure in zip(self._load, failures, strict=True) if failure is not None
        }

    async def record_outcomes(self, request: Any) -> Any:
        """fraud.RecordOutcomes. Raises the typed errors."""
        return await self._outcomes(request)

    async def raise_alerts(self, request: Any) -> Any:
        """alerts.RaiseAlerts. Raises the typed errors."""
        return await self._raise(request)


async def _failure(call: Callable[[], Awaitable[object]]) -> UsherError | None:
    for attempt in range(_POLICY_TRIES):
        try:
            await call()
        except PolicySetUnknown as error:
            # Its copy of the store may be a moment behind.
            if attempt == _POLICY_TRIES - 1:
                return error
            await asyncio.sleep(_POLICY_WAIT_S)
        except UsherError as error:
            return error
        else:
            return None
    raise AssertionError("unreachable")


def _method(channel: grpc.aio.Channel, path: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(
        path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )
