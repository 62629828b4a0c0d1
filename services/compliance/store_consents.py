"""The consent ledger in SQLite or PostgreSQL: rows are added, never changed, and only erasure empties them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.common.db import Database
from services.common.errors import Conflict
from services.compliance.ledger import ERASED, FIRST_CHAIN, Entry, completed, digest_of, seal
from services.compliance.store import BIG, metadata, take_turns
from usher.compliance.v1 import consent_pb2

consents = sa.Table(
    "consents",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column(
        "seq", BIG, primary_key=True, autoincrement=False, comment="1, 2, ... without a gap in a tenant"
    ),
    sa.Column("act", sa.SmallInteger, nullable=False, comment="usher.compliance.v1.ConsentAct"),
    sa.Column("recorded_ms", BIG, nullable=False),
    sa.Column("receipt_id", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, comment="SHA-256 of salt and content"),
    sa.Column("chain", sa.LargeBinary, nullable=False, comment="SHA-256 of the row before and of this one"),
    sa.Column("request_key", sa.LargeBinary, nullable=True, comment="16-byte hash of the request_id"),
    sa.Column(
        "request_digest",
        sa.LargeBinary,
        nullable=True,
        comment="of the first row's salt and what was asked: says nothing once the salt is erased",
    ),
    sa.Column("request_rows", sa.SmallInteger, nullable=True, comment="rows that the request added"),
    sa.Column("user_id", sa.Text, nullable=True, comment="null once erased"),
    sa.Column("salt", sa.LargeBinary, nullable=True, comment="null once erased"),
    sa.Column("content", sa.LargeBinary, nullable=True, comment="ConsentRecord; null once erased"),
)

_MATTER = "consents"
_SALT_BYTES = 16
_COLUMNS = "tenant, seq, act, recorded_ms, digest, chain, user_id, salt, content"


class Recorded(NamedTuple):
    """What a request led to."""

    entries: list[Entry]
    """One a record, in order."""
    repeated: bool
    """Whether they had been recorded before."""


class ConsentStore:
    """The rows of the ledger. Methods may be called from the event loop; the work runs in the database's threads.

    All raise the typed errors of `services.common.db`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mark = "?" if database.dialect == "sqlite" else "%s"

    async def record(
        self,
        tenant: str,
        user_id: str,
        records: Sequence[consent_pb2.ConsentRecord],
        request_id: str,
        now_ms: int,
    ) -> Recorded:
        """Adds valid records of one viewer, all or none; durable when it returns.

        Raises Conflict (REQUEST_ID_CONFLICT) where the request_id was used for other records.
        """
        return await self._database.run(self._record, tenant, user_id, records, request_id, now_ms)

    async def holds_any(self, tenant: str) -> bool:
        """Whether the tenant has any entry."""
        return await self._database.read(self._holds_any, tenant)

    async def of_viewer(self, tenant: str, user_id: str) -> list[Entry]:
        """A viewer's entries, oldest first."""
        return (await self.of_viewers(tenant, [user_id])).get(user_id, [])

    async def head(self, tenant: str) -> int:
        """Place of the tenant's newest entry, 0 where there is none: whatever changes of a viewer's entries moves it."""
        return await self._database.read(self._newest, tenant)

    async def versions(self, tenant: str, user_ids: Sequence[str]) -> dict[str, int]:
        """Place of the newest entry of those of the viewers who have any."""
        return await self._database.read(self._versions, tenant, user_ids)

    async def of_viewers(self, tenant: str, user_ids: Sequence[str]) -> dict[str, list[Entry]]:
        """The entries of those of the viewers who have any, oldest first: one read."""
        return await self._database.read(self._of_viewers, tenant, user_ids)

    async def page(self, tenant: str, user_id: str, limit: int, before_seq: int) -> list[Entry]:
        """Up to `limit` entries, newest first, of a viewer or (user_id empty) the tenant, before a place (0: all)."""
        return await self._database.read(self._page, tenant, user_id, limit, before_seq)

    async def chain(self, tenant: str, after_seq: int, limit: int) -> tuple[bytes, list[Entry]]:
        """The chain at `after_seq` (FIRST_CHAIN at 0, or where there is no such place) and up to `limit` entries after."""
        return await self._database.read(self._chain, tenant, after_seq, limit)

    async def erase(self, tenant: str, user_id: str, now_ms: int) -> int:
        """Empties a viewer's entries and adds an entry that says which; returns how many. Nothing to do is 0."""
        return await self._database.run(self._erase, tenant, user_id, now_ms)

    # -- in the database's threads ---------------------------------------------------------------------------------

    def _record(
        self,
        tenant: str,
        user_id: str,
        records: Sequence[consent_pb2.ConsentRecord],
        request_id: str,
        now_ms: int,
    ) -> Recorded:
        key = hashlib.blake2b(f"{tenant}\0{request_id}".encode(), digest_size=16).digest()
        asked = hashlib.sha256(user_id.encode() + b"\0")
        for record in records:
            content = record.SerializeToString(deterministic=True)
            asked.update(len(content).to_bytes(4, "big") + content)
        with self._database.begin() as connection:
            take_turns(self._database, connection, _MATTER, tenant)
            if request_id:
                earlier = self._earlier(connection, tenant, key, asked.digest())
                if earlier:
                    return Recorded(earlier, True)
            entries: list[Entry] = []
            previous = self._head(connection, tenant)
            for record in records:
                content = completed(record, now_ms).SerializeToString(deterministic=True)
                salt = secrets.token_bytes(_SALT_BYTES)
                entries.append(seal(tenant, previous, record.act, now_ms, user_id, salt, content))
                previous = (entries[-1].seq, entries[-1].chain)
            rows = [_row(entry) for entry in entries]
            if request_id:
                rows[0] |= {
                    "request_key": key,
                    "request_digest": digest_of(rows[0]["salt"], asked.digest()),
                    "request_rows": len(rows),
                }
            connection.execute(sa.insert(consents).values(rows))
        return Recorded(entries, False)

    def _earlier(self, connection: sa.Connection, tenant: str, key: bytes, asked: bytes) -> list[Entry]:
        first = connection.execute(
            sa.select(
                consents.c.seq, consents.c.salt, consents.c.request_digest, consents.c.request_rows
            ).where(consents.c.tenant == tenant, consents.c.request_key == key)
        ).first()
        if first is None:
            return []
        if first.salt is not None and digest_of(bytes(first.salt), asked) != bytes(first.request_digest):
            raise Conflict(
                "REQUEST_ID_CONFLICT", "this request_id was used for other records: draw a new one"
            )
        return self._entries(
            connection,
            f"tenant = {self._mark} AND seq >= {self._mark} AND seq < {self._mark} ORDER BY seq",
            (tenant, first.seq, first.seq + first.request_rows),
        )

    def _head(self, connection: sa.Connection, tenant: str) -> tuple[int, bytes]:
        row = connection.execute(
            sa.select(consents.c.seq, consents.c.chain)
            .where(consents.c.tenant == tenant)
            .order_by(consents.c.seq.desc())
            .limit(1)
        ).first()
        return (row.seq, bytes(row.chain)) if row else (0, FIRST_CHAIN)

    def _holds_any(self, tenant: str) -> bool:
        with self._database.reading() as connection:
            statement = f"SELECT 1 FROM consents WHERE tenant = {self._mark} LIMIT 1"
            return connection.exec_driver_sql(statement, (tenant,)).first() is not None

    def _newest(self, tenant: str) -> int:
        with self._database.reading() as connection:
            statement = f"SELECT max(seq) FROM consents WHERE tenant = {self._mark}"
            return connection.exec_driver_sql(statement, (tenant,)).scalar() or 0

    def _of_viewers(self, tenant: str, user_ids: Sequence[str]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        where, arguments = self._chosen(tenant, user_ids)
        with self._database.reading() as connection:
            for entry in self._entries(connection, f"{where} ORDER BY seq", arguments):
                found.setdefault(entry.user_id or "", []).append(entry)
        return found

    def _versions(self, tenant: str, user_ids: Sequence[str]) -> dict[str, int]:
        where, arguments = self._chosen(tenant, user_ids)
        statement = f"SELECT user_id, max(seq) FROM consents WHERE {where} GROUP BY user_id"
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.exec_driver_sql(statement, arguments)}

    def _chosen(self, tenant: str, user_ids: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        """The condition that holds for the entries of these viewers, and its arguments."""
        if self._database.dialect == "sqlite":
            marks = ", ".join(["?"] * len(user_ids))
            return f"tenant = ? AND user_id IN ({marks})", (tenant, *user_ids)
        return "tenant = %s AND user_id = ANY(%s)", (tenant, list(user_ids))

    def _page(self, tenant: str, user_id: str, limit: int, before_seq: int) -> list[Entry]:
        where, arguments = f"tenant = {self._mark}", [tenant]
        for condition, value in ((f"user_id = {self._mark}", user_id), (f"seq < {self._mark}", before_seq)):
            if value:
                where += f" AND {condition}"
                arguments.append(value)  # type: ignore[arg-type]
        with self._database.reading() as connection:
            return self._entries(
                connection, f"{where} ORDER BY seq DESC LIMIT {self._mark}", (*arguments, limit)
            )

    def _chain(self, tenant: str, after_seq: int, limit: int) -> tuple[bytes, list[Entry]]:
        with self._database.reading() as connection:
            before = connection.execute(
                sa.select(consents.c.chain).where(consents.c.tenant == tenant, consents.c.seq == after_seq)
            ).scalar()
            return bytes(before) if before else FIRST_CHAIN, self._entries(
                connection,
                f"tenant = {self._mark} AND seq > {self._mark} ORDER BY seq LIMIT {self._mark}",
                (tenant, after_seq, limit),
            )

    def _erase(self, tenant: str, user_id: str, now_ms: int) -> int:
        with self._database.begin() as connection:
            return self.erase_within(connection, tenant, user_id, now_ms)

    def erase_within(self, connection: sa.Connection, tenant: str, user_id: str, now_ms: int) -> int:
        """`erase` as a part of a transaction, in one of the database's threads."""
        take_turns(self._database, connection, _MATTER, tenant)
        theirs = sa.and_(consents.c.tenant == tenant, consents.c.user_id == user_id)
        query = sa.select(consents.c.seq).where(theirs).order_by(consents.c.seq)
        places = list(connection.execute(query).scalars())
        if not places:
            return 0
        connection.execute(sa.update(consents).where(theirs).values(user_id=None, salt=None, content=None))
        content = ",".join(map(str, places)).encode()
        previous = self._head(connection, tenant)
        entry = seal(tenant, previous, ERASED, now_ms, None, secrets.token_bytes(_SALT_BYTES), content)
        connection.execute(sa.insert(consents).values([_row(entry)]))
        return len(places)

    def _entries(self, connection: sa.Connection, where: str, arguments: tuple[Any, ...]) -> list[Entry]:
        # Written out by hand, as SQLAlchemy would compose a statement of so many values anew each time.
        rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM consents WHERE {where}", arguments)
        return [
            Entry(
                row[0],
                row[1],
                row[2],
                row[3],
                bytes(row[4]),
                bytes(row[5]),
                row[6],
                None if row[7] is None else bytes(row[7]),
                None if row[8] is None else bytes(row[8]),
            )
            for row in rows
        ]


def _row(entry: Entry) -> dict[str, Any]:
    return {
        **entry._asdict(),
        "receipt_id": entry.receipt_id,
        "request_key": None,
        "request_digest": None,
        "request_rows": None,
    }
