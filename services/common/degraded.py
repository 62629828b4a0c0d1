"""What an event may do when nobody can judge it, by its class: a service is away from ingest, or ingest from a client."""

from __future__ import annotations

from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_OPEN = frozenset(
    {event_pb2.EVENT_CLASS_PLAYBACK, event_pb2.EVENT_CLASS_LOGOUT, event_pb2.EVENT_CLASS_RIGHTS}
)


def outcome(event_class: int, known_device: bool) -> int:
    """The outcome (usher.decision.v1.Outcome) of an event of that class without a judgement.

    Watching, leaving, exercising a right, and signing in on a known device: ALLOW_WITH_CAUTION. Everything else, an
    unknown type included: REVIEW, so that nothing that cannot be undone goes through unseen.
    """
    if event_class in _OPEN or (event_class == event_pb2.EVENT_CLASS_LOGIN and known_device):
        return decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
    return decision_pb2.OUTCOME_REVIEW
