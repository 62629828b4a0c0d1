"""Which store a database gets."""

from __future__ import annotations

from services.common.db import Database
from services.ingest.store import Store
from services.ingest.store_postgresql import PostgresqlStore
from services.ingest.store_sqlite import SqliteStore
from services.ingest.vault import Vault


def open_store(database: Database, vault: Vault | None = None) -> Store:
    """The store for a database; `vault` seals the payloads of failed events, else they are kept as they are."""
    kind = SqliteStore if database.dialect == "sqlite" else PostgresqlStore
    return kind(database, vault)
