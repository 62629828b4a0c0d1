"""The consent ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "consents",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        sa.Column("act", sa.SmallInteger, nullable=False),
        sa.Column("recorded_ms", BIG, nullable=False),
        sa.Column("receipt_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("request_key", sa.LargeBinary, nullable=True),
        sa.Column("request_digest", sa.LargeBinary, nullable=True),
        sa.Column("request_rows", sa.SmallInteger, nullable=True),
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("salt", sa.LargeBinary, nullable=True),
        sa.Column("content", sa.LargeBinary, nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("consents_receipt", "consents", ["receipt_id"], unique=True)
    # Only rows that are still somebody's: an erased one is found by its place in the chain alone.
    op.create_index(
        "consents_subject",
        "consents",
        ["tenant", "user_id", "seq"],
        sqlite_where=sa.text("user_id IS NOT NULL"),
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index(
        "consents_request",
        "consents",
        ["tenant", "request_key"],
        unique=True,
        sqlite_where=sa.text("request_key IS NOT NULL"),
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
