"""Who sends: the keys of senders, what each may do, and how often.

A call that shows a key is judged by it, whatever the connection. A call without one passes where keys are not required,
and always for the operator and for the gateway over mutual TLS, which answer for themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Any

from prometheus_client import Counter

from services.common.clock import Clock
from services.common.errors import (
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    UsherError,
)
from services.common.interceptors import caller_identity
from services.common.rates import Rate, Rates
from services.common.telemetry import Telemetry
from services.ingest import keys
from services.ingest.keys import KeyRow
from services.ingest.settings import SenderSettings
from services.ingest.store_keys import KeyStore
from usher.ingest.v1 import keys_pb2

_PACKAGE = "/usher.ingest.v1."
_SERVICE = _PACKAGE + "IngestService/"
_FLOW = _PACKAGE + "FlowService/"
_ENFORCEMENT = _PACKAGE + "EnforcementService/"
SUBMIT, DECIDE = _SERVICE + "SubmitEvents", _SERVICE + "DecideEvents"
RIGHTS: dict[str, int] = {
    SUBMIT: keys_pb2.KEY_RIGHT_SUBMIT,
    DECIDE: keys_pb2.KEY_RIGHT_DECIDE,
    _SERVICE + "GetDecision": keys_pb2.KEY_RIGHT_READ,
    _SERVICE + "ListDecisions": keys_pb2.KEY_RIGHT_READ,
    _SERVICE + "WatchDecisions": keys_pb2.KEY_RIGHT_READ,
    _SERVICE + "GetAccounting": keys_pb2.KEY_RIGHT_READ,
    _FLOW + "AckDecisions": keys_pb2.KEY_RIGHT_READ,
    # Who asks for decisions tells what became of them.
    _ENFORCEMENT + "ReportEnforcement": keys_pb2.KEY_RIGHT_DECIDE,
    _ENFORCEMENT + "ListEnforcements": keys_pb2.KEY_RIGHT_READ,
    # Who brings events tells what is known of accounts, what turned out, and how bringing them goes.
    _PACKAGE + "AccountService/RecordAccounts": keys_pb2.KEY_RIGHT_SUBMIT,
    _PACKAGE + "LabelService/RecordLabels": keys_pb2.KEY_RIGHT_SUBMIT,
    _FLOW + "ReportSource": keys_pb2.KEY_RIGHT_SUBMIT,
}
"""Methods that a key opens, and the right that each needs. No key opens any other."""

_DOORS = frozenset({SUBMIT, DECIDE})
_ANSWER_FOR_THEMSELVES = frozenset({"operator", "gateway"})
_KNOWN_S = 4.0
_MOST_KNOWN = 10_000
_USED_EVERY_MS = 60_000
_FLUSH_S = 5.0
_MINUTE = 60.0


class Senders:
    """Judges calls. `authorise` is the server's hook; the two doors call `admit` themselves, once they know their events."""

    def __init__(
        self, store: KeyStore, rates: Rates, settings: SenderSettings, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._store = store
        self._rates = rates
        self._settings = settings
        self._quotas = settings.quotas()
        self._clock = clock
        self._log = telemetry.logger("senders")
        self._known: OrderedDict[str, tuple[float, KeyRow | None]] = OrderedDict()
        self._used: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._refused = Counter(
            "usher_calls_refused", "Calls refused at the door.", ("reason",), registry=telemetry.registry
        )

    async def authorise(self, method: str, request: Any, context: Any) -> None:
        """Judges a call of any method but the doors'.

        Raises Unauthenticated, PermissionDenied, ResourceExhausted as `admit` does; PermissionDenied (KEY_METHOD) for a
        key on a method that no key opens.
        """
        if method in _DOORS:
            return
        if method not in RIGHTS:
            if _presented(context) is not None:
                self._refused.labels("KEY_METHOD").inc()
                raise PermissionDenied("KEY_METHOD", "no API key opens this method")
            return
        report = getattr(request, "report", None)
        await self.admit(method, context, request.tenant if report is None else report.tenant, 0)

    async def admit(self, method: str, context: Any, tenant: str, events: int) -> None:
        """Judges a call for a tenant that brings so many events.

        Raises:
            Unauthenticated: KEY_MISSING, KEY_INVALID, KEY_ENDED.
            PermissionDenied: KEY_TENANT, KEY_RIGHT.
            ResourceExhausted: RATE_EXCEEDED (requests of the key), QUOTA_EXCEEDED (events of the tenant), with a delay.
        """
        try:
            await self._admit(method, context, tenant, events)
        except UsherError as error:
            self._refused.labels(error.reason).inc()
            raise

    async def _admit(self, method: str, context: Any, tenant: str, events: int) -> None:
        text = _presented(context)
        if text is not None:
            row = await self._judge(text)
            await self._pace(row)
            keys.require(row, RIGHTS[method], tenant)
        elif self._settings.keys_required and caller_identity() not in _ANSWER_FOR_THEMSELVES:
            raise Unauthenticated(
                "KEY_MISSING", "send an API key as x-api-key; `usher keys create` makes one"
            )
        quota = self._quotas.get(tenant, self._quotas.get("")) if events else None
        if quota is not None:
            wait = await self._rates.take(f"quota:{tenant}", quota, events)
            if wait:
                raise ResourceExhausted(
                    "QUOTA_EXCEEDED",
                    f"the tenant's quota is {quota.number} events in {quota.seconds:g} s",
                    metadata={"limit": str(quota.number), "seconds": f"{quota.seconds:g}"},
                    retry_after=wait,
                )

    async def _judge(self, text: str) -> KeyRow:
        key_id, digest = keys.taken_apart(text)
        now_ms = self._clock.now_ms()
        row = keys.judge(await self._find(key_id), digest, now_ms)
        if now_ms - self._noted.get(key_id, row.last_used_ms) >= _USED_EVERY_MS:
            self._used[key_id] = self._noted[key_id] = now_ms
        return row

    async def _find(self, key_id: str) -> KeyRow | None:
        known = self._known.get(key_id)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        row = await self._store.database.read(self._store.find, key_id)
        self._known[key_id] = (time.monotonic() + _KNOWN_S, row)
        self._known.move_to_end(key_id)
        while len(self._known) > _MOST_KNOWN:
            gone, _ = self._known.popitem(last=False)
            self._noted.pop(gone, None)
        return row

    async def _pace(self, row: KeyRow) -> None:
        number = row.requests_per_minute or self._settings.requests_per_minute
        wait = await self._rates.take(f"key:{row.key_id}", Rate(number, _MINUTE))
        if wait:
            raise ResourceExhausted(
                "RATE_EXCEEDED",
                f"the key has {number} requests a minute; send more events a call, or wait",
                metadata={"limit": str(number)},
                retry_after=wait,
            )

    def forget(self, key_id: str) -> None:
        """Looks a key up anew: it was changed here."""
        self._known.pop(key_id, None)

    async def run(self) -> None:
        """Notes when keys were used, for ever."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Writes when keys were used."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.database.run(self._store.note_used, used)
        except UsherError as error:
            # A note for people; the next use writes it again.
            for key_id in used:
                self._noted.pop(key_id, None)
            self._log.warning("the use of keys could not be noted", extra={"reason": error.reason})


def _presented(context: Any) -> str | None:
    """The key that a call shows; None where it shows none. Raises Unauthenticated where it shows two different ones."""
    found: set[str] = set()
    for name, value in context.invocation_metadata() or ():
        if not isinstance(value, str):
            continue
        if name == "x-api-key":
            found.add(value.strip())
        elif name == "authorization":
            scheme, _, rest = value.strip().partition(" ")
            if scheme.lower() == "bearer" and rest.strip().startswith(keys.PREFIX):
                found.add(rest.strip())
    if len(found) > 1:
        raise keys.invalid()
    return found.pop() if found else None
