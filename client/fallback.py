"""What is answered, and by whom: a decision of Usher's, or the client's own word where there is none. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from services.common.degraded import outcome
from services.common.event_types import canonical, event_class
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

FALLBACK = "FALLBACK:client"
"""The reason of an answer that the client gave by itself."""
KNOWN_STRICTEST = decision_pb2.OUTCOME_BLOCK


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one event."""

    event_id: str
    outcome: int
    """usher.decision.v1.Outcome; one of a newer server counts as REVIEW."""
    decision: decision_pb2.Decision | None = None
    """Usher's decision. None: there is none yet (`reason`) or there will be none (`failure`); processing that needs consent
    must then be left out."""
    reason: str = ""
    """`FALLBACK:client` where the client answered by itself, else empty."""
    cause: str = ""
    """Why it did: the gRPC status or reason that it met ("DEADLINE_EXCEEDED", "BREAKER_OPEN", "QUEUE_FULL")."""
    failure: ingest_pb2.Failure | None = None
    """Why the event was not decided and will not be: it is not valid, or its id was used for another one."""

    @property
    def is_fallback(self) -> bool:
        """Whether Usher has not judged the event."""
        return self.decision is None


class KnownDevices:
    """The last (account, device) pairs that were let in: where a fallback may let them in again."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._pairs: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, user_id: str, device_id: str) -> None:
        """Notes that Usher let this account in on this device."""
        self._pairs[user_id, device_id] = None
        self._pairs.move_to_end((user_id, device_id))
        if len(self._pairs) > self._capacity:
            self._pairs.popitem(last=False)

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair in self._pairs


def fallback(event: event_pb2.Event, devices: KnownDevices, cause: str) -> Answer:
    """The client's own answer: by the event's class and whether its device was let in before, as ingest's when degraded."""
    known = (event.user_id, event.device_id) in devices
    return Answer(
        event.event_id,
        outcome(event_class(canonical(event.event_type)), known),
        reason=FALLBACK,
        cause=cause,
    )


def answer_of(event: event_pb2.Event, result: ingest_pb2.EventResult, devices: KnownDevices) -> Answer | None:
    """The answer that a result brings; None where the event was refused for the moment and has to be sent again."""
    if result.HasField("decision"):
        decision = result.decision
        told = decision.outcome if decision.outcome <= KNOWN_STRICTEST else decision_pb2.OUTCOME_REVIEW
        if told in (decision_pb2.OUTCOME_ALLOW, decision_pb2.OUTCOME_ALLOW_WITH_CAUTION):
            devices.note(event.user_id, event.device_id)
        return Answer(event.event_id, told, decision=decision)
    if result.status == ingest_pb2.EVENT_STATUS_REFUSED and result.failure.retry_after_ms:
        return None
    own = fallback(event, devices, result.failure.reason)
    return Answer(own.event_id, own.outcome, cause=own.cause, failure=result.failure)
