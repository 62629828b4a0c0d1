"""What to answer when a service is away. Pure.

`processing` fails closed: without compliance nothing beyond the service itself is permitted and an unknown age counts
as a minor's. `outcome` fails by the class of the event (services/common/degraded.py): watching and leaving stay open, what
cannot be undone waits.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, cast

from services.common.degraded import outcome
from usher.decision.v1 import decision_pb2

__all__ = ["SERVICE_NAMES", "names", "outcome", "overlay", "verdict_without_compliance"]

SERVICE_NAMES: dict[int, str] = {
    decision_pb2.SERVICE_COMPLIANCE: "compliance",
    decision_pb2.SERVICE_SCORING: "scoring",
    decision_pb2.SERVICE_FRAUD: "fraud",
}


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
