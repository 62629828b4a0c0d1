"""The rows of API keys. All methods block and run in the database's threads."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from services.common.db import Database
from services.common.errors import FailedPrecondition, NotFound, ResourceExhausted
from services.ingest import tables
from services.ingest.keys import MOST_A_TENANT, KeyRow

_LARGEST_LIST = 1_000
_TABLE = tables.api_keys
_COLUMNS = [_TABLE.c[name] for name in KeyRow._fields]


class KeyStore:
    """Keys by id."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, key_id: str) -> KeyRow | None:
        """One key."""
        with self.database.reading() as connection:
            return _find(connection, key_id)

    def add(self, row: KeyRow) -> None:
        """Keeps a new key. Raises ResourceExhausted (TOO_MANY_KEYS)."""
        with self.database.begin() as connection:
            _insert(connection, row)

    def list(self, tenant: str | None) -> list[KeyRow]:
        """Keys of a tenant, or of all, newest first."""
        query = sa.select(*_COLUMNS).order_by(_TABLE.c.created_ms.desc(), _TABLE.c.key_id)
        if tenant is not None:
            query = query.where(_TABLE.c.tenant == tenant)
        with self.database.reading() as connection:
            return [_row(row) for row in connection.execute(query.limit(_LARGEST_LIST))]

    def rotate(
        self, key_id: str, new_id: str, digest: bytes, ends_ms: int, actor: str, now_ms: int
    ) -> tuple[KeyRow, KeyRow]:
        """Keeps the successor of a key; the old one ends at `ends_ms` at the latest. Returns (new, old).

        A key with a lifetime hands on as long a one. Raises NotFound (KEY_UNKNOWN), FailedPrecondition (KEY_ENDED).
        """
        with self.database.begin() as connection:
            old = _find(connection, key_id)
            if old is None:
                raise _unknown()
            if old.revoked_ms or (old.expires_ms and old.expires_ms <= now_ms):
                raise FailedPrecondition("KEY_ENDED", "the key has ended; make a new one")
            life = old.expires_ms - old.created_ms if old.expires_ms else 0
            new = old._replace(
                key_id=new_id,
                digest=digest,
                created_ms=now_ms,
                actor=actor,
                expires_ms=now_ms + life if life else 0,
                last_used_ms=0,
                rotated_from=old.key_id,
            )
            _insert(connection, new)
            old = old._replace(expires_ms=min(ends_ms, old.expires_ms or ends_ms))
            connection.execute(
                sa.update(_TABLE).where(_TABLE.c.key_id == key_id).values(expires_ms=old.expires_ms)
            )
        return new, old

    def revoke(self, key_id: str, now_ms: int) -> KeyRow:
        """Ends a key; returns it. Raises NotFound (KEY_UNKNOWN)."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(_TABLE)
                .where(_TABLE.c.key_id == key_id, _TABLE.c.revoked_ms == 0)
                .values(revoked_ms=now_ms)
            )
            row = _find(connection, key_id)
        if row is None:
            raise _unknown()
        return row

    def note_used(self, used: Mapping[str, int]) -> None:
        """Notes when keys were last used (ms by key id)."""
        with self.database.begin() as connection:
            for key_id, used_ms in sorted(used.items()):
                connection.execute(
                    sa.update(_TABLE)
                    .where(_TABLE.c.key_id == key_id, _TABLE.c.last_used_ms < used_ms)
                    .values(last_used_ms=used_ms)
                )


def _find(connection: sa.Connection, key_id: str) -> KeyRow | None:
    row = connection.execute(sa.select(*_COLUMNS).where(_TABLE.c.key_id == key_id)).first()
    return None if row is None else _row(row)


def _insert(connection: sa.Connection, row: KeyRow) -> None:
    number = connection.execute(
        sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.tenant == row.tenant)
    ).scalar_one()
    if number >= MOST_A_TENANT:
        raise ResourceExhausted(
            "TOO_MANY_KEYS", f"the tenant has {number} keys already", metadata={"limit": str(MOST_A_TENANT)}
        )
    connection.execute(sa.insert(_TABLE).values(**row._asdict()))


def _row(row: sa.Row) -> KeyRow:
    values = row._asdict()
    values["digest"] = bytes(values["digest"])
    return KeyRow(**values)


def _unknown() -> NotFound:
    return NotFound("KEY_UNKNOWN", "there is no such key; `usher keys list` shows them")
