"""Rows of subject requests, legal holds, the erasure ledger, breaches, retention runs, the audit log and the outbox.

Requests and breaches are kept as their messages; the columns beside are what is looked for. Methods block and run in the
database's threads. `change_*` read, change and write one row in one transaction, so that a person and the worker never
overwrite each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.common import audit
from services.common.db import Database
from services.common.erased import Entry
from services.common.errors import NotFound
from services.compliance.store import BIG, metadata, take_turns
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import records_pb2
from usher.compliance.v1.records_pb2 import Breach, LegalHold, RetentionRun, SubjectRequest

NEVER = 0
"""`next_ms` of a row that nothing is to be done for."""

_requests = sa.Table(
    "requests",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("subject", sa.LargeBinary, nullable=False, comment="keyed hash, see services.common.erased"),
    sa.Column("closed", sa.SmallInteger, nullable=False),
    sa.Column("due_ms", BIG, nullable=False),
    sa.Column("next_ms", BIG, nullable=False, comment="when the worker looks at it; 0: never"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="usher.compliance.v1.SubjectRequest"),
)
_holds = sa.Table(
    "holds",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("hold_id", sa.Text, primary_key=True),
    sa.Column("subject", sa.LargeBinary, nullable=False),
    sa.Column("placed_ms", BIG, nullable=False),
    sa.Column("released_ms", BIG, nullable=False, comment="0: in force"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="usher.compliance.v1.LegalHold"),
)
_ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.LargeBinary, nullable=False),
    sa.Column("erased_ms", BIG, nullable=False),
    sa.Column("erasure_id", sa.Text, nullable=False, unique=True),
)
_breaches = sa.Table(
    "breaches",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("registered_ms", BIG, nullable=False),
    sa.Column("next_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="usher.compliance.v1.Breach"),
)
_runs = sa.Table(
    "retention_runs",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("started_ms", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="usher.compliance.v1.RetentionRun"),
)
_audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.Text, nullable=False, unique=True),
    sa.Column("time_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
_outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("due_ms", BIG, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="usher.alerts.v1.RaiseAlertsRequest"),
)

_keys = sa.Table(
    "record_keys",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="ledger or signing"),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

TABLES = ("requests", "holds", "breaches", "audit", "outbox", "consents")
"""Tables whose dead rows an erasure clears away."""
_AUDIT_PAGE = 2_000


class OutboxRow(NamedTuple):
    """A message to alerts."""

    id: int
    attempts: int
    body: bytes


class RecordStore:
    """The rows."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- subject requests ----------------------------------------------------------------------------

    def open_request(
        self, request: SubjectRequest, next_ms: int, alert: alerts_pb2.AlertMessage | None
    ) -> SubjectRequest:
        """Keeps a new request; returns the one that is kept already under its id."""
        with self.database.begin() as connection:
            take_turns(self.database, connection, "requests", request.tenant)
            known = self._request(connection, request.tenant, request.request_id)
            if known is not None:
                return known
            connection.execute(sa.insert(_requests).values(**_request_row(request, next_ms)))
            self._tell(connection, alert)
        return request

    def request(self, tenant: str, request_id: str) -> SubjectRequest:
        """A request. Raises NotFound (REQUEST_UNKNOWN)."""
        with self.database.reading() as connection:
            found = self._request(connection, tenant, request_id)
        if found is None:
            raise NotFound("REQUEST_UNKNOWN", "no subject request of this tenant has this id")
        return found

    def change_request(
        self,
        tenant: str,
        request_id: str,
        change: Callable[[SubjectRequest], int],
        alert: Callable[[SubjectRequest], alerts_pb2.AlertMessage | None] | None = None,
    ) -> SubjectRequest:
        """Changes a request: `change` returns when the worker looks at it next. Raises NotFound, what `change` raises."""
        with self.database.begin() as connection:
            found = self._request(connection, tenant, request_id, lock=True)
            if found is None:
                raise NotFound("REQUEST_UNKNOWN", "no subject request of this tenant has this id")
            row = _request_row(found, change(found))
            where = (_requests.c.tenant == tenant, _requests.c.request_id == request_id)
            connection.execute(sa.update(_requests).where(*where).values(row))
            self._tell(connection, None if alert is None else alert(found))
        return found

    def list_requests(
        self,
        tenant: str,
        after: tuple[int, str] | None,
        limit: int,
        *,
        subject: bytes | None = None,
        closed: bool = False,
    ) -> list[SubjectRequest]:
        """Requests, due first, after (due_ms, request_id)."""
        c = _requests.c
        query = sa.select(c.body).where(c.tenant == tenant)
        if not closed:
            query = query.where(c.closed == 0)
        if subject is not None:
            query = query.where(c.subject == subject)
        if after is not None:
            query = query.where(sa.tuple_(c.due_ms, c.request_id) > sa.tuple_(*map(sa.literal, after)))
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(c.due_ms, c.request_id).limit(limit))
            return [SubjectRequest.FromString(bytes(row[0])) for row in rows]

    def claim_requests(self, now_ms: int, lease_ms: int, limit: int) -> list[SubjectRequest]:
        """Takes requests that the worker is to look at; nobody else takes them before the lease is over."""
        c = _requests.c
        due = sa.select(c.tenant, c.request_id, c.body).where(c.next_ms > 0, c.next_ms <= now_ms)
        with self.database.begin() as connection:
            rows = connection.execute(
                due.order_by(c.next_ms).limit(limit).with_for_update(skip_locked=True)
            ).all()
            for row in rows:
                where = (c.tenant == row.tenant, c.request_id == row.request_id)
                connection.execute(sa.update(_requests).where(*where).values(next_ms=now_ms + lease_ms))
        return [SubjectRequest.FromString(bytes(row.body)) for row in rows]

    def renew(self, tenant: str, request_id: str, until_ms: int) -> None:
        """Keeps a claimed request for longer, unless it was ended meanwhile."""
        c = _requests.c
        where = (c.tenant == tenant, c.request_id == request_id, c.closed == 0, c.next_ms > 0)
        with self.database.begin() as connection:
            connection.execute(sa.update(_requests).where(*where).values(next_ms=until_ms))

    def wake(self, now_ms: int) -> None:
        """Gives up all leases: for a process that starts and is the only one."""
        c = _requests.c
        with self.database.begin() as connection:
            connection.execute(sa.update(_requests).where(c.next_ms > now_ms).values(next_ms=now_ms))

    def requests_to_anonymise(self, tenant: str, closed_before_ms: int) -> list[SubjectRequest]:
        """Closed requests that still name somebody, ended before a time."""
        c = _requests.c
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(c.body).where(c.tenant == tenant, c.closed == 1)).all()
        found = [SubjectRequest.FromString(bytes(row[0])) for row in rows]
        return [one for one in found if one.user_id and one.closed_time.ToMilliseconds() < closed_before_ms]

    def _request(
        self, connection: sa.Connection, tenant: str, request_id: str, *, lock: bool = False
    ) -> SubjectRequest | None:
        c = _requests.c
        query = sa.select(c.body).where(c.tenant == tenant, c.request_id == request_id)
        body = connection.execute(query.with_for_update() if lock else query).scalar()
        return None if body is None else SubjectRequest.FromString(bytes(body))

    # -- holds -----------------------------------------------------------------------------------------

    def place_hold(self, hold: LegalHold, subject: bytes) -> LegalHold:
        """Keeps a new hold; returns the one that is kept already under its id."""
        c = _holds.c
        with self.database.begin() as connection:
            take_turns(self.database, connection, "holds", hold.tenant)
            where = (c.tenant == hold.tenant, c.hold_id == hold.hold_id)
            known = connection.execute(sa.select(c.body).where(*where)).scalar()
            if known is not None:
                return LegalHold.FromString(bytes(known))
            connection.execute(
                sa.insert(_holds).values(
                    tenant=hold.tenant,
                    hold_id=hold.hold_id,
                    subject=subject,
                    placed_ms=hold.placed_time.ToMilliseconds(),
                    released_ms=0,
                    body=hold.SerializeToString(),
                )
            )
        return hold

    def release_hold(self, tenant: str, hold_id: str, actor: str, now_ms: int) -> LegalHold:
        """Ends a hold and wakes the erasures that wait for it. Raises NotFound (HOLD_UNKNOWN)."""
        c, r = _holds.c, _requests.c
        with self.database.begin() as connection:
            where = (c.tenant == tenant, c.hold_id == hold_id)
            row = connection.execute(sa.select(c.subject, c.body).where(*where)).first()
            if row is None:
                raise NotFound("HOLD_UNKNOWN", "no legal hold of this tenant has this id")
            hold = LegalHold.FromString(bytes(row.body))
            if hold.HasField("released_time"):
                return hold
            hold.released_time.FromMilliseconds(now_ms)
            hold.released_by = actor
            connection.execute(
                sa.update(_holds).where(*where).values(released_ms=now_ms, body=hold.SerializeToString())
            )
            waiting = (r.tenant == tenant, r.subject == bytes(row.subject), r.next_ms > 0)
            connection.execute(sa.update(_requests).where(*waiting).values(next_ms=now_ms))
        return hold

    def holds(self, tenant: str, *, released: bool, subject: bytes | None = None) -> list[LegalHold]:
        """Holds, the newest first, at most 1,000."""
        c = _holds.c
        query = sa.select(c.body).where(c.tenant == tenant).order_by(c.placed_ms.desc()).limit(1_000)
        if not released:
            query = query.where(c.released_ms == 0)
        if subject is not None:
            query = query.where(c.subject == subject)
        with self.database.reading() as connection:
            return [LegalHold.FromString(bytes(row[0])) for row in connection.execute(query)]

    # -- the erasure ledger -----------------------------------------------------------------------------

    def enter(self, subject: bytes, erasure_id: str, now_ms: int) -> Entry:
        """The entry of an erasure; made where there is none, else moved on to `now_ms`."""
        c = _ledger.c
        with self.database.begin() as connection:
            take_turns(self.database, connection, "ledger", "")
            row = connection.execute(sa.select(c.sequence).where(c.erasure_id == erasure_id)).first()
            if row is not None:
                connection.execute(
                    sa.update(_ledger).where(c.erasure_id == erasure_id).values(erased_ms=now_ms)
                )
                return Entry(int(row[0]), subject, now_ms, erasure_id)
            last = connection.execute(sa.select(sa.func.max(c.sequence))).scalar() or 0
            entry = Entry(int(last) + 1, subject, now_ms, erasure_id)
            connection.execute(sa.insert(_ledger).values(**entry._asdict()))
        return entry

    def ledger(self, after: int = 0, limit: int = 10_000) -> list[Entry]:
        """Entries after a sequence, in order."""
        c = _ledger.c
        query = sa.select(c.sequence, c.subject, c.erased_ms, c.erasure_id).where(c.sequence > after)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(c.sequence).limit(limit))
            return [Entry(int(row[0]), bytes(row[1]), int(row[2]), row[3]) for row in rows]

    def adopt(self, entries: Sequence[Entry]) -> int:
        """Takes entries over that the rows lack: from the copy of the ledger beside them; returns how many."""
        c = _ledger.c
        new = 0
        with self.database.begin() as connection:
            take_turns(self.database, connection, "ledger", "")
            known = {
                row.sequence: row.erased_ms for row in connection.execute(sa.select(c.sequence, c.erased_ms))
            }
            for entry in entries:
                if entry.sequence not in known:
                    connection.execute(sa.insert(_ledger).values(**entry._asdict()))
                    known[entry.sequence] = entry.erased_ms
                    new += 1
                elif known[entry.sequence] < entry.erased_ms:
                    connection.execute(
                        sa.update(_ledger)
                        .where(c.sequence == entry.sequence)
                        .values(erased_ms=entry.erased_ms)
                    )
        return new

    # -- breaches ---------------------------------------------------------------------------------------

    def register(self, breach: Breach, now_ms: int, next_ms: int) -> Breach:
        """Keeps a new breach; returns the one that is kept already under its id."""
        with self.database.begin() as connection:
            take_turns(self.database, connection, "breaches", breach.tenant)
            known = self._breach(connection, breach.tenant, breach.breach_id)
            if known is not None:
                return known
            connection.execute(
                sa.insert(_breaches).values(
                    tenant=breach.tenant,
                    breach_id=breach.breach_id,
                    registered_ms=now_ms,
                    next_ms=next_ms,
                    body=breach.SerializeToString(),
                )
            )
        return breach

    def breach(self, tenant: str, breach_id: str) -> Breach:
        """A breach. Raises NotFound (BREACH_UNKNOWN)."""
        with self.database.reading() as connection:
            found = self._breach(connection, tenant, breach_id)
        if found is None:
            raise NotFound("BREACH_UNKNOWN", "no breach of this tenant has this id")
        return found

    def change_breach(
        self,
        tenant: str,
        breach_id: str,
        change: Callable[[Breach], int],
        alert: Callable[[Breach], Sequence[alerts_pb2.AlertMessage]] | None = None,
    ) -> Breach:
        """Changes a breach; as `change_request`. Raises NotFound, what `change` raises."""
        c = _breaches.c
        with self.database.begin() as connection:
            found = self._breach(connection, tenant, breach_id, lock=True)
            if found is None:
                raise NotFound("BREACH_UNKNOWN", "no breach of this tenant has this id")
            next_ms = change(found)
            connection.execute(
                sa.update(_breaches)
                .where(c.tenant == tenant, c.breach_id == breach_id)
                .values(next_ms=next_ms, body=found.SerializeToString())
            )
            for message in () if alert is None else alert(found):
                self._tell(connection, message)
        return found

    def breaches(self, tenant: str, before: tuple[int, str] | None, limit: int) -> list[tuple[int, Breach]]:
        """(registered_ms, breach), the newest first, before (registered_ms, breach_id)."""
        c = _breaches.c
        query = sa.select(c.registered_ms, c.body).where(c.tenant == tenant)
        if before is not None:
            query = query.where(sa.tuple_(c.registered_ms, c.breach_id) < sa.tuple_(*map(sa.literal, before)))
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(c.registered_ms.desc(), c.breach_id.desc()).limit(limit))
            return [(int(row[0]), Breach.FromString(bytes(row[1]))) for row in rows]

    def breaches_to_look_at(self, now_ms: int, limit: int) -> list[tuple[str, str]]:
        """(tenant, breach_id) of breaches whose next moment has come."""
        c = _breaches.c
        query = sa.select(c.tenant, c.breach_id).where(c.next_ms > 0, c.next_ms <= now_ms).limit(limit)
        with self.database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def _breach(
        self, connection: sa.Connection, tenant: str, breach_id: str, *, lock: bool = False
    ) -> Breach | None:
        c = _breaches.c
        query = sa.select(c.body).where(c.tenant == tenant, c.breach_id == breach_id)
        body = connection.execute(query.with_for_update() if lock else query).scalar()
        return None if body is None else Breach.FromString(bytes(body))

    # -- retention ----------------------------------------------------------------------------------------

    def keep_run(self, run: RetentionRun, alert: alerts_pb2.AlertMessage | None = None) -> None:
        """Keeps a report, and what is to be told of it."""
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(_runs).values(
                    tenant=run.tenant,
                    run_id=run.run_id,
                    started_ms=run.started_time.ToMilliseconds(),
                    body=run.SerializeToString(),
                )
            )
            self._tell(connection, alert)

    def runs(self, tenant: str) -> list[RetentionRun]:
        """Reports, the newest first, at most 100."""
        c = _runs.c
        query = sa.select(c.body).where(c.tenant == tenant).order_by(c.started_ms.desc()).limit(100)
        with self.database.reading() as connection:
            return [RetentionRun.FromString(bytes(row[0])) for row in connection.execute(query)]

    def key(self, name: str, new: bytes) -> bytes:
        """A key that is kept in the database, where no folder is set for it; `new` is kept where there is none yet."""
        with self.database.begin() as connection:
            take_turns(self.database, connection, "keys", "")
            known = connection.execute(sa.select(_keys.c.content).where(_keys.c.name == name)).scalar()
            if known is not None:
                return bytes(known)
            connection.execute(sa.insert(_keys).values(name=name, content=new))
        return new

    # -- the audit log --------------------------------------------------------------------------------------

    def append(self, entry_id: str, entry: audit.Entry) -> int:
        """Appends an entry (its sequence is set here); returns its sequence, also of one appended before."""
        c = _audit.c
        with self.database.begin() as connection:
            take_turns(self.database, connection, "audit", "")
            known = connection.execute(sa.select(c.sequence).where(c.entry_id == entry_id)).scalar()
            if known is not None:
                return int(known)
            last = connection.execute(
                sa.select(c.sequence, c.hash).order_by(c.sequence.desc()).limit(1)
            ).first()
            sequence, before = (0, audit.FIRST) if last is None else (int(last[0]), bytes(last[1]))
            placed = entry._replace(sequence=sequence + 1)
            connection.execute(
                sa.insert(_audit).values(
                    entry_id=entry_id, hash=audit.link(before, placed), **placed._asdict()
                )
            )
        return sequence + 1

    def audit_entries(
        self, after: int, limit: int, *, tenant: str = "", subject: str = ""
    ) -> list[tuple[audit.Entry, bytes]]:
        """Entries with their hashes after a sequence, in order."""
        c = _audit.c
        columns = [c[name] for name in audit.Entry._fields]
        query = sa.select(*columns, c.hash).where(c.sequence > after).order_by(c.sequence).limit(limit)
        if tenant:
            query = query.where(c.tenant == tenant)
        if subject:
            query = query.where(c.subject == subject)
        with self.database.reading() as connection:
            return [(audit.Entry(*row[:-1]), bytes(row[-1])) for row in connection.execute(query)]

    def verify_audit(self) -> tuple[int, int, bytes]:
        """Follows the whole chain; returns (entries, first broken sequence or 0, hash of the last good entry)."""
        after, head = 0, audit.FIRST
        while True:
            rows = self.audit_entries(after, _AUDIT_PAGE)
            broken, head = audit.check(rows, head, after)
            if broken:
                return after + len(rows), broken, head
            after += len(rows)
            if len(rows) < _AUDIT_PAGE:
                return after, 0, head

    # -- the outbox -----------------------------------------------------------------------------------------

    def tell(self, message: alerts_pb2.AlertMessage) -> None:
        """Puts a message to alerts into the outbox."""
        with self.database.begin() as connection:
            self._tell(connection, message)

    def claim_outbox(self, now_ms: int, lease_ms: int, limit: int) -> list[OutboxRow]:
        """Takes messages that are due; nobody else takes them before the lease is over."""
        c = _outbox.c
        with self.database.begin() as connection:
            rows = connection.execute(
                sa.select(c.id, c.attempts, c.body)
                .where(c.due_ms <= now_ms)
                .order_by(c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            ids = [row.id for row in rows]
            connection.execute(
                sa.update(_outbox)
                .where(c.id.in_(ids))
                .values(due_ms=now_ms + lease_ms, attempts=c.attempts + 1)
            )
        return [OutboxRow(row.id, row.attempts, bytes(row.body)) for row in rows]

    def outbox_waits(self, now_ms: int) -> bool:
        """Whether a message is due."""
        c = _outbox.c
        with self.database.reading() as connection:
            return connection.execute(sa.select(c.id).where(c.due_ms <= now_ms).limit(1)).first() is not None

    def told(self, row_id: int) -> None:
        """Ends a delivered message."""
        with self.database.begin() as connection:
            connection.execute(sa.delete(_outbox).where(_outbox.c.id == row_id))

    def postpone(self, row_id: int, due_ms: int) -> None:
        """Tries a message again later."""
        with self.database.begin() as connection:
            connection.execute(sa.update(_outbox).where(_outbox.c.id == row_id).values(due_ms=due_ms))

    @staticmethod
    def _tell(connection: sa.Connection, message: alerts_pb2.AlertMessage | None) -> None:
        if message is not None:
            body = alerts_pb2.RaiseAlertsRequest(messages=[message]).SerializeToString()
            connection.execute(sa.insert(_outbox).values(due_ms=0, attempts=0, body=body))

    # -- one subject ------------------------------------------------------------------------------------------

    def named(self, tenant: str, subject: bytes) -> Iterator[tuple[str, Any]]:
        """Requests and holds that still name a subject: ("requests", message) and ("holds", message)."""
        r, h = _requests.c, _holds.c
        with self.database.reading() as connection:
            requests = connection.execute(
                sa.select(r.body).where(r.tenant == tenant, r.subject == subject)
            ).all()
            holds = connection.execute(
                sa.select(h.body).where(h.tenant == tenant, h.subject == subject)
            ).all()
        for row in requests:
            request = SubjectRequest.FromString(bytes(row[0]))
            if request.user_id:
                yield "requests", request
        for row in holds:
            hold = LegalHold.FromString(bytes(row[0]))
            if hold.user_id:
                yield "holds", hold

    def people(self) -> list[tuple[str, str]]:
        """(tenant, user id) of everybody whom a request or a hold names."""
        found: set[tuple[str, str]] = set()
        with self.database.reading() as connection:
            requests = connection.execute(sa.select(_requests.c.body)).all()
            holds = connection.execute(sa.select(_holds.c.body)).all()
        found.update(
            (one.tenant, one.user_id) for one in (SubjectRequest.FromString(bytes(r[0])) for r in requests)
        )
        found.update((one.tenant, one.user_id) for one in (LegalHold.FromString(bytes(r[0])) for r in holds))
        return sorted(one for one in found if one[1])

    def rewrite_hold(self, hold: LegalHold) -> None:
        """Writes a hold's message again."""
        c = _holds.c
        where = (c.tenant == hold.tenant, c.hold_id == hold.hold_id)
        with self.database.begin() as connection:
            connection.execute(sa.update(_holds).where(*where).values(body=hold.SerializeToString()))


def _request_row(request: SubjectRequest, next_ms: int) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "request_id": request.request_id,
        "subject": bytes.fromhex(request.subject),
        "closed": int(
            request.state
            in (
                records_pb2.SUBJECT_REQUEST_STATE_COMPLETED,
                records_pb2.SUBJECT_REQUEST_STATE_REFUSED,
                records_pb2.SUBJECT_REQUEST_STATE_WITHDRAWN,
            )
        ),
        "due_ms": request.due_time.ToMilliseconds(),
        "next_ms": next_ms,
        "body": request.SerializeToString(),
    }
