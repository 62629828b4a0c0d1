"""Facts of accounts, in the rows of profiles: they come and go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from services.ingest import accounts, receipts, tables
from services.ingest.accounts import Kept
from services.ingest.assembly import positions_of
from services.ingest.records import LostRaceError
from services.ingest.store import Store
from usher.ingest.v1 import accounts_pb2


class Row(NamedTuple):
    """What is kept of one account."""

    kept: Kept
    body: bytes
    """Scoring's profile."""
    not_folded: int


class AccountStore:
    """Beside `Store`, in the same database. Methods block and run in the database's threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.database = store.database

    def record(self, tenant: str, updates: Sequence[accounts_pb2.AccountUpdate]) -> list[bool]:
        """Records valid updates in one transaction; whether each told something new.

        The rows are changed by compare-and-set, as a batch of events changes them. Raises LostRaceError, with nothing
        written, where a batch was first.
        """
        p = tables.profiles
        told = []
        with self.database.begin() as connection:
            for update in updates:
                key = receipts.user_key(tenant, update.user_id)
                row = connection.execute(
                    sa.select(p.c.id, p.c.version, p.c.facts, p.c.fact_times).where(p.c.key == key)
                ).first()
                kept = Kept() if row is None else Kept(bytes(row.facts or b""), bytes(row.fact_times or b""))
                after = accounts.merge(kept, update)
                told.append(after is not None)
                if after is None:
                    continue
                if row is None:
                    try:
                        connection.execute(
                            sa.insert(p).values(
                                key=key,
                                version=1,
                                last_position=0,
                                devices=b"",
                                backlog=b"",
                                body=b"",
                                facts=after.facts,
                                fact_times=after.times,
                                **self._store.new_profile_id(),
                            )
                        )
                    except sa.exc.IntegrityError as error:
                        raise LostRaceError([key]) from error
                elif (
                    connection.execute(
                        sa.update(p)
                        .where(p.c.id == row.id, p.c.version == row.version)
                        .values(version=row.version + 1, facts=after.facts, fact_times=after.times)
                    ).rowcount
                    != 1
                ):
                    raise LostRaceError([key])
        return told

    def read(self, tenant: str, user_id: str) -> Row | None:
        """What is kept of an account; None where nothing is."""
        p = tables.profiles.c
        with self.database.reading() as connection:
            row = connection.execute(
                sa.select(p.facts, p.fact_times, p.body, p.backlog).where(
                    p.key == receipts.user_key(tenant, user_id)
                )
            ).first()
        if row is None:
            return None
        kept = Kept(bytes(row.facts or b""), bytes(row.fact_times or b""))
        return Row(kept, bytes(row.body), len(positions_of(bytes(row.backlog))))
