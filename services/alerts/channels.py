"""Where people are told. Each channel takes one telling at a time and raises when it could not pass it on.

At least once: a crash after a delivery and before its record repeats it, with the same telling_id, by which a
reader knows it again.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import NamedTuple, Protocol

from services.alerts.grouping import ESCALATED
from usher.alerts.v1 import alerts_pb2

_IMPERSONAL = frozenset({"service", "ring", "policy_set"})
"""Kinds of entity that name no person and may be logged as they are."""
_DIGEST_CHARS = 16


class Delivery(NamedTuple):
    """One telling on its way through one channel."""

    delivery_id: int
    """The row's number: deliveries of a channel go out in this order."""
    telling_id: str
    channel: str
    change: str
    """"opened" or "escalated"."""
    severity: int
    traceparent: str
    attempts: int
    """Tries before this one."""
    alert: alerts_pb2.Alert
    """As it stands now; its count may have grown since."""


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """Lower case; kept with each delivery, so it never changes."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Passes the telling on. Raises when it could not; it is tried again later."""
        ...


class LogChannel:
    """One JSON log line a telling, for whoever collects the logs. Names no person: users appear as a keyed hash."""

    name = "log"

    def __init__(self, logger: logging.Logger, key: bytes) -> None:
        """`key` is of the hash: with the same key the same user has the same hash in every line."""
        self._logger = logger
        self._key = key

    async def deliver(self, delivery: Delivery) -> None:
        alert = delivery.alert
        level = logging.WARNING if delivery.severity >= alerts_pb2.SEVERITY_HIGH else logging.INFO
        text = "alert became graver" if delivery.change == ESCALATED else "alert opened"
        self._logger.log(
            level,
            text,
            extra={
                "telling_id": delivery.telling_id,
                "alert_id": alert.alert_id,
                "change": delivery.change,
                "tenant": alert.tenant,
                "kind": alert.kind,
                "entity_kind": alert.entity_kind,
                "entity": self._entity(alert),
                "severity": alerts_pb2.Severity.Name(delivery.severity).removeprefix("SEVERITY_").lower(),
                "count": alert.count,
                "first_time": alert.first_time.ToJsonString(),
                "last_time": alert.last_time.ToJsonString(),
                "reasons": list(alert.reasons),
                "summary": alert.summary,
            },
        )

    def _entity(self, alert: alerts_pb2.Alert) -> str:
        if alert.entity_kind in _IMPERSONAL:
            return alert.entity
        subject = f"{alert.tenant}\0{alert.entity_kind}\0{alert.entity}".encode()
        return "hmac:" + hmac.new(self._key, subject, hashlib.sha256).hexdigest()[:_DIGEST_CHARS]
