"""Which rings a sweep found, how central their members are, and what replicas must read again.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # When a sweep last found it; 0: only the incremental search has.
    op.add_column("rings", sa.Column("swept_ms", sa.BigInteger, nullable=False, server_default="0"))
    # Thousandths.
    op.add_column(
        "ring_members", sa.Column("centrality_e3", sa.Integer, nullable=False, server_default="1000")
    )
    # Counters: each process compares them with what it has read.
    op.create_table(
        "ring_revisions",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("verdicts", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("sweeps", sa.BigInteger, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_table("ring_revisions")
    op.drop_column("ring_members", "centrality_e3")
    op.drop_column("rings", "swept_ms")
