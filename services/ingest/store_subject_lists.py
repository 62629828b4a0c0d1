"""Lists, labels and confirmations of one viewer, for `store_subject`.

Labels about the viewer or their events go, and so do confirmations of what was done with these. A list entry about the
viewer ends, so that every process drops its copy, and its row keeps nothing but its id. Entries about an address lose
the viewer's name and event, and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict

from services.common.subject_data import Subject
from services.ingest import receipts, tables
from services.ingest.store import Store
from usher.ingest.v1 import enforcement_pb2, labels_pb2, lists_pb2

_MANY = 500


def export(store: Store, subject: Subject, event_ids: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows by store; who set them is not told."""
    found: dict[str, list[dict[str, Any]]] = {}
    with store.database.reading() as connection:
        for _, body in _labels(connection, subject, event_ids):
            label = labels_pb2.Label.FromString(body)
            label.ClearField("actor")
            found.setdefault("labels", []).append(MessageToDict(label, preserving_proto_field_name=True))
        for _, body in _enforcements(connection, subject, event_ids):
            told = enforcement_pb2.Enforcement.FromString(body)
            found.setdefault("enforcements", []).append(MessageToDict(told, preserving_proto_field_name=True))
        for _, body in _entries(connection, subject):
            entry = lists_pb2.ListEntry.FromString(body)
            entry.ClearField("actor")
            entry.ClearField("lifted_by")
            found.setdefault("list_entries", []).append(
                MessageToDict(entry, preserving_proto_field_name=True)
            )
    return found


def count(store: Store, subject: Subject, event_ids: frozenset[str]) -> dict[str, int]:
    """Rows by store."""
    with store.database.reading() as connection:
        return {
            "labels": 0 if subject.keeps_all("labels") else len(_labels(connection, subject, event_ids)),
            "enforcements": 0
            if subject.keeps_all("enforcements")
            else len(_enforcements(connection, subject, event_ids)),
            "list_entries": 0
            if subject.keeps_all("list_entries")
            else len(_entries(connection, subject)) + len(_naming(connection, subject, event_ids)),
        }


def erase(store: Store, subject: Subject, event_ids: frozenset[str], now_ms: int) -> dict[str, int]:
    """Erases in one transaction; returns rows by store."""
    done: dict[str, int] = {}
    e = tables.list_entries
    with store.database.begin() as connection:
        if not subject.keeps_all("labels"):
            labels = _labels(connection, subject, event_ids)
            for some in _pieces([position for position, _ in labels]):
                connection.execute(sa.delete(tables.labels).where(tables.labels.c.position.in_(some)))
            done["labels"] = len(labels)
        if not subject.keeps_all("enforcements"):
            told = _enforcements(connection, subject, event_ids)
            for some in _pieces([position for position, _ in told]):
                connection.execute(
                    sa.delete(tables.enforcements).where(tables.enforcements.c.position.in_(some))
                )
            done["enforcements"] = len(told)
        entries = [] if subject.keeps_all("list_entries") else _entries(connection, subject)
        if entries:
            position = store.give_position(connection)
            for row_id, body in entries:
                entry = lists_pb2.ListEntry.FromString(body)
                left = lists_pb2.ListEntry(
                    entry_id=entry.entry_id, kind=entry.kind, entity_kind=entry.entity_kind
                )
                left.lifted_time.FromMilliseconds(now_ms)
                connection.execute(
                    sa.update(e)
                    .where(e.c.id == row_id)
                    .values(
                        entity="",
                        changed=position,
                        ended_ms=sa.case((e.c.ended_ms == 0, now_ms), else_=e.c.ended_ms),
                        body=left.SerializeToString(),
                    )
                )
        naming = [] if subject.keeps_all("list_entries") else _naming(connection, subject, event_ids)
        for row_id, left in naming:
            connection.execute(sa.update(e).where(e.c.id == row_id).values(body=left.SerializeToString()))
        done["list_entries"] = len(entries) + len(naming)
    return done


def _labels(
    connection: sa.Connection, subject: Subject, event_ids: frozenset[str]
) -> list[tuple[int, bytes]]:
    c = tables.labels.c
    found: dict[int, bytes] = {}
    for kind, names in (
        (labels_pb2.LABEL_SUBJECT_USER, [subject.user_id]),
        (labels_pb2.LABEL_SUBJECT_EVENT, sorted(event_ids)),
    ):
        for some in _pieces(names):
            query = sa.select(c.position, c.body).where(
                c.tenant == subject.tenant, c.subject_kind == kind, c.subject.in_(some)
            )
            found.update((row[0], bytes(row[1])) for row in connection.execute(query))
    return sorted(found.items())


def _enforcements(
    connection: sa.Connection, subject: Subject, event_ids: frozenset[str]
) -> list[tuple[int, bytes]]:
    c = tables.enforcements.c
    found: dict[int, bytes] = {}
    for some in _pieces([receipts.event_key(subject.tenant, one) for one in sorted(event_ids)]):
        query = sa.select(c.position, c.body).where(c.event_key.in_(some))
        found.update((row[0], bytes(row[1])) for row in connection.execute(query))
    return sorted(found.items())


def _entries(connection: sa.Connection, subject: Subject) -> list[tuple[int, bytes]]:
    c = tables.list_entries.c
    query = sa.select(c.id, c.body).where(
        c.tenant == subject.tenant, c.entity_kind == lists_pb2.LISTED_ENTITY_USER, c.entity == subject.user_id
    )
    return [(row[0], bytes(row[1])) for row in connection.execute(query)]


def _naming(
    connection: sa.Connection, subject: Subject, event_ids: frozenset[str]
) -> list[tuple[int, lists_pb2.ListEntry]]:
    """Entries about addresses that name the viewer or their event, without either."""
    c = tables.list_entries.c
    query = sa.select(c.id, c.body).where(
        c.tenant == subject.tenant, c.entity_kind == lists_pb2.LISTED_ENTITY_ADDRESS
    )
    found = []
    for row_id, body in connection.execute(query):
        entry = lists_pb2.ListEntry.FromString(bytes(body))
        others = [one for one in entry.affected.accounts if one.user_id != subject.user_id]
        named = len(others) < len(entry.affected.accounts)
        if named:
            del entry.affected.accounts[:]
            entry.affected.accounts.extend(others)
        if entry.reference in event_ids:
            named, entry.reference = True, ""
        if named:
            found.append((row_id, entry))
    return found


def _pieces(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + _MANY] for start in range(0, len(values), _MANY)]
