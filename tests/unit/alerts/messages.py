"""Messages for the tests of alerts."""

from __future__ import annotations

from typing import Any

from usher.alerts.v1 import alerts_pb2

NOON_MS = 1_795_348_800_000  # 2026-11-22T12:00:00Z
MINUTE_MS = 60_000
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def message(event_id: str = "e1", *, minutes: float = 0.0, **fields: Any) -> alerts_pb2.AlertMessage:
    """A valid message about user u1, `minutes` after noon."""
    values: dict[str, Any] = {
        "tenant": "acme",
        "event_id": event_id,
        "kind": "decision.block",
        "entity_kind": "user",
        "entity": "u1",
        "severity": alerts_pb2.SEVERITY_MEDIUM,
        "reasons": [101],
        "summary": "an export was stopped",
        "traceparent": TRACEPARENT,
        **fields,
    }
    built = alerts_pb2.AlertMessage(**values)
    built.event_time.FromMilliseconds(NOON_MS + round(minutes * MINUTE_MS))
    return built
