"""What turned out to be true of accounts: rows in fraud's database, taken over from ingest's labels in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa

from services.common.db import Database
from usher.fraud.v1 import fraud_pb2

FRAUD = fraud_pb2.OUTCOME_VERDICT_FRAUD
_LOCK = int.from_bytes(hashlib.sha256(b"usher fraud outcomes").digest()[:8], "big", signed=True)

metadata = sa.MetaData()
OUTCOMES = sa.Table(
    "outcomes",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("subject", sa.String, primary_key=True),
    sa.Column("verdict", sa.Integer),
    sa.Column("mature_ms", sa.BigInteger),
)
THROUGH = sa.Table(
    "outcomes_through",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger),
)


class OutcomeStore:
    """Outcomes on SQLite or PostgreSQL. Its methods block: call them through `Database.run` and `Database.read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, outcomes: Sequence[fraud_pb2.Outcome], through: int) -> int:
        """Takes over the outcomes of accounts that are newer than what was taken over; returns the position now."""
        with self._database.begin() as connection:
            if self._database.dialect == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            known = connection.execute(sa.select(THROUGH.c.position)).scalar()
            # A later outcome on the same subject wins.
            rows = {
                (one.tenant, one.user_id, subject_of(one.event_id)): one
                for one in outcomes
                if one.user_id and one.position > (known or 0)
            }
            for (tenant, account, subject), one in rows.items():
                c = OUTCOMES.c
                connection.execute(
                    OUTCOMES.delete().where(c.tenant == tenant, c.account == account, c.subject == subject)
                )
                connection.execute(
                    OUTCOMES.insert().values(
                        tenant=tenant,
                        account=account,
                        subject=subject,
                        verdict=one.verdict,
                        mature_ms=one.mature_ms,
                    )
                )
            if known is None and through:
                connection.execute(THROUGH.insert().values(id=1, position=through))
            elif known is not None and through > known:
                connection.execute(THROUGH.update().values(position=through))
        return max(known or 0, through)

    def through(self) -> int:
        """Position through which labels were taken over."""
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(THROUGH.c.position)).scalar() or 0)

    def confirmed(self, now_ms: int) -> dict[str, frozenset[str]]:
        """Accounts by tenant that turned out to be fraud, finally so by now."""
        c = OUTCOMES.c
        query = sa.select(c.tenant, c.account).where(c.verdict == FRAUD, c.mature_ms <= now_ms)
        found: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            for tenant, account in connection.execute(query):
                found.setdefault(tenant, set()).add(account)
        return {tenant: frozenset(accounts) for tenant, accounts in found.items()}

    def of(self, tenant: str, account: str) -> list[tuple[int, int]]:
        """(verdict, final from when in Unix milliseconds) of everything that turned out of an account."""
        c = OUTCOMES.c
        query = sa.select(c.verdict, c.mature_ms).where(c.tenant == tenant, c.account == account)
        with self._database.reading() as connection:
            return [
                (verdict, mature_ms) for verdict, mature_ms in connection.execute(query.order_by(c.mature_ms))
            ]

    def accounts(self) -> list[tuple[str, str]]:
        """(tenant, account) of every account of which something turned out."""
        c = OUTCOMES.c
        with self._database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(sa.select(c.tenant, c.account).distinct())]

    def forget(self, tenant: str, account: str) -> int:
        """Removes what turned out of an account; returns rows taken out."""
        c = OUTCOMES.c
        with self._database.begin() as connection:
            gone = connection.execute(OUTCOMES.delete().where(c.tenant == tenant, c.account == account))
            return int(gone.rowcount)


def subject_of(event_id: str) -> str:
    """What a later outcome corrects, without naming an event."""
    return hashlib.sha256(event_id.encode()).hexdigest()[:32] if event_id else ""
