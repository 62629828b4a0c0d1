"""What turned out to be true of accounts, and how far ingest's labels were taken over.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outcomes",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        # Hash of the event that it is about; empty: the account as a whole.
        sa.Column("subject", sa.String(32), nullable=False),
        # usher.fraud.v1.OutcomeVerdict
        sa.Column("verdict", sa.Integer, nullable=False),
        sa.Column("mature_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "account", "subject"),
    )
    op.create_table(
        "outcomes_through",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("outcomes_through")
    op.drop_table("outcomes")
