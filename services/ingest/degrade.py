"""What to answer when a service is away. Pure.

`processing` fails closed: without compliance nothing beyond the service itself is permitted and an unknown age counts
as a minor's. `outcome` fails by the class of the event: watching and leaving stay open, what cannot be undone waits.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, cast

from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_OPEN = frozenset(
    {event_pb2.EVENT_CLASS_PLAYBACK, event_pb2.EVENT_CLASS_LOGOUT, event_pb2.EVENT_CLASS_RIGHTS}
)
SERVICE_NAMES: dict[int, str] = {
    decision_pb2.SERVICE_COMPLIANCE: "compliance",
    decision_pb2.SERVICE_SCORING: "scoring",
    decision_pb2.SERVICE_FRAUD: "fraud",
}


def outcome(event_class: int, known_device: bool) -> int:
    """The outcome of an event of that class while a service is away.

    Watching, leaving, exercising a right, and signing in on a known device: ALLOW_WITH_CAUTION. Everything else, an
    unknown type included: REVIEW.
    """
    if event_class in _OPEN or (event_class == event_pb2.EVENT_CLASS_LOGIN and known_device):
        return decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
    return decision_pb2.OUTCOME_REVIEW


@lru_cache(maxsize=512)
def overlay(degraded: frozenset[int], would_be: int, mode: int) -> bytes:
    """A serialised partial Decision that, appended to what scoring said (or to nothing), makes it degraded.

    Scalars of a later part win and repeated fields add up: this sets the outcome, and adds reasons and the review.
    """
    enforced = mode == decision_pb2.MODE_ENFORCE
    part = decision_pb2.Decision(
        would_be=cast(Any, would_be),
        mode=cast(Any, mode),
        outcome=cast(Any, would_be) if enforced else decision_pb2.OUTCOME_ALLOW,
    )
    for service in sorted(degraded):
        part.reasons.add(code=decision_pb2.REASON_CODE_DEGRADED, words=[SERVICE_NAMES[service]])
    if enforced and would_be >= decision_pb2.OUTCOME_REVIEW:
        part.actions.add(kind=decision_pb2.ACTION_KIND_REVIEW, enforced_by=decision_pb2.ENFORCED_BY_CALLER)
    if would_be > decision_pb2.OUTCOME_ALLOW:
        part.counterfactual.append(decision_pb2.REASON_CODE_DEGRADED)
    return part.SerializeToString()


def verdict_without_compliance() -> bytes:
    """The verdict while compliance is away: nothing evaluated, consent-based purposes suppressed, age as a minor's."""
    verdict = decision_pb2.Verdict()
    verdict.processing.add(
        purpose="*", state=decision_pb2.PROCESSING_STATE_SUPPRESS, rule="DEGRADED:compliance"
    )
    verdict.flags = (
        1 << decision_pb2.VERDICT_FLAG_SUPPRESS
        | 1 << decision_pb2.VERDICT_FLAG_AGE_UNKNOWN
        | 1 << decision_pb2.VERDICT_FLAG_MINOR
    )
    return verdict.SerializeToString()


def names(services: Collection[int]) -> list[str]:
    """Names of services, sorted."""
    return sorted(SERVICE_NAMES[service] for service in services)
