"""What compliance keeps, in SQLite or PostgreSQL: the definitions that its stores share.

A store a matter (`store_consents.py`: the consent ledger), all in one database, so that what belongs together
commits together.
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from services.common.db import Database

metadata = sa.MetaData()
"""Tables of all stores of compliance."""

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def take_turns(database: Database, connection: sa.Connection, matter: str, tenant: str) -> None:
    """Holds off other transactions that take turns in the same matter of a tenant, until this one ends.

    SQLite has one writer anyway; PostgreSQL has an advisory lock for it.
    """
    if database.dialect == "sqlite":
        return
    digest = hashlib.blake2b(f"usher compliance {matter} {tenant}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big", signed=True)
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
