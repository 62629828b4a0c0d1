"""Rows of confirmations: appended in order of position, never changed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.ingest import enforcement, receipts, tables
from services.ingest.store import Store
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2

_Key = tuple[bytes, int, str, str]


class EnforcementStore:
    """The rows of confirmations, beside `Store`, in the same database. Methods block and run in the database's threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.database = store.database

    def record(
        self, tenant: str, new: Sequence[enforcement_pb2.Enforcement], now_ms: int
    ) -> list[enforcement_pb2.EnforcementOutcome]:
        """Records well-formed confirmations of decided events; one outcome each, in order."""
        decisions: dict[bytes, decision_pb2.Decision | None] = {}
        for event_key in dict.fromkeys(receipts.event_key(tenant, one.event_id) for one in new):
            found = self._store.find(event_key)
            decisions[event_key] = None if found is None else decision_pb2.Decision.FromString(found[1])
        c = tables.enforcements.c
        outcomes = []
        with self.database.begin() as connection:
            # The head row's lock also makes two calls with the same confirmation take turns.
            position = self._store.give_position(connection, len(new))
            known: dict[_Key, bytes] = {
                (bytes(row.event_key), row.action, row.purpose, row.component): bytes(row.body)
                for row in connection.execute(
                    sa.select(c.event_key, c.action, c.purpose, c.component, c.body).where(
                        c.event_key.in_(list(decisions))
                    )
                )
            }
            rows = []
            for one in new:
                event_key = receipts.event_key(tenant, one.event_id)
                decision = decisions[event_key]
                if decision is None:
                    outcomes.append(
                        _outcome("UNKNOWN", "event_id: DECISION_UNKNOWN: no such event was decided")
                    )
                    continue
                if not enforcement.is_asked(one, decision):
                    outcomes.append(
                        _outcome("NOT_ASKED", "action: NOT_ASKED: the decision does not ask for this")
                    )
                    continue
                key = (event_key, int(one.action), one.purpose, one.component)
                body = enforcement.stripped(one).SerializeToString(deterministic=True)
                before = known.get(key)
                if before is not None:
                    outcomes.append(
                        _outcome("DUPLICATE")
                        if before == body
                        else _outcome(
                            "CONFLICT",
                            "component: SAID_OTHERWISE: it said something else of this action before",
                        )
                    )
                    continue
                known[key] = body
                rows.append(
                    {
                        "position": position,
                        "tenant": tenant,
                        "event_key": event_key,
                        "action": int(one.action),
                        "purpose": one.purpose,
                        "component": one.component,
                        "recorded_ms": now_ms,
                        "body": body,
                    }
                )
                outcomes.append(_outcome("RECORDED"))
                position += 1
            if rows:
                connection.execute(sa.insert(tables.enforcements), rows)
        return outcomes

    def list_enforcements(
        self, tenant: str, event_ids: Sequence[str], after: int, limit: int
    ) -> list[tuple[int, enforcement_pb2.Enforcement]]:
        """(position, confirmation) after a position, in order; of some events where some are given."""
        c = tables.enforcements.c
        query = sa.select(c.position, c.recorded_ms, c.body).where(c.tenant == tenant, c.position > after)
        if event_ids:
            query = query.where(c.event_key.in_([receipts.event_key(tenant, one) for one in event_ids]))
        found = []
        with self.database.reading() as connection:
            for row in connection.execute(query.order_by(c.position).limit(limit)):
                one = enforcement_pb2.Enforcement.FromString(bytes(row.body))
                one.recorded_time.FromMilliseconds(row.recorded_ms)
                found.append((row.position, one))
        return found


def _outcome(status: str, error: str = "") -> enforcement_pb2.EnforcementOutcome:
    # Checked at run time: the names are all in this module.
    return enforcement_pb2.EnforcementOutcome(status=f"ENFORCEMENT_STATUS_{status}", error=error)
