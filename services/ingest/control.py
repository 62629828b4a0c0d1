"""The control group: a few acts that would be held up are let through with caution, to see what they were."""

from __future__ import annotations

from services.common.feedback_policy import FeedbackPolicy
from services.ingest.items import IMPORT, OLD, SUPPRESSED, Item
from services.ingest.store_control import HOUR_MS, ControlStore
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_FORBIDS_ACT = 1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT


class Cap:
    """Hands out the places that the hour under way has for a tenant, counted in the database over all processes.

    A process asks only while it does not know the hour to be full; an act is drawn seldom, so this is no part of what most
    batches wait for.
    """

    def __init__(self, store: ControlStore) -> None:
        self._store = store
        self._full: dict[str, tuple[int, int]] = {}
        """Tenant -> hour, and how many places it had when none was left."""

    async def take(self, tenant: str, wanted: int, most: int, now_ms: int) -> int:
        """How many of the places wanted are there, which then are taken. Raises what the database raises."""
        hour = now_ms // HOUR_MS
        if not wanted or self._full.get(tenant) == (hour, most):
            return 0
        granted = await self._store.database.run(self._store.take, tenant, wanted, most, hour)
        if granted < wanted:
            self._full = {name: full for name, full in self._full.items() if full[0] == hour}
            self._full[tenant] = hour, most
        return granted


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
