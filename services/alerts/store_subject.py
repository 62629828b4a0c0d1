"""What alerts keeps of one person, in whichever table: the schema itself is read, so that no table is forgotten.

Rows about a person (`entity_kind` user) go, with every row that belongs to one of their alerts. Elsewhere the person's
id and the ids of their events are replaced, because the row is about something else. Labels on their way to ingest that
are about the person or their events are taken out. The keys of messages stay: they are hashes, and keep a message that
is delivered again from opening an alert anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.alerts import tables
from services.common.db import Database
from services.common.erased import Entry, Erased, ErasedRows, State, subject_of
from services.common.errors import Unavailable
from services.common.subject_data import NothingKept, Rows, Subject, as_word
from usher.ingest.v1 import labels_pb2

REPLACED = "erased"
_NOT_OURS = frozenset({"schema_version", "erased", "erased_marker", "messages"})
_MANY = 500


class AlertsSubjects(NothingKept):
    """The `SubjectStore` of alerts."""

    def __init__(self, database: Database, rows: ErasedRows) -> None:
        self._database = database
        self._rows = rows
        self._tables: list[sa.Table] = []

    async def start(self) -> None:
        """Reads the schema, and looks whether an older copy was put back."""
        await self._database.run(self._rows.look)
        self._tables = await self._database.read(self._reflect)

    async def healthy(self) -> None:
        """Returns when the rows can be used. Raises Unavailable, ERASURES_BEHIND among others, and DeadlineExceeded."""
        await self._database.ping()
        if self._rows.restored:
            raise Unavailable(
                "ERASURES_BEHIND",
                "an older copy of the rows was put back; they are used once the erasure ledger was applied again",
                retry_after=2.0,
            )

    def _reflect(self) -> list[sa.Table]:
        metadata = sa.MetaData()
        with self._database.reading() as connection:
            metadata.reflect(connection, schema=None)
        # Children before their parents: rows go in that order.
        return [table for table in reversed(metadata.sorted_tables) if table.name not in _NOT_OURS]

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        """Alerts about the person, without what links them to others."""
        rows = await self._database.read(self._about, subject)
        for table, found in rows.items():
            yield table, found

    def _about(self, subject: Subject) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        with self._database.reading() as connection:
            for table in self._entities():
                columns = [column for column in table.c if not isinstance(column.type, sa.LargeBinary)]
                rows = connection.execute(sa.select(*columns).where(*self._named(table, subject))).mappings()
                told = [{str(name): _plain(value) for name, value in row.items()} for row in rows]
                if told:
                    found[str(table.name)] = told
        return found

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        found = Erased({})
        if not subject.keeps_all("alerts"):
            found = await self._database.run(self._erase, subject)
            names = tuple(table.name for table in self._tables)
            await self._database.run(self._database.scrub, [subject.user_id.encode()], names)
        if entry is not None:
            await self._database.run(self._rows.record, key, [entry])
        return found

    def _erase(self, subject: Subject) -> Erased:
        erased: Counter[str] = Counter()
        delivered: Counter[str] = Counter()
        with self._database.begin() as connection:
            alerts: set[str] = set()
            for table in self._entities():
                if "alert_id" in table.c:
                    ids = connection.execute(sa.select(table.c.alert_id).where(*self._named(table, subject)))
                    alerts.update(ids.scalars())
            for some in _pieces(sorted(alerts)):
                for table in self._tables:
                    if "alert_id" not in table.c or table in self._entities():
                        continue
                    mine = table.c.alert_id.in_(some)
                    if {"channel", "delivered_ms"} <= set(table.c.keys()):
                        sent = sa.select(table.c.channel, sa.func.count()).group_by(table.c.channel)
                        for channel, number in connection.execute(
                            sent.where(mine, table.c.delivered_ms.is_not(None))
                        ):
                            delivered[f"channel {channel}"] += number
                    erased[table.name] += connection.execute(sa.delete(table).where(mine)).rowcount
            for table in self._entities():
                deleted = connection.execute(sa.delete(table).where(*self._named(table, subject)))
                erased[table.name] += deleted.rowcount
            for table in self._tables:
                erased[table.name] += self._replace(connection, table, subject)
            o = tables.outbox
            for row_id, left in _labels(connection, subject):
                if left is None:
                    connection.execute(sa.delete(o).where(o.c.id == row_id))
                else:
                    connection.execute(sa.update(o).where(o.c.id == row_id).values(body=left))
                erased[o.name] += 1
        return Erased({name: number for name, number in erased.items() if number}, {}, dict(delivered))

    def _replace(self, connection: sa.Connection, table: sa.Table, subject: Subject) -> int:
        changed = 0
        for column in _texts(table):
            for some in _pieces(sorted(subject.event_ids | {subject.user_id})):
                where: list[sa.ColumnElement[bool]] = [column.in_(some)]
                if "tenant" in table.c:
                    where.append(table.c.tenant == subject.tenant)
                if column.primary_key:
                    changed += connection.execute(sa.delete(table).where(*where)).rowcount
                else:
                    values = {column.name: REPLACED}
                    changed += connection.execute(sa.update(table).where(*where).values(values)).rowcount
            changed += self._replace_within(connection, table, column, subject)
        return changed

    def _replace_within(
        self, connection: sa.Connection, table: sa.Table, column: sa.Column[Any], subject: Subject
    ) -> int:
        """Replaces the id where it is a word of a longer text."""
        changed = 0
        keys = list(table.primary_key.columns)
        for row in self._containing(connection, table, column, subject):
            text = as_word(subject.user_id).sub(REPLACED, row[0])
            where = [key == value for key, value in zip(keys, row[1:], strict=True)]
            statement = sa.update(table).where(*where).values({column.name: text})
            changed += connection.execute(statement).rowcount
        return changed

    def _containing(
        self, connection: sa.Connection, table: sa.Table, column: sa.Column[Any], subject: Subject
    ) -> Iterator[Any]:
        query = sa.select(column, *table.primary_key.columns).where(
            column.contains(subject.user_id, autoescape=True), column != subject.user_id
        )
        if "tenant" in table.c:
            query = query.where(table.c.tenant == subject.tenant)
        word = as_word(subject.user_id)
        for row in connection.execute(query).all():
            if word.search(row[0]):
                yield row

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        if subject.keeps_all("alerts"):
            return {}
        return await self._database.read(self._remaining, subject)

    def _remaining(self, subject: Subject) -> dict[str, int]:
        left: dict[str, int] = defaultdict(int)
        with self._database.reading() as connection:
            for table in self._tables:
                for column in _texts(table):
                    for some in _pieces(sorted(subject.event_ids | {subject.user_id})):
                        query = sa.select(sa.func.count()).select_from(table).where(column.in_(some))
                        if "tenant" in table.c:
                            query = query.where(table.c.tenant == subject.tenant)
                        left[table.name] += int(connection.execute(query).scalar_one())
                    left[table.name] += sum(1 for _ in self._containing(connection, table, column, subject))
            left[tables.outbox.name] += len(_labels(connection, subject))
        return left

    async def erasure_state(self) -> State:
        return await self._database.read(self._rows.state)

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        done: Counter[str] = Counter()
        if entries:
            wanted = {entry.subject for entry in entries}
            for tenant, user_id in await self._database.read(self._people):
                if subject_of(key, tenant, user_id) in wanted:
                    found = await self.erase(Subject(tenant, user_id), key, None)
                    done.update(found.erased)
        await self._database.run(lambda: self._rows.record(key, entries, complete=complete))
        return done

    def _people(self) -> list[tuple[str, str]]:
        people: set[tuple[str, str]] = set()
        with self._database.reading() as connection:
            for table in self._entities():
                query = (
                    sa.select(table.c.tenant, table.c.entity).where(table.c.entity_kind == "user").distinct()
                )
                people.update((row[0], row[1]) for row in connection.execute(query))
        return sorted(people)

    def _entities(self) -> list[sa.Table]:
        return [table for table in self._tables if {"tenant", "entity_kind", "entity"} <= set(table.c.keys())]

    def _named(self, table: sa.Table, subject: Subject) -> list[sa.ColumnElement[bool]]:
        c = table.c
        return [c.tenant == subject.tenant, c.entity_kind == "user", c.entity == subject.user_id]


def _labels(connection: sa.Connection, subject: Subject) -> list[tuple[int, bytes | None]]:
    """Rows of the outbox with labels about the person, each with what is left of it without; None: nothing."""
    o = tables.outbox.c
    found: list[tuple[int, bytes | None]] = []
    for row_id, body in connection.execute(sa.select(o.id, o.body).where(o.tenant == subject.tenant)):
        request = labels_pb2.RecordLabelsRequest.FromString(bytes(body))
        others = [one for one in request.labels if not _about(one, subject)]
        if len(others) < len(request.labels):
            left = labels_pb2.RecordLabelsRequest(tenant=request.tenant, labels=others)
            found.append((row_id, left.SerializeToString() if others else None))
    return found


def _about(label: labels_pb2.Label, subject: Subject) -> bool:
    if label.subject_kind == labels_pb2.LABEL_SUBJECT_USER:
        return label.subject == subject.user_id
    return label.subject_kind == labels_pb2.LABEL_SUBJECT_EVENT and label.subject in subject.event_ids


def _texts(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.c if isinstance(column.type, sa.String) and column.name != "tenant"]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _pieces(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _MANY] for start in range(0, len(values), _MANY))
