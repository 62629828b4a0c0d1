"""Confirmations of what callers did with decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "enforcements",
        sa.Column("position", BIG, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("event_key", sa.LargeBinary, nullable=False),
        sa.Column("action", sa.SmallInteger, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("component", sa.Text, nullable=False),
        sa.Column("recorded_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "enforcements_once", "enforcements", ["event_key", "action", "purpose", "component"], unique=True
    )
    op.create_index("enforcements_by_tenant", "enforcements", ["tenant", "position"])


def downgrade() -> None:
    op.drop_table("enforcements")
