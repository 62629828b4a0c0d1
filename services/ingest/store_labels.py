"""Rows of labels: appended in order of position, never changed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.ingest import labels, receipts, tables
from services.ingest.records import ERASED
from services.ingest.store import Store
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import labels_pb2

_ERASED = labels_pb2.LabelResult(
    status=labels_pb2.LABEL_STATUS_INVALID,
    error="subject: ERASED: the event was erased at the viewer's request",
)


class LabelStore:
    """The rows of labels, beside `Store`, in the same database. Methods block and run in the database's threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.database = store.database

    def record(
        self, tenant: str, new: Sequence[labels_pb2.Label], now_ms: int
    ) -> list[labels_pb2.LabelResult]:
        """Records valid labels; one result each, in order."""
        c = tables.labels.c
        results = []
        with self.database.begin() as connection:
            # The head row's lock also makes two calls with the same label take turns.
            position = self._store.give_position(connection, len(new))
            ids = [label.label_id for label in new]
            known = {
                row.label_id: (row.position, bytes(row.body))
                for row in connection.execute(
                    sa.select(c.label_id, c.position, c.body).where(c.tenant == tenant, c.label_id.in_(ids))
                )
            }
            erased = self._erased(connection, tenant, new)
            rows = []
            for label in new:
                if label.subject_kind == labels_pb2.LABEL_SUBJECT_EVENT and label.subject in erased:
                    results.append(_ERASED)
                    continue
                body = labels.stripped(label).SerializeToString(deterministic=True)
                before = known.get(label.label_id)
                if before is not None:
                    results.append(_repeat(before, body))
                    continue
                known[label.label_id] = (position, body)
                mature = label.mature_time if label.HasField("mature_time") else label.label_time
                rows.append(
                    {
                        "position": position,
                        "tenant": tenant,
                        "label_id": label.label_id,
                        "subject_kind": label.subject_kind,
                        "subject": label.subject,
                        "kind": label.kind,
                        "mature_ms": mature.ToMilliseconds(),
                        "recorded_ms": now_ms,
                        "body": body,
                    }
                )
                results.append(
                    labels_pb2.LabelResult(status=labels_pb2.LABEL_STATUS_RECORDED, position=position)
                )
                position += 1
            if rows:
                connection.execute(sa.insert(tables.labels), rows)
        return results

    @staticmethod
    def _erased(connection: sa.Connection, tenant: str, new: Sequence[labels_pb2.Label]) -> set[str]:
        """Events that were erased: a label that was under way meanwhile must not bring their names back."""
        r = tables.receipts.c
        events = {
            receipts.event_key(tenant, label.subject): label.subject
            for label in new
            if label.subject_kind == labels_pb2.LABEL_SUBJECT_EVENT
        }
        keys, found = list(events), set[str]()
        for start in range(0, len(keys), 500):
            query = sa.select(r.key).where(r.key.in_(keys[start : start + 500]), r.position == ERASED)
            found.update(events[bytes(key)] for key in connection.execute(query).scalars())
        return found

    def list_labels(
        self,
        tenant: str,
        after: int,
        limit: int,
        *,
        kinds: Sequence[int] = (),
        mature_by_ms: int | None = None,
        subject_kind: int = 0,
        subject: str = "",
    ) -> list[labels_pb2.Label]:
        """Labels after a position, in order."""
        c = tables.labels.c
        query = sa.select(c.position, c.recorded_ms, c.body).where(c.tenant == tenant, c.position > after)
        if kinds:
            query = query.where(c.kind.in_(list(kinds)))
        if mature_by_ms is not None:
            query = query.where(c.mature_ms <= mature_by_ms)
        if subject_kind:
            query = query.where(c.subject_kind == subject_kind)
        if subject:
            query = query.where(c.subject == subject)
        found = []
        with self.database.reading() as connection:
            for row in connection.execute(query.order_by(c.position).limit(limit)):
                label = labels_pb2.Label.FromString(bytes(row.body))
                label.position = row.position
                label.recorded_time.FromMilliseconds(row.recorded_ms)
                found.append(label)
        return found

    def outcomes_after(self, after: int, limit: int) -> tuple[list[fraud_pb2.Outcome], int]:
        """What labels of all tenants after a position say of accounts and rings, and the position read through.

        A label on an event is one on its account; one whose event was erased says nothing any more.
        """
        c = tables.labels.c
        query = (
            sa.select(c.tenant, c.position, c.body)
            .where(c.position > after)
            .order_by(c.position)
            .limit(limit)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            label = labels_pb2.Label.FromString(bytes(row.body))
            outcome = labels.outcome_of(row.tenant, label, row.position)
            if outcome is None:
                continue
            if outcome.event_id:
                decided = self._store.find(receipts.event_key(row.tenant, outcome.event_id))
                if decided is None:
                    continue
                outcome.user_id = event_pb2.Event.FromString(decided[2]).user_id
            found.append(outcome)
        return found, rows[-1].position if rows else after


def _repeat(before: tuple[int, bytes], body: bytes) -> labels_pb2.LabelResult:
    position, known = before
    if known == body:
        return labels_pb2.LabelResult(status=labels_pb2.LABEL_STATUS_DUPLICATE, position=position)
    return labels_pb2.LabelResult(
        status=labels_pb2.LABEL_STATUS_CONFLICT,
        error="label_id: LABEL_ID_REUSED: another label has this id; report a correction under a new one",
    )
