"""What ingest keeps, behind one narrow interface: `Store`, on SQLite and on PostgreSQL.

All methods block and run in the database's threads (`Database.run` for those that write, `Database.read` for the others).
The hot ones (`look_up`, `accept`, `commit`) have statements of their own for each database, in store_sqlite.py and
store_postgresql.py; the rest is SQLAlchemy Core, the same for both.
"""

from __future__ import annotations

import abc
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.clock import utc_now_ms
from services.common.db import Database, typed_error
from services.ingest import tables, wire
from services.ingest.faults import crash_point
from services.ingest.records import (
    ERASED,
    POSITION_SHIFT,
    Commit,
    Committed,
    Decided,
    FailedRow,
    InboxRow,
    LookUp,
    LostRaceError,
    OutboxRow,
    Profile,
    Receipt,
)
from services.ingest.store_entries import put_entry
from services.ingest.vault import Vault
from usher.ingest.v1 import ingest_pb2

# The tenants of the inbox, one look into its index each (a loose index scan).
_TENANTS_WAITING = """
WITH RECURSIVE t(tenant) AS (
    (SELECT tenant FROM inbox ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT i.tenant FROM inbox i WHERE i.tenant > t.tenant ORDER BY i.tenant LIMIT 1) FROM t
    WHERE t.tenant IS NOT NULL
)
SELECT tenant FROM t WHERE tenant IS NOT NULL
"""


class Store(abc.ABC):
    """The rows of ingest."""

    def __init__(self, database: Database, vault: Vault | None = None) -> None:
        self.database = database
        self.vault = vault or Vault()
        """Seals and opens the payloads of failed events."""

    # -- hot, one set of statements a database -----------------------------------------------------

    @abc.abstractmethod
    def look_up(self, keys: Sequence[bytes], user_keys: Sequence[bytes]) -> LookUp:
        """Receipts and inbox rows of events, profiles of viewers. What is not there is missing in the answer."""

    @abc.abstractmethod
    def _put(self, connection: sa.Connection, rows: Sequence[InboxRow]) -> dict[bytes, Receipt | bytes]:
        """Puts into the inbox what is neither there nor decided; returns, by key, what was there before."""

    @abc.abstractmethod
    def _write(
        self, connection: sa.Connection, commit: Commit, first: int, bodies: Sequence[bytes]
    ) -> dict[bytes, Profile]:
        """Writes receipts, decisions with their stamped bodies, profiles, and ends inbox rows. Raises LostRaceError."""

    @abc.abstractmethod
    def _bodies(self, positions: Sequence[int], column: str) -> dict[int, bytes]: ...

    # -- the transactions --------------------------------------------------------------------------

    def accept(self, rows: Sequence[InboxRow], commit: Commit) -> dict[bytes, Receipt | bytes]:
        """Step 2: new rows into the inbox, with `commit`'s failed events and counts, in one transaction.

        Returns, by key, what was there before: a receipt, or the fingerprint of a waiting row. The others are accepted;
        accepted, duplicates and conflicts are counted here, because only the transaction knows them.
        """
        crash_point("accept.before_commit")
        counts = dict(commit.counts)
        with self.database.begin() as connection, driver_errors():
            known = self._put(connection, rows)
            for row in rows:
                before = known.get(row.key)
                name = "accepted"
                if before is not None:
                    if isinstance(before, Receipt) and before.position == ERASED:
                        _count(counts, row.tenant, "refused:GONE")
                        continue
                    same = (before.fingerprint if isinstance(before, Receipt) else before) == row.fingerprint
                    name = "duplicate" if same else "conflict"
                _count(counts, row.tenant, name)
            self._add_failed(connection, commit.failed)
            self._add_counts(connection, counts)
        crash_point("accept.after_commit")
        return known

    def commit(self, commit: Commit) -> Committed:
        """Step 6: everything of a batch in one transaction. Raises LostRaceError, Aborted, Unavailable."""
        crash_point("commit.before")
        with self.database.begin() as connection, driver_errors():
            first, now_ms = self._allocate(connection, len(commit.decided), commit.sighted_ms)
            bodies = _stamp(commit.decided, first, now_ms)
            counts = dict(commit.counts)
            profiles = self._write(connection, commit, first, bodies)
            self._add_failed(connection, commit.failed)
            for tenant, key in commit.superseded:
                if self._end_inbox(connection, [key]):
                    _count(counts, tenant, "superseded")
            self._end_inbox(connection, commit.inbox_done)
            for tenant, failed_id in commit.replayed:
                if not self._end_failed(connection, tenant, failed_id, now_ms):
                    # Another replay was first: the next look-up finds its receipt.
                    raise LostRaceError
                _count(counts, tenant, "failed", -1)
                _count(counts, tenant, "replayed")
            for tenant, failed_id in commit.replays_superseded:
                if self._end_failed(connection, tenant, failed_id, now_ms):
                    _count(counts, tenant, "failed", -1)
                    _count(counts, tenant, "superseded")
            outbox_ids = self.add_outbox(connection, commit.outbox, now_ms)
            if commit.outbox_done:
                connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id.in_(commit.outbox_done)))
            unsighted = [{"position": first + i} for i, one in enumerate(commit.decided) if not one.sighted]
            if unsighted:
                connection.execute(sa.insert(tables.unsighted), unsighted)
            for chunk in _chunks(commit.seen_at_last, 500):
                connection.execute(sa.delete(tables.unsighted).where(tables.unsighted.c.position.in_(chunk)))
            for (tenant, import_id), newest_ms in sorted(commit.imports.items()):
                self._upsert_greatest(connection, tenant, import_id, newest_ms)
            for tenant, entry in commit.listed:
                put_entry(connection, tenant, entry, first, now_ms)
            self._add_counts(connection, counts)
            crash_point("commit.inside")
        crash_point("commit.after")
        return Committed(list(range(first, first + len(bodies))), bodies, profiles, outbox_ids)

    def new_profile_id(self) -> dict[str, int]:
        """Column values that give a new profile its row id, where the database does not."""
        return {}

    def give_position(self, connection: sa.Connection, number: int = 1) -> int:
        """Gives out positions to a transaction, which holds the head row's lock until its end; returns the first."""
        return self._allocate(connection, number, 0)[0]

    def _allocate(self, connection: sa.Connection, number: int, sighted_ms: int) -> tuple[int, int]:
        # The head row's lock also makes positions follow the order of commits (PostgreSQL), so that a reader that has
        # seen a position has seen all before it.
        now_ms = utc_now_ms()
        p = self._parameter
        raw = connection.exec_driver_sql(
            f"UPDATE head SET position = CASE WHEN position >= {p} THEN position + {p} ELSE {p} END, "
            f"sighted_ms = CASE WHEN sighted_ms >= {p} THEN sighted_ms ELSE {p} END WHERE id = 1 RETURNING position",
            (
                (now_ms << POSITION_SHIFT),
                max(number, 1),
                (now_ms << POSITION_SHIFT) + max(number, 1) - 1,
                sighted_ms,
                sighted_ms,
            ),
        )
        last: int = raw.scalar_one()
        return last - max(number, 1) + 1, now_ms

    @property
    @abc.abstractmethod
    def _parameter(self) -> str: ...

    def _add_failed(self, connection: sa.Connection, failed: Sequence[ingest_pb2.FailedEvent]) -> None:
        if failed:
            # A transaction whose end was lost with its connection is written again.
            insert = sqlite_insert if self.database.dialect == "sqlite" else postgresql_insert
            connection.execute(
                insert(tables.failed).on_conflict_do_nothing(index_elements=["failed_id"]),
                [
                    {
                        "failed_id": one.failed_id,
                        "tenant": one.tenant,
                        "body": self.vault.seal(one),
                        "failed_ms": one.failed_time.ToMilliseconds(),
                        "reason": one.failure.reason,
                        "component": one.component,
                    }
                    for one in failed
                ],
            )

    def _end_failed(self, connection: sa.Connection, tenant: str, failed_id: str, now_ms: int) -> bool:
        """Marks a failed event as replayed; False where it was already, or is no longer there."""
        f = tables.failed
        return bool(
            connection.execute(
                sa.update(f)
                .where(f.c.tenant == tenant, f.c.failed_id == failed_id, f.c.replayed_ms == 0)
                .values(replayed_ms=now_ms, replays=f.c.replays + 1)
            ).rowcount
        )

    def _end_inbox(self, connection: sa.Connection, keys: Sequence[bytes]) -> int:
        ended = 0
        for chunk in _chunks(list(keys), 500):
            ended += connection.execute(sa.delete(tables.inbox).where(tables.inbox.c.key.in_(chunk))).rowcount
        return ended

    def add_outbox(
        self, connection: sa.Connection, messages: Sequence[tuple[str, str, bytes]], now_ms: int
    ) -> list[int]:
        """Writes messages (topic, traceparent, body) within a transaction; returns their rows."""
        ids = []
        for topic, traceparent, body in messages:
            # Due a little later: the process that commits delivers at once, the sweep takes what it did not manage.
            row = connection.execute(
                sa.insert(tables.outbox)
                .values(topic=topic, due_ms=now_ms + 5_000, attempts=0, traceparent=traceparent, body=body)
                .returning(tables.outbox.c.id)
            )
            ids.append(row.scalar_one())
        return ids

    def _add_counts(self, connection: sa.Connection, counts: Mapping[tuple[str, str], int]) -> None:
        rows = [(tenant, name, n) for (tenant, name), n in sorted(counts.items()) if n]
        if not rows:
            return
        p = self._parameter
        values = ", ".join([f"({p}, {p}, {p})"] * len(rows))
        connection.exec_driver_sql(
            f"INSERT INTO counters (tenant, name, n) VALUES {values} "
            "ON CONFLICT (tenant, name) DO UPDATE SET n = counters.n + excluded.n",
            tuple(value for row in rows for value in row),
        )

    def _upsert_greatest(
        self, connection: sa.Connection, tenant: str, import_id: str, newest_ms: int
    ) -> None:
        p = self._parameter
        connection.exec_driver_sql(
            f"INSERT INTO imports (tenant, import_id, newest_ms) VALUES ({p}, {p}, {p}) ON CONFLICT (tenant, import_id) "
            "DO UPDATE SET newest_ms = CASE WHEN excluded.newest_ms > imports.newest_ms THEN excluded.newest_ms "
            "ELSE imports.newest_ms END",
            (tenant, import_id, newest_ms),
        )

    # -- reads -------------------------------------------------------------------------------------

    def decisions_at(self, positions: Sequence[int]) -> dict[int, bytes]:
        """Serialised decisions by position."""
        return self._bodies(positions, "decision")

    def events_at(self, positions: Sequence[int]) -> dict[int, bytes]:
        """Serialised events by position."""
        return self._bodies(positions, "event")

    def flags_at(self, positions: Sequence[int]) -> dict[int, int]:
        """Item flags by position."""
        d = tables.decisions.c
        found: dict[int, int] = {}
        with self.database.reading() as connection:
            for chunk in _chunks(list(positions), 500):
                rows = connection.execute(sa.select(d.position, d.flags).where(d.position.in_(chunk)))
                found.update({row[0]: row[1] for row in rows})
        return found

    def find(self, key: bytes) -> tuple[int, bytes, bytes] | None:
        """Position, decision and event of a decided event; None where there is none."""
        with self.database.reading() as connection:
            row = connection.execute(
                sa.select(tables.bodies.c.position, tables.bodies.c.decision, tables.bodies.c.event)
                .join(tables.receipts, tables.receipts.c.position == tables.bodies.c.position)
                .where(tables.receipts.c.key == key)
            ).first()
        return None if row is None else (row[0], bytes(row[1]), bytes(row[2]))

    def is_erased(self, key: bytes) -> bool:
        """Whether an event was there and was erased."""
        r = tables.receipts.c
        with self.database.reading() as connection:
            return connection.execute(sa.select(r.position).where(r.key == key)).scalar() == ERASED

    def is_pending(self, key: bytes) -> bool:
        """Whether an event waits in the inbox."""
        with self.database.reading() as connection:
            return (
                connection.execute(sa.select(tables.inbox.c.id).where(tables.inbox.c.key == key)).first()
                is not None
            )

    def list_decisions(
        self, tenant: str, before: int, limit: int, minimum_outcome: int, user: bytes | None
    ) -> list[tuple[int, bytes]]:
        """Positions and decisions below a position, newest first."""
        d = tables.decisions.c
        query = (
            sa.select(d.position)
            .where(d.tenant == tenant, d.position < before, d.outcome >= minimum_outcome)
            .order_by(d.position.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            if user is not None:
                positions = self._chain(connection, user, before, limit, minimum_outcome)
            else:
                positions = list(connection.execute(query).scalars())
        bodies = self.decisions_at(positions)
        return [(position, bodies[position]) for position in positions if position in bodies]

    def _chain(
        self, connection: sa.Connection, user: bytes, before: int, limit: int, minimum_outcome: int
    ) -> list[int]:
        # A viewer's decisions form a chain of previous positions; that spares an index on the hot path.
        p, d = tables.profiles.c, tables.decisions.c
        position = connection.execute(sa.select(p.last_position).where(p.key == user)).scalar()
        found: list[int] = []
        while position and len(found) < limit:
            row = connection.execute(sa.select(d.previous, d.outcome).where(d.position == position)).first()
            if row is None:
                break
            if position < before and row.outcome >= minimum_outcome:
                found.append(position)
            position = row.previous
        return found

    def decisions_after(self, tenant: str, position: int, limit: int) -> list[tuple[int, bytes]]:
        """Positions and decisions above a position, oldest first."""
        d, b = tables.decisions.c, tables.bodies.c
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(d.position, b.decision)
                .join(tables.bodies, b.position == d.position)
                .where(d.tenant == tenant, d.position > position)
                .order_by(d.position)
                .limit(limit)
            )
            return [(row[0], bytes(row[1])) for row in rows]

    def last_position(self) -> int:
        """The last position given out."""
        return self._head()[0]

    def sighted_ms(self) -> int:
        """Newest batch time committed that fraud had seen, Unix milliseconds; 0 if none."""
        return self._head()[1]

    def _head(self) -> tuple[int, int]:
        with self.database.reading() as connection:
            row = connection.execute(sa.select(tables.head.c.position, tables.head.c.sighted_ms)).one()
        return row[0], row[1]

    def unsighted(self, limit: int, after: int = 0) -> list[int]:
        """Positions above one that fraud was not given, oldest first."""
        u = tables.unsighted.c
        with self.database.reading() as connection:
            query = sa.select(u.position).where(u.position > after).order_by(u.position).limit(limit)
            return list(connection.execute(query).scalars())

    def sighted_since(self, since_ms: int, after: int, limit: int) -> list[tuple[int, str, int, bytes]]:
        """Position, tenant, item flags and event of decisions committed since a time, oldest first, after a position."""
        d, b = tables.decisions.c, tables.bodies.c
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(d.position, d.tenant, d.flags, b.event)
                .join(tables.bodies, b.position == d.position)
                .where(d.position > max(after, since_ms << POSITION_SHIFT))
                .order_by(d.position)
                .limit(limit)
            )
            return [(row[0], row[1], row[2], bytes(row[3])) for row in rows]

    def inbox_rows(self, shards: Sequence[int], limit: int) -> list[InboxRow]:
        """Waiting events of some shards, oldest first; of a long inbox (PostgreSQL) each tenant's oldest."""
        i = tables.inbox.c
        query = (
            sa.select(
                i.key, i.fingerprint, i.shard, i.tenant, i.received_ms, i.flags, i.traceparent, i.payload
            )
            .where(i.shard.in_(list(shards)))
            .order_by(i.id)
        )
        with self.database.reading() as connection:
            if self.database.dialect == "sqlite":
                rows = connection.execute(query.limit(limit)).all()
            else:
                tenants = list(connection.exec_driver_sql(_TENANTS_WAITING).scalars())
                share = max(1, limit // max(1, len(tenants)))
                rows = [
                    row
                    for tenant in tenants
                    for row in connection.execute(query.where(i.tenant == tenant).limit(share))
                ]
            return [
                InboxRow(bytes(r[0]), bytes(r[1]), r[2], r[3], r[4], r[5], r[6], bytes(r[7])) for r in rows
            ]

    def pending(self) -> dict[str, tuple[int, int]]:
        """By tenant the rows of the inbox and when the oldest was received (ms)."""
        i = tables.inbox.c
        query = sa.select(i.tenant, sa.func.count(), sa.func.min(i.received_ms)).group_by(i.tenant)
        with self.database.reading() as connection:
            return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}

    def accounting(self, tenant: str | None) -> tuple[dict[tuple[str, str], int], dict[str, tuple[int, int]]]:
        """Counters by (tenant, name), and by tenant the rows of the inbox and when the oldest was received (ms).

        Both are read in one snapshot, so that the identities hold at any moment.
        """
        c, i = tables.counters.c, tables.inbox.c
        counters = sa.select(c.tenant, c.name, c.n)
        waiting = sa.select(i.tenant, sa.func.count(), sa.func.min(i.received_ms)).group_by(i.tenant)
        if tenant is not None:
            counters, waiting = counters.where(c.tenant == tenant), waiting.where(i.tenant == tenant)
        with self.database.reading() as connection:
            if self.database.dialect == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            counts = {(row[0], row[1]): int(row[2]) for row in connection.execute(counters)}
            pending = {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(waiting)}
        return counts, pending

    # -- failed events -----------------------------------------------------------------------------

    def list_failed(
        self,
        tenant: str,
        before: int,
        limit: int,
        reason: str = "",
        component: str = "",
        open_only: bool = False,
    ) -> list[FailedRow]:
        """Failed events below a row id, newest first; by reason, component, and whether a replay is still to do."""
        f = tables.failed.c
        query = sa.select(*_FAILED_COLUMNS).where(f.tenant == tenant, f.id < before)
        if reason:
            query = query.where(f.reason == reason)
        if component:
            query = query.where(f.component == component)
        if open_only:
            query = query.where(f.replayed_ms == 0)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(f.id.desc()).limit(limit)).all()
        return [self._failed_row(row) for row in rows]

    def failed_event(self, tenant: str, failed_id: str) -> ingest_pb2.FailedEvent | None:
        """A failed event, opened."""
        f = tables.failed.c
        with self.database.reading() as connection:
            row = connection.execute(
                sa.select(*_FAILED_COLUMNS).where(f.tenant == tenant, f.failed_id == failed_id)
            ).first()
        return None if row is None else self._failed_row(row).failed

    def _failed_row(self, row: sa.Row[Any]) -> FailedRow:
        failed = self.vault.open(bytes(row.body))
        failed.replays = row.replays
        if row.replayed_ms:
            failed.replayed = True
            failed.replayed_time.FromMilliseconds(row.replayed_ms)
        if row.replay_failure is not None:
            failed.replay_failure.ParseFromString(bytes(row.replay_failure))
        return FailedRow(row.id, failed)

    def note_replay(self, tenant: str, failed_id: str, failure: ingest_pb2.Failure) -> None:
        """Notes a replay that failed again."""
        f = tables.failed
        with self.database.begin() as connection:
            connection.execute(
                sa.update(f)
                .where(f.c.tenant == tenant, f.c.failed_id == failed_id, f.c.replayed_ms == 0)
                .values(replays=f.c.replays + 1, replay_failure=failure.SerializeToString())
            )

    def delete_failed_before(self, before_ms: int, limit: int) -> int:
        """Deletes failed events older than a time, oldest first; how many."""
        f = tables.failed
        old = sa.select(f.c.id).where(f.c.failed_ms < before_ms).order_by(f.c.failed_ms).limit(limit)
        with self.database.begin() as connection:
            return connection.execute(sa.delete(f).where(f.c.id.in_(old.scalar_subquery()))).rowcount

    # -- outbox ------------------------------------------------------------------------------------

    def claim_outbox(self, now_ms: int, lease_ms: int, limit: int) -> list[OutboxRow]:
        """Takes messages that are due, oldest first; another process will not take them before the lease is over."""
        o = tables.outbox.c
        due = sa.select(o.id).where(o.due_ms <= now_ms).order_by(o.id).limit(limit)
        with self.database.reading() as connection:
            # Nearly always nothing is: looking takes no turn from those who write.
            if connection.execute(due.limit(1)).first() is None:
                return []
        if self.database.dialect == "postgresql":
            due = due.with_for_update(skip_locked=True)
        with self.database.begin() as connection:
            rows = connection.execute(
                sa.update(tables.outbox)
                .where(o.id.in_(due.scalar_subquery()))
                .values(due_ms=now_ms + lease_ms, attempts=o.attempts + 1)
                .returning(o.id, o.topic, o.attempts, o.traceparent, o.body)
            )
            return sorted(OutboxRow(r[0], r[1], r[2], r[3], bytes(r[4])) for r in rows)

    def postpone_outbox(self, due: Mapping[int, int]) -> None:
        """Tries messages again later: when (Unix milliseconds), by row id."""
        o = tables.outbox.c
        with self.database.begin() as connection:
            for row_id, due_ms in due.items():
                connection.execute(sa.update(tables.outbox).where(o.id == row_id).values(due_ms=due_ms))

    def outbox_depth(self) -> int:
        """Messages not yet delivered."""
        with self.database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(tables.outbox)).scalar_one())

    # -- modes and policy sets ---------------------------------------------------------------------

    def modes(self) -> dict[tuple[str, int], int]:
        """Mode by tenant and class of events, where one was set."""
        m = tables.modes.c
        with self.database.reading() as connection:
            return {
                (row[0], row[1]): row[2]
                for row in connection.execute(sa.select(m.tenant, m.event_class, m.mode))
            }

    def modes_of(self, tenant: str) -> dict[int, tuple[int, str, int]]:
        """(mode, who set it, when in ms) by class of events, where one was set."""
        m = tables.modes.c
        with self.database.reading() as connection:
            return {
                row[0]: (row[1], row[2], row[3])
                for row in connection.execute(
                    sa.select(m.event_class, m.mode, m.actor, m.set_ms).where(m.tenant == tenant)
                )
            }

    def set_modes(self, tenant: str, classes: Sequence[int], mode: int, actor: str, now_ms: int) -> None:
        """Sets the mode of some classes."""
        m = tables.modes
        with self.database.begin() as connection:
            connection.execute(sa.delete(m).where(m.c.tenant == tenant, m.c.event_class.in_(list(classes))))
            connection.execute(
                sa.insert(m),
                [
                    {"tenant": tenant, "event_class": one, "mode": mode, "actor": actor, "set_ms": now_ms}
                    for one in classes
                ],
            )

    def active_policy_set(self) -> tuple[str, int] | None:
        """The policy set in force and since when (ms)."""
        a = tables.activations.c
        with self.database.reading() as connection:
            row = connection.execute(
                sa.select(a.policy_set, a.activated_ms).order_by(a.id.desc()).limit(1)
            ).first()
        return None if row is None else (row[0], row[1])

    def activate_policy_set(self, policy_set: str, actor: str, now_ms: int) -> int:
        """Puts a policy set in force; returns since when. Activating the one in force changes nothing."""
        a = tables.activations
        with self.database.begin() as connection:
            row = connection.execute(
                sa.select(a.c.policy_set, a.c.activated_ms).order_by(a.c.id.desc()).limit(1)
            ).first()
            if row is not None and row[0] == policy_set:
                return int(row[1])
            connection.execute(sa.insert(a).values(policy_set=policy_set, activated_ms=now_ms, actor=actor))
        return now_ms

    def list_activations(self, before: int, limit: int) -> list[tuple[int, str, int, str]]:
        """Row id, policy set, time and actor below a row id, newest first."""
        a = tables.activations.c
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(a.id, a.policy_set, a.activated_ms, a.actor)
                .where(a.id < before)
                .order_by(a.id.desc())
                .limit(limit)
            )
            return [(row[0], row[1], row[2], row[3]) for row in rows]

    def newest_of_imports(self) -> dict[tuple[str, str], int]:
        """Newest event time (ms) by (tenant, import)."""
        i = tables.imports.c
        with self.database.reading() as connection:
            return {
                (row[0], row[1]): row[2]
                for row in connection.execute(sa.select(i.tenant, i.import_id, i.newest_ms))
            }

    def drop_empty_partitions(self, before_ms: int) -> int:
        """Drops the partitions of days that ended before a time and hold nothing any more; returns how many.

        SQLite has none.
        """
        return 0

    @abc.abstractmethod
    def maintain(self, now_ms: int) -> None:
        """Chores between transactions: SQLite moves its log, PostgreSQL gets the partitions of the coming days."""


_FAILED_COLUMNS = tuple(
    tables.failed.c[name] for name in ("id", "body", "replayed_ms", "replays", "replay_failure")
)


@contextmanager
def driver_errors() -> Iterator[None]:
    """Types the errors of statements given to the driver itself, which SQLAlchemy does not see."""
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        operational = isinstance(error, sqlite3.OperationalError | psycopg.OperationalError)
        kind = sa.exc.OperationalError if operational else sa.exc.DBAPIError
        typed = typed_error(kind("", None, error))
        if typed is None:
            raise
        raise typed from error


def _stamp(decided: Sequence[Decided], first: int, now_ms: int) -> list[bytes]:
    time = wire.timestamp(wire.DECIDED_TIME, now_ms)
    return [one.body + time + wire.POSITION + wire.varint(first + index) for index, one in enumerate(decided)]


def _count(counts: dict[tuple[str, str], int], tenant: str, name: str, n: int = 1) -> None:
    counts[(tenant, name)] = counts.get((tenant, name), 0) + n


def _chunks(values: Sequence[int] | Sequence[bytes], size: int) -> list[Sequence[int] | Sequence[bytes]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
