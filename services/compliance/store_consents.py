"""The consent ledger in SQLite or PostgreSQL: rows are added, never changed, and only erasure empties them."""

from __future__ import annotations

import sqlalchemy as sa

from services.compliance.store import BIG, metadata

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
    sa.Column("request_key", sa.LargeBinary, nullable=True, comment="16-byte hash of the sender's record_id"),
    sa.Column("user_id", sa.Text, nullable=True, comment="null once erased"),
    sa.Column("salt", sa.LargeBinary, nullable=True, comment="null once erased"),
    sa.Column(
        "content",
        sa.LargeBinary,
        nullable=True,
        comment="usher.compliance.v1.ConsentRecord; null once erased",
    ),
)
