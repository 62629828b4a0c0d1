"""The control group: a few acts that would be held up are let through with caution, to see what they were. Pure."""

from __future__ import annotations

from services.common.feedback_policy import FeedbackPolicy
from services.ingest.items import IMPORT, OLD, SUPPRESSED, Item
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_HOUR_MS = 3_600_000
_FORBIDS_ACT = 1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT
_MOST_TENANTS = 10_000


class HourlyCap:
    """How many acts each tenant had let through in the hour under way; bounded."""

    def __init__(self) -> None:
        self._hour = 0
        self._taken: dict[str, int] = {}

    def take(self, tenant: str, most: int, now_ms: int) -> bool:
        """Whether there is room for one more, which is then counted."""
        hour = now_ms // _HOUR_MS
        if hour != self._hour:
            self._hour, self._taken = hour, {}
        taken = self._taken.get(tenant, 0)
        if taken >= most or (not taken and len(self._taken) >= _MOST_TENANTS):
            return False
        self._taken[tenant] = taken + 1
        return True


def is_drawn(policy: FeedbackPolicy, item: Item, outcome: int, mode: int, verdict_flags: int) -> bool:
    """Whether an act that scoring holds up belongs to the control group, the hour's cap apart.

    Never what the law forbids, nor what is old, imported or not to be processed; a replay of a failed event is decided for
    its books alone.
    """
    return (
        outcome >= decision_pb2.OUTCOME_REVIEW
        and mode == decision_pb2.MODE_ENFORCE
        and bool(policy.control_classes >> item.event_class & 1)
        and not item.flags & (OLD | IMPORT | SUPPRESSED)
        and not item.replay_of
        and not verdict_flags & _FORBIDS_ACT
        and policy.in_control_group(item.tenant, item.event_id)
        and event_pb2.Event.FromString(item.payload).data_volume_bytes <= policy.control_bytes
    )


def let_through(part: bytes) -> tuple[bytes, int]:
    """Scoring's part of the decision with caution as its outcome; what enforcing would answer stays in `would_be`.

    Its actions go: they would hold up what is let through, and tell people what they are to judge without knowing.
    """
    decision = decision_pb2.Decision.FromString(part)
    decision.outcome = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
    del decision.actions[:]
    reasons = [decision_pb2.Reason(code=decision_pb2.REASON_CODE_CONTROL_GROUP), *decision.reasons]
    del decision.reasons[:]
    decision.reasons.extend(reasons)
    return decision.SerializeToString(), decision.outcome
