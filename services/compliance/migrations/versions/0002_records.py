"""Subject requests, legal holds, the erasure ledger, breaches, retention runs, the audit log, the outbox."""

import sqlalchemy as sa
from alembic import op

from services.common.erased import columns, marker_columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("closed", sa.SmallInteger, nullable=False),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("next_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("requests_due", "requests", ["tenant", "closed", "due_ms"])
    op.create_index("requests_next", "requests", ["next_ms"])
    op.create_index("requests_subject", "requests", ["subject"])
    op.create_table(
        "holds",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("hold_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("placed_ms", BIG, nullable=False),
        sa.Column("released_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("holds_subject", "holds", ["subject"])
    op.create_table(
        "ledger",
        sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("erased_ms", BIG, nullable=False),
        sa.Column("erasure_id", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "breaches",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("breach_id", sa.Text, primary_key=True),
        sa.Column("registered_ms", BIG, nullable=False),
        sa.Column("next_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("breaches_newest", "breaches", ["tenant", "registered_ms"])
    op.create_index("breaches_next", "breaches", ["next_ms"])
    op.create_table(
        "retention_runs",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("started_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit",
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
    op.create_index("audit_subject", "audit", ["subject", "sequence"])
    op.create_table(
        "outbox",
        sa.Column("id", BIG, sa.Identity(), primary_key=True),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "record_keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table("erased", *columns(), sqlite_with_rowid=False)
    op.create_table("erased_marker", *marker_columns())
